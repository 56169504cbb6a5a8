//! What build scripts write into the source tree, beside what they declare as inputs: generated sources, stubs, data.
//!
//! cargo does not know of such files, and mostly git ignores them, so a fresh checkout has none. Without us the script would run there, as
//! all dates are new, and write them again. So they are a script's products: written down with it, put back by the layer, which
//! keeps copies of them, and where that cannot be, the script is run again.
//!
//! Found are files without version control whose date lies between the beginning and the end of a script's run. Not looked into
//! are directories that are hidden, of Python environments, caches or of what is built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::ledger::{Ledger, UnitEntry};
use super::snapshot::{Entry, Known, Nanos, Skipped, State, take};
use super::tree::Tree;
use super::{Keeper, nanos};
use crate::cargo_records::{Kind, Unit};
use crate::env_vars;
use crate::process::Cmd;

/// Clocks of file systems tick in steps of a few milliseconds.
const TICK: Nanos = 20_000_000;

/// Whether a file has been as it is since it was written: nobody has replaced it under its old date.
pub(super) fn is_as_written(entry: &Entry) -> bool {
    entry.stat.ctime <= entry.stat.mtime.saturating_add(TICK)
}

/// By unit.
pub(super) type Products = BTreeMap<String, BTreeMap<PathBuf, Entry>>;

/// What these units, build scripts that have been run, have written.
pub(super) fn of_scripts(keeper: &Keeper, scripts: &[&Unit]) -> Products {
    let spans: Vec<(&Unit, Nanos, Nanos)> = scripts
        .iter()
        .filter_map(|unit| Some((*unit, nanos(unit.invoked?).saturating_sub(TICK), nanos(unit.finished?).saturating_add(TICK))))
        .collect();
    let (Some(from), Some(to)) = (spans.iter().map(|(_, from, _)| *from).min(), spans.iter().map(|(_, _, to)| *to).max()) else {
        return Products::new();
    };
    let mut found: BTreeMap<PathBuf, Nanos> = written(keeper, from, to);
    for path in tracked(keeper.tree.checkout(), found.keys()) {
        found.remove(&path);
    }
    let entries = take(found.keys().cloned(), &keeper.skipped, &Known::default());
    let mut products = Products::new();
    for (path, mtime) in found {
        let Some(entry) = entries.get(&path).filter(|entry| matches!(entry.state, State::File { .. })) else { continue };
        let running: Vec<&Unit> = spans.iter().filter(|(_, from, to)| (*from..=*to).contains(&mtime)).map(|(unit, ..)| *unit).collect();
        // Of several that ran at the time, it is that of the package which the file is in.
        let is_in = |unit: &&&Unit| keeper.tree.named(&unit.package).any(|package| path.starts_with(&package.root));
        let own: Vec<&Unit> = running.iter().filter(is_in).copied().collect();
        for unit in if own.is_empty() { running } else { own } {
            products.entry(unit.key.clone()).or_default().insert(path.clone(), entry.clone());
        }
    }
    products
}

/// Adds what scripts have left as it was when they were run again, because they would have written the same: the products of the same
/// script in an earlier ledger that are still there. Returns the units of which it is not certain what they have written.
pub(super) fn carry_over(
    products: &mut Products,
    scripts: &[&Unit],
    previous: Option<&Ledger>,
    skipped: &Skipped,
    now: &BTreeMap<PathBuf, Entry>,
) -> BTreeSet<String> {
    let mut doubtful = BTreeSet::new();
    let Some(previous) = previous else { return doubtful };
    for unit in scripts {
        for earlier in same_script(previous, unit) {
            let left = take(earlier.products.keys().cloned(), skipped, &Known::default());
            let was_read = |path: &PathBuf| previous.files.get(path).zip(now.get(path)).is_some_and(|(then, now)| then.is_same(now));
            for (path, then) in &earlier.products {
                let own = products.entry(unit.key.clone()).or_default();
                match left.get(path).filter(|entry| entry.state != State::Missing) {
                    Some(_) if own.contains_key(path) => {}
                    Some(entry) if entry.is_same(then) && earlier.inputs.iter().all(was_read) => {
                        own.insert(path.clone(), entry.clone());
                    }
                    Some(_) => {
                        doubtful.insert(unit.key.clone());
                    }
                    None => {}
                }
            }
        }
    }
    doubtful
}

/// What a ledger says of a build script, however that was run.
fn same_script<'a>(ledger: &'a Ledger, unit: &'a Unit) -> impl Iterator<Item = &'a UnitEntry> {
    let is_same = |(key, entry): &(&String, &UnitEntry)| entry.package == unit.package && key.ends_with(&unit.stem);
    ledger.units.iter().filter(is_same).map(|(_, entry)| entry)
}

/// What a script wrote at another time; none of what is no script.
pub(super) fn of_another_run<'a>(ledger: &'a Ledger, unit: &'a Unit) -> impl Iterator<Item = (&'a PathBuf, &'a Entry)> {
    Some(unit)
        .filter(|unit| unit.kind == Kind::Run)
        .into_iter()
        .flat_map(|unit| same_script(ledger, unit))
        .flat_map(|entry| &entry.products)
}

/// A product of a script that has been run without us, if it was changed or has gone since then, and is not what it was when we saw it.
pub(super) fn changed_since_run(ledger: &Ledger, unit: &Unit, seen: &BTreeMap<PathBuf, Entry>) -> Option<PathBuf> {
    let finished = nanos(unit.finished?).saturating_add(TICK);
    let is_changed = |(path, then): &(&PathBuf, &Entry)| {
        seen.get(*path).is_none_or(|now| !now.is_same(then) && (now.state == State::Missing || now.stat.ctime > finished))
    };
    of_another_run(ledger, unit).find(is_changed).map(|(path, _)| path.clone())
}

/// Files of the checkout that were written between two times, with those dates.
fn written(keeper: &Keeper, from: Nanos, to: Nanos) -> BTreeMap<PathBuf, Nanos> {
    let built: [&Path; 2] = [&keeper.build_directory, &keeper.tree.target_directory];
    let is_source = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_skipped = || {
            (entry.depth() > 0 && name.starts_with('.'))
                || ["node_modules", "__pycache__"].contains(&&*name)
                || ["CACHEDIR.TAG", "pyvenv.cfg"].iter().any(|mark| entry.path().join(mark).exists())
                || built.contains(&entry.path())
        };
        !entry.file_type().is_dir() || !is_skipped()
    };
    let walk = walkdir::WalkDir::new(keeper.tree.checkout()).into_iter().filter_entry(is_source).filter_map(Result::ok);
    let files = walk.filter(|entry| entry.file_type().is_file());
    let dated = files.filter_map(|entry| {
        let mtime = nanos(FileTime::from_last_modification_time(&entry.metadata().ok()?));
        Some((entry.into_path(), mtime))
    });
    dated.filter(|(path, mtime)| (from..=to).contains(mtime) && path.extension().is_none_or(|extension| extension != "pyc")).collect()
}

/// Those that git has. cargo's own file is nobody's product.
fn tracked<'a>(checkout: &Path, paths: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let (locks, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.partition(|path| path.file_name().is_some_and(|name| name == "Cargo.lock"));
    let mut found: BTreeSet<PathBuf> = locks.into_iter().cloned().collect();
    for some in paths.chunks(200) {
        let command = Cmd::new("git").args(["ls-files", "-z", "--"]).args(some).cwd(checkout);
        let names = command.quick_answer().unwrap_or_default();
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        found.extend(names.filter_map(|name| std::str::from_utf8(name).ok()).map(|name| checkout.join(name)));
    }
    found
}

/// What is to be done about products that are not there as they were.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Files that are gone, of scripts whose inputs are what they were: who has copies may put them back.
    pub wanted: Products,
    /// Scripts that must be run again, and what for.
    pub outdated: BTreeMap<String, PathBuf>,
}

/// Looks at the products of units in their recorded state. `inputs_are_equal`: whether a unit has seen what it would see now.
pub(super) fn missing(
    known: &[(&Unit, &UnitEntry)],
    seen: &BTreeMap<PathBuf, Entry>,
    mut inputs_are_equal: impl FnMut(&Unit, &UnitEntry) -> bool,
) -> Missing {
    let mut missing = Missing::default();
    for (unit, entry) in known.iter().filter(|(unit, _)| unit.kind == Kind::Run) {
        let differs = |path: &PathBuf, then: &Entry| seen.get(path).is_none_or(|now| !now.is_same(then));
        let gone: BTreeMap<PathBuf, Entry> =
            entry.products.iter().filter(|(path, then)| differs(path, then)).map(|(path, then)| (path.clone(), then.clone())).collect();
        let Some(first) = gone.keys().next().cloned() else { continue };
        let are_gone = gone.keys().all(|path| seen.get(path).is_some_and(|now| now.state == State::Missing));
        if are_gone && inputs_are_equal(unit, entry) && variables_are_equal(unit) {
            missing.wanted.insert(unit.key.clone(), gone);
        } else {
            missing.outdated.insert(unit.key.clone(), first);
        }
    }
    missing
}

/// Whether a script would find the variables that it depends on as they were. Those that cargo, a backend or we set say nothing here.
fn variables_are_equal(unit: &Unit) -> bool {
    const SET_BY_OTHERS: &[&str] =
        &["PYO3_", "PYTHON_SYS_EXECUTABLE", "CARGO", "RUST", "DEP_", "OUT_DIR", "TARGET", "HOST", "PROFILE", "NUM_JOBS"];
    let ours = |name: &str| SET_BY_OTHERS.iter().any(|start| name.starts_with(start));
    unit.variables()
        .filter(|(name, _)| !ours(name))
        .all(|(name, value)| env_vars::get(name).as_deref() == value.filter(|value| !value.is_empty()))
}

/// Whether a path may be written where there is nothing yet: in the checkout, and not through a link or into what is hidden.
pub(super) fn may_be_written(path: &Path, tree: &Tree, skipped: &Skipped) -> bool {
    let checkout = tree.checkout();
    let Ok(relative) = path.strip_prefix(checkout) else { return false };
    let is_plain =
        relative.components().all(|part| matches!(part, std::path::Component::Normal(name) if !name.to_string_lossy().starts_with('.')));
    let mut directories = path.ancestors().skip(1).take_while(|directory| directory.starts_with(checkout) && *directory != checkout);
    let has_links = directories.any(|directory| fs_err::symlink_metadata(directory).is_ok_and(|metadata| !metadata.is_dir()));
    is_plain && relative.components().next().is_some() && !has_links && !skipped.contains(path) && fs_err::symlink_metadata(path).is_err()
}
