"""What must be done when something happens to a live account: its owner told, its broker let go."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from algohost.domain.accounts import ARRIVED_LATE, mode_of
from algohost.domain.errors import AlgohostError, NotFound
from algohost.domain.ids import AccountId, UserId
from algohost.domain.orders import Order
from algohost.domain.strategies import Mode
from algohost.host.accounts import Accounts

log = logging.getLogger(__name__)

_URGENT: Final = 9
Send = Callable[[UserId, str, str, int], Awaitable[int]]
"""Has a message delivered to a user: title, body and priority. Raises ``AlgohostError``."""


class LiveOrders(Protocol):
    """The part of the gateway that is watched."""

    def listen(self, listener: Callable[[Order], None]) -> Callable[[], None]:
        """Calls ``listener`` with each order that changed, until undone."""

    async def shut(self, account_id: AccountId) -> None:
        """Looks at an account that was removed no more."""


class LiveWatch:
    """Tells owners of orders that arrived late, and shuts accounts that were removed."""

    def __init__(self, *, accounts: Accounts, gateway: LiveOrders, send: Send) -> None:
        self._accounts = accounts
        self._gateway = gateway
        self._send = send
        self._happened: asyncio.Queue[Order | AccountId] = asyncio.Queue()
        self._told: set[str] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be done."""
        return self._happened.empty()

    async def run(self) -> None:
        """Watches until its task is cancelled."""
        undo = [self._gateway.listen(self._on_order), self._accounts.listen(self._on_account)]
        try:
            while True:
                await self._took(await self._happened.get())
        finally:
            for stop_listening in undo:
                stop_listening()

    async def _took(self, happened: Order | AccountId) -> None:
        try:
            if isinstance(happened, Order):
                await self._tell(happened)
            else:
                await self._gateway.shut(happened)
        except AlgohostError as error:
            log.warning("live_account_not_told reason=%s", error)
        except Exception:
            # The boundary of the loop: what fails for one account must not end it for others.
            log.exception("live_watch_failed")

    def _on_order(self, order: Order) -> None:
        is_late = order.reason == ARRIVED_LATE and order.id not in self._told
        if is_late and mode_of(order.book.account_id) is Mode.LIVE:
            self._told.add(order.id)
            self._happened.put_nowait(order)

    def _on_account(self, account_id: AccountId) -> None:
        try:
            self._accounts.find(account_id)
        except NotFound:
            self._happened.put_nowait(account_id)

    async def _tell(self, order: Order) -> None:
        account, request = self._accounts.find(order.book.account_id), order.request
        what = f"{request.action.value} {request.quantity} {request.key}"
        body = f"Order {order.id} ({what}) in “{account.name}”: {ARRIVED_LATE}"
        log.error("late_order account=%s order=%s", account.id, order.id)
        await self._send(account.owner_id, "An order arrived late", body, _URGENT)
