//! Jobs that share a cache key but compile different units.
//!
//! An entry is never replaced, and a run that finds its exact key saves nothing. So of two jobs
//! with one key, the one that is done first saves for both. If they compile different units, the
//! other job restores what it cannot use, and compiles all of its own in every run.
//!
//! That does not change from run to run: rust-cache deletes the workspace's own crates, and our
//! store is saved with what the job used and nothing else. Two uses hurt each other only if
//! everything in the key is the same. The rule says nothing where it cannot tell.
//!
//! | | in the key, or in the paths of the entry: it may differ | not in it: it must not differ |
//! |---|---|---|
//! | rust-cache | system, installed toolchains, variables of the job such as `RUSTFLAGS`, `workspaces` | `--target`, the Python, `RUSTFLAGS` of single steps, `+nightly` |
//! | our action | ABI, build environment, toolchain, variables, the root of the workspace | projects of one workspace, the backend's profile and features |
//!
//! Not reported, since it does no certain harm:
//!
//! - Several uses in one job: they are saved at its end, with the work of all of them.
//! - A job that only restores.
//! - `check` and `build`, or debug and release: many jobs do both, and which one is needed is not
//!   visible.
//! - A job that publishes, and one for pull requests. What a pull request saves is for its own
//!   runs, so it cannot get into the release. That a job that publishes restores caches at all is
//!   for [`CACHE_MODE_MISSING`](super::publishing::CACHE_MODE_MISSING).
//!
//! Source: <https://github.com/Swatinem/rust-cache/blob/6323deb102c322ba6fcbdcafc7e3dddab59af2b6/src/config.ts>

use std::collections::BTreeMap;

use super::caches::{Kind, Use, uses, with_occasions};
use super::made::{Known, Made, Place, Unknown, settings};
use crate::doctor::facts::{Job, Leg, Step, Workflow};
use crate::doctor::{Facts, Finding, Rule, Severity};

pub(crate) const SHARED_KEY: Rule = Rule {
    id: "shared-key-of-different-jobs",
    severity: Severity::Warning,
    summary: "jobs that compile different things share a cache key",
    why: "a cache entry is never replaced: the job that finishes first saves it, and the other \
        finds the key taken. That job restores crates that it cannot use, and compiles its own in \
        every run",
    suggestion: "give each of them its own `shared-key`, such as `name-${{ matrix.target }}`",
    check: shared_key,
};

/// rust-cache hashes variables whose names begin so, and our action too.
const VARIABLES: &[&str] = &["CARGO", "CC", "CFLAGS", "CXX", "CMAKE", "RUST"];
/// Inputs of rust-cache that are in its key or decide its paths.
const RUST_CACHE_INPUTS: &[&str] = &[
    "prefix-key",
    "workspaces",
    "cache-directories",
    "cache-targets",
    "cache-bin",
    "env-vars",
    "cache-provider",
    "add-rust-environment-hash-key",
];
/// Inputs of our action that may decide the build environment, which is in its keys.
const OUR_INPUTS: &[&str] = &["installer", "constraints", "locked"];

/// A use of a shared key in one leg of a job.
struct Shared<'a> {
    workflow: &'a Workflow,
    job: &'a Job,
    leg: &'a Leg,
    kind: Kind,
    key: String,
    made: Vec<Made>,
}

fn shared_key(facts: &Facts) -> Vec<Finding> {
    let all = with_occasions(facts);
    let uses = uses(&all);
    let mut groups: BTreeMap<Vec<String>, Vec<Shared<'_>>> = BTreeMap::new();
    for one in
        uses.iter().filter(|one| one.kind != Kind::Files && one.step.input("shared-key").is_some())
    {
        for place in one.job.legs.iter().filter_map(|leg| Place::of(one, leg)) {
            if let Ok((identity, shared)) = shared(&place, facts) {
                groups.entry(identity).or_default().push(shared);
            }
        }
    }
    groups.values().filter_map(|group| clash(group)).collect()
}

/// The first two of those with one key that have nothing in common.
fn clash(group: &[Shared<'_>]) -> Option<Finding> {
    let pairs = group
        .iter()
        .enumerate()
        .flat_map(|(at, one)| group[at + 1..].iter().map(move |other| (one, other)));
    let is_one_job = |one: &Shared<'_>, other: &Shared<'_>| std::ptr::eq(one.job, other.job);
    let mut apart = pairs
        .filter(|(one, other)| !is_one_job(one, other) || one.leg != other.leg)
        .filter(|(one, other)| {
            let compiles = !one.made.is_empty() && !other.made.is_empty();
            compiles
                && one
                    .made
                    .iter()
                    .all(|made| other.made.iter().all(|its| !made.differences(its).is_empty()))
        });
    let (one, other) = apart.next()?;
    let [said, otherwise] = one.made[0].differences(&other.made[0]).into_iter().next()?;
    let key = format!("the key `{}` of {}", one.key, one.kind.name());
    let (message, suggestion) = if is_one_job(one, other) {
        (
            format!(
                "legs of job `{}` share {key}: one compiles with {said}, another with {otherwise}",
                one.job.name
            ),
            "add the difference to `shared-key`, such as `${{ matrix.target }}`",
        )
    } else {
        let file = other.workflow.path.file_name().unwrap_or_default().to_string_lossy();
        let place = if one.workflow.path == other.workflow.path {
            String::new()
        } else {
            format!(" of `{file}`")
        };
        (
            format!(
                "jobs `{}` and `{}`{place} share {key}: one compiles with {said}, the other with {otherwise}",
                one.job.name, other.job.name
            ),
            "give each of them its own `shared-key`",
        )
    };
    Some(SHARED_KEY.finding(one.workflow.path.clone(), message, suggestion.to_owned()))
}

/// All that is in the key, or decides the paths of the entry; and the use with what the key says
/// nothing of.
fn shared<'a>(place: &Place<'a>, facts: &Facts) -> Known<(Vec<String>, Shared<'a>)> {
    let Use { workflow, job, step, kind, .. } = *place.one;
    let at = job.steps.iter().position(|other| std::ptr::eq(other, step)).ok_or(Unknown)?;
    let key = place.input("shared-key")?;
    let mut identity = vec![kind.name().to_owned(), key.clone(), place.occasion.git_ref.clone()];
    // Of the machine only the kind of system is in the key, and the toolchain, which comes with the
    // image or is installed by a step.
    identity.push(place.known(&job.runs_on)?);
    identity.push(place.known(job.container.as_deref().unwrap_or_default())?);
    identity.push(toolchains(place, &job.steps[..at])?);
    let (more, made) = if kind == Kind::Ours {
        of_our_action(place, &job.steps[..at], facts)?
    } else {
        of_rust_cache(place, &job.steps[at..])?
    };
    identity.extend(more);
    Ok((identity, Shared { workflow, job, leg: place.leg, kind, key, made }))
}

fn of_our_action(
    place: &Place<'_>,
    before: &[Step],
    facts: &Facts,
) -> Known<(Vec<String>, Vec<Made>)> {
    let step = place.one.step;
    let project = directory(&place.known(step.input("project").unwrap_or("."))?);
    // Where nothing is known of a project, it shares with itself only.
    let placed = facts
        .projects
        .get(&project)
        .map(|placed| (placed.root.display().to_string(), placed.requires.join("\n")));
    let (root, requires) = placed.unwrap_or_else(|| (project.clone(), String::new()));
    let python =
        step.input("python").map_or_else(|| place.python(before), |python| place.known(python))?;
    let (settings, other_arguments) = settings(&place.input("args")?)?;
    let mut identity = vec![variables(place)?, root, requires, python, other_arguments];
    for name in OUR_INPUTS {
        identity.push(place.input(name)?);
    }
    // Without a build of its own it keeps what later steps compile.
    let builds = step.input("build").is_none_or(|build| build == "true");
    let made =
        if builds { vec![Made { project, settings, ..Made::default() }] } else { Vec::new() };
    Ok((identity, made))
}

fn of_rust_cache(place: &Place<'_>, after: &[Step]) -> Known<(Vec<String>, Vec<Made>)> {
    let mut identity: Vec<String> =
        RUST_CACHE_INPUTS.iter().map(|name| place.input(name)).collect::<Known<_>>()?;
    if place.one.step.input("add-rust-environment-hash-key") != Some("false") {
        identity.push(variables(place)?);
    }
    let commands: Vec<String> = after.iter().flat_map(Step::commands).collect();
    if commands.iter().any(|command| decides_later_steps(command)) {
        return Err(Unknown);
    }
    Ok((identity, place.compiled()?))
}

/// A directory in one spelling.
pub(super) fn directory(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    if path.is_empty() { ".".to_owned() } else { path.to_owned() }
}

/// Variables that are hashed into the key.
fn variables(place: &Place<'_>) -> Known<String> {
    let all: BTreeMap<&String, &String> =
        place.one.job.env.iter().chain(&place.one.step.env).collect();
    let more = place.input("env-vars")?;
    let prefixes: Vec<&str> = VARIABLES.iter().copied().chain(more.split_whitespace()).collect();
    let hashed =
        all.into_iter().filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    let texts: Known<Vec<String>> =
        hashed.map(|(name, value)| Ok(format!("{name}={}", place.known(value)?))).collect();
    Ok(texts?.join("\n"))
}

/// The steps that install or choose toolchains, or set variables: where they are the same, so is
/// what they lead to.
fn toolchains(place: &Place<'_>, steps: &[Step]) -> Known<String> {
    let mut all = Vec::new();
    for step in steps {
        let uses = step.uses.as_deref().unwrap_or_default();
        let is_action = uses.contains("rust-toolchain") || uses.contains("setup-rust");
        let commands: Vec<String> =
            step.commands().into_iter().filter(|command| decides_later_steps(command)).collect();
        if (!is_action && commands.is_empty()) || !place.runs(step)? {
            continue;
        }
        let settings =
            step.with.iter().chain(&step.env).map(|(name, value)| format!("{name}={value}"));
        let texts = [uses.to_owned(), step.version.clone().unwrap_or_default()]
            .into_iter()
            .chain(settings)
            .chain(commands);
        all.push(place.known(&texts.collect::<Vec<_>>().join("\n"))?);
    }
    Ok(all.join("\n"))
}

/// Whether a command may change what later steps compile with.
fn decides_later_steps(command: &str) -> bool {
    ["rustup", "GITHUB_ENV", "export "].iter().any(|word| command.contains(word))
}

#[cfg(test)]
mod tests;
