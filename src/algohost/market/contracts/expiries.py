"""When contracts expire: the exchanges' rules, and their calendars for what the rules meet.

An expiry that falls on a day without a full session comes one trading day earlier. Of a year that
nobody has entered, weekends alone are known to be closed.

NFO      the last Thursday of the month, from September 2025 the last Tuesday; weeklies on that day
BFO      the last Friday, from 2025 the last Tuesday, from September 2025 the last Thursday
CDS BCD  two working days before the month's last one; weeklies on Friday
MCX NCO  a day of the month or its last working day, by commodity; options some working days before
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Final

from algohost.domain.calendars import Calendar, DayKind
from algohost.domain.instruments import Exchange

_FULL: Final = frozenset({DayKind.NORMAL, DayKind.SETTLEMENT})
_SATURDAY: Final = 5
_FRIDAY: Final = 4
_DAY: Final = timedelta(days=1)

_WEEKDAYS: Final = {
    Exchange.NFO: ((date.min, 3), (date(2025, 9, 1), 1)),
    Exchange.BFO: ((date.min, 4), (date(2025, 1, 1), 1), (date(2025, 9, 1), 3)),
}
"""Since when contracts expire on which weekday; Monday is 0."""

MonthRule = Callable[[Calendar, int, int], date]
"""The expiry of a month: of a calendar, a year and a month from 1."""


def is_working(calendar: Calendar, day: date) -> bool:
    """Whether a contract may expire on it: a full session, or a weekday of an unknown year."""
    known = calendar.day(day)
    return known.kind in _FULL if known.is_known else day.weekday() < _SATURDAY


def moved_before(calendar: Calendar, day: date) -> date:
    """``day``, or the nearest earlier day on which a contract may expire."""
    while not is_working(calendar, day):
        day -= _DAY
    return day


def working_days_before(calendar: Calendar, day: date, count: int) -> date:
    """The ``count``-th working day before ``day``."""
    for _ in range(count):
        day = moved_before(calendar, day - _DAY)
    return day


def last_weekday(calendar: Calendar, year: int, month: int) -> date:
    """Of index and stock contracts: the month's last such weekday."""
    weekday = _weekday(calendar.exchange, date(year, month, 1))
    last = _last(year, month)
    return moved_before(calendar, last - timedelta(days=(last.weekday() - weekday) % 7))


def last_working(calendar: Calendar, year: int, month: int) -> date:
    """The month's last working day."""
    return moved_before(calendar, _last(year, month))


def of_currencies(calendar: Calendar, year: int, month: int) -> date:
    """Two working days before the month's last one."""
    return working_days_before(calendar, last_working(calendar, year, month), 2)


def on_day(number: int) -> MonthRule:
    """The rule of a fixed day of the month."""
    return lambda calendar, year, month: moved_before(calendar, date(year, month, number))


def monthly(
    calendar: Calendar, rule: MonthRule, today: date, count: int, months: Sequence[int] = ()
) -> list[date]:
    """The next ``count`` expiries of a rule, today's included; of certain ``months`` or of all."""
    return list(islice(_months(calendar, rule, today, months), count))


def weekly(calendar: Calendar, today: date, count: int) -> list[date]:
    """The next ``count`` weekly expiries, today's included."""
    found: list[date] = []
    monday = today - timedelta(days=today.weekday())
    while len(found) < count:
        day = moved_before(calendar, monday + timedelta(days=_weekday(calendar.exchange, monday)))
        if day >= today and day not in found:
            found.append(day)
        monday += timedelta(days=7)
    return found


def _months(
    calendar: Calendar, rule: MonthRule, today: date, months: Sequence[int]
) -> Iterator[date]:
    year, month = today.year, today.month
    while True:
        if not months or month in months:
            expiry = rule(calendar, year, month)
            if expiry >= today:
                yield expiry
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _weekday(exchange: Exchange, day: date) -> int:
    rows = _WEEKDAYS.get(exchange, ((date.min, _FRIDAY),))
    return next(weekday for since, weekday in reversed(rows) if since <= day)


def _last(year: int, month: int) -> date:
    following = date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1)
    return following - _DAY
