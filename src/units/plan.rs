//! What a workspace says of itself that a rustc call does not: its packages and where they come
//! from, and the project's settings. Written by our commands from `cargo metadata`, read by the
//! wrapper.
//!
//! Every plan in the store counts: path dependencies and registry packages belong to several
//! workspaces. Which packages are judged has no influence on whether judging is right, only on what
//! the store holds; the rest of a plan has, so it is believed only while the settings it was made
//! from are what they were.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::call::Unjudged;
use super::store::{self, Store};
use crate::digest;

/// Version of the format.
const SCHEMA: u32 = 2;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub schema: u32,
    /// The root of the Cargo workspace.
    pub workspace: PathBuf,
    /// `pyproject.toml`, and what it was when this was written.
    pub settings: PathBuf,
    pub settings_digest: String,
    /// What the lock file was.
    pub lock_digest: String,
    /// Manifests of the workspace's members, and the lock file.
    pub manifests: Vec<PathBuf>,
    pub packages: Vec<Package>,
    /// Whether these are all that any features need. Else a library may be made of more.
    pub has_all_features: bool,
    /// Patterns of files that count as inputs of every local crate, relative to the workspace.
    pub inputs: Vec<String>,
    /// What procedural macros read: patterns, or `env:NAME`.
    pub macros: BTreeMap<String, Vec<String>>,
    /// Packages whose build scripts read what they declare, and no more.
    pub trusted_build_scripts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// That of its manifest.
    pub directory: PathBuf,
    pub source: Source,
    /// The name of its library as rustc has it.
    pub library: Option<String>,
    pub is_macro: bool,
    /// It is made otherwise for another Python: the bindings, what configures them, and all that
    /// depends on these.
    pub uses_python: bool,
    /// Packages that its library needs, by their places in the list.
    pub dependencies: Vec<usize>,
}

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A directory that the user can edit.
    Path,
    /// crates.io, with a checksum in `Cargo.lock`, unpacked by cargo.
    CratesIo,
    /// Another registry, a repository, a vendored copy.
    Other,
}

impl Plan {
    /// Makes it known to the wrapper. Equal content is not written again.
    pub fn write(&self, store: &Store) -> io::Result<()> {
        let mut hasher = digest::Hasher::default();
        hasher
            .field(self.workspace.as_os_str().as_encoded_bytes())
            .field(self.settings.as_os_str().as_encoded_bytes());
        let path = store.plans().join(format!("{}.json", &hasher.finish()[..16]));
        let bytes = serde_json::to_vec(&Self { schema: SCHEMA, ..self.clone() })
            .expect("our own plain data always serialises");
        if fs_err::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        store::put(&path, &bytes)
    }

    fn holds(&self) -> bool {
        settings_digest(&self.settings) == self.settings_digest
    }
}

/// The state of a settings file, for [`Plan::settings_digest`].
pub fn settings_digest(path: &Path) -> String {
    digest::file(path).unwrap_or_else(|_error| super::entry::ABSENT.to_owned())
}

/// All plans in a store.
#[derive(Debug, Default)]
pub struct Plans(Vec<Plan>);

impl Plans {
    pub fn load(store: &Store) -> Self {
        let Ok(entries) = fs_err::read_dir(store.plans()) else { return Self::default() };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: &PathBuf| serde_json::from_slice::<Plan>(&store::read_small(path)?).ok();
        // A project that is gone has no settings any more.
        let is_there =
            |plan: &Plan| plan.settings_digest == super::entry::ABSENT || plan.settings.exists();
        Self(
            paths
                .iter()
                .filter_map(read)
                .filter(|plan| plan.schema == SCHEMA && is_there(plan))
                .collect(),
        )
    }

    /// The plans that have a package, by its directory.
    pub fn with<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a Plan> {
        self.0
            .iter()
            .filter(move |plan| plan.packages.iter().any(|package| package.directory == directory))
    }

    /// Those again, if the settings that they come from are what they were.
    pub fn current_with<'a>(&'a self, directory: &'a Path) -> Result<Vec<&'a Plan>, Unjudged> {
        let plans: Vec<&Plan> = self.with(directory).collect();
        match plans.iter().find(|plan| !plan.holds()) {
            Some(plan) => Err(Unjudged::Settings(plan.settings.clone())),
            None => Ok(plans),
        }
    }

    /// Whether a package is made otherwise for another Python.
    pub fn uses_python(&self, directory: &Path) -> bool {
        self.package(directory).any(|package| package.uses_python)
    }

    /// Where a package comes from; `None` if no plan knows it, or they disagree.
    pub fn source(&self, directory: &Path) -> Option<Source> {
        let mut sources = self.package(directory).map(|package| package.source);
        let first = sources.next()?;
        sources.all(|source| source == first).then_some(first)
    }

    fn package<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a Package> {
        self.0
            .iter()
            .flat_map(|plan| &plan.packages)
            .filter(move |package| package.directory == directory)
    }

    /// All packages that a library of this name can be made of, with all that these need. Empty: no
    /// plan knows the name.
    pub fn closure_of_library(&self, name: &str) -> Vec<&Package> {
        let mut found: Vec<&Package> = Vec::new();
        // Of another lock file the dependencies may be others.
        let is_whole = |plan: &&Plan| {
            plan.has_all_features
                && settings_digest(&plan.workspace.join("Cargo.lock")) == plan.lock_digest
        };
        for plan in self.0.iter().filter(is_whole) {
            let mut queue: Vec<usize> = (0..plan.packages.len())
                .filter(|&at| plan.packages[at].library.as_deref() == Some(name))
                .collect();
            let mut seen = queue.clone();
            while let Some(at) = queue.pop() {
                let Some(package) = plan.packages.get(at) else { continue };
                found.push(package);
                for &dependency in &package.dependencies {
                    if !seen.contains(&dependency) {
                        seen.push(dependency);
                        queue.push(dependency);
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::units) fn package(name: &str, source: Source, dependencies: &[usize]) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            directory: PathBuf::from("/src").join(name),
            source,
            library: Some(name.to_owned()),
            is_macro: name.ends_with("_derive"),
            uses_python: false,
            dependencies: dependencies.to_vec(),
        }
    }

    pub(in crate::units) fn plan(packages: Vec<Package>) -> Plan {
        Plan {
            schema: SCHEMA,
            workspace: "/w".into(),
            settings_digest: "absent".into(),
            lock_digest: "absent".into(),
            settings: "/no/such/file".into(),
            packages,
            has_all_features: true,
            ..Plan::default()
        }
    }

    #[test]
    fn plans_are_kept_and_hold_while_their_settings_do() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        let settings = dir.path().join("pyproject.toml");
        fs_err::write(&settings, "a").unwrap();
        let digest = settings_digest(&settings);
        let plan = Plan {
            settings: settings.clone(),
            settings_digest: digest,
            ..plan(vec![package("a", Source::Path, &[1]), package("b", Source::CratesIo, &[])])
        };
        plan.write(&store).unwrap();
        let plans = Plans::load(&store);
        assert_eq!(plans.source(Path::new("/src/b")), Some(Source::CratesIo));
        assert_eq!(plans.source(Path::new("/src/c")), None);
        assert_eq!(
            plans
                .closure_of_library("a")
                .iter()
                .map(|package| package.name.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(plans.current_with(Path::new("/src/a")).unwrap().len(), 1);
        fs_err::write(&settings, "b").unwrap();
        assert_eq!(
            plans.current_with(Path::new("/src/a")).unwrap_err(),
            Unjudged::Settings(settings)
        );
        assert!(plans.current_with(Path::new("/src/c")).unwrap().is_empty());
    }
}
