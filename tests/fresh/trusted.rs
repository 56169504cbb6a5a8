//! Build scripts that are trusted to read nothing but what they declare: they run when that
//! changed, and else what they made is put in place.

use std::os::unix::fs::PermissionsExt as _;

use crate::settings::{say, saying};
use crate::tree;
use crate::world::{Built, World};

const TRUST: &str = "trusted-build-scripts = [\"app\"]";

/// A script that notes each run outside of the checkout.
const SCRIPT: &str = r#"
    == Cargo.toml
    [workspace]
    members = ["app", "helper"]
    resolver = "2"
    == app/Cargo.toml
    [package]
    name = "app"
    version = "0.1.0"
    edition = "2021"
    build = "build.rs"
    [features]
    loud = []
    [build-dependencies]
    helper = { path = "../helper" }
    == app/build.rs
    use std::{env, fs, io::Write as _, os::unix::fs::{symlink, PermissionsExt as _}, path::Path};
    fn main() {
        for path in ["words.txt", "data", "missing.txt"] { println!("cargo:rerun-if-changed={path}"); }
        println!("cargo::rerun-if-env-changed=WORLD_WORD");
        let ran = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ran");
        writeln!(fs::OpenOptions::new().append(true).create(true).open(ran).unwrap(), "ran").unwrap();
        let mut all: Vec<String> = fs::read_dir("data").unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        all.sort();
        all.push(fs::read_to_string("words.txt").unwrap());
        all.push(fs::read_to_string("missing.txt").unwrap_or_default());
        all.push(env::var("WORLD_WORD").unwrap_or_default());
        all.push(env::var("CARGO_FEATURE_LOUD").is_ok().to_string());
        all.push(helper::word().to_owned());
        let out = env::var("OUT_DIR").unwrap();
        let out = Path::new(&out);
        fs::write(out.join("real.txt"), all.join(" ").replace('\n', "")).unwrap();
        let _ = fs::remove_file(out.join("all.txt"));
        symlink("real.txt", out.join("all.txt")).unwrap();
        fs::create_dir_all(out.join("empty")).unwrap();
        fs::write(out.join("tool.sh"), "echo").unwrap();
        fs::set_permissions(out.join("tool.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        println!("cargo:rustc-env=WORLD_COUNT={}", all.len());
    }
    == app/src/main.rs
    fn main() { println!("{} {}", env!("WORLD_COUNT"), include_str!(concat!(env!("OUT_DIR"), "/all.txt"))); }
    == app/words.txt
    w1
    == app/data/a.txt
    d1
    == helper/src/lib.rs
    pub fn word() -> &'static str { "h1" }
"#;

/// How often the script has run so far.
fn runs(world: &World) -> usize {
    std::fs::read_to_string(world.base.join("ran")).unwrap_or_default().lines().count()
}

/// Builds in a fresh checkout, and says how often the script ran in it. (The clean build that it is
/// compared with runs it once more.)
#[track_caller]
fn next(world: &World, words: &str) -> (usize, Built) {
    world.next_job();
    let before = runs(world);
    let built = world.build(words);
    let ran = runs(world) - before;
    world.is_right(words, &built);
    (ran, built)
}

#[test]
fn a_script_whose_inputs_are_what_they_were_does_not_run_in_a_fresh_checkout() {
    let Some(world) = saying(TRUST, SCRIPT) else { return };
    for _ in 0..2 {
        let (ran, built) = next(&world, "build");
        assert_eq!(ran, 0);
        built.expect(&[], &["app", "helper"]);
        let script = &built.report["crates"]["build_scripts"][0];
        assert_eq!(
            (&script["name"], &script["skipped"]),
            (&"app".into(), &true.into()),
            "{script}"
        );
    }
    let out = tree::find(&world.at("target/debug/build"), "real.txt");
    let out = out.parent().unwrap();
    assert!(out.join("empty").is_dir() && out.join("all.txt").is_symlink());
    assert_ne!(out.join("tool.sh").metadata().unwrap().permissions().mode() & 0o100, 0);
}

#[test]
fn a_script_runs_when_what_it_declares_changed() {
    let Some(mut world) = saying(TRUST, SCRIPT) else { return };
    for text in [
        "== app/words.txt\nw2\n",
        "== app/data/a.txt\nd2\n",
        "== app/data/b.txt\nd3\n",
        "== app/missing.txt\nm1\n",
        "== helper/src/lib.rs\npub fn word() -> &'static str { \"h2\" }\n",
    ] {
        world.push(text);
        let (ran, built) = next(&world, "build");
        assert_eq!(ran, 1, "{text}");
        assert!(built.compiled.contains(&"app".to_owned()), "{text}: {:?}", built.compiled);
        assert_eq!(next(&world, "build").0, 0, "{text}");
    }
    world.push_edit("app/build.rs", "all.join(\" \")", "all.join(\"+\")");
    assert_eq!(next(&world, "build").0, 1, "its own source");
    world.push_without(&["app/data/b.txt", "app/missing.txt"]);
    assert_eq!(next(&world, "build").0, 1, "files that went");
    world.set("WORLD_WORD", "v1");
    assert_eq!(next(&world, "build").0, 1, "a variable");
    assert_eq!(next(&world, "build --features app/loud").0, 1, "a feature");
    // Both are remembered.
    assert_eq!(next(&world, "build").0, 0);
    assert_eq!(next(&world, "build --features app/loud").0, 0);
    world.unset("WORLD_WORD");
    assert_eq!(next(&world, "build").0, 0, "as it was before");
}

#[test]
fn another_c_compiler_makes_a_trusted_script_run() {
    let Some(mut world) = saying(TRUST, SCRIPT) else { return };
    let bin = world.base.join("bin");
    for text in ["one", "two"] {
        tree::put(
            &bin.join("gcc"),
            &tree::Node::File(format!("#!/bin/sh\n# {text}\nexec cc \"$@\"\n")),
        );
        std::fs::set_permissions(bin.join("gcc"), std::fs::Permissions::from_mode(0o755)).unwrap();
        world.set("CC", bin.join("gcc").to_str().unwrap());
        assert_eq!(next(&world, "build").0, 1, "{text}");
        assert_eq!(next(&world, "build").0, 0, "{text}");
    }
}

#[test]
fn what_a_script_made_is_made_again_where_it_is_lost() {
    let Some(world) = saying(TRUST, SCRIPT) else { return };
    // From the store.
    world.next_job();
    for entry in std::fs::read_dir(world.at(".pyenv-build/store")).unwrap().filter_map(Result::ok) {
        let blobs = entry.path().join("blobs");
        if blobs.is_dir() {
            tree::remove(&blobs);
        }
    }
    let before = runs(&world);
    let built = world.build("build");
    assert!(built.ok && runs(&world) == before + 1, "{}", built.stderr);
    world.is_right("build", &built);
    // From the target directory.
    tree::remove(tree::find(&world.at("target/debug/build"), "real.txt").parent().unwrap());
    world.right("build");
}

#[test]
fn a_script_that_is_no_longer_trusted_runs() {
    let Some(world) = saying(TRUST, SCRIPT) else { return };
    say(&world, "");
    assert_eq!(next(&world, "build").0, 1);
    // And with nothing of ours about, in the target directory where its place was taken.
    say(&world, TRUST);
    assert_eq!(next(&world, "build").0, 0);
    world.edit("app/words.txt", "w1", "w2");
    let before = runs(&world);
    let plain = world.plain("build");
    assert!(plain.ok && runs(&world) == before + 1, "{}", plain.stderr);
    world.is_right("build", &plain);
    world.right("build");
}

#[test]
fn a_script_that_also_writes_beside_out_dir_runs_in_each_checkout() {
    let text = r#"
    == build.rs
    fn main() {
        println!("cargo:rerun-if-changed=words.txt");
        std::fs::write("src/gen.rs", format!("pub const WORDS: &str = {:?};", std::fs::read_to_string("words.txt").unwrap().trim())).unwrap();
    }
    == src/main.rs
    mod gen;
    fn main() { println!("{}", gen::WORDS); }
    == words.txt
    w1
    "#;
    let Some(world) = saying(TRUST, text) else { return };
    world.next_job();
    assert!(!world.at("src/gen.rs").exists());
    world.right("build");
}
