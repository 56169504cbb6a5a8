//! GitHub Actions, from the inside of a step: what it was asked ([`input`], [`context`]) and how it
//! answers (outputs, variables, annotations, the summary). Outside of Actions none of it happens:
//! [`Actions::detect`] says no.
//!
//! What a step says is a protocol on two channels. Lines on stdout or stderr that begin with `::`
//! are commands ([`commands`]); files named by `GITHUB_OUTPUT` and its kin take names and values
//! ([`files`]). Both are lines, and values come from others: branch names, inputs, file names,
//! crate names. So values are escaped in commands, and in files they stand between delimiters that
//! nobody can guess. While somebody else's output passes through us, commands are off
//! ([`Actions::quiet`]).
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

pub(crate) mod commands;
pub(crate) mod context;
pub(crate) mod files;
pub(crate) mod summary;

use crate::ui::Ui;
use crate::{env_vars, token};

/// A step of a job, being run.
#[derive(Debug)]
pub(crate) struct Actions<'a> {
    ui: &'a Ui,
}

impl<'a> Actions<'a> {
    /// `None` outside of Actions.
    pub(crate) fn detect(ui: &'a Ui) -> Option<Self> {
        (env_vars::get("GITHUB_ACTIONS").as_deref() == Some("true")).then_some(Self { ui })
    }

    /// Makes the runner replace `secret` by `***` from here on. To be called before anything else
    /// is said.
    pub(crate) fn mask(&self, secret: &str) {
        // A mask of one or two letters would make the whole log unreadable, and is no secret.
        for line in secret.lines().map(str::trim).filter(|line| line.len() > 2) {
            self.ui.passthrough(&commands::command("add-mask", &[], line));
        }
    }

    pub(crate) fn annotate(&self, annotation: &commands::Annotation<'_>) {
        self.ui.passthrough(&annotation.to_string());
    }

    /// Until the returned value is dropped, nothing in the output is a command: what a build prints
    /// is for people.
    pub(crate) fn quiet(&self) -> Ended<'_> {
        let token = token::random();
        self.ui.passthrough(&commands::command("stop-commands", &[], &token));
        Ended { ui: self.ui, line: commands::command(&token, &[], "") }
    }
}

/// An output of this step.
pub(crate) fn output(name: &str, value: &str) -> Result<(), files::Error> {
    files::File::Output.set(name, value)
}

/// A variable of all later steps.
pub(crate) fn variable(name: &str, value: &str) -> Result<(), files::Error> {
    files::File::Env.set(name, value)
}

/// A directory for all later steps' `PATH`, before all others.
pub(crate) fn path(directory: &str) -> Result<(), files::Error> {
    files::File::Path.line(directory)
}

/// Says a line when it is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub(crate) struct Ended<'a> {
    ui: &'a Ui,
    line: String,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.ui.passthrough(&self.line);
    }
}

/// An input of the action. Empty is as good as not given, as the runner has it.
///
/// The runner sets `INPUT_OUT-DIR` for actions in JavaScript. A composite has to hand its inputs on
/// itself, and shells know no variable with a hyphen: `INPUT_OUT_DIR` does as well.
pub(crate) fn input(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let value = env_vars::get(&format!("INPUT_{name}"))
        .or_else(|| env_vars::get(&format!("INPUT_{}", name.replace('-', "_"))))?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}
