"""Whole paise inside arrays, exact rupees outside."""

from decimal import Decimal
from functools import lru_cache
from typing import Final

_DECIMALS: Final = {100: -2, 10_000: -4}


@lru_cache(maxsize=16_384)
def rupees(parts: int, unit: int = 100) -> Decimal:
    """``parts`` as rupees, of which one has ``unit`` (100 or 10,000): with two decimals or four.

    Prices repeat, so the newest are kept.
    """
    return Decimal(parts).scaleb(_DECIMALS[unit])


def paise(amount: Decimal, unit: int = 100) -> int:
    """``amount`` in whole paise, or in other parts of a rupee, rounded half to even."""
    return round(amount * unit)
