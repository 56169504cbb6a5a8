//! The files of a package as cargo lists them for a build script that names none.

use std::path::{Path, PathBuf};

use crate::process::Cmd;

/// The files of the package in `root`, sorted: with git, those tracked and those untracked but not
/// ignored; without, all that are not hidden. Nested packages and `target` are left out.
///
/// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/sources/path.rs>, `list_files`
pub(crate) fn files_of_package(root: &Path) -> Vec<PathBuf> {
    let mut files = from_git(root).unwrap_or_else(|| walk(root));
    files.sort();
    let nested: Vec<PathBuf> = files
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"))
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .filter(|directory| directory != root)
        .collect();
    let target = root.join("target");
    files.retain(|path| {
        !path.starts_with(&target) && !nested.iter().any(|directory| path.starts_with(directory))
    });
    files
}

fn from_git(root: &Path) -> Option<Vec<PathBuf>> {
    let listed = Cmd::new("git")
        .args(["ls-files", "-coz", "--exclude-standard", "--deduplicate", "."])
        .cwd(root)
        .quick_answer()?;
    let files: Option<Vec<PathBuf>> = listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| Some(root.join(std::str::from_utf8(name).ok()?)))
        .collect();
    // Of a submodule git names the directory only; and it names what is gone.
    let whole =
        |path: PathBuf| if path.is_dir() && !path.is_symlink() { walk(&path) } else { vec![path] };
    let files = files.map(|files| {
        files
            .into_iter()
            .flat_map(whole)
            .filter(|path| path.symlink_metadata().is_ok())
            .collect::<Vec<_>>()
    });
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
        for name in [
            "Cargo.toml",
            "src/lib.rs",
            "nested/Cargo.toml",
            "nested/src/lib.rs",
            "target/x",
            ".hidden",
            "ignored",
            "sub/target/x",
        ] {
            fs_err::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs_err::write(root.join(name), "").unwrap();
        }
        let listed = || -> Vec<String> {
            files_of_package(root)
                .iter()
                .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"))
                .collect()
        };
        assert_eq!(listed(), ["Cargo.toml", "ignored", "src/lib.rs", "sub/target/x"]);
        Cmd::new("git").args(["init", "-q"]).cwd(root).output().unwrap();
        fs_err::write(root.join(".gitignore"), "ignored\ntarget\n").unwrap();
        assert_eq!(listed(), [".gitignore", ".hidden", "Cargo.toml", "src/lib.rs"]);
    }
}
