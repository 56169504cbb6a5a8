//! Where a test runs: a temporary directory, projects in it, local wheels, and the program with an
//! environment of its own.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::skip::not_tested;

/// Facts about the interpreter that tests run with.
#[derive(Debug)]
pub(crate) struct Python {
    /// Below all virtual environments, links resolved.
    pub path: PathBuf,
    pub version: String,
    /// `3`, `3.11`
    pub major_minor: String,
    /// `cp311`
    pub abi: String,
    /// `cp311-linux-x86_64`
    pub abi_tag: String,
    pub ext_suffix: String,
}

/// The interpreter of all tests.
pub(crate) fn python() -> &'static Python {
    static PYTHON: OnceLock<Python> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let candidates = match std::env::var_os("PYENV_BUILD_TEST_PYTHON") {
            Some(path) => vec![path],
            None => vec!["python3".into(), "python".into()],
        };
        let script = "import json, os, platform, sys, sysconfig; v = sys.version_info; \
            implementation = {'cpython': 'cp', 'pypy': 'pp'}[sys.implementation.name]; \
            abi = '%s%d%d%s' % (implementation, v[0], v[1], 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''); \
            musl = 'musl' in (sysconfig.get_config_var('SOABI') or ''); \
            platform_tag = sysconfig.get_platform().replace('linux', 'musllinux' if musl else 'linux'); \
            print(json.dumps([os.path.realpath(getattr(sys, '_base_executable', sys.executable)), platform.python_version(), \
            '%d.%d' % v[:2], abi, abi + '-' + platform_tag, sysconfig.get_config_var('EXT_SUFFIX')]))";
        for candidate in &candidates {
            let Ok(output) = Command::new(candidate).args(["-I", "-c", script]).output() else { continue };
            let Ok(facts) = serde_json::from_slice::<Vec<String>>(&output.stdout) else { continue };
            let [path, version, major_minor, abi, abi_tag, ext_suffix] = <[String; 6]>::try_from(facts).unwrap();
            return Python { path: path.into(), version, major_minor, abi, abi_tag, ext_suffix };
        }
        panic!("no Python at {candidates:?}: put `python3` on PATH or set PYENV_BUILD_TEST_PYTHON");
    })
}

/// What installs build requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Installer {
    Pip,
    Uv,
}

impl Installer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Uv => "uv",
        }
    }

    /// The faster one, for tests where it does not matter.
    pub(crate) fn quick() -> Self {
        if uv().is_some() { Self::Uv } else { Self::Pip }
    }

    /// pip, and uv if there is one; its absence is said.
    pub(crate) fn all() -> Vec<Self> {
        if uv().is_some() {
            return vec![Self::Pip, Self::Uv];
        }
        not_tested("uv", "there is none on PATH, and PYENV_BUILD_TEST_UV is not set");
        vec![Self::Pip]
    }
}

/// The uv of tests that want one.
pub(crate) fn uv() -> Option<&'static Path> {
    static UV: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = UV.get_or_init(|| {
        let named = std::env::var_os("PYENV_BUILD_TEST_UV").map(PathBuf::from);
        if let Some(path) = &named {
            assert!(
                path.is_file(),
                "PYENV_BUILD_TEST_UV is `{}`, which is no file",
                path.display()
            );
        }
        named.or_else(|| which::which("uv").ok())
    });
    found.as_deref()
}

/// Our directory, as it is once pip has been set up: making that anew for each test would take
/// seconds each.
fn prepared() -> &'static Path {
    static PREPARED: OnceLock<PathBuf> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prepared");
        std::fs::create_dir_all(&shared).unwrap();
        // Nothing runs when a test binary ends: the next one removes what the last has left.
        for entry in std::fs::read_dir(&shared).unwrap().filter_map(Result::ok) {
            let old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|made| made.elapsed().is_ok_and(|age| age.as_secs() > 1800));
            if old {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let directory = tempfile::tempdir_in(&shared).unwrap().keep();
        let test = Test::pristine();
        let wheels = test.wheels();
        wheels.add("one", "1", &[]);
        let project = test.project("p").requires(&["one"]);
        let root = directory.join("root");
        test.program(&["provision", "--root"])
            .arg(&root)
            .args(wheels.flags())
            .cwd(&project.path)
            .run()
            .success();
        assert!(root.join("tools").is_dir(), "pip was set up");
        root
    })
}

/// A temporary directory, and how the program is run in it.
#[derive(Debug)]
pub(crate) struct Test {
    directory: tempfile::TempDir,
    /// The same with links resolved, as macOS keeps temporary directories behind one.
    pub path: PathBuf,
    is_pristine: bool,
}

impl Test {
    /// Projects get a directory of ours in which pip has been set up.
    pub(crate) fn new() -> Self {
        prepared();
        let mut test = Self::pristine();
        test.is_pristine = false;
        test
    }

    /// Projects have no directory of ours.
    pub(crate) fn pristine() -> Self {
        Self::named("it-")
    }

    /// In a directory whose name has this in it.
    pub(crate) fn named(name: &str) -> Self {
        let directory = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let path = std::fs::canonicalize(directory.path()).unwrap();
        for name in ["home", "tmp", "bin"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        Self { directory, path, is_pristine: true }
    }

    /// A project with the fixture backend `tiny`.
    pub(crate) fn project(&self, name: &str) -> Project {
        self.project_of(name, &fixtures().join("backends/tiny"))
    }

    /// A project that is a copy of a directory of `hookd/backends`.
    pub(crate) fn project_with_backend(&self, backend: &str) -> Project {
        self.project_of(
            backend,
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("hookd/backends").join(backend),
        )
    }

    fn project_of(&self, name: &str, from: &Path) -> Project {
        let path = self.path.join(name);
        copy_tree(from, &path);
        if !self.is_pristine {
            self.prepare(&path.join(".pyenv-build"));
        }
        Project { path }
    }

    /// Makes a directory of ours in which pip has been set up.
    pub(crate) fn prepare(&self, root: &Path) {
        assert!(!self.is_pristine, "a pristine test prepares nothing");
        std::fs::create_dir_all(root).unwrap();
        for name in [".gitignore", "CACHEDIR.TAG"] {
            std::fs::copy(prepared().join(name), root.join(name)).unwrap();
        }
        // Elsewhere pip is set up once more, which takes time but changes nothing.
        #[cfg(unix)]
        std::os::unix::fs::symlink(prepared().join("tools"), root.join("tools")).unwrap();
    }

    /// An empty directory of local wheels.
    pub(crate) fn wheels(&self) -> Wheels {
        let path = self.path.join("wheels");
        std::fs::create_dir_all(&path).unwrap();
        Wheels { path }
    }

    /// The program with these arguments, run in the temporary directory unless it is told
    /// otherwise.
    pub(crate) fn program(&self, args: &[&str]) -> Program {
        self.command(env!("CARGO_BIN_EXE_cargo-pyenv-build")).args(args)
    }

    /// Any program, in the environment of ours.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Program {
        let mut program = Program {
            name: program.as_ref().into(),
            args: Vec::new(),
            envs: Vec::new(),
            cwd: self.path.clone(),
        };
        for name in ["SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT"] {
            if let Some(value) = std::env::var_os(name) {
                program = program.env(name, value);
            }
        }
        program
            .env("PATH", self.search_path(&[]))
            .env("HOME", self.path.join("home"))
            .env("USERPROFILE", self.path.join("home"))
            .env("TMPDIR", self.path.join("tmp"))
            .env("TMP", self.path.join("tmp"))
            .env("TEMP", self.path.join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .env("PYENV_BUILD_INSTALLER", "pip")
            // Configuration files of this machine and its users are none of ours.
            .env("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" })
            .env("UV_NO_CONFIG", "1")
            .env("UV_CACHE_DIR", self.path.join("uv-cache"))
            .env("UV_PYTHON_DOWNLOADS", "never")
            // Whoever tries to use the network anyway fails at once.
            .env("PIP_RETRIES", "1")
            .env("UV_HTTP_RETRIES", "0")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
    }

    /// The value of PATH: `first`, a directory of the test's own, the interpreter's, the system's.
    pub(crate) fn search_path(&self, first: &[&Path]) -> OsString {
        let own = self.bin();
        let interpreter = python().path.parent().unwrap();
        let system = ["/usr/bin", "/bin"].map(Path::new);
        std::env::join_paths(
            first.iter().copied().chain([own.as_path(), interpreter]).chain(system),
        )
        .unwrap()
    }

    /// A directory on PATH, for programs of the test's.
    pub(crate) fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// A virtual environment of the test's, as a user makes one. Returns its python.
    pub(crate) fn venv(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        self.command(&python().path)
            .args(["-I", "-m", "venv", "--without-pip"])
            .arg(&path)
            .run()
            .success();
        path.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
    }

    /// Text with what differs from run to run and from machine to machine replaced.
    pub(crate) fn filtered(&self, text: &str) -> String {
        let python = python();
        let mut text = text.replace(&self.path.to_string_lossy().into_owned(), "[TMP]");
        text = text
            .replace(&python.path.parent().unwrap().to_string_lossy().into_owned(), "[PYTHON BIN]");
        text = text
            .replace(&format!("{}-", python.abi), "[ABI]-")
            .replace(&python.version, "[VERSION]");
        text
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            eprintln!("the test's directory is kept: {}", self.path.display());
        }
    }
}

/// Filters of snapshots, beyond [`Test::filtered`].
pub(crate) const FILTERS: &[(&str, &str)] = &[
    (r"\d+(\.\d+)?m?s\b", "[TIME]"),
    (r"\[ABI\]-[0-9a-f]{12}", "[ENV]"),
    (r"/tmp/build-[^/ `]+/", "/tmp/[SCRATCH]/"),
    (r"logs/[0-9TZ-]+-(\w+\.log)", "logs/[WHEN]-$1"),
    // Where Python marks a part of a line.
    (r"(?m)^ *[\^~]+ *\n", ""),
    (r"(?m)^ *\| *[\^~]+ *\n", ""),
];

/// A snapshot of a whole text, filtered.
macro_rules! snapshot {
    ($test:expr, $text:expr, @$expected:literal) => {{
        let mut settings = insta::Settings::clone_current();
        for (pattern, replacement) in $crate::context::FILTERS {
            settings.add_filter(pattern, *replacement);
        }
        let text = $test.filtered(&$text);
        settings.bind(|| insta::assert_snapshot!(text, @$expected));
    }};
}
pub(crate) use snapshot;

/// A source tree.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub path: PathBuf,
}

impl Project {
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join(".pyenv-build")
    }

    pub(crate) fn dist(&self) -> PathBuf {
        self.path.join("dist")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Replaces `requires` of `[build-system]`.
    pub(crate) fn requires(self, requirements: &[&str]) -> Self {
        self.set_requires(requirements);
        self
    }

    pub(crate) fn set_requires(&self, requirements: &[&str]) {
        let file = self.path.join("pyproject.toml");
        let mut table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        let list = requirements.iter().map(|text| toml::Value::from(*text)).collect();
        table["build-system"]
            .as_table_mut()
            .unwrap()
            .insert("requires".to_owned(), toml::Value::Array(list));
        std::fs::write(file, toml::to_string(&table).unwrap()).unwrap();
    }

    /// Adds tables to `pyproject.toml`.
    pub(crate) fn pyproject(self, more: &str) -> Self {
        let file = self.path.join("pyproject.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{text}\n{more}\n")).unwrap();
        self
    }

    /// Writes `backend.json`, which the fixture backend reads.
    pub(crate) fn backend(self, settings: &Value) -> Self {
        self.set_backend(settings);
        self
    }

    pub(crate) fn set_backend(&self, settings: &Value) {
        self.write("backend.json", &settings.to_string());
    }

    /// Names of what is in a directory of the project, sorted; none if it is not there.
    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        list(&self.path.join(directory))
    }

    /// Names of the complete or half-made build environments.
    pub(crate) fn envs(&self) -> Vec<String> {
        self.list(".pyenv-build/envs")
            .into_iter()
            .filter(|name| self.root().join("envs").join(name).is_dir())
            .collect()
    }

    pub(crate) fn last_report(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.root().join("reports/last.json")).unwrap())
            .unwrap()
    }
}

/// A directory of wheels to install from.
#[derive(Debug)]
pub(crate) struct Wheels {
    pub path: PathBuf,
}

impl Wheels {
    /// Makes a wheel with one module. Returns its SHA-256.
    pub(crate) fn add(&self, name: &str, version: &str, requires: &[&str]) -> String {
        self.add_with(name, version, requires, "")
    }

    /// The same with something in its module.
    pub(crate) fn add_with(
        &self,
        name: &str,
        version: &str,
        requires: &[&str],
        code: &str,
    ) -> String {
        let info = format!("{name}-{version}.dist-info");
        let requires = requires
            .iter()
            .map(|text| format!("Requires-Dist: {text}\n"))
            .collect::<Vec<_>>()
            .concat();
        let mut members = vec![
            (format!("{name}.py"), format!("VERSION = {version:?}\n{code}\n")),
            (
                format!("{info}/METADATA"),
                format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"),
            ),
            (
                format!("{info}/WHEEL"),
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                    .to_owned(),
            ),
        ];
        let record =
            members.iter().map(|(name, _)| format!("{name},,\n")).collect::<Vec<_>>().concat();
        members.push((format!("{info}/RECORD"), format!("{record}{info}/RECORD,,\n")));
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        for (name, text) in members {
            archive.start_file(name, options).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        let bytes = archive.finish().unwrap().into_inner();
        std::fs::write(self.file(name, version), &bytes).unwrap();
        sha256(&bytes)
    }

    pub(crate) fn file(&self, name: &str, version: &str) -> PathBuf {
        self.path.join(format!("{name}-{version}-py3-none-any.whl"))
    }

    /// Flags that make it the only place to install from.
    pub(crate) fn flags(&self) -> [String; 3] {
        [
            "--no-index".to_owned(),
            "--find-links".to_owned(),
            self.path.to_string_lossy().into_owned(),
        ]
    }
}

/// A program that has not run yet.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    cwd: PathBuf,
}

impl Program {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.env_remove(&name);
        self.envs.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    pub(crate) fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.envs.retain(|(known, _)| known != name.as_ref());
        self
    }

    pub(crate) fn cwd(mut self, directory: impl AsRef<Path>) -> Self {
        self.cwd = directory.as_ref().into();
        self
    }

    /// The same as the last arguments of another program.
    #[cfg(unix)]
    pub(crate) fn behind(&self, program: &Path, args: &[&str]) -> Self {
        let args = args
            .iter()
            .map(OsString::from)
            .chain([self.name.clone()])
            .chain(self.args.iter().cloned())
            .collect();
        Self { name: program.into(), args, ..self.clone() }
    }

    /// Runs in a project.
    pub(crate) fn in_(self, project: &Project) -> Self {
        self.cwd(&project.path)
    }

    /// With this installer, which must be there.
    pub(crate) fn installer(self, installer: Installer, test: &Test) -> Self {
        let with = self.env("PYENV_BUILD_INSTALLER", installer.name());
        match installer {
            Installer::Pip => with,
            Installer::Uv => {
                let directory =
                    uv().expect("tests ask for uv only if there is one").parent().unwrap();
                with.env("PATH", test.search_path(&[])).env_append_path(directory)
            }
        }
    }

    fn env_append_path(self, directory: &Path) -> Self {
        let path = self
            .envs
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.clone())
            .unwrap_or_default();
        let directories: Vec<PathBuf> =
            std::env::split_paths(&path).chain([directory.to_path_buf()]).collect();
        self.env("PATH", std::env::join_paths(directories).unwrap())
    }

    fn to_std(&self) -> Command {
        let mut command = Command::new(&self.name);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.envs.iter().map(|(name, value)| (name, value)));
        command
            .current_dir(&self.cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it in a process group of its own.
    #[cfg(unix)]
    pub(crate) fn spawn(&self) -> Child {
        use std::os::unix::process::CommandExt as _;
        self.to_std().process_group(0).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Run {
        let output = self
            .to_std()
            .output()
            .unwrap_or_else(|error| panic!("failed to start `{}`: {error}", self.name.display()));
        self.ended(&output)
    }

    /// What came of a process that [`Self::spawn`] started.
    pub(crate) fn wait(&self, child: Child) -> Run {
        self.ended(&child.wait_with_output().unwrap())
    }

    fn ended(&self, output: &std::process::Output) -> Run {
        Run {
            command: std::iter::once(&self.name)
                .chain(&self.args)
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(" "),
            cwd: self.cwd.clone(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A program that has ended. If the test fails while it is at hand, all about it is shown.
#[derive(Debug)]
pub(crate) struct Run {
    command: String,
    cwd: PathBuf,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Demands an exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code");
        self
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.exits(0)
    }

    /// stdout as the one JSON object that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one object on one line");
        serde_json::from_str(&self.stdout).expect("JSON on stdout")
    }

    /// stdout as lines.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The `hint:` line of a failure.
    #[track_caller]
    pub(crate) fn hint(&self) -> &str {
        self.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).expect("a hint on stderr")
    }

    /// The `error:` line of a failure.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        self.stderr
            .lines()
            .find_map(|line| line.strip_prefix("error: "))
            .expect("an error on stderr")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { command, cwd, code, stdout, stderr } = self;
            eprintln!(
                "--- {command}\n--- in {}\n--- exit code {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---",
                cwd.display()
            );
        }
    }
}

/// A word as one would type it in a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    shlex::try_quote(&word).map_or_else(|_| word.to_string(), std::borrow::Cow::into_owned)
}

/// Writes an executable shell script.
///
/// Another process does: a descriptor of ours, open for writing, would be inherited by what other
/// threads start meanwhile, and a file that someone may write cannot be run ("Text file busy").
#[cfg(unix)]
pub(crate) fn script(path: &Path, body: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#;
    assert!(
        Command::new("sh")
            .args(["-c", write, "sh"])
            .arg(path)
            .arg(body)
            .status()
            .unwrap()
            .success()
    );
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    use sha2::Digest as _;
    format!("{:x}", sha2::Sha256::digest(bytes))
}

/// Where `tests/fixtures` is.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Names in a directory, sorted; none if it is not there.
pub(crate) fn list(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Copies a directory tree.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The text of a member of a wheel.
pub(crate) fn member(wheel: &Path, name: &str) -> String {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).unwrap()).unwrap();
    std::io::read_to_string(archive.by_name(name).unwrap()).unwrap()
}

/// What the fixture backend has written down: one object for each call.
pub(crate) fn calls(record: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(record).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The names of the hooks called, in order.
pub(crate) fn hooks_called(record: &Path) -> Vec<String> {
    calls(record).iter().map(|call| call["hook"].as_str().unwrap().to_owned()).collect()
}
