//! Digests of files, each file read once per process, and large ones once for all processes.
//!
//! Compilers, standard libraries and rlibs are read for every call. The digest of a large file is
//! therefore kept in `store/digests`, together with its device, inode, size, mtime and ctime, and
//! believed while these are equal. A program can set an mtime but not a ctime, which is how git's
//! index and CUTOFF's rule for compilers do it. A file that was changed so lately that the clock
//! may not have ticked since is not kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::archive;
use super::entry::{ABSENT, PRESENT};
use crate::{digest, fs};

/// Files below this size are read each time.
const LARGE: u64 = 256 * 1024;
/// Longer than a tick of any clock that file systems use for ctimes with fractions of a second.
const SETTLED: Duration = Duration::from_millis(50);

/// What identifies the content of a file without reading it: device, inode, size, mtime and ctime
/// in nanoseconds.
pub type Stamp = [i128; 5];

#[derive(Debug, Default)]
pub struct Digests {
    directory: Option<PathBuf>,
    known: HashMap<PathBuf, Option<String>>,
}

impl Digests {
    /// Digests of large files are kept in `directory`.
    pub fn kept_in(directory: PathBuf) -> Self {
        Self { directory: Some(directory), known: HashMap::new() }
    }

    /// The digest of a file's content, and of the files that it stands for if it is a thin archive;
    /// `None` if it cannot be read.
    pub fn file(&mut self, path: &Path) -> Option<String> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let digest = self.look(path);
        self.known.insert(path.to_path_buf(), digest.clone());
        digest
    }

    /// What is at a path: a file's digest, where a linked directory is, or whether there is anything.
    pub fn state(&mut self, path: &Path) -> String {
        if let Some(digest) = self.file(path) {
            return digest;
        }
        if !path.exists() {
            return ABSENT.to_owned();
        }
        if path.is_symlink() {
            return format!("{PRESENT} at {}", fs::real(path).display());
        }
        PRESENT.to_owned()
    }

    /// Forgets what was read of a file that may have changed since.
    pub fn forget(&mut self, path: &Path) {
        self.known.remove(path);
    }

    /// Notes the digest of a file that is known by other means.
    pub fn note(&mut self, path: &Path, digest: &str) {
        self.known.insert(path.to_path_buf(), Some(digest.to_owned()));
    }

    fn look(&self, path: &Path) -> Option<String> {
        let metadata = fs_err::metadata(path).ok()?;
        if !metadata.is_file() {
            return None;
        }
        // A file that is mapped into memory can be changed without its times. That is done with
        // data, not with what compilers make.
        let kept = self
            .directory
            .as_ref()
            .filter(|_| metadata.len() >= LARGE && is_program_or_library(path))
            .map(|directory| {
                directory.join(&digest::bytes(path.as_os_str().as_encoded_bytes())[..24])
            });
        let stamp = stamp(&metadata);
        if let (Some(kept), Some(stamp)) = (&kept, &stamp)
            && let Some(digest) = read(kept, stamp)
        {
            return Some(digest);
        }
        let digest = digest::file(path).ok()?;
        if archive::is_thin(path) {
            // What it names is read in its stead, and may change without it.
            let members = archive::thin_members(path)?;
            let states = members.iter().map(|member| digest::file(member).unwrap_or_default());
            return Some(digest::json(&(digest, states.collect::<Vec<_>>())));
        }
        if let (Some(kept), Some(stamp)) = (&kept, &stamp)
            && is_settled(stamp)
            && fs_err::metadata(path).ok().as_ref().and_then(self::stamp).as_ref() == Some(stamp)
        {
            // A courtesy to the next process: without it, it reads the file itself.
            let _ = write(kept, stamp, &digest);
        }
        Some(digest)
    }
}

fn is_program_or_library(path: &Path) -> bool {
    const ENDINGS: &[&str] = &["a", "dll", "dylib", "exe", "lib", "o", "rlib", "rmeta", "so"];
    let is_one = |ending: &std::ffi::OsStr| ENDINGS.iter().any(|one| ending == *one);
    path.extension().is_none_or(is_one)
        || path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so."))
}

fn read(kept: &Path, stamp: &Stamp) -> Option<String> {
    let text = fs_err::read_to_string(kept).ok()?;
    let (of, digest) = text.trim_end().rsplit_once(' ')?;
    (of == shown(stamp) && digest.len() == 64).then(|| digest.to_owned())
}

fn write(kept: &Path, stamp: &Stamp, digest: &str) -> std::io::Result<()> {
    super::store::put(kept, format!("{} {digest}\n", shown(stamp)).as_bytes())
}

fn shown(stamp: &Stamp) -> String {
    stamp.iter().map(i128::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn stamp(metadata: &std::fs::Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some([
        metadata.dev().into(),
        metadata.ino().into(),
        metadata.size().into(),
        nanos(metadata.mtime(), metadata.mtime_nsec()),
        nanos(metadata.ctime(), metadata.ctime_nsec()),
    ])
}

/// The stamp of a file, if it is there and the system has ctimes.
pub fn stamp_of(path: &Path) -> Option<Stamp> {
    stamp(&fs_err::symlink_metadata(path).ok()?)
}

/// Without a ctime that can be asked for, nothing is kept.
#[cfg(not(unix))]
fn stamp(_metadata: &std::fs::Metadata) -> Option<Stamp> {
    None
}

fn is_settled(stamp: &Stamp) -> bool {
    let ctime = stamp[4];
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos().cast_signed());
    // Whole seconds may be all that the file system has.
    let tick = if ctime % 1_000_000_000 == 0 { Duration::from_secs(2) } else { SETTLED };
    now - ctime > tick.as_nanos().cast_signed()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_read_once_and_again_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, kept) = (dir.path().join("liblarge.rlib"), dir.path().join("digests"));
        let digest = || Digests::kept_in(kept.clone()).file(&file).unwrap();
        let large = usize::try_from(LARGE).unwrap();
        fs_err::write(&file, vec![1; large]).unwrap();
        let first = digest();
        assert!(!kept.exists(), "it may still change within the tick");
        std::thread::sleep(SETTLED * 2);
        assert_eq!(digest(), first);
        assert_eq!(fs_err::read_dir(&kept).unwrap().count(), 1);
        assert_eq!(digest(), first);
        let mtime =
            filetime::FileTime::from_last_modification_time(&fs_err::metadata(&file).unwrap());
        fs_err::write(&file, vec![2; large]).unwrap();
        filetime::set_file_mtime(&file, mtime).unwrap();
        assert_ne!(digest(), first, "the ctime tells");
    }
}
