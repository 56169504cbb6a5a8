//! The Rust toolchain of a project that is elsewhere: rustup's for its directory, unless the user
//! has chosen one.

use serde_json::{Value, json};

use crate::context::{Program, Project, Test, calls, script};

/// A rustup that finds `inner` in the project `p`, and `outer` elsewhere.
fn with_rustup(test: &Test) -> Project {
    let body = r#"case "$PWD" in */p) echo "inner-x86_64 (overridden by rust-toolchain.toml)";; *) echo "outer-x86_64 (default)";; esac"#;
    script(&test.bin().join("rustup"), body);
    test.project("p").backend(&json!({"record": test.path.join("calls")}))
}

/// As a cargo that rustup has started passes on its environment.
fn under_cargo(program: Program, source: Option<&str>) -> Program {
    let cargo = "/home/me/.rustup/toolchains/outer-x86_64/bin/cargo";
    let program = program
        .env("RUSTUP_TOOLCHAIN", "outer-x86_64")
        .env("RUST_RECURSION_COUNT", "1")
        .env("CARGO", cargo);
    match source {
        Some(source) => program.env("RUSTUP_TOOLCHAIN_SOURCE", source),
        None => program,
    }
}

fn seen_by_the_hook(test: &Test, program: &Program) -> (Value, Value) {
    let _ = std::fs::remove_file(test.path.join("calls"));
    program.run().success();
    let call = calls(&test.path.join("calls")).pop().unwrap();
    (call["environ"]["RUSTUP_TOOLCHAIN"].clone(), call["environ"]["CARGO"].clone())
}

#[test]
fn hooks_of_a_project_elsewhere_get_its_toolchain_unless_the_user_has_chosen() {
    let test = Test::new();
    let project = with_rustup(&test);
    let build = |source| under_cargo(test.program(&["build", "p", "-o", "out"]), source);
    for source in [Some("default"), Some("toolchain-file"), None] {
        assert_eq!(
            seen_by_the_hook(&test, &build(source)),
            (Value::Null, Value::Null),
            "{source:?}"
        );
    }
    for source in [Some("cli"), Some("env")] {
        assert_eq!(seen_by_the_hook(&test, &build(source)).0, "outer-x86_64", "{source:?}");
    }
    let chosen = build(None).env("RUSTUP_TOOLCHAIN", "mine");
    assert_eq!(seen_by_the_hook(&test, &chosen).0, "mine");
    let inside = build(Some("default")).env("RUSTUP_TOOLCHAIN", "inner-x86_64");
    assert_eq!(seen_by_the_hook(&test, &inside).0, "inner-x86_64", "it is the one");
    let here = under_cargo(test.program(&["build"]), Some("default")).in_(&project);
    assert_eq!(seen_by_the_hook(&test, &here).0, "outer-x86_64", "rustup has looked here");
}

/// One that is not installed, or a file with a mistake in it: rustup is to say so, and nothing is
/// compiled with another.
#[test]
fn a_toolchain_that_rustup_cannot_give_is_not_replaced_by_the_callers() {
    let test = Test::new();
    with_rustup(&test);
    let body = r#"case "$PWD" in */p) echo "error: toolchain 1.60.0 is not installed" >&2; exit 1;; *) echo "outer-x86_64 (default)";; esac"#;
    script(&test.bin().join("rustup"), body);
    let build = under_cargo(test.program(&["build", "p", "-o", "out"]), Some("default"));
    assert_eq!(seen_by_the_hook(&test, &build), (Value::Null, Value::Null));
    let run = test.program(&["run", "--project", "p", "--", "true"]);
    for run in [under_cargo(run.clone(), Some("default")), run] {
        let run = run.run().exits(2);
        assert!(run.stderr.contains("toolchain 1.60.0 is not installed"), "{}", run.stderr);
    }
}

#[test]
fn run_in_another_project_gets_its_toolchain() {
    let test = Test::new();
    with_rustup(&test);
    let run = test.program(&[
        "run",
        "--project",
        "p",
        "--",
        "sh",
        "-c",
        "echo $RUSTUP_TOOLCHAIN; exit 7",
    ]);
    assert_eq!(under_cargo(run.clone(), Some("default")).run().exits(7).stdout, "inner-x86_64\n");
    assert_eq!(run.run().exits(7).stdout, "inner-x86_64\n", "started without cargo");
    assert_eq!(run.env("RUSTUP_TOOLCHAIN", "mine").run().exits(7).stdout, "mine\n");
}
