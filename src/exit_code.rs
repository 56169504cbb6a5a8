//! The exit codes, documented in README and `docs/reference`.

/// Done.
pub const OK: u8 = 0;
/// The build failed: the project's, the backend's or cargo's fault. Of `doctor`: it has found an
/// error or a warning.
pub const BUILD_FAILED: u8 = 1;
/// Usage or configuration.
pub const USAGE: u8 = 2;
/// `--deny-rebuild` tripped.
pub const REBUILD_DENIED: u8 = 3;
/// The build environment could not be provisioned.
pub const PROVISIONING_FAILED: u8 = 4;
/// Of `run`: the command cannot be started, as a shell says it.
pub const CANNOT_RUN: u8 = 126;
/// Of `run`: there is no such command, as a shell says it.
pub const NO_SUCH_COMMAND: u8 = 127;
