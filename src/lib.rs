//! cargo-pyenv-build: the build frontend that keeps cargo warm for Python packages written in Rust.
//!
//! [`build_script`] is for the build scripts of such packages, and a public API; with
//! `default-features = false` and the feature `build-script` it is all that this crate has, and
//! needs nothing else. The rest is the program's inside, and no API. In reading order,
//! each importing only what comes below it:
#![doc = "`cli` orchestrates; then what we do, what we learn, and the doors to the outside. See `ARCHITECTURE.md`."]

#[cfg(feature = "build-script")]
pub mod build_script;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "cli")]
pub(crate) mod actions;
#[cfg(feature = "cli")]
pub(crate) mod build_env;
#[cfg(feature = "cli")]
pub(crate) mod cache;
#[cfg(feature = "cli")]
pub(crate) mod doctor;
#[cfg(feature = "github")]
pub(crate) mod github;
#[cfg(feature = "cli")]
pub(crate) mod hooks;
#[cfg(feature = "cli")]
pub(crate) mod interpreter;
#[cfg(feature = "cli")]
pub(crate) mod pin;
#[cfg(feature = "cli")]
pub(crate) mod project;
#[cfg(feature = "remote")]
pub(crate) mod remote;
#[cfg(feature = "cli")]
pub(crate) mod report;
#[cfg(feature = "cli")]
pub(crate) mod sdist;
#[cfg(feature = "cli")]
pub(crate) mod target_trust;
#[cfg(feature = "cli")]
pub mod units;
#[cfg(feature = "cli")]
pub(crate) mod wheel;

#[cfg(feature = "cli")]
pub(crate) mod cargo_records;
#[cfg(feature = "cli")]
pub(crate) mod layout;

#[cfg(feature = "cli")]
pub mod ci;
#[cfg(feature = "cli")]
pub(crate) mod digest;
#[cfg(feature = "cli")]
pub(crate) mod env_vars;
#[cfg(feature = "cli")]
pub(crate) mod exit_code;
#[cfg(feature = "cli")]
pub(crate) mod fs;
#[cfg(feature = "cli")]
pub(crate) mod interrupt;
#[cfg(feature = "cli")]
pub(crate) mod process;
#[cfg(feature = "cli")]
pub(crate) mod terminal;
#[cfg(feature = "cli")]
pub(crate) mod token;
#[cfg(feature = "cli")]
pub(crate) mod ui;

#[cfg(test)]
#[cfg(feature = "cli")]
mod property;
