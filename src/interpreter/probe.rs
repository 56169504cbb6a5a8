//! Asking an executable what it is: `probe.py`, run with `-I`, and a cache of its answers.
//!
//! An answer is kept under the executable's real path and holds as long as that file's mtime, size
//! and inode, and the kernel's release (a PEP 508 marker), are the same. It is kept only when the
//! python that answered *is* that file: a shim (pyenv, asdf, mise) is one file that runs different
//! interpreters in different directories.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, Identity, Interpreter};
use crate::process::{self, Cmd};
use crate::{digest, fs};

const SCRIPT: &str = include_str!("probe.py");
/// An interpreter that takes longer is not one.
const TIMEOUT: Duration = Duration::from_secs(60);
const SCHEMA: u32 = 3;

/// What `probe.py` prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
enum Answer {
    Ok(Box<Found>),
    Error { kind: String, message: String },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Found {
    executable: PathBuf,
    base_executable: PathBuf,
    identity: Identity,
    markers: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    schema: u32,
    stamp: Stamp,
    found: Found,
}

/// What must be the same for a cached answer to hold.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    real_path: PathBuf,
    mtime_ns: i128,
    size_bytes: u64,
    inode: u64,
    kernel_release: String,
}

impl Stamp {
    fn of(executable: &Path) -> std::io::Result<Self> {
        let real_path = fs::canonicalize(executable)?;
        let metadata = fs_err::metadata(&real_path)?;
        let mtime = filetime::FileTime::from_last_modification_time(&metadata);
        Ok(Self {
            mtime_ns: i128::from(mtime.unix_seconds()) * 1_000_000_000
                + i128::from(mtime.nanoseconds()),
            size_bytes: metadata.len(),
            inode: inode(&metadata),
            kernel_release: kernel_release(),
            real_path,
        })
    }
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(unix)]
fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn kernel_release() -> String {
    String::new()
}

/// Probes an executable, or takes the cached answer. `cache` is the directory of answers.
pub(super) fn probe(executable: &Path, cache: &Path) -> Result<Interpreter, Error> {
    let stamp = Stamp::of(executable)
        .map_err(|source| Error::Missing { path: executable.to_path_buf(), source })?;
    let file = cache.join(format!("{}.json", &digest::bytes(&key(&stamp.real_path))[..16]));
    if let Some(found) = read_cached(&file, &stamp) {
        return interpreter(executable, found);
    }
    let found = ask(executable)?;
    let answered_itself =
        fs::canonicalize(&found.executable).is_ok_and(|real| real == stamp.real_path);
    if answered_itself {
        let cached = Cached { schema: SCHEMA, stamp, found: found.clone() };
        let json =
            serde_json::to_vec_pretty(&cached).expect("our own plain data always serialises");
        // A cache that cannot be written costs time, not correctness.
        let _ = fs::write_atomic(&file, &json);
    }
    interpreter(executable, found)
}

/// Each schema has its own file: versions of this program can share a directory.
fn key(real_path: &Path) -> Vec<u8> {
    [SCHEMA.to_string().as_bytes(), real_path.as_os_str().as_encoded_bytes()].join(&0)
}

fn read_cached(file: &Path, stamp: &Stamp) -> Option<Found> {
    let cached: Cached = serde_json::from_slice(&fs_err::read(file).ok()?).ok()?;
    // The base may have gone while a copied venv python stayed.
    (cached.schema == SCHEMA && cached.stamp == *stamp && cached.found.base_executable.exists())
        .then_some(cached.found)
}

fn ask(executable: &Path) -> Result<Found, Error> {
    let broken = |reason: String| Error::Broken { path: executable.to_path_buf(), reason };
    // macOS hands the launcher's path down in this variable, and a child python believes it.
    let command =
        Cmd::new(executable).args(["-I", "-B", "-c", SCRIPT]).env_remove("__PYVENV_LAUNCHER__");
    let output = match command.output_unchecked(Some(TIMEOUT)) {
        Ok(output) => output,
        Err(process::Error::Interrupted { signal, .. }) => return Err(Error::Interrupted(signal)),
        Err(process::Error::Start { source, .. }) => {
            return Err(broken(format!("it does not start: {source}")));
        }
        Err(process::Error::TimedOut { timeout, .. }) => {
            return Err(broken(format!(
                "it did not answer within {}",
                humantime::format_duration(timeout)
            )));
        }
        Err(other) => return Err(broken(other.to_string())),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    match parse_answer(&stdout) {
        Some(Answer::Ok(found)) => Ok(*found),
        Some(Answer::Error { kind, message }) if kind == "unsupported-version" => {
            Err(Error::Unsupported { path: executable.to_path_buf(), what: message })
        }
        Some(Answer::Error { message, .. }) => Err(broken(message)),
        // Python 2 has no -I.
        None if stderr.contains("Unknown option: -I") => Err(Error::Unsupported {
            path: executable.to_path_buf(),
            what: "this is Python 2".to_owned(),
        }),
        None => {
            let said = stderr
                .trim()
                .lines()
                .last()
                .or_else(|| stdout.trim().lines().last())
                .unwrap_or("it printed nothing");
            let said = crate::ui::shortened(said, 200);
            Err(broken(format!(
                "it {} without an answer to our probe ({said})",
                process::describe(output.status)
            )))
        }
    }
}

/// The answer is the last line: a site customisation may print before us.
fn parse_answer(stdout: &str) -> Option<Answer> {
    serde_json::from_str(stdout.trim_end().lines().last()?).ok()
}

/// All that is done with an answer, for property tests.
#[cfg(test)]
pub(crate) fn understands(stdout: &str) -> bool {
    match parse_answer(stdout) {
        Some(Answer::Ok(found)) => interpreter(Path::new("/python"), *found).is_ok(),
        _ => false,
    }
}

fn interpreter(executable: &Path, found: Found) -> Result<Interpreter, Error> {
    let broken = |reason: String| Error::Broken { path: executable.to_path_buf(), reason };
    let Some(markers) = found.markers.as_object() else {
        return Err(broken("its answer has no markers".to_owned()));
    };
    let marker =
        |name: &str| markers.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let markers = pep508_rs::MarkerEnvironment::try_from(pep508_rs::MarkerEnvironmentBuilder {
        implementation_name: marker("implementation_name"),
        implementation_version: marker("implementation_version"),
        os_name: marker("os_name"),
        platform_machine: marker("platform_machine"),
        platform_python_implementation: marker("platform_python_implementation"),
        platform_release: marker("platform_release"),
        platform_system: marker("platform_system"),
        platform_version: marker("platform_version"),
        // "3.12.1+" is what a build from a git checkout says.
        python_full_version: marker("python_full_version").trim_end_matches('+'),
        python_version: marker("python_version"),
        sys_platform: marker("sys_platform"),
    })
    .map_err(|error| broken(format!("its version is invalid: {error}")))?;
    let path = std::path::absolute(executable).unwrap_or_else(|_| executable.to_path_buf());
    Ok(Interpreter {
        path,
        base_executable: found.base_executable,
        identity: found.identity,
        markers,
    })
}
