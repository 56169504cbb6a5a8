//! From this machine to the store that machines share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bucket::{Bucket, Failure, blob_name};
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
/// For all of it; more if what was compiled took longer.
const LIMIT: Duration = Duration::from_secs(30);
/// Clocks of file systems tick more slowly than ours.
const TICK: Duration = Duration::from_secs(2);
/// More memos than this are of a development machine's past.
const MEMOS: usize = 16;

/// What a build did.
#[derive(Debug)]
pub(crate) struct Used {
    pub since: SystemTime,
    /// Its environment, by its name in `envs`.
    pub environment: Option<String>,
    /// How long it compiled.
    pub compiled: Duration,
}

/// What went to the store.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
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
    let today = now / (24 * 3600);
    let mut manifest = Manifest::new(key.paths.clone(), ci::origin(), now);
    manifest.records = used_records(store, used.since, today);
    if manifest.records.is_empty() && used.environment.is_none() {
        return pushed;
    }
    let mut archives = BTreeMap::new();
    if let Some(name) = &used.environment {
        let known = earlier.and_then(|earlier| earlier.environments.get(name));
        match known.filter(|known| !gone.contains(&known.blob)) {
            Some(known) => drop(manifest.environments.insert(name.clone(), known.clone())),
            None => {
                if let Some((environment, tree)) = packed_environment(layout, name) {
                    archives.insert(environment.blob.clone(), tree);
                    manifest.environments.insert(name.clone(), environment);
                }
            }
        }
        manifest.memos = memos(layout, name);
    }
    let known = |digest: &String| {
        earlier?
            .blobs
            .get(digest)
            .filter(|blob| !gone.contains(digest) && blob.uploaded + REFRESH_DAYS >= today)
    };
    let mut work = Vec::new();
    for digest in manifest.needed() {
        if let Some(blob) = known(&digest) {
            manifest.blobs.insert(digest, blob.clone());
            continue;
        }
        let content = match archives.remove(&digest) {
            Some(tree) => Ok(tree),
            None => fs_err::read(store.blob(&digest)),
        };
        // What is gone here meanwhile takes its records with it, below.
        let Ok(content) = content else { continue };
        match String::from_utf8(content) {
            Ok(text) if text.len() as u64 <= SMALL => drop(manifest.small.insert(digest, text)),
            other => {
                let content =
                    other.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
                let bytes = content.len() as u64;
                let requests = bucket.handle();
                let is_damaged = gone.contains(&digest);
                work.push(async move {
                    let blob = Blob { bytes, uploaded: today };
                    let name = blob_name(&digest);
                    // Another build may have had the same.
                    let found =
                        if is_damaged { None } else { requests.find(&name).await.ok().flatten() };
                    let day = found.map_or(0, |object| day_of(object.last_modified.timestamp()));
                    if day + REFRESH_DAYS >= today {
                        return Ok((digest, Blob { uploaded: day, ..blob }, 0));
                    }
                    let packed =
                        packed(&content).map_err(|error| Failure::Store(error.to_string()))?;
                    let size = packed.len() as u64;
                    requests.put(&name, packed).await.map(|()| (digest, blob, size))
                });
            }
        }
    }
    let deadline = Instant::now() + LIMIT.max(used.compiled);
    let mut failure = None;
    let ended =
        bucket.all(deadline, work, |answer: Result<(String, Blob, u64), Failure>| match answer {
            Ok((digest, blob, size)) => {
                pushed.files += usize::from(size > 0);
                pushed.bytes += size;
                manifest.blobs.insert(digest, blob);
            }
            Err(error) => drop(failure.get_or_insert(error)),
        });
    pushed.problem = ended.err().or(failure);
    let has = |digest: &String| {
        manifest.small.contains_key(digest) || manifest.blobs.contains_key(digest)
    };
    let whole: BTreeMap<String, Record> = manifest
        .records
        .iter()
        .filter(|(name, record)| record.files(name).iter().all(has))
        .map(|(name, record)| (name.clone(), record.clone()))
        .collect();
    manifest.environments.retain(|_, environment| manifest.blobs.contains_key(&environment.blob));
    manifest.records = whole;
    let is_new =
        |name: &&String| earlier.is_none_or(|earlier| !earlier.records.contains_key(*name));
    pushed.records = manifest.records.keys().filter(is_new).count();
    if let Some(earlier) = earlier {
        let is_old = earlier.written_at + 24 * 3600 < now;
        let has_more = pushed.records > 0
            || pushed.files > 0
            || !gone.is_empty()
            || (used.environment.is_some() && manifest.memos != earlier.memos)
            || manifest.environments.keys().any(|name| !earlier.environments.contains_key(name));
        if !is_old && !has_more {
            return pushed;
        }
        manifest.inherit(&earlier.without(gone), today);
    }
    if pushed.problem.is_some() && pushed.files == 0 {
        return pushed;
    }
    let name = format!("builds/{}/{}", key.project, key.file_name());
    let written =
        manifest.encode().map_err(|error| Failure::Store(error.to_string())).and_then(|bytes| {
            let left =
                deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(5));
            pushed.bytes += bytes.len() as u64;
            bucket.one(left, |requests| async move { requests.put(&name, bytes).await })
        });
    if let Err(failure) = written {
        pushed.problem.get_or_insert(failure);
    }
    pushed
}

fn day_of(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0) / (24 * 3600)
}

/// The records that were used or made since a time.
fn used_records(store: &Store, since: SystemTime, today: u64) -> BTreeMap<String, Record> {
    let since = since - TICK;
    let mut records = BTreeMap::new();
    for folder in [store.units(), store.scripts()] {
        for entry in walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok) {
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
