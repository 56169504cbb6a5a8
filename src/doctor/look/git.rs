//! What git says of a checkout.

use std::path::{Path, PathBuf};

use crate::doctor::facts::LockFile;
use crate::fs;
use crate::process::Cmd;

/// The git checkout of a directory.
pub(super) struct Git {
    pub root: PathBuf,
}

impl Git {
    pub(super) fn of(directory: &Path) -> Option<Self> {
        let answer =
            Cmd::new("git").args(["rev-parse", "--show-toplevel"]).cwd(directory).quick_answer()?;
        let root = PathBuf::from(String::from_utf8(answer).ok()?.trim_end());
        // git resolves links, cargo and we do not.
        let same = directory
            .ancestors()
            .find(|ancestor| fs::canonicalize(ancestor).is_ok_and(|real| real == root));
        Some(Self { root: same.map_or(root.clone(), Path::to_path_buf) })
    }

    /// The default branch of the repository that this is a clone of, as `git clone` has noted it.
    pub(super) fn default_branch(&self) -> Option<String> {
        let head = "refs/remotes/origin/HEAD";
        let answer = Cmd::new("git")
            .args(["symbolic-ref", "--quiet", head])
            .cwd(&self.root)
            .quick_answer()?;
        String::from_utf8(answer)
            .ok()?
            .trim_end()
            .strip_prefix("refs/remotes/origin/")
            .map(str::to_owned)
    }

    /// Whether git ignores what is in a directory, if that is in the checkout.
    pub(super) fn ignores(&self, directory: &Path) -> Option<bool> {
        let inside =
            directory.strip_prefix(&self.root).ok().filter(|rest| !rest.as_os_str().is_empty())?;
        let any = inside.join("any");
        Some(
            Cmd::new("git")
                .args(["check-ignore", "-q", "--no-index"])
                .arg(any)
                .cwd(&self.root)
                .quick_answer()
                .is_some(),
        )
    }

    pub(super) fn lock_file(&self, path: &Path) -> LockFile {
        let Ok(inside) = path.strip_prefix(&self.root) else { return LockFile::Tracked };
        let asked = |args: &[&str]| {
            Cmd::new("git").args(args).arg(inside).cwd(&self.root).quick_answer().is_some()
        };
        match (path.is_file(), asked(&["ls-files", "--error-unmatch"])) {
            (_, true) => LockFile::Tracked,
            (true, false) if asked(&["check-ignore", "-q"]) => LockFile::Ignored,
            (true, false) => LockFile::Untracked,
            (false, false) => LockFile::Absent,
        }
    }
}
