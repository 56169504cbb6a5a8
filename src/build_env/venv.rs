//! The virtual environment itself: made by the interpreter's own `venv`, with nothing in it;
//! compiled and dated once it is filled.

use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::Error;
use crate::fs;
use crate::interpreter::Interpreter;
use crate::process::{self, Cmd};

/// The modification time of everything in an environment: 2000-01-01. The path already says what
/// the content is, so a re-created environment must not look newer than the last; zip archives
/// cannot hold dates before 1980.
const MTIME: FileTime = FileTime::from_unix_time(946_684_800, 0);

/// compileall, and a check of its result. A failed write is reported as the exit status, which
/// is the `errno`.
///
/// Why: until <https://github.com/python/cpython/issues/126606> (3.12.8, 3.13.1) a write that a full disk has cut short was taken
/// for a whole one, and byte code that nobody checks would be broken for good. And compileall does
/// not tell a source that cannot be compiled from a file that could not be written.
const COMPILE: &str = "import compileall, errno, marshal, os, sys
library = sys.argv[-1]
try:
    if not compileall.main():
        probe = os.path.join(library, 'room-for-more')
        with open(probe, 'wb') as file:
            file.write(bytes(1 << 18))
        os.unlink(probe)
    if sys.implementation.name in ('cpython', 'pypy'):
        for directory, _, names in os.walk(library):
            for name in names:
                if name.endswith('.pyc'):
                    with open(os.path.join(directory, name), 'rb') as file:
                        marshal.loads(file.read()[16:])
except OSError as error:
    sys.exit(error.errno)
except (EOFError, TypeError, ValueError):
    sys.exit(errno.ENOSPC)
";

/// The directory of an environment's programs.
pub(crate) fn bin_in(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" })
}

/// An environment's python. This very string goes into `PYO3_PYTHON` and so into cargo's
/// fingerprints.
pub(crate) fn python_in(environment: &Path) -> PathBuf {
    bin_in(environment).join(if cfg!(windows) { "python.exe" } else { "python" })
}

/// Makes an empty environment.
pub(super) fn create(interpreter: &Interpreter, path: &Path) -> Result<(), Error> {
    let command = Cmd::new(&interpreter.base_executable)
        .args(["-I", "-m", "venv", "--without-pip"])
        .arg(path)
        .env_remove("__PYVENV_LAUNCHER__");
    command.output().map(drop).map_err(|source| match source {
        process::Error::Interrupted { signal, .. } => Error::Interrupted(signal),
        source => Error::Venv { source },
    })
}

/// Compiles all modules once and dates everything alike.
///
/// The byte code is of the *unchecked* kind (PEP 552): the environment never changes, so no import
/// needs to look at a source's date, and hooks, which must not write byte code, still find it.
/// Sources that do not compile (templates, code for other Pythons) are no error.
pub(super) fn seal(path: &Path) -> Result<(), Error> {
    let library = path.join(if cfg!(windows) { "Lib" } else { "lib" });
    let command = Cmd::new(python_in(path))
        .args([
            "-I",
            "-B",
            "-c",
            COMPILE,
            "-qq",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
        ])
        .arg(&library);
    command.output().map_err(|source| match source {
        process::Error::Interrupted { signal, .. } => Error::Interrupted(signal),
        process::Error::Status { status, .. } if status.code().is_some_and(|code| code > 1) => {
            Error::Write {
                path: library,
                source: std::io::Error::from_raw_os_error(status.code().unwrap_or_default()),
            }
        }
        source => Error::Venv { source },
    })?;
    set_dates(path)
}

/// Dates everything in an environment alike.
pub(super) fn set_dates(path: &Path) -> Result<(), Error> {
    fs::set_mtimes(path, MTIME).map_err(|source| Error::Write { path: path.to_path_buf(), source })
}
