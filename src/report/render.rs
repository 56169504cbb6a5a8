//! The report as text.

use std::fmt::Write as _;

use super::{CompiledCrate, Crates, Reason, Report};
use crate::ui;

/// `3 crates compiled: pyo3-ffi, pyo3, rpds-py, 2 reused`, at most a handful by name.
pub(crate) fn crates_line(crates: &Crates) -> String {
    compiled_line(crates) + &reused_words(crates)
}

/// `(3 crates compiled: pyo3-ffi, pyo3, rpds-py), 2 reused`
pub(crate) fn in_brackets(crates: &Crates) -> String {
    format!("({}){}", compiled_line(crates), reused_words(crates))
}

fn reused_words(crates: &Crates) -> String {
    match crates.reused.len() {
        0 => String::new(),
        count => format!(", {count} reused"),
    }
}

/// `3 crates compiled, 14 reused, 41.2 s saved`
pub(crate) fn counted(crates: &Crates) -> String {
    let compiled = crates.compiled.len();
    let saved: f64 = crates.reused.iter().map(|one| one.seconds_saved).sum();
    let reused = if crates.reused.is_empty() {
        String::new()
    } else {
        format!(", {} reused, {saved:.1} s saved", crates.reused.len())
    };
    format!("{} compiled{reused}", ui::counted(compiled, "crate"))
}

fn compiled_line(crates: &Crates) -> String {
    const NAMED: usize = 6;
    let count = crates.compiled.len();
    let mut names: Vec<&str> =
        crates.compiled.iter().map(|one| one.name.as_str()).take(NAMED).collect();
    let more = format!("and {} more", count.saturating_sub(NAMED));
    if count > NAMED {
        names.push(&more);
    }
    match count {
        0 => "0 crates compiled".to_owned(),
        1 => format!("1 crate compiled: {}", names[0]),
        _ => format!("{count} crates compiled: {}", names.join(", ")),
    }
}

/// Why a crate was compiled.
pub(crate) fn because(one: &CompiledCrate) -> String {
    let detail = one.detail.as_deref().unwrap_or("?");
    let values = |text: String| {
        let shown = |value: &str| if value.is_empty() { "none" } else { value }.to_owned();
        match (one.old.as_deref().map(shown), one.new.as_deref().map(shown)) {
            (Some(old), Some(new)) => format!("{text} from {old} to {new}"),
            (Some(old), None) => format!("{text}: it was {old} and is unset"),
            (None, Some(new)) => format!("{text}: it was unset and is {new}"),
            (None, None) => text,
        }
    };
    match one.reason {
        Reason::FirstBuild => "it was not compiled before".to_owned(),
        Reason::EnvVarChanged => values(format!("the environment variable {detail} changed")),
        Reason::InputChanged => format!("{detail} changed"),
        Reason::DependencyRebuilt => format!("{detail} was rebuilt"),
        Reason::DependencyChanged => match &one.detail {
            Some(name) => format!("its dependency {name} changed"),
            None => "a dependency changed".to_owned(),
        },
        Reason::FeaturesChanged => values("its features changed".to_owned()),
        Reason::ProfileChanged => {
            "before, it was only compiled with different profile settings, or in a different mode \
                (build, check, test)"
                .to_owned()
        }
        Reason::TargetChanged => "its crate types, or its target in Cargo.toml, changed".to_owned(),
        Reason::RustflagsChanged => values("the rustc flags changed".to_owned()),
        Reason::RustcChanged => "rustc changed".to_owned(),
        Reason::VersionChanged => match &one.old {
            Some(old) => format!("its version changed from {old} to {detail}"),
            None => format!("its version changed to {detail}"),
        },
        Reason::ScriptOutputChanged => format!("its build script produced a different {detail}"),
        Reason::Moved => format!("it was compiled in {detail} before"),
        Reason::OutputMissing => "its artifacts were missing".to_owned(),
        Reason::Unfinished => "its last compilation did not finish".to_owned(),
        Reason::Macro | Reason::NotReusable | Reason::Other => detail.to_owned(),
        Reason::Unknown => "reason unknown".to_owned(),
    }
}

/// The text of `why`.
pub(crate) fn why(report: &Report) -> String {
    let mut text = String::new();
    let parts = if report.projects.is_empty() {
        std::slice::from_ref(report)
    } else {
        &report.projects[..]
    };
    for part in parts {
        if let Some(project) = &part.project {
            let _ = write!(text, "{}: ", project.display());
        }
        let verdict = match (part.ok, part.command.as_str()) {
            (true, _) => "",
            (false, "run") => " (the command failed)",
            (false, _) => " (the build failed)",
        };
        let _ = writeln!(text, "{} in {:.1}s{verdict}", crates_line(&part.crates), part.seconds);
        list(&part.crates, &mut text);
    }
    if let Some(crates) = &report.since {
        let _ = writeln!(text, "since then, by plain cargo: {}", crates_line(crates));
        list(crates, &mut text);
    }
    text.trim_end().to_owned()
}

/// A line for each crate and for each build script of the workspace.
fn list(crates: &Crates, text: &mut String) {
    let (causes, consequences): (Vec<_>, Vec<_>) =
        crates.compiled.iter().partition(|one| one.root_cause);
    for one in causes.into_iter().chain(consequences) {
        let seconds =
            if one.seconds > 0.0 { format!(" ({:.1}s)", one.seconds) } else { String::new() };
        let _ = writeln!(text, "  {} v{}: {}{seconds}", one.name, one.version, because(one));
    }
    for one in &crates.reused {
        let _ = writeln!(
            text,
            "  {} v{}: reused ({:.1}s saved){}",
            one.name,
            one.version,
            one.seconds_saved,
            one.made_by.as_ref().map(|job| format!(", compiled by {job}")).unwrap_or_default()
        );
    }
    for script in crates.build_scripts.iter().filter(|script| script.workspace) {
        let changed = match script.output_changed {
            Some(true) => ", and its output changed",
            Some(false) => ", and nothing that is read of its output changed",
            None => "",
        };
        let name = format!("  the build script of {} v{}", script.name, script.version);
        let _ = if script.skipped {
            writeln!(text, "{name}: skipped, its declared inputs did not change")
        } else {
            writeln!(text, "{name} ran for {:.1}s{changed}", script.seconds)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_handful() {
        let one = |name: &str| CompiledCrate {
            name: name.into(),
            version: "1.0.0".into(),
            workspace: false,
            reason: Reason::InputChanged,
            detail: Some("src/lib.rs".into()),
            old: None,
            new: None,
            root_cause: true,
            seconds: 0.0,
        };
        let crates = |names: &str| Crates {
            compiled: names.split_whitespace().map(one).collect(),
            ..Crates::default()
        };
        assert_eq!(crates_line(&crates("")), "0 crates compiled");
        assert_eq!(crates_line(&crates("a")), "1 crate compiled: a");
        assert_eq!(
            crates_line(&crates("a b c d e f g h")),
            "8 crates compiled: a, b, c, d, e, f, and 2 more"
        );
        let report = Report {
            crates: crates("a"),
            project: Some("/p".into()),
            seconds: 1.0,
            ..Report::new("build")
        };
        assert_eq!(why(&report), "/p: 1 crate compiled: a in 1.0s\n  a v1.0.0: src/lib.rs changed");
    }
}
