"""Small recordings, written as tables a reader can check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

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

_KINDS: Final = {str: "VARCHAR", float: "DOUBLE", int: "BIGINT"}


@dataclass(frozen=True)
class Column:
    """A column of a kind that its values do not tell, by its name in SQL."""

    kind: str
    values: Sequence[object]


Columns = Mapping[str, Column | Sequence[object]]


def ist(text: str) -> datetime:
    """An instant from ``2021-05-27 09:15:00``, in IST."""
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def write(path: Path, columns: Columns) -> Path:
    """A Parquet file of these columns."""
    full = {name: _column(given) for name, given in columns.items()}
    with duckdb.connect() as base:
        kinds = ", ".join(f'"{name}" {column.kind}' for name, column in full.items())
        base.execute(f"CREATE TABLE recording ({kinds})")
        rows = list(zip(*(column.values for column in full.values()), strict=True))
        if rows:
            places = ", ".join("?" * len(full))
            base.executemany(f"INSERT INTO recording VALUES ({places})", rows)
        base.table("recording").write_parquet(str(path))
    return path


def _column(given: Column | Sequence[object]) -> Column:
    if isinstance(given, Column):
        return given
    (kind,) = {type(value) for value in given if value is not None}
    return Column(_KINDS[kind], given)


def stamps(texts: Sequence[str | None], zone: str | None = "Asia/Kolkata") -> Column:
    """Instants of the recording, in IST; without a zone the column holds bare wall times."""
    if zone is None:
        return Column("TIMESTAMP", texts)
    return Column("TIMESTAMPTZ", [ist(text) if text else None for text in texts])


def write_minutes(path: Path, rows: Sequence[MinuteRow], zone: str | None = "Asia/Kolkata") -> Path:
    """A recording of bars of a minute."""
    keys, times, *prices = zip(*rows, strict=True)
    names = ("open", "high", "low", "close")
    return write(
        path,
        {
            "symbol": [key.symbol for key in keys],
            "exchange": [key.exchange.value for key in keys],
            "timestamp": stamps(times, zone),
            **{
                name: Column("DOUBLE", column)
                for name, column in zip(names, prices[:4], strict=True)
            },
            "volume": Column("BIGINT", prices[4]),
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
            "ltp": Column("DOUBLE", last),
            "volume": Column("BIGINT", volume),
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
