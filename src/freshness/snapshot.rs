//! What is at a path now: kind, content and dates, of many paths at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::tree::is_in_cargo_home;
use crate::digest;

/// Nanoseconds since 1970.
pub type Nanos = i64;

/// Shorter ago than this, a file may be written again without its dates telling.
const TICK: Nanos = 100_000_000;

/// What is at a path. Equal means: what reads it, reads the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Missing,
    File {
        sha256: String,
    },
    Link {
        target: PathBuf,
    },
    /// The digest of the sorted names.
    Directory {
        names: String,
    },
    /// A device, or what could not be read: never equal to anything.
    Unknown,
}

/// A path's state and dates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub state: State,
    pub stat: Stat,
}

/// All zero for what is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub mtime: Nanos,
    pub ctime: Nanos,
    pub size: u64,
    pub inode: u64,
}

impl Entry {
    /// Whether what is there is the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.state == other.state && self.state != State::Unknown
    }

    /// Whether a look `at` a time was late enough. Shortly after it was written, a file may have been written again; a date that
    /// was set afterwards shows that it was not.
    pub(super) fn is_settled(&self, at: Nanos) -> bool {
        let settled = at.saturating_sub(TICK);
        self.stat.ctime < settled || self.stat.mtime < settled
    }
}

/// Paths that nobody looks at here: cargo takes them for immutable, or they are not ours to judge.
#[derive(Debug, Clone)]
pub(super) struct Skipped {
    pub cargo_home: PathBuf,
    /// Our environments, whose paths tell their content, and what cargo builds.
    pub directories: Vec<PathBuf>,
}

impl Skipped {
    pub(super) fn contains(&self, path: &Path) -> bool {
        is_in_cargo_home(path, &self.cargo_home)
            || path.components().any(|part| part.as_os_str() == ".git")
            || self.directories.iter().any(|directory| path.starts_with(directory))
    }
}

/// What is known of a path from an earlier look: its content need not be read again while its dates, size and inode are the
/// same.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    pub entries: Option<&'a BTreeMap<PathBuf, Entry>>,
    /// When the entries were made.
    pub at: Nanos,
}

impl Known<'_> {
    fn get(&self, path: &Path, stat: &Stat) -> Option<State> {
        let entry = self.entries?.get(path)?;
        (entry.stat == *stat && entry.is_settled(self.at)).then(|| entry.state.clone())
    }
}

/// Looks at all paths, at everything below those that are directories, and at what links lead to. In parallel.
pub(super) fn take(paths: impl IntoIterator<Item = PathBuf>, skipped: &Skipped, known: &Known<'_>) -> BTreeMap<PathBuf, Entry> {
    let mut seen: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    let mut frontier: Vec<PathBuf> = paths.into_iter().filter(|path| !skipped.contains(path)).collect();
    while !frontier.is_empty() {
        frontier.sort();
        frontier.dedup();
        frontier.retain(|path| !seen.contains_key(path));
        let looked: Vec<(PathBuf, Entry, Vec<PathBuf>)> = frontier
            .into_par_iter()
            .map(|path| {
                let (entry, further) = look(&path, known);
                (path, entry, further)
            })
            .collect();
        frontier = Vec::new();
        for (path, entry, further) in looked {
            frontier.extend(further.into_iter().filter(|path| !skipped.contains(path)));
            seen.insert(path, entry);
        }
    }
    seen
}

/// One path, and what belongs to it.
fn look(path: &Path, known: &Known<'_>) -> (Entry, Vec<PathBuf>) {
    let nothing = |state| (Entry { state, stat: Stat::default() }, Vec::new());
    // Read again if it was written meanwhile; whoever writes without pause gets no content of ours.
    for _ in 0..3 {
        let metadata = match fs_err::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return nothing(State::Missing);
            }
            Err(_) => return nothing(State::Unknown),
        };
        let stat = stat_of(&metadata);
        let kind = metadata.file_type();
        let mut further = Vec::new();
        let state = if kind.is_symlink() {
            further.extend(fs_err::canonicalize(path).ok());
            fs_err::read_link(path).map(|target| State::Link { target })
        } else if kind.is_dir() {
            names_of(path).map(|names| {
                let digest = digest_of(&names);
                further = names.into_iter().map(|name| path.join(name)).collect();
                State::Directory { names: digest }
            })
        } else if kind.is_file() {
            match known.get(path, &stat) {
                Some(state) => Ok(state),
                None => digest::file(path).map(|sha256| State::File { sha256 }),
            }
        } else {
            return nothing(State::Unknown);
        };
        let Ok(state) = state else { return (Entry { state: State::Unknown, stat }, Vec::new()) };
        if fs_err::symlink_metadata(path).is_ok_and(|metadata| stat_of(&metadata) == stat) {
            return (Entry { state, stat }, further);
        }
    }
    nothing(State::Unknown)
}

fn names_of(directory: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs_err::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn digest_of(names: &[std::ffi::OsString]) -> String {
    let mut hasher = digest::Hasher::default();
    for name in names {
        hasher.field(name.as_encoded_bytes());
    }
    hasher.finish()
}

/// Dates, size and inode of what is at a path now.
pub(super) fn stat(path: &Path) -> Option<Stat> {
    fs_err::symlink_metadata(path).ok().map(|metadata| stat_of(&metadata))
}

#[cfg(unix)]
fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    use std::os::unix::fs::MetadataExt as _;
    let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Stat {
        mtime: nanos(metadata.mtime(), metadata.mtime_nsec()),
        ctime: nanos(metadata.ctime(), metadata.ctime_nsec()),
        size: metadata.len(),
        inode: metadata.ino(),
    }
}

/// Without a date of change nothing is trusted: [`super::is_supported`] says so.
#[cfg(not(unix))]
fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    let mtime = super::nanos(filetime::FileTime::from_last_modification_time(metadata));
    Stat { mtime, ctime: Nanos::MAX, size: metadata.len(), inode: 0 }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn nothing_skipped() -> Skipped {
        Skipped { cargo_home: "/nowhere".into(), directories: Vec::new() }
    }

    #[test]
    fn directories_links_and_what_they_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        for name in ["d/a", "d/sub/b", "d/.git/HEAD", "elsewhere/c"] {
            fs_err::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs_err::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("../elsewhere", root.join("d/link")).unwrap();
        let seen = take([root.join("d"), root.join("gone")], &nothing_skipped(), &Known::default());
        let names: Vec<&str> = seen.keys().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["d", "d/a", "d/link", "d/sub", "d/sub/b", "elsewhere", "elsewhere/c", "gone"]);
        assert_eq!(seen[&root.join("gone")].state, State::Missing);
        assert_eq!(seen[&root.join("d/link")].state, State::Link { target: "../elsewhere".into() });
        assert!(!seen[&root.join("gone")].is_same(&seen[&root.join("d")]));
    }

    #[test]
    fn content_is_taken_from_memory_only_while_nothing_tells_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs_err::write(&path, "1").unwrap();
        let mut before = take([path.clone()], &nothing_skipped(), &Known::default());
        let real = before[&path].clone();
        // To see which of the two is used.
        before.get_mut(&path).unwrap().state = State::File { sha256: "from memory".into() };
        let look = |at| take([path.clone()], &nothing_skipped(), &Known { entries: Some(&before), at })[&path].state.clone();
        assert_eq!(look(Nanos::MAX), State::File { sha256: "from memory".into() });
        assert_eq!(look(real.stat.mtime), real.state, "looked at too shortly after it was written");
        filetime::set_file_mtime(&path, filetime::FileTime::from_unix_time(1, 0)).unwrap();
        assert_eq!(look(Nanos::MAX), real.state, "its date is another");
    }
}
