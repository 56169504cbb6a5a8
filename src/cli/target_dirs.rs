//! The target directories that a command names: one that this checkout did not grow up with must
//! not be believed, wherever it is. Those in the workspace are found there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::fs;
use crate::project::cargo::TARGET_VARIABLES;
use crate::project::cargo_config::CargoConfig;

/// The value of an option in a command: `cargo build --target-dir DIR`.
pub(super) fn option_of(command: &[OsString], option: &str) -> Option<String> {
    options_of(command, option).pop()
}

/// All values of an option that may be given several times.
pub(super) fn options_of(command: &[OsString], option: &str) -> Vec<String> {
    let words: Vec<&str> =
        command.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let value = |(at, word): (usize, &&str)| match word.strip_prefix(option)? {
        "" => words.get(at + 1).map(|word| (*word).to_owned()),
        rest => rest.strip_prefix('=').map(str::to_owned),
    };
    words.iter().enumerate().filter_map(value).collect()
}

/// The target directory in a command's arguments.
pub(super) fn told(command: &[OsString]) -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let in_config = || {
        let configs = CargoConfig::options(&options_of(command, "--config"), &here);
        configs.iter().find_map(|config| config.build_path("target-dir"))
    };
    let by_option = option_of(command, "--target-dir").map(|path| here.join(path));
    std::path::absolute(by_option.or_else(in_config)?).ok()
}

/// Directories that are there and that a text names, as a script for a shell or as options for
/// maturin: `bash -c 'cargo build --target-dir DIR'`, `env CARGO_TARGET_DIR=DIR make`. `base` is
/// the directory that the command runs in.
pub(super) fn mentioned<'a>(base: &Path, texts: impl IntoIterator<Item = &'a str>) -> Vec<PathBuf> {
    let mut words = Vec::new();
    for text in texts {
        // Where a backslash is a part of paths, as Windows' own shells read it.
        let split = if cfg!(windows) { None } else { shlex::split(text) };
        let plain =
            || text.split_whitespace().map(|word| word.replace('"', "")).collect::<Vec<_>>();
        words.extend(split.unwrap_or_else(plain));
    }
    let named = words.iter().enumerate().filter_map(|(at, word)| {
        if word == "--target-dir" {
            return words.get(at + 1).cloned();
        }
        let (name, value) = word.split_once('=')?;
        let name = name.trim_start_matches('(');
        let is_one = TARGET_VARIABLES.contains(&name)
            || matches!(name, "--target-dir" | "CARGO_BUILD_BUILD_DIR");
        is_one.then(|| value.to_owned())
    });
    // A shell's own signs end a word.
    named
        .filter_map(|path| Some(base.join(path.split([';', '&', '|', '(', ')']).next()?)))
        .filter_map(|path| fs::absolute(&path).ok())
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)] // the paths are
    fn the_target_directory_that_cargo_is_told() {
        let of = |text: &str| told(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("cargo test --target-dir /x -q"), Some("/x".into()));
        assert_eq!(of("cargo test --target-dir=/x"), Some("/x".into()));
        assert_eq!(of("cargo test -- --target-dir=/x"), None);
        assert_eq!(of("cargo test --target-directory /x"), None);
        assert_eq!(of("cargo test --config build.target-dir='/x'"), Some("/x".into()));
        assert_eq!(of("cargo test --config=other.toml"), None);
    }

    #[test]
    fn directories_in_scripts_and_options() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        for text in [
            format!("cd x; cargo build --target-dir \"{path}\" -q"),
            format!("--target-dir={path}"),
            format!("CARGO_TARGET_DIR={path}"),
            format!("env CARGO_BUILD_TARGET_DIR={path} make"),
            format!("export CARGO_TARGET_DIR={path}; cargo build"),
            format!("(CARGO_TARGET_DIR={path}&&cargo build --target-dir /not/there)"),
        ] {
            assert_eq!(mentioned(Path::new("/"), [text.as_str()]), [dir.path()], "{text}");
        }
        let mentioned = |words: [&str; 3]| mentioned(dir.path().parent().unwrap(), words);
        assert_eq!(mentioned(["cargo", "--target-dir", path]), [dir.path()]);
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(mentioned(["cargo", "--target-dir", name]), [dir.path()]);
        let none: [PathBuf; 0] = [];
        assert_eq!(mentioned(["--target-dir=/not/there", "it's", path]), none);
    }
}
