//! `docs/reference/report.schema.json` says what reports are: real ones are valid, also if nothing
//! is allowed that it does not name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{Scratch, command, in_bin, once, run, scratch_of_target, tools, write_tree};

/// Reads a list of reports, and says what is wrong with each.
const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator

def strict(part):
    if isinstance(part, dict):
        if "properties" in part:
            part["additionalProperties"] = False
        for value in part.values():
            strict(value)
    elif isinstance(part, list):
        for value in part:
            strict(value)

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
strict(schema)
validator = Draft202012Validator(schema)
with open(sys.argv[2], encoding="utf-8") as file:
    reports = json.load(file)
print(json.dumps([["%s: %s" % (error.json_path, error.message) for error in validator.iter_errors(report)] for report in reports]))
"#;

/// A Python with `jsonschema`, installed by the first who asks.
fn judge() -> PathBuf {
    const WANTED: &str = "jsonschema==4.23.0";
    let interpreter = &tools().interpreter;
    let directory = scratch_of_target().join("schema-tools");
    let python = in_bin(&directory, "python");
    once(&directory, &format!("{WANTED} in {}", interpreter.display()), || {
        run(command(interpreter).args(["-I", "-m", "venv", "--clear"]).arg(&directory));
        run(command(&python).args([
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            WANTED,
        ]));
    });
    python
}

/// What the schema says of each report.
fn judged(reports: &[Value], scratch: &Path) -> Vec<Vec<String>> {
    let file = scratch.join("reports.json");
    fs::write(&file, Value::from(reports).to_string()).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/report.schema.json");
    let output = run(command(judge()).args(["-I", "-c", JUDGE]).arg(schema).arg(&file));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A project whose backend has cargo compile a crate with a build script.
fn project(directory: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/backends/tiny");
    let read = |name: &str| fs::read_to_string(fixture.join(name)).unwrap();
    let backend = read("backend.py")
        + "\nimport subprocess\n_build = build_wheel\n\n\ndef build_wheel(*args, **kwargs):\n    \
           subprocess.check_call([\"cargo\", \"build\", \"--release\", \"--offline\"])\n    return _build(*args, **kwargs)\n";
    write_tree(
        directory,
        &[
            ("pyproject.toml", &read("pyproject.toml")),
            ("backend.py", &backend),
            (
                "Cargo.toml",
                "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
            ),
            (
                "build.rs",
                "fn main() { println!(\"cargo:rerun-if-env-changed=COLOUR\"); println!(\"cargo:rustc-cfg=c_{}\", std::env::var(\"COLOUR\").unwrap_or_default()); }\n",
            ),
            ("src/lib.rs", ""),
        ],
    );
}

fn report(directory: &Path, change: impl FnOnce(&mut Command) -> &mut Command) -> Value {
    let mut program = command(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
    program
        .args(["--message-format", "json"])
        .current_dir(directory)
        .env("PYENV_BUILD_PYTHON", &tools().interpreter);
    let output = change(&mut program).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {program:?}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

#[test]
fn reports_are_what_their_schema_says() {
    let scratch = Scratch::new();
    let here = scratch.path().join("one");
    project(&here);
    project(&scratch.path().join("two"));
    let mut reports = vec![
        report(&here, |program| program.arg("build")),
        report(&here, |program| program.arg("build").env("COLOUR", "red")),
        report(&here, |program| program.args(["build", "--sdist"]).env("COLOUR", "red")),
        report(&here, |program| program.args(["build", "--editable"])),
        report(&here, |program| program.args(["build", "--metadata"])),
        report(&here, |program| program.arg("provision")),
        report(&here, |program| program.args(["build", ".", "../two"])),
        report(&here, |program| {
            program.args(["build", "--deny-rebuild", "all"]).env("COLOUR", "violet")
        }),
        report(&here, |program| program.args(["provision", "--python", "no-such-python"])),
    ];
    // The one that the documentation shows.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/scripts.md");
    let page = fs::read_to_string(page).unwrap().replace("\r\n", "\n");
    let mut shown = page.split("```json\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let shown = shown.find(|block| block.contains("\"artifacts\"")).unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    fs::write(here.join("src/lib.rs"), "no Rust").unwrap();
    reports.push(report(&here, |program| program.arg("build")));
    reports.push(report(&here, |program| program.arg("why")));
    reports.push(report(&here, |program| program.args(["build", "nowhere"])));
    reports.push(shown);
    assert_eq!(
        judged(&reports, &scratch.path()),
        vec![Vec::<String>::new(); reports.len()],
        "{reports:#?}"
    );

    // What these reports have in them, so that the schema has been asked about it.
    let first = &reports[0];
    assert_eq!(first["crates"]["compiled"][0]["reason"], "first-build");
    assert_eq!(
        reports[1]["crates"]["build_scripts"][0]["reason"], "env-var-changed",
        "{:#}",
        reports[1]
    );
    assert_eq!(reports[1]["crates"]["build_scripts"][0]["detail"], "COLOUR");
    assert_eq!(reports[2]["artifacts"].as_array().unwrap().len(), 2);
    assert_eq!(reports[6]["projects"].as_array().unwrap().len(), 2);
    assert_eq!(reports[7]["error"]["kind"], "RebuildDenied");
    assert_eq!(reports[8]["error"]["kind"], "InterpreterNotFound");
    assert!(
        reports[9]["error"]["traceback"].is_string() && reports[9]["error"]["log"].is_string(),
        "{:#}",
        reports[9]
    );

    // And it does find what is wrong.
    let changed = |change: fn(&mut Value)| {
        let mut report = first.clone();
        change(&mut report);
        report
    };
    let wrong = [
        changed(|report| drop(report.as_object_mut().unwrap().shift_remove("crates"))),
        changed(|report| report["crates"]["compiled"][0]["reason"] = json!("because")),
        changed(|report| report["env"]["seconds"] = json!("long")),
        changed(|report| report["more"] = json!(1)),
        changed(|report| report["artifacts"][0]["kind"] = json!("egg")),
    ];
    let verdicts = judged(&wrong, &scratch.path());
    assert!(verdicts.iter().all(|errors| errors.len() == 1), "{verdicts:#?}");
}
