//! The library for build scripts, as a dependency.

use std::path::Path;
use std::process::Command;

/// `tests/real` builds an example with it.
#[test]
fn it_brings_no_other_crate() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = |features: &str| {
        let mut command = Command::new(&cargo);
        command.args([
            "tree",
            "--locked",
            "--offline",
            "--edges=normal,build",
            "--prefix=none",
            "--no-default-features",
            "--features",
            features,
        ]);
        let output = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let alone = tree("build-script");
    assert!(
        alone.starts_with("cargo-pyenv-build v") && alone.trim_end().lines().count() == 1,
        "{alone}"
    );
    let program = tree("cli");
    assert!(program.contains("\nclap v") && !program.contains("octocrab"), "{program}");
}

/// With a python that is no build environment; those are in `tests/real`.
#[test]
#[cfg(unix)] // where an environment's distributions are in `lib/python3.x`
fn cargo_runs_the_script_again_when_other_versions_are_installed() {
    use crate::context::{Test, python};

    let test = Test::pristine();
    test.venv("venv");
    let library = test
        .path
        .join("venv/lib")
        .join(format!("python{}", python().major_minor))
        .join("site-packages");
    let install = |version: &str| {
        let dist_info = library.join(format!("dep-{version}.dist-info"));
        std::fs::create_dir(&dist_info).unwrap();
        std::fs::write(
            dist_info.join("METADATA"),
            format!("Metadata-Version: 2.1\nName: dep\nVersion: {version}\n"),
        )
        .unwrap();
        std::fs::write(dist_info.join("RECORD"), "").unwrap();
        dist_info
    };
    let write = |name: &str, text: &str| {
        let path = test.path.join("crate").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let dependency = format!(
        "{{ path = '{}', default-features = false, features = ['build-script'] }}",
        env!("CARGO_MANIFEST_DIR")
    );
    let package = "[package]\nname = 'mine'\nversion = '1.0.0'\nedition = '2024'\n[workspace]\n";
    write(
        "Cargo.toml",
        &format!("{package}[build-dependencies]\ncargo-pyenv-build = {dependency}\n"),
    );
    write("src/lib.rs", "");
    let script = "use std::io::Write;
fn main() -> Result<(), pyenv_build::build_script::Error> {
    println!(\"cargo::rerun-if-changed=build.rs\");
    let version = pyenv_build::build_script::run_python(\"import importlib.metadata as m; print(m.version('dep'))\")?;
    let mut runs = std::fs::OpenOptions::new().create(true).append(true).open(\"runs\").unwrap();
    writeln!(runs, \"{version}\").unwrap();
    Ok(())
}
";
    write("build.rs", script);
    let build = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["build", "--offline"])
            .current_dir(test.path.join("crate"))
            .env("CARGO_TARGET_DIR", test.path.join("target"));
        for name in
            ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "CARGO_BUILD_BUILD_DIR", "CARGO_BUILD_TARGET"]
        {
            command.env_remove(name);
        }
        command.env("VIRTUAL_ENV", test.path.join("venv")).output().unwrap()
    };
    let runs_after = || {
        let output = build();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(test.path.join("crate/runs")).unwrap()
    };
    let one = install("1");
    assert_eq!(runs_after(), "1\n");
    assert_eq!(runs_after(), "1\n", "nothing has changed");
    std::fs::remove_dir_all(one).unwrap();
    let two = install("2");
    assert_eq!(runs_after(), "1\n2\n");
    assert_eq!(runs_after(), "1\n2\n");
    std::fs::remove_dir_all(two).unwrap();
    let failed = build();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("PackageNotFoundError"), "{said}");
    assert!(
        said.contains("hint: it comes from VIRTUAL_ENV; build with `cargo pyenv-build`"),
        "{said}"
    );
}
