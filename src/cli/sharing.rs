//! `--store URL`: before a build, what other machines have made is fetched; after it, what was made
//! here is stored, if this job may.

use std::path::Path;

use clap::{Args, ValueEnum};

use crate::env_vars;
use crate::interpreter::Identity;
use crate::layout::Layout;
use crate::project::Project;

/// Options of a store that machines share.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SharingArgs {
    /// Share compiled crates and build environments with other machines: `s3://`, `gs://`, `az://`,
    /// `https://` or `file:///`
    #[arg(long, env = env_vars::STORE, value_name = "URL", hide_env_values = true, help_heading = "Shared store")]
    pub store: Option<String>,
    /// Write to the shared store: `auto` does so in CI jobs of protected refs [default: auto]
    #[arg(long, env = env_vars::STORE_WRITE, value_enum, value_name = "WHEN", help_heading = "Shared store")]
    pub store_write: Option<StoreWrite>,
}

/// When the shared store is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum StoreWrite {
    /// In CI jobs of protected refs, never for pull requests
    #[default]
    Auto,
    /// Whenever something was built
    Always,
    /// Never: only read
    Never,
}

impl SharingArgs {
    /// The URL in effect. One that is empty stands for none.
    pub(super) fn url<'a>(&'a self, project: &'a Project) -> Option<&'a str> {
        let url = self.store.as_deref().or(project.settings.store.as_deref());
        url.filter(|url| !url.is_empty())
    }
}

/// What is built.
#[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "there is nothing to share with"))]
pub(super) struct Shared<'a> {
    pub project: &'a Project,
    pub layout: &'a Layout,
    pub identity: Option<&'a Identity>,
    /// Cargo's target directory, if a flag says it.
    pub target: Option<&'a Path>,
    /// What only tests and lints make is to be fetched as well.
    pub tests: bool,
    /// Build environments are to be fetched: not where their requirements have to be installed from
    /// wheels with certain hashes.
    pub environments: bool,
    pub is_offline: bool,
    /// `--reuse off` takes nothing from anywhere.
    pub is_reusing: bool,
}

#[cfg(not(feature = "remote"))]
mod absent;
#[cfg(feature = "remote")]
mod remote;

#[cfg(not(feature = "remote"))]
pub(super) use absent::Sharing;
#[cfg(feature = "remote")]
pub(super) use remote::{Sharing, open};
