//! Which target directories cargo may trust: those that were always used with this checkout.
//!
//! cargo considers a crate fresh if none of its sources has a newer mtime than its artifacts. This
//! is right as long as the checkout and the target directory are used together. It is wrong if one
//! of them came from elsewhere: a cache, `COPY`, `rsync`, `tar`, a different commit's target
//! directory on a self-hosted runner, a tool that sets mtimes to commit dates.
//!
//! So each target directory and our directory contain the same random token. The file in the target
//! directory also records the inode and the ctime of the other file, which no copy and no archive
//! preserves: after a save and restore, the pair does not match. If it does not match, we remove
//! the fingerprints of local packages, in every profile, for every target, in either layout of
//! cargo; then cargo calls rustc for them, and the wrapper decides by content.
//!
//! A checkout can also be replaced while the pair stays: layers of container images, volumes, tools
//! that set mtimes to commit dates. So the pair records each source's inode, size, mtime and ctime.
//! cargo itself notices a source that is newer than the pair; an older one must match the record.
//!
//! The root's own inode and times do not identify it: inodes are reused, and the times change with
//! every file that is created in it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::{digest, fs, interrupt, token};

/// The file in a target directory.
const IN_TARGET: &str = ".pyenv-build-token.json";

/// An mtime that is so many nanoseconds before the ctime was not set by writing. It may lie before
/// the rustc call that read what was there then, even if it is after the beginning of the last
/// command of ours.
const AT_ONCE: i128 = 20_000_000;

/// In a target directory: what its other half in our directory is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Token {
    secret: String,
    /// The root of the workspace: several may share our directory and a target directory.
    #[serde(default)]
    checkout: PathBuf,
    /// Of the other file: its inode, and its ctime in nanoseconds.
    inode: u64,
    ctime: i128,
    /// Nanoseconds since 1970: sources that are older must be known.
    since: i128,
}

/// A package whose sources can be edited.
#[derive(Debug, Clone)]
pub(crate) struct LocalPackage {
    pub name: String,
    pub directory: PathBuf,
}

/// Why a target directory was not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// It has no token, or another checkout's.
    Foreign,
    /// This source is older than the pair, and was not there when that was made.
    OldSource(PathBuf),
    /// There is more below the workspace than can be looked at before each build: a link to a whole
    /// disk, say.
    TooMuch,
}

/// What was found, and done.
#[derive(Debug)]
pub(crate) struct Settled {
    pub distrust: Option<Distrust>,
    /// More target directories in the workspace with local packages in them.
    pub others: Vec<PathBuf>,
}

/// What a target directory must have grown up with.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The root of the workspace that the command is for.
    pub checkout: &'a Path,
    /// The root of the workspace that is built: the same, or a neighbour.
    pub workspace: &'a Path,
    pub packages: &'a [LocalPackage],
}

/// Sees to it that cargo finds no local package fresh in a target directory that did not grow up
/// with this checkout, and binds the two from now on. A directory that is not there yet is made.
pub(crate) fn settle(layout: &Layout, target: &Path, place: &Place<'_>) -> io::Result<Settled> {
    let &Place { checkout, workspace, packages } = place;
    // The two halves are written one after the other, and what is removed must not be what another
    // of us has begun to build.
    let wait = fs::LockWait {
        timeout: None,
        waiting: &|_| {},
        interrupted: &|| interrupt::pending().is_some(),
    };
    let _turn = fs::Lock::exclusive(&ours(layout, target).with_extension("lock"), &wait)
        .map_err(io::Error::other)?;
    let now = nanos(SystemTime::now());
    let (sources, others) = sources(workspace, packages, target);
    let distrust = if target.is_dir() {
        match (believed(layout, target, checkout), &sources) {
            (_, None) => (!local_units(target, packages).is_empty()).then_some(Distrust::TooMuch),
            (None, _) => (!local_units(target, packages).is_empty()).then_some(Distrust::Foreign),
            (Some((since, known)), Some(sources)) => {
                let is_old = |source: &&Source| {
                    source.mtime < since || source.ctime - source.mtime > AT_ONCE
                };
                let strange =
                    sources.iter().filter(is_old).find(|source| !known.contains(&source.stamp));
                strange.map(|source| Distrust::OldSource(source.path.clone()))
            }
        }
    } else {
        // As cargo marks what it makes itself.
        fs::write_atomic(&target.join("CACHEDIR.TAG"), crate::layout::SIGNATURE.as_bytes())?;
        None
    };
    if distrust.is_some() {
        let units = local_units(target, packages);
        let _held = hold_cargo_off(&units);
        for unit in units {
            fs::remove_dir_all(&unit)?;
            // What its build script has made: make, CMake and the like believe mtimes there.
            if let Some(made) = directory_of_script(&unit) {
                fs::remove_dir_all(&made)?;
            }
        }
    }
    match sources {
        Some(sources) => bind(layout, target, checkout, now, &sources)?,
        None => drop(fs_err::remove_file(target.join(IN_TARGET))),
    }
    Ok(Settled { distrust, others })
}

/// Since when the pair of tokens has agreed, and the sources that it knows; `None`: it does not
/// agree.
fn believed(layout: &Layout, target: &Path, checkout: &Path) -> Option<(i128, BTreeSet<u64>)> {
    let token: Token = serde_json::from_slice(&fs_err::read(target.join(IN_TARGET)).ok()?).ok()?;
    let other = ours(layout, target);
    if identity(&other)? != (token.inode, token.ctime) || token.checkout != checkout {
        return None;
    }
    let text = fs_err::read_to_string(&other).ok()?;
    let mut lines = text.lines();
    if lines.next() != Some(&token.secret) {
        return None;
    }
    Some((
        token.since,
        lines.map(|line| u64::from_str_radix(line, 16)).collect::<Result<_, _>>().ok()?,
    ))
}

fn bind(
    layout: &Layout,
    target: &Path,
    checkout: &Path,
    since: i128,
    sources: &[Source],
) -> io::Result<()> {
    use std::fmt::Write as _;
    let stamps: BTreeSet<u64> = sources.iter().map(|source| source.stamp).collect();
    let write_token = |token: &Token| {
        fs::write_atomic(
            &target.join(IN_TARGET),
            &serde_json::to_vec(token).expect("our own plain data always serialises"),
        )
    };
    let other = ours(layout, target);
    if let Some((_, known)) =
        believed(layout, target, checkout).filter(|(_, known)| *known == stamps)
        && let Some(token) = fs_err::read(target.join(IN_TARGET))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok())
    {
        drop(known);
        return write_token(&Token { since, ..token });
    }
    let secret = token::random();
    let mut text = format!("{secret}\n");
    for stamp in stamps {
        let _ = writeln!(text, "{stamp:016x}");
    }
    fs::write_atomic(&other, text.as_bytes())?;
    // Without inodes and ctimes nothing is ever believed: then rustc is asked each time, and judged
    // by content.
    let Some((inode, ctime)) = identity(&other) else { return Ok(()) };
    write_token(&Token { secret, checkout: checkout.to_path_buf(), inode, ctime, since })
}

/// The other half of the pair.
fn ours(layout: &Layout, target: &Path) -> PathBuf {
    layout.targets().join(digest::short_of_path(&fs::real(target)))
}

fn nanos(time: SystemTime) -> i128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().cast_signed())
}

/// What tells a file from another at the same path: its inode and ctime.
fn identity(path: &Path) -> Option<(u64, i128)> {
    Some(identity_of(&fs_err::symlink_metadata(path).ok()?))
}

#[cfg(unix)]
fn identity_of(metadata: &std::fs::Metadata) -> (u64, i128) {
    use std::os::unix::fs::MetadataExt as _;
    (
        metadata.ino(),
        i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
    )
}

/// Windows has neither without asking for more than the standard library does; when it was made is
/// nearest.
#[cfg(not(unix))]
fn identity_of(metadata: &std::fs::Metadata) -> (u64, i128) {
    (metadata.len(), metadata.created().map_or(0, nanos))
}

/// A file that a crate may be made of.
struct Source {
    path: PathBuf,
    /// These are of what is behind it where it is a link, as cargo has it.
    mtime: i128,
    ctime: i128,
    /// Of its path and of everything that changes with its content, unless somebody means to hide
    /// that.
    stamp: u64,
}

/// More files than this are not looked at: it takes longer than asking the wrapper.
const TOO_MANY: usize = 200_000;

/// All files in the workspace and in local packages next to it, but for what tools make, and the
/// other target directories there. `None`: they are too many.
fn sources(
    workspace: &Path,
    packages: &[LocalPackage],
    target: &Path,
) -> (Option<Vec<Source>>, Vec<PathBuf>) {
    // A package next to the workspace, behind a link, or in a directory that is otherwise left out.
    let is_apart = |directory: &&Path| {
        let within = directory
            .ancestors()
            .take_while(|path| *path != workspace && path.starts_with(workspace));
        !directory.starts_with(workspace) || within.into_iter().any(fs::is_made_by_tools)
    };
    let roots: BTreeSet<&Path> = packages
        .iter()
        .map(|package| package.directory.as_path())
        .filter(is_apart)
        .chain([workspace])
        .collect();
    let (mut found, mut seen) = (Vec::new(), 0);
    let others = RefCell::new(Vec::new());
    for root in roots {
        let walk = fs::walk_with_links(root, |entry| {
            if !entry.file_type().is_dir() {
                return true;
            }
            let is_made = entry.path() == target || fs::is_made_by_tools(entry.path());
            if is_made
                && root == workspace
                && is_other_target(entry.path(), target, workspace)
                && !local_units(entry.path(), packages).is_empty()
            {
                others.borrow_mut().push(entry.path().to_path_buf());
            }
            !is_made
        });
        for entry in walk {
            seen += 1;
            if seen > TOO_MANY || interrupt::pending().is_some() {
                return (None, Vec::new());
            }
            let Some(entry) = entry.ok().filter(|entry| !entry.file_type().is_dir()) else {
                continue;
            };
            let Ok(metadata) = entry.metadata() else { continue };
            let mtime = metadata.modified().map_or(0, nanos);
            let (inode, ctime) = identity_of(&metadata);
            let mut hasher = digest::Hasher::default();
            hasher.field(entry.path().as_os_str().as_encoded_bytes());
            for number in [i128::from(inode), ctime, mtime, i128::from(metadata.len())] {
                hasher.field(&number.to_le_bytes());
            }
            let stamp = u64::from_str_radix(&hasher.finish()[..16], 16).expect("it is hexadecimal");
            found.push(Source { path: entry.into_path(), mtime, ctime, stamp });
        }
    }
    (Some(found), others.into_inner())
}

/// Whether a directory in the workspace is a target directory, a different one than `target`, and
/// not that of another checkout: a worktree, a project with a directory of ours of its own.
fn is_other_target(directory: &Path, target: &Path, workspace: &Path) -> bool {
    let is_apart =
        |above: &Path| [".git", ".pyenv-build"].iter().any(|name| above.join(name).exists());
    let mut between = directory.ancestors().skip(1).take_while(|above| *above != workspace);
    fs::is_target_directory(directory)
        && !between.any(is_apart)
        && fs::real(directory) != fs::real(target)
}

/// Takes cargo's own locks of the profiles that these units are in, so that none is at work there.
/// A cargo that does not end is not waited for for ever: it may be waiting for us.
fn hold_cargo_off(units: &[PathBuf]) -> Vec<std::fs::File> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let profiles: BTreeSet<&Path> =
        units.iter().flat_map(|unit| unit.ancestors().skip(1).take(4)).collect();
    let files = profiles
        .into_iter()
        .map(|profile| profile.join(".cargo-lock"))
        .filter(|file| file.is_file());
    let opened =
        files.filter_map(|file| std::fs::OpenOptions::new().read(true).write(true).open(file).ok());
    let start = Instant::now();
    let mut held = Vec::new();
    for file in opened {
        while matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
            && start.elapsed() < PATIENCE
            && interrupt::pending().is_none()
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        held.push(file);
    }
    held
}

/// The directories with cargo's records of local packages: `.fingerprint/<package>-<hash>` in every
/// profile and for every target, and `build/<package>/<hash>/fingerprint` in cargo's newer layout.
fn local_units(target: &Path, packages: &[LocalPackage]) -> Vec<PathBuf> {
    const DEEP: usize = 6;
    const LEAVES: &[&str] = &["deps", "doc", "examples", "incremental", "package", "wheels"];
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut found = Vec::new();
    // A profile's directory may be a link to another disk.
    let mut walk = walkdir::WalkDir::new(target).follow_links(true).max_depth(DEEP).into_iter();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_dir() {
            continue;
        }
        // The target directory itself may have any name.
        if entry.depth() == 0 {
            continue;
        }
        let name = entry.file_name().to_string_lossy();
        if name == ".fingerprint" {
            walk.skip_current_dir();
            found.extend(
                directories(entry.path()).filter(|path| {
                    package_of(path).is_some_and(|name| names.contains(name.as_str()))
                }),
            );
        } else if name == "build" {
            walk.skip_current_dir();
            let of_packages = directories(entry.path()).filter(|path| {
                path.file_name().is_some_and(|name| names.contains(name.to_string_lossy().as_ref()))
            });
            let units = of_packages.flat_map(|path| directories(&path).collect::<Vec<_>>());
            found.extend(units.map(|unit| unit.join("fingerprint")).filter(|path| path.is_dir()));
        } else if LEAVES.contains(&name.as_ref()) && !is_of_profile(entry.path()) {
            walk.skip_current_dir();
        }
    }
    found
}

/// Where the build script of such a unit has its files, `OUT_DIR` among them, if it is one's:
/// `build/<package>-<hash>` for `.fingerprint/<package>-<hash>`, and in cargo's newer layout the
/// directory that the fingerprint lies in.
fn directory_of_script(unit: &Path) -> Option<PathBuf> {
    let above = unit.parent()?;
    if above.file_name()? == ".fingerprint" {
        return Some(above.with_file_name("build").join(unit.file_name()?));
    }
    above.join("run").is_dir().then(|| above.to_path_buf())
}

/// Whether it is the directory of a profile, which may have almost any name: `wheels`, `deps`.
fn is_of_profile(directory: &Path) -> bool {
    [".fingerprint", "build"].iter().any(|name| directory.join(name).is_dir())
}

fn directories(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs_err::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
}

/// `name` of `name-0123456789abcdef`.
fn package_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (name, hash) = name.rsplit_once('-')?;
    (hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
