"""Charges, settlements and resets in the journal, and journals from before there were any."""

from decimal import Decimal

import pytest

from algohost.domain.ids import OrderId
from algohost.domain.orders import Product
from algohost.domain.ports import JournalRecord
from algohost.exchange.charges import NO_CHARGES, Charges
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import AccountReset, Event, Filled, Settled
from tests.exchange.desk import EMA, FUTURE, MORNING, UNATTRIBUTED

SOME = Charges(brokerage=Decimal("20.00"), stt=Decimal("0.01"), gst=Decimal("3.60"))

EVENTS: list[Event] = [
    Filled(
        at=MORNING,
        order_id=OrderId("1"),
        trade_id="2",
        quantity=3,
        price=Decimal("100.0500"),
        charges=SOME,
    ),
    Settled(
        at=MORNING,
        book=EMA,
        key=FUTURE,
        product=Product.NRML,
        price=Decimal("24650.35"),
        charges=SOME,
    ),
    Settled(at=MORNING, book=UNATTRIBUTED, key=FUTURE, product=Product.MIS, price=Decimal("0.00")),
    AccountReset(at=MORNING, cash=Decimal("1E+7")),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_digit_for_digit(event: Event) -> None:
    back = from_record(to_record(event, number=1))
    assert (back, repr(back)) == (event, repr(event))


def test_a_fill_from_before_there_were_charges_had_none() -> None:
    body: dict[str, object] = {"order_id": "1", "trade_id": "2", "quantity": 3, "price": "100"}
    event = from_record(JournalRecord(number=7, kind="filled", at=MORNING, body=body))
    assert isinstance(event, Filled)
    assert event.charges is NO_CHARGES


def test_parts_of_nothing_take_no_room_in_the_journal() -> None:
    record = to_record(EVENTS[0], number=1)
    assert record.body["charges"] == {"brokerage": "20.00", "stt": "0.01", "gst": "3.60"}
