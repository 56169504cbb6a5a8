//! What became of each crate and build script, and why.

use serde::{Deserialize, Serialize};

/// Compiled, reused and fresh crates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Crates {
    /// Crates for which rustc ran, in that order.
    pub compiled: Vec<CompiledCrate>,
    /// Crates that cargo wanted to compile, and that were reused from the store instead.
    #[serde(default)]
    pub reused: Vec<ReusedCrate>,
    /// Number of crates that cargo considered fresh.
    pub fresh: u64,
    /// Build scripts that ran or were skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_scripts: Vec<BuildScriptRun>,
}

/// A compiled crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CompiledCrate {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is a local package, not from a registry or git repository.
    pub workspace: bool,
    /// Reason.
    pub reason: Reason,
    /// Subject of the reason: a variable, a file, a dependency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The old value of variables, features and flags. Secrets are masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Whether the crate itself changed; if not, it was compiled because another crate was.
    #[serde(default)]
    pub root_cause: bool,
    /// Compile time of all its units together.
    #[serde(default)]
    pub seconds: f64,
}

/// A crate whose outputs were reused from the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReusedCrate {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Time that rustc took when the crate was compiled.
    pub seconds_saved: f64,
    /// The CI job that compiled it: ref, commit, machine, and version of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

/// A build script that ran or was skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct BuildScriptRun {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is a local package's.
    #[serde(default)]
    pub workspace: bool,
    /// Reason.
    pub reason: Reason,
    /// Subject of the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Duration of the run.
    pub seconds: f64,
    /// Whether its output changed, as far as the package's crates read it; `null` if that is unknown.
    #[serde(default)]
    pub output_changed: Option<bool>,
    /// Whether it was skipped as a trusted build script, and its earlier output reused.
    #[serde(default)]
    pub skipped: bool,
}

/// Why cargo compiled a crate or ran its build script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// It was not compiled before.
    FirstBuild,
    /// `detail` names the variable.
    EnvVarChanged,
    /// `detail` names the file.
    InputChanged,
    /// `detail` names the dependency.
    DependencyRebuilt,
    /// The version or the features of a dependency changed; `detail` names it.
    DependencyChanged,
    /// The crate's own cargo features changed, from `old` to `new`.
    FeaturesChanged,
    /// Before, it was compiled with different profile settings or in a different mode (build, check, test).
    ProfileChanged,
    /// Its target in `Cargo.toml` or its crate types changed.
    TargetChanged,
    /// The rustc flags changed, from `old` to `new`.
    RustflagsChanged,
    /// The compiler changed.
    RustcChanged,
    /// Its version changed to `detail`, from `old` if that is known.
    VersionChanged,
    /// The output of its build script changed; `detail` names the file in `OUT_DIR`.
    ScriptOutputChanged,
    /// A procedural macro may read undeclared inputs; `detail` names it and the setting.
    Macro,
    /// Reuse was not possible; `detail` says why not.
    NotReusable,
    /// It was compiled in a different directory before, which `detail` names.
    Moved,
    /// Its artifacts were missing.
    OutputMissing,
    /// Its last compilation did not finish.
    Unfinished,
    /// A different reason, in `detail`.
    Other,
    /// The reason is unknown.
    Unknown,
}

impl Reason {
    /// Whether there was a state that this crate could have been taken from. What is compiled for
    /// another profile, as `cargo check` does, was not compiled for it before.
    pub(crate) fn had_previous_state(self) -> bool {
        !matches!(self, Self::FirstBuild | Self::ProfileChanged)
    }
}

impl Crates {
    /// Adds crates that cargo named and of which there are no records: built elsewhere than where
    /// they were looked for.
    pub(crate) fn add_what_was_said(&mut self, said: Self) {
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
