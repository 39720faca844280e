"""The paper broker's list of one day: what the market trades, and all that a broker lists beside.

The same day, seed and market make the same list. What the market trades keeps its token, tick and
lot; strikes lie around its previous close, or around the tables' level where it has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import numpy as np

from algohost.domain.calendars import Calendar
from algohost.domain.contract_symbols import ContractKind, ContractParts, parts_of
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.market.contracts import chains, made_up, specs
from algohost.market.contracts.chains import Chain
from algohost.market.contracts.search import SearchableTable
from algohost.market.contracts.table import (
    CASH,
    EXCHANGES,
    KINDS,
    OPTIONS,
    Groups,
    Rows,
    days_of,
    to_parts,
)

_INDEX: Final = KINDS.index(ContractKind.INDEX)
_EQUITY: Final = KINDS.index(ContractKind.EQ)

# Tokens: what the market trades has its own, below 100,000; cash has the ranges below; a contract
# is numbered by underlying, expiry, kind and strike, so it keeps its token from day to day.
_NSE_TOKENS: Final = 100_000
_NSE_MADE_UP: Final = 200_000
_INDEX_TOKENS: Final = 300_000
_BSE_TOKENS: Final = 500_000
_BSE_MADE_UP: Final = 600_000
_UNDERLYINGS: Final = 1_000
_NSE_STOCKS: Final = 2_000
_BSE_STOCKS: Final = 3_000
_MADE_UP_LEVEL: Final = Decimal(100)


@dataclass(frozen=True, kw_only=True)
class Made:
    """One group on its way: rows in no order yet."""

    exchange: Exchange
    base: str
    name: str
    is_made_up: bool
    columns: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a list is made for; taken on the loop, used in a thread."""

    made_at: datetime
    traded: Sequence[Instrument]
    """What the market trades and quotes."""
    levels: Mapping[InstrumentKey, Decimal]
    """Its previous closes, in rupees."""
    calendars: Mapping[Exchange, Calendar]

    @property
    def day(self) -> date:
        """The date in India."""
        return self.made_at.astimezone(IST).date()

    def level(self, key: InstrumentKey | None, otherwise: Decimal) -> Decimal:
        """The previous close of ``key``, or another level where there is none."""
        found = self.levels.get(key) if key is not None else None
        return found if found is not None and found > 0 else otherwise


def cash(basis: Basis) -> list[Made]:
    """Equities and indices that the market does not trade itself, and the made-up companies."""
    traded = {one.key for one in basis.traded}
    made = []
    for number, index in enumerate(specs.indices()):
        tick = Decimal("0.05")
        made.append(_cash(index.key, index.name, _INDEX, _INDEX_TOKENS + number, tick))
    for number, one in enumerate(specs.companies()):
        for exchange, tokens in ((Exchange.NSE, _NSE_TOKENS), (Exchange.BSE, _BSE_TOKENS)):
            key = InstrumentKey(exchange=exchange, symbol=one.symbol)
            tick = specs.equity_tick(basis.level(key, one.level))
            made.append(_cash(key, one.name, _EQUITY, tokens + number, tick))
    for number, (symbol, name) in enumerate(made_up.companies()):
        for exchange, tokens in ((Exchange.NSE, _NSE_MADE_UP), (Exchange.BSE, _BSE_MADE_UP)):
            key = InstrumentKey(exchange=exchange, symbol=symbol)
            tick = specs.equity_tick(_MADE_UP_LEVEL)
            made.append(_cash(key, name, _EQUITY, tokens + number, tick, is_made_up=True))
    return [
        one for one in made if InstrumentKey(exchange=one.exchange, symbol=one.base) not in traded
    ]


def derivatives(basis: Basis) -> Iterable[Made]:
    """Futures and options of indices, commodities and currencies."""
    for number, one in enumerate(specs.underlyings()):
        # what has no price of its own is known to the market by exchange and base
        named = one.spot or InstrumentKey(exchange=one.exchange, symbol=one.base)
        level = basis.level(named, one.level)
        chain = chains.of_underlying(one, level, basis.calendars[one.exchange], basis.day)
        yield Made(
            exchange=one.exchange,
            base=one.base,
            name=one.name,
            is_made_up=False,
            columns=_contracts(
                chain,
                number=_UNDERLYINGS + number,
                step=to_parts(one.step),
                lot=one.lot,
                freeze=one.freeze,
                ticks=(to_parts(one.tick), to_parts(one.option_tick)),
            ),
        )


def stock_derivatives(basis: Basis) -> Iterable[Made]:
    """Futures and options of stocks: both on NFO, futures of the best known on BFO."""
    own = {one.key.symbol for one in basis.traded}
    for number, one in enumerate(specs.companies()):
        key = InstrumentKey(exchange=Exchange.NSE, symbol=one.symbol)
        level = basis.level(key, one.level)
        step = specs.strike_step(level)
        tick = to_parts(specs.equity_tick(level))
        option_tick = min(tick, to_parts(Decimal("0.05")))
        chain = chains.of_stock(level, step, basis.calendars[Exchange.NFO], basis.day)
        chains_of = [(Exchange.NFO, _NSE_STOCKS, chain)]
        if one.symbol in own:
            futures = chains.of_stock_futures(basis.calendars[Exchange.BFO], basis.day)
            chains_of.append((Exchange.BFO, _BSE_STOCKS, futures))
        for exchange, numbers, contracts in chains_of:
            yield Made(
                exchange=exchange,
                base=one.symbol,
                name=one.name,
                is_made_up=False,
                columns=_contracts(
                    contracts,
                    number=numbers + number,
                    step=to_parts(step),
                    lot=one.lot,
                    freeze=0,
                    ticks=(tick, option_tick),
                ),
            )


def traded(basis: Basis) -> list[Made]:
    """What the market itself trades and quotes, with its own tokens."""
    return [_of_market(one) for one in basis.traded]


def assemble(made_at: datetime, made: Sequence[Made]) -> SearchableTable:
    """The list of all groups; of a contract that is there twice, the first counts."""
    merged: dict[tuple[int, str], list[Made]] = {}
    for one in made:
        merged.setdefault((EXCHANGES.index(one.exchange), one.base), []).append(one)
    names = sorted(merged)
    parts = [merged[name] for name in names]
    columns = {
        column: np.concatenate([one.columns[column] for part in parts for one in part])
        for column in ("token", "strike", "expiry", "lot", "tick", "freeze", "kind")
    }
    counts = [sum(len(one.columns["token"]) for one in part) for part in parts]
    group = np.repeat(np.arange(len(parts)), counts)
    columns, group = _sorted(columns, group)
    start = np.searchsorted(group, np.arange(len(parts) + 1))
    return SearchableTable(
        made_at=made_at,
        groups=Groups(
            exchange=np.array([exchange for exchange, _ in names], dtype=np.uint8),
            base=tuple(base for _, base in names),
            name=tuple(_name(part) for part in parts),
            is_made_up=np.array([part[0].is_made_up for part in parts], dtype=np.bool_),
            start=start.astype(np.int32),
        ),
        rows=_rows(columns, group, start),
    )


def _name(part: Sequence[Made]) -> str:
    """The name of a group: what the market trades of it may know its symbol alone."""
    return next((one.name for one in part if one.name != one.base), part[0].base)


def _sorted(
    columns: Mapping[str, np.ndarray], group: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows in their order, each contract once."""
    order = np.lexsort((columns["strike"], columns["expiry"], columns["kind"], group))
    columns = {name: column[order] for name, column in columns.items()}
    group = group[order]
    same = np.zeros(len(group), dtype=bool)
    same[1:] = np.logical_and.reduce(
        [(one[1:] == one[:-1]) for one in
         (group, columns["kind"], columns["expiry"], columns["strike"])]
    )  # fmt: skip
    return {name: column[~same] for name, column in columns.items()}, group[~same]


def _rows(columns: Mapping[str, np.ndarray], group: np.ndarray, start: np.ndarray) -> Rows:
    return Rows(
        token=columns["token"].astype(np.int64),
        strike=columns["strike"].astype(np.int64),
        expiry=columns["expiry"].astype(np.int32),
        lot=columns["lot"].astype(np.int32),
        tick=columns["tick"].astype(np.int32),
        freeze=columns["freeze"].astype(np.int32),
        order=_shown_order(columns, group, start),
        kind=columns["kind"].astype(np.uint8),
    )


def _shown_order(
    columns: Mapping[str, np.ndarray], group: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Each row's place in its group: futures first, then chains from the middle outwards."""
    kind, expiry, strike = columns["kind"], columns["expiry"], columns["strike"]
    edges = np.flatnonzero(
        np.r_[True, (np.diff(group) != 0) | (np.diff(expiry) != 0) | (np.diff(kind) != 0)]
    )
    sizes = np.diff(np.r_[edges, len(group)])
    away = np.abs(strike - np.repeat(strike[edges + sizes // 2], sizes))
    is_option = kind >= OPTIONS
    by = np.lexsort((kind, strike, np.where(is_option, away, 0), expiry, is_option, group))
    order = np.empty(len(group), dtype=np.int32)
    order[by] = np.arange(len(group)) - start[group]
    return order


def _cash(
    key: InstrumentKey, name: str, kind: int, token: int, tick: Decimal, *, is_made_up: bool = False
) -> Made:
    columns = {"kind": kind, "token": token, "tick": to_parts(tick), "lot": 1}
    return _one(key.exchange, key.symbol, name, columns, is_made_up=is_made_up)


def _one(
    exchange: Exchange, base: str, name: str, columns: Mapping[str, int], *, is_made_up: bool
) -> Made:
    names = ("token", "strike", "expiry", "lot", "tick", "freeze", "kind")
    return Made(
        exchange=exchange,
        base=base,
        name=name,
        is_made_up=is_made_up,
        columns={one: np.array([columns.get(one, 0)], dtype=np.int64) for one in names},
    )


def _of_market(one: Instrument) -> Made:
    columns = {
        "token": int(one.token),
        "tick": to_parts(one.tick_size),
        "lot": one.lot_size,
        "freeze": one.freeze_quantity or 0,
        "kind": _INDEX if one.key.exchange.is_index else _EQUITY,
    }
    parts = parts_of(one.key.symbol)
    if parts is None:
        return _one(one.key.exchange, one.key.symbol, one.name, columns, is_made_up=False)
    columns |= _dated(parts)
    return _one(one.key.exchange, parts.base, parts.base, columns, is_made_up=False)


def _dated(parts: ContractParts) -> dict[str, int]:
    return {
        "kind": KINDS.index(parts.kind),
        "expiry": days_of(parts.expiry),
        "strike": 0 if parts.strike is None else to_parts(parts.strike),
    }


def _contracts(
    chain: Chain, *, number: int, step: int, lot: int, freeze: int, ticks: tuple[int, int]
) -> Mapping[str, np.ndarray]:
    count = len(chain.kind)
    token = (number * 100_000 + chain.expiry) * 10 + chain.kind - CASH
    return {
        "token": token * 100_000 + chain.strike // step,
        "strike": chain.strike,
        "expiry": chain.expiry,
        "lot": np.full(count, lot, dtype=np.int64),
        "tick": np.where(chain.kind >= OPTIONS, ticks[1], ticks[0]),
        "freeze": np.full(count, freeze, dtype=np.int64),
        "kind": chain.kind,
    }
