//! `[tool.pyenv-build]` of `pyproject.toml`.

use std::path::Path;

use serde::Deserialize;

use super::Error;

/// What a project may fix for everyone who builds it. Flags and environment variables win.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// The interpreter: a path (relative to the project), a name or a version.
    pub python: Option<String>,
    /// Our directory, relative to the project.
    pub root: Option<String>,
    /// `uv`, `pip` or `auto`.
    pub installer: Option<String>,
    /// Constraints files, relative to the project.
    pub constraints: Vec<String>,
    /// What counts as an input of crates: `auto`, `declared`, `strict` or `off`.
    #[serde(alias = "mode")]
    pub freshness: Option<String>,
    /// Further inputs of crates: patterns, relative to the project.
    pub inputs: Vec<String>,
    /// rustc's incremental state: `"auto"`, `true` or `false`.
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    pub incremental: Option<toml::Value>,
    /// Whether `run` and `env` are for programs with an interpreter inside, such as tests that start one: `"auto"`, `true` or `false`.
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    pub embed: Option<toml::Value>,
    /// Crates that must not be compiled: `all`, `deps`, `workspace` or patterns for names.
    pub deny_rebuild: Vec<String>,
    /// `warm` or `always`.
    pub deny_rebuild_when: Option<String>,
    /// Keys we do not know; they are named in a warning.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

const KNOWN: &[&str] =
    &["python", "root", "installer", "constraints", "freshness", "inputs", "incremental", "embed", "deny-rebuild", "deny-rebuild-when"];

impl Settings {
    pub(super) fn read(file: &Path, pyproject: &toml::Table) -> Result<Self, Error> {
        let Some(value) = pyproject.get("tool").and_then(|tool| tool.get("pyenv-build")) else { return Ok(Self::default()) };
        let invalid = |message: String| Error::Invalid {
            path: file.to_path_buf(),
            message: format!("`tool.pyenv-build`: {message}"),
            hint: Some(format!("the settings are {}", KNOWN.join(", "))),
        };
        let table = value.as_table().ok_or_else(|| invalid("not a table".to_owned()))?;
        let mut settings: Self = value.clone().try_into().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
        settings.unknown = table.keys().filter(|key| !KNOWN.contains(&key.as_str()) && *key != "mode").cloned().collect();
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(Path::new("/p/pyproject.toml"), &toml::from_str(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_is_a_setting_that_is_known() {
        let schema = schemars::schema_for!(Settings);
        let fields: Vec<&str> = schema.get("properties").unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, KNOWN);
    }

    #[test]
    fn unknown_keys_are_kept_to_be_named_and_wrong_types_refused() {
        assert_eq!(read("").unwrap(), Settings::default());
        let settings = read("[tool.pyenv-build]\npython = '3.12'\npyton = '3'").unwrap();
        assert_eq!(settings.python.as_deref(), Some("3.12"));
        assert_eq!(settings.unknown, ["pyton"]);
        let error = read("[tool.pyenv-build]\npython = 3.12").unwrap_err();
        assert!(error.starts_with("`/p/pyproject.toml`: `tool.pyenv-build`: invalid type"), "{error}");
    }
}
