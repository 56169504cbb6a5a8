//! From this machine to the store that machines share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bucket::{Bucket, Failure, Requests, blob_name};
use super::key::Key;
use super::manifest::{Blob, Environment, Manifest, Record, SMALL, packed};
use crate::build_env::archive;
use crate::build_env::request::Memo;
use crate::ci;
use crate::layout::Layout;
use crate::units::store::{self, Store};

/// Days after which a file is uploaded again, so that a lifecycle rule that deletes by age spares
/// what is in use: it must allow for more than this.
const REFRESH_DAYS: u64 = 10;
/// For all of it; more if compiling took longer, up to [`LONGEST`].
const LIMIT: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);
/// For the manifest, once all else is there.
const MANIFEST: Duration = Duration::from_secs(10);
/// Clocks of file systems tick more slowly than ours.
const TICK: Duration = Duration::from_secs(2);
/// More memos than this are of a development machine's past.
const MEMOS: usize = 16;
/// How often a manifest is merged with that of a writer who was faster.
const ATTEMPTS: u32 = 5;

/// What a build did.
#[derive(Debug)]
pub(crate) struct Used {
    pub since: SystemTime,
    /// Its environment, by its name in `envs`.
    pub environment: Option<String>,
    /// How long it compiled, all crates one after the other.
    pub compiled: Duration,
}

/// What went to the store.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// Recorded calls that the store did not have.
    pub records: usize,
    pub files: usize,
    /// Of the files, packed.
    pub bytes: u64,
    pub problem: Option<Failure>,
}

/// Uploads what a build used and the store lacks. `earlier` is what the store has said before the
/// build, `gone` what it has not had after all.
pub(crate) fn push(
    bucket: &Bucket,
    key: &Key,
    store: &Store,
    layout: &Layout,
    used: &Used,
    earlier: Option<&Manifest>,
    gone: &BTreeSet<String>,
) -> Pushed {
    let mut pushed = Pushed::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let known = Known { earlier, gone, today: day_of(now) };
    let mut manifest = Manifest::new(key.paths.clone(), ci::origin(), now);
    manifest.records = used_records(store, used.since, known.today);
    if manifest.records.is_empty() && used.environment.is_none() {
        return pushed;
    }
    let mut archives = BTreeMap::new();
    if let Some(name) = &used.environment {
        match known.environment(name) {
            Some(kept) => drop(manifest.environments.insert(name.clone(), kept.clone())),
            None => {
                if let Some((environment, tree)) = packed_environment(layout, name) {
                    archives.insert(environment.blob.clone(), tree);
                    manifest.environments.insert(name.clone(), environment);
                }
            }
        }
        manifest.memos = memos(layout, name);
    }
    let limit = LIMIT.max(used.compiled / processors()).min(LONGEST);
    files(bucket, store, &known, archives, Instant::now() + limit, &mut manifest, &mut pushed);
    manifest.drop_incomplete();
    pushed.records = manifest.records.keys().filter(|name| known.lacks_record(name)).count();
    let has_more = pushed.records > 0 || pushed.files > 0 || known.lacks_any(&manifest, now);
    if has_more && !matches!(pushed.problem, Some(Failure::Forbidden(_) | Failure::Interrupted)) {
        let name = key.manifest();
        let written = bucket.one(MANIFEST, |requests| {
            let gone = gone.clone();
            async move { replace(&requests, &name, &manifest, &gone, known.today).await }
        });
        match written {
            Ok(size) => pushed.bytes += size,
            Err(failure) => drop(pushed.problem.get_or_insert(failure)),
        }
    }
    pushed
}

/// What is known of the store.
struct Known<'a> {
    earlier: Option<&'a Manifest>,
    gone: &'a BTreeSet<String>,
    today: u64,
}

impl Known<'_> {
    /// A file that the store has, and has not had for so long that it may soon have it no more.
    fn blob(&self, digest: &str) -> Option<&Blob> {
        let blob = self.earlier?.blobs.get(digest)?;
        let is_kept = !self.gone.contains(digest) && blob.uploaded + REFRESH_DAYS >= self.today;
        is_kept.then_some(blob)
    }

    fn environment(&self, name: &str) -> Option<&Environment> {
        let environment = self.earlier?.environments.get(name)?;
        self.blob(&environment.blob).map(|_| environment)
    }

    fn lacks_record(&self, name: &str) -> bool {
        self.earlier.is_none_or(|earlier| !earlier.records.contains_key(name))
    }

    /// Whether a manifest says more than the store's own, or that one will soon be too old.
    fn lacks_any(&self, manifest: &Manifest, now: u64) -> bool {
        self.earlier.is_none_or(|earlier| {
            earlier.written_at + 24 * 3600 < now
                || !self.gone.is_empty()
                || manifest.memos.iter().any(|(name, text)| earlier.memos.get(name) != Some(text))
                || manifest.environments.keys().any(|name| !earlier.environments.contains_key(name))
        })
    }
}

/// Uploads the files that a manifest needs, but for those that the store has, and enters them in it.
/// What earlier builds needed is kept as well. `archives` are packed environments by digest.
fn files(
    bucket: &Bucket,
    store: &Store,
    known: &Known<'_>,
    mut archives: BTreeMap<String, Vec<u8>>,
    until: Instant,
    manifest: &mut Manifest,
    pushed: &mut Pushed,
) {
    let today = known.today;
    let mut work = Vec::new();
    let inherited = known.earlier.iter().flat_map(|earlier| earlier.blobs.keys().cloned());
    for digest in manifest.needed().into_iter().chain(inherited).collect::<BTreeSet<String>>() {
        if let Some(blob) = known.blob(&digest) {
            manifest.blobs.insert(digest, blob.clone());
            continue;
        }
        let path = store.blob(&digest);
        let is_small = fs_err::metadata(&path).is_ok_and(|metadata| metadata.len() <= SMALL);
        if is_small && let Ok(text) = fs_err::read_to_string(&path) {
            manifest.small.insert(digest, text);
            continue;
        }
        let (requests, archive) = (bucket.handle(), archives.remove(&digest));
        let is_missing = known.gone.contains(&digest);
        work.push(async move {
            // Read now, so that a few are in memory at a time. What is gone here meanwhile takes its
            // records with it.
            let content = archive.map_or_else(|| fs_err::read(path), Ok).ok()?;
            Some(upload(&requests, digest, content, is_missing, today).await)
        });
    }
    let mut failure = None;
    let ended = bucket.all(until, work, |answer| match answer {
        Some(Ok((digest, blob, size))) => {
            pushed.files += usize::from(size > 0);
            pushed.bytes += size;
            manifest.blobs.insert(digest, blob);
            true
        }
        Some(Err(error)) => {
            // Who may not write one file may write none.
            let goes_on = !matches!(error, Failure::Forbidden(_));
            failure.get_or_insert(error);
            goes_on
        }
        None => true,
    });
    pushed.problem = failure.or(ended.err());
}

/// Puts a file in the store, if it is not there. Returns what the manifest says of it, and the bytes
/// that were uploaded.
async fn upload(
    requests: &Requests,
    digest: String,
    content: Vec<u8>,
    is_missing: bool,
    today: u64,
) -> Result<(String, Blob, u64), Failure> {
    let name = blob_name(&digest);
    let bytes = content.len() as u64;
    // Another build may have had the same.
    let found = if is_missing { None } else { requests.find(&name).await.ok().flatten() };
    let uploaded = found
        .map_or(0, |object| day_of(u64::try_from(object.last_modified.timestamp()).unwrap_or(0)));
    if uploaded + REFRESH_DAYS >= today {
        return Ok((digest, Blob { bytes, uploaded }, 0));
    }
    let packed = packed(&content).map_err(|error| Failure::Store(error.to_string()))?;
    drop(content);
    let size = packed.len() as u64;
    requests.put(&name, packed).await.map(|()| (digest, Blob { bytes, uploaded: today }, size))
}

/// Merges a manifest with what the store has by now, and replaces that: others may have written since
/// the build began. Returns its size.
async fn replace(
    requests: &Requests,
    name: &str,
    own: &Manifest,
    gone: &BTreeSet<String>,
    today: u64,
) -> Result<u64, Failure> {
    let mut attempt = 1;
    loop {
        let found = requests.get(name).await?;
        let version = found.as_ref().map(|found| found.version.clone());
        let mut merged = own.clone();
        if let Some(theirs) = found.and_then(|found| Manifest::decode(&found.content).ok()) {
            merged.inherit(&theirs, gone, today);
        }
        let bytes = merged.encode().map_err(|error| Failure::Store(error.to_string()))?;
        let size = bytes.len() as u64;
        match requests.replace(name, bytes, version).await {
            Err(Failure::Conflict) if attempt < ATTEMPTS => attempt += 1,
            other => return other.map(|()| size),
        }
    }
}

fn day_of(seconds: u64) -> u64 {
    seconds / (24 * 3600)
}

/// How many crates may be compiled at a time.
pub(super) fn processors() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// The records that were used or made since a time.
///
/// Not the runs of trusted build scripts: that a script reads what it declares was said of one kind
/// of machine.
fn used_records(store: &Store, since: SystemTime, today: u64) -> BTreeMap<String, Record> {
    let since = since - TICK;
    let mut records = BTreeMap::new();
    for entry in walkdir::WalkDir::new(store.units()).into_iter().filter_map(Result::ok) {
        let is_temporary = entry.file_name().to_string_lossy().starts_with(store::TEMPORARY);
        let is_used = entry
            .metadata()
            .ok()
            .and_then(|metadata| metadata.modified().ok())
            .is_some_and(|time| time >= since);
        if !entry.file_type().is_file() || is_temporary || !is_used {
            continue;
        }
        let name = entry.path().strip_prefix(store.versioned()).ok().map(|name| {
            let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            parts.join("/")
        });
        if let (Some(name), Ok(content)) = (name, fs_err::read_to_string(entry.path())) {
            records.insert(name, Record { content, used: today, passed_by: 0 });
        }
    }
    records
}

/// An environment and its tree.
fn packed_environment(layout: &Layout, name: &str) -> Option<(Environment, Vec<u8>)> {
    let marker = archive::marker(layout, name)?;
    let mut tree = Vec::new();
    archive::pack(layout, name, &mut tree).ok()?;
    Some((Environment { marker, blob: crate::digest::bytes(&tree) }, tree))
}

/// What leads to an environment: the memo of its requirements, and those that have what backends ask
/// for; at most the newest few.
fn memos(layout: &Layout, environment: &str) -> BTreeMap<String, String> {
    let read = |entry: fs_err::DirEntry| -> Option<(u64, String, String)> {
        let name = entry.file_name().to_str()?.to_owned();
        let text = fs_err::read_to_string(entry.path()).ok()?;
        let memo = Memo::parse(text.as_bytes())?;
        let leads_there =
            memo.fingerprint.get(..12).is_some_and(|short| environment.ends_with(short));
        (leads_there || !memo.dynamic.is_empty()).then_some((memo.resolved_at, name, text))
    };
    let entries = fs_err::read_dir(layout.requests()).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<_> = entries.filter_map(read).collect();
    found.sort();
    found.into_iter().rev().take(MEMOS).map(|(_, name, text)| (name, text)).collect()
}
