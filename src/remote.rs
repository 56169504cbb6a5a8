//! Sharing between machines: compiled crates and build environments on an object store, `--store URL`.
//!
//! ```text
//! <URL>/v1/
//!   builds/<project>/<what>-<where>.json.zst   a manifest: what the last builds of this kind used
//!   blobs/1a/1a2b....zst                       a file, named by the digest of its content
//! ```
//!
//! Before a build, [`pull`] reads one manifest and fetches what is missing here: blobs into the local
//! store, whose entries the wrapper judges as it judges its own; build environments; and the memos
//! that lead to these. After a build, [`push`] uploads what the build used and the store lacks, and
//! writes the manifest last. So a build with nothing to do makes one request, and what a writer that
//! dies leaves behind is unused.
//!
//! | part | owns |
//! | --- | --- |
//! | [`place`] | from a URL and the environment to an object store |
//! | [`aws`] | profiles of AWS, which the object store's crate does not read |
//! | [`key`] | which builds are alike: the names of manifests |
//! | [`manifest`] | the formats |
//! | [`bucket`] | requests: how long, how many at once, how often |
//! | [`pull`], [`push`] | the two directions |
//! | [`stat`] | what a store has, for people |
//!
//! Everything is checked against its name when it arrives. Who can write to the store can run code
//! on the machines that read it: see `SECURITY.md`. A store that is slow, forbidden, full or gone
//! costs a warning and a limited time, never a build.

mod aws;
pub(crate) mod bucket;
pub(crate) mod key;
pub(crate) mod manifest;
pub(crate) mod place;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod stat;

/// The formats below the URL. Each version of them has its own folder.
const VERSION: &str = "v1";
