"""Books of strategies and the unattributed one sum to the account, whatever the broker says."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.broker import openalgo_books as books
from algohost.broker.openalgo_books import Snapshot
from algohost.broker.openalgo_events import Linked, LiveEvent, Moved, Taken, from_record, to_record
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.openalgo_rows import (
    HeldRow,
    Rows,
    TradeRow,
    funds_of,
    holding_rows,
    order_rows,
    position_rows,
    trade_rows,
)
from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Book, Order, OrderRequest, OrderStatus, Product
from tests.api.served import MONDAY_0930
from tests.live.world import EMA, INFY, LIVE, NOBODY, RSI, SBIN

DAY = MONDAY_0930.date()
FUNDS = {
    "availablecash": "900.50", "collateral": 0, "m2mrealized": "0.00",
    "m2munrealized": "-10", "utiliseddebits": 100,
}  # fmt: skip


def ledger_of(*events: LiveEvent) -> LiveLedger:
    ledger = LiveLedger(account_id=LIVE)
    ledger.apply(Linked(at=MONDAY_0930, account_id=LIVE, account_number=7))
    for event in events:
        ledger.apply(event)
    return ledger


def taken(
    serial: int, book: Book, key: InstrumentKey, action: Action, quantity: int, product: Product
) -> Taken:
    order = Order(
        id=OrderId(f"250602000007{serial:06d}"), book=book,
        request=OrderRequest(key=key, action=action, quantity=quantity, product=product),
        status=OrderStatus.OPEN, placed_at=MONDAY_0930, updated_at=MONDAY_0930,
    )  # fmt: skip
    return Taken(at=MONDAY_0930, order=order, upstream_id=f"U{serial}")


ORDERS = st.lists(
    st.tuples(
        st.sampled_from([EMA, RSI, NOBODY]),
        st.sampled_from([SBIN, INFY]),
        st.sampled_from(list(Action)),
        st.integers(1, 20),
        st.sampled_from(list(Product)),
        st.integers(0, 20),
    ),
    max_size=12,
)
HELD = st.lists(
    st.builds(
        HeldRow,
        key=st.sampled_from([SBIN, INFY]),
        product=st.sampled_from(list(Product)),
        quantity=st.integers(-50, 50),
        average_price=st.decimals(1, 900, places=2),
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(orders=ORDERS, positions=HELD, holdings=HELD, late=st.integers(0, 4))
def test_books_and_the_rest_sum_to_the_account(
    orders: Sequence[Any], positions: list[HeldRow], holdings: list[HeldRow], late: int
) -> None:
    ledger, trades = ledger_of(), list[TradeRow]()
    for serial, (book, key, action, quantity, product, filled) in enumerate(orders, 1):
        ledger.apply(taken(serial, book, key, action, quantity, product))
        if filled:
            part = min(filled, quantity)
            trades.append(TradeRow(upstream_id=f"U{serial}", quantity=part, price=Decimal(500)))
    told = Rows(rows=tuple(trades))
    for event in books.news_of_orders(ledger, Rows(rows=()), told, at=MONDAY_0930):
        ledger.apply(event)
    again = books.news_of_orders(ledger, Rows(rows=()), told, at=MONDAY_0930)
    assert again == []  # the same answer twice tells nothing
    seen = told.rows[: max(0, len(told.rows) - late)]  # some fills came after the snapshot
    snapshot = Snapshot(
        at=MONDAY_0930, orders=Rows(rows=()), trades=Rows(rows=seen), quotes={},
        positions=Rows(rows=tuple(positions)), holdings=Rows(rows=tuple(holdings)),
        funds=funds_of({"data": FUNDS}),
    )  # fmt: skip
    whole = books.with_surplus(ledger.positions(DAY), books.surplus(ledger, snapshot), LIVE)
    sums: dict[Any, int] = {}
    for one in whole:
        place = (one.traded.key, one.traded.product)
        sums[place] = sums.get(place, 0) + one.traded.quantity + one.settled.quantity
    account: dict[Any, int] = {}
    for row in (*positions, *holdings):
        account[row.key, row.product] = account.get((row.key, row.product), 0) + row.quantity
    for trade in told.rows[len(seen) :]:
        order = ledger.order(ledger.claimed[trade.upstream_id])
        assert order is not None
        place = (order.request.key, order.request.product)
        account[place] = account.get(place, 0) + order.request.action.sign * trade.quantity
    assert {k: v for k, v in sums.items() if v} == {k: v for k, v in account.items() if v}


def test_what_is_on_disk_makes_the_same_ledger() -> None:
    events: list[LiveEvent] = [
        taken(1, EMA, SBIN, Action.BUY, 10, Product.CNC),
        taken(2, RSI, INFY, Action.SELL, 4, Product.MIS),
    ]
    ledger = ledger_of(*events)
    rows = Rows(rows=(TradeRow(upstream_id="U1", quantity=3, price=Decimal("500.05")),))
    news = books.news_of_orders(ledger, Rows(rows=()), rows, at=MONDAY_0930)
    order = ledger.order(OrderId("250602000007000002"))
    assert order is not None
    moved = Moved(
        at=MONDAY_0930, order_id=order.id, status=OrderStatus.CANCELLED,
        request=order.request, reason="By hand.",
    )  # fmt: skip
    for event in (*news, moved):
        ledger.apply(event)
    linked = Linked(at=MONDAY_0930, account_id=LIVE, account_number=7)
    records = [to_record(e, number=n) for n, e in enumerate([linked, *events, *news, moved], 1)]
    again = LiveLedger(account_id=LIVE)
    for record in records:
        again.apply(from_record(record))
    assert again == ledger


def test_mis_does_not_outlive_its_day_and_delivery_becomes_a_holding() -> None:
    ledger = ledger_of(
        taken(1, EMA, SBIN, Action.BUY, 10, Product.CNC),
        taken(2, EMA, INFY, Action.BUY, 4, Product.MIS),
    )
    trades = (
        TradeRow(upstream_id="U1", quantity=10, price=Decimal(500)),
        TradeRow(upstream_id="U2", quantity=4, price=Decimal(100)),
    )
    for event in books.news_of_orders(ledger, Rows(rows=()), Rows(rows=trades), at=MONDAY_0930):
        ledger.apply(event)
    (next_day,) = ledger.positions(DAY + timedelta(days=1))
    assert (next_day.settled.key, next_day.settled.quantity) == (SBIN, 10)
    assert next_day.traded.quantity == 0


def test_a_fill_after_a_cancellation_is_taken_and_more_than_was_ordered_is_not() -> None:
    ledger = ledger_of(taken(1, EMA, SBIN, Action.BUY, 10, Product.MIS))
    order = ledger.order(OrderId("250602000007000001"))
    assert order is not None
    ledger.apply(
        Moved(
            at=MONDAY_0930, order_id=order.id, status=OrderStatus.CANCELLED,
            request=order.request, reason="",
        )
    )  # fmt: skip
    late = Rows(rows=(TradeRow(upstream_id="U1", quantity=4, price=Decimal(500)),))
    (fill,) = books.news_of_orders(ledger, Rows(rows=()), late, at=MONDAY_0930)
    ledger.apply(fill)
    filled = ledger.order(order.id)
    assert filled is not None
    assert (filled.status, filled.filled_quantity) == (OrderStatus.CANCELLED, 4)
    too_much = Rows(rows=(TradeRow(upstream_id="U1", quantity=11, price=Decimal(500)),))
    assert books.news_of_orders(ledger, Rows(rows=()), too_much, at=MONDAY_0930) == []


def test_an_order_is_complete_when_its_fills_are_known_and_lapses_with_its_day() -> None:
    ledger = ledger_of(taken(1, EMA, SBIN, Action.BUY, 10, Product.MIS))
    row = {
        "orderid": "U1", "symbol": "SBIN", "exchange": "NSE", "action": "BUY", "quantity": "10",
        "pricetype": "MARKET", "product": "MIS", "order_status": "complete", "price": 0,
    }  # fmt: skip

    def news(answer: dict[str, Any], *, days: int = 0) -> list[LiveEvent]:
        rows = order_rows({"data": {"orders": [answer] if answer else []}})
        at = MONDAY_0930 + timedelta(days=days)
        return books.news_of_orders(ledger, rows, Rows(rows=()), at=at)

    assert news(row) == []
    (fill,) = news({**row, "average_price": "500.10"})
    assert (fill.quantity, fill.price) == (10, Decimal("500.10"))  # type: ignore[union-attr]
    assert news({}) == []
    (lapsed,) = news({}, days=1)
    assert (lapsed.status, lapsed.reason) == (OrderStatus.CANCELLED, books.LAPSED)  # type: ignore[union-attr]


@pytest.mark.parametrize("quantity", [True, None, "", "ten", "1.5", "nan", "1e400", [1], {}])
def test_a_row_is_understood_whole_or_not_at_all(quantity: object) -> None:
    good = {"orderid": 12, "quantity": "2.0", "average_price": "1,500.25"}
    answer = {"data": [good, {**good, "quantity": quantity}, "nonsense"]}
    found = trade_rows(answer)
    assert (found.unreadable, len(found.rows)) == (2, 1)
    assert found.rows[0] == TradeRow(upstream_id="12", quantity=2, price=Decimal("1500.25"))


def test_a_book_that_is_no_book_is_no_empty_book() -> None:
    for answer in ({"data": "none"}, {"data": {"orders": 3}}):
        with pytest.raises(Unavailable):
            order_rows(answer)
    with pytest.raises(Unavailable):
        funds_of({"data": {**FUNDS, "availablecash": "much"}})
    assert position_rows({"data": []}).rows == holding_rows({"data": {"holdings": []}}).rows == ()
    assert funds_of({"data": FUNDS}).available == Decimal("900.50")


def test_two_orders_cannot_be_one_at_the_broker() -> None:
    first = taken(1, EMA, SBIN, Action.BUY, 1, Product.MIS)
    second = replace(taken(2, RSI, SBIN, Action.BUY, 1, Product.MIS), upstream_id="U1")
    with pytest.raises(Conflict):
        ledger_of(first, second)
