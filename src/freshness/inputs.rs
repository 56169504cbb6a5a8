//! From cargo's records to paths: what each unit's references are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::snapshot::{Entry, Skipped, State};
use super::tree::{Package, Tree};
use super::{Error, Mode};
use crate::cargo_records::dep_info::DepFile;
use crate::cargo_records::{Inputs, Kind, Records, Unit};

/// The paths that cargo compares with the references of a unit and that we judge.
pub(super) fn of_unit(unit: &Unit, tree: &Tree, skipped: &Skipped) -> Vec<PathBuf> {
    let mut paths = all_of_unit(unit, tree);
    paths.retain(|path| !skipped.contains(path));
    paths
}

/// The paths that cargo compares with the references of a unit, as cargo names them. A path relative to the package stands
/// below every package of that name: which it is, the records do not say.
pub(super) fn all_of_unit(unit: &Unit, tree: &Tree) -> Vec<PathBuf> {
    let roots: Vec<&Path> = tree.named(&unit.package).map(|package| package.root.as_path()).collect();
    let below = |path: &Path| -> Vec<PathBuf> {
        // `rerun-if-changed=` with nothing is the package itself.
        roots.iter().map(|root| if path.as_os_str().is_empty() { root.to_path_buf() } else { root.join(path) }).collect()
    };
    let mut paths = BTreeSet::new();
    for reference in &unit.references {
        match &reference.inputs {
            Inputs::DepInfo(info) => {
                for file in &info.files {
                    match file {
                        DepFile::Package(path) => paths.extend(below(path)),
                        DepFile::Absolute(path) => {
                            paths.insert(path.clone());
                        }
                        // Made by a build script, with a date that cargo gave it.
                        DepFile::Build(_) => {}
                    }
                }
            }
            Inputs::Paths(declared) => {
                for path in declared {
                    if path.is_absolute() {
                        paths.insert(path.clone());
                    } else {
                        paths.extend(below(path));
                    }
                }
            }
        }
    }
    if unit.looks_at_whole_package() && unit.kind == Kind::Run {
        paths.extend(roots.iter().flat_map(|root| tree.files_of(root)));
    }
    paths.into_iter().collect()
}

/// A path and everything that belongs to it in a snapshot: below it, and behind links.
pub(super) fn closure<'a>(path: &Path, seen: &'a BTreeMap<PathBuf, Entry>) -> BTreeMap<&'a Path, &'a Entry> {
    let mut found = BTreeMap::new();
    let mut queue: Vec<PathBuf> = vec![path.to_path_buf()];
    while let Some(path) = queue.pop() {
        let Some((path, entry)) = seen.get_key_value(&path) else { continue };
        if found.insert(path.as_path(), entry).is_some() {
            continue;
        }
        match &entry.state {
            State::Directory { .. } => queue.extend(children(path, seen)),
            State::Link { .. } => queue.extend(fs_err::canonicalize(path).ok()),
            _ => {}
        }
    }
    found
}

fn children<'a>(directory: &'a Path, seen: &'a BTreeMap<PathBuf, Entry>) -> impl Iterator<Item = PathBuf> + 'a {
    let after = (std::ops::Bound::Excluded(directory.to_path_buf()), std::ops::Bound::Unbounded);
    seen.range(after)
        .map(|(path, _)| path)
        .take_while(move |path| path.starts_with(directory))
        .filter(move |path| path.parent() == Some(directory))
        .cloned()
}

/// Which files of a package count although nobody declared them. `None`: none.
///
/// Code that runs while a package is compiled (its build script, procedural macros) may read any of its files. Not taken for
/// such: Python, documentation and tests, as a mixed project has them in the same directory, and what is hidden.
pub(super) fn undeclared(package: &Package, mode: Mode, tree: &Tree, skipped: &Skipped) -> Option<Vec<PathBuf>> {
    let counts: fn(&Path) -> bool = match mode {
        Mode::Strict => |_| true,
        Mode::Auto if package.runs_code => |path| !is_of_the_python_side(path),
        Mode::Auto | Mode::Declared | Mode::Off => return None,
    };
    let files = tree.files_of(&package.root).into_iter();
    Some(files.filter(|path| !skipped.contains(path) && counts(path.strip_prefix(&package.root).unwrap_or(path))).collect())
}

/// Whether a file, relative to its package, is Python source or stub, documentation, a test, or a tool's.
pub fn is_of_the_python_side(relative: &Path) -> bool {
    const DIRECTORIES: &[&str] = &["tests", "test", "docs", "doc", "__pycache__"];
    const EXTENSIONS: &[&str] = &["py", "pyi", "pyc", "md", "rst", "ipynb"];
    let name = relative.file_name().unwrap_or_default().to_string_lossy();
    let extension = relative.extension().unwrap_or_default().to_string_lossy();
    let in_directory = relative.parent().into_iter().flat_map(Path::components).any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.starts_with('.') || DIRECTORIES.contains(&&*part)
    });
    in_directory || name.starts_with('.') || name == "py.typed" || EXTENSIONS.contains(&&*extension)
}

/// The files that the user's `inputs` match, below `base` or, with `..`, beside it.
pub(super) fn matching(globs: &[String], base: &Path, skipped: &Skipped) -> Result<Vec<PathBuf>, Error> {
    if globs.is_empty() {
        return Ok(Vec::new());
    }
    let mut set = GlobSetBuilder::new();
    let mut starts = BTreeSet::new();
    for glob in globs {
        let absolute = crate::fs::absolute(&base.join(glob)).unwrap_or_else(|_| base.join(glob));
        let text = absolute.to_string_lossy().into_owned();
        let invalid = |error: globset::Error| Error::Glob { glob: glob.clone(), message: error.kind().to_string() };
        set.add(GlobBuilder::new(&text).literal_separator(true).build().map_err(invalid)?);
        // The part before the first wildcard is where to look.
        let fixed: PathBuf =
            absolute.components().take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])).collect();
        starts.insert(fixed);
    }
    let set: GlobSet = set.build().map_err(|error| Error::Glob { glob: globs.join(" "), message: error.to_string() })?;
    let mut files = BTreeSet::new();
    for start in starts {
        let walk = walkdir::WalkDir::new(start).follow_links(true).into_iter().filter_entry(|entry| !skipped.contains(entry.path()));
        let entries = walk.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir() && set.is_match(entry.path()));
        files.extend(entries.map(walkdir::DirEntry::into_path));
    }
    Ok(files.into_iter().collect())
}

/// Names that rustc read through a link, and what they lead to now: cargo keeps only the latter, and would not notice if the
/// link were turned.
pub(super) fn links_of(unit: &Unit, tree: &Tree, records: &Records) -> BTreeMap<PathBuf, PathBuf> {
    let mut links = BTreeMap::new();
    let roots: Vec<&Path> = tree.named(&unit.package).map(|package| package.root.as_path()).collect();
    if roots.is_empty() || unit.kind != Kind::Compile {
        return links;
    }
    for file in rustc_dep_files(unit, &records.directory) {
        let Ok(text) = fs_err::read_to_string(&file) else { continue };
        for name in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.strip_suffix(':')) {
            let name = name.replace("\\ ", " ");
            let bases = std::iter::once(tree.workspace.as_path()).chain(roots.iter().copied());
            let Some(path) = bases.map(|base| base.join(&name)).find(|path| path.exists()) else { continue };
            let plain = crate::fs::absolute(&path).unwrap_or_else(|_| path.clone());
            if let Ok(real) = crate::fs::canonicalize(&plain)
                && real != plain
            {
                links.insert(plain, real);
            }
        }
    }
    links
}

/// rustc's own `.d` files of a unit, in either layout. A cdylib's name has no hash.
pub fn rustc_dep_files(unit: &Unit, build_directory: &Path) -> Vec<PathBuf> {
    let profile = build_directory.join(&unit.profile);
    let name = unit.crate_name().replace('-', "_");
    let name = name.strip_prefix("lib_").or(name.strip_prefix("bin_")).unwrap_or(&name);
    let script = unit.stem.starts_with("build-script-");
    let mut candidates = Vec::new();
    if script {
        candidates.push(profile.join(format!("build/{}-{}/build_script_build-{}.d", unit.package, unit.hash, unit.hash)));
    } else {
        candidates.push(profile.join(format!("deps/{name}-{}.d", unit.hash)));
        candidates.push(profile.join(format!("deps/{name}.d")));
    }
    let found: Vec<PathBuf> = candidates.into_iter().filter(|path| path.is_file()).take(1).collect();
    if !found.is_empty() {
        return found;
    }
    let out = profile.join("build").join(&unit.package).join(&unit.hash).join("out");
    let entries = fs_err::read_dir(out).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "d")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_projects_python_is_not_its_rusts_input() {
        for python in ["python/x/__init__.py", "x.pyi", "README.md", "docs/a/b.txt", "tests/data.json", ".github/x.yml", "pkg/py.typed"] {
            assert!(is_of_the_python_side(Path::new(python)), "{python}");
        }
        for rust in ["src/lib.rs", "data.json", "schema/x.sql", "pyproject.toml", "Cargo.lock", "testset/a"] {
            assert!(!is_of_the_python_side(Path::new(rust)), "{rust}");
        }
    }

    #[test]
    fn globs_find_what_is_below_and_beside() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        for name in ["project/a.sql", "project/deep/b.sql", "project/c.txt", "schemas/d.json"] {
            fs_err::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs_err::write(root.join(name), "").unwrap();
        }
        let skipped = Skipped { cargo_home: "/nowhere".into(), directories: Vec::new() };
        let found = |globs: &[&str]| -> Vec<String> {
            let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
            let files = matching(&globs, &root.join("project"), &skipped).unwrap();
            files.iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(found(&["*.sql"]), ["project/a.sql"]);
        assert_eq!(found(&["**/*.sql", "../schemas/*"]), ["project/a.sql", "project/deep/b.sql", "schemas/d.json"]);
        assert_eq!(found(&["c.txt"]), ["project/c.txt"]);
        let error = matching(&["a[".to_owned()], &root, &skipped).unwrap_err().to_string();
        assert!(error.starts_with("`a[` is not a pattern"), "{error}");
    }
}
