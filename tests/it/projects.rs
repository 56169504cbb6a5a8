//! Projects and our directory in them: what is read, what is refused, what is made.

use crate::context::{Test, list, python, snapshot};

#[test]
fn what_is_wrong_with_a_project_is_said_with_the_file_and_a_hint() {
    let test = Test::new();
    let project = test.project("p");
    let said = |pyproject: &str| {
        project.write("pyproject.toml", pyproject);
        test.program(&[])
            .in_(&project)
            .env_remove("PYENV_BUILD_INSTALLER")
            .run()
            .exits(2)
            .stderr
            .clone()
    };
    snapshot!(test, said("[build-system]"), @r#"
    error: `[TMP]/p/pyproject.toml`: `build-system.requires` is missing
    hint: PEP 518 requires it: `requires = ["maturin>=1.9,<2"]`
    "#);
    snapshot!(test, said("[build-system]\nrequires = 'x'"), @r#"
    error: `[TMP]/p/pyproject.toml`: `build-system.requires` is not a list of strings
    hint: write `requires = ["maturin>=1.9,<2"]`
    "#);
    snapshot!(test, said("[build-system]\nrequires = []\nbackend-path = ['.']"), @"error: `[TMP]/p/pyproject.toml`: `build-system.backend-path` needs a `build-backend`");
    snapshot!(test, said("[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = ['..']"), @r"
    error: `[TMP]/p/pyproject.toml`: `build-system.backend-path` names `..`, which is outside the source tree
    hint: PEP 517 allows directories inside the source tree only
    ");
    snapshot!(test, said("[build-system]\nrequires = ['a b c']"), @r"
    error: `[TMP]/p/pyproject.toml`: `a b c` in `build-system.requires` is not a requirement: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `b`
    hint: see PEP 508 for the syntax
    ");
    snapshot!(test, said("[tool.pyenv-build]\npython = 3"), @r#"
    error: `[TMP]/p/pyproject.toml`: `tool.pyenv-build.python` is `3`, which is not a string
    hint: write it as `python = "..."`
    "#);
    snapshot!(test, said("[project]\nrequires-python = \
        'three'").lines().next().unwrap(), @"error: `[TMP]/p/pyproject.toml`: \
        `project.requires-python` is not a version specifier: Failed to parse version: Unexpected \
        end of version specifier, expected operator:");
    assert!(said("[build-system\n").starts_with(&format!(
        "error: `{}` is not valid TOML: ",
        project.path.join("pyproject.toml").display()
    )));
    assert!(
        said("[tool.pyenv-build]\ninstaller = 'conda'\n[build-system]\nrequires = []")
            .contains("hint: use `uv`, `pip` or `auto`")
    );
}

#[test]
fn a_directory_without_a_project_is_refused_and_nothing_is_made_in_it() {
    let test = Test::pristine();
    std::fs::create_dir(test.path.join("empty")).unwrap();
    let run = test.program(&["empty"]).run().exits(2);
    snapshot!(test, run.stderr, @r"
    error: `[TMP]/empty` has neither `pyproject.toml` nor `setup.py`
    hint: run it in the directory that contains `pyproject.toml`, or pass that directory: `cargo pyenv-build DIR`, `cargo pyenv-build run --project DIR -- ...`; start a project with `maturin init`
    ");
    assert_eq!(list(&test.path.join("empty")), [""; 0]);
    let run = test.program(&["missing"]).run().exits(2);
    snapshot!(test, run.stderr, @r"
    error: `[TMP]/missing` is not a directory
    hint: pass the directory that contains `pyproject.toml`, or a command (`cargo pyenv-build --help` lists them)
    ");
    let run = test.program(&["developz"]).run().exits(2);
    snapshot!(test, run.stderr, @r"
    error: `[TMP]/developz` is not a directory
    hint: did you mean `develop`? If not, pass the directory that contains `pyproject.toml`, or a command (`cargo pyenv-build --help` lists them)
    ");
}

#[test]
fn without_a_build_system_it_is_setuptools_as_the_peps_say() {
    let test = Test::new();
    let wheels = test.wheels();
    // A setuptools of our own.
    wheels.add_with("setuptools", "75.0.0", &[], "");
    let project = test.project("p");
    for (file, text) in [("pyproject.toml", "[project]\nname = 'x'\n"), ("setup.py", "")] {
        for name in ["pyproject.toml", "backend.py", "setup.py"] {
            let _ = std::fs::remove_file(project.path.join(name));
        }
        project.write(file, text);
        let run = test
            .program(&["--message-format=json"])
            .args(wheels.flags())
            .in_(&project)
            .run()
            .exits(1);
        let report = run.json();
        assert_eq!(report["error"]["kind"], "MissingBackendModule", "{file}");
        let message = report["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with(
                "`setuptools.build_meta:__legacy__` failed in `get_requires_for_build_wheel`"
            ),
            "{message}"
        );
    }
}

#[test]
fn our_directory_is_made_with_a_gitignore_and_a_cache_tag() {
    let test = Test::pristine();
    let project = test.project("p");
    test.program(&["gc"]).in_(&project).run().success();
    assert_eq!(project.list(".pyenv-build"), [".gitignore", "CACHEDIR.TAG"]);
    assert_eq!(std::fs::read_to_string(project.root().join(".gitignore")).unwrap(), "*\n");
    let tag = std::fs::read_to_string(project.root().join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert!(tag.contains("made by cargo-pyenv-build"));
}

#[test]
fn a_directory_that_is_not_ours_is_refused_and_stays_as_it_is() {
    let test = Test::pristine();
    let project = test.project("p");
    project.write(".pyenv-build/precious", "data");
    for command in ["build", "provision", "env", "lock", "fingerprint", "why", "gc"] {
        let run = test.program(&[command]).in_(&project).run().exits(2);
        assert_eq!(
            run.error(),
            format!("`{}` exists and was not made by cargo-pyenv-build", project.root().display())
        );
        assert_eq!(
            run.hint(),
            "move it away, or choose a different directory with `--root` or `[tool.pyenv-build] \
                root`"
        );
        assert_eq!(project.list(".pyenv-build"), ["precious"]);
    }
    // A cache of someone else's has a tag, too.
    project.write(
        ".pyenv-build/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n# made by another\n",
    );
    test.program(&["gc"]).in_(&project).run().exits(2);
}

#[test]
fn our_directory_can_be_put_elsewhere() {
    let test = Test::pristine();
    let project = test.project("p").pyproject("[tool.pyenv-build]\nroot = '../from-settings'");
    let gc = || test.program(&["gc"]).in_(&project);
    gc().run().success();
    gc().env("PYENV_BUILD_ROOT", test.path.join("from-environment")).run().success();
    gc().env("PYENV_BUILD_ROOT", "/not/this").args(["--root", "from-flag"]).run().success();
    assert!(test.path.join("from-settings/CACHEDIR.TAG").exists());
    assert!(test.path.join("from-environment/CACHEDIR.TAG").exists());
    assert!(project.path.join("from-flag/CACHEDIR.TAG").exists(), "relative to where we are");
    assert!(!project.root().exists());
}

#[test]
fn our_directory_is_in_the_root_of_the_cargo_workspace() {
    let test = Test::pristine();
    let project = test.project("workspace/crates/py");
    project.write("Cargo.toml", "[package]\nname = 'py'\nversion = '1.0.0'\n");
    std::fs::write(
        test.path.join("workspace/Cargo.toml"),
        "[workspace]\nmembers = ['crates/py']\nresolver = '3'\n",
    )
    .unwrap();
    test.program(&["gc"]).in_(&project).run().success();
    assert!(test.path.join("workspace/.pyenv-build/CACHEDIR.TAG").exists());
    assert!(!project.root().exists());
}

#[test]
fn a_directory_that_cannot_be_made_is_a_failure_of_provisioning() {
    let test = Test::pristine();
    let project = test.project("p");
    let run = test.program(&["provision", "--root", "pyproject.toml/below"]).in_(&project).run();
    assert!([Some(2), Some(4)].contains(&run.code), "{:?}", run.code);
    assert!(run.error().contains("pyproject.toml/below"));
    assert!(!run.hint().is_empty());
}

#[test]
fn an_unknown_setting_is_a_warning() {
    let test = Test::new();
    let project = test.project("p").pyproject("[tool.pyenv-build]\npyton = '3'");
    let run = test.program(&["provision"]).in_(&project).run().success();
    let expected = format!(
        "warning: `{}`: unknown setting `tool.pyenv-build.pyton`; did you mean `python`?",
        project.path.join("pyproject.toml").display()
    );
    assert_eq!(run.stderr.lines().next().unwrap(), expected);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let test = Test::new();
    let project = test.project("p");
    let text = std::fs::read_to_string(project.path.join("pyproject.toml")).unwrap();
    project.write("pyproject.toml", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    test.program(&["provision"]).in_(&project).run().success();
    assert_eq!(project.envs().len(), 1);
    assert!(project.envs()[0].starts_with(&python().abi));
}
