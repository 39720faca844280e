"""The JSON routes of a strategy's schedule: what the Schedule tab and scripts do with it.

A schedule is sent in one of two forms: all of it, as ``timetable_json`` writes it, or what
OpenAlgo's clients send, ``{start_time, stop_time?, days[], exchange?}``: one window.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.calendars import EXCHANGES
from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange
from algohost.domain.schedules import WEEKDAYS, ScheduleKind
from algohost.domain.strategies import Phase, Strategy
from algohost.domain.timetable import Occurrence, wanted_at
from algohost.domain.timetable_json import from_json, to_json
from algohost.domain.users import User
from algohost.host.views import StrategyView
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import WrongContentType, json_object
from algohost.web.rows import row
from algohost.web.schedule_preview import Problem, judged, presets, preview_json, problem_of
from algohost.web.schedule_words import at_text, in_text, sentence, unmet
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.domain.ledger import LedgerRow
    from algohost.host.timetables import Timetables
    from algohost.web.services import Host

PAGE: Final = 25
CLEARED: Final = "The schedule was cleared."
MOST_HISTORY: Final = 500
POLICIES: Final = (
    ("catch_up", "Start as soon as it can"),
    ("wait", "Wait for the next start"),
)
STATE_WORDS: Final = {
    "due": "Due",
    "started": "Started",
    "blocked": "Blocked",
    "missed": "Missed",
    "skipped": "Left out",
}
_CLIENT_FIELDS: Final = frozenset({"start_time", "stop_time", "days", "exchange"})
_SHORT_TIME: Final = re.compile(r"\d:[0-5]\d(:[0-5]\d)?")
_AT_REST: Final = frozenset({Phase.STOPPED, Phase.ERROR})
_NEVER: Final = "It has no start within a year: look at its days and dates."


# ---- reading what was sent


def taken(body: Mapping[str, Any]) -> tuple[dict[str, Any], Exchange | None]:
    """A schedule in our JSON, unchecked, and the exchange if one was sent. Raises ``Invalid``."""
    fields = dict(body)
    named = fields.pop("exchange", None)
    if named is not None and not isinstance(named, str):
        message = "exchange must be text, such as NSE."
        raise Invalid(message, code="BAD_SCHEDULE", details={"field": "exchange"})
    exchange = _exchange(named) if named else None
    if "start_time" in fields or "days" in fields:
        return _of_client(fields), exchange
    if "kind" not in fields:  # an empty object is no wish to have the schedule taken away
        message = "The schedule says nothing of when; send its kind, or a start_time and days."
        raise Invalid(message, code="BAD_SCHEDULE", details={"field": "kind"})
    return fields, exchange


def _exchange(text: str) -> Exchange:
    for one in EXCHANGES:
        if one.value == text.upper():
            return one
    message = f"There is no calendar of {text[:20]!r}; use {', '.join(EXCHANGES)}."
    raise Invalid(message, code="BAD_SCHEDULE", details={"field": "exchange"})


def _of_client(fields: Mapping[str, Any]) -> dict[str, Any]:
    """One window, as OpenAlgo's clients name its parts."""
    strange = sorted(name for name in fields if name not in _CLIENT_FIELDS)
    if strange:
        raise Invalid(
            f"A schedule with a start_time has no field {strange[0][:40]!r}; send start_time,"
            " stop_time, days and exchange, or all of a schedule.",
            code="BAD_SCHEDULE",
            details={"field": strange[0][:40]},
        )
    window: dict[str, Any] = {"start": _padded(fields.get("start_time"))}
    if fields.get("stop_time") not in (None, ""):
        window["stop"] = _padded(fields["stop_time"])
    if "days" in fields:
        window["weekdays"] = _weekdays(fields["days"])
    return {"kind": ScheduleKind.WINDOWS.value, "windows": [window]}


def _padded(value: object) -> object:
    """``9:20`` as ``09:20``; anything else as it is, to be judged."""
    return f"0{value}" if isinstance(value, str) and _SHORT_TIME.fullmatch(value) else value


def _weekdays(value: object) -> object:
    """``Monday`` and ``MON`` as ``mon``; anything else as it is, to be judged."""
    if not isinstance(value, list):
        return value
    return [_weekday(one) for one in value]


def _weekday(value: object) -> object:
    text = value.casefold() if isinstance(value, str) else ""
    names = [day.value for day in WEEKDAYS if text.startswith(day.value)]
    return names[0] if names and text in _DAY_NAMES else value


_DAY_NAMES: Final = frozenset(
    {day.value for day in WEEKDAYS}
    | {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
)


# ---- what is answered


def state(host: "Host", user: User, strategy_id: str, *, limit: int = PAGE) -> dict[str, Any]:
    """The schedule of a strategy and all that the page says of it; reads the database."""
    view = host.strategies.get(user, strategy_id)
    schedule, now = view.strategy.schedule, host.clock.now()
    exchange = Exchange(view.strategy.exchange)
    calendar = host.calendars.of(exchange)
    next_at = next_start(host, user, strategy_id)
    next_text = _next_text(view.strategy, wanted_at(schedule, calendar, now), next_at)
    return {
        "schedule": to_json(schedule),
        "exchange": exchange.value,
        "exchanges": [one.value for one in EXCHANGES],
        "is_set": view.strategy.is_armed,
        "set_by": view.strategy.schedule_set_by,
        "set_at": iso(view.strategy.schedule_set_at),
        "sentence": sentence(schedule, exchange),
        "next_at": iso(next_at),
        "next_text": next_text,
        "next_sentence": next_text
        if next_at is None
        else f"{next_text}, {in_text((next_at - now).total_seconds())}.",
        "warning": unmet(view),
        "locked": locked(view),
        "presets": presets(exchange, calendar),
        "policies": POLICIES,
        "preview": preview_json(schedule, calendar, exchange, now),
        "history": history_json(host.timetables, user, strategy_id, limit),
    }


def locked(view: StrategyView) -> str:
    """Why the schedule cannot be changed now; empty where it can."""
    if view.phase in _AT_REST:
        return ""
    word = view.phase.value.replace("_", " ")
    return f"It is {word}. Stop it to change its schedule; what runs keeps the one it has."


def next_start(host: "Host", user: User, strategy_id: str) -> datetime | None:
    """When the schedule starts it next; at once after a change, before the scheduler has looked."""
    found = host.timetables.next_starts(user, strategy_id, count=1)
    return found[0].start_at if found else None


def _next_text(strategy: Strategy, held: Occurrence | None, next_at: datetime | None) -> str:
    """``Next start Mon 23 Nov 09:20 IST``, and the window that it is in."""
    if not strategy.is_armed:
        return ""
    following = "" if next_at is None else f"next start {at_text(next_at)}"
    said = "; ".join(part for part in (_window_text(strategy, held), following) if part)
    if not said and strategy.schedule.kind is ScheduleKind.WINDOWS:
        return _NEVER
    return f"{said[:1].upper()}{said[1:]} IST" if said else ""


def _window_text(strategy: Strategy, held: Occurrence | None) -> str:
    if held is None or not held.stops or held.ends_at is None:
        return ""
    set_at = strategy.schedule_set_at
    if set_at is not None and held.start_at < set_at:
        return f"the window until {at_text(held.ends_at)} began before it was set, and is left out"
    return f"in its window until {at_text(held.ends_at)}"


def history_json(
    timetables: "Timetables", user: User, strategy_id: str, limit: int
) -> dict[str, Any]:
    """The newest rows of the ledger, and how many to ask for to see older ones."""
    limit = max(1, min(limit, MOST_HISTORY))
    found = timetables.occurrences(user, strategy_id, limit=limit + 1)
    has_more = len(found) > limit and limit < MOST_HISTORY
    return {
        "occurrences": [occurrence_json(one) for one in found[:limit]],
        "older": min(limit + 2 * PAGE, MOST_HISTORY) if has_more else None,
    }


def told_json(timetables: "Timetables", user: User, strategy_id: str, limit: int) -> dict[str, Any]:
    """As ``history_json``, with what was told of late, missed and blocked starts."""
    found = history_json(timetables, user, strategy_id, limit)
    events = timetables.events(user, strategy_id, limit=max(1, min(limit, MOST_HISTORY)))
    told = [{"at": iso(one.at), "kind": one.kind, "sentence": one.sentence} for one in events]
    return {**found, "events": told}


def occurrence_json(one: "LedgerRow") -> dict[str, Any]:
    """What became of an expected start."""
    return {
        "key": one.key,
        "at": iso(one.start_at),
        "at_text": at_text(one.start_at),
        "ends_at": iso(one.ends_at),
        "state": one.state.value,
        "word": STATE_WORDS[one.state.value],
        "sentence": one.sentence,
        "gate": one.gate_code,
        "run_id": one.run_id,
        "late_ms": one.lateness_ms,
        "by": one.by,
        "decided_at": iso(one.decided_at),
    }


# ---- keeping


async def keep(host: "Host", user: User, strategy_id: str, body: Mapping[str, Any]) -> StrategyView:
    """Keeps the schedule that was sent. Raises ``Invalid`` with the field, and with the number of
    the window that it is about; ``Conflict`` while the strategy runs or waits."""
    view = host.strategies.get(user, strategy_id)
    value, exchange = taken(body)
    calendar = host.calendars.of(exchange or Exchange(view.strategy.exchange))
    try:
        schedule = from_json(value)
        view = await host.timetables.set_schedule(user, strategy_id, schedule, exchange=exchange)
    except Invalid as error:
        found = problem_of(error, value, calendar)
        if found.window is not None:
            error.details["window"] = found.window
        raise
    return replace(view, next_start=next_start(host, user, strategy_id))


def kept_sentence(view: StrategyView) -> str:
    """The sentence that answers a change."""
    said = sentence(view.strategy.schedule, view.strategy.exchange)
    if view.next_start is None:
        return said
    return f"{said} Next start {at_text(view.next_start)} IST."


def _asked(request: Request) -> tuple["Host", User, str]:
    return host_of(request), user_of(request), request.path_params["strategy_id"]


async def _json(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WrongContentType("Send the body as JSON, with the content type application/json.")
    return await json_object(request)


async def show(request: Request) -> Response:
    """``GET /python/schedule/<id>``: the schedule, its next starts and what became of earlier."""
    return done("", **await run_in_threadpool(state, *_asked(request)))


async def put(request: Request) -> Response:
    """``POST /python/schedule/<id>`` with a schedule in either form."""
    body = await _json(request)
    host, user, strategy_id = _asked(request)
    view = await keep(host, user, strategy_id, body)
    told = await run_in_threadpool(state, host, user, strategy_id)
    return done(kept_sentence(view), strategy=row(view, host), **told)


async def clear(request: Request) -> Response:
    """``POST /python/unschedule/<id>``: nothing starts or stops it by the clock any more."""
    host, user, strategy_id = _asked(request)
    view = replace(await host.timetables.clear_schedule(user, strategy_id), next_start=None)
    told = await run_in_threadpool(state, host, user, strategy_id)
    return done(CLEARED, strategy=row(view, host), **told)


async def preview(request: Request) -> Response:
    """``POST /python/schedule/<id>/preview``: what an unsaved schedule would do.

    A schedule that cannot be kept is no failure of the question: ``problem`` says what is wrong.
    """
    body = await _json(request)
    host, user, strategy_id = _asked(request)
    view = host.strategies.get(user, strategy_id)
    try:
        value, named = taken(body)
    except Invalid as error:
        field = str(error.details.get("field", ""))
        return _refused(Problem(field=field, window=None, message=error.message))
    exchange = named or Exchange(view.strategy.exchange)
    calendar = host.calendars.of(exchange)
    found = judged(value, calendar)
    if isinstance(found, Problem):
        return _refused(found)
    return done("", **preview_json(found, calendar, exchange, host.clock.now()))


def _refused(problem: Problem) -> Response:
    entries: Sequence[object] = ()
    return done(
        "", problem=problem.to_json(), sentence="", entries=entries, holds=None, never=False
    )


async def history(request: Request) -> Response:
    """``GET /python/schedule/<id>/history?limit=…``: what became of each start, newest first."""
    host, user, strategy_id = _asked(request)
    text = request.query_params.get("limit", str(PAGE))
    if not re.fullmatch(r"\d{1,4}", text):
        raise Invalid(f"limit must be a whole number up to {MOST_HISTORY}.", code="BAD_FIELDS")
    found = await run_in_threadpool(told_json, host.timetables, user, strategy_id, int(text))
    return done("", **found)


def _owner(method: str, path: str, endpoint: HttpEndpoint, most_bytes: int = 65_536) -> Route:
    return Route(
        method=method,
        path=path,
        endpoint=endpoint,
        access=Access.OWNER,
        max_body_bytes=most_bytes,
    )


ROUTES: Final[list[Route]] = [
    _owner("GET", "/python/schedule/{strategy_id}", show),
    _owner("POST", "/python/schedule/{strategy_id}", put),
    _owner("POST", "/python/unschedule/{strategy_id}", clear),
    _owner("POST", "/python/schedule/{strategy_id}/preview", preview),
    _owner("GET", "/python/schedule/{strategy_id}/history", history),
]
