"""The page "Tomorrow": what will start on a day, what will not and why, and what became of it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.calendar_rows import FIRST_YEAR, LAST_YEAR
from algohost.domain.calendars import EXCHANGES, Day, DayKind, Knowledge, day_text
from algohost.domain.errors import Invalid
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.domain.schedules import ScheduleKind
from algohost.domain.timetable import Occurrence
from algohost.domain.users import User
from algohost.web.access import Access, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.calendar import KIND_WORDS, hours_text
from algohost.web.pages import inner_page
from algohost.web.schedule_words import short, span_text, window_text
from algohost.web.schedules import STATE_WORDS
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.host.timetables import Planned
    from algohost.host.views import StrategyView
    from algohost.web.services import Host

_DAY: Final = timedelta(days=1)
_USUAL: Final = (Exchange.NSE, Exchange.MCX)


def day_of(text: str) -> date | None:
    """``2026-11-23`` as a date, nothing for nothing. Raises ``Invalid`` for anything else."""
    if not text:
        return None
    try:
        found = date.fromisoformat(text) if len(text) == len("2026-11-23") else None
    except ValueError:
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Invalid(
            f"There is no day {text[:20]!r}; write YYYY-MM-DD, from {FIRST_YEAR} to {LAST_YEAR}.",
            code="BAD_DAY",
        )
    return found


def default_day(host: "Host", user: User) -> date:
    """The next day on which something starts: today until its last start; else tomorrow."""
    starts = [view.next_start for view in host.strategies.list(user) if view.next_start is not None]
    return min(starts).astimezone(IST).date() if starts else host.calendars.today() + _DAY


def day_title(day: date, today: date) -> str:
    """``Today``, ``Tomorrow``, ``Yesterday``, else the day of the week and the date."""
    near = {today: "Today", today + _DAY: "Tomorrow", today - _DAY: "Yesterday"}
    return near.get(day, day_text(day))


async def agenda_json(host: "Host", user: User, day: date) -> dict[str, Any]:
    """A day of India as pages and the command line read it."""
    now, today = host.clock.now(), host.calendars.today()
    planned = await host.timetables.preview(user, day)
    always = [view for view in host.strategies.list(user) if _is_always(view, day)]
    rows = [_row(one, host, now) for one in planned]
    return {
        "date": day.isoformat(),
        "title": day_title(day, today),
        "day": day_text(day),
        "is_past": day < today,
        "starts": [one for one in rows if not one["skipped"]],
        "skipped": [one for one in rows if one["skipped"]],
        "always": [_strategy(view, host) for view in always],
        "exchanges": _exchanges(host, day, [view.strategy.exchange for view in _views(planned)]),
    }


def _views(planned: Sequence["Planned"]) -> Sequence["StrategyView"]:
    return [one.view for one in planned]


def _is_always(view: "StrategyView", day: date) -> bool:
    schedule = view.strategy.schedule
    return schedule.kind is ScheduleKind.ALWAYS and schedule.covers(day)


def _strategy(view: "StrategyView", host: "Host") -> dict[str, Any]:
    strategy = view.strategy
    return {
        "strategy_id": strategy.id,
        "name": strategy.name,
        "owner": host.identity.user(strategy.owner_id).name,
        "exchange": strategy.exchange,
        "schedule": short(strategy.schedule),
        "phase": view.phase.value,
    }


def _row(one: "Planned", host: "Host", now: datetime) -> dict[str, Any]:
    known, entry = one.row, one.entry
    ends_at = entry.ends_at if isinstance(entry, Occurrence) and entry.stops else None
    state, word = _state(one, now)
    return {
        **_strategy(one.view, host),
        "start_at": iso(one.start_at),
        "ends_at": iso(ends_at),
        "span": _span(one, ends_at),
        "skipped": one.is_skipped,
        "state": state,
        "word": word,
        "sentence": one.sentence if known is None else known.sentence,
        "knowledge": entry.knowledge.value if isinstance(entry, Occurrence) else "",
        "run_id": None if known is None else known.run_id,
        "late_ms": None if known is None else known.lateness_ms,
        "gates": [] if known is not None else [_gate(gate) for gate in one.gates],
    }


def _span(one: "Planned", ends_at: datetime | None) -> str:
    if isinstance(one.entry, Occurrence):
        return span_text(one.start_at, ends_at)
    return window_text(one.view.strategy.schedule.windows[one.entry.window])


def _gate(gate: Any) -> dict[str, Any]:
    return {"code": gate.code, "sentence": gate.sentence, "until": iso(gate.until)}


def _state(one: "Planned", now: datetime) -> tuple[str, str]:
    if one.row is not None:
        return one.row.state.value, STATE_WORDS[one.row.state.value]
    if one.is_skipped:
        return "skipped", STATE_WORDS["skipped"]
    if one.start_at > now:
        return "planned", "Will start"
    return "unrecorded", "Not recorded"


def _exchanges(host: "Host", day: date, used: Sequence[str]) -> list[dict[str, Any]]:
    """What the exchanges do on that day: those that matter to somebody, else the usual two."""
    wanted = [one for one in EXCHANGES if one in used] or [*_USUAL]
    made = []
    for exchange in wanted:
        calendar = host.calendars.of(exchange)
        found = calendar.day(day)
        made.append(
            {
                "exchange": exchange.value,
                "kind": found.kind.value,
                "hours": "" if calendar.never_closes else hours_text(found).replace("-", "–"),
                "sentence": "around the clock" if calendar.never_closes else _said(found),
                "knowledge": found.knowledge.value,
            }
        )
    return made


def _said(day: Day) -> str:
    """``Holiday: Guru Nanak Jayanti``; nothing of a normal day."""
    if day.kind is DayKind.NORMAL:
        return ""
    name = f": {day.name}" if day.name else ""
    tentative = " (tentative)" if day.knowledge is Knowledge.TENTATIVE else ""
    return f"{KIND_WORDS[day.kind]}{name}{tentative}"


async def schedule_page(request: Request) -> Response:
    """``GET /schedule?date=2026-11-23``: what starts on that day; without one, on the next."""
    host, user = host_of(request), user_of(request)
    asked = day_of(request.query_params.get("date", ""))
    day = asked or default_day(host, user)
    views = host.strategies.list(user)
    return inner_page(
        request,
        "schedule.html",
        nav="schedule",
        agenda=await agenda_json(host, user, day),
        day=day.isoformat(),
        today=host.calendars.today().isoformat(),
        before=(day - _DAY).isoformat() if day > date(FIRST_YEAR, 1, 1) else "",
        after=(day + _DAY).isoformat() if day < date(LAST_YEAR, 12, 31) else "",
        first=f"{FIRST_YEAR}-01-01",
        last=f"{LAST_YEAR}-12-31",
        is_default=asked is None,
        shows_owners=user.is_admin,
        strategy_count=len(views),
        armed_count=sum(view.strategy.is_armed for view in views),
    )


async def schedule_day(request: Request) -> Response:
    """``GET /schedule/day?date=2026-11-23``: the same as data."""
    host, user = host_of(request), user_of(request)
    day = day_of(request.query_params.get("date", "")) or default_day(host, user)
    return done("", **await agenda_json(host, user, day))


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/schedule", endpoint=schedule_page, access=Access.USER),
    Route(method="GET", path="/schedule/day", endpoint=schedule_day, access=Access.USER),
]
