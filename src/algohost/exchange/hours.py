"""When positions of a day end: square-off of MIS, the close of an expiry day, delivery of shares.

Everything hangs on the end of a day's last session, so that half days and special sessions move it
along. A day that the calendar calls closed, or does not know, has its usual hours here: nothing
trades on it anyway, but for the synthetic market, which is always open, and a recording played on
a Sunday.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from algohost.domain.calendars import Calendar, DayKind, Session
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.exchange.segments import contract_of

CalendarOf = Callable[[Exchange], Calendar]
"""The calendar of an exchange, with whatever was entered into it last."""

_A_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
_LONGEST_CLOSURE: Final = 15
"""Days; exchanges have never been closed for so long."""

_MINUTES: Final = {
    Exchange.NSE: 15,
    Exchange.BSE: 15,
    Exchange.NFO: 15,
    Exchange.BFO: 15,
    Exchange.CDS: 15,
    Exchange.BCD: 15,
    Exchange.MCX: 25,
    Exchange.NCO: 25,
}


@dataclass(frozen=True, kw_only=True)
class SquareOff:
    """How long before a session's end MIS positions are closed.

    15 minutes are 15:15 for shares and their derivatives and 16:45 for currencies, as OpenAlgo's
    sandbox has it; commodities have 25, which is 23:30 in winter and 23:05 in summer. An exchange
    that is not in it is never squared off.
    """

    before_close: Mapping[Exchange, timedelta] = field(
        default_factory=lambda: MappingProxyType(
            {one: timedelta(minutes=minutes) for one, minutes in _MINUTES.items()}
        )
    )


SQUARE_OFF: Final = SquareOff()
NO_SQUARE_OFF: Final = SquareOff(before_close=MappingProxyType({}))


class TradingHours:
    """The instants at which a day's positions end."""

    def __init__(self, calendar_of: CalendarOf, *, square_off: SquareOff = SQUARE_OFF) -> None:
        self._calendar_of = calendar_of
        self._square_off = square_off

    def session(self, exchange: Exchange, day: date) -> Session | None:
        """The last session of a day; its usual hours where it has none."""
        calendar = self._calendar_of(exchange)
        sessions = calendar.day(day).sessions
        return sessions[-1] if sessions else calendar.usual(day)

    def closes_at(self, exchange: Exchange, day: date) -> datetime | None:
        """When the last session of a day ends."""
        session = self.session(exchange, day)
        return None if session is None else session.closes_at

    def squares_off_at(self, exchange: Exchange, day: date) -> datetime | None:
        """When MIS positions of a day are closed; ``None`` where they never are."""
        before = self._square_off.before_close.get(exchange)
        session = None if before is None else self.session(exchange, day)
        if before is None or session is None:
            return None
        return max(session.closes_at - before, session.opens_at)

    def square_off_after(self, exchange: Exchange, at: datetime) -> datetime | None:
        """The square-off that ends what was opened at ``at``; ``None`` where there is none."""
        day = at.astimezone(IST).date()
        for candidate in (day, day + _A_DAY):
            ends = self.squares_off_at(exchange, candidate)
            if ends is not None and at < ends:
                return ends
        return None

    def intraday_over_since(self, exchange: Exchange, now: datetime) -> datetime | None:
        """Since when no MIS position may be opened; ``None`` while it may.

        From square-off until the session ends. After it only a market without hours trades, and
        what is opened there is of the next session.
        """
        day = now.astimezone(IST).date()
        at, session = self.squares_off_at(exchange, day), self.session(exchange, day)
        if at is None or session is None or not at <= now < session.closes_at:
            return None
        return at

    def expired_at(self, key: InstrumentKey, now: datetime) -> datetime | None:
        """When a contract stopped being one; ``None`` for what does not expire, or has not yet."""
        contract = contract_of(key)
        closed = None if contract is None else self.closes_at(key.exchange, contract.expiry)
        return closed if closed is not None and closed <= now else None

    def settles_on(self, key: InstrumentKey, day: date) -> date:
        """When shares bought on ``day`` are delivered: T+1.

        The next day that is neither weekend, holiday, settlement holiday nor one of special
        sessions only. Where nothing is known, the next weekday.
        """
        calendar = self._calendar_of(key.exchange)
        for ahead in range(1, _LONGEST_CLOSURE):
            next_day = calendar.day(day + ahead * _A_DAY)
            is_weekday = next_day.date.weekday() < _SATURDAY
            if next_day.kind is DayKind.NORMAL or (not next_day.is_known and is_weekday):
                return next_day.date
        return day + _A_DAY


def next_day(key: InstrumentKey, day: date) -> date:  # noqa: ARG001 - a SettlesOn has the key
    """The ``SettlesOn`` of those who have no calendar."""
    return day + _A_DAY
