//! Environments on disk: `envs/<abi>-<12 hex>/`, its marker and its lock.
//!
//! An environment without its marker is half-made, whatever is in it: the next one who wants it
//! removes and makes it again, under the lock. Readers take no lock: the marker is written last and
//! the content never changes afterwards. Using an environment renews the marker's mtime, at most
//! once an hour, for `gc` to see.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use filetime::FileTime;
use serde::{Deserialize, Serialize};

use super::fingerprint::{self, Distribution, EnvFingerprint};
use super::{Error, venv};
use crate::fs::{self, Lock};
use crate::interpreter::Identity;
use crate::layout::Layout;
use crate::ui::Ui;

/// The fingerprint's, so that a program with another form of marker has other paths, and neither
/// takes the other's environments for half-made.
const SCHEMA: u32 = fingerprint::SCHEMA;
const RENEW_AFTER: Duration = Duration::from_secs(3600);

/// What an environment is; `envs/<name>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Marker {
    schema: u32,
    pub fingerprint: String,
    pub abi_tag: String,
    pub installer: String,
    pub identity: Identity,
    pub distributions: Vec<Distribution>,
    /// Seconds since the Unix epoch.
    pub created_at: u64,
    /// The version of this program that made it.
    made_by: String,
}

impl Marker {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let marker: Self = serde_json::from_slice(bytes).ok()?;
        (marker.schema == SCHEMA).then_some(marker)
    }
}

/// Where one environment is.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub path: PathBuf,
    pub marker: PathBuf,
    pub lock: PathBuf,
}

impl Slot {
    pub(super) fn new(layout: &Layout, name: &str) -> Self {
        let envs = layout.envs();
        Self {
            path: envs.join(name),
            marker: envs.join(format!("{name}.json")),
            lock: envs.join(format!("{name}.lock")),
        }
    }

    /// The marker, if the environment is complete.
    pub(super) fn read(&self) -> Option<Marker> {
        let marker = Marker::parse(&fs_err::read(&self.marker).ok()?)?;
        let name = self.path.file_name()?.to_str()?;
        let named_after_it =
            marker.fingerprint.get(..12).is_some_and(|short| name.ends_with(short));
        let whole = named_after_it && venv::python_in(&self.path).exists();
        if whole {
            self.renew();
        }
        whole.then_some(marker)
    }

    fn renew(&self) {
        let now = SystemTime::now();
        let used = fs_err::metadata(&self.marker).and_then(|metadata| metadata.modified());
        // One from the future was written under another clock; `gc` would take it for the newest
        // for ever.
        if used.is_ok_and(|used| now.duration_since(used).map_or(true, |age| age > RENEW_AFTER)) {
            let _ = filetime::set_file_mtime(&self.marker, FileTime::from_system_time(now));
        }
    }

    /// Takes the lock of this environment.
    pub(super) fn lock(&self, timeout: Option<Duration>, ui: &Ui) -> Result<Lock, Error> {
        super::lock(&self.lock, timeout, ui, "is using the same build environment")
    }

    /// Makes the environment, `fill` installing into its python. The caller holds the lock.
    pub(super) fn make(
        &self,
        interpreter: &crate::interpreter::Interpreter,
        fingerprint: &EnvFingerprint,
        distributions: &[Distribution],
        installer: &str,
        fill: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Marker, Error> {
        self.clear()?;
        let made = venv::create(interpreter, &self.path)
            .and_then(|()| fill(&venv::python_in(&self.path)))
            .and_then(|()| venv::seal(&self.path));
        if let Err(error) = made {
            // Nothing half-made is left; if even that fails, the missing marker says so.
            let _ = self.clear();
            return Err(error);
        }
        let marker = Marker {
            schema: SCHEMA,
            fingerprint: fingerprint.hex().to_owned(),
            abi_tag: interpreter.identity.abi_tag(),
            installer: installer.to_owned(),
            identity: interpreter.identity.clone(),
            distributions: distributions.to_vec(),
            created_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let json =
            serde_json::to_vec_pretty(&marker).expect("our own plain data always serialises");
        fs::write_atomic(&self.marker, &json)
            .map_err(|source| Error::Write { path: self.marker.clone(), source })?;
        Ok(marker)
    }

    /// Removes marker and environment, in this order: never a marker without its environment.
    pub(super) fn clear(&self) -> Result<(), Error> {
        match fs_err::remove_file(&self.marker) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Write { path: self.marker.clone(), source });
            }
            _ => {}
        }
        fs::remove_dir_all(&self.path)
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}
