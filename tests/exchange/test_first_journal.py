"""A journal as the first version wrote it: without charges, validity, GTTs and settlements.

``first_journal.jsonl`` was written by that version and is never changed.
"""

import json
from datetime import datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path

from algohost.domain.orders import OrderStatus, Product, Validity
from algohost.domain.ports import JournalRecord
from algohost.exchange.account import AccountState, PositionKey, fold
from algohost.exchange.charge_rates import published
from algohost.exchange.charges import PublishedCharges
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.day import day_of
from algohost.exchange.margins import SEGMENT_MARGIN
from tests.exchange.desk import ACCOUNT, EMA, INFY, MORNING, RSI

FILE = Path(__file__).parent / "first_journal.jsonl"


def records() -> list[JournalRecord]:
    lines = map(json.loads, FILE.read_text(encoding="utf-8").splitlines())
    return [
        JournalRecord(number=number, kind=kind, at=datetime.fromisoformat(at), body=body)
        for number, kind, at, body in lines
    ]


def test_it_still_tells_the_same_story() -> None:
    empty = AccountState(
        ACCOUNT, margin=SEGMENT_MARGIN, charges=PublishedCharges(rates=published())
    )
    state = reduce(fold, map(from_record, records()), empty)
    assert (state.account_number, state.events) == (482913, 13)
    assert (state.cash, state.charges) == (Decimal("123456.78"), Decimal(0))
    mis = state.group(PositionKey(EMA, INFY, Product.MIS)).position
    assert (mis.quantity, mis.average_price, mis.realised) == (17, Decimal("94.95"), Decimal(0))
    assert state.group(PositionKey(RSI, INFY, Product.CNC)).position.quantity == 5
    assert state.hold == 17 * Decimal("94.95") / 5 + 5 * 100
    orders = [state.order(order_id) for order_id in sorted(state._orders)]
    assert [order.status for order in orders if order] == [
        OrderStatus.COMPLETE,
        OrderStatus.COMPLETE,
        OrderStatus.COMPLETE,
        OrderStatus.REJECTED,
        OrderStatus.CANCELLED,
    ]
    assert {order.request.validity for order in orders if order} == {Validity.DAY}
    assert len(state.trades_on(day_of(MORNING))) == 3


def test_what_this_version_writes_of_it_holds_all_that_was_there() -> None:
    """A new field may be added; what was written before keeps its name and its digits."""
    for record in records():
        written = to_record(from_record(record), number=record.number)
        assert (written.kind, written.at) == (record.kind, record.at)
        assert _within(record.body, written.body)


def _within(old: object, new: object) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _within(value, new[name]) for name, value in old.items())
    return old == new
