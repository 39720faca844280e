"""Calendars: what is known of a day, and that nothing is guessed where nothing is known."""

import contextlib
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.calendar_rows import BadRows, parse_csv, to_csv
from algohost.domain.calendars import (
    EXCHANGES,
    LISTED_KINDS,
    Calendar,
    DayKind,
    Edits,
    Hours,
    Knowledge,
    ListedDay,
    YearEntry,
    calendars,
)
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.market.calendars import shipped, shipped_calendars

CALENDARS = shipped_calendars()


def ist(at: datetime) -> str:
    return f"{at.astimezone(IST):%H:%M}"


def hours(calendar: Calendar, day: str) -> str:
    found = calendar.day(date.fromisoformat(day)).sessions
    return " ".join(f"{ist(s.opens_at)}-{ist(s.closes_at)}" for s in found)


# fmt: off
DAYS = [
    ("NSE", "2026-11-20", "normal", "published", "09:15-15:30"),
    ("NSE", "2026-11-21", "weekend", "published", ""),
    ("NSE", "2026-11-24", "holiday", "published", ""),
    ("CDS", "2026-11-20", "normal", "published", "09:00-17:00"),
    ("MCX", "2026-11-24", "evening", "published", "17:00-23:55"),
    ("MCX", "2026-10-20", "evening", "published", "17:00-23:30"),
    ("MCX", "2026-01-01", "morning", "published", "09:00-17:00"),
    ("NCO", "2026-12-25", "holiday", "published", ""),
    ("NSE", "2026-01-01", "normal", "published", "09:15-15:30"),
    ("NSE", "2025-04-01", "settlement", "published", "09:15-15:30"),
    ("CDS", "2025-04-01", "holiday", "published", ""),
    ("NSE", "2024-11-01", "special", "published", "18:00-19:00"),
    ("BFO", "2025-10-21", "special", "published", "13:45-14:45"),
    ("NFO", "2024-01-20", "special", "published", "09:15-15:30"),
    ("BSE", "2024-03-02", "special", "published", "09:15-10:00 11:30-12:30"),
    ("NSE", "2024-05-18", "special", "published", "09:15-10:00 11:45-12:40"),
    ("NSE", "2025-02-01", "special", "published", "09:15-15:30"),
    ("MCX", "2025-02-01", "special", "published", "09:00-17:00"),
    ("CDS", "2025-02-01", "weekend", "published", ""),
    ("NSE", "2026-02-01", "special", "published", "09:15-15:30"),
    ("NSE", "2026-11-08", "special", "unknown", ""),
    ("NSE", "2027-01-04", "normal", "tentative", "09:15-15:30"),
    ("NSE", "2027-03-26", "holiday", "tentative", ""),
    ("NSE", "2028-01-03", "unknown", "unknown", ""),
    ("NSE", "2023-06-01", "unknown", "unknown", ""),
    ("CRYPTO", "2028-01-01", "normal", "published", "00:00-00:00"),
]
# fmt: on


@pytest.mark.parametrize(("exchange", "day", "kind", "knowledge", "span"), DAYS)
def test_a_day_has_its_kind_its_sessions_and_how_sure_that_is(
    exchange: str, day: str, kind: str, knowledge: str, span: str
) -> None:
    calendar = CALENDARS[Exchange(exchange)]
    found = calendar.day(date.fromisoformat(day))
    assert (found.kind, found.knowledge, hours(calendar, day)) == (kind, knowledge, span)


def test_every_calendar_holds_what_it_promises_of_each_day() -> None:
    """Sessions in order and of their date; holidays named; nothing concluded from the unknown."""
    for calendar in CALENDARS.values():
        for day in calendar.days(date(2023, 12, 1), date(2028, 1, 31)):
            ends = [at for s in day.sessions for at in (s.opens_at, s.closes_at)]
            assert ends == sorted(set(ends))
            assert all(s.opens_at.astimezone(IST).date() == day.date for s in day.sessions)
            assert day.name or day.kind in {DayKind.NORMAL, DayKind.WEEKEND, DayKind.UNKNOWN}
            if not day.is_known:
                assert day.sessions == ()
                assert day.kind in {DayKind.UNKNOWN, DayKind.SPECIAL}
            if not calendar.never_closes and day.date.year in {2023, 2028}:
                assert day.kind is DayKind.UNKNOWN


def test_segments_of_one_exchange_agree() -> None:
    pairs = [("NSE", "BSE"), ("NSE", "NFO"), ("BSE", "BFO"), ("CDS", "BCD"), ("MCX", "NCO")]
    for one, other in pairs:
        first, last = date(2024, 1, 1), date(2027, 12, 31)
        days = zip(
            CALENDARS[Exchange(one)].days(first, last),
            CALENDARS[Exchange(other)].days(first, last),
            strict=True,
        )
        assert all((a.kind, a.sessions) == (b.kind, b.sessions) for a, b in days)


@pytest.mark.parametrize(
    ("today", "said"),
    [
        ("2026-08-01", None),
        ("2026-09-10", "2027 is only tentative"),
        ("2026-12-31", "2027 is only tentative"),
        ("2027-06-01", "2027 is only tentative"),
        ("2028-02-01", "2028 is unknown"),
    ],
)
def test_a_missing_year_is_spoken_of_months_ahead(today: str, said: str | None) -> None:
    warning = CALENDARS[Exchange.NSE].warning(date.fromisoformat(today))
    if said is None:
        assert warning is None
    else:
        assert warning is not None
        assert said in warning
    assert CALENDARS[Exchange.CRYPTO].warning(date.fromisoformat(today)) is None


def test_open_from_the_first_instant_of_a_session_to_the_last() -> None:
    nse = CALENDARS[Exchange.NSE]
    opens = datetime(2026, 11, 20, 9, 15, tzinfo=IST)
    closes = datetime(2026, 11, 20, 15, 30, tzinfo=IST)
    tick = timedelta(microseconds=1)
    asked = (opens - tick, opens, closes - tick, closes)
    assert [nse.is_open(at) for at in asked] == [False, True, True, False]


def test_an_edit_wins_and_its_removal_brings_the_table_back() -> None:
    day = date(2026, 11, 20)
    edit = ListedDay(exchange=Exchange.NSE, date=day, kind=DayKind.HOLIDAY, name="Mourning")
    edited = calendars(shipped(), Edits(days=(edit,)))[Exchange.NSE].day(day)
    assert (edited.kind, edited.name, edited.is_edited) == (DayKind.HOLIDAY, "Mourning", True)
    assert CALENDARS[Exchange.NSE].day(day).kind is DayKind.NORMAL


def test_entering_a_year_makes_it_known_and_drops_what_was_tentative() -> None:
    entry = YearEntry(exchange=Exchange.NSE, year=2027, status=Knowledge.PUBLISHED)
    made = calendars(shipped(), Edits(years=(entry,)))
    nse, mcx = made[Exchange.NSE], made[Exchange.MCX]
    assert nse.published_until == date(2027, 12, 31)
    assert nse.day(date(2027, 4, 19)).kind is DayKind.NORMAL
    assert mcx.day(date(2027, 4, 19)).knowledge is Knowledge.TENTATIVE


def test_one_holiday_of_a_far_year_does_not_make_the_rest_of_it_known() -> None:
    day = date(2029, 1, 26)
    edit = ListedDay(exchange=Exchange.NSE, date=day, kind=DayKind.HOLIDAY, name="Republic Day")
    nse = calendars(shipped(), Edits(days=(edit,)))[Exchange.NSE]
    assert nse.day(day).kind is DayKind.HOLIDAY
    assert nse.day(date(2029, 1, 29)).kind is DayKind.UNKNOWN


# ---- files

HEADER = "exchanges,date,kind,name,hours,status,note\n"
BAD = [
    ("", "must name the columns"),
    (HEADER, "no row below its header"),
    ("exchanges,date\nNSE,2027-01-01\n", "must name the columns"),
    (HEADER + "NSE,2027-13-01,holiday,X,,,\n", "Row 2: '2027-13-01' is no date"),
    (HEADER + "NSE,1999-01-01,holiday,X,,,\n", "2000 to 2100"),
    (HEADER + "LSE,2027-01-01,holiday,X,,,\n", "no exchange 'LSE'"),
    (HEADER + "CRYPTO,2027-01-01,holiday,X,,,\n", "no exchange 'CRYPTO'"),
    (HEADER + ",2027-01-01,holiday,X,,,\n", "No exchange is named"),
    (HEADER + "NSE,2027-01-01,closed,X,,,\n", "no kind 'closed'"),
    (HEADER + "NSE,2027-01-01,holiday,,,,\n", "has no name"),
    (HEADER + "NSE,2027-01-01,holiday,X,09:15-15:30,,\n", "is a holiday with hours"),
    (HEADER + "NSE,2027-01-01,special,X,9-15,,\n", "not of the form 09:15-15:30"),
    (HEADER + "NSE,2027-01-01,special,X,15:30-09:15,,\n", "end before they begin"),
    (HEADER + "NSE,2027-01-01,special,X,09:15-10:00 09:30-11:00,,\n", "begin before 09:15-10:00"),
    (HEADER + "NSE,2027-01-01,special,X,25:00-26:00,,\n", "no time 25:00"),
    (HEADER + "NSE,2027-01-01,evening,X,,,\n", "NSE has no evening session"),
    (HEADER + "NSE,2027-01-02,normal,,,,\n", "Sat 2 Jan 2027: trading on a weekend"),
    (HEADER + "NSE,2027-01-01,holiday,X,,maybe,\n", "no status 'maybe'"),
    (HEADER + "NSE,2027-01-01,holiday,X,,,,more\n", "8 cells under 7 columns"),
    (HEADER + "NSE,27,year,,,,\n", "'27' is no year"),
    (HEADER + "NSE,2027-01-01,holiday,X,,,\nNSE,2027-01-01,special,Y,,,\n", "twice"),
    (HEADER + 'NSE,2027-01-01,holiday,"X,,,\n', "is not CSV"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_file_is_refused_with_its_row_and_a_sentence(text: str, said: str) -> None:
    with pytest.raises(BadRows) as refused:
        parse_csv(text)
    assert said in refused.value.message


def test_every_bad_row_is_named_and_none_is_taken() -> None:
    text = HEADER + "NSE,2027-01-01,holiday,X,,,\nLSE,x,y,,,,\n\nNSE,2027-02-30,holiday,X,,,\n"
    with pytest.raises(BadRows) as refused:
        parse_csv(text)
    rows = refused.value.details["rows"]
    assert isinstance(rows, list)
    assert [row["row"] for row in rows] == [3, 5]


def test_a_file_from_a_spreadsheet_is_read() -> None:
    """A byte order mark, capitals, commas between exchanges, missing columns."""
    text = '\ufeffDate,Exchanges,Kind,Name\r\n2027-01-26,"nse, bse",HOLIDAY,Republic Day\r\n'
    found = parse_csv(text)
    assert [(d.exchange.value, d.kind.value) for d in found.days] == [
        ("NSE", "holiday"),
        ("BSE", "holiday"),
    ]


TRADED = [one for one in EXCHANGES if one is not Exchange.CRYPTO]
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)
SPANS = st.sampled_from([(), ("09:15-15:30",), ("09:15-10:00", "11:30-12:30"), ("18:00-00:00",)])


@st.composite
def a_listed_day(draw: st.DrawFn) -> ListedDay:
    exchange = draw(st.sampled_from(TRADED))
    kind = draw(st.sampled_from(LISTED_KINDS))
    day = draw(st.dates(date(2000, 1, 1), date(2100, 12, 31)))
    if kind in {DayKind.NORMAL, DayKind.SETTLEMENT}:
        day -= timedelta(days=max(0, day.weekday() - 4))
    divided = exchange in {Exchange.MCX, Exchange.NCO}
    kind = kind if divided or kind not in {DayKind.MORNING, DayKind.EVENING} else DayKind.SPECIAL
    spans = () if kind is DayKind.HOLIDAY else draw(SPANS)
    return ListedDay(
        exchange=exchange,
        date=day,
        kind=kind,
        name=draw(TEXTS) or "a name",
        hours=tuple(
            Hours(
                open=time.fromisoformat(one[:5]),
                close=time.fromisoformat(one[6:]),
            )
            for one in spans
        ),
        status=draw(st.sampled_from([Knowledge.PUBLISHED, Knowledge.TENTATIVE])),
        note=draw(TEXTS),
    )


@given(st.lists(a_listed_day(), min_size=1, max_size=12, unique_by=lambda d: (d.exchange, d.date)))
def test_what_is_exported_is_imported_as_the_same(days: list[ListedDay]) -> None:
    years = (YearEntry(exchange=Exchange.NSE, year=2027, status=Knowledge.PUBLISHED),)
    again = parse_csv(to_csv(Edits(days=tuple(days), years=years)))
    assert set(again.days) == set(days)
    assert again.years == years


@given(st.text(max_size=200))
def test_no_file_is_half_taken_or_makes_a_fault(text: str) -> None:
    with contextlib.suppress(BadRows):
        parse_csv(text)
