//! `run -- CMD`: any command, with the pins and the build environment first on PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::environment::{self, Ask, Sessions, Target};
use super::options::{Context, EnvironmentArgs};
use super::{directory_or_here, env};
use crate::interrupt;
use crate::process::Cmd;
use crate::ui::Ui;

/// Runs a command so that cargo agrees with the wheel build: `run -- cargo test`.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArgs {
    /// The project [default: here]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Returns the command's own exit code.
pub(super) fn run(args: &RunArgs, root: Option<&Path>, ui: &Ui) -> anyhow::Result<u8> {
    let context = Context::open(directory_or_here(args.project.as_deref()), root, &args.environment, ui)?;
    let build_env = environment::provision(&context, Target::Wheel, Ask::WhenUnknown, &mut Sessions::new(ui), &mut Vec::new())?;
    let pins = env::pins_in(&context, &build_env)?;
    let (program, rest) = args.command.split_first().expect("clap demands one");
    let mut command = Cmd::new(program).args(rest);
    for (name, value) in environment::environment_of(&build_env).into_iter().chain(pins.environ()) {
        command = match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    ui.detail(command.display());
    // In our own process group: it is the terminal's foreground, and gets Ctrl-C from there as we do.
    let status = command.spawn_foreground()?;
    Ok(match status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => interrupt::exit_code_of(status),
    })
}
