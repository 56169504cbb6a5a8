"""
What runs in a hook process? Import the backend, call the hook, check its value, report, and exit.

All that Python code can do ends in a verdict: ``("ok", value)`` or ``("error", kind, text, traceback)``.
"""

from __future__ import annotations

import atexit
import marshal
import os
import sys
from typing import Any, Iterable, NoReturn, Sequence

from hookd.processes import EX_SOFTWARE
from hookd.wire import Refused

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

REPORT_LIMIT_BYTES = 16 * 1024 * 1024
SHOWN_LIMIT = 200
TEXT_LIMIT = 64 * 1024
TRACEBACK_LIMIT = 256 * 1024


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
    """The traceback without the frames of this file, which say nothing about the backend."""
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


def preload(name: str) -> str:
    """
    Imports a module that hooks of the backend would import themselves.

    :return: Why it could not be imported, or nothing.
    """
    try:
        __import__(name)
    except BaseException as error:
        return f"`{name}` raised {in_words(error)}"
    return ""


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


def find_backend(job: dict[str, Any]) -> Any:
    """Finds the object that has the hooks. Raises `Refused`: every way in which that can fail."""
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
    Checks that the PEP allows what a hook returned.

    :return: That value.

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


def perform(job: dict[str, Any]) -> tuple[Any, ...]:
    """Calls the hook; whatever Python code can do ends in a verdict."""
    hook = job["hook"]
    try:
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
        return ("ok", checked(hook, value, job["arguments"][0]))
    except Refused as refused:
        return refused.verdict
    except BaseException as error:
        # For example a SIGINT that arrives outside of the hook itself.
        return ("error", "HookRuntimeError", f"`{hook}` was interrupted by {in_words(error)}", "")


def flush_streams() -> None:
    """Writes out the standard streams, those that we have opened and those that have taken their place."""
    current = [getattr(sys, name, None) for name in ("stdout", "stderr", "__stdout__", "__stderr__")]
    # Twice, since text flows into the binary file beneath.
    for stream in [*_streams, *current] * 2:
        try:
            stream.flush()
        except BaseException:
            pass


def leave(verdict: tuple[Any, ...] | None, report: str) -> NoReturn:
    """
    Ends this process as `multiprocessing` ends its children: what is left to be destroyed belongs to the keeper.

    Threads are waited for, exit handlers run, standard streams are flushed; other files are not. The verdict is written
    last, so that an exit handler that crashes is not taken for success.
    """
    try:
        shutdown = getattr(sys.modules.get("threading"), "_shutdown", None)
        if shutdown is not None:
            shutdown()  # waits for threads that are not daemons
        atexit._run_exitfuncs()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    flush_streams()
    status = 0
    if verdict is not None:
        try:
            data = marshal.dumps(verdict)
            if len(data) > REPORT_LIMIT_BYTES:
                data = marshal.dumps(Refused("HookRuntimeError", "the return value is too large").verdict)
            file = os.open(report, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0))
            while data:
                data = data[os.write(file, data) :]
        except BaseException:
            status = EX_SOFTWARE
    os._exit(status)


def forget_exit_handlers() -> None:
    """
    Leaves the exit handlers of the backend's import to the keeper.

    A hook process that, say, removed a temporary directory of the import's would break the next one.
    """
    atexit._clear()
    finalize: Any = getattr(sys.modules.get("weakref"), "finalize", None)
    if finalize is not None and finalize._registered_with_atexit:
        for finalizer in list(finalize._registry):
            finalizer.atexit = False
        atexit.register(finalize._exitfunc)


#: What `open_streams` has opened, and the binary files underneath.
_streams: list[Any] = []


def open_streams() -> None:
    """
    Opens ``sys.stdin``, ``sys.stdout`` and ``sys.stderr`` again, for descriptors that now lead elsewhere.

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


def redirect(stdout: str | int, stderr: str | int) -> None:
    """Points descriptors 0 to 2 at nothing and at the hook's output: paths, or descriptors."""
    for number, target in ((0, os.devnull), (1, stdout), (2, stderr)):
        if isinstance(target, int):
            os.dup2(target, number)
        else:
            file = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            os.dup2(file, number)
            if file != number:
                os.close(file)


def look_like_python_c() -> None:
    """Makes this process look to a backend as ``python -c`` would, and hides that hookd is ``__main__``."""
    module = type(sys)("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    for name in [name for name in sys.modules if name.partition(".")[0] == "hookd"]:
        del sys.modules[name]
    sys.argv[:] = ["-c"]


def main(report: str) -> NoReturn:
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
        verdict = Refused("HookRuntimeError", f"cannot enter the source tree: {error}").verdict
    leave(verdict, report)
