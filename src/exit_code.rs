//! The exit codes, documented in README and `docs/reference`.

/// Success.
pub(crate) const OK: u8 = 0;
/// The build failed: an error in the project, the backend or cargo. `doctor`: it found errors or
/// warnings.
pub(crate) const BUILD_FAILED: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// `--deny-rebuild`: a forbidden crate was compiled.
pub(crate) const REBUILD_DENIED: u8 = 3;
/// Creating the build environment failed.
pub(crate) const PROVISIONING_FAILED: u8 = 4;
/// `run`: the command cannot be started, as in a shell.
pub(crate) const CANNOT_RUN: u8 = 126;
/// `run`: command not found, as in a shell.
pub(crate) const NO_SUCH_COMMAND: u8 = 127;
