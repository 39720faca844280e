"""Matching, as tables: what is placed, what the market shows after, at which price it trades."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from algohost.domain.errors import Invalid
from algohost.domain.orders import Order, OrderChanges, OrderStatus
from algohost.domain.quotes import Quote
from algohost.exchange.events import Cancelled, Filled, Triggered
from algohost.exchange.fills import AtTouch, Fill, Shown
from tests.exchange.desk import EMA, INFY, RSI, TCS, Desk, quote


@dataclass(frozen=True)
class Case:
    """``shows``: one line per tick, ``last bid ask``; the order is placed after the first."""

    why: str
    order: str
    shows: str
    status: str
    price: str | None = None


CASES = [
    Case("a market buy pays the ask", "BUY 10 MARKET", "100 99.95 100.05", "complete", "100.05"),
    Case("a market sell gets the bid", "SELL 10 MARKET", "100 99.95 100.05", "complete", "99.95"),
    Case(
        "a limit buy above the ask trades at the ask, not at its limit",
        "BUY 10 LIMIT 101",
        "100 99.95 100.05",
        "complete",
        "100.05",
    ),
    Case(
        "a limit sell below the bid trades at the bid, not at its limit",
        "SELL 10 LIMIT 99",
        "100 99.95 100.05",
        "complete",
        "99.95",
    ),
    Case(
        "a limit buy below the ask waits",
        "BUY 10 LIMIT 100",
        "100 99.95 100.05 | 100 99.95 100.05",
        "open",
    ),
    Case(
        "a last price at the limit is not enough: somebody must offer there",
        "BUY 10 LIMIT 100",
        "100 99.95 100.05 | 99.95 99.90 100.05",
        "open",
    ),
    Case(
        "a resting limit buy trades at its limit when the ask comes down to it",
        "BUY 10 LIMIT 100",
        "100 99.95 100.05 | 100 99.95 100.00",
        "complete",
        "100",
    ),
    Case(
        "a gap through a resting limit buy trades at the better ask",
        "BUY 10 LIMIT 100",
        "100 99.95 100.05 | 98 97.95 98.05",
        "complete",
        "98.05",
    ),
    Case(
        "a resting limit sell trades at its limit when the bid comes up to it",
        "SELL 10 LIMIT 101",
        "100 99.95 100.05 | 101 101 101.05",
        "complete",
        "101",
    ),
    Case(
        "a gap through a resting limit sell trades at the better bid",
        "SELL 10 LIMIT 101",
        "100 99.95 100.05 | 103 102.95 103.05",
        "complete",
        "102.95",
    ),
    Case(
        "a stop sleeps while the last price is short of its trigger, whatever the touch does",
        "BUY 10 SL-M @101",
        "100 99.95 100.05 | 100.95 100.90 101.20",
        "trigger pending",
    ),
    Case(
        "a stop-market buy trades at the ask once the last price touches its trigger",
        "BUY 10 SL-M @101",
        "100 99.95 100.05 | 101 100.95 101.05",
        "complete",
        "101.05",
    ),
    Case(
        "a stop-market sell that gaps trades at the bid beyond its trigger",
        "SELL 10 SL-M @99",
        "100 99.95 100.05 | 95 94.95 95.05",
        "complete",
        "94.95",
    ),
    Case(
        "a triggered stop-limit buy trades at the ask within its limit",
        "BUY 10 SL 101.5 @101",
        "100 99.95 100.05 | 101 100.95 101.05",
        "complete",
        "101.05",
    ),
    Case(
        "a stop-limit buy that gaps over its limit is triggered and waits",
        "BUY 10 SL 101.5 @101",
        "100 99.95 100.05 | 103 102.95 103.05",
        "open",
    ),
    Case(
        "and trades at its limit when the market comes back to it",
        "BUY 10 SL 101.5 @101",
        "100 99.95 100.05 | 103 102.95 103.05 | 101.5 101.45 101.50",
        "complete",
        "101.50",
    ),
    Case(
        "a stop-limit sell that gaps under its limit is triggered and waits",
        "SELL 10 SL 98.5 @99",
        "100 99.95 100.05 | 97 96.95 97.05",
        "open",
    ),
    Case(
        "a triggered stop-market with nobody on the other side waits for somebody",
        "BUY 10 SL-M @101",
        "100 99.95 100.05 | 101 101 0",
        "open",
    ),
    Case(
        "and trades with the first who comes",
        "BUY 10 SL-M @101",
        "100 99.95 100.05 | 101 101 0 | 101 101 101.30",
        "complete",
        "101.30",
    ),
    Case(
        "a market order with nobody on the other side is refused",
        "BUY 10 MARKET",
        "100 100 0",
        "rejected",
    ),
]


def shown(line: str) -> Quote:
    last, bid, ask = line.split()
    return quote(last=last, bid=bid, ask=ask)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_an_order_trades_as_its_kind_says(case: Case) -> None:
    desk = Desk()
    first, *later = case.shows.split(" | ")
    desk.show(shown(first))
    placed = desk.place(case.order)
    for line in later:
        desk.show(shown(line))
    order = desk.order(placed.id)
    price = Decimal(case.price) if case.price else Decimal(0)
    assert (order.status, order.average_price) == (OrderStatus(case.status), price)


def test_a_trigger_and_its_fill_are_two_facts_of_one_tick() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    order = desk.place("SELL 10 SL-M @99")
    happened = desk.show(quote(last="98"))
    assert [type(event) for event in happened] == [Triggered, Filled]
    assert all(event.order_id == order.id for event in happened if isinstance(event, Filled))


def test_orders_of_one_tick_trade_in_the_order_they_came() -> None:
    desk = Desk()
    desk.tick([quote(last="100"), quote(TCS, last="200")])
    first = desk.place("BUY 1 LIMIT 90", TCS, owner=RSI)
    second = desk.place("BUY 1 LIMIT 90", INFY)
    third = desk.place("BUY 1 LIMIT 95", TCS)
    happened = desk.tick([quote(INFY, last="80"), quote(TCS, last="80")])
    filled = [event.order_id for event in happened if isinstance(event, Filled)]
    assert filled == [first.id, second.id, third.id]


def test_a_tick_touches_only_orders_of_its_instruments() -> None:
    desk = Desk()
    desk.tick([quote(last="100"), quote(TCS, last="200")])
    other = desk.place("BUY 1 LIMIT 90", TCS)
    assert desk.show(quote(INFY, last="1")) == []
    assert desk.order(other.id).status is OrderStatus.OPEN


def test_one_instrument_quoted_twice_in_a_tick_fills_an_order_once() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 LIMIT 90")
    happened = desk.tick([quote(last="89"), quote(last="88")])
    assert [event.price for event in happened if isinstance(event, Filled)] == [Decimal(89)]


def test_an_entry_that_gaps_beyond_the_money_is_cancelled_with_the_amounts() -> None:
    """2,000 rupees carry 100 units at 100 with 20 %, and not at 150."""
    desk = Desk(cash="2100")
    desk.show(quote(last="100"))
    order = desk.place("BUY 100 SL-M @101")
    happened = desk.show(quote(last="150"))
    assert [type(event) for event in happened] == [Triggered, Cancelled]
    assert desk.order(order.id).reason == (
        "Insufficient funds: needed ₹980.00, available ₹80.00. "
        "Reduce the quantity or close a position."
    )
    assert desk.state.hold == 0


def test_a_stop_that_closes_a_position_trades_through_any_gap() -> None:
    """An exit needs no money: a short at 100 is bought back at 150 with nothing left."""
    desk = Desk(cash="2000")
    desk.show(quote(last="100"))
    desk.place("SELL 100 MARKET")
    stop = desk.place("BUY 100 SL-M @101")
    desk.show(quote(last="150"))
    assert desk.order(stop.id).status is OrderStatus.COMPLETE
    assert desk.state.cash == Decimal(-3000)


def test_changing_a_triggered_stop_asks_for_money_at_the_price_of_now() -> None:
    """Found by the state machine: margin was asked at the trigger, and the fill was at the ask."""
    desk = Desk(cash="1000", fills=Thirds())
    desk.show(quote(last="100"))
    order = desk.place("BUY 9 SL-M @100.05 CNC")
    desk.show(quote(last="110"))
    assert desk.order(order.id).filled_quantity == 3
    desk.quotes[INFY] = quote(last="150")
    with pytest.raises(Invalid, match="Insufficient funds"):
        desk.modify(order.id, OrderChanges(quantity=8))
    assert desk.state.hold <= desk.state.cash


class Thirds(AtTouch):
    """Three units at most each time an order is looked at, at the touch."""

    def arriving(self, order: Order, shown: Shown) -> Sequence[Fill]:
        return [replace(f, quantity=min(3, f.quantity)) for f in super().arriving(order, shown)]


def test_partial_fills_average_and_complete() -> None:
    desk = Desk(fills=Thirds())
    desk.show(quote(last="100"))
    order = desk.place("BUY 7 LIMIT 101")
    assert (order.status, order.filled_quantity) == (OrderStatus.OPEN, 3)
    desk.show(quote(last="99"))
    desk.show(quote(last="101"))
    order = desk.order(order.id)
    assert (order.status, order.filled_quantity) == (OrderStatus.COMPLETE, 7)
    assert order.average_price == Decimal(3 * 100 + 3 * 99 + 101) / 7
    assert desk.held(EMA) == 7


def test_what_is_left_of_a_partial_fill_can_be_cancelled_and_its_margin_returns() -> None:
    desk = Desk(fills=Thirds())
    desk.show(quote(last="100"))
    order = desk.cancel(desk.place("BUY 7 MARKET").id)
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 3)
    assert desk.state.hold == Decimal(60)
