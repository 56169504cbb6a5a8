//! The freshness ledger: a fresh checkout compiles nothing that did not change, and always what did.
//!
//! cargo judges by mtime, and a checkout renews every mtime. So after each build [`Keeper::record`] writes down what every input that
//! cargo looks at was (from cargo's own records, never a guess), and before the next [`Keeper::restore`] gives each input that is equal
//! now exactly its recorded date back. Then cargo decides as it would have decided right after the recording. What differs keeps
//! its new date; where that would not tell, the units made from it are invalidated. Units that are not in the state that was
//! recorded are left to cargo only if everything that they were made from has been untouched since they were begun.
//!
//! Verbatim and fail closed: without us, or in doubt, cargo compiles.
//!
//! | rule | because |
//! |---|---|
//! | one generation only | content that comes back after another was compiled would look old |
//! | equal dates are equal for all units or none | one file has different references in debug, release and test |
//! | a directory is equal if its listing and all below are | `rerun-if-changed=DIR` |
//! | links are compared by what they say and by what is behind them | cargo forgets links within a package |
//! | the file *set* of a package whose script names nothing | cargo compares the newest date only, a deleted file may be older |
//! | the newest file of such a package is newest alone | cargo notes its name too, and of several takes the one listed first |
//! | scripts are run again where what they wrote into the source tree is not as it was | a fresh checkout lacks it |
//! | a changed manifest invalidates its package | scripts read `CARGO_PKG_*` unseen |
//! | undeclared files of packages that run code count | a fresh checkout used to hide that they are not declared |
//! | mtime <= reference < ctime is no evidence | `cp -p`, `tar x`, `rsync -t`: replaced with the old date kept |
//! | a target directory from the future is moved back | or what changes now would be older than it |
//! | another place is refused | records have absolute paths |

mod inputs;
mod ledger;
mod products;
mod record;
mod restore;
mod snapshot;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use filetime::FileTime;
use serde::{Deserialize, Serialize};

pub use inputs::{is_of_the_python_side, rustc_dep_files};
pub use ledger::Ledger;
pub use restore::{Cause, Plan, Restored, file_time};
pub use snapshot::Nanos;
pub use tree::{Package, Tree, cargo_home};

use crate::cargo_records::{self, Records};
use crate::digest;
use crate::layout::Layout;
use snapshot::Skipped;

/// What counts as an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What is declared; and every file of packages that run code of their own when they are compiled, except Python,
    /// documentation and tests
    #[default]
    Auto,
    /// What cargo knows, and the setting `inputs`: your word that nothing else is read
    #[value(alias = "trust")]
    #[serde(alias = "trust")]
    Declared,
    /// Every file of every local package
    Strict,
    /// No dates are restored
    Off,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cargo cannot read the workspace of `{}`: {message}", manifest.display())]
    Cargo { manifest: PathBuf, message: String },
    #[error(transparent)]
    Records(#[from] cargo_records::Error),
    #[error("`{glob}` is not a pattern for files: {message}")]
    Glob { glob: String, message: String },
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// Whether dates of change exist here, without which content that was replaced under its old date would go unseen.
pub const fn is_supported() -> bool {
    cfg!(unix)
}

/// Keeps the ledger of one build directory.
#[derive(Debug, Clone)]
pub struct Keeper {
    pub tree: Tree,
    /// What is kept the ledger of: cargo's own build directory, or another.
    pub build_directory: PathBuf,
    pub mode: Mode,
    /// Further inputs: patterns, relative to `base`.
    pub globs: Vec<String>,
    pub base: PathBuf,
    /// Where the ledger is.
    pub path: PathBuf,
    skipped: Skipped,
}

impl Keeper {
    pub fn new(tree: Tree, build_directory: PathBuf, layout: &Layout, mode: Mode, globs: Vec<String>, base: &Path) -> Self {
        let path = layout.freshness(&id_of(&build_directory, layout));
        let skipped = Skipped {
            cargo_home: cargo_home(),
            // What is below the target directory and is an input all the same (maturin's configuration for PyO3) is named by itself.
            directories: vec![layout.envs()],
        };
        Self { tree, build_directory, mode, globs, base: base.to_path_buf(), path, skipped }
    }

    /// The last recording, if it is of a form that we know.
    pub fn ledger(&self) -> Option<Ledger> {
        Ledger::read(&self.path)
    }

    /// Whether there is a ledger of any workspace.
    pub fn remembers_any(layout: &Layout) -> bool {
        entries(&layout.freshness_directory()).next().is_some()
    }

    /// The workspace as it was when a ledger was written, if no manifest has changed since: then cargo need not be asked.
    pub fn remembered(layout: &Layout, workspace: &Path) -> Option<Tree> {
        memory_in(entries(&layout.freshness_directory()), workspace)
    }

    /// The same by what came in a layer, perhaps out of an archive that says what its maker liked: cargo has to [confirm](Self::distrust)
    /// it before anything is compiled.
    pub fn remembered_by_layer(layout: &Layout, workspace: &Path) -> Option<Tree> {
        memory_in(entries(&layout.layer()).map(|path| path.join("ledger.json")), workspace).filter(Tree::is_in_checkout)
    }

    /// Has every unit made again whose package is in the workspace, as it is or as it was taken to be: what was restored for it
    /// rests on a memory that is not true.
    pub fn distrust(&mut self, tree: Tree) -> Result<(), Error> {
        let is_local = |name: &str| tree.named(name).next().is_some() || self.tree.named(name).next().is_some();
        for unit in self.records()?.units.values().filter(|unit| is_local(&unit.package)) {
            restore::invalidate(unit, &self.build_directory);
        }
        self.tree = tree;
        Ok(())
    }

    /// Makes the ledger that was restored from a memory of the workspace, which has turned out to be true.
    pub fn confirm(&self, restored: &mut Restored) -> Result<(), Error> {
        let Some(ledger) = restored.ledger.as_mut().filter(|ledger| ledger.manifests.is_empty()) else { return Ok(()) };
        ledger.manifests = self.tree.manifests_digest();
        ledger.write_again(&self.path)
    }

    /// The records of the build directory.
    pub fn records(&self) -> Result<Records, Error> {
        Ok(Records::read(&self.build_directory)?)
    }

    /// What restoring would do.
    pub fn plan(&self, ledger: &Ledger, records: &Records) -> Result<Plan, Error> {
        restore::plan(self, ledger, records)
    }

    /// Gives inputs their dates back, and invalidates what cannot be vouched for. Without a ledger it does nothing: cargo
    /// judges by itself.
    pub fn restore(&self, records: &Records) -> Result<Restored, Error> {
        restore::restore(self, records)
    }

    /// Keeps what restoring found out of the files, so that a recording by another process need not read them again.
    pub fn remember(&self, restored: &Restored) -> Result<(), Error> {
        let Some(mut ledger) = restored.ledger.clone() else { return Ok(()) };
        restore::refresh(&mut ledger, restored);
        ledger.write_again(&self.path)
    }

    /// Writes down the present state, of which these are the `records`. `restored`: what was done before the build.
    pub fn record(&self, records: &Records, restored: Option<&Restored>, cold_seconds: &ColdSeconds) -> Result<Ledger, Error> {
        record::record(self, records, restored, cold_seconds)
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
}

fn memory_in(mut ledgers: impl Iterator<Item = PathBuf>, workspace: &Path) -> Option<Tree> {
    ledgers.find_map(|path| {
        let ledger = Ledger::read(&path)?;
        let holds = !ledger.tree.is_told && ledger.tree.workspace == workspace && ledger.manifests == ledger.tree.manifests_digest();
        holds.then_some(ledger.tree)
    })
}

/// A build directory's name in ours: relative to the directory that ours is in, so that it is the same after both have moved,
/// which is then seen.
pub fn id_of(build_directory: &Path, layout: &Layout) -> String {
    let base = layout.root().parent().unwrap_or(layout.root());
    let name = build_directory.strip_prefix(base).unwrap_or(build_directory);
    digest::short_of_path(name)
}

/// A file time in nanoseconds since 1970.
pub fn nanos(time: FileTime) -> Nanos {
    time.unix_seconds().saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanoseconds()))
}

/// The paths that cargo compares with a unit's references, those included that we never touch.
pub fn inputs_of(unit: &cargo_records::Unit, tree: &Tree) -> Vec<PathBuf> {
    let home = cargo_home();
    let paths = inputs::all_of_unit(unit, tree).into_iter();
    paths.filter(|path| !tree::is_in_cargo_home(path, &home)).collect()
}

/// Seconds that crates took to compile without any incremental state, by profile and crate: `release/big`.
pub type ColdSeconds = BTreeMap<String, f64>;

/// Why units were invalidated, by key.
pub type Causes = BTreeMap<String, Cause>;
