//! The inputs of a call that are known before rustc runs: [`Before`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::call::{Call, Unjudged};
use super::closure::Closure;
use super::digests::Digests;
use super::entry::{Before, SCHEMA, shown};
use super::linker::{self, Linker};
use super::package::Package;
use super::plan::{Plan, Plans};
use super::store::Store;
use super::toolchain::Toolchain;
use super::{macros, targets, tree};
use crate::project::cargo::cargo_home;
use crate::project::cargo_config;
use crate::{env_vars, fs};

/// Variables that rustc, its LLVM and clippy read, whatever the crate is.
///
/// Found by watching `getenv`, and in <https://github.com/rust-lang/rust/tree/1.95.0/compiler> and
/// <https://github.com/rust-lang/rust-clippy/blob/master/src/driver.rs>. Those that only concern the looks of messages, logs,
/// the stack or threads are not among them.
pub const RUSTC_VARIABLES: &[&str] = &[
    "LD_PRELOAD",
    "LLVM_OVERRIDE_PRODUCER",
    "QNX_TARGET",
    "RUSTC_BOOTSTRAP",
    "RUSTC_FORCE_RUSTC_VERSION",
    "RUSTC_OVERRIDE_VERSION_STRING",
    "RUST_TARGET_PATH",
    "SYSROOT",
    "RUSTC_BREAK_ON_ICE",
    "SOURCE_DATE_EPOCH",
];

/// Variables that cargo sets for the crate and that macros and clippy may look at.
pub const CRATE_VARIABLES: &[&str] = &[
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// Prefixes of more of them.
const CRATE_PREFIXES: &[&str] = &["CARGO_BIN_EXE_", "CARGO_PKG_"];

/// Whether a variable is part of every key.
pub fn is_compared_for_every_crate(name: &str) -> bool {
    CRATE_VARIABLES.contains(&name) || CRATE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Lines of `/proc/cpuinfo` that differ from core to core, or from moment to moment.
const CHANGING: &[&str] = &[
    "apicid",
    "bogomips",
    "clock",
    "core id",
    "cpu MHz",
    "initial apicid",
    "processor",
    "timebase",
];

/// Variables that only clippy reads.
pub const CLIPPY_VARIABLES: &[&str] = &[
    "CARGO",
    "CARGO_PRIMARY_PACKAGE",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "CLIPPY_DISABLE_DOCS_LINKS",
];

/// Everything about a call that is needed to judge it, and to record it afterwards.
#[derive(Debug)]
pub struct Inputs {
    pub before: Before,
    pub closure: Closure,
    pub linker: Option<Linker>,
    pub toolchain: Toolchain,
    /// Patterns of files that were read, each with the workspace that they are relative to.
    pub patterns: Vec<(PathBuf, Vec<String>)>,
    /// A macro of its closure is pure only if no source names a variable.
    pub demands_no_variables: bool,
}

impl Inputs {
    pub fn look(
        call: &Call,
        package: &Package,
        store: &Store,
        plans: &Plans,
        digests: &mut Digests,
    ) -> Result<Self, Unjudged> {
        let directory =
            std::env::current_dir().map_err(|_error| Unjudged::Unreadable(PathBuf::from(".")))?;
        let settings = plans.current_with(&package.directory)?;
        let closure = Closure::of(call, store, plans, digests)?;
        let reads =
            macros::reads(&closure.macros, &settings, plans, closure.traits.names_variables)?;
        let linker = if call.is_linked() { Some(Linker::of(call, store, digests)?) } else { None };
        // With `links` overridden in a configuration, cargo names it and does not make it.
        let out_dir = match targets::own_out_dir(call).filter(|path| path.exists()) {
            Some(path) => Some(tree::whole(&path, digests).ok_or(Unjudged::Unreadable(path))?),
            None => None,
        };
        let patterns = patterns(&settings, &reads);
        let mut look = Look {
            call,
            package,
            directory: &directory,
            digests,
            variables: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        look.variables();
        look.named_files()?;
        if call.is_clippy() {
            look.clippy(&settings);
        }
        for name in reads.iter().filter_map(|one| one.strip_prefix("env:")) {
            look.variable(name.trim());
        }
        for (workspace, patterns) in &patterns {
            for path in matching(workspace, patterns)? {
                look.state(&path);
            }
        }
        if closure
            .macros
            .iter()
            .any(|one| settings.iter().any(|plan| plan.macros.contains_key(&one.package)))
        {
            look.set_by_build_script();
        }
        let (variables, files) = (look.variables, look.files);
        let toolchain = Toolchain::of(call, store, digests)?;
        let mut externs = BTreeMap::new();
        for path in
            call.externs.iter().filter_map(|one| one.path.as_ref()).chain(&closure.macro_libraries)
        {
            externs.insert(
                path.clone(),
                digests.file(path).ok_or_else(|| Unjudged::Unreadable(path.clone()))?,
            );
        }
        let before = Before {
            schema: SCHEMA,
            compiler: toolchain.digest.clone(),
            linker: linker.as_ref().map(|linker| linker.digest.clone()),
            arguments: call.arguments.clone(),
            directory,
            variables,
            externs,
            out_dir,
            files,
        };
        let demands_no_variables = macros::demand_no_variables(&closure.macros, &settings);
        Ok(Self { before, closure, linker, toolchain, patterns, demands_no_variables })
    }
}

struct Look<'a> {
    call: &'a Call,
    package: &'a Package,
    directory: &'a Path,
    digests: &'a mut Digests,
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
}

impl Look<'_> {
    fn variables(&mut self) {
        let mut names: Vec<&str> = [RUSTC_VARIABLES, CRATE_VARIABLES].concat();
        if self.call.is_linked() {
            names.extend(linker::VARIABLES);
        }
        if self.call.is_clippy() {
            names.extend(CLIPPY_VARIABLES);
        }
        for name in names {
            self.variable(name);
        }
        for (name, value) in env_vars::with_prefixes(CRATE_PREFIXES) {
            self.variables.insert(name.clone(), shown(&name, &value));
        }
    }

    fn variable(&mut self, name: &str) {
        // Set to nothing is something else than not set.
        if let Some(value) = env_vars::raw(name) {
            self.variables.insert(name.to_owned(), shown(name, &value.to_string_lossy()));
        }
    }

    /// Files that arguments name, and the processor where code is made for the one at hand.
    fn named_files(&mut self) -> Result<(), Unjudged> {
        for path in &self.call.files {
            let digest =
                self.digests.file(path).ok_or_else(|| Unjudged::Unreadable(path.clone()))?;
            self.files.insert(path.clone(), digest);
        }
        if self.call.native_cpu {
            let info = PathBuf::from("/proc/cpuinfo");
            let text = fs_err::read_to_string(&info)
                .map_err(|_error| Unjudged::Argument("-Ctarget-cpu=native".to_owned()))?;
            let is_telling = |line: &&str| {
                !CHANGING
                    .iter()
                    .any(|start| line.to_ascii_lowercase().starts_with(&start.to_ascii_lowercase()))
            };
            let lines: std::collections::BTreeSet<&str> = text.lines().filter(is_telling).collect();
            self.files.insert(info, crate::digest::json(&lines));
        }
        // A target's name is a file in there, if it is there.
        if let (Some(paths), Some(target)) =
            (env_vars::get_os("RUST_TARGET_PATH"), &self.call.target)
        {
            for directory in std::env::split_paths(&paths) {
                self.state(&directory.join(format!("{target}.json")));
            }
        }
        Ok(())
    }

    /// The state of a file that is read if it is there.
    fn state(&mut self, path: &Path) {
        let path = self.directory.join(path);
        let state = self.digests.state(&path);
        self.files.insert(path, state);
    }

    /// Its configuration, from the package up to the root; and what its `cargo` lints read through
    /// `cargo metadata`.
    fn clippy(&mut self, settings: &[&Plan]) {
        let start = env_vars::get_os("CLIPPY_CONF_DIR")
            .map_or_else(|| self.package.directory.clone(), PathBuf::from);
        let start = self.directory.join(start);
        // clippy goes up from where a link leads, too.
        let real = fs::real(&start);
        for directory in start.ancestors().chain(real.ancestors()) {
            self.state(&directory.join("clippy.toml"));
            self.state(&directory.join(".clippy.toml"));
        }
        self.state(&self.package.directory.join("Cargo.toml"));
        self.state(Path::new("Cargo.toml"));
        self.state(Path::new("Cargo.lock"));
        // Cargo's own configuration, when cargo runs.
        for directory in self
            .directory
            .ancestors()
            .map(|directory| directory.join(".cargo"))
            .chain([cargo_home()])
        {
            for file in ["config.toml", "config"].map(|name| directory.join(name)) {
                // Another one in each job, and nothing for `cargo metadata`.
                if !cargo_config::is_of_our_action(&file) {
                    self.state(&file);
                }
            }
        }
        for manifest in settings.iter().flat_map(|plan| &plan.manifests) {
            self.state(manifest);
            // `clippy::cargo_common_metadata` asks for a readme, which cargo looks for by itself:
            // <https://doc.rust-lang.org/cargo/reference/manifest.html#the-readme-field>
            for readme in ["README", "README.md", "README.txt"] {
                self.state(&manifest.with_file_name(readme));
            }
        }
    }

    /// A macro that the user vouches for may look at variables of the package's build script, too.
    fn set_by_build_script(&mut self) {
        if let Some(out_dir) = targets::own_out_dir(self.call) {
            for name in set_by_build_script(&out_dir) {
                self.variable(&name);
            }
        }
    }
}

/// The files that count as inputs of every local crate, each with its state.
pub fn matched(
    settings: &[&Plan],
    digests: &mut Digests,
) -> Result<BTreeMap<PathBuf, String>, Unjudged> {
    let mut found = BTreeMap::new();
    for plan in settings {
        for path in matching(&plan.workspace, &plan.inputs)? {
            let state = digests.state(&path);
            found.insert(path, state);
        }
    }
    Ok(found)
}

/// The patterns of a call: the workspaces' inputs, and what its macros are declared to read.
fn patterns(settings: &[&Plan], reads: &[String]) -> Vec<(PathBuf, Vec<String>)> {
    let declared: Vec<&String> = reads.iter().filter(|one| !one.starts_with("env:")).collect();
    settings
        .iter()
        .map(|plan| {
            (
                plan.workspace.clone(),
                plan.inputs.iter().chain(declared.iter().copied()).cloned().collect(),
            )
        })
        .collect()
}

/// The files that patterns match, relative to a workspace or absolute. A path without special
/// characters is one whether it is there or not; where it is a directory, all that is in it counts.
pub fn matching(workspace: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, Unjudged> {
    let mut found = Vec::new();
    // Patterns have slashes on all systems; paths in them may have what Windows has.
    let slashes =
        |text: &str| if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
    let prefix = workspace.to_str().map(slashes);
    for pattern in patterns {
        let whole = slashes(pattern);
        let within = prefix.as_deref().and_then(|prefix| whole.strip_prefix(prefix));
        let text = within.map_or(whole.as_str(), |rest| rest.trim_start_matches('/'));
        if cfg!(windows) && Path::new(text).has_root() && text.contains(SPECIAL) {
            // Below another directory, where nothing would be found.
            return Err(Unjudged::Argument(pattern.clone()));
        }
        let (base, text) = match text.strip_prefix('/') {
            Some(rest) => (Path::new("/"), rest),
            None => (workspace, text),
        };
        let mut text =
            text.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
        if !text.contains(SPECIAL) {
            let path = base.join(&text);
            if !path.is_dir() {
                found.push(path);
                continue;
            }
            text.push_str("/**");
        }
        let start = literal_start(&text);
        // What stands in a directory that is named counts, but for what is built there.
        let is_left_out = |path: &Path| {
            let is_everywhere = start.as_os_str().is_empty();
            (is_everywhere && fs::is_made_by_tools(path))
                || path.join("CACHEDIR.TAG").exists()
                || path.ends_with(".git")
        };
        let matcher = globset::GlobBuilder::new(&text).literal_separator(true).build();
        let matcher =
            matcher.map_err(|_error| Unjudged::Argument(pattern.clone()))?.compile_matcher();
        let walk = fs::walk_with_links(&base.join(&start), |entry| {
            !(entry.file_type().is_dir() && is_left_out(entry.path()))
        });
        // What is not there matches nothing.
        for entry in walk.filter_map(Result::ok) {
            let Ok(relative) = entry.path().strip_prefix(base) else { continue };
            // What a linked directory has may be listed elsewhere only: where it leads counts.
            let is_linked_directory = entry.path_is_symlink() && entry.file_type().is_dir();
            if is_linked_directory || matcher.is_match(relative) {
                found.push(entry.into_path());
            }
        }
    }
    Ok(found)
}

/// Characters that mean more than themselves in a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// Variables that a build script sets, from what it printed: next to `OUT_DIR` in cargo's layouts,
/// old and new.
fn set_by_build_script(out_dir: &Path) -> Vec<String> {
    let candidates = ["../output", "../run/stdout", "../stdout"].map(|name| out_dir.join(name));
    let text =
        candidates.iter().find_map(|path| fs_err::read_to_string(path).ok()).unwrap_or_default();
    let variable = |line: &str| {
        line.strip_prefix("cargo:")?
            .trim_start_matches(':')
            .strip_prefix("rustc-env=")?
            .split('=')
            .next()
            .map(str::to_owned)
    };
    text.lines().filter_map(variable).collect()
}

/// The folders at the start of a pattern that have no special characters in them.
fn literal_start(pattern: &str) -> PathBuf {
    let folders = pattern.rsplit_once('/').map(|(folders, _name)| folders).unwrap_or_default();
    folders.split('/').take_while(|folder| !folder.contains(SPECIAL)).collect()
}

#[cfg(test)]
mod tests;
