"""The delay of guessing: grows, has an end, and is not escaped by changing one's address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import TooMany
from algohost.host.throttle import Patience, Throttle
from algohost.testing.clock import FakeClock

PATIENCE = Patience(free=3, longest_seconds=60)


def wait_seconds(throttle: Throttle, account: str, peer: str) -> int:
    """How long the throttle says to wait; 0 where it lets the attempt through."""
    try:
        throttle.admit(account, peer)
    except TooMany as refusal:
        seconds = refusal.details["retry_after_seconds"]
        assert isinstance(seconds, int)
        return seconds
    return 0


def test_the_delay_doubles_until_its_longest() -> None:
    assert [PATIENCE.delay_seconds(n) for n in (0, 2, 3, 4, 5, 8, 9, 10, 10_000)] == [
        0, 0, 1, 2, 4, 32, 60, 60, 60,
    ]  # fmt: skip


def test_each_attempt_after_the_free_ones_waits_longer() -> None:
    clock = FakeClock()
    throttle = Throttle(clock.monotonic, account=PATIENCE)
    waits = []
    for _ in range(10):
        waits.append(wait := wait_seconds(throttle, "asha", "10.0.0.1"))
        clock.advance(wait)
        if wait:
            assert wait_seconds(throttle, "asha", "10.0.0.1") == 0
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60]


def test_a_success_clears_the_account_but_not_the_address() -> None:
    """Or whoever has one account could guess at all others for ever."""
    peer = Patience(free=4, longest_seconds=9)
    throttle = Throttle(FakeClock().monotonic, account=PATIENCE, peer=peer)
    waits = []
    for number in range(5):
        waits.append(wait_seconds(throttle, f"victim{number}", "10.0.0.1"))
        if number < 3:
            throttle.admit("own", "10.0.0.1")
            throttle.succeeded("own", "10.0.0.1")
    assert waits == [0, 0, 0, 0, 1]


def test_an_hour_of_quiet_forgets() -> None:
    clock = FakeClock()
    throttle = Throttle(clock.monotonic, account=PATIENCE)
    for _ in range(3):
        throttle.admit("asha", "10.0.0.1")
    clock.advance(3_601)
    assert [wait_seconds(throttle, "asha", "10.0.0.1") for _ in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix", "unix", True),
    ],
)
def test_an_address_is_its_network(one: str, other: str, *, are_one: bool) -> None:
    throttle = Throttle(FakeClock().monotonic, peer=Patience(free=1, longest_seconds=9))
    throttle.admit("a", one)
    assert (wait_seconds(throttle, "b", other) > 0) is are_one


def test_a_flood_of_names_is_bounded_in_memory() -> None:
    throttle = Throttle(FakeClock().monotonic)
    for number in range(30_000):
        throttle.admit(f"name{number}", f"{number}.peer")
    assert len(throttle._tallies) == 20_000


@given(st.lists(st.floats(min_value=0, max_value=100), max_size=200))
def test_no_timing_makes_guessing_faster_than_the_longest_delay_allows(gaps: list[float]) -> None:
    clock = FakeClock()
    throttle = Throttle(clock.monotonic, account=PATIENCE)
    admitted = 0
    for gap in gaps:
        clock.advance(gap)
        admitted += wait_seconds(throttle, "asha", "10.0.0.1") == 0
    early = 3 + 6  # the free ones, and those while the delay still grows from 1 s to 60 s
    assert admitted <= early + clock.monotonic() / 60 + 1
