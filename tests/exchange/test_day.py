"""The day's pages: what was traded today, what was carried, what is settled."""

from datetime import timedelta
from decimal import Decimal

from algohost.domain.orders import OrderStatus, Product
from algohost.exchange.account import PositionKey
from algohost.exchange.day import (
    day_of,
    day_position,
    orders_of_day,
    positions_of_day,
    realised_of_day,
    trades_of_day,
)
from tests.exchange.desk import EMA, INFY, MORNING, RSI, UNATTRIBUTED, Desk, quote


def view(desk: Desk, product: Product) -> tuple[tuple[int, Decimal], tuple[int, Decimal]]:
    """(units, realised) traded, (units, average) settled."""
    group = desk.state.group(PositionKey(EMA, INFY, product))
    row = day_position(group, day_of(desk.at))
    return (
        (row.traded.quantity, row.traded.realised),
        (row.settled.quantity, row.settled.average_price),
    )


def test_the_day_is_the_one_in_india() -> None:
    assert day_of(MORNING.replace(hour=18, minute=29)) == MORNING.date()
    assert day_of(MORNING.replace(hour=18, minute=30)) == MORNING.date() + timedelta(days=1)


def test_shares_bought_today_are_a_position_and_tomorrow_a_holding() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET CNC")
    assert view(desk, Product.CNC) == ((10, Decimal(0)), (0, Decimal(0)))
    desk.next_day()
    assert view(desk, Product.CNC) == ((0, Decimal(0)), (10, Decimal(100)))


def test_selling_from_holdings_lowers_them_and_realises_today() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET CNC")
    desk.next_day()
    desk.show(quote(last="110"))
    desk.place("SELL 4 MARKET CNC")
    assert view(desk, Product.CNC) == ((0, Decimal(40)), (6, Decimal(100)))
    desk.next_day()
    assert view(desk, Product.CNC) == ((0, Decimal(0)), (6, Decimal(100)))


def test_buying_more_leaves_the_holding_and_adds_a_position() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET CNC")
    desk.next_day()
    desk.show(quote(last="120"))
    desk.place("BUY 10 MARKET CNC")
    assert view(desk, Product.CNC) == ((10, Decimal(0)), (10, Decimal(110)))


def test_an_intraday_position_of_yesterday_is_carried_with_its_cost() -> None:
    """Until there is a square-off: it stays a position, and today's P&L starts at zero."""
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET")
    desk.place("SELL 4 LIMIT 90")
    assert realised_of_day(desk.state, day_of(desk.at)) == 0
    desk.next_day()
    desk.show(quote(last="110"))
    desk.place("SELL 3 MARKET")
    assert view(desk, Product.MIS) == ((3, Decimal(30)), (0, Decimal(0)))
    assert realised_of_day(desk.state, day_of(desk.at)) == 30


def test_todays_orders_are_those_placed_today_and_those_still_open() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 1 MARKET")
    waiting = desk.place("BUY 1 LIMIT 90")
    desk.next_day()
    today = desk.place("BUY 1 MARKET")
    day = day_of(desk.at)
    assert [order.id for order in orders_of_day(desk.state, day, {EMA})] == [waiting.id, today.id]
    assert [trade.order_id for trade in trades_of_day(desk.state, day)] == [today.id]
    assert waiting.status is OrderStatus.OPEN


def test_an_order_of_yesterday_that_is_told_late_hides_none_of_today() -> None:
    """Its place in the journal is the newest: everything before it was taken for older."""
    desk = Desk()
    desk.show(quote(last="100"))
    yesterday = desk.at
    desk.next_day()
    today = [desk.place("BUY 1 MARKET").id, desk.place("BUY 1 LIMIT 90").id]
    desk.at, now = yesterday, desk.at
    late = desk.place("BUY 1 MARKET")
    desk.at = now
    assert [order.id for order in orders_of_day(desk.state, day_of(now), {EMA})] == today
    assert [order.id for order in orders_of_day(desk.state, day_of(yesterday), {EMA})][
        -1
    ] == late.id
    assert [trade.order_id for trade in trades_of_day(desk.state, day_of(now))] == today[:1]


def test_positions_of_one_book_are_those_of_the_whole_that_are_its_own() -> None:
    desk = Desk()
    desk.show(quote(last="100"))
    desk.place("BUY 2 MARKET", owner=EMA)
    desk.place("SELL 3 MARKET", owner=RSI)
    desk.place("BUY 5 LIMIT 90", owner=UNATTRIBUTED)
    day = day_of(desk.at)
    of_books = [
        [row.traded.quantity for row in positions_of_day(desk.state, day, {book})]
        for book in (EMA, RSI, UNATTRIBUTED)
    ]
    assert of_books == [[2], [-3], []]
