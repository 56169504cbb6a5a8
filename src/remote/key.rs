//! Which builds are alike: the name of a manifest.
//!
//! A name has two halves. *What* builds: system, interpreter, compiler. *Where*: every
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
    pub target: PathBuf,
    pub cargo_home: PathBuf,
    /// The compiler's directory.
    pub sysroot: PathBuf,
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
            ("the target directory", &self.target, &other.target),
            ("CARGO_HOME", &self.cargo_home, &other.cargo_home),
            ("the Rust toolchain", &self.sysroot, &other.sysroot),
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
    ///
    /// `target`: cargo's target directory, if it is known.
    pub(crate) fn new(
        name: &str,
        directory: &Path,
        root: &Path,
        target: Option<&Path>,
        interpreter: Option<&Identity>,
    ) -> Self {
        let (version, sysroot) = compiler(directory);
        let paths = Paths {
            project: directory.to_path_buf(),
            root: root.to_path_buf(),
            target: target.map(Path::to_path_buf).unwrap_or_default(),
            cargo_home: std::path::absolute(cargo_home()).unwrap_or_else(|_error| cargo_home()),
            sysroot,
            python: interpreter.map(|identity| PathBuf::from(&identity.base_executable)),
        };
        let mut what = Hasher::default();
        what.field(std::env::consts::OS.as_bytes()).field(std::env::consts::ARCH.as_bytes());
        what.field(
            system(&fs_err::read_to_string("/etc/os-release").unwrap_or_default()).as_bytes(),
        );
        if let Some(identity) = interpreter {
            what.field(identity.abi_tag().as_bytes()).field(identity.version.as_bytes());
        }
        what.field(version.as_bytes());
        let mut place = Hasher::default();
        for path in [&paths.project, &paths.root, &paths.target, &paths.cargo_home, &paths.sysroot]
        {
            place.field(path.as_os_str().as_encoded_bytes());
        }
        place.field(paths.python.clone().unwrap_or_default().as_os_str().as_encoded_bytes());
        let short = |hasher: Hasher| hasher.finish()[..16].to_owned();
        Self { project: plain(name), what: short(what), place: short(place), paths }
    }

    /// The folder of the project's manifests.
    pub(super) fn folder(&self) -> String {
        format!("builds/{}", self.project)
    }

    /// The name of the manifest.
    pub(super) fn manifest(&self) -> String {
        format!("{}/{}-{}.json.zst", self.folder(), self.what, self.place)
    }
}

/// What the compiler says it is, and its directory: two questions, of which rustc answers one at a
/// time. One that says nothing will not compile either.
fn compiler(directory: &Path) -> (String, PathBuf) {
    let rustc = env_vars::get_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let ask = |argument: &str| {
        let answer = Cmd::new(&rustc).arg(argument).cwd(directory).quick_answer();
        String::from_utf8(answer.unwrap_or_default()).unwrap_or_default()
    };
    (ask("-vV"), PathBuf::from(ask("--print=sysroot").trim_end()))
}

/// Which distribution of Linux this is: another one has another libc, for which other wheels of
/// build requirements are right, and other libraries.
///
/// Source: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>
fn system(os_release: &str) -> String {
    let of_interest = |line: &&str| line.starts_with("ID=") || line.starts_with("VERSION_ID=");
    os_release.lines().filter(of_interest).collect::<Vec<_>>().join("\n")
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
    fn another_distribution_is_another_system() {
        let debian = "PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\nBUILD_ID=7\n";
        assert_eq!(system(debian), "VERSION_ID=\"12\"\nID=debian");
        assert_ne!(system(debian), system(&debian.replace("12", "13")));
    }

    #[test]
    fn what_and_where_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let key = |directory: &Path| {
            fs_err::create_dir(directory).unwrap();
            Key::new("My_Project", directory, &directory.join(".pyenv-build"), None, None)
        };
        let (one, other) = (key(&a), key(&b));
        assert_eq!((one.project.as_str(), &one.what), ("my-project", &other.what));
        assert_ne!(one.place, other.place);
        assert!(one.paths.sysroot.join("lib/rustlib").is_dir(), "{:?}", one.paths);
        assert_eq!(
            one.paths.difference(&other.paths),
            Some(("the project", a.as_path(), b.as_path()))
        );
    }
}
