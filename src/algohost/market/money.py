"""Whole paise inside arrays, exact rupees outside."""

from decimal import Decimal
from functools import lru_cache


@lru_cache(maxsize=16_384)
def rupees(paise: int) -> Decimal:
    """``paise`` as rupees with two decimals. Prices repeat, so the newest are kept."""
    return Decimal(paise).scaleb(-2)


def paise(amount: Decimal) -> int:
    """``amount`` in whole paise, rounded half to even."""
    return round(amount * 100)
