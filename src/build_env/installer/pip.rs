//! pip: `install --dry-run --report` and `install`, run from a tool environment of its own so that
//! build environments hold nothing but build requirements.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    Dialect, Distribution, Installation, Resolution, WheelInstallation, Workshop,
    directory_artifact, interruption, public_and_secret, run,
};
use crate::build_env::fingerprint::Artifact;
use crate::build_env::{self, Error, venv};
use crate::digest;
use crate::env_vars;
use crate::fs;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::process::{self, Cmd};

/// The oldest pip with `--python` (22.3) and a stable installation report (23.0).
const OLDEST: (u32, u32) = (23, 0);
/// The oldest pip that understands all requirements that uv does: before, `x @ git+file:///path` was none.
const WANTED: (u32, u32) = (24, 1);

/// Variables that would send packages of the user's elsewhere, or other packages there.
const MISLEADING: &[&str] = &[
    "PIP_REQUIREMENT",
    // A wheel that was built a moment ago has no hash that anyone could know.
    "PIP_REQUIRE_HASHES",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_PYTHON",
    "PIP_DRY_RUN",
    "PIP_REPORT",
    "PIP_IGNORE_INSTALLED",
    "PIP_EDITABLE",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
];
/// A pip that can be run.
#[derive(Debug)]
pub(crate) struct Pip {
    /// The interpreter that has it.
    python: PathBuf,
}

impl Pip {
    pub(super) fn prepare(
        interpreter: &Interpreter,
        layout: &Layout,
        workshop: &Workshop<'_>,
    ) -> Result<Self, Error> {
        let name = format!(
            "pip-{}-{}",
            interpreter.identity.abi(),
            &digest::json(&interpreter.identity)[..12]
        );
        let directory = layout.tools().join(&name);
        let python = venv::python_in(&directory);
        let marker = layout.tools().join(format!("{name}.json"));
        if marker.is_file() && is_whole(&directory) {
            return Ok(Self { python });
        }
        let _lock = build_env::lock(
            &layout.tools().join(format!("{name}.lock")),
            None,
            workshop.ui,
            "sets up pip",
        )?;
        if marker.is_file() && is_whole(&directory) {
            return Ok(Self { python });
        }
        let _spinner = workshop.ui.spinner("setting up pip");
        fs::remove_dir_all(&directory)
            .map_err(|source| Error::Write { path: directory.clone(), source })?;
        // Not in the project: Pythons before 3.10 install pip where a `setup.cfg` in the current
        // directory says.
        let made = workshop.ready(
            Cmd::new(&interpreter.base_executable).args(["-I", "-m", "venv"]).arg(&directory),
        )?;
        match made.output() {
            Ok(_) => {}
            Err(process::Error::Interrupted { signal, .. }) => {
                return Err(Error::Interrupted(signal));
            }
            Err(error) => {
                // Debian's python without python3-venv: perhaps it has a pip of its own.
                let own = Self { python: interpreter.base_executable.clone() };
                fs::remove_dir_all(&directory)
                    .map_err(|source| Error::Write { path: directory.clone(), source })?;
                return match own.version(workshop)? {
                    Some(version) if version >= OLDEST => Ok(own),
                    _ => Err(Error::NoInstaller {
                        reason: format!("uv is not on PATH, and setting up pip for `{}` failed: \
                            {error}", interpreter.path.display()),
                        hint: "install uv, or the interpreter's venv and ensurepip modules (on Debian: python3-venv)".to_owned(),
                    }),
                };
            }
        }
        let pip = Self { python };
        let version = pip.version(workshop)?;
        if version.is_none_or(|version| version < WANTED) {
            workshop.ui.detail("the interpreter's pip is too old: updating our own copy of it");
            let command = Self::without_questions(pip.command(None, "install"), false)
                .args(["--upgrade", "pip>=24.1"]);
            match run(&workshop.ready(command)?, "update pip") {
                Ok(_) => {}
                Err(Error::Interrupted(signal)) => return Err(Error::Interrupted(signal)),
                // Without network the old one will do, for most requirements.
                Err(_) if version.is_some_and(|version| version >= OLDEST) => {}
                Err(error) => return Err(error),
            }
        }
        fs::write_atomic(&marker, b"{\"schema\": 1}\n")
            .map_err(|source| Error::Write { path: marker, source })?;
        Ok(pip)
    }

    /// `(major, minor)` of this pip, if it runs.
    fn version(&self, workshop: &Workshop<'_>) -> Result<Option<(u32, u32)>, Error> {
        let command =
            workshop.ready(Cmd::new(&self.python).args(["-I", "-m", "pip", "--version"]))?;
        Ok(command
            .output()
            .ok()
            .and_then(|output| version_in(&String::from_utf8_lossy(&output.stdout))))
    }

    /// A pip command for the interpreter that has it, or for another environment.
    fn command(&self, python: Option<&Path>, verb: &str) -> Cmd {
        let command = Cmd::new(&self.python).args(["-I", "-m", "pip"]);
        // `--python` goes before the verb.
        let command =
            python.into_iter().fold(command, |command, python| command.arg("--python").arg(python));
        command.args([
            verb,
            "--disable-pip-version-check",
            "--no-color",
            "--progress-bar",
            "off",
            "--quiet",
        ])
    }

    /// The same, which asks nobody for the password of an index. Where git is to clone something, or
    /// may have to for a requirement of a requirement, the option is left out: with it, pip replaces
    /// `GIT_SSH_COMMAND` by an ssh that asks for no pass phrase.
    ///
    /// Source: <https://github.com/pypa/pip/blob/26.0/src/pip/_internal/vcs/git.py>, `no_input`
    fn without_questions(command: Cmd, uses_git: bool) -> Cmd {
        let has_ssh = env_vars::get("GIT_SSH_COMMAND").is_some();
        if uses_git || has_ssh { command } else { command.arg("--no-input") }
    }

    pub(super) fn resolve(
        &self,
        resolution: &Resolution<'_>,
        workshop: &Workshop<'_>,
    ) -> Result<Vec<Distribution>, Error> {
        let input =
            workshop.write("requirements.in", &(resolution.requirements.join("\n") + "\n"))?;
        let report = workshop.directory.join("report.json");
        let uses_git = resolution.requirements.iter().any(|text| text.contains("git+"));
        let mut command = Self::without_questions(self.command(None, "install"), uses_git)
            .args(["--dry-run", "--ignore-installed", "--report"])
            .arg(&report)
            .arg("--requirement")
            .arg(&input);
        let (public, secret) = public_and_secret(resolution.constraints);
        for (index, constraints) in public.into_iter().enumerate() {
            let copy = workshop.directory.join(format!("constraints-{index}.txt"));
            command = command.arg("--constraint").arg(without_hashes(constraints, copy)?);
        }
        if resolution.no_deps {
            command = command.arg("--no-deps");
        }
        let mut command = workshop.ready(command)?;
        if !secret.is_empty() {
            command = command.env("PIP_CONSTRAINT", secret);
        }
        if resolution.offline {
            command = command.env("PIP_NO_INDEX", "1");
        }
        command.output().map_err(|source| match interruption(&source) {
            Some(signal) => Error::Interrupted(signal),
            None => Error::Resolve { source, offline: resolution.offline },
        })?;
        let bytes = fs_err::read(&report)
            .map_err(|error| Error::Protocol { what: format!("pip wrote no report: {error}") })?;
        let report: Report = serde_json::from_slice(&bytes).map_err(|error| Error::Protocol {
            what: format!("pip's report cannot be read: {error}"),
        })?;
        if report.version != "1" {
            return Err(Error::Protocol {
                what: format!(
                    "pip's report has version {}, but only version 1 is supported",
                    report.version
                ),
            });
        }
        report
            .install
            .into_iter()
            .map(|installed| installed.distribution(resolution.direct))
            .collect()
    }

    /// First what the wheel requires, for which pip takes an installed distribution of the same
    /// version for the wheel; then the wheel, whatever is installed.
    pub(super) fn install_wheel(
        &self,
        install: &WheelInstallation<'_>,
        sources: Option<&str>,
    ) -> Vec<Cmd> {
        let command = || {
            let command = self.command(Some(install.python), "install");
            let command = Self::without_questions(command, false)
                .cwd(install.directory)
                .arg("--no-warn-script-location");
            MISLEADING.iter().fold(command, Cmd::env_remove)
        };
        let mut commands =
            vec![command().args(["--no-deps", "--force-reinstall"]).arg(install.wheel)];
        if !install.dependencies.is_empty() {
            let mut first = command().arg(install.requirement());
            if let Some(sources) = sources {
                first = first.arg("--constraint").arg(sources);
            }
            commands.insert(0, first);
        }
        let commands = commands.into_iter().map(|command| {
            let command = install.indexes.apply(command, Dialect::Pip);
            if install.offline { command.env("PIP_NO_INDEX", "1") } else { command }
        });
        commands.collect()
    }

    pub(super) fn install(
        &self,
        install: &Installation<'_>,
        requirements: &Path,
        require_hashes: bool,
    ) -> Cmd {
        let uses_git = install
            .distributions
            .iter()
            .any(|distribution| matches!(distribution.artifact, Artifact::Vcs { .. }));
        let command = self.command(Some(install.python), "install");
        let mut command = Self::without_questions(command, uses_git)
            .args(["--no-deps", "--no-compile", "--no-warn-script-location", "--requirement"])
            .arg(requirements);
        if require_hashes {
            command = command.arg("--require-hashes");
        }
        if install.offline { command.arg("--no-index") } else { command }
    }
}

/// `(major, minor)` in `pip 24.1 from ...`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether an environment has a pip of which every file is there, in the size that it was installed
/// in.
fn is_whole(environment: &Path) -> bool {
    let records = || {
        let library = environment.join(if cfg!(windows) { "Lib" } else { "lib" });
        let versions = if cfg!(windows) { vec![library] } else { list(&library) };
        let sites = versions.into_iter().map(|version| version.join("site-packages"));
        sites.flat_map(|site| list(&site)).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pip-"))
        })
    };
    let is_there = |info: &PathBuf| {
        let site = info.parent().unwrap_or(info);
        let text = fs_err::read_to_string(info.join("RECORD")).unwrap_or_default();
        // `path,digest,size`; byte code has no size, and may be gone.
        let mut sized = text.lines().filter_map(|line| {
            let (rest, size) = line.rsplit_once(',')?;
            Some((rest.rsplit_once(',')?.0.trim_matches('"'), size.parse::<u64>().ok()?))
        });
        !text.is_empty()
            && sized.all(|(path, size)| {
                fs_err::metadata(site.join(path)).is_ok_and(|file| file.len() == size)
            })
    };
    venv::python_in(environment).is_file()
        && records().next().is_some()
        && records().all(|info| is_there(&info))
}

fn list(directory: &Path) -> Vec<PathBuf> {
    fs_err::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// A constraints file that pip can use: a hash in one switches pip to a mode in which every
/// requirement must be pinned and hashed by itself. The hashes are looked at afterwards, whichever
/// installer it is.
fn without_hashes(constraints: &str, copy: PathBuf) -> Result<PathBuf, Error> {
    if constraints.contains("://") {
        return Ok(constraints.into());
    }
    let text = fs_err::read_to_string(constraints)
        .map_err(|source| Error::Constraints { path: constraints.into(), source })?;
    if !text.contains("--hash") {
        return Ok(constraints.into());
    }
    let base = Path::new(constraints).parent().unwrap_or(Path::new(""));
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let lines = joined.lines().map(|line| {
        let line = line.split("--hash").next().unwrap_or_default().trim();
        let included = ["-c ", "-r ", "--constraint ", "--requirement "]
            .iter()
            .find_map(|flag| line.strip_prefix(flag).map(|path| (flag, path)));
        included.map_or_else(
            || line.to_owned(),
            |(flag, path)| format!("{flag}{}", base.join(path.trim()).display()),
        )
    });
    let plain: String = lines.map(|line| line + "\n").collect();
    fs_err::write(&copy, plain).map_err(|source| Error::Write { path: copy.clone(), source })?;
    Ok(copy)
}

/// <https://pip.pypa.io/en/stable/reference/installation-report/>
#[derive(Debug, Deserialize)]
struct Report {
    version: String,
    install: Vec<Installed>,
}

#[derive(Debug, Deserialize)]
struct Installed {
    download_info: DownloadInfo,
    #[serde(default)]
    is_direct: bool,
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

/// <https://packaging.python.org/en/latest/specifications/direct-url-data-structure/>
#[derive(Debug, Deserialize)]
struct DownloadInfo {
    url: String,
    #[serde(default)]
    subdirectory: Option<String>,
    #[serde(default)]
    archive_info: Option<ArchiveInfo>,
    #[serde(default)]
    vcs_info: Option<VcsInfo>,
    #[serde(default)]
    dir_info: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct VcsInfo {
    commit_id: String,
}

impl Installed {
    fn distribution(self, direct: bool) -> Result<Distribution, Error> {
        let info = self.download_info;
        let local = || url::Url::parse(&info.url).ok()?.to_file_path().ok();
        let sha256 =
            info.archive_info.as_ref().and_then(|archive| archive.hashes.get("sha256").cloned());
        let artifact = if let Some(vcs) = info.vcs_info {
            Artifact::Vcs {
                url: process::without_credentials(&info.url),
                commit: vcs.commit_id,
                subdirectory: info.subdirectory,
            }
        } else if info.dir_info.is_some() {
            directory_artifact(local().unwrap_or_default())?
        } else if self.is_direct || direct {
            let Some(sha256) = sha256.or_else(|| digest::file(&local()?).ok()) else {
                return Err(Error::Protocol {
                    what: format!("pip's report has no hash for `{}`", self.metadata.name),
                });
            };
            Artifact::Archive { url: process::without_credentials(&info.url), sha256 }
        } else {
            let path = info.url.split(['#', '?']).next().unwrap_or_default();
            Artifact::Index {
                filename: path.rsplit('/').next().unwrap_or_default().to_owned(),
                sha256,
            }
        };
        Ok(Distribution {
            name: normalized(&self.metadata.name),
            version: Some(self.metadata.version),
            artifact,
        })
    }
}

/// PEP 503: runs of `-`, `_` and `.` are one `-`, letters are lower-case.
fn normalized(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !text.ends_with('-') {
                text.push('-');
            }
        } else {
            text.extend(c.to_lowercase());
        }
    }
    text
}

#[cfg(test)]
mod tests;
