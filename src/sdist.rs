//! Source distributions: unpacking one to a stable path, so that cargo's artifacts stay fresh, and
//! the check that our own directory is not in one.
//!
//! A frontend that unpacks to a temporary directory gives every path crate a new path and every
//! file a new mtime. Here the archive is unpacked next to the last one and compared: a file with
//! the same bytes keeps its mtime, a changed or new one gets the current time, and files that are
//! not in the archive are removed, except cargo's `target` directories.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::fs;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{}` is not a readable source distribution: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the backend packed {members} of our own files, from `{}`, into `{archive}`", directory.display())]
    HasOurs { archive: String, directory: PathBuf, members: usize },
}

impl Error {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::HasOurs { directory, .. } => Some(format!(
                "the backend packs all files of the source tree: exclude `{0}` as its \
                    documentation describes (`prune {0}` in `MANIFEST.in`, `{0}/` in \
                    `.gitignore`, ...), or move it elsewhere with `--root`",
                directory.display()
            )),
            _ => None,
        }
    }
}

/// Checks that a source distribution has nothing of our own directory, which is at `ours` in the
/// source tree.
pub(crate) fn check(archive: &Path, ours: &Path) -> Result<(), Error> {
    let invalid = |error: std::io::Error| Error::Invalid {
        path: archive.to_path_buf(),
        reason: error.to_string(),
    };
    let file = fs_err::File::open(archive).map_err(invalid)?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut members = 0;
    for entry in tar.entries().map_err(invalid)? {
        let entry = entry.map_err(invalid)?;
        let path = entry.path().map_err(invalid)?;
        // The first component is `name-version`, perhaps after `./`.
        let mut inner = path.components();
        inner.by_ref().find(|part| *part != Component::CurDir);
        let is_directory = entry.header().entry_type().is_dir();
        members += usize::from(!is_directory && inner.as_path().starts_with(ours));
    }
    if members == 0 {
        Ok(())
    } else {
        Err(Error::HasOurs {
            archive: archive.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            directory: ours.to_path_buf(),
            members,
        })
    }
}

/// Unpacks `archive` (`name-version.tar.gz`) so that its tree stands at `target`. `scratch` is on
/// the same file system.
pub(crate) fn unpack(archive: &Path, target: &Path, scratch: &Path) -> Result<(), Error> {
    let invalid = |reason: String| Error::Invalid { path: archive.to_path_buf(), reason };
    let file = fs_err::File::open(archive).map_err(|error| invalid(error.to_string()))?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    tar.set_preserve_mtime(false);
    // The crate refuses members that lead outside.
    tar.unpack(scratch).map_err(|error| invalid(error.to_string()))?;
    let mut tops = fs_err::read_dir(scratch)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid(error.to_string()))?;
    let (Some(top), true) = (tops.pop(), tops.is_empty()) else {
        return Err(invalid("it must contain exactly one top-level directory".to_owned()));
    };
    synchronise(&top.path(), target)
        .map_err(|source| Error::Write { path: target.to_path_buf(), source })
}

/// Makes `to` have the content of `from`, which is used up.
fn synchronise(from: &Path, to: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(to)?;
    let mut wanted = BTreeSet::new();
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        wanted.insert(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !fs_err::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_dir()) {
                remove(&target)?;
            }
            synchronise(&source, &target)?;
        } else if !same_file(&source, &target) {
            remove(&target)?;
            fs_err::rename(&source, &target)?;
        }
    }
    let is_crate = wanted.contains(OsStr::new("Cargo.toml"));
    for entry in fs_err::read_dir(to)? {
        let entry = entry?;
        let is_target = is_crate && entry.file_name() == "target";
        if !wanted.contains(&entry.file_name()) && !is_target {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn same_file(one: &Path, other: &Path) -> bool {
    let kind = |path: &Path| {
        fs_err::symlink_metadata(path)
            .map(|metadata| (metadata.file_type(), metadata.permissions()))
            .ok()
    };
    match (kind(one), kind(other)) {
        (Some(first), Some(second)) if first == second => {
            if first.0.is_symlink() {
                return fs_err::read_link(one).ok() == fs_err::read_link(other).ok();
            }
            matches!((fs_err::read(one), fs_err::read(other)), (Ok(first), Ok(second)) if first == second)
        }
        _ => false,
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs_err::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filetime::FileTime;

    fn archive(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
        let path = dir.join("p-1.tar.gz");
        let file = fs_err::File::create(&path).unwrap();
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn what_is_the_same_keeps_its_date_and_what_is_gone_goes() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("t");
        let unpack = |files: &[(&str, &str)]| {
            let scratch = tempfile::tempdir_in(dir.path()).unwrap();
            unpack(&archive(dir.path(), files), &target, scratch.path())
        };
        unpack(&[
            ("p-1/Cargo.toml", "x"),
            ("p-1/src/a.rs", "1"),
            ("p-1/src/b.rs", "1"),
            ("p-1/old.py", "1"),
        ])
        .unwrap();
        let old = FileTime::from_unix_time(1_000_000_000, 0);
        for name in ["src/a.rs", "src/b.rs"] {
            filetime::set_file_mtime(target.join(name), old).unwrap();
        }
        fs_err::create_dir_all(target.join("target/release")).unwrap();
        fs_err::create_dir_all(target.join("build/lib")).unwrap();
        unpack(&[
            ("p-1/Cargo.toml", "x"),
            ("p-1/src/a.rs", "1"),
            ("p-1/src/b.rs", "2"),
            ("p-1/src/c.rs", ""),
        ])
        .unwrap();
        let mtime = |name: &str| {
            FileTime::from_last_modification_time(&fs_err::metadata(target.join(name)).unwrap())
        };
        assert_eq!(mtime("src/a.rs"), old);
        assert!(mtime("src/b.rs") > old);
        assert_eq!(fs_err::read_to_string(target.join("src/b.rs")).unwrap(), "2");
        assert!(target.join("src/c.rs").exists() && target.join("target/release").exists());
        assert!(!target.join("old.py").exists() && !target.join("build").exists());
    }

    #[test]
    fn refuses_what_is_no_sdist() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir_in(dir.path()).unwrap();
        let path = archive(dir.path(), &[("a/x", ""), ("b/x", "")]);
        let error = unpack(&path, &dir.path().join("t"), scratch.path()).unwrap_err().to_string();
        assert!(error.contains("exactly one top-level directory"), "{error}");
        assert!(!dir.path().join("t").exists());
    }

    #[test]
    fn our_directory_is_found_however_members_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for (member, is_ours) in [
            ("p-1/.pyenv-build/x", true),
            ("./p-1/.pyenv-build/x", true),
            ("p-1/src/.pyenv-build/x", false),
            ("p-1/.pyenv-build-not/x", false),
        ] {
            let found = check(
                &archive(dir.path(), &[("p-1/PKG-INFO", ""), (member, "")]),
                Path::new(".pyenv-build"),
            );
            assert_eq!(
                matches!(found, Err(Error::HasOurs { members: 1, .. })),
                is_ours,
                "{member}"
            );
        }
    }
}
