"""Amounts of money as whole numbers of the minor unit (cents).

>>> price = Money.parse("100.00", "EUR")
>>> [str(share) for share in price.split([1, 1, 1])]
['33.34 EUR', '33.33 EUR', '33.33 EUR']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._native import digits, format, parse, split

__all__ = ["Money", "digits", "format", "parse", "split"]


@dataclass(frozen=True)
class Money:
    """So many cents (yen, fils) of a currency."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        digits(self.currency)  # LookupError for an unknown one

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read a decimal number such as ``"12.34"``."""
        return cls(parse(text, currency), currency)

    def split(self, weights: Sequence[int]) -> list[Money]:
        """Share in proportion to the weights, without losing a cent."""
        return [Money(share, self.currency) for share in split(self.minor, weights)]

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.minor + other.minor, self.currency)

    def __str__(self) -> str:
        return f"{format(self.minor, self.currency)} {self.currency}"
