//! What a call is told on its command line: features, profiles, flags, targets.

use crate::dates::host;
use crate::skip::not_tested;
use crate::sources::TWO;
use crate::world::World;

const FEATURES: &str = r#"
    == Cargo.toml
    [features]
    loud = []
    [profile.dev]
    debug = 0
    == src/main.rs
    fn main() { println!("{} {} {}", cfg!(feature = "loud"), cfg!(extra), cfg!(debug_assertions)); }
"#;

#[test]
fn features_in_turn_are_each_compiled_once() {
    let world = World::built(FEATURES);
    world.right("build --features loud").expect(&["app"], &[]);
    assert_eq!(world.right("build").compiled, [""; 0]);
    world.next_job();
    world.right("build --features loud").expect(&[], &["app"]);
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_feature_that_the_manifest_turns_on_by_default_is_seen() {
    let world = World::built(FEATURES);
    world.push_edit("Cargo.toml", "loud = []", "loud = []\ndefault = [\"loud\"]");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app"], &[]);
    assert_eq!(built.reason("app").0, "features-changed");
}

#[test]
fn profiles_are_told_apart_and_a_profile_that_changes_is_seen() {
    let world = World::built(FEATURES);
    world.right("build --release").expect(&["app"], &[]);
    world.push_edit("Cargo.toml", "debug = 0", "debug = 0\ndebug-assertions = false");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.right("build --release").expect(&[], &["app"]);
}

#[test]
fn flags_from_a_variable_and_from_a_file_are_seen() {
    let mut world = World::built(FEATURES);
    world.set("RUSTFLAGS", "--cfg extra");
    world.right("build").expect(&["app"], &[]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.unset("RUSTFLAGS");
    world.right("build").expect(&[], &["app"]);
    world.push("== .cargo/config.toml\n[build]\nrustflags = [\"--cfg\", \"extra\", \"--check-cfg\", \"cfg(extra)\"]\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn the_same_for_a_target_that_is_named() {
    let words = format!("build --target {}", host());
    let world = World::built(TWO);
    world.right(&words).expect(&["app", "mid"], &[]);
    world.next_job();
    world.right(&words).expect(&[], &["app", "mid"]);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    world.next_job();
    world.right(&words).expect(&["app", "mid"], &[]);
}

#[test]
fn a_release_build_is_served_as_a_debug_build_is() {
    let world = World::new(TWO);
    world.right("build --release").expect(&["app", "mid"], &[]);
    world.next_job();
    world.right("build --release").expect(&[], &["app", "mid"]);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    world.next_job();
    world.right("build --release").expect(&["app", "mid"], &[]);
}

#[test]
fn incremental_or_not_is_right_in_turn() {
    let mut world = World::built(TWO);
    for (setting, text) in [("0", "m2"), ("1", "m3"), ("0", "m4")] {
        world.set("CARGO_INCREMENTAL", setting);
        let old = std::fs::read_to_string(world.origin.join("mid/src/lib.rs")).unwrap();
        let old = old.split('"').nth(1).unwrap().to_owned();
        world.push_edit("mid/src/lib.rs", &old, text);
        world.next_job();
        world.right("build").expect(&["app", "mid"], &[]);
        world.next_job();
        world.right("build").expect(&[], &["app", "mid"]);
    }
}

#[test]
fn incremental_state_is_kept_in_the_store_where_it_is_asked_for() {
    let world = World::new(TWO);
    let words = "build --release";
    let build = |options: &[&str]| {
        let mut cargo = vec!["cargo"];
        cargo.extend(words.split(' '));
        let built = world.finish(words, world.ours(options, &cargo));
        world.is_right(words, &built);
        built
    };
    let states = |world: &World| {
        std::fs::read_dir(world.at(".pyenv-build/store/incremental")).map_or(0, Iterator::count)
    };
    // Neither of them is slow.
    build(&["--incremental", "auto"]).expect(&["app", "mid"], &[]);
    assert_eq!(states(&world), 0);
    world.next_job();
    build(&["--incremental", "true"]).expect(&["app", "mid"], &[]);
    assert_eq!(states(&world), 2);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    world.next_job();
    build(&["--incremental", "true"]).expect(&["app", "mid"], &[]);
    assert_eq!(states(&world), 2, "the same state, carried on");
    // What was made with it is never taken for what is made without.
    world.next_job();
    build(&[]).expect(&["app", "mid"], &[]);
    world.next_job();
    build(&["--incremental", "true"]).expect(&[], &["app", "mid"]);
}

#[test]
fn debug_information_in_files_of_its_own_is_served_with_the_rest() {
    for kind in ["packed", "unpacked"] {
        let world = World::new(&format!(
            "{TWO}    == Cargo.toml\n[workspace]\nresolver = '2'\nmembers = ['app', 'mid']\n[profile.dev]\nsplit-debuginfo = '{kind}'\n"
        ));
        world.right("build").expect(&["app", "mid"], &[]);
        let there = |world: &World| {
            let paths = std::fs::read_dir(world.at("target/debug/deps"))
                .unwrap()
                .map(|entry| entry.unwrap().path());
            paths
                .filter(|path| {
                    path.extension()
                        .is_some_and(|ending| ["dwo", "dwp", "o"].iter().any(|one| ending == *one))
                })
                .count()
        };
        let before = there(&world);
        assert!(before > 0, "{kind}");
        world.save_as("store.tar", crate::world::Keep::Store);
        world.check_out("main");
        world.load_from("store.tar");
        world.right("build").expect(&[], &["app", "mid"]);
        assert_eq!(there(&world), before, "{kind}");
    }
}

#[test]
fn a_crate_of_another_kind_is_another_call() {
    let world = World::built(
        "\n== src/main.rs\nfn main() { println!(\"{}\", app::V); }\n== src/lib.rs\npub const V: i32 = 1;\n",
    );
    world.push_edit(
        "Cargo.toml",
        "edition = \"2021\"",
        "edition = \"2021\"\n[lib]\ncrate-type = [\"rlib\", \"cdylib\"]",
    );
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    assert!(world.at("target/debug/libapp.so").is_file());
}

#[test]
fn a_compiler_of_another_version_is_told_apart() {
    let toolchains = String::from_utf8(
        std::process::Command::new("rustup")
            .args(["toolchain", "list", "-q"])
            .output()
            .map(|output| output.stdout)
            .unwrap_or_default(),
    )
    .unwrap();
    let Some(nightly) = toolchains.lines().find(|name| name.starts_with("nightly")) else {
        return not_tested("another toolchain", "rustup has no nightly");
    };
    let path = std::process::Command::new("rustup")
        .args(["which", "--toolchain", nightly, "rustc"])
        .output()
        .unwrap()
        .stdout;
    let rustc = String::from_utf8(path).unwrap().trim().to_owned();
    let mut world = World::built(TWO);
    world.set("RUSTC", &rustc);
    world.right("build").expect(&["app", "mid"], &[]);
    world.unset("RUSTC");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}
