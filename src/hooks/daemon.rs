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

/// Its files, each after those that it imports.
const FILES: [(&str, &str); 10] = [
    ("hookd/__init__.py", include_str!("../../hookd/hookd/__init__.py")),
    ("hookd/wire.py", include_str!("../../hookd/hookd/wire.py")),
    ("hookd/processes.py", include_str!("../../hookd/hookd/processes.py")),
    ("hookd/hook.py", include_str!("../../hookd/hookd/hook.py")),
    ("hookd/daemon.py", include_str!("../../hookd/hookd/daemon.py")),
    ("hookd/keeper.py", include_str!("../../hookd/hookd/keeper.py")),
    ("hookd/forking.py", include_str!("../../hookd/hookd/forking.py")),
    ("hookd/spawning.py", include_str!("../../hookd/hookd/spawning.py")),
    ("hookd/__main__.py", include_str!("../../hookd/hookd/__main__.py")),
    (SCRIPT, include_str!("../../hookd/hookd.py")),
];
const SCRIPT: &str = "hookd.py";
/// A longer line is no message of ours, and must not fill our memory.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// How long hookd may take to end once its stdin is closed and no hook runs.
const FAREWELL: Duration = Duration::from_secs(5);

/// What starts hookd behind a launcher: the first line has everything, read without a buffer so
/// that not a byte of what follows is lost.
const BOOT: &str = "import sys; sys.path[:1]=[]; import json; \
    hookd=json.loads(open(0,'rb',0,closefd=False).readline()); exec(hookd['start'])";

/// What the first line has it do: load the package from memory.
const START: &str = "
import base64, os, types, zlib
os.environ.update(hookd['environ'])
os.environ['PATH'] = hookd['bin'] + os.pathsep + os.environ.get('PATH', os.defpath)
for path, source in json.loads(zlib.decompress(base64.b64decode(hookd['files']))):
    name = path[:-3].replace('/', '.').replace('.__init__', '')
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    module.__file__ = '<' + path + '>'
    exec(compile(source, module.__file__, 'exec'), module.__dict__)
sys.modules['hookd.__main__'].main([])
";

/// Compiles the package in a directory. Older Pythons do not notice that a full disk has cut a file
/// short, so each is read again.
const COMPILE: &str = "
import glob, marshal, os, py_compile, shutil, sys
package = os.path.join(sys.argv[1], 'hookd')
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
try:
    for path in glob.glob(os.path.join(glob.escape(package), '*.py')):
        with open(py_compile.compile(path, doraise=True, invalidation_mode=mode), 'rb') as file:
            marshal.loads(file.read()[16:])
except BaseException:
    shutil.rmtree(os.path.join(package, '__pycache__'), ignore_errors=True)
    raise
";

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
        let (_, modules) = FILES.split_last().expect("the script, which only imports the package");
        let text = serde_json::to_vec(modules).expect("plain data");
        let files =
            packer.write_all(&text).and_then(|()| packer.finish()).expect("memory takes any write");
        let environ: BTreeMap<&str, &str> = environ
            .iter()
            .filter(|(name, _)| name != "PATH")
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
            .collect();
        let bin = python.parent().unwrap_or(python);
        let first = serde_json::json!({
            "start": START, "files": BASE64.encode(files), "environ": environ, "bin": bin,
        });
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

/// The daemon's script on disk, with the package next to it, compiled if possible: compiling takes as
/// long as starting an interpreter.
///
/// The directory is named by the digest of all files and of the interpreter, and renamed to that
/// name once it is whole. So versions of this program and of Python can share a root, and no file
/// is ever out of date.
fn script(python: &Path, identity: &Identity, layout: &Layout) -> Result<PathBuf, Error> {
    let name = format!("hookd-{}", &digest::json(&(FILES, identity))[..12]);
    let directory = layout.hookd().join(name);
    let script = directory.join(SCRIPT);
    // A machine that lost power may have files that are empty.
    let has = |path: &str, text: &str| {
        fs_err::metadata(directory.join(path))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == text.len() as u64)
    };
    let is_whole = || FILES.iter().all(|(path, text)| has(path, text));
    if is_whole() {
        return Ok(script);
    }
    let prepare = |source| Error::Prepare { path: directory.clone(), source };
    let made = make(&layout.hookd()).map_err(prepare)?;
    // Without byte code it works, too.
    let _ = Cmd::new(python).args(["-I", "-B", "-c", COMPILE]).arg(made.path()).output();
    if directory.exists() {
        // Somebody has removed a part of it, or another process has been faster.
        if is_whole() {
            return Ok(script);
        }
        fs::remove_dir_all(&directory).map_err(prepare)?;
    }
    match fs_err::rename(made.path(), &directory) {
        Err(error) if !is_whole() => Err(prepare(error)),
        _ => Ok(script),
    }
}

/// Writes all files to a new directory, which is removed again unless it is renamed.
fn make(parent: &Path) -> std::io::Result<tempfile::TempDir> {
    fs_err::create_dir_all(parent)?;
    let made = tempfile::Builder::new().prefix(".tmp-").tempdir_in(parent)?;
    // Temporary directories are private, and other users of this checkout run hookd, too.
    #[cfg(unix)]
    fs_err::set_permissions(made.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs_err::create_dir(made.path().join("hookd"))?;
    for (path, text) in FILES {
        fs_err::write(made.path().join(path), text)?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_package_is_embedded_after_those_that_it_imports() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("hookd/hookd");
        let mut on_disk: Vec<String> = fs_err::read_dir(package)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
            .map(|path| format!("hookd/{}", path.file_name().unwrap().to_string_lossy()))
            .collect();
        on_disk.push(SCRIPT.to_owned());
        on_disk.sort();
        let mut embedded = FILES.map(|(path, _)| path);
        embedded.sort_unstable();
        assert_eq!(embedded.as_slice(), on_disk);

        for (index, (path, text)) in FILES.iter().enumerate() {
            for line in text.lines() {
                let Some(rest) = line.strip_prefix("from hookd") else { continue };
                let names = rest.strip_prefix(" import ").unwrap_or_else(|| {
                    rest.trim_start_matches('.').split(' ').next().unwrap_or_default()
                });
                for name in names.split(", ") {
                    let imported = format!("hookd/{name}.py");
                    let is_earlier = FILES[..index].iter().any(|(earlier, _)| *earlier == imported);
                    assert!(is_earlier, "{path} imports {imported}");
                }
            }
        }
    }
}
