//! Requests to a store: many at a time, counted, and not for longer than the caller says.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use object_store::path::Path;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::manifest::unpacked;
use super::place::{Place, words};
use crate::digest;
use crate::interrupt;

/// Requests at a time.
const AT_ONCE: usize = 16;
/// How often we look whether we were asked to stop.
const TICK: Duration = Duration::from_millis(100);

/// A store and the means to ask it.
pub(crate) struct Bucket {
    /// Until it is dropped.
    runtime: Option<Runtime>,
    requests: Arc<Requests>,
    pub shown: String,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // A file system or a name server that does not answer may hold a thread for ever.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An object, and what distinguishes it from an earlier or a later one of its name.
pub(super) struct Found {
    pub content: Vec<u8>,
    pub version: UpdateVersion,
}

/// What tasks share.
pub(super) struct Requests {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    has_collections: bool,
    count: AtomicU64,
}

/// Why a request got no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("another writer was faster")]
    Conflict,
    #[error("`{0}` is damaged")]
    Damaged(String),
    #[error("it took longer than {}", humantime::format_duration(*.0))]
    Late(Duration),
    #[error("interrupted")]
    Interrupted,
    /// What came could not be written on this machine.
    #[error("{0}")]
    Disk(String),
}

impl Failure {
    fn of(error: &object_store::Error) -> Self {
        use object_store::Error;
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                Self::Forbidden(words(error))
            }
            Error::Precondition { .. } | Error::AlreadyExists { .. } => Self::Conflict,
            _ => Self::Store(words(error)),
        }
    }
}

impl Bucket {
    pub(crate) fn open(place: Place) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let Place { store, prefix, has_collections, .. } = place;
        let requests = Requests { store, prefix, has_collections, count: AtomicU64::new(0) };
        Ok(Self { runtime: Some(runtime), requests: Arc::new(requests), shown: place.shown })
    }

    /// The number of requests until now.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.count.load(Ordering::Relaxed)
    }

    /// Does one thing, within a time.
    pub(super) fn one<
        R: Send + 'static,
        F: Future<Output = Result<R, Failure>> + Send + 'static,
    >(
        &self,
        limit: Duration,
        work: impl FnOnce(Arc<Requests>) -> F,
    ) -> Result<R, Failure> {
        let mut result = None;
        let future = work(Arc::clone(&self.requests));
        let ended = self.all(Instant::now() + limit, vec![future], |answer| {
            result = Some(answer);
            true
        });
        match (result, ended) {
            (Some(answer), _) => answer,
            (None, Err(Failure::Late(_))) => Err(Failure::Late(limit)),
            (None, Err(failure)) => Err(failure),
            (None, Ok(())) => Err(Failure::Store("the request ended without an answer".to_owned())),
        }
    }

    /// Does many things, a few at a time, and takes their results as they come, until they are all
    /// done, `take` says that it is enough, or `deadline`. What is not done then is dropped.
    pub(super) fn all<R, F>(
        &self,
        deadline: Instant,
        work: Vec<F>,
        mut take: impl FnMut(R) -> bool,
    ) -> Result<(), Failure>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let started = Instant::now();
        self.runtime.as_ref().expect("it is there until the end").block_on(async {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let mut tasks = JoinSet::new();
            for one in work {
                let places = Arc::clone(&places);
                tasks.spawn(async move {
                    let _place = places.acquire().await;
                    one.await
                });
            }
            loop {
                match tokio::time::timeout(TICK, tasks.join_next()).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(result))) => {
                        if !take(result) {
                            return Ok(());
                        }
                    }
                    // A task that panicked has no result, and is missed by none that needs it.
                    Ok(Some(Err(_))) | Err(_) => {}
                }
                if interrupt::pending().is_some() {
                    return Err(Failure::Interrupted);
                }
                if Instant::now() >= deadline && !tasks.is_empty() {
                    return Err(Failure::Late(Duration::from_secs(
                        started.elapsed().as_secs().max(1),
                    )));
                }
            }
        })
    }

    pub(super) fn handle(&self) -> Arc<Requests> {
        Arc::clone(&self.requests)
    }
}

impl Requests {
    fn named(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    fn counted(&self) -> &Arc<dyn ObjectStore> {
        self.count.fetch_add(1, Ordering::Relaxed);
        &self.store
    }

    /// `None`: there is no such object.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Found>, Failure> {
        self.get_at_most(name, u64::MAX).await
    }

    async fn get_at_most(&self, name: &str, limit: u64) -> Result<Option<Found>, Failure> {
        match self.counted().get(&self.named(name)).await {
            Ok(found) if found.meta.size > limit => Err(Failure::Damaged(name.to_owned())),
            Ok(found) => {
                let version = UpdateVersion {
                    e_tag: found.meta.e_tag.clone(),
                    version: found.meta.version.clone(),
                };
                let content = found.bytes().await.map_err(|error| Failure::of(&error))?.to_vec();
                Ok(Some(Found { content, version }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Failure::of(&error)),
        }
    }

    /// A blob, unpacked and checked. `None`: there is none.
    pub(super) async fn blob(&self, digest: &str, bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        let name = blob_name(digest);
        // What cannot be compressed grows a little.
        let limit = bytes + bytes / 8 + 1024;
        let Some(packed) = self.get_at_most(&name, limit).await? else { return Ok(None) };
        match unpacked(&packed.content, bytes) {
            Ok(content) if digest::bytes(&content) == digest => Ok(Some(content)),
            _ => Err(Failure::Damaged(name)),
        }
    }

    pub(super) async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        self.put_as(name, &PutPayload::from(bytes), PutMode::Overwrite).await
    }

    /// Puts an object in place of the one that was read, or of none. [`Failure::Conflict`]: another
    /// writer has done so since. A store that knows no conditions has the last writer win.
    pub(super) async fn replace(
        &self,
        name: &str,
        bytes: Vec<u8>,
        version: Option<UpdateVersion>,
    ) -> Result<(), Failure> {
        let payload = PutPayload::from(bytes);
        let mode = version.map_or(PutMode::Create, PutMode::Update);
        match self.put_as(name, &payload, mode).await {
            // A directory and WebDAV know no conditions, and some servers answer them with an error.
            Err(Failure::Store(_)) => self.put_as(name, &payload, PutMode::Overwrite).await,
            other => other,
        }
    }

    async fn put_as(&self, name: &str, payload: &PutPayload, mode: PutMode) -> Result<(), Failure> {
        let mut attempts = if self.has_collections { 4 } else { 1 };
        loop {
            attempts -= 1;
            let options = PutOptions::from(mode.clone());
            let answer = self.counted().put_opts(&self.named(name), payload.clone(), options).await;
            match answer {
                Ok(_) => return Ok(()),
                // Of those who make one collection at a time, one succeeds.
                Err(error) if attempts > 0 && words(&error).contains("MKCOL") => {}
                Err(error) => return Err(Failure::of(&error)),
            }
        }
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<ObjectMeta>, Failure> {
        match self.counted().head(&self.named(name)).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Failure::of(&error)),
        }
    }

    /// What is directly below a name: folders by their last parts, and objects.
    pub(super) async fn list(&self, name: &str) -> Result<(Vec<String>, Vec<ObjectMeta>), Failure> {
        match self.counted().list_with_delimiter(Some(&self.named(name))).await {
            Ok(found) => {
                let last = |path: &Path| path.filename().map(str::to_owned);
                Ok((found.common_prefixes.iter().filter_map(last).collect(), found.objects))
            }
            Err(object_store::Error::NotFound { .. }) => Ok((Vec::new(), Vec::new())),
            Err(error) => Err(Failure::of(&error)),
        }
    }
}

pub(super) fn blob_name(digest: &str) -> String {
    format!("blobs/{}/{digest}.zst", &digest[..2])
}
