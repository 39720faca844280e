"""The clock that tests move."""

from datetime import UTC, datetime, timedelta

import pytest

from algohost.testing.clock import FakeClock


def test_advance_moves_both_clocks_and_set_only_the_wall() -> None:
    clock = FakeClock(datetime(2025, 1, 1, tzinfo=UTC))
    clock.advance(90)
    clock.advance(timedelta(milliseconds=500))
    assert (datetime(2025, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC), 90.5) == (
        clock.now(),
        clock.monotonic(),
    )
    clock.set(datetime(2024, 1, 1, tzinfo=UTC))
    assert (datetime(2024, 1, 1, tzinfo=UTC), 90.5) == (clock.now(), clock.monotonic())


def test_time_does_not_run_backwards_by_advancing() -> None:
    with pytest.raises(ValueError, match="forwards"):
        FakeClock().advance(-1)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2025, 1, 1))  # noqa: DTZ001 - the fault under test
