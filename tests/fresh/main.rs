//! Never stale, always warm: workspaces that print what they were compiled from, built after
//! everything that can happen to a checkout, its cache and its clock, and compared with a clean
//! build by plain cargo. Real cargo, no network.
//!
//! | part | what happens |
//! | --- | --- |
//! | [`sources`], [`dates`] | files that rustc reads, and their mtimes |
//! | [`arguments`], [`variables`] | what a call is told |
//! | [`build_scripts`], [`out_dir`], [`trusted`] | what build scripts read and make |
//! | [`native`] | what linkers read |
//! | [`unseen`] | what is read without rustc's naming it |
//! | [`macros`], [`settings`] | what procedural macros read, and what the user says of it |
//! | [`commands`], [`clippy`] | other commands of cargo's than `build` |
//! | [`wrappers`], [`store`], [`crowds`] | other wrappers, a store that is not as it was, many at once |
//! | [`remote`] | a store that machines share |
//! | [`random`], [`machine`] | all of it in any order |

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::disallowed_methods, reason = "tests are outside of the crate's doors")]
#![expect(clippy::print_stdout, reason = "what a failing test has to say is captured")]
#![cfg(target_os = "linux")]

mod arguments;
mod build_scripts;
mod clippy;
mod commands;
mod crowds;
mod dates;
mod machine;
mod macros;
mod native;
#[cfg(feature = "remote")]
mod objects;
mod out_dir;
mod random;
#[cfg(feature = "remote")]
mod remote;
mod settings;
#[path = "../common/skip.rs"]
mod skip;
mod sources;
mod store;
mod tree;
mod trusted;
mod unseen;
mod variables;
mod world;
mod wrappers;
