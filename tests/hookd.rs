//! hookd's own tests (`hookd/tests`, plain unittest), under every interpreter that is found: the default one, and all that
//! pyenv has, PyPy included.

#![expect(clippy::disallowed_methods, reason = "a test runs plain processes and looks around plainly")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Interpreters by what they say they are, each once.
fn interpreters() -> BTreeMap<String, PathBuf> {
    let mut candidates = vec![PathBuf::from(std::env::var("PYENV_BUILD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned()))];
    candidates.push("pypy3".into());
    let pyenv =
        std::env::var("PYENV_ROOT").map(PathBuf::from).or_else(|_| std::env::var("HOME").map(|home| Path::new(&home).join(".pyenv")));
    if let Some(versions) = pyenv.ok().and_then(|root| std::fs::read_dir(root.join("versions")).ok()) {
        candidates.extend(versions.map(|entry| entry.unwrap().path().join("bin/python")));
    }
    let ask = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 8))";
    let mut found = BTreeMap::new();
    for candidate in candidates {
        if let Ok(output) = Command::new(&candidate).args(["-c", ask]).output()
            && output.status.success()
        {
            found.entry(String::from_utf8(output.stdout).unwrap().trim().to_owned()).or_insert(candidate);
        }
    }
    found
}

#[test]
fn hookd_passes_its_tests_under_every_interpreter() {
    let interpreters = interpreters();
    assert!(!interpreters.is_empty(), "there is no Python 3.8 or newer");
    // They wait more than they work: all at once.
    let outcomes: Vec<(String, Output)> = std::thread::scope(|scope| {
        let running: Vec<_> = interpreters
            .into_iter()
            .map(|(name, python)| {
                let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("hookd/tests");
                let run = move || Command::new(python).args(["-B", "-m", "unittest", "discover", "-s"]).arg(tests).output().unwrap();
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
