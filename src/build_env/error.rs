//! Why an environment could not be made, and what the user can do about it.

use std::path::PathBuf;

use crate::layout::CANNOT_WRITE;
use crate::{fs, interrupt, process, project};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the constraints file `{}`", path.display())]
    Constraints { path: PathBuf, source: std::io::Error },
    #[error("failed to read `{}`, the file of the requirement `{requirement}`", path.display())]
    LocalRequirement { requirement: String, path: PathBuf, source: std::io::Error },
    #[error("failed to read {installer}'s configuration file `{}`: {reason}", path.display())]
    Settings { installer: &'static str, path: PathBuf, reason: String },
    #[error("no usable installer: {reason}")]
    NoInstaller { reason: String, hint: String },
    #[error("failed to resolve the build requirements")]
    Resolve { source: process::Error, offline: bool },
    #[error("failed to {doing}")]
    Installer { doing: &'static str, source: process::Error },
    #[error("failed to create the virtual environment")]
    Venv { source: process::Error },
    #[error("unexpected result from the installer: {what}")]
    Protocol { what: String },
    #[error("no hash is given for `{name}`, but `--require-hashes` is set")]
    HashMissing { name: String },
    #[error("hash mismatch for `{name}`: {expected_by} does not allow sha256:{actual}")]
    HashMismatch { name: String, actual: String, expected_by: String },
    #[error("`{}` cannot be used: {reason}", path.display())]
    Lock { path: PathBuf, reason: String },
    #[error("`{}` is missing after the installation", path.display())]
    Installed { path: PathBuf, source: std::io::Error },
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Project(#[from] project::Error),
    #[error("{0}")]
    LockTimedOut(String),
    #[error("interrupted by {0}")]
    Interrupted(interrupt::Signal),
}

impl Error {
    pub(super) fn from_lock(error: fs::LockError) -> Self {
        match error {
            fs::LockError::Io { path, source } => Self::Write { path, source },
            timed_out @ fs::LockError::TimedOut { .. } => Self::LockTimedOut(timed_out.to_string()),
            fs::LockError::Interrupted { path } => match interrupt::pending() {
                Some(signal) => Self::Interrupted(signal),
                None => Self::LockTimedOut(format!("stopped waiting for `{}`", path.display())),
            },
        }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Resolve { source, .. } | Self::Installer { source, .. } | Self::Venv { source } if lacks_room(&source.to_string()) => {
                CANNOT_WRITE.to_owned()
            }
            Self::Resolve { source: process::Error::Terminal { .. }, .. }
            | Self::Installer { source: process::Error::Terminal { .. }, .. } => WANTS_TERMINAL.to_owned(),
            Self::NoInstaller { hint, .. } => hint.clone(),
            Self::Project(error) => return error.hint(),
            Self::Resolve { offline: true, .. } => "run once without `--offline`; later runs \
                reuse the result".to_owned(),
            Self::Resolve { source, .. } => resolve_hint(&source.to_string()),
            Self::HashMissing { .. } => {
                "add `name==version --hash=sha256:...` to a constraints file, or use `lock` and `--locked`".to_owned()
            }
            Self::HashMismatch { .. } => "the artifact differs from the trusted one: find out why \
                before you allow its hash".to_owned(),
            Self::Lock { .. } => "write it with `cargo pyenv-build lock`, for the same interpreter (`-p`)".to_owned(),
            Self::LockTimedOut(_) => format!("set `{}` (seconds) to wait longer", crate::env_vars::LOCK_TIMEOUT),
            Self::Write { .. } => CANNOT_WRITE.to_owned(),
            Self::Constraints { .. } => {
                "constraints come from `-c`, `[tool.pyenv-build] constraints`, PIP_CONSTRAINT and UV_BUILD_CONSTRAINT".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }
}

/// The hint where something asks, and nobody can answer.
pub(crate) const WANTS_TERMINAL: &str = "run it in the foreground of a terminal, or provide \
    credentials another way: an agent, a token, a credential helper";

/// Whether another program says that it could not write.
fn lacks_room(output: &str) -> bool {
    ["No space left on device", "Read-only file system", "Disk quota exceeded", "File too large"]
        .iter()
        .any(|words| output.contains(words))
}

fn resolve_hint(output: &str) -> String {
    if output.contains("git clone")
        || output.contains("Git operation failed")
        || output.contains("git fetch")
    {
        return "check the URL of the git repository, and your access to it (ssh key, token)"
            .to_owned();
    }
    let lower = output.to_ascii_lowercase();
    let network = [
        "dns error",
        "connection",
        "failed to fetch",
        "name resolution",
        "timed out",
        "network",
        "proxy",
        "error sending request",
    ];
    if network.iter().any(|word| lower.contains(word)) {
        return "the package index cannot be reached: check the network and the index URL, or \
            reuse an earlier build environment with `--offline`"
            .to_owned();
    }
    "check `[build-system] requires` in pyproject.toml, the requirements that the backend adds, the \
        constraints (`-c`, `build-constraint-dependencies`, PIP_CONSTRAINT), and the index \
        (`--default-index`, UV_DEFAULT_INDEX, PIP_INDEX_URL)"
        .to_owned()
}
