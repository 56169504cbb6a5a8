"""Bessel functions of integer order.

>>> round(j(0, 2.404825557695773), 12) == 0  # its first zero
True
>>> [round(value, 4) for value in j_each(1, [0.0, 1.0, 2.0])]
[0.0, 0.4401, 0.5767]
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from ._native import ffi, lib

__all__ = ["j", "j_each", "y"]


def j(order: int, x: float) -> float:
    """The function of the first kind."""
    return lib.bessel_j(order, x)


def y(order: int, x: float) -> float:
    """The function of the second kind; minus infinity at 0, not a number below it."""
    return lib.bessel_y(order, x)


def j_each(order: int, numbers: Iterable[float]) -> array[float]:
    """``j`` of each number, in one call."""
    given = array("d", numbers)
    results = array("d", bytes(8 * len(given)))
    lib.bessel_j_each(order, ffi.from_buffer("double[]", given), ffi.from_buffer("double[]", results, True), len(given))
    return results
