//! Resolving and installing with uv or with pip, to the same outcome.
//!
//! Both resolve first and install exactly that: every distribution pinned to the hash of the
//! artifact that was chosen, no dependencies followed, so the environment holds what its
//! fingerprint says or the installation fails.

mod pip;
mod uv;

use std::path::{Path, PathBuf};

use pep508_rs::PackageName;

use super::fingerprint::{Artifact, Distribution};
use super::indexes::{Dialect, Indexes};
use super::settings::Settings;
use super::{Error, pylock};
use crate::interpreter::Interpreter;
use crate::interrupt;
use crate::layout::Layout;
use crate::process::{self, Cmd, without_credentials};
use crate::project::parse_requirement;
use crate::ui::Ui;

/// What the user may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Choice {
    /// uv if it is on PATH, else pip
    #[default]
    Auto,
    Uv,
    Pip,
}

/// One of the two, ready to run.
#[derive(Debug)]
pub(crate) enum Installer {
    Uv(uv::Uv),
    Pip(pip::Pip),
}

/// What to resolve.
#[derive(Debug)]
pub(crate) struct Resolution<'a> {
    pub interpreter: &'a Interpreter,
    pub requirements: &'a [String],
    /// Files or URLs.
    pub constraints: &'a [String],
    /// Names that local directories or files stand for: wheels built from them earlier do not
    /// count.
    pub local: &'a [String],
    pub offline: bool,
    /// Ask the index again, whatever is cached.
    pub refresh: bool,
    /// Resolve the requirements only, not what they depend on: a lock file names everything.
    pub no_deps: bool,
    /// What an index has is an archive with a URL, to be asked for by that.
    pub direct: bool,
}

/// Where an installer works for environments of ours, and what it sees of its configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workshop<'a> {
    pub indexes: &'a Indexes,
    pub settings: &'a Settings,
    /// An empty directory of ours, links resolved: what the project or the user has where they
    /// work is none of the installer's.
    pub directory: &'a Path,
    pub ui: &'a Ui,
}

impl Workshop<'_> {
    /// The command with the variables that isolate it; `-v` shows it without them.
    fn ready(&self, command: Cmd) -> Result<Cmd, Error> {
        self.ui.detail(command.display());
        self.settings.isolate(command, self.directory, self.indexes)
    }

    pub(super) fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.directory.join(name);
        fs_err::write(&path, content)
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(path)
    }
}

impl Installer {
    /// The dialect of a choice, without preparing anything.
    pub(crate) fn dialect(choice: Choice) -> Dialect {
        match choice {
            Choice::Uv => Dialect::Uv,
            Choice::Auto if uv::find().is_some() => Dialect::Uv,
            Choice::Auto | Choice::Pip => Dialect::Pip,
        }
    }

    /// Gets the chosen one ready. pip may have to be set up first, which takes seconds, once.
    pub(crate) fn prepare(
        choice: Choice,
        interpreter: &Interpreter,
        layout: &Layout,
        workshop: &Workshop<'_>,
    ) -> Result<Self, Error> {
        match (choice, uv::find()) {
            (Choice::Uv | Choice::Auto, Some(program)) => Ok(Self::Uv(uv::Uv::new(program))),
            (Choice::Uv, None) => Err(Error::NoInstaller {
                reason: "uv is not on PATH".to_owned(),
                hint: "install uv, or use `--installer pip`".to_owned(),
            }),
            (Choice::Pip | Choice::Auto, _) => {
                pip::Pip::prepare(interpreter, layout, workshop).map(Self::Pip)
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Uv(_) => "uv",
            Self::Pip(_) => "pip",
        }
    }

    /// Resolves the requirements, sorted by name. Nothing is installed.
    pub(crate) fn resolve(
        &self,
        resolution: &Resolution<'_>,
        workshop: &Workshop<'_>,
    ) -> Result<Vec<Distribution>, Error> {
        let mut distributions = match self {
            Self::Uv(uv) => uv.resolve(resolution, workshop)?,
            Self::Pip(pip) => pip.resolve(resolution, workshop)?,
        };
        distributions.sort();
        Ok(distributions)
    }

    /// Resolves for every interpreter that the project supports, as a lock file for the project in
    /// `directory`, if this installer can.
    pub(crate) fn lock_universal(
        &self,
        resolution: &Resolution<'_>,
        workshop: &Workshop<'_>,
        directory: &Path,
        minimum_python: &str,
    ) -> Option<Result<String, Error>> {
        match self {
            Self::Uv(uv) => {
                Some(uv.lock_universal(resolution, workshop, directory, minimum_python))
            }
            Self::Pip(_) => None,
        }
    }

    /// Installs a wheel into an environment that is not ours, in place of whatever is there of that
    /// name.
    pub(crate) fn install_wheel(
        &self,
        install: &WheelInstallation<'_>,
        sources: Option<&str>,
        ui: &Ui,
    ) -> Result<(), Error> {
        let commands = match self {
            Self::Uv(uv) => vec![uv.install_wheel(install, sources)],
            Self::Pip(pip) => pip.install_wheel(install, sources),
        };
        commands.iter().try_for_each(|command| {
            ui.detail(command.display());
            run(command, "install the project").map(drop)
        })
    }

    /// Installs exactly these distributions.
    pub(crate) fn install(
        &self,
        install: &Installation<'_>,
        workshop: &Workshop<'_>,
    ) -> Result<(), Error> {
        // Hashes are all or nothing in both installers: what has none goes in a second call.
        let (hashed, rest): (Vec<_>, Vec<_>) =
            install.distributions.iter().partition(|distribution| sha256(distribution).is_some());
        for (part, require_hashes) in [(hashed, true), (rest, false)] {
            if part.is_empty() {
                continue;
            }
            let lines: String = part
                .iter()
                .map(|distribution| requirement_line(distribution, install.declared) + "\n")
                .collect();
            let file = workshop.write("requirements.txt", &lines)?;
            let command = match self {
                Self::Uv(uv) => uv.install(install, workshop, &file, require_hashes),
                Self::Pip(pip) => pip.install(install, &file, require_hashes),
            };
            run(&workshop.ready(command)?, "install the build requirements")?;
        }
        Ok(())
    }
}

/// A wheel to install where the user wants it, together with what it requires.
#[derive(Debug)]
pub(crate) struct WheelInstallation<'a> {
    /// The python of the environment that it goes into.
    pub python: &'a Path,
    pub wheel: &'a Path,
    /// The distribution's name.
    pub name: &'a str,
    pub extras: &'a [String],
    /// The names of what is installed because it requires it.
    pub dependencies: &'a [PackageName],
    pub indexes: &'a Indexes,
    pub directory: &'a Path,
    pub offline: bool,
}

impl WheelInstallation<'_> {
    /// `name[extra] @ file:///a.whl`
    fn requirement(&self) -> String {
        let extras = if self.extras.is_empty() {
            String::new()
        } else {
            format!("[{}]", self.extras.join(","))
        };
        let url = url::Url::from_file_path(self.wheel)
            .map_or_else(|()| self.wheel.to_string_lossy().into_owned(), |url| url.to_string());
        format!("{}{extras} @ {url}", self.name)
    }
}

/// What to install, and where.
#[derive(Debug)]
pub(crate) struct Installation<'a> {
    pub distributions: &'a [Distribution],
    /// The project's own words, which may have the credentials of direct URLs.
    pub declared: &'a [String],
    /// The environment's python.
    pub python: &'a Path,
    pub offline: bool,
}

fn sha256(distribution: &Distribution) -> Option<&str> {
    match &distribution.artifact {
        Artifact::Index { sha256, .. } => sha256.as_deref(),
        Artifact::Archive { sha256, .. } => Some(sha256),
        Artifact::Vcs { .. } | Artifact::Directory { .. } => None,
    }
}

/// A URL with the credentials that the project's requirement of this name has for the same host.
pub(super) fn with_credentials(url: &str, name: &str, declared: &[String]) -> String {
    let found = || {
        let mut full = url::Url::parse(url).ok()?;
        let requirement = declared
            .iter()
            .filter_map(|text| parse_requirement(text).ok())
            .find(|one| one.name.as_ref() == name)?;
        let Some(pep508_rs::VersionOrUrl::Url(source)) = &requirement.version_or_url else {
            return None;
        };
        let source = source.to_url();
        if source.host_str() != full.host_str() || source.username().is_empty() {
            return None;
        }
        full.set_username(source.username())
            .and_then(|()| full.set_password(source.password()))
            .ok()?;
        Some(full.to_string())
    };
    found().unwrap_or_else(|| url.to_owned())
}

/// A line of a requirements file that can be satisfied by this artifact only.
fn requirement_line(distribution: &Distribution, declared: &[String]) -> String {
    let name = &distribution.name;
    let hash =
        sha256(distribution).map(|sha256| format!(" --hash=sha256:{sha256}")).unwrap_or_default();
    match &distribution.artifact {
        Artifact::Index { .. } => {
            format!("{name}=={}{hash}", distribution.version.as_deref().unwrap_or_default())
        }
        Artifact::Archive { url, .. } => {
            format!("{name} @ {}{hash}", with_credentials(url, name, declared))
        }
        Artifact::Vcs { url, commit, subdirectory } => {
            let fragment = subdirectory
                .as_deref()
                .map(|path| format!("#subdirectory={path}"))
                .unwrap_or_default();
            format!("{name} @ git+{}@{commit}{fragment}", with_credentials(url, name, declared))
        }
        Artifact::Directory { path, .. } => {
            let url = url::Url::from_file_path(path)
                .map_or_else(|()| path.clone(), |url| url.to_string());
            format!("{name} @ {url}")
        }
    }
}

/// Constraints that may stand on a command line, and those that may not, as both installers'
/// variables take them: a URL can carry credentials.
fn public_and_secret(constraints: &[String]) -> (Vec<&String>, String) {
    let (public, secret): (Vec<_>, Vec<_>) = constraints
        .iter()
        .partition(|one| !one.contains("://") || process::mask_credentials(one) == **one);
    (public, secret.into_iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// Runs an installer; its own words are the error.
fn run(command: &Cmd, doing: &'static str) -> Result<process::Output, Error> {
    command.output().map_err(|source| match interruption(&source) {
        Some(signal) => Error::Interrupted(signal),
        None => Error::Installer { doing, source },
    })
}

/// The signal that ended an installer, if one did.
///
/// At a terminal that pip was lent, Ctrl-C reaches pip alone, which says so and exits with status 1.
///
/// Source: <https://github.com/pypa/pip/blob/25.3/src/pip/_internal/cli/base_command.py>,
/// `except KeyboardInterrupt`
fn interruption(error: &process::Error) -> Option<interrupt::Signal> {
    match error {
        process::Error::Interrupted { signal, .. } => Some(*signal),
        process::Error::Status { output, .. } if output.contains("Operation cancelled by user") => {
            Some(interrupt::Signal::KEYBOARD)
        }
        _ => None,
    }
}

/// Turns a local path that a lock file or report names into a directory artifact, by content.
fn directory_artifact(path: PathBuf) -> Result<Artifact, Error> {
    match super::request::content_of(&path) {
        Ok(content) => {
            Ok(Artifact::Directory { path: path.to_string_lossy().into_owned(), content })
        }
        Err(source) => Err(Error::LocalRequirement {
            requirement: path.to_string_lossy().into_owned(),
            path,
            source,
        }),
    }
}

/// The distribution that a package of a `pylock.toml` file stands for. Of several wheels the first
/// is the best.
pub(super) fn from_package(
    package: &pylock::Package,
    lock_directory: &Path,
    direct: bool,
) -> Result<Distribution, Error> {
    let broken = |reason: &str| Error::Protocol {
        what: format!("`{}` in the resolution {reason}", package.name),
    };
    let file = || package.wheels.first().or(package.sdist.as_ref());
    let artifact = if let Some(vcs) = &package.vcs {
        let url =
            vcs.url.clone().or_else(|| vcs.path.clone()).ok_or_else(|| broken("has no URL"))?;
        Artifact::Vcs {
            url: without_credentials(&url),
            commit: vcs.commit_id.clone(),
            subdirectory: vcs.subdirectory.clone(),
        }
    } else if let Some(directory) = &package.directory {
        directory_artifact(pylock::resolve_path(&directory.path, lock_directory).into())?
    } else if let Some(archive) = package.archive.as_ref().or_else(|| file().filter(|_| direct)) {
        let local = || {
            archive
                .path
                .as_deref()
                .map(|path| PathBuf::from(pylock::resolve_path(path, lock_directory)))
        };
        let url = match (&archive.url, local()) {
            (Some(url), _) => without_credentials(url),
            (None, Some(path)) => url::Url::from_file_path(&path)
                .map_err(|()| broken("has an invalid path"))?
                .to_string(),
            (None, None) => return Err(broken("has neither a URL nor a path")),
        };
        let sha256 = match (archive.hashes.get("sha256"), local()) {
            (Some(sha256), _) => sha256.clone(),
            (None, Some(path)) => {
                crate::digest::file(&path).map_err(|source| Error::LocalRequirement {
                    requirement: package.name.clone(),
                    path: path.clone(),
                    source,
                })?
            }
            (None, None) => return Err(broken("is an archive without a sha256")),
        };
        Artifact::Archive { url, sha256 }
    } else {
        let file = file().ok_or_else(|| broken("has no file for this interpreter"))?;
        Artifact::Index { filename: file.file_name(), sha256: file.hashes.get("sha256").cloned() }
    };
    Ok(Distribution { name: package.name.clone(), version: package.version.clone(), artifact })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)] // the paths are
    fn every_line_allows_one_artifact_only() {
        let line = |artifact: Artifact| {
            requirement_line(
                &Distribution { name: "a".into(), version: Some("1".into()), artifact },
                &[],
            )
        };
        assert_eq!(
            line(Artifact::Index { filename: "f".into(), sha256: Some("ab".into()) }),
            "a==1 --hash=sha256:ab"
        );
        assert_eq!(
            line(Artifact::Archive { url: "https://h/a.whl".into(), sha256: "ab".into() }),
            "a @ https://h/a.whl --hash=sha256:ab"
        );
        let vcs = Artifact::Vcs {
            url: "https://h/a.git".into(),
            commit: "c0".into(),
            subdirectory: Some("x".into()),
        };
        assert_eq!(line(vcs), "a @ git+https://h/a.git@c0#subdirectory=x");
        assert_eq!(
            line(Artifact::Directory { path: "/a b".into(), content: String::new() }),
            "a @ file:///a%20b"
        );
    }

    #[test]
    fn credentials_of_a_direct_url_come_from_the_project_and_go_to_the_same_host_only() {
        let declared = ["b>=1".to_owned(), "a @ git+https://me:p%40ss@h/a.git@main".to_owned()];
        assert_eq!(
            with_credentials("https://h/a.git", "a", &declared),
            "https://me:p%40ss@h/a.git"
        );
        for (url, name) in [
            ("https://other/a.git", "a"),
            ("https://h/a.git", "b"),
            ("https://h/a.git", "c"),
            ("no URL", "a"),
        ] {
            assert_eq!(with_credentials(url, name, &declared), url);
        }
    }
}
