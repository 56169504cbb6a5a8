//! Gathers the facts: reads files, asks git and cargo. Changes nothing: cargo is asked with
//! `--locked`, as it would write a `Cargo.lock` otherwise.

mod debug_info;
mod git;
mod indexes;
mod runs;
mod source_tree;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{CrateType, DependencyKind, Metadata, TargetKind};
use filetime::FileTime;

use self::git::Git;
use self::runs::build_directory;
use super::facts::{
    Configured, DebugInfo, Facts, LastBuild, LockFile, OurDirectory, Package, PlacedProject,
    Script, StoreUse, Tar, Workflow, Workspace,
};
use super::{machine, pythons, workflows};
use crate::cargo_records::Records;
use crate::process::Cmd;
use crate::project::cargo::{self, TARGET_VARIABLES, cargo_home};
use crate::project::{CargoWorkspace, Project, files_of_package};
use crate::{env_vars, fs};

/// What the command knows already.
pub(crate) struct Given<'a> {
    pub project: &'a Project,
    /// Where our directory is, or would be.
    pub ours: PathBuf,
    /// `cp312`, of the interpreter that a build would take.
    pub interpreter: Option<String>,
    pub last: Option<LastBuild>,
    pub store: Option<StoreUse>,
    pub installer_is_chosen: bool,
    /// Which ABI a Python has; `None` if it cannot be run.
    pub abi_of: &'a dyn Fn(&Path) -> Option<String>,
}

/// Looks at a project. The second: what could not be looked at, and why.
pub(crate) fn look(given: &Given<'_>) -> (Facts, Vec<String>) {
    let mut missed = Vec::new();
    let project = given.project;
    let base = project.workspace.root.clone();
    let git = Git::of(&project.directory);
    if git.is_none()
        && project.directory.ancestors().any(|directory| directory.join(".git").exists())
    {
        missed.push(format!(
            "git does not work in `{}`: tracked and ignored files are unknown",
            project.directory.display()
        ));
    }
    let checkout =
        git.as_ref().map_or_else(|| common(&base, &project.directory), |git| git.root.clone());
    let now = FileTime::now();
    let mut facts = Facts {
        is_git: git.is_some(),
        now,
        interpreter: given.interpreter.clone(),
        last: given.last.clone(),
        ..Facts::default()
    };
    facts.is_windows = cfg!(windows);
    facts.ours = our_directory(&given.ours, git.as_ref());
    facts.temporary = temporary_directories();
    facts.variables = env_vars::with_prefixes(&["PYO3_", "PYTHON_SYS_EXECUTABLE"])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    facts.workflows = workflows_of(&checkout);
    facts.projects = projects_of(&facts.workflows, &checkout);
    facts.default_branch = git.as_ref().and_then(Git::default_branch);
    facts.store.clone_from(&given.store);
    facts.tar = which::which("tar").ok().map(|path| Tar { is_busybox: is_busybox(&path), path });
    facts.indexes = indexes::of(project, given.installer_is_chosen);
    facts.ignored_settings = indexes::ignored_settings(project);
    facts.venvs = venvs(&project.directory, git.as_ref());
    facts.shadowed = source_tree::shadowed(&project.directory, given.interpreter.as_deref());

    let mut roots = HashSet::new();
    for manifest in &project.workspace.manifests {
        let metadata = match metadata(manifest) {
            Ok(metadata) => metadata,
            Err(message) => {
                missed.push(format!(
                    "cargo cannot read the workspace of `{}`: {message}",
                    manifest.display()
                ));
                continue;
            }
        };
        let mut cargo = CargoWorkspace::new(&metadata);
        // cargo leaves the dots of its configuration in.
        for path in [&mut cargo.target_directory, &mut cargo.build_directory] {
            *path = fs::absolute(path).unwrap_or_else(|_| path.clone());
        }
        if !roots.insert(cargo.root.clone()) {
            continue;
        }
        facts.packages.extend(packages(&metadata, git.is_some(), now));
        let directory = manifest.parent().unwrap_or(manifest);
        facts.workspaces.push(workspace(&cargo, directory, git.as_ref()));
        facts.configured.extend(configured(directory, given));
        if !facts.build_directories.iter().any(|known| known.path == cargo.build_directory) {
            match Records::read(&cargo.build_directory) {
                Ok(records) => {
                    let mut directory = build_directory(&records, &cargo, &given.ours);
                    if workflows::keep_target(&facts) {
                        directory.debug_info = debug_info_of(&records, &metadata);
                    }
                    facts.build_directories.push(directory);
                }
                Err(error) => missed.push(error.to_string()),
            }
        }
    }
    facts.checkout = checkout;
    (facts, missed)
}

/// The directory that both are in.
fn common(one: &Path, other: &Path) -> PathBuf {
    one.ancestors().find(|directory| other.starts_with(directory)).unwrap_or(one).to_path_buf()
}

/// Asks cargo without letting it write or download; without its dependencies if that is not enough.
fn metadata(manifest: &Path) -> Result<Metadata, String> {
    cargo::ask(manifest, &["--locked", "--offline"])
        .or_else(|_| cargo::ask(manifest, &["--offline", "--no-deps"]))
}

fn tracked(directory: &Path) -> Vec<PathBuf> {
    let listed = Cmd::new("git")
        .args(["ls-files", "-z", "."])
        .cwd(directory)
        .quick_answer()
        .unwrap_or_default();
    listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned().into())
        .collect()
}

/// Virtual environments in a source tree, at the top, that git does not ignore.
fn venvs(directory: &Path, git: Option<&Git>) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| {
            path.join("pyvenv.cfg").is_file()
                && git.is_some_and(|git| git.ignores(path) == Some(false))
        })
        .collect();
    found.sort();
    found
}

fn our_directory(path: &Path, git: Option<&Git>) -> OurDirectory {
    OurDirectory {
        path: path.to_path_buf(),
        exists: path.is_dir(),
        ignored: git.and_then(|git| git.ignores(path)),
    }
}

fn temporary_directories() -> Vec<PathBuf> {
    let known = ["/tmp", "/var/tmp", "/var/folders", "/private/tmp", "/private/var/folders"]
        .map(PathBuf::from);
    let mut all: Vec<PathBuf> = std::iter::once(std::env::temp_dir()).chain(known).collect();
    all.extend(fs::canonicalize(&std::env::temp_dir()));
    all
}

fn is_busybox(tar: &Path) -> bool {
    let leads_there = fs::canonicalize(tar).is_ok_and(|real| {
        real.file_name().is_some_and(|name| name.to_string_lossy().starts_with("busybox"))
    });
    // A hard link, or a script that calls it. busybox says what it is on either stream.
    leads_there || {
        let output =
            Cmd::new(tar).arg("--help").output_unchecked(Some(std::time::Duration::from_secs(5)));
        output.is_ok_and(|output| {
            [output.stdout, output.stderr]
                .iter()
                .any(|text| String::from_utf8_lossy(text).contains("BusyBox v"))
        })
    }
}

fn workflows_of(checkout: &Path) -> Vec<Workflow> {
    let entries = fs_err::read_dir(checkout.join(".github/workflows"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
    });
    paths.sort();
    paths
        .iter()
        .filter_map(|path| workflows::parse(path, &fs_err::read_to_string(path).ok()?))
        .collect()
}

/// The projects that workflows give to our action, one by one or by the legs of a matrix.
fn projects_of(workflows: &[Workflow], checkout: &Path) -> BTreeMap<String, PlacedProject> {
    let names: BTreeSet<String> = workflows.iter().flat_map(workflows::projects).collect();
    let placed = |name: String| {
        let project = Project::load_any(&checkout.join(&name)).ok()?;
        Some((
            name,
            PlacedProject { root: project.workspace.root, requires: project.build_system.requires },
        ))
    };
    names.into_iter().filter_map(placed).collect()
}

fn packages(metadata: &Metadata, is_git: bool, now: FileTime) -> Vec<Package> {
    // Vendored ones have a source, and are not the user's to edit.
    let own = metadata.packages.iter().filter(|package| package.source.is_none());
    own.filter_map(|package| {
        let root = package.manifest_path.parent()?.as_std_path().to_path_buf();
        let script = package
            .targets
            .iter()
            .find(|target| target.kind.contains(&TargetKind::CustomBuild))
            .and_then(|target| {
                let path = target.src_path.clone().into_std_path_buf();
                let dependencies = package
                    .dependencies
                    .iter()
                    .filter(|dependency| dependency.kind == DependencyKind::Build);
                Some(Script {
                    text: fs_err::read_to_string(&path).ok()?,
                    mtime: mtime(&path)?,
                    dependencies: dependencies.map(|dependency| dependency.name.clone()).collect(),
                    path,
                })
            });
        let files = files_of_package(&root);
        let known = if is_git { tracked(&root) } else { Vec::new() };
        let tracked: BTreeSet<&PathBuf> = known.iter().collect();
        let relative =
            files.iter().filter_map(|path| path.strip_prefix(&root).ok().map(Path::to_path_buf));
        let untracked: Vec<PathBuf> = relative.filter(|path| !tracked.contains(path)).collect();
        Some(Package {
            name: package.name.to_string(),
            is_cdylib: package
                .targets
                .iter()
                .any(|target| target.crate_types.contains(&CrateType::CDyLib)),
            files: files.len(),
            untracked,
            from_future: files
                .iter()
                .filter(|path| mtime(path).is_some_and(|time| machine::is_future(time, now)))
                .cloned()
                .collect(),
            tracked: known,
            script,
            root,
        })
    })
    .collect()
}

fn mtime(path: &Path) -> Option<FileTime> {
    fs_err::symlink_metadata(path)
        .ok()
        .map(|metadata| FileTime::from_last_modification_time(&metadata))
}

fn workspace(cargo: &CargoWorkspace, directory: &Path, git: Option<&Git>) -> Workspace {
    let lock = cargo.root.join("Cargo.lock");
    let is_outside = |path: &Path| {
        !path.starts_with(&cargo.root) && git.is_none_or(|git| !path.starts_with(&git.root))
    };
    let moved = [&cargo.target_directory, &cargo.build_directory]
        .into_iter()
        .find(|path| is_outside(path))
        .map(|path| {
            let (variables, keys) = if *path == cargo.target_directory {
                (&TARGET_VARIABLES[..], "target-dir")
            } else {
                (&["CARGO_BUILD_BUILD_DIR"][..], "build-dir")
            };
            let variable = variables
                .iter()
                .find(|name| env_vars::get_os(name).is_some())
                .map(|name| format!("`{name}`"));
            let file = || {
                let configs = cargo_configs(directory).into_iter();
                let mut those = configs.filter(|(_, table)| {
                    table.get("build").and_then(|build| build.get(keys)).is_some()
                });
                those.next().map(|(file, _)| format!("`build.{keys}` in `{}`", file.display()))
            };
            (variable.or_else(file).unwrap_or_else(|| format!("`build.{keys}`")), path.clone())
        });
    Workspace {
        root: cargo.root.clone(),
        target_directory: cargo.target_directory.clone(),
        lock: git.map_or(LockFile::Absent, |git| git.lock_file(&lock)),
        ignores_target: git.and_then(|git| git.ignores(&cargo.target_directory)),
        moved,
    }
}

/// cargo's configuration files for a directory, the one that wins first.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>
fn cargo_configs(directory: &Path) -> Vec<(PathBuf, toml::Table)> {
    let mut candidates = Vec::new();
    for directory in directory.ancestors() {
        // Of both the one without the extension is taken.
        candidates.push([".cargo/config", ".cargo/config.toml"].map(|name| directory.join(name)));
    }
    candidates.push(["config", "config.toml"].map(|name| cargo_home().join(name)));
    let mut seen = HashSet::new();
    let files =
        candidates.into_iter().filter_map(|pair| pair.into_iter().find(|path| path.is_file()));
    files
        .filter(|path| seen.insert(path.clone()))
        .filter_map(|path| {
            Some((fs_err::read_to_string(&path).ok()?.parse::<toml::Table>().ok()?, path))
        })
        .map(|(table, path)| (path, table))
        .collect()
}

fn configured(directory: &Path, given: &Given<'_>) -> Vec<Configured> {
    let configs = cargo_configs(directory);
    let mut found = Vec::new();
    for name in pythons::CONFIGURABLE {
        let entry =
            configs.iter().find_map(|(file, table)| Some((file, table.get("env")?.get(*name)?)));
        let Some((file, entry)) = entry else { continue };
        let Some(value) = entry.as_str().or_else(|| entry.get("value")?.as_str()) else { continue };
        let flag = |key: &str| entry.get(key).and_then(toml::Value::as_bool).unwrap_or(false);
        if !flag("force") && env_vars::get_os(name).is_some() {
            continue;
        }
        // Relative to the directory that `.cargo` is in.
        let base = if flag("relative") {
            file.parent().and_then(Path::parent).unwrap_or(directory)
        } else {
            directory
        };
        let is_name =
            !value.contains(['/', '\\']) && !flag("relative") && *name != "PYO3_CONFIG_FILE";
        let path = if is_name {
            which::which(value).ok()
        } else {
            Some(base.join(value)).filter(|path| path.exists())
        };
        let abi = path
            .as_deref()
            .filter(|_| *name != "PYO3_CONFIG_FILE")
            .and_then(|path| (given.abi_of)(path));
        let value = if flag("relative") {
            base.join(value).display().to_string()
        } else {
            value.to_owned()
        };
        found.push(Configured {
            file: file.clone(),
            name: (*name).to_owned(),
            value,
            found: path,
            abi,
        });
    }
    found
}

fn debug_info_of(records: &Records, metadata: &Metadata) -> Vec<DebugInfo> {
    let profiles = records.units.values().map(|unit| unit.profile.as_str()).collect();
    let own = metadata.packages.iter().filter(|package| package.source.is_none());
    let local = own
        .flat_map(|package| package.targets.iter().map(|target| target.name.replace('-', "_")))
        .collect();
    debug_info::of_dependencies(&records.directory, &profiles, &local)
}
