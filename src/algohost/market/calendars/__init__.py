"""The calendars that the program comes with: tables of its own, checked when they are read.

``tables/days.csv`` lists the days that differ and the years that are known, in the form of
``domain.calendar_rows``; ``tables/hours.csv`` the usual hours and since when. What could not be
confirmed is marked tentative there, with a note.
"""

import csv
import io
from collections.abc import Mapping
from datetime import date, time
from functools import cache
from importlib import resources

from algohost.domain.calendar_rows import BadRows, parse_csv
from algohost.domain.calendars import Calendar, Knowledge, Tables, UsualHours, calendars
from algohost.domain.instruments import Exchange

__all__ = ["parse_hours_table", "shipped", "shipped_calendars"]


@cache
def shipped() -> Tables:
    """The tables. Raises ``BadRows`` where one is damaged: nothing is read in part."""
    folder = resources.files(__package__) / "tables"
    listed = parse_csv((folder / "days.csv").read_text(encoding="utf-8"))
    years: dict[Exchange, dict[int, Knowledge]] = {}
    for one in listed.years:
        years.setdefault(one.exchange, {})[one.year] = one.status
    hours = parse_hours_table((folder / "hours.csv").read_text(encoding="utf-8"))
    return Tables(hours=hours, years=years, days=listed.days)


def shipped_calendars() -> Mapping[Exchange, Calendar]:
    """Every exchange's calendar without anybody's edits."""
    return calendars(shipped())


def parse_hours_table(text: str) -> Mapping[Exchange, tuple[UsualHours, ...]]:
    """Usual hours by exchange. Raises ``BadRows`` with the number of the first bad row."""
    found: dict[Exchange, tuple[UsualHours, ...]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            evening = row["evening"]
            hours = UsualHours(
                since=date.fromisoformat(row["since"]),
                open=time.fromisoformat(row["open"]),
                close=time.fromisoformat(row["close"]),
                evening=time.fromisoformat(evening) if evening else None,
            )
            exchanges = [Exchange(word) for word in row["exchanges"].split()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadRows(f"Row {number} of the usual hours cannot be read: {error}.") from None
        if hours.close <= hours.open or not exchanges:
            raise BadRows(f"Row {number} of the usual hours ends before it begins, or is of none.")
        for exchange in exchanges:
            found[exchange] = (*found.get(exchange, ()), hours)
    return found
