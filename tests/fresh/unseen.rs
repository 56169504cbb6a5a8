//! What is read without rustc's naming it, by ways that an attack has found.

use crate::native::library;
use crate::world::{Keep, World};

/// `data.bin` is edited in the next checkout; then it is what is printed.
#[track_caller]
fn data_is_seen(what: &str, text: &str) {
    let mut world = World::new(&format!("{text}    == data.bin\n1\n"));
    // rustc's own incremental state has no notion of it either.
    world.set("CARGO_INCREMENTAL", "0");
    let built = world.build("build");
    assert!(built.ok && built.seen == "printed: 1\n", "{what}: {}{}", built.seen, built.stderr);
    world.push("== data.bin\n2\n");
    world.next_job();
    let built = world.build("build");
    assert!(built.ok && built.seen == "printed: 2\n", "{what}: {}{}", built.seen, built.stderr);
}

/// A program that prints the first letter of what was assembled into it.
const BLOB: &str = "extern \"C\" { static BLOB: u8; }\n    fn main() { println!(\"{}\", unsafe { BLOB as char }); }\n";

#[test]
fn a_file_that_the_assembler_reads_is_seen_whoever_names_it() {
    let assembly = "core::arch::global_asm!(\".globl BLOB\\nBLOB: .incbin \\\"data.bin\\\"\");";
    let exported = format!("#[macro_export] macro_rules! blob {{ () => {{ {assembly} }} }}");
    let with_mid = format!(
        "    == app/Cargo.toml\n    [dependencies]\n    mid = {{ path = \"../mid\" }}\n    == app/src/main.rs\n    mid::blob!();\n    {BLOB}"
    );
    let split = "macro_rules! directive { ($d:ident $f:literal) => { core::arch::global_asm!(concat!(\".globl BLOB\\nBLOB: .\", stringify!($d), \" \\\"\", $f, \"\\\"\")); } }\n    directive!(incbin \"data.bin\");";
    data_is_seen(
        "in a file of another ending",
        &format!(
            "    == app/src/main.rs\n    include!(\"asm.txt\");\n    {BLOB}    == app/src/asm.txt\n    {assembly}\n"
        ),
    );
    let renamed = assembly.replace("core::arch::global_asm!(", "embed !(");
    data_is_seen(
        "by a name of its own",
        &format!(
            "    == app/src/main.rs\n    use core::arch::global_asm as embed;\n    {renamed}\n    {BLOB}"
        ),
    );
    data_is_seen("in two pieces", &format!("    == app/src/main.rs\n    {split}\n    {BLOB}"));
    data_is_seen(
        "by a macro of another directory",
        &format!(
            "{with_mid}    == mid/src/lib.rs\n    #[path = \"../../shared/m.rs\"] mod m;\n    == shared/m.rs\n    {exported}\n"
        ),
    );
    data_is_seen(
        "by a macro behind a link",
        &format!(
            "{with_mid}    == mid/src/lib.rs\n    mod m;\n    == mid/src/m.rs -> ../../shared/m.rs\n    == shared/m.rs\n    {exported}\n"
        ),
    );
    let build = "    == mid/build.rs\n    fn main() {\n        println!(\"cargo:rerun-if-changed=build.rs\");\n        let text = std::fs::read_to_string(\"../shared/m.txt\").unwrap().replace(\"DIRECTIVE\", &[\"inc\", \"bin\"].concat());\n        std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/m.rs\", text).unwrap();\n    }\n";
    data_is_seen(
        "by a macro that a build script has made",
        &format!(
            "{with_mid}{build}    == mid/src/lib.rs\n    include!(concat!(env!(\"OUT_DIR\"), \"/m.rs\"));\n    == shared/m.txt\n    {}\n",
            exported.replace("incbin", "DIRECTIVE")
        ),
    );
}

#[test]
fn a_path_that_leads_out_of_out_dir_again_is_seen() {
    data_is_seen(
        "a source",
        "    == build.rs\n    fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n    == src/main.rs\n    \
         fn main() { print!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/../../../../../data.bin\"))); }\n",
    );
}

/// A library without a hash in its name, whose feature brings in a macro that reads a file.
const MAYBE_MACRO: &str = r#"
    == app/Cargo.toml
    [features]
    m = ["mid/m"]
    [dependencies]
    mid = { path = "../mid" }
    == app/src/main.rs
    fn main() { println!("{}", mid::words!()); }
    == mid/Cargo.toml
    [lib]
    crate-type = ["cdylib", "rlib"]
    [features]
    m = ["dep:mac"]
    [dependencies]
    mac = { path = "../mac", optional = true }
    == mid/src/lib.rs
    #[cfg(feature = "m")]
    pub use mac::words;
    #[cfg(not(feature = "m"))]
    #[macro_export]
    macro_rules! words { () => { "none" } }
    == mac/Cargo.toml
    [lib]
    proc-macro = true
    == mac/src/lib.rs
    use proc_macro::TokenStream;
    #[proc_macro]
    pub fn words(_: TokenStream) -> TokenStream { format!("{:?}", std::fs::read_to_string("words.txt").unwrap().trim()).parse().unwrap() }
    == words.txt
    one
"#;

#[test]
fn a_library_of_the_same_name_that_another_cargo_made_is_another_one() {
    let world = World::new(MAYBE_MACRO);
    world.right("build");
    world.plain("build --features app/m");
    world.edit("app/src/main.rs", "fn main", " fn main");
    world.right("build --features app/m");
    world.write("== words.txt\ntwo\n");
    world.edit("app/src/main.rs", " fn main", "fn main");
    world.right("build --features app/m");
}

#[test]
fn the_hosts_library_is_not_taken_for_the_targets() {
    let host =
        String::from_utf8(std::process::Command::new("rustc").arg("-vV").output().unwrap().stdout)
            .unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let words = format!("build --features app/m --target {host}");
    let world = World::new(MAYBE_MACRO);
    world.right("build");
    world.right(&words);
    world.push("== words.txt\ntwo\n");
    world.next_job();
    world.right(&words);
}

#[test]
fn a_crate_that_is_called_like_anothers_library_has_outputs_of_its_own() {
    let package = |name: &str, value: u32| {
        format!(
            "    == {name}/Cargo.toml\n    [lib]\n    crate-type = [\"cdylib\"]\n    == {name}/src/lib.rs\n    #[unsafe(no_mangle)]\n    pub extern \"C\" fn {name}() -> u32 {{ {value} }}\n"
        )
    };
    let world = World::built(&(package("foo", 1111) + &package("libfoo", 5)));
    world.push_edit("foo/src/lib.rs", "1111", "2222");
    world.next_job();
    world.build("build").expect(&["foo"], &["libfoo"]);
    world.build("build");
    let served = std::fs::read(world.at("target/debug/libfoo.so")).unwrap();
    world.clean("build");
    assert!(
        served == std::fs::read(world.base.join("clean/debug/libfoo.so")).unwrap(),
        "it is foo's, and of now"
    );
}

#[test]
fn a_macro_that_is_found_on_the_search_path_is_seen() {
    let world = World::new(
        "\n    == .cargo/config.toml\n    [build]\n    rustflags = [\"-L\", \"pre\"]\n    == src/main.rs\n    #[macro_use] extern crate pm;\n    fn main() { println!(\"{}\", words!()); }\n    == words.txt\n    one\n",
    );
    let source = "extern crate proc_macro; use proc_macro::TokenStream;\n#[proc_macro] pub fn words(_: TokenStream) -> TokenStream { format!(\"{:?}\", std::fs::read_to_string(\"words.txt\").unwrap().trim()).parse().unwrap() }\n";
    std::fs::write(world.base.join("pm.rs"), source).unwrap();
    std::fs::create_dir(world.origin.join("pre")).unwrap();
    let mut rustc = world.tool("rustc");
    rustc
        .args([
            "--edition",
            "2021",
            "--crate-name",
            "pm",
            "--crate-type",
            "proc-macro",
            "--out-dir",
            "pre",
        ])
        .arg(world.base.join("pm.rs"));
    crate::world::run(rustc.current_dir(&world.origin));
    world.commit();
    world.check_out("main");
    world.right("build");
    world.push("== words.txt\ntwo\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn libraries_that_the_linker_alone_is_told_of_are_seen() {
    let source = "    == src/main.rs\n    unsafe extern \"C\" { fn foo() -> i32; }\n    fn main() { println!(\"{}\", unsafe { foo() }); }\n";
    for flags in [
        r#""-Clink-arg=-Wl,-Lfirst", "-Clink-arg=-Wl,-Lsecond", "-Clink-arg=-Wl,-lfoo""#,
        r#""-Clink-args=-Xlinker -Lfirst -Xlinker -Lsecond -Xlinker -lfoo""#,
        r#""-Clink-arg=-Wl,--library-path=first", "-Clink-arg=-Wl,--library-path,second,-lfoo""#,
    ] {
        let world = World::new(&format!(
            "{source}    == .cargo/config.toml\n    [build]\n    rustflags = [{flags}]\n"
        ));
        library(&world, &world.origin.join("second"), 1);
        world.commit();
        world.check_out("main");
        world.right("build");
        library(&world, &world.origin.join("first"), 2);
        world.commit();
        world.next_job();
        world.right("build").expect(&["app"], &[]);
    }
}

#[test]
fn a_library_that_is_named_by_its_path_is_seen() {
    let world = World::new(
        r#"
        == app/Cargo.toml
        [dependencies]
        sys = { path = "../sys" }
        == app/src/main.rs
        fn main() { println!("{}", sys::f()); }
        == sys/build.rs
        fn main() {
            println!("cargo:rerun-if-changed=build.rs");
            println!("cargo:rustc-link-lib=static:+verbatim={}/../lib/libfoo.a", std::env::var("CARGO_MANIFEST_DIR").unwrap());
        }
        == sys/src/lib.rs
        unsafe extern "C" { fn foo() -> i32; }
        pub fn f() -> i32 { unsafe { foo() } }
        "#,
    );
    library(&world, &world.origin.join("lib"), 1);
    world.commit();
    world.check_out("main");
    world.right("build");
    library(&world, &world.origin.join("lib"), 2);
    world.commit();
    world.next_job();
    world.right("build");
}

#[test]
fn directories_that_link_to_each_other_are_walked_once() {
    let world = World::new("\n== src/main.rs\nfn main() {}\n");
    let names: Vec<String> = (0..12).map(|number| format!("packages/p{number}")).collect();
    for name in &names {
        std::fs::create_dir_all(world.at(name)).unwrap();
        for other in names.iter().filter(|other| *other != name) {
            let link = world.at(name).join(other.rsplit('/').next().unwrap());
            std::os::unix::fs::symlink(world.at(other), link).unwrap();
        }
    }
    world.right("build").expect(&["app"], &[]);
    world.save_as("store.tar", Keep::Store);
}
