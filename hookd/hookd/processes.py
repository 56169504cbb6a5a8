"""What can be done to processes: process groups, the terminal, and what the system says of an end."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, Callable, Iterable, Iterator, NoReturn

from hookd.wire import ENDING_SIGNALS, Refused

#: What a finished hook has left in its group gets this long after SIGTERM.
LEFTOVER_SECONDS = 1.0
#: How long a process may take to go after SIGKILL before we stop waiting for it.
KILL_SECONDS = 5.0
#: Pauses between two looks at a process that is about to end: the first one, and the longest.
SHORTEST_PAUSE = 0.0005
LONGEST_PAUSE = 0.05

#: The exit status of a process of ours that could not do its work (of sysexits.h).
EX_SOFTWARE = 70
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
#: Of waitid; the module has it since Python 3.9.
CLD_STOPPED = 5

_prctl: Callable[[int, int], int] | None = None


def become_subreaper() -> None:
    """
    Has Linux give us what a dead hook leaves behind, so that it is reaped: init of a container may not do that.

    Also prepares `die_with`. Without ctypes descendants may outlive a killed hookd.
    """
    global _prctl  # noqa: PLW0603 - there is one kernel
    if _prctl is not None or not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        function = ctypes.CDLL(None).prctl
        function.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    except (ImportError, OSError, AttributeError):
        return

    def call(option: int, value: int) -> int:
        return int(function(option, value, 0, 0, 0))

    _prctl = call
    call(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int, number: int) -> None:
    """Asks to be sent a signal when the parent dies; exits if that has happened already."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def fork(listen: Callable[[], object], become: Callable[[], NoReturn]) -> int:
    """
    Forks a process that leads its own group.

    :param listen: Gives the new process its signal handlers.
    :param become: What it does from then on.
    :raises OSError: There can be no more processes.
    """
    # Python forgets signals that reach a forked child early; the mask keeps them until it listens.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        process = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    if process == 0:
        try:
            os.setpgid(0, 0)
            listen()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            become()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            os._exit(EX_SOFTWARE)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        os.setpgid(process, process)
    except OSError:
        pass  # it has done so itself
    return process


def signal_group(group: int, number: int) -> bool:
    """:return: Whether there was a process to signal."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says so of a group that holds only zombies; elsewhere it is a set-uid program.
        return sys.platform != "darwin"
    return True


def pauses() -> Iterator[float]:
    """Seconds between two looks at a process that is about to end."""
    pause = SHORTEST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE)


def clear_group(group: int, deadline: float, wait: Callable[[float], object] = time.sleep) -> None:
    """
    Ends what is left of a group whose leader has ended: SIGTERM, and SIGKILL at the deadline.

    :param wait: What to do for so many seconds.
    """
    signal_group(group, signal.SIGTERM)
    for pause in pauses():
        try:
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass  # one that we have adopted
        except ChildProcessError:
            pass
        now = time.monotonic()
        if now >= deadline:
            signal_group(group, signal.SIGKILL)
        if not signal_group(group, 0) or now >= deadline + KILL_SECONDS:
            return
        wait(pause)


def client_group() -> int:
    """:return: The process group of hookd's parent, which may have the terminal; 0 if that is not known."""
    try:
        return os.getpgid(os.getppid())
    except (AttributeError, OSError):  # Windows has none
        return 0


def pass_terminal(giver: int, taker: int) -> bool:
    """Hands the terminal from one process group to another. Returns whether it was the giver's."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False
    # A group in the background is stopped when it does this, unless it blocks the signal.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        if os.tcgetpgrp(terminal) != giver:
            return False
        os.tcsetpgrp(terminal, taker)
    except OSError:
        return False
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(terminal)
    return True


def remove(paths: Iterable[str]) -> None:
    """Removes files and directories, as far as that can be done."""
    import shutil

    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)


def count_threads() -> int:
    """Threads of this process, including those that Python does not know of where the system tells."""
    threading = sys.modules.get("threading")
    count: int = threading.active_count() if threading else 1
    try:
        return max(count, len(os.listdir("/proc/self/task")))
    except OSError:
        return count


def status_in_words(status: int) -> str:
    """Puts a ``wait`` status into words."""
    if not os.WIFSIGNALED(status):
        return f"exited with status {os.WEXITSTATUS(status)}"
    return f"was killed by {signal_name(os.WTERMSIG(status))}"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def interpreter_command(report: str) -> list[str]:
    """
    A command that runs one hook in a new interpreter, with this interpreter's own flags.

    :raises Refused: We do not know where the interpreter, or this package, is.
    """
    import subprocess

    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    if not sys.executable or not os.path.isfile(program):
        raise Refused("HookRuntimeError", "cannot start a new interpreter: its path, or that of hookd, is unknown")
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, program, "--hook", report]


class WindowsJob:
    """
    A job object: the system ends its members when hookd ends, whatever the reason, or when it is asked to.

    :param process: A `subprocess.Popen` whose interpreter is still starting, and so has no children yet.
    """

    def __init__(self, process: Any) -> None:
        import ctypes

        # JOBOBJECT_EXTENDED_LIMIT_INFORMATION; of all its fields we set one, after two times of 8 bytes.
        kill_on_job_close = (0x2000).to_bytes(4, "little")
        limits = (bytes(16) + kill_on_job_close).ljust(144 if sys.maxsize > 2**32 else 112, b"\0")
        self.kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
        self.kernel.CreateJobObjectW.restype = ctypes.c_void_p
        self.job = ctypes.c_void_p(self.kernel.CreateJobObjectW(None, None))
        self.kernel.SetInformationJobObject(self.job, 9, limits, len(limits))
        self.kernel.AssignProcessToJobObject(self.job, ctypes.c_void_p(int(process._handle)))

    def kill(self) -> None:
        self.kernel.TerminateJobObject(self.job, 1)

    def close(self) -> None:
        self.kernel.CloseHandle(self.job)
