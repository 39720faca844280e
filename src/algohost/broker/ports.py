"""What the gateway asks of a broker: the paper one, and live ones.

**An order whose outcome is not known.** The gateway writes an order's intent, then calls
``place``. When the host stops in between, or ``place`` raises ``OutcomeUnknown``, the order is
in doubt. It is shown as unknown, and ``find`` is asked, at once and then again and again with
growing pauses, until it says of the order either ``Known`` or ``Absent``. Only then is it
anything but unknown, and ``Absent`` alone lets the gateway ``bury`` it: record it as rejected.
Nothing is ever sent a second time.
"""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol, runtime_checkable

from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Funds, Order, OrderChanges, Trade
from algohost.domain.ports import Intent
from algohost.domain.quotes import Quote
from algohost.exchange.account import PositionKey
from algohost.exchange.day import DayPosition
from algohost.exchange.performance import Performance

OUTCOME_UNKNOWN: Final = "OUTCOME_UNKNOWN"

OrdersListener = Callable[[Sequence[Order]], None]
"""Called with orders as they changed, oldest change first, once the changes are durable."""


class OutcomeUnknown(Unavailable):
    """A command was sent, and whether it took effect is not known."""

    code = OUTCOME_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Known:
    """The broker has the order: ``order`` is how it stands, and reads here show it from now on."""

    order: Order


@dataclass(frozen=True, kw_only=True)
class Absent:
    """The broker does not have the order and never will: what was sent of it has died.

    Not being in an order book just read is not enough while a request may still be under way,
    in a proxy or in a queue of the broker: that is ``Unsaid``.
    """


@dataclass(frozen=True, kw_only=True)
class Unsaid:
    """It cannot be told now; ``reason`` says why in a sentence, for whoever looks at the order."""

    reason: str


Finding = Known | Absent | Unsaid
"""What became of one order. Never a guess: where two orders could be meant, it is ``Unsaid``."""


class Broker(Protocol):
    """One account at one broker.

    Commands raise ``NotFound``, ``Conflict`` and ``Invalid`` when they are refused,
    ``Unavailable`` when they certainly took no effect, and its kind ``OutcomeUnknown`` when
    nobody can say. Reads answer from what is known here and never wait.
    """

    @property
    def account_id(self) -> AccountId:
        """The account this is."""

    def next_order_id(self) -> OrderId:
        """A number that no order of this account has or will be given again."""

    async def place(self, order: Order) -> Order:
        """Sends an intended order and returns it as it stands, which may be rejected.

        Sending a known order again does nothing and returns it as it stands.
        """

    async def modify(self, order_id: OrderId, changes: OrderChanges) -> Order:
        """Changes an open order and returns it as it stands after."""

    async def cancel(self, order_id: OrderId, *, reason: str) -> Order:
        """Withdraws what is open of an order and returns it as it stands after."""

    async def find(self, orders: Sequence[Order]) -> Mapping[OrderId, Finding]:
        """What became of intended orders whose outcome is not known: one finding for each.

        Asks the broker, not the memory of this process. Asked again with growing pauses for
        whatever is ``Unsaid``; may raise ``Unavailable``, which is ``Unsaid`` of all of them.
        Orders that were ``place``d in this process and have not come back are not asked for.
        """

    async def bury(self, orders: Sequence[Order], *, reason: str) -> Sequence[Order]:
        """Keeps orders that the broker certainly does not have as rejected, durably.

        Returns them as they stand; one that is known after all stands as it is.
        """

    def order(self, order_id: OrderId) -> Order | None:
        """The order of that number, if it is known here that the broker has it."""

    def orders(self, day: date, books: Container[Book]) -> Sequence[Order]:
        """What ``books`` ordered on a day in IST or have open since before, oldest first."""

    def trades(self, day: date) -> Sequence[Trade]:
        """Trades of a day in IST, oldest first."""

    def all_trades(self, books: Container[Book]) -> Sequence[Trade]:
        """Every trade of ``books`` that is known, oldest first."""

    def performances(self, books: Container[Book]) -> Mapping[Book, Performance]:
        """How each of ``books`` that ever traded has done; not to be changed."""

    def positions(self, day: date, books: Container[Book]) -> Sequence[DayPosition]:
        """What is held in ``books`` or was traded there on ``day``, which is today."""

    def position(self, key: PositionKey, day: date) -> DayPosition:
        """One position as it stands on ``day``, which is today; flat if there never was one."""

    def funds(self, day: date) -> Funds:
        """The account's money, with the realised P&L of ``day``, which is today."""

    def listen(self, listener: OrdersListener) -> Callable[[], None]:
        """Calls ``listener`` at each change until the returned function is called."""

    async def close(self) -> None:
        """Stops listening to the market and waits for what is under way."""


@runtime_checkable
class KeepsIntents(Protocol):
    """A broker whose own journal is the order journal, so that keeping an order is sending it.

    The gateway then needs no intent before it sends: it hands over order and intent, and both
    are on disk at once with all that came of the order, or none of it is.
    """

    async def place_with_intent(self, intent: Intent, *, allowed: Callable[[], None]) -> Order:
        """As ``Broker.place``, for an order that is not intended yet.

        ``allowed`` is called when nothing stands between the order and its decision any more;
        what it raises is raised here, and nothing was placed then. Any other error but
        ``OutcomeUnknown`` means that nothing is on disk, the intent included.
        """

    async def bury_with_intent(self, intent: Intent, *, reason: str) -> Order:
        """As ``Broker.bury``, for an order that is not intended: its outcome was unknown."""


@runtime_checkable
class HasPrices(Protocol):
    """A broker with prices and instruments of its own, which are not those of this host's market.

    What its account holds is valued at them, and which instruments there are is for it to say.
    """

    def quote(self, key: InstrumentKey) -> Quote:
        """The newest quote that is known here of what the account holds.

        Raises ``NotFound`` for everything else.
        """

    async def ask(self, name: str, fields: Mapping[str, object]) -> Mapping[str, object]:
        """What the broker answers to an OpenAlgo endpoint that only reads, such as ``quotes``.

        Raises ``Invalid`` where it says no, ``Unavailable`` where it does not answer.
        """


OpenBroker = Callable[[AccountId], Awaitable[Broker]]
"""Opens the broker of an account, its past read back and complete."""
