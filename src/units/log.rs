//! The wrapper's events, a line of JSON for each call: for the report of the command that runs
//! cargo, and next to the store for `why` and for the summary of a job.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::entry::Difference;
use super::package::Package;
use super::store::Store;
use crate::env_vars;

/// Maximum size of the log next to the store; beyond it, the log is started again.
const LIMIT_BYTES: u64 = 8 * 1024 * 1024;

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
    /// When it ended, in seconds since 1970.
    #[serde(default)]
    pub at: f64,
    /// The step of a job of GitHub Actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// cargo ran under a command of ours, which reports it.
    #[serde(default)]
    pub is_reported: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// Outputs of an earlier call were put in place.
    Reused {
        seconds_saved: f64,
        bytes: u64,
        /// The CI job that made them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    /// rustc ran, since something differs; and whether what it did was recorded.
    Compiled { difference: Difference, ok: bool, recorded: bool, why_not: Option<String> },
    /// rustc ran, and we did not look: it is not one of those that are judged, or cannot be.
    Passed { because: Option<String>, macro_name: Option<String> },
    /// A build script was not run again: what it declares to read is what it was.
    SkippedScript { seconds_saved: f64 },
}

impl Event {
    pub fn new(
        package: &Package,
        is_local: bool,
        kind: String,
        is_check: bool,
        what: What,
        seconds: f64,
    ) -> Self {
        let Package { name, version, directory } = package.clone();
        let at = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let step = env_vars::get("GITHUB_ACTION");
        let is_reported = env_vars::get_os(env_vars::UNITS_LOG).is_some();
        Self {
            package: name,
            version,
            directory,
            is_local,
            kind,
            is_check,
            what,
            seconds,
            at,
            step,
            is_reported,
        }
    }

    /// Appends it to the log of the command that cargo runs under, if it runs under one.
    pub fn report(&self) {
        if let Some(path) = env_vars::get_os(env_vars::UNITS_LOG) {
            self.append(Path::new(&path));
        }
    }

    /// Appends it to the log next to the store as well.
    pub fn write(&self, store: &Store) {
        self.report();
        let path = path_of(store);
        if fs_err::metadata(&path).is_ok_and(|metadata| metadata.len() > LIMIT_BYTES) {
            let _ = fs_err::remove_file(&path);
        }
        if let Some(directory) = path.parent() {
            let _ = fs_err::create_dir_all(directory);
        }
        self.append(&path);
    }

    /// One write, so lines of several processes do not mix.
    fn append(&self, path: &Path) {
        let mut line = serde_json::to_vec(self).expect("our own plain data always serialises");
        line.push(b'\n');
        if let Ok(mut file) = fs_err::OpenOptions::new().create(true).append(true).open(path) {
            let _ = file.write_all(&line);
        }
    }
}

/// The log of all calls with this store.
pub fn path_of(store: &Store) -> PathBuf {
    store.root().with_file_name("reports").join("calls.jsonl")
}

/// All events of a log, in the order in which they ended. What cannot be read is left out.
pub fn read(path: &Path) -> Vec<Event> {
    let text = fs_err::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
