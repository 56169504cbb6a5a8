//! `env`, `run`, `fingerprint`, `why`, `gc`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::context::{Installer, Program, Project, Test, python, sha256};

#[test]
fn env_says_the_same_in_every_format() {
    let test = Test::new();
    let project = test.project("p");
    let python =
        test.program(&["provision"]).in_(&project).run().success().stdout.trim_end().to_owned();
    let text = |format: &str| {
        test.program(&["env", "--format", format]).in_(&project).run().success().stdout.clone()
    };
    let lines = |prefix: &str, join: &str, quote: &str, suffix: &str| {
        ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE"]
            .map(|name| format!("{prefix}{name}{join}{quote}{python}{quote}{suffix}\n"))
            .concat()
    };
    assert_eq!(text("sh"), lines("export ", "=", "'", ""));
    assert_eq!(
        test.program(&["env"]).in_(&project).run().success().stdout,
        text("sh"),
        "the default"
    );
    assert_eq!(text("fish"), lines("set -gx ", " ", "'", ""));
    assert_eq!(text("powershell"), lines("$env:", " = ", "'", ""));
    assert_eq!(text("github"), lines("", "=", "", ""));
    assert_eq!(text("dotenv"), lines("", "=", "\"", ""));
    let map: BTreeMap<String, Option<String>> = serde_json::from_str(&text("json")).unwrap();
    let expected = ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE"]
        .map(|name| (name.to_owned(), Some(python.clone())));
    assert_eq!(map.into_iter().filter(|(_, value)| value.is_some()).collect::<Vec<_>>(), expected);
    let table: toml::Table = text("cargo").parse().unwrap();
    let relative = Path::new(&python).strip_prefix(&project.path).unwrap();
    let entry: toml::Table =
        toml::from_str(&format!("value = {relative:?}\nrelative = true")).unwrap();
    assert_eq!(table["env"]["PYO3_PYTHON"].as_table(), Some(&entry));
    assert_eq!(table["env"].as_table().unwrap().len(), 2);
}

#[test]
#[cfg(unix)]
fn a_shell_understands_env() {
    let test = Test::new();
    let project = test.project("p");
    let program = env!("CARGO_BIN_EXE_cargo-pyenv-build");
    let script = format!(
        "eval \"$('{program}' env)\" && printf '%s\\n' \"$PYO3_PYTHON\" && env | grep -c '^PYO3_PYTHON='"
    );
    let run = test.command("sh").args(["-c", &script]).in_(&project).run().success();
    let python = test.program(&["provision"]).in_(&project).run().success();
    assert_eq!(run.stdout, format!("{}1\n", python.stdout));
}

#[test]
fn env_provisions_and_asks_the_backend_only_if_it_must() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    for _ in 0..2 {
        test.program(&["env"]).in_(&project).run().success();
        assert_eq!(crate::context::hooks_called(&record), ["get_requires_for_build_wheel"]);
    }
}

#[test]
#[cfg(unix)]
fn run_passes_arguments_output_and_the_exit_code_through() {
    let test = Test::new();
    let project = test.project("p");
    let run = |args: &[&str]| test.program(&["run"]).args(args).in_(&project).run();
    let done = run(&[
        "--",
        "sh",
        "-c",
        "echo \"$@\"; echo err >&2; pwd; exit 7",
        "x",
        "--flag",
        "-v",
        "a b",
    ])
    .exits(7);
    assert_eq!(done.stdout, format!("--flag -v a b\n{}\n", project.path.display()));
    assert!(done.stderr.ends_with("err\n"));
    assert_eq!(
        run(&["sh", "-c", "exit 0"]).success().stderr,
        "",
        "`--` is not needed, and there is nothing to say"
    );
    run(&["--", "sh", "-c", "kill -KILL $$"]).exits(137);
    let failed = run(&["--", "no-such-program"]).exits(127);
    assert!(failed.error().contains("failed to start `no-such-program`"), "{}", failed.error());
    std::fs::write(project.path.join("no-program"), "").unwrap();
    run(&["--", "./no-program"]).exits(126);
    run(&[]).exits(2);
}

#[test]
fn run_in_a_cargo_workspace_with_settings_of_python_tools_asks_no_backend() {
    let test = Test::pristine();
    let root = test.path.join("w");
    std::fs::create_dir_all(root.join("src")).unwrap();
    std::fs::write(
        root.join("Cargo.toml"),
        "[package]\nname = 'w'\nversion = '0.1.0'\nedition = '2021'\n",
    )
    .unwrap();
    std::fs::write(root.join("src/lib.rs"), "").unwrap();
    std::fs::write(root.join("pyproject.toml"), "[tool.ruff]\nline-length = 100\n").unwrap();
    let run = test.program(&[
        "run",
        "--offline",
        "--",
        "python",
        "-c",
        "import os; print(os.environ.get('VIRTUAL_ENV'))",
    ]);
    assert_eq!(run.cwd(&root).run().success().stdout, "None\n");
    let denied = test
        .program(&["run", "--deny-rebuild", "w", "--deny-rebuild", "pyo3-fii*", "--", "true"])
        .cwd(&root);
    let cargo = std::path::PathBuf::from(std::env::var_os("CARGO").unwrap());
    let warned = denied
        .env("PATH", test.search_path(&[cargo.parent().unwrap()]))
        .env("CARGO", &cargo)
        .run()
        .success()
        .stderr
        .clone();
    assert!(
        warned.contains("`--deny-rebuild pyo3-fii*` has no effect")
            && !warned.contains("`--deny-rebuild w`"),
        "{warned}"
    );
}

#[test]
fn why_knows_for_which_interpreter_the_last_build_was() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["build"]).in_(&project).run().success();
    let version = &python().major_minor;
    test.program(&["why", "-p", version]).in_(&project).run().success();
    let run = test.program(&["-p", version, "why"]).in_(&project).run().exits(2);
    assert_eq!(run.error(), "there is no project in `why`, which is also a command");
    assert!(run.hint().contains("`cargo pyenv-build why [OPTIONS]`"), "{}", run.hint());
    let report = project.root().join("reports/last.json");
    let mut last = project.last_report();
    last["interpreter"]["abi_tag"] = "cp27-beos".into();
    std::fs::write(report, last.to_string()).unwrap();
    let run = test.program(&["why", "-p", version]).in_(&project).run().exits(2);
    assert!(
        run.error().starts_with("the last build was for cp27-beos, not for "),
        "{}",
        run.error()
    );
    test.program(&["why"]).in_(&project).run().success();
}

#[test]
#[cfg(unix)]
fn a_directory_for_temporary_files_that_is_gone_does_no_harm_and_is_named() {
    let test = Test::new();
    let project = test.project("p");
    let run =
        test.program(&["build"]).env("TMPDIR", "/no/such/scratch").in_(&project).run().success();
    assert!(
        run.stderr.contains("TMPDIR is `/no/such/scratch`, where no file can be created"),
        "{}",
        run.stderr
    );
    let shown = test
        .program(&["run", "--", "sh", "-c", "echo $TMPDIR; exit 5"])
        .env("TMPDIR", "/no/such/scratch")
        .in_(&project)
        .run();
    assert_eq!(shown.exits(5).stdout, "\n");
}

#[test]
#[cfg(unix)]
fn run_has_the_environment_first_on_path_and_the_pins() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let script = "command -v python; python -c 'import dep; print(dep.VERSION)'; echo \"$PYO3_PYTHON|$VIRTUAL_ENV|$PYTHONHOME\"";
    let program = test
        .program(&["run", "--project", "p"])
        .args(wheels.flags())
        .args(["--", "sh", "-c", script]);
    let run = program.env("PYTHONHOME", "/nonsense").run().success();
    let env = project.root().join("envs").join(project.envs().remove(0));
    let python = env.join("bin/python").display().to_string();
    assert_eq!(
        run.lines(),
        [python.clone(), "1".to_owned(), format!("{python}|{}|", env.display())]
    );
    // A pin of the user's stays.
    let mine = test.program(&["run", "--project", "p"]).args(wheels.flags()).args([
        "--",
        "sh",
        "-c",
        "echo $PYO3_PYTHON",
    ]);
    assert_eq!(mine.env("PYO3_PYTHON", "/mine").run().success().stdout, "/mine\n");
}

#[test]
fn run_gets_standard_input() {
    // The program is run with an empty one; that it ends shows that nothing else is read.
    let test = Test::new();
    let project = test.project("p");
    let script = "import sys; print(repr(sys.stdin.read()))";
    let run = test.program(&["run", "--", "python", "-c", script]).in_(&project).run().success();
    assert_eq!(run.stdout, "''\n");
}

struct Fingerprints {
    test: Test,
    project: Project,
    wheels: crate::context::Wheels,
}

impl Fingerprints {
    fn new() -> Self {
        let test = Test::new();
        let wheels = test.wheels();
        for (name, version) in [("dep", "1"), ("dep", "2"), ("other", "1")] {
            wheels.add(name, version, &[]);
        }
        let project = test.project("p").requires(&["dep==1"]);
        Self { test, project, wheels }
    }

    fn program(&self, args: &[&str]) -> Program {
        self.test
            .program(args)
            .args(self.wheels.flags())
            .installer(Installer::quick(), &self.test)
            .in_(&self.project)
    }
}

#[test]
fn fingerprint_is_the_one_in_the_environments_path() {
    let case = Fingerprints::new();
    let run = case.program(&["fingerprint"]).run().success();
    let fingerprint = run.stdout.trim_end();
    assert_eq!(fingerprint.len(), 64);
    assert_eq!(case.project.envs(), [format!("{}-{}", python().abi, &fingerprint[..12])]);
    let report = case.program(&["--message-format=json", "provision"]).run().success().json();
    assert_eq!(report["env"]["fingerprint"], fingerprint);
}

#[test]
fn fingerprint_explains_every_part_and_they_are_what_it_is_made_of() {
    let case = Fingerprints::new();
    let run = case.program(&["fingerprint", "--explain"]).run().success();
    for line in [&format!("ABI tag {} (", python().abi_tag), "Other parts if", "Not a part new"] {
        assert!(run.stderr.contains(line), "{line}: {}", run.stderr);
    }
    let (first, rest) = run.stdout.split_once('\n').unwrap();
    let parts: BTreeMap<&str, &str> = rest
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap().split_once(" = ").unwrap())
        .collect();
    assert_eq!(
        sha256(serde_json::to_vec(&parts).unwrap()),
        first,
        "SHA-256 over the canonical JSON of the parts"
    );
    assert_eq!(parts["interpreter.version"], python().version);
    assert_eq!(Path::new(parts["interpreter.base_executable"]), python().path);
    assert!(parts["distribution.dep"].starts_with("1 sha256:"));
    let names: Vec<&str> = parts.keys().copied().collect();
    let expected = [
        "distribution.dep",
        "interpreter.abiflags",
        "interpreter.base_executable",
        "interpreter.base_prefix",
        "interpreter.cache_tag",
        "interpreter.debug",
        "interpreter.ext_suffix",
        "interpreter.free_threaded",
        "interpreter.implementation",
        "interpreter.implementation_version",
        "interpreter.library_directory",
        "interpreter.platform",
        "interpreter.pointer_width",
        "interpreter.soabi",
        "interpreter.version",
        "schema",
    ];
    assert_eq!(names, expected);

    let json = case.program(&["--message-format=json", "fingerprint"]).run().success().json();
    assert_eq!(json["fingerprint"], first);
    assert_eq!(json["abi_tag"], python().abi_tag);
    assert_eq!(json["parts"], serde_json::to_value(&parts).unwrap());
    assert_eq!(json["schema"], 1);
}

#[test]
fn fingerprint_says_what_is_different_from_before() {
    let case = Fingerprints::new();
    let before = case.program(&["--message-format=json", "fingerprint"]).run().success();
    let file = case.test.path.join("before.json");
    std::fs::write(&file, &before.stdout).unwrap();
    let diff =
        || case.program(&["fingerprint"]).arg("--diff").arg(&file).run().success().stdout.clone();
    assert_eq!(diff(), "");
    let hash =
        |name: &str, version: &str| sha256(std::fs::read(case.wheels.file(name, version)).unwrap());
    case.project.set_requires(&["dep==2", "other"]);
    let (one, two, other) = (hash("dep", "1"), hash("dep", "2"), hash("other", "1"));
    assert_eq!(
        diff(),
        format!(
            "~ distribution.dep: 1 sha256:{one} -> 2 sha256:{two}\n+ distribution.other: 1 sha256:{other}\n"
        )
    );
    case.project.set_requires(&[]);
    assert_eq!(diff(), format!("- distribution.dep: 1 sha256:{one}\n"));
    std::fs::write(&file, "{}").unwrap();
    let run = case.program(&["fingerprint"]).arg("--diff").arg(&file).run().exits(2);
    assert_eq!(
        run.hint(),
        "create one with `cargo pyenv-build --message-format json fingerprint > FILE`"
    );
    case.program(&["fingerprint", "--diff", "missing"]).run().exits(2);
}

#[test]
fn why_needs_a_build_and_then_says_what_it_did() {
    let test = Test::new();
    let project = test.project("p");
    let run = test.program(&["why"]).in_(&project).run().exits(2);
    assert_eq!(
        run.error(),
        format!("no report found at `{}`", project.root().join("reports/last.json").display())
    );
    assert_eq!(run.hint(), "build the project first: `cargo pyenv-build`");
    test.program(&[]).in_(&project).run().success();
    let run = test.program(&["why"]).in_(&project).run().success();
    let (what, _seconds) = run.stdout.rsplit_once(" in ").unwrap();
    assert_eq!(what, format!("{}: 0 crates compiled", project.path.display()));
    let run = test.program(&["--message-format=json", "why"]).in_(&project).run().success();
    assert_eq!(run.json(), project.last_report());
}

#[test]
fn why_names_the_crates_that_a_backends_cargo_compiled() {
    let test = Test::new();
    let project = test.project("p");
    // What cargo says, from a backend that has none.
    let said = "   Compiling pyo3-ffi v0.29.3\n       Dirty pyo3 v0.29.3: the environment variable PYO3_PYTHON changed\n   \
        Compiling pyo3 v0.29.3\n   Compiling mine v1.0.0 (/p/mine)\n       Fresh libc v0.2.0\n    Finished `release` profile\n";
    let backend = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
    project.write(
        "backend.py",
        &backend.replace(
            "    _called(hook, config_settings)\n    name",
            &format!("    sys.stderr.write({said:?})\n    name"),
        ),
    );
    let run = test.program(&["--message-format=json"]).in_(&project).run().success();
    let crates = &run.json()["crates"];
    let name =
        |value: &Value| format!("{} {} {}", value["name"], value["version"], value["workspace"]);
    let compiled: Vec<String> = crates["compiled"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(
        compiled,
        [r#""pyo3-ffi" "0.29.3" false"#, r#""pyo3" "0.29.3" false"#, r#""mine" "1.0.0" true"#]
    );
    assert_eq!(crates["fresh"], 1);
    let why = test.program(&["why"]).in_(&project).run().success();
    assert!(why.lines()[0].contains("3 crates compiled: pyo3-ffi, pyo3, mine"), "{}", why.stdout);
    // What has a cause of its own comes first.
    assert_eq!(why.lines()[1], "  pyo3 v0.29.3: the environment variable PYO3_PYTHON changed");
}

/// A project with complete environments that were last used so many days ago, and one that is
/// half-made.
fn with_environments(test: &Test, days: &[u64]) -> Project {
    let project = test.project("p");
    let envs = project.root().join("envs");
    for (number, days) in days.iter().enumerate() {
        let name = format!("{}-{number:012}", python().abi);
        std::fs::create_dir_all(envs.join(&name).join("bin")).unwrap();
        let marker = envs.join(format!("{name}.json"));
        std::fs::write(&marker, "{}").unwrap();
        let used = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86400 + 60);
        filetime::set_file_mtime(marker, used.into()).unwrap();
    }
    std::fs::create_dir_all(envs.join(format!("{}-half", python().abi))).unwrap();
    project
}

#[test]
fn gc_keeps_three_and_what_was_used_in_two_weeks() {
    let test = Test::new();
    let project = with_environments(&test, &[1, 2, 3, 4, 15, 20]);
    let name = |last: &str| format!("{}-{last:0>12}", python().abi);
    let doomed = [
        json!({"path": project.root().join("envs").join(name("4")), "reason": "unused for 15 days"}),
        json!({"path": project.root().join("envs").join(name("5")), "reason": "unused for 20 days"}),
        json!({"path": project.root().join("envs").join(format!("{}-half", python().abi)), "reason": "half-made"}),
    ];
    let gc = |more: &[&str]| {
        test.program(&["--message-format=json", "gc"])
            .args(more)
            .in_(&project)
            .run()
            .success()
            .json()
    };
    let before = project.list(".pyenv-build/envs");
    assert_eq!(
        gc(&["--dry-run"]),
        json!({"schema": 1, "command": "gc", "ok": true, "dry_run": true, "removed": doomed, "kept": []})
    );
    assert_eq!(project.list(".pyenv-build/envs"), before, "a dry run touches nothing");
    assert_eq!(
        gc(&[]),
        json!({"schema": 1, "command": "gc", "ok": true, "dry_run": false, "removed": doomed, "kept": []})
    );
    assert_eq!(project.envs(), ["0", "1", "2", "3"].map(name));
    assert_eq!(gc(&[])["removed"], json!([]));
    gc(&["--keep", "1", "--used-within", "36h"]);
    assert_eq!(project.envs(), [name("0")]);
}

#[test]
fn gc_prints_nothing_on_stdout_for_people() {
    let test = Test::new();
    let project = with_environments(&test, &[20]);
    let run = test.program(&["gc", "--keep", "0"]).in_(&project).run().success();
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr.matches("Removed").count(), 2);
    let run = test.program(&["gc"]).in_(&project).run().success();
    assert_eq!(run.stderr, "        Kept all environments\n");
}

#[test]
fn gc_leaves_an_environment_alone_that_is_being_made() {
    let test = Test::new();
    let project = with_environments(&test, &[]);
    let lock = std::fs::File::create(
        project.root().join("envs").join(format!("{}-half.lock", python().abi)),
    )
    .unwrap();
    lock.lock().unwrap();
    test.program(&["gc"]).in_(&project).run().success();
    assert_eq!(project.envs().len(), 1);
    drop(lock);
    test.program(&["gc"]).in_(&project).run().success();
    assert_eq!(project.envs().len(), 0);
}

#[test]
fn an_environment_that_gc_removed_is_made_again() {
    let test = Test::new();
    let project = test.project("p");
    let provision = || {
        test.program(&["--message-format=json", "provision"]).in_(&project).run().success().json()
    };
    let first = provision();
    test.program(&["gc", "--keep", "0", "--used-within", "0s"]).in_(&project).run().success();
    assert_eq!(project.envs(), [""; 0]);
    let second = provision();
    assert_eq!(
        (&second["env"]["path"], &second["env"]["outcome"]),
        (&first["env"]["path"], &json!("created"))
    );
}

#[test]
fn using_an_environment_renews_it() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["provision"]).in_(&project).run().success();
    let marker = project.root().join("envs").join(format!("{}.json", project.envs()[0]));
    let age = || {
        std::fs::metadata(&marker)
            .unwrap()
            .modified()
            .unwrap()
            .elapsed()
            .unwrap_or_default()
            .as_secs()
    };
    filetime::set_file_mtime(
        &marker,
        (std::time::SystemTime::now() - std::time::Duration::from_secs(30 * 86400)).into(),
    )
    .unwrap();
    test.program(&["gc", "--keep", "0", "--dry-run"]).in_(&project).run().success();
    assert!(age() > 86400, "looking is no use");
    test.program(&["provision"]).in_(&project).run().success();
    assert!(age() < 86400);
}
