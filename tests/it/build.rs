//! `build` and what it makes.

use serde_json::json;

use crate::context::{Test, calls, hooks_called, list, member};

#[test]
fn a_wheel_goes_to_dist_and_its_path_is_all_that_stdout_has() {
    let test = Test::new();
    let project = test.project("p");
    let run = test.program(&[]).in_(&project).run().success();
    let wheel = project.dist().join("tiny-1.0-py3-none-any.whl");
    assert_eq!(run.stdout, format!("{}\n", wheel.display()));
    assert_eq!(member(&wheel, "tiny.py"), "VERSION = '1.0'\n");
    assert_eq!(project.list("dist"), [".gitignore", "tiny-1.0-py3-none-any.whl"]);
    assert_eq!(std::fs::read_to_string(project.dist().join(".gitignore")).unwrap(), "*\n");
    assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
    assert_eq!(list(&test.path.join("tmp")), [""; 0]);
    assert_eq!(
        project.list(""),
        [".pyenv-build", "backend.py", "dist", "pyproject.toml"],
        "nothing else in the source tree"
    );
}

#[test]
fn both_ways_of_calling_and_an_explicit_command_build_the_same() {
    let test = Test::new();
    let project = test.project("p");
    for args in [&["build"][..], &["pyenv-build"], &["pyenv-build", "build", "."]] {
        let run = test.program(args).in_(&project).run().success();
        assert_eq!(
            run.stdout,
            format!("{}\n", project.dist().join("tiny-1.0-py3-none-any.whl").display())
        );
    }
}

#[test]
fn a_directory_can_be_named_from_elsewhere() {
    let test = Test::new();
    let project = test.project("some/where/p");
    let run = test.program(&["some/where/p"]).run().success();
    assert_eq!(
        run.stdout,
        format!("{}\n", project.dist().join("tiny-1.0-py3-none-any.whl").display())
    );
    assert_eq!(list(&test.path), ["bin", "home", "some", "tmp"]);
}

#[test]
fn sdist_makes_both() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    let run = test.program(&["--sdist"]).in_(&project).run().success();
    let expected = ["tiny-1.0.tar.gz", "tiny-1.0-py3-none-any.whl"]
        .map(|name| project.dist().join(name).display().to_string());
    assert_eq!(run.lines(), expected);
    assert_eq!(
        hooks_called(&record),
        [
            "get_requires_for_build_sdist",
            "build_sdist",
            "get_requires_for_build_wheel",
            "build_wheel"
        ]
    );
    assert!(calls(&record).iter().all(|call| call["cwd"] == project.path.to_str().unwrap()));
}

#[test]
fn a_source_distribution_with_what_is_ours_is_refused() {
    let test = Test::new();
    let project = test.project("p").backend(&json!({"collects": true}));
    let run = test.program(&["--sdist", "--message-format=json"]).in_(&project).run().exits(1);
    let error = &run.json()["error"];
    assert_eq!(error["kind"], "WrongArtifact");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(" of our own files, from `.pyenv-build`, into `tiny-1.0.tar.gz`"),
        "{message}"
    );
    assert!(error["hint"].as_str().unwrap().contains("--root"), "{error}");
    assert!(!project.dist().join("tiny-1.0.tar.gz").exists());
    // Somewhere else it is nobody's problem.
    let elsewhere = test.path.join("elsewhere");
    let project = test.project("q").backend(&json!({"collects": true}));
    test.program(&["--sdist", "--root", elsewhere.to_str().unwrap()]).in_(&project).run().success();
    let members = sdist_members(&project.dist().join("tiny-1.0.tar.gz"));
    assert!(members.contains(&"tiny-1.0/backend.py".to_owned()), "{members:?}");
}

#[test]
fn a_project_with_rust_that_names_no_backend_gets_a_warning() {
    let test = Test::new();
    let project = test.project("p");
    let pyproject = project.path.join("pyproject.toml");
    let text = std::fs::read_to_string(&pyproject).unwrap();
    std::fs::write(
        project.path.join("Cargo.toml"),
        "[package]\nname = 'p'\nversion = '1.0.0'\nedition = '2021'\n[lib]\npath = 'lib.rs'\n",
    )
    .unwrap();
    std::fs::write(project.path.join("lib.rs"), "").unwrap();
    let named = test.program(&["build"]).in_(&project).run().success();
    assert!(!named.stderr.contains("does not set a build backend"), "{}", named.stderr);
    std::fs::write(
        &pyproject,
        text.lines()
            .filter(|line| !line.starts_with("ba") && !line.starts_with("bu"))
            .collect::<Vec<_>>()
            .join("\n"),
    )
    .unwrap();
    let unnamed = test.program(&["build"]).in_(&project).run();
    assert!(
        unnamed.stderr.contains(
            "does not set a build backend, so setuptools builds the project, without Rust"
        ),
        "{}",
        unnamed.stderr
    );
    assert!(unnamed.stderr.contains("build-backend = \"maturin\""), "{}", unnamed.stderr);
}

fn sdist_members(sdist: &std::path::Path) -> Vec<String> {
    let mut archive =
        tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(sdist).unwrap()));
    let mut names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn from_sdist_builds_the_wheel_from_what_is_in_the_archive() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    let run = test.program(&["--from-sdist"]).in_(&project).run().success();
    let expected = ["tiny-1.0.tar.gz", "tiny-1.0-py3-none-any.whl"]
        .map(|name| project.dist().join(name).display().to_string());
    assert_eq!(run.lines(), expected);
    let directories: Vec<_> =
        calls(&record).iter().map(|call| call["cwd"].as_str().unwrap().to_owned()).collect();
    let (tree, unpacked) = (
        project.path.display().to_string(),
        project.root().join("sdist/tiny").display().to_string(),
    );
    assert_eq!(directories, [tree.clone(), tree, unpacked.clone(), unpacked]);

    // The second time it is unpacked to the same place, and what has not changed keeps its date.
    let old = filetime::FileTime::from_unix_time(1_000_000_000, 0);
    let file = project.root().join("sdist/tiny/backend.py");
    filetime::set_file_mtime(&file, old).unwrap();
    test.program(&["--from-sdist"]).in_(&project).run().success();
    assert_eq!(
        filetime::FileTime::from_last_modification_time(&std::fs::metadata(file).unwrap()),
        old
    );
    assert_eq!(project.list(".pyenv-build/sdist"), ["tiny", "tiny.lock"]);
}

#[test]
fn editable_asks_the_hooks_of_pep_660() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    let run = test.program(&["--editable"]).in_(&project).run().success();
    let wheel = project.dist().join("tiny-1.0-0.editable-py3-none-any.whl");
    assert_eq!(run.stdout, format!("{}\n", wheel.display()));
    assert_eq!(member(&wheel, "tiny.pth"), format!("{}\n", project.path.display()));
    assert_eq!(hooks_called(&record), ["get_requires_for_build_editable", "build_editable"]);
}

#[test]
fn editable_needs_a_backend_that_can() {
    let test = Test::new();
    let project = test.project("p").backend(&json!({"without": ["build_editable"]}));
    let run = test.program(&["--editable"]).in_(&project).run().exits(1);
    assert_eq!(run.error(), "`backend` does not support `build_editable`");
    assert_eq!(run.hint(), "use a backend that supports editable installs (PEP 660)");
}

#[test]
fn metadata_comes_from_the_hook_if_there_is_one() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    // The second time it replaces what is there.
    for _ in 0..2 {
        let run = test.program(&["--metadata"]).in_(&project).run().success();
        let directory = project.dist().join("tiny-1.0.dist-info");
        assert_eq!(run.stdout, format!("{}\n", directory.display()));
        assert_eq!(list(&directory), ["METADATA", "WHEEL"]);
    }
    assert_eq!(
        hooks_called(&record)[..2],
        ["get_requires_for_build_wheel", "prepare_metadata_for_build_wheel"]
    );
    assert_eq!(project.list("dist"), [".gitignore", "tiny-1.0.dist-info"]);
}

#[test]
fn metadata_comes_from_a_wheel_if_there_is_no_hook() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test
        .project("p")
        .backend(&json!({"record": record, "without": ["prepare_metadata_for_build_wheel"]}));
    let run = test.program(&["--metadata"]).in_(&project).run().success();
    let directory = project.dist().join("tiny-1.0.dist-info");
    assert_eq!(run.stdout, format!("{}\n", directory.display()));
    assert_eq!(list(&directory), ["METADATA", "RECORD", "WHEEL"]);
    assert_eq!(
        std::fs::read_to_string(directory.join("METADATA")).unwrap(),
        "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
    );
    assert_eq!(hooks_called(&record), ["get_requires_for_build_wheel", "build_wheel"]);
    assert_eq!(project.list("dist"), [".gitignore", "tiny-1.0.dist-info"], "no wheel");
}

#[test]
fn several_directories_share_an_environment_and_a_hookd() {
    let test = Test::new();
    let record = test.path.join("calls");
    let root = test.path.join("root");
    test.prepare(&root);
    let one = test.project("one").backend(&json!({"record": record, "name": "one"}));
    let two = test.project("two").backend(&json!({"record": record, "name": "two"}));
    let run = test.program(&["-vv", "one", "two", "--root"]).arg(&root).run().success();
    let expected =
        [one.dist().join("one-1.0-py3-none-any.whl"), two.dist().join("two-1.0-py3-none-any.whl")];
    assert_eq!(run.lines(), expected.map(|path| path.display().to_string()));
    assert_eq!(run.stderr.matches("hookd> DEBUG hookd protocol").count(), 1, "one hookd");
    assert_eq!(run.stderr.matches("Provisioned").count(), 1, "one environment");
    let prefixes: std::collections::BTreeSet<_> =
        calls(&record).iter().map(|call| call["prefix"].to_string()).collect();
    assert_eq!(prefixes.len(), 1);
}

#[test]
fn several_directories_with_different_requirements_get_an_environment_and_a_hookd_each() {
    let test = Test::new();
    let record = test.path.join("calls");
    let root = test.path.join("root");
    test.prepare(&root);
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    test.project("one").backend(&json!({"record": record, "name": "one"}));
    test.project("two").backend(&json!({"record": record, "name": "two"})).requires(&["dep"]);
    let run = test
        .program(&["-vv", "one", "two", "--root"])
        .arg(&root)
        .args(wheels.flags())
        .run()
        .success();
    assert_eq!(run.stderr.matches("hookd> DEBUG hookd protocol").count(), 2);
    let prefixes: std::collections::BTreeSet<_> =
        calls(&record).iter().map(|call| call["prefix"].to_string()).collect();
    assert_eq!(prefixes.len(), 2);
}

#[test]
fn the_failure_of_one_does_not_keep_the_others_from_being_built() {
    let test = Test::new();
    let one = test.project("one");
    test.project_with_backend("system_exit");
    let three = test.project("three");
    let run = test
        .program(&["one", "system_exit", "three", "-C", "status=3", "--message-format", "json"])
        .run()
        .exits(1);
    let report = run.json();
    assert_eq!(report["ok"], false);
    let succeeded: Vec<_> = report["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["ok"].as_bool().unwrap())
        .collect();
    assert_eq!(succeeded, [true, false, true]);
    assert_eq!(report["error"]["kind"], "HookRuntimeError");
    let wheels: Vec<_> = report["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| artifact["path"].as_str().unwrap())
        .collect();
    let expected = [&one, &three]
        .map(|project| project.dist().join("tiny-1.0-py3-none-any.whl").display().to_string());
    assert_eq!(wheels, expected);
}

#[test]
fn out_dir_is_made_and_is_left_without_a_gitignore() {
    let test = Test::new();
    let project = test.project("p");
    // Relative to where we are, not to the project.
    let run = test.program(&["p", "-o", "a/b"]).run().success();
    assert_eq!(
        run.stdout,
        format!("{}\n", test.path.join("a/b/tiny-1.0-py3-none-any.whl").display())
    );
    assert_eq!(list(&test.path.join("a/b")), ["tiny-1.0-py3-none-any.whl"]);
    assert!(!project.dist().exists());
}

#[test]
fn an_out_dir_that_is_a_file_is_named() {
    let test = Test::new();
    let project = test.project("p");
    project.write("file", "precious");
    let run = test.program(&["-o", "file"]).in_(&project).run();
    assert!([Some(1), Some(2)].contains(&run.code), "{:?}", run.code);
    assert!(
        run.error().contains(&project.path.join("file").display().to_string()),
        "{}",
        run.error()
    );
    assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
    assert_eq!(std::fs::read_to_string(project.path.join("file")).unwrap(), "precious");
}

#[test]
fn a_dist_of_the_users_gets_no_gitignore_and_keeps_its_files() {
    let test = Test::new();
    let project = test.project("p");
    project.write("dist/old.whl", "old");
    project.write("dist/tiny-1.0-py3-none-any.whl", "to be replaced");
    test.program(&[]).in_(&project).run().success();
    assert_eq!(project.list("dist"), ["old.whl", "tiny-1.0-py3-none-any.whl"]);
    assert_eq!(
        member(&project.dist().join("tiny-1.0-py3-none-any.whl"), "tiny.py"),
        "VERSION = '1.0'\n"
    );
}

#[test]
fn config_settings_reach_every_hook() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    test.program(&["-C", "a=1", "-Cb", "--config-setting=a=x=y", "-C--flag=é 'q'"])
        .in_(&project)
        .run()
        .success();
    let expected = json!({"a": ["1", "x=y"], "b": "", "--flag": "é 'q'"});
    assert_eq!(
        calls(&record).iter().map(|call| call["config_settings"].clone()).collect::<Vec<_>>(),
        [expected.clone(), expected]
    );
    test.program(&[]).in_(&project).run().success();
    assert_eq!(calls(&record).last().unwrap()["config_settings"], json!(null));
}

#[test]
fn hooks_find_the_environment_active_and_write_no_byte_code() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    let report = test
        .program(&["--message-format=json", "--target-dir", "some/target"])
        .in_(&project)
        .env("PYTHONHOME", "")
        .env("VIRTUAL_ENV", "/another")
        .run()
        .success()
        .json();
    let (env, python) =
        (report["env"]["path"].as_str().unwrap(), report["env"]["python"].as_str().unwrap());
    let call = calls(&record).pop().unwrap();
    let environ = &call["environ"];
    assert_eq!(call["prefix"], env);
    assert_ne!(call["base_prefix"], env);
    assert_eq!(environ["VIRTUAL_ENV"], env);
    assert_eq!(environ["PYO3_PYTHON"], python);
    assert_eq!(environ["PYTHON_SYS_EXECUTABLE"], python);
    assert_eq!(environ["CARGO_TARGET_DIR"], project.path.join("some/target").to_str().unwrap());
    assert_eq!(environ.get("PYTHONHOME"), None);
    assert_eq!(call["dont_write_bytecode"], true);
    let path = std::env::split_paths(environ["PATH"].as_str().unwrap()).next().unwrap();
    assert_eq!(Some(path.as_path()), std::path::Path::new(python).parent());
}

#[test]
fn a_pin_of_the_users_wins() {
    let test = Test::new();
    let record = test.path.join("calls");
    let project = test.project("p").backend(&json!({"record": record}));
    test.program(&[]).in_(&project).env("PYO3_PYTHON", "/their/python").run().success();
    assert_eq!(calls(&record).pop().unwrap()["environ"]["PYO3_PYTHON"], "/their/python");
}

#[test]
fn output_of_hooks_is_shown_with_v_only_and_always_logged() {
    let test = Test::new();
    let project = test.project("p");
    let quiet = test.program(&["-q"]).in_(&project).run().success();
    assert_eq!(quiet.stderr, "");
    let normal = test.program(&[]).in_(&project).run().success();
    assert!(!normal.stderr.contains("tiny runs"));
    let verbose = test.program(&["-v"]).in_(&project).run().success();
    assert!(
        verbose.stderr.contains("tiny runs get_requires_for_build_wheel\ntiny runs build_wheel\n")
    );
    assert!(!verbose.stderr.contains("hookd>"));
    let logs: Vec<String> = project.list(".pyenv-build/logs");
    assert_eq!(logs.len(), 6);
    let last = std::fs::read_to_string(project.root().join("logs").join(&logs[5])).unwrap();
    assert_eq!(last, "tiny runs build_wheel\n");
}

#[test]
fn twenty_logs_are_kept() {
    let test = Test::new();
    let project = test.project("p");
    for number in 0..30 {
        project.write(
            &format!(".pyenv-build/logs/2001-01-01T00-00-{number:02}-000Z-1-1-build_wheel.log"),
            "old",
        );
    }
    test.program(&[]).in_(&project).run().success();
    let logs = project.list(".pyenv-build/logs");
    assert_eq!(logs.len(), 20);
    assert_eq!(logs.iter().filter(|name| name.starts_with("2001")).count(), 18);
}

#[test]
fn a_wheel_with_an_extension_module_for_another_python_is_refused() {
    let test = Test::new();
    let project = test.project("p");
    let refused = |settings: serde_json::Value| {
        project.set_backend(&settings);
        let run = test.program(&["--message-format", "json"]).in_(&project).run().exits(1);
        let report = run.json();
        assert_eq!(report["error"]["kind"], "WrongArtifact");
        assert!(report["error"]["hint"].is_string());
        assert_eq!(report["artifacts"], json!([]));
        assert!(!project.dist().exists(), "nothing in dist");
        assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
        report["error"]["message"].as_str().unwrap().to_owned()
    };
    let message = refused(json!({"members": {"tiny/x.cpython-27-x86_64-linux-gnu.so": ""}}));
    assert!(
        message.contains("`tiny/x.cpython-27-x86_64-linux-gnu.so` has the suffix"),
        "{message}"
    );
    let message = refused(json!({"tag": "cp27-cp27mu-linux_x86_64"}));
    assert!(message.contains("its tag is `cp27-cp27mu`"), "{message}");
    let suffix = &crate::context::python().ext_suffix;
    project.set_backend(&json!({"members": {format!("tiny/x{suffix}"): "", "tiny/y.so": ""}}));
    test.program(&[]).in_(&project).run().success();
}

#[test]
fn a_wheel_of_another_platform_is_fine_when_cross_compiling() {
    let test = Test::new();
    let suffix = crate::context::python()
        .ext_suffix
        .replacen("x86_64", "riscv128", 1)
        .replacen("aarch64", "riscv128", 1);
    let project = test.project("p").backend(&json!({"members": {format!("tiny/x{suffix}"): ""}}));
    test.program(&[]).in_(&project).run().exits(1);
    test.program(&[])
        .in_(&project)
        .env("CARGO_BUILD_TARGET", "riscv128gc-unknown-linux-gnu")
        .run()
        .success();
}

#[test]
fn two_builds_at_once_share_one_environment() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let program = test.program(&["--message-format", "json"]).args(wheels.flags()).in_(&project);
    let mut outcomes: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| program.run().success().json()["env"]["outcome"].to_string()))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    outcomes.sort();
    assert_eq!(outcomes, ["\"created\"", "\"reused\"", "\"reused\""]);
    assert_eq!(project.envs().len(), 1);
}
