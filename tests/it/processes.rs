//! The processes of a run: who lives, who is to be signalled, who must be gone.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// A variable that all processes of one run inherit.
pub(crate) const MARK: &str = "PYENV_BUILD_TEST_MARK";
/// When a test gives up. Nothing that works comes near.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A living process.
#[derive(Debug)]
pub(crate) struct Process {
    pub pid: u32,
    pub parent: u32,
    /// As `ps` shows it.
    pub command: String,
}

/// Living processes that have this value of [`MARK`].
pub(crate) fn processes(mark: &str) -> Vec<Process> {
    let wanted = format!("{MARK}={mark}");
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environ = std::fs::read(entry.path().join("environ")).ok()?;
            if !environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
                return None;
            }
            let command =
                String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).ok()?)
                    .replace('\0', " ");
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // `pid (name) state parent`, and a name may have anything in it.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some(Process { pid, parent, command })
        })
        .collect()
}

/// Their command lines.
pub(crate) fn census(mark: &str) -> Vec<String> {
    processes(mark).into_iter().map(|process| process.command).collect()
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn kill(child: &Child, signal: Signal) {
    rustix::process::kill_process(pid(child.id()), signal).unwrap();
}

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}
