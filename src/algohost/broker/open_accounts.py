"""The accounts that are open, each with what is on its way to the broker."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from algohost.broker.ports import Broker, HasPrices, KeepsIntents, OpenBroker
from algohost.broker.settling import HOST_STOPPED, Doubt, Pause, Settling
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Order
from algohost.domain.ports import Intent, OrderJournal

log = logging.getLogger(__name__)

OrderListener = Callable[[Order], None]


@dataclass(kw_only=True)
class OpenAccount:
    """One account, its past read back."""

    broker: Broker
    settling: Settling
    sending: dict[OrderId, Order] = field(default_factory=dict)
    """Orders on disk that the broker has not answered for."""
    under_way: set[asyncio.Task[Any]] = field(default_factory=set)
    """Orders that are being placed, whether on disk already or not."""

    @property
    def keeps_intents(self) -> KeepsIntents | None:
        """The broker, where keeping an order there is sending it."""
        return self.settling.keeps_intents

    @cached_property
    def has_prices(self) -> bool:
        """Whether the broker knows better than this host's market what is listed."""
        return isinstance(self.broker, HasPrices)

    def on_the_way(self) -> Sequence[Order]:
        """Orders that the broker is not known to have: intended, or unknown."""
        return [*self.sending.values(), *self.settling.unknown()]

    async def quiet(self) -> None:
        """Returns when all orders that were being placed at the call have their answer."""
        if self.under_way:
            await asyncio.wait(self.under_way)


class OpenAccounts:
    """Opens each account once, and tells listeners of every order that changed in any."""

    def __init__(
        self, *, journal: OrderJournal, open_broker: OpenBroker, pause: Pause = asyncio.sleep
    ) -> None:
        self._journal = journal
        self._open_broker = open_broker
        self._pause = pause
        self._accounts: dict[AccountId, OpenAccount] = {}
        self._opening: dict[AccountId, asyncio.Lock] = {}
        self._listeners: list[OrderListener] = []

    async def ready(self, account_id: AccountId) -> OpenAccount:
        """The account, opened. Raises ``Unavailable`` where its journal does not answer.

        Where the broker keeps the intents, nothing is in doubt any more.
        """
        account = self._accounts.get(account_id)
        if account is None:
            async with self._opening.setdefault(account_id, asyncio.Lock()):
                account = self._accounts.get(account_id) or await self._open(account_id)
        if account.settling.is_needed and account.keeps_intents is not None:
            await account.settling.settle()
        return account

    def opened(self, account_id: AccountId) -> OpenAccount:
        """The account as it is now. Raises ``Unavailable`` where it is not open yet."""
        account = self._accounts.get(account_id)
        if account is None:
            raise Unavailable(
                f"Account {account_id} has not been read from the journal yet. Try again soon.",
                code="ACCOUNT_NOT_OPEN",
            )
        return account

    def brokers(self) -> Sequence[Broker]:
        """Those of all accounts that are open."""
        return [account.broker for account in self._accounts.values()]

    def __contains__(self, account_id: AccountId) -> bool:
        """Whether the account is open."""
        return account_id in self._accounts

    async def close(self) -> None:
        """Lets what is under way end."""
        for account in self._accounts.values():
            await account.settling.close()
            await account.broker.close()

    async def shut(self, account_id: AccountId) -> None:
        """Lets what is under way in an account end, and looks at it no more."""
        account = self._accounts.pop(account_id, None)
        if account is not None:
            await account.settling.close()
            await account.broker.close()

    def listen(self, listener: OrderListener) -> Callable[[], None]:
        """Calls ``listener`` with each order that changed until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _open(self, account_id: AccountId) -> OpenAccount:
        broker = await self._open_broker(account_id)
        settling = Settling(broker, tell=self._tell, pause=self._pause)
        try:
            intents = await self._journal.intents(account_id)
            lost = [order for order in intents if broker.order(order.id) is None]
            if lost:
                log.warning("orders_in_doubt account=%s count=%d", account_id, len(lost))
                await settling.settle_first([_doubt(order) for order in lost])
        except BaseException:
            await broker.close()
            raise
        broker.listen(self._tell)
        self._accounts[account_id] = account = OpenAccount(broker=broker, settling=settling)
        return account

    def _tell(self, orders: Sequence[Order]) -> None:
        for order in orders:
            for listener in list(self._listeners):
                try:
                    listener(order)
                except Exception:
                    # An order is durable by now: who cannot hear of it must not undo it.
                    log.exception("order_listener_failed order=%s", order.id)


def _doubt(order: Order) -> Doubt:
    return Doubt(intent=Intent(order=order), is_intended=True, if_absent=HOST_STOPPED)
