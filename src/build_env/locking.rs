//! `pylock.build.toml`: the distributions come from it, or are written to it.

use std::path::{Path, PathBuf};

use pep508_rs::VersionOrUrl;

use super::fingerprint::{self, Distribution};
use super::hashes::check_hashes;
use super::resolving::{fixed, write_sources};
use super::{Error, Provisioner, Taken, installer, local_names, pylock, satisfies};
use crate::project::{Lowered, Requirement, parse_requirement};
use crate::{fs, process};

impl Provisioner<'_> {
    pub(super) fn lock_path(&self) -> PathBuf {
        self.directory.join(pylock::FILE_NAME)
    }

    pub(super) fn lock_file(&self) -> Result<Option<String>, Error> {
        if !self.options.locked {
            return Ok(None);
        }
        let path = self.lock_path();
        fs_err::read_to_string(&path).map(Some).map_err(|error| {
            let reason = if error.kind() == std::io::ErrorKind::NotFound {
                "it does not exist".to_owned()
            } else {
                error.to_string()
            };
            Error::Lock { path, reason }
        })
    }

    /// What a lock file comes to for this interpreter, once it is known to satisfy the
    /// requirements.
    pub(super) fn resolve_locked(
        &self,
        text: &str,
        requirements: &[Requirement],
        taken: &Taken,
    ) -> Result<Vec<Distribution>, Error> {
        let path = self.lock_path();
        let unusable = |reason: String| Error::Lock { path: path.clone(), reason };
        let lock = pylock::Pylock::parse(text).map_err(unusable)?;
        let packages = lock.for_interpreter(&self.interpreter.markers).map_err(unusable)?;
        for requirement in requirements
            .iter()
            .filter(|requirement| requirement.evaluate_markers(&self.interpreter.markers, &[]))
        {
            let package = packages.iter().find(|package| package.name == requirement.name.as_ref());
            let Some(package) = package else {
                return Err(unusable(format!("it does not contain `{requirement}`")));
            };
            if !satisfies(requirement, package.version.as_deref())
                && !is_at(requirement, package, self.directory)
            {
                let version = package.version.as_deref().unwrap_or("of unknown version");
                return Err(unusable(format!(
                    "its `{} {version}` does not satisfy `{requirement}`",
                    package.name
                )));
            }
        }
        let directory = self.directory;
        let from_index = |package: &&pylock::Package| {
            package.vcs.is_none() && package.directory.is_none() && package.archive.is_none()
        };
        let (indexed, direct): (Vec<_>, Vec<_>) = packages.into_iter().partition(from_index);
        let mut distributions = direct
            .into_iter()
            .map(|package| installer::from_package(package, directory, false))
            .collect::<Result<Vec<_>, _>>()?;
        // Which of the locked files suits this interpreter is the installer's to say.
        let pins: Vec<String> = indexed
            .iter()
            .map(|package| {
                format!("{}=={}", package.name, package.version.as_deref().unwrap_or_default())
            })
            .collect();
        let pins: Vec<Requirement> = pins
            .iter()
            .map(|pin| parse_requirement(pin))
            .collect::<Result<_, _>>()
            .map_err(unusable)?;
        let pins = self.sources.lower(&pins, &self.interpreter.markers)?;
        let chosen = self.with_installer(taken, |installer, workshop| {
            let _spinner =
                self.ui.spinner(format!("reading {} ({})", pylock::FILE_NAME, installer.name()));
            self.choose(installer, workshop, &pins, &[], true)
        })?;
        let allowed = indexed
            .iter()
            .map(|package| {
                (package.name.clone(), package.sha256().into_iter().map(str::to_owned).collect())
            })
            .collect();
        check_hashes(&chosen, &allowed, &format!("`{}`", pylock::FILE_NAME))?;
        distributions.extend(chosen);
        distributions.sort();
        Ok(distributions)
    }

    /// Writes `pylock.build.toml` for these requirements and returns its path and how many packages
    /// it has.
    pub(crate) fn lock(
        &self,
        requirements: &[Requirement],
        requires_python: Option<&str>,
    ) -> Result<(PathBuf, usize), Error> {
        let taken = self.taken()?;
        let lowered = self.sources.lower(requirements, &self.interpreter.markers)?;
        let strings: Vec<String> =
            lowered.iter().map(|lowered| lowered.requirement.to_string()).collect();
        let local = local_names(&lowered);
        // Which file of an index suits another interpreter, only that index could say.
        let is_for_all = lowered.iter().all(|lowered| lowered.index.is_none());
        let (major, minor) = self.interpreter.identity.major_minor();
        let minimum = requires_python.map_or_else(|| format!("{major}.{minor}"), str::to_owned);
        let text = self.with_installer(&taken, |installer, workshop| {
            let _spinner =
                self.ui.spinner(format!("resolving build requirements ({})", installer.name()));
            let constraints = self.all_constraints(&taken, workshop.directory)?;
            let own = self.sources.own(&lowered, &self.interpreter.markers);
            let sources = write_sources(&fixed(&own, &lowered), workshop)?;
            let with_sources: Vec<String> = constraints.iter().cloned().chain(sources).collect();
            let resolution = self.resolution(&strings, &with_sources, &local);
            let universal = is_for_all
                .then(|| installer.lock_universal(&resolution, workshop, self.directory, &minimum))
                .flatten();
            match universal {
                Some(Ok(text)) if !has_any(&text, own.iter().filter(|one| one.index.is_some())) => {
                    Ok(text)
                }
                Some(Err(error)) => Err(error),
                _ => Ok(self
                    .lock_here(self.choose(installer, workshop, &lowered, &constraints, false)?)
                    .to_toml()),
            }
        })?;
        let text = process::without_credentials(&text);
        let path = self.lock_path();
        let lock = pylock::Pylock::parse(&text).map_err(|message| Error::Protocol {
            what: format!("the new lock file cannot be read: {message}"),
        })?;
        fs::write_if_changed(&path, text.as_bytes())
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok((path, lock.packages.len()))
    }

    /// A lock file for this interpreter only, which it says.
    fn lock_here(&self, distributions: Vec<Distribution>) -> pylock::Pylock {
        use fingerprint::Artifact;
        let packages = distributions.into_iter().map(|distribution| {
            let mut package = pylock::Package {
                name: distribution.name,
                version: distribution.version,
                ..pylock::Package::default()
            };
            let hashes = |sha256: Option<String>| {
                sha256.map(|sha256| ("sha256".to_owned(), sha256)).into_iter().collect()
            };
            match distribution.artifact {
                Artifact::Index { filename, sha256 } => {
                    let is_wheel = Path::new(&filename)
                        .extension()
                        .is_some_and(|extension| extension == "whl");
                    let file = pylock::File {
                        name: Some(filename),
                        hashes: hashes(sha256),
                        ..pylock::File::default()
                    };
                    if is_wheel {
                        package.wheels.push(file);
                    } else {
                        package.sdist = Some(file);
                    }
                }
                Artifact::Archive { url, sha256 } => {
                    package.archive = Some(pylock::File {
                        url: Some(url),
                        hashes: hashes(Some(sha256)),
                        ..pylock::File::default()
                    });
                }
                Artifact::Vcs { url, commit, subdirectory } => {
                    package.vcs = Some(pylock::Vcs {
                        kind: "git".to_owned(),
                        url: Some(url),
                        path: None,
                        commit_id: commit,
                        subdirectory,
                    });
                }
                Artifact::Directory { path, .. } => {
                    package.directory = Some(pylock::Directory { path, subdirectory: None });
                }
            }
            package
        });
        let (major, minor) = self.interpreter.identity.major_minor();
        let markers = &self.interpreter.markers;
        let environment = format!(
            "implementation_name == '{}' and python_version == '{major}.{minor}' and sys_platform == '{}' and platform_machine == '{}'",
            markers.implementation_name(),
            markers.sys_platform(),
            markers.platform_machine(),
        );
        pylock::Pylock {
            lock_version: "1.0".to_owned(),
            environments: vec![environment],
            requires_python: None,
            created_by: "cargo-pyenv-build".to_owned(),
            packages: packages.collect(),
        }
    }
}

/// Whether a lock file has any of these.
fn has_any<'a>(text: &str, mut lowered: impl Iterator<Item = &'a Lowered>) -> bool {
    pylock::Pylock::parse(text).is_ok_and(|lock| {
        lowered.any(|one| {
            lock.packages.iter().any(|package| package.name == one.requirement.name.as_ref())
        })
    })
}

/// Whether a locked package is what a requirement names by its URL.
fn is_at(requirement: &Requirement, package: &pylock::Package, directory: &Path) -> bool {
    let Some(VersionOrUrl::Url(url)) = &requirement.version_or_url else { return false };
    let url = url.to_url();
    if let Some(locked) = &package.directory {
        return url
            .to_file_path()
            .is_ok_and(|path| fs::real(&directory.join(&locked.path)) == fs::real(&path));
    }
    // Without what may be a secret, and for git without the revision, which the lock has pinned.
    let place = |url: &url::Url, is_git: bool| {
        let path =
            if is_git { url.path().split('@').next().unwrap_or_default() } else { url.path() };
        let scheme = url.scheme().trim_start_matches("git+").to_owned();
        (scheme, url.host_str().map(str::to_owned), url.port(), path.to_owned())
    };
    // A branch or a tag was what the lock has at that time.
    let revision = url.path().rsplit_once('@').map(|(_, revision)| revision);
    let is_commit =
        |revision: &&str| revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    if let (Some(vcs), Some(commit)) = (&package.vcs, revision.filter(is_commit))
        && vcs.commit_id != commit
    {
        return false;
    }
    let locked = match (&package.vcs, &package.archive) {
        (Some(vcs), _) => vcs.url.as_deref().map(|url| (url, true)),
        (None, Some(archive)) => archive.url.as_deref().map(|url| (url, false)),
        (None, None) => None,
    };
    locked.is_some_and(|(text, is_git)| {
        text.parse().is_ok_and(|locked| place(&locked, is_git) == place(&url, is_git))
    })
}
