//! Index settings of uv and pip, from variables and from their configuration files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::doctor::facts::{Index, IndexSettings, Indexes};
use crate::env_vars;
use crate::process::mask_credentials;
use crate::project::Project;

/// The index settings of both installers: variables, then files.
pub(super) fn of(project: &Project, installer_is_chosen: bool) -> Indexes {
    Indexes { uv: uv_indexes(project), pip: pip_indexes(), installer_is_chosen }
}

fn index(url: &str, set_by: &str, is_variable: bool) -> Index {
    // uv's may have a name: `name=https://...`
    let url = url.split_once('=').filter(|(name, _)| !name.contains(':')).map_or(url, |(_, url)| url);
    Index { url: mask_credentials(url), set_by: set_by.to_owned(), is_variable }
}

/// Indexes in a variable, by spaces.
fn in_variable(names: &[&str]) -> Vec<Index> {
    let set = names.iter().filter_map(|name| Some((name, env_vars::get(name)?)));
    set.flat_map(|(name, value)| value.split_whitespace().map(|url| index(url, &format!("`{name}`"), true)).collect::<Vec<_>>()).collect()
}

/// Source: <https://docs.astral.sh/uv/concepts/configuration-files/>, <https://docs.astral.sh/uv/concepts/indexes/>
fn uv_indexes(project: &Project) -> IndexSettings {
    let mut settings = IndexSettings {
        default: in_variable(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]).into_iter().next(),
        extra: in_variable(&["UV_INDEX", "UV_EXTRA_INDEX_URL"]),
    };
    for (file, table) in uv_tables(project) {
        let set_by = format!("`{}`", file.display());
        let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
        let list = |key: &str| table.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        let (mut default, mut extra) = (text("index-url").map(|url| index(url, &set_by, false)), Vec::new());
        for one in list("index") {
            let flag = |key: &str| one.get(key).and_then(toml::Value::as_bool).unwrap_or(false);
            let Some(url) = one.get("url").and_then(toml::Value::as_str).filter(|_| !flag("explicit")) else { continue };
            if flag("default") {
                default = Some(index(url, &set_by, false));
            } else {
                extra.push(index(url, &set_by, false));
            }
        }
        extra.extend(list("extra-index-url").filter_map(toml::Value::as_str).map(|url| index(url, &set_by, false)));
        settings.default = settings.default.or(default);
        settings.extra.extend(extra);
    }
    settings
}

/// uv's configuration, the one that wins first: the project's (`uv.toml`, else `[tool.uv]`), the user's, the system's.
fn uv_tables(project: &Project) -> Vec<(PathBuf, toml::Table)> {
    let read =
        |path: PathBuf| Some((fs_err::read_to_string(&path).ok()?.parse::<toml::Table>().ok()?, path)).map(|(table, path)| (path, table));
    if let Some(path) = env_vars::get_os("UV_CONFIG_FILE") {
        return read(path.into()).into_iter().collect();
    }
    if env_vars::get("UV_NO_CONFIG").is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")) {
        return Vec::new();
    }
    let own = project.directory.ancestors().find_map(|directory| {
        let of_pyproject = || {
            let (path, table) = read(directory.join("pyproject.toml"))?;
            Some((path, table.get("tool")?.get("uv")?.as_table()?.clone()))
        };
        read(directory.join("uv.toml")).or_else(of_pyproject)
    });
    let user = env_vars::get_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(env_vars::home()?.join(".config")));
    let user = if cfg!(windows) { env_vars::get_os("APPDATA").map(PathBuf::from) } else { user };
    let system = PathBuf::from("/etc");
    let others = user.into_iter().chain(Some(system)).filter_map(|directory| read(directory.join("uv/uv.toml")));
    own.into_iter().chain(others).collect()
}

/// Source: <https://pip.pypa.io/en/stable/topics/configuration/>
fn pip_indexes() -> IndexSettings {
    let mut settings =
        IndexSettings { default: in_variable(&["PIP_INDEX_URL"]).into_iter().next(), extra: in_variable(&["PIP_EXTRA_INDEX_URL"]) };
    for file in pip_files() {
        let Ok(text) = fs_err::read_to_string(&file) else { continue };
        let set_by = format!("`{}`", file.display());
        let of = |key: &str| -> Vec<Index> { pip_setting(&text, key).iter().map(|url| index(url, &set_by, false)).collect() };
        settings.default = settings.default.or_else(|| of("index-url").into_iter().next());
        if settings.extra.is_empty() {
            settings.extra = of("extra-index-url");
        }
    }
    settings
}

/// pip's configuration files, the one that wins first.
fn pip_files() -> Vec<PathBuf> {
    let told = env_vars::get_os("PIP_CONFIG_FILE").map(PathBuf::from);
    let null = if cfg!(windows) { "nul" } else { "/dev/null" };
    if told.as_deref() == Some(Path::new(null)) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = told.into_iter().collect();
    if cfg!(windows) {
        files.extend(env_vars::get_os("APPDATA").map(|directory| Path::new(&directory).join("pip/pip.ini")));
        return files;
    }
    let config = env_vars::get_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(env_vars::home()?.join(".config")));
    files.extend(config.map(|directory| directory.join("pip/pip.conf")));
    files.extend(env_vars::home().map(|home| home.join("Library/Application Support/pip/pip.conf")).filter(|_| cfg!(target_os = "macos")));
    files.extend(env_vars::home().map(|home| home.join(".pip/pip.conf")));
    files.extend(["/etc/xdg/pip/pip.conf", "/etc/pip.conf"].map(PathBuf::from));
    files
}

/// The words of a setting in pip's INI files: of the section for `install`, else for all; lines that are indented go on.
fn pip_setting(text: &str, key: &str) -> Vec<String> {
    let mut by_section: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut section, mut is_in) = (String::new(), false);
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (section, is_in) = (name.trim().to_owned(), false);
        } else if line.starts_with(char::is_whitespace) {
            if is_in {
                by_section.entry(section.clone()).or_default().extend(line.split_whitespace().map(str::to_owned));
            }
        } else if let Some((name, value)) = line.split_once(['=', ':']) {
            is_in = name.trim().replace('_', "-") == key;
            if is_in {
                by_section.insert(section.clone(), value.split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    by_section.remove("install").or_else(|| by_section.remove("global")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_files_are_read_by_section() {
        let text = "# index-url = no\n[global]\nindex-url = https://a/simple\nextra_index_url =\n    https://b/simple\n    https://c/simple\n\
                    [list]\nindex-url: https://d/simple\n";
        assert_eq!(pip_setting(text, "index-url"), ["https://a/simple"]);
        assert_eq!(pip_setting(text, "extra-index-url"), ["https://b/simple", "https://c/simple"]);
        assert_eq!(pip_setting("[install]\nindex-url=x\n[global]\nindex-url=y", "index-url"), ["x"]);
        assert_eq!(pip_setting("", "index-url"), [""; 0]);
    }

    #[test]
    fn indexes_are_said_without_names_and_credentials() {
        assert_eq!(index("mine=https://me:secret@host/simple", "x", true).url, "https://***@host/simple");
        assert_eq!(index("https://host/simple?a=b", "x", true).url, "https://host/simple?a=b");
    }
}
