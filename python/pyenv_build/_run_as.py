"""
Becoming another program.

Run as a file, ``python -I _run_as.py PROGRAM ARGUMENTS``, it first sets PATH to what ``__PYENV_BUILD_PATH`` says: nox puts a
session's directory before whatever PATH a command is given, and cargo is not to see that. Hence no import of ours here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import List, NoReturn

#: The PATH to run the program with.
PATH_VARIABLE = "__PYENV_BUILD_PATH"


def run_as(command: List[str]) -> NoReturn:
    """Run a command in the place of this process, its exit code included."""
    if os.name != "nt":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(command[0], command)  # noqa: S606 - a path, and no shell is wanted
    # Windows' exec ends this process at once, and its parent would not wait for the new one.
    process = subprocess.Popen(command)  # noqa: S603 - the program of this package, or what nox was asked for
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            # The console has told the program as well: its exit code says how that ended.
            continue


def main() -> None:
    """Restore PATH and run what the arguments say."""
    path = os.environ.pop(PATH_VARIABLE, None)
    if path is not None:
        os.environ["PATH"] = path
    run_as(sys.argv[1:])


if __name__ == "__main__":
    main()
