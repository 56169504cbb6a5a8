//! Ctrl-C and termination requests, as a value that long work asks for.
//!
//! The handlers only store the signal's number. Code that waits for something polls [`pending`] and
//! ends what it started; `main` then exits with 128 + the number (130 for Ctrl-C, 143 for SIGTERM),
//! as shells do.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Starts listening. A second signal of the same kind while the first is being handled changes
/// nothing: the grace period is bounded.
#[cfg(unix)]
pub(crate) fn listen() -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let flag = SIGNAL.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).expect("signal numbers are small");
        signal_hook::flag::register_usize(signal, Arc::clone(flag), number)?;
    }
    Ok(())
}

/// Starts listening. Ctrl-C reaches all processes of a console, what we have started among them; what
/// does not end by that ends with us.
#[cfg(windows)]
pub(crate) fn listen() -> std::io::Result<()> {
    SIGNAL.get_or_init(Arc::default);
    crate::process::windows::contain_all()?;
    crate::process::windows::on_ctrl_c(|| {
        if let Some(flag) = SIGNAL.get() {
            flag.store(Signal::KEYBOARD.0.into(), Ordering::Relaxed);
        }
    })
}

/// The signal that asks us to stop, if one came.
pub(crate) fn pending() -> Option<Signal> {
    match SIGNAL.get()?.load(Ordering::Relaxed) {
        0 => None,
        number => Some(Signal(u8::try_from(number).unwrap_or(u8::MAX))),
    }
}

/// A request to stop, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal(u8);

impl Signal {
    /// Ctrl-C, when somebody else has seen it.
    pub(crate) const KEYBOARD: Self = Self(2);

    #[cfg(unix)]
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    /// What a shell would report: 128 + the signal's number.
    pub(crate) fn exit_code(self) -> u8 {
        128u8.saturating_add(self.0)
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => f.write_str("SIGHUP"),
            2 => f.write_str("SIGINT"),
            15 => f.write_str("SIGTERM"),
            other => write!(f, "signal {other}"),
        }
    }
}

/// The exit code for a child that a signal ended.
pub(crate) fn exit_code_of(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Signal(u8::try_from(number).unwrap_or(u8::MAX)).exit_code();
    }
    // STATUS_CONTROL_C_EXIT
    #[cfg(windows)]
    if status.code() == Some(0xC000_013A_u32.cast_signed()) {
        return Signal::KEYBOARD.exit_code();
    }
    u8::from(!status.success())
}
