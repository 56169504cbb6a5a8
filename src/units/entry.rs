//! An entry: everything that one rustc call read, wrote and printed.
//!
//! [`Before`] is what is known before rustc runs; its digest is the entry's key, so several states
//! of one unit live side by side. [`After`] is what only the call itself found out: rustc names its
//! source files, the linker its libraries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ci::Origin;
use crate::digest;

/// Version of the format, and of what counts as an input. Part of the key.
pub const SCHEMA: u32 = 1;

/// What is known before the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub schema: u32,
    /// Digest of the compiler's programs and libraries, the standard library's among them.
    pub compiler: String,
    /// Digest of the linker's driver and of the linkers it may call; where something is linked.
    pub linker: Option<String>,
    /// Without those that decide how messages look.
    pub arguments: Vec<String>,
    /// The working directory.
    pub directory: PathBuf,
    /// Variables that count whether or not the crate looks at them; secret values as digests.
    pub variables: BTreeMap<String, String>,
    /// Content of each `--extern`.
    pub externs: BTreeMap<PathBuf, String>,
    /// `OUT_DIR`, all of it: relative paths, each with what is there.
    pub out_dir: Option<BTreeMap<String, String>>,
    /// Files that are read by name, and those that would be if they were there ([`ABSENT`]).
    pub files: BTreeMap<PathBuf, String>,
}

impl Before {
    pub fn key(&self) -> String {
        digest::json(self)
    }
}

/// The state of a file that is not there.
pub const ABSENT: &str = "absent";
/// The state of something that is there and whose content does not matter.
pub const PRESENT: &str = "present";

/// What the call found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// Files that were read, by digest; or [`ABSENT`], or [`PRESENT`].
    pub files: BTreeMap<PathBuf, String>,
    /// Variables that the crate looked at; `None`: not set. Secret values as digests.
    pub variables: BTreeMap<String, Option<String>>,
    /// Directories of native libraries, by a digest of all libraries in each.
    pub native: BTreeMap<PathBuf, String>,
    /// Directories in which `extern crate` looks, by a digest of the crates in each.
    #[serde(default)]
    pub crates: BTreeMap<PathBuf, String>,
    /// Where the linker looks for libraries, in its order.
    pub search: Vec<PathBuf>,
    /// Libraries that it found, each with the number of directories of `search` that it searched
    /// before without finding it.
    pub found: BTreeMap<String, usize>,
}

/// A file that the call wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub path: PathBuf,
    pub digest: String,
    pub is_executable: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub schema: u32,
    /// The package's name and version.
    pub package: String,
    pub version: String,
    pub before: Before,
    pub after: After,
    pub outputs: Vec<Output>,
    /// The arguments that decide how messages look.
    pub presentation: Vec<String>,
    /// Lines on stderr, in their order, the notices of finished artifacts among them.
    pub messages: Vec<String>,
    pub stdout: String,
    /// How long rustc took.
    pub seconds: f64,
    /// The CI job that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Entry {
    /// Whether there is anything in its messages that looks otherwise under other `presentation`.
    pub fn has_diagnostics(&self) -> bool {
        !self.stdout.is_empty() || self.messages.iter().any(|line| !is_artifact_notice(line))
    }
}

/// Whether a line on stderr tells cargo that a file is finished.
///
/// Source: <https://doc.rust-lang.org/rustc/json.html#artifact-notifications>
pub fn is_artifact_notice(line: &str) -> bool {
    line.starts_with(r#"{"$message_type":"artifact""#) || line.starts_with(r#"{"artifact":"#)
}

/// Why an entry does not serve a call: the first difference that is found, the most telling ones
/// first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// There is no entry at all.
    First,
    Compiler,
    Linker,
    /// The profile, or another argument; what was added and what is gone.
    Arguments {
        old: Vec<String>,
        new: Vec<String>,
    },
    Directory {
        old: PathBuf,
    },
    Variable {
        name: String,
        old: Option<String>,
        new: Option<String>,
    },
    /// A library of another crate.
    Extern {
        path: PathBuf,
    },
    /// A file in `OUT_DIR`: what a build script made.
    Product {
        path: String,
    },
    File {
        path: PathBuf,
    },
    /// A library that the linker would now find elsewhere.
    Library {
        name: String,
        directory: PathBuf,
    },
    /// Messages were kept in a form that this call did not ask for.
    Messages,
    /// What the call wrote is no longer in the store.
    Blob,
}

/// What distinguishes a call from an entry, as far as is known before it.
pub fn compare(old: &Before, new: &Before) -> Option<Difference> {
    if old.compiler != new.compiler || old.schema != new.schema {
        return Some(Difference::Compiler);
    }
    if old.directory != new.directory {
        return Some(Difference::Directory { old: old.directory.clone() });
    }
    if old.arguments != new.arguments {
        let without = |these: &[String], those: &[String]| {
            these.iter().filter(|one| !those.contains(one)).cloned().collect()
        };
        return Some(Difference::Arguments {
            old: without(&old.arguments, &new.arguments),
            new: without(&new.arguments, &old.arguments),
        });
    }
    if let Some(name) = first_difference(&old.variables, &new.variables) {
        let (old, new) = (old.variables.get(&name).cloned(), new.variables.get(&name).cloned());
        return Some(Difference::Variable { name, old, new });
    }
    let nothing = BTreeMap::new();
    let products =
        (old.out_dir.as_ref().unwrap_or(&nothing), new.out_dir.as_ref().unwrap_or(&nothing));
    if let Some(path) = first_difference(products.0, products.1) {
        return Some(Difference::Product { path });
    }
    if let Some(path) = first_difference(&old.files, &new.files) {
        return Some(Difference::File { path });
    }
    if let Some(path) = first_difference(&old.externs, &new.externs) {
        return Some(Difference::Extern { path });
    }
    (old.linker != new.linker).then_some(Difference::Linker)
}

fn first_difference<K: Ord + Clone>(
    old: &BTreeMap<K, String>,
    new: &BTreeMap<K, String>,
) -> Option<K> {
    let changed =
        old.iter().find(|(name, value)| new.get(*name) != Some(*value)).map(|(name, _)| name);
    changed.or_else(|| new.keys().find(|name| !old.contains_key(*name))).cloned()
}

/// The value of a variable as it may be written down: that of a secret one by its digest.
pub fn shown(name: &str, value: &str) -> String {
    let name = name.to_ascii_uppercase();
    let is_secret = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "CREDENTIAL",
        "API_KEY",
        "PRIVATE",
        "DATABASE_URL",
    ]
    .iter()
    .any(|word| name.contains(word));
    let has_credentials = crate::process::mask_credentials(value) != value;
    if is_secret || has_credentials {
        format!("sha256:{}", digest::bytes(value.as_bytes()))
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::units) fn before() -> Before {
        Before {
            schema: SCHEMA,
            compiler: "c".into(),
            linker: Some("l".into()),
            arguments: vec!["--crate-name=a".into(), "-Copt-level=3".into()],
            directory: "/p".into(),
            variables: [("CARGO_PKG_VERSION".to_owned(), "1".to_owned())].into(),
            externs: [(PathBuf::from("/p/libx.rlib"), "1".to_owned())].into(),
            out_dir: Some([("a.rs".to_owned(), "1".to_owned())].into()),
            files: [(PathBuf::from("/clippy.toml"), ABSENT.to_owned())].into(),
        }
    }

    type Change = fn(&mut Before);

    #[test]
    fn every_difference_is_named_and_is_another_key() {
        let old = before();
        assert_eq!(compare(&old, &old), None);
        let cases: [(Change, Difference); 8] = [
            (|new| new.compiler = "d".into(), Difference::Compiler),
            (|new| new.linker = None, Difference::Linker),
            (
                |new| new.arguments[1] = "-Copt-level=0".into(),
                Difference::Arguments {
                    old: vec!["-Copt-level=3".into()],
                    new: vec!["-Copt-level=0".into()],
                },
            ),
            (|new| new.directory = "/q".into(), Difference::Directory { old: "/p".into() }),
            (
                |new| drop(new.variables.insert("X".into(), "2".into())),
                Difference::Variable { name: "X".into(), old: None, new: Some("2".into()) },
            ),
            (
                |new| drop(new.externs.insert("/p/libx.rlib".into(), "2".into())),
                Difference::Extern { path: "/p/libx.rlib".into() },
            ),
            (|new| new.out_dir = None, Difference::Product { path: "a.rs".into() }),
            (
                |new| drop(new.files.insert("/clippy.toml".into(), "1".into())),
                Difference::File { path: "/clippy.toml".into() },
            ),
        ];
        for (change, expected) in cases {
            let mut new = before();
            change(&mut new);
            assert_eq!(compare(&old, &new), Some(expected));
            assert_ne!(old.key(), new.key());
        }
    }

    #[test]
    fn secrets_are_written_down_as_digests() {
        assert_eq!(shown("CARGO_PKG_NAME", "x"), "x");
        assert!(shown("MY_TOKEN", "x").starts_with("sha256:"));
        assert!(shown("INDEX", "https://u:p@h/").starts_with("sha256:"));
        assert_ne!(shown("DATABASE_URL", "a"), shown("DATABASE_URL", "b"));
    }

    #[test]
    fn notices_of_artifacts_are_no_diagnostics() {
        assert!(is_artifact_notice(
            r#"{"$message_type":"artifact","artifact":"/t/libx.rmeta","emit":"metadata"}"#
        ));
        assert!(!is_artifact_notice(r#"{"$message_type":"diagnostic","message":"unused"}"#));
    }
}
