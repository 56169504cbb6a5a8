//! Two packages that the world uses, from their sdists: rpds-py (maturin) and bcrypt (setuptools-rust).
//!
//! All steps of one package share one target directory, in this order, since that is what is looked at: who makes whom
//! compile what.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Scratch, Venv, command, commit, once, run, scratch_of_target, stdout, tools};
use crate::ours::Ours;
use crate::wheels;

/// The source tree of a release, under version control.
fn checkout(scratch: &Scratch, name: &str, version: &str) -> PathBuf {
    let cached = scratch_of_target().join(format!("{name}-{version}"));
    once(&cached, "", || {
        let pip = ["-I", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest"];
        run(command(&tools().python).args(pip).arg(&cached).arg(format!("{name}=={version}")));
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
    run(uv.args(["build", "--wheel", "--python"]).arg(&tools().interpreter).arg("--out-dir").arg(&out).current_dir(directory));
    let files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl")).unwrap()
}

/// What holds for every such package. `manifest` is what a developer would build by hand.
fn stays_warm(name: &str, version: &str, manifest: &str, check: &str) -> (Scratch, Ours) {
    let scratch = Scratch::new();
    let directory = checkout(&scratch, name, version);
    let by_uv = uv_build(&directory, &scratch);
    let ours = Ours::new(&directory);

    let first = ours.build();
    assert!(first.compiled().iter().any(|name| name.starts_with("pyo3")), "uv's build has another python: {:?}", first.compiled());
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

    // pip makes the same environment at the same path: nothing to compile for anybody.
    fs::rename(ours.root_path(), scratch.path().join("by uv")).unwrap();
    let pip = ours.clone().installer("pip").build();
    assert_eq!((pip.outcome(), pip.installer()), ("created", "pip"));
    assert_eq!((pip.env(), pip.fingerprint()), (first.env(), first.fingerprint()));
    pip.assert_compiled_nothing("the first build in pip's environment");
    ours.clone().installer("pip").build().assert_compiled_nothing("the second build in pip's environment");

    // So it does when there is no uv at all.
    fs::remove_dir_all(ours.root_path()).unwrap();
    let which = ["--", "python", "-c", "import shutil; print(shutil.which('uv'))"];
    assert_eq!(stdout(ours.clone().without_uv().command("run").args(which)).trim(), "None");
    let alone = ours.clone().without_uv().build();
    assert_eq!((alone.installer(), alone.env()), ("pip", first.env()));
    alone.assert_compiled_nothing("without uv");

    Venv::with(&tools().interpreter, &alone.wheel()).check(check);
    (scratch, ours)
}

#[test]
fn rpds_py() {
    let check = "from rpds import HashTrieMap; assert HashTrieMap({1: 2}).insert(3, 4)[3] == 4";
    let (scratch, ours) = stays_warm("rpds-py", "2026.9.1", "Cargo.toml", check);

    // A directory of ours elsewhere is another path of the environment, and so another build of PyO3, once.
    let elsewhere = ours.root(&scratch.path().join("elsewhere")).without_uv();
    let first = elsewhere.build();
    assert_eq!(first.installer(), "pip");
    assert!(first.compiled().contains(&"pyo3"), "{:?}", first.compiled());
    elsewhere.build().assert_compiled_nothing("the second build elsewhere");
}

#[test]
fn bcrypt() {
    let check = "import bcrypt; assert bcrypt.checkpw(b'word', bcrypt.hashpw(b'word', bcrypt.gensalt(4)))";
    stays_warm("bcrypt", "5.0.0", "src/_bcrypt/Cargo.toml", check);
}
