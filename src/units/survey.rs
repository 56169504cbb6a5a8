//! From what `cargo metadata` says and the project's settings to a [`Plan`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::entry::ABSENT;
use super::plan::{Package, Plan, Source, settings_digest};
use crate::project::{CargoPackage, CargoWorkspace, DependencyKind, Project};

/// What the wrapper must know of a workspace and a project in it.
pub fn plan(workspace: &CargoWorkspace, project: &Project) -> Plan {
    let checksums = Checksums::read(&workspace.root.join("Cargo.lock"));
    let places: BTreeMap<&str, usize> = workspace
        .packages
        .iter()
        .enumerate()
        .map(|(at, package)| (package.id.as_str(), at))
        .collect();
    let python = python_packages(workspace, &places);
    let packages = workspace.packages.iter().enumerate().map(|(at, package)| Package {
        name: package.name.clone(),
        version: package.version.clone(),
        directory: package.root.clone(),
        source: source(package, &checksums),
        library: package.library.clone(),
        is_macro: package.is_proc_macro,
        uses_python: python.contains(&at),
        dependencies: edges(package, &[DependencyKind::Normal], &places),
    });
    let settings = project.pyproject_path();
    let mut manifests = workspace.manifests();
    manifests.push(workspace.root.join("Cargo.lock"));
    Plan {
        workspace: workspace.root.clone(),
        settings_digest: settings_digest(&settings),
        settings,
        lock_digest: workspace.lock_digest.clone().unwrap_or_else(|| ABSENT.to_owned()),
        manifests,
        packages: packages.collect(),
        has_all_features: workspace.has_all_features,
        inputs: project.settings.inputs.clone(),
        macros: project.settings.macros.clone(),
        trusted_build_scripts: project.settings.trusted_build_scripts.clone(),
        ..Plan::default()
    }
}

fn edges(
    package: &CargoPackage,
    kinds: &[DependencyKind],
    places: &BTreeMap<&str, usize>,
) -> Vec<usize> {
    let of_kind = package
        .dependencies
        .iter()
        .filter(|edge| kinds.iter().any(|kind| edge.kinds.contains(kind)));
    of_kind.filter_map(|edge| places.get(edge.id.as_str()).copied()).collect()
}

/// Packages that are made otherwise for another Python: what says that it links Python, what its
/// build script is made with if that has a build script of its own (PyO3 up to 0.27 looks for the
/// interpreter there), and all that depends on these.
fn python_packages(workspace: &CargoWorkspace, places: &BTreeMap<&str, usize>) -> BTreeSet<usize> {
    let packages = &workspace.packages;
    let bindings: Vec<usize> = (0..packages.len())
        .filter(|&at| {
            packages[at].links.as_deref().is_some_and(|links| links.starts_with("python"))
        })
        .collect();
    let configure =
        bindings.iter().flat_map(|&at| edges(&packages[at], &[DependencyKind::Build], places));
    let configure: Vec<usize> = configure.filter(|&at| packages[at].has_build_script).collect();
    let mut found: BTreeSet<usize> = bindings.into_iter().chain(configure).collect();
    loop {
        let depends = |at: &usize| {
            edges(&packages[*at], DependencyKind::ALL, places)
                .iter()
                .any(|dependency| found.contains(dependency))
        };
        let more: Vec<usize> =
            (0..packages.len()).filter(|at| !found.contains(at)).filter(depends).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn source(package: &CargoPackage, checksums: &Checksums) -> Source {
    const CRATES_IO: &[&str] = &[
        "registry+https://github.com/rust-lang/crates.io-index",
        "sparse+https://index.crates.io/",
    ];
    match &package.source {
        None => Source::Path,
        Some(source)
            if !package.is_local
                && CRATES_IO.iter().any(|one| source.starts_with(one))
                && checksums.has(package) =>
        {
            Source::CratesIo
        }
        Some(_) => Source::Other,
    }
}

/// Name and version of the packages that have a checksum in `Cargo.lock`. Without the file, cargo
/// checks against the index.
struct Checksums(Option<BTreeSet<(String, String)>>);

impl Checksums {
    fn read(lock: &Path) -> Self {
        let table =
            fs_err::read_to_string(lock).ok().and_then(|text| text.parse::<toml::Table>().ok());
        Self(table.map(|table| {
            let packages =
                table.get("package").and_then(toml::Value::as_array).into_iter().flatten();
            let text = |package: &toml::Value, key: &str| {
                package.get(key).and_then(toml::Value::as_str).map(str::to_owned)
            };
            packages
                .filter_map(|package| {
                    text(package, "checksum")
                        .and_then(|_| Some((text(package, "name")?, text(package, "version")?)))
                })
                .collect()
        }))
    }

    fn has(&self, package: &CargoPackage) -> bool {
        self.0
            .as_ref()
            .is_none_or(|known| known.contains(&(package.name.clone(), package.version.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::cargo::CargoDependency;

    fn package(
        name: &str,
        links: Option<&str>,
        has_build_script: bool,
        needs: &[(&str, DependencyKind)],
    ) -> CargoPackage {
        CargoPackage {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            source: Some("registry+https://github.com/rust-lang/crates.io-index".to_owned()),
            links: links.map(str::to_owned),
            has_build_script,
            dependencies: needs
                .iter()
                .map(|(id, kind)| CargoDependency {
                    id: (*id).to_owned(),
                    kinds: [*kind].into(),
                    features: BTreeSet::new(),
                })
                .collect(),
            ..CargoPackage::default()
        }
    }

    #[test]
    fn what_is_made_otherwise_for_another_python() {
        use DependencyKind::{Build, Normal};
        let packages = vec![
            package("lexicon", None, true, &[]),
            package("config", None, true, &[("lexicon", Build)]),
            package("ffi", Some("python"), true, &[("config", Build), ("libc", Normal)]),
            package("libc", None, true, &[]),
            package("macros", None, false, &[("config", Normal)]),
            package("bindings", None, false, &[("ffi", Normal), ("macros", Normal)]),
            package("other", None, false, &[("libc", Normal)]),
        ];
        let workspace = CargoWorkspace { packages, ..CargoWorkspace::default() };
        let places = workspace
            .packages
            .iter()
            .enumerate()
            .map(|(at, package)| (package.id.as_str(), at))
            .collect();
        let found: Vec<&str> = python_packages(&workspace, &places)
            .into_iter()
            .map(|at| workspace.packages[at].name.as_str())
            .collect();
        assert_eq!(found, ["config", "ffi", "macros", "bindings"]);
    }

    #[test]
    fn a_checksum_is_needed_where_there_is_a_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("Cargo.lock");
        let of = |name: &str| source(&package(name, None, false, &[]), &Checksums::read(&lock));
        assert_eq!(of("a"), Source::CratesIo);
        fs_err::write(
            &lock,
            "version = 4\n[[package]]\nname = 'a'\nversion = '1.0.0'\nchecksum = 'x'\n[[package]]\nname = 'b'\nversion = '1.0.0'\n",
        )
        .unwrap();
        assert_eq!((of("a"), of("b")), (Source::CratesIo, Source::Other));
        let local = CargoPackage { is_local: true, ..package("a", None, false, &[]) };
        assert_eq!(source(&local, &Checksums(None)), Source::Other, "a vendored copy");
    }
}
