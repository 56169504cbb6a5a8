//! Parses cargo's output, also when a backend runs it: `Compiling`, `Fresh`, `Dirty` and the
//! progress bar.

use std::collections::BTreeMap;

use super::{CompiledCrate, Crates, Reason};

/// Collects what the lines say. Crates are counted once, however often cargo is run.
#[derive(Debug, Default)]
pub(crate) struct CargoOutput {
    compiled: Vec<Package>,
    fresh: Vec<Package>,
    /// By name and version, from `cargo -v`.
    dirty: BTreeMap<(String, String), String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    local: bool,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// `Compiling name v1.0.0`: show it.
    Compiling(String),
    /// The progress bar: done, total and what is being compiled.
    Progress { done: u64, total: u64, now: String },
    /// Anything else.
    Other,
}

impl CargoOutput {
    /// Takes in one line and says what it is.
    pub(crate) fn line(&mut self, line: &str) -> Line {
        let plain = console::strip_ansi_codes(line);
        let Some((word, rest)) = plain.trim().split_once(' ') else { return Line::Other };
        match word {
            "Compiling" => match package(rest) {
                Some(package) => {
                    let shown = format!("{} v{}", package.name, package.version);
                    if !self.compiled.contains(&package) {
                        self.compiled.push(package);
                    }
                    Line::Compiling(shown)
                }
                None => Line::Other,
            },
            "Fresh" => {
                self.fresh.extend(package(rest).filter(|package| !self.fresh.contains(package)));
                Line::Other
            }
            "Dirty" => {
                if let Some((package, reason)) =
                    rest.split_once(": ").and_then(|(head, reason)| Some((package(head)?, reason)))
                {
                    self.dirty
                        .entry((package.name, package.version))
                        .or_insert_with(|| reason.to_owned());
                }
                Line::Other
            }
            "Building" => progress(rest).unwrap_or(Line::Other),
            _ => Line::Other,
        }
    }

    pub(crate) fn finish(self) -> Crates {
        let compiled: Vec<CompiledCrate> = self
            .compiled
            .iter()
            .map(|package| {
                let said = self.dirty.get(&(package.name.clone(), package.version.clone()));
                let (reason, detail) = said.map_or((Reason::Unknown, None), |said| reason(said));
                CompiledCrate {
                    name: package.name.clone(),
                    version: package.version.clone(),
                    workspace: package.local,
                    reason,
                    detail,
                    old: None,
                    new: None,
                    root_cause: !matches!(reason, Reason::DependencyRebuilt | Reason::Unknown),
                    seconds: 0.0,
                }
            })
            .collect();
        let fresh = self.fresh.iter().filter(|package| !self.compiled.contains(package)).count();
        Crates { compiled, fresh: fresh as u64, ..Crates::default() }
    }
}

/// `pyo3 v0.29.3`, `mine v0.1.0 (/path)`, `theirs v0.1.0 (https://host/repo#c0ffee)`, `macros v1.0.0 (proc-macro)`
fn package(text: &str) -> Option<Package> {
    let mut words = text.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let is_name = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    let source: String = words.collect::<Vec<_>>().join(" ");
    let local = source.split(['(', ')']).any(|part| {
        let part = part.trim();
        !part.is_empty() && part != "proc-macro" && !part.contains("://")
    });
    (is_name && is_version).then(|| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        local,
    })
}

/// `[=====>    ] 12/38: pyo3, serde`
fn progress(text: &str) -> Option<Line> {
    let (_, rest) = text.split_once(']')?;
    let (counts, now) = rest.split_once(':').unwrap_or((rest, ""));
    let (done, total) = counts.trim().split_once('/')?;
    Some(Line::Progress {
        done: done.parse().ok()?,
        total: total.parse().ok()?,
        now: now.trim().to_owned(),
    })
}

/// Sorts cargo's words.
///
/// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/dirty_reason.rs>
fn reason(said: &str) -> (Reason, Option<String>) {
    let quoted = || said.split('`').nth(1).map(str::to_owned);
    if said.starts_with("the environment variable") || said.starts_with("the env variable") {
        let word = |text: &str| text.split_whitespace().next().map(str::to_owned);
        return (Reason::EnvVarChanged, quoted().or_else(|| word(said.split("variable ").nth(1)?)));
    }
    if said.starts_with("the file") {
        return (Reason::InputChanged, quoted());
    }
    if said.starts_with("the dependency") {
        let name =
            said.strip_prefix("the dependency").and_then(|rest| rest.split_whitespace().next());
        return (Reason::DependencyRebuilt, quoted().or_else(|| name.map(str::to_owned)));
    }
    (Reason::Other, Some(said.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_crate_once_and_knows_whose_it_is() {
        let mut output = CargoOutput::default();
        assert_eq!(
            output.line("\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m pyo3 v0.29.3"),
            Line::Compiling("pyo3 v0.29.3".into())
        );
        output.line("   Compiling rpds-py v0.1.0 (/w/rpds py)");
        output.line("   Compiling git-dep v0.1.0 (https://h/r?rev=1#12345678)");
        output.line("   Compiling mac v0.1.0 (proc-macro) (/w/mac)");
        output.line("   Compiling rpds-py v0.1.0 (/w/rpds py)");
        output.line("Compiling the documentation");
        output.line("       Fresh serde v1.0.0");
        output.line("       Fresh pyo3 v0.29.3");
        let crates = output.finish();
        let names: Vec<(&str, bool)> =
            crates.compiled.iter().map(|one| (one.name.as_str(), one.workspace)).collect();
        assert_eq!(names, [("pyo3", false), ("rpds-py", true), ("git-dep", false), ("mac", true)]);
        assert_eq!(crates.fresh, 1);
    }

    #[test]
    fn cargos_own_reasons_are_sorted() {
        let mut output = CargoOutput::default();
        for (name, said) in [
            ("a", "the environment variable `PYO3_PYTHON` changed"),
            ("b", "the file `src/lib.rs` has changed (1s after last build at 2)"),
            ("c", "the dependency pyo3_ffi was rebuilt"),
            ("d", "the profile configuration changed"),
        ] {
            output.line(&format!("       Dirty {name} v1.0.0: {said}"));
            output.line(&format!("   Compiling {name} v1.0.0"));
        }
        let found: Vec<(Reason, Option<String>)> =
            output.finish().compiled.into_iter().map(|one| (one.reason, one.detail)).collect();
        assert_eq!(
            found,
            [
                (Reason::EnvVarChanged, Some("PYO3_PYTHON".into())),
                (Reason::InputChanged, Some("src/lib.rs".into())),
                (Reason::DependencyRebuilt, Some("pyo3_ffi".into())),
                (Reason::Other, Some("the profile configuration changed".into())),
            ]
        );
    }

    #[test]
    fn the_progress_bar_is_read() {
        let mut output = CargoOutput::default();
        assert_eq!(
            output.line("    Building [=======>       ] 12/38: pyo3, serde"),
            Line::Progress { done: 12, total: 38, now: "pyo3, serde".into() }
        );
        assert_eq!(output.line("    Building wheel"), Line::Other);
    }
}
