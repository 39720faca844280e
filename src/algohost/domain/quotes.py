"""What the market shows: quotes, depth and bars."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from algohost.domain.instruments import InstrumentKey


@dataclass(frozen=True, kw_only=True)
class Quote:
    """The state of one instrument at one instant; prices in rupees, volume in units."""

    key: InstrumentKey
    at: datetime
    last: Decimal
    bid: Decimal
    ask: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    previous_close: Decimal
    volume: int
    last_quantity: int = 0
    average_price: Decimal = Decimal(0)
    open_interest: int = 0


@dataclass(frozen=True, kw_only=True)
class DepthLevel:
    """One price level of a book."""

    price: Decimal
    quantity: int
    orders: int


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Five levels a side, best first."""

    quote: Quote
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]
    total_bid_quantity: int
    total_ask_quantity: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One candle; ``start`` is the first instant it covers."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    open_interest: int = 0


class Interval(StrEnum):
    """Bar lengths by the names that scripts use."""

    S1 = "1s"
    S5 = "5s"
    S10 = "10s"
    S15 = "15s"
    S30 = "30s"
    S45 = "45s"
    M1 = "1m"
    M2 = "2m"
    M3 = "3m"
    M5 = "5m"
    M10 = "10m"
    M15 = "15m"
    M20 = "20m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    D = "D"
    W = "W"
    M = "M"

    @property
    def length(self) -> timedelta | None:
        """The span of one bar; ``None`` for calendar bars (``D``, ``W``, ``M``)."""
        unit = {"s": 1, "m": 60, "h": 3600}.get(self.value[-1])
        return timedelta(seconds=int(self.value[:-1]) * unit) if unit else None
