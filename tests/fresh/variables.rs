//! Variables of the environment: those that a source names, those that cargo sets, those that a
//! build script sets.

use crate::world::World;

const NAMED: &str = r#"
    == app/Cargo.toml
    [dependencies]
    mid = { path = "../mid" }
    == app/src/main.rs
    fn main() { println!("{:?} {:?}", option_env!("WORLD_ONE"), mid::two()); }
    == mid/src/lib.rs
    pub fn two() -> Option<&'static str> { option_env!("WORLD_TWO") }
"#;

#[test]
fn a_variable_that_appears_changes_and_goes_is_seen_each_time() {
    let mut world = World::built(NAMED);
    world.set("WORLD_ONE", "a");
    let built = world.right("build");
    built.expect(&["app"], &[]);
    assert_eq!(built.reason("app"), ("env-var-changed", "WORLD_ONE"));
    world.set("WORLD_ONE", "b");
    world.next_job();
    world.right("build").expect(&["app"], &["mid"]);
    world.set("WORLD_ONE", "a");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
    world.unset("WORLD_ONE");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_variable_that_is_set_to_nothing_is_something_else_than_none() {
    let mut world = World::built(NAMED);
    world.set("WORLD_ONE", "");
    world.next_job();
    world.right("build").expect(&["app"], &["mid"]);
}

#[test]
fn a_variable_of_a_library_compiles_what_is_above_it() {
    let mut world = World::built(NAMED);
    world.set("WORLD_TWO", "x");
    world.next_job();
    world.right("build").expect(&["app", "mid"], &[]);
}

#[test]
fn a_variable_that_nobody_names_compiles_nothing() {
    let mut world = World::built(NAMED);
    world.set("WORLD_THREE", "x");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_variable_that_must_be_there_and_is_not_fails_as_it_does_in_a_clean_build() {
    let mut world =
        World::new("\n== src/main.rs\nfn main() { println!(\"{}\", env!(\"WORLD_ONE\")); }\n");
    world.set("WORLD_ONE", "a");
    world.right("build");
    world.unset("WORLD_ONE");
    world.next_job();
    assert!(!world.right("build").ok);
    world.set("WORLD_ONE", "a");
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn what_cargo_says_of_the_package_is_seen() {
    let world = World::built(
        "\n== src/main.rs\nfn main() { println!(\"{} {}\", env!(\"CARGO_PKG_VERSION\"), env!(\"CARGO_PKG_DESCRIPTION\")); }\n",
    );
    world.push_edit("Cargo.toml", "edition", "description = \"more\"\nedition");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.push_edit("Cargo.toml", "0.1.0", "0.2.0");
    world.push_edit("Cargo.lock", "0.1.0", "0.2.0");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_variable_that_a_build_script_sets_is_seen_by_its_value_and_not_by_its_run() {
    let world = World::built(
        r#"
        == build.rs
        fn main() {
            println!("cargo:rerun-if-changed=build.rs");
            println!("cargo:rustc-env=WORLD_DATA={}", std::fs::read_to_string("data.txt").unwrap().lines().next().unwrap());
        }
        == src/main.rs
        fn main() { println!("{}", env!("WORLD_DATA")); }
        == data.txt
        one
        "#,
    );
    world.push("== data.txt\none\nand what the script does not look at\n");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.push("== data.txt\ntwo\n");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app"], &[]);
    assert_eq!(built.reason("app"), ("env-var-changed", "WORLD_DATA"));
}

#[test]
fn a_secret_is_not_kept_as_it_is() {
    let mut world = World::new(
        "\n== src/main.rs\nfn main() { println!(\"{:?}\", option_env!(\"WORLD_TOKEN\").map(str::len)); }\n",
    );
    world.set("WORLD_TOKEN", "hush-hush-hush");
    world.right("build");
    let found = crate::world::run(
        world
            .tool("sh")
            .args(["-c", "grep -rl hush-hush-hush .pyenv-build/store/v1/units || true"])
            .current_dir(&world.checkout),
    );
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
    world.set("WORLD_TOKEN", "other");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_variable_that_rustc_itself_reads_is_seen() {
    let mut world = World::new(
        "\n== src/main.rs\n#![cfg_attr(nightly, feature(rustc_attrs))]\nfn main() { println!(\"x\"); }\n",
    );
    world.right("build");
    world.set("RUSTC_BOOTSTRAP", "1");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.unset("RUSTC_BOOTSTRAP");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}
