"""Which starts a strategy's schedule expects: the timetable's entries, each with its key."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

from algohost.domain.calendars import Calendar
from algohost.domain.ledger import key_of
from algohost.domain.schedules import Schedule, ScheduleKind
from algohost.domain.timetable import HORIZON, Entry, Occurrence, plan

_EVER: Final = datetime(1, 1, 2, tzinfo=UTC)
_STEPS: Final = (timedelta(days=10), timedelta(days=60), HORIZON)


class Expected(NamedTuple):
    """One entry of the timetable under its key; made once, and looked at very often."""

    key: str
    entry: Entry
    start_at: datetime
    """When it starts, or would have."""
    ends_at: datetime | None
    """When it ends, where it comes and has an end."""
    occurrence: Occurrence | None
    """The entry, unless it is one that does not come."""

    @classmethod
    def of(cls, schedule: Schedule, entry: Entry) -> Self:
        """The entry with its key in that schedule."""
        occurrence = entry if isinstance(entry, Occurrence) else None
        return cls(
            key=key_of(schedule, entry),
            entry=entry,
            start_at=entry.start_at,
            ends_at=None if occurrence is None else occurrence.ends_at,
            occurrence=occurrence,
        )

    def holds(self, at: datetime) -> bool:
        """Whether it comes, and that instant is inside."""
        return (
            self.start_at <= at
            and self.occurrence is not None
            and (self.ends_at is None or at < self.ends_at)
        )

    def is_over(self, at: datetime) -> bool:
        """Whether it came and has ended by then."""
        return self.ends_at is not None and self.ends_at <= at


def expected(
    schedule: Schedule, calendar: Calendar, set_at: datetime, start: datetime, end: datetime
) -> Sequence[Expected]:
    """What starts in ``[start, end)``, in order. ``ALWAYS`` begins when it is set, if later.

    A schedule expects nothing from before it was set; what held then is in the list, because
    its end counts.
    """
    if schedule.kind is ScheduleKind.ALWAYS:
        found = [_since(one, set_at) for one in plan(schedule, calendar, _EVER, end)]
    else:
        found = list(plan(schedule, calendar, start, end))
    return tuple(Expected.of(schedule, one) for one in found)


def upcoming(
    schedule: Schedule, calendar: Calendar, after: datetime, count: int
) -> Sequence[Occurrence]:
    """The next ``count`` starts after an instant, or as many as there are within ``HORIZON``.

    ``ALWAYS`` that holds already has none: it starts when it is set.
    """
    found: list[Occurrence] = []
    for step in _STEPS:
        entries = plan(schedule, calendar, after, after + step)
        found = [one for one in entries if isinstance(one, Occurrence) and one.start_at > after]
        if len(found) >= count:
            break
    return found[:count]


def _since(entry: Entry, set_at: datetime) -> Entry:
    return replace(entry, start_at=max(entry.start_at, set_at))
