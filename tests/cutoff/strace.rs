//! What processes do, as `strace` and a preloaded `getenv` tell: files they open, look for in vain
//! or write, and variables they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::world::succeed;

/// What a process did to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Opened, or asked about: it was there.
    Found,
    Missing,
    Written,
}

#[derive(Debug, Default)]
pub(crate) struct Process {
    parent: Option<u32>,
    /// Those that it became, in their order.
    pub programs: Vec<PathBuf>,
    pub accesses: BTreeSet<(Access, PathBuf)>,
    pub variables: BTreeSet<String>,
}

/// All processes of a command, threads among them.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub processes: BTreeMap<u32, Process>,
}

/// Where it is written down what is seen.
pub(crate) struct Observer {
    directory: PathBuf,
    preload: PathBuf,
}

/// Writes each name asked for to the file of the process. It looks through the variables itself, as
/// the real one does.
const PRELOAD: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
static char *find(const char *name) {
    size_t length = strlen(name);
    for (char **one = environ; one && *one; one++)
        if (strncmp(*one, name, length) == 0 && (*one)[length] == '=') return *one + length + 1;
    return NULL;
}
static char *look(const char *name) {
    const char *directory = find("OBSERVER_DIRECTORY");
    if (directory && strchr(name, '\n') == NULL) {
        char text[4096];
        snprintf(text, sizeof text, "%s/%d", directory, (int)getpid());
        int file = open(text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (file >= 0) {
            int length = snprintf(text, sizeof text, "%s\n", name);
            if (write(file, text, length)) {}
            close(file);
        }
    }
    return find(name);
}
char *getenv(const char *name) { return look(name); }
char *secure_getenv(const char *name) { return look(name); }
char *__libc_secure_getenv(const char *name) { return look(name); }
"#;

impl Observer {
    /// Prepares a directory for it.
    pub(crate) fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("variables")).unwrap();
        let (source, preload) = (directory.join("getenv.c"), directory.join("getenv.so"));
        std::fs::write(&source, PRELOAD).unwrap();
        succeed(
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&preload).arg(&source),
        );
        Self { directory: directory.to_path_buf(), preload }
    }

    /// Files of its own that it reads and writes in the processes.
    pub(crate) fn is_own(&self, path: &Path) -> bool {
        path.starts_with(&self.directory)
    }

    /// Runs a command, which must succeed, and tells what was seen.
    pub(crate) fn observe(&self, command: &Command) -> Trace {
        let log = self.directory.join("strace.log");
        let variables = self.directory.join("variables");
        for entry in std::fs::read_dir(&variables).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let directory = command.get_current_dir().unwrap();
        // Only the command is to be observed, not strace.
        let mut preload = std::ffi::OsString::from("LD_PRELOAD=");
        preload.push(&self.preload);
        let mut run = Command::new("strace");
        run.args([
            "-f",
            "-y",
            "-qq",
            "--seccomp-bpf",
            "-s",
            "4096",
            "-e",
            "trace=%file,%process",
            "-e",
            "signal=none",
            "-o",
        ]);
        run.arg(&log)
            .arg("-E")
            .arg(preload)
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(directory);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        succeed(run.env("OBSERVER_DIRECTORY", &variables));
        let mut trace =
            Trace::parse(&String::from_utf8_lossy(&std::fs::read(&log).unwrap()), directory);
        for entry in std::fs::read_dir(&variables).unwrap() {
            let entry = entry.unwrap();
            let pid = entry.file_name().to_str().unwrap().parse().unwrap();
            let names = std::fs::read_to_string(entry.path()).unwrap();
            trace
                .processes
                .entry(pid)
                .or_default()
                .variables
                .extend(names.lines().map(str::to_owned));
        }
        trace
    }
}

impl Trace {
    fn parse(text: &str, directory: &Path) -> Self {
        let calls = whole_calls(text);
        let mut trace = Self::default();
        for (pid, call) in &calls {
            trace.processes.entry(*pid).or_default();
            if ["clone", "fork", "vfork"].iter().any(|start| call.starts_with(start))
                && let Some(child) = call
                    .rsplit_once("= ")
                    .and_then(|(_, result)| result.split_whitespace().next()?.parse().ok())
            {
                trace.processes.entry(child).or_default().parent = Some(*pid);
            }
        }
        let mut directories: BTreeMap<u32, PathBuf> = BTreeMap::new();
        for (pid, call) in &calls {
            let inherited = || {
                let of_ancestor =
                    trace.ancestors(*pid).find_map(|ancestor| directories.get(&ancestor));
                of_ancestor.map_or(directory, PathBuf::as_path).to_path_buf()
            };
            let here = directories.get(pid).cloned().unwrap_or_else(inherited);
            directories.insert(*pid, here.clone());
            let Some(call) = Call::parse(call) else { continue };
            if call.name == "chdir" && call.ok {
                directories.insert(*pid, here.join(&call.paths[0].1));
            }
            let process = trace.processes.get_mut(pid).unwrap();
            if call.name.starts_with("execve") && call.ok {
                process.programs.push(normal(&here.join(&call.paths[0].1)));
            }
            process.accesses.extend(call.accesses(&here));
        }
        trace
    }

    fn ancestors(&self, pid: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(pid), |pid| {
            self.processes.get(pid).and_then(|process| process.parent)
        })
    }

    /// The name of the program that a process is, or whose thread it is. gcc's has the name that it
    /// is called by.
    pub(crate) fn program(&self, pid: u32) -> String {
        let program = self.ancestors(pid).find_map(|pid| self.processes.get(&pid)?.programs.last());
        program
            .and_then(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// A process and all that it started.
    pub(crate) fn tree(&self, root: u32) -> Vec<(u32, &Process)> {
        self.processes
            .iter()
            .filter(|(pid, _)| self.ancestors(**pid).any(|one| one == root))
            .map(|(pid, process)| (*pid, process))
            .collect()
    }

    /// The processes that became a program of this name, and were not made by another of these.
    pub(crate) fn roots(&self, names: &[&str]) -> Vec<u32> {
        let is_one = |pid: u32| {
            let programs = self
                .processes
                .get(&pid)
                .map(|process| process.programs.as_slice())
                .unwrap_or_default();
            programs.iter().any(|program| {
                names.iter().any(|name| program.file_name().is_some_and(|found| found == *name))
            })
        };
        self.processes
            .keys()
            .copied()
            .filter(|pid| is_one(*pid) && !self.ancestors(*pid).skip(1).any(is_one))
            .collect()
    }
}

/// All calls in their order, those joined that were interrupted by other processes' lines.
fn whole_calls(text: &str) -> Vec<(u32, String)> {
    let mut begun: BTreeMap<u32, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let (Ok(pid), rest) = (pid.parse::<u32>(), rest.trim_start()) else { continue };
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start.to_owned());
        } else if let Some(end) = rest.strip_prefix("<... ") {
            let (Some(start), Some((_, end))) = (begun.remove(&pid), end.split_once("resumed>"))
            else {
                continue;
            };
            calls.push((pid, start + end));
        } else {
            calls.push((pid, rest.to_owned()));
        }
    }
    calls
}

struct Call {
    name: String,
    /// Each with the directory that it is relative to, if that is not the process's own.
    paths: Vec<(Option<PathBuf>, PathBuf)>,
    arguments: String,
    ok: bool,
    error: Option<String>,
}

impl Call {
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let ok = !result.starts_with("-1");
        let error = (!ok).then(|| result.split_whitespace().nth(1).unwrap_or_default().to_owned());
        let (mut paths, mut at) = (Vec::new(), 0);
        while let Some(start) = arguments[at..].find('"').map(|found| at + found) {
            let (path, length) = unquoted(&arguments[start + 1..])?;
            // `3</directory>, "name"`
            let before = arguments[..start].trim_end().trim_end_matches(',');
            let directory = before
                .strip_suffix('>')
                .and_then(|before| Some(PathBuf::from(&before[before.rfind('<')? + 1..])));
            paths.push((directory, PathBuf::from(path)));
            at = start + 1 + length;
            if name.starts_with("execve") {
                break;
            }
        }
        (!paths.is_empty()).then(|| Self {
            name: name.to_owned(),
            paths,
            arguments: arguments.to_owned(),
            ok,
            error,
        })
    }

    fn accesses(&self, here: &Path) -> Vec<(Access, PathBuf)> {
        const WRITES: &[&str] = &[
            "rename", "link", "unlink", "rmdir", "mkdir", "symlink", "mknod", "chmod", "fchmodat",
            "chown", "utime", "truncate", "setxattr",
        ];
        let opened_to_write = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
            .iter()
            .any(|flag| self.arguments.contains(flag));
        let is_written = WRITES.iter().any(|name| self.name.starts_with(name))
            || self.name == "creat"
            || self.name.starts_with("open") && opened_to_write;
        let access = match self.error.as_deref() {
            None if is_written => Access::Written,
            Some("ENOENT" | "ENOTDIR") => Access::Missing,
            // It is there; with another error it is something else.
            _ => Access::Found,
        };
        // A name read from a link is no path that was asked for.
        let count =
            if self.name.starts_with("readlink") || !is_written { 1 } else { self.paths.len() };
        let paths = self.paths.iter().take(count).filter(|(_, path)| !path.as_os_str().is_empty());
        paths
            .map(|(directory, path)| {
                (access, normal(&directory.as_deref().unwrap_or(here).join(path)))
            })
            .collect()
    }
}

/// A string as strace writes it, up to the quote that ends it; and how long it was there.
fn unquoted(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let (mut value, mut at) = (Vec::new(), 0);
    loop {
        match *bytes.get(at)? {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), at + 1)),
            b'\\' => {
                let digits: String = text[at + 1..]
                    .chars()
                    .take(3)
                    .take_while(|letter| ('0'..='7').contains(letter))
                    .collect();
                if digits.is_empty() {
                    value.push(match bytes.get(at + 1)? {
                        b'n' => b'\n',
                        b't' => b'\t',
                        other => *other,
                    });
                    at += 2;
                } else {
                    value.push(u8::from_str_radix(&digits, 8).ok()?);
                    at += 1 + digits.len();
                }
            }
            byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

/// A path without `.` and `..`; links are not looked at.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}
