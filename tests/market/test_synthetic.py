"""The synthetic market: one story at every level, told no further than now."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from algohost.domain.errors import Invalid, NotFound, Unavailable
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Bar, Interval, Quote
from algohost.market import BarColumns, MarketService, open_market
from algohost.testing.clock import FakeClock
from tests.market.recordings import NIFTY, RELIANCE, TCS, ist

KEYS = [
    RELIANCE,
    TCS,
    NIFTY,
    *(InstrumentKey(exchange=Exchange.NSE, symbol=name) for name in ("SBIN", "MARUTI", "SAIL")),
    InstrumentKey(exchange=Exchange.NSE_INDEX, symbol="INDIAVIX"),
]
FRIDAY = ist("2025-11-21 11:44:30")
Opened = tuple[MarketService, FakeClock]


def opened(at: datetime, spec: str = "synthetic") -> Opened:
    clock = FakeClock(at)
    return open_market(spec, clock), clock


@pytest.fixture(scope="module")
def shared() -> Opened:
    """One market for tests that only ask; each sets the clock it needs."""
    return opened(FRIDAY)


def equal(one: BarColumns, other: BarColumns) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(BarColumns)
    )


def merged(prices: list[Quote], start: datetime) -> Bar:
    """The bar that a client would build from quotes, one a second."""
    last = [quote.last for quote in prices]
    return Bar(
        start=start.astimezone(UTC),
        open=last[0],
        high=max(last),
        low=min(last),
        close=last[-1],
        volume=sum(quote.last_quantity for quote in prices),
    )


# One story --------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_market_and_another_is_not() -> None:
    def story(spec: str) -> list[object]:
        market, clock = opened(FRIDAY, spec)
        told: list[object] = []
        for _ in range(5):
            clock.advance(1)
            told.append(list(market.tick()))
        end = FRIDAY + timedelta(days=1)
        told += [
            market.history(key, interval, FRIDAY - timedelta(days=3), end)
            for key in (RELIANCE, NIFTY)
            for interval in (Interval.M1, Interval.D)
        ]
        return [*told, market.depth(RELIANCE)]

    assert story("synthetic:7") == story("synthetic:7")
    assert story("synthetic:1") == story("synthetic")
    assert story("synthetic:7") != story("synthetic:8")


def test_the_order_of_questions_does_not_change_answers() -> None:
    """Random access: what was asked before, and what is kept in memory, leaves no trace."""
    first, _ = opened(FRIDAY)
    other, _ = opened(FRIDAY)
    week = FRIDAY - timedelta(days=7)
    for key in KEYS:
        other.history_columns(key, Interval.D, FRIDAY - timedelta(days=900), FRIDAY)
        other.history_columns(key, Interval.M1, FRIDAY - timedelta(days=40), FRIDAY)
    for key in reversed(KEYS):
        assert first.quote(key) == other.quote(key)
        assert equal(
            first.history_columns(key, Interval.M1, week, FRIDAY),
            other.history_columns(key, Interval.M1, week, FRIDAY),
        )


@pytest.mark.parametrize(
    "start",
    ["2025-11-21 09:14:00", "2025-11-21 12:59:00", "2025-11-20 23:58:00", "2025-11-22 03:00:00"],
)
def test_minute_bars_are_exactly_the_ticks_that_were_served(start: str) -> None:
    """At the open, at noon, over midnight and on a quiet Saturday."""
    began = ist(start)
    market, clock = opened(began - timedelta(seconds=1))
    served: dict[InstrumentKey, list[Quote]] = {}
    newest: dict[InstrumentKey, Quote] = {}
    market.listen(lambda quotes: newest.update({quote.key: quote for quote in quotes}))
    market.tick()
    for _ in range(180):
        clock.advance(1)
        market.tick()
        for key in KEYS:
            served.setdefault(key, []).append(newest[key])
            assert market.quote(key).last == newest[key].last
    for key in KEYS:
        expected = [
            merged(served[key][60 * minute :][:60], began + timedelta(minutes=minute))
            for minute in range(3)
        ]
        assert expected == market.history(key, Interval.M1, began, began + timedelta(days=1))
        seconds = market.history(key, Interval.S1, began, began + timedelta(days=1))
        assert [quote.last for quote in served[key]] == [bar.close for bar in seconds]


def test_a_quote_of_the_day_agrees_with_the_days_bar(shared: Opened) -> None:
    market, clock = shared
    for at in (FRIDAY, ist("2025-11-21 00:00:00"), ist("2025-11-21 15:30:59")):
        clock.set(at)
        midnight = at.replace(hour=0, minute=0, second=0)
        for key in KEYS:
            quote = market.quote(key)
            before, today = market.history(
                key, Interval.D, midnight - timedelta(days=1), midnight + timedelta(days=1)
            )
            expected = (today.open, today.high, today.low, today.close, today.volume)
            actual = (quote.open, quote.high, quote.low, quote.last, quote.volume)
            assert expected == actual
            assert before.close == quote.previous_close
            assert (quote.volume > 0) == (quote.average_price > 0)
            if quote.volume:
                assert quote.low <= quote.average_price <= quote.high


def test_a_day_opens_where_the_day_before_closed(shared: Opened) -> None:
    market, clock = shared
    clock.set(FRIDAY)
    for key in KEYS[:-1]:
        bars = market.history_columns(key, Interval.D, FRIDAY - timedelta(days=700), FRIDAY)
        gaps = np.abs(np.log(bars.open[1:] / bars.close[:-1]))
        assert gaps.max() < 0.002
        assert len(bars) == 700


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(KEYS),
    st.sampled_from([i for i in Interval if i.value[-1] in "mhDWM"]),
    st.integers(min_value=0, max_value=86_399),
)
def test_every_interval_is_the_minutes_merged(
    shared: Opened, key: InstrumentKey, interval: Interval, second: int
) -> None:
    market, clock = shared
    now = ist("2025-11-21 00:00:00") + timedelta(seconds=second)
    clock.set(now)
    start, end = ist("2025-10-01 00:00:00"), now + timedelta(seconds=1)
    minutes = market.history_columns(key, Interval.M1, start, end)
    bars = market.history_columns(key, interval, start, end)
    bounds = np.append(np.searchsorted(minutes.timestamps, bars.timestamps), len(minutes))
    first = int(bounds[0])
    assert minutes.volume[first:].sum() == bars.volume.sum()
    assert np.array_equal(minutes.open[bounds[:-1]], bars.open)
    assert np.array_equal(minutes.close[bounds[1:] - 1], bars.close)
    assert np.array_equal(np.maximum.reduceat(minutes.high, bounds[:-1]), bars.high)
    assert np.array_equal(np.minimum.reduceat(minutes.low, bounds[:-1]), bars.low)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KEYS),
    st.datetimes(datetime(2014, 1, 3), datetime(2035, 1, 1)),  # noqa: DTZ001 - made aware below
    st.sampled_from(list(Interval)),
)
def test_bars_hold_together_and_lie_on_the_tick_grid(
    shared: Opened, key: InstrumentKey, at: datetime, interval: Interval
) -> None:
    """Low ≤ open, close ≤ high; prices above zero and whole ticks; starts in order."""
    market, clock = shared
    now = at.replace(tzinfo=UTC)
    clock.set(now)
    span = timedelta(hours=2) if interval.value.endswith("s") else timedelta(days=2)
    bars = market.history_columns(key, interval, now - span, now + span)
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
    assert (np.diff(bars.timestamps) > 0).all()
    assert (bars.volume >= 0).all()
    assert (bars.timestamps <= now.timestamp()).all()
    instrument = market.find(key)
    assert instrument is not None
    tick = int(instrument.tick_size * 100)
    for column in (bars.open, bars.high, bars.low, bars.close):
        assert (np.rint(column * 100).astype(int) % tick == 0).all()
    if key.exchange is Exchange.NSE_INDEX:
        assert not bars.volume.any()


# No look-ahead ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KEYS),
    st.sampled_from(list(Interval)),
    st.integers(min_value=0, max_value=3 * 86_400),
    st.integers(min_value=1, max_value=86_400),
)
def test_later_never_changes_what_was_finished(
    shared: Opened, key: InstrumentKey, interval: Interval, second: int, later: int
) -> None:
    market, clock = shared
    now = ist("2025-11-19 23:00:00") + timedelta(seconds=second)
    span = timedelta(minutes=30) if interval.value.endswith("s") else timedelta(days=3)
    start, end = now - span, now + timedelta(days=2)
    clock.set(now)
    seen = market.history_columns(key, interval, start, end)
    clock.set(now + timedelta(seconds=later))
    grown = market.history_columns(key, interval, start, end)
    whole = max(len(seen) - 1, 0)
    for field in fields(BarColumns):
        before, after = getattr(seen, field.name), getattr(grown, field.name)
        assert np.array_equal(before[:whole], after[:whole])
    if len(seen):
        # The bar that was running begins as it did, and has grown if it changed.
        assert seen.timestamps[whole] == grown.timestamps[whole]
        assert seen.open[whole] == grown.open[whole]
        assert seen.high[whole] <= grown.high[whole]
        assert seen.low[whole] >= grown.low[whole]
        assert seen.volume[whole] <= grown.volume[whole]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(KEYS), st.integers(min_value=0, max_value=86_399))
def test_the_running_minute_shows_only_its_seconds_so_far(
    shared: Opened, key: InstrumentKey, second: int
) -> None:
    market, clock = shared
    now = ist("2025-11-21 00:00:00") + timedelta(seconds=second, milliseconds=999)
    clock.set(now)
    minute = now.replace(second=0, microsecond=0)
    seconds = market.history_columns(key, Interval.S1, minute, now)
    (bar,) = market.history(key, Interval.M1, minute, now)
    assert second % 60 + 1 == len(seconds)
    expected = [seconds.open[0], seconds.high.max(), seconds.low.min(), seconds.close[-1]]
    assert expected == [float(price) for price in (bar.open, bar.high, bar.low, bar.close)]
    assert seconds.volume.sum() == bar.volume


def test_nothing_that_begins_after_now_is_told(shared: Opened) -> None:
    market, clock = shared
    clock.set(FRIDAY)
    day = timedelta(days=1)
    for interval in Interval:
        assert market.history(RELIANCE, interval, FRIDAY + day, FRIDAY + 9 * day) == []
        assert market.history(RELIANCE, interval, FRIDAY, FRIDAY) == []


# It looks like a market ---------------------------------------------------------------------------


def closes(market: MarketService, key: InstrumentKey, days: int = 30) -> NDArray[np.float64]:
    end = ist("2025-11-21 00:00:00")
    bars = market.history_columns(key, Interval.M1, end - timedelta(days=days), end)
    return bars.close.reshape(days, 1440)


@pytest.fixture(scope="module")
def returns(shared: Opened) -> Callable[[InstrumentKey], NDArray[np.float64]]:
    market, clock = shared

    def of(key: InstrumentKey) -> NDArray[np.float64]:
        clock.set(FRIDAY)
        return np.diff(np.log(closes(market, key)), axis=1)

    return of


SESSION = slice(9 * 60 + 15, 15 * 60 + 30)


def test_stocks_move_with_the_index(
    returns: Callable[[InstrumentKey], NDArray[np.float64]],
) -> None:
    index = returns(NIFTY)[:, SESSION].ravel()
    for name in ("RELIANCE", "TCS", "HDFCBANK", "SBIN", "MARUTI", "ADANIENT"):
        stock = returns(InstrumentKey(exchange=Exchange.NSE, symbol=name))[:, SESSION].ravel()
        assert np.corrcoef(index, stock)[0, 1] > 0.2
    one, other = (
        returns(InstrumentKey(exchange=Exchange.NSE, symbol=name))[:, SESSION].ravel()
        for name in ("ICICIBANK", "AXISBANK")
    )
    assert 0.2 < np.corrcoef(one, other)[0, 1] < 0.95
    vix = InstrumentKey(exchange=Exchange.NSE_INDEX, symbol="INDIAVIX")
    assert np.corrcoef(index, returns(vix)[:, SESSION].ravel())[0, 1] < -0.2


@pytest.mark.parametrize("key", [RELIANCE, TCS, NIFTY], ids=str)
def test_the_open_is_wild_noon_is_calm_and_night_is_quiet_but_moves(
    returns: Callable[[InstrumentKey], NDArray[np.float64]],
    key: InstrumentKey,
) -> None:
    moved = returns(key)
    opening = moved[:, 9 * 60 + 15 : 9 * 60 + 45].var()
    noon = moved[:, 12 * 60 : 12 * 60 + 30].var()
    closing = moved[:, 15 * 60 : 15 * 60 + 29].var()
    night = moved[:, 20 * 60 : 20 * 60 + 30].var()
    assert opening > closing > noon > 4 * night > 0


def test_volume_has_the_shape_of_a_session(shared: Opened) -> None:
    market, clock = shared
    clock.set(FRIDAY)
    end = ist("2025-11-21 00:00:00")
    bars = market.history_columns(RELIANCE, Interval.M15, end - timedelta(days=30), end)
    slots = bars.volume.reshape(30, 96).mean(axis=0)
    assert slots[37] > 1.5 * slots[48] > 5 * slots[80] > 0
    assert slots[37:62].sum() > 0.9 * slots.sum()
    assert 4_000_000 < slots.sum() < 40_000_000


def test_daily_moves_are_of_the_size_of_real_ones(shared: Opened) -> None:
    market, clock = shared
    clock.set(FRIDAY)
    for key, low, high in ((RELIANCE, 0.010, 0.017), (NIFTY, 0.006, 0.010)):
        bars = market.history_columns(key, Interval.D, FRIDAY - timedelta(days=1500), FRIDAY)
        assert low < np.diff(np.log(bars.close)).std() < high


# The port ---------------------------------------------------------------------------------------


def test_it_lists_the_nifty_fifty_and_its_indices(shared: Opened) -> None:
    market, _ = shared
    listed = market.instruments()
    assert len(listed) == len({item.key for item in listed}) == len({item.token for item in listed})
    stocks = [item for item in listed if item.key.exchange is Exchange.NSE]
    assert len(stocks) >= 50
    assert all((1, Decimal("0.05")) == (item.lot_size, item.tick_size) for item in stocks)
    indices = {item.key.symbol for item in listed if item.key.exchange is Exchange.NSE_INDEX}
    assert indices >= {"NIFTY", "BANKNIFTY", "FINNIFTY", "INDIAVIX"}
    assert market.name == "synthetic"
    assert set(market.intervals()) == set(Interval)


def test_it_is_always_open(shared: Opened) -> None:
    market, clock = shared
    for at in ("2025-11-23 03:00:00", "2025-11-21 12:00:00"):
        clock.set(ist(at))
        assert market.is_open(Exchange.NSE)


def test_a_span_that_is_too_long_is_refused_with_what_to_ask(shared: Opened) -> None:
    market, clock = shared
    clock.set(FRIDAY)
    for interval, says in ((Interval.S5, "11 days"), (Interval.M5, "694 days")):
        with pytest.raises(Invalid, match=says):
            market.history_columns(RELIANCE, interval, FRIDAY - timedelta(days=4000), FRIDAY)
    assert market.history(RELIANCE, Interval.M, FRIDAY - timedelta(days=4000), FRIDAY)


def test_before_its_first_day_there_is_neither_history_nor_price() -> None:
    market, _ = opened(datetime(2013, 6, 1, tzinfo=UTC))
    assert market.tick() == []
    with pytest.raises(Unavailable, match="2014-01-01"):
        market.quote(RELIANCE)
    far = datetime(2000, 1, 1, tzinfo=UTC)
    assert market.history(RELIANCE, Interval.D, far, datetime(2013, 7, 1, tzinfo=UTC)) == []


def test_on_its_first_day_it_starts_from_its_level() -> None:
    market, _ = opened(ist("2014-01-01 00:00:00"))
    quote = market.quote(RELIANCE)
    assert abs(quote.last / quote.previous_close - 1) < Decimal("0.001")
    (bar,) = market.history(RELIANCE, Interval.M, ist("2013-12-01 00:00:00"), FRIDAY)
    assert bar.start == ist("2014-01-01 00:00:00")


def test_an_instrument_that_is_not_listed_is_not_found(shared: Opened) -> None:
    market, _ = shared
    nobody = InstrumentKey(exchange=Exchange.BSE, symbol="NOBODY")
    asks: list[Callable[[], object]] = [
        lambda: market.quote(nobody),
        lambda: market.depth(nobody),
        lambda: market.history(nobody, Interval.D, FRIDAY, FRIDAY),
    ]
    for ask in asks:
        with pytest.raises(NotFound, match="BSE:NOBODY is not listed"):
            ask()
    assert market.find(nobody) is None
