//! This program once more, in an environment that has been put right: ours cannot be changed while
//! threads may read it, and what we start must see the same.

use std::collections::BTreeMap;
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

/// The exported variables that our own commands in later steps use.
const SETTINGS: &[&str] =
    &[env_vars::PYTHON, env_vars::INSTALLER, env_vars::REUSE, env_vars::INCREMENTAL];

/// Runs this program again without the variables that the action exported in the same job, if there
/// are any: they are for other programs. We would take them for the user's settings, and build for
/// a different project's environment. A second call of the action (`is_action`) finds its own
/// interpreter, too.
pub(super) fn without_exports(is_action: bool, ui: &Ui) -> Option<u8> {
    let exported: BTreeMap<String, String> =
        serde_json::from_str(&env_vars::get(env_vars::EXPORTED)?).unwrap_or_default();
    let mut again = ourselves()?.env_remove(env_vars::EXPORTED);
    for (name, value) in &exported {
        let is_setting = SETTINGS.contains(&name.as_str());
        // If the user changed it since, keep their value.
        if env_vars::get(name).unwrap_or_default() == *value && (is_action || !is_setting) {
            again = again.env_remove(name);
        }
    }
    Some(run(&again, ui))
}
