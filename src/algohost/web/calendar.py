"""The calendar page, and the routes by which administrators edit the calendars."""

import calendar as months
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.calendar_rows import FIRST_YEAR, LAST_YEAR
from algohost.domain.calendars import (
    EXCHANGES,
    LISTED_KINDS,
    Calendar,
    Day,
    DayKind,
    Knowledge,
    day_text,
)
from algohost.domain.errors import Invalid
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.web.access import Access, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import WrongContentType, json_as
from algohost.web.pages import inner_page

if TYPE_CHECKING:
    from algohost.host.calendars import CalendarService

MOST_CSV_BYTES: Final = 1_048_576
KIND_WORDS: Final = {
    DayKind.NORMAL: "Trading day",
    DayKind.SETTLEMENT: "Settlement holiday",
    DayKind.HOLIDAY: "Holiday",
    DayKind.MORNING: "Morning only",
    DayKind.EVENING: "Evening only",
    DayKind.SPECIAL: "Special session",
    DayKind.WEEKEND: "Weekend",
    DayKind.UNKNOWN: "Not known",
}
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_TRADED: Final = tuple(one for one in EXCHANGES if one is not Exchange.CRYPTO)


class _EnteredDay(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    exchanges: list[str]
    date: str
    kind: str
    name: str = ""
    hours: str = ""
    status: str = "published"
    note: str = ""


class _NamedDay(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    exchange: str
    date: str


class _NamedYear(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    exchanges: list[str]
    year: int


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month of a year, with those beside it."""

    year: int
    number: int

    @property
    def first(self) -> date:
        """Its first date."""
        return date(self.year, self.number, 1)

    @property
    def last(self) -> date:
        """Its last date."""
        return self.first.replace(day=months.monthrange(self.year, self.number)[1])

    @property
    def text(self) -> str:
        """``2026-11``."""
        return f"{self.year}-{self.number:02d}"

    @property
    def title(self) -> str:
        """``November 2026``."""
        return f"{_MONTHS[self.number - 1]} {self.year}"

    def moved(self, by: int) -> "Month | None":
        """The month ``by`` months later; ``None`` beyond the years that can be entered."""
        count = self.year * 12 + self.number - 1 + by
        year, number = divmod(count, 12)
        return Month(year=year, number=number + 1) if FIRST_YEAR <= year <= LAST_YEAR else None


_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def month_of(text: str, today: date) -> Month:
    """``2026-11`` as a month, today's for nothing. Raises ``Invalid`` for anything else."""
    if not text:
        return Month(year=today.year, number=today.month)
    match = _MONTH.fullmatch(text)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        raise Invalid(
            f"There is no month {text[:20]!r}; write YYYY-MM, from {FIRST_YEAR} to {LAST_YEAR}."
        )
    return Month(year=int(match[1]), number=int(match[2]))


def exchange_of(text: str) -> Exchange:
    """The exchange of that name. Raises ``Invalid`` for one that has no calendar."""
    for one in EXCHANGES:
        if one.value == text.upper():
            return one
    names = ", ".join(EXCHANGES)
    raise Invalid(f"There is no calendar of {text[:20]!r}; use {names}.", code="NO_CALENDAR")


def day_json(day: Day) -> dict[str, Any]:
    """A day as pages and commands get it."""
    return {
        "exchange": day.exchange.value,
        "date": day.date.isoformat(),
        "weekday": day_text(day.date)[:3],
        "kind": day.kind.value,
        "name": day.name,
        "hours": hours_text(day),
        "knowledge": day.knowledge.value,
        "note": day.note,
        "is_trading_day": day.is_trading_day if day.is_known else None,
        "is_settlement_holiday": day.is_settlement_holiday,
        "is_edited": day.is_edited,
        "sessions": [
            {"opens_at": s.opens_at.isoformat(), "closes_at": s.closes_at.isoformat()}
            for s in day.sessions
        ],
    }


def hours_text(day: Day) -> str:
    """``09:15-15:30`` in IST, several apart by spaces, empty where there is no session."""
    spans = ((s.opens_at.astimezone(IST), s.closes_at.astimezone(IST)) for s in day.sessions)
    return " ".join(f"{opens:%H:%M}-{closes:%H:%M}" for opens, closes in spans)


def month_json(calendars: "CalendarService", exchange: Exchange, month: Month) -> dict[str, Any]:
    """A month of an exchange, with what is known of its calendar."""
    found = calendars.of(exchange)
    return {
        "exchange": exchange.value,
        "month": month.text,
        "published_until": _iso(found.published_until),
        "valid_until": _iso(found.valid_until),
        "warning": found.warning(calendars.today()),
        "days": [day_json(day) for day in found.days(month.first, month.last)],
    }


# ---- the page


async def calendar_page(request: Request) -> Response:
    """``GET /calendar?exchange=NSE&month=2026-11``: one month of one exchange."""
    host = host_of(request)
    exchange = exchange_of(request.query_params.get("exchange", "NSE"))
    today = host.calendars.today()
    month = month_of(request.query_params.get("month", ""), today)
    found = host.calendars.of(exchange)
    return inner_page(
        request,
        "calendar.html",
        nav="calendar",
        exchanges=[one.value for one in EXCHANGES],
        exchange=exchange.value,
        can_edit=user_of(request).is_admin and not found.never_closes,
        month=month,
        before=month.moved(-1),
        after=month.moved(1),
        weeks=_weeks(found, month, today),
        listed=[_cell(day, today) for day in _year(found, month.year) if day.name],
        year_status=found.years.get(month.year, Knowledge.UNKNOWN).value,
        valid_until="" if found.published_until is None else day_text(found.published_until),
        warning=found.warning(today),
        kinds=[(kind.value, KIND_WORDS[kind]) for kind in LISTED_KINDS],
        traded=[one.value for one in _TRADED],
    )


def _weeks(found: Calendar, month: Month, today: date) -> list[list[dict[str, Any] | None]]:
    """The days of the month in rows from Monday to Sunday, ``None`` for those of its neighbours."""
    start = month.first - timedelta(days=month.first.weekday())
    end = month.last + timedelta(days=6 - month.last.weekday())
    cells = [
        _cell(day, today) if day.date.month == month.number else None
        for day in found.days(start, end)
    ]
    return [cells[n : n + 7] for n in range(0, len(cells), 7)]


def _cell(day: Day, today: date) -> dict[str, Any]:
    return {
        **day_json(day),
        "number": day.date.day,
        "text": day_text(day.date),
        "word": KIND_WORDS[day.kind],
        "is_today": day.date == today,
        "shown_hours": hours_text(day).replace("-", "–") or _no_hours(day),
    }


def _no_hours(day: Day) -> str:
    return "Time not known" if day.kind is DayKind.SPECIAL else ""


def _year(found: Calendar, year: int) -> Sequence[Day]:
    return [found.day(one.date) for one in found.listed(year)]


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


# ---- edits


async def put_day(request: Request) -> Response:
    """``POST /calendar/day``: enters a day of one or more exchanges."""
    body = await json_as(request, _EnteredDay)
    row = {**body.model_dump(exclude={"exchanges"}), "exchanges": " ".join(body.exchanges)}
    days = await host_of(request).calendars.put_day(user_of(request), row)
    names = ", ".join(one.exchange for one in days)
    return done(f"{day_text(days[0].date)} was saved for {names}.")


async def remove_day(request: Request) -> Response:
    """``POST /calendar/day/delete``: takes an edit back."""
    body = await json_as(request, _NamedDay)
    exchange, day = exchange_of(body.exchange), _date(body.date)
    await host_of(request).calendars.remove_day(user_of(request), exchange, day)
    return done(f"{day_text(day)} of {exchange} is again what the program came with.")


async def enter_year(request: Request) -> Response:
    """``POST /calendar/year``: the published list of a year has been entered."""
    body = await json_as(request, _NamedYear)
    if not FIRST_YEAR <= body.year <= LAST_YEAR:
        raise Invalid(f"Give a year from {FIRST_YEAR} to {LAST_YEAR}.", code="BAD_FIELDS")
    exchanges = [exchange_of(one) for one in body.exchanges]
    await host_of(request).calendars.enter_year(user_of(request), exchanges, body.year)
    return done(f"{body.year} counts as published for {', '.join(exchanges)}.")


async def import_csv(request: Request) -> Response:
    """``POST /calendar/import`` with the CSV as its body: every row, or none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/csv":
        raise WrongContentType("Send the file with the content type text/csv.")
    text = decoded(await request.body())
    imported = await host_of(request).calendars.import_csv(user_of(request), text)
    return done(imported.sentence, days=imported.days, years=imported.years)


async def export_csv(request: Request) -> Response:
    """``GET /calendar/export``: all that is listed, as a file that can be imported again."""
    return Response(
        host_of(request).calendars.export_csv(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="calendars.csv"'},
    )


def decoded(content: bytes) -> str:
    """The text of a CSV. Raises ``Invalid`` where it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"The file is not UTF-8 (byte {error.start}); save it as CSV UTF-8.",
            code="WRONG_ENCODING",
        ) from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text[:20]!r} is no date written YYYY-MM-DD.", code="BAD_FIELDS") from None


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/calendar", endpoint=calendar_page, access=Access.USER),
    Route(method="GET", path="/calendar/export", endpoint=export_csv, access=Access.USER),
    Route(method="POST", path="/calendar/day", endpoint=put_day, access=Access.ADMIN),
    Route(method="POST", path="/calendar/day/delete", endpoint=remove_day, access=Access.ADMIN),
    Route(method="POST", path="/calendar/year", endpoint=enter_year, access=Access.ADMIN),
    Route(
        method="POST",
        path="/calendar/import",
        endpoint=import_csv,
        access=Access.ADMIN,
        max_body_bytes=MOST_CSV_BYTES,
    ),
]
