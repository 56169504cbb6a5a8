//! What is done around everything that runs cargo: the state is looked at before, and what was compiled, and why, is found out after.
//!
//! Nothing here fails a build: without it no reasons are known.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use globset::Glob;

use super::failure::UsageError;
use crate::cargo_records::Records;
use crate::env_vars;
use crate::layout::Layout;
use crate::project::{CargoWorkspace, Project, Settings};
use crate::report::rebuilds::{Before, explain};
use crate::report::{Crates, render};
use crate::ui::Ui;

/// How cargo is kept warm, and what must not be compiled.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct WarmthArgs {
    /// Whether what rustc has made is used again [default: auto]
    #[arg(long, env = env_vars::REUSE, value_enum, value_name = "WHEN", help_heading = "Cargo")]
    pub reuse: Option<Reuse>,
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

/// Whether what rustc has made is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Reuse {
    /// Where everything that rustc would read is what it was
    #[default]
    Auto,
    /// Never: rustc is always run
    Off,
}

/// Whether rustc's incremental state is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Incremental {
    /// For crates that take long to compile
    Auto,
    /// For all crates of the workspace
    True,
    /// As cargo does it
    #[default]
    False,
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

/// What is wished, from the command line and the project.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes {
    pub reuse: Reuse,
    pub incremental: Incremental,
}

impl Wishes {
    pub(super) fn new(args: &WarmthArgs, project: &Project) -> anyhow::Result<Self> {
        let wrong = |name: &str, text: &str, allowed: &str| UsageError {
            message: format!("`{}`: `tool.pyenv-build.{name}` is `{text}`", project.pyproject_path().display()),
            hint: Some(format!("it can be {allowed}")),
        };
        let reuse = match (args.reuse, project.settings.reuse.as_deref()) {
            (Some(reuse), _) => reuse,
            (None, None) => Reuse::default(),
            (None, Some(text)) => Reuse::from_str(text, true).map_err(|_reason| wrong("reuse", text, "`\"auto\"` or `\"off\"`"))?,
        };
        let set = project.settings.incremental.as_ref();
        let set = set.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let incremental = match (args.incremental, set.as_deref()) {
            (Some(incremental), _) => incremental,
            (None, None) => Incremental::default(),
            (None, Some(text)) => {
                Incremental::from_str(text, true).map_err(|_reason| wrong("incremental", text, "`\"auto\"`, `true` or `false`"))?
            }
        };
        Ok(Self { reuse, incremental })
    }
}

/// The Cargo workspace of a project. `None`: it has no Rust, or cargo cannot read it, which it will say itself.
pub(super) fn cargo_workspace(project: &Project, layout: &Layout, ui: &Ui) -> Option<CargoWorkspace> {
    match project.workspace.cargo(&layout.cargo(&project.directory)) {
        Ok(workspace) => workspace,
        Err(error) => {
            ui.detail(format_args!("nothing is known of the Cargo workspace: {error}"));
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
    wishes: Wishes,
    /// `None`: it could not be read.
    before: Option<Before>,
}

impl Warmth {
    /// Looks at what there is. `None`: there is no Cargo workspace that could be looked at.
    pub(super) fn begin(project: &Project, layout: &Layout, wishes: Wishes, target_dir: Option<&Path>, ui: &Ui) -> Option<Self> {
        let mut workspace = cargo_workspace(project, layout, ui)?;
        if let Some(target_dir) = target_dir {
            workspace = workspace.with_target_directory(target_dir.to_path_buf());
        }
        let before = match Records::read(&workspace.build_directory) {
            Ok(records) => Some(Before::look(records)),
            Err(error) => {
                ui.warning(format_args!("it will not be known what is compiled: {error}"));
                None
            }
        };
        let main = project.workspace.manifests.first().and_then(|manifest| Some(manifest.parent()?.to_path_buf()));
        Some(Self { workspace, main, wishes, before })
    }

    pub(super) fn workspace(&self) -> &CargoWorkspace {
        &self.workspace
    }

    /// To be called before cargo is run: what it must be told.
    pub(super) fn ready(&self, ui: &Ui) -> Vec<(String, Option<String>)> {
        ui.debug(format_args!("reuse is {:?}, incremental is {:?}", self.wishes.reuse, self.wishes.incremental));
        Vec::new()
    }

    /// Finds out what was compiled: after a failure as well.
    pub(super) fn end(&self, ui: &Ui) -> Crates {
        let Some(before) = &self.before else { return Crates::default() };
        match Records::read(&self.workspace.build_directory) {
            Ok(after) => explain(before, &after, &self.workspace, self.main.as_deref()),
            Err(error) => {
                ui.warning(format_args!("it is not known what was compiled: {error}"));
                Crates::default()
            }
        }
    }
}
