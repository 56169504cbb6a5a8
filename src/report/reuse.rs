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
use crate::units::outcome::STORE_ERROR;

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
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn event(package: &str, kind: &str, what: What) -> Event {
        Event {
            at: 0.0,
            step: None,
            is_reported: true,
            package: package.to_owned(),
            version: "1.0.0".to_owned(),
            directory: PathBuf::from("/w").join(package),
            is_local: true,
            kind: kind.to_owned(),
            is_check: false,
            what,
            seconds: 0.5,
        }
    }

    fn ran(difference: Difference) -> What {
        What::Compiled { difference, ok: true, recorded: true, why_not: None }
    }

    fn reused() -> What {
        What::Reused { seconds_saved: 2.0, bytes: 10, origin: None }
    }

    #[test]
    fn a_crate_was_compiled_if_rustc_ran_for_any_of_its_units() {
        let events = [
            event("a", "lib", reused()),
            event("b", "lib", reused()),
            event("b", "test", ran(Difference::File { path: "/w/b/src/x.rs".into() })),
            event(
                "c",
                "lib",
                ran(Difference::Extern {
                    path: "/w/target/debug/deps/libb-0123456789abcdef.rmeta".into(),
                }),
            ),
            event(
                "d",
                "lib",
                What::Passed {
                    because: Some("the macro reads".to_owned()),
                    macro_name: Some("m = []".to_owned()),
                },
            ),
        ];
        let script = super::super::BuildScriptRun {
            name: "c".into(),
            version: "1.0.0".into(),
            workspace: true,
            reason: Reason::FirstBuild,
            detail: None,
            seconds: 0.1,
            output_changed: None,
            skipped: false,
        };
        let said = Crates { fresh: 3, build_scripts: vec![script], ..Crates::default() };
        let root = Path::new("/w");
        let (crates, store) = combine(said, &events, root);
        let compiled: Vec<_> = crates
            .compiled
            .iter()
            .map(|one| (one.name.as_str(), one.reason, one.detail.as_deref(), one.root_cause))
            .collect();
        assert_eq!(
            compiled,
            [
                ("b", Reason::InputChanged, Some("b/src/x.rs"), true),
                ("c", Reason::DependencyRebuilt, Some("b"), false),
                (
                    "d",
                    Reason::Macro,
                    Some(
                        "the macro reads; if that is fine, add `m = []` to `[tool.pyenv-build.macros]`"
                    ),
                    true
                ),
            ]
        );
        assert_eq!(
            crates.reused,
            [ReusedCrate {
                name: "a".into(),
                version: "1.0.0".into(),
                seconds_saved: 2.0,
                made_by: None
            }]
        );
        assert_eq!((crates.fresh, crates.build_scripts[0].output_changed), (3, Some(false)));
        assert_eq!(
            store,
            StoreReport { reused: 2, recorded: 2, bytes: 20, seconds: 1.0, shared: None }
        );
    }

    #[test]
    fn flags_of_a_build_script_have_the_reason_of_its_run() {
        let root = Path::new("/w");
        let base = compiled(&event("a", "lib", reused()), None, true, 0.0, root);
        let event = event(
            "a",
            "lib",
            ran(Difference::Arguments {
                old: vec!["--cfg=Py_3_12".into()],
                new: vec!["--cfg=Py_3_13".into()],
            }),
        );
        let recorded = CompiledCrate {
            reason: Reason::EnvVarChanged,
            detail: Some("PYO3_PYTHON".into()),
            seconds: 1.0,
            ..base
        };
        assert_eq!(compiled(&event, Some(recorded.clone()), true, 1.0, root), recorded);
        let reason = |has_script| compiled(&event, None, has_script, 1.0, root).reason;
        assert_eq!(reason(true), Reason::ScriptOutputChanged);
        assert_eq!(reason(false), Reason::RustflagsChanged);
    }

    #[test]
    fn arguments_in_the_words_of_cargo() {
        let base = compiled(&event("a", "lib", reused()), None, false, 0.0, Path::new("/w"));
        let of = |old: &[&str], new: &[&str]| {
            let texts =
                |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let one = arguments(&texts(old), &texts(new), &base);
            (one.reason, one.old, one.new)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            of(&["--cfg=feature=\"a\""], &["-Cmetadata=1"]),
            (Reason::FeaturesChanged, text("a"), text(""))
        );
        assert_eq!(of(&["-Copt-level=3"], &[]).0, Reason::ProfileChanged);
        assert_eq!(
            of(&[], &["-Ctarget-cpu=native"]),
            (Reason::RustflagsChanged, text(""), text("-Ctarget-cpu=native"))
        );
        assert_eq!(of(&["-Cmetadata=1"], &["-Cmetadata=2"]).0, Reason::DependencyRebuilt);
        assert_eq!(of(&[], &["--extern=priv:mid=/x/libmid-1.rlib"]).0, Reason::DependencyChanged);
    }
}
