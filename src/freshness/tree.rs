//! The Cargo workspace as the ledger sees it: the packages whose sources are on this machine and not in cargo's home, and
//! the files of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use cargo_metadata::{DependencyKind, Metadata, TargetKind};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::process::Cmd;
use crate::{digest, env_vars};

/// Procedural macros of registries that read files without saying so to rustc.
const READING_MACROS: &[&str] =
    &["include_dir_macros", "rust-embed-impl", "sqlx-macros", "askama_derive", "askama_macros", "rinja_derive", "embed-doc-image"];

/// A Cargo workspace and where it is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// The root of the workspace.
    pub workspace: PathBuf,
    /// Where cargo puts what is between sources and artifacts by itself; usually the target directory.
    pub build_directory: PathBuf,
    pub target_directory: PathBuf,
    /// Whether cargo can be told another build directory: since 1.91, which is when it began to say where it is.
    pub has_build_directory: bool,
    /// Whether the directories are others than cargo would take by itself.
    #[serde(default)]
    pub is_told: bool,
    /// Those whose sources may change: of the workspace, path dependencies, vendored ones.
    pub packages: Vec<Package>,
    /// Every package of the resolution: name to versions.
    pub versions: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip)]
    listed: Listed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// The directory of its manifest.
    pub root: PathBuf,
    pub is_member: bool,
    /// It has a build script, is a procedural macro, or uses a local one: code of its own that reads what it likes runs when it is
    /// compiled.
    pub runs_code: bool,
}

impl Tree {
    pub fn new(metadata: &Metadata) -> Self {
        let target_directory = metadata.target_directory.clone().into_std_path_buf();
        let build_directory =
            metadata.build_directory.as_ref().map_or_else(|| target_directory.clone(), |path| path.clone().into_std_path_buf());
        let has_build_directory = metadata.build_directory.is_some();
        let home = cargo_home();
        let is_local =
            |package: &cargo_metadata::Package| package.source.is_none() || !is_in_cargo_home(package.manifest_path.as_std_path(), &home);
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in &metadata.packages {
            versions.entry(package.name.to_string()).or_default().insert(package.version.to_string());
        }
        let macros: BTreeSet<String> = metadata
            .packages
            .iter()
            .filter(|package| READING_MACROS.contains(&package.name.as_str()) || (is_local(package) && is_proc_macro(package)))
            .map(|package| package.name.to_string())
            .collect();
        let users = dependents(metadata, &macros);
        let packages = metadata
            .packages
            .iter()
            .filter(|package| is_local(package))
            .filter_map(|package| {
                let has_script = package.targets.iter().any(|target| target.kind.contains(&TargetKind::CustomBuild));
                Some(Package {
                    name: package.name.to_string(),
                    version: package.version.to_string(),
                    root: package.manifest_path.parent()?.as_std_path().to_path_buf(),
                    is_member: metadata.workspace_members.contains(&package.id),
                    runs_code: has_script || is_proc_macro(package) || users.contains(package.name.as_str()),
                })
            })
            .collect();
        Self {
            workspace: metadata.workspace_root.clone().into_std_path_buf(),
            build_directory,
            target_directory,
            has_build_directory,
            is_told: false,
            packages,
            versions,
            listed: Listed::default(),
        }
    }

    /// Asks cargo about the workspace of a manifest: without the network if that will do.
    pub fn of_manifest(manifest: &Path) -> Result<Self, Error> {
        let ask = |offline: bool| {
            let mut command = cargo_metadata::MetadataCommand::new();
            command.manifest_path(manifest).current_dir(manifest.parent().unwrap_or(manifest));
            if let Some(cargo) = env_vars::get_os("CARGO") {
                command.cargo_path(cargo);
            }
            if offline {
                command.other_options(vec!["--offline".to_owned()]);
            }
            command.exec()
        };
        let metadata = ask(true).or_else(|_| ask(false)).map_err(|error| Error::Cargo {
            manifest: manifest.to_path_buf(),
            message: match error {
                cargo_metadata::Error::CargoMetadata { stderr } => stderr.trim().to_owned(),
                other => other.to_string(),
            },
        })?;
        Ok(Self::new(&metadata))
    }

    /// The same with another target directory, which cargo will be told.
    #[must_use]
    pub fn with_target_directory(mut self, target_directory: PathBuf) -> Self {
        if self.target_directory == target_directory {
            return self;
        }
        self.is_told = true;
        if self.build_directory == self.target_directory {
            self.build_directory.clone_from(&target_directory);
        }
        self.target_directory = target_directory;
        self
    }

    /// Packages of a name; several when two of one name are in the tree.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Package> {
        self.packages.iter().filter(move |package| package.name == name)
    }

    /// Digest of all that the list of packages was made from, as far as it is in the tree.
    pub fn manifests_digest(&self) -> String {
        let mut hasher = digest::Hasher::default();
        let mut field = |path: &Path| {
            hasher.field(path.as_os_str().as_encoded_bytes()).field(&fs_err::read(path).unwrap_or_default());
        };
        for name in ["Cargo.toml", "Cargo.lock"] {
            field(&self.workspace.join(name));
        }
        for directory in self.workspace.ancestors() {
            for name in [".cargo/config.toml", ".cargo/config"] {
                field(&directory.join(name));
            }
        }
        for package in &self.packages {
            field(&package.root.join("Cargo.toml"));
        }
        let home = cargo_home();
        field(&home.join("config.toml"));
        // Not the variable: rustup sets it for what cargo starts, to the same directory.
        hasher.field(home.as_os_str().as_encoded_bytes());
        for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
            hasher.field(env_vars::get_os(name).unwrap_or_default().as_encoded_bytes());
        }
        hasher.finish()
    }

    /// Digest of `[workspace.package]`, which members inherit from.
    pub fn inherited_digest(&self) -> String {
        let text = fs_err::read_to_string(self.workspace.join("Cargo.toml")).unwrap_or_default();
        let inherited = text.parse::<toml::Table>().ok().and_then(|table| table.get("workspace")?.get("package").cloned());
        digest::json(&inherited)
    }

    /// Where files may be given other dates: the checkout that the workspace is in, and where it is built.
    pub fn bounds(&self) -> Vec<PathBuf> {
        vec![self.checkout().to_path_buf(), self.target_directory.clone()]
    }

    /// The git checkout that the workspace is in, else the workspace.
    pub(super) fn checkout(&self) -> &Path {
        self.workspace.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(&self.workspace)
    }

    /// Whether packages and directories are all in the checkout, as those of most workspaces are.
    pub(super) fn is_in_checkout(&self) -> bool {
        let checkout = self.checkout();
        let is_in = |path: &Path| path.starts_with(checkout) && !path.components().any(|part| part == Component::ParentDir);
        is_in(&self.build_directory) && is_in(&self.target_directory) && self.packages.iter().all(|package| is_in(&package.root))
    }

    /// The files of a package as cargo lists them for a build script that names none, sorted: with git, those tracked and those
    /// untracked but not ignored; without, all that are not hidden. Nested packages and `target` are left out.
    ///
    /// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/sources/path.rs>, `list_files`
    pub fn files_of(&self, root: &Path) -> Vec<PathBuf> {
        let mut listed = self.listed.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        listed.entry(root.to_path_buf()).or_insert_with(|| list(root)).clone()
    }

    /// Lets [`Self::files_of`] look again: something may have been built meanwhile.
    pub fn forget_files(&self) {
        self.listed.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
}

/// Files of packages that were listed before.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<HashMap<PathBuf, Vec<PathBuf>>>);

impl Clone for Listed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What was listed is no part of what a tree is.
impl PartialEq for Listed {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

fn list(root: &Path) -> Vec<PathBuf> {
    let mut files = from_git(root).unwrap_or_else(|| walk(root));
    files.sort();
    let nested: Vec<PathBuf> = files
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"))
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .filter(|directory| directory != root)
        .collect();
    let target = root.join("target");
    files.retain(|path| !path.starts_with(&target) && !nested.iter().any(|directory| path.starts_with(directory)));
    files
}

fn is_proc_macro(package: &cargo_metadata::Package) -> bool {
    package.targets.iter().any(|target| target.kind.contains(&TargetKind::ProcMacro))
}

/// The names of packages that reach one of `macros`, directly or through others: what they re-export may be used.
fn dependents(metadata: &Metadata, macros: &BTreeSet<String>) -> BTreeSet<String> {
    let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
    for package in &metadata.packages {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Build) {
            users.entry(dependency.name.as_str()).or_default().push(package.name.as_str());
        }
    }
    let mut found = BTreeSet::new();
    let mut queue: Vec<&str> = macros.iter().map(String::as_str).collect();
    while let Some(name) = queue.pop() {
        for user in users.get(name).into_iter().flatten() {
            if found.insert((*user).to_owned()) {
                queue.push(user);
            }
        }
    }
    found
}

/// `CARGO_HOME`, or `.cargo` in the home directory.
pub fn cargo_home() -> PathBuf {
    let home = || Some(env_vars::home()?.join(".cargo"));
    env_vars::get_os("CARGO_HOME").map(PathBuf::from).or_else(home).unwrap_or_default()
}

/// Whether cargo takes a path for immutable, and does not look at its date.
///
/// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/mod.rs#L2084>
pub(super) fn is_in_cargo_home(path: &Path, cargo_home: &Path) -> bool {
    path.starts_with(cargo_home.join("registry")) || path.starts_with(cargo_home.join("git"))
}

fn from_git(root: &Path) -> Option<Vec<PathBuf>> {
    let listed = Cmd::new("git").args(["ls-files", "-coz", "--exclude-standard", "--deduplicate", "."]).cwd(root).quick_answer()?;
    let files: Option<Vec<PathBuf>> = listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| Some(root.join(std::str::from_utf8(name).ok()?)))
        .collect();
    // Of a submodule git names the directory only; and it names what is gone.
    let whole = |path: PathBuf| if path.is_dir() && !path.is_symlink() { walk(&path) } else { vec![path] };
    let files = files.map(|files| files.into_iter().flat_map(whole).filter(|path| path.symlink_metadata().is_ok()).collect::<Vec<_>>());
    // What git ignores as a whole, cargo walks.
    files.filter(|files| files.iter().any(|path| *path == root.join("Cargo.toml")))
}

fn walk(root: &Path) -> Vec<PathBuf> {
    walkdir::WalkDir::new(root)
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| {
            let is_target = entry.depth() == 1 && entry.file_name() == "target";
            !entry.file_name().to_string_lossy().starts_with('.') && !is_target
        })
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packages_files_are_those_that_cargo_lists() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["Cargo.toml", "src/lib.rs", "nested/Cargo.toml", "nested/src/lib.rs", "target/x", ".hidden", "ignored", "sub/target/x"]
        {
            fs_err::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs_err::write(root.join(name), "").unwrap();
        }
        let tree = Tree {
            workspace: root.into(),
            build_directory: root.join("target"),
            target_directory: root.join("target"),
            has_build_directory: true,
            is_told: false,
            packages: Vec::new(),
            versions: BTreeMap::new(),
            listed: Listed::default(),
        };
        let listed = || -> Vec<String> {
            tree.forget_files();
            tree.files_of(root).iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(listed(), ["Cargo.toml", "ignored", "src/lib.rs", "sub/target/x"]);
        Cmd::new("git").args(["init", "-q"]).cwd(root).output().unwrap();
        fs_err::write(root.join(".gitignore"), "ignored\ntarget\n").unwrap();
        assert_eq!(listed(), [".gitignore", ".hidden", "Cargo.toml", "src/lib.rs"]);
    }
}
