//! Times the wrapper itself on a workspace of many local crates: `cargo bench --bench reuse --
//! [--crates N] [--runs N] [--json FILE]`.
//!
//! Each round, in turn: plain cargo compiles all of it, then cargo under our wrapper compiles and
//! records it, then a fresh checkout has all of it served. What a unit costs is taken from the
//! wrapper's own report. No network, no Python.

#![expect(clippy::disallowed_methods, reason = "a benchmark times plain processes")]
#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

#[expect(dead_code, reason = "it fetches projects for the others")]
mod common;
#[path = "common/results.rs"]
mod results;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use common::{run, spread, time};
use results::Results;

fn main() {
    let (mut runs, mut crates, mut json) = (3, 300, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // What `cargo bench` adds.
            "--bench" => {}
            "--runs" => {
                runs =
                    args.next().and_then(|text| text.parse().ok()).expect("--runs takes a number");
            }
            "--crates" => {
                crates = args
                    .next()
                    .and_then(|text| text.parse().ok())
                    .expect("--crates takes a number");
            }
            "--json" => json = Some(args.next().expect("--json takes a file")),
            other => panic!("unknown: {other}"),
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let origin = scratch.path().join("origin");
    write(&origin, crates);
    let checkout = scratch.path().join("checkout");
    let kept = scratch.path().join("store");
    let fresh = || {
        let _ = std::fs::remove_dir_all(&checkout);
        run(Command::new("cp").arg("-r").arg(&origin).arg(&checkout));
        // Sources as young as the call are not recorded.
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let ours = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command
            .args(["run", "-q", "--", "cargo", "build", "-q", "--offline"])
            .current_dir(&checkout);
        command
    };
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); 3];
    let mut served = 0.0;
    let (mut store, mut target) = (0.0, 0.0);
    for _ in 0..runs {
        fresh();
        times[0].push(time(
            Command::new("cargo").args(["build", "-q", "--offline"]).current_dir(&checkout),
        ));
        fresh();
        times[1].push(time(&mut ours()));
        store = size(&checkout.join(".pyenv-build/store"));
        target = size(&checkout.join("target"));
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::rename(checkout.join(".pyenv-build"), &kept).unwrap();
        fresh();
        std::fs::rename(&kept, checkout.join(".pyenv-build")).unwrap();
        times[2].push(time(&mut ours()));
        let report: serde_json::Value = serde_json::from_slice(
            &std::fs::read(checkout.join(".pyenv-build/reports/last.json")).unwrap(),
        )
        .unwrap();
        assert_eq!(report["crates"]["compiled"].as_array().unwrap().len(), 0, "{report}");
        served = report["store"]["seconds"].as_f64().unwrap()
            / report["store"]["reused"].as_f64().unwrap();
    }
    let title = format!("{crates} local crates");
    let names = ["plain cargo compiles", "recorded under the wrapper", "all reused"];
    let mut results = Results::new("reuse", json);
    let rows: Vec<(&str, &[f64])> =
        names.iter().zip(&times).map(|(name, times)| (*name, times.as_slice())).collect();
    results.table(&title, "plain cargo compiles", &rows);
    println!("\n{title} ({runs} runs each, in turn; seconds)");
    println!("  {:32} {:>8} {:>8} {:>8}   this / plain cargo", "", "min", "median", "max");
    for (name, times_of_it) in names.iter().zip(&times) {
        let (min, median, max) = spread(times_of_it);
        let pairs: Vec<f64> =
            times_of_it.iter().zip(&times[0]).map(|(this, plain)| this / plain).collect();
        println!("  {name:32} {min:8.3} {median:8.3} {max:8.3}   {:.3}", spread(&pairs).1);
    }
    println!(
        "  served: {:.1} ms a unit; store {:.1} MB beside {:.1} MB of `target`",
        served * 1e3,
        store,
        target
    );
    results.write();
}

/// A chain of fans: each crate uses the two before it.
fn write(origin: &Path, crates: usize) {
    let put = |name: String, text: String| {
        let path = origin.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put(
        "Cargo.toml".to_owned(),
        "[workspace]\nmembers = ['crates/*']\nresolver = '2'\n".to_owned(),
    );
    put(".gitignore".to_owned(), "target\n.pyenv-build\n".to_owned());
    for one in 0..crates {
        let mut manifest = format!(
            "[package]\nname = 'c{one}'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\n"
        );
        let mut source = String::from("//! One of many.\n");
        for before in [one / 2, one.saturating_sub(1)] {
            if before < one && !manifest.contains(&format!("'../c{before}'")) {
                let _ = writeln!(manifest, "c{before} = {{ path = '../c{before}' }}");
                let _ = writeln!(source, "pub use c{before}::f{before};");
            }
        }
        for at in 0..40 {
            let _ = writeln!(
                source,
                "#[derive(Debug, Clone, PartialEq)]\npub struct S{at} {{ pub a: Vec<String>, pub b: Option<u64> }}"
            );
        }
        let _ = writeln!(source, "pub fn f{one}() -> usize {{ {one} }}");
        put(format!("crates/c{one}/Cargo.toml"), manifest);
        put(format!("crates/c{one}/src/lib.rs"), source);
    }
    run(Command::new("cargo").args(["generate-lockfile", "--offline"]).current_dir(origin));
}

/// In megabytes.
fn size(directory: &Path) -> f64 {
    let files = walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    #[expect(clippy::cast_precision_loss, reason = "bytes do not matter")]
    let bytes =
        files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum::<u64>()
            as f64;
    bytes / 1e6
}
