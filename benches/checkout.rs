//! Times a build in a fresh checkout whose caches were restored, as each CI job has it: `cargo
//! bench --bench checkout`.
//!
//! Each round, for each side, clones the project to the same path and unpacks with `tar` what that
//! side's last build left: for `build`, `target` and `.pyenv-build`; for `uv build`, isolated,
//! `target`. The floor is cargo alone, with the variables that the backend sets, when there is
//! nothing to do. Whole processes of the builds, medians; cloning and unpacking are not counted.
//! `cargo bench --bench checkout -- [--runs N] [--json FILE]`; the sdists of rpds-py and bcrypt are
//! fetched with pip.

#![expect(clippy::disallowed_methods, reason = "a benchmark times plain processes")]
#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

mod common;
#[path = "common/results.rs"]
mod results;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{SDISTS, Tools, fetch, run, spread, time};
use results::Results;

fn main() {
    let mut runs = 5;
    let mut json = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // What `cargo bench` adds.
            "--bench" => {}
            "--runs" => {
                runs =
                    args.next().and_then(|text| text.parse().ok()).expect("--runs takes a number");
            }
            "--json" => json = Some(args.next().expect("--json takes a file")),
            other => panic!("unknown: {other}"),
        }
    }
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("warm");
    std::fs::create_dir_all(&work).unwrap();
    let python = std::env::var("PYENV_BUILD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let tools = Tools::prepare(&python, &work);
    let mut results = Results::new("checkout", json);
    for spec in SDISTS {
        let source = fetch(&tools, spec, &work);
        measure(&source, &python, &tools, runs, &mut results);
    }
    results.write();
}

/// A place that a project is checked out to again and again.
struct Place {
    origin: PathBuf,
    checkout: PathBuf,
    scratch: tempfile::TempDir,
}

impl Place {
    fn new(source: &Path) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let origin = scratch.path().join("origin");
        let git = |args: &[&str]| {
            run(Command::new("git")
                .args(["-c", "user.name=x", "-c", "user.email=x@x"])
                .args(args)
                .current_dir(&origin));
        };
        run(Command::new("git").args(["init", "-q"]).arg(&origin));
        // The sdist as it was unpacked; its own checkout has no commit.
        run(Command::new("cp")
            .arg("-r")
            .args(tracked(source).iter().map(|name| source.join(name)))
            .arg(&origin));
        std::fs::write(
            origin.join(".gitignore"),
            "target/\n.pyenv-build/\ndist/\nbuild/\n*.egg-info/\n",
        )
        .unwrap();
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "x"]);
        Self { checkout: scratch.path().join("checkout"), origin, scratch }
    }

    /// A new checkout with the `state` of a side, if it has one yet.
    fn check_out(&self, state: &str) {
        let _ = std::fs::remove_dir_all(&self.checkout);
        run(Command::new("git").args(["clone", "-q"]).arg(&self.origin).arg(&self.checkout));
        let archive = self.scratch.path().join(state);
        if archive.exists() {
            run(Command::new("tar")
                .args(["--posix", "-P", "-xf"])
                .arg(archive)
                .arg("-C")
                .arg(&self.checkout));
        }
    }

    /// Keeps directories of the checkout for the next.
    fn keep(&self, state: &str, directories: &[&Path]) {
        let there = directories.iter().filter(|directory| self.checkout.join(directory).exists());
        let archive = self.scratch.path().join(state);
        run(Command::new("tar")
            .args(["--posix", "-P", "-cf"])
            .arg(archive)
            .arg("-C")
            .arg(&self.checkout)
            .args(there));
    }
}

/// What a directory's git knows at its top.
fn tracked(source: &Path) -> Vec<String> {
    let output = Command::new("git").args(["ls-files"]).current_dir(source).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> =
        text.lines().map(|line| line.split('/').next().unwrap().to_owned()).collect();
    names.dedup();
    names
}

fn measure(source: &Path, python: &str, tools: &Tools, runs: usize, results: &mut Results) {
    let place = Place::new(source);
    let ours = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command.args(["build", "-q", "-p", python]).current_dir(&place.checkout);
        command
    };
    let out = place.scratch.path().join("out");
    let uv = || {
        let mut command = Command::new(&tools.uv);
        command
            .args(["build", "--wheel", "-q", "--python", python, "-o"])
            .arg(&out)
            .current_dir(&place.checkout);
        command
    };
    place.check_out("none");
    run(&mut ours());
    let report = std::fs::read(place.checkout.join(".pyenv-build/reports/last.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let manifest = manifest_in(&place.checkout);
    let target = manifest.with_file_name("target");
    let target = target.strip_prefix(&place.checkout).unwrap();
    place.keep("ours", &[Path::new(".pyenv-build"), target]);
    place.check_out("none");
    run(&mut uv());
    place.keep("uv", &[target]);

    let mut times: Vec<Vec<f64>> = vec![Vec::new(); 3];
    for _ in 0..runs {
        place.check_out("ours");
        times[0].push(time(&mut ours()));
        let mut cargo = Command::new("cargo");
        cargo
            .args(["build", "--release", "--manifest-path"])
            .arg(&manifest)
            .current_dir(&place.checkout);
        for (name, value) in report["pins"].as_object().unwrap() {
            if let Some(value) = value["value"].as_str().or(value.as_str()) {
                cargo.env(name, value);
            }
        }
        // What this compiles that the backend did not, such as other crate types, is not counted.
        let _ = time(&mut cargo);
        times[2].push(time(&mut cargo));
        place.check_out("uv");
        times[1].push(time(&mut uv()));
        place.keep("uv", &[target]);
    }
    let title = format!(
        "{}, a fresh checkout with its caches",
        source.file_name().unwrap().to_string_lossy()
    );
    let names = ["build", "uv build (isolated)", "cargo with nothing to do"];
    let rows: Vec<(&str, &[f64])> =
        names.iter().zip(&times).map(|(name, times)| (*name, times.as_slice())).collect();
    results.table(&title, "build", &rows);
    println!("\n{title} ({runs} runs each, in turn; seconds)");
    println!("  {:32} {:>8} {:>8} {:>8}   build / this", "", "min", "median", "max");
    for (name, times_of_it) in names.iter().zip(&times) {
        let (min, median, max) = spread(times_of_it);
        let pairs: Vec<f64> =
            times[0].iter().zip(times_of_it).map(|(ours, theirs)| ours / theirs).collect();
        println!("  {name:32} {min:8.3} {median:8.3} {max:8.3}   {:.2}", spread(&pairs).1);
    }
}

/// The shallowest `Cargo.toml`.
fn manifest_in(directory: &Path) -> PathBuf {
    let entries = walkdir::WalkDir::new(directory).max_depth(4).into_iter().filter_map(Result::ok);
    let manifests = entries.filter(|entry| {
        entry.file_name() == "Cargo.toml"
            && !entry.path().components().any(|part| part.as_os_str() == ".pyenv-build")
    });
    manifests.min_by_key(walkdir::DirEntry::depth).unwrap().into_path()
}
