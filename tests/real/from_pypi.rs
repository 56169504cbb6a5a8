//! Two packages that the world uses, from their sdists: rpds-py (maturin) and bcrypt
//! (setuptools-rust).
//!
//! All steps of one package share one target directory, in this order, since that is what is looked
//! at: who makes whom compile what.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{
    Scratch, Venv, clone_again, command, commit, once, run, scratch_of_target, stdout, tools,
};
use crate::ours::{Ours, Report};
use crate::wheels;

/// The source tree of a release, under version control.
pub(crate) fn checkout(scratch: &Scratch, name: &str, version: &str) -> PathBuf {
    let cached = scratch_of_target().join(format!("{name}-{version}"));
    once(&cached, "", || {
        // Not `:all:`, which would compile maturin, too.
        let pip = ["-I", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name];
        let mut command = command(&tools().python);
        run(command.args(pip).arg("--dest").arg(&cached).arg(format!("{name}=={version}")));
    });
    let archive = fs::read_dir(&cached).unwrap().next().unwrap().unwrap().path();
    let gzip = flate2::read::GzDecoder::new(fs::File::open(&archive).unwrap());
    tar::Archive::new(gzip).unpack(scratch.path()).unwrap();
    let mut unpacked = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let directory = unpacked.find(|path| path.join("pyproject.toml").is_file()).unwrap();
    commit(&directory);
    directory
}

/// `uv build --wheel` in the same tree, into the same target directory.
fn uv_build(directory: &Path, scratch: &Scratch) -> PathBuf {
    let out = scratch.path().join("by-uv");
    let mut uv = command(&tools().uv);
    run(uv
        .args(["build", "--wheel", "--python"])
        .arg(&tools().interpreter)
        .arg("--out-dir")
        .arg(&out)
        .current_dir(directory));
    let files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    files
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .unwrap()
}

/// What holds for every such package. `manifest` is what a developer would build by hand.
fn stays_warm(name: &str, version: &str, manifest: &str, check: &str) -> (Scratch, Ours) {
    let scratch = Scratch::new();
    let directory = checkout(&scratch, name, version);
    let by_uv = uv_build(&directory, &scratch);
    let ours = Ours::new(&directory);

    let first = ours.build();
    assert!(
        first.compiled().iter().any(|name| name.starts_with("pyo3")),
        "uv's build has another python: {:?}",
        first.compiled()
    );
    assert_eq!((first.outcome(), first.installer()), ("created", "uv"));
    wheels::assert_alike(&first.wheel(), &by_uv);
    let second = ours.build();
    second.assert_compiled_nothing("the second build");
    assert_eq!((second.outcome(), second.env()), ("reused", first.env()));
    wheels::assert_alike(&second.wheel(), &by_uv);

    // By hand and by the backend, in turns.
    let cargo = ["cargo", "build", "--release", "--manifest-path", manifest];
    let by_hand = ours.run(&cargo);
    assert!(!by_hand.iter().any(|name| name.starts_with("pyo3")), "{by_hand:?}");
    ours.build().assert_compiled_nothing("after cargo by hand");
    assert_eq!(ours.run(&cargo), [""; 0], "by hand again");

    // pip makes the same environment at the same path: nothing to compile for anybody. But without
    // our directory nothing says that the target directory was built in this checkout, and
    // nothing of the package's own is kept elsewhere.
    let own = |report: &Report| report.compiled().iter().all(|compiled| compiled.starts_with(name));
    fs::rename(ours.root_path(), scratch.path().join("by uv")).unwrap();
    let pip = ours.clone().installer("pip").build();
    assert_eq!((pip.outcome(), pip.installer()), ("created", "pip"));
    assert_eq!((pip.env(), pip.fingerprint()), (first.env(), first.fingerprint()));
    assert!(own(&pip), "{:?}", pip.compiled());
    ours.clone()
        .installer("pip")
        .build()
        .assert_compiled_nothing("the second build in pip's environment");

    // So it does when there is no uv at all.
    fs::remove_dir_all(ours.root_path()).unwrap();
    let which = ["--", "python", "-c", "import shutil; print(shutil.which('uv'))"];
    assert_eq!(stdout(ours.clone().without_uv().command("run").args(which)).trim(), "None");
    let alone = ours.clone().without_uv().build();
    assert_eq!((alone.installer(), alone.env()), ("pip", first.env()));
    assert!(own(&alone), "without uv: {:?}", alone.compiled());

    Venv::with(&tools().interpreter, &alone.wheel()).check(check);

    // A fresh machine with the caches of the last one, twice.
    for job in ["the next job", "the one after"] {
        clone_again(&directory);
        let fresh = ours.build();
        fresh.assert_compiled_nothing(job);
        assert!(fresh.json["crates"]["fresh"].as_u64() > Some(10), "{}", fresh.json);
        wheels::assert_alike(&fresh.wheel(), &by_uv);
    }
    clone_again(&directory);
    assert_eq!(ours.run(&cargo), [""; 0], "cargo by hand in a fresh checkout");
    (scratch, ours)
}

#[test]
fn rpds_py() {
    let check = "from rpds import HashTrieMap; assert HashTrieMap({1: 2}).insert(3, 4)[3] == 4";
    let (scratch, ours) = stays_warm("rpds-py", "2026.9.1", "Cargo.toml", check);

    // A directory of ours elsewhere is another path of the environment, and so another build of
    // PyO3, once.
    let elsewhere = ours.clone().root(&scratch.path().join("elsewhere")).without_uv();
    let first = elsewhere.build();
    assert_eq!(first.installer(), "pip");
    assert!(first.compiled().contains(&"pyo3"), "{:?}", first.compiled());
    elsewhere.build().assert_compiled_nothing("the second build elsewhere");

    // Another version of a build requirement, built with, and back: nothing is compiled, whichever
    // it is.
    let file = ours.directory().join("pyproject.toml");
    let text = fs::read_to_string(&file).unwrap();
    let pinned =
        text.replacen("requires = [\"maturin", "requires = [\"maturin==1.9.4\", \"maturin", 1);
    assert_ne!(text, pinned, "{text}");
    ours.build();
    fs::write(&file, &pinned).unwrap();
    let other = ours.build();
    assert!(other.reused().contains(&"pyo3"), "{:?} compiled", other.compiled());
    fs::write(&file, &text).unwrap();
    ours.build().assert_compiled_nothing("back at the first version");
    fs::write(&file, &pinned).unwrap();
    ours.build().assert_compiled_nothing("the other version again");
    fs::write(&file, &text).unwrap();
    ours.build().assert_compiled_nothing("and the first");
}

#[test]
#[ignore = "takes a minute; the workflow runs it"]
fn bcrypt() {
    let check =
        "import bcrypt; assert bcrypt.checkpw(b'word', bcrypt.hashpw(b'word', bcrypt.gensalt(4)))";
    let (_scratch, ours) = stays_warm("bcrypt", "5.0.0", "src/_bcrypt/Cargo.toml", check);

    // A budget passes while all is warm; and where cargo wants PyO3 compiled for another path of
    // the same Python, since it is reused.
    let budget = ours.clone().argument("--deny-rebuild").argument("deps");
    budget.build().assert_compiled_nothing("within the budget");
    let output = budget.command("build").env("PYO3_PYTHON", &tools().interpreter).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

#[test]
fn doctor_is_content_once_its_own_advice_is_followed() {
    for (name, version, seen, code) in [
        ("rpds-py", "2026.9.1", "build-script-without-rerun-if", 0),
        ("bcrypt", "5.0.0", "target-directory-not-ignored", 1),
    ] {
        let scratch = Scratch::new();
        let project = checkout(&scratch, name, version);
        let ours = Ours::new(&project);
        let doctor = |arguments: &[&str]| {
            let output = ours
                .command("doctor")
                .arg("--message-format=json")
                .args(arguments)
                .output()
                .unwrap();
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let findings = report["findings"].as_array().unwrap().iter();
            (
                output.status.code(),
                findings.map(|one| one["rule"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(doctor(&[]), (Some(code), vec![seen.to_owned()]), "{name}");
        doctor(&["--fix"]);
        // The line that it suggests, and does not write itself.
        if let Ok(script) = fs::read_to_string(project.join("build.rs")) {
            let line = "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");";
            fs::write(project.join("build.rs"), script.replace("fn main() {", line)).unwrap();
        }
        assert_eq!(doctor(&[]), (Some(0), vec![]), "{name}");
    }
}
