//! Times what incremental state brings to a crate that takes long: `cargo bench --bench incremental -- [--functions=N] [--json FILE]`.
//!
//! A crate of many functions; one line of it is changed in a fresh checkout with the caches of the last job, with `--incremental auto` and
//! with `--incremental false`, in turn, in one run. Beside it a small crate, which keeps no state.

#![expect(clippy::disallowed_methods, reason = "a benchmark times plain processes")]
#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

#[path = "common/results.rs"]
mod results;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use results::Results;

fn main() {
    let functions = std::env::args().find_map(|arg| arg.strip_prefix("--functions=")?.parse().ok()).unwrap_or(1200);
    let mut results = Results::new("incremental", std::env::args().skip_while(|arg| arg != "--json").nth(1));
    let cold = [once("auto", functions), once("false", functions)];
    let [(cold_with, with, states), (cold_without, without, none)] = cold;
    results.table("first build", "--incremental auto", &[("--incremental auto", &[cold_with]), ("--incremental false", &[cold_without])]);
    let changed: [(&str, &[f64]); 2] = [("--incremental auto", &[with]), ("--incremental false", &[without])];
    results.table("one line changed in a fresh checkout", "--incremental auto", &changed);
    results.write();
    println!("first build: {cold_with:.1} s with --incremental auto, {cold_without:.1} s without");
    println!("one line changed in a fresh checkout: {with:.1} s with, {without:.1} s without, ratio {:.2}", with / without);
    println!("state kept: {states:?} with, {none:?} without");
}

/// Seconds of the first build and of the one after a change, and the crates whose state was kept.
fn once(incremental: &str, functions: usize) -> (f64, f64, Vec<String>) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = directory.path().join("checkout");
    let build = || {
        let start = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command.args(["run", "--incremental", incremental, "--", "cargo", "build", "--release", "--offline", "-q"]);
        run(command.current_dir(&root).env_remove("CARGO_INCREMENTAL"));
        start.elapsed().as_secs_f64()
    };
    check_out(&root, functions, 0);
    let cold = build();
    run(Command::new("tar").args(["--posix", "-cf", "../cache.tar", "target", ".pyenv-build"]).current_dir(&root));
    std::fs::remove_dir_all(&root).unwrap();
    check_out(&root, functions, 1);
    run(Command::new("tar").args(["-xf", "../cache.tar"]).current_dir(&root));
    let changed = build();
    let entries = std::fs::read_dir(root.join("target/release/incremental")).into_iter().flatten();
    let mut states: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    states.sort();
    (cold, changed, states)
}

fn check_out(root: &Path, functions: usize, change: usize) {
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nresolver = '2'\nmembers = ['big', 'small']\n");
    write("small/Cargo.toml", "[package]\nname = 'small'\nversion = '0.1.0'\nedition = '2021'\n");
    write("small/src/lib.rs", "pub fn one() -> u64 { 1 }\n");
    write("big/Cargo.toml", "[package]\nname = 'big'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nsmall = {path = '../small'}\n");
    let mut source = format!("pub fn changed() -> u64 {{ small::one() + {change} }}\n");
    for number in 0..functions {
        let _ = writeln!(
            source,
            "pub fn f{number}(text: &str) -> Vec<(String, u64)> {{\n    let mut map = std::collections::BTreeMap::new();\n    \
             for (at, word) in text.split_whitespace().enumerate() {{ map.entry(word.to_uppercase()).or_insert_with(Vec::new).push(at as u64 + {number}); }}\n    \
             let mut all: Vec<_> = map.into_iter().map(|(word, at)| (format!(\"{{word}}-{number}\"), at.iter().sum::<u64>())).collect();\n    \
             all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));\n    all\n}}"
        );
    }
    write("big/src/lib.rs", &source);
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
