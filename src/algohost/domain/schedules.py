"""What a schedule is: data that says when a strategy should run. ``timetable`` reads it."""

from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum
from typing import Final

DEFAULT_ZONE: Final = "Asia/Kolkata"


class Weekday(StrEnum):
    """Days of the week by the names that are stored, in the order of ``date.weekday``."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEKDAYS: Final = tuple(Weekday)
WORKDAYS: Final = frozenset(WEEKDAYS[:5])


class Edge(StrEnum):
    """The ends of an exchange's day."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, kw_only=True, order=True)
class SessionTime:
    """A moment by the exchange's day: minutes after (below zero: before) its open or close."""

    edge: Edge
    minutes: int = 0

    def __str__(self) -> str:
        return f"{self.edge}{self.minutes:+d}"


Moment = time | SessionTime


@dataclass(frozen=True, kw_only=True)
class Window:
    """A span that comes again on each of its weekdays."""

    start: Moment
    stop: Moment | None = None
    """``None``: nothing stops the strategy; it may still be started until midnight."""
    weekdays: frozenset[Weekday] = WORKDAYS
    """The days on which it starts, in the schedule's zone."""
    ends_next_day: bool = False

    @property
    def follows_session(self) -> bool:
        """Whether one of its ends moves with the exchange's session."""
        return isinstance(self.start, SessionTime) or isinstance(self.stop, SessionTime)

    def __str__(self) -> str:
        stop = "" if self.stop is None else f"–{moment_text(self.stop)}"
        return f"{moment_text(self.start)}{stop}{' (next day)' if self.ends_next_day else ''}"


class ScheduleKind(StrEnum):
    """The three sorts of schedule."""

    MANUAL = "manual"
    """Only people start and stop it."""
    ALWAYS = "always"
    """Wanted at every moment, whatever the exchange does."""
    WINDOWS = "windows"


class SpecialDays(StrEnum):
    """What to do on days with special sessions (Muhurat, trading on a weekend)."""

    SKIP = "skip"
    FOLLOW = "follow"


class Late(StrEnum):
    """What to do where a start could not be made at its time: the server was away."""

    CATCH_UP = "catch_up"
    """Start as soon as that is possible, while the window lasts."""
    WAIT = "wait"
    """Wait for the next window."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a strategy should run. ``timetable_rules.check`` says whether it makes sense."""

    kind: ScheduleKind = ScheduleKind.MANUAL
    windows: tuple[Window, ...] = ()
    first_day: date | None = None
    last_day: date | None = None
    skipped: frozenset[date] = frozenset()
    """Dates, in the schedule's zone, on which no window starts."""
    special_days: SpecialDays = SpecialDays.SKIP
    late: Late = Late.CATCH_UP
    zone: str = DEFAULT_ZONE

    def covers(self, day: date) -> bool:
        """Whether the date is in the schedule's range."""
        return (self.first_day is None or self.first_day <= day) and (
            self.last_day is None or day <= self.last_day
        )


def moment_text(moment: Moment) -> str:
    """``09:20``, ``5 min after open``, ``10 min before close``, ``open``."""
    if isinstance(moment, time):
        return f"{moment:%H:%M}" if moment.second == 0 else f"{moment:%H:%M:%S}"
    if moment.minutes == 0:
        return moment.edge.value
    side = "after" if moment.minutes > 0 else "before"
    return f"{abs(moment.minutes)} min {side} {moment.edge}"
