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
//! - back to the requirements of before: it runs again, and if its output is what it was then,
//!   nothing above it is compiled.
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
mod error;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use error::Error;

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
        let mut stdout = std::io::stdout().lock();
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

#[cfg(test)]
#[cfg(unix)] // where the layout of environments is this
mod tests;
