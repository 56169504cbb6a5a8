"""How does hookd have keepers run hooks? It starts them, passes on output, and ends what has to be ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from hookd import processes
from hookd.daemon import Daemon
from hookd.keeper import Keeper, read_frame, send_frame
from hookd.wire import Refused, SelectClient

#: Variables that an interpreter reads when it starts, and that a process which runs already cannot follow.
START_VARIABLES = ("LC_ALL", "LC_CTYPE", "LANG")
#: How often a hookd that cannot see its client end (input from a file) looks who its parent is.
PARENT_POLL_SECONDS = 1.0


class KeeperLink:
    """hookd's end of a keeper."""

    def __init__(self, pid: int, jobs: int, reports: int) -> None:
        self.pid = pid
        self.jobs = jobs
        self.reports = reports

    def send(self, *frame: Any) -> None:
        try:
            send_frame(self.jobs, frame)
        except OSError:
            pass  # a keeper that is dead shows at the other pipe

    def close(self) -> None:
        os.close(self.jobs)
        os.close(self.reports)

    def bury(self) -> str:
        """Waits for the end of a keeper whose pipes have been closed. Returns how it ended."""
        deadline = time.monotonic() + processes.KILL_SECONDS
        for pause in processes.pauses():
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                break
            if pid:
                return processes.status_in_words(status)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(pause)
        return "is gone"


class ForkDaemon(Daemon):
    """Runs hooks in forks of keepers."""

    client: SelectClient

    def __init__(self, client: SelectClient, source_tree: str) -> None:
        super().__init__(client, source_tree)
        #: By module; the plain one has no name.
        self.keepers: dict[str, KeeperLink] = {}
        #: Modules whose import leaves threads behind.
        self.threaded: set[str] = set()
        #: Where output comes from that is passed on as messages: its number, and the end that hooks write to. The pipes
        #: are there before any keeper, which inherits them.
        self.pipes: dict[int, tuple[int, int]] = {}
        for number in (1, 2):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self.pipes[reader] = (number, writer)
        #: Whether the hook that is being ended has had SIGKILL.
        self.killed = False

    def import_ahead(self, module: str) -> None:
        if self.backend_path:
            self.debug("a backend in the source tree is not imported ahead")
            return
        job = self.job(module)
        reason = self.why_fresh(job)
        if reason:
            self.debug(f"not imported ahead: {reason}")
            return
        self.prepare_output(job, announce=False)
        try:
            self.keeper_with(job)
        finally:
            self.close_output()

    def run_hook(self, job: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        keeper: KeeperLink | None = None
        reason = self.why_fresh(job)
        if not reason and not job["backend_path"]:
            keeper = self.keeper_with(job)
            reason = self.why_fresh(job)
            if self.reason:
                return ("error",), None
        if reason:
            self.debug(f"a new interpreter runs this hook: {reason}")
            job["fresh"] = True
            self.write_job(job)
        if keeper is None:
            keeper = self.keepers.get("") or self.start_keeper("")
        keeper.send("run", job)
        return self.attend(keeper)

    def why_fresh(self, job: dict[str, Any]) -> str:
        """:return: Why a fork is not good enough for this hook, or nothing."""
        if self.isolation == "spawn":
            return "the client wants it so"
        if not job["backend_path"] and job["module"] in self.threaded:
            return f"the import of `{job['module']}` leaves threads behind"
        for name, value in self.environ.items():
            ours = name.startswith("PYTHON") and name != "PYTHONDONTWRITEBYTECODE" and not sys.flags.ignore_environment
            if (ours or name in START_VARIABLES) and value != self.base.get(name):
                return f"the interpreter reads `{name}` when it starts"
        return ""

    def start_keeper(self, module: str) -> KeeperLink:
        """Forks a keeper, which waits to be told what to do."""
        processes.become_subreaper()
        jobs, our_jobs = os.pipe()
        our_reports, reports = os.pipe()
        outputs = [writer for _, writer in self.pipes.values()]
        self.client.flush()
        hookd = os.getpid()

        def become() -> Any:
            for link in self.keepers.values():
                link.close()
            for descriptor in (our_jobs, our_reports, self.report_file, *self.pipes):
                os.close(descriptor)
            Keeper(jobs, reports, outputs, hookd, self.base).serve()

        try:
            pid = processes.fork(self.client.close, become)
        finally:
            os.close(jobs)
            os.close(reports)
        self.keepers[module] = KeeperLink(pid, our_jobs, our_reports)
        return self.keepers[module]

    def keeper_with(self, job: dict[str, Any]) -> KeeperLink | None:
        """
        Finds the keeper that has imported the backend, or lets a new one do it.

        :return: Nothing if the import left threads behind, or was cancelled.
        :raises Refused: The import failed.
        """
        module = job["module"]
        if module in self.keepers:
            return self.keepers[module]
        keeper = self.start_keeper(module)
        if "CHILD" in self.messages:
            self.client.say("CHILD", str(keeper.pid))
        keeper.send("import", job)
        frame = self.await_frame(keeper, keeper.pid)
        if frame is not None and frame[0] == "imported" and not self.reason:
            self.debug(f"imported {module} in {frame[1]:.3f} s")
            for problem in frame[2]:
                self.debug(f"not preloaded: {problem}")
            return keeper
        words = self.retire(keeper)
        processes.clear_group(keeper.pid, self.clear_deadline(), self.pump)
        if self.reason:
            return None
        if frame is None:
            raise Refused("BackendImportError", f"the process that imported `{module}` {words}")
        if frame[0] == "threads":
            self.threaded.add(module)
            return None
        raise Refused(*frame[1:])

    def attend(self, keeper: KeeperLink) -> tuple[tuple[Any, ...], Any]:
        """Supervises a hook from start to end."""
        group = 0
        frame = self.await_frame(keeper, 0)
        if frame is not None and frame[0] == "started":
            group = frame[1]
            if "CHILD" in self.messages:
                self.client.say("CHILD", str(group))
                self.client.flush()
            keeper.send("go")
            frame = self.await_frame(keeper, group)
        words = "" if frame else self.retire(keeper)
        if group:
            processes.clear_group(group, self.clear_deadline(), self.pump)
        if frame is None:
            return self.verdict_on(f"lost its parent, which {words},"), None
        if frame[0] == "refused":
            return ("error", *frame[1:]), None
        return self.verdict_on(processes.status_in_words(frame[1])), frame[2]

    def retire(self, keeper: KeeperLink) -> str:
        """Lets a keeper go. Returns how it ended."""
        module = next(name for name, link in self.keepers.items() if link is keeper)
        del self.keepers[module]
        keeper.close()
        return keeper.bury()

    def pump(self, timeout: float | None, *reports: int) -> bool:
        """
        Passes on output, and reads what the client says, until something has happened.

        :return: Whether it was a report.
        """
        self.client.flush()
        ready = self.client.wait([*reports, *self.readers, *self.client.watched()], timeout)
        for descriptor in ready:
            if descriptor in self.readers:
                self.pass_on(descriptor)
        if self.client.input in ready:
            self.client.fill()
        self.client.flush()
        return any(report in ready for report in reports)

    def await_frame(self, keeper: KeeperLink, group: int) -> tuple[Any, ...] | None:
        """
        Waits for a keeper's next frame; meanwhile ends the hook when it has to.

        :param group: The group to end; 0 while there is none yet.
        :return: Nothing if the keeper is gone.
        """
        while not self.pump(self.end_if_due(keeper, group) if group else None, keeper.reports):
            pass
        return read_frame(keeper.reports)

    def end_if_due(self, keeper: KeeperLink, group: int) -> float | None:
        """
        Ends the hook that runs, step by step, once there is a reason to.

        :return: When to look again at the latest, in seconds.
        """
        if not self.reason:
            self.reason = self.why_end()
            if not self.reason:
                return PARENT_POLL_SECONDS if self.client.is_file or self.client.eof else None
            self.deadline = time.monotonic() + self.grace_seconds
            self.killed = False
            processes.signal_group(group, signal.SIGTERM)
        timeout = self.deadline - time.monotonic()
        if timeout <= 0:
            if self.killed:
                # The keeper should have told us long ago.
                os.kill(keeper.pid, signal.SIGKILL)
            processes.signal_group(group, signal.SIGKILL)
            self.killed = True
            timeout = processes.KILL_SECONDS
            self.deadline = time.monotonic() + timeout
        return timeout

    def open_output_stream(self, job: dict[str, Any]) -> None:
        for reader, (number, writer) in self.pipes.items():
            # A program of an earlier hook may have changed it for all who write there.
            os.set_blocking(writer, True)
            self.add_reader(reader, number)
            job["stdout" if number == 1 else "stderr"] = writer

    def close(self) -> None:
        for keeper in self.keepers.values():
            keeper.close()
        for keeper in self.keepers.values():
            keeper.bury()
        self.keepers.clear()
        super().close()
