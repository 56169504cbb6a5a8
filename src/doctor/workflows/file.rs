//! Reads workflow files.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>

use std::collections::BTreeMap;
use std::path::Path;

use serde_yaml_ng::Value;

use crate::doctor::facts::{Job, Leg, Step, Trigger, Workflow};

/// GitHub's own limit for the jobs of a matrix.
const MOST_LEGS: usize = 256;

/// Reads a workflow. A file that is not one has no jobs.
pub(crate) fn parse(path: &Path, text: &str) -> Option<Workflow> {
    let value: Value = serde_yaml_ng::from_str(text).ok()?;
    let env = texts(value.get("env"));
    let jobs = value.get("jobs").and_then(Value::as_mapping).into_iter().flatten();
    Some(Workflow {
        path: path.to_path_buf(),
        triggers: value.get("on").map(triggers).unwrap_or_default(),
        jobs: jobs
            .filter_map(|(name, job)| Some(self::job(name.as_str()?, job, &value, &env)))
            .collect(),
    })
}

fn job(name: &str, job: &Value, workflow: &Value, workflow_env: &BTreeMap<String, String>) -> Job {
    let container = job.get("container");
    let of_both = |key: &str| job.get(key).or_else(|| workflow.get(key));
    let mut env = workflow_env.clone();
    env.extend(texts(job.get("env")));
    Job {
        name: name.to_owned(),
        runs_on: job.get("runs-on").map(joined).unwrap_or_default(),
        container: container
            .and_then(|one| one.as_str().or_else(|| one.get("image")?.as_str()))
            .map(str::to_owned),
        condition: job.get("if").and_then(scalar),
        env,
        cache_mode: of_both("cache-mode").and_then(scalar),
        can_prove_identity: of_both("permissions")
            .and_then(|all| all.get("id-token"))
            .is_some_and(|one| one.as_str() == Some("write")),
        calls: job.get("uses").and_then(scalar),
        legs: legs(job),
        steps: job
            .get("steps")
            .and_then(Value::as_sequence)
            .into_iter()
            .flatten()
            .map(step)
            .collect(),
    }
}

fn step(value: &Value) -> Step {
    let (uses, version) =
        match value.get("uses").and_then(Value::as_str).map(|uses| (uses, uses.split_once('@'))) {
            Some((_, Some((uses, version)))) => (Some(uses.to_owned()), Some(version.to_owned())),
            Some((uses, None)) => (Some(uses.to_owned()), None),
            None => (None, None),
        };
    Step {
        uses,
        version,
        with: texts(value.get("with")),
        run: value.get("run").and_then(Value::as_str).map(str::to_owned),
        condition: value.get("if").and_then(scalar),
        env: texts(value.get("env")),
    }
}

/// `on: push`, `on: [push, pull_request]` or a mapping with filters.
fn triggers(on: &Value) -> Vec<Trigger> {
    let plain =
        |event: &Value| Some(Trigger { event: event.as_str()?.to_owned(), ..Trigger::default() });
    match on {
        Value::Sequence(events) => events.iter().filter_map(plain).collect(),
        Value::Mapping(events) => {
            events.iter().filter_map(|(event, filters)| trigger(event, filters)).collect()
        }
        event => plain(event).into_iter().collect(),
    }
}

fn trigger(event: &Value, filters: &Value) -> Option<Trigger> {
    let patterns = |key: &str| {
        let only = filters.get(key).map(list);
        let ignored = filters.get(format!("{key}-ignore")).map(list);
        only.or_else(|| {
            Some(
                std::iter::once("**".to_owned())
                    .chain(ignored?.into_iter().map(|pattern| format!("!{pattern}")))
                    .collect(),
            )
        })
    };
    Some(Trigger {
        event: event.as_str()?.to_owned(),
        branches: patterns("branches"),
        tags: patterns("tags"),
    })
}

/// The legs of a job's matrix.
///
/// Source: <https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations>
fn legs(job: &Value) -> Vec<Leg> {
    let Some(matrix) = job.get("strategy").and_then(|strategy| strategy.get("matrix")) else {
        return vec![Leg::new()];
    };
    // An expression such as `fromJSON(...)` is known when the job runs.
    expanded(matrix).unwrap_or_default()
}

fn expanded(matrix: &Value) -> Option<Vec<Leg>> {
    let matrix = matrix.as_mapping()?;
    let named = |name: &str| match matrix.get(name) {
        Some(list) => list
            .as_sequence()?
            .iter()
            .map(|entry| entry.is_mapping().then(|| flat("", entry)))
            .collect(),
        None => Some(Vec::new()),
    };
    let (include, exclude): (Vec<Leg>, Vec<Leg>) = (named("include")?, named("exclude")?);
    let mut legs = vec![Leg::new()];
    for (name, values) in matrix {
        let name = name.as_str()?;
        if matches!(name, "include" | "exclude") {
            continue;
        }
        let values = values.as_sequence()?;
        if legs.len() * values.len() > MOST_LEGS {
            return None;
        }
        let with =
            |leg: &Leg, value: &Value| leg.clone().into_iter().chain(flat(name, value)).collect();
        legs =
            legs.iter().flat_map(|leg| values.iter().map(move |value| with(leg, value))).collect();
    }
    let has = |leg: &Leg, entry: &Leg| entry.iter().all(|(key, value)| leg.get(key) == Some(value));
    legs.retain(|leg| !leg.is_empty() && !exclude.iter().any(|entry| has(leg, entry)));
    let original = legs.clone();
    for entry in include {
        // It is added to the legs whose own values it leaves as they are, or it is a leg of its
        // own.
        let fits = |leg: &Leg| {
            entry.iter().all(|(key, value)| leg.get(key).is_none_or(|own| own == value))
        };
        let fitting: Vec<usize> =
            original.iter().enumerate().filter(|(_, leg)| fits(leg)).map(|(at, _)| at).collect();
        for at in &fitting {
            legs[*at].extend(entry.clone());
        }
        if fitting.is_empty() {
            legs.push(entry);
        }
    }
    Some(legs)
}

/// A value of a matrix as variables: `name`, or `name.key` for an object.
fn flat(name: &str, value: &Value) -> Leg {
    let Some(mapping) = value.as_mapping() else {
        return Leg::from([(name.to_owned(), joined(value))]);
    };
    let entries = mapping.iter().filter_map(|(key, value)| Some((key.as_str()?, value)));
    entries
        .flat_map(|(key, value)| {
            flat(&if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }, value)
        })
        .collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The scalars of a mapping.
fn texts(mapping: Option<&Value>) -> BTreeMap<String, String> {
    let entries = mapping.and_then(Value::as_mapping).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str()?.to_owned(), scalar(value)?))).collect()
}

/// The scalars of a list; of a scalar, that one.
fn list(value: &Value) -> Vec<String> {
    value.as_sequence().map_or_else(
        || scalar(value).into_iter().collect(),
        |all| all.iter().filter_map(scalar).collect(),
    )
}

/// Any value as one text, the same for the same value.
fn joined(value: &Value) -> String {
    scalar(value)
        .unwrap_or_else(|| serde_yaml_ng::to_string(value).unwrap_or_default().trim().to_owned())
}

/// Text in which the values of a leg stand for `${{ matrix.name }}`.
pub(super) fn filled(text: &str, leg: &Leg) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{")
        && let Some((inside, behind)) = after.split_once("}}")
    {
        done.push_str(before);
        match inside.trim().strip_prefix("matrix.").and_then(|name| leg.get(name)) {
            Some(value) => done.push_str(value),
            None => done.extend(["${{", inside, "}}"]),
        }
        rest = behind;
    }
    done + rest
}

impl Step {
    pub(in crate::doctor) fn is(&self, action: &str) -> bool {
        self.uses.as_deref().is_some_and(|uses| uses.eq_ignore_ascii_case(action))
    }

    pub(super) fn is_rust_cache(&self) -> bool {
        self.is("Swatinem/rust-cache")
    }

    pub(super) fn is_our_action(&self) -> bool {
        self.uses.as_deref().is_some_and(|uses| uses.ends_with("/cargo-pyenv-build"))
    }

    /// An input, if it is set to something.
    pub(super) fn input(&self, name: &str) -> Option<&str> {
        self.with.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The lines of its script that run something, those that go on joined.
    pub(super) fn commands(&self) -> Vec<String> {
        let script = self.run.as_deref().unwrap_or_default().replace("\\\n", " ");
        let parts = script
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.split("&&"));
        parts
            .flat_map(|part| part.split(';'))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    pub(super) fn runs_ours(&self) -> bool {
        self.commands().iter().any(|command| is_ours(command))
    }
}

/// Whether a command runs us; one that only handles a file of our name does not.
pub(super) fn is_ours(command: &str) -> bool {
    let words = || command.split_whitespace();
    let mut rest = words().skip_while(|word| word.contains('=') && !word.starts_with('-'));
    let program = rest.next().unwrap_or_default().trim_matches(['"', '\'']);
    Path::new(program).file_stem().is_some_and(|name| name == "cargo-pyenv-build")
        || words().zip(words().skip(1)).any(|pair| pair == ("cargo", "pyenv-build"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Workflow {
        parse(Path::new("ci.yml"), text).unwrap()
    }

    #[test]
    fn a_file_that_is_not_a_workflow_is_passed_over() {
        assert_eq!(parse(Path::new("x.yml"), "a: [b"), None);
        for text in [
            "",
            "[]",
            "jobs: 1",
            "jobs:\n  a:\n    steps: x\n",
            "jobs:\n  a: x\n",
            "on:\n  push: 1\n  3: x\n",
        ] {
            assert!(
                parse(Path::new("x.yml"), text)
                    .is_none_or(|workflow| workflow.jobs.iter().all(|job| job.steps.is_empty())),
                "{text}"
            );
        }
        let image = parsed("jobs: {a: {container: {image: 'alpine:3'}}}");
        assert_eq!(image.jobs[0].container.as_deref(), Some("alpine:3"));
        assert_eq!(
            parsed("on: {push: {branches: 1}}\njobs: {a: {strategy: 3, env: x}}").jobs[0].legs,
            [Leg::new()]
        );
    }

    #[test]
    fn triggers_and_their_filters() {
        let events = |text: &str| parsed(text).triggers;
        let plain = |event: &str| Trigger { event: event.into(), ..Trigger::default() };
        assert_eq!(events("on: push"), [plain("push")]);
        assert_eq!(events("on: [push, merge_group]"), [plain("push"), plain("merge_group")]);
        let text = "on:\n  push:\n    branches: main\n    tags-ignore: ['x*']\n  pull_request:\n  schedule:\n    - cron: x\n";
        let filtered = Trigger {
            event: "push".into(),
            branches: Some(vec!["main".into()]),
            tags: Some(vec!["**".into(), "!x*".into()]),
        };
        assert_eq!(events(text), [filtered, plain("pull_request"), plain("schedule")]);
    }

    #[test]
    fn a_job_has_what_its_workflow_says_unless_it_says_it_itself() {
        let workflow = parsed(
            "env: {A: 1, B: true}\ncache-mode: read\npermissions: {id-token: write}\njobs:\n  a: {env: {B: x}}\n  b:\n    cache-mode: \
             none\n    permissions: {contents: read}\n    uses: ./.github/workflows/x.yml\n",
        );
        let [a, b] = &workflow.jobs[..] else { panic!() };
        let env = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            (&a.env, &b.env),
            (&env(&[("A", "1"), ("B", "x")]), &env(&[("A", "1"), ("B", "true")]))
        );
        assert_eq!(
            (a.cache_mode.as_deref(), b.cache_mode.as_deref()),
            (Some("read"), Some("none"))
        );
        assert_eq!((a.can_prove_identity, b.can_prove_identity), (true, false));
        assert_eq!(b.calls.as_deref(), Some("./.github/workflows/x.yml"));
        let step = &parsed("jobs: {a: {steps: [{uses: 'o/n/p@v1', if: x, env: {C: 3}}]}}").jobs[0]
            .steps[0];
        assert_eq!((step.uses.as_deref(), step.version.as_deref()), (Some("o/n/p"), Some("v1")));
        assert_eq!((step.condition.as_deref(), &step.env), (Some("x"), &env(&[("C", "3")])));
    }

    #[test]
    fn a_matrix_has_legs() {
        let legs = |matrix: &str| {
            let job = &parsed(&format!("jobs: {{a: {{strategy: {{matrix: {matrix}}}}}}}")).jobs[0];
            let shown = |leg: &Leg| {
                leg.iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            job.legs.iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(
            legs("{os: [l, w], py: ['3.9', 3.13]}"),
            ["os=l py=3.9", "os=l py=3.13", "os=w py=3.9", "os=w py=3.13"]
        );
        assert_eq!(legs("{os: [l, w], exclude: [{os: w}]}"), ["os=l"]);
        assert_eq!(legs("{include: [{t: x, os: l}, {t: y}]}"), ["os=l t=x", "t=y"]);
        // GitHub's own rules: added where nothing is overwritten, else a leg of its own.
        assert_eq!(
            legs("{os: [l, w], include: [{c: r}, {os: l, n: 1}, {os: m}]}"),
            ["c=r n=1 os=l", "c=r os=w", "os=m"]
        );
        assert_eq!(legs("{b: [{os: l, t: x}]}"), ["b.os=l b.t=x"]);
        for unknown in
            ["'${{ fromJSON(x) }}'", "{py: '${{ fromJSON(x) }}'}", "{include: '${{ x }}'}"]
        {
            assert_eq!(legs(unknown), [""; 0], "{unknown}");
        }
    }

    #[test]
    fn a_leg_is_filled_in() {
        let leg = Leg::from([("a".to_owned(), "1".to_owned()), ("b.c".to_owned(), "2".to_owned())]);
        for (text, expected) in [
            ("x-${{ matrix.a }}-${{matrix.b.c}}", "x-1-2"),
            ("${{ matrix.none }}-${{ runner.os }}", "${{ matrix.none }}-${{ runner.os }}"),
            ("${{ matrix.a", "${{ matrix.a"),
            ("plain", "plain"),
        ] {
            assert_eq!(filled(text, &leg), expected);
        }
    }
}
