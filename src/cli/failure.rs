//! From an error to what the user gets: kind, message, hint, exit code.

use std::fmt::Write as _;
use std::io;

#[cfg(feature = "github")]
use crate::github;
use crate::report::ErrorReport;
use crate::ui::Ui;
use crate::{
    actions, build_env, exit_code, hooks, interpreter, interrupt, layout, process, project, sdist,
    wheel,
};

/// A usage error; the message is complete.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct UsageError {
    pub message: String,
    pub hint: Option<String>,
}

/// A build whose artifact cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct BuildError {
    pub message: String,
    pub hint: Option<String>,
}

/// `--deny-rebuild` tripped.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct RebuildDenied {
    pub message: String,
}

/// Why a command failed. What each lower layer reports has a variant; the rest is shown as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Hook(#[from] hooks::Error),
    #[error(transparent)]
    BuildEnv(#[from] build_env::Error),
    #[error(transparent)]
    Interpreter(#[from] interpreter::Error),
    #[error(transparent)]
    Project(#[from] project::Error),
    #[error(transparent)]
    Layout(#[from] layout::Error),
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    #[error(transparent)]
    Sdist(#[from] sdist::Error),
    #[cfg(feature = "github")]
    #[error(transparent)]
    GitHub(#[from] github::Error),
    #[error(transparent)]
    RebuildDenied(#[from] RebuildDenied),
    #[error(transparent)]
    Process(#[from] process::Error),
    #[error(transparent)]
    RunnerFile(#[from] actions::files::Error),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Error {
    /// The failure of a hook, which knows more than a message.
    fn hook(&self) -> Option<&hooks::Error> {
        match self {
            Self::Hook(error) => Some(error),
            _ => None,
        }
    }

    /// The error and its causes.
    fn chain(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(Some(self as &(dyn std::error::Error + 'static)), |error| {
            error.source()
        })
    }
}

/// The facts about an error, in addition to its message.
struct Facts {
    /// The `kind` of the JSON report.
    kind: String,
    hint: Option<String>,
    exit_code: u8,
}

impl Facts {
    fn new(kind: &str, hint: Option<String>, exit_code: u8) -> Self {
        Self { kind: kind.to_owned(), hint, exit_code }
    }

    fn interrupted(signal: interrupt::Signal) -> Self {
        Self::new("Interrupted", None, signal.exit_code())
    }

    /// The one place that knows every kind of error.
    fn of(error: &Error) -> Self {
        match error {
            Error::Usage(error) => Self::new("Usage", error.hint.clone(), exit_code::USAGE),
            Error::Build(error) => {
                Self::new("WrongArtifact", error.hint.clone(), exit_code::BUILD_FAILED)
            }
            Error::Hook(error) => Self::of_hook(error),
            Error::BuildEnv(error) => Self::of_build_env(error),
            Error::Interpreter(error) => Self::of_interpreter(error),
            Error::Project(error) => Self::of_project(error),
            Error::Layout(error) => Self::of_layout(error),
            Error::Wheel(error) => {
                Self::new("WrongArtifact", error.hint(), exit_code::BUILD_FAILED)
            }
            Error::Sdist(error) => match error {
                sdist::Error::Invalid { .. } | sdist::Error::HasOurs { .. } => {
                    Self::new("WrongArtifact", error.hint(), exit_code::BUILD_FAILED)
                }
                sdist::Error::Write { .. } => Self::new("Failed", None, exit_code::BUILD_FAILED),
            },
            #[cfg(feature = "github")]
            Error::GitHub(error) => match error {
                github::Error::Interrupted(signal) => Self::interrupted(*signal),
                error if error.is_usage() => Self::new("GitHub", error.hint(), exit_code::USAGE),
                error => Self::new("GitHub", error.hint(), exit_code::BUILD_FAILED),
            },
            Error::RebuildDenied(_) => {
                let hint = "`cargo pyenv-build why` lists all of them";
                Self::new("RebuildDenied", Some(hint.to_owned()), exit_code::REBUILD_DENIED)
            }
            Error::Process(process::Error::Interrupted { signal, .. }) => {
                Self::interrupted(*signal)
            }
            Error::Process(_) | Error::RunnerFile(_) | Error::Other(_) => {
                Self::new("Failed", None, exit_code::BUILD_FAILED)
            }
        }
    }

    fn of_interpreter(error: &interpreter::Error) -> Self {
        let kind = match error {
            interpreter::Error::Interrupted(signal) => return Self::interrupted(*signal),
            interpreter::Error::NotFound { .. } | interpreter::Error::Missing { .. } => {
                "InterpreterNotFound"
            }
            interpreter::Error::Unsupported { .. } => "InterpreterUnsupported",
            interpreter::Error::Broken { .. } => "InterpreterBroken",
        };
        Self::new(kind, error.hint(), exit_code::PROVISIONING_FAILED)
    }

    fn of_project(error: &project::Error) -> Self {
        let meant = match error {
            project::Error::NotADirectory { path } => super::command_like(path),
            _ => None,
        };
        let hint = match (error.hint(), meant) {
            (Some(hint), Some(name)) => Some(format!("did you mean `{name}`? If not, {hint}")),
            (hint, _) => hint,
        };
        let kind = match error {
            project::Error::UvSettings { .. } => "InvalidConfiguration",
            _ => "InvalidProject",
        };
        Self::new(kind, hint, exit_code::USAGE)
    }

    fn of_layout(error: &layout::Error) -> Self {
        let (kind, hint, exit_code) = match error {
            layout::Error::NotOurs { .. } => {
                let hint = "move it away, or choose a different directory with `--root` \
                            or `[tool.pyenv-build] root`";
                ("NotOurDirectory", hint, exit_code::USAGE)
            }
            layout::Error::Create { .. } => {
                let hint = "check the free disk space and the write permission, or choose \
                            a different directory with `--root`";
                ("CannotWrite", hint, exit_code::PROVISIONING_FAILED)
            }
        };
        Self::new(kind, Some(hint.to_owned()), exit_code)
    }

    fn of_hook(error: &hooks::Error) -> Self {
        match error {
            hooks::Error::Interrupted(signal) => Self::interrupted(*signal),
            hooks::Error::Hook { kind, .. } => {
                Self::new(kind, error.hint(), exit_code::BUILD_FAILED)
            }
            hooks::Error::TimedOut { .. } => {
                Self::new("HookTimedOut", error.hint(), exit_code::BUILD_FAILED)
            }
            hooks::Error::Prepare { .. } => {
                Self::new("CannotWrite", error.hint(), exit_code::PROVISIONING_FAILED)
            }
            hooks::Error::Start { .. } | hooks::Error::Died { .. } | hooks::Error::Protocol(_) => {
                Self::new("HookdFailed", error.hint(), exit_code::BUILD_FAILED)
            }
        }
    }

    fn of_build_env(error: &build_env::Error) -> Self {
        use build_env::Error;
        let kind = match error {
            Error::Interrupted(signal) => return Self::interrupted(*signal),
            Error::Constraints { .. } => {
                return Self::new("InvalidConstraints", error.hint(), exit_code::USAGE);
            }
            Error::Settings { .. } => {
                return Self::new("InvalidConfiguration", error.hint(), exit_code::USAGE);
            }
            Error::Project(error) => {
                return Self::new("InvalidProject", error.hint(), exit_code::USAGE);
            }
            Error::LocalRequirement { .. } => "RequirementNotFound",
            Error::NoInstaller { .. } => "NoInstaller",
            Error::Resolve { .. } => "ResolutionFailed",
            Error::Installer { .. } => "InstallationFailed",
            Error::Venv { .. } => "VirtualEnvironmentFailed",
            Error::Protocol { .. } | Error::Installed { .. } => "InstallerProtocol",
            Error::HashMissing { .. } | Error::HashMismatch { .. } => "HashMismatch",
            Error::Lock { .. } => "LockFileUnusable",
            Error::LockTimedOut(_) => "LockTimedOut",
            Error::Write { .. } => "CannotWrite",
        };
        Self::new(kind, error.hint(), exit_code::PROVISIONING_FAILED)
    }
}

/// The exit code for an error.
pub(super) fn exit_code_of(error: &Error) -> u8 {
    Facts::of(error).exit_code
}

/// The error for the JSON report.
pub(super) fn report(error: &Error) -> ErrorReport {
    let facts = Facts::of(error);
    let hook = error.hook();
    let traceback = match hook {
        Some(hooks::Error::Hook { traceback, .. }) => {
            traceback.as_deref().map(process::mask_credentials)
        }
        _ => None,
    };
    let log = hook
        .and_then(hooks::Error::log)
        .filter(|log| log.exists())
        .map(std::path::Path::to_path_buf);
    ErrorReport {
        kind: facts.kind,
        message: process::mask_credentials(&message(error)),
        hint: facts.hint,
        traceback,
        log,
    }
}

/// The error and its causes, one line each.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let _ = write!(text, "\n  caused by: {}", cause.to_string().replace('\n', "\n    "));
    }
    text
}

/// Prints the error.
pub(super) fn show(error: &Error, ui: &Ui) {
    let report = report(error);
    if let Some(hooks::Error::Hook { tail, .. }) = error.hook() {
        // With `-v` all of it has been shown.
        if ui.verbosity() <= crate::ui::Verbosity::Normal {
            for line in tail {
                ui.passthrough(&format!("  | {}", process::mask_credentials(line)));
            }
        }
    }
    // A backend that exits has said why; where in Python it did so tells nobody anything.
    if let Some(traceback) =
        report.traceback.as_ref().filter(|_| !report.message.contains(" raised SystemExit"))
    {
        ui.passthrough(traceback.trim_end());
    }
    ui.error(&report.message);
    if let Some(log) = &report.log {
        ui.passthrough(&format!("  full output: {}", log.display()));
    }
    if let Some(hint) = &report.hint {
        ui.hint(hint);
    }
}
