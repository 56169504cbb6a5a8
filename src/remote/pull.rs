//! From the store that machines share to this one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use filetime::FileTime;

use super::bucket::{Bucket, Failure};
use super::key::{Key, Paths};
use super::manifest::{Manifest, is_of_a_build};
use crate::build_env::archive;
use crate::build_env::request::Memo;
use crate::fs;
use crate::layout::Layout;
use crate::ui::Ui;
use crate::units::store::{self, Store};
use crate::units::transfer::is_what_it_says;

/// For the manifest. A store that takes longer is not asked for anything else.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// For all files; more if compiling what they are would take more than twice as long.
const FILES: Duration = Duration::from_secs(10);

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
    /// Recorded calls that are new here.
    pub records: usize,
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

/// Fetches what a build like this one has used and is not here. Never fails: what is missing is
/// compiled.
///
/// `only_build`: nothing is tested or linted.
pub(crate) fn pull(
    bucket: &Bucket,
    key: &Key,
    store: &Store,
    layout: &Layout,
    only_build: bool,
    ui: &Ui,
) -> Pulled {
    let mut pulled = Pulled::default();
    match read(bucket, key) {
        Ok(Read::Manifest(manifest)) => {
            take(bucket, &manifest, store, layout, only_build, ui, &mut pulled);
            pulled.manifest = Some(*manifest);
        }
        Ok(Read::Nothing) => {}
        Ok(Read::Elsewhere(paths)) => pulled.moved = Some(*paths),
        Err(failure) => pulled.problem = Some(failure),
    }
    pulled
}

enum Read {
    Manifest(Box<Manifest>),
    Nothing,
    /// There is one, for other paths.
    Elsewhere(Box<Paths>),
}

fn read(bucket: &Bucket, key: &Key) -> Result<Read, Failure> {
    let (folder, own, what) =
        (format!("builds/{}", key.project), key.file_name(), format!("{}-", key.what));
    let paths = key.paths.clone();
    bucket.one(FIRST_ANSWER, |requests| async move {
        let decode = |name: &str, bytes: Vec<u8>| {
            Manifest::decode(&bytes).map_err(|_reason| Failure::Damaged(name.to_owned()))
        };
        let name = format!("{folder}/{own}");
        if let Some(bytes) = requests.get(&name).await? {
            let manifest = decode(&name, bytes)?;
            // Its name is a digest of its paths, so that of others is a forgery or an accident.
            if manifest.paths != paths {
                return Err(Failure::Damaged(name));
            }
            return Ok(Read::Manifest(Box::new(manifest)));
        }
        // Those who may read may be forbidden to list; then nobody says why there is nothing.
        let others =
            requests.list(&folder).await.map(|(_folders, objects)| objects).unwrap_or_default();
        let mut alike: Vec<_> = others
            .into_iter()
            .filter(|object| object.location.filename().is_some_and(|name| name.starts_with(&what)))
            .collect();
        alike.sort_by_key(|object| object.last_modified);
        let Some(other) =
            alike.pop().and_then(|object| object.location.filename().map(str::to_owned))
        else {
            return Ok(Read::Nothing);
        };
        let name = format!("{folder}/{other}");
        match requests.get(&name).await? {
            Some(bytes) => Ok(Read::Elsewhere(Box::new(decode(&name, bytes)?.paths))),
            None => Ok(Read::Nothing),
        }
    })
}

fn take(
    bucket: &Bucket,
    manifest: &Manifest,
    store: &Store,
    layout: &Layout,
    only_build: bool,
    ui: &Ui,
    pulled: &mut Pulled,
) {
    let records: BTreeMap<&String, BTreeSet<String>> = manifest
        .records
        .iter()
        .filter(|(name, _)| !only_build || is_of_a_build(name))
        .filter(|(name, record)| {
            is_what_it_says(&std::path::Path::new("v1").join(name), record.content.as_bytes())
        })
        .map(|(name, record)| (name, record.files(name)))
        .collect();
    let environments: Vec<_> =
        manifest.environments.iter().filter(|(name, _)| !archive::is_there(layout, name)).collect();
    let archives: BTreeSet<&String> = environments.iter().map(|(_, one)| &one.blob).collect();
    let mut wanted: BTreeSet<&String> =
        records.values().flatten().filter(|digest| !store.has_blob(digest)).collect();
    for (digest, text) in &manifest.small {
        if wanted.remove(digest) && store.put_blob(digest, text.as_bytes()).is_ok() {
            pulled.bytes += text.len() as u64;
        }
    }
    wanted.extend(archives);
    // What is wanted most comes first: what the last build used.
    let fresh: BTreeSet<&String> = manifest
        .records
        .iter()
        .filter(|(_, record)| record.passed_by == 0)
        .filter_map(|(name, _)| records.get(name))
        .flatten()
        .collect();
    let mut order: Vec<&String> = wanted.into_iter().collect();
    order.sort_by_key(|digest| !fresh.contains(digest));
    let work: Vec<_> = order
        .into_iter()
        .filter_map(|digest| Some((digest.clone(), manifest.blobs.get(digest)?.bytes)))
        .map(|(digest, bytes)| {
            let requests = bucket.handle();
            async move {
                let answer = requests.blob(&digest, bytes).await;
                (digest, answer)
            }
        })
        .collect();
    let saved: f64 = records
        .iter()
        .filter(|(name, _)| !store.has(&store.versioned().join(name)))
        .map(|(name, _)| manifest.records[*name].seconds())
        .sum();
    let limit = FILES.max(Duration::from_secs_f64((saved / 2.0).clamp(0.0, 3600.0)));
    let mut unpacked: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut first_failure = None;
    let is_archive: BTreeSet<&String> = environments.iter().map(|(_, one)| &one.blob).collect();
    let ended = bucket.all(Instant::now() + limit, work, |(digest, answer)| match answer {
        Ok(Some(content)) => {
            pulled.files += 1;
            pulled.bytes += content.len() as u64;
            if is_archive.contains(&digest) {
                unpacked.insert(digest, content);
            } else if let Err(error) = store.put_blob(&digest, &content) {
                first_failure.get_or_insert(Failure::Store(error.to_string()));
            }
        }
        Ok(None) => drop(pulled.gone.insert(digest)),
        Err(failure) => {
            if matches!(failure, Failure::Damaged(_)) {
                pulled.gone.insert(digest);
            }
            first_failure.get_or_insert(failure);
        }
    });
    pulled.problem = ended.err().or(first_failure);
    for (name, files) in &records {
        let path = store.versioned().join(name);
        if !store.has(&path) && files.iter().all(|digest| store.has_blob(digest)) {
            match store::put(&path, manifest.records[*name].content.as_bytes()) {
                Ok(()) => {
                    // What the build uses is newer.
                    let earlier = FileTime::from_system_time(SystemTime::now() - ARRIVED);
                    let _ = filetime::set_file_mtime(&path, earlier);
                    pulled.records += 1;
                }
                Err(error) => {
                    pulled.problem.get_or_insert(Failure::Store(error.to_string()));
                }
            }
        }
    }
    for (name, environment) in environments {
        let Some(tree) = unpacked.get(&environment.blob) else { continue };
        match archive::unpack(layout, name, &environment.marker, &tree[..], ui) {
            Ok(true) => pulled.environments += 1,
            // It is made here.
            Ok(false) => {}
            Err(error) => {
                pulled.problem.get_or_insert(Failure::Store(error.to_string()));
            }
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
