//! What is remembered from job to job, and the line that says how warm a job was.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::report::Report;
use crate::{digest, fs};

/// What is remembered of former builds, in the environments' cache.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct History {
    schema: u32,
    pub cold_seconds: Option<f64>,
    /// How many crates a cold build compiles.
    #[serde(default)]
    pub crates: u64,
    /// Of the last environment.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
}

impl History {
    const SCHEMA: u32 = 1;

    fn path(layout: &Layout, leg: &str) -> PathBuf {
        layout.history().join(format!("{}.json", &digest::bytes(leg.as_bytes())[..12]))
    }

    /// Empty if there is none that we understand.
    pub(super) fn read(layout: &Layout, leg: &str) -> Self {
        let read =
            || serde_json::from_slice::<Self>(&fs_err::read(Self::path(layout, leg)).ok()?).ok();
        read().filter(|history| history.schema == Self::SCHEMA).unwrap_or_default()
    }

    /// rust-cache tells a hit in part from none as little as a build that found nothing to do: what
    /// compiled less than once was compiled is not a cold build.
    pub(super) fn note_cold(&mut self, compiled: u64, seconds: f64) {
        if compiled > 0 && compiled >= self.crates {
            self.crates = compiled;
            self.cold_seconds = Some(seconds);
        }
    }

    /// Losing it loses a sentence of the next summary.
    pub(super) fn write(&mut self, layout: &Layout, leg: &str) {
        self.schema = Self::SCHEMA;
        let _ = fs::write_atomic(
            &Self::path(layout, leg),
            &serde_json::to_vec_pretty(self).expect("our own plain data always serialises"),
        );
    }
}

/// `warm: 0 of 38 crates compiled, 0.9 s; a cold build took 27.8 s`
pub(super) fn verdict(report: &Report, history: &History) -> String {
    let compiled = report.crates.compiled.len() as u64;
    let reused = report.crates.reused.len() as u64;
    let all = (compiled + reused + report.crates.fresh).max(history.crates);
    let kind = match (report.ok, compiled) {
        (false, _) => "failed",
        (true, 0) => "warm",
        (true, some) if some == all => "cold",
        (true, _) => "partly warm",
    };
    let of_all = if all > compiled { format!(" of {all}") } else { String::new() };
    let crates = if all == 1 || (of_all.is_empty() && compiled == 1) { "crate" } else { "crates" };
    let cold = match history.cold_seconds {
        Some(seconds) if kind != "cold" => format!("; a cold build took {seconds:.1} s"),
        _ => String::new(),
    };
    let reused = if reused > 0 { format!(", {reused} reused") } else { String::new() };
    format!("{kind}: {compiled}{of_all} {crates} compiled{reused}, {:.1} s{cold}", report.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CompiledCrate, Crates};

    fn report(compiled: usize, fresh: u64, seconds: f64) -> Report {
        let one = serde_json::json!({"name": "x", "version": "1.0.0", "workspace": false, "reason": "unknown"});
        let one: CompiledCrate = serde_json::from_value(one).unwrap();
        Report {
            crates: Crates { compiled: vec![one; compiled], fresh, ..Crates::default() },
            seconds,
            ..Report::new("build")
        }
    }

    #[test]
    fn the_verdict_says_how_warm_it_was() {
        let history = History { cold_seconds: Some(27.81), crates: 38, ..History::default() };
        assert_eq!(
            verdict(&report(0, 0, 0.9), &history),
            "warm: 0 of 38 crates compiled, 0.9 s; a cold build took 27.8 s"
        );
        assert_eq!(
            verdict(&report(1, 37, 4.0), &history),
            "partly warm: 1 of 38 crates compiled, 4.0 s; a cold build took 27.8 s"
        );
        assert_eq!(verdict(&report(38, 0, 28.0), &history), "cold: 38 crates compiled, 28.0 s");
        assert_eq!(
            verdict(&report(0, 0, 0.9), &History::default()),
            "warm: 0 crates compiled, 0.9 s"
        );
        assert_eq!(
            verdict(&report(1, 0, 0.9), &History::default()),
            "cold: 1 crate compiled, 0.9 s"
        );
        let failed = Report { ok: false, ..report(2, 0, 1.0) };
        assert_eq!(
            verdict(&failed, &history),
            "failed: 2 of 38 crates compiled, 1.0 s; a cold build took 27.8 s"
        );
    }

    #[test]
    fn only_a_whole_build_is_remembered_as_a_cold_one() {
        let mut history = History::default();
        for (compiled, seconds) in [(0, 0.1), (38, 27.8), (3, 9.0), (0, 0.2)] {
            history.note_cold(compiled, seconds);
        }
        assert_eq!((history.crates, history.cold_seconds), (38, Some(27.8)));
        history.note_cold(40, 30.0);
        assert_eq!((history.crates, history.cold_seconds), (40, Some(30.0)));
    }
}
