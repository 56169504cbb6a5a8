//! Before a build: equal inputs get their dates back, and what cannot be vouched for is invalidated.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use filetime::FileTime;

use super::inputs::{closure, matching, of_unit, undeclared};
use super::ledger::{Identity, Ledger, PackageEntry, UnitEntry};
use super::products::{changed, changed_since_run, of_another_run};
use super::snapshot::{Entry, Known, Nanos, State, take};
use super::{Causes, Error, Keeper, nanos};
use crate::cargo_records::{Kind, Records, Unit};

/// Why a unit was invalidated, although cargo may have taken it for fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An input that cargo knows changed in a way that its date does not tell.
    Input(PathBuf),
    /// What a build script has written into the source tree is not there as it was.
    Product(PathBuf),
    /// A file that nobody declared changed in a package that may read it; or one that the setting `inputs` names.
    Undeclared(PathBuf),
    /// Files were added to or removed from a package whose script looks at all of them.
    FileSet(PathBuf),
    Manifest(PathBuf),
    /// A link leads elsewhere.
    Link(PathBuf),
    /// It is not in the state that was recorded, and this may have changed since it was made.
    NotRecorded(PathBuf),
    /// It was made elsewhere.
    Moved(PathBuf),
}

impl Cause {
    pub fn path(&self) -> &Path {
        match self {
            Self::Input(path)
            | Self::Product(path)
            | Self::Undeclared(path)
            | Self::FileSet(path)
            | Self::Manifest(path)
            | Self::Link(path)
            | Self::NotRecorded(path)
            | Self::Moved(path) => path,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path().display();
        match self {
            Self::Input(_) | Self::Manifest(_) => write!(f, "{path} changed"),
            Self::Product(_) => write!(f, "{path}, which the build script has written, is not there as it was"),
            Self::Undeclared(_) => write!(f, "{path} changed, which the package may read"),
            Self::FileSet(_) => write!(f, "{path} was added or removed"),
            Self::Link(_) => write!(f, "{path} leads elsewhere"),
            Self::NotRecorded(_) => write!(f, "{path} may have changed since it was compiled"),
            Self::Moved(_) => write!(f, "it was compiled for {path}"),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Inputs of units in their recorded state.
    pub inputs: usize,
    /// Those with another date than recorded, and the recorded one.
    pub restore: Vec<(PathBuf, FileTime)>,
    /// Those that have their date.
    pub unchanged: usize,
    /// Those that differ.
    pub changed: BTreeSet<PathBuf>,
    /// Changed, and dated in the future.
    pub bump: Vec<PathBuf>,
    pub invalidate: Causes,
    /// Units with inputs that are not in the state that was recorded.
    pub unrecorded: usize,
    extra: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Entry>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Restored {
    pub plan: Plan,
    /// The ledger that it was done by.
    pub ledger: Option<Ledger>,
    /// The target directory was from the future and was moved back, by nanoseconds.
    pub shifted: Option<Nanos>,
    /// What the setting `inputs` matched.
    extra: Vec<PathBuf>,
    /// What was known of the inputs afterwards.
    pub(super) seen: BTreeMap<PathBuf, Entry>,
}

pub(super) fn restore(keeper: &Keeper, records: &Records) -> Result<Restored, Error> {
    let Some(mut ledger) = keeper.ledger() else { return Ok(Restored::default()) };
    let shifted = leave_the_future(keeper, records, &mut ledger)?;
    let moved = if shifted.is_some() { Some(keeper.records()?) } else { None };
    let records = moved.as_ref().unwrap_or(records);
    let plan = plan(keeper, &ledger, records)?;
    let seen = apply(keeper, records, &plan);
    let extra = plan.extra.clone();
    Ok(Restored { plan, ledger: Some(ledger), shifted, extra, seen })
}

impl Restored {
    /// The ledger, if there is nothing to be written down after a build that left cargo's records as they were, `before`: all of it
    /// was found to be so, date for date.
    pub fn still_holds(&self, keeper: &Keeper, before: &Records, now: &Records, cold_seconds: &super::ColdSeconds) -> Option<&Ledger> {
        let ledger = self.ledger.as_ref()?;
        let plan = &self.plan;
        let is_clean = plan.restore.is_empty() && plan.changed.is_empty() && plan.invalidate.is_empty() && plan.unrecorded == 0;
        let holds = is_clean
            && self.shifted.is_none()
            && before.units == now.units
            && ledger.mode == keeper.mode
            && ledger.cold_seconds == *cold_seconds
            && ledger.tree == keeper.tree
            && ledger.manifests == keeper.tree.manifests_digest()
            && ledger.inherited == keeper.tree.inherited_digest()
            && self.extra.iter().eq(ledger.extra.keys())
            && ledger.files.iter().all(|(path, entry)| {
                // What it would have to read again each time is better written down again.
                self.seen.get(path).is_some_and(|seen| seen == entry) && entry.is_settled(ledger.saved)
            });
        holds.then_some(ledger)
    }
}

/// Takes over the dates that equal files have now.
pub(super) fn refresh(ledger: &mut Ledger, restored: &Restored) {
    ledger.saved = now();
    for (path, entry) in &mut ledger.files {
        if let Some(seen) = restored.seen.get(path).filter(|seen| seen.is_same(entry) && seen.stat.mtime == entry.stat.mtime) {
            entry.stat = seen.stat;
        }
    }
}

pub(super) fn now() -> Nanos {
    nanos(FileTime::from_system_time(SystemTime::now()))
}

/// Moves everything in the build directory back if anything in it is newer than now: it comes from a machine whose clock
/// was ahead, and what changes today would look older than what was compiled there.
fn leave_the_future(keeper: &Keeper, records: &Records, ledger: &mut Ledger) -> Result<Option<Nanos>, Error> {
    let now = now();
    let newest = records.units.values().filter_map(Unit::newest).map(nanos).max().unwrap_or_default();
    if newest <= now {
        return Ok(None);
    }
    let by = newest - now + 1_000_000_000;
    let directory = &keeper.build_directory;
    let failed = |error: std::io::Error| Error::Write { path: directory.clone(), source: error };
    let mut moved = HashSet::new();
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let metadata = entry.metadata().map_err(|error| failed(error.into()))?;
        // Once, whatever the number of its names.
        if entry.file_type().is_file() && !moved.insert(inode(&metadata)) {
            continue;
        }
        let mtime = nanos(FileTime::from_last_modification_time(&metadata)) - by;
        set_mtime(entry.path(), file_time(mtime)).map_err(failed)?;
    }
    ledger.shift(by);
    Ok(Some(by))
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> (u64, u64) {
    unreachable!("restoring is refused here")
}

/// Nanoseconds since 1970 as a file time.
pub fn file_time(nanos: Nanos) -> FileTime {
    FileTime::from_unix_time(nanos.div_euclid(1_000_000_000), u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default())
}

/// Sets the date of a file, a directory or a link itself.
pub(super) fn set_mtime(path: &Path, mtime: FileTime) -> std::io::Result<()> {
    filetime::set_symlink_file_times(path, mtime, mtime)
}

pub(super) fn plan(keeper: &Keeper, ledger: &Ledger, records: &Records) -> Result<Plan, Error> {
    let tree = &keeper.tree;
    if ledger.tree.workspace != tree.workspace || ledger.build_directory != keeper.build_directory {
        let cause = Cause::Moved(ledger.tree.workspace.clone());
        let local = records.units.values().filter(|unit| tree.named(&unit.package).next().is_some());
        return Ok(Plan { invalidate: local.map(|unit| (unit.key.clone(), cause.clone())).collect(), ..Plan::default() });
    }
    let mut known: Vec<(&Unit, &UnitEntry)> = Vec::new();
    let mut unknown: Vec<&Unit> = Vec::new();
    // What failed or was never finished, cargo makes again anyway.
    for unit in records.units.values().filter(|unit| unit.fingerprint.len() == 16) {
        match ledger.units.get(&unit.key) {
            Some(entry) if entry.identity == Identity::of(unit) => known.push((unit, entry)),
            _ => unknown.push(unit),
        }
    }
    let inputs_of_unknown: HashMap<&str, Vec<PathBuf>> =
        unknown.iter().map(|unit| (unit.key.as_str(), of_unit(unit, tree, &keeper.skipped))).collect();
    let has_inputs = |unit: &&&Unit| !inputs_of_unknown[unit.key.as_str()].is_empty() || tree.named(&unit.package).next().is_some();
    let unrecorded = unknown.iter().filter(has_inputs).count();
    // Undeclared files, by the root of their package.
    let mut undeclared_now: BTreeMap<&Path, Option<Vec<PathBuf>>> = BTreeMap::new();
    for package in &tree.packages {
        undeclared_now.insert(&package.root, undeclared(package, keeper.mode, tree, &keeper.skipped));
    }
    let extra_now = matching(&keeper.globs, &keeper.base, &keeper.skipped)?;
    // A package whose script looks at all of it: the set of its files counts.
    let whole: BTreeMap<&Path, Vec<PathBuf>> = known
        .iter()
        .filter(|(unit, _)| unit.kind == Kind::Run && unit.looks_at_whole_package())
        .flat_map(|(unit, _)| tree.named(&unit.package))
        .map(|package| (package.root.as_path(), tree.files_of(&package.root)))
        .collect();

    let paths = ledger.files.keys().chain(inputs_of_unknown.values().flatten()).chain(&extra_now).chain(whole.values().flatten()).cloned();
    let products = known.iter().flat_map(|(_, entry)| entry.products.keys());
    let products = products.chain(unknown.iter().flat_map(|unit| of_another_run(ledger, unit)).map(|(path, _)| path)).cloned();
    let paths = paths.chain(undeclared_now.values().flatten().flatten().cloned()).chain(products);
    let mut before = ledger.files.clone();
    for package in ledger.packages.values() {
        before.extend(package.files.iter().flatten().map(|(path, entry)| (path.clone(), entry.clone())));
    }
    let seen = take(paths, &keeper.skipped, &Known { entries: Some(&before), at: ledger.saved });

    let mut judge = Judge { then: &ledger.files, now: &seen, keeper, equal: HashMap::new() };
    let bounds = Bounds::of(keeper);
    let mut plan = Plan::default();
    let mut counted: BTreeSet<&Path> = BTreeSet::new();
    // All that units in their recorded state were made from.
    for (_, entry) in &known {
        for input in &entry.inputs {
            for (path, then) in closure(input, &ledger.files) {
                if !counted.insert(path) {
                    continue;
                }
                if !judge.is_equal(path) {
                    plan.changed.insert(path.to_path_buf());
                } else if then.state == State::Missing || seen.get(path).is_some_and(|now| now.stat.mtime == then.stat.mtime) {
                    plan.unchanged += 1;
                } else if bounds.contain(path) {
                    plan.restore.push((path.to_path_buf(), file_time(then.stat.mtime)));
                } else {
                    plan.unchanged += 1;
                }
            }
        }
    }
    plan.inputs = counted.len();
    let restored: HashMap<&Path, Nanos> = plan.restore.iter().map(|(path, time)| (path.as_path(), nanos(*time))).collect();
    let now = now();
    let mtime_after = |path: &Path, entry: &Entry| restored.get(path).copied().unwrap_or(entry.stat.mtime);

    let mut invalidate: Causes =
        known.iter().filter_map(|(unit, entry)| Some((unit.key.clone(), Cause::Product(changed(unit, entry, &seen)?)))).collect();
    for (unit, entry) in &known {
        if let Some(cause) = cause_in_inputs(unit, entry, &mut judge, &seen, &mtime_after, &plan.changed) {
            invalidate.insert(unit.key.clone(), cause);
        }
    }
    // What a package was compiled from and is gone may have been written by its script, whenever that was.
    for (unit, entry) in known.iter().filter(|(unit, _)| unit.kind == Kind::Compile) {
        let is_gone = |path: &&PathBuf| {
            let was_there = ledger.files.get(*path).is_some_and(|then| then.state != State::Missing);
            was_there && seen.get(*path).is_none_or(|now| now.state == State::Missing)
        };
        let Some(gone) = entry.inputs.iter().find(is_gone) else { continue };
        for (script, _) in known.iter().filter(|(script, _)| script.kind == Kind::Run && script.package == unit.package) {
            invalidate.entry(script.key.clone()).or_insert_with(|| Cause::Product(gone.clone()));
        }
    }
    taint_packages(keeper, ledger, &known, &undeclared_now, &whole, &seen, &extra_now, &mut invalidate);
    for unit in unknown {
        if let Some(path) = changed_since_run(ledger, unit, &seen) {
            invalidate.insert(unit.key.clone(), Cause::Product(path));
        }
        let Some(reference) = unit.reference_time().map(nanos) else { continue };
        let inputs = inputs_of_unknown[unit.key.as_str()].iter().flat_map(|input| closure(input, &seen));
        let replaced = inputs.filter(|(path, entry)| {
            let is_new = restored.contains_key(path) || entry.stat.ctime >= reference;
            entry.state != State::Missing && is_new && mtime_after(path, entry) <= reference
        });
        let mut replaced = replaced.map(|(path, _)| path.to_path_buf());
        let mut unseen = tree
            .named(&unit.package)
            .filter_map(|package| undeclared_now.get(package.root.as_path())?.as_ref())
            .flatten()
            .filter(|path| restored.contains_key(path.as_path()) || seen.get(*path).is_some_and(|entry| entry.stat.ctime >= reference))
            .cloned();
        if let Some(path) = replaced.next().or_else(|| unseen.next()) {
            invalidate.insert(unit.key.clone(), Cause::NotRecorded(path));
        }
    }
    plan.unrecorded = unrecorded;
    plan.bump = plan
        .changed
        .iter()
        .filter(|path| bounds.contain(path))
        .filter(|path| seen.get(*path).is_some_and(|entry| matches!(entry.state, State::File { .. }) && entry.stat.mtime > now))
        .cloned()
        .collect();
    plan.invalidate = invalidate;
    plan.seen = seen;
    plan.extra = extra_now;
    Ok(plan)
}

/// Whether inputs are what they were.
struct Judge<'a> {
    then: &'a BTreeMap<PathBuf, Entry>,
    now: &'a BTreeMap<PathBuf, Entry>,
    keeper: &'a Keeper,
    equal: HashMap<PathBuf, bool>,
}

impl Judge<'_> {
    /// A directory is if its listing and all below are; a link if it says the same and what is behind it is.
    fn is_equal(&mut self, path: &Path) -> bool {
        if let Some(known) = self.equal.get(path) {
            return *known;
        }
        // Links that go in circles: each is judged by the rest.
        self.equal.insert(path.to_path_buf(), true);
        let (Some(then), Some(now)) = (self.then.get(path), self.now.get(path)) else {
            self.equal.insert(path.to_path_buf(), false);
            return false;
        };
        let equal = then.is_same(now)
            && match &now.state {
                State::Directory { .. } => {
                    let below: Vec<PathBuf> =
                        fs_err::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect();
                    below.iter().all(|path| self.keeper.skipped.contains(path) || self.is_equal(path))
                }
                State::Link { .. } => match fs_err::canonicalize(path) {
                    Ok(real) => self.keeper.skipped.contains(&real) || self.is_equal(&real),
                    // It led nowhere then, too, or the link would be another.
                    Err(_) => true,
                },
                _ => true,
            };
        self.equal.insert(path.to_path_buf(), equal);
        equal
    }
}

/// Why a unit in its recorded state must be made again, if cargo would not see it by itself.
fn cause_in_inputs(
    unit: &Unit,
    entry: &UnitEntry,
    judge: &mut Judge<'_>,
    seen: &BTreeMap<PathBuf, Entry>,
    mtime_after: &dyn Fn(&Path, &Entry) -> Nanos,
    changed: &BTreeSet<PathBuf>,
) -> Option<Cause> {
    for (name, led_to) in &entry.links {
        if crate::fs::canonicalize(name).ok().as_ref() != Some(led_to) {
            return Some(Cause::Link(name.clone()));
        }
    }
    for input in &entry.inputs {
        if judge.is_equal(input) {
            continue;
        }
        let is_whole = unit.kind == Kind::Run && unit.looks_at_whole_package();
        let reference = unit.reference_time().map(nanos);
        let is_seen = seen.get(input).is_none_or(|now| match now.state {
            // What cannot be found is dirty for cargo; so is what is newer than the reference.
            State::Missing => !is_whole,
            State::Link { .. } | State::Unknown => false,
            _ => reference.is_some_and(|reference| {
                !is_whole
                    && closure(input, seen).into_iter().any(|(path, now)| mtime_after(path, now) > reference && now.state != State::Missing)
            }),
        });
        if !is_seen {
            // What is at the bottom of it: a file rather than the directory that it is in.
            let leaf = changed.range(input.clone()..).take_while(|path| path.starts_with(input)).last();
            return Some(Cause::Input(leaf.unwrap_or(input).clone()));
        }
    }
    None
}

/// Invalidates the units of packages of which something changed that cargo does not look at.
#[expect(clippy::too_many_arguments, reason = "what was found out once, for one reader")]
fn taint_packages(
    keeper: &Keeper,
    ledger: &Ledger,
    known: &[(&Unit, &UnitEntry)],
    undeclared_now: &BTreeMap<&Path, Option<Vec<PathBuf>>>,
    whole: &BTreeMap<&Path, Vec<PathBuf>>,
    seen: &BTreeMap<PathBuf, Entry>,
    extra_now: &[PathBuf],
    invalidate: &mut Causes,
) {
    let tree = &keeper.tree;
    let inherited_changed = ledger.inherited != tree.inherited_digest();
    let extra_change = difference(&ledger.extra, extra_now, seen);
    for package in &tree.packages {
        let units = || known.iter().map(|(unit, _)| *unit).filter(|unit| unit.package == package.name && unit.kind != Kind::Doc);
        let manifest = package.root.join("Cargo.toml");
        let default = PackageEntry::default();
        let then = ledger.packages.get(&package.root).unwrap_or(&default);
        let cause = if then.manifest != manifest_digest(&manifest) {
            Some(Cause::Manifest(manifest))
        } else if inherited_changed && package.is_member {
            Some(Cause::Manifest(tree.workspace.join("Cargo.toml")))
        } else {
            let change = match (undeclared_now.get(package.root.as_path()).and_then(Option::as_ref), &then.files) {
                (Some(now), Some(then)) => difference(then, now, seen),
                // Nobody looked then.
                (Some(now), None) => now.first().cloned(),
                (None, _) => None,
            };
            // Whose package one of `inputs` belongs to, is known if it is in it.
            let extra = extra_change
                .as_ref()
                .filter(|path| path.starts_with(&package.root) || !tree.packages.iter().any(|package| path.starts_with(&package.root)));
            change.as_ref().or(extra).cloned().map(Cause::Undeclared)
        };
        if let Some(cause) = cause {
            for unit in units() {
                invalidate.entry(unit.key.clone()).or_insert_with(|| cause.clone());
            }
        }
        // cargo compares the newest date of all files, so one that is gone or that came with an old date does not show.
        let Some(files) = whole.get(package.root.as_path()) else { continue };
        for (unit, entry) in known.iter().filter(|(unit, _)| unit.package == package.name && unit.kind == Kind::Run) {
            let now: BTreeSet<&PathBuf> = files.iter().filter(|path| !keeper.skipped.contains(path)).collect();
            let then: BTreeSet<&PathBuf> = entry.inputs.iter().collect();
            if let Some(path) = now.symmetric_difference(&then).next() {
                invalidate.entry(unit.key.clone()).or_insert_with(|| Cause::FileSet((*path).clone()));
            }
        }
    }
}

pub(super) fn manifest_digest(manifest: &Path) -> String {
    crate::digest::file(manifest).unwrap_or_default()
}

/// The first file that is not what it was, or that was not there, or is not any more.
fn difference(then: &BTreeMap<PathBuf, Entry>, now: &[PathBuf], seen: &BTreeMap<PathBuf, Entry>) -> Option<PathBuf> {
    let gone = then.keys().find(|path| now.binary_search(path).is_err());
    let differs = |path: &&PathBuf| match (then.get(*path), seen.get(*path)) {
        (Some(then), Some(now)) => !then.is_same(now),
        _ => true,
    };
    now.iter().find(differs).or(gone).cloned()
}

/// Where dates may be set.
pub(super) struct Bounds {
    directories: Vec<PathBuf>,
    /// Whether a directory's real place is within, by directory.
    real: RefCell<HashMap<PathBuf, bool>>,
}

impl Bounds {
    pub(super) fn of(keeper: &Keeper) -> Self {
        let directories = keeper.tree.bounds().into_iter().chain([keeper.build_directory.clone()]);
        let directories = directories.map(|path| crate::fs::canonicalize(&path).unwrap_or(path)).collect();
        Self { directories, real: RefCell::default() }
    }

    /// Never in `.git`, and never through a link that leads out.
    pub(super) fn contain(&self, path: &Path) -> bool {
        let Some(parent) = path.parent() else { return false };
        if let Some(known) = self.real.borrow().get(parent) {
            return *known;
        }
        let within = crate::fs::canonicalize(parent).is_ok_and(|real| {
            self.directories.iter().any(|directory| real.starts_with(directory) || *directory == real)
                && !real.components().any(|part| part.as_os_str() == ".git")
        });
        self.real.borrow_mut().insert(parent.to_path_buf(), within);
        within
    }
}

/// Sets the dates, invalidates, and returns what is known of the paths afterwards.
fn apply(keeper: &Keeper, records: &Records, plan: &Plan) -> BTreeMap<PathBuf, Entry> {
    for key in plan.invalidate.keys() {
        if let Some(unit) = records.units.get(key) {
            invalidate(unit, &keeper.build_directory);
        }
    }
    let mut seen = plan.seen.clone();
    for (path, mtime) in &plan.restore {
        // Not if it was written since it was looked at. What fails keeps its new date, and is compiled.
        if let Some(entry) = seen.get_mut(path)
            && super::snapshot::stat(path) == Some(entry.stat)
            && set_mtime(path, *mtime).is_ok()
        {
            entry.stat = super::snapshot::stat(path).unwrap_or_default();
        }
    }
    let now = FileTime::now();
    for path in &plan.bump {
        let _ = set_mtime(path, now);
    }
    seen
}

/// Makes cargo see the unit, and so everything above it, as stale.
///
/// Emptying the hash file alone would not do: only this unit would be made again, and those above would stay as they are
/// for one more build.
pub(crate) fn invalidate(unit: &Unit, build_directory: &Path) {
    let mut files: Vec<PathBuf> = unit.references.iter().map(|reference| reference.path.clone()).collect();
    match (unit.kind, &unit.run_directory) {
        (Kind::Run, Some(directory)) => files.extend([directory.join("output"), directory.join("stdout")]),
        _ => files.push(unit.fingerprint_directory(build_directory).join(format!("dep-{}", unit.stem))),
    }
    for file in files {
        let _ = fs_err::remove_file(file);
    }
    let _ = fs_err::write(build_directory.join(&unit.key), "");
}
