"""Exchange calendars: on which dates an exchange trades, when, and how sure that is.

A calendar answers for one exchange from three things: the hours it usually keeps, the years that
are known, and the days that differ. It never guesses: a date outside the known years has the kind
``UNKNOWN`` and no session. All of it is pure; dates are those of India (IST).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange

EXCHANGES: Final = (
    Exchange.NSE,
    Exchange.BSE,
    Exchange.NFO,
    Exchange.BFO,
    Exchange.CDS,
    Exchange.BCD,
    Exchange.MCX,
    Exchange.NCO,
    Exchange.CRYPTO,
)
"""The exchanges that have a calendar, in the order in which they are shown."""

WARNING_DAYS: Final = 120
"""So many days before the last published date, the missing year is spoken of."""

_SATURDAY: Final = 5
_MIDNIGHT: Final = time(0)


class Knowledge(StrEnum):
    """How sure a calendar is of a date."""

    PUBLISHED = "published"
    """The exchange has said so."""
    TENTATIVE = "tentative"
    """Worked out or not confirmed; the exchange may say otherwise."""
    UNKNOWN = "unknown"
    """Nobody has entered it. Neither open nor closed may be concluded."""


class DayKind(StrEnum):
    """What sort of day it is for one exchange."""

    NORMAL = "normal"
    SETTLEMENT = "settlement"
    """A settlement holiday: trading as usual, no pay-in and pay-out."""
    HOLIDAY = "holiday"
    MORNING = "morning"
    """Only the morning session (MCX, NCO)."""
    EVENING = "evening"
    """Only the evening session (MCX, NCO)."""
    SPECIAL = "special"
    """Sessions at other times than usual: Muhurat, or trading on a Saturday or Sunday."""
    WEEKEND = "weekend"
    UNKNOWN = "unknown"


LISTED_KINDS: Final = tuple(k for k in DayKind if k not in {DayKind.WEEKEND, DayKind.UNKNOWN})
"""The kinds that a listed day may have; the others follow from the date."""
CLOSED_KINDS: Final = frozenset({DayKind.HOLIDAY, DayKind.WEEKEND})


@dataclass(frozen=True, kw_only=True, order=True)
class Hours:
    """A span of one day in IST; a ``close`` of midnight is the end of the day."""

    open: time
    close: time

    def __str__(self) -> str:
        return f"{self.open:%H:%M}-{self.close:%H:%M}"

    def on(self, day: date) -> "Session":
        """The span on that date."""
        last = day + timedelta(days=1) if self.close == _MIDNIGHT else day
        return Session(opens_at=_instant(day, self.open), closes_at=_instant(last, self.close))


@dataclass(frozen=True, kw_only=True, order=True)
class Session:
    """One span of trading, as instants in UTC; open at ``opens_at``, shut at ``closes_at``."""

    opens_at: datetime
    closes_at: datetime

    def overlaps(self, start: datetime, end: datetime | None) -> bool:
        """Whether any moment of ``[start, end)`` is in it; without ``end`` it is endless."""
        return start < self.closes_at and (end is None or self.opens_at < end)


@dataclass(frozen=True, kw_only=True)
class UsualHours:
    """The hours that an exchange keeps from a date on, until the next such row."""

    since: date
    open: time
    close: time
    evening: time | None = None
    """Where the evening session begins; ``None`` for an exchange whose day is not divided."""

    def of(self, kind: DayKind) -> Hours | None:
        """The hours of a day of that kind, where they follow from it."""
        if kind in {DayKind.NORMAL, DayKind.SETTLEMENT}:
            return Hours(open=self.open, close=self.close)
        if kind is DayKind.MORNING and self.evening is not None:
            return Hours(open=self.open, close=self.evening)
        if kind is DayKind.EVENING and self.evening is not None:
            return Hours(open=self.evening, close=self.close)
        return None


@dataclass(frozen=True, kw_only=True)
class ListedDay:
    """A day that differs, as it is listed for one exchange."""

    exchange: Exchange
    date: date
    kind: DayKind
    name: str
    hours: tuple[Hours, ...] = ()
    """Other hours than the kind's own; of a ``SPECIAL`` day empty where they are not yet known."""
    status: Knowledge = Knowledge.PUBLISHED
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a calendar knows of one date."""

    exchange: Exchange
    date: date
    kind: DayKind
    knowledge: Knowledge
    sessions: tuple[Session, ...] = ()
    """In order, without overlap; empty where the exchange is closed, or nothing is known."""
    name: str = ""
    note: str = ""
    is_edited: bool = False
    """Whether an administrator entered it, over what the program came with."""

    @property
    def is_known(self) -> bool:
        """Whether open or closed may be concluded from it."""
        return self.knowledge is not Knowledge.UNKNOWN

    @property
    def is_trading_day(self) -> bool:
        """Whether there is a session; ``False`` says nothing where ``is_known`` does not hold."""
        return bool(self.sessions)

    @property
    def is_settlement_holiday(self) -> bool:
        """Whether nothing is settled: every trading holiday, and the days of that kind."""
        return self.kind in {DayKind.SETTLEMENT, DayKind.HOLIDAY}

    @property
    def sentence(self) -> str:
        """What a person should read: why it is closed, special or unknown; empty if normal."""
        text, where = _SENTENCES[self.kind], f"{self.exchange} on {day_text(self.date)}"
        if self.kind is DayKind.SPECIAL and not self.sessions:
            text = "{where}: {name}; its time is not known yet, an administrator can enter it."
        said = text.format(where=where, name=self.name or self.kind.value)
        return f"{said} (tentative)" if said and self.knowledge is Knowledge.TENTATIVE else said


_SENTENCES: Final[Mapping[DayKind, str]] = {
    DayKind.NORMAL: "",
    DayKind.SETTLEMENT: "{where}: trading as usual, settlement holiday ({name}).",
    DayKind.HOLIDAY: "{where} is closed: {name}.",
    DayKind.MORNING: "{where} has only its morning session: {name}.",
    DayKind.EVENING: "{where} has only its evening session: {name}.",
    DayKind.SPECIAL: "{where} has special hours: {name}.",
    DayKind.WEEKEND: "{where} is closed: weekend.",
    DayKind.UNKNOWN: "Whether {where} trades is not known: nobody has entered that year.",
}


class Calendar:
    """One exchange's days.

    ``years`` says how sure each known year is as a whole, a missing one is unknown. ``edited``
    holds an administrator's days, which win over ``listed``.
    """

    def __init__(
        self,
        *,
        exchange: Exchange,
        hours: Sequence[UsualHours],
        years: Mapping[int, Knowledge],
        listed: Iterable[ListedDay],
        edited: Iterable[ListedDay] = (),
    ) -> None:
        self.exchange = exchange
        self.years = dict(years)
        self._hours = tuple(sorted(hours, key=lambda one: one.since))
        self._edited = {one.date: one for one in edited}
        self._listed = {**{one.date: one for one in listed}, **self._edited}
        self._days: dict[date, Day] = {}

    @property
    def never_closes(self) -> bool:
        """Whether it trades around the clock, every day of every year."""
        return self.exchange is Exchange.CRYPTO

    @property
    def valid_until(self) -> date | None:
        """The last date of which anything is known; ``None`` where that has no end."""
        return None if self.never_closes else _last_day(self.years)

    @property
    def published_until(self) -> date | None:
        """The last date that the exchange has published; ``None`` where that has no end."""
        if self.never_closes:
            return None
        known = [year for year, knowledge in self.years.items() if knowledge is Knowledge.PUBLISHED]
        return _last_day(known)

    def day(self, day: date) -> Day:
        """What is known of that date; never raises."""
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = self._look_up(day)
        return found

    def days(self, first: date, last: date) -> Sequence[Day]:
        """Every date from ``first`` to ``last``, both included."""
        return [self.day(first + timedelta(days=n)) for n in range((last - first).days + 1)]

    def listed(self, year: int) -> Sequence[ListedDay]:
        """The days of a year that differ, in order."""
        found = (one for one in self._listed.values() if one.date.year == year)
        return sorted(found, key=lambda one: one.date)

    def usual(self, day: date) -> Session | None:
        """The hours that a normal day of that time of the year has, whatever that date is."""
        if self.never_closes:
            return Hours(open=_MIDNIGHT, close=_MIDNIGHT).on(day)
        hours = self._usual_hours(day)
        return None if hours is None else Hours(open=hours.open, close=hours.close).on(day)

    @property
    def latest_hours(self) -> Hours | None:
        """The hours that a normal day has by the newest row of its table."""
        if self.never_closes or not self._hours:
            return None
        return Hours(open=self._hours[-1].open, close=self._hours[-1].close)

    def is_open(self, at: datetime) -> bool:
        """Whether a session is on; for an unknown date ``False`` means nothing, ask ``day``."""
        sessions = self.day(at.astimezone(IST).date()).sessions
        return any(s.opens_at <= at < s.closes_at for s in sessions)

    def warning(self, today: date) -> str | None:
        """One sentence where the next year is missing or only tentative, months ahead."""
        until = self.published_until
        if until is None or today + timedelta(days=WARNING_DAYS) <= until:
            return None
        missing = max(until, date(today.year - 1, 12, 31)).year + 1
        has = "only tentative" if missing in self.years else "unknown"
        return (
            f"The published calendar of {self.exchange} ends on {day_text(until)}; {missing} is"
            f" {has}. Enter or import the exchange's list of {missing}."
        )

    def _usual_hours(self, day: date) -> UsualHours | None:
        kept = [one for one in self._hours if one.since <= day]
        return kept[-1] if kept else (self._hours[0] if self._hours else None)

    def _look_up(self, day: date) -> Day:
        usual = self.usual(day)
        if self.never_closes and usual is not None:
            return self._day(day, DayKind.NORMAL, Knowledge.PUBLISHED, (usual,))
        listed = self._listed.get(day)
        if listed is not None:
            return self._of_list(listed)
        knowledge = self.years.get(day.year, Knowledge.UNKNOWN)
        if knowledge is Knowledge.UNKNOWN or usual is None:
            return self._day(day, DayKind.UNKNOWN, Knowledge.UNKNOWN)
        if day.weekday() >= _SATURDAY:
            return self._day(day, DayKind.WEEKEND, knowledge)
        return self._day(day, DayKind.NORMAL, knowledge, (usual,))

    def _day(
        self, day: date, kind: DayKind, known: Knowledge, sessions: tuple[Session, ...] = ()
    ) -> Day:
        return Day(exchange=self.exchange, date=day, kind=kind, knowledge=known, sessions=sessions)

    def _of_list(self, listed: ListedDay) -> Day:
        usual = self._usual_hours(listed.date)
        of_kind = None if usual is None else usual.of(listed.kind)
        hours = listed.hours or (() if of_kind is None else (of_kind,))
        is_vague = not hours and listed.kind is not DayKind.HOLIDAY
        return Day(
            exchange=self.exchange,
            date=listed.date,
            kind=listed.kind,
            knowledge=Knowledge.UNKNOWN if is_vague else listed.status,
            sessions=tuple(sorted(one.on(listed.date) for one in hours)),
            name=listed.name,
            note=listed.note,
            is_edited=listed.date in self._edited,
        )


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What the program came with, for all exchanges."""

    hours: Mapping[Exchange, Sequence[UsualHours]]
    years: Mapping[Exchange, Mapping[int, Knowledge]]
    days: Sequence[ListedDay]


@dataclass(frozen=True, kw_only=True, order=True)
class YearEntry:
    """That an exchange's list of a year has been entered, and how sure it is."""

    exchange: Exchange
    year: int
    status: Knowledge


@dataclass(frozen=True, kw_only=True)
class Edits:
    """What administrators have entered over the tables."""

    days: tuple[ListedDay, ...] = ()
    years: tuple[YearEntry, ...] = ()


def calendars(tables: Tables, edits: Edits | None = None) -> Mapping[Exchange, Calendar]:
    """Every exchange's calendar, an administrator's days over those of the tables.

    Where an administrator has entered a year as published, tentative days of the tables no
    longer count in it: the list that was entered is the whole list.
    """
    edits = edits or Edits()
    made = {}
    for exchange in EXCHANGES:
        entered = {one.year: one.status for one in edits.years if one.exchange is exchange}
        final = {year for year, status in entered.items() if status is Knowledge.PUBLISHED}
        made[exchange] = Calendar(
            exchange=exchange,
            hours=tables.hours.get(exchange, ()),
            years={**tables.years.get(exchange, {}), **entered},
            listed=[
                one
                for one in tables.days
                if one.exchange is exchange
                and not (one.date.year in final and one.status is not Knowledge.PUBLISHED)
            ],
            edited=[one for one in edits.days if one.exchange is exchange],
        )
    return made


def day_text(day: date) -> str:
    """``Tue 21 Oct 2025``, the same in every locale."""
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year}"


_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def _instant(day: date, at: time) -> datetime:
    return datetime.combine(day, at, IST).astimezone(UTC)


def _last_day(years: Iterable[int]) -> date:
    """The end of the known years that follow one another; a gap ends what is known."""
    known = set(years)
    if not known:
        return date.min
    year = min(known)
    while year + 1 in known:
        year += 1
    return date(year, 12, 31)
