//! Procedural macros: which ones are known to read nothing but their tokens, and what the user
//! declares about others.
//!
//! A procedural macro is a program that runs inside rustc and may read files, variables, git or the
//! clock, and rustc does not know of it. `pure-macros.toml` lists those whose source was read and
//! found to be pure. A name is no proof: a patched or path crate may have it. So a macro is
//! believed only if it, and all that it is made of, was unpacked by cargo from crates.io, with a
//! checksum in `Cargo.lock`, and its version is one that was read.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use cargo_metadata::semver::{Version, VersionReq};
use serde::Deserialize;

use super::call::Unjudged;
use super::plan::{Plan, Plans, Source};
use crate::env_vars;

/// A procedural macro that may run in a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Macro {
    pub package: String,
    pub version: String,
    /// That of its manifest.
    pub directory: PathBuf,
    /// The packages whose code runs in it: directories and names.
    pub made_of: BTreeSet<(PathBuf, String)>,
}

/// Whether a macro of this name and version is on the list of pure ones. Not enough to believe it:
/// see [`reads`].
pub fn is_listed(name: &str, version: &str) -> bool {
    Version::parse(version).is_ok_and(|version| {
        list().pure.iter().any(|pure| pure.name == name && pure.versions.matches(&version))
    })
}

/// What macros of a call read beyond their tokens: patterns of files relative to the workspace, or
/// `env:NAME`.
pub type Reads = Vec<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(rename = "macro")]
    pure: Vec<Pure>,
    impure: Vec<Impure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pure {
    name: String,
    versions: VersionReq,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list"))]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Impure {
    name: String,
    /// Of which it is said; all, where there are none.
    versions: Option<VersionReq>,
    reads: String,
    /// What the user may declare, so that it counts as pure.
    #[serde(default)]
    declare: Vec<String>,
    /// Variables without which it is pure.
    #[serde(default)]
    pure_while_unset: Vec<String>,
    /// It expands `env!` in its tokens, and is pure where no source has any.
    #[serde(default)]
    pure_without_env: bool,
}

impl Impure {
    fn is_of(&self, name: &str, version: &Version) -> bool {
        self.name == name && self.versions.as_ref().is_none_or(|versions| versions.matches(version))
    }

    fn is_pure_here(&self, names_variables: bool) -> bool {
        let is_unset = |name: &String| env_vars::raw(name).is_none();
        (!self.pure_while_unset.is_empty() && self.pure_while_unset.iter().all(is_unset))
            || (self.pure_without_env && !names_variables)
    }
}

fn list() -> &'static List {
    static LIST: OnceLock<List> = OnceLock::new();
    LIST.get_or_init(|| toml::from_str(include_str!("pure-macros.toml")).expect("a test reads it"))
}

/// What the macros of a call read, as far as the user has said; an error names one of which that is
/// not known. `names_variables` says whether any crate that the call is made of does: see
/// [`super::traits`]. Whether the crate itself does, its call will show ([`demand_no_variables`]).
pub fn reads<'a>(
    macros: impl IntoIterator<Item = &'a Macro>,
    settings: &[&Plan],
    plans: &Plans,
    names_variables: bool,
) -> Result<Reads, Unjudged> {
    let mut reads = Reads::new();
    for one in macros {
        let declared: Vec<&Vec<String>> =
            settings.iter().filter_map(|plan| plan.macros.get(&one.package)).collect();
        if declared.is_empty() {
            check(one, plans, names_variables)?;
        }
        reads.extend(declared.into_iter().flatten().map(|one| one.trim().to_owned()));
    }
    reads.sort();
    reads.dedup();
    Ok(reads)
}

/// Whether a macro is known to be pure.
fn check(one: &Macro, plans: &Plans, names_variables: bool) -> Result<(), Unjudged> {
    let unknown = |reads: &str| {
        Err(Unjudged::Macro {
            name: one.package.clone(),
            reads: Some(reads.to_owned()).filter(|reads| !reads.is_empty()),
        })
    };
    if plans.source(&one.directory) != Some(Source::CratesIo) {
        return unknown("unknown inputs, because it is not from crates.io");
    }
    let Ok(version) = Version::parse(&one.version) else { return unknown("") };
    let impure = list().impure.iter().find(|impure| impure.is_of(&one.package, &version));
    if !is_listed(&one.package, &one.version)
        && !impure.is_some_and(|impure| impure.is_pure_here(names_variables))
    {
        return unknown(impure.map_or("", |impure| &impure.reads));
    }
    if let Some((_, name)) =
        one.made_of.iter().find(|(directory, _)| plans.source(directory) != Some(Source::CratesIo))
    {
        return unknown(&format!(
            "unknown inputs, because its dependency `{name}` is not from crates.io"
        ));
    }
    // It looks up manifests while the macro runs.
    if one
        .made_of
        .iter()
        .any(|(_, name)| matches!(name.as_str(), "proc-macro-crate" | "find-crate"))
    {
        return unknown("the package's manifest");
    }
    Ok(())
}

/// Whether any of these macros is pure only where no source names a variable.
pub fn demand_no_variables<'a>(
    macros: impl IntoIterator<Item = &'a Macro>,
    settings: &[&Plan],
) -> bool {
    let is_undeclared =
        |one: &&Macro| !settings.iter().any(|plan| plan.macros.contains_key(&one.package));
    macros.into_iter().filter(is_undeclared).any(|one| {
        let version = Version::parse(&one.version);
        let impure = version.is_ok_and(|version| {
            list()
                .impure
                .iter()
                .any(|impure| impure.is_of(&one.package, &version) && impure.pure_without_env)
        });
        impure && !is_listed(&one.package, &one.version)
    })
}

/// What to write into `[tool.pyenv-build.macros]` for a macro that is not known to be pure.
pub fn declaration(name: &str) -> String {
    let declare = list()
        .impure
        .iter()
        .find(|impure| impure.name == name)
        .map(|impure| impure.declare.as_slice())
        .unwrap_or_default();
    format!("{name} = {declare:?}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::super::plan::tests::{package, plan};
    use super::super::store::Store;
    use super::*;

    fn one(name: &str, version: &str, made_of: &[&str]) -> Macro {
        let made_of: BTreeSet<(PathBuf, String)> = made_of
            .iter()
            .map(|name| (PathBuf::from("/src").join(name), (*name).to_owned()))
            .collect();
        Macro {
            package: name.to_owned(),
            version: version.to_owned(),
            directory: PathBuf::from("/src").join(name),
            made_of,
        }
    }

    #[test]
    fn the_list_is_sound() {
        let list = list();
        for pair in list.pure.windows(2) {
            assert!(pair[0].name <= pair[1].name, "{} is out of order", pair[1].name);
        }
        for pure in &list.pure {
            assert!(
                !pure.reason.is_empty() && pure.versions.to_string().contains('<'),
                "{} needs a reason and an upper bound",
                pure.name
            );
            let other = list.impure.iter().find(|impure| impure.name == pure.name);
            assert!(
                other.is_none_or(|impure| impure.versions.is_some()),
                "{} is in both lists",
                pure.name
            );
        }
        assert!(list.pure.iter().any(|pure| pure.name == "pyo3-macros"));
    }

    #[test]
    fn a_name_alone_is_no_proof() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let packages = vec![
            package("serde_derive", Source::CratesIo, &[]),
            package("syn", Source::CratesIo, &[]),
            package("thiserror-impl", Source::Path, &[]),
            package("patched", Source::Path, &[]),
            package("proc-macro-crate", Source::CratesIo, &[]),
            package("sqlx-macros", Source::CratesIo, &[]),
            package("unheard-of", Source::CratesIo, &[]),
            package("strum_macros", Source::CratesIo, &[]),
            package("paste", Source::CratesIo, &[]),
        ];
        plan(packages).write(&store).unwrap();
        let plans = Plans::load(&store);
        let verdict = |one: Macro| reads([&one], &[], &plans, true);
        assert_eq!(verdict(one("serde_derive", "1.0.228", &["syn"])), Ok(vec![]));
        assert_eq!(
            verdict(one("strum_macros", "0.27.2", &["syn"])),
            Ok(vec![]),
            "its variable is not set"
        );
        let paste = one("paste", "1.0.15", &[]);
        assert_eq!(reads([&paste], &[], &plans, false), Ok(vec![]), "no source names a variable");
        for refused in [
            paste,
            one("serde_derive", "99.0.0", &[]),
            one("serde_derive", "1.0.228", &["patched"]),
            one("serde_derive", "1.0.228", &["proc-macro-crate"]),
            one("thiserror-impl", "2.0.0", &[]),
            one("unheard-of", "1.0.0", &[]),
            one("not-in-any-plan", "1.0.0", &[]),
        ] {
            assert!(
                matches!(verdict(refused.clone()), Err(Unjudged::Macro { name, .. }) if name == refused.package),
                "{refused:?}"
            );
        }
        let declares = Plan {
            macros: [("sqlx-macros".to_owned(), vec!["env:DATABASE_URL".to_owned()])].into(),
            ..Plan::default()
        };
        assert_eq!(
            reads([&one("sqlx-macros", "0.8.0", &[])], &[&declares], &plans, true),
            Ok(vec!["env:DATABASE_URL".to_owned()])
        );
    }
}
