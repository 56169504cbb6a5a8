//! `doctor`: a fault is planted, exactly that rule speaks, and after its fix nothing does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::context::{Program, Run, Test, python};

const DAY: Duration = Duration::from_secs(86400);

const BUILD_RS: &str = "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n}\n";

/// A project under git, with a crate that needs no other and at which there is nothing to find.
struct Fixture {
    test: Test,
    path: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        Self::named("p")
    }

    fn named(name: &str) -> Self {
        let test = Test::pristine();
        let path = test.path.join(name);
        let fixture = Self { test, path };
        fixture.write(
            "pyproject.toml",
            "[build-system]\nrequires = ['maturin']\nbuild-backend = 'maturin'\n",
        );
        fixture.write("Cargo.toml", "[package]\nname = 'p'\nversion = '0.1.0'\nedition = '2021'\n[lib]\ncrate-type = ['cdylib']\n");
        fixture
            .write("Cargo.lock", "version = 3\n\n[[package]]\nname = \"p\"\nversion = \"0.1.0\"\n");
        fixture.write("build.rs", BUILD_RS);
        fixture.write("src/lib.rs", "");
        fixture.write(".gitignore", "/target/\n");
        fixture.git(&["init", "-q"]);
        fixture.commit();
        fixture
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).unwrap()
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path.join(name)).unwrap();
    }

    fn git(&self, args: &[&str]) {
        let identity =
            ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"];
        self.test.command("git").args(identity).args(args).cwd(&self.path).run().success();
    }

    fn commit(&self) {
        self.git(&["add", "-A", "."]);
        self.git(&["commit", "-qm", "x"]);
    }

    /// With the cargo that runs this test.
    fn with_cargo(&self, program: Program) -> Program {
        let directory = Path::new(env!("CARGO")).parent().unwrap();
        program.env("PATH", self.test.search_path(&[&self.test.bin(), directory])).cwd(&self.path)
    }

    fn doctor(&self, args: &[&str]) -> Program {
        self.with_cargo(self.test.program(&["doctor"]).args(args))
    }

    /// cargo, which runs the build scripts and leaves its records.
    fn cargo(&self) -> Program {
        self.with_cargo(self.test.command(env!("CARGO")).args(["check", "--quiet", "--offline"]))
    }

    /// The ids of what is found.
    fn ids(&self) -> Vec<String> {
        ids(&self.doctor(&["--message-format=json"]).run())
    }

    /// Lets `--fix` fix it. Returns the files that it edited.
    fn fix(&self) -> Vec<String> {
        let fixed =
            self.doctor(&["--fix", "--message-format=json"]).run().success().json()["fixed"]
                .clone();
        let files =
            fixed.as_array().unwrap().iter().map(|fix| fix["file"].as_str().unwrap().to_owned());
        files
            .map(|file| {
                Path::new(&file).strip_prefix(&self.path).unwrap().to_str().unwrap().to_owned()
            })
            .collect()
    }

    fn set_mtime(&self, name: &str, time: SystemTime) {
        filetime::set_file_mtime(self.path.join(name), time.into()).unwrap();
    }
}

/// The ids of the findings in a report, whose exit code must fit them.
fn ids(run: &Run) -> Vec<String> {
    let report = run.json();
    assert_eq!(report["not_checked"], json!([]), "{report}");
    let findings = report["findings"].as_array().unwrap();
    let fails = findings.iter().any(|finding| finding["severity"] != "note");
    assert_eq!((run.code, &report["ok"]), (Some(i32::from(fails)), &json!(!fails)), "{report}");
    findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_clean_project_has_no_findings_before_and_after_cargo_ran() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), [""; 0]);
    let run = fixture.doctor(&[]).run().success();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.trim()),
        ("", format!("Checked {}: no problems found", fixture.path.display()).as_str())
    );
}

#[test]
fn the_examples_have_no_findings() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (name, project) in [
        ("maturin-abi3", "."),
        ("maturin-workspace", "python"),
        ("setuptools-rust", "."),
        ("scikit-build-core", "."),
    ] {
        let test = Test::pristine();
        let fixture = Fixture { path: test.path.join(name), test };
        let walk = walkdir::WalkDir::new(examples.join(name)).into_iter();
        let kept = walk.filter_entry(|entry| {
            !["target", "dist", ".pyenv-build"].iter().any(|skipped| entry.file_name() == *skipped)
        });
        for entry in kept.map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
            let to = fixture.path.join(entry.path().strip_prefix(examples.join(name)).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(entry.path(), to).unwrap();
        }
        fixture.git(&["init", "-q"]);
        fixture.commit();
        assert_eq!(
            ids(&fixture.doctor(&[project, "--message-format=json"]).run()),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn a_script_that_names_nothing_by_its_source() {
    let fixture = Fixture::new();
    fixture.write("build.rs", "fn main() {\n    std::fs::read(\"src/lib.rs\").unwrap();\n}\n");
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if"]);
    assert_eq!(
        fixture.doctor(&["--fix", "--message-format=json"]).run().success().json()["fixed"],
        json!([]),
        "it reads a file"
    );
    fixture.write(
        "build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=src/lib.rs\");\n}\n",
    );
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_script_that_names_nothing_by_cargos_records() {
    let fixture = Fixture::new();
    // What is in another file may print it, or not.
    fixture.write(
        "build.rs",
        "#[path = \"build/more.rs\"]\nmod more;\nfn main() {\n    more::all();\n}\n",
    );
    fixture.write("build/more.rs", "pub fn all() {}\n");
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if"]);
    fixture.write(
        "build/more.rs",
        "pub fn all() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n}\n",
    );
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_script_that_calls_pyo3_only_is_told_the_line_to_add() {
    let fixture = Fixture::new();
    let function = "add_extension_module_link_args";
    fixture.write(
        "stub/Cargo.toml",
        "[package]\nname = 'pyo3-build-config'\nversion = '0.1.0'\nedition = '2021'\n",
    );
    fixture.write("stub/src/lib.rs", &format!("pub fn {function}() {{}}\n"));
    fixture.write(
        "Cargo.toml",
        &(fixture.read("Cargo.toml")
            + "[build-dependencies]\npyo3-build-config = {path = 'stub'}\n"),
    );
    fixture.write("build.rs", &format!("fn main() {{\n    pyo3_build_config::{function}();\n}}\n"));
    fixture
        .with_cargo(fixture.test.command(env!("CARGO")).args(["generate-lockfile", "--offline"]))
        .run()
        .success();
    fixture.commit();
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if"]);
    let run = fixture.doctor(&["--fix"]).run().success();
    assert!(!run.stderr.contains("Fixed"), "a build script is not ours to edit: {}", run.stderr);
    assert!(
        run.stdout.contains("println!(\"cargo:rerun-if-changed=build.rs\");"),
        "{}",
        run.stdout
    );
    let fixed = format!(
        "fn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    pyo3_build_config::{function}();\n}}\n"
    );
    fixture.write("build.rs", &fixed);
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_watched_path_that_is_missing() {
    let fixture = Fixture::new();
    fixture
        .write("build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=gone.txt\");\n}\n");
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), ["watched-path-missing"]);
    // As in a fresh checkout, where the script is newer than its run.
    fixture.set_mtime("build.rs", SystemTime::now());
    assert_eq!(fixture.ids(), ["watched-path-missing"]);
    fixture.write("gone.txt", "");
    assert_eq!(fixture.ids(), [""; 0]);
    fixture
        .write("build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=src/*.rs\");\n}\n");
    fixture.cargo().run().success();
    let run = fixture.doctor(&["--message-format=json"]).run();
    assert_eq!(ids(&run), ["watched-path-missing"]);
    assert!(
        run.stdout.contains(
            "cargo does not support patterns: in `build.rs`, watch the whole directory `src`"
        ),
        "{}",
        run.stdout
    );
    fixture.write("build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=src\");\n}\n");
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_watched_path_that_the_script_writes() {
    for place in
        ["\"src/made.rs\".to_owned()", "std::env::var(\"OUT_DIR\").unwrap() + \"/made.rs\""]
    {
        let fixture = Fixture::new();
        fixture.write(
            "build.rs",
            &format!(
                "fn main() {{\n    let path = {place};\n    std::thread::sleep(std::time::Duration::from_millis(20));\n    \
                 std::fs::write(&path, \"\").unwrap();\n    println!(\"cargo:rerun-if-changed={{path}}\");\n}}\n"
            ),
        );
        fixture.cargo().run().success();
        assert_eq!(fixture.ids(), ["watched-path-written"], "{place}");
        fixture.write("build.rs", BUILD_RS);
        assert_eq!(fixture.ids(), [""; 0]);
        fixture.cargo().run().success();
        assert_eq!(fixture.ids(), [""; 0]);
    }
}

#[test]
fn a_watched_source_that_is_edited_is_no_fault() {
    let fixture = Fixture::new();
    fixture.write("build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=src\");\n}\n");
    fixture.cargo().run().success();
    fixture.write("src/lib.rs", "//! Edited.\n");
    fixture.write("src/new.rs", "");
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_script_tied_to_an_environment() {
    let fixture = Fixture::new();
    fixture.write(
        "build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=VIRTUAL_ENV\");\n}\n",
    );
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), ["build-script-tied-to-environment"]);
    fixture.write(
        "build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=PYO3_PYTHON\");\n}\n",
    );
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), [""; 0]);

    fixture.write(".gitignore", "/target/\n/.venv/\n");
    fixture.write(".venv/pyvenv.cfg", "");
    fixture.write(
        "build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=.venv/pyvenv.cfg\");\n}\n",
    );
    fixture.cargo().run().success();
    assert_eq!(fixture.ids(), ["build-script-tied-to-environment"]);
    fixture.write("build.rs", BUILD_RS);
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_git_that_gives_no_answer_is_said() {
    let fixture = Fixture::new();
    let git = fixture.test.bin().join("git");
    std::fs::write(&git, "#!/bin/sh\nexit 128\n").unwrap();
    std::fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let report = fixture.doctor(&["--message-format=json"]).run().success().json();
    assert_eq!(report["findings"], json!([]));
    let expected = format!(
        "git does not work in `{}`: tracked and ignored files are unknown",
        fixture.path.display()
    );
    assert_eq!(report["not_checked"], json!([expected]));
}

#[test]
fn by_products_that_are_not_ignored() {
    let fixture = Fixture::new();
    fixture.write("src/new.rs", "");
    fixture.write("data.json", "{}");
    fixture.write("dist/p-0.1.0-py3-none-any.whl", "");
    assert_eq!(fixture.ids(), [""; 0], "the script says what it reads");
    fixture.write("build.rs", "fn main() {\n    println!(\"cargo:warning=x\");\n}\n");
    std::fs::remove_file(fixture.path.join("dist/p-0.1.0-py3-none-any.whl")).unwrap();
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if"], "a new source is none");
    fixture.write("dist/p-0.1.0-py3-none-any.whl", "");
    fixture.write("py/__pycache__/p.cpython-312.pyc", "");
    fixture.write("p.egg-info/SOURCES.txt", "");
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if", "untracked-by-products"]);
    assert_eq!(fixture.fix(), [".gitignore"; 3]);
    assert_eq!(fixture.read(".gitignore"), "/target/\n*.egg-info/\n/dist/\n__pycache__/\n");
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if"]);
    // What might belong into a wheel is for its author to ignore.
    fixture.write("py/_native.abi3.so", "");
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if", "untracked-by-products"]);
    assert_eq!(
        fixture.doctor(&["--fix", "--message-format=json"]).run().success().json()["fixed"],
        json!([])
    );
    fixture.write(".gitignore", &(fixture.read(".gitignore") + "*.so\n"));
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if"]);
    fixture.write("build.rs", BUILD_RS);
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_python_in_a_temporary_directory() {
    let fixture = Fixture::new();
    fixture.write(
        "build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=PYO3_PYTHON\");\n}\n",
    );
    let isolated = fixture.test.path.join("tmp/build-env-abc/bin/python");
    fixture.cargo().env("PYO3_PYTHON", &isolated).run().success();
    assert_eq!(fixture.ids(), ["temporary-python"]);
    let ours = fixture.path.join(".pyenv-build/envs/cp312-0123456789ab/bin/python");
    fixture.cargo().env("PYO3_PYTHON", &ours).run().success();
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn pyo3_that_finds_python_by_itself() {
    let fixture = Fixture::new();
    fixture.write(
        "ffi/Cargo.toml",
        "[package]\nname = 'pyo3-ffi'\nversion = '0.1.0'\nedition = '2021'\n",
    );
    fixture.write("ffi/src/lib.rs", "");
    fixture.write(
        "ffi/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=PYO3_PYTHON\");\n    if std::env::var_os(\"PYO3_PYTHON\").is_none() {\n        \
         println!(\"cargo:rerun-if-env-changed=VIRTUAL_ENV\");\n        println!(\"cargo:rerun-if-env-changed=PATH\");\n    }\n}\n",
    );
    fixture.write(
        "Cargo.toml",
        &(fixture.read("Cargo.toml") + "[dependencies]\npyo3-ffi = {path = 'ffi'}\n"),
    );
    fixture.cargo().run().success();
    fixture.commit();
    assert_eq!(fixture.ids(), ["pyo3-python-not-set"]);
    fixture.cargo().env("PYO3_PYTHON", &python().path).run().success();
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_configured_python_that_is_gone() {
    let fixture = Fixture::new();
    fixture.write(
        ".cargo/config.toml",
        "[env]\nPYO3_PYTHON = {value = '.pyenv-build/envs/cp39-0/bin/python', relative = true, force = true}\n",
    );
    assert_eq!(fixture.ids(), ["configured-python-missing"]);
    fixture.write(
        ".cargo/config.toml",
        &format!("[env]\nPYO3_PYTHON = '{}'\n", python().path.display()),
    );
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.write(".cargo/config.toml", "[env]\nPYO3_CONFIG_FILE = '/nowhere/pyo3.txt'\n");
    assert_eq!(fixture.ids(), ["configured-python-missing"]);
    fixture.remove(".cargo/config.toml");
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_configured_python_that_is_another() {
    let fixture = Fixture::new();
    let built_with = fixture.test.venv("v");
    let report = json!({
        "schema": 1, "command": "build", "ok": true, "seconds": 0.1, "pins": {"PYO3_PYTHON": built_with},
        "interpreter": {"abi_tag": python().abi_tag, "version": python().version, "path": python().path},
    });
    fixture.write(".pyenv-build/.gitignore", "*\n");
    fixture.write(".pyenv-build/reports/last.json", &report.to_string());
    fixture.write(
        ".cargo/config.toml",
        &format!("[env]\nPYO3_PYTHON = '{}'\n", python().path.display()),
    );
    assert_eq!(fixture.ids(), ["configured-python-differs"]);
    fixture
        .write(".cargo/config.toml", &format!("[env]\nPYO3_PYTHON = '{}'\n", built_with.display()));
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn an_extension_module_that_hides_a_later_one() {
    let fixture = Fixture::new();
    let old = format!("python/p/_p{}", python().ext_suffix);
    fixture.write(".gitignore", "/target/\n*.so\n");
    fixture.write(&old, "");
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    filetime::set_file_mtime(fixture.path.join(&old), long_ago.into()).unwrap();
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.write("python/p/_p.abi3.so", "");
    assert_eq!(fixture.ids(), ["extension-shadowed"]);
    fixture.remove(&old);
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_virtual_environment_that_gets_into_source_distributions() {
    let fixture = Fixture::new();
    fixture.write(".venv/pyvenv.cfg", "home = /usr/bin\n");
    assert_eq!(fixture.ids(), ["virtual-environment-not-ignored"]);
    fixture.write(".venv/.gitignore", "*\n");
    assert_eq!(fixture.ids(), [""; 0], "as venv does since Python 3.13");
    fixture.remove(".venv/.gitignore");
    fixture.doctor(&["--fix"]).run().success();
    assert_eq!(fixture.ids(), [""; 0]);
    assert!(fixture.read(".gitignore").contains("/.venv/"));
}

#[test]
fn settings_that_are_not_for_builds_are_named() {
    let fixture = Fixture::new();
    let pyproject = fixture.read("pyproject.toml");
    fixture.write(
        "pyproject.toml",
        &format!("{pyproject}[tool.uv]\nconstraint-dependencies = ['a<2']\nmanaged = true\n"),
    );
    let run = fixture.doctor(&["--message-format=json"]).env_remove("UV_NO_CONFIG").run().success();
    assert_eq!(ids(&run), ["settings-not-for-builds"]);
    assert!(
        run.stdout.contains("`constraint-dependencies` of uv in `pyproject.toml` does not apply"),
        "{}",
        run.stdout
    );
}

#[test]
fn installers_that_ask_different_indexes() {
    let fixture = Fixture::new();
    let pyproject = fixture.read("pyproject.toml");
    let index = "[[tool.uv.index]]\nurl = 'https://me:secret@example.org/simple'\ndefault = true\n";
    fixture.write("pyproject.toml", &format!("{pyproject}{index}"));
    let doctor = || {
        fixture
            .doctor(&["--message-format=json"])
            .env_remove("UV_NO_CONFIG")
            .env_remove("PYENV_BUILD_INSTALLER")
            .run()
    };
    let run = doctor();
    assert_eq!(ids(&run), ["installers-at-odds"]);
    assert!(
        run.stdout.contains("https://***@example.org/simple") && !run.stdout.contains("secret"),
        "{}",
        run.stdout
    );
    fixture.write(
        "pyproject.toml",
        &format!("{pyproject}{index}[tool.pyenv-build]\ninstaller = 'uv'\n"),
    );
    assert_eq!(ids(&doctor()), [""; 0]);
    // The same for both is no fault either.
    fixture.write("pyproject.toml", &format!("{pyproject}{}", index.replace("me:secret@", "")));
    fixture.write("pip.conf", "[global]\nindex-url = https://example.org/simple/\n");
    let both = fixture
        .doctor(&["--message-format=json"])
        .env_remove("UV_NO_CONFIG")
        .env_remove("PYENV_BUILD_INSTALLER");
    assert_eq!(ids(&both.env("PIP_CONFIG_FILE", fixture.path.join("pip.conf")).run()), [""; 0]);
}

#[test]
fn an_index_for_one_installer_is_worth_a_note() {
    let fixture = Fixture::new();
    let doctor = || {
        fixture
            .doctor(&["--message-format=json"])
            .env("UV_DEFAULT_INDEX", "https://example.org/simple")
    };
    assert_eq!(ids(&doctor().run()), ["index-for-one-installer"]);
    assert_eq!(ids(&doctor().env("PIP_INDEX_URL", "https://example.org/simple").run()), [""; 0]);
}

#[test]
fn workflows() {
    let fixture = Fixture::new();
    let check = |steps: &str| {
        let indented =
            steps.lines().map(|line| format!("      {line}\n")).collect::<Vec<_>>().concat();
        fixture.write(
            ".github/workflows/ci.yml",
            &format!(
                "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n{indented}"
            ),
        );
        fixture.ids()
    };
    let ours = "- uses: someone/cargo-pyenv-build@v1\n";
    let rust_cache = "- uses: Swatinem/rust-cache@v2\n";
    for (fault, rule, fixed) in [
        (
            format!("{rust_cache}{ours}"),
            "rust-cache-twice",
            format!("{rust_cache}{ours}  with:\n    rust-cache: false\n"),
        ),
        (
            format!("{rust_cache}- run: cargo pyenv-build\n"),
            "rust-cache-without-python",
            format!(
                "- run: cargo pyenv-build provision\n{rust_cache}  with:\n    prefix-key: v0-rust-cp313\n    cache-directories: \
                 .pyenv-build/envs\n- run: cargo pyenv-build\n"
            ),
        ),
        (
            format!("{rust_cache}- run: maturin build --release\n"),
            "rust-cache-deletes",
            ours.to_owned(),
        ),
        (
            format!("{ours}- run: pip install -e .\n"),
            "package-built-twice",
            format!("{ours}- run: pip install \"$WHEEL\"\n"),
        ),
    ] {
        assert_eq!(check(&fault), [rule], "{fault}");
        assert_eq!(check(&fixed), [""; 0], "{fixed}");
    }
    let container = |image: &str| {
        let job = format!(
            "on: push\njobs:\n  test:\n    container: {image}\n    steps:\n      - uses: actions/cache@v5\n"
        );
        fixture.write(".github/workflows/ci.yml", &job);
        fixture.ids()
    };
    assert_eq!(container("alpine:3.22"), ["busybox-tar"]);
    assert_eq!(container("debian:13"), [""; 0]);
}

#[test]
fn caches_in_workflows() {
    let fixture = Fixture::new();
    let check = |text: &str| {
        fixture.write(".github/workflows/ci.yml", text);
        fixture.ids()
    };
    let job = |name: &str, lines: &str, steps: &str| {
        let indent = |text: &str, by: &str| {
            text.lines().map(|line| format!("{by}{line}\n")).collect::<Vec<_>>().concat()
        };
        format!(
            "  {name}:\n    runs-on: ubuntu-latest\n{}    steps:\n{}",
            indent(lines, "    "),
            indent(steps, "      ")
        )
    };
    let ours = "- uses: someone/cargo-pyenv-build@v1\n";
    let rust_cache = "- uses: Swatinem/rust-cache@v2\n";
    let sharing = |target: &str, key: &str| {
        format!("{rust_cache}  with: {{shared-key: {key}}}\n- run: cargo build --target {target}\n")
    };
    let publishes = format!("{rust_cache}- run: cargo publish\n");
    for (fault, rule, near_misses) in [
        (
            format!("on: pull_request\njobs:\n{}", job("a", "", ours)),
            "nothing-saves-caches",
            vec![
                format!("on: [pull_request, push]\njobs:\n{}", job("a", "", ours)),
                format!(
                    "on: {{pull_request: , push: {{branches: [main]}}}}\njobs:\n{}",
                    job("a", "", ours)
                ),
                format!(
                    "on: {{pull_request: , schedule: [{{cron: x}}]}}\njobs:\n{}",
                    job("a", "", ours)
                ),
                format!(
                    "on: pull_request\njobs:\n{}",
                    job("a", "", &format!("{ours}  with: {{save-cache: always}}\n"))
                ),
            ],
        ),
        (
            format!("on: [push, merge_group]\njobs:\n{}", job("a", "", rust_cache)),
            "merge-queue-saves",
            vec![
                format!(
                    "on: [push, merge_group]\njobs:\n{}",
                    job("a", "", &format!("{ours}  with: {{save-cache: always}}\n"))
                ),
                format!(
                    "on: [push, merge_group]\njobs:\n{}",
                    job(
                        "a",
                        "",
                        &format!(
                            "{rust_cache}  with:\n    save-if: ${{{{ github.event_name != 'merge_group' }}}}\n"
                        )
                    )
                ),
            ],
        ),
        (
            format!("on: {{push: {{tags: [v*]}}}}\njobs:\n{}", job("a", "", &publishes)),
            "cache-mode-missing",
            vec![
                format!(
                    "on: {{push: {{tags: [v*]}}}}\njobs:\n{}",
                    job("a", "cache-mode: none\n", &publishes)
                ),
                format!(
                    "on: {{push: {{tags: [v*]}}}}\ncache-mode: none\njobs:\n{}",
                    job("a", "", &publishes)
                ),
            ],
        ),
        (
            format!(
                "on: push\njobs:\n{}{}",
                job("a", "", &sharing("x", "k")),
                job("b", "", &sharing("y", "k"))
            ),
            "shared-key-of-different-jobs",
            vec![
                format!(
                    "on: push\njobs:\n{}{}",
                    job("a", "", &sharing("x", "k")),
                    job("b", "", &sharing("y", "l"))
                ),
                format!(
                    "on: push\njobs:\n{}{}",
                    job("a", "", &sharing("x", "k")),
                    job("b", "", &sharing("x", "k"))
                ),
            ],
        ),
    ] {
        assert_eq!(check(&fault), [rule], "{fault}");
        for near_miss in near_misses {
            assert_eq!(check(&near_miss), [""; 0], "{near_miss}");
        }
    }
}

#[test]
fn the_default_branch_is_that_of_the_clone() {
    let fixture = Fixture::new();
    let ours = "on: {pull_request: , push: {branches: [trunk]}}\njobs: {a: {steps: [{uses: someone/cargo-pyenv-build@v1}]}}\n";
    fixture.write(".github/workflows/ci.yml", ours);
    assert_eq!(fixture.ids(), ["nothing-saves-caches"]);
    fixture.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn projects_of_one_workspace_that_share_a_key() {
    let fixture = Fixture::new();
    let pyproject = fixture.read("pyproject.toml");
    for name in ["one", "two"] {
        fixture.write(&format!("{name}/pyproject.toml"), &pyproject);
        fixture.write(
            &format!("{name}/Cargo.toml"),
            &format!("[package]\nname = '{name}'\nversion = '0.1.0'\n"),
        );
        fixture.write(&format!("{name}/src/lib.rs"), "");
    }
    let workflow = "on: push\njobs:\n  a:\n    strategy: {matrix: {project: [one, two]}}\n    runs-on: x\n    steps:\n      - uses: \
                    someone/cargo-pyenv-build@v1\n        with: {project: '${{ matrix.project }}', shared-key: k}\n";
    fixture.write(".github/workflows/ci.yml", workflow);
    // Each has a `.pyenv-build` of its own, and so its own entries.
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.write(
        "Cargo.toml",
        &(fixture.read("Cargo.toml") + "[workspace]\nmembers = ['one', 'two']\n"),
    );
    assert_eq!(fixture.ids(), ["shared-key-of-different-jobs"]);
    fixture.write(
        ".github/workflows/ci.yml",
        &workflow.replace("shared-key: k", "shared-key: '${{ matrix.project }}'"),
    );
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_store_that_is_not_worth_its_time() {
    let fixture = Fixture::new();
    let report = |reused: u64, seconds: f64| {
        let report = json!({
            "schema": 1, "command": "build", "ok": true, "seconds": 0.1,
            "store": {"reused": reused, "recorded": 0, "bytes": 1, "seconds": 0.1},
            "crates": {"compiled": [], "fresh": 0, "reused": [{"name": "p", "version": "0.1.0", "seconds_saved": seconds}]},
        });
        fixture.write(".pyenv-build/reports/last.json", &report.to_string());
    };
    fixture.write(".pyenv-build/.gitignore", "*\n");
    fixture.write(".pyenv-build/store/v1/blobs/1a/1a", "");
    let blob = std::fs::File::options()
        .write(true)
        .open(fixture.path.join(".pyenv-build/store/v1/blobs/1a/1a"))
        .unwrap();
    blob.set_len(400 << 20).unwrap();
    let in_ci = || fixture.doctor(&["--message-format=json"]).env("CI", "true").run();
    report(1, 5.0);
    let run = in_ci();
    assert_eq!(ids(&run), ["cache-not-worth-it"]);
    assert!(
        run.stdout.contains(
            "takes 400 MiB, about 20 s to restore and save, but saved only 5.0 s in this job"
        ),
        "{}",
        run.stdout
    );
    assert_eq!(fixture.ids(), [""; 0], "here it stays where it is");
    report(1, 25.0);
    assert_eq!(ids(&in_ci()), [""; 0]);
    report(0, 0.0);
    assert_eq!(ids(&in_ci()), [""; 0], "nothing was reused");
    // Later steps reused more than the report knows.
    report(1, 5.0);
    let reused = json!({
        "package": "p", "version": "0.1.0", "directory": "/p", "is_local": true, "kind": "test", "is_check": false,
        "what": {"what": "reused", "seconds_saved": 30.0, "bytes": 1}, "seconds": 0.1,
    });
    fixture.write(".pyenv-build/reports/calls.jsonl", &format!("{reused}\n"));
    assert_eq!(ids(&in_ci()), [""; 0]);
    fixture.remove(".pyenv-build/reports/calls.jsonl");
    blob.set_len(100 << 20).unwrap();
    assert_eq!(ids(&in_ci()), [""; 0], "it is small");
}

#[test]
fn a_tar_that_is_busybox() {
    let fixture = Fixture::new();
    let tar = fixture.test.bin().join("tar");
    std::fs::write(&tar, "#!/bin/sh\necho 'BusyBox v1.37.0 () multi-call binary.' >&2\n").unwrap();
    std::fs::set_permissions(&tar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(fixture.ids(), ["busybox-tar"]);
    std::fs::remove_file(tar).unwrap();
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn what_was_built_under_a_clock_that_was_ahead() {
    let fixture = Fixture::new();
    fixture.cargo().run().success();
    let files =
        walkdir::WalkDir::new(fixture.path.join("target/debug")).into_iter().map(Result::unwrap);
    for entry in files.filter(|entry| entry.file_type().is_file()) {
        filetime::set_file_mtime(entry.path(), (SystemTime::now() + DAY).into()).unwrap();
    }
    assert_eq!(fixture.ids(), ["artifact-mtime-in-future"]);
    std::fs::remove_dir_all(fixture.path.join("target")).unwrap();
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_source_that_is_dated_in_the_future() {
    let fixture = Fixture::new();
    fixture.set_mtime("src/lib.rs", SystemTime::now() + DAY);
    assert_eq!(fixture.ids(), ["source-mtime-in-future"]);
    fixture.set_mtime("src/lib.rs", SystemTime::now());
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_path_with_a_space_is_worth_a_note() {
    let fixture = Fixture::named("my project");
    assert_eq!(fixture.ids(), ["path-unfit-for-shebang"]);
    let elsewhere = fixture.test.path.join("elsewhere");
    assert_eq!(
        ids(&fixture.doctor(&["--message-format=json", "--root"]).arg(elsewhere).run()),
        [""; 0]
    );
}

#[test]
fn our_directory_without_its_gitignore() {
    let fixture = Fixture::new();
    fixture.write(".pyenv-build/CACHEDIR.TAG", "made by cargo-pyenv-build\n");
    assert_eq!(fixture.ids(), ["our-directory-not-ignored"]);
    assert_eq!(fixture.fix(), [".pyenv-build/.gitignore"]);
    assert_eq!(fixture.read(".pyenv-build/.gitignore"), "*\n");
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_target_directory_that_is_not_ignored() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "# nothing");
    assert_eq!(fixture.ids(), ["target-directory-not-ignored"]);
    assert_eq!(fixture.fix(), [".gitignore"]);
    assert_eq!(fixture.read(".gitignore"), "# nothing\n/target/\n");
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_target_directory_elsewhere_is_worth_a_note() {
    let fixture = Fixture::new();
    fixture.write(".cargo/config.toml", "[build]\ntarget-dir = '../elsewhere'\n");
    let run = fixture.doctor(&["--message-format=json"]).run().success();
    assert_eq!(ids(&run), ["target-directory-outside"]);
    assert!(run.stdout.contains("`build.target-dir` in `"), "{}", run.stdout);
    fixture.remove(".cargo/config.toml");
    assert_eq!(fixture.ids(), [""; 0]);
}

#[test]
fn a_lock_file_that_is_not_committed() {
    let fixture = Fixture::new();
    fixture.git(&["rm", "-q", "--cached", "Cargo.lock"]);
    assert_eq!(fixture.ids(), ["cargo-lock-not-committed"]);
    fixture.git(&["add", "Cargo.lock"]);
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.write("Cargo.toml", &fixture.read("Cargo.toml").replace("cdylib", "rlib"));
    fixture.git(&["rm", "-q", "--cached", "Cargo.lock"]);
    assert_eq!(fixture.ids(), [""; 0], "a library's users have their own");
}

#[test]
fn an_unpacked_archive_without_git_is_judged_by_what_is_there() {
    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.path.join(".git")).unwrap();
    assert_eq!(fixture.ids(), [""; 0]);
    fixture.write("build.rs", "fn main() {\n    std::fs::read(\"src/lib.rs\").unwrap();\n}\n");
    fixture.write("dist/p-0.1.0.tar.gz", "");
    assert_eq!(fixture.ids(), ["build-script-without-rerun-if", "untracked-by-products"]);
    let report = fixture.doctor(&["--fix", "--message-format=json"]).run().success().json();
    assert_eq!(report["fixed"], json!([]), "there is no git to tell");
}

/// All below a directory but git's own, and what is in it.
fn everything(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let walk = walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git");
    let entries = walk.map(Result::unwrap);
    entries
        .map(|entry| (entry.path().to_path_buf(), std::fs::read(entry.path()).unwrap_or_default()))
        .collect()
}

#[test]
fn without_fix_nothing_is_written() {
    let fixture = Fixture::new();
    fixture.git(&["rm", "-q", "Cargo.lock"]);
    fixture.write(".gitignore", "");
    let before = everything(&fixture.path);
    assert_eq!(fixture.ids(), ["target-directory-not-ignored", "cargo-lock-not-committed"]);
    assert_eq!(everything(&fixture.path), before);
}

#[test]
#[cfg(unix)]
fn fix_never_leaves_the_checkout() {
    let fixture = Fixture::new();
    let outside = fixture.test.path.join("shared-gitignore");
    std::fs::write(&outside, "").unwrap();
    fixture.remove(".gitignore");
    std::os::unix::fs::symlink(&outside, fixture.path.join(".gitignore")).unwrap();
    let run = fixture.doctor(&["--fix"]).run().exits(1);
    assert!(run.stderr.contains("is outside the checkout, and was not changed"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "");
}

#[test]
fn the_report_in_words_and_as_json() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "");
    let path = fixture.path.join("target");
    let run = fixture.doctor(&[]).run().exits(1);
    let expected = format!(
        "warning[target-directory-not-ignored]: git does not ignore `target`, where cargo builds\n  --> {}\n  why:  `git add .` commits",
        path.display()
    );
    assert!(run.stdout.starts_with(&expected), "{}", run.stdout);
    assert!(
        run.stdout.ends_with("  help: add `/target/` to `.gitignore` (`--fix` does this)\n\n"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.ends_with(": 1 warning\n"), "{}", run.stderr);
    let mut report = fixture.doctor(&["--message-format=json"]).run().exits(1).json();
    let why = report["findings"][0].as_object_mut().unwrap().remove("why").unwrap();
    assert!(why.as_str().unwrap().starts_with("`git add .` commits"));
    assert_eq!(
        report,
        json!({
            "schema": 1, "command": "doctor", "ok": false,
            "counts": {"error": 0, "warning": 1, "note": 0},
            "findings": [{
                "rule": "target-directory-not-ignored", "severity": "warning", "path": path,
                "message": "git does not ignore `target`, where cargo builds",
                "suggestion": "add `/target/` to `.gitignore`",
                "fixes": [{"kind": "ignore", "file": fixture.path.join(".gitignore"), "pattern": "/target/"}],
            }],
            "fixed": [], "not_checked": [],
        })
    );
    let allowed =
        fixture.doctor(&["--allow", "target-directory-not-ignored", "--message-format=json"]).run();
    assert_eq!(ids(&allowed), [""; 0]);
}

#[test]
fn rules_are_listed_and_explained_and_those_in_the_guide() {
    let test = Test::pristine();
    let listed =
        test.program(&["doctor", "--list", "--message-format=json"]).run().success().json();
    let rules = listed["rules"].as_array().unwrap();
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    let rows: Vec<String> = rules
        .iter()
        .map(|rule| {
            format!(
                "| `{}` | {} | {} |",
                text(rule, "rule"),
                text(rule, "severity"),
                text(rule, "summary")
            )
        })
        .collect();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/doctor.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let table = guide.lines().skip_while(|line| !line.starts_with("| rule | severity |")).skip(2);
    assert_eq!(
        table.take_while(|line| line.starts_with('|')).collect::<Vec<_>>(),
        rows,
        "docs/guides/doctor.md should have\n{}",
        rows.join("\n")
    );
    let human = test.program(&["doctor", "--list"]).run().success();
    assert_eq!(human.lines().len(), rules.len());
    for rule in rules {
        let run = test.program(&["doctor", "--explain", &text(rule, "rule")]).run().success();
        assert!(
            run.stdout.contains(&text(rule, "why"))
                && run.stdout.contains(&text(rule, "suggestion")),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn mistakes_exit_with_2() {
    let test = Test::pristine();
    for args in [
        &["--explain", "no-such-rule"][..],
        &["--allow", "no-such-rule"],
        &["no-such-directory"],
        &["--list", "--fix"],
        &["home"],
    ] {
        let run = test.program(&["doctor"]).args(args).run().exits(2);
        assert_eq!(run.stdout, "", "{args:?}");
    }
}
