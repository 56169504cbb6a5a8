//! The summary of the action's own step.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::History;
use super::history::verdict;
use super::keys::{Hits, found};
use crate::actions::context::Policy;
use crate::actions::summary::{self, Summary};
use crate::cache;
use crate::cli::{fingerprint, step_summary};
use crate::layout::Layout;
use crate::report::{Crates, EnvReport, Report, render};

/// What there is to say of a build and its caches. `before` and `now`: what was remembered of
/// earlier jobs, and what will be.
pub(super) fn of_build(
    report: &Report,
    hits: &Hits,
    [before, now]: [&History; 2],
    layout: &Layout,
    policy: &Policy,
) -> Summary {
    let mut summary = Summary::default();
    let name = report
        .project
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let abi_tag = report.interpreter.as_ref().map_or("", |interpreter| &interpreter.abi_tag);
    summary.push(&format!(
        "### cargo pyenv-build: {} {}",
        summary::text(&name),
        summary::code(abi_tag)
    ));
    summary.push(&format!("**{}**", summary::text(&verdict(report, now))));
    if let Some(error) = &report.error {
        summary.push(&summary::code(&error.message));
    }
    let compiled = &report.crates.compiled;
    if !compiled.is_empty() {
        let table = step_summary::compiled(&report.crates);
        if hits.is_cold() || compiled.len() > 20 {
            summary.fold("Compiled crates, and why", &table);
        } else {
            summary.push(table.trim_end());
        }
    }
    step_summary::fold_build_scripts(&report.crates, &mut summary);
    if let Some(note) = &policy.note {
        summary.push(&summary::text(note));
    }
    if let Some(env) = &report.env {
        summary.fold("Build environment", &build_environment(env, hits, before, now));
    }
    let row = |what: &str, outcome: &str, path: Option<PathBuf>, key: &str| {
        let size = path.map(|path| cache::size(size_of(&path))).unwrap_or_default();
        vec![what.to_owned(), outcome.to_owned(), size, summary::code(key)]
    };
    let rows = [
        row("environments", found(&hits.env), Some(layout.envs()), &hits.env_key),
        row("rust-cache", hits.rust_cache_words(), None, &hits.rust_cache_key),
        row("store", found(&hits.store), Some(layout.store()), &hits.store_key),
    ];
    summary.fold("Caches", &summary::table(&["cache", "found", "size here", "key"], &rows));
    fold_hooks(report, &mut summary);
    fold_artifacts(report, &mut summary);
    summary
}

/// Where the environment comes from, and what changed in it since the last job.
fn build_environment(env: &EnvReport, hits: &Hits, before: &History, now: &History) -> String {
    let mut text = format!(
        "{} {} by {}",
        // To the build it is always there: `prepare` has made it.
        if hits.env_outcome.is_empty() { &env.outcome } else { &hits.env_outcome },
        summary::code(&env.fingerprint[..12.min(env.fingerprint.len())]),
        summary::text(&env.installer)
    );
    let changes = fingerprint::difference(&before.parts, &now.parts);
    if before.parts.is_empty() {
        text += "; no record of the previous one";
    } else if changes.is_empty() {
        text += "; unchanged since the last job";
    } else {
        for change in changes {
            let _ = write!(text, "\n- {}", summary::code(&change));
        }
    }
    text
}

fn fold_hooks(report: &Report, summary: &mut Summary) {
    let times: Vec<Vec<String>> = report
        .hooks
        .iter()
        .map(|hook| {
            vec![summary::code(&hook.name), hook.outcome.clone(), format!("{:.2} s", hook.seconds)]
        })
        .collect();
    summary.fold("Times", &summary::table(&["hook", "outcome", "took"], &times));
}

fn fold_artifacts(report: &Report, summary: &mut Summary) {
    let artifacts: Vec<Vec<String>> = report
        .artifacts
        .iter()
        .map(|one| {
            let name = one.path.file_name().unwrap_or_default().to_string_lossy();
            vec![summary::code(&name), cache::size(one.size_bytes), summary::code(&one.sha256)]
        })
        .collect();
    if !artifacts.is_empty() {
        summary.fold("Artifacts", &summary::table(&["file", "size", "SHA-256"], &artifacts));
    }
}

fn size_of(directory: &Path) -> u64 {
    let files = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    files
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

/// The note for a build that compiled crates although every cache was an exact hit.
pub(super) fn full_hit_compiled(crates: &Crates) -> String {
    let why: Vec<String> = crates
        .compiled
        .iter()
        .take(5)
        .map(|one| format!("{} {}: {}", one.name, one.version, render::because(one)))
        .collect();
    format!(
        "all caches were exact hits, and still {}\n{}",
        render::crates_line(crates),
        why.join("\n")
    )
}
