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
    assert!(alone.starts_with("cargo-pyenv-build v") && alone.trim_end().lines().count() == 1, "{alone}");
    let program = tree("cli");
    assert!(program.contains("\nclap v") && !program.contains("octocrab"), "{program}");
}
