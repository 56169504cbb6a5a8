//! Many at once, and what happens while rustc runs: edits, other builds, a kill.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::random::number;
use crate::sources::TWO;
use crate::tree;
use crate::world::{World, run};
use crate::wrappers::script;

const AT_ONCE: usize = 16;

#[track_caller]
fn all_at_once(world: &World, target: impl Fn(usize) -> String) {
    let start = |number: usize| {
        let target = target(number);
        let mut command = world.ours(&[], &["cargo", "build", "--target-dir", &target]);
        (target, command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let running: Vec<_> = (0..AT_ONCE).map(start).collect();
    let expected = world.clean("build").seen;
    for (target, child) in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said =
            run(&mut world.tool(world.at(&target).join("debug/app").to_str().unwrap())).stdout;
        assert_eq!(format!("printed: {}", String::from_utf8(said).unwrap()), expected);
    }
}

#[test]
fn sixteen_at_once_in_target_directories_of_their_own() {
    let world = World::new(TWO);
    all_at_once(&world, |number| format!("target/{number}"));
    world.next_job();
    world.right("build");
    all_at_once(&world, |number| format!("target/more-{number}"));
}

#[test]
fn sixteen_at_once_in_one_target_directory() {
    let world = World::new(TWO);
    all_at_once(&world, |_| "target".to_owned());
    world.next_job();
    all_at_once(&world, |_| "target".to_owned());
    world.right("build").expect(&[], &[]);
}

/// A wrapper that does something to the checkout before or after each rustc for `app`, while there
/// is a file `armed`.
fn meddling(world: &mut World, before: &str, after: &str) {
    let text = format!(
        "armed=; case \"$*\" in *'--crate-name app '*) [ -e $HERE/armed ] && armed=1;; esac\n\
         [ -n \"$armed\" ] && {{ rm $HERE/armed; cd $HERE/checkout; {before}; }}\n\"$@\"; code=$?\n[ -n \"$armed\" ] && {{ {after}; }}\nexit $code"
    );
    let path = script(world, "sccache", &text);
    world.set("RUSTC_WRAPPER", path.to_str().unwrap());
}

#[test]
fn a_source_that_is_edited_while_rustc_runs_is_never_taken_for_what_was_compiled() {
    let edit = "sed -i s/p1/p2/ app/src/part.rs";
    let dated = "touch -r app/src/part.rs ../date; sed -i s/p1/p2/ app/src/part.rs; touch -r ../date app/src/part.rs";
    let moved = "sed s/p1/p2/ app/src/part.rs > ../part.rs; touch -d 2020-01-01 ../part.rs; mv ../part.rs app/src/part.rs";
    for how in [edit, dated, moved] {
        for is_before in [true, false] {
            let mut world = World::new(TWO);
            if is_before {
                meddling(&mut world, how, ":");
            } else {
                meddling(&mut world, ":", how);
            }
            World::tick();
            std::fs::write(world.base.join("armed"), "").unwrap();
            world.build("build");
            assert!(!world.base.join("armed").exists(), "{how}");
            let text = std::fs::read_to_string(world.at("app/src/part.rs")).unwrap();
            assert!(text.contains("p2"), "{how} {text}");
            // The source says p2 now.
            world.right("build");
            world.save();
            // And p1 in the origin.
            world.check_out("main");
            world.load();
            world.right("build");
            world.push_edit("app/src/part.rs", "p1", "p2");
            world.next_job();
            world.right("build");
        }
    }
}

#[test]
fn out_dir_that_changes_while_rustc_runs_is_not_recorded() {
    let mut world = World::new(
        r#"
        == build.rs
        fn main() {
            println!("cargo:rerun-if-changed=build.rs");
            std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).join("all.txt"), "one").unwrap();
        }
        == src/main.rs
        fn main() { println!("{}", include_str!(concat!(env!("OUT_DIR"), "/all.txt"))); }
        "#,
    );
    meddling(
        &mut world,
        "for file in target/debug/build/app-*/out/all.txt; do printf two > $file; done",
        ":",
    );
    std::fs::write(world.base.join("armed"), "").unwrap();
    world.build("build");
    world.next_job();
    world.right("build");
}

/// Waits for something that another process does.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn another_build_of_another_content_while_rustc_runs_is_right() {
    for first_is_ours in [true, false] {
        let mut world = World::new(TWO);
        let path = script(
            &world,
            "sccache",
            "\"$@\"; code=$?\ncase \"$*\" in *'--crate-name app '*) if [ -e $HERE/slow ]; then touch $HERE/compiled; while [ -e $HERE/slow ]; do sleep 0.02; done; fi;; esac\nexit $code",
        );
        world.set("RUSTC_WRAPPER", path.to_str().unwrap());
        world.right("build");
        world.right("build --release");
        world.edit("app/src/part.rs", "p1", "p2");
        std::fs::write(world.base.join("slow"), "").unwrap();
        World::tick();
        let mut first =
            if first_is_ours { world.ours(&[], &["cargo", "build"]) } else { world.tool("cargo") };
        if !first_is_ours {
            first.arg("build").current_dir(&world.checkout);
        }
        let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("rustc has run", || world.base.join("compiled").exists());
        world.edit("app/src/part.rs", "p2", "p1");
        World::tick();
        let mut second = world
            .ours(&[], &["cargo", "build"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(200));
        std::fs::remove_file(world.base.join("slow")).unwrap();
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        let said = run(&mut world.tool(world.at("target/debug/app").to_str().unwrap())).stdout;
        assert_eq!(String::from_utf8(said).unwrap(), "p1 m1\n", "first is ours: {first_is_ours}");
        world.right("build");
    }
}

#[test]
fn a_kill_in_the_middle_leaves_nothing_stale() {
    for victim in ["cargo", "wrapper", "rustc"] {
        let mut world = World::new(TWO);
        // rustc has written all, and its wrapper has not been told.
        let path = script(
            &world,
            "sccache",
            "\"$@\"; code=$?\ncase \"$*\" in *'--crate-name app '*) if [ -e $HERE/armed ]; then rm $HERE/armed; echo $$ > $HERE/pid.tmp; mv $HERE/pid.tmp $HERE/pid; exec sleep 60; fi;; esac\nexit $code",
        );
        world.set("RUSTC_WRAPPER", path.to_str().unwrap());
        world.right("build");
        world.edit("app/src/part.rs", "p1", "p2");
        std::fs::write(world.base.join("armed"), "").unwrap();
        let mut child = world
            .ours(&[], &["cargo", "build"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("rustc has run", || world.base.join("pid").exists());
        let parent = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let parent: u32 = stat
                .rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .nth(1)
                .unwrap()
                .parse()
                .unwrap();
            assert!(
                parent > 1 && parent != std::process::id(),
                "the tree of processes is not as expected"
            );
            parent.to_string()
        };
        let inner = std::fs::read_to_string(world.base.join("pid")).unwrap().trim().to_owned();
        assert!(inner.parse::<u32>().unwrap() > 1);
        let wrapper = parent(&inner);
        let cargo = parent(&wrapper);
        let pid = match victim {
            "cargo" => &cargo,
            "wrapper" => &wrapper,
            _ => &inner,
        };
        run(world.tool("kill").args(["-9", pid]));
        // What would go on after its parent's end.
        if victim == "cargo" {
            let _ = world.tool("kill").args(["-9", &wrapper]).stderr(Stdio::null()).status();
        }
        let _ = world.tool("kill").args(["-9", &inner]).stderr(Stdio::null()).status();
        let _ = child.wait();
        tree::remove(&world.base.join("pid"));
        world.right("build");
        world.edit("app/src/part.rs", "p2", "p1");
        world.right("build");
        world.next_job();
        world.right("build").expect(&[], &["app", "mid"]);
    }
}

/// Processes that work below a directory, with the name of each.
fn at_work_below(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let is_ours = pid.parse::<u32>().is_ok()
            && std::fs::read_link(entry.path().join("cwd"))
                .is_ok_and(|cwd| cwd.starts_with(directory));
        // A process that has ended meanwhile, or is nobody's child any more, has no program.
        if let (true, Ok(program)) = (is_ours, std::fs::read_link(entry.path().join("exe"))) {
            found.push((
                pid,
                program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            ));
        }
    }
    found
}

/// `PYENV_BUILD_KILLS` and `PYENV_BUILD_RANDOM_SEED` choose more and others.
#[test]
fn whoever_is_killed_and_whenever_the_next_build_is_right_and_nothing_is_left_over() {
    const VICTIMS: [(&str, &[&str]); 4] = [
        ("cargo", &["cargo"]),
        ("the wrapper", &["cargo-pyenv-build"]),
        ("rustc", &["rustc"]),
        ("the linker", &["collect2", "ld", "ld.lld", "rust-lld", "lld"]),
    ];
    let mut random = Rng::with_seed(number("PYENV_BUILD_RANDOM_SEED", 1));
    let world = World::built(TWO);
    let mut hits = [0; VICTIMS.len()];
    for round in 0..number("PYENV_BUILD_KILLS", 12) {
        // A text that no entry has, or one of few, so that there is something to record as well as
        // something to serve.
        let value = if random.u64(..100) < 50 {
            format!("r{round}")
        } else {
            format!("p{}", random.u64(..3))
        };
        let part = format!("pub const VALUE: &str = \"{value}\";\n");
        let library = format!("pub fn value() -> &'static str {{ \"{value}\" }}\n");
        World::tick();
        std::fs::write(world.at("app/src/part.rs"), part).unwrap();
        if random.u64(..100) < 50 {
            std::fs::write(world.at("mid/src/lib.rs"), &library).unwrap();
        }
        let which = usize::try_from(random.u64(..VICTIMS.len() as u64)).unwrap();
        let (who, names) = VICTIMS[which];
        let after =
            Duration::from_millis(if random.u64(..100) < 40 { 0 } else { random.u64(..250) });
        World::tick();
        let mut child = world
            .ours(&[], &["cargo", "build"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let top = child.id().to_string();
        let start = Instant::now();
        // From then on the first that shows itself: a linker does not live for long.
        while child.try_wait().unwrap().is_none() {
            let victim = at_work_below(&world.base)
                .into_iter()
                .find(|(pid, name)| names.contains(&name.as_str()) && *pid != top);
            if let Some((pid, _)) = victim.filter(|_| start.elapsed() >= after) {
                let _ = world.tool("kill").args(["-9", &pid]).stderr(Stdio::null()).status();
                hits[which] += 1;
                break;
            }
        }
        let _ = child.wait();
        until("what was started has ended", || at_work_below(&world.base).is_empty());
        let built = world.build("build");
        assert!(built.ok, "round {round}, {who}: {}", built.stderr);
        let mid = std::fs::read_to_string(world.at("mid/src/lib.rs")).unwrap();
        let expected = format!("printed: {value} {}\n", mid.split('"').nth(1).unwrap());
        assert_eq!(built.seen, expected, "round {round}, {who} was killed");
        let unfinished =
            walkdir::WalkDir::new(world.at("target")).into_iter().filter_map(Result::ok);
        let unfinished: Vec<_> = unfinished
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".tmp-"))
            .collect();
        assert!(unfinished.is_empty(), "round {round}: {unfinished:?}");
    }
    println!("{:?} were killed {hits:?} times", VICTIMS.map(|(who, _)| who));
    let mut verify = world.tool(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
    run(verify.args(["store", "verify"]).current_dir(&world.checkout));
    world.next_job();
    world.right("build");
}
