//! The files that a call read and wrote, known once rustc has run: [`After`], and its outputs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::call::Call;
use super::dep_info::DepInfo;
use super::digests::Digests;
use super::entry::{ABSENT, After, Output, PRESENT, shown};
use super::inputs::Inputs;
use super::store::Store;
use super::traits::Traits;
use super::{archive, digests, tree};
use crate::env_vars;

/// Begins the message of an [`Unrecorded::Store`].
pub const STORE_ERROR: &str = "the store could not be written";

/// Why a call that succeeded is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrecorded {
    #[error("rustc's dep-info file is missing or not readable")]
    NoDependencyFile,
    #[error("the linker did not say what it read")]
    SilentLinker,
    #[error("`{}` was written to while rustc ran", .0.display())]
    Changed(PathBuf),
    #[error("the assembler may have read a file that rustc does not name")]
    Assembler,
    #[error("a source names a variable that a macro may have read without rustc's knowledge")]
    Variable,
    #[error("`{}` was read, but no longer exists", .0.display())]
    Gone(PathBuf),
    #[error("a native library may be named by a path")]
    NamedLibrary,
    #[error("`{}` is a procedural macro that no extern names", .0.display())]
    FoundMacro(PathBuf),
    #[error("the native libraries in `{}` are too many to compare", .0.display())]
    NativeLibraries(PathBuf),
    #[error("no output of `--emit={0}` was found")]
    NoOutput(String),
    #[error("`{}` is not a file that can be kept", .0.display())]
    StrangeOutput(PathBuf),
    #[error("its messages are not text")]
    Messages,
    #[error("{STORE_ERROR}: {0}")]
    Store(String),
}

/// The clock of file systems ticks more slowly than ours.
const TICK: Duration = Duration::from_millis(10);

/// The state of the world when rustc was started.
#[derive(Debug)]
pub struct Start {
    /// Files with an mtime or ctime before this were not written to since.
    threshold: SystemTime,
    /// Files that were there already and have names like the outputs'.
    outputs: BTreeMap<PathBuf, Option<digests::Stamp>>,
}

impl Start {
    pub fn now(call: &Call) -> Self {
        let threshold = SystemTime::now() - TICK;
        Self {
            threshold,
            outputs: named_like(call)
                .into_iter()
                .map(|path| (path.clone(), digests::stamp_of(&path)))
                .collect(),
        }
    }

    /// The same for something else than a call of rustc that began at this time.
    pub fn at(time: SystemTime) -> Self {
        Self { threshold: time - TICK, outputs: BTreeMap::new() }
    }

    /// Whether a file, or a directory that its path leads through below `root`, may have been
    /// written to or replaced since.
    ///
    /// What is moved keeps its mtime, but its ctime is that of the move; so a directory counts,
    /// too. In `package` and above it, other files come and go while rustc runs (a coverage
    /// profile of each program that ends there): there only a move counts, which changes the
    /// ctime and not the mtime.
    fn changed(&self, path: &Path, root: &Path, package: &Path) -> bool {
        if self.is_newer(path) {
            return true;
        }
        let within = path.starts_with(root);
        let parents = path
            .ancestors()
            .skip(1)
            .take_while(|parent| if within { *parent != root } else { !root.starts_with(parent) });
        parents.into_iter().any(|parent| {
            if package.starts_with(parent) { self.is_moved(parent) } else { self.is_newer(parent) }
        })
    }

    fn is_moved(&self, directory: &Path) -> bool {
        let Ok(metadata) = fs_err::symlink_metadata(directory) else { return true };
        let changed = changed_at(&metadata);
        changed.is_some_and(|time| time > self.threshold) && metadata.modified().ok() != changed
    }

    pub fn is_newer(&self, path: &Path) -> bool {
        let Ok(metadata) = fs_err::metadata(path) else { return true };
        let link = fs_err::symlink_metadata(path);
        [Some(&metadata), link.as_ref().ok()].into_iter().flatten().any(|metadata| {
            metadata.modified().is_ok_and(|time| time > self.threshold)
                || changed_at(metadata).is_some_and(|time| time > self.threshold)
        })
    }
}

#[cfg(unix)]
fn changed_at(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::new(seconds, u32::try_from(metadata.ctime_nsec()).ok()?))
}

/// When it was made is the nearest to it.
#[cfg(not(unix))]
fn changed_at(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    metadata.created().ok()
}

/// Files in the output directory that may be a call's: their names are its stem up to the first
/// dot.
fn named_like(call: &Call) -> Vec<PathBuf> {
    // Another crate may be called `libfoo` where this one is `foo`.
    const LIBRARIES: &[&str] = &["a", "dylib", "rlib", "rmeta", "so"];
    let stem = call.stem();
    let library = format!("lib{stem}");
    let is_one = |name: &OsStr| {
        let name = name.to_string_lossy();
        let (first, ending) = name.split_once('.').unwrap_or((&name, ""));
        let is_library = ending.split('.').next().is_some_and(|ending| LIBRARIES.contains(&ending));
        (first == stem && (!is_library || cfg!(windows)))
            || (first == library && (is_library || cfg!(windows)))
    };
    let entries = fs_err::read_dir(&call.out_dir).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> =
        entries.filter(|entry| is_one(&entry.file_name())).map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// The dependency file of a call.
fn dependency_file(call: &Call) -> PathBuf {
    call.out_dir.join(format!("{}.d", call.stem()))
}

fn dependencies(call: &Call) -> Result<DepInfo, Unrecorded> {
    let text = fs_err::read_to_string(dependency_file(call))
        .map_err(|_error| Unrecorded::NoDependencyFile)?;
    DepInfo::of_rustc(&text).ok_or(Unrecorded::NoDependencyFile)
}

/// All sources of a call that has written its dependency file.
pub fn sources(call: &Call) -> Vec<PathBuf> {
    dependencies(call).map(|info| info.files).unwrap_or_default()
}

/// Those of a library that another cargo may have made, by the dependency file next to it.
pub fn sources_of_library(library: &Path) -> Vec<PathBuf> {
    let name = library.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let dep_info =
        library.with_file_name(format!("{}.d", name.strip_prefix("lib").unwrap_or(&name)));
    let info = fs_err::read_to_string(dep_info).ok().and_then(|text| DepInfo::of_rustc(&text));
    info.map(|info| info.files).unwrap_or_default()
}

/// A source that may have been written to or replaced while rustc ran, so that nobody knows which
/// content it read.
pub fn changed_source(call: &Call, root: &Path, package: &Path, start: &Start) -> Option<PathBuf> {
    let info = dependencies(call).ok()?;
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

/// Has cargo call us again for this crate the next time. A source that was replaced while rustc ran
/// may have kept an old mtime, and cargo would take the crate for fresh; but not one that depends
/// on a file that is not there.
///
/// Source: cargo reads the first rule of the file, <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/dep_info.rs>,
/// `parse_rustc_dep_info`.
pub fn leave_dirty(call: &Call) -> std::io::Result<()> {
    let path = dependency_file(call);
    let text = fs_err::read_to_string(&path)?;
    let missing = format!("{}.changed-while-rustc-ran", call.stem());
    let mut is_first = true;
    let lines = text.lines().map(|line| {
        if std::mem::replace(&mut is_first, false) {
            format!("{line} {missing}\n")
        } else {
            format!("{line}\n")
        }
    });
    fs_err::write(&path, lines.collect::<String>())
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
    let mut after = After::default();
    let out_dir = env_vars::get_os("OUT_DIR").map(PathBuf::from);
    if let Some(out_dir) = &out_dir
        && tree::whole(out_dir, digests) != inputs.before.out_dir
    {
        return Err(Unrecorded::Changed(out_dir.clone()));
    }
    named_files_hold(inputs, start)?;
    let info = dependencies(call)?;
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
    for path in &info.files {
        let path = root.join(path);
        if out_dir.as_ref().is_some_and(|out_dir| is_within(&path, out_dir))
            || inputs.toolchain.has(&path)
            || inputs.before.externs.contains_key(&path)
        {
            continue;
        }
        digests.forget(&path);
        let digest = digests.file(&path).ok_or_else(|| Unrecorded::Gone(path.clone()))?;
        if start.changed(&path, root, package) {
            return Err(Unrecorded::Changed(path));
        }
        if let Some(other) = counterpart(&path) {
            // Both at once are an error of rustc's, which it would not tell of the one that is not
            // there.
            let state = if other.exists() { PRESENT } else { ABSENT };
            after.files.insert(other, state.to_owned());
        }
        after.files.insert(path, digest);
    }
    for path in inputs.before.externs.keys() {
        // Not the ctime: cargo makes further links to finished libraries at any time.
        if fs_err::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_or(true, |time| time > start.threshold + TICK)
        {
            return Err(Unrecorded::Changed(path.clone()));
        }
    }
    if call.bundles_its_dependencies() {
        for path in &inputs.closure.libraries {
            if !inputs.before.externs.contains_key(path) {
                after.files.insert(
                    path.clone(),
                    digests.file(path).ok_or_else(|| Unrecorded::Gone(path.clone()))?,
                );
            }
        }
    }
    if call.is_linked() {
        let said = linker_said
            .and_then(|file| fs_err::read_to_string(file).ok())
            .and_then(|text| DepInfo::of_linker(&text));
        linked(call, inputs, start, &said.ok_or(Unrecorded::SilentLinker)?, &mut after, digests)?;
    }
    let may_bundle = may_bundle_native_libraries(call);
    if may_bundle
        && (call.libraries.iter().any(|name| name.contains('/'))
            || names_library_by_path(&info, root))
    {
        return Err(Unrecorded::NamedLibrary);
    }
    for search in &call.search {
        let path = root.join(&search.path);
        let finds_crates =
            search.kind == "all" || (search.kind == "dependency" && !is_cargos(&path, call));
        if !finds_crates && !matches!(search.kind.as_str(), "native" | "all") {
            continue;
        }
        if out_dir.as_ref().is_some_and(|out_dir| is_within(&path, out_dir)) {
            continue;
        }
        if may_bundle && search.kind != "dependency" {
            let files = tree::libraries_in(&path)
                .ok_or_else(|| Unrecorded::NativeLibraries(path.clone()))?;
            unchanged(&files, call, start, digests)?;
            after.native.insert(path.clone(), tree::digest_of(&files, digests));
        }
        if finds_crates {
            // `extern crate` finds these without being told, and what they are made of is not
            // known.
            let files = tree::crates_in(&path);
            if let Some(found) = files.iter().find(|file| tree::is_macro(file)) {
                return Err(Unrecorded::FoundMacro(found.clone()));
            }
            unchanged(&files, call, start, digests)?;
            after.crates.insert(path, tree::digest_of(&files, digests));
        }
    }
    Ok(after)
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
    let attributes = text.split("link(").skip(1).map(|rest| rest.split(']').next().unwrap_or(rest));
    attributes
        .into_iter()
        .any(|attribute| attribute.contains("verbatim") && attribute.contains(['/', '\\', '$']))
}

/// Whether files that were read by name are what they were: those that arguments name, that the
/// user has declared, clippy's.
fn named_files_hold(inputs: &Inputs, start: &Start) -> Result<(), Unrecorded> {
    let mut fresh = Digests::default();
    for (path, then) in inputs.before.files.iter().filter(|(path, _)| !path.starts_with("/proc")) {
        let now = fresh
            .file(path)
            .unwrap_or_else(|| if path.exists() { PRESENT.to_owned() } else { ABSENT.to_owned() });
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

/// What the linker read: everything but what is rustc's own or gone with the call.
fn linked(
    call: &Call,
    inputs: &Inputs,
    start: &Start,
    said: &DepInfo,
    after: &mut After,
    digests: &mut Digests,
) -> Result<(), Unrecorded> {
    let root = &inputs.before.directory;
    let linker = inputs.linker.as_ref().expect("a call that links has one");
    let search: Vec<PathBuf> =
        linker.search(call).into_iter().map(|path| root.join(path)).collect();
    for path in &said.files {
        let path = root.join(path);
        if inputs.toolchain.has(&path)
            || is_own(call, &path)
            || inputs.before.externs.contains_key(&path)
        {
            continue;
        }
        let Some(digest) = digests.file(&path) else {
            // rustc's own, such as copies of libraries under LTO; the libraries themselves are in
            // the closure.
            if is_temporary(&path) {
                continue;
            }
            return Err(Unrecorded::Gone(path));
        };
        if !inputs.closure.libraries.contains(&path)
            && start.is_newer(&path)
            && !is_product_of_cargo(&path, &call.out_dir)
        {
            return Err(Unrecorded::Changed(path));
        }
        let real =
            |path: &Path| crate::fs::canonicalize(path).unwrap_or_else(|_error| path.to_path_buf());
        let home = path.parent().map(real);
        let before = search.iter().position(|directory| Some(real(directory)) == home);
        if let (Some(before), Some(file_name)) = (before, path.file_name()) {
            // Start files, and what a linker's script names, are looked for like libraries.
            // lld takes what a script names from the working directory, before all others.
            let earlier =
                search.iter().take(before).chain([root]).map(|directory| directory.join(file_name));
            after.files.extend(
                earlier
                    .filter(|earlier| !earlier.exists())
                    .map(|earlier| (earlier, ABSENT.to_owned())),
            );
        }
        if let Some(name) = library_name(&path) {
            // Next to an archive, a shared library would have come first.
            if let Some(shared) = path
                .extension()
                .filter(|ending| *ending == "a")
                .map(|_| path.with_extension("so"))
                .filter(|shared| !shared.exists())
            {
                after.files.insert(shared, ABSENT.to_owned());
            }
            let before = before.unwrap_or(search.len());
            after
                .found
                .entry(name)
                .and_modify(|least| *least = before.min(*least))
                .or_insert(before);
        }
        after.files.insert(path, digest);
    }
    after.search = search;
    Ok(())
}

/// Made by an earlier call of the same build: its times are those of this build.
fn is_product_of_cargo(path: &Path, out_dir: &Path) -> bool {
    out_dir.parent().is_some_and(|profile| is_within(path, profile))
}

/// Whether a path leads into a directory, and not out of it again.
fn is_within(path: &Path, directory: &Path) -> bool {
    path.strip_prefix(directory)
        .is_ok_and(|rest| !rest.components().any(|part| part == Component::ParentDir))
}

/// An object file of the crate itself. Of a name that is too long, as LTO makes them of several
/// crates', rustc hashes the start: <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_session/src/config.rs>, `maybe_strip_file_name`.
fn is_own(call: &Call, path: &Path) -> bool {
    let stem = call.stem();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let has_own_name = name.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('.'));
    path.parent() == Some(call.out_dir.as_path()) && (has_own_name || name.ends_with(".rcgu.o"))
}

/// In a directory that rustc makes for the call and removes: `rustcXXXXXX`.
fn is_temporary(path: &Path) -> bool {
    path.components().any(
        |part| matches!(part, Component::Normal(name) if name.to_string_lossy().strip_prefix("rustc").is_some_and(|rest| rest.len() == 6)),
    )
}

/// `foo` of `libfoo.a`, `libfoo.so`, `libfoo.so.1`.
fn library_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix("lib")?;
    let (name, _version) =
        name.split_once(".so").or_else(|| Some((name.strip_suffix(".a")?, "")))?;
    Some(name.to_owned())
}

/// The file names under which a linker looks for a library.
pub fn candidates(directory: &Path, name: &str) -> [PathBuf; 2] {
    [directory.join(format!("lib{name}.so")), directory.join(format!("lib{name}.a"))]
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
        if start
            .outputs
            .get(&path)
            .is_some_and(|stamp| stamp.is_some() && *stamp == digests::stamp_of(&path))
        {
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
mod tests {
    use super::*;

    #[test]
    fn libraries_that_are_named_by_their_paths() {
        for text in [
            r#"#[link(name = "../lib/libfoo.a", kind = "static", modifiers = "+verbatim")]"#,
            r#"#[cfg_attr(unix, link(name = "/a/libfoo.a", modifiers = "+verbatim"))]"#,
            r#"#[link(name = $name, modifiers = "+whole-archive,+verbatim")]"#,
        ] {
            assert!(links_by_path(text), "{text}");
        }
        for text in [
            r#"#[link(name = "libfoo.a", modifiers = "+verbatim")] // a/b"#,
            "verbatim / symlink(a, b)",
            r#"#[link(name = "a/b")]"#,
        ] {
            assert!(!links_by_path(text), "{text}");
        }
    }

    #[test]
    fn a_module_is_in_one_of_two_places() {
        for (one, other) in [
            ("/p/src/m.rs", "/p/src/m/mod.rs"),
            ("/p/src/m/mod.rs", "/p/src/m.rs"),
            ("/p/src/lib.rs", "/p/src/lib/mod.rs"),
        ] {
            assert_eq!(counterpart(Path::new(one)).as_deref(), Some(Path::new(other)));
        }
        assert_eq!(counterpart(Path::new("/p/data.json")), None);
    }

    #[test]
    fn names_of_libraries() {
        for (path, expected) in [
            ("/lib/libc.so.6", Some("c")),
            ("/lib/libfoo.a", Some("foo")),
            ("/lib/libx.so", Some("x")),
            ("/lib/Scrt1.o", None),
            ("/t/libserde-1.rlib", None),
        ] {
            assert_eq!(library_name(Path::new(path)).as_deref(), expected, "{path}");
        }
        assert!(is_temporary(Path::new("/t/deps/rustcyrwWiv/libsys-1.rlib")));
        assert!(!is_temporary(Path::new("/t/deps/rustc-demangle/libsys-1.rlib")));
    }

    #[test]
    #[cfg(unix)]
    fn times_tell_of_files_and_of_what_they_lie_in() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("w");
        let package = root.join("p");
        let file = package.join("src/a/x.rs");
        let at = |name: &str| dir.path().join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::create_dir_all(at("old")).unwrap();
        fs_err::write(&file, "1").unwrap();
        fs_err::write(at("old/x.rs"), "2").unwrap();
        fs_err::write(at("old.rs"), "2").unwrap();
        let changed = |change: &dyn Fn()| {
            std::thread::sleep(TICK * 3);
            let start = Start { threshold: SystemTime::now() - TICK, outputs: BTreeMap::new() };
            std::thread::sleep(TICK * 2);
            change();
            start.changed(&file, &root, &package)
        };
        assert!(!changed(&|| {}));
        assert!(
            !changed(&|| fs_err::write(package.join("default.profraw"), "").unwrap()),
            "beside the sources"
        );
        assert!(!changed(&|| fs_err::write(root.join("default.profraw"), "").unwrap()));
        assert!(
            changed(&|| fs_err::rename(at("old.rs"), &file).unwrap()),
            "with its own old mtime"
        );
        let replace = || {
            fs_err::rename(package.join("src/a"), at("gone")).unwrap();
            fs_err::rename(at("old"), package.join("src/a")).unwrap();
        };
        assert!(changed(&replace), "a directory");
        let replace = || {
            fs_err::rename(&package, at("moved")).unwrap();
            fs_err::rename(at("moved"), &package).unwrap();
        };
        assert!(changed(&replace), "the package");
    }
}
