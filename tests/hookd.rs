//! hookd's own tests (`hookd/tests`, plain unittest), under the default interpreter, and of those that
//! pyenv has the oldest CPython, and PyPy; with `PYENV_BUILD_HOOKD_TESTS=all` under
//! every one. Those of processes and signals (half of the time, and the system's affair more than
//! the version's) are for the oldest CPython, unless it is set.

#![expect(
    clippy::disallowed_methods,
    reason = "a test runs plain processes and looks around plainly"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ASK: &str = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 8))";

/// The minor version in the name of a CPython.
fn minor(name: &str) -> Option<u32> {
    name.strip_prefix("cpython 3.")?.parse().ok()
}

fn default_interpreter() -> PathBuf {
    std::env::var_os("PYENV_BUILD_TEST_PYTHON").unwrap_or_else(|| "python3".into()).into()
}

/// Interpreters by what they say they are, each once.
fn interpreters() -> BTreeMap<String, PathBuf> {
    let mut candidates = vec![default_interpreter()];
    candidates.push("pypy3".into());
    let pyenv = std::env::var("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|_| std::env::var("HOME").map(|home| Path::new(&home).join(".pyenv")));
    if let Some(versions) =
        pyenv.ok().and_then(|root| std::fs::read_dir(root.join("versions")).ok())
    {
        candidates.extend(versions.map(|entry| entry.unwrap().path().join("bin/python")));
    }
    let mut found = BTreeMap::new();
    for candidate in candidates {
        if let Ok(output) = Command::new(&candidate).args(["-c", ASK]).output()
            && output.status.success()
        {
            found
                .entry(String::from_utf8(output.stdout).unwrap().trim().to_owned())
                .or_insert(candidate);
        }
    }
    found
}

#[test]
fn hookd_passes_its_tests() {
    let mut interpreters = interpreters();
    assert!(!interpreters.is_empty(), "there is no Python 3.8 or newer");
    let all = std::env::var("PYENV_BUILD_HOOKD_TESTS").is_ok_and(|value| value == "all");
    let mut versions: Vec<(u32, &str)> =
        interpreters.keys().filter_map(|name| Some((minor(name)?, name.as_str()))).collect();
    versions.sort_unstable();
    let ends: Vec<String> =
        versions.first().into_iter().map(|(_, name)| (*name).to_owned()).collect();
    if !all {
        let default = default_interpreter();
        interpreters.retain(|name, python| {
            minor(name).is_none() || ends.contains(name) || *python == default
        });
    }
    let is_whole = |name: &String| all || ends.is_empty() || ends.contains(name);
    // They wait more than they work: all at once.
    let outcomes: Vec<(String, Output)> = std::thread::scope(|scope| {
        let running: Vec<_> = interpreters
            .into_iter()
            .map(|(name, python)| {
                let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("hookd/tests");
                // `test_processes.py` is the only one that the second pattern leaves out.
                let files = if is_whole(&name) { "test_*.py" } else { "test_[!p]*.py" };
                let more = (!is_whole(&name)).then_some("test_pro[!c]*.py");
                let run = move || {
                    let run = |files: &str| {
                        let arguments = ["-B", "-m", "unittest", "discover", "-p", files, "-s"];
                        Command::new(&python).args(arguments).arg(&tests).output().unwrap()
                    };
                    let first = run(files);
                    match more {
                        Some(files) if first.status.success() => run(files),
                        _ => first,
                    }
                };
                (name, scope.spawn(run))
            })
            .collect();
        running.into_iter().map(|(name, thread)| (name, thread.join().unwrap())).collect()
    });
    let mut failed = Vec::new();
    for (name, output) in outcomes {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        println!("{name}: {}", said.lines().rev().take(3).collect::<Vec<_>>().join(" "));
        if !output.status.success() {
            failed.push(format!("{name}:\n{said}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
