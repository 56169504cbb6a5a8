//! The installers' own settings, as far as they are meant for build environments.
//!
//! `uv build` and `pip wheel` use a part of their settings for the environments that they build in:
//! where packages come from, how that is reached, and which of its files may be used. Settings for
//! a project's own dependencies (`resolution`, `constraint-dependencies`, all of `[tool.uv.pip]`)
//! and for where packages go (`target`, `user`) are not among them. The tables [`uv::SETTINGS`] and
//! [`pip::SETTINGS`] say which is which, and what they do not list does not count.
//!
//! [`Settings::read`] takes what counts from the files that the installer would read.
//! [`Settings::isolate`] makes a command that sees that, and nothing else of its installer's
//! configuration.

pub(crate) mod pip;
pub(crate) mod uv;

use std::path::Path;

use serde_json::{Value, json};

use super::Error;
use super::indexes::{Dialect, Indexes};
use crate::env_vars;
use crate::process::{Cmd, mask_credentials};
use crate::project::{NamedIndex, UvFile};

/// What a setting is to build environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It counts: it decides which packages there are to choose from.
    Chooses,
    /// It counts: it says how they are reached, and how fast.
    Reaches,
    /// It counts with either installer, because we apply it ourselves.
    Ours,
    /// It is not for build environments.
    Ignored,
}

impl Role {
    /// Whether the installer itself is to see it.
    fn counts(self) -> bool {
        matches!(self, Self::Chooses | Self::Reaches)
    }
}

/// Why settings that say where packages go are ignored.
const FOR_WHERE: &str = "Decides where packages are installed, which we set ourselves.";

/// A setting of an installer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// As files have it; one that has only a variable is named by that.
    pub name: &'static str,
    pub role: Role,
    /// Why it is ignored, or what becomes of it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference has it, which a test writes"))]
    pub note: &'static str,
}

const fn setting(name: &'static str, role: Role, note: &'static str) -> Setting {
    Setting { name, role, note }
}

impl Setting {
    /// The variable of the same meaning: `PIP_INDEX_URL`.
    pub(crate) fn variable(&self, prefix: &str) -> String {
        match self.name {
            "allow-insecure-host" => "UV_INSECURE_HOST".to_owned(),
            name if name.starts_with(prefix) => name.to_owned(),
            name => format!("{prefix}{}", name.replace('-', "_").to_ascii_uppercase()),
        }
    }
}

/// What of an installer's configuration files counts.
#[derive(Debug, Clone)]
pub(crate) enum Settings {
    /// As a `uv.toml`.
    Uv(toml::Table),
    /// By the names of variables.
    Pip(Vec<(String, String)>),
}

/// Variables with a path that may be relative to where we were started. Installers run elsewhere.
const PATHS: &[&str] = &[
    "UV_CACHE_DIR",
    "UV_CREDENTIALS_DIR",
    "PIP_CACHE_DIR",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "SSL_CERT_FILE",
    "SSL_CLIENT_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NETRC",
];

impl Settings {
    /// Reads the files that `dialect` would read for a project. `project`: the one of uv's that the
    /// project has; `prefix`: that of the interpreter.
    pub(crate) fn read(
        dialect: Dialect,
        project: Option<&UvFile>,
        prefix: &Path,
    ) -> Result<Self, Error> {
        match dialect {
            Dialect::Uv => uv::read(project).map(Self::Uv),
            Dialect::Pip => pip::read(prefix).map(Self::Pip),
        }
    }

    /// Adds what files say of indexes, and no flag or variable does. uv's have names and options:
    /// they stay in its file.
    #[must_use]
    pub(crate) fn complete(&self, mut indexes: Indexes) -> Indexes {
        let Self::Pip(settings) = self else { return indexes };
        let of = |name: &str| {
            settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let words = |name: &str| {
            of(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        indexes.default = indexes.default.or_else(|| of("PIP_INDEX_URL").map(str::to_owned));
        if indexes.extra.is_empty() {
            indexes.extra = words("PIP_EXTRA_INDEX_URL");
        }
        if indexes.find_links.is_empty() {
            indexes.find_links = words("PIP_FIND_LINKS");
        }
        indexes.no_index |= of("PIP_NO_INDEX").is_some_and(pip::is_true);
        indexes
    }

    /// The same without any index.
    #[must_use]
    pub(crate) fn without_indexes(&self) -> Self {
        match self {
            Self::Uv(table) => {
                let mut table = table.clone();
                for name in ["index", "index-url", "extra-index-url", "find-links", "no-index"] {
                    table.remove(name);
                }
                Self::Uv(table)
            }
            Self::Pip(settings) => Self::Pip(settings.clone()),
        }
    }

    /// Constraints files that pip's configuration names, separated by spaces.
    pub(crate) fn constraints(&self) -> Vec<String> {
        let Self::Pip(settings) = self else { return Vec::new() };
        let named = settings.iter().filter(|(name, _)| pip::CONSTRAINTS.contains(&name.as_str()));
        named.flat_map(|(_, files)| files.split_whitespace().map(str::to_owned)).collect()
    }

    /// What of files and variables decides which packages are chosen, fit to be written down.
    pub(crate) fn part_of_request(&self) -> Value {
        let (files, settings, prefix) = match self {
            Self::Uv(table) => (json!(table), uv::SETTINGS, "UV_"),
            Self::Pip(settings) => (json!(settings), pip::SETTINGS, "PIP_"),
        };
        let names = settings
            .iter()
            .filter(|setting| setting.role == Role::Chooses)
            .map(|setting| setting.variable(prefix));
        let variables: Vec<(String, String)> =
            names.filter_map(|name| env_vars::get(&name).map(|value| (name, value))).collect();
        json!([masked(files), masked(json!(variables))])
    }

    /// A command of the installer that sees what counts of its configuration, and runs in
    /// `directory`, which is an empty one of ours.
    pub(crate) fn isolate(
        &self,
        command: Cmd,
        directory: &Path,
        indexes: &Indexes,
    ) -> Result<Cmd, Error> {
        let (prefix, dialect, kept): (_, _, fn(&str) -> bool) = match self {
            Self::Uv(_) => ("UV_", Dialect::Uv, uv::keeps),
            Self::Pip(_) => ("PIP_", Dialect::Pip, pip::keeps),
        };
        let theirs = env_vars::with_prefixes(&[prefix])
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !kept(name));
        let others = ["VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"].map(str::to_owned);
        let command = theirs.chain(others).fold(command.cwd(directory), Cmd::env_remove);
        let command = indexes.apply(with_absolute_paths(command), dialect);
        match self {
            Self::Uv(table) => {
                let file = directory.join("uv.toml");
                fs_err::write(&file, table.to_string())
                    .map_err(|source| Error::Write { path: file.clone(), source })?;
                Ok(command.env("UV_CONFIG_FILE", file))
            }
            Self::Pip(settings) => {
                let only_in_files = settings.iter().filter(|(name, _)| {
                    !Indexes::sets(name) && kept(name) && env_vars::get(name).is_none()
                });
                let command =
                    only_in_files.fold(command, |command, (name, value)| command.env(name, value));
                Ok(command.env("PIP_CONFIG_FILE", pip::NO_FILE))
            }
        }
    }
}

/// The index that a source names, and no other.
pub(crate) fn indexes_of(index: &NamedIndex, project: Option<&UvFile>) -> Result<Indexes, Error> {
    let unknown = || Error::Project(index.unknown());
    let definition = index
        .definition
        .clone()
        .or_else(|| uv::index_named(&index.name, project))
        .ok_or_else(unknown)?;
    let text = |key: &str| definition.get(key).and_then(toml::Value::as_str);
    let url = text("url").ok_or_else(unknown)?;
    if text("format") == Some("flat") {
        return Ok(Indexes {
            find_links: vec![url.to_owned()],
            no_index: true,
            ..Indexes::default()
        });
    }
    let with_credentials = || {
        let mut full = url::Url::parse(url)
            .ok()
            .filter(|url| url.username().is_empty() && url.password().is_none())?;
        let (user, password) = uv::credentials(&index.name)?;
        full.set_username(&user).and_then(|()| full.set_password(password.as_deref())).ok()?;
        Some(full.to_string())
    };
    Ok(Indexes {
        default: Some(with_credentials().unwrap_or_else(|| url.to_owned())),
        ..Indexes::default()
    })
}

fn with_absolute_paths(command: Cmd) -> Cmd {
    let set = PATHS.iter().filter_map(|name| Some((*name, env_vars::get_os(name)?)));
    let relative = set.filter(|(_, path)| {
        Path::new(path).is_relative() && !path.as_encoded_bytes().starts_with(b"~")
    });
    relative.fold(command, |command, (name, path)| match std::path::absolute(path) {
        Ok(path) => command.env(name, path),
        Err(_) => command,
    })
}

/// Without credentials in URLs.
fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_credentials(&text)),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, masked(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_is_listed_twice_and_each_has_its_variable() {
        for (settings, prefix) in [(uv::SETTINGS, "UV_"), (pip::SETTINGS, "PIP_")] {
            let mut names: Vec<&str> = settings.iter().map(|setting| setting.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
            assert!(settings.iter().all(|setting| setting.variable(prefix).starts_with(prefix)));
        }
        assert_eq!(setting("index-url", Role::Chooses, "").variable("PIP_"), "PIP_INDEX_URL");
        assert_eq!(
            setting("UV_HTTP_TIMEOUT", Role::Reaches, "").variable("UV_"),
            "UV_HTTP_TIMEOUT"
        );
    }

    #[test]
    fn a_request_has_no_credentials() {
        let table = "[[index]]\nname = 'x'\nurl = 'https://me:secret@h/simple'".parse().unwrap();
        assert!(!Settings::Uv(table).part_of_request().to_string().contains("secret"));
    }
}
