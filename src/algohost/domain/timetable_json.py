"""A schedule as JSON values, for storage and for the routes; read back as the same."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from enum import StrEnum
from typing import Any, Final, TypeVar

from algohost.domain.errors import Invalid
from algohost.domain.schedules import (
    DEFAULT_ZONE,
    WEEKDAYS,
    WORKDAYS,
    Edge,
    Late,
    Moment,
    Schedule,
    ScheduleKind,
    SessionTime,
    SpecialDays,
    Weekday,
    Window,
    moment_text,
)

E = TypeVar("E", bound=StrEnum)

_SESSION_TIME: Final = re.compile(r"(open|close)([+-]\d{1,4})?")
_CLOCK_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_FIELDS: Final = frozenset(
    {"kind", "windows", "first_day", "last_day", "skipped", "special_days", "late", "zone"}
)
_WINDOW_FIELDS: Final = frozenset({"start", "stop", "weekdays", "ends_next_day"})


def to_json(schedule: Schedule) -> dict[str, Any]:
    """Every field, also those at their default."""
    return {
        "kind": schedule.kind.value,
        "windows": [_window_to_json(window) for window in schedule.windows],
        "first_day": None if schedule.first_day is None else schedule.first_day.isoformat(),
        "last_day": None if schedule.last_day is None else schedule.last_day.isoformat(),
        "skipped": sorted(day.isoformat() for day in schedule.skipped),
        "special_days": schedule.special_days.value,
        "late": schedule.late.value,
        "zone": schedule.zone,
    }


def from_json(value: object) -> Schedule:
    """What ``to_json`` made, or somebody wrote. Raises ``Invalid``: nothing is filled in for
    what cannot be read, and a field that nobody knows is refused. ``timetable_rules.check``
    says whether it makes sense."""
    fields = _object(value, "schedule", _FIELDS)
    return Schedule(
        kind=_word(fields.get("kind", "manual"), ScheduleKind, "kind"),
        windows=tuple(_window(one) for one in _list(fields.get("windows", []), "windows")),
        first_day=_day(fields.get("first_day"), "first_day"),
        last_day=_day(fields.get("last_day"), "last_day"),
        skipped=frozenset(
            day
            for one in _list(fields.get("skipped", []), "skipped")
            if (day := _day(one, "skipped")) is not None
        ),
        special_days=_word(fields.get("special_days", "skip"), SpecialDays, "special_days"),
        late=_word(fields.get("late", "catch_up"), Late, "late"),
        zone=_text(fields.get("zone", DEFAULT_ZONE), "zone"),
    )


def moment_to_json(moment: Moment) -> str:
    """``09:20``, ``09:20:30``, ``open+5``, ``close-10``."""
    return moment_text(moment) if isinstance(moment, time) else str(moment)


def moment_from_json(value: object, field: str) -> Moment:
    """The moment. Raises ``Invalid`` for any other form."""
    text = _text(value, field)
    if (clock := _CLOCK_TIME.fullmatch(text)) is not None:
        return time(int(clock[1]), int(clock[2]), int(clock[3] or 0))
    if (by_session := _SESSION_TIME.fullmatch(text)) is not None:
        return SessionTime(edge=Edge(by_session[1]), minutes=int(by_session[2] or 0))
    raise _bad(field, f"{text[:20]!r} is no time; write 09:20, open+5 or close-10.")


def _window_to_json(window: Window) -> dict[str, Any]:
    return {
        "start": moment_to_json(window.start),
        "stop": None if window.stop is None else moment_to_json(window.stop),
        "weekdays": [day.value for day in WEEKDAYS if day in window.weekdays],
        "ends_next_day": window.ends_next_day,
    }


def _window(value: object) -> Window:
    fields = _object(value, "window", _WINDOW_FIELDS)
    stop, next_day = fields.get("stop"), fields.get("ends_next_day", False)
    if not isinstance(next_day, bool):
        raise _bad("ends_next_day", "ends_next_day must be true or false.")
    weekdays = _list(fields.get("weekdays", sorted(WORKDAYS)), "weekdays")
    return Window(
        start=moment_from_json(fields.get("start"), "start"),
        stop=None if stop is None else moment_from_json(stop, "stop"),
        weekdays=frozenset(_word(one, Weekday, "weekdays") for one in weekdays),
        ends_next_day=next_day,
    )


def _object(value: object, what: str, known: frozenset[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _bad("", f"A {what} must be a JSON object.")
    strange = sorted(str(name) for name in value if name not in known)
    if strange:
        raise _bad(
            strange[0][:40],
            f"A {what} has no field {strange[0][:40]!r}; it has {', '.join(sorted(known))}.",
        )
    return value


def _list(value: object, field: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise _bad(field, f"{field} must be a list.")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _bad(field, f"{field} is missing, or is not text.")
    return value


def _word(value: object, kind: type[E], field: str) -> E:
    words = {word.value: word for word in kind}
    if not isinstance(value, str) or value not in words:
        raise _bad(field, f"{field} must be one of {', '.join(words)}, not {str(value)[:20]!r}.")
    return words[value]


def _day(value: object, field: str) -> date | None:
    if value is None:
        return None
    text = _text(value, field)
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else _no(field)
    except ValueError:
        raise _bad(field, f"{field}: {text[:20]!r} is no date written YYYY-MM-DD.") from None


def _no(field: str) -> date:
    raise ValueError(field)


def _bad(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, code="BAD_SCHEDULE", details={"field": field})
