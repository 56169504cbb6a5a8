//! What a build did: the JSON report, and which crates cargo compiled.
//!
//! The report is printed with `--message-format json` and kept at `.pyenv-build/reports/last.json`.
//! [`rebuilds`] derives from cargo's records which crates were compiled and why, [`cargo_output`]
//! from cargo's messages; [`render`] writes the report as text.

pub(crate) mod cargo_output;
mod crates;
mod inputs;
pub(crate) mod rebuilds;
pub(crate) mod render;
pub(crate) mod reuse;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use crates::{BuildScriptRun, CompiledCrate, Crates, Reason, ReusedCrate};
use serde::{Deserialize, Serialize};

use crate::build_env::{BuildEnv, Outcome};
use crate::interpreter::Interpreter;
use crate::pin::Pins;
use crate::{digest, fs};

/// Version of the report's format.
pub(crate) const SCHEMA: u32 = 1;

/// The outcome of one invocation. With several projects, `projects` has one report for each, and
/// the top level has common and total values.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Version of this format.
    pub schema: u32,
    /// The subcommand.
    pub command: String,
    /// Whether the command succeeded.
    pub ok: bool,
    /// The source tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<PathBuf>,
    /// Built artifacts.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// The editable install of `develop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallReport>,
    /// The interpreter that the build is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<InterpreterReport>,
    /// The build environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvReport>,
    /// Variables with which plain cargo shares artifacts with the backend's cargo.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// Calls of the backend, in order.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// How many rustc calls were reused from the store, and recorded for later builds.
    #[serde(default)]
    pub store: StoreReport,
    /// Compiled, reused and fresh crates.
    #[serde(default)]
    pub crates: Crates,
    /// Duration of the whole command.
    pub seconds: f64,
    /// The failure; present only if `ok` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Crates that plain cargo compiled or reused since, as far as it called our wrapper; only in
    /// the output of `why`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Crates>,
    /// One report for each project, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<Report>,
}

/// A built artifact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Artifact {
    /// The kind.
    pub kind: ArtifactKind,
    /// Absolute path.
    pub path: PathBuf,
    /// Digest of the file; for a metadata directory, of its `METADATA`.
    pub sha256: String,
    /// Size of the same file.
    pub size_bytes: u64,
}

/// The kind of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ArtifactKind {
    /// A wheel.
    Wheel,
    /// A source distribution.
    Sdist,
    /// An editable wheel (PEP 660).
    Editable,
    /// A `.dist-info` directory.
    Metadata,
}

impl Artifact {
    pub(crate) fn new(kind: ArtifactKind, path: PathBuf) -> std::io::Result<Self> {
        let file =
            if kind == ArtifactKind::Metadata { path.join("METADATA") } else { path.clone() };
        Ok(Self {
            kind,
            sha256: digest::file(&file)?,
            size_bytes: fs_err::metadata(&file)?.len(),
            path,
        })
    }
}

/// An editable install.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct InstallReport {
    /// Name of the distribution, as in the wheel.
    pub distribution: String,
    /// Its version.
    pub version: String,
    /// The environment that it is installed in.
    pub target: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
    /// The `.dist-info` directory.
    pub dist_info: PathBuf,
    /// `uv` or `pip`.
    pub installer: String,
    /// Duration of the installation.
    pub seconds: f64,
}

/// The interpreter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct InterpreterReport {
    /// Such as `cp312-linux-x86_64`; with a `t` if free-threaded: `cp313t-linux-x86_64`.
    pub abi_tag: String,
    /// Such as `3.12.1`.
    pub version: String,
    /// Path at which it was found.
    pub path: PathBuf,
}

impl From<&Interpreter> for InterpreterReport {
    fn from(interpreter: &Interpreter) -> Self {
        Self {
            abi_tag: interpreter.identity.abi_tag(),
            version: interpreter.identity.version.clone(),
            path: interpreter.path.clone(),
        }
    }
}

/// The build environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EnvReport {
    /// Its directory.
    pub path: PathBuf,
    /// Its python.
    pub python: PathBuf,
    /// 64 hexadecimal digits; the first 12 are in the path.
    pub fingerprint: String,
    /// `created` or `reused`.
    pub outcome: String,
    /// `uv` or `pip`.
    pub installer: String,
    /// Time to find or create it.
    pub seconds: f64,
}

impl From<&BuildEnv> for EnvReport {
    fn from(env: &BuildEnv) -> Self {
        Self {
            path: env.path.clone(),
            python: env.python.clone(),
            fingerprint: env.fingerprint.clone(),
            outcome: match env.outcome {
                Outcome::Created => "created",
                Outcome::Reused => "reused",
            }
            .to_owned(),
            installer: env.installer.clone(),
            seconds: round(env.duration.as_secs_f64()),
        }
    }
}

/// One call of the backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HookReport {
    /// Name of the hook in PEP 517 or PEP 660.
    pub name: String,
    /// Duration of the call.
    pub seconds: f64,
    /// `ok`, `unsupported` or `error`.
    pub outcome: String,
}

/// Use of the store: outcomes of the rustc calls that went through our wrapper.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StoreReport {
    /// Number of calls whose outputs were reused from the store.
    pub reused: u64,
    /// Number of calls whose outputs were recorded in the store.
    pub recorded: u64,
    /// Size of the reused outputs.
    pub bytes: u64,
    /// Time that reusing them took, in total.
    pub seconds: f64,
    /// Use of the store that machines share; absent without `--store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedStoreReport>,
}

/// Use of a store that machines share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SharedStoreReport {
    /// Its URL, without credentials.
    pub url: String,
    /// Number of requests.
    pub requests: u64,
    /// Number of files that were fetched.
    pub fetched_files: u64,
    /// Size of the fetched files, uncompressed.
    pub fetched_bytes: u64,
    /// Number of build environments that were fetched.
    pub fetched_environments: u64,
    /// Time that fetching took.
    pub fetch_seconds: f64,
    /// Number of files that were uploaded.
    pub stored_files: u64,
    /// Size of the uploaded files, compressed.
    pub stored_bytes: u64,
    /// Time that uploading took.
    pub store_seconds: f64,
    /// Why nothing was uploaded, if that was not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A failure.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ErrorReport {
    /// Kind of failure, one word for scripts.
    pub kind: String,
    /// What failed, and its causes, one per line.
    pub message: String,
    /// Suggested fix.
    pub hint: Option<String>,
    /// Python traceback, if the backend raised an exception.
    pub traceback: Option<String>,
    /// File with the backend's full output.
    pub log: Option<PathBuf>,
}

impl Report {
    pub(crate) fn new(command: &str) -> Self {
        Self {
            schema: SCHEMA,
            command: command.to_owned(),
            ok: true,
            project: None,
            artifacts: Vec::new(),
            install: None,
            interpreter: None,
            env: None,
            pins: BTreeMap::new(),
            hooks: Vec::new(),
            store: StoreReport::default(),
            crates: Crates::default(),
            seconds: 0.0,
            error: None,
            since: None,
            projects: Vec::new(),
        }
    }

    pub(crate) fn set_pins(&mut self, pins: &Pins) {
        self.pins = pins.environ().collect();
    }

    /// One report for all projects of an invocation; a single one stays as it is.
    pub(crate) fn combine(command: &str, mut projects: Vec<Self>, seconds: f64) -> Self {
        if projects.len() == 1 {
            let mut report = projects.remove(0);
            report.seconds = round(seconds);
            return report;
        }
        let mut all = Self::new(command);
        for report in &projects {
            all.ok &= report.ok;
            all.artifacts.extend(report.artifacts.iter().cloned());
            all.crates.compiled.extend(report.crates.compiled.iter().cloned());
            all.crates.reused.extend(report.crates.reused.iter().cloned());
            all.store.reused += report.store.reused;
            all.store.recorded += report.store.recorded;
            all.store.bytes += report.store.bytes;
            all.store.seconds = round(all.store.seconds + report.store.seconds);
            all.crates.fresh += report.crates.fresh;
            all.error = all.error.or_else(|| report.error.clone());
        }
        if let Some(first) = projects.first() {
            all.interpreter = first.interpreter.clone();
            all.env = first.env.clone();
            all.pins = first.pins.clone();
        }
        all.seconds = round(seconds);
        all.projects = projects;
        all
    }

    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        fs::write_atomic(
            path,
            &serde_json::to_vec_pretty(self).expect("our own plain data always serialises"),
        )
    }

    /// The last report, if there is one of a schema that we know.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let report: Self = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
        (report.schema == SCHEMA).then_some(report)
    }
}

/// Milliseconds are all that a duration of ours means.
pub(crate) fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
