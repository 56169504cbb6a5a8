//! What an entry accounts for: the files and variables of one call.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pyenv_build::units::linker;
use serde_json::Value;

use crate::ignored;
use crate::strace::{Access, normal};
use crate::world::World;

/// What an entry accounts for.
pub(crate) struct Known {
    /// Paths as they stand there, and where they lead to.
    exact: BTreeSet<PathBuf>,
    /// All that is in these.
    whole: Vec<PathBuf>,
    /// Files right in these.
    native: Vec<PathBuf>,
    absent: BTreeSet<PathBuf>,
    /// Where something is looked for.
    pub directories: Vec<PathBuf>,
    outputs: BTreeSet<PathBuf>,
    pub variables: BTreeSet<String>,
    incremental: Option<PathBuf>,
    pub out_dir: PathBuf,
}

fn keys(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(|object| object.keys())
}

pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_error| path.to_path_buf())
}

impl Known {
    pub(crate) fn of(entry: &Value, tools: &Tools, sysroot: &Path) -> Self {
        let (before, after) = (&entry["before"], &entry["after"]);
        let here = PathBuf::from(before["directory"].as_str().unwrap());
        let mut exact: BTreeSet<PathBuf> = BTreeSet::new();
        let mut absent = BTreeSet::new();
        for (path, state) in [&before["files"], &after["files"], &before["externs"]]
            .into_iter()
            .flat_map(|map| map.as_object().unwrap())
        {
            let path = normal(&here.join(path));
            if state == "absent" {
                absent.insert(path)
            } else {
                exact.insert(path)
            };
        }
        exact.extend(tools.there.iter().cloned());
        absent.extend(tools.absent.iter().cloned());
        exact.extend(exact.clone().iter().map(|path| real(path)));
        let search: Vec<PathBuf> = after["search"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| normal(&here.join(path.as_str().unwrap())))
            .collect();
        for (name, before) in after["found"].as_object().unwrap() {
            for directory in search.iter().take(usize::try_from(before.as_u64().unwrap()).unwrap())
            {
                absent.extend(
                    [".so", ".a"].map(|ending| directory.join(format!("lib{name}{ending}"))),
                );
            }
        }
        let directories = search.iter().chain(absent.iter()).cloned().collect();
        let arguments: Vec<&str> = before["arguments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        let value = |start: &str| {
            arguments.iter().find_map(|one| one.strip_prefix(start)).map(|path| here.join(path))
        };
        let mut variables: BTreeSet<String> =
            keys(&before["variables"]).chain(keys(&after["variables"])).cloned().collect();
        // A variable that is not set is no key: that it would be one is in the lists.
        variables.extend(
            ignored::listed(before["linker"].is_string(), entry["is_clippy"] == true)
                .map(str::to_owned),
        );
        Self {
            exact,
            whole: before["variables"]["OUT_DIR"]
                .as_str()
                .map(PathBuf::from)
                .into_iter()
                .chain([sysroot.join("lib/rustlib")])
                .collect(),
            native: keys(&after["native"]).map(|path| normal(&here.join(path))).collect(),
            absent,
            directories,
            outputs: entry["outputs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|output| PathBuf::from(output["path"].as_str().unwrap()))
                .collect(),
            variables,
            incremental: value("-Cincremental="),
            out_dir: value("--out-dir=").unwrap(),
        }
    }

    pub(crate) fn has(&self, access: Access, path: &Path) -> bool {
        match access {
            Access::Written => {
                self.outputs.contains(path)
                    || self
                        .incremental
                        .as_ref()
                        .is_some_and(|directory| path.starts_with(directory))
            }
            Access::Missing => {
                self.absent.contains(path)
                    || self.native.iter().any(|directory| path.parent() == Some(directory))
                    || self.whole.iter().any(|directory| path.starts_with(directory))
                    || self.outputs.contains(path)
                    || self
                        .incremental
                        .as_ref()
                        .is_some_and(|directory| path.starts_with(directory))
            }
            Access::Found => {
                self.exact.contains(path)
                    || self.exact.contains(&real(path))
                    || self.outputs.contains(path)
                    || self.native.iter().any(|directory| path.parent() == Some(directory))
                    || self.whole.iter().any(|directory| path.starts_with(directory))
                    || self
                        .incremental
                        .as_ref()
                        .is_some_and(|directory| path.starts_with(directory))
            }
        }
    }
}

/// The programs whose digests are in an entry, which does not name them: those of the compiler and
/// of the linker.
#[derive(Default)]
pub(crate) struct Tools {
    there: Vec<PathBuf>,
    /// Where others would be found before them.
    absent: Vec<PathBuf>,
}

impl Tools {
    pub(crate) fn of(world: &World, sysroot: &Path) -> Self {
        let mut tools = Self { there: vec![which("cc")], absent: Vec::new() };
        for entry in std::fs::read_dir(world.at(".pyenv-build/store/digests")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("linker-") {
                let answers: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
                let paths = |name: &str| {
                    answers[name]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|path| PathBuf::from(path.as_str().unwrap()))
                        .collect::<Vec<_>>()
                };
                tools.there.extend(paths("tools"));
                let names = linker::TOOLS.iter().chain(linker::DRIVER_FILES);
                tools.absent.extend(names.flat_map(|name| {
                    paths("own_directories")
                        .into_iter()
                        .map(move |directory| normal(&directory.join(name)))
                }));
            }
        }
        tools.there.extend(["rustc", "clippy-driver"].map(|name| sysroot.join("bin").join(name)));
        for entry in std::fs::read_dir(sysroot.join("lib")).unwrap() {
            tools.there.push(entry.unwrap().path());
        }
        // In PATH they are looked for each time.
        for directory in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
            tools.absent.extend(linker::TOOLS.iter().map(|name| directory.join(name)));
        }
        tools.there.extend(tools.absent.clone());
        tools.there.retain(|path| path.is_file());
        tools
    }
}

pub(crate) fn which(name: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap()
}
