//! When cargo runs build scripts again, and compiles their packages.
//!
//! Source: <https://doc.rust-lang.org/cargo/reference/build-scripts.html#change-detection>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::facts::{Package, Run, Script};
use super::{Facts, Finding, Fix, Rule, Severity, shown, some_of};

pub(crate) const WITHOUT_RERUN_IF: Rule = Rule {
    id: "build-script-without-rerun-if",
    severity: Severity::Note,
    summary: "a build script prints no `rerun-if` line",
    why: "without one, cargo watches every file of the package, including README and tests, and \
        runs the script again whenever a file is edited, added or removed",
    suggestion: "print `cargo:rerun-if-changed=build.rs` from the script, and one such line for \
        each file that it reads",
    check: without_rerun_if,
};

pub(crate) const MISSING_PATH: Rule = Rule {
    id: "watched-path-missing",
    severity: Severity::Warning,
    summary: "a build script watches a path that does not exist",
    why: "cargo treats a missing path as changed and runs the script in every build; plain cargo \
        then also recompiles the crate and everything that depends on it",
    suggestion: "print `rerun-if-changed` only for paths that exist, or create the file",
    check: missing_path,
};

pub(crate) const WRITTEN_PATH: Rule = Rule {
    id: "watched-path-written",
    severity: Severity::Warning,
    summary: "a build script watches a file that is written while the script runs",
    why: "the file is newer than the run that wrote it, so cargo runs the script in every build; \
        plain cargo then also recompiles the crate and everything that depends on it",
    suggestion: "watch the files that the script reads, not those that it writes; or write only \
        if the content differs",
    check: written_path,
};

pub(crate) const TIED_TO_ENVIRONMENT: Rule = Rule {
    id: "build-script-tied-to-environment",
    severity: Severity::Warning,
    summary: "a build script other than PyO3's depends on `VIRTUAL_ENV`, `CONDA_PREFIX`, `PATH` or a file in a virtual environment",
    why: "a different shell or environment, or a recreated one, runs the script again; plain \
        cargo then also recompiles the crate and everything that depends on it",
    suggestion: "depend on `PYO3_PYTHON`, which `cargo pyenv-build` keeps the same, instead of \
        the location of an environment",
    check: tied_to_environment,
};

pub(crate) const BY_PRODUCTS: Rule = Rule {
    id: "untracked-by-products",
    severity: Severity::Note,
    summary: "files that builds and tests leave behind count as inputs of a build script",
    why: "git does not ignore them, so cargo counts them as files of the package: a build script \
        without `rerun-if` lines runs again each time one of them changes",
    suggestion: "ignore them in `.gitignore`",
    check: by_products,
};

/// How it is known that a script names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// cargo wrote it down.
    Records,
    /// There is no such line in the script, nor anything that could print one.
    Source,
}

/// Crates for build scripts that print no `rerun-if` line.
const SILENT: &[&str] =
    &["pyo3-build-config", "rustc_version", "version_check", "rustversion", "autocfg"];

fn runs<'a>(package: &'a Package, facts: &'a Facts) -> impl Iterator<Item = &'a Run> {
    facts
        .build_directories
        .iter()
        .flat_map(|directory| &directory.runs)
        .filter(|run| run.package == package.name)
}

/// Whether the script is as it was when it ran.
fn is_of(run: &Run, script: &Script) -> bool {
    script.mtime <= run.reference
}

fn names_nothing(package: &Package, facts: &Facts) -> Option<Evidence> {
    let script = package.script.as_ref()?;
    let mut valid = runs(package, facts).filter(|run| is_of(run, script)).peekable();
    if valid.peek().is_some() {
        return valid.any(|run| run.looks_at_all).then_some(Evidence::Records);
    }
    let code = without_comments(&script.text);
    let says = code.contains("rerun-if-");
    // What is elsewhere may print it.
    let has_more = code.contains("include!") || code.split_whitespace().any(|word| word == "mod");
    let calls_others = script.dependencies.iter().any(|name| !SILENT.contains(&name.as_str()));
    (!says && !has_more && !calls_others).then_some(Evidence::Source)
}

fn without_rerun_if(facts: &Facts) -> Vec<Finding> {
    let find = |package: &Package| {
        let evidence = names_nothing(package, facts)?;
        let script = package.script.as_ref()?;
        let seen = match evidence {
            Evidence::Records => "it printed no `rerun-if` line in its last run",
            Evidence::Source => "it prints no `rerun-if` line",
        };
        let message = format!(
            "the build script of `{}`: {seen}, so cargo watches all {} files of the package",
            package.name,
            package.files.max(1)
        );
        let suggestion = format!(
            "add to `main` in `{}`: println!(\"cargo:rerun-if-changed={}\"); and the same line \
                for each file that it reads",
            shown(&script.path, facts),
            declared_name(package, script)
        );
        Some(WITHOUT_RERUN_IF.finding(script.path.clone(), message, suggestion))
    };
    facts.packages.iter().filter_map(find).collect()
}

/// The script as the package names it.
fn declared_name(package: &Package, script: &Script) -> String {
    let relative = script.path.strip_prefix(&package.root).unwrap_or(&script.path);
    relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

/// Rust without its comments. A text with `//` in it loses the rest of its line, which is no harm:
/// it is searched for words only.
pub(super) fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut code = String::new();
    loop {
        let line = rest.find("//").unwrap_or(rest.len());
        let block = rest.find("/*").unwrap_or(rest.len());
        let at = line.min(block);
        code.push_str(&rest[..at]);
        if at == rest.len() {
            return code;
        }
        rest = &rest[at..];
        let end = if block < line { rest.find("*/").map(|end| end + 2) } else { rest.find('\n') };
        rest = &rest[end.unwrap_or(rest.len())..];
    }
}

/// Whether what a run watched is still what the script says: it was not edited since, or still has
/// the path in it.
fn still_watches(run: &Run, declared: &Path, facts: &Facts) -> bool {
    let Some(package) = facts.packages.iter().find(|package| package.name == run.package) else {
        return true;
    };
    package.script.as_ref().is_some_and(|script| {
        is_of(run, script)
            || declared.to_str().is_some_and(|name| {
                without_comments(&script.text).contains(&format!("changed={name}\""))
            })
    })
}

/// Where a script is, if it is one of the packages at hand.
fn script_of(package: &str, facts: &Facts) -> Option<PathBuf> {
    Some(facts.packages.iter().find(|known| known.name == package)?.script.as_ref()?.path.clone())
}

/// Findings by package and path, so that one in several profiles is one.
type Found = BTreeMap<(String, PathBuf), Finding>;

fn missing_path(facts: &Facts) -> Vec<Finding> {
    let mut found = Found::new();
    for run in facts.build_directories.iter().flat_map(|directory| &directory.runs) {
        for watched in run
            .watched
            .iter()
            .filter(|watched| !watched.exists && still_watches(run, &watched.declared, facts))
        {
            let path = shown(&watched.path, facts);
            let message = format!(
                "the build script of `{}` watches `{path}`, which does not exist",
                run.package
            );
            let pattern = watched
                .declared
                .to_str()
                .and_then(|text| text.find(['*', '?', '[']).map(|at| &text[..at]));
            let suggestion = match script_of(&run.package, facts) {
                Some(script) if pattern.is_some() => format!(
                    "cargo does not support patterns: in `{}`, watch the whole directory `{}`, or \
                        each file",
                    shown(&script, facts),
                    pattern.unwrap_or_default().trim_end_matches('/')
                ),
                Some(script) => format!(
                    "in `{}`, print `rerun-if-changed` for it only if it exists, or create it",
                    shown(&script, facts)
                ),
                None => format!("create it, or report this to the authors of `{}`", run.package),
            };
            let finding = MISSING_PATH.finding(script_of(&run.package, facts), message, suggestion);
            found.insert((run.package.clone(), watched.path.clone()), finding);
        }
    }
    found.into_values().collect()
}

fn written_path(facts: &Facts) -> Vec<Finding> {
    let mut found = Found::new();
    for run in facts.build_directories.iter().flat_map(|directory| &directory.runs) {
        for watched in
            run.watched.iter().filter(|watched| still_watches(run, &watched.declared, facts))
        {
            let during = |(_, mtime): &&(PathBuf, filetime::FileTime)| {
                *mtime > run.reference && *mtime <= run.finished
            };
            let Some((written, _)) = watched.newer.iter().find(during) else { continue };
            let place = if written.starts_with(&run.out_dir) { " in its OUT_DIR" } else { "" };
            let below = if *written == watched.path {
                String::new()
            } else {
                format!(" (in it, `{}`)", shown(written, facts))
            };
            let message = format!(
                "the build script of `{}` watches `{}`{below}{place}, which was written while it ran",
                run.package,
                shown(&watched.path, facts)
            );
            let suggestion = match script_of(&run.package, facts) {
                Some(script) => {
                    format!(
                        "in `{}`, watch the files that it reads, not those that it writes; or \
                            write only if the content differs",
                        shown(&script, facts)
                    )
                }
                None => format!("report this to the authors of `{}`", run.package),
            };
            let finding = WRITTEN_PATH.finding(script_of(&run.package, facts), message, suggestion);
            found.insert((run.package.clone(), watched.path.clone()), finding);
        }
    }
    found.into_values().collect()
}

/// PyO3's own scripts have rules of their own.
pub(super) fn is_pyo3(package: &str) -> bool {
    package == "pyo3" || package.starts_with("pyo3-")
}

fn tied_to_environment(facts: &Facts) -> Vec<Finding> {
    let mut found = Found::new();
    for run in facts
        .build_directories
        .iter()
        .flat_map(|directory| &directory.runs)
        .filter(|run| !is_pyo3(&run.package))
    {
        let script = facts
            .packages
            .iter()
            .find(|package| package.name == run.package)
            .and_then(|package| package.script.as_ref());
        let is_valid = |name: &str| {
            script.is_none_or(|script| {
                is_of(run, script) || without_comments(&script.text).contains(name)
            })
        };
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX", "PATH"] {
            // As a word of its own: PATH is in many names.
            if run.depends_on(name) && is_valid(&format!("={name}\"")) {
                let message = format!(
                    "the build script of `{}` depends on the variable `{name}`",
                    run.package
                );
                let suggestion = match script {
                    Some(script) => format!(
                        "in `{}`, use `rerun-if-env-changed=PYO3_PYTHON` instead, and find Python \
                            through that variable",
                        shown(&script.path, facts)
                    ),
                    None => format!(
                        "keep `{name}` the same in all builds: `cargo pyenv-build run -- CMD`"
                    ),
                };
                let finding = TIED_TO_ENVIRONMENT.finding(
                    script_of(&run.package, facts),
                    message,
                    suggestion,
                );
                found.insert((run.package.clone(), name.into()), finding);
            }
        }
        for watched in &run.watched {
            let Some(venv) = &watched.venv else { continue };
            if !still_watches(run, &watched.declared, facts) {
                continue;
            }
            let message = format!(
                "the build script of `{}` watches `{}` in the virtual environment `{}`",
                run.package,
                shown(&watched.path, facts),
                shown(venv, facts)
            );
            let suggestion = "build with `cargo pyenv-build`, whose environments do not change; \
                or do not watch it"
                .to_owned();
            let finding =
                TIED_TO_ENVIRONMENT.finding(script_of(&run.package, facts), message, suggestion);
            found.insert((run.package.clone(), watched.path.clone()), finding);
        }
    }
    found.into_values().collect()
}

/// What leaves a file, and the pattern that ignores it where that cannot be a mistake: `/` at its
/// beginning stands for the package.
struct ByProduct {
    pattern: Option<String>,
}

/// Whether a file that git does not know is something that tools leave. `venvs`: directories with a
/// `pyvenv.cfg`.
fn by_product(relative: &Path, venvs: &[PathBuf]) -> Option<ByProduct> {
    const DIRECTORIES: &[&str] = &[
        "__pycache__",
        ".nox",
        ".tox",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
    ];
    let left = |pattern: Option<String>| Some(ByProduct { pattern });
    if let Some(venv) = venvs.iter().find(|venv| relative.starts_with(venv)) {
        return left(Some(format!("/{}/", slashed(venv))));
    }
    for part in relative.parent().into_iter().flat_map(Path::components) {
        let part = part.as_os_str().to_string_lossy();
        if DIRECTORIES.contains(&&*part) {
            return left(Some(format!("{part}/")));
        }
        if part.ends_with(".egg-info") {
            return left(Some("*.egg-info/".to_owned()));
        }
    }
    let name = relative.file_name()?.to_string_lossy().into_owned();
    let extension = relative.extension().unwrap_or_default().to_string_lossy().into_owned();
    let in_dist = relative.parent().filter(|parent| parent.ends_with("dist"));
    match extension.as_str() {
        "whl" => left(in_dist.map(|parent| format!("/{}/", slashed(parent)))),
        "gz" if name.ends_with(".tar.gz") && in_dist.is_some() => {
            left(in_dist.map(|parent| format!("/{}/", slashed(parent))))
        }
        "pyc" | "so" | "pyd" | "dylib" | "profraw" | "gcda" => left(None),
        _ if name == ".coverage" => left(None),
        _ => None,
    }
}

fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn by_products(facts: &Facts) -> Vec<Finding> {
    let find = |package: &Package| {
        names_nothing(package, facts)?;
        let inputs = &package.untracked;
        let is_venv = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "pyvenv.cfg");
        let parent = |path: &PathBuf| {
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_path_buf)
        };
        let venvs: Vec<PathBuf> = inputs.iter().filter(is_venv).filter_map(parent).collect();
        let left: Vec<(&PathBuf, ByProduct)> =
            inputs.iter().filter_map(|path| Some((path, by_product(path, &venvs)?))).collect();
        if left.is_empty() {
            return None;
        }
        let names: Vec<String> =
            left.iter().map(|(path, _)| shown(&package.root.join(path), facts)).collect();
        let patterns: std::collections::BTreeSet<&String> =
            left.iter().filter_map(|(_, one)| one.pattern.as_ref()).collect();
        let fixes = match package.root.strip_prefix(&facts.checkout) {
            Ok(root) if facts.is_git => patterns
                .into_iter()
                .filter(|pattern| !package.tracked.iter().any(|path| covers(pattern, path)))
                .map(|pattern| {
                    let anchored = pattern
                        .strip_prefix('/')
                        .map(|rest| format!("/{}", slashed(&root.join(rest)) + "/"));
                    Fix::Ignore {
                        file: facts.checkout.join(".gitignore"),
                        pattern: anchored.unwrap_or_else(|| pattern.clone()),
                    }
                })
                .collect(),
            _ => Vec::new(),
        };
        let message =
            format!("git does not ignore these files of `{}`: {}", package.name, some_of(&names));
        let suggestion = if facts.is_git {
            "add them to `.gitignore`, or remove them".to_owned()
        } else {
            "remove them, or put the project under git and add them to `.gitignore`".to_owned()
        };
        Some(BY_PRODUCTS.finding(package.root.clone(), message, suggestion).with(fixes))
    };
    facts.packages.iter().filter_map(find).collect()
}

/// Whether a pattern of ours matches a path.
fn covers(pattern: &str, path: &Path) -> bool {
    match pattern.strip_prefix('/') {
        Some(directory) => path.starts_with(directory.trim_end_matches('/')),
        None => path.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            match pattern.trim_end_matches('/').strip_prefix('*') {
                Some(end) => part.ends_with(end),
                None => part == pattern.trim_end_matches('/'),
            }
        }),
    }
}

#[cfg(test)]
mod tests;
