"""The build frontend that keeps cargo warm for Python packages written in Rust.

The program is a binary, `cargo-pyenv-build`, which this package brings along: `find_bin` says where it is, and
``python -m pyenv_build`` runs it. `pyenv_build.nox` is for noxfiles.
"""

from __future__ import annotations

from pyenv_build._find_bin import find_bin

__all__ = ["find_bin"]
