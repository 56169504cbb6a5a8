"""Where the installer of this package has put the program."""

from __future__ import annotations

import os
import sys
import sysconfig
from typing import List, Optional

NAME = "cargo-pyenv-build"


def find_bin() -> str:
    """
    Return the path of the program that belongs to this very installation.

    What is on ``PATH`` is not looked at: it may be another version.

    :raises FileNotFoundError: the program is nowhere where an installer would have put it; names these places
    """
    name = NAME + (sysconfig.get_config_var("EXE") or "")
    directories = _directories()
    for directory in directories:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path
    looked_at = "".join("\n  %s" % directory for directory in directories)
    raise FileNotFoundError("`%s` was not found in any of these directories:%s" % (name, looked_at))


def _directories() -> List[str]:
    """
    Scripts directories, those nearest to this module first, each once.

    Where this module is says which scheme it was installed by: there may be a copy in the user's directory and one in the
    environment, of two versions.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    candidates = [_of_target(package), _of_prefix(package)]
    user = sysconfig.get_path("scripts", _user_scheme())
    if _is_below(package, sysconfig.get_path("purelib", _user_scheme())):
        candidates.append(user)
    candidates += [
        sysconfig.get_path("scripts"),
        # A virtual environment that sees the packages of the installation below it.
        sysconfig.get_path("scripts", vars={"base": sys.base_prefix}),
        user,
        # An editable install, or a build that was only unpacked: next to the module.
        package,
    ]
    found: List[str] = []
    for candidate in candidates:
        if candidate and candidate not in found:
            found.append(candidate)
    return found


def _of_target(package: str) -> Optional[str]:
    """`pip install --target DIR` makes `DIR/bin`, on Windows as well; only such a directory has both."""
    directory = os.path.dirname(package)
    return None if os.path.basename(directory) in ("site-packages", "dist-packages") else os.path.join(directory, "bin")


def _of_prefix(package: str) -> Optional[str]:
    """`pip install --prefix DIR`: `DIR/lib/pythonX.Y/site-packages/pyenv_build`; on Windows `DIR/Lib/site-packages/...`."""
    parts = os.path.dirname(package).split(os.sep)
    if parts[-1].lower() not in ("site-packages", "dist-packages"):
        return None
    library = parts[-2:-1] if os.name == "nt" else parts[-3:-2]
    # Debian has /usr/local/lib/python3/dist-packages, some have lib64.
    if [part.lower() for part in library] not in (["lib"], ["lib64"]):
        return None
    prefix = os.sep.join(parts[:-2] if os.name == "nt" else parts[:-3])
    return os.path.join(prefix or os.sep, "Scripts" if os.name == "nt" else "bin")


def _is_below(path: str, directory: Optional[str]) -> bool:
    return bool(directory) and os.path.normcase(path).startswith(os.path.join(os.path.normcase(str(directory)), ""))


def _user_scheme() -> str:
    if sys.version_info >= (3, 10):
        return sysconfig.get_preferred_scheme("user")
    if os.name == "nt":
        return "nt_user"
    # What `get_preferred_scheme` looks at, too.
    return "osx_framework_user" if sys.platform == "darwin" and getattr(sys, "_framework", "") else "posix_user"
