//! The files that a call read and wrote, known once rustc has run: [`After`], and its outputs.

use std::path::{Path, PathBuf};

use super::call::Call;
use super::dep_info::{self, DepInfo};
use super::digests::Digests;
use super::entry::{ABSENT, After, Output, PRESENT, shown};
use super::inputs::Inputs;
use super::linked;
use super::start::{Start, is_product_of_cargo, is_within, named_like};
use super::store::Store;
use super::traits::Traits;
use super::unrecorded::Unrecorded;
use super::{archive, targets, tree};

/// A source that may have been written to or replaced while rustc ran, so that nobody knows which
/// content it read.
pub fn changed_source(call: &Call, root: &Path, package: &Path, start: &Start) -> Option<PathBuf> {
    let info = dep_info::of_call(call)?;
    // What was made in the same build is new, and nobody edits it.
    let is_source = |path: &PathBuf| {
        !is_within(path, &call.out_dir) && !is_product_of_cargo(path, &call.out_dir)
    };
    info.files
        .iter()
        .map(|path| root.join(path))
        .filter(is_source)
        .find(|path| start.changed(path, root, package))
}

/// Everything that the call read and was not known before.
pub fn after(
    call: &Call,
    package: &Path,
    inputs: &Inputs,
    start: &Start,
    linker_said: Option<&Path>,
    digests: &mut Digests,
) -> Result<After, Unrecorded> {
    let root = &inputs.before.directory;
    let out_dir = targets::own_out_dir(call);
    let look = Look { call, package, inputs, start, root, out_dir: out_dir.as_deref() };
    let mut after = After::default();
    if let Some(out_dir) = &out_dir
        && tree::whole(out_dir, digests) != inputs.before.out_dir
    {
        return Err(Unrecorded::Changed(out_dir.clone()));
    }
    named_files_hold(inputs, start)?;
    let info = dep_info::of_call(call).ok_or(Unrecorded::NoDependencyFile)?;
    let mut traits = inputs.closure.traits;
    traits |= Traits::of_files(info.files.iter().map(|path| root.join(path)));
    if traits.may_have_assembler_read() {
        return Err(Unrecorded::Assembler);
    }
    if traits.names_variables && inputs.demands_no_variables {
        return Err(Unrecorded::Variable);
    }
    for (name, value) in &info.variables {
        let value = value.as_ref().map(|value| shown(name, value));
        after.variables.insert(name.clone(), value);
    }
    look.sources(&info, &mut after, digests)?;
    look.libraries(&mut after, digests)?;
    if call.is_linked() {
        let said = linker_said
            .and_then(|file| fs_err::read_to_string(file).ok())
            .and_then(|text| DepInfo::of_linker(&text));
        linked::linked(
            call,
            inputs,
            start,
            &said.ok_or(Unrecorded::SilentLinker)?,
            &mut after,
            digests,
        )?;
    }
    look.search_directories(&info, &mut after, digests)?;
    Ok(after)
}

/// A call that has ended, while [`after`] looks at what it has read.
struct Look<'a> {
    call: &'a Call,
    package: &'a Path,
    inputs: &'a Inputs,
    start: &'a Start,
    root: &'a Path,
    out_dir: Option<&'a Path>,
}

impl Look<'_> {
    fn is_in_out_dir(&self, path: &Path) -> bool {
        self.out_dir.is_some_and(|out_dir| is_within(path, out_dir))
    }

    /// The files of the dependency file, and the modules that would be ambiguous with them.
    fn sources(
        &self,
        info: &DepInfo,
        after: &mut After,
        digests: &mut Digests,
    ) -> Result<(), Unrecorded> {
        for path in &info.files {
            let path = self.root.join(path);
            if self.is_in_out_dir(&path)
                || self.inputs.toolchain.has(&path)
                || self.inputs.before.externs.contains_key(&path)
            {
                continue;
            }
            digests.forget(&path);
            let digest = digests.file(&path).ok_or_else(|| Unrecorded::Gone(path.clone()))?;
            if self.start.changed(&path, self.root, self.package) {
                return Err(Unrecorded::Changed(path));
            }
            if let Some(other) = counterpart(&path) {
                // Both at once are an error of rustc's, which it would not tell of the one that is
                // not there.
                let state = if other.exists() { PRESENT } else { ABSENT };
                after.files.insert(other, state.to_owned());
            }
            after.files.insert(path, digest);
        }
        Ok(())
    }

    /// Libraries of Rust: those that were named, and those that are in what was made.
    fn libraries(&self, after: &mut After, digests: &mut Digests) -> Result<(), Unrecorded> {
        let externs = &self.inputs.before.externs;
        // Not the ctime: cargo makes further links to finished libraries at any time.
        if let Some(path) = externs.keys().find(|path| self.start.is_written_after(path)) {
            return Err(Unrecorded::Changed(path.clone()));
        }
        if self.call.bundles_its_dependencies() {
            for path in &self.inputs.closure.libraries {
                if !externs.contains_key(path) {
                    let digest =
                        digests.file(path).ok_or_else(|| Unrecorded::Gone(path.clone()))?;
                    after.files.insert(path.clone(), digest);
                }
            }
        }
        Ok(())
    }

    /// What rustc may have found in the directories of `-L`.
    fn search_directories(
        &self,
        info: &DepInfo,
        after: &mut After,
        digests: &mut Digests,
    ) -> Result<(), Unrecorded> {
        let call = self.call;
        let may_bundle = may_bundle_native_libraries(call);
        if may_bundle
            && (call.libraries.iter().any(|name| name.contains('/'))
                || names_library_by_path(info, self.root))
        {
            return Err(Unrecorded::NamedLibrary);
        }
        for search in &call.search {
            let path = self.root.join(&search.path);
            let finds_crates =
                search.kind == "all" || (search.kind == "dependency" && !is_cargos(&path, call));
            if !finds_crates && !matches!(search.kind.as_str(), "native" | "all") {
                continue;
            }
            if self.is_in_out_dir(&path) {
                continue;
            }
            if may_bundle && search.kind != "dependency" {
                let files = tree::libraries_in(&path)
                    .ok_or_else(|| Unrecorded::NativeLibraries(path.clone()))?;
                unchanged(&files, call, self.start, digests)?;
                after.native.insert(path.clone(), tree::digest_of(&files, digests));
            }
            if finds_crates {
                // `extern crate` finds these without being told, and what they are made of is not
                // known.
                let files = tree::crates_in(&path);
                if let Some(found) = files.iter().find(|file| tree::is_macro(file)) {
                    return Err(Unrecorded::FoundMacro(found.clone()));
                }
                unchanged(&files, call, self.start, digests)?;
                after.crates.insert(path, tree::digest_of(&files, digests));
            }
        }
        Ok(())
    }
}

/// Whether a directory of dependencies is one of cargo's own: what is in there, notes tell.
fn is_cargos(directory: &Path, call: &Call) -> bool {
    let is_target = |path: &&Path| path.join(".rustc_info.json").is_file();
    let of_externs = || call.externs.iter().filter_map(|one| one.path.as_deref()?.parent());
    directory == call.out_dir
        || of_externs().any(|parent| parent == directory)
        || directory.parent().is_some_and(|profile| profile.join(".fingerprint").is_dir())
        || call
            .out_dir
            .ancestors()
            .find(is_target)
            .is_some_and(|target| directory.starts_with(target))
}

/// Whether a source may name a library by its path.
fn names_library_by_path(info: &DepInfo, root: &Path) -> bool {
    info.files
        .iter()
        .any(|path| fs_err::read_to_string(root.join(path)).is_ok_and(|text| links_by_path(&text)))
}

/// `#[link(name = "/a/libfoo.a", modifiers = "+verbatim")]`, or one whose name a macro puts in.
fn links_by_path(text: &str) -> bool {
    let attributes = text.split("link").skip(1).map(|rest| rest.split(']').next().unwrap_or(rest));
    attributes
        .into_iter()
        .any(|attribute| attribute.contains("verbatim") && attribute.contains(['/', '\\', '$']))
}

/// Whether files that were read by name are what they were: those that arguments name, that the
/// user has declared, clippy's.
fn named_files_hold(inputs: &Inputs, start: &Start) -> Result<(), Unrecorded> {
    let mut fresh = Digests::default();
    for (path, then) in inputs.before.files.iter().filter(|(path, _)| !path.starts_with("/proc")) {
        let now = fresh.state(path);
        if now != *then || (path.is_file() && start.is_newer(path)) {
            return Err(Unrecorded::Changed(path.clone()));
        }
    }
    for (workspace, patterns) in &inputs.patterns {
        let matching = super::inputs::matching(workspace, patterns)
            .map_err(|_why| Unrecorded::Changed(workspace.clone()))?;
        if let Some(new) = matching.into_iter().find(|path| !inputs.before.files.contains_key(path))
        {
            return Err(Unrecorded::Changed(new));
        }
    }
    Ok(())
}

/// Whether libraries were left alone while rustc ran; and has them read again.
fn unchanged(
    files: &[PathBuf],
    call: &Call,
    start: &Start,
    digests: &mut Digests,
) -> Result<(), Unrecorded> {
    for path in files {
        digests.forget(path);
        if start.is_newer(path) && !is_product_of_cargo(path, &call.out_dir) {
            return Err(Unrecorded::Changed(path.clone()));
        }
    }
    Ok(())
}

/// Whether rustc itself may have read native libraries: into a `staticlib` it puts all of them,
/// into an rlib those that `-l` or `#[link]` names, which shows in its members.
fn may_bundle_native_libraries(call: &Call) -> bool {
    if !call.emit.contains("link") {
        return false;
    }
    if call.crate_types.contains("staticlib") || !call.libraries.is_empty() {
        return true;
    }
    let makes_library = call.crate_types.iter().any(|kind| matches!(kind.as_str(), "lib" | "rlib"));
    let rlib = call.out_dir.join(format!("lib{}.rlib", call.stem()));
    makes_library && !call.is_test && !archive::has_only_own_members(&rlib, &call.stem())
}

/// `m/mod.rs` for `m.rs`, and the other way round.
fn counterpart(path: &Path) -> Option<PathBuf> {
    if path.extension()? != "rs" {
        return None;
    }
    if path.file_name()? == "mod.rs" {
        let folder = path.parent()?;
        return Some(folder.with_file_name(format!("{}.rs", folder.file_name()?.to_str()?)));
    }
    Some(path.with_extension("").join("mod.rs"))
}

/// What the call wrote, put into the store.
pub fn outputs(call: &Call, start: &Start, store: &Store) -> Result<Vec<Output>, Unrecorded> {
    let mut outputs = Vec::new();
    for path in named_like(call) {
        // Left by another call with the same names: other crate types of a library without a hash.
        if start.had(&path) {
            continue;
        }
        let metadata =
            fs_err::symlink_metadata(&path).map_err(|_error| Unrecorded::Gone(path.clone()))?;
        if !metadata.is_file() {
            return Err(Unrecorded::StrangeOutput(path));
        }
        let digest = store.add(&path).map_err(|error| Unrecorded::Store(error.to_string()))?;
        outputs.push(Output { digest, is_executable: tree::is_executable(&metadata), path });
    }
    let has = |ending: &str| {
        outputs.iter().any(|output| output.path.extension().is_some_and(|found| found == ending))
    };
    let complete = call.emit.iter().try_for_each(|kind| {
        let is_there = match kind.as_str() {
            "dep-info" => has("d"),
            "metadata" => has("rmeta"),
            _ => outputs.iter().any(|output| {
                output.path.extension().is_none_or(|ending| ending != "d" && ending != "rmeta")
            }),
        };
        if is_there { Ok(()) } else { Err(Unrecorded::NoOutput(kind.clone())) }
    });
    complete.map(|()| outputs)
}

#[cfg(test)]
mod tests;
