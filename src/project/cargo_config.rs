//! The little that we need of cargo's configuration files, where cargo cannot be asked.
//!
//! Source: <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>

use std::path::{Path, PathBuf};

use super::cargo::cargo_home;
use crate::env_vars;

/// The first line of a configuration that our action writes for later steps: wrapper and pins, and
/// nothing else.
pub(crate) const OF_OUR_ACTION: &str =
    "# Written by cargo-pyenv-build for one job of GitHub Actions.";

pub(crate) fn is_of_our_action(file: &Path) -> bool {
    fs_err::read_to_string(file).is_ok_and(|text| text.starts_with(OF_OUR_ACTION))
}

/// The wrapper of rustc that the user has set, by a variable or in the configuration that counts in
/// `directory`: the first one that `is_users`, for ours may stand before it.
pub(crate) fn rustc_wrapper(directory: &Path, is_users: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    for name in ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"] {
        match env_vars::raw(name).map(PathBuf::from) {
            // A variable that is set to nothing switches off what a file says.
            Some(value) if value.as_os_str().is_empty() => return None,
            Some(value) if is_users(&value) => return Some(value),
            _ => {}
        }
    }
    let homes =
        directory.ancestors().map(|directory| directory.join(".cargo")).chain([cargo_home()]);
    let files = homes
        .flat_map(|home| [home.join("config"), home.join("config.toml")])
        .filter(|file| file.is_file());
    files.filter_map(|file| wrapper_in(&file)).find(|wrapper| is_users(wrapper))
}

fn wrapper_in(file: &Path) -> Option<PathBuf> {
    let table: toml::Table = fs_err::read_to_string(file).ok()?.parse().ok()?;
    let value = table.get("build")?.get("rustc-wrapper")?.as_str()?;
    // A name is looked for in PATH; a path is relative to the directory that has `.cargo`.
    let is_name = Path::new(value).components().count() == 1;
    Some(if is_name { PathBuf::from(value) } else { file.parent()?.parent()?.join(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".cargo/config.toml");
        fs_err::create_dir(file.parent().unwrap()).unwrap();
        for (text, expected) in [
            ("build.rustc-wrapper = 'sccache'", Some(PathBuf::from("sccache"))),
            ("[build]\nrustc-wrapper = 'tools/wrap'", Some(dir.path().join("tools/wrap"))),
            ("[build]\njobs = 2", None),
        ] {
            fs_err::write(&file, text).unwrap();
            assert_eq!(wrapper_in(&file), expected);
        }
    }
}
