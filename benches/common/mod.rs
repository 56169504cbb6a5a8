//! What the benchmarks that build real projects share: the projects, the tools that they are
//! compared with, a clock.

#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// One with maturin, one with setuptools-rust.
pub(crate) const SDISTS: [&str; 2] = ["rpds-py==2026.9.1", "bcrypt==5.0.0"];

/// `build` and `uv`, in an environment of their own.
pub(crate) struct Tools {
    pub(crate) python: PathBuf,
    pub(crate) uv: PathBuf,
}

impl Tools {
    pub(crate) fn prepare(python: &str, work: &Path) -> Self {
        let venv = work.join("tools");
        let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
        let own = bin.join("python");
        if !bin.join("pyproject-build").exists() {
            run(Command::new(python).args(["-m", "venv"]).arg(&venv));
            run(Command::new(&own).args(["-m", "pip", "install", "-q", "build", "uv"]));
        }
        Self { python: own, uv: bin.join("uv") }
    }
}

pub(crate) fn fetch(tools: &Tools, spec: &str, work: &Path) -> PathBuf {
    let (name, version) = spec.split_once("==").unwrap();
    let directory = work.join(format!("{}-{version}", name.replace('-', "_")));
    if !directory.exists() {
        println!("fetching {spec}");
        run(Command::new(&tools.python)
            .args(["-m", "pip", "download", "-q", "--no-deps", "--no-binary", name, "-d"])
            .arg(work)
            .arg(spec));
        let archive = directory
            .with_file_name(format!("{}.tar.gz", directory.file_name().unwrap().to_str().unwrap()));
        run(Command::new("tar")
            .args(["-xzf"])
            .arg(archive)
            .args(["--no-same-owner", "-C"])
            .arg(work));
        // As a checkout: without git, cargo counts everything in the directory as the package's.
        run(Command::new("git").args(["init", "-q"]).current_dir(&directory));
        run(Command::new("git").args(["add", "-A"]).current_dir(&directory));
    }
    directory
}

pub(crate) fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?} failed");
}

pub(crate) fn time(command: &mut Command) -> f64 {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?} failed");
    seconds
}

pub(crate) fn spread(times: &[f64]) -> (f64, f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}
