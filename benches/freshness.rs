//! Times the ledger on large trees: `cargo bench --bench freshness`.
//!
//! A package whose build script watches a directory of many files; after a fresh checkout (every date is new) `freshness restore`, then
//! `freshness record`, beside `git status` and a plain parallel hash of the same bytes, in turn, in one run. Whole processes,
//! medians. `cargo bench --bench freshness -- [--runs N] [--files N]... [--json FILE]`

#![expect(clippy::disallowed_methods, reason = "a benchmark times plain processes")]
#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

#[path = "common/results.rs"]
mod results;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use results::Results;

/// As in a repository of 500 MB with 50,000 files.
const BYTES_PER_FILE: usize = 10_000;

fn main() {
    let mut runs = 5;
    let mut json = None;
    let mut sizes = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).expect("a number");
        match arg.as_str() {
            "--bench" => {}
            "--runs" => runs = number(args.next()),
            "--files" => sizes.push(number(args.next())),
            "--json" => json = Some(args.next().expect("--json takes a file")),
            _ => panic!("`{arg}` is not an option"),
        }
    }
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 50_000];
    }
    println!("                    restore    record    both  git status  parallel hash   both / git   both / hash");
    let mut results = Results::new("freshness", json);
    let rows: Vec<(usize, f64)> = sizes.into_iter().map(|files| (files, measure(files, runs, &mut results))).collect();
    results.write();
    if let (Some((few, fast)), Some((many, slow))) = (rows.first(), rows.last()) {
        #[expect(clippy::cast_precision_loss, reason = "counts of files")]
        let growth = (slow / fast) / (*many as f64 / *few as f64);
        println!("{few} to {many} files: {:.1} times the time, {growth:.2} of linear", slow / fast);
    }
}

/// Returns the median of restore and record together.
fn measure(files: usize, runs: usize, results: &mut Results) -> f64 {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = directory.path();
    lay_out(root, files);
    let cargo = |args: &[&str]| run(Command::new("cargo").args(args).current_dir(root));
    let ours = |action: &str| run(Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build")).args(["freshness", action]).current_dir(root));
    cargo(&["build", "-q", "--offline"]);
    ours("record");
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..runs {
        new_dates(root);
        times[0].push(timed(|| ours("restore")));
        times[1].push(timed(|| ours("record")));
        new_dates(root);
        times[2].push(timed(|| run(Command::new("git").args(["status", "--short"]).current_dir(root))));
        let hash = "find data -type f -print0 | xargs -0 -P \"$(nproc)\" -n 500 sha256sum > /dev/null";
        times[3].push(timed(|| run(Command::new("sh").args(["-c", hash]).current_dir(root))));
    }
    let both: Vec<f64> = times[0].iter().zip(&times[1]).map(|(restore, record)| restore + record).collect();
    let [restore, record, git, hash] = times.each_ref().map(Vec::as_slice);
    let rows =
        [("restore and record", both.as_slice()), ("restore", restore), ("record", record), ("git status", git), ("parallel hash", hash)];
    results.table(&format!("{files} files of 10 kB"), "restore and record", &rows);
    let [restore, record, git, hash] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let both = restore + record;
    println!(
        "{files:>7} files  {restore:>9.3} {record:>9.3} {both:>7.3}   {git:>9.3}      {hash:>9.3}    {:>9.2}     {:>9.2}",
        both / git,
        both / hash
    );
    both
}

fn lay_out(root: &Path, files: usize) {
    let write = |name: &str, text: &[u8]| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", b"[package]\nname = 'large'\nversion = '0.1.0'\nedition = '2021'\n");
    write("build.rs", b"fn main() { println!(\"cargo:rerun-if-changed=data\"); }\n");
    write("src/lib.rs", b"");
    write(".gitignore", b"target\n");
    let mut content = vec![b'x'; BYTES_PER_FILE];
    for number in 0..files {
        content[..8].copy_from_slice(format!("{number:08}").as_bytes());
        write(&format!("data/{:03}/{number}.bin", number % 500), &content);
    }
    run(Command::new("git").args(["init", "-q"]).current_dir(root));
    run(Command::new("git").args(["add", "-A"]).current_dir(root));
}

/// What a fresh checkout does to dates.
fn new_dates(root: &Path) {
    let now = filetime::FileTime::now();
    for entry in walkdir::WalkDir::new(root.join("data")).into_iter().filter_map(Result::ok) {
        filetime::set_file_mtime(entry.path(), now).unwrap();
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
