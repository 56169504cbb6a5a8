//! Files that appear in the project while it is built, whichever step makes them: logs, reports,
//! coverage, wheelhouses. The next job, which has another set of them, compiles nothing because of
//! that.

use std::path::{Path, PathBuf};

use filetime::FileTime;

use crate::context::{Project, Test};

/// A package whose build script ends with this, built by cargo as `run` starts it; what it prints
/// goes into a file in the package.
fn package(test: &Test, name: &str, build_script: &str) -> Project {
    let project = Project { path: test.path.join(name) };
    project.write("Cargo.toml", "[package]\nname = 'small'\nversion = '0.1.0'\nedition = '2021'\n");
    project
        .write("Cargo.lock", "version = 3\n\n[[package]]\nname = \"small\"\nversion = \"0.1.0\"\n");
    project.write("build.rs", &format!("fn main() {{ {build_script} }}\n"));
    project.write("src/main.rs", "fn main() {}\n");
    project.write(".gitignore", "/target/\n");
    test.command("git").args(["init", "-q"]).in_(&project).run().success();
    project
}

/// One job: a fresh checkout with the caches of the last one, and files that several steps leave.
fn job(test: &Test, project: &Project, number: i64) -> Vec<String> {
    for entry in std::fs::read_dir(&project.path).unwrap().map(Result::unwrap) {
        let is_cache =
            ["target", ".pyenv-build", ".git"].iter().any(|name| entry.file_name() == *name);
        for file in walkdir::WalkDir::new(entry.path())
            .into_iter()
            .map(Result::unwrap)
            .filter(|_| !is_cache)
        {
            filetime::set_file_mtime(file.path(), FileTime::now()).unwrap();
        }
    }
    project.write("coverage.xml", &number.to_string());
    project.write(&format!("wheelhouse/{number}.whl"), "");
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap());
    let script = "cargo build --message-format json > out.json 2> build.log; cargo build 2>&1 | tee again.log; echo > report.txt";
    let run = test.program(&["run", "--", "sh", "-c", script]).in_(project).env("CARGO", &cargo);
    run.env("PATH", test.search_path(&[cargo.parent().unwrap()])).run().success();
    for name in ["out.json", "build.log", "again.log", "report.txt", "coverage.xml", "wheelhouse"] {
        let path = project.path.join(name);
        if Path::new(name).extension().is_some() {
            std::fs::remove_file(path).unwrap();
        } else {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let report = project.last_report();
    report["crates"]["compiled"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn files_that_appear_while_building_make_no_later_job_compile() {
    let test = Test::pristine();
    for (name, build_script) in
        [("declares", "println!(\"cargo:rerun-if-changed=build.rs\");"), ("silent", "")]
    {
        let project = package(&test, name, build_script);
        assert_eq!(job(&test, &project, 1), ["small"], "{name}");
        for number in [2, 3] {
            assert_eq!(job(&test, &project, number), [""; 0], "{name}, job {number}");
        }
    }
}
