//! After a build: what every input was when the units became what they are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::inputs::{closure, links_of, matching, of_unit, undeclared};
use super::ledger::{Identity, Ledger, PackageEntry, SCHEMA, UnitEntry};
use super::products::{Products, carry_over, is_as_written, of_scripts};
use super::restore::{Bounds, Restored, file_time, manifest_digest, now, set_mtime};
use super::snapshot::{Entry, Known, Nanos, Stat, State, stat, take};
use super::{ColdSeconds, Error, Keeper, nanos};
use crate::cargo_records::{Kind, Records, Unit};

pub(super) fn record(keeper: &Keeper, records: &Records, restored: Option<&Restored>, cold_seconds: &ColdSeconds) -> Result<Ledger, Error> {
    let tree = &keeper.tree;
    tree.forget_files();
    let from_disk = if restored.is_none() { keeper.ledger() } else { None };
    let previous = restored.and_then(|restored| restored.ledger.as_ref()).or(from_disk.as_ref());

    let units: Vec<(&Unit, Vec<PathBuf>)> = records
        .units
        .values()
        .filter(|unit| unit.fingerprint.len() == 16 && unit.record.is_some() && unit.kind != Kind::Doc)
        .map(|unit| (unit, of_unit(unit, tree, &keeper.skipped)))
        .filter(|(unit, inputs)| !inputs.is_empty() || tree.named(&unit.package).next().is_some())
        .collect();
    let mut undeclared_files: BTreeMap<&Path, Option<Vec<PathBuf>>> = BTreeMap::new();
    for package in &tree.packages {
        undeclared_files.insert(&package.root, undeclared(package, keeper.mode, tree, &keeper.skipped));
    }
    let extra = matching(&keeper.globs, &keeper.base, &keeper.skipped)?;

    let inputs = units.iter().flat_map(|(_, inputs)| inputs).chain(undeclared_files.values().flatten().flatten()).chain(&extra);
    let started = now();
    let known = match restored {
        Some(restored) if !restored.seen.is_empty() => Known { entries: Some(&restored.seen), at: started },
        _ => previous.map_or_else(Known::default, |previous| Known { entries: Some(&previous.files), at: previous.saved }),
    };
    let seen = take(inputs.cloned(), &keeper.skipped, &known);

    // A script that has not been run again has written nothing new.
    let scripts = units.iter().map(|(unit, _)| *unit).filter(|unit| unit.kind == Kind::Run && tree.named(&unit.package).next().is_some());
    let (mut products, mut has_run) = (Products::new(), Vec::new());
    for unit in scripts {
        match previous.and_then(|previous| previous.units.get(&unit.key)).filter(|was| was.identity == Identity::of(unit)) {
            Some(was) => drop(products.insert(unit.key.clone(), was.products.clone())),
            None => has_run.push(unit),
        }
    }
    let (written, rewritten) = of_scripts(keeper, &has_run);
    // Whoever reads them was begun after their script had ended, if in the same tick of the clock.
    let just_written = written.values().flatten().filter(|(_, entry)| is_as_written(entry));
    let just_written: BTreeMap<PathBuf, Stat> = just_written.map(|(path, entry)| (path.clone(), entry.stat)).collect();
    products.extend(written);
    let doubtful = carry_over(&mut products, &has_run, previous, &keeper.skipped, &seen);

    // What a script has written, neither it nor what it was compiled from has overlooked.
    let mut written: BTreeMap<&str, BTreeSet<PathBuf>> = BTreeMap::new();
    for (unit, _) in &units {
        let of_unit = products.get(&unit.key).into_iter().flat_map(BTreeMap::keys).cloned();
        written.entry(unit.package.as_str()).or_default().extend(of_unit);
    }

    let mut files = BTreeMap::new();
    let mut entries = BTreeMap::new();
    let mut whole: Vec<&Unit> = Vec::new();
    for (unit, inputs) in units {
        let identity = Identity::of(unit);
        let was =
            previous.and_then(|previous| Some((previous, previous.units.get(&unit.key)?))).filter(|(_, was)| was.identity == identity);
        // What was there when it was recorded last, with the same date, has been there all the time.
        let is_old = |path: &Path, entry: &Entry, then: Option<&Entry>| {
            then.is_some_and(|then| {
                then.is_same(entry) && (then.stat.mtime == entry.stat.mtime || !matches!(entry.state, State::File { .. }))
            }) && was.is_some()
                && !path.as_os_str().is_empty()
        };
        let Some(reference) = unit.reference_time().map(nanos) else { continue };
        let below: BTreeMap<&Path, &Entry> = inputs.iter().flat_map(|input| closure(input, &seen)).collect();
        let is_replaced = below.iter().any(|(path, entry)| {
            let then = previous.and_then(|previous| previous.files.get(*path));
            let is_new_product = unit.kind != Kind::Run && just_written.get(*path) == Some(&entry.stat);
            let is_doubtful = entry.state != State::Missing && entry.stat.mtime <= reference && reference <= entry.stat.ctime;
            is_doubtful && !is_old(path, entry, then) && !is_new_product
        });
        let is_unseen = tree.named(&unit.package).any(|package| {
            let then = previous.and_then(|previous| previous.packages.get(&package.root)?.files.as_ref());
            undeclared_files.get(package.root.as_path()).into_iter().flatten().flatten().any(|path| {
                let same = |entry: &Entry| was.is_some() && then.and_then(|then| then.get(path)).is_some_and(|then| then.is_same(entry));
                let is_product =
                    || rewritten.contains(path) || written.get(unit.package.as_str()).is_some_and(|written| written.contains(path));
                !below.contains_key(path.as_path())
                    && !is_product()
                    && seen.get(path).is_some_and(|entry| entry.stat.ctime >= reference && !same(entry))
            })
        });
        let has_name_without_text = || {
            let products = products.get(&unit.key).into_iter().flat_map(BTreeMap::keys);
            below.keys().copied().chain(products.map(PathBuf::as_path)).any(|path| path.to_str().is_none())
        };
        if is_replaced || is_unseen || doubtful.contains(&unit.key) || has_name_without_text() {
            // Its content may not be what was compiled, or cannot be written down: it stays unrecorded, and is not vouched for.
            continue;
        }
        files.extend(below.into_iter().map(|(path, entry)| (path.to_path_buf(), entry.clone())));
        let links = links_of(unit, tree, records);
        whole.extend(Some(unit).filter(|unit| unit.kind == Kind::Run && unit.looks_at_whole_package()));
        let products = products.remove(&unit.key).unwrap_or_default();
        entries.insert(unit.key.clone(), UnitEntry { package: unit.package.clone(), identity, inputs, links, products });
    }
    date_back_ties(keeper, records, &whole, &mut files);
    let look = |paths: &[PathBuf]| -> BTreeMap<PathBuf, Entry> {
        paths.iter().filter_map(|path| Some((path.clone(), files.get(path).or_else(|| seen.get(path))?.clone()))).collect()
    };
    let packages = tree
        .packages
        .iter()
        .map(|package| {
            let files = undeclared_files.get(package.root.as_path()).and_then(Option::as_ref).map(|paths| look(paths));
            (package.root.clone(), PackageEntry { manifest: manifest_digest(&package.root.join("Cargo.toml")), files })
        })
        .collect();
    let extra = look(&extra);
    let mut ledger = Ledger {
        schema: SCHEMA,
        id: String::new(),
        saved: started,
        mode: keeper.mode,
        tree: tree.clone(),
        build_directory: keeper.build_directory.clone(),
        manifests: tree.manifests_digest(),
        inherited: tree.inherited_digest(),
        files,
        units: entries,
        packages,
        extra,
        cold_seconds: cold_seconds.clone(),
    };
    ledger.write(&keeper.path)?;
    Ok(ledger)
}

/// Dates back by a nanosecond what is as new as the newest file of a package whose script names nothing.
///
/// cargo notes that file's name with its date, and where several are as new, which is common after a checkout, takes the one that the
/// directories happen to list first: on another machine another, and the script is run again. Left alone is what would then be
/// no newer than a unit's reference, for which it is newer now.
///
/// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/sources/path.rs>, `last_modified_file`
fn date_back_ties(keeper: &Keeper, records: &Records, whole: &[&Unit], files: &mut BTreeMap<PathBuf, Entry>) {
    let references: HashSet<Nanos> = records
        .units
        .values()
        .flat_map(|unit| unit.references.iter().filter_map(|reference| reference.state.as_ref()).chain(&unit.output))
        .map(|state| nanos(state.mtime))
        .collect();
    let bounds = Bounds::of(keeper);
    let mut settled: HashSet<&Path> = HashSet::new();
    for unit in whole {
        let Some((newest, name)) = unit.newest_file() else { continue };
        let newest = nanos(newest);
        let earlier = newest - 1;
        for package in keeper.tree.named(&unit.package) {
            let is_it = |entry: &Entry| entry.stat.mtime == newest && matches!(entry.state, State::File { .. });
            // Debug and release may have noted different ones; one of the two is run again, once.
            if !files.get(&package.root.join(&name)).is_some_and(is_it) || references.contains(&earlier) || !settled.insert(&package.root) {
                continue;
            }
            for path in keeper.tree.files_of(&package.root).into_iter().filter(|path| *path != package.root.join(&name)) {
                let Some(entry) = files.get_mut(&path).filter(|entry| is_it(entry) && bounds.contain(&path)) else { continue };
                if let Some(stat) = date_back(&path, entry.stat, earlier) {
                    entry.stat = stat;
                }
            }
        }
    }
}

/// Sets a file's date if it is as it was, and the file system can tell the two dates apart.
fn date_back(path: &Path, then: Stat, mtime: Nanos) -> Option<Stat> {
    if stat(path) != Some(then) || set_mtime(path, file_time(mtime)).is_err() {
        return None;
    }
    let now = stat(path)?;
    if now.mtime != mtime {
        set_mtime(path, file_time(then.mtime)).ok()?;
        return stat(path);
    }
    Some(now)
}
