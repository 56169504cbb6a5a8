//! Process groups: waiting for one, and ending it.

#[cfg(target_os = "linux")]
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::{Error, TICK};
use crate::terminal::Stop;
use crate::{interrupt, terminal};

/// A running child and its process group.
#[derive(Debug)]
pub(crate) struct Group {
    pub child: Child,
    pub(super) command: String,
    /// Whether it has had the terminal, where Ctrl-C went to it.
    pub(super) had_terminal: bool,
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
            match terminal::stop_of(&self.child) {
                Some(Stop::Suspended) if self.had_terminal => terminal::suspend(&self.child),
                Some(Stop::Wants) => {
                    self.had_terminal = terminal::lend_to(&self.child);
                    if !self.had_terminal {
                        // While it is stopped, it reacts to nothing else.
                        signal_group(&self.child, Kill::Kill);
                        return Err(Error::Terminal { command: self.command.clone() });
                    }
                }
                _ => {}
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
pub(super) fn await_end(child: &Child, longest: Duration) {
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
pub(super) fn hand_on(child: &Child, signal: Option<interrupt::Signal>) {
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
pub(super) fn hand_on(_child: &Child, _signal: Option<interrupt::Signal>) {}

/// The signals we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    Term,
    Kill,
}

#[cfg(unix)]
pub(super) fn signal_group(child: &Child, kill: Kill) {
    if let Ok(id) = i32::try_from(child.id()) {
        signal_group_id(id, kill);
    }
}

#[cfg(not(unix))]
pub(super) fn signal_group(_child: &Child, _kill: Kill) {}

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
pub(crate) fn signal_group_id(_id: i32, _kill: Kill) {}

/// A process group of its own; on Linux the child is also killed when we die without a chance to
/// end it.
#[cfg(unix)]
pub(super) fn isolate(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    #[expect(unsafe_code, reason = "the standard library offers no safe way to set a disposition")]
    // SAFETY: between fork and exec the closure makes two plain system calls; it allocates nothing
    // and takes no lock.
    unsafe {
        command.pre_exec(|| {
            // A process that ignores these, as under `bash -ic`, gets an error from the terminal in a group
            // in the background, and is not stopped, so that nobody could lend it.
            libc::signal(libc::SIGTTIN, libc::SIG_DFL);
            libc::signal(libc::SIGTTOU, libc::SIG_DFL);
            Ok(())
        });
    }
    die_with_us(command);
}

#[cfg(not(unix))]
pub(super) fn isolate(_command: &mut Command) {}

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
pub(crate) fn die_with_us(_command: &mut Command) {}
