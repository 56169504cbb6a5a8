//! `provision`: the environment only.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueHint};

use super::environment::{self, Sessions, Target};
use super::failure::Result;
use super::options::{Context, EnvironmentArgs};
use super::{MessageFormat, directory_or_here};
use crate::report::{EnvReport, InterpreterReport, Report, round};
use crate::ui::Ui;

/// Create the build environment if needed, and print the path of its python
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    \"$(cargo pyenv-build provision)\" -c 'import maturin; print(maturin)'  run something in the build environment")]
pub(super) struct ProvisionArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

pub(super) fn run(
    args: &ProvisionArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    let start = Instant::now();
    let context =
        Context::open(directory_or_here(args.directory.as_deref()), root, &args.environment, ui)?;
    let mut report = Report::new("provision");
    let env =
        environment::provision(&context, Target::Wheel, &mut Sessions::new(ui), &mut report.hooks)?;
    if let Err(error) = environment::write_roll(&context, &env) {
        // It is for caches of GitHub's only.
        ui.warning(format_args!(
            "rust-cache's key will not change with the build environment: {error}"
        ));
    }
    match format {
        MessageFormat::Human => ui.result(env.python.display()),
        MessageFormat::Json => {
            report.project = Some(context.project.directory.clone());
            report.interpreter = Some(InterpreterReport::from(&context.interpreter));
            report.env = Some(EnvReport::from(&env));
            report.seconds = round(start.elapsed().as_secs_f64());
            ui.result(
                serde_json::to_string(&report).expect("our own plain data always serialises"),
            );
        }
    }
    Ok(())
}
