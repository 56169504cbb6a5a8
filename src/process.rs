//! The one door to other programs.
//!
//! A [`Cmd`] can print itself ready to paste, with secrets masked, and fails with everything a
//! person needs: the command, how it ended, and what it said. Children run in a process group of
//! their own, which is ended (SIGTERM, a grace period, SIGKILL) when we are asked to stop. When we
//! are killed outright, Linux kills the child ([`die_with_us`]). Exec failure ("there is no such
//! program") and status failure ("it ran and failed") are different errors.

mod group;
#[cfg(windows)]
pub(crate) mod windows;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

pub(crate) use group::{Group, Kill, die_with_us, signal_group_id};
use group::{await_end, hand_on, isolate, signal_group};

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
        let words = std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| quoted(&mask_credentials(&word.to_string_lossy())));
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

/// A word as one would type it.
#[cfg(unix)]
fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_error| word.to_owned(), std::borrow::Cow::into_owned)
}

/// A word as one would type it, in cmd and in `PowerShell`. A path needs no quotes for its backslashes.
#[cfg(not(unix))]
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "\\/:._-+=@~".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("\"{}\"", word.replace('"', "\\\""))
    }
}

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
        let expected = if cfg!(windows) {
            r#"uv pip install "a b" "https://***@h/""#
        } else {
            "uv pip install 'a b' 'https://***@h/'"
        };
        assert_eq!(cmd.display(), expected);
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
