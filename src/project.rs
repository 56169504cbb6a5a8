//! The project to build: `pyproject.toml` and where its Cargo workspace is.
//!
//! [`Project::load`] reads `[build-system]` with the defaults of PEP 517 and 518, the few facts of
//! `[project]` that a frontend needs, `[tool.pyenv-build]`, and what the Rust backends say of their
//! manifests. Nothing here runs a program but [`CargoWorkspace::ask`], which asks cargo, and
//! [`files_of_package`], which asks git.
//!
//! Two kinds of project: `pyproject.toml` next to `Cargo.toml`, and in a subfolder of a Cargo
//! workspace. Projects without any Rust are built as well; they simply have no manifest.

mod build_system;
pub(crate) mod cargo;
pub(crate) mod cargo_config;
mod package_files;
mod remembered;
mod settings;
mod sources;
pub(crate) mod uv;
mod workspace;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

pub(crate) use build_system::{Backend, BuildSystem, parse_requirement};
pub(crate) use cargo::{CargoPackage, CargoWorkspace, DependencyKind};
pub(crate) use package_files::files_of_package;
use pep508_rs::pep440_rs::VersionSpecifiers;
pub(crate) use settings::Settings;
pub(crate) use sources::{Lowered, NamedIndex, Sources, local_path};
pub(crate) use uv::UvFile;
pub(crate) use workspace::Workspace;

use crate::fs;

/// A value as it is said in a message.
fn one_line(value: &toml::Value) -> String {
    value.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A parsed requirement.
pub(crate) type Requirement = pep508_rs::Requirement<pep508_rs::VerbatimUrl>;

/// A source tree that a PEP 517 frontend can build.
#[derive(Debug, Clone)]
pub struct Project {
    /// The source tree: where `pyproject.toml` or `setup.py` is, absolute, links kept.
    pub directory: PathBuf,
    pub build_system: BuildSystem,
    pub settings: Settings,
    pub requires_python: Option<VersionSpecifiers>,
    /// The file with uv's settings for the project.
    pub uv_file: Option<UvFile>,
    /// `build-constraint-dependencies` of uv's settings, those of the user and the system included.
    pub build_constraints: Vec<String>,
    /// `require-build-hashes` of the same: whatever installs build requirements, it does so with
    /// hashes.
    pub require_build_hashes: bool,
    /// Where it says that requirements come from.
    pub sources: Sources,
    pub workspace: Workspace,
    pyproject: toml::Table,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` is not a directory", path.display())]
    NotADirectory { path: PathBuf },
    #[error("the path `{}` is not valid UTF-8", path.display())]
    NotUnicode { path: PathBuf },
    #[error("`{}` has neither `pyproject.toml` nor `setup.py`", directory.display())]
    NoProject { directory: PathBuf },
    #[error("failed to read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("failed to restore `{}` after running cargo", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not valid TOML: {message}", path.display())]
    InvalidToml { path: PathBuf, message: String },
    #[error("`{}`: {message}", path.display())]
    Invalid { path: PathBuf, message: String, hint: Option<String> },
    #[error("failed to read uv's configuration file `{}`: {reason}", path.display())]
    UvSettings { path: PathBuf, reason: String },
    #[error("cargo cannot read the workspace of `{}`: {message}", manifest.display())]
    Cargo { manifest: PathBuf, message: String },
}

impl Error {
    fn of_uv((path, reason): (PathBuf, String)) -> Self {
        Self::UvSettings { path, reason }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotADirectory { .. } => Some(
                "pass the directory that contains `pyproject.toml`, or a command (`cargo \
                    pyenv-build --help` lists them)"
                    .to_owned(),
            ),
            Self::NotUnicode { .. } => {
                Some("rename the directory: build backends and reports need UTF-8 paths".to_owned())
            }
            Self::NoProject { directory } => {
                let above = directory
                    .ancestors()
                    .skip(1)
                    .find(|above| above.join("pyproject.toml").is_file());
                let name = above.map_or_else(
                    || "the directory that contains `pyproject.toml`".to_owned(),
                    |above| format!("`{}`", above.display()),
                );
                let new =
                    if above.is_none() { "; start a project with `maturin init`" } else { "" };
                Some(format!(
                    "run it in {name}, or pass that directory: `cargo pyenv-build DIR`, \
                    `cargo pyenv-build run --project DIR -- ...`{new}"
                ))
            }
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Write { .. } => {
                Some("check the free disk space, and that the checkout is writable".to_owned())
            }
            Self::Read { .. }
            | Self::InvalidToml { .. }
            | Self::UvSettings { .. }
            | Self::Cargo { .. } => None,
        }
    }
}

impl Project {
    /// Reads the project in `directory`.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let directory = fs::absolute(directory)
            .map_err(|source| Error::Read { path: directory.to_path_buf(), source })?;
        if directory.to_str().is_none() {
            return Err(Error::NotUnicode { path: directory });
        }
        if !directory.is_dir() {
            return Err(Error::NotADirectory { path: directory });
        }
        let file = directory.join("pyproject.toml");
        let pyproject = match fs_err::read(&file) {
            Ok(bytes) => parse_toml(&file, &bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !directory.join("setup.py").is_file() {
                    return Err(Error::NoProject { directory });
                }
                toml::Table::new()
            }
            Err(source) => return Err(Error::Read { path: file, source }),
        };
        Self::from_pyproject(directory, pyproject)
    }

    /// [`Self::load`]; where there is no Python project, the Cargo package or workspace at or above
    /// `directory`, for commands that only need that.
    pub fn load_any(directory: &Path) -> Result<Self, Error> {
        match Self::load(directory) {
            Err(Error::NoProject { directory }) => {
                let crate_root = directory
                    .ancestors()
                    .find(|directory| directory.join("Cargo.toml").is_file())
                    .map(Path::to_path_buf);
                match crate_root {
                    Some(root) => Self::from_pyproject(root, toml::Table::new()),
                    None => Err(Error::NoProject { directory }),
                }
            }
            other => other,
        }
    }

    /// Whether it is a Python project, and not a Cargo workspace whose `pyproject.toml` has
    /// settings of tools only.
    pub fn is_python(&self) -> bool {
        let is_said =
            ["project", "build-system"].iter().any(|table| self.pyproject.contains_key(*table));
        let has = |name: &str| self.directory.join(name).is_file();
        is_said
            || has("setup.py")
            || has("setup.cfg")
            || Self::is_at(&self.directory) && !has("Cargo.toml")
    }

    /// Whether a directory has something that a PEP 517 frontend can build.
    pub fn is_at(directory: &Path) -> bool {
        ["pyproject.toml", "setup.py"].iter().any(|name| directory.join(name).is_file())
    }

    /// What the content of `pyproject.toml` says of the project in `directory`, which is absolute.
    fn from_pyproject(directory: PathBuf, pyproject: toml::Table) -> Result<Self, Error> {
        let file = directory.join("pyproject.toml");
        let invalid = |message: String| Error::Invalid { path: file.clone(), message, hint: None };

        let build_system = BuildSystem::read(&file, &pyproject)?;
        let settings = Settings::read(&file, &pyproject)?;
        let requires_python = match lookup(&pyproject, &["project", "requires-python"])
            .and_then(toml::Value::as_str)
        {
            Some(text) => Some(VersionSpecifiers::from_str(text).map_err(|error| {
                invalid(format!("`project.requires-python` is not a version specifier: {error}"))
            })?),
            None => None,
        };
        let uv_workspace = uv::workspace_root(&directory, &pyproject);
        let uv_file = UvFile::of_project(&directory, uv_workspace.as_deref())?;
        let uv_files: Result<Vec<UvFile>, _> = uv::files(uv_file.as_ref()).into_iter().collect();
        let uv_files = uv_files.map_err(Error::of_uv)?;
        let build_constraints: Result<Vec<_>, _> =
            uv_files.iter().map(UvFile::build_constraints).collect();
        let uv_settings = uv::combined(uv_files.into_iter().map(|file| file.table));
        let require_build_hashes =
            uv_settings.get("require-build-hashes").and_then(toml::Value::as_bool) == Some(true);
        let sources = Sources::new(&directory, &pyproject, uv_workspace.as_deref(), uv_settings);
        let workspace = Workspace::find(&directory, &pyproject);
        Ok(Self {
            directory,
            build_system,
            settings,
            requires_python,
            uv_file,
            build_constraints: build_constraints?.concat(),
            require_build_hashes,
            sources,
            workspace,
            pyproject,
        })
    }

    pub fn pyproject_path(&self) -> PathBuf {
        self.directory.join("pyproject.toml")
    }

    /// A table of `pyproject.toml`, `["tool", "maturin"]`, if it is there.
    pub fn table(&self, path: &[&str]) -> Option<&toml::Table> {
        lookup(&self.pyproject, path)?.as_table()
    }

    /// The project's name as far as it is known without running the backend; else the directory's
    /// name.
    pub fn name(&self) -> String {
        lookup(&self.pyproject, &["project", "name"]).and_then(toml::Value::as_str).map_or_else(
            || self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            str::to_owned,
        )
    }

    /// `[build-system] requires`, and what uv's settings add to it.
    pub fn build_requires(&self) -> Result<Vec<String>, Error> {
        let extra = self.sources.extra_build_dependencies(&self.name())?;
        Ok(self.build_system.requires.iter().cloned().chain(extra).collect())
    }

    /// Digest of the files that decide the dynamic requirements, as far as anyone can know: what is
    /// in them may change the backend's answer, so a remembered answer holds only while they
    /// are the same.
    pub fn configuration_digest(&self) -> String {
        let mut hasher = crate::digest::Hasher::default();
        for name in ["pyproject.toml", "setup.py", "setup.cfg"] {
            hasher.field(&fs_err::read(self.directory.join(name)).unwrap_or_default());
        }
        hasher.finish()
    }
}

/// All that is done with a `pyproject.toml`, for property tests.
#[cfg(test)]
pub(crate) fn understands(directory: &Path, bytes: &[u8]) -> bool {
    parse_toml(&directory.join("pyproject.toml"), bytes)
        .and_then(|table| Project::from_pyproject(directory.to_path_buf(), table))
        .is_ok_and(|project| {
            let _ = (project.name(), project.build_system.backend());
            true
        })
}

fn parse_toml(path: &Path, bytes: &[u8]) -> Result<toml::Table, Error> {
    let invalid = |message: String| Error::InvalidToml { path: path.to_path_buf(), message };
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    // Windows editors put a byte order mark there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|error| invalid(error.to_string().trim_end().to_owned()))
}

fn lookup<'a>(table: &'a toml::Table, path: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.as_table()?.get(*key))
}
