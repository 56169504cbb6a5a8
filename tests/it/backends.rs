//! Backends that misbehave: whose fault it is, where to look, and nothing left behind.

use crate::context::{Project, Run, Test, snapshot};

/// What the backend `outside` has put where it must not.
const LEFT_BY_OUTSIDE: &str = "outside-1-py3-none-any.whl";

/// Builds, which must fail with status 1, and looks at what is left.
#[track_caller]
fn fails(test: &Test, project: &Project, args: &[&str]) -> Run {
    let run = test.program(args).in_(project).run().exits(1);
    assert_eq!(run.stdout, "", "nothing on stdout");
    assert!(!project.dist().exists(), "nothing in dist");
    let left: Vec<String> = project
        .list(".pyenv-build/tmp")
        .into_iter()
        .filter(|name| name != LEFT_BY_OUTSIDE)
        .collect();
    assert_eq!(left, [""; 0], "nothing in tmp");
    run
}

/// The kind of error of the last report.
fn kind(project: &Project) -> String {
    project.last_report()["error"]["kind"].as_str().unwrap().to_owned()
}

#[test]
fn an_exception_is_shown_with_its_traceback_and_log() {
    let test = Test::new();
    let project = test.project_with_backend("raises");
    project.write("backend.py", "import sys\ndef build_wheel(*args):\n    print('to stdout')\n    print('to stderr', file=sys.stderr)\n    raise ValueError('two\\nlines')\n");
    let run = fails(&test, &project, &["-C", "a=b"]);
    assert_eq!(kind(&project), "HookRuntimeError");
    snapshot!(test, run.stderr, @r#"
     Provisioned [ENV] for CPython [VERSION] (empty) in [TIME]
      | to stdout
      | to stderr
    Traceback (most recent call last):
      File "[TMP]/raises/backend.py", line 5, in build_wheel
        raise ValueError('two\nlines')
    ValueError: two
    lines
    error: `backend` failed in `build_wheel`: `build_wheel` raised ValueError: two
    lines
      full output: [TMP]/raises/.pyenv-build/logs/[WHEN]-build_wheel.log
    "#);
}

#[test]
fn a_hook_that_asks_for_requirements_may_fail_too() {
    let test = Test::new();
    let project = test.project_with_backend("raises");
    fails(&test, &project, &[]);
    assert_eq!(kind(&project), "HookRuntimeError");
    assert_eq!(project.last_report()["hooks"][0]["outcome"], "error");
}

#[test]
fn the_kind_says_what_the_backend_did() {
    let test = Test::new();
    for (backend, args, expected, message) in [
        ("system_exit", &["-C", "status=3"][..], "HookRuntimeError", "SystemExit"),
        ("keyboard_interrupt", &[], "HookRuntimeError", "KeyboardInterrupt"),
        ("killed", &["-C", "signal=SIGKILL"], "HookRuntimeError", "SIGKILL"),
        ("wrong_type", &[], "HookRuntimeError", "get_requires_for_build_wheel"),
        ("unserializable", &[], "HookRuntimeError", "get_requires_for_build_wheel"),
        ("missing_file", &[], "HookRuntimeError", "build_wheel"),
        ("outside", &[], "HookRuntimeError", "build_wheel"),
        ("wheel_in_directory", &[], "HookRuntimeError", "build_wheel"),
        ("stack_overflow", &[], "HookRuntimeError", "RecursionError"),
        ("import_error", &[], "BackendImportError", "no_such_dependency"),
        ("import_raises", &[], "BackendImportError", "at import"),
        ("import_exits", &[], "BackendImportError", "backend"),
        ("backend_missing", &[], "MissingBackendModule", "backend"),
        ("attribute_missing", &[], "MissingBackendAttribute", "backend"),
        ("elsewhere", &[], "MissingBackendModule", "backend"),
    ] {
        let project = test.project_with_backend(backend);
        let run = fails(&test, &project, args);
        assert_eq!(kind(&project), expected, "{backend}");
        let report = project.last_report();
        let said = report["error"]["message"].as_str().unwrap();
        assert!(said.contains(message), "{backend}: {said}");
        let log = report["error"]["log"].as_str().unwrap();
        assert!(std::path::Path::new(log).is_file(), "{backend}: there is a log at {log}");
        drop(run);
    }
}

#[test]
fn backends_that_are_not_there_get_a_hint() {
    let test = Test::new();
    let hint =
        |backend: &str| fails(&test, &test.project_with_backend(backend), &[]).hint().to_owned();
    assert_eq!(
        hint("backend_missing"),
        "no build requirement provides `no_such_backend`: check `build-backend` and `requires` in `[build-system]`"
    );
    assert_eq!(hint("attribute_missing"), "check `build-backend` in `[build-system]`");
    assert_eq!(
        hint("import_error"),
        "the backend is broken, or needs a package that is missing from `[build-system] requires`"
    );
}

#[test]
fn a_hook_that_kills_hookd_is_told_from_one_that_fails() {
    let test = Test::new();
    let project = test.project_with_backend("kills_keeper");
    fails(&test, &project, &[]);
    let kind = kind(&project);
    assert!(["HookRuntimeError", "HookdFailed"].contains(&kind.as_str()), "{kind}");
}

#[test]
fn what_is_no_wheel_is_refused_and_not_left_in_dist() {
    let test = Test::new();
    let project = test.project_with_backend("minimal");
    let run = fails(&test, &project, &[]);
    assert_eq!(kind(&project), "WrongArtifact");
    assert!(run.error().contains("minimal-1-py3-none-any.whl` is not a readable wheel"));
}

#[test]
fn an_archive_that_is_no_sdist_is_refused() {
    let test = Test::new();
    let project = test.project_with_backend("minimal");
    let run = test.program(&["--from-sdist"]).in_(&project).run().exits(1);
    assert!(run.error().contains("is not a readable source distribution"));
    assert_eq!(kind(&project), "WrongArtifact");
}

#[test]
fn an_answer_that_is_no_requirement_is_the_backends_fault() {
    let test = Test::new();
    let project = test.project("p").backend(
        &serde_json::json!({"requires": {"get_requires_for_build_wheel": ["not a requirement"]}}),
    );
    let run = fails(&test, &project, &[]);
    assert!(
        run.error().starts_with("`backend` returned `not a requirement` from `get_requires_for_build_wheel`, which is not a valid requirement")
    );
    // The next run asks again: a fixed backend is not held to its old answer.
    project.set_backend(&serde_json::json!({}));
    test.program(&[]).in_(&project).run().success();
}

#[test]
fn output_that_is_not_text_is_logged_with_replacement_characters() {
    let test = Test::new();
    let project = test.project_with_backend("not_utf8");
    test.program(&["-v", "provision"]).in_(&project).run().success();
    let logs = project.list(".pyenv-build/logs");
    let log = std::fs::read_to_string(project.root().join("logs").join(&logs[0])).unwrap();
    assert_eq!(log, "caf\u{fffd} \u{fffd}\\\r\ncaf\u{e9}\nno end of line");
}

#[test]
fn prints_do_not_disturb_the_protocol() {
    let test = Test::new();
    let project = test.project_with_backend("prints_below");
    let run = test.program(&["-v", "provision"]).in_(&project).run().success();
    for line in ["print", "os.write", "puts", "echo", "stdin ''", "err"] {
        assert!(run.stderr.lines().any(|shown| shown == line), "{line}");
    }
    assert_eq!(run.lines().len(), 1);
}

#[test]
fn a_hook_that_takes_too_long_is_ended() {
    let test = Test::new();
    let project = test.project_with_backend("hangs");
    let run = fails(&test, &project, &["--hook-timeout", "1s"]);
    assert_eq!(kind(&project), "HookTimedOut");
    assert_eq!(run.error(), "`build_wheel` did not finish within 1s");
    assert_eq!(run.hint(), "give it more time with `--hook-timeout`");
}

#[cfg(unix)]
#[test]
fn processes_that_a_hook_leaves_in_its_group_do_not_survive() {
    let test = Test::new();
    let project = test.project_with_backend("daemons");
    // It has no valid wheel, but its processes are what matters.
    let run = test.program(&["-v"]).in_(&project).run().exits(1);
    let pid = |name: &str| -> u32 {
        let line = run.stderr.lines().find(|line| line.starts_with(name)).unwrap();
        line.split(' ').next_back().unwrap().parse().unwrap()
    };
    let alive = |pid: u32| {
        rustix::process::test_kill_process(
            rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap(),
        )
        .is_ok()
    };
    assert!(!alive(pid("in-group")));
    // A server of its own session stays, as a compiler cache's must; the test ends it.
    let server = pid("in-session");
    assert!(alive(server));
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(server.try_into().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}
