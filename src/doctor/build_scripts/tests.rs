use filetime::FileTime;

use super::super::facts::{BuildDirectory, Watched};
use super::*;

fn at(seconds: i64) -> FileTime {
    FileTime::from_unix_time(seconds, 0)
}

fn package(text: &str, mtime: i64) -> Package {
    let script = Script {
        path: "/w/p/build.rs".into(),
        text: text.into(),
        mtime: at(mtime),
        dependencies: vec![],
    };
    Package {
        name: "p".into(),
        root: "/w/p".into(),
        script: Some(script),
        files: 7,
        ..Package::default()
    }
}

fn run() -> Run {
    Run {
        package: "p".into(),
        profile: "release".into(),
        reference: at(100),
        finished: at(110),
        looks_at_all: false,
        variables: vec![],
        watched: vec![],
        out_dir: "/w/target/release/build/p-00/out".into(),
    }
}

fn facts(package: Package, runs: Vec<Run>) -> Facts {
    Facts {
        checkout: "/w".into(),
        is_git: true,
        packages: vec![package],
        build_directories: vec![BuildDirectory {
            path: "/w/target".into(),
            runs,
            ..BuildDirectory::default()
        }],
        ..Facts::default()
    }
}

#[test]
fn records_decide_unless_the_script_was_edited_since() {
    let silent = "fn main() {}";
    let says = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\"); }";
    let all = || Run { looks_at_all: true, ..run() };
    let count = |text: &str, mtime: i64, runs: Vec<Run>| {
        without_rerun_if(&facts(package(text, mtime), runs)).len()
    };
    assert_eq!(count(silent, 1, vec![]), 1, "by its source");
    assert_eq!(count(says, 1, vec![]), 0);
    assert_eq!(count(silent, 1, vec![run()]), 0, "something that it calls said so");
    assert_eq!(count(says, 1, vec![all()]), 1, "it did not come to that line");
    assert_eq!(count(says, 200, vec![all()]), 0, "edited since");
    assert_eq!(
        count("// rerun-if-changed\nfn main() {}", 1, vec![]),
        1,
        "a comment prints nothing"
    );
    assert_eq!(count("mod more; fn main() { more::all() }", 1, vec![]), 0, "who knows");
    let mut calls = package(silent, 1);
    calls.script.as_mut().unwrap().dependencies = vec!["cc".into()];
    assert_eq!(without_rerun_if(&facts(calls, vec![])), [], "cc prints such lines");
}

#[test]
fn a_missing_path_counts_while_the_script_names_it() {
    let watched =
        Watched { declared: "gone".into(), path: "/w/p/gone".into(), ..Watched::default() };
    let run = Run { watched: vec![watched], ..run() };
    let find = |text: &str, mtime: i64| {
        missing_path(&facts(package(text, mtime), vec![run.clone(), run.clone()]))
    };
    let found = find("x", 1);
    assert_eq!(found.len(), 1, "in two profiles it is one");
    assert_eq!(found[0].message, "the build script of `p` watches `p/gone`, which does not exist");
    assert_eq!(find("x", 200), [], "edited since");
    assert_eq!(
        find("println!(\"cargo:rerun-if-changed=gone\")", 200).len(),
        1,
        "a fresh checkout, and it is still there"
    );
}

#[test]
fn what_was_written_during_the_run_counts_and_later_edits_do_not() {
    let find = |mtime: i64| {
        let newer = vec![(PathBuf::from("/w/p/made.rs"), at(mtime))];
        let watched = Watched {
            declared: "made.rs".into(),
            path: "/w/p/made.rs".into(),
            exists: true,
            newer,
            venv: None,
        };
        written_path(&facts(package("x", 1), vec![Run { watched: vec![watched], ..run() }])).len()
    };
    assert_eq!(find(105), 1);
    assert_eq!(find(111), 0, "edited after the build: dirty once, as it should be");
    assert_eq!(find(100), 0, "equal is fresh");
}

#[test]
fn variables_and_virtual_environments_but_not_pyo3s() {
    let find = |name: &str, variables: &[&str]| {
        let variables = variables.iter().map(|variable| ((*variable).to_owned(), None)).collect();
        let run = Run { package: name.into(), variables, ..run() };
        tied_to_environment(&facts(package("x", 1), vec![run])).len()
    };
    assert_eq!(find("p", &["VIRTUAL_ENV", "PATH", "CC_PATH"]), 2);
    assert_eq!(find("other", &["CONDA_PREFIX"]), 1, "a registry's");
    assert_eq!(find("pyo3-ffi", &["VIRTUAL_ENV", "PATH"]), 0);
    let watched = Watched {
        path: "/v/pyvenv.cfg".into(),
        exists: true,
        venv: Some("/v".into()),
        ..Watched::default()
    };
    assert_eq!(
        tied_to_environment(&facts(package("x", 1), vec![Run { watched: vec![watched], ..run() }]))
            .len(),
        1
    );
}

#[test]
fn by_products_are_told_from_new_sources() {
    let find = |untracked: &[&str], tracked: &[&str]| {
        let mut package = package("fn main() {}", 1);
        package.untracked = untracked.iter().map(PathBuf::from).collect();
        package.tracked = tracked.iter().map(PathBuf::from).collect();
        let found = by_products(&facts(package, vec![]));
        let pattern = |fix: &Fix| {
            let Fix::Ignore { file, pattern } = fix;
            assert_eq!(file, Path::new("/w/.gitignore"));
            pattern.clone()
        };
        found.first().map(|finding| finding.fixes.iter().map(pattern).collect::<Vec<_>>())
    };
    assert_eq!(find(&["src/new.rs", "data.json"], &[]), None);
    let left = [
        "py/__pycache__/a.pyc",
        "x.egg-info/PKG-INFO",
        "dist/p-1.whl",
        "venv/pyvenv.cfg",
        "venv/bin/python",
    ];
    assert_eq!(find(&left, &[]).unwrap(), ["*.egg-info/", "/p/dist/", "/p/venv/", "__pycache__/"]);
    assert_eq!(
        find(&["dist/p-1.whl"], &["dist/README"]).unwrap(),
        [""; 0],
        "something in there is tracked"
    );
    assert_eq!(
        find(&["py/_native.so"], &[]).unwrap(),
        [""; 0],
        "an ignored one might be missing from a wheel"
    );
}
