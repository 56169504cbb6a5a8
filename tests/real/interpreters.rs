//! Every interpreter that pyenv has here, and `PyPy`: uv and pip make the same environment and the
//! same wheel.

use std::path::{Path, PathBuf};

use crate::machine::{Scratch, Venv, command, exe, stdout, write_tree};
use crate::ours::Ours;
use crate::wheels;

/// The interpreters found, oldest first by name.
pub(crate) fn interpreters() -> Vec<PathBuf> {
    let versions = std::env::var_os("PYENV_ROOT").map(|root| Path::new(&root).join("versions"));
    let entries =
        versions.and_then(|versions| std::fs::read_dir(versions).ok()).into_iter().flatten();
    let pyenv = entries.map(|entry| entry.unwrap().path().join("bin").join(exe("python")));
    let on_path = ["python3", "pypy3"].into_iter().filter_map(|name| which::which(name).ok());
    let mut found: Vec<PathBuf> = pyenv.chain(on_path).filter_map(|path| real(&path)).collect();
    found.sort();
    found.dedup();
    found
}

/// The executable itself, if it runs, is not too old and can make virtual environments.
fn real(path: &Path) -> Option<PathBuf> {
    let code = "import os, sys, venv, ensurepip; assert sys.version_info >= (3, 8); print(os.path.realpath(sys.executable))";
    let output = command(path).args(["-c", code]).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
}

#[test]
#[ignore = "takes more than a minute; the workflow runs it"]
fn every_interpreter_gets_the_same_environment_from_uv_and_from_pip() {
    let interpreters = interpreters();
    assert!(!interpreters.is_empty());
    for interpreter in interpreters {
        let scratch = Scratch::new();
        let directory = scratch.path();
        write_tree(
            &directory,
            &[
                (
                    "pyproject.toml",
                    "[build-system]\nrequires = ['setuptools>=61', 'packaging']\nbuild-backend = 'setuptools.build_meta'\n\
                     [project]\nname = 'real-everywhere'\nversion = '1'\n[tool.setuptools]\npy-modules = ['everywhere']\n",
                ),
                ("everywhere.py", "import sys\nversion = sys.version_info[:2]\n"),
            ],
        );
        let out = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let by = |name: &str| {
            let ours = Ours::new(&directory)
                .interpreter(&interpreter)
                .root(&directory.join(".pyenv-build").join(name))
                .installer(name);
            let made = ours.provision();
            let report = ours.argument("--out-dir").argument(&out(name)).build();
            assert_eq!(
                (made.outcome(), report.outcome(), report.installer()),
                ("created", "reused", name),
                "{}",
                interpreter.display()
            );
            assert_eq!((made.env(), made.fingerprint()), (report.env(), report.fingerprint()));
            report
        };
        std::fs::create_dir(directory.join(".pyenv-build")).unwrap();
        let (uv, pip) = (by("uv"), by("pip"));
        assert_eq!(uv.fingerprint(), pip.fingerprint(), "{}", interpreter.display());
        assert_eq!(uv.env().file_name(), pip.env().file_name());
        assert_eq!(installed(&uv.env()), installed(&pip.env()), "{}", interpreter.display());
        wheels::assert_same(&uv.wheel(), &pip.wheel());
        let venv = Venv::with(&interpreter, &uv.wheel());
        venv.check("import everywhere, sys; assert everywhere.version == sys.version_info[:2]");
        // A virtual environment stands for the interpreter below it, even with another one's
        // `python3` beside that.
        let root = directory.join(".pyenv-build").join("uv");
        let again =
            Ours::new(&directory).interpreter(&venv.path()).root(&root).installer("uv").provision();
        assert_eq!(
            (again.outcome(), again.env()),
            ("reused", uv.env()),
            "{}",
            interpreter.display()
        );
    }
}

/// What an environment's own python finds there.
fn installed(environment: &Path) -> Vec<String> {
    let code = "import importlib.metadata as m\nfor d in m.distributions(): print(d.metadata['Name'].lower(), d.version)";
    let answer = stdout(
        command(crate::machine::in_bin(environment, "python")).args(["-I", "-B", "-c", code]),
    );
    let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
