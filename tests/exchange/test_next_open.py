"""Fills on bars, as tables: what is decided on one bar trades in the next."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from algohost.domain.orders import OrderStatus
from algohost.domain.quotes import Bar
from algohost.exchange.models import FILL_MODELS
from algohost.exchange.next_open import NEXT_OPEN, bar_quote
from tests.exchange.desk import INFY, MORNING, Desk


@dataclass(frozen=True)
class Case:
    """``bars``: ``open high low close``; the order is placed when the first has ended."""

    why: str
    order: str
    bars: str
    price: str | None
    status: str = "complete"


FIRST = "100 101 99 100"
CASES = [
    Case("a market order trades at the next open", "BUY 10 MARKET", "102 103 101 103", "102"),
    Case("a market sell too", "SELL 10 MARKET", "98 103 97 103", "98"),
    Case("a limit inside the bar trades at its limit", "BUY 10 LIMIT 98", "99 99 97 99", "98"),
    Case("a bar that opens below it, at the open", "BUY 10 LIMIT 98", "97 99 96 99", "97"),
    Case("a bar that does not reach it", "BUY 10 LIMIT 98", "99 99 98.05 99", None, "open"),
    Case("a limit sell inside the bar", "SELL 10 LIMIT 102", "101 103 100 101", "102"),
    Case("a limit sell under the open", "SELL 10 LIMIT 102", "104 105 103 104", "104"),
    Case(
        "a stop inside the bar trades at its trigger", "BUY 10 SL-M @102", "101 103 100 101", "102"
    ),
    Case(
        "a stop that the open has passed, at the open", "BUY 10 SL-M @102", "104 105 103 104", "104"
    ),
    Case("a stop sell inside the bar", "SELL 10 SL-M @98", "99 99 97 99", "98"),
    Case("a stop sell that gaps", "SELL 10 SL-M @98", "95 96 94 95", "95"),
    Case(
        "a stop that is not reached",
        "BUY 10 SL-M @102",
        "101 101.95 99 101",
        None,
        "trigger pending",
    ),
    Case("a stop-limit within its limit", "BUY 10 SL 103 @102", "101 104 100 101", "102"),
    Case(
        "a gap over the limit that closes within it", "BUY 10 SL 103 @102", "105 106 101 102", "103"
    ),
    Case(
        "a gap over the limit that does not", "BUY 10 SL 103 @102", "105 106 101 104", None, "open"
    ),
]


def bar(text: str) -> Bar:
    opened, high, low, close = map(Decimal, text.split())
    return Bar(start=MORNING, open=opened, high=high, low=low, close=close, volume=1000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_an_order_trades_in_the_bar_after_the_one_it_was_decided_on(case: Case) -> None:
    desk = Desk(fills=NEXT_OPEN)
    desk.show(bar_quote(INFY, bar(FIRST), at=desk.at))
    placed = desk.place(case.order)
    assert placed.filled_quantity == 0
    desk.at += timedelta(minutes=1)
    desk.show(bar_quote(INFY, bar(case.bars), at=desk.at))
    order = desk.order(placed.id)
    assert (order.status, order.average_price) == (
        OrderStatus(case.status),
        Decimal(case.price or 0),
    )


def test_the_models_go_by_their_names() -> None:
    assert list(FILL_MODELS) == ["honest", "optimistic", "next-open"]
    assert all(model.name == name for name, model in FILL_MODELS.items())
