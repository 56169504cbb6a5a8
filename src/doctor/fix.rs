//! The only edit that cannot change what is built: another line in a `.gitignore`, for files that no
//! build takes for sources.
//!
//! Only in the checkout: a file that leads out of it by links is left alone.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::fs;

/// An edit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Fix {
    /// A line at the end of a `.gitignore`.
    Ignore { file: PathBuf, pattern: String },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{}` is outside the checkout, and was not changed", path.display())]
    Outside { path: PathBuf },
    #[error("failed to edit `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Fix {
    pub(crate) fn file(&self) -> &Path {
        let Self::Ignore { file, .. } = self;
        file
    }

    /// The line that it adds.
    fn line(&self) -> &str {
        let Self::Ignore { pattern, .. } = self;
        pattern
    }

    /// Makes the edit. Returns whether there was anything to do.
    pub(crate) fn apply(&self, checkout: &Path) -> Result<bool, Error> {
        let path = real_path(self.file(), checkout)?;
        let write = |source| Error::Write { path: path.clone(), source };
        let (text, permissions) = match fs_err::read_to_string(&path) {
            Ok(text) => (text, Some(fs_err::metadata(&path).map_err(write)?.permissions())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(error) => return Err(write(error)),
        };
        let Some(edited) = self.edited(&text) else { return Ok(false) };
        fs::write_atomic(&path, edited.as_bytes()).map_err(write)?;
        if let Some(permissions) = permissions {
            fs_err::set_permissions(&path, permissions).map_err(write)?;
        }
        Ok(true)
    }

    /// The text with the edit made. `None`: the line is there already.
    fn edited(&self, text: &str) -> Option<String> {
        let line = self.line();
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        if text.lines().any(|known| known.trim_end() == line) {
            return None;
        }
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
        Some(format!("{text}{gap}{line}{end}"))
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`: + `{}`", self.file().display(), self.line())
    }
}

/// Where a file really is, which must be in the checkout and not in git's own directory.
fn real_path(file: &Path, checkout: &Path) -> Result<PathBuf, Error> {
    let outside = || Error::Outside { path: file.to_path_buf() };
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|source| Error::Write { path: path.to_path_buf(), source })
    };
    let checkout = real(checkout)?;
    let path = if file.symlink_metadata().is_ok() {
        real(file)?
    } else {
        let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(outside());
        };
        real(parent)?.join(name)
    };
    match path.strip_prefix(&checkout) {
        Ok(inside) if !inside.starts_with(".git") => Ok(path),
        _ => Err(outside()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_lines_are_added_once_and_files_keep_their_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".gitignore");
        let fix = Fix::Ignore { file: file.clone(), pattern: "/target/".into() };
        assert!(fix.apply(dir.path()).unwrap());
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "/target/\n");
        assert!(!fix.apply(dir.path()).unwrap());
        fs_err::write(&file, "a").unwrap();
        #[cfg(unix)]
        fs_err::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        assert!(fix.apply(dir.path()).unwrap());
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "a\n/target/\n");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(
                &fs_err::metadata(&file).unwrap().permissions()
            ) & 0o777,
            0o600
        );
    }

    #[test]
    #[cfg(unix)]
    fn what_leads_out_of_the_checkout_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let checkout = dir.path().join("checkout");
        fs_err::create_dir(&checkout).unwrap();
        fs_err::write(dir.path().join("shared"), "x\n").unwrap();
        fs_err::os::unix::fs::symlink(dir.path().join("shared"), checkout.join(".gitignore"))
            .unwrap();
        fs_err::create_dir(checkout.join(".git")).unwrap();
        for file in [checkout.join(".gitignore"), dir.path().join("other"), checkout.join(".git/x")]
        {
            let error =
                Fix::Ignore { file, pattern: "*".into() }.apply(&checkout).unwrap_err().to_string();
            assert!(error.ends_with("is outside the checkout, and was not changed"), "{error}");
        }
        assert_eq!(fs_err::read_to_string(dir.path().join("shared")).unwrap(), "x\n");
    }
}
