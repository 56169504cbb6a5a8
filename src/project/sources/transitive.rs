//! Sources of what requirements require, and of what they are built with.

use std::collections::BTreeMap;

use pep508_rs::{MarkerEnvironment, VersionOrUrl};
use toml::Value;

use super::{Error, Lowered, Requirement, Sources, local_path, lookup, parse_requirement};

impl Sources {
    /// Every name that the project, or one in a directory that `lowered` leads to, says is its own,
    /// with its source: for requirements of requirements. A source that nobody may need, and
    /// that cannot be had, is left out.
    pub fn own(&self, lowered: &[Lowered], interpreter: &MarkerEnvironment) -> Vec<Lowered> {
        let mut found: BTreeMap<String, Lowered> = BTreeMap::new();
        let names = self
            .files
            .iter()
            .filter_map(|(_, table)| lookup(table, &["tool", "uv", "sources"])?.as_table());
        let bare: Vec<Requirement> = names
            .flat_map(|sources| sources.keys())
            .filter_map(|name| parse_requirement(name).ok())
            .collect();
        let mut queue: Vec<Lowered> = lowered.to_vec();
        queue.extend(
            bare.iter()
                .filter_map(|requirement| self.lower_one(requirement, interpreter).ok())
                .flatten(),
        );
        while let Some(next) = queue.pop() {
            let is_direct = matches!(next.requirement.version_or_url, Some(VersionOrUrl::Url(_)));
            if (!is_direct && next.index.is_none())
                || found.insert(next.requirement.to_string(), next.clone()).is_some()
            {
                continue;
            }
            let Some(directory) = local_path(&next.requirement) else { continue };
            let Some((sources, pyproject)) = Self::of(&directory) else { continue };
            let dependencies = lookup(&pyproject, &["project", "dependencies"])
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let dependencies =
                dependencies.filter_map(|text| parse_requirement(text.as_str()?).ok());
            queue.extend(
                dependencies
                    .filter_map(|requirement| sources.lower_one(&requirement, interpreter).ok())
                    .flatten(),
            );
        }
        found.into_values().map(without_extras).collect()
    }

    /// Fails if a directory that `lowered` names needs a source to be built: pip, which builds it,
    /// would ask its index.
    pub fn fit_for_pip(lowered: &[Lowered]) -> Result<(), Error> {
        for directory in lowered.iter().filter_map(|lowered| local_path(&lowered.requirement)) {
            let Some((sources, pyproject)) = Self::of(&directory) else { continue };
            let requires = lookup(&pyproject, &["build-system", "requires"])
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            for requirement in requires.filter_map(|text| parse_requirement(text.as_str()?).ok()) {
                let Some((file, key, value)) =
                    sources.find(&requirement.name).filter(|_| !sources.is_off(&requirement.name))
                else {
                    continue;
                };
                let place = sources.place(file, &["tool", "uv", "sources"], key, value);
                return Err(place.error("cannot be honoured by pip", "use `--installer uv`"));
            }
        }
        Ok(())
    }
}

/// Constraints have none.
fn without_extras(mut lowered: Lowered) -> Lowered {
    lowered.requirement.extras.clear();
    lowered
}
