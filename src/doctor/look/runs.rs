//! The build scripts that ran in a build directory, and what they watch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use filetime::FileTime;

use crate::cargo_records::{Inputs, Kind, Records, Unit};
use crate::doctor::facts::{BuildDirectory, Run, Watched};
use crate::project::CargoWorkspace;
use crate::project::cargo::{cargo_home, is_in_cargo_home};

/// So many files of a watched directory are looked at.
const MOST_FILES: usize = 20_000;

pub(super) fn build_directory(
    records: &Records,
    cargo: &CargoWorkspace,
    ours: &Path,
) -> BuildDirectory {
    let mut latest: BTreeMap<(&str, &str), &Unit> = BTreeMap::new();
    let done = |unit: &&Unit| {
        unit.kind == Kind::Run && unit.fingerprint.len() == 16 && unit.record.is_some()
    };
    for unit in records.units.values().filter(done) {
        let entry = latest.entry((&unit.package, &unit.profile)).or_insert(unit);
        if unit.finished > entry.finished {
            *entry = unit;
        }
    }
    BuildDirectory {
        path: records.directory.clone(),
        runs: latest.into_values().filter_map(|unit| run(unit, cargo, ours)).collect(),
        newest: records.units.values().filter_map(Unit::newest).max(),
        debug_info: Vec::new(),
    }
}

fn run(unit: &Unit, cargo: &CargoWorkspace, ours: &Path) -> Option<Run> {
    let reference = unit.reference_time()?;
    let home = cargo_home();
    let declared = unit.references.iter().filter_map(|reference| match &reference.inputs {
        Inputs::Paths(paths) => Some(paths),
        Inputs::DepInfo(_) => None,
    });
    let mut watched = Vec::new();
    for path in declared.flatten() {
        let roots: Vec<PathBuf> =
            cargo.local_named(&unit.package).map(|package| package.root.join(path)).collect();
        // Of several packages of one name, or none at hand, it is not known which it is.
        let real = match roots.as_slice() {
            _ if path.is_absolute() => path.clone(),
            [only] => only.clone(),
            _ => continue,
        };
        if is_in_cargo_home(&real, &home) {
            continue;
        }
        let exists = real.exists();
        let in_venv = |path: &Path| {
            let venv =
                path.ancestors().skip(1).find(|directory| directory.join("pyvenv.cfg").is_file());
            venv.filter(|venv| !venv.starts_with(ours)).map(Path::to_path_buf)
        };
        watched.push(Watched {
            newer: newer(&real, reference),
            venv: in_venv(&real),
            declared: path.clone(),
            exists,
            path: real,
        });
    }
    Some(Run {
        package: unit.package.clone(),
        profile: unit.profile.clone(),
        reference,
        finished: unit.finished?,
        looks_at_all: unit.looks_at_whole_package(),
        variables: unit
            .variables()
            .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .collect(),
        watched,
        out_dir: unit.run_directory.as_ref()?.join("out"),
    })
}

/// What cargo finds newer than a reference in a watched path.
///
/// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/crates/cargo-util/src/paths.rs>, `mtime_recursive`
fn newer(path: &Path, reference: FileTime) -> Vec<(PathBuf, FileTime)> {
    let entries = walkdir::WalkDir::new(path)
        .follow_links(true)
        .into_iter()
        .filter_map(Result::ok)
        .take(MOST_FILES);
    let dated = entries.filter_map(|entry| {
        Some((FileTime::from_last_modification_time(&entry.metadata().ok()?), entry.into_path()))
    });
    dated.filter(|(time, _)| *time > reference).map(|(time, path)| (path, time)).collect()
}
