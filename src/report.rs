//! What a build did: the JSON report, and which crates cargo compiled.
//!
//! The report is printed with `--message-format json` and kept at `.pyenv-build/reports/last.json`.
//! [`rebuilds`] finds out from cargo's records what was compiled and why, [`cargo_output`] from
//! what cargo says; [`render`] is for people.

pub mod cargo_output;
mod inputs;
pub mod rebuilds;
pub mod render;
pub mod reuse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::build_env::{BuildEnv, Outcome};
use crate::interpreter::Interpreter;
use crate::pin::Pins;
use crate::{digest, fs};

/// Version of the report's format.
pub const SCHEMA: u32 = 1;

/// The outcome of one invocation. With several projects, `projects` has one report each and the top
/// level has what is common or summed up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// Version of this format.
    pub schema: u32,
    /// The subcommand.
    pub command: String,
    /// Whether it did what it was asked to.
    pub ok: bool,
    /// The source tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<PathBuf>,
    /// What was built.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// What `develop` installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallReport>,
    /// The interpreter that was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<InterpreterReport>,
    /// The build environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvReport>,
    /// Variables that make another cargo agree with the backend's.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// Calls of the backend, in their order.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// What was reused instead of being compiled, and kept for the next time.
    #[serde(default)]
    pub store: StoreReport,
    /// What cargo compiled.
    #[serde(default)]
    pub crates: Crates,
    /// From start to end.
    pub seconds: f64,
    /// What went wrong; there if and only if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// What plain cargo has done since, in later steps or by hand, as far as our wrapper was
    /// called; only `why` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Crates>,
    /// One report for each project, if there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<Report>,
}

/// Something that was built.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Absolute.
    pub path: PathBuf,
    /// Of the file; for a metadata directory, of its `METADATA`.
    pub sha256: String,
    /// Of the same.
    pub size_bytes: u64,
}

/// The kind of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
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
    pub fn new(kind: ArtifactKind, path: PathBuf) -> std::io::Result<Self> {
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
pub struct InstallReport {
    /// Its name, as the wheel has it.
    pub distribution: String,
    /// Its version.
    pub version: String,
    /// The environment that it is in.
    pub target: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
    /// The directory that describes the install.
    pub dist_info: PathBuf,
    /// `uv` or `pip`.
    pub installer: String,
    /// How long installing took.
    pub seconds: f64,
}

/// The interpreter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InterpreterReport {
    /// Such as `cp312-linux-x86_64`; free-threaded ones have a `t`.
    pub abi_tag: String,
    /// Such as `3.12.1`.
    pub version: String,
    /// As it was found.
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
pub struct EnvReport {
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
    /// To find or make it.
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
pub struct HookReport {
    /// As PEP 517 and PEP 660 name it.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// `ok`, `unsupported` or `error`.
    pub outcome: String,
}

/// What became of the rustc calls that were judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoreReport {
    /// Calls whose outputs were taken from the store.
    pub served: u64,
    /// Calls whose outputs were put there.
    pub recorded: u64,
    /// Size of what was taken.
    pub bytes: u64,
    /// What taking it took, of all calls together.
    pub seconds: f64,
}

/// What cargo did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Crates {
    /// Crates for which rustc ran, in the order in which it did.
    pub compiled: Vec<CompiledCrate>,
    /// Crates that cargo wanted compiled and whose outputs were taken from the store instead.
    #[serde(default)]
    pub reused: Vec<ReusedCrate>,
    /// Crates that belong to what was built, and that cargo did not want compiled.
    pub fresh: u64,
    /// Build scripts that were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_scripts: Vec<BuildScriptRun>,
}

/// A crate that was compiled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CompiledCrate {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is a local package, not one from a registry or repository.
    pub workspace: bool,
    /// Why.
    pub reason: Reason,
    /// What the reason is about: a variable, a file, a dependency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The value of then, of variables, features and flags. Secrets are masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The value of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Whether the reason is in itself; if not, it was compiled because another was.
    #[serde(default)]
    pub root_cause: bool,
    /// Of all its units together, each from when cargo began it to when it was done.
    #[serde(default)]
    pub seconds: f64,
}

/// A crate whose outputs were taken from the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReusedCrate {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What rustc took for it when it was compiled.
    pub seconds_saved: f64,
}

/// A build script that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BuildScriptRun {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is a local package's.
    #[serde(default)]
    pub workspace: bool,
    /// Why.
    pub reason: Reason,
    /// What the reason is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it ran.
    pub seconds: f64,
    /// Whether it made something else than before; `null`: nothing that could tell was judged.
    #[serde(default)]
    pub products_changed: Option<bool>,
    /// Whether it was trusted, and what it made before was put in place instead of running it.
    #[serde(default)]
    pub skipped: bool,
}

/// Why cargo compiled a crate or ran its build script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// There was nothing of it.
    FirstBuild,
    /// `detail` names the variable.
    EnvVarChanged,
    /// `detail` names the file.
    InputChanged,
    /// `detail` names the dependency.
    DependencyRebuilt,
    /// Another version of a dependency, or other features of it; `detail` names it.
    DependencyChanged,
    /// Other cargo features of the crate itself, which `old` and `new` have.
    FeaturesChanged,
    /// Another profile, or other settings of it.
    ProfileChanged,
    /// Its target in `Cargo.toml` is another, or cargo was asked for other crate types.
    TargetChanged,
    /// Other flags for rustc, which `old` and `new` have.
    RustflagsChanged,
    /// Another compiler.
    RustcChanged,
    /// It is of another version now, which `detail` has; `old` has the one before, if that is
    /// known.
    VersionChanged,
    /// Its build script made something else; `detail` names the file in `OUT_DIR`.
    ProductChanged,
    /// A procedural macro may read what nobody declares; `detail` names it and the setting.
    Macro,
    /// It cannot be judged whether it had to be compiled; `detail` says why not.
    NotJudged,
    /// It was compiled in another directory before, which `detail` names.
    Moved,
    /// What it had made was gone.
    OutputMissing,
    /// It was not done the last time.
    Unfinished,
    /// `detail` has more.
    Other,
    /// There is no telling.
    Unknown,
}

impl Reason {
    /// Whether there was a state that this crate could have been taken from. What is compiled for
    /// another profile, as `cargo check` does, was not compiled for it before.
    pub fn had_previous_state(self) -> bool {
        !matches!(self, Self::FirstBuild | Self::ProfileChanged)
    }
}

/// A failure.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorReport {
    /// Which kind of failure, in one word, for scripts.
    pub kind: String,
    /// What was being done, and its causes, one on each line.
    pub message: String,
    /// What you can do about it.
    pub hint: Option<String>,
    /// Python's, if the backend raised something.
    pub traceback: Option<String>,
    /// The file with all that the backend said.
    pub log: Option<PathBuf>,
}

impl Crates {
    /// Adds crates that cargo named and of which there are no records: built elsewhere than where
    /// they were looked for.
    pub fn add_what_was_said(&mut self, said: Self) {
        let is_known = |one: &CompiledCrate| {
            self.compiled.iter().any(|known| known.name == one.name && known.version == one.version)
                || self
                    .reused
                    .iter()
                    .any(|known| known.name == one.name && known.version == one.version)
        };
        let more: Vec<CompiledCrate> =
            said.compiled.into_iter().filter(|one| !is_known(one)).collect();
        self.compiled.extend(more);
        self.fresh = self.fresh.max(said.fresh);
    }
}

impl Report {
    pub fn new(command: &str) -> Self {
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

    pub fn set_pins(&mut self, pins: &Pins) {
        self.pins = pins.environ().collect();
    }

    /// One report for all projects of an invocation; a single one stays as it is.
    pub fn combine(command: &str, mut projects: Vec<Self>, seconds: f64) -> Self {
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
            all.store.served += report.store.served;
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

    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        fs::write_atomic(
            path,
            &serde_json::to_vec_pretty(self).expect("our own plain data always serialises"),
        )
    }

    /// The last report, if there is one of a schema that we know.
    pub fn read(path: &Path) -> Option<Self> {
        let report: Self = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
        (report.schema == SCHEMA).then_some(report)
    }
}

/// Milliseconds are all that a duration of ours means.
pub fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
