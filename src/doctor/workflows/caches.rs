//! Which runs save caches, and which runs can restore them.
//!
//! GitHub's scopes: a run restores what its own ref, its base branch or the default branch has
//! saved. So what a pull request saves is for its own runs only, what the merge queue saves is for
//! nobody, and what the default branch saves is for all. Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#restrictions-for-accessing-a-cache>

use super::occasions::{Occasion, default_branches, occasions};
use crate::actions::context::{Context, Policy, SaveCache, UseCache};
use crate::doctor::facts::{Job, Step, Workflow};
use crate::doctor::{Facts, Finding, Rule, Severity};

pub(crate) const NOTHING_SAVES: Rule = Rule {
    id: "nothing-saves-caches",
    severity: Severity::Warning,
    summary: "jobs restore caches that no workflow saves",
    why: "a pull request can restore what the default branch saved. If no run on the default branch saves, every run finds no cache and \
          compiles everything",
    suggestion: "run the workflow on pushes to the default branch as well (`on: push: branches: \
        [main]`), and let it save there",
    check: nothing_saves,
};

pub(crate) const MERGE_QUEUE_SAVES: Rule = Rule {
    id: "merge-queue-saves",
    severity: Severity::Warning,
    summary: "a job saves caches in the merge queue",
    why: "a cache saved on `gh-readonly-queue/...` cannot be restored by any other run, takes \
        time to save, and counts towards the repository's limit, where it evicts caches that \
        other runs need (https://github.com/actions/cache/issues/1798)",
    suggestion: "for rust-cache, set `save-if: ${{ github.event_name != 'merge_group' }}`; \
        instead of `actions/cache`, use `actions/cache/restore`, and `actions/cache/save` with \
        `if: github.event_name != 'merge_group'`",
    check: merge_queue_saves,
};

/// Whose caches a step uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    RustCache,
    /// `actions/cache` and its parts.
    Files,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::RustCache, Self::Files];

    pub(super) fn of(step: &Step) -> Option<Self> {
        if step.is_our_action() {
            Some(Self::Ours)
        } else if step.is_rust_cache() {
            Some(Self::RustCache)
        } else {
            ["actions/cache", "actions/cache/restore", "actions/cache/save"]
                .iter()
                .any(|action| step.is(action))
                .then_some(Self::Files)
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "our action",
            Self::RustCache => "rust-cache",
            Self::Files => "actions/cache",
        }
    }
}

/// A step that uses caches.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    pub workflow: &'a Workflow,
    pub job: &'a Job,
    pub step: &'a Step,
    pub kind: Kind,
    pub occasions: &'a [Occasion],
}

/// All workflows, each with the occasions on which it runs.
pub(super) fn with_occasions(facts: &Facts) -> Vec<(&Workflow, Vec<Occasion>)> {
    facts.workflows.iter().map(|workflow| (workflow, occasions(workflow, facts))).collect()
}

pub(super) fn uses<'a>(all: &'a [(&'a Workflow, Vec<Occasion>)]) -> Vec<Use<'a>> {
    let mut found = Vec::new();
    for (workflow, occasions) in all {
        for job in &workflow.jobs {
            let steps = job.steps.iter().filter_map(|step| Some((step, Kind::of(step)?)));
            found.extend(steps.map(|(step, kind)| Use { workflow, job, step, kind, occasions }));
        }
    }
    found
}

/// Whether the cache service lets a job do something, as far as `cache-mode` says; `None`: that is
/// an expression.
fn is_allowed(job: &Job, occasion: &Occasion, refusing: [&str; 2]) -> Option<bool> {
    let mut modes = occasion.limits.iter().chain(&job.cache_mode);
    if modes.clone().any(|mode| refusing.contains(&mode.as_str())) {
        return Some(false);
    }
    (!modes.any(|mode| mode.contains("${{"))).then_some(true)
}

pub(super) fn may_be_read(job: &Job, occasion: &Occasion) -> Option<bool> {
    is_allowed(job, occasion, ["none", "write-only"])
}

fn may_be_written(job: &Job, occasion: &Occasion) -> Option<bool> {
    is_allowed(job, occasion, ["none", "read"])
}

impl Use<'_> {
    /// Whether it is not known that nothing is saved.
    pub(super) fn may_save(&self, occasion: &Occasion) -> bool {
        if !occasion.may_run(self.job, Some(self.step))
            || may_be_written(self.job, occasion) == Some(false)
        {
            return false;
        }
        match self.kind {
            Kind::Ours => self.policy(occasion).is_none_or(|policy| policy.save),
            Kind::RustCache => occasion.is_set(self.step.input("save-if"), true) != Some(false),
            Kind::Files => !self.step.is("actions/cache/restore"),
        }
    }

    /// Whether something is restored if there is something.
    fn restores(&self, occasion: &Occasion) -> bool {
        if !occasion.may_run(self.job, Some(self.step))
            || may_be_read(self.job, occasion) != Some(true)
        {
            return false;
        }
        match self.kind {
            Kind::Ours => self.policy(occasion).is_some_and(|policy| policy.restore),
            Kind::RustCache => !self.only_looks(),
            Kind::Files => !self.step.is("actions/cache/save") && !self.only_looks(),
        }
    }

    fn only_looks(&self) -> bool {
        self.step.input("lookup-only").is_some_and(|value| value != "false")
    }

    /// What our action does with caches; `None`: that is only known in the run.
    fn policy(&self, occasion: &Occasion) -> Option<Policy> {
        let cache = match self.step.input("cache") {
            None | Some("auto") => UseCache::Auto,
            Some("true") => UseCache::Yes,
            Some("false") => UseCache::No,
            Some(_) => return None,
        };
        let save = match self.step.input("save-cache") {
            None | Some("default-branch") => SaveCache::DefaultBranch,
            Some("always") => SaveCache::Always,
            Some("never") => SaveCache::Never,
            Some(_) => return None,
        };
        let context = Context {
            event: occasion.event.clone()?,
            git_ref: occasion.git_ref.clone(),
            default_branch: Some(occasion.default_branch.clone()),
            can_prove_identity: self.job.can_prove_identity,
            ..Context::default()
        };
        Some(context.policy(cache, save))
    }

    /// Whether its caches are for builds of ours.
    fn is_for_us(&self) -> bool {
        self.kind == Kind::Ours || self.job.steps.iter().any(Step::runs_ours)
    }
}

fn nothing_saves(facts: &Facts) -> Vec<Finding> {
    let all = with_occasions(facts);
    // What is in actions and workflows that are not here may save.
    let is_opaque = |job: &Job| {
        job.calls.as_deref().is_some_and(|called| !called.starts_with("./"))
            || job
                .steps
                .iter()
                .any(|step| step.uses.as_deref().is_some_and(|uses| uses.starts_with("./")))
    };
    let on_default = |occasions: &[Occasion], job: &Job| {
        occasions.iter().any(|one| one.is_default_branch() && one.may_run(job, None))
    };
    if all.iter().any(|(workflow, occasions)| {
        workflow.jobs.iter().any(|job| is_opaque(job) && on_default(occasions, job))
    }) {
        return Vec::new();
    }
    let uses = uses(&all);
    let find = |kind: &Kind| {
        let of_kind: Vec<&Use<'_>> = uses.iter().filter(|one| one.kind == *kind).collect();
        if of_kind.iter().any(|one| {
            one.occasions.iter().any(|occasion| occasion.is_shared() && one.may_save(occasion))
        }) {
            return None;
        }
        let restores = |one: &&&Use<'_>| {
            one.occasions.iter().any(|occasion| occasion.is_shared() && one.restores(occasion))
        };
        let first = of_kind.iter().filter(|one| one.is_for_us()).find(restores)?;
        let place = match default_branches(facts)[..] {
            [branch] => format!("the default branch (`{branch}`)"),
            _ => "`main` or `master` (git does not know which branch is the default)".to_owned(),
        };
        let runs_there = of_kind.iter().any(|one| {
            one.occasions.iter().any(|on| on.is_trusted() && on.may_run(one.job, Some(one.step)))
        });
        let (because, suggestion) = if runs_there {
            let how = match kind {
                Kind::Ours => "leave `save-cache` unset in a job that runs there",
                Kind::RustCache => "in a job that runs there, make `save-if` true",
                Kind::Files => "add `actions/cache/save` to a job that runs there",
            };
            (format!("the jobs that run on {place} only restore"), how.to_owned())
        } else {
            let branch = default_branches(facts)[0];
            let suggestion = format!(
                "run a workflow with the same jobs on pushes to it as well: `on: push: branches: [{branch}]`"
            );
            (
                format!(
                    "no workflow with {} runs on a push to {place}, on a schedule or by hand",
                    kind.name()
                ),
                suggestion,
            )
        };
        let message = format!(
            "nothing saves the caches that job `{}` restores with {}: {because}",
            first.job.name,
            kind.name()
        );
        Some(NOTHING_SAVES.finding(first.workflow.path.clone(), message, suggestion))
    };
    Kind::ALL.iter().filter_map(find).collect()
}

fn merge_queue_saves(facts: &Facts) -> Vec<Finding> {
    let all = with_occasions(facts);
    let saves = |one: &&Use<'_>| {
        let mut queue = one
            .occasions
            .iter()
            .filter(|occasion| occasion.event.as_deref() == Some("merge_group"));
        queue.any(|occasion| {
            let is_certain = one.kind == Kind::RustCache
                && occasion.is_set(one.step.input("save-if"), true) == Some(true)
                || one.kind == Kind::Files && !one.step.is("actions/cache/restore");
            is_certain
                && occasion.may_run(one.job, None)
                && occasion.holds(one.step.condition.as_deref(), None) == Some(true)
                && may_be_written(one.job, occasion) == Some(true)
        })
    };
    let find = |one: &Use<'_>| {
        let message = format!(
            "job `{}` saves caches with {} in the merge queue",
            one.job.name,
            one.kind.name()
        );
        let suggestion = match one.kind {
            Kind::RustCache => "add `save-if: ${{ github.event_name != 'merge_group' }}`",
            _ => {
                "use `actions/cache/restore`, and `actions/cache/save` with `if: github.event_name != 'merge_group'`"
            }
        };
        MERGE_QUEUE_SAVES.finding(one.workflow.path.clone(), message, suggestion.to_owned())
    };
    let mut findings: Vec<Finding> = uses(&all).iter().filter(saves).map(find).collect();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::doctor::workflows::file::parse;

    fn facts(texts: &[&str]) -> Facts {
        let files = texts.iter().enumerate();
        let workflows = files
            .map(|(at, text)| {
                parse(Path::new(&format!(".github/workflows/{at}.yml")), text).unwrap()
            })
            .collect();
        Facts { workflows, default_branch: Some("main".into()), ..Facts::default() }
    }

    fn messages(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.message).collect()
    }

    /// A workflow on some events, of one job `test` with these steps.
    fn workflow(on: &str, steps: &str) -> String {
        let indented =
            steps.lines().map(|line| format!("      {line}\n")).collect::<Vec<_>>().concat();
        format!("on: {on}\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n{indented}")
    }

    const OURS: &str = "- uses: o/cargo-pyenv-build@v1\n";
    const RUST_CACHE: &str = "- run: cargo pyenv-build\n- uses: Swatinem/rust-cache@v2\n";
    const ON_MAIN: &str = "  with: {save-if: \"${{ github.ref == 'refs/heads/main' }}\"}\n";

    #[test]
    fn caches_that_nothing_saves() {
        let found =
            |on: &str, steps: &str| messages(nothing_saves(&facts(&[&workflow(on, steps)])));
        let of_main = "no workflow with our action runs on a push to the default branch (`main`), on a schedule or by hand";
        let expected =
            format!("nothing saves the caches that job `test` restores with our action: {of_main}");
        assert_eq!(found("pull_request", OURS), [expected]);
        for on in [
            "{pull_request: , push: {branches: [develop]}}",
            "{pull_request: , push: {branches-ignore: [main]}}",
            "{pull_request: , push: {tags: ['v*']}}",
            "[pull_request, merge_group]",
            "[pull_request, release]",
            "{push: {branches: [develop]}}",
            // Strangers start these on the default branch, and what they make is never saved.
            "[pull_request, issue_comment, workflow_run]",
        ] {
            assert_eq!(found(on, OURS).len(), 1, "{on}");
        }
        for on in [
            "push",
            "[pull_request, push]",
            "{pull_request: , push: {branches: [main]}}",
            "{pull_request: , push: {branches: ['ma*', 'release/**']}}",
            "{pull_request: , push: {paths: [src]}}",
            "{pull_request: , push: {tags-ignore: [x], branches: ['**']}}",
            "{pull_request: , schedule: [{cron: x}]}",
            "[pull_request, workflow_dispatch]",
            // What is published uses no cache.
            "{push: {tags: ['v*']}}",
            "release",
            // Somebody else's events.
            "workflow_call",
        ] {
            assert_eq!(found(on, OURS), [""; 0], "{on}");
        }
        for (with, expected) in [
            ("save-cache: always", 0),
            ("cache: false", 0),
            ("save-cache: never", 1),
            ("save-cache: '${{ inputs.save }}'", 0),
            ("cache: '${{ inputs.cache }}'", 0),
        ] {
            assert_eq!(
                found("pull_request", &format!("{OURS}  with: {{{with}}}\n")).len(),
                expected,
                "{with}"
            );
        }
        let never =
            found("[push, pull_request]", &format!("{OURS}  with: {{save-cache: never}}\n"));
        assert!(
            never.len() == 1
                && never[0]
                    .ends_with(": the jobs that run on the default branch (`main`) only restore"),
            "{never:?}"
        );
    }

    #[test]
    fn caches_of_others_around_our_command() {
        let found =
            |on: &str, steps: &str| messages(nothing_saves(&facts(&[&workflow(on, steps)]))).len();
        assert_eq!(found("pull_request", &format!("{RUST_CACHE}{ON_MAIN}")), 1);
        assert_eq!(found("pull_request", &format!("{RUST_CACHE}  with: {{save-if: false}}\n")), 1);
        assert_eq!(
            found("[push, pull_request]", &format!("{RUST_CACHE}  with: {{save-if: false}}\n")),
            1
        );
        // A branch that was renamed.
        assert_eq!(
            found(
                "[push, pull_request]",
                &format!("{RUST_CACHE}{}", ON_MAIN.replace("/main", "/master"))
            ),
            1
        );
        assert_eq!(found("[push, pull_request]", &format!("{RUST_CACHE}{ON_MAIN}")), 0);
        assert_eq!(found("pull_request", RUST_CACHE), 0, "each pull request saves for itself");
        assert_eq!(
            found(
                "pull_request",
                &format!("{RUST_CACHE}  with: {{save-if: \"${{{{ inputs.save }}}}\"}}\n")
            ),
            0
        );
        assert_eq!(
            found(
                "pull_request",
                &format!("- uses: Swatinem/rust-cache@v2\n{ON_MAIN}- run: cargo test\n")
            ),
            0,
            "it is not about ours"
        );
        let restore = "- run: cargo pyenv-build\n- uses: actions/cache/restore@v5\n";
        assert_eq!(found("pull_request", restore), 1);
        assert_eq!(found("pull_request", &restore.replace("/restore", "")), 0);
        let save = "- uses: actions/cache/save@v5\n  if: github.ref == 'refs/heads/main'\n";
        assert_eq!(found("pull_request", &format!("{restore}{save}")), 1);
        assert_eq!(found("[push, pull_request]", &format!("{restore}{save}")), 0);
    }

    #[test]
    fn who_saves_may_be_elsewhere() {
        let found = |texts: &[&str]| messages(nothing_saves(&facts(texts))).len();
        let reader = workflow("pull_request", OURS);
        assert_eq!(found(&[&reader, &workflow("push", "- run: cargo test\n")]), 1);
        assert_eq!(found(&[&reader, &workflow("{push: {branches: [main]}}", OURS)]), 0);
        assert_eq!(found(&[&reader, &workflow("push", RUST_CACHE)]), 1, "of another kind");
        // What they do is not visible.
        assert_eq!(found(&[&reader, &workflow("push", "- uses: ./.github/actions/build\n")]), 0);
        assert_eq!(
            found(&[&reader, "on: push\njobs: {a: {uses: o/r/.github/workflows/build.yml@v1}}\n"]),
            0
        );
        // A workflow that is called has its callers' events.
        let called = workflow("workflow_call", OURS);
        let caller =
            |on: &str| format!("on: {on}\njobs: {{a: {{uses: ./.github/workflows/0.yml}}}}\n");
        assert_eq!(found(&[&called, &caller("pull_request")]), 1);
        assert_eq!(found(&[&called, &caller("[pull_request, push]")]), 0);
        // Jobs and steps that do not run there, or must not save.
        let both = workflow("[push, pull_request]", OURS);
        for (from, to) in [
            ("    steps:", "    if: github.event_name == 'pull_request'\n    steps:"),
            ("build@v1", "build@v1\n        if: github.event_name != 'push'"),
            ("    steps:", "    cache-mode: read\n    steps:"),
        ] {
            assert_eq!(found(&[&both.replace(from, to)]), 1, "{to}");
        }
        assert_eq!(
            found(&[&both.replace("    steps:", "    cache-mode: none\n    steps:")]),
            0,
            "nothing is restored either"
        );
        assert_eq!(
            found(&[&both.replace("    steps:", "    if: needs.x.outputs.y\n    steps:")]),
            0
        );
    }

    #[test]
    fn without_a_known_default_branch_it_may_be_one_of_two() {
        let found = |branch: &str| {
            let on = format!("{{pull_request: , push: {{branches: [{branch}]}}}}");
            messages(nothing_saves(&Facts {
                default_branch: None,
                ..facts(&[&workflow(&on, OURS)])
            }))
        };
        assert_eq!((found("main"), found("master")), (Vec::new(), Vec::new()));
        let [message] = &found("trunk")[..] else { panic!() };
        assert!(
            message.contains(
                "a push to `main` or `master` (git does not know which branch is the default), on a"
            ),
            "{message}"
        );
    }

    #[test]
    fn what_the_merge_queue_saves() {
        let found =
            |on: &str, steps: &str| messages(merge_queue_saves(&facts(&[&workflow(on, steps)])));
        let rust_cache = "- uses: Swatinem/rust-cache@v2\n";
        let files = "- uses: actions/cache@v5\n";
        let both = "[push, merge_group]";
        assert_eq!(
            found(both, rust_cache),
            ["job `test` saves caches with rust-cache in the merge queue"]
        );
        assert_eq!(
            found(both, files),
            ["job `test` saves caches with actions/cache in the merge queue"]
        );
        assert_eq!(found(both, &files.repeat(2)).len(), 1, "once for each job and action");
        let save = "- uses: actions/cache/save@v5\n";
        for saving in [
            format!("{rust_cache}  with: {{save-if: true}}\n"),
            format!(
                "{rust_cache}  with: {{save-if: \"${{{{ github.event_name != 'pull_request' }}}}\"}}\n"
            ),
            save.to_owned(),
            format!("{save}  if: steps.x.outputs.cache-hit != 'true'\n"),
        ] {
            assert_eq!(found(both, &saving).len(), 1, "{saving}");
        }
        for near in [
            format!("{rust_cache}{ON_MAIN}"),
            format!(
                "{rust_cache}  with: {{save-if: \"${{{{ github.event_name != 'merge_group' }}}}\"}}\n"
            ),
            format!("{rust_cache}  with: {{save-if: false}}\n"),
            format!("{rust_cache}  with: {{save-if: \"${{{{ inputs.save }}}}\"}}\n"),
            format!("{rust_cache}  if: github.event_name == 'push'\n"),
            files.replace("cache@", "cache/restore@"),
            format!("{save}  if: github.ref == 'refs/heads/main'\n"),
            format!("{save}  if: env.SAVE\n"),
            // Ours never saves there.
            OURS.to_owned(),
            format!("{OURS}  with: {{save-cache: always}}\n"),
        ] {
            assert_eq!(found(both, &near), [""; 0], "{near}");
        }
        assert_eq!(found("[push, pull_request]", rust_cache), [""; 0]);
        let limited =
            workflow(both, rust_cache).replace("    steps:", "    cache-mode: read\n    steps:");
        assert_eq!(messages(merge_queue_saves(&facts(&[&limited]))), [""; 0]);
    }

    #[test]
    fn our_own_workflows_have_no_findings() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
        let text = |name: &str| fs_err::read_to_string(directory.join(name)).unwrap();
        let facts = facts(&[&text("ci.yml"), &text("release.yml")]);
        assert_eq!(facts.workflows.iter().map(|workflow| workflow.jobs.len()).min(), Some(5));
        assert_eq!(crate::doctor::examine(&facts), []);
    }
}
