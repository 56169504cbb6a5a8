//! The JSON report, on stdout and in `reports/last.json`.

use serde_json::{Value, json};

use crate::context::{Test, python, sha256};

/// Field names of an object, in their order.
fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Replaces what no two runs share by `0`, once it is known to be a number.
fn without_seconds(report: &mut Value) {
    match report {
        Value::Object(object) => {
            for (name, value) in object {
                if name == "seconds" {
                    assert!(value.as_f64().unwrap() >= 0.0);
                    *value = json!(0);
                } else {
                    without_seconds(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

#[test]
fn a_build_reports_what_the_design_says_and_nothing_else() {
    let test = Test::new();
    let project = test.project("p");
    let run = test.program(&["--message-format", "json"]).in_(&project).run().success();
    let mut report = run.json();
    assert_eq!(report, project.last_report(), "the same is kept");

    let wheel = project.dist().join("tiny-1.0-py3-none-any.whl");
    let bytes = std::fs::read(&wheel).unwrap();
    let fingerprint = report["env"]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(fingerprint.len(), 64);
    let env = project.root().join(format!("envs/{}-{}", python().abi, &fingerprint[..12]));
    let env_python = env.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    without_seconds(&mut report);
    // The order of fields is the design's, too.
    let expected = json!({
        "schema": 1,
        "command": "build",
        "ok": true,
        "project": project.path,
        "artifacts": [{"kind": "wheel", "path": wheel, "sha256": sha256(&bytes), "size_bytes": bytes.len()}],
        "interpreter": {"abi_tag": python().abi_tag, "version": python().version, "path": report["interpreter"]["path"]},
        "env": {"path": env, "python": env_python, "fingerprint": fingerprint, "outcome": "created", "installer": "pip", "seconds": 0},
        "pins": {"PYO3_PYTHON": env_python, "PYTHON_SYS_EXECUTABLE": env_python},
        "hooks": [
            {"name": "get_requires_for_build_wheel", "seconds": 0, "outcome": "ok"},
            {"name": "build_wheel", "seconds": 0, "outcome": "ok"},
        ],
        "store": {"reused": 0, "recorded": 0, "bytes": 0, "seconds": 0},
        "crates": {"compiled": [], "reused": [], "fresh": 0},
        "seconds": 0,
    });
    assert_eq!(report, expected);
    assert_eq!(fields(&report), fields(&expected));
    assert_eq!(
        std::fs::canonicalize(report["interpreter"]["path"].as_str().unwrap()).unwrap(),
        python().path
    );
}

#[test]
fn each_kind_of_artifact_has_its_name() {
    let test = Test::new();
    let project = test.project("p");
    let kinds = |flag: &str| -> Vec<String> {
        let report =
            test.program(&["--message-format", "json", flag]).in_(&project).run().success().json();
        report["artifacts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|artifact| artifact["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds("--sdist"), ["sdist", "wheel"]);
    assert_eq!(kinds("--editable"), ["editable"]);
    assert_eq!(kinds("--metadata"), ["metadata"]);
    assert_eq!(kinds("--from-sdist"), ["sdist", "wheel"]);
}

#[test]
fn a_missing_hook_is_reported_as_unsupported() {
    let test = Test::new();
    let project = test.project("p").backend(&json!({"without": ["get_requires_for_build_wheel"]}));
    let report = test.program(&["--message-format", "json"]).in_(&project).run().success().json();
    assert_eq!(report["hooks"][0]["name"], "get_requires_for_build_wheel");
    assert_eq!(report["hooks"][0]["outcome"], "unsupported");
}

#[test]
fn a_failure_is_reported_with_all_that_is_known_of_it() {
    let test = Test::new();
    let project = test.project_with_backend("raises");
    project.write("backend.py", "def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):\n    print('first')\n    raise ValueError('no')\n");
    let run = test.program(&["--message-format=json"]).in_(&project).run().exits(1);
    let report = run.json();
    assert_eq!(report, project.last_report());
    assert_eq!(report["ok"], false);
    assert_eq!(report["artifacts"], json!([]));
    assert_eq!(report["hooks"][1]["outcome"], "error");
    let error = &report["error"];
    assert_eq!(fields(error), ["kind", "message", "hint", "traceback", "log"]);
    assert_eq!(error["kind"], "HookRuntimeError");
    assert_eq!(
        error["message"],
        "`backend` failed in `build_wheel`: `build_wheel` raised ValueError: no"
    );
    assert_eq!(error["hint"], Value::Null);
    let traceback = error["traceback"].as_str().unwrap();
    assert!(
        traceback.starts_with("Traceback (most recent call last):\n")
            && traceback.trim_end().ends_with("ValueError: no")
    );
    assert_eq!(std::fs::read_to_string(error["log"].as_str().unwrap()).unwrap(), "first\n");
}

#[test]
fn a_failure_before_anything_was_done_is_a_report_too() {
    let test = Test::new();
    let run = test.program(&["--message-format=json", "not/there"]).run().exits(2);
    let report = run.json();
    assert_eq!(
        fields(&report),
        [
            "schema",
            "command",
            "ok",
            "artifacts",
            "pins",
            "hooks",
            "store",
            "crates",
            "seconds",
            "error"
        ]
    );
    assert_eq!(
        (&report["ok"], &report["error"]["kind"]),
        (&json!(false), &json!("InvalidProject"))
    );
}

#[test]
fn several_projects_have_a_report_each_and_one_for_all() {
    let test = Test::new();
    let (one, two) = (
        test.project("one").backend(&json!({"name": "one"})),
        test.project("two").backend(&json!({"name": "two"})),
    );
    let report = test.program(&["--message-format=json", "one", "two"]).run().success().json();
    assert_eq!(report["artifacts"].as_array().unwrap().len(), 2);
    let projects = report["projects"].as_array().unwrap();
    assert_eq!(
        projects.iter().map(|project| &project["project"]).collect::<Vec<_>>(),
        [&json!(one.path), &json!(two.path)]
    );
    assert!(projects.iter().all(
        |project| project["ok"] == true && project["artifacts"].as_array().unwrap().len() == 1
    ));
    assert_eq!(one.last_report(), report);
    assert_eq!(two.last_report(), report);
}

#[test]
fn other_commands_report_failures_in_json_as_well() {
    let test = Test::new();
    for command in ["provision", "fingerprint", "lock", "why", "gc"] {
        let report =
            test.program(&["--message-format=json", command, "not/there"]).run().exits(2).json();
        assert_eq!(report["command"], command);
        assert_eq!(report["error"]["kind"], "InvalidProject");
    }
}

#[test]
fn provision_reports_the_environment() {
    let test = Test::new();
    let project = test.project("p");
    let report =
        test.program(&["--message-format=json", "provision"]).in_(&project).run().success().json();
    assert_eq!((&report["command"], &report["ok"]), (&json!("provision"), &json!(true)));
    assert_eq!(
        fields(&report["env"]),
        ["path", "python", "fingerprint", "outcome", "installer", "seconds"]
    );
    assert!(!project.root().join("reports/last.json").exists(), "only builds leave one");
}
