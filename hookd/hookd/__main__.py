"""How is hookd started? By ``python hookd``, or by ``python hookd.py``, which is the file next to the package."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, Sequence

PACKAGE = os.path.dirname(os.path.realpath(__file__))


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Serves until the client has had enough.

    :param arguments: At most the source tree; or, for ourselves, ``--hook REPORT``; or, for tests of what
        happens where there is no fork, ``--no-fork [SOURCE_TREE]``.
    """
    sys.path.insert(0, os.path.dirname(PACKAGE))
    from hookd import forking, hook, spawning, wire

    # Backends do not see our folders. With -P or -I only one of them is there.
    while sys.path and os.path.realpath(sys.path[0]) in (PACKAGE, os.path.dirname(PACKAGE)):
        del sys.path[0]
    if arguments[:1] == ["--hook"]:
        hook.main(arguments[1])
    can_fork = hasattr(os, "fork") and sys.implementation.name != "graalpy"
    if arguments[:1] == ["--no-fork"]:
        can_fork, arguments = False, arguments[1:]
    if len(arguments) > 1:
        sys.exit("usage: hookd [SOURCE_TREE]")
    source_tree = os.path.abspath(arguments[0] if arguments else os.curdir)
    if can_fork:
        status = forking.ForkDaemon(wire.SelectClient(), source_tree).serve()
    else:
        status = spawning.SpawnDaemon(spawning.ThreadedClient(), source_tree).serve()
    # Without what an interpreter does at its end: there is nothing left to do, and a thread may be reading.
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
