//! Build requirements that are no names on an index: a git repository and an archive. Their content
//! decides, whatever they are called.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::machine::{Scratch, commit, git, write_tree};
use crate::ours::{Ours, Report};
use crate::wheels;

/// A project whose version is made of what its two build requirements say.
fn project(directory: &Path, repository: &Path, archive: &Path) {
    let (repository, archive) = (url(repository), url(archive));
    let pyproject = format!(
        "[build-system]\nrequires = ['setuptools>=61', 'from-git @ git+{repository}@main', 'from-url @ {archive}']\n\
         build-backend = 'setuptools.build_meta'\n"
    );
    let setup = "import from_git, from_url\nfrom setuptools import setup\n\
                 setup(name='real-direct', version=f'{from_git.VALUE}.{from_url.VALUE}', packages=[])\n";
    write_tree(directory, &[("pyproject.toml", &pyproject), ("setup.py", setup)]);
}

fn url(path: &Path) -> String {
    url::Url::from_file_path(path).unwrap().to_string()
}

fn repository(directory: &Path, value: u32) -> String {
    let pyproject = "[build-system]\nrequires = ['flit_core>=3.2']\nbuild-backend = 'flit_core.buildapi'\n\
                     [project]\nname = 'from-git'\nversion = '1'\ndescription = 'From git'\n";
    write_tree(
        directory,
        &[("pyproject.toml", pyproject), ("from_git.py", &format!("VALUE = {value}\n"))],
    );
    commit(directory)
}

/// A wheel, always of the same name; returns its SHA-256.
fn archive(path: &Path, value: u32) -> String {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    let dist_info = "from_url-1.dist-info";
    let record = format!(
        "from_url.py,,\n{dist_info}/METADATA,,\n{dist_info}/WHEEL,,\n{dist_info}/RECORD,,\n"
    );
    for (name, text) in [
        ("from_url.py".to_owned(), format!("VALUE = {value}\n")),
        (
            format!("{dist_info}/METADATA"),
            "Metadata-Version: 2.1\nName: from-url\nVersion: 1\n".to_owned(),
        ),
        (
            format!("{dist_info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                .to_owned(),
        ),
        (format!("{dist_info}/RECORD"), record),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    Sha256::digest(std::fs::read(path).unwrap())
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

const WHEEL: &str = "from_url-1-py3-none-any.whl";

/// What the project requires, and the project.
struct Sources {
    scratch: Scratch,
    commit: String,
    hash: String,
}

impl Sources {
    fn new() -> Self {
        let scratch = Scratch::new();
        let commit = repository(&scratch.path().join("repo"), 1);
        let hash = archive(&scratch.path().join(WHEEL), 1);
        project(
            &scratch.path().join("project"),
            &scratch.path().join("repo"),
            &scratch.path().join(WHEEL),
        );
        Self { scratch, commit, hash }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn ours(&self, installer: &str) -> Ours {
        Ours::new(&self.path("project")).installer(installer).root(&self.path(installer))
    }
}

#[track_caller]
fn expect(report: &Report, commit: &str, hash: &str) {
    let distributions = report.distributions();
    let of = |name: &str| &distributions.iter().find(|(found, _)| found == name).unwrap().1;
    assert_eq!(*of("from-git"), format!("1 commit:{commit}:"));
    assert_eq!(*of("from-url"), format!("1 sha256:{hash}"));
}

#[track_caller]
fn expect_version(build: &Report, version: &str) {
    assert!(
        build.wheel().to_string_lossy().contains(&format!("real_direct-{version}-")),
        "{}",
        build.json
    );
}

/// A repository counts by its commit, an archive by its content.
fn content_decides(installer: &str) {
    let sources = Sources::new();
    let ours = sources.ours(installer);
    expect(&ours.fingerprint(), &sources.commit, &sources.hash);
    let first = ours.build();
    expect_version(&first, "1.1");

    // Another content under the same name and version.
    let other_hash = archive(&sources.path(WHEEL), 2);
    assert_ne!(sources.hash, other_hash);
    expect(&ours.fingerprint(), &sources.commit, &other_hash);
    let second = ours.build();
    expect_version(&second, "1.2");
    assert_ne!(second.env(), first.env());

    // A branch that moved is looked at when that is asked for.
    let other_commit = repository(&sources.path("repo"), 3);
    assert_ne!(sources.commit, other_commit);
    expect(&ours.fingerprint(), &sources.commit, &other_hash);
    expect(&ours.clone().argument("--upgrade").fingerprint(), &other_commit, &other_hash);
    expect_version(&ours.build(), "3.2");

    // And back: the first environment is still there.
    assert_eq!(archive(&sources.path(WHEEL), 1), sources.hash);
    git(&sources.path("repo"), &["reset", "--quiet", "--hard", &sources.commit]);
    let back = ours.argument("--upgrade").build();
    expect_version(&back, "1.1");
    assert_eq!((back.env(), back.outcome()), (first.env(), "reused"));
}

#[test]
fn content_decides_with_uv() {
    content_decides("uv");
}

/// Also with the pip that an old interpreter has brought: before 24.1, pip refuses `name @ git+file:///...`.
#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn content_decides_with_pip() {
    content_decides("pip");
}

#[test]
fn uv_and_pip_agree() {
    let sources = Sources::new();
    let (uv, pip) = (sources.ours("uv"), sources.ours("pip"));
    assert_eq!(uv.fingerprint().json, pip.fingerprint().json);
    let ours = uv.build();
    wheels::assert_same(
        &ours.wheel(),
        &pip.argument("--out-dir").argument("by-pip").build().wheel(),
    );
}
