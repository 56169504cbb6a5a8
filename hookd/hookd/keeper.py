"""What runs in a keeper? One import of a backend, then one forked process for each hook; and the frames to hookd."""

from __future__ import annotations

import gc
import marshal
import os
import signal
import sys
import time
from typing import Any, NoReturn, Sequence

from hookd import hook, processes
from hookd.wire import Refused

#: Who has started hookd.
CLIENT_GROUP = processes.client_group()


def send_frame(descriptor: int, frame: tuple[Any, ...]) -> None:
    data = marshal.dumps(frame)
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(descriptor, data) :]


def read_frame(descriptor: int) -> tuple[Any, ...] | None:
    """:return: Nothing at end of file, which means that the other side is gone."""
    data, size = b"", 4
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            return None
        data += more
        if len(data) == 4:  # noqa: PLR2004 - the length has been read
            size += int.from_bytes(data, "little")
    frame: tuple[Any, ...] = marshal.loads(data[4:])
    return frame


class Keeper:
    """
    A process that has imported a backend, or the plain one, which has not.

    :param jobs: The pipe that frames from hookd come through.
    :param reports: The pipe for frames to hookd.
    :param outputs: Pipes for the output of hooks, inherited from hookd.
    :param hookd: The process that has forked this one.
    :param base: hookd's environment, which the client's variables lie over.
    """

    def __init__(self, jobs: int, reports: int, outputs: Sequence[int], hookd: int, base: dict[str, str]) -> None:
        self.jobs = jobs
        self.reports = reports
        self.outputs = outputs
        self.hookd = hookd
        self.base = base
        self.pid = os.getpid()
        self.overlay: dict[str, str | None] = {}
        #: The hook process that runs.
        self.hook = 0
        #: Whether the hook was ended because it cannot have the terminal.
        self.wants_terminal = False
        #: What hookd would remove at its end.
        self.litter: list[str] = []

    def serve(self) -> NoReturn:
        """Runs hooks until hookd closes the pipe."""
        processes.die_with(self.hookd, signal.SIGTERM)
        hook.look_like_python_c()
        # Streams remember whether they can seek: the null device can, and a pipe, where hooks write, cannot.
        reader, writer = os.pipe()
        hook.redirect(writer, writer)
        hook.open_streams()
        hook.redirect(os.devnull, os.devnull)
        os.close(reader)
        os.close(writer)
        while True:
            frame = read_frame(self.jobs)
            if frame is None:
                hook.leave(None, "")
            if frame[0] == "import":
                self.import_ahead(frame[1])
            elif frame[0] == "run":
                self.run(frame[1])
            # Anything else was meant for a hook process that had ended in the meantime.

    def import_ahead(self, job: dict[str, Any]) -> None:
        start = time.monotonic()
        try:
            self.prepare(job)
            # What an import makes is there to stay. Without searches for garbage in it, in the import and in each hook,
            # the two hooks of a setuptools wheel take 11 % less (434 ms of processor time instead of 488).
            gc.disable()
            hook.import_backend(job["module"])
            problems = [problem for problem in map(hook.preload, job["preload"]) if problem]
            gc.enable()
            if sys.implementation.name == "cpython":
                gc.freeze()
        except Refused as refused:
            frame: tuple[Any, ...] = ("refused", *refused.verdict[1:])
        except BaseException as error:
            frame = ("refused", "HookRuntimeError", f"cannot prepare the import: {hook.in_words(error)}", "")
        else:
            threads = processes.count_threads()
            frame = ("threads",) if threads > 1 else ("imported", time.monotonic() - start, problems)
        # Otherwise each hook process would write it once more.
        hook.flush_streams()
        hook.redirect(os.devnull, os.devnull)
        send_frame(self.reports, frame)
        if frame[0] != "imported":
            hook.leave(None, "")

    def prepare(self, job: dict[str, Any]) -> None:
        """Gives this process the output, the environment and the directory of a job."""
        hook.redirect(job["stdout"], job["stderr"])
        for name in {**self.overlay, **job["environ"]}:
            # What is the same in both is left alone: the import may have changed it, as it may in `python -c`.
            old, new = self.effective(name, self.overlay), self.effective(name, job["environ"])
            if new is None and old is not None:
                os.environ.pop(name, None)
            elif new is not None and new != old:
                os.environ[name] = new
        self.overlay = job["environ"]
        sys.dont_write_bytecode = sys.dont_write_bytecode or bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
        try:
            os.chdir(job["source_tree"])
        except OSError as error:
            raise Refused("HookRuntimeError", f"cannot enter the source tree: {error}") from None

    def effective(self, name: str, overlay: dict[str, str | None]) -> str | None:
        return overlay[name] if name in overlay else self.base.get(name)

    def run(self, job: dict[str, Any]) -> None:
        """Has a hook process run a hook, and sees it end. Its group is hookd's to clear."""
        self.litter = job["litter"]
        previous = signal.signal(signal.SIGTERM, self.abandon)
        before = signal.SIG_DFL if previous is None else previous
        try:
            self.hook = processes.fork(lambda: signal.signal(signal.SIGTERM, before), lambda: self.become_hook(job))
            status, usage = self.wait()
            processes.pass_terminal(self.hook, CLIENT_GROUP)
            frame: tuple[Any, ...] = ("ended", status, usage)
            if self.wants_terminal:
                words = "it cannot read from the terminal"
                frame = ("refused", "HookRuntimeError", words, "")
        except OSError as error:
            frame = ("refused", "HookRuntimeError", f"cannot fork: {error}", "")
        finally:
            self.hook = 0
            self.wants_terminal = False
            signal.signal(signal.SIGTERM, before)
        send_frame(self.reports, frame)

    def attend(self) -> None:
        """
        Sees the hook process end.

        ssh, gpg and others ask at the terminal, and the kernel stops a hook in the background for that: it gets the
        terminal if that is the client's, and is ended if it is not.
        """
        while True:
            state = os.waitid(os.P_PID, self.hook, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
            if state is None or state.si_code != processes.CLD_STOPPED:
                return
            os.waitid(os.P_PID, self.hook, os.WSTOPPED | os.WNOHANG)
            if state.si_status in (signal.SIGTTIN, signal.SIGTTOU):
                lent = processes.pass_terminal(CLIENT_GROUP, self.hook)
                if not (lent or processes.pass_terminal(self.hook, self.hook)):
                    self.wants_terminal = True
                    processes.signal_group(self.hook, signal.SIGKILL)
                    continue
            elif state.si_status != signal.SIGTSTP or not processes.pass_terminal(self.hook, self.hook):
                continue  # somebody has stopped it by hand
            processes.signal_group(self.hook, signal.SIGCONT)

    def wait(self) -> tuple[int, tuple[float, float, int] | None]:
        """Waits for the end of the hook process: its status, and what it has used."""
        try:
            if hasattr(os, "waitid"):
                self.attend()
            _, status, usage = os.wait4(self.hook, 0)
        except ChildProcessError:
            return 0, None  # the backend's import ignores SIGCHLD: the status is lost, the verdict is not
        scale = 1 if sys.platform == "darwin" else 1024
        return status, (usage.ru_utime, usage.ru_stime, usage.ru_maxrss * scale)

    def abandon(self, _number: int, _frame: object) -> None:
        """Ends the hook and this process, because hookd is dead: SIGTERM says so (PR_SET_PDEATHSIG)."""
        if self.hook:
            processes.clear_group(self.hook, time.monotonic() + processes.LEFTOVER_SECONDS)
        processes.remove(self.litter)
        os._exit(1)

    def become_hook(self, job: dict[str, Any]) -> NoReturn:
        """The hook process, from fork to exit."""
        try:
            processes.die_with(self.pid, signal.SIGKILL)
            hook.forget_exit_handlers()
            send_frame(self.reports, ("started", os.getpid()))
            # hookd tells the client first whom it may have to kill.
            if read_frame(self.jobs) is None:
                os._exit(1)
            self.prepare(job)
            for descriptor in (self.jobs, self.reports, *self.outputs):
                os.close(descriptor)
            if job["fresh"]:
                self.become_interpreter(job)
            verdict = hook.perform(job)
        except Refused as refused:
            verdict = refused.verdict
        except BaseException as error:
            verdict = ("error", "HookRuntimeError", f"cannot prepare the hook: {hook.in_words(error)}", "")
        hook.leave(verdict, job["report"])

    def become_interpreter(self, job: dict[str, Any]) -> NoReturn:
        environ = {**self.base, **job["environ"]}
        command = processes.interpreter_command(job["report"])
        environ = {name: value for name, value in environ.items() if value is not None}
        os.execve(command[0], command, environ)  # noqa: S606
