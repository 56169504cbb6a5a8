//! Other commands of cargo's than `build`, and what they say.

use crate::sources::TWO;
use crate::world::{Built, World, run};

const WARNS: &str = r#"
    == app/Cargo.toml
    [dependencies]
    mid = { path = "../mid" }
    == app/src/main.rs
    fn main() { let unused_here = 1; println!("{}", mid::value()); }
    == mid/src/lib.rs
    pub fn value() -> i32 { let unused_there = 1; 5 }
    fn never_called() {}
"#;

#[test]
fn warnings_are_said_again_by_crates_that_are_served() {
    let world = World::built(WARNS);
    world.next_job();
    let built = world.right("build");
    built.expect(&[], &["app", "mid"]);
    assert!(
        built.seen.contains("unused_here")
            && built.seen.contains("unused_there")
            && built.seen.contains("never_called"),
        "{}",
        built.seen
    );
    // By cargo itself, of crates that are fresh.
    world.right("build").expect(&[], &[]);
}

#[test]
fn warnings_that_are_errors_fail_again() {
    let mut world = World::built(WARNS);
    world.set("RUSTFLAGS", "-Dwarnings");
    for _ in 0..2 {
        assert!(!world.right("build").ok);
        world.next_job();
    }
    world.unset("RUSTFLAGS");
    world.right("build").expect(&[], &["app", "mid"]);
    world.push_edit("mid/src/lib.rs", "pub fn value", "#![deny(warnings)]\npub fn value");
    world.next_job();
    assert!(!world.right("build").ok);
}

#[test]
fn errors_are_said_each_time() {
    let world = World::new("\n== src/main.rs\nfn main() { let x: i32 = \"text\"; }\n");
    let first = world.right("build");
    world.next_job();
    let second = world.right("build");
    for built in [first, second] {
        assert!(!built.ok && built.stderr.contains("mismatched types"), "{}", built.stderr);
    }
}

#[test]
fn messages_as_json_are_those_of_a_clean_build() {
    let world = World::built(WARNS);
    let lines = |built: &Built, target: &str| {
        let path = world.base.join(target).to_str().unwrap().to_owned();
        let mut lines: Vec<String> =
            built.stdout.lines().map(|line| line.replace(&path, "TARGET")).collect();
        lines.sort();
        lines
    };
    for words in [
        "build --message-format json",
        "check --message-format json",
        "build --message-format json-render-diagnostics",
    ] {
        let clean = world.clean(words);
        for number in 0..2 {
            world.next_job();
            let built = world.build(words);
            if number == 1 {
                built.expect(&[], &["app", "mid"]);
            }
            assert_eq!(lines(&built, "checkout/target"), lines(&clean, "clean"), "{words}");
        }
    }
}

#[test]
fn short_messages_and_colours_are_those_that_are_asked_for() {
    let world = World::built(WARNS);
    let said = |built: &Built| {
        let mut lines: Vec<String> = built
            .stderr
            .lines()
            .filter(|line| line.contains("unused"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    for words in
        ["build --message-format short", "build --color always", "build --color never", "build"]
    {
        world.next_job();
        assert_eq!(said(&world.build(words)), said(&world.clean(words)), "{words}");
    }
}

#[test]
fn check_is_served_and_is_no_build() {
    let world = World::new(WARNS);
    world.right("check").expect(&["app", "mid"], &[]);
    world.next_job();
    world.right("check").expect(&[], &["app", "mid"]);
    world.right("build").expect(&["app", "mid"], &[]);
    world.push_edit("mid/src/lib.rs", "i32 {", "u8 {");
    world.next_job();
    world.right("check").expect(&["app", "mid"], &[]);
    world.right("build").expect(&["app", "mid"], &[]);
    world.push_edit("mid/src/lib.rs", "5", "\"five\"");
    world.next_job();
    assert!(!world.right("check").ok);
}

const TESTED: &str = r#"
    == src/lib.rs
    //! ```
    //! assert_eq!(app::VALUE, include_str!("../value.txt").len());
    //! ```
    pub const VALUE: usize = 4;
    #[test] fn in_the_library() { assert_eq!(VALUE, 4); }
    == src/main.rs
    fn main() { println!("{}", app::VALUE); }
    == tests/whole.rs
    #[test]
    fn the_program_says_it() {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_app")).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), include_str!("expected.txt").trim());
        std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("x"), "").unwrap();
    }
    == tests/expected.txt
    4
    == value.txt
    abc
"#;

#[test]
fn tests_are_served_and_run() {
    let world = World::new(TESTED);
    let first = world.right("test");
    assert!(
        first.seen.contains("in_the_library") && first.seen.contains("the_program_says_it"),
        "{}",
        first.seen
    );
    world.next_job();
    world.right("test").expect(&[], &["app"]);
    world.push("== tests/expected.txt\n5\n");
    world.next_job();
    assert!(!world.right("test").ok);
    world.push_edit("src/lib.rs", "usize = 4", "usize = 5");
    world.next_job();
    assert!(
        !world.right("test").ok,
        "the test in the library and the one in the documentation say 4"
    );
    world.push_edit("src/lib.rs", "VALUE, 4", "VALUE, 5");
    world.push("== value.txt\nabcd\n");
    world.next_job();
    assert!(world.right("test").ok);
    world.next_job();
    world.right("test").expect(&[], &["app"]);
    // Documentation is rustdoc's, which always runs.
    world.push("== value.txt\nabcdefg\n");
    world.next_job();
    assert!(!world.right("test").ok);
}

#[test]
fn examples_benches_and_all_targets_are_served() {
    let world = World::new(&format!(
        "{TESTED}    == examples/one.rs\n    fn main() {{}}\n    == benches/two.rs\n    fn main() {{}}\n"
    ));
    world.right("build --all-targets");
    world.next_job();
    world.right("build --all-targets").expect(&[], &["app"]);
}

#[test]
fn documentation_is_built_above_crates_that_are_served() {
    let world = World::built(TWO);
    world.next_job();
    let built = world.right("doc --no-deps");
    assert!(built.ok, "{}", built.stderr);
}

#[test]
fn fix_changes_sources_as_it_does_without_us() {
    let world =
        World::built("\n== src/main.rs\nfn main() { let mut x = 1; println!(\"{}\", x); }\n");
    let source = || std::fs::read_to_string(world.at("src/main.rs")).unwrap();
    let before = source();
    let built = world.build("fix --allow-dirty");
    assert!(built.ok, "{}", built.stderr);
    let ours = source();
    world.write(&format!("== src/main.rs\n{before}"));
    world.clean("fix --allow-dirty");
    assert_eq!(ours, source());
    assert_ne!(ours, before);
    world.right("build");
}

#[test]
fn a_program_that_runs_is_replaced_and_not_written_into() {
    let world = World::new(
        "\n== src/main.rs\nfn main() { if std::env::args().count() > 1 { std::io::stdin().read_line(&mut String::new()).unwrap(); } println!(\"one\"); }\n",
    );
    world.right("build");
    let mut running = world
        .tool(world.at("target/debug/app").to_str().unwrap())
        .arg("wait")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    world.edit("src/main.rs", "\"one\"", "\"two\"");
    world.right("build");
    world.edit("src/main.rs", "\"two\"", "\"one\"");
    world.right("build").expect(&[], &["app"]);
    drop(running.stdin.take());
    assert_eq!(running.wait_with_output().unwrap().stdout, b"one\n");
}

#[test]
fn a_program_that_is_stripped_where_it_is_does_not_change_what_is_kept() {
    let world = World::built("\n== src/main.rs\nfn main() { println!(\"one\"); }\n");
    let size = |world: &World| std::fs::metadata(world.at("target/debug/app")).unwrap().len();
    let whole = size(&world);
    run(world.tool("strip").arg(world.at("target/debug/app")));
    assert!(size(&world) < whole);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    assert_eq!(size(&world), whole);
}

#[test]
fn outputs_that_were_deleted_come_back() {
    let world = World::built(TWO);
    for name in ["target/debug/app", "target/debug/deps"] {
        crate::tree::remove(&world.at(name));
        let built = world.right("build");
        assert_eq!(built.compiled, [""; 0], "{name}");
    }
}

#[test]
fn another_umask_makes_other_modes() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new("\n== src/main.rs\nfn main() { println!(\"one\"); }\n");
    let build = |mask: &str| {
        let built = world.finish(
            "build",
            world.ours(&[], &["sh", "-c", &format!("umask {mask}; exec cargo build")]),
        );
        let mode =
            std::fs::metadata(world.at("target/debug/app")).unwrap().permissions().mode() & 0o777;
        (built, mode)
    };
    assert_eq!(build("077").1, 0o700);
    world.next_job_with(crate::world::Keep::Store);
    let (built, mode) = build("022");
    built.expect(&[], &["app"]);
    assert_eq!(mode, 0o755);
}
