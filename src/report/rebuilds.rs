//! Which crates were compiled, and why: cargo's own records before and after, compared.
//!
//! This needs no flag that would change the build, and works no matter who runs cargo. A unit ran
//! if the mtime of its `invoked.timestamp` changed. The reason comes from the differences between
//! its two records, and from the mtimes of its inputs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::inputs::inputs_of;
use super::versions::{version_in_sources, version_of};
use super::{BuildScriptRun, CompiledCrate, Crates, Reason};
use crate::cargo_records::{Kind, Local, Record, Records, Unit};
use crate::process::mask_credentials;
use crate::project::CargoWorkspace;

/// A reason with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Why {
    reason: Reason,
    detail: Option<String>,
    old: Option<String>,
    new: Option<String>,
}

impl Why {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: Some(detail.into()), old: None, new: None }
    }

    fn only(reason: Reason) -> Self {
        Self { reason, detail: None, old: None, new: None }
    }
}

/// The state before a build that its outcome is compared with.
#[derive(Debug)]
pub(crate) struct Before {
    pub records: Records,
    /// Units whose outputs were not all there.
    incomplete: HashSet<String>,
}

impl Before {
    /// Looks at the build directory.
    pub(crate) fn look(records: Records) -> Self {
        let mut names: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
        for unit in records.units.values() {
            names.entry(&unit.profile).or_insert_with(|| {
                let entries = fs_err::read_dir(records.directory.join(&unit.profile).join("deps"))
                    .into_iter()
                    .flatten()
                    .filter_map(Result::ok);
                entries
                    .filter_map(|entry| entry.file_name().into_string().ok())
                    .filter(|name| {
                        Path::new(name).extension().is_none_or(|extension| extension != "d")
                    })
                    .collect()
            });
        }
        // Both what has the hash in its name and what has none.
        let stems: BTreeMap<&str, HashSet<&str>> = names
            .iter()
            .map(|(profile, names)| {
                (*profile, names.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect())
            })
            .collect();
        let incomplete = records
            .units
            .values()
            .filter(|unit| {
                unit.kind == Kind::Compile
                    && unit.key.contains("/.fingerprint/")
                    && unit.stem.starts_with("lib-")
            })
            .filter(|unit| {
                let name = unit.crate_name().replace('-', "_");
                let has = |stem: &str| {
                    stems.get(unit.profile.as_str()).is_some_and(|stems| stems.contains(stem))
                };
                let windows =
                    cfg!(windows) && (has(&name) || has(&format!("{name}-{}", unit.hash)));
                !has(&format!("lib{name}-{}", unit.hash)) && !has(&format!("lib{name}")) && !windows
            })
            .map(|unit| unit.key.clone())
            .collect();
        Self { records, incomplete }
    }
}

/// What was compiled between `before` and `after`. `main`: the directory of the crate that was
/// asked for, whose dependencies are the fresh ones if they were not compiled.
pub(crate) fn explain(
    before: &Before,
    after: &Records,
    workspace: &CargoWorkspace,
    main: Option<&Path>,
) -> Crates {
    let is_new = |unit: &&Unit| {
        let then = before.records.units.get(&unit.key);
        unit.invoked.is_some() && then.is_none_or(|then| then.invoked != unit.invoked)
    };
    let ran: Vec<&Unit> = after.units.values().filter(is_new).collect();
    let keys: HashSet<&str> = ran.iter().map(|unit| unit.key.as_str()).collect();
    let by_fingerprint = after.by_fingerprint();
    let dependencies = |unit: &Unit| -> Vec<&Unit> {
        let deps = unit.record.iter().flat_map(|record| &record.deps);
        deps.filter_map(|(_, _, _, fingerprint)| by_fingerprint.get(fingerprint).copied()).collect()
    };
    let version = |unit: &Unit| version_of(unit, workspace, after, &dependencies(unit));
    let mut by_package: BTreeMap<(String, String), Vec<(&Unit, Why)>> = BTreeMap::new();
    for unit in &ran {
        let rebuilt = dependencies(unit)
            .into_iter()
            .find(|dependency| keys.contains(dependency.key.as_str()));
        let why = own_reason(unit, before, workspace)
            .or_else(|| {
                rebuilt.map(|dependency| Why::new(Reason::DependencyRebuilt, &dependency.package))
            })
            .or_else(|| variant(unit, &before.records))
            .unwrap_or_else(|| Why::only(Reason::Unknown));
        by_package.entry((unit.package.clone(), version(unit))).or_default().push((unit, why));
    }
    let mut packages: Vec<_> = by_package.into_iter().collect();
    packages.sort_by_key(|(_, units)| units.iter().filter_map(|(unit, _)| unit.invoked).min());
    let mut crates = Crates::default();
    for (package, units) in &packages {
        let (name, version) = package;
        let is_local = workspace.local_named(name).any(|package| package.version == *version);
        add_package(&mut crates, package, is_local, units);
    }
    let compiled: HashSet<(&str, &str)> =
        crates.compiled.iter().map(|one| (one.name.as_str(), one.version.as_str())).collect();
    let all = reachable(after, workspace, main, &ran, &dependencies, &version);
    crates.fresh = all
        .iter()
        .filter(|(name, version)| !compiled.contains(&(name.as_str(), version.as_str())))
        .count() as u64;
    crates
}

/// Adds what became of one package: its units that ran, each with its reason.
fn add_package(
    crates: &mut Crates,
    (name, version): &(String, String),
    is_local: bool,
    units: &[(&Unit, Why)],
) {
    let is_consequence =
        |why: &Why| matches!(why.reason, Reason::DependencyRebuilt | Reason::Unknown);
    // A cause in one of its units (its build script was run for a variable) explains the others.
    let (_, why) = units
        .iter()
        .find(|(_, why)| !is_consequence(why))
        .or_else(|| {
            units.iter().find(|(_, why)| {
                why.reason == Reason::DependencyRebuilt && why.detail.as_ref() != Some(name)
            })
        })
        .unwrap_or(&units[0]);
    if let Some((run, why)) = units.iter().find(|(unit, _)| unit.kind == Kind::Run) {
        crates.build_scripts.push(BuildScriptRun {
            name: name.clone(),
            version: version.clone(),
            workspace: is_local,
            reason: why.reason,
            detail: why.detail.clone(),
            seconds: super::round(span(run).unwrap_or_default()),
            output_changed: None,
            skipped: false,
        });
    }
    let compiled = || units.iter().filter(|(unit, _)| unit.kind == Kind::Compile);
    if compiled().next().is_some() {
        crates.compiled.push(CompiledCrate {
            workspace: is_local,
            reason: why.reason,
            detail: why.detail.clone(),
            old: why.old.clone(),
            new: why.new.clone(),
            root_cause: !is_consequence(why),
            seconds: super::round(compiled().filter_map(|(unit, _)| span(unit)).sum()),
            name: name.clone(),
            version: version.clone(),
        });
    }
}

/// Packages that the last build of a crate consists of.
fn reachable<'a>(
    after: &'a Records,
    workspace: &CargoWorkspace,
    main: Option<&Path>,
    ran: &[&'a Unit],
    dependencies: &dyn Fn(&Unit) -> Vec<&'a Unit>,
    version: &dyn Fn(&Unit) -> String,
) -> BTreeSet<(String, String)> {
    let is_main = |unit: &&Unit| {
        let is_product = unit.stem.starts_with("lib-") || unit.stem.starts_with("bin-");
        is_product
            && workspace
                .local_named(&unit.package)
                .any(|package| Some(package.root.as_path()) == main)
    };
    let newest = after.units.values().filter(is_main).max_by_key(|unit| unit.finished);
    let mut queue: Vec<&Unit> = ran.iter().copied().chain(newest).collect();
    let mut seen: HashSet<&str> = queue.iter().map(|unit| unit.key.as_str()).collect();
    let mut packages = BTreeSet::new();
    while let Some(unit) = queue.pop() {
        packages.insert((unit.package.clone(), version(unit)));
        queue.extend(dependencies(unit).into_iter().filter(|unit| seen.insert(&unit.key)));
    }
    packages
}

/// From when cargo began with it to when it was done, in seconds.
fn span(unit: &Unit) -> Option<f64> {
    let (from, to) = (unit.invoked?, unit.finished?);
    #[expect(clippy::cast_precision_loss, reason = "fractions of a microsecond do not matter")]
    let seconds = (to.unix_seconds() - from.unix_seconds()) as f64;
    let fraction = f64::from(to.nanoseconds()) - f64::from(from.nanoseconds());
    // A unit that failed was not done.
    Some(seconds + fraction / 1e9).filter(|span| *span >= 0.0)
}

/// A reason that lies in the unit itself.
fn own_reason(unit: &Unit, before: &Before, workspace: &CargoWorkspace) -> Option<Why> {
    let Some(then) = before.records.units.get(&unit.key) else {
        return new_unit(unit, &before.records, workspace);
    };
    if let (Some(one), Some(other)) = (&then.record, &unit.record)
        && let Some(why) = record_difference(one, other)
    {
        return Some(why);
    }
    let old: BTreeMap<&str, Option<&str>> = then.variables().collect();
    for (name, new) in unit.variables() {
        if let Some(old) = old.get(name).filter(|old| **old != new) {
            return Some(variable(name, *old, new));
        }
    }
    if let Some(path) = newer_input(then, workspace) {
        return Some(Why::new(Reason::InputChanged, shown(&path, workspace)));
    }
    if then.fingerprint.len() != 16 {
        return Some(Why::only(Reason::Unfinished));
    }
    before.incomplete.contains(&unit.key).then(|| Why::only(Reason::OutputMissing))
}

/// The last unit that was like this one, but for what cargo makes its hash from.
fn alike<'a>(unit: &Unit, before: &'a Records) -> Option<&'a Unit> {
    let is_alike = |then: &&Unit| {
        then.key != unit.key
            && then.package == unit.package
            && then.stem == unit.stem
            && then.profile == unit.profile
    };
    before.units.values().filter(is_alike).max_by_key(|then| then.finished)
}

/// Why there is a unit that was not there: perhaps one like it was. Nothing if only what its
/// dependencies are compiled with differs.
fn new_unit(unit: &Unit, before: &Records, workspace: &CargoWorkspace) -> Option<Why> {
    let first = Some(Why::only(Reason::FirstBuild));
    let Some(alike) = alike(unit, before) else { return first };
    let (Some(then), Some(now)) = (&alike.record, &unit.record) else { return first };
    let versions =
        (version_in_sources(alike, &before.directory), version_in_sources(unit, &before.directory));
    if let (Some(old), Some(new)) = &versions
        && old != new
    {
        return Some(Why { old: Some(old.clone()), ..Why::new(Reason::VersionChanged, new) });
    }
    if let Some(why) = record_difference(then, now) {
        return Some(why);
    }
    let names = |record: &Record| -> BTreeSet<(u64, String)> {
        record.deps.iter().map(|(id, name, _, _)| (*id, name.clone())).collect()
    };
    let (old, new) = (names(then), names(now));
    if let Some((_, name)) = new.difference(&old).chain(old.difference(&new)).next() {
        return Some(Why::new(Reason::DependencyChanged, name));
    }
    if versions.0.is_some() || other_dependency(then, now).is_some() {
        return None;
    }
    let versions = workspace.versions_of(&unit.package).into_iter().collect::<Vec<_>>().join(", ");
    Some(Why::new(Reason::VersionChanged, versions))
}

/// A dependency of both that was compiled otherwise for one than for the other.
fn other_dependency<'a>(then: &Record, now: &'a Record) -> Option<&'a str> {
    let is_other = |(id, name, _, fingerprint): &&(u64, String, bool, u64)| {
        then.deps.iter().any(|(then_id, then_name, _, was)| {
            (then_id, then_name) == (id, name) && was != fingerprint
        })
    };
    now.deps.iter().find(is_other).map(|(_, name, _, _)| name.as_str())
}

/// Why an unchanged unit was compiled: there is a second unit of the crate, with other
/// features, flags, crate types or dependencies. The library of an extension module has no hash in
/// its name, so both write it to the same file.
fn variant(unit: &Unit, before: &Records) -> Option<Why> {
    let alike = alike(unit, before)?;
    match before.units.get(&unit.key) {
        Some(then) if unit.kind == Kind::Compile && alike.finished > then.finished => {
            Some(Why::new(
                Reason::Other,
                "it was compiled to the same file with different features, flags or crate types \
                    in between",
            ))
        }
        Some(_) => None,
        None => Some(Why::new(
            Reason::DependencyChanged,
            other_dependency(alike.record.as_ref()?, unit.record.as_ref()?)?,
        )),
    }
}

fn record_difference(then: &Record, now: &Record) -> Option<Why> {
    if then.rustc != now.rustc {
        return Some(Why::only(Reason::RustcChanged));
    }
    if then.profile != now.profile {
        return Some(Why::only(Reason::ProfileChanged));
    }
    if then.features != now.features {
        let changed = Why {
            old: Some(then.features.clone()),
            new: Some(now.features.clone()),
            ..Why::only(Reason::FeaturesChanged)
        };
        return Some(changed);
    }
    if then.rustflags != now.rustflags {
        let text = |flags: &[String]| Some(mask_credentials(&flags.join(" ")));
        return Some(Why {
            old: text(&then.rustflags),
            new: text(&now.rustflags),
            ..Why::only(Reason::RustflagsChanged)
        });
    }
    if then.declared_features != now.declared_features || then.metadata != now.metadata {
        return Some(Why::new(Reason::InputChanged, "Cargo.toml"));
    }
    if then.target != now.target {
        return Some(Why::only(Reason::TargetChanged));
    }
    if then.config != now.config || then.compile_kind != now.compile_kind || then.path != now.path {
        return Some(Why::new(Reason::Other, "the configuration of cargo or the target changed"));
    }
    let variables = |record: &Record| -> BTreeMap<String, Option<String>> {
        let of = |local: &Local| match local {
            Local::RerunIfEnvChanged { var, val } => Some((var.clone(), val.clone())),
            _ => None,
        };
        record.local.iter().filter_map(of).collect()
    };
    let (old, new) = (variables(then), variables(now));
    for (name, value) in &new {
        if let Some(was) = old.get(name).filter(|was| *was != value) {
            return Some(variable(name, was.as_deref(), value.as_deref()));
        }
    }
    let newest = |record: &Record| {
        record.local.iter().find_map(|local| match local {
            Local::Precalculated(text) => Some(text.clone()),
            _ => None,
        })
    };
    match (newest(then), newest(now)) {
        (Some(old), Some(new)) if old != new => {
            let file =
                new.split_once(" (").map_or(new.as_str(), |(_, file)| file.trim_end_matches(')'));
            Some(Why::new(Reason::InputChanged, file))
        }
        _ => None,
    }
}

fn variable(name: &str, old: Option<&str>, new: Option<&str>) -> Why {
    let shown = |value: Option<&str>| value.map(|value| mask(name, value));
    Why { old: shown(old), new: shown(new), ..Why::new(Reason::EnvVarChanged, name) }
}

/// A value as it may be shown: not that of a variable whose name says that it is secret.
pub(super) fn mask(name: &str, value: &str) -> String {
    let name = name.to_ascii_uppercase();
    let is_secret =
        ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "_KEY", "AUTH"]
            .iter()
            .any(|part| name.contains(part));
    if is_secret { "***".to_owned() } else { mask_credentials(value) }
}

/// The input that made a unit dirty: one that is newer than its reference, or gone.
fn newer_input(then: &Unit, workspace: &CargoWorkspace) -> Option<PathBuf> {
    let inputs = inputs_of(then, workspace);
    let reference = then.reference_time()?;
    let several_roots = workspace.local_named(&then.package).count() > 1;
    inputs.into_iter().find_map(|input| {
        if !input.exists() && !several_roots {
            return Some(input);
        }
        let entries = walkdir::WalkDir::new(&input).into_iter().filter_map(Result::ok);
        entries
            .filter(|entry| {
                entry.metadata().is_ok_and(|metadata| {
                    FileTime::from_last_modification_time(&metadata) > reference
                })
            })
            .map(walkdir::DirEntry::into_path)
            .last()
    })
}

/// Relative to the workspace if it is in it.
fn shown(path: &Path, workspace: &CargoWorkspace) -> String {
    path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests;
