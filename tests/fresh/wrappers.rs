//! Other wrappers of rustc: the user's own behind ours, and those that set themselves in front.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::sources::TWO;
use crate::tree;
use crate::world::{World, run};

/// A script beside the checkout. `$HERE` in it is its directory.
pub(crate) fn script(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.base.join(name);
    let here = world.base.to_str().unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{}\n", text.replace("$HERE", here))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// How often the log of a script names a crate.
fn logged(world: &World, name: &str) -> usize {
    let text = std::fs::read_to_string(world.base.join("log")).unwrap_or_default();
    text.lines().filter(|line| line.contains(&format!("--crate-name {name} "))).count()
}

/// A wrapper that changes what is made, wherever cargo finds it.
#[test]
fn a_wrapper_of_the_users_is_called_wherever_it_is_set() {
    let world = World::new(
        r#"
        == src/main.rs
        fn main() { println!("{}", cfg!(extra)); }
        == sub/.cargo/config.toml
        include = [{ path = "more.toml" }]
        "#,
    );
    let wrapper = script(
        &world,
        "wrap",
        "case \"$*\" in *'--crate-name app'*) exec \"$@\" --cfg extra;; *) exec \"$@\";; esac",
    );
    let setting = format!("build.rustc-wrapper = '{}'", wrapper.display());
    world.write(&format!("== sub/.cargo/more.toml\n{setting}\n"));
    let option =
        ["cargo", "run", "-q", "--offline", "--config", "net.retry=1", "--config", &setting];
    let says = |directory: &str, words: &[&str]| {
        tree::remove(&world.at("target"));
        run(world.ours(&[], words).current_dir(world.at(directory))).stdout
    };
    assert_eq!(says(".", &option), b"true\n");
    assert_eq!(says("sub", &["cargo", "run", "-q", "--offline"]), b"true\n");
    assert_eq!(says(".", &["cargo", "run", "-q", "--offline"]), b"false\n");
}

#[test]
fn a_cache_of_the_users_is_asked_for_what_we_do_not_have() {
    let mut world = World::new(TWO);
    let sccache = script(&world, "sccache", "echo \"$*\" >> $HERE/log\nexec \"$@\"");
    world.set("RUSTC_WRAPPER", sccache.to_str().unwrap());
    let built = world.build("build");
    assert_eq!((logged(&world, "app"), logged(&world, "mid")), (1, 1));
    world.is_right("build", &built);
    let before = logged(&world, "app");
    world.next_job();
    let built = world.build("build");
    built.expect(&[], &["app", "mid"]);
    assert_eq!(logged(&world, "app"), before);
    world.is_right("build", &built);
}

#[test]
fn a_cache_that_a_configuration_file_names_is_found() {
    let world = World::new(&format!(
        "{TWO}    == .cargo/config.toml\n    build.rustc-wrapper = \"../sccache\"\n"
    ));
    script(&world, "sccache", "echo \"$*\" >> $HERE/log\nexec \"$@\"");
    world.build("build").expect(&["app", "mid"], &[]);
    assert_eq!(logged(&world, "app"), 1);
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

const CFG: &str = "\n== src/main.rs\nfn main() { println!(\"{}\", cfg!(extra)); }\n";

#[test]
fn a_wrapper_that_nobody_knows_is_always_called() {
    let mut world = World::new(CFG);
    let wrapper = script(&world, "wrap", "exec \"$@\" $WORLD_FLAGS");
    world.set("RUSTC_WRAPPER", wrapper.to_str().unwrap());
    for flags in ["--cfg=extra", ""] {
        world.set("WORLD_FLAGS", flags);
        let built = world.right("build");
        built.expect(&["app"], &[]);
        assert_eq!(built.reason("app").0, "not-reusable");
        world.next_job();
    }
}

#[test]
fn a_wrapper_of_the_workspaces_crates_is_always_called() {
    let mut world = World::new(CFG);
    let wrapper = script(&world, "wrap", "exec \"$@\" $WORLD_FLAGS");
    world.set("RUSTC_WORKSPACE_WRAPPER", wrapper.to_str().unwrap());
    for flags in ["--cfg=extra", ""] {
        world.set("WORLD_FLAGS", flags);
        world.right("build").expect(&["app"], &[]);
        world.next_job();
    }
}

#[test]
fn a_compiler_that_is_a_script_is_always_called() {
    let mut world = World::new(CFG);
    let rustc = script(
        &world,
        "rustc",
        &format!(
            "exec {} \"$@\" $WORLD_FLAGS",
            PathBuf::from(env!("CARGO")).with_file_name("rustc").display()
        ),
    );
    world.set("RUSTC", rustc.to_str().unwrap());
    for flags in ["--cfg=extra", ""] {
        world.set("WORLD_FLAGS", flags);
        let built = world.right("build");
        built.expect(&["app"], &[]);
        world.next_job();
    }
}

/// As cargo-llvm-cov does: a wrapper that adds flags and calls the one that was there before.
const COVERAGE: &str = "if [ \"$2\" = --crate-name ]; then set -- \"$@\" $WORLD_FLAGS; fi\nif [ -n \"$WORLD_BEFORE\" ]; then exec \"$WORLD_BEFORE\" \"$@\"; fi\nexec \"$@\"";

#[test]
fn a_wrapper_that_sets_itself_in_front_hands_us_its_flags() {
    let mut world = World::new(CFG);
    script(&world, "cov", COVERAGE);
    let command = "export WORLD_BEFORE=$RUSTC_WRAPPER RUSTC_WRAPPER=$PWD/../cov; exec cargo build";
    for (flags, printed, compiled) in
        [("--cfg=extra", "true", true), ("", "false", true), ("--cfg=extra", "true", false)]
    {
        world.set("WORLD_FLAGS", flags);
        let built = world.finish("build", world.ours(&[], &["sh", "-c", command]));
        assert!(
            built.seen.contains(&format!("printed: {printed}")),
            "{} {}",
            built.seen,
            built.stderr
        );
        assert_eq!(built.compiled.is_empty(), !compiled, "{flags}");
        world.next_job();
    }
}

#[test]
fn a_wrapper_in_front_that_calls_us_behind_it_comes_to_an_end() {
    // `cargo llvm-cov show-env` in a job in which an earlier step has exported ours: then we find
    // its wrapper, and it finds us.
    let mut world = World::new(CFG);
    let wrapper = script(&world, "cov", COVERAGE);
    world.set("RUSTC_WRAPPER", wrapper.to_str().unwrap());
    world.set("WORLD_BEFORE", env!("CARGO_BIN_EXE_cargo-pyenv-build"));
    for flags in ["--cfg=extra", ""] {
        world.set("WORLD_FLAGS", flags);
        let built = world.build("build");
        built.expect(&["app"], &[]);
        assert!(
            built.seen.contains(if flags.is_empty() { "false" } else { "true" }),
            "{}",
            built.stderr
        );
        world.next_job();
    }
}

#[test]
fn ours_within_ours_is_ours_once() {
    let world = World::built(TWO);
    world.next_job();
    let program = env!("CARGO_BIN_EXE_cargo-pyenv-build");
    let built = world.finish("build", world.ours(&[], &[program, "run", "--", "cargo", "build"]));
    world.is_right("build", &built);
    built.expect(&[], &["app", "mid"]);
}

#[test]
fn a_build_script_that_tries_the_compiler_out_gets_its_answer() {
    let mut world = World::new(
        r#"
        == build.rs
        use std::process::{Command, Stdio};
        fn works(code: &str) -> bool {
            let rustc = std::env::var("RUSTC_WRAPPER").ok().filter(|path| !path.is_empty());
            let mut command = match rustc {
                Some(wrapper) => { let mut command = Command::new(wrapper); command.arg(std::env::var("RUSTC").unwrap()); command }
                None => Command::new(std::env::var("RUSTC").unwrap()),
            };
            let out = std::env::var("OUT_DIR").unwrap();
            let mut child = command.args(["--crate-name", "probe", "--crate-type=lib", "--emit=metadata", "--out-dir", &out, "-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), code.as_bytes()).unwrap();
            child.wait().unwrap().success()
        }
        fn main() {
            let code = std::env::var("WORLD_CODE").unwrap();
            println!("cargo:rerun-if-env-changed=WORLD_CODE");
            println!("cargo:rustc-env=WORKS={}", works(&code));
        }
        == src/main.rs
        fn main() { println!("{}", env!("WORKS")); }
        "#,
    );
    for (code, works) in
        [("pub fn f() {}", "true"), ("pub fn f( {}", "false"), ("pub fn f() {}", "true")]
    {
        world.set("WORLD_CODE", code);
        let built = world.right("build");
        assert!(built.seen.contains(works), "{}", built.seen);
    }
}
