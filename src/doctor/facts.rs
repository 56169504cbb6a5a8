//! What rules judge: plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use filetime::FileTime;

/// Everything that is known of a project.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// The git checkout that the project is in; without git the project's own directory, or its
    /// Cargo workspace's.
    pub checkout: PathBuf,
    pub is_git: bool,
    pub now: FileTime,
    pub packages: Vec<Package>,
    pub workspaces: Vec<Workspace>,
    pub build_directories: Vec<BuildDirectory>,
    pub ours: OurDirectory,
    /// The interpreter that a build would take, if one was found.
    pub interpreter: Option<String>,
    /// What the last build told PyO3.
    pub last: Option<LastBuild>,
    pub configured: Vec<Configured>,
    /// Names of `PYO3_*` and the like that are set in our environment.
    pub variables: Vec<String>,
    /// Where operating systems and installers put what does not last.
    pub temporary: Vec<PathBuf>,
    pub indexes: Indexes,
    /// Settings of the installers that one could take for settings of builds.
    pub ignored_settings: Vec<IgnoredSettings>,
    /// Virtual environments in the source tree that git does not ignore.
    pub venvs: Vec<PathBuf>,
    pub shadowed: Vec<Shadowed>,
    pub workflows: Vec<Workflow>,
    /// The repository's default branch, if git knows it.
    pub default_branch: Option<String>,
    /// Projects that workflows give to our action, by its input `project`.
    pub projects: BTreeMap<String, PlacedProject>,
    /// What the store was good for in this job of a CI service.
    pub store: Option<StoreUse>,
    /// The `tar` on PATH.
    pub tar: Option<Tar>,
    pub is_windows: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            checkout: PathBuf::new(),
            is_git: false,
            now: FileTime::zero(),
            packages: Vec::new(),
            workspaces: Vec::new(),
            build_directories: Vec::new(),
            ours: OurDirectory::default(),
            interpreter: None,
            last: None,
            configured: Vec::new(),
            variables: Vec::new(),
            temporary: Vec::new(),
            indexes: Indexes::default(),
            ignored_settings: Vec::new(),
            venvs: Vec::new(),
            shadowed: Vec::new(),
            workflows: Vec::new(),
            default_branch: None,
            projects: BTreeMap::new(),
            store: None,
            tar: None,
            is_windows: false,
        }
    }
}

/// A package whose sources may change: a member, or a path dependency.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Package {
    pub name: String,
    pub root: PathBuf,
    pub script: Option<Script>,
    pub is_cdylib: bool,
    /// Number of files that cargo lists for it.
    pub files: usize,
    /// Of these, relative to the root: not tracked by git.
    pub untracked: Vec<PathBuf>,
    /// Tracked by git, relative to the root.
    pub tracked: Vec<PathBuf>,
    /// Of its files, those dated after [`Facts::now`].
    pub from_future: Vec<PathBuf>,
}

/// A build script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Script {
    pub path: PathBuf,
    pub text: String,
    pub mtime: FileTime,
    /// Names of `[build-dependencies]`.
    pub dependencies: Vec<String>,
}

/// A Cargo workspace.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Workspace {
    pub root: PathBuf,
    pub target_directory: PathBuf,
    pub lock: LockFile,
    /// Whether git ignores what is in the target directory; `None`: it is not in the checkout.
    pub ignores_target: Option<bool>,
    /// Who moved the target or build directory away: the setting or variable, and the directory.
    pub moved: Option<(String, PathBuf)>,
}

/// `Cargo.lock`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LockFile {
    /// There is none.
    #[default]
    Absent,
    /// It is there, and git does not know it.
    Untracked,
    Ignored,
    Tracked,
}

/// A directory where cargo builds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BuildDirectory {
    pub path: PathBuf,
    /// The latest run of each build script in each profile.
    pub runs: Vec<Run>,
    /// The newest date of what cargo wrote.
    pub newest: Option<FileTime>,
    /// Of dependencies, by profile; only looked for where CI caches the directory.
    pub debug_info: Vec<DebugInfo>,
}

/// Debug info in the libraries of dependencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DebugInfo {
    /// As in `Cargo.toml`: `dev`, `release`.
    pub profile: String,
    /// The size of the libraries.
    pub library_bytes: u64,
    /// Of these, debug info.
    pub bytes: u64,
}

/// A build script that was run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub package: String,
    pub profile: String,
    /// What the dates of what it watches are compared with: just before it ran.
    pub reference: FileTime,
    pub finished: FileTime,
    /// It named nothing, and so cargo looks at its whole package.
    pub looks_at_all: bool,
    pub variables: Vec<(String, Option<String>)>,
    pub watched: Vec<Watched>,
    pub out_dir: PathBuf,
}

impl Run {
    /// A variable that it depends on and that was set.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    pub(crate) fn depends_on(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| known == name)
    }
}

/// A path of `rerun-if-changed`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Watched {
    /// As it was declared.
    pub declared: PathBuf,
    pub path: PathBuf,
    pub exists: bool,
    /// It and what is below it, as far as that is newer than the reference.
    pub newer: Vec<(PathBuf, FileTime)>,
    /// The virtual environment that it is in.
    pub venv: Option<PathBuf>,
}

/// `.pyenv-build`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OurDirectory {
    pub path: PathBuf,
    pub exists: bool,
    /// `None`: it is not in a git checkout.
    pub ignored: Option<bool>,
}

/// What the last build told PyO3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastBuild {
    /// `cp312`
    pub abi: String,
    pub pyo3_python: String,
}

/// A variable in `[env]` of a `.cargo/config.toml` that names a Python or a file for PyO3, and is
/// in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configured {
    pub file: PathBuf,
    pub name: String,
    pub value: String,
    /// What it leads to, if that is there.
    pub found: Option<PathBuf>,
    /// `cp312`, of a Python that could be asked.
    pub abi: Option<String>,
}

/// Index settings of both installers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    pub uv: IndexSettings,
    pub pip: IndexSettings,
    /// `uv` or `pip` is chosen, so that it does not depend on the machine which one is used.
    pub installer_is_chosen: bool,
}

/// Where one installer takes packages from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IndexSettings {
    /// Instead of PyPI.
    pub default: Option<Index>,
    pub extra: Vec<Index>,
}

/// An index, without credentials, and where it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub url: String,
    /// `UV_DEFAULT_INDEX`, or the name of a file.
    pub set_by: String,
    pub is_variable: bool,
}

/// A project of the checkout, as far as the keys of its caches depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlacedProject {
    /// Where its `.pyenv-build` goes.
    pub root: PathBuf,
    /// `[build-system] requires`
    pub requires: Vec<String>,
}

/// What the store weighs, and what it saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StoreUse {
    pub path: PathBuf,
    pub bytes: u64,
    /// Of these, rustc's incremental state.
    pub incremental_bytes: u64,
    /// Calls of rustc whose outputs were taken from it.
    pub reused: u64,
    /// What rustc took for these when they were compiled.
    pub seconds_saved: f64,
}

/// Settings in a configuration file that are not for build environments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IgnoredSettings {
    pub file: PathBuf,
    pub installer: &'static str,
    pub names: Vec<&'static str>,
}

/// Two extension modules of one name in one directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shadowed {
    /// What is imported: `_x.cpython-312-x86_64-linux-gnu.so`.
    pub old: PathBuf,
    /// Built later, and not imported: `_x.abi3.so`.
    pub fresh: PathBuf,
}

/// A workflow of GitHub Actions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Workflow {
    pub path: PathBuf,
    pub triggers: Vec<Trigger>,
    pub jobs: Vec<Job>,
}

/// An event that starts a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub event: String,
    /// Patterns for branches, as in `branches`; `branches-ignore` is written as `**` and
    /// negations.
    pub branches: Option<Vec<String>>,
    /// The same for tags.
    pub tags: Option<Vec<String>>,
}

/// The variables of one leg of a matrix; those of objects have dots in their names.
pub(crate) type Leg = BTreeMap<String, String>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Job {
    pub name: String,
    pub runs_on: String,
    /// The image of its container.
    pub container: Option<String>,
    /// `if`
    pub condition: Option<String>,
    /// The workflow's variables and its own.
    pub env: BTreeMap<String, String>,
    /// Its own `cache-mode`, or else the workflow's.
    pub cache_mode: Option<String>,
    /// Its permissions, or else the workflow's, have `id-token: write`.
    pub can_prove_identity: bool,
    /// The workflow that it calls instead of having steps.
    pub calls: Option<String>,
    /// The legs of its matrix: one without variables if it has no matrix, none if they are not
    /// known before it runs.
    pub legs: Vec<Leg>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Step {
    /// `owner/name`, with a path below it if there is one, and without `@` and what follows.
    pub uses: Option<String>,
    /// What follows the `@`.
    pub version: Option<String>,
    pub with: BTreeMap<String, String>,
    pub run: Option<String>,
    /// `if`
    pub condition: Option<String>,
    pub env: BTreeMap<String, String>,
}

/// The `tar` on PATH.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tar {
    pub path: PathBuf,
    pub is_busybox: bool,
}
