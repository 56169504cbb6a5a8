//! Learning what the pins are decided from: the backend's version from the build environment, the
//! bindings from what cargo knows.

use pep508_rs::pep440_rs::Version;

use super::{BackendVersion, Bindings, Facts, libpython};
use crate::build_env::BuildEnv;
use crate::build_env::fingerprint::Distribution;
use crate::env_vars;
use crate::interpreter::Interpreter;
use crate::project::cargo::DependencyKind;
use crate::project::{Backend, CargoWorkspace, Project};

/// Variables that a user may have set, and that decide together with ours.
const WATCHED: &[&str] =
    &["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "PYO3_ENVIRONMENT_SIGNATURE", "PYO3_CONFIG_FILE"];

/// All facts. `cargo`: the project's Cargo workspace; `None` if it has none, or cargo could not be
/// asked.
pub(crate) fn learn(
    project: &Project,
    interpreter: &Interpreter,
    env: &BuildEnv,
    cargo: Option<&CargoWorkspace>,
) -> Facts {
    Facts {
        python: env.python.clone(),
        identity: interpreter.identity.clone(),
        backend: backend_version(project, &env.distributions),
        bindings: bindings(project, cargo),
        user: WATCHED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), env_vars::get(name)?)))
            .collect(),
    }
}

fn version_of(name: &str, distributions: &[Distribution]) -> Option<Version> {
    distributions
        .iter()
        .find(|distribution| distribution.name == name)?
        .version
        .as_deref()?
        .parse()
        .ok()
}

fn backend_version(project: &Project, distributions: &[Distribution]) -> BackendVersion {
    match (project.build_system.backend(), version_of("maturin", distributions)) {
        (Backend::Maturin, Some(version)) => BackendVersion::Maturin(version),
        _ if version_of("setuptools-rust", distributions).is_some() => {
            BackendVersion::SetuptoolsRust
        }
        _ => BackendVersion::Other,
    }
}

fn bindings(project: &Project, cargo: Option<&CargoWorkspace>) -> Bindings {
    let Some(directory) =
        project.workspace.manifests.first().and_then(|manifest| manifest.parent())
    else {
        return Bindings::WithoutInterpreter;
    };
    let explicit = project
        .table(&["tool", "maturin"])
        .and_then(|table| table.get("bindings"))
        .and_then(toml::Value::as_str);
    if matches!(explicit, Some("cffi" | "uniffi" | "bin")) {
        return Bindings::WithoutInterpreter;
    }
    let Some((workspace, package)) =
        cargo.and_then(|workspace| Some((workspace, workspace.package_in(directory)?)))
    else {
        return Bindings::Unknown;
    };
    let uses_pyo3 =
        workspace.closure(package, &[DependencyKind::Normal]).into_iter().any(libpython::is_pyo3);
    if uses_pyo3 { Bindings::Pyo3 } else { Bindings::WithoutInterpreter }
}
