//! Messages for people, all on stderr: cargo-like status lines, warnings, a spinner on terminals,
//! plain lines elsewhere.
//!
//! stdout is for results; only [`Ui::result`] writes there. Color follows `--color`, then
//! `NO_COLOR`, then `CARGO_TERM_COLOR`, then whether stderr is a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use console::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::env_vars;

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// `-q`: errors only.
    Quiet,
    Normal,
    /// `-v`: also each command, and all output of hooks as it happens.
    Verbose,
    /// `-vv`: also the protocol with hookd.
    Debug,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// The door to the terminal.
#[derive(Debug)]
pub(crate) struct Ui {
    verbosity: Verbosity,
    interactive: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Ui {
    pub(crate) fn new(verbosity: Verbosity, color: Option<Color>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let color = color.unwrap_or_else(|| {
            if env_vars::get("NO_COLOR").is_some() {
                return Color::Never;
            }
            match env_vars::get("CARGO_TERM_COLOR").as_deref() {
                Some("always") => Color::Always,
                Some("never") => Color::Never,
                _ => Color::Auto,
            }
        });
        console::set_colors_enabled_stderr(match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal,
        });
        let wants_progress = match env_vars::get("CARGO_TERM_PROGRESS_WHEN").as_deref() {
            Some("never") => false,
            Some("always") => true,
            _ => {
                is_terminal
                    && !env_vars::is_ci()
                    && env_vars::get("TERM").as_deref() != Some("dumb")
            }
        };
        Self {
            verbosity,
            interactive: wants_progress && verbosity == Verbosity::Normal,
            bar: Mutex::new(None),
        }
    }

    pub(crate) fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether a spinner is shown.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// A line of what was done: `verb` right-aligned in cargo's twelve columns.
    pub(crate) fn status(&self, verb: &str, message: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Normal {
            self.print(&format!(
                "{} {message}",
                Style::new().for_stderr().green().bold().apply_to(format!("{verb:>12}"))
            ));
        }
    }

    /// A line for `-v`.
    pub(crate) fn detail(&self, message: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Verbose {
            self.print(&Style::new().for_stderr().dim().apply_to(message).to_string());
        }
    }

    /// A line for `-vv`.
    pub(crate) fn debug(&self, message: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Debug {
            self.print(&Style::new().for_stderr().dim().apply_to(message).to_string());
        }
    }

    pub(crate) fn warning(&self, message: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Normal {
            self.print(&format!(
                "{}: {message}",
                Style::new().for_stderr().yellow().bold().apply_to("warning")
            ));
        }
    }

    /// Always shown, `-q` or not.
    pub(crate) fn error(&self, message: impl std::fmt::Display) {
        self.print(&format!(
            "{}: {message}",
            Style::new().for_stderr().red().bold().apply_to("error")
        ));
    }

    /// Advice below an error.
    pub(crate) fn hint(&self, message: impl std::fmt::Display) {
        self.print(&format!(
            "{}: {message}",
            Style::new().for_stderr().cyan().bold().apply_to("hint")
        ));
    }

    /// A line of somebody else's output, as it is.
    pub(crate) fn passthrough(&self, line: &str) {
        self.print(line);
    }

    /// A result, on stdout. A reader that went away (`| head`) is no error of ours.
    pub(crate) fn result(&self, text: impl std::fmt::Display) {
        self.suspend(|| {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        });
    }

    fn print(&self, line: &str) {
        self.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        });
    }

    fn suspend(&self, write: impl FnOnce()) {
        match &*self.bar() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn bar(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Shows that something long is going on until the returned value is dropped. Nothing without a
    /// terminal.
    pub(crate) fn spinner(&self, message: impl Into<String>) -> Spinner<'_> {
        let message = message.into();
        if self.interactive {
            let style = ProgressStyle::with_template("  {spinner:.cyan} {wide_msg} {elapsed:.dim}")
                .expect("a valid template");
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                .with_style(style)
                .with_message(message);
            bar.enable_steady_tick(Duration::from_millis(100));
            *SHOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(bar.clone());
            *self.bar() = Some(bar);
        }
        Spinner { ui: self }
    }
}

/// The spinner that is shown, for who knows of no [`Ui`].
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Leaves the terminal's last line to who asks something there: the spinner is shown no more.
pub(crate) fn step_aside() {
    if let Some(bar) = SHOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
        bar.disable_steady_tick();
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// A running spinner.
#[derive(Debug)]
pub(crate) struct Spinner<'a> {
    ui: &'a Ui,
}

impl Spinner<'_> {
    /// Replaces its text.
    pub(crate) fn set(&self, message: impl Into<String>) {
        if let Some(bar) = &*self.ui.bar() {
            bar.set_message(message.into());
        }
    }
}

impl Drop for Spinner<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.ui.bar().take() {
            bar.finish_and_clear();
        }
    }
}

/// A line of somebody else's, not longer than that many characters.
pub(crate) fn shortened(line: &str, limit: usize) -> String {
    match line.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// `1 crate`, `2 crates`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The name that somebody who wrote `word` may have meant.
pub(crate) fn similar<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // clap's measure for commands and options.
    let alike = names.into_iter().map(|name| (strsim::jaro(word, name), name));
    alike
        .filter(|(by, _)| *by > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// `0.2s`, `12.3s`, `3m 20s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        format!("{}m {:02}s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}
