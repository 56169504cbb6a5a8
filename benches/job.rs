//! Times the second job of a project's CI, step by step: wheel, `cargo clippy` and `cargo test
//! --no-run` under coverage, each in a fresh checkout at the same path with what the first job
//! left: `cargo bench --bench job -- [--runs N] [--project SPEC] [--kache PROGRAM]
//! [--trust PACKAGE] [--json FILE]`.
//!
//! | side | wheel | what the first job leaves |
//! | --- | --- | --- |
//! | rust-cache alone | `uv build`, isolated | `target` without the workspace's own crates, as rust-cache has it |
//! | cargo-pyenv-build | `cargo pyenv-build` | the same, and `.pyenv-build` |
//! | kache | `uv build`, isolated | its store |
//!
//! Later steps are plain cargo, with what `cargo pyenv-build env` exports, or kache's variables.
//! Restoring is not timed: the sizes of what is kept, packed, are printed.

#![expect(clippy::disallowed_methods, reason = "a benchmark times plain processes")]
#![expect(clippy::print_stdout, reason = "its result is text")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

#[expect(dead_code, reason = "it has projects of its own")]
mod common;
#[path = "common/results.rs"]
mod results;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Tools, fetch, run, spread, time};
use results::Results;

const PROJECTS: [&str; 3] = ["rpds-py==2026.9.1", "bcrypt==5.0.0", "cryptography==50.0.2"];
const STEPS: [&str; 3] = ["wheel", "clippy", "test"];

fn main() {
    let (mut runs, mut json, mut kache, mut trust, mut projects) =
        (3, None, None, None, Vec::new());
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
            "--kache" => kache = Some(PathBuf::from(args.next().expect("--kache takes a program"))),
            "--trust" => trust = Some(args.next().expect("--trust takes the name of a package")),
            "--project" => projects.push(args.next().expect("--project takes a requirement")),
            other => panic!("unknown: {other}"),
        }
    }
    if projects.is_empty() {
        projects = PROJECTS.map(str::to_owned).to_vec();
    }
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("warm");
    std::fs::create_dir_all(&work).unwrap();
    let python = std::env::var("PYENV_BUILD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let tools = Tools::prepare(&python, &work);
    let mut results = Results::new("job", json);
    for spec in &projects {
        let source = fetch(&tools, spec, &work);
        let mut sides = vec![Side::RustCache, Side::Ours { trust: None }];
        sides.extend(
            trust
                .clone()
                .filter(|_| spec.starts_with("cryptography"))
                .map(|trust| Side::Ours { trust: Some(trust) }),
        );
        sides.extend(kache.clone().map(Side::Kache));
        measure(
            &Project { source, python: python.clone(), uv: tools.uv.clone() },
            &sides,
            runs,
            &mut results,
        );
    }
    results.write();
}

#[derive(Clone)]
enum Side {
    RustCache,
    Ours { trust: Option<String> },
    Kache(PathBuf),
}

impl Side {
    fn name(&self) -> String {
        match self {
            Self::RustCache => "rust-cache alone".to_owned(),
            Self::Ours { trust: None } => "cargo-pyenv-build".to_owned(),
            Self::Ours { trust: Some(package) } => format!("cargo-pyenv-build, {package} trusted"),
            Self::Kache(_) => "kache".to_owned(),
        }
    }
}

struct Project {
    source: PathBuf,
    python: String,
    uv: PathBuf,
}

/// Where a side's jobs run: always the same path.
struct Place<'a> {
    project: &'a Project,
    side: &'a Side,
    directory: tempfile::TempDir,
}

impl Place<'_> {
    fn checkout(&self) -> PathBuf {
        self.directory.path().join("checkout")
    }

    fn kept(&self) -> PathBuf {
        self.directory.path().join("kept")
    }

    /// What is kept of a checkout.
    fn directories(&self) -> Vec<PathBuf> {
        let target = self
            .manifest()
            .with_file_name("target")
            .strip_prefix(self.checkout())
            .unwrap()
            .to_path_buf();
        match self.side {
            Side::RustCache => vec![target],
            Side::Ours { .. } => vec![target, ".pyenv-build".into()],
            Side::Kache(_) => Vec::new(),
        }
    }

    fn manifest(&self) -> PathBuf {
        let checkout = self.checkout();
        let manifests = [checkout.join("Cargo.toml"), checkout.join("src/_bcrypt/Cargo.toml")];
        manifests.into_iter().find(|path| path.is_file()).expect("a manifest")
    }

    /// A fresh checkout, with what the last job left.
    fn check_out(&self) {
        let checkout = self.checkout();
        let _ = std::fs::remove_dir_all(&checkout);
        run(Command::new("git")
            .args(["clone", "-q"])
            .arg(self.directory.path().join("origin"))
            .arg(&checkout));
        for directory in
            self.directories().iter().filter(|directory| self.kept().join(directory).exists())
        {
            let to = checkout.join(directory);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            run(Command::new("cp").arg("-a").arg(self.kept().join(directory)).arg(to));
        }
    }

    /// Keeps what the job leaves, without the workspace's own crates in `target`. Returns its size
    /// in MiB, packed.
    fn keep(&self) -> f64 {
        let kept = self.kept();
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::create_dir_all(&kept).unwrap();
        for directory in self.directories() {
            let to = kept.join(&directory);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            run(Command::new("cp").arg("-a").arg(self.checkout().join(&directory)).arg(&to));
            if directory.ends_with("target") {
                remove_own(&to, &packages(&self.checkout()));
            }
        }
        let what = if matches!(self.side, Side::Kache(_)) { self.kache_store() } else { kept };
        let packed = Command::new("sh")
            .args(["-c", "tar -C \"$0\" -cf - . | zstd -T0 | wc -c"])
            .arg(what)
            .output()
            .unwrap();
        String::from_utf8_lossy(&packed.stdout).trim().parse::<f64>().unwrap_or_default()
            / 1024.0
            / 1024.0
    }

    fn kache_store(&self) -> PathBuf {
        self.directory.path().join("kache")
    }

    /// One job: the seconds of each step.
    fn job(&self) -> [f64; 3] {
        let mut variables: Vec<(String, String)> = Vec::new();
        let wheel = if let Side::Ours { trust } = self.side {
            if let Some(trust) = trust {
                let settings =
                    format!("\n[tool.pyenv-build]\ntrusted-build-scripts = [{trust:?}]\n");
                let path = self.checkout().join("pyproject.toml");
                std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + &settings).unwrap();
            }
            let mut ours = Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
            time(
                ours.args(["build", "-q", "-p", &self.project.python]).current_dir(self.checkout()),
            )
        } else {
            if let Side::Kache(program) = self.side {
                variables
                    .push(("RUSTC_WRAPPER".to_owned(), program.to_string_lossy().into_owned()));
                variables.push((
                    "KACHE_CACHE_DIR".to_owned(),
                    self.kache_store().to_string_lossy().into_owned(),
                ));
            }
            let mut uv = Command::new(&self.project.uv);
            uv.args(["build", "--wheel", "-q", "--python", &self.project.python, "-o"])
                .arg(self.directory.path().join("out"));
            time(uv.envs(variables.iter().cloned()).current_dir(self.checkout()))
        };
        if matches!(self.side, Side::Ours { .. }) {
            let mut ours = Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
            let said = ours
                .args(["env", "-q", "-p", &self.project.python, "--format", "json"])
                .current_dir(self.checkout())
                .output()
                .unwrap();
            let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            variables.extend(
                said.as_object()
                    .unwrap()
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())),
            );
        }
        let cargo = |words: &[&str]| {
            let mut cargo = Command::new("cargo");
            cargo
                .args(words)
                .arg("--manifest-path")
                .arg(self.manifest())
                .current_dir(self.checkout());
            cargo.envs(variables.iter().cloned());
            cargo
        };
        let clippy = time(&mut cargo(&["clippy", "--all"]));
        let is_cryptography = self.project.source.to_string_lossy().contains("cryptography");
        let words: &[&str] = if is_cryptography {
            &["test", "--no-run", "--all", "--no-default-features"]
        } else {
            &["test", "--no-run", "--all"]
        };
        let test = time(cargo(words).env("RUSTFLAGS", "-Cinstrument-coverage"));
        [wheel, clippy, test]
    }
}

/// The names of the packages in a checkout.
fn packages(checkout: &Path) -> BTreeSet<String> {
    let output = Command::new("git")
        .args(["ls-files", "*Cargo.toml"])
        .current_dir(checkout)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |path: &str| {
        let text = std::fs::read_to_string(checkout.join(path)).ok()?;
        Some(
            text.parse::<toml::Table>()
                .ok()?
                .get("package")?
                .get("name")?
                .as_str()?
                .replace('-', "_"),
        )
    };
    text.lines().filter_map(name).collect()
}

/// As rust-cache does it before it saves.
fn remove_own(target: &Path, packages: &BTreeSet<String>) {
    for profile in ["debug", "release"].map(|name| target.join(name)) {
        for folder in
            [".fingerprint", "build", "deps", "incremental"].map(|name| profile.join(name))
        {
            for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().replace('-', "_");
                let stem = name.rsplit_once('_').map_or(name.as_str(), |(stem, _hash)| stem);
                let stem =
                    stem.strip_prefix("lib").unwrap_or(stem).split('.').next().unwrap_or_default();
                if packages.contains(stem) {
                    let path = entry.path();
                    let _ = if path.is_dir() {
                        std::fs::remove_dir_all(path)
                    } else {
                        std::fs::remove_file(path)
                    };
                }
            }
        }
    }
}

fn measure(project: &Project, sides: &[Side], runs: usize, results: &mut Results) {
    let name = project.source.file_name().unwrap().to_string_lossy().into_owned();
    let places: Vec<Place<'_>> = sides
        .iter()
        .map(|side| Place { project, side, directory: tempfile::tempdir().unwrap() })
        .collect();
    let mut sizes = Vec::new();
    for place in &places {
        let origin = place.directory.path().join("origin");
        run(Command::new("cp").arg("-r").arg(&project.source).arg(&origin));
        let git = |args: &[&str]| {
            run(Command::new("git")
                .args(["-c", "user.name=x", "-c", "user.email=x@x"])
                .args(args)
                .current_dir(&origin));
        };
        std::fs::write(
            origin.join(".gitignore"),
            "target/\n.pyenv-build/\ndist/\nbuild/\n*.egg-info/\n",
        )
        .unwrap();
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "x"]);
        place.check_out();
        place.job();
        sizes.push(place.keep());
    }
    let mut times: Vec<Vec<[f64; 3]>> = vec![Vec::new(); sides.len()];
    for _ in 0..runs {
        for (place, times) in places.iter().zip(&mut times) {
            place.check_out();
            times.push(place.job());
        }
    }
    let names: Vec<String> = sides.iter().map(Side::name).collect();
    let of = |side: usize, pick: &dyn Fn(&[f64; 3]) -> f64| {
        times[side].iter().map(pick).collect::<Vec<f64>>()
    };
    let mut tables: Vec<(String, Vec<Vec<f64>>)> = vec![(
        format!("{name}, the second job"),
        (0..sides.len()).map(|side| of(side, &|steps| steps.iter().sum())).collect(),
    )];
    for (at, step) in STEPS.iter().enumerate() {
        tables.push((
            format!("{name}, the second job: {step}"),
            (0..sides.len()).map(|side| of(side, &|steps| steps[at])).collect(),
        ));
    }
    for (title, rows) in &tables {
        let rows: Vec<(&str, &[f64])> =
            names.iter().map(String::as_str).zip(rows.iter().map(Vec::as_slice)).collect();
        results.table(title, "cargo-pyenv-build", &rows);
        println!("\n{title} ({runs} runs each, in turn; seconds)");
        for (row, times) in &rows {
            let (min, median, max) = spread(times);
            println!("  {row:40} {min:8.2} {median:8.2} {max:8.2}");
        }
    }
    for (name, size) in names.iter().zip(&sizes) {
        println!("  {name}: {size:.1} MiB kept, packed");
    }
}
