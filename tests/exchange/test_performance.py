"""What a book gained: by day, by round trip, and its drawdown."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.ids import AccountId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Book, Position, Product
from algohost.exchange.performance import Performance
from algohost.exchange.positions import after_fill

BOOK = Book(account_id=AccountId("paper-u"), strategy_id=None)
NINE_FIFTEEN = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
Fill = tuple[str, int, int, int]
"""Symbol, units (below zero for a sale), price and charges in rupees."""


def after(*fills: Fill) -> Performance:
    """A book after some fills, one an hour."""
    made, held = Performance(), dict[str, Position]()
    for number, (symbol, units, price, charges) in enumerate(fills):
        key = InstrumentKey(exchange=Exchange.NSE, symbol=symbol)
        before = held.get(symbol, Position(book=BOOK, key=key, product=Product.MIS))
        held[symbol] = after_fill(
            before,
            action=Action.BUY if units > 0 else Action.SELL,
            quantity=abs(units),
            price=Decimal(price),
        )
        at = NINE_FIFTEEN + timedelta(hours=number)
        made.took(before, held[symbol], charges=Decimal(charges), at=at)
    return made


@pytest.mark.parametrize(
    ("fills", "trips", "wins", "net", "drawdown"),
    [
        ((("A", 10, 100, 1),), 0, 0, -1, 1),
        ((("A", 10, 100, 1), ("A", -10, 110, 1)), 1, 1, 98, 1),
        ((("A", 10, 100, 60), ("A", -10, 110, 60)), 1, 0, -20, 60),
        # half out is no round trip yet
        ((("A", 10, 100, 0), ("A", -5, 90, 0)), 0, 0, -50, 50),
        ((("A", 10, 100, 0), ("A", -5, 90, 0), ("A", -5, 120, 0)), 1, 1, 50, 50),
        # a fill that crosses zero ends one trip, and its charges are shared by units
        ((("A", 10, 100, 0), ("A", -20, 101, 20), ("A", 10, 101, 0)), 2, 0, -10, 10),
        # two instruments at once are two trips
        (
            (("A", 1, 100, 0), ("B", -1, 50, 0), ("B", 1, 40, 0), ("A", -1, 70, 0)),
            2, 1, -20, 30,
        ),
    ],
)  # fmt: skip
def test_round_trips_and_drawdown(
    fills: tuple[Fill, ...], trips: int, wins: int, net: int, drawdown: int
) -> None:
    totals = after(*fills).totals
    got = (totals.round_trips, totals.wins, totals.net, totals.drawdown)
    assert got == (trips, wins, Decimal(net), Decimal(drawdown))


FILLS = st.lists(
    st.tuples(
        st.sampled_from(["A", "B"]),
        st.integers(-9, 9).filter(bool),
        st.integers(1, 200),
        st.integers(0, 5),
    ),
    max_size=30,
)


@given(FILLS)
def test_days_trips_and_totals_tell_one_story(fills: list[Fill]) -> None:
    made = after(*fills)
    totals, days = made.totals, made.days.values()
    assert sum((day.net for day in days), Decimal(0)) == totals.net
    assert sum(day.charges for day in days) == sum(fill[3] for fill in fills)
    assert sum(day.turnover for day in days) == sum(abs(fill[1]) * fill[2] for fill in fills)
    assert (sum(d.fills for d in days), sum(d.wins for d in days)) == (len(fills), totals.wins)
    unfinished = sum(made._under_way.values(), Decimal(0))
    assert totals.gained + totals.lost + unfinished == totals.net
    assert 0 <= totals.wins <= totals.round_trips
    assert totals.drawdown >= totals.peak - totals.net >= 0


def test_a_day_is_a_day_in_india() -> None:
    """The first fill is at 09:15 IST, and each next one an hour later."""
    fills: list[Fill] = [("A", 1, 100, 0)] * 16
    assert [(str(day), result.fills) for day, result in after(*fills).days.items()] == [
        ("2026-11-23", 15),
        ("2026-11-24", 1),
    ]


def test_a_reset_begins_anew() -> None:
    made = after(("A", 10, 100, 1), ("A", -10, 90, 1))
    made.begin_anew()
    assert made == Performance()
