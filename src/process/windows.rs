//! Windows has no process groups that could be ended. We and all that we start are in one job object
//! instead, whose processes end with its last handle, which is ours: also when we are killed.

use std::ffi::c_void;
use std::io;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// The job, as a number: a handle is no `Sync`.
static JOB: OnceLock<isize> = OnceLock::new();

/// To be called once, before anything is started. A machine where it fails ends what we start as it
/// does for any other program.
pub(crate) fn contain_all() -> io::Result<()> {
    #[expect(unsafe_code, reason = "the standard library has no job objects")]
    // SAFETY: no pointer is kept; the handle is checked, and lives as long as we do.
    let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if job.is_null() {
        return Err(io::Error::last_os_error());
    }
    limit(job, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)?;
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: both handles are ours and valid.
    let assigned = unsafe { AssignProcessToJobObject(job, GetCurrentProcess()) };
    checked(assigned)?;
    JOB.get_or_init(|| job as isize);
    Ok(())
}

/// Lets live on what is still running, such as the server of a compile cache. To be called at the
/// end of a command that was not interrupted.
pub(crate) fn release_all() {
    if let Some(job) = JOB.get() {
        let _ = limit(*job as HANDLE, 0);
    }
}

fn limit(job: HANDLE, flags: u32) -> io::Result<()> {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = flags;
    let size = u32::try_from(size_of_val(&limits)).expect("a few bytes");
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: the structure is the one that the class names, and outlives the call.
    let set = unsafe {
        SetInformationJobObject(
            job,
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast::<c_void>(),
            size,
        )
    };
    checked(set)
}

/// Has Ctrl-C and Ctrl-Break call `note`, in a thread of the system's, and nothing else.
pub(crate) fn on_ctrl_c(note: fn()) -> io::Result<()> {
    static NOTE: OnceLock<fn()> = OnceLock::new();
    #[expect(unsafe_code, reason = "the system calls it")]
    unsafe extern "system" fn handle(event: u32) -> i32 {
        let is_ours = event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT;
        if let (true, Some(note)) = (is_ours, NOTE.get()) {
            note();
        }
        i32::from(is_ours)
    }
    NOTE.get_or_init(|| note);
    #[expect(unsafe_code, reason = "the standard library has no way to handle Ctrl-C")]
    // SAFETY: the handler is a function of ours that allocates nothing.
    let set = unsafe { SetConsoleCtrlHandler(Some(handle), 1) };
    checked(set)
}

fn checked(success: i32) -> io::Result<()> {
    if success == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
