//! The workspace layer: what belongs to the workspace's own packages in a build directory, staged where other tools do not clean.
//!
//! Caches of target directories drop the units of workspace members, cdylibs (whose names have no hash) and `target/maturin`
//! before they save. The layer keeps them: hard links to what compilers replace as a whole, copies of the small files that cargo
//! writes in place. It is one generation, that of the ledger it carries.
//!
//! Put back is a unit only if it is as it was packed and its dependencies are those that it was built with: same files, same
//! sizes, same dates. What a layer says is not believed further than that: names stay within the build directory, links are not
//! followed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use filetime::FileTime;
use serde::{Deserialize, Serialize};

use crate::cargo_records::{Kind, Records, Unit};
use crate::freshness::{Keeper, Ledger, Nanos, file_time, id_of, nanos};
use crate::fs;
use crate::layout::Layout;

const SCHEMA: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    /// Of the ledger that belongs to it.
    ledger: String,
    units: BTreeMap<String, PackedUnit>,
    /// rustc's incremental state: files by directory, relative to the build directory.
    #[serde(default)]
    incremental: BTreeMap<PathBuf, BTreeMap<PathBuf, Stamp>>,
    /// Of `target/maturin`, relative to the target directory.
    target_files: BTreeMap<PathBuf, Stamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PackedUnit {
    /// Relative to the build directory.
    files: BTreeMap<PathBuf, Stamp>,
    /// The outputs of what it was built with; of units that are in the layer, too, those are compared here as well.
    dependencies: BTreeMap<PathBuf, Stamp>,
}

/// Enough to know a file by that a compiler wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    mtime: Nanos,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    pub units: usize,
    pub files: usize,
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to stage the workspace layer in `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Freshness(#[from] crate::freshness::Error),
}

/// Where the layer of a build directory is.
pub fn directory(keeper: &Keeper, layout: &Layout) -> PathBuf {
    layout.layer().join(id_of(&keeper.build_directory, layout))
}

/// Stages the layer of the state that `ledger` was written of, with directories of incremental state. Does nothing if that is what
/// is staged.
pub fn pack(keeper: &Keeper, layout: &Layout, ledger: &Ledger, records: &Records, incremental: &[PathBuf]) -> Result<Outcome, Error> {
    let directory = directory(keeper, layout);
    let failed = |source| Error::Io { path: directory.clone(), source };
    if read_manifest(&directory).is_some_and(|manifest| manifest.ledger == ledger.id) {
        return Ok(Outcome::default());
    }
    let staging = layout.temporary("layer-").map_err(failed)?;
    let files_of = FilesOf::new(records);
    let by_fingerprint = records.by_fingerprint();
    let mut manifest = Manifest {
        schema: SCHEMA,
        ledger: ledger.id.clone(),
        units: BTreeMap::new(),
        incremental: BTreeMap::new(),
        target_files: BTreeMap::new(),
    };
    let mut outcome = Outcome::default();
    let mut staged: BTreeSet<PathBuf> = BTreeSet::new();
    for key in ledger.units.keys() {
        let Some(unit) = records.units.get(key).filter(|unit| keeper.tree.named(&unit.package).next().is_some()) else { continue };
        let mut packed = PackedUnit { files: BTreeMap::new(), dependencies: BTreeMap::new() };
        for (relative, is_output) in files_of.unit(unit) {
            let from = records.directory.join(&relative);
            let Some(stamp) = stamp(&from) else { continue };
            if staged.insert(relative.clone()) {
                place(&from, &staging.path().join("build").join(&relative), is_output, stamp).map_err(failed)?;
                outcome.files += 1;
                outcome.bytes += stamp.size;
            }
            packed.files.insert(relative, stamp);
        }
        for (_, _, _, fingerprint) in unit.record.iter().flat_map(|record| &record.deps) {
            let Some(dependency) = by_fingerprint.get(fingerprint) else { continue };
            let outputs = files_of.unit(dependency).into_iter().filter(|(_, is_output)| *is_output);
            packed.dependencies.extend(outputs.filter_map(|(path, _)| Some((path.clone(), stamp(&records.directory.join(path))?))));
        }
        manifest.units.insert(key.clone(), packed);
        outcome.units += 1;
    }
    for state in incremental {
        let mut files = BTreeMap::new();
        for path in files_below(&records.directory.join(state)) {
            let Some((relative, stamp)) = path.strip_prefix(&records.directory).ok().zip(stamp(&path)) else { continue };
            // rustc writes a session once and links from one to the next.
            place(&path, &staging.path().join("build").join(relative), true, stamp).map_err(failed)?;
            outcome.files += 1;
            outcome.bytes += stamp.size;
            files.insert(relative.to_path_buf(), stamp);
        }
        manifest.incremental.insert(state.clone(), files);
    }
    for path in files_below(&keeper.tree.target_directory.join("maturin")) {
        let Some((relative, stamp)) = path.strip_prefix(&keeper.tree.target_directory).ok().zip(stamp(&path)) else { continue };
        if relative.components().count() == 2 && relative.extension().is_some_and(|extension| extension == "txt") {
            place(&path, &staging.path().join("target").join(relative), false, stamp).map_err(failed)?;
            manifest.target_files.insert(relative.to_path_buf(), stamp);
        }
    }
    fs_err::copy(&keeper.path, staging.path().join("ledger.json")).map_err(failed)?;
    let bytes = serde_json::to_vec(&manifest).expect("our own plain data always serialises");
    fs_err::write(staging.path().join("manifest.json"), bytes).map_err(failed)?;
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(failed)?;
    }
    fs_err::create_dir_all(layout.layer()).map_err(failed)?;
    fs_err::rename(staging.path(), &directory).map_err(failed)?;
    Ok(outcome)
}

/// Puts units back that are missing, and the ledger if there is none; then units that are there in another state are replaced
/// as well, as nothing vouches for them. A layer of another generation than the ledger that is there is left alone.
/// `is_confirmed`: cargo says of the workspace what the keeper takes it for.
pub fn unpack(keeper: &Keeper, layout: &Layout, is_confirmed: bool) -> Result<Outcome, Error> {
    let directory = directory(keeper, layout);
    let failed = |source| Error::Io { path: directory.clone(), source };
    let Some(manifest) = read_manifest(&directory) else { return Ok(Outcome::default()) };
    let Some(packed_ledger) = Ledger::read(&directory.join("ledger.json")).filter(|ledger| ledger.id == manifest.ledger) else {
        return Ok(Outcome::default());
    };
    let here = &keeper.tree;
    let is_new_here = !keeper.path.exists();
    // What comes of an archive is the next command's memory of the workspace: it says what cargo says, or it is another's.
    let is_memory = packed_ledger.manifests == packed_ledger.tree.manifests_digest();
    let is_of_here = packed_ledger.tree.workspace == here.workspace
        && packed_ledger.build_directory == keeper.build_directory
        && (!is_memory || packed_ledger.tree == *here);
    if !is_of_here || keeper.ledger().is_some_and(|ledger| ledger.id != manifest.ledger) {
        return Ok(Outcome::default());
    }
    let build = &keeper.build_directory;
    let mut outcome = Outcome::default();
    // Whether a file is as the layer has it: there, or to be had from the layer.
    let packed_files: BTreeMap<&PathBuf, Stamp> =
        manifest.units.values().flat_map(|unit| unit.files.iter().map(|(path, stamp)| (path, *stamp))).collect();
    let is_packed = |path: &Path, stamp: Stamp| is_plain(path) && self::stamp(&directory.join("build").join(path)) == Some(stamp);
    for unit in manifest.units.values() {
        let mut missing =
            unit.files.iter().filter(|(path, stamp)| is_plain(path) && self::stamp(&build.join(path)) != Some(**stamp)).peekable();
        if missing.peek().is_none() {
            continue;
        }
        // What cargo has made since by itself.
        if !is_new_here && unit.files.iter().any(|(path, stamp)| self::stamp(&build.join(path)).is_some_and(|there| there != *stamp)) {
            continue;
        }
        let is_whole = unit.files.iter().all(|(path, stamp)| is_packed(path, *stamp));
        let fits = unit.dependencies.iter().all(|(path, stamp)| {
            let comes_along = packed_files.get(path) == Some(stamp) && is_packed(path, *stamp);
            is_plain(path) && (self::stamp(&build.join(path)) == Some(*stamp) || comes_along)
        });
        if !is_whole || !fits {
            continue;
        }
        for (path, stamp) in missing {
            let is_output = is_output(path);
            place(&directory.join("build").join(path), &build.join(path), is_output, *stamp).map_err(failed)?;
            outcome.files += 1;
            outcome.bytes += stamp.size;
        }
        outcome.units += 1;
    }
    for (state, files) in manifest.incremental.iter().filter(|(state, _)| is_plain(state) && !build.join(state).exists()) {
        // All of it or nothing: a part would confuse rustc.
        if !files.iter().all(|(path, stamp)| path.starts_with(state) && is_packed(path, *stamp)) {
            continue;
        }
        for (path, stamp) in files {
            place(&directory.join("build").join(path), &build.join(path), true, *stamp).map_err(failed)?;
            outcome.files += 1;
            outcome.bytes += stamp.size;
        }
    }
    for (path, stamp) in manifest.target_files.iter().filter(|(path, _)| is_plain(path) && path.starts_with("maturin")) {
        let (from, to) = (directory.join("target").join(path), here.target_directory.join(path));
        if self::stamp(&from) == Some(*stamp) && self::stamp(&to) != Some(*stamp) {
            place(&from, &to, false, *stamp).map_err(failed)?;
            outcome.files += 1;
        }
    }
    if is_new_here {
        // Until cargo has confirmed it, it is nobody's memory of the workspace.
        let manifests = if is_confirmed { packed_ledger.manifests.clone() } else { String::new() };
        Ledger { manifests, ..packed_ledger }.write_again(&keeper.path).map_err(|error| failed(io::Error::other(error)))?;
    }
    Ok(outcome)
}

fn read_manifest(directory: &Path) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_slice(&fs_err::read(directory.join("manifest.json")).ok()?).ok()?;
    (manifest.schema == SCHEMA).then_some(manifest)
}

/// Names only: no root, no `..`.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some()
}

/// Of a regular file.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs_err::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some(Stamp { size: metadata.len(), mtime: nanos(FileTime::from_last_modification_time(&metadata)) })
}

/// Whether compilers and linkers replace a file as a whole, rather than write into it.
fn is_output(relative: &Path) -> bool {
    let parent = |path: &Path| path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let in_deps = parent(relative).is_some_and(|name| name == "deps");
    let is_small = relative.extension().is_some_and(|extension| extension == "d");
    in_deps && !is_small
}

/// A hard link of what is replaced as a whole, a copy with the same date of the rest and where links cannot be made.
fn place(from: &Path, to: &Path, link: bool, stamp: Stamp) -> io::Result<()> {
    let parent = to.parent().expect("it is below a directory");
    fs_err::create_dir_all(parent)?;
    match fs_err::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if link && fs_err::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs_err::copy(from, to)?;
    filetime::set_file_mtime(to, file_time(stamp.mtime))
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// The files of units.
struct FilesOf<'a> {
    records: &'a Records,
    /// Names in `deps`, by profile.
    deps: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> FilesOf<'a> {
    fn new(records: &'a Records) -> Self {
        let mut deps: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for unit in records.units.values() {
            deps.entry(&unit.profile).or_insert_with(|| {
                let entries =
                    fs_err::read_dir(records.directory.join(&unit.profile).join("deps")).into_iter().flatten().filter_map(Result::ok);
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
            });
        }
        Self { records, deps }
    }

    /// All files of a unit, relative to the build directory, and whether each is an output.
    fn unit(&self, unit: &Unit) -> Vec<(PathBuf, bool)> {
        let profile = PathBuf::from(&unit.profile);
        let fingerprint = PathBuf::from(&unit.key).parent().map_or_else(PathBuf::new, Path::to_path_buf);
        // The newer layout has all in one directory.
        let directories = if fingerprint.ends_with("fingerprint") {
            vec![fingerprint.parent().map_or_else(PathBuf::new, Path::to_path_buf)]
        } else if unit.kind == Kind::Run || unit.stem.starts_with("build-script-") {
            vec![fingerprint, profile.join("build").join(format!("{}-{}", unit.package, unit.hash))]
        } else {
            vec![fingerprint]
        };
        let mut files: Vec<(PathBuf, bool)> = directories
            .iter()
            .flat_map(|directory| files_below(&self.records.directory.join(directory)))
            .filter_map(|path| Some((path.strip_prefix(&self.records.directory).ok()?.to_path_buf(), false)))
            .collect();
        let name = unit.crate_name().replace('-', "_");
        let hashed = format!("-{}.", unit.hash);
        let plain = [format!("lib{name}."), format!("{name}.")];
        let is_its = |file: &&String| {
            file.contains(&hashed) || file.ends_with(hashed.trim_end_matches('.')) || plain.iter().any(|start| file.starts_with(start))
        };
        let outputs = self.deps.get(unit.profile.as_str()).into_iter().flatten().filter(is_its);
        files.extend(outputs.map(|file| profile.join("deps").join(file)).map(|path| (path.clone(), is_output(&path))));
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert!(is_plain(Path::new("release/deps/libx.so")));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "./a"] {
            assert!(!is_plain(Path::new(bad)), "{bad}");
        }
        assert!(is_output(Path::new("release/deps/libx-00.rlib")));
        assert!(!is_output(Path::new("release/deps/x-00.d")));
        assert!(!is_output(Path::new("release/.fingerprint/x-00/lib-x")));
    }
}
