//! The one door to other programs.
//!
//! A [`Cmd`] can print itself ready to paste, with secrets masked, and fails with everything a
//! person needs: the command, how it ended, and what it said. Children run in a process group of
//! their own, which is ended (SIGTERM, a grace period, SIGKILL) when we are asked to stop. When we
//! are killed outright, Linux kills the child ([`die_with_us`]). Exec failure ("there is no such
//! program") and status failure ("it ran and failed") are different errors.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{interrupt, terminal};

/// How long a child may take to end after SIGTERM before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// How often signals and deadlines are looked at while we wait for a child.
const TICK: Duration = Duration::from_millis(10);

/// A command that has not run yet.
#[derive(Debug, Clone)]
pub(crate) struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, Option<OsString>)>,
    cwd: Option<PathBuf>,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to start `{command}`")]
    Start { command: String, source: io::Error },
    #[error("`{command}` {}{}", describe(*status), indented(output))]
    Status { command: String, status: ExitStatus, output: String },
    #[error("lost track of `{command}`")]
    Wait { command: String, source: io::Error },
    #[error("interrupted by {signal} while `{command}` ran")]
    Interrupted { command: String, signal: interrupt::Signal },
    #[error("`{command}` cannot read from the terminal")]
    Terminal { command: String },
    #[error("`{command}` did not finish within {}", humantime::format_duration(*timeout))]
    TimedOut { command: String, timeout: Duration },
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), args: Vec::new(), envs: Vec::new(), cwd: None }
    }

    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    #[must_use]
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    #[must_use]
    pub(crate) fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().to_owned(), None));
        self
    }

    #[must_use]
    pub(crate) fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// The command as one would type it in a shell, credentials in URLs masked.
    pub(crate) fn display(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args).map(|word| {
            let word = mask_credentials(&word.to_string_lossy());
            shlex::try_quote(&word).map_or_else(|_| word.clone(), std::borrow::Cow::into_owned)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The standard library's command, for the few who wire up streams themselves.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub(crate) fn to_std(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        for (name, value) in &self.envs {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }

    /// Starts it in a process group of its own, with the streams of `wire`.
    pub(crate) fn spawn_group(&self, wire: impl FnOnce(&mut Command)) -> Result<Group, Error> {
        let mut command = self.to_std();
        wire(&mut command);
        isolate(&mut command);
        let child =
            command.spawn().map_err(|source| Error::Start { command: self.display(), source })?;
        Ok(Group { child, command: self.display(), had_terminal: false })
    }

    /// Runs it to its end with our own streams and in our own process group, as a shell would.
    /// Signals that only we get are handed on.
    pub(crate) fn spawn_foreground(&self) -> Result<ExitStatus, Error> {
        let mut child = self
            .to_std()
            .spawn()
            .map_err(|source| Error::Start { command: self.display(), source })?;
        let mut handed_on = None;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(source) => return Err(Error::Wait { command: self.display(), source }),
            }
            let signal = interrupt::pending();
            if signal.is_some() && handed_on != signal {
                handed_on = signal;
                hand_on(&child, signal);
            }
            await_end(&child, TICK);
        }
    }

    /// Runs it to its end and collects what it prints; a status other than success is an error with
    /// that output.
    pub(crate) fn output(&self) -> Result<Output, Error> {
        let output = self.output_unchecked(None)?;
        if output.status.success() {
            return Ok(output);
        }
        Err(self.status_error(&output))
    }

    /// The error for an output whose status the caller judged.
    pub(crate) fn status_error(&self, output: &Output) -> Error {
        let mut text = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        if text.is_empty() {
            String::from_utf8_lossy(&output.stdout).trim_end().clone_into(&mut text);
        }
        Error::Status {
            command: self.display(),
            status: output.status,
            output: mask_credentials(&text),
        }
    }

    /// What a program prints that has no children and ends soon by itself, such as `git ls-files`.
    /// `None`: it could not be run, or failed.
    pub(crate) fn quick_answer(&self) -> Option<Vec<u8>> {
        let output = self.to_std().stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then_some(output.stdout)
    }

    /// Runs it to its end, whatever the status.
    pub(crate) fn output_unchecked(&self, timeout: Option<Duration>) -> Result<Output, Error> {
        let mut group = self.spawn_group(|command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        })?;
        let mut stdout = group.child.stdout.take().expect("piped above");
        let mut stderr = group.child.stderr.take().expect("piped above");
        let reader = |pipe: &mut dyn io::Read| {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        };
        std::thread::scope(|scope| {
            let stdout = scope.spawn(move || reader(&mut stdout));
            let stderr = scope.spawn(move || reader(&mut stderr));
            let status = group.wait(timeout);
            if status.is_err() {
                group.end(GRACE);
            }
            // A child that was killed may leave others, which hold the pipes that we read to the
            // end.
            signal_group(&group.child, Kill::Kill);
            terminal::take_back_from(i32::try_from(group.child.id()).unwrap_or_default());
            let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<u8>>| {
                thread.join().expect("the reader does not panic")
            };
            let (stdout, stderr) = (join(stdout), join(stderr));
            Ok(Output { status: status?, stdout, stderr })
        })
    }
}

/// A running child and its process group.
#[derive(Debug)]
pub(crate) struct Group {
    pub child: Child,
    command: String,
    /// Whether it has had the terminal, where Ctrl-C went to it.
    had_terminal: bool,
}

impl Group {
    /// Waits for the child, until we are interrupted or `timeout` is over; the group lives on after
    /// those two.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<ExitStatus, Error> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status))
                    if self.had_terminal
                        && interrupt::exit_code_of(status)
                            == interrupt::Signal::KEYBOARD.exit_code() =>
                {
                    return Err(Error::Interrupted {
                        command: self.command.clone(),
                        signal: interrupt::Signal::KEYBOARD,
                    });
                }
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(source) => return Err(Error::Wait { command: self.command.clone(), source }),
            }
            if let Some(signal) = interrupt::pending() {
                return Err(Error::Interrupted { command: self.command.clone(), signal });
            }
            if terminal::is_wanted_by(&self.child) {
                self.had_terminal = terminal::lend_to(&self.child);
                if !self.had_terminal {
                    // While it is stopped, it reacts to nothing else.
                    signal_group(&self.child, Kill::Kill);
                    return Err(Error::Terminal { command: self.command.clone() });
                }
            }
            if let Some(timeout) = timeout.filter(|timeout| start.elapsed() > *timeout) {
                return Err(Error::TimedOut { command: self.command.clone(), timeout });
            }
            await_end(&self.child, TICK);
        }
    }

    /// Waits for the child no longer than that. Whether it has ended; interrupts do not count here.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        loop {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            let rest = patience.saturating_sub(start.elapsed());
            if rest.is_zero() {
                return false;
            }
            await_end(&self.child, rest.min(TICK));
        }
    }

    /// Ends the whole group: SIGTERM, up to `grace`, SIGKILL. Afterwards the child has been reaped.
    pub(crate) fn end(&mut self, grace: Duration) {
        signal_group(&self.child, Kill::Term);
        self.ends_within(grace);
        // The rest of the group may outlive its leader.
        signal_group(&self.child, Kill::Kill);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a child has ended, where the system can tell, and no longer than `longest`;
/// elsewhere for a moment.
fn await_end(child: &Child, longest: Duration) {
    #[cfg(target_os = "linux")]
    if let Ok(process) = process_descriptor(child) {
        let timeout = rustix::event::Timespec::try_from(longest).ok();
        // An interrupt ends it early: the caller looks again.
        let ended = rustix::event::poll(
            &mut [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)],
            timeout.as_ref(),
        );
        if ended.is_ok_and(|count| count > 0) {
            // A tracer may have to take note of it first, and the caller must not look again and
            // again.
            std::thread::sleep(Duration::from_micros(50));
        }
        return;
    }
    let _ = child;
    std::thread::sleep(longest.min(Duration::from_millis(2)));
}

/// Linux 5.3.
#[cfg(target_os = "linux")]
fn process_descriptor(child: &Child) -> io::Result<std::os::fd::OwnedFd> {
    let id = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty())?)
}

#[cfg(unix)]
fn hand_on(child: &Child, signal: Option<interrupt::Signal>) {
    // Ctrl-C reached the child from the terminal already.
    let signal = match signal.map(interrupt::Signal::number) {
        Some(15) => rustix::process::Signal::TERM,
        Some(1) => rustix::process::Signal::HUP,
        _ => return,
    };
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(not(unix))]
fn hand_on(_child: &Child, _signal: Option<interrupt::Signal>) {}

/// The signals we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    Term,
    Kill,
}

#[cfg(unix)]
fn signal_group(child: &Child, kill: Kill) {
    if let Ok(id) = i32::try_from(child.id()) {
        signal_group_id(id, kill);
    }
}

#[cfg(not(unix))]
fn signal_group(_child: &Child, _kill: Kill) {}

/// Signals a process group by its number. A group that is gone is no error.
#[cfg(unix)]
pub(crate) fn signal_group_id(id: i32, kill: Kill) {
    let signal = match kill {
        Kill::Term => rustix::process::Signal::TERM,
        Kill::Kill => rustix::process::Signal::KILL,
    };
    // 0 and 1 would mean our own group and everybody.
    if let Some(pid) = rustix::process::Pid::from_raw(id).filter(|_| id > 1) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Signals a process group by its number. Windows has none; hookd ends its children itself.
#[cfg(not(unix))]
pub fn signal_group_id(_id: i32, _kill: Kill) {}

/// A process group of its own; on Linux the child is also killed when we die without a chance to
/// end it.
#[cfg(unix)]
fn isolate(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    die_with_us(command);
}

#[cfg(not(unix))]
fn isolate(_command: &mut Command) {}

/// Has the child killed when we die without a chance to end it, where the system can do so.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let parent = rustix::process::getpid();
    #[expect(
        unsafe_code,
        reason = "the standard library offers no safe way to set PR_SET_PDEATHSIG in the child"
    )]
    // SAFETY: between fork and exec the closure makes two plain system calls; it allocates nothing
    // and takes no lock.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // We may have died before the line above.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::ErrorKind::Interrupted.into())
            }
        });
    }
}

#[cfg(not(target_os = "linux"))]
pub fn die_with_us(_command: &mut Command) {}

/// "exited with status 1", "was killed by SIGSEGV".
pub(crate) fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            let name = match signal {
                1 => "SIGHUP",
                2 => "SIGINT",
                4 => "SIGILL",
                6 => "SIGABRT",
                7 => "SIGBUS",
                8 => "SIGFPE",
                9 => "SIGKILL",
                11 => "SIGSEGV",
                13 => "SIGPIPE",
                15 => "SIGTERM",
                _ => return format!("was killed by signal {signal}"),
            };
            return format!("was killed by {name}");
        }
    }
    status.code().map_or_else(
        || "ended without a status".to_owned(),
        |code| format!("exited with status {code}"),
    )
}

fn indented(output: &str) -> String {
    output.lines().fold(String::new(), |text, line| text + "\n  " + line)
}

/// Replaces `user:password@` in URLs within a text by `***@`.
pub(crate) fn mask_credentials(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        masked.push_str(head);
        let authority = tail
            .find(|c: char| {
                c == '/' || c == '?' || c == '#' || c.is_whitespace() || c == '"' || c == '\''
            })
            .unwrap_or(tail.len());
        match tail[..authority].rfind('@') {
            Some(end) => {
                masked.push_str("***");
                rest = &tail[end..];
            }
            None => rest = tail,
        }
    }
    masked.push_str(rest);
    masked
}

/// Takes `user:password@` out of all HTTP URLs within a text, as what is written down for good must
/// not have them.
pub(crate) fn without_credentials(text: &str) -> String {
    let masked = mask_credentials(text);
    masked.replace("http://***@", "http://").replace("https://***@", "https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_http_urls() {
        assert_eq!(
            without_credentials("git+https://u:p@h/x@y http://t@h/"),
            "git+https://h/x@y http://h/"
        );
        assert_eq!(without_credentials("u = \"https://h/a\""), "u = \"https://h/a\"");
    }

    #[test]
    fn credentials_are_masked_wherever_they_stand() {
        assert_eq!(
            mask_credentials(
                "--index-url https://me:s3cr@t@host/simple and git+ssh://git@host/x https://plain/x@y"
            ),
            "--index-url https://***@host/simple and git+ssh://***@host/x https://plain/x@y"
        );
    }

    #[test]
    fn a_command_prints_itself_ready_to_paste() {
        let cmd = Cmd::new("uv").args(["pip", "install", "a b", "https://u:p@h/"]);
        assert_eq!(cmd.display(), "uv pip install 'a b' 'https://***@h/'");
    }

    #[test]
    #[cfg(unix)]
    fn failures_carry_the_command_the_status_and_the_output() {
        let error =
            Cmd::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo out; echo err >&2; exit 3'` exited with status 3\n  err"
        );
        let error = Cmd::new("/no/such/program").output().unwrap_err();
        assert_eq!(error.to_string(), "failed to start `/no/such/program`");
        let error = Cmd::new("sh").args(["-c", "kill -SEGV $$"]).output().unwrap_err();
        assert!(error.to_string().ends_with("was killed by SIGSEGV"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn what_a_killed_child_leaves_does_not_keep_us_waiting() {
        let output = Cmd::new("sh")
            .args(["-c", "sleep 600 & echo started; kill -9 $$"])
            .output_unchecked(None)
            .unwrap();
        assert_eq!(describe(output.status), "was killed by SIGKILL");
        assert_eq!(output.stdout, b"started\n");
    }

    #[test]
    #[cfg(unix)]
    fn a_timeout_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let error = Cmd::new("sh")
            .args(["-c", &script])
            .output_unchecked(Some(Duration::from_millis(300)))
            .unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        let pid: i32 = fs_err::read_to_string(pid).unwrap().trim().parse().unwrap();
        let alive = || {
            rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_ok()
        };
        for _ in 0..100 {
            if !alive() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // A zombie that nobody reaps (no init in a container) still answers; its state says so.
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.contains(") Z "), "the grandchild survived: {stat}");
    }
}
