//! Settings of the installers: what is meant for build environments shapes them, and nothing else
//! does. `uv build` (where there is a uv) and `pip wheel` are asked as well.

use std::path::Path;

use serde_json::Value;

use crate::context::{Installer, Program, Project, Test, Wheels, python};

/// Wheels of `dep` to choose from, and of `needs`, which nobody asks for.
fn wheels(test: &Test) -> Wheels {
    let wheels = test.wheels();
    for version in ["1.0", "2.0", "3.0rc1"] {
        wheels.add("dep", version, &[]);
    }
    wheels
}

/// A project that requires `dep`.
fn project(test: &Test, name: &str) -> Project {
    let project = test.project(name).requires(&["dep"]);
    let backend = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
    // For `uv build` and `pip wheel`, which say nothing of their environments.
    project.write(
        "backend.py",
        &format!("import dep\nopen('version', 'w').write(dep.VERSION)\n{backend}"),
    );
    project
}

fn provision(test: &Test, project: &Project, installer: Installer) -> Program {
    let program = test
        .program(&["--message-format=json", "provision"])
        .installer(installer, test)
        .in_(project);
    program.env_remove("UV_NO_CONFIG").env_remove("PIP_CONFIG_FILE")
}

/// The version of `dep` in the environment that is made, or nothing if none is.
fn version(test: &Test, program: &Program) -> Option<String> {
    let run = program.run();
    if run.code != Some(0) {
        assert_eq!(run.code, Some(4), "{}", run.stderr);
        return None;
    }
    let report: Value = run.json();
    let python = report["env"]["python"].as_str().unwrap();
    let shown =
        test.command(python).args(["-I", "-c", "import dep; print(dep.VERSION)"]).run().success();
    Some(shown.stdout.trim().to_owned())
}

/// What the installer's own frontend builds with.
fn reference(program: &Program, project: &Project) -> Option<String> {
    let _ = std::fs::remove_file(project.path.join("version"));
    let run = program.run();
    let version = std::fs::read_to_string(project.path.join("version")).ok();
    // A failure that a reader of the log should see, without ours failing.
    drop(run);
    version
}

/// The settings of an installer, by the table of the reference, and whether each counts.
fn documented(installer: &str) -> Vec<(String, bool)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/installers.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|part| part.starts_with(installer)).unwrap();
    let rows = section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), *cells.get(3)? != "no"))
    });
    rows.collect()
}

/// A value of a setting of uv that would change, or break, an environment that it shapes.
fn value_for_uv(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "resolution" => "'lowest'",
        "prerelease" => "'allow'",
        "prerelease-package" => "{ dep = 'allow' }",
        "fork-strategy" => "'fewest'",
        "constraint-dependencies" | "build-constraint-dependencies" => "['dep<2']",
        "override-dependencies" => "['dep==1.0']",
        "exclude-dependencies" | "no-binary-package" => "['dep']",
        "environments" | "required-environments" => "[\"python_version < '3'\"]",
        "pip" => {
            "{ prerelease = 'allow', resolution = 'lowest', no-deps = true, target = 'elsewhere', require-hashes = true, generate-hashes = true, emit-index-url = true, universal = true, system = true, output-file = 'out.txt' }"
        }
        "upgrade" | "reinstall" | "compile-bytecode" | "no-build" | "no-binary" => "true",
        "managed" | "package" => "false",
        "torch-backend" => "'cpu'",
        "link-mode" => "'symlink'",
        "config-settings" => "{ editable_mode = 'x' }",
        "python-preference" => "'only-managed'",
        "index-strategy" => "'unsafe-best-match'",
        "exclude-newer" => "'2020-01-01'",
        _ => return None,
    })
}

#[test]
fn settings_of_uv_do_to_our_environments_what_they_do_to_those_of_uv_build() {
    let Some(uv) = crate::context::uv() else {
        Installer::all();
        return;
    };
    let test = Test::new();
    let wheels = wheels(&test);
    let links = format!("no-index = true\nfind-links = ['{}']", wheels.path.display());
    let mut tried = 0;
    for (setting, counts) in documented("uv") {
        let Some(value) = value_for_uv(&setting) else { continue };
        tried += 1;
        let project =
            project(&test, &setting).pyproject(&format!("[tool.uv]\n{links}\n{setting} = {value}"));
        let ours = version(&test, &provision(&test, &project, Installer::Uv));
        if !counts {
            assert_eq!(ours.as_deref(), Some("2.0"), "{setting}");
        }
        let build = test
            .command(uv)
            .args(["build", "--wheel", "--out-dir", "out", "--python"])
            .arg(&python().path)
            .in_(&project);
        let theirs = reference(&build.env_remove("UV_NO_CONFIG"), &project);
        assert_eq!(ours, theirs, "{setting}");
        assert!(!project.path.join("elsewhere").exists() && !project.path.join("out.txt").exists());
    }
    assert!(tried > 20);
}

#[test]
fn variables_of_uv_that_do_not_count_change_nothing() {
    if crate::context::uv().is_none() {
        Installer::all();
        return;
    }
    let test = Test::new();
    let wheels = wheels(&test);
    let constraints = test.path.join("constraints.txt");
    std::fs::write(&constraints, "dep==1.0\n").unwrap();
    let project = project(&test, "p");
    let mut program =
        provision(&test, &project, Installer::Uv).args(wheels.flags()).env("UV_NO_CONFIG", "1");
    for (name, value) in [
        ("UV_RESOLUTION", "lowest"),
        ("UV_PRERELEASE", "allow"),
        ("UV_CONSTRAINT", constraints.to_str().unwrap()),
        ("UV_OVERRIDE", constraints.to_str().unwrap()),
        ("UV_EXCLUDE", constraints.to_str().unwrap()),
        ("UV_TORCH_BACKEND", "cpu"),
        ("UV_LINK_MODE", "nonsense"),
        ("UV_PYTHON_PREFERENCE", "only-managed"),
        ("UV_SOMETHING_THAT_IS_NEW", "x"),
        ("UV_WORKING_DIR", "/nowhere"),
        ("UV_PROJECT", "/nowhere"),
    ] {
        program = program.env(name, value);
    }
    assert_eq!(version(&test, &program).as_deref(), Some("2.0"));
}

/// A value of a setting of pip that would change, or break, an environment that it shapes.
fn value_for_pip(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "user"
        | "dry-run"
        | "ignore-installed"
        | "force-reinstall"
        | "no-deps"
        | "upgrade"
        | "compile"
        | "require-hashes"
        | "no-build-isolation"
        | "require-virtualenv"
        | "ignore-requires-python"
        | "verbose"
        | "no-clean"
        | "pre"
        | "prefer-binary" => "true",
        "target" | "prefix" | "root" | "src" | "report" | "log" => "elsewhere",
        "python" => "/nowhere/python",
        "python-version" => "2.7",
        "platform" => "win_amd64",
        "requirement" => "/nowhere/requirements.txt",
        "no-binary" => "dep",
        "only-binary" => ":all:",
        _ => return None,
    })
}

#[test]
fn settings_of_pip_shape_the_environment_only_where_they_count() {
    let test = Test::new();
    let wheels = wheels(&test);
    let elsewhere = test.path.join("elsewhere");
    let value = |setting: &str| {
        let value = value_for_pip(setting)?;
        let value = if value == "elsewhere" { elsewhere.to_str().unwrap() } else { value };
        Some(format!("{setting} = {value}\n"))
    };
    let version_with = |name: &str, lines: &str| {
        let file = test.path.join("pip.conf");
        let links = format!("[global]\nno-index = true\nfind-links = {}", wheels.path.display());
        std::fs::write(&file, format!("{links}\n[install]\n{lines}")).unwrap();
        version(
            &test,
            &provision(&test, &project(&test, name), Installer::Pip).env("PIP_CONFIG_FILE", &file),
        )
    };
    let (others, ignored): (Vec<_>, Vec<_>) =
        documented("pip").into_iter().partition(|(_, counts)| *counts);
    let ignored: Vec<String> = ignored.iter().filter_map(|(setting, _)| value(setting)).collect();
    assert!(ignored.len() > 20);
    assert_eq!(version_with("ignored", &ignored.concat()).as_deref(), Some("2.0"));
    assert!(!elsewhere.exists());
    for (setting, _) in others {
        let Some(line) = value(&setting) else { continue };
        let expected = match setting.as_str() {
            "pre" => Some("3.0rc1"),
            "no-binary" => None,
            _ => Some("2.0"),
        };
        assert_eq!(version_with(&setting, &line).as_deref(), expected, "{line}");
    }
}

/// `pip wheel` hands what counts to the pip that makes its build environment, as options.
#[test]
fn settings_of_pip_do_to_our_environments_what_they_do_to_those_of_pip_wheel() {
    let test = Test::new();
    let wheels = wheels(&test);
    let constraints = test.path.join("c.txt");
    std::fs::write(&constraints, "dep<2\n").unwrap();
    let links = format!("no-index = true\nfind-links = {}", wheels.path.display());
    let file = test.path.join("pip.conf");
    let lines = ["pre = true", "prefer-binary = true", "no-binary = dep", "only-binary = dep"];
    for (number, line) in lines.into_iter().enumerate() {
        let project = project(&test, &format!("p{number}"));
        std::fs::write(&file, format!("[global]\n{links}\n{line}\n")).unwrap();
        let ours = provision(&test, &project, Installer::Pip).env("PIP_CONFIG_FILE", &file);
        let wheel = test
            .command(&python().path)
            .args(["-m", "pip", "wheel", "--no-deps", "--wheel-dir", "out", "."])
            .env("PIP_CONFIG_FILE", &file)
            .in_(&project);
        assert_eq!(version(&test, &ours), reference(&wheel, &project), "{line}");
    }
    // A variable reaches the pip inside of `pip wheel`, too.
    std::fs::write(&file, format!("[global]\n{links}\n")).unwrap();
    let project = project(&test, "q");
    let both = |program: Program| {
        program.env("PIP_CONFIG_FILE", &file).env("PIP_CONSTRAINT", &constraints)
    };
    let wheel = test
        .command(&python().path)
        .args(["-m", "pip", "wheel", "--no-deps", "--wheel-dir", "out", "."])
        .in_(&project);
    let ours = version(&test, &both(provision(&test, &project, Installer::Pip)));
    assert_eq!(ours.as_deref(), Some("1.0"));
    assert_eq!(ours, reference(&both(wheel), &project));
}

/// Files of each level, and of the installer that runs.
#[test]
fn indexes_come_from_the_files_where_they_are() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = wheels(&test);
        let write = |path: &Path, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let config = test.path.join("home/.config");
        match installer {
            Installer::Uv => write(
                &config.join("uv/uv.toml"),
                &format!("no-index = true\nfind-links = ['{}']", wheels.path.display()),
            ),
            Installer::Pip => {
                write(
                    &config.join("pip/pip.conf"),
                    &format!("[global]\nno-index = 1\nfind-links =\n  {}", wheels.path.display()),
                );
            }
        }
        let project = project(&test, "p");
        assert_eq!(version(&test, &provision(&test, &project, installer)).as_deref(), Some("2.0"));
    }
}

/// `pip wheel` reads these as well: an index of one's own in any of them is not to be passed over
/// for the public one.
#[test]
fn pips_file_of_the_virtual_environment_and_its_section_for_wheels_count() {
    let test = Test::new();
    let wheels = wheels(&test);
    let project = project(&test, "p");
    let in_venv = test.venv("v");
    let venv = in_venv.ancestors().nth(2).unwrap().to_path_buf();
    let file = venv.join(if cfg!(windows) { "pip.ini" } else { "pip.conf" });
    let links = format!("no-index = true\nfind-links = {}\n", wheels.path.display());
    for section in ["global", "wheel"] {
        std::fs::write(&file, format!("[{section}]\n{links}")).unwrap();
        let program = provision(&test, &project, Installer::Pip);
        let told = program.clone().args(["-p", in_venv.to_str().unwrap()]);
        assert_eq!(version(&test, &told).as_deref(), Some("2.0"), "{section}");
        assert_eq!(
            version(&test, &program.env("VIRTUAL_ENV", &venv)).as_deref(),
            Some("2.0"),
            "{section}, of the active environment"
        );
    }
}

/// What `uv build` takes for build requirements from the user's file, it takes there with either
/// installer; and nothing of a file that `UV_NO_CONFIG` switches off.
#[test]
fn settings_of_uv_that_are_for_builds_count_wherever_they_stand() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = wheels(&test);
        let project = project(&test, "p");
        let program = provision(&test, &project, installer).args(wheels.flags());
        let user = test.path.join("home/.config/uv/uv.toml");
        std::fs::create_dir_all(user.parent().unwrap()).unwrap();
        let says = |text: &str| std::fs::write(&user, text).unwrap();
        says("build-constraint-dependencies = ['dep<2']");
        assert_eq!(version(&test, &program).as_deref(), Some("1.0"));
        let without = program.clone().env("UV_NO_CONFIG", "1");
        assert_eq!(version(&test, &without).as_deref(), Some("2.0"));
        let told = program.clone().env("UV_CONFIG_FILE", &user);
        assert_eq!(version(&test, &told).as_deref(), Some("1.0"));
        says("require-build-hashes = true");
        assert_eq!(version(&test, &program), None, "nothing has a hash");
        says("");
        let strict = program.clone().env("UV_REQUIRE_BUILD_HASHES", "1");
        assert_eq!(version(&test, &strict), None, "nothing has a hash");
        project.write("uv.toml", "index = [");
        program.run().exits(2);
    }
}

#[test]
fn what_is_taken_is_part_of_the_request() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = wheels(&test);
        let project = project(&test, "p");
        let uv_toml = |text: &str| {
            project.write(
                "uv.toml",
                &format!("no-index = true\nfind-links = ['{}']\n{text}", wheels.path.display()),
            );
        };
        let program = provision(&test, &project, installer).args(wheels.flags());
        uv_toml("");
        assert_eq!(version(&test, &program).as_deref(), Some("2.0"));
        uv_toml("build-constraint-dependencies = ['dep<2']");
        assert_eq!(version(&test, &program).as_deref(), Some("1.0"), "with either installer");
        uv_toml("constraint-dependencies = ['dep<1']");
        assert_eq!(version(&test, &program).as_deref(), Some("2.0"));
        if installer == Installer::Uv {
            uv_toml("no-binary = true");
            assert_eq!(version(&test, &program), None);
        }
    }
}

/// It may say which index is to be asked.
#[test]
fn a_file_of_pips_that_cannot_be_read_is_named() {
    let test = Test::new();
    let wheels = wheels(&test);
    let project = project(&test, "p");
    let file = test.path.join("pip.conf");
    for bytes in
        [&b"[global]\n# caf\xe9\nno-index = 1\n"[..], b"\xef\xbb\xbf[global]\nno-index = 1\n"]
    {
        std::fs::write(&file, bytes).unwrap();
        let program = provision(&test, &project, Installer::Pip)
            .args(wheels.flags())
            .env("PIP_CONFIG_FILE", &file);
        let run = program.run().exits(2);
        assert!(run.stderr.contains(&file.display().to_string()), "{}", run.stderr);
    }
}

#[test]
fn constraints_in_pips_files_are_constraints() {
    let test = Test::new();
    let wheels = wheels(&test);
    let project = project(&test, "p");
    let (constraints, file) = (test.path.join("c.txt"), test.path.join("pip.conf"));
    std::fs::write(&constraints, "dep<2\n").unwrap();
    std::fs::write(&file, format!("[global]\nconstraint = {}\n", constraints.display())).unwrap();
    let program = provision(&test, &project, Installer::Pip)
        .args(wheels.flags())
        .env("PIP_CONFIG_FILE", &file);
    assert_eq!(version(&test, &program).as_deref(), Some("1.0"));
    std::fs::write(&constraints, "dep>=1\n").unwrap();
    assert_eq!(version(&test, &program).as_deref(), Some("2.0"));
}

/// `[install]` and `[build]` of a `setup.cfg` are for the project, and old Pythons take them where
/// they are started.
#[test]
fn the_projects_setup_cfg_does_not_say_where_pip_goes() {
    let test = Test::pristine();
    let wheels = wheels(&test);
    let project = project(&test, "p");
    let elsewhere = test.path.join("elsewhere");
    project.write(
        "setup.cfg",
        &format!(
            "[install]\nprefix = {0}\nuser = 1\n[build]\nbuild-base = {0}\n",
            elsewhere.display()
        ),
    );
    let program = provision(&test, &project, Installer::Pip).args(wheels.flags());
    assert_eq!(version(&test, &program).as_deref(), Some("2.0"));
    assert!(!elsewhere.exists());
}

#[test]
#[ignore = "takes a minute; the workflow runs it"]
fn a_pip_of_ours_that_is_broken_is_made_again() {
    let test = Test::pristine();
    let wheels = wheels(&test);
    let project = project(&test, "p");
    let program = provision(&test, &project, Installer::Pip).args(wheels.flags());
    assert_eq!(version(&test, &program).as_deref(), Some("2.0"));
    let tools = project.root().join("tools");
    let main = walkdir::WalkDir::new(&tools)
        .into_iter()
        .map(Result::unwrap)
        .find(|entry| entry.path().ends_with("pip/_internal/main.py"));
    let main = main.unwrap().into_path();
    let breaks: [fn(&Path); 2] =
        [|path| std::fs::remove_file(path).unwrap(), |path| std::fs::write(path, "").unwrap()];
    for breaks in breaks {
        breaks(&main);
        assert_eq!(version(&test, &program.clone().arg("--upgrade")).as_deref(), Some("2.0"));
        assert!(std::fs::metadata(&main).unwrap().len() > 0);
    }
}

#[test]
fn a_configuration_file_that_cannot_be_read_is_named() {
    if crate::context::uv().is_none() {
        Installer::all();
        return;
    }
    let test = Test::new();
    let project = project(&test, "p");
    let file = test.path.join("uv.toml");
    std::fs::write(&file, "no-index = maybe\n").unwrap();
    let run = provision(&test, &project, Installer::Uv).env("UV_CONFIG_FILE", &file).run().exits(2);
    let error = run.json()["error"].clone();
    assert_eq!(error["kind"], "InvalidConfiguration");
    assert!(error["message"].as_str().unwrap().contains(file.to_str().unwrap()), "{error}");
}
