//! Commands for the store: its size, its clean-up, and the check for damage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::entry::Entry;
use super::script;
use super::store::{self, Store, TEMPORARY};
use crate::{digest, fs};

/// A blob without an entry may belong to a call that has not ended yet.
const UNFINISHED: Duration = Duration::from_secs(3600);

/// What is kept where nobody says otherwise.
pub const DEFAULT_BYTES: u64 = 2 * 1024 * 1024 * 1024;
pub const DEFAULT_AGE: Duration = Duration::from_secs(14 * 24 * 3600);

/// What a store weighs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Size {
    pub entries: u64,
    pub blobs: u64,
    /// Of entries, blobs and incremental state.
    pub bytes: u64,
    pub incremental_bytes: u64,
    /// Bytes by package, of the blobs that its entries name; one that several name counts for
    /// each.
    pub packages: BTreeMap<String, u64>,
}

/// What to keep.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub used_since: SystemTime,
    /// Of what was used since, the most recently used that fit.
    pub bytes: u64,
}

/// What [`collect`] removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    pub entries: u64,
    pub blobs: u64,
    pub bytes: u64,
}

/// Something in a store that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    pub what: &'static str,
}

/// A file of the store.
#[derive(Debug, Clone)]
struct Stored {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// All files below a directory; of one that is not there, none.
fn files(directory: &Path) -> Vec<Stored> {
    let walk = walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    let stored = walk.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(Stored {
            path: entry.into_path(),
            size: metadata.len(),
            used: metadata.modified().ok()?,
        })
    });
    stored.collect()
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

pub fn size(store: &Store) -> Size {
    let mut size = Size::default();
    let blobs: HashMap<String, u64> = named(files(&store.blobs()));
    size.blobs = blobs.len() as u64;
    size.bytes = blobs.values().sum();
    for file in files(&store.units()).iter().filter(|file| !is_temporary(&file.path)) {
        size.entries += 1;
        size.bytes += file.size;
        if let Some(entry) = Store::read(&file.path) {
            let bytes: u64 =
                entry.outputs.iter().filter_map(|output| blobs.get(&output.digest)).sum();
            *size.packages.entry(entry.package).or_default() += bytes;
        }
    }
    size.incremental_bytes = files(&store.incremental()).iter().map(|file| file.size).sum();
    size.bytes += size.incremental_bytes;
    size
}

fn named(blobs: Vec<Stored>) -> HashMap<String, u64> {
    let named = blobs.into_iter().filter(|file| !is_temporary(&file.path));
    named
        .filter_map(|file| Some((file.path.file_name()?.to_str()?.to_owned(), file.size)))
        .collect()
}

/// Removes what was not used lately, then the least recently used of the rest until it fits. Others
/// may use the store meanwhile: what they find missing they compile.
pub fn collect(store: &Store, keep: Keep, dry_run: bool) -> io::Result<Collected> {
    let mut collected = Collected::default();
    let blobs: HashMap<String, Stored> = files(&store.blobs())
        .into_iter()
        .filter_map(|file| Some((file.path.file_name()?.to_str()?.to_owned(), file)))
        .collect();
    let mut entries: Vec<(Stored, Option<Entry>)> = files(&store.units())
        .into_iter()
        .map(|file| (file.clone(), Store::read(&file.path)))
        .collect();
    entries.sort_by_key(|(file, _)| std::cmp::Reverse(file.used));
    let states = incremental_states(store);
    let mut total: u64 =
        states.iter().filter(|state| state.used >= keep.used_since).map(|state| state.size).sum();
    let mut needed: BTreeSet<String> = BTreeSet::new();
    let mut doomed: Vec<Stored> = Vec::new();
    for (file, entry) in entries {
        let Some(entry) = entry.filter(|_| file.used >= keep.used_since) else {
            collected.entries += 1;
            doomed.push(file);
            continue;
        };
        let new = entry
            .outputs
            .iter()
            .map(|output| &output.digest)
            .filter(|digest| !needed.contains(*digest));
        let more = file.size
            + new.filter_map(|digest| blobs.get(digest)).map(|blob| blob.size).sum::<u64>();
        if total + more > keep.bytes {
            collected.entries += 1;
            doomed.push(file);
            continue;
        }
        total += more;
        needed.extend(entry.outputs.into_iter().map(|output| output.digest));
    }
    // Few and small; what they made stays as long as they do.
    for file in files(&store.scripts()) {
        if file.used < keep.used_since {
            collected.entries += 1;
            doomed.push(file);
        } else {
            needed
                .extend(store::read_small(&file.path).iter().flat_map(|run| script::products(run)));
        }
    }
    let young = SystemTime::now() - UNFINISHED;
    for (name, file) in blobs {
        if !needed.contains(&name) && (file.used < young || is_of(&file, &doomed)) {
            collected.blobs += 1;
            doomed.push(file);
        }
    }
    let old = [store.versioned(), store.plans(), store.digests()];
    let leftovers = old
        .iter()
        .flat_map(|directory| files(directory))
        .filter(|file| is_temporary(&file.path) && file.used < young);
    doomed.extend(leftovers);
    collected.bytes = doomed.iter().map(|file| file.size).sum();
    let unused = states.iter().filter(|state| state.used < keep.used_since);
    collected.bytes += unused.clone().map(|state| state.size).sum::<u64>();
    if !dry_run {
        for state in unused {
            fs::remove_dir_all(&state.path)?;
        }
        for file in doomed {
            match fs_err::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(collected)
}

/// Whether a blob went out of use with an entry that goes now: it is no younger than that.
fn is_of(blob: &Stored, doomed: &[Stored]) -> bool {
    doomed.iter().any(|entry| entry.used >= blob.used)
}

/// The directories of rustc's incremental state, one per unit, each with when it was last written.
fn incremental_states(store: &Store) -> Vec<Stored> {
    let units = fs_err::read_dir(store.incremental())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let states = units.filter(|path| path.is_dir()).map(|path| {
        let inside = files(&path);
        let used = inside.iter().map(|file| file.used).max().unwrap_or(SystemTime::UNIX_EPOCH);
        Stored { size: inside.iter().map(|file| file.size).sum(), used, path }
    });
    states.collect()
}

/// Everything in the store that is not what its name says, or that lacks a file.
pub fn damage(store: &Store) -> Vec<Damage> {
    let mut damage = Vec::new();
    let blobs = files(&store.blobs());
    for blob in blobs.iter().filter(|blob| !is_temporary(&blob.path)) {
        let name = blob.path.file_name().unwrap_or_default();
        if !digest::file(&blob.path).is_ok_and(|digest| name == digest.as_str()) {
            damage.push(Damage {
                path: blob.path.clone(),
                what: "its content does not match its name",
            });
        }
    }
    for file in files(&store.units()).into_iter().filter(|file| !is_temporary(&file.path)) {
        match Store::read(&file.path) {
            None => damage.push(Damage {
                path: file.path,
                what: "it is not an entry, or has a different version",
            }),
            Some(entry) => {
                if entry.outputs.iter().any(|output| !store.blob(&output.digest).is_file()) {
                    damage.push(Damage { path: file.path, what: "one of its files is missing" });
                }
            }
        }
    }
    damage
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::entry::tests::before;
    use super::super::entry::{After, Output};
    use super::*;

    /// Adds an entry with one output of this content, last used so long ago.
    pub(in crate::units) fn add(
        store: &Store,
        unit: &str,
        content: &str,
        age: Duration,
    ) -> PathBuf {
        let file = store.root().join("made");
        fs_err::create_dir_all(store.root()).unwrap();
        fs_err::write(&file, content).unwrap();
        let digest = store.add(&file).unwrap();
        fs_err::remove_file(&file).unwrap();
        let entry = Entry {
            schema: 1,
            package: unit.to_owned(),
            version: "1.0.0".to_owned(),
            before: before(),
            after: After::default(),
            outputs: vec![Output {
                path: "/t/x".into(),
                digest: digest.clone(),
                is_executable: false,
            }],
            presentation: Vec::new(),
            messages: Vec::new(),
            stdout: String::new(),
            origin: None,
            seconds: 1.0,
        };
        let path = store.write(&format!("{unit}/lib"), &digest, &entry).unwrap();
        let time = filetime::FileTime::from_system_time(SystemTime::now() - age);
        filetime::set_file_mtime(&path, time).unwrap();
        filetime::set_file_mtime(store.blob(&digest), time).unwrap();
        path
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn keep(days: u32, bytes: u64) -> Keep {
        Keep { used_since: SystemTime::now() - DAY * days, bytes }
    }

    #[test]
    fn what_was_not_used_lately_goes_with_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let old = add(&store, "old", "old", DAY * 20);
        let new = add(&store, "new", "new", DAY);
        assert_eq!((size(&store).entries, size(&store).blobs), (2, 2));
        let would = collect(&store, keep(14, u64::MAX), true).unwrap();
        assert!(old.exists(), "a dry run removes nothing");
        assert_eq!(collect(&store, keep(14, u64::MAX), false).unwrap(), would);
        assert_eq!((would.entries, would.blobs), (1, 1));
        assert!(!old.exists() && new.exists());
        assert_eq!(damage(&store), []);
        assert_eq!(collect(&store, keep(14, u64::MAX), false).unwrap(), Collected::default());
    }

    #[test]
    fn the_least_recently_used_go_until_the_rest_fits() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let one = add(&store, "one", &"1".repeat(10_000), DAY * 3);
        let two = add(&store, "two", &"2".repeat(10_000), DAY * 2);
        collect(&store, keep(14, 15_000), false).unwrap();
        assert!(!one.exists() && two.exists());
        assert!(size(&store).bytes < 15_000);
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let entry = add(&store, "a", "a", DAY);
        let other = add(&store, "b", "b", DAY);
        let blob = files(&store.blobs()).remove(0).path;
        fs_err::write(&blob, "?").unwrap();
        assert_eq!(damage(&store).len(), 1);
        fs_err::write(&entry, "{").unwrap();
        fs_err::remove_file(&blob).unwrap();
        let found: Vec<_> = damage(&store).into_iter().map(|one| one.path).collect();
        assert!(found.contains(&entry) || found.contains(&other), "{found:?}");
    }
}
