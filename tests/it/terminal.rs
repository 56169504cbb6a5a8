//! What asks at the terminal gets an answer, in hooks and while resolving; and nobody waits for one
//! that cannot come.

use std::path::Path;

use crate::context::{Installer, Program, Project, Run, Test, python, script};

/// Runs a command with a terminal of its own. Each `phrase:` is answered with the first argument;
/// `^C` is Ctrl-C, `^Z` is Ctrl-Z, and `secret` once a shell has said `suspended`. With `background` the command is not in the terminal's foreground. After a
/// minute, it hangs.
const DRIVE: &str = r#"
import os, pty, select, signal, sys, time
answer, where, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    if where == "background":
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.execvp(command[0], command)
        try:
            os.setpgid(child, child)
        except PermissionError:
            pass  # it was faster, and has done it itself
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255)
    os.execvp(command[0], command)
output, sent, end = b"", 0, time.time() + 60
while time.time() < end:
    if select.select([terminal], [], [], 0.2)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        output += data
        if output.count(b"phrase:") > sent:
            sent += 1
            time.sleep(0.3)
            keys = {"^C": b"\x03", "^Z": b"\x1a"}
            os.write(terminal, keys.get(answer, answer.encode() + b"\n"))
        if answer == "^Z" and b"suspended" in output:
            answer = "secret"
            time.sleep(0.5)
            os.write(terminal, b"secret\n")
else:
    os.kill(pid, signal.SIGTERM)
    print("HANGS")
print(output.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
"#;

fn drive(test: &Test, program: &Program, answer: &str, place: &str) -> Run {
    let file = test.path.join("drive.py");
    std::fs::write(&file, DRIVE).unwrap();
    let run = program.behind(&python().path, &[file.to_str().unwrap(), answer, place]).run();
    assert!(!run.stdout.contains("HANGS"), "{}", run.stdout);
    run
}

/// A project whose hook has a child that asks.
fn asks(test: &Test) -> Project {
    let project = test.project("p");
    let backend = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
    let ask =
        "printf 'pass phrase: ' > /dev/tty && read answer < /dev/tty && test \"$answer\" = secret";
    let hook = format!(
        "def build_wheel(*args, **kwargs):\n    import subprocess\n    subprocess.check_call(['sh', '-c', {ask:?}])\n    return _build(*args, **kwargs)\n"
    );
    project.write(
        "backend.py",
        &format!("{}\n\n{hook}", backend.replace("def build_wheel(", "def _build(")),
    );
    project
}

#[test]
fn a_hook_gets_an_answer_and_ctrl_c() {
    let test = Test::new();
    let project = asks(&test);
    let build = test.program(&["build"]).in_(&project);
    let run = drive(&test, &build, "secret", "foreground").success();
    assert!(run.stdout.contains("pass phrase:"), "{}", run.stdout);
    // The terminal is ours again: another command may ask.
    let twice = build.clone().behind(
        Path::new("sh"),
        &["-c", "\"$@\" && \"$@\" && printf 'phrase: ' && read answer && echo got $answer", "sh"],
    );
    assert!(drive(&test, &twice, "secret", "foreground").success().stdout.contains("got secret"));
    // `bash -ic` has the signals ignored with which the kernel stops who wants the terminal.
    let ignoring =
        build.clone().behind(Path::new("bash"), &["-c", "trap '' TTIN TTOU; exec \"$@\"", "bash"]);
    drive(&test, &ignoring, "secret", "foreground").success();
    drive(&test, &build, "wrong", "foreground").exits(1);
    drive(&test, &build, "^C", "foreground").exits(130);
}

#[test]
fn a_hook_that_cannot_have_the_terminal_fails_and_says_so() {
    let test = Test::new();
    let project = asks(&test);
    let build = test.program(&["build"]).in_(&project);
    let run = drive(&test, &build, "secret", "background").exits(1);
    assert!(run.stdout.contains("cannot read from the terminal"), "{}", run.stdout);
    // No terminal at all: opening it fails, as ever.
    let without = build.behind(
        &python().path,
        &["-c", "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])"],
    );
    without.run().exits(1);
}

#[test]
fn git_over_ssh_gets_an_answer_while_requirements_are_resolved() {
    for installer in Installer::all() {
        let test = Test::new();
        let asked = test.path.join("asked");
        let ssh = test.bin().join("asking-ssh");
        script(
            &ssh,
            &format!(
                "printf 'pass phrase: ' > /dev/tty\nread answer < /dev/tty\nprintf %s \"$answer\" > {}\nexit 1",
                asked.display()
            ),
        );
        let project = test.project("p").requires(&["x @ git+ssh://git@localhost/x.git"]);
        let program = test
            .program(&["provision"])
            .installer(installer, &test)
            .in_(&project)
            .env("GIT_SSH_COMMAND", &ssh);
        drive(&test, &program, "secret", "foreground").exits(4);
        assert_eq!(std::fs::read_to_string(&asked).unwrap(), "secret", "{}", installer.name());
        drive(&test, &program, "^C", "foreground").exits(130);
        // Ctrl-Z is for all of us, and `fg` goes on where it was.
        std::fs::remove_file(&asked).unwrap();
        let job = ["-mc", "\"$@\"; echo suspended; fg; exit $?", "bash"];
        let shell = program.clone().behind(Path::new("bash"), &job);
        drive(&test, &shell, "^Z", "foreground").exits(4);
        assert_eq!(std::fs::read_to_string(&asked).unwrap(), "secret", "{}", installer.name());
        let run = drive(&test, &program, "secret", "background").exits(4);
        assert!(
            run.stdout.contains("cannot read from the terminal")
                && run.stdout.contains("run it in the foreground"),
            "{}",
            run.stdout
        );
    }
}
