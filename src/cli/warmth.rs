//! What is done around everything that runs cargo: target directories from elsewhere are not
//! believed, cargo gets the wrapper, and afterwards it is found out what was compiled, what
//! was reused, and why.
//!
//! Nothing here fails a build: without it cargo compiles more, and no reasons are known.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};

use super::failure::{Result, UsageError};
use super::settle::settle;
use super::sharing::SharingArgs;
use crate::cargo_records::Records;
use crate::layout::Layout;
use crate::project::{CargoWorkspace, Project, cargo_config};
use crate::report::rebuilds::{Before, explain};
use crate::report::{Crates, StoreReport, reuse};
use crate::ui::Ui;
use crate::units::log::{self, Event};
use crate::units::plan::Plan;
use crate::units::store::Store;
use crate::units::{survey, upkeep};
use crate::{env_vars, fs};

/// Options for reuse, and for crates that must not be compiled.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct WarmthArgs {
    /// Reuse compiled crates instead of running rustc [default: auto]
    // The alias is what scripts from before this flag was renamed say.
    #[arg(long, alias = "freshness", env = env_vars::REUSE, value_enum, value_name = "WHEN", help_heading = "Cargo")]
    pub reuse: Option<Reuse>,
    /// Keep rustc's incremental state of workspace crates; not for published wheels [default:
    /// false]
    #[arg(long, env = env_vars::INCREMENTAL, value_enum, value_name = "WHEN", help_heading = "Cargo")]
    pub incremental: Option<Incremental>,
    /// Exit with 3 if a matching crate is compiled: `all`, `deps`, `workspace` or a name pattern
    #[arg(long, value_name = "SPEC", help_heading = "Cargo")]
    pub deny_rebuild: Vec<String>,
    #[command(flatten)]
    pub sharing: SharingArgs,
    /// When --deny-rebuild applies: `warm` (only if the crate could have been reused) or `always`
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Cargo")]
    pub deny_rebuild_when: Option<When>,
}

impl WarmthArgs {
    /// For commands that have none of these options, but for which the variables count.
    pub(super) fn of_environment() -> Self {
        let word = |name| env_vars::get(name);
        Self {
            reuse: word(env_vars::REUSE).and_then(|word| Reuse::from_str(&word, true).ok()),
            incremental: word(env_vars::INCREMENTAL)
                .and_then(|word| Incremental::from_str(&word, true).ok()),
            ..Self::default()
        }
    }
}

/// Whether compiled crates are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Reuse {
    /// Reuse a crate if none of its inputs changed
    #[default]
    Auto,
    /// Always run rustc
    Off,
}

impl Reuse {
    /// As the variable has it.
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}

/// Whether rustc's incremental state is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Incremental {
    /// For workspace crates that take long to compile
    Auto,
    /// For all workspace crates
    True,
    /// Leave it to cargo
    #[default]
    False,
}

impl Incremental {
    /// As the variable has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::True => "true",
            Self::False => "false",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum When {
    #[default]
    Warm,
    Always,
}

/// The options in effect, from the command line and the project.
#[derive(Debug, Clone, Copy)]
pub(super) struct WarmthOptions {
    pub reuse: Reuse,
    pub incremental: Incremental,
}

impl WarmthOptions {
    pub(super) fn new(args: &WarmthArgs, project: &Project) -> Result<Self> {
        let wrong = |name: &str, text: &str, allowed: &str| UsageError {
            message: format!(
                "`{}`: `tool.pyenv-build.{name}` cannot be `{text}`",
                project.pyproject_path().display()
            ),
            hint: Some(format!("use {allowed}")),
        };
        let reuse = match (args.reuse, project.settings.reuse.as_deref()) {
            (Some(reuse), _) => reuse,
            (None, None) => Reuse::default(),
            (None, Some(text)) => Reuse::from_str(text, true)
                .map_err(|_reason| wrong("reuse", text, "`\"auto\"` or `\"off\"`"))?,
        };
        let set = project.settings.incremental.as_ref();
        let set = set.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let incremental = match (args.incremental, set.as_deref()) {
            (Some(incremental), _) => incremental,
            (None, None) => Incremental::default(),
            (None, Some(text)) => Incremental::from_str(text, true)
                .map_err(|_reason| wrong("incremental", text, "`\"auto\"`, `true` or `false`"))?,
        };
        Ok(Self { reuse, incremental })
    }
}

/// The Cargo workspace of a project. `None`: it has no Rust, or cargo cannot read it, which it will
/// say itself.
pub(super) fn cargo_workspace(
    project: &Project,
    layout: &Layout,
    ui: &Ui,
) -> Option<CargoWorkspace> {
    match project.workspace.cargo(&layout.cargo(&project.directory)) {
        Ok(workspace) => workspace,
        Err(error) => {
            ui.detail(format_args!("could not read the Cargo workspace: {error}"));
            let cargo = env_vars::get_os("CARGO").unwrap_or_else(|| "cargo".into());
            if which::which(cargo).is_err() {
                ui.warning("cargo is not on PATH: the build backend may install a Rust of its own");
            }
            None
        }
    }
}

/// The Cargo side of a project while something runs cargo.
#[derive(Debug)]
pub(super) struct Warmth {
    workspace: CargoWorkspace,
    /// The directory of the crate that the project is built from.
    main: Option<PathBuf>,
    options: WarmthOptions,
    layout: Layout,
    /// Target directories that cargo may use in addition to the workspace's own.
    others: Vec<PathBuf>,
    /// Those of other workspaces in the checkout, which were seen to with these.
    neighbours: Vec<PathBuf>,
    plan: Plan,
    /// Where cargo will run, and its `--config` options: what it finds a wrapper of the user's by.
    directory: PathBuf,
    configs: Vec<String>,
    all_crates: bool,
    /// Where the wrapper writes what it did; gone when this is.
    events: Option<tempfile::TempDir>,
    /// `None`: it could not be read.
    before: Option<Before>,
}

impl Warmth {
    /// Looks at what there is. `None`: there is no Cargo workspace that could be looked at.
    pub(super) fn begin(
        project: &Project,
        layout: &Layout,
        options: WarmthOptions,
        target_dir: Option<&Path>,
        ui: &Ui,
    ) -> Option<Self> {
        let mut workspace = cargo_workspace(project, layout, ui)?;
        if let Some(target_dir) = target_dir {
            workspace = workspace.with_target_directory(target_dir.to_path_buf());
        }
        let before = match Records::read(&workspace.build_directory) {
            Ok(records) => Some(Before::look(records)),
            Err(error) => {
                ui.warning(format_args!("compiled crates will not be reported: {error}"));
                None
            }
        };
        let main = project
            .workspace
            .manifests
            .first()
            .and_then(|manifest| Some(manifest.parent()?.to_path_buf()));
        let others = project.workspace.target_directories(&project.directory);
        let plan = survey::plan(&workspace, project);
        Some(Self {
            workspace,
            main,
            options,
            layout: layout.clone(),
            others,
            neighbours: Vec::new(),
            plan,
            directory: project.directory.clone(),
            configs: Vec::new(),
            all_crates: false,
            events: None,
            before,
        })
    }

    pub(super) fn workspace(&self) -> &CargoWorkspace {
        &self.workspace
    }

    /// Crates from registries are to be judged, too: what is compiled goes to other machines.
    pub(super) fn judge_all_crates(&mut self) {
        self.all_crates = true;
    }

    /// Other target directories that cargo will use.
    pub(super) fn also_in(&mut self, target_dirs: impl IntoIterator<Item = PathBuf>) {
        self.others.extend(target_dirs);
    }

    /// Where a command runs that will call cargo, and the `--config` options in it.
    pub(super) fn called_in(&mut self, directory: PathBuf, configs: Vec<String>) {
        (self.directory, self.configs) = (directory, configs);
    }

    /// A manifest that cargo will be told: it may be of another workspace.
    pub(super) fn also_of(&mut self, manifest: &Path, ui: &Ui) {
        if let Ok(other) = CargoWorkspace::ask(manifest)
            && other.root != self.workspace.root
        {
            settle(&self.layout, &self.workspace.root, &other, &[], &[], ui);
            self.neighbours.extend([other.target_directory, other.build_directory]);
        }
    }

    /// To be called before cargo is run: sees to it that cargo believes no target directory that
    /// came from elsewhere, and returns what cargo must be told.
    pub(super) fn ready(&mut self, ui: &Ui) -> Vec<(String, Option<String>)> {
        let root = &self.workspace.root;
        settle(&self.layout, root, &self.workspace, &self.others, &self.neighbours, ui);
        let place = (self.directory.as_path(), self.configs.as_slice());
        let mut environ: Vec<(String, Option<String>)> =
            wrapper_variables(&self.layout, &self.plan, place, ui)
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Some(value)))
                .collect();
        environ.push((env_vars::REUSE.to_owned(), Some(self.options.reuse.word().to_owned())));
        environ.push((
            env_vars::INCREMENTAL.to_owned(),
            Some(self.options.incremental.word().to_owned()),
        ));
        if self.all_crates {
            environ.push((env_vars::ALL_CRATES.to_owned(), Some("1".to_owned())));
        }
        match self.layout.temporary("units-") {
            Ok(directory) => {
                let log = directory.path().join(EVENTS).to_string_lossy().into_owned();
                environ.push((env_vars::UNITS_LOG.to_owned(), Some(log)));
                self.events = Some(directory);
            }
            Err(error) => ui.warning(format_args!("reused crates will not be reported: {error}")),
        }
        environ
    }

    /// Finds out what was compiled: after a failure as well.
    pub(super) fn end(&self, ui: &Ui) -> (Crates, StoreReport) {
        let said = match (&self.before, Records::read(&self.workspace.build_directory)) {
            (Some(before), Ok(after)) => {
                explain(before, &after, &self.workspace, self.main.as_deref())
            }
            (None, _) => Crates::default(),
            (Some(_), Err(error)) => {
                ui.warning(format_args!("could not determine which crates were compiled: {error}"));
                Crates::default()
            }
        };
        tidy(&Store::at(self.layout.store()), ui);
        let events = self
            .events
            .as_ref()
            .map(|directory| log::read(&directory.path().join(EVENTS)))
            .unwrap_or_default();
        if let Some(error) = events.iter().find_map(reuse::store_error) {
            ui.warning(format_args!(
                "could not save all compiled crates for the next build: {error}"
            ));
        }
        // Within another command of ours, its report wants to know as well.
        events.iter().for_each(Event::report);
        reuse::combine(said, &events, &self.workspace.root)
    }
}

/// Once a day, forgets what was not used lately.
fn tidy(store: &Store, ui: &Ui) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let mark = store.root().join("last-gc");
    let age = fs_err::metadata(&mark)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.elapsed().ok());
    if age.is_some_and(|age| age < DAY) || !store.root().exists() {
        return;
    }
    let is_first = age.is_none();
    if crate::units::store::put(&mark, b"").is_err() || is_first {
        return;
    }
    let used_since =
        SystemTime::now().checked_sub(upkeep::DEFAULT_AGE).unwrap_or(SystemTime::UNIX_EPOCH);
    if let Err(error) =
        upkeep::collect(store, upkeep::Keep { used_since, bytes: upkeep::DEFAULT_BYTES }, false)
    {
        ui.warning(format_args!("could not shrink the store of compiled crates: {error}"));
    }
}

/// The file of the wrapper's events.
const EVENTS: &str = "events.jsonl";

/// What makes cargo call us for each rustc, from here on and in all that this starts: in which
/// directory cargo runs, and its `--config` options, say which wrapper of the user's it would call.
pub(super) fn wrapper_variables(
    layout: &Layout,
    plan: &Plan,
    (directory, configs): (&Path, &[String]),
    ui: &Ui,
) -> Vec<(&'static str, String)> {
    let store = Store::at(layout.store());
    let program = match plan.write(&store).and_then(|()| std::env::current_exe()) {
        Ok(program) => program,
        Err(error) => {
            ui.warning(format_args!(
                "no crates are reused: cannot write to the store, or cannot find our own program: \
                    {error}"
            ));
            return Vec::new();
        }
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut variables =
        vec![("RUSTC_WRAPPER", text(&program)), (env_vars::UNITS_STORE, text(store.root()))];
    // What an earlier step of ours has exported stands behind us still.
    let is_users = |wrapper: &Path| !is_ours(wrapper, &program);
    let inner = cargo_config::rustc_wrapper(directory, configs, is_users)
        .or_else(|| env_vars::get_os(env_vars::INNER_WRAPPER).map(PathBuf::from));
    variables.extend(inner.map(|inner| (env_vars::INNER_WRAPPER, text(&inner))));
    variables
}

/// Whether a wrapper is this program, at whatever path.
fn is_ours(wrapper: &Path, program: &Path) -> bool {
    wrapper.file_stem() == program.file_stem()
        || fs::canonicalize(wrapper)
            .is_ok_and(|real| fs::canonicalize(program).is_ok_and(|own| own == real))
}
