"""Which schedules make sense: each refusal is one sentence, with the field that it is about."""

from collections.abc import Sequence
from datetime import time, timedelta
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from algohost.domain.calendar_rows import FIRST_YEAR, LAST_YEAR
from algohost.domain.calendars import Calendar, Hours
from algohost.domain.errors import Invalid
from algohost.domain.schedules import (
    DEFAULT_ZONE,
    WEEKDAYS,
    Edge,
    Moment,
    Schedule,
    ScheduleKind,
    SessionTime,
    Window,
)

MOST_WINDOWS: Final = 20
MOST_SKIPPED: Final = 400
MOST_INSIDE: Final = 900
"""Minutes that a session time may lie on the session's side of its edge."""
MOST_OUTSIDE: Final = 240
"""Minutes that it may lie before the open or after the close."""

_NO_PLACES: Final = {"localtime", "Factory"}
"""Names of the list of zones that mean the machine's own zone, and none."""
_MOST_DAYS_TRIED: Final = 1_440
_SECONDS_A_DAY: Final = 86_400
_SECONDS_A_WEEK: Final = 7 * _SECONDS_A_DAY


def check(schedule: Schedule, calendar: Calendar) -> Schedule:
    """The schedule, if it makes sense on that exchange. Raises ``Invalid`` with a sentence."""
    if schedule.zone not in _zones():
        raise _bad("zone", f"There is no time zone {schedule.zone[:40]!r}; use Asia/Kolkata.")
    _check_dates(schedule)
    if schedule.kind is not ScheduleKind.WINDOWS:
        if schedule.windows or schedule.skipped:
            raise _bad(
                "kind",
                f"A schedule of the kind {schedule.kind} has no windows and no skipped dates;"
                " remove them, or choose windows.",
            )
        return schedule
    if not 1 <= len(schedule.windows) <= MOST_WINDOWS:
        raise _bad(
            "windows",
            f"The schedule has {len(schedule.windows)} windows; give it 1 to {MOST_WINDOWS}.",
        )
    for window in schedule.windows:
        _check_window(window, calendar)
    _check_that_it_ever_starts(schedule)
    _check_overlaps(schedule, calendar)
    return schedule


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_PLACES


def _check_dates(schedule: Schedule) -> None:
    first, last = schedule.first_day, schedule.last_day
    for field, day in (("first_day", first), ("last_day", last)):
        if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
            said = f"The day {day} is out of reach; give one from {FIRST_YEAR} to {LAST_YEAR}."
            raise _bad(field, said)
    if first is not None and last is not None and last < first:
        raise _bad("last_day", f"The last day {last} is before the first day {first}; swap them.")
    if len(schedule.skipped) > MOST_SKIPPED:
        raise _bad("skipped", f"More than {MOST_SKIPPED} dates are skipped; leave old ones out.")
    outside = sorted(day for day in schedule.skipped if not schedule.covers(day))
    if outside:
        raise _bad(
            "skipped", f"The skipped date {outside[0]} is not between the first and the last day."
        )


def _check_window(window: Window, calendar: Calendar) -> None:
    if not window.weekdays:
        raise _bad("weekdays", f"The window {window} has no weekday; choose at least one.")
    for moment in (window.start, window.stop):
        if isinstance(moment, SessionTime):
            _check_session_time(moment, window, calendar)
    if window.stop is None:
        if window.ends_next_day:
            raise _bad("stop", f"The window {window} ends the next day without a stop time.")
        return
    _check_order(window, window.start, window.stop, calendar)


def _check_session_time(moment: SessionTime, window: Window, calendar: Calendar) -> None:
    if calendar.never_closes:
        raise _bad(
            "windows",
            f"{calendar.exchange} never opens or closes; give the window {window} clock times.",
        )
    inside = moment.minutes if moment.edge is Edge.OPEN else -moment.minutes
    if not -MOST_OUTSIDE <= inside <= MOST_INSIDE:
        raise _bad(
            "windows",
            f"The window {window} is too far from the session: at most {MOST_OUTSIDE} minutes"
            f" outside of it and {MOST_INSIDE} inside.",
        )
    if window.ends_next_day:
        raise _bad(
            "windows", f"The window {window} ends the next day; give it two clock times for that."
        )


def _check_order(window: Window, start: Moment, stop: Moment, calendar: Calendar) -> None:
    if isinstance(start, time) and isinstance(stop, time):
        if window.ends_next_day:
            if stop > start:
                raise _bad(
                    "stop", f"The window {window} is longer than a day; use the kind always."
                )
        elif stop <= start:
            raise _bad(
                "stop",
                f"Window {window} ends before it starts; give a stop time after"
                f" {start:%H:%M}, or let it end the next day.",
            )
        return
    hours = calendar.latest_hours
    if hours is not None and _second(stop, hours) <= _second(start, hours):
        raise _bad(
            "stop",
            f"Window {window} ends before it starts on a usual day of {calendar.exchange}"
            f" ({hours.open:%H:%M}–{hours.close:%H:%M}); give a later stop.",
        )


def _check_that_it_ever_starts(schedule: Schedule) -> None:
    first, last = schedule.first_day, schedule.last_day
    if first is None or last is None or (last - first).days >= _MOST_DAYS_TRIED:
        return
    wanted = {day for window in schedule.windows for day in window.weekdays}
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    if not any(WEEKDAYS[day.weekday()] in wanted and day not in schedule.skipped for day in days):
        raise _bad(
            "last_day",
            f"No chosen weekday that is not skipped lies between {first} and {last}.",
        )


def _check_overlaps(schedule: Schedule, calendar: Calendar) -> None:
    """Clock times against each other; with session times too where one zone holds for both."""
    hours = calendar.latest_hours
    windows = list(schedule.windows)
    if hours is None or schedule.zone != DEFAULT_ZONE:
        windows = [one for one in windows if not one.follows_session]
        hours = hours or Hours(open=time(0), close=time(0))
    spans: list[tuple[int, int, Window]] = []
    for window in windows:
        start = _second(window.start, hours)
        spans += [
            (start + _SECONDS_A_DAY * WEEKDAYS.index(day), _length(window, hours), window)
            for day in window.weekdays
        ]
    _refuse_overlap(spans)


def _refuse_overlap(spans: Sequence[tuple[int, int, Window]]) -> None:
    for number, (start, length, window) in enumerate(spans):
        for other_start, other_length, other in spans[number + 1 :]:
            after = (other_start - start) % _SECONDS_A_WEEK
            before = (start - other_start) % _SECONDS_A_WEEK
            if after < length or before < other_length:
                first, second = (window, other) if after < length else (other, window)
                why = " It has no stop time, so it lasts until midnight." * (first.stop is None)
                raise _bad(
                    "windows",
                    f"The windows {first} and {second} overlap; let one end before the other"
                    f" starts.{why}",
                )


def _length(window: Window, hours: Hours) -> int:
    start = _second(window.start, hours)
    if window.stop is None:
        return _SECONDS_A_DAY - start
    return _second(window.stop, hours) + _SECONDS_A_DAY * window.ends_next_day - start


def _second(moment: Moment, hours: Hours) -> int:
    if isinstance(moment, time):
        return (moment.hour * 60 + moment.minute) * 60 + moment.second
    edge = hours.open if moment.edge is Edge.OPEN else hours.close
    return (edge.hour * 60 + edge.minute + moment.minutes) * 60


def _bad(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, code="BAD_SCHEDULE", details={"field": field})
