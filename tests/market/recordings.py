"""Small recordings, written as tables a reader can check."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Bar, Interval
from algohost.market import MarketService, open_market
from algohost.testing.clock import FakeClock

RELIANCE = InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE")
TCS = InstrumentKey(exchange=Exchange.NSE, symbol="TCS")
NIFTY = InstrumentKey(exchange=Exchange.NSE_INDEX, symbol="NIFTY")

MinuteRow = tuple[InstrumentKey, str, float, float, float, float, int]
TickRow = tuple[InstrumentKey, str, float, int]


def ist(text: str) -> datetime:
    """An instant from ``2021-05-27 09:15:00``, in IST."""
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def write(path: Path, columns: dict[str, object]) -> Path:
    """A Parquet file of these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def stamps(texts: Sequence[str | None], zone: str | None = "Asia/Kolkata") -> pa.Array:
    """Instants of the recording, in IST; without a zone the column holds bare wall times."""
    if zone is None:
        bare = [datetime.fromisoformat(text) if text else None for text in texts]
        return pa.array(bare, pa.timestamp("us"))
    return pa.array([ist(text) if text else None for text in texts], pa.timestamp("us", zone))


def write_minutes(path: Path, rows: Sequence[MinuteRow], zone: str | None = "Asia/Kolkata") -> Path:
    """A recording of bars of a minute."""
    keys, times, *prices = zip(*rows, strict=True)
    names = ("open", "high", "low", "close", "volume")
    return write(
        path,
        {
            "symbol": [key.symbol for key in keys],
            "exchange": [key.exchange.value for key in keys],
            "timestamp": stamps(times, zone),
            **{name: list(column) for name, column in zip(names, prices, strict=True)},
        },
    )


def write_ticks(path: Path, rows: Sequence[TickRow]) -> Path:
    """A recording of last prices and the volumes of the day so far."""
    keys, times, last, volume = zip(*rows, strict=True)
    return write(
        path,
        {
            "symbol": [key.symbol for key in keys],
            "exchange": [key.exchange.value for key in keys],
            "timestamp": stamps(times),
            "ltp": list(last),
            "volume": list(volume),
        },
    )


TODAY = ist("2025-11-25 20:00:00")  # a Tuesday

Opened = tuple[MarketService, FakeClock]


def opened(file: Path, options: str = "", at: datetime = TODAY) -> Opened:
    """The market of a recording, and the clock that drives it."""
    clock = FakeClock(at)
    return open_market(f"recorded:{file}{options and '?' + options}", clock), clock


def today(text: str) -> datetime:
    """An instant of the day on which ``opened`` starts its server."""
    return ist(f"2025-11-25 {text}")


def table(bars: Sequence[Bar]) -> list[tuple[object, ...]]:
    """Bars as rows that a reader can compare with the recording."""
    return [
        (
            bar.start.astimezone(IST).strftime("%m-%d %H:%M:%S"),
            *(float(price) for price in (bar.open, bar.high, bar.low, bar.close)),
            bar.volume,
        )
        for bar in bars
    ]


def history(
    market: MarketService, key: InstrumentKey, interval: Interval, days: int = 30
) -> list[tuple[object, ...]]:
    """All that is told of ``days`` days, and far past now, as rows."""
    end = TODAY + timedelta(days=10)
    return table(market.history(key, interval, TODAY - timedelta(days=days), end))
