"""A client of hookd that answers what it is asked, and a census of the processes that a test has started."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOOKD = os.path.join(ROOT, "hookd.py")
BACKENDS = os.path.join(ROOT, "backends")
LINUX = sys.platform.startswith("linux")
PYPY = sys.implementation.name == "pypy"
#: Nothing here takes this long; it is what a deadlock costs.
STUCK_SECONDS = 60

# What was started in the background ignores some signals, and so would every hookd that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGHUP", "SIGQUIT"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def unescape(text):
    """Written apart from hookd's own, so that one checks the other."""
    result, characters = "", iter(text)
    for character in characters:
        result += {"\\": "\\", "n": "\n", "r": "\r"}[next(characters)] if character == "\\" else character
    return result


def escape(text):
    return "".join({"\\": "\\\\", "\n": "\\n", "\r": "\\r"}.get(character, character) for character in text)


class Answer:
    """All that hookd has said between a request and the next READY or the end."""

    def __init__(self):
        self.messages = []

    def all(self, word):
        return [value for name, value in self.messages if name == word]

    def one(self, word):
        values = self.all(word)
        if len(values) != 1:
            raise AssertionError("%d times %s in %r" % (len(values), word, self.messages))
        return values[0]

    @property
    def value(self):
        """What the hook returned; fails for any other end, or for more ends than one."""
        if self.all("ERROR"):
            raise AssertionError("%r" % self.messages)
        return json.loads(self.one("OK"))

    @property
    def error(self):
        """The one ERROR, as (kind, text)."""
        if self.all("OK"):
            raise AssertionError("%r" % self.messages)
        kind, _, text = self.one("ERROR").partition(" ")
        return kind, text

    @property
    def traceback(self):
        return self.one("TRACEBACK")

    def output(self, number):
        return "".join(text[2:] for text in self.all("OUTPUT") if text.startswith(str(number)))


class Hookd:
    """
    One hookd.

    :param tree: Its source tree.
    :param arguments: Of hookd.py.
    :param environ: Added to the environment; None removes.
    """

    def __init__(self, tree=None, arguments=(), environ=(), stdin=subprocess.PIPE, flags=(), token=None):
        self.token = token or uuid.uuid4().hex
        self.temporary = tempfile.mkdtemp(prefix="hookd-test-")
        env = dict(os.environ, HOOKD_TEST=self.token, TMPDIR=self.temporary, PYTHONDONTWRITEBYTECODE="1")
        for name, value in dict(environ).items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, *flags, HOOKD, *arguments] + ([tree] if tree else []),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=env,
        )
        self.buffer = b""
        #: The last message as it was on the wire.
        self.line = ""
        self.log = []
        self.outputs = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self.process.stdin, self.process.stdout):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass
        try:
            self.process.wait(STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stderr.close()
        for pid in census(self.token):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.temporary)

    def read(self):
        """The next message as (word, value); (None, "") at the end."""
        while b"\n" not in self.buffer:
            ready = select.select([self.process.stdout], [], [], STUCK_SECONDS)[0]
            if not ready:
                raise AssertionError("hookd is stuck after %r" % self.log[-10:])
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                if self.buffer:
                    raise AssertionError("half a line: %r" % self.buffer)
                return None, ""
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        self.line = line.decode("utf-8")
        word, _, value = self.line.partition(" ")
        message = word, unescape(value)
        self.log.append(message)
        return message

    def until(self, word, start=None):
        """Reads up to a message that begins so."""
        answer = Answer()
        while True:
            message = self.read()
            if message[0] is None:
                raise AssertionError("the end, and no %s, after %r; %s" % (word, self.log[-10:], self.errors()))
            answer.messages.append(message)
            if message[0] == word and (start is None or message[1].startswith(start)):
                return answer

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode()

    def write(self, text):
        self.process.stdin.write(text.encode("utf-8", "surrogateescape"))
        self.process.stdin.flush()

    def start(self, action, **values):
        """Starts an action and answers its requests; returns once all have been answered."""
        if not self.log:
            self.until("EXPECT", "action")
        self.write(action + "\n")
        expected = list(values)
        while expected:
            word, name = self.read()
            if word == "EXPECT":
                if name != expected[0]:
                    raise AssertionError("asked for %s, expected %r" % (name, expected))
                self.write(escape(values[expected.pop(0)]) + "\n")
            elif word is None:
                raise AssertionError("the end after %r; %s" % (self.log[-10:], self.errors()))

    def finish(self):
        answer = self.until("EXPECT", "action")
        self.outputs = {}
        for word in ("STDOUT", "STDERR"):
            for path in answer.all(word):
                if path.startswith(self.temporary):
                    with open(path, "rb") as file:
                        self.outputs[word] = file.read()
                    os.unlink(path)
        return answer

    def do(self, action, **values):
        self.start(action, **values)
        return self.finish()

    def configure(self, **settings):
        answer = self.do("configure", configuration=json.dumps(settings))
        if answer.value is not None:
            raise AssertionError(answer.messages)
        return answer

    def start_hook(self, hook, backend="backend", directory=None, settings=None, metadata=""):
        config = "" if settings is None else json.dumps(settings)
        values = {"build_backend": backend, "hook_name": hook}
        if hook == "build_sdist":
            values.update(sdist_directory=directory, config_settings=config)
        elif hook.startswith("build_"):
            values.update(wheel_directory=directory, config_settings=config, metadata_directory=metadata)
        elif hook.startswith("prepare_"):
            values.update(metadata_directory=directory, config_settings=config)
        else:
            values.update(config_settings=config)
        self.start("run", **values)

    def hook(self, *arguments, **options):
        self.start_hook(*arguments, **options)
        return self.finish()

    def wait(self):
        """Reads to the end; returns (the rest, the exit status)."""
        answer = Answer()
        while True:
            message = self.read()
            if message[0] is None:
                return answer, self.process.wait(STUCK_SECONDS)
            answer.messages.append(message)

    def shut_down(self):
        self.write("shutdown\n")
        return self.wait()


def census(token):
    """Processes that carry a test's token in their environment (Linux)."""
    found = []
    for name in os.listdir("/proc") if LINUX else []:
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as file:
                if ("HOOKD_TEST=" + token).encode() not in file.read().split(b"\0"):
                    continue
            with open("/proc/%s/stat" % name) as file:
                if file.read().rpartition(")")[2].split()[0] not in "ZX":
                    found.append(int(name))
        except OSError:
            continue
    return found


def eventually(condition):
    """Waits for something that another process is about to do."""
    deadline = time.monotonic() + STUCK_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("never came about")
        time.sleep(0.01)


class TestCase(unittest.TestCase):
    maxDiff = None

    def directory(self):
        path = os.path.realpath(tempfile.mkdtemp(prefix="hookd-test-"))
        self.addCleanup(shutil.rmtree, path)
        return path

    def tree_with(self, module, text):
        """A new directory with one Python module."""
        tree = self.directory()
        with open(os.path.join(tree, module + ".py"), "w") as file:
            file.write(text)
        return tree

    def hookd(self, *arguments, **options):
        daemon = Hookd(*arguments, **options)
        self.addCleanup(daemon.__exit__)
        return daemon

    def in_tree(self, name, arguments=(), **settings):
        """A hookd whose source tree is one of the fake backends."""
        tree = os.path.join(BACKENDS, name)
        daemon = self.hookd(tree, arguments=arguments)
        daemon.configure(backend_path=["."], **settings)
        return daemon

    def installed(self, name, arguments=(), environ=(), **settings):
        """A hookd in whose environment one of the fake backends is installed."""
        path = os.path.join(BACKENDS, name)
        daemon = self.hookd(self.directory(), arguments=arguments, environ=dict(environ, PYTHONPATH=path))
        if settings:
            daemon.configure(**settings)
        return daemon

    def every_way(self, name, **settings):
        """The four ways in which a backend may run: name of the way, hookd."""
        yield "in-tree", self.in_tree(name, **settings)
        yield "installed", self.installed(name, **settings)
        yield "new interpreter", self.in_tree(name, isolation="spawn", **settings)
        yield "no fork", self.in_tree(name, arguments=["--no-fork"], **settings)
