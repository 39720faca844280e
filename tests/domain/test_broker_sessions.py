"""Broker sessions as pure functions of the time."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.broker_sessions import (
    BrokerSession,
    SessionState,
    Told,
    next_logout,
    parse_logout_time,
)
from algohost.domain.errors import Invalid
from algohost.domain.ids import IST, AccountId

ACCOUNT = AccountId("paper-asha")
NINE = datetime(2026, 11, 23, 9, 0, tzinfo=IST)
HALF_PAST_THREE = datetime(2026, 11, 24, 3, 30, tzinfo=IST)
AHEAD = timedelta(minutes=30)
LOGIN = BrokerSession(
    account_id=ACCOUNT, is_login=True, at=NINE, by="asha", expires_at=HALF_PAST_THREE
)


@pytest.mark.parametrize(
    ("after", "at", "expected"),
    [
        (NINE, time(3, 30), HALF_PAST_THREE),
        (HALF_PAST_THREE - timedelta(seconds=1), time(3, 30), HALF_PAST_THREE),
        (HALF_PAST_THREE, time(3, 30), HALF_PAST_THREE + timedelta(days=1)),
        # the day is India's, not that of UTC
        (datetime(2026, 11, 22, 22, 5, tzinfo=UTC), time(3, 30), HALF_PAST_THREE),
        (NINE, time(9, 1), NINE + timedelta(minutes=1)),
    ],
)
def test_a_session_ends_at_the_next_such_time_in_india(
    after: datetime, at: time, expected: datetime
) -> None:
    assert next_logout(after, at) == expected


@given(st.datetimes(timezones=st.just(UTC)), st.times())
def test_the_end_comes_within_a_day_and_never_at_once(after: datetime, at: time) -> None:
    ends = next_logout(after, at)
    assert timedelta(0) < ends - after <= timedelta(days=1)
    assert ends.astimezone(IST).time() == at


@pytest.mark.parametrize(
    ("session", "now", "state", "since"),
    [
        (LOGIN, NINE, SessionState.LOGGED_IN, NINE),
        (LOGIN, HALF_PAST_THREE - timedelta(microseconds=1), SessionState.LOGGED_IN, NINE),
        (LOGIN, HALF_PAST_THREE, SessionState.EXPIRED, HALF_PAST_THREE),
        (
            BrokerSession(account_id=ACCOUNT, is_login=False, at=NINE, by="asha"),
            HALF_PAST_THREE,
            SessionState.LOGGED_OUT,
            NINE,
        ),
        (
            BrokerSession(account_id=ACCOUNT, is_login=True, at=None, by=""),
            HALF_PAST_THREE,
            SessionState.LOGGED_IN,
            None,
        ),
    ],
)
def test_how_a_session_stands_is_a_question_of_the_time(
    session: BrokerSession, now: datetime, state: SessionState, since: datetime | None
) -> None:
    assert (session.state(now), session.since(now)) == (state, since)


@pytest.mark.parametrize(
    ("told", "minutes_before", "news"),
    [
        (Told.NOTHING, 31, Told.NOTHING),
        (Told.NOTHING, 30, Told.EXPIRING),
        (Told.EXPIRING, 30, Told.NOTHING),
        (Told.EXPIRING, 0, Told.EXPIRED),
        (Told.NOTHING, 0, Told.EXPIRED),  # the server was away when it was near
        (Told.EXPIRED, -600, Told.NOTHING),
    ],
)
def test_an_end_is_told_ahead_and_when_it_comes_each_once(
    told: Told, minutes_before: int, news: Told
) -> None:
    session = BrokerSession(
        account_id=ACCOUNT, is_login=True, at=NINE, by="asha", expires_at=HALF_PAST_THREE, told=told
    )
    now = HALF_PAST_THREE - timedelta(minutes=minutes_before)
    assert session.news(now, ahead=AHEAD) is news


@pytest.mark.parametrize(
    ("minutes_before", "news"),
    [
        (24 * 60, Told.NOTHING),
        (29, Told.EXPIRING),
        (4, Told.NOTHING),  # a clock that is corrected by seconds repeats nothing
        (-1, Told.NOTHING),
    ],
)
def test_an_end_that_a_wrong_clock_told_is_told_again_when_it_comes(
    minutes_before: int, news: Told
) -> None:
    session = replace(LOGIN, told=Told.EXPIRED)
    now = HALF_PAST_THREE - timedelta(minutes=minutes_before)
    assert session.news(now, ahead=AHEAD) is news


@pytest.mark.parametrize("text", ["25:00", "3.30", "03:30 IST", "half past three", "03:30:00"])
def test_a_time_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match=r"write HH:MM in IST, such as 03:30"):
        parse_logout_time(text)


def test_no_time_is_never() -> None:
    assert (parse_logout_time(""), parse_logout_time("03:30")) == (None, time(3, 30))
