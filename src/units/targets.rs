//! The target directories that crates with editable sources were compiled in, wherever cargo was
//! told of them: by an option, a configuration, an alias, a `Makefile`.
//!
//! In each of them cargo finds such crates fresh by mtimes, and does not call the wrapper. So the
//! wrapper notes where it was called for which package, and the next command of ours sees to these
//! directories as to the workspace's own: see [`crate::target_trust`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::package::Package;
use super::store::{self, Store};
use crate::{digest, env_vars, fs};

/// A package that was compiled in a target directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    pub target: PathBuf,
    pub package: String,
    /// That of its manifest.
    pub directory: PathBuf,
}

/// Notes where a package is compiled, unless that is known. Without it the directory is only found
/// if it is in the workspace, or named in the command.
pub fn note(store: &Store, call: &Call, package: &Package) {
    // Of what is vendored, cargo compares checksums.
    if package.directory.join(".cargo-checksum.json").exists() {
        return;
    }
    let Some(target) = directory_of(call) else { return };
    let name = digest::short_of_path(&target);
    let file = folder(store).join(format!("{name}-{}.json", package.name));
    if !file.exists() {
        let compiled = Compiled {
            target,
            package: package.name.clone(),
            directory: package.directory.clone(),
        };
        let bytes = serde_json::to_vec(&compiled).expect("our own plain data always serialises");
        let _ = store::put(&file, &bytes);
    }
}

/// The `OUT_DIR` of the crate's own build script. A crate without one has cargo's own variables, and
/// so that of a build script that called this cargo.
pub fn own_out_dir(call: &Call) -> Option<PathBuf> {
    let out_dir = PathBuf::from(env_vars::get_os("OUT_DIR")?);
    let is_own = directory_of(call).is_none_or(|target| out_dir.starts_with(target));
    is_own.then_some(out_dir)
}

/// The target directory, or build directory, that a call writes to.
fn directory_of(call: &Call) -> Option<PathBuf> {
    let out_dir = std::path::absolute(&call.out_dir).ok()?;
    out_dir.ancestors().skip(1).find(|path| is_target(path)).map(Path::to_path_buf)
}

fn is_target(directory: &Path) -> bool {
    fs::is_target_directory(directory) || directory.join("CACHEDIR.TAG").is_file()
}

/// What was noted of directories that are still there.
pub fn noted(store: &Store) -> Vec<Compiled> {
    let entries = fs_err::read_dir(folder(store)).into_iter().flatten().filter_map(Result::ok);
    let read = |path: PathBuf| {
        let compiled: Compiled = serde_json::from_slice(&fs_err::read(&path).ok()?).ok()?;
        // The note may come out of a cache: nothing is touched but what is a target directory.
        if is_target(&compiled.target) {
            return Some(compiled);
        }
        let _ = fs_err::remove_file(path);
        None
    };
    entries.filter_map(|entry| read(entry.path())).collect()
}

fn folder(store: &Store) -> PathBuf {
    store.root().join("targets")
}
