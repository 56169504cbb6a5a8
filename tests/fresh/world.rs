//! A tiny CI in a box: an origin, a checkout that is made anew at the same path, a cache that is
//! saved and restored, and plain cargo in an empty target directory, which is what is right.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::tree::{self, Files};

pub(crate) struct World {
    _directory: tempfile::TempDir,
    /// Everything is below this.
    pub base: PathBuf,
    /// The repository that checkouts are made of.
    pub origin: PathBuf,
    pub checkout: PathBuf,
    /// Set for every cargo from here on, ours and the clean one; `None`: not set.
    variables: Vec<(String, Option<OsString>)>,
}

/// What a cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Both,
    Target,
    Store,
    /// As rust-cache does it: without what cargo knows of the workspace's own crates.
    WithoutOwn,
}

/// What came of a build.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub ok: bool,
    /// What can be seen of it: what the program prints, the warnings, the tests and how they
    /// ended.
    pub seen: String,
    /// Crates that rustc ran for, sorted.
    pub compiled: Vec<String>,
    /// Crates that were served.
    pub reused: Vec<String>,
    pub report: serde_json::Value,
    pub stdout: String,
    pub stderr: String,
}

impl Built {
    /// Warnings: rustc's, cargo's and ours. Of links that lead in circles cargo warns when it
    /// pleases.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|line| line.starts_with("warning") && !line.contains("File system loop found"))
            .collect()
    }

    /// Which crates rustc ran for, and which were served.
    #[track_caller]
    pub(crate) fn expect(&self, compiled: &[&str], reused: &[&str]) {
        let whole = (self.compiled.as_slice(), self.reused.as_slice());
        assert_eq!(
            (self.compiled.join(" "), self.reused.join(" ")),
            (compiled.join(" "), reused.join(" ")),
            "{whole:?} {:#}",
            self.report["crates"]
        );
    }

    /// The reason for which a crate was compiled.
    pub(crate) fn reason(&self, name: &str) -> (&str, &str) {
        let compiled = self.report["crates"]["compiled"].as_array().unwrap();
        let one = compiled
            .iter()
            .find(|one| one["name"] == name)
            .unwrap_or_else(|| panic!("{name} was not compiled"));
        (one["reason"].as_str().unwrap(), one["detail"].as_str().unwrap_or_default())
    }
}

impl World {
    /// An origin with these files (see [`tree::parse`]), checked out.
    pub(crate) fn new(text: &str) -> Self {
        Self::with(&tree::parse(text))
    }

    pub(crate) fn with(files: &Files) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let base = directory.path().canonicalize().unwrap();
        let world = Self {
            origin: base.join("origin"),
            checkout: base.join("checkout"),
            base,
            _directory: directory,
            variables: Vec::new(),
        };
        std::fs::create_dir(&world.origin).unwrap();
        tree::write(&world.origin, files);
        std::fs::write(world.origin.join(".gitignore"), "target\n.pyenv-build\n").unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        if world.origin.join("Cargo.toml").is_file() {
            run(world
                .tool("cargo")
                .args(["generate-lockfile", "--offline", "-q"])
                .current_dir(&world.origin));
        }
        world.commit();
        world.check_out("main");
        world
    }

    /// With a build of ours done, which was right, and a cache saved.
    #[track_caller]
    pub(crate) fn built(text: &str) -> Self {
        let world = Self::new(text);
        world.right("build");
        world.save();
        world
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        String::from_utf8(run(self.tool("git").args(words).current_dir(&self.origin)).stdout)
            .unwrap()
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    }

    /// Writes files in the origin and commits them. A text of `None` removes one.
    pub(crate) fn push(&self, text: &str) {
        tree::write(&self.origin, &tree::parse_plain(text));
        self.commit();
    }

    pub(crate) fn push_without(&self, names: &[&str]) {
        for name in names {
            tree::remove(&self.origin.join(name));
        }
        self.commit();
    }

    /// A fresh checkout at the same path.
    pub(crate) fn check_out(&self, commit: &str) {
        tree::remove(&self.checkout);
        run(self
            .tool("git")
            .args(["clone", "-q"])
            .arg(&self.origin)
            .arg(&self.checkout)
            .current_dir(&self.base));
        if commit != "main" {
            run(self.tool("git").args(["checkout", "-q", commit]).current_dir(&self.checkout));
        }
        self.lend_digests();
    }

    /// Compilers are large: what is known of them is taken from one world to the next. It is
    /// believed only with their ctimes.
    fn lend_digests(&self) {
        let ours = self.at(".pyenv-build/store/digests");
        for entry in std::fs::read_dir(lent()).into_iter().flatten().filter_map(Result::ok) {
            std::fs::create_dir_all(&ours).unwrap();
            std::fs::write(self.at(".pyenv-build/CACHEDIR.TAG"), "made by cargo-pyenv-build")
                .unwrap();
            let _ = std::fs::copy(entry.path(), ours.join(entry.file_name()));
        }
    }

    fn take_digests(&self) {
        if lent().is_dir() {
            return;
        }
        let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for entry in std::fs::read_dir(self.at(".pyenv-build/store/digests"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        // Another test may have been first.
        let _ = std::fs::rename(copy.path(), lent());
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.checkout.join(name)
    }

    /// Writes files in the checkout.
    pub(crate) fn write(&self, text: &str) {
        Self::tick();
        tree::write(&self.checkout, &tree::parse_plain(text));
    }

    /// Replaces text in a file of the checkout.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        Self::tick();
        let text = std::fs::read_to_string(self.at(name)).unwrap();
        assert!(text.contains(from), "{name}: {text}");
        std::fs::write(self.at(name), text.replace(from, to)).unwrap();
    }

    /// The same in the origin, committed.
    pub(crate) fn push_edit(&self, name: &str, from: &str, to: &str) {
        let path = self.origin.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name}: {text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        self.commit();
    }

    /// Gives a file an mtime of years ago.
    pub(crate) fn date_back(&self, name: &str) {
        filetime::set_file_mtime(
            self.at(name),
            filetime::FileTime::from_unix_time(1_577_880_000, 0),
        )
        .unwrap();
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), Some(value.into())));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(one, _)| one != name);
    }

    pub(crate) fn save(&self) {
        self.save_as("cache.tar", Keep::Both);
    }

    pub(crate) fn save_as(&self, name: &str, keep: Keep) {
        let wanted: &[&str] = match keep {
            Keep::Both | Keep::WithoutOwn => &["target", ".pyenv-build"],
            Keep::Target => &["target"],
            Keep::Store => &[".pyenv-build"],
        };
        if keep == Keep::WithoutOwn {
            self.remove_own();
        }
        let there: Vec<&&str> = wanted.iter().filter(|name| self.at(name).is_dir()).collect();
        let mut tar = self.tool("tar");
        tar.args(["--posix", "-cf"])
            .arg(self.base.join(name))
            .args(there)
            .current_dir(&self.checkout);
        if !wanted.iter().any(|name| self.at(name).is_dir()) {
            tar.args(["-T", "/dev/null"]);
        }
        run(&mut tar);
    }

    pub(crate) fn load(&self) {
        self.load_from("cache.tar");
    }

    pub(crate) fn load_from(&self, name: &str) {
        run(self.tool("tar").arg("-xf").arg(self.base.join(name)).current_dir(&self.checkout));
    }

    /// A fresh machine: cache saved, everything checked out again, cache restored.
    pub(crate) fn next_job(&self) {
        self.next_job_with(Keep::Both);
    }

    pub(crate) fn next_job_with(&self, keep: Keep) {
        self.save_as("cache.tar", keep);
        self.check_out("main");
        self.load();
    }

    /// What cargo knows of packages in the checkout, and what it made of them.
    fn remove_own(&self) {
        let names: BTreeSet<String> = tree::packages(&self.checkout);
        for profile in ["debug", "release"] {
            for folder in [".fingerprint", "build", "deps", "incremental"] {
                for entry in std::fs::read_dir(self.at("target").join(profile).join(folder))
                    .into_iter()
                    .flatten()
                    .filter_map(Result::ok)
                {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let crate_name = name.rsplit_once('-').map_or(name.as_str(), |(name, _)| name);
                    let crate_name =
                        crate_name.strip_prefix("lib").unwrap_or(crate_name).replace('_', "-");
                    if names.contains(&crate_name) {
                        tree::remove(&entry.path());
                    }
                }
            }
        }
    }

    /// File systems have clocks that tick every few milliseconds: what is written within one tick
    /// of a build is what nobody can tell from what was there before.
    pub(crate) fn tick() {
        std::thread::sleep(Duration::from_millis(15));
    }

    /// A program in a clean environment, with the variables of this world.
    pub(crate) fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(if program == "cargo" { env!("CARGO") } else { program });
        clean(&mut command);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Ours: `run` with these options, before a command.
    pub(crate) fn ours(&self, options: &[&str], words: &[&str]) -> Command {
        let mut command = self.tool(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command.arg("run").args(options).arg("--").args(words).current_dir(&self.checkout);
        command
    }

    /// cargo under us.
    pub(crate) fn build(&self, words: &str) -> Built {
        let command: Vec<&str> = ["cargo"].into_iter().chain(words.split_whitespace()).collect();
        self.finish(words, self.ours(&[], &command))
    }

    /// Runs a command of ours that calls cargo like `words`, and looks at what came of it.
    pub(crate) fn finish(&self, words: &str, mut command: Command) -> Built {
        Self::tick();
        let output = command.output().unwrap();
        self.take_digests();
        let mut built = self.look(words, &output, &self.target_of(words));
        let path = self.at(".pyenv-build/reports/last.json");
        let report = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), built.stderr));
        built.report = serde_json::from_slice(&report).unwrap();
        let names = |key: &str| {
            let mut names: Vec<String> = built.report["crates"][key]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        (built.compiled, built.reused) = (names("compiled"), names("reused"));
        built
    }

    /// cargo without us, in the same target directory: an editor's, or a later step's.
    pub(crate) fn plain(&self, words: &str) -> Built {
        Self::tick();
        let output = self
            .tool("cargo")
            .args(words.split_whitespace())
            .arg("--offline")
            .current_dir(&self.checkout)
            .output()
            .unwrap();
        self.look(words, &output, &self.target_of(words))
    }

    /// cargo without us and without anything that was built before.
    pub(crate) fn clean(&self, words: &str) -> Built {
        let target = self.base.join("clean");
        tree::remove(&target);
        let mut words: Vec<&str> = words.split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "--target-dir") {
            words.drain(at..at + 2);
        }
        let at = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        let mut command = self.tool("cargo");
        command
            .args(&words[..at])
            .arg("--offline")
            .arg("--target-dir")
            .arg(&target)
            .args(&words[at..])
            .current_dir(&self.checkout);
        let output = command.output().unwrap();
        self.look(&words.join(" "), &output, &target)
    }

    /// Builds, and fails unless what is seen of it is what is seen of a clean build.
    #[track_caller]
    pub(crate) fn right(&self, words: &str) -> Built {
        let built = self.build(words);
        self.is_right(words, &built);
        built
    }

    #[track_caller]
    pub(crate) fn is_right(&self, words: &str, built: &Built) {
        let clean = self.clean(words);
        assert_eq!(
            built.seen, clean.seen,
            "`cargo {words}` is not what a clean build is. compiled {:?}, reused {:?}\n--- ours\n{}\n--- clean\n{}",
            built.compiled, built.reused, built.stderr, clean.stderr
        );
    }

    fn target_of(&self, words: &str) -> PathBuf {
        let after =
            words.split_once("--target-dir ").map(|(_, rest)| rest.split(' ').next().unwrap());
        self.at(after.unwrap_or("target"))
    }

    fn look(&self, words: &str, output: &Output, target: &Path) -> Built {
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let ok = output.status.success();
        let mut built = Built {
            ok,
            seen: String::new(),
            compiled: Vec::new(),
            reused: Vec::new(),
            report: serde_json::Value::Null,
            stdout,
            stderr,
        };
        if !ok {
            // Which errors are said before cargo stops is a matter of luck.
            "failed".clone_into(&mut built.seen);
            return built;
        }
        let mut seen: BTreeSet<String> = built.warnings().into_iter().map(str::to_owned).collect();
        seen.extend(
            built
                .stdout
                .lines()
                .filter(|line| line.starts_with("test ") && line.contains(" ... "))
                .map(str::to_owned),
        );
        if words.starts_with("build") {
            let folder = target.join(profile_of(words));
            for program in ["app", "user"]
                .map(|name| folder.join(name))
                .into_iter()
                .filter(|path| path.is_file())
            {
                let ran = self
                    .tool(program.to_str().unwrap())
                    .current_dir(&self.checkout)
                    .output()
                    .unwrap();
                seen.extend(text(&ran.stdout).lines().map(|line| format!("printed: {line}")));
            }
        }
        built.seen = seen.into_iter().map(|line| line + "\n").collect();
        built
    }
}

/// `debug`, `release`, `<target>/debug`.
fn profile_of(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let after = |flag: &str| words.iter().position(|word| *word == flag).map(|at| words[at + 1]);
    let profile = after("--profile").unwrap_or(if words.contains(&"--release") {
        "release"
    } else {
        "debug"
    });
    after("--target").map_or_else(|| profile.to_owned(), |target| format!("{target}/{profile}"))
}

fn lent() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("digests-of-compilers")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Without what would change the build, and with cargo's own directory first in PATH: rustup's
/// proxies take their time.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let is_cargos = name.starts_with("CARGO") && name != "CARGO_HOME";
        let is_rusts =
            name.starts_with("RUST") && name != "RUSTUP_HOME" && name != "RUSTUP_TOOLCHAIN";
        if is_cargos
            || is_rusts
            || name.starts_with("PYENV_BUILD")
            || name.starts_with("__PYENV_BUILD")
            || name.starts_with("GIT_")
        {
            command.env_remove(name);
        }
    }
    let bin = Path::new(env!("CARGO")).parent().unwrap().to_path_buf();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    command.env(
        "PATH",
        std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&paths))).unwrap(),
    );
    command
        .env("CARGO_NET_OFFLINE", "true")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@a");
    }
}

#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    output
}
