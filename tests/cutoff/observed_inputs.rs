//! Real calls, watched: every file that rustc, clippy, the C compiler's driver or a linker opened
//! *or looked for in vain*, and every variable that they asked for, is in the entry of the call or
//! on a list that says why it need not be. Every file that they wrote is an output, or a temporary
//! one.
//!
//! The lists of variables and files in `src/units` come from what this test saw. What it finds that
//! can change a product belongs there; only what cannot belongs to [`ignored`](crate::ignored).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::ignored;
use crate::known::{Known, Tools, real, which};
use crate::strace::{Access, Observer, Trace, normal};
use crate::world::{World, archive, has, manifest, remove, succeed};

fn world() -> World {
    let mut world = World::new();
    world.write(
        "Cargo.toml",
        "[workspace]\nresolver = '2'\nmembers = ['plain', 'prog', 'shared', 'archive', 'mac', 'user', 'sys']\n[profile.dev]\ndebug = 0\n",
    );
    world.write(
        "plain/Cargo.toml",
        manifest("plain", "description = 'd'\nlicense = 'MIT'\nrust-version = '1.60'\n"),
    );
    world.write(
        "plain/src/lib.rs",
        "//! Plain.\npub mod part;\n/// Text.\npub const TEXT: &str = include_str!(\"../text.txt\");\n/// Colour.\n\
         pub const COLOUR: Option<&str> = option_env!(\"WORLD_COLOUR\");\n/// Twice.\n#[must_use]\npub fn twice(n: u32) -> u32 { part::once(n) + n }\n\
         #[test]\nfn it() { assert_eq!(twice(1), 2); }\n",
    );
    world.write("plain/src/part.rs", "/// Once.\n#[must_use]\npub fn once(n: u32) -> u32 { n }\n");
    world.write("plain/text.txt", "text");
    world.write(
        "prog/Cargo.toml",
        manifest("prog", "[dependencies]\nplain = {path = '../plain'}\nuser = {path = '../user'}\nsys = {path = '../sys'}\n"),
    );
    world.write("prog/build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/x.rs\", \"const X: u32 = 1;\").unwrap();\n}\n");
    world.write("prog/src/main.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/x.rs\"));\nfn main() { println!(\"{} {} {}\", plain::twice(X), user::WORDS, sys::value()); }\n");
    for (name, kind) in [("shared", "cdylib"), ("archive", "staticlib")] {
        world.write(
            &format!("{name}/Cargo.toml"),
            manifest(
                name,
                &format!("[lib]\ncrate-type = ['{kind}']\n[dependencies]\nplain = {{path = '../plain'}}\nsys = {{path = '../sys'}}\n"),
            ),
        );
        world.write(
            &format!("{name}/src/lib.rs"),
            format!("#[no_mangle]\npub extern \"C\" fn {name}_f(n: u32) -> u32 {{ plain::twice(n) + sys::value() }}\n"),
        );
    }
    world.write("mac/Cargo.toml", manifest("mac", "[lib]\nproc-macro = true\n"));
    world.write(
        "mac/src/lib.rs",
        "use proc_macro::TokenStream;\n#[proc_macro]\npub fn words(_: TokenStream) -> TokenStream {\n    let path = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap() + \"/words/a.txt\";\n    \
         format!(\"\\\"{} {}\\\"\", std::fs::read_to_string(path).unwrap(), std::env::var(\"WORLD_MACRO\").unwrap_or_default()).parse().unwrap()\n}\n",
    );
    world.write("user/Cargo.toml", manifest("user", "[dependencies]\nmac = {path = '../mac'}\n"));
    world.write("user/src/lib.rs", "/// Words.\npub const WORDS: &str = mac::words!();\n");
    world.write("user/words/a.txt", "words");
    world.write("sys/Cargo.toml", manifest("sys", "links = 'native'\n"));
    world.write(
        "sys/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=native\");\n    let here = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n    \
         for name in [\"empty\", \"native\"] { println!(\"cargo:rustc-link-search=native={here}/{name}\"); }\n    println!(\"cargo:rustc-link-lib=static=bundled\");\n    println!(\"cargo:rustc-link-lib=found\");\n}\n",
    );
    world.write(
        "sys/src/lib.rs",
        "extern \"C\" { fn bundled() -> u32; fn found() -> u32; }\n/// Value.\n#[must_use]\npub fn value() -> u32 { unsafe { bundled() + found() } }\n",
    );
    world.write("sys/empty/README", "");
    for name in ["bundled", "found"] {
        let made = archive(
            &format!("unsigned {name}(void) {{ return 1; }}\n"),
            &world.base.join("scratch"),
            "x.o",
        );
        let bytes = std::fs::read(made).unwrap();
        world.write(&format!("sys/native/lib{name}.a"), bytes);
    }
    succeed(world.command("cargo").args(["generate-lockfile", "-q"]));
    declare_macro(&world);
    world
}

/// What `[tool.pyenv-build.macros]` would say, without Python: a plan of our own beside the one
/// that `run` writes.
fn declare_macro(world: &World) {
    world.build(&["cargo", "metadata", "-q", "--no-deps", "--format-version=1"]);
    let plans = world.at(".pyenv-build/store/plans");
    let path = std::fs::read_dir(&plans).unwrap().next().unwrap().unwrap().path();
    let mut plan: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    plan["macros"]["mac"] = serde_json::json!(["user/words/*.txt", "env:WORLD_MACRO"]);
    std::fs::write(plans.join("declared.json"), plan.to_string()).unwrap();
}

/// Runs a command with us and a store that is empty but for the plans, and compares each call with
/// its entry. Returns how many.
fn compare(
    world: &World,
    observer: &Observer,
    name: &str,
    words: &[&str],
    environ: &[(&str, &str)],
    wrong: &mut BTreeMap<String, BTreeSet<String>>,
) -> usize {
    for part in ["store/v1", "store/digests"] {
        remove(&world.at(".pyenv-build").join(part));
    }
    remove(&world.at("target"));
    let mut command = world.ours(words);
    let temporary = world.base.join("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    command
        .envs(environ.iter().copied())
        .env("TMPDIR", &temporary)
        .env("WORLD_MACRO", "m")
        .env_remove("LD_LIBRARY_PATH");
    let trace = observer.observe(&command);
    let sysroot = real(Path::new(
        String::from_utf8(succeed(Command::new("rustc").args(["--print", "sysroot"])).stdout)
            .unwrap()
            .trim(),
    ));
    let tools = Tools::of(world, &sysroot);
    let roots: Vec<u32> = trace.roots(&["rustc", "clippy-driver"]);
    let mut matched = 0;
    for (path, mut entry) in world.entries() {
        entry["is_clippy"] = path.parent().unwrap().to_string_lossy().ends_with("-clippy").into();
        let info = entry["outputs"].as_array().unwrap().iter().find_map(|output| {
            output["path"]
                .as_str()
                .filter(|path| Path::new(path).extension().is_some_and(|ending| ending == "d"))
        });
        let info = PathBuf::from(info.unwrap());
        let root = roots.iter().find(|root| {
            trace
                .tree(**root)
                .iter()
                .any(|(_, process)| process.accesses.contains(&(Access::Written, info.clone())))
        });
        let root = *root.unwrap_or_else(|| panic!("nobody was seen to write {}", info.display()));
        let known = Known::of(&entry, &tools, &sysroot);
        let unit = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let loaded = loaded(&trace, root);
        let place = ignored::Place {
            out_dir: &known.out_dir,
            stem: info.file_stem().unwrap().to_str().unwrap(),
            sysroot: &sysroot,
            temporary: &temporary,
            loaded: &loaded,
            directories: &known.directories,
        };
        unexplained(&trace, root, &known, observer, &place, &mut |what| {
            wrong.entry(what).or_default().insert(format!("{name}/{unit}"));
        });
        matched += 1;
    }
    matched
}

/// The libraries of the programs of a call.
fn loaded(trace: &Trace, root: u32) -> Vec<PathBuf> {
    let programs: BTreeSet<&PathBuf> =
        trace.tree(root).into_iter().flat_map(|(_, process)| &process.programs).collect();
    let mut loaded = Vec::new();
    for program in programs {
        let said = Command::new("ldd").arg(program).output().unwrap();
        let words: Vec<PathBuf> = String::from_utf8_lossy(&said.stdout)
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
            .map(|word| normal(Path::new(word)))
            .collect();
        loaded.extend(words.iter().map(|path| real(path)));
        loaded.extend(words);
    }
    loaded
}

/// Tells each file and variable that neither the entry nor the list of what is ignored accounts
/// for.
fn unexplained(
    trace: &Trace,
    root: u32,
    known: &Known,
    observer: &Observer,
    place: &ignored::Place<'_>,
    tell: &mut dyn FnMut(String),
) {
    let tree = trace.tree(root);
    // What the call itself makes and removes is its own.
    let written: BTreeSet<&PathBuf> = tree
        .iter()
        .flat_map(|(_, process)| &process.accesses)
        .filter(|(access, _)| *access == Access::Written)
        .map(|(_, path)| path)
        .collect();
    for (pid, process) in &tree {
        let program = trace.program(*pid);
        for (access, path) in &process.accesses {
            let is_own = *access != Access::Written && written.contains(path);
            if !known.has(*access, path)
                && !is_own
                && !observer.is_own(path)
                && ignored::file(*access, path, &program, place).is_none()
            {
                tell(format!("{access:?} {} ({program})", path.display()));
            }
        }
        for name in &process.variables {
            if !known.variables.contains(name) && ignored::variable(name, &program).is_none() {
                tell(format!("variable {name} ({program})"));
            }
        }
    }
}

type Scenario<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], usize);

fn everything_is_accounted_for(world: &World, scenarios: &[Scenario<'_>]) {
    if !has("strace", &["-V"], "what compilers and linkers read") {
        return;
    }
    let observer = Observer::new(&world.base.join("observed"));
    let mut wrong = BTreeMap::new();
    for (name, words, environ, calls) in scenarios {
        let matched = compare(world, &observer, name, words, environ, &mut wrong);
        assert!(matched >= *calls, "{name}: only {matched} calls were recorded");
    }
    let lines: Vec<String> = wrong
        .iter()
        .map(|(what, units)| {
            format!("{what}: {}", units.iter().cloned().collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert!(lines.is_empty(), "neither in the entry nor explained:\n{}", lines.join("\n"));
}

#[test]
fn what_a_build_reads_is_in_its_entries() {
    everything_is_accounted_for(
        &world(),
        &[
            ("build", &["cargo", "build", "-q", "--workspace"], &[("WORLD_MACRO", "m")], 9),
            ("test", &["cargo", "test", "-q", "--no-run", "-p", "plain"], &[], 2),
            ("check", &["cargo", "check", "-q", "-p", "prog", "-p", "shared"], &[], 7),
            (
                "incremental",
                &["cargo", "build", "-q", "-p", "prog"],
                &[("CARGO_INCREMENTAL", "1")],
                6,
            ),
        ],
    );
}

#[test]
#[ignore = "takes a minute and differs little from what a build reads; the workflow runs it"]
fn what_lto_reads_is_in_its_entries() {
    everything_is_accounted_for(
        &world(),
        &[
            (
                "thin",
                &["cargo", "build", "-q", "--workspace"],
                &[("CARGO_PROFILE_DEV_LTO", "thin")],
                9,
            ),
            (
                "fat",
                &["cargo", "build", "-q", "-p", "shared", "-p", "archive"],
                &[("CARGO_PROFILE_DEV_LTO", "fat")],
                4,
            ),
        ],
    );
}

#[test]
#[ignore = "takes a minute and differs little from what a build reads; the workflow runs it"]
fn what_other_linkers_and_flags_read_is_in_their_entries() {
    let world = world();
    // Where what is instrumented writes when it runs: in the root of the workspace it would look
    // like a change there.
    let profile = world.base.join("temporary/%p.profraw").to_str().unwrap().to_owned();
    everything_is_accounted_for(
        &world,
        &[
            (
                "bfd",
                &["cargo", "build", "-q", "-p", "prog", "-p", "shared"],
                &[("RUSTFLAGS", "-Clink-arg=-fuse-ld=bfd")],
                7,
            ),
            (
                "coverage",
                &["cargo", "build", "-q", "-p", "prog"],
                &[("RUSTFLAGS", "-Cinstrument-coverage"), ("LLVM_PROFILE_FILE", &profile)],
                7,
            ),
            (
                "debuginfo",
                &["cargo", "build", "-q", "-p", "prog"],
                &[
                    ("CARGO_PROFILE_DEV_DEBUG", "2"),
                    ("CARGO_PROFILE_DEV_SPLIT_DEBUGINFO", "packed"),
                ],
                6,
            ),
        ],
    );
}

#[test]
fn what_clippy_reads_is_in_its_entries() {
    let mut world = world();
    let clippy: &[&str] = &["cargo", "clippy", "-q", "-p", "plain"];
    let of_cargo: &[&str] = &["cargo", "clippy", "-q", "-p", "plain", "--", "-W", "clippy::cargo"];
    everything_is_accounted_for(
        &world,
        &[("no configuration", clippy, &[], 1), ("cargo lints", of_cargo, &[], 1)],
    );
    let elsewhere = world.base.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("clippy.toml"), "").unwrap();
    everything_is_accounted_for(
        &world,
        &[("elsewhere", clippy, &[("CLIPPY_CONF_DIR", elsewhere.to_str().unwrap())], 1)],
    );
    for place in ["../clippy.toml", ".clippy.toml", "plain/clippy.toml"] {
        world.write(place, "");
        everything_is_accounted_for(&world, &[(place, clippy, &[], 1)]);
    }
}

/// For what is on the list of variables though it is not plain that it changes nothing.
#[test]
fn variables_that_are_ignored_change_nothing() {
    let world = World::new();
    let source = world.at("main.rs");
    std::fs::write(&source, "fn main() { let unused = 1; println!(\"it\"); }\n").unwrap();
    let compile = |variable: Option<&str>| {
        let mut command = world.command("rustc");
        command.args([
            "--crate-name=main",
            "--error-format=json",
            "--json=diagnostic-rendered-ansi",
            "--emit=dep-info,metadata,link",
            "-Cdebuginfo=2",
            "--out-dir=out",
        ]);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        remove(&world.at("out"));
        std::fs::create_dir(world.at("out")).unwrap();
        let said = succeed(command.arg(&source));
        let read = |name: &str| std::fs::read(world.at("out").join(name)).unwrap();
        [said.stdout, said.stderr, read("main"), read("main.d"), read("libmain.rmeta")]
    };
    let plain = compile(None);
    for name in [
        "CI",
        "COLLECT_NO_DEMANGLE",
        "COLUMNS",
        "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
        "LLD_IN_TEST",
        "LLVM_IGNORED_ENV_VAR",
        "RUSTC_CTFE_BACKTRACE",
        "RUSTC_GRAPHVIZ_FONT",
        "RUST_BACKTRACE",
        "TERM",
        "UNSTABLE_RUSTDOC_TEST_PATH",
    ] {
        assert!(ignored::variable(name, "rustc").is_some());
        assert!(compile(Some(name)) == plain, "{name} changes something");
    }
}

/// A linker that comes to lie where the driver looks first is another linker, though no file has
/// changed.
#[test]
fn a_linker_that_would_be_found_first_counts() {
    if !has("ld.bfd", &["-v"], "a linker in COMPILER_PATH") {
        return;
    }
    let world = world();
    let tools = world.base.join("tools");
    std::fs::create_dir(&tools).unwrap();
    let build = || {
        let mut command = world.ours(&["cargo", "build", "-q", "-p", "mac"]);
        world.check_out(&[".pyenv-build"]);
        world
            .built(command.env("COMPILER_PATH", &tools).env("RUSTFLAGS", "-Clink-arg=-fuse-ld=bfd"))
    };
    build();
    assert_eq!(build().crates("reused"), ["mac"]);
    std::fs::copy(which("ld.bfd"), tools.join("ld.bfd")).unwrap();
    assert_eq!(build().crates("compiled"), ["mac"]);
    assert_eq!(build().crates("reused"), ["mac"]);
}
