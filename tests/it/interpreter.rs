//! Which interpreter is taken, and how seldom it is started to be asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::context::script;
use crate::context::{Program, Project, Run, Test, python, snapshot};
use crate::skip::not_tested;

fn provision(test: &Test, project: &Project) -> Program {
    test.program(&["--message-format=json", "provision"]).in_(project)
}

/// The path of the interpreter that was taken.
#[track_caller]
fn taken(program: &Program) -> PathBuf {
    program.run().success().json()["interpreter"]["path"].as_str().unwrap().into()
}

/// Runs, which must fail for want of an interpreter. Returns the run and the kind of the error.
#[track_caller]
fn fails(program: &Program) -> (Run, String) {
    let run = program.run().exits(4);
    let kind = run.json()["error"]["kind"].as_str().unwrap().to_owned();
    (run, kind)
}

#[test]
fn python_can_be_a_path_a_name_a_version_or_a_directory() {
    let test = Test::new();
    let project = test.project("p");
    let venv = test.venv("venv");
    let with = |wish: &str| taken(&provision(&test, &project).args(["-p", wish]));
    let real = |path: &Path| std::fs::canonicalize(path).unwrap();
    assert_eq!(with(venv.to_str().unwrap()), venv);
    assert_eq!(with(test.path.join("venv").to_str().unwrap()).parent(), venv.parent());
    let relative = project.path.join(with("../venv"));
    assert_eq!(relative.parent().map(real), venv.parent().map(real), "relative to where we are");
    assert_eq!(real(&with("python3")), python().path);
    let python = python();
    for version in [
        &python.major_minor,
        &python.version,
        &format!("python{}", python.major_minor),
        &python.major_minor.replace('.', ""),
    ] {
        if python.abi.starts_with("cp") {
            assert_eq!(real(&with(version)), python.path, "{version}");
        }
    }
    // All of them are the same interpreter, so there is one environment.
    assert_eq!(project.envs().len(), 1);
}

/// As /usr/bin/python3 is another Python than /usr/bin/python3.13 where both were installed.
#[cfg(unix)]
#[cfg(unix)]
#[test]
fn the_interpreter_below_an_environment_is_not_another_one_of_the_same_directory() {
    let test = Test::new();
    let project = test.project("p");
    let python = python();
    if !python.abi.starts_with("cp") {
        return not_tested("links to an interpreter", "PyPy finds its library beside itself");
    }
    let bin = test.path.join("several/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let flags = if python.abi.ends_with('t') { "t" } else { "" };
    std::os::unix::fs::symlink(
        &python.path,
        bin.join(format!("python{}{flags}", python.major_minor)),
    )
    .unwrap();
    for name in ["python", "python3"] {
        script(&bin.join(name), "echo another one; exit 1");
    }
    let venv = test.venv("venv");
    let config = venv.parent().unwrap().parent().unwrap().join("pyvenv.cfg");
    let text = std::fs::read_to_string(&config).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("home") { format!("home = {}", bin.display()) } else { line.to_owned() }
    });
    std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let report = provision(&test, &project).arg("-p").arg(&venv).run().success().json();
    let directly = provision(&test, &project).arg("-p").arg(&python.path).run().success().json();
    assert_eq!(report["env"]["fingerprint"], directly["env"]["fingerprint"]);
}

/// `python -m venv` makes links with the name by which it was called.
#[cfg(unix)]
#[test]
fn an_environment_is_the_same_whatever_its_interpreter_was_called() {
    let test = Test::new();
    let python = python();
    if !python.abi.starts_with("cp") {
        return not_tested("links to an interpreter", "PyPy finds its library beside itself");
    }
    let bin = test.path.join("several/bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in ["python", "python3", &format!("python{}", python.major_minor)] {
        std::os::unix::fs::symlink(&python.path, bin.join(name)).unwrap();
    }
    let links = |name: &str| -> BTreeSet<(String, PathBuf)> {
        let project = test.project(&format!("of-{name}"));
        let report =
            provision(&test, &project).arg("-p").arg(bin.join(name)).run().success().json();
        let programs =
            Path::new(report["env"]["python"].as_str().unwrap()).parent().unwrap().to_owned();
        let entries = std::fs::read_dir(programs).unwrap().map(|entry| entry.unwrap());
        entries
            .filter_map(|entry| {
                Some((
                    entry.file_name().into_string().unwrap(),
                    std::fs::read_link(entry.path()).ok()?,
                ))
            })
            .collect()
    };
    let called_python = links("python");
    assert!(called_python.len() > 1, "{called_python:?}");
    assert_eq!(called_python, links("python3"));
}

#[test]
fn a_virtual_environment_stands_for_the_interpreter_below_it() {
    let test = Test::new();
    let project = test.project("p");
    let venv = test.venv("venv");
    let report = provision(&test, &project).arg("-p").arg(&venv).run().success().json();
    // It may go away.
    std::fs::remove_dir_all(test.path.join("venv")).unwrap();
    let python_of_env = report["env"]["python"].as_str().unwrap();
    let script = "import os, sys; print(os.path.realpath(sys.executable))";
    let run = test.command(python_of_env).args(["-I", "-c", script]).run().success();
    assert_eq!(Path::new(run.stdout.trim_end()), python().path);
}

#[test]
#[cfg(unix)]
fn a_wish_is_obeyed_in_the_order_flag_variable_settings_active_environment_path() {
    let test = Test::new();
    // Distinct paths of one interpreter.
    let [flag, variable, settings, active] =
        ["flag", "variable", "settings", "active"].map(|name| test.venv(name));
    let plain = test.project("plain");
    let project = test.project("p").pyproject("[tool.pyenv-build]\npython = '../settings'");
    let with_all = provision(&test, &project)
        .env("PYENV_BUILD_PYTHON", &variable)
        .env("VIRTUAL_ENV", test.path.join("active"));
    let directory = |path: &Path| path.parent().unwrap().to_owned();
    assert_eq!(directory(&taken(&with_all.clone().arg("-p").arg(&flag))), directory(&flag));
    assert_eq!(directory(&taken(&with_all)), directory(&variable));
    let without_variable = with_all.env_remove("PYENV_BUILD_PYTHON");
    // Relative to the project, wherever we are.
    let found = taken(&without_variable.clone().arg("p").cwd(&test.path));
    assert_eq!(std::fs::canonicalize(directory(&found)).unwrap(), directory(&settings));
    let without_settings = without_variable.in_(&plain);
    assert_eq!(directory(&taken(&without_settings)), directory(&active));
    let found = taken(&without_settings.clone().env("VIRTUAL_ENV", test.path.join("gone")));
    assert_eq!(
        std::fs::canonicalize(found).unwrap(),
        python().path,
        "an environment that is gone is passed over"
    );
    assert_eq!(
        std::fs::canonicalize(taken(&without_settings.env("VIRTUAL_ENV", ""))).unwrap(),
        python().path
    );
}

#[cfg(unix)]
#[test]
#[cfg(unix)]
fn python3_comes_before_python() {
    let test = Test::new();
    let project = test.project("p");
    script(&test.bin().join("python"), "exit 9");
    assert_ne!(taken(&provision(&test, &project)), test.bin().join("python"));
    // One that is broken is passed over if nobody asked for it.
    script(&test.bin().join("python3"), "exit 9");
    let nothing_else = provision(&test, &project)
        .env("PATH", std::env::join_paths([test.bin(), "/nowhere".into()]).unwrap());
    let (run, kind) = fails(&nothing_else);
    assert_eq!(kind, "InterpreterBroken");
    snapshot!(test, run.stderr, @r"
    error: `[TMP]/bin/python3` is not a usable Python: it exited with status 9 without an answer to our probe (it printed nothing)
    hint: choose a different interpreter with `--python` (a path, a name, or a version such as 3.12)
    ");
}

#[test]
fn an_interpreter_that_is_not_there_is_named() {
    let test = Test::new();
    let project = test.project("p");
    let with = |wish: &str| fails(&provision(&test, &project).args(["-p", wish]));
    let (run, kind) = with("./no/python");
    assert_eq!(kind, "InterpreterNotFound");
    assert!(run.error().starts_with("no interpreter found at `"), "{}", run.error());
    assert!(run.error().contains("no/python"));
    let (run, kind) = with("no-such-python");
    assert_eq!(
        (kind.as_str(), run.error()),
        ("InterpreterNotFound", "found no Python interpreter for `no-such-python`")
    );
    assert_eq!(run.hint(), "tried PATH; choose a different one with `--python PATH`");
    let (run, kind) = with("2.6");
    assert_eq!(
        (kind.as_str(), run.error()),
        ("InterpreterNotFound", "found no Python interpreter for `2.6`")
    );
    assert!(run.hint().contains(&format!("({})", python().version)), "{}", run.hint());
}

#[test]
#[cfg(unix)]
fn without_any_python_we_say_so() {
    let test = Test::new();
    let project = test.project("p");
    let (run, kind) = fails(&provision(&test, &project).env("PATH", test.bin()));
    assert_eq!(kind, "InterpreterNotFound");
    snapshot!(test, run.stderr, @r"
    error: found no Python interpreter
    hint: install Python 3.8 or newer, or choose one with `--python PATH`
    ");
}

#[cfg(unix)]
#[test]
#[cfg(unix)]
fn what_is_no_python_is_told_from_what_is_too_old() {
    let test = Test::new();
    let project = test.project("p");
    let fake = test.path.join("fake/python");
    let with = |body: &str| {
        script(&fake, body);
        let (run, kind) = fails(&provision(&test, &project).arg("-p").arg(&fake));
        assert!(!run.hint().is_empty());
        (kind, test.filtered(run.error()))
    };
    let case = |kind: &str, error: &str| (kind.to_owned(), error.to_owned());
    assert_eq!(
        with("echo 'Unknown option: -I' >&2; exit 2"),
        case(
            "InterpreterUnsupported",
            "`[TMP]/fake/python` is too old: this is Python 2, but Python 3.8 or newer is required"
        )
    );
    assert_eq!(
        with(
            r#"echo '{"status": "error", "kind": "unsupported-version", "message": "this is Python 3.6.9"}'"#
        ),
        case(
            "InterpreterUnsupported",
            "`[TMP]/fake/python` is too old: this is Python 3.6.9, but Python 3.8 or newer is required"
        )
    );
    assert_eq!(
        with("echo nonsense; exit 0"),
        case(
            "InterpreterBroken",
            "`[TMP]/fake/python` is not a usable Python: it exited with status 0 without an answer to our probe (nonsense)"
        )
    );
    assert_eq!(
        with("kill -SEGV $$"),
        case(
            "InterpreterBroken",
            "`[TMP]/fake/python` is not a usable Python: it was killed by SIGSEGV without an answer to our probe (it printed nothing)"
        )
    );
    // A file that may be run and cannot.
    script(&fake, "");
    std::fs::write(&fake, "\u{7f}not a program").unwrap();
    let (kind, error) = {
        let (run, kind) = fails(&provision(&test, &project).arg("-p").arg(&fake));
        (kind, test.filtered(run.error()))
    };
    assert_eq!(kind, "InterpreterBroken");
    assert!(error.starts_with("`[TMP]/fake/python` is not a usable Python: "), "{error}");
}

#[cfg(unix)]
#[test]
#[cfg(unix)]
fn requires_python_chooses_among_what_is_found_by_default_and_gives_way_to_a_wish() {
    let test = Test::new();
    let project = test.project("p");
    let text = std::fs::read_to_string(project.path.join("pyproject.toml")).unwrap();
    let requires = |specifiers: &str| {
        project.write("pyproject.toml", &format!("{text}requires-python = '{specifiers}'\n"));
        provision(&test, &project)
    };
    // `python3` says that it is another version, `python` is ours.
    let answer = |version: &str| {
        format!(
            r#"exec '{}' -I -c 'import platform, sys; platform.python_version = lambda: "{version}"; exec(sys.argv[1])' "$4""#,
            python().path.display()
        )
    };
    script(&test.bin().join("python3"), &answer("3.99.0"));
    let ours = test.bin().join("python");
    std::os::unix::fs::symlink(&python().path, &ours).unwrap();
    assert_eq!(taken(&requires(">=3.99")), test.bin().join("python3"));
    assert_eq!(taken(&requires("<3.99")), ours);
    let wish = requires(">=3.99").arg("-p").arg(&ours);
    assert_eq!(taken(&wish), ours, "a wish beats it");
    let said = format!("requires Python >=3.99, but this is CPython {}", python().version);
    assert!(wish.run().success().stderr.contains(&said), "and we say so");
}

/// An interpreter that can be seen to be started: a virtual environment that writes a line each
/// time.
#[cfg(unix)]
fn counting(test: &Test) -> (PathBuf, impl Fn() -> usize) {
    let venv = test.venv("counting");
    let log = test.path.join("starts");
    let site = test
        .command(&venv)
        .args(["-I", "-c", "import site; print(site.getsitepackages()[0])"])
        .run()
        .success();
    let line = format!(
        "import os; os.write(os.open({:?}, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644), b'%d\\n' % os.getpid())\n",
        log.to_str().unwrap()
    );
    std::fs::write(Path::new(site.stdout.trim_end()).join("count.pth"), line).unwrap();
    // `site` reads such a file twice.
    (venv, move || {
        std::fs::read_to_string(&log).unwrap_or_default().lines().collect::<BTreeSet<_>>().len()
    })
}

#[test]
#[cfg(unix)]
fn an_interpreter_is_asked_once() {
    let test = Test::new();
    let project = test.project("p");
    let (venv, starts) = counting(&test);
    let program = provision(&test, &project).arg("-p").arg(&venv);
    program.run().success();
    assert_eq!(starts(), 1);
    program.run().success();
    assert_eq!(starts(), 1, "the second time the answer is known");
    // An answer that cannot be read, or of another format, is none.
    let file = project
        .root()
        .join("interpreters")
        .join(project.list(".pyenv-build/interpreters").remove(0));
    let good = std::fs::read_to_string(&file).unwrap();
    for (number, text) in [
        "{",
        &good.replace("\"schema\": ", "\"schema\": 100"),
        &good.replace("\"inode\": ", "\"inode\": 1"),
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(&file, text).unwrap();
        program.run().success();
        assert_eq!(starts(), 2 + number, "{text}");
    }
    std::fs::write(&file, good).unwrap();
    program.run().success();
    assert_eq!(starts(), 4);
}

#[cfg(unix)]
#[test]
#[cfg(unix)]
fn a_shim_is_asked_each_time_as_it_may_run_another_python_tomorrow() {
    let test = Test::new();
    let project = test.project("p");
    let (log, shim) = (test.path.join("log"), test.path.join("shims/python3"));
    script(
        &shim,
        &format!("echo x >> '{}'; exec '{}' \"$@\"", log.display(), python().path.display()),
    );
    let program = provision(&test, &project).arg("-p").arg(&shim);
    for starts in 1..=3 {
        assert_eq!(taken(&program), shim);
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), starts);
    }
    assert_eq!(project.envs().len(), 1);
}

#[cfg(unix)]
#[test]
#[cfg(unix)]
fn shims_of_pyenv_are_seen_through() {
    let test = Test::new();
    let project = test.project("p");
    let root = test.path.join("home/.pyenv");
    let shims = root.join("shims");
    script(&shims.join("python3"), "echo the shim was started >&2; exit 9");
    let real = root.join("versions/3.9.1/bin/python3");
    for directory in ["versions/3.9.1/bin", "versions/3.9.10/bin"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
        std::os::unix::fs::symlink(&python().path, root.join(directory).join("python3")).unwrap();
    }
    let program = provision(&test, &project).env("PATH", test.search_path(&[&shims]));
    std::fs::write(root.join("version"), "3.9.1\n").unwrap();
    assert_eq!(taken(&program), real, "the global version");
    project.write(".python-version", "# ours\n3.9\n");
    assert_eq!(
        taken(&program),
        root.join("versions/3.9.10/bin/python3"),
        "the project's, newest of its series"
    );
    assert_eq!(taken(&program.clone().env("PYENV_VERSION", "3.9.1")), real, "the shell's");
    // `system`, or a version that is not there: the rest of PATH.
    assert_eq!(
        std::fs::canonicalize(taken(&program.env("PYENV_VERSION", "system"))).unwrap(),
        python().path
    );
}
