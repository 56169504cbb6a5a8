//! What the wrapper did, for the report of the command that cargo runs under: a line of JSON for each call.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::Difference;
use super::package::Package;
use crate::env_vars;

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub package: String,
    pub version: String,
    pub directory: PathBuf,
    pub is_local: bool,
    /// `lib`, `cdylib`, `bin`, `build-script`, `test`, ...
    pub kind: String,
    /// It was linted or checked, not compiled.
    pub is_check: bool,
    pub what: What,
    /// Of rustc; of serving.
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// Outputs of an earlier call were put in place.
    Served { seconds_saved: f64, bytes: u64 },
    /// rustc ran, since something differs; and whether what it did was recorded.
    Compiled { difference: Difference, ok: bool, recorded: bool, why_not: Option<String> },
    /// rustc ran, and we did not look: it is not one of those that are judged, or cannot be.
    Passed { because: Option<String>, macro_name: Option<String> },
    /// A build script was not run again: what it declares to read is what it was.
    SkippedScript { seconds_saved: f64 },
}

impl Event {
    pub fn new(package: &Package, is_local: bool, kind: String, is_check: bool, what: What, seconds: f64) -> Self {
        let Package { name, version, directory } = package.clone();
        Self { package: name, version, directory, is_local, kind, is_check, what, seconds }
    }

    /// Appends it, if anybody wants to know. One write, so lines of several processes do not mix.
    pub fn write(&self) {
        let Some(path) = env_vars::get_os(env_vars::UNITS_LOG) else { return };
        let mut line = serde_json::to_vec(self).expect("our own plain data always serialises");
        line.push(b'\n');
        if let Ok(mut file) = fs_err::OpenOptions::new().create(true).append(true).open(PathBuf::from(path)) {
            let _ = file.write_all(&line);
        }
    }
}

/// All events of a log, in the order in which they ended. What cannot be read is left out.
pub fn read(path: &Path) -> Vec<Event> {
    let text = fs_err::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
