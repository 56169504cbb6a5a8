//! uv: `pip compile --format pylock.toml` and `pip install`.

use std::path::{Path, PathBuf};

use super::{
    Dialect, Distribution, Installation, Resolution, WheelInstallation, Workshop, from_package,
    public_and_secret,
};
use crate::build_env::Error;
use crate::build_env::fingerprint::Artifact;
use crate::build_env::pylock::Pylock;
use crate::process::{self, Cmd};

/// Variables that would send packages of the user's elsewhere.
const MISLEADING: &[&str] = &[
    "UV_SYSTEM_PYTHON",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PYTHON",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_OFFLINE",
    // A wheel that was built a moment ago has no hash that anyone could know.
    "UV_REQUIRE_HASHES",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
];
/// A uv on PATH.
#[derive(Debug)]
pub(crate) struct Uv {
    program: PathBuf,
}

pub(super) fn find() -> Option<PathBuf> {
    which::which("uv").ok()
}

impl Uv {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    fn command(&self, verb: &str) -> Cmd {
        Cmd::new(&self.program).args(["pip", verb, "--quiet", "--color", "never"])
    }

    pub(super) fn install_wheel(
        &self,
        install: &WheelInstallation<'_>,
        sources: Option<&str>,
    ) -> Cmd {
        let mut command = MISLEADING
            .iter()
            .fold(self.command("install").cwd(install.directory), Cmd::env_remove)
            .arg("--python")
            .arg(install.python)
            .args(["--reinstall-package", install.name]);
        for (wanted, flag) in [
            (install.dependencies.is_empty(), "--no-deps"),
            (install.offline, "--offline"),
            (install.indexes.no_index, "--no-index"),
        ] {
            if wanted {
                command = command.arg(flag);
            }
        }
        if let Some(sources) = sources {
            command = command.arg("--constraints").arg(sources);
        }
        install.indexes.apply(command.arg(install.requirement()), Dialect::Uv)
    }

    /// Runs `pip compile`; `extra` are further arguments. Returns the lock file's text.
    fn compile(
        &self,
        resolution: &Resolution<'_>,
        workshop: &Workshop<'_>,
        directory: &Path,
        extra: &[&str],
    ) -> Result<String, Error> {
        let input =
            workshop.write("requirements.in", &(resolution.requirements.join("\n") + "\n"))?;
        let mut command = self
            .command("compile")
            .arg(&input)
            .args(["--format", "pylock.toml", "--no-header", "--no-annotate", "--python"])
            .arg(&resolution.interpreter.base_executable);
        let (public, secret) = public_and_secret(resolution.constraints);
        if !secret.is_empty() {
            command = command.env("UV_CONSTRAINT", &secret).env("UV_BUILD_CONSTRAINT", &secret);
        }
        for constraints in public {
            command = command
                .arg("--constraints")
                .arg(constraints)
                .arg("--build-constraints")
                .arg(constraints);
        }
        for (wanted, flag) in [
            (resolution.offline, "--offline"),
            (resolution.refresh, "--refresh"),
            (resolution.no_deps, "--no-deps"),
            // There is no variable for it.
            (workshop.indexes.no_index, "--no-index"),
        ] {
            if wanted {
                command = command.arg(flag);
            }
        }
        // uv would take what it has built of a local directory before, unless `pyproject.toml` has
        // changed.
        for name in resolution.local {
            command = command.args(["--refresh-package", name]);
        }
        // Paths in what it prints are relative to where it runs.
        let command = workshop.ready(command.args(extra))?.cwd(directory);
        let output = command.output().map_err(|source| match source {
            process::Error::Interrupted { signal, .. } => Error::Interrupted(signal),
            process::Error::Status { output, .. }
                if output.contains("unexpected argument")
                    || output.contains("invalid value 'pylock.toml'") =>
            {
                Error::NoInstaller {
                    reason: "the uv on PATH cannot write pylock.toml files".to_owned(),
                    hint: "update uv (0.7 or newer), or use `--installer pip`".to_owned(),
                }
            }
            source => Error::Resolve { source, offline: resolution.offline },
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) fn resolve(
        &self,
        resolution: &Resolution<'_>,
        workshop: &Workshop<'_>,
    ) -> Result<Vec<Distribution>, Error> {
        let text = self.compile(resolution, workshop, workshop.directory, &[])?;
        let lock = Pylock::parse(&text).map_err(|message| Error::Protocol {
            what: format!("uv's resolution cannot be read: {message}"),
        })?;
        lock.packages
            .iter()
            .map(|package| from_package(package, workshop.directory, resolution.direct))
            .collect()
    }

    pub(super) fn lock_universal(
        &self,
        resolution: &Resolution<'_>,
        workshop: &Workshop<'_>,
        directory: &Path,
        minimum_python: &str,
    ) -> Result<String, Error> {
        self.compile(
            resolution,
            workshop,
            directory,
            &["--universal", "--python-version", minimum_python],
        )
    }

    pub(super) fn install(
        &self,
        install: &Installation<'_>,
        workshop: &Workshop<'_>,
        requirements: &Path,
        require_hashes: bool,
    ) -> Cmd {
        let mut command = self
            .command("install")
            .args(["--no-deps", "--link-mode", "copy", "--no-compile-bytecode", "--python"])
            .arg(install.python)
            .arg("--requirements")
            .arg(requirements);
        for (wanted, flag) in [
            (require_hashes, "--require-hashes"),
            (install.offline, "--offline"),
            (workshop.indexes.no_index, "--no-index"),
        ] {
            if wanted {
                command = command.arg(flag);
            }
        }
        let directories = install
            .distributions
            .iter()
            .filter(|one| matches!(one.artifact, Artifact::Directory { .. }));
        for distribution in directories {
            command = command.args(["--refresh-package", &distribution.name]);
        }
        command
    }
}
