//! `--launcher`: hookd behind another command, with nothing shared but two pipes.

use crate::context::*;

#[test]
fn what_is_built_behind_a_launcher_is_copied_back() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["--sdist"]).in_(&project).run().success();
    let direct = std::fs::read(project.dist().join("tiny-1.0-py3-none-any.whl")).unwrap();
    std::fs::remove_dir_all(project.dist()).unwrap();
    let run =
        test.program(&["--sdist", "--launcher", "env LAUNCHED=1"]).in_(&project).run().success();
    assert_eq!(run.stdout.lines().count(), 2);
    assert_eq!(std::fs::read(project.dist().join("tiny-1.0-py3-none-any.whl")).unwrap(), direct);
    assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
}

#[test]
#[cfg(unix)]
fn a_proxy_can_read_along_and_sees_no_file_names_of_ours() {
    let test = Test::new();
    let project = test.project("p");
    project.write("proxy.sh", "#!/bin/sh\n\"$@\" | tee \"$PROXY_LOG\"\n");
    let log = project.path.join("protocol.log");
    let launcher = format!("sh {}", project.path.join("proxy.sh").display());
    test.program(&["--launcher", &launcher])
        .env("PROXY_LOG", log.display().to_string())
        .in_(&project)
        .run()
        .success();
    let protocol = std::fs::read_to_string(log).unwrap();
    let first = protocol.lines().next().unwrap();
    assert!(first.starts_with("DEBUG hookd protocol 1, "), "{first}");
    for word in ["READY", "OK \"tiny-1.0-py3-none-any.whl\"", "DATA ", "SHUTDOWN"] {
        assert!(protocol.lines().any(|line| line.starts_with(word)), "no {word} in {protocol}");
    }
    assert!(!protocol.contains("\nSTDOUT "), "output comes over the wire");
}

#[test]
fn the_output_of_a_hook_behind_a_launcher_is_shown_and_kept() {
    let test = Test::new();
    let project = test.project_with_backend("raises");
    project.write(
        "backend.py",
        "def build_wheel(*args):\n    print('from afar')\n    raise ValueError('no')\n",
    );
    let run = test.program(&["--launcher", "env LAUNCHED=1"]).in_(&project).run().exits(1);
    assert!(run.stderr.contains("| from afar"), "{}", run.stderr);
    let error = project.last_report()["error"].clone();
    assert_eq!(error["kind"], "HookRuntimeError");
    assert!(std::fs::read_to_string(error["log"].as_str().unwrap()).unwrap().contains("from afar"));
}

#[test]
fn a_launcher_that_is_none_is_told() {
    let test = Test::new();
    let project = test.project("p");
    let run = test.program(&["--launcher", "'"]).in_(&project).run().exits(2);
    assert!(run.error().contains("is not a command"), "{}", run.error());
    let run = test.program(&["--launcher", "no-such-launcher"]).in_(&project).run().exits(1);
    assert!(run.stderr.contains("no-such-launcher"), "{}", run.stderr);
}
