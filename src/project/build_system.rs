//! `[build-system]` of `pyproject.toml`, as PEP 517 and PEP 518 define it.

use std::path::Path;
use std::str::FromStr as _;

use super::{Error, Requirement};

/// How a project wants to be built.
#[derive(Debug, Clone)]
pub struct BuildSystem {
    /// As written, whitespace trimmed, in the file's order.
    pub requires: Vec<String>,
    /// An object reference, `setuptools.build_meta:__legacy__`.
    pub build_backend: String,
    /// Directories of an in-tree backend, relative to the source tree.
    pub backend_path: Option<Vec<String>>,
}

/// The backends whose environment variables we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Maturin,
    /// setuptools, with or without setuptools-rust.
    Setuptools,
    Other,
}

/// PEP 517: "If the pyproject.toml file is absent, or the build-backend key is missing, the source
/// tree is not using this specification, and tools should revert to the legacy behaviour of running
/// setup.py", which today means this backend.
const LEGACY_BACKEND: &str = "setuptools.build_meta:__legacy__";
/// What pip and build require when there is no `[build-system]` table.
const LEGACY_REQUIRES: &str = "setuptools >= 40.8.0";

impl BuildSystem {
    pub(super) fn read(file: &Path, pyproject: &toml::Table) -> Result<Self, Error> {
        let invalid = |message: String, hint: &str| Error::Invalid {
            path: file.to_path_buf(),
            message,
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        };
        let table = match pyproject.get("build-system") {
            None => {
                return Ok(Self {
                    requires: vec![LEGACY_REQUIRES.to_owned()],
                    build_backend: LEGACY_BACKEND.to_owned(),
                    backend_path: None,
                });
            }
            Some(value) => value
                .as_table()
                .ok_or_else(|| invalid("`build-system` is not a table".to_owned(), ""))?,
        };
        let requires = match table.get("requires") {
            None => {
                return Err(invalid(
                    "`build-system.requires` is missing".to_owned(),
                    "PEP 518 requires it: `requires = [\"maturin>=1.9,<2\"]`",
                ));
            }
            Some(value) => strings(value).ok_or_else(|| {
                invalid(
                    "`build-system.requires` is not a list of strings".to_owned(),
                    "write `requires = [\"maturin>=1.9,<2\"]`",
                )
            })?,
        };
        let requires: Vec<String> = requires.iter().map(|text| text.trim().to_owned()).collect();
        for text in &requires {
            parse_requirement(text).map_err(|message| {
                invalid(
                    format!("`{text}` in `build-system.requires` is not a requirement: {message}"),
                    "see PEP 508 for the syntax",
                )
            })?;
        }
        let backend_path = match table.get("backend-path") {
            None => None,
            Some(value) => Some(strings(value).ok_or_else(|| {
                invalid("`build-system.backend-path` is not a list of strings".to_owned(), "")
            })?),
        };
        let build_backend = match table.get("build-backend") {
            None if backend_path.is_some() => {
                return Err(invalid(
                    "`build-system.backend-path` needs a `build-backend`".to_owned(),
                    "",
                ));
            }
            None => LEGACY_BACKEND.to_owned(),
            Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| {
                invalid("`build-system.build-backend` is not a string".to_owned(), "")
            })?,
        };
        for path in backend_path.iter().flatten() {
            let inside = !Path::new(path).is_absolute()
                && crate::fs::absolute(&file.with_file_name(path))
                    .is_ok_and(|path| path.starts_with(file.parent().unwrap_or(file)));
            if !inside {
                return Err(invalid(
                    format!(
                        "`build-system.backend-path` names `{path}`, which is outside the source tree"
                    ),
                    "PEP 517 allows directories inside the source tree only",
                ));
            }
        }
        Ok(Self { requires, build_backend, backend_path })
    }

    /// Which backend this is, wrapped in an in-tree one or not.
    pub fn backend(&self) -> Backend {
        let module = self.build_backend.split([':', '.']).next().unwrap_or_default();
        let requires = |wanted: &str| {
            self.requires.iter().any(|text| {
                parse_requirement(text).is_ok_and(|requirement| requirement.name.as_ref() == wanted)
            })
        };
        if module == "maturin" || (self.backend_path.is_some() && requires("maturin")) {
            Backend::Maturin
        } else if module == "setuptools" || requires("setuptools-rust") {
            Backend::Setuptools
        } else {
            Backend::Other
        }
    }
}

/// Parses one PEP 508 requirement; the error is one line.
pub(crate) fn parse_requirement(text: &str) -> Result<Requirement, String> {
    // pep508_rs 0.9 panics on names that end in a separator, and on some errors next to a character
    // of more than one byte. Remove when it does not: the property test of pyproject files
    // finds both within a million cases.
    if let Some(c) = text.chars().find(|c| !c.is_ascii()) {
        return Err(format!("it has the character `{c}`; a URL must be percent-encoded"));
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let rest = text.trim_start();
    let (name, rest) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
    let extras = rest
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_default();
    // What stands behind an extra and is neither a comma nor a bracket, it reads later.
    let extras = extras.split(',').filter_map(|extra| extra.split_whitespace().next());
    for word in std::iter::once(name).chain(extras).filter(|word| !word.is_empty()) {
        if !(word.starts_with(char::is_alphanumeric) && word.ends_with(char::is_alphanumeric)) {
            return Err(format!("the name `{word}` must begin and end with a letter or digit"));
        }
    }
    Requirement::from_str(text)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

fn strings(value: &toml::Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BuildSystem, String> {
        let table: toml::Table = toml::from_str(text).unwrap();
        BuildSystem::read(Path::new("/p/pyproject.toml"), &table).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_table_means_setuptools_of_old() {
        let legacy = read("[project]\nname = 'x'").unwrap();
        assert_eq!(legacy.requires, ["setuptools >= 40.8.0"]);
        assert_eq!(legacy.build_backend, "setuptools.build_meta:__legacy__");
        let no_backend = read("[build-system]\nrequires = [' setuptools', 'wheel']").unwrap();
        assert_eq!(no_backend.requires, ["setuptools", "wheel"]);
        assert_eq!(no_backend.build_backend, "setuptools.build_meta:__legacy__");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let message = |text: &str| read(text).unwrap_err();
        assert_eq!(
            message("build-system = 1"),
            "`/p/pyproject.toml`: `build-system` is not a table"
        );
        assert_eq!(
            message("[build-system]"),
            "`/p/pyproject.toml`: `build-system.requires` is missing"
        );
        assert_eq!(
            message("[build-system]\nrequires = 'x'"),
            "`/p/pyproject.toml`: `build-system.requires` is not a list of strings"
        );
        assert_eq!(
            message("[build-system]\nrequires = [1]"),
            "`/p/pyproject.toml`: `build-system.requires` is not a list of strings"
        );
        assert!(
            message("[build-system]\nrequires = ['maturin_=1.9']")
                .contains("the name `maturin_` must begin and end")
        );
        assert!(
            message("[build-system]\nrequires = ['a [x_ ]>=1']")
                .contains("the name `x_` must begin and end")
        );
        assert!(
            message("[build-system]\nrequires = ['a[b, x- y']")
                .contains("the name `x-` must begin and end")
        );
        assert!(
            message("[build-system]\nrequires = ['a b c']")
                .contains("`a b c` in `build-system.requires` is not a requirement")
        );
        assert!(
            message("[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = ['../x']")
                .contains("outside the source tree")
        );
        assert!(
            message("[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = ['/x']")
                .contains("outside the source tree")
        );
        assert!(
            message("[build-system]\nrequires = []\nbackend-path = ['.']")
                .contains("needs a `build-backend`")
        );
    }

    #[test]
    #[cfg(unix)] // the paths are
    fn knows_the_rust_backends_even_behind_an_in_tree_one() {
        let backend = |text: &str| read(text).unwrap().backend();
        assert_eq!(
            backend("[build-system]\nrequires = ['maturin']\nbuild-backend = 'maturin'"),
            Backend::Maturin
        );
        assert_eq!(
            backend(
                "[build-system]\nrequires = ['maturin']\nbuild-backend = 'b'\nbackend-path = ['.']"
            ),
            Backend::Maturin
        );
        assert_eq!(
            backend("[build-system]\nrequires = ['setuptools', 'setuptools-rust>=1']"),
            Backend::Setuptools
        );
        assert_eq!(
            backend("[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'"),
            Backend::Other
        );
    }
}
