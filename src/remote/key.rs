//! Which builds are alike: the name of a manifest.
//!
//! A name has two halves. *What* builds: platform, interpreter, compiler. *Where*: every
//! path that gets into arguments of rustc, since recorded calls serve the same paths only. Builds
//! that differ in the second half alone are of no use to each other, and a warning says so.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Hasher;
use crate::env_vars;
use crate::interpreter::Identity;
use crate::process::Cmd;
use crate::project::cargo::cargo_home;

/// The paths of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paths {
    pub project: PathBuf,
    /// Our directory.
    pub root: PathBuf,
    pub cargo_home: PathBuf,
    /// The real path of the interpreter.
    pub python: Option<PathBuf>,
}

impl Paths {
    /// The first that differs: what it is, and both.
    pub(crate) fn difference<'a>(
        &'a self,
        other: &'a Self,
    ) -> Option<(&'a str, &'a Path, &'a Path)> {
        let nothing = Path::new("");
        let python = |paths: &'a Self| paths.python.as_deref().unwrap_or(nothing);
        [
            ("the project", self.project.as_path(), other.project.as_path()),
            ("`.pyenv-build`", &self.root, &other.root),
            ("CARGO_HOME", &self.cargo_home, &other.cargo_home),
            ("Python", python(self), python(other)),
        ]
        .into_iter()
        .find(|(_, one, other)| one != other)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The project's name, fit for a path.
    pub project: String,
    pub what: String,
    pub place: String,
    pub paths: Paths,
}

impl Key {
    /// All commands have one manifest: a later one of a job finds in `target` what an earlier one has
    /// compiled, and on another machine it may come first.
    pub(crate) fn new(
        name: &str,
        directory: &Path,
        root: &Path,
        interpreter: Option<&Identity>,
    ) -> Self {
        let paths = Paths {
            project: directory.to_path_buf(),
            root: root.to_path_buf(),
            cargo_home: std::path::absolute(cargo_home()).unwrap_or_else(|_error| cargo_home()),
            python: interpreter.map(|identity| PathBuf::from(&identity.base_executable)),
        };
        let mut what = Hasher::default();
        what.field(std::env::consts::OS.as_bytes()).field(std::env::consts::ARCH.as_bytes());
        if let Some(identity) = interpreter {
            what.field(identity.abi_tag().as_bytes()).field(identity.version.as_bytes());
        }
        what.field(&compiler(directory));
        let mut place = Hasher::default();
        for path in [&paths.project, &paths.root, &paths.cargo_home] {
            place.field(path.as_os_str().as_encoded_bytes());
        }
        place.field(paths.python.clone().unwrap_or_default().as_os_str().as_encoded_bytes());
        let short = |hasher: Hasher| hasher.finish()[..16].to_owned();
        Self { project: plain(name), what: short(what), place: short(place), paths }
    }

    /// The last part of the manifest's name.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.json.zst", self.what, self.place)
    }
}

/// What the compiler says it is. One that says nothing will not compile either.
fn compiler(directory: &Path) -> Vec<u8> {
    let rustc = env_vars::get_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Cmd::new(rustc).arg("-vV").cwd(directory).quick_answer().unwrap_or_default()
}

fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' },
        )
        .collect();
    if plain.is_empty() { "project".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_and_where_are_apart() {
        let key = |directory: &str| {
            let directory = Path::new(directory);
            Key::new("My_Project", directory, &directory.join(".pyenv-build"), None)
        };
        let (one, other) = (key("/a"), key("/b"));
        assert_eq!((one.project.as_str(), &one.what), ("my-project", &other.what));
        assert_ne!(one.place, other.place);
        assert_eq!(
            one.paths.difference(&other.paths),
            Some(("the project", Path::new("/a"), Path::new("/b")))
        );
    }
}
