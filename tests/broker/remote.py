"""A broker far away: an exchange that outlives the server, and a line to it that can be cut."""

from collections.abc import Container, Mapping, Sequence
from datetime import date
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, cast

from algohost.broker.accounts import PaperBrokers
from algohost.broker.crash_points import CrashPoint, Reached
from algohost.broker.ports import Broker, Finding, OutcomeUnknown, Unsaid
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Book, Order
from algohost.domain.ports import Market
from algohost.exchange.fills import AT_TOUCH
from algohost.testing.journal import MemoryJournal

if TYPE_CHECKING:
    from algohost.broker.paper import PaperBroker

_NOT_HERE: Final = {"place_with_intent", "bury_with_intent"}


class Cut(Enum):
    """Where the line breaks under an order."""

    BEFORE = auto()
    """The broker has not got it."""
    AFTER = auto()
    """The broker has it, and its answer is lost."""


class FarAway:
    """What survives the server: the exchange, and what the server's own book of it has kept.

    ``cut`` breaks the line under the next orders; while ``is_silent`` the broker cannot say
    what it has. ``sent`` counts how often each order was sent.
    """

    def __init__(self, market: Market) -> None:
        self.cut: Cut | None = None
        self.is_silent = False
        self.asked = 0
        self.sent: dict[str, int] = {}
        self.known: set[OrderId] = set()
        self._brokers = PaperBrokers(journal=MemoryJournal(), market=market, fills=AT_TOUCH)
        self._exchanges: dict[AccountId, PaperBroker] = {}

    async def exchange(self, account_id: AccountId) -> "PaperBroker":
        """The one exchange of an account, whoever asks."""
        if account_id not in self._exchanges:
            self._exchanges[account_id] = await self._brokers.open(account_id)
        return self._exchanges[account_id]


class RemoteBrokers:
    """Opens brokers whose orders travel; ``open`` is the gateway's ``OpenBroker``."""

    def __init__(self, far: FarAway, reached: Reached) -> None:
        self._far = far
        self._reached = reached

    async def open(self, account_id: AccountId) -> Broker:
        """The server's end of the line."""
        exchange = await self._far.exchange(account_id)
        return cast("Broker", _RemoteBroker(exchange, self._far, self._reached))


class _RemoteBroker:
    def __init__(self, exchange: "PaperBroker", far: FarAway, reached: Reached) -> None:
        self._exchange = exchange
        self._far = far
        self._reached = reached

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_HERE:
            raise AttributeError(name)
        return getattr(self._exchange, name)

    async def place(self, order: Order) -> Order:
        label = order.request.label or order.id
        self._far.sent[label] = self._far.sent.get(label, 0) + 1
        self._reached(CrashPoint.BEFORE_APPEND)
        if self._far.cut is Cut.BEFORE:
            raise OutcomeUnknown("The line broke.")
        placed = await self._exchange.place(order)
        if self._far.cut is Cut.AFTER:
            raise OutcomeUnknown("The line broke.")
        self._reached(CrashPoint.AFTER_APPEND)
        self._far.known.add(order.id)
        return placed

    async def find(self, orders: Sequence[Order]) -> Mapping[OrderId, Finding]:
        self._far.asked += 1
        if self._far.is_silent:
            return {order.id: Unsaid(reason="The broker is silent.") for order in orders}
        found = await self._exchange.find(orders)
        self._far.known |= {name for name in found if self._exchange.order(name) is not None}
        return found

    async def bury(self, orders: Sequence[Order], *, reason: str) -> Sequence[Order]:
        buried = await self._exchange.bury(orders, reason=reason)
        self._far.known |= {order.id for order in orders}
        return buried

    def order(self, order_id: OrderId) -> Order | None:
        return self._exchange.order(order_id) if order_id in self._far.known else None

    def orders(self, day: date, books: Container[Book]) -> Sequence[Order]:
        return [o for o in self._exchange.orders(day, books) if o.id in self._far.known]

    async def close(self) -> None:
        """The exchange lives on."""
