//! Never stale, always warm: a workspace that prints what it was compiled from, built after everything that can happen to a
//! checkout, its cache and its clock. Real cargo, no network.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::disallowed_methods, reason = "tests are outside of the crate's doors")]
#![cfg(unix)]

mod random;
mod table;
mod world;
