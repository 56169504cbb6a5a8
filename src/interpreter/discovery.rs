//! Where interpreters are looked for, and in which order.

use std::path::{Path, PathBuf};

use pep508_rs::pep440_rs::VersionSpecifiers;

use super::request::Version;
use super::{Error, Interpreter, Request, probe};
use crate::{env_vars, fs};

/// Who asked for an interpreter; said in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    Settings,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The explicit wish, if there is one, and where it was uttered.
    pub request: Option<(String, Source)>,
    /// The project's `requires-python`. It chooses among what is found by default; an explicit
    /// wish beats it.
    pub requires_python: Option<VersionSpecifiers>,
    /// Relative paths in a request, and pyenv's `.python-version`, are looked up from here.
    pub directory: PathBuf,
}

/// Finds and probes the interpreter. `cache` is the directory of probe answers.
pub(crate) fn discover(wanted: &Wanted, cache: &Path) -> Result<Interpreter, Error> {
    match &wanted.request {
        Some((text, source)) => {
            let request =
                text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
            // A path in the settings file is relative to the project; one typed by a user is
            // relative to where they are.
            let base = if *source == Source::Settings {
                wanted.directory.as_path()
            } else {
                Path::new("")
            };
            explicit(&request, text, base, &wanted.directory, cache)
        }
        None => default(wanted, cache),
    }
}

fn explicit(
    request: &Request,
    text: &str,
    base: &Path,
    directory: &Path,
    cache: &Path,
) -> Result<Interpreter, Error> {
    match request {
        Request::Path(path) => probe::probe(&executable_in(&base.join(path)), cache),
        Request::Name(name) => match on_path(name, directory) {
            Some(path) => probe::probe(&path, cache),
            None => Err(Error::NotFound {
                wanted: Some(text.to_owned()),
                looked_at: vec!["PATH".to_owned()],
            }),
        },
        Request::Version(version) => by_version(version, text, directory, cache),
    }
}

/// A directory stands for the python in it: an environment, or an installation.
fn executable_in(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_path_buf();
    }
    let names = ["bin/python3", "bin/python", "Scripts/python.exe", "python.exe", "python3"];
    names
        .iter()
        .map(|name| path.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| path.join(names[0]))
}

fn default(wanted: &Wanted, cache: &Path) -> Result<Interpreter, Error> {
    let mut looked_at = Vec::new();
    let mut first_error = None;
    let mut unsuitable = None;
    let active = env_vars::get_os("VIRTUAL_ENV")
        .map(|path| executable_in(Path::new(&path)))
        .filter(|path| path.exists());
    let named = ["python3", "python"].iter().filter_map(|name| on_path(name, &wanted.directory));
    let installed = wanted.requires_python.iter().flat_map(|_| installed_everywhere());
    for path in active.into_iter().chain(named).chain(installed) {
        match probe::probe(&path, cache) {
            Ok(interpreter)
                if wanted
                    .requires_python
                    .as_ref()
                    .is_none_or(|wanted| interpreter.satisfies(wanted)) =>
            {
                return Ok(interpreter);
            }
            Ok(interpreter) => unsuitable = unsuitable.or(Some(interpreter)),
            Err(Error::Interrupted(signal)) => return Err(Error::Interrupted(signal)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
        looked_at.push(format!("`{}`", path.display()));
    }
    // Better the backend's own word on `requires-python` than none.
    match (unsuitable, first_error) {
        (Some(interpreter), _) => Ok(interpreter),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::NotFound { wanted: None, looked_at }),
    }
}

fn by_version(
    version: &Version,
    text: &str,
    directory: &Path,
    cache: &Path,
) -> Result<Interpreter, Error> {
    let active = env_vars::get_os("VIRTUAL_ENV").map(|path| executable_in(Path::new(&path)));
    let named = version.executable_names().into_iter().filter_map(|name| on_path(&name, directory));
    let mut looked_at = Vec::new();
    let mut seen = Vec::new();
    for path in active.into_iter().chain(named).chain(installed_everywhere()) {
        let real = fs::real(&path);
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        match probe::probe(&path, cache) {
            Ok(interpreter) if version.matches(&interpreter.identity) => return Ok(interpreter),
            Err(Error::Interrupted(signal)) => return Err(Error::Interrupted(signal)),
            Ok(interpreter) => {
                looked_at.push(format!("`{}` ({})", path.display(), interpreter.identity.version));
            }
            Err(Error::Unsupported { what, .. }) => {
                looked_at.push(format!("`{}` (too old: {what})", path.display()));
            }
            Err(_) => looked_at.push(format!("`{}`, which does not work", path.display())),
        }
    }
    Err(Error::NotFound { wanted: Some(text.to_owned()), looked_at })
}

/// A program on PATH; a pyenv shim is replaced by what it would run.
fn on_path(name: &str, directory: &Path) -> Option<PathBuf> {
    let shims = pyenv_root().map(|root| root.join("shims"));
    for path in which::which_all(name).ok()? {
        if shims.as_deref().is_some_and(|shims| path.parent() == Some(shims)) {
            if let Some(real) = behind_shim(name, directory) {
                return Some(real);
            }
            // The shim would fall through to the rest of PATH, or fail.
            continue;
        }
        return Some(path);
    }
    None
}

fn pyenv_root() -> Option<PathBuf> {
    env_vars::get_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env_vars::get_os("HOME").map(|home| Path::new(&home).join(".pyenv")))
        .filter(|root| root.is_dir())
}

/// What a pyenv shim would run, without the 30 ms that it takes to ask: the versions named by
/// `PYENV_VERSION`, else by the nearest `.python-version`, else by the global `version` file.
///
/// Source: <https://github.com/pyenv/pyenv/blob/v2.4.0/libexec/pyenv-version-file> and `pyenv-version-name`.
fn behind_shim(name: &str, directory: &Path) -> Option<PathBuf> {
    let root = pyenv_root()?;
    let read = |path: &Path| fs_err::read_to_string(path).ok();
    let text = env_vars::get("PYENV_VERSION")
        .map(|versions| versions.replace(':', "\n"))
        .or_else(|| directory.ancestors().find_map(|dir| read(&dir.join(".python-version"))))
        .or_else(|| read(&root.join("version")))?;
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).find_map(
        |version| {
            let path = pyenv_version(&root, version)?.join("bin").join(name);
            path.is_file().then_some(path)
        },
    )
}

/// The directory of an installed version; `3.12` stands for the newest `3.12.x`.
fn pyenv_version(root: &Path, version: &str) -> Option<PathBuf> {
    let versions = root.join("versions");
    let exact = versions.join(version);
    if exact.is_dir() {
        return Some(exact);
    }
    let prefix = format!("{version}.");
    newest_first(&versions).into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    })
}

/// Interpreters that pyenv and uv have installed, newest first.
fn installed_everywhere() -> Vec<PathBuf> {
    let pyenv = pyenv_root().map(|root| root.join("versions"));
    let uv = env_vars::get_os("UV_PYTHON_INSTALL_DIR").map(PathBuf::from).or_else(|| {
        let data = env_vars::get_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
            env_vars::get_os("HOME").map(|home| Path::new(&home).join(".local/share"))
        })?;
        Some(data.join("uv/python"))
    });
    let mut seen = Vec::new();
    pyenv
        .into_iter()
        .chain(uv)
        .flat_map(|directory| newest_first(&directory))
        .filter(|path| path.is_dir())
        // uv keeps links such as `cpython-3.12-linux` next to the real directories.
        .filter(|path| {
            let real = fs::real(path);
            let new = !seen.contains(&real);
            seen.push(real);
            new
        })
        .map(|path| executable_in(&path))
        .filter(|path| path.is_file())
        .collect()
}

fn newest_first(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir(directory)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    found.sort_by_key(|path| {
        std::cmp::Reverse(numbers_in(&path.file_name().unwrap_or_default().to_string_lossy()))
    });
    found
}

/// `cpython-3.12.1-linux` -> `[3, 12, 1]`, to sort versions as numbers.
fn numbers_in(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["3.9.1", "3.12.10", "3.12.9", "3.12.10-debug"] {
            fs_err::create_dir(dir.path().join(name)).unwrap();
        }
        let names: Vec<String> = newest_first(dir.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names[2..], ["3.12.9", "3.9.1"]);
    }

    #[test]
    fn a_pyenv_prefix_means_the_newest_of_that_series() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["3.12.1", "3.12.10", "3.1.0"] {
            fs_err::create_dir_all(dir.path().join("versions").join(name)).unwrap();
        }
        assert!(pyenv_version(dir.path(), "3.12").unwrap().ends_with("3.12.10"));
        assert!(pyenv_version(dir.path(), "3.12.1").unwrap().ends_with("3.12.1"));
        assert_eq!(pyenv_version(dir.path(), "3.13"), None);
    }
}
