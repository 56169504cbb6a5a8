//! What cargo has said of a workspace, for as long as nothing has changed that it said it from: a
//! `cargo metadata` takes as long as starting a backend, and on the same processors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::cargo::{CargoWorkspace, cargo_home};
use super::cargo_config;
use crate::{digest, env_vars, fs};

const SCHEMA: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    schema: u32,
    manifest: PathBuf,
    key: String,
    workspace: CargoWorkspace,
}

/// [`CargoWorkspace::ask`], or what it returned the last time, which is in the file `memory`.
pub(super) fn ask(manifest: &Path, memory: &Path) -> Result<CargoWorkspace, Error> {
    if let Some(workspace) = recall(manifest, memory) {
        return Ok(workspace);
    }
    let workspace = CargoWorkspace::ask(manifest)?;
    // Without a lock file it depends on what is in registries; and what a configuration includes is
    // not looked at.
    if workspace.has_all_features
        && workspace.root.join("Cargo.lock").is_file()
        && !manifest.parent().is_some_and(cargo_config::includes_others)
    {
        let kept = Memory {
            schema: SCHEMA,
            manifest: manifest.to_path_buf(),
            key: key(manifest, &workspace),
            workspace: workspace.clone(),
        };
        // Without it, cargo is asked again.
        let _ = serde_json::to_vec(&kept).map(|text| fs::write_atomic(memory, &text));
    }
    Ok(workspace)
}

fn recall(manifest: &Path, memory: &Path) -> Option<CargoWorkspace> {
    let memory: Memory = serde_json::from_slice(&fs_err::read(memory).ok()?).ok()?;
    let holds = memory.schema == SCHEMA
        && memory.manifest == manifest
        && memory.key == key(manifest, &memory.workspace);
    holds.then_some(memory.workspace)
}

/// Everything that decides what cargo says, and which cargo says it.
fn key(manifest: &Path, workspace: &CargoWorkspace) -> String {
    let mut hasher = digest::Hasher::default();
    let package = manifest.parent().unwrap_or(manifest);
    let home = cargo_home();
    let mut files: Vec<PathBuf> = workspace.manifests();
    files.push(workspace.root.join("Cargo.lock"));
    for directory in package.ancestors() {
        for name in [".cargo/config.toml", ".cargo/config", "rust-toolchain", "rust-toolchain.toml"]
        {
            files.push(directory.join(name));
        }
    }
    files.extend(["config.toml", "config"].map(|name| home.join(name)));
    // rustup's defaults and overrides.
    let rustup = env_vars::get_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env_vars::home()?.join(".rustup")));
    files.extend(rustup.map(|rustup| rustup.join("settings.toml")));
    for file in files {
        hasher
            .field(file.as_os_str().as_encoded_bytes())
            .field(&fs_err::read(&file).unwrap_or_default());
    }
    // Targets that no manifest names, and members that a pattern finds.
    let mut directories = BTreeSet::new();
    for package in workspace.local_packages() {
        directories.extend([
            package.root.clone(),
            package.root.join("src"),
            package.root.join("src/bin"),
        ]);
        directories.extend(package.root.parent().map(Path::to_path_buf));
    }
    for directory in directories {
        hasher.field(directory.as_os_str().as_encoded_bytes());
        for name in relevant_names(&directory) {
            hasher.field(name.as_bytes());
        }
    }
    // Not the variable: rustup sets it for what cargo starts, to the same directory.
    hasher.field(home.as_os_str().as_encoded_bytes());
    for name in [
        "CARGO",
        "CARGO_BUILD_BUILD_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_TARGET_DIR",
        "RUSTC",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
    ] {
        hasher.field(env_vars::get_os(name).unwrap_or_default().as_encoded_bytes());
    }
    for program in ["cargo", "rustc"] {
        let path = which::which(program).ok().and_then(|path| fs_err::canonicalize(path).ok());
        let date = path.as_deref().and_then(|path| fs_err::metadata(path).ok()?.modified().ok());
        hasher.field(format!("{path:?} {date:?}").as_bytes());
    }
    hasher.finish()
}

/// Sorted names of what may make another package or target: Rust sources, and directories with a
/// manifest or a `main.rs`.
fn relevant_names(directory: &Path) -> BTreeSet<String> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_relevant = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs")
            || ["Cargo.toml", "main.rs"].iter().any(|name| path.join(name).is_file())
    };
    let paths = entries.map(|entry| entry.path()).filter(is_relevant);
    paths.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_asked_again_when_what_it_said_may_have_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap().join("project");
        let memory = root.join(".pyenv-build/cargo/x.json");
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let manifest = "[package]\nname = 'one'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\nmembers = ['crates/*']\n";
        write("Cargo.toml", manifest);
        write("src/lib.rs", "");
        write(
            "crates/two/Cargo.toml",
            "[package]\nname = 'two'\nversion = '0.1.0'\nedition = '2021'\n",
        );
        write("crates/two/src/lib.rs", "");
        // What is remembered is made to differ from what cargo says.
        let is_asked = || {
            let workspace = ask(&root.join("Cargo.toml"), &memory).unwrap();
            if let Ok(text) = fs_err::read_to_string(&memory) {
                fs_err::write(
                    &memory,
                    text.replace("\"version\":\"0.1.0\"", "\"version\":\"from memory\""),
                )
                .unwrap();
            }
            workspace.packages.iter().all(|package| package.version == "0.1.0")
        };
        assert!(is_asked());
        assert!(is_asked() && !memory.exists(), "without a lock file nothing is remembered");
        write(
            "Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"one\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"two\"\nversion = \"0.1.0\"\n",
        );
        assert!(is_asked());
        assert!(!is_asked(), "it is remembered");
        let changes = [
            ("Cargo.toml", format!("{manifest}# more\n")),
            ("build.rs", "fn main() {}".to_owned()),
            ("src/bin/more.rs", "fn main() {}".to_owned()),
            ("crates/two/build.rs", "fn main() {}".to_owned()),
            (
                "crates/three/Cargo.toml",
                "[package]\nname = 'three'\nversion = '0.1.0'\nedition = '2021'\n[lib]\npath = 'x.rs'\n".to_owned(),
            ),
            ("crates/three/x.rs", String::new()),
            ("rust-toolchain.toml", "# none".to_owned()),
        ];
        for (name, text) in changes {
            write(name, &text);
            // A package without its source, in between, is an error.
            let broken = name == "crates/three/Cargo.toml"
                && ask(&root.join("Cargo.toml"), &memory).is_err();
            assert!(broken || is_asked(), "{name}");
            assert!(broken || !is_asked(), "{name}");
        }
    }
}
