//! Editable installs, and the build environments that they need: `installs/<hash>.json`.
//!
//! Some backends' editable installs go back to the build environment when they are imported:
//! meson-python's, and scikit-build-core's with `editable.rebuild`, build again with the Ninja,
//! Meson or `CMake` that they were built with. So whatever `develop` installs leaves a reference
//! here, named after the environment it is installed into and the distribution, and
//! [`gc`](super::gc) keeps the build environment as long as the install exists: as long as the
//! `RECORD` of its `.dist-info` directory is the one that was there when we had installed it. What
//! another program has put in its place since, or removed, needs nothing of ours.
//!
//! The reference is written before anything is installed and once more afterwards, so that an
//! install whose end we did not see is counted as well.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::layout::Layout;
use crate::{digest, fs};

const SCHEMA: u32 = 1;
/// No install takes longer.
const UNFINISHED: Duration = Duration::from_secs(86400);

/// A file in `installs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    schema: u32,
    /// The environment that it is installed into.
    pub target: PathBuf,
    pub distribution: String,
    /// The source tree.
    pub project: PathBuf,
    /// One; two while one install replaces another.
    installs: Vec<Install>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Install {
    /// The name of the build environment.
    environment: String,
    dist_info: PathBuf,
    /// Of the file `RECORD` in `dist_info`; `None` before it is there.
    record_sha256: Option<String>,
}

impl Install {
    fn record(&self) -> PathBuf {
        self.dist_info.join("RECORD")
    }

    /// `begun`: when the reference was written.
    fn exists(&self, begun: SystemTime) -> bool {
        match &self.record_sha256 {
            Some(expected) => digest::file(&self.record()).is_ok_and(|actual| actual == *expected),
            // It was begun, and its end was not seen.
            None => self.record().exists() || begun.elapsed().is_ok_and(|age| age < UNFINISHED),
        }
    }
}

/// A reference on disk.
#[derive(Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    /// `None`: it cannot be read, which says nothing.
    pub reference: Option<Reference>,
    written: SystemTime,
}

impl Found {
    /// The names of the build environments that are needed.
    pub(super) fn environments(&self) -> Vec<&str> {
        let installs = self.reference.iter().flat_map(|reference| &reference.installs);
        installs
            .filter(|install| install.exists(self.written))
            .map(|install| install.environment.as_str())
            .collect()
    }
}

/// All references. Files with a different schema belong to a different version.
pub(super) fn all(layout: &Layout) -> Vec<Found> {
    let entries = fs_err::read_dir(layout.installs()).into_iter().flatten().filter_map(Result::ok);
    let paths = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths
        .filter_map(|path| {
            let written = fs_err::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
            Some(Found { reference: read(&path), written, path })
        })
        .collect()
}

fn read(path: &Path) -> Option<Reference> {
    let reference: Reference = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
    (reference.schema == SCHEMA).then_some(reference)
}

/// An install that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    path: PathBuf,
    /// What was there before.
    before: Option<Reference>,
    reference: Reference,
}

/// Notes that `distribution`, an editable install of `project` built in `env`, is about to be
/// installed into `target`, where it will have `dist_info`.
pub(crate) fn begin(
    layout: &Layout,
    env: &Path,
    target: &Path,
    distribution: &str,
    project: &Path,
    dist_info: &Path,
) -> Result<Begun, Error> {
    let mut key = digest::Hasher::default();
    key.field(target.as_os_str().as_encoded_bytes());
    key.field(distribution.as_bytes());
    let path = layout.installs().join(format!("{}.json", &key.finish()[..16]));
    let before = read(&path);
    let install = Install {
        environment: env.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        dist_info: dist_info.to_path_buf(),
        record_sha256: None,
    };
    let reference = Reference {
        schema: SCHEMA,
        target: target.to_path_buf(),
        distribution: distribution.to_owned(),
        project: project.to_path_buf(),
        installs: vec![install],
    };
    let mut both = reference.clone();
    both.installs.extend(before.iter().flat_map(|before| before.installs.iter().cloned()));
    write(&path, &both)?;
    Ok(Begun { path, before, reference })
}

impl Begun {
    /// It is installed.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        for install in &mut self.reference.installs {
            let record = install.record();
            install.record_sha256 = Some(
                digest::file(&record)
                    .map_err(|source| Error::Installed { path: record, source })?,
            );
        }
        write(&self.path, &self.reference)
    }

    /// It was not installed: what was there before is there still.
    pub(crate) fn abandon(self) -> Result<(), Error> {
        match &self.before {
            Some(before) => write(&self.path, before),
            None => fs_err::remove_file(&self.path)
                .map_err(|source| Error::Write { path: self.path.clone(), source }),
        }
    }
}

fn write(path: &Path, reference: &Reference) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(reference).expect("our own plain data always serialises");
    fs::write_atomic(path, &json)
        .map_err(|source| Error::Write { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _directory: tempfile::TempDir,
        layout: Layout,
        dist_info: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let layout = Layout::open(directory.path().join("r")).unwrap();
            let dist_info = directory.path().join("venv/a-1.dist-info");
            fs_err::create_dir_all(&dist_info).unwrap();
            Self { layout, dist_info, _directory: directory }
        }

        fn begin(&self, environment: &str) -> Begun {
            let env = self.layout.envs().join(environment);
            begin(&self.layout, &env, Path::new("/venv"), "a", Path::new("/p"), &self.dist_info)
                .unwrap()
        }

        fn record(&self, text: &str) {
            fs_err::write(self.dist_info.join("RECORD"), text).unwrap();
        }

        fn needed(&self) -> Vec<String> {
            all(&self.layout).iter().flat_map(Found::environments).map(str::to_owned).collect()
        }

        fn long_ago(&self) {
            for found in all(&self.layout) {
                let time = SystemTime::now() - 2 * UNFINISHED;
                filetime::set_file_mtime(found.path, filetime::FileTime::from_system_time(time))
                    .unwrap();
            }
        }
    }

    #[test]
    fn an_install_counts_as_long_as_its_record_is_the_one_that_was_installed() {
        let world = World::new();
        let begun = world.begin("cp312-a");
        world.record("one");
        begun.finish().unwrap();
        assert_eq!(world.needed(), ["cp312-a"]);
        world.record("somebody else's");
        assert_eq!(world.needed(), [""; 0]);
        world.record("one");
        assert_eq!(world.needed(), ["cp312-a"]);
        fs_err::remove_dir_all(&world.dist_info).unwrap();
        assert_eq!(world.needed(), [""; 0]);
    }

    #[test]
    fn while_one_replaces_another_both_count_and_then_one() {
        let world = World::new();
        let begun = world.begin("cp312-a");
        world.record("one");
        begun.finish().unwrap();
        let begun = world.begin("cp312-b");
        assert_eq!(world.needed(), ["cp312-b", "cp312-a"]);
        begun.abandon().unwrap();
        assert_eq!(world.needed(), ["cp312-a"]);
        let begun = world.begin("cp312-b");
        world.record("two");
        begun.finish().unwrap();
        assert_eq!(world.needed(), ["cp312-b"]);
        assert_eq!(all(&world.layout).len(), 1);
    }

    #[test]
    fn an_install_whose_end_was_not_seen_counts_if_it_may_be_there() {
        let world = World::new();
        let _ = world.begin("cp312-a");
        assert_eq!(world.needed(), ["cp312-a"], "it may be at it");
        world.long_ago();
        assert_eq!(world.needed(), [""; 0]);
        world.record("one");
        assert_eq!(world.needed(), ["cp312-a"], "it was killed after the installation");
    }

    #[test]
    fn a_first_install_that_failed_leaves_nothing() {
        let world = World::new();
        world.begin("cp312-a").abandon().unwrap();
        assert!(all(&world.layout).is_empty());
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let world = World::new();
        for text in [
            "",
            "{}",
            r#"{"schema": 99, "target": "/v", "distribution": "a", "project": "/p", "installs": []}"#,
        ] {
            fs::write_atomic(&world.layout.installs().join("x.json"), text.as_bytes()).unwrap();
            assert_eq!((world.needed(), all(&world.layout).len()), (Vec::new(), 1));
        }
    }
}
