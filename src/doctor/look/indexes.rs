//! Index settings of uv and pip, from variables and from their configuration files.

use crate::build_env::settings::pip;
use crate::doctor::facts::{IgnoredSettings, Index, IndexSettings, Indexes};
use crate::env_vars;
use crate::process::mask_credentials;
use crate::project::{Project, UvFile, uv};

/// The index settings of both installers: variables, then files.
pub(super) fn of(project: &Project, installer_is_chosen: bool) -> Indexes {
    Indexes { uv: uv_indexes(project), pip: pip_indexes(), installer_is_chosen }
}

/// Settings that one could take for settings of builds, and that are not. Those for other commands
/// of an installer are no such.
const NOT_FOR_BUILDS: &[(&str, &[&str])] = &[
    (
        "uv",
        &[
            "resolution",
            "prerelease",
            "constraint-dependencies",
            "override-dependencies",
            "exclude-dependencies",
            "no-build-isolation",
            "no-build-isolation-package",
            "config-settings",
            "config-settings-package",
            "extra-build-variables",
        ],
    ),
    (
        "pip",
        &[
            "user",
            "target",
            "prefix",
            "root",
            "require-hashes",
            "no-deps",
            "no-build-isolation",
            "config-settings",
        ],
    ),
];

/// Settings of configuration files that are not for build environments.
pub(super) fn ignored_settings(project: &Project) -> Vec<IgnoredSettings> {
    let names = |installer: &str| {
        NOT_FOR_BUILDS
            .iter()
            .find(|(known, _)| *known == installer)
            .map_or(&[][..], |(_, names)| *names)
    };
    let of_uv = uv::files(project.uv_file.as_ref()).into_iter().flatten().map(|file| {
        let set =
            names("uv").iter().copied().filter(|name| file.table.contains_key(*name)).collect();
        IgnoredSettings { file: file.path, installer: "uv", names: set }
    });
    let of_pip = pip_files().into_iter().filter_map(|file| {
        let sections = pip::sections(&fs_err::read_to_string(&file).ok()?);
        let is_set = |name: &&str| {
            pip::SECTIONS
                .iter()
                .any(|section| sections.get(*section).is_some_and(|all| all.contains_key(*name)))
        };
        let set = names("pip").iter().copied().filter(is_set).collect();
        Some(IgnoredSettings { file, installer: "pip", names: set })
    });
    of_uv.chain(of_pip).filter(|settings| !settings.names.is_empty()).collect()
}

fn index(url: &str, set_by: &str, is_variable: bool) -> Index {
    // uv's may have a name: `name=https://...`
    let url =
        url.split_once('=').filter(|(name, _)| !name.contains(':')).map_or(url, |(_, url)| url);
    Index { url: mask_credentials(url), set_by: set_by.to_owned(), is_variable }
}

/// Indexes in a variable, by spaces.
fn in_variable(names: &[&str]) -> Vec<Index> {
    let set = names.iter().filter_map(|name| Some((name, env_vars::get(name)?)));
    set.flat_map(|(name, value)| {
        value
            .split_whitespace()
            .map(|url| index(url, &format!("`{name}`"), true))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Source: <https://docs.astral.sh/uv/concepts/configuration-files/>, <https://docs.astral.sh/uv/concepts/indexes/>
fn uv_indexes(project: &Project) -> IndexSettings {
    let mut settings = IndexSettings {
        default: in_variable(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]).into_iter().next(),
        extra: in_variable(&["UV_INDEX", "UV_EXTRA_INDEX_URL"]),
    };
    for UvFile { path: file, table } in uv::files(project.uv_file.as_ref()).into_iter().flatten() {
        let set_by = format!("`{}`", file.display());
        let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
        let list = |key: &str| table.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        let (mut default, mut extra) =
            (text("index-url").map(|url| index(url, &set_by, false)), Vec::new());
        for one in list("index") {
            let flag = |key: &str| one.get(key).and_then(toml::Value::as_bool).unwrap_or(false);
            let Some(url) =
                one.get("url").and_then(toml::Value::as_str).filter(|_| !flag("explicit"))
            else {
                continue;
            };
            if flag("default") {
                default = Some(index(url, &set_by, false));
            } else {
                extra.push(index(url, &set_by, false));
            }
        }
        extra.extend(
            list("extra-index-url")
                .filter_map(toml::Value::as_str)
                .map(|url| index(url, &set_by, false)),
        );
        settings.default = settings.default.or(default);
        settings.extra.extend(extra);
    }
    settings
}

/// Source: <https://pip.pypa.io/en/stable/topics/configuration/>
fn pip_indexes() -> IndexSettings {
    let mut settings = IndexSettings {
        default: in_variable(&["PIP_INDEX_URL"]).into_iter().next(),
        extra: in_variable(&["PIP_EXTRA_INDEX_URL"]),
    };
    for file in pip_files() {
        let Ok(text) = fs_err::read_to_string(&file) else { continue };
        let set_by = format!("`{}`", file.display());
        let sections = pip::sections(&text);
        let value =
            |key: &str| pip::SECTIONS.iter().find_map(|section| sections.get(*section)?.get(key));
        let of = |key: &str| -> Vec<Index> {
            value(key)
                .into_iter()
                .flat_map(|value| value.split_whitespace())
                .map(|url| index(url, &set_by, false))
                .collect()
        };
        settings.default = settings.default.or_else(|| of("index-url").into_iter().next());
        if settings.extra.is_empty() {
            settings.extra = of("extra-index-url");
        }
    }
    settings
}

/// Those of the active environment among them.
fn pip_files() -> Vec<std::path::PathBuf> {
    pip::files(env_vars::get("VIRTUAL_ENV").as_deref().map(std::path::Path::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_said_without_names_and_credentials() {
        assert_eq!(
            index("mine=https://me:secret@host/simple", "x", true).url,
            "https://***@host/simple"
        );
        assert_eq!(index("https://host/simple?a=b", "x", true).url, "https://host/simple?a=b");
    }
}
