"""Rupees: exact arithmetic and the one way they are written."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

ZERO: Final = Decimal("0.00")


def format_inr(amount: Decimal | float | None, *, decimals: int = 2, sign: str = "negative") -> str:
    """``₹1,23,456.70``: Indian grouping, a dash for nothing.

    ``sign="always"`` writes ``+₹…`` for a gain; a loss is always written ``−₹…`` (U+2212).
    """
    if amount is None:
        return "–"
    value = Decimal(str(amount)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    whole, _, fraction = f"{abs(value):f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [tail]
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    mark = "−" if value < 0 else "+" if sign == "always" and value > 0 else ""
    return f"{mark}₹{','.join(groups)}{'.' + fraction if fraction else ''}"
