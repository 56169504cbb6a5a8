//! `why`: the last report, in words.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::failure::UsageError;
use super::{MessageFormat, directory_or_here, options};
use crate::report::{Report, render};
use crate::ui::Ui;

/// Says which crates the last build compiled, and why as far as cargo said.
#[derive(Debug, Clone, Args)]
pub(super) struct WhyArgs {
    /// The project
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
}

pub(super) fn run(args: &WhyArgs, root: Option<&Path>, format: MessageFormat, ui: &Ui) -> anyhow::Result<()> {
    let layout = options::open_layout(directory_or_here(args.directory.as_deref()), root)?;
    let path = layout.last_report();
    let Some(report) = Report::read(&path) else {
        return Err(UsageError {
            message: format!("there is no report at `{}`", path.display()),
            hint: Some("build first: `cargo pyenv-build`".to_owned()),
        }
        .into());
    };
    match format {
        MessageFormat::Human => ui.result(render::why(&report)),
        MessageFormat::Json => ui.result(serde_json::to_string(&report).expect("our own plain data always serialises")),
    }
    Ok(())
}
