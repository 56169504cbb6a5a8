//! What makes a project's builds slow or stale, and suggested fixes.
//!
//! [`look::look`] gathers [`Facts`] (files, git, cargo's records, settings), changing nothing. Each
//! rule is a function from facts to findings, and pure. [`fix`] makes the few edits that cannot
//! change what is built.
//!
//! | file | rules about |
//! |---|---|
//! | [`build_scripts`] | when cargo runs build scripts again |
//! | [`pythons`] | which Python PyO3 is built for |
//! | [`indexes`] | where uv and pip take packages from |
//! | [`workflows`] | how the jobs of GitHub's workflows build |
//! | [`workflows::caches`] | which runs save caches |
//! | [`workflows::publishing`] | which jobs must not restore them |
//! | [`workflows::shared_keys`] | which jobs must not share a key |
//! | [`store`] | whether the store is worth its time |
//! | [`debug_info`] | what debug info weighs in caches |
//! | [`checkout`] | git, and what is not in it |
//! | [`machine`] | clocks, paths, tar |
//!
//! **No false alarms.** A rule reports only what it has seen. cargo's records describe the last
//! run: if a script was edited since, its source counts, and of several units of one build script
//! only the latest counts.
//!
//! `error`: builds can be stale, or fail. `warning`: crates are compiled that need not be, or a
//! published artifact may come from a cache. `note`: worth knowing, never fails.

pub(crate) mod build_scripts;
pub(crate) mod checkout;
pub(crate) mod debug_info;
pub(crate) mod facts;
pub(crate) mod fix;
pub(crate) mod indexes;
pub(crate) mod look;
pub(crate) mod machine;
pub(crate) mod pythons;
pub(crate) mod store;
pub(crate) mod workflows;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use facts::Facts;
pub(crate) use fix::Fix;

/// How bad a finding is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
    Note,
}

impl Severity {
    /// As it is printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A check.
#[derive(Debug)]
pub(crate) struct Rule {
    pub id: &'static str,
    pub severity: Severity,
    /// The problem, as a fragment.
    pub summary: &'static str,
    /// Its cost or risk.
    pub why: &'static str,
    /// The general fix; a finding has the fix for its case.
    pub suggestion: &'static str,
    pub check: fn(&Facts) -> Vec<Finding>,
}

/// A problem that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub rule: &'static str,
    pub severity: Severity,
    /// The affected file or directory.
    pub path: Option<PathBuf>,
    /// The observed problem.
    pub message: String,
    pub why: &'static str,
    pub suggestion: String,
    /// Edits that `--fix` makes.
    pub fixes: Vec<Fix>,
}

impl Rule {
    /// A finding of this rule.
    pub(crate) fn finding(
        &self,
        path: impl Into<Option<PathBuf>>,
        message: String,
        suggestion: String,
    ) -> Finding {
        Finding {
            rule: self.id,
            severity: self.severity,
            path: path.into(),
            message,
            why: self.why,
            suggestion,
            fixes: Vec::new(),
        }
    }
}

impl Finding {
    /// The same with edits that fix it.
    #[must_use]
    pub(crate) fn with(mut self, fixes: Vec<Fix>) -> Self {
        self.fixes = fixes;
        self
    }
}

/// All rules, in the order in which they are listed.
pub(crate) const RULES: &[&Rule] = &[
    &build_scripts::WITHOUT_RERUN_IF,
    &build_scripts::MISSING_PATH,
    &build_scripts::WRITTEN_PATH,
    &build_scripts::TIED_TO_ENVIRONMENT,
    &build_scripts::BY_PRODUCTS,
    &pythons::TEMPORARY_PATH,
    &pythons::NOT_PINNED,
    &pythons::CONFIGURED_MISSING,
    &pythons::CONFIGURED_OTHER,
    &indexes::AT_ODDS,
    &indexes::FOR_ONE,
    &indexes::NOT_FOR_BUILDS,
    &workflows::RUST_CACHE_TWICE,
    &workflows::RUST_CACHE_UNAWARE,
    &workflows::RUST_CACHE_DELETES,
    &workflows::BUILT_TWICE,
    &workflows::caches::NOTHING_SAVES,
    &workflows::caches::MERGE_QUEUE_SAVES,
    &workflows::publishing::CACHE_MODE_MISSING,
    &workflows::shared_keys::SHARED_KEY,
    &store::NOT_WORTH_IT,
    &debug_info::OF_DEPENDENCIES,
    &machine::TAR,
    &machine::TARGET_FROM_FUTURE,
    &machine::SOURCE_FROM_FUTURE,
    &machine::PATH_TOO_LONG,
    &machine::SHEBANG,
    &checkout::OURS_NOT_IGNORED,
    &checkout::TARGET_NOT_IGNORED,
    &checkout::TARGET_OUTSIDE,
    &checkout::LOCK_FILE,
    &checkout::VENV_NOT_IGNORED,
    &checkout::SHADOWED,
];

/// The rule of an id.
pub(crate) fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}

/// All findings, the worst first.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| (rule.check)(facts)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// A path as it is said: relative to the checkout, if it is in it.
fn shown(path: &Path, facts: &Facts) -> String {
    path.strip_prefix(&facts.checkout)
        .ok()
        .filter(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// `a`, `b`, `c` and 4 more
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let quoted: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(SHOWN + 1) {
        Some(rest) => format!("{} and {} more", quoted.join(", "), rest + 1),
        None => quoted.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_a_checkout_without_anything_has_no_findings() {
        let mut ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
        assert!(ids.iter().all(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        }));
        assert_eq!(examine(&Facts::default()), []);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(some_of(&names[..1]), "`a`");
        assert_eq!(some_of(&names[..3]), "`a`, `b`, `c`");
        assert_eq!(some_of(&names[..4]), "`a`, `b`, `c` and 1 more");
        assert_eq!(some_of(&names), "`a`, `b`, `c` and 2 more");
    }
}
