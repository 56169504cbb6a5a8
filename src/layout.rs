//! Our directory, `.pyenv-build`: what is where.
//!
//! ```text
//! .pyenv-build/
//!   .gitignore, CACHEDIR.TAG      made first; the tag says that the directory is ours
//!   envs/cp312-1a2b3c4d5e6f/      a build environment; envs/<same>.json is its marker, written last, envs/<same>.lock its lock
//!   requests/<hash>.json          memo: request -> fingerprint, dynamic requirements seen
//!   interpreters/<hash>.json      answers of the interpreter probe
//!   tools/pip-<hash>/             a pip to install with, where there is no uv
//!   hookd/hookd-<hash>/           the daemon that is embedded in the binary, compiled for one interpreter
//!   locks/<hash>.lock             one build of a source tree at a time
//!   cargo/<hash>.json             what cargo has said of a workspace: see `project::remembered`
//!   store/                        what rustc calls made: see `units::store`
//!   targets/<hash>                tokens of target directories: see `target_trust`
//!   sdist/<name>/                 source trees unpacked by --from-sdist
//!   store-aside/                  what an earlier job left in it and this one has not used: see `units::store`
//!   reports/last.json             what the last build did; reports/calls.jsonl has each call of the wrapper
//!   .cargo/config.toml            a comment that rolls rust-cache's key: see `cli::action`
//!   installs/<hash>.json          which environment an editable install of `develop` needs: see `build_env::installs`
//!   history/<hash>.json           what a cold build took, for the summaries of GitHub Actions
//!   logs/                         full hook output, newest 20 kept
//!   tmp/                          being made; renamed to where it belongs
//! ```
//!
//! Every file is written to a temporary name and renamed. Formats carry a `schema`; unknown fields
//! are tolerated, and a file of another schema counts as absent.

use std::path::{Path, PathBuf};

use crate::{digest, fs};

/// <https://bford.info/cachedir/>
pub(crate) const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55\n";
/// <https://bford.info/cachedir/>
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory was made by cargo-pyenv-build. Everything in it can be created again.\n\
    # For information about cache directory tags, see https://bford.info/cachedir/\n";
const OURS: &str = "made by cargo-pyenv-build";

/// The hint where something in it could not be written.
pub(crate) const CANNOT_WRITE: &str = "check the free disk space and the write permission";

/// Our directory, known to be ours.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{}` exists and was not made by cargo-pyenv-build", path.display())]
    NotOurs { path: PathBuf },
    #[error("failed to create our directory `{}`", path.display())]
    Create { path: PathBuf, source: std::io::Error },
}

impl Layout {
    /// Opens our directory at `root`, making it if need be. A directory with anything in it that
    /// lacks our tag is refused.
    pub(crate) fn open(root: PathBuf) -> Result<Self, Error> {
        let tag = root.join("CACHEDIR.TAG");
        if fs_err::read_to_string(&tag).is_ok_and(|text| text.contains(OURS)) {
            return Ok(Self { root });
        }
        let foreign = match fs_err::read_dir(&root) {
            Ok(mut entries) => {
                entries.any(|entry| entry.is_ok_and(|entry| !is_left_by_us(&entry.path())))
            }
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        if foreign {
            // Another of us may have been faster than we.
            if fs_err::read_to_string(&tag).is_ok_and(|text| text.contains(OURS)) {
                return Ok(Self { root });
            }
            return Err(Error::NotOurs { path: root });
        }
        // `.gitignore` first: cargo re-runs build scripts without `rerun-if` when an untracked file
        // appears in the package.
        fs::write_atomic(&root.join(".gitignore"), b"*\n")
            .and_then(|()| fs::write_atomic(&tag, TAG.as_bytes()))
            .map_err(|source| Error::Create { path: root.clone(), source })?;
        Ok(Self { root })
    }

    /// Whether a path is in a directory of ours, this one or another.
    pub(crate) fn has(path: &Path) -> bool {
        path.ancestors().any(|directory| {
            fs_err::read_to_string(directory.join("CACHEDIR.TAG"))
                .is_ok_and(|text| text.contains(OURS))
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where our directory is in a source tree, relative to that, if it is.
    pub(crate) fn within(&self, tree: &Path) -> Option<PathBuf> {
        // It may be a link to elsewhere, which backends follow.
        if let Ok(relative) = self.root.strip_prefix(tree) {
            return Some(relative.to_path_buf());
        }
        let (root, tree) =
            (fs_err::canonicalize(&self.root).ok()?, fs_err::canonicalize(tree).ok()?);
        root.strip_prefix(tree).ok().map(Path::to_path_buf)
    }

    pub(crate) fn envs(&self) -> PathBuf {
        self.root.join("envs")
    }

    pub(crate) fn requests(&self) -> PathBuf {
        self.root.join("requests")
    }

    pub(crate) fn interpreters(&self) -> PathBuf {
        self.root.join("interpreters")
    }

    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The other halves of the tokens in target directories.
    pub(crate) fn targets(&self) -> PathBuf {
        self.root.join("targets")
    }

    pub(crate) fn hookd(&self) -> PathBuf {
        self.root.join("hookd")
    }

    pub(crate) fn sdist(&self) -> PathBuf {
        self.root.join("sdist")
    }

    /// What cargo has said of the workspace of the project in a directory.
    pub(crate) fn cargo(&self, directory: &Path) -> PathBuf {
        self.root.join("cargo").join(format!("{}.json", digest::short_of_path(directory)))
    }

    /// What rustc has made, to be used again.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The lock of a source tree.
    pub(crate) fn project_lock(&self, directory: &Path) -> PathBuf {
        self.root.join("locks").join(format!("{}.lock", digest::short_of_path(directory)))
    }

    pub(crate) fn last_report(&self) -> PathBuf {
        self.root.join("reports/last.json")
    }

    /// Which job of GitHub Actions this is; its mtime says when that began.
    pub(crate) fn job(&self) -> PathBuf {
        self.root.join("reports/job")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// rust-cache hashes every file of this name below a workspace into the end of its key.
    pub(crate) fn roll(&self) -> PathBuf {
        self.root.join(".cargo/config.toml")
    }

    /// The same for a workspace that our directory is not in, in its target directory.
    pub(crate) fn roll_in(target_directory: &Path) -> PathBuf {
        target_directory.join("pyenv-build/.cargo/config.toml")
    }

    /// References of editable installs.
    pub(crate) fn installs(&self) -> PathBuf {
        self.root.join("installs")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    /// A fresh directory on the same file system as everything else of ours, removed when dropped.
    pub(crate) fn temporary(&self, prefix: &str) -> std::io::Result<tempfile::TempDir> {
        let parent = self.tmp();
        fs_err::create_dir_all(&parent)?;
        tempfile::Builder::new().prefix(prefix).tempdir_in(parent)
    }
}

/// What a killed first run may have left: the two files of [`Layout::open`], or their temporary
/// names. And what is written by those that were running when somebody removed the directory: the
/// store, by the wrapper, and the report.
fn is_left_by_us(path: &Path) -> bool {
    let is_one_of = |path: &Path, names: &[&str]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        names.contains(&name.as_ref()) || name.starts_with(".tmp-")
    };
    let holds_only = |names: &[&str]| {
        fs_err::read_dir(path).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| is_one_of(&entry.path(), names)))
        })
    };
    is_one_of(path, &[".gitignore"])
        || is_one_of(path, &["store"])
            && holds_only(&["digests", "incremental", "last-gc", "plans", "v1"])
        || is_one_of(path, &["reports"]) && holds_only(&["calls.jsonl", "last.json"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_directory_that_is_not_ours_and_touches_nothing_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(".pyenv-build");
        fs_err::create_dir(&root).unwrap();
        fs_err::write(root.join("precious"), "x").unwrap();
        let error = Layout::open(root.clone()).unwrap_err().to_string();
        assert!(error.ends_with("was not made by cargo-pyenv-build"), "{error}");
        assert_eq!(fs_err::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn opens_a_new_an_empty_a_half_made_and_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/.pyenv-build");
        Layout::open(root.clone()).unwrap();
        Layout::open(root.clone()).unwrap();
        assert_eq!(fs_err::read_to_string(root.join(".gitignore")).unwrap(), "*\n");
        fs_err::remove_file(root.join("CACHEDIR.TAG")).unwrap();
        Layout::open(root.clone()).unwrap();
        // Removed while something of ours went on.
        fs_err::remove_dir_all(&root).unwrap();
        fs_err::create_dir_all(root.join("store/v1/units")).unwrap();
        Layout::open(root.clone()).unwrap();
        fs_err::remove_file(root.join("CACHEDIR.TAG")).unwrap();
        fs_err::write(root.join("store/precious"), "").unwrap();
        Layout::open(root).unwrap_err();
    }
}
