"""Our tables against what others know, where their packages are installed."""

from datetime import date, timedelta
from typing import Any

import pytest

from algohost.domain.calendars import DayKind
from algohost.domain.instruments import Exchange
from algohost.market.calendars import parse_hours_table, shipped, shipped_calendars

FIRST, LAST = date(2024, 1, 1), date(2026, 12, 31)
# Trading on a weekend, and Muhurat for those who list none: they know the day as a holiday.
WEEKEND_SESSIONS = {
    date(2024, 1, 20), date(2024, 3, 2), date(2024, 5, 18), date(2025, 2, 1), date(2026, 2, 1),
    date(2026, 11, 8),
}  # fmt: skip
THEIR_WARNINGS = pytest.mark.filterwarnings("ignore")
MUHURAT = {date(2024, 11, 1), date(2025, 10, 21)}


def our_sessions(exchange: Exchange) -> set[date]:
    days = shipped_calendars()[exchange].days(FIRST, LAST)
    return {day.date for day in days if day.is_trading_day}


@THEIR_WARNINGS
def test_exchange_calendars_knows_the_same_days_of_bse() -> None:
    """Its XBOM has no Muhurat and no weekend session."""
    package: Any = pytest.importorskip(
        "exchange_calendars", reason="exchange_calendars is not installed"
    )
    theirs = set(package.get_calendar("XBOM").sessions_in_range(str(FIRST), str(LAST)).date)
    assert our_sessions(Exchange.BSE) - MUHURAT - WEEKEND_SESSIONS == theirs


@THEIR_WARNINGS
def test_pandas_market_calendars_knows_the_same_days_and_hours_of_nse() -> None:
    """Its NSE has Muhurat, and no weekend session."""
    package: Any = pytest.importorskip(
        "pandas_market_calendars", reason="pandas_market_calendars is not installed"
    )
    table = package.get_calendar("NSE").schedule(str(FIRST), str(LAST))
    theirs = {
        row.Index.date(): (row.market_open.to_pydatetime(), row.market_close.to_pydatetime())
        for row in table.itertuples()
    }
    nse = shipped_calendars()[Exchange.NSE]
    ours = {
        day.date: (day.sessions[0].opens_at, day.sessions[-1].closes_at)
        for day in nse.days(FIRST, LAST)
        if day.is_trading_day and day.date not in WEEKEND_SESSIONS
    }
    assert ours == theirs


def test_the_close_of_commodities_follows_the_clocks_of_new_york() -> None:
    """MCX closes at 23:30 while New York has summer time and at 23:55 otherwise, from the Monday
    after the change."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    mcx, new_york = shipped_calendars()[Exchange.MCX], ZoneInfo("America/New_York")
    day, wrong = FIRST, []
    while day <= date(2027, 12, 31):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=new_york)
        usual = mcx.usual(day)
        assert usual is not None
        close = usual.closes_at.astimezone(ZoneInfo("Asia/Kolkata")).strftime("%H:%M")
        expected = "23:30" if noon.dst() else "23:55"
        if day.weekday() < 5 and close != expected:
            wrong.append((day, close))
        day += timedelta(days=1)
    assert wrong == []


def test_every_unconfirmed_row_says_what_is_not_confirmed() -> None:
    vague = [d for d in shipped().days if d.status.value == "tentative" and not d.note]
    assert vague == []
    assert all(day.status.value == "tentative" for day in shipped().days if day.date.year == 2027)


def test_a_special_day_without_hours_is_the_only_listed_day_that_is_not_known() -> None:
    for calendar in shipped_calendars().values():
        for day in calendar.days(FIRST, date(2027, 12, 31)):
            assert day.is_known or day.kind is DayKind.SPECIAL


@pytest.mark.parametrize(
    "text",
    [
        "exchanges,since,open,close,evening\nNSE,2024-01-01,15:30,09:15,\n",
        "exchanges,since,open,close,evening\nLSE,2024-01-01,09:15,15:30,\n",
        "exchanges,since,open,close,evening\nNSE,2024,09:15,15:30,\n",
        "exchanges,since\nNSE,2024-01-01\n",
    ],
)
def test_a_damaged_table_of_hours_is_refused_with_its_row(text: str) -> None:
    from algohost.domain.calendar_rows import BadRows

    with pytest.raises(BadRows, match="Row 2"):
        parse_hours_table(text)
