//! From cargo's records to paths: what a unit's references are compared with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cargo_records::dep_info::DepFile;
use crate::cargo_records::{Inputs, Kind, Unit};
use crate::project::cargo::{CargoWorkspace, cargo_home, is_in_cargo_home};
use crate::project::files_of_package;

/// The paths that cargo compares with the references of a unit. A path relative to the package
/// stands below every package of that name: which it is, the records do not say. What is in cargo's
/// home is left out, as cargo does not look at its dates.
pub(super) fn inputs_of(unit: &Unit, workspace: &CargoWorkspace) -> Vec<PathBuf> {
    let roots: Vec<&Path> =
        workspace.local_named(&unit.package).map(|package| package.root.as_path()).collect();
    let below = |path: &Path| -> Vec<PathBuf> {
        // `rerun-if-changed=` with nothing is the package itself.
        roots
            .iter()
            .map(
                |root| {
                    if path.as_os_str().is_empty() { root.to_path_buf() } else { root.join(path) }
                },
            )
            .collect()
    };
    let mut paths = BTreeSet::new();
    for reference in &unit.references {
        match &reference.inputs {
            Inputs::DepInfo(info) => {
                for file in &info.files {
                    match file {
                        DepFile::Package(path) => paths.extend(below(path)),
                        DepFile::Absolute(path) => {
                            paths.insert(path.clone());
                        }
                        // Made by a build script, with a date that cargo gave it.
                        DepFile::Build(_) => {}
                    }
                }
            }
            Inputs::Paths(declared) => {
                for path in declared {
                    if path.is_absolute() {
                        paths.insert(path.clone());
                    } else {
                        paths.extend(below(path));
                    }
                }
            }
        }
    }
    if unit.looks_at_whole_package() && unit.kind == Kind::Run {
        paths.extend(roots.iter().flat_map(|root| files_of_package(root)));
    }
    let home = cargo_home();
    paths.into_iter().filter(|path| !is_in_cargo_home(path, &home)).collect()
}
