//! Which target directories cargo may believe: those that have lived together with this checkout.
//!
//! cargo takes a crate for fresh if none of its sources has an mtime after that of what was built. That holds while a checkout
//! and a target directory grow up together. It does not where one of them came from elsewhere: a cache, `COPY`, `rsync`, `tar`,
//! another commit's target directory on a self-hosted runner, a tool that dates sources by their commits.
//!
//! So a random token stands in each target directory and in our directory. The one in the target directory also names the inode
//! and the ctime of the other file, which no copy and no archive keeps: whatever is saved and restored, the pair does not agree
//! afterwards. Where it does not, what makes local packages fresh is removed, in every profile, for every target, in either
//! layout of cargo; then cargo calls rustc for them, and the wrapper decides by content. The same is done if any source was
//! given an older mtime since the pair was written, which its ctime tells.
//!
//! The root's own inode and times are no identity: inodes are used again, and the times move with every file made in it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::{digest, fs};

/// The file in a target directory.
const IN_TARGET: &str = ".pyenv-build-token.json";

/// In a target directory: what its other half in our directory is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Token {
    token: String,
    /// Of the other file: its inode, and its ctime in nanoseconds.
    inode: u64,
    ctime: i128,
    /// Nanoseconds since 1970: sources that were dated back after this are not believed.
    since: i128,
}

/// An mtime that is so many nanoseconds before the ctime was not set by writing. It may lie before the rustc call that read what
/// was there then, even if it is after the beginning of the last command of ours.
#[cfg(unix)]
const AT_ONCE: i128 = 20_000_000;

/// A package whose sources can be edited.
#[derive(Debug, Clone)]
pub struct LocalPackage {
    pub name: String,
    pub directory: PathBuf,
}

/// Why a target directory was not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// It has no token, or another checkout's.
    Foreign,
    /// This source has an mtime from before it was changed.
    DatedBack(PathBuf),
}

/// Sees to it that cargo finds no local package fresh in a target directory that did not grow up with this checkout, and
/// binds the two from now on. A directory that is not there yet is made.
pub fn settle(layout: &Layout, target: &Path, packages: &[LocalPackage]) -> io::Result<Option<Distrust>> {
    let now = nanos(SystemTime::now());
    let distrust = if target.is_dir() {
        match believed_since(layout, target) {
            None => has_local_units(target, packages).then_some(Distrust::Foreign),
            Some(since) => dated_back(packages, target, since).map(Distrust::DatedBack),
        }
    } else {
        // As cargo marks what it makes itself.
        fs::write_atomic(&target.join("CACHEDIR.TAG"), crate::layout::SIGNATURE.as_bytes())?;
        None
    };
    if distrust.is_some() {
        remove_local_units(target, packages)?;
    }
    bind(layout, target, now)?;
    Ok(distrust)
}

/// The time since which the pair of tokens has agreed; `None`: it does not.
fn believed_since(layout: &Layout, target: &Path) -> Option<i128> {
    let token: Token = serde_json::from_slice(&fs_err::read(target.join(IN_TARGET)).ok()?).ok()?;
    let other = ours(layout, target);
    let (inode, ctime) = identity(&other)?;
    (fs_err::read_to_string(&other).ok()? == token.token && (token.inode, token.ctime) == (inode, ctime)).then_some(token.since)
}

fn bind(layout: &Layout, target: &Path, since: i128) -> io::Result<()> {
    let other = ours(layout, target);
    if let Some(token) = fs_err::read(target.join(IN_TARGET)).ok().and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok())
        && believed_since(layout, target).is_some()
    {
        return write_token(target, &Token { since, ..token });
    }
    let token = random_token();
    fs::write_atomic(&other, token.as_bytes())?;
    // Without inodes and ctimes nothing is ever believed: then rustc is asked each time, and judged by content.
    let Some((inode, ctime)) = identity(&other) else { return Ok(()) };
    write_token(target, &Token { token, inode, ctime, since })
}

fn write_token(target: &Path, token: &Token) -> io::Result<()> {
    fs::write_atomic(&target.join(IN_TARGET), &serde_json::to_vec(token).expect("our own plain data always serialises"))
}

/// The other half of the pair.
fn ours(layout: &Layout, target: &Path) -> PathBuf {
    layout.targets().join(digest::short_of_path(target))
}

fn random_token() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}-{}", random(), random(), nanos(SystemTime::now()))
}

fn nanos(time: SystemTime) -> i128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().cast_signed())
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, i128)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs_err::symlink_metadata(path).ok()?;
    Some((metadata.ino(), ctime(&metadata)))
}

/// Windows has neither without asking for more than the standard library does; when it was made is nearest.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<(u64, i128)> {
    let metadata = fs_err::symlink_metadata(path).ok()?;
    Some((metadata.len(), nanos(metadata.created().ok()?)))
}

#[cfg(unix)]
fn ctime(metadata: &std::fs::Metadata) -> i128 {
    use std::os::unix::fs::MetadataExt as _;
    i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
}

/// A file of a local package that was changed after `since` and has an mtime from before; or a directory: one that is moved
/// keeps its mtime, and all that is in it keeps both times; or a link that leads to something older now.
#[cfg(unix)]
fn dated_back(packages: &[LocalPackage], target: &Path, since: i128) -> Option<PathBuf> {
    let roots: BTreeSet<&Path> = packages.iter().map(|package| package.directory.as_path()).collect();
    for root in &roots {
        let nested = |path: &Path| path != *root && roots.contains(path);
        let walk = walkdir::WalkDir::new(root).into_iter();
        let walk = walk.filter_entry(|entry| entry.depth() == 0 || !(is_made_by_tools(entry.path()) || nested(entry.path()) || entry.path() == target));
        for entry in walk.filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else { continue };
            if ctime(&metadata) <= since {
                continue;
            }
            // Of a link cargo takes the mtime of what is behind it, which may be older than the link.
            let behind = if entry.path_is_symlink() { fs_err::metadata(entry.path()).ok() } else { None };
            let mtime = behind.as_ref().unwrap_or(&metadata).modified().map_or(0, nanos);
            if mtime < since || ctime(&metadata) - mtime > AT_ONCE {
                return Some(entry.into_path());
            }
        }
    }
    None
}

#[cfg(not(unix))]
fn dated_back(_packages: &[LocalPackage], _target: &Path, _since: i128) -> Option<PathBuf> {
    None
}

/// Directories in which tools make and copy files, with whatever mtimes: nothing there is a source of a crate.
fn is_made_by_tools(path: &Path) -> bool {
    const NAMES: &[&str] = &["__pycache__", "build", "dist", "node_modules", "target", "venv"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.is_dir() && (name.starts_with('.') || name.ends_with(".egg-info") || NAMES.contains(&name.as_ref()) || path.join("CACHEDIR.TAG").is_file())
}

/// Whether cargo has any record of a local package there.
fn has_local_units(target: &Path, packages: &[LocalPackage]) -> bool {
    !local_units(target, packages).is_empty()
}

/// Removes what cargo knows of local packages, so that it takes none for fresh.
fn remove_local_units(target: &Path, packages: &[LocalPackage]) -> io::Result<()> {
    local_units(target, packages).iter().try_for_each(|path| fs::remove_dir_all(path))
}

/// The directories with cargo's records of local packages: `.fingerprint/<package>-<hash>` in every profile and for every
/// target, and `build/<package>/<hash>/fingerprint` in cargo's newer layout.
fn local_units(target: &Path, packages: &[LocalPackage]) -> Vec<PathBuf> {
    const DEEP: usize = 6;
    const LEAVES: &[&str] = &["deps", "doc", "examples", "incremental", "package", "wheels"];
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut found = Vec::new();
    let mut walk = walkdir::WalkDir::new(target).max_depth(DEEP).into_iter();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy();
        if name == ".fingerprint" {
            walk.skip_current_dir();
            found.extend(directories(entry.path()).filter(|path| package_of(path).is_some_and(|name| names.contains(name.as_str()))));
        } else if name == "build" {
            walk.skip_current_dir();
            let of_packages = directories(entry.path()).filter(|path| path.file_name().is_some_and(|name| names.contains(name.to_string_lossy().as_ref())));
            let units = of_packages.flat_map(|path| directories(&path).collect::<Vec<_>>());
            found.extend(units.map(|unit| unit.join("fingerprint")).filter(|path| path.is_dir()));
        } else if LEAVES.contains(&name.as_ref()) {
            walk.skip_current_dir();
        }
    }
    found
}

fn directories(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs_err::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// `name` of `name-0123456789abcdef`.
fn package_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (name, hash) = name.rsplit_once('-')?;
    (hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        layout: Layout,
        target: PathBuf,
        packages: Vec<LocalPackage>,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("w");
            let layout = Layout::open(root.join(".pyenv-build")).unwrap();
            let target = root.join("target");
            for path in [
                "debug/.fingerprint/app-0123456789abcdef/dep-bin-app",
                "release/.fingerprint/app-0123456789abcdef/x",
                "x86_64-unknown-linux-gnu/release/.fingerprint/app-0123456789abcdef/x",
                "llvm-cov-target/debug/.fingerprint/app-0123456789abcdef/x",
                "debug/build/app/0123456789abcdef/fingerprint/x",
                "debug/.fingerprint/app-extra-0123456789abcdef/x",
                "debug/.fingerprint/serde-0123456789abcdef/x",
                "debug/build/serde/0123456789abcdef/fingerprint/x",
            ] {
                fs::write_atomic(&target.join(path), b"").unwrap();
            }
            fs::write_atomic(&root.join("src/main.rs"), b"").unwrap();
            let packages = vec![LocalPackage { name: "app".to_owned(), directory: root }];
            Self { dir, layout, target, packages }
        }

        fn settle(&self) -> Option<Distrust> {
            settle(&self.layout, &self.target, &self.packages).unwrap()
        }

        fn is_cold(&self) -> bool {
            !has_local_units(&self.target, &self.packages)
        }

        fn source(&self) -> PathBuf {
            self.dir.path().join("w/src/main.rs")
        }
    }

    #[test]
    fn nothing_local_is_left_in_a_foreign_directory_and_nothing_else_is_touched() {
        let world = World::new();
        assert_eq!(local_units(&world.target, &world.packages).len(), 5);
        assert_eq!(world.settle(), Some(Distrust::Foreign));
        assert!(world.is_cold());
        for kept in ["debug/.fingerprint/app-extra-0123456789abcdef/x", "debug/.fingerprint/serde-0123456789abcdef/x", "debug/build/serde/0123456789abcdef/fingerprint/x"] {
            assert!(world.target.join(kept).is_file(), "{kept}");
        }
        assert_eq!(world.settle(), None, "they live together now");
    }

    #[test]
    #[cfg(unix)]
    fn a_pair_that_was_copied_does_not_agree() {
        let world = World::new();
        world.settle();
        let unit = world.target.join("debug/.fingerprint/app-0123456789abcdef");
        fs_err::create_dir_all(&unit).unwrap();
        assert_eq!(world.settle(), None);
        let ours = ours(&world.layout, &world.target);
        let text = fs_err::read(&ours).unwrap();
        fs_err::remove_file(&ours).unwrap();
        fs_err::write(&ours, text).unwrap();
        assert_eq!(world.settle(), Some(Distrust::Foreign), "as tar would restore it");
        assert!(world.is_cold());
    }

    #[test]
    #[cfg(unix)]
    fn a_source_that_was_dated_back_is_noticed() {
        let world = World::new();
        world.settle();
        fs_err::create_dir_all(world.target.join("debug/.fingerprint/app-0123456789abcdef")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs_err::write(world.source(), "edited").unwrap();
        assert_eq!(world.settle(), None, "cargo sees that by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs_err::write(world.source(), "edited again").unwrap();
        filetime::set_file_mtime(world.source(), filetime::FileTime::from_unix_time(1_600_000_000, 0)).unwrap();
        assert_eq!(world.settle(), Some(Distrust::DatedBack(world.source())));
        assert!(world.is_cold());
        assert_eq!(world.settle(), None);
    }
}
