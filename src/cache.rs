//! A repository's GitHub caches: the keys that we use, the owner of an entry, and which entries are
//! no longer needed.
//!
//! ```text
//! pyenv-build-env-1/<abi tag>/<leg>/<request>/<steps>                  build environments and memos: .pyenv-build/{envs,requests}
//! pyenv-build-store-1/<abi tag>/<leg>/<fingerprint>/<lock>/<sources>   compiled crates: .pyenv-build/store
//! v0-rust-pyenv-build-<abi tag>-<leg>-<os>-<arch>-<hash>-<hash>        rust-cache, with our prefix
//! v0-rust-...-<hash>-<hash>                                            rust-cache, without us
//! ```
//!
//! Entries are immutable: a better state needs another key. A lookup takes the exact key, else the
//! newest entry that begins with a restore key; ours drop one part after the other from the right.
//! So of two entries that differ only in what may be dropped, on one branch and for the same paths
//! (`version`), a lookup that is not exact takes the newer: the older is *superseded*. The ABI tag
//! stands first and is never dropped: objects for Pythons with and without a GIL must not meet.
//! rust-cache drops its last part only.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#cache-key-matching>,
//! <https://github.com/Swatinem/rust-cache/blob/6323deb102c322ba6fcbdcafc7e3dddab59af2b6/src/config.ts>

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// Version of what is in our entries.
const SCHEMA: u32 = 1;
/// What all keys of ours have in them.
pub(crate) const OURS: &str = "pyenv-build-";
/// How rust-cache's keys begin unless its users want otherwise.
const RUST_CACHE: &str = "v0-rust-";
/// Digits of a digest in a key.
const DIGITS: usize = 12;

/// A key and the prefixes to fall back to, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub key: String,
    pub restore_keys: Vec<String>,
}

impl Key {
    fn new(kind: &str, abi_tag: &str, leg: &str, droppable: &[&str]) -> Self {
        let mut key = format!("{OURS}{kind}-{SCHEMA}/{}/{}/", part(abi_tag), part(leg));
        let mut restore_keys = vec![key.clone()];
        for (index, digest) in droppable.iter().enumerate() {
            key.push_str(&digest.chars().take(DIGITS).collect::<String>());
            if index + 1 < droppable.len() {
                key.push('/');
                restore_keys.insert(0, key.clone());
            }
        }
        Self { key, restore_keys }
    }

    /// The key of build environments: they are found again by what was asked for. `steps` stands
    /// for what later steps may want.
    pub(crate) fn environments(abi_tag: &str, leg: &str, request: &str, steps: &str) -> Self {
        Self::new("env", abi_tag, leg, &[request, steps])
    }

    /// The key of the store. `lock` stands for all that decides the dependencies and the compiler.
    pub(crate) fn store(
        abi_tag: &str,
        leg: &str,
        fingerprint: &str,
        lock: &str,
        sources: &str,
    ) -> Self {
        Self::new("store", abi_tag, leg, &[fingerprint, lock, sources])
    }
}

/// The `prefix-key` of rust-cache: the ABI tag rolls all of it.
pub(crate) fn rust_cache_prefix(abi_tag: &str) -> String {
    format!("{RUST_CACHE}{OURS}{}", part(abi_tag))
}

/// What tells this job's caches from those of other jobs and other calls: the name that the user
/// gave, or job and inputs.
pub(crate) fn leg(shared_key: Option<&str>, job: &str, inputs: &[&str]) -> String {
    if let Some(name) = shared_key {
        let clean = part(name);
        // Two names that are cleaned to the same must not share.
        return if clean == name {
            clean
        } else {
            format!("{clean}-{}", &crate::digest::bytes(name.as_bytes())[..8])
        };
    }
    let mut hasher = crate::digest::Hasher::default();
    for input in inputs {
        hasher.field(input.as_bytes());
    }
    format!("{}-{}", part(job), &hasher.finish()[..8])
}

/// Text as a part of a key: no separator, no comma (which the service refuses), of a length that
/// leaves room for the others.
fn part(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(80)
        .collect();
    if clean.is_empty() { "none".to_owned() } else { clean }
}

/// An entry as the service lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: u64,
    pub key: String,
    /// `refs/heads/main`, `refs/pull/7/merge`; some very old ones have none.
    pub git_ref: String,
    /// Digest of the paths and of the way they are packed.
    pub version: String,
    pub created: SystemTime,
    pub last_used: SystemTime,
    pub size_bytes: u64,
}

/// Whose an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Ours,
    RustCache,
    Other,
}

impl Owner {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "pyenv-build",
            Self::RustCache => "rust-cache",
            Self::Other => "other",
        }
    }
}

impl Entry {
    pub(crate) fn owner(&self) -> Owner {
        if self.key.starts_with(RUST_CACHE) {
            Owner::RustCache
        } else if self.key.starts_with(OURS) {
            Owner::Ours
        } else {
            Owner::Other
        }
    }

    /// The key without the parts that a lookup may drop, if it is a key as we or rust-cache make
    /// them.
    fn family(&self) -> Option<String> {
        match self.owner() {
            Owner::Ours => {
                let parts: Vec<&str> = self.key.split('/').collect();
                let is_ours = |kind: &str, count: usize| {
                    parts[0] == format!("{OURS}{kind}-{SCHEMA}") && parts.len() == count
                };
                (is_ours("env", 5) || is_ours("store", 6)).then(|| parts[..3].join("/"))
            }
            Owner::RustCache => {
                let is_hash = |text: &str| {
                    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
                };
                let (rest, last) = self.key.rsplit_once('-')?;
                let (_, environment) = rest.rsplit_once('-')?;
                (is_hash(last) && is_hash(environment)).then(|| rest.to_owned())
            }
            Owner::Other => None,
        }
    }

    /// The environment's fingerprint, as far as the key has it.
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        let parts: Vec<&str> = self.key.split('/').collect();
        (parts.len() == 6 && parts[0] == format!("{OURS}store-{SCHEMA}")).then(|| parts[3])
    }

    /// The number of the pull request that alone can use this entry.
    pub(crate) fn pull_request(&self) -> Option<u64> {
        self.git_ref.strip_prefix("refs/pull/")?.split_once('/')?.0.parse().ok()
    }

    /// `main` for `refs/heads/main`; other refs as they are.
    pub(crate) fn branch(&self) -> &str {
        self.git_ref.strip_prefix("refs/heads/").unwrap_or(&self.git_ref)
    }
}

/// Which entries are looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// A branch's name or a whole ref.
    pub branch: Option<String>,
    /// The beginning of an environment's fingerprint.
    pub fingerprint: Option<String>,
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        self.branch.is_none() && self.fingerprint.is_none()
    }

    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        let is_branch = self
            .branch
            .as_ref()
            .is_none_or(|branch| entry.branch() == branch || entry.git_ref == *branch);
        // Keys have the beginning of it, and so may have the user.
        let is_fingerprint = self.fingerprint.as_ref().is_none_or(|wanted| {
            let wanted: String = wanted.chars().take(DIGITS).collect();
            entry.fingerprint().is_some_and(|found| found.starts_with(&wanted))
        });
        is_branch && is_fingerprint
    }
}

/// What prune is asked to remove.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub filter: Filter,
    /// All that the filter takes.
    pub all: bool,
    /// What ours and rust-cache's may come to.
    pub max_size_bytes: Option<u64>,
    /// Numbers of the open pull requests; `None` if they are not known, and none counts as closed.
    pub open_pull_requests: Option<BTreeSet<u64>>,
}

/// Why an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Asked,
    PullRequestClosed(u64),
    /// The id of the newest that took its place.
    Superseded(u64),
    OverBudget,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::PullRequestClosed(_) => "pull-request-closed",
            Self::Superseded(_) => "superseded",
            Self::OverBudget => "over-budget",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("requested"),
            Self::PullRequestClosed(number) => write!(f, "pull request {number} is closed"),
            Self::Superseded(by) => write!(f, "superseded by {by}"),
            Self::OverBudget => f.write_str("over the size limit"),
        }
    }
}

/// The entries that go, by id, with the reason; never anybody else's.
pub(crate) fn choose(entries: &[Entry], policy: &Policy) -> BTreeMap<u64, Reason> {
    let ours: Vec<&Entry> = entries.iter().filter(|entry| entry.owner() != Owner::Other).collect();
    // What is newest is judged by all entries: a filter only says which of the others may go.
    let mut newest: BTreeMap<(&str, &str, String), &Entry> = BTreeMap::new();
    for entry in &ours {
        let Some(family) = entry.family() else { continue };
        let best = newest.entry((&entry.git_ref, &entry.version, family)).or_insert(entry);
        if (entry.created, entry.id) > (best.created, best.id) {
            *best = entry;
        }
    }
    let mut chosen = BTreeMap::new();
    for entry in ours.iter().filter(|entry| policy.filter.takes(entry)) {
        let closed = entry.pull_request().filter(|number| {
            policy.open_pull_requests.as_ref().is_some_and(|open| !open.contains(number))
        });
        let by = entry.family().and_then(|family| {
            newest.get(&(entry.git_ref.as_str(), entry.version.as_str(), family))
        });
        let reason = match (policy.all, closed, by) {
            (true, _, _) => Reason::Asked,
            (false, Some(number), _) => Reason::PullRequestClosed(number),
            (false, None, Some(by)) if by.id != entry.id => Reason::Superseded(by.id),
            (false, None, _) => continue,
        };
        chosen.insert(entry.id, reason);
    }
    if let Some(budget) = policy.max_size_bytes {
        let mut kept: Vec<&Entry> =
            ours.into_iter().filter(|entry| !chosen.contains_key(&entry.id)).collect();
        let mut total: u64 = kept.iter().map(|entry| entry.size_bytes).sum();
        // As GitHub evicts: the least recently used first.
        kept.sort_by_key(|entry| (entry.last_used, entry.id));
        for entry in kept.into_iter().filter(|entry| policy.filter.takes(entry)) {
            if total <= budget {
                break;
            }
            total -= entry.size_bytes;
            chosen.insert(entry.id, Reason::OverBudget);
        }
    }
    chosen
}

/// `1.5 GB`, `300 MiB`, `4096` as bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{text}` is not a size: write 500MB, 2GiB or a number of bytes")),
    };
    let number: f64 = number.parse().map_err(|_ignored| {
        format!("`{text}` is not a size: write 500MB, 2GiB or a number of bytes")
    })?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it has no sign, and saturates"
    )]
    Ok((number * factor) as u64)
}

/// Bytes for people, in the units of GitHub's own pages.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let bytes = bytes as f64;
    match bytes {
        0.0..1e3 => format!("{bytes} B"),
        1e3..1e6 => format!("{:.1} kB", bytes / 1e3),
        1e6..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests;
