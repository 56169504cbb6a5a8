//! Build environments: made once, used again, made anew when they are incomplete, at a path that
//! says what is in them.

use std::collections::BTreeSet;
use std::path::Path;

use filetime::FileTime;
use serde_json::{Value, json};

use crate::context::{Installer, Program, Project, Test, Wheels, python};
use crate::skip::not_tested;

/// `provision --message-format json` with these wheels.
fn provision(test: &Test, project: &Project, wheels: &Wheels, installer: Installer) -> Program {
    test.program(&["--message-format=json", "provision"])
        .args(wheels.flags())
        .installer(installer, test)
        .in_(project)
}

/// The environment of a report.
fn env(report: &Value) -> (String, String) {
    (
        report["env"]["path"].as_str().unwrap().to_owned(),
        report["env"]["outcome"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn an_environment_is_created_then_reused() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &["below"]);
        wheels.add("below", "2", &[]);
        let project = test.project("p").requires(&["dep"]);
        let first = provision(&test, &project, &wheels, installer).run().success().json();
        let (path, outcome) = env(&first);
        assert_eq!(outcome, "created");
        assert_eq!(first["env"]["installer"], installer.name());
        // It is the memo that is used: the wheels may be gone.
        std::fs::remove_dir_all(&wheels.path).unwrap();
        std::fs::create_dir(&wheels.path).unwrap();
        let second = provision(&test, &project, &wheels, installer).run().success();
        assert_eq!(env(&second.json()), (path.clone(), "reused".to_owned()));
        assert_eq!(second.stderr, "", "nothing to say");
        let script = "import dep, below, sys; print(dep.VERSION, below.VERSION, sys.prefix)";
        let python = first["env"]["python"].as_str().unwrap();
        assert_eq!(
            test.command(python).args(["-I", "-c", script]).run().success().stdout,
            format!("1 2 {path}\n")
        );
    }
}

#[test]
fn an_environment_holds_the_requirements_and_nothing_else() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        let report = provision(&test, &project, &wheels, installer).run().success().json();
        let script = "import importlib.metadata as m; print(sorted(d.metadata['Name'] for d in m.distributions()))";
        let python = report["env"]["python"].as_str().unwrap();
        assert_eq!(
            test.command(python).args(["-I", "-c", script]).run().success().stdout,
            "['dep']\n"
        );
    }
}

#[test]
fn uv_and_pip_come_to_the_same_fingerprint() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &["under_score>=1", "never; python_version < '3'"]);
    wheels.add("under_score", "1.0", &[]);
    wheels.add("under_score", "2.0rc1", &[]);
    let archive = test.path.join("direct-3-py3-none-any.whl");
    wheels.add("direct", "3", &[]);
    std::fs::rename(wheels.file("direct", "3"), &archive).unwrap();
    let local = test.project("local").backend(&json!({"name": "local"}));
    let urls = [&archive, &local.path].map(|path| url::Url::from_file_path(path).unwrap());
    let requirements =
        ["dep".to_owned(), format!("direct @ {}", urls[0]), format!("local @ {}", urls[1])];
    let explained = Installer::all().into_iter().map(|installer| {
        let project =
            test.project(installer.name()).requires(&requirements.each_ref().map(String::as_str));
        let program = test
            .program(&["fingerprint", "--explain"])
            .args(wheels.flags())
            .installer(installer, &test);
        program.in_(&project).run().success().stdout.clone()
    });
    let explained: Vec<String> = explained.collect();
    assert!(explained.iter().all(|one| *one == explained[0]), "{explained:#?}");
}

#[test]
fn the_same_requirements_in_another_order_or_spelling_are_the_same_environment() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("one", "1", &[]);
    wheels.add("two", "1", &[]);
    let project = test.project("p").requires(&["one", "two"]);
    let run =
        || env(&provision(&test, &project, &wheels, Installer::quick()).run().success().json());
    let (path, _) = run();
    for requirements in [
        &["two", "one"][..],
        &["ONE>=1", "two == 1.*"],
        &["one", "two", "one", "never; python_version < '3'"],
    ] {
        project.set_requires(requirements);
        assert_eq!(run(), (path.clone(), "reused".to_owned()), "{requirements:?}");
    }
}

#[test]
fn another_version_is_another_path_and_back_again_the_first() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        wheels.add("dep", "2", &[]);
        let project = test.project("p");
        let with = |requirement: &str| {
            project.set_requires(&[requirement]);
            env(&provision(&test, &project, &wheels, installer).run().success().json())
        };
        let (one, outcome) = with("dep==1");
        assert_eq!(outcome, "created");
        let (two, outcome) = with("dep");
        assert_eq!(outcome, "created");
        assert_ne!(one, two);
        assert_eq!(with("dep<2"), (one, "reused".to_owned()));
        assert_eq!(with("dep>1"), (two, "reused".to_owned()));
        assert_eq!(project.envs().len(), 2);
    }
}

/// Kind and modification time of everything in an environment, itself included.
fn dates(path: &Path) -> BTreeSet<(&'static str, i64, u32)> {
    let entries = walkdir::WalkDir::new(path).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let kind = entry.file_type();
            let kind = if kind.is_symlink() {
                "link"
            } else if kind.is_dir() {
                "directory"
            } else {
                "file"
            };
            let date = FileTime::from_last_modification_time(&entry.metadata().unwrap());
            (kind, date.unix_seconds(), date.nanoseconds())
        })
        .collect()
}

#[test]
fn an_environment_that_was_deleted_is_made_again_with_the_same_path_content_and_dates() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        let run = || env(&provision(&test, &project, &wheels, installer).run().success().json());
        let content = |path: &str| -> Vec<String> {
            let entries =
                walkdir::WalkDir::new(path).sort_by_file_name().into_iter().map(Result::unwrap);
            entries
                .map(|entry| {
                    let bytes = if entry.file_type().is_file() {
                        std::fs::read(entry.path()).unwrap()
                    } else {
                        Vec::new()
                    };
                    format!("{} {}", entry.path().display(), String::from_utf8_lossy(&bytes))
                })
                .collect()
        };
        let (path, _) = run();
        let (first, dated) = (content(&path), dates(Path::new(&path)));
        let expected: BTreeSet<_> =
            ["directory", "file", "link"].map(|kind| (kind, 946_684_800, 0)).into();
        if cfg!(unix) {
            assert_eq!(dated, expected);
        }
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(run(), (path.clone(), "created".to_owned()));
        assert_eq!(content(&path), first);
        assert_eq!(dates(Path::new(&path)), dated);
    }
}

#[test]
fn using_an_environment_changes_nothing_in_it() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    project.write(
        "backend.py",
        &format!(
            "import dep\n{}",
            std::fs::read_to_string(project.path.join("backend.py")).unwrap()
        ),
    );
    let build = test.program(&["--message-format=json"]).args(wheels.flags()).in_(&project);
    let (path, _) = env(&build.run().success().json());
    build.run().success();
    assert_eq!(
        dates(Path::new(&path)).into_iter().map(|(_, date, _)| date).collect::<BTreeSet<_>>(),
        [946_684_800].into()
    );
}

#[test]
fn modules_are_compiled_when_the_environment_is_made() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        let report = provision(&test, &project, &wheels, installer).run().success().json();
        let python = report["env"]["python"].as_str().unwrap();
        // Bits 0 and 1 of a pyc's second word: by hash, checked.
        let script = "import dep; print(open(dep.__cached__, 'rb').read(8)[4])";
        assert_eq!(
            test.command(python).args(["-I", "-B", "-c", script]).run().success().stdout,
            "1\n"
        );
    }
}

#[test]
fn without_its_marker_an_environment_is_made_again() {
    let test = Test::new();
    let project = test.project("p");
    let wheels = test.wheels();
    let run = || env(&provision(&test, &project, &wheels, Installer::Pip).run().success().json());
    let (path, _) = run();
    let marker = format!("{path}.json");
    std::fs::remove_file(&marker).unwrap();
    std::fs::write(Path::new(&path).join("rubbish"), "").unwrap();
    assert_eq!(run(), (path.clone(), "created".to_owned()));
    assert!(!Path::new(&path).join("rubbish").exists() && Path::new(&marker).exists());

    // Nor is a marker trusted that cannot be read, is of another schema, or for another
    // environment.
    let good: Value = serde_json::from_slice(&std::fs::read(&marker).unwrap()).unwrap();
    let mut newer = good.clone();
    newer["schema"] = 1000.into();
    let mut other = good.clone();
    other["fingerprint"] = "0".repeat(64).into();
    for text in ["{".to_owned(), String::new(), newer.to_string(), other.to_string()] {
        std::fs::write(&marker, &text).unwrap();
        assert_eq!(run(), (path.clone(), "created".to_owned()), "{text}");
    }
    // Fields that we do not know do not matter.
    let mut later = good;
    later["later"] = "field".into();
    std::fs::write(&marker, later.to_string()).unwrap();
    assert_eq!(run(), (path, "reused".to_owned()));
}

#[test]
fn a_half_made_environment_is_replaced() {
    let test = Test::new();
    let project = test.project("p");
    let wheels = test.wheels();
    let run = || env(&provision(&test, &project, &wheels, Installer::Pip).run().success().json());
    let (path, _) = run();
    // A crash before the marker: something is there, the python is not.
    std::fs::remove_file(format!("{path}.json")).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::create_dir_all(Path::new(&path).join("lib")).unwrap();
    assert_eq!(run(), (path.clone(), "created".to_owned()));
    // A marker without its python, as a partial restore of a cache leaves it.
    std::fs::remove_dir_all(Path::new(&path).join(if cfg!(windows) { "Scripts" } else { "bin" }))
        .unwrap();
    assert_eq!(run(), (path, "created".to_owned()));
}

#[test]
fn a_failed_installation_leaves_no_environment() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        provision(&test, &project, &wheels, installer).run().success();
        let env_name = project.envs().remove(0);
        std::fs::remove_dir_all(project.root().join("envs")).unwrap();
        // The memo has the hash of another file.
        wheels.add_with("dep", "1", &[], "# other");
        let run =
            provision(&test, &project, &wheels, installer).env("UV_NO_CACHE", "1").run().exits(4);
        assert_eq!(run.json()["error"]["kind"], "InstallationFailed");
        assert_eq!(project.envs(), [""; 0]);
        assert!(!project.root().join("envs").join(format!("{env_name}.json")).exists());
        assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
    }
}

#[test]
fn what_cannot_be_resolved_is_said_in_the_installers_words() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep>=2"]);
        let run = provision(&test, &project, &wheels, installer).run().exits(4);
        let error = &run.json()["error"];
        assert_eq!(error["kind"], "ResolutionFailed");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("failed to resolve the build requirements\n  caused by: `"),
            "{message}"
        );
        assert!(message.contains("dep>=2"), "{message}");
        assert!(error["hint"].is_string());
        assert_eq!(project.envs(), [""; 0]);
        assert_eq!(project.list(".pyenv-build/tmp"), [""; 0]);
    }
}

#[test]
fn upgrade_resolves_anew_and_nothing_else_does() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        let run = |more: &[&str]| {
            env(&provision(&test, &project, &wheels, installer).args(more).run().success().json())
        };
        let (one, _) = run(&[]);
        wheels.add("dep", "2", &[]);
        assert_eq!(run(&[]), (one.clone(), "reused".to_owned()));
        let (two, outcome) = run(&["--upgrade"]);
        assert_ne!(two, one);
        assert_eq!(outcome, "created");
        assert_eq!(run(&[]), (two.clone(), "reused".to_owned()), "it stays upgraded");
        assert_eq!(run(&["-U"]), (two, "reused".to_owned()), "nothing newer");
    }
}

/// Makes all memos look that much older.
fn age_memos(project: &Project, seconds: u64) {
    for name in project.list(".pyenv-build/requests") {
        let path = project.root().join("requests").join(name);
        let mut memo: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        memo["resolved_at"] = (memo["resolved_at"].as_u64().unwrap() - seconds).into();
        std::fs::write(path, memo.to_string()).unwrap();
    }
}

#[test]
fn an_old_memo_is_not_trusted() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let program =
        |more: &[&str]| provision(&test, &project, &wheels, Installer::quick()).args(more);
    let run = |program: Program| env(&program.run().success().json()).0;
    let one = run(program(&[]));
    wheels.add("dep", "2", &[]);
    age_memos(&project, 3600);
    assert_eq!(run(program(&[])), one, "an hour is not old");
    assert_eq!(run(program(&["--max-age", "2h"])), one);
    age_memos(&project, 8 * 86400);
    assert_eq!(run(program(&[]).env("CI", "true")), one, "in CI the cache decides");
    assert_eq!(run(program(&["--max-age", "30days"])), one);
    assert_eq!(run(program(&[]).env("PYENV_BUILD_MAX_AGE", "30days")), one);
    assert_eq!(run(program(&["--offline"])), one, "old is better than none");
    assert_ne!(
        run(program(&["--max-age", "2h"]).env("CI", "true")),
        one,
        "a flag is the user's word, CI or not"
    );
}

#[test]
fn after_a_week_a_memo_is_old_and_rubbish_is_none() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let run =
        || env(&provision(&test, &project, &wheels, Installer::quick()).run().success().json()).0;
    let one = run();
    wheels.add("dep", "2", &[]);
    age_memos(&project, 8 * 86400);
    let two = run();
    assert_ne!(two, one);
    wheels.add("dep", "3", &[]);
    let memo = project.list(".pyenv-build/requests").remove(0);
    std::fs::write(project.root().join("requests").join(memo), "{").unwrap();
    assert!(![one, two].contains(&run()));
}

#[test]
fn offline_uses_what_is_there() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        let run = |more: &[&str]| provision(&test, &project, &wheels, installer).args(more).run();
        // A directory of wheels is no network.
        let (path, outcome) = env(&run(&["--offline"]).success().json());
        assert_eq!(outcome, "created");
        assert_eq!(env(&run(&["--offline"]).success().json()), (path, "reused".to_owned()));
    }
}

#[test]
fn offline_with_an_index_fails_at_once_and_says_what_to_do() {
    for installer in Installer::all() {
        let test = Test::new();
        let project = test.project("p").requires(&["dep"]);
        let run = test
            .program(&["provision", "--offline"])
            .installer(installer, &test)
            .in_(&project)
            .run()
            .exits(4);
        assert_eq!(run.hint(), "run once without `--offline`; later runs reuse the result");
    }
}

#[test]
fn an_index_that_cannot_be_reached_is_told_from_requirements_that_cannot_be_met() {
    for installer in Installer::all() {
        let test = Test::new();
        let project = test.project("p").requires(&["dep"]);
        let run = test
            .program(&["provision", "-i", "http://user:secret@127.0.0.1:9/simple"])
            .installer(installer, &test)
            .in_(&project);
        let run = run.env("NO_PROXY", "127.0.0.1").run().exits(4);
        assert_eq!(
            run.hint(),
            "the package index cannot be reached: check the network and the index URL, or reuse \
                an earlier build environment with `--offline`"
        );
        assert!(!run.stderr.contains("secret"), "credentials are masked");
    }
}

#[test]
fn variables_of_either_installer_count_for_both() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        for (links, no_index) in
            [("PIP_FIND_LINKS", "PIP_NO_INDEX"), ("UV_FIND_LINKS", "UV_NO_INDEX")]
        {
            let project = test.project(links).requires(&["dep"]);
            let run = test.program(&["provision"]).installer(installer, &test).in_(&project);
            run.env(links, &wheels.path).env(no_index, "1").run().success();
        }
    }
}

#[test]
fn variables_that_would_send_packages_elsewhere_do_not() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        let mut program = provision(&test, &project, &wheels, installer);
        let elsewhere = test.path.join("elsewhere");
        for name in [
            "PIP_TARGET",
            "PIP_PREFIX",
            "PIP_ROOT",
            "UV_TARGET",
            "UV_PREFIX",
            "VIRTUAL_ENV",
            "PYTHONPATH",
        ] {
            program = program.env(name, &elsewhere);
        }
        for name in [
            "PIP_USER",
            "PIP_REQUIRE_VIRTUALENV",
            "PIP_DRY_RUN",
            "PIP_NO_DEPS",
            "UV_SYSTEM_PYTHON",
            "UV_COMPILE_BYTECODE",
        ] {
            program = program.env(name, "1");
        }
        let report = program.run().success().json();
        let python = report["env"]["python"].as_str().unwrap();
        assert_eq!(
            test.command(python)
                .args(["-I", "-c", "import dep; print(dep.VERSION)"])
                .run()
                .success()
                .stdout,
            "1\n"
        );
        assert!(!elsewhere.exists());
    }
}

#[test]
fn a_local_directory_is_a_requirement_whose_content_counts() {
    for installer in Installer::all() {
        let test = Test::new();
        let local = test.project("local").backend(&json!({"name": "local", "version": "1"}));
        let url = url::Url::from_file_path(&local.path).unwrap();
        let project = test.project("p").requires(&[&format!("local @ {url}")]);
        let program = test
            .program(&["--message-format=json", "provision", "--no-index"])
            .installer(installer, &test)
            .in_(&project);
        let version = |report: &Value| {
            let python = report["env"]["python"].as_str().unwrap();
            test.command(python)
                .args(["-I", "-c", "import local; print(local.VERSION)"])
                .run()
                .success()
                .stdout
                .trim()
                .to_owned()
        };
        let first = program.run().success().json();
        let (one, _) = env(&first);
        assert_eq!(version(&first), "1");
        assert_eq!(env(&program.run().success().json()), (one.clone(), "reused".to_owned()));
        // The same version with another content: no installer's cache may stand in for it.
        local.set_backend(&json!({"name": "local", "version": "1", "members": {"local.py": "VERSION = 'changed'\n"}}));
        let second = program.run().success().json();
        assert_ne!(env(&second).0, one);
        assert_eq!(version(&second), "changed");
        local.set_backend(&json!({"name": "local", "version": "1"}));
        assert_eq!(env(&program.run().success().json()), (one, "reused".to_owned()));
    }
}

#[test]
fn a_local_requirement_that_is_not_there_is_named() {
    let test = Test::new();
    let url = url::Url::from_file_path(test.path.join("no such")).unwrap();
    let requirement = format!("local @ {url}");
    let project = test.project("p").requires(&[&requirement]);
    let run = test.program(&["--message-format=json", "provision"]).in_(&project).run().exits(4);
    let error = run.json()["error"].clone();
    assert_eq!(error["kind"], "RequirementNotFound");
    assert!(error["message"].as_str().unwrap().contains("no such"), "{error}");
}

#[test]
fn nothing_is_set_up_for_a_project_without_requirements() {
    let test = Test::pristine();
    let project = test.project("p");
    test.program(&[]).in_(&project).run().success();
    assert_eq!(
        project.list(".pyenv-build/tools"),
        [""; 0],
        "there is nothing to install, so no pip is needed"
    );
}

#[test]
fn uv_is_taken_when_it_is_on_path_and_pip_when_it_is_not() {
    if crate::context::uv().is_none() {
        // Says so.
        Installer::all();
        return;
    }
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let made_by = |name: &str, program: Program| {
        let project = test.project(name).requires(&["dep"]);
        let report = program.args(wheels.flags()).in_(&project).run().success().json();
        report["env"]["installer"].as_str().unwrap().to_owned()
    };
    let program = test.program(&["--message-format=json", "provision"]);
    let with_uv =
        || program.clone().installer(Installer::Uv, &test).env_remove("PYENV_BUILD_INSTALLER");
    assert_eq!(made_by("with", with_uv()), "uv");
    assert_eq!(made_by("flag", with_uv().arg("--installer=pip")), "pip");
    assert_eq!(
        made_by(
            "flag-over-variable",
            with_uv().env("PYENV_BUILD_INSTALLER", "uv").arg("--installer=pip")
        ),
        "pip"
    );
    let project = test
        .project("settings")
        .pyproject("[tool.pyenv-build]\ninstaller = 'pip'")
        .requires(&["dep"]);
    let report = with_uv().args(wheels.flags()).in_(&project).run().success().json();
    assert_eq!(report["env"]["installer"], "pip");
}

/// What a killed process has left may have credentials in it.
#[test]
fn what_a_killed_run_left_is_removed_and_what_is_in_use_stays() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let leave = |name: &str| {
        let directory = project.root().join("tmp").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("uv.toml"), "secret").unwrap();
        std::fs::File::create(directory.join("in-use")).unwrap()
    };
    drop(leave("provision-dead"));
    let alive = leave("provision-alive");
    alive.lock().unwrap();
    let program = test.program(&["provision"]).args(wheels.flags()).in_(&project);
    program.installer(Installer::quick(), &test).run().success();
    assert_eq!(crate::context::list(&project.root().join("tmp")), ["provision-alive"]);
}

#[test]
fn a_uv_that_is_wished_for_and_not_there_is_a_failure() {
    if which::which_in("uv", Some(Test::pristine().search_path(&[])), ".").is_ok() {
        return not_tested(
            "a uv that is not there",
            "one is beside the interpreter or in the system's directories",
        );
    }
    let test = Test::new();
    let project = test.project("p").requires(&["dep"]);
    let run = test.program(&["provision", "--installer", "uv"]).in_(&project).run().exits(4);
    assert_eq!(run.error(), "no usable installer: uv is not on PATH");
    assert_eq!(run.hint(), "install uv, or use `--installer pip`");
}

#[test]
fn provision_prints_the_environments_python() {
    let test = Test::new();
    let project = test.project("p");
    let run = test.program(&["provision"]).in_(&project).run().success();
    let printed = Path::new(run.stdout.trim_end());
    assert!(printed.is_file() && printed.starts_with(project.root().join("envs")));
    let version = test
        .command(printed)
        .args(["-I", "-c", "import platform; print(platform.python_version())"])
        .run()
        .success();
    assert_eq!(version.stdout.trim_end(), python().version);
}

#[test]
fn a_lock_that_is_held_is_waited_for_as_long_as_is_said() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["provision"]).in_(&project).run().success();
    let name = project.envs().remove(0);
    std::fs::remove_file(project.root().join("envs").join(format!("{name}.json"))).unwrap();
    let lock =
        std::fs::File::create(project.root().join("envs").join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let program = test
        .program(&["--message-format=json", "provision"])
        .in_(&project)
        .env("PYENV_BUILD_LOCK_TIMEOUT", "0");
    let run = program.run().exits(4);
    assert_eq!(run.json()["error"]["kind"], "LockTimedOut");
    assert_eq!(run.hint(), "set `PYENV_BUILD_LOCK_TIMEOUT` (seconds) to wait longer");
    drop(lock);
    program.run().success();
}
