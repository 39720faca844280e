"""Schedules in words, and what the top bar says of the exchanges."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.calendars import calendars
from algohost.domain.ids import IST
from algohost.domain.schedules import (
    WEEKDAYS,
    WORKDAYS,
    Edge,
    Moment,
    Schedule,
    ScheduleKind,
    SessionTime,
    Weekday,
    Window,
)
from algohost.market.calendars import shipped
from algohost.web.market_sessions import DAYS, states, states_json
from algohost.web.schedule_words import days_text, in_text, sentence, short, span_text

CALENDARS = calendars(shipped())
OPEN, CLOSE = SessionTime(edge=Edge.OPEN, minutes=5), SessionTime(edge=Edge.CLOSE, minutes=-10)


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def windows(*made: Window, **more: object) -> Schedule:
    return Schedule(kind=ScheduleKind.WINDOWS, windows=made, **more)  # type: ignore[arg-type]


def window(start: Moment, stop: Moment | None, days: str = "", **more: bool) -> Window:
    weekdays = frozenset(Weekday(day) for day in days.split()) or WORKDAYS
    return Window(start=start, stop=stop, weekdays=weekdays, **more)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("mon tue wed thu fri", "Mon–Fri"),
        ("mon", "Mon"),
        ("mon tue", "Mon, Tue"),
        ("mon wed fri", "Mon, Wed, Fri"),
        ("mon tue wed sat sun", "Mon–Wed, Sat, Sun"),
        ("fri sat sun", "Fri–Sun"),
        ("sun mon", "Mon, Sun"),
        (" ".join(WEEKDAYS), "every day"),
    ],
)
def test_weekdays_are_written_as_people_say_them(days: str, said: str) -> None:
    assert days_text(frozenset(Weekday(day) for day in days.split())) == said


@given(st.frozensets(st.sampled_from(WEEKDAYS), min_size=1))
def test_no_two_sets_of_weekdays_read_the_same(days: frozenset[Weekday]) -> None:
    """Every day is in the words, alone or inside a span."""
    if len(days) == len(WEEKDAYS):
        assert days_text(days) == "every day"
        return
    named: set[Weekday] = set()
    for part in days_text(days).lower().split(", "):
        first, _, last = part.partition("–")
        begin, end = Weekday(first), Weekday(last or first)
        named |= set(WEEKDAYS[WEEKDAYS.index(begin) : WEEKDAYS.index(end) + 1])
    assert named == days


MORNING = window(time(9, 20), time(15, 25))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule(), "No schedule: it starts and stops when somebody says so."),
        (Schedule(kind=ScheduleKind.ALWAYS), "Runs around the clock, every day."),
        (windows(MORNING), "Runs Mon–Fri 09:20–15:25 IST on NSE."),
        (windows(window(time(9, 20), None)), "Runs Mon–Fri from 09:20 IST on NSE."),
        (
            windows(window(OPEN, CLOSE)),
            "Runs Mon–Fri 5 min after open to 10 min before close on NSE.",
        ),
        (
            windows(window(time(17), time(1), "fri", ends_next_day=True)),
            "Runs Fri 17:00–01:00 the next day IST on NSE.",
        ),
        (
            windows(
                window(time(9, 20), time(11)),
                window(time(14), time(15, 25)),
                window(time(10), time(11), "sat"),
            ),
            "Runs Mon–Fri 09:20–11:00 and 14:00–15:25; Sat 10:00–11:00 IST on NSE.",
        ),
        (
            windows(MORNING, zone="Europe/London", last_day=date(2026, 12, 31)),
            "Runs Mon–Fri 09:20–15:25 (Europe/London time) on NSE, until Thu 31 Dec 2026.",
        ),
        (
            windows(MORNING, first_day=date(2026, 12, 1), skipped=frozenset({date(2026, 12, 24)})),
            "Runs Mon–Fri 09:20–15:25 IST on NSE, from Tue 1 Dec 2026, except on Thu 24 Dec.",
        ),
        (
            windows(MORNING, skipped=frozenset(date(2026, 12, n) for n in range(1, 8))),
            "Runs Mon–Fri 09:20–15:25 IST on NSE, except on 7 dates.",
        ),
    ],
)
def test_a_schedule_is_one_sentence(schedule: Schedule, said: str) -> None:
    assert sentence(schedule, "NSE") == said


def test_the_short_form_leaves_the_rest_out() -> None:
    assert short(windows(MORNING)) == "Mon–Fri 09:20–15:25"
    assert short(Schedule(kind=ScheduleKind.ALWAYS)) == "24×7"
    assert short(Schedule()) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (-5, "now"),
        (42, "in 42 s"),
        (60, "in 1 min"),
        (3_599, "in 59 min"),
        (3_600, "in 1 h 0 min"),
        (133_200, "in 1 d 13 h"),
    ],
)
def test_how_long_until_a_start(seconds: float, said: str) -> None:
    assert in_text(seconds) == said


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-11-23T09:20", "2026-11-23T15:25", "09:20–15:25"),
        ("2026-11-23T17:00", "2026-11-24T01:00", "17:00–Tue 24 Nov 01:00"),
        ("2026-11-23T09:20", "2026-11-24T00:00", "09:20–24:00"),
    ],
)
def test_a_span_names_its_second_day(start: str, end: str, said: str) -> None:
    assert span_text(ist(start), ist(end)) == said
    assert span_text(ist(start), None) == f"from {start[-5:]}"


@pytest.mark.parametrize(
    ("at", "text", "more", "also"),
    [
        ("2026-11-23T08:00", "NSE opens 09:15", "", ""),
        ("2026-11-23T09:00", "NSE opens 09:15", "", "MCX open until 23:55"),
        ("2026-11-23T09:15", "NSE open until 15:30", "", ""),
        ("2026-11-23T15:29:59", "NSE open until 15:30", "", ""),
        ("2026-11-23T15:30", "NSE opens Wed 09:15", "", "MCX open until 23:55"),
        ("2026-11-23T17:00", "NSE opens Wed 09:15", "", "MCX evening session"),
        ("2026-11-24T10:00", "NSE closed: Guru Nanak Jayanti", "NSE opens Wed 09:15", ""),
        (
            "2026-11-24T18:00",
            "NSE closed: Guru Nanak Jayanti",
            "NSE opens Wed 09:15",
            "MCX evening session",
        ),
        ("2026-11-21T10:00", "NSE opens Mon 09:15", "", ""),
        ("2029-01-03T10:00", "NSE hours not known", "", ""),
    ],
)
def test_the_top_bar_says_what_the_exchanges_do(at: str, text: str, more: str, also: str) -> None:
    state = states(CALENDARS, ist(at))[0]
    assert (state.text, state.more, state.also) == (text, more, also)
    assert state.is_open == ("open until" in text)


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 1)),  # noqa: DTZ001 - made aware below
    st.floats(0, 1),
)
def test_a_page_that_stays_open_says_what_a_fresh_one_would(at: datetime, share: float) -> None:
    """What was planned ahead for a later instant is what that instant makes of it."""
    now = at.replace(tzinfo=UTC)
    until = states_json(CALENDARS, now)["until"]
    later = now + timedelta(milliseconds=(until - int(now.timestamp() * 1000) - 1) * share)
    planned = [one for one in states(CALENDARS, now) if one.at <= later][-1]
    fresh = states(CALENDARS, later)[0]
    assert (planned.text, planned.is_open, planned.more, planned.also) == (
        fresh.text,
        fresh.is_open,
        fresh.more,
        fresh.also,
    )
    assert len(states(CALENDARS, now)) <= 8 * DAYS
