//! Removes environments that nobody uses: all but the newest few of each ABI tag, those used
//! lately, and those that an editable install needs ([`installs`]).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::store::Slot;
use super::{Error, installs};
use crate::fs;
use crate::layout::Layout;
use crate::ui::Ui;

/// What to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    /// The most recently used so many per ABI tag.
    pub newest: usize,
    /// All used within this time.
    pub used_within: Duration,
}

/// An environment that `gc` removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removed {
    pub path: PathBuf,
    /// Why: `unused for 20 days`, `half-made`.
    pub reason: String,
}

/// An environment that would have gone, but for an editable install that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub path: PathBuf,
    /// Such as "`name` in `/venv` needs it".
    pub reason: String,
}

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub removed: Vec<Removed>,
    pub kept: Vec<Kept>,
}

/// Finds what can go, and removes it unless `dry_run`. An environment whose lock is held is left
/// alone.
pub(crate) fn collect(
    layout: &Layout,
    keep: Keep,
    dry_run: bool,
    ui: &Ui,
) -> Result<Collected, Error> {
    let (needed, stale) = needed_by_installs(layout);
    let mut kept = Vec::new();
    let mut complete: BTreeMap<String, Vec<(SystemTime, Slot)>> = BTreeMap::new();
    let mut doomed: Vec<(Slot, String)> = Vec::new();
    let envs = layout.envs();
    let entries = match fs_err::read_dir(&envs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Collected::default());
        }
        Err(source) => return Err(Error::Write { path: envs, source }),
    };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let slot = Slot::new(layout, &name);
        // Not through `Slot::read`, which would count as a use.
        let used = fs_err::metadata(&slot.marker).and_then(|metadata| metadata.modified());
        match used {
            Ok(used) => {
                let abi = name.split('-').next().unwrap_or_default().to_owned();
                complete.entry(abi).or_default().push((used, slot));
            }
            Err(_) => doomed.push((slot, "half-made".to_owned())),
        }
    }
    let now = SystemTime::now();
    for list in complete.values_mut() {
        list.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        for (used, slot) in list.drain(..).skip(keep.newest) {
            let unused = now.duration_since(used).unwrap_or_default();
            if unused <= keep.used_within {
                continue;
            }
            let name = slot.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(reason) = needed.get(&name) {
                kept.push(Kept { path: slot.path, reason: reason.clone() });
            } else {
                doomed.push((slot, format!("unused for {} days", unused.as_secs() / 86400)));
            }
        }
    }
    let mut removed = Vec::new();
    for one in stale {
        if !dry_run {
            match fs_err::remove_file(&one.path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::Write { path: one.path, source });
                }
                _ => {}
            }
        }
        removed.push(one);
    }
    for (slot, reason) in doomed {
        if !dry_run {
            match slot.lock(Some(Duration::ZERO), ui) {
                Ok(_lock) => slot.clear()?,
                Err(Error::LockTimedOut { .. }) => continue,
                Err(error) => return Err(error),
            }
        }
        removed.push(Removed { path: slot.path, reason });
    }
    removed.extend(leftovers(layout, dry_run));
    removed.sort_by(|one, other| one.path.cmp(&other.path));
    kept.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Collected { removed, kept })
}

/// Environments that editable installs need, and by which; and the references of installs that are
/// gone.
fn needed_by_installs(layout: &Layout) -> (BTreeMap<String, String>, Vec<Removed>) {
    let mut needed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut stale = Vec::new();
    for found in installs::all(layout) {
        let Some(reference) = &found.reference else { continue };
        let (name, target) = (&reference.distribution, reference.target.display());
        let environments = found.environments();
        if environments.is_empty() {
            stale.push(Removed {
                path: found.path.clone(),
                reason: format!("`{name}` is no longer installed in `{target}`"),
            });
        }
        for environment in environments {
            needed
                .entry(environment.to_owned())
                .or_default()
                .push(format!("`{name}` in `{target}`"));
        }
    }
    let sentence = |mut who: Vec<String>| {
        who.sort();
        who.dedup();
        format!("{} {} it", who.join(" and "), if who.len() == 1 { "needs" } else { "need" })
    };
    (needed.into_iter().map(|(environment, who)| (environment, sentence(who))).collect(), stale)
}

/// Temporary files and directories that a killed process could not remove; those in use are younger
/// than a day.
fn leftovers(layout: &Layout, dry_run: bool) -> Vec<Removed> {
    const OLD: Duration = Duration::from_secs(86400);
    let now = SystemTime::now();
    let entries_of = |directory: PathBuf| {
        fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok)
    };
    let is_temporary =
        |name: &str| [".tmp-", ".trash-", ".unpack-"].iter().any(|prefix| name.starts_with(prefix));
    let scattered = [
        layout.envs(),
        layout.requests(),
        layout.interpreters(),
        layout.tools(),
        layout.hookd(),
        layout.sdist(),
        layout.installs(),
    ]
    .into_iter()
    .flat_map(entries_of)
    .filter(|entry| is_temporary(&entry.file_name().to_string_lossy()));
    entries_of(layout.tmp())
        .chain(scattered)
        .filter(|entry| {
            let made = entry.metadata().and_then(|metadata| metadata.modified());
            made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > OLD))
        })
        .filter_map(|entry| {
            let path = entry.path();
            if !dry_run {
                let gone = if path.is_dir() {
                    fs::remove_dir_all(&path)
                } else {
                    fs_err::remove_file(&path)
                };
                gone.ok()?;
            }
            Some(Removed { path, reason: "left behind by a killed process".to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Verbosity;

    #[test]
    fn keeps_the_newest_and_the_used_and_removes_the_half_made() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path().join("r")).unwrap();
        let day = 86400;
        let add = |name: &str, days: u64| {
            fs_err::create_dir_all(layout.envs().join(name)).unwrap();
            let marker = Slot::new(&layout, name).marker;
            fs_err::write(&marker, "{}").unwrap();
            let time = SystemTime::now() - Duration::from_secs(days * day);
            filetime::set_file_mtime(marker, filetime::FileTime::from_system_time(time)).unwrap();
        };
        for (name, days) in
            [("cp312-a", 20), ("cp312-b", 30), ("cp312-c", 40), ("cp313-d", 50), ("cp312-e", 1)]
        {
            add(name, days);
        }
        fs_err::create_dir_all(layout.envs().join("cp312-half")).unwrap();
        let keep = Keep { newest: 2, used_within: Duration::from_secs(25 * day) };
        let ui = Ui::new(Verbosity::Quiet, None);
        let names = |removed: &[Removed]| -> Vec<String> {
            removed
                .iter()
                .map(|one| {
                    format!("{}: {}", one.path.file_name().unwrap().to_string_lossy(), one.reason)
                })
                .collect()
        };
        let expected =
            ["cp312-b: unused for 30 days", "cp312-c: unused for 40 days", "cp312-half: half-made"];
        assert_eq!(names(&collect(&layout, keep, true, &ui).unwrap().removed), expected);
        assert!(layout.envs().join("cp312-b").exists(), "a dry run removes nothing");
        assert_eq!(names(&collect(&layout, keep, false, &ui).unwrap().removed), expected);
        let left: std::collections::BTreeSet<String> = fs_err::read_dir(layout.envs())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(left.into_iter().collect::<Vec<_>>(), ["cp312-a", "cp312-e", "cp313-d"]);
    }
}
