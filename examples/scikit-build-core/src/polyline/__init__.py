"""Lines with fewer points that look the same.

>>> simplify([(0, 0), (1, 0.1), (2, -0.1), (3, 5), (4, 6)], tolerance=0.5)
[(0.0, 0.0), (2.0, -0.1), (3.0, 5.0), (4.0, 6.0)]
>>> length([(0, 0), (3, 4)])
5.0
"""

from ._core import length, simplify

__all__ = ["length", "simplify"]
