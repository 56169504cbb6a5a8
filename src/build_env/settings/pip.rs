//! Which of pip's settings count for build environments, and where they are.
//!
//! Source: <https://pip.pypa.io/en/stable/topics/configuration/>, <https://pip.pypa.io/en/stable/cli/pip_install/>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Role::{Chooses, Ignored, Ours, Reaches};
use super::{FOR_WHERE, Setting, setting};
use crate::build_env::error::Error;
use crate::env_vars;

const FOR_HOW: &str = "Decides how packages are installed, which we set ourselves.";
const FOR_THE_PROJECT: &str = "Applies to the project's own dependencies.";
const FOR_OUTPUT: &str = "Changes pip's output, which we parse.";

/// Settings of `pip.conf`, in `[install]` or `[global]`.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("index-url", Chooses, ""),
    setting("extra-index-url", Chooses, ""),
    setting("find-links", Chooses, ""),
    setting("no-index", Chooses, ""),
    setting("no-binary", Chooses, ""),
    setting("only-binary", Chooses, ""),
    setting("prefer-binary", Chooses, ""),
    setting("pre", Chooses, ""),
    setting("all-releases", Chooses, ""),
    setting("only-final", Chooses, ""),
    setting("uploaded-prior-to", Chooses, ""),
    setting("trusted-host", Reaches, ""),
    setting("cert", Reaches, ""),
    setting("client-cert", Reaches, ""),
    setting("proxy", Reaches, ""),
    setting("keyring-provider", Reaches, ""),
    setting("cache-dir", Reaches, ""),
    setting("no-cache-dir", Reaches, ""),
    setting("retries", Reaches, ""),
    setting("resume-retries", Reaches, ""),
    setting("timeout", Reaches, ""),
    setting("default-timeout", Reaches, ""),
    setting("use-feature", Reaches, ""),
    setting("constraint", Ours, "Same as `--constraint`."),
    setting("build-constraint", Ours, "Same as `--constraint`."),
    setting("user", Ignored, FOR_WHERE),
    setting("target", Ignored, FOR_WHERE),
    setting("prefix", Ignored, FOR_WHERE),
    setting("root", Ignored, FOR_WHERE),
    setting("src", Ignored, FOR_WHERE),
    setting("python", Ignored, FOR_WHERE),
    setting("break-system-packages", Ignored, FOR_WHERE),
    setting("require-virtualenv", Ignored, FOR_WHERE),
    setting("dry-run", Ignored, FOR_HOW),
    setting("report", Ignored, FOR_HOW),
    setting("ignore-installed", Ignored, FOR_HOW),
    setting("force-reinstall", Ignored, FOR_HOW),
    setting("no-deps", Ignored, FOR_HOW),
    setting("upgrade", Ignored, FOR_HOW),
    setting("upgrade-strategy", Ignored, FOR_HOW),
    setting("compile", Ignored, FOR_HOW),
    setting("no-compile", Ignored, FOR_HOW),
    setting("no-clean", Ignored, FOR_HOW),
    setting("no-warn-conflicts", Ignored, FOR_HOW),
    setting("no-warn-script-location", Ignored, FOR_HOW),
    setting("override-externally-managed", Ignored, FOR_HOW),
    setting("root-user-action", Ignored, FOR_HOW),
    setting("use-deprecated", Ignored, FOR_HOW),
    setting("no-build-isolation", Ignored, FOR_HOW),
    setting("check-build-dependencies", Ignored, FOR_HOW),
    setting("use-pep517", Ignored, FOR_HOW),
    setting(
        "require-hashes",
        Ignored,
        "In a file, it applies to your own requirements; the variable is the same as \
            `--require-hashes`.",
    ),
    setting("requirement", Ignored, FOR_THE_PROJECT),
    setting("requirements-from-script", Ignored, FOR_THE_PROJECT),
    setting("group", Ignored, FOR_THE_PROJECT),
    setting("editable", Ignored, FOR_THE_PROJECT),
    setting("ignore-requires-python", Ignored, FOR_THE_PROJECT),
    setting("platform", Ignored, FOR_THE_PROJECT),
    setting("python-version", Ignored, FOR_THE_PROJECT),
    setting("implementation", Ignored, FOR_THE_PROJECT),
    setting("abi", Ignored, FOR_THE_PROJECT),
    setting("config-settings", Ignored, "Use `--config-setting` for settings of the backend."),
    setting("global-option", Ignored, "Use `--config-setting` for settings of the backend."),
    setting("log", Ignored, FOR_OUTPUT),
    setting("verbose", Ignored, FOR_OUTPUT),
    setting("quiet", Ignored, FOR_OUTPUT),
    setting("debug", Ignored, FOR_OUTPUT),
    setting("no-color", Ignored, FOR_OUTPUT),
    setting("progress-bar", Ignored, FOR_OUTPUT),
    setting("no-input", Ignored, FOR_OUTPUT),
    setting("exists-action", Ignored, FOR_OUTPUT),
    setting("disable-pip-version-check", Ignored, FOR_OUTPUT),
];

/// Variables of settings that name constraints files.
pub(super) const CONSTRAINTS: &[&str] = &["PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"];

/// What `PIP_CONFIG_FILE` is so that pip reads no file at all.
pub(crate) const NO_FILE: &str = if cfg!(windows) { "nul" } else { "/dev/null" };

/// Whether a variable stays in the environment of pip.
pub(super) fn keeps(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.role.counts() && setting.variable("PIP_") == name)
}

/// As pip reads switches.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
}

/// What counts in pip's files, by the names of variables. A file that pip could not read is an error,
/// as for pip: it may say which index is to be asked.
pub(super) fn read(prefix: &Path) -> Result<Vec<(String, String)>, Error> {
    let mut texts = Vec::new();
    for path in files(Some(prefix)) {
        let refused =
            |reason: String| Error::Settings { installer: "pip", path: path.clone(), reason };
        match fs_err::read(&path) {
            // pip passes over what it may not read.
            Err(_) => {}
            Ok(bytes) if bytes.starts_with(b"\xef\xbb\xbf") => {
                return Err(refused("it begins with a byte order mark".to_owned()));
            }
            Ok(bytes) => {
                let text = String::from_utf8(bytes);
                texts.push(text.map_err(|error| refused(format!("it is not UTF-8: {error}")))?);
            }
        }
    }
    let of = |setting: &Setting| {
        let value = value_of(&texts, setting.name)?;
        Some((setting.variable("PIP_"), value))
    };
    Ok(SETTINGS.iter().filter(|setting| setting.role != Ignored).filter_map(of).collect())
}

/// The sections that count, the one that wins first: `pip wheel` is the command that is like ours.
pub(crate) const SECTIONS: &[&str] = &["wheel", "install", "global"];

/// The value of a setting: in each section the first file that has it.
fn value_of(texts: &[String], name: &str) -> Option<String> {
    let in_section =
        |section: &str| texts.iter().find_map(|text| sections(text).remove(section)?.remove(name));
    SECTIONS.iter().copied().find_map(in_section).filter(|value| !value.is_empty())
}

/// pip's configuration files, the one that wins first: `prefix` is that of the interpreter, whose
/// pip one would run.
///
/// Source: <https://pip.pypa.io/en/stable/topics/configuration/#location>, and for what
/// `PIP_CONFIG_FILE` replaces: <https://github.com/pypa/pip/blob/26.0/src/pip/_internal/configuration.py>,
/// `iter_config_files`
pub(crate) fn files(prefix: Option<&Path>) -> Vec<PathBuf> {
    let told = env_vars::get_os("PIP_CONFIG_FILE").map(PathBuf::from);
    if told.as_deref() == Some(Path::new(NO_FILE)) {
        return Vec::new();
    }
    let name = if cfg!(windows) { "pip.ini" } else { "pip.conf" };
    let of_user =
        if told.as_ref().is_some_and(|file| file.exists()) { Vec::new() } else { users() };
    let of_prefix = prefix.map(|prefix| prefix.join(name));
    told.into_iter().chain(of_prefix).chain(of_user).chain(systems()).collect()
}

fn users() -> Vec<PathBuf> {
    let home = env_vars::home();
    if cfg!(windows) {
        let data = env_vars::get_os("APPDATA").map(|data| Path::new(&data).join("pip/pip.ini"));
        return data.into_iter().chain(home.map(|home| home.join("pip/pip.ini"))).collect();
    }
    let config = env_vars::get_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(home.clone()?.join(".config")));
    let application = home
        .clone()
        .map(|home| home.join("Library/Application Support/pip"))
        .filter(|path| cfg!(target_os = "macos") && path.is_dir());
    let newer = application.or_else(|| Some(config?.join("pip")));
    let newer = newer.map(|directory| directory.join("pip.conf"));
    newer.into_iter().chain(home.map(|home| home.join(".pip/pip.conf"))).collect()
}

fn systems() -> Vec<PathBuf> {
    if cfg!(windows) {
        let data = env_vars::get_os("PROGRAMDATA");
        return data.map(|data| Path::new(&data).join("pip/pip.ini")).into_iter().collect();
    }
    let system = env_vars::get_os("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
    let system = std::env::split_paths(&system).map(|directory| directory.join("pip/pip.conf"));
    [PathBuf::from("/etc/pip.conf")].into_iter().chain(system).collect()
}

/// What an INI file of pip's says, by section and setting, as Python reads it: what is indented more
/// than a setting belongs to it.
///
/// Source: <https://github.com/python/cpython/blob/3.13/Lib/configparser.py>, `RawConfigParser._read`
pub(crate) fn sections(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut section, mut setting, mut indent) = (None::<String>, None::<String>, 0);
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let own_indent = line.len() - line.trim_start().len();
        let of_section = section.as_ref().map(|name| all.entry(name.clone()).or_default());
        if let (Some(of_section), Some(name)) = (of_section, &setting)
            && own_indent > indent
        {
            let value = of_section.get_mut(name).expect("it was put there");
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(content);
            continue;
        }
        indent = own_indent;
        // Anything may stand behind the bracket.
        let header = content.strip_prefix('[').and_then(|rest| rest.rsplit_once(']'));
        if let Some((name, _)) = header.filter(|(name, _)| !name.is_empty()) {
            (section, setting) = (Some(name.to_owned()), None);
        } else if let (Some(section), Some((name, value))) =
            (&section, content.split_once(['=', ':']))
        {
            let name = name.trim().trim_start_matches("--").to_ascii_lowercase().replace('_', "-");
            let of_section = all.entry(section.clone()).or_default();
            of_section.insert(name.clone(), value.trim().to_owned());
            setting = Some(name);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_by_section() {
        let text = "# index-url = no\n[global]\nindex-url = https://a/simple\nextra_index_url =\n    https://b/simple\n    https://c/simple\n\
                    [list]\nindex-url: https://d/simple\n";
        let of = |texts: &[&str], name: &str| {
            value_of(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), name)
        };
        assert_eq!(of(&[text], "index-url").as_deref(), Some("https://a/simple"));
        assert_eq!(
            of(&[text], "extra-index-url").as_deref(),
            Some("https://b/simple https://c/simple")
        );
        assert_eq!(
            of(&["[global]\ncert = a b.pem", "[install]\ncert=x\n[global]\nindex-url=y"], "cert")
                .as_deref(),
            Some("x")
        );
        assert_eq!(of(&["[global]\nuser = 1", "[global]\nuser=2"], "user").as_deref(), Some("1"));
        assert_eq!(of(&["", "x", "=", "[", " y\n[global"], "index-url"), None);
        for text in [
            "[global]\n    index-url = x\n    timeout = 3",
            "\t[global] # ours\n\tindex-url=x\n\ttimeout=3",
            "[global] ; ours\n  # a comment\n  index-url:\n\n      x\n  timeout = 3",
        ] {
            assert_eq!(of(&[text], "index-url").as_deref(), Some("x"), "{text}");
            assert_eq!(of(&[text], "timeout").as_deref(), Some("3"), "{text}");
        }
    }

    #[test]
    fn variables_of_what_counts_stay_and_others_do_not() {
        assert!(
            ["PIP_CERT", "PIP_TRUSTED_HOST", "PIP_ONLY_BINARY", "PIP_NO_CACHE_DIR"]
                .iter()
                .all(|name| keeps(name))
        );
        assert!(
            !["PIP_USER", "PIP_TARGET", "PIP_CONSTRAINT", "PIP_NO_DEPS", "PIP_SOMETHING_NEW"]
                .iter()
                .any(|name| keeps(name))
        );
    }
}
