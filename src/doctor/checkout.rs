//! Git, and what is not in it.

use super::facts::{LockFile, Package, Shadowed, Workspace};
use super::{Facts, Finding, Fix, Rule, Severity, shown};

pub(crate) const OURS_NOT_IGNORED: Rule = Rule {
    id: "our-directory-not-ignored",
    severity: Severity::Warning,
    summary: "git does not ignore `.pyenv-build`",
    why: "each build changes its content, and cargo counts untracked files as files of the \
        package: a build script without `rerun-if` lines runs again in every build",
    suggestion: "restore the `.gitignore` in it, or add it to the project's `.gitignore`",
    check: ours_not_ignored,
};

pub(crate) const TARGET_NOT_IGNORED: Rule = Rule {
    id: "target-directory-not-ignored",
    severity: Severity::Warning,
    summary: "git does not ignore cargo's target directory",
    why: "`git add .` commits artifacts, and untracked files end up in source distributions and \
        re-run build scripts without `rerun-if` lines",
    suggestion: "add it to `.gitignore`",
    check: target_not_ignored,
};

pub(crate) const TARGET_OUTSIDE: Rule = Rule {
    id: "target-directory-outside",
    severity: Severity::Note,
    summary: "cargo's target or build directory is outside the workspace",
    why: "caches that only cover `target` (rust-cache without `workspaces`, `actions/cache` of \
        `target`) do not save it, and projects that share it clean each other's artifacts",
    suggestion: "use the default location, or add it to the cache's paths",
    check: target_outside,
};

pub(crate) const LOCK_FILE: Rule = Rule {
    id: "cargo-lock-not-committed",
    severity: Severity::Warning,
    summary: "the `Cargo.lock` of an extension module is not committed",
    why: "each fresh checkout resolves its dependencies again: a new release of any of them is \
        compiled, with everything that depends on it, and ends up in the wheel",
    suggestion: "commit it",
    check: lock_file,
};

pub(crate) const VENV_NOT_IGNORED: Rule = Rule {
    id: "virtual-environment-not-ignored",
    severity: Severity::Warning,
    summary: "git does not ignore a virtual environment in the source tree",
    why: "untracked files, including its interpreter, end up in source distributions and re-run \
        build scripts without `rerun-if` lines",
    suggestion: "add it to `.gitignore`",
    check: venv_not_ignored,
};

pub(crate) const SHADOWED: Rule = Rule {
    id: "extension-shadowed",
    severity: Severity::Error,
    summary: "an older extension module in the source tree hides one that was built later",
    why: "Python prefers `_x.cpython-312-*.so` to `_x.abi3.so`, so it imports, and tests, the old \
        one",
    suggestion: "remove the older file",
    check: shadowed,
};

fn shadowed(facts: &Facts) -> Vec<Finding> {
    let find = |modules: &Shadowed| {
        let (old, fresh) = (shown(&modules.old, facts), shown(&modules.fresh, facts));
        let message = format!("Python imports `{old}` instead of `{fresh}`, which was built later");
        SHADOWED.finding(modules.old.clone(), message, format!("remove `{old}`"))
    };
    facts.shadowed.iter().map(find).collect()
}

fn venv_not_ignored(facts: &Facts) -> Vec<Finding> {
    let find = |venv: &std::path::PathBuf| {
        let name = shown(venv, facts);
        let pattern = format!("/{}/", name.replace(std::path::MAIN_SEPARATOR, "/"));
        let message = format!("git does not ignore the virtual environment `{name}`");
        let fixes =
            vec![Fix::Ignore { file: facts.checkout.join(".gitignore"), pattern: pattern.clone() }];
        VENV_NOT_IGNORED
            .finding(venv.clone(), message, format!("add `{pattern}` to `.gitignore`"))
            .with(fixes)
    };
    facts.venvs.iter().map(find).collect()
}

fn ours_not_ignored(facts: &Facts) -> Vec<Finding> {
    if !facts.ours.exists || facts.ours.ignored != Some(false) {
        return Vec::new();
    }
    let directory = &facts.ours.path;
    let message = format!("git does not ignore the files in `{}`", shown(directory, facts));
    let file = directory.join(".gitignore");
    let suggestion = format!("write `*` into `{}`", shown(&file, facts));
    vec![
        OURS_NOT_IGNORED
            .finding(directory.clone(), message, suggestion)
            .with(vec![Fix::Ignore { file, pattern: "*".to_owned() }]),
    ]
}

fn target_not_ignored(facts: &Facts) -> Vec<Finding> {
    let find = |workspace: &Workspace| {
        let target = &workspace.target_directory;
        let relative = target
            .strip_prefix(&facts.checkout)
            .ok()
            .filter(|rest| !rest.as_os_str().is_empty())?;
        if workspace.ignores_target != Some(false) {
            return None;
        }
        let parts: Vec<_> =
            relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let pattern = format!("/{}/", parts.join("/"));
        let message = format!("git does not ignore `{}`, where cargo builds", shown(target, facts));
        let suggestion = format!("add `{pattern}` to `.gitignore`");
        let fixes = vec![Fix::Ignore { file: facts.checkout.join(".gitignore"), pattern }];
        Some(TARGET_NOT_IGNORED.finding(target.clone(), message, suggestion).with(fixes))
    };
    facts.workspaces.iter().filter_map(find).collect()
}

fn target_outside(facts: &Facts) -> Vec<Finding> {
    let find = |workspace: &Workspace| {
        let (by, directory) = workspace.moved.as_ref()?;
        let message = format!("{by} sets it to `{}`", directory.display());
        Some(TARGET_OUTSIDE.finding(
            directory.clone(),
            message,
            TARGET_OUTSIDE.suggestion.to_owned(),
        ))
    };
    facts.workspaces.iter().filter_map(find).collect()
}

fn lock_file(facts: &Facts) -> Vec<Finding> {
    let find = |workspace: &Workspace| {
        let is_in =
            |package: &&Package| package.is_cdylib && package.root.starts_with(&workspace.root);
        let package = facts.packages.iter().find(is_in)?;
        let file = workspace.root.join("Cargo.lock");
        let name = shown(&file, facts);
        let (seen, suggestion) = match workspace.lock {
            LockFile::Tracked => return None,
            LockFile::Absent => {
                ("does not exist", format!("`cargo generate-lockfile`, then `git add {name}`"))
            }
            LockFile::Untracked => ("is not tracked by git", format!("`git add {name}`")),
            LockFile::Ignored => {
                ("is ignored by git", format!("remove it from `.gitignore`, then `git add {name}`"))
            }
        };
        let message = format!("`{name}`, the lock file of `{}`, {seen}", package.name);
        facts.is_git.then(|| LOCK_FILE.finding(file, message, suggestion))
    };
    facts.workspaces.iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::OurDirectory;
    use super::*;

    fn facts(workspace: Workspace) -> Facts {
        let package = Package {
            name: "ext".into(),
            root: "/w/rust/ext".into(),
            is_cdylib: true,
            ..Package::default()
        };
        Facts {
            checkout: "/w".into(),
            is_git: true,
            packages: vec![package],
            workspaces: vec![workspace],
            ..Facts::default()
        }
    }

    fn workspace() -> Workspace {
        Workspace {
            root: "/w/rust".into(),
            target_directory: "/w/rust/target".into(),
            lock: LockFile::Tracked,
            ignores_target: Some(true),
            moved: None,
        }
    }

    #[test]
    fn a_lock_file_counts_for_extension_modules_under_git() {
        let count = |lock| lock_file(&facts(Workspace { lock, ..workspace() })).len();
        assert_eq!(
            [LockFile::Tracked, LockFile::Absent, LockFile::Untracked, LockFile::Ignored]
                .map(count),
            [0, 1, 1, 1]
        );
        let mut library = facts(Workspace { lock: LockFile::Absent, ..workspace() });
        library.packages[0].is_cdylib = false;
        assert_eq!(lock_file(&library), []);
        let mut unpacked = facts(Workspace { lock: LockFile::Absent, ..workspace() });
        unpacked.is_git = false;
        assert_eq!(lock_file(&unpacked), []);
    }

    #[test]
    fn what_is_not_ignored_is_ignored_by_its_place() {
        let found =
            target_not_ignored(&facts(Workspace { ignores_target: Some(false), ..workspace() }));
        assert_eq!(
            found[0].fixes,
            [Fix::Ignore { file: "/w/.gitignore".into(), pattern: "/rust/target/".into() }]
        );
        assert_eq!(target_not_ignored(&facts(workspace())), []);
        assert_eq!(
            target_not_ignored(&facts(Workspace { ignores_target: None, ..workspace() })),
            [],
            "it is elsewhere"
        );
        let ours = |exists, ignored| {
            let ours = OurDirectory { path: "/w/.pyenv-build".into(), exists, ignored };
            ours_not_ignored(&Facts { ours, ..facts(workspace()) }).len()
        };
        assert_eq!(
            (
                ours(true, Some(false)),
                ours(true, Some(true)),
                ours(false, Some(false)),
                ours(true, None)
            ),
            (1, 0, 0, 0)
        );
    }
}
