//! `completions`: shell completion scripts.

use std::io::Write as _;

use clap::{Args, Command};
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build completions bash > ~/.local/share/bash-completion/completions/cargo-pyenv-build\n  \
    cargo pyenv-build completions fish > ~/.config/fish/completions/cargo-pyenv-build.fish")]
pub(super) struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut command: Command) {
    // Shells complete programs; `cargo pyenv-build` is cargo's to complete.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "cargo-pyenv-build", &mut script);
    // Nobody may be reading any more.
    let _ = std::io::stdout().write_all(&script);
}
