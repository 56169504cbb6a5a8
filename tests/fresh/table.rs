//! One thing that happens at a time.

use std::process::Command;

use crate::world::{How, Node, World, run};

fn built() -> (World, How) {
    let (world, how) = (World::new(), How::default());
    let first = world.build_right(&how);
    assert!(first.compiled.contains(&"app".to_owned()), "{:?}", first.compiled);
    assert!(first.report["crates"]["compiled"].as_array().unwrap().iter().all(|one| one["reason"] == "first-build"), "{}", first.report);
    (world, how)
}

/// What is compiled after a change in a fresh checkout: it and what depends on it.
#[track_caller]
fn after(change: impl Fn(&mut World), compiled: &[&str]) -> serde_json::Value {
    let (mut world, how) = built();
    world.next_job();
    change(&mut world);
    let second = world.build_right(&how);
    let mut names = second.compiled.clone();
    names.sort();
    assert_eq!(names, compiled, "{}", second.report["crates"]);
    // And it has settled.
    world.next_job();
    let third = world.build_right(&how);
    assert_eq!(third.compiled, [""; 0], "{}", third.report["crates"]);
    second.report
}

#[test]
fn nothing_changed_nothing_is_compiled_three_times() {
    let (world, how) = built();
    for _ in 0..3 {
        world.next_job();
        let built = world.build_right(&how);
        assert_eq!(built.compiled, [""; 0], "{}", built.report["crates"]);
        assert!(built.report["freshness"]["restored"].as_u64().unwrap() > 10, "{}", built.report["freshness"]);
    }
    // And without a new checkout, nothing is left to do.
    let built = world.build_right(&how);
    assert_eq!((built.compiled.len(), built.report["freshness"]["restored"].as_u64()), (0, Some(0)), "{}", built.report["freshness"]);
}

#[test]
fn what_is_known_already_is_not_written_down_again() {
    let (mut world, how) = built();
    let generation = |world: &World| {
        let directory = world.at(".pyenv-build/freshness");
        let ledger = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
        std::fs::read_to_string(ledger).unwrap()
    };
    world.next_job();
    world.build_right(&how);
    let settled = generation(&world);
    world.build_right(&how);
    assert_eq!(generation(&world), settled);
    // What no unit was made from is not in it; what a unit may read is, compiled anew or not.
    world.write("README.md", "other");
    world.build_right(&how);
    assert_eq!(generation(&world), settled);
    let text = std::fs::read_to_string(world.at("user/src/lib.rs")).unwrap();
    world.write("user/src/lib.rs", &text);
    world.build_right(&how);
    assert_ne!(generation(&world), settled, "the same text with another date");
}

#[test]
fn without_us_a_fresh_checkout_compiles_all() {
    let (world, how) = built();
    world.next_job();
    let before = std::fs::metadata(world.at("target/debug/app")).unwrap().modified().unwrap();
    world.build_right(&How { plain: true, ..how });
    assert!(std::fs::metadata(world.at("target/debug/app")).unwrap().modified().unwrap() > before, "this test would show nothing");
}

#[test]
fn a_source_in_a_leaf() {
    let report = after(|world| world.replace("user/src/lib.rs", "u0", "u1"), &["app", "user"]);
    let compiled = report["crates"]["compiled"].as_array().unwrap();
    let user = compiled.iter().find(|one| one["name"] == "user").unwrap();
    assert_eq!((user["reason"].as_str(), user["detail"].as_str()), (Some("input-changed"), Some("user/src/lib.rs")));
    assert_eq!(user["root_cause"], true);
    let app = compiled.iter().find(|one| one["name"] == "app").unwrap();
    assert_eq!((app["reason"].as_str(), app["detail"].as_str()), (Some("dependency-rebuilt"), Some("user")));
    assert_eq!((report["crates"]["fresh"].as_u64(), report["freshness"]["changed"].as_u64()), (Some(5), Some(1)), "{report}");
}

#[test]
fn a_source_in_the_middle_of_nothing() {
    after(|world| world.write("README.md", "other"), &[]);
    after(|world| world.write("user/python/mine.py", "x = 1"), &[]);
}

#[test]
fn a_file_of_a_declared_directory_and_a_declared_file() {
    after(|world| world.write("listed/data/a.txt", "a1\n"), &["app", "listed"]);
    after(|world| world.write("listed/one.txt", "one1\n"), &["app", "listed"]);
}

#[test]
fn data_outside_of_the_package() {
    let report = after(|world| world.write("shared/text.txt", "text1\n"), &["app", "listed"]);
    let compiled = report["crates"]["compiled"].as_array().unwrap();
    assert!(compiled.iter().any(|one| one["detail"].as_str().is_some_and(|detail| detail.ends_with("shared/text.txt"))), "{report}");
}

#[test]
fn a_procedural_macro_and_a_build_script() {
    after(|world| world.replace("macros/src/lib.rs", "format!(\"{:?}\"", "format!( \"{:?}\""), &["app", "macros", "user"]);
    after(|world| world.replace("listed/build.rs", "fn main", "\nfn main"), &["app", "listed"]);
}

#[test]
fn a_file_added_removed_renamed_moved_in_a_declared_directory() {
    after(|world| world.write("listed/data/c.txt", "c0\n"), &["app", "listed"]);
    after(|world| world.remove("listed/data/a.txt"), &["app", "listed"]);
    after(
        |world| {
            world.remove("listed/data/a.txt");
            world.write("listed/data/z.txt", "a0\n");
        },
        &["app", "listed"],
    );
    after(
        |world| {
            world.remove("listed/data/deep/b.txt");
            std::fs::remove_dir(world.at("listed/data/deep")).unwrap();
            world.write("listed/data/deeper/b2.txt", "b0\n");
        },
        &["app", "listed"],
    );
}

#[test]
fn a_module_moved_to_a_directory_of_its_own() {
    after(
        |world| {
            let Node::File(text) = world.tree["app/src/part.rs"].clone() else { unreachable!() };
            world.remove("app/src/part.rs");
            world.tree.insert("app/src/part/mod.rs".into(), Node::File(text));
            world.put("app/src/part/mod.rs");
        },
        &["app"],
    );
}

#[test]
fn contents_swapped() {
    after(
        |world| {
            world.write("listed/data/a.txt", "b0\n");
            world.write("listed/data/deep/b.txt", "a0\n");
        },
        &["app", "listed"],
    );
    after(
        |world| {
            world.write("listed/src/turn_a.rs", "pub const VALUE: &str = \"tb\";\n");
            world.write("listed/src/turn_b.rs", "pub const VALUE: &str = \"ta\";\n");
        },
        &["app", "listed"],
    );
}

#[test]
fn changed_and_changed_back_to_what_was_older() {
    let (mut world, how) = built();
    world.save("first.tar");
    world.replace("app/src/part.rs", "p0", "p1");
    world.build_right(&how);
    world.replace("app/src/part.rs", "p1", "p0");
    world.next_job();
    assert_eq!(world.build_right(&how).compiled, ["app"]);
}

#[test]
fn an_old_style_script_sees_files_change_come_and_go() {
    after(|world| world.write("old/assets/x.txt", "x1\n"), &["app", "old"]);
    after(|world| world.write("old/assets/z.txt", "z0\n"), &["app", "old"]);
    after(
        |world| {
            world.remove("old/assets/x.txt");
            world.write("old/assets/w.txt", "x0\n");
        },
        &["app", "old"],
    );
}

/// A fresh checkout lacks what the script has written, which it does not declare.
#[test]
fn what_a_script_writes_into_the_source_tree_is_written_again() {
    let (mut world, how) = built();
    let made = world.at("maker/made/part.rs");
    let compiled = |world: &World| {
        let mut compiled = world.build_right(&how).compiled;
        compiled.sort();
        compiled
    };
    for _ in 0..2 {
        world.next_job();
        assert_eq!(compiled(&world), [""; 0]);
        world.next_job();
        std::fs::remove_dir_all(world.at("maker/made")).unwrap();
        assert_eq!(compiled(&world), ["app", "maker"]);
        assert_eq!(compiled(&world), [""; 0]);
    }
    world.next_job();
    std::fs::remove_dir_all(world.at("maker/made")).unwrap();
    world.write("maker/recipe.txt", "r1\n");
    assert_eq!(compiled(&world), ["app", "maker"]);
    // Somebody else has had a hand in it.
    for change in ["pub const MADE: &str = \"by hand\";\n", ""] {
        let _ = if change.is_empty() { std::fs::remove_file(&made) } else { std::fs::write(&made, change) };
        world.build_right(&how);
        assert_eq!(compiled(&world), [""; 0]);
    }
}

/// Generated sources are often committed, and not all that is generated is ignored.
#[test]
fn what_a_script_writes_beside_what_git_ignores() {
    let mut world = World::new();
    let script =
        "fn main() {\n    std::fs::write(\"bindings.txt\", \"same\\n\").unwrap();\n    std::fs::write(\"loose.txt\", \"1\").unwrap();\n";
    world.replace("maker/build.rs", "fn main() {", script);
    world.write("maker/bindings.txt", "same\n");
    World::tick();
    Command::new("git").args(["add", "-A"]).current_dir(&world.path).status().unwrap();
    let how = How::default();
    world.build_right(&how);
    for _ in 0..2 {
        let built = world.build_right(&how);
        assert_eq!(built.compiled, [""; 0], "{}", built.report["crates"]);
    }
    // It may be read by what is compiled.
    world.write("maker/bindings.txt", "changed\n");
    assert!(world.build_right(&how).compiled.contains(&"maker".to_owned()));
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let (mut world, how) = built();
    let name = std::ffi::OsStr::from_bytes(b"\xff.txt");
    std::fs::write(world.at("hidden").join(name), "").unwrap();
    world.build_right(&how);
    world.build_right(&how);
    world.replace("old/assets/x.txt", "x0", "x1");
    world.build_right(&how);
}

#[test]
fn what_a_script_wrote_when_we_were_not_there_and_has_changed_since() {
    let (world, how) = built();
    let made = world.at("maker/made/part.rs");
    let by_hand = "pub const MADE: &str = \"by hand\";\n";
    for change in [Some(by_hand), None] {
        world.date("maker/recipe.txt", 0);
        assert!(world.build(&How { plain: true, ..How::default() }).ok);
        match change {
            Some(text) => std::fs::write(&made, text).unwrap(),
            None => std::fs::remove_file(&made).unwrap(),
        }
        world.build_right(&how);
        assert_eq!(world.build_right(&how).compiled, [""; 0]);
    }
}

/// cargo notes which one is the newest; of several it takes the first that the directory lists, and on another machine that is another.
#[test]
fn several_files_of_an_old_style_package_are_the_newest() {
    let (mut world, how) = (World::new(), How::default());
    let files = ["old/Cargo.toml", "old/build.rs", "old/src/lib.rs", "old/assets/x.txt", "old/assets/y.txt"];
    let now = filetime::FileTime::from_unix_time(filetime::FileTime::now().unix_seconds(), 123_456_789);
    for name in files {
        filetime::set_file_mtime(world.at(name), now).unwrap();
    }
    world.build_right(&how);
    let date = |world: &World, name: &str| filetime::FileTime::from_last_modification_time(&std::fs::metadata(world.at(name)).unwrap());
    let nanoseconds = |world: &World| {
        let mut found = files.map(|name| date(world, name).nanoseconds());
        found.sort_unstable();
        found
    };
    let alone = [123_456_788, 123_456_788, 123_456_788, 123_456_788, 123_456_789];
    assert_eq!(nanoseconds(&world), alone);
    world.next_job();
    let built = world.build_right(&how);
    assert_eq!((built.compiled.len(), nanoseconds(&world)), (0, alone), "{}", built.report["crates"]);
    // What is new is no less so.
    world.replace("old/assets/x.txt", "x0", "x1");
    world.build_right(&how);
}

#[test]
fn a_file_that_was_not_the_newest_of_an_old_style_package_is_gone() {
    let mut world = World::new();
    world.date("old/assets/x.txt", 1000);
    let how = How::default();
    world.build_right(&how);
    world.next_job();
    world.remove("old/assets/x.txt");
    assert_eq!(world.build_right(&how).compiled, ["old", "app"]);
}

#[test]
fn links_that_lead_elsewhere() {
    // Out of the package, declared; and within it, of which cargo forgets the link.
    after(|world| world.turn("listed/pointer", "../shared/linked_b.txt"), &["app", "listed"]);
    after(|world| world.turn("listed/src/turned.rs", "turn_b.rs"), &["app", "listed"]);
    // A link that became a file.
    after(|world| world.write("listed/src/turned.rs", "pub const VALUE: &str = \"tc\";\n"), &["app", "listed"]);
    after(|world| world.write("listed/pointer", "lc\n"), &["app", "listed"]);
}

#[test]
fn a_directory_link_that_leads_elsewhere() {
    let mut world = World::new();
    world.write("listed/gen_a/value.rs", "pub const VALUE: &str = \"ga\";\n");
    world.write("listed/gen_b/value.rs", "pub const VALUE: &str = \"gb\";\n");
    world.turn("listed/src/generated", "../gen_a");
    let how = How::default();
    world.turn("listed/src/turned.rs", "generated/value.rs");
    // For the model, which follows one link only.
    let expected = |world: &World, value: &str| world.expected(&How::default()).replace(" ta\nold", &format!(" {value}\nold"));
    world.tree.insert("listed/src/turned.rs".into(), Node::Link("turn_a.rs".into()));
    let first = world.build(&how);
    assert_eq!(first.printed, expected(&world, "ga"), "{}", first.stderr);
    world.tree.insert("listed/src/turned.rs".into(), Node::Link("generated/value.rs".into()));
    world.next_job();
    world.turn("listed/src/generated", "../gen_b");
    world.tree.insert("listed/src/turned.rs".into(), Node::Link("turn_a.rs".into()));
    let second = world.build(&how);
    assert_eq!(second.printed, expected(&world, "gb"), "{}", second.stderr);
}

#[test]
fn the_same_size_and_a_date_in_the_future_or_long_ago() {
    for ago in [-86400, 86400 * 365] {
        after(
            |world| {
                world.replace("app/src/part.rs", "p0", "p1");
                world.date("app/src/part.rs", ago);
            },
            &["app"],
        );
    }
}

#[test]
fn a_whole_tree_with_old_dates() {
    // `tar x`, `rsync -t`, dates of commits: plain cargo would be stale.
    let (mut world, how) = built();
    world.next_job();
    world.replace("app/src/part.rs", "p0", "p1");
    world.write("listed/data/a.txt", "a1\n");
    world.write("old/assets/x.txt", "x1\n");
    for name in world.tree.keys() {
        world.date(name, 86400 * 365);
    }
    let mut names = world.build_right(&how).compiled;
    names.sort();
    assert_eq!(names, ["app", "listed", "old"]);
}

#[test]
fn content_replaced_under_its_old_date_after_the_build() {
    let (mut world, how) = built();
    let mtime = filetime::FileTime::from_last_modification_time(&std::fs::metadata(world.at("app/src/part.rs")).unwrap());
    world.replace("app/src/part.rs", "p0", "p1");
    filetime::set_file_mtime(world.at("app/src/part.rs"), mtime).unwrap();
    assert_eq!(world.build_right(&how).compiled, ["app"]);
    // The same, recorded in between by hand: what was compiled is not what is there.
    world.replace("app/src/part.rs", "p1", "p2");
    let mtime = filetime::FileTime::from_unix_time(mtime.unix_seconds() - 5, 0);
    filetime::set_file_mtime(world.at("app/src/part.rs"), mtime).unwrap();
    run(&mut world.program(&["freshness", "record"]));
    world.next_job();
    assert_eq!(world.build_right(&how).compiled, ["app"]);
}

#[test]
fn the_clock_of_the_saving_machine_was_ahead() {
    let (mut world, how) = built();
    let by = 86400;
    let mut moved = std::collections::HashSet::new();
    for entry in walkdir::WalkDir::new(world.at("target")).into_iter().filter_map(Result::ok) {
        if !moved.insert(std::os::unix::fs::MetadataExt::ino(&entry.metadata().unwrap())) {
            continue;
        }
        let mtime = filetime::FileTime::from_last_modification_time(&entry.metadata().unwrap());
        let later = filetime::FileTime::from_unix_time(mtime.unix_seconds() + by, mtime.nanoseconds());
        filetime::set_symlink_file_times(entry.path(), later, later).unwrap();
    }
    for name in world.tree.keys() {
        world.date(name, -by + 60);
    }
    // As that machine would have written it down.
    run(&mut world.program(&["freshness", "record"]));
    world.next_job();
    world.replace("app/src/part.rs", "p0", "p1");
    world.build_right(&how);
    world.replace("app/src/part.rs", "p1", "p2");
    world.write("listed/data/a.txt", "a1\n");
    world.build_right(&how);
    world.next_job();
    let built = world.build_right(&how);
    assert_eq!(built.compiled, [""; 0], "{}", built.report["crates"]);
}

#[test]
fn manifests_features_profiles_and_variables() {
    // A script sees the description in its environment; cargo does not know that.
    after(|world| world.replace("hidden/Cargo.toml", "d0", "d1"), &["app", "hidden"]);
    let (world, how) = built();
    world.next_job();
    let loud = How { loud: true, ..how.clone() };
    let built = world.build_right(&loud);
    assert_eq!(built.report["crates"]["compiled"][0]["reason"], "features-changed", "{}", built.report["crates"]);
    let red = How { colour: Some("red".into()), ..how.clone() };
    let built = world.build_right(&red);
    assert_eq!(built.compiled, ["app"]);
    let app = &built.report["crates"]["compiled"][0];
    assert_eq!((app["reason"].as_str(), app["detail"].as_str()), (Some("env-var-changed"), Some("WORLD_COLOUR")), "{app}");
    assert_eq!((app.get("old"), app["new"].as_str()), (None, Some("red")));
    world.build_right(&How { release: true, ..how.clone() });
    world.next_job();
    assert_eq!(world.build_right(&red).compiled, [""; 0]);
    assert_eq!(world.build_right(&How { release: true, ..how }).compiled, [""; 0]);
}

#[test]
fn what_is_read_and_not_declared() {
    after(|world| world.write("hidden/secret.txt", "s1\n"), &["app", "hidden"]);
    after(|world| world.write("user/words.txt", "w1\n"), &["app", "user"]);
    // The user's word that it is not, and further inputs that are named.
    let (mut world, how) = built();
    world.next_job();
    world.write("hidden/secret.txt", "s1\n");
    let built = world.build(&How { freshness: Some("declared"), ..how.clone() });
    assert_eq!(built.compiled, [""; 0], "{}", built.report["crates"]);
    assert_ne!(built.printed, world.expected(&how), "this is what the mode means");
    world.write("hidden/new.txt", "");
    world.write("README.md", "strict takes all");
    world.build_right(&How { freshness: Some("strict"), ..how.clone() });
    world.next_job();
    world.write("user/python/mine.py", "x = 1");
    let built = world.build_right(&How { freshness: Some("strict"), ..how });
    assert_eq!(built.compiled, ["user", "app"], "{}", built.report["crates"]);
}

#[test]
fn a_newer_target_with_an_older_ledger_and_the_other_way_round() {
    let (mut world, how) = built();
    let keep = |world: &World, what: &str, name: &str| {
        run(Command::new("tar").args(["--posix", "-cf"]).arg(world.base.join(name)).arg(what).current_dir(&world.path));
    };
    keep(&world, "target", "target1.tar");
    keep(&world, ".pyenv-build", "ours1.tar");
    world.replace("app/src/part.rs", "p0", "p1");
    world.replace("user/src/lib.rs", "u0", "u1");
    world.build_right(&how);
    keep(&world, "target", "target2.tar");
    keep(&world, ".pyenv-build", "ours2.tar");
    for (target, ours) in [("target2.tar", "ours1.tar"), ("target1.tar", "ours2.tar")] {
        for (part, user) in [("p0", "u0"), ("p1", "u0"), ("p1", "u1"), ("p0", "u1")] {
            world.write("app/src/part.rs", &format!("pub const VALUE: &str = \"{part}\";\n"));
            world.write(
                "user/src/lib.rs",
                &format!(
                    "pub fn words() -> String {{ format!(\"{{}} {{}}\", macros::words!(), VALUE) }}\nconst VALUE: &str = \"{user}\";\n"
                ),
            );
            world.check_out();
            world.restore(target);
            world.restore(ours);
            world.build_right(&how);
        }
    }
}

#[test]
fn a_build_that_failed_halfway() {
    let (mut world, how) = built();
    world.replace("user/src/lib.rs", "u0", "u1");
    world.replace("app/src/part.rs", "\"p0\"", "oops");
    assert!(!world.build(&how).ok);
    world.next_job();
    // The same again, then mended in another way than it was.
    assert!(!world.build(&how).ok);
    world.replace("app/src/part.rs", "oops", "\"p2\"");
    let built = world.build_right(&how);
    assert_eq!(built.compiled, ["app"], "{}", built.report["crates"]);
    world.replace("app/src/part.rs", "\"p2\"", "oops");
    assert!(!world.build(&how).ok);
    world.replace("app/src/part.rs", "oops", "\"p2\"");
    world.next_job();
    world.build_right(&how);
    // A first build that failed.
    let mut world = World::new();
    world.replace("app/src/part.rs", "\"p0\"", "oops");
    assert!(!world.build(&how).ok);
    world.next_job();
    world.replace("app/src/part.rs", "oops", "\"p1\"");
    assert_eq!(world.build_right(&how).compiled, ["app"]);
}

#[test]
fn partial_builds_and_plain_cargo_in_between() {
    let (mut world, how) = built();
    world.replace("user/src/lib.rs", "u0", "u1");
    world.replace("listed/src/turn_a.rs", "ta", "tz");
    world.build(&How { only: Some("user"), ..how.clone() });
    world.next_job();
    let mut names = world.build_right(&how).compiled;
    names.sort();
    assert_eq!(names, ["app", "listed"]);
    world.replace("user/src/lib.rs", "u1", "u2");
    World::tick();
    world.build_right(&How { plain: true, ..how.clone() });
    // What plain cargo compiled from what is there is not compiled again.
    let built = world.build_right(&how);
    assert_eq!(built.compiled, [""; 0], "{}", built.report["crates"]);
    world.replace("user/src/lib.rs", "u2", "u3");
    World::tick();
    world.build_right(&How { plain: true, ..how.clone() });
    world.next_job();
    world.replace("app/src/part.rs", "p0", "p1");
    world.build_right(&how);
}

#[test]
fn moved_to_another_place() {
    let (mut world, how) = built();
    world.save("cache.tar");
    let old = world.path.clone();
    let elsewhere = world.base.join("elsewhere");
    std::fs::rename(&world.path, &elsewhere).unwrap();
    world.check_out();
    std::fs::rename(&world.path, world.base.join("away")).unwrap();
    std::fs::rename(&elsewhere, &world.path).unwrap();
    // The old checkout is still there, with what the new one has changed.
    world.path = world.base.join("new");
    world.check_out();
    world.restore("cache.tar");
    world.write("shared/text.txt", "text1\n");
    world.date("shared/text.txt", 1000);
    assert!(old.join("shared/text.txt").exists());
    let built = world.build_right(&how);
    assert!(
        built.report["crates"]["compiled"].as_array().unwrap().iter().all(|one| one["reason"] != "first-build" || one["workspace"] == true)
    );
}

#[test]
fn unknown_formats_restore_nothing_and_say_so() {
    let (mut world, how) = built();
    world.next_job();
    let ledger = walkdir::WalkDir::new(world.at(".pyenv-build/freshness"))
        .into_iter()
        .filter_map(Result::ok)
        .find(|entry| entry.file_type().is_file())
        .unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(ledger.path()).unwrap()).unwrap();
    value["schema"] = 99.into();
    std::fs::write(ledger.path(), value.to_string()).unwrap();
    std::fs::remove_dir_all(world.at(".pyenv-build/layer")).unwrap();
    let second = world.build_right(&how);
    assert!(second.compiled.contains(&"app".to_owned()), "a ledger of another format counts as none");
    world.next_job();
    let unit = walkdir::WalkDir::new(world.at("target/debug/.fingerprint")).into_iter().filter_map(Result::ok);
    let json = unit.map(walkdir::DirEntry::into_path).find(|path| path.file_name().unwrap() == "lib-user.json").unwrap();
    let text = std::fs::read_to_string(&json).unwrap().replace("CheckDepInfo", "CheckSomethingElse");
    std::fs::write(&json, text).unwrap();
    world.replace("user/src/lib.rs", "u0", "u1");
    let third = world.build_right(&how);
    println!("{}", third.stderr);
    assert!(third.stderr.contains("nothing is restored:") && third.stderr.contains("CheckSomethingElse"), "{}", third.stderr);
}

#[test]
fn caches_that_clean_do_not_hurt() {
    let (world, how) = built();
    world.save("cache.tar");
    world.check_out();
    world.restore("cache.tar");
    // As Swatinem/rust-cache by default: nothing of the workspace's own packages is left.
    for package in ["app", "listed", "old", "hidden", "maker", "macros", "user"] {
        for directory in ["target/debug/.fingerprint", "target/debug/build", "target/debug/deps"] {
            for entry in std::fs::read_dir(world.at(directory)).unwrap().filter_map(Result::ok) {
                let name = entry.file_name().into_string().unwrap();
                if name.starts_with(&format!("{package}-")) || name.starts_with(&format!("lib{package}-")) {
                    let path = entry.path();
                    if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
                }
            }
        }
    }
    let built = world.build_right(&how);
    assert_eq!(built.compiled, [""; 0], "{}", built.report["crates"]);
}

#[test]
fn a_layer_never_overrides_what_it_was_not_made_with() {
    let (mut world, how) = built();
    world.save("first.tar");
    world.replace("macros/src/lib.rs", "format!(\"{:?}\"", "format!( \"{:?}\"");
    world.replace("user/src/lib.rs", "u0", "u1");
    world.build_right(&how);
    world.next_job();
    // The layer of now over the target of then, and the other way round.
    let keep = |from: &str, part: &str| {
        run(Command::new("tar").arg("-xf").arg(world.base.join(from)).arg(part).current_dir(&world.path));
    };
    std::fs::remove_dir_all(world.at("target")).unwrap();
    keep("first.tar", "target");
    world.build_right(&how);
    std::fs::remove_dir_all(world.at(".pyenv-build")).unwrap();
    std::fs::remove_dir_all(world.at("target")).unwrap();
    keep("first.tar", ".pyenv-build");
    keep("cache.tar", "target");
    world.build_right(&how);
}

#[test]
fn a_hostile_layer_writes_nothing_elsewhere() {
    let (world, how) = built();
    world.next_job();
    let layer = std::fs::read_dir(world.at(".pyenv-build/layer")).unwrap().next().unwrap().unwrap().path();
    let manifest = layer.join("manifest.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    std::fs::create_dir_all(layer.join("build")).unwrap();
    std::fs::write(layer.join("evil"), "evil").unwrap();
    let stamp = serde_json::json!({"size": 4, "mtime": filetime::FileTime::from_last_modification_time(&std::fs::metadata(layer.join("evil")).unwrap()).unix_seconds() * 1_000_000_000});
    filetime::set_file_mtime(layer.join("evil"), filetime::FileTime::from_unix_time(stamp["mtime"].as_i64().unwrap() / 1_000_000_000, 0))
        .unwrap();
    for unit in value["units"].as_object_mut().unwrap().values_mut() {
        unit["files"]["../evil"] = stamp.clone();
        unit["files"]["../../../../src/evil"] = stamp.clone();
    }
    value["target_files"]["maturin/../../evil"] = stamp;
    std::fs::write(&manifest, value.to_string()).unwrap();
    std::fs::remove_dir_all(world.at("target")).unwrap();
    world.build_right(&how);
    for name in ["evil", "target/evil", "src/evil"] {
        assert!(!world.at(name).exists(), "{name}");
    }
}

#[test]
fn budgets_trip_on_what_had_a_state() {
    let (mut world, how) = built();
    let deny = |world: &World, args: &[&str]| {
        let mut command = world.program(&["run"]);
        command.args(args).args(["--", "cargo", "build", "-q", "--offline", "-p", "app"]);
        command.output().unwrap()
    };
    assert_eq!(deny(&world, &["--deny-rebuild", "all"]).status.code(), Some(0));
    world.replace("user/src/lib.rs", "u0", "u1");
    World::tick();
    assert_eq!(deny(&world, &["--deny-rebuild", "deps", "--deny-rebuild", "list*"]).status.code(), Some(0));
    world.replace("user/src/lib.rs", "u1", "u2");
    World::tick();
    let output = deny(&world, &["--deny-rebuild", "app"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("compiled what --deny-rebuild forbids: app\n  user v0.1.0: user/src/lib.rs changed"), "{stderr}");
    let fresh = World::new();
    assert_eq!(deny(&fresh, &["--deny-rebuild", "all"]).status.code(), Some(0), "a first build is none");
    let fresh = World::new();
    assert_eq!(deny(&fresh, &["--deny-rebuild", "workspace", "--deny-rebuild-when", "always"]).status.code(), Some(3));
    assert_eq!(deny(&fresh, &["--deny-rebuild", "a["]).status.code(), Some(2));
    let _ = how;
}

#[test]
fn by_hand_around_plain_cargo() {
    let (mut world, how) = built();
    world.next_job();
    let say = |world: &World, args: &[&str]| String::from_utf8(run(&mut world.program(args)).stdout).unwrap();
    let status = say(&world, &["freshness", "status"]);
    assert!(status.contains("dates to put back") && status.contains(", 0 changed"), "{status}");
    let restored = say(&world, &["freshness", "restore"]);
    assert!(restored.contains("dates put back"), "{restored}");
    let before = std::fs::metadata(world.at("target/debug/app")).unwrap().modified().unwrap();
    world.build_right(&How { plain: true, ..how.clone() });
    assert_eq!(std::fs::metadata(world.at("target/debug/app")).unwrap().modified().unwrap(), before, "nothing was compiled");
    let recorded = say(&world, &["freshness", "record"]);
    assert!(recorded.starts_with("recorded "), "{recorded}");
    world.write("hidden/secret.txt", "s1\n");
    let status = String::from_utf8(run(&mut world.program(&["freshness", "status", "--message-format", "json"])).stdout).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert!(
        status["invalidated"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["because"].as_str().unwrap().contains("secret.txt changed, which the package may read")),
        "{status}"
    );
    assert!(say(&world, &["layer", "unpack"]).starts_with("0 units"));
}

#[test]
fn another_target_directory_is_not_remembered() {
    let (mut world, how) = built();
    run(&mut world.program(&["freshness", "record", "--target-dir", "elsewhere"]));
    world.replace("app/src/part.rs", "p0", "p1");
    // Of which directory the next build thinks, its report tells: it knows what was there before.
    let built = world.build_right(&how);
    assert_eq!(built.report["crates"]["compiled"][0]["reason"], "input-changed", "{}", built.report["crates"]);
}
