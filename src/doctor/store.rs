//! The store of compiled crates, where it is restored and saved by a CI service.

use super::{Facts, Finding, Rule, Severity};

pub(crate) const NOT_WORTH_IT: Rule = Rule {
    id: "cache-not-worth-it",
    severity: Severity::Note,
    summary: "the store takes longer to restore and save than it saves",
    why: "a job restores the store from GitHub's cache, and saves it again when something \
        changed: about a second for 20 MiB. This pays only if rustc would have taken longer",
    suggestion: "shrink the store: `cargo pyenv-build store gc --max-size SIZE` at the end of the \
        job, fewer profiles in one job, or less debuginfo (`debug = \"line-tables-only\"`, and \
        `debug = false` for dependencies)",
    check: not_worth_it,
};

const MIB: f64 = 1024.0 * 1024.0;
/// A rule of thumb for GitHub's cache: restoring and saving together, with packing and unpacking.
const BYTES_PER_SECOND: f64 = 20.0 * MIB;
/// A store that is smaller is not worth a word.
const LEAST_BYTES: f64 = 200.0 * MIB;

#[expect(clippy::cast_precision_loss, reason = "whole MiB are shown")]
fn not_worth_it(facts: &Facts) -> Vec<Finding> {
    let Some(store) = &facts.store else { return Vec::new() };
    let (bytes, saved) = (store.bytes as f64, store.seconds_saved);
    let taken = bytes / BYTES_PER_SECOND;
    if store.reused == 0 || bytes <= LEAST_BYTES || taken <= saved {
        return Vec::new();
    }
    let mib = |bytes: f64| (bytes / MIB).round();
    let message = format!(
        "the store takes {} MiB, about {taken:.0} s to restore and save, but saved only \
            {saved:.1} s in this job",
        mib(bytes)
    );
    let worth = mib(saved * BYTES_PER_SECOND).max(1.0);
    let mut suggestion = format!(
        "shrink it: `cargo pyenv-build store gc --max-size {worth}MiB` at the end of the job, \
            fewer profiles in one job, or less debuginfo (`debug = \"line-tables-only\"`, and \
            `debug = false` for dependencies)"
    );
    if store.incremental_bytes > store.bytes / 2 {
        let part = mib(store.incremental_bytes as f64);
        suggestion = format!(
            "set `incremental = false` in `[tool.pyenv-build]`: {part} MiB are rustc's incremental state"
        );
    }
    vec![NOT_WORTH_IT.finding(store.path.clone(), message, suggestion)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::StoreUse;

    fn found(mib: u64, reused: u64, seconds_saved: f64, incremental: u64) -> Vec<Finding> {
        let bytes = |mib: u64| mib * 1024 * 1024;
        let store = StoreUse {
            path: "s".into(),
            bytes: bytes(mib),
            incremental_bytes: bytes(incremental),
            reused,
            seconds_saved,
        };
        not_worth_it(&Facts { store: Some(store), ..Facts::default() })
    }

    #[test]
    fn a_store_that_takes_longer_than_it_saves() {
        let [finding] = &found(812, 3, 6.34, 0)[..] else { panic!() };
        assert_eq!(
            finding.message,
            "the store takes 812 MiB, about 41 s to restore and save, but saved only 6.3 s in this job"
        );
        assert!(
            finding
                .suggestion
                .contains("`cargo pyenv-build store gc --max-size 127MiB` at the end of the job"),
            "{}",
            finding.suggestion
        );
        let [finding] = &found(812, 3, 6.34, 500)[..] else { panic!() };
        assert_eq!(
            finding.suggestion,
            "set `incremental = false` in `[tool.pyenv-build]`: 500 MiB are rustc's incremental state"
        );
        assert_eq!(found(201, 1, 10.0, 0).len(), 1);
        assert_eq!(found(812, 3, 41.0, 0), [], "it is worth it");
        assert_eq!(found(200, 3, 1.0, 0), [], "it is small");
        assert_eq!(
            found(812, 0, 0.0, 0),
            [],
            "nothing was reused, as after a change of everything"
        );
        assert_eq!(not_worth_it(&Facts::default()), [], "it is not a job");
    }
}
