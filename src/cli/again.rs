//! This program once more, in an environment that has been put right: ours cannot be changed while
//! threads may read it, and what we start must see the same.

use std::path::Path;

use super::exit_with;
use crate::process::Cmd;
use crate::ui::Ui;
use crate::{env_vars, interrupt};

/// The command that we are.
pub(super) fn ourselves() -> Option<Cmd> {
    Some(Cmd::new(std::env::current_exe().ok()?).args(std::env::args_os().skip(1)))
}

/// Runs it. Returns its exit code.
pub(super) fn run(command: &Cmd, ui: &Ui) -> u8 {
    match command.spawn_foreground() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or_else(|| interrupt::exit_code_of(status)),
        Err(error) => exit_with(Some(&error.into()), ui),
    }
}

/// Runs this program again without a variable for temporary files that names no directory, or one that
/// cannot be written to: the scratch of a batch job that has ended, an outer sandbox. Python falls back to the usual place;
/// compilers and we would fail.
pub(super) fn with_a_temporary_directory(ui: &Ui) -> Option<u8> {
    let names = if cfg!(windows) { &["TMP", "TEMP"][..] } else { &["TMPDIR"] };
    let is_gone = |value: &std::ffi::OsString| tempfile::tempfile_in(value).is_err();
    let gone: Vec<_> = names
        .iter()
        .filter_map(|name| env_vars::get_os(name).filter(is_gone).map(|value| (*name, value)))
        .collect();
    let (name, value) = gone.first()?;
    ui.warning(format_args!(
        "{name} is `{}`, where no file can be created: temporary files go to the default directory",
        Path::new(value).display()
    ));
    let command = gone.iter().fold(ourselves()?, |command, (name, _)| command.env_remove(name));
    Some(run(&command, ui))
}
