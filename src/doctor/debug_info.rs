//! What dependencies' debug info weighs in the caches of CI.

use super::facts::DebugInfo;
use super::{Facts, Finding, Rule, Severity, workflows};

pub(crate) const OF_DEPENDENCIES: Rule = Rule {
    id: "debug-info-of-dependencies",
    severity: Severity::Note,
    summary: "much of what CI caches is debug info of dependencies",
    why: "cargo compiles dependencies with full debug info in the `dev` profile. Each job restores it and each save uploads it, \
          and few people step through their dependencies in a debugger",
    suggestion: "set `debug = false` for dependencies in `Cargo.toml`: `[profile.dev.package.\"*\"]`",
    check: of_dependencies,
};

const MIB: u64 = 1024 * 1024;
/// Less is restored and saved in a few seconds.
const LEAST_BYTES: u64 = 50 * MIB;

fn of_dependencies(facts: &Facts) -> Vec<Finding> {
    if !workflows::keep_target(facts) {
        return Vec::new();
    }
    let find = |directory: &super::facts::BuildDirectory, info: &DebugInfo| {
        let message = format!(
            "the libraries of dependencies in profile `{}` weigh {} MiB, of which {} MiB are debug info",
            info.profile,
            info.library_bytes / MIB,
            info.bytes / MIB
        );
        let suggestion = format!(
            "add to the workspace's `Cargo.toml`: `[profile.{}.package.\"*\"]`, and below it `debug = false`. Backtraces \
             then show no line numbers for dependencies; with `debug = \"line-tables-only\"` they do, for less than now",
            info.profile
        );
        OF_DEPENDENCIES.finding(directory.path.clone(), message, suggestion)
    };
    let directories = facts.build_directories.iter();
    directories
        .flat_map(|directory| directory.debug_info.iter().map(move |info| (directory, info)))
        .filter(|(_, info)| info.bytes >= LEAST_BYTES)
        .map(|(directory, info)| find(directory, info))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::{BuildDirectory, Job, Step, Workflow};
    use super::*;

    fn found(uses: &str, mib: u64) -> Vec<Finding> {
        let info =
            DebugInfo { profile: "dev".to_owned(), library_bytes: 2 * mib * MIB, bytes: mib * MIB };
        let step = Step { uses: Some(uses.into()), ..Step::default() };
        let job = Job { steps: vec![step], ..Job::default() };
        of_dependencies(&Facts {
            build_directories: vec![BuildDirectory {
                debug_info: vec![info],
                ..BuildDirectory::default()
            }],
            workflows: vec![Workflow { jobs: vec![job], ..Workflow::default() }],
            ..Facts::default()
        })
    }

    #[test]
    fn only_what_is_cached_and_heavy() {
        let [finding] = &found("Swatinem/rust-cache", 60)[..] else { panic!() };
        assert_eq!(
            finding.message,
            "the libraries of dependencies in profile `dev` weigh 120 MiB, of which 60 MiB are debug info"
        );
        assert!(
            finding.suggestion.contains("`[profile.dev.package.\"*\"]`"),
            "{}",
            finding.suggestion
        );
        assert_eq!(found("octo/cargo-pyenv-build", 60).len(), 1);
        assert_eq!(found("Swatinem/rust-cache", 49), [], "it is little");
        assert_eq!(found("actions/setup-python", 60), [], "nothing is cached");
    }
}
