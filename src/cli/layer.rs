//! `layer pack|unpack`: the workspace layer by hand, in any Cargo workspace.

use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::MessageFormat;
use super::failure::UsageError;
use super::freshness::{OfArgs, keeper_of};
use crate::layer;
use crate::ui::Ui;

/// Stages what belongs to the workspace's own packages where caches' cleaning does not reach, or puts it back.
#[derive(Debug, Clone, Args)]
pub(super) struct LayerArgs {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Action {
    /// Stage the state that the ledger was written of, by hard links
    Pack(OfArgs),
    /// Put back what is missing and was built with the dependencies that are there
    Unpack(OfArgs),
}

pub(super) fn run(args: &LayerArgs, root: Option<&Path>, format: MessageFormat, ui: &Ui) -> anyhow::Result<()> {
    let (Action::Pack(of) | Action::Unpack(of)) = &args.action;
    let (keeper, layout) = keeper_of(of, root)?;
    let outcome = match &args.action {
        Action::Pack(_) => {
            let ledger = keeper.ledger().ok_or_else(|| UsageError {
                message: format!("nothing is recorded of `{}`", keeper.build_directory.display()),
                hint: Some("run `cargo pyenv-build freshness record` after cargo has run".to_owned()),
            })?;
            let records = keeper.records()?;
            layer::pack(&keeper, &layout, &ledger, &records, &crate::incremental::states(&keeper.build_directory, &records))
        }
        Action::Unpack(_) => layer::unpack(&keeper, &layout, true),
    };
    let outcome = outcome.with_context(|| format!("the layer is in `{}`", layer::directory(&keeper, &layout).display()))?;
    match format {
        MessageFormat::Human => ui.result(format!("{} units, {} files, {} bytes", outcome.units, outcome.files, outcome.bytes)),
        MessageFormat::Json => {
            ui.result(serde_json::json!({"units": outcome.units, "files": outcome.files, "bytes": outcome.bytes}).to_string());
        }
    }
    Ok(())
}
