"""What an instrument shows at one second, before it is a quote, and what that is made of."""

from typing import NamedTuple


class Terms(NamedTuple):
    """In what steps and quantities an instrument is priced and traded."""

    tick: int
    """In parts of a rupee, of which one has ``unit``."""
    unit: int = 100
    lot: int = 1


class Print(NamedTuple):
    """Prices in parts of a rupee (paise, of most), and units; ``at`` is the epoch second of the
    newest record, which in a quiet market may be long ago."""

    at: int
    last: int
    open: int
    high: int
    low: int
    previous_close: int
    volume: int
    last_quantity: int
    value: int
    """Parts of a rupee times units traded in the day so far, for the average price."""
    open_interest: int = 0
    spread_share: float | None = 0.0
    """How wide its book is, as a share of the price; 0 for the usual, ``None`` where it has none
    any more."""
