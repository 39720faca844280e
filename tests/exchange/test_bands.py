"""Between which prices an instrument trades on a day."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import OrderStatus
from algohost.exchange.bands import Band, band_of
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.honest import HONEST
from tests.exchange.desk import INFY, INSTRUMENTS, Desk, quote


def listed(exchange: str, kind: str = "EQ", **more: object) -> Instrument:
    key = InstrumentKey(exchange=Exchange(exchange), symbol="X")
    row = Instrument(key=key, token="1", name="X", instrument_type=kind)
    return replace(row, **more)  # type: ignore[arg-type]


NOVEMBER, LATE = date(2026, 11, 26), date(2027, 9, 24)

# what is listed, the day's high and low with a base of 100, the lowest and the highest price
CASES = [
    ("a share of the 5 % band", listed("NSE", price_band=Decimal(5)), 100, 100, "95", "105"),
    ("which stays, whatever is shown", listed("BSE", price_band=Decimal(5)), 107, 90, "95", "105"),
    ("a share whose band is not known", listed("NSE"), 100, 100, "80", "120"),
    ("a share with derivatives", listed("NSE", price_band=Decimal(0)), 109.85, 95, "90", "110"),
    ("moves by 5 %", listed("NSE", price_band=Decimal(0)), 109.9, 95, "90", "115"),
    ("and by 5 % again", listed("NSE", price_band=Decimal(0)), 114.9, 95, "90", "120"),
    ("then by 3 %", listed("NSE", price_band=Decimal(0)), 119.9, 95, "90", "123"),
    ("twice", listed("NSE", price_band=Decimal(0)), 122.95, 95, "90", "126"),
    ("then by 2 %", listed("NSE", price_band=Decimal(0)), 129, 95, "90", "130"),
    ("downwards too", listed("NSE", price_band=Decimal(0)), 101, 90.1, "85", "110"),
    ("a future", listed("NFO", "FUT", expiry=NOVEMBER), 100, 100, "90", "110"),
    ("an option", listed("NFO", "CE", expiry=NOVEMBER, strike=Decimal(500)), 100, 1, "0.05", "160"),
    (
        "an option that has gone far",
        listed("NFO", "PE", expiry=NOVEMBER, strike=Decimal(500)),
        151,
        1,
        "0.05",
        "175",
    ),
    (
        "a call deep in the money",
        listed("NFO", "CE", expiry=NOVEMBER, strike=Decimal(50)),
        100,
        1,
        "0.05",
        "115",
    ),
    ("dollars", listed("CDS", "FUT", expiry=NOVEMBER), 100, 100, "97", "103"),
    ("dollars next year", listed("CDS", "FUT", expiry=LATE), 100, 100, "95", "105"),
    ("crude oil", listed("MCX", "FUT", expiry=NOVEMBER), 100, 100, "91", "109"),
]


@pytest.mark.parametrize(
    ("row", "high", "low", "lower", "upper"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_the_band_of_an_instrument(
    row: Instrument, high: float, low: float, lower: str, upper: str
) -> None:
    shown = replace(
        quote(row.key, last="100", previous_close="100"),
        high=Decimal(str(high)),
        low=Decimal(str(low)),
    )
    assert band_of(row, shown) == Band(lower=Decimal(lower), upper=Decimal(upper))


def test_there_is_no_band_without_a_base_price_and_none_for_crypto() -> None:
    assert band_of(listed("NSE"), quote(last="100")) is None
    assert band_of(listed("CRYPTO"), quote(last="100", previous_close="100")) is None


@given(
    base=st.integers(1, 10**6), percent=st.sampled_from([0, 2, 5, 10, 20, None]), far=st.integers()
)
def test_a_band_lies_on_the_tick_and_holds_the_price_it_comes_from(
    base: int, percent: int | None, far: int
) -> None:
    tick = Decimal("0.05")
    row = listed("NSE", price_band=None if percent is None else Decimal(percent))
    close = base * tick
    high = max(close, far % (5 * base) * tick)
    shown = replace(quote(last=str(close), previous_close=str(close)), high=high, low=close)
    band = band_of(row, shown)
    assert band is not None
    assert band.lower % tick == band.upper % tick == 0
    assert 0 < band.lower <= close <= max(band.upper, tick)
    if percent in {0, None} and base > 1000:
        assert high in band, "an operating range lets in what the market shows"


REFUSED = [
    (
        "BUY 1 LIMIT 120.05",
        (
            "Price 120.05 is beyond the upper circuit limit 120.00 of NSE:INFY today. "
            "Give one from 80.00 to 120.00."
        ),
    ),
    ("SELL 1 LIMIT 79.95", "Price 79.95 is beyond the lower circuit limit 80.00"),
    ("BUY 1 SL-M @121", "Trigger price 121 is beyond the upper circuit limit 120.00"),
    ("BUY 1 SL 121 @119", "Price 121 is beyond the upper circuit limit 120.00"),
]


@pytest.mark.parametrize(("asked", "reason"), REFUSED)
def test_an_order_beyond_the_circuit_limits_is_refused(asked: str, reason: str) -> None:
    desk = Desk()
    desk.show(quote(last="100", previous_close="100"))
    order = desk.place(asked)
    assert (order.status, order.reason.startswith(reason)) == (OrderStatus.REJECTED, True)


def test_a_price_at_the_circuit_limit_is_taken() -> None:
    desk = Desk()
    desk.show(quote(last="100", previous_close="100"))
    assert desk.place("SELL 1 LIMIT 120").status is OrderStatus.OPEN


@pytest.mark.parametrize("fills", [AT_TOUCH, HONEST], ids=lambda model: model.name)
def test_nothing_trades_beyond_the_band_of_a_share(
    fills: FillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A market that leaves the band, as a synthetic one may, finds nobody there."""
    narrow = replace(INSTRUMENTS[INFY], price_band=Decimal(5))
    monkeypatch.setitem(INSTRUMENTS, INFY, narrow)
    desk = Desk(fills=fills)
    desk.show(quote(last="104", previous_close="100"))
    stop, limit = desk.place("BUY 1 SL-M @104.50"), desk.place("SELL 1 LIMIT 105")
    beyond = quote(last="108", previous_close="100")
    desk.show(beyond)
    assert desk.order(stop.id).filled_quantity == 0
    assert desk.place("BUY 1 MARKET").reason.startswith("There is no seller for NSE:INFY now.")
    assert desk.order(limit.id).average_price in {Decimal(0), Decimal(105)}
    desk.show(quote(last="104", previous_close="100"))
    assert desk.order(stop.id).average_price == Decimal(104)
