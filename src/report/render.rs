//! The report in words.

use std::fmt::Write as _;

use super::{CompiledCrate, Crates, Reason, Report};

/// `compiled 3 crates: pyo3-ffi, pyo3, rpds-py`, at most a handful by name.
pub fn crates_line(crates: &Crates) -> String {
    const NAMED: usize = 6;
    let count = crates.compiled.len();
    let mut names: Vec<&str> = crates.compiled.iter().map(|one| one.name.as_str()).take(NAMED).collect();
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

/// Why a crate was compiled, as far as cargo said.
pub fn because(one: &CompiledCrate) -> String {
    let detail = one.detail.as_deref().unwrap_or("?");
    match one.reason {
        Reason::EnvVarChanged => format!("the environment variable {detail} changed"),
        Reason::InputChanged => format!("{detail} changed"),
        Reason::DependencyRebuilt => format!("{detail} was rebuilt"),
        Reason::Other => detail.to_owned(),
        Reason::Unknown => "cargo did not say why (`CARGO_TERM_VERBOSE=true` makes it)".to_owned(),
    }
}

/// The text of `why`.
pub fn why(report: &Report) -> String {
    let mut text = String::new();
    let parts = if report.projects.is_empty() { std::slice::from_ref(report) } else { &report.projects[..] };
    for part in parts {
        if let Some(project) = &part.project {
            let _ = write!(text, "{}: ", project.display());
        }
        let verdict = if part.ok { "" } else { " (the build failed)" };
        let _ = writeln!(text, "{} in {:.1}s{verdict}", crates_line(&part.crates), part.seconds);
        for one in &part.crates.compiled {
            let _ = writeln!(text, "  {} v{}: {}", one.name, one.version, because(one));
        }
    }
    text.trim_end().to_owned()
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
        };
        let crates = |names: &str| Crates { compiled: names.split_whitespace().map(one).collect(), fresh: 0 };
        assert_eq!(crates_line(&crates("")), "0 crates compiled");
        assert_eq!(crates_line(&crates("a")), "1 crate compiled: a");
        assert_eq!(crates_line(&crates("a b c d e f g h")), "8 crates compiled: a, b, c, d, e, f, and 2 more");
        let report = Report { crates: crates("a"), project: Some("/p".into()), seconds: 1.0, ..Report::new("build") };
        assert_eq!(why(&report), "/p: 1 crate compiled: a in 1.0s\n  a v1.0.0: src/lib.rs changed");
    }
}
