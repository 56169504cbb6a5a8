//! What GitHub's workflows do to caches.
//!
//! What rust-cache deletes before it saves, measured with 2.9.2: the workspace's own crates, unless
//! `cache-workspace-crates: true`; an extension module's un-hashed `deps/lib<name>.so` even then;
//! every plain file in `target` and in its directories that are no profile, such as
//! `target/maturin`. Source: <https://github.com/Swatinem/rust-cache/blob/6323deb102c322ba6fcbdcafc7e3dddab59af2b6/src/cleanup.ts>

pub(crate) mod caches;
mod file;
mod made;
mod occasions;
pub(crate) mod publishing;
pub(crate) mod shared_keys;

use std::path::Path;

pub(crate) use file::parse;

use self::file::is_ours;
use super::facts::{Job, Step, Workflow};
use super::{Facts, Finding, Rule, Severity};

pub(crate) const RUST_CACHE_TWICE: Rule = Rule {
    id: "rust-cache-twice",
    severity: Severity::Warning,
    summary: "a job runs rust-cache, and our action, which runs it too",
    why: "both restore and save the same directories under different keys: this takes twice the \
        time and space, and the one that is restored last overwrites the other",
    suggestion: "remove the step, or set `rust-cache: false` for our action",
    check: rust_cache_twice,
};

pub(crate) const RUST_CACHE_UNAWARE: Rule = Rule {
    id: "rust-cache-without-python",
    severity: Severity::Warning,
    summary: "a job runs rust-cache and `cargo pyenv-build`, but rust-cache's key does not depend \
        on the Python",
    why: "a build for a different Python is restored, or the build environment is not saved, and \
        PyO3 is recompiled",
    suggestion: "add a step `cargo pyenv-build provision` before rust-cache, and set rust-cache's \
        `prefix-key: v0-rust-cp313` and `cache-directories: .pyenv-build/envs`; or use our \
        action, which does all of this",
    check: rust_cache_unaware,
};

pub(crate) const RUST_CACHE_DELETES: Rule = Rule {
    id: "rust-cache-deletes",
    severity: Severity::Note,
    summary: "a job builds a Python package with rust-cache alone",
    why: "before it saves, rust-cache deletes the workspace's own crates, the extension module (even with `cache-workspace-crates: true`) \
          and `target/maturin`, which PyO3's build scripts watch: these, and everything that \
          depends on them, are recompiled in every run",
    suggestion: "use our action, which keeps them in its own store; or run `cargo pyenv-build` in \
        the job, and save `.pyenv-build/store` with `actions/cache`",
    check: rust_cache_deletes,
};

pub(crate) const BUILT_TWICE: Rule = Rule {
    id: "package-built-twice",
    severity: Severity::Note,
    summary: "a job with `cargo pyenv-build` also builds the package in another way",
    why: "that build gives PyO3 a different Python (an isolated environment, or the active one), \
        so PyO3 and everything that depends on it are compiled twice, and again at each switch",
    suggestion: "install the wheel that was built, or run it as `cargo pyenv-build run -- CMD`",
    check: built_twice,
};

/// All jobs, with their workflows.
pub(super) fn jobs(facts: &Facts) -> impl Iterator<Item = (&Workflow, &Job)> {
    facts.workflows.iter().flat_map(|workflow| workflow.jobs.iter().map(move |job| (workflow, job)))
}

/// The projects that a workflow gives to our action.
pub(super) fn projects(workflow: &Workflow) -> Vec<String> {
    let steps = workflow.jobs.iter().flat_map(|job| {
        job.steps.iter().filter(|step| step.is_our_action()).map(move |step| (job, step))
    });
    let named = steps.map(|(job, step)| (job, step.input("project").unwrap_or(".")));
    named
        .flat_map(|(job, project)| {
            job.legs.iter().map(move |leg| shared_keys::directory(&file::filled(project, leg)))
        })
        .collect()
}

/// Whether a step restores caches by `tar`.
pub(super) fn is_cache(step: &Step) -> bool {
    step.is("actions/cache") || step.is("actions/cache/restore") || keeps_target(step)
}

/// Whether a job keeps cargo's target directory for the next one.
pub(super) fn keep_target(facts: &Facts) -> bool {
    jobs(facts).any(|(_, job)| job.steps.iter().any(keeps_target))
}

fn keeps_target(step: &Step) -> bool {
    step.is_rust_cache() || step.is_our_action()
}

/// How a step builds the project without us, if it does.
fn builds_otherwise(step: &Step) -> Option<String> {
    for action in ["PyO3/maturin-action", "pypa/cibuildwheel"] {
        if step.is(action) {
            return Some(action.to_owned());
        }
    }
    step.commands().into_iter().find(|command| !is_ours(command) && builds(command))
}

/// Whether a command builds the project that is checked out.
fn builds(command: &str) -> bool {
    let words = shlex::split(command)
        .unwrap_or_else(|| command.split_whitespace().map(str::to_owned).collect());
    let mut words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .skip_while(|word| word.contains('=') && !word.starts_with('-'))
        .collect();
    let is_python = |word: &str| {
        Path::new(word).file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    };
    let is_module = matches!(words.as_slice(), [first, "-m", ..] if is_python(first));
    if is_module {
        words.drain(..2);
    } else if let ["uv", "pip", ..] = words.as_slice() {
        words.remove(0);
    }
    let is_here = |word: &&str| {
        let path = word.split('[').next().unwrap_or(word);
        path == "." || (path.starts_with("./") && !is_archive(path))
    };
    match words.as_slice() {
        ["maturin", "develop" | "build", ..] | ["uv", "build" | "sync", ..] => true,
        ["build", ..] => is_module,
        ["pip" | "pip3", "install" | "wheel", rest @ ..] => {
            // `-r ./requirements.txt` names a file.
            let named = rest.iter().zip(std::iter::once(&"").chain(rest));
            named
                .filter(|(_, before)| !matches!(**before, "-r" | "-c" | "--find-links" | "-f"))
                .any(|(word, _)| is_here(word))
        }
        _ => false,
    }
}

fn is_archive(path: &str) -> bool {
    [".whl", ".tar.gz", ".zip", ".txt"].iter().any(|suffix| path.ends_with(suffix))
        || path.contains('*')
}

fn rust_cache_twice(facts: &Facts) -> Vec<Finding> {
    let find = |(workflow, job): (&Workflow, &Job)| {
        job.steps.iter().find(|step| step.is_rust_cache())?;
        let ours = job.steps.iter().find(|step| step.is_our_action())?;
        let is_off = ours.with.get("rust-cache").is_some_and(|value| value == "false")
            || ours.with.get("cache").is_some_and(|value| value == "false");
        let message = format!(
            "job `{}` runs Swatinem/rust-cache next to our action, which runs it too",
            job.name
        );
        let suggestion =
            "remove the step, or add `rust-cache: false` to our action's inputs".to_owned();
        (!is_off).then(|| RUST_CACHE_TWICE.finding(workflow.path.clone(), message, suggestion))
    };
    jobs(facts).filter_map(find).collect()
}

fn rust_cache_unaware(facts: &Facts) -> Vec<Finding> {
    let find = |(workflow, job): (&Workflow, &Job)| {
        if job.steps.iter().any(Step::is_our_action) || !job.steps.iter().any(Step::runs_ours) {
            return None;
        }
        let at = job.steps.iter().position(Step::is_rust_cache)?;
        let step = &job.steps[at];
        let mut missing = Vec::new();
        if !job.steps[..at].iter().any(Step::runs_ours) {
            missing.push("no step `cargo pyenv-build provision` before it");
        }
        // With a `shared-key`, rust-cache does not look at `key`.
        let key = if step.input("shared-key").is_some() { "shared-key" } else { "key" };
        let has_key =
            ["prefix-key", key].iter().any(|name| step.input(name).is_some_and(names_python));
        if !has_key {
            missing.push("no `prefix-key` that names the Python");
        }
        if !step.with.get("cache-directories").is_some_and(|value| value.contains(".pyenv-build")) {
            missing.push("no `cache-directories: .pyenv-build/envs`");
        }
        let message = format!(
            "job `{}` runs `cargo pyenv-build` and rust-cache, but with {}",
            job.name,
            missing.join(", ")
        );
        (!missing.is_empty()).then(|| {
            RUST_CACHE_UNAWARE.finding(
                workflow.path.clone(),
                message,
                RUST_CACHE_UNAWARE.suggestion.to_owned(),
            )
        })
    };
    jobs(facts).filter_map(find).collect()
}

/// `v0-rust-cp313`, `${{ matrix.python }}`
fn names_python(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let has_tag = lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| {
        let rest = part
            .strip_prefix("cp")
            .or_else(|| part.strip_prefix("pp"))
            .or_else(|| part.strip_prefix("py"));
        rest.is_some_and(|rest| rest.starts_with('3'))
    });
    has_tag || lower.contains("python") || lower.contains("abi")
}

fn rust_cache_deletes(facts: &Facts) -> Vec<Finding> {
    let find = |(workflow, job): (&Workflow, &Job)| {
        let step = job.steps.iter().find(|step| step.is_rust_cache())?;
        if job.steps.iter().any(|step| step.is_our_action() || step.runs_ours()) {
            return None;
        }
        let how = job.steps.iter().find_map(builds_otherwise)?;
        let keeps = step.with.get("cache-workspace-crates").is_some_and(|value| value == "true");
        let lost = if keeps {
            "the extension module and `target/maturin`"
        } else {
            "the workspace's own crates and `target/maturin`"
        };
        let message = format!(
            "job `{}` builds with `{how}` and rust-cache, which does not keep {lost}",
            job.name
        );
        Some(RUST_CACHE_DELETES.finding(
            workflow.path.clone(),
            message,
            RUST_CACHE_DELETES.suggestion.to_owned(),
        ))
    };
    jobs(facts).filter_map(find).collect()
}

fn built_twice(facts: &Facts) -> Vec<Finding> {
    let find = |(workflow, job): (&Workflow, &Job)| {
        if !job.steps.iter().any(|step| step.is_our_action() || step.runs_ours()) {
            return None;
        }
        let how = job.steps.iter().find_map(builds_otherwise)?;
        let message = format!("job `{}` also builds with `{how}`", job.name);
        Some(BUILT_TWICE.finding(workflow.path.clone(), message, BUILT_TWICE.suggestion.to_owned()))
    };
    jobs(facts).filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workflow of one job with these steps.
    fn ids(steps: &str) -> Vec<&'static str> {
        let indented =
            steps.lines().map(|line| format!("      {line}\n")).collect::<Vec<_>>().concat();
        let text =
            format!("on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n{indented}");
        let workflow = parse(Path::new("ci.yml"), &text).unwrap();
        assert!(!workflow.jobs[0].steps.is_empty(), "{text}");
        let facts = Facts { workflows: vec![workflow], ..Facts::default() };
        let all = [rust_cache_twice, rust_cache_unaware, rust_cache_deletes, built_twice]
            .map(|check| check(&facts));
        all.into_iter().flatten().map(|finding| finding.rule).collect()
    }

    #[test]
    fn rust_cache_beside_our_action() {
        let both = "- uses: Swatinem/rust-cache@v2\n- uses: o/cargo-pyenv-build@v1\n";
        assert_eq!(ids(both), ["rust-cache-twice"]);
        assert_eq!(ids(&format!("{both}  with:\n    rust-cache: false\n")), [""; 0]);
        assert_eq!(
            ids("- uses: o/cargo-pyenv-build@v1\n- run: cargo pyenv-build run -- cargo test\n"),
            [""; 0]
        );
    }

    #[test]
    fn rust_cache_around_our_command() {
        let whole = "- run: cargo pyenv-build provision\n- uses: Swatinem/rust-cache@v2\n  with:\n    prefix-key: v0-rust-cp313\n    \
                     cache-directories: .pyenv-build/envs\n- run: cargo pyenv-build\n";
        assert_eq!(ids(whole), [""; 0]);
        for line in [
            "- run: cargo pyenv-build provision\n",
            "    prefix-key: v0-rust-cp313\n",
            "    cache-directories: .pyenv-build/envs\n",
        ] {
            assert_eq!(
                ids(&whole.replace(line, "")),
                ["rust-cache-without-python"],
                "without {line}"
            );
        }
    }

    #[test]
    fn a_key_that_rust_cache_does_not_look_at() {
        let with = |keys: &str| {
            ids(&format!(
                "- run: cargo pyenv-build provision\n- uses: Swatinem/rust-cache@v2\n  with: {{{keys}, cache-directories: \
                 .pyenv-build/envs}}\n- run: cargo pyenv-build\n"
            ))
        };
        assert_eq!((with("key: cp313"), with("shared-key: x-cp313")), (vec![], vec![]));
        assert_eq!(with("key: cp313, shared-key: x"), ["rust-cache-without-python"]);
    }

    #[test]
    fn rust_cache_alone_where_a_package_is_built() {
        assert_eq!(
            ids(
                "- uses: Swatinem/rust-cache@v2\n- run: |\n    pip install -U pip\n    pip install -e .[test]\n"
            ),
            ["rust-cache-deletes"]
        );
        assert_eq!(
            ids("- uses: Swatinem/rust-cache@v2\n- uses: PyO3/maturin-action@v1\n"),
            ["rust-cache-deletes"]
        );
        assert_eq!(ids("- uses: Swatinem/rust-cache@v2\n- run: cargo clippy\n"), [""; 0]);
    }

    #[test]
    fn built_twice_ours_are_told_from_installs() {
        let beside =
            |command: &str| ids(&format!("- uses: o/cargo-pyenv-build@v1\n- run: {command}\n"));
        for yes in [
            "maturin develop --release",
            "pip install .",
            "python -m pip install -v './[dev]'",
            "uv pip install -e .",
            "uv sync --locked",
            "python3 -m build --wheel",
            "RUSTFLAGS=-g pip wheel . -w out",
        ] {
            assert_eq!(beside(yes), ["package-built-twice"], "{yes}");
        }
        for no in [
            "python -m pip install \"$WHEEL\"",
            "pip install ./dist/x.whl",
            "pip install -r ./requirements.txt",
            "cargo pyenv-build run -- maturin develop",
            "cargo build",
            "uv run pytest",
            "echo pip install . # no",
        ] {
            assert_eq!(beside(no), [""; 0], "{no}");
        }
    }

    #[test]
    fn a_command_that_runs_us_is_told_from_one_that_names_us() {
        for yes in [
            "cargo pyenv-build",
            "nice cargo pyenv-build run -- x",
            "A=b cargo-pyenv-build build",
            "'./bin/cargo-pyenv-build' env",
        ] {
            assert!(is_ours(yes), "{yes}");
        }
        for no in [
            "cp target/cargo-pyenv-build out",
            "cargo build --bin cargo-pyenv-build",
            "cd cargo-pyenv-build",
            "cargo test",
        ] {
            assert!(!is_ours(no), "{no}");
        }
    }
}
