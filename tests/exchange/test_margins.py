"""What is held for positions and open orders."""

from decimal import Decimal

import pytest

from algohost.domain.orders import OrderStatus
from algohost.exchange.margins import Offered
from tests.exchange.desk import EMA, RSI, Desk, quote

# Orders placed one after another with Infosys at 100; what is held at the end.
CASES = [
    ("MIS holds a fifth", "BUY 10 MARKET", "200"),
    ("CNC holds the whole", "BUY 10 MARKET CNC", "1000"),
    ("CNC holds the whole", "BUY 10 MARKET CNC", "1000"),
    ("a short holds as a long does", "SELL 10 MARKET", "200"),
    ("an open order holds at its limit", "BUY 10 LIMIT 90", "180"),
    ("an open stop holds at its trigger", "BUY 10 SL-M @110", "220"),
    ("a sale above the market holds at its own price", "SELL 10 LIMIT 120", "240"),
    ("an exit holds nothing", "BUY 10 MARKET; SELL 10 LIMIT 110", "200"),
    ("a closed position holds nothing", "BUY 10 MARKET; SELL 10 MARKET", "0"),
    (
        "of two exits for one position the dearer counts as an entry",
        "BUY 10 MARKET; SELL 10 LIMIT 110; SELL 10 LIMIT 120",
        "240",
    ),
    ("a flip holds for the larger side", "BUY 10 MARKET; SELL 30 LIMIT 110", "440"),
    ("adding holds for both", "BUY 10 MARKET; BUY 10 LIMIT 90", "380"),
    (
        "of purchases and sales only one side can all fill",
        "BUY 10 LIMIT 90; SELL 10 LIMIT 120",
        "240",
    ),
]


@pytest.mark.parametrize(("orders", "held"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_held(orders: str, held: str) -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    for order in orders.split("; "):
        assert desk.place(order).status is not OrderStatus.REJECTED
    assert desk.state.hold == Decimal(held)


def test_an_exit_is_taken_with_no_money_left() -> None:
    desk = Desk(cash="200")
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET")
    desk.show(quote(last="50"))
    assert desk.state.available(desk.mark) < 0
    assert desk.place("SELL 10 MARKET").status is OrderStatus.COMPLETE
    assert desk.state.cash == Decimal(-300)


def test_a_book_may_reverse_with_the_margin_it_has() -> None:
    desk = Desk(cash="200")
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET")
    assert desk.place("SELL 20 MARKET").status is OrderStatus.COMPLETE
    assert desk.held() == -10


def test_books_do_not_lend_each_other_margin() -> None:
    """Two opposite books hold for both: either may leave at any time without asking for money."""
    desk = Desk(cash="400")
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET", owner=EMA)
    desk.place("SELL 10 MARKET", owner=RSI)
    assert desk.state.hold == Decimal(400)
    assert desk.place("SELL 10 MARKET", owner=EMA).status is OrderStatus.COMPLETE


def test_what_is_held_is_not_reckoned_order_by_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order looked at all others on its position: 3,000 took 25 s, a restart 19."""
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("SELL 1 MARKET")
    looked: list[int] = []
    usual = Offered.value_beyond

    def counted(side: Offered, closes: int) -> Decimal:
        looked.append(len(side.prices))
        return usual(side, closes)

    monkeypatch.setattr(Offered, "value_beyond", counted)
    for _ in range(50):
        desk.place("BUY 1 LIMIT 90")
    assert max(looked) == 1
    assert desk.state.hold == 49 * Decimal(18)
