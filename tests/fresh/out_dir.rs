//! What build scripts make: all of `OUT_DIR` counts, and what they write elsewhere.

use crate::world::{Keep, World};

/// A build script that copies `recipe.txt` line by line: `file NAME TEXT`, `link NAME TARGET`,
/// `mode NAME`, `folder NAME`, `gone NAME`.
const COOK: &str = r#"
    == build.rs
    use std::{env, fs, os::unix::fs::{symlink, PermissionsExt as _}, path::Path};
    fn main() {
        println!("cargo:rerun-if-changed=recipe.txt");
        let out = env::var("OUT_DIR").unwrap();
        let out = Path::new(&out);
        for line in fs::read_to_string("recipe.txt").unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let Some(path) = words.get(1).map(|name| out.join(name)) else { continue };
            let _ = fs::remove_file(&path);
            match words[0] {
                "file" => fs::write(path, words[2]).unwrap(),
                "link" => symlink(words[2], path).unwrap(),
                "mode" => { fs::write(&path, "x").unwrap(); fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap() }
                "folder" => fs::create_dir_all(path).unwrap(),
                _ => {}
            }
        }
    }
    == src/main.rs
    fn main() { println!("{}", include_str!(concat!(env!("OUT_DIR"), "/all.txt"))); }
    == recipe.txt
    file all.txt one
    link way all.txt
    folder empty
"#;

const RECIPE: &str = "== recipe.txt\nfile all.txt one\nlink way all.txt\nfolder empty\n";

#[test]
fn a_file_in_out_dir_is_compared_by_content() {
    let world = World::built(COOK);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.push("== recipe.txt\nfile all.txt two\n");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app"], &[]);
    assert_eq!(built.reason("app").0, "script-output-changed");
    world.push(RECIPE);
    world.next_job_with(Keep::WithoutOwn);
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn links_modes_and_empty_folders_in_out_dir_count() {
    // Whether anybody reads them cannot be known.
    let world = World::built(COOK);
    for more in ["link way nowhere", "mode tool", "folder other/deep", "file unread.txt x"] {
        world.push(&format!("{RECIPE}{more}\n"));
        world.next_job_with(Keep::WithoutOwn);
        world.right("build").expect(&["app"], &[]);
        world.next_job_with(Keep::WithoutOwn);
        world.right("build").expect(&[], &["app"]);
    }
}

/// Two directories, a link to each, and one that leads to either: what is in them is listed already.
#[test]
fn a_link_to_a_directory_that_others_lead_to_counts() {
    let world = World::new(
        r#"
        == build.rs
        use std::{env, fs, os::unix::fs::symlink, path::Path};
        fn main() {
            println!("cargo:rerun-if-changed=which.txt");
            let out = env::var("OUT_DIR").unwrap();
            let out = Path::new(&out);
            for name in ["one", "two"] {
                let _ = fs::create_dir(out.join(name));
                fs::write(out.join(name).join("x.txt"), name).unwrap();
                let _ = symlink(name, out.join(format!("a-{name}")));
            }
            let _ = fs::remove_file(out.join("current"));
            symlink(fs::read_to_string("which.txt").unwrap().trim(), out.join("current")).unwrap();
        }
        == src/main.rs
        fn main() { println!("{}", include_str!(concat!(env!("OUT_DIR"), "/current/x.txt"))); }
        == which.txt
        one
        "#,
    );
    world.right("build").expect(&["app"], &[]);
    world.edit("which.txt", "one", "two");
    world.right("build").expect(&["app"], &[]);
    world.push("== which.txt\none\n");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.push("== which.txt\ntwo\n");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

/// What `make` has built in there is of another commit, and not older than the sources.
#[test]
fn out_dir_of_another_commit_is_not_believed() {
    let world = World::new(
        r#"
        == build.rs
        use std::{env, fs, path::Path, process::Command};
        fn main() {
            let (out, from) = (env::var("OUT_DIR").unwrap(), env::current_dir().unwrap());
            fs::write(Path::new(&out).join("Makefile"), format!("x.txt: {0}/x.in\n\tcp {0}/x.in x.txt\n", from.display())).unwrap();
            assert!(Command::new("make").args(["-s", "-C", &out, "x.txt"]).status().unwrap().success());
        }
        == src/main.rs
        fn main() { println!("{}", include_str!(concat!(env!("OUT_DIR"), "/x.txt"))); }
        == x.in
        one
        "#,
    );
    let date_back = || {
        for name in ["build.rs", "src/main.rs", "x.in", "Cargo.toml"] {
            world.date_back(name);
        }
    };
    date_back();
    world.right("build").expect(&["app"], &[]);
    world.push("== x.in\ntwo\n");
    world.save();
    world.check_out("main");
    world.load();
    date_back();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_link_in_out_dir_comes_back_with_the_script_that_makes_it() {
    let world = World::new(&COOK.replace("/all.txt\"", "/way\""));
    world.right("build");
    for _ in 0..2 {
        world.next_job_with(Keep::Store);
        world.right("build").expect(&[], &["app"]);
    }
    world.plain("clean");
    world.right("build").expect(&[], &["app"]);
    // Through the link, the file behind it is read.
    world.push("== recipe.txt\nfile all.txt two\nlink way all.txt\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_file_that_the_script_makes_no_longer_fails_as_it_does_in_a_clean_build() {
    let world = World::built(COOK);
    world.push("== recipe.txt\nfile other.txt one\n");
    world.next_job_with(Keep::WithoutOwn);
    assert!(!world.right("build").ok);
}

#[test]
fn a_file_that_somebody_else_changes_in_out_dir_is_made_again() {
    let world = World::built(COOK);
    world.next_job();
    let build = std::fs::read_dir(world.at("target/debug/build"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("out/all.txt"));
    let file = build.into_iter().find(|path| path.is_file()).unwrap();
    std::fs::write(file, "by hand").unwrap();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn make_in_out_dir_sees_the_dates_it_is_used_to() {
    let world = World::built(
        r#"
        == build.rs
        use std::{env, process::Command};
        fn main() {
            println!("cargo:rerun-if-changed=native");
            let out = env::var("OUT_DIR").unwrap();
            let from = env::current_dir().unwrap().join("native");
            assert!(Command::new("make").args(["-s", "-C", &out, "-f"]).arg(from.join("rules.mk")).env("FROM", from).status().unwrap().success());
        }
        == native/rules.mk
        text.txt: $(FROM)/text.in ; cp $(FROM)/text.in text.txt
        == native/text.in
        one
        == src/main.rs
        fn main() { println!("{}", include_str!(concat!(env!("OUT_DIR"), "/text.txt")).trim()); }
        "#,
    );
    world.right("build --release");
    world.edit("native/text.in", "one", "two");
    world.plain("build");
    world.edit("native/text.in", "two", "one");
    world.right("build").expect(&[], &["app"]);
    world.right("build --release");
    world.push_edit("native/text.in", "one", "three");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn what_a_script_writes_into_the_package_is_a_source_like_any() {
    let world = World::built(
        r#"
        == build.rs
        fn main() {
            println!("cargo:rerun-if-changed=recipe.txt");
            let text = format!("pub const MADE: &str = {:?};\n", std::fs::read_to_string("recipe.txt").unwrap().trim());
            if std::fs::read_to_string("src/made.rs").is_ok_and(|old| old == text) { return }
            std::fs::write("src/made.rs", text).unwrap();
        }
        == src/main.rs
        mod made;
        fn main() { println!("{}", made::MADE); }
        == recipe.txt
        one
        "#,
    );
    // It was written before rustc ran, and then not again.
    world.next_job();
    world.right("build");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.push("== recipe.txt\ntwo\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_library_that_a_script_puts_outside_of_the_checkout_is_put_there_again() {
    let mut world = World::new(
        r#"
        == app/Cargo.toml
        [dependencies]
        dep = { path = "../dep" }
        == app/src/main.rs
        fn main() { println!("{}", dep::f()); }
        == dep/build.rs
        use std::{env, fs, path::Path, process::Command};
        fn main() {
            println!("cargo:rerun-if-changed=build.rs");
            let cache = env::var("WORLD_CACHE").unwrap();
            let cache = Path::new(&cache);
            fs::create_dir_all(cache).unwrap();
            if !cache.join("libfoo.so").exists() {
                fs::write(cache.join("f.c"), "int foo(void) { return 7; }").unwrap();
                assert!(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(cache.join("libfoo.so")).arg(cache.join("f.c")).status().unwrap().success());
                // What was written within a tick of the clock before rustc began may have been written while it ran: no such call is recorded.
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            println!("cargo:rustc-link-search=native={}", cache.display());
            println!("cargo:rustc-link-lib=dylib=foo");
        }
        == dep/src/lib.rs
        extern "C" { fn foo() -> i32; }
        pub fn f() -> i32 { unsafe { foo() } }
        "#,
    );
    let cache = world.base.join("cache");
    world.set("WORLD_CACHE", cache.to_str().unwrap());
    world.set("LD_LIBRARY_PATH", cache.to_str().unwrap());
    world.right("build");
    world.push_edit("app/src/main.rs", "{}", "now {}");
    world.save();
    world.check_out("main");
    world.load();
    std::fs::remove_dir_all(&cache).unwrap();
    let built = world.right("build");
    assert!(built.ok && built.compiled == ["app"], "{:?}", built.compiled);
}
