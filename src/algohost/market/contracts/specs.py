"""What the paper broker's list is made from: tables that come with the program.

``stocks.csv`` has the companies with derivatives and their lots, ``indices.csv`` the indices,
``underlyings.csv`` what futures and options there are on everything else. Lots, freeze quantities
and ticks are those known to have been in force in 2026 for indices and late in 2025 for the rest;
levels, where the market has no price, are of the order seen late in 2025.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final

from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.market.catalogue import Listing, listings

_EQUITY_TICKS: Final = (
    (250, "0.01"), (1_000, "0.05"), (5_000, "0.10"), (10_000, "0.50"), (20_000, "1"),
)  # fmt: skip
"""Up to which price NSE has which tick, since April 2025; above, it is 5 rupees."""
_STEPS: Final = (
    (20, "0.5"), (100, "1"), (250, "2.5"), (500, "5"), (1_000, "10"), (3_000, "20"),
    (7_500, "50"), (20_000, "100"),
)  # fmt: skip
"""Up to which price options of a stock are which step apart, about; above, it is 250 rupees."""


@dataclass(frozen=True, kw_only=True)
class Company:
    """A company whose stock has derivatives."""

    symbol: str
    name: str
    level: Decimal
    lot: int


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index: quoted, never traded."""

    key: InstrumentKey
    name: str
    level: Decimal


@dataclass(frozen=True, kw_only=True)
class Underlying:
    """What futures and options there are on an index, a commodity or a pair of currencies."""

    exchange: Exchange
    base: str
    name: str
    spot: InstrumentKey | None
    """Whose price is its level, where that is listed here too."""
    level: Decimal
    lot: int
    freeze: int
    tick: Decimal
    option_tick: Decimal
    step: Decimal
    strikes: int
    """How many on each side of the level; 0 where there are no options."""
    futures: int
    """How many months there are futures of."""
    options: str
    """``weekly``, ``quarterly`` or ``monthly``; of a commodity, how many working days before
    their future options expire."""
    expiry: str
    """``monthly`` (the exchange's weekday), ``currency``, ``last`` or ``day:19``."""
    months: tuple[int, ...]
    """Of which months there are contracts; empty for all."""


@cache
def companies() -> Sequence[Company]:
    """The companies of the table, in its order, which their tokens follow."""
    known = {one.instrument.key.symbol: one for one in listings()}
    found = []
    for row in _rows("stocks.csv"):
        name, level = _named(row, known.get(row["symbol"]))
        found.append(Company(symbol=row["symbol"], name=name, level=level, lot=int(row["lot"])))
    return found


@cache
def indices() -> Sequence[Index]:
    """The indices of the table, in its order, which their tokens follow."""
    known = {one.instrument.key: one for one in listings()}
    found = []
    for row in _rows("indices.csv"):
        key = InstrumentKey(exchange=Exchange(row["exchange"]), symbol=row["symbol"])
        name, level = _named(row, known.get(key))
        found.append(Index(key=key, name=name, level=level))
    return found


@cache
def underlyings() -> Sequence[Underlying]:
    """The underlyings of the table, in its order, which their tokens follow."""
    levels = {one.key: one.level for one in indices()}
    return [_underlying(row, levels) for row in _rows("underlyings.csv")]


def equity_tick(price: Decimal) -> Decimal:
    """The smallest step of a stock's price."""
    return Decimal(next((tick for most, tick in _EQUITY_TICKS if price <= most), "5"))


def strike_step(price: Decimal) -> Decimal:
    """How far apart the strikes of a stock are."""
    return Decimal(next((step for most, step in _STEPS if price <= most), "250"))


def _named(row: dict[str, str], traded: Listing | None) -> tuple[str, Decimal]:
    """Name and level: a row without them is of what the synthetic market trades."""
    if traded is None:
        return row["name"], Decimal(row["level"])
    return row["name"] or traded.instrument.name, Decimal(row["level"] or str(traded.level))


def _underlying(row: dict[str, str], levels: dict[InstrumentKey, Decimal]) -> Underlying:
    exchange, _, symbol = row["of"].partition(":")
    spot = InstrumentKey(exchange=Exchange(exchange), symbol=symbol) if symbol else None
    expiry, _, months = row["expiry"].partition(" months:")
    return Underlying(
        exchange=Exchange(row["exchange"]),
        base=row["base"],
        name=row["name"],
        spot=spot,
        level=Decimal(row["level"]) if row["level"] or spot is None else levels[spot],
        lot=int(row["lot"]),
        freeze=int(row["freeze"]),
        tick=Decimal(row["tick"]),
        option_tick=Decimal(row["option_tick"]),
        step=Decimal(row["step"]),
        strikes=int(row["strikes"]),
        futures=int(row["futures"]),
        options=row["options"],
        expiry=expiry,
        months=tuple(int(month) for month in months.split()),
    )


def _rows(name: str) -> list[dict[str, str]]:
    file = resources.files(__package__) / "tables" / name
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
