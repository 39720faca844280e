"""``market/holidays`` and ``market/timings``: the calendars in force, in OpenAlgo's form.

Both answer to POST and to GET. A year or date that nobody has entered is refused: an empty list
would say that nothing is closed, or that everything is.
"""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.calendars import Calendar, Day, DayKind, Knowledge, Session
from algohost.domain.errors import NotFound
from algohost.domain.instruments import Exchange
from algohost.web.access import HttpEndpoint
from algohost.web.api_v1.answers import success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.fields import Day as DayText
from algohost.web.api_v1.fields import whole_of
from algohost.web.api_v1.requests import Asked

if TYPE_CHECKING:
    from algohost.host.calendars import CalendarService

FIRST_YEAR: Final = 2020
LAST_YEAR: Final = 2050
_TYPES: Final = {
    DayKind.HOLIDAY: "TRADING_HOLIDAY",
    DayKind.MORNING: "TRADING_HOLIDAY",
    DayKind.EVENING: "TRADING_HOLIDAY",
    DayKind.SPECIAL: "SPECIAL_SESSION",
    DayKind.SETTLEMENT: "SETTLEMENT_HOLIDAY",
}


class Holidays(Asked):
    """A request for a year's holidays; without a year, this year's."""

    year: Annotated[int, whole_of(FIRST_YEAR, LAST_YEAR, "a year")] | None = None


class Timings(Asked):
    """A request for a date's sessions; without a date, today's in India."""

    date: DayText | None = None


async def holidays(call: Call[Holidays]) -> Response:
    """``market/holidays``: each day that differs, who is closed and who is open when."""
    service = call.host.calendars
    year = service.today().year if call.asked.year is None else call.asked.year
    first = date(year, 1, 1)
    known = [one for one in _traded(service) if year in one.years]
    if not known:
        raise _unknown(str(year))
    rows: dict[tuple[date, str, str], dict[str, Any]] = {}
    for calendar in known:
        for day in calendar.days(first, date(year, 12, 31)):
            if day.kind in _TYPES:
                _add(rows, day)
    return success(
        year=year,
        timezone="Asia/Kolkata",
        data=[rows[key] for key in sorted(rows)],
        warnings=list(service.warnings()),
    )


async def timings(call: Call[Timings]) -> Response:
    """``market/timings``: each exchange's sessions, in epoch milliseconds; empty if all closed."""
    service = call.host.calendars
    asked = service.today() if call.asked.date is None else call.asked.date
    days = [calendar.day(asked) for calendar in _traded(service)]
    if any(day.kind is DayKind.UNKNOWN for day in days):
        raise _unknown(asked.isoformat())
    return success(
        data=[_span(day.exchange, session) for day in days for session in day.sessions],
        warnings=[day.sentence for day in days if _is_worth_saying(day)],
    )


def by_query(answer: HttpEndpoint) -> HttpEndpoint:
    """``answer`` for a GET: what a POST has in its body stands in the address."""

    async def asked(request: Request) -> Response:
        request.state.body = dict(request.query_params)
        return await answer(request)

    return asked


def _traded(service: "CalendarService") -> Iterable[Calendar]:
    """All but those that never close: with them, no day would ever be empty."""
    return [calendar for calendar in service.all().values() if not calendar.never_closes]


def _add(rows: dict[tuple[date, str, str], dict[str, Any]], day: Day) -> None:
    kind = _TYPES[day.kind]
    row = rows.setdefault(
        (day.date, kind, day.name),
        {
            "date": day.date.isoformat(),
            "description": day.name,
            "holiday_type": kind,
            "closed_exchanges": [],
            "open_exchanges": [],
            "tentative": False,
        },
    )
    if day.kind is DayKind.HOLIDAY:
        row["closed_exchanges"].append(day.exchange.value)
    elif day.kind is not DayKind.SETTLEMENT:
        row["open_exchanges"] += [_span(day.exchange, session) for session in day.sessions]
    row["tentative"] = row["tentative"] or day.knowledge is not Knowledge.PUBLISHED


def _span(exchange: Exchange, session: Session) -> dict[str, Any]:
    return {
        "exchange": exchange.value,
        "start_time": round(session.opens_at.timestamp() * 1000),
        "end_time": round(session.closes_at.timestamp() * 1000),
    }


def _is_worth_saying(day: Day) -> bool:
    return day.knowledge is not Knowledge.PUBLISHED and day.sentence != ""


def _unknown(what: str) -> NotFound:
    return NotFound(
        f"The calendar of {what} is not known here, so neither open nor closed can be said; an"
        " administrator can enter it on the calendar page.",
        code="CALENDAR_UNKNOWN",
    )
