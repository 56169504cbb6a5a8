//! The one door to files: files are written to a temporary name and renamed, locks name their
//! holder, links are resolved without Windows' verbatim prefix.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use filetime::FileTime;

/// Writes a file so that readers see the old content or the new one, never a part, even across a
/// crash.
pub(crate) fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().expect("a file has a parent directory");
    fs_err::create_dir_all(parent)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(parent)?;
    file.write_all(content)?;
    file.as_file().sync_data()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // tempfile makes files private; ours are as readable as any other file of the project.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// [`write_atomic`], unless the file has this content already: equal bytes keep their mtime.
///
/// Returns whether it wrote.
pub(crate) fn write_if_changed(path: &Path, content: &[u8]) -> io::Result<bool> {
    if fs_err::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    write_atomic(path, content)?;
    Ok(true)
}

/// The path with all links resolved.
pub(crate) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    Ok(dunce::simplified(&fs_err::canonicalize(path)?).to_path_buf())
}

/// The same, as far as that can be: else the path as it is.
pub(crate) fn real(path: &Path) -> PathBuf {
    canonicalize(path).unwrap_or_else(|_error| path.to_path_buf())
}

/// Makes a path absolute and drops `.` and `..`, without touching links.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

/// Removes a directory tree; one that is not there is as good as removed.
///
/// It is renamed first: a reader sees it whole or not at all, and on Windows files that are still
/// open do not keep the name occupied.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn remove_dir_all(path: &Path) -> io::Result<()> {
    let parent = path.parent().expect("we never remove a root directory");
    let doomed = tempfile::Builder::new().prefix(".trash-").tempdir_in(parent);
    let target = match doomed {
        Ok(ref dir) if std::fs::rename(path, dir.path().join("x")).is_ok() => {
            dir.path().to_path_buf()
        }
        _ => path.to_path_buf(),
    };
    for _ in 0..3 {
        match std::fs::remove_dir_all(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Someone (a virus scanner, a dying process) still writes into it.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => {
                return other.map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("failed to remove `{}`: {error}", path.display()),
                    )
                });
            }
        }
    }
    fs_err::remove_dir_all(target)
}

/// Directories in which tools make and copy files, with whatever mtimes: nothing there is a source
/// of a crate.
pub(crate) fn is_made_by_tools(path: &Path) -> bool {
    const NAMES: &[&str] = &[
        ".git",
        ".hg",
        ".mypy_cache",
        ".nox",
        ".pyenv-build",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".venv",
        "__pycache__",
        "node_modules",
    ];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_in =
        |directory: &Path, names: &[&str]| names.iter().any(|name| directory.join(name).exists());
    let is_of_setuptools = || {
        let entries: Vec<_> =
            fs_err::read_dir(path).into_iter().flatten().filter_map(Result::ok).collect();
        let is_made = |name: &str| {
            name == "lib" || ["lib.", "bdist.", "temp."].iter().any(|start| name.starts_with(start))
        };
        let has_source = entries.iter().any(|entry| {
            entry.path().extension().is_some_and(|ending| ending == "rs" || ending == "toml")
        });
        // `src/build` is a module.
        let is_of_project = path
            .parent()
            .is_some_and(|parent| is_in(parent, &["pyproject.toml", "setup.cfg", "setup.py"]));
        name == "build"
            && is_of_project
            && !has_source
            && entries
                .iter()
                .any(|entry| entry.path().is_dir() && is_made(&entry.file_name().to_string_lossy()))
    };
    NAMES.contains(&name.as_ref())
        || name.ends_with(".egg-info")
        || is_in(path, &["CACHEDIR.TAG", "pyvenv.cfg"])
        || is_target_directory(path)
        || is_of_setuptools()
}

/// Whether a directory is a target directory of cargo's, by what cargo writes there: the tag is
/// missing where somebody else has made the directory.
pub(crate) fn is_target_directory(path: &Path) -> bool {
    [".rustc_info.json", "debug/.fingerprint", "release/.fingerprint"]
        .iter()
        .any(|name| path.join(name).exists())
}

/// Gives everything below `root`, and `root` itself, the same modification time. Links are set, not
/// followed.
pub(crate) fn set_mtimes(root: &Path, mtime: FileTime) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(root).contents_first(true) {
        let entry = entry?;
        filetime::set_symlink_file_times(entry.path(), mtime, mtime).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("failed to set the mtime of `{}`: {error}", entry.path().display()),
            )
        })?;
    }
    Ok(())
}

/// An exclusive lock on a file, released when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: fs_err::File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("failed to lock `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("gave up waiting for `{}` after {}, held by {holder}", path.display(), humantime::format_duration(*waited))]
    TimedOut { path: PathBuf, holder: String, waited: Duration },
    #[error("interrupted while waiting for `{}`", path.display())]
    Interrupted { path: PathBuf },
}

/// How to wait for a lock.
pub(crate) struct LockWait<'a> {
    /// Give up after this long; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// Told once, after the first second, who holds it.
    pub waiting: &'a dyn Fn(&str),
    /// Asked again and again: stop waiting?
    pub interrupted: &'a dyn Fn() -> bool,
}

impl Lock {
    /// Takes the lock, and waits while another process holds it. The file names the holder.
    pub(crate) fn exclusive(path: &Path, wait: &LockWait<'_>) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io { path: path.to_path_buf(), source };
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).map_err(io_error)?;
        }
        let mut file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_error)?;
        let start = Instant::now();
        let mut told = false;
        loop {
            match file.file().try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(source)) => return Err(io_error(source)),
            }
            if (wait.interrupted)() {
                return Err(LockError::Interrupted { path: path.to_path_buf() });
            }
            let waited = start.elapsed();
            if wait.timeout.is_some_and(|timeout| waited > timeout) {
                let holder = holder(&mut file);
                return Err(LockError::TimedOut {
                    path: path.to_path_buf(),
                    holder,
                    waited: Duration::from_secs(waited.as_secs()),
                });
            }
            if !told && waited > Duration::from_secs(1) {
                told = true;
                (wait.waiting)(&holder(&mut file));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Only a courtesy to those who wait: losing it loses nothing.
        let _ = file.set_len(0);
        let _ = file.seek(io::SeekFrom::Start(0));
        let _ = write!(file, "process {}", std::process::id());
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut fs_err::File) -> String {
    let mut text = String::new();
    let _ = file.seek(io::SeekFrom::Start(0));
    let _ = file.take(100).read_to_string(&mut text);
    if text.is_empty() { "another process".to_owned() } else { text }
}

/// All below a directory, with links followed; a directory that links lead to is entered once, for
/// directories that link to each other have more paths than anybody can walk. By names, so that it
/// is the same link each time. `is_wanted` says which are entered at all.
pub(crate) fn walk_with_links<F: FnMut(&walkdir::DirEntry) -> bool>(
    root: &Path,
    mut is_wanted: F,
) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> + use<F> {
    let mut entered = std::collections::HashSet::new();
    let mut walk =
        walkdir::WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
    std::iter::from_fn(move || {
        loop {
            let entry = match walk.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            let is_directory = entry.file_type().is_dir();
            let is_wanted = is_wanted(&entry);
            let is_linked_directory = is_directory && entry.path_is_symlink();
            if is_directory
                && (!is_wanted
                    || is_linked_directory
                        && !canonicalize(entry.path()).is_ok_and(|real| entered.insert(real)))
            {
                walk.skip_current_dir();
            }
            if is_wanted {
                return Some(Ok(entry));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_keeps_the_mtime() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(write_if_changed(&path, b"1").unwrap());
        filetime::set_file_mtime(&path, FileTime::from_unix_time(1000, 0)).unwrap();
        assert!(!write_if_changed(&path, b"1").unwrap());
        assert_eq!(
            FileTime::from_last_modification_time(&fs_err::metadata(&path).unwrap()).unix_seconds(),
            1000
        );
        assert!(write_if_changed(&path, b"2").unwrap());
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_second_lock_waits_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        let wait =
            LockWait { timeout: Some(Duration::ZERO), waiting: &|_| {}, interrupted: &|| false };
        let held = Lock::exclusive(&path, &wait).unwrap();
        let error = Lock::exclusive(&path, &wait).unwrap_err().to_string();
        assert!(error.contains(&format!("held by process {}", std::process::id())), "{error}");
        drop(held);
        Lock::exclusive(&path, &wait).unwrap();
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        remove_dir_all(&dir.path().join("x")).unwrap();
        fs_err::create_dir_all(dir.path().join("y/z")).unwrap();
        remove_dir_all(&dir.path().join("y")).unwrap();
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)] // the paths are
    fn absolute_drops_dots_without_following_links() {
        assert_eq!(absolute(Path::new("/a/./b/../c")).unwrap(), Path::new("/a/c"));
    }
}
