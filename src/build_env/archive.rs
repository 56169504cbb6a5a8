//! An environment as one file, for machines that have the same paths: packing, and unpacking to its
//! place as if it had been made there.

use std::io::{self, Read, Write};

use super::Error;
use super::fingerprint::{Artifact, Distribution};
use super::store::{Marker, Slot};
use super::venv;
use crate::fs;
use crate::layout::Layout;
use crate::ui::Ui;

/// The text of a complete environment's marker. `None`: there is no such environment, or one of its
/// distributions has nothing that says what is in it, so that another machine could get another.
pub(crate) fn marker(layout: &Layout, name: &str) -> Option<String> {
    let slot = Slot::new(layout, name);
    let marker = slot.read()?;
    let is_known =
        |one: &Distribution| !matches!(one.artifact, Artifact::Index { sha256: None, .. });
    if !marker.distributions.iter().all(is_known) {
        return None;
    }
    fs_err::read_to_string(&slot.marker).ok()
}

/// Writes the tree of an environment.
pub(crate) fn pack(layout: &Layout, name: &str, into: impl Write) -> io::Result<()> {
    let mut builder = tar::Builder::new(into);
    builder.follow_symlinks(false);
    builder.append_dir_all(".", Slot::new(layout, name).path)?;
    builder.into_inner()?.flush()
}

/// Unpacks one to its place, if it is not there. `false`: the archive is of an environment that does
/// not work here, such as one whose Python is not where it was, and nothing was done.
pub(crate) fn unpack(
    layout: &Layout,
    name: &str,
    marker: &str,
    archive: impl Read,
    ui: &Ui,
) -> Result<bool, Error> {
    let slot = Slot::new(layout, name);
    let is_its_own = Marker::parse(marker.as_bytes()).is_some();
    if !is_its_own || slot.read().is_some() {
        return Ok(is_its_own);
    }
    let _lock = slot.lock(None, ui)?;
    if slot.read().is_some() {
        return Ok(true);
    }
    slot.clear()?;
    let write = |source| Error::Write { path: slot.path.clone(), source };
    let scratch = layout.temporary("environment-").map_err(write)?;
    let tree = scratch.path().join("tree");
    let mut members = tar::Archive::new(archive);
    members.set_overwrite(false);
    members.unpack(&tree).map_err(write)?;
    fs_err::rename(&tree, &slot.path).map_err(write)?;
    venv::set_dates(&slot.path)?;
    fs::write_atomic(&slot.marker, marker.as_bytes()).map_err(write)?;
    if slot.read().is_some() {
        return Ok(true);
    }
    slot.clear()?;
    Ok(false)
}

/// Whether an environment is there.
pub(crate) fn is_there(layout: &Layout, name: &str) -> bool {
    Slot::new(layout, name).read().is_some()
}
