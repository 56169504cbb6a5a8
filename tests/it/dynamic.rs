//! What the backend asks for at run time: `get_requires_for_build_*`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::context::{Installer, Program, Project, Test, Wheels, calls, hooks_called};

struct Dynamic {
    test: Test,
    project: Project,
    wheels: Wheels,
    record: PathBuf,
}

impl Dynamic {
    fn new() -> Self {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("static", "1", &[]);
        wheels.add("asked", "1", &[]);
        wheels.add("asked", "2", &[]);
        let project = test.project("p").requires(&["static"]);
        let record = test.path.join("calls");
        Self { test, project, wheels, record }
    }

    /// What the hooks for a wheel answer from now on.
    fn answers(&self, requirements: &[&str]) {
        self.project.set_backend(&json!({"record": self.record, "requires": {"get_requires_for_build_wheel": requirements}}));
    }

    fn program(&self, args: &[&str]) -> Program {
        self.test
            .program(&["--message-format=json"])
            .args(args)
            .args(self.wheels.flags())
            .installer(Installer::quick(), &self.test)
            .in_(&self.project)
    }

    fn build(&self) -> Value {
        self.program(&["build"]).run().success().json()
    }

    /// Versions of `static` and `asked` in an environment.
    fn versions(&self, report: &Value) -> String {
        let script = "import importlib.metadata as m; print(*sorted(d.metadata['Name'] + d.version for d in m.distributions()))";
        let python = report["env"]["python"].as_str().unwrap();
        self.test
            .command(python)
            .args(["-I", "-c", script])
            .run()
            .success()
            .stdout
            .trim()
            .to_owned()
    }
}

#[test]
fn what_the_hook_adds_makes_another_environment_and_the_memo_leads_there_directly() {
    let case = Dynamic::new();
    case.answers(&["asked==1"]);
    let first = case.build();
    assert_eq!(case.versions(&first), "asked1 static1");
    assert_eq!(case.project.envs().len(), 2, "one to ask in, one to build in");
    let prefixes: Vec<String> = calls(&case.record)
        .iter()
        .map(|call| call["prefix"].as_str().unwrap().to_owned())
        .collect();
    assert_ne!(prefixes[0], prefixes[1]);
    assert_eq!(first["env"]["path"], prefixes[1].as_str());

    // Next time the hook is asked in the final environment, and the other one may be gone.
    std::fs::remove_file(format!("{}.json", prefixes[0])).unwrap();
    std::fs::remove_dir_all(&prefixes[0]).unwrap();
    let second = case.build();
    assert_eq!(
        (&second["env"]["path"], &second["env"]["outcome"]),
        (&first["env"]["path"], &json!("reused"))
    );
    assert_eq!(case.project.envs().len(), 1);
    assert_eq!(
        hooks_called(&case.record)[2..],
        ["get_requires_for_build_wheel", "build_wheel"],
        "it is still asked"
    );
    assert!(calls(&case.record)[2..].iter().all(|call| call["prefix"] == first["env"]["path"]));
}

#[test]
fn a_hook_that_changes_its_mind_is_obeyed() {
    let case = Dynamic::new();
    case.answers(&["asked==1"]);
    let first = case.build();
    case.answers(&["asked==2"]);
    let second = case.build();
    assert_eq!(case.versions(&second), "asked2 static1");
    case.answers(&[]);
    let third = case.build();
    assert_eq!(case.versions(&third), "static1");
    case.answers(&["asked==1"]);
    assert_eq!(case.build()["env"]["path"], first["env"]["path"], "back in the first");
}

#[test]
fn what_is_there_already_adds_nothing() {
    let case = Dynamic::new();
    case.answers(&["static>=1", "never; python_version < '3'"]);
    let report = case.build();
    assert_eq!(case.versions(&report), "static1");
    assert_eq!(case.project.envs().len(), 1);
}

#[test]
fn a_conflict_with_what_is_declared_is_a_failure_to_provision() {
    let case = Dynamic::new();
    case.answers(&["static==2"]);
    let run = case.program(&["build"]).run().exits(4);
    assert_eq!(run.json()["error"]["kind"], "ResolutionFailed");
}

#[test]
fn a_backend_that_asked_for_the_impossible_and_was_mended_is_asked_again() {
    let case = Dynamic::new();
    case.answers(&["missing"]);
    case.program(&["build"]).run().exits(4);
    case.answers(&["asked==1"]);
    assert_eq!(case.versions(&case.build()), "asked1 static1");
}

#[test]
fn each_kind_of_build_has_requirements_of_its_own() {
    let case = Dynamic::new();
    case.project.set_backend(&json!({"record": case.record, "requires": {
        "get_requires_for_build_wheel": ["asked==1"],
        "get_requires_for_build_sdist": [],
        "get_requires_for_build_editable": ["asked==2"],
    }}));
    assert_eq!(case.versions(&case.build()), "asked1 static1");
    assert_eq!(
        case.versions(&case.program(&["build", "--editable"]).run().success().json()),
        "asked2 static1"
    );
    case.program(&["build", "--sdist"]).run().success();
    let sdist = calls(&case.record).into_iter().find(|call| call["hook"] == "build_sdist").unwrap();
    let wheel = calls(&case.record).into_iter().find(|call| call["hook"] == "build_wheel").unwrap();
    assert_ne!(sdist["prefix"], wheel["prefix"]);
}

#[test]
fn config_settings_and_the_configuration_decide_which_answer_is_remembered() {
    let case = Dynamic::new();
    case.answers(&["asked==1"]);
    // Without a build the remembered answer will do.
    let provision = |more: &[&str]| case.program(&["provision"]).args(more).run().success().json();
    provision(&[]);
    provision(&[]);
    assert_eq!(hooks_called(&case.record).len(), 1);
    provision(&["-C", "a=b"]);
    assert_eq!(hooks_called(&case.record).len(), 2, "other settings, another question");
    let text = std::fs::read_to_string(case.project.path.join("pyproject.toml")).unwrap();
    case.project.write("pyproject.toml", &format!("{text}\n# changed\n"));
    provision(&[]);
    assert_eq!(hooks_called(&case.record).len(), 3, "another project file, another question");
}

#[test]
fn provision_and_build_come_to_the_same_environment() {
    let case = Dynamic::new();
    case.answers(&["asked==1"]);
    let provisioned = case.program(&["provision"]).run().success().json();
    assert_eq!(provisioned["env"]["outcome"], "created");
    let built = case.build();
    assert_eq!(
        (&built["env"]["path"], &built["env"]["outcome"]),
        (&provisioned["env"]["path"], &json!("reused"))
    );
}

#[test]
fn upgrade_reaches_what_the_hook_asks_for() {
    let case = Dynamic::new();
    case.answers(&["asked"]);
    assert_eq!(case.versions(&case.build()), "asked2 static1");
    case.wheels.add("asked", "3", &[]);
    case.wheels.add("static", "2", &[]);
    assert_eq!(case.versions(&case.build()), "asked2 static1");
    assert_eq!(
        case.versions(&case.program(&["build", "--upgrade"]).run().success().json()),
        "asked3 static2"
    );
    assert_eq!(case.versions(&case.build()), "asked3 static2");
}

#[test]
fn one_environment_that_needs_nothing_more_is_called_created_when_it_was_made_in_this_run() {
    let case = Dynamic::new();
    case.answers(&["static"]);
    assert_eq!(case.build()["env"]["outcome"], "created");
    assert_eq!(case.build()["env"]["outcome"], "reused");
}

/// A backend of the project's own, which notes what it sees of what cargo has built, and where: a
/// line per hook.
const LOOKS_AT_BUILT: &str = r#"
import os, sys, zipfile

def note(hook):
    seen = [name for name in ("target", "elsewhere", "plain") if name in os.listdir() + os.listdir("rust")]
    with open("seen.txt", "a") as file:
        print(hook, *seen, file=file)
    return seen

def get_requires_for_build_wheel(config_settings=None):
    note("requires")
    return []

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    note("build")
    name = "p-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("p-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: p\nVersion: 1\n")
        wheel.writestr("p-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("p-1.dist-info/RECORD", "")
    return name
"#;

#[test]
fn a_backend_sees_the_source_tree_as_it_is() {
    let test = Test::new();
    let project = test.project("p");
    project.write(
        "pyproject.toml",
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
    );
    project.write("backend.py", LOOKS_AT_BUILT);
    project.write(
        "rust/Cargo.toml",
        "[package]\nname = 'p'\nversion = '1.0.0'\nedition = '2021'\n[workspace]\n",
    );
    project.write("rust/src/lib.rs", "");
    for directory in ["rust/target", "elsewhere"] {
        project.write(
            &format!("{directory}/CACHEDIR.TAG"),
            "Signature: 8a477f597d28d172789f06886806bc55\n",
        );
    }
    project.write("plain/data.txt", "");
    test.program(&["build"]).in_(&project).run().success();
    let seen = std::fs::read_to_string(project.path.join("seen.txt")).unwrap();
    assert_eq!(seen, "requires target elsewhere plain\nbuild target elsewhere plain\n");
}
