//! The package that a call is for, from cargo's variables, and whether its calls can be reused.

use std::path::PathBuf;

use crate::project::cargo::cargo_home;
use crate::{env_vars, fs};

/// Source: <https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-crates>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// That of its manifest.
    pub directory: PathBuf,
}

impl Package {
    /// `None`: it is not cargo that calls rustc, but a build script that tries something out.
    pub fn from_env() -> Option<Self> {
        env_vars::get("CARGO_CRATE_NAME")?;
        Self::of_build_script()
    }

    /// The same for a build script that is run, which has no crate's name.
    pub fn of_build_script() -> Option<Self> {
        Some(Self {
            name: env_vars::get("CARGO_PKG_NAME")?,
            version: env_vars::get("CARGO_PKG_VERSION")?,
            directory: PathBuf::from(env_vars::get_os("CARGO_MANIFEST_DIR")?),
        })
    }

    /// Whether its sources are somewhere where a user edits them, and not in cargo's home, where
    /// cargo takes them for unchangeable.
    pub fn is_local(&self) -> bool {
        let Ok(home) = std::path::absolute(cargo_home()) else { return false };
        // The prefix is compared with links resolved: cargo's home may be one.
        let directory = fs::real(&self.directory);
        !["registry", "git"].iter().any(|part| directory.starts_with(fs::real(&home.join(part))))
    }
}
