//! For build scripts that need Python: the interpreter that the package is built for, and the
//! packages in the build environment.
//!
//! A `build.rs` that generates code with cffi, asks numpy for its headers or Python for its paths
//! must run the python of the build environment, and must run again when that has something else in
//! it. This module finds the python, tells cargo on what the script depends now, runs code with it,
//! and says what is missing if that fails.
//!
//! ```toml
//! [build-dependencies]
//! cargo-pyenv-build = { version = "0.1", default-features = false, features = ["build-script"] }
//! ```
//!
//! So it is the standard library and nothing else.
//!
//! ```no_run
//! use pyenv_build::build_script;
//!
//! fn main() -> Result<(), build_script::Error> {
//!     println!("cargo::rerun-if-changed=build.rs");
//!     let include = build_script::run_python("import sysconfig; print(sysconfig.get_path('include'))")?;
//!     println!("cargo::rustc-env=PYTHON_INCLUDE={include}");
//!     Ok(())
//! }
//! ```
//!
//! # Which python
//!
//! The one that PyO3's build scripts take: `PYO3_PYTHON`, else `PYTHON_SYS_EXECUTABLE`, else the
//! one in `VIRTUAL_ENV`, else `python3` or `python` on `PATH`. maturin, setuptools-rust and
//! cargo-pyenv-build set the first two for the cargo that they run; `cargo pyenv-build run` and
//! `env` set them for yours. An empty variable counts as unset.
//!
//! # When the script runs again
//!
//! [`Python::find`] prints `cargo::rerun-if-env-changed` for the variables that decided, and for no
//! others: a cargo that has the same `PYO3_PYTHON` finds the crate fresh, whatever environment is
//! active.
//!
//! The path of a **build environment of cargo-pyenv-build** says what is in it, and what is in it
//! never changes. So the variable is all that there is to watch, and:
//!
//! - the same requirements, or the environment removed and made again: the script does not run;
//! - a different version of anything in the environment, or a different interpreter: the path
//!   differs, and the script runs. That holds for a requirement that the script does not use as well: nobody
//!   can know what it has looked at, and its output may have the path in it;
//! - back to the requirements of before: it runs again, unless cargo-pyenv-build has given each
//!   environment a build directory of its own, as it does when environments alternate (cargo 1.91
//!   or newer): then that is as it was left, and fresh.
//!
//! **Any other python** can get other packages at the same path. Then the interpreter and the
//! metadata of all installed distributions are watched as well (`cargo::rerun-if-changed`):
//! installing another version, or removing one, runs the script again. Not seen are modules that
//! are edited in place, and a distribution that is added.
//!
//! With these lines cargo no longer looks at the other files of the package by itself: print a
//! `cargo::rerun-if-changed` for each that the script reads.

#![expect(
    clippy::disallowed_methods,
    reason = "the doors are the program's: build scripts get the standard library only"
)]

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the order in which they are looked at.
const VARIABLES: [&str; 2] = ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE"];
const ENVIRONMENT: &str = "VIRTUAL_ENV";

/// Prints the metadata files of all distributions that can be imported, one path on each line.
const DISTRIBUTIONS: &str = "import os, sys
for directory in sys.path:
    try:
        names = os.listdir(directory)
    except OSError:
        continue
    for name in sorted(names):
        path = os.path.join(directory, name)
        if name.endswith(('.dist-info', '.egg-info')):
            files = [os.path.join(path, file) for file in ('RECORD', 'METADATA', 'PKG-INFO')]
            print(next((file for file in files if os.path.exists(file)), path))
        elif name.endswith(('.pth', '.egg-link')):
            print(path)
";

/// A python, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    executable: PathBuf,
    found_by: String,
    is_ours: bool,
}

impl Python {
    /// Finds the python to build for, and prints for cargo when this build script must run again:
    /// see the [module's documentation](self).
    ///
    /// ```no_run
    /// # use pyenv_build::build_script::{Error, Python};
    /// # fn main() -> Result<(), Error> {
    /// let python = Python::find()?;
    /// let out_dir = std::env::var_os("OUT_DIR").expect("cargo sets it");
    /// python.run("import sys, my_generator; my_generator.write_c(sys.argv[1])", [out_dir])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn find() -> Result<Self, Error> {
        let mut lines = Vec::new();
        let found =
            find(&|name| std::env::var_os(name).filter(|value| !value.is_empty()), &mut lines);
        let found = found.and_then(|python| {
            if !python.is_ours {
                lines.extend(
                    python
                        .watched()?
                        .iter()
                        .map(|path| format!("cargo::rerun-if-changed={}", path.display())),
                );
            }
            Ok(python)
        });
        let mut stdout = io::stdout().lock();
        for line in lines {
            // The process that started us reads it, or has ended.
            let _ = writeln!(stdout, "{line}");
        }
        found
    }

    /// The interpreter, to be run in other ways than [`run`](Self::run).
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Runs Python code with `arguments` as `sys.argv[1:]`, and returns what it prints, without
    /// line ends at the end.
    ///
    /// It runs as `python -I -B -X utf8 -c CODE`: no variables but those named in the module's
    /// documentation decide what it does, it can import what the environment has and nothing
    /// from the current directory, it writes no byte code, and it speaks UTF-8.
    ///
    /// ```no_run
    /// # use pyenv_build::build_script::{Error, Python};
    /// # fn main() -> Result<(), Error> {
    /// let headers = Python::find()?.run("import numpy; print(numpy.get_include())", [""; 0])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<A: AsRef<OsStr>>(
        &self,
        code: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, Error> {
        let mut command = Command::new(&self.executable);
        command.args(["-I", "-B", "-X", "utf8", "-c", code]).args(arguments);
        // macOS hands the launcher's path down in this variable, and a child python believes it.
        command.env_remove("__PYVENV_LAUNCHER__");
        let output =
            command.output().map_err(|source| Error::Start { python: self.clone(), source })?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            return Err(Error::Failed {
                python: self.clone(),
                status: output.status.to_string(),
                stderr,
            });
        }
        let mut text = String::from_utf8(output.stdout)
            .map_err(|_not_text| Error::NotText { python: self.clone() })?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(text)
    }

    /// Files that change when this python, or what is installed for it, does.
    fn watched(&self) -> Result<Vec<PathBuf>, Error> {
        let listed = self.run(DISTRIBUTIONS, [""; 0])?;
        let mut files = vec![self.executable.clone()];
        // A line end in a path would end cargo's line, too.
        files.extend(listed.lines().map(PathBuf::from).filter(|path| path.exists()));
        Ok(files)
    }
}

/// Runs Python code with the python to build for, and returns what it prints, without line ends at
/// the end.
///
/// [`Python::find`] and [`Python::run`] in one.
///
/// ```no_run
/// # use pyenv_build::build_script;
/// # fn main() -> Result<(), build_script::Error> {
/// let suffix = build_script::run_python("import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))")?;
/// # Ok(())
/// # }
/// ```
pub fn run_python(code: &str) -> Result<String, Error> {
    Python::find()?.run(code, [""; 0])
}

/// Finds the python; `lines` gets what cargo must know of how.
fn find(
    variable: &dyn Fn(&str) -> Option<OsString>,
    lines: &mut Vec<String>,
) -> Result<Python, Error> {
    let mut ask = |name: &str| {
        lines.push(format!("cargo::rerun-if-env-changed={name}"));
        variable(name)
    };
    for name in VARIABLES {
        let Some(value) = ask(name) else { continue };
        let path = PathBuf::from(&value);
        // A name is looked up, as the system does for PyO3.
        let is_name = path.components().count() == 1 && !path.is_absolute();
        let executable = if is_name {
            on_path(&[&value], ask("PATH").as_deref())
        } else {
            Some(path).filter(|path| path.is_file())
        };
        let found_by = format!("{name}={}", value.to_string_lossy());
        return executable
            .map(|executable| Python::at(executable, name.to_owned()))
            .ok_or(Error::NotFound { looked_at: found_by });
    }
    if let Some(value) = ask(ENVIRONMENT) {
        let directory = PathBuf::from(&value);
        let names = if cfg!(windows) {
            ["Scripts\\python.exe", "python.exe"]
        } else {
            ["bin/python", "bin/python3"]
        };
        let executable = names.iter().map(|name| directory.join(name)).find(|path| path.is_file());
        let found_by = format!("{ENVIRONMENT}={}", directory.display());
        return executable
            .map(|executable| Python::at(executable, ENVIRONMENT.to_owned()))
            .ok_or(Error::NotFound { looked_at: found_by });
    }
    let executable = on_path(&["python3".as_ref(), "python".as_ref()], ask("PATH").as_deref());
    let looked_at = "PATH, as neither PYO3_PYTHON nor VIRTUAL_ENV is set".to_owned();
    executable
        .map(|executable| Python::at(executable, "PATH".to_owned()))
        .ok_or(Error::NotFound { looked_at })
}

impl Python {
    fn at(executable: PathBuf, found_by: String) -> Self {
        Self { is_ours: is_build_environment(&executable), executable, found_by }
    }
}

fn on_path(names: &[&OsStr], path: Option<&OsStr>) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = path.into_iter().flat_map(std::env::split_paths).collect();
    let candidates =
        names.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    candidates
        .map(|path| {
            if cfg!(windows) && path.extension().is_none() {
                path.with_extension("exe")
            } else {
                path
            }
        })
        .find(|path| path.is_file())
}

/// Whether a python is that of a build environment of ours: `.pyenv-build/envs/<name>/bin/python`,
/// its marker next to the environment and our tag above it.
fn is_build_environment(executable: &Path) -> bool {
    let is_marked = || {
        let environment = executable.parent()?.parent()?;
        let envs = environment.parent()?;
        let marker = envs.join(format!("{}.json", environment.file_name()?.to_str()?));
        let tag = std::fs::read_to_string(envs.parent()?.join("CACHEDIR.TAG")).ok()?;
        Some(
            envs.ends_with("envs") && marker.is_file() && tag.contains("made by cargo-pyenv-build"),
        )
    };
    is_marked().unwrap_or_default()
}

/// What went wrong. `Debug` says the same as `Display`, so that a `main` which returns it, or an
/// `unwrap`, is readable in cargo's output.
#[non_exhaustive]
pub enum Error {
    /// There is no python where one should be.
    NotFound {
        /// Where it should have been.
        looked_at: String,
    },
    /// It cannot be started.
    Start {
        /// Which.
        python: Python,
        /// Why.
        source: io::Error,
    },
    /// The code failed.
    Failed {
        /// Which ran it.
        python: Python,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// What the code printed is not text in UTF-8.
    NotText {
        /// Which ran it.
        python: Python,
    },
}

impl Error {
    /// What can be done about it.
    fn hint(&self) -> String {
        const HERE: &str =
            "build with `cargo pyenv-build`, or with `cargo pyenv-build run -- cargo ...`";
        let (python, stderr) = match self {
            Self::NotFound { .. } => return format!("{HERE}, or set PYO3_PYTHON to a python"),
            Self::Start { python, .. } | Self::NotText { python } => (python, ""),
            Self::Failed { python, stderr, .. } => (python, stderr.as_str()),
        };
        let missing = stderr
            .rsplit_once("No module named ")
            .map(|(_, rest)| rest.lines().next().unwrap_or_default().trim_matches(['\'', '"']));
        match (missing, python.is_ours) {
            (Some(module), true) => format!(
                "add the package that provides `{module}` to `[build-system] requires` in \
                    pyproject.toml"
            ),
            (Some(module), false) => format!(
                "{HERE}, with the package that provides `{module}` in `[build-system] requires`; \
                    or install it for the python in {}",
                python.found_by
            ),
            (None, true) => "this is the build environment's python: it can import the packages \
                in `[build-system] requires` only"
                .to_owned(),
            (None, false) => format!(
                "it comes from {}; {HERE} to have the packages in `[build-system] requires`",
                python.found_by
            ),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { looked_at } => write!(f, "there is no python at {looked_at}")?,
            Self::Start { python, source } => {
                write!(f, "failed to start `{}`: {source}", python.executable.display())?;
            }
            Self::NotText { python } => {
                write!(
                    f,
                    "`{}` printed text that is not valid UTF-8",
                    python.executable.display()
                )?;
            }
            Self::Failed { python, status, stderr } => {
                write!(
                    f,
                    "Python code for the build script failed ({status}) in `{}`",
                    python.executable.display()
                )?;
                let mut text = String::new();
                for line in stderr.lines() {
                    let _ = write!(text, "\n  {line}");
                }
                f.write_str(&text)?;
            }
        }
        write!(f, "\nhint: {}", self.hint())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
#[cfg(unix)] // where the layout of environments is this
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Directories with pythons that are not run.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, text: &str) -> String {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }

        /// A build environment's python.
        fn ours(&self) -> String {
            self.file("r/CACHEDIR.TAG", "# This directory was made by cargo-pyenv-build.\n");
            self.file("r/envs/cp312-0123.json", "{}");
            self.file("r/envs/cp312-0123/bin/python", "")
        }
    }

    fn found(variables: &[(&str, &str)]) -> (Result<Python, Error>, Vec<String>) {
        let map: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let mut lines = Vec::new();
        let python = find(&|name| map.get(name).map(OsString::from), &mut lines);
        let names = lines
            .iter()
            .map(|line| line.strip_prefix("cargo::rerun-if-env-changed=").unwrap().to_owned());
        (python, names.collect())
    }

    #[test]
    fn only_the_variables_that_decided_are_watched() {
        let world = World::new();
        let (python, venv) = (world.ours(), world.file("v/bin/python", ""));
        let venv_directory =
            Path::new(&venv).parent().unwrap().parent().unwrap().to_str().unwrap().to_owned();
        let bin = Path::new(&venv).parent().unwrap().to_str().unwrap().to_owned();
        let all = [
            ("PYO3_PYTHON", &*python),
            ("PYTHON_SYS_EXECUTABLE", &*venv),
            ("VIRTUAL_ENV", &*venv_directory),
            ("PATH", &*bin),
        ];
        let order = ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "VIRTUAL_ENV", "PATH"];
        for (first, expected) in [&python, &venv, &venv, &venv].iter().enumerate() {
            let (found, watched) = found(&all[first..]);
            let found = found.unwrap();
            assert_eq!(
                (found.executable.to_str(), &watched[..]),
                (Some(expected.as_str()), &order.map(str::to_owned)[..=first])
            );
            assert_eq!((found.found_by.as_str(), found.is_ours), (order[first], first == 0));
        }
        let (found, watched) = found(&[("PYO3_PYTHON", "python"), ("PATH", &bin)]);
        assert_eq!(
            (found.unwrap().executable.to_str(), watched),
            (Some(venv.as_str()), vec!["PYO3_PYTHON".to_owned(), "PATH".to_owned()])
        );
    }

    #[test]
    fn a_marker_and_our_tag_make_a_build_environment() {
        let world = World::new();
        let python = world.ours();
        assert!(is_build_environment(Path::new(&python)));
        for (file, text) in [("r/CACHEDIR.TAG", "somebody else's"), ("r/envs/cp312-0123.json", "")]
        {
            let path = world.file(file, text);
            if text.is_empty() {
                std::fs::remove_file(path).unwrap();
            }
            assert!(!is_build_environment(Path::new(&python)), "{file}");
            world.ours();
        }
        assert!(
            !is_build_environment(Path::new("/usr/bin/python3"))
                && !is_build_environment(Path::new("python3"))
        );
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let text = |variables: &[(&str, &str)]| found(variables).0.unwrap_err().to_string();
        let gone = text(&[("PYO3_PYTHON", "/no/such/python")]);
        assert!(gone.starts_with("there is no python at PYO3_PYTHON=/no/such/python\nhint: build with `cargo pyenv-build`"), "{gone}");
        assert!(text(&[("VIRTUAL_ENV", "/no/venv")]).contains("at VIRTUAL_ENV=/no/venv\n"));
        assert!(text(&[("PATH", "/no/bin")]).contains("at PATH, as neither"));

        let world = World::new();
        let python = Python::at(world.ours().into(), "PYO3_PYTHON".into());
        let failed = |python: &Python, stderr: &str| {
            Error::Failed {
                python: python.clone(),
                status: "exit status: 1".into(),
                stderr: stderr.into(),
            }
            .to_string()
        };
        let missing = "Traceback\nModuleNotFoundError: No module named 'cffi.api'";
        let error = failed(&python, missing);
        assert!(error.contains("\n  Traceback\n  ModuleNotFoundError"), "{error}");
        assert!(
            error.ends_with(
                "hint: add the package that provides `cffi.api` to `[build-system] requires` in \
                    pyproject.toml"
            ),
            "{error}"
        );
        assert!(
            failed(&python, "ValueError")
                .contains("can import the packages in `[build-system] requires` only")
        );
        let other = Python { is_ours: false, ..python };
        assert!(failed(&other, missing).contains("install it for the python in PYO3_PYTHON"));
        assert_eq!(
            format!("{:?}", Error::NotText { python: other.clone() }),
            Error::NotText { python: other }.to_string()
        );
    }

    /// The python of this machine.
    fn real() -> Python {
        let variable = |name: &str| if name == "PATH" { std::env::var_os(name) } else { None };
        find(&variable, &mut Vec::new()).unwrap()
    }

    #[test]
    fn code_runs_apart_from_the_directory_and_its_output_is_text() {
        let python = real();
        assert_eq!(
            python.run("import sys; print(sys.argv[1:], 'é')", ["a b", "'\n"]).unwrap(),
            r#"['a b', "'\n"] é"#
        );
        assert_eq!(python.run("print('x\\n')", [""; 0]).unwrap(), "x");
        assert_eq!(
            python
                .run("import sys; print('' in sys.path, sys.dont_write_bytecode)", [""; 0])
                .unwrap(),
            "False True"
        );
        let error = python.run("import no_such_module", [""; 0]).unwrap_err().to_string();
        assert!(
            error.contains("No module named 'no_such_module'")
                && error.contains("`[build-system] requires`"),
            "{error}"
        );
        assert!(matches!(
            python.run("import sys; sys.stdout.buffer.write(b'\\xff')", [""; 0]),
            Err(Error::NotText { .. })
        ));
    }

    #[test]
    fn of_other_pythons_the_installed_distributions_are_watched() {
        let python = real();
        let watched = python.watched().unwrap();
        assert_eq!(watched[0], python.executable);
        // The standard library's own pip is there at least where somebody has installed it.
        let listed = python
            .run(
                "import importlib.metadata as m; print(len([d for d in m.distributions()]))",
                [""; 0],
            )
            .unwrap();
        let metadata = watched.iter().filter(|path| {
            path.components().any(|part| part.as_os_str().to_string_lossy().ends_with("-info"))
        });
        assert_eq!(metadata.count().to_string(), listed);
    }
}
