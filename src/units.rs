//! The compile cutoff: if no input of a rustc call changed since an earlier call, its outputs are
//! reused.
//!
//! cargo decides by mtimes, and a fresh checkout has new mtimes. We do not change mtimes, and
//! depend on none of cargo's own formats: cargo finds the workspace's crates dirty, runs their
//! build scripts and calls rustc, and *we are its `RUSTC_WRAPPER`*. If no input of the call changed
//! ([`judge`]), we put the earlier outputs in place and print the earlier messages, and rustc does
//! not run. Build systems call this early cutoff; ccache and sccache work in the same way.
//!
//! | part | owns |
//! | --- | --- |
//! | [`wrapper`] | the order of steps when cargo calls us |
//! | [`call`], [`link_arguments`] | the command line, by an allow-list; other calls are passed through |
//! | [`package`], [`plan`], [`survey`] | whose call it is; what the workspace and its settings say |
//! | [`targets`] | the target directories that it was called for; whose `OUT_DIR` it is |
//! | [`inputs`] | the inputs that are known before the call: the key |
//! | [`closure`], [`reexports`], [`macros`] | the crates behind the externs; what procedural macros read |
//! | [`traits`] | effects of sources that rustc does not report |
//! | [`toolchain`], [`linker`] | compiler and linker by content |
//! | [`outcome`], [`linked`], [`dep_info`], [`archive`], [`tree`] | the files that the call read and wrote |
//! | [`start`], [`unrecorded`] | what changed while it ran; why a call is not recorded |
//! | [`entry`], [`store`], [`digests`] | the record of a call, and where it is stored |
//! | [`upkeep`], [`transfer`] | commands for the store: size, clean-up, export and import |
//! | [`judge`] | equal or not, and what differs |
//! | [`script`] | build scripts that the user trusts |
//! | [`rustc`] | running it, and the user's own wrapper |
//! | [`log`] | events for the report |
//!
//! In doubt, rustc runs. A problem with the store never fails a build.

pub mod archive;
pub mod call;
pub mod closure;
pub mod dep_info;
pub mod digests;
pub mod entry;
pub mod inputs;
pub mod judge;
pub mod link_arguments;
pub mod linked;
pub mod linker;
pub mod log;
pub mod macros;
pub mod outcome;
pub mod package;
pub mod plan;
pub mod reexports;
pub mod rustc;
pub mod script;
pub mod start;
pub mod store;
pub mod survey;
pub mod targets;
pub mod toolchain;
pub mod traits;
pub mod transfer;
pub mod tree;
pub mod unrecorded;
pub mod upkeep;
pub mod wrapper;
