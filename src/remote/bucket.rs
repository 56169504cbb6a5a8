//! Requests to a store: many at a time, counted, and not for longer than the caller says.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload};
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
    runtime: Runtime,
    requests: Arc<Requests>,
    pub shown: String,
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
    #[error("`{0}` is damaged")]
    Damaged(String),
    #[error("it took longer than {}", humantime::format_duration(*.0))]
    Late(Duration),
    #[error("interrupted")]
    Interrupted,
}

impl Bucket {
    pub(crate) fn open(place: Place) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let Place { store, prefix, has_collections, .. } = place;
        let requests = Requests { store, prefix, has_collections, count: AtomicU64::new(0) };
        Ok(Self { runtime, requests: Arc::new(requests), shown: place.shown })
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
        let ended = self.all(Instant::now() + limit, vec![future], |answer| result = Some(answer));
        match (result, ended) {
            (Some(answer), _) => answer,
            (None, Err(Failure::Late(_))) => Err(Failure::Late(limit)),
            (None, Err(failure)) => Err(failure),
            (None, Ok(())) => Err(Failure::Store("the request ended without an answer".to_owned())),
        }
    }

    /// Does many things, a few at a time, and takes their results as they come, until they are all
    /// done, or `deadline`. What is not done then is dropped.
    pub(super) fn all<R, F>(
        &self,
        deadline: Instant,
        work: Vec<F>,
        mut take: impl FnMut(R),
    ) -> Result<(), Failure>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let started = Instant::now();
        self.runtime.block_on(async {
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
                    Ok(Some(Ok(result))) => take(result),
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
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let answer = self.counted().get(&self.named(name)).await;
        match answer {
            Ok(found) => match found.bytes().await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(error) => Err(Failure::Store(words(&error))),
            },
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Failure::Store(words(&error))),
        }
    }

    /// A blob, unpacked and checked. `None`: there is none.
    pub(super) async fn blob(&self, digest: &str, bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        let name = blob_name(digest);
        let Some(packed) = self.get(&name).await? else { return Ok(None) };
        match unpacked(&packed, bytes) {
            Ok(content) if digest::bytes(&content) == digest => Ok(Some(content)),
            _ => Err(Failure::Damaged(name)),
        }
    }

    pub(super) async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let payload = PutPayload::from(bytes);
        let mut attempts = if self.has_collections { 4 } else { 1 };
        loop {
            attempts -= 1;
            match self.counted().put(&self.named(name), payload.clone()).await {
                Ok(_) => return Ok(()),
                Err(
                    object_store::Error::AlreadyExists { .. } | object_store::Error::Generic { .. },
                ) if attempts > 0 => {}
                Err(error) => return Err(Failure::Store(words(&error))),
            }
        }
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<ObjectMeta>, Failure> {
        match self.counted().head(&self.named(name)).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Failure::Store(words(&error))),
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
            Err(error) => Err(Failure::Store(words(&error))),
        }
    }
}

pub(super) fn blob_name(digest: &str) -> String {
    format!("blobs/{}/{digest}.zst", &digest[..2])
}
