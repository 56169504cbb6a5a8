//! Running rustc: in place of this process if there is nothing to record, or as a child whose
//! messages are read.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use super::call::Call;
use crate::{env_vars, process};

/// Wrappers of the user's that only decide whether rustc runs, as we do, and so may stand behind
/// us.
const KNOWN_WRAPPERS: &[&str] = &["ccache", "kache", "mbx", "sccache"];

/// The wrapper that the user has set, to be called behind ours.
#[derive(Debug, Clone, Default)]
pub struct Inner(Option<PathBuf>);

impl Inner {
    pub fn from_env() -> Self {
        Self(env_vars::get_os(env_vars::INNER_WRAPPER).map(PathBuf::from))
    }

    /// Whether what it does is not known; then nothing behind it can be judged.
    pub fn is_unknown(&self) -> bool {
        let name = self
            .0
            .as_ref()
            .and_then(|path| path.file_stem())
            .map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| !KNOWN_WRAPPERS.contains(&name.as_str()))
    }

    pub fn name(&self) -> String {
        self.0.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "rustc takes our place in cargo's process group, and its messages are not ours"
    )]
    fn command(&self, words: &[OsString]) -> Command {
        let mut all =
            self.0.iter().map(|path| path.as_os_str()).chain(words.iter().map(OsString::as_os_str));
        let mut command = Command::new(all.next().unwrap_or(OsStr::new("rustc")));
        command.args(all).env(env_vars::IN_WRAPPER, "1").env_remove(env_vars::INNER_WRAPPER);
        command
    }

    /// Lets rustc take our place, as if we had not been there. Returns an exit code only where that
    /// is not possible.
    pub fn exec(&self, words: &[OsString]) -> u8 {
        let mut command = self.command(words);
        #[cfg(unix)]
        let error = std::os::unix::process::CommandExt::exec(&mut command);
        #[cfg(not(unix))]
        let error = match command.status() {
            Ok(status) => return code(status),
            Err(error) => error,
        };
        let program =
            words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "error: failed to start `{program}`: {error}");
        101
    }

    /// Runs the rustc of a call with further arguments, handing its messages on as they come.
    /// `has_metadata` is called before cargo hears that the crate's metadata is there: from
    /// then on it may have other crates compiled.
    pub fn run(
        &self,
        call: &Call,
        more: &[OsString],
        has_metadata: &dyn Fn(),
    ) -> std::io::Result<Ran> {
        let mut words: Vec<OsString> =
            call.programs.iter().map(|program| program.as_os_str().to_owned()).collect();
        words.extend(call.given.iter().cloned());
        words.extend(more.iter().cloned());
        let mut ran = self.hear(&words, &[], has_metadata)?;
        // A linker that does not know the question must still link, as it would without us.
        if !more.is_empty() && !ran.status.success() && !ran.held.is_empty() {
            words.truncate(words.len() - more.len());
            let said = ran.messages;
            ran = self.hear(&words, &said, has_metadata)?;
            ran.was_asked_in_vain = true;
        }
        ran.flush();
        Ok(ran)
    }

    fn hear(
        &self,
        words: &[OsString],
        said: &[String],
        has_metadata: &dyn Fn(),
    ) -> std::io::Result<Ran> {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process::die_with_us(&mut command);
        let mut child = command.spawn()?;
        let mut stdout = child.stdout.take().expect("piped above");
        let stderr = BufReader::new(child.stderr.take().expect("piped above"));
        let mut ran = std::thread::scope(|scope| {
            let out = scope.spawn(move || {
                let mut bytes = Vec::new();
                let _ = stdout.read_to_end(&mut bytes);
                bytes
            });
            let mut said: Vec<&String> = said.iter().collect();
            let (mut messages, mut held, mut is_text) = (Vec::new(), Vec::new(), true);
            for line in stderr.split(b'\n') {
                let Ok(bytes) = line else { break };
                is_text &= std::str::from_utf8(&bytes).is_ok();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if text.contains("linking with `") {
                    held.push(text);
                    continue;
                }
                if text.contains("\"emit\":\"metadata\"") {
                    has_metadata();
                }
                // Once is enough.
                if let Some(at) = said.iter().position(|one| **one == text) {
                    said.remove(at);
                } else {
                    let mut line = bytes;
                    line.push(b'\n');
                    let _ = std::io::stderr().write_all(&line);
                }
                messages.push(text);
            }
            let stdout = out.join().unwrap_or_default();
            Ran {
                status: ExitStatus::default(),
                messages,
                held,
                is_text,
                stdout,
                was_asked_in_vain: false,
            }
        });
        ran.status = child.wait()?;
        Ok(ran)
    }
}

/// The outcome.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    /// Lines on stderr, all of them handed on.
    pub messages: Vec<String>,
    /// Lines about a link that failed, to be said when it is clear that it is not for our
    /// question.
    held: Vec<String>,
    pub is_text: bool,
    pub stdout: Vec<u8>,
    /// The linker could not do what we asked of it, and linked without.
    pub was_asked_in_vain: bool,
}

impl Ran {
    fn flush(&mut self) {
        for line in std::mem::take(&mut self.held) {
            let _ = writeln!(std::io::stderr(), "{line}");
            self.messages.push(line);
        }
        let _ = std::io::stdout().write_all(&self.stdout);
    }

    pub fn code(&self) -> u8 {
        code(self.status)
    }
}

/// The exit code to end with; for a signal the one that a shell has.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(101);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(101)
}
