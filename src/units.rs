//! The compile cutoff: a rustc call whose inputs are all what they were in an earlier one is not
//! made again.
//!
//! cargo decides by mtimes, and a fresh checkout renews all of them. We do not touch them, and need
//! none of cargo's own formats: cargo finds the workspace's crates dirty, runs their build scripts
//! and calls rustc, and *we are its `RUSTC_WRAPPER`*. If everything that this call would read is
//! what it was ([`judge`]), the earlier outputs are put in place, the earlier messages are printed,
//! and rustc does not run. Build systems call this early cutoff; ccache and sccache have judged so
//! for years.
//!
//! | part | owns |
//! | --- | --- |
//! | [`wrapper`] | the order of steps when cargo calls us |
//! | [`call`] | the command line, by an allow-list; what is not on it is passed through |
//! | [`package`], [`plan`], [`survey`] | whose call it is; what the workspace and its settings say |
//! | [`inputs`] | what is known to be read before the call: the key |
//! | [`closure`], [`reexports`], [`macros`] | the crates behind the externs; what procedural macros read |
//! | [`traits`] | what sources may do that rustc does not tell |
//! | [`toolchain`], [`linker`] | compiler and linker by content |
//! | [`outcome`], [`dep_info`], [`archive`], [`tree`] | what the call turned out to read and write |
//! | [`entry`], [`store`], [`digests`] | what is kept of a call, and where |
//! | [`upkeep`], [`transfer`] | the store by hand: its size, what can go, one file of it
//! | [`judge`] | equal or not, and what differs |
//! | [`script`] | build scripts that the user trusts
//! | [`rustc`] | running it, and the user's own wrapper |
//! | [`log`] | what the report is told |
//!
//! In doubt rustc runs. A problem with the store is never one of the build.

pub mod archive;
pub mod call;
pub mod closure;
pub mod dep_info;
pub mod digests;
pub mod entry;
pub mod inputs;
pub mod judge;
pub mod linker;
pub mod log;
pub mod macros;
pub mod outcome;
pub mod package;
pub mod plan;
pub mod reexports;
pub mod rustc;
pub mod script;
pub mod store;
pub mod survey;
pub mod toolchain;
pub mod traits;
pub mod transfer;
pub mod tree;
pub mod upkeep;
pub mod wrapper;
