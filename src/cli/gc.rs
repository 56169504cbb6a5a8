//! `gc`: removes environments that nobody uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};

use super::failure::Result;
use super::{MessageFormat, directory_or_here, options};
use crate::build_env::gc::{Collected, Keep, collect};
use crate::ui::Ui;

/// Remove build environments that were not used recently.
///
/// Environments that an editable install of `develop` may need are kept as long as the install
/// exists.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build gc --dry-run                    show what would be removed\n  \
    cargo pyenv-build gc --keep 1 --used-within 1day  keep few environments")]
pub(super) struct GcArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Number of most recently used environments to keep per ABI tag
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub keep: usize,
    /// Keep environments that were used within this time
    #[arg(long, default_value = "14days", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub used_within: Duration,
    /// Show what would be removed, without removing it
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) fn run(
    args: &GcArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    let layout = options::open_layout(directory_or_here(args.directory.as_deref()), root)?;
    let Collected { removed, kept } = collect(
        &layout,
        Keep { newest: args.keep, used_within: args.used_within },
        args.dry_run,
        ui,
    )?;
    match format {
        MessageFormat::Json => {
            let list: Vec<_> = removed
                .iter()
                .map(|one| serde_json::json!({"path": one.path, "reason": one.reason}))
                .collect();
            let kept: Vec<_> = kept
                .iter()
                .map(|one| serde_json::json!({"path": one.path, "reason": one.reason}))
                .collect();
            ui.result(serde_json::json!({
                "schema": 1, "command": "gc", "ok": true, "dry_run": args.dry_run, "removed": list, "kept": kept,
            }));
        }
        MessageFormat::Human => {
            let verb = if args.dry_run { "Would remove" } else { "Removed" };
            for one in &removed {
                ui.status(verb, format_args!("{} ({})", one.path.display(), one.reason));
            }
            for one in &kept {
                ui.status("Kept", format_args!("{} ({})", one.path.display(), one.reason));
            }
            if removed.is_empty() && kept.is_empty() {
                ui.status("Kept", "all environments");
            }
        }
    }
    Ok(())
}
