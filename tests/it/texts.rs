//! Texts as users read them: whole outputs as snapshots, and words that must not come back.
//!
//! `INSTA_UPDATE=always cargo test --test it texts` writes the snapshots; review them with
//! `git diff`.

use serde_json::json;

use crate::context::{FILTERS, Test, python};

/// Compares a whole text with its snapshot.
fn check(test: &Test, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, test.filtered(text)));
}

fn both(stderr: &str, stdout: &str) -> String {
    format!("{stderr}--- stdout ---\n{stdout}")
}

#[test]
fn output_of_build_and_of_why() {
    let test = Test::new();
    let project = test.project("p");
    let run = test.program(&[]).in_(&project).run().success();
    check(&test, "build", &both(&run.stderr, &run.stdout));
    // Every kind of line that `why` has.
    let mut report = project.last_report();
    let compiled = |name: &str, reason: &str, more: serde_json::Value| {
        let mut one = json!({
            "name": name, "version": "1.0.0", "workspace": false, "reason": reason,
            "root_cause": reason != "dependency-rebuilt", "seconds": 0.0,
        });
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    report["crates"]["compiled"] = json!([
        compiled("new", "first-build", json!({})),
        compiled(
            "pyo3-ffi",
            "env-var-changed",
            json!({"detail": "PYO3_PYTHON", "old": "/a/python", "new": "/b/python"})
        ),
        compiled("pyo3", "dependency-rebuilt", json!({"detail": "pyo3-ffi"})),
        compiled("a", "input-changed", json!({"detail": "src/lib.rs"})),
        compiled("b", "dependency-changed", json!({"detail": "libc"})),
        compiled("c", "features-changed", json!({"old": "x", "new": "x, y"})),
        compiled("d", "profile-changed", json!({})),
        compiled("e", "target-changed", json!({})),
        compiled("f", "rustflags-changed", json!({})),
        compiled("g", "rustc-changed", json!({})),
        compiled("h", "version-changed", json!({"detail": "1.0.0", "old": "0.9.0"})),
        compiled("i", "script-output-changed", json!({"detail": "bindings.rs"})),
        compiled("j", "moved", json!({"detail": "/elsewhere"})),
        compiled("k", "output-missing", json!({})),
        compiled("l", "unfinished", json!({})),
        compiled("m", "unknown", json!({})),
    ]);
    report["crates"]["reused"] =
        json!([{"name": "serde", "version": "1.0.0", "seconds_saved": 2.5}]);
    report["crates"]["build_scripts"] = json!([
        {"name": "a", "version": "1.0.0", "workspace": true, "reason": "input-changed", "seconds": 0.5, "output_changed": true},
        {"name": "b", "version": "1.0.0", "workspace": true, "reason": "input-changed", "seconds": 0.5, "output_changed": false},
        {"name": "c", "version": "1.0.0", "workspace": true, "reason": "input-changed", "seconds": 0.0, "skipped": true},
    ]);
    project.write(".pyenv-build/reports/last.json", &report.to_string());
    let run = test.program(&["why"]).in_(&project).run().success();
    check(&test, "why", &both(&run.stderr, &run.stdout));
}

#[test]
fn output_of_doctor() {
    let test = Test::pristine();
    let project = test.project("p");
    std::fs::create_dir_all(project.path.join(".github/workflows")).unwrap();
    project.write(
        ".github/workflows/ci.yml",
        "on: push\njobs:\n  wheel:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: Swatinem/rust-cache@v2\n      - run: cargo pyenv-build\n",
    );
    let run = test.program(&["doctor"]).in_(&project).run();
    check(&test, "doctor", &both(&run.stderr, &run.stdout));
    let run = test.program(&["doctor", "--list"]).run().success();
    check(&test, "doctor-list", &run.stdout);
    let run = test.program(&["doctor", "--explain", "rust-cache-without-python"]).run().success();
    check(&test, "doctor-explain", &both(&run.stderr, &run.stdout));
}

#[test]
fn output_of_failures() {
    let test = Test::new();
    std::fs::create_dir(test.path.join("empty")).unwrap();
    let run = test.program(&["empty"]).run().exits(2);
    check(&test, "failure-no-project", &both(&run.stderr, &run.stdout));
    let project = test.project_with_backend("raises");
    project.write(
        "backend.py",
        "def build_wheel(*args):\n    print('to stdout')\n    raise ValueError('out of luck')\n",
    );
    let run = test.program(&[]).in_(&project).run().exits(1);
    check(&test, "failure-backend", &both(&run.stderr, &run.stdout));
    let project = test.project("q").requires(&["no-such-package"]);
    let run = test
        .program(&["--offline", "--no-index"])
        .env("PATH", test.search_path(&[python().path.parent().unwrap()]))
        .in_(&project)
        .run();
    assert_ne!(run.code, Some(0));
    let told = run.stderr.lines().filter(|line| !line.starts_with("  ")).collect::<Vec<_>>();
    check(&test, "failure-requirements", &told.join("\n"));
}
