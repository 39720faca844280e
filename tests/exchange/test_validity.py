"""How long an order waits, and what its disclosed quantity may be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from algohost.domain.gtt import GTT_LIFE, GttStatus
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.order_json import request_from_json, request_to_json
from algohost.domain.orders import OrderStatus, Product, Validity
from algohost.exchange.checks import refusal_of_terms
from algohost.exchange.events import Cancelled
from algohost.exchange.honest import HONEST
from algohost.exchange.hours import TradingHours
from algohost.exchange.validity import over, session_end
from algohost.market.calendars import shipped_calendars
from tests.exchange.desk import (
    FUTURE,
    INFY,
    INSTRUMENTS,
    MORNING,
    RSI,
    Desk,
    gtt_request,
    quote,
    request,
)

HOURS = TradingHours(lambda exchange: shipped_calendars()[exchange])


def ist(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+05:30").astimezone(UTC)


def test_a_day_order_ends_with_the_session_and_says_so() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    order = desk.place("BUY 10 LIMIT 90 CNC")
    assert over(desk.state, HOURS, at=ist("2026-11-23 15:29:59")) == []
    (event,) = desk.keep(over(desk.state, HOURS, at=ist("2026-11-23 15:30:00")))
    assert isinstance(event, Cancelled)
    after = desk.order(order.id)
    assert (after.status, after.reason) == (
        OrderStatus.CANCELLED,
        "The session of NSE ended at 15:30, and a DAY order ends with it.",
    )
    assert desk.state.hold == 0
    assert over(desk.state, HOURS, at=ist("2026-11-24 15:30:00")) == []


def test_what_traded_of_a_day_order_stays() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET CNC", owner=RSI)
    stop = desk.place("SELL 10 SL-M @90 CNC", owner=RSI)
    desk.keep(over(desk.state, HOURS, at=ist("2026-11-23 18:00:00")))
    assert desk.order(stop.id).status is OrderStatus.CANCELLED
    assert desk.held(RSI, product=Product.CNC) == 10


@pytest.mark.parametrize(
    ("exchange", "placed", "ends"),
    [
        ("NSE", "2026-11-23 09:30:00", "2026-11-23 15:30:00"),
        ("NSE", "2026-11-23 15:30:00", "2026-11-24 15:30:00"),
        ("NFO", "2026-11-23 15:29:59", "2026-11-23 15:30:00"),
        ("CDS", "2026-11-23 16:59:00", "2026-11-23 17:00:00"),
        ("MCX", "2026-11-23 22:00:00", "2026-11-23 23:55:00"),
        ("CRYPTO", "2026-11-23 22:00:00", "2026-11-24 00:00:00"),
    ],
)
def test_a_session_ends_when_its_exchange_closes(exchange: str, placed: str, ends: str) -> None:
    assert session_end(HOURS, Exchange(exchange), ist(placed)) == ist(ends)


def test_a_gtt_does_not_end_with_the_session_but_after_a_year() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    assert over(desk.state, HOURS, at=ist("2026-11-23 18:00:00")) == []
    desk.keep(over(desk.state, HOURS, at=desk.at + GTT_LIFE))
    assert desk.gtt(gtt.id).status is GttStatus.EXPIRED


@pytest.mark.parametrize(
    ("asked", "status", "price"),
    [
        ("BUY 10 MARKET", OrderStatus.COMPLETE, 100),
        ("BUY 10 LIMIT 100", OrderStatus.COMPLETE, 100),
        ("BUY 10 LIMIT 99", OrderStatus.CANCELLED, 0),
    ],
)
def test_an_ioc_order_trades_at_once_or_not_at_all(
    asked: str, status: OrderStatus, price: int
) -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    order = desk.place(replace(request(asked), validity=Validity.IOC))
    assert (order.status, order.average_price) == (status, Decimal(price))
    assert desk.state.open_orders() == []


def test_an_ioc_order_that_meets_no_price_any_more_ends_with_the_session() -> None:
    """It is sent in the last moments of a second, and nothing is quoted after it."""
    desk = Desk(fills=HONEST)
    desk.show(quote(last="100"))
    desk.at += timedelta(milliseconds=990)
    order = desk.place(replace(request("BUY 10 LIMIT 100"), validity=Validity.IOC))
    assert order.status is OrderStatus.OPEN
    desk.at = MORNING.replace(hour=10)
    desk.keep(over(desk.state, HOURS, at=desk.at))
    assert desk.order(order.id).reason == "IOC: what could not trade at once was cancelled."


def test_an_ioc_order_does_not_wait_for_a_trigger() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    order = desk.place(replace(request("BUY 10 SL-M @101"), validity=Validity.IOC))
    assert order.reason == "An IOC order does not wait for a trigger. Use DAY for SL-M."


def test_an_order_of_before_there_was_a_validity_is_a_day_order() -> None:
    body = request_to_json(replace(request("BUY 10 MARKET"), validity=Validity.IOC))
    assert request_from_json(body).validity is Validity.IOC
    del body["validity"]
    assert request_from_json(body).validity is Validity.DAY


DISCLOSED = [
    ("NSE", 100, 10, None),
    ("NSE", 101, 10, "Disclosed quantity 10 is below 10 % of the order on NSE. Give at least 11,"),
    ("BSE", 100, 0, None),
    ("BSE", 100, 101, "Disclosed quantity 101 is not between 0 and the quantity."),
    ("CDS", 100, 9, "Disclosed quantity 9 is below 10 % of the order on CDS."),
    ("MCX", 100, 24, "Disclosed quantity 24 is below 25 % of the order on MCX."),
    ("MCX", 100, 25, None),
    ("NFO", 100, 50, "NFO takes no disclosed quantity. Send 0, or split the order."),
]


@pytest.mark.parametrize(("exchange", "quantity", "disclosed", "reason"), DISCLOSED)
def test_a_disclosed_quantity_is_as_the_exchange_allows(
    exchange: str, quantity: int, disclosed: int, reason: str | None
) -> None:
    key = InstrumentKey(exchange=Exchange(exchange), symbol="X")
    asked = replace(
        request(f"BUY {quantity} MARKET", key), disclosed_quantity=disclosed, product=Product.NRML
    )
    said = refusal_of_terms(asked, replace(INSTRUMENTS[INFY], key=key))
    assert (said or "").startswith(reason or "")
    assert (said is None) is (reason is None)


@pytest.mark.parametrize("kind", ["MARKET", "LIMIT 24000", "SL-M @24100", "SL 24200 @24100"])
def test_every_kind_of_order_is_held_to_lot_and_freeze_quantity(kind: str) -> None:
    desk = Desk()
    desk.show(quote(FUTURE, last="24000"))
    assert desk.place(f"BUY 76 {kind}", FUTURE).reason.startswith("Quantity 76 is not a multiple")
    above = desk.place(f"BUY 1875 {kind}", FUTURE)
    assert above.reason == "Quantity 1875 is above the freeze quantity 1800. Split the order."
