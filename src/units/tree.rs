//! The state of directories as inputs: `OUT_DIR`, and directories of native libraries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::archive;
use super::digests::Digests;
use crate::digest;

/// More files than this in `OUT_DIR` are not compared: a link there leads to a whole disk, say.
const TOO_MANY: usize = 100_000;

/// More than this much in a directory of native libraries, or behind links in `OUT_DIR`, is not
/// compared: system directories hold gigabytes.
const TOO_LARGE: u64 = 256 * 1024 * 1024;

/// All that is in a directory: relative paths, and for each its kind, whether it is executable, and
/// its content. Links are noted as such and followed. `None`: something in it could not be read, or
/// there is too much.
pub fn whole(root: &Path, digests: &mut Digests) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let real_root = crate::fs::canonicalize(root).ok()?;
    // Directories that a link leads to elsewhere, and what is in them.
    let (mut elsewhere, mut linked): (Vec<PathBuf>, u64) = (Vec::new(), 0);
    for entry in crate::fs::walk_with_links(root, |_| true) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                // A link to nothing, or to a directory above it, has its text and no more.
                let path = error.path()?.to_path_buf();
                let text = fs_err::read_link(&path).ok()?;
                found.insert(relative(root, &path)?, format!("link {}", text.to_str()?));
                continue;
            }
        };
        let mut state = String::new();
        if entry.path_is_symlink() {
            state = format!("link {} to ", fs_err::read_link(entry.path()).ok()?.to_str()?);
        }
        let metadata = entry.metadata().ok()?;
        if metadata.is_dir() {
            state.push_str("directory");
            if entry.path_is_symlink() {
                // What is in it may be listed under another path only.
                let real = crate::fs::canonicalize(entry.path()).ok()?;
                if let Ok(within) = real.strip_prefix(&real_root) {
                    state.extend([" ", within.to_str()?]);
                } else {
                    state.extend([" ", real.to_str()?]);
                    elsewhere.push(entry.path().to_path_buf());
                }
            }
        } else if metadata.is_file() {
            if elsewhere.iter().any(|directory| entry.path().starts_with(directory)) {
                linked += metadata.len();
                if linked > TOO_LARGE {
                    return None;
                }
            }
            digests.forget(entry.path());
            state.push_str(if is_executable(&metadata) { "program " } else { "file " });
            state.push_str(&digests.file(entry.path())?);
        } else {
            // A socket or the like: nobody reads it as a file.
            state.push_str("special");
        }
        found.insert(relative(root, entry.path())?, state);
        if found.len() > TOO_MANY {
            return None;
        }
    }
    Some(found)
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    path.strip_prefix(root).ok()?.to_str().map(str::to_owned)
}

/// All libraries in a directory and below it, sorted; a directory that is not there has none.
/// `None`: it has too much, or cannot be read.
pub fn libraries_in(directory: &Path) -> Option<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut size = 0;
    // `+verbatim` takes a library of any name, and of any folder.
    for entry in crate::fs::walk_with_links(directory, |_| true) {
        let entry = match entry {
            Ok(entry) => entry,
            // Not there, a link to nothing, or one that leads back.
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) =>
            {
                continue;
            }
            Err(_) => return None,
        };
        let name = entry.file_name().to_str()?;
        if !entry.file_type().is_file() || (!is_library(name) && !archive::is_one(entry.path())) {
            continue;
        }
        size += entry.metadata().map_or(0, |metadata| metadata.len());
        if size > TOO_LARGE {
            return None;
        }
        found.push(entry.into_path());
    }
    found.sort();
    Some(found)
}

/// The crates in a directory that `extern crate` could find there, sorted.
pub fn crates_in(directory: &Path) -> Vec<PathBuf> {
    const ENDINGS: &[&str] = &["dll", "dylib", "rlib", "rmeta", "so"];
    let entries = fs_err::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let is_crate = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one))
    };
    let mut found: Vec<PathBuf> = entries.filter(is_crate).collect();
    found.sort();
    found
}

/// Whether a library is a procedural macro: it has a symbol of this name.
///
/// Source: <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_session/src/session.rs>, `generate_proc_macro_decls_symbol`.
pub fn is_macro(library: &Path) -> bool {
    let is_shared = library
        .extension()
        .is_some_and(|ending| ending == "so" || ending == "dylib" || ending == "dll");
    let symbol = b"__rustc_proc_macro_decls_";
    is_shared
        && fs_err::read(library)
            .is_ok_and(|bytes| bytes.windows(symbol.len()).any(|window| window == symbol))
}

/// A digest of files: their paths and contents.
pub fn digest_of(files: &[PathBuf], digests: &mut Digests) -> String {
    let mut hasher = digest::Hasher::default();
    for path in files {
        hasher
            .field(path.as_os_str().as_encoded_bytes())
            .field(digests.file(path).unwrap_or_default().as_bytes());
    }
    hasher.finish()
}

fn is_library(name: &str) -> bool {
    const ENDINGS: &[&str] = &["a", "lib", "o", "obj", "so", "dylib", "dll", "tbd"];
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.contains(&ending) || name.contains(".so.")
}

#[cfg(unix)]
pub fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
pub fn is_executable(_metadata: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn everything_in_a_directory_counts() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("out").join(name);
        let state = || whole(&dir.path().join("out"), &mut Digests::default()).unwrap();
        fs_err::create_dir_all(at("d")).unwrap();
        fs_err::write(at("a"), "1").unwrap();
        fs_err::write(dir.path().join("elsewhere"), "1").unwrap();
        let changes: [&dyn Fn(); 7] = [
            &|| fs_err::write(at("a"), "2").unwrap(),
            &|| fs_err::set_permissions(at("a"), std::fs::Permissions::from_mode(0o755)).unwrap(),
            &|| fs_err::create_dir(at("empty")).unwrap(),
            &|| symlink("../elsewhere", at("link")).unwrap(),
            &|| fs_err::write(dir.path().join("elsewhere"), "2").unwrap(),
            &|| symlink("nowhere", at("dangling")).unwrap(),
            &|| symlink("..", at("d/loop")).unwrap(),
        ];
        let mut states = vec![state()];
        for change in changes {
            change();
            let now = state();
            assert!(!states.contains(&now), "{now:?}");
            states.push(now);
        }
    }

    #[test]
    fn libraries_are_compared_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("sub")).unwrap();
        let write = |name: &str, text: &str| fs_err::write(dir.path().join(name), text).unwrap();
        let state = || digest_of(&libraries_in(dir.path()).unwrap(), &mut Digests::default());
        let mut states = vec![state()];
        write("notes.txt", "1");
        assert_eq!(state(), states[0]);
        for (name, text) in [
            ("libfoo.a", "1"),
            ("libfoo.a", "2"),
            ("libbar.so.1", ""),
            ("foo.bits", "!<arch>\n"),
            ("sub/libfoo.a", "1"),
        ] {
            write(name, text);
            assert!(!states.contains(&state()), "{name} {text}");
            states.push(state());
        }
        write("libx.rlib", "");
        assert_eq!(crates_in(dir.path()), [dir.path().join("libx.rlib")]);
        assert!(libraries_in(&dir.path().join("gone")).unwrap().is_empty());
    }
}
