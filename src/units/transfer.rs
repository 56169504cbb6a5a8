//! The store as one file, for caches that store files: a tar archive, compressed with zstd.
//!
//! Its first member says where it was made. Entries hold absolute paths, so an archive of another
//! directory is refused by name. What is imported is checked against its name as everything in a
//! store is; links, other kinds of members and paths that lead elsewhere are refused.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::{self, Store};
use crate::digest;

/// The first member of an archive.
const HEADER: &str = "export.json";
/// Version of the archive's format.
const SCHEMA: u32 = 1;
/// The folders of a store that travel.
const FOLDERS: &[&str] = &["v1", "plans", "incremental"];

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    schema: u32,
    /// The store that it was made from.
    store: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` was exported from `{}`, and this store is `{}`", archive.display(), from.display(), to.display())]
    Elsewhere { archive: PathBuf, from: PathBuf, to: PathBuf },
    #[error("`{}` is not an archive of a store, or is damaged: {message}", archive.display())]
    Invalid { archive: PathBuf, message: String },
    #[error("`{}` has format version {found}, but this program reads version {SCHEMA}", archive.display())]
    Version { archive: PathBuf, found: u32 },
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Error {
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Elsewhere { .. } => Some(
                "a store is valid for one path only: build where it was exported, or build \
                    without it",
            ),
            Self::Invalid { .. } | Self::Version { .. } => {
                Some("build without it: missing crates are compiled")
            }
            Self::Write { .. } => None,
        }
    }
}

/// Writes all of a store into a file. Returns the number of files in it.
pub fn export(store: &Store, archive: &Path) -> Result<u64, Error> {
    let failed = |source: io::Error| Error::Write { path: archive.to_path_buf(), source };
    let parent =
        archive.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs_err::create_dir_all(parent).map_err(failed)?;
    let mut file =
        tempfile::Builder::new().prefix(store::TEMPORARY).tempfile_in(parent).map_err(failed)?;
    let count = write(store, file.as_file_mut()).map_err(failed)?;
    file.persist(archive).map_err(|error| failed(error.error))?;
    Ok(count)
}

fn write(store: &Store, file: impl Write) -> io::Result<u64> {
    let mut builder = tar::Builder::new(zstd::Encoder::new(file, 3)?);
    let header = serde_json::to_vec(&Header { schema: SCHEMA, store: store.root().to_path_buf() })
        .expect("our own plain data always serialises");
    append(&mut builder, Path::new(HEADER), header.len() as u64, 0, &header[..])?;
    let mut count = 0;
    for folder in FOLDERS {
        for entry in walkdir::WalkDir::new(store.root().join(folder)).sort_by_file_name() {
            let Ok(entry) = entry else { continue };
            let is_temporary = entry.file_name().to_string_lossy().starts_with(store::TEMPORARY);
            if !entry.file_type().is_file() || is_temporary {
                continue;
            }
            let name =
                entry.path().strip_prefix(store.root()).expect("walkdir stays below its root");
            let mut content = fs_err::File::open(entry.path())?;
            let metadata = content.metadata()?;
            let mtime = metadata
                .modified()?
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |time| time.as_secs());
            append(&mut builder, name, metadata.len(), mtime, content.file_mut())?;
            count += 1;
        }
    }
    builder.into_inner()?.finish()?.flush()?;
    Ok(count)
}

fn append(
    builder: &mut tar::Builder<impl Write>,
    name: &Path,
    size: u64,
    mtime: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(mtime);
    builder.append_data(&mut header, name, content)
}

/// Puts what is in an archive into a store, in addition to what is there. Returns the number of files.
pub fn import(store: &Store, archive: &Path) -> Result<u64, Error> {
    let invalid = |message: String| Error::Invalid { archive: archive.to_path_buf(), message };
    let unreadable = |error: io::Error| invalid(error.to_string());
    let file = fs_err::File::open(archive).map_err(unreadable)?;
    let mut members = tar::Archive::new(zstd::Decoder::new(file).map_err(unreadable)?);
    let mut count = 0;
    let mut is_first = true;
    for member in members.entries().map_err(unreadable)? {
        let mut member = member.map_err(unreadable)?;
        let name = member.path().map_err(unreadable)?.into_owned();
        if std::mem::replace(&mut is_first, false) {
            check_header(&mut member, &name, store, archive)?;
            continue;
        }
        let is_ours = name.components().all(|part| matches!(part, Component::Normal(_)))
            && FOLDERS.iter().any(|folder| name.starts_with(folder));
        if !is_ours || member.header().entry_type() != tar::EntryType::Regular {
            return Err(invalid(format!("`{}` does not belong in a store", name.display())));
        }
        let mut content = Vec::new();
        member.read_to_end(&mut content).map_err(unreadable)?;
        if !is_what_it_says(&name, &content) {
            return Err(invalid(format!(
                "the content of `{}` does not match its name",
                name.display()
            )));
        }
        let path = store.root().join(&name);
        let mtime = member.header().mtime().map_err(unreadable)?;
        // What is there already was used no longer ago.
        if !path.exists() {
            let time = filetime::FileTime::from_unix_time(mtime.cast_signed(), 0);
            store::put(&path, &content)
                .and_then(|()| filetime::set_file_mtime(&path, time))
                .map_err(|source| Error::Write { path, source })?;
        }
        count += 1;
    }
    if is_first { Err(invalid("it is empty".to_owned())) } else { Ok(count) }
}

fn check_header(
    member: &mut impl Read,
    name: &Path,
    store: &Store,
    archive: &Path,
) -> Result<(), Error> {
    let invalid = |message: &str| Error::Invalid {
        archive: archive.to_path_buf(),
        message: message.to_owned(),
    };
    if name != Path::new(HEADER) {
        return Err(invalid("it does not begin with its origin"));
    }
    let mut text = String::new();
    member
        .take(64 * 1024)
        .read_to_string(&mut text)
        .map_err(|error| invalid(&error.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| invalid(&error.to_string()))?;
    let found = value.get("schema").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if found != u64::from(SCHEMA) {
        return Err(Error::Version {
            archive: archive.to_path_buf(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
        });
    }
    let header: Header =
        serde_json::from_value(value).map_err(|error| invalid(&error.to_string()))?;
    if header.store != store.root() {
        return Err(Error::Elsewhere {
            archive: archive.to_path_buf(),
            from: header.store,
            to: store.root().to_path_buf(),
        });
    }
    Ok(())
}

/// Blobs and entries have their digests in their names.
pub fn is_what_it_says(name: &Path, content: &[u8]) -> bool {
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    if name.starts_with("v1/blobs") {
        return stem == digest::bytes(content);
    }
    if name.starts_with("v1/units") {
        return stem.rsplit_once('-').is_some_and(|(_, expected)| {
            expected.len() == 16 && digest::bytes(content).starts_with(expected)
        });
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::upkeep::tests::add;
    use super::super::upkeep::{damage, size};
    use super::*;

    #[test]
    fn a_store_travels_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let entry = add(&store, "a", "content", Duration::from_secs(60));
        let archive = dir.path().join("cache/store.tar.zst");
        assert_eq!(export(&store, &archive).unwrap(), 2);
        let before = size(&store);
        fs_err::rename(store.root(), dir.path().join("gone")).unwrap();
        assert_eq!(import(&store, &archive).unwrap(), 2);
        assert_eq!((size(&store), damage(&store)), (before, vec![]));
        assert!(entry.exists());
        assert_eq!(
            fs_err::read_dir(archive.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn what_was_made_elsewhere_or_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        add(&store, "a", &"content ".repeat(1000), Duration::from_secs(60));
        let archive = dir.path().join("store.tar.zst");
        export(&store, &archive).unwrap();
        let other = Store::at(dir.path().join("other"));
        assert!(matches!(import(&other, &archive), Err(Error::Elsewhere { .. })));
        let bytes = fs_err::read(&archive).unwrap();
        for damaged in [&bytes[..bytes.len() / 2], b"not an archive", b""] {
            fs_err::write(&archive, damaged).unwrap();
            let fresh = Store::at(dir.path().join("fresh"));
            assert!(matches!(import(&fresh, &archive), Err(Error::Invalid { .. })));
        }
    }

    #[test]
    fn members_that_lead_elsewhere_are_refused() {
        for (name, content) in [
            ("v1/blobs/ab/abc", "x"),
            ("other/file", "x"),
            ("v1/units/a/b/0-0123456789abcdef.json", "{}"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::at(dir.path().join("store"));
            let archive = dir.path().join("a.tar.zst");
            let mut builder = tar::Builder::new(
                zstd::Encoder::new(fs_err::File::create(&archive).unwrap(), 1).unwrap(),
            );
            let header =
                serde_json::to_vec(&Header { schema: SCHEMA, store: store.root().to_path_buf() })
                    .unwrap();
            append(&mut builder, Path::new(HEADER), header.len() as u64, 0, &header[..]).unwrap();
            append(&mut builder, Path::new(name), content.len() as u64, 0, content.as_bytes())
                .unwrap();
            builder.into_inner().unwrap().finish().unwrap();
            assert!(matches!(import(&store, &archive), Err(Error::Invalid { .. })), "{name}");
            assert!(!store.root().join(name).exists());
        }
    }
}
