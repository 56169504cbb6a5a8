//! What build scripts write into the source tree, beside what they declare as inputs: generated sources, stubs, data.
//!
//! cargo does not know of such files, and mostly git ignores them, so a fresh checkout has none. Without us the script would run there, as
//! all dates are new, and write them again. So they are a script's products: written down with it, and where one is not there as
//! it was, the script is run again. Whatever else was written while a script ran is taken for its product: in doubt it is run.
//!
//! Found is what git does not have and was made, changed or replaced between the beginning and the end of a script's run. Not
//! looked into are what is hidden, which editors write at any time, and directories of Python environments, caches or of what is built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::ledger::{Ledger, UnitEntry};
use super::snapshot::{Entry, Known, Nanos, Skipped, State, stat, take};
use super::{Keeper, nanos};
use crate::cargo_records::{Kind, Unit};
use crate::layout::Layout;
use crate::process::Cmd;

/// Clocks of file systems tick in steps of a few milliseconds.
const TICK: Nanos = 20_000_000;

/// As many as fit into a command.
const PATHS_AT_ONCE: usize = 200;

/// Whether a file has been as it is since it was written: nobody has replaced it under its old date.
pub(super) fn is_as_written(entry: &Entry) -> bool {
    entry.stat.ctime <= entry.stat.mtime.saturating_add(TICK)
}

/// By unit.
pub(super) type Products = BTreeMap<String, BTreeMap<PathBuf, Entry>>;

/// What these units, build scripts that have been run, have written; and files of git's that were written meanwhile and are as git has them.
pub(super) fn of_scripts(keeper: &Keeper, scripts: &[&Unit]) -> (Products, BTreeSet<PathBuf>) {
    let spans: Vec<(&Unit, Nanos, Nanos)> = scripts
        .iter()
        .filter_map(|unit| Some((*unit, nanos(unit.invoked?).saturating_sub(TICK), nanos(unit.finished?).saturating_add(TICK))))
        .collect();
    let (Some(from), Some(to)) = (spans.iter().map(|(_, from, _)| *from).min(), spans.iter().map(|(_, _, to)| *to).max()) else {
        return Default::default();
    };
    let base = base(keeper);
    let mut found = written(keeper, base, from, to);
    let tracked = tracked(base, found.keys());
    found.retain(|path, _| !tracked.contains(path));
    let rewritten = unmodified(base, tracked);
    let entries = take(found.keys().cloned(), &keeper.skipped, &Known::default());
    let mut products = Products::new();
    for (path, ctime) in found {
        let Some(entry) = entries.get(&path).filter(|entry| entry.state != State::Missing) else { continue };
        let running: Vec<&Unit> = spans.iter().filter(|(_, from, to)| (*from..=*to).contains(&ctime)).map(|(unit, ..)| *unit).collect();
        // Of several that ran at the time, it is that of the package which the file is in.
        let is_in = |unit: &&&Unit| keeper.tree.named(&unit.package).any(|package| path.starts_with(&package.root));
        let own: Vec<&Unit> = running.iter().filter(is_in).copied().collect();
        for unit in if own.is_empty() { running } else { own } {
            products.entry(unit.key.clone()).or_default().insert(path.clone(), entry.clone());
        }
    }
    (products, rewritten)
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

/// Where products are looked for: what is unpacked in our own directory is no part of the checkout that this is in.
fn base(keeper: &Keeper) -> &Path {
    if Layout::has(&keeper.tree.workspace) { &keeper.tree.workspace } else { keeper.tree.checkout() }
}

/// Files and links of the checkout that were made, changed or replaced between two times, and when. Dates can be kept (`cp -p`), the
/// system's own cannot. cargo's own file is nobody's product.
fn written(keeper: &Keeper, base: &Path, from: Nanos, to: Nanos) -> BTreeMap<PathBuf, Nanos> {
    let built: [&Path; 2] = [&keeper.build_directory, &keeper.tree.target_directory];
    let is_source = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_skipped = || {
            ["node_modules", "__pycache__"].contains(&&*name)
                || ["CACHEDIR.TAG", "pyvenv.cfg"].iter().any(|mark| entry.path().join(mark).exists())
                || built.contains(&entry.path())
        };
        entry.depth() == 0 || !(name.starts_with('.') || entry.file_type().is_dir() && is_skipped())
    };
    let walk = walkdir::WalkDir::new(base).into_iter().filter_entry(is_source).filter_map(Result::ok);
    let is_product = |entry: &walkdir::DirEntry| {
        let is_byte_code = entry.path().extension().is_some_and(|extension| extension == "pyc");
        !entry.file_type().is_dir() && !is_byte_code && entry.file_name() != "Cargo.lock"
    };
    let files = walk.filter(is_product);
    let dated = files.filter_map(|entry| Some((stat(entry.path())?.ctime, entry.into_path())));
    dated.filter(|(ctime, _)| (from..=to).contains(ctime)).map(|(ctime, path)| (path, ctime)).collect()
}

/// Those that git has.
fn tracked<'a>(checkout: &Path, paths: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let paths: Vec<&PathBuf> = paths.collect();
    paths.chunks(PATHS_AT_ONCE).flat_map(|some| listed(checkout, &["ls-files", "-z", "--"], some).unwrap_or_default()).collect()
}

/// Those of tracked files that have the content that git has. None if git does not say.
fn unmodified(checkout: &Path, tracked: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let paths: Vec<&PathBuf> = tracked.iter().collect();
    let mut modified = BTreeSet::new();
    for some in paths.chunks(PATHS_AT_ONCE) {
        match listed(checkout, &["ls-files", "--modified", "-z", "--"], some) {
            Some(names) => modified.extend(names),
            None => return BTreeSet::new(),
        }
    }
    tracked.into_iter().filter(|path| !modified.contains(path)).collect()
}

/// Files that git lists of some.
fn listed(checkout: &Path, command: &[&str], paths: &[&PathBuf]) -> Option<Vec<PathBuf>> {
    let names = Cmd::new("git").args(command).args(paths).cwd(checkout).quick_answer()?;
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Some(names.filter_map(|name| std::str::from_utf8(name).ok()).map(|name| checkout.join(name)).collect())
}

/// A product of a unit in its recorded state that is not there as it was: then the script has to be run again.
pub(super) fn changed(unit: &Unit, entry: &UnitEntry, seen: &BTreeMap<PathBuf, Entry>) -> Option<PathBuf> {
    let differs = |(path, then): &(&PathBuf, &Entry)| seen.get(*path).is_none_or(|now| !now.is_same(then));
    Some(entry).filter(|_| unit.kind == Kind::Run)?.products.iter().find(differs).map(|(path, _)| path.clone())
}
