//! rustc's incremental state, kept where it pays: for crates of the workspace that take long.
//!
//! With `CARGO_INCREMENTAL=1` rustc keeps what it compiled per function, and judges it by content, so that a fresh checkout does not
//! hurt it; one changed line in a crate of half a minute takes seconds. The state is large, and for small crates it costs more than
//! it brings: theirs is removed after each build. Code generation differs (many small units), so this is for tests, not for
//! wheels that are published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cargo_records::{Kind, Records, Unit};
use crate::freshness::{ColdSeconds, Tree, nanos};
use crate::fs;

/// The variable that tells cargo.
pub const VARIABLE: &str = "CARGO_INCREMENTAL";

/// What takes less to compile from nothing keeps no state.
const WORTH: Duration = Duration::from_secs(10);

/// What weighs more is not kept.
const CAP: u64 = 2 << 30;

/// Whether rustc's incremental state is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Incremental {
    /// Where compiling took over 10 s, if the state weighs at most 2 GiB
    Auto,
    /// For all crates of the workspace
    True,
    /// As cargo does it
    #[default]
    False,
}

/// A crate whose state is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Kept {
    /// The crate.
    pub name: String,
    /// Relative to the build directory.
    pub directory: PathBuf,
    /// Of the state.
    pub size_bytes: u64,
    /// What it takes without the state.
    pub cold_seconds: f64,
    /// What it took now, if it was compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// The state directories that there are: relative to the build directory.
pub fn states(build_directory: &Path, records: &Records) -> Vec<PathBuf> {
    let profiles: std::collections::BTreeSet<&str> = records.units.values().map(|unit| unit.profile.as_str()).collect();
    let mut found: Vec<PathBuf> = profiles
        .into_iter()
        .map(|profile| Path::new(profile).join("incremental"))
        .flat_map(|directory| {
            let entries = fs_err::read_dir(build_directory.join(&directory)).into_iter().flatten().filter_map(Result::ok);
            entries.filter(|entry| entry.path().is_dir()).map(move |entry| directory.join(entry.file_name())).collect::<Vec<_>>()
        })
        .collect();
    found.sort();
    found
}

/// After a build: learns what crates take, and removes the state of those that are not worth it. `had`: the states that were
/// there before.
pub fn tidy(mode: Incremental, before: &Records, after: &Records, had: &[PathBuf], tree: &Tree, cold: &mut ColdSeconds) -> Vec<Kept> {
    let build_directory = &after.directory;
    let mut kept = Vec::new();
    let states = states(build_directory, after);
    let mut compiled: BTreeMap<String, f64> = BTreeMap::new();
    for unit in after.units.values().filter(|unit| unit.kind == Kind::Compile && tree.named(&unit.package).next().is_some()) {
        let is_new = before.units.get(&unit.key).is_none_or(|then| then.invoked != unit.invoked);
        let Some(seconds) = is_new.then(|| seconds(unit)).flatten() else { continue };
        let key = key(&unit.profile, &crate_name(unit));
        let longest = compiled.entry(key.clone()).or_default();
        *longest = longest.max(seconds);
        let had_state = had.iter().any(|state| name_of(state) == crate_name(unit) && state.starts_with(&unit.profile));
        if !had_state {
            cold.insert(key, seconds);
        }
    }
    for state in states {
        let profile = state.parent().and_then(Path::parent).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let name = name_of(&state);
        let key = key(&profile, &name);
        let cold_seconds = cold.get(&key).copied().unwrap_or_default();
        let path = build_directory.join(&state);
        let size_bytes = size(&path);
        let is_worth = match mode {
            Incremental::Auto => cold_seconds > WORTH.as_secs_f64() && size_bytes <= CAP,
            Incremental::True => size_bytes <= CAP,
            Incremental::False => continue,
        };
        if is_worth {
            kept.push(Kept { name, directory: state, size_bytes, cold_seconds, seconds: compiled.get(&key).copied() });
        } else {
            // What stays costs space and nothing else.
            let _ = fs::remove_dir_all(&path);
        }
    }
    kept
}

fn key(profile: &str, name: &str) -> String {
    format!("{profile}/{name}")
}

/// `build_script_build` for build scripts.
fn crate_name(unit: &Unit) -> String {
    if unit.stem.starts_with("build-script-") { "build_script_build".to_owned() } else { unit.crate_name().replace('-', "_") }
}

/// `big` of `release/incremental/big-0a1b2c`.
fn name_of(state: &Path) -> String {
    let name = state.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').map_or_else(|| name.to_string(), |(name, _)| name.to_owned())
}

fn seconds(unit: &Unit) -> Option<f64> {
    let nanos = nanos(unit.finished?) - nanos(unit.invoked?);
    #[expect(clippy::cast_precision_loss, reason = "fractions of a microsecond do not matter")]
    (nanos > 0).then_some(nanos as f64 / 1e9)
}

/// Of all files; those with several names count once.
fn size(directory: &Path) -> u64 {
    let mut seen = std::collections::HashSet::new();
    let files = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| entry.metadata().ok()).filter(|metadata| seen.insert(identity(metadata))).map(|metadata| metadata.len()).sum()
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(metadata: &std::fs::Metadata) -> Option<std::time::SystemTime> {
    metadata.created().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_states() {
        assert_eq!(name_of(Path::new("release/incremental/big_one-0ww2tbjmmmnob")), "big_one");
    }
}
