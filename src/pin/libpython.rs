//! libpython: whether something in a workspace is linked with it, and where the loader finds it
//! when that is run.
//!
//! Without PyO3's feature `extension-module`, whatever cargo makes of PyO3 is linked with
//! libpython: tests and programs must be.

use std::path::Path;

use super::Pin;
use crate::env_vars;
use crate::interpreter::Identity;
use crate::project::CargoWorkspace;
use crate::project::cargo::{CargoPackage, DependencyKind};

const FEATURE: &str = "extension-module";

pub(super) fn is_pyo3(package: &CargoPackage) -> bool {
    package.name == "pyo3" || package.name == "pyo3-ffi"
}

/// Whether a plain cargo links something in the workspace with libpython: a member that uses PyO3,
/// and of which no local package turns its feature `extension-module` on.
pub(crate) fn is_linked(workspace: &CargoWorkspace) -> bool {
    workspace.packages.iter().filter(|package| package.is_member).any(|member| {
        let all = workspace.closure(member, DependencyKind::ALL);
        let is_extension = all
            .iter()
            .any(|package| package.is_local && asks_for_extension_module(package, workspace));
        !is_extension && all.into_iter().any(is_pyo3)
    })
}

/// Whether a package asks for the feature by itself, where it names PyO3 or in its default
/// features.
fn asks_for_extension_module(package: &CargoPackage, workspace: &CargoWorkspace) -> bool {
    let is_pyo3_id =
        |id: &str| workspace.packages.iter().any(|package| package.id == id && is_pyo3(package));
    if package.dependencies.iter().any(|one| one.features.contains(FEATURE) && is_pyo3_id(&one.id))
    {
        return true;
    }
    let mut seen = Vec::new();
    let mut queue = vec!["default"];
    while let Some(feature) = queue.pop() {
        // `pyo3/extension-module`, `pyo3?/extension-module`, or of another crate that hands it on.
        if feature.split_once('/').is_some_and(|(_, feature)| feature == FEATURE) {
            return true;
        }
        if !seen.contains(&feature) {
            seen.push(feature);
            queue.extend(package.features.get(feature).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// Where a program with an interpreter inside finds libpython, if that is where no loader looks by
/// itself.
pub(crate) fn library_path(identity: &Identity) -> Option<Pin> {
    let name = match identity.platform.as_str() {
        platform if platform.starts_with("win") => "PATH",
        platform if platform.starts_with("macos") => "DYLD_FALLBACK_LIBRARY_PATH",
        _ => "LD_LIBRARY_PATH",
    };
    let directory = if name == "PATH" {
        Some(identity.base_prefix.as_str())
    } else {
        identity.library_directory.as_deref()
    };
    let directory = directory.filter(|directory| {
        !["/lib", "/lib64", "/usr/lib", "/usr/lib64"]
            .iter()
            .any(|start| Path::new(directory).starts_with(start))
    })?;
    // Where one is set, macOS does not look where it would without.
    let before = env_vars::get_os(name)
        .or_else(|| name.starts_with("DYLD").then(|| "/usr/local/lib:/usr/lib".into()));
    let before = before.iter().flat_map(std::env::split_paths);
    // Not twice, and not what rustup's proxy has put there for the cargo that calls us.
    let others = before.filter(|path| path != Path::new(directory) && !is_of_rustup(path));
    let paths = std::iter::once(directory.into()).chain(others);
    let value = std::env::join_paths(paths).ok()?.into_string().ok()?;
    let source = "https://pyo3.rs/v0.29.0/building-and-distribution#dynamically-embedding-the-python-interpreter".to_owned();
    Some(Pin { name, value, source })
}

/// Source: <https://github.com/rust-lang/rustup/blob/1.28.2/src/toolchain.rs>, `set_ldpath`
fn is_of_rustup(path: &Path) -> bool {
    env_vars::get("RUSTUP_TOOLCHAIN").is_some_and(|toolchain| {
        path.ends_with(Path::new("toolchains").join(toolchain).join("lib"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::interpreter::identity_tests::cpython;
    use crate::project::cargo::CargoDependency;

    fn package(
        name: &str,
        dependencies: &[(&str, &[&str])],
        features: &[(&str, &[&str])],
    ) -> CargoPackage {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        CargoPackage {
            id: name.into(),
            name: name.into(),
            is_member: !name.starts_with("pyo3"),
            is_local: !name.starts_with("pyo3"),
            features: features.iter().map(|(name, on)| ((*name).to_owned(), texts(on))).collect(),
            dependencies: dependencies
                .iter()
                .map(|(id, asked)| CargoDependency {
                    id: (*id).into(),
                    kinds: BTreeSet::from([DependencyKind::Normal]),
                    features: texts(asked).into_iter().collect(),
                })
                .collect(),
            ..CargoPackage::default()
        }
    }

    #[test]
    fn what_uses_pyo3_is_linked_unless_it_is_an_extension_by_itself() {
        let linked = |mut packages: Vec<CargoPackage>| {
            packages.extend([
                package("pyo3", &[("pyo3-ffi", &[])], &[]),
                package("pyo3-ffi", &[], &[]),
            ]);
            is_linked(&CargoWorkspace { packages, ..CargoWorkspace::default() })
        };
        assert!(!linked(vec![package("plain", &[], &[])]));
        assert!(linked(vec![package("abi3", &[("pyo3", &["abi3-py39"])], &[])]));
        assert!(linked(vec![package(
            "by-maturin",
            &[("pyo3", &[])],
            &[("ext", &["pyo3/extension-module"])]
        )]));
        assert!(!linked(vec![package("always", &[("pyo3", &["extension-module"])], &[])]));
        assert!(!linked(vec![package(
            "default",
            &[("pyo3", &[])],
            &[("default", &["ext"]), ("ext", &["pyo3/extension-module"])]
        )]));
        let extension =
            package("extension", &[("pyo3", &["extension-module"]), ("core", &[])], &[]);
        assert!(
            linked(vec![extension.clone(), package("core", &[("pyo3-ffi", &[])], &[])]),
            "its library is tested by itself"
        );
        assert!(!linked(vec![extension, package("core", &[], &[])]));
    }

    #[test]
    fn libpython_is_looked_for_where_it_is() {
        let at = |directory: &str| {
            library_path(&Identity {
                library_directory: Some(directory.into()),
                ..cpython("3.12.1")
            })
        };
        assert!(at("/opt/python/lib").unwrap().value.starts_with("/opt/python/lib"));
        assert_eq!(at("/usr/lib/x86_64-linux-gnu"), None);
    }
}
