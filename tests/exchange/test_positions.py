"""Average cost, flips through zero, and P&L that loses nothing to rounding."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.orders import Action, Position, Product
from algohost.exchange.day import summed
from algohost.exchange.positions import after_fill
from tests.exchange.desk import EMA, INFY, RSI, UNATTRIBUTED

FLAT = Position(book=EMA, key=INFY, product=Product.MIS)

# Each fill is units (below zero sold) at a price.
CASES = [
    ("a purchase opens", "+10@100", 10, "100", "0"),
    ("a second averages", "+10@100 +10@110", 20, "105", "0"),
    ("a part sale keeps the average and realises", "+10@100 +10@110 -5@120", 15, "105", "75"),
    ("a whole sale leaves nothing", "+10@100 -10@90", 0, "0", "-100"),
    ("a sale opens a short", "-10@100", -10, "100", "0"),
    ("a short averages", "-10@100 -30@104", -40, "103", "0"),
    ("a short bought back realises", "-10@100 +4@95", -6, "100", "20"),
    (
        "a flip down closes at the old cost and opens at the new",
        "+10@100 -25@110",
        -15,
        "110",
        "100",
    ),
    ("a flip up does so too", "-10@100 +25@90", 15, "90", "100"),
]


def traded(text: str, position: Position = FLAT) -> Position:
    for fill in text.split():
        units, price = fill.split("@")
        quantity = int(units)
        action = Action.BUY if quantity > 0 else Action.SELL
        position = after_fill(position, action=action, quantity=abs(quantity), price=Decimal(price))
    return position


@pytest.mark.parametrize(
    ("fills", "quantity", "average", "realised"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_fills_average_and_realise(fills: str, quantity: int, average: str, realised: str) -> None:
    position = traded(fills)
    found = (position.quantity, position.average_price, position.realised)
    assert found == (quantity, Decimal(average), Decimal(realised))


def test_thirds_lose_nothing() -> None:
    """Three units for 100.00 in all, sold one by one: the realised P&L is whole paise again."""
    position = traded("+1@33.30 +2@33.35 -1@33.40 -1@33.40 -1@33.40")
    assert (position.realised, position.open_value) == (Decimal("0.20"), Decimal(0))


fills = st.lists(
    st.tuples(
        st.sampled_from(Action),
        st.integers(min_value=1, max_value=10**6),
        st.integers(min_value=1, max_value=10**8).map(lambda n: n * Decimal("0.0025")),
    ),
    max_size=30,
)


@given(fills, st.integers(min_value=1, max_value=10**8).map(lambda n: n * Decimal("0.0025")))
def test_realised_and_unrealised_are_the_cash_that_flowed(
    trades: list[tuple[Action, int, Decimal]], last: Decimal
) -> None:
    position, cash, units = FLAT, Decimal(0), 0
    for action, quantity, price in trades:
        position = after_fill(position, action=action, quantity=quantity, price=price)
        cash -= action.sign * quantity * price
        units += action.sign * quantity
        assert position.quantity == units
        assert position.realised + position.unrealised(last) == cash + units * last
        assert position.realised == (
            position.sold_value - position.bought_value + position.open_value
        )
        assert position.open_value * units >= 0
        assert (position.average_price == 0) is (units == 0)


def test_opposite_books_sum_exactly_and_show_a_price_that_was_paid() -> None:
    long = traded("+10@100")
    short = traded("-9@110", Position(book=RSI, key=INFY, product=Product.MIS))
    net = summed([long, short], UNATTRIBUTED)
    assert (net.quantity, net.average_price) == (1, Decimal(100))
    last = Decimal(105)
    assert net.unrealised(last) == long.unrealised(last) + short.unrealised(last) == 95
