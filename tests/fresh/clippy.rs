//! clippy reads more than rustc does: its configuration, manifests, and which package was asked
//! for.

use crate::world::{Keep, World};

/// Two packages, each with something to say about, the one below through a threshold.
const LINTED: &str = r#"
    == app/Cargo.toml
    [dependencies]
    mid = { path = "../mid" }
    == app/src/main.rs
    fn main() { let mut all = Vec::new(); all.push(mid::three(1, 2, 3)); println!("{all:?} {:?}", Some(1).is_some_and(|one| one == 1)); }
    == mid/src/lib.rs
    pub fn three(a: i32, b: i32, c: i32) -> i32 { return a + b + c; }
"#;

#[test]
fn what_clippy_says_is_said_again() {
    let world = World::new(LINTED);
    let first = world.right("clippy");
    assert!(first.seen.contains("unneeded `return`"), "{}", first.seen);
    world.next_job();
    world.right("clippy").expect(&[], &["app", "mid"]);
    world.right("check");
    world.right("build").expect(&["app", "mid"], &[]);
}

#[test]
fn a_configuration_that_appears_anywhere_above_the_package_is_seen() {
    for place in [
        "checkout/mid/clippy.toml",
        "checkout/mid/.clippy.toml",
        "checkout/clippy.toml",
        "clippy.toml",
    ] {
        let world = World::new(LINTED);
        let before = world.right("clippy");
        world.next_job();
        std::fs::write(world.base.join(place), "too-many-arguments-threshold = 1\n").unwrap();
        let after = world.right("clippy");
        assert!(after.compiled.contains(&"mid".to_owned()), "{place}: {:?}", after.compiled);
        // clippy itself looks in the package and above, the first that is found counts.
        assert_ne!(before.seen, after.seen, "{place}");
        std::fs::remove_file(world.base.join(place)).unwrap();
        world.next_job();
        world.right("clippy").expect(&[], &["app", "mid"]);
    }
}

#[test]
fn a_configuration_that_changes_is_seen() {
    let world =
        World::new(&format!("{LINTED}    == clippy.toml\n    too-many-arguments-threshold = 1\n"));
    let first = world.right("clippy");
    world.push("== clippy.toml\ntoo-many-arguments-threshold = 5\n");
    world.next_job();
    let second = world.right("clippy");
    second.expect(&["app", "mid"], &[]);
    assert_ne!(first.seen, second.seen);
}

#[test]
fn the_rust_version_of_a_package_is_seen() {
    let world = World::new(LINTED);
    world.right("clippy");
    world.push_edit("app/Cargo.toml", "edition", "rust-version = \"1.60\"\nedition");
    world.next_job();
    let built = world.right("clippy");
    assert!(
        built.compiled.contains(&"app".to_owned()) && built.seen.contains("1.60"),
        "{:?} {}",
        built.compiled,
        built.seen
    );
}

#[test]
fn lints_in_a_manifest_and_on_the_command_line_are_seen() {
    let world = World::new(LINTED);
    let plain = world.right("clippy");
    let allowed = world.right("clippy -- -A clippy::needless_return");
    assert_ne!(plain.seen, allowed.seen);
    world.next_job();
    assert_eq!(world.right("clippy").seen, plain.seen);
    assert!(!world.right("clippy -- -D warnings").ok);
    world.push_edit("mid/Cargo.toml", "edition", "edition");
    world.push(&format!(
        "== mid/Cargo.toml\n{}\n[lints.clippy]\nneedless_return = \"allow\"\n",
        std::fs::read_to_string(world.origin.join("mid/Cargo.toml")).unwrap()
    ));
    world.next_job();
    assert_ne!(world.right("clippy").seen, plain.seen);
}

#[test]
fn a_package_that_was_not_asked_for_counts_as_not_looked_at() {
    let world = World::new(LINTED);
    for keep in [Keep::Both, Keep::Store] {
        let one = world.right("clippy -p app -- --no-deps");
        assert!(!one.seen.contains("unneeded `return`"), "{}", one.seen);
        world.next_job_with(keep);
        let other = world.right("clippy -p mid -- --no-deps");
        assert!(other.seen.contains("unneeded `return`"), "{}", other.seen);
        world.next_job_with(keep);
    }
}

#[test]
fn lints_that_read_manifests_see_them() {
    let world = World::new(LINTED);
    let words = "clippy -- -W clippy::cargo_common_metadata";
    let first = world.right(words);
    assert!(first.seen.contains("package.description"), "{}", first.seen);
    world.push_edit("app/Cargo.toml", "edition", "description = \"d\"\nedition");
    world.push_edit("mid/Cargo.toml", "edition", "description = \"d\"\nedition");
    world.next_job();
    assert!(!world.right(words).seen.contains("package.description"));
}

#[test]
fn links_to_the_documentation_can_be_switched_off() {
    let mut world = World::new(LINTED);
    world.right("clippy");
    world.set("CLIPPY_DISABLE_DOCS_LINKS", "1");
    world.next_job();
    let built = world.right("clippy");
    built.expect(&["app", "mid"], &[]);
    assert!(!built.stderr.contains("rust-clippy/"), "{}", built.stderr);
}
