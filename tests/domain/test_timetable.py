"""The timetable: which windows come, when, and why not (promise 5; bars R9, R10, R11)."""

import os
import time as clock_time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from algohost.domain.calendars import (
    Calendar,
    DayKind,
    Edits,
    Knowledge,
    ListedDay,
    YearEntry,
    calendars,
)
from algohost.domain.errors import Invalid
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.domain.schedules import Late, Schedule, ScheduleKind, SpecialDays, Window
from algohost.domain.timetable import (
    Occurrence,
    Skipped,
    next_change,
    occurrences,
    plan,
    wanted_at,
    zone_of,
)
from algohost.domain.timetable_json import from_json, to_json
from algohost.domain.timetable_rules import check
from algohost.market.calendars import shipped, shipped_calendars

CALENDARS = shipped_calendars()
NSE, MCX, CRYPTO = (CALENDARS[e] for e in (Exchange.NSE, Exchange.MCX, Exchange.CRYPTO))
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TICK = timedelta(microseconds=1)


def schedule(*windows: str, **fields: Any) -> Schedule:
    """``09:20 15:15``, ``22:00 02:00+`` over night, ``09:20 -`` without stop; weekdays after."""
    made = []
    for text in windows:
        start, stop, *days = text.split()
        made.append(
            {
                "start": start,
                "stop": None if stop in {"-", "-+"} else stop.removesuffix("+"),
                "ends_next_day": stop.endswith("+"),
                "weekdays": days or WEEK[:5],
            }
        )
    kind = fields.pop("kind", "windows")
    return from_json({"kind": kind, "windows": made, **fields})


def told(found: Occurrence | Skipped, zone: Any = IST) -> str:
    """``20 09:20-15:15`` by local day and times, or ``24 closed``."""
    if isinstance(found, Skipped):
        return f"{found.date.day} {found.reason}"
    ends_at = found.ends_at
    end = "" if ends_at is None or not found.stops else f"{ends_at.astimezone(zone):%H:%M}"
    return f"{found.date.day} {found.start_at.astimezone(zone):%H:%M}-{end}"


def between(made: Schedule, calendar: Calendar, first: str, last: str) -> list[str]:
    zone = zone_of(made)
    start = datetime.combine(date.fromisoformat(first), time(0), zone)
    end = datetime.combine(date.fromisoformat(last) + timedelta(days=1), time(0), zone)
    return [told(one, zone) for one in plan(made, calendar, start, end)]


# fmt: off
PLANS = [
    ("a plain window comes on trading days and says why not on others",
     schedule("09:20 15:15"), NSE, "2026-11-20", "2026-11-25",
     ["20 09:20-15:15", "23 09:20-15:15", "24 closed", "25 09:20-15:15"]),
    ("weekdays that are not chosen are not even skipped",
     schedule("09:20 15:15 wed"), NSE, "2026-11-20", "2026-11-25", ["25 09:20-15:15"]),
    ("several windows a day",
     schedule("09:20 11:00", "13:00 15:15"), NSE, "2026-11-20", "2026-11-20",
     ["20 09:20-11:00", "20 13:00-15:15"]),
    ("session times follow the usual session",
     schedule("open+5 close-10"), NSE, "2026-11-20", "2026-11-20", ["20 09:20-15:20"]),
    ("an evening half day moves what hangs on the open, not what hangs on the close",
     schedule("open+5 close-10"), MCX, "2026-10-19", "2026-10-20",
     ["19 09:05-23:20", "20 17:05-23:20"]),
    ("a morning half day moves what hangs on the close",
     schedule("open+5 close-10"), MCX, "2026-01-01", "2026-01-02",
     ["1 09:05-16:50", "2 09:05-23:45"]),
    ("a clock window in the closed half of a half day does not come",
     schedule("10:00 16:00", "18:00 23:00"), MCX, "2026-10-20", "2026-10-20",
     ["20 outside_session", "20 18:00-23:00"]),
    ("a report after the close comes on trading days only",
     schedule("18:00 18:30"), NSE, "2026-11-23", "2026-11-24", ["23 18:00-18:30", "24 closed"]),
    ("special days are left out unless they are followed",
     schedule("09:20 15:15"), NSE, "2025-10-21", "2025-10-22", ["21 special_day", "22 closed"]),
    ("session times follow Muhurat where it is asked for",
     schedule("open+5 close-10", special_days="follow"), NSE, "2025-10-21", "2025-10-21",
     ["21 13:50-14:35"]),
    ("a Saturday session comes where Saturday is chosen and special days are followed",
     schedule("09:20 15:15 sat", special_days="follow"), NSE, "2025-02-01", "2025-02-08",
     ["1 09:20-15:15", "8 closed"]),
    ("a session of unknown time is not guessed",
     schedule("09:20 15:15 sun", special_days="follow"), NSE, "2026-11-08", "2026-11-08",
     ["8 time_unknown"]),
    ("a window that the short session swallows",
     schedule("open+30 close-40", special_days="follow"), NSE, "2025-10-21", "2025-10-21",
     ["21 too_short"]),
    ("two windows that only a half day brings together never overlap",
     schedule("open+0 13:00", "17:00 close-10"), MCX, "2026-10-20", "2026-10-20",
     ["20 too_short", "20 17:00-23:20"]),
    ("the later one begins when the earlier one has ended",
     schedule("09:05 open+120", "17:30 close-10"), MCX, "2026-10-20", "2026-10-20",
     ["20 09:05-19:00", "20 19:00-23:20"]),
    ("dates that a person left out",
     schedule("09:20 15:15", skipped=["2026-11-23"]), NSE, "2026-11-23", "2026-11-23",
     ["23 by_user"]),
    ("outside of its range nothing comes",
     schedule("09:20 15:15", first_day="2026-11-23", last_day="2026-11-23"), NSE,
     "2026-11-20", "2026-11-27", ["23 09:20-15:15"]),
    ("over night, on the date on which it starts",
     schedule("22:00 02:00+ fri"), CRYPTO, "2026-11-20", "2026-11-21", ["20 22:00-02:00"]),
    ("without a stop it may start until midnight",
     schedule("09:20 -"), NSE, "2026-11-20", "2026-11-20", ["20 09:20-"]),
]
# fmt: on


@pytest.mark.parametrize(
    ("made", "calendar", "first", "last", "expected"),
    [row[1:] for row in PLANS],
    ids=[row[0] for row in PLANS],
)
def test_a_plan(
    made: Schedule, calendar: Calendar, first: str, last: str, expected: list[str]
) -> None:
    assert between(made, calendar, first, last) == expected


def test_an_unknown_day_is_neither_open_nor_closed() -> None:
    """The window comes, with the usual times, and says that nobody knows."""
    start = datetime(2028, 1, 3, tzinfo=IST)
    for made in (schedule("09:20 15:15"), schedule("open+5 close-15")):
        (found,) = plan(made, NSE, start, start + timedelta(days=1))
        assert isinstance(found, Occurrence)
        assert told(found) == "3 09:20-15:15"
        assert found.knowledge is Knowledge.UNKNOWN
        assert "not known" in found.note


def test_a_tentative_day_is_marked() -> None:
    start = datetime(2027, 1, 4, tzinfo=IST)
    (found,) = occurrences(schedule("09:20 15:15"), NSE, start, start + timedelta(days=1))
    assert found.knowledge is Knowledge.TENTATIVE


def test_manual_is_never_wanted_and_always_is_always() -> None:
    at = datetime(2028, 2, 29, 3, tzinfo=IST)
    assert wanted_at(Schedule(), NSE, at) is None
    assert next_change(Schedule(), NSE, at) is None
    always = Schedule(kind=ScheduleKind.ALWAYS)
    found = wanted_at(always, NSE, at)
    assert found is not None
    assert (found.ends_at, found.key) == (None, "1970-01-01#0")
    assert next_change(always, NSE, at) is None
    assert occurrences(always, NSE, at, at + timedelta(days=1)) == []
    limited = Schedule(kind=ScheduleKind.ALWAYS, last_day=date(2028, 2, 29))
    change = next_change(limited, NSE, at)
    assert change is not None
    assert (change.at, change.wanted) == (datetime(2028, 3, 1, tzinfo=IST), None)


def test_the_next_change_is_the_start_and_then_the_stop() -> None:
    made = schedule("09:20 15:15")
    friday_night = datetime(2026, 11, 20, 22, tzinfo=IST)
    start = next_change(made, NSE, friday_night)
    assert start is not None
    assert start.wanted is not None
    assert (start.at, start.wanted.key) == (
        datetime(2026, 11, 23, 9, 20, tzinfo=IST),
        "2026-11-23#0",
    )
    stop = next_change(made, NSE, start.at)
    assert stop is not None
    assert (stop.at, stop.wanted) == (datetime(2026, 11, 23, 15, 15, tzinfo=IST), None)


# ---- clocks that jump (R11)

JUMPS = [
    # zone, window, first, last, local start and end of each, hours of each
    (
        "Asia/Kolkata",
        "09:15 15:30",
        "2026-03-08",
        "2026-03-09",
        ["8 09:15-15:30", "9 09:15-15:30"],
        [6.25, 6.25],
    ),
    ("Europe/London", "00:30 05:00", "2026-03-29", "2026-03-29", ["29 00:30-05:00"], [3.5]),
    ("Europe/London", "00:30 05:00", "2026-10-25", "2026-10-25", ["25 00:30-05:00"], [5.5]),
    # 01:30 does not exist: read with the offset before the jump it is 02:30
    ("Europe/London", "01:30 05:00", "2026-03-29", "2026-03-29", ["29 02:30-05:00"], [2.5]),
    # 01:30 comes twice: the first
    ("Europe/London", "01:30 05:00", "2026-10-25", "2026-10-25", ["25 01:30-05:00"], [4.5]),
    (
        "America/New_York",
        "02:30 04:00",
        "2026-03-08",
        "2026-03-09",
        ["8 03:30-04:00", "9 02:30-04:00"],
        [0.5, 1.5],
    ),
    ("America/New_York", "02:15 02:45", "2026-03-08", "2026-03-08", ["8 03:15-03:45"], [0.5]),
    ("America/New_York", "02:30 03:15", "2026-03-08", "2026-03-08", ["8 too_short"], []),
    ("America/New_York", "01:30 02:30", "2026-11-01", "2026-11-01", ["1 01:30-02:30"], [2]),
    (
        "America/New_York",
        "22:00 04:00+",
        "2026-10-31",
        "2026-11-01",
        ["31 22:00-04:00", "1 22:00-04:00"],
        [7, 6],
    ),
    # half an hour only
    ("Australia/Lord_Howe", "02:15 03:00", "2026-10-04", "2026-10-04", ["4 02:45-03:00"], [0.25]),
    ("Australia/Lord_Howe", "01:45 03:00", "2026-04-05", "2026-04-05", ["5 01:45-03:00"], [1.75]),
]


@pytest.mark.parametrize(("zone", "window", "first", "last", "expected", "lasting"), JUMPS)
def test_a_jump_of_the_clocks_gives_each_date_one_defined_occurrence(
    zone: str, window: str, first: str, last: str, expected: list[str], lasting: list[float]
) -> None:
    """R11: a fold once, a gap at a defined instant, each date one entry."""
    made = schedule(" ".join([window, *WEEK]), zone=zone)
    assert between(made, CRYPTO, first, last) == expected
    start = datetime.combine(date.fromisoformat(first), time(0), zone_of(made))
    end = datetime.combine(date.fromisoformat(last) + timedelta(days=1), time(0), zone_of(made))
    found = occurrences(made, CRYPTO, start, end)
    assert [(o.ends_at - o.start_at) / timedelta(hours=1) for o in found if o.ends_at] == lasting


@contextmanager
def server_zone(name: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    clock_time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        clock_time.tzset()


def test_the_zone_of_the_server_is_of_no_account() -> None:
    seen = []
    for zone in ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"):
        with server_zone(zone):
            # anew, as nothing may be remembered from another zone
            nse = shipped_calendars()[Exchange.NSE]
            seen.append(between(schedule("open+5 15:15"), nse, "2026-10-01", "2026-11-10"))
    assert all(one == seen[0] for one in seen)


# ---- five simulated years (2023 unknown, 2024–2026 published, 2027 tentative, 2028 unknown)

FIRST, LAST = datetime(2023, 11, 1, tzinfo=UTC), datetime(2028, 10, 31, tzinfo=UTC)
ZONES = ["Asia/Kolkata", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Tokyo",
         "Pacific/Kiritimati", "Pacific/Honolulu"]  # fmt: skip
CLOCK = st.integers(0, 1439).map(lambda m: f"{m // 60:02d}:{m % 60:02d}")
SESSION = st.one_of(
    st.integers(-240, 600).map(lambda m: f"open{m:+d}"),
    st.integers(-600, 240).map(lambda m: f"close{m:+d}"),
)
MOMENT = st.one_of(CLOCK, CLOCK, SESSION)
DATES = st.dates(FIRST.date(), LAST.date()).map(str)
WINDOW = st.fixed_dictionaries(
    {
        "start": MOMENT,
        "stop": st.none() | MOMENT,
        "weekdays": st.lists(st.sampled_from(WEEK), min_size=1, unique=True),
        "ends_next_day": st.booleans(),
    }
)
FIELDS = st.fixed_dictionaries(
    {
        "kind": st.just("windows"),
        "windows": st.lists(WINDOW, min_size=1, max_size=3),
        "first_day": st.none() | DATES,
        "last_day": st.none() | DATES,
        "skipped": st.lists(DATES, max_size=5, unique=True),
        "special_days": st.sampled_from(["skip", "follow"]),
        "late": st.sampled_from(["catch_up", "wait"]),
        "zone": st.sampled_from(ZONES),
    }
)
INSTANTS = st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)).map(
    lambda at: at.replace(tzinfo=UTC)
)


@st.composite
def a_schedule(draw: st.DrawFn) -> tuple[Schedule, Calendar]:
    """One that the rules accept, and an exchange's calendar with some edits in it."""
    tables = {
        (exchange, one): ListedDay(exchange=exchange, date=one, kind=kind, name="Edit")
        for exchange in (Exchange.NSE, Exchange.MCX)
        for one, kind in draw(
            st.dictionaries(
                st.dates(FIRST.date(), LAST.date()),
                st.sampled_from([DayKind.HOLIDAY, DayKind.SPECIAL]),
                max_size=3,
            )
        ).items()
    }
    years = (YearEntry(exchange=Exchange.NSE, year=2028, status=Knowledge.TENTATIVE),)
    made = calendars(
        shipped(),
        Edits(days=tuple(tables.values()), years=years if draw(st.booleans()) else ()),
    )
    calendar = made[draw(st.sampled_from([Exchange.NSE, Exchange.MCX, Exchange.CRYPTO]))]
    accepted = None
    try:
        accepted = check(from_json(draw(FIELDS)), calendar)
    except Invalid:
        assume(False)
    assert accepted is not None
    return accepted, calendar


RELAXED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@settings(RELAXED, max_examples=25)
@given(a_schedule())
def test_over_five_years_windows_have_one_entry_a_date_and_never_overlap(
    drawn: tuple[Schedule, Calendar],
) -> None:
    """R10: what the ledger is keyed by is unique; R11: no date is missed, none comes twice."""
    made, calendar = drawn
    entries = plan(made, calendar, FIRST, LAST)
    keys = [one.key for one in entries]
    assert len(keys) == len(set(keys))
    zone, day = zone_of(made), FIRST.date() + timedelta(days=2)
    expected = set()
    while day < LAST.date() - timedelta(days=2):
        for number, window in enumerate(made.windows):
            if WEEK[day.weekday()] in window.weekdays and made.covers(day):
                expected.add(f"{day}#{number}")
        day += timedelta(days=1)
    assert expected <= set(keys)
    found = [one for one in entries if isinstance(one, Occurrence)]
    assert [one.start_at for one in entries] == sorted(one.start_at for one in entries)
    for one, following in pairwise(found):
        assert one.ends_at is not None
        assert one.start_at < one.ends_at <= following.start_at
    for one in found:
        assert one.ends_at is not None
        assert one.ends_at - one.start_at <= timedelta(days=2)
        assert one.date not in made.skipped
        assert made.covers(one.date)
        plain = isinstance(made.windows[one.window].start, time)
        assert not plain or one.start_at.astimezone(zone).date() >= one.date
    for skip in entries:
        assert isinstance(skip, Occurrence) or skip.sentence.endswith((".", ")"))


@settings(RELAXED, max_examples=60)
@given(a_schedule(), st.lists(INSTANTS, min_size=1, max_size=3))
def test_wanted_at_agrees_with_the_occurrences_at_every_edge(
    drawn: tuple[Schedule, Calendar], instants: list[datetime]
) -> None:
    made, calendar = drawn
    for at in instants:
        near = occurrences(made, calendar, at - timedelta(days=4), at + timedelta(days=4))
        edges = [edge for o in near for edge in (o.start_at, o.ends_at) if edge is not None]
        for instant in [at, *(e - TICK for e in edges), *edges, *(e + TICK for e in edges)]:
            if abs(instant - at) < timedelta(days=2):
                holding = [one for one in near if one.holds(instant)]
                assert len(holding) <= 1
                assert wanted_at(made, calendar, instant) == (holding[0] if holding else None)


@settings(RELAXED, max_examples=40)
@given(a_schedule(), INSTANTS)
def test_walking_from_change_to_change_meets_every_occurrence(
    drawn: tuple[Schedule, Calendar], start: datetime
) -> None:
    """R9: from any instant at which a server may come back, nothing is stepped over."""
    made, calendar = drawn
    end = start + timedelta(days=20)
    met, at = [], start
    now = wanted_at(made, calendar, at)
    while (change := next_change(made, calendar, at)) is not None and change.at < end:
        assert change.at > at
        assert wanted_at(made, calendar, change.at - TICK) == now
        assert wanted_at(made, calendar, change.at) == change.wanted != now
        at, now = change.at, change.wanted
        if now is not None:
            met.append(now)
    listed = occurrences(made, calendar, start + TICK, end)
    assert met == list(listed)


@settings(RELAXED, max_examples=40)
@given(a_schedule(), INSTANTS, st.integers(1, 400))
def test_a_plan_in_parts_is_the_plan_of_the_whole(
    drawn: tuple[Schedule, Calendar], start: datetime, hours: int
) -> None:
    made, calendar = drawn
    middle, end = start + timedelta(hours=hours), start + timedelta(days=20)
    parts = [*plan(made, calendar, start, middle), *plan(made, calendar, middle, end)]
    assert parts == list(plan(made, calendar, start, end))


@settings(RELAXED, max_examples=60)
@given(a_schedule())
def test_a_schedule_is_read_back_from_json_as_the_same(drawn: tuple[Schedule, Calendar]) -> None:
    assert from_json(to_json(drawn[0])) == drawn[0]


# ---- refusals

REFUSED = [
    (
        schedule("15:30 09:15"),
        NSE,
        "Window 15:30–09:15 ends before it starts; give a stop time after 15:30, or let it",
    ),
    (schedule("09:15 09:15"), NSE, "ends before it starts"),
    (schedule("09:15 10:00+"), NSE, "longer than a day"),
    (
        schedule("09:15 15:00", "14:00 15:30"),
        NSE,
        "The windows 09:15–15:00 and 14:00–15:30 overlap",
    ),
    (schedule("09:15 -", "14:00 15:30"), NSE, "It has no stop time, so it lasts until midnight."),
    (schedule("22:00 09:30+ sun", "09:15 15:30 mon"), NSE, "overlap"),
    (schedule("open+5 15:00", "14:00 15:30"), NSE, "overlap"),
    (schedule("open+5 09:10"), NSE, "ends before it starts on a usual day of NSE (09:15–15:30)"),
    (schedule("open+5 close-10"), CRYPTO, "never opens or closes"),
    (schedule("open+901 close-10"), NSE, "too far from the session"),
    (schedule("open+5 02:00+"), MCX, "two clock times"),
    (schedule("09:20 -+"), NSE, "without a stop"),
    (schedule(), NSE, "has 0 windows; give it 1 to 20"),
    (schedule("09:20 15:15", kind="manual"), NSE, "manual has no windows"),
    (schedule(kind="always", skipped=["2026-11-23"]), NSE, "no skipped dates"),
    (schedule("09:20 15:15", zone="Asia/Atlantis"), NSE, "There is no time zone 'Asia/Atlantis'"),
    (schedule("09:20 15:15", zone="localtime"), NSE, "There is no time zone 'localtime'"),
    (
        Schedule(kind=ScheduleKind.ALWAYS, last_day=date(9999, 12, 31)),
        NSE,
        "The day 9999-12-31 is out of reach; give one from 2000 to 2100.",
    ),
    (
        Schedule(kind=ScheduleKind.ALWAYS, first_day=date(1, 1, 1)),
        NSE,
        "The day 0001-01-01 is out of reach",
    ),
    (schedule("09:20 15:15", first_day="2026-11-23", last_day="2026-11-20"), NSE, "swap them"),
    (
        schedule("09:20 15:15", first_day="2026-11-21", last_day="2026-11-22"),
        NSE,
        "No chosen weekday",
    ),
    (schedule("09:20 15:15", last_day="2026-11-20", skipped=["2026-11-23"]), NSE, "not between"),
    (
        Schedule(
            kind=ScheduleKind.WINDOWS,
            windows=(Window(start=time(9, 20), stop=time(15), weekdays=frozenset()),),
        ),
        NSE,
        "has no weekday; choose at least one",
    ),
]


@pytest.mark.parametrize(("made", "calendar", "said"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_makes_no_sense_is_refused_in_a_sentence(
    made: Schedule, calendar: Calendar, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check(made, calendar)
    assert said in refused.value.message
    assert refused.value.code == "BAD_SCHEDULE"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "must be a JSON object"),
        ({"kind": "sometimes"}, "one of manual, always, windows"),
        ({"windows": [{"start": "9:20"}]}, "'9:20' is no time"),
        ({"windows": [{"start": "open+5m"}]}, "write 09:20, open+5 or close-10"),
        ({"windows": [{}]}, "start is missing"),
        ({"windows": [{"start": "09:20", "weekdays": ["monday"]}]}, "weekdays must be one of mon"),
        ({"windows": [{"start": "09:20", "ends_next_day": "yes"}]}, "true or false"),
        ({"skipped": ["23-11-2026"]}, "no date written YYYY-MM-DD"),
        ({"start": "09:20"}, "has no field 'start'"),
    ],
)
def test_json_that_cannot_be_read_is_refused_and_nothing_is_filled_in(
    value: object, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        from_json(value)
    assert said in refused.value.message


def test_special_days_are_left_out_by_default() -> None:
    assert Schedule().special_days is SpecialDays.SKIP


# ---- what a schedule says of late starts, and seconds


def test_clock_times_may_have_seconds_and_are_read_back_as_the_same() -> None:
    made = schedule("09:15:30 15:15", late="wait")
    assert to_json(made)["windows"][0]["start"] == "09:15:30"
    assert to_json(made)["late"] == "wait"
    assert from_json(to_json(made)) == made
    assert from_json({"kind": "manual"}).late is Late.CATCH_UP


def test_windows_overlap_to_the_second() -> None:
    check(schedule("09:15:00 09:15:30", "09:15:30 10:00"), NSE)
    with pytest.raises(Invalid, match="overlap"):
        check(schedule("09:15:00 09:15:31", "09:15:30 10:00"), NSE)
