"""The token bucket, against a clock that a test moves."""

from hypothesis import given
from hypothesis import strategies as st

from algohost.settings import Settings
from algohost.testing.clock import FakeClock
from algohost.web.api_v1.limits import Kind, RateLimits, rates_of


def test_a_rate_of_zero_is_no_limit() -> None:
    limits = RateLimits(FakeClock().monotonic, {Kind.API: 0})
    assert [limits.take(Kind.API, "k") for _ in range(1000)] == [0.0] * 1000


def test_the_rates_are_what_the_settings_say() -> None:
    """As OpenAlgo's, where nothing is said."""
    assert rates_of(Settings()) == {Kind.API: 50, Kind.ORDERS: 10, Kind.SMART_ORDERS: 10}
    mine = Settings(api_calls_per_second=5, orders_per_second=0.5, smart_orders_per_second=0)
    limits = RateLimits(FakeClock().monotonic, rates_of(mine))
    assert [limits.rate(kind) for kind in Kind] == [5, 0.5, 0]


def test_the_wait_is_the_time_until_the_next_token() -> None:
    clock = FakeClock()
    limits = RateLimits(clock.monotonic, {Kind.ORDERS: 4})
    assert [limits.take(Kind.ORDERS, "k") for _ in range(5)] == [0, 0, 0, 0, 0.25]
    clock.advance(0.25)
    assert limits.take(Kind.ORDERS, "k") == 0


def test_a_rate_below_one_a_second_still_lets_calls_through() -> None:
    clock = FakeClock()
    limits = RateLimits(clock.monotonic, {Kind.ORDERS: 0.5})
    assert [limits.take(Kind.ORDERS, "k"), limits.take(Kind.ORDERS, "k")] == [0, 2]
    clock.advance(2)
    assert limits.take(Kind.ORDERS, "k") == 0


def test_buckets_that_are_full_again_are_forgotten() -> None:
    """Keys are renewed and runs come and go: memory does not grow with them."""
    clock = FakeClock()
    limits = RateLimits(clock.monotonic, {Kind.API: 50})
    for number in range(20_000):
        limits.take(Kind.API, f"key {number}")
        clock.advance(0.01)
    assert len(limits._buckets) <= 4_096


@given(
    rate=st.integers(min_value=1, max_value=50),
    pauses=st.lists(st.floats(min_value=0, max_value=0.5), min_size=1, max_size=300),
)
def test_never_more_than_the_burst_and_the_rate_over_any_span(
    rate: int, pauses: list[float]
) -> None:
    clock = FakeClock()
    limits = RateLimits(clock.monotonic, {Kind.API: rate})
    allowed: list[float] = []
    for pause in pauses:
        clock.advance(pause)
        if limits.take(Kind.API, "k") == 0:
            allowed.append(clock.monotonic())
    for first, at in enumerate(allowed):
        for last in range(first, len(allowed)):
            span = allowed[last] - at
            assert last - first + 1 <= rate + rate * span + 1e-6
