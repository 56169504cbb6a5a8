#!/usr/bin/env python3
"""
Runs PEP 517 and PEP 660 build hooks for one parent process, each hook in a process of its own.

README.md beside this file states the protocol and says what a client may rely on; this text says how it
is done. Python 3.8 or later, CPython, PyPy and GraalPy, standard library only.

Three kinds of process, where ``fork`` exists:

``hookd``
    speaks the protocol and watches over the hook that runs. It never imports a backend.
*keeper*
    one for each backend, forked from hookd. It imports the backend once, and forks a *hook process* for
    each hook. An import that fails, exits, crashes or hangs takes its keeper with it and nothing else. One
    more keeper, the plain one, has imported nothing: it serves in-tree backends (``backend-path``), which
    are imported anew for each hook, and new interpreters.
*hook process*
    leads its own process group, calls the hook, writes the verdict to the report file, and exits.

hookd and keepers exchange frames (marshalled tuples) over two pipes. The verdict goes through a file and
not through a pipe, because what a hook leaves behind would inherit the pipe, and because a file can be of
any size while nobody reads it.

Without ``fork`` (Windows, GraalPy) each hook gets a new interpreter, which runs this file again with
``--hook``; threads then do the waiting, see `Spawner`.

Start-up time counts (every build starts a hookd), hence the imports inside functions: at module level
there is only what the interpreter has loaded already.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import queue
    import signal as signals
    from typing import Any, Callable, Dict, Iterable, NoReturn, Optional, Sequence, Set, Tuple, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])
    Frame = Tuple[Any, ...]
    Job = Dict[str, Any]
    Verdict = Tuple[Any, ...]
    Overlay = Dict[str, Optional[str]]
    Census = Tuple[Set[int], Set[int]]
    Usage = Tuple[float, float, int]
else:
    try:
        # ``signal`` needs ``enum``: 3 ms. All we want at start is in the module underneath it.
        import _signal as signals
    except ImportError:
        import signal as signals

PROTOCOL = 1
STDERR = 2

#: The hooks of PEP 517 and PEP 660, and the values that each takes, in the order of its signature.
HOOKS = {
    "build_wheel": ("wheel_directory", "config_settings", "metadata_directory"),
    "build_sdist": ("sdist_directory", "config_settings"),
    "build_editable": ("wheel_directory", "config_settings", "metadata_directory"),
    "get_requires_for_build_wheel": ("config_settings",),
    "get_requires_for_build_sdist": ("config_settings",),
    "get_requires_for_build_editable": ("config_settings",),
    "prepare_metadata_for_build_wheel": ("metadata_directory", "config_settings"),
    "prepare_metadata_for_build_editable": ("metadata_directory", "config_settings"),
}
MANDATORY_HOOKS = ("build_wheel", "build_sdist")
EXTENSION_MESSAGES = ("CHILD", "USAGE", "OUTPUT")

#: Variables that an interpreter reads when it starts, and that a process which runs already cannot follow.
START_VARIABLES = ("LC_ALL", "LC_CTYPE", "LANG")

#: What ends hookd, and with it the hook that runs.
ENDING_SIGNALS = [
    getattr(signals, name) for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGBREAK") if hasattr(signals, name)
]

DEFAULT_GRACE_SECONDS = 10.0
#: What a finished hook has left in its group gets this long after SIGTERM.
LEFTOVER_SECONDS = 1.0
#: How often a hookd that cannot see its client end (input from a file) looks who its parent is.
PARENT_POLL_SECONDS = 1.0
#: How long a process may take to go after SIGKILL before we stop waiting for it.
KILL_SECONDS = 5.0

#: After so many new containers the garbage collector looks for cycles in a hook process.
COLLECTED_ALLOCATIONS = 50_000
OUTPUT_CHUNK_BYTES = 8 * 1024
REPORT_LIMIT_BYTES = 16 * 1024 * 1024
SHOWN_LIMIT = 200
TEXT_LIMIT = 64 * 1024
TRACEBACK_LIMIT = 256 * 1024
#: For temporary files, when the environment names no directory.
FALLBACK_DIRECTORIES = [r"C:\TEMP", r"C:\TMP"] if os.name == "nt" else ["/tmp", "/var/tmp", "/usr/tmp"]  # noqa: S108
#: Input that is read ahead while a hook runs; a client that writes more has to wait.
READ_AHEAD_BYTES = 1024 * 1024

OWN_FILE: str = globals().get("__file__") or ""


class Refused(Exception):
    """
    A request that is answered with ERROR.

    :param kind: One of the protocol's error kinds.
    :param text: For people.
    :param traceback: The backend's part of the traceback, or nothing.
    """

    def __init__(self, kind: str, text: str, traceback: str = "") -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text
        self.traceback = traceback

    def verdict(self) -> Verdict:
        return ("error", self.kind, self.text, self.traceback)


class Ended(Exception):
    """hookd has to end: a signal, or a client that went away in the middle of a request."""


# --------------------------------------------------------------------------------------------------------
# Values on the wire


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """:raises ValueError: A backslash that starts no known escape."""
    if "\\" not in text:
        return text
    pieces = [piece.replace("\\n", "\n").replace("\\r", "\r") for piece in text.split("\\\\")]
    if any("\\" in piece for piece in pieces):
        message = r"a backslash may only be followed by `n`, `r` or a backslash"
        raise ValueError(message)
    return "\\".join(pieces)


def not_json(text: str, error: Exception) -> str:
    """Why a text is no JSON. PyPy's (7.3.11) words name a single byte of a longer character: using them is a crash."""
    return f"not JSON: {error}" if text.isascii() or sys.implementation.name != "pypy" else "not JSON"


def parse_json(text: str) -> Any:
    """
    Decodes JSON; what is right, where that can be, without the 6 ms that ``json`` takes to load.

    :raises ValueError: It is not JSON.
    """
    try:
        import _json

        make_scanner: Any = _json.make_scanner
        value, end = make_scanner(JsonTypes)(text, 0)
        if end == len(text):
            return value
    except (ImportError, AttributeError, StopIteration, ValueError, SystemError):
        # What this Python's scanner wants, or how to say what is wrong (SystemError), is for ``json`` to know.
        pass
    import json

    return json.loads(text)


class JsonTypes:
    """What ``json.JSONDecoder`` tells the scanner underneath."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def to_json(value: object) -> str:
    """Encodes a hook's return value; the plain ones without the 5 ms that ``json`` takes to load."""
    if value is None:
        return "null"
    if isinstance(value, str) and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    import json

    return json.dumps(value, ensure_ascii=False)


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


# --------------------------------------------------------------------------------------------------------
# Inside the hook process: import, call, check, report


def in_words(error: BaseException) -> str:
    """The last line of a traceback, whatever the exception's own methods do."""
    name = type(error).__qualname__
    if type(error).__module__ not in ("builtins", "__main__"):
        name = f"{type(error).__module__}.{name}"
    try:
        text = str(error)
    except BaseException:
        text = "<its text could not be made>"
    if isinstance(error, SystemExit):
        return f"SystemExit({error.code!r})"
    return f"{name}: {text}"[:TEXT_LIMIT] if text else name


def backend_traceback(error: BaseException) -> str:
    """The traceback without our own frames, which say nothing about the backend."""
    try:
        import traceback

        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == backend_traceback.__code__.co_filename:
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException as second:
        return f"<the traceback could not be made: {type(second).__name__}>"
    return text if len(text) <= TRACEBACK_LIMIT else "[...]\n" + text[-TRACEBACK_LIMIT:]


def import_backend(name: str) -> None:
    """
    Imports the backend's module.

    ``__import__`` and not ``importlib``: then the traceback holds no frames of the import system.

    :raises Refused: MissingBackendModule or BackendImportError.
    """
    try:
        __import__(name)
        if name not in sys.modules:
            raise Refused("BackendImportError", f"`{name}` is not in `sys.modules` after its import")
    except Refused:
        raise
    except ModuleNotFoundError as error:
        if is_absent(name, error):
            raise Refused("MissingBackendModule", f"there is no module `{error.name}`") from None
        raise import_failure(name, error) from None
    except BaseException as error:
        raise import_failure(name, error) from None


def import_more(names: Iterable[str]) -> tuple[list[str], tuple[str, str] | None]:
    """
    Imports what is there of the given modules.

    :return: Those that are not there, and the first that is and cannot be imported, with the reason. A process in which
        there is such a one has had its day.
    """
    absent: list[str] = []
    for name in names:
        try:
            __import__(name)
        except BaseException as error:
            if not is_absent(name, error):
                return absent, (name, in_words(error))
            absent.append(name)
    return absent, None


def is_absent(name: str, error: BaseException) -> bool:
    """Whether an import failed because there is no such module, and not within it."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return (name + ".").startswith(error.name + ".")


def import_failure(name: str, error: BaseException) -> Refused:
    text = f"the import of `{name}` raised {in_words(error)}"
    return Refused("BackendImportError", text, backend_traceback(error))


def backend_directories(source_tree: str, entries: Iterable[str]) -> list[str]:
    """
    Makes ``backend-path`` absolute.

    :raises Refused: BackendImportError, for a directory that is not inside the source tree.
    """
    root = os.path.realpath(source_tree)
    directories = []
    for entry in entries:
        if os.path.isabs(entry):
            raise Refused("BackendImportError", f"`{entry}` in `backend-path` is not relative")
        directory = os.path.join(root, entry)
        if not is_inside(directory, root):
            raise Refused("BackendImportError", f"`{entry}` in `backend-path` is outside of the source tree")
        directories.append(os.path.normpath(directory))
    return directories


def is_inside(path: str, directory: str) -> bool:
    path = os.path.normcase(os.path.realpath(path))
    directory = os.path.normcase(os.path.realpath(directory))
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def check_origin(name: str, directories: Sequence[str]) -> None:
    """:raises Refused: The backend was not loaded from ``backend-path``, as PEP 517 asks."""
    module = sys.modules[name]
    file = getattr(module, "__file__", None)
    places = [file] if file else [str(place) for place in getattr(module, "__path__", [])]
    if not places or not all(any(is_inside(place, directory) for directory in directories) for place in places):
        found = f"loaded from `{places[0]}`" if places else "built in"
        raise Refused("BackendImportError", f"the backend `{name}` was {found}, which is not in `backend-path`")


def find_backend(job: Job) -> Any:
    """
    Finds the object that has the hooks.

    :raises Refused: Every way in which that can fail.
    """
    name = job["module"]
    if job["backend_path"]:
        directories = backend_directories(os.getcwd(), job["backend_path"])
        sys.path[:0] = directories
        import_backend(name)
        check_origin(name, directories)
    else:
        import_backend(name)
    backend: Any = sys.modules[name]
    path = name
    for attribute in job["attributes"]:
        try:
            backend = getattr(backend, attribute)
        except AttributeError:
            raise Refused("MissingBackendAttribute", f"`{path}` has no attribute `{attribute}`") from None
        except BaseException as error:
            raise import_failure(path, error) from None
        path += ("." if ":" in path else ":") + attribute
    return backend


def checked(hook: str, value: object, directory: str) -> object:
    """
    Returns what a hook returned if the PEP allows it.

    :raises Refused: HookRuntimeError.
    """
    if hook.startswith("get_requires_"):
        # A tuple passes: frontends that take the value through JSON have always let it.
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise Refused("HookRuntimeError", f"`{hook}` has to return a list of strings, not {shown(value)}")
        return [str(item) for item in value]
    if not isinstance(value, str):
        raise Refused("HookRuntimeError", f"`{hook}` has to return a string, not {shown(value)}")
    name = str(value)
    if name in ("", ".", "..") or "\0" in name or "/" in name or os.sep in name or (os.altsep and os.altsep in name):
        raise Refused("HookRuntimeError", f"`{hook}` has to return a base name, not {shown(value)}")
    path = os.path.join(directory, name)
    if hook.startswith("prepare_metadata_"):
        if not os.path.isdir(path):
            raise Refused("HookRuntimeError", f"`{hook}` returned {shown(value)}, but made no such directory")
    elif not os.path.isfile(path):
        raise Refused("HookRuntimeError", f"`{hook}` returned {shown(value)}, but made no such file")
    return name


def shown(value: object) -> str:
    try:
        text = repr(value)
    except BaseException:
        text = "<no repr>"
    return f"`{text[:SHOWN_LIMIT]}{'...' if len(text) > SHOWN_LIMIT else ''}` ({type(value).__name__})"


def perform(job: Job) -> Verdict:
    """Calls the hook; whatever Python code can do ends in a verdict."""
    hook = job["hook"]
    try:
        hide(job["hidden"])
        backend = find_backend(job)
        try:
            function = getattr(backend, hook, None)
            if function is None:
                duty = ", though PEP 517 makes it mandatory" if hook in MANDATORY_HOOKS else ""
                raise Refused("UnsupportedHook", f"`{job['reference']}` has no `{hook}`{duty}")
            value = function(*job["arguments"])
        except Refused:
            raise
        except BaseException as error:
            text = f"`{hook}` raised {in_words(error)}"
            raise Refused("HookRuntimeError", text, backend_traceback(error)) from None
        return ("ok", checked(hook, value, job["directory"]))
    except Refused as refused:
        return refused.verdict()
    except BaseException as error:
        # For example a SIGINT that arrives outside of the hook itself.
        return ("error", "HookRuntimeError", f"`{hook}` was interrupted by {in_words(error)}", "")


class ListingFunction:
    """
    ``os.listdir`` or ``os.scandir`` without some entries of some directories.

    An object and no function, for a class that has it as an attribute, as in ``pathlib`` of Python 3.8, would make a
    method of that.
    """

    #: The names of the entries, each with the state of the directory that it is in.
    hidden: list[tuple[str, os.stat_result]] = []  # noqa: RUF012 - there is one, and one process

    def __init__(self, plain: Function) -> None:
        self.plain = plain
        self.__name__ = plain.__name__
        self.__doc__ = plain.__doc__

    def hidden_in(self, path: Any) -> list[str]:
        """Names of the entries of a directory that are hidden."""
        try:
            state = os.stat("." if path is None else path)
        except OSError:
            return []  # it has just gone
        return [name for name, parent in self.hidden if os.path.samestat(state, parent)]


class ListNames(ListingFunction):
    """``os.listdir``. Backends list thousands of directories: most do not have the names, which is soon told."""

    def __call__(self, path: Any = None) -> Any:
        names = self.plain(path)
        for hidden, _ in self.hidden:
            name: Any = os.fsencode(hidden) if names and isinstance(names[0], bytes) else hidden
            if name in names and hidden in self.hidden_in(path):
                names.remove(name)
        return names


class ScanEntries(ListingFunction):
    """``os.scandir``."""

    def __call__(self, path: Any = None) -> Any:
        entries = self.plain(path)
        hidden = self.hidden and self.hidden_in(path)
        return Entries(entries, hidden) if hidden else entries


class Entries:
    """What ``os.scandir`` returns, without some entries."""

    def __init__(self, entries: Any, hidden: Sequence[str]) -> None:
        self.entries = entries
        self.hidden = hidden

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        while True:
            entry = next(self.entries)
            if os.fsdecode(entry.name) not in self.hidden:
                return entry

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.entries.close()


def hide(paths: Iterable[str]) -> None:
    """
    Has listings of directories leave out some directories, which are there for everything else.

    Backends that collect what is in the source tree would else put the client's own directory into source
    distributions, and look at each file in it for each hook. ``os.walk``, ``glob``, ``pathlib`` and ``shutil`` are made
    of the two functions of ``os`` that list a directory.
    """
    hidden = []
    for path in paths:
        try:
            hidden.append((os.path.basename(path), os.stat(os.path.dirname(path))))
        except OSError:
            pass  # what is not there needs no hiding
    ListingFunction.hidden = hidden
    if not hidden or isinstance(os.listdir, ListingFunction):
        return
    for function in (ListNames(os.listdir), ScanEntries(os.scandir)):
        if function.plain in os.supports_fd:
            os.supports_fd.add(function)
        setattr(os, function.__name__, function)


def standard_streams() -> list[Any]:
    """Those that we have made, and those that are in their places now."""
    return [*_streams, *(getattr(sys, name, None) for name in ("stdout", "stderr", "__stdout__", "__stderr__"))]


def flush_streams() -> None:
    """Writes out the standard streams, those that we have made and those that are in their places now."""
    # Twice, since text flows into the binary file beneath.
    for file in (*standard_streams(), *standard_streams()):
        try:
            file.flush()
        except BaseException:
            pass


def leave(verdict: Verdict | None, report: str) -> NoReturn:
    """
    Does what an interpreter does when it ends, except for taking itself apart, and exits.

    The verdict is written last, so that an exit handler that crashes is not taken for success.
    Files that are still open are not written out, apart from the standard streams.
    """
    try:
        shutdown = getattr(sys.modules.get("threading"), "_shutdown", None)
        if shutdown is not None:
            shutdown()  # waits for threads that are not daemons
        import atexit

        atexit._run_exitfuncs()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    try:
        flush_streams()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    status = 0
    if verdict is not None:
        try:
            data = marshal.dumps(verdict)
            if len(data) > REPORT_LIMIT_BYTES:
                data = marshal.dumps(Refused("HookRuntimeError", "the return value is too large").verdict())
            file = os.open(report, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0))
            while data:
                data = data[os.write(file, data) :]
        except BaseException:
            status = 70
    os._exit(status)


def forget_exit_handlers() -> None:
    """
    Leaves to the keeper what the backend's import wants done at exit.

    A hook process that, say, removed a temporary directory that the import has made would break the next one.
    """
    import atexit

    atexit._clear()
    finalize: Any = getattr(sys.modules.get("weakref"), "finalize", None)
    if finalize is not None and finalize._registered_with_atexit:
        for finalizer in list(finalize._registry):
            finalizer.atexit = False
        atexit.register(finalize._exitfunc)


#: What `open_streams` has made, and what is underneath.
_streams: list[Any] = []


def open_streams() -> None:
    """
    Makes ``sys.stdin`` and so on anew, for descriptors that now lead elsewhere.

    Encodings are those that the interpreter chose at start. Lines are flushed, so that people see progress.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        old = getattr(sys, name, None)
        default = "backslashreplace" if name == "stderr" else "strict"
        stream = open(  # noqa: SIM115 - for as long as the process lives
            descriptor,
            mode,
            buffering=1 if mode == "w" else -1,
            encoding=getattr(old, "encoding", None) or "utf-8",
            errors=getattr(old, "errors", None) or default,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        _streams.extend((stream, getattr(stream, "buffer", None)))


def redirect(stdout: str, stderr: str) -> None:
    """Points descriptors 0 to 2 at nothing and at the hook's output files."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    file = os.open(stdout, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(file, 1)
    if stderr != stdout:
        os.close(file)
        file = os.open(stderr, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(file, 2)
    os.close(file)


def look_like_python_c() -> None:
    """Makes this process look to a backend as ``python -c`` would, and hides that hookd is ``__main__``."""
    module = type(sys)("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    sys.modules.pop("hookd", None)
    sys.argv[:] = ["-c"]


# --------------------------------------------------------------------------------------------------------
# Processes and groups, on POSIX

_prctl: Callable[[int, int], int] | None = None
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def load_libc() -> None:
    """Finds Linux's ``prctl``. Without it descendants may outlive a killed hookd."""
    global _prctl  # noqa: PLW0603 - there is one kernel
    if _prctl is not None or not sys.platform.startswith("linux"):
        return
    try:
        function = libc_function("prctl", "iLLLL")
    except (ImportError, OSError, AttributeError):
        return

    def call(option: int, value: int) -> int:
        return int(function(option, value, 0, 0, 0))

    _prctl = call


def libc_function(name: str, arguments: str) -> Callable[..., int]:
    """
    A function of the C library that returns an ``int``.

    :param arguments: Their types: ``i`` for an ``int``, ``L`` for what is as wide as a pointer.
    :raises ImportError, OSError, AttributeError: There is no such function, or no way to it.
    """
    function: Callable[..., int]
    if sys.implementation.name == "cpython":
        try:
            # What ``ctypes`` does, without the 2 ms that it takes to load.
            import _ctypes

            kinds = {letter: type("c", (_ctypes._SimpleCData,), {"_type_": letter}) for letter in "iL"}
            members = {
                "_flags_": _ctypes.FUNCFLAG_CDECL,
                "_restype_": kinds["i"],
                "_argtypes_": tuple(kinds[letter] for letter in arguments),
            }
            library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
            function = type("Function", (_ctypes.CFuncPtr,), members)(_ctypes.dlsym(library, name))
        except Exception:
            pass  # a Python that does it in another way
        else:
            return function
    import ctypes

    function = getattr(ctypes.CDLL(None), name)
    function.argtypes = [{"i": ctypes.c_int, "L": ctypes.c_ulong}[letter] for letter in arguments]  # type: ignore[attr-defined]
    return function


def die_with(parent: int, number: int) -> None:
    """Asks to be sent a signal when the parent dies; exits if that has happened already."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


#: Of waitid; the module has it since Python 3.9.
CLD_STOPPED = 5


def client_group() -> int:
    """:return: The process group of whoever has started hookd, which may have the terminal; 0 if that is not known."""
    try:
        return os.getpgid(os.getppid())
    except (AttributeError, OSError):  # Windows has none
        return 0


CLIENT_GROUP = client_group()


def pass_terminal(giver: int, taker: int) -> bool:
    """
    Hands the terminal from one process group to another.

    :return: Whether it was the giver's.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False
    # A group in the background is stopped when it does this, unless it blocks the signal.
    mask = signals.pthread_sigmask(signals.SIG_BLOCK, [signals.SIGTTOU])
    try:
        if os.tcgetpgrp(terminal) != giver:
            return False
        os.tcsetpgrp(terminal, taker)
    except OSError:
        return False
    finally:
        signals.pthread_sigmask(signals.SIG_SETMASK, mask)
        os.close(terminal)
    return True


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


def reap_adopted(group: int = -1) -> None:
    """Reaps what was adopted as a subreaper and has ended."""
    try:
        while os.waitpid(group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def clear_group(group: int, deadline: float) -> None:
    """Ends what is left of a group whose leader has been reaped; it has had SIGTERM."""
    pause = 0.0005
    while signal_group(group, 0):
        reap_adopted(-group)
        now = time.monotonic()
        if now >= deadline:
            signal_group(group, signals.SIGKILL)
        if now >= deadline + KILL_SECONDS:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def children() -> list[int]:
    """This process's children (Linux; elsewhere none)."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def session_of(process: int) -> int:
    try:
        return os.getsid(process)
    except OSError:
        return 0


def census() -> Census:
    """
    Takes note of the children there are, and of the sessions that they lead.

    Those are what `sweep` leaves alone: servers that earlier hooks have started.
    """
    found = set(children())
    return found, {session_of(child) for child in found} - {0, os.getsid(0)}


def sweep(known: Census) -> None:
    """
    Kills the adopted children that were not there before, and so on down to their last descendant.

    A subreaper adopts whatever loses its parent, so killing a process brings its children up to us.
    """
    processes, sessions = known
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        strays = [child for child in children() if child not in processes and session_of(child) not in sessions]
        if not strays:
            return
        for stray in strays:
            try:
                os.kill(stray, signals.SIGKILL)
            except OSError:
                pass
            try:
                os.waitpid(stray, os.WNOHANG)
            except OSError:
                pass
        time.sleep(0.001)


def status_in_words(status: int) -> str:
    """Puts a ``wait`` status into words."""
    if not os.WIFSIGNALED(status):
        return f"exited with status {os.WEXITSTATUS(status)}"
    return f"was killed by {signal_name(os.WTERMSIG(status))}"


def signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# --------------------------------------------------------------------------------------------------------
# Frames between hookd and a keeper


def send_frame(descriptor: int, frame: Frame) -> None:
    data = marshal.dumps(frame)
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(descriptor, data) :]


def read_exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            return b""
        data += more
    return data


def read_frame(descriptor: int) -> Frame | None:
    """:return: Nothing at end of file, which means that the other side is gone."""
    header = read_exactly(descriptor, 4)
    body = read_exactly(descriptor, int.from_bytes(header, "little")) if header else b""
    return marshal.loads(body) if body else None


def is_readable(descriptor: int, seconds: float = 0) -> bool:
    import select

    # An import may leave a thousand descriptors open: ``select`` takes no higher ones.
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], seconds)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


# --------------------------------------------------------------------------------------------------------
# The keeper


class Keeper:
    """What runs in a keeper process, and has nothing to do with hookd's end of the pipes."""

    def __init__(self, jobs: int, reports: int, hookd: int, base: dict[str, str]) -> None:
        self.jobs = jobs
        self.reports = reports
        self.hookd = hookd
        self.base = base
        self.pid = os.getpid()
        self.overlay: Overlay = {}
        self.hook = 0
        #: Who has started hookd.
        self.client = CLIENT_GROUP
        #: Whether the hook was ended because it cannot have the terminal.
        self.wants_terminal = False
        self.deadline = 0.0
        self.known: Census = (set(), set())
        #: What hookd would remove at its end.
        self.litter: list[str] = []

    def serve(self) -> NoReturn:
        """Runs hooks until hookd closes the pipe."""
        os.setpgid(0, 0)
        if _prctl is not None:
            _prctl(PR_SET_CHILD_SUBREAPER, 1)
        die_with(self.hookd, signals.SIGTERM)
        look_like_python_c()
        redirect(os.devnull, os.devnull)
        open_streams()
        freeze()
        while True:
            frame = read_frame(self.jobs)
            if frame is None:
                leave(None, "")
            if frame[0] == "import":
                self.import_ahead(frame[1])
            elif frame[0] == "run":
                self.run(frame[1])
            # Anything else was meant for a hook that had ended in the meantime.

    def import_ahead(self, job: Job) -> None:
        start = time.monotonic()
        try:
            self.prepare(job)
            hide(job["hidden"])
            collect_again = without_collector()
            import_backend(job["module"])
            absent, spoilt = import_more(job["preload"])
            collect_again()
        except Refused as refused:
            frame: Frame = ("refused", *refused.verdict()[1:])
        except BaseException as error:
            frame = ("refused", "HookRuntimeError", f"cannot prepare the import: {in_words(error)}", "")
        else:
            threads = count_threads()
            frame = ("threads", threads) if threads > 1 else ("imported", time.monotonic() - start, absent)
            frame = ("spoilt", *spoilt) if spoilt else frame
        # Otherwise each hook process would write it once more.
        flush_streams()
        freeze()
        redirect(os.devnull, os.devnull)
        send_frame(self.reports, frame)
        if frame[0] != "imported":
            leave(None, "")

    def prepare(self, job: Job) -> None:
        """Gives this process what a job says of output, environment and directory."""
        redirect(job["stdout"], job["stderr"])
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

    def effective(self, name: str, overlay: Overlay) -> str | None:
        return overlay[name] if name in overlay else self.base.get(name)

    def run(self, job: Job) -> None:
        """Has a hook process run a hook, sees it end, and tidies up behind it."""
        self.litter = job["litter"]
        self.deadline = 0.0
        previous = signals.signal(signals.SIGTERM, self.abandon)
        try:
            self.hook, pipe = self.fork(job, previous)
        except OSError as error:
            signals.signal(signals.SIGTERM, previous)
            send_frame(self.reports, ("refused", "HookRuntimeError", f"cannot fork: {error}", ""))
            return
        processes, sessions = census()
        self.known = processes - {self.hook}, sessions
        group = self.hook
        send_frame(self.reports, ("started", group))
        try:
            if not job["gated"] or self.obey(read_frame(self.jobs)):
                os.write(pipe, b"!")
        except OSError:
            pass  # killed before it has begun; its status will tell
        os.close(pipe)
        try:
            status, usage = self.wait()
            pass_terminal(group, self.client)
            while not self.deadline and is_readable(self.jobs):
                if not self.obey(read_frame(self.jobs)):
                    break
            clear_group(group, self.deadline or time.monotonic() + min(LEFTOVER_SECONDS, job["grace"]))
            if self.deadline:
                sweep(self.known)
            reap_adopted()
        finally:
            self.hook = 0
            signals.signal(signals.SIGTERM, previous)
        self.conclude(status, usage)

    def conclude(self, status: int, usage: Usage | None) -> None:
        """Says how the hook process ended."""
        if not self.wants_terminal:
            send_frame(self.reports, ("ended", status, usage))
            return
        self.wants_terminal = False
        words = "it wants to read from the terminal, which is not in its hands"
        send_frame(self.reports, ("refused", "HookRuntimeError", words, ""))

    def fork(self, job: Job, on_sigterm: Any) -> tuple[int, int]:
        """
        Forks a hook process, which waits until it may begin.

        :param on_sigterm: What it does on SIGTERM until it says otherwise.
        :return: The process, and the pipe that says when.
        :raises OSError: There can be no more processes or descriptors.
        """
        gate, pipe = os.pipe()
        # Python forgets signals that reach a forked child early; the mask keeps them until it listens.
        mask = signals.pthread_sigmask(signals.SIG_BLOCK, ENDING_SIGNALS)
        try:
            process = os.fork()
        except OSError:
            signals.pthread_sigmask(signals.SIG_SETMASK, mask)
            os.close(gate)
            os.close(pipe)
            raise
        if process == 0:
            signals.signal(signals.SIGTERM, signals.SIG_DFL if on_sigterm is None else on_sigterm)
            signals.pthread_sigmask(signals.SIG_SETMASK, mask)
            os.close(pipe)
            self.become_hook(job, gate)
        signals.pthread_sigmask(signals.SIG_SETMASK, mask)
        os.close(gate)
        try:
            os.setpgid(process, process)
        except OSError:
            pass  # it has done so itself
        return process, pipe

    def obey(self, frame: Frame | None) -> bool:
        """Takes note of what hookd says while a hook runs."""
        if frame is None:
            self.abandon(0, None)
        elif frame[0] == "ending":
            self.deadline = frame[1]
        return frame is not None

    def attend(self) -> None:
        """
        Sees the hook process end.

        ssh, gpg and others ask at the terminal, and the kernel stops a hook in the background for that: it gets the
        terminal if that is the client's, and is ended if it is not.
        """
        while True:
            state = os.waitid(os.P_PID, self.hook, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
            if state is None or state.si_code != CLD_STOPPED:
                return
            os.waitid(os.P_PID, self.hook, os.WSTOPPED | os.WNOHANG)
            if state.si_status in (signals.SIGTTIN, signals.SIGTTOU):
                if not (pass_terminal(self.client, self.hook) or pass_terminal(self.hook, self.hook)):
                    self.wants_terminal = True
                    signal_group(self.hook, signals.SIGKILL)
                    continue
            elif state.si_status != signals.SIGTSTP or not pass_terminal(self.hook, self.hook):
                continue  # somebody has stopped it by hand
            signal_group(self.hook, signals.SIGCONT)

    def wait(self) -> tuple[int, Usage | None]:
        """Waits for the hook process; SIGTERM to its group goes out while it still holds the group's id."""
        try:
            if hasattr(os, "waitid"):
                self.attend()
                signal_group(self.hook, signals.SIGTERM)
                _, status, usage = os.wait4(self.hook, 0)
            else:
                _, status, usage = os.wait4(self.hook, 0)
                signal_group(self.hook, signals.SIGTERM)
        except ChildProcessError:
            # The backend's import has set SIGCHLD to be ignored: the status is lost, the verdict is not.
            signal_group(self.hook, signals.SIGTERM)
            return 0, None
        scale = 1 if sys.platform == "darwin" else 1024
        return status, (usage.ru_utime, usage.ru_stime, usage.ru_maxrss * scale)

    def abandon(self, _number: int, _frame: object) -> None:
        """
        Ends the hook and this process, because hookd is dead.

        SIGTERM says so (PR_SET_PDEATHSIG), or the end of the pipe.
        """
        if self.hook:
            group = self.hook
            signal_group(group, signals.SIGTERM)
            deadline = time.monotonic() + LEFTOVER_SECONDS
            clear_group(group, deadline)
            sweep(self.known)
            remove(self.litter)
        os._exit(1)

    def become_hook(self, job: Job, gate: int) -> NoReturn:
        """The hook process, from fork to exit."""
        verdict: Verdict
        report = job["report"]
        try:
            os.setpgid(0, 0)
            die_with(self.pid, signals.SIGKILL)
            os.close(self.jobs)
            os.close(self.reports)
            forget_exit_handlers()
            if not os.read(gate, 1):
                os._exit(1)  # there is nobody who waits for it
            os.close(gate)
            if job["fresh"]:
                self.become_interpreter(job)
            self.prepare(job)
            verdict = perform(job)
        except Refused as refused:
            verdict = refused.verdict()
        except BaseException as error:
            verdict = ("error", "HookRuntimeError", f"cannot prepare the hook: {in_words(error)}", "")
        leave(verdict, report)

    def become_interpreter(self, job: Job) -> NoReturn:
        redirect(job["stdout"], job["stderr"])
        environ = {**self.base, **job["environ"]}
        command = interpreter_command(job["report"])
        environ = {name: value for name, value in environ.items() if value is not None}
        os.execve(command[0], command, environ)  # noqa: S606


def freeze() -> None:
    """Spares hook processes that their garbage collector searches, and so copies, what is there already."""
    if sys.implementation.name == "cpython":
        import gc

        gc.freeze()


def ends_within(process: int, seconds: float) -> bool:
    """Waits for the end of a child, but no longer than that; where that cannot be told, not at all."""
    try:
        descriptor = os.pidfd_open(process)
    except (AttributeError, OSError):
        return False
    ended = is_readable(descriptor, seconds)
    os.close(descriptor)
    return ended


def without_collector() -> Callable[[], None]:
    """
    Keeps the garbage collector from searching, again and again, what an import makes: it is there to stay.

    :return: What has it search again, unless the import has had a say in that; and more seldom than before, for hook
        processes do not live long enough for it to pay.
    """
    if sys.implementation.name != "cpython":
        return lambda: None
    import gc

    before = gc.get_threshold()
    never = (2**31 - 1, *before[1:])
    gc.set_threshold(*never)
    during = gc.get_threshold()

    def again() -> None:
        if gc.get_threshold() == during:
            gc.set_threshold(before[0] and max(before[0], COLLECTED_ALLOCATIONS), *before[1:])

    return again


def count_threads() -> int:
    """Threads of this process, those that Python does not know of included where the system tells."""
    threading = sys.modules.get("threading")
    count: int = threading.active_count() if threading else 1
    try:
        return max(count, len(os.listdir("/proc/self/task")))
    except OSError:
        return count


def interpreter_command(report: str) -> list[str]:
    """
    A command that runs one hook in a new interpreter, with this interpreter's own flags.

    :raises Refused: We do not know where the interpreter, or this file, is.
    """
    import subprocess

    if not sys.executable or not os.path.isfile(OWN_FILE):
        raise Refused("HookRuntimeError", "cannot start a new interpreter: its path, or that of hookd, is unknown")
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, os.path.abspath(OWN_FILE), "--hook", report]


def hook_main(report: str) -> NoReturn:
    """A new interpreter for one hook. The report file holds the job first, then the verdict."""
    with open(report, "rb") as file:
        job = marshal.load(file)
    look_like_python_c()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        os.chdir(job["source_tree"])
        verdict = perform(job)
    except OSError as error:
        verdict = Refused("HookRuntimeError", f"cannot enter the source tree: {error}").verdict()
    leave(verdict, report)


# --------------------------------------------------------------------------------------------------------
# The client's end: two private descriptors


class Client:
    """
    Reads lines from the client and writes messages to it.

    Descriptors 0 and 1 are taken away from everybody else. A hookd that is told to end, or whose client is
    gone, takes note of it here (`told`, `gone`) and acts on it where it is safe to.
    """

    def __init__(self) -> None:
        spare = [os.open(os.devnull, os.O_RDWR)]
        while spare[-1] <= STDERR:
            spare.append(os.open(os.devnull, os.O_RDWR))
        null = spare.pop()
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
        self.told = 0
        self.parent = os.getppid()

    def say(self, word: str, *values: str) -> None:
        """Queues a message; `flush` sends it."""
        line = " ".join([word, *map(escape, values)])
        self.pending += line.encode("utf-8", "replace") + b"\n"

    def flush(self) -> None:
        while self.pending and not self.deaf:
            try:
                del self.pending[: os.write(self.output, self.pending)]
            except OSError:
                self.deaf = True
        self.pending.clear()

    def take_line(self) -> str | None:
        """:return: The next line that has been read already."""
        end = self.buffer.find(b"\n")
        if end < 0:
            if not self.eof or not self.buffer:
                return None
            end = len(self.buffer)
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        if line.endswith(b"\r"):
            line = line[:-1]  # written by hand on Windows; in values it would be escaped
        return line.decode("utf-8", "surrogateescape")

    def take_cancel(self) -> bool:
        """:return: Whether the next line was `cancel`, which is then gone."""
        if self.buffer.startswith((b"cancel\n", b"cancel\r\n")):
            self.take_line()
            return True
        return False

    def fill(self) -> None:
        try:
            data = os.read(self.input, 64 * 1024)
        except OSError:
            data = b""
        self.buffer += data
        self.eof = not data

    def check_gone(self) -> bool:
        """:return: Whether nobody waits for the hook any more."""
        # Lines that are still unread make it a script, piped into us by somebody who is done already.
        unread = b"\n" in self.buffer
        self.gone = (
            self.gone or self.deaf or (self.eof and self.is_stream and not unread) or os.getppid() != self.parent
        )
        return self.gone

    def read_line(self) -> str | None:
        """
        Sends what is queued and waits for a line.

        :return: Nothing at end of file.
        :raises Ended: By a signal, or because nobody reads what we write.
        """
        raise NotImplementedError

    def close(self) -> None:
        os.close(self.input)
        os.close(self.output)


class SelectClient(Client):
    """Waits with ``select``; signals wake it up through a pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.wakeup, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        os.set_blocking(self.wakeup, False)
        signals.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        self.handlers = {}
        for number in ENDING_SIGNALS:
            if signals.getsignal(number) != signals.SIG_IGN:
                self.handlers[number] = signals.signal(number, self.on_signal)

    def on_signal(self, number: int, _frame: object) -> None:
        self.told = self.told or number

    def wait(self, readers: Iterable[int], timeout: float | None, writer: int | None = None) -> list[int]:
        """:return: The descriptors that are ready; none if it took too long or a signal came."""
        import select

        writers = [] if writer is None else [writer]
        readable, writable, _ = select.select([*readers, self.wakeup], writers, [], timeout)
        if self.wakeup in readable:
            os.read(self.wakeup, 512)
            readable.remove(self.wakeup)
        return readable + writable

    def flush(self) -> None:
        if "select" not in sys.modules:
            super().flush()  # the first few messages find an empty pipe
            return
        import select

        size = getattr(select, "PIPE_BUF", 512)
        while self.pending and not self.deaf:
            # A client that does not read must not keep us from ending: then there is 1 s for the last words.
            timeout = 1.0 if self.told or self.gone else None
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

    def read_line(self) -> str | None:
        self.flush()
        while True:
            if self.told or self.gone or self.deaf:
                raise Ended
            line = self.take_line()
            if line is not None or self.eof:
                return line
            if self.wait([self.input], None):
                self.fill()

    def close(self) -> None:
        """In a keeper: gives up the descriptors and the signals."""
        signals.set_wakeup_fd(-1)
        for number, handler in self.handlers.items():
            signals.signal(number, handler)
        super().close()
        os.close(self.wakeup)
        os.close(self.waker)


# --------------------------------------------------------------------------------------------------------
# hookd itself


class Daemon:
    """
    The protocol, without the running of hooks.

    :param client: The other end.
    :param source_tree: Where hooks run until the client says otherwise.
    """

    def __init__(self, client: Client, source_tree: str) -> None:
        self.client = client
        self.base = dict(os.environ)
        self.source_tree = source_tree
        self.backend_path: list[str] | None = None
        self.environ: Overlay = {}
        self.messages: list[str] = []
        self.output: str | None = None
        self.temporary: str | None = None
        self.grace = DEFAULT_GRACE_SECONDS
        self.cancellable = False
        self.isolation = "fork"
        self.hidden: list[str] = []
        self.preload: list[str] = []
        #: Temporary directories of the client's.
        self.lent: list[str] = []
        self.directory = ""
        self.report = ""
        self.report_file = -1
        self.reason = ""

    def serve(self) -> int:
        """:return: The exit status."""
        names = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}
        name = names.get(sys.implementation.name, sys.implementation.name)
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
                self.client.say("FATAL", "Terminated", f"by {signal_name(self.client.told)}")
        except BaseException as error:  # ours: a bug, or a full disk
            import traceback

            self.close()
            status = 1
            self.client.say("FATAL", "InternalError", in_words(error))
            self.client.say("TRACEBACK", traceback.format_exc())
        self.client.flush()
        if self.lent:
            remove(self.lent)
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
        except Refused as refused:
            self.client.say("ERROR", refused.kind, refused.text)
            if refused.traceback:
                self.client.say("TRACEBACK", refused.traceback)
        if self.reason and (self.client.told or self.client.gone):
            raise Ended
        return True

    def do(self, action: str) -> None:
        """:raises Refused: If the action fails; otherwise `OK` has been said."""
        answer = "null"
        if action == "run":
            answer = self.run()
        elif action == "import":
            self.import_ahead(*parse_reference(self.ask("build_backend", "MalformedBackendName")))
        elif action == "configure":
            self.configure(self.ask("configuration", "InvalidConfiguration"))
        elif action == "temporary_directory":
            answer = to_json(self.temporary_directory())
        elif action == "fetch":
            self.fetch(self.ask("path", "MalformedHookArgument"))
        else:
            raise Refused("InvalidAction", f"`{action}` is not an action")
        self.client.say("OK", answer)

    def debug(self, text: str) -> None:
        self.client.say("DEBUG", text)

    def temporary_directory(self) -> str:
        """
        A new directory, which goes when hookd ends: for a client that cannot name one where hookd runs.

        :raises Refused: HookRuntimeError, where it cannot be made.
        """
        import tempfile

        try:
            path = tempfile.mkdtemp(prefix="hookd-")
        except OSError as error:
            raise Refused("HookRuntimeError", f"cannot make a directory: {error}") from None
        self.lent.append(path)
        return path

    def fetch(self, path: str) -> None:
        """
        Sends what is at ``path`` as a tar archive with one top-level name, in ``DATA`` messages.

        :raises Refused: MalformedHookArgument for a path that is not there; HookRuntimeError if reading fails.
        """
        import base64
        import tarfile

        say = self.client.say
        flush = self.client.flush

        class Sink:
            """The archive's file: what is written to it is on its way."""

            def write(self, data: bytes) -> int:
                say("DATA", base64.b64encode(data).decode("ascii"))
                flush()
                return len(data)

        if not os.path.lexists(path):
            raise Refused("MalformedHookArgument", f"there is nothing at `{path}`")
        try:
            with tarfile.open(fileobj=Sink(), mode="w|", bufsize=49152, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
                archive.add(path, arcname=os.path.basename(path))
        except (OSError, tarfile.TarError) as error:
            raise Refused("HookRuntimeError", f"cannot read `{path}`: {error}") from None

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
        try:
            settings = parse_json(text)
        except (ValueError, RecursionError) as error:
            raise Refused("InvalidConfiguration", not_json(text, error)) from None
        if not isinstance(settings, dict):
            raise Refused("InvalidConfiguration", "not a JSON object")
        checks: dict[str, tuple[Callable[[Any], bool], str]] = {
            "source_tree": (
                lambda value: isinstance(value, str) and os.path.isabs(value) and os.path.isdir(value),
                "the absolute path of a directory",
            ),
            "backend_path": (lambda value: value is None or is_list_of_strings(value), "a list of strings or null"),
            "environ": (is_overlay, "an object of strings and nulls, with names that an environment can hold"),
            "messages": (
                lambda value: is_list_of_strings(value) and set(value) <= set(EXTENSION_MESSAGES),
                f"a list of {', '.join(EXTENSION_MESSAGES)}",
            ),
            "output": (
                lambda value: value is None or (isinstance(value, str) and os.path.isabs(value)),
                "an absolute path or null",
            ),
            "temporary": (
                lambda value: (
                    value is None or (isinstance(value, str) and os.path.isabs(value) and os.path.isdir(value))
                ),
                "the absolute path of a directory or null",
            ),
            "grace_seconds": (
                lambda value: type(value) in (int, float) and 0 <= value <= 10**6,
                "a number of seconds",
            ),
            "cancellable": (lambda value: isinstance(value, bool), "true or false"),
            "preload": (is_list_of_modules, "a list of module names"),
            "isolation": (lambda value: value in ("fork", "spawn"), "`fork` or `spawn`"),
            "hidden": (
                lambda value: (
                    is_list_of_strings(value) and all(os.path.isabs(path) and "\0" not in path for path in value)
                ),
                "a list of absolute paths",
            ),
        }
        for name, value in settings.items():
            if name in checks and not checks[name][0](value):
                raise Refused("InvalidConfiguration", f"`{name}` has to be {checks[name][1]}")
        for name, value in settings.items():
            if name in checks:
                setattr(self, "grace" if name == "grace_seconds" else name, value)
            else:
                self.debug(f"unknown in a configuration, ignored: `{name}`")

    def run(self) -> str:
        """
        Runs one hook.

        :return: Its return value, as JSON.

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
        job: Job = self.job(backend[0])
        job.update(reference=reference, attributes=backend[1], hook=hook, arguments=arguments, directory=arguments[0])
        start = time.monotonic()
        self.reason = ""
        try:
            self.prepare_output(job, announce=True)
            verdict, usage = self.run_hook(job)
        finally:
            self.close_output()
        if self.reason:
            verdict = Refused("HookCancelled", self.reason).verdict()
        if "USAGE" in self.messages:
            user, system, size = usage or (None, None, None)
            values = {"user_seconds": user, "system_seconds": system, "max_rss_bytes": size}
            values["wall_seconds"] = round(time.monotonic() - start, 6)
            items = (f'"{name}": {"null" if value is None else value}' for name, value in values.items())
            self.client.say("USAGE", "{" + ", ".join(items) + "}")
        if verdict[0] != "ok":
            raise Refused(*verdict[1:])
        return to_json(verdict[1])

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
        try:
            settings = parse_json(text)
        except (ValueError, RecursionError) as error:
            raise Refused(kind, f"`config_settings` is {not_json(text, error)}") from None
        if not isinstance(settings, dict):
            raise Refused(kind, "`config_settings` is not a JSON object")
        try:
            marshal.dumps([[[[[[settings]]]]]])  # in a job, on its way to a keeper
        except ValueError as error:
            raise Refused(kind, f"`config_settings`: {error}") from None
        return settings

    def job(self, module: str) -> Job:
        """What any process that works for a backend has to know."""
        return {
            "module": module,
            "backend_path": self.backend_path,
            "source_tree": self.source_tree,
            "environ": self.environ,
            "grace": self.grace,
            "gated": "CHILD" in self.messages,
            "hidden": self.hidden,
            "report": self.report,
            "litter": [],
            "fresh": False,
            "stdout": os.devnull,
            "stderr": os.devnull,
        }

    def temporary_path(self, name: str) -> str:
        """
        A path that does not exist, beside our own directory: the client deletes what is there when we may be gone.

        ``tempfile`` would take 10 ms to load.
        """
        return os.path.join(os.path.dirname(self.directory), f"{os.path.basename(self.directory)}-{name}")

    def make_directory(self) -> None:
        """
        Makes our own directory for the report file.

        :raises Refused: There is no place for it.
        """
        places = [self.temporary or "", *(self.base.get(name, "") for name in ("TMPDIR", "TEMP", "TMP"))]
        places += FALLBACK_DIRECTORIES
        for place in [*filter(None, places), os.getcwd()]:
            directory = os.path.join(os.path.abspath(place), f"hookd-{os.getpid()}-{os.urandom(6).hex()}")
            try:
                os.mkdir(directory, 0o700)
                report = os.path.join(directory, "report")
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
                self.report_file = os.open(report, flags, 0o600)
            except OSError:
                continue
            self.directory, self.report = directory, report
            return
        raise Refused("HookRuntimeError", "found no directory for temporary files")

    def prepare_output(self, job: Job, *, announce: bool) -> None:
        """
        Makes what a hook's output goes to, and empties the report file.

        :raises Refused: HookRuntimeError; the disk is full, or the client's file cannot be opened.
        """
        try:
            self.open_output(job, announce=announce)
        except OSError as error:
            raise Refused("HookRuntimeError", f"cannot prepare the output: {error}") from None

    def open_output(self, job: Job, *, announce: bool) -> None:
        if not self.directory:
            self.make_directory()
        job["report"] = self.report
        job["litter"] = [self.directory, *self.lent]
        os.ftruncate(self.report_file, 0)
        if "OUTPUT" in self.messages:
            self.open_output_stream(job)
        elif self.output is not None:
            os.close(os.open(self.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
            job["stdout"] = job["stderr"] = self.output
        elif announce:
            unique = os.urandom(6).hex()
            for name in ("stdout", "stderr"):
                path = self.temporary_path(f"{unique}.{name}")
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                job[name] = path
        if announce and "OUTPUT" not in self.messages:
            self.client.say("STDOUT", job["stdout"])
            self.client.say("STDERR", job["stderr"])

    def read_report(self) -> Verdict | None:
        """:return: The hook's verdict, if it got as far as that."""
        try:
            size = os.fstat(self.report_file).st_size
            os.lseek(self.report_file, 0, os.SEEK_SET)
            verdict = marshal.loads(os.read(self.report_file, min(size, REPORT_LIMIT_BYTES)))
        except (OSError, ValueError, EOFError, TypeError):
            return None
        return verdict if isinstance(verdict, tuple) and verdict[:1] in (("ok",), ("error",)) else None

    def verdict_on(self, words: str) -> Verdict:
        """What is to be said of a hook process that has ended."""
        verdict = self.read_report()
        return verdict or Refused("HookRuntimeError", f"the hook process {words} before it had answered").verdict()

    def send_output(self, number: int, text: str) -> None:
        *lines, rest = text.split("\n")
        for line in lines:
            self.client.say("OUTPUT", str(number), line + "\n")
        if rest:
            self.client.say("OUTPUT", str(number), rest)

    def why_end(self) -> str:
        """:return: Why the hook that runs has to be ended, or nothing."""
        if self.client.told:
            return f"hookd was ended by {signal_name(self.client.told)}"
        if self.client.check_gone():
            return "the client is gone"
        return "cancelled by the client" if self.cancellable and self.client.take_cancel() else ""

    def close(self) -> None:
        if self.directory:
            os.close(self.report_file)
            try:
                os.unlink(self.report)
                os.rmdir(self.directory)
            except OSError:
                pass
            self.directory = ""

    def import_ahead(self, module: str, attributes: list[str]) -> None:
        raise NotImplementedError

    def run_hook(self, job: Job) -> tuple[Verdict, Usage | None]:
        raise NotImplementedError

    def open_output_stream(self, job: Job) -> None:
        raise NotImplementedError

    def close_output(self) -> None:
        raise NotImplementedError


def remove(directories: Iterable[str]) -> None:
    import shutil

    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_list_of_modules(value: Any) -> bool:
    return is_list_of_strings(value) and all(name.replace(".", "_").isidentifier() for name in value)


def is_overlay(value: object) -> bool:
    return isinstance(value, dict) and all(
        name
        and "=" not in name
        and "\0" not in name
        and (setting is None or (isinstance(setting, str) and "\0" not in setting))
        for name, setting in value.items()
    )


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
        """
        Waits for the end of a keeper whose pipes have been closed.

        :return: How it ended.
        """
        deadline = time.monotonic() + KILL_SECONDS
        pause = 0.0005
        ends_within(self.pid, KILL_SECONDS)
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            while not pid:
                if time.monotonic() > deadline:
                    os.kill(self.pid, signals.SIGKILL)
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
                pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return "is gone"
        return status_in_words(status)


class ForkDaemon(Daemon):
    """Runs hooks in forks of keepers."""

    client: SelectClient

    def __init__(self, client: SelectClient, source_tree: str) -> None:
        super().__init__(client, source_tree)
        #: By module; the plain one has no name.
        self.keepers: dict[str, KeeperLink] = {}
        self.threaded: set[str] = set()
        #: What could not be preloaded; not tried again.
        self.spoilt: set[str] = set()
        #: The hook's output, when it is a message: by descriptor, the number it has there and its decoder.
        self.streams: dict[int, tuple[int, Any]] = {}
        self.stream_paths: dict[str, int] = {}
        self.deadline = 0.0
        self.killed = False

    def import_ahead(self, module: str, _attributes: list[str]) -> None:
        if self.backend_path:
            self.debug("a backend in the source tree is not imported ahead")
            return
        job = self.job(module)
        reason = self.why_fresh(job)
        if reason:
            self.debug(f"not imported ahead: {reason}")
            return
        self.reason = ""
        try:
            self.prepare_output(job, announce=False)
            self.keeper_with(job)
        finally:
            self.close_output()
        if self.reason:
            raise Refused("HookCancelled", self.reason)

    def run_hook(self, job: Job) -> tuple[Verdict, Usage | None]:
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
            os.lseek(self.report_file, 0, os.SEEK_SET)
            os.write(self.report_file, marshal.dumps(job))
        if keeper is None:
            keeper = self.keepers.get("") or self.start_keeper("")
        keeper.send("run", job)
        return self.attend(keeper, job)

    def why_fresh(self, job: Job) -> str:
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
        if not self.keepers:
            load_libc()
            if _prctl is not None:
                _prctl(PR_SET_CHILD_SUBREAPER, 1)
        jobs, our_jobs = os.pipe()
        our_reports, reports = os.pipe()
        hookd = os.getpid()
        self.client.flush()
        # See `Keeper.run` for the mask.
        mask = signals.pthread_sigmask(signals.SIG_BLOCK, ENDING_SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            signals.pthread_sigmask(signals.SIG_SETMASK, mask)
            for descriptor in (jobs, our_jobs, our_reports, reports):
                os.close(descriptor)
            raise Refused("HookRuntimeError", f"cannot fork: {error}") from None
        if pid == 0:
            try:
                self.client.close()
                signals.pthread_sigmask(signals.SIG_SETMASK, mask)
                self.forget(our_jobs, our_reports)
                Keeper(jobs, reports, hookd, self.base).serve()
            except BaseException as error:
                sys.excepthook(type(error), error, error.__traceback__)
            finally:
                os._exit(70)
        signals.pthread_sigmask(signals.SIG_SETMASK, mask)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # it has done so itself
        os.close(jobs)
        os.close(reports)
        self.keepers[module] = KeeperLink(pid, our_jobs, our_reports)
        return self.keepers[module]

    def forget(self, *descriptors: int) -> None:
        """In a keeper: closes what is hookd's."""
        for link in self.keepers.values():
            link.close()
        for descriptor in (*descriptors, self.report_file, *self.streams, *self.stream_paths.values()):
            os.close(descriptor)

    def keeper_with(self, job: Job) -> KeeperLink | None:
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
            self.client.flush()
        preload = [name for name in self.preload if name not in self.spoilt]
        keeper.send("import", {**job, "preload": preload})
        known = census()
        frame = self.await_frame(keeper, keeper.pid)
        if frame is not None and frame[0] == "imported" and not self.reason:
            self.debug(f"imported {module} in {frame[1]:.3f} s")
            if frame[2]:
                self.debug(f"not preloaded, as there is no such module: {', '.join(frame[2])}")
            return keeper
        words = self.retire(keeper)
        clear_group(keeper.pid, self.deadline if self.reason else time.monotonic() + LEFTOVER_SECONDS)
        if self.reason:
            sweep(known)
            return None
        if frame is None:
            raise Refused("BackendImportError", f"the process that imported `{module}` {words}")
        if frame[0] == "threads":
            self.threaded.add(module)
            return None
        if frame[0] == "spoilt":
            self.debug(f"not preloaded: the import of `{frame[1]}` raised {frame[2]}")
            self.spoilt.add(frame[1])
            return self.keeper_with(job)
        raise Refused(*frame[1:])

    def attend(self, keeper: KeeperLink, job: Job) -> tuple[Verdict, Usage | None]:
        """Watches over a hook from start to end."""
        group = 0
        known = census()
        frame = self.await_frame(keeper, 0)
        if frame is not None and frame[0] == "started":
            group = frame[1]
            if job["gated"]:
                self.client.say("CHILD", str(group))
                self.client.flush()
                keeper.send("go")
            frame = self.await_frame(keeper, group)
        if frame is None:
            words = self.retire(keeper)
            if group:
                signal_group(group, signals.SIGTERM)
                clear_group(group, time.monotonic() + LEFTOVER_SECONDS)
                sweep(known)
            return self.verdict_on(f"lost its parent, which {words},"), None
        if frame[0] == "refused":
            return ("error", *frame[1:]), None
        return self.verdict_on(status_in_words(frame[1])), frame[2]

    def retire(self, keeper: KeeperLink) -> str:
        """
        Lets a keeper go.

        :return: How it ended.
        """
        module = next(name for name, link in self.keepers.items() if link is keeper)
        del self.keepers[module]
        keeper.close()
        return keeper.bury()

    def await_frame(self, keeper: KeeperLink, group: int) -> Frame | None:
        """
        Waits for a keeper's next frame; meanwhile passes on output, and ends the hook when it has to.

        :param group: The group to end; 0 while there is none yet.
        :return: Nothing if the keeper is gone.
        """
        self.client.flush()
        while True:
            timeout = self.end_if_due(keeper, group) if group else None
            ready = self.client.wait([keeper.reports, *self.streams, *self.client.watched()], timeout)
            for descriptor in ready:
                if descriptor in self.streams:
                    self.pass_on(descriptor)
            if self.client.input in ready:
                self.client.fill()
            self.client.flush()
            if keeper.reports in ready:
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
            self.deadline = time.monotonic() + self.grace
            self.killed = False
            keeper.send("ending", self.deadline)
            signal_group(group, signals.SIGTERM)
        timeout = self.deadline - time.monotonic()
        if timeout <= 0:
            if self.killed:
                # The keeper should have told us long ago.
                os.kill(keeper.pid, signals.SIGKILL)
            signal_group(group, signals.SIGKILL)
            self.killed = True
            timeout = KILL_SECONDS * 3
            self.deadline = time.monotonic() + timeout
        return timeout

    def open_output_stream(self, job: Job) -> None:
        """Named pipes: a keeper that is running already cannot inherit anything, but it can open a path."""
        import codecs

        for number, name in ((1, "stdout"), (2, "stderr")):
            path = os.path.join(self.directory, f"{os.urandom(6).hex()}.{name}")
            os.mkfifo(path, 0o600)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            # Our own writing end keeps the reading end from being at end of file before the hook has opened it.
            self.stream_paths[path] = os.open(path, os.O_WRONLY)
            self.streams[reader] = (number, codecs.getincrementaldecoder("utf-8")("replace"))
            job[name] = path

    def pass_on(self, descriptor: int) -> bool:
        """:return: Whether there was something to pass on."""
        number, decoder = self.streams[descriptor]
        try:
            data = os.read(descriptor, OUTPUT_CHUNK_BYTES)
        except BlockingIOError:
            return False
        text = decoder.decode(data)
        if text:
            self.send_output(number, text)
        return bool(data)

    def close_output(self) -> None:
        for descriptor, (number, decoder) in list(self.streams.items()):
            # The hook's processes are gone: what is left is finite, unless a server of its own floods us.
            for _ in range(1024):
                if not self.pass_on(descriptor):
                    break
                self.client.flush()
            rest = decoder.decode(b"", final=True)
            if rest:
                self.send_output(number, rest)
            os.close(descriptor)
        self.streams.clear()
        for path, descriptor in self.stream_paths.items():
            os.close(descriptor)
            os.unlink(path)
        self.stream_paths.clear()

    def close(self) -> None:
        for keeper in self.keepers.values():
            keeper.close()
        for keeper in self.keepers.values():
            keeper.bury()
        self.keepers.clear()
        super().close()


# --------------------------------------------------------------------------------------------------------
# Without fork


class ThreadedClient(Client):
    """Waits for whatever comes first out of a queue that threads fill: Windows cannot select on pipes."""

    def __init__(self) -> None:
        super().__init__()
        from queue import Queue
        from threading import Thread

        #: ("input", bytes), ("output", number, bytes), ("exit", status). Bounded: whoever fills it has to wait.
        self.events: queue.Queue[tuple[Any, ...]] = Queue(maxsize=16)
        for number in ENDING_SIGNALS:
            if signals.getsignal(number) != signals.SIG_IGN:
                signals.signal(number, self.on_signal)
        Thread(target=self.pump, daemon=True).start()

    def on_signal(self, number: int, _frame: object) -> None:
        self.told = self.told or number

    def pump(self) -> None:
        data = b"-"
        while data:
            try:
                data = os.read(self.input, 64 * 1024)
            except OSError:
                data = b""
            self.events.put(("input", data))

    def next_event(self, timeout: float) -> tuple[Any, ...] | None:
        """:return: The next event that is not input; nothing if there was only input, or none."""
        from queue import Empty

        try:
            event = self.events.get(timeout=timeout)
        except Empty:
            return None
        if event[0] != "input":
            return event
        self.buffer += event[1]
        self.eof = not event[1]
        return None

    def read_line(self) -> str | None:
        self.flush()
        while True:
            if self.told or self.gone or self.deaf:
                raise Ended
            line = self.take_line()
            if line is not None or self.eof:
                return line
            # Short, because on Windows a signal does not interrupt the wait.
            self.next_event(PARENT_POLL_SECONDS)


class SpawnDaemon(Daemon):
    """Runs each hook in a new interpreter: what Windows needs, and what any Python can do."""

    client: ThreadedClient

    def import_ahead(self, _module: str, _attributes: list[str]) -> None:
        self.debug("not imported ahead: there is no fork here, each hook gets a new interpreter")

    def run_hook(self, job: Job) -> tuple[Verdict, Usage | None]:
        import subprocess
        import threading

        self.debug("a new interpreter runs this hook: there is no fork here")
        os.lseek(self.report_file, 0, os.SEEK_SET)
        os.write(self.report_file, marshal.dumps(job))
        environ = {name: value for name, value in {**self.base, **self.environ}.items() if value is not None}
        streams = [subprocess.PIPE, subprocess.PIPE]
        if "OUTPUT" not in self.messages:
            streams = [
                os.open(job[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666) for name in ("stdout", "stderr")
            ]
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            process = subprocess.Popen(  # noqa: S603
                interpreter_command(job["report"]),
                stdin=subprocess.DEVNULL,
                stdout=streams[0],
                stderr=streams[1],
                env=environ,
                **options,
            )
        except OSError as error:
            raise Refused("HookRuntimeError", f"cannot start a new interpreter: {error}") from None
        finally:
            if "OUTPUT" not in self.messages:
                for stream in streams:
                    os.close(stream)
        group = Group(process)
        if "CHILD" in self.messages:
            self.client.say("CHILD", str(process.pid))
        self.client.flush()
        readers = [
            threading.Thread(target=self.read_stream, args=(number, stream), daemon=True)
            for number, stream in ((1, process.stdout), (2, process.stderr))
            if stream is not None
        ]
        waiter = threading.Thread(target=lambda: self.client.events.put(("exit", process.wait())), daemon=True)
        for thread in (*readers, waiter):
            thread.start()
        status = self.attend(group)
        return self.verdict_on(status), None

    def read_stream(self, number: int, stream: Any) -> None:
        """A thread that reads what the hook writes."""
        import codecs

        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        data = b"-"
        while data:
            data = os.read(stream.fileno(), OUTPUT_CHUNK_BYTES)
            self.client.events.put(("output", number, decoder.decode(data, final=not data)))
        stream.close()

    def attend(self, group: Group) -> str:
        """Watches over a hook from start to end."""
        deadline = 0.0
        status = None
        drained = 0.0
        while status is None or time.monotonic() < drained:
            if status is None and not self.reason:
                self.reason = self.why_end()
                if self.reason:
                    deadline = time.monotonic() + self.grace
                    group.terminate()
            if status is None and self.reason and time.monotonic() >= deadline:
                group.kill()
            event = self.client.next_event(0.05)
            if event is None:
                if status is not None and self.client.events.empty():
                    break
            elif event[0] == "exit":
                status = event[1]
                group.clear(deadline if self.reason else time.monotonic() + min(LEFTOVER_SECONDS, self.grace))
                drained = time.monotonic() + LEFTOVER_SECONDS
            elif event[2]:
                self.send_output(event[1], event[2])
            self.client.flush()
        if status < 0:
            return status_in_words(-status)
        return f"exited with status {status}" + (f" ({status:#x})" if os.name == "nt" else "")

    def open_output_stream(self, job: Job) -> None:
        """There is nothing to prepare: the new interpreter inherits pipes."""

    def close_output(self) -> None:
        """The threads close the pipes."""


class Group:
    """
    A hook process and what it has started.

    A process group on POSIX. On Windows a job object: it also ends its members when hookd dies, and it has no
    way to ask them to end other than CTRL_BREAK.
    """

    def __init__(self, process: Any) -> None:
        self.process = process
        self.job: Any = None
        if sys.platform == "win32":
            import ctypes

            class Limits(ctypes.Structure):
                """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; of all its fields we set one."""

                _fields_ = (
                    ("time_limits", ctypes.c_int64 * 2),
                    ("flags", ctypes.c_uint32),
                    ("working_set", ctypes.c_size_t * 2),
                    ("active_processes", ctypes.c_uint32),
                    ("affinity", ctypes.c_size_t),
                    ("classes", ctypes.c_uint32 * 2),
                    ("io_counters", ctypes.c_uint64 * 6),
                    ("memory", ctypes.c_size_t * 4),
                )

            kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            kernel.CreateJobObjectW.restype = ctypes.c_void_p
            self.kernel = kernel
            self.job = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
            limits = Limits(flags=0x2000)  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
            kernel.SetInformationJobObject(self.job, 9, ctypes.byref(limits), ctypes.sizeof(limits))
            # The interpreter takes far longer to start than we take to get here: it has no children yet.
            kernel.AssignProcessToJobObject(self.job, ctypes.c_void_p(int(process._handle)))

    def terminate(self) -> None:
        if sys.platform == "win32":
            try:
                os.kill(self.process.pid, signals.CTRL_BREAK_EVENT)
            except OSError:
                pass  # no console to send it through: the grace period passes in vain
        else:
            signal_group(self.process.pid, signals.SIGTERM)

    def kill(self) -> None:
        if sys.platform == "win32":
            self.kernel.TerminateJobObject(self.job, 1)
        else:
            signal_group(self.process.pid, signals.SIGKILL)

    def clear(self, deadline: float) -> None:
        """Ends what the hook process has left."""
        if sys.platform == "win32":
            self.kernel.TerminateJobObject(self.job, 1)
            self.kernel.CloseHandle(self.job)
        else:
            signal_group(self.process.pid, signals.SIGTERM)
            clear_group(self.process.pid, deadline)


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Serves until the client has had enough.

    :param arguments: At most the source tree; or, for ourselves, ``--hook REPORT``; or, for tests of what
        happens where there is no fork, ``--no-fork [SOURCE_TREE]``.
    """
    # Backends do not see our folder. With -P or -I the interpreter has not put it there.
    on_path = sys.path and OWN_FILE and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False))
    if on_path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(OWN_FILE)):
        del sys.path[0]
    if arguments[:1] == ["--hook"]:
        hook_main(arguments[1])
    can_fork = hasattr(os, "fork") and sys.implementation.name != "graalpy"
    if arguments[:1] == ["--no-fork"]:
        can_fork, arguments = False, arguments[1:]
    if len(arguments) > 1:
        sys.exit("usage: hookd.py [SOURCE_TREE]")
    source_tree = os.path.abspath(arguments[0] if arguments else os.curdir)
    status = (
        ForkDaemon(SelectClient(), source_tree) if can_fork else SpawnDaemon(ThreadedClient(), source_tree)
    ).serve()
    # Without what an interpreter does at its end: there is nothing to be done, and a thread may be reading.
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
