"""What a schedule would do: its next starts, and what is wrong with one that cannot be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from algohost.domain.calendars import Calendar, Knowledge
from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange
from algohost.domain.schedules import WORKDAYS, Edge, Schedule, ScheduleKind, SessionTime, Window
from algohost.domain.timetable import (
    HORIZON,
    Entry,
    Occurrence,
    Skipped,
    plan,
    wanted_at,
)
from algohost.domain.timetable_json import from_json, moment_from_json, to_json
from algohost.domain.timetable_rules import check
from algohost.web.schedule_words import (
    at_text,
    day_short,
    in_text,
    sentence,
    span_text,
    window_text,
)
from algohost.web.shown import iso

STARTS: Final = 5
MOST_SKIPPED: Final = 10
_STEP: Final = timedelta(days=28)
_WITH_EVENING: Final = frozenset({Exchange.MCX, Exchange.NCO})


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a schedule cannot be kept, and where that is to be shown."""

    field: str
    """The field's name in the JSON form; empty for the whole."""
    window: int | None
    """The number of the window that it is about, from 0, where it is about one."""
    message: str

    def to_json(self) -> dict[str, Any]:
        """As the page reads it."""
        return {"field": self.field, "window": self.window, "message": self.message}


def judged(value: object, calendar: Calendar) -> Schedule | Problem:
    """The schedule that JSON says, if it can be read and makes sense there."""
    try:
        return check(from_json(value), calendar)
    except Invalid as error:
        return problem_of(error, value, calendar)


def problem_of(error: Invalid, value: object, calendar: Calendar) -> Problem:
    """The refusal with the window that it is about, found by trying each by itself."""
    field = str(error.details.get("field", ""))
    return Problem(field=field, window=_window_of(value, calendar), message=error.message)


def _window_of(value: object, calendar: Calendar) -> int | None:
    windows = value.get("windows") if isinstance(value, Mapping) else None
    if not isinstance(windows, list):
        return None
    for number, window in enumerate(windows):
        try:
            check(from_json({"kind": "windows", "windows": [window]}), calendar)
        except Invalid:
            return number
    return None


def coming(
    schedule: Schedule, calendar: Calendar, now: datetime, *, starts: int = STARTS
) -> Sequence[Entry]:
    """The next starts, with what is skipped between them, in order; at most ``MOST_SKIPPED``
    of those, the first ones."""
    if schedule.kind is not ScheduleKind.WINDOWS:
        return ()
    found: list[Entry] = []
    begins, skipped, started = now, 0, 0
    while begins < now + HORIZON:
        ends = begins + _STEP
        for one in plan(schedule, calendar, begins, ends):
            if isinstance(one, Skipped):
                skipped += 1
                if skipped <= MOST_SKIPPED:
                    found.append(one)
                continue
            found.append(one)
            started += 1
            if started == starts:
                return found
        begins = ends
    return found


def entry_json(schedule: Schedule, one: Entry, now: datetime) -> dict[str, Any]:
    """A start, or one that is skipped, as pages and commands read it."""
    shared = {
        "key": one.key,
        "date": one.date.isoformat(),
        "window": one.window,
        "start_at": iso(one.start_at),
        "day": day_short(one.date),
    }
    if isinstance(one, Skipped):
        return {
            **shared,
            "skipped": True,
            "span": window_text(schedule.windows[one.window]),
            "ends_at": None,
            "reason": one.reason.value,
            "sentence": one.sentence,
            "knowledge": Knowledge.PUBLISHED.value,
            "in": "",
        }
    return {
        **shared,
        "skipped": False,
        "span": span_text(one.start_at, one.ends_at if one.stops else None),
        "ends_at": iso(one.ends_at) if one.stops else None,
        "reason": "",
        "sentence": one.note,
        "knowledge": one.knowledge.value,
        "in": in_text((one.start_at - now).total_seconds()),
    }


def preview_json(
    schedule: Schedule, calendar: Calendar, exchange: str, now: datetime
) -> dict[str, Any]:
    """All that is shown of a schedule that can be kept."""
    found = coming(schedule, calendar, now)
    held = wanted_at(schedule, calendar, now)
    return {
        "problem": None,
        "sentence": sentence(schedule, exchange),
        "entries": [entry_json(schedule, one, now) for one in found],
        "holds": None if held is None else _held(held),
        "never": schedule.kind is ScheduleKind.WINDOWS
        and held is None
        and not any(isinstance(one, Occurrence) for one in found),
    }


def _held(one: Occurrence) -> dict[str, Any]:
    """The occurrence that wants the strategy running now."""
    until = one.ends_at if one.stops else None
    return {"key": one.key, "ends_at": iso(until), "until": "" if until is None else at_text(until)}


def presets(exchange: Exchange, calendar: Calendar) -> Sequence[Mapping[str, Any]]:
    """What the editor offers to begin with: schedules in JSON, each with its exchange."""
    made: list[Mapping[str, Any]] = []
    if not calendar.never_closes:
        made.append(_preset("session", f"{exchange} session", exchange, "open"))
    evening = exchange if exchange in _WITH_EVENING else Exchange.MCX
    made.append(_preset("evening", f"{evening} evening", evening, "17:00"))
    for name, label in (("always", "24×7"), ("manual", "Manual")):
        made.append({"name": name, "label": label, "schedule": {"kind": name}, "exchange": None})
    return made


def _preset(name: str, label: str, exchange: Exchange, start: str) -> Mapping[str, Any]:
    window = Window(
        start=moment_from_json(start, "start"), stop=SessionTime(edge=Edge.CLOSE), weekdays=WORKDAYS
    )
    schedule = to_json(Schedule(kind=ScheduleKind.WINDOWS, windows=(window,)))
    kept = {"kind": schedule["kind"], "windows": schedule["windows"]}
    return {"name": name, "label": label, "schedule": kept, "exchange": exchange.value}
