//! What linkers and rustc read of native code; `tests/cutoff` has libraries with C in them below
//! each other.

use std::path::Path;

use crate::world::{World, run};

/// Puts `libfoo.a`, whose `foo` returns a number, into a directory.
pub(crate) fn library(world: &World, directory: &Path, value: i32) {
    std::fs::create_dir_all(directory).unwrap();
    let object = world.base.join("foo.o");
    std::fs::write(world.base.join("foo.c"), format!("int foo(void) {{ return {value}; }}"))
        .unwrap();
    run(world.tool("cc").args(["-c", "-fPIC", "-o"]).arg(&object).arg(world.base.join("foo.c")));
    let _ = std::fs::remove_file(directory.join("libfoo.a"));
    run(world.tool("ar").arg("rcsD").arg(directory.join("libfoo.a")).arg(&object));
}

const LINKED: &str = r#"
    == src/main.rs
    #[link(name = "foo", kind = "static")]
    extern "C" { fn foo() -> i32; }
    fn main() { println!("{}", unsafe { foo() }); }
    == .cargo/config.toml
    [build]
    rustflags = ["-L", "native=first", "-L", "native=second"]
"#;

#[test]
fn a_library_that_is_in_the_repository_is_seen() {
    let world = World::new(LINKED);
    library(&world, &world.origin.join("second"), 1);
    world.commit();
    world.check_out("main");
    world.right("build").expect(&["app"], &[]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    library(&world, &world.origin.join("second"), 2);
    world.commit();
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_library_that_appears_earlier_on_the_search_path_is_seen() {
    let world = World::new(LINKED);
    library(&world, &world.origin.join("second"), 1);
    world.commit();
    world.check_out("main");
    world.right("build");
    library(&world, &world.origin.join("first"), 2);
    world.commit();
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.push_without(&["first"]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_library_that_comes_after_the_one_that_is_found_does_not_matter_to_what_is_made() {
    let world = World::new(LINKED);
    library(&world, &world.origin.join("first"), 1);
    world.commit();
    world.check_out("main");
    world.right("build");
    library(&world, &world.origin.join("second"), 2);
    world.commit();
    world.next_job();
    world.right("build");
}

#[test]
fn a_linker_script_and_what_is_in_it_is_seen() {
    let world = World::new(
        r#"
        == build.rs
        fn main() {
            let here = std::env::current_dir().unwrap();
            println!("cargo:rerun-if-changed=build.rs");
            println!("cargo:rustc-link-arg=-Wl,--version-script={}", here.join("symbols.map").display());
            println!("cargo:rustc-link-arg={}", here.join("more.ld").display());
        }
        == src/main.rs
        extern "C" { static mark: u8; }
        fn main() { println!("{}", unsafe { &mark as *const u8 as usize }); }
        == symbols.map
        { local: *; };
        == more.ld
        mark = 5;
        "#,
    );
    let first = world.right("build");
    assert!(first.ok, "{}", first.stderr);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.push("== more.ld\nmark = 6;\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.push("== symbols.map\n{ global: main; local: *; };\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn another_linker_is_told_apart() {
    let mut world = World::built("\n== src/main.rs\nfn main() { println!(\"x\"); }\n");
    let tools = world.base.join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink("/usr/bin/gcc", tools.join("cc")).unwrap();
    let path = std::env::join_paths(
        [tools].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    world.set("PATH", path.to_str().unwrap());
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_linker_that_is_a_script_is_not_judged_and_is_right() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(LINKED);
    library(&world, &world.origin.join("second"), 1);
    world.push("== .cargo/config.toml\n[build]\nrustflags = [\"-L\", \"native=second\", \"-Clinker=./link.sh\"]\n== link.sh\n#!/bin/sh\nexec cc \"$@\" $(cat extra.txt)\n== extra.txt\n\n");
    std::fs::set_permissions(world.origin.join("link.sh"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    world.commit();
    world.check_out("main");
    world.right("build");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app"], &[]);
    assert_eq!(built.reason("app").0, "not-reusable");
}

#[test]
fn an_argument_that_writes_elsewhere_is_passed_through() {
    let world = World::new(
        "\n== src/main.rs\nfn main() { println!(\"x\"); }\n== build.rs\nfn main() { println!(\"cargo:rustc-link-arg=-Wl,-Map=link.map\"); }\n",
    );
    for _ in 0..2 {
        world.next_job_with(crate::world::Keep::Store);
        let built = world.right("build");
        assert_eq!(built.compiled, ["app"]);
        assert!(world.at("link.map").is_file());
    }
}
