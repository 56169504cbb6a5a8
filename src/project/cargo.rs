//! What cargo knows of a project's Cargo workspace: its packages and what they depend on, and where
//! it is built.
//!
//! [`CargoWorkspace::ask`] asks `cargo metadata`. Asking leaves no trace: a `Cargo.lock` is
//! afterwards what it was before, and where there was none there is none, though cargo writes one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use serde::{Deserialize, Serialize};

use super::{Error, lookup};
use crate::process::Cmd;
use crate::{digest, env_vars, fs};

/// A Cargo workspace, all its packages, and where it is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CargoWorkspace {
    /// The root of the workspace.
    pub root: PathBuf,
    /// Where cargo puts artifacts by itself.
    pub target_directory: PathBuf,
    /// Where it puts what is between sources and artifacts; usually the target directory.
    pub build_directory: PathBuf,
    /// Every package of the resolution, whatever it comes from and for whatever platform it is.
    pub packages: Vec<CargoPackage>,
    /// Whether the resolution is that of all features. It is not where a package that only some
    /// feature needs is not available.
    pub has_all_features: bool,
    /// Digest of the `Cargo.lock` with this resolution; it may differ from the one that is there,
    /// which may lag behind the manifests, or be missing.
    pub lock_digest: Option<String>,
}

/// A package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CargoPackage {
    /// cargo's name for it, unique in the resolution.
    pub id: String,
    pub name: String,
    pub version: String,
    /// The directory of its manifest.
    pub root: PathBuf,
    /// Where it comes from, as cargo writes it: `registry+https://...`; `None` for one that a path names.
    pub source: Option<String>,
    /// A member of the workspace.
    pub is_member: bool,
    /// Its sources may change: a member, a path dependency or a vendored one, not one in cargo's
    /// home.
    pub is_local: bool,
    /// The native library that it says it links.
    pub links: Option<String>,
    /// What its library, or procedural macro, is called in Rust.
    pub library: Option<String>,
    pub is_proc_macro: bool,
    pub has_build_script: bool,
    /// Its features and what each turns on, as the manifest has them.
    pub features: BTreeMap<String, Vec<String>>,
    /// What it depends on, resolved.
    pub dependencies: Vec<CargoDependency>,
}

/// One edge of the resolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CargoDependency {
    /// [`CargoPackage::id`] of what is depended on.
    pub id: String,
    /// As what; sorted.
    pub kinds: BTreeSet<DependencyKind>,
    /// The features that the manifest asks for; not those that others turn on.
    pub features: BTreeSet<String>,
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyKind {
    Normal,
    /// For tests, examples and benchmarks.
    Development,
    /// For the build script.
    Build,
}

impl DependencyKind {
    pub const ALL: &[Self] = &[Self::Normal, Self::Development, Self::Build];
}

/// One question at a time: each looks at `Cargo.lock` before and after.
static ASKING: Mutex<()> = Mutex::new(());

impl CargoWorkspace {
    /// Asks cargo about the workspace of a manifest: without the network if that will do.
    pub fn ask(manifest: &Path) -> Result<Self, Error> {
        let _turn = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = LockFile::look(&workspace_root(manifest).join("Cargo.lock"));
        let mut answer = ask(manifest, &["--all-features", "--locked", "--offline"]);
        // A lock file that is missing or lags behind the manifests, then packages that are not on
        // this machine.
        for options in [&["--all-features", "--offline"][..], &["--all-features"]] {
            answer = answer.or_else(|_| ask(manifest, options));
        }
        let asked = match answer {
            Ok(metadata) => Ok((metadata, true)),
            // What cargo says without all features is what it says in the build.
            Err(_) => ask(manifest, &["--offline"]).map(|metadata| (metadata, false)),
        };
        // Of the lock file that the resolution stands in: cargo will write it again in the build.
        let lock_digest = digest::file(&lock.path).ok();
        lock.restore()?;
        let (metadata, has_all_features) =
            asked.map_err(|message| Error::Cargo { manifest: manifest.to_path_buf(), message })?;
        Ok(Self { has_all_features, lock_digest, ..Self::new(&metadata) })
    }

    /// Of what cargo has answered.
    pub fn new(metadata: &Metadata) -> Self {
        let target_directory = metadata.target_directory.clone().into_std_path_buf();
        // cargo says where it is since 1.91.
        let build_directory = metadata
            .build_directory
            .as_ref()
            .map_or_else(|| target_directory.clone(), |path| path.clone().into_std_path_buf());
        let home = cargo_home();
        let packages = metadata
            .packages
            .iter()
            .map(|package| CargoPackage::new(package, metadata, &home))
            .collect();
        let root = metadata.workspace_root.clone().into_std_path_buf();
        Self { root, target_directory, build_directory, packages, ..Self::default() }
    }

    /// The same with another target directory, which cargo will be told.
    #[must_use]
    pub fn with_target_directory(mut self, target_directory: PathBuf) -> Self {
        if self.build_directory == self.target_directory {
            self.build_directory.clone_from(&target_directory);
        }
        self.target_directory = target_directory;
        self
    }

    /// The packages whose sources may change.
    pub fn local_packages(&self) -> impl Iterator<Item = &CargoPackage> {
        self.packages.iter().filter(|package| package.is_local)
    }

    /// Local packages of a name; several when two of one name are in the workspace.
    pub fn local_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a CargoPackage> {
        self.local_packages().filter(move |package| package.name == name)
    }

    /// All versions of a package.
    pub fn versions_of(&self, name: &str) -> BTreeSet<&str> {
        self.packages
            .iter()
            .filter(|package| package.name == name)
            .map(|package| package.version.as_str())
            .collect()
    }

    /// The package with a manifest in this directory.
    pub fn package_in(&self, directory: &Path) -> Option<&CargoPackage> {
        let real = fs::canonicalize(directory).ok();
        let is_it = |package: &&CargoPackage| {
            package.root == directory
                || real.is_some()
                    && package.is_local
                    && fs::canonicalize(&package.root).ok() == real
        };
        self.packages.iter().find(is_it)
    }

    /// A package and all that it depends on as one of `kinds`, directly or through others.
    pub fn closure<'a>(
        &'a self,
        package: &'a CargoPackage,
        kinds: &[DependencyKind],
    ) -> Vec<&'a CargoPackage> {
        let by_id: BTreeMap<&str, &CargoPackage> =
            self.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let mut seen = BTreeSet::from([package.id.as_str()]);
        let mut found = vec![package];
        let mut next = 0;
        while let Some(package) = found.get(next).copied() {
            next += 1;
            for dependency in package
                .dependencies
                .iter()
                .filter(|one| kinds.iter().any(|kind| one.kinds.contains(kind)))
            {
                if let Some(further) = by_id.get(dependency.id.as_str())
                    && seen.insert(&further.id)
                {
                    found.push(further);
                }
            }
        }
        found
    }

    /// The manifests of the workspace: its own, then those of local packages.
    pub fn manifests(&self) -> Vec<PathBuf> {
        let own = self.root.join("Cargo.toml");
        let mut manifests: Vec<PathBuf> =
            self.local_packages().map(|package| package.root.join("Cargo.toml")).collect();
        manifests.retain(|manifest| *manifest != own);
        manifests.sort();
        manifests.insert(0, own);
        manifests
    }
}

impl CargoPackage {
    fn new(package: &cargo_metadata::Package, metadata: &Metadata, cargo_home: &Path) -> Self {
        let manifest = package.manifest_path.as_std_path();
        let has =
            |kind: &TargetKind| package.targets.iter().any(|target| target.kind.contains(kind));
        let is_proc_macro = has(&TargetKind::ProcMacro);
        let is_library = |kind: &TargetKind| {
            use TargetKind::{CDyLib, DyLib, Lib, ProcMacro, RLib, StaticLib};
            matches!(kind, Lib | RLib | DyLib | CDyLib | StaticLib | ProcMacro)
        };
        let library = package.targets.iter().find(|target| target.kind.iter().any(is_library));
        Self {
            id: package.id.repr.clone(),
            name: package.name.to_string(),
            version: package.version.to_string(),
            root: manifest.parent().unwrap_or(manifest).to_path_buf(),
            source: package.source.as_ref().map(|source| source.repr.clone()),
            is_member: metadata.workspace_members.contains(&package.id),
            is_local: package.source.is_none() || !is_in_cargo_home(manifest, cargo_home),
            links: package.links.clone(),
            library: library.map(|target| target.name.replace('-', "_")),
            is_proc_macro,
            has_build_script: has(&TargetKind::CustomBuild),
            features: package.features.clone().into_iter().collect(),
            dependencies: dependencies(package, metadata),
        }
    }
}

fn dependencies(package: &cargo_metadata::Package, metadata: &Metadata) -> Vec<CargoDependency> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let Some(node) = nodes.into_iter().find(|node| node.id == package.id) else {
        return Vec::new();
    };
    let name_of = |id: &cargo_metadata::PackageId| {
        metadata.packages.iter().find(|one| one.id == *id).map(|one| one.name.as_str())
    };
    let of_edge = |edge: &cargo_metadata::NodeDep| {
        let name = name_of(&edge.pkg);
        let asked =
            package.dependencies.iter().filter(|declared| name == Some(declared.name.as_str()));
        CargoDependency {
            id: edge.pkg.repr.clone(),
            kinds: edge.dep_kinds.iter().map(|kind| kind_of(kind.kind)).collect(),
            features: asked.flat_map(|declared| declared.features.iter().cloned()).collect(),
        }
    };
    node.deps.iter().map(of_edge).collect()
}

fn kind_of(kind: cargo_metadata::DependencyKind) -> DependencyKind {
    match kind {
        cargo_metadata::DependencyKind::Build => DependencyKind::Build,
        cargo_metadata::DependencyKind::Development => DependencyKind::Development,
        _ => DependencyKind::Normal,
    }
}

/// Variables that name the target directory, the first one that is set.
pub(crate) const TARGET_VARIABLES: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// `CARGO_HOME`, or `.cargo` in the home directory.
pub(crate) fn cargo_home() -> PathBuf {
    let home = || Some(env_vars::home()?.join(".cargo"));
    env_vars::get_os("CARGO_HOME").map(PathBuf::from).or_else(home).unwrap_or_default()
}

/// Whether cargo takes a path for immutable, and does not look at its date.
///
/// Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/mod.rs#L2084>
pub(crate) fn is_in_cargo_home(path: &Path, cargo_home: &Path) -> bool {
    path.starts_with(cargo_home.join("registry")) || path.starts_with(cargo_home.join("git"))
}

/// Runs `cargo metadata` for a manifest; the error is what cargo said.
pub(crate) fn ask(manifest: &Path, options: &[&str]) -> Result<Metadata, String> {
    let cargo = env_vars::get_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = Cmd::new(cargo)
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .args(options)
        // Where the backend will run it, so that the same `.cargo/config.toml` and toolchain file
        // apply.
        .cwd(manifest.parent().unwrap_or(manifest));
    let output = command.output_unchecked(None).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    })?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = std::str::from_utf8(&output.stdout).map_err(|error| error.to_string())?;
    // A cargo that is a script may say something before.
    let json = text.lines().find(|line| line.starts_with('{')).unwrap_or(text);
    MetadataCommand::parse(json).map_err(|error| error.to_string())
}

/// A `Cargo.lock` as it was.
struct LockFile {
    path: PathBuf,
    /// `None`: it was not there.
    content: Option<Vec<u8>>,
}

impl LockFile {
    fn look(path: &Path) -> Self {
        Self { path: path.to_path_buf(), content: fs_err::read(path).ok() }
    }

    /// Makes it what it was, if it is not.
    fn restore(self) -> Result<(), Error> {
        let now = fs_err::read(&self.path).ok();
        let restored = match self.content {
            content if content == now => Ok(()),
            Some(content) => fs::write_atomic(&self.path, &content),
            None => fs_err::remove_file(&self.path),
        };
        restored.map_err(|source| Error::Write { path: self.path, source })
    }
}

/// The root of the workspace that a manifest belongs to; its own directory when it belongs to none.
pub(super) fn workspace_root(manifest: &Path) -> PathBuf {
    let own = manifest.parent().unwrap_or(manifest);
    let read = |path: &Path| fs_err::read_to_string(path).ok()?.parse::<toml::Table>().ok();
    let declared = read(manifest)
        .as_ref()
        .and_then(|table| lookup(table, &["package", "workspace"]))
        .and_then(toml::Value::as_str)
        .and_then(|path| fs::absolute(&own.join(path)).ok());
    if let Some(root) = declared {
        return root;
    }
    for directory in own.ancestors() {
        let Some(table) = read(&directory.join("Cargo.toml")) else { continue };
        let Some(workspace) = table.get("workspace") else { continue };
        let excluded =
            workspace.get("exclude").and_then(toml::Value::as_array).into_iter().flatten();
        if directory == own
            || !excluded
                .filter_map(toml::Value::as_str)
                .any(|path| own.starts_with(directory.join(path)))
        {
            return directory.to_path_buf();
        }
    }
    own.to_path_buf()
}

#[cfg(test)]
mod tests;
