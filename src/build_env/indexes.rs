//! Where packages come from: index settings of flags and of the environment, in one form for both
//! installers.
//!
//! pip reads `PIP_*`, uv reads `UV_*`, and neither reads the other's. So that the outcome does not
//! depend on which of them is installed, settings made for one are handed to the other, always by
//! environment variables: URLs may carry credentials, and command lines are for everyone to see.

use std::path::Path;

use serde::Serialize;

use crate::env_vars;
use crate::process::{Cmd, mask_credentials};

/// Index settings. Empty means: the installer's own default and configuration files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Indexes {
    /// Instead of PyPI.
    pub default: Option<String>,
    /// In addition to it.
    pub extra: Vec<String>,
    /// Directories or pages with links to archives.
    pub find_links: Vec<String>,
    /// Nothing but `find_links`.
    pub no_index: bool,
}

/// Which installer's variables come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Uv,
    Pip,
}

impl Dialect {
    /// The installer's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Pip => "pip",
        }
    }
}

impl Indexes {
    /// Flags win over the variables of the installer in use, those over the other installer's.
    #[must_use]
    pub(crate) fn or_environment(mut self, dialect: Dialect) -> Self {
        let (uv, pip) = (from_uv(), from_pip());
        let (first, second) = match dialect {
            Dialect::Uv => (uv, pip),
            Dialect::Pip => (pip, uv),
        };
        for other in [first, second] {
            self.default = self.default.or(other.default);
            if self.extra.is_empty() {
                self.extra = other.extra;
            }
            if self.find_links.is_empty() {
                self.find_links = other.find_links;
            }
            self.no_index |= other.no_index;
        }
        self
    }

    /// The same, fit to be written down.
    #[must_use]
    pub(crate) fn masked(&self) -> Self {
        let all = |urls: &[String]| urls.iter().map(|url| mask_credentials(url)).collect();
        Self {
            default: self.default.as_deref().map(mask_credentials),
            extra: all(&self.extra),
            find_links: all(&self.find_links),
            no_index: self.no_index,
        }
    }

    /// Whether [`Self::apply`] sets or removes a variable.
    pub(crate) fn sets(name: &str) -> bool {
        ["INDEX_URL", "EXTRA_INDEX_URL", "DEFAULT_INDEX", "INDEX", "FIND_LINKS", "NO_INDEX"]
            .iter()
            .any(|variable| {
                name.strip_prefix("UV_").or_else(|| name.strip_prefix("PIP_")) == Some(variable)
            })
    }

    /// Sets the variables of one installer and removes those of the same meaning.
    #[must_use]
    pub(crate) fn apply(&self, command: Cmd, dialect: Dialect) -> Cmd {
        let names: [&str; 4] = match dialect {
            // uv takes `--no-index` as an argument only; nothing reads the last name.
            Dialect::Uv => ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX"],
            Dialect::Pip => {
                ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"]
            }
        };
        let links: Vec<String> = self.find_links.iter().map(|link| link_url(link)).collect();
        let index_url = |index: &str| index_url(index, dialect);
        let extra: Vec<String> = self.extra.iter().map(|index| index_url(index)).collect();
        let links = links.join(if dialect == Dialect::Uv { "," } else { " " });
        let values = [
            self.default.as_deref().map(index_url).unwrap_or_default(),
            extra.join(" "),
            links,
            if self.no_index { "1".to_owned() } else { String::new() },
        ];
        let mut command =
            ["UV_INDEX_URL", "UV_EXTRA_INDEX_URL"].iter().fold(command, Cmd::env_remove);
        for (name, value) in names.iter().zip(values) {
            command =
                if value.is_empty() { command.env_remove(name) } else { command.env(name, value) };
        }
        command
    }
}

/// An index, which may have a name: `name=https://...`. For pip, without it, and with what uv's
/// variables say of its user and password.
fn index_url(index: &str, dialect: Dialect) -> String {
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match index.split_once('=').filter(|(name, _)| is_name(name)) {
        Some((name, url)) if dialect == Dialect::Pip => with_credentials(name, link_url(url)),
        Some((name, url)) => format!("{name}={}", link_url(url)),
        None => link_url(index),
    }
}

/// Source: <https://docs.astral.sh/uv/concepts/indexes/#providing-credentials-directly>
fn with_credentials(index: &str, url: String) -> String {
    let name: String = index
        .to_ascii_uppercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let of = |what: &str| env_vars::get(&format!("UV_INDEX_{name}_{what}"));
    let (user, password) = (of("USERNAME"), of("PASSWORD"));
    let Some(mut parsed) =
        url::Url::parse(&url).ok().filter(|_| user.is_some() || password.is_some())
    else {
        return url;
    };
    let _ = parsed.set_username(user.as_deref().unwrap_or_default());
    let _ = parsed.set_password(password.as_deref());
    parsed.into()
}

/// A local directory as a URL: installers run elsewhere, and cut their variables at white space or
/// commas.
fn link_url(link: &str) -> String {
    if link.contains("://") || link.starts_with('~') {
        return link.to_owned();
    }
    let absolute = std::path::absolute(link).unwrap_or_else(|_| link.into());
    url::Url::from_file_path(absolute)
        .map_or_else(|()| link.to_owned(), |url| url.as_str().replace(',', "%2C"))
}

fn words(name: &str) -> Vec<String> {
    env_vars::get(name)
        .map(|value| value.split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default()
}

fn is_true(name: &str) -> bool {
    env_vars::get(name).is_some_and(|value| {
        matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
    })
}

fn from_pip() -> Indexes {
    // pip passes over a directory that is not there, uv fails on it.
    let exists = |location: &String| location.contains("://") || Path::new(location).exists();
    Indexes {
        default: env_vars::get("PIP_INDEX_URL"),
        extra: words("PIP_EXTRA_INDEX_URL"),
        find_links: words("PIP_FIND_LINKS").into_iter().filter(exists).collect(),
        no_index: is_true("PIP_NO_INDEX"),
    }
}

fn from_uv() -> Indexes {
    let extra = [words("UV_INDEX"), words("UV_EXTRA_INDEX_URL")].concat();
    Indexes {
        default: env_vars::get("UV_DEFAULT_INDEX").or_else(|| env_vars::get("UV_INDEX_URL")),
        extra,
        find_links: env_vars::get("UV_FIND_LINKS")
            .map(|value| {
                value
                    .split(',')
                    .map(str::trim)
                    .filter(|link| !link.is_empty())
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default(),
        no_index: is_true("UV_NO_INDEX"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn links_survive_being_joined() {
        assert_eq!(link_url("/a b/c,d"), "file:///a%20b/c%2Cd");
        assert_eq!(link_url("https://h/x"), "https://h/x");
        assert_eq!(link_url("file:///x"), "file:///x");
        assert_eq!(index_url("mine=/a b", Dialect::Uv), "mine=file:///a%20b");
        assert_eq!(index_url("mine=/a b", Dialect::Pip), "file:///a%20b");
        assert_eq!(index_url("https://h/x?a=b", Dialect::Pip), "https://h/x?a=b");
    }

    #[test]
    fn what_is_written_down_has_no_credentials() {
        let indexes =
            Indexes { default: Some("https://me:secret@host/simple".into()), ..Indexes::default() };
        assert_eq!(indexes.masked().default.as_deref(), Some("https://***@host/simple"));
    }
}
