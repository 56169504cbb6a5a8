//! Times builds with nothing to do, ours and others', in turn, in one run: `cargo bench --bench
//! warm`.
//!
//! For each project: `provision`; then a warm `build` beside `uv build --no-build-isolation` and
//! `python -m build --no-isolation` in the very same environment. Whole processes, medians, and
//! ratios pair by pair, so that a machine whose speed drifts does not matter. `cargo bench --bench
//! warm -- [--runs N] [--json FILE] [DIR...]`; without directories, the sdists of rpds-py and
//! bcrypt are fetched with pip.

#![expect(clippy::disallowed_methods, reason = "a benchmark times plain processes")]
#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

mod common;
#[path = "common/results.rs"]
mod results;

use std::path::Path;
use std::process::Command;

use common::{SDISTS, Tools, fetch, run, spread, time};
use results::Results;

fn main() {
    let mut runs = 11;
    let mut json = None;
    let mut directories = Vec::new();
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
            _ => directories.push(std::path::absolute(arg).unwrap()),
        }
    }
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("warm");
    std::fs::create_dir_all(&work).unwrap();
    let python = std::env::var("PYENV_BUILD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let tools = Tools::prepare(&python, &work);
    if directories.is_empty() {
        directories = SDISTS.iter().map(|spec| fetch(&tools, spec, &work)).collect();
    }
    let mut results = Results::new("warm", json);
    for directory in directories {
        measure(&directory, &python, &tools, runs, &mut results);
    }
    results.write();
}

fn measure(project: &Path, python: &str, tools: &Tools, runs: usize, results: &mut Results) {
    let ours = env!("CARGO_BIN_EXE_cargo-pyenv-build");
    let scratch = tempfile::tempdir().unwrap();
    let command = |args: &[&str]| {
        let mut command = Command::new(ours);
        command.args(args).args(["-q", "-p", python]).current_dir(project);
        command
    };
    // Cold, once: from here on there is nothing to do.
    run(&mut command(&["build"]));
    let output = command(&["--message-format", "json", "build"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["crates"]["compiled"],
        serde_json::json!([]),
        "the second build must have nothing to do"
    );
    let environment = report["env"]["path"].as_str().unwrap().to_owned();
    let environment_python = report["env"]["python"].as_str().unwrap().to_owned();

    let code = "import build, os; print(os.path.dirname(os.path.dirname(build.__file__)))";
    let output = Command::new(&tools.python).args(["-c", code]).output().unwrap();
    let site_packages = String::from_utf8(output.stdout).unwrap().trim().to_owned();

    let provision = || time(&mut command(&["provision"]));
    let build = || time(&mut command(&["build"]));
    let others = |other: &mut Command| {
        let path = std::env::join_paths(
            std::iter::once(Path::new(&environment_python).parent().unwrap().to_path_buf())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        // What our hooks see, so that nobody's cargo finds anything changed.
        other
            .current_dir(project)
            .env("PATH", path.unwrap())
            .env("VIRTUAL_ENV", &environment)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYO3_PYTHON", &environment_python)
            .env("PYTHON_SYS_EXECUTABLE", &environment_python);
        time(other)
    };
    let uv = || {
        others(
            Command::new(&tools.uv)
                .args([
                    "build",
                    "--wheel",
                    "--no-build-isolation",
                    "-q",
                    "--python",
                    &environment_python,
                    "-o",
                ])
                .arg(scratch.path()),
        )
    };
    let pypa_build = || {
        others(
            Command::new(&environment_python)
                .args(["-m", "build", "--wheel", "--no-isolation", "-o"])
                .arg(scratch.path())
                .env("PYTHONPATH", &site_packages),
        )
    };
    let sides: [(&str, &dyn Fn() -> f64); 4] = [
        ("provision", &provision),
        ("build", &build),
        ("uv build --no-build-isolation", &uv),
        ("python -m build --no-isolation", &pypa_build),
    ];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); sides.len()];
    for round in 0..=runs {
        for (index, (_, side)) in sides.iter().enumerate() {
            let seconds = side();
            // The first round warms up.
            if round > 0 {
                times[index].push(seconds);
            }
        }
    }
    let name = project.file_name().unwrap().to_string_lossy();
    let rows: Vec<(&str, &[f64])> =
        sides.iter().zip(&times).map(|((name, _), times)| (*name, times.as_slice())).collect();
    results.table(&format!("{name}, nothing to do"), "build", &rows);
    println!("\n{name} ({runs} runs each, in turn; seconds)");
    println!("  {:32} {:>8} {:>8} {:>8}   ours / theirs", "", "min", "median", "max");
    for (index, (name, _)) in sides.iter().enumerate() {
        let (min, median, max) = spread(&times[index]);
        let ratio = if index < 2 {
            String::new()
        } else {
            let pairs: Vec<f64> =
                times[1].iter().zip(&times[index]).map(|(ours, theirs)| ours / theirs).collect();
            format!("{:.2}", spread(&pairs).1)
        };
        println!("  {name:32} {min:8.4} {median:8.4} {max:8.4}   {ratio}");
    }
}
