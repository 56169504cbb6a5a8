//! Why a hook did not return, and what the user can do about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::interrupt::Signal;
use crate::layout::CANNOT_WRITE;
use crate::process;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to prepare `{}`", path.display())]
    Prepare { path: PathBuf, source: std::io::Error },
    #[error("failed to start hookd")]
    Start { source: process::Error },
    #[error("hookd exited unexpectedly during `{hook}`: {how}")]
    Died { hook: &'static str, how: String, log: PathBuf },
    #[error("hookd violated the protocol: {0}")]
    Protocol(String),
    #[error("`{backend}` failed in `{hook}`: {message}")]
    Hook {
        hook: &'static str,
        backend: String,
        kind: String,
        message: String,
        traceback: Option<String>,
        tail: Vec<String>,
        log: PathBuf,
    },
    #[error("`{hook}` did not finish within {}", humantime::format_duration(*timeout))]
    TimedOut { hook: &'static str, timeout: Duration, log: PathBuf },
    #[error("interrupted by {0}")]
    Interrupted(Signal),
}

impl Error {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Hook { kind, backend, tail, .. } => match kind.as_str() {
                "HookRuntimeError" => {
                    let name = tail.iter().find_map(|line| {
                        line.split_once("error: could not compile `")?.1.split('`').next()
                    });
                    match name {
                        Some(name) => format!(
                            "cargo could not compile `{name}`: fix the errors that rustc reported"
                        ),
                        None if tail.iter().any(|line| is_about_a_missing_cargo(line)) => {
                            "cargo failed before it compiled anything, for the reason above: try \
                            `cargo metadata` in the project; if cargo is missing, install Rust \
                            from https://rustup.rs"
                                .to_owned()
                        }
                        None => return None,
                    }
                }
                "MissingBackendModule" => {
                    format!(
                        "no build requirement provides `{backend}`: check `build-backend` and \
                            `requires` in `[build-system]`"
                    )
                }
                "MissingBackendAttribute" | "MalformedBackendName" => {
                    "check `build-backend` in `[build-system]`".to_owned()
                }
                "BackendImportError" => {
                    "the backend is broken, or needs a package that is missing from \
                        `[build-system] requires`"
                        .to_owned()
                }
                "UnsupportedHook" => "the backend does not support this".to_owned(),
                _ => return None,
            },
            Self::TimedOut { .. } => "give it more time with `--hook-timeout`".to_owned(),
            Self::Prepare { .. } => CANNOT_WRITE.to_owned(),
            Self::Died { .. } => {
                "a hook may have killed its parent, or the system ran out of memory".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }

    /// Where the hook's whole output is.
    pub(crate) fn log(&self) -> Option<&Path> {
        match self {
            Self::Died { log, .. } | Self::Hook { log, .. } | Self::TimedOut { log, .. } => {
                Some(log)
            }
            _ => None,
        }
    }
}

/// Whether a backend says that it could not run cargo, in the words of maturin, setuptools-rust or
/// rustup.
fn is_about_a_missing_cargo(line: &str) -> bool {
    ["Cargo metadata failed", "can't find Rust compiler", "rustup could not choose a version"]
        .iter()
        .any(|words| line.contains(words))
}
