"""Calendars as CSV: one row for a day of one or more exchanges, read and written alike.

``exchanges,date,kind,name,hours,status,note``: exchanges apart by spaces; date ``YYYY-MM-DD``;
hours ``09:15-10:00 11:30-12:30`` in IST. A row of the kind ``year`` has a year for its date: from
then on the list of that year counts as entered. Reading is all or nothing, and says of every bad
row what is wrong with it.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any, Final

from algohost.domain.calendars import (
    EXCHANGES,
    LISTED_KINDS,
    DayKind,
    Edits,
    Hours,
    Knowledge,
    ListedDay,
    YearEntry,
    day_text,
)
from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange

COLUMNS: Final = ("exchanges", "date", "kind", "name", "hours", "status", "note")
YEAR: Final = "year"
MOST_ROWS: Final = 5_000
MOST_NAME: Final = 100
MOST_NOTE: Final = 300
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2100

_DIVIDED: Final = frozenset({Exchange.MCX, Exchange.NCO})
_KINDS: Final = ", ".join(kind.value for kind in LISTED_KINDS)
_HOURS: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_SHOWN_PROBLEMS: Final = 20
_NEEDS_NAME: Final = frozenset(LISTED_KINDS) - {DayKind.NORMAL}
_TRADABLE: Final = tuple(one for one in EXCHANGES if one is not Exchange.CRYPTO)


class BadRows(Invalid):
    """A file of days cannot be taken; ``details["rows"]`` has a number and a sentence for each."""

    code = "BAD_CALENDAR_ROWS"


def parse_csv(text: str) -> Edits:
    """The days and years of a file. Raises ``BadRows`` over all bad rows, or takes every one."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    problems: list[tuple[int, str]] = []
    days: dict[tuple[Exchange, date], ListedDay] = {}
    years: dict[tuple[Exchange, int], YearEntry] = {}
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        for number, cells in enumerate(reader, start=2):
            if number > MOST_ROWS + 1:
                raise BadRows(f"The file has more than {MOST_ROWS:,} rows; split it.")
            if not any(cell.strip() for cell in cells):
                continue
            try:
                _take(_named(header, cells), days, years)
            except Invalid as problem:
                problems.append((number, problem.message))
    except csv.Error as error:
        raise BadRows(
            f"Row {reader.line_num} is not CSV ({error}); close its quotation marks."
        ) from None
    if problems:
        raise _bad(problems)
    if not days and not years:
        raise BadRows("The file has no row below its header; nothing was changed.")
    return Edits(days=tuple(days.values()), years=tuple(years.values()))


def listed_days(row: Mapping[str, str]) -> Sequence[ListedDay]:
    """The days that one row means, one for each exchange. Raises ``Invalid`` with a sentence."""
    exchanges = _exchanges(row.get("exchanges", ""))
    day = _date(row.get("date", ""))
    kind = _kind(row.get("kind", ""))
    hours = parse_hours(row.get("hours", ""))
    name, note = _text(row, "name", MOST_NAME), _text(row, "note", MOST_NOTE)
    status = _status(row.get("status", ""))
    if not name and kind in _NEEDS_NAME:
        raise Invalid(f"The {kind} day {day} has no name; say what the day is.")
    if kind is DayKind.HOLIDAY and hours:
        raise Invalid(f"{day} is a holiday with hours; leave them out, or make it special.")
    if kind in {DayKind.MORNING, DayKind.EVENING}:
        whole = [one.value for one in exchanges if one not in _DIVIDED]
        if whole and not hours:
            raise Invalid(
                f"{', '.join(whole)} has no {kind} session of its own; give the hours of {day}."
            )
    if kind in {DayKind.NORMAL, DayKind.SETTLEMENT} and day.weekday() >= 5:
        raise Invalid(f"{day_text(day)}: trading on a weekend is of the kind special.")
    return [
        ListedDay(
            exchange=one, date=day, kind=kind, name=name, hours=hours, status=status, note=note
        )
        for one in exchanges
    ]


def parse_hours(text: str) -> tuple[Hours, ...]:
    """``09:15-10:00 11:30-12:30``, in order and without overlap. Raises ``Invalid``."""
    found: list[Hours] = []
    for part in text.split():
        match = _HOURS.fullmatch(part)
        if match is None:
            raise Invalid(f"The hours {part[:30]!r} are not of the form 09:15-15:30.")
        open_, close = _clock(match[1], match[2]), _clock(match[3], match[4])
        if close <= open_ and close != time(0):
            raise Invalid(f"The hours {part} end before they begin.")
        if found and (found[-1].close == time(0) or open_ < found[-1].close):
            raise Invalid(f"The hours {part} begin before {found[-1]} have ended.")
        found.append(Hours(open=open_, close=close))
    return tuple(found)


def to_csv(edits: Edits) -> str:
    """The rows of a file that ``parse_csv`` reads back as the same; like days share a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for key, exchanges in _shared((one.exchange, (one.year, one.status)) for one in edits.years):
        writer.writerow((" ".join(exchanges), key[0], YEAR, "", "", key[1].value, ""))
    for day, exchanges in _shared((one.exchange, _without_exchange(one)) for one in edits.days):
        writer.writerow((" ".join(exchanges), *day))
    return out.getvalue()


def _without_exchange(day: ListedDay) -> tuple[str, ...]:
    hours = " ".join(str(one) for one in day.hours)
    date_, kind, status = day.date.isoformat(), day.kind.value, day.status.value
    return date_, kind, day.name, hours, status, day.note


def _shared(
    pairs: Iterable[tuple[Exchange, tuple[Any, ...]]],
) -> list[tuple[tuple[Any, ...], list[str]]]:
    """Each thing that is said, with the names of the exchanges of which it is said."""
    groups: dict[tuple[Any, ...], list[Exchange]] = {}
    for exchange, what in pairs:
        groups.setdefault(what, []).append(exchange)
    order = {exchange: number for number, exchange in enumerate(EXCHANGES)}
    return [
        (what, [one.value for one in sorted(who, key=lambda e: order[e])])
        for what, who in sorted(groups.items(), key=lambda item: str(item[0]))
    ]


def _take(
    row: Mapping[str, str],
    days: dict[tuple[Exchange, date], ListedDay],
    years: dict[tuple[Exchange, int], YearEntry],
) -> None:
    if row["kind"].strip().lower() == YEAR:
        year, status = _year(row["date"]), _status(row["status"])
        for exchange in _exchanges(row["exchanges"]):
            if (exchange, year) in years:
                raise Invalid(f"{exchange} has {year} twice; leave one of the rows out.")
            years[exchange, year] = YearEntry(exchange=exchange, year=year, status=status)
        return
    for one in listed_days(row):
        if (one.exchange, one.date) in days:
            raise Invalid(f"{one.exchange} has {one.date} twice; leave one of the rows out.")
        days[one.exchange, one.date] = one


def _check_header(header: Sequence[str]) -> None:
    missing = [name for name in COLUMNS[:3] if name not in header]
    strange = [name for name in header if name not in COLUMNS]
    if missing or strange or len(set(header)) != len(header):
        raise BadRows(
            f"The first row must name the columns {', '.join(COLUMNS)}; the last four may be"
            " left out, others may not be there."
        )


def _named(header: Sequence[str], cells: Sequence[str]) -> Mapping[str, str]:
    if len(cells) > len(header):
        raise Invalid(f"It has {len(cells)} cells under {len(header)} columns; quote its commas.")
    return {**dict.fromkeys(COLUMNS, ""), **dict(zip(header, cells, strict=False))}


def _bad(problems: Sequence[tuple[int, str]]) -> BadRows:
    shown = " ".join(f"Row {number}: {said}" for number, said in problems[:_SHOWN_PROBLEMS])
    more = len(problems) - _SHOWN_PROBLEMS
    rest = f" And {more} more." if more > 0 else ""
    return BadRows(
        f"Nothing was changed. {shown}{rest}",
        details={"rows": [{"row": number, "message": said} for number, said in problems]},
    )


def _exchanges(text: str) -> tuple[Exchange, ...]:
    words = text.replace(",", " ").upper().split()
    known = {one.value: one for one in _TRADABLE}
    strange = [word for word in words if word not in known]
    if strange or not words:
        said = f"There is no exchange {strange[0][:20]!r}" if strange else "No exchange is named"
        raise Invalid(f"{said}; use {', '.join(known)}.")
    return tuple(dict.fromkeys(known[word] for word in words))


def _kind(text: str) -> DayKind:
    word = text.strip().lower()
    if word not in {kind.value for kind in LISTED_KINDS}:
        raise Invalid(f"There is no kind {word[:20]!r}; use {_KINDS}.")
    return DayKind(word)


def _status(text: str) -> Knowledge:
    word = text.strip().lower() or Knowledge.PUBLISHED.value
    if word not in {Knowledge.PUBLISHED.value, Knowledge.TENTATIVE.value}:
        raise Invalid(f"There is no status {word[:20]!r}; use published or tentative.")
    return Knowledge(word)


def _date(text: str) -> date:
    word = text.strip()
    try:
        day = date.fromisoformat(word) if re.fullmatch(r"\d{4}-\d\d-\d\d", word) else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Invalid(
            f"{word[:20]!r} is no date of {FIRST_YEAR} to {LAST_YEAR} written YYYY-MM-DD."
        )
    return day


def _year(text: str) -> int:
    word = text.strip()
    if not re.fullmatch(r"\d{4}", word) or not FIRST_YEAR <= int(word) <= LAST_YEAR:
        raise Invalid(f"{word[:20]!r} is no year of {FIRST_YEAR} to {LAST_YEAR}.")
    return int(word)


def _clock(hours: str, minutes: str) -> time:
    if int(hours) > 23 or int(minutes) > 59:
        raise Invalid(f"There is no time {hours}:{minutes}; write 00:00 to 23:59.")
    return time(int(hours), int(minutes))


def _text(row: Mapping[str, str], column: str, most: int) -> str:
    text = row.get(column, "").strip()
    if len(text) > most or not text.isprintable():
        raise Invalid(f"The {column} must have at most {most} printable characters.")
    return text
