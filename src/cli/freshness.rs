//! `freshness restore|record|status`: the ledger by hand, in any Cargo workspace.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use serde::Serialize;

use super::warmth::{self, WarmthArgs};
use super::{MessageFormat, directory_or_here, options};
use crate::build_dirs::Place;
use crate::cargo_records::Records;
use crate::freshness::{Keeper, Mode, Plan, is_supported};
use crate::project::Project;
use crate::ui::Ui;
use crate::{build_dirs, layer};

/// Restores, records or shows what cargo's inputs were: for jobs that run cargo themselves, between checkout and cargo, and after.
#[derive(Debug, Clone, Args)]
pub(super) struct FreshnessArgs {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Action {
    /// Give inputs that are as recorded their dates back, and make cargo compile what cannot be vouched for
    Restore(OfArgs),
    /// Write down what the inputs are, after cargo has run
    Record(OfArgs),
    /// Say, per input that differs, what and why it matters
    Status(OfArgs),
}

#[derive(Debug, Clone, Args)]
pub(super) struct OfArgs {
    /// The project, or any directory of a Cargo workspace [default: here]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Cargo's target directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub target_dir: Option<PathBuf>,
    /// The build directory of this environment, such as cp312-1a2b3c4d5e6f, where several alternate
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// What counts as an input of crates [default: auto]
    #[arg(long, env = crate::env_vars::FRESHNESS, value_enum, value_name = "MODE")]
    pub freshness: Option<Mode>,
}

/// The keeper of a directory, and our directory there.
pub(super) fn keeper_of(args: &OfArgs, root: Option<&Path>) -> anyhow::Result<(Keeper, crate::layout::Layout)> {
    let project = Project::load_any(directory_or_here(args.directory.as_deref()))?;
    let layout = options::layout_of(&project, root)?;
    let warmth_args = WarmthArgs { freshness: args.freshness, ..WarmthArgs::default() };
    let mode = warmth::mode_of(&warmth_args, &project)?;
    let Some(mut tree) = warmth::tree_of(&project, &layout)? else {
        return Err(super::failure::UsageError {
            message: format!("`{}` has no Cargo.toml", project.directory.display()),
            hint: Some("there are no dates to keep without one".to_owned()),
        }
        .into());
    };
    if let Some(target_dir) = &args.target_dir {
        tree = tree.with_target_directory(crate::fs::absolute(target_dir)?);
    }
    let place = match &args.environment {
        Some(name) => build_dirs::find(&layout, &Records::read(&tree.build_directory).map_err(crate::freshness::Error::from)?, name),
        None => None,
    };
    let directory = match place {
        Some(Place::Own(directory)) => directory,
        _ => tree.build_directory.clone(),
    };
    Ok((Keeper::new(tree, directory, &layout, mode, project.settings.inputs.clone(), &project.directory), layout))
}

/// What `status` says, as JSON; `restore` and `record` say their part of it.
#[derive(Debug, Default, Serialize)]
struct Status {
    /// Whether there is a ledger of a form that we know.
    recorded: bool,
    build_directory: PathBuf,
    mode: Mode,
    units: usize,
    inputs: usize,
    /// Inputs whose date is to be put back, or was.
    restored: usize,
    unchanged: usize,
    changed: Vec<PathBuf>,
    invalidated: Vec<Invalidated>,
}

#[derive(Debug, Serialize)]
struct Invalidated {
    unit: String,
    because: String,
}

pub(super) fn run(args: &FreshnessArgs, root: Option<&Path>, format: MessageFormat, ui: &Ui) -> anyhow::Result<()> {
    let (Action::Restore(of) | Action::Record(of) | Action::Status(of)) = &args.action;
    let (keeper, layout) = keeper_of(of, root)?;
    let mut status = Status { build_directory: keeper.build_directory.clone(), mode: keeper.mode, ..Status::default() };
    if !is_supported() || keeper.mode == Mode::Off {
        let why = if is_supported() {
            "freshness is `off`"
        } else {
            "this system has no dates of change, without which replaced content goes unseen"
        };
        ui.warning(format_args!("no dates are kept: {why}"));
        return Ok(());
    }
    let plan = match &args.action {
        Action::Restore(_) => {
            layer::unpack(&keeper, &layout, true)?;
            let restored = keeper.restore(&keeper.records()?)?;
            keeper.remember(&restored)?;
            status.recorded = restored.ledger.is_some();
            status.units = restored.ledger.map_or(0, |ledger| ledger.units.len());
            restored.plan
        }
        Action::Status(_) => match keeper.ledger() {
            Some(ledger) => {
                status.recorded = true;
                status.units = ledger.units.len();
                keeper.plan(&ledger, &keeper.records()?)?
            }
            None => Plan::default(),
        },
        Action::Record(_) => {
            let cold_seconds = keeper.ledger().map(|ledger| ledger.cold_seconds).unwrap_or_default();
            let records = keeper.records()?;
            let ledger = keeper.record(&records, None, &cold_seconds)?;
            layer::pack(&keeper, &layout, &ledger, &records, &crate::incremental::states(&keeper.build_directory, &records))?;
            status.recorded = true;
            status.units = ledger.units.len();
            status.inputs = ledger.files.len();
            Plan::default()
        }
    };
    if !matches!(args.action, Action::Record(_)) {
        status.inputs = plan.inputs;
    }
    status.restored = plan.restore.len();
    status.unchanged = plan.unchanged;
    status.changed = plan.changed.iter().cloned().collect();
    status.invalidated =
        plan.invalidate.iter().map(|(unit, cause)| Invalidated { unit: unit.clone(), because: cause.to_string() }).collect();
    match format {
        MessageFormat::Json => ui.result(serde_json::to_string(&status).expect("our own plain data always serialises")),
        MessageFormat::Human => ui.result(render(&args.action, &status)),
    }
    Ok(())
}

fn render(action: &Action, status: &Status) -> String {
    let directory = status.build_directory.display();
    if !status.recorded {
        return format!("nothing is recorded of {directory}: cargo judges by itself");
    }
    if matches!(action, Action::Record(_)) {
        return format!("recorded {} inputs of {} units in {directory}", status.inputs, status.units);
    }
    let verb = if matches!(action, Action::Restore(_)) { "put back" } else { "to put back" };
    let mut text = format!(
        "{} inputs of {directory}: {} dates {verb}, {} as they were, {} changed",
        status.inputs,
        status.restored,
        status.unchanged,
        status.changed.len()
    );
    for path in &status.changed {
        let _ = write!(text, "\n  changed: {}", path.display());
    }
    for one in &status.invalidated {
        let _ = write!(text, "\n  compiled again: {}: {}", one.unit, one.because);
    }
    text
}
