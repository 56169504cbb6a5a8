//! From the store that machines share to this one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use filetime::FileTime;
use object_store::ObjectMeta;

use super::bucket::{Bucket, Failure};
use super::key::{Key, Paths};
use super::manifest::{Manifest, Record, is_of_a_build};
use super::push::processors;
use crate::build_env::archive;
use crate::build_env::request::Memo;
use crate::fs;
use crate::layout::Layout;
use crate::ui::Ui;
use crate::units::store::{self, Store};
use crate::units::transfer::is_what_it_says;

/// For the manifest. A store that takes longer is not asked for anything else.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// For the paths of builds elsewhere, which are only for a message.
const ELSEWHERE: Duration = Duration::from_secs(3);
/// For all files; more if compiling what they are would take more than twice as long, up to
/// [`LONGEST`].
const FILES: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(120);
/// A resolution that is older is made again, also where those that were made on the spot stay: a
/// store may live for years.
const MEMOS: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long ago a record that has just arrived was used last.
const ARRIVED: Duration = Duration::from_secs(60);

/// What came from the store.
#[derive(Debug, Default)]
pub(crate) struct Pulled {
    /// `None`: the store has no build like this one, or did not answer.
    pub manifest: Option<Manifest>,
    pub files: usize,
    /// Of the files, unpacked.
    pub bytes: u64,
    pub environments: usize,
    /// Files that the manifest has, and the store has not.
    pub gone: BTreeSet<String>,
    /// Why this is not all.
    pub problem: Option<Failure>,
    /// The paths of a build that would be like this one.
    pub moved: Option<Paths>,
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// What only tests and lints make.
    pub tests: bool,
    /// Build environments, and what leads to them.
    pub environments: bool,
}

/// Fetches what a build like this one has used and is not here. Never fails: what is missing is
/// made here.
pub(crate) fn pull(
    bucket: &Bucket,
    key: &Key,
    store: &Store,
    layout: &Layout,
    wanted: Wanted,
    ui: &Ui,
) -> Pulled {
    let mut pulled = Pulled::default();
    match read(bucket, key) {
        Ok(Some(manifest)) => {
            records(bucket, &manifest, store, wanted, &mut pulled);
            if wanted.environments && pulled.problem != Some(Failure::Interrupted) {
                environments(bucket, &manifest, layout, ui, &mut pulled);
            }
            pulled.manifest = Some(manifest);
        }
        Ok(None) => pulled.moved = elsewhere(bucket, key),
        Err(failure) => pulled.problem = Some(failure),
    }
    pulled
}

/// The manifest of builds like this one.
fn read(bucket: &Bucket, key: &Key) -> Result<Option<Manifest>, Failure> {
    let name = key.manifest();
    let paths = key.paths.clone();
    bucket.one(FIRST_ANSWER, |requests| async move {
        let Some(found) = requests.get(&name).await? else { return Ok(None) };
        match Manifest::decode(&found.content) {
            // Its name is a digest of its paths, so that of others is a forgery or an accident.
            Ok(manifest) if manifest.paths == paths => Ok(Some(manifest)),
            _ => Err(Failure::Damaged(name)),
        }
    })
}

/// The paths of a build that would be like this one, if somebody has made it elsewhere. Those who may
/// read may be forbidden to list; then nobody says why there is nothing.
fn elsewhere(bucket: &Bucket, key: &Key) -> Option<Paths> {
    let (folder, what) = (key.folder(), format!("{}-", key.what));
    let newest = bucket.one(ELSEWHERE, |requests| async move {
        let (_folders, objects) = requests.list(&folder).await?;
        let is_alike = |object: &ObjectMeta| {
            object.location.filename().is_some_and(|name| name.starts_with(&what))
        };
        let newest = objects.into_iter().filter(is_alike).max_by_key(|object| object.last_modified);
        let Some(name) = newest.as_ref().and_then(|object| object.location.filename()) else {
            return Ok(None);
        };
        let found = requests.get(&format!("{folder}/{name}")).await?;
        Ok(found.and_then(|found| Manifest::decode(&found.content).ok()))
    });
    newest.ok().flatten().map(|manifest| manifest.paths)
}

/// A recorded call of the manifest: its name, itself, the files that it needs.
type Listed<'a> = (&'a String, &'a Record, BTreeSet<String>);

/// Fetches recorded calls and their files.
fn records(
    bucket: &Bucket,
    manifest: &Manifest,
    store: &Store,
    wanted: Wanted,
    pulled: &mut Pulled,
) {
    let is_whole = |name: &str, record: &Record| {
        is_what_it_says(&Path::new(store::VERSION).join(name), record.content.as_bytes())
    };
    let mut listed: Vec<Listed<'_>> = manifest
        .records
        .iter()
        .filter(|(name, record)| (wanted.tests || is_of_a_build(name)) && is_whole(name, record))
        .filter_map(|(name, record)| Some((name, record, record.files()?)))
        .collect();
    // What the last build used comes first.
    listed.sort_by_key(|(_, record, _)| record.passed_by);
    let saved: f64 = listed
        .iter()
        .filter(|(name, record, _)| {
            record.passed_by == 0 && !store.has(&store.versioned().join(name))
        })
        .map(|(_, record, _)| record.seconds())
        .sum();
    let saved = Duration::from_secs_f64(saved.clamp(0.0, 1e6)) / processors();
    let limit = (saved / 2).clamp(FILES, LONGEST);
    let fetched = files(bucket, manifest, store, &listed, Instant::now() + limit, pulled);
    let is_complete = |files: &BTreeSet<String>| files.iter().all(|digest| store.has_blob(digest));
    if matches!(pulled.problem, Some(Failure::Disk(_))) {
        // The build itself needs room, too.
        let complete = listed.iter().filter(|(_, _, files)| is_complete(files));
        let used: BTreeSet<&String> = complete.flat_map(|(_, _, files)| files).collect();
        for digest in fetched.iter().filter(|digest| !used.contains(digest)) {
            let _ = fs_err::remove_file(store.blob(digest));
        }
    }
    for (name, record, files) in listed {
        let path = store.versioned().join(name);
        if store.has(&path) || !is_complete(&files) {
            continue;
        }
        match store::put(&path, record.content.as_bytes()) {
            Ok(()) => {
                // What the build uses is newer.
                let earlier = FileTime::from_system_time(SystemTime::now() - ARRIVED);
                let _ = filetime::set_file_mtime(&path, earlier);
            }
            Err(error) => drop(pulled.problem.get_or_insert(Failure::Disk(error.to_string()))),
        }
    }
}

/// Fetches the files of recorded calls that are not here, in their order. Returns their digests.
fn files(
    bucket: &Bucket,
    manifest: &Manifest,
    store: &Store,
    listed: &[Listed<'_>],
    until: Instant,
    pulled: &mut Pulled,
) -> Vec<String> {
    let mut fetched = Vec::new();
    let mut seen = BTreeSet::new();
    let mut work = Vec::new();
    for digest in listed.iter().flat_map(|(_, _, files)| files) {
        if !seen.insert(digest) || store.has_blob(digest) {
            continue;
        }
        if let Some(text) = manifest.small.get(digest) {
            if store.put_blob(digest, text.as_bytes()).is_ok() {
                pulled.bytes += text.len() as u64;
                fetched.push(digest.clone());
            }
        } else if let Some(blob) = manifest.blobs.get(digest) {
            let (requests, store) = (bucket.handle(), store.clone());
            let (digest, bytes) = (digest.clone(), blob.bytes);
            work.push(async move {
                let written = match requests.blob(&digest, bytes).await {
                    Ok(Some(content)) => store
                        .put_blob(&digest, &content)
                        .map(|()| true)
                        .map_err(|error| Failure::Disk(error.to_string())),
                    Ok(None) => Ok(false),
                    Err(failure) => Err(failure),
                };
                (digest, bytes, written)
            });
        }
    }
    let mut failure = None;
    let ended = bucket.all(until, work, |(digest, bytes, written)| {
        match written {
            Ok(true) => {
                pulled.files += 1;
                pulled.bytes += bytes;
                fetched.push(digest);
            }
            Ok(false) => drop(pulled.gone.insert(digest)),
            Err(error) => {
                if matches!(error, Failure::Damaged(_)) {
                    pulled.gone.insert(digest);
                }
                let goes_on = !matches!(error, Failure::Forbidden(_) | Failure::Disk(_));
                failure.get_or_insert(error);
                return goes_on;
            }
        }
        true
    });
    pulled.problem = failure.or(ended.err());
    fetched
}

/// Fetches build environments that are not here, and the memos that lead to all of them.
fn environments(
    bucket: &Bucket,
    manifest: &Manifest,
    layout: &Layout,
    ui: &Ui,
    pulled: &mut Pulled,
) {
    let missing = manifest.environments.iter().filter(|(name, _)| !archive::is_there(layout, name));
    for (name, environment) in missing {
        let Some(blob) = manifest.blobs.get(&environment.blob) else { continue };
        let (digest, bytes) = (environment.blob.clone(), blob.bytes);
        let answer =
            bucket.one(FILES, |requests| async move { requests.blob(&digest, bytes).await });
        let failure = match answer {
            Ok(Some(tree)) => {
                match archive::unpack(layout, name, &environment.marker, &tree[..], ui) {
                    Ok(works) => {
                        pulled.files += 1;
                        pulled.bytes += bytes;
                        // One that does not work here is made here.
                        pulled.environments += usize::from(works);
                        continue;
                    }
                    Err(error) => Failure::Disk(error.to_string()),
                }
            }
            Ok(None) => {
                pulled.gone.insert(environment.blob.clone());
                continue;
            }
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Damaged(_)) {
            pulled.gone.insert(environment.blob.clone());
        }
        // Installing takes seconds: a store that is slow is not asked for another one.
        let is_late = matches!(failure, Failure::Late(_) | Failure::Interrupted);
        pulled.problem.get_or_insert(failure);
        if is_late {
            break;
        }
    }
    for (name, text) in &manifest.memos {
        let path = layout.requests().join(name);
        let is_recent =
            Memo::parse(text.as_bytes()).is_some_and(|memo| memo.is_recent(Some(MEMOS)));
        if is_recent && !path.exists() {
            let _ = fs::write_atomic(&path, text.as_bytes());
        }
    }
}
