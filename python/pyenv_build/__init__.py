"""The build frontend that keeps cargo warm for Python packages written in Rust.

The program is the binary `cargo-pyenv-build` in this package: `find_bin` returns its path, and ``python -m pyenv_build``
runs it. `pyenv_build.nox` is for noxfiles.
"""

from __future__ import annotations

from pyenv_build._find_bin import find_bin

__all__ = ["find_bin"]
