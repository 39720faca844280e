"""A schedule in words, as pages and the command line say it; ``forms.ts`` writes none of it."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from algohost.domain.calendars import day_text
from algohost.domain.ids import IST
from algohost.domain.schedules import (
    DEFAULT_ZONE,
    WEEKDAYS,
    Schedule,
    ScheduleKind,
    Weekday,
    Window,
    moment_text,
)
from algohost.domain.strategies import Phase
from algohost.host.views import StrategyView

_RUN_OF_DAYS: Final = 3
"""So many days in a row are written as a span."""
_UNMET: Final = {"missed": "Missed", "blocked": "Blocked"}


def sentence(schedule: Schedule, exchange: str) -> str:
    """``Runs Mon–Fri 09:20–15:25 IST on NSE.``: all of it, whatever day it is."""
    match schedule.kind:
        case ScheduleKind.MANUAL:
            return "No schedule: it starts and stops when somebody says so."
        case ScheduleKind.ALWAYS:
            return f"Runs around the clock, every day{_range(schedule)}."
    windows = "; ".join(_windows_by_days(schedule.windows))
    return f"Runs {windows}{_zone(schedule)} on {exchange}{_range(schedule)}{_except(schedule)}."


def short(schedule: Schedule) -> str:
    """``Mon–Fri 09:20–15:25``, ``24×7``, empty without a schedule."""
    match schedule.kind:
        case ScheduleKind.MANUAL:
            return ""
        case ScheduleKind.ALWAYS:
            return "24×7"
    return "; ".join(_windows_by_days(schedule.windows))


def unmet(view: StrategyView) -> str:
    """What went wrong with the last start that its schedule expected; empty where nothing did."""
    last, set_at = view.occurrence, view.strategy.schedule_set_at
    word = None if last is None else _UNMET.get(last.state.value)
    if last is None or word is None or not view.strategy.is_armed:
        return ""
    if set_at is not None and last.start_at < set_at:
        return ""  # of another schedule
    return f"{word} on {at_text(last.start_at)} IST: {last.sentence}"


def standing(view: StrategyView) -> str:
    """The sentence that a person reads first. At rest that is the newest thing that happened: a
    start that did not come is not hidden by how an older run ended."""
    run, last, said = view.latest, view.occurrence, unmet(view)
    is_newer = run is None or (last is not None and run.created_at < last.start_at)
    if said and is_newer and view.phase is Phase.STOPPED:
        return said
    return view.sentence or said


def days_text(days: frozenset[Weekday]) -> str:
    """``Mon–Fri``, ``Mon, Wed, Fri``, ``every day``."""
    if len(days) == len(WEEKDAYS):
        return "every day"
    runs: list[list[Weekday]] = []
    for before, day in zip((None, *WEEKDAYS), WEEKDAYS, strict=False):
        if day not in days:
            continue
        if runs and runs[-1][-1] == before:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(part for run in runs for part in _run_text(run))


def window_text(window: Window) -> str:
    """``09:20–15:25``, ``5 min after open to 10 min before close``, ``from 09:20``."""
    if window.stop is None:
        return f"from {moment_text(window.start)}"
    plain = isinstance(window.start, time) and isinstance(window.stop, time)
    dash = "–" if plain else " to "
    next_day = " the next day" if window.ends_next_day else ""
    return f"{moment_text(window.start)}{dash}{moment_text(window.stop)}{next_day}"


def day_short(day: date) -> str:
    """``Mon 23 Nov``."""
    return day_text(day).rpartition(" ")[0]


def at_text(at: datetime) -> str:
    """``Mon 23 Nov 09:20`` in India."""
    local = at.astimezone(IST)
    return f"{day_short(local.date())} {_clock(local)}"


def span_text(start_at: datetime, ends_at: datetime | None) -> str:
    """``09:20–15:25`` in India, with the day of the end where it is another; ``from 09:20``."""
    start = start_at.astimezone(IST)
    if ends_at is None:
        return f"from {_clock(start)}"
    end = ends_at.astimezone(IST)
    if end - start <= timedelta(days=1) and end.time() == time(0):
        return f"{_clock(start)}–24:00"
    day = "" if end.date() == start.date() else f"{day_short(end.date())} "
    return f"{_clock(start)}–{day}{_clock(end)}"


def _clock(local: datetime) -> str:
    return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"


def in_text(seconds: float) -> str:
    """``in 1 d 13 h``, ``in 5 min``, ``now``: as ``duration`` in ``format.ts``, never seconds."""
    total = max(0, int(seconds))
    days, hours, minutes = total // 86_400, total // 3_600 % 24, total // 60 % 60
    if days:
        return f"in {days} d {hours} h"
    if hours:
        return f"in {hours} h {minutes} min"
    return f"in {minutes} min" if minutes else f"in {total} s" if total > 0 else "now"


def _run_text(run: Sequence[Weekday]) -> list[str]:
    names = [day.value.capitalize() for day in run]
    return [f"{names[0]}–{names[-1]}"] if len(names) >= _RUN_OF_DAYS else names


def _windows_by_days(windows: Sequence[Window]) -> list[str]:
    """Windows of the same weekdays stand together: ``Mon–Fri 09:20–11:00 and 14:00–15:25``."""
    by_days: dict[frozenset[Weekday], list[str]] = {}
    for window in windows:
        by_days.setdefault(window.weekdays, []).append(window_text(window))
    return [f"{days_text(days)} {_and(texts)}" for days, texts in by_days.items()]


def _and(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _zone(schedule: Schedule) -> str:
    has_clock_times = any(
        isinstance(moment, time) for one in schedule.windows for moment in (one.start, one.stop)
    )
    if not has_clock_times:
        return ""
    return " IST" if schedule.zone == DEFAULT_ZONE else f" ({schedule.zone} time)"


def _range(schedule: Schedule) -> str:
    first, last = schedule.first_day, schedule.last_day
    since = "" if first is None else f", from {day_text(first)}"
    return since + ("" if last is None else f", until {day_text(last)}")


def _except(schedule: Schedule) -> str:
    days = sorted(schedule.skipped)
    if not days:
        return ""
    if len(days) > _RUN_OF_DAYS:
        return f", except on {len(days)} dates"
    return f", except on {_and([day_short(day) for day in days])}"
