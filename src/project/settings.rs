//! `[tool.pyenv-build]` of `pyproject.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Error, one_line};

/// What a project may fix for everyone who builds it. Flags and environment variables win.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// Interpreter to build for: a path (relative to the project), a name or a version.
    pub python: Option<String>,
    /// Directory for environments, store and reports, relative to the project.
    pub root: Option<String>,
    /// `uv`, `pip` or `auto`.
    pub installer: Option<String>,
    /// Constraints files, relative to the project.
    pub constraints: Vec<String>,
    /// Whether compiled crates are reused: `auto` or `off`.
    pub reuse: Option<String>,
    /// Additional inputs of all crates: file patterns, relative to the project.
    pub inputs: Vec<String>,
    /// Inputs of procedural macros, by package name: file patterns, relative to the workspace, or
    /// `env:NAME`. An empty list declares that the macro reads nothing.
    pub macros: BTreeMap<String, Vec<String>>,
    /// Packages whose build scripts read only the inputs that they declare, and can be skipped if
    /// those did not change.
    pub trusted_build_scripts: Vec<String>,
    /// rustc's incremental state: `"auto"`, `true` or `false`.
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    pub incremental: Option<toml::Value>,
    /// Crates that must not be compiled: `all`, `deps`, `workspace` or name patterns.
    pub deny_rebuild: Vec<String>,
    /// `warm` or `always`.
    pub deny_rebuild_when: Option<String>,
    /// URL of a store of compiled crates and build environments that machines share.
    pub store: Option<String>,
    /// Keys we do not know; they are named in a warning.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// What a setting's value must be.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Texts,
    TextOrBoolean,
    /// A table of lists of strings.
    TableOfTexts,
}

const KNOWN: &[(&str, Form)] = &[
    ("python", Form::Text),
    ("root", Form::Text),
    ("installer", Form::Text),
    ("constraints", Form::Texts),
    ("reuse", Form::Text),
    ("inputs", Form::Texts),
    ("macros", Form::TableOfTexts),
    ("trusted-build-scripts", Form::Texts),
    ("incremental", Form::TextOrBoolean),
    ("deny-rebuild", Form::Texts),
    ("deny-rebuild-when", Form::Text),
    ("store", Form::Text),
];

impl Form {
    /// What it is, with its article.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::TextOrBoolean => "a string or a boolean",
            Self::TableOfTexts => "a table of lists of strings",
        }
    }

    /// An example.
    fn example(self, name: &str) -> String {
        match self {
            Self::Text => format!("{name} = \"...\""),
            Self::Texts => format!("{name} = [\"...\"]"),
            Self::TextOrBoolean => format!("{name} = \"auto\""),
            Self::TableOfTexts => {
                format!("{name} = {{ sqlx-macros = [\"migrations/*.sql\", \"env:DATABASE_URL\"] }}")
            }
        }
    }

    fn fits(self, value: &toml::Value) -> bool {
        match self {
            Self::Text => value.is_str(),
            Self::Texts => {
                value.as_array().is_some_and(|list| list.iter().all(toml::Value::is_str))
            }
            Self::TextOrBoolean => value.is_str() || value.is_bool(),
            Self::TableOfTexts => value
                .as_table()
                .is_some_and(|table| table.values().all(|value| Self::Texts.fits(value))),
        }
    }
}

impl Settings {
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    pub(super) fn read(file: &Path, pyproject: &toml::Table) -> Result<Self, Error> {
        let Some(value) = pyproject.get("tool").and_then(|tool| tool.get("pyenv-build")) else {
            return Ok(Self::default());
        };
        let invalid = |message: String, hint: String| Error::Invalid {
            path: file.to_path_buf(),
            message,
            hint: Some(hint),
        };
        let names = || format!("the settings are {}", Self::names().collect::<Vec<_>>().join(", "));
        let table = value
            .as_table()
            .ok_or_else(|| invalid("`tool.pyenv-build` is not a table".to_owned(), names()))?;
        for (name, form) in KNOWN {
            let Some(value) = table.get(*name).filter(|value| !form.fits(value)) else { continue };
            let value = one_line(value);
            let message =
                format!("`tool.pyenv-build.{name}` is `{value}`, which is not {}", form.name());
            return Err(invalid(message, format!("write it as `{}`", form.example(name))));
        }
        let mut settings: Self = value.clone().try_into().map_err(|error: toml::de::Error| {
            invalid(format!("`tool.pyenv-build`: {}", error.message()), names())
        })?;
        settings.unknown = table
            .keys()
            .filter(|key| !KNOWN.iter().any(|(name, _)| name == key))
            .cloned()
            .collect();
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(Path::new("/p/pyproject.toml"), &toml::from_str(text).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_is_a_setting_that_is_known() {
        let schema = schemars::schema_for!(Settings);
        let fields: Vec<&str> = schema
            .get("properties")
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(fields, Settings::names().collect::<Vec<_>>());
    }

    #[test]
    fn unknown_keys_are_kept_to_be_named_and_wrong_types_refused() {
        assert_eq!(read("").unwrap(), Settings::default());
        let settings = read("[tool.pyenv-build]\npython = '3.12'\npyton = '3'").unwrap();
        assert_eq!(settings.python.as_deref(), Some("3.12"));
        assert_eq!(settings.unknown, ["pyton"]);
        let wrong = |line: &str| read(&format!("[tool.pyenv-build]\n{line}")).unwrap_err();
        let of = |rest: &str| format!("`/p/pyproject.toml`: `tool.pyenv-build.{rest}");
        assert_eq!(wrong("python = 3.12"), of("python` is `3.12`, which is not a string"));
        assert_eq!(wrong("inputs = 'a'"), of("inputs` is `\"a\"`, which is not a list of strings"));
        assert_eq!(
            wrong("trusted-build-scripts = [1]"),
            of("trusted-build-scripts` is `[1]`, which is not a list of strings")
        );
        assert_eq!(
            wrong("macros = ['x']"),
            of("macros` is `[\"x\"]`, which is not a table of lists of strings")
        );
        assert_eq!(
            wrong("macros.x = 'y'"),
            of("macros` is `{ x = \"y\" }`, which is not a table of lists of strings")
        );
        assert_eq!(
            read("tool.pyenv-build = 1").unwrap_err(),
            "`/p/pyproject.toml`: `tool.pyenv-build` is not a table"
        );
    }

    #[test]
    fn what_macros_read_and_which_scripts_are_trusted() {
        let text = "[tool.pyenv-build]\nreuse = 'off'\ntrusted-build-scripts = ['cffi']\nincremental = true\n\
            [tool.pyenv-build.macros]\nsqlx-macros = ['migrations/*', 'env:DATABASE_URL']\npure = []\n";
        let settings = read(text).unwrap();
        assert_eq!(
            (settings.reuse.as_deref(), settings.trusted_build_scripts),
            (Some("off"), vec!["cffi".to_owned()])
        );
        assert_eq!(settings.macros["sqlx-macros"], ["migrations/*", "env:DATABASE_URL"]);
        assert_eq!(settings.macros["pure"], [""; 0]);
    }
}
