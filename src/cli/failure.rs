//! From an error to what the user gets: kind, message, hint, exit code.

use std::fmt::Write as _;

use crate::report::ErrorReport;
use crate::ui::Ui;
use crate::{build_env, exit_code, hooks, interpreter, layout, process, project, sdist, wheel};

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

    /// The one place that handles every kind of error.
    fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<hooks::Error>() {
                return Self::of_hook(error);
            }
            if let Some(error) = cause.downcast_ref::<build_env::Error>() {
                return Self::of_build_env(error);
            }
            if let Some(error) = cause.downcast_ref::<interpreter::Error>() {
                return match error {
                    interpreter::Error::Interrupted(signal) => {
                        Self::new("Interrupted", None, signal.exit_code())
                    }
                    interpreter::Error::NotFound { .. } | interpreter::Error::Missing { .. } => {
                        Self::new(
                            "InterpreterNotFound",
                            error.hint(),
                            exit_code::PROVISIONING_FAILED,
                        )
                    }
                    interpreter::Error::Unsupported { .. } => Self::new(
                        "InterpreterUnsupported",
                        error.hint(),
                        exit_code::PROVISIONING_FAILED,
                    ),
                    interpreter::Error::Broken { .. } => {
                        Self::new("InterpreterBroken", error.hint(), exit_code::PROVISIONING_FAILED)
                    }
                };
            }
            if let Some(error) = cause.downcast_ref::<project::Error>() {
                return Self::new("InvalidProject", error.hint(), exit_code::USAGE);
            }
            if let Some(error) = cause.downcast_ref::<layout::Error>() {
                return match error {
                    layout::Error::NotOurs { .. } => {
                        let hint = "move it away, or choose a different directory with `--root` \
                            or `[tool.pyenv-build] root`";
                        Self::new("NotOurDirectory", Some(hint.to_owned()), exit_code::USAGE)
                    }
                    layout::Error::Create { .. } => {
                        let hint = "check the free disk space and the write permission, or choose \
                            a different directory with `--root`";
                        Self::new(
                            "CannotWrite",
                            Some(hint.to_owned()),
                            exit_code::PROVISIONING_FAILED,
                        )
                    }
                };
            }
            if let Some(error) = cause.downcast_ref::<wheel::Error>() {
                return Self::new("WrongArtifact", error.hint(), exit_code::BUILD_FAILED);
            }
            if let Some(error @ (sdist::Error::Invalid { .. } | sdist::Error::HasOurs { .. })) =
                cause.downcast_ref::<sdist::Error>()
            {
                return Self::new("WrongArtifact", error.hint(), exit_code::BUILD_FAILED);
            }
            if let Some(error) = cause.downcast_ref::<BuildError>() {
                return Self::new("WrongArtifact", error.hint.clone(), exit_code::BUILD_FAILED);
            }
            #[cfg(feature = "github")]
            if let Some(error) = cause.downcast_ref::<crate::github::Error>() {
                return match error {
                    crate::github::Error::Interrupted(signal) => {
                        Self::new("Interrupted", None, signal.exit_code())
                    }
                    error if error.is_usage() => {
                        Self::new("GitHub", error.hint(), exit_code::USAGE)
                    }
                    error => Self::new("GitHub", error.hint(), exit_code::BUILD_FAILED),
                };
            }
            if cause.downcast_ref::<super::budget::RebuildDenied>().is_some() {
                let hint = "`cargo pyenv-build why` lists all of them";
                return Self::new(
                    "RebuildDenied",
                    Some(hint.to_owned()),
                    exit_code::REBUILD_DENIED,
                );
            }
            if let Some(error) = cause.downcast_ref::<UsageError>() {
                return Self::new("Usage", error.hint.clone(), exit_code::USAGE);
            }
            if let Some(process::Error::Interrupted { signal, .. }) =
                cause.downcast_ref::<process::Error>()
            {
                return Self::new("Interrupted", None, signal.exit_code());
            }
        }
        Self::new("Failed", None, exit_code::BUILD_FAILED)
    }

    fn of_hook(error: &hooks::Error) -> Self {
        match error {
            hooks::Error::Interrupted(signal) => Self::new("Interrupted", None, signal.exit_code()),
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
            Error::Interrupted(signal) => {
                return Self::new("Interrupted", None, signal.exit_code());
            }
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
pub(super) fn exit_code_of(error: &anyhow::Error) -> u8 {
    Facts::of(error).exit_code
}

/// The error for the JSON report.
pub(super) fn report(error: &anyhow::Error) -> ErrorReport {
    let facts = Facts::of(error);
    let hook = error.chain().find_map(|cause| cause.downcast_ref::<hooks::Error>());
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
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let _ = write!(text, "\n  caused by: {}", cause.to_string().replace('\n', "\n    "));
    }
    text
}

/// Prints the error.
pub(super) fn show(error: &anyhow::Error, ui: &Ui) {
    let report = report(error);
    if let Some(hooks::Error::Hook { tail, .. }) =
        error.chain().find_map(|cause| cause.downcast_ref::<hooks::Error>())
    {
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
