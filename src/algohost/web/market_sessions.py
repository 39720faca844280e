"""What the top bar says of the exchanges: made by the server for some days, told by the page.

The page shows each ``State`` from its instant on, by the server's clock, and asks again only when
the last one has come: no request a second, and no calendar in the script.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.calendars import Calendar, Day, DayKind, Session
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.web.access import Access, Route, host_of
from algohost.web.answers import done
from algohost.web.schedule_words import at_text, day_short

DAYS: Final = 3
"""So far ahead a page knows what to say."""

_LOOK_AHEAD: Final = 15
_EVENING: Final = time(17)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class State:
    """What is to be said from an instant on."""

    at: datetime
    text: str
    """``NSE open until 15:30``, ``NSE opens Mon 09:15``, ``NSE closed: Diwali``."""
    is_open: bool
    more: str
    """What else is worth knowing: when a closed exchange opens."""
    also: str
    """What another exchange does while NSE is closed: ``MCX evening session``."""


def states(calendars: Mapping[Exchange, Calendar], now: datetime) -> Sequence[State]:
    """What holds now, and every change within ``DAYS``, in order."""
    nse, mcx = calendars[Exchange.NSE], calendars[Exchange.MCX]
    today = now.astimezone(IST).date()
    changes = {now}
    for day in (today + _DAY * n for n in range(DAYS)):
        changes.add(_instant(day, time(0)))
        changes.add(_instant(day, _EVENING))
        for calendar in (nse, mcx):
            for session in calendar.day(day).sessions:
                changes |= {session.opens_at, session.closes_at}
    found: list[State] = []
    for at in sorted(one for one in changes if one >= now):
        said = _state(nse, mcx, at)
        if not found or _words(found[-1]) != _words(said):
            found.append(said)
    return found


def states_json(calendars: Mapping[Exchange, Calendar], now: datetime) -> dict[str, Any]:
    """``states`` for the page, and until when they hold; instants in milliseconds."""
    until = _instant(now.astimezone(IST).date() + _DAY * DAYS, time(0))
    return {
        "until": _ms(until),
        "states": [
            {
                "at": _ms(one.at),
                "text": one.text,
                "open": one.is_open,
                "more": one.more,
                "also": one.also,
            }
            for one in states(calendars, now)
        ],
    }


def _state(nse: Calendar, mcx: Calendar, at: datetime) -> State:
    day = nse.day(at.astimezone(IST).date())
    current = _current(day, at)
    if current is not None:
        return State(
            at=at, text=f"NSE open until {_time(current.closes_at)}", is_open=True, more="", also=""
        )
    following = _following(nse, at)
    opens = "" if following is None else f"NSE opens {_when(following.opens_at, at)}"
    if day.kind is DayKind.UNKNOWN:
        text = "NSE hours not known"
    elif day.kind is DayKind.HOLIDAY:
        text = f"NSE closed: {day.name}"
    else:
        text = opens or "NSE closed"
    return State(
        at=at, text=text, is_open=False, more="" if text == opens else opens, also=_other(mcx, at)
    )


def _other(mcx: Calendar, at: datetime) -> str:
    local = at.astimezone(IST)
    current = _current(mcx.day(local.date()), at)
    if current is None:
        return ""
    is_evening = local.time() >= _EVENING
    return "MCX evening session" if is_evening else f"MCX open until {_time(current.closes_at)}"


def _current(day: Day, at: datetime) -> Session | None:
    return next((one for one in day.sessions if one.opens_at <= at < one.closes_at), None)


def _following(calendar: Calendar, at: datetime) -> Session | None:
    """The next session; ``None`` where none is near, or a day before it is not known."""
    today = at.astimezone(IST).date()
    for day in (calendar.day(today + _DAY * n) for n in range(_LOOK_AHEAD)):
        for session in day.sessions:
            if session.opens_at > at:
                return session
        if not day.is_known:
            return None
    return None


def _when(opens_at: datetime, at: datetime) -> str:
    """``09:15`` today, ``Mon 09:15`` within a week, else with its date."""
    opens, today = opens_at.astimezone(IST), at.astimezone(IST).date()
    if opens.date() == today:
        return f"{opens:%H:%M}"
    if opens.date() - today < _DAY * 7:
        return f"{day_short(opens.date())[:3]} {opens:%H:%M}"
    return at_text(opens_at)


def _words(state: State) -> tuple[str, bool, str, str]:
    return state.text, state.is_open, state.more, state.also


def _time(at: datetime) -> str:
    return f"{at.astimezone(IST):%H:%M}"


def _instant(day: date, at: time) -> datetime:
    return datetime.combine(day, at, IST)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def market_sessions(request: Request) -> Response:
    """``GET /calendar/now``: what the exchanges do now and in the next days, in words."""
    host = host_of(request)
    return done("", **states_json(host.calendars.all(), host.clock.now()))


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/calendar/now", endpoint=market_sessions, access=Access.USER),
]
