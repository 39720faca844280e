"""When a list is of today: the rule of 08:00 IST, as a table."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.ids import IST
from algohost.domain.master_contracts import due_since, is_of_today, next_due


def ist(text: str) -> datetime:
    return datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("made", "now", "expected"),
    [
        # on one day
        ("23 08:00:00", "23 08:00:00", True),
        ("23 08:00:01", "23 15:30:00", True),
        ("23 07:59:59", "23 07:59:59", True),  # before 08:00, yesterday's turn counts
        ("23 07:59:59", "23 08:00:00", False),
        ("23 00:30:00", "23 09:15:00", False),
        # across midnight
        ("22 08:00:00", "23 00:00:00", True),
        ("22 23:59:59", "23 07:59:59", True),
        ("22 08:00:00", "23 07:59:59", True),
        ("22 08:00:00", "23 08:00:00", False),
        ("22 07:59:59", "23 00:00:00", False),
        ("21 20:00:00", "23 00:00:00", False),
        # a Friday's list on a Saturday, a Sunday and a holiday (24 November 2026)
        ("20 09:00:00", "21 07:00:00", True),
        ("20 09:00:00", "21 09:00:00", False),
        ("20 09:00:00", "22 07:00:00", False),
        ("23 09:00:00", "24 09:00:00", False),
        ("24 08:10:00", "24 09:00:00", True),
        # a clock that was set back: what it made tomorrow is not of today
        ("24 08:10:00", "23 09:00:00", False),
        ("23 09:05:00", "23 09:00:00", True),  # corrected by a little
        ("23 09:05:01", "23 09:00:00", False),
        # a clock that jumped ahead
        ("23 09:00:00", "25 09:00:00", False),
    ],
)
def test_a_list_is_of_today_by_the_rule_of_eight(made: str, now: str, expected: bool) -> None:
    assert is_of_today(ist(made), ist(now)) is expected
    assert is_of_today(ist(made).astimezone(UTC), ist(now).astimezone(UTC)) is expected


@given(now=st.floats(0, 4e9).map(lambda second: datetime.fromtimestamp(second, UTC)))
def test_now_is_always_between_two_turns_at_eight(now: datetime) -> None:
    since, until = due_since(now), next_due(now)
    assert since <= now < until
    assert until - since == timedelta(days=1)
    assert (since.hour, since.minute, since.utcoffset()) == (8, 0, timedelta(hours=5.5))
    assert is_of_today(since, now)
    assert not is_of_today(since, until)
