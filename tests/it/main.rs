//! Integration tests: the program as its users run it, in temporary directories, with a clean
//! environment and without any network. Backends are fixtures without requirements; what is to be
//! required is a wheel made on the spot.
//!
//! `PYENV_BUILD_TEST_PYTHON` names the interpreter (else `python3` or `python` on PATH),
//! `PYENV_BUILD_TEST_UV` a uv (else the one on PATH). Without a uv, tests of both installers say so
//! and test pip.

#![expect(clippy::disallowed_methods, reason = "tests are outside of the crate's doors")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::print_stderr, reason = "what a failing test has to say is captured")]

mod context;

#[cfg(unix)]
mod action_yml;
mod actions;
mod backends;
mod bad_input;
mod build;
mod build_script;
#[cfg(unix)]
mod by_products;
#[cfg(feature = "github")]
mod cache;
mod command_line;
mod commands;
mod develop;
mod docs;
#[cfg(unix)]
mod doctor;
mod dynamic;
mod fire;
mod hashes;
#[cfg(target_os = "linux")]
mod hookd;
mod interpreter;
mod interrupt;
#[cfg(unix)]
mod later_steps;
mod launcher;
mod paths;
#[cfg(target_os = "linux")]
mod processes;
mod projects;
mod provisioning;
mod report;
mod secrets;
mod server;
mod settings;
mod shared;
#[path = "../common/skip.rs"]
mod skip;
mod sources;
#[cfg(unix)]
mod terminal;
#[cfg(unix)]
mod texts;
#[cfg(unix)]
mod toolchain;
mod transcripts;
