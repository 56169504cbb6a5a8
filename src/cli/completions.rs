//! `completions`: shell completion scripts.

use clap::{Args, Command};
use clap_complete::Shell;

/// Prints a completion script for a shell.
#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut command: Command) {
    // Shells complete programs; `cargo pyenv-build` is cargo's to complete.
    clap_complete::generate(args.shell, &mut command, "cargo-pyenv-build", &mut std::io::stdout());
}
