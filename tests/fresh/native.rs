//! What linkers and rustc read of native code.

use std::path::Path;

use crate::world::{World, run};

/// Puts `libfoo.a`, whose `foo` returns a number, into a directory.
pub(crate) fn library(world: &World, directory: &Path, value: i32) {
    std::fs::create_dir_all(directory).unwrap();
    let object = world.base.join("foo.o");
    std::fs::write(world.base.join("foo.c"), format!("int foo(void) {{ return {value}; }}")).unwrap();
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

/// A C library at the bottom, a Rust library above it, programs and libraries on top.
fn diamond(lto: &str, prebuilt: bool, modifiers: &str) -> World {
    let make = if prebuilt {
        "let out = std::env::current_dir().unwrap().join(\"../prebuilt\").display().to_string();"
    } else {
        "let out = std::env::var(\"OUT_DIR\").unwrap(); std::fs::copy(\"../prebuilt/libfoo.a\", format!(\"{out}/libfoo.a\")).unwrap();"
    };
    let world = World::new(&format!(
        r#"
        == Cargo.toml
        [workspace]
        resolver = "2"
        members = ["app", "mid", "sys"]
        [profile.dev]
        debug = 0
        lto = {lto}
        == app/Cargo.toml
        [lib]
        crate-type = ["cdylib", "staticlib"]
        [dependencies]
        mid = {{ path = "../mid" }}
        == app/src/lib.rs
        #[no_mangle] pub extern "C" fn ask() -> i32 {{ mid::ask() }}
        == app/src/main.rs
        fn main() {{ println!("{{}}", mid::ask()); }}
        == mid/Cargo.toml
        [dependencies]
        sys = {{ path = "../sys" }}
        == mid/src/lib.rs
        pub fn ask() -> i32 {{ sys::ask() }}
        == sys/build.rs
        fn main() {{
            println!("cargo:rerun-if-changed=../prebuilt/libfoo.a");
            {make}
            println!("cargo:rustc-link-search=native={{out}}");
            println!("cargo:rustc-link-lib=static{modifiers}=foo");
        }}
        == sys/src/lib.rs
        extern "C" {{ fn foo() -> i32; }}
        pub fn ask() -> i32 {{ unsafe {{ foo() }} }}
        "#
    ));
    library(&world, &world.origin.join("prebuilt"), 1001);
    world.commit();
    world.check_out("main");
    world
}

/// What the C function returns in the shared library, and in the archive if that has all that it needs.
fn asked(world: &World, target: &Path, is_whole: bool) -> String {
    let lib = target.join("debug");
    std::fs::write(
        world.base.join("ask.c"),
        "#include <stdio.h>\nint ask(void);\nint main(void) { printf(\"%d\\n\", ask()); return 0; }\n",
    )
    .unwrap();
    let mut all = String::new();
    for (library, more) in
        [("libapp.so", vec![]), ("libapp.a", vec!["-lpthread", "-ldl", "-lm"])].into_iter().take(if is_whole { 2 } else { 1 })
    {
        let program = world.base.join("ask");
        run(world.tool("cc").arg("-o").arg(&program).arg(world.base.join("ask.c")).arg(lib.join(library)).args(more));
        let said = run(world.tool(program.to_str().unwrap()).env("LD_LIBRARY_PATH", &lib));
        all.push_str(&String::from_utf8(said.stdout).unwrap());
    }
    all
}

fn c_alone_changes(lto: &str, prebuilt: bool, modifiers: &str) {
    let world = diamond(lto, prebuilt, modifiers);
    world.right("build");
    world.next_job();
    let built = world.right("build");
    assert_eq!(built.compiled, [""; 0], "{lto} {prebuilt} {modifiers} {:#}", built.report["crates"]);
    library(&world, &world.origin.join("prebuilt"), 2002);
    world.commit();
    world.next_job();
    let built = world.right("build");
    assert!(built.ok && built.compiled.contains(&"app".to_owned()), "{lto} {prebuilt} {modifiers}");
    let is_whole = modifiers != ":-bundle";
    assert_eq!(
        asked(&world, &world.at("target"), is_whole),
        if is_whole { "2002\n2002\n" } else { "2002\n" },
        "{lto} {prebuilt} {modifiers}"
    );
}

#[test]
fn c_alone_changes_in_out_dir() {
    for modifiers in ["", ":+whole-archive"] {
        c_alone_changes("false", false, modifiers);
    }
}

#[test]
fn c_alone_changes_in_a_prebuilt_directory() {
    for modifiers in ["", ":-bundle", ":+whole-archive"] {
        c_alone_changes("false", true, modifiers);
    }
}

#[test]
fn c_alone_changes_under_link_time_optimisation() {
    for lto in ["\"thin\"", "\"fat\"", "\"off\""] {
        c_alone_changes(lto, true, "");
    }
    c_alone_changes("true", false, "");
}

#[test]
fn another_linker_is_told_apart() {
    let mut world = World::built("\n== src/main.rs\nfn main() { println!(\"x\"); }\n");
    let tools = world.base.join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink("/usr/bin/gcc", tools.join("cc")).unwrap();
    let path = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()))).unwrap();
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
    std::fs::set_permissions(world.origin.join("link.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    world.commit();
    world.check_out("main");
    world.right("build");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app"], &[]);
    assert_eq!(built.reason("app").0, "not-judged");
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
