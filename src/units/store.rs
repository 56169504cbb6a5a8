//! The store of recorded calls: entries, and their files by content.
//!
//! ```text
//! store/
//!   v1/units/<package>/<crate>-<kind>/<key>-<digest>.json   an entry: what one call read and wrote; its name ends in its own digest
//!   v1/blobs/1a/1a2b...                                     a file that a call wrote, named by its digest
//!   v1/scripts/<package>/<key>/<digest>.json                what a run of a trusted build script read and made
//!   v1/crates/<file stem>.json                              what a library was made of: see `super::closure`
//!   plans/<hash>.json                                       what the workspace's settings and packages are: see `super::plan`
//!   targets/<hash>-<package>.json                           where cargo has compiled local packages: see `super::targets`
//!   digests/                                                digests of large files: see `super::digests`
//!   incremental/                                            rustc's incremental state of slow crates
//! ```
//!
//! Everything is written to a temporary name and renamed, and never changed afterwards; so any
//! number of processes may use it, and a kill leaves at most a temporary file, which `gc` removes.
//! What is read is checked against its name. The mtime of an entry and of a blob says when it was
//! last used.
//!
//! A job that restored a store from a cache puts its entries and blobs aside ([`Store::set_aside`],
//! to `store-aside` next to it), and what it uses of them is moved back. So the store that is saved
//! at the end of the job holds what the job used and nothing else, without a step that would have
//! to run last.

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::entry::Entry;
use crate::layout::Layout;
use crate::{digest, env_vars};

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Ours by the variable, or that of the workspace we are called in.
    pub fn find() -> Option<Self> {
        if let Some(path) = env_vars::get_os(env_vars::UNITS_STORE) {
            // Who has removed our directory wants no store.
            return Layout::has(Path::new(&path)).then(|| Self::at(PathBuf::from(path)));
        }
        let here = std::env::current_dir().ok()?;
        let root = here
            .ancestors()
            .map(|directory| directory.join(".pyenv-build"))
            .find(|root| Layout::has(root))?;
        Some(Self::at(root.join("store")))
    }

    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The version of the formats below it is in its name: another version has another folder, and
    /// none is misread.
    pub fn versioned(&self) -> PathBuf {
        self.root.join(VERSION)
    }

    pub fn units(&self) -> PathBuf {
        self.versioned().join("units")
    }

    pub fn blobs(&self) -> PathBuf {
        self.versioned().join("blobs")
    }

    pub fn crates(&self) -> PathBuf {
        self.versioned().join("crates")
    }

    pub fn scripts(&self) -> PathBuf {
        self.versioned().join("scripts")
    }

    pub fn plans(&self) -> PathBuf {
        self.root.join("plans")
    }

    pub fn digests(&self) -> PathBuf {
        self.root.join("digests")
    }

    pub fn incremental(&self) -> PathBuf {
        self.root.join("incremental")
    }

    /// Where a blob is.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.taken_back(self.blob_path(digest))
    }

    fn blob_path(&self, digest: &str) -> PathBuf {
        // What comes from elsewhere may say anything.
        let is_name = digest.len() > 2 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = if is_name { digest } else { "none" };
        self.blobs().join(&digest[..2]).join(digest)
    }

    /// What an earlier job left, and this one has not used yet.
    fn aside(&self) -> PathBuf {
        self.root.with_file_name("store-aside")
    }

    /// Puts aside what is there.
    pub fn set_aside(&self) -> io::Result<()> {
        let aside = self.aside();
        crate::fs::remove_dir_all(&aside)?;
        fs_err::create_dir_all(&aside)?;
        for folder in [self.units(), self.blobs(), self.scripts()] {
            match fs_err::rename(&folder, aside.join(folder.file_name().expect("it has a name"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The place aside of a path in the store.
    fn place_aside(&self, path: &Path) -> Option<PathBuf> {
        Some(self.aside().join(path.strip_prefix(self.versioned()).ok()?))
    }

    /// A path in the store, with what was put aside of it moved there.
    fn taken_back(&self, path: PathBuf) -> PathBuf {
        if let Some(aside) =
            self.place_aside(&path).filter(|aside| !path.exists() && aside.exists())
        {
            // Another process may have been faster.
            let _ = fs_err::create_dir_all(path.parent().expect("it is in a folder"))
                .and_then(|()| fs_err::rename(aside, &path));
        }
        path
    }

    /// What is in a folder of the store, and in the same folder aside.
    pub fn listed(&self, folder: &Path) -> impl Iterator<Item = fs_err::DirEntry> + use<> {
        let folders = [Some(folder.to_path_buf()), self.place_aside(folder)];
        folders
            .into_iter()
            .flatten()
            .filter_map(|folder| fs_err::read_dir(folder).ok())
            .flatten()
            .filter_map(Result::ok)
    }

    /// All entries of a unit, the most recently used first.
    pub fn entries(&self, unit: &str) -> Vec<PathBuf> {
        let mut found: Vec<(std::time::SystemTime, PathBuf)> = self
            .listed(&self.units().join(unit))
            .filter(|entry| entry.path().extension() == Some(OsStr::new("json")))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, path)| path).collect()
    }

    /// Reads an entry. `None`: it is damaged, of another version, or gone.
    pub fn read(path: &Path) -> Option<Entry> {
        let bytes = fs_err::read(path).ok()?;
        let name = path.file_stem()?.to_str()?;
        let (_, expected) = name.rsplit_once('-')?;
        (digest::bytes(&bytes)[..expected.len().min(64)] == *expected)
            .then(|| serde_json::from_slice(&bytes).ok())?
    }

    /// Writes an entry, whose blobs are there already.
    pub fn write(&self, unit: &str, key: &str, entry: &Entry) -> io::Result<PathBuf> {
        let bytes = serde_json::to_vec(entry).expect("our own plain data always serialises");
        let path = self.units().join(unit).join(format!(
            "{}-{}.json",
            &key[..32],
            &digest::bytes(&bytes)[..16]
        ));
        put(&path, &bytes)?;
        Ok(path)
    }

    /// Copies a file into the store and returns its digest.
    pub fn add(&self, file: &Path) -> io::Result<String> {
        let blobs = self.blobs();
        fs_err::create_dir_all(&blobs)?;
        // Its digest is known only when it has been read; and it may still be written to, so the
        // copy is what is hashed.
        let mut copy = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&blobs)?;
        let mut source = fs_err::File::open(file)?;
        io::copy(source.file_mut(), copy.as_file_mut())?;
        let digest = digest::file(copy.path())?;
        let blob = self.blob(&digest);
        if blob.exists() {
            touch(&blob);
            return Ok(digest);
        }
        fs_err::create_dir_all(blob.parent().expect("it is in a folder"))?;
        readable(copy.as_file())?;
        copy.persist(&blob).map_err(|error| error.error)?;
        Ok(digest)
    }

    /// An empty file, removed when dropped; `gc` removes what a kill leaves.
    pub fn temporary_file(&self) -> io::Result<tempfile::NamedTempFile> {
        let directory = self.versioned();
        fs_err::create_dir_all(&directory)?;
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)
    }

    /// Puts a blob in place of whatever is at `path`, as a file of its own, made now, under the
    /// umask of now. `false`: the blob is gone or damaged, and nothing was done.
    pub fn restore(&self, digest: &str, path: &Path, is_executable: bool) -> io::Result<bool> {
        let blob = self.blob(digest);
        if !digest::file(&blob).is_ok_and(|found| found == digest) {
            if blob.exists() {
                let _ = fs_err::remove_file(&blob);
            }
            return Ok(false);
        }
        // A new inode: the old one may be a running program, or a hard link that others read.
        match fs_err::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut target = created(path, is_executable)?;
        let mut source = fs_err::File::open(&blob)?;
        // The standard library asks the kernel to share the blocks where the file system can.
        io::copy(source.file_mut(), &mut target)?;
        touch(&blob);
        Ok(true)
    }

    /// Whether a file is there or aside.
    pub fn has(&self, path: &Path) -> bool {
        path.exists() || self.place_aside(path).is_some_and(|aside| aside.exists())
    }

    /// Writes a blob that came from elsewhere, whose digest the caller has checked.
    pub fn put_blob(&self, digest: &str, content: &[u8]) -> io::Result<()> {
        put(&self.blob_path(digest), content)
    }

    /// Whether a blob is there or aside.
    pub fn has_blob(&self, digest: &str) -> bool {
        self.has(&self.blob_path(digest))
    }

    /// Notes that a file was used which [`Store::listed`] named.
    pub fn used(&self, path: &Path) {
        let own = path.strip_prefix(self.aside()).map(|name| self.versioned().join(name));
        touch(&own.map_or_else(|_elsewhere| path.to_path_buf(), |own| self.taken_back(own)));
    }
}

/// The folder of the formats of this version.
pub const VERSION: &str = "v1";

/// Begins the names of what is not finished.
pub const TEMPORARY: &str = ".tmp-";

/// Writes a file whole or not at all. Unlike [`crate::fs::write_atomic`] it does not wait for the
/// disk: what a crash cuts off is noticed when it is read.
pub fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().expect("a file has a parent directory");
    fs_err::create_dir_all(parent)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(parent)?;
    file.write_all(content)?;
    readable(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A text file, if it is there and not too large to be one of ours.
pub fn read_small(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path).ok()?.take(64 * 1024 * 1024).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Sets the mtime to now; a store that cannot be written is still good for reading.
fn touch(path: &Path) {
    let _ = filetime::set_file_mtime(path, filetime::FileTime::now());
}

#[cfg(unix)]
fn readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn created(path: &Path, is_executable: bool) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if is_executable { 0o777 } else { 0o666 })
        .open(path)
}

#[cfg(not(unix))]
fn created(path: &Path, _is_executable: bool) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_comes_back_as_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let (file, copy) = (dir.path().join("a"), dir.path().join("b"));
        fs_err::write(&file, "content").unwrap();
        let digest = store.add(&file).unwrap();
        assert_eq!(store.add(&file).unwrap(), digest);
        assert!(store.restore(&digest, &copy, true).unwrap());
        fs_err::write(&copy, "changed in place").unwrap();
        assert!(
            store.restore(&digest, &copy, false).unwrap(),
            "the store's own file was not touched"
        );
        assert_eq!(fs_err::read_to_string(&copy).unwrap(), "content");
        let files = walkdir::WalkDir::new(store.blobs())
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file());
        assert_eq!(files.count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let (file, copy) = (dir.path().join("a"), dir.path().join("b"));
        fs_err::write(&file, "content").unwrap();
        fs_err::write(&copy, "as it was").unwrap();
        let digest = store.add(&file).unwrap();
        fs_err::write(store.blob(&digest), "c0ntent").unwrap();
        assert!(!store.restore(&digest, &copy, false).unwrap());
        assert_eq!(fs_err::read_to_string(&copy).unwrap(), "as it was");
        assert!(!store.blob(&digest).exists(), "it will be made again");
    }
}
