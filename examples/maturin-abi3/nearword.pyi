"""Find the candidates nearest to a mistyped word."""

from collections.abc import Sequence
from typing import Optional

def distance(a: str, b: str) -> int: ...
def nearest(
    word: str,
    candidates: Sequence[str],
    *,
    limit: int = 3,
    max_distance: Optional[int] = None,
) -> list[str]: ...
