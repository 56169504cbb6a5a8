//! What started the job, as far as it decides what may be restored from caches and what may be
//! saved to them.
//!
//! Two questions. *May what this job makes be given to later jobs?* Not if somebody without write
//! access had a hand in it: what `pull_request_target`, `issue_comment` or `workflow_run` start has
//! the default branch's cache scope, and a fork's code in the work tree would poison it (<https://github.com/actions/cache/pull/1768>). *May this job use what others made?* Not if it
//! publishes: an artifact for the world should come from the tag and nothing else (zizmor's
//! `cache-poisoning` audit, <https://docs.zizmor.sh/audits/#cache-poisoning>).

use std::path::Path;

use serde_json::Value;

use crate::env_vars;

/// What is known of the event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Context {
    /// `push`, `pull_request`, ...
    pub event: String,
    /// `refs/heads/main`, `refs/pull/7/merge`, `refs/tags/v1`
    pub git_ref: String,
    /// `owner/name`
    pub repository: String,
    /// `main`; unknown if the payload does not say.
    pub default_branch: Option<String>,
    /// A pull request from a fork, or from a repository that was deleted.
    pub is_from_fork: bool,
    /// The job has `id-token: write`: it can prove who it is to a registry.
    pub can_prove_identity: bool,
    /// The workflow's `cache-mode` for this job, if it says one: what the cache service lets it
    /// do.
    pub cache_mode: Option<String>,
    /// The name of the workflow, and the id of the job in it.
    pub workflow: String,
    pub job: String,
}

/// When the user wants the caches saved: the input `save-cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaveCache {
    DefaultBranch,
    Always,
    Never,
}

/// Whether the user wants caches: the input `cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UseCache {
    Auto,
    Yes,
    No,
}

/// What is done with the caches, and why not more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub restore: bool,
    pub save: bool,
    /// What is made is taken to be for the world.
    pub publishes: bool,
    /// One line, if something is not done that could be.
    pub note: Option<String>,
}

/// What strangers can start, in the name of the repository.
const OPEN_TO_STRANGERS: &[&str] = &[
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "issues",
    "discussion",
    "discussion_comment",
    "fork",
    "watch",
    "pull_request_comment",
];

impl Context {
    /// From the environment of the step and the payload of the event.
    pub(crate) fn read() -> Self {
        let get = |name| env_vars::get(name).unwrap_or_default();
        let payload = env_vars::get("GITHUB_EVENT_PATH")
            .and_then(|path| fs_err::read(Path::new(&path)).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            event: get("GITHUB_EVENT_NAME"),
            git_ref: get("GITHUB_REF"),
            repository: get("GITHUB_REPOSITORY"),
            can_prove_identity: env_vars::get("ACTIONS_ID_TOKEN_REQUEST_URL").is_some(),
            cache_mode: cache_mode(
                &get("GITHUB_WORKFLOW_REF"),
                &get("GITHUB_JOB"),
                Path::new(&get("GITHUB_WORKSPACE")),
            ),
            workflow: get("GITHUB_WORKFLOW"),
            job: get("GITHUB_JOB"),
            ..Self::default()
        }
        .with_payload(payload.as_ref())
    }

    /// Adds what the payload says. Without one, a pull request counts as a stranger's.
    fn with_payload(mut self, payload: Option<&Value>) -> Self {
        let text = |path: &str| {
            payload
                .and_then(|payload| payload.pointer(path))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        self.default_branch = text("/repository/default_branch");
        let is_pull_request = self.event.starts_with("pull_request");
        let (head, base) =
            (text("/pull_request/head/repo/full_name"), text("/pull_request/base/repo/full_name"));
        self.is_from_fork = is_pull_request && (head.is_none() || head != base);
        self
    }

    fn is_default_branch(&self) -> bool {
        self.default_branch
            .as_ref()
            .is_some_and(|branch| self.git_ref.strip_prefix("refs/heads/") == Some(branch))
    }

    /// Why this job may have the code of strangers in it, if so.
    pub(crate) fn is_open_to_strangers(&self) -> Option<String> {
        if OPEN_TO_STRANGERS.contains(&self.event.as_str()) {
            return Some(format!("anyone can trigger `{}`", self.event));
        }
        self.is_from_fork.then(|| "the pull request is from a fork".to_owned())
    }

    /// Why what this job makes is taken to be for the world, if so.
    pub(crate) fn publishes(&self) -> Option<String> {
        if self.git_ref.starts_with("refs/tags/") {
            return Some("a tag is being built".to_owned());
        }
        if self.event == "release" {
            return Some("a release triggered this job".to_owned());
        }
        self.can_prove_identity.then(|| "this job has `id-token: write`".to_owned())
    }

    /// What is done with the caches, as the user wants it and the event allows it.
    pub(crate) fn policy(&self, cache: UseCache, save: SaveCache) -> Policy {
        let because = self.publishes();
        let publishes = because.is_some();
        if cache == UseCache::No {
            return Policy { restore: false, save: false, publishes, note: None };
        }
        if let (UseCache::Auto, Some(because)) = (cache, because) {
            let note = format!(
                "caches are off, because published artifacts should be built from their sources \
                    alone: {because} (`cache: true` turns them on)"
            );
            return Policy { restore: false, save: false, publishes, note: Some(note) };
        }
        let mode = self.cache_mode.as_deref().unwrap_or_default();
        if matches!(mode, "none" | "write-only") {
            let note =
                format!("caches are off: the workflow sets `cache-mode: {mode}` for this job");
            return Policy { restore: false, save: false, publishes, note: Some(note) };
        }
        let restored =
            |save: bool, note: Option<String>| Policy { restore: true, save, publishes, note };
        let not_saved = |because: &str| {
            restored(false, Some(format!("caches are restored but not saved: {because}")))
        };
        if let Some(because) = self.is_open_to_strangers() {
            return not_saved(&because);
        }
        if mode == "read" {
            return not_saved("the workflow sets `cache-mode: read` for this job");
        }
        if self.event == "merge_group" {
            return not_saved("only this merge queue entry could restore them");
        }
        match (save, &self.default_branch) {
            (SaveCache::Never, _) => restored(false, None),
            (SaveCache::Always, _) => restored(true, None),
            (SaveCache::DefaultBranch, _) if self.is_default_branch() => restored(true, None),
            (SaveCache::DefaultBranch, Some(branch)) => not_saved(&format!(
                "this is not the default branch `{branch}` (`save-cache: always` saves anyway)"
            )),
            (SaveCache::DefaultBranch, None) => not_saved(
                "the event does not name the default branch (`save-cache: always` saves anyway)",
            ),
        }
    }
}

/// What a workflow file says of the caches of a job; the runner tells it to actions in JavaScript
/// only.
///
/// Source: <https://github.blog/changelog/2026-09-10-control-github-actions-cache-access-with-cache-mode>
#[cfg(feature = "github")]
fn cache_mode(workflow_ref: &str, job: &str, workspace: &Path) -> Option<String> {
    // `owner/name/.github/workflows/ci.yml@refs/heads/main`
    let path = workflow_ref.split('@').next()?.splitn(3, '/').nth(2)?;
    let workflow: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&fs_err::read_to_string(workspace.join(path)).ok()?).ok()?;
    let of_job =
        workflow.get("jobs").and_then(|jobs| jobs.get(job)).and_then(|job| job.get("cache-mode"));
    Some(of_job.or_else(|| workflow.get("cache-mode"))?.as_str()?.to_owned())
}

#[cfg(not(feature = "github"))]
fn cache_mode(_workflow_ref: &str, _job: &str, _workspace: &Path) -> Option<String> {
    None
}

/// What tells the job that we run in from all others, if it is one.
pub(crate) fn job() -> Option<String> {
    let names = ["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "RUNNER_TEMP"];
    let parts: Vec<String> = names.iter().filter_map(|name| env_vars::get(name)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(event: &str, git_ref: &str) -> Context {
        let payload = json!({"repository": {"default_branch": "main", "full_name": "o/r"}});
        Context { event: event.into(), git_ref: git_ref.into(), ..Context::default() }
            .with_payload(Some(&payload))
    }

    fn pull_request(event: &str, head: &Value) -> Context {
        let payload = json!({
            "repository": {"default_branch": "main"},
            "pull_request": {"number": 7, "head": {"repo": head}, "base": {"repo": {"full_name": "o/r"}}},
        });
        Context { event: event.into(), git_ref: "refs/pull/7/merge".into(), ..Context::default() }
            .with_payload(Some(&payload))
    }

    #[test]
    fn who_may_restore_and_who_may_save() {
        use SaveCache::{Always, DefaultBranch, Never};
        use UseCache::{Auto, No, Yes};
        let own = || pull_request("pull_request", &json!({"full_name": "o/r"}));
        let fork = || pull_request("pull_request", &json!({"full_name": "stranger/r"}));
        let gone = || pull_request("pull_request", &Value::Null);
        let with_identity =
            || Context { can_prove_identity: true, ..context("push", "refs/heads/main") };
        let with_mode = |mode: &str| Context {
            cache_mode: Some(mode.into()),
            ..context("push", "refs/heads/main")
        };
        let without_payload = |event: &str| {
            Context { event: event.into(), git_ref: "refs/heads/main".into(), ..Context::default() }
                .with_payload(None)
        };
        // (context, cache, save-cache) -> (restored, saved)
        let table = [
            (context("push", "refs/heads/main"), Auto, DefaultBranch, (true, true)),
            (context("push", "refs/heads/mainline"), Auto, DefaultBranch, (true, false)),
            (context("push", "refs/heads/x/main"), Auto, DefaultBranch, (true, false)),
            (context("push", "refs/heads/topic"), Auto, Always, (true, true)),
            (context("push", "refs/heads/main"), Auto, Never, (true, false)),
            (context("push", "refs/heads/main"), No, Always, (false, false)),
            (context("schedule", "refs/heads/main"), Auto, DefaultBranch, (true, true)),
            (context("workflow_dispatch", "refs/tags/v1"), Auto, Always, (false, false)),
            (context("push", "refs/tags/v1"), Auto, Always, (false, false)),
            (context("push", "refs/tags/v1"), Yes, DefaultBranch, (true, false)),
            (context("release", "refs/tags/v1"), Auto, Always, (false, false)),
            (context("release", "refs/heads/main"), Auto, Always, (false, false)),
            (with_identity(), Auto, Always, (false, false)),
            (with_identity(), Yes, Always, (true, true)),
            (own(), Auto, DefaultBranch, (true, false)),
            (own(), Auto, Always, (true, true)),
            (fork(), Auto, Always, (true, false)),
            (fork(), Yes, Always, (true, false)),
            (gone(), Yes, Always, (true, false)),
            (context("pull_request_target", "refs/heads/main"), Yes, Always, (true, false)),
            (context("issue_comment", "refs/heads/main"), Yes, Always, (true, false)),
            (context("workflow_run", "refs/heads/main"), Yes, Always, (true, false)),
            (
                Context {
                    can_prove_identity: true,
                    ..context("pull_request_target", "refs/heads/main")
                },
                Auto,
                Always,
                (false, false),
            ),
            (
                Context {
                    can_prove_identity: true,
                    ..context("pull_request_target", "refs/heads/main")
                },
                Yes,
                Always,
                (true, false),
            ),
            (with_mode("none"), Auto, Always, (false, false)),
            (with_mode("write-only"), Yes, Always, (false, false)),
            (with_mode("read"), Auto, Always, (true, false)),
            (with_mode("write"), Auto, DefaultBranch, (true, true)),
            (with_mode("of another day"), Auto, DefaultBranch, (true, true)),
            (
                context("merge_group", "refs/heads/gh-readonly-queue/main/pr-7-abc"),
                Auto,
                Always,
                (true, false),
            ),
            (without_payload("pull_request"), Auto, Always, (true, false)),
            (without_payload("push"), Auto, DefaultBranch, (true, false)),
        ];
        for (context, cache, save, expected) in table {
            let policy = context.policy(cache, save);
            assert_eq!((policy.restore, policy.save), expected, "{context:?} {cache:?} {save:?}");
            let is_less_than_asked = cache != No && save != Never && expected != (true, true);
            assert_eq!(policy.note.is_some(), is_less_than_asked, "{context:?} {policy:?}");
            assert_eq!(policy.publishes, context.publishes().is_some(), "whatever is asked for");
        }
    }

    #[test]
    #[cfg(feature = "github")]
    fn the_cache_mode_of_a_job_goes_before_that_of_its_workflow() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".github/workflows/ci.yml");
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, "cache-mode: read\njobs:\n  a: {cache-mode: none}\n  b: {runs-on: x}\n  c: {cache-mode: [x]}\n").unwrap();
        let mode = |workflow: &str, job: &str| cache_mode(workflow, job, dir.path());
        let workflow = "octo/project/.github/workflows/ci.yml@refs/heads/a/b@c";
        assert_eq!(mode(workflow, "a").as_deref(), Some("none"));
        assert_eq!(mode(workflow, "b").as_deref(), Some("read"));
        assert_eq!(
            (mode(workflow, "c"), mode("octo/project/gone.yml@x", "a"), mode("", "a")),
            (None, None, None)
        );
    }
}
