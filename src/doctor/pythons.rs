//! Which Python PyO3 is built for, and whether it stays the same.
//!
//! PyO3's build scripts watch `PYO3_PYTHON`; without it `VIRTUAL_ENV` and `CONDA_PREFIX`, without
//! these `PATH`. Source: <https://github.com/PyO3/pyo3/blob/f168538672f2c32e32f7c1b702a502ee92de1edf/pyo3-build-config/src/impl_.rs#L2649-L2656>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::build_scripts::is_pyo3;
use super::facts::{BuildDirectory, Configured};
use super::{Facts, Finding, Rule, Severity, shown};

pub(crate) const TEMPORARY_PATH: Rule = Rule {
    id: "temporary-python",
    severity: Severity::Warning,
    summary: "crates were compiled for a Python in a temporary directory",
    why: "an isolated build creates its environment at a new path each time, and PyO3's build \
        scripts watch the path: PyO3 and everything that depends on it are recompiled in every \
        build",
    suggestion: "build with `cargo pyenv-build`, whose environments keep their path as long as \
        their content is the same",
    check: temporary_path,
};

pub(crate) const NOT_PINNED: Rule = Rule {
    id: "pyo3-python-not-set",
    severity: Severity::Warning,
    summary: "PyO3 was compiled without `PYO3_PYTHON`",
    why: "PyO3's build scripts then depend on `VIRTUAL_ENV`, `CONDA_PREFIX` or all of `PATH`: a \
        different shell, or a build that sets the variable, recompiles PyO3 and everything that \
        depends on it",
    suggestion: "use `cargo pyenv-build run -- CMD`, or for editors `cargo pyenv-build env \
        --format cargo >> .cargo/config.toml`",
    check: not_pinned,
};

pub(crate) const CONFIGURED_MISSING: Rule = Rule {
    id: "configured-python-missing",
    severity: Severity::Error,
    summary: "`.cargo/config.toml` names a Python, or a file for PyO3, that does not exist",
    why: "cargo passes it to build scripts, and PyO3's fail",
    suggestion: "replace the entry with the output of `cargo pyenv-build env --format cargo`",
    check: configured_missing,
};

pub(crate) const CONFIGURED_OTHER: Rule = Rule {
    id: "configured-python-differs",
    severity: Severity::Warning,
    summary: "`.cargo/config.toml` names a different Python than builds use",
    why: "plain cargo and the build use different Pythons, and each recompiles PyO3 and \
        everything that depends on it",
    suggestion: "replace the entry with the output of `cargo pyenv-build env --format cargo`",
    check: configured_other,
};

/// Variables in `[env]` that lead to a Python, or to what PyO3 should know of it.
pub(super) const CONFIGURABLE: &[&str] =
    &["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "PYO3_CONFIG_FILE"];

/// Variables that say which Python a build script has found.
const TIES: &[&str] =
    &["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "PYO3_CONFIG_FILE", "VIRTUAL_ENV", "CONDA_PREFIX"];

/// Whether a path is one that does not last.
fn is_temporary(path: &Path, facts: &Facts) -> bool {
    let own = [&facts.checkout, &facts.ours.path]
        .into_iter()
        .chain(facts.workspaces.iter().map(|workspace| &workspace.target_directory));
    if own.filter(|own| !own.as_os_str().is_empty()).any(|own| path.starts_with(own)) {
        return false;
    }
    let by_installer = path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        // pip's, and uv's in its cache.
        part.starts_with("pip-build-env-")
            || part.starts_with("build-env-")
            || part.starts_with("builds-v")
    });
    by_installer || facts.temporary.iter().any(|directory| path.starts_with(directory))
}

fn temporary_path(facts: &Facts) -> Vec<Finding> {
    let mut found: BTreeMap<PathBuf, (Vec<&str>, String, &BuildDirectory)> = BTreeMap::new();
    for directory in &facts.build_directories {
        for run in &directory.runs {
            let told = TIES
                .iter()
                .filter_map(|name| Some((PathBuf::from(run.value(name)?), format!("`{name}`"))));
            let watched = run
                .watched
                .iter()
                .map(|watched| (watched.path.clone(), "`rerun-if-changed`".to_owned()));
            for (path, how) in told.chain(watched).filter(|(path, _)| is_temporary(path, facts)) {
                let entry = found.entry(path).or_insert_with(|| (Vec::new(), how, directory));
                if !entry.0.contains(&run.package.as_str()) {
                    entry.0.push(&run.package);
                }
            }
        }
    }
    let finding =
        |(path, (packages, how, directory)): (PathBuf, (Vec<&str>, String, &BuildDirectory))| {
            let message = format!(
                "in `{}`, {} depended on `{}` through {how}",
                shown(&directory.path, facts),
                packages.join(", "),
                path.display()
            );
            let suggestion =
                "build with `cargo pyenv-build`; the next build replaces the records".to_owned();
            TEMPORARY_PATH.finding(directory.path.clone(), message, suggestion)
        };
    found.into_iter().map(finding).collect()
}

fn not_pinned(facts: &Facts) -> Vec<Finding> {
    let is_set_now =
        facts.variables.iter().any(|name| name == "PYO3_PYTHON" || name == "PYO3_CONFIG_FILE")
            || facts
                .configured
                .iter()
                .any(|one| one.name == "PYO3_PYTHON" || one.name == "PYO3_CONFIG_FILE");
    if is_set_now {
        return Vec::new();
    }
    let mut found: BTreeMap<(&Path, &str), (&str, BTreeSet<&str>)> = BTreeMap::new();
    for directory in &facts.build_directories {
        for run in directory.runs.iter().filter(|run| is_pyo3(&run.package)) {
            // Only where the variable was looked for, and not found, does it look on.
            let by = ["PATH", "CONDA_PREFIX", "VIRTUAL_ENV"]
                .into_iter()
                .find(|name| run.depends_on(name));
            let Some(by) = by.filter(|_| run.value("PYO3_PYTHON").is_none()) else { continue };
            found
                .entry((&directory.path, &run.profile))
                .or_insert_with(|| (by, BTreeSet::new()))
                .1
                .insert(&run.package);
        }
    }
    let finding = |((directory, profile), (by, packages)): (
        (&Path, &str),
        (&str, BTreeSet<&str>),
    )| {
        let packages: Vec<&str> = packages.into_iter().collect();
        let message = format!(
            "in `{}`, {} found Python through `{by}`: `PYO3_PYTHON` was not set",
            shown(&directory.join(profile), facts),
            packages.join(", ")
        );
        let suggestion = "run cargo as `cargo pyenv-build run -- cargo ...`; for editors, `cargo \
            pyenv-build env --format cargo >> .cargo/config.toml`";
        NOT_PINNED.finding(directory.to_path_buf(), message, suggestion.to_owned())
    };
    found.into_iter().map(finding).collect()
}

/// What is configured; of two variables with one value, as `env --format cargo` prints them, the
/// one that PyO3 reads.
fn configured(facts: &Facts) -> impl Iterator<Item = &Configured> {
    let is_told = |one: &Configured| {
        facts.configured.iter().any(|other| other.name == "PYO3_PYTHON" && other.value == one.value)
    };
    facts.configured.iter().filter(move |one| one.name != "PYTHON_SYS_EXECUTABLE" || !is_told(one))
}

fn configured_missing(facts: &Facts) -> Vec<Finding> {
    let find = |one: &Configured| {
        let message = format!("`{}` in `[env]` is `{}`, which does not exist", one.name, one.value);
        let suggestion = format!(
            "remove the entry from `{}`, or replace it with the output of `cargo pyenv-build env \
                --format cargo`",
            shown(&one.file, facts)
        );
        let finding = CONFIGURED_MISSING.finding(one.file.clone(), message, suggestion);
        // PyO3 of today does not read it.
        let severity =
            if one.name == "PYTHON_SYS_EXECUTABLE" { Severity::Warning } else { finding.severity };
        one.found.is_none().then_some(Finding { severity, ..finding })
    };
    configured(facts).filter_map(find).collect()
}

fn configured_other(facts: &Facts) -> Vec<Finding> {
    let find = |one: &Configured| {
        let (_, abi, wanted) =
            (one.found.as_ref()?, one.abi.as_ref()?, facts.interpreter.as_ref()?);
        let message = if abi == wanted {
            // To PyO3's build scripts, the same Python at a different path is a different Python.
            let last = facts.last.as_ref().filter(|last| {
                one.name == "PYO3_PYTHON" && last.abi == *abi && last.pyo3_python != one.value
            })?;
            format!(
                "`{}` in `[env]` is `{}`, but the last build used `{}`",
                one.name, one.value, last.pyo3_python
            )
        } else {
            format!(
                "`{}` in `[env]` is `{}`, which is a {abi}, but builds are for {wanted}",
                one.name, one.value
            )
        };
        let suggestion = format!(
            "replace the entry in `{}` with the output of `cargo pyenv-build env --format cargo`, \
                or choose that Python with `-p`",
            shown(&one.file, facts)
        );
        Some(CONFIGURED_OTHER.finding(one.file.clone(), message, suggestion))
    };
    configured(facts).filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use filetime::FileTime;

    use super::super::facts::{LastBuild, OurDirectory, Run};
    use super::*;

    fn run(package: &str, variables: &[(&str, Option<&str>)]) -> Run {
        Run {
            package: package.into(),
            profile: "release".into(),
            reference: FileTime::zero(),
            finished: FileTime::zero(),
            looks_at_all: false,
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
                .collect(),
            watched: vec![],
            out_dir: PathBuf::new(),
        }
    }

    fn facts(runs: Vec<Run>) -> Facts {
        Facts {
            checkout: "/tmp/w".into(),
            temporary: vec!["/tmp".into()],
            ours: OurDirectory { path: "/tmp/w/.pyenv-build".into(), ..OurDirectory::default() },
            build_directories: vec![BuildDirectory {
                path: "/tmp/w/target".into(),
                runs,
                ..BuildDirectory::default()
            }],
            ..Facts::default()
        }
    }

    #[test]
    fn a_python_in_a_temporary_directory_is_named_once() {
        let find = |python: &str| {
            let variables = [("PYO3_PYTHON", Some(python))];
            temporary_path(&facts(vec![run("pyo3-ffi", &variables), run("pyo3", &variables)])).len()
        };
        assert_eq!(find("/tmp/build-env-abc/bin/python"), 1);
        assert_eq!(find("/home/me/.cache/uv/builds-v0/.tmpX/bin/python"), 1);
        assert_eq!(find("/home/me/.venv/bin/python"), 0);
        assert_eq!(
            find("/tmp/w/.pyenv-build/envs/cp312-a/bin/python"),
            0,
            "a checkout in a temporary directory lasts as long as itself"
        );
    }

    #[test]
    fn pyo3_without_its_variable_until_it_is_set() {
        let by_venv = || run("pyo3-ffi", &[("PYO3_PYTHON", None), ("VIRTUAL_ENV", Some("/v"))]);
        assert_eq!(not_pinned(&facts(vec![by_venv()])).len(), 1);
        assert_eq!(
            not_pinned(&facts(vec![run("pyo3-ffi", &[("PYO3_PYTHON", Some("/p"))])])).len(),
            0
        );
        assert_eq!(
            not_pinned(&facts(vec![run("pyo3-ffi", &[("PYO3_CONFIG_FILE", Some("/c"))])])).len(),
            0
        );
        let mut now = facts(vec![by_venv()]);
        now.variables = vec!["PYO3_PYTHON".into()];
        assert_eq!(not_pinned(&now).len(), 0);
    }

    #[test]
    fn what_is_configured_is_compared_with_what_is_built_for() {
        let one = |found: Option<&str>, abi: Option<&str>| Configured {
            file: "/tmp/w/.cargo/config.toml".into(),
            name: "PYO3_PYTHON".into(),
            value: "/p/python".into(),
            found: found.map(PathBuf::from),
            abi: abi.map(str::to_owned),
        };
        let with = |configured, last: Option<&str>| Facts {
            configured: vec![configured],
            interpreter: Some("cp312".into()),
            last: last.map(|python| LastBuild { abi: "cp312".into(), pyo3_python: python.into() }),
            ..facts(vec![])
        };
        let missing = configured_missing(&with(one(None, None), None));
        assert_eq!((missing.len(), missing[0].severity), (1, Severity::Error));
        let old = || Configured { name: "PYTHON_SYS_EXECUTABLE".into(), ..one(None, None) };
        assert_eq!(
            configured_missing(&with(old(), None))[0].severity,
            Severity::Warning,
            "nothing of today reads it"
        );
        let mut both = with(one(None, None), None);
        both.configured.push(old());
        assert_eq!(configured_missing(&both).len(), 1, "one mistake is one finding");
        let is_other = |facts: &Facts| configured_other(facts).len();
        assert_eq!(is_other(&with(one(Some("/p/python"), Some("cp312")), None)), 0);
        assert_eq!(is_other(&with(one(Some("/p/python"), Some("cp313t")), None)), 1);
        assert_eq!(is_other(&with(one(Some("/p/python"), Some("cp312")), Some("/p/python"))), 0);
        assert_eq!(is_other(&with(one(Some("/p/python"), Some("cp312")), Some("/q/python"))), 1);
        assert_eq!(
            is_other(&with(one(Some("/p/python"), None), Some("/q/python"))),
            0,
            "it could not be asked"
        );
    }
}
