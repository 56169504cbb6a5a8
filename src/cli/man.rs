//! `man`: manual pages, for packagers and releases.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command, ValueHint};

use super::MessageFormat;
use super::failure::Result;
use super::options::absolute;
use crate::fs;
use crate::ui::Ui;

/// Write manual pages: one for the program, and one for each command
#[derive(Debug, Clone, Args)]
pub(super) struct ManArgs {
    /// Output directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
}

pub(super) fn run(args: &ManArgs, command: Command, format: MessageFormat, ui: &Ui) -> Result<()> {
    let directory = absolute(&args.directory)?;
    // `man cargo-pyenv-build`, and what `cargo help pyenv-build` looks for.
    let mut command = command.name("cargo-pyenv-build").disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    render(&command, "cargo-pyenv-build", &mut pages)?;
    for (name, page) in &pages {
        let path = directory.join(name);
        fs::write_if_changed(&path, page)
            .with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    let paths: Vec<PathBuf> = pages.iter().map(|(name, _)| directory.join(name)).collect();
    match format {
        MessageFormat::Json => ui
            .result(serde_json::json!({"schema": 1, "command": "man", "ok": true, "pages": paths})),
        MessageFormat::Human => paths.iter().for_each(|path| ui.result(path.display())),
    }
    Ok(())
}

/// The pages of a command and of those below it, hidden ones aside.
fn render(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut page = Vec::new();
    let text = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).date("");
    text.render(&mut page).with_context(|| format!("failed to write the page of {name}"))?;
    pages.push((format!("{name}.1"), page));
    for below in
        command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        render(below, &format!("{name}-{}", below.get_name()), pages)?;
    }
    Ok(())
}
