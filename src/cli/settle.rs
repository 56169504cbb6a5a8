//! Before cargo runs: each target directory that it may use is compared with this checkout, see
//! [`target_trust`].

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::fs;
use crate::layout::Layout;
use crate::project::CargoWorkspace;
use crate::target_trust::{self, Distrust, LocalPackage, Place};
use crate::ui::Ui;
use crate::units::store::Store;
use crate::units::targets;

/// Sees to it that cargo takes no local crate for fresh by mtimes that were not made here.
/// `checkout` is the root of the workspace that the command is for, of which `workspace` may be a
/// neighbour; `neighbours` are target directories that were seen to already.
pub(super) fn settle(
    layout: &Layout,
    checkout: &Path,
    workspace: &CargoWorkspace,
    others: &[PathBuf],
    neighbours: &[PathBuf],
    ui: &Ui,
) {
    let local = workspace.local_packages();
    let mut packages: Vec<LocalPackage> = local
        .map(|package| LocalPackage { name: package.name.clone(), directory: package.root.clone() })
        .collect();
    let mut directories: VecDeque<PathBuf> =
        [workspace.target_directory.clone(), workspace.build_directory.clone()].into();
    directories.extend(others.iter().cloned());
    let known = directories.clone();
    if workspace.root == checkout {
        directories.extend(noted(layout, checkout, neighbours, &mut packages));
    }
    let place = Place { checkout, workspace: &workspace.root, packages: &packages };
    let mut settled = BTreeSet::new();
    while let Some(directory) = directories.pop_front() {
        // It may have several names.
        if !settled.insert(fs::real(&directory)) {
            continue;
        }
        match target_trust::settle(layout, &directory, &place) {
            Ok(found) => {
                directories.extend(found.others);
                if let Some(distrust) = found.distrust {
                    say(&distrust, &directory, &workspace.root, ui);
                }
            }
            Err(error) => {
                let text = format!(
                    "`{}` may be stale, and could not be marked for a rebuild: {error}",
                    directory.display()
                );
                // Perhaps nobody uses what was only found.
                if known.contains(&directory) { ui.warning(text) } else { ui.detail(text) }
            }
        }
    }
}

/// Where cargo has compiled packages of this checkout, also those of other workspaces in it, which
/// are added to `packages`.
fn noted(
    layout: &Layout,
    checkout: &Path,
    neighbours: &[PathBuf],
    packages: &mut Vec<LocalPackage>,
) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for one in targets::noted(&Store::at(layout.store())) {
        let is_of_checkout = one.directory.starts_with(checkout)
            || packages.iter().any(|package| package.directory == one.directory);
        if !is_of_checkout || neighbours.contains(&one.target) {
            continue;
        }
        if !packages.iter().any(|package| package.name == one.package) {
            packages.push(LocalPackage { name: one.package, directory: one.directory });
        }
        directories.push(one.target);
    }
    directories
}

fn say(distrust: &Distrust, directory: &Path, workspace: &Path, ui: &Ui) {
    let what = match distrust {
        Distrust::Foreign => format!("`{}` was not built in this checkout", directory.display()),
        Distrust::TooMuch => format!("too many files below `{}`", workspace.display()),
        Distrust::OldSource(source) => format!("`{}` has an old mtime", source.display()),
    };
    ui.detail(format_args!("{what}: local crates are compared by content, not by mtime"));
}
