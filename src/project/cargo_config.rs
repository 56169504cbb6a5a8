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

/// A configuration of cargo's, and the directory that paths in it are relative to.
#[derive(Debug)]
pub(crate) struct CargoConfig {
    table: toml::Table,
    base: PathBuf,
}

impl CargoConfig {
    /// Of a file, and of those that it includes, which count less.
    fn of_file(file: &Path) -> Vec<Self> {
        Self::of_file_within(file, &mut Vec::new())
    }

    fn of_file_within(file: &Path, seen: &mut Vec<PathBuf>) -> Vec<Self> {
        let read = || fs_err::read_to_string(file).ok()?.parse::<toml::Table>().ok();
        let (Some(table), false) = (read(), seen.iter().any(|one| one == file)) else {
            return Vec::new();
        };
        seen.push(file.to_path_buf());
        let directory = file.parent().unwrap_or(Path::new(""));
        let included = included_in(&table).into_iter().map(|path| directory.join(path));
        let more: Vec<Self> =
            included.rev().flat_map(|file| Self::of_file_within(&file, seen)).collect();
        let base = directory.parent().unwrap_or(Path::new("")).to_path_buf();
        std::iter::once(Self { table, base }).chain(more).collect()
    }

    /// All files that count for a cargo in `directory`, the one that counts most first.
    fn files(directory: &Path) -> Vec<Self> {
        let homes =
            directory.ancestors().map(|directory| directory.join(".cargo")).chain([cargo_home()]);
        let files = homes.flat_map(|home| [home.join("config"), home.join("config.toml")]);
        files.flat_map(|file| Self::of_file(&file)).collect()
    }

    /// What `--config` options in a command say, the last one first. Their paths are relative to
    /// `directory`, where the command runs.
    pub(crate) fn options(options: &[String], directory: &Path) -> Vec<Self> {
        let of_option = |option: &String| {
            let file = directory.join(option);
            if file.is_file() {
                return Self::of_file(&file);
            }
            let table = option.parse::<toml::Table>();
            table.map(|table| Self { table, base: directory.to_path_buf() }).into_iter().collect()
        };
        options.iter().rev().flat_map(of_option).collect()
    }

    /// A setting of `[build]` that is a path: a relative one begins where the configuration is.
    pub(crate) fn build_path(&self, name: &str) -> Option<PathBuf> {
        Some(self.base.join(self.build(name)?))
    }

    fn build(&self, name: &str) -> Option<&str> {
        self.table.get("build")?.get(name)?.as_str()
    }

    /// A wrapper that is a name alone is looked for in PATH.
    fn rustc_wrapper(&self) -> Option<PathBuf> {
        let value = self.build("rustc-wrapper")?;
        let is_name = Path::new(value).components().count() == 1;
        if is_name { Some(value.into()) } else { self.build_path("rustc-wrapper") }
    }
}

/// The files that a configuration names in `include`.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#including-extra-configuration-files>
fn included_in(table: &toml::Table) -> Vec<PathBuf> {
    let of_item = |item: &toml::Value| {
        let path = item.as_str().or_else(|| item.get("path")?.as_str())?;
        Some(PathBuf::from(path))
    };
    match table.get("include") {
        Some(toml::Value::Array(items)) => items.iter().filter_map(of_item).collect(),
        Some(item) => of_item(item).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Whether a configuration that counts for a cargo in `directory` includes other files.
pub(crate) fn includes_others(directory: &Path) -> bool {
    CargoConfig::files(directory).iter().any(|config| config.table.contains_key("include"))
}

/// The wrapper of rustc that the user has set, by a variable, by `options` or in the configuration
/// that counts in `directory`: the first one that `is_users`, for ours may stand before it.
pub(crate) fn rustc_wrapper(
    directory: &Path,
    options: &[String],
    is_users: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    for name in ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"] {
        match env_vars::raw(name).map(PathBuf::from) {
            // A variable that is set to nothing switches off what a file says.
            Some(value) if value.as_os_str().is_empty() => return None,
            Some(value) if is_users(&value) => return Some(value),
            _ => {}
        }
    }
    CargoConfig::options(options, directory)
        .into_iter()
        .chain(CargoConfig::files(directory))
        .filter_map(|config| config.rustc_wrapper())
        .find(|wrapper| is_users(wrapper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_in_a_file_one_that_it_includes_and_an_option() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".cargo/config.toml");
        fs_err::create_dir(file.parent().unwrap()).unwrap();
        fs_err::write(dir.path().join(".cargo/more.toml"), "build.rustc-wrapper = './more'")
            .unwrap();
        let wrapper = |options: &[&str]| {
            let options: Vec<String> = options.iter().map(|one| (*one).to_owned()).collect();
            rustc_wrapper(dir.path(), &options, |_| true)
        };
        for (text, expected) in [
            ("build.rustc-wrapper = 'sccache'", Some(PathBuf::from("sccache"))),
            ("[build]\nrustc-wrapper = 'tools/wrap'", Some(dir.path().join("tools/wrap"))),
            ("include = 'more.toml'", Some(dir.path().join("./more"))),
            ("include = [{path = 'more.toml'}, 'config.toml']", Some(dir.path().join("./more"))),
            ("include = 'more.toml'\nbuild.rustc-wrapper = 'own'", Some(PathBuf::from("own"))),
        ] {
            fs_err::write(&file, text).unwrap();
            assert_eq!(wrapper(&[]), expected, "{text}");
            assert_eq!(includes_others(dir.path()), text.contains("include"));
        }
        let by_option = wrapper(&["build.rustc-wrapper = 'one'", "build.rustc-wrapper = 'two'"]);
        assert_eq!(by_option, Some("two".into()));
        assert_eq!(wrapper(&["net.retry=1", ".cargo/more.toml"]), Some(dir.path().join("./more")));
    }
}
