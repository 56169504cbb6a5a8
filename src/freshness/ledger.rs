//! The ledger's format: one generation of what cargo's inputs were when its units were as they are.
//!
//! It is bound to the units: an entry of a unit holds only while cargo's own records of it are, byte for byte and date for
//! date, those that were there when it was written. So a ledger that belongs to another state of the target directory can
//! only cost time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::snapshot::{Entry, Nanos};
use super::tree::Tree;
use super::{Error, Mode, nanos};
use crate::cargo_records::{Kind, ReferenceState, Unit};
use crate::{digest, fs};

/// Version of the format. Files of another count as absent.
pub(super) const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    pub schema: u32,
    /// Digest of the rest: which generation this is.
    #[serde(default)]
    pub id: String,
    pub saved: Nanos,
    pub mode: Mode,
    pub tree: Tree,
    pub build_directory: PathBuf,
    /// [`Tree::manifests_digest`] of then.
    pub manifests: String,
    /// [`Tree::inherited_digest`] of then.
    pub inherited: String,
    pub files: BTreeMap<PathBuf, Entry>,
    pub units: BTreeMap<String, UnitEntry>,
    /// By root.
    pub packages: BTreeMap<PathBuf, PackageEntry>,
    /// Files that the user named in `inputs`, with their digests.
    pub extra: BTreeMap<PathBuf, Entry>,
    /// What crates take to compile without incremental state.
    #[serde(default)]
    pub cold_seconds: super::ColdSeconds,
}

/// A unit whose state is known, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitEntry {
    pub package: String,
    pub identity: Identity,
    /// What cargo compares with the unit's references.
    pub inputs: Vec<PathBuf>,
    /// Names that rustc saw through a link, and what they led to. cargo keeps the latter only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// What a build script has written into the source tree.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub products: BTreeMap<PathBuf, Entry>,
}

/// A package's files that may be read without cargo being told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageEntry {
    /// Of its manifest: scripts see it in `CARGO_PKG_*`.
    pub manifest: String,
    /// All files that count, with their digests; `None` where only what is declared counts.
    pub files: Option<BTreeMap<PathBuf, Entry>>,
}

/// What makes a unit the one that it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub fingerprint: String,
    /// Digest and date of each reference, and of a script's output; `None`: it is not there.
    pub references: Vec<Option<(String, Nanos)>>,
}

impl Identity {
    pub fn of(unit: &Unit) -> Self {
        let state = |state: &Option<ReferenceState>| state.as_ref().map(|state| (state.sha256.clone(), nanos(state.mtime)));
        let mut references: Vec<_> = unit.references.iter().map(|reference| state(&reference.state)).collect();
        if unit.kind == Kind::Run {
            references.push(state(&unit.output));
        }
        Self { fingerprint: unit.fingerprint.clone(), references }
    }
}

impl Ledger {
    /// Reads a ledger. `None`: there is none, or it is of another format.
    pub fn read(path: &Path) -> Option<Self> {
        let ledger: Self = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
        (ledger.schema == SCHEMA).then_some(ledger)
    }

    pub fn write(&mut self, path: &Path) -> Result<(), Error> {
        self.id = String::new();
        let mut bytes = self.to_json(path)?;
        self.id = digest::bytes(&bytes);
        // It stands at the beginning; what is megabytes long is not made a second time for it.
        let empty = b"\"id\":\"\"";
        if let Some(at) = bytes.windows(empty.len()).position(|window| window == empty) {
            bytes.splice(at..at + empty.len(), format!("\"id\":\"{}\"", self.id).into_bytes());
        }
        fs::write_atomic(path, &bytes).map_err(|source| Error::Write { path: path.to_path_buf(), source })
    }

    /// The same generation, with what has become known of its files.
    pub fn write_again(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.to_json(path)?;
        fs::write_atomic(path, &bytes).map_err(|source| Error::Write { path: path.to_path_buf(), source })
    }

    /// JSON has no names that are not UTF-8.
    fn to_json(&self, path: &Path) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| Error::Write { path: path.to_path_buf(), source: error.into() })
    }

    /// Moves all dates back, together with those of the target directory.
    pub fn shift(&mut self, by: Nanos) {
        for entry in self.files.values_mut().chain(self.extra.values_mut()) {
            entry.stat.mtime -= by;
        }
        for unit in self.units.values_mut() {
            for entry in unit.products.values_mut() {
                entry.stat.mtime -= by;
            }
            for (_, mtime) in unit.identity.references.iter_mut().flatten() {
                *mtime -= by;
            }
        }
    }
}
