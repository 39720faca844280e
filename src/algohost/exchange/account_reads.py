"""What an account answers: reads of the fold, each from what was applied so far."""

from collections.abc import Callable, Container, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain

from algohost.domain.ids import IST, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Book, Funds, Order, Product, Trade
from algohost.exchange.charges import Bill, ChargeModel, Charges, Dealt
from algohost.exchange.groups import Group, PositionKey, flat_group
from algohost.exchange.margins import MarginModel, Resting
from algohost.exchange.performance import Performance

Marks = Callable[[InstrumentKey], Decimal | None]
"""The last price of an instrument in rupees, or ``None`` where the market does not list it."""


@dataclass(frozen=True, slots=True)
class Net:
    """An instrument over all books: its units, and what they cost."""

    quantity: int = 0
    open_value: Decimal = ZERO
    paid_quantity: int = 0
    """Of which are held by whoever paid all they cost: shares delivered, options bought."""
    paid_value: Decimal = ZERO


class AccountReads:
    """The readers of ``AccountState``; they change nothing and return immutable values."""

    deposits: Decimal
    realised: Decimal
    charges: Decimal
    hold: Decimal
    _margin: MarginModel
    _charging: ChargeModel
    _orders: MutableMapping[OrderId, Order]
    _groups: MutableMapping[PositionKey, Group]
    _resting: MutableMapping[InstrumentKey, MutableMapping[OrderId, Resting]]
    _net: MutableMapping[InstrumentKey, Net]
    _order_days: dict[date, dict[Book, list[OrderId]]]
    _trade_days: dict[date, list[Trade]]
    _places: dict[Book, dict[PositionKey, None]]
    _performances: dict[Book, Performance]
    _bills: MutableMapping[OrderId, Bill]
    _debited: MutableMapping[InstrumentKey, date]

    @property
    def cash(self) -> Decimal:
        """Money put in and realised P&L together, less charges."""
        return self.deposits + self.realised - self.charges

    def order(self, order_id: OrderId) -> Order | None:
        """The order of that number, if the account knows it."""
        return self._orders.get(order_id)

    def orders_placed_on(self, day: date, books: Container[Book]) -> Sequence[Order]:
        """The orders of a day in IST and of some books, in the order of their numbers."""
        of_books = [ids for book, ids in self._order_days.get(day, {}).items() if book in books]
        return [self._orders[order_id] for order_id in sorted(chain.from_iterable(of_books))]

    def trades_on(self, day: date) -> Sequence[Trade]:
        """The trades of a day in IST, oldest first."""
        return tuple(self._trade_days.get(day, ()))

    def trades_of(self, books: Container[Book]) -> Iterator[Trade]:
        """All trades of some books, oldest day first."""
        for day in sorted(self._trade_days):
            yield from (trade for trade in self._trade_days[day] if trade.book in books)

    def performances(self, books: Container[Book]) -> Mapping[Book, Performance]:
        """How each of ``books`` that ever traded has done; not to be changed."""
        return {book: made for book, made in self._performances.items() if book in books}

    def resting(self, key: InstrumentKey) -> Mapping[OrderId, Resting]:
        """The orders of an instrument that may still trade, oldest first."""
        return self._resting.get(key, {})

    def open_orders(self) -> Sequence[Order]:
        """All orders that may still trade."""
        return [item.order for items in self._resting.values() for item in items.values()]

    def groups(self) -> Mapping[PositionKey, Group]:
        """Every position ever held, with its open orders."""
        return self._groups

    def groups_of(self, books: Container[Book]) -> Iterator[Group]:
        """The positions ever held in ``books``, at a cost that grows with those alone."""
        for book, places in self._places.items():
            if book in books:
                yield from (self._groups[place] for place in places)

    def group(self, key: PositionKey) -> Group:
        """One position with its open orders; a flat one where there never was a trade."""
        found = self._groups.get(key)
        if found is not None:
            return found
        return flat_group(key)

    def unrealised(self, marks: Marks) -> Decimal:
        """What all open units would gain at the marks; exact.

        Units of an instrument that the market does not list are taken at what they cost.
        """
        value = ZERO
        for key, net in self._net.items():
            if net.quantity or net.open_value:
                mark = marks(key)
                value += ZERO if mark is None else net.quantity * mark - net.open_value
        return value

    def covered(self, marks: Marks) -> Decimal:
        """Losses open on what was paid in full: all that it cost is held already."""
        losses = ZERO
        for key, net in self._net.items():
            if net.paid_quantity:
                mark = marks(key)
                lost = ZERO if mark is None else net.paid_value - net.paid_quantity * mark
                losses += max(lost, ZERO)
        return losses

    def available(self, marks: Marks) -> Decimal:
        """Rupees that a new order may use: cash less what is held, less losses beyond that."""
        return self.cash + min(self.unrealised(marks) + self.covered(marks), ZERO) - self.hold

    def charges_of(self, order: Order, *, quantity: int, price: Decimal, at: datetime) -> Charges:
        """What a fill of ``order`` will be charged, after the fills that it had."""
        request = order.request
        leaves = False
        if request.product is Product.CNC and request.action is Action.SELL:
            day = day_in_india(at)
            new = self.group(position_key(order)).bought_on(day)
            leaves = quantity > new and self._debited.get(request.key) != day
        dealt = Dealt(
            key=request.key,
            product=request.product,
            action=request.action,
            turnover=quantity * price,
            at=at,
            leaves_demat=leaves,
        )
        return self._charging.of(dealt, self._bills.get(order.id))

    def margin_model(self) -> MarginModel:
        """By which model margin is held here."""
        return self._margin

    def charge_model(self) -> ChargeModel:
        """By which model trades are charged here."""
        return self._charging

    def funds(self, marks: Marks, *, realised: Decimal, charges: Decimal = ZERO) -> Funds:
        """The account's money; ``realised`` P&L and charges are the day's, as its view has them."""
        return Funds(
            cash=self.cash,
            used_margin=self.hold,
            realised=realised,
            unrealised=self.unrealised(marks),
            covered=self.covered(marks),
            charges=charges,
        )


def position_key(order: Order) -> PositionKey:
    """The position that an order trades on."""
    return PositionKey(order.book, order.request.key, order.request.product)


def day_in_india(at: datetime) -> date:
    """The date in IST."""
    return at.astimezone(IST).date()
