"""
For noxfiles: a project's wheel, built in the shared build environment of the session's interpreter.

::

    import nox
    import pyenv_build.nox

    @nox.session(python=["3.12", "3.13"])
    def tests(session):
        pyenv_build.nox.install(session)
        session.run("python", "-m", "unittest")

All sessions of one interpreter share one build environment and one target directory, so that the second one compiles nothing.
For this, cargo sees the environment in which nox was started, and the noxfile's changes to ``session.env``, but neither the
session's directory on ``PATH`` nor its ``VIRTUAL_ENV``.

A conda environment has its own interpreter, and so its own build environment; ``python="3.12"`` builds for a different one.

The program is the one in this package, else ``cargo-pyenv-build`` on ``PATH``. Failures end the session with
``session.error``.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from pyenv_build import _run_as
from pyenv_build._find_bin import NAME, find_bin

if TYPE_CHECKING:
    import nox

    StrPath = Union[str, "os.PathLike[str]"]
    Words = Union[str, Sequence[str]]
    ConfigSettings = Mapping[str, Words]

__all__ = ["build", "env", "install", "run"]

#: What nox sets for a session, in addition to PATH: commands get what it was when nox was started.
_OF_THE_SESSION = ("CONDA_PREFIX", "NOX_CURRENT_SESSION", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "VIRTUAL_ENV")
#: Seconds after Ctrl-C for the program to end the backend and what that has started; nox's own are fractions.
_INTERRUPT_SECONDS = 15.0
_TERMINATE_SECONDS = 5.0
#: Whatever the program's exit code, its report says more.
_ALL_CODES = range(-64, 256)


def install(
    session: nox.Session,
    project: StrPath = ".",
    *,
    editable: bool = False,
    extras: Words = (),
    config_settings: Optional[ConfigSettings] = None,
    constraints: Union[StrPath, Sequence[StrPath]] = (),
    python: Optional[str] = None,
    args: Sequence[str] = (),
    install_args: Sequence[str] = (),
) -> Optional[Path]:
    """
    Build the wheel of a project for the session's interpreter, and install it with its dependencies.

    In a reused environment, it is installed again if its content has changed. With nox's ``--no-install`` (and ``-R``)
    nothing is built or installed in such an environment.

    :param project: project directory, relative to the noxfile's
    :param editable: install as editable (PEP 660)
    :param extras: extras of the project to install
    :param config_settings: settings for the backend; a list repeats the key
    :param constraints: files that constrain build requirements
    :param python: interpreter to build for (default: the session's): a path, a name or a version
    :param args: additional arguments of ``cargo pyenv-build build``
    :param install_args: further arguments of the installer, such as ``"-c", "constraints.txt"``
    :returns: the wheel; nothing if nothing was installed
    """
    if session.bin_paths is None:
        session.error("pyenv_build.nox.install: this session has no environment to install into; use `build` to only build")
    directory = Path(session.virtualenv.location) / ".pyenv-build"
    options = ["--editable"] if editable else []
    options += ["--out-dir", str(directory), *_options(session, python, config_settings, constraints), *args]
    report = _report(session, ["build", *options, "--", os.fspath(project)], always=True)
    if report is None:
        return None
    wheel = _artifacts(session, report)[0]
    _install_wheel(session, wheel, [extras] if isinstance(extras, str) else list(extras), list(install_args))
    return wheel


def build(
    session: nox.Session,
    *projects: StrPath,
    editable: bool = False,
    sdist: bool = False,
    out_dir: Optional[StrPath] = None,
    config_settings: Optional[ConfigSettings] = None,
    constraints: Union[StrPath, Sequence[StrPath]] = (),
    python: Optional[str] = None,
    args: Sequence[str] = (),
) -> List[Path]:
    """
    Build wheels for the session's interpreter, to ``dist`` in each project or to ``out_dir``.

    :param projects: project directories (default: the noxfile's)
    :param sdist: also build source distributions
    :returns: paths of the artifacts; nothing with nox's ``--install-only``

    The other parameters are those of `install`.
    """
    options = ["--editable"] if editable else []
    options += ["--sdist"] if sdist else []
    options += ["--out-dir", os.fspath(out_dir)] if out_dir is not None else []
    options += [*_options(session, python, config_settings, constraints), *args]
    directories = [os.fspath(project) for project in projects] or ["."]
    report = _report(session, ["build", *options, "--", *directories], always=False)
    return [] if report is None else _artifacts(session, report)


def run(
    session: nox.Session,
    *command: StrPath,
    project: StrPath = ".",
    config_settings: Optional[ConfigSettings] = None,
    constraints: Union[StrPath, Sequence[StrPath]] = (),
    python: Optional[str] = None,
    args: Sequence[str] = (),
    **kwargs: Any,
) -> Any:
    """
    Run a command that shares artifacts with the wheel's build: ``run(session, "cargo", "test")``.

    It takes the keyword arguments of `session.run`, but has a different environment: the command finds the programs of the build
    environment and those on nox's own ``PATH``, not the session's.

    :param args: additional arguments of ``cargo pyenv-build run``

    The other parameters are those of `install`.
    """
    if not command:
        session.error("pyenv_build.nox.run: no command was given")
    options = ["--project", os.fspath(project), *_options(session, python, config_settings, constraints), *args]
    environ = _environ(session, kwargs.pop("env", None))
    words = _words(session, ["run", *options, "--", *(os.fspath(word) for word in command)])
    return session.run(*words, env=environ, external=True, **kwargs)


def env(
    session: nox.Session,
    project: StrPath = ".",
    *,
    config_settings: Optional[ConfigSettings] = None,
    constraints: Union[StrPath, Sequence[StrPath]] = (),
    python: Optional[str] = None,
    args: Sequence[str] = (),
) -> Dict[str, Optional[str]]:
    """
    Return the variables with which plain cargo shares artifacts with the wheel's build, for ``session.run(..., env=...)``.

    Prefer `run` where possible: it also reuses compiled crates.

    :param args: additional arguments of ``cargo pyenv-build env``
    :returns: variables, ``None`` for one that must be unset; nothing with nox's ``--install-only``

    The other parameters are those of `install`.
    """
    options = ["--format", "json", *_options(session, python, config_settings, constraints), *args]
    report = _report(session, ["env", *options, "--", os.fspath(project)], always=False)
    return {} if report is None else {name: None if value is None else str(value) for name, value in report.items()}


def _options(
    session: nox.Session,
    python: Optional[str],
    config_settings: Optional[ConfigSettings],
    constraints: Union[StrPath, Sequence[StrPath]],
) -> List[str]:
    """Arguments that choose the build environment."""
    options = []
    interpreter = python or _python(session)
    if interpreter is not None:
        options += ["--python", interpreter]
    for key, value in (config_settings or {}).items():
        for one in [value] if isinstance(value, str) else value:
            options += ["--config-setting", "%s=%s" % (key, one)]
    for file in [constraints] if isinstance(constraints, (str, os.PathLike)) else constraints:
        options += ["--constraint", os.fspath(file)]
    return options


def _python(session: nox.Session) -> Optional[str]:
    """The session's interpreter. A virtual environment's stands for the one below it, so that sessions share."""
    # Without an environment, it is what `session.run("python")` runs. On Windows conda has it next to its other directories.
    path = None if session.bin_paths is None else os.pathsep.join(session.bin_paths)
    found = shutil.which("python", path=path)
    if found is None and path is not None:
        session.error("pyenv_build.nox: no `python` found in %s" % path)
    return None if found is None else os.path.abspath(found)


def _program(session: nox.Session) -> str:
    try:
        return find_bin()
    except FileNotFoundError as error:
        on_path = shutil.which(NAME)
        if on_path is None:
            session.error(
                "%s\nand it is not on PATH\nhint: `pip install cargo-pyenv-build` next to nox, or put the program on PATH" % error
            )
        return os.path.abspath(on_path)


def _words(session: nox.Session, arguments: List[str]) -> List[str]:
    """The command line: through a step that takes the session's directory off PATH, which nox puts there at the last moment."""
    return [sys.executable, "-I", _run_as.__file__, _program(session), *arguments]


def _environ(session: nox.Session, more: Optional[Mapping[str, Optional[str]]] = None) -> Dict[str, Optional[str]]:
    """What to change in the environment that nox would give to a command."""
    environ: Dict[str, Optional[str]] = {name: os.environ.get(name) for name in _OF_THE_SESSION}
    environ.update(more or {})
    # Some versions of nox keep PATH in `session.env`, the session's directory included, and a noxfile may have added others.
    path = environ.get("PATH") or session.env.get("PATH") or os.environ.get("PATH", os.defpath)
    own = [os.path.normcase(directory) for directory in session.bin_paths or []]
    outside = [directory for directory in path.split(os.pathsep) if os.path.normcase(directory) not in own]
    environ[_run_as.PATH_VARIABLE] = os.pathsep.join(outside)
    return environ


def _report(session: nox.Session, arguments: List[str], *, always: bool) -> Optional[Dict[str, Any]]:
    """
    Run the program and return the JSON object that it prints; what it says of its progress goes where nox's own output goes.

    :param always: it is a part of installing, and not of what `--install-only` leaves out
    :returns: nothing if nox was asked to leave it out
    """
    words = _words(session, ["--message-format", "json", *arguments])
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
        outcome = (session.run_install if always else session.run)(
            *words,
            env=_environ(session),
            external=True,
            stdout=stdout,
            stderr=None,
            success_codes=_ALL_CODES,
            interrupt_timeout=_INTERRUPT_SECONDS,
            terminate_timeout=_TERMINATE_SECONDS,
        )
        if outcome is None:
            return None
        stdout.seek(0)
        text = stdout.read()
    try:
        report = json.loads(text)
    except ValueError:
        report = None
    if not isinstance(report, dict):
        session.error("cargo pyenv-build failed: see its output above")
    if report.get("ok") is False:
        error = report.get("error") or {}
        hint = "\nhint: %s" % error["hint"] if error.get("hint") else ""
        session.error("cargo pyenv-build: %s%s" % (error.get("message", "it failed"), hint))
    return report


def _artifacts(session: nox.Session, report: Dict[str, Any]) -> List[Path]:
    paths = [Path(artifact["path"]) for artifact in report.get("artifacts", [])]
    if not paths:
        session.error("cargo pyenv-build built nothing")
    return paths


def _install_wheel(session: nox.Session, wheel: Path, extras: List[str], install_args: List[str]) -> None:
    """
    Install a wheel that the session may have in another state, with the session's own installer.

    Neither pip nor uv replaces a distribution by another of the same version unless forced to. What was installed last is
    remembered in a file next to the wheel: the digest of what was in it, and that of the ``RECORD`` that installing it has left.
    If both are as they were, nobody has installed anything else since.
    """
    name = wheel.name.split("-")[0]
    remembered = wheel.with_name(name + ".json")
    digest = _content(wheel)
    is_there, record = _installed_record(session, wheel)
    is_same = record is not None and _read(remembered) == {"wheel": digest, "record": record}
    if remembered.exists():
        remembered.unlink()
    url = wheel.as_uri()
    if is_there and not is_same:
        session.install("--force-reinstall", "--no-deps", *install_args, "%s @ %s" % (name, url))
    session.install(*install_args, "%s%s @ %s" % (name, "[%s]" % ",".join(extras) if extras else "", url))
    _, record = _installed_record(session, wheel)
    if record is not None:
        remembered.write_text(json.dumps({"wheel": digest, "record": record}), encoding="utf-8")
    for other in wheel.parent.glob(name + "-*.whl"):
        if other != wheel:
            other.unlink()


def _content(wheel: Path) -> str:
    """
    The digest of what a wheel would install, each file's name and content.

    Without bills of materials, which have a time and a random number in them (each build makes another), and without
    ``RECORD``, which has their digests.
    """
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if ".dist-info/sboms/" in name or name.endswith(".dist-info/RECORD"):
                continue
            content = archive.read(name)
            digest.update(("%s\0%d\0" % (name, len(content))).encode())
            digest.update(content)
    return digest.hexdigest()


def _installed_record(session: nox.Session, wheel: Path) -> Tuple[bool, Optional[str]]:
    """Whether the wheel's distribution is or may be installed in this version, and the digest of its ``RECORD``."""
    with zipfile.ZipFile(wheel) as archive:
        records = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD") and name.count("/") == 1]
    location = glob.escape(session.virtualenv.location)
    patterns = [os.path.join(location, "lib*", "*", "site-packages"), os.path.join(location, "Lib", "site-packages")]
    directories = [Path(directory) for pattern in patterns for directory in glob.glob(pattern)]
    if not directories or len(records) != 1:
        return True, None
    found = [directory / records[0] for directory in directories if (directory / records[0]).is_file()]
    return bool(found), hashlib.sha256(found[0].read_bytes()).hexdigest() if found else None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
