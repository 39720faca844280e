"""A recorded day that is played as today."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import Invalid, NotFound, Unavailable
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Interval, Quote
from tests.market.recordings import (
    NIFTY,
    RELIANCE,
    TCS,
    TODAY,
    MinuteRow,
    TickRow,
    history,
    ist,
    opened,
    today,
    write_minutes,
    write_ticks,
)

MINUTES: list[MinuteRow] = [
    # Two earlier days, a holiday between them; their instants are shown as Friday and Monday.
    (RELIANCE, "2021-05-24 09:15:00", 1900, 1910, 1890, 1905, 50_000),
    (RELIANCE, "2021-05-26 15:29:00", 1950, 1960, 1940, 1955, 40_000),
    (NIFTY, "2021-05-26 15:29:00", 15_300, 15_310, 15_295, 15_301.5, 0),
    # The day itself: 09:17 and 09:18 are missing.
    (RELIANCE, "2021-05-27 09:15:00", 1960, 1966, 1957, 1963, 60_000),
    (RELIANCE, "2021-05-27 09:16:00", 1963, 1964, 1950, 1951, 6_001),
    (RELIANCE, "2021-05-27 09:19:00", 1955, 1955, 1955, 1955, 7),
    (RELIANCE, "2021-05-27 09:20:00", 1955.5, 1970, 1955.5, 1969.95, 900),
    (NIFTY, "2021-05-27 09:15:00", 15_320, 15_340.35, 15_310, 15_333.9, 0),
    (NIFTY, "2021-05-27 09:20:00", 15_333, 15_341, 15_330, 15_340, 0),
    # This one joins late, with the volume since the open in its first bar.
    (TCS, "2021-05-27 09:18:00", 3150, 3160, 3149, 3155, 800_000),
    (TCS, "2021-05-27 09:19:00", 3155, 3156, 3150, 3151, 1_000),
    # A later day, which must never be seen.
    (RELIANCE, "2021-05-28 09:15:00", 9000, 9999, 8888, 9500, 1),
]

TICKS: list[TickRow] = [
    (RELIANCE, "2021-05-27 09:15:24", 1963.95, 90_000),
    (RELIANCE, "2021-05-27 09:15:25", 1964.10, 90_500),
    # 09:15:26 … 28 are missing; one volume is lower than what had traded before.
    (RELIANCE, "2021-05-27 09:15:29", 1962.00, 90_400),
    (RELIANCE, "2021-05-27 09:15:30", 1962.05, 91_000),
    (RELIANCE, "2021-05-27 09:16:02", 1970.00, 91_001),
    (NIFTY, "2021-05-27 09:15:26", 15_323.90, 0),
    (NIFTY, "2021-05-27 09:15:27", 15_324.00, 0),
]


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_minutes(tmp_path_factory.mktemp("recorded") / "minutes.parquet", MINUTES)


@pytest.fixture(scope="module")
def ticks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ticks(tmp_path_factory.mktemp("recorded") / "ticks.parquet", TICKS)


# Time -------------------------------------------------------------------------------------------


def test_it_stands_at_the_session_start_today_and_runs_at_its_speed(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27&speed=10")
    assert today("09:15:00") == market.now()
    clock.advance(30)
    assert today("09:20:00") == market.now()
    assert market.name == "recorded 2021-05-27 ×10"


def test_a_jump_of_the_wall_clock_moves_no_market_time(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27")
    clock.set(TODAY - timedelta(days=3))
    clock.advance(5)
    assert today("09:15:05") == market.now()


def test_from_chooses_where_it_stands(minutes: Path) -> None:
    market, _ = opened(minutes, "day=2021-05-27&from=09:19:30")
    assert today("09:19:30") == market.now()
    assert market.quote(RELIANCE).last == Decimal("1955.00")


def test_a_recording_that_begins_before_the_session_starts_there(tmp_path: Path) -> None:
    rows: list[MinuteRow] = [
        (RELIANCE, "2021-05-27 09:07:00", 100, 100, 100, 100, 5),
        (RELIANCE, "2021-05-27 09:15:00", 101, 101, 101, 101, 5),
    ]
    market, _ = opened(write_minutes(tmp_path / "early.parquet", rows))
    assert today("09:07:00") == market.now()
    assert market.is_open(Exchange.NSE)


def test_time_stops_at_the_end_of_the_day_and_quotes_stay(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27")
    clock.advance(400)
    market.tick()
    last = market.quote(RELIANCE)
    clock.advance(timedelta(days=3))
    assert market.tick() == []
    assert last == market.quote(RELIANCE)
    assert ist("2025-11-25 23:59:59.999999") == market.now()
    assert not market.is_open(Exchange.NSE)


def test_the_market_is_open_from_the_session_start_to_the_last_record(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27&from=09:14")
    seen = []
    for _ in range(10):
        seen.append(market.is_open(Exchange.NSE))
        clock.advance(60)
    # 09:14 is before the session; the last bar begins at 09:20.
    assert [False, *[True] * 6, *[False] * 3] == seen
    assert not market.is_open(Exchange.MCX)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2025-11-25", ["2025-11-21", "2025-11-24", "2025-11-25"]),
        ("2025-11-24", ["2025-11-20", "2025-11-21", "2025-11-24"]),
        ("2025-11-23", ["2025-11-20", "2025-11-21", "2025-11-23"]),  # a Sunday is a today too
        ("2025-11-22", ["2025-11-20", "2025-11-21", "2025-11-22"]),
    ],
)
def test_earlier_days_are_shown_as_the_weekdays_before(
    minutes: Path, at: str, shown: list[str]
) -> None:
    now = ist(f"{at} 01:00:00")
    market, _ = opened(minutes, "day=2021-05-27", now)
    bars = market.history(RELIANCE, Interval.D, now - timedelta(days=30), now + timedelta(days=1))
    assert shown == [str(bar.start.astimezone(IST).date()) for bar in bars]


# History and quotes -----------------------------------------------------------------------------


def test_history_has_the_recorded_bars_and_no_other(minutes: Path) -> None:
    """What is missing stays missing; the bar of 09:20 has just begun."""
    market, clock = opened(minutes, "day=2021-05-27")
    clock.advance(300)
    assert history(market, RELIANCE, Interval.M1) == [
        ("11-21 09:15:00", 1900, 1910, 1890, 1905, 50_000),
        ("11-24 15:29:00", 1950, 1960, 1940, 1955, 40_000),
        ("11-25 09:15:00", 1960, 1966, 1957, 1963, 60_000),
        ("11-25 09:16:00", 1963, 1964, 1950, 1951, 6_001),
        ("11-25 09:19:00", 1955, 1955, 1955, 1955, 7),
        ("11-25 09:20:00", 1955.5, 1955.5, 1955.5, 1955.5, 15),
    ]
    assert history(market, RELIANCE, Interval.M5) == [
        ("11-21 09:15:00", 1900, 1910, 1890, 1905, 50_000),
        ("11-24 15:25:00", 1950, 1960, 1940, 1955, 40_000),
        ("11-25 09:15:00", 1960, 1966, 1950, 1955, 66_008),
        ("11-25 09:20:00", 1955.5, 1955.5, 1955.5, 1955.5, 15),
    ]
    assert history(market, RELIANCE, Interval.W) == [
        ("11-17 00:00:00", 1900, 1910, 1890, 1905, 50_000),
        ("11-24 00:00:00", 1950, 1966, 1940, 1955.5, 106_023),
    ]
    assert history(market, NIFTY, Interval.D) == [
        ("11-24 00:00:00", 15_300, 15_310, 15_295, 15_301.5, 0),
        ("11-25 00:00:00", 15_320, 15_340.35, 15_310, 15_333, 0),
    ]


def test_a_minute_is_told_second_by_second(minutes: Path) -> None:
    """09:15 rose: open, low at 20 s, high at 40 s, close. 09:16 fell: its high comes first."""
    market, clock = opened(minutes, "day=2021-05-27")
    told = []
    for passed in (0, 19, 20, 39, 40, 59, 60, 80, 100, 119):
        clock.advance(passed - clock.monotonic())
        quote = market.quote(RELIANCE)
        told.append((passed, *map(float, (quote.last, quote.high, quote.low)), quote.volume))
    assert told == [
        (0, 1960, 1960, 1960, 1_000),
        (19, 1957.15, 1960, 1957.15, 20_000),
        (20, 1957, 1960, 1957, 21_000),
        (39, 1965.55, 1965.55, 1957, 40_000),
        (40, 1966, 1966, 1957, 41_000),
        (59, 1963, 1966, 1957, 60_000),
        (60, 1963, 1966, 1957, 60_100),
        (80, 1964, 1966, 1957, 62_100),
        (100, 1950, 1966, 1950, 64_100),
        (119, 1951, 1966, 1950, 66_001),
    ]


def test_in_a_gap_the_last_price_stays_and_nothing_trades(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27")
    clock.advance(119)
    before = market.quote(RELIANCE)
    market.tick()
    for _ in range(120):  # 09:17 and 09:18 are missing
        clock.advance(1)
        assert RELIANCE not in {quote.key for quote in market.tick()}
        assert before == market.quote(RELIANCE)


def test_before_its_first_record_of_the_day_yesterdays_close_is_shown(minutes: Path) -> None:
    market, _ = opened(minutes, "day=2021-05-27&from=09:00")
    quote = market.quote(RELIANCE)
    assert quote.volume == 0
    assert {Decimal("1955.00")} == {
        quote.last, quote.open, quote.high, quote.low, quote.previous_close
    }  # fmt: skip
    assert ist("2025-11-24 15:29:59") == quote.at


def test_what_has_never_traded_has_no_price_and_no_tick(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27")
    assert market.find(TCS) is not None
    with pytest.raises(Unavailable, match="NSE:TCS has no price yet"):
        market.quote(TCS)
    assert TCS not in {quote.key for quote in market.tick()}
    assert history(market, TCS, Interval.M1) == []
    clock.advance(180)
    assert TCS in {quote.key for quote in market.tick()}
    clock.advance(59)
    quote = market.quote(TCS)
    # No day before is known: the change is counted from the first price.
    assert (Decimal(3155), 800_000, Decimal(3150)) == (
        quote.last, quote.volume, quote.previous_close
    )  # fmt: skip


def test_the_quote_carries_the_days_story(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27")
    clock.advance(240)
    quote = market.quote(RELIANCE)
    assert tuple(
        map(float, (quote.open, quote.high, quote.low, quote.last, quote.previous_close))
    ) == (1960, 1966, 1950, 1955, 1955)
    assert Decimal(1950) < quote.average_price < Decimal(1966)
    assert quote.bid <= quote.last <= quote.ask
    assert market.depth(RELIANCE).quote == quote
    index = market.quote(NIFTY)
    assert all(value == 0 for value in (index.volume, index.bid, index.average_price))


def test_seconds_are_not_kept_by_a_recording_of_minutes(minutes: Path) -> None:
    market, _ = opened(minutes)
    with pytest.raises(Invalid, match="keeps no bars of 5s; ask for one of 1m, 2m"):
        market.history(RELIANCE, Interval.S5, TODAY, TODAY)
    with pytest.raises(NotFound):
        market.quote(InstrumentKey(exchange=Exchange.BSE, symbol="RELIANCE"))


def test_ticks_are_played_as_they_were(ticks: Path) -> None:
    market, clock = opened(ticks)
    seen = []
    for _ in range(60):
        seen += [
            (quote.at.astimezone(IST).strftime("%M:%S"), float(quote.last), quote.volume)
            for quote in market.tick()
            if quote.key == RELIANCE
        ]
        clock.advance(1)
    assert seen == [
        ("15:24", 1963.95, 90_000),
        ("15:25", 1964.10, 90_500),
        ("15:29", 1962.00, 90_500),
        ("15:30", 1962.05, 91_000),
    ]
    clock.advance(1.5)
    assert history(market, RELIANCE, Interval.S1) == [
        ("11-25 09:15:24", 1963.95, 1963.95, 1963.95, 1963.95, 90_000),
        ("11-25 09:15:25", 1964.10, 1964.10, 1964.10, 1964.10, 500),
        ("11-25 09:15:29", 1962.00, 1962.00, 1962.00, 1962.00, 0),
        ("11-25 09:15:30", 1962.05, 1962.05, 1962.05, 1962.05, 500),
    ]
    assert history(market, RELIANCE, Interval.M1) == [
        ("11-25 09:15:00", 1963.95, 1964.10, 1962.00, 1962.05, 91_000)
    ]


# No look-ahead ----------------------------------------------------------------------------------

price = st.integers(min_value=1, max_value=4000).map(lambda ticks: ticks / 20)
recorded_minutes = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=12), price, price, price, price,
        st.integers(min_value=0, max_value=10_000),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[0],
)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(recorded_minutes)
def test_bars_never_show_more_than_the_quotes_have_shown(
    tmp_path: Path, drawn: list[tuple[int, float, float, float, float, int]]
) -> None:
    """At every second the running bar is the quotes so far; at its end it is the record."""
    rows: list[MinuteRow] = [
        (RELIANCE, f"2021-05-27 09:{15 + minute}:00", opened_at, high, low, close, volume)
        for minute, opened_at, high, low, close, volume in sorted(drawn)
    ]
    market, clock = opened(write_minutes(tmp_path / "drawn.parquet", rows))
    shown: dict[datetime, list[Quote]] = {}
    market.listen(
        lambda quotes: shown.setdefault(
            quotes[0].at.replace(second=0), []
        ).extend(quotes)
    )  # fmt: skip
    for second in range(13 * 60 + 1):
        market.tick()
        if second % 7 == 0 or second % 60 == 59:
            bars = market.history(RELIANCE, Interval.M1, today("09:00:00"), today("10:00:00"))
            assert sorted(shown) == [bar.start for bar in bars]
            for bar in bars[-1:]:
                quotes = [quote.last for quote in shown[bar.start]]
                assert (quotes[0], max(quotes), min(quotes), quotes[-1]) == (
                    bar.open, bar.high, bar.low, bar.close
                )  # fmt: skip
                assert sum(one.volume for one in bars) == shown[bar.start][-1].volume
        clock.advance(1)
    expected = [
        (f"11-25 {text[11:]}", prices[0], max(prices), min(prices), prices[3], volume)
        for _, text, *prices, volume in rows
    ]
    assert expected == history(market, RELIANCE, Interval.M1)


def test_a_later_day_is_never_seen(minutes: Path) -> None:
    market, clock = opened(minutes, "day=2021-05-27&speed=1000")
    for _ in range(100):
        clock.advance(1)
        assert market.quote(RELIANCE).high < 9000
    assert len(history(market, RELIANCE, Interval.D)) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("day=2021-05-25", "no record of 2021-05-25; it has 4 days from 2021-05-24 to 2021-05-28"),
        ("day=2021-05-27&from=09:21", "from=09:21 is after the recording's end at 09:21:00 IST"),
        ("speed=0", "not a number above 0"),
    ],
)
def test_what_a_recording_does_not_have_is_refused(minutes: Path, options: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        opened(minutes, options)
