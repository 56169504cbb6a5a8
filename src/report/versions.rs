//! The version of a compiled crate, which cargo's records do not name.

use std::path::Path;

use crate::cargo_records::{Kind, Records, Unit};
use crate::project::CargoWorkspace;

pub(super) fn version_of(
    unit: &Unit,
    workspace: &CargoWorkspace,
    records: &Records,
    dependencies: &[&Unit],
) -> String {
    let all = workspace.versions_of(&unit.package);
    if let (Some(only), 1) = (all.first(), all.len()) {
        return (*only).to_owned();
    }
    // Its sources' directory has it in its name; a script that is run was compiled first.
    let compiled = if unit.kind == Kind::Run {
        dependencies.iter().copied().find(|one| one.package == unit.package)
    } else {
        Some(unit)
    };
    let text = compiled
        .and_then(|unit| fs_err::read_to_string(unit.rustc_dep_file(&records.directory)?).ok())
        .unwrap_or_default();
    let mut all: Vec<&str> = all.into_iter().collect();
    // The longest first: 1.0.1 is not 1.0.10.
    all.sort_by_key(|version| std::cmp::Reverse(version.len()));
    let found =
        all.into_iter().find(|version| text.contains(&format!("/{}-{version}/", unit.package)));
    found
        .map(str::to_owned)
        .or_else(|| {
            workspace.local_named(&unit.package).next().map(|package| package.version.clone())
        })
        .unwrap_or_else(|| "?".to_owned())
}

/// The version of a package from a registry, which the directory of its sources has in its name.
pub(super) fn version_in_sources(unit: &Unit, build_directory: &Path) -> Option<String> {
    let text = fs_err::read_to_string(unit.rustc_dep_file(build_directory)?).ok()?;
    let start = format!("/{}-", unit.package);
    text.match_indices(&start).find_map(|(at, _)| {
        let (version, _) = text[at + start.len()..].split_once(['/', '\\'])?;
        cargo_metadata::semver::Version::parse(version).is_ok().then(|| version.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_registries_tell_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let unit = Unit {
            key: "release/.fingerprint/app-00/lib-app".into(),
            package: "app".into(),
            hash: "00".into(),
            stem: "lib-app".into(),
            kind: Kind::Compile,
            profile: "release".into(),
            fingerprint: String::new(),
            record: None,
            references: Vec::new(),
            invoked: None,
            finished: None,
            run_directory: None,
            output: None,
        };
        let deps = dir.path().join("release/deps");
        fs_err::create_dir_all(&deps).unwrap();
        let version = |text: &str| {
            fs_err::write(deps.join("app-00.d"), text).unwrap();
            version_in_sources(&unit, dir.path())
        };
        assert_eq!(version("/t/release/deps/app-00.d: /ws/app/src/lib.rs\n"), None);
        assert_eq!(
            version("/t/release/deps/app-00.d: /r/src/index-1/app-1.0.2-rc.1/src/lib.rs\n")
                .as_deref(),
            Some("1.0.2-rc.1")
        );
    }
}
