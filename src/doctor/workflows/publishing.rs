//! Jobs that publish, and the caches that they restore.
//!
//! A job counts if one of its steps uploads to a registry, or if it can prove who it is to one
//! (`id-token: write`). What a job builds for another one that publishes does not count: it often
//! builds for pull requests as well, which want caches.

use super::caches::{Kind, may_be_read, with_occasions};
use super::occasions::Occasion;
use crate::doctor::facts::{Job, Step, Workflow};
use crate::doctor::{Facts, Finding, Rule, Severity};

pub(crate) const CACHE_MODE_MISSING: Rule = Rule {
    id: "cache-mode-missing",
    severity: Severity::Warning,
    summary: "a job that publishes, or has `id-token: write`, restores caches",
    why: "the published artifact then depends on everything that can write to the cache: one \
        malicious step in any workflow of the default branch is enough. With `cache-mode: none`, \
        GitHub's cache service denies the job all access, whatever its steps request",
    suggestion: "add `cache-mode: none` to the job, and build from sources only",
    check: cache_mode_missing,
};

/// Actions that upload to a registry.
const PUBLISHERS: &[&str] = &["pypa/gh-action-pypi-publish"];
/// Programs and their subcommands that do.
const PUBLISHING: &[[&str; 2]] = &[
    ["twine", "upload"],
    ["maturin", "upload"],
    ["maturin", "publish"],
    ["uv", "publish"],
    ["cargo", "publish"],
    ["hatch", "publish"],
    ["flit", "publish"],
    ["pdm", "publish"],
    ["poetry", "publish"],
];
/// Actions that want `id-token: write` to upload reports, not releases.
const REPORTERS: &[&str] = &["codecov/codecov-action", "CodSpeedHQ/action"];

/// How a step publishes, if it does.
fn publishes(step: &Step) -> Option<String> {
    if let Some(action) = PUBLISHERS.iter().find(|action| step.is(action)) {
        return Some((*action).to_owned());
    }
    if step.is("PyO3/maturin-action") {
        let command =
            step.input("command").filter(|command| matches!(*command, "upload" | "publish"))?;
        return Some(format!("maturin {command}"));
    }
    step.commands().iter().find_map(|command| {
        let words = shlex::split(command)?;
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| !word.starts_with('+')).collect();
        let is_launcher = |word: &&str| {
            matches!(
                *word,
                "uv" | "uvx" | "pipx" | "tool" | "run" | "-m" | "sudo" | "exec" | "if" | "then"
            ) || word.starts_with("python")
                || word.contains('=')
        };
        let at =
            words.windows(2).position(|pair| PUBLISHING.iter().any(|known| known[..] == *pair))?;
        let is_tried_only = words.iter().any(|word| matches!(*word, "--dry-run" | "-n"));
        (!is_tried_only && words[..at].iter().all(is_launcher)).then(|| words[at..at + 2].join(" "))
    })
}

/// What a step certainly restores from caches, if something.
fn restored_by(one_step: &Step, job: &Job, occasion: &Occasion) -> Option<String> {
    let is_on = |input: &str| occasion.is_set(one_step.input(input), false) == Some(true);
    let is_used = if one_step.is_our_action() {
        // By itself it restores nothing where something is published.
        is_on("cache")
    } else if one_step.is("astral-sh/setup-uv") {
        is_on("enable-cache")
            && occasion.is_set(one_step.input("restore-cache"), true) == Some(true)
    } else if one_step.is("actions/setup-python") {
        one_step.input("cache").is_some_and(|cache| !cache.contains("${{"))
    } else if one_step.is("PyO3/maturin-action") {
        is_on("sccache")
    } else if one_step.is("Mozilla-Actions/sccache-action") {
        let steps = job.steps.iter().filter_map(|step| step.env.get(SCCACHE));
        steps.chain(job.env.get(SCCACHE)).any(|value| matches!(value.as_str(), "true" | "on" | "1"))
    } else {
        Kind::of(one_step).is_some()
            && !one_step.is("actions/cache/save")
            && occasion.is_set(one_step.input("lookup-only"), false) == Some(false)
    };
    is_used.then(|| {
        if one_step.is_our_action() {
            "our action with `cache: true`".to_owned()
        } else {
            one_step.uses.clone().unwrap_or_default()
        }
    })
}

/// Makes sccache use GitHub's cache.
const SCCACHE: &str = "SCCACHE_GHA_ENABLED";

fn cache_mode_missing(facts: &Facts) -> Vec<Finding> {
    let all = with_occasions(facts);
    let find = |(workflow, job, occasions): (&Workflow, &Job, &[Occasion])| {
        let is_reporter = |step: &Step| REPORTERS.iter().any(|action| step.is(action));
        let on = |occasion: &Occasion| {
            if !occasion.may_run(job, None) || may_be_read(job, occasion) != Some(true) {
                return None;
            }
            let published = job
                .steps
                .iter()
                .filter(|step| occasion.may_run(job, Some(step)))
                .find_map(publishes);
            let by = match published {
                Some(how) => format!("publishes with `{how}`"),
                None if job.can_prove_identity && !job.steps.iter().any(is_reporter) => {
                    "has `id-token: write`".to_owned()
                }
                None => return None,
            };
            let certain = job
                .steps
                .iter()
                .filter(|step| occasion.holds(step.condition.as_deref(), None) == Some(true));
            let mut restored: Vec<String> =
                certain.filter_map(|step| restored_by(step, job, occasion)).collect();
            restored.dedup();
            (!restored.is_empty()).then(|| {
                format!("job `{}` {by} and restores caches with {}", job.name, restored.join(", "))
            })
        };
        let message = occasions.iter().find_map(on)?;
        Some(CACHE_MODE_MISSING.finding(
            workflow.path.clone(),
            message,
            CACHE_MODE_MISSING.suggestion.to_owned(),
        ))
    };
    let jobs = all.iter().flat_map(|(workflow, occasions)| {
        workflow.jobs.iter().map(move |job| (*workflow, job, &occasions[..]))
    });
    jobs.filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::doctor::workflows::file::parse;

    fn messages(text: &str) -> Vec<String> {
        let workflows = vec![parse(Path::new("release.yml"), text).unwrap()];
        let facts = Facts { workflows, default_branch: Some("main".into()), ..Facts::default() };
        cache_mode_missing(&facts).into_iter().map(|finding| finding.message).collect()
    }

    /// For tags, a job with lines of its own and steps.
    fn job(lines: &str, steps: &str) -> Vec<String> {
        let indent = |text: &str, by: &str| {
            text.lines().map(|line| format!("{by}{line}\n")).collect::<Vec<_>>().concat()
        };
        messages(&format!(
            "on: {{push: {{tags: ['v*']}}}}\njobs:\n  release:\n{}    steps:\n{}",
            indent(lines, "    "),
            indent(steps, "      ")
        ))
    }

    const CACHE: &str = "- uses: Swatinem/rust-cache@v2\n";
    const PUBLISH: &str = "- uses: pypa/gh-action-pypi-publish@v1\n";

    #[test]
    fn what_publishes() {
        let with = |step: &str| job("", &format!("{CACHE}{step}"));
        let expected = |how: &str| {
            [format!(
                "job `release` publishes with `{how}` and restores caches with Swatinem/rust-cache"
            )]
        };
        assert_eq!(with(PUBLISH), expected("pypa/gh-action-pypi-publish"));
        assert_eq!(
            with("- {uses: PyO3/maturin-action@v1, with: {command: upload, args: x}}\n"),
            expected("maturin upload")
        );
        for (command, how) in [
            ("twine upload dist/*", "twine upload"),
            ("python -m twine upload dist/*", "twine upload"),
            ("uvx twine upload dist/*", "twine upload"),
            ("maturin publish --skip-existing", "maturin publish"),
            ("uv publish", "uv publish"),
            ("cargo +stable publish --locked", "cargo publish"),
            ("cargo build && TOKEN=x cargo publish", "cargo publish"),
        ] {
            assert_eq!(with(&format!("- run: {command}\n")), expected(how), "{command}");
        }
        for command in [
            "cargo publish --dry-run",
            "twine check dist/*",
            "echo cargo publish",
            "maturin build",
            "git commit -m 'cargo publish'",
        ] {
            assert_eq!(with(&format!("- run: {command}\n")), [""; 0], "{command}");
        }
        let identity = job("permissions: {id-token: write}", CACHE);
        assert_eq!(
            identity,
            ["job `release` has `id-token: write` and restores caches with Swatinem/rust-cache"]
        );
        assert_eq!(job("permissions: {id-token: read}", CACHE), [""; 0]);
        // It proves who it is to upload a report.
        assert_eq!(
            job(
                "permissions: {id-token: write}",
                &format!("{CACHE}- uses: CodSpeedHQ/action@v4\n")
            ),
            [""; 0]
        );
        assert_eq!(
            job(
                "permissions: {id-token: write}",
                &format!("{CACHE}- uses: CodSpeedHQ/action@v4\n{PUBLISH}")
            )
            .len(),
            1
        );
    }

    #[test]
    fn what_restores() {
        let with = |step: &str| job("", &format!("{step}{PUBLISH}")).len();
        for step in [
            "- uses: actions/cache@v5\n",
            "- uses: actions/cache/restore@v5\n",
            "- {uses: o/cargo-pyenv-build@v1, with: {cache: true}}\n",
            "- {uses: astral-sh/setup-uv@v7, with: {enable-cache: true}}\n",
            "- {uses: actions/setup-python@v6, with: {cache: pip}}\n",
            "- {uses: PyO3/maturin-action@v1, with: {sccache: 'true'}}\n",
            "- uses: mozilla-actions/sccache-action@v0.0.9\n- {run: cargo build, env: {SCCACHE_GHA_ENABLED: 'true'}}\n",
        ] {
            assert_eq!(with(step), 1, "{step}");
        }
        for step in [
            "- uses: actions/cache/save@v5\n",
            "- {uses: actions/cache/restore@v5, with: {lookup-only: true}}\n",
            "- uses: o/cargo-pyenv-build@v1\n",
            "- {uses: o/cargo-pyenv-build@v1, with: {cache: auto}}\n",
            "- {uses: astral-sh/setup-uv@v7, with: {enable-cache: false}}\n",
            "- {uses: astral-sh/setup-uv@v7, with: {enable-cache: true, restore-cache: false}}\n",
            "- {uses: actions/setup-python@v6, with: {python-version: '3.13'}}\n",
            "- {uses: PyO3/maturin-action@v1, with: {sccache: \"${{ !startsWith(github.ref, 'refs/tags/') }}\"}}\n",
            "- uses: mozilla-actions/sccache-action@v0.0.9\n",
            "- {uses: Swatinem/rust-cache@v2, if: \"!startsWith(github.ref, 'refs/tags/')\"}\n",
            "- {uses: Swatinem/rust-cache@v2, if: inputs.cache}\n",
        ] {
            assert_eq!(with(step), 0, "{step}");
        }
    }

    #[test]
    fn the_mode_of_a_job_goes_before_that_of_its_workflow() {
        let steps = format!("{CACHE}{PUBLISH}");
        for (mode, expected) in
            [("none", 0), ("write-only", 0), ("read", 1), ("write", 1), ("${{ inputs.mode }}", 0)]
        {
            assert_eq!(job(&format!("cache-mode: {mode}"), &steps).len(), expected, "{mode}");
        }
        let text = |of_workflow: &str, of_job: &str| {
            format!(
                "on: release\ncache-mode: {of_workflow}\njobs:\n  a:\n{of_job}    steps:\n      {CACHE}      {PUBLISH}"
            )
        };
        assert_eq!(messages(&text("none", "")), [""; 0]);
        assert_eq!(messages(&text("none", "    cache-mode: read\n")).len(), 1);
    }

    #[test]
    fn both_have_to_happen_on_one_occasion() {
        let text = |on: &str, condition: &str| {
            format!(
                "on: {on}\njobs:\n  a:\n    steps:\n      {CACHE}      - uses: pypa/gh-action-pypi-publish@v1\n        if: {condition}\n"
            )
        };
        assert_eq!(messages(&text("push", "startsWith(github.ref, 'refs/tags/')")).len(), 1);
        assert_eq!(
            messages(&text("pull_request", "startsWith(github.ref, 'refs/tags/')")),
            [""; 0]
        );
        let apart = "on: push\njobs:\n  a:\n    steps:\n      - {uses: Swatinem/rust-cache@v2, if: \"github.ref_type == 'branch'\"}\n      - {run: \
                     cargo publish, if: \"github.ref_type == 'tag'\"}\n";
        assert_eq!(messages(apart), [""; 0]);
    }
}
