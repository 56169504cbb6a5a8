"""How do hooks run without ``fork`` (Windows, GraalPy)? Each in a new interpreter, which is looked after in turns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from hookd import processes
from hookd.daemon import Daemon
from hookd.wire import Client

#: How soon output and a cancellation are noticed, and a signal on Windows, where it does not interrupt a wait.
TICK_SECONDS = 0.05
#: Pieces of output that are passed on before anything else is looked at.
CHUNKS_PER_TICK = 128


class ThreadedClient(Client):
    """Has a thread read the input: Windows cannot select on pipes."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.listen()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        while not self.eof:
            self.fill()
            self.arrived.set()

    def wait_for_input(self) -> None:
        self.arrived.wait(TICK_SECONDS)
        self.arrived.clear()

    def flush(self) -> None:
        while self.pending and not self.deaf:
            try:
                del self.pending[: os.write(self.output, self.pending)]
            except OSError:
                self.deaf = True
        self.pending.clear()


class SpawnDaemon(Daemon):
    """Runs each hook in a new interpreter, which any Python can do."""

    def __init__(self, client: Client, source_tree: str) -> None:
        super().__init__(client, source_tree)
        #: Files that get output which is passed on as messages.
        self.streams: list[str] = []

    def import_ahead(self, _module: str) -> None:
        self.debug("not imported ahead: there is no fork here, each hook gets a new interpreter")

    def run_hook(self, job: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        self.debug("a new interpreter runs this hook: there is no fork here")
        self.write_job(job)
        environ = {name: value for name, value in {**self.base, **self.environ}.items() if value is not None}
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        command = processes.interpreter_command(job["report"])
        with open(job["stdout"], "ab") as stdout, open(job["stderr"], "ab") as stderr:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environ, **options
            )
        windows_job = processes.WindowsJob(process) if sys.platform == "win32" else None
        if "CHILD" in self.messages:
            self.client.say("CHILD", str(process.pid))
        self.client.flush()
        status = self.attend(process, windows_job)
        if windows_job:
            windows_job.kill()
            windows_job.close()
        else:
            processes.clear_group(process.pid, self.clear_deadline())
        if status < 0:
            return self.verdict_on(processes.status_in_words(-status)), None
        code = f" ({status:#x})" if sys.platform == "win32" else ""
        return self.verdict_on(f"exited with status {status}{code}"), None

    def attend(self, process: subprocess.Popen[bytes], windows_job: processes.WindowsJob | None) -> int:
        """
        Passes on what a hook process writes, and ends it when it has to.

        :return: Its exit status; a signal's number is negative.
        """
        while True:
            pending = [reader for reader in self.readers if self.pass_on(reader, CHUNKS_PER_TICK)]
            try:
                return process.wait(0 if pending else TICK_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            if not self.reason:
                self.reason = self.why_end()
                if self.reason:
                    self.deadline = time.monotonic() + self.grace_seconds
                    terminate(process.pid)
            elif time.monotonic() >= self.deadline and windows_job:
                windows_job.kill()
            elif time.monotonic() >= self.deadline:
                process.kill()

    def open_output_stream(self, job: dict[str, Any]) -> None:
        """Files, as Windows cannot select on pipes."""
        for number, name in ((1, "stdout"), (2, "stderr")):
            reader, job[name] = self.make_file(name)
            self.streams.append(job[name])
            self.add_reader(reader, number)

    def close_output(self) -> None:
        readers = list(self.readers)
        super().close_output()
        for reader in readers:
            os.close(reader)
        processes.remove(self.streams)
        self.streams.clear()


def terminate(group: int) -> None:
    """Asks a hook process, and what it has started, to end."""
    if sys.platform != "win32":
        processes.signal_group(group, signal.SIGTERM)
        return
    try:
        os.kill(group, signal.CTRL_BREAK_EVENT)
    except OSError:
        pass  # no console to send it through: the grace period passes
