//! A Cargo workspace in a temporary directory, and the ways to build it: with us, and with plain
//! cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::skip::not_tested;

pub(crate) struct World {
    _directory: tempfile::TempDir,
    /// Outside of the checkout, for what it needs from elsewhere.
    pub base: PathBuf,
    /// The checkout.
    pub path: PathBuf,
    /// All that is in a checkout.
    tree: BTreeMap<String, Vec<u8>>,
}

/// What one build came to.
#[derive(Debug)]
pub(crate) struct Built {
    pub report: Value,
}

impl Built {
    /// Crates that `list` of the report names: `compiled`, `reused`.
    pub(crate) fn crates(&self, list: &str) -> Vec<String> {
        let crates = self.report["crates"][list]
            .as_array()
            .unwrap_or_else(|| panic!("no `{list}` in {}", self.report));
        let mut names: Vec<String> =
            crates.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let base = directory.path().canonicalize().unwrap();
        let world = Self {
            path: base.join("checkout"),
            base,
            _directory: directory,
            tree: BTreeMap::new(),
        };
        std::fs::create_dir(&world.path).unwrap();
        world
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file of the checkout.
    pub(crate) fn write(&mut self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content.as_ref()).unwrap();
        self.tree.insert(name.to_owned(), content.as_ref().to_vec());
    }

    pub(crate) fn remove(&mut self, name: &str) {
        std::fs::remove_file(self.at(name)).unwrap();
        self.tree.remove(name);
    }

    /// Changes the text of every file that a checkout will have.
    pub(crate) fn edit(&mut self, change: impl Fn(&str) -> String) {
        for content in self.tree.values_mut() {
            *content = change(std::str::from_utf8(content).unwrap()).into_bytes();
        }
    }

    /// Checks everything out again at the same path; of what was there, only `kept` stays.
    pub(crate) fn check_out(&self, kept: &[&str]) {
        for entry in std::fs::read_dir(&self.path).unwrap() {
            let entry = entry.unwrap();
            if !kept.iter().any(|name| entry.file_name() == *name) {
                remove(&entry.path());
            }
        }
        for (name, content) in &self.tree {
            let path = self.at(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// Gives all sources a date of long ago, as tools do that date files by their commits.
    pub(crate) fn date_back(&self) {
        for name in self.tree.keys() {
            filetime::set_file_mtime(
                self.at(name),
                filetime::FileTime::from_unix_time(1_577_880_000, 0),
            )
            .unwrap();
        }
    }

    /// A command in the checkout, without variables that would change the build.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let is_kept =
                ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].contains(&name.as_str());
            if !is_kept
                && ["CARGO", "CLIPPY", "PYENV_BUILD", "__PYENV_BUILD", "RUST"]
                    .iter()
                    .any(|start| name.starts_with(start))
            {
                command.env_remove(name);
            }
        }
        command.env("CARGO_NET_OFFLINE", "true").env("CARGO_INCREMENTAL", "0");
        command
    }

    /// `cargo-pyenv-build run -- WORDS`.
    pub(crate) fn ours(&self, words: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command.args(["run", "--"]).args(words);
        command
    }

    /// Runs a command of ours that must succeed.
    #[track_caller]
    pub(crate) fn build(&self, words: &[&str]) -> Built {
        self.built(&mut self.ours(words))
    }

    #[track_caller]
    pub(crate) fn built(&self, command: &mut Command) -> Built {
        succeed(command);
        let report = std::fs::read(self.at(".pyenv-build/reports/last.json")).unwrap();
        Built { report: serde_json::from_slice(&report).unwrap() }
    }

    /// All entries of the store, by their paths.
    pub(crate) fn entries(&self) -> BTreeMap<PathBuf, Value> {
        let files = walkdir::WalkDir::new(self.at(".pyenv-build/store/v1/units"))
            .into_iter()
            .map(Result::unwrap);
        let files =
            files.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "json"));
        files
            .map(|entry| {
                (
                    entry.path().to_path_buf(),
                    serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap(),
                )
            })
            .collect()
    }
}

/// A package's manifest.
pub(crate) fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n{rest}")
}

/// Removes a file or a directory, if it is there.
pub(crate) fn remove(path: &Path) {
    let removed =
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    if let Err(error) = removed {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", path.display());
    }
}

#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Whether a tool answers. Where not, it is said what is not tested.
pub(crate) fn has(tool: &str, question: &[&str], what: &str) -> bool {
    let is_there =
        Command::new(tool).args(question).output().is_ok_and(|output| output.status.success());
    if !is_there {
        not_tested(what, format_args!("`{tool} {}` does not work", question.join(" ")));
    }
    is_there
}

/// The host's triple, as rustc calls it.
pub(crate) fn host() -> String {
    let said = succeed(Command::new("rustc").arg("-vV"));
    let text = String::from_utf8(said.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Compiles C into an archive with one member, whose bytes are the same each time.
pub(crate) fn archive(text: &str, directory: &Path, member: &str) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    let (source, object, archive) =
        (directory.join("source.c"), directory.join(member), directory.join("lib.a"));
    std::fs::write(&source, text).unwrap();
    succeed(Command::new("cc").args(["-c", "-fPIC", "-O1", "-o"]).arg(&object).arg(&source));
    remove(&archive);
    succeed(Command::new("ar").arg("crsD").arg(&archive).arg(&object));
    remove(&source);
    remove(&object);
    archive
}
