//! Clocks, paths and programs of the machine.

use filetime::FileTime;

use super::facts::Package;
use super::workflows::{self, is_cache};
use super::{Facts, Finding, Rule, Severity, shown, some_of};

pub(crate) const TAR: Rule = Rule {
    id: "busybox-tar",
    severity: Severity::Warning,
    summary: "`tar`, on this machine or in a job's container, is from busybox",
    why: "it does not support `--posix`, which GitHub's cache actions need: no cache is saved or \
        restored, and every job compiles everything",
    suggestion: "install GNU tar (`apk add tar`) before anything is restored from a cache",
    check: tar,
};

pub(crate) const TARGET_FROM_FUTURE: Rule = Rule {
    id: "artifact-mtime-in-future",
    severity: Severity::Error,
    summary: "cargo's artifacts have mtimes in the future",
    why: "a file that is edited now is older than the artifact compiled before the edit: cargo \
        considers it unchanged, and the build is stale",
    suggestion: "correct the clock, then run `cargo clean`",
    check: target_from_future,
};

pub(crate) const SOURCE_FROM_FUTURE: Rule = Rule {
    id: "source-mtime-in-future",
    severity: Severity::Warning,
    summary: "source files have mtimes in the future",
    why: "they are newer than the artifacts built from them: cargo recompiles their crates in \
        every build until that time has passed",
    suggestion: "correct the clock, then touch the files, and run `cargo clean` if anything was \
        built under the wrong clock",
    check: source_from_future,
};

pub(crate) const PATH_TOO_LONG: Rule = Rule {
    id: "path-too-long",
    severity: Severity::Warning,
    summary: "on Windows, paths of the build exceed 260 characters",
    why: "programs without support for long paths, such as the linker, cannot open these files",
    suggestion: "check out at a shorter path, choose a shorter one with `--root`, or enable long \
        paths",
    check: path_too_long,
};

pub(crate) const SHEBANG: Rule = Rule {
    id: "path-unfit-for-shebang",
    severity: Severity::Note,
    summary: "the path of build environments does not fit in the `#!` line of a script",
    why: "a path that contains a space, or exceeds 127 characters, does not work after `#!`: \
        installers work around this with /bin/sh, but other tools write scripts that do not start",
    suggestion: "check out at a shorter path without spaces, or choose one with `--root`",
    check: shebang,
};

/// Clocks of file servers may be ahead by so much.
const TOLERANCE_SECONDS: i64 = 5;

/// Whether a date is in the future beyond doubt.
pub(super) fn is_future(time: FileTime, now: FileTime) -> bool {
    time.unix_seconds() > now.unix_seconds() + TOLERANCE_SECONDS
}

fn tar(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(tar) = facts.tar.as_ref().filter(|tar| tar.is_busybox) {
        let message = format!("`{}` is from busybox", tar.path.display());
        findings.push(TAR.finding(None, message, "install GNU tar: `apk add tar`".to_owned()));
    }
    for (workflow, job) in workflows::jobs(facts) {
        let Some(image) = job.container.as_deref().filter(|image| is_alpine(image)) else {
            continue;
        };
        let Some(first) = job.steps.iter().position(is_cache) else { continue };
        if !job.steps[..first].iter().any(installs_tar) {
            let message = format!(
                "job `{}` restores caches in `{image}`, whose `tar` is from busybox",
                job.name
            );
            let suggestion = "add a step before it: `run: apk add tar`".to_owned();
            findings.push(TAR.finding(workflow.path.clone(), message, suggestion));
        }
    }
    findings
}

/// Alpine's own images; others made from Alpine may have GNU tar.
fn is_alpine(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    let (repository, tag) =
        name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((name, ""));
    repository.rsplit('/').next().is_some_and(|last| last == "alpine" || last == "busybox")
        || (matches!(repository, "python" | "rust") && tag.contains("alpine"))
}

fn installs_tar(step: &super::facts::Step) -> bool {
    step.run
        .as_deref()
        .is_some_and(|run| run.contains("apk ") && run.split_whitespace().any(|word| word == "tar"))
}

fn target_from_future(facts: &Facts) -> Vec<Finding> {
    let directories = facts
        .build_directories
        .iter()
        .filter(|directory| directory.newest.is_some_and(|newest| is_future(newest, facts.now)));
    let finding = |directory: &super::facts::BuildDirectory| {
        let ahead =
            directory.newest.map_or(0, |newest| newest.unix_seconds() - facts.now.unix_seconds());
        let message = format!(
            "`{}` has mtimes {} in the future",
            shown(&directory.path, facts),
            ahead_in_words(ahead)
        );
        let suggestion = format!(
            "correct the clock, then remove `{}` with `cargo clean`",
            shown(&directory.path, facts)
        );
        TARGET_FROM_FUTURE.finding(directory.path.clone(), message, suggestion)
    };
    directories.map(finding).collect()
}

fn ahead_in_words(seconds: i64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds.unsigned_abs())).to_string()
}

fn source_from_future(facts: &Facts) -> Vec<Finding> {
    let find = |package: &Package| {
        let names: Vec<String> =
            package.from_future.iter().map(|path| shown(path, facts)).collect();
        let message =
            format!("files of `{}` have mtimes in the future: {}", package.name, some_of(&names));
        let suggestion = SOURCE_FROM_FUTURE.suggestion.to_owned();
        (!names.is_empty())
            .then(|| SOURCE_FROM_FUTURE.finding(package.root.clone(), message, suggestion))
    };
    facts.packages.iter().filter_map(find).collect()
}

/// The longest paths below our directory (`envs/<name>/Lib/site-packages/...` of setuptools and
/// maturin) and below a target directory (`release/build/<package>-<hash>/...`) are about this
/// long.
const BELOW: usize = 130;

fn path_too_long(facts: &Facts) -> Vec<Finding> {
    if !facts.is_windows {
        return Vec::new();
    }
    let directories = std::iter::once(&facts.ours.path)
        .chain(facts.workspaces.iter().map(|workspace| &workspace.target_directory));
    let longest = directories.max_by_key(|path| path.as_os_str().len());
    let find = |path: &std::path::PathBuf| {
        let length = path.as_os_str().len();
        let message = format!(
            "`{}` has {length} characters, and paths below it add about {BELOW}",
            path.display()
        );
        (length + BELOW > 259).then(|| {
            PATH_TOO_LONG.finding(path.clone(), message, PATH_TOO_LONG.suggestion.to_owned())
        })
    };
    longest.and_then(find).into_iter().collect()
}

fn shebang(facts: &Facts) -> Vec<Finding> {
    if facts.is_windows || facts.ours.path.as_os_str().is_empty() {
        return Vec::new();
    }
    let python = facts.ours.path.join("envs/cp312-0123456789ab/bin/python").display().to_string();
    // With `#!` before it and a line feed after it.
    let reason = match python.len() {
        _ if python.contains(char::is_whitespace) => "has a space in it".to_owned(),
        length if length + 3 > 128 => format!("makes paths of {length} characters"),
        _ => return Vec::new(),
    };
    let message = format!("`{}` {reason}", facts.ours.path.display());
    vec![SHEBANG.finding(facts.ours.path.clone(), message, SHEBANG.suggestion.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::super::facts::{BuildDirectory, Job, OurDirectory, Step, Tar, Workflow};
    use super::*;

    #[test]
    fn busybox_here_or_in_a_container() {
        let here = |is_busybox| Facts {
            tar: Some(Tar { path: "/bin/tar".into(), is_busybox }),
            ..Facts::default()
        };
        assert_eq!(tar(&here(true)).len(), 1);
        assert_eq!(tar(&here(false)).len(), 0);
        let cache = Step { uses: Some("actions/cache".into()), ..Step::default() };
        let apk = Step { run: Some("apk add --no-cache bash tar".into()), ..Step::default() };
        let count = |image: &str, steps: Vec<Step>| {
            let job =
                Job { name: "j".into(), container: Some(image.into()), steps, ..Job::default() };
            let workflow =
                Workflow { path: "w.yml".into(), jobs: vec![job], ..Workflow::default() };
            tar(&Facts { workflows: vec![workflow], ..Facts::default() }).len()
        };
        assert_eq!(count("alpine:3.22", vec![cache.clone()]), 1);
        assert_eq!(count("python:3.13-alpine", vec![cache.clone(), apk.clone()]), 1, "too late");
        assert_eq!(count("python:3.13-alpine", vec![apk.clone(), cache.clone()]), 0);
        assert_eq!(count("quay.io/pypa/musllinux_1_2_x86_64", vec![cache.clone()]), 0);
        assert_eq!(count("ghcr.io/x/alpine", vec![apk]), 0, "nothing is restored");
        assert_eq!(count("debian:13", vec![cache]), 0);
    }

    #[test]
    fn the_future_begins_after_a_tolerance() {
        let at = |seconds| FileTime::from_unix_time(seconds, 0);
        let with = |newest| Facts {
            now: at(1000),
            build_directories: vec![BuildDirectory {
                path: "/t".into(),
                newest: Some(at(newest)),
                ..BuildDirectory::default()
            }],
            ..Facts::default()
        };
        assert_eq!(target_from_future(&with(1004)), []);
        assert_eq!(target_from_future(&with(4600))[0].message, "`/t` has mtimes 1h in the future");
    }

    #[test]
    fn paths_that_are_too_long_or_have_spaces() {
        let with = |path: &str, is_windows| Facts {
            is_windows,
            ours: OurDirectory { path: path.into(), ..OurDirectory::default() },
            ..Facts::default()
        };
        let long = format!("/{}", "d".repeat(131));
        assert_eq!(
            (
                shebang(&with("/p/.pyenv-build", false)).len(),
                path_too_long(&with("/p/.pyenv-build", true)).len()
            ),
            (0, 0)
        );
        assert_eq!(shebang(&with("/my project/.pyenv-build", false)).len(), 1);
        assert_eq!(
            (shebang(&with(&long, false)).len(), path_too_long(&with(&long, true)).len()),
            (1, 1)
        );
        assert_eq!(
            (shebang(&with(&long, true)).len(), path_too_long(&with(&long, false)).len()),
            (0, 0)
        );
    }
}
