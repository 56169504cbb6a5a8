//! `pylock.toml` files (PEP 751): what uv answers when asked to resolve, and the project's own
//! `pylock.build.toml`.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/pylock-toml/>

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, MarkerTree};
use serde::{Deserialize, Serialize};

/// The name that `lock` writes and `--locked` reads.
pub(crate) const FILE_NAME: &str = "pylock.build.toml";

/// A lock file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pylock {
    pub lock_version: String,
    /// Markers of the environments it is for; empty means all that `requires-python` allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    #[serde(default)]
    pub created_by: String,
    #[serde(default)]
    pub packages: Vec<Package>,
}

/// One `[[packages]]`: exactly one of `vcs`, `directory`, `archive`, or `sdist` and `wheels`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Package {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcs: Option<Vcs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdist: Option<File>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wheels: Vec<File>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Vcs {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub commit_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdirectory: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Directory {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdirectory: Option<String>,
}

/// A wheel, sdist or other archive.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
}

impl File {
    /// The file's name, given or taken from where it is.
    pub(crate) fn file_name(&self) -> String {
        let from_url = || {
            let url = self.url.as_deref()?;
            let path = url.split(['#', '?']).next().unwrap_or(url);
            path.rsplit('/').next().map(str::to_owned)
        };
        let from_path = || Some(self.path.as_deref()?.rsplit(['/', '\\']).next()?.to_owned());
        self.name.clone().or_else(from_url).or_else(from_path).unwrap_or_default()
    }
}

impl Package {
    /// All hashes under which one of its files may be installed.
    pub(crate) fn sha256(&self) -> Vec<&str> {
        let files = self.sdist.iter().chain(&self.wheels).chain(&self.archive);
        files.filter_map(|file| file.hashes.get("sha256").map(String::as_str)).collect()
    }
}

impl Pylock {
    /// Parses a lock file; the error is one line or a few.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lock: Self =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        // PEP 751: tools must refuse a major version that they do not know.
        if lock.lock_version.split('.').next() != Some("1") {
            return Err(format!(
                "lock-version {} is newer than the supported 1.0",
                lock.lock_version
            ));
        }
        Ok(lock)
    }

    /// The packages that apply to an interpreter, or why the file is not for it.
    pub(crate) fn for_interpreter(
        &self,
        markers: &MarkerEnvironment,
    ) -> Result<Vec<&Package>, String> {
        let python = &markers.python_full_version().version;
        let allows = |specifiers: &Option<String>| {
            specifiers.as_deref().map_or(Ok(true), |text| matches_python(text, python))
        };
        if !allows(&self.requires_python)? {
            return Err(format!(
                "it is for Python {}, not {python}",
                self.requires_python.as_deref().unwrap_or_default()
            ));
        }
        let matches = |marker: &str| marker_matches(marker, markers);
        if !self.environments.is_empty() {
            let any = self
                .environments
                .iter()
                .map(|marker| matches(marker))
                .collect::<Result<Vec<_>, _>>()?
                .contains(&true);
            if !any {
                return Err("it was made for a different kind of environment".to_owned());
            }
        }
        let mut packages = Vec::new();
        for package in &self.packages {
            let applies = package.marker.as_deref().map_or(Ok(true), matches)?;
            if applies {
                if !allows(&package.requires_python)? {
                    return Err(format!(
                        "its package `{}` is not for Python {python}",
                        package.name
                    ));
                }
                packages.push(package);
            }
        }
        Ok(packages)
    }

    /// As it is written to disk.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("our own plain data always serialises")
    }
}

fn matches_python(specifiers: &str, python: &Version) -> Result<bool, String> {
    let parsed = VersionSpecifiers::from_str(specifiers)
        .map_err(|error| format!("`{specifiers}` is not a version specifier: {error}"))?;
    Ok(parsed.contains(python))
}

fn marker_matches(marker: &str, environment: &MarkerEnvironment) -> Result<bool, String> {
    // See `project::parse_requirement`.
    if !marker.is_ascii() {
        return Err(format!("`{marker}` is not a marker"));
    }
    let tree = MarkerTree::from_str(marker).map_err(|error| {
        format!(
            "`{marker}` is not a marker: {}",
            error.to_string().lines().next().unwrap_or_default()
        )
    })?;
    Ok(tree.evaluate(environment, &[]))
}

/// Makes a path of a lock file absolute; they are relative to the file.
pub(crate) fn resolve_path(path: &str, lock_directory: &Path) -> String {
    crate::fs::absolute(&lock_directory.join(path))
        .map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const LOCK: &str = r#"
lock-version = "1.0"
created-by = "uv"
requires-python = ">=3.8"

[[packages]]
name = "maturin"
version = "1.9.0"
sdist = { url = "https://h/maturin-1.9.0.tar.gz", hashes = { sha256 = "aa" } }
wheels = [{ url = "https://h/maturin-1.9.0-py3-none-any.whl#x", hashes = { sha256 = "bb" } }]

[[packages]]
name = "tomli"
version = "2.0.0"
marker = "python_full_version < '3.11'"
wheels = [{ name = "tomli.whl", url = "https://h/x", hashes = { sha256 = "cc" } }]
"#;

    pub(crate) fn markers(version: &str) -> MarkerEnvironment {
        MarkerEnvironment::try_from(pep508_rs::MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: version,
            os_name: "posix",
            platform_machine: "x86_64",
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: version,
            python_version: "3.12",
            sys_platform: "linux",
        })
        .unwrap()
    }

    #[test]
    fn picks_the_packages_for_an_interpreter() {
        let lock = Pylock::parse(LOCK).unwrap();
        let names = |version: &str| -> Vec<String> {
            lock.for_interpreter(&markers(version))
                .unwrap()
                .iter()
                .map(|package| package.name.clone())
                .collect()
        };
        assert_eq!(names("3.12.1"), ["maturin"]);
        assert_eq!(names("3.9.1"), ["maturin", "tomli"]);
        assert_eq!(
            lock.for_interpreter(&markers("3.7.1")).unwrap_err(),
            "it is for Python >=3.8, not 3.7.1"
        );
        assert_eq!(lock.packages[0].wheels[0].file_name(), "maturin-1.9.0-py3-none-any.whl");
        assert_eq!(lock.packages[1].wheels[0].file_name(), "tomli.whl");
        assert_eq!(lock.packages[0].sha256(), ["aa", "bb"]);
    }

    #[test]
    fn survives_a_round_trip_and_refuses_the_future() {
        let lock = Pylock::parse(LOCK).unwrap();
        let again = Pylock::parse(&lock.to_toml()).unwrap();
        assert_eq!(lock.to_toml(), again.to_toml());
        assert!(Pylock::parse("lock-version = '2.0'").unwrap_err().contains("newer"));
        assert!(Pylock::parse("nonsense").is_err());
    }
}
