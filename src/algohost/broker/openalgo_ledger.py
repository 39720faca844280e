"""What is known here of one live account: the fold of its events.

Orders, fills and books of strategies come from our own journal alone; what the broker's books say
is written down as events first. Unlike the paper exchange nothing is decided here, so an order may
fill after it was cancelled: the broker is right, and its news may come out of order.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from algohost.broker.openalgo_events import (
    Linked,
    LiveEvent,
    Moved,
    Surfaced,
    Taken,
    Traded,
    TurnedDown,
)
from algohost.domain.accounts import ARRIVED_LATE
from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Book, Order, OrderStatus, Position, Product, Trade
from algohost.exchange.account import PositionKey, position_key
from algohost.exchange.day import DayPosition, day_of
from algohost.exchange.numbers import serial_of
from algohost.exchange.performance import Performance
from algohost.exchange.positions import after_fill, cost_of


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One position, and how it stood before the first trade of ``day``."""

    position: Position
    opening: Position
    day: date | None = None


@dataclass
class LiveLedger:
    """The truth about one live account after the events applied so far, as far as it is ours."""

    account_id: AccountId
    account_number: int = 0
    events: int = 0
    last_order_serial: int = 0
    last_trade_serial: int = 0
    upstream_ids: dict[OrderId, str] = field(default_factory=dict)
    claimed: dict[str, OrderId] = field(default_factory=dict)
    """The same from the broker's numbers to ours; of two days that share one, the later."""
    lost: set[OrderId] = field(default_factory=set)
    """Orders that were sent and then taken for lost."""
    values: dict[OrderId, Decimal] = field(default_factory=dict)
    """What the filled units of an order came to in rupees; exact."""
    performances: dict[Book, Performance] = field(default_factory=dict)
    """By what was traded here; without charges, which a broker tells in its contract note."""
    _orders: dict[OrderId, Order] = field(default_factory=dict)
    _places: dict[PositionKey, _Place] = field(default_factory=dict)
    _trade_days: dict[date, list[Trade]] = field(default_factory=dict)

    # -- reading

    def order(self, order_id: OrderId) -> Order | None:
        """The order of that number, if it is known."""
        return self._orders.get(order_id)

    def orders_of(self, day: date, books: Container[Book]) -> list[Order]:
        """What ``books`` ordered on ``day`` or have open since before, oldest first."""
        chosen = [
            order
            for order in self._orders.values()
            if order.book in books and (day_of(order.placed_at) == day or not order.status.is_final)
        ]
        return sorted(chosen, key=lambda order: (order.placed_at, order.id))

    def open_orders(self) -> list[Order]:
        """All that may still trade."""
        return [order for order in self._orders.values() if not order.status.is_final]

    def trades_on(self, day: date) -> Sequence[Trade]:
        """The trades of a day in IST, oldest first."""
        return tuple(self._trade_days.get(day, ()))

    def all_trades(self, books: Container[Book]) -> list[Trade]:
        """Every trade of ``books``, oldest first."""
        return [one for of_day in self._trade_days.values() for one in of_day if one.book in books]

    def positions(self, day: date) -> Iterator[DayPosition]:
        """Every position of every book that is held or was traded on ``day``, which is today."""
        for key, place in self._places.items():
            shown = self.position(key, day)
            if shown.traded.quantity or shown.settled.quantity or place.day == day:
                yield shown

    def position(self, key: PositionKey, day: date) -> DayPosition:
        """One position as it stands on ``day``; flat where there never was one.

        An MIS position does not outlive its day: the broker has squared it off.
        """
        place = self._places.get(key)
        flat = Position(book=key.book, key=key.key, product=key.product)
        if place is None or (key.product is Product.MIS and place.day != day):
            return DayPosition(traded=flat, settled=flat, opening=flat)
        opening = place.opening if place.day == day else place.position
        return _day_position(place.position, opening, flat)

    # -- changing

    def apply(self, event: LiveEvent) -> None:
        """Takes in the next event. Raises ``Conflict`` for one that cannot have happened."""
        if (self.events == 0) is not isinstance(event, Linked):
            raise self._damaged(f"{type(event).__name__} is out of place")
        match event:
            case Linked():
                self.account_number = event.account_number
            case Taken():
                self._claim(event.upstream_id, event.order)
                self._admit(event.order)
            case TurnedDown():
                self._admit(event.order)
                if event.is_lost:
                    self.lost.add(event.order.id)
            case Surfaced():
                self._surface(event)
            case Moved():
                order = self._known(event.order_id)
                self._orders[order.id] = replace(
                    order,
                    status=event.status,
                    request=event.request,
                    reason=event.reason,
                    updated_at=event.at,
                )
            case Traded():
                self._trade(event)
        self.events += 1

    def holds(self, upstream_id: str, day: date) -> bool:
        """Whether a number of the broker is an order of ours on that day.

        Some brokers number anew each day: the number of an order that ended before is free.
        """
        order_id = self.claimed.get(upstream_id)
        if order_id is None:
            return False
        order = self._orders[order_id]
        return day_of(order.placed_at) == day or not order.status.is_final

    def _claim(self, upstream_id: str, order: Order) -> None:
        if self.holds(upstream_id, day_of(order.placed_at)):
            raise self._damaged(f"{upstream_id} is two orders")
        self.upstream_ids[order.id] = upstream_id
        self.claimed[upstream_id] = order.id

    def _surface(self, event: Surfaced) -> None:
        order = self._known(event.order_id)
        if order.id not in self.lost:
            raise self._damaged(f"order {order.id} was not lost")
        self._claim(event.upstream_id, order)
        self.lost.discard(order.id)
        waits = order.request.price_type.needs_trigger
        self._orders[order.id] = replace(
            order,
            status=OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN,
            updated_at=event.at,
            reason=ARRIVED_LATE,
        )

    def _admit(self, order: Order) -> None:
        if order.id in self._orders or order.book.account_id != self.account_id:
            raise self._damaged(f"order {order.id} is there already or of another account")
        self._orders[order.id] = order
        self.last_order_serial = max(self.last_order_serial, serial_of(order.id))

    def _trade(self, event: Traded) -> None:
        order = self._known(event.order_id)
        filled = order.filled_quantity + event.quantity
        if event.quantity <= 0 or filled > order.request.quantity:
            raise self._damaged(f"order {order.id} cannot fill {event.quantity} more units")
        value = self.values.get(order.id, Decimal(0)) + event.quantity * event.price
        self.values[order.id] = value
        is_whole = filled == order.request.quantity
        self._orders[order.id] = replace(
            order,
            filled_quantity=filled,
            average_price=value / filled,
            status=OrderStatus.COMPLETE if is_whole else order.status,
            updated_at=event.at,
        )
        self.last_trade_serial = max(self.last_trade_serial, serial_of(event.trade_id))
        day = day_of(event.at)
        self._trade_days.setdefault(day, []).append(_trade_of(order, event))
        key = position_key(order)
        flat = Position(book=key.book, key=key.key, product=key.product)
        place = self._places.get(key) or _Place(position=flat, opening=flat)
        if key.product is Product.MIS and place.day != day:
            place = _Place(position=flat, opening=flat)
        opening = place.opening if place.day == day else place.position
        after = after_fill(
            place.position, action=order.request.action, quantity=event.quantity, price=event.price
        )
        self._places[key] = _Place(position=after, opening=opening, day=day)
        performance = self.performances.setdefault(order.book, Performance())
        performance.took(place.position, after, charges=Decimal(0), at=event.at)

    def _known(self, order_id: OrderId) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise self._damaged(f"order {order_id} is unknown")
        return order

    def _damaged(self, what: str) -> Conflict:
        return Conflict(
            f"Entry {self.events + 1} in the journal of account {self.account_id} cannot have "
            f"happened: {what}. Restore the journal from a backup.",
            code="JOURNAL_DAMAGED",
        )


def _day_position(whole: Position, opening: Position, flat: Position) -> DayPosition:
    """CNC units held since before the day are settled; the rest, and the day's P&L, are traded."""
    units = min(whole.quantity, opening.quantity) if whole.product is Product.CNC else 0
    settled = flat
    if units > 0:
        settled = replace(
            flat,
            quantity=units,
            average_price=whole.average_price,
            open_value=cost_of(whole, units),
        )
    quantity = whole.quantity - settled.quantity
    open_value = whole.open_value - settled.open_value
    traded = replace(
        whole,
        quantity=quantity,
        open_value=open_value,
        average_price=open_value / quantity if quantity else Decimal(0),
        realised=whole.realised - opening.realised,
        bought_quantity=whole.bought_quantity - opening.bought_quantity,
        sold_quantity=whole.sold_quantity - opening.sold_quantity,
        bought_value=whole.bought_value - opening.bought_value,
        sold_value=whole.sold_value - opening.sold_value,
    )
    return DayPosition(traded=traded, settled=settled, opening=opening)


def _trade_of(order: Order, event: Traded) -> Trade:
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
