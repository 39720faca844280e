"""One paper account: the fold of its events.

``AccountState.apply`` is the only function that changes one. It believes what is written, and
refuses what cannot have happened (a fill of an order that is final, a number used twice) with
``Conflict``: a journal like that is damaged, and guessing would be worse than stopping.

An order moves along these arrows only::

    intended ──▶ trigger pending ──▶ open ──▶ complete
        │               │  ▲ modified │
        ├──▶ rejected   │  └──────────┤
        └──▶ open       └──▶ cancelled ◀┘
"""

from collections import ChainMap
from collections.abc import Callable, Container, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Final, NamedTuple, Self

from algohost.domain.errors import Conflict
from algohost.domain.ids import IST, AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Book, Funds, Order, OrderStatus, Position, Product, Trade
from algohost.exchange import events as ev
from algohost.exchange.layers import Layer
from algohost.exchange.margins import (
    FLAT_MARGIN,
    NOTHING_OFFERED,
    MarginModel,
    Offered,
    Resting,
    hold_for,
)
from algohost.exchange.numbers import serial_of
from algohost.exchange.positions import after_fill

ARROWS: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.OPEN: frozenset(
        {
            OrderStatus.OPEN,
            OrderStatus.TRIGGER_PENDING,
            OrderStatus.COMPLETE,
            OrderStatus.CANCELLED,
        }
    ),
    OrderStatus.TRIGGER_PENDING: frozenset(
        {OrderStatus.TRIGGER_PENDING, OrderStatus.OPEN, OrderStatus.CANCELLED}
    ),
}
"""Where an accepted order may go; a status that is not a key is final."""

Marks = Callable[[InstrumentKey], Decimal | None]
"""The last price of an instrument in rupees, or ``None`` where the market does not list it."""


class PositionKey(NamedTuple):
    """What one position is kept under."""

    book: Book
    key: InstrumentKey
    product: Product


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One position and all that hangs on it."""

    position: Position
    opening: Position
    """The position before the first trade of ``day``."""
    day: date | None = None
    """The day in IST of the newest trade."""
    buys: Offered = NOTHING_OFFERED
    """What its open orders may still buy."""
    sells: Offered = NOTHING_OFFERED
    hold: Decimal = ZERO

    def opening_on(self, day: date) -> Position:
        """The position as it stood when ``day`` began, ``day`` being today."""
        return self.opening if self.day == day else self.position

    def offering(self, item: Resting, *, sign: int) -> Self:
        """With ``item`` among its open orders (``sign`` 1), or no longer among them (-1)."""
        if item.order.request.action is Action.BUY:
            return replace(self, buys=self.buys.plus(item, sign=sign))
        return replace(self, sells=self.sells.plus(item, sign=sign))


@dataclass(frozen=True, slots=True)
class _Net:
    """An instrument over all books: its units, and what they cost."""

    quantity: int
    open_value: Decimal


class AccountState:
    """The truth about one account after the events applied so far.

    Readers get immutable values. ``draft`` gives a state to try events on, at a cost that does
    not grow with the account.
    """

    def __init__(self, account_id: AccountId, *, margin: MarginModel = FLAT_MARGIN) -> None:
        self.account_id = account_id
        self.account_number = 0
        self.events = 0
        """How many events were applied: the number of the newest journal record."""
        self.deposits = ZERO
        self.realised = ZERO
        """Realised P&L of all books since the account was opened."""
        self.hold = ZERO
        """Rupees held for positions and open orders."""
        self.last_order_serial = 0
        self.last_trade_serial = 0
        self._margin = margin
        self._orders: MutableMapping[OrderId, Order] = {}
        self._groups: MutableMapping[PositionKey, Group] = {}
        self._resting: MutableMapping[InstrumentKey, MutableMapping[OrderId, Resting]] = {}
        self._net: MutableMapping[InstrumentKey, _Net] = {}
        self._order_days: dict[date, dict[Book, list[OrderId]]] = {}
        self._trade_days: dict[date, list[Trade]] = {}
        self._places: dict[Book, dict[PositionKey, None]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccountState) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    # -- reading

    @property
    def cash(self) -> Decimal:
        """Money put in and realised P&L together."""
        return self.deposits + self.realised

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
        flat = Position(book=key.book, key=key.key, product=key.product)
        return Group(position=flat, opening=flat)

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

    def available(self, marks: Marks) -> Decimal:
        """Rupees that a new order may use: cash less losses that are open, less what is held."""
        return self.cash + min(self.unrealised(marks), ZERO) - self.hold

    def funds(self, marks: Marks, *, realised: Decimal) -> Funds:
        """The account's money, with the ``realised`` P&L of the day as the day view has it."""
        return Funds(
            cash=self.cash,
            used_margin=self.hold,
            realised=realised,
            unrealised=self.unrealised(marks),
        )

    # -- changing

    def draft(self) -> Self:
        """A state that starts as this one and can be changed without changing it.

        Tables are layered, not copied. A draft's own lists by day and by book begin empty, and
        a draft is good only until the state beneath it changes.
        """
        draft = type(self).__new__(type(self))
        vars(draft).update(
            vars(self),
            _orders=ChainMap({}, self._orders),
            _groups=ChainMap({}, self._groups),
            _resting=ChainMap({}, self._resting),
            _net=ChainMap({}, self._net),
            _order_days={},
            _trade_days={},
            _places={},
        )
        return draft

    def apply(self, event: ev.Event) -> None:
        """Takes in the next event. Raises ``Conflict`` for one that cannot have happened."""
        if (self.events == 0) is not isinstance(event, ev.AccountOpened):
            raise _damaged(
                self,
                f"{type(event).__name__} is out of place: an account is opened "
                "once, by its first entry",
            )
        match event:
            case ev.AccountOpened():
                self._open(event)
            case ev.CashSet():
                self.deposits = event.cash - self.realised
            case ev.Accepted():
                self._admit(event.order, statuses=frozenset(ARROWS))
                self._keep(event.order, reserve=event.reserve)
            case ev.Rejected():
                self._admit(event.order, statuses=frozenset({OrderStatus.REJECTED}))
            case ev.Triggered():
                self._trigger(event)
            case ev.Filled():
                self._fill(event)
            case ev.Modified():
                self._modify(event)
            case ev.Cancelled():
                item = self._item(event.order_id)
                order = self._moved(
                    item.order, OrderStatus.CANCELLED, at=event.at, reason=event.reason
                )
                self._keep(order, reserve=item.reserve)
        self.events += 1

    def _open(self, event: ev.AccountOpened) -> None:
        if event.account_id != self.account_id:
            raise _damaged(self, f"it opens the account {event.account_id}")
        self.account_number = event.account_number
        self.deposits = event.cash

    def _admit(self, order: Order, *, statuses: frozenset[OrderStatus]) -> None:
        serial = serial_of(order.id)
        if order.status not in statuses or order.filled_quantity:
            raise _damaged(self, f"order {order.id} begins as {order.status}")
        if order.id in self._orders or order.book.account_id != self.account_id:
            raise _damaged(self, f"order {order.id} is there already or of another account")
        self._orders[order.id] = order
        day = self._order_days.setdefault(_day_of(order.placed_at), {})
        day.setdefault(order.book, []).append(order.id)
        self.last_order_serial = max(self.last_order_serial, serial)

    def _item(self, order_id: OrderId) -> Resting:
        order = self._orders.get(order_id)
        item = self._resting.get(order.request.key, {}).get(order_id) if order else None
        if item is None:
            raise _damaged(self, f"order {order_id} is unknown or final")
        return item

    def _trigger(self, event: ev.Triggered) -> None:
        item = self._item(event.order_id)
        if item.order.status is not OrderStatus.TRIGGER_PENDING:
            raise _damaged(self, f"order {event.order_id} waits for no trigger")
        self._keep(self._moved(item.order, OrderStatus.OPEN, at=event.at), reserve=item.reserve)

    def _moved(self, order: Order, status: OrderStatus, *, at: datetime, reason: str = "") -> Order:
        if status not in ARROWS.get(order.status, frozenset()):
            raise _damaged(self, f"order {order.id} cannot go from {order.status} to {status}")
        return replace(order, status=status, updated_at=at, reason=reason)

    def _modify(self, event: ev.Modified) -> None:
        order = self._moved(self._item(event.order_id).order, event.status, at=event.at)
        same = (event.request.key, event.request.action, event.request.product)
        if same != (order.request.key, order.request.action, order.request.product):
            raise _damaged(self, f"order {order.id} changes its instrument, side or product")
        if event.request.quantity <= order.filled_quantity:
            raise _damaged(self, f"order {order.id} asks for less than has traded")
        self._keep(replace(order, request=event.request), reserve=event.reserve)

    def _fill(self, event: ev.Filled) -> None:
        item = self._item(event.order_id)
        order, serial = item.order, serial_of(event.trade_id)
        can_fill = order.status is OrderStatus.OPEN and 0 < event.quantity <= order.open_quantity
        if not can_fill or serial <= self.last_trade_serial:
            raise _damaged(self, f"order {order.id} cannot fill {event.quantity} more units")
        filled = order.filled_quantity + event.quantity
        is_whole = filled == order.request.quantity
        paid = order.average_price * order.filled_quantity + event.price * event.quantity
        moved = self._moved(
            order, OrderStatus.COMPLETE if is_whole else OrderStatus.OPEN, at=event.at
        )
        average = paid / filled if order.filled_quantity else event.price
        self.last_trade_serial = serial
        self._trade_days.setdefault(_day_of(event.at), []).append(_trade(order, event))
        self._book(order, event)
        self._keep(
            replace(moved, filled_quantity=filled, average_price=average), reserve=item.reserve
        )

    def _book(self, order: Order, event: ev.Filled) -> None:
        """Takes a fill into the position, the account's sums and the net of the instrument."""
        place = position_key(order)
        group, day = self.group(place), _day_of(event.at)
        before = group.position
        action, quantity, price = order.request.action, event.quantity, event.price
        after = after_fill(before, action=action, quantity=quantity, price=price)
        net = self._net.get(place.key, _Net(0, ZERO))
        cost = after.open_value - before.open_value
        self.realised += after.realised - before.realised
        self._net[place.key] = _Net(net.quantity + action.sign * quantity, net.open_value + cost)
        self._groups[place] = replace(group, position=after, opening=group.opening_on(day), day=day)

    def _keep(self, order: Order, *, reserve: Decimal) -> None:
        """Stores an order, and its group with what is now held for it."""
        self._orders[order.id] = order
        place, item = position_key(order), Resting(order=order, reserve=reserve)
        group, resting = self.group(place), self._resting_to_change(place.key)
        before = resting.pop(order.id, None) if order.status.is_final else resting.get(order.id)
        if before is not None:
            group = group.offering(before, sign=-1)
        if not order.status.is_final:
            resting[order.id] = item
            group = group.offering(item, sign=1)
        hold = hold_for(self._margin, group.position, buys=group.buys, sells=group.sells)
        self.hold += hold - group.hold
        self._groups[place] = replace(group, hold=hold)
        self._places.setdefault(place.book, {})[place] = None

    def _resting_to_change(self, key: InstrumentKey) -> MutableMapping[OrderId, Resting]:
        """The open orders of an instrument; a draft gets a layer of its own over them."""
        if not isinstance(self._resting, ChainMap):
            return self._resting.setdefault(key, {})
        own = self._resting.maps[0]
        found = own.get(key)
        if found is None:
            found = own[key] = Layer(self._resting.get(key, {}))
        return found


def fold(state: AccountState, event: ev.Event) -> AccountState:
    """``state`` after ``event``; the state itself is changed and returned, for ``reduce``."""
    state.apply(event)
    return state


def position_key(order: Order) -> PositionKey:
    """The position that an order trades on."""
    return PositionKey(order.book, order.request.key, order.request.product)


def _day_of(at: datetime) -> date:
    return at.astimezone(IST).date()


def _trade(order: Order, event: ev.Filled) -> Trade:
    return Trade(
        id=event.trade_id,
        order_id=order.id,
        book=order.book,
        key=order.request.key,
        action=order.request.action,
        product=order.request.product,
        quantity=event.quantity,
        price=event.price,
        at=event.at,
    )


def _damaged(state: AccountState, what: str) -> Conflict:
    return Conflict(
        f"Entry {state.events + 1} in the journal of account {state.account_id} cannot have "
        f"happened: {what}. Restore the journal from a backup.",
        code="JOURNAL_DAMAGED",
    )
