//! A store that is not as it was: damaged, cut, of another version, not to be written to, gone. A
//! build comes of it all the same.

use std::path::{Path, PathBuf};

use crate::sources::TWO;
use crate::tree;
use crate::world::{Built, World};

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// A build that is right, and at most one warning.
#[track_caller]
fn normal(world: &World) -> Built {
    let built = world.build("build");
    let clean = world.clean("build");
    let printed = |built: &Built| {
        built
            .seen
            .lines()
            .filter(|line| line.starts_with("printed"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(built.ok, "{}", built.stderr);
    assert_eq!(printed(&built), printed(&clean), "{}", built.stderr);
    assert!(built.warnings().len() <= 1, "{}", built.stderr);
    built
}

/// The next job, after something was done to the store; and then the one after.
#[track_caller]
fn after(what: &str, damage: impl Fn(&World)) -> Built {
    let world = World::built(TWO);
    world.next_job();
    damage(&world);
    let built = normal(&world);
    println!("{what}: compiled {:?}, reused {:?}", built.compiled, built.reused);
    if world.at(".pyenv-build/store").is_dir() {
        world.next_job();
        normal(&world);
    }
    built
}

fn store(world: &World) -> PathBuf {
    world.at(".pyenv-build/store")
}

#[test]
fn a_blob_that_is_damaged_is_made_again() {
    let built = after("damaged blobs", |world| {
        for path in files(&store(world).join("v1/blobs")) {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    });
    built.expect(&["app", "mid"], &[]);
    assert_eq!(built.reason("mid").0, "output-missing");
}

#[test]
fn a_blob_that_is_cut_or_gone_is_made_again() {
    after("cut blobs", |world| {
        for path in files(&store(world).join("v1/blobs")) {
            let length = std::fs::metadata(&path).unwrap().len();
            std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(length / 2)
                .unwrap();
        }
    })
    .expect(&["app", "mid"], &[]);
    after("no blobs", |world| tree::remove(&store(world).join("v1/blobs")))
        .expect(&["app", "mid"], &[]);
}

#[test]
fn an_entry_that_is_damaged_counts_as_none() {
    for (what, cut) in [("cut", true), ("changed", false)] {
        after(what, |world| {
            for path in files(&store(world).join("v1/units")) {
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(
                    path,
                    if cut {
                        text[..text.len() / 2].to_owned()
                    } else {
                        text.replace("p1", "p2").replace("\"seconds\":0", "\"seconds\":1")
                    },
                )
                .unwrap();
            }
        })
        .expect(&["app", "mid"], &[]);
    }
}

#[test]
fn an_entry_that_says_something_else_under_its_old_name_is_not_believed() {
    // Each file of the outputs becomes that of another.
    after("exchanged", |world| {
        let all = files(&store(world).join("v1/units"));
        let texts: Vec<String> =
            all.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        for (path, text) in all.iter().zip(texts.iter().cycle().skip(1)) {
            std::fs::write(path, text).unwrap();
        }
    })
    .expect(&["app", "mid"], &[]);
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn notes_that_are_gone_or_damaged_cost_nothing_but_time() {
    after("no notes", |world| tree::remove(&store(world).join("v1/crates")));
    after("damaged notes", |world| {
        for path in files(&store(world).join("v1/crates")) {
            std::fs::write(path, "{}").unwrap();
        }
    });
    after("no plans", |world| tree::remove(&store(world).join("plans")))
        .expect(&[], &["app", "mid"]);
    after("damaged digests", |world| {
        for path in files(&store(world).join("digests")) {
            std::fs::write(path, "0 0").unwrap();
        }
    })
    .expect(&[], &["app", "mid"]);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    after("newer", |world| {
        std::fs::rename(store(world).join("v1"), store(world).join("v2")).unwrap();
    })
    .expect(&["app", "mid"], &[]);
}

#[test]
fn a_store_that_is_gone_begins_anew() {
    after("gone", |world| tree::remove(&store(world))).expect(&["app", "mid"], &[]);
    after("all of ours gone", |world| tree::remove(&world.at(".pyenv-build")))
        .expect(&["app", "mid"], &[]);
}

#[test]
fn a_store_that_is_no_directory_does_not_stop_a_build() {
    after("a file", |world| {
        tree::remove(&store(world));
        std::fs::write(store(world), "").unwrap();
    });
    after("blobs are a file", |world| {
        tree::remove(&store(world).join("v1"));
        std::fs::create_dir_all(store(world).join("v1")).unwrap();
        std::fs::write(store(world).join("v1/blobs"), "").unwrap();
    })
    .expect(&["app", "mid"], &[]);
}

#[test]
fn a_store_that_cannot_be_written_to_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let modes = |world: &World, writable: bool| {
        for path in files(&store(world)) {
            for path in path.ancestors().take_while(|path| path.starts_with(store(world))) {
                let mode = if path.is_dir() { if writable { 0o755 } else { 0o555 } } else { 0o444 };
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    };
    let world = World::built(TWO);
    world.next_job();
    modes(&world, false);
    normal(&world).expect(&[], &["app", "mid"]);
    world.edit("mid/src/lib.rs", "m1", "m2");
    normal(&world);
    modes(&world, true);
}

#[test]
fn a_store_that_is_deleted_while_cargo_runs_does_not_stop_it() {
    for (what, victim) in [
        ("store", ".pyenv-build/store"),
        ("blobs", ".pyenv-build/store/v1/blobs"),
        ("all", ".pyenv-build"),
    ] {
        let world = World::built(TWO);
        world.next_job();
        let mut command =
            world.ours(&[], &["sh", "-c", &format!("rm -rf {victim}; exec cargo build")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        normal(&world);
    }
}

#[test]
fn what_a_kill_leaves_behind_is_no_harm() {
    after("leftovers", |world| {
        for folder in ["v1/blobs", "v1/units/app", "v1/crates", "plans", "digests"] {
            std::fs::create_dir_all(store(world).join(folder)).unwrap();
            std::fs::write(store(world).join(folder).join(".tmp-leftover"), "half").unwrap();
        }
    })
    .expect(&[], &["app", "mid"]);
}
