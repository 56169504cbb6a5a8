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
mod tests;
