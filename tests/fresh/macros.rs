//! Procedural macros of the workspace: programs that run inside rustc and read what nobody
//! declares. They are not judged, and so what uses them is compiled in each fresh checkout.

use crate::world::{Keep, World};

/// A crate of macros and what expands to `macros::NAME!()`.
pub(crate) fn user(name: &str) -> String {
    format!(
        r#"
        == app/Cargo.toml
        description = "d1"
        [dependencies]
        macros = {{ path = "../macros" }}
        == app/src/main.rs
        fn main() {{ println!("{{}}", macros::{name}!()); }}
        == app/words.txt
        w1
        == macros/Cargo.toml
        [lib]
        proc-macro = true
        == macros/src/lib.rs
        use proc_macro::TokenStream;
        use std::{{env, fs, process::Command}};
        fn quoted(text: impl AsRef<str>) -> TokenStream {{ format!("{{:?}}", text.as_ref().trim()).parse().unwrap() }}
        fn here(name: &str) -> String {{ format!("{{}}/{{name}}", env::var("CARGO_MANIFEST_DIR").unwrap()) }}
        #[proc_macro] pub fn file(_: TokenStream) -> TokenStream {{ quoted(fs::read_to_string(here("words.txt")).unwrap()) }}
        #[proc_macro] pub fn variable(_: TokenStream) -> TokenStream {{ quoted(env::var("WORLD_MACRO").unwrap_or_default()) }}
        #[proc_macro] pub fn description(_: TokenStream) -> TokenStream {{ quoted(env::var("CARGO_PKG_DESCRIPTION").unwrap()) }}
        #[proc_macro] pub fn writer(_: TokenStream) -> TokenStream {{ fs::write(here("written.txt"), "written").unwrap(); quoted("x") }}
        #[proc_macro] pub fn pure(_: TokenStream) -> TokenStream {{ quoted("pure") }}
        #[proc_macro] pub fn revision(_: TokenStream) -> TokenStream {{
            quoted(String::from_utf8(Command::new("git").args(["rev-parse", "HEAD"]).output().unwrap().stdout).unwrap())
        }}
        "#
    )
}

#[test]
fn a_macro_that_reads_a_file() {
    let world = World::built(&user("file"));
    world.push("== app/words.txt\nw2\n");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app"], &["macros"]);
    let (reason, detail) = built.reason("app");
    assert!(
        reason == "macro" && detail.contains("add `macros = []` to `[tool.pyenv-build.macros]`"),
        "{reason} {detail}"
    );
}

#[test]
fn a_macro_that_reads_a_variable() {
    let mut world = World::built(&user("variable"));
    for value in ["a", "b"] {
        world.set("WORLD_MACRO", value);
        world.next_job();
        world.right("build").expect(&["app"], &["macros"]);
    }
}

#[test]
fn a_macro_that_asks_git() {
    let world = World::built(&user("revision"));
    world.commit();
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
}

#[test]
fn a_macro_that_looks_at_the_package() {
    let world = World::built(&user("description"));
    world.push_edit("app/Cargo.toml", "d1", "d2");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
}

#[test]
fn a_macro_that_writes_a_file_writes_it_in_each_checkout() {
    let world = World::built(&user("writer"));
    for keep in [Keep::Both, Keep::Store, Keep::WithoutOwn] {
        world.next_job_with(keep);
        assert!(!world.at("app/written.txt").exists());
        world.build("build").expect(&["app"], &["macros"]);
        assert!(world.at("app/written.txt").exists(), "{keep:?}");
    }
}

#[test]
fn a_macro_that_is_edited() {
    let world = World::built(&user("pure"));
    world.push_edit("macros/src/lib.rs", "quoted(\"pure\")", "quoted(\"still pure\")");
    world.next_job();
    world.right("build").expect(&["app", "macros"], &[]);
}

#[test]
fn a_macro_behind_a_macro_of_another_crate() {
    let text = user("file")
        .replace("macros = { path = \"../macros\" }", "mid = { path = \"../mid\" }")
        .replace("macros::file!()", "mid::words!()");
    let world = World::built(&format!(
        r#"{text}
        == mid/Cargo.toml
        [dependencies]
        macros = {{ path = "../macros" }}
        == mid/src/lib.rs
        #[doc(hidden)] pub mod private {{ pub use macros::file; }}
        #[macro_export] macro_rules! words {{ () => {{ $crate::private::file!() }} }}
        "#
    ));
    world.push("== app/words.txt\nw2\n");
    world.next_job();
    world.right("build").expect(&["app", "mid"], &["macros"]);
}

#[test]
fn a_derive_and_an_attribute_are_macros_too() {
    let world = World::built(
        r#"
        == app/Cargo.toml
        [dependencies]
        macros = { path = "../macros" }
        == app/src/main.rs
        #[derive(macros::Words)] struct S;
        #[macros::words] fn attributed() -> &'static str { "unchanged" }
        fn main() { println!("{} {}", S::words(), attributed()); }
        == app/words.txt
        w1
        == macros/Cargo.toml
        [lib]
        proc-macro = true
        == macros/src/lib.rs
        use proc_macro::TokenStream;
        fn text() -> String { std::fs::read_to_string(format!("{}/words.txt", std::env::var("CARGO_MANIFEST_DIR").unwrap())).unwrap().trim().to_owned() }
        #[proc_macro_derive(Words)]
        pub fn derive(_: TokenStream) -> TokenStream { format!("impl S {{ fn words() -> &'static str {{ {:?} }} }}", text()).parse().unwrap() }
        #[proc_macro_attribute]
        pub fn words(_: TokenStream, item: TokenStream) -> TokenStream { item.to_string().replace("unchanged", &text()).parse().unwrap() }
        "#,
    );
    world.push("== app/words.txt\nw2\n");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
}

#[test]
fn a_macro_behind_a_feature() {
    let text = user("file").replace(
        "[dependencies]\n        macros = { path = \"../macros\" }",
        "[features]\n        embed = [\"dep:macros\"]\n        [dependencies]\n        macros = { path = \"../macros\", optional = true }",
    );
    let text = text.replace(
        "fn main() {",
        "#[cfg(not(feature = \"embed\"))] fn main() { println!(\"without\"); }\n        #[cfg(feature = \"embed\")] fn main() {",
    );
    let world = World::new(&text);
    world.right("build --features app/embed");
    world.right("build");
    world.push("== app/words.txt\nw2\n");
    world.next_job();
    world.right("build --features app/embed").expect(&["app"], &["macros"]);
    world.next_job();
    world.right("build").expect(&[], &["app", "macros"]);
}

#[test]
fn a_crate_beside_the_macro_is_served() {
    let world = World::built(&format!(
        "{}\n        == other/src/lib.rs\n        pub fn f() {{}}\n",
        user("file")
    ));
    world.next_job();
    world.right("build").expect(&["app"], &["macros", "other"]);
}

#[test]
fn a_local_macro_with_the_name_of_a_pure_one_is_not_believed() {
    let world = World::built(
        &user("file")
            .replace("macros/Cargo.toml", "serde_derive/Cargo.toml")
            .replace("macros/src", "serde_derive/src")
            .replace(
                "macros = { path = \"../macros\" }",
                "macros = { path = \"../serde_derive\", package = \"serde_derive\" }",
            ),
    );
    world.push("== app/words.txt\nw2\n");
    world.next_job();
    world.right("build").expect(&["app"], &["serde_derive"]);
}
