//! What the caches of a job are found by, and which of them were found.

use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::cli::environment;
use crate::cli::failure::Result;
use crate::cli::options::Context;
use crate::process::Cmd;
use crate::report::{Crates, Reason};
use crate::ui::Ui;
use crate::{digest, env_vars};

/// As rust-cache has them: variables that change what cargo and compilers make.
const RUST_VARIABLES: &[&str] = &["CARGO", "CC", "CFLAGS", "CXX", "CMAKE", "RUST"];

/// Files that say which environments the steps of a job will want.
const STEPS: &[&str] = &[".github/workflows", "noxfile.py", "tox.ini", "tox.toml"];

/// What the environments are cached under, and the paths of the entry; no network, and nothing is
/// installed.
pub(super) fn environments(context: &Context<'_>, leg: &str) -> Result<(Key, String)> {
    let memo = context.provisioner().memo_path(&environment::declared(context)?)?;
    let mut request = digest::Hasher::default();
    // What was asked for, and what the backend's own answer is known to depend on.
    request.field(memo.file_name().unwrap_or_default().as_encoded_bytes());
    request.field(context.project.configuration_digest().as_bytes());
    request.field(&serde_json::to_vec(&context.config_settings).unwrap_or_default());
    let mut steps = digest::Hasher::default();
    for name in STEPS {
        let path = context.project.workspace.root.join(name);
        let digest = if path.is_dir() { digest::tree(&path) } else { digest::file(&path) };
        steps.field(digest.unwrap_or_default().as_bytes());
    }
    let key = Key::environments(
        &context.interpreter.identity.abi_tag(),
        leg,
        &request.finish(),
        &steps.finish(),
    );
    let layout = &context.layout;
    Ok((key, lines(&[layout.envs(), layout.requests(), layout.history()])))
}

/// Digests of what dependencies are compiled from and with, and of the sources as they were checked
/// out.
pub(super) fn checkout_digests(context: &Context<'_>, ui: &Ui) -> [String; 2] {
    let root = &context.project.workspace.root;
    let mut lock = digest::Hasher::default();
    // Below the source tree, if the Cargo workspace is.
    let cargo_root = context.project.workspace.cargo_root.as_ref().unwrap_or(root);
    lock.field(&fs_err::read(cargo_root.join("Cargo.lock")).unwrap_or_default());
    // An entry of another compiler would be found again and again, and never be of use.
    let rustc = env_vars::get("RUSTC").unwrap_or_else(|| "rustc".to_owned());
    lock.field(
        &Cmd::new(rustc)
            .arg("-vV")
            .cwd(cargo_root)
            .output()
            .map(|output| output.stdout)
            .unwrap_or_default(),
    );
    for (name, value) in env_vars::with_prefixes(RUST_VARIABLES) {
        lock.field(name.as_bytes()).field(value.as_bytes());
    }
    let sources = tracked(root)
        .map_or_else(|| digest::tree(root), |files| digest::files(root, &files))
        .unwrap_or_else(|error| {
            ui.warning(format_args!(
                "some sources cannot be read, so the cache key uses the commit instead: {error}"
            ));
            digest::bytes(env_vars::get("GITHUB_SHA").unwrap_or_default().as_bytes())
        });
    [lock.finish(), sources]
}

/// The files that git knows of, so that what builds leave behind (`dist`, `*.egg-info`) is no
/// source. `None` without git, or where git does not trust the directory, as in containers.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let output =
        Cmd::new("git").args(["ls-files", "-z", "--recurse-submodules"]).cwd(root).output().ok()?;
    let files: Vec<String> =
        String::from_utf8(output.stdout).ok()?.split_terminator('\0').map(str::to_owned).collect();
    (!files.is_empty()).then_some(files)
}

/// rust-cache's input `workspaces`, if there is anything in this project for it.
pub(super) fn rust_cache_workspaces(context: &Context<'_>, ui: &Ui) -> Option<String> {
    let (root, target) = context.project.workspace.cargo_directories().or_else(|| {
        ui.status("Note", "rust-cache is skipped: cargo found no workspace here");
        None
    })?;
    // Across drives there is no such path.
    let relative = pathdiff::diff_paths(&target, &root).filter(|path| path.is_relative())?;
    let line = format!("{} -> {}", root.display(), relative.display());
    if line.contains('\n')
        || root.to_string_lossy().contains("->")
        || relative.to_string_lossy().contains("->")
    {
        ui.status(
            "Note",
            "rust-cache is skipped: it does not support paths that contain `->` or a line feed",
        );
        return None;
    }
    if !context.layout.root().starts_with(&root) && !target.starts_with(&root) {
        let note = "our directory and cargo's target directory are outside the workspace, so \
            rust-cache's key does not depend on the build environment";
        ui.status("Note", note);
    }
    Some(line)
}

/// Paths as `actions/cache` takes them.
pub(super) fn lines(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\n")
}

/// What the steps between ours came to, by the environment: keys, and what was found for them.
///
/// Of a cache: `true` for an exact hit, `false` for an older entry, empty for none or if it was not
/// asked.
#[derive(Debug, Default)]
pub(super) struct Hits {
    pub env_key: String,
    pub env: String,
    /// What `prepare` did about it: `created` or `reused`.
    pub env_outcome: String,
    pub store_key: String,
    pub store: String,
    pub rust_cache_key: String,
    /// `false` also if there was nothing at all.
    pub rust_cache: String,
}

impl Hits {
    pub(super) fn read() -> Self {
        let get = |name| env_vars::get(name).unwrap_or_default();
        Self {
            env_key: get("ENV_KEY"),
            env: get("ENV_HIT"),
            env_outcome: get("ENV_OUTCOME"),
            store_key: get("STORE_KEY"),
            store: get("STORE_HIT"),
            rust_cache_key: get("DEPENDENCIES_KEY"),
            rust_cache: get("DEPENDENCIES_HIT"),
        }
    }

    /// All that was looked for was found, and under its own key.
    pub(super) fn is_full(&self) -> bool {
        self.store == "true" && self.env == "true" && self.rust_cache != "false"
    }

    /// Only the store was there, which is of little use without the dependencies.
    pub(super) fn lacks_dependencies(&self, crates: &Crates) -> bool {
        self.rust_cache.is_empty()
            && !self.store.is_empty()
            && crates.compiled.iter().any(|one| !one.workspace && one.reason == Reason::FirstBuild)
    }

    pub(super) fn is_cold(&self) -> bool {
        self.store.is_empty() && self.rust_cache != "true"
    }

    pub(super) fn rust_cache_words(&self) -> &'static str {
        match self.rust_cache.as_str() {
            "true" => "exact hit",
            "" => "not used",
            _ => "partial hit or miss",
        }
    }
}

/// Whether a cache of ours was found, in words.
pub(super) fn found(hit: &str) -> &'static str {
    match hit {
        "true" => "exact hit",
        "" => "miss",
        _ => "older entry",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_directory_is_told_as_seen_from_the_workspace() {
        let seen = |root, target| pathdiff::diff_paths(target, root).unwrap();
        assert_eq!(seen("/w/p", "/w/p/target"), Path::new("target"));
        assert_eq!(seen("/w/p", "/w/t"), Path::new("../t"));
        assert_eq!(seen("/w/p/q", "/x/t"), Path::new("../../../x/t"));
    }

    #[test]
    fn a_full_hit_is_one_of_all_that_was_looked_for() {
        let hits = |env: &str, store: &str, rust_cache: &str| Hits {
            env: env.into(),
            store: store.into(),
            rust_cache: rust_cache.into(),
            ..Hits::default()
        };
        assert!(hits("true", "true", "true").is_full() && hits("true", "true", "").is_full());
        for (env, store, rust_cache) in [
            ("true", "true", "false"),
            ("true", "false", "true"),
            ("false", "true", "true"),
            ("true", "", "true"),
        ] {
            assert!(!hits(env, store, rust_cache).is_full(), "{env} {store} {rust_cache}");
        }
        assert!(!Hits::default().is_full(), "without any cache there is no hit");
    }

    #[test]
    fn a_store_without_the_target_directory_is_no_warm_job() {
        let crates = |reason: &str, workspace: bool| {
            let one = serde_json::json!({"name": "x", "version": "1.0.0", "workspace": workspace, "reason": reason});
            Crates { compiled: vec![serde_json::from_value(one).unwrap()], ..Crates::default() }
        };
        let hits = |store: &str, rust_cache: &str| Hits {
            store: store.into(),
            rust_cache: rust_cache.into(),
            ..Hits::default()
        };
        assert!(hits("false", "").lacks_dependencies(&crates("first-build", false)));
        for (store, rust_cache, reason, workspace) in [
            ("", "", "first-build", false),
            ("true", "true", "first-build", false),
            ("true", "", "unknown", false),
            ("true", "", "first-build", true),
        ] {
            assert!(
                !hits(store, rust_cache).lacks_dependencies(&crates(reason, workspace)),
                "{store} {rust_cache} {reason} {workspace}"
            );
        }
    }
}
