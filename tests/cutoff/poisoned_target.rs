//! A target directory that holds another commit's products, and sources whose dates say that they
//! are old: cargo would take all of it for fresh. Nothing in it may be believed, whatever the
//! profile, target, kind of unit or layout.
//!
//! | package | where it is |
//! |---|---|
//! | `app` | in the workspace: a library, a program, a test, and a build script with `helper` in it |
//! | `mid`, `mac` | in the workspace; `mac` is a procedural macro |
//! | `beside` | a path dependency outside of the workspace and the checkout |
//! | `top` | from a registry; it depends on `low` |
//! | `low` | a local crate that `[patch]` puts in the place of one of the registry |

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::Digest as _;

use crate::world::{World, has, host, manifest, remove, succeed};

/// Where `top` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registry {
    /// Unpacked by cargo into its home.
    Home,
    /// In the repository.
    Vendored,
}

struct Poisoned {
    world: World,
    registry: Registry,
}

const TOP: &str = "pub fn value() -> &'static str { concat!(\"top \", \"of\") }\npub fn low() -> &'static str { low::VALUE }\n";

impl Poisoned {
    fn new(registry: Registry) -> Self {
        let poisoned = Self { world: World::new(), registry };
        let mut world = poisoned.world;
        world.write(
            "Cargo.toml",
            "[workspace]\nresolver = '2'\nmembers = ['app', 'mid', 'mac', 'helper']\n[patch.crates-io]\nlow = {path = 'low'}\n\
             [profile.dev]\ndebug = 0\n[profile.release]\nopt-level = 0\n[profile.wheels]\ninherits = 'release'\n[profile.deps]\ninherits = 'dev'\n\
             [profile.slow]\ninherits = 'dev'\n",
        );
        let dependencies = "[dependencies]\nmid = {path = '../mid'}\nmac = {path = '../mac'}\nbeside = {path = '../../beside'}\ntop = '1'\n\
                            [build-dependencies]\nhelper = {path = '../helper'}\n";
        world.write("app/Cargo.toml", manifest("app", dependencies));
        world.write(
            "app/build.rs",
            "fn main() {\n    println!(\"cargo:rerun-if-changed=words.txt\");\n    println!(\"cargo:rustc-env=SCRIPT={} one\", helper::VALUE);\n    \
             let words = std::fs::read_to_string(\"words.txt\").unwrap();\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
             std::fs::write(format!(\"{out}/words.txt\"), words).unwrap();\n}\n",
        );
        world.write("app/words.txt", "one");
        world.write(
            "app/src/lib.rs",
            "pub fn all() -> String {\n    let words = include_str!(concat!(env!(\"OUT_DIR\"), \"/words.txt\"));\n    \
             format!(\"own=one script={} words={words} mid={} mac={} beside={} low={}\", env!(\"SCRIPT\"), mid::VALUE, mac::value!(), beside::VALUE, top::low())\n}\n\
             #[test]\nfn what_it_was_made_of() {\n    println!(\"{} test=one\", all());\n}\n",
        );
        world.write(
            "app/src/main.rs",
            "fn main() {\n    println!(\"{} main=one\", app::all());\n}\n",
        );
        for name in ["mid", "helper"] {
            world.write(&format!("{name}/Cargo.toml"), manifest(name, ""));
            world.write(&format!("{name}/src/lib.rs"), "pub const VALUE: &str = \"one\";\n");
        }
        world.write("low/Cargo.toml", manifest("low", "").replace("0.1.0", "1.0.0"));
        world.write("low/src/lib.rs", "pub const VALUE: &str = \"one\";\n");
        world.write("mac/Cargo.toml", manifest("mac", "[lib]\nproc-macro = true\n"));
        world.write(
            "mac/src/lib.rs",
            "use proc_macro::TokenStream;\n#[proc_macro]\npub fn value(_: TokenStream) -> TokenStream { \"\\\"one\\\"\".parse().unwrap() }\n",
        );
        world.write("../beside/Cargo.toml", manifest("beside", "[workspace]\n"));
        world.write("../beside/src/lib.rs", "pub const VALUE: &str = \"one\";\n");
        let top_manifest = manifest("top", "[dependencies]\nlow = '1'\n").replace("0.1.0", "1.0.0");
        match registry {
            Registry::Vendored => {
                world.write("vendor/top/Cargo.toml", top_manifest);
                world.write("vendor/top/src/lib.rs", TOP.replace("top of", "one"));
                world.write("vendor/top/.cargo-checksum.json", r#"{"files": {}}"#);
                world.write(".cargo/config.toml", "[source.crates-io]\nreplace-with = 'here'\n[source.here]\ndirectory = 'vendor'\n");
            }
            Registry::Home => {
                registry_in(&world.base.join("registry"), &top_manifest, TOP);
                world.write(
                    ".cargo/config.toml",
                    "[source.crates-io]\nreplace-with = 'here'\n[source.here]\nlocal-registry = '../registry'\n",
                );
            }
        }
        let mut poisoned = Self { world, registry };
        succeed(poisoned.cargo(&["generate-lockfile", "-q"]).current_dir(&poisoned.world.path));
        let lock = std::fs::read(poisoned.world.at("Cargo.lock")).unwrap();
        poisoned.world.write("Cargo.lock", lock);
        poisoned
    }

    fn home(&self) -> PathBuf {
        self.world.base.join("home")
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut command = self.world.command("cargo");
        command.args(words).env("CARGO_HOME", self.home());
        command
    }

    fn ours(&self, words: &[&str]) -> Command {
        let mut command = self.world.ours(&[&["cargo"], words].concat());
        command.env("CARGO_HOME", self.home());
        command
    }

    /// The other commit: every `one` is a `two`, as old as ever.
    fn check_out(&mut self, commit: &str, kept: &[&str]) {
        self.world.edit(|text| {
            let text = text.replace("one", commit).replace("two", commit);
            // What another commit has in the vendored copy of the same version.
            if self.registry == Registry::Vendored { text.replace("top of", "one") } else { text }
        });
        self.world.check_out(kept);
        self.world.date_back();
    }

    /// Runs cargo with us, and fails if it took a local unit for fresh, or if what it built says
    /// anything of the other commit.
    fn check(&self, words: &[&str], environ: &[(&str, &str)]) -> Result<(), String> {
        let mut command = self.ours(&[words, &["--message-format=json"]].concat());
        command.envs(environ.iter().copied());
        let output = succeed(&mut command);
        let messages = String::from_utf8(output.stdout).unwrap();
        let messages: Vec<Value> =
            messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut seen = BTreeSet::new();
        let mut wrong = Vec::new();
        for message in messages.iter().filter(|message| message["reason"] == "compiler-artifact") {
            let (name, kind) = (
                message["target"]["name"].as_str().unwrap(),
                message["target"]["kind"][0].as_str().unwrap(),
            );
            let manifest = Path::new(message["manifest_path"].as_str().unwrap());
            if manifest.starts_with(self.home()) {
                continue;
            }
            seen.insert(format!("{name} {kind}"));
            if message["fresh"] == true {
                wrong.push(format!("{name} ({kind}) was fresh"));
            }
            if let Some(program) = message["executable"].as_str().filter(|_| name == "app") {
                let said =
                    succeed(Command::new(program).args(if message["profile"]["test"] == true {
                        &["--nocapture"][..]
                    } else {
                        &[]
                    }));
                let said = String::from_utf8(said.stdout).unwrap();
                // The test of the program has none.
                let is_right = said.contains(
                    "own=one script=one one words=one mid=one mac=one beside=one low=one",
                ) || !said.contains("own=");
                if !is_right || said.contains("two") {
                    wrong.push(format!("{program} said {said}"));
                }
            }
        }
        for expected in [
            "app lib",
            "build-script-build custom-build",
            "mid lib",
            "helper lib",
            "mac proc-macro",
            "beside lib",
            "low lib",
        ] {
            if !seen.contains(expected) {
                wrong.push(format!("{expected} was not built: {seen:?}"));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{words:?} {environ:?}: {}", wrong.join("; ")))
        }
    }
}

/// A registry in a directory, as `cargo local-registry` makes it, with the one crate `top`.
fn registry_in(directory: &Path, manifest: &str, source: &str) {
    std::fs::create_dir_all(directory.join("index/3/t")).unwrap();
    std::fs::create_dir_all(directory.join("index/3/l")).unwrap();
    let package = |name: &str, files: &[(&str, &str)]| {
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive
                .append_data(&mut header, format!("{name}-1.0.0/{path}"), text.as_bytes())
                .unwrap();
        }
        let mut bytes = Vec::new();
        bytes.write_all(&archive.into_inner().unwrap().finish().unwrap()).unwrap();
        std::fs::write(directory.join(format!("{name}-1.0.0.crate")), &bytes).unwrap();
        sha2::Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let checksum = package("top", &[("Cargo.toml", manifest), ("src/lib.rs", source)]);
    let needs = json!({"name": "low", "req": "^1", "features": [], "optional": false, "default_features": true, "target": null, "kind": "normal"});
    let line = json!({"name": "top", "vers": "1.0.0", "deps": [needs], "cksum": checksum, "features": {}, "yanked": false});
    std::fs::write(directory.join("index/3/t/top"), format!("{line}\n")).unwrap();
}

/// All ways in which the target directory is filled, and then used.
fn ways(host: &str) -> Vec<Vec<String>> {
    let words = |text: &str| text.replace("HOST", host).split(' ').map(str::to_owned).collect();
    [
        "check",
        "build",
        "test --no-run",
        "build --release",
        "build --profile wheels",
        "build --profile deps",
        "check --profile slow",
        "build --target HOST",
        "build --release --target HOST",
        "test --no-run --profile slow --target HOST",
    ]
    .into_iter()
    .map(words)
    .collect()
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Poisons a target directory, then builds in each way; each begins with the poisoned directory.
fn nothing_is_believed(
    poisoned: &mut Poisoned,
    target: &str,
    start: &[&str],
    environ: &[(&str, &str)],
    keeps_ours: bool,
    ways: &[Vec<String>],
) {
    let saved = poisoned.world.base.join("saved");
    let directory = poisoned.world.at(target);
    if keeps_ours {
        // Ours has lived here with another target directory, and what it made of this commit is in
        // the store.
        poisoned.check_out("one", &[]);
        succeed(poisoned.ours(&[start, &["build", "-q"]].concat()).envs(environ.iter().copied()));
    }
    poisoned.check_out("two", &[".pyenv-build"]);
    remove(&directory);
    for way in ways {
        succeed(
            poisoned.cargo(&[start, &refs(way), &["-q"]].concat()).envs(environ.iter().copied()),
        );
    }
    remove(&saved);
    succeed(Command::new("cp").arg("-a").arg(&directory).arg(&saved));
    let mut wrong = Vec::new();
    for way in ways {
        poisoned.check_out("one", if keeps_ours { &[".pyenv-build"] } else { &[] });
        remove(&directory);
        std::fs::create_dir_all(directory.parent().unwrap()).unwrap();
        succeed(Command::new("cp").arg("-a").arg(&saved).arg(&directory));
        wrong.extend(poisoned.check(&[start, &refs(way)].concat(), environ).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_commits_target_directory_is_not_believed_in_a_new_checkout() {
    nothing_is_believed(
        &mut Poisoned::new(Registry::Home),
        "target",
        &[],
        &[],
        false,
        &ways(&host()),
    );
}

#[test]
#[ignore = "half a minute; CI runs it"]
fn another_commits_target_directory_is_not_believed_where_ours_is_kept() {
    nothing_is_believed(
        &mut Poisoned::new(Registry::Home),
        "target",
        &[],
        &[],
        true,
        &ways(&host()),
    );
}

#[test]
fn another_commits_target_directory_is_not_believed_with_vendored_crates() {
    nothing_is_believed(
        &mut Poisoned::new(Registry::Vendored),
        "target",
        &[],
        &[],
        true,
        &ways(&host())[..3],
    );
}

#[test]
#[ignore = "half a minute; CI runs it"]
fn a_target_directory_of_any_name_is_not_believed() {
    for name in ["build", "deps", "out/package"] {
        nothing_is_believed(
            &mut Poisoned::new(Registry::Home),
            name,
            &[],
            &[("CARGO_TARGET_DIR", name)],
            false,
            &ways(&host())[1..2],
        );
    }
}

#[test]
#[ignore = "half a minute; CI runs it"]
fn a_build_directory_apart_from_the_target_directory_is_not_believed() {
    nothing_is_believed(
        &mut Poisoned::new(Registry::Home),
        "apart",
        &[],
        &[("CARGO_BUILD_BUILD_DIR", "apart")],
        false,
        &ways(&host())[1..4],
    );
}

#[test]
#[ignore = "half a minute; CI runs it"]
fn the_newer_layout_of_target_directories_is_not_believed() {
    if has("cargo", &["+nightly", "-V"], "the layout that the nightly cargo has") {
        let start = ["+nightly", "-Zbuild-dir-new-layout"];
        nothing_is_believed(
            &mut Poisoned::new(Registry::Home),
            "target",
            &start,
            &[],
            true,
            &ways(&host()),
        );
    }
}

/// Root, target directory and our own are what they were; only the sources were replaced, with
/// dates of long ago.
#[test]
fn sources_that_are_replaced_by_older_ones_are_noticed() {
    let mut poisoned = Poisoned::new(Registry::Home);
    poisoned.check_out("two", &[]);
    let ways = ways(&host());
    for way in &ways {
        succeed(&mut poisoned.ours(&[&refs(way)[..], &["-q"]].concat()));
    }
    poisoned.check_out("one", &[".pyenv-build", "target"]);
    // What the first way builds is fresh for the others, rightly so.
    let first = poisoned.check(&["build", "--release"], &[]);
    assert_eq!(first, Ok(()));
}

/// What was built by us on another machine has a token, but not that of this checkout.
#[test]
fn a_token_of_another_checkout_is_none() {
    let mut poisoned = Poisoned::new(Registry::Home);
    poisoned.check_out("two", &[]);
    succeed(&mut poisoned.ours(&["build", "-q"]));
    let saved = poisoned.world.base.join("saved");
    succeed(Command::new("cp").arg("-a").arg(poisoned.world.at("target")).arg(&saved));
    poisoned.check_out("one", &[]);
    succeed(&mut poisoned.ours(&["build", "-q"]));
    poisoned.check_out("one", &[".pyenv-build"]);
    succeed(Command::new("cp").arg("-a").arg(&saved).arg(poisoned.world.at("target")));
    assert_eq!(poisoned.check(&["build"], &[]), Ok(()));
}

/// The rest of a target directory is of use: a crate of a registry that nothing local is below is
/// not compiled again.
#[test]
fn crates_of_a_registry_stay_fresh_unless_a_patched_crate_is_below_them() {
    let mut poisoned = Poisoned::new(Registry::Home);
    poisoned.check_out("two", &[]);
    succeed(&mut poisoned.cargo(&["build", "-q"]));
    poisoned.check_out("one", &["target"]);
    let output = succeed(&mut poisoned.ours(&["build", "--message-format=json"]));
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fresh: BTreeMap<String, bool> = messages
        .filter(|message| message["reason"] == "compiler-artifact")
        .map(|message| {
            (message["target"]["name"].as_str().unwrap().to_owned(), message["fresh"] == true)
        })
        .collect();
    assert_eq!(fresh.get("top"), Some(&false), "`low` below it is another: {fresh:?}");
}
