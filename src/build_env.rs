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

mod direct_url;
pub(crate) mod fingerprint;
pub(crate) mod gc;
pub(crate) mod indexes;
pub(crate) mod installer;
pub(crate) mod installs;
pub(crate) mod pylock;
pub(crate) mod request;
pub(crate) mod settings;
pub(crate) mod store;
mod venv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use direct_url::declare_editable;
use fingerprint::{Distribution, EnvFingerprint};
use indexes::Indexes;
use installer::{Choice, Installation, Installer, Resolution, WheelInstallation, Workshop};
use request::{Memo, Request, RequestContext};
use settings::Settings;
use store::Slot;
pub(crate) use venv::bin_in;

use crate::interpreter::Interpreter;
use crate::layout::{CANNOT_WRITE, Layout};
use crate::project::{self, Lowered, Requirement, Sources, UvFile, local_path, parse_requirement};
use crate::ui::{self, Ui};
use crate::{fs, interrupt, process};

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

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the constraints file `{}`", path.display())]
    Constraints { path: PathBuf, source: std::io::Error },
    #[error("failed to read `{}`, the file of the requirement `{requirement}`", path.display())]
    LocalRequirement { requirement: String, path: PathBuf, source: std::io::Error },
    #[error("failed to read uv's configuration file `{}`: {reason}", path.display())]
    Settings { path: PathBuf, reason: String },
    #[error("no usable installer: {reason}")]
    NoInstaller { reason: String, hint: String },
    #[error("failed to resolve the build requirements")]
    Resolve { source: process::Error, offline: bool },
    #[error("failed to {doing}")]
    Installer { doing: &'static str, source: process::Error },
    #[error("failed to create the virtual environment")]
    Venv { source: process::Error },
    #[error("unexpected result from the installer: {what}")]
    Protocol { what: String },
    #[error("no hash is given for `{name}`, but `--require-hashes` is set")]
    HashMissing { name: String },
    #[error("hash mismatch for `{name}`: {expected_by} does not allow sha256:{actual}")]
    HashMismatch { name: String, actual: String, expected_by: String },
    #[error("`{}` cannot be used: {reason}", path.display())]
    Lock { path: PathBuf, reason: String },
    #[error("`{}` is missing after the installation", path.display())]
    Installed { path: PathBuf, source: std::io::Error },
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Project(#[from] project::Error),
    #[error("{0}")]
    LockTimedOut(String),
    #[error("interrupted by {0}")]
    Interrupted(interrupt::Signal),
}

impl Error {
    fn from_lock(error: fs::LockError) -> Self {
        match error {
            fs::LockError::Io { path, source } => Self::Write { path, source },
            timed_out @ fs::LockError::TimedOut { .. } => Self::LockTimedOut(timed_out.to_string()),
            fs::LockError::Interrupted { path } => match interrupt::pending() {
                Some(signal) => Self::Interrupted(signal),
                None => Self::LockTimedOut(format!("stopped waiting for `{}`", path.display())),
            },
        }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Resolve { source, .. } | Self::Installer { source, .. } | Self::Venv { source } if lacks_room(&source.to_string()) => {
                CANNOT_WRITE.to_owned()
            }
            Self::Resolve { source: process::Error::Terminal { .. }, .. }
            | Self::Installer { source: process::Error::Terminal { .. }, .. } => WANTS_TERMINAL.to_owned(),
            Self::NoInstaller { hint, .. } => hint.clone(),
            Self::Project(error) => return error.hint(),
            Self::Resolve { offline: true, .. } => "run once without `--offline`; later runs \
                reuse the result".to_owned(),
            Self::Resolve { source, .. } => resolve_hint(&source.to_string()),
            Self::HashMissing { .. } => {
                "add `name==version --hash=sha256:...` to a constraints file, or use `lock` and `--locked`".to_owned()
            }
            Self::HashMismatch { .. } => "the artifact differs from the trusted one: find out why \
                before you allow its hash".to_owned(),
            Self::Lock { .. } => "write it again with `cargo pyenv-build lock`".to_owned(),
            Self::LockTimedOut(_) => format!("set `{}` (seconds) to wait longer", crate::env_vars::LOCK_TIMEOUT),
            Self::Write { .. } => CANNOT_WRITE.to_owned(),
            Self::Constraints { .. } => {
                "constraints come from `-c`, `[tool.pyenv-build] constraints`, PIP_CONSTRAINT and UV_BUILD_CONSTRAINT".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }
}

/// The hint where something asks, and nobody can answer.
pub(crate) const WANTS_TERMINAL: &str = "run it in the foreground of a terminal, or provide \
    credentials another way: an agent, a token, a credential helper";

/// Whether another program says that it could not write.
fn lacks_room(output: &str) -> bool {
    ["No space left on device", "Read-only file system", "Disk quota exceeded", "File too large"]
        .iter()
        .any(|words| output.contains(words))
}

fn resolve_hint(output: &str) -> String {
    let lower = output.to_ascii_lowercase();
    let network = [
        "dns error",
        "connection",
        "failed to fetch",
        "name resolution",
        "timed out",
        "network",
        "proxy",
        "error sending request",
    ];
    if network.iter().any(|word| lower.contains(word)) {
        return "the package index cannot be reached: check the network and the index URL, or \
            reuse an earlier build environment with `--offline`"
            .to_owned();
    }
    "check `[build-system] requires` in pyproject.toml, and the requirements that the backend adds"
        .to_owned()
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
        let lowered = self.sources.lower(requirements)?;
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
            &self.sources.lower(requirements)?,
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
        let settings = Settings::read(Installer::dialect(self.options.installer), self.uv_file)?;
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
        let scratch = self.layout.temporary("provision-").map_err(cannot_write)?;
        let directory = fs::canonicalize(scratch.path()).map_err(cannot_write)?;
        let workshop =
            Workshop { indexes: &taken.indexes, settings: &taken.settings, directory: &directory };
        let installer = Installer::prepare(
            self.options.installer,
            self.interpreter,
            self.layout,
            &workshop,
            self.ui,
        )?;
        work(&installer, &workshop)
    }

    /// Installs a wheel into an environment of the user's, as the user's configuration says.
    /// Returns the installer's name.
    pub(crate) fn install_wheel(
        &self,
        install: &WheelInstallation<'_>,
    ) -> Result<&'static str, Error> {
        self.with_installer(&self.taken()?, |installer, _| {
            let _spinner =
                self.ui.spinner(format!("installing {} ({})", install.name, installer.name()));
            installer.install_wheel(install).map(|()| installer.name())
        })
    }

    fn resolution<'b>(
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
    fn all_constraints(&self, taken: &Taken, scratch: &Path) -> Result<Vec<String>, Error> {
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
    fn choose(
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
            .own(requirements)
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
        let (indexed, mut fixed): (Vec<&Lowered>, Vec<&Lowered>) =
            own.iter().partition(|lowered| lowered.index.is_some());
        fixed.retain(|own| {
            !requirements.iter().any(|lowered| lowered.requirement.name == own.requirement.name)
        });
        let mut lines: Vec<String> =
            fixed.iter().map(|lowered| lowered.requirement.to_string()).collect();
        loop {
            let mut constraints = constraints.to_vec();
            if !lines.is_empty() {
                constraints.push(
                    workshop
                        .write("sources.txt", &(lines.join("\n") + "\n"))?
                        .to_string_lossy()
                        .into_owned(),
                );
            }
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
    fn origins(&self) -> Vec<String> {
        let mut origins = self.declared.to_vec();
        for lowered in self.sources.own(&[]) {
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

    fn resolve_open(
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

    fn lock_path(&self) -> PathBuf {
        self.directory.join(pylock::FILE_NAME)
    }

    fn lock_file(&self) -> Result<Option<String>, Error> {
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
    fn resolve_locked(
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
            if !satisfies(requirement, package.version.as_deref()) {
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
        let pins = self.sources.lower(&pins)?;
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
        let lowered = self.sources.lower(requirements)?;
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
            let resolution = self.resolution(&strings, &constraints, &local);
            let universal = is_for_all
                .then(|| installer.lock_universal(&resolution, workshop, self.directory, &minimum))
                .flatten();
            universal.unwrap_or_else(|| {
                Ok(self
                    .lock_here(self.choose(installer, workshop, &lowered, &constraints, false)?)
                    .to_toml())
            })
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

/// `name -> allowed sha256` of constraints files (`name==version --hash=sha256:...`, continued over
/// lines by backslashes).
fn allowed_hashes(constraints: &[String]) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in constraints.iter().filter(|file| !file.contains("://")) {
        let text = fs_err::read_to_string(file)
            .map_err(|source| Error::Constraints { path: file.into(), source })?;
        for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let (requirement, options) = line
                .split_once("--hash")
                .map_or((line, ""), |(head, _)| (head, &line[head.len()..]));
            let Ok(requirement) = parse_requirement(requirement.trim()) else { continue };
            let hashes = options.split("--hash").filter_map(|option| {
                option.trim_start_matches(['=', ' ']).trim().strip_prefix("sha256:")
            });
            allowed
                .entry(requirement.name.to_string())
                .or_default()
                .extend(hashes.map(|hash| hash.trim().to_ascii_lowercase()));
        }
    }
    Ok(allowed)
}

/// Fails unless every distribution's hash is among those allowed for its name.
fn check_hashes(
    distributions: &[Distribution],
    allowed: &BTreeMap<String, Vec<String>>,
    by: &str,
) -> Result<(), Error> {
    for distribution in distributions {
        let name = || distribution.name.clone();
        let Some(hashes) = allowed.get(&distribution.name).filter(|hashes| !hashes.is_empty())
        else {
            return Err(Error::HashMissing { name: name() });
        };
        let (fingerprint::Artifact::Index { sha256: Some(actual), .. }
        | fingerprint::Artifact::Archive { sha256: actual, .. }) = &distribution.artifact
        else {
            return Err(Error::HashMissing { name: name() });
        };
        if !hashes.contains(actual) {
            return Err(Error::HashMismatch {
                name: name(),
                actual: actual.clone(),
                expected_by: by.to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_from_constraints_over_continued_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.txt");
        fs_err::write(&file, "# x\nMaturin==1.9.0 \\\n    --hash=sha256:AA \\\n    --hash=sha256:bb\ntomli==2 ; python_version < '3.11' --hash=sha256:cc # why\nplain>=1\n").unwrap();
        let allowed = allowed_hashes(&[file.to_string_lossy().into_owned()]).unwrap();
        assert_eq!(allowed["maturin"], ["aa", "bb"]);
        assert_eq!(allowed["tomli"], ["cc"]);
        assert!(allowed["plain"].is_empty());
    }

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
