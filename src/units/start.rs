//! When a rustc call began, and what was there: this separates what changed while it ran from what
//! was left alone.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::call::Call;
use super::digests;

/// The clock of file systems ticks more slowly than ours.
const TICK: Duration = Duration::from_millis(10);

/// A time without a fraction may be one of a file system that has none, or every other second only.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// The state of the world when rustc was started.
#[derive(Debug)]
pub struct Start {
    /// Files with an mtime or ctime before this were not written to since.
    threshold: SystemTime,
    /// Files that were there already and have names like the outputs'.
    outputs: BTreeMap<PathBuf, Option<digests::Stamp>>,
}

impl Start {
    pub fn now(call: &Call) -> Self {
        // The clock of the file system may be another machine's.
        let there = || tempfile::tempfile_in(&call.out_dir).ok()?.metadata().ok()?.modified().ok();
        let now = SystemTime::now();
        Self {
            threshold: there().map_or(now, |there| there.min(now)) - TICK,
            outputs: named_like(call)
                .into_iter()
                .map(|path| (path.clone(), digests::stamp_of(&path)))
                .collect(),
        }
    }

    /// The same for something else than a call of rustc that began at this time.
    pub fn at(time: SystemTime) -> Self {
        Self { threshold: time - TICK, outputs: BTreeMap::new() }
    }

    /// Whether a file, or a directory that its path leads through below `root`, may have been
    /// written to or replaced since.
    ///
    /// What is moved keeps its mtime, but its ctime is that of the move; so a directory counts,
    /// too. In `package` and above it, other files come and go while rustc runs (a coverage
    /// profile of each program that ends there): there only a move counts, which changes the
    /// ctime and not the mtime.
    pub fn changed(&self, path: &Path, root: &Path, package: &Path) -> bool {
        if self.is_newer(path) {
            return true;
        }
        let within = path.starts_with(root);
        let parents = path
            .ancestors()
            .skip(1)
            .take_while(|parent| if within { *parent != root } else { !root.starts_with(parent) });
        parents.into_iter().any(|parent| {
            if package.starts_with(parent) { self.is_moved(parent) } else { self.is_newer(parent) }
        })
    }

    fn is_moved(&self, directory: &Path) -> bool {
        let Ok(metadata) = fs_err::symlink_metadata(directory) else { return true };
        let changed = changed_at(&metadata);
        changed.is_some_and(|time| self.is_before(time)) && metadata.modified().ok() != changed
    }

    /// Whether the content was written after the start, by the mtime alone.
    pub fn is_written_after(&self, path: &Path) -> bool {
        fs_err::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_or(true, |time| time > self.threshold + TICK)
    }

    /// Whether this output was there, and nothing has touched it since.
    pub fn had(&self, path: &Path) -> bool {
        self.outputs
            .get(path)
            .is_some_and(|stamp| stamp.is_some() && *stamp == digests::stamp_of(path))
    }

    pub fn is_newer(&self, path: &Path) -> bool {
        let Ok(metadata) = fs_err::metadata(path) else { return true };
        let link = fs_err::symlink_metadata(path);
        [Some(&metadata), link.as_ref().ok()].into_iter().flatten().any(|metadata| {
            metadata.modified().is_ok_and(|time| self.is_before(time))
                || changed_at(metadata).is_some_and(|time| self.is_before(time))
        })
    }

    /// Whether a time of a file is, or may be, after the start.
    fn is_before(&self, time: SystemTime) -> bool {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tick = if since.subsec_nanos() == 0 { WHOLE_SECONDS } else { Duration::ZERO };
        time + tick > self.threshold
    }
}

#[cfg(unix)]
fn changed_at(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::new(seconds, u32::try_from(metadata.ctime_nsec()).ok()?))
}

/// When it was made is the nearest to it.
#[cfg(not(unix))]
fn changed_at(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    metadata.created().ok()
}

/// Files in the output directory that may be a call's: their names are its stem up to the first
/// dot.
pub fn named_like(call: &Call) -> Vec<PathBuf> {
    // Another crate may be called `libfoo` where this one is `foo`.
    const LIBRARIES: &[&str] = &["a", "dylib", "rlib", "rmeta", "so"];
    let stem = call.stem();
    let library = format!("lib{stem}");
    let is_one = |name: &OsStr| {
        let name = name.to_string_lossy();
        let (first, ending) = name.split_once('.').unwrap_or((&name, ""));
        let is_library = ending.split('.').next().is_some_and(|ending| LIBRARIES.contains(&ending));
        (first == stem && (!is_library || cfg!(windows)))
            || (first == library && (is_library || cfg!(windows)))
    };
    let entries = fs_err::read_dir(&call.out_dir).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> =
        entries.filter(|entry| is_one(&entry.file_name())).map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Made by an earlier call of the same build: its times are those of this build.
pub fn is_product_of_cargo(path: &Path, out_dir: &Path) -> bool {
    out_dir.parent().is_some_and(|profile| is_within(path, profile))
}

/// Whether a path leads into a directory, and not out of it again.
pub fn is_within(path: &Path, directory: &Path) -> bool {
    path.strip_prefix(directory)
        .is_ok_and(|rest| !rest.components().any(|part| part == Component::ParentDir))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_whole_seconds_may_be_a_later_one() {
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let start = |after: u64| Start::at(second + Duration::from_millis(after));
        assert!(start(900).is_before(second) && !start(2_900).is_before(second));
        let fraction = second + Duration::from_nanos(1);
        assert!(!start(900).is_before(fraction));
    }

    #[test]
    fn times_tell_of_files_and_of_what_they_lie_in() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("w");
        let package = root.join("p");
        let file = package.join("src/a/x.rs");
        let at = |name: &str| dir.path().join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::create_dir_all(at("old")).unwrap();
        fs_err::write(&file, "1").unwrap();
        fs_err::write(at("old/x.rs"), "2").unwrap();
        fs_err::write(at("old.rs"), "2").unwrap();
        let changed = |change: &dyn Fn()| {
            std::thread::sleep(TICK * 3);
            let start = Start { threshold: SystemTime::now() - TICK, outputs: BTreeMap::new() };
            std::thread::sleep(TICK * 2);
            change();
            start.changed(&file, &root, &package)
        };
        assert!(!changed(&|| {}));
        assert!(
            !changed(&|| fs_err::write(package.join("default.profraw"), "").unwrap()),
            "beside the sources"
        );
        assert!(!changed(&|| fs_err::write(root.join("default.profraw"), "").unwrap()));
        assert!(
            changed(&|| fs_err::rename(at("old.rs"), &file).unwrap()),
            "with its own old mtime"
        );
        let replace = || {
            fs_err::rename(package.join("src/a"), at("gone")).unwrap();
            fs_err::rename(at("old"), package.join("src/a")).unwrap();
        };
        assert!(changed(&replace), "a directory");
        let replace = || {
            fs_err::rename(&package, at("moved")).unwrap();
            fs_err::rename(at("moved"), &package).unwrap();
        };
        assert!(changed(&replace), "the package");
    }
}
