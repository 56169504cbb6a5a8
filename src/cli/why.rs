//! `why`: the last report, in words, and what plain cargo has done since.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueHint};

use super::failure::{Result, UsageError};
use super::{MessageFormat, directory_or_here, options};
use crate::interpreter;
use crate::layout::Layout;
use crate::project::Project;
use crate::report::{Crates, Report, render, reuse};
use crate::ui::Ui;
use crate::units::log::{self, Event};
use crate::units::store::Store;

/// Show which crates the last build compiled, and why
#[derive(Debug, Clone, Args)]
pub(super) struct WhyArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Fail unless the last build was for this interpreter: a path, a name, or a version such as
    /// 3.12
    #[arg(short, long, value_name = "PYTHON")]
    pub python: Option<String>,
}

pub(super) fn run(
    args: &WhyArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    let project = Project::load_any(directory_or_here(args.directory.as_deref()))?;
    let layout = options::layout_of(&project, root)?;
    let path = layout.last_report();
    let Some(mut report) = Report::read(&path) else {
        return Err(UsageError {
            message: format!("no report found at `{}`", path.display()),
            hint: Some("build the project first: `cargo pyenv-build`".to_owned()),
        }
        .into());
    };
    if let (Some(python), Some(built)) = (&args.python, &report.interpreter) {
        let wanted = interpreter::discover(
            &options::wanted(&project, Some(python)),
            &layout.interpreters(),
        )?
        .identity;
        if wanted.abi_tag() != built.abi_tag {
            return Err(UsageError {
                message: format!(
                    "the last build was for {}, not for {}",
                    built.abi_tag,
                    wanted.abi_tag()
                ),
                hint: Some(format!("only the last report is kept: build again with `-p {python}`")),
            }
            .into());
        }
    }
    report.since = since(&path, &layout, report.project.as_deref().unwrap_or(Path::new("")));
    match format {
        MessageFormat::Human => ui.result(render::why(&report)),
        MessageFormat::Json => {
            ui.result(
                serde_json::to_string(&report).expect("our own plain data always serialises"),
            );
        }
    }
    Ok(())
}

/// What the wrapper did for plain cargo after the report was written, if anything.
fn since(report: &Path, layout: &Layout, root: &Path) -> Option<Crates> {
    let written = fs_err::metadata(report)
        .ok()?
        .modified()
        .ok()?
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?
        .as_secs_f64();
    let events = log::read(&log::path_of(&Store::at(layout.store())));
    let events: Vec<Event> =
        events.into_iter().filter(|event| !event.is_reported && event.at > written).collect();
    (!events.is_empty()).then(|| reuse::combine(Crates::default(), &events, root).0)
}
