//! What uv's tables say of a project: which workspace it is in, and which file has its settings.
//!
//! Source: <https://docs.astral.sh/uv/concepts/projects/workspaces/>, <https://docs.astral.sh/uv/concepts/configuration-files/>

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use toml::{Table, Value};

use super::{Error, lookup, parse_toml};
use crate::env_vars;

/// Settings of uv: a `uv.toml`, or `[tool.uv]` of a `pyproject.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct UvFile {
    pub path: PathBuf,
    pub table: Table,
}

impl UvFile {
    /// Reads a `uv.toml`. What is wrong with it is said in one line.
    pub fn read(path: &Path) -> Result<Self, (PathBuf, String)> {
        let failed = |reason: String| {
            (path.to_path_buf(), reason.lines().next().unwrap_or_default().to_owned())
        };
        let text = fs_err::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let table =
            text.parse().map_err(|error: toml::de::Error| failed(error.message().to_owned()))?;
        Ok(Self { path: path.to_path_buf(), table })
    }

    /// The settings in a directory: those of `pyproject.toml` do not count next to a `uv.toml`.
    fn in_directory(directory: &Path) -> Option<Result<Self, Error>> {
        let path = directory.join("uv.toml");
        if path.is_file() {
            return Some(Self::read(&path).map_err(Error::of_uv));
        }
        let path = directory.join("pyproject.toml");
        let table = lookup(&read_pyproject(&path)?, &["tool", "uv"])?.as_table()?.clone();
        Some(Ok(Self { path, table }))
    }

    /// The file that has the settings of the project in `directory`, which is in the workspace of
    /// `root`.
    pub(super) fn of_project(directory: &Path, root: Option<&Path>) -> Result<Option<Self>, Error> {
        let found = root.unwrap_or(directory).ancestors().find_map(Self::in_directory).transpose();
        // uv does not look at it then.
        let is_off = is_set("UV_NO_CONFIG") || env_vars::get_os("UV_CONFIG_FILE").is_some();
        if is_off { Ok(found.unwrap_or_default()) } else { found }
    }

    /// `build-constraint-dependencies`: for build requirements, whatever installs them.
    pub(super) fn build_constraints(&self) -> Result<Vec<String>, Error> {
        let invalid = |what: String| Error::Invalid {
            path: self.path.clone(),
            message: format!("`build-constraint-dependencies`, a setting of uv, {what}"),
            hint: Some(
                "write it as `build-constraint-dependencies = [\"setuptools<80\"]`".to_owned(),
            ),
        };
        let Some(value) = self.table.get("build-constraint-dependencies") else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| invalid("is not a list".to_owned()))?;
        let text = |item: &Value| {
            item.as_str().map(str::to_owned).ok_or_else(|| {
                invalid(format!("has `{}`, which is not a string", item.to_string().trim()))
            })
        };
        items.iter().map(text).collect()
    }
}

/// uv's configuration files: the project's, the user's, the system's.
pub(crate) fn files(project: Option<&UvFile>) -> Vec<Result<UvFile, (PathBuf, String)>> {
    if let Some(path) = env_vars::get_os("UV_CONFIG_FILE") {
        return vec![UvFile::read(&std::path::absolute(&path).unwrap_or(path.into()))];
    }
    if is_set("UV_NO_CONFIG") {
        return Vec::new();
    }
    let user = env_vars::get_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env_vars::home()?.join(".config")));
    let user = if cfg!(windows) { env_vars::get_os("APPDATA").map(PathBuf::from) } else { user };
    let system: Vec<PathBuf> = if cfg!(windows) {
        env_vars::get_os("PROGRAMDATA").map(PathBuf::from).into_iter().collect()
    } else {
        let directories = env_vars::get_os("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
        std::env::split_paths(&directories).chain([PathBuf::from("/etc")]).collect()
    };
    let is_there = |directory: &PathBuf| directory.join("uv/uv.toml").is_file();
    let others = user.filter(is_there).into_iter().chain(system.into_iter().find(is_there));
    project
        .cloned()
        .map(Ok)
        .into_iter()
        .chain(others.map(|directory| UvFile::read(&directory.join("uv/uv.toml"))))
        .collect()
}

/// Settings of several files, the one that wins first: lists are joined, also those in tables, and
/// of everything else the first one counts.
pub(crate) fn combined(tables: impl IntoIterator<Item = Table>) -> Table {
    let mut all = Table::new();
    tables.into_iter().for_each(|table| join(&mut all, table));
    all
}

fn join(all: &mut Table, more: Table) {
    for (name, value) in more {
        match (all.get_mut(&name), value) {
            (Some(Value::Array(values)), Value::Array(more)) => values.extend(more),
            (Some(Value::Table(values)), Value::Table(more)) => join(values, more),
            (Some(_), _) => {}
            (None, value) => drop(all.insert(name, value)),
        }
    }
}

/// As uv reads switches in variables.
pub(crate) fn is_set(name: &str) -> bool {
    env_vars::get(name).is_some_and(|value| {
        !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off" | "n" | "f")
    })
}

pub(super) fn read_pyproject(path: &Path) -> Option<Table> {
    parse_toml(path, &fs_err::read(path).ok()?).ok()
}

/// The root of the uv workspace that a project is in, its own directory included.
pub(super) fn workspace_root(directory: &Path, pyproject: &Table) -> Option<PathBuf> {
    if lookup(pyproject, &["tool", "uv", "workspace"]).is_some() {
        return Some(directory.to_path_buf());
    }
    if lookup(pyproject, &["tool", "uv", "managed"]).and_then(Value::as_bool) == Some(false) {
        return None;
    }
    // The nearest one has the word, whether it is for us or not.
    let (root, workspace) = directory.ancestors().skip(1).find_map(|above| {
        let pyproject = read_pyproject(&above.join("pyproject.toml"))?;
        Some((
            above.to_path_buf(),
            lookup(&pyproject, &["tool", "uv", "workspace"])?.as_table()?.clone(),
        ))
    })?;
    let relative = directory.strip_prefix(&root).expect("an ancestor is a prefix");
    let is_listed = |key: &str| patterns(&workspace, key).is_match(relative);
    (is_listed("members") && !is_listed("exclude")).then_some(root)
}

/// The directories of a workspace's members, its root among them.
pub(super) fn members(root: &Path) -> Vec<PathBuf> {
    let pyproject = read_pyproject(&root.join("pyproject.toml")).unwrap_or_default();
    let workspace = lookup(&pyproject, &["tool", "uv", "workspace"])
        .and_then(Value::as_table)
        .cloned()
        .unwrap_or_default();
    let (members, exclude) = (patterns(&workspace, "members"), patterns(&workspace, "exclude"));
    let is_searched = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || entry.file_type().is_dir()
                && !name.starts_with('.')
                && !matches!(&*name, "target" | "node_modules")
    };
    // A pattern that names each folder need not be looked for below these.
    let depth = |pattern: &str| {
        if pattern.contains("**") { 8 } else { pattern.trim_matches('/').split('/').count() }
    };
    let deepest = texts(&workspace, "members").map(depth).max().unwrap_or(0);
    let directories = walkdir::WalkDir::new(root)
        .max_depth(deepest)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_searched)
        .filter_map(Result::ok);
    let directories = directories.map(walkdir::DirEntry::into_path).filter(|directory| {
        let relative = directory.strip_prefix(root).unwrap_or(directory);
        directory == root || members.is_match(relative) && !exclude.is_match(relative)
    });
    directories.filter(|directory| directory.join("pyproject.toml").is_file()).collect()
}

fn texts<'a>(workspace: &'a Table, key: &str) -> impl Iterator<Item = &'a str> {
    let items = workspace.get(key).and_then(Value::as_array).into_iter().flatten();
    let texts = items.filter_map(Value::as_str);
    texts.map(|text| text.trim_start_matches("./").trim_end_matches('/'))
}

fn patterns(workspace: &Table, key: &str) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in texts(workspace, key) {
        if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
            set.add(glob);
        }
    }
    set.build().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(files: &[(&str, &str)], directory: &str) -> (Option<PathBuf>, Option<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let directory = dir.path().join(directory);
        let pyproject = read_pyproject(&directory.join("pyproject.toml")).unwrap_or_default();
        let root = workspace_root(&directory, &pyproject);
        let file = UvFile::of_project(&directory, root.as_deref()).unwrap();
        let relative = |path: &Path| path.strip_prefix(dir.path()).unwrap().to_path_buf();
        (root.as_deref().map(relative), file.map(|file| relative(&file.path)))
    }

    #[test]
    fn settings_are_those_of_the_workspace_or_of_the_nearest_file() {
        let root = (
            "w/pyproject.toml",
            "[tool.uv.workspace]\nmembers = ['packages/*', 'one/']\nexclude = ['packages/out']",
        );
        let own = "[tool.uv]\nno-index = true";
        assert_eq!(
            find(&[root, ("w/packages/in/pyproject.toml", own)], "w/packages/in"),
            (Some("w".into()), Some("w/pyproject.toml".into()))
        );
        assert_eq!(find(&[root, ("w/one/pyproject.toml", "")], "w/one").0, Some("w".into()));
        let out = [root, ("w/packages/out/pyproject.toml", own)];
        assert_eq!(
            find(&out, "w/packages/out"),
            (None, Some("w/packages/out/pyproject.toml".into()))
        );
        assert_eq!(find(&[root, ("w/packages/a/b/pyproject.toml", "")], "w/packages/a/b").0, None);
        let alone = "[tool.uv]\nmanaged = false";
        assert_eq!(
            find(&[root, ("w/one/pyproject.toml", alone)], "w/one"),
            (None, Some("w/one/pyproject.toml".into()))
        );
        assert_eq!(
            find(&[root, ("w/uv.toml", "no-index = true")], "w"),
            (Some("w".into()), Some("w/uv.toml".into()))
        );
        assert_eq!(
            find(&[("a/uv.toml", ""), ("a/b/pyproject.toml", "[project]")], "a/b"),
            (None, Some("a/uv.toml".into()))
        );
        assert_eq!(find(&[("a/pyproject.toml", "[project]")], "a"), (None, None));
    }

    #[test]
    fn settings_of_several_files_are_combined() {
        let table = |text: &str| text.parse::<Table>().unwrap();
        let all = combined([
            table(
                "no-sources = true\nbuild-constraint-dependencies = ['a<2']\n[extra-build-dependencies]\na = ['x']",
            ),
            table(
                "no-sources = false\nbuild-constraint-dependencies = ['b<2']\n[extra-build-dependencies]\na = ['y']\nb = ['z']",
            ),
        ]);
        assert_eq!(
            all,
            table(
                "no-sources = true\nbuild-constraint-dependencies = ['a<2', 'b<2']\n[extra-build-dependencies]\na = ['x', 'y']\nb = ['z']"
            )
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("uv.toml"), "index = [").unwrap();
        UvFile::of_project(dir.path(), None).unwrap_err();
    }

    #[test]
    fn a_constraint_that_cannot_be_used_is_an_error() {
        let of = |text: &str| {
            UvFile { path: "/p/uv.toml".into(), table: text.parse().unwrap() }.build_constraints()
        };
        assert_eq!(of("build-constraint-dependencies = ['a<2']").unwrap(), ["a<2"]);
        assert_eq!(of("").unwrap(), [""; 0]);
        let message = of("build-constraint-dependencies = [1]").unwrap_err().to_string();
        assert_eq!(
            message,
            "`/p/uv.toml`: `build-constraint-dependencies`, a setting of uv, has `1`, which is not a string"
        );
        of("build-constraint-dependencies = 'a<2'").unwrap_err();
    }
}
