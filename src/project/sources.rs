//! `[tool.uv.sources]` and `extra-build-dependencies`: where the project says that a build
//! requirement comes from.
//!
//! `uv build` honours both. pip knows neither, so [`Sources::lower`] turns them into requirements
//! that every installer understands: `name @ file:///...` for a path or a member of the workspace, `name @ git+https://...`, `name @ https://...`. Only a source that names an
//! index has no such form: it is kept next to the requirement, and the resolver asks only that
//! index for it.
//!
//! A name with a source is the project's own: somebody else's package of that name on a public
//! index must never be taken for it. So a source that cannot be honoured is an error.
//!
//! Source: <https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources>

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pep508_rs::{MarkerEnvironment, MarkerTree, PackageName, VersionOrUrl};
use serde::Deserialize;
use toml::{Table, Value};

mod place;
mod transitive;

use place::{Place, line_of};

use super::{Error, Requirement, UvFile, lookup, one_line, parse_requirement, uv};
use crate::env_vars;

/// A requirement, and the index that it must come from if the project names one.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    pub requirement: Requirement,
    pub index: Option<NamedIndex>,
}

/// An index that a source names.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedIndex {
    pub name: String,
    /// As it is defined next to the source, if it is; relative paths made absolute.
    pub definition: Option<Table>,
    /// Where the source stands, for messages.
    place: Place,
}

impl NamedIndex {
    /// No configuration that counts has it.
    pub fn unknown(&self) -> Error {
        let hint =
            format!("add a `[[tool.uv.index]]` with `name = \"{}\"` and its `url`", self.name);
        self.place.error("names an index that is not defined", &hint)
    }
}

/// What stands behind a name in `[tool.uv.sources]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Source {
    git: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    workspace: bool,
    index: Option<String>,
    subdirectory: Option<String>,
    rev: Option<String>,
    tag: Option<String>,
    branch: Option<String>,
    #[serde(default)]
    lfs: bool,
    // What is in an environment of ours does not change: nothing is installed as editable.
    #[serde(rename = "editable")]
    _editable: Option<bool>,
    package: Option<bool>,
    marker: Option<String>,
    extra: Option<String>,
    group: Option<String>,
}

impl Source {
    /// `@` and the revision, tag or branch of a git repository, if one is named.
    fn reference(&self, place: &Place) -> Result<String, Error> {
        match (&self.rev, &self.tag, &self.branch) {
            (None, None, None) => Ok(String::new()),
            (Some(one), None, None) | (None, Some(one), None) | (None, None, Some(one)) => {
                Ok(format!("@{one}"))
            }
            _ => {
                Err(place
                    .error("has more than one of `rev`, `tag` and `branch`", "keep one of them"))
            }
        }
    }
}

/// The sources of one project.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `pyproject.toml`s that have sources: the project's, that of its workspace.
    files: Vec<(PathBuf, Table)>,
    /// The root of the uv workspace.
    workspace: Option<PathBuf>,
    /// Its members, once somebody has asked for one: there may be hundreds.
    members: OnceLock<Vec<(PackageName, PathBuf)>>,
    settings: Table,
}

impl Sources {
    pub(super) fn new(
        directory: &Path,
        pyproject: &Table,
        workspace: Option<&Path>,
        settings: Table,
    ) -> Self {
        let of_workspace =
            workspace.filter(|root| *root != directory).map(|root| root.join("pyproject.toml"));
        let of_workspace = of_workspace.and_then(|path| Some((uv::read_pyproject(&path)?, path)));
        let files = std::iter::once((directory.join("pyproject.toml"), pyproject.clone()))
            .chain(of_workspace.map(|(table, path)| (path, table)))
            .collect();
        let workspace = workspace.map(Path::to_path_buf);
        Self { files, workspace, members: OnceLock::new(), settings }
    }

    /// Of the project in a directory that another one names.
    fn of(directory: &Path) -> Option<(Self, Table)> {
        let pyproject = uv::read_pyproject(&directory.join("pyproject.toml"))?;
        let workspace = uv::workspace_root(directory, &pyproject);
        let uv_file = UvFile::of_project(directory, workspace.as_deref()).unwrap_or_default();
        // What cannot be read was an error for the project itself.
        let files = uv::files(uv_file.as_ref()).into_iter().flatten();
        let settings = uv::combined(files.map(|file| file.table));
        Some((Self::new(directory, &pyproject, workspace.as_deref(), settings), pyproject))
    }

    /// `extra-build-dependencies` of a project.
    pub(super) fn extra_build_dependencies(&self, project: &str) -> Result<Vec<String>, Error> {
        let name = |name: &str| name.parse::<PackageName>().ok();
        let table = self.settings.get("extra-build-dependencies").and_then(Value::as_table);
        let Some(table) = table else { return Ok(Vec::new()) };
        let Some((key, items)) =
            table.iter().find(|(key, _)| name(key).is_some_and(|key| Some(key) == name(project)))
        else {
            return Ok(Vec::new());
        };
        let place = self.place(0, &["tool", "uv", "extra-build-dependencies"], key, items);
        let text = |item: &Value| {
            let of_table = || item.get("requirement").and_then(Value::as_str);
            let text = item.as_str().or_else(of_table).ok_or_else(|| {
                place.error("has an item that is not a requirement", "write a string")
            })?;
            if item.get("match-runtime").and_then(Value::as_bool) == Some(true) {
                let hint = "write the version explicitly: a build environment does not depend on \
                    any other environment";
                return Err(place.error("cannot be honoured: there is no version to match", hint));
            }
            let valid = parse_requirement(text).map(|_| text.to_owned());
            valid.map_err(|reason| {
                place.error(
                    &format!("has `{text}`, which is not a requirement ({reason})"),
                    "see PEP 508 for the syntax",
                )
            })
        };
        items
            .as_array()
            .ok_or_else(|| place.error("is not a list", "write a list of requirements"))?
            .iter()
            .map(text)
            .collect()
    }

    fn place(&self, file: usize, table: &[&str], key: &str, value: &Value) -> Place {
        let file = self.files[file].0.clone();
        let text = format!("{key} = {}", one_line(value));
        Place {
            line: line_of(&file, table, key),
            file,
            key: format!("{}.{key}", table.join(".")),
            text,
        }
    }

    /// What requirements are where their sources are honoured. One requirement may become several,
    /// with markers that exclude each other.
    ///
    /// A source whose marker is false for `interpreter` may be one that cannot be honoured here: the
    /// path of a submodule for another platform.
    pub fn lower(
        &self,
        requirements: &[Requirement],
        interpreter: &MarkerEnvironment,
    ) -> Result<Vec<Lowered>, Error> {
        let lowered: Result<Vec<_>, _> = requirements
            .iter()
            .map(|requirement| self.lower_one(requirement, interpreter))
            .collect();
        Ok(lowered?.concat())
    }

    fn lower_one(
        &self,
        requirement: &Requirement,
        interpreter: &MarkerEnvironment,
    ) -> Result<Vec<Lowered>, Error> {
        let plain = Lowered { requirement: requirement.clone(), index: None };
        let has_url = matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_)));
        let Some((file, key, value)) =
            self.find(&requirement.name).filter(|_| !has_url && !self.is_off(&requirement.name))
        else {
            return Ok(vec![plain]);
        };
        let place = self.place(file, &["tool", "uv", "sources"], key, value);
        let (mut all, mut rest) = (Vec::new(), MarkerTree::TRUE);
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for item in items {
            let source: Source = item.clone().try_into().map_err(|error: toml::de::Error| {
                let reason = format!("is not a source: {}", error.message());
                place.error(
                    &reason,
                    "a source is `{ path = ... }`, `{ workspace = true }`, `{ git = ... }`, `{ url = ... }` or `{ index = ... }`",
                )
            })?;
            // These are for dependencies of the project.
            if source.extra.is_some() || source.group.is_some() {
                continue;
            }
            let marker = match source.marker.as_deref().map(str::parse::<MarkerTree>) {
                None => MarkerTree::TRUE,
                Some(Ok(marker)) => marker,
                Some(Err(_)) => {
                    return Err(
                        place.error("has a marker that is not one", "see PEP 508 for the syntax")
                    );
                }
            };
            rest.and(marker.negate());
            let mut lowered = match self.from(&source, requirement, &place) {
                Ok(lowered) => lowered,
                Err(_) if !marker.evaluate(interpreter, &[]) => continue,
                Err(error) => return Err(error),
            };
            lowered.requirement.marker = requirement.marker.clone();
            lowered.requirement.marker.and(marker);
            all.push(lowered);
        }
        let mut plain = plain;
        plain.requirement.marker.and(rest);
        all.push(plain);
        all.retain(|lowered| !lowered.requirement.marker.is_false());
        Ok(all)
    }

    /// The sources of a name: those of the project, else of the workspace.
    fn find(&self, name: &PackageName) -> Option<(usize, &str, &Value)> {
        self.files.iter().enumerate().find_map(|(file, (_, table))| {
            let sources = lookup(table, &["tool", "uv", "sources"])?.as_table()?;
            let (key, value) = sources
                .iter()
                .find(|(key, _)| key.parse::<PackageName>().is_ok_and(|key| key == *name))?;
            Some((file, key.as_str(), value))
        })
    }

    /// Whether uv is set to ignore sources.
    fn is_off(&self, name: &PackageName) -> bool {
        let is = |text: &str| text.parse::<PackageName>().is_ok_and(|one| one == *name);
        let packages = self.settings.get("no-sources-package").and_then(Value::as_array);
        let off = env_vars::get("UV_NO_SOURCES").is_some_and(|value| {
            !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")
        });
        off || self.settings.get("no-sources").and_then(Value::as_bool) == Some(true)
            || packages.into_iter().flatten().filter_map(Value::as_str).any(is)
            || env_vars::get("UV_NO_SOURCES_PACKAGE")
                .is_some_and(|names| names.split_whitespace().any(is))
    }

    /// The requirement that a source makes of a name.
    fn from(
        &self,
        source: &Source,
        requirement: &Requirement,
        place: &Place,
    ) -> Result<Lowered, Error> {
        if source.lfs {
            return Err(place.error(
                "cannot be honoured: `lfs`",
                "set GIT_LFS_SKIP_SMUDGE=0 and leave `lfs` out, or name a wheel",
            ));
        }
        if source.package == Some(false) {
            return Err(place
                .error("cannot be honoured: `package = false`", "list its dependencies instead"));
        }
        let subdirectory = source
            .subdirectory
            .as_deref()
            .map(|path| format!("#subdirectory={path}"))
            .unwrap_or_default();
        let url = match (&source.git, &source.url, &source.path, source.workspace, &source.index) {
            (Some(git), None, None, false, None) => {
                let reference = source.reference(place)?;
                format!("git+{}{reference}{subdirectory}", git.trim_start_matches("git+"))
            }
            (None, Some(url), None, false, None) => format!("{url}{subdirectory}"),
            (None, None, Some(path), false, None) => file_url(&self.path(path, place)?),
            (None, None, None, true, None) => {
                let member = self.member(&requirement.name).ok_or_else(|| {
                    place.error(
                        "names a package that is not in the workspace",
                        "see `members` in `[tool.uv.workspace]`",
                    )
                })?;
                file_url(&member)
            }
            (None, None, None, false, Some(index)) => {
                let index = NamedIndex {
                    name: index.clone(),
                    definition: self.index(index),
                    place: place.clone(),
                };
                return Ok(Lowered { requirement: requirement.clone(), index: Some(index) });
            }
            _ => {
                return Err(place.error(
                    "must be one of a path, the workspace, git, a URL or an index",
                    "keep one of them",
                ));
            }
        };
        let extras: Vec<&str> = requirement.extras.iter().map(AsRef::as_ref).collect();
        let extras =
            if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        let text = format!("{}{extras} @ {url}", requirement.name);
        let requirement = parse_requirement(&text).map_err(|reason| {
            place.error(
                &format!("is not a requirement that installers understand ({reason})"),
                "write a complete URL",
            )
        })?;
        Ok(Lowered { requirement, index: None })
    }

    /// Where a path leads that a source names.
    fn path(&self, path: &str, place: &Place) -> Result<PathBuf, Error> {
        let path = place.file.parent().unwrap_or(Path::new("")).join(path);
        let path = crate::fs::absolute(&path).unwrap_or(path);
        if !path.exists() {
            return Err(place.error(
                "names a path that does not exist",
                "is a submodule, or an earlier step, missing?",
            ));
        }
        if self.files[0].0.parent() == Some(&path) {
            return Err(place.error(
                "names the project itself",
                "a project cannot be required to build itself",
            ));
        }
        Ok(path)
    }

    /// `[[tool.uv.index]]` of that name, in the project or its workspace.
    fn index(&self, name: &str) -> Option<Table> {
        self.files.iter().find_map(|(file, table)| {
            let indexes = lookup(table, &["tool", "uv", "index"])?
                .as_array()?
                .iter()
                .filter_map(Value::as_table);
            let mut index = indexes
                .into_iter()
                .find(|index| index.get("name").and_then(Value::as_str) == Some(name))?
                .clone();
            if let Some(Value::String(url)) = index.get_mut("url")
                && !url.contains("://")
            {
                *url = file_url(&crate::fs::absolute(&file.with_file_name(&*url)).ok()?);
            }
            Some(index)
        })
    }

    /// Where a member of the workspace is.
    fn member(&self, name: &PackageName) -> Option<PathBuf> {
        let root = self.workspace.as_ref()?;
        let named = |directory: PathBuf| {
            let pyproject = uv::read_pyproject(&directory.join("pyproject.toml"))?;
            let name = lookup(&pyproject, &["project", "name"])?.as_str()?.parse().ok()?;
            Some((name, directory))
        };
        let members =
            self.members.get_or_init(|| uv::members(root).into_iter().filter_map(named).collect());
        let found = members.iter().find(|(own, _): &&(PackageName, PathBuf)| own == name);
        found.map(|(_, directory)| directory.clone())
    }
}

/// The local path of a requirement such as `x @ file:///path`.
pub(crate) fn local_path(requirement: &Requirement) -> Option<PathBuf> {
    match requirement.version_or_url.as_ref()? {
        VersionOrUrl::Url(url) if url.to_url().scheme() == "file" => {
            url.to_url().to_file_path().ok()
        }
        _ => None,
    }
}

fn file_url(path: &Path) -> String {
    url::Url::from_file_path(path)
        .map_or_else(|()| path.to_string_lossy().into_owned(), |url| url.to_string())
}
