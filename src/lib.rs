//! cargo-pyenv-build: the build frontend that keeps cargo warm for Python packages written in Rust.
//!
//! This crate is the program's inside, not a public API. In reading order, each importing only what comes below it:
#![doc = "`cli` orchestrates; then what we do, what we learn, and the doors to the outside. See `ARCHITECTURE.md`."]

pub mod cli;

pub mod actions;
pub mod build_dirs;
pub mod build_env;
pub mod cache;
pub mod doctor;
pub mod freshness;
#[cfg(feature = "github")]
pub mod github;
pub mod hooks;
pub mod incremental;
pub mod interpreter;
pub mod layer;
pub mod pin;
pub mod project;
pub mod report;
pub mod sdist;
pub mod wheel;

pub mod cargo_records;
pub mod layout;

pub mod digest;
pub mod env_vars;
pub mod exit_code;
pub mod fs;
pub mod interrupt;
pub mod process;
pub mod ui;

#[cfg(test)]
mod property;
