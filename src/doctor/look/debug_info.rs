//! How much of the libraries in a build directory is debug info.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _};

use crate::doctor::facts::DebugInfo;

/// Debug info in the rlibs of dependencies, by profile. `profiles` are directories of the build
/// directory, `local` the names of libraries whose sources are in the project.
pub(super) fn of_dependencies(
    build_directory: &Path,
    profiles: &BTreeSet<&str>,
    local: &BTreeSet<String>,
) -> Vec<DebugInfo> {
    let mut found: BTreeMap<String, DebugInfo> = BTreeMap::new();
    for directory in profiles {
        // `x86_64-unknown-linux-gnu/release`: the profile is what comes last.
        let name = match directory.rsplit('/').next().unwrap_or(directory) {
            "debug" => "dev",
            other => other,
        };
        let info = found
            .entry(name.to_owned())
            .or_insert_with(|| DebugInfo { profile: name.to_owned(), ..DebugInfo::default() });
        // Both of cargo's layouts: `deps/lib*.rlib` and `build/<package>/<hash>/out/lib*.rlib`.
        let entries = walkdir::WalkDir::new(build_directory.join(directory)).max_depth(5);
        for entry in entries.into_iter().filter_map(Result::ok) {
            let is_dependency = entry
                .file_name()
                .to_str()
                .and_then(crate_of)
                .is_some_and(|name| !local.contains(name));
            if is_dependency && let Ok(library) = fs_err::read(entry.path()) {
                info.library_bytes += library.len() as u64;
                info.bytes += debug_info(&library).unwrap_or(0);
            }
        }
    }
    found.into_values().collect()
}

/// `libpyo3_ffi-0123456789abcdef.rlib`: `pyo3_ffi`
fn crate_of(file: &str) -> Option<&str> {
    Some(file.strip_prefix("lib")?.strip_suffix(".rlib")?.rsplit_once('-')?.0)
}

/// Bytes of debug info in the object files of an rlib.
fn debug_info(library: &[u8]) -> Option<u64> {
    let archive = ArchiveFile::parse(library).ok()?;
    let members = archive.members().filter_map(Result::ok);
    let objects = members.filter_map(|member| object::File::parse(member.data(library).ok()?).ok());
    Some(objects.map(|object| debug_sections(&object)).sum())
}

fn debug_sections(object: &object::File<'_>) -> u64 {
    let sections = object.sections().filter(|section| {
        let name = section.name_bytes().unwrap_or_default();
        [&b".debug"[..], b".rela.debug", b"__debug", b".zdebug"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    });
    sections.filter_map(|section| section.file_range()).map(|(_, size)| size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cmd;

    /// Builds `libdep-1.rlib` in `directory` as cargo would, and says what was found.
    fn found(directory: &Path, debuginfo: &str, local: &[&str]) -> DebugInfo {
        let deps = directory.join("debug/deps");
        fs_err::create_dir_all(&deps).unwrap();
        let source = directory.join("dep.rs");
        fs_err::write(&source, "pub fn f(x: Vec<String>) -> usize { x.concat().len() }").unwrap();
        let options = ["--crate-type=rlib", "-Cextra-filename=-1"];
        let rustc = Cmd::new("rustc").args(options).arg(format!("-Cdebuginfo={debuginfo}"));
        let rustc = rustc.arg("--out-dir").arg(&deps).arg(&source);
        rustc.output().unwrap();
        let local = local.iter().map(|name| (*name).to_owned()).collect();
        let [info] = &of_dependencies(directory, &["debug"].into(), &local)[..] else { panic!() };
        info.clone()
    }

    #[test]
    fn sections_of_debug_info_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let full = found(dir.path(), "2", &[]);
        assert_eq!(full.profile, "dev");
        assert!(full.bytes > 500 && full.bytes < full.library_bytes, "{full:?}");
        let none = found(dir.path(), "0", &[]);
        assert_eq!(none.bytes, 0);
        assert!(none.library_bytes > 0 && none.library_bytes < full.library_bytes, "{none:?}");
        assert_eq!(found(dir.path(), "2", &["dep"]).library_bytes, 0, "it is the project's own");
    }
}
