//! Ctrl-C and SIGTERM: a fitting exit code, and no process left over.
#![cfg(target_os = "linux")]

use std::path::Path;

use rustix::process::Signal;

use crate::context::{Project, Test, script};
use crate::processes::{MARK, census, kill, wait_until};

fn logs_say(project: &Project, word: &str) -> bool {
    let logs = project.list(".pyenv-build/logs");
    logs.iter().any(|name| {
        std::fs::read_to_string(project.root().join("logs").join(name))
            .is_ok_and(|text| text.contains(word))
    })
}

/// Starts a build that hangs, sends a signal once it does, and looks at what is left.
#[track_caller]
fn ends(backend: &str, signal: Signal, code: i32) {
    let test = Test::new();
    let project = test.project_with_backend(backend);
    let mark = test.path.display().to_string();
    let program = test.program(&["--message-format=json"]).in_(&project).env(MARK, &mark);
    let child = program.spawn();
    wait_until("the hook hangs", || logs_say(&project, "ready"));
    assert!(census(&mark).len() >= 3, "we, hookd and the hook");
    kill(&child, signal);
    let run = program.wait(child).exits(code);
    assert_eq!(census(&mark), [""; 0], "no process is left");
    let error = &run.json()["error"];
    assert_eq!(error["kind"], "Interrupted");
    assert!(!project.dist().exists());
    assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
    assert_eq!(project.last_report()["ok"], false);
}

#[test]
fn ctrl_c_ends_a_hook_that_hangs_and_all_its_processes() {
    ends("hangs", Signal::INT, 130);
}

#[test]
fn sigterm_ends_a_hook_that_hangs_and_all_its_processes() {
    ends("hangs", Signal::TERM, 143);
}

#[test]
fn ctrl_c_ends_an_import_that_hangs() {
    ends("import_hangs", Signal::INT, 130);
}

#[test]
fn ctrl_c_ends_a_hook_that_ignores_sigterm() {
    ends("ignores_sigterm", Signal::INT, 130);
}

#[test]
fn sigkill_leaves_no_process_either() {
    let test = Test::new();
    let project = test.project_with_backend("hangs");
    let mark = test.path.display().to_string();
    let program = test.program(&[]).in_(&project).env(MARK, &mark);
    let mut child = program.spawn();
    wait_until("the hook hangs", || logs_say(&project, "ready"));
    kill(&child, Signal::KILL);
    child.wait().unwrap();
    wait_until("the kernel and hookd have ended the rest", || census(&mark).is_empty());
    // The next run is not disturbed by what the last has left.
    project.write(
        "backend.py",
        &std::fs::read_to_string(crate::context::fixtures().join("backends/tiny/backend.py"))
            .unwrap(),
    );
    test.program(&[]).in_(&project).run().success();
}

/// A program that says that it runs, then hangs with a child.
fn hanging(test: &Test, ready: &Path) -> std::path::PathBuf {
    let path = test.path.join("hanging");
    script(&path, &format!("sleep 600 & echo > '{}'; wait", ready.display()));
    path
}

#[test]
fn ctrl_c_while_the_interpreter_is_asked_ends_it() {
    let test = Test::new();
    let project = test.project("p");
    let (ready, mark) = (test.path.join("ready"), test.path.display().to_string());
    let python = hanging(&test, &ready);
    let program = test
        .program(&["--message-format=json", "provision", "-p"])
        .arg(python)
        .in_(&project)
        .env(MARK, &mark);
    let child = program.spawn();
    wait_until("the interpreter hangs", || ready.exists());
    kill(&child, Signal::INT);
    let run = program.wait(child).exits(130);
    assert_eq!(run.json()["error"]["kind"], "Interrupted");
    assert_eq!(census(&mark), [""; 0]);
}

#[test]
fn ctrl_c_while_an_installer_runs_leaves_no_half_made_environment() {
    let test = Test::new();
    let project = test.project("p").requires(&["dep"]);
    let (ready, mark) = (test.path.join("ready"), test.path.display().to_string());
    std::fs::rename(hanging(&test, &ready), test.bin().join("uv")).unwrap();
    let program = test
        .program(&["--message-format=json", "provision", "--installer=uv"])
        .in_(&project)
        .env(MARK, &mark);
    let child = program.spawn();
    wait_until("the installer hangs", || ready.exists());
    kill(&child, Signal::INT);
    let run = program.wait(child).exits(130);
    assert_eq!(run.json()["error"]["kind"], "Interrupted");
    assert_eq!(census(&mark), [""; 0]);
    assert_eq!(project.envs(), [""; 0]);
    assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
}

#[test]
fn ctrl_c_while_waiting_for_a_lock_stops_waiting() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["provision"]).in_(&project).run().success();
    let envs = project.root().join("envs");
    let name = project.envs().remove(0);
    std::fs::remove_file(envs.join(format!("{name}.json"))).unwrap();
    let lock = std::fs::File::create(envs.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let program = test.program(&["--message-format=json", "provision"]).in_(&project);
    let child = program.spawn();
    // It has opened the file by the time that it waits.
    let descriptors = format!("/proc/{}/fd", child.id());
    wait_until("it waits", || {
        let links = std::fs::read_dir(&descriptors).into_iter().flatten().filter_map(Result::ok);
        links
            .filter_map(|link| std::fs::read_link(link.path()).ok())
            .any(|path| path.ends_with(format!("{name}.lock")))
    });
    kill(&child, Signal::INT);
    assert_eq!(program.wait(child).exits(130).json()["error"]["kind"], "Interrupted");
}

#[test]
fn run_hands_sigterm_on_and_reports_what_the_command_made_of_it() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["provision"]).in_(&project).run().success();
    let (ready, mark) = (test.path.join("ready"), test.path.display().to_string());
    let script =
        format!("trap 'exit 5' TERM; echo > '{}'; while :; do sleep 0.05; done", ready.display());
    let program = test.program(&["run", "--", "sh", "-c", &script]).in_(&project).env(MARK, &mark);
    let child = program.spawn();
    wait_until("the command runs", || ready.exists());
    kill(&child, Signal::TERM);
    program.wait(child).exits(5);
    wait_until("no process is left", || census(&mark).is_empty());
}
