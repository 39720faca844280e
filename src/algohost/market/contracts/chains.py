"""Futures and option chains of one underlying as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from algohost.domain.calendars import Calendar
from algohost.domain.contract_symbols import ContractKind
from algohost.market.contracts import expiries
from algohost.market.contracts.specs import Underlying
from algohost.market.contracts.table import KINDS, Bytes, Ints, days_of, to_parts

_FUTURE: Final = KINDS.index(ContractKind.FUT)
_CALL: Final = KINDS.index(ContractKind.CE)
_PUT: Final = KINDS.index(ContractKind.PE)
_FAR: Final = timedelta(days=100)
"""Chains that expire later have strikes ``_FAR_STEPS`` apart, and a quarter of them."""
_FAR_STEPS: Final = 10
_MONTHS_OF_OPTIONS: Final = 3
_WEEKS: Final = 5
_QUARTERS: Final = (3, 6, 9, 12)
_HALVES: Final = (6, 12)
_STOCK_SIDES: Final = (20, 20, 10)
"""Strikes on each side of a stock's level, by month."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The contracts of one underlying: one cell a contract."""

    kind: Bytes
    expiry: Ints
    strike: Ints
    """In parts of a rupee."""


def of_underlying(one: Underlying, level: Decimal, calendar: Calendar, today: date) -> Chain:
    """All futures and options of an index, a commodity or a pair of currencies."""
    futures = expiries.monthly(calendar, _rule(one), today, one.futures, one.months)
    options = _options(one, calendar, today) if one.strikes else []
    sides = [
        (day, one.strikes // 4, one.step * _FAR_STEPS)
        if day > today + _FAR and one.options in {"weekly", "quarterly"} and one.expiry == "monthly"
        else (day, one.strikes, one.step)
        for day in options
    ]
    return _chain(futures, sides, level)


def of_stock(level: Decimal, step: Decimal, calendar: Calendar, today: date) -> Chain:
    """Three months of futures and options of a stock."""
    days = expiries.monthly(calendar, expiries.last_weekday, today, len(_STOCK_SIDES))
    sides = [(day, count, step) for day, count in zip(days, _STOCK_SIDES, strict=True)]
    return _chain(days, sides, level)


def of_stock_futures(calendar: Calendar, today: date) -> Chain:
    """Three months of futures of a stock, where there are no options."""
    days = expiries.monthly(calendar, expiries.last_weekday, today, len(_STOCK_SIDES))
    return _chain(days, [], Decimal(1))


def _rule(one: Underlying) -> expiries.MonthRule:
    if one.expiry == "monthly":
        return expiries.last_weekday
    if one.expiry == "currency":
        return expiries.of_currencies
    if one.expiry == "last":
        return expiries.last_working
    return expiries.on_day(int(one.expiry.removeprefix("day:")))


def _options(one: Underlying, calendar: Calendar, today: date) -> list[date]:
    rule = _rule(one)
    if one.options.isdigit():
        days = [
            expiries.working_days_before(calendar, future, int(one.options))
            for future in expiries.monthly(
                calendar, rule, today, _MONTHS_OF_OPTIONS + 1, one.months
            )
        ]
        return [day for day in days if day >= today][:_MONTHS_OF_OPTIONS]
    found = set(expiries.monthly(calendar, rule, today, _MONTHS_OF_OPTIONS))
    if one.options == "weekly":
        found.update(expiries.weekly(calendar, today, _WEEKS))
    if one.options in {"weekly", "quarterly"} and one.expiry == "monthly":
        found.update(expiries.monthly(calendar, rule, today, 4, _QUARTERS))
    if one.options == "weekly" and one.expiry == "monthly":
        found.update(expiries.monthly(calendar, rule, today, 8, _HALVES))
    return sorted(found)


def _chain(
    futures: Sequence[date], options: Sequence[tuple[date, int, Decimal]], level: Decimal
) -> Chain:
    kinds = [np.full(len(futures), _FUTURE, dtype=np.uint8)]
    days = [np.array([days_of(day) for day in futures], dtype=np.int64)]
    strikes = [np.zeros(len(futures), dtype=np.int64)]
    for day, count, step in options:
        of_day = _strikes(level, to_parts(step), count)
        for kind in (_CALL, _PUT):
            kinds.append(np.full(len(of_day), kind, dtype=np.uint8))
            days.append(np.full(len(of_day), days_of(day), dtype=np.int64))
            strikes.append(of_day)
    return Chain(
        kind=np.concatenate(kinds), expiry=np.concatenate(days), strike=np.concatenate(strikes)
    )


def _strikes(level: Decimal, step: int, count: int) -> Ints:
    middle = round(int(level * 10_000) / step)
    first = max(middle - count, 1)
    return np.arange(first, middle + count + 1, dtype=np.int64) * step
