"""When the days of positions end, by the calendar that the program comes with."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest

from algohost.domain.calendars import Calendar, Knowledge
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.exchange.hours import NO_SQUARE_OFF, SquareOff, TradingHours
from algohost.market.calendars import shipped_calendars

HOURS = TradingHours(shipped_calendars().__getitem__)


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


SQUARE_OFFS = [
    ("a weekday", "NSE", "2026-11-23", "2026-11-23 15:15"),
    ("derivatives as shares", "NFO", "2026-11-23", "2026-11-23 15:15"),
    ("BSE derivatives as shares", "BFO", "2026-11-23", "2026-11-23 15:15"),
    ("currencies", "CDS", "2026-11-23", "2026-11-23 16:45"),
    ("commodities in winter", "MCX", "2026-11-23", "2026-11-23 23:30"),
    ("commodities in summer", "MCX", "2026-06-01", "2026-06-01 23:05"),
    ("a half day of commodities", "MCX", "2026-01-01", "2026-01-01 16:35"),
    ("Muhurat trading", "NSE", "2025-10-21", "2025-10-21 14:30"),
    ("the budget on a Sunday", "NSE", "2026-02-01", "2026-02-01 15:15"),
    ("a Sunday, for markets that are open then", "NSE", "2026-11-22", "2026-11-22 15:15"),
]


@pytest.mark.parametrize(
    ("exchange", "day", "at"), [c[1:] for c in SQUARE_OFFS], ids=[c[0] for c in SQUARE_OFFS]
)
def test_square_off_is_so_long_before_the_end(exchange: str, day: str, at: str) -> None:
    assert HOURS.squares_off_at(Exchange(exchange), date.fromisoformat(day)) == ist(at)


def test_crypto_and_what_is_not_set_are_never_squared_off() -> None:
    day = date(2026, 11, 23)
    assert HOURS.squares_off_at(Exchange.CRYPTO, day) is None
    none = TradingHours(shipped_calendars().__getitem__, square_off=NO_SQUARE_OFF)
    assert none.squares_off_at(Exchange.NSE, day) is None
    assert none.intraday_over_since(Exchange.NSE, ist("2026-11-23 15:20")) is None


def test_a_square_off_before_the_session_is_at_its_opening() -> None:
    early = SquareOff(before_close={Exchange.NSE: timedelta(hours=10)})
    hours = TradingHours(shipped_calendars().__getitem__, square_off=early)
    assert hours.squares_off_at(Exchange.NSE, date(2026, 11, 23)) == ist("2026-11-23 09:15")


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("2026-11-23 15:14:59", False),
        ("2026-11-23 15:15", True),
        ("2026-11-23 15:29:59", True),
        ("2026-11-23 15:30", False),
        ("2026-11-24 09:15", False),
    ],
)
def test_no_position_is_opened_between_square_off_and_the_end(now: str, over: bool) -> None:
    expected = ist("2026-11-23 15:15") if over else None
    assert HOURS.intraday_over_since(Exchange.NSE, ist(now)) == expected


@pytest.mark.parametrize(
    ("opened", "ends"),
    [
        ("2026-11-23 09:15", "2026-11-23 15:15"),
        ("2026-11-23 15:14:59", "2026-11-23 15:15"),
        ("2026-11-23 15:15", "2026-11-24 15:15"),
        ("2026-11-20 15:20", "2026-11-21 15:15"),
    ],
)
def test_what_is_opened_ends_at_the_next_square_off(opened: str, ends: str) -> None:
    assert HOURS.square_off_after(Exchange.NSE, ist(opened)) == ist(ends)


DELIVERIES = [
    ("the next day", "2026-11-25", "2026-11-26"),
    ("not on a weekend", "2026-11-20", "2026-11-23"),
    ("bought on a Saturday, where that is possible", "2026-11-21", "2026-11-23"),
    ("a holiday delivers nothing", "2026-11-09", "2026-11-11"),
    ("nor does a settlement holiday", "2026-02-18", "2026-02-20"),
    ("nor a special session on a Sunday", "2026-01-30", "2026-02-02"),
    ("a year that nobody has entered", "2031-03-06", "2031-03-07"),
    ("nor a weekend of such a year", "2031-03-07", "2031-03-10"),
]


@pytest.mark.parametrize(
    ("bought", "delivered"), [c[1:] for c in DELIVERIES], ids=[c[0] for c in DELIVERIES]
)
def test_shares_are_delivered_on_t_plus_one(bought: str, delivered: str) -> None:
    key = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
    assert HOURS.settles_on(key, date.fromisoformat(bought)) == date.fromisoformat(delivered)


def test_a_calendar_that_knows_nothing_ends_nothing() -> None:
    def empty(exchange: Exchange) -> Calendar:
        years: dict[int, Knowledge] = {}
        days: Iterable[object] = ()
        return Calendar(exchange=exchange, hours=(), years=years, listed=days)  # type: ignore[arg-type]

    hours = TradingHours(empty)
    now = datetime(2026, 11, 23, 10, tzinfo=UTC)
    key = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY01DEC26FUT")
    assert hours.square_off_after(Exchange.NSE, now) is None
    assert hours.intraday_over_since(Exchange.NSE, now) is None
    assert hours.expired_at(key, now) is None


@pytest.mark.parametrize(
    ("symbol", "now", "expired"),
    [
        ("NIFTY01DEC26FUT", "2026-12-01 15:29", None),
        ("NIFTY01DEC26FUT", "2026-12-01 15:30", "2026-12-01 15:30"),
        ("NIFTY01DEC2624500CE", "2026-12-07 09:00", "2026-12-01 15:30"),
        ("NIFTY", "2026-11-30 09:00", None),
    ],
)
def test_a_contract_expires_at_the_close_of_its_day(
    symbol: str, now: str, expired: str | None
) -> None:
    key = InstrumentKey(exchange=Exchange.NFO, symbol=symbol)
    assert HOURS.expired_at(key, ist(now)) == (None if expired is None else ist(expired))
