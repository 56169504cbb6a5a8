//! Running PEP 517 and PEP 660 hooks through hookd, the daemon in `hookd`.
//!
//! A [`Session`] is one hookd in one build environment; it serves all projects built there in one
//! invocation. Starting it costs nothing: nobody waits until the first hook is called, and the
//! backend is imported meanwhile. The output of each hook call comes as messages, and goes to a log
//! file of its own.
//!
//! However a call ends (return, error, time-out, Ctrl-C, death of hookd), nothing that it started
//! is left running.
//!
//! [`protocol`] has the wire; what optional hooks mean when they are missing is the caller's.

mod daemon;
mod error;
mod hook;
mod output;
pub(crate) mod protocol;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daemon::{Daemon, Received};
pub(crate) use error::Error;
pub(crate) use hook::Hook;
use output::Log;
use protocol::Message;
use serde::Serialize;
use waiting::{Ended, Waiting};

use crate::interpreter::Identity;
use crate::interrupt::Signal;
use crate::layout::Layout;
use crate::project::{Backend, Project};
use crate::ui::Ui;
use crate::{process, terminal};

/// The last lines of output that an error carries.
const TAIL: usize = 20;
/// Longer lines are cut in errors; the log has all of them.
const LONGEST_TAIL_LINE: usize = 500;
/// How soon a signal, a deadline or a lent terminal is noticed while a hook runs.
const TICK: Duration = Duration::from_millis(20);

/// `-C` settings: each value a string, or a list where a key was given more than once.
pub(crate) type ConfigSettings = BTreeMap<String, serde_json::Value>;

/// One call of a hook.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub project: &'a Project,
    pub hook: Hook,
    pub config_settings: &'a ConfigSettings,
    /// Variables for this project's hooks, on top of the session's; `None` unsets.
    pub environ: &'a [(String, Option<String>)],
    pub timeout: Option<Duration>,
}

/// A hook's answer, or the lack of the hook.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The hook's return value.
    Returned(serde_json::Value),
    /// The backend does not have this optional hook.
    Unsupported,
}

/// `configure`'s object.
#[derive(Debug, Serialize)]
struct Configuration<'a> {
    source_tree: &'a Path,
    backend_path: Option<&'a [String]>,
    environ: BTreeMap<&'a str, Option<&'a str>>,
    messages: &'static [&'static str],
    /// hookd's own files: where we tidy up, should it be killed.
    temporary: Option<PathBuf>,
    grace_seconds: u64,
    cancellable: bool,
    preload: Vec<&'static str>,
}

/// Modules that hooks of a backend would import again for each call, because the backend itself does
/// so late. hookd leaves out those that do not exist.
fn preload(backend: Backend) -> Vec<&'static str> {
    match backend {
        Backend::Maturin => vec!["tomllib"],
        // Which the benchmark reads, too.
        Backend::Setuptools => include_str!("../hookd/preload/setuptools.txt").lines().collect(),
        Backend::Other => vec![],
    }
}

/// One hookd in one environment.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    daemon: Daemon,
    /// Names of the values already sent, in order.
    sent: VecDeque<&'static str>,
    /// Answers still to come for what was sent ahead.
    outstanding: usize,
    layout: &'a Layout,
    ui: &'a Ui,
    calls: usize,
    /// hookd runs behind a launcher: neither files nor process numbers mean anything to us.
    is_remote: bool,
    /// For what hookd needs while it runs. Dropped after it.
    scratch: Option<tempfile::TempDir>,
}

impl<'a> Session<'a> {
    /// Starts a hookd with the environment's python. `environ` is added to our own environment for
    /// all hooks. `launcher`, if there is one, is the command to start it with; then artifacts
    /// have to be [`Self::fetch`]ed from a directory that is [`Self::lend`]ed.
    pub(crate) fn start(
        launcher: &[String],
        python: &Path,
        identity: &Identity,
        environ: &[(String, Option<String>)],
        layout: &'a Layout,
        ui: &'a Ui,
    ) -> Result<Self, Error> {
        let is_remote = !launcher.is_empty();
        let prepare = |source| Error::Prepare { path: layout.tmp(), source };
        let scratch =
            if is_remote { None } else { Some(layout.temporary("hookd-").map_err(prepare)?) };
        let daemon = if is_remote {
            Daemon::launch(launcher, python, environ)?
        } else {
            Daemon::start(python, identity, layout, environ)?
        };
        Ok(Self {
            daemon,
            sent: VecDeque::new(),
            outstanding: 0,
            layout,
            ui,
            calls: 0,
            is_remote,
            scratch,
        })
    }

    /// Lets hookd end while we do something else: no more hooks will be called.
    pub(crate) fn dismiss(&mut self) {
        self.daemon.dismiss();
    }

    pub(crate) fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// A new directory where hookd runs; it goes when the session ends.
    pub(crate) fn lend(&mut self) -> Result<PathBuf, Error> {
        let value = self.request("temporary_directory", &[], &mut |_| Ok(()))?;
        value
            .as_str()
            .map(PathBuf::from)
            .ok_or_else(|| Error::Protocol(format!("it lent {value}, which is not a path")))
    }

    /// Copies a file or directory from where hookd runs into `directory`, under its own name.
    pub(crate) fn fetch(&mut self, path: &Path, directory: &Path) -> Result<(), Error> {
        let prepare = |source| Error::Prepare { path: directory.to_path_buf(), source };
        let mut archive = tempfile::tempfile_in(directory).map_err(prepare)?;
        self.request("fetch", &[("path", &path.to_string_lossy())], &mut |data| {
            archive.write_all(data).map_err(prepare)
        })?;
        archive.rewind().map_err(prepare)?;
        // The crate refuses members that lead outside.
        tar::Archive::new(archive).unpack(directory).map_err(prepare)
    }

    /// An action that is no hook.
    fn request(
        &mut self,
        action: &'static str,
        values: &[(&'static str, &str)],
        data: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<serde_json::Value, Error> {
        self.send("action", action);
        for (name, value) in values {
            self.send(name, value);
        }
        let mut state = Waiting {
            hook: action,
            log: Path::new(""),
            start: Instant::now(),
            timeout: None,
            cancelled: None,
            child: None,
            had_terminal: false,
        };
        let mut failed = None;
        let ended = self.wait_for_answer(&mut state, &mut |message| {
            if let (Message::Data(bytes), None) = (message, &failed) {
                failed = data(bytes).err();
            }
        })?;
        match (ended, failed) {
            (_, Some(error)) => Err(error),
            (Ended::Value(value), None) => Ok(value),
            (Ended::Error { kind, message, .. }, None) => {
                Err(Error::Protocol(format!("`{action}`: {kind}: {message}")))
            }
        }
    }

    /// Has the backend imported while we do something else. A failure will show, with its output,
    /// when a hook is called.
    pub(crate) fn import_ahead(&mut self, project: &Project) {
        if project.build_system.backend_path.is_none() {
            // The import sees the source tree.
            let configuration = self.configuration(project, &[]);
            self.configure(&configuration);
            self.send("action", "import");
            self.send("build_backend", &project.build_system.build_backend);
            self.outstanding += 1;
            self.daemon.flush();
        }
    }

    fn send(&mut self, name: &'static str, value: &str) {
        self.sent.push_back(name);
        self.daemon.send(value, self.ui);
    }

    /// Calls a hook and follows its output: `sink` gets each line.
    pub(crate) fn call(
        &mut self,
        call: &Call<'_>,
        sink: &mut dyn FnMut(&str),
    ) -> Result<Answer, Error> {
        let hook = call.hook.name();
        self.calls += 1;
        let log = output::new_log(&self.layout.logs(), self.calls, hook)?;
        let prepare = |source| Error::Prepare { path: log.clone(), source };
        let mut written = Log::create(&log).map_err(prepare)?;
        let start = Instant::now();
        self.send_call(call);

        let mut tail = VecDeque::new();
        let mut sink = |line: &str| {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(crate::ui::shortened(line, LONGEST_TAIL_LINE));
            sink(line);
        };
        let mut state = Waiting {
            hook,
            log: &log,
            start,
            timeout: call.timeout,
            cancelled: None,
            child: None,
            had_terminal: false,
        };
        let ended = self.wait_for_answer(&mut state, &mut |message| {
            if let Message::Output { stream, text } = message {
                written.push(*stream, text, &mut sink);
            }
        });
        written.finish(&mut sink);
        // A log that cannot be made shorter is still a log.
        let _ = output::trim(&log);
        match ended? {
            Ended::Value(value) => Ok(Answer::Returned(value)),
            Ended::Error { kind, .. } if kind == "UnsupportedHook" => {
                // It printed nothing worth keeping.
                let _ = fs_err::remove_file(&log);
                Ok(Answer::Unsupported)
            }
            // While the hook had the terminal, Ctrl-C went to it.
            Ended::Error { traceback: Some(traceback), .. }
                if state.had_terminal && is_keyboard_interrupt(&traceback) =>
            {
                Err(Error::Interrupted(Signal::KEYBOARD))
            }
            Ended::Error { kind, message, traceback } => Err(Error::Hook {
                hook,
                backend: call.project.build_system.build_backend.clone(),
                kind,
                message,
                traceback,
                tail: tail.into(),
                log,
            }),
        }
    }

    fn configuration<'b>(
        &self,
        project: &'b Project,
        environ: &'b [(String, Option<String>)],
    ) -> Configuration<'b> {
        Configuration {
            source_tree: &project.directory,
            backend_path: project.build_system.backend_path.as_deref(),
            environ: environ
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref()))
                .collect(),
            messages: if self.is_remote { &["OUTPUT"] } else { &["CHILD", "OUTPUT"] },
            temporary: self.scratch.as_ref().map(|scratch| scratch.path().to_path_buf()),
            grace_seconds: process::GRACE.as_secs(),
            cancellable: true,
            preload: preload(project.build_system.backend()),
        }
    }

    fn configure(&mut self, configuration: &Configuration<'_>) {
        self.send("action", "configure");
        self.send(
            "configuration",
            &serde_json::to_string(configuration).expect("paths of ours are UTF-8"),
        );
        self.outstanding += 1;
    }

    fn send_call(&mut self, call: &Call<'_>) {
        let configuration = self.configuration(call.project, call.environ);
        self.configure(&configuration);
        let settings = if call.config_settings.is_empty() {
            String::new()
        } else {
            serde_json::to_string(call.config_settings).expect("plain data")
        };
        self.send("action", "run");
        self.send("build_backend", &call.project.build_system.build_backend);
        self.send("hook_name", call.hook.name());
        for (name, value) in call.hook.values(&settings) {
            self.send(name, &value);
        }
    }

    /// Waits until the hook has ended, handing on output and data meanwhile, and cancels it when
    /// there is reason to.
    fn wait_for_answer(
        &mut self,
        state: &mut Waiting<'_>,
        on: &mut dyn FnMut(&Message),
    ) -> Result<Ended, Error> {
        let mut ended = None;
        loop {
            match self.daemon.receive(TICK, self.ui) {
                Received::Message(Message::Ready) => {
                    if let Some(ended) = ended.take() {
                        return state.judge(ended);
                    }
                }
                Received::Message(message) => self.take_in(message, state, &mut ended, on)?,
                Received::Nothing => {
                    if state.child.is_some_and(terminal::is_lent) {
                        state.had_terminal = true;
                        crate::ui::step_aside();
                    }
                }
                Received::Closed => {
                    state.kill();
                    state.judge(())?;
                    return Err(state.died(self.daemon.post_mortem()));
                }
            }
            if let Some(because) = state.reason_to_cancel() {
                state.cancelled = Some((because, Instant::now()));
                self.daemon.send("cancel", self.ui);
            }
            // hookd ends the hook within its grace period; if it does not, it is past help.
            let overdue = state.cancelled.as_ref().is_some_and(|(_, since)| {
                since.elapsed() > process::GRACE + Duration::from_secs(5)
            });
            if overdue {
                state.kill();
                self.daemon.end(Duration::ZERO);
                state.judge(())?;
                return Err(state.died("it did not stop when asked".to_owned()));
            }
        }
    }

    /// Takes in what hookd says while a hook runs; how the hook ended goes to `ended`.
    fn take_in(
        &mut self,
        message: Message,
        state: &mut Waiting<'_>,
        ended: &mut Option<Ended>,
        on: &mut dyn FnMut(&Message),
    ) -> Result<(), Error> {
        match message {
            Message::Expect(name) => match self.sent.pop_front() {
                Some(sent) if sent == name => {}
                // All was answered: hookd waits for its next task.
                None if name == "action" => {}
                Some(sent) => {
                    return Err(Error::Protocol(format!(
                        "it expects `{name}` where `{sent}` was sent"
                    )));
                }
                None => {
                    return Err(Error::Protocol(format!(
                        "it expects `{name}`, which has no value"
                    )));
                }
            },
            Message::Child(group) => state.child = Some(group),
            // Of an import ahead; if that fails, the hook's own import says it again.
            Message::Output { .. } if self.outstanding > 0 => {}
            Message::Output { .. } | Message::Data(_) => on(&message),
            Message::Ok(_) | Message::Error { .. } if self.outstanding > 0 => {
                // The answer to something sent ahead; only a bad configuration is our fault.
                self.outstanding -= 1;
                if let Message::Error { kind, text } = message {
                    if kind == "InvalidConfiguration" {
                        return Err(Error::Protocol(text));
                    }
                    self.ui.debug(format_args!("import ahead failed: {text}"));
                }
            }
            Message::Ok(json) => {
                let value = serde_json::from_str(&json)
                    .map_err(|error| Error::Protocol(format!("its answer is not JSON: {error}")))?;
                *ended = Some(Ended::Value(value));
            }
            Message::Error { kind, text } => {
                *ended = Some(Ended::Error { kind, message: text, traceback: None });
            }
            Message::Traceback(text) => {
                if let Some(Ended::Error { traceback, .. }) = ended {
                    *traceback = Some(text);
                }
            }
            Message::Fatal { kind, text } => {
                self.ui.debug(format_args!("hookd is about to exit: {kind}: {text}"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_keyboard_interrupt(traceback: &str) -> bool {
    traceback.trim_end().lines().last().is_some_and(|line| line.starts_with("KeyboardInterrupt"))
}
