//! What is done around everything that runs cargo: the layer and the dates are put back before, and what was compiled, and why,
//! is found out and written down after.
//!
//! Nothing here fails a build: without it cargo compiles more, and no reasons are known.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use globset::Glob;

use super::failure::UsageError;
use crate::build_dirs::{self, Place};
use crate::cargo_records::Records;
use crate::freshness::{ColdSeconds, Keeper, Mode, Restored, Tree, is_supported};
use crate::incremental::{self, Incremental, Kept};
use crate::layout::Layout;
use crate::project::{Project, Settings};
use crate::report::rebuilds::{Before, explain};
use crate::report::{Crates, FreshnessReport, render, round};
use crate::ui::Ui;
use crate::{env_vars, layer};

/// How cargo is kept warm, and what must not be compiled.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct WarmthArgs {
    /// What counts as an input of crates when dates are restored [default: auto]
    #[arg(long, env = env_vars::FRESHNESS, value_enum, value_name = "MODE", help_heading = "Cargo")]
    pub freshness: Option<Mode>,
    /// Keep rustc's incremental state of the workspace's crates: for tests, not for wheels that are published [default: false]
    #[arg(long, env = env_vars::INCREMENTAL, value_enum, value_name = "WHEN", help_heading = "Cargo")]
    pub incremental: Option<Incremental>,
    /// Fail with code 3 if such a crate was compiled: `all`, `deps`, `workspace` or a pattern for names; can be repeated
    #[arg(long, value_name = "SPEC", help_heading = "Cargo")]
    pub deny_rebuild: Vec<String>,
    /// When --deny-rebuild counts: `warm`, if there was a state that it could have been taken from, or `always`
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Cargo")]
    pub deny_rebuild_when: Option<When>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum When {
    #[default]
    Warm,
    Always,
}

/// Crates that must not be compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget {
    specs: Vec<Spec>,
    when: When,
}

#[derive(Debug, Clone)]
enum Spec {
    All,
    Deps,
    Workspace,
    Name(globset::GlobMatcher),
}

/// `--deny-rebuild` tripped.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct RebuildDenied {
    message: String,
}

impl Budget {
    pub(super) fn new(args: &WarmthArgs, settings: &Settings) -> anyhow::Result<Self> {
        let invalid = |message: String, hint: &str| UsageError { message, hint: Some(hint.to_owned()) };
        let texts = if args.deny_rebuild.is_empty() { &settings.deny_rebuild } else { &args.deny_rebuild };
        let spec = |text: &String| match text.as_str() {
            "all" => Ok(Spec::All),
            "deps" => Ok(Spec::Deps),
            "workspace" => Ok(Spec::Workspace),
            pattern => Glob::new(pattern).map(|glob| Spec::Name(glob.compile_matcher())).map_err(|error| {
                invalid(
                    format!("`{pattern}` is not a pattern for names of crates: {}", error.kind()),
                    "write `all`, `deps`, `workspace` or such as 'pyo3*'",
                )
            }),
        };
        let when = match (args.deny_rebuild_when, settings.deny_rebuild_when.as_deref()) {
            (Some(when), _) => when,
            (None, None | Some("warm")) => When::Warm,
            (None, Some("always")) => When::Always,
            (None, Some(other)) => {
                return Err(invalid(format!("`tool.pyenv-build.deny-rebuild-when` is `{other}`"), "it can be `warm` or `always`").into());
            }
        };
        Ok(Self { specs: texts.iter().map(spec).collect::<Result<_, _>>()?, when })
    }

    /// Whether what was compiled may have been.
    pub(super) fn check(&self, crates: &Crates) -> Result<(), RebuildDenied> {
        let counts = |one: &&crate::report::CompiledCrate| {
            let matches = self.specs.iter().any(|spec| match spec {
                Spec::All => true,
                Spec::Deps => !one.workspace,
                Spec::Workspace => one.workspace,
                Spec::Name(glob) => glob.is_match(&one.name),
            });
            matches && (self.when == When::Always || one.reason.had_previous_state())
        };
        let denied: Vec<_> = crates.compiled.iter().filter(counts).collect();
        let Some(first) = denied.first() else { return Ok(()) };
        // Where it began, which may be a crate that could be compiled.
        let causes: Vec<String> = crates
            .compiled
            .iter()
            .filter(|one| one.root_cause && one.reason.had_previous_state())
            .map(|one| format!("\n  {} v{}: {}", one.name, one.version, render::because(one)))
            .collect();
        let causes =
            if causes.is_empty() { format!("\n  {} v{}: {}", first.name, first.version, render::because(first)) } else { causes.concat() };
        let names: Vec<&str> = denied.iter().map(|one| one.name.as_str()).collect();
        let message = format!("compiled what --deny-rebuild forbids: {}{causes}", names.join(", "));
        Err(RebuildDenied { message })
    }
}

/// The Cargo side of a project while something runs cargo.
#[derive(Debug)]
pub(super) struct Warmth {
    keeper: Keeper,
    /// What the keeper has its tree by, if that is a memory which cargo has not confirmed yet.
    unconfirmed: Option<Unconfirmed>,
    layout: Layout,
    place: Place,
    before: Option<Before>,
    restored: Restored,
    main: Option<PathBuf>,
    incremental: Incremental,
    /// Incremental state that was there before.
    states: Vec<PathBuf>,
    spent: Duration,
}

#[derive(Debug)]
struct Unconfirmed {
    memory: Tree,
    asked: std::thread::JoinHandle<Result<Tree, crate::freshness::Error>>,
}

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub crates: Crates,
    pub freshness: FreshnessReport,
    pub incremental: Vec<Kept>,
    /// Something could not be compiled or linked.
    pub is_unfinished: bool,
}

/// What is wished, from the command line and the project.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes {
    pub mode: Mode,
    pub incremental: Incremental,
}

impl Wishes {
    pub(super) fn new(args: &WarmthArgs, project: &Project) -> anyhow::Result<Self> {
        let set = project.settings.incremental.as_ref();
        let text = set.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let incremental = match (args.incremental, text) {
            (Some(incremental), _) => incremental,
            (None, None) => Incremental::default(),
            (None, Some(text)) => Incremental::from_str(&text, true).map_err(|_reason| UsageError {
                message: format!("`{}`: `tool.pyenv-build.incremental` is `{text}`", project.pyproject_path().display()),
                hint: Some("it can be `\"auto\"`, `true` or `false`".to_owned()),
            })?,
        };
        Ok(Self { mode: mode_of(args, project)?, incremental })
    }
}

/// What counts, from the command line and the project.
pub(super) fn mode_of(args: &WarmthArgs, project: &Project) -> anyhow::Result<Mode> {
    let mode = match (args.freshness, project.settings.freshness.as_deref()) {
        (Some(mode), _) => mode,
        (None, None) => Mode::default(),
        (None, Some(text)) => Mode::from_str(text, true).map_err(|_reason| UsageError {
            message: format!("`{}`: `tool.pyenv-build.freshness` is `{text}`", project.pyproject_path().display()),
            hint: Some("it can be `auto`, `declared`, `strict` or `off`".to_owned()),
        })?,
    };
    Ok(mode)
}

/// The Cargo workspace of a project, by memory or by asking cargo. `None`: it has no Rust.
pub(super) fn tree_of(project: &Project, layout: &Layout) -> Result<Option<Tree>, crate::freshness::Error> {
    let Some(manifest) = project.workspace.manifests.first() else { return Ok(None) };
    let remembered = project.workspace.cargo_root.as_deref().and_then(|root| Keeper::remembered(layout, root));
    remembered.map_or_else(|| Tree::of_manifest(manifest), Ok).map(Some)
}

/// What is built where environments take turns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    /// The environment's directory's name.
    pub environment: &'a str,
    /// The profile of programs that embed Python, if it is those.
    pub embedding: Option<&'a str>,
}

impl Unconfirmed {
    /// On a fresh machine the layer alone remembers the workspace, and cargo, when it is asked, unpacks the sources of every dependency:
    /// it does so beside what else there is to do.
    fn ask(project: &Project, layout: &Layout) -> Option<Self> {
        let root = project.workspace.cargo_root.as_deref().filter(|root| Keeper::remembered(layout, root).is_none())?;
        let memory = Keeper::remembered_by_layer(layout, root)?;
        let manifest = project.workspace.manifests.first()?.clone();
        Some(Self { memory, asked: std::thread::spawn(move || Tree::of_manifest(&manifest)) })
    }
}

impl Warmth {
    /// Puts back what there is. `None`: the project has no Rust, or cargo cannot read it, which it will say itself.
    pub(super) fn begin(
        project: &Project,
        layout: &Layout,
        wishes: Wishes,
        target_dir: Option<&Path>,
        turn: Option<Turn<'_>>,
        ui: &Ui,
    ) -> Option<Self> {
        let started = Instant::now();
        let unconfirmed = Unconfirmed::ask(project, layout);
        let tree = match unconfirmed.as_ref().map_or_else(|| tree_of(project, layout), |asked| Ok(Some(asked.memory.clone()))) {
            Ok(tree) => tree?,
            Err(error) => {
                ui.detail(format_args!("dates are not restored: {error}"));
                return None;
            }
        };
        let tree = match target_dir {
            Some(target_dir) => tree.with_target_directory(target_dir.to_path_buf()),
            None => tree,
        };
        let (place, records) = match turn {
            Some(Turn { environment, embedding }) if tree.has_build_directory && tree.build_directory == tree.target_directory => {
                let records = Records::read(&tree.build_directory).ok();
                let place = records.as_ref().map_or(Ok(Place::Default), |records| match embedding {
                    Some(profile) => build_dirs::choose_embedding(layout, records, environment, profile),
                    None => build_dirs::choose(layout, records, environment),
                });
                let place = place.unwrap_or_else(|error| {
                    ui.warning(format_args!("environments share one build directory: {error}"));
                    Place::Default
                });
                let records = records.filter(|_| place == Place::Default);
                (place, records)
            }
            _ => (Place::Default, None),
        };
        let main = project.workspace.manifests.first().and_then(|manifest| Some(manifest.parent()?.to_path_buf()));
        let mut warmth = Self::at(tree, place, layout, wishes, project, main);
        warmth.unconfirmed = unconfirmed;
        warmth.restore(records, ui);
        warmth.spent = started.elapsed();
        Some(warmth)
    }

    fn at(tree: Tree, place: Place, layout: &Layout, wishes: Wishes, project: &Project, main: Option<PathBuf>) -> Self {
        let directory = match &place {
            Place::Default => tree.build_directory.clone(),
            Place::Own(directory) => directory.clone(),
        };
        let keeper = Keeper::new(tree, directory, layout, wishes.mode, project.settings.inputs.clone(), &project.directory);
        Self {
            keeper,
            unconfirmed: None,
            layout: layout.clone(),
            place,
            before: None,
            restored: Restored::default(),
            main,
            incremental: wishes.incremental,
            states: Vec::new(),
            spent: Duration::ZERO,
        }
    }

    /// The workspace, unless that is a memory which cargo has yet to confirm.
    pub(super) fn confirmed_tree(&self) -> Option<&Tree> {
        self.unconfirmed.is_none().then_some(&self.keeper.tree)
    }

    fn is_off(&self) -> bool {
        self.keeper.mode == Mode::Off || !is_supported()
    }

    /// `records`: of the build directory, if they have been read.
    fn restore(&mut self, records: Option<Records>, ui: &Ui) {
        let mut records = records;
        if self.is_off() {
            let why = if is_supported() { "as it is wished" } else { "this system has no dates of change" };
            ui.detail(format_args!("dates are not restored: {why}"));
        } else {
            match layer::unpack(&self.keeper, &self.layout, self.unconfirmed.is_none()) {
                Ok(outcome) if outcome == layer::Outcome::default() => {}
                Ok(_) => records = None,
                Err(error) => {
                    ui.warning(format_args!("the workspace layer was not put back: {error}"));
                    records = None;
                }
            }
        }
        let records = match records.map_or_else(|| self.keeper.records(), Ok) {
            Ok(records) => records,
            Err(error) => {
                ui.warning(format_args!("nothing is restored: {error}"));
                return;
            }
        };
        self.states = incremental::states(&self.keeper.build_directory, &records);
        if !self.is_off() {
            match self.keeper.restore(&records) {
                Ok(restored) => self.restored = restored,
                Err(error) => ui.warning(format_args!("nothing is restored: {error}")),
            }
        }
        self.before = Some(Before::look(records));
        if self.is_off() {
            return;
        }
        if let Some(by) = self.restored.shifted {
            let by = Duration::from_nanos(by.unsigned_abs());
            ui.detail(format_args!("what cargo built was dated in the future: moved back by {}", humantime::format_duration(by)));
        }
        let plan = &self.restored.plan;
        ui.detail(format_args!(
            "dates of inputs: {} put back, {} as they were, {} inputs changed, {} units invalidated",
            plan.restore.len(),
            plan.unchanged,
            plan.changed.len(),
            plan.invalidate.len()
        ));
        for (key, cause) in &plan.invalidate {
            ui.debug(format_args!("invalidated {key}: {cause}"));
        }
    }

    /// To be called before cargo is run: makes sure that what was restored may be, and returns what cargo must be told.
    pub(super) fn ready(&mut self, ui: &Ui) -> Vec<(String, Option<String>)> {
        if let Some(Unconfirmed { memory, asked }) = self.unconfirmed.take() {
            match asked.join().expect("asking does not panic") {
                Ok(tree) if tree == memory => {
                    if let Err(error) = self.keeper.confirm(&mut self.restored) {
                        ui.detail(format_args!("cargo will be asked again: {error}"));
                    }
                }
                Ok(tree) => self.distrust(tree, "the workspace layer is of another workspace", ui),
                Err(error) => self.distrust(memory, &error, ui),
            }
        }
        let mut environ = Vec::new();
        if let Place::Own(directory) = &self.place {
            environ.push((build_dirs::VARIABLE.to_owned(), Some(directory.to_string_lossy().into_owned())));
        }
        if self.incremental != Incremental::False {
            environ.push((incremental::VARIABLE.to_owned(), Some("1".to_owned())));
        }
        environ
    }

    fn distrust(&mut self, tree: Tree, because: impl std::fmt::Display, ui: &Ui) {
        ui.warning(format_args!("what is in the workspace is compiled again: {because}"));
        let target_directory = self.keeper.tree.target_directory.clone();
        let tree = if self.keeper.tree.is_told { tree.with_target_directory(target_directory) } else { tree };
        if let Err(error) = self.keeper.distrust(tree) {
            ui.warning(format_args!("not all of it could be marked: {error}"));
        }
        self.restored = Restored::default();
    }

    /// Finds out what was compiled, and writes down the state: after a failure as well.
    pub(super) fn end(&mut self, ui: &Ui) -> Found {
        let started = Instant::now();
        let mut found = Found::default();
        let records = match self.keeper.records() {
            Ok(records) => records,
            Err(error) => {
                ui.warning(format_args!("it is not known what was compiled: {error}"));
                return found;
            }
        };
        if let Some(before) = &self.before {
            found.crates = explain(before, &records, &self.keeper.tree, &self.restored, self.main.as_deref());
        }
        found.is_unfinished = records.units.values().any(|unit| unit.invoked.is_some() && unit.fingerprint.len() != 16);
        let mut cold = self.restored.ledger.as_ref().map(|ledger| ledger.cold_seconds.clone()).unwrap_or_default();
        if let Some(before) = &self.before {
            found.incremental = incremental::tidy(self.incremental, &before.records, &records, &self.states, &self.keeper.tree, &mut cold);
        }
        for kept in &found.incremental {
            let took = kept.seconds.filter(|seconds| *seconds < kept.cold_seconds);
            let took = took.map_or_else(String::new, |seconds| format!(" took {seconds:.1}s instead of {:.1}s;", kept.cold_seconds));
            ui.status("Incremental", format_args!("{}:{took} its state is {}", kept.name, indicatif::HumanBytes(kept.size_bytes)));
        }
        if !self.is_off() {
            let states: Vec<PathBuf> = found.incremental.iter().map(|kept| kept.directory.clone()).collect();
            self.record(&records, &cold, &states, ui);
        }
        self.spent += started.elapsed();
        let plan = &self.restored.plan;
        found.freshness = FreshnessReport {
            inputs: plan.inputs as u64,
            restored: plan.restore.len() as u64,
            unchanged: plan.unchanged as u64,
            changed: plan.changed.len() as u64,
            seconds: round(self.spent.as_secs_f64()),
        };
        found
    }

    fn record(&mut self, records: &Records, cold: &ColdSeconds, states: &[PathBuf], ui: &Ui) {
        // Members that were added, or other dependencies, since cargo was asked.
        if let Some(manifest) = self.main.as_ref().map(|main| main.join("Cargo.toml"))
            && self.restored.ledger.as_ref().is_none_or(|ledger| ledger.manifests != self.keeper.tree.manifests_digest())
            && let Ok(tree) = Tree::of_manifest(&manifest)
        {
            let target_directory = self.keeper.tree.target_directory.clone();
            self.keeper.tree = tree.with_target_directory(target_directory);
        }
        let before = self.before.as_ref().map(|before| &before.records);
        let ledger = match before.and_then(|before| self.restored.still_holds(&self.keeper, before, records, cold)) {
            Some(ledger) => Ok(Cow::Borrowed(ledger)),
            None => self.keeper.record(records, Some(&self.restored), cold).map(Cow::Owned),
        };
        match ledger {
            Ok(ledger) => {
                if let Err(error) = layer::pack(&self.keeper, &self.layout, &ledger, records, states) {
                    ui.warning(format_args!("the workspace layer was not staged: {error}"));
                }
            }
            Err(error) => ui.warning(format_args!("the state was not written down, the next fresh checkout compiles more: {error}")),
        }
    }
}
