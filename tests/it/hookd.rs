//! hookd's own tests (`hookd/tests`, plain unittest), under the default interpreter, and of those that
//! pyenv has the oldest CPython, and PyPy; with `PYENV_BUILD_HOOKD_TESTS=all` under
//! every one. Those of processes and signals (half of the time, and the system's affair more than
//! the version's) are for the oldest CPython, unless it is set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

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
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("hookd/tests");
    let mut files: Vec<String> = std::fs::read_dir(&tests)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            name.starts_with("test_")
                && Path::new(name).extension().is_some_and(|ending| ending == "py")
        })
        .collect();
    // The longest first.
    files.sort_by_key(|name| (!name.starts_with("test_proc"), name.clone()));
    let mut jobs = Vec::new();
    for file in &files {
        for (name, python) in &interpreters {
            if is_whole(name) || file != "test_processes.py" {
                jobs.push((format!("{name}, {file}"), python.clone(), file.clone()));
            }
        }
    }
    let jobs = Mutex::new(jobs.into_iter());
    let failed = Mutex::new(Vec::new());
    // They wait more than they work, and so do other tests beside these.
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((name, python, file)) = jobs.lock().unwrap().next() else { return };
                    let arguments = ["-B", "-m", "unittest", "discover", "-p", &file, "-s"];
                    let output = Command::new(python).args(arguments).arg(&tests).output().unwrap();
                    let said = String::from_utf8_lossy(&output.stderr);
                    eprintln!(
                        "{name}: {}",
                        said.lines().rev().take(3).collect::<Vec<_>>().join(" ")
                    );
                    if !output.status.success() {
                        failed.lock().unwrap().push(format!("{name}:\n{said}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
