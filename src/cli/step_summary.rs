//! What a command says in the summary of its step, where it is called in a job of GitHub Actions:
//! one line, with the details folded.

use crate::actions::summary::{self, Summary};
use crate::env_vars;
use crate::report::{Crates, Report, render};
use crate::ui::Ui;

/// Writes the summary, unless the user disabled it, or the command did not involve cargo.
pub(super) fn write(report: &Report, ui: &Ui) {
    let is_wanted = env_vars::get("GITHUB_ACTIONS").as_deref() == Some("true")
        && env_vars::get(env_vars::SUMMARY).as_deref() != Some("false");
    let crates = &report.crates;
    if !is_wanted || (crates.compiled.is_empty() && crates.reused.is_empty() && crates.fresh == 0) {
        return;
    }
    if let Err(error) = of_command(report).write() {
        ui.warning(format_args!("could not write the summary: {error}"));
    }
}

fn of_command(report: &Report) -> Summary {
    let mut summary = Summary::default();
    let failed = if report.ok { "" } else { ", and failed" };
    let line = format!("{} in {:.1} s{failed}", render::counted(&report.crates), report.seconds);
    summary.push(&format!(
        "<code>cargo pyenv-build {}</code>: {}",
        summary::text(&report.command),
        summary::text(&line)
    ));
    if !report.crates.compiled.is_empty() {
        summary.fold("Compiled crates, and why", &compiled(&report.crates));
    }
    fold_build_scripts(&report.crates, &mut summary);
    summary
}

/// A table of what was compiled.
pub(super) fn compiled(crates: &Crates) -> String {
    let row = |one: &crate::report::CompiledCrate| {
        let whose = if one.workspace { "workspace" } else { "dependency" };
        vec![
            summary::code(&format!("{} {}", one.name, one.version)),
            whose.to_owned(),
            summary::text(&render::because(one)),
        ]
    };
    summary::table(&["crate", "kind", "why"], &crates.compiled.iter().map(row).collect::<Vec<_>>())
}

/// Build scripts of the workspace that ran or were skipped, if there are any.
pub(super) fn fold_build_scripts(crates: &Crates, summary: &mut Summary) {
    let row = |script: &crate::report::BuildScriptRun| {
        let outcome = match (script.skipped, script.output_changed) {
            (true, _) => "skipped: its declared inputs did not change",
            (false, Some(true)) => "output changed",
            (false, Some(false)) => "nothing that is read of its output changed",
            (false, None) => "",
        };
        vec![
            summary::code(&format!("{} {}", script.name, script.version)),
            format!("{:.2} s", script.seconds),
            outcome.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> =
        crates.build_scripts.iter().filter(|script| script.workspace).map(row).collect();
    if !rows.is_empty() {
        summary.fold("Build scripts", &summary::table(&["crate", "took", "outcome"], &rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_the_details_folded() {
        let one = |more: serde_json::Value| {
            let mut all = serde_json::json!({"name": "a|b", "version": "1.0.0", "workspace": true, "reason": "input-changed", "detail": "src/<x>.rs"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let crates = serde_json::json!({"compiled": [one(serde_json::json!({}))], "reused": [{"name": "c", "version": "1", "seconds_saved": 41.0}], "fresh": 3});
        let report = Report {
            crates: serde_json::from_value(crates).unwrap(),
            seconds: 1.25,
            ..Report::new("run")
        };
        assert_eq!(
            of_command(&report).render(10_000),
            "<code>cargo pyenv-build run</code>: 1 crate compiled, 1 reused, 41.0 s saved in 1.2 s\n\n\
             <details><summary>Compiled crates, and why</summary>\n\n| crate | kind | why |\n| \
             --- | --- | --- |\n\
             | <code>a&#124;b 1.0.0</code> | workspace | src/&lt;x&gt;.rs changed \
             |\n\n</details>\n\n"
        );
    }
}
