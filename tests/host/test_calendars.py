"""Edits of the calendars: all or nothing, kept over a restart, for administrators only."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from algohost.domain.calendar_rows import BadRows
from algohost.domain.calendars import DayKind, Knowledge
from algohost.domain.errors import Forbidden, NotFound, Unavailable
from algohost.domain.ids import UserId
from algohost.domain.instruments import Exchange
from algohost.domain.users import User
from algohost.host.calendars import CalendarService
from algohost.market.calendars import shipped
from algohost.store.database import Database, open_database
from algohost.testing.clock import FakeClock

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
ASHA = User(id=UserId("u1"), name="asha", is_admin=True, created_at=NOW)
RAVI = User(id=UserId("u2"), name="ravi", is_admin=False, created_at=NOW)
DAY = date(2026, 11, 20)
ROW = {"exchanges": "NSE BSE", "date": "2026-11-20", "kind": "holiday", "name": "Mourning"}
HEADER = "exchanges,date,kind,name,hours,status,note\n"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "a.db")
    yield opened
    opened.close()


def service(database: Database) -> CalendarService:
    return CalendarService(clock=FakeClock(NOW), database=database, tables=shipped())


def kind(calendars: CalendarService, day: date = DAY, exchange: str = "NSE") -> DayKind:
    return calendars.of(Exchange(exchange)).day(day).kind


def test_an_edit_counts_at_once_and_after_a_restart(database: Database) -> None:
    first, heard = service(database), []
    first.listen(lambda: heard.append(kind(first)))
    asyncio.run(first.put_day(ASHA, ROW))
    assert heard == [DayKind.HOLIDAY]
    again = service(database)
    assert (kind(again), kind(again, exchange="BSE")) == (DayKind.HOLIDAY, DayKind.HOLIDAY)
    assert kind(again, exchange="NFO") is DayKind.NORMAL
    asyncio.run(again.put_day(ASHA, {**ROW, "kind": "special", "hours": "10:00-11:00"}))
    assert kind(service(database)) is DayKind.SPECIAL


def test_an_index_has_the_calendar_of_its_exchange(database: Database) -> None:
    calendars = service(database)
    assert calendars.of(Exchange.NSE_INDEX) is calendars.of(Exchange.NSE)


def test_taking_an_edit_back_brings_the_table_back(database: Database) -> None:
    calendars = service(database)
    holiday = date(2026, 12, 25)
    asyncio.run(
        calendars.put_day(ASHA, {"exchanges": "NSE", "date": "2026-12-25", "kind": "normal"})
    )
    assert kind(calendars, holiday) is DayKind.NORMAL
    asyncio.run(calendars.remove_day(ASHA, Exchange.NSE, holiday))
    assert kind(calendars, holiday) is DayKind.HOLIDAY
    with pytest.raises(NotFound, match="enter it as normal"):
        asyncio.run(calendars.remove_day(ASHA, Exchange.NSE, holiday))


def test_nobody_but_an_administrator_edits(database: Database) -> None:
    calendars = service(database)
    for attempt in (
        calendars.put_day(RAVI, ROW),
        calendars.remove_day(RAVI, Exchange.NSE, DAY),
        calendars.enter_year(RAVI, [Exchange.NSE], 2027),
        calendars.import_csv(RAVI, HEADER + "NSE,2027-01-26,holiday,X,,,\n"),
    ):
        with pytest.raises(Forbidden):
            asyncio.run(attempt)
    assert kind(calendars) is DayKind.NORMAL


def test_an_import_is_all_or_nothing(database: Database) -> None:
    calendars = service(database)
    bad = HEADER + "NSE,2026-11-20,holiday,Mourning,,,\nNSE,2026-11-23,holiday,,,,\n"
    with pytest.raises(BadRows, match="Row 3: The holiday day 2026-11-23 has no name"):
        asyncio.run(calendars.import_csv(ASHA, bad))
    assert kind(calendars) is DayKind.NORMAL
    assert kind(service(database)) is DayKind.NORMAL


def test_an_export_that_is_imported_changes_nothing(database: Database) -> None:
    calendars = service(database)
    asyncio.run(calendars.put_day(ASHA, ROW))
    asyncio.run(calendars.put_day(ASHA, {**ROW, "date": "2029-01-26", "name": "Republic Day"}))
    before = calendars.export_csv()
    assert "2029-01-26" in before
    imported = asyncio.run(calendars.import_csv(ASHA, before))
    assert (imported.days, imported.years) == (4, 0)  # the edits themselves; all else is the same
    assert calendars.export_csv() == before
    assert service(database).export_csv() == before


def test_a_year_that_is_entered_ends_the_warning(database: Database) -> None:
    calendars = service(database)
    (said,) = calendars.warnings()
    assert "NSE, BSE, NFO, BFO, CDS, BCD, MCX, NCO ends on Thu 31 Dec 2026" in said
    rows = "NSE BSE NFO BFO,2027,year,,,,\nNSE BSE NFO BFO,2027-01-26,holiday,Republic Day,,,\n"
    imported = asyncio.run(calendars.import_csv(ASHA, HEADER + rows))
    assert imported.sentence == "4 days, 4 years imported."
    (left,) = calendars.warnings()
    assert "of CDS, BCD, MCX, NCO ends" in left
    nse = calendars.of(Exchange.NSE)
    assert nse.day(date(2027, 3, 22)).kind is DayKind.NORMAL
    assert nse.day(date(2027, 3, 23)).knowledge is Knowledge.PUBLISHED


def test_a_tentative_day_that_is_confirmed_as_such_outlives_the_entered_year(
    database: Database,
) -> None:
    """It says what the tables say, which no longer count when the year has been entered."""
    calendars = service(database)
    table = next(d for d in shipped().days if d.date == date(2027, 3, 22))
    rows = f"NSE,2027,year,,,,\nNSE,2027-03-22,holiday,{table.name},,tentative,{table.note}\n"
    asyncio.run(calendars.import_csv(ASHA, HEADER + rows))
    assert kind(calendars, date(2027, 3, 22)) is DayKind.HOLIDAY
    assert kind(calendars, date(2027, 4, 19)) is DayKind.NORMAL


def test_an_entry_that_cannot_be_read_is_reported_and_not_left_out(database: Database) -> None:
    asyncio.run(service(database).put_day(ASHA, ROW))
    database.write_now(lambda c: c.execute(text("UPDATE calendar_days SET kind = 'lunar'")))
    with pytest.raises(Unavailable, match="cannot be read"):
        service(database)
