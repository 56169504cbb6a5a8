//! The environment fingerprint: SHA-256 over canonical JSON of (schema, interpreter identity, every
//! installed distribution as name, version, artifact).
//!
//! It is known after resolving and before installing, does not depend on the installer, and names
//! the environment's directory: a different content has a different path. Bump [`SCHEMA`] whenever
//! the parts or the way an environment is made from them change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest;
use crate::interpreter::Identity;

/// Version of the parts below, and of how environments are laid out.
pub(crate) const SCHEMA: u32 = 1;

/// One thing to install.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// Normalised as PEP 503 says.
    pub name: String,
    /// Unknown for a local directory whose backend decides it.
    pub version: Option<String>,
    pub artifact: Artifact,
}

/// Where a distribution comes from, and what fixes its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Artifact {
    /// A wheel or sdist from an index. `sha256` is missing only when the index gives no hash.
    Index { filename: String, sha256: Option<String> },
    /// A wheel or sdist named by its URL.
    Archive { url: String, sha256: String },
    /// A checkout of a repository.
    Vcs { url: String, commit: String, subdirectory: Option<String> },
    /// A local directory, by its content.
    Directory { path: String, content: String },
}

impl Artifact {
    /// What stands for the content in the fingerprint. Locations are left out where a hash fixes
    /// the content: a mirror is as good as the index.
    fn identity(&self) -> String {
        match self {
            Self::Index { sha256: Some(sha256), .. } | Self::Archive { sha256, .. } => {
                format!("sha256:{sha256}")
            }
            Self::Index { filename, sha256: None } => format!("file:{filename}"),
            Self::Vcs { commit, subdirectory, .. } => {
                format!("commit:{commit}:{}", subdirectory.as_deref().unwrap_or_default())
            }
            Self::Directory { content, .. } => format!("tree:{content}"),
        }
    }
}

/// A digest, its short form and the parts it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFingerprint {
    hex: String,
    abi: String,
}

impl EnvFingerprint {
    pub(crate) fn new(identity: &Identity, distributions: &[Distribution]) -> Self {
        Self { hex: digest::json(&parts(identity, distributions)), abi: identity.abi() }
    }

    /// 64 hexadecimal digits.
    pub(crate) fn hex(&self) -> &str {
        &self.hex
    }

    /// The environment's directory name: `cp312-1a2b3c4d5e6f`.
    pub(crate) fn directory_name(&self) -> String {
        format!("{}-{}", self.abi, &self.hex[..12])
    }
}

/// The parts of a fingerprint, each under a name of its own, sorted: `schema`,
/// `interpreter.<field>`, `distribution.<name>`. The digest is over the JSON of exactly this map.
pub(crate) fn parts(
    identity: &Identity,
    distributions: &[Distribution],
) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::from([("schema".to_owned(), SCHEMA.to_string())]);
    let serde_json::Value::Object(fields) = serde_json::to_value(identity).expect("plain data")
    else {
        unreachable!("a struct serialises to an object")
    };
    for (name, value) in fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        parts.insert(format!("interpreter.{name}"), text);
    }
    for distribution in distributions {
        // Not every installer says the version of a local directory, and its content decides
        // anyway.
        let version = match distribution.artifact {
            Artifact::Directory { .. } => "?",
            _ => distribution.version.as_deref().unwrap_or("?"),
        };
        parts.insert(
            format!("distribution.{}", distribution.name),
            format!("{version} {}", distribution.artifact.identity()),
        );
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::identity_tests::cpython;

    fn wheel(name: &str, version: &str, sha256: &str) -> Distribution {
        Distribution {
            name: name.into(),
            version: Some(version.into()),
            artifact: Artifact::Index {
                filename: format!("{name}-{version}.whl"),
                sha256: Some(sha256.into()),
            },
        }
    }

    #[test]
    fn stays_what_it_was_when_formats_move() {
        // A change here makes every user's next build a cold one: bump SCHEMA and mean it.
        let fingerprint =
            EnvFingerprint::new(&cpython("3.12.1"), &[wheel("maturin", "1.9.0", "00")]);
        assert_eq!(fingerprint.directory_name(), format!("cp312-{}", &fingerprint.hex()[..12]));
        insta::assert_snapshot!(fingerprint.hex(), @"5bbf6a1132af2907e410a2c3156ec6dc6d8ef0bf21d7f8afc160dba7c21eeb89");
    }

    #[test]
    fn depends_on_content_and_interpreter_but_not_on_order_or_location() {
        let (one, two) = (wheel("a", "1", "aa"), wheel("b", "1", "bb"));
        let identity = cpython("3.12.1");
        let of = |distributions: &[Distribution]| EnvFingerprint::new(&identity, distributions);
        assert_eq!(of(&[one.clone(), two.clone()]), of(&[two.clone(), one.clone()]));
        assert_ne!(of(&[one.clone(), two.clone()]), of(std::slice::from_ref(&one)));
        assert_ne!(of(std::slice::from_ref(&one)), of(&[wheel("a", "1", "ab")]));
        assert_ne!(
            of(std::slice::from_ref(&one)),
            EnvFingerprint::new(&cpython("3.12.2"), std::slice::from_ref(&one))
        );
        let archive = Distribution {
            artifact: Artifact::Archive { url: "https://m/a".into(), sha256: "aa".into() },
            ..one.clone()
        };
        assert_eq!(of(&[one]), of(&[archive]));
    }
}
