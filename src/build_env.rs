//! Build environments: virtual environments that hold the build requirements and nothing else, at a
//! path that says so.
//!
//! [`Provisioner::provision`] goes from requirements to an environment:
//!
//! 1. The *request* ([`request`]) is everything that can change the outcome. Its memo, if recent,
//!    gives the distributions.
//! 2. Else the installer ([`installer`]: uv or pip, same outcome) *resolves*: names, versions and
//!    artifact hashes, nothing installed.
//! 3. The *fingerprint* ([`fingerprint`]) of interpreter and distributions names the environment:
//!    `envs/cp312-1a2b3c4d5e6f`.
//! 4. If it is not there, it is made ([`store`]) under a lock of its own, from exactly those
//!    artifacts, marker last.
//!
//! An environment never changes once its marker is there. A different content has a different path,
//! so cargo, CMake, Ninja and Meson rebuild exactly what depends on it; the same content is the
//! same path with the same mtimes in it, so they rebuild nothing.
//!
//! Not here: what the backend asks for at run time (the caller adds it to the requirements), and
//! running hooks.

#[cfg(feature = "remote")]
pub(crate) mod archive;
mod direct_url;
mod error;
pub(crate) mod fingerprint;
pub(crate) mod gc;
mod hashes;
pub(crate) mod indexes;
pub(crate) mod installer;
pub(crate) mod installs;
mod locking;
pub(crate) mod pylock;
pub(crate) mod request;
mod resolving;
pub(crate) mod settings;
pub(crate) mod store;
mod venv;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use direct_url::declare_editable;
pub(crate) use error::Error;
use fingerprint::{Distribution, EnvFingerprint};
use indexes::Indexes;
use installer::{Choice, Installation, Installer, WheelInstallation, Workshop};
use request::{Memo, Request, RequestContext};
use settings::Settings;
use store::Slot;
pub(crate) use venv::bin_in;

use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::project::{Lowered, Requirement, Sources, UvFile, local_path};
use crate::ui::{self, Ui};
use crate::{fs, interrupt};

/// A complete build environment.
#[derive(Debug, Clone)]
pub(crate) struct BuildEnv {
    pub path: PathBuf,
    pub python: PathBuf,
    pub fingerprint: String,
    pub outcome: Outcome,
    /// The installer that made it, `uv` or `pip`.
    pub installer: String,
    pub distributions: Vec<Distribution>,
    /// What provisioning took.
    pub duration: Duration,
}

/// Whether an environment was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Created,
    Reused,
}

/// Takes a lock, saying after a second whom we wait for: the holder, "which {does}".
pub(crate) fn lock(
    path: &Path,
    timeout: Option<Duration>,
    ui: &Ui,
    does: &str,
) -> Result<fs::Lock, Error> {
    let wait = fs::LockWait {
        timeout,
        waiting: &|holder| ui.status("Waiting", format_args!("for {holder}, which {does}")),
        interrupted: &|| interrupt::pending().is_some(),
    };
    fs::Lock::exclusive(path, &wait).map_err(Error::from_lock)
}

/// Everything that provisioning depends on, except the requirements.
#[derive(Debug)]
pub(crate) struct Provisioner<'a> {
    pub layout: &'a Layout,
    pub interpreter: &'a Interpreter,
    pub ui: &'a Ui,
    pub options: &'a Options,
    /// The source tree.
    pub directory: &'a Path,
    /// uv's settings for the project.
    pub uv_file: Option<&'a UvFile>,
    /// `build-constraint-dependencies` of uv's settings.
    pub inline_constraints: &'a [String],
    /// Where the project says that requirements come from.
    pub sources: &'a Sources,
    /// `[build-system] requires` as it is written.
    pub declared: &'a [String],
}

/// How to provision.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub installer: Choice,
    /// Constraints files or their URLs, those of the environment included.
    pub constraints: Vec<String>,
    /// As given by flags.
    pub indexes: Indexes,
    pub require_hashes: bool,
    pub offline: bool,
    pub upgrade: bool,
    /// How long a memo holds; `None` means until its request changes.
    pub max_age: Option<Duration>,
    /// `--locked`: the environment comes from `pylock.build.toml`.
    pub locked: bool,
    pub lock_timeout: Option<Duration>,
}

/// What counts of flags, variables and the installer's own configuration.
#[derive(Debug)]
struct Taken {
    indexes: Indexes,
    settings: Settings,
    /// Files or URLs.
    constraints: Vec<String>,
}

impl Provisioner<'_> {
    /// Finds or makes the environment for `requirements`.
    pub(crate) fn provision(&self, requirements: &[Requirement]) -> Result<BuildEnv, Error> {
        let start = Instant::now();
        let (memo, _) = self.resolve(requirements)?;
        self.realise(&memo, start)
    }

    /// Finds the distributions that satisfy the requirements, from the memo or by resolving.
    /// Installs nothing.
    pub(crate) fn resolve(&self, requirements: &[Requirement]) -> Result<(Memo, PathBuf), Error> {
        let lock_file = self.lock_file()?;
        let taken = self.taken()?;
        let lowered = self.sources.lower(requirements, &self.interpreter.markers)?;
        let request = self.request(&lowered, lock_file.as_deref(), &taken)?;
        let path = request.memo_path(&self.layout.requests());
        let old = Memo::read(&path);
        if let Some(memo) = &old {
            let max_age = if self.options.offline { None } else { self.options.max_age };
            if !self.options.upgrade && memo.is_recent(max_age) && memo.is_current(&request) {
                return Ok((memo.clone(), path));
            }
        }
        let distributions = match &lock_file {
            Some(text) => self.resolve_locked(text, requirements, &taken)?,
            None => self.resolve_open(&lowered, &taken)?,
        };
        let fingerprint = EnvFingerprint::new(&self.interpreter.identity, &distributions);
        let mut memo = Memo::new(&request, fingerprint.hex().to_owned(), distributions);
        // What hooks said before is still the best guess.
        memo.dynamic = old.map(|old| old.dynamic).unwrap_or_default();
        memo.write(&path)?;
        Ok((memo, path))
    }

    fn request(
        &self,
        requirements: &[Lowered],
        lock_file: Option<&str>,
        taken: &Taken,
    ) -> Result<Request, Error> {
        let context = RequestContext {
            interpreter: self.interpreter,
            constraints: &taken.constraints,
            inline_constraints: self.inline_constraints,
            indexes: &taken.indexes,
            settings: &taken.settings,
            uv_file: self.uv_file,
            require_hashes: self.options.require_hashes,
            locked: lock_file.map(str::as_bytes),
        };
        Request::new(&context, requirements)
    }

    /// Where the memo of these requirements is, or would be; its name is a digest of all that is
    /// asked for.
    pub(crate) fn memo_path(&self, requirements: &[Requirement]) -> Result<PathBuf, Error> {
        let request = self.request(
            &self.sources.lower(requirements, &self.interpreter.markers)?,
            self.lock_file()?.as_deref(),
            &self.taken()?,
        )?;
        Ok(request.memo_path(&self.layout.requests()))
    }

    /// The index settings of flags and of the environment.
    pub(crate) fn indexes(&self) -> Indexes {
        self.options.indexes.clone().or_environment(Installer::dialect(self.options.installer))
    }

    fn taken(&self) -> Result<Taken, Error> {
        let settings = Settings::read(
            Installer::dialect(self.options.installer),
            self.uv_file,
            &self.interpreter.prefix(),
        )?;
        let indexes = settings.complete(self.indexes());
        let of_files =
            settings.constraints().into_iter().map(|file| match std::path::absolute(&file) {
                Ok(path) if !file.contains("://") => path.to_string_lossy().into_owned(),
                _ => file,
            });
        let constraints = self.options.constraints.iter().cloned().chain(of_files).collect();
        Ok(Taken { indexes, settings, constraints })
    }

    /// Gets the installer ready, and calls `work` with it and the place where it works.
    fn with_installer<T>(
        &self,
        taken: &Taken,
        work: impl FnOnce(&Installer, &Workshop<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let cannot_write = |source| Error::Write { path: self.layout.root().to_path_buf(), source };
        let (scratch, _in_use) = self.scratch().map_err(cannot_write)?;
        let directory = fs::canonicalize(scratch.path()).map_err(cannot_write)?;
        let workshop = Workshop {
            indexes: &taken.indexes,
            settings: &taken.settings,
            directory: &directory,
            ui: self.ui,
        };
        let installer =
            Installer::prepare(self.options.installer, self.interpreter, self.layout, &workshop)?;
        work(&installer, &workshop)
    }

    /// A temporary directory, and the lock that says that it is in use. Those of killed processes
    /// are removed: the configuration in there may have credentials.
    fn scratch(&self) -> io::Result<(tempfile::TempDir, std::fs::File)> {
        const PREFIX: &str = "provision-";
        const LOCK: &str = "in-use";
        let entries = fs_err::read_dir(self.layout.tmp()).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            let is_dead = entry.file_name().to_string_lossy().starts_with(PREFIX)
                && std::fs::File::open(entry.path().join(LOCK))
                    .is_ok_and(|lock| lock.try_lock().is_ok());
            if is_dead {
                let _ = fs::remove_dir_all(&entry.path());
            }
        }
        let scratch = self.layout.temporary(PREFIX)?;
        // Locked before it has its name, or another process would take it for a dead one's.
        let lock = tempfile::NamedTempFile::new_in(scratch.path())?;
        lock.as_file().lock()?;
        let lock = lock.persist(scratch.path().join(LOCK)).map_err(|error| error.error)?;
        Ok((scratch, lock))
    }

    /// Installs a wheel into an environment of the user's, as the user's configuration says.
    /// Returns the installer's name.
    pub(crate) fn install_wheel(
        &self,
        install: &WheelInstallation<'_>,
    ) -> Result<&'static str, Error> {
        self.with_installer(&self.taken()?, |installer, workshop| {
            let _spinner =
                self.ui.spinner(format!("installing {} ({})", install.name, installer.name()));
            let sources = self.sources_of(install.dependencies, installer, workshop)?;
            installer.install_wheel(install, sources.as_deref(), self.ui).map(|()| installer.name())
        })
    }

    /// The environment that a memo stands for, made if it is not there.
    pub(crate) fn realise(&self, memo: &Memo, start: Instant) -> Result<BuildEnv, Error> {
        let fingerprint = EnvFingerprint::new(&self.interpreter.identity, &memo.distributions);
        let name = fingerprint.directory_name();
        let slot = Slot::new(self.layout, &name);
        let env = |marker: store::Marker, outcome: Outcome| BuildEnv {
            path: slot.path.clone(),
            python: venv::python_in(&slot.path),
            fingerprint: marker.fingerprint,
            outcome,
            installer: marker.installer,
            distributions: marker.distributions,
            duration: start.elapsed(),
        };
        if let Some(marker) = slot.read() {
            return Ok(env(marker, Outcome::Reused));
        }
        let _lock = slot.lock(self.options.lock_timeout, self.ui)?;
        // Another process may have made it while we waited.
        if let Some(marker) = slot.read() {
            return Ok(env(marker, Outcome::Reused));
        }
        let count = memo.distributions.len();
        let marker = if count == 0 {
            let name = Installer::dialect(self.options.installer).name();
            slot.make(self.interpreter, &fingerprint, &[], name, |_| Ok(()))?
        } else {
            let origins = self.origins();
            self.with_installer(&self.taken()?, |installer, workshop| {
                let _spinner = self.ui.spinner(format!(
                    "installing {count} build requirements ({})",
                    installer.name()
                ));
                slot.make(
                    self.interpreter,
                    &fingerprint,
                    &memo.distributions,
                    installer.name(),
                    |python| {
                        let (distributions, declared, offline) =
                            (&memo.distributions, &origins, self.options.offline);
                        installer.install(
                            &Installation { distributions, declared, python, offline },
                            workshop,
                        )
                    },
                )
            })?
        };
        let made = env(marker, Outcome::Created);
        self.ui.status(
            "Provisioned",
            format_args!(
                "{name} for {} ({}) in {}",
                self.interpreter.identity.display(),
                match count {
                    0 => "empty".to_owned(),
                    1 => format!("1 package by {}", made.installer),
                    _ => format!("{count} packages by {}", made.installer),
                },
                ui::seconds(made.duration)
            ),
        );
        Ok(made)
    }
}

/// The names of requirements that are local directories or files.
fn local_names<'a>(requirements: impl IntoIterator<Item = &'a Lowered>) -> Vec<String> {
    let local =
        requirements.into_iter().filter(|lowered| local_path(&lowered.requirement).is_some());
    local.map(|lowered| lowered.requirement.name.to_string()).collect()
}

/// Whether an installed version is what a requirement asks for, extras aside.
pub(crate) fn satisfies(requirement: &Requirement, version: Option<&str>) -> bool {
    match (&requirement.version_or_url, version.and_then(|version| version.parse().ok())) {
        (None, _) => true,
        (Some(pep508_rs::VersionOrUrl::VersionSpecifier(specifiers)), Some(version)) => {
            specifiers.contains(&version)
        }
        // A URL must be resolved to know; an unparsable version satisfies nothing.
        (Some(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn satisfaction_is_of_versions() {
        let check = |requirement: &str, version| satisfies(&requirement.parse().unwrap(), version);
        assert!(check("a>=1", Some("1.2")) && check("a", Some("1")) && check("a", None));
        assert!(
            !check("a>=2", Some("1.2"))
                && !check("a>=1", None)
                && !check("a @ https://h/a.whl", Some("1"))
        );
    }
}
