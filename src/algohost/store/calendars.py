"""The days and years that administrators have entered over the calendars."""

from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import Connection, RowMapping, select

from algohost.domain.calendar_rows import parse_hours
from algohost.domain.calendars import DayKind, Edits, Knowledge, ListedDay, YearEntry
from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.instruments import Exchange
from algohost.store.tables import calendar_days, calendar_years


def everything(connection: Connection) -> Edits:
    """All edits. Raises ``Unavailable`` where a row cannot be read: none is left out silently."""
    days = connection.execute(
        select(calendar_days).order_by(calendar_days.c.date, calendar_days.c.exchange)
    ).mappings()
    years = connection.execute(
        select(calendar_years).order_by(calendar_years.c.year, calendar_years.c.exchange)
    ).mappings()
    return Edits(days=tuple(_day(row) for row in days), years=tuple(_year(row) for row in years))


def put(connection: Connection, edits: Edits, *, by: str, at: datetime) -> None:
    """Keeps every day and year, each instead of what was entered for it before."""
    remove_days(connection, ((one.exchange, one.date) for one in edits.days))
    signed = {"changed_at": at, "changed_by": by}
    for one in edits.days:
        connection.execute(
            calendar_days.insert().values(
                exchange=one.exchange.value,
                date=one.date.isoformat(),
                kind=one.kind.value,
                name=one.name,
                hours=" ".join(str(hours) for hours in one.hours),
                status=one.status.value,
                note=one.note,
                **signed,
            )
        )
    c = calendar_years.c
    for entry in edits.years:
        connection.execute(
            calendar_years.delete().where(c.exchange == entry.exchange.value, c.year == entry.year)
        )
        connection.execute(
            calendar_years.insert().values(
                exchange=entry.exchange.value, year=entry.year, status=entry.status.value, **signed
            )
        )


def remove_days(connection: Connection, days: Iterable[tuple[Exchange, date]]) -> int:
    """Forgets what was entered for these days; returns for how many there was something."""
    c, removed = calendar_days.c, 0
    for exchange, day in days:
        removed += connection.execute(
            calendar_days.delete().where(c.exchange == exchange.value, c.date == day.isoformat())
        ).rowcount
    return removed


def _day(row: RowMapping) -> ListedDay:
    try:
        return ListedDay(
            exchange=Exchange(row["exchange"]),
            date=date.fromisoformat(row["date"]),
            kind=DayKind(row["kind"]),
            name=row["name"],
            hours=parse_hours(row["hours"]),
            status=Knowledge(row["status"]),
            note=row["note"],
        )
    except (ValueError, Invalid) as error:
        raise _unreadable(f"{row['exchange']} on {row['date']}", error) from error


def _year(row: RowMapping) -> YearEntry:
    try:
        return YearEntry(
            exchange=Exchange(row["exchange"]), year=row["year"], status=Knowledge(row["status"])
        )
    except ValueError as error:
        raise _unreadable(f"{row['exchange']} {row['year']}", error) from error


def _unreadable(what: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"The calendar entry of {what} in the database cannot be read ({error}); a newer algohost"
        " may have written it. Start that one, or restore a backup.",
        code="CALENDAR_DAMAGED",
    )
