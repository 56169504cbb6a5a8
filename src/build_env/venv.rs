//! The virtual environment itself: made by the interpreter's own `venv`, with nothing in it; compiled and dated once it is
//! filled.

use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::Error;
use crate::fs;
use crate::interpreter::Interpreter;
use crate::process::{self, Cmd};

/// The modification time of everything in an environment: 2000-01-01. The path already says what the content is, so a
/// re-created environment must not look newer than the last; zip archives cannot hold dates before 1980.
const MTIME: FileTime = FileTime::from_unix_time(946_684_800, 0);

/// The directory of an environment's programs.
pub(crate) fn bin_in(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" })
}

/// An environment's python. This very string goes into `PYO3_PYTHON` and so into cargo's fingerprints.
pub(crate) fn python_in(environment: &Path) -> PathBuf {
    bin_in(environment).join(if cfg!(windows) { "python.exe" } else { "python" })
}

/// Makes an empty environment.
pub(super) fn create(interpreter: &Interpreter, path: &Path) -> Result<(), Error> {
    let command =
        Cmd::new(&interpreter.base_executable).args(["-I", "-m", "venv", "--without-pip"]).arg(path).env_remove("__PYVENV_LAUNCHER__");
    command.output().map(drop).map_err(|source| match source {
        process::Error::Interrupted { signal, .. } => Error::Interrupted(signal),
        source => Error::Venv { source },
    })
}

/// Compiles all modules once and dates everything alike.
///
/// The byte code is of the *unchecked* kind (PEP 552): the environment never changes, so no import needs to look at a
/// source's date, and hooks, which must not write byte code, still find it. Sources that do not compile (templates, code for
/// other Pythons) are no error.
pub(super) fn seal(path: &Path) -> Result<(), Error> {
    let library = path.join(if cfg!(windows) { "Lib" } else { "lib" });
    let command = Cmd::new(python_in(path))
        .args(["-I", "-B", "-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "unchecked-hash"])
        .arg(library);
    match command.output_unchecked(None) {
        Err(process::Error::Interrupted { signal, .. }) => return Err(Error::Interrupted(signal)),
        Err(source) => return Err(Error::Venv { source }),
        // 1 says that some file did not compile.
        Ok(output) if !matches!(output.status.code(), Some(0 | 1)) => return Err(Error::Venv { source: command.status_error(&output) }),
        Ok(_) => {}
    }
    fs::set_mtimes(path, MTIME).map_err(|source| Error::Write { path: path.to_path_buf(), source })
}
