"""What the gateway asks of a broker: the paper one, and live ones later."""

from collections.abc import Awaitable, Callable, Container, Sequence
from datetime import date
from typing import Final, Protocol

from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Book, Funds, Order, OrderChanges, Trade
from algohost.exchange.account import PositionKey
from algohost.exchange.day import DayPosition

OUTCOME_UNKNOWN: Final = "OUTCOME_UNKNOWN"

OrdersListener = Callable[[Sequence[Order]], None]
"""Called with orders as they changed, oldest change first, once the changes are durable."""


class OutcomeUnknown(Unavailable):
    """A command was sent, and whether it took effect is not known."""

    code = OUTCOME_UNKNOWN


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

    async def settle(self, orders: Sequence[Order], *, reason: str) -> Sequence[Order]:
        """Finds out what became of orders whose outcome is not known.

        One that never arrived is recorded as rejected with ``reason``. Returns them all as
        they stand.
        """

    def order(self, order_id: OrderId) -> Order | None:
        """The order of that number, if the broker knows it."""

    def orders(self, day: date, books: Container[Book]) -> Sequence[Order]:
        """What ``books`` ordered on a day in IST or have open since before, oldest first."""

    def trades(self, day: date) -> Sequence[Trade]:
        """Trades of a day in IST, oldest first."""

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


OpenBroker = Callable[[AccountId], Awaitable[Broker]]
"""Opens the broker of an account, its past read back and complete."""
