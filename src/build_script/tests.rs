use super::*;
use std::collections::BTreeMap;

/// Directories with pythons that are not run.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A build environment's python.
    fn ours(&self) -> String {
        self.file("r/CACHEDIR.TAG", "# This directory was made by cargo-pyenv-build.\n");
        self.file("r/envs/cp312-0123.json", "{}");
        self.file("r/envs/cp312-0123/bin/python", "")
    }
}

fn found(variables: &[(&str, &str)]) -> (Result<Python, Error>, Vec<String>) {
    let map: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let mut lines = Vec::new();
    let python = find(&|name| map.get(name).map(OsString::from), &mut lines);
    let names = lines
        .iter()
        .map(|line| line.strip_prefix("cargo::rerun-if-env-changed=").unwrap().to_owned());
    (python, names.collect())
}

#[test]
fn only_the_variables_that_decided_are_watched() {
    let world = World::new();
    let (python, venv) = (world.ours(), world.file("v/bin/python", ""));
    let venv_directory =
        Path::new(&venv).parent().unwrap().parent().unwrap().to_str().unwrap().to_owned();
    let bin = Path::new(&venv).parent().unwrap().to_str().unwrap().to_owned();
    let all = [
        ("PYO3_PYTHON", &*python),
        ("PYTHON_SYS_EXECUTABLE", &*venv),
        ("VIRTUAL_ENV", &*venv_directory),
        ("PATH", &*bin),
    ];
    let order = ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "VIRTUAL_ENV", "PATH"];
    for (first, expected) in [&python, &venv, &venv, &venv].iter().enumerate() {
        let (found, watched) = found(&all[first..]);
        let found = found.unwrap();
        assert_eq!(
            (found.executable.to_str(), &watched[..]),
            (Some(expected.as_str()), &order.map(str::to_owned)[..=first])
        );
        assert_eq!((found.found_by.as_str(), found.is_ours), (order[first], first == 0));
    }
    let (found, watched) = found(&[("PYO3_PYTHON", "python"), ("PATH", &bin)]);
    assert_eq!(
        (found.unwrap().executable.to_str(), watched),
        (Some(venv.as_str()), vec!["PYO3_PYTHON".to_owned(), "PATH".to_owned()])
    );
}

#[test]
fn a_marker_and_our_tag_make_a_build_environment() {
    let world = World::new();
    let python = world.ours();
    assert!(is_build_environment(Path::new(&python)));
    for (file, text) in [("r/CACHEDIR.TAG", "somebody else's"), ("r/envs/cp312-0123.json", "")] {
        let path = world.file(file, text);
        if text.is_empty() {
            std::fs::remove_file(path).unwrap();
        }
        assert!(!is_build_environment(Path::new(&python)), "{file}");
        world.ours();
    }
    assert!(
        !is_build_environment(Path::new("/usr/bin/python3"))
            && !is_build_environment(Path::new("python3"))
    );
}

#[test]
fn errors_say_where_and_what_to_do() {
    let text = |variables: &[(&str, &str)]| found(variables).0.unwrap_err().to_string();
    let gone = text(&[("PYO3_PYTHON", "/no/such/python")]);
    assert!(gone.starts_with("there is no python at PYO3_PYTHON=/no/such/python\nhint: build with `cargo pyenv-build`"), "{gone}");
    assert!(text(&[("VIRTUAL_ENV", "/no/venv")]).contains("at VIRTUAL_ENV=/no/venv\n"));
    assert!(text(&[("PATH", "/no/bin")]).contains("at PATH, as neither"));

    let world = World::new();
    let python = Python::at(world.ours().into(), "PYO3_PYTHON".into());
    let failed = |python: &Python, stderr: &str| {
        Error::Failed {
            python: python.clone(),
            status: "exit status: 1".into(),
            stderr: stderr.into(),
        }
        .to_string()
    };
    let missing = "Traceback\nModuleNotFoundError: No module named 'cffi.api'";
    let error = failed(&python, missing);
    assert!(error.contains("\n  Traceback\n  ModuleNotFoundError"), "{error}");
    assert!(
        error.ends_with(
            "hint: add the package that provides `cffi.api` to `[build-system] requires` in \
                    pyproject.toml"
        ),
        "{error}"
    );
    assert!(
        failed(&python, "ValueError")
            .contains("can import the packages in `[build-system] requires` only")
    );
    let other = Python { is_ours: false, ..python };
    assert!(failed(&other, missing).contains("install it for the python in PYO3_PYTHON"));
    assert_eq!(
        format!("{:?}", Error::NotText { python: other.clone() }),
        Error::NotText { python: other }.to_string()
    );
}

/// The python of this machine.
fn real() -> Python {
    let variable = |name: &str| if name == "PATH" { std::env::var_os(name) } else { None };
    find(&variable, &mut Vec::new()).unwrap()
}

#[test]
fn code_runs_apart_from_the_directory_and_its_output_is_text() {
    let python = real();
    assert_eq!(
        python.run("import sys; print(sys.argv[1:], 'é')", ["a b", "'\n"]).unwrap(),
        r#"['a b', "'\n"] é"#
    );
    assert_eq!(python.run("print('x\\n')", [""; 0]).unwrap(), "x");
    assert_eq!(
        python.run("import sys; print('' in sys.path, sys.dont_write_bytecode)", [""; 0]).unwrap(),
        "False True"
    );
    let error = python.run("import no_such_module", [""; 0]).unwrap_err().to_string();
    assert!(
        error.contains("No module named 'no_such_module'")
            && error.contains("`[build-system] requires`"),
        "{error}"
    );
    assert!(matches!(
        python.run("import sys; sys.stdout.buffer.write(b'\\xff')", [""; 0]),
        Err(Error::NotText { .. })
    ));
}

#[test]
fn of_other_pythons_the_installed_distributions_are_watched() {
    let python = real();
    let watched = python.watched().unwrap();
    assert_eq!(watched[0], python.executable);
    // The standard library's own pip is there at least where somebody has installed it.
    let listed = python
        .run("import importlib.metadata as m; print(len([d for d in m.distributions()]))", [""; 0])
        .unwrap();
    let metadata = watched.iter().filter(|path| {
        path.components().any(|part| part.as_os_str().to_string_lossy().ends_with("-info"))
    });
    assert_eq!(metadata.count().to_string(), listed);
}
