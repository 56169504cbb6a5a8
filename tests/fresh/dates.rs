//! What mtimes say, and what they conceal.

use crate::sources::TWO;
use crate::tree;
use crate::world::{Keep, World, run};

#[test]
fn a_source_that_is_dated_back_is_seen() {
    let world = World::built(TWO);
    world.edit("app/src/part.rs", "p1", "p2");
    world.date_back("app/src/part.rs");
    world.right("build").expect(&["app"], &["mid"]);
}

#[test]
fn a_source_that_another_one_is_moved_over_is_seen() {
    let world = World::new(TWO);
    world.write("== spare.rs\npub const VALUE: &str = \"moved\";\n");
    world.date_back("spare.rs");
    world.right("build");
    World::tick();
    std::fs::rename(world.at("spare.rs"), world.at("app/src/part.rs")).unwrap();
    world.right("build").expect(&["app"], &["mid"]);
}

#[test]
fn a_source_that_is_copied_over_with_its_date_is_seen() {
    let world = World::new(TWO);
    world.write("== spare.rs\npub const VALUE: &str = \"copied\";\n");
    world.date_back("spare.rs");
    world.right("build");
    World::tick();
    run(world.tool("cp").arg("-p").arg(world.at("spare.rs")).arg(world.at("app/src/part.rs")));
    world.right("build").expect(&["app"], &["mid"]);
}

#[test]
fn a_checkout_whose_sources_are_all_old_is_judged_by_content() {
    let world = World::built(TWO);
    world.push_edit("mid/src/lib.rs", "m1", "m2");
    world.next_job();
    for name in
        ["app/src/main.rs", "app/src/part.rs", "mid/src/lib.rs", "app/Cargo.toml", "mid/Cargo.toml"]
    {
        world.date_back(name);
    }
    world.right("build").expect(&["app", "mid"], &[]);
    // And once more, in the same checkout, with what was there before.
    world.edit("mid/src/lib.rs", "m2", "m1");
    world.date_back("mid/src/lib.rs");
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_target_directory_of_another_commit_is_not_believed() {
    // In every profile and for every target: as on a runner that keeps its checkout and gets its
    // cache from elsewhere.
    let world = World::new(TWO);
    let target = format!("build --target {}", host());
    let all = ["build", "build --release", "build --profile slow", &target];
    let profile = "[profile.slow]\ninherits = \"dev\"\nopt-level = 1\n";
    let manifest = std::fs::read_to_string(world.origin.join("Cargo.toml")).unwrap();
    world.push(&format!("== Cargo.toml\n{manifest}{profile}"));
    world.check_out("main");
    for words in all {
        world.build(words);
    }
    world.save();
    world.push_edit("app/src/part.rs", "p1", "p2");
    world.check_out("main");
    world.load();
    world.date_back("app/src/part.rs");
    for words in all {
        world.right(words).expect(&["app"], &["mid"]);
    }
}

/// The target of this machine.
pub(crate) fn host() -> String {
    let said = run(std::process::Command::new(
        std::path::Path::new(env!("CARGO")).with_file_name("rustc"),
    )
    .arg("-vV"));
    let text = String::from_utf8(said.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn two_sources_that_change_places_are_seen() {
    let world = World::built(
        "\n== src/main.rs\nmod a; mod b;\nfn main() { println!(\"{} {}\", a::V, b::V); }\n== src/a.rs\npub const V: i32 = 1;\n== src/b.rs\npub const V: i32 = 2;\n",
    );
    World::tick();
    let (one, other, between) = (world.at("src/a.rs"), world.at("src/b.rs"), world.at("between"));
    for (from, to) in [(&one, &between), (&other, &one), (&between, &other)] {
        std::fs::rename(from, to).unwrap();
    }
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn two_directories_that_change_places_are_seen() {
    let world = World::built(
        "\n== src/main.rs\nmod a; mod b;\nfn main() { println!(\"{} {}\", a::V, b::V); }\n== src/a/mod.rs\npub const V: i32 = 1;\n== src/b/mod.rs\npub const V: i32 = 2;\n",
    );
    World::tick();
    let (one, other, between) = (world.at("src/a"), world.at("src/b"), world.at("between"));
    for (from, to) in [(&one, &between), (&other, &one), (&between, &other)] {
        std::fs::rename(from, to).unwrap();
    }
    world.right("build").expect(&["app"], &[]);
}

#[test]
fn a_link_that_is_turned_to_an_older_source_is_seen() {
    let world = World::built(
        "\n== src/main.rs\nmod m;\nfn main() { println!(\"{}\", m::V); }\n== src/m.rs -> ../a.rs\n== a.rs\npub const V: i32 = 1;\n== b.rs\npub const V: i32 = 2;\n",
    );
    world.write("== src/m.rs -> ../b.rs\n");
    world.right("build").expect(&["app"], &[]);
    world.write("== src/m.rs -> ../a.rs\n");
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn touching_everything_compiles_nothing() {
    let world = World::built(TWO);
    World::tick();
    for name in ["app/src/main.rs", "app/src/part.rs", "mid/src/lib.rs"] {
        filetime::set_file_mtime(world.at(name), filetime::FileTime::now()).unwrap();
    }
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_clean_is_a_clean_and_compiles_nothing() {
    let world = World::built(TWO);
    for words in ["clean -p app", "clean"] {
        world.plain(words);
        let built = world.right("build");
        assert_eq!(built.compiled, [""; 0], "{words}");
        assert!(built.reused.contains(&"app".to_owned()), "{words}");
    }
}

#[test]
fn plain_cargo_between_ours_and_an_edit_undone_is_right() {
    let world = World::built(TWO);
    world.edit("app/src/part.rs", "p1", "p2");
    world.plain("build");
    world.edit("app/src/part.rs", "p2", "p1");
    world.right("build").expect(&[], &["app"]);
}

#[test]
fn plain_cargo_after_ours_finds_nothing_stale() {
    // We write no mtime of a source, so whoever judges by them is right still.
    let world = World::built(TWO);
    for target in ["target/other", "elsewhere"] {
        let words = format!("build --target-dir {target}");
        world.plain(&words);
        world.edit("app/src/part.rs", "p1", "p2");
        world.plain(&words);
        world.edit("app/src/part.rs", "p2", "p1");
        world.right("build");
        let plain = world.plain(&words);
        world.is_right(&words, &plain);
        let ours = world.right(&words);
        assert!(ours.ok);
    }
}

#[test]
fn a_target_directory_that_was_built_later_elsewhere_is_not_believed() {
    // The sources here were not touched since long before that, so no date says it.
    let world = World::built(TWO);
    let kept = world.base.join("kept");
    std::fs::rename(&world.checkout, &kept).unwrap();
    world.push_edit("app/src/part.rs", "p1", "p2");
    world.check_out("main");
    world.right("build");
    world.save_as("later.tar", Keep::Target);
    tree::remove(&world.checkout);
    std::fs::rename(&kept, &world.checkout).unwrap();
    tree::remove(&world.at("target"));
    world.load_from("later.tar");
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_source_that_was_written_during_the_build_before_and_then_moved_is_seen() {
    // Its mtime lies between the beginning of our command and that of rustc.
    let world = World::new(&format!(
        "{TWO}    == app/build.rs\n    fn main() {{\n        println!(\"cargo:rerun-if-changed=build.rs\");\n        \
         std::fs::write(\"../spare.rs\", \"pub const VALUE: &str = \\\"spare\\\";\").unwrap();\n    }}\n"
    ));
    world.right("build");
    std::thread::sleep(std::time::Duration::from_millis(50));
    // A clean build has written it once more.
    world.plain("clean");
    world.build("build");
    std::thread::sleep(std::time::Duration::from_millis(50));
    std::fs::rename(world.at("spare.rs"), world.at("app/src/part.rs")).unwrap();
    let built = world.build("build");
    assert!(built.seen.contains("spare"), "{}", built.seen);
}

#[test]
fn a_target_directory_that_is_a_copy_of_another_is_judged_by_content() {
    let world = World::built(TWO);
    run(world.tool("cp").args(["-a", "target", "copy"]).current_dir(&world.checkout));
    world.edit("app/src/part.rs", "p1", "p2");
    world.right("build");
    world.date_back("app/src/part.rs");
    world.right("build --target-dir copy");
    tree::remove(&world.at("target"));
    std::fs::rename(world.at("copy"), world.at("target")).unwrap();
    world.right("build");
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn a_link_to_a_whole_disk_is_not_walked_to_its_end() {
    let world = World::new(TWO);
    std::os::unix::fs::symlink("/", world.at("root")).unwrap();
    world.right("build").expect(&["app", "mid"], &[]);
    world.edit("app/src/part.rs", "p1", "p2");
    world.right("build").expect(&["app"], &["mid"]);
}

/// A target directory that no setting names: only who runs cargo knows of it. It comes out of a
/// cache, and all sources are old.
#[test]
fn a_target_directory_that_only_the_command_knows_of_is_not_believed() {
    let world = World::new(TWO);
    let elsewhere = world.base.join("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    let by_alias = format!("{elsewhere}-by-alias");
    world.write(&format!(
        "== .cargo/config.toml\nalias.here = ['build', '-q', '--offline', '--target-dir', '{by_alias}']\n"
    ));
    let by_config = format!("{elsewhere}-by-config");
    for (target, scripts) in [
        (
            "tt",
            [
                "cargo build -q --offline --target-dir HERE",
                "CARGO_TARGET_DIR=HERE cargo build -q --offline",
            ],
        ),
        (
            elsewhere,
            [
                "cargo build -q --offline --target-dir HERE",
                "CARGO_TARGET_DIR=HERE cargo build -q --offline",
            ],
        ),
        // The first call of rustc there tells of these.
        (&by_alias, ["cargo here", "cargo here"]),
        (
            &by_config,
            ["cargo build -q --offline --config net.retry=1 --config \"build.target-dir='HERE'\"";
                2],
        ),
    ] {
        let scripts = scripts.map(|script| script.replace("HERE", target));
        for (script, value) in scripts.iter().zip(["p2", "p3"]) {
            let says = |value: &str| {
                world.write(&format!("== app/src/part.rs\npub const VALUE: &str = \"{value}\";\n"));
                for name in ["app/src/part.rs", "app/src/main.rs", "mid/src/lib.rs"] {
                    world.date_back(name);
                }
                run(&mut world.ours(&[], &["sh", "-c", script]));
                let program = world.at(target).join("debug/app");
                String::from_utf8(run(&mut world.tool(program.to_str().unwrap())).stdout).unwrap()
            };
            assert_eq!(says("p1"), "p1 m1\n", "{script}");
            // As a cache restores it.
            let (there, moved) = (world.at(target), world.base.join("moved"));
            run(world.tool("cp").arg("-a").arg(&there).arg(&moved));
            tree::remove(&there);
            run(world.tool("cp").arg("-a").arg(&moved).arg(&there));
            tree::remove(&moved);
            assert_eq!(says(value), format!("{value} m1\n"), "{script}");
        }
    }
}

/// Its packages are none of the workspace that the command is for.
#[test]
fn another_workspace_in_the_checkout_is_not_believed_out_of_a_cache() {
    let world = World::new(
        r#"
        == Cargo.toml
        [package]
        name = "app"
        version = "0.1.0"
        edition = "2021"
        [workspace]
        exclude = ["tools"]
        == src/main.rs
        fn main() {}
        == tools/Cargo.toml
        [package]
        name = "tool"
        version = "0.1.0"
        edition = "2021"
        [workspace]
        == tools/src/main.rs
        fn main() { println!("one"); }
        "#,
    );
    let says = |word: &str| {
        world.write(&format!("== tools/src/main.rs\nfn main() {{ println!(\"{word}\"); }}\n"));
        world.date_back("tools/src/main.rs");
        run(&mut world.ours(&[], &["sh", "-c", "cd tools && cargo run -q --offline"])).stdout
    };
    assert_eq!(says("one"), b"one\n");
    let (there, moved) = (world.at("tools/target"), world.base.join("moved"));
    run(world.tool("cp").arg("-a").arg(&there).arg(&moved));
    tree::remove(&there);
    run(world.tool("cp").arg("-a").arg(&moved).arg(&there));
    assert_eq!(says("two"), b"two\n");
    // The old source is known by now, to whichever command.
    for _ in 0..2 {
        world.build("build --manifest-path tools/Cargo.toml").expect(&[], &[]);
    }
}

/// Of the directory that a link leads to, too.
#[test]
fn a_profile_on_another_disk_is_not_believed_out_of_a_cache() {
    let world = World::new(TWO);
    let disk = world.base.join("disk");
    std::fs::create_dir(&disk).unwrap();
    let link = || {
        std::fs::create_dir_all(world.at("target")).unwrap();
        std::os::unix::fs::symlink(&disk, world.at("target/debug")).unwrap();
    };
    link();
    world.date_back("app/src/part.rs");
    world.right("build").expect(&["app", "mid"], &[]);
    world.push_edit("app/src/part.rs", "p1", "p2");
    world.check_out("main");
    link();
    for name in ["app/src/part.rs", "app/src/main.rs", "mid/src/lib.rs"] {
        world.date_back(name);
    }
    world.right("build").expect(&["app", "mid"], &[]);
}

/// The directory of ours and the target directory are shared, the checkouts are not.
#[test]
fn two_checkouts_that_share_everything_are_told_apart() {
    let mut world = World::new(TWO);
    let shared = |name: &str| world.base.join(name).to_str().unwrap().to_owned();
    let (root, target) = (shared("root"), shared("target"));
    world.set("PYENV_BUILD_ROOT", &root);
    world.set("CARGO_TARGET_DIR", &target);
    let other = world.base.join("other");
    let says = |checkout: &std::path::Path| {
        let mut command = world.ours(&[], &["cargo", "run", "-q", "--offline", "-p", "app"]);
        String::from_utf8(run(command.current_dir(checkout)).stdout).unwrap()
    };
    // The other one is made while a build of the first goes on.
    let clone = "git clone -q ../origin ../other && sed -i s/p1/p2/ ../other/app/src/part.rs && cargo build -q --offline";
    run(&mut world.ours(&[], &["sh", "-c", clone]));
    for _ in 0..2 {
        assert_eq!(says(&other), "p2 m1\n");
        assert_eq!(says(&world.checkout), "p1 m1\n");
    }
}

/// cargo writes a lock file that lags behind the manifests again; what the dependencies are is
/// known all the same, also of those that were built without us.
#[test]
fn a_lock_file_that_lags_behind_does_not_make_jobs_cold() {
    let world = World::new(
        r#"
        == app/Cargo.toml
        [dependencies]
        cfg-if = "1"
        == app/src/main.rs
        fn main() { cfg_if::cfg_if! { if #[cfg(unix)] { println!("unix") } else { println!("other") } } }
        "#,
    );
    let lock = std::fs::read_to_string(world.origin.join("Cargo.lock")).unwrap();
    let (start, end) = lock.split_once("name = \"app\"\nversion = \"0.1.0\"").unwrap();
    world.push(&format!("== Cargo.lock\n{start}name = \"app\"\nversion = \"0.0.9\"{end}"));
    world.check_out("main");
    world.plain("build");
    world.build("build").expect(&["app"], &[]);
    for _ in 0..2 {
        world.next_job();
        world.build("build").expect(&[], &["app"]);
    }
}
