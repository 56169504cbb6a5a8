"""What does hookd do when it is asked? The protocol's actions, their questions and their answers."""

from __future__ import annotations

import codecs
import json
import marshal
import os
import sys
import time
import traceback
from typing import Any

from hookd import processes
from hookd.hook import HOOKS, REPORT_LIMIT_BYTES, in_words
from hookd.wire import Client, Ended, Refused, parse_object, parse_reference, unescape

PROTOCOL = 1
DEFAULT_GRACE_SECONDS = 10.0
#: The most that one read of a hook's output, and so one OUTPUT message, holds.
OUTPUT_CHUNK_BYTES = 8 * 1024
#: Pieces of output that are read once a hook has ended, in addition to those that are in a file already.
LAST_CHUNKS = 1024
#: Pieces of a file that is fetched; a multiple of 3, for base64.
FETCHED_CHUNK_BYTES = 48 * 1024
IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}
#: What a configuration may set, and the JSON types of each value. What a value means, its use finds out.
SETTINGS: dict[str, tuple[type, ...]] = {
    "source_tree": (str,),
    "backend_path": (list, type(None)),
    "environ": (dict,),
    "messages": (list,),
    "temporary": (str, type(None)),
    "grace_seconds": (int, float),
    "cancellable": (bool,),
    "preload": (list,),
    "isolation": (str,),
}


class Daemon:
    """
    The protocol, without the running of hooks.

    :param client: The other end.
    :param source_tree: Where hooks run until the client says otherwise.
    """

    def __init__(self, client: Client, source_tree: str) -> None:
        self.client = client
        self.base = dict(os.environ)
        # The settings.
        self.source_tree = source_tree
        self.backend_path: list[str] | None = None
        self.environ: dict[str, str | None] = {}
        self.messages: list[str] = []
        self.temporary: str | None = None
        self.grace_seconds = DEFAULT_GRACE_SECONDS
        self.cancellable = False
        self.preload: list[str] = []
        self.isolation = "fork"
        #: Temporary directories of the client's.
        self.lent: list[str] = []
        #: The file that gets a hook's verdict.
        self.report = ""
        self.report_file = -1
        #: Where output comes from that is passed on as messages: the number of the stream, and its decoder.
        self.readers: dict[int, tuple[int, codecs.IncrementalDecoder]] = {}
        #: Why the hook that runs is being ended, and when it gets SIGKILL.
        self.reason = ""
        self.deadline = 0.0

    def serve(self) -> int:
        """:return: The exit status."""
        name = IMPLEMENTATIONS.get(sys.implementation.name, sys.implementation.name)
        version = sys.version.split()[0]
        self.debug(f"hookd protocol {PROTOCOL}, {name} {version}, pid {os.getpid()}")
        status = 0
        try:
            while self.act():
                pass
            self.close()
            self.client.say("SHUTDOWN")
        except Ended:
            self.close()
            status = 128 + self.client.told if self.client.told else 1
            if self.client.told:
                self.client.say("FATAL", "Terminated", f"by {processes.signal_name(self.client.told)}")
        except BaseException as error:  # ours: a bug, or a full disk
            self.close()
            status = 1
            self.client.say("FATAL", "InternalError", in_words(error))
            self.client.say("TRACEBACK", traceback.format_exc())
        self.client.flush()
        processes.remove(self.lent)
        return status

    def act(self) -> bool:
        """:return: Whether to go on."""
        self.client.say("READY")
        self.client.say("EXPECT", "action")
        while True:
            action = self.client.read_line()
            if action != "cancel":
                break
            self.debug("nothing runs that could be cancelled")
        if action is None or action == "shutdown":
            return False
        try:
            self.do(action)
        except (Refused, OSError, TypeError, ValueError) as error:
            # A full disk, say, or a setting that makes no sense.
            refused = error if isinstance(error, Refused) else Refused("HookRuntimeError", f"`{action}`: {error}")
            _, kind, text, trace = refused.verdict
            self.client.say("ERROR", kind, text)
            if trace:
                self.client.say("TRACEBACK", trace)
        if self.reason and (self.client.told or self.client.gone):
            raise Ended
        return True

    def do(self, action: str) -> None:
        """:raises Refused: If the action fails; otherwise `OK` has been said."""
        answer: object = None
        self.reason, self.deadline = "", 0.0
        if action == "run":
            answer = self.run()
        elif action == "import":
            module, _ = parse_reference(self.ask("build_backend", "MalformedBackendName"))
            self.import_ahead(module)
            if self.reason:
                raise Refused("HookCancelled", self.reason)
        elif action == "configure":
            self.configure(self.ask("configuration", "InvalidConfiguration"))
        elif action == "temporary_directory":
            answer = self.temporary_directory()
        elif action == "fetch":
            self.fetch(self.ask("path", "MalformedHookArgument"))
        else:
            raise Refused("InvalidAction", f"`{action}` is not an action")
        self.client.say("OK", json.dumps(answer, ensure_ascii=False))

    def debug(self, text: str) -> None:
        self.client.say("DEBUG", text)

    def ask(self, name: str, kind: str) -> str:
        """
        Asks for a value.

        :raises Refused: With ``kind``, for a value that is not escaped as it should be.
        :raises Ended: At end of file.
        """
        self.client.say("EXPECT", name)
        line = self.client.read_line()
        if line is None:
            self.client.say("FATAL", "UnexpectedEndOfInput", f"instead of a value for `{name}`")
            raise Ended
        try:
            return unescape(line)
        except ValueError as error:
            raise Refused(kind, f"`{name}`: {error}") from None

    def configure(self, text: str) -> None:
        """:raises Refused: InvalidConfiguration; then nothing has changed."""
        settings = parse_object(text, "InvalidConfiguration", "configuration")
        for name, value in settings.items():
            if type(value) not in SETTINGS.get(name, (type(value),)):
                raise Refused("InvalidConfiguration", f"`{name}` cannot be {json.dumps(value)}")
        for name, value in settings.items():
            if name in SETTINGS:
                setattr(self, name, value)
            else:
                self.debug(f"unknown in a configuration, ignored: `{name}`")

    def run(self) -> object:
        """
        Runs one hook.

        :return: Its return value.

        All values are read before the first bad one is reported, so that a client may send them in one go.
        """
        problems = []
        backend: tuple[str, list[str]] = ("", [])
        reference = ""
        try:
            reference = self.ask("build_backend", "MalformedBackendName")
            backend = parse_reference(reference)
        except Refused as refused:
            problems.append(refused)
        hook = self.ask("hook_name", "InvalidHookName")
        if hook not in HOOKS:
            raise Refused("InvalidHookName", f"`{hook}` is not a hook of PEP 517 or PEP 660")
        arguments: list[object] = []
        for name in HOOKS[hook]:
            try:
                arguments.append(self.argument(hook, name))
            except Refused as refused:
                problems.append(refused)
        if problems:
            raise problems[0]
        job = self.job(backend[0], reference=reference, attributes=backend[1], hook=hook, arguments=arguments)
        start = time.monotonic()
        self.prepare_output(job, announce=True)
        try:
            verdict, usage = self.run_hook(job)
        finally:
            self.close_output()
        if "USAGE" in self.messages:
            names = ("user_seconds", "system_seconds", "max_rss_bytes")
            values = dict(zip(names, usage or (None, None, None)))
            values["wall_seconds"] = round(time.monotonic() - start, 6)
            self.client.say("USAGE", json.dumps(values))
        if self.reason:
            raise Refused("HookCancelled", self.reason)
        if verdict[0] != "ok":
            raise Refused(*verdict[1:])
        return verdict[1]

    def argument(self, hook: str, name: str) -> object:
        """:raises Refused: MalformedHookArgument."""
        kind = "MalformedHookArgument"
        text = self.ask(name, kind)
        if name != "config_settings":
            if "\0" in text or not (text or (name == "metadata_directory" and hook.startswith("build_"))):
                raise Refused(kind, f"`{name}` has to be a path")
            return text or None
        if not text:
            return None
        settings = parse_object(text, kind, name)
        try:
            marshal.dumps([[[[[[settings]]]]]])  # in a job, on its way to a keeper
        except ValueError as error:
            raise Refused(kind, f"`config_settings`: {error}") from None
        return settings

    def job(self, module: str, **more: Any) -> dict[str, Any]:
        """What any process that works for a backend has to know."""
        return {
            "module": module,
            "backend_path": self.backend_path,
            "source_tree": self.source_tree,
            "environ": self.environ,
            "preload": self.preload,
            "report": self.report,
            "litter": [],
            "fresh": False,
            "stdout": os.devnull,
            "stderr": os.devnull,
            **more,
        }

    def prepare_output(self, job: dict[str, Any], *, announce: bool) -> None:
        """
        Makes what a hook's output goes to, and empties the report file.

        :param announce: Whether the client gets the output in files, unless it wants messages.
        """
        if self.report_file < 0:
            self.report_file, self.report = self.make_file("report")
        os.ftruncate(self.report_file, 0)
        job.update(report=self.report, litter=[self.report, *self.lent])
        if "OUTPUT" in self.messages:
            self.open_output_stream(job)
        elif announce:
            for name in ("stdout", "stderr"):
                file, job[name] = self.make_file(name)
                os.close(file)
                self.client.say(name.upper(), job[name])

    def make_file(self, name: str) -> tuple[int, str]:
        if self.temporary is None:
            import tempfile

            return tempfile.mkstemp(f".{name}", "hookd-")
        # Loading ``tempfile`` takes up to 10 ms, 4 % of a warm build of a small crate with maturin.
        path = os.path.join(self.temporary, f"hookd-{os.getpid()}-{os.urandom(6).hex()}.{name}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
        return os.open(path, flags, 0o600), path

    def write_job(self, job: dict[str, Any]) -> None:
        """Leaves a job for a new interpreter where its verdict will be."""
        os.lseek(self.report_file, 0, os.SEEK_SET)
        os.write(self.report_file, marshal.dumps(job))

    def verdict_on(self, words: str) -> tuple[Any, ...]:
        """What is to be said of a hook process that has ended: the verdict, if it got as far as that."""
        try:
            size = os.fstat(self.report_file).st_size
            os.lseek(self.report_file, 0, os.SEEK_SET)
            verdict = marshal.loads(os.read(self.report_file, min(size, REPORT_LIMIT_BYTES)))
        except (OSError, ValueError, EOFError, TypeError):
            verdict = None
        if isinstance(verdict, tuple) and verdict[:1] in (("ok",), ("error",)):
            return verdict
        return Refused("HookRuntimeError", f"the hook process {words} before it had answered").verdict

    def send_output(self, number: int, text: str) -> None:
        for line in text.splitlines(keepends=True):
            self.client.say("OUTPUT", str(number), line)
        self.client.flush()

    def add_reader(self, reader: int, number: int) -> None:
        self.readers[reader] = (number, codecs.getincrementaldecoder("utf-8")("replace"))

    def pass_on(self, reader: int, chunks: int = 1) -> bool:
        """Passes on output. Returns whether there may be more."""
        number, decoder = self.readers[reader]
        for _ in range(chunks):
            try:
                data = os.read(reader, OUTPUT_CHUNK_BYTES)
            except BlockingIOError:
                return False
            if not data:
                return False
            self.send_output(number, decoder.decode(data))
        return True

    def close_output(self) -> None:
        """Passes on the rest. A server that the hook has left may go on writing: there is an end to that."""
        for reader, (number, decoder) in self.readers.items():
            self.pass_on(reader, LAST_CHUNKS + os.fstat(reader).st_size // OUTPUT_CHUNK_BYTES)
            self.send_output(number, decoder.decode(b"", final=True))
        self.readers.clear()

    def clear_deadline(self) -> float:
        """When what a hook that has just ended has left gets SIGKILL."""
        return self.deadline or time.monotonic() + min(processes.LEFTOVER_SECONDS, self.grace_seconds)

    def why_end(self) -> str:
        """:return: Why the hook that runs has to be ended, or nothing."""
        if self.client.told:
            return f"hookd was ended by {processes.signal_name(self.client.told)}"
        if self.client.check_gone():
            return "the client is gone"
        return "cancelled by the client" if self.cancellable and self.client.take_cancel() else ""

    def temporary_directory(self) -> str:
        """A new directory, which goes when hookd ends: for a client that cannot name one where hookd runs."""
        import tempfile

        self.lent.append(tempfile.mkdtemp(prefix="hookd-"))
        return self.lent[-1]

    def fetch(self, path: str) -> None:
        """
        Sends what is at ``path`` as a tar archive with one top-level name, in ``DATA`` messages.

        :raises Refused: MalformedHookArgument for a path that is not there.
        """
        import base64
        import tarfile

        client = self.client

        class Sink:
            """The archive's file: what is written to it is sent at once."""

            def write(self, data: bytes) -> int:
                client.say("DATA", base64.b64encode(data).decode("ascii"))
                client.flush()
                return len(data)

        if not os.path.lexists(path):
            raise Refused("MalformedHookArgument", f"there is nothing at `{path}`")
        with tarfile.open(  # type: ignore[call-overload]
            fileobj=Sink(), mode="w|", bufsize=FETCHED_CHUNK_BYTES, format=tarfile.PAX_FORMAT
        ) as archive:
            archive.add(path, arcname=os.path.basename(path))

    def close(self) -> None:
        if self.report_file >= 0:
            os.close(self.report_file)
            processes.remove([self.report])
            self.report_file = -1

    def import_ahead(self, module: str) -> None:
        raise NotImplementedError

    def run_hook(self, job: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        """:return: The verdict, and what the hook process has used, if that is known."""
        raise NotImplementedError

    def open_output_stream(self, job: dict[str, Any]) -> None:
        """Makes `readers` for the output of a job, and tells the job where to write."""
        raise NotImplementedError
