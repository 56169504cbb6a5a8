//! The repository's own examples: each is built, installed and tested, and stays warm.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Scratch, Venv, clone_again, command, commit, run, tools};
use crate::ours::{Ours, Report};
use crate::skip::not_tested;

/// A copy of an example, without what builds have left there, under version control.
pub(crate) fn checkout(scratch: &Scratch, name: &str) -> PathBuf {
    let to = copy(scratch, name);
    commit(&to);
    to
}

/// A copy of an example, without what builds have left there.
fn copy(scratch: &Scratch, name: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let to = scratch.path().join(name);
    let left_by_builds = ["target", "build", "dist", ".pyenv-build", "__pycache__"];
    let entries = walkdir::WalkDir::new(&from).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !left_by_builds.contains(&name.as_ref()) && !name.ends_with(".egg-info")
    });
    for entry in entries {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(&from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    to
}

/// Builds it, runs its tests on the installed wheel, builds it again and compiles nothing. Returns
/// the first report.
fn works(ours: &Ours) -> Report {
    let first = ours.build();
    let venv = Venv::with(&tools().interpreter, &first.wheel());
    let tests = ours.directory().join("tests");
    let output = run(venv
        .python()
        .args(["-m", "unittest", "discover", "-s"])
        .arg(&tests)
        .current_dir(tests.parent().unwrap().parent().unwrap()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("\nOK") && !said.contains("Ran 0 tests"), "{said}");
    let second = ours.build();
    second.assert_compiled_nothing("the second build");
    assert_eq!((second.outcome(), second.env()), ("reused", first.env()));
    if ours.directory().join(".git").exists() {
        clone_again(ours.directory());
        ours.build().assert_compiled_nothing("in a fresh checkout");
    }
    first
}

#[test]
#[ignore = "takes a minute; the workflow runs it"]
fn maturin_abi3() {
    let scratch = Scratch::new();
    let ours = Ours::new(&checkout(&scratch, "maturin-abi3"));
    let first = works(&ours);
    assert!(
        first.compiled().contains(&"pyo3") && first.compiled().contains(&"nearword"),
        "{:?}",
        first.compiled()
    );
    // A plain cargo links with libpython where it is told nothing else, so its PyO3 is another one.
    // It is compiled once.
    for turn in ["first", "second"] {
        let by_hand = ours.run(&["cargo", "build", "--release"]);
        assert!(turn == "first" || by_hand.is_empty(), "{turn} turn: {by_hand:?}");
        ours.build().assert_compiled_nothing(&format!("the {turn} turn"));
    }
    // What a job does after the wheel: nothing is compiled for the second time, whoever compiles.
    let steps: [&[&str]; 2] = [&["cargo", "test", "--no-run"], &["cargo", "clippy"]];
    for step in steps {
        assert!(ours.run(step).contains(&"pyo3".to_owned()) || step[1] == "clippy");
    }
    ours.build().assert_compiled_nothing("after cargo test and clippy");
    for step in steps {
        assert_eq!(ours.run(step), [""; 0], "{step:?}");
    }
    edits_compile_what_they_must(&ours);
    tests_that_start_a_python_are_linked(&ours);
}

/// Tests with an interpreter inside need another PyO3 than the wheel, and neither is compiled for
/// the other.
fn tests_that_start_a_python_are_linked(ours: &Ours) {
    let code = "import os, sysconfig as s; print(os.path.exists(os.path.join(s.get_config_var('LIBDIR'), s.get_config_var('LDLIBRARY'))))";
    let output = run(std::process::Command::new(&tools().interpreter).args(["-c", code]));
    if String::from_utf8_lossy(&output.stdout).trim() != "True" {
        return not_tested("tests that start a Python", "this one has no libpython");
    }
    let add = |name: &str, text: &str| {
        let file = ours.directory().join(name);
        fs::write(&file, fs::read_to_string(&file).unwrap() + text).unwrap();
    };
    add(
        "Cargo.toml",
        "\n[dev-dependencies]\npyo3 = { version = \"0.30.1\", features = [\"auto-initialize\"] }\n",
    );
    let test = "use pyo3::prelude::*;\n        Python::attach(|py| assert_eq!(py.eval(c\"1 + 1\", None, None).unwrap().extract::<i32>().unwrap(), 2));";
    add(
        "src/lib.rs",
        &format!(
            "\n#[cfg(test)]\nmod embedded {{\n    #[test]\n    fn python_adds() {{\n        {test}\n    }}\n}}\n"
        ),
    );
    assert_eq!(ours.build().compiled(), ["nearword"]);
    let test = ["cargo", "test", "--release"];
    assert!(ours.run(&test).contains(&"pyo3".to_owned()));
    ours.build().assert_compiled_nothing("after tests that were linked");
    assert_eq!(ours.run(&test), [""; 0]);
}

/// What was not asked to stay warm does not.
fn edits_compile_what_they_must(ours: &Ours) {
    clone_again(ours.directory());
    let source = ours.directory().join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, format!("{text}\n// Changed.\n")).unwrap();
    let changed = ours.build();
    assert_eq!(changed.compiled(), ["nearword"]);
    let only = &changed.json["crates"]["compiled"][0];
    assert_eq!(
        (only["reason"].as_str(), only["detail"].as_str()),
        (Some("input-changed"), Some("src/lib.rs")),
        "{only}"
    );
    ours.build().assert_compiled_nothing("after the change");
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn maturin_workspace() {
    let scratch = Scratch::new();
    let workspace = checkout(&scratch, "maturin-workspace");
    let ours = Ours::new(&workspace.join("python")).root(&workspace.join(".pyenv-build"));
    works(&ours);
    clone_again(&workspace);
    ours.build().assert_compiled_nothing("in a fresh checkout");
    // Python of a mixed project: nothing to compile, and in the wheel.
    let module = ours.directory().join("src/minor_units/__init__.py");
    let text = fs::read_to_string(&module).unwrap();
    fs::write(&module, format!("{text}\nNEWER = 1\n")).unwrap();
    let python = ours.build();
    python.assert_compiled_nothing("after a change of Python");
    Venv::with(&tools().interpreter, &python.wheel())
        .check("import minor_units; assert minor_units.NEWER == 1");
    // A leaf: it and what depends on it, and the file is named.
    let leaf = workspace.join("crates/currency-table/data/currencies.csv");
    let text = fs::read_to_string(&leaf).unwrap();
    fs::write(&leaf, format!("{}\n", text.trim_end())).unwrap();
    fs::write(&leaf, text.replace("EUR", "EUX")).unwrap();
    let changed = ours.build();
    let names: Vec<&str> = changed.compiled();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"currency-table") && names.contains(&"minor-units"), "{names:?}");
    let crates = &changed.json["crates"];
    assert_eq!(
        (&crates["compiled"][0]["reason"], &crates["compiled"][0]["detail"]),
        (&"script-output-changed".into(), &"currencies.rs".into())
    );
    let script = &crates["build_scripts"][0];
    assert!(
        script["detail"].as_str().is_some_and(|detail| detail.ends_with("data/currencies.csv")),
        "{crates}"
    );
    assert_eq!(script["output_changed"], true);
    develop(&ours);
    // Where it goes when nobody says.
    let mut command = command(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
    let said = crate::machine::stdout(
        command
            .args(["provision", "--python"])
            .arg(&tools().interpreter)
            .current_dir(ours.directory()),
    );
    assert!(Path::new(said.trim()).starts_with(workspace.join(".pyenv-build/envs")), "{said}");
}

/// An editable install: Python counts at once, Rust after `develop` has been run again, and `gc`
/// takes nothing away.
fn develop(ours: &Ours) {
    let venv = Venv::new(&tools().interpreter);
    let first = ours.develop(&venv);
    first.assert_compiled_nothing("what the wheel was made of");
    venv.check("import minor_units as m; assert m.parse('1.00', 'EUX') == 100");

    let module = ours.directory().join("src/minor_units/__init__.py");
    let text = fs::read_to_string(&module).unwrap();
    fs::write(&module, format!("{text}\nNEWEST = 2\n")).unwrap();
    venv.check("import minor_units; assert minor_units.NEWEST == 2");

    let source = ours.directory().join("rust/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let parse = "minor_units::parse(text, currency)";
    assert!(text.contains(parse));
    fs::write(&source, text.replace(parse, &format!("{parse}.map(|minor| minor + 5)"))).unwrap();
    let second = ours.develop(&venv);
    assert_eq!(second.compiled(), ["minor-units-python"]);
    assert_eq!(second.env(), first.env());
    venv.check("import minor_units as m; assert m.parse('1.00', 'EUX') == 105");
    let strict = ours.clone().argument("--deny-rebuild").argument("all");
    strict.develop(&venv).assert_compiled_nothing("for the third time");

    assert_eq!(ours.gc(), [first.env()]);
    venv.check("import minor_units as m; assert m.parse('1.00', 'EUX') == 105");
    run(command(&tools().uv)
        .args(["pip", "uninstall", "--quiet", "minor-units-example", "--python"])
        .arg(venv.path()));
    assert_eq!(ours.gc(), [""; 0].map(PathBuf::from));
    assert!(!first.env().exists());
}

#[test]
#[ignore = "takes a minute; the workflow runs it"]
fn setuptools_rust() {
    let scratch = Scratch::new();
    let ours = Ours::new(&checkout(&scratch, "setuptools-rust"));
    let first = works(&ours);
    // The feature is setuptools-rust's doing. Without it PyO3 is another unit, and no variable
    // mends that.
    let by_hand = [
        "cargo",
        "build",
        "--release",
        "--manifest-path",
        "rust/Cargo.toml",
        "--features",
        "pyo3/extension-module",
    ];
    assert_eq!(ours.run(&by_hand), [""; 0]);
    ours.build().assert_compiled_nothing("after cargo by hand");
    // So does what is written for editors. It stays there, as it does with people, and never wins
    // over a hook's word.
    let config = crate::machine::stdout(ours.command("env").args(["--format", "cargo"]));
    assert!(config.contains("value = \".pyenv-build/envs/"), "{config}");
    crate::machine::write_tree(ours.directory(), &[(".cargo/config.toml", &config)]);
    let plain = run(command("cargo").args(&by_hand[1..]).current_dir(ours.directory()));
    let said = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(said.contains("Finished") && !said.contains("Compiling"), "{said}");

    // A wheel for one Python only looks at the environment's python: for another environment cargo
    // wants PyO3 compiled. What comes of its build script is the same, so it is reused.
    let requirement = Requirement::new(&ours, "setuptools-rust>=1.12,<2");
    requirement.set("setuptools-rust==1.12.0");
    let other = ours.build();
    assert_ne!((other.env(), other.fingerprint()), (first.env(), first.fingerprint()));
    assert!(other.reused().contains(&"pyo3"), "{:?}", other.reused());
    other.assert_compiled_nothing("for the other version");
    ours.build().assert_compiled_nothing("the other version twice");
    requirement.set("setuptools-rust>=1.12,<2");
    let back = ours.build();
    assert_eq!(
        (back.outcome(), back.env(), back.fingerprint()),
        ("reused", first.env(), first.fingerprint())
    );
    back.assert_compiled_nothing("back at the first version");
}

/// A build requirement in a `pyproject.toml`, to be replaced.
struct Requirement {
    path: PathBuf,
    text: String,
    was: &'static str,
}

impl Requirement {
    fn new(ours: &Ours, was: &'static str) -> Self {
        let path = ours.directory().join("pyproject.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(was).count(), 1, "{text}");
        Self { path, text, was }
    }

    fn set(&self, requirement: &str) {
        fs::write(&self.path, self.text.replace(self.was, requirement)).unwrap();
    }
}

/// A build script runs again when the environment has something else in it, and nothing else is
/// compiled.
#[test]
fn cffi_build_script() {
    let scratch = Scratch::new();
    let directory = copy(&scratch, "cffi-build-script");
    let manifest = directory.join("rust/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let path = r#"path = "../../..""#;
    assert!(text.contains(path));
    fs::write(&manifest, text.replace(path, concat!("path = '", env!("CARGO_MANIFEST_DIR"), "'")))
        .unwrap();
    commit(&directory);
    let ours = Ours::new(&directory);
    let requirement = Requirement::new(&ours, r#""cffi>=1.17,<3""#);
    let ran = |report: &Report| {
        let scripts =
            report.json["crates"]["build_scripts"].as_array().cloned().unwrap_or_default();
        let field = |script: &serde_json::Value, name: &str| {
            script[name].as_str().unwrap_or_default().to_owned()
        };
        scripts
            .iter()
            .map(|script| ["name", "reason", "detail"].map(|name| field(script, name)).join(" "))
            .collect::<Vec<_>>()
    };
    let only = ["bessel-native env-var-changed PYO3_PYTHON"];

    let first = works(&ours);
    assert!(
        ran(&first).iter().any(|script| script.starts_with("libm ")),
        "another has a build script, too: {:?}",
        ran(&first)
    );
    let by_hand = ["cargo", "build", "--release", "--manifest-path", "rust/Cargo.toml"];
    assert_eq!(ours.run(&by_hand), [""; 0]);

    let module = ours.directory().join("src/bessel/__init__.py");
    let python = fs::read_to_string(&module).unwrap();
    fs::write(&module, format!("{python}\nNEWER = 1\n")).unwrap();
    let newer = ours.build();
    newer.assert_compiled_nothing("after a change of Python");
    assert_eq!(ran(&newer), [""; 0]);

    requirement.set(r#""cffi==1.17.1""#);
    let other = ours.build();
    assert_ne!(other.env(), first.env());
    // What it has made may be the same.
    assert!(other.compiled().iter().all(|name| *name == "bessel-native"), "{:?}", other.compiled());
    assert_eq!(ran(&other), only);
    assert_eq!(ours.run(&by_hand), [""; 0]);
    requirement.set(r#""cffi>=1.17,<3""#);
    let back = ours.build();
    assert_eq!(back.env(), first.env());
    back.assert_compiled_nothing("back at the first version");
    assert_eq!(ran(&back), only);

    // The same cffi in another environment: nobody knows what the script has looked at.
    requirement.set(r#""cffi>=1.17,<3", "iniconfig==2.0.0""#);
    let more = ours.build();
    assert_eq!(ran(&more), only);
    more.assert_compiled_nothing("since it has made the same");
    // The same environment made anew.
    fs::remove_dir_all(ours.root_path().join("envs")).unwrap();
    let again = ours.build();
    assert_eq!((again.outcome(), again.env()), ("created", more.env()));
    again.assert_compiled_nothing("in the environment made anew");

    requirement.set(r#""iniconfig==2.0.0""#);
    let output = ours.command("build").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No module named 'cffi'"), "{said}");
    assert!(
        said.contains("hint: add the package that provides `cffi` to `[build-system] requires` in pyproject.toml"),
        "{said}"
    );
}

/// `CMake`'s build directory holds absolute paths into the environment: they are good for the next
/// one, too.
#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn scikit_build_core() {
    let scratch = Scratch::new();
    let ours = Ours::new(&checkout(&scratch, "scikit-build-core"));
    let first = works(&ours);
    let idle = "ninja: no work to do";
    assert!(!first.stderr.contains(idle), "{}", first.stderr);
    assert!(ours.build().stderr.contains(idle));

    let environments = ours.root_path().join("envs");
    fs::remove_dir_all(&environments).unwrap();
    let again = ours.build();
    assert_eq!((again.outcome(), again.env()), ("created", first.env()));
    assert!(again.stderr.contains(idle), "{}", again.stderr);

    fs::remove_dir_all(&environments).unwrap();
    let by_pip = ours.clone().installer("pip").build();
    assert_eq!(
        (by_pip.outcome(), by_pip.installer(), by_pip.env()),
        ("created", "pip", first.env())
    );
    assert!(by_pip.stderr.contains(idle), "{}", by_pip.stderr);
}

/// Another version of a build requirement is another environment, and the first one comes back as
/// it was.
///
/// A stable-ABI build with a maturin and a `PyO3` of today does not look at the python at all, but
/// at maturin's configuration file, so not even a build with the other version compiles anything.
#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn another_version_of_a_build_requirement_and_back() {
    let scratch = Scratch::new();
    let ours = Ours::new(&checkout(&scratch, "maturin-abi3"));
    let requirement = Requirement::new(&ours, "maturin>=1.16,<2");
    requirement.set("maturin==1.15.0");
    let one = ours.build();
    assert!(one.compiled().contains(&"pyo3"), "{:?}", one.compiled());

    requirement.set("maturin==1.16.0");
    let other = ours.provision();
    assert_eq!(other.outcome(), "created");
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_ne!(one.env(), other.env());

    requirement.set("maturin==1.15.0");
    let back = ours.build();
    assert_eq!(
        (back.outcome(), back.env(), back.fingerprint()),
        ("reused", one.env(), one.fingerprint())
    );
    back.assert_compiled_nothing("back at the first version");

    requirement.set("maturin==1.16.0");
    let with_other = ours.build();
    assert_eq!((with_other.outcome(), with_other.env()), ("reused", other.env()));
    with_other.assert_compiled_nothing("with the other version");
}
