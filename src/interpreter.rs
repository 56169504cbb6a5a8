//! Finding a Python, and identifying it.
//!
//! [`discover`] turns a [`Request`], or the lack of one, into an [`Interpreter`]: in order `--python`,
//! `PYENV_BUILD_PYTHON`, `[tool.pyenv-build] python`, the active virtual environment, `python3` and
//! `python` on PATH; a version is also looked for among what pyenv and uv have installed. Whatever
//! is found is *probed* ([`probe`]): a script run with `-I` answers one JSON object, cached by the
//! file it came from.
//!
//! A virtual environment stands for the interpreter below it: build environments are made from the
//! base.
//!
//! Not here: making environments ([`crate::build_env`]).

mod discovery;
mod identity;
mod probe;
mod request;

use std::path::{Path, PathBuf};

pub(crate) use discovery::{Source, Wanted, discover};
pub(crate) use identity::Identity;
#[cfg(test)]
pub(crate) use identity::tests as identity_tests;
#[cfg(test)]
pub(crate) use probe::understands;
pub(crate) use request::Request;

use pep508_rs::pep440_rs::VersionSpecifiers;

use crate::interrupt;

/// A probed interpreter.
#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    /// As it was found.
    pub path: PathBuf,
    /// Below all virtual environments; build environments are made from it.
    pub base_executable: PathBuf,
    pub identity: Identity,
    /// PEP 508 markers, to evaluate requirements for it.
    pub markers: pep508_rs::MarkerEnvironment,
}

impl Interpreter {
    /// The directory of the virtual environment that it was found in, or else of its installation.
    pub(crate) fn prefix(&self) -> PathBuf {
        let venv = self.path.ancestors().skip(1).take(2);
        venv.into_iter()
            .find(|directory| directory.join("pyvenv.cfg").is_file())
            .map_or_else(|| PathBuf::from(&self.identity.base_prefix), Path::to_path_buf)
    }

    /// Whether a `requires-python` allows it.
    pub(crate) fn satisfies(&self, requires_python: &VersionSpecifiers) -> bool {
        requires_python.contains(&self.markers.python_full_version().version)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("found no Python interpreter{}", for_request(wanted.as_deref()))]
    NotFound { wanted: Option<String>, looked_at: Vec<String> },
    #[error("no interpreter found at `{}`", path.display())]
    Missing { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not a usable Python: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("`{}` is too old: {what}, but Python 3.8 or newer is required", path.display())]
    Unsupported { path: PathBuf, what: String },
    #[error("interrupted by {0}")]
    Interrupted(interrupt::Signal),
}

fn for_request(wanted: Option<&str>) -> String {
    wanted.map_or_else(String::new, |wanted| format!(" for `{wanted}`"))
}

impl Error {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { looked_at, .. } if looked_at.is_empty() => {
                Some("install Python 3.8 or newer, or choose one with `--python PATH`".to_owned())
            }
            Self::NotFound { looked_at, .. } => Some(format!(
                "tried {}; choose a different one with `--python PATH`",
                looked_at.join(", ")
            )),
            Self::Missing { .. } | Self::Broken { .. } | Self::Unsupported { .. } => Some(
                "choose a different interpreter with `--python` (a path, a name, or a version \
                    such as 3.12)"
                    .to_owned(),
            ),
            Self::Interrupted(_) => None,
        }
    }
}
