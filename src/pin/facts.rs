//! Learning what the pins are decided from: the backend's version from the build environment, bindings and features from
//! cargo.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, PackageId, TargetKind};
use pep508_rs::pep440_rs::Version;
use serde::{Deserialize, Serialize};

use super::{ABI3T_SINCE, BackendVersion, Bindings, Facts, StableAbi, StableAbiKind};
use crate::build_env::BuildEnv;
use crate::build_env::fingerprint::Distribution;
use crate::interpreter::{Identity, Interpreter};
use crate::process::Cmd;
use crate::project::{self, Backend, Project};
use crate::{env_vars, fs};

/// Variables that a user may have set, and that decide together with ours.
const WATCHED: &[&str] = &[
    "PYO3_PYTHON",
    "PYTHON_SYS_EXECUTABLE",
    "PYO3_ENVIRONMENT_SIGNATURE",
    "PYO3_BUILD_EXTENSION_MODULE",
    "PYO3_CONFIG_FILE",
    "PYO3_NO_PYTHON",
];

/// What can be known without asking cargo.
pub fn without_cargo(project: &Project, interpreter: &Interpreter, env: &BuildEnv) -> Facts {
    Facts {
        python: env.python.clone(),
        identity: interpreter.identity.clone(),
        backend: backend_version(project, &env.distributions),
        bindings: Bindings::Unknown,
        stable_abi_file: None,
        user: WATCHED.iter().filter_map(|name| Some(((*name).to_owned(), env_vars::get(name)?))).collect(),
    }
}

/// The facts that cargo and rustc know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CargoFacts {
    pub(super) bindings: Bindings,
    stable_abi_file: Option<(PathBuf, String)>,
    /// Something in the workspace starts an interpreter: PyO3's feature `auto-initialize` is on, be it for tests only.
    pub embeds: bool,
    /// Manifests turn PyO3's feature `extension-module` on, for whatever is compiled: nothing is linked with libpython then.
    pub is_never_linked: bool,
}

/// Asks cargo. It takes as long as a `cargo metadata` does and needs no build environment: a caller can have it while that
/// is made.
pub fn ask_cargo(project: &Project, identity: &Identity) -> Result<CargoFacts, project::Error> {
    let Some(metadata) = project.workspace.metadata(&maturin_features(project, identity))? else {
        return Ok(CargoFacts { bindings: Bindings::WithoutInterpreter, stable_abi_file: None, embeds: false, is_never_linked: false });
    };
    let bindings = bindings(project, &metadata);
    let is_maturin = project.build_system.backend() == Backend::Maturin;
    let stable_abi_file = match bindings {
        Bindings::Pyo3Library { ref stable_abis, .. } if is_maturin && !stable_abis.is_empty() => {
            let target_dir = metadata.target_directory.as_std_path();
            let real = fs::canonicalize(target_dir).unwrap_or_else(|_| target_dir.to_path_buf());
            target_triple().map(|triple| (real, triple))
        }
        _ => None,
    };
    // cargo unites the features of all that may be built, dev-dependencies included.
    let is_pyo3 = |id: &PackageId| metadata.packages.iter().any(|package| package.id == *id && package.name.as_str() == "pyo3");
    let mut initializing = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .filter(|node| node.features.iter().any(|feature| **feature == "auto-initialize"));
    let embeds = initializing.any(|node| is_pyo3(&node.id));
    Ok(CargoFacts { bindings, stable_abi_file, embeds, is_never_linked: is_never_linked(&metadata) })
}

/// Whether a member of the workspace asks for PyO3's `extension-module`, itself or by its default features.
fn is_never_linked(metadata: &Metadata) -> bool {
    const FEATURE: &str = "extension-module";
    metadata.workspace_packages().iter().any(|package| {
        let features_of = |name: &str| package.features.get(name).into_iter().flatten();
        let leads_there = |feature: &String| {
            feature.starts_with("pyo3") && feature.ends_with(FEATURE)
                || features_of(feature).any(|inner| inner.starts_with("pyo3") && inner.ends_with(FEATURE))
        };
        let is_asked = |dependency: &cargo_metadata::Dependency| {
            dependency.name == "pyo3" && dependency.features.iter().any(|feature| feature == FEATURE)
        };
        package.dependencies.iter().any(is_asked) || features_of("default").any(leads_there)
    })
}

/// All facts.
pub fn learn(project: &Project, interpreter: &Interpreter, env: &BuildEnv, cargo: CargoFacts) -> Facts {
    let CargoFacts { bindings, stable_abi_file, .. } = cargo;
    Facts { bindings, stable_abi_file, ..without_cargo(project, interpreter, env) }
}

fn version_of(name: &str, distributions: &[Distribution]) -> Option<Version> {
    distributions.iter().find(|distribution| distribution.name == name)?.version.as_deref()?.parse().ok()
}

fn backend_version(project: &Project, distributions: &[Distribution]) -> BackendVersion {
    match (project.build_system.backend(), version_of("maturin", distributions)) {
        (Backend::Maturin, Some(version)) => BackendVersion::Maturin(version),
        _ if version_of("setuptools-rust", distributions).is_some() => BackendVersion::SetuptoolsRust,
        _ => BackendVersion::Other,
    }
}

/// `[tool.maturin] features`, those for this interpreter only.
///
/// Source: <https://github.com/PyO3/maturin/blob/479658ad9bce22c6e4955b2e47182111c166e37c/src/bridge/detection.rs#L151-L176>
fn maturin_features(project: &Project, identity: &Identity) -> Vec<String> {
    let list = project.table(&["tool", "maturin"]).and_then(|table| table.get("features")).and_then(toml::Value::as_array);
    let applies = |item: &toml::Value| match item.get("python-version").and_then(toml::Value::as_str) {
        None => true,
        Some(specifiers) => specifiers
            .parse::<pep508_rs::pep440_rs::VersionSpecifiers>()
            .ok()
            .zip(identity.version.parse::<Version>().ok())
            .is_some_and(|(specifiers, version)| specifiers.contains(&version)),
    };
    list.into_iter()
        .flatten()
        .filter_map(|item| match item {
            toml::Value::String(feature) => Some(feature.clone()),
            table => table.get("feature").and_then(toml::Value::as_str).filter(|_| applies(table)).map(str::to_owned),
        })
        .collect()
}

fn bindings(project: &Project, metadata: &Metadata) -> Bindings {
    let manifest = project.workspace.manifests.first().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
    let is_root = |path: &Path| manifest.as_deref().is_some_and(|manifest| path == manifest);
    let root = metadata.packages.iter().find(|package| {
        let path = package.manifest_path.as_std_path();
        is_root(path) || fs::canonicalize(path).is_ok_and(|path| is_root(&path))
    });
    let Some((root, resolve)) = root.zip(metadata.resolve.as_ref()) else { return Bindings::Unknown };
    let explicit = project.table(&["tool", "maturin"]).and_then(|table| table.get("bindings")).and_then(toml::Value::as_str);
    if matches!(explicit, Some("cffi" | "uniffi" | "bin")) {
        return Bindings::WithoutInterpreter;
    }
    let nodes: HashMap<&PackageId, &cargo_metadata::Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen: HashSet<&PackageId> = HashSet::from([&root.id]);
    let mut queue = vec![&root.id];
    while let Some(node) = queue.pop().and_then(|id| nodes.get(id)) {
        for dependency in &node.deps {
            let is_normal = dependency.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal);
            if is_normal && seen.insert(&dependency.pkg) {
                queue.push(&dependency.pkg);
            }
        }
    }
    let reachable = |name: &str| metadata.packages.iter().find(|package| package.name.as_str() == name && seen.contains(&package.id));
    let Some(pyo3) = reachable("pyo3-ffi").or_else(|| reachable("pyo3")) else { return Bindings::WithoutInterpreter };
    let Ok(version) = pyo3.version.to_string().parse::<Version>() else { return Bindings::Unknown };
    let has = |kind: TargetKind| root.targets.iter().any(|target| target.kind.contains(&kind));
    if has(TargetKind::Bin) && !has(TargetKind::CDyLib) {
        return Bindings::Pyo3Program { pyo3: version };
    }
    let features: Vec<&str> = ["pyo3-ffi", "pyo3"]
        .iter()
        .filter_map(|name| nodes.get(&reachable(name)?.id))
        .flat_map(|node| node.features.iter().map(|feature| feature.as_str()))
        .collect();
    Bindings::Pyo3Library { pyo3: version, stable_abis: stable_abis(&features) }
}

/// The stable ABIs that PyO3's features ask for, in maturin's order.
///
/// Source: <https://github.com/PyO3/maturin/blob/9ad2a8c029931ec9ed62da51217d68c3e9233260/src/bridge/detection.rs#L228-L252>
fn stable_abis(features: &[&str]) -> Vec<StableAbi> {
    let asked_for = |(kind, name): (StableAbiKind, &str)| {
        let versions = features.iter().filter_map(|feature| {
            let digits = feature.strip_prefix(name)?.strip_prefix("-py")?;
            Some((digits.get(..1)?.parse().ok()?, digits.get(1..)?.parse().ok()?))
        });
        let minimum =
            versions.min().map(|version: (u32, u32)| if kind == StableAbiKind::Abi3t { version.max(ABI3T_SINCE) } else { version });
        (minimum.is_some() || features.contains(&name)).then_some(StableAbi { kind, minimum })
    };
    [(StableAbiKind::Abi3t, "abi3t"), (StableAbiKind::Abi3, "abi3")].into_iter().filter_map(asked_for).collect()
}

/// What cargo builds for: `CARGO_BUILD_TARGET`, else rustc's host.
fn target_triple() -> Option<String> {
    if let Some(triple) = env_vars::get("CARGO_BUILD_TARGET") {
        return Some(triple);
    }
    let rustc = env_vars::get_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Cmd::new(rustc).arg("-vV").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_version_asked_for_decides() {
        let abi = |kind, minimum| StableAbi { kind, minimum };
        let abi3 = |minimum| vec![abi(StableAbiKind::Abi3, minimum)];
        assert_eq!(stable_abis(&["default", "abi3", "abi3-py311", "abi3-py39"]), abi3(Some((3, 9))));
        assert_eq!(stable_abis(&["abi3"]), abi3(None));
        assert_eq!(stable_abis(&["macros"]), []);
        let both = vec![abi(StableAbiKind::Abi3t, Some((3, 15))), abi(StableAbiKind::Abi3, None)];
        assert_eq!(stable_abis(&["abi3", "abi3t", "abi3t-py315"]), both);
    }
}
