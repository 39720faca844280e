"""Orders whose outcome is not known: asked for until the broker says what became of them.

Nothing is guessed and nothing is sent again. An order stays unknown for as long as the broker
cannot say; it is asked at once, and then with pauses that double up to half a minute.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from algohost.broker.ports import Absent, Broker, Finding, KeepsIntents, OrdersListener, Unsaid
from algohost.domain.errors import Unavailable
from algohost.domain.ids import OrderId
from algohost.domain.orders import Order, OrderStatus
from algohost.domain.ports import Intent

log = logging.getLogger(__name__)

HOST_STOPPED: Final = "The host stopped before the order was sent."
NOT_SENT: Final = "The order journal failed before the order was sent."
NEVER_ARRIVED: Final = "The broker did not get the order."
NOT_KNOWN: Final = "Whether it was taken is not known yet."

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0

Pause = Callable[[float], Awaitable[None]]
"""Waits that many seconds."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One order whose way was cut."""

    intent: Intent
    is_intended: bool
    """Whether the intent is on disk."""
    if_absent: str
    """Why it is rejected, should the broker not have it."""
    because: str = NOT_KNOWN
    """Why it is not known, in a sentence."""

    @property
    def shown(self) -> Order:
        """The order as it is shown meanwhile."""
        return replace(self.intent.order, status=OrderStatus.UNKNOWN, reason=self.because)


class Settling:
    """The orders of one account that are in doubt."""

    def __init__(self, broker: Broker, *, tell: OrdersListener, pause: Pause) -> None:
        self._broker = broker
        self.keeps_intents = broker if isinstance(broker, KeepsIntents) else None
        self._tell = tell
        self._pause = pause
        self._doubts: dict[OrderId, Doubt] = {}
        self._turn = asyncio.Lock()
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_needed(self) -> bool:
        """Whether anything is in doubt."""
        return bool(self._doubts)

    def unknown(self) -> Sequence[Order]:
        """The orders in doubt, as they are shown."""
        return [doubt.shown for doubt in self._doubts.values()]

    def doubt(self, doubt: Doubt) -> Order:
        """Takes an order in, to be settled soon, and returns it as it is shown meanwhile."""
        self._doubts[doubt.intent.order.id] = doubt
        self._tell([doubt.shown])
        self._ask_soon()
        return doubt.shown

    async def settle_first(self, doubts: Sequence[Doubt]) -> None:
        """Settles what a stop of the host left, as far as the broker can say now.

        Raises ``Unavailable`` where a broker that keeps intents does not answer.
        """
        self._doubts.update((doubt.intent.order.id, doubt) for doubt in doubts)
        try:
            await self.settle()
        except Unavailable:
            if self.keeps_intents is not None:
                raise
        if self._doubts:
            self._ask_soon()

    async def settle(self) -> None:
        """Asks once for everything in doubt. Raises ``Unavailable`` where nobody answers."""
        async with self._turn:
            doubts = list(self._doubts.values())
            if not doubts:
                return
            found = await self._broker.find([doubt.intent.order for doubt in doubts])
            absent = [d for d in doubts if isinstance(found.get(d.intent.order.id), Absent)]
            await self._bury(absent)
            for doubt in doubts:
                self._answered(doubt, found)

    async def close(self) -> None:
        """Asks no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _answered(self, doubt: Doubt, found: Mapping[OrderId, Finding]) -> None:
        order = doubt.intent.order
        match found.get(order.id, Unsaid(reason=NOT_KNOWN)):
            case Unsaid(reason=because) if because != doubt.because:
                self._doubts[order.id] = told = replace(doubt, because=because)
                self._tell([told.shown])
            case Unsaid():
                pass
            case finding:
                del self._doubts[order.id]
                log.info("order_settled order=%s as=%s", order.id, type(finding).__name__)

    async def _bury(self, absent: Sequence[Doubt]) -> None:
        for doubt in absent:
            if not doubt.is_intended and self.keeps_intents is not None:
                await self.keeps_intents.bury_with_intent(doubt.intent, reason=doubt.if_absent)
        intended = [doubt for doubt in absent if doubt.is_intended]
        for reason in dict.fromkeys(doubt.if_absent for doubt in intended):
            orders = [d.intent.order for d in intended if d.if_absent == reason]
            await self._broker.bury(orders, reason=reason)

    def _ask_soon(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        for seconds in _pauses():
            await self._pause(seconds)
            try:
                await self.settle()
            except Exception as error:  # noqa: BLE001 - whatever a broker raises settles nothing
                account = self._broker.account_id
                log.warning("orders_not_settled account=%s error=%r", account, error)
            if not self._doubts:
                return


def _pauses() -> Iterator[float]:
    seconds = FIRST_PAUSE_SECONDS
    while True:
        yield seconds
        seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS)
