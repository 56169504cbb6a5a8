//! The hookd process: started with the environment's python, spoken to over two pipes, ended
//! without a trace.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use flate2::write::ZlibEncoder;

use super::Error;
use super::protocol::{self, Message};
use crate::interpreter::Identity;
use crate::layout::Layout;
use crate::process::{Cmd, GRACE, Group, mask_credentials};
use crate::ui::Ui;
use crate::{digest, fs};

const SOURCE: &str = include_str!("../../hookd/hookd.py");
/// A longer line is no message of ours, and must not fill our memory.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// How long hookd may take to end once its stdin is closed and no hook runs.
const FAREWELL: Duration = Duration::from_secs(5);

/// What starts hookd behind a launcher: the first line has everything, read without a buffer so
/// that not a byte of what follows is lost.
const BOOT: &str = "import base64,json,os,sys,zlib; sys.path[:1]=[]; \
    hookd=json.loads(open(0,'rb',0,closefd=False).readline()); \
    os.environ.update(hookd['environ']); \
    os.environ['PATH']=hookd['bin']+os.pathsep+os.environ.get('PATH',os.defpath); \
    exec(compile(zlib.decompress(base64.b64decode(hookd['source'])),'hookd.py','exec'))";

/// A running hookd.
#[derive(Debug)]
pub(super) struct Daemon {
    group: Group,
    stdin: Option<ChildStdin>,
    /// What is still to be written to it: a hook's values go in one piece, which hookd wakes up
    /// for once.
    unsent: String,
    /// Lines as they come: those of one piece together.
    lines: Receiver<Vec<String>>,
    arrived: VecDeque<String>,
    /// What hookd itself, or a python that could not even start it, says.
    stderr: std::fs::File,
}

/// The outcome of waiting for a line.
pub(super) enum Received {
    Message(Message),
    Nothing,
    /// hookd's stdout is closed: it has ended, or is about to.
    Closed,
}

impl Daemon {
    /// Starts hookd. Does not wait for it.
    pub(super) fn start(
        python: &Path,
        identity: &Identity,
        layout: &Layout,
        environ: &[(String, Option<String>)],
    ) -> Result<Self, Error> {
        let mut command = Cmd::new(python).arg(script(python, identity, layout)?);
        for (name, value) in environ {
            command = match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::spawn(&command)
    }

    fn spawn(command: &Cmd) -> Result<Self, Error> {
        let stderr = tempfile::tempfile()
            .map_err(|source| Error::Prepare { path: std::env::temp_dir(), source })?;
        let copy = stderr
            .try_clone()
            .map_err(|source| Error::Prepare { path: std::env::temp_dir(), source })?;
        let mut group = command
            .spawn_group(|command| {
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(copy);
            })
            .map_err(|source| Error::Start { source })?;
        let stdin = group.child.stdin.take();
        let stdout = group.child.stdout.take().expect("piped above");
        // Bounded, so that a flood of OUTPUT messages waits for us instead of filling our memory.
        let (sender, lines) = sync_channel(256);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            let mut together = Vec::new();
            loop {
                line.clear();
                match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                together.push(String::from_utf8_lossy(&line).into_owned());
                if !reader.buffer().contains(&b'\n')
                    && sender.send(std::mem::take(&mut together)).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self { group, stdin, unsent: String::new(), lines, arrived: VecDeque::new(), stderr })
    }

    /// Starts hookd behind another command, in whatever world that leads to: nothing is shared but
    /// the two pipes, and the path of the environment's python. Variables to be unset stay as
    /// they are there.
    pub(super) fn launch(
        launcher: &[String],
        python: &Path,
        environ: &[(String, Option<String>)],
    ) -> Result<Self, Error> {
        let (program, rest) = launcher.split_first().expect("the caller looked");
        let words: Vec<String> =
            vec![python.to_string_lossy().into_owned(), "-c".to_owned(), BOOT.to_owned()];
        // ssh hands its arguments to a shell, joined by spaces.
        let is_ssh = Path::new(program).file_stem().is_some_and(|name| name == "ssh");
        let quoted = |word: &String| {
            if is_ssh {
                shlex::try_quote(word).map_or_else(|_| word.clone(), Into::into)
            } else {
                word.clone()
            }
        };
        let command = Cmd::new(program).args(rest).args(words.iter().map(quoted));
        let mut daemon = Self::spawn(&command)?;
        let mut packer = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let source = packer
            .write_all(SOURCE.as_bytes())
            .and_then(|()| packer.finish())
            .expect("memory takes any write");
        let environ: BTreeMap<&str, &str> = environ
            .iter()
            .filter(|(name, _)| name != "PATH")
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
            .collect();
        let bin = python.parent().unwrap_or(python);
        let first =
            serde_json::json!({"source": BASE64.encode(source), "environ": environ, "bin": bin});
        if let Some(stdin) = &mut daemon.stdin {
            let _ = stdin.write_all((first.to_string() + "\n").as_bytes());
        }
        Ok(daemon)
    }

    /// Sends one value, with the next [`Self::flush`] or [`Self::receive`].
    ///
    /// With `-vv` each line is shown, here and in [`Self::receive`], in the order in which one led
    /// to the other: what a `hookd>` says had been read when the `hookd<` below it was written.
    /// So it can be replayed to either end.
    pub(super) fn send(&mut self, value: &str, ui: &Ui) {
        let line = protocol::escape(value);
        ui.debug(format_args!("hookd< {}", mask_credentials(&line)));
        self.unsent += &line;
        self.unsent.push('\n');
    }

    /// A hookd that is gone shows when its next message is waited for.
    pub(super) fn flush(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(self.unsent.as_bytes());
        }
        self.unsent.clear();
    }

    pub(super) fn receive(&mut self, timeout: Duration, ui: &Ui) -> Received {
        self.flush();
        if self.arrived.is_empty() {
            match self.lines.recv_timeout(timeout) {
                Ok(lines) => self.arrived.extend(lines),
                Err(RecvTimeoutError::Timeout) => return Received::Nothing,
                Err(RecvTimeoutError::Disconnected) => return Received::Closed,
            }
        }
        let line = self.arrived.pop_front().expect("lines arrive by one or more");
        ui.debug(format_args!("hookd> {}", mask_credentials(&line)));
        Received::Message(Message::parse(&line))
    }

    /// How hookd ended, in words, with what it said.
    pub(super) fn post_mortem(&mut self) -> String {
        let status = self
            .group
            .wait(Some(FAREWELL))
            .map_or_else(|error| error.to_string(), crate::process::describe);
        let mut said = String::new();
        let _ = self.stderr.seek(std::io::SeekFrom::Start(0));
        let _ = (&self.stderr).take(16 * 1024).read_to_string(&mut said);
        match said.trim() {
            "" => status,
            said => format!("{status}\n{said}"),
        }
    }

    /// Asks it to end: end of file means "shut down".
    pub(super) fn dismiss(&mut self) {
        self.stdin = None;
    }

    /// Asks it to end and sees that it does: whatever is left then is killed.
    pub(super) fn end(&mut self, patience: Duration) {
        self.dismiss();
        if !self.group.ends_within(patience) {
            self.group.end(GRACE);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end(FAREWELL);
    }
}

/// The daemon on disk, compiled if that can be: compiling it takes as long as starting an
/// interpreter.
///
/// Names have the source's digest, and the interpreter's for byte code: versions of this program
/// and of Python can share a directory, and no file is ever out of date.
fn script(python: &Path, identity: &Identity, layout: &Layout) -> Result<PathBuf, Error> {
    let name = format!("hookd-{}", &digest::bytes(SOURCE.as_bytes())[..12]);
    let compiled = layout.hookd().join(format!("{name}-{}.pyc", &digest::json(identity)[..12]));
    if compiled.exists() {
        return Ok(compiled);
    }
    let source = layout.hookd().join(format!("{name}.py"));
    fs::write_if_changed(&source, SOURCE.as_bytes())
        .map_err(|error| Error::Prepare { path: source.clone(), source: error })?;
    // Under a temporary name until it has been read: older Pythons do not notice that a full disk
    // has cut it short.
    let code = "import marshal, py_compile, sys\n\
        py_compile.compile(sys.argv[1], sys.argv[2], doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)\n\
        with open(sys.argv[2], 'rb') as file: marshal.loads(file.read()[16:])";
    let made = tempfile::Builder::new()
        .prefix(".tmp-")
        .suffix(".pyc")
        .tempfile_in(layout.hookd())
        .map(tempfile::NamedTempFile::into_temp_path);
    // It works without, too.
    let Ok(made) = made else { return Ok(source) };
    let command = Cmd::new(python).args(["-I", "-B", "-c", code]).arg(&source).arg(&made);
    match command.output() {
        Ok(_) if made.persist(&compiled).is_ok() => Ok(compiled),
        _ => Ok(source),
    }
}
