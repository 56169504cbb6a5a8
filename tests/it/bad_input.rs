//! Whatever is wrong: the documented exit code, the same words for people and for programs, and
//! nothing half-made left.

use std::path::Path;

use serde_json::{Value, json};

use crate::context::*;
use crate::server::Server;
use crate::skip::not_tested;

/// What of our directory would be half-made.
pub(crate) fn half_made(root: &Path) -> Vec<String> {
    let mut found: Vec<String> =
        list(&root.join("tmp")).into_iter().map(|name| format!("tmp/{name}")).collect();
    let envs = root.join("envs");
    let without_marker =
        |name: &String| envs.join(name).is_dir() && !envs.join(format!("{name}.json")).exists();
    found.extend(list(&envs).into_iter().filter(without_marker).map(|name| format!("envs/{name}")));
    for directory in ["", "envs", "requests", "interpreters", "tools", "hookd", "reports", "logs"] {
        let is_temporary = |name: &String| name.starts_with(".tmp-") || name.starts_with(".trash-");
        found.extend(list(&root.join(directory)).into_iter().filter(is_temporary));
    }
    found
}

/// Runs what must fail. Returns the error object, which is what people are told, too.
#[track_caller]
pub(crate) fn refused(program: &Program, project: &Project, code: i32, kind: &str) -> Value {
    let run = program.clone().arg("--message-format=json").run().exits(code);
    let report = run.json();
    assert_eq!(report["ok"], false);
    assert_eq!(report["artifacts"], json!([]));
    let error = &report["error"];
    assert_eq!(error["kind"], kind);
    let message = error["message"].as_str().unwrap();
    assert_eq!(run.error(), message.lines().next().unwrap());
    let hint = run.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
    assert_eq!(error["hint"].as_str().map(|hint| hint.lines().next().unwrap()), hint);
    assert!(!run.stderr.contains("panicked"));
    assert!(!project.dist().exists(), "nothing in dist");
    assert_eq!(half_made(&project.root()), [""; 0], "nothing half-made");
    error.clone()
}

/// [`refused`], with words of the message and of the hint.
#[track_caller]
fn refused_with(
    program: &Program,
    project: &Project,
    code: i32,
    kind: &str,
    message: &str,
    hint: &str,
) {
    let error = refused(program, project, code, kind);
    assert!(error["message"].as_str().unwrap().contains(message), "{message:?} is not in {error}");
    assert!(
        error["hint"].as_str().unwrap_or_default().contains(hint),
        "{hint:?} is not in {error}"
    );
}

#[test]
fn a_project_that_cannot_be_read() {
    let test = Test::new();
    for (number, (pyproject, message, hint)) in [
        ("[build-system\n", "is not valid TOML", ""),
        ("build-system = 3", "build-system", ""),
        ("[build-system]\nbuild-backend = 'b'", "`build-system.requires` is missing", "PEP 518"),
        ("[build-system]\nrequires = 'x'", "is not a list of strings", "write `requires = ["),
        ("[build-system]\nrequires = [1]", "is not a list of strings", "write `requires = ["),
        (
            "[build-system]\nrequires = ['a b']",
            "`a b` in `build-system.requires` is not a requirement",
            "PEP 508",
        ),
        ("[build-system]\nrequires = ['x @ ']", "is not a requirement", "PEP 508"),
        ("[build-system]\nrequires = []\nbuild-backend = 3", "build-backend", ""),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = ['../x']",
            "outside the source tree",
            "PEP 517",
        ),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = ['/']",
            "backend-path",
            "",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let project = test.project(&number.to_string());
        project.write("pyproject.toml", pyproject);
        refused_with(
            &test.program(&["build"]).in_(&project),
            &project,
            2,
            "InvalidProject",
            message,
            hint,
        );
        refused_with(
            &test.program(&["provision"]).in_(&project),
            &project,
            2,
            "InvalidProject",
            message,
            hint,
        );
    }
    let project = test.project("bytes");
    std::fs::write(project.path.join("pyproject.toml"), b"[project]\nname = 'caf\xe9'\n").unwrap();
    refused(&test.program(&["build"]).in_(&project), &project, 2, "InvalidProject");
    std::fs::remove_file(project.path.join("pyproject.toml")).unwrap();
    refused_with(
        &test.program(&["build"]).in_(&project),
        &project,
        2,
        "InvalidProject",
        "neither",
        "pyproject.toml",
    );
}

#[test]
fn requirements_that_cannot_be_met() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        let hash = wheels.add("dep", "1", &[]);
        wheels.add("new", "1", &["dep>=2"]);
        let program = |project: &Project, more: &[&str]| {
            test.program(&["build"])
                .args(wheels.flags())
                .args(more)
                .installer(installer, &test)
                .in_(project)
        };
        let project = test.project("none").requires(&["no-such-thing"]);
        refused_with(
            &program(&project, &[]),
            &project,
            4,
            "ResolutionFailed",
            "no-such-thing",
            "`[build-system] requires`",
        );
        let project = test.project("conflict").requires(&["dep<2", "new"]);
        refused_with(
            &program(&project, &[]),
            &project,
            4,
            "ResolutionFailed",
            "failed to resolve",
            "requires",
        );
        let project = test.project("mismatch").requires(&["dep"]);
        let constraints = test.path.join("constraints.txt");
        std::fs::write(
            &constraints,
            format!("dep==1 --hash=sha256:{}\n", hash.chars().rev().collect::<String>()),
        )
        .unwrap();
        let flags = ["--require-hashes", "-c", &constraints.to_string_lossy()];
        refused_with(
            &program(&project, &flags),
            &project,
            4,
            "HashMismatch",
            &hash,
            "find out why",
        );
        let project = test.project("local").requires(&["x @ file:///no/such/directory"]);
        refused_with(
            &program(&project, &[]),
            &project,
            4,
            "RequirementNotFound",
            "/no/such/directory",
            "",
        );
        assert_eq!(project.envs(), [""; 0]);
    }
}

#[test]
#[cfg(unix)]
fn interpreters_that_are_none() {
    let test = Test::new();
    let project = test.project("p");
    let fake = |name: &str, body: &str| {
        let path = test.path.join(name);
        script(&path, body);
        path.to_string_lossy().into_owned()
    };
    for (python, kind, message) in [
        ("3.99".to_owned(), "InterpreterNotFound", "3.99"),
        ("/no/such/python".to_owned(), "InterpreterNotFound", "/no/such/python"),
        (fake("fails", "echo oh no >&2; exit 3"), "InterpreterBroken", "oh no"),
        (fake("silent", ""), "InterpreterBroken", "printed nothing"),
        (fake("killed", "kill -9 $$"), "InterpreterBroken", "SIGKILL"),
        (fake("nonsense", "echo '{\"status\": \"ok\"}'"), "InterpreterBroken", "without an answer"),
        (
            fake("two", "echo 'Unknown option: -I' >&2; exit 2"),
            "InterpreterUnsupported",
            "Python 2",
        ),
    ] {
        for command in ["build", "provision", "fingerprint"] {
            let program = test.program(&[command, "-p", &python]).in_(&project);
            refused_with(&program, &project, 4, kind, message, "");
        }
    }
    for name in list(&project.root().join("interpreters")) {
        let kept = std::fs::read_to_string(project.root().join("interpreters").join(name)).unwrap();
        assert!(
            !kept.contains(&*test.path.to_string_lossy()),
            "no answer of theirs is kept: {kept}"
        );
    }
}

#[test]
fn our_directory_is_something_else() {
    let test = Test::pristine();
    let project = test.project("p");
    std::fs::write(project.root(), "a file").unwrap();
    let program = test.program(&["build"]).in_(&project);
    refused_with(
        &program,
        &project,
        2,
        "NotOurDirectory",
        "was not made by cargo-pyenv-build",
        "--root",
    );
    assert_eq!(std::fs::read_to_string(project.root()).unwrap(), "a file");
}

/// Files in place of all the directories that we would make, one after the other.
#[test]
fn files_in_place_of_our_directories_are_named_and_left_alone() {
    let test = Test::new();
    for name in ["envs", "requests", "hookd", "logs", "locks", "tmp", "reports", "interpreters"] {
        let project = test.project(name);
        let file = project.root().join(name);
        std::fs::write(&file, "a file").unwrap();
        let run = test.program(&["build", "--message-format=json"]).in_(&project).run();
        if ["reports", "interpreters"].contains(&name) {
            // Nothing depends on them.
            assert_eq!(run.code, Some(0), "{name}");
            assert_eq!(
                run.stderr.contains("warning: could not save the report: "),
                name == "reports"
            );
        } else {
            assert_eq!(
                (run.code, &run.json()["error"]["kind"]),
                (Some(4), &json!("CannotWrite")),
                "{name}"
            );
            assert!(
                run.error().contains(&format!(".pyenv-build/{name}"))
                    || run.stderr.contains(&format!("/{name}")),
                "{name}"
            );
            assert!(run.hint().contains("write permission"));
            assert!(!project.dist().exists());
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a file");
        std::fs::remove_file(&file).unwrap();
        test.program(&["build"]).in_(&project).run().success();
        assert_eq!(half_made(&project.root()), [""; 0]);
    }
}

/// Runs a shell script in a mount namespace of its own, if that is allowed here.
#[cfg(target_os = "linux")]
fn with_mounts(test: &Test, project: &Project, body: &str) -> Option<Run> {
    let allowed =
        test.command("unshare").args(["-rm", "mount", "-t", "tmpfs", "none"]).arg(test.bin()).run();
    if allowed.code != Some(0) {
        not_tested(
            "a full disk",
            format_args!("there are no mount namespaces here: {}", allowed.stderr),
        );
        return None;
    }
    let program = test.command("unshare").args([
        "-rm",
        "sh",
        "-c",
        body,
        env!("CARGO_BIN_EXE_cargo-pyenv-build"),
    ]);
    Some(program.arg(project.root()).in_(project).run())
}

#[test]
#[cfg(target_os = "linux")]
fn a_directory_of_ours_that_is_read_only() {
    let test = Test::pristine();
    let project = test.project("p");
    // Not made yet; made and empty; with an environment in it. What needs to write nothing goes on.
    let body = r#"
        mkdir "$1"
        ro() { mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; }
        ( ro "$1"; "$0" build --message-format=json; echo "$?"; umount "$1" )
        "$0" gc -q
        ( ro "$1"; "$0" build --message-format=json; echo "$?"; umount "$1" )
        "$0" build -q >&2 && rm -r dist
        ( ro "$1"; "$0" build --message-format=json; echo "$?"; "$0" provision -q; echo "$?"; "$0" env >&2; echo "$?" )
    "#;
    let Some(run) = with_mounts(&test, &project, body) else { return };
    let run = run.success();
    let lines = run.lines();
    assert_eq!(lines.len(), 9, "{lines:?}");
    for at in [0, 2, 4] {
        let report: Value = serde_json::from_str(lines[at]).unwrap();
        assert_eq!(
            (lines[at + 1], &report["error"]["kind"]),
            ("4", &json!("CannotWrite")),
            "{report}"
        );
        assert!(
            report["error"]["message"].as_str().unwrap().contains("Read-only file system"),
            "{report}"
        );
        assert!(report["error"]["hint"].as_str().unwrap().contains("write permission"), "{report}");
    }
    assert!(lines[6].ends_with("/bin/python"));
    assert_eq!((lines[7], lines[8]), ("0", "0"));
    assert!(!project.dist().exists());
}

/// From a disk that has no room for the first file to one that has room for nearly all.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_and_then_is_not() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        // A long module, so that its byte code is what has no room.
        let code = (0..20_000)
            .map(|number| format!("V{number} = {number} * '{number}'\n"))
            .collect::<Vec<_>>()
            .concat();
        wheels.add_with("dep", "1", &[], &code);
        let project = test
            .project("p")
            .requires(&["dep"])
            .pyproject("[tool.pyenv-build]\ninstaller = 'auto'");
        project.write(
            "backend.py",
            &format!(
                "import dep\nassert dep.V19999\n{}",
                std::fs::read_to_string(project.path.join("backend.py")).unwrap()
            ),
        );
        let tools = std::fs::read_link(project.root().join("tools")).unwrap();
        let mut refusals = 0;
        // pip takes its time for each; where it fails is where uv does.
        let sizes: &[u32] = match installer {
            Installer::Uv => &[4, 40, 500, 900, 1500, 2400],
            Installer::Pip => &[40, 900],
        };
        for kilobytes in sizes {
            let body = format!(
                r#"
                mount -t tmpfs -o size={kilobytes}k none "$1" || exit 99
                cp "{prepared}/CACHEDIR.TAG" "$1" && ln -s "{tools}" "$1/tools"
                "$0" build --installer {installer} --no-index -f "{wheels}" --message-format=json; echo "$?"
                mount -o remount,size=64m "$1"
                rm -rf dist
                "$0" build --installer {installer} --no-index -f "{wheels}" -q; echo "$?"
                "#,
                prepared = tools.parent().unwrap().display(),
                tools = tools.display(),
                wheels = wheels.path.display(),
                installer = installer.name(),
            );
            let allowed = with_installer(&test, &project, installer, &body);
            let Some(run) = allowed else { return };
            let run = run.success();
            let lines = run.lines();
            let [report, code, wheel, "0"] = lines[..] else {
                panic!("with {kilobytes} kB the next run fails")
            };
            assert!(wheel.ends_with("tiny-1.0-py3-none-any.whl"));
            let report: Value = serde_json::from_str(report).unwrap();
            if code != "0" {
                refusals += 1;
                let error = &report["error"];
                assert!(["1", "4"].contains(&code), "{kilobytes} kB: {code} and {error}");
                assert!(
                    error["message"].as_str().unwrap().contains("No space left on device"),
                    "{kilobytes} kB: {error}"
                );
                assert!(
                    error["hint"].as_str().is_some_and(|hint| hint.contains("free disk space")),
                    "{kilobytes} kB: {error}"
                );
            }
        }
        assert!(refusals + 2 >= sizes.len(), "{refusals} sizes were too small");
    }
}

#[cfg(target_os = "linux")]
fn with_installer(test: &Test, project: &Project, installer: Installer, body: &str) -> Option<Run> {
    if installer == Installer::Uv {
        let program = test.bin().join("uv");
        if !program.exists() {
            std::os::unix::fs::symlink(uv().unwrap(), program).unwrap();
        }
    }
    with_mounts(test, project, body)
}

#[test]
fn a_proxy_that_answers_500() {
    for installer in Installer::all() {
        let test = Test::new();
        let project = test.project("p").requires(&["dep"]);
        let proxy = Server::start(|_| (500, "text/plain", b"out of order".to_vec()));
        let mut program = test
            .program(&["build", "-i", "https://index.invalid/simple"])
            .installer(installer, &test)
            .in_(&project);
        for name in ["ALL_PROXY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY"] {
            program = program.env(name, format!("http://{}", proxy.address()));
        }
        let error = refused(&program, &project, 4, "ResolutionFailed");
        assert!(
            proxy.requests().iter().any(|request| request.target.contains("index.invalid")),
            "{:?}",
            proxy.requests()
        );
        let hint = "the package index cannot be reached: check the network and the index URL, or \
            reuse an earlier build environment with `--offline`";
        assert_eq!(error["hint"], hint, "{}: {error}", installer.name());
        assert_eq!(project.envs(), [""; 0]);
    }
}

#[test]
#[cfg(unix)]
fn a_backend_path_that_leads_outside_by_a_link() {
    let test = Test::new();
    let project = test.project("p");
    std::fs::create_dir(test.path.join("elsewhere")).unwrap();
    std::fs::rename(project.path.join("backend.py"), test.path.join("elsewhere/backend.py"))
        .unwrap();
    std::os::unix::fs::symlink(test.path.join("elsewhere"), project.path.join("inside")).unwrap();
    let text = std::fs::read_to_string(project.path.join("pyproject.toml")).unwrap();
    project.write("pyproject.toml", &text.replace("\".\"", "\"inside\""));
    refused_with(
        &test.program(&["build"]).in_(&project),
        &project,
        1,
        "BackendImportError",
        "inside",
        "",
    );
}

#[test]
#[cfg(unix)]
fn a_hook_that_overflows_the_stack_of_the_machine() {
    let test = Test::new();
    let project = test.project_with_backend("stack_overflow");
    let error = refused(
        &test.program(&["build", "--sdist"]).in_(&project),
        &project,
        1,
        "HookRuntimeError",
    );
    let message = error["message"].as_str().unwrap();
    // Newer Pythons look after the machine's stack themselves.
    assert!(
        message.contains("was killed by SIGSEGV")
            || message.contains("Recursion")
            || message.contains("SIGBUS"),
        "{message}"
    );
}

#[test]
fn a_hook_that_closes_its_streams_has_answered_all_the_same() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("streams", "1", &[]);
    wheels.add("descriptors", "1", &[]);
    let project = test.project_with_backend("closes_streams");
    let run = |args: &[&str]| test.program(args).args(wheels.flags()).in_(&project).run();
    let made = run(&["provision", "--message-format=json"]).success().json();
    let marker =
        std::fs::read_to_string(format!("{}.json", made["env"]["path"].as_str().unwrap())).unwrap();
    assert!(marker.contains("\"streams\""), "{marker}");
    // It has no `build_sdist`; what it is asked for before that arrives although it has closed
    // every descriptor.
    let program = test.program(&["build", "--sdist"]).args(wheels.flags()).in_(&project);
    let error = refused(&program, &project, 1, "WrongArtifact");
    assert!(error["message"].as_str().unwrap().contains("build_sdist"), "{error}");
}

/// So many MiB as `PYENV_BUILD_FLOOD_MIB` says, else 256, pass through; nobody's memory grows with
/// them.
#[test]
#[cfg(target_os = "linux")]
fn a_hook_that_floods_its_output_fills_no_memory() {
    let mebibytes: u64 =
        std::env::var("PYENV_BUILD_FLOOD_MIB").map_or(96, |text| text.parse().unwrap());
    let test = Test::new();
    for (name, end) in [("lines", "\\n"), ("line", "x")] {
        let project = test.project(name);
        let backend = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
        let flood = format!(
            "
def _flood():
    block = (b'x' * 1023 + b'{end}') * 1024
    for _ in range({mebibytes}):
        os.write(1, block)
    process = os.getppid()
    with open('memory', 'w') as file:
        while process > 1:
            with open('/proc/%d/status' % process) as status:
                fields = {{line.partition(':')[0]: line.partition(':')[2].strip() for line in status}}
            file.write('%s %s\\n' % (fields['Name'], fields['VmHWM']))
            process = int(fields['PPid']) if fields['Name'] != 'cargo-pyenv-bui' else 0

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _flood()
    return _wheel('build_editable', wheel_directory, config_settings, [], {{}})
"
        );
        project.write("backend.py", &(backend + &flood));
        test.program(&["build", "--editable"]).in_(&project).run().success();
        let memory = std::fs::read_to_string(project.path.join("memory")).unwrap();
        let sizes: Vec<(&str, u64)> = memory
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (words[0], words[1].parse().unwrap())
            })
            .collect();
        assert!(
            sizes.len() >= 3 && sizes.last().unwrap().0.starts_with("cargo-pyenv"),
            "a keeper, hookd, us: {sizes:?}"
        );
        println!("peaks in kB: {sizes:?}");
        assert!(sizes.iter().all(|(_, kilobytes)| *kilobytes < 64 * 1024), "{sizes:?}");
        let logs = project.root().join("logs");
        let largest =
            list(&logs).iter().map(|log| logs.join(log).metadata().unwrap().len()).max().unwrap();
        assert!(
            largest > 1024 * 1024 && largest < 20 * 1024 * 1024,
            "a log of {largest} bytes is kept"
        );
    }
}

#[test]
#[cfg(unix)]
fn a_directory_with_a_line_end_in_its_name() {
    let test = Test::new();
    let project = test.project("two\nlines \\n \t'\"");
    let run = test
        .program(&["build", "--from-sdist", "--message-format=json"])
        .in_(&project)
        .run()
        .success();
    let paths: Vec<String> = run.json()["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        ["tiny-1.0.tar.gz", "tiny-1.0-py3-none-any.whl"].map(|name| project
            .dist()
            .join(name)
            .display()
            .to_string())
    );
    // What must not be in a path that pip is told is said by it, or it works; the backend is found
    // either way.
    let run = test
        .program(&["run", "--", "python", "-c", "import sys; print(ascii(sys.prefix))"])
        .in_(&project)
        .run()
        .success();
    assert!(run.stdout.contains("two\\nlines"), "{}", run.stdout);
}

#[test]
fn a_launched_hookd_that_breaks_the_protocol() {
    let test = Test::new();
    for (name, says, kind, message) in [
        ("silent", "", "HookdFailed", "hookd exited unexpectedly"),
        ("garbage", "\u{fffd}\\x00 what?\nREADYish\n", "HookdFailed", "hookd exited unexpectedly"),
        (
            "expects",
            "READY\nEXPECT action\nEXPECT build_backend\n",
            "HookdFailed",
            "it expects `build_backend` where",
        ),
        (
            "unknown",
            "READY\nEXPECT action\nEXPECT configuration\nEXPECT a\\nb\n",
            "HookdFailed",
            "violated the protocol",
        ),
        (
            "no-json",
            "READY\nEXPECT action\nOK null\nREADY\nOK {\nREADY\n",
            "HookdFailed",
            "its answer is not JSON",
        ),
        (
            "fatal",
            "FATAL InternalError full\nTRACEBACK x\n",
            "HookdFailed",
            "hookd exited unexpectedly",
        ),
        (
            "refuses",
            "READY\nEXPECT action\nERROR InvalidConfiguration not this\nREADY\n",
            "HookdFailed",
            "not this",
        ),
    ] {
        let project = test.project(name);
        project.write("says", says);
        project.write(
            "hookd.py",
            "import sys\nsys.stdout.write(open('says', encoding='utf-8').read())\nsys.stdout.flush()\nsys.stdin.readline()\n",
        );
        let launcher = format!("'{}' hookd.py", python().path.display());
        refused_with(
            &test.program(&["build", "--launcher", &launcher]).in_(&project),
            &project,
            1,
            kind,
            message,
            "",
        );
    }
}
