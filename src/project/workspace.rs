//! Where the project's Rust is.
//!
//! Finding the workspace root costs a few file reads instead of a `cargo locate-project`, as even a
//! run with nothing to do needs it (our directory is there). The rules are cargo's:
//! `package.workspace`, else the nearest manifest at or above with a `[workspace]` table that does
//! not exclude the package. Source: <https://doc.rust-lang.org/cargo/reference/workspaces.html#the-workspace-section>

use std::path::{Path, PathBuf};

use super::cargo::{self, CargoWorkspace, workspace_root};
use super::{Error, lookup, remembered};
use crate::{env_vars, fs};

/// The Cargo side of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The manifests that the backend builds, as far as that is known; none for a project without
    /// Rust.
    pub manifests: Vec<PathBuf>,
    /// Where `.pyenv-build` goes: the Cargo workspace's root, or the source tree when that
    /// contains the workspace or there is none.
    pub root: PathBuf,
    /// The root of the Cargo workspace of the first manifest.
    pub cargo_root: Option<PathBuf>,
}

impl Workspace {
    pub(super) fn find(directory: &Path, pyproject: &toml::Table) -> Self {
        let manifests = manifests(directory, pyproject);
        let cargo_root = manifests.first().map(|manifest| workspace_root(manifest));
        let root = cargo_root.clone().filter(|root| !root.starts_with(directory));
        Self { manifests, root: root.unwrap_or_else(|| directory.to_path_buf()), cargo_root }
    }

    /// Whether a crate below our directory would be taken for a part of somebody's Cargo workspace.
    pub fn is_inside_cargo_workspace(&self) -> bool {
        self.root.ancestors().any(|directory| {
            fs_err::read_to_string(directory.join("Cargo.toml")).is_ok_and(|text| {
                text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("workspace"))
            })
        })
    }

    /// Target directories of Cargo workspaces below `directory`, as far as they can be found
    /// without asking cargo: where variables say, or next to the manifests. cargo tags those
    /// that it makes.
    pub fn target_directories(&self, directory: &Path) -> Vec<PathBuf> {
        let set =
            cargo::TARGET_VARIABLES.into_iter().filter_map(env_vars::get_os).map(PathBuf::from);
        let roots = self
            .cargo_root
            .iter()
            .cloned()
            .chain(self.manifests.iter().skip(1).map(|manifest| workspace_root(manifest)));
        let mut found: Vec<PathBuf> = set
            .chain(roots.map(|root| root.join("target")))
            .filter_map(|path| fs::absolute(&directory.join(path)).ok())
            .filter(|path| {
                path.starts_with(directory)
                    && path != directory
                    && path.join("CACHEDIR.TAG").is_file()
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The Cargo workspace's root and its target directory; asks cargo, but resolves and downloads
    /// nothing.
    pub fn cargo_directories(&self) -> Option<(PathBuf, PathBuf)> {
        let manifest = self.manifests.first()?;
        let metadata = cargo::ask(manifest, &["--no-deps"]).ok()?;
        Some((
            metadata.workspace_root.into_std_path_buf(),
            metadata.target_directory.into_std_path_buf(),
        ))
    }

    /// What cargo knows of the workspace of the first manifest: as it was said the last time, which
    /// is in the file `memory`, if nothing has changed since. `None`: the project has no Rust.
    pub fn cargo(&self, memory: &Path) -> Result<Option<CargoWorkspace>, Error> {
        self.manifests.first().map(|manifest| remembered::ask(manifest, memory)).transpose()
    }
}

fn manifests(directory: &Path, pyproject: &toml::Table) -> Vec<PathBuf> {
    let resolve =
        |path: &str| fs::absolute(&directory.join(path)).ok().filter(|path| path.is_file());
    if let Some(path) = lookup(pyproject, &["tool", "maturin", "manifest-path"])
        .and_then(toml::Value::as_str)
        .and_then(resolve)
    {
        return vec![path];
    }
    let mut declared = Vec::new();
    for list in ["ext-modules", "bins"] {
        for item in lookup(pyproject, &["tool", "setuptools-rust", list])
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let path = item.get("path").and_then(toml::Value::as_str).unwrap_or("Cargo.toml");
            declared.extend(resolve(path));
        }
    }
    if !declared.is_empty() {
        declared.dedup();
        return declared;
    }
    if let Some(path) = resolve("Cargo.toml") {
        return vec![path];
    }
    // A `setup.py` names it where we cannot read it: the shallowest one it is.
    let skipped = |name: &str| {
        name.starts_with('.')
            || ["target", "node_modules", "build", "dist", "tests", "venv"].contains(&name)
    };
    walkdir::WalkDir::new(directory)
        .min_depth(1)
        .max_depth(4)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| {
            !entry.file_type().is_dir() || !skipped(&entry.file_name().to_string_lossy())
        })
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() == "Cargo.toml")
        .min_by_key(walkdir::DirEntry::depth)
        .map(walkdir::DirEntry::into_path)
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = dir.path().join(name);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, text).unwrap();
            }
            Self(dir)
        }

        fn find(&self, directory: &str, pyproject: &str) -> (Vec<String>, String) {
            let relative = |path: &Path| {
                path.strip_prefix(self.0.path()).unwrap().to_string_lossy().replace('\\', "/")
            };
            let found = Workspace::find(
                &self.0.path().join(directory),
                &toml::from_str(pyproject).unwrap(),
            );
            (found.manifests.iter().map(|path| relative(path)).collect(), relative(&found.root))
        }
    }

    #[test]
    fn beside_its_manifest_in_a_workspace_and_excluded_from_one() {
        let tree = Tree::new(&[
            ("Cargo.toml", "[workspace]\nmembers = ['py']\nexclude = ['out']"),
            ("py/Cargo.toml", "[package]\nname = 'py'"),
            ("out/Cargo.toml", "[package]\nname = 'out'"),
            ("own/Cargo.toml", "[package]\nname = 'own'\n[workspace]"),
        ]);
        assert_eq!(tree.find("py", ""), (vec!["py/Cargo.toml".into()], String::new()));
        assert_eq!(tree.find("out", ""), (vec!["out/Cargo.toml".into()], "out".into()));
        assert_eq!(tree.find("own", ""), (vec!["own/Cargo.toml".into()], "own".into()));
    }

    #[test]
    fn where_the_backend_says_or_the_shallowest() {
        let tree = Tree::new(&[
            ("rust/Cargo.toml", "[workspace]\nmembers = ['py']"),
            ("rust/py/Cargo.toml", "[package]\nname = 'py'"),
            ("python/setup.py", ""),
            ("python/src/_x/Cargo.toml", "[package]\nname = 'x'"),
        ]);
        assert_eq!(
            tree.find("python", "[tool.maturin]\nmanifest-path = '../rust/py/Cargo.toml'"),
            (vec!["rust/py/Cargo.toml".into()], "rust".into())
        );
        assert_eq!(
            tree.find("python", ""),
            (vec!["python/src/_x/Cargo.toml".into()], "python".into())
        );
        let declared =
            "[[tool.setuptools-rust.ext-modules]]\ntarget = 'x'\npath = 'src/_x/Cargo.toml'";
        assert_eq!(
            tree.find("python", declared),
            (vec!["python/src/_x/Cargo.toml".into()], "python".into())
        );
    }

    #[test]
    fn target_directories_are_those_in_the_source_tree_that_cargo_has_tagged() {
        let tree = Tree::new(&[
            ("pyproject/one/Cargo.toml", "[workspace]\nmembers = ['py']"),
            ("pyproject/one/py/Cargo.toml", "[package]\nname = 'one'"),
            ("pyproject/one/target/CACHEDIR.TAG", ""),
            ("pyproject/two/Cargo.toml", "[package]\nname = 'two'"),
            ("pyproject/two/target/CACHEDIR.TAG", ""),
            ("pyproject/three/Cargo.toml", "[package]\nname = 'three'"),
            ("pyproject/three/target/not-cargo's", ""),
            ("outside/Cargo.toml", "[package]\nname = 'outside'"),
            ("outside/target/CACHEDIR.TAG", ""),
        ]);
        let directory = tree.0.path().join("pyproject");
        let modules = ["one/py", "two", "three", "../outside", "one/py"]
            .map(|package| {
                format!("[[tool.setuptools-rust.ext-modules]]\npath = '{package}/Cargo.toml'\n")
            })
            .concat();
        let workspace = Workspace::find(&directory, &toml::from_str(&modules).unwrap());
        assert_eq!(
            workspace.target_directories(&directory),
            [directory.join("one/target"), directory.join("two/target")]
        );
    }
}
