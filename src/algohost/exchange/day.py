"""The account as brokers show it: by trading day, settled shares apart from the day's trades.

A position is carried until it is closed: what was open when a day began is part of it. Shares
bought with CNC are a position until they are delivered, which is T+1, and a holding from then on;
delivered and new shares of one book have one average cost. They may be sold at any time: on the
day they were bought, which takes from that day's purchases first, or before they are delivered.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from algohost.domain.ids import IST
from algohost.domain.money import ZERO
from algohost.domain.orders import Book, Order, Position, Product, Trade
from algohost.exchange.account import AccountState, Group
from algohost.exchange.groups import SettlesOn
from algohost.exchange.hours import next_day
from algohost.exchange.positions import cost_of


@dataclass(frozen=True, kw_only=True)
class DayPosition:
    """One position split as a day's pages show it. The two parts sum to what the book holds."""

    traded: Position
    """Units not settled as holdings; realised P&L, bought and sold are of the day alone."""
    settled: Position
    """CNC shares that have been delivered; nothing for other products."""
    opening: Position
    """The whole position when the day began."""

    @property
    def is_shown(self) -> bool:
        """Whether the positions of the day list it: open, or traded today."""
        traded = self.traded
        return bool(traded.quantity or traded.bought_quantity or traded.sold_quantity)


def day_of(at: datetime) -> date:
    """The trading day of an instant: its date in IST."""
    return at.astimezone(IST).date()


def orders_of_day(state: AccountState, day: date, books: Container[Book]) -> list[Order]:
    """The orders that ``books`` placed on ``day``, after those of before that are still open.

    Oldest first.
    """
    today = state.orders_placed_on(day, books)
    known = {order.id for order in today}
    carried = [
        order for order in state.open_orders() if order.id not in known and order.book in books
    ]
    return [*sorted(carried, key=lambda order: order.id), *today]


def trades_of_day(state: AccountState, day: date) -> list[Trade]:
    """Trades of ``day``, oldest first."""
    return list(state.trades_on(day))


def positions_of_day(
    state: AccountState,
    day: date,
    books: Container[Book],
    *,
    settles_on: SettlesOn = next_day,
) -> Iterator[DayPosition]:
    """What is held in ``books`` or was traded there on ``day``, which is today."""
    return (
        day_position(group, day, settles_on=settles_on)
        for group in state.groups_of(books)
        if group.position.quantity or group.day == day
    )


def day_position(group: Group, day: date, *, settles_on: SettlesOn = next_day) -> DayPosition:
    """One position as it stands on ``day``, which is today."""
    whole, opening = group.position, group.opening_on(day)
    settled = _settled(whole, group.delivered_on(day, settles_on))
    if not (opening.bought_quantity or opening.sold_quantity):  # nothing before today to take away
        return DayPosition(traded=whole, settled=settled, opening=opening)
    rest = replace(
        whole,
        quantity=whole.quantity - settled.quantity,
        open_value=whole.open_value - settled.open_value,
        realised=whole.realised - opening.realised,
        bought_quantity=whole.bought_quantity - opening.bought_quantity,
        sold_quantity=whole.sold_quantity - opening.sold_quantity,
        bought_value=whole.bought_value - opening.bought_value,
        sold_value=whole.sold_value - opening.sold_value,
        charges=whole.charges - opening.charges,
    )
    return DayPosition(traded=_averaged(rest), settled=settled, opening=opening)


def realised_of_day(state: AccountState, day: date) -> Decimal:
    """Realised P&L of ``day``, which is today, over all books."""
    return sum(
        (
            group.position.realised - group.opening.realised
            for group in state.groups().values()
            if group.day == day
        ),
        ZERO,
    )


def charges_of_day(state: AccountState, day: date) -> Decimal:
    """Brokerage, taxes and fees of ``day``, which is today, over all books."""
    return sum(
        (
            group.position.charges - group.opening.charges
            for group in state.groups().values()
            if group.day == day
        ),
        ZERO,
    )


def summed(positions: Iterable[Position], book: Book) -> Position:
    """Positions of several books in one instrument and product as one, shown under ``book``.

    Every sum is exact, so books always add up to their account. The average price is that of
    the books on the side of the net quantity: the cost of a mixed sum would be no price.
    """
    rows = list(positions)
    net = sum(row.quantity for row in rows)
    side = [row for row in rows if row.quantity * net > 0]
    units = sum(row.quantity for row in side)
    first = rows[0]
    return Position(
        book=book,
        key=first.key,
        product=first.product,
        quantity=net,
        average_price=sum((r.open_value for r in side), ZERO) / units if units else Decimal(0),
        realised=sum((row.realised for row in rows), ZERO),
        bought_quantity=sum(row.bought_quantity for row in rows),
        sold_quantity=sum(row.sold_quantity for row in rows),
        bought_value=sum((row.bought_value for row in rows), ZERO),
        sold_value=sum((row.sold_value for row in rows), ZERO),
        open_value=sum((row.open_value for row in rows), ZERO),
        charges=sum((row.charges for row in rows), ZERO),
    )


def _settled(whole: Position, delivered: int) -> Position:
    units = min(whole.quantity, delivered) if whole.product is Product.CNC else 0
    if units <= 0:
        return Position(book=whole.book, key=whole.key, product=whole.product)
    return Position(
        book=whole.book,
        key=whole.key,
        product=whole.product,
        quantity=units,
        average_price=whole.average_price,
        open_value=cost_of(whole, units),
    )


def _averaged(position: Position) -> Position:
    quantity = position.quantity
    price = position.open_value / quantity if quantity else Decimal(0)
    return replace(position, average_price=price)
