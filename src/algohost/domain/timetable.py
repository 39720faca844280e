"""Schedules, and when they want a strategy running: pure functions of schedule, calendar, instant.

``plan`` says for every window on every date what becomes of it: an ``Occurrence``, or ``Skipped``
with a reason. ``occurrences``, ``wanted_at`` and ``next_change`` all read that one plan, so they
cannot disagree. The machine's own time zone plays no part.

Clock times mean the schedule's zone, session times (``open+5``) the exchange's day. Where clocks
jump forward, a time that does not exist is read with the offset before the jump (as in RFC 5545);
where they go back, a time that comes twice means the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from algohost.domain.calendars import Calendar, Day, DayKind, Knowledge, Session, day_text
from algohost.domain.ids import IST
from algohost.domain.schedules import (
    DEFAULT_ZONE,
    WEEKDAYS,
    Edge,
    Moment,
    Schedule,
    ScheduleKind,
    SessionTime,
    SpecialDays,
    Window,
)

HORIZON: Final = timedelta(days=400)
"""How far ahead ``next_change`` looks."""

_DAY: Final = timedelta(days=1)
_FIRST_DAY: Final = date(1970, 1, 1)
_MIDNIGHT: Final = time(0)
_REACH: Final = 4
"""What began on dates so far back has ended, whatever the zone, and so has what it cut."""


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One window on one date: a span in which the strategy is wanted."""

    date: date
    """The local date on which it starts; with ``window`` its name for ever."""
    window: int
    """The number of its window in the schedule, from 0."""
    start_at: datetime
    ends_at: datetime | None
    """The first instant that is outside of it; ``None`` for an ``ALWAYS`` without a last day."""
    stops: bool = True
    """Whether the strategy is to be stopped at ``ends_at``; ``False`` for a window without stop."""
    knowledge: Knowledge = Knowledge.PUBLISHED
    """How sure it is that the exchange trades. ``UNKNOWN``: the calendar has no such year; the
    times are the usual ones, and whoever acts on it must ask for the calendar first."""
    note: str = ""

    @property
    def key(self) -> str:
        """``2026-11-23#0``: unique within a strategy's schedule."""
        return f"{self.date.isoformat()}#{self.window}"

    def holds(self, at: datetime) -> bool:
        """Whether that instant is inside."""
        return self.start_at <= at and (self.ends_at is None or at < self.ends_at)


class SkipReason(StrEnum):
    """Why a window does not come on one of its dates."""

    BY_USER = "by_user"
    CLOSED = "closed"
    """A trading holiday, or a weekend without a session."""
    SPECIAL_DAY = "special_day"
    TIME_UNKNOWN = "time_unknown"
    """A special session whose time nobody has entered."""
    OUTSIDE_SESSION = "outside_session"
    """The exchange trades on that day, but not during the window (a half day)."""
    TOO_SHORT = "too_short"
    """By the session of that day, or by a change of clocks, it ends before it starts."""
    OVERLAPPED = "overlapped"
    """An earlier window covers all of it on that day."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A window that does not come on one of its dates, and why."""

    date: date
    window: int
    start_at: datetime
    """When it would have started; for session times without a session, local midnight."""
    reason: SkipReason
    sentence: str

    @property
    def key(self) -> str:
        """As that of an ``Occurrence``."""
        return f"{self.date.isoformat()}#{self.window}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """The next instant at which what is wanted changes, and what is wanted from then on."""

    at: datetime
    wanted: Occurrence | None


Entry = Occurrence | Skipped


def plan(schedule: Schedule, calendar: Calendar, start: datetime, end: datetime) -> Sequence[Entry]:
    """What becomes of every window that starts in ``[start, end)``, in order of its start.

    Each window has exactly one entry for each of its dates.
    """
    found = _entries(schedule, calendar, start, end)
    return sorted(
        (one for one in found if start <= one.start_at < end),
        key=lambda one: (one.start_at, one.window),
    )


def occurrences(
    schedule: Schedule, calendar: Calendar, start: datetime, end: datetime
) -> Sequence[Occurrence]:
    """The occurrences that start in ``[start, end)``, in order; none overlaps another."""
    found = plan(schedule, calendar, start, end)
    return [one for one in found if isinstance(one, Occurrence)]


def wanted_at(schedule: Schedule, calendar: Calendar, at: datetime) -> Occurrence | None:
    """The occurrence that holds the instant; ``None`` where the strategy is not wanted."""
    for one in _entries(schedule, calendar, at, at):
        if isinstance(one, Occurrence) and one.holds(at):
            return one
    return None


def next_change(schedule: Schedule, calendar: Calendar, after: datetime) -> Change | None:
    """The first instant after ``after`` at which ``wanted_at`` answers something else.

    ``None`` where nothing changes within ``HORIZON``.
    """
    now = wanted_at(schedule, calendar, after)
    if now is not None:
        if now.ends_at is None:
            return None
        return Change(at=now.ends_at, wanted=wanted_at(schedule, calendar, now.ends_at))
    for one in _entries(schedule, calendar, after, after + HORIZON):
        if isinstance(one, Occurrence) and one.start_at > after:
            return Change(at=one.start_at, wanted=one)
    return None


def local_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant in UTC of a local time, in a gap and a fold as the module says."""
    return datetime.combine(day, at.replace(fold=0), zone).astimezone(UTC)


# ---- how a plan is made


def _entries(
    schedule: Schedule, calendar: Calendar, start: datetime, end: datetime
) -> Iterator[Entry]:
    """Everything that may hold or begin in ``[start, end]``, in order; and a little more."""
    match schedule.kind:
        case ScheduleKind.MANUAL:
            return
        case ScheduleKind.ALWAYS:
            yield _for_ever(schedule)
            return
    busy_until = datetime.min.replace(tzinfo=UTC)
    for one in _in_order(schedule, calendar, start, end):
        if isinstance(one, Occurrence) and one.ends_at is not None:
            ends_at = one.ends_at
            one = _cut(one, ends_at, busy_until)
            busy_until = max(busy_until, ends_at)
        yield one


def _in_order(
    schedule: Schedule, calendar: Calendar, start: datetime, end: datetime
) -> Iterator[Entry]:
    """The entries of each date by their start, which may lie up to a day before their date: the
    exchange's day begins at another hour than that of a far zone."""
    zone = zone_of(schedule)
    day = start.astimezone(zone).date() - _DAY * _REACH
    last = end.astimezone(zone).date() + _DAY
    waiting: list[Entry] = []
    while day <= last:
        waiting.extend(_of_day(schedule, calendar, day))
        waiting.sort(key=lambda one: (one.start_at, one.window))
        settled = local_instant(day, _MIDNIGHT, zone)
        while waiting and waiting[0].start_at < settled:
            yield waiting.pop(0)
        day += _DAY
    yield from waiting


def _for_ever(schedule: Schedule) -> Occurrence:
    zone = zone_of(schedule)
    first, last = schedule.first_day or _FIRST_DAY, schedule.last_day
    return Occurrence(
        date=first,
        window=0,
        start_at=local_instant(first, _MIDNIGHT, zone),
        ends_at=None if last is None else local_instant(last + _DAY, _MIDNIGHT, zone),
    )


def _cut(one: Occurrence, ends_at: datetime, busy_until: datetime) -> Entry:
    """The entry, begun no sooner than the windows before it have ended."""
    if one.start_at >= busy_until:
        return one
    if busy_until < ends_at:
        return replace(one, start_at=busy_until)
    said = f"On {day_text(one.date)} an earlier window of the schedule lasts longer."
    return Skipped(
        date=one.date,
        window=one.window,
        start_at=one.start_at,
        reason=SkipReason.OVERLAPPED,
        sentence=said,
    )


@lru_cache(maxsize=16_384)
def _of_day(schedule: Schedule, calendar: Calendar, day: date) -> tuple[Entry, ...]:
    """Remembered: a thousand strategies share a few schedules, and are asked every second."""
    if not schedule.covers(day):
        return ()
    zone = zone_of(schedule)
    return tuple(
        _of_window(_Asked(schedule, calendar, zone, day, number, window))
        for number, window in enumerate(schedule.windows)
        if WEEKDAYS[day.weekday()] in window.weekdays
    )


class _Asked(NamedTuple):
    """One window on one date."""

    schedule: Schedule
    calendar: Calendar
    zone: ZoneInfo
    day: date
    number: int
    window: Window

    def skipped(self, start_at: datetime, reason: SkipReason, sentence: str) -> Skipped:
        return Skipped(
            date=self.day, window=self.number, start_at=start_at, reason=reason, sentence=sentence
        )


def _of_window(asked: _Asked) -> Entry:
    schedule, calendar, zone, day, _, window = asked
    plain = window.start if isinstance(window.start, time) else _MIDNIGHT
    start_at = local_instant(day, plain, zone)
    if day in schedule.skipped:
        said = f"{day_text(day)} is among the dates that the schedule leaves out."
        return asked.skipped(start_at, SkipReason.BY_USER, said)
    edges = _edges(schedule, calendar, day)
    if edges is None and window.follows_session:
        found = calendar.day(day)
        return asked.skipped(start_at, _reason(schedule, found), _sentence(found, schedule))
    start_at = _resolved(window.start, day, zone, edges)
    ends_at = _end_of(window, day, zone, edges)
    if ends_at <= start_at:
        said = f"On {day_text(day)} the window {window} would end before it starts."
        return asked.skipped(start_at, SkipReason.TOO_SHORT, said)
    judge, reason = _judged(schedule, calendar, start_at, ends_at)
    if reason is not None:
        return asked.skipped(start_at, reason, _sentence(judge, schedule))
    return Occurrence(
        date=day,
        window=asked.number,
        start_at=start_at,
        ends_at=ends_at,
        stops=window.stop is not None,
        knowledge=judge.knowledge,
        note=judge.sentence,
    )


def _edges(schedule: Schedule, calendar: Calendar, day: date) -> Session | None:
    """From the first open to the last close of the exchange's day; ``None`` where it has none
    that counts. Of an unknown day the usual hours: its occurrence says that it is unknown."""
    found = calendar.day(day)
    if found.kind is DayKind.UNKNOWN:
        return calendar.usual(day)
    if not found.sessions or not _follows(schedule, found):
        return None
    return Session(opens_at=found.sessions[0].opens_at, closes_at=found.sessions[-1].closes_at)


def _resolved(moment: Moment, day: date, zone: ZoneInfo, edges: Session | None) -> datetime:
    if isinstance(moment, time):
        return local_instant(day, moment, zone)
    if edges is None:
        raise ValueError(f"{moment} of a day without a session has no instant.")
    edge = edges.opens_at if moment.edge is Edge.OPEN else edges.closes_at
    return edge + timedelta(minutes=moment.minutes)


def _end_of(window: Window, day: date, zone: ZoneInfo, edges: Session | None) -> datetime:
    if window.stop is not None:
        last = day + _DAY if window.ends_next_day else day
        return _resolved(window.stop, last, zone, edges)
    if isinstance(window.start, SessionTime):
        return local_instant(day + _DAY, _MIDNIGHT, _INDIA)
    return local_instant(day + _DAY, _MIDNIGHT, zone)


def _judged(
    schedule: Schedule, calendar: Calendar, start: datetime, end: datetime
) -> tuple[Day, SkipReason | None]:
    """The exchange's day that decides over a span, and why the span does not come, if so.

    A span with a session in it comes. One that lies where sessions usually are, and has none on
    that day, does not. One outside of all usual hours (a report after the close) comes on
    trading days. Where the deciding day is unknown it comes, and is marked as unknown.
    """
    last = (end - timedelta(microseconds=1)).astimezone(IST).date()
    days = calendar.days(start.astimezone(IST).date(), last)
    for day in days:
        if _follows(schedule, day) and any(s.overlaps(start, end) for s in day.sessions):
            return day, None
    usual = [(day, calendar.usual(day.date)) for day in days]
    near = [day for day, hours in usual if hours is not None and hours.overlaps(start, end)]
    for day in near or days[:1]:
        if day.kind is DayKind.UNKNOWN:
            return day, None
    judge = (near or days)[0]
    if not near and judge.sessions and _follows(schedule, judge):
        return judge, None
    return judge, _reason(schedule, judge)


def _follows(schedule: Schedule, day: Day) -> bool:
    return day.kind is not DayKind.SPECIAL or schedule.special_days is SpecialDays.FOLLOW


def _reason(schedule: Schedule, day: Day) -> SkipReason:
    if day.kind is DayKind.SPECIAL:
        if schedule.special_days is SpecialDays.SKIP:
            return SkipReason.SPECIAL_DAY
        return SkipReason.OUTSIDE_SESSION if day.sessions else SkipReason.TIME_UNKNOWN
    return SkipReason.OUTSIDE_SESSION if day.sessions else SkipReason.CLOSED


def _sentence(day: Day, schedule: Schedule) -> str:
    said = day.sentence or f"{day.exchange} does not trade then on {day_text(day.date)}."
    if day.kind is DayKind.SPECIAL and schedule.special_days is SpecialDays.SKIP:
        return f"{said} The schedule leaves special days out."
    return said


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Its zone. Raises ``ZoneInfoNotFoundError`` for one that ``timetable_rules`` refuses."""
    return _zone(schedule.zone)


_INDIA: Final = ZoneInfo(DEFAULT_ZONE)
