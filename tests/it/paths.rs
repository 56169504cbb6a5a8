//! Paths with white space, quotes and letters beyond ASCII.

use serde_json::json;

use crate::context::{Installer, Test};

const NASTY: &str = "a b'c\"d $e é雪 %20 #";

#[test]
fn everything_works_in_a_directory_with_a_difficult_name() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project(NASTY).requires(&["dep"]);
        let project =
            project.backend(&json!({"requires": {"get_requires_for_build_wheel": ["dep>=1"]}}));
        let build = test
            .program(&["--from-sdist"])
            .args(wheels.flags())
            .installer(installer, &test)
            .in_(&project);
        let run = build.run().success();
        let expected = ["tiny-1.0.tar.gz", "tiny-1.0-py3-none-any.whl"]
            .map(|name| project.dist().join(name).display().to_string());
        assert_eq!(run.lines(), expected);
        assert_eq!(build.run().success().lines(), expected, "and again");
        let out = test.path.join(format!("out {NASTY}"));
        test.program(&["-o"])
            .arg(&out)
            .args(wheels.flags())
            .installer(installer, &test)
            .in_(&project)
            .run()
            .success();
        assert!(out.join("tiny-1.0-py3-none-any.whl").is_file());
    }
}

#[test]
#[cfg(unix)]
fn a_colon_in_the_name_of_a_directory_is_an_error_or_works() {
    let test = Test::new();
    let project = test.project("a:b");
    let build = test.program(&["build"]).in_(&project);
    let run = build.run().exits(2);
    assert!(run.error().contains("a:b/.pyenv-build`, has a `:` in its name"), "{}", run.error());
    assert!(run.hint().contains("--root"));
    test.prepare(&test.path.join("root"));
    build.arg("--root").arg(test.path.join("root")).run().success();
}

#[test]
fn wheels_may_be_in_a_directory_with_a_difficult_name() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        // Each of the two splits its variable elsewhere.
        for (number, name) in ["with space", "with,comma", NASTY].into_iter().enumerate() {
            let directory = test.path.join(name);
            std::fs::create_dir(&directory).unwrap();
            std::fs::copy(wheels.file("dep", "1"), directory.join("dep-1-py3-none-any.whl"))
                .unwrap();
            let project = test.project(&number.to_string()).requires(&["dep"]);
            let run = test
                .program(&["provision", "--no-index", "-f"])
                .arg(&directory)
                .installer(installer, &test)
                .in_(&project)
                .run();
            assert_eq!(run.code, Some(0), "{} and {name:?}", installer.name());
        }
    }
}

#[test]
fn a_local_requirement_may_be_in_a_directory_with_a_difficult_name() {
    for installer in Installer::all() {
        let test = Test::new();
        let local = test.project(NASTY).backend(&json!({"name": "local"}));
        let url = url::Url::from_file_path(&local.path).unwrap();
        let project = test.project("p").requires(&[&format!("local @ {url}")]);
        let run = test.program(&[
            "run",
            "--no-index",
            "--",
            "python",
            "-c",
            "import local; print(local.VERSION)",
        ]);
        assert_eq!(run.installer(installer, &test).in_(&project).run().success().stdout, "1.0\n");
    }
}

#[test]
#[cfg(unix)]
fn the_shell_gets_difficult_paths_as_they_are() {
    let test = Test::new();
    let project = test.project(NASTY);
    let pins = test.program(&["env"]).in_(&project).run().success();
    let script = format!("{}\nprintf '%s' \"$PYO3_PYTHON\"", pins.stdout);
    let seen = test.command("sh").args(["-c", &script]).run().success();
    let python = test.program(&["provision"]).in_(&project).run().success();
    assert_eq!(seen.stdout, python.stdout.trim_end());
    assert!(seen.stdout.contains(NASTY));
}

#[test]
#[cfg(unix)]
fn a_source_tree_behind_a_link_keeps_the_path_by_which_it_was_named() {
    let test = Test::new();
    let project = test.project("real");
    std::os::unix::fs::symlink(&project.path, test.path.join("link")).unwrap();
    let run = test.program(&["link"]).run().success();
    assert_eq!(
        run.stdout,
        format!("{}\n", test.path.join("link/dist/tiny-1.0-py3-none-any.whl").display())
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_path_that_is_no_text_is_refused_politely() {
    use std::os::unix::ffi::OsStrExt as _;
    let test = Test::new();
    let project = test.project("p");
    let path = test.path.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::rename(&project.path, &path).unwrap();
    for command in ["build", "provision", "env", "fingerprint"] {
        let run = test.program(&[command]).cwd(&path).run();
        assert!([Some(1), Some(2), Some(4)].contains(&run.code), "{command}: {:?}", run.code);
        assert!(!run.error().is_empty());
    }
}
