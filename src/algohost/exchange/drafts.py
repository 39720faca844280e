"""Drafts of an account: what a command would do, tried before it is done, and then adopted.

A command is decided on a draft, by applying to it what would happen. Once that is durable the
state adopts the draft: it takes over what the draft worked out, and nothing is worked out twice.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, Self, TypeVar

from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Order, OrderStatus, Position
from algohost.exchange import events as ev
from algohost.exchange.account_reads import AccountReads
from algohost.exchange.gtt_table import GttTable
from algohost.exchange.layers import Layer
from algohost.exchange.margins import Resting
from algohost.exchange.performance import Performance
from algohost.exchange.wakes import Wakes

K = TypeVar("K")
V = TypeVar("V")

_SUMS: Final = (
    "events",
    "deposits",
    "realised",
    "charges",
    "hold",
    "last_order_serial",
    "last_trade_serial",
)
_TABLES: Final = ("_orders", "_groups", "_net", "_bills", "_debited")


class Took(NamedTuple):
    """A fill or a settlement, as ``Performance.took`` is told of it."""

    before: Position
    after: Position
    charges: Decimal
    at: datetime


@dataclass(kw_only=True, slots=True, eq=False)
class Story:
    """All that was applied to one draft, oldest first."""

    happened: list[ev.Event] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    """The order of each event, as it stood after it."""
    took: list[Took] = field(default_factory=list)


class Drafts(AccountReads):
    """The part of ``AccountState`` that makes drafts of itself and adopts them."""

    events: int
    _gtts: GttTable
    _wakes: Wakes | None
    _story: Story | None

    def draft(self) -> Self:
        """A state that starts as this one and can be changed without changing it.

        Tables are layered, not copied. A draft's own lists by day and by book begin empty, and
        it knows no performances. It is good until the state beneath it changes otherwise than
        by adopting it, or what it has adopted itself.
        """
        draft = type(self).__new__(type(self))
        vars(draft).update(
            vars(self),
            _orders=Layer(self._orders),
            _groups=Layer(self._groups),
            _resting=Layer(self._resting),
            _net=Layer(self._net),
            _bills=Layer(self._bills),
            _debited=Layer(self._debited),
            _gtts=self._gtts.draft(),
            _wakes=None,
            _order_days={},
            _trade_days={},
            _places={},
            _performances={},
            _story=Story(),
        )
        return draft

    @property
    def happened(self) -> Sequence[ev.Event]:
        """The events applied to a draft since it was made, oldest first."""
        return () if self._story is None else self._story.happened

    @property
    def orders_told(self) -> Sequence[Order]:
        """For each event of a draft that is about an order: the order as it stood after it."""
        return () if self._story is None else self._story.orders

    def adopt(self, draft: Self) -> None:
        """Takes in what was applied to ``draft``: the same as applying it here once more.

        The draft was made of this state as it stands, or of a draft of it which has adopted
        since what this has; and only orders came and changed on it.
        """
        story = draft._story
        if story is None or draft.events - len(story.happened) != self.events:
            raise RuntimeError(f"That is no draft of the account at entry {self.events}.")
        if len(story.orders) != len(story.happened):
            raise RuntimeError("A draft that changed more than orders cannot be adopted.")
        self._wake(draft._orders)
        for name in _SUMS:
            setattr(self, name, getattr(draft, name))
        for name in _TABLES:
            _layer(getattr(draft, name)).given_to(getattr(self, name))
        for key, resting in _layer(draft._resting).own().items():
            _layer(resting).given_to(self._resting_to_change(key))
        self._adopt_lists(draft)
        for took in story.took:
            self._perform(took)

    def _adopt_lists(self, draft: Self) -> None:
        for day, by_book in draft._order_days.items():
            books = self._order_days.setdefault(day, {})
            for book, ids in by_book.items():
                books.setdefault(book, []).extend(ids)
        for day, trades in draft._trade_days.items():
            self._trade_days.setdefault(day, []).extend(trades)
        for book, places in draft._places.items():
            self._places.setdefault(book, {}).update(places)

    def _wake(self, changed: MutableMapping[OrderId, Order]) -> None:
        if self._wakes is None:
            return
        for order_id, order in _layer(changed).own().items():
            before = self._orders.get(order_id)
            if before is not None or order.status is not OrderStatus.REJECTED:
                self._wakes.keep_order(before, order)

    def _perform(self, took: Took) -> None:
        if self._story is not None:
            self._story.took.append(took)
            return
        performance = self._performances.setdefault(took.after.book, Performance())
        performance.took(took.before, took.after, charges=took.charges, at=took.at)

    def _resting_to_change(self, key: InstrumentKey) -> MutableMapping[OrderId, Resting]:
        """The open orders of an instrument; a draft gets a layer of its own over them."""
        if not isinstance(self._resting, Layer):
            return self._resting.setdefault(key, {})
        found = self._resting.own_value(key)
        if found is None:
            found = self._resting[key] = Layer(self._resting.get(key, {}))
        return found


def _layer(table: MutableMapping[K, V]) -> Layer[K, V]:
    if not isinstance(table, Layer):
        raise TypeError("A draft whose account was reset cannot be adopted.")
    return table
