"""Why the exchange says no, in sentences."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import OrderChanges, OrderRequest, OrderStatus, PriceType
from algohost.exchange import rules
from algohost.exchange.events import Accepted
from algohost.exchange.fills import Fill
from tests.exchange.desk import FUTURE, INFY, NIFTY, RSI, TCS, Desk, quote, request

REFUSED: list[tuple[str, InstrumentKey, str]] = [
    ("BUY 1 MARKET", NIFTY, "NIFTY is an index and cannot be traded. Trade its futures"),
    ("BUY 0 MARKET", INFY, "Quantity 0 is not possible. Give one above zero."),
    ("BUY -5 MARKET", INFY, "Quantity -5 is not possible."),
    ("BUY 100 MARKET", FUTURE, "Quantity 100 is not a multiple of the lot size 75."),
    ("BUY 1875 MARKET", FUTURE, "Quantity 1875 is above the freeze quantity 1800. Split"),
    ("BUY 75 MARKET CNC", FUTURE, "CNC is for shares on NSE and BSE. Use NRML or MIS on NFO."),
    ("BUY 1 LIMIT", INFY, "Price 0 is not possible for a LIMIT order."),
    ("BUY 1 LIMIT -1", INFY, "Price -1 is not possible for a LIMIT order."),
    ("BUY 1 LIMIT NaN", INFY, "Price NaN is not possible for a LIMIT order."),
    ("BUY 1 LIMIT 1E+40", INFY, "Price 1E+40 is not possible for a LIMIT order."),
    ("BUY 1 LIMIT 100.03", INFY, "Price 100.03 is not a multiple of the tick size 0.05."),
    ("BUY 1 SL 101.02 @101", INFY, "Price 101.02 is not a multiple of the tick size 0.05."),
    ("BUY 1 SL-M", INFY, "Trigger price 0 is not possible for a SL-M order."),
    ("BUY 1 SL-M @101.01", INFY, "Trigger price 101.01 is not a multiple of the tick size"),
    ("BUY 1 SL 101 @102", INFY, "Trigger price 102 of a stop-loss buy is above its price 101."),
    ("SELL 1 SL 99 @98", INFY, "Trigger price 98 of a stop-loss sell is below its price 99."),
    ("BUY 1 SL 101 @100", INFY, "Trigger price 100 of a stop-loss buy must be above the last"),
    ("BUY 1 SL-M @99", INFY, "Trigger price 99 of a stop-loss buy must be above the last"),
    ("SELL 1 SL 99 @100", INFY, "Trigger price 100 of a stop-loss sell must be below the last"),
    ("SELL 1 SL-M @101", INFY, "Trigger price 101 of a stop-loss sell must be below the last"),
    ("BUY 1 MARKET", TCS, "There is no price for NSE:TCS now. Try again when it has traded."),
    ("SELL 1 MARKET CNC", INFY, "CNC sells only what is held: 0 held, 0 of them offered"),
    (
        "BUY 1001 LIMIT 100 CNC",
        INFY,
        "Insufficient funds: needed ₹1,00,100.00, available ₹1,00,000.00.",
    ),
    ("SELL 6000 MARKET", INFY, "Insufficient funds: needed ₹1,20,000.00, available ₹1,00,000.00."),
]


@pytest.fixture
def desk() -> Desk:
    """₹1,00,000, Infosys at 100, the future at 24,000, no quote of TCS."""
    desk = Desk()
    desk.tick([quote(last="100"), quote(FUTURE, last="24000"), quote(NIFTY, last="23900")])
    return desk


@pytest.mark.parametrize(("asked", "key", "reason"), REFUSED, ids=lambda value: str(value)[:50])
def test_a_refused_order_says_why_and_holds_nothing(
    desk: Desk, asked: str, key: InstrumentKey, reason: str
) -> None:
    order = desk.place(asked, key)
    assert order.status is OrderStatus.REJECTED
    assert order.reason.startswith(reason)
    assert (desk.state.hold, desk.state.cash) == (Decimal(0), Decimal(100_000))


def test_a_closed_market_refuses_orders_and_still_cancels(desk: Desk) -> None:
    waiting = desk.place("BUY 1 LIMIT 90")
    desk.is_open = False
    refused = desk.place("BUY 1 LIMIT 90")
    assert refused.reason == (
        "The market is closed for NSE, and after-market orders (AMO) are not taken. "
        "Place the order when it opens."
    )
    assert desk.cancel(waiting.id).status is OrderStatus.CANCELLED


def test_a_disclosed_quantity_above_the_quantity_is_refused(desk: Desk) -> None:
    order = desk.place(replace(request("BUY 10 MARKET"), disclosed_quantity=11))
    assert order.reason == "Disclosed quantity 11 is not between 0 and the quantity."


def test_a_price_that_a_market_order_carries_is_ignored(desk: Desk) -> None:
    order = desk.place(replace(request("BUY 10 MARKET"), price=Decimal("77.77")))
    assert (order.status, order.average_price) == (OrderStatus.COMPLETE, Decimal(100))


def test_delivery_sells_what_its_own_book_holds_and_no_unit_twice(desk: Desk) -> None:
    desk.place("BUY 10 MARKET CNC")
    assert desk.place("SELL 10 MARKET CNC", owner=RSI).status is OrderStatus.REJECTED
    desk.place("SELL 6 LIMIT 110 CNC")
    refused = desk.place("SELL 5 LIMIT 110 CNC")
    assert refused.reason == (
        "CNC sells only what is held: 10 held, 6 of them offered already, 5 asked. "
        "Use MIS to sell short for the day."
    )
    assert desk.place("SELL 4 LIMIT 110 CNC").status is OrderStatus.OPEN


def test_shares_are_not_carried_as_nrml_but_what_is_held_so_may_be_closed(desk: Desk) -> None:
    """Accounts of before this was refused may hold some."""
    why = "NRML is for derivatives. Use CNC for delivery or MIS for the day on NSE."
    assert desk.place("BUY 10 MARKET NRML").reason == why
    held = replace(desk.intended(request("BUY 10 MARKET NRML")), status=OrderStatus.OPEN)
    desk.keep([Accepted(at=desk.at, order=held, reserve=Decimal(100))])
    desk.keep(rules.filled(desk.state, held, Fill(quantity=10, price=Decimal(100)), at=desk.at))
    assert desk.place("SELL 11 MARKET NRML").reason == why
    assert desk.place("SELL 4 LIMIT 110 NRML").status is OrderStatus.OPEN
    assert desk.place("SELL 6 MARKET NRML").status is OrderStatus.COMPLETE
    assert desk.place("SELL 4 MARKET NRML").status is OrderStatus.COMPLETE
    assert desk.place("BUY 1 MARKET NRML").reason == why


def test_an_open_loss_counts_against_a_new_order(desk: Desk) -> None:
    """₹50,000 are held for 2,500 units at 100; at 85 they have lost ₹37,500."""
    desk.place("BUY 2500 MARKET")
    desk.show(quote(last="85"))
    refused = desk.place("BUY 1000 MARKET")
    assert refused.reason.startswith("Insufficient funds: needed ₹17,000.00, available ₹12,500.00")


@pytest.mark.parametrize(
    ("bought", "available"),
    [
        ("BUY 300 MARKET CNC", "70000"),  # paid in full: the loss is in what is held
        ("BUY 1500 MARKET MIS", "25000"),  # ₹30,000 are held, and ₹45,000 are lost
        ("BUY 300 MARKET CNC; BUY 1000 MARKET MIS", "20000"),
        ("BUY 300 MARKET CNC; SELL 300 MARKET CNC", "100000"),
        ("BUY 300 MARKET CNC; SELL 100 MARKET CNC", "80000"),
    ],
)
def test_a_loss_on_what_was_paid_in_full_is_not_taken_twice(
    desk: Desk, bought: str, available: str
) -> None:
    for asked in bought.split("; "):
        desk.place(asked)
    desk.show(quote(last="70"))
    assert desk.state.available(desk.mark) == Decimal(available)
    assert desk.state.funds(desk.mark, realised=Decimal(0)).available == Decimal(available)
    desk.show(quote(last="1"))
    assert desk.state.available(desk.mark) <= desk.state.cash - desk.state.hold


Change = Callable[[Desk, OrderId], object]


def changing(**changes: object) -> Change:
    return lambda desk, order_id: desk.modify(order_id, OrderChanges(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changing(price=Decimal("90.01")), "not a multiple of the tick size"),
        (changing(quantity=0), "Quantity 0 is not possible"),
        (changing(quantity=100_000), "Insufficient funds: needed ₹17,99,820.00"),
        (changing(price_type=PriceType.SL, trigger_price=Decimal(80)), "must be above the last"),
    ],
    ids=["tick", "nothing", "money", "trigger"],
)
def test_a_change_that_would_be_refused_leaves_the_order_as_it_was(
    desk: Desk, change: Change, words: str
) -> None:
    order = desk.place("BUY 10 LIMIT 90")
    with pytest.raises(Invalid, match=words):
        change(desk, order.id)
    assert desk.order(order.id) == order


@pytest.mark.parametrize("command", [changing(quantity=5), lambda d, i: d.cancel(i)])
def test_a_final_order_changes_no_more(desk: Desk, command: Change) -> None:
    order = desk.place("BUY 10 MARKET")
    with pytest.raises(Conflict, match=f"Order {order.id} is complete and cannot change"):
        command(desk, order.id)


def test_an_unknown_order_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound, match="There is no order 42"):
        rules.cancel(desk.state, OrderId("42"), at=desk.at)


def test_changing_a_limit_to_where_the_market_is_trades_at_once(desk: Desk) -> None:
    order = desk.place("BUY 10 LIMIT 90")
    changed = desk.modify(order.id, OrderChanges(price=Decimal(101)))
    assert (changed.status, changed.average_price) == (OrderStatus.COMPLETE, Decimal(100))


def test_a_limit_changed_to_a_stop_waits_for_its_trigger_and_back(desk: Desk) -> None:
    order = desk.place("BUY 10 LIMIT 90")
    stop = OrderChanges(price_type=PriceType.SL_M, trigger_price=Decimal(105))
    assert desk.modify(order.id, stop).status is OrderStatus.TRIGGER_PENDING
    back = OrderChanges(price_type=PriceType.LIMIT, price=Decimal(91))
    assert desk.modify(order.id, back).status is OrderStatus.OPEN


def test_a_triggered_stop_stays_triggered_when_its_price_changes(desk: Desk) -> None:
    order = desk.place("BUY 10 SL 101 @101")
    desk.show(quote(last="103"))
    assert desk.order(order.id).status is OrderStatus.OPEN
    changed = desk.modify(order.id, OrderChanges(price=Decimal(104)))
    assert (changed.status, changed.average_price) == (OrderStatus.COMPLETE, Decimal(103))


def test_cash_is_never_set_below_what_is_held(desk: Desk) -> None:
    desk.place("BUY 100 MARKET")
    with pytest.raises(Invalid, match=r"₹2,000\.00 is held for positions"):
        rules.set_cash(desk.state, Decimal(1999), at=desk.at)
    desk.keep(rules.set_cash(desk.state, Decimal(2000), at=desk.at))
    assert desk.state.available(desk.mark) == 0


def test_a_request_keeps_what_a_change_does_not_name() -> None:
    asked = request("BUY 10 SL 101 @100.5 NRML")
    changed = OrderChanges(quantity=20).applied_to(asked)
    assert changed == replace(asked, quantity=20)
    assert isinstance(changed, OrderRequest)
