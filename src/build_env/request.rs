//! The request, and the memo of its resolution.
//!
//! A *request* is everything that can change the outcome of resolving: requirement strings,
//! constraints by content, index settings, the interpreter. `requests/<digest>.json` remembers the
//! outcome, so the usual run resolves nothing. It holds until the request changes, `--upgrade` is
//! given, or it is older than `--max-age`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Error;
use super::fingerprint::{Artifact, Distribution};
use super::indexes::Indexes;
use super::settings::{self, Settings};
use crate::interpreter::{Identity, Interpreter};
use crate::project::{Lowered, Requirement, UvFile, local_path};
use crate::{digest, fs};

const SCHEMA: u32 = 1;
/// A memo from further in the future than this was written under another clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Everything that decides which distributions an environment gets. Its digest is over its JSON,
/// fields in this order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Request {
    schema: u32,
    identity: Identity,
    /// Sorted and unique.
    pub requirements: Vec<String>,
    /// Digests of constraints files, and inline constraints.
    constraints: Vec<String>,
    indexes: Indexes,
    /// What of the installer's own configuration counts.
    settings: serde_json::Value,
    /// Requirements that must come from one index, and that.
    indexed: Vec<(String, Indexes)>,
    /// Content of requirements that are local directories or files.
    local: BTreeMap<String, String>,
    require_hashes: bool,
    /// Digest of `pylock.build.toml` when that decides.
    locked: Option<String>,
}

/// The parts of a request that do not come from the project's requirements.
#[derive(Debug)]
pub(crate) struct RequestContext<'a> {
    pub interpreter: &'a Interpreter,
    /// Files or URLs.
    pub constraints: &'a [String],
    pub inline_constraints: &'a [String],
    /// As flags and environment say.
    pub indexes: &'a Indexes,
    pub settings: &'a Settings,
    pub uv_file: Option<&'a UvFile>,
    pub require_hashes: bool,
    /// The content of the lock file.
    pub locked: Option<&'a [u8]>,
}

impl Request {
    pub(crate) fn new(
        context: &RequestContext<'_>,
        requirements: &[Lowered],
    ) -> Result<Self, Error> {
        let applies = |lowered: &&Lowered| {
            lowered.requirement.evaluate_markers(&context.interpreter.markers, &[])
        };
        let (plain, of_index): (Vec<_>, Vec<_>) =
            requirements.iter().filter(applies).partition(|lowered| lowered.index.is_none());
        let applicable: Vec<&Requirement> =
            plain.iter().map(|lowered| &lowered.requirement).collect();
        let mut indexed = Vec::new();
        for lowered in of_index {
            if let Some(index) = &lowered.index {
                indexed.push((
                    lowered.requirement.to_string(),
                    settings::indexes_of(index, context.uv_file)?.masked(),
                ));
            }
        }
        let mut strings: Vec<String> = applicable.iter().map(ToString::to_string).collect();
        strings.sort();
        strings.dedup();
        let mut local = BTreeMap::new();
        for requirement in applicable {
            if let Some(path) = local_path(requirement) {
                let content = content_of(&path).map_err(|source| Error::LocalRequirement {
                    requirement: requirement.to_string(),
                    path: path.clone(),
                    source,
                })?;
                local.insert(path.to_string_lossy().into_owned(), content);
            }
        }
        let mut constraints = context.inline_constraints.to_vec();
        for file in context.constraints {
            constraints.push(constraints_digest(file)?);
        }
        Ok(Self {
            schema: SCHEMA,
            identity: context.interpreter.identity.clone(),
            requirements: strings,
            constraints,
            indexes: context.indexes.masked(),
            settings: context.settings.part_of_request(),
            indexed,
            local,
            require_hashes: context.require_hashes,
            locked: context.locked.map(digest::bytes),
        })
    }

    /// Where its memo is.
    pub(crate) fn memo_path(&self, requests: &Path) -> PathBuf {
        requests.join(format!("{}.json", &digest::json(self)[..32]))
    }
}

/// Digest of a file or of a directory tree.
pub(crate) fn content_of(path: &Path) -> std::io::Result<String> {
    if path.is_dir() { digest::tree(path) } else { digest::file(path) }
}

/// Digest of a constraints file and of those that it includes. A URL stands for itself: what it
/// serves may change, which `--max-age` bounds.
fn constraints_digest(file: &str) -> Result<String, Error> {
    let mut hasher = digest::Hasher::default();
    add_constraints(file, &mut hasher, 0)?;
    Ok(hasher.finish())
}

fn add_constraints(file: &str, hasher: &mut digest::Hasher, depth: u32) -> Result<(), Error> {
    if file.contains("://") {
        hasher.field(crate::process::mask_credentials(file).as_bytes());
        return Ok(());
    }
    let text = fs_err::read_to_string(file)
        .map_err(|source| Error::Constraints { path: file.into(), source })?;
    hasher.field(text.as_bytes());
    for line in text.lines() {
        let included = ["-r", "-c", "--requirement", "--constraint"]
            .iter()
            .find_map(|flag| line.trim().strip_prefix(flag));
        if let Some(included) =
            included.map(|path| path.trim_start_matches('=').trim()).filter(|_| depth < 10)
        {
            let path = Path::new(file).parent().unwrap_or(Path::new("")).join(included);
            add_constraints(&path.to_string_lossy(), hasher, depth + 1)?;
        }
    }
    Ok(())
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memo {
    schema: u32,
    /// Seconds since the Unix epoch.
    pub resolved_at: u64,
    /// 64 hexadecimal digits; what the distributions come to.
    pub fingerprint: String,
    pub distributions: Vec<Distribution>,
    /// For people who look.
    requirements: Vec<String>,
    /// Answers of `get_requires_for_build_*`, by [`dynamic_key`].
    #[serde(default)]
    pub dynamic: BTreeMap<String, Vec<String>>,
}

/// Under which a memo keeps a hook's answer: the project, the hook, and all that is known to decide
/// the answer.
pub(crate) fn dynamic_key(project: &str, hook: &str, decides: &str) -> String {
    format!("{hook} {project} {}", &decides[..16])
}

impl Memo {
    pub(crate) fn new(
        request: &Request,
        fingerprint: String,
        distributions: Vec<Distribution>,
    ) -> Self {
        let resolved_at =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let requirements = request
            .requirements
            .iter()
            .map(|text| crate::process::mask_credentials(text))
            .collect();
        Self {
            schema: SCHEMA,
            resolved_at,
            fingerprint,
            distributions,
            requirements,
            dynamic: BTreeMap::new(),
        }
    }

    /// The memo at `path`, if there is one that we understand.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs_err::read(path).ok()?)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let memo: Self = serde_json::from_slice(bytes).ok()?;
        (memo.schema == SCHEMA).then_some(memo)
    }

    /// Whether it is recent enough. Without `max_age` it always is, unless it comes from the
    /// future.
    pub(crate) fn is_recent(&self, max_age: Option<Duration>) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let then = Duration::from_secs(self.resolved_at);
        then <= now + CLOCK_TOLERANCE
            && max_age.is_none_or(|max_age| now.saturating_sub(then) <= max_age)
    }

    /// Whether the local directories that it has are what they were, those aside that `request` has
    /// looked at.
    pub(crate) fn is_current(&self, request: &Request) -> bool {
        let directories =
            self.distributions.iter().filter_map(|distribution| match &distribution.artifact {
                Artifact::Directory { path, content } => Some((path, content)),
                _ => None,
            });
        let others = directories.filter(|(path, _)| !request.local.contains_key(*path));
        others
            .into_iter()
            .all(|(path, content)| content_of(Path::new(path)).is_ok_and(|now| now == *content))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).expect("our own plain data always serialises");
        fs::write_atomic(path, &json)
            .map_err(|source| Error::Write { path: path.to_path_buf(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memo(resolved_at: u64) -> Memo {
        Memo {
            schema: SCHEMA,
            resolved_at,
            fingerprint: String::new(),
            distributions: vec![],
            requirements: vec![],
            dynamic: BTreeMap::new(),
        }
    }

    #[test]
    fn a_memo_grows_old_and_is_not_trusted_from_the_future() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let day = Duration::from_secs(86400);
        assert!(memo(now - 3600).is_recent(Some(day)));
        assert!(!memo(now - 2 * 86400).is_recent(Some(day)));
        assert!(memo(now - 2 * 86400).is_recent(None));
        assert!(memo(now + 60).is_recent(None), "clocks differ a little");
        assert!(!memo(now + 86400).is_recent(None));
    }

    #[test]
    fn a_memo_of_another_schema_or_with_rubbish_counts_as_absent_and_unknown_fields_do_not_matter()
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        memo(1).write(&path).unwrap();
        assert_eq!(Memo::read(&path), Some(memo(1)));
        let mut value: serde_json::Value =
            serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        value["later"] = "field".into();
        fs_err::write(&path, value.to_string()).unwrap();
        assert_eq!(Memo::read(&path), Some(memo(1)));
        value["schema"] = 2.into();
        fs_err::write(&path, value.to_string()).unwrap();
        assert_eq!(Memo::read(&path), None);
        fs_err::write(&path, "{").unwrap();
        assert_eq!(Memo::read(&path), None);
    }

    #[test]
    fn included_constraints_count() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.txt");
        fs_err::write(&file, "-c more.txt\n").unwrap();
        fs_err::write(dir.path().join("more.txt"), "a==1").unwrap();
        let first = constraints_digest(&file.to_string_lossy()).unwrap();
        fs_err::write(dir.path().join("more.txt"), "a==2").unwrap();
        assert_ne!(first, constraints_digest(&file.to_string_lossy()).unwrap());
    }
}
