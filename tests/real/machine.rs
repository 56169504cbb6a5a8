//! What the tests run and where: the interpreter, the tools, commands with a clean environment,
//! temporary directories.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The frontends that judge ours. Pinned: a new release must not make an old commit fail.
const TOOLS: [&str; 3] = ["build==1.6.1", "uv==0.13.8", "pip>=23.1"];

/// Programs of others.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The interpreter to build for. It is no pyenv shim and no virtual environment's.
    pub(crate) interpreter: PathBuf,
    /// An interpreter with `build` and `pip`.
    pub(crate) python: PathBuf,
    pub(crate) uv: PathBuf,
}

/// The tools, installed by the first who asks.
pub(crate) fn tools() -> &'static Tools {
    static TOOLS_ONCE: OnceLock<Tools> = OnceLock::new();
    TOOLS_ONCE.get_or_init(|| {
        let asked = std::env::var_os("PYENV_BUILD_TEST_PYTHON").filter(|path| !path.is_empty()).unwrap_or_else(|| "python3".into());
        let tell = "import os, sys; print(os.path.realpath(sys.executable)); print('%s%d%d' % ((sys.implementation.name,) + sys.version_info[:2]))";
        let answer = stdout(clean(asked).args(["-I", "-c", tell]));
        let mut lines = answer.lines();
        let interpreter = PathBuf::from(lines.next().unwrap());
        let directory = scratch_of_target().join(format!("tools-{}", lines.next().unwrap()));
        let (python, uv) = (in_bin(&directory, "python"), directory.join(exe("uv-only/uv")));
        once(&directory, &format!("{} in {}", TOOLS.join(" "), interpreter.display()), || {
            run(clean(&interpreter).args(["-I", "-m", "venv", "--clear"]).arg(&directory));
            run(clean(&python).args(["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(TOOLS));
            // Alone in a directory, for PATH: the environment's `python` must not come along.
            fs::create_dir_all(uv.parent().unwrap()).unwrap();
            fs::copy(in_bin(&directory, "uv"), &uv).unwrap();
        });
        Tools { interpreter, python, uv }
    })
}

/// A directory that outlives the tests, below cargo's target directory.
pub(crate) fn scratch_of_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("real")
}

/// Fills `directory` unless that has been done for the same `content`; other processes wait
/// meanwhile.
pub(crate) fn once(directory: &Path, content: &str, fill: impl FnOnce()) {
    fs::create_dir_all(directory.parent().unwrap()).unwrap();
    let beside = |extension: &str| {
        directory
            .with_file_name(format!("{}.{extension}", directory.file_name().unwrap().display()))
    };
    let lock = File::create(beside("lock")).unwrap();
    lock.lock().unwrap();
    let marker = beside("done");
    if fs::read_to_string(&marker).is_ok_and(|text| text == content) {
        return;
    }
    let _ = fs::remove_file(&marker);
    fill();
    fs::write(marker, content).unwrap();
}

/// Whether uv can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uv {
    OnPath,
    Absent,
}

/// A command whose environment holds nothing of ours, of `cargo test`'s, or of an active Python
/// environment, with the tests' uv first on PATH.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    command_with(program, Uv::OnPath)
}

/// [`command`], with uv or without it.
pub(crate) fn command_with(program: impl AsRef<OsStr>, uv: Uv) -> Command {
    let mut command = clean(program);
    let own: Vec<PathBuf> =
        std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let directories = match uv {
        Uv::OnPath => {
            std::iter::once(tools().uv.parent().unwrap().to_path_buf()).chain(own).collect()
        }
        Uv::Absent => own.into_iter().map(without_uv).collect::<Vec<_>>(),
    };
    command.env("PATH", std::env::join_paths(directories).unwrap());
    command
}

fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let prefixes = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "PYENV_BUILD_",
            "__PYENV_BUILD_",
            "PYO3_",
            "PYTHON",
            "MATURIN_",
        ];
        let names = [
            "CARGO",
            "CARGO_CRATE_NAME",
            "CARGO_PRIMARY_PACKAGE",
            "CARGO_MAKEFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_BUILD_BUILD_DIR",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "SOURCE_DATE_EPOCH",
        ];
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) || names.contains(&text.as_ref())
        {
            command.env_remove(&name);
        }
    }
    command.envs([
        ("CARGO_TERM_COLOR", "never"),
        ("NO_COLOR", "1"),
        ("UV_PYTHON_DOWNLOADS", "never"),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        // For every frontend alike. What is compared does not depend on it, and rustc is done sooner.
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ]);
    command
}

/// The same programs without uv, if it is among them.
#[cfg(unix)]
fn without_uv(directory: PathBuf) -> PathBuf {
    if !directory.join("uv").exists() {
        return directory;
    }
    let digest: String = directory
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    let copy = scratch_of_target().join(format!("without-uv-{digest}"));
    once(&copy, "", || {
        fs::create_dir_all(&copy).unwrap();
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "uv" && entry.file_name() != "uvx" {
                let _ = std::os::unix::fs::symlink(entry.path(), copy.join(entry.file_name()));
            }
        }
    });
    copy
}

/// The directory, or an empty place if uv is there.
#[cfg(not(unix))]
fn without_uv(directory: PathBuf) -> PathBuf {
    if directory.join(exe("uv")).exists() { directory.join("no-such-directory") } else { directory }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{}", account(command, &output));
    output
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn stdout(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// What a command did, for people.
pub(crate) fn account(command: &Command, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let program = command.get_program().display();
    let arguments: Vec<_> =
        command.get_args().map(|argument| argument.display().to_string()).collect();
    format!(
        "`{program} {}` in `{}`: {}\n--- stdout\n{}\n--- stderr\n{}",
        arguments.join(" "),
        command.get_current_dir().unwrap_or(Path::new(".")).display(),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

pub(crate) fn exe(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// A program of a virtual environment.
pub(crate) fn in_bin(environment: &Path, name: &str) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(exe(name))
}

/// A temporary directory. A failing test leaves it behind.
#[derive(Debug)]
pub(crate) struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(Some(tempfile::Builder::new().prefix("pyenv-build-real-").tempdir().unwrap()))
    }

    /// Links resolved, as the programs will see it.
    pub(crate) fn path(&self) -> PathBuf {
        fs::canonicalize(self.0.as_ref().unwrap().path()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.0.take()
        {
            let _ = writeln!(std::io::stderr(), "left behind: {}", directory.keep().display());
        }
    }
}

/// Writes files, their directories included.
pub(crate) fn write_tree(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Runs git with a name and without anybody's configuration.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let nobody = [
        "-c",
        "user.name=Nobody",
        "-c",
        "user.email=nobody@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    ];
    let mut command = clean("git");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "");
    // The same tree is the same commit.
    command
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
    stdout(command.args(nobody).args(arguments).current_dir(directory))
}

/// Puts a tree under version control; returns the commit.
pub(crate) fn commit(directory: &Path) -> String {
    git(directory, &["init", "--quiet"]);
    git(directory, &["add", "--all"]);
    git(directory, &["commit", "--quiet", "--message", "as it is"]);
    git(directory, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// The next job on a fresh machine: what a cache keeps goes through tar, as `actions/cache` calls
/// it, and everything else is cloned anew at the same place.
pub(crate) fn clone_again(directory: &Path) {
    let beside = |extension: &str| {
        directory
            .with_file_name(format!("{}.{extension}", directory.file_name().unwrap().display()))
    };
    let (origin, archive) = (beside("origin"), beside("tar"));
    let mut kept = Vec::new();
    let mut walk = walkdir::WalkDir::new(directory).max_depth(4).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.unwrap();
        let is_kept = entry.file_type().is_dir()
            && (entry.file_name() == "target" || entry.file_name() == ".pyenv-build");
        if is_kept {
            kept.push(entry.path().strip_prefix(directory).unwrap().to_path_buf());
            walk.skip_current_dir();
        }
    }
    run(Command::new("tar")
        .args(["--posix", "-cf"])
        .arg(&archive)
        .args(kept)
        .current_dir(directory));
    fs::rename(directory, &origin).unwrap();
    let url = format!("file://{}", origin.display());
    git(
        directory.parent().unwrap(),
        &["clone", "--quiet", "--depth", "1", &url, directory.to_str().unwrap()],
    );
    fs::remove_dir_all(origin).unwrap();
    run(Command::new("tar").arg("-xf").arg(archive).current_dir(directory));
}

/// A virtual environment to install wheels into.
#[derive(Debug)]
pub(crate) struct Venv {
    scratch: Scratch,
}

impl Venv {
    /// A fresh environment of `interpreter`.
    pub(crate) fn new(interpreter: &Path) -> Self {
        let venv = Self { scratch: Scratch::new() };
        run(command(&tools().uv)
            .args(["venv", "--quiet", "--clear", "--python"])
            .arg(interpreter)
            .arg(venv.scratch.path()));
        venv
    }

    /// The same with `wheel` in it, and what that requires.
    pub(crate) fn with(interpreter: &Path, wheel: &Path) -> Self {
        let venv = Self::new(interpreter);
        run(command(&tools().uv)
            .args(["pip", "install", "--quiet", "--python"])
            .arg(venv.scratch.path())
            .arg(wheel));
        venv
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.path()
    }

    pub(crate) fn python(&self) -> Command {
        command(in_bin(&self.scratch.path(), "python"))
    }

    /// Runs Python code there, far from any source tree.
    pub(crate) fn check(&self, code: &str) {
        run(self.python().args(["-I", "-c", code]).current_dir(self.scratch.path()));
    }
}
