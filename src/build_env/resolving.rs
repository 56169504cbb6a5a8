//! From requirements to distributions: by which installer, with which constraints and indexes.

use std::path::Path;

use pep508_rs::PackageName;

use super::fingerprint::{self, Distribution};
use super::hashes::{allowed_hashes, check_hashes};
use super::installer::{self, Installer, Resolution, Workshop};
use super::{Error, Provisioner, Taken, local_names, settings};
use crate::project::{Lowered, Sources};

impl Provisioner<'_> {
    pub(super) fn resolution<'b>(
        &'b self,
        requirements: &'b [String],
        constraints: &'b [String],
        local: &'b [String],
    ) -> Resolution<'b> {
        Resolution {
            interpreter: self.interpreter,
            requirements,
            constraints,
            local,
            offline: self.options.offline,
            refresh: self.options.upgrade,
            no_deps: false,
            direct: false,
        }
    }

    /// The constraints files, with the inline ones as a further file in `scratch`.
    pub(super) fn all_constraints(
        &self,
        taken: &Taken,
        scratch: &Path,
    ) -> Result<Vec<String>, Error> {
        let mut files = taken.constraints.clone();
        if !self.inline_constraints.is_empty() {
            let file = scratch.join("constraints.txt");
            fs_err::write(&file, self.inline_constraints.join("\n") + "\n")
                .map_err(|source| Error::Write { path: file.clone(), source })?;
            files.push(file.to_string_lossy().into_owned());
        }
        Ok(files)
    }

    /// Resolves requirements, each from the source that the project names.
    pub(super) fn choose(
        &self,
        installer: &Installer,
        workshop: &Workshop<'_>,
        requirements: &[Lowered],
        constraints: &[String],
        no_deps: bool,
    ) -> Result<Vec<Distribution>, Error> {
        let applies = |lowered: &&Lowered| {
            lowered.requirement.evaluate_markers(&self.interpreter.markers, &[])
        };
        let own: Vec<Lowered> = self
            .sources
            .own(requirements, &self.interpreter.markers)
            .into_iter()
            .filter(|lowered| applies(&lowered))
            .collect();
        if matches!(installer, Installer::Pip(_)) {
            Sources::fit_for_pip(requirements)?;
        }
        let local = local_names(requirements.iter().chain(&own));
        let mut strings = Vec::new();
        for lowered in requirements.iter().filter(applies) {
            strings.push(self.of_its_index(installer, workshop, lowered, constraints)?);
        }
        strings.sort();
        strings.dedup();
        // What requirements require is the project's own, too, if it is of that name.
        let indexed: Vec<&Lowered> = own.iter().filter(|lowered| lowered.index.is_some()).collect();
        let mut lines = fixed(&own, requirements);
        loop {
            let mut constraints = constraints.to_vec();
            constraints.extend(write_sources(&lines, workshop)?);
            let resolution =
                Resolution { no_deps, ..self.resolution(&strings, &constraints, &local) };
            let distributions = installer.resolve(&resolution, workshop)?;
            let from_elsewhere = indexed.iter().filter(|lowered| {
                let is_it = |distribution: &&Distribution| {
                    distribution.name == lowered.requirement.name.as_ref()
                };
                let found = distributions.iter().find(is_it);
                found.is_some_and(|found| {
                    matches!(found.artifact, fingerprint::Artifact::Index { .. })
                })
            });
            let mut more = Vec::new();
            for lowered in from_elsewhere {
                more.push(self.of_its_index(installer, workshop, lowered, &constraints)?);
            }
            if more.is_empty() {
                return Ok(distributions);
            }
            lines.extend(more);
        }
    }

    /// A constraints file with where the project says that these come from, and what they require in
    /// turn. `None`: it says nothing.
    pub(super) fn sources_of(
        &self,
        names: &[PackageName],
        installer: &Installer,
        workshop: &Workshop<'_>,
    ) -> Result<Option<String>, Error> {
        if names.is_empty() {
            return Ok(None);
        }
        let markers = &self.interpreter.markers;
        let own = self.sources.own(&[], markers).into_iter();
        let mut lines = Vec::new();
        for lowered in own.filter(|lowered| lowered.requirement.evaluate_markers(markers, &[])) {
            if lowered.index.is_none() {
                lines.push(lowered.requirement.to_string());
            } else if names.contains(&lowered.requirement.name) {
                lines.push(self.of_its_index(installer, workshop, &lowered, &[])?);
            }
        }
        write_sources(&lines, workshop)
    }

    /// A requirement that must come from one index, as the URL of what that has; others as they
    /// are.
    fn of_its_index(
        &self,
        installer: &Installer,
        workshop: &Workshop<'_>,
        lowered: &Lowered,
        constraints: &[String],
    ) -> Result<String, Error> {
        let Some(index) = &lowered.index else { return Ok(lowered.requirement.to_string()) };
        let indexes = settings::indexes_of(index, self.uv_file)?;
        let settings = workshop.settings.without_indexes();
        let its_own = Workshop { indexes: &indexes, settings: &settings, ..*workshop };
        let requirements = [lowered.requirement.to_string()];
        let resolution = Resolution {
            no_deps: true,
            direct: true,
            ..self.resolution(&requirements, constraints, &[])
        };
        let found = installer.resolve(&resolution, &its_own)?;
        let Some(fingerprint::Artifact::Archive { url, .. }) =
            found.first().map(|distribution| &distribution.artifact)
        else {
            return Err(Error::Protocol {
                what: format!("`{}` was not found at its source", lowered.requirement),
            });
        };
        let url =
            installer::with_credentials(url, lowered.requirement.name.as_ref(), &self.origins());
        let extras: Vec<&str> = lowered.requirement.extras.iter().map(AsRef::as_ref).collect();
        let extras =
            if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        Ok(format!("{}{extras} @ {url}", lowered.requirement.name))
    }

    /// Requirements with the URLs that they come from, which may have credentials.
    pub(super) fn origins(&self) -> Vec<String> {
        let mut origins = self.declared.to_vec();
        for lowered in self.sources.own(&[], &self.interpreter.markers) {
            match &lowered.index {
                None => origins.push(lowered.requirement.to_string()),
                // One that is not defined may not be needed.
                Some(index) => {
                    let indexes = settings::indexes_of(index, self.uv_file).unwrap_or_default();
                    origins.extend(
                        indexes
                            .default
                            .or(indexes.find_links.into_iter().next())
                            .map(|url| format!("{} @ {url}", lowered.requirement.name)),
                    );
                }
            }
        }
        origins
    }

    pub(super) fn resolve_open(
        &self,
        requirements: &[Lowered],
        taken: &Taken,
    ) -> Result<Vec<Distribution>, Error> {
        if !requirements
            .iter()
            .any(|lowered| lowered.requirement.evaluate_markers(&self.interpreter.markers, &[]))
        {
            // No need to set an installer up.
            return Ok(Vec::new());
        }
        self.with_installer(taken, |installer, workshop| {
            let _spinner =
                self.ui.spinner(format!("resolving build requirements ({})", installer.name()));
            let constraints = self.all_constraints(taken, workshop.directory)?;
            let distributions =
                self.choose(installer, workshop, requirements, &constraints, false)?;
            if self.options.require_hashes {
                check_hashes(&distributions, &allowed_hashes(&constraints)?, "a constraints file")?;
            }
            Ok(distributions)
        })
    }
}

/// What the project says of names that are none of the requirements', but may be required by them;
/// without those that come from an index of their own.
pub(super) fn fixed(own: &[Lowered], requirements: &[Lowered]) -> Vec<String> {
    let is_required = |one: &Lowered| {
        requirements.iter().any(|lowered| lowered.requirement.name == one.requirement.name)
    };
    own.iter()
        .filter(|one| one.index.is_none() && !is_required(one))
        .map(|one| one.requirement.to_string())
        .collect()
}

/// Writes a constraints file, if there is anything to write.
pub(super) fn write_sources(
    lines: &[String],
    workshop: &Workshop<'_>,
) -> Result<Option<String>, Error> {
    if lines.is_empty() {
        return Ok(None);
    }
    let file = workshop.write("sources.txt", &(lines.join("\n") + "\n"))?;
    Ok(Some(file.to_string_lossy().into_owned()))
}
