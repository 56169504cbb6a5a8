//! What goes wrong in a build script that needs Python, and what to do.

use std::fmt::{self, Write as _};
use std::io;

use super::Python;

/// What went wrong. `Debug` says the same as `Display`, so that a `main` which returns it, or an
/// `unwrap`, is readable in cargo's output.
#[non_exhaustive]
pub enum Error {
    /// There is no python where one should be.
    NotFound {
        /// Where it should have been.
        looked_at: String,
    },
    /// It cannot be started.
    Start {
        /// Which.
        python: Python,
        /// Why.
        source: io::Error,
    },
    /// The code failed.
    Failed {
        /// Which ran it.
        python: Python,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// What the code printed is not text in UTF-8.
    NotText {
        /// Which ran it.
        python: Python,
    },
}

impl Error {
    /// What can be done about it.
    fn hint(&self) -> String {
        const HERE: &str =
            "build with `cargo pyenv-build`, or with `cargo pyenv-build run -- cargo ...`";
        let (python, stderr) = match self {
            Self::NotFound { .. } => return format!("{HERE}, or set PYO3_PYTHON to a python"),
            Self::Start { python, .. } | Self::NotText { python } => (python, ""),
            Self::Failed { python, stderr, .. } => (python, stderr.as_str()),
        };
        let missing = stderr
            .rsplit_once("No module named ")
            .map(|(_, rest)| rest.lines().next().unwrap_or_default().trim_matches(['\'', '"']));
        match (missing, python.is_ours) {
            (Some(module), true) => format!(
                "add the package that provides `{module}` to `[build-system] requires` in \
                    pyproject.toml"
            ),
            (Some(module), false) => format!(
                "{HERE}, with the package that provides `{module}` in `[build-system] requires`; \
                    or install it for the python in {}",
                python.found_by
            ),
            (None, true) => "this is the build environment's python: it can import the packages \
                in `[build-system] requires` only"
                .to_owned(),
            (None, false) => format!(
                "it comes from {}; {HERE} to have the packages in `[build-system] requires`",
                python.found_by
            ),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { looked_at } => write!(f, "there is no python at {looked_at}")?,
            Self::Start { python, source } => {
                write!(f, "failed to start `{}`: {source}", python.executable.display())?;
            }
            Self::NotText { python } => {
                write!(
                    f,
                    "`{}` printed text that is not valid UTF-8",
                    python.executable.display()
                )?;
            }
            Self::Failed { python, status, stderr } => {
                write!(
                    f,
                    "Python code for the build script failed ({status}) in `{}`",
                    python.executable.display()
                )?;
                let mut text = String::new();
                for line in stderr.lines() {
                    let _ = write!(text, "\n  {line}");
                }
                f.write_str(&text)?;
            }
        }
        write!(f, "\nhint: {}", self.hint())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source),
            _ => None,
        }
    }
}
