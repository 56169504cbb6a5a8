//! The compile cutoff against the real tools: what rustc, clippy, the C compiler and the linkers
//! read must be in the entry, and what was built elsewhere must not be believed. Real cargo, rustc
//! and cc; no network, no Python.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::disallowed_methods, reason = "tests are outside of the crate's doors")]
#![cfg(target_os = "linux")]

mod ignored;
mod known;
mod native_diamond;
mod observed_inputs;
mod poisoned_target;
#[path = "../common/skip.rs"]
mod skip;
mod strace;
mod world;
