"""What both markets share: search, listeners, the ticker."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.ports import Market
from algohost.domain.quotes import Quote
from algohost.market import MarketService, open_market
from algohost.testing.clock import FakeClock
from tests.market.recordings import RELIANCE, write_minutes


class WallClock:
    """The real clock, for the ticker that sleeps on it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def market(clock: FakeClock) -> MarketService:
    return open_market("synthetic", clock)


def test_the_service_is_the_port(market: MarketService) -> None:
    port: Market = market
    assert port.name == "synthetic"


@pytest.mark.parametrize(
    ("text", "exchange", "first"),
    [
        ("INFY", None, ["INFY"]),
        ("infy", None, ["INFY"]),
        ("  NIFTY ", None, ["NIFTY", "NIFTYIT", "BANKNIFTY", "FINNIFTY"]),
        ("NIFTY", Exchange.NSE, []),
        ("BAJ", None, ["BAJAJ-AUTO", "BAJAJFINSV", "BAJFINANCE"]),
        ("TATA", Exchange.NSE, ["TATACONSUM", "TATAMOTORS", "TATASTEEL"]),
        ("hero", None, ["HEROMOTOCO"]),
        ("state bank", None, ["SBIN"]),
        ("LT", None, ["LT", "HCLTECH", "ULTRACEMCO", "MAXHEALTH"]),
        ("", None, []),
        ("no such thing", None, []),
    ],
)
def test_search_puts_symbols_before_names(
    market: MarketService, text: str, exchange: Exchange | None, first: list[str]
) -> None:
    found = [item.key.symbol for item in market.search(text, exchange)]
    assert first == found[: len(first)]
    assert bool(first) == bool(found)


def test_a_listener_that_raises_stops_nobody(
    market: MarketService, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Sequence[Quote]] = []

    def broken(_: Sequence[Quote]) -> None:
        raise RuntimeError("out of order")

    market.listen(broken)
    market.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            clock.advance(1)
            market.tick()
    assert len(heard) == 2
    assert [record.message.split()[0] for record in caplog.records] == ["listener_failed"] * 2


def test_a_listener_may_leave_while_it_is_called_and_twice(
    market: MarketService, clock: FakeClock
) -> None:
    heard: list[Sequence[Quote]] = []
    leave: Callable[[], None]

    def once(quotes: Sequence[Quote]) -> None:
        heard.append(quotes)
        leave()
        leave()

    leave = market.listen(once)
    for _ in range(3):
        clock.advance(1)
        market.tick()
    assert len(heard) == 1


def test_one_second_is_shown_once_and_only_what_changed(
    market: MarketService, clock: FakeClock
) -> None:
    clock.set(datetime(2025, 6, 2, 20, 0, tzinfo=UTC))  # night: little moves
    assert len(market.instruments()) == len(market.tick())
    assert market.tick() == []
    before = {item.key: market.quote(item.key) for item in market.instruments()}
    clock.advance(1)
    changed = market.tick()
    assert 0 < len(changed) <= len(before)
    order = [item.key for item in market.instruments()]
    assert [key for key in order if key in {quote.key for quote in changed}] == [
        quote.key for quote in changed
    ]
    for quote in changed:
        assert quote == market.quote(quote.key)
        assert quote != before[quote.key]


def test_a_clock_that_jumps_back_does_not_silence_the_market(
    market: MarketService, clock: FakeClock
) -> None:
    market.tick()
    clock.set(clock.now() - timedelta(hours=1))
    assert market.tick()


async def _run_until(market: MarketService, enough: Callable[[], bool]) -> None:
    ticker = asyncio.create_task(market.run())
    deadline = time.monotonic() + 30
    while not enough() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    ticker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticker


def test_the_ticker_ticks_at_whole_seconds_of_the_market() -> None:
    market = open_market("synthetic", WallClock())
    heard: list[datetime] = []
    market.listen(lambda quotes: heard.append(quotes[0].at))
    asyncio.run(_run_until(market, lambda: len(heard) >= 2))
    assert len(heard) >= 2
    assert sorted(set(heard)) == heard
    assert all(at.microsecond == 0 for at in heard)


def test_a_fast_recording_coalesces_to_twenty_ticks_a_second(tmp_path: Path) -> None:
    """At 100 market seconds a second, no two ticks share five market seconds."""
    rows = [
        (RELIANCE, f"2021-05-27 {9 + m // 60:02}:{m % 60:02}:00", 100.0 + m, 101.0 + m, 99.0 + m,
         100.5 + m, 600)
        for m in range(15, 60)
    ]  # fmt: skip
    file = write_minutes(tmp_path / "day.parquet", rows)
    market = open_market(f"recorded:{file}?speed=100", WallClock())
    seconds: list[int] = []
    market.listen(lambda _: seconds.append(int(market.now().timestamp())))
    asyncio.run(_run_until(market, lambda: len(seconds) >= 5))
    assert len(seconds) >= 5
    cells = [second // 5 for second in seconds]
    assert sorted(set(cells)) == cells


def test_a_tick_that_fails_is_logged_and_the_next_one_comes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = open_market("synthetic", WallClock())
    calls: list[int] = []

    def failing() -> Sequence[Quote]:
        calls.append(1)
        raise RuntimeError("a bad second")

    monkeypatch.setattr(market, "tick", failing)
    with caplog.at_level(logging.ERROR):
        asyncio.run(_run_until(market, lambda: len(calls) >= 2))
    assert len(calls) >= 2
    assert "tick_failed market='synthetic'" in caplog.text


def test_quotes_of_one_instrument_come_in_order_of_time(
    market: MarketService, clock: FakeClock
) -> None:
    seen: dict[InstrumentKey, list[datetime]] = {}

    def keep(quotes: Sequence[Quote]) -> None:
        for quote in quotes:
            seen.setdefault(quote.key, []).append(quote.at)

    market.listen(keep)
    for _ in range(10):
        clock.advance(1)
        market.tick()
    assert all(times == sorted(set(times)) for times in seen.values())
