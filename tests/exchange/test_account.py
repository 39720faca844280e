"""The fold: what is written is believed, what cannot have happened is refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from algohost.domain.errors import Conflict, Invalid
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.order_json import order_from_json, order_to_json
from algohost.domain.orders import OrderStatus, Product
from algohost.domain.ports import JournalRecord
from algohost.exchange.account import AccountState, PositionKey
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import (
    Accepted,
    AccountOpened,
    Cancelled,
    CashSet,
    Event,
    Filled,
    Modified,
    Rejected,
    Triggered,
)
from algohost.exchange.numbers import numbered, preferred_account_number, serial_of
from tests.exchange.desk import ACCOUNT, EMA, INFY, MORNING, Desk, quote, request

DEEP = Decimal("100.0500")


def all_kinds() -> list[Event]:
    order = replace(Desk().intended(request("SELL 5 SL 99.5 @100 CNC")), status=OrderStatus.OPEN)
    refused = replace(order, status=OrderStatus.REJECTED, reason="₹ is short, “sorry”\n")
    return [
        AccountOpened(at=MORNING, account_id=ACCOUNT, account_number=7, cash=Decimal("1E+7")),
        CashSet(at=MORNING, cash=Decimal("0.00")),
        Accepted(at=MORNING, order=order, reserve=DEEP),
        Rejected(at=MORNING, order=refused),
        Triggered(at=MORNING, order_id=order.id),
        Filled(at=MORNING, order_id=order.id, trade_id="9", quantity=3, price=DEEP),
        Modified(
            at=MORNING,
            order_id=order.id,
            request=order.request,
            status=OrderStatus.OPEN,
            reserve=DEEP,
        ),
        Cancelled(at=MORNING, order_id=order.id, reason=""),
    ]


@pytest.mark.parametrize("event", all_kinds(), ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_record_digit_for_digit(event: Event) -> None:
    """``repr`` tells 100.05 from 100.0500, which ``==`` does not."""
    back = from_record(to_record(event, number=1))
    assert (back, repr(back)) == (event, repr(event))


def test_an_order_comes_back_from_json() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    order = desk.place("BUY 3 MARKET", owner=EMA)
    assert order_from_json(order_to_json(order)) == order


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (JournalRecord(number=3, kind="squared-off", at=MORNING, body={}), "does not know"),
        (JournalRecord(number=3, kind="filled", at=MORNING, body={}), "cannot be read"),
        (JournalRecord(number=3, kind="cash-set", at=MORNING, body={"cash": "x"}), "cannot be"),
    ],
)
def test_a_record_that_cannot_be_read_stops_with_its_number(
    record: JournalRecord, words: str
) -> None:
    with pytest.raises(Invalid, match=f"Journal entry 3 .*{words}"):
        from_record(record)


def filled(desk: Desk, order_id: OrderId, quantity: int, serial: int) -> Filled:
    trade_id = numbered(at=desk.at, account_number=482913, serial=serial)
    return Filled(
        at=desk.at, order_id=order_id, trade_id=trade_id, quantity=quantity, price=Decimal(100)
    )


def accepted_again(desk: Desk, order_id: OrderId) -> Event:
    order = replace(desk.order(order_id), status=OrderStatus.OPEN)
    return Accepted(at=desk.at, order=order, reserve=Decimal(1))


IMPOSSIBLE: list[tuple[str, str, Callable[[Desk, OrderId], Event]]] = [
    ("a second opening", "LIMIT 90", lambda d, i: from_record(d.records[0])),
    ("an order accepted twice", "LIMIT 90", accepted_again),
    ("a fill above the quantity", "LIMIT 90", lambda d, i: filled(d, i, 11, 2)),
    ("a fill of nothing", "LIMIT 90", lambda d, i: filled(d, i, 0, 2)),
    ("a fill of a final order", "MARKET", lambda d, i: filled(d, i, 1, 2)),
    ("a fill of a pending stop", "SL-M @110", lambda d, i: filled(d, i, 1, 2)),
    ("a fill of an unknown order", "LIMIT 90", lambda d, i: filled(d, OrderId("5"), 1, 2)),
    ("a trade number used twice", "LIMIT 90", lambda d, i: filled(d, i, 1, 0)),
    ("a trigger of a plain order", "LIMIT 90", lambda d, i: Triggered(at=d.at, order_id=i)),
    (
        "a cancellation of a final order",
        "MARKET",
        lambda d, i: Cancelled(at=d.at, order_id=i, reason=""),
    ),
    (
        "a change of product",
        "LIMIT 90",
        lambda d, i: Modified(
            at=d.at,
            order_id=i,
            request=replace(d.order(i).request, product=Product.CNC),
            status=OrderStatus.OPEN,
            reserve=Decimal(1),
        ),
    ),
]


@pytest.mark.parametrize(
    ("placed", "event"), [c[1:] for c in IMPOSSIBLE], ids=[c[0] for c in IMPOSSIBLE]
)
def test_what_cannot_have_happened_is_refused(
    placed: str, event: Callable[[Desk, OrderId], Event]
) -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    order = desk.place(f"BUY 10 {placed}")
    with pytest.raises(Conflict, match="cannot have happened"):
        desk.state.apply(event(desk, order.id))


def test_an_account_begins_with_its_own_opening() -> None:
    state = AccountState(ACCOUNT)
    with pytest.raises(Conflict, match="Entry 1 in the journal of account paper-one"):
        state.apply(CashSet(at=MORNING, cash=Decimal(1)))
    other = AccountOpened(
        at=MORNING, account_id=AccountId("other"), account_number=1, cash=Decimal(1)
    )
    with pytest.raises(Conflict, match="it opens the account other"):
        state.apply(other)


def test_a_draft_can_be_thrown_away() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    waiting = desk.place("BUY 10 LIMIT 90")
    before = (
        desk.state.hold,
        desk.state.events,
        desk.state.group(PositionKey(EMA, INFY, Product.MIS)),
    )
    draft = desk.state.draft()
    draft.apply(filled(desk, waiting.id, 10, 1))
    draft.apply(CashSet(at=desk.at, cash=Decimal(5)))
    assert draft.group(PositionKey(EMA, INFY, Product.MIS)).position.quantity == 10
    after = (
        desk.state.hold,
        desk.state.events,
        desk.state.group(PositionKey(EMA, INFY, Product.MIS)),
    )
    assert after == before
    assert desk.order(waiting.id).status is OrderStatus.OPEN


def test_setting_cash_takes_realised_pnl_in() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET")
    desk.show(quote(last="110"))
    desk.place("SELL 10 MARKET")
    desk.keep([CashSet(at=desk.at, cash=Decimal(500))])
    assert (desk.state.cash, desk.state.realised) == (Decimal(500), Decimal(100))


def test_numbers_are_digits_that_say_day_account_and_count() -> None:
    late = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)  # midnight in India: the 22nd
    assert numbered(at=late, account_number=42, serial=7) == "261122000042000007"
    assert serial_of("261122000042000007") == 7
    assert numbered(at=late, account_number=42, serial=1234567) == "2611220000421234567"
    assert serial_of("2611220000421234567") == 1234567
    assert serial_of("ABC") == 0


def test_an_account_prefers_the_same_number_every_time() -> None:
    assert preferred_account_number(ACCOUNT) == preferred_account_number(AccountId("paper-one"))
    assert preferred_account_number(ACCOUNT) != preferred_account_number(AccountId("paper-two"))
