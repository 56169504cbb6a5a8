//! What cargo has said of a project, for as long as nothing has changed that it said it from: a `cargo metadata` takes as long as
//! starting a backend, and on the same processors.
//!
//! It is for reports. What is done by the pins, as `run` and `env` do, asks cargo.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::{self, CargoFacts};
use crate::interpreter::Identity;
use crate::layout::Layout;
use crate::project::{self, Project};
use crate::{digest, env_vars, fs};

const SCHEMA: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    schema: u32,
    key: String,
    facts: CargoFacts,
}

/// [`facts::ask_cargo`], or what it returned the last time.
///
/// `manifests`: a digest of all manifests, the lock file and cargo's settings as they are now; `None` if it is not known what they are.
pub fn ask_cargo(
    project: &Project,
    identity: &Identity,
    layout: &Layout,
    manifests: impl Fn() -> Option<String>,
) -> Result<CargoFacts, project::Error> {
    let path = layout.facts(&project.directory, &identity.abi_tag());
    let key = || manifests().map(|manifests| key(project, identity, &manifests));
    let before = key();
    if let Some(facts) = before.as_deref().and_then(|key| recall(&path, key)) {
        return Ok(facts);
    }
    let facts = facts::ask_cargo(project, identity)?;
    // cargo may have written a lock file, or somebody a manifest.
    if let Some(key) = before.filter(|before| key().as_ref() == Some(before)) {
        let memory = Memory { schema: SCHEMA, key, facts: facts.clone() };
        // Without it, cargo is asked again.
        let _ = serde_json::to_vec(&memory).map(|text| fs::write_atomic(&path, &text));
    }
    Ok(facts)
}

fn recall(path: &Path, key: &str) -> Option<CargoFacts> {
    let memory: Memory = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
    (memory.schema == SCHEMA && memory.key == key).then_some(memory.facts)
}

/// Everything that decides what cargo says, and which cargo says it.
fn key(project: &Project, identity: &Identity, manifests: &str) -> String {
    let mut hasher = digest::Hasher::default();
    hasher.field(manifests.as_bytes());
    hasher.field(identity.version.as_bytes());
    hasher.field(&fs_err::read(project.pyproject_path()).unwrap_or_default());
    for manifest in &project.workspace.manifests {
        hasher.field(manifest.as_os_str().as_encoded_bytes());
        let package = manifest.parent().unwrap_or(manifest);
        // Targets that no manifest names.
        for directory in ["src", "src/bin"] {
            let entries = fs_err::read_dir(package.join(directory)).into_iter().flatten().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
            names.sort();
            for name in names {
                hasher.field(name.as_encoded_bytes());
            }
            hasher.field(b"/");
        }
        for directory in package.ancestors() {
            for name in ["rust-toolchain", "rust-toolchain.toml"] {
                hasher.field(&fs_err::read(directory.join(name)).unwrap_or_default());
            }
        }
    }
    for name in ["CARGO", "CARGO_BUILD_TARGET", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTUP_HOME"] {
        hasher.field(env_vars::get_os(name).unwrap_or_default().as_encoded_bytes());
    }
    // rustup's defaults and overrides, and what there is without rustup.
    let rustup = env_vars::get_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| Some(env_vars::home()?.join(".rustup")));
    hasher.field(&rustup.and_then(|rustup| fs_err::read(rustup.join("settings.toml")).ok()).unwrap_or_default());
    for program in ["cargo", "rustc"] {
        let path = which::which(program).ok().and_then(|path| fs_err::canonicalize(path).ok());
        let date = path.as_deref().and_then(|path| fs_err::metadata(path).ok()?.modified().ok());
        hasher.field(format!("{path:?} {date:?}").as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::identity_tests::cpython;
    use crate::pin::Bindings;

    #[test]
    fn cargo_is_asked_again_when_what_it_said_may_have_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap().join("project");
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("pyproject.toml", "");
        write("Cargo.toml", "[package]\nname = 'one'\nedition = '2021'\n[workspace]\n");
        write("src/lib.rs", "");
        let layout = Layout::open(root.join(".pyenv-build")).unwrap();
        let kept = layout.root().join("facts");
        let (one, other) = (cpython("3.12.1"), cpython("3.13.0"));
        let ask = |identity: &Identity, manifests: &str| {
            let project = Project::load(&root).unwrap();
            let facts = ask_cargo(&project, identity, &layout, || Some(manifests.to_owned())).unwrap();
            // What is remembered is made to differ from what cargo says.
            for entry in fs_err::read_dir(&kept).unwrap() {
                let path = entry.unwrap().path();
                let text = fs_err::read_to_string(&path).unwrap().replace("\"WithoutInterpreter\"", "\"Unknown\"");
                fs_err::write(&path, text).unwrap();
            }
            facts.bindings == Bindings::WithoutInterpreter
        };
        assert!(ask(&one, "a"));
        assert!(!ask(&one, "a"), "it is remembered");
        assert!(ask(&other, "a"), "for another Python features may differ");
        assert!(!ask(&one, "a"), "and each is remembered");
        assert!(ask(&one, "b"));
        let changes =
            [("pyproject.toml", "[tool.maturin]\nfeatures = []"), ("src/bin/more.rs", "fn main() {}"), ("rust-toolchain.toml", "# none")];
        for (name, text) in changes {
            write(name, text);
            assert!(ask(&one, "b"), "{name}");
            assert!(!ask(&one, "b"), "{name}");
        }
        let project = Project::load(&root).unwrap();
        fs_err::remove_dir_all(&kept).unwrap();
        ask_cargo(&project, &one, &layout, || None).unwrap();
        let mut generation = 0..;
        let changing = std::cell::RefCell::new(&mut generation);
        ask_cargo(&project, &one, &layout, || changing.borrow_mut().next().map(|number| number.to_string())).unwrap();
        assert!(!kept.exists(), "what changes meanwhile, or is not known, is not remembered");
    }
}
