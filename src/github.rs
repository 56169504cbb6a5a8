//! The part of GitHub's REST API that we use: list caches, list open pull requests, delete caches.
//!
//! octocrab sends the requests; this module interprets the responses. A request is tried
//! [`ATTEMPTS`] times: it waits as long as the service asks (`Retry-After`, `x-ratelimit-reset`) if
//! that is soon, and longer after each failure of the service or the network. All other errors are
//! final. `GITHUB_API_URL` is the URL (GHES: `https://host/api/v3`), `GITHUB_REPOSITORY` the
//! repository, `GITHUB_TOKEN` or `GH_TOKEN` the token.
//!
//! Source: <https://docs.github.com/en/rest/actions/cache>, <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>

use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use octocrab::Octocrab;
use serde::Deserialize;

use crate::cache::Entry;
use crate::{env_vars, interrupt};

/// Attempts per request.
const ATTEMPTS: u32 = 5;
/// Pause before the second attempt; it doubles before each later one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// If the service asks for a longer pause, the request fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const PER_PAGE: u8 = 100;
/// More than any repository has; an answer without end is not GitHub's.
const MAX_PAGES: u32 = 1000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no repository is given")]
    NoRepository,
    #[error("`{repository}` is not a repository's name")]
    InvalidRepository { repository: String },
    #[error("no token is given")]
    NoToken,
    #[error("`{url}` is not a valid URL of GitHub's API: {message}")]
    InvalidUrl { url: String, message: String },
    #[error("GitHub rejected the token")]
    Unauthorized,
    #[error("the token is not allowed to {what}: {message}")]
    Forbidden { what: &'static str, permission: &'static str, message: String },
    #[error("`{what}` does not exist at `{url}`, or the token has no access to it")]
    NotFound { what: String, url: String },
    #[error("GitHub's rate limit is exceeded for the next {}", humantime::format_duration(*wait))]
    RateLimited { wait: Duration },
    #[error("the request to GitHub failed: {message}")]
    Unavailable { message: String },
    #[error("GitHub sent an unexpected response: {message}")]
    Protocol { message: String },
    #[error("interrupted by {0}")]
    Interrupted(interrupt::Signal),
}

impl Error {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoRepository | Self::InvalidRepository { .. } => {
                Some("pass `--repository OWNER/NAME`, or set `GITHUB_REPOSITORY` (Actions sets \
                    it)".to_owned())
            }
            Self::NoToken => Some("set `GITHUB_TOKEN` or `GH_TOKEN`; in a workflow `GITHUB_TOKEN: ${{ github.token }}`".to_owned()),
            Self::InvalidUrl { .. } => Some("unset `GITHUB_API_URL`, or for GHES set it to https://HOST/api/v3".to_owned()),
            Self::Unauthorized => Some("check that the token has not expired, and is for this \
                GitHub server".to_owned()),
            Self::Forbidden { permission, .. } => Some(format!("add `permissions: {permission}` \
                to the job, or use a different token")),
            Self::NotFound { .. } => Some("check the name, and that the token can read the \
                repository's actions".to_owned()),
            Self::RateLimited { .. } | Self::Unavailable { .. } => Some("try again later".to_owned()),
            Self::Protocol { .. } | Self::Interrupted(_) => None,
        }
    }

    /// Whether it was about how we were called, and not about how GitHub was.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::NoRepository
            | Self::InvalidRepository { .. }
            | Self::NoToken
            | Self::InvalidUrl { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::NotFound { .. } => true,
            Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Protocol { .. }
            | Self::Interrupted(_) => false,
        }
    }
}

/// What became of an entry that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    Now,
    /// Another job was faster, or GitHub evicted it.
    Before,
}

/// A repository, with somebody's rights.
#[derive(Debug)]
pub(crate) struct Repository {
    crab: Octocrab,
    runtime: tokio::runtime::Runtime,
    owner: String,
    name: String,
    url: String,
}

impl Repository {
    /// The repository that is named, else that of the environment.
    pub(crate) fn open(named: Option<&str>) -> Result<Self, Error> {
        let repository = named
            .map(str::to_owned)
            .or_else(|| env_vars::get("GITHUB_REPOSITORY"))
            .ok_or(Error::NoRepository)?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !name.starts_with('.')
        };
        let (owner, name) = repository
            .split_once('/')
            .filter(|(owner, name)| is_name(owner) && is_name(name))
            .ok_or_else(|| Error::InvalidRepository { repository: repository.clone() })?;
        let token = env_vars::get("GITHUB_TOKEN")
            .or_else(|| env_vars::get("GH_TOKEN"))
            .ok_or(Error::NoToken)?;
        let url =
            env_vars::get("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned());
        let invalid = |message: String| Error::InvalidUrl { url: url.clone(), message };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable { message: error.to_string() })?;
        let inside = runtime.enter();
        let crab = Octocrab::builder()
            .base_uri(url.trim_end_matches('/'))
            .map_err(|_ignored| invalid("it is not a URL".to_owned()))?
            .personal_token(token)
            .build()
            .map_err(|error| invalid(words(&error)))?;
        drop(inside);
        Ok(Self { crab, owner: owner.to_owned(), name: name.to_owned(), url: url.clone(), runtime })
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// All entries, oldest first.
    pub(crate) fn caches(&self) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = BTreeSet::new();
        for page in 1..=MAX_PAGES {
            // By creation, ascending: what is used or made while we read does not move what we have
            // not read.
            let list =
                self.ask(Asked { what: "list caches", permission: "actions: read" }, || {
                    let actions = self.crab.actions();
                    async move {
                        let list = actions.list_repo_caches(&self.owner, &self.name);
                        list.sort("created_at")
                            .direction("asc")
                            .per_page(PER_PAGE)
                            .page(page)
                            .send()
                            .await
                    }
                })?;
            let count = list.actions_caches.len();
            for item in list.actions_caches {
                let entry = Entry {
                    id: u64::try_from(item.id).map_err(|_ignored| Error::Protocol {
                        message: format!("a cache with the id {}", item.id),
                    })?,
                    key: item.key,
                    git_ref: item.r#ref.unwrap_or_default(),
                    version: item.version,
                    created: item.created_at.into(),
                    last_used: item.last_accessed_at.into(),
                    size_bytes: u64::try_from(item.size_in_bytes).unwrap_or(0),
                };
                if seen.insert(entry.id) {
                    entries.push(entry);
                }
            }
            if count < usize::from(PER_PAGE) {
                break;
            }
        }
        Ok(entries)
    }

    /// The numbers of the open pull requests.
    pub(crate) fn open_pull_requests(&self) -> Result<BTreeSet<u64>, Error> {
        #[derive(Deserialize)]
        struct Pull {
            number: u64,
        }
        let route = format!("/repos/{}/{}/pulls", self.owner, self.name);
        let mut numbers = BTreeSet::new();
        for page in 1..=MAX_PAGES {
            let query = [
                ("state", "open".to_owned()),
                ("per_page", PER_PAGE.to_string()),
                ("page", page.to_string()),
            ];
            let pulls: Vec<Pull> = self.ask(
                Asked { what: "list pull requests", permission: "pull-requests: read" },
                || {
                    let (route, query) = (&route, &query);
                    async move { self.crab.get(route, Some(query)).await }
                },
            )?;
            let count = pulls.len();
            numbers.extend(pulls.into_iter().map(|pull| pull.number));
            if count < usize::from(PER_PAGE) {
                break;
            }
        }
        Ok(numbers)
    }

    pub(crate) fn delete(&self, entry: &Entry) -> Result<Deleted, Error> {
        let id = i64::try_from(entry.id).map_err(|_ignored| Error::Protocol {
            message: format!("a cache with the id {}", entry.id),
        })?;
        let asked = self.ask(Asked { what: "delete caches", permission: "actions: write" }, || {
            let actions = self.crab.actions();
            async move { actions.delete_repo_cache(&self.owner, &self.name, id).await }
        });
        match asked {
            Ok(()) => Ok(Deleted::Now),
            Err(Error::NotFound { .. }) => Ok(Deleted::Before),
            Err(error) => Err(error),
        }
    }

    /// Asks until there is an answer that counts.
    fn ask<T, F: Future<Output = octocrab::Result<T>>>(
        &self,
        asked: Asked,
        request: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let answer =
                self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, request()).await });
            let trouble = match answer {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => self.judge(asked, error),
                Err(_elapsed) => Trouble::Passing(
                    Error::Unavailable {
                        message: format!(
                            "no answer within {}",
                            humantime::format_duration(TIMEOUT)
                        ),
                    },
                    None,
                ),
            };
            let (error, wait) = match trouble {
                Trouble::Final(error) => return Err(error),
                Trouble::Passing(error, wait) => (error, wait.unwrap_or(pause)),
            };
            if wait > LONGEST_PAUSE {
                return Err(Error::RateLimited { wait });
            }
            if attempt == ATTEMPTS {
                return Err(error);
            }
            sleep(wait)?;
            pause *= 2;
            attempt += 1;
        }
    }

    fn judge(&self, asked: Asked, error: octocrab::Error) -> Trouble {
        let octocrab::Error::GitHub { source, .. } = error else {
            return match error {
                octocrab::Error::Serde { .. } | octocrab::Error::Json { .. } => {
                    Trouble::Final(Error::Protocol { message: words(&error) })
                }
                // The network, the proxy, the certificate: who knows what it will be in a second.
                error => Trouble::Passing(Error::Unavailable { message: words(&error) }, None),
            };
        };
        let header = |name: &str| {
            source.headers.as_ref()?.get(name)?.to_str().ok()?.trim().parse::<u64>().ok()
        };
        let wait = header("retry-after").map(Duration::from_secs);
        let is_used_up = header("x-ratelimit-remaining") == Some(0);
        match source.status_code.as_u16() {
            401 => Trouble::Final(Error::Unauthorized),
            status @ (403 | 429)
                if status == 429
                    || wait.is_some()
                    || is_used_up
                    || source.message.contains("rate limit") =>
            {
                let reset = source.rate_limit_reset.filter(|_| is_used_up).map(until);
                let wait = wait.or(reset);
                Trouble::Passing(Error::RateLimited { wait: wait.unwrap_or(LONGEST_PAUSE) }, wait)
            }
            403 => Trouble::Final(Error::Forbidden {
                what: asked.what,
                permission: asked.permission,
                message: source.message.clone(),
            }),
            404 | 301 | 302 | 307 | 308 | 410 => {
                Trouble::Final(Error::NotFound { what: self.full_name(), url: self.url.clone() })
            }
            status @ (408 | 500..=599) => Trouble::Passing(
                Error::Unavailable { message: format!("status {status}: {}", source.message) },
                wait,
            ),
            status => Trouble::Final(Error::Protocol {
                message: format!("status {status}: {}", source.message),
            }),
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    what: &'static str,
    permission: &'static str,
}

enum Trouble {
    Final(Error),
    /// May be over after this long, if the service says how long.
    Passing(Error, Option<Duration>),
}

fn until(epoch_seconds: u64) -> Duration {
    (UNIX_EPOCH + Duration::from_secs(epoch_seconds))
        .duration_since(SystemTime::now())
        .unwrap_or_default()
}

fn sleep(duration: Duration) -> Result<(), Error> {
    let start = std::time::Instant::now();
    loop {
        if let Some(signal) = interrupt::pending() {
            return Err(Error::Interrupted(signal));
        }
        let Some(left) = duration.checked_sub(start.elapsed()) else { return Ok(()) };
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// An error and its causes on one line; octocrab's own text has a backtrace in it.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let line = error.to_string();
        let line = line.lines().next().unwrap_or_default().trim_end_matches(':').trim();
        if !line.is_empty() && !text.contains(line) {
            text += if text.is_empty() { "" } else { ": " };
            text += line;
        }
        cause = error.source();
    }
    text
}
