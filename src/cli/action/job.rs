//! A job as a whole: when it began, and what all of its steps compiled and reused.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use crate::actions::context;
use crate::actions::summary::{self, Summary};
use crate::cli::step_summary;
use crate::layout::Layout;
use crate::report::{Crates, render, reuse};
use crate::ui::{self, Ui};
use crate::units::log::{self, Event};
use crate::units::store::Store;
use crate::{digest, fs};

/// What is known of the job's calls of rustc.
pub(super) struct Verdict {
    /// `warm: 0 crates compiled in 3 steps, 14 reused, 41.0 s saved`
    pub line: String,
    pub compiled: usize,
    pub summary: Summary,
}

/// Notes that the job begins, unless an earlier call of the action in it has. If its store
/// `is_saved`, what earlier jobs left of it is put aside.
pub(super) fn begin(layout: &Layout, is_saved: bool, ui: &Ui) {
    let job = digest::bytes(context::job().unwrap_or_default().as_bytes());
    let mark = layout.job();
    if fs_err::read_to_string(&mark).is_ok_and(|text| text == job) {
        return;
    }
    let begun = fs::write_atomic(&mark, job.as_bytes())
        .and_then(|()| if is_saved { Store::at(layout.store()).set_aside() } else { Ok(()) });
    if let Err(error) = begun {
        ui.warning(format_args!(
            "could not remove unused entries from the store before caching: {error}"
        ));
    }
}

/// What was done since the job began.
pub(super) fn verdict(layout: &Layout, root: &Path) -> Verdict {
    let begun = fs_err::metadata(layout.job())
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let begun =
        begun.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let events: Vec<Event> = log::read(&log::path_of(&Store::at(layout.store())))
        .into_iter()
        .filter(|event| event.at >= begun)
        .collect();
    of_events(&events, root)
}

fn of_events(events: &[Event], root: &Path) -> Verdict {
    let mut by_step: BTreeMap<Option<&str>, Vec<Event>> = BTreeMap::new();
    for event in events {
        by_step.entry(event.step.as_deref()).or_default().push(event.clone());
    }
    let steps: Vec<(Option<&str>, Crates)> = by_step
        .into_iter()
        .map(|(step, events)| (step, reuse::combine(Crates::default(), &events, root).0))
        .collect();
    // A crate counts once for each step in which rustc ran for it.
    let compiled: usize = steps.iter().map(|(_, crates)| crates.compiled.len()).sum();
    let reused: usize = steps.iter().map(|(_, crates)| crates.reused.len()).sum();
    let kind = match (compiled, reused) {
        (0, _) => "warm",
        (_, 0) => "cold",
        _ => "partly warm",
    };
    let saved: f64 =
        steps.iter().flat_map(|(_, crates)| &crates.reused).map(|one| one.seconds_saved).sum();
    let line = match events.len() {
        0 => "no step of this job ran rustc".to_owned(),
        _ => {
            format!(
                "{kind}: {} compiled in {}, {reused} reused, {saved:.1} s saved",
                ui::counted(compiled, "crate"),
                ui::counted(steps.len(), "step")
            )
        }
    };
    let mut text = Summary::default();
    text.push(&format!("**cargo pyenv-build, the whole job: {}**", summary::text(&line)));
    for (step, crates) in &steps {
        let title = format!("{}: {}", step.unwrap_or("elsewhere"), render::counted(crates));
        if crates.compiled.is_empty() {
            text.push(&summary::text(&title));
        } else {
            text.fold(&title, &step_summary::compiled(crates));
        }
    }
    Verdict { line, compiled, summary: text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(step: Option<&str>, package: &str, what: &serde_json::Value) -> Event {
        let all = serde_json::json!({
            "package": package, "version": "1.0.0", "directory": "/p", "is_local": true, "kind": "lib", "is_check": false, "what": what,
            "seconds": 1.0, "step": step,
        });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_job_is_the_sum_of_its_steps() {
        let reused = serde_json::json!({"what": "reused", "seconds_saved": 20.5, "bytes": 1});
        let compiled = serde_json::json!({"what": "compiled", "difference": {"kind": "first"}, "ok": true, "recorded": true, "why_not": null});
        let events = [event(Some("__run"), "a", &reused), event(Some("__run_2"), "a", &reused)];
        let verdict = of_events(&events, Path::new("/p"));
        assert_eq!(
            (verdict.line.as_str(), verdict.compiled),
            ("warm: 0 crates compiled in 2 steps, 2 reused, 41.0 s saved", 0)
        );
        let more = [&events[..], &[event(None, "b", &compiled)]].concat();
        let verdict = of_events(&more, Path::new("/p"));
        assert_eq!(
            verdict.line,
            "partly warm: 1 crate compiled in 3 steps, 2 reused, 41.0 s saved"
        );
        let text = verdict.summary.render(10_000);
        assert!(
            text.contains("<details><summary>elsewhere: 1 crate compiled</summary>")
                && text.contains("&#95;&#95;run&#95;2: 0 crates"),
            "{text}"
        );
        assert_eq!(of_events(&[], Path::new("/p")).line, "no step of this job ran rustc");
    }
}
