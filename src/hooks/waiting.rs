//! The state of a call that is waited for, and how it may end.

use std::path::Path;
use std::time::{Duration, Instant};

use super::error::Error;
use crate::interrupt::{self, Signal};
use crate::process;

pub(super) enum Ended {
    Value(serde_json::Value),
    Error { kind: String, message: String, traceback: Option<String> },
}

/// Why a hook is being ended.
pub(super) enum Because {
    Signal(Signal),
    Timeout(Duration),
}

pub(super) struct Waiting<'a> {
    /// Whether the hook has had the terminal, where Ctrl-C goes to it.
    pub had_terminal: bool,
    pub hook: &'static str,
    pub log: &'a Path,
    pub start: Instant,
    pub timeout: Option<Duration>,
    pub cancelled: Option<(Because, Instant)>,
    pub child: Option<i32>,
}

impl Waiting<'_> {
    pub(super) fn reason_to_cancel(&self) -> Option<Because> {
        if self.cancelled.is_some() {
            return None;
        }
        if let Some(signal) = interrupt::pending() {
            return Some(Because::Signal(signal));
        }
        self.timeout.filter(|timeout| self.start.elapsed() > *timeout).map(Because::Timeout)
    }

    /// A cancelled hook's end is ours, whatever it still said.
    pub(super) fn judge<T>(&mut self, ended: T) -> Result<T, Error> {
        match self.cancelled.take() {
            Some((Because::Signal(signal), _)) => Err(Error::Interrupted(signal)),
            Some((Because::Timeout(timeout), _)) => {
                Err(Error::TimedOut { hook: self.hook, timeout, log: self.log.to_path_buf() })
            }
            None => Ok(ended),
        }
    }

    /// Ends the hook's processes, if it has any.
    pub(super) fn kill(&self) {
        if let Some(group) = self.child {
            process::signal_group_id(group, process::Kill::Kill);
        }
    }

    /// What is said of a hookd that is no more.
    pub(super) fn died(&self, how: String) -> Error {
        Error::Died { hook: self.hook, how, log: self.log.to_path_buf() }
    }
}
