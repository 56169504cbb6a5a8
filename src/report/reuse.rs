//! The wrapper's part of the report: its events, combined with cargo's records.
//!
//! cargo's records show that a unit was built, but not whether rustc ran for it: for crates that go
//! through the wrapper, the events decide, and give the reason. For all others, and for build
//! scripts, the records decide.

use std::collections::BTreeMap;
use std::path::Path;

use super::{CompiledCrate, Crates, Reason, ReusedCrate, StoreReport, round};
use crate::units::entry::Difference;
use crate::units::log::{Event, What};
use crate::units::unrecorded::STORE_ERROR;

/// Puts events and records together.
pub(crate) fn combine(mut said: Crates, events: &[Event], root: &Path) -> (Crates, StoreReport) {
    let mut by_package: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
    let mut order: Vec<(&str, &str)> = Vec::new();
    let is_of_script = |event: &&Event| matches!(event.what, What::SkippedScript { .. });
    for event in events.iter().filter(|event| !is_of_script(event)) {
        let key = (event.package.as_str(), event.version.as_str());
        let of_package = by_package.entry(key).or_default();
        if of_package.is_empty() {
            order.push(key);
        }
        of_package.push(event);
    }
    let mut crates = Crates { fresh: said.fresh, ..Crates::default() };
    for key in &order {
        let of_package = &by_package[key];
        let recorded = said
            .compiled
            .iter()
            .position(|one| (one.name.as_str(), one.version.as_str()) == *key)
            .map(|at| said.compiled.remove(at));
        // rustc ran for one of its units: then it was compiled, whatever became of the others.
        if let Some(event) =
            of_package.iter().find(|event| !matches!(event.what, What::Reused { .. }))
        {
            let seconds: f64 = of_package
                .iter()
                .filter(|event| !matches!(event.what, What::Reused { .. }))
                .map(|event| event.seconds)
                .sum();
            let has_script = said
                .build_scripts
                .iter()
                .any(|script| (script.name.as_str(), script.version.as_str()) == *key);
            crates.compiled.push(compiled(event, recorded, has_script, seconds, root));
        } else {
            let saved = of_package.iter().map(|event| match event.what {
                What::Reused { seconds_saved, .. } => seconds_saved,
                _ => 0.0,
            });
            let (name, version) = (key.0.to_owned(), key.1.to_owned());
            let made_by = of_package.iter().find_map(|event| match &event.what {
                What::Reused { origin, .. } => origin.clone(),
                _ => None,
            });
            let seconds_saved = round(saved.sum());
            crates.reused.push(ReusedCrate { name, version, seconds_saved, made_by });
        }
    }
    // Made where our wrapper was not called: with another cargo configuration, say.
    crates.compiled.append(&mut said.compiled);
    for script in &mut said.build_scripts {
        let of_package = by_package.get(&(script.name.as_str(), script.version.as_str()));
        script.skipped = events
            .iter()
            .filter(is_of_script)
            .any(|event| (&event.package, &event.version) == (&script.name, &script.version));
        script.output_changed = of_package.and_then(|events| output_changed(events));
    }
    crates.build_scripts = said.build_scripts;
    (crates, totals(events))
}

/// Why an event's call could not be kept, if that is for the store.
pub(crate) fn store_error(event: &Event) -> Option<&str> {
    match &event.what {
        What::Compiled { why_not: Some(why), .. } => {
            Some(why).filter(|why| why.starts_with(STORE_ERROR)).map(String::as_str)
        }
        _ => None,
    }
}

fn totals(events: &[Event]) -> StoreReport {
    let mut store = StoreReport::default();
    for event in events {
        match &event.what {
            What::Reused { bytes, .. } => {
                store.reused += 1;
                store.bytes += bytes;
                store.seconds += event.seconds;
            }
            What::Compiled { recorded: true, .. } => store.recorded += 1,
            _ => {}
        }
    }
    store.seconds = round(store.seconds);
    store
}

/// Whether what a build script made is something else than it was; `None`: nothing was judged by
/// it.
fn output_changed(events: &[&Event]) -> Option<bool> {
    let mut known = None;
    for event in events.iter().filter(|event| event.kind != "build-script") {
        match &event.what {
            What::Compiled { difference: Difference::Product { .. }, .. } => return Some(true),
            What::Compiled { difference: Difference::First, .. } | What::Passed { .. } => {}
            // What it has printed may be the variable, or the argument.
            What::Compiled {
                difference: Difference::Variable { .. } | Difference::Arguments { .. },
                ..
            } => return None,
            _ => known = Some(false),
        }
    }
    known
}

fn compiled(
    event: &Event,
    recorded: Option<CompiledCrate>,
    has_script: bool,
    seconds: f64,
    root: &Path,
) -> CompiledCrate {
    let unknown = CompiledCrate {
        name: event.package.clone(),
        version: event.version.clone(),
        workspace: event.is_local,
        reason: Reason::Unknown,
        detail: None,
        old: None,
        new: None,
        root_cause: false,
        seconds: 0.0,
    };
    let recorded = recorded.unwrap_or(unknown);
    let seconds = if seconds > 0.0 { round(seconds) } else { recorded.seconds };
    let base = CompiledCrate { workspace: event.is_local, seconds, ..recorded };
    match &event.what {
        What::Compiled { difference: Difference::Arguments { old, new }, .. }
            if has_script && are_from_build_script(old, new) =>
        {
            flags_of_script(base)
        }
        What::Compiled { difference, .. } => because(difference, base, root),
        What::Passed { because: Some(text), macro_name } => {
            let reason = if macro_name.is_some() { Reason::Macro } else { Reason::NotReusable };
            let detail = match macro_name {
                Some(line) => {
                    format!("{text}; if that is fine, add `{line}` to `[tool.pyenv-build.macros]`")
                }
                None => text.clone(),
            };
            CompiledCrate {
                reason,
                detail: Some(detail),
                old: None,
                new: None,
                root_cause: true,
                ..base
            }
        }
        _ => base,
    }
}

/// A build script said other flags than before: why, is in cargo's records, if anywhere.
fn flags_of_script(base: CompiledCrate) -> CompiledCrate {
    match base.reason {
        Reason::Unknown | Reason::DependencyRebuilt | Reason::Other | Reason::RustflagsChanged => {
            CompiledCrate {
                detail: Some("set of flags".to_owned()),
                old: None,
                new: None,
                root_cause: true,
                reason: Reason::ScriptOutputChanged,
                ..base
            }
        }
        _ => base,
    }
}

/// A difference in the words of the report.
fn because(difference: &Difference, base: CompiledCrate, root: &Path) -> CompiledCrate {
    let base = CompiledCrate { detail: None, old: None, new: None, root_cause: true, ..base };
    let with = |reason: Reason, detail: String| CompiledCrate {
        reason,
        detail: Some(detail),
        ..base.clone()
    };
    match difference {
        Difference::First => CompiledCrate { reason: Reason::FirstBuild, ..base },
        Difference::Compiler => CompiledCrate { reason: Reason::RustcChanged, ..base },
        Difference::Linker => with(Reason::Other, "the linker changed".to_owned()),
        Difference::Blob => CompiledCrate { reason: Reason::OutputMissing, ..base },
        Difference::Messages => with(
            Reason::Other,
            "its messages were recorded for a different width, color or format".to_owned(),
        ),
        Difference::Directory { old } => with(Reason::Moved, old.display().to_string()),
        Difference::Variable { name, old, new } => {
            let shown = |value: &Option<String>| {
                value.as_ref().map(|value| super::rebuilds::mask(name, value))
            };
            CompiledCrate {
                old: shown(old),
                new: shown(new),
                ..with(Reason::EnvVarChanged, name.clone())
            }
        }
        Difference::Extern { path } => {
            CompiledCrate { root_cause: false, ..with(Reason::DependencyRebuilt, crate_of(path)) }
        }
        Difference::Product { path } => with(Reason::ScriptOutputChanged, path.clone()),
        Difference::File { path } => match crate_of_library(path) {
            Some(name) => {
                CompiledCrate { root_cause: false, ..with(Reason::DependencyRebuilt, name) }
            }
            None => with(Reason::InputChanged, shown(path, root)),
        },
        Difference::Library { name, directory } => with(
            Reason::InputChanged,
            format!("{} (it has a library `{name}` now)", directory.display()),
        ),
        Difference::Arguments { old, new } => arguments(old, new, &base),
    }
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// `mid` of `.../libmid-0123456789abcdef.rlib`.
fn crate_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = stem.rsplit_once('-').map_or(stem.as_str(), |(name, _hash)| name);
    name.strip_prefix("lib").unwrap_or(name).to_owned()
}

fn crate_of_library(path: &Path) -> Option<String> {
    path.extension()
        .is_some_and(|ending| ending == "rlib" || ending == "rmeta")
        .then(|| crate_of(path))
}

/// Which kind of argument differs: features, the profile, other flags.
fn arguments(old: &[String], new: &[String], base: &CompiledCrate) -> CompiledCrate {
    const PROFILE: &[&str] = &[
        "-Copt-level",
        "-Cdebuginfo",
        "-Cdebug-assertions",
        "-Coverflow-checks",
        "-Clto",
        "-Ccodegen-units",
        "-Cpanic",
        "-Cstrip",
        "-Csplit-debuginfo",
        "-Cembed-bitcode",
    ];
    // What cargo makes from all the others.
    let is_hash = |argument: &&String| {
        ["-Cmetadata=", "-Cextra-filename=", "--out-dir=", "-Cincremental=", "-Ldependency="]
            .iter()
            .any(|start| argument.starts_with(start))
    };
    let telling = |arguments: &[String]| -> Vec<String> {
        arguments.iter().filter(|argument| !is_hash(argument)).cloned().collect()
    };
    let (old, new) = (telling(old), telling(new));
    let any = |test: &dyn Fn(&String) -> bool| old.iter().chain(&new).any(test);
    let features = |arguments: &[String]| {
        let named = arguments
            .iter()
            .filter_map(|argument| argument.strip_prefix("--cfg=feature="))
            .map(|name| name.trim_matches('"'));
        Some(named.collect::<Vec<_>>().join(", "))
    };
    let joined =
        |arguments: &[String]| Some(crate::process::mask_credentials(&arguments.join(" ")));
    if any(&|argument| argument.starts_with("--cfg=feature=")) {
        return CompiledCrate {
            reason: Reason::FeaturesChanged,
            old: features(&old),
            new: features(&new),
            ..base.clone()
        };
    }
    if any(&|argument| PROFILE.iter().any(|start| argument.starts_with(start))) {
        return CompiledCrate { reason: Reason::ProfileChanged, ..base.clone() };
    }
    if any(&|argument| argument.starts_with("--crate-type") || argument.starts_with("--emit")) {
        return CompiledCrate { reason: Reason::TargetChanged, ..base.clone() };
    }
    if any(&|argument| argument.starts_with("--extern") || argument.starts_with("-L")) {
        return CompiledCrate {
            reason: Reason::DependencyChanged,
            root_cause: false,
            detail: changed_extern(&old, &new),
            ..base.clone()
        };
    }
    if old.is_empty() && new.is_empty() {
        // Only hashes: something that its dependencies are made with.
        return CompiledCrate {
            reason: Reason::DependencyRebuilt,
            root_cause: false,
            detail: Some("a dependency".to_owned()),
            ..base.clone()
        };
    }
    CompiledCrate {
        reason: Reason::RustflagsChanged,
        old: joined(&old),
        new: joined(&new),
        ..base.clone()
    }
}

/// Whether only such arguments differ as a build script sets: `--cfg` of its own, libraries and
/// where they are.
fn are_from_build_script(old: &[String], new: &[String]) -> bool {
    let is_set = |argument: &String| {
        (argument.starts_with("--cfg=") && !argument.starts_with("--cfg=feature="))
            || ["--check-cfg=", "-Lnative=", "-Lall=", "-l", "-Clink-arg"]
                .iter()
                .any(|start| argument.starts_with(start))
    };
    let mut differs = old.iter().chain(new);
    !(old.is_empty() && new.is_empty()) && differs.all(is_set)
}

fn changed_extern(old: &[String], new: &[String]) -> Option<String> {
    let name = |argument: &String| {
        argument
            .strip_prefix("--extern=")?
            .split_once('=')
            .map(|(name, _path)| name.rsplit(':').next().unwrap_or(name).to_owned())
    };
    new.iter().chain(old).find_map(name)
}

#[cfg(test)]
mod tests;
