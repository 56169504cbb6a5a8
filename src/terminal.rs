//! The terminal, from which one process group at a time may read.
//!
//! ssh, git, gpg and sudo ask for pass phrases at `/dev/tty`. What we start is in a process group
//! of its own, and the kernel stops a group in the background that wants to read from the terminal
//! (SIGTTIN). So the process that waits for such a group lends it the terminal, if that is ours,
//! and continues it; afterwards we take it back. Ctrl-C reaches us as before, except while the
//! terminal is lent: then it reaches who asks.
//!
//! For hooks, which are not our children, hookd does the same, but for Ctrl-Z: a hook goes on.

#[cfg(unix)]
use std::fs::File;
#[cfg(unix)]
use std::process::Child;

#[cfg(unix)]
use rustix::process::{Pid, WaitId, WaitIdOptions, getpgrp};
#[cfg(unix)]
use rustix::termios::{tcgetpgrp, tcsetpgrp};

#[cfg(unix)]
fn terminal() -> Option<File> {
    fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()
        .map(fs_err::File::into_file)
}

/// The number of a child, and of the group that it leads.
#[cfg(unix)]
fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Why a child was stopped.
#[cfg_attr(not(unix), expect(dead_code, reason = "nothing is stopped there"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It wants the terminal.
    Wants,
    /// The user pressed Ctrl-Z.
    Suspended,
}

/// Whether a child was stopped since it was last asked.
#[cfg(unix)]
pub(crate) fn stop_of(child: &Child) -> Option<Stop> {
    let pid = pid_of(child)?;
    let stopped =
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
    match stopped.ok().flatten()?.stopping_signal()? {
        libc::SIGTTIN | libc::SIGTTOU => Some(Stop::Wants),
        libc::SIGTSTP => Some(Stop::Suspended),
        _ => None,
    }
}

/// Hands Ctrl-Z on, which has reached a child that the terminal is lent to: our own group is
/// stopped, and the shell has the terminal until `fg`. In the background, the child goes on without
/// it.
#[cfg(unix)]
pub(crate) fn suspend(child: &Child) {
    let Some(group) = pid_of(child) else { return };
    take_back_from(group.as_raw_nonzero().get());
    let _ = rustix::process::kill_process_group(getpgrp(), rustix::process::Signal::TSTP);
    if !lend_to(child) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::CONT);
    }
}

/// Lends the terminal to the group that a child leads, and continues it. Whether the terminal was
/// ours to lend.
#[cfg(unix)]
pub(crate) fn lend_to(child: &Child) -> bool {
    let Some(group) = pid_of(child) else { return false };
    let Some(terminal) = terminal() else { return false };
    let foreground = tcgetpgrp(&terminal);
    if foreground != Ok(group) && foreground != Ok(getpgrp()) {
        return false;
    }
    crate::ui::step_aside();
    tcsetpgrp(&terminal, group).is_ok()
        && rustix::process::kill_process_group(group, rustix::process::Signal::CONT).is_ok()
}

/// Whether somebody whom we have started has the terminal.
#[cfg(unix)]
pub(crate) fn is_lent(group: i32) -> bool {
    terminal().is_some_and(|terminal| tcgetpgrp(terminal).ok() == Pid::from_raw(group))
}

/// Takes the terminal back from a group that had it.
#[cfg(unix)]
pub(crate) fn take_back_from(group: i32) {
    if let Some(terminal) =
        terminal().filter(|terminal| tcgetpgrp(terminal).ok() == Pid::from_raw(group))
    {
        let own = getpgrp();
        // A group in the background is stopped when it does this, unless it ignores that.
        #[expect(unsafe_code, reason = "the standard library offers no way to ignore a signal")]
        // SAFETY: both calls set a disposition that has no handler; nobody else here sets that of
        // SIGTTOU.
        let before = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
        let _ = tcsetpgrp(&terminal, own);
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: as above.
        unsafe {
            libc::signal(libc::SIGTTOU, before)
        };
    }
}

/// Windows has consoles, which every process of one may read from.
#[cfg(not(unix))]
pub(crate) fn stop_of(_child: &std::process::Child) -> Option<Stop> {
    None
}

#[cfg(not(unix))]
pub(crate) fn suspend(_child: &std::process::Child) {}

#[cfg(not(unix))]
pub(crate) fn lend_to(_child: &std::process::Child) -> bool {
    false
}

#[cfg(not(unix))]
pub(crate) fn is_lent(_group: i32) -> bool {
    false
}

#[cfg(not(unix))]
pub(crate) fn take_back_from(_group: i32) {}
