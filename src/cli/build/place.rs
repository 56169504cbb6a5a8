//! Where artifacts are made, and how they get from there to the output directory.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::failure::Result;
use crate::cli::options::absolute;
use crate::layout::Layout;
use crate::report::{Artifact, ArtifactKind};
use crate::{build_env, fs};

/// A directory for a hook to write to, in a temporary one: what it writes next to it goes as well.
#[derive(Debug)]
pub(in crate::cli) struct Scratch {
    _temporary: tempfile::TempDir,
    pub directory: PathBuf,
}

impl Scratch {
    pub(in crate::cli) fn new(layout: &Layout) -> Result<Self, build_env::Error> {
        let make = || {
            let temporary = layout.temporary("build-")?;
            let directory = temporary.path().join("out");
            fs_err::create_dir(&directory)?;
            Ok(Self { _temporary: temporary, directory })
        };
        make()
            .map_err(|source| build_env::Error::Write { path: layout.root().to_path_buf(), source })
    }
}

/// Moves an artifact to a directory, or to the `dist` of a project if none is given.
pub(super) fn place(
    built: &Path,
    kind: ArtifactKind,
    out_dir: Option<&Path>,
    project: &Path,
) -> Result<Artifact> {
    let directory = match out_dir {
        Some(out_dir) => absolute(out_dir)?,
        None => project.join("dist"),
    };
    let target = directory.join(built.file_name().expect("it is a file in a directory"));
    move_to(built, &target, out_dir.is_none()).with_context(|| {
        format!(
            "failed to move `{}` to `{}`",
            target.file_name().unwrap_or_default().display(),
            directory.display()
        )
    })?;
    Ok(Artifact::new(kind, target).context("failed to read the built artifact")?)
}

/// Moves a file or directory to its final name, replacing what is there.
///
/// `dist` made by us gets a `.gitignore`, as uv's does: an untracked wheel in a package re-runs its
/// build script if that is of the old kind, which looks at all files of the package.
fn move_to(built: &Path, target: &Path, is_default_directory: bool) -> std::io::Result<()> {
    let directory = target.parent().expect("a file has a parent");
    if is_default_directory && !directory.exists() {
        fs_err::create_dir_all(directory)?;
        fs::write_atomic(&directory.join(".gitignore"), b"*\n")?;
    }
    fs_err::create_dir_all(directory)?;
    if same_content(built, target) {
        // The same artifact as before keeps its date: what watches it has nothing to do.
        return Ok(());
    }
    if built.is_dir() {
        fs::remove_dir_all(target)?;
    }
    match fs_err::rename(built, target) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            copy_over(built, target)?;
        }
        other => other?,
    }
    // It is new here. With an older date it would look like a source that was put in place of
    // another one: see `target_trust`.
    filetime::set_file_mtime(target, filetime::FileTime::now())
}

fn same_content(one: &Path, other: &Path) -> bool {
    let size = |path: &Path| {
        fs_err::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|metadata| metadata.len())
    };
    let read = |path: &Path| fs_err::read(path).ok();
    size(one).is_some_and(|size_of_one| size(other) == Some(size_of_one))
        && read(one) == read(other)
}

/// [`move_to`] across file systems: a copy next to the target, then a rename.
fn copy_over(built: &Path, target: &Path) -> std::io::Result<()> {
    let directory = target.parent().expect("a file has a parent");
    let staging = tempfile::Builder::new().prefix(".tmp-").tempdir_in(directory)?;
    let copy = staging.path().join("x");
    for entry in walkdir::WalkDir::new(built) {
        let entry = entry?;
        let to = match entry.path().strip_prefix(built) {
            Ok(relative) if !relative.as_os_str().is_empty() => copy.join(relative),
            _ => copy.clone(),
        };
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(to)?;
        } else {
            fs_err::copy(entry.path(), to)?;
        }
    }
    fs_err::rename(copy, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_placed_has_the_date_of_its_placing_and_what_was_there_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (built, target) = (dir.path().join("built"), dir.path().join("dist/x.whl"));
        let date = |path: &Path| {
            let metadata = fs_err::metadata(path).unwrap();
            filetime::FileTime::from_last_modification_time(&metadata)
        };
        let begun =
            filetime::FileTime::from_unix_time(filetime::FileTime::now().unix_seconds() - 2, 0);
        let old = filetime::FileTime::from_unix_time(946_684_800, 0);
        fs_err::write(&built, "x").unwrap();
        filetime::set_file_mtime(&built, old).unwrap();
        move_to(&built, &target, true).unwrap();
        assert!(date(&target) >= begun, "it is no old source");
        filetime::set_file_mtime(&target, old).unwrap();
        fs_err::write(&built, "x").unwrap();
        move_to(&built, &target, true).unwrap();
        assert_eq!(date(&target), old, "the same content keeps its date");
    }
}
