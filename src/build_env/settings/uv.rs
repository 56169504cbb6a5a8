//! Which of uv's settings count for build environments, and where they are.
//!
//! Source: <https://docs.astral.sh/uv/reference/settings/>, <https://docs.astral.sh/uv/concepts/configuration-files/>

use std::path::Path;

use toml::{Table, Value};

use super::Role::{Chooses, Ignored, Ours, Reaches};
use super::{FOR_WHERE, Setting, setting};
use crate::build_env::Error;
use crate::env_vars;
use crate::project::UvFile;
use crate::project::uv::{combined, files};

const FOR_THE_PROJECT: &str =
    "Applies to the project's own dependencies; `uv build` ignores it too.";
const FOR_PYTHON: &str = "Applies to finding interpreters: see `--python`.";
const FOR_OTHERS: &str = "Applies to other uv commands.";

/// Settings of `[tool.uv]` and `uv.toml`, and variables that have no setting.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("index", Chooses, ""),
    setting("index-url", Chooses, ""),
    setting("extra-index-url", Chooses, ""),
    setting("default-index", Chooses, ""),
    setting("find-links", Chooses, ""),
    setting("no-index", Chooses, ""),
    setting("index-strategy", Chooses, ""),
    setting("no-binary", Chooses, ""),
    setting("no-binary-package", Chooses, ""),
    setting("no-build", Chooses, ""),
    setting("no-build-package", Chooses, ""),
    setting("exclude-newer", Chooses, ""),
    setting("exclude-newer-package", Chooses, ""),
    setting("dependency-metadata", Chooses, ""),
    setting("required-version", Reaches, ""),
    setting("keyring-provider", Reaches, ""),
    setting("allow-insecure-host", Reaches, ""),
    setting("native-tls", Reaches, ""),
    setting("system-certs", Reaches, ""),
    setting("http-proxy", Reaches, ""),
    setting("https-proxy", Reaches, ""),
    setting("no-proxy", Reaches, ""),
    setting("offline", Reaches, "The variable is the same as `--offline`."),
    setting("cache-dir", Reaches, ""),
    setting("no-cache", Reaches, ""),
    setting("concurrent-downloads", Reaches, ""),
    setting("concurrent-builds", Reaches, ""),
    setting("concurrent-installs", Reaches, ""),
    setting("UV_INDEX_<NAME>_USERNAME", Reaches, ""),
    setting("UV_INDEX_<NAME>_PASSWORD", Reaches, ""),
    setting("UV_CREDENTIALS_DIR", Reaches, ""),
    setting("UV_GITHUB_TOKEN", Reaches, ""),
    setting("UV_GIT_LFS", Reaches, ""),
    setting("UV_HTTP_TIMEOUT", Reaches, ""),
    setting("UV_HTTP_CONNECT_TIMEOUT", Reaches, ""),
    setting("UV_HTTP_RETRIES", Reaches, ""),
    setting("UV_REQUEST_TIMEOUT", Reaches, ""),
    setting("UV_LOCK_TIMEOUT", Reaches, ""),
    setting("UV_S3_ENDPOINT_URL", Reaches, ""),
    setting("UV_GCS_ENDPOINT_URL", Reaches, ""),
    setting("UV_AZURE_ENDPOINT_URL", Reaches, ""),
    setting("build-constraint-dependencies", Ours, "Same as `--constraint`."),
    setting("require-build-hashes", Ours, "Same as `--require-hashes`."),
    setting(
        "sources",
        Ours,
        "From `pyproject.toml`. A source that cannot be honoured is an error.",
    ),
    setting("no-sources", Ours, "Ignores `sources`."),
    setting("no-sources-package", Ours, "Ignores the sources of one package."),
    setting("extra-build-dependencies", Ours, "The ones for the project itself."),
    setting("resolution", Ignored, FOR_THE_PROJECT),
    setting("prerelease", Ignored, FOR_THE_PROJECT),
    setting("prerelease-package", Ignored, FOR_THE_PROJECT),
    setting("fork-strategy", Ignored, FOR_THE_PROJECT),
    setting("constraint-dependencies", Ignored, FOR_THE_PROJECT),
    setting("override-dependencies", Ignored, FOR_THE_PROJECT),
    setting("exclude-dependencies", Ignored, FOR_THE_PROJECT),
    setting("environments", Ignored, FOR_THE_PROJECT),
    setting("required-environments", Ignored, FOR_THE_PROJECT),
    setting("minimum-libc-version", Ignored, FOR_THE_PROJECT),
    setting("conflicts", Ignored, FOR_THE_PROJECT),
    setting("upgrade", Ignored, FOR_THE_PROJECT),
    setting("upgrade-package", Ignored, FOR_THE_PROJECT),
    setting("reinstall", Ignored, FOR_THE_PROJECT),
    setting("reinstall-package", Ignored, FOR_THE_PROJECT),
    setting("torch-backend", Ignored, FOR_THE_PROJECT),
    setting("UV_CONSTRAINT", Ignored, FOR_THE_PROJECT),
    setting("UV_OVERRIDE", Ignored, FOR_THE_PROJECT),
    setting("UV_EXCLUDE", Ignored, FOR_THE_PROJECT),
    setting("managed", Ignored, FOR_THE_PROJECT),
    setting("package", Ignored, FOR_THE_PROJECT),
    setting("dev-dependencies", Ignored, FOR_THE_PROJECT),
    setting("default-groups", Ignored, FOR_THE_PROJECT),
    setting("dependency-groups", Ignored, FOR_THE_PROJECT),
    setting("pip", Ignored, "All of `[tool.uv.pip]` applies to `uv pip` only."),
    setting(
        "no-build-isolation",
        Ignored,
        "Builds are isolated and the environment is kept, so there is nothing to gain.",
    ),
    setting(
        "no-build-isolation-package",
        Ignored,
        "Builds are isolated and the environment is kept, so there is nothing to gain.",
    ),
    setting("config-settings", Ignored, "Use `--config-setting` for settings of the backend."),
    setting(
        "config-settings-package",
        Ignored,
        "Use `--config-setting` for settings of the backend.",
    ),
    setting("extra-build-variables", Ignored, "Set the variables yourself: hooks inherit them."),
    setting("link-mode", Ignored, "Files are copied, so that no build can change uv's cache."),
    setting("compile-bytecode", Ignored, "Bytecode is compiled once, with the environment."),
    setting("UV_TARGET", Ignored, FOR_WHERE),
    setting("UV_PREFIX", Ignored, FOR_WHERE),
    setting("UV_SYSTEM_PYTHON", Ignored, FOR_WHERE),
    setting("UV_BREAK_SYSTEM_PACKAGES", Ignored, FOR_WHERE),
    setting("UV_PROJECT", Ignored, FOR_WHERE),
    setting("UV_WORKING_DIR", Ignored, FOR_WHERE),
    setting("UV_PYTHON", Ignored, FOR_PYTHON),
    setting("python-preference", Ignored, FOR_PYTHON),
    setting("python-downloads", Ignored, FOR_PYTHON),
    setting("python-install-mirror", Ignored, FOR_PYTHON),
    setting("pypy-install-mirror", Ignored, FOR_PYTHON),
    setting("graalpy-install-mirror", Ignored, FOR_PYTHON),
    setting("pyodide-install-mirror", Ignored, FOR_PYTHON),
    setting("python-downloads-json-url", Ignored, FOR_PYTHON),
    setting("preview", Ignored, FOR_OTHERS),
    setting("preview-features", Ignored, FOR_OTHERS),
    setting("publish-url", Ignored, FOR_OTHERS),
    setting("trusted-publishing", Ignored, FOR_OTHERS),
    setting("check-url", Ignored, FOR_OTHERS),
    setting("add-bounds", Ignored, FOR_OTHERS),
    setting("audit", Ignored, FOR_OTHERS),
    setting("cache-keys", Ignored, FOR_OTHERS),
    setting("build-backend", Ignored, "Applies to the backend `uv_build`, which reads it itself."),
    setting("workspace", Ignored, "Defines the workspace that these settings apply to."),
];

/// Whether a variable stays in the environment of uv.
pub(super) fn keeps(name: &str) -> bool {
    let is_credential = name.starts_with("UV_INDEX_")
        && (name.ends_with("_USERNAME") || name.ends_with("_PASSWORD"));
    // We have taken it ourselves.
    is_credential
        || name != "UV_OFFLINE"
            && SETTINGS
                .iter()
                .any(|setting| setting.role.counts() && setting.variable("UV_") == name)
}

/// What counts in uv's configuration.
pub(super) fn read(project: Option<&UvFile>) -> Result<Table, Error> {
    let mut tables = Vec::new();
    for file in files(project) {
        let UvFile { path, table } =
            file.map_err(|(path, reason)| Error::Settings { installer: "uv", path, reason })?;
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let counts = |name: &str| SETTINGS.iter().any(|one| one.name == name && one.role.counts());
        let settings = table.into_iter().filter(|(name, _)| counts(name));
        tables.push(
            settings.map(|(name, value)| (name.clone(), absolute(&name, value, &base))).collect(),
        );
    }
    Ok(combined(tables))
}

/// An index that variables or files define under a name; relative paths made absolute.
pub(crate) fn index_named(name: &str, project: Option<&UvFile>) -> Option<Table> {
    let is_it = |index: &&Value| index.get("name").and_then(Value::as_str) == Some(name);
    let variables = ["UV_INDEX", "UV_DEFAULT_INDEX"].into_iter().filter_map(env_vars::get);
    let in_variables = variables
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find_map(|index| {
            let (_, url) = index.split_once('=').filter(|(known, _)| *known == name)?;
            Some(Table::from_iter([("url".to_owned(), Value::from(url))]))
        });
    let in_files = || {
        files(project).into_iter().flatten().find_map(|file| {
            let base = file.path.parent().unwrap_or(Path::new("")).to_path_buf();
            let index = file.table.get("index")?.as_array()?.iter().find(is_it)?.clone();
            absolute("index", index, &base).as_table().cloned()
        })
    };
    in_variables.or_else(in_files)
}

/// Name and password of an index, in the variables that uv has for them.
pub(super) fn credentials(index: &str) -> Option<(String, Option<String>)> {
    let name: String = index
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let of = |what: &str| env_vars::get(&format!("UV_INDEX_{name}_{what}"));
    match (of("USERNAME"), of("PASSWORD")) {
        (None, None) => None,
        (user, password) => Some((user.unwrap_or_default(), password)),
    }
}

/// Paths in a file are relative to it.
fn absolute(name: &str, value: Value, base: &Path) -> Value {
    let path = |text: &str| {
        let is_path =
            !text.contains("://") && !text.starts_with('~') && Path::new(text).is_relative();
        if is_path {
            crate::fs::absolute(&base.join(text))
                .map_or(text.to_owned(), |path| path.to_string_lossy().into_owned())
        } else {
            text.to_owned()
        }
    };
    match (name, value) {
        ("index-url" | "extra-index-url" | "find-links" | "cache-dir", Value::String(text)) => {
            Value::String(path(&text))
        }
        ("extra-index-url" | "find-links" | "index", Value::Array(items)) => {
            let one_name = if name == "index" { "index" } else { "find-links" };
            Value::Array(items.into_iter().map(|item| absolute(one_name, item, base)).collect())
        }
        ("index", Value::Table(mut index)) => {
            if let Some(Value::String(url)) = index.get_mut("url") {
                *url = path(url);
            }
            Value::Table(index)
        }
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_what_counts_stay_and_others_do_not() {
        for name in [
            "UV_INDEX_MINE_PASSWORD",
            "UV_INDEX_STRATEGY",
            "UV_CACHE_DIR",
            "UV_INSECURE_HOST",
            "UV_EXCLUDE_NEWER",
            "UV_HTTP_TIMEOUT",
        ] {
            assert!(keeps(name), "{name}");
        }
        for name in [
            "UV_RESOLUTION",
            "UV_PRERELEASE",
            "UV_CONSTRAINT",
            "UV_NO_CONFIG",
            "UV_CONFIG_FILE",
            "UV_SOMETHING_NEW",
            "UV_TARGET",
        ] {
            assert!(!keeps(name), "{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn paths_are_relative_to_the_file() {
        let of = |name: &str, text: &str| {
            let table: Table = text.parse().unwrap();
            absolute(name, table[name].clone(), Path::new("/p")).to_string()
        };
        assert_eq!(
            of("find-links", "find-links = ['../w', 'https://h/w', '/x']"),
            r#"["/w", "https://h/w", "/x"]"#
        );
        assert!(
            of("index", "[[index]]\nname = 'a'\nurl = 'simple'").contains(r#"url = "/p/simple""#)
        );
        assert_eq!(of("exclude-newer", "exclude-newer = '2020'"), r#""2020""#);
    }
}
