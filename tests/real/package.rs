//! The package for Python, made as the release makes it, installed where no other copy of the
//! program is of use: it finds its program, is it, and serves noxfiles with it, the guide's
//! included.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::examples::checkout;
use crate::machine::{
    Scratch, Venv, account, command, exe, in_bin, once, run, scratch_of_target, stdout, tools,
    write_tree,
};

const NOX: &str = "nox==2026.10.20";
/// Of two years ago.
const OLD_NOX: &str = "nox==2024.10.9";

fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The wheel, of the profile that these tests were compiled with.
fn wheel() -> &'static Path {
    static WHEEL: OnceLock<PathBuf> = OnceLock::new();
    WHEEL.get_or_init(|| {
        let workflow = fs::read_to_string(in_repository(".github/workflows/release.yml")).unwrap();
        let maturin =
            workflow.split_whitespace().find(|word| word.starts_with("maturin==")).unwrap();
        let directory = scratch_of_target().join("maturin");
        venv_with(&directory, &[maturin]);
        let profile = Path::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"))
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let (out, wheels) = (
            scratch_of_target().join("package-target"),
            scratch_of_target().join("package-wheels"),
        );
        let _ = fs::remove_dir_all(&wheels);
        let mut command = command(in_bin(&directory, "maturin"));
        command.args([
            "build",
            "--locked",
            "--compatibility",
            "linux",
            "--profile",
            if profile == "debug" { "dev" } else { profile },
        ]);
        // What `cargo test` has compiled is not compiled again, and the program that others are
        // testing is left alone.
        command
            .env("CARGO_BUILD_BUILD_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
            .env("CARGO_TARGET_DIR", out);
        run(command.arg("--out").arg(&wheels).current_dir(in_repository("")));
        let made: Vec<PathBuf> =
            fs::read_dir(&wheels).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(made.len(), 1, "{made:?}");
        made.into_iter().next().unwrap()
    })
}

/// An environment of the tests' interpreter that outlives them, with these packages.
fn venv_with(directory: &Path, packages: &[&str]) {
    once(
        directory,
        &format!("{} in {}", packages.join(" "), tools().interpreter.display()),
        || {
            run(command(&tools().uv)
                .args(["venv", "--quiet", "--clear", "--python"])
                .arg(&tools().interpreter)
                .arg(directory));
            run(command(&tools().uv)
                .args(["pip", "install", "--quiet", "--python"])
                .arg(directory)
                .args(packages));
        },
    );
}

/// [`venv_with`], and our package, as it is now.
fn venv_with_us(name: &str, packages: &[&str]) -> PathBuf {
    let directory = scratch_of_target().join(name);
    venv_with(&directory, packages);
    let mut install = command(&tools().uv);
    install
        .args(["pip", "install", "--quiet", "--reinstall", "--no-deps", "--python"])
        .arg(&directory)
        .arg(wheel());
    run(&mut install);
    directory
}

/// Puts a copy of the program on PATH that only says that it was run.
fn with_decoy(command: &mut Command, scratch: &Scratch) {
    let bin = scratch.path().join("decoy");
    write_tree(&bin, &[("cargo-pyenv-build", "#!/bin/sh\necho the decoy was run\nexit 99\n")]);
    run(Command::new("chmod").arg("755").arg(bin.join("cargo-pyenv-build")));
    let path = command
        .get_envs()
        .find_map(|(name, value)| if name == "PATH" { value } else { None })
        .unwrap()
        .to_owned();
    let path =
        std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).unwrap();
    command.env("PATH", path);
}

/// The interpreters to have sessions of: the tests' own and, if pyenv has one, another that PyO3
/// knows.
fn interpreters() -> Vec<PathBuf> {
    let own = tools().interpreter.clone();
    let code = "import sys, venv, ensurepip; assert sys.implementation.name == 'cpython' and sys.version_info >= (3, 9); \
                print(sys.version_info[1])";
    let minor = |path: &Path| {
        let output = command(path).args(["-c", code]).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap())
    };
    let of_own = minor(&own);
    let others = crate::interpreters::interpreters()
        .into_iter()
        .filter_map(|path| Some((minor(&path)?, path)));
    let other = others.filter(|(minor, _)| Some(*minor) != of_own).max().map(|(_, path)| path);
    std::iter::once(own).chain(other).collect()
}

/// How many builds a nox's output tells of; fails if one of them compiled anything.
#[track_caller]
fn warm_builds(output: &Output) -> usize {
    let said = String::from_utf8_lossy(&output.stderr);
    let finished: Vec<&str> = said
        .lines()
        .filter(|line| line.trim_start().starts_with("Finished ") && line.contains(".whl"))
        .collect();
    assert!(finished.iter().all(|line| line.contains("(0 crates compiled")), "{said}");
    finished.len()
}

/// The only code of the guide for nox in this language with this word in it.
fn of_guide(language: &str, word: &str) -> String {
    let guide = fs::read_to_string(in_repository("docs/guides/nox.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = guide.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let found: Vec<&str> = blocks.filter(|block| block.contains(word)).collect();
    assert_eq!(found.len(), 1, "blocks of {language} with {word}");
    found[0].to_owned()
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn the_program_is_found_however_the_package_was_installed() {
    let scratch = Scratch::new();
    let find = "import pyenv_build; print(pyenv_build.find_bin())";
    let found = |command: &mut Command| {
        PathBuf::from(stdout(command.args(["-c", find]).current_dir(scratch.path())).trim())
    };
    let venv = Venv::with(&tools().interpreter, wheel());
    let program = found(&mut venv.python());
    assert!(
        program.starts_with(
            fs::canonicalize(
                stdout(venv.python().args(["-c", "import sys; print(sys.prefix)"])).trim()
            )
            .unwrap()
        )
    );
    let mut version = venv.python();
    with_decoy(&mut version, &scratch);
    let said = stdout(version.args(["-m", "pyenv_build", "--version"]));
    assert_eq!(
        said,
        stdout(Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build")).arg("--version"))
    );
    // The exit code is the program's, too.
    let output = venv.python().args(["-m", "pyenv_build", "--no-such-option"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));

    // `--target`, `--prefix`, and the user's directory, which looks like a prefix.
    let (target, prefix) = (scratch.path().join("target"), scratch.path().join("prefix"));
    let python = &tools().interpreter;
    for (flag, directory) in [("--target", &target), ("--prefix", &prefix)] {
        let mut install = command(&tools().uv);
        install
            .args(["pip", "install", "--quiet", "--break-system-packages", "--python"])
            .arg(python)
            .arg(flag)
            .arg(directory);
        run(install.arg(wheel()));
    }
    assert_eq!(
        found(command(python).env("PYTHONPATH", &target)),
        target.join("bin").join(exe("cargo-pyenv-build"))
    );
    let site = walkdir::WalkDir::new(&prefix)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .find(|path| path.ends_with("pyenv_build"));
    let site = site.unwrap().parent().unwrap().to_path_buf();
    assert_eq!(
        found(command(python).env("PYTHONPATH", &site)),
        prefix.join("bin").join(exe("cargo-pyenv-build"))
    );
    assert_eq!(
        found(command(python).env("PYTHONUSERBASE", &prefix)),
        prefix.join("bin").join(exe("cargo-pyenv-build"))
    );

    // Nowhere: the message names where it looked.
    let lone = scratch.path().join("lone/lib");
    fs::create_dir_all(&lone).unwrap();
    run(Command::new("cp").arg("-r").arg(in_repository("python/pyenv_build")).arg(&lone));
    let mut nowhere = command(python);
    nowhere
        .args(["-m", "pyenv_build", "--version"])
        .env("PYTHONPATH", &lone)
        .env("PYTHONUSERBASE", scratch.path().join("nobody"));
    let output = nowhere.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(2), 0),
        "{}",
        account(&nowhere, &output)
    );
    assert!(
        said.starts_with("error: `cargo-pyenv-build` was not found in any of these directories:"),
        "{said}"
    );
    assert!(
        said.contains(&lone.join("bin").display().to_string())
            && said.contains("\nhint: reinstall"),
        "{said}"
    );
}

#[test]
#[ignore = "takes more than a minute; the workflow runs it"]
fn sessions_of_one_interpreter_share_what_was_compiled() {
    let scratch = Scratch::new();
    let project = checkout(&scratch, "maturin-abi3");
    let interpreters = interpreters();
    let quoted: Vec<String> =
        interpreters.iter().map(|path| format!("{:?}", path.display().to_string())).collect();
    let versions = "[\"3.12\", \"3.13\"]";
    let noxfile = of_guide("python", "pyenv_build.nox");
    assert!(noxfile.contains(versions), "{noxfile}");
    let more = format!("PYTHONS = [{}]\n{}", quoted.join(", "), include_str!("noxfile_more.py"));
    let noxfile = noxfile.replace(versions, &format!("[{}]", quoted.join(", ")));
    write_tree(&project, &[("noxfile.py", &noxfile), ("more.py", &more)]);

    // `python -m pyenv_build build`, with what it brings along.
    let new = venv_with_us("nox", &[NOX, "virtualenv==21.15.8"]);
    let mut build = command(in_bin(&new, "python"));
    with_decoy(&mut build, &scratch);
    build
        .args(["-m", "pyenv_build", "build", "--message-format", "json", "--python"])
        .arg(&interpreters[0]);
    let report: Value = serde_json::from_slice(&run(build.current_dir(&project)).stdout).unwrap();
    assert!(
        report["ok"] == true
            && Path::new(report["artifacts"][0]["path"].as_str().unwrap()).is_file(),
        "{report}"
    );
    // The abi3 wheel of one is not the build of the other: PyO3 is compiled once for each.
    if let Some(other) = interpreters.get(1) {
        run(command(in_bin(&new, "python"))
            .args(["-m", "pyenv_build", "build", "--python"])
            .arg(other)
            .current_dir(&project));
    }

    let nox = |venv: &Path, arguments: &[&str]| {
        let mut command = command(in_bin(venv, "nox"));
        with_decoy(&mut command, &scratch);
        command.args(["--error-on-missing-interpreters"]).args(arguments).current_dir(&project);
        command
    };
    // Each session has a new environment each time, made by another program each time.
    let both = 2 * interpreters.len();
    let fresh = run(&mut nox(&new, &["-db", "uv", "-s", "tests", "docs", "rust"]));
    assert_eq!(warm_builds(&fresh), both);
    assert_eq!(
        warm_builds(&run(&mut nox(&new, &["-db", "virtualenv", "-s", "tests", "docs"]))),
        both
    );
    let old = venv_with_us("nox-old", &[OLD_NOX, "virtualenv==20.26.6", "setuptools<81"]);
    assert_eq!(
        warm_builds(&run(&mut nox(&old, &["-db", "venv", "-s", "tests"]))),
        interpreters.len()
    );

    // Nothing of the session gets to cargo, whichever nox; what the noxfile says does.
    for (venv, backend) in [(&new, "virtualenv"), (&old, "virtualenv")] {
        let said = stdout(&mut nox(venv, &["-f", "more.py", "-db", backend, "-s", "looks"]));
        assert!(said.contains("cargo sees nothing of the session"), "{said}");
    }
    // In an environment that is reused: what is the same stays, what has changed is installed anew,
    // whatever its version.
    let reused = |venv: &Path, backend: &str, more: &[&str]| {
        run(nox(venv, &["-f", "more.py", "-db", backend, "-s", "says"]).args(more))
    };
    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    for (index, backend) in ["uv", "virtualenv"].into_iter().enumerate() {
        let first = reused(&new, backend, &[]);
        assert!(!String::from_utf8_lossy(&first.stderr).contains("--force-reinstall"));
        let changed = format!("of change {index}");
        if backend == "uv" {
            let same = reused(&new, backend, &["-r"]);
            assert!(
                warm_builds(&same) == 1
                    && !String::from_utf8_lossy(&same.stderr).contains("--force-reinstall"),
                "{same:?}"
            );
        }
        fs::write(&source, text.replacen("to a mistyped word", &changed, 1)).unwrap();
        if backend == "uv" {
            let not_yet = String::from_utf8(reused(&new, backend, &["-R"]).stdout).unwrap();
            assert!(not_yet.contains("it says ") && !not_yet.contains(&changed), "{not_yet}");
        }
        let now = reused(&new, backend, &["-r"]);
        assert!(String::from_utf8_lossy(&now.stdout).contains(&changed), "{now:?}");
        assert!(String::from_utf8_lossy(&now.stderr).contains("--force-reinstall"), "{now:?}");
    }

    // A failure is the session's, in our words.
    fs::write(&source, format!("{text}\nthis is no Rust\n")).unwrap();
    for venv in [&new, &old] {
        let mut failing = nox(venv, &["-f", "more.py", "-db", "virtualenv", "-r", "-s", "says"]);
        let output = failing.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("cargo pyenv-build: `maturin`"),
            "{}",
            account(&failing, &output)
        );
        assert!(!said.contains("pyenv_build/nox.py"), "no trace of ours: {said}");
    }
    fs::write(&source, &text).unwrap();
    // The program of PATH where the package has none; and neither.
    let program = in_bin(&new, "cargo-pyenv-build");
    fs::remove_file(&program).unwrap();
    let mut decoy = nox(&new, &["-f", "more.py", "-db", "uv", "-r", "-s", "says"]);
    let output = decoy.output().unwrap();
    assert!(!output.status.success(), "{}", account(&decoy, &output));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cargo pyenv-build failed"),
        "{}",
        account(&decoy, &output)
    );
    let mut neither = command(in_bin(&new, "nox"));
    neither.args(["-f", "more.py", "-db", "uv", "-r", "-s", "says"]).current_dir(&project);
    // Whoever runs this may have installed it.
    let path = neither
        .get_envs()
        .find_map(|(name, value)| if name == "PATH" { value } else { None })
        .unwrap()
        .to_owned();
    let without = std::env::split_paths(&path)
        .filter(|directory| !directory.join(exe("cargo-pyenv-build")).exists());
    let output = neither.env("PATH", std::env::join_paths(without).unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("and it is not on PATH"), "{said}");
}
