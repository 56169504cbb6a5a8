//! Constraints, hashes, and the lock file.

use serde_json::Value;

use crate::context::{Installer, Program, Project, Test, Wheels};

struct Case {
    test: Test,
    project: Project,
    wheels: Wheels,
    installer: Installer,
    /// SHA-256 of `dep` 1 and 2.
    sha256: [String; 2],
}

impl Case {
    fn new(installer: Installer) -> Self {
        let test = Test::new();
        let wheels = test.wheels();
        let sha256 = [wheels.add("dep", "1", &[]), wheels.add("dep", "2", &[])];
        let project = test.project("p").requires(&["dep"]);
        Self { test, project, wheels, installer, sha256 }
    }

    fn program(&self, args: &[&str]) -> Program {
        let program =
            self.test.program(&["--message-format=json"]).args(args).args(self.wheels.flags());
        // What was once unpacked must not stand in for what is there now.
        program.installer(self.installer, &self.test).in_(&self.project).env("UV_NO_CACHE", "1")
    }

    /// The version of `dep` in the environment of a report.
    fn version(&self, report: &Value) -> String {
        let python = report["env"]["python"].as_str().unwrap();
        self.test
            .command(python)
            .args(["-I", "-c", "import dep; print(dep.VERSION)"])
            .run()
            .success()
            .stdout
            .trim()
            .to_owned()
    }

    /// Runs, which must succeed. Returns the version of `dep`.
    #[track_caller]
    fn ok(&self, program: &Program) -> String {
        self.version(&program.run().success().json())
    }

    /// Runs, which must fail in provisioning. Returns kind and message.
    #[track_caller]
    fn fails(&self, program: &Program) -> (String, String) {
        let run = program.run().exits(4);
        assert_eq!(self.project.list(".pyenv-build/tmp"), [""; 0]);
        let error = run.json()["error"].clone();
        assert!(error["hint"].is_string(), "{error}");
        (error["kind"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    }
}

#[test]
fn constraints_come_from_flags_variables_and_settings() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.project.write("one.txt", "dep<2\n");
        let constraints = case.project.path.join("one.txt");
        assert_eq!(case.ok(&case.program(&["provision"])), "2");
        for flag in ["-c", "--constraint", "--build-constraint"] {
            assert_eq!(case.ok(&case.program(&["provision", flag, "one.txt"])), "1", "{flag}");
        }
        for name in ["PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT"] {
            assert_eq!(
                case.ok(&case.program(&["provision"]).env(name, &constraints)),
                "1",
                "{name}"
            );
        }
        let case = Case {
            project: case.project.pyproject("[tool.pyenv-build]\nconstraints = ['one.txt']"),
            ..case
        };
        let program = case.program(&["provision"]).arg(&case.project.path).cwd(&case.test.path);
        assert_eq!(case.ok(&program), "1", "relative to the project");
        assert_eq!(case.project.envs().len(), 2);
    }
}

#[test]
fn constraints_in_the_table_of_uv_count() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        let case = Case {
            project: case
                .project
                .pyproject("[tool.uv]\nbuild-constraint-dependencies = ['dep==1']"),
            ..case
        };
        let program = case.program(&["provision"]).env_remove("UV_NO_CONFIG");
        assert_eq!(case.ok(&program), "1");
    }
}

#[test]
fn a_constraints_file_counts_by_its_content_included_files_too() {
    let case = Case::new(Installer::Pip);
    case.project.write("c.txt", "-c sub/more.txt\n");
    case.project.write("sub/more.txt", "dep==1\n");
    let program = case.program(&["provision", "-c", "c.txt"]);
    assert_eq!(case.ok(&program), "1");
    case.project.write("sub/more.txt", "dep==2\n");
    assert_eq!(case.ok(&program), "2");
}

#[test]
fn a_constraints_file_that_is_not_there_is_a_mistake_of_usage() {
    let case = Case::new(Installer::Pip);
    let run = case.program(&["provision", "-c", "missing.txt"]).run().exits(2);
    assert_eq!(run.json()["error"]["kind"], "InvalidConstraints");
    assert_eq!(
        run.hint(),
        "constraints come from `-c`, `[tool.pyenv-build] constraints`, PIP_CONSTRAINT and UV_BUILD_CONSTRAINT"
    );
    assert!(run.error().contains(&case.project.path.join("missing.txt").display().to_string()));
}

#[test]
fn require_hashes_takes_a_pinned_requirement_that_has_the_right_hash() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.project.set_requires(&["dep==1"]);
        case.project.write("c.txt", &format!("dep==1 --hash=sha256:{}\n", case.sha256[0]));
        assert_eq!(case.ok(&case.program(&["provision", "--require-hashes", "-c", "c.txt"])), "1");
        case.project.write("c.txt", &format!("dep==1 --hash=sha256:{}\n", case.sha256[1]));
        case.fails(&case.program(&["provision", "--require-hashes", "-c", "c.txt"]));
    }
}

#[test]
fn require_hashes_takes_what_has_the_right_hash() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.project.write("c.txt", &format!("dep==1 \\\n    --hash=sha256:{}\n", case.sha256[0]));
        assert_eq!(case.ok(&case.program(&["provision", "--require-hashes", "-c", "c.txt"])), "1");
        for name in ["PIP_REQUIRE_HASHES", "UV_REQUIRE_HASHES"] {
            assert_eq!(
                case.ok(&case.program(&["provision", "-c", "c.txt"]).env(name, "1")),
                "1",
                "{name}"
            );
        }
    }
}

#[test]
fn require_build_hashes_of_the_projects_uv_counts_with_either_installer() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        let program = case.program(&["provision"]).env_remove("UV_NO_CONFIG");
        assert_eq!(case.ok(&program), "2");
        case.project.write("uv.toml", "require-build-hashes = true\n");
        let (kind, message) = case.fails(&program);
        assert_eq!(kind, "HashMismatch");
        assert!(message.contains("no hash is given for `dep`"), "{message}");
        case.project.write("uv.toml", "require-build-hashes = false\n");
        assert_eq!(case.ok(&program), "2");
    }
}

#[test]
fn require_hashes_refuses_what_has_none() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        let (kind, message) = case.fails(&case.program(&["provision", "--require-hashes"]));
        assert_eq!(
            (kind.as_str(), message.as_str()),
            ("HashMismatch", "no hash is given for `dep`, but `--require-hashes` is set")
        );
        // A dependency needs one as well.
        let top = case.wheels.add("top", "1", &["dep==1"]);
        case.project.set_requires(&["top"]);
        case.project.write("c.txt", &format!("top==1 --hash=sha256:{top}\n"));
        let (kind, _) =
            case.fails(&case.program(&["provision", "--require-hashes", "-c", "c.txt"]));
        assert!(["HashMismatch", "ResolutionFailed"].contains(&kind.as_str()), "{kind}");
        assert_eq!(case.project.envs(), [""; 0]);
    }
}

#[test]
fn require_hashes_refuses_what_has_another() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.project.write("c.txt", &format!("dep==1 --hash=sha256:{}\n", "0".repeat(64)));
        let (kind, message) =
            case.fails(&case.program(&["provision", "--require-hashes", "-c", "c.txt"]));
        // Either the installer refuses it or we do.
        assert!(["HashMismatch", "ResolutionFailed"].contains(&kind.as_str()), "{kind}: {message}");
        assert!(message.contains(&case.sha256[0]) || message.contains("hash"), "{message}");
        assert_eq!(case.project.envs(), [""; 0]);
        // The right one beside a wrong one is enough.
        case.project.write(
            "c.txt",
            &format!("dep==1 --hash=sha256:{} --hash=sha256:{}\n", "0".repeat(64), case.sha256[0]),
        );
        assert_eq!(case.ok(&case.program(&["provision", "--require-hashes", "-c", "c.txt"])), "1");
    }
}

#[test]
fn a_lock_holds_the_versions_and_hashes_of_its_day() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        let run = case.program(&["lock"]).run().success();
        let file = case.project.path.join("pylock.build.toml");
        assert_eq!(
            run.json(),
            serde_json::json!({"schema": 1, "command": "lock", "ok": true, "path": file, "packages": 1})
        );
        let lock: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        assert_eq!(lock["lock-version"].as_str(), Some("1.0"));
        let package = lock["packages"][0].as_table().unwrap();
        assert_eq!(
            (package["name"].as_str(), package["version"].as_str()),
            (Some("dep"), Some("2"))
        );
        assert_eq!(
            package["wheels"][0]["hashes"]["sha256"].as_str(),
            Some(case.sha256[1].as_str())
        );

        let open = case.program(&["provision"]).run().success().json();
        let locked = case.program(&["provision", "--locked"]).run().success().json();
        assert_eq!(
            open["env"]["path"], locked["env"]["path"],
            "the same content is the same environment"
        );
        case.wheels.add("dep", "3", &[]);
        assert_eq!(case.ok(&case.program(&["build", "--locked"])), "2");
        assert_eq!(
            case.ok(&case.program(&["build", "--locked", "--upgrade"])),
            "2",
            "a lock is a lock"
        );
        assert_eq!(case.ok(&case.program(&["build", "--upgrade"])), "3");
        // Locking again writes what is new now.
        case.program(&["lock", "--upgrade"]).run().success();
        assert_eq!(case.ok(&case.program(&["build", "--locked"])), "3");
    }
}

#[test]
fn lock_prints_the_files_path() {
    let case = Case::new(Installer::Pip);
    let run =
        case.test.program(&["lock"]).args(case.wheels.flags()).in_(&case.project).run().success();
    assert_eq!(run.stdout, format!("{}\n", case.project.path.join("pylock.build.toml").display()));
}

#[test]
fn a_lock_has_what_the_backend_asks_for() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.wheels.add("asked", "1", &[]);
        case.project.set_backend(&serde_json::json!({"requires": {
            "get_requires_for_build_wheel": ["asked"],
            "get_requires_for_build_editable": ["dep>=1"],
        }}));
        case.program(&["lock"]).run().success();
        let lock: toml::Table =
            std::fs::read_to_string(case.project.path.join("pylock.build.toml"))
                .unwrap()
                .parse()
                .unwrap();
        let names: Vec<_> = lock["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| package["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["asked", "dep"]);
        assert_eq!(case.ok(&case.program(&["build", "--locked"])), "2");
        assert_eq!(case.ok(&case.program(&["build", "--locked", "--editable"])), "2");
    }
}

#[test]
fn a_lock_that_is_not_there_is_a_failure() {
    let case = Case::new(Installer::Pip);
    let (kind, message) = case.fails(&case.program(&["build", "--locked"]));
    let file = case.project.path.join("pylock.build.toml");
    assert_eq!(
        (kind.as_str(), message),
        ("LockFileUnusable", format!("`{}` cannot be used: it does not exist", file.display()))
    );
    assert_eq!(
        case.program(&["build", "--locked"]).run().hint(),
        "write it with `cargo pyenv-build lock`, for the same interpreter (`-p`)"
    );
}

#[test]
fn a_lock_that_does_not_satisfy_the_requirements_is_a_failure() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.program(&["lock"]).run().success();
        case.project.set_requires(&["dep<2"]);
        let (kind, message) = case.fails(&case.program(&["build", "--locked"]));
        assert_eq!(kind, "LockFileUnusable");
        assert!(
            message.ends_with("cannot be used: its `dep 2` does not satisfy `dep<2`"),
            "{message}"
        );
        case.project.set_requires(&["dep", "more"]);
        let (kind, message) = case.fails(&case.program(&["build", "--locked"]));
        assert_eq!(kind, "LockFileUnusable");
        assert!(message.ends_with("cannot be used: it does not contain `more`"), "{message}");
        // What the backend asks for is held to it as well.
        case.project.set_requires(&["dep"]);
        case.project.set_backend(
            &serde_json::json!({"requires": {"get_requires_for_build_wheel": ["dep==1"]}}),
        );
        let (kind, _) = case.fails(&case.program(&["build", "--locked"]));
        assert_eq!(kind, "LockFileUnusable");
    }
}

#[test]
fn a_locked_hash_that_is_not_the_files_is_a_failure() {
    for installer in Installer::all() {
        let case = Case::new(installer);
        case.program(&["lock"]).run().success();
        let file = case.project.path.join("pylock.build.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        // The lock was tampered with.
        std::fs::write(&file, text.replace(&case.sha256[1], &"0".repeat(64))).unwrap();
        let (kind, message) = case.fails(&case.program(&["build", "--locked"]));
        assert_eq!(kind, "HashMismatch");
        assert_eq!(
            message,
            format!(
                "hash mismatch for `dep`: `pylock.build.toml` does not allow sha256:{}",
                case.sha256[1]
            )
        );
        // The file was.
        std::fs::write(&file, text).unwrap();
        case.wheels.add_with("dep", "2", &[], "import evil");
        let (kind, _) = case.fails(&case.program(&["build", "--locked"]));
        assert!(["HashMismatch", "InstallationFailed"].contains(&kind.as_str()), "{kind}");
        assert_eq!(case.project.envs().len(), 1, "the one that `lock` asked the backend in");
    }
}

#[test]
fn a_lock_for_another_python_or_of_another_format_is_refused() {
    let case = Case::new(Installer::Pip);
    for (text, reason) in [
        ("lock-version = '1.0'\nrequires-python = '<3'\n", "it is for Python <3"),
        (
            "lock-version = '1.0'\nenvironments = [\"sys_platform == 'amiga'\"]\n",
            "it was made for a different kind of environment",
        ),
        ("lock-version = '2.0'\n", "lock-version 2.0 is newer than the supported 1.0"),
        ("nonsense", "TOML parse error"),
    ] {
        case.project.write("pylock.build.toml", text);
        let (kind, message) = case.fails(&case.program(&["provision", "--locked"]));
        assert_eq!(kind, "LockFileUnusable");
        assert!(message.contains(reason), "{message}");
    }
}
