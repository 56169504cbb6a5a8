//! Extension modules in the source tree, as `develop` and `setup.py build_ext --inplace` leave
//! them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::doctor::facts::Shadowed;

/// Modules for one version of Python that an interpreter, `cp312`, imports in place of one that was
/// built later.
///
/// Source: `importlib.machinery.EXTENSION_SUFFIXES`, of which the first that fits counts.
pub(super) fn shadowed(root: &Path, interpreter: Option<&str>) -> Vec<Shadowed> {
    let is_skipped = |name: &str| {
        name.starts_with('.')
            || matches!(name, "target" | "node_modules" | "build" | "dist" | "venv")
    };
    let entries = walkdir::WalkDir::new(root).max_depth(8).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| {
        entry.depth() == 0
            || !entry.file_type().is_dir()
            || !is_skipped(&entry.file_name().to_string_lossy())
                && !entry.path().join("pyvenv.cfg").exists()
    });
    let mut modules: BTreeMap<PathBuf, Vec<(String, SystemTime)>> = BTreeMap::new();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((stem, suffix)) = name
            .split_once('.')
            .filter(|(_, suffix)| suffix.ends_with("so") || suffix.ends_with("pyd"))
        else {
            continue;
        };
        if let Some(modified) = entry.metadata().ok().and_then(|metadata| metadata.modified().ok())
        {
            modules
                .entry(entry.path().with_file_name(stem))
                .or_default()
                .push((suffix.to_owned(), modified));
        }
    }
    let is_for = |suffix: &str| match interpreter.and_then(|abi| abi.strip_prefix("cp")) {
        Some(version) => {
            suffix.starts_with(&format!("cpython-{version}-"))
                || suffix.starts_with(&format!("cp{version}-"))
        }
        None => suffix.starts_with("cp"),
    };
    // In the order in which an interpreter looks; what is for another one is not looked at.
    let rank = |suffix: &str| match suffix {
        _ if is_for(suffix) => Some(0),
        "abi3.so" => Some(1),
        "so" | "pyd" => Some(2),
        _ => None,
    };
    let of_module = |(path, files): (PathBuf, Vec<(String, SystemTime)>)| {
        let mut ranked: Vec<_> = files
            .iter()
            .filter_map(|(suffix, built)| Some((rank(suffix)?, suffix, built)))
            .collect();
        ranked.sort();
        let (_, old, built) = ranked.first()?;
        let (_, fresh, _) = ranked[1..].iter().find(|(_, _, later)| later > built)?;
        let named = |suffix: &str| PathBuf::from(format!("{}.{suffix}", path.display()));
        Some(Shadowed { old: named(old), fresh: named(fresh) })
    };
    modules.into_iter().filter_map(of_module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_module_for_this_python_hides_one_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, seconds: i64| {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "").unwrap();
            filetime::set_file_mtime(&path, filetime::FileTime::from_unix_time(seconds, 0))
                .unwrap();
            path
        };
        let (old, fresh) = (
            file("src/x/_x.cpython-312-x86_64-linux-gnu.so", 1000),
            file("src/x/_x.abi3.so", 2000),
        );
        file("src/y/_y.cpython-312-x86_64-linux-gnu.so", 3000);
        file("src/y/_y.abi3.so", 2000);
        let (older, newer) = (file("src/w/_w.abi3.so", 1000), file("src/w/_w.so", 2000));
        file("target/_z.cpython-312-x86_64-linux-gnu.so", 1000);
        file("target/_z.abi3.so", 2000);
        let of_all = Shadowed { old: older, fresh: newer };
        assert_eq!(shadowed(dir.path(), Some("cp313")), std::slice::from_ref(&of_all));
        assert_eq!(shadowed(dir.path(), Some("cp312")), [of_all, Shadowed { old, fresh }]);
        assert_eq!(shadowed(dir.path(), None).len(), 2);
    }
}
