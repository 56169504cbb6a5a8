//! `develop`: what is installed where, what `gc` keeps for it, and what goes wrong.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::context::{Installer, Program, Project, Run, Test, Wheels, hooks_called, list, python};
use crate::skip::not_tested;

/// A project, and a virtual environment to install it into.
struct World {
    test: Test,
    project: Project,
    wheels: Wheels,
    venv: PathBuf,
    python: PathBuf,
}

impl World {
    fn new() -> Self {
        let test = Test::new();
        let wheels = test.wheels();
        let project = test.project("p");
        project.write("mine.py", "ANSWER = 1\n");
        let python = test.venv("venv");
        Self { venv: test.path.join("venv"), test, project, wheels, python }
    }

    fn program(&self, args: &[&str]) -> Program {
        self.test
            .program(args)
            .in_(&self.project)
            .installer(Installer::quick(), &self.test)
            .env("VIRTUAL_ENV", &self.venv)
    }

    fn develop(&self, args: &[&str]) -> Run {
        self.program(&["--message-format=json", "develop"])
            .args(self.wheels.flags())
            .args(args)
            .run()
    }

    /// What Python code prints in the virtual environment.
    fn says(&self, code: &str) -> String {
        let run = self.test.command(&self.python).args(["-c", code]).run().success();
        run.stdout.trim_end().to_owned()
    }

    /// `gc` that keeps only what it must: names of environments, and of references, that went, and
    /// those that were kept.
    fn gc(&self) -> (Vec<String>, Vec<String>) {
        let json = self
            .program(&["--message-format=json", "gc", "--keep=0", "--used-within=0s"])
            .run()
            .success()
            .json();
        let names = |list: &Value| -> Vec<String> {
            let name = |one: &Value| {
                Path::new(one["path"].as_str().unwrap())
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            };
            list.as_array().unwrap().iter().map(name).collect()
        };
        (names(&json["removed"]), names(&json["kept"]))
    }

    fn references(&self) -> Vec<Value> {
        let directory = self.project.root().join("installs");
        let read = |name: &String| {
            serde_json::from_slice(&std::fs::read(directory.join(name)).unwrap()).unwrap()
        };
        list(&directory).iter().map(read).collect()
    }
}

/// A name with a source is the project's own: an index may have another package of that name.
#[test]
fn what_it_requires_comes_from_the_projects_sources() {
    for installer in Installer::all() {
        let world = World::new();
        world.wheels.add("dep", "1", &[]);
        let dep = world.test.project("dep");
        dep.set_backend(&json!({"name": "dep", "version": "7"}));
        dep.write(
            "pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
        );
        world.project.set_backend(&json!({"dependencies": ["dep"]}));
        let project = world.project.path.join("pyproject.toml");
        let text = std::fs::read_to_string(&project).unwrap();
        let sources = "\n[tool.uv.sources]\ndep = { path = '../dep' }\n";
        std::fs::write(project, text + sources).unwrap();
        let develop = world.test.program(&["develop"]).args(world.wheels.flags());
        let develop = develop
            .in_(&world.project)
            .installer(installer, &world.test)
            .env("VIRTUAL_ENV", &world.venv);
        develop.run().success();
        assert_eq!(world.says("import importlib.metadata as m; print(m.version('dep'))"), "7");
    }
}

#[test]
fn the_project_is_installed_editable_with_what_it_requires() {
    for installer in Installer::all() {
        let world = World::new();
        world.wheels.add("dep", "1", &[]);
        world.wheels.add("more", "2", &[]);
        world.project.set_backend(&json!({"dependencies": ["dep"], "extras": {"x": ["more"]}}));
        let program = |args: &[&str]| {
            let program = world
                .test
                .program(&["--message-format=json", "develop"])
                .args(world.wheels.flags())
                .args(args);
            program
                .in_(&world.project)
                .installer(installer, &world.test)
                .env("VIRTUAL_ENV", &world.venv)
        };
        let has = |name: &str| {
            world.says(&format!(
                "import importlib.util as u; print(u.find_spec({name:?}) is not None)"
            )) == "True"
        };

        let run = program(&["--no-deps"]).run().success();
        let report = run.json();
        assert_eq!(
            (&report["command"], &report["ok"], &report["artifacts"]),
            (&json!("develop"), &json!(true), &json!([]))
        );
        let install = &report["install"];
        assert_eq!(
            (&install["distribution"], &install["version"]),
            (&json!("tiny"), &json!("1.0"))
        );
        assert_eq!(
            (&install["target"], &install["installer"]),
            (&json!(world.venv), &json!(installer.name()))
        );
        assert!(
            run.stderr.contains(&format!("Installed tiny 1.0 in {}", world.venv.display())),
            "{}",
            run.stderr
        );
        assert_eq!(world.project.last_report()["command"], "develop");
        assert_eq!(world.project.list("dist"), [""; 0], "no wheel is left");
        assert_eq!((has("dep"), has("more")), (false, false));

        assert_eq!(world.says("import mine; print(mine.ANSWER)"), "1");
        world.project.write("mine.py", "ANSWER = 12345\n");
        assert_eq!(
            world.says("import mine; print(mine.ANSWER)"),
            "12345",
            "Edits of Python files take effect at once"
        );

        // What tools look at.
        let dist_info = PathBuf::from(install["dist_info"].as_str().unwrap());
        let direct_url: Value =
            serde_json::from_slice(&std::fs::read(dist_info.join("direct_url.json")).unwrap())
                .unwrap();
        assert_eq!(
            direct_url,
            json!({"url": url::Url::from_file_path(&world.project.path).unwrap(), "dir_info": {"editable": true}})
        );
        let check = "import base64, hashlib, importlib.metadata as m
files = [file for file in m.distribution('tiny').files if file.hash and file.name == 'direct_url.json']
assert len(files) == 1
digest = hashlib.sha256(files[0].read_binary()).digest()
print(base64.urlsafe_b64encode(digest).rstrip(b'=').decode() == files[0].hash.value and files[0].size == len(files[0].read_binary()))";
        assert_eq!(world.says(check), "True", "RECORD is right");

        program(&[]).run().success();
        assert_eq!((has("dep"), has("more")), (true, false));
        let run = program(&[".[x]"]).run().success();
        assert!(has("more") && !run.stderr.contains("extra"), "{}", run.stderr);
        let run = program(&[".[y]"]).run().success();
        assert!(
            run.stderr.contains("warning: tiny has no extra `y`\nhint: it has `x`\n"),
            "{}",
            run.stderr
        );
        let found = "import importlib.metadata as m; print([d.metadata['Name'] for d in m.distributions()].count('tiny'))";
        assert_eq!(world.says(found), "1");
    }
}

#[test]
#[cfg(unix)] // where pip is set up once for all tests
fn it_takes_the_place_of_what_is_there() {
    for installer in Installer::all() {
        let world = World::new();
        let program = |args: &[&str]| world.program(args).installer(installer, &world.test);
        // The very version, as it was built.
        world.wheels.add_with("tiny", "1.0", &[], "PLAIN = True");
        let plain = world.wheels.file("tiny", "1.0");
        let pip = world.project.root().join("tools");
        match installer {
            Installer::Uv => {
                let uv = crate::context::uv().unwrap();
                world
                    .test
                    .command(uv)
                    .args(["pip", "install", "-q", "--offline", "--python"])
                    .arg(&world.python)
                    .arg(plain)
                    .run()
                    .success();
            }
            Installer::Pip => {
                let tool = list(&pip).into_iter().find(|name| pip.join(name).is_dir()).unwrap();
                let own = pip.join(tool).join("bin/python");
                let install =
                    world.test.command(own).args(["-m", "pip", "--python"]).arg(&world.python);
                install.args(["install", "-q", "--no-index"]).arg(plain).run().success();
            }
        }
        assert_eq!(world.says("import tiny; print(tiny.PLAIN)"), "True");
        world.project.set_backend(&json!({"dependencies": ["dep"]}));
        world.wheels.add("dep", "1", &[]);
        program(&["develop"]).args(world.wheels.flags()).run().success();
        let gone = "import importlib.util as u, mine; print(mine.ANSWER, u.find_spec('tiny'))";
        assert_eq!(world.says(gone), "1 None");
        world.project.set_backend(&json!({"version": "2.0", "dependencies": ["dep"]}));
        program(&["develop"]).args(world.wheels.flags()).run().success();
        assert_eq!(world.says("import importlib.metadata as m; print(m.version('tiny'))"), "2.0");
    }
}

#[test]
fn gc_keeps_the_environment_as_long_as_the_install_exists() {
    let world = World::new();
    world.wheels.add("dep", "1", &[]);
    world.project.set_requires(&["dep"]);
    let report = world.develop(&[]).success().json();
    let env = Path::new(report["env"]["path"].as_str().unwrap())
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let reference = &world.references()[0];
    assert_eq!((&reference["schema"], &reference["target"]), (&json!(1), &json!(world.venv)));
    assert_eq!(
        (&reference["distribution"], &reference["project"]),
        (&json!("tiny"), &json!(world.project.path))
    );
    assert_eq!(
        (&reference["installs"][0]["environment"], reference["installs"].as_array().unwrap().len()),
        (&json!(env), 1)
    );

    let (removed, kept) = world.gc();
    assert_eq!((removed.len(), kept), (0, vec![env.clone()]));
    assert_eq!(world.project.envs(), std::slice::from_ref(&env));
    let run = world.program(&["gc", "--keep=0", "--used-within=0s"]).run().success();
    assert!(
        run.stderr.contains(&format!("(`tiny` in `{}` needs it)", world.venv.display())),
        "{}",
        run.stderr
    );

    // Another environment takes its place: the old one is nobody's.
    world.wheels.add("dep", "2", &[]);
    world.project.set_requires(&["dep==2"]);
    let other = world.develop(&[]).success().json();
    assert_ne!(other["env"]["path"], report["env"]["path"]);
    let (removed, kept) = world.gc();
    assert_eq!((removed, kept.len()), (vec![env], 1));

    // Somebody else installs the project.
    let dist_info = PathBuf::from(other["install"]["dist_info"].as_str().unwrap());
    std::fs::write(dist_info.join("RECORD"), "other.py,,\n").unwrap();
    let dry = world
        .program(&["--message-format=json", "gc", "--dry-run", "--keep=0", "--used-within=0s"])
        .run()
        .success()
        .json();
    assert!(
        dry["removed"][1]["reason"].as_str().unwrap().contains("`tiny` is no longer installed in"),
        "{dry}"
    );
    assert_eq!(world.references().len(), 1, "a dry run removes nothing");
    let (removed, kept) = world.gc();
    assert_eq!((removed.len(), kept.len()), (2, 0));
    assert_eq!((world.project.envs().len(), world.references().len()), (0, 0));
}

#[test]
fn gc_forgets_a_virtual_environment_that_is_gone() {
    let world = World::new();
    world.develop(&[]).success();
    std::fs::remove_dir_all(&world.venv).unwrap();
    let (removed, kept) = world.gc();
    assert_eq!((removed.len(), kept.len()), (2, 0));
    assert_eq!((world.project.envs().len(), world.references().len()), (0, 0));
}

#[test]
fn several_virtual_environments_have_one_reference_each() {
    let world = World::new();
    world.develop(&[]).success();
    world.test.venv("other");
    world.develop(&["--venv", "../other"]).success();
    assert_eq!(world.references().len(), 2);
    std::fs::remove_dir_all(&world.venv).unwrap();
    let (removed, kept) = world.gc();
    assert_eq!((removed.len(), kept.len()), (1, 1));
    assert_eq!(world.references().len(), 1);
}

#[test]
fn what_cannot_be_installed_leaves_things_as_they_were() {
    for installer in Installer::all() {
        let world = World::new();
        let develop = || {
            world
                .program(&["--message-format=json", "develop"])
                .installer(installer, &world.test)
                .args(world.wheels.flags())
        };
        world.project.set_backend(&json!({"dependencies": ["no-such-thing"]}));
        let run = develop().run().exits(4);
        assert_eq!(
            (&run.json()["ok"], &run.json()["error"]["kind"]),
            (&json!(false), &json!("InstallationFailed"))
        );
        assert!(
            run.stderr.contains("failed to install the project")
                && run.stderr.contains("no-such-thing"),
            "{}",
            run.stderr
        );
        assert_eq!(world.references().len(), 0);
        assert_eq!(world.says("import importlib.util as u; print(u.find_spec('mine'))"), "None");

        world.project.set_backend(&json!({}));
        develop().run().success();
        let before = world.references();
        world.project.set_backend(&json!({"version": "2.0", "dependencies": ["no-such-thing"]}));
        develop().run().exits(4);
        assert_eq!(world.references(), before);
        assert_eq!(
            world.says("import importlib.metadata as m, mine; print(m.version('tiny'))"),
            "1.0"
        );
        assert_eq!(world.gc().1.len(), 1);
    }
}

#[test]
fn a_build_that_fails_installs_nothing() {
    let world = World::new();
    world.project.set_backend(&json!({"without": ["build_editable"]}));
    let run = world.develop(&[]).exits(1);
    assert!(run.error().contains("does not support `build_editable`"), "{}", run.error());
    assert!(run.hint().contains("PEP 660"), "{}", run.hint());
    assert_eq!(world.references().len(), 0);
}

#[test]
fn the_virtual_environment_must_be_one() {
    let world = World::new();
    let record = world.test.path.join("calls");
    world.project.set_backend(&json!({"record": record}));
    let without = || world.program(&["develop"]).env_remove("VIRTUAL_ENV");
    let run = without().run().exits(2);
    assert_eq!(run.error(), "no virtual environment is active");
    assert!(run.hint().contains("python -m venv .venv"), "{}", run.hint());
    world
        .test
        .command(&python().path)
        .args(["-m", "venv", "--without-pip", ".venv"])
        .in_(&world.project)
        .run()
        .success();
    let run = without().run().exits(2);
    assert!(
        run.hint().contains(&format!("--venv {}", world.project.path.join(".venv").display())),
        "{}",
        run.hint()
    );
    without().args(["--venv", ".venv"]).run().success();

    std::fs::remove_file(&record).unwrap();
    let run = world.program(&["develop"]).env("VIRTUAL_ENV", "/no/such/venv").run().exits(2);
    assert_eq!(run.error(), "`/no/such/venv` (VIRTUAL_ENV) does not exist");
    assert!(run.hint().contains("--venv"), "{}", run.hint());
    let base = python().path.parent().unwrap().parent().unwrap();
    for named in [base, &python().path] {
        let run = without().arg("--venv").arg(named).run().exits(2);
        assert_eq!(
            run.error(),
            format!("`{}` (--venv) is not a virtual environment", named.display())
        );
        assert!(run.hint().contains("python -m venv"), "{}", run.hint());
    }
    // The build environment never changes.
    let run = world
        .program(&["run", "--", env!("CARGO_BIN_EXE_cargo-pyenv-build"), "develop"])
        .run()
        .exits(2);
    assert!(
        run.error().ends_with("(VIRTUAL_ENV) is a build environment, which must not be changed"),
        "{}",
        run.error()
    );
    assert!(!hooks_called(&record).contains(&"build_editable".to_owned()), "nothing was built");
    // The python of one stands for it.
    without().arg("--venv").arg(&world.python).run().success();
    assert_eq!(world.says("import mine; print(mine.ANSWER)"), "1");
}

#[test]
fn another_python_than_the_virtual_environments_is_a_mistake() {
    let world = World::new();
    world.develop(&["-p", &python().major_minor]).success();
    world.develop(&["-p", world.python.to_str().unwrap()]).success();
    world.program(&["develop"]).env("PYENV_BUILD_PYTHON", &python().path).run().success();
    let Some(other) = another_python() else {
        return not_tested("another Python", "pyenv has none");
    };
    let run = world.develop(&["-p", other.to_str().unwrap()]).exits(2);
    assert!(
        run.error().contains(&format!("`--python {}` is ", other.display())),
        "{}",
        run.error()
    );
    assert!(run.error().contains(&format!("`{}` has ", world.venv.display())), "{}", run.error());
    assert!(run.hint().contains("--venv"), "{}", run.hint());
}

/// A Python of another version than the tests', if pyenv has one.
fn another_python() -> Option<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")))?;
    let versions = root.join("versions");
    let mut names = list(&versions);
    names.retain(|name| {
        name.starts_with("3.") && !name.starts_with(&format!("{}.", python().major_minor))
    });
    names
        .into_iter()
        .map(|name| versions.join(name).join("bin/python3"))
        .find(|path| path.is_file())
}
