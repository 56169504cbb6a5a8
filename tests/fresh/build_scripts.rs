//! What build scripts read, declared or not: they are judged by what they make of it.

use crate::skip::not_tested;
use crate::world::{World, run};

/// A program that prints what its build script has read, which declares only itself.
fn reader(expression: &str) -> String {
    format!(
        r#"
        == build.rs
        fn main() {{
            println!("cargo:rerun-if-changed=build.rs");
            println!("cargo:rustc-env=WORLD_READ={{}}", {expression});
        }}
        == src/main.rs
        fn main() {{ println!("{{}}", env!("WORLD_READ")); }}
        "#
    )
}

fn reader_of(file: &str) -> String {
    reader(&format!("std::fs::read_to_string({file:?}).unwrap().trim()"))
        + &format!("== {file}\n        one\n")
}

/// In a fresh checkout the change is seen, and after it nothing is compiled again.
#[track_caller]
fn seen_once(world: &World) {
    world.next_job();
    world.right("build").expect(&["app"], &[]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_file_that_is_not_declared_is_seen_in_a_fresh_checkout() {
    for file in [
        "data.txt",
        ".sqlx/query.json",
        ".env",
        "tests/data.txt",
        "docs/text.md",
        "python/mine.py",
        "node_modules/x/y.json",
    ] {
        let world = World::built(&reader_of(file));
        world.push(&format!("== {file}\ntwo\n"));
        seen_once(&world);
    }
}

#[test]
fn a_file_that_git_ignores_and_an_earlier_step_makes_is_seen() {
    let world = World::built(&reader(
        "std::fs::read_to_string(\"made/bundle.js\").unwrap_or_default().trim()",
    ));
    for text in ["one", "two"] {
        world.next_job();
        world.write(&format!("== made/bundle.js\n{text}\n"));
        world.right("build").expect(&["app"], &[]);
    }
}

#[test]
fn a_file_outside_of_the_checkout_is_seen() {
    let world = World::new(&reader("std::fs::read_to_string(\"../outside.txt\").unwrap().trim()"));
    std::fs::write(world.base.join("outside.txt"), "one").unwrap();
    world.right("build");
    std::fs::write(world.base.join("outside.txt"), "two").unwrap();
    seen_once(&world);
}

#[test]
fn a_package_that_declares_nothing_is_seen_too() {
    let world = World::built(
        &reader_of("data.txt").replace("println!(\"cargo:rerun-if-changed=build.rs\");", ""),
    );
    world.push("== data.txt\ntwo\n");
    seen_once(&world);
    world.push("== notes.txt\nnothing that it reads\n");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_variable_that_is_not_declared_is_seen() {
    let mut world = World::new(&reader("std::env::var(\"WORLD_SHA\").unwrap_or_default()"));
    world.set("WORLD_SHA", "aaa");
    world.right("build");
    world.set("WORLD_SHA", "bbb");
    seen_once(&world);
}

#[test]
fn a_build_script_that_asks_git_is_asked_again_in_each_checkout() {
    let revision = "String::from_utf8(std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"]).output().unwrap().stdout).unwrap().trim()";
    let world = World::built(&reader(revision));
    world.commit();
    seen_once(&world);
    world.push("== README.md\nmore\n");
    seen_once(&world);
}

#[test]
fn what_is_in_a_submodule_is_seen() {
    let world = World::new(&reader(
        "std::fs::read_to_string(\"sub/x.txt\").map_or(\"none\".to_owned(), |text| text.trim().to_owned())",
    ));
    let sub = world.base.join("sub");
    std::fs::create_dir(&sub).unwrap();
    let git = |directory: &std::path::Path, words: &[&str]| {
        run(world
            .tool("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(words)
            .current_dir(directory))
    };
    git(&sub, &["init", "-q", "-b", "main"]);
    let commit = |text: &str| {
        std::fs::write(sub.join("x.txt"), text).unwrap();
        git(&sub, &["add", "-A"]);
        git(&sub, &["commit", "-qm", "x"]);
    };
    commit("one");
    git(&world.origin, &["submodule", "-q", "add", sub.to_str().unwrap(), "sub"]);
    world.commit();
    let job = |world: &World| {
        world.save();
        world.check_out("main");
        git(&world.checkout, &["submodule", "-q", "update", "--init"]);
        world.load();
    };
    job(&world);
    world.right("build");
    job(&world);
    world.right("build").expect(&[], &["app"]);
    commit("two");
    git(&world.origin.join("sub"), &["pull", "-q"]);
    world.commit();
    job(&world);
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn the_mode_of_a_file_that_a_script_packs_is_seen() {
    let world = World::built(
        &(reader(
            "std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(\"tool.sh\").unwrap().permissions()) & 0o111 != 0",
        ) + "== tool.sh\n        echo\n"),
    );
    std::fs::set_permissions(
        world.origin.join("tool.sh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    world.commit();
    seen_once(&world);
}

#[test]
fn what_is_behind_a_link_is_seen() {
    let world = World::built(
        &(reader("std::fs::read_to_string(\"proto/x.proto\").unwrap().trim()")
            + "== shared/x.proto\n        one\n        == proto -> shared\n        == other/x.proto\n        three\n"),
    );
    world.push("== shared/x.proto\ntwo\n");
    seen_once(&world);
    world.push("== proto -> other\n");
    seen_once(&world);
}

#[test]
fn a_directory_is_compared_by_what_the_script_makes_of_it() {
    let names = "{ let mut names: Vec<String> = std::fs::read_dir(\"data\").unwrap().map(|entry| entry.unwrap()).map(|entry| format!(\"{}={}\", \
                 entry.file_name().to_string_lossy(), std::fs::read_to_string(entry.path()).map_or(\"?\".to_owned(), |text| text.trim().to_owned()))).collect(); names.sort(); names.join(\",\") }";
    let text = reader(names).replace("changed=build.rs", "changed=data");
    let world = World::built(
        &(text
            + "== data/a\n        1\n        == data/loop -> .\n        == data/dangling -> nowhere\n        == data/folder -> ../src\n"),
    );
    for _ in 0..2 {
        world.next_job();
        world.right("build").expect(&[], &["app"]);
    }
    // The script runs, and makes the same of it.
    world.push("== data/dangling -> nowhere-else\n");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
    world.git(&["mv", "data/a", "data/A"]);
    world.commit();
    seen_once(&world);
    world.push("== data/b\n2\n");
    seen_once(&world);
}

#[test]
fn a_build_script_that_appears_and_one_that_goes() {
    let world = World::built(
        "\n== src/main.rs\nfn main() { println!(\"{}\", option_env!(\"WORLD_READ\").unwrap_or(\"none\")); }\n== data.txt\none\n",
    );
    world.push(
        "== build.rs\nfn main() { println!(\"cargo:rustc-env=WORLD_READ={}\", std::fs::read_to_string(\"data.txt\").unwrap().trim()); }\n",
    );
    seen_once(&world);
    world.push("== data.txt\ntwo\n");
    seen_once(&world);
    world.push_without(&["build.rs"]);
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_build_script_that_was_edited_and_says_the_same_compiles_nothing_above_it() {
    let world = World::built(&reader_of("data.txt"));
    world.push_edit("build.rs", "fn main", "/* a word more */ fn main");
    world.next_job();
    let built = world.right("build");
    // The script is a crate of the same package, and that was compiled.
    assert_eq!(built.report["store"]["reused"], 1, "{:#}", built.report);
    world.push_edit("build.rs", "WORLD_READ={}\", ", "WORLD_READ=more {}\", ");
    world.next_job();
    assert_eq!(world.right("build").report["store"]["reused"], 0);
}

#[test]
fn a_cfg_that_a_build_script_sets_is_seen() {
    let world = World::built(
        r#"
        == build.rs
        fn main() {
            println!("cargo:rustc-check-cfg=cfg(fast)");
            if std::fs::read_to_string("kind.txt").unwrap().trim() == "fast" { println!("cargo:rustc-cfg=fast"); }
        }
        == src/main.rs
        fn main() { println!("{}", cfg!(fast)); }
        == kind.txt
        slow
        "#,
    );
    world.push("== kind.txt\nfast\n");
    seen_once(&world);
    world.push("== kind.txt\nslower\n");
    world.next_job();
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn the_remedies_that_everybody_knows_have_their_effect() {
    let world = World::new(&reader("std::fs::read_to_string(\"../outside.txt\").unwrap().trim()"));
    let outside = |text: &str| std::fs::write(world.base.join("outside.txt"), text).unwrap();
    outside("one");
    world.right("build");
    for (number, remedy) in ["clean -p app", "clean", "touch"].into_iter().enumerate() {
        outside(&format!("more {number}"));
        if remedy == "touch" {
            World::tick();
            filetime::set_file_mtime(world.at("build.rs"), filetime::FileTime::now()).unwrap();
        } else {
            world.plain(remedy);
        }
        world.right("build").expect(&["app"], &[]);
    }
}

#[test]
fn a_file_that_a_later_step_leaves_in_the_package_costs_nothing() {
    let world = World::built(
        &reader_of("data.txt").replace("println!(\"cargo:rerun-if-changed=build.rs\");", ""),
    );
    for _ in 0..2 {
        world.next_job();
        world.right("build").expect(&[], &["app"]);
        world.write("== report.xml\nleft\n");
        world.right("build").expect(&[], &["app"]);
    }
}

#[test]
fn a_checkout_of_another_owner_is_judged_like_any() {
    if !std::fs::metadata("/proc/self")
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
    {
        return not_tested("a checkout of another owner", "only root can make one");
    }
    let world = World::built(&(reader_of("data.txt") + "== .hidden/x.yml\n        x\n"));
    world.next_job();
    run(world.tool("chown").args(["-R", "12345"]).arg(&world.checkout));
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn a_build_script_in_the_middle_tells_the_one_above_by_variables() {
    let world = World::built(
        r#"
        == app/Cargo.toml
        [dependencies]
        sys = { path = "../sys" }
        == app/build.rs
        fn main() { println!("cargo:rustc-env=WORLD_ABOVE={}", std::env::var("DEP_THING_KIND").unwrap()); }
        == app/src/main.rs
        fn main() { println!("{}", env!("WORLD_ABOVE")); }
        == sys/Cargo.toml
        links = "thing"
        == sys/build.rs
        fn main() { println!("cargo:kind={}", std::fs::read_to_string("kind.txt").unwrap().trim()); }
        == sys/src/lib.rs
        == sys/kind.txt
        one
        "#,
    );
    world.push("== sys/kind.txt\ntwo\n");
    world.next_job();
    world.right("build").expect(&["app"], &["sys"]);
    world.next_job();
    world.right("build").expect(&[], &["app", "sys"]);
}
