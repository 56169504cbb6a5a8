//! Whether an earlier call's outputs can be reused for this one, and if not, the difference.

use std::path::{Path, PathBuf};

use super::call::Call;
use super::digests::Digests;
use super::entry::{ABSENT, After, Before, Difference, Entry, PRESENT, compare, shown};
use super::linked::candidates;
use super::store::Store;
use super::tree;
use crate::env_vars;

/// At most so many entries of a unit are looked at for the reason of a miss.
const LOOKED_AT: usize = 16;

#[derive(Debug)]
pub enum Verdict {
    /// Everything that the call would read is what it was.
    Same {
        entry: Box<Entry>,
        path: PathBuf,
    },
    Different(Difference),
}

/// Judges a call by the entries of its unit.
pub fn judge(
    call: &Call,
    before: &Before,
    unit: &str,
    store: &Store,
    digests: &mut Digests,
) -> Verdict {
    let key = before.key();
    let paths = store.entries(unit);
    let (same, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
        paths.iter().partition(|path| has_key(path, &key));
    let mut nearest = None;
    for path in same {
        let Some(entry) = Store::read(path) else { continue };
        if entry.before != *before {
            continue;
        }
        let difference = changed(&entry.after, digests).or_else(|| unfit_messages(call, &entry));
        match difference {
            None => return Verdict::Same { entry: Box::new(entry), path: path.clone() },
            Some(difference) => nearest = nearest.or(Some(difference)),
        }
    }
    let found = nearest.or_else(|| {
        let entries = others.into_iter().take(LOOKED_AT).filter_map(|path| Store::read(path));
        let differences = entries.filter_map(|entry| compare(&entry.before, before));
        differences.min_by_key(distance)
    });
    Verdict::Different(found.unwrap_or(Difference::First))
}

fn has_key(path: &Path, key: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&key[..32]))
}

/// The less an entry has to do with a call, the larger.
fn distance(difference: &Difference) -> usize {
    match difference {
        Difference::Arguments { old, new } => 10 + old.len() + new.len(),
        Difference::Compiler | Difference::Linker => 100,
        Difference::Directory { .. } => 1000,
        Difference::First => usize::MAX,
        _ => 0,
    }
}

/// What has changed of that which only the call itself found out.
fn changed(after: &After, digests: &mut Digests) -> Option<Difference> {
    for (name, old) in &after.variables {
        let new = env_vars::raw(name).map(|value| shown(name, &value.to_string_lossy()));
        if new != *old {
            return Some(Difference::Variable { name: name.clone(), old: old.clone(), new });
        }
    }
    for (path, state) in &after.files {
        let is_same = match state.as_str() {
            ABSENT => !path.exists() && fs_err::symlink_metadata(path).is_err(),
            PRESENT => path.exists(),
            digest => digests.file(path).as_ref().is_some_and(|now| now == digest),
        };
        if !is_same {
            return Some(Difference::File { path: path.clone() });
        }
    }
    for (path, then) in &after.native {
        let now = tree::libraries_in(path).map(|files| tree::digest_of(&files, digests));
        if now.as_ref() != Some(then) {
            return Some(Difference::File { path: path.clone() });
        }
    }
    for (path, then) in &after.crates {
        if tree::digest_of(&tree::crates_in(path), digests) != *then {
            return Some(Difference::File { path: path.clone() });
        }
    }
    for (name, before) in &after.found {
        for directory in after.search.iter().take(*before) {
            if candidates(directory, name)
                .iter()
                .any(|path| path.exists() && !after.files.contains_key(path))
            {
                return Some(Difference::Library {
                    name: name.clone(),
                    directory: directory.clone(),
                });
            }
        }
    }
    None
}

/// Messages are kept as rustc printed them, for one width, colour and format.
fn unfit_messages(call: &Call, entry: &Entry) -> Option<Difference> {
    if entry.has_diagnostics() {
        return (entry.presentation != call.presentation).then_some(Difference::Messages);
    }
    let was_announced = entry
        .presentation
        .iter()
        .any(|argument| argument.starts_with("--json=") && argument.contains("artifacts"));
    (call.announces_artifacts() && !was_announced).then_some(Difference::Messages)
}
