"""A master contract in columns: some fifty bytes an instrument, found and searched in place.

Instruments of one exchange and one base (``NIFTY`` of NFO: its futures and all its options) are a
group; a group's rows lie together, sorted by kind, expiry and strike. No symbol is kept: it
follows from base, expiry, strike and kind, and is read back from its parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from algohost.domain.contract_symbols import (
    ContractKind,
    ContractParts,
    expiry_mark,
    parts_of,
    strike_text,
)
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey

EXCHANGES: Final = (
    Exchange.NSE_INDEX,
    Exchange.NSE,
    Exchange.BSE_INDEX,
    Exchange.BSE,
    Exchange.NFO,
    Exchange.BFO,
    Exchange.MCX,
    Exchange.NCO,
    Exchange.CDS,
    Exchange.BCD,
    Exchange.CRYPTO,
)
"""The order of exchanges in a list, and among equal matches."""
KINDS: Final = (
    ContractKind.INDEX,
    ContractKind.EQ,
    ContractKind.FUT,
    ContractKind.CE,
    ContractKind.PE,
)
"""Their places are their codes in ``Rows.kind``."""
_KIND_TEXTS: Final = tuple(kind.value for kind in KINDS)
CASH: Final = 2
"""Kinds with a lower code do not expire."""
OPTIONS: Final = 3
"""Kinds with this code or a higher one have a strike."""
PART: Final = 10_000
"""Prices, strikes and ticks are kept in so many parts of a rupee."""
_EPOCH: Final = date(1970, 1, 1).toordinal()

Ints = NDArray[np.int64]
SmallInts = NDArray[np.int32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One cell an instrument, all arrays of one length."""

    token: Ints
    strike: Ints
    """In ``PART``s of a rupee; 0 where there is none."""
    expiry: SmallInts
    """Days since 1970; 0 where there is none."""
    lot: SmallInts
    tick: SmallInts
    """In ``PART``s of a rupee."""
    freeze: SmallInts
    """The most units of one order; 0 where that is not known."""
    order: SmallInts
    """The place in its group when it is shown: futures by expiry, options from the chain's
    middle outwards."""
    kind: Bytes


@dataclass(frozen=True, kw_only=True)
class Groups:
    """One entry a group, sorted by exchange and base."""

    exchange: Bytes
    """Places in ``EXCHANGES``."""
    base: tuple[str, ...]
    name: tuple[str, ...]
    """Of the company, the index or the commodity."""
    is_made_up: NDArray[np.bool_]
    """Whether there is no such company."""
    start: SmallInts
    """Where its rows begin, and one more cell for where the last one's end."""


class ContractTable:
    """Implements ``ContractList``, except for ``search``, which ``search.SearchableTable`` adds."""

    def __init__(self, *, made_at: datetime, groups: Groups, rows: Rows) -> None:
        """Raises ``ValueError`` where the columns do not fit each other."""
        _check(groups, rows)
        self.groups = groups
        self.rows = rows
        self._made_at = made_at
        self._by_name = {
            (EXCHANGES[exchange], base): number
            for number, (exchange, base) in enumerate(
                zip(groups.exchange.tolist(), groups.base, strict=True)
            )
        }

    @property
    def made_at(self) -> datetime:
        """As ``ContractList.made_at``."""
        return self._made_at

    def __len__(self) -> int:
        return len(self.rows.token)

    def find(self, key: InstrumentKey) -> Instrument | None:
        """As ``ContractList.find``."""
        parts = parts_of(key.symbol)
        place = None if parts is None else self._place(key.exchange, parts)
        if place is None:
            group = self._by_name.get((key.exchange, key.symbol))
            if group is None or self.rows.kind[self.groups.start[group]] >= CASH:
                return None
            place = int(self.groups.start[group])
        return self.at(place)

    def expiries(self, exchange: Exchange, base: str, *, of_options: bool) -> Sequence[date]:
        """As ``ContractList.expiries``."""
        group = self._by_name.get((exchange, base))
        if group is None:
            return []
        part = self._slice(group)
        kinds = self.rows.kind[part]
        wanted = kinds >= OPTIONS if of_options else kinds == KINDS.index(ContractKind.FUT)
        return [day_of(int(day)) for day in np.unique(self.rows.expiry[part][wanted])]

    def strikes(
        self, exchange: Exchange, base: str, expiry: date, kind: ContractKind
    ) -> Sequence[Decimal]:
        """As ``ContractList.strikes``."""
        group = self._by_name.get((exchange, base))
        if group is None:
            return []
        part = self._narrowed(
            self._slice(group),
            ((self.rows.kind, KINDS.index(kind)), (self.rows.expiry, days_of(expiry))),
        )
        return [rupees(parts) for parts in self.rows.strike[part].tolist()]

    def places(self, exchange: Exchange | None) -> Sequence[int]:
        """As ``ContractList.places``."""
        if exchange is None:
            return range(len(self))
        code = EXCHANGES.index(exchange)
        first, last = np.searchsorted(self.groups.exchange, [code, code + 1])
        return range(int(self.groups.start[first]), int(self.groups.start[last]))

    def at(self, place: int) -> Instrument:
        """As ``ContractList.at``."""
        group = int(np.searchsorted(self.groups.start, place, side="right")) - 1
        return self.instrument(group, place)

    def instrument(self, group: int, place: int) -> Instrument:
        """The instrument of a row whose group is known."""
        rows, base = self.rows, self.groups.base[group]
        code = int(rows.kind[place])
        is_cash = code < CASH
        expiry = None if is_cash else day_of(int(rows.expiry[place]))
        strike = rupees(int(rows.strike[place])) if code >= OPTIONS else None
        symbol = base if expiry is None else base + _suffix(int(rows.expiry[place]), strike, code)
        return Instrument(
            key=InstrumentKey(exchange=EXCHANGES[self.groups.exchange[group]], symbol=symbol),
            token=str(rows.token[place]),
            name=self.groups.name[group] if is_cash else base,
            tick_size=rupees(int(rows.tick[place])),
            lot_size=int(rows.lot[place]),
            instrument_type=_KIND_TEXTS[code],
            expiry=expiry,
            strike=strike,
            freeze_quantity=int(rows.freeze[place]) or None,
        )

    def _slice(self, group: int) -> slice:
        return slice(int(self.groups.start[group]), int(self.groups.start[group + 1]))

    def _place(self, exchange: Exchange, parts: ContractParts) -> int | None:
        group = self._by_name.get((exchange, parts.base))
        if group is None:
            return None
        part = self._narrowed(
            self._slice(group),
            (
                (self.rows.kind, KINDS.index(parts.kind)),
                (self.rows.expiry, days_of(parts.expiry)),
                (self.rows.strike, 0 if parts.strike is None else to_parts(parts.strike)),
            ),
        )
        return part.start if part.start < part.stop else None

    def _narrowed(self, part: slice, wanted: Sequence[tuple[np.ndarray, int]]) -> slice:
        """The rows of ``part`` whose columns, by which they are sorted, hold these values."""
        for column, value in wanted:
            lying = column[part]
            # a value of the column's own type: any other has numpy convert the column first
            same = column.dtype.type(value)
            first = part.start + int(np.searchsorted(lying, same, side="left"))
            last = part.start + int(np.searchsorted(lying, same, side="right"))
            part = slice(first, last)
        return part


def to_parts(amount: Decimal) -> int:
    """``amount`` in rupees as it is kept; what is finer is not kept anywhere."""
    scaled = amount * PART
    return int(scaled) if scaled == scaled.to_integral_value() else -1


@lru_cache(maxsize=8_192)
def rupees(parts: int) -> Decimal:
    """What is kept as ``parts``, in rupees, with two decimals or as many more as it needs."""
    amount = Decimal(parts).scaleb(-4)
    return amount.quantize(Decimal("0.01")) if parts % 100 == 0 else amount


def days_of(day: date) -> int:
    """Days since 1970."""
    return day.toordinal() - _EPOCH


@lru_cache(maxsize=1_024)
def day_of(days: int) -> date:
    """The date of so many days since 1970."""
    return date.fromordinal(days + _EPOCH)


@lru_cache(maxsize=1_024)
def _mark(days: int) -> str:
    return expiry_mark(day_of(days))


def _suffix(days: int, strike: Decimal | None, code: int) -> str:
    if strike is None:
        return f"{_mark(days)}FUT"
    return f"{_mark(days)}{strike_text(strike)}{_KIND_TEXTS[code]}"


def _check(groups: Groups, rows: Rows) -> None:
    lengths = {len(getattr(rows, one.name)) for one in fields(rows)}
    counts = {len(groups.exchange), len(groups.base), len(groups.name), len(groups.is_made_up)}
    if len(lengths) != 1 or len(counts) != 1 or len(groups.start) != counts.pop() + 1:
        raise ValueError("the columns have different lengths")
    if (
        groups.start[0] != 0
        or groups.start[-1] != lengths.pop()
        or (np.diff(groups.start) < 1).any()
    ):
        raise ValueError("the groups do not cover the rows")
    if (rows.kind >= len(KINDS)).any() or (groups.exchange >= len(EXCHANGES)).any():
        raise ValueError("a kind or an exchange is not known")
