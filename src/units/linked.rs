//! What the linker read for a call.

use std::path::{Component, Path, PathBuf};

use super::call::Call;
use super::dep_info::DepInfo;
use super::digests::Digests;
use super::entry::{ABSENT, After};
use super::inputs::Inputs;
use super::start::{Start, is_product_of_cargo};
use super::unrecorded::Unrecorded;
use crate::fs;

/// What the linker read: everything but what is rustc's own or gone with the call.
pub fn linked(
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
        let home = path.parent().map(fs::real);
        let before = search.iter().position(|directory| Some(fs::real(directory)) == home);
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
