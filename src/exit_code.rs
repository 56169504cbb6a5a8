//! The exit codes, documented in README and `docs/reference`.

/// Done.
pub const OK: u8 = 0;
/// The build failed: the project's, the backend's or cargo's fault. Of `doctor`: it has found an error or a warning.
pub const BUILD_FAILED: u8 = 1;
/// Usage or configuration.
pub const USAGE: u8 = 2;
/// `--deny-rebuild` tripped.
pub const REBUILD_DENIED: u8 = 3;
/// The build environment could not be provisioned.
pub const PROVISIONING_FAILED: u8 = 4;
