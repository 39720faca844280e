"""The honest fill model: what a careful trader would expect of the market that is shown."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.orders import OrderChanges, OrderStatus, Validity
from algohost.exchange.events import Filled
from algohost.exchange.honest import HONEST, LATENCY
from tests.exchange.desk import INFY, MORNING, Desk, depth, quote, request


@dataclass(frozen=True)
class Case:
    """``shows``: one line a second, ``last bid ask volume | bids | asks``."""

    why: str
    order: str
    shows: tuple[str, ...]
    fills: str
    """``units@price`` of each trade, in order."""
    status: str = "complete"


BOOK = "100 99.95 100.05 1000 | 300@99.95 500@99.90 700@99.85 | 100@100.05 200@100.10 400@100.15"

CASES = [
    Case("a small market order trades at the touch", "BUY 100 MARKET", (BOOK,), "100@100.05"),
    Case(
        "a larger one walks the levels and pays for it",
        "BUY 250 MARKET",
        (BOOK,),
        "100@100.05 150@100.10",
    ),
    Case(
        "a market sell walks the bids",
        "SELL 900 MARKET",
        (BOOK,),
        "300@99.95 500@99.90 100@99.85",
    ),
    Case(
        "what is beyond all that is shown trades with the next quote",
        "BUY 800 MARKET",
        (BOOK, BOOK),
        "100@100.05 200@100.10 400@100.15 100@100.05",
    ),
    Case(
        "a limit takes no level beyond it, and its rest waits",
        "BUY 250 LIMIT 100.05",
        (BOOK,),
        "100@100.05",
        "open",
    ),
    Case(
        "a limit at the touch waits for the size ahead of it to trade",
        "BUY 50 LIMIT 99.95",
        (BOOK, BOOK, "99.95 99.95 100.05 1200 | 300@99.95 | 100@100.05"),
        "",
        "open",
    ),
    Case(
        "and then trades what is traded beyond that size, at its limit",
        "BUY 50 LIMIT 99.95",
        (
            BOOK,
            BOOK,
            "99.95 99.95 100.05 1200 | 300@99.95 | 100@100.05",
            "99.95 99.95 100.05 1330 | 300@99.95 | 100@100.05",
            "99.95 99.95 100.05 1500 | 300@99.95 | 100@100.05",
        ),
        "30@99.95 20@99.95",
    ),
    Case(
        "a trade above its limit says nothing of its queue",
        "BUY 50 LIMIT 99.95",
        (BOOK, BOOK, "100 99.95 100.05 9000 | 300@99.95 | 100@100.05"),
        "",
        "open",
    ),
    Case(
        "a price that trades through its limit leaves nobody ahead",
        "BUY 50 LIMIT 99.95",
        (BOOK, BOOK, "99.90 99.85 100 1040 | 300@99.85 | 100@100"),
        "40@99.95",
        "open",
    ),
    Case(
        "a gap through a resting limit trades at the limit, not at the better price",
        "BUY 50 LIMIT 99.95",
        (BOOK, BOOK, "98 97.95 98.05 1040 | 300@97.95 | 100@98.05"),
        "50@99.95",
    ),
    Case(
        "no more than is offered trades when the other side comes to it",
        "SELL 500 LIMIT 100.10",
        (BOOK, BOOK, "100.10 100.10 100.20 1050 | 60@100.10 | 100@100.20"),
        "60@100.10",
        "open",
    ),
    Case(
        "a limit better than the best stands behind nobody",
        "SELL 50 LIMIT 100",
        (BOOK, BOOK, "100 99.95 100.05 1020 | 300@99.95 | 100@100.05"),
        "20@100",
        "open",
    ),
    Case(
        "a stop lies at the exchange: triggered, it takes what is there",
        "BUY 150 SL-M @101",
        (BOOK, "101 100.95 101.05 1100 | 10@100.95 | 100@101.05 100@101.10"),
        "100@101.05 50@101.10",
    ),
    Case(
        "without sizes whatever is shown is enough",
        "BUY 5000 MARKET",
        ("100 99.95 100.05 0",),
        "5000@100.05",
    ),
    Case(
        "without volumes a price beyond the limit fills it",
        "BUY 5000 LIMIT 99",
        ("100 99.95 100.05 0", "98 97.95 99.10 0"),
        "5000@99",
    ),
]


def show(desk: Desk, line: str) -> list[str]:
    """Shows a line a second after the one before; the fills it made."""
    prices, _, levels = line.partition(" | ")
    last, bid, ask, volume = prices.split()
    shown = quote(last=last, bid=bid, ask=ask, volume=int(volume), at=desk.at)
    bids, _, asks = levels.partition(" | ")
    if levels:
        desk.depths[INFY] = depth(shown, bids, asks)
    fills = [e for e in desk.show(shown) if isinstance(e, Filled)]
    desk.at += timedelta(seconds=1)
    return [f"{fill.quantity}@{fill.price}" for fill in fills]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_an_order_trades_as_the_market_that_is_shown_would_let_it(case: Case) -> None:
    desk = Desk("100000000", fills=HONEST)
    first, *later = case.shows
    show(desk, first)
    desk.at -= timedelta(milliseconds=500)
    placed = desk.place(case.order)
    desk.at += timedelta(milliseconds=500)
    for line in later:
        show(desk, line)
    trades = [f"{t.quantity}@{t.price}" for t in desk.state.trades_on(MORNING.date())]
    assert (" ".join(trades), desk.order(placed.id).status) == (
        case.fills,
        OrderStatus(case.status),
    )


def test_a_level_that_was_taken_is_gone_while_its_quote_stands() -> None:
    """Ten small orders in one second do not get ten times what is shown."""
    desk = Desk("100000000", fills=HONEST)
    show(desk, BOOK)
    desk.at -= timedelta(milliseconds=500)
    prices = [desk.place("BUY 100 MARKET").average_price for _ in range(4)]
    assert prices == [Decimal("100.05"), Decimal("100.10"), Decimal("100.10"), Decimal("100.15")]


def test_an_order_that_arrives_in_the_next_second_meets_its_price() -> None:
    desk = Desk(fills=HONEST)
    show(desk, BOOK)
    desk.at -= LATENCY / 2
    order = desk.place("BUY 10 MARKET")
    assert (order.status, order.filled_quantity) == (OrderStatus.OPEN, 0)
    assert show(desk, BOOK) == []  # still the second in which it was sent
    desk.at = MORNING + timedelta(seconds=1, milliseconds=1)
    assert show(desk, "103 102.95 103.05 1200 | 300@102.95 | 300@103.05") == ["10@103.05"]


def test_an_ioc_order_on_its_way_ends_when_it_has_met_the_market() -> None:
    desk = Desk(fills=HONEST)
    show(desk, BOOK)
    desk.at -= LATENCY / 2
    order = desk.place(replace(request("BUY 150 LIMIT 100.05"), validity=Validity.IOC))
    assert order.status is OrderStatus.OPEN
    desk.at = MORNING + timedelta(seconds=1, milliseconds=900)
    assert show(desk, BOOK) == ["100@100.05"]
    assert (desk.order(order.id).status, desk.order(order.id).reason) == (
        OrderStatus.CANCELLED,
        "IOC: what could not trade at once was cancelled.",
    )


@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        (OrderChanges(quantity=40), True),
        (OrderChanges(quantity=60), False),
        (OrderChanges(trigger_price=Decimal(1)), True),
    ],
    ids=["smaller", "larger", "nothing that counts"],
)
def test_an_order_that_grows_goes_to_the_end_of_its_queue(
    change: OrderChanges, keeps: bool
) -> None:
    desk = Desk(fills=HONEST)
    show(desk, BOOK)
    order = desk.place("BUY 50 LIMIT 99.95")
    show(desk, BOOK)
    show(desk, "99.95 99.95 100.05 1290 | 300@99.95 | 100@100.05")
    desk.modify(order.id, change)
    show(desk, "99.95 99.95 100.05 1290 | 300@99.95 | 100@100.05")
    traded = show(desk, "99.95 99.95 100.05 1310 | 300@99.95 | 100@100.05")
    assert traded == (["10@99.95"] if keeps else [])


def test_after_a_restart_an_order_stands_at_the_end_of_its_queue() -> None:
    desk = Desk(fills=HONEST)
    show(desk, BOOK)
    order = desk.place("BUY 50 LIMIT 99.95")
    show(desk, BOOK)
    show(desk, "99.95 99.95 100.05 1290 | 300@99.95 | 100@100.05")
    desk.venue = desk.new_venue()
    for volume in (1300, 1400, 1500):
        show(desk, f"99.95 99.95 100.05 {volume} | 300@99.95 | 100@100.05")
    assert desk.order(order.id).filled_quantity == 0
    assert show(desk, "99.95 99.95 100.05 1650 | 300@99.95 | 100@100.05") == ["50@99.95"]


@given(
    moves=st.lists(
        st.tuples(st.integers(-4, 4), st.integers(0, 400), st.integers(0, 3)), max_size=30
    ),
    quantities=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    offsets=st.lists(st.integers(-8, 8), min_size=6, max_size=6),
)
def test_the_same_orders_and_quotes_make_the_same_fills_and_none_beyond_a_limit(
    moves: list[tuple[int, int, int]], quantities: list[int], offsets: list[int]
) -> None:
    """Twice from the start: every trade is the same, within its limit, and never too large."""

    def played() -> list[object]:
        desk, level, volume = Desk("1000000000", fills=HONEST), 2000, 1000
        show(desk, BOOK)
        for number, quantity in enumerate(quantities):
            side = "BUY" if number % 2 else "SELL"
            desk.place(f"{side} {quantity} LIMIT {(2000 + offsets[number]) * Decimal('0.05')}")
        for move, traded, size in moves:
            level, volume = level + move, volume + traded
            last = level * Decimal("0.05")
            bid, ask = last - Decimal("0.05"), last + Decimal("0.05")
            show(
                desk,
                f"{last} {bid} {ask} {volume} | {size * 50 + 1}@{bid} | {size * 30 + 1}@{ask}",
            )
        for trade in desk.state.trades_on(MORNING.date()):
            order = desk.order(trade.order_id)
            assert (order.request.price - trade.price) * order.request.action.sign >= 0
            assert order.filled_quantity <= order.request.quantity
        return [*desk.state.trades_on(MORNING.date())]

    assert played() == played()
