//! A store that machines share: what one has compiled, another has not to; and whatever goes wrong
//! with the store, a build comes of it that is right, with one warning at most.

use std::time::{Duration, Instant};

use crate::objects::{Fault, Objects};
use crate::skip::not_tested;
use crate::sources::TWO;
use crate::world::{Built, World, run};

/// A machine that has stored what it built.
fn stored(objects: &Objects, files: &str) -> World {
    let mut world = World::new(files);
    world.set("PYENV_BUILD_STORE", &objects.url());
    world.set("PYENV_BUILD_STORE_WRITE", "always");
    world.right("build").expect(&["app", "mid"], &[]);
    objects.requests();
    world
}

/// The world on another machine: nothing is there but the checkout.
fn elsewhere(world: &World) -> &World {
    world.check_out("main");
    world
}

#[track_caller]
fn right_with_one_warning(world: &World) -> Built {
    one_warning_at_most(world, world.build("build"))
}

#[track_caller]
fn one_warning_at_most(world: &World, built: Built) -> Built {
    let (seen, ours): (Vec<&str>, Vec<&str>) = built.seen.lines().partition(|line| {
        !["could not", "no crates are reused"]
            .iter()
            .any(|ours| line.strip_prefix("warning: ").is_some_and(|rest| rest.starts_with(ours)))
    });
    assert!(built.ok && ours.len() <= 1, "{}", built.stderr);
    assert_eq!(seen.join("\n"), world.clean("build").seen.trim_end(), "{}", built.stderr);
    assert!(!built.stderr.contains("hunter2"), "{}", built.stderr);
    built
}

#[test]
fn another_machine_compiles_nothing_and_a_machine_that_has_all_asks_once() {
    let objects = Objects::start();
    let world = stored(&objects, TWO);
    elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    assert!(objects.requests().iter().all(|request| request.starts_with("GET")));
    world.right("build").expect(&[], &[]);
    let requests = objects.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("GET /ci/v1/builds/"), "{requests:?}");
}

#[test]
fn only_what_is_new_is_stored_and_what_a_branch_made_stays_for_a_while() {
    let objects = Objects::start();
    let world = stored(&objects, TWO);
    world.push_edit("app/src/part.rs", "p1", "p2");
    elsewhere(&world).right("build").expect(&["app"], &["mid"]);
    let put = |requests: &[String]| {
        requests.iter().filter(|request| request.starts_with("PUT")).cloned().collect::<Vec<_>>()
    };
    let new = put(&objects.requests());
    assert!(!new.is_empty() && new.last().unwrap().starts_with("PUT /ci/v1/builds/"), "{new:?}");
    elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    world.push_edit("app/src/part.rs", "p2", "p1");
    elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    // Nothing was made, so nothing is written.
    assert_eq!(put(&objects.requests()), [""; 0]);
}

#[test]
fn what_was_compiled_before_the_store_was_used_is_said_to_be_missing() {
    let objects = Objects::start();
    let mut world = World::new(TWO);
    world.right("build");
    world.set("PYENV_BUILD_STORE", &objects.url());
    world.set("PYENV_BUILD_STORE_WRITE", "always");
    world.edit("app/src/part.rs", "p1", "p2");
    let built = world.build("build");
    assert!(built.stderr.contains("not in it") && built.stderr.contains("hint: build once"));
    world.edit("app/src/part.rs", "p2", "p3");
    assert!(!world.right("build").stderr.contains("warning"), "once");
}

/// The manifest is written last: of a writer who dies, others see nothing, or all.
#[test]
fn a_writer_that_is_killed_leaves_a_store_that_is_right() {
    for after in ["PUT /ci/v1/blobs", "PUT /ci/v1/builds"] {
        let objects = Objects::start();
        let mut world = World::new(TWO);
        world.set("PYENV_BUILD_STORE", &objects.url());
        world.set("PYENV_BUILD_STORE_WRITE", "always");
        objects.fail(after, Fault::Silent);
        let mut writer = world.ours(&[], &["cargo", "build", "--offline"]).spawn().unwrap();
        let start = Instant::now();
        while !objects.requests().iter().any(|request| request.starts_with(after)) {
            assert!(
                start.elapsed() < Duration::from_secs(60) && writer.try_wait().unwrap().is_none()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        objects.work_again();
        let next = elsewhere(&world).right("build");
        assert!(next.compiled.is_empty() || next.reused.is_empty(), "nothing, or all");
        elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    }
}

/// This machine's own store is on a disk on which nothing, or little, has room.
#[test]
fn a_full_disk_of_this_machine_costs_a_warning() {
    let objects = Objects::start();
    let world = stored(&objects, TWO);
    let mut allowed = world.tool("unshare");
    allowed.args(["-rm", "mount", "-t", "tmpfs", "none"]).arg(&world.base);
    if !allowed.status().is_ok_and(|status| status.success()) {
        return not_tested("a full disk", "there are no mount namespaces here");
    }
    let mounted = "mount -t tmpfs -o size=$0 none .pyenv-build/store && exec \"$@\"";
    for size in ["16k", "400k"] {
        elsewhere(&world);
        run(world.ours(&[], &["true"]).env("PYENV_BUILD_STORE", ""));
        let own = world.at(".pyenv-build/store");
        let _ = std::fs::remove_dir_all(&own);
        std::fs::create_dir(own).unwrap();
        let mut command = world.tool("unshare");
        command.args(["-rm", "sh", "-c", mounted, size, env!("CARGO_BIN_EXE_cargo-pyenv-build")]);
        command.args(["run", "--", "cargo", "build", "--offline"]).current_dir(&world.checkout);
        one_warning_at_most(&world, world.finish("build", command));
    }
    // What was missing here is missing nowhere else.
    elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_command_that_failed_stores_what_it_compiled() {
    let objects = Objects::start();
    let mut world = World::new(TWO);
    world.set("PYENV_BUILD_STORE", &objects.url());
    world.set("PYENV_BUILD_STORE_WRITE", "always");
    world.edit("app/src/part.rs", "p1", "p1\"; const BROKEN: () = \"");
    assert!(!world.build("build").ok);
    world.check_out("main");
    world.right("build").expect(&["app"], &["mid"]);
}

#[test]
fn nobody_writes_who_may_not() {
    let objects = Objects::start();
    let mut world = World::new(TWO);
    world.set("PYENV_BUILD_STORE", &objects.url());
    let protected = [("GITHUB_REF_PROTECTED", "true"), ("CI_COMMIT_REF_PROTECTED", "true")];
    let jobs: &[&[(&str, &str)]] = &[
        &[],
        &[("PYENV_BUILD_STORE_WRITE", "never"), ("GITLAB_CI", "true"), protected[1]],
        &[("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_NAME", "push")],
        &[("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_NAME", "pull_request"), protected[0]],
        &[("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_NAME", "pull_request_target"), protected[0]],
        &[("GITLAB_CI", "true"), ("CI_COMMIT_REF_PROTECTED", "false")],
        &[("GITLAB_CI", "true"), ("CI_MERGE_REQUEST_IID", "7"), protected[1]],
        &[
            ("PYENV_BUILD_STORE_WRITE", "always"),
            ("GITLAB_CI", "true"),
            ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "8"),
            ("CI_PROJECT_ID", "7"),
        ],
        &[
            ("PYENV_BUILD_STORE_WRITE", "always"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "pull_request"),
        ],
        &[
            ("BUILDKITE", "true"),
            ("BUILDKITE_PULL_REQUEST", "7"),
            ("BUILDKITE_BRANCH", "main"),
            ("BUILDKITE_PIPELINE_DEFAULT_BRANCH", "main"),
        ],
        &[
            ("BUILDKITE", "true"),
            ("BUILDKITE_PULL_REQUEST", "false"),
            ("BUILDKITE_BRANCH", "other"),
            ("BUILDKITE_PIPELINE_DEFAULT_BRANCH", "main"),
        ],
    ];
    for job in jobs {
        for (name, value) in *job {
            world.set(name, value);
        }
        elsewhere(&world).build("build").expect(&["app", "mid"], &[]);
        for (name, _) in *job {
            world.unset(name);
        }
        let written: Vec<_> =
            objects.requests().into_iter().filter(|one| one.starts_with("PUT")).collect();
        assert!(written.is_empty(), "{job:?}: {written:?}");
    }
    let job = [
        ("GITLAB_CI", "true"),
        protected[1],
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_COMMIT_SHA", "0123456789abcdef0123"),
        ("CI_RUNNER_DESCRIPTION", "runner-7"),
    ];
    for (name, value) in &job {
        world.set(name, value);
    }
    elsewhere(&world).right("build").expect(&["app", "mid"], &[]);
    for (name, _) in &job {
        world.unset(name);
    }
    let built = elsewhere(&world).right("build");
    built.expect(&[], &["app", "mid"]);
    assert_eq!(
        built.report["crates"]["reused"][0]["made_by"],
        format!("main at 0123456789ab on runner-7 ({})", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_store_that_does_not_answer_well_costs_a_warning_and_a_limited_time() {
    let faults = [
        ("GET /ci/v1/builds", Fault::Status(403)),
        ("GET /ci/v1/builds", Fault::Status(500)),
        ("GET /ci/v1/builds", Fault::Cut),
        ("GET /ci/v1/builds", Fault::Silent),
        ("GET /ci/v1/builds", Fault::Flipped),
        ("GET /ci/v1/blobs", Fault::Status(403)),
        ("GET /ci/v1/blobs", Fault::Status(429)),
        ("GET /ci/v1/blobs", Fault::Cut),
        ("GET /ci/v1/blobs", Fault::Slow),
        ("GET /ci/v1/blobs", Fault::Silent),
        ("GET /ci/v1/blobs", Fault::Flipped),
    ];
    // They wait more than they work.
    std::thread::scope(|scope| {
        for (requests, fault) in faults {
            scope.spawn(move || {
                let objects = Objects::start();
                let world = stored(&objects, TWO);
                objects.fail(requests, fault);
                elsewhere(&world);
                let start = Instant::now();
                let built = right_with_one_warning(&world);
                let warnings = built.warnings();
                let ours = warnings.iter().filter(|line| line.contains("could not")).count();
                assert_eq!(ours, 1, "{requests} {fault:?}: {}", built.stderr);
                assert!(start.elapsed() < Duration::from_secs(60), "{requests} {fault:?}");
                // What was damaged on the way is what it was, or was stored again.
                objects.work_again();
                elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
            });
        }
    });
}

#[test]
fn a_store_that_fails_now_and_then_is_asked_again() {
    let objects = Objects::start();
    let world = stored(&objects, TWO);
    for code in [429, 500, 503] {
        objects.fail("GET", Fault::StatusAtFirst(code, 3));
        elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    }
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn a_store_that_cannot_be_written_to_costs_a_warning() {
    std::thread::scope(|scope| {
        for fault in [Fault::Status(403), Fault::Status(507), Fault::Silent] {
            scope.spawn(move || {
                let objects = Objects::start();
                let mut world = World::new(TWO);
                world.set("PYENV_BUILD_STORE", &objects.url());
                world.set("PYENV_BUILD_STORE_WRITE", "always");
                objects.fail("PUT", fault);
                let built = right_with_one_warning(&world);
                assert!(built.stderr.contains("could not write to all of"), "{}", built.stderr);
                objects.work_again();
                elsewhere(&world).right("build").expect(&["app", "mid"], &[]);
            });
        }
    });
}

#[test]
fn what_is_damaged_or_gone_is_compiled_and_stored_again() {
    let objects = Objects::start();
    let world = stored(&objects, TWO);
    let flip = |content: &mut Vec<u8>| {
        let at = content.len() / 2;
        content[at] ^= 1;
    };
    let cut = |content: &mut Vec<u8>| content.truncate(content.len() / 2);
    for name in ["/blobs/", "/builds/"] {
        assert!(objects.change(name, flip) > 0);
        elsewhere(&world);
        right_with_one_warning(&world).expect(&["app", "mid"], &[]);
        elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
        assert!(objects.change(name, cut) > 0);
        elsewhere(&world);
        right_with_one_warning(&world).expect(&["app", "mid"], &[]);
        elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    }
    // A lifecycle rule has taken them.
    objects.remove("/blobs/");
    elsewhere(&world);
    right_with_one_warning(&world).expect(&["app", "mid"], &[]);
    elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_directory_is_a_store_and_builds_elsewhere_are_told_that_they_moved() {
    let mut world = World::new(TWO);
    let url = format!("file://{}/shared", world.base.display());
    world.set("PYENV_BUILD_STORE", &url);
    world.set("PYENV_BUILD_STORE_WRITE", "always");
    world.right("build").expect(&["app", "mid"], &[]);
    elsewhere(&world).right("build").expect(&[], &["app", "mid"]);
    let other = world.base.join("other/checkout");
    std::fs::create_dir(other.parent().unwrap()).unwrap();
    std::fs::rename(&world.checkout, &other).unwrap();
    world.checkout = other;
    elsewhere(&world);
    let built = world.build("build");
    built.expect(&["app", "mid"], &[]);
    assert!(built.stderr.contains("(moved): the project is at `"), "{}", built.stderr);
    assert!(built.stderr.contains("hint: compiled crates are reused at the same absolute paths"));
    // Both are served from now on.
    let built = elsewhere(&world).right("build");
    built.expect(&[], &["app", "mid"]);
}

#[test]
fn of_two_writers_at_the_same_path_neither_takes_away_what_the_other_has_stored() {
    let mut world = World::new(TWO);
    let shared = world.base.join("shared");
    world.set("PYENV_BUILD_STORE", &format!("file://{}", shared.display()));
    world.set("PYENV_BUILD_STORE_WRITE", "always");
    world.right("build").expect(&["app", "mid"], &[]);
    // One lints while the other builds for release: it ends first, and has read the same manifest.
    let (before, theirs) = (world.base.join("before"), world.base.join("theirs"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        run(world.tool("cp").args(["-a", "-T"]).arg(from).arg(to));
    };
    copy(&shared, &before);
    elsewhere(&world).right("build --release").expect(&["app", "mid"], &[]);
    copy(&shared, &theirs);
    std::fs::remove_dir_all(&shared).unwrap();
    copy(&before, &shared);
    world.check_out("main");
    let line = format!("cargo check -q && cp -a -T {} {}", theirs.display(), shared.display());
    assert!(world.ours(&[], &["sh", "-c", &line]).status().unwrap().success());
    elsewhere(&world).right("build --release").expect(&[], &["app", "mid"]);
    elsewhere(&world).build("check").expect(&[], &["app", "mid"]);
}

#[test]
fn a_directory_that_does_not_answer_holds_nobody_up() {
    let mut world = World::new(TWO);
    let shared = world.base.join("shared");
    world.set("PYENV_BUILD_STORE", &format!("file://{}", shared.display()));
    world.set("PYENV_BUILD_STORE_WRITE", "always");
    world.right("build");
    // As a network file system whose server is gone: who opens it waits for ever.
    let builds = shared.join("v1/builds/checkout");
    let manifest = std::fs::read_dir(builds).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&manifest).unwrap();
    run(world.tool("mkfifo").arg(&manifest));
    elsewhere(&world);
    let start = Instant::now();
    right_with_one_warning(&world);
    assert!(start.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_store_whose_settings_are_wrong_costs_a_warning() {
    let mut world = World::new(TWO);
    world.set("PYENV_BUILD_STORE", "s3://bucket/ci");
    world.set("AWS_PROFILE", "nobody");
    world.set("HOME", &world.base.display().to_string());
    world.set("RUSTUP_HOME", &of_home("RUSTUP_HOME", ".rustup"));
    world.set("CARGO_HOME", &of_home("CARGO_HOME", ".cargo"));
    let built = world.build("build");
    built.expect(&["app", "mid"], &[]);
    assert!(
        built.stderr.contains("is not used") && built.stderr.contains("`nobody`"),
        "{}",
        built.stderr
    );
}

/// A directory of Rust's, wherever the home directory is.
fn of_home(variable: &str, name: &str) -> String {
    let home = || std::path::Path::new(&std::env::var_os("HOME").unwrap()).join(name);
    std::env::var_os(variable).map_or_else(home, Into::into).display().to_string()
}

#[test]
fn a_url_that_names_no_store_is_an_error() {
    let mut world = World::new(TWO);
    for (url, message) in [
        ("bucket/x", "`bucket/x` is not a URL of a store"),
        ("https://host/x?sig=1", "it has a query or a fragment"),
        ("ftp://host/x", "`ftp` is not supported"),
    ] {
        world.set("PYENV_BUILD_STORE", url);
        let output = world.ours(&[], &["cargo", "build"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(message) && stderr.contains("hint: write `s3://"), "{stderr}");
    }
    world.set("PYENV_BUILD_STORE", "");
    world.right("build").expect(&["app", "mid"], &[]);
}
