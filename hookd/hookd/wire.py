"""
What does a line say, and how does it reach us? The protocol's values, and the client's end of the two pipes.

README.md in the folder above states the protocol.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import sys
from typing import Any, Iterable

STDERR = 2
#: What ends hookd, and with it the hook that runs.
ENDING_SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGBREAK") if hasattr(signal, name)
]
#: Input that is read ahead while a hook runs; a client that writes more has to wait.
READ_AHEAD_BYTES = 1024 * 1024
#: A client that does not read must not keep us from ending: it gets this long to read our last words.
LAST_WORDS_SECONDS = 1.0


class Refused(Exception):
    """A request that is answered with ERROR: its kind, a text for people, and the backend's traceback or nothing."""

    def __init__(self, kind: str, text: str, traceback: str = "") -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.verdict = ("error", kind, text, traceback)


class Ended(Exception):
    """hookd has to end: a signal, or a client that went away in the middle of a request."""


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """:raises ValueError: A backslash that starts no known escape."""
    pieces = [piece.replace("\\n", "\n").replace("\\r", "\r") for piece in text.split("\\\\")]
    if any("\\" in piece for piece in pieces):
        raise ValueError(r"a backslash may only be followed by `n`, `r` or a backslash")
    return "\\".join(pieces)


def parse_object(text: str, kind: str, name: str) -> dict[str, Any]:
    """:raises Refused: It is not a JSON object; with that kind."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        # PyPy 7.3.11 crashes on its own message if that quotes one byte of a longer character.
        reason = f": {error}" if text.isascii() or sys.implementation.name != "pypy" else ""
        raise Refused(kind, f"`{name}` is not JSON{reason}") from None
    if not isinstance(value, dict):
        raise Refused(kind, f"`{name}` is not a JSON object")
    return value


def parse_reference(text: str) -> tuple[str, list[str]]:
    """
    Splits an object reference, ``module.name`` or ``module.name:object.attribute``.

    :raises Refused: MalformedBackendName.
    """
    module, colon, attributes = text.partition(":")
    names = module.split(".") + (attributes.split(".") if colon else [])
    if not all(name.isidentifier() for name in names):
        raise Refused("MalformedBackendName", f"`{text}` is not an object reference such as `module:object`")
    return module, attributes.split(".") if colon else []


class Client:
    """
    Reads lines from the client and writes messages to it.

    Descriptors 0 and 1 are taken away from everybody else. `told` and `gone` record that hookd has to end; the daemon
    acts on them where that is safe.
    """

    def __init__(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        while null <= STDERR:
            null = os.dup(null)
        self.input = os.dup(0)
        self.output = os.dup(1)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)
        mode = os.fstat(self.input).st_mode
        self.is_file = stat.S_ISREG(mode)
        self.is_stream = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self.buffer = bytearray()
        self.pending = bytearray()
        self.eof = False
        #: Nobody reads what we write.
        self.deaf = False
        #: Nobody waits for the hook that runs.
        self.gone = False
        #: The signal that has told us to end.
        self.told = 0
        self.parent = os.getppid()
        self.handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """Takes over the signals that end us, but for those that were ignored when we were started."""
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self.handlers[number] = signal.signal(number, self.on_signal)

    def on_signal(self, number: int, _frame: object) -> None:
        self.told = self.told or number

    def say(self, word: str, *values: str) -> None:
        """Queues a message; `flush` sends it."""
        line = " ".join([word, *map(escape, values)])
        self.pending += line.encode("utf-8", "replace") + b"\n"

    def flush(self) -> None:
        raise NotImplementedError

    def take_line(self) -> str | None:
        """:return: The next line that has been read already."""
        end = self.buffer.find(b"\n")
        if end < 0:
            if not self.eof or not self.buffer:
                return None
            end = len(self.buffer)
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        # A carriage return was written by hand on Windows; in values it would be escaped.
        line = line[:-1] if line.endswith(b"\r") else line
        return line.decode("utf-8", "surrogateescape")

    def take_cancel(self) -> bool:
        """:return: Whether the next line was `cancel`, which is then gone."""
        if self.buffer.startswith((b"cancel\n", b"cancel\r\n")):
            self.take_line()
            return True
        return False

    def fill(self) -> None:
        """Reads what there is to read, and waits if that is nothing."""
        try:
            data = os.read(self.input, 64 * 1024)
        except OSError:
            data = b""
        self.buffer += data
        self.eof = not data

    def check_gone(self) -> bool:
        """:return: Whether nobody waits for the hook any more."""
        # If there are unread lines, the input is a script, and the process that wrote it has finished.
        unread = b"\n" in self.buffer
        at_end = self.eof and self.is_stream and not unread
        self.gone = self.gone or self.deaf or at_end or os.getppid() != self.parent
        return self.gone

    def read_line(self) -> str | None:
        """
        Sends what is queued and waits for a line.

        :return: Nothing at end of file.
        :raises Ended: By a signal, or because nobody reads what we write.
        """
        self.flush()
        while True:
            if self.told or self.gone or self.deaf:
                raise Ended
            line = self.take_line()
            if line is not None or self.eof:
                return line
            self.wait_for_input()

    def wait_for_input(self) -> None:
        """Reads once there is something to read; may return earlier."""
        raise NotImplementedError


class SelectClient(Client):
    """Waits with ``select``; signals wake it up through a pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.wakeup, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        os.set_blocking(self.wakeup, False)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        self.listen()

    def wait(self, readers: Iterable[int], timeout: float | None, writer: int | None = None) -> list[int]:
        """:return: The descriptors that are ready; none if it took too long or a signal came."""
        writers = [] if writer is None else [writer]
        readable, writable, _ = select.select([*readers, self.wakeup], writers, [], timeout)
        if self.wakeup in readable:
            os.read(self.wakeup, 512)
            readable.remove(self.wakeup)
        return readable + writable

    def flush(self) -> None:
        size = getattr(select, "PIPE_BUF", 512)
        while self.pending and not self.deaf:
            timeout = LAST_WORDS_SECONDS if self.told or self.gone else None
            ready = self.wait([], timeout, self.output)
            if self.output in ready:
                try:
                    # A pipe that is ready takes this much without blocking.
                    del self.pending[: os.write(self.output, self.pending[:size])]
                except OSError:
                    self.deaf = True
            elif timeout is not None:
                self.deaf = True
        self.pending.clear()

    def watched(self) -> list[int]:
        """:return: The input, if there is something to be learnt from it while a hook runs."""
        return [] if self.is_file or self.eof or len(self.buffer) > READ_AHEAD_BYTES else [self.input]

    def wait_for_input(self) -> None:
        if self.wait([self.input], None):
            self.fill()

    def close(self) -> None:
        """In a keeper: gives up the descriptors and the signals."""
        signal.set_wakeup_fd(-1)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        for descriptor in (self.input, self.output, self.wakeup, self.waker):
            os.close(descriptor)
