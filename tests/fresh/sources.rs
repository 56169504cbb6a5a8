//! Files that rustc reads as sources: edited, moved, added, and back again.

use crate::world::{Keep, World};

/// A program and a library.
pub(crate) const TWO: &str = r#"
    == app/Cargo.toml
    [dependencies]
    mid = { path = "../mid" }
    == app/src/main.rs
    mod part;
    fn main() { println!("{} {}", part::VALUE, mid::value()); }
    == app/src/part.rs
    pub const VALUE: &str = "p1";
    == mid/src/lib.rs
    pub fn value() -> &'static str { "m1" }
"#;

#[test]
fn a_first_build_compiles_all_and_the_same_again_nothing() {
    let world = World::new(TWO);
    let first = world.right("build");
    first.expect(&["app", "mid"], &[]);
    assert_eq!(first.reason("app").0, "first-build");
    // cargo's own judgement stands.
    world.right("build").expect(&[], &[]);
}

#[test]
fn in_a_fresh_checkout_with_the_same_sources_nothing_is_compiled() {
    let world = World::built(TWO);
    for _ in 0..3 {
        world.next_job();
        world.right("build").expect(&[], &["app", "mid"]);
    }
}

#[test]
fn a_tab_in_a_name_is_a_part_of_it() {
    let world = World::new(
        "== src/main.rs\nfn main() { println!(\"{}\", include_str!(\"a\\tb.txt\")); }\n== src/a\tb.txt\none\n",
    );
    world.right("build").expect(&["app"], &[]);
    // cargo itself takes it for two names, and calls rustc each time.
    world.right("build").expect(&[], &["app"]);
    world.push("== src/a\tb.txt\ntwo\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn the_store_alone_is_enough_in_a_fresh_checkout() {
    let world = World::built(TWO);
    world.next_job_with(Keep::Store);
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn without_the_store_all_is_compiled_whatever_target_says() {
    let world = World::built(TWO);
    world.next_job_with(Keep::Target);
    world.right("build").expect(&["app", "mid"], &[]);
}

#[test]
fn a_cache_that_drops_the_workspaces_own_crates_costs_nothing() {
    let world = World::built(TWO);
    world.next_job_with(Keep::WithoutOwn);
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_source_that_changed_compiles_its_crate_and_what_is_above_it() {
    let world = World::built(TWO);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    world.next_job();
    let built = world.right("build");
    built.expect(&["app", "mid"], &[]);
    assert_eq!(built.reason("mid"), ("input-changed", "mid/src/lib.rs"));
    world.push_edit("app/src/part.rs", "p1", "p2");
    world.next_job();
    world.right("build").expect(&["app"], &["mid"]);
}

#[test]
fn what_no_crate_reads_compiles_nothing() {
    let world = World::built(TWO);
    world.push("== README.md\nother\n== app/notes.txt\nother\n== app/src/unused.rs\nnot Rust\n");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn an_edit_in_a_checkout_that_stays_is_seen_as_cargo_sees_it() {
    let world = World::built(TWO);
    world.edit("app/src/part.rs", "p1", "p2");
    world.right("build").expect(&["app"], &[]);
    world.edit("app/src/part.rs", "p2", "p1");
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn back_on_a_branch_that_was_built_before_nothing_is_compiled() {
    let world = World::built(TWO);
    world.git(&["checkout", "-q", "-b", "two"]);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    world.git(&["checkout", "-q", "main"]);
    for (branch, compiled) in [("two", true), ("main", false), ("two", false)] {
        world.save();
        world.check_out(branch);
        world.load();
        let built = world.right("build");
        if compiled {
            built.expect(&["app", "mid"], &[]);
        } else {
            built.expect(&[], &["app", "mid"]);
        }
    }
}

#[test]
fn a_branch_that_is_switched_to_in_place_and_back_is_right_each_time() {
    let world = World::built(TWO);
    world.git(&["branch", "one"]);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    let switch = |commit: &str| {
        World::tick();
        crate::world::run(
            world.tool("git").args(["fetch", "-q", "origin"]).current_dir(&world.checkout),
        );
        crate::world::run(
            world.tool("git").args(["checkout", "-q", commit]).current_dir(&world.checkout),
        );
    };
    switch("origin/main");
    world.right("build").expect(&["app", "mid"], &[]);
    switch("origin/one");
    world.right("build").expect(&[], &["app", "mid"]);
    switch("origin/main");
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn included_files_are_sources_wherever_they_are() {
    let world = World::built(
        r#"
        == src/main.rs
        include!("more.in");
        fn main() { println!("{} {:?} {}", include_str!("../text.txt").trim(), include_bytes!("../deep/bytes.bin"), more()); }
        == src/more.in
        fn more() -> u8 { 1 }
        == text.txt
        one
        == deep/bytes.bin
        one
        "#,
    );
    for (name, from, to) in
        [("text.txt", "one", "two"), ("deep/bytes.bin", "one", "two"), ("src/more.in", "1", "2")]
    {
        world.push_edit(name, from, to);
        world.next_job();
        let built = world.right("build");
        built.expect(&["app"], &[]);
        let (reason, detail) = built.reason("app");
        assert!(reason == "input-changed" && detail.ends_with(name), "{reason} {detail}");
    }
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_file_that_is_included_and_goes_fails_as_it_does_in_a_clean_build() {
    let world = World::built(
        "\n== src/main.rs\nfn main() { println!(\"{}\", include_str!(\"../text.txt\")); }\n== text.txt\none\n",
    );
    world.push_without(&["text.txt"]);
    world.next_job();
    assert!(!world.right("build").ok);
}

#[test]
fn a_module_at_another_path_is_a_source_and_so_is_what_a_link_leads_to() {
    let world = World::built(
        r#"
        == src/main.rs
        #[path = "../elsewhere/m.rs"]
        mod m;
        mod linked;
        fn main() { println!("{} {}", m::V, linked::V); }
        == elsewhere/m.rs
        pub const V: i32 = 1;
        == src/linked.rs -> ../elsewhere/a.rs
        == elsewhere/a.rs
        pub const V: &str = "a";
        == elsewhere/b.rs
        pub const V: &str = "b";
        "#,
    );
    world.push_edit("elsewhere/m.rs", "1", "2");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.push_edit("elsewhere/a.rs", "\"a\"", "\"a2\"");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.push("== src/linked.rs -> ../elsewhere/b.rs\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_module_that_becomes_a_directory_is_compiled_and_back_it_is_served() {
    let world = World::built(TWO);
    world.push_without(&["app/src/part.rs"]);
    world.push("== app/src/part/mod.rs\npub const VALUE: &str = \"directory\";\n");
    world.next_job();
    world.right("build").expect(&["app"], &["mid"]);
    world.push_without(&["app/src/part"]);
    world.push("== app/src/part.rs\npub const VALUE: &str = \"p1\";\n");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_module_that_is_in_two_places_is_an_error_whichever_was_there_first() {
    for (first, second) in
        [("app/src/part.rs", "app/src/part/mod.rs"), ("app/src/part/mod.rs", "app/src/part.rs")]
    {
        let world = World::new(&TWO.replace("app/src/part.rs", first));
        world.right("build");
        world.push(&format!("== {second}\npub const VALUE: &str = \"second\";\n"));
        world.next_job();
        assert!(!world.right("build").ok, "{second}");
        world.push_without(&[second]);
        world.next_job();
        world.right("build").expect(&[], &["app", "mid"]);
    }
}

#[test]
fn a_crate_that_is_added_to_the_workspace_is_compiled_and_nothing_else_is() {
    let world = World::built(TWO);
    world.push_edit("Cargo.toml", "\"mid\"", "\"mid\", \"more\"");
    world.push(
        "== more/Cargo.toml\n[package]\nname = 'more'\nversion = '0.1.0'\n== more/src/lib.rs\n",
    );
    world.next_job();
    world.right("build").expect(&["more"], &["app", "mid"]);
}

#[test]
fn a_source_that_does_not_compile_fails_and_its_remedy_is_served() {
    let world = World::built(TWO);
    world.push_edit("mid/src/lib.rs", "m1", "m1\" oops \"");
    world.next_job();
    assert!(!world.right("build").ok);
    world.push_edit("mid/src/lib.rs", "m1\" oops \"", "m1");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn the_same_text_in_another_file_is_another_program() {
    // Panics and `file!()` tell where they are.
    let world = World::built(
        "\n== src/main.rs\nmod a;\nfn main() { println!(\"{}\", a::at()); }\n== src/a.rs\npub fn at() -> &'static str { file!() }\n",
    );
    world.push_without(&["src/a.rs"]);
    world.push("== src/a/mod.rs\npub fn at() -> &'static str { file!() }\n");
    world.next_job();
    world.right("build").expect(&["app"], &[]);
}
