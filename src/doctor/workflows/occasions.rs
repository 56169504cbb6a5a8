//! The events on which a workflow runs, with their ref, and the outcome of its conditions there.
//!
//! Conditions have three outcomes: what is only known in the run, such as the outputs of a step,
//! may be either.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>,
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions>

use std::collections::BTreeSet;
use std::path::Path;

use crate::doctor::Facts;
use crate::doctor::facts::{Job, Leg, Step, Trigger, Workflow};

/// Where git does not know the default branch.
const USUAL_BRANCHES: [&str; 2] = ["main", "master"];

/// An event with the ref that the workflow runs for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occasion {
    /// `None`: another repository calls the workflow, on some event.
    pub event: Option<String>,
    pub git_ref: String,
    pub default_branch: String,
    /// The `cache-mode` of jobs that call the workflow: it has no more access than they have.
    pub limits: Vec<String>,
}

/// The branches that may be the default one.
pub(super) fn default_branches(facts: &Facts) -> Vec<&str> {
    facts.default_branch.as_deref().map_or_else(|| USUAL_BRANCHES.to_vec(), |branch| vec![branch])
}

/// All occasions on which a workflow runs, one for each event and kind of ref.
pub(super) fn occasions(workflow: &Workflow, facts: &Facts) -> Vec<Occasion> {
    default_branches(facts)
        .into_iter()
        .flat_map(|branch| with_default(workflow, branch, facts, &[]))
        .collect()
}

/// `above`: the workflows that this one calls, whose callers are looked for.
fn with_default(
    workflow: &Workflow,
    default_branch: &str,
    facts: &Facts,
    above: &[&Path],
) -> Vec<Occasion> {
    let on = |event: &str, git_ref: String| Occasion {
        event: Some(event.to_owned()),
        git_ref,
        default_branch: default_branch.to_owned(),
        limits: Vec::new(),
    };
    let mut all = Vec::new();
    for trigger in &workflow.triggers {
        let event = trigger.event.as_str();
        match event {
            "push" => all.extend(
                pushed(trigger, default_branch).into_iter().map(|git_ref| on(event, git_ref)),
            ),
            "pull_request" | "pull_request_review" | "pull_request_review_comment" => {
                all.push(on(event, "refs/pull/1/merge".to_owned()));
            }
            "merge_group" => {
                all.push(on(
                    event,
                    format!("refs/heads/gh-readonly-queue/{default_branch}/pr-1-0"),
                ));
            }
            "release" | "create" => all.push(on(event, "refs/tags/v1.0.0".to_owned())),
            "workflow_call" => all.extend(called(workflow, default_branch, facts, above)),
            _ => all.push(on(event, format!("refs/heads/{default_branch}"))),
        }
    }
    all
}

/// The occasions of the jobs that call a workflow; if nobody here does, one of which nothing is
/// known.
fn called(
    workflow: &Workflow,
    default_branch: &str,
    facts: &Facts,
    above: &[&Path],
) -> Vec<Occasion> {
    let unknown = Occasion {
        event: None,
        git_ref: String::new(),
        default_branch: default_branch.to_owned(),
        limits: Vec::new(),
    };
    // GitHub refuses a circle of calls.
    if above.contains(&workflow.path.as_path()) {
        return vec![unknown];
    }
    let above = [above, &[workflow.path.as_path()]].concat();
    let name = workflow.path.file_name().unwrap_or_default().to_string_lossy();
    let calls = |job: &&Job| {
        job.calls.as_deref().is_some_and(|called| called == format!("./.github/workflows/{name}"))
    };
    let mut all = Vec::new();
    for caller in &facts.workflows {
        for job in caller.jobs.iter().filter(calls) {
            let occasions = with_default(caller, default_branch, facts, &above).into_iter();
            all.extend(occasions.filter(|occasion| occasion.may_run(job, None)).map(
                |mut occasion| {
                    occasion.limits.extend(job.cache_mode.clone());
                    occasion
                },
            ));
        }
    }
    if all.is_empty() { vec![unknown] } else { all }
}

/// A ref of each kind that a push has to be of: the default branch, another branch, a tag.
fn pushed(trigger: &Trigger, default_branch: &str) -> Vec<String> {
    let mut refs = Vec::new();
    let is_filtered = trigger.branches.is_some() || trigger.tags.is_some();
    let mut add = |kind: &str, patterns: &Option<Vec<String>>, candidates: &[&str]| {
        let Some(patterns) = patterns else {
            let all = candidates.iter().filter(|_| !is_filtered);
            refs.extend(all.map(|name| format!("refs/{kind}/{name}")));
            return;
        };
        // A name for each pattern, for what is neither.
        let positive = patterns.iter().filter(|pattern| !pattern.starts_with('!'));
        let more = positive.map(|pattern| pattern.replace("**", "*").replace('*', "x"));
        let names: BTreeSet<String> =
            candidates.iter().map(|name| (*name).to_owned()).chain(more).collect();
        refs.extend(
            names
                .iter()
                .filter(|name| takes(patterns, name))
                .map(|name| format!("refs/{kind}/{name}")),
        );
    };
    add("heads", &trigger.branches, &[default_branch, "some-topic"]);
    add("tags", &trigger.tags, &["v1.0.0"]);
    refs
}

/// Whether patterns take a name; of several that match it the last decides.
fn takes(patterns: &[String], name: &str) -> bool {
    patterns.iter().fold(false, |taken, pattern| {
        let (positive, is_negated) =
            pattern.strip_prefix('!').map_or((pattern.as_str(), false), |rest| (rest, true));
        // These mean something else to GitHub than to globs: such a pattern may match anything.
        let glob = Some(positive).filter(|text| !text.contains(['?', '+', '[']));
        let glob = glob
            .and_then(|text| globset::GlobBuilder::new(text).literal_separator(true).build().ok());
        let matches = glob.map_or(!is_negated, |glob| glob.compile_matcher().is_match(name));
        if matches { !is_negated } else { taken }
    })
}

/// What a part of an expression comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Flag(bool),
    Unknown,
}

impl Value {
    fn is_true(&self) -> Option<bool> {
        match self {
            Self::Text(text) => Some(!text.is_empty()),
            Self::Flag(flag) => Some(*flag),
            Self::Unknown => None,
        }
    }
}

impl Occasion {
    pub(super) fn is_default_branch(&self) -> bool {
        self.event.is_some()
            && self.git_ref.strip_prefix("refs/heads/") == Some(&self.default_branch)
    }

    /// Whether it is on the default branch, by somebody who may write to it.
    pub(super) fn is_trusted(&self) -> bool {
        let is_event = |event: &str| {
            matches!(event, "push" | "schedule" | "workflow_dispatch" | "repository_dispatch")
        };
        self.is_default_branch() && self.event.as_deref().is_some_and(is_event)
    }

    /// Whether other runs can restore what is saved: not those of a tag, or of an entry of the
    /// merge queue.
    pub(super) fn is_shared(&self) -> bool {
        !self.git_ref.starts_with("refs/tags/") && self.event.as_deref() != Some("merge_group")
    }

    /// Whether a condition (`if`) holds, as far as it is known.
    pub(super) fn holds(&self, condition: Option<&str>, leg: Option<&Leg>) -> Option<bool> {
        condition.map_or(Some(true), |text| self.value(text, leg).is_true())
    }

    /// Whether an input is `true`, as far as it is known. `default`: where it is not set.
    pub(super) fn is_set(&self, input: Option<&str>, default: bool) -> Option<bool> {
        let Some(text) = input else { return Some(default) };
        match self.value(text, None) {
            Value::Text(text) => Some(text.eq_ignore_ascii_case("true")),
            value => value.is_true(),
        }
    }

    /// Whether a job, or a step in it, is not known to be left out.
    pub(super) fn may_run(&self, job: &Job, step: Option<&Step>) -> bool {
        self.holds(job.condition.as_deref(), None) != Some(false)
            && step.is_none_or(|step| self.holds(step.condition.as_deref(), None) != Some(false))
    }

    fn value(&self, text: &str, leg: Option<&Leg>) -> Value {
        let text = text.trim();
        let inside =
            text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap_or(text);
        // Several expressions make one text.
        if inside.contains("${{") {
            return Value::Unknown;
        }
        let mut reader = Reader { rest: inside, occasion: self, leg };
        reader.any_of().filter(|_| reader.rest.trim().is_empty()).unwrap_or(Value::Unknown)
    }
}

/// Reads an expression; `None` is one that it does not understand.
struct Reader<'a> {
    rest: &'a str,
    occasion: &'a Occasion,
    leg: Option<&'a Leg>,
}

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn any_of(&mut self) -> Option<Value> {
        let mut left = self.all_of()?;
        while self.eat("||") {
            let right = self.all_of()?;
            left = match (left.is_true(), right.is_true()) {
                (Some(true), _) => left,
                (Some(false), _) => right,
                (None, Some(true)) => Value::Flag(true),
                (None, _) => Value::Unknown,
            };
        }
        Some(left)
    }

    fn all_of(&mut self) -> Option<Value> {
        let mut left = self.comparison()?;
        while self.eat("&&") {
            let right = self.comparison()?;
            left = match (left.is_true(), right.is_true()) {
                (Some(true), _) => right,
                (Some(false), _) => left,
                (None, Some(false)) => Value::Flag(false),
                (None, _) => Value::Unknown,
            };
        }
        Some(left)
    }

    fn comparison(&mut self) -> Option<Value> {
        let left = self.single()?;
        let is_negated = if self.eat("==") {
            false
        } else if self.eat("!=") {
            true
        } else {
            return Some(left);
        };
        Some(match (left, self.single()?) {
            (Value::Text(one), Value::Text(other)) => {
                Value::Flag(one.eq_ignore_ascii_case(&other) != is_negated)
            }
            (Value::Flag(one), Value::Flag(other)) => Value::Flag((one == other) != is_negated),
            _ => Value::Unknown,
        })
    }

    fn single(&mut self) -> Option<Value> {
        if self.eat("!") {
            return Some(
                self.single()?.is_true().map_or(Value::Unknown, |flag| Value::Flag(!flag)),
            );
        }
        if self.eat("(") {
            let inside = self.any_of()?;
            return self.eat(")").then_some(inside);
        }
        if self.eat("'") {
            // Doubled, it stands for itself.
            let (text, rest) =
                self.rest.split_once('\'').filter(|(_, rest)| !rest.starts_with('\''))?;
            self.rest = rest;
            return Some(Value::Text(text.to_owned()));
        }
        let rest = self.rest.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"_.-*".contains(c))
            .unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        self.rest = rest;
        if name.is_empty() {
            return None;
        }
        if self.eat("(") { self.call(name) } else { Some(self.named(name)) }
    }

    fn call(&mut self, name: &str) -> Option<Value> {
        let mut arguments = Vec::new();
        while !self.eat(")") {
            arguments.push(self.any_of()?);
            if !self.eat(",") && !self.rest.trim_start().starts_with(')') {
                return None;
            }
        }
        let lower: Vec<Option<String>> = arguments
            .iter()
            .map(|argument| match argument {
                Value::Text(text) => Some(text.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        Some(match (name, lower.as_slice()) {
            ("success" | "always", []) => Value::Flag(true),
            ("cancelled", []) => Value::Flag(false),
            ("startsWith", [Some(text), Some(part)]) => Value::Flag(text.starts_with(part)),
            ("endsWith", [Some(text), Some(part)]) => Value::Flag(text.ends_with(part)),
            ("contains", [Some(text), Some(part)]) => Value::Flag(text.contains(part)),
            ("format", [Some(text), Some(part)]) => Value::Text(text.replace("{0}", part)),
            _ => Value::Unknown,
        })
    }

    fn named(&self, name: &str) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let occasion = self.occasion;
        if let Some(variable) = name.strip_prefix("matrix.") {
            return self
                .leg
                .and_then(|leg| leg.get(variable))
                .map_or(Value::Unknown, |value| text(value));
        }
        // What is asked is what happens where no cache has been found.
        if name.starts_with("steps.") && name.ends_with(".outputs.cache-hit") {
            return text("false");
        }
        let git_ref = &occasion.git_ref;
        let is_pull_request =
            occasion.event.as_deref().is_some_and(|event| event.starts_with("pull_request"));
        match name {
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ if occasion.event.is_none() => Value::Unknown,
            "github.event_name" => text(occasion.event.as_deref().unwrap_or_default()),
            "github.ref" => text(git_ref),
            "github.ref_name" => text(
                ["refs/heads/", "refs/tags/", "refs/pull/"]
                    .iter()
                    .find_map(|kind| git_ref.strip_prefix(kind))
                    .unwrap_or(git_ref),
            ),
            "github.ref_type" => {
                text(if git_ref.starts_with("refs/tags/") { "tag" } else { "branch" })
            }
            "github.event.repository.default_branch" => text(&occasion.default_branch),
            "github.head_ref" | "github.base_ref" if !is_pull_request => text(""),
            _ if name.starts_with("github.event.pull_request") && !is_pull_request => text(""),
            _ => Value::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
