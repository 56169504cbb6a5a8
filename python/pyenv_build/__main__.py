"""``python -m pyenv_build ARGUMENTS`` is ``cargo-pyenv-build ARGUMENTS``."""

from __future__ import annotations

import sys

from pyenv_build._find_bin import find_bin
from pyenv_build._run_as import run_as


def main() -> None:
    """Become the program; where a process cannot do that, wait for it and end as it did."""
    try:
        program = find_bin()
    except FileNotFoundError as error:
        print("error: %s" % error, file=sys.stderr)
        print("hint: reinstall the package: `python -m pip install --force-reinstall cargo-pyenv-build`", file=sys.stderr)
        # What the program says of a mistake in how it is set up.
        sys.exit(2)
    run_as([program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
