"""Prices of all that is listed: futures, options, and what is not drawn by itself."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from math import exp
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.domain.contract_symbols import ContractKind, parts_of
from algohost.domain.errors import NotFound
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Interval, Quote
from algohost.market import open_market
from algohost.market.calendars import shipped_calendars
from algohost.market.contracts import PaperContracts
from algohost.market.derived import expires_at
from algohost.market.listed import CONTRACTS_KEPT, GLANCES_KEPT, PATHS_KEPT
from algohost.market.options import future_of, series_of
from algohost.market.spots import RATE
from algohost.market.synthetic import SyntheticMarket
from algohost.testing.clock import FakeClock
from tests.market.priced import MONDAY, NIFTY, Priced, ist, key, listed, option, priced
from tests.market.recordings import write_minutes

TUESDAY = date(2026, 12, 1)
"""The weekly expiry after that of Monday."""
UNDERLYINGS = [
    (NIFTY, MONDAY),
    (NIFTY, TUESDAY),
    (key("NSE_INDEX", "BANKNIFTY"), date(2026, 12, 29)),
    (key("BSE_INDEX", "SENSEX"), date(2026, 11, 26)),
    (key("NSE", "RELIANCE"), date(2026, 12, 29)),
    (key("NSE", "ABB"), date(2026, 12, 29)),
    (key("MCX", "CRUDEOIL"), date(2026, 12, 16)),
    (key("CDS", "USDINR"), date(2026, 11, 27)),
]
SHARED = priced()


def every(step: int) -> Sequence[InstrumentKey]:
    """Every so-manieth instrument of the list."""
    table = listed()
    return [table.at(place).key for place in range(0, len(table), step)]


def test_everything_that_is_listed_has_a_price_on_its_tick() -> None:
    seen: Counter[tuple[Exchange, str]] = Counter()
    for name in every(127):
        found, quote = SHARED.market.find(name), SHARED.market.quote(name)
        assert found is not None
        assert SHARED.market.has_prices(found), name
        assert quote.low <= min(quote.last, quote.open) <= quote.high, name
        for price in (quote.last, quote.open, quote.high, quote.low, quote.previous_close):
            assert price >= found.tick_size, name
            assert price % found.tick_size == 0, name
        if not name.exchange.is_index:
            assert Decimal(0) < quote.bid <= quote.last <= quote.ask, name
            assert quote.ask - quote.bid >= found.tick_size, name
            assert quote.volume % found.lot_size == quote.open_interest % found.lot_size == 0, name
        seen[name.exchange, found.instrument_type] += 1
    assert len(seen) > 12


def test_a_quote_does_not_depend_on_what_was_asked_before() -> None:
    names = every(1_501)
    one, other = priced(), priced()
    first = [one.market.quote(name) for name in names]
    for name in every(331):
        other.market.quote(name)
    assert [other.market.quote(name) for name in reversed(names)] == first[::-1]


def test_what_is_kept_does_not_grow_with_what_was_asked() -> None:
    market = priced().market
    for name in every(41):
        market.quote(name)
    listed_paths = market._listed
    assert len(listed_paths._entries) <= CONTRACTS_KEPT
    assert len(listed_paths._paths) <= PATHS_KEPT
    assert len(listed_paths._glances) <= GLANCES_KEPT


def test_a_future_is_its_underlying_with_the_cost_of_carry() -> None:
    for days in range(0, 90, 30):
        name = future_of(listed(), Exchange.NFO, "NIFTY", MONDAY + timedelta(days=days))
        assert name is not None
        future = SHARED.market.find(name)
        assert future is not None
        left = ((expires_at(future) or 0) - SHARED.clock.now().timestamp()) / 86_400 / 365
        expected = float(SHARED.market.quote(NIFTY).last) * exp(RATE * left)
        assert float(SHARED.market.quote(name).last) == pytest.approx(expected, abs=0.15)


def test_one_thing_under_two_names_has_one_price() -> None:
    quote = SHARED.market.quote
    pairs = [
        (key("NSE", "RELIANCE"), key("BSE", "RELIANCE"), 1),
        (key("MCX", "CRUDEOIL18DEC26FUT"), key("MCX", "CRUDEOILM18DEC26FUT"), 1),
        (key("MCX", "CRUDEOIL18DEC26FUT"), key("NCO", "CRUDEOIL18DEC26FUT"), 1),
        (key("CDS", "USDINR29DEC26FUT"), key("BCD", "USDINR29DEC26FUT"), 1),
    ]
    for one, other, ratio in pairs:
        assert quote(one).last == pytest.approx(quote(other).last * ratio, rel=Decimal("0.001"))


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from(UNDERLYINGS),
    place=st.floats(0, 1),
    hour=st.integers(0, 23),
    second=st.integers(0, 3_599),
)
def test_call_and_put_keep_their_parity(
    which: tuple[InstrumentKey, date], place: float, hour: int, second: int
) -> None:
    """C − P = D·(F − K), within two ticks for the rounding and the least price of one tick."""
    SHARED.at(MONDAY, hour, second // 60, second % 60)
    market = SHARED.market
    series = series_of(listed(), market, underlying=which[0], expiry=which[1])
    strike = series.strikes[round(place * (len(series.strikes) - 1))]
    call, put = (series.key(strike, kind) for kind in (ContractKind.CE, ContractKind.PE))
    found = market.find(call)
    assert found is not None
    forward, left = _forward(market, call, series.underlying)
    apart = market.quote(call).last - market.quote(put).last
    expected = exp(-RATE * left / 86_400 / 365) * (forward - float(strike))
    assert float(apart) == pytest.approx(expected, abs=2.01 * float(found.tick_size))


def _forward(
    market: SyntheticMarket, name: InstrumentKey, spot: InstrumentKey
) -> tuple[float, float]:
    """The forward of an option's own path, and the seconds left as its prices count them."""
    path = market._entry(name).path
    now = int(market.now().timestamp())
    second = min(now, (path.ends_at or now + 1) - 1)
    cell = path._cell(second)
    step = 60 if _same_day(cell, path.ends_at or 0) else 900
    left = float(max((path.ends_at or 0) - cell - step, 0))
    day, slot, place = _place(second)
    rule = path.rule
    unit = market._terms(name).unit
    level = int(path._spot.glance(day, slot).price[place])
    assert spot is not None
    forward = rule.forward.price(level, left + rule.further)  # type: ignore[attr-defined]
    return forward / unit, left


def _same_day(one: int, other: int) -> bool:
    return (one + 19_800) // 86_400 == (other + 19_800) // 86_400


def _place(second: int) -> tuple[int, int, int]:
    day, rest = divmod(second + 19_800, 86_400)
    return day, rest // 900, rest % 900


@settings(max_examples=25, deadline=None)
@given(which=st.sampled_from(UNDERLYINGS), hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_chains_are_monotone_and_never_below_exercise(
    which: tuple[InstrumentKey, date], hour: int, minute: int
) -> None:
    """Calls fall and puts rise with the strike, and both cost no less than discounted exercise."""
    SHARED.at(MONDAY, hour, minute, 30)
    market = SHARED.market
    series = series_of(listed(), market, underlying=which[0], expiry=which[1])
    for kind, sign in ((ContractKind.CE, 1), (ContractKind.PE, -1)):
        names = [series.key(strike, kind) for strike in series.strikes[::3]]
        prices = [market.quote(name).last for name in names]
        assert prices == sorted(prices, reverse=kind is ContractKind.CE)
        forward, left = _forward(market, names[0], series.underlying)
        for strike, price in zip(series.strikes[::3], prices, strict=True):
            floor = exp(-RATE * left / 86_400 / 365) * sign * (forward - float(strike))
            assert float(price) >= floor - 1e-6


def test_more_is_traded_held_and_quoted_tightly_at_the_money() -> None:
    SHARED.at(MONDAY, 12)
    market = SHARED.market
    series = series_of(listed(), market, underlying=NIFTY, expiry=TUESDAY)
    at, out, into = (
        market.quote(series.key(series.strikes[series.atm + steps], ContractKind.CE))
        for steps in (0, 25, -25)
    )
    assert at.volume > out.volume > into.volume
    assert at.open_interest > out.open_interest > into.open_interest
    shares = [float((quote.ask - quote.bid) / quote.last) for quote in (at, out, into)]
    assert shares[0] < shares[1]
    assert into.ask - into.bid > at.ask - at.bid


def test_a_search_finds_the_list_after_the_markets_own() -> None:
    found = [one.key for one in SHARED.market.search("NIFTY", None)]
    assert found[0] == NIFTY
    assert key("NFO", "NIFTY29DEC26FUT") in found
    futures = [one.key.symbol for one in SHARED.market.search("CRUDEOIL", Exchange.MCX)]
    assert "CRUDEOIL18DEC26FUT" in futures


# ---- history


CONTRACTS = [
    key("NFO", "NIFTY29DEC26FUT"),
    option("NIFTY", TUESDAY, Decimal(27850), "CE"),
    option("NIFTY", TUESDAY, Decimal(27850), "PE"),
    option("NIFTY", MONDAY, Decimal(27800), "PE"),
    key("BSE", "RELIANCE"),
    key("NSE", "ABB"),
    key("MCX", "CRUDEOIL18DEC26FUT"),
    key("CDS", "USDINR29DEC26FUT"),
]


@pytest.mark.parametrize("name", CONTRACTS, ids=str)
def test_bars_of_seconds_are_what_quotes_showed(name: InstrumentKey) -> None:
    """Over the turn of a quarter hour, where the time that is left takes a step."""
    one = priced(10, 59, 30)
    shown = []
    for _ in range(60):
        shown.append(one.market.quote(name))
        one.clock.advance(1)
    bars = one.market.history(name, Interval.S1, ist(MONDAY, 10, 59, 30), ist(MONDAY, 11, 0, 30))
    assert [bar.close for bar in bars] == [quote.last for quote in shown]
    assert [bar.volume for bar in bars] == [quote.last_quantity for quote in shown]
    [minute, *_] = one.market.history(name, Interval.M1, ist(MONDAY, 11), ist(MONDAY, 11, 1))
    late = [*shown[30:], one.market.quote(name)]
    assert minute.open == late[0].last
    assert (minute.high, minute.low) == (max(q.last for q in late), min(q.last for q in late))


@pytest.mark.parametrize("name", CONTRACTS, ids=str)
@pytest.mark.parametrize("interval", [Interval.M1, Interval.M15, Interval.H1, Interval.D])
def test_the_bars_of_the_day_sum_to_its_quote(name: InstrumentKey, interval: Interval) -> None:
    one = priced(13, 7, 23)
    quote = one.market.quote(name)
    bars = one.market.history(name, interval, ist(MONDAY), ist(MONDAY + timedelta(days=1)))
    assert bars[0].open == quote.open
    assert bars[-1].close == quote.last
    assert max(bar.high for bar in bars) == quote.high
    assert min(bar.low for bar in bars) == quote.low
    assert sum(bar.volume for bar in bars) == quote.volume


@pytest.mark.parametrize("name", CONTRACTS, ids=str)
def test_a_quote_is_the_same_whether_the_day_was_watched_or_not(name: InstrumentKey) -> None:
    one, other = priced(10, 14, 59), priced(12, 31, 1)
    for _ in range(3):
        one.market.quote(name)
        one.clock.advance(45)
    one.at(MONDAY, 12, 31, 1)
    assert one.market.quote(name) == other.market.quote(name)
    one.at(MONDAY, 9, 40)
    other.at(MONDAY, 9, 40)
    assert one.market.quote(name) == other.market.quote(name)


@pytest.mark.parametrize("name", CONTRACTS, ids=str)
def test_a_day_closes_where_the_next_one_says_it_did(name: InstrumentKey) -> None:
    one = priced(9, 30)
    [*_, before, _today] = one.market.history(
        name, Interval.D, ist(MONDAY - timedelta(days=5)), ist(MONDAY + timedelta(days=1))
    )
    assert before.close == one.market.quote(name).previous_close


@pytest.mark.parametrize("name", CONTRACTS, ids=str)
def test_finished_bars_stay_as_they_were(name: InstrumentKey) -> None:
    """Nothing of a bar comes from after the moment at which it was asked for."""
    early, late = priced(11, 0, 40), priced(14, 30)
    asked = (name, Interval.M5, ist(MONDAY, 9, 15), ist(MONDAY, 15, 30))
    before, after = early.market.history(*asked), late.market.history(*asked)
    assert list(before[:-1]) == list(after[: len(before) - 1])
    assert before[-1].start == ist(MONDAY, 11, 0)
    assert len(after) > len(before)


# ---- expiry


def test_on_its_last_day_an_option_comes_to_what_exercise_gives() -> None:
    one = priced(15, 29, 30)
    spot = one.market.quote(NIFTY).last
    series = series_of(listed(), one.market, underlying=NIFTY, expiry=MONDAY)
    for strike in series.strikes[:: len(series.strikes) // 12]:
        call = one.market.quote(series.key(strike, ContractKind.CE)).last
        put = one.market.quote(series.key(strike, ContractKind.PE)).last
        assert call == pytest.approx(max(spot - strike, Decimal(0)), abs=Decimal("0.05"))
        assert put == pytest.approx(max(strike - spot, Decimal(0)), abs=Decimal("0.05"))


def test_after_expiry_nothing_moves_and_nobody_quotes() -> None:
    name = option("NIFTY", MONDAY, Decimal(27800), "CE")
    one = priced(15, 29, 59)
    last = one.market.quote(name)
    one.at(MONDAY, 15, 30, 0)
    first = one.market.quote(name)
    one.at(MONDAY, 18)
    after = one.market.quote(name)
    assert (first.last, first.volume, first.at) == (last.last, last.volume, last.at)
    assert (after.last, after.high, after.volume) == (last.last, last.high, last.volume)
    assert (after.bid, after.ask) == (Decimal(0), Decimal(0))
    bars = one.market.history(name, Interval.M1, ist(MONDAY, 15), ist(MONDAY, 18))
    assert bars[-1].start == ist(MONDAY, 15, 29)
    assert bars[-1].close == last.last
    [day] = one.market.history(name, Interval.D, ist(MONDAY), ist(MONDAY, 23))
    assert (day.close, day.high, day.volume) == (last.last, last.high, last.volume)


def test_the_day_after_its_expiry_a_contract_is_gone() -> None:
    name = option("NIFTY", MONDAY, Decimal(27800), "CE")
    one = priced(23, 59, 59)
    assert one.market.find(name) is not None
    one.clock.advance(1)
    assert one.market.find(name) is None
    with pytest.raises(NotFound, match="not listed"):
        one.market.quote(name)


# ---- ticks


class Heard:
    """A listener that keeps what it heard last."""

    def __init__(self) -> None:
        self.quotes: dict[InstrumentKey, Quote] = {}

    def __call__(self, quotes: Sequence[Quote]) -> None:
        self.quotes = {quote.key: quote for quote in quotes}


def tick(one: Priced) -> None:
    one.clock.advance(1)
    one.market.tick()


def test_only_what_somebody_wants_ticks() -> None:
    one, heard = priced(), Heard()
    wanted = [CONTRACTS[0], CONTRACTS[5], key("NFO", "NOSUCH24NOV26FUT"), NIFTY]
    stop = one.market.listen(heard, lambda: wanted)
    tick(one)
    assert set(wanted[:2]) <= set(heard.quotes)
    assert not set(CONTRACTS[1:5]) & set(heard.quotes)
    assert parts_of(wanted[2].symbol) is not None
    assert wanted[2] not in heard.quotes
    for name in wanted[:2]:
        assert heard.quotes[name] == one.market.quote(name)
    stop()
    one.market.listen(heard)
    tick(one)
    assert heard.quotes
    assert not set(wanted[:3]) & set(heard.quotes)
    assert not set(wanted[:3]) & set(one.market._served)


def test_a_listener_that_cannot_say_what_it_wants_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, heard = priced(), Heard()

    def broken() -> Sequence[InstrumentKey]:
        raise RuntimeError("out of order")

    one.market.listen(lambda _quotes: None, broken)
    one.market.listen(heard, lambda: [CONTRACTS[0]])
    tick(one)
    assert CONTRACTS[0] in heard.quotes
    assert "wants_failed" in caplog.text


def test_the_market_is_told_of_a_list_that_is_made_and_of_one_that_was_kept(
    tmp_path: Path,
) -> None:
    """So a server that comes back has its prices without a new list."""
    name = key("NFO", "RELIANCE29DEC26FUT")
    made, kept = (SyntheticMarket(FakeClock(ist(MONDAY, 10)), seed=7) for _ in range(2))
    for market, get in ((made, True), (kept, False)):
        source = PaperContracts(
            clock=FakeClock(ist(MONDAY, 10)),
            market=market,
            calendars=shipped_calendars,
            folder=tmp_path,
            about="tests",
        )
        assert market.find(name) is None
        asyncio.run(source.fetch(lambda _percent, _what: None) if get else source.stored())
        assert market.find(name) is not None
    assert made.quote(name) == kept.quote(name)


def test_a_recording_keeps_to_what_it_recorded(tmp_path: Path) -> None:
    row = (key("NSE", "RELIANCE"), "2025-06-02 09:15", 1, 2, 1, 2, 3)
    file = write_minutes(tmp_path / "day.parquet", [row])
    market = open_market(f"recorded:{file}", FakeClock())
    market.use_list(listed())
    assert market.find(CONTRACTS[0]) is None
    assert market.levels(market.now()) == {}
