"""Durable before it is visible: the events of a live account, one writer at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from algohost.broker.openalgo_events import (
    Linked,
    LiveEvent,
    Moved,
    Surfaced,
    Taken,
    Traded,
    TurnedDown,
    from_record,
    to_record,
)
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.ports import OrdersListener, OutcomeUnknown
from algohost.domain.errors import Conflict, NotFound
from algohost.domain.ids import OrderId
from algohost.domain.orders import Order
from algohost.domain.ports import OrderJournal

log = logging.getLogger(__name__)


class Keeper:
    """The ledger of one account over its journal.

    When an append fails nobody knows whether it was kept: the journal is read back before
    anything else is written.
    """

    def __init__(self, ledger: LiveLedger, journal: OrderJournal) -> None:
        self.ledger = ledger
        self._journal = journal
        self._turn = asyncio.Lock()
        self._in_doubt = False
        self._listeners: list[OrdersListener] = []

    def listen(self, listener: OrdersListener) -> Callable[[], None]:
        """As ``Broker.listen``."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def known(self, order_id: OrderId) -> Order:
        """The order of that number. Raises ``NotFound``."""
        order = self.ledger.order(order_id)
        if order is None:
            raise NotFound(f"There is no order {order_id}. Look at the order book.")
        return order

    def changeable(self, order_id: OrderId) -> Order:
        """The order of that number while it may trade. Raises ``NotFound``, ``Conflict``."""
        order = self.known(order_id)
        if order.status.is_final:
            raise Conflict(
                f"Order {order_id} is {order.status.value} and cannot be changed any more.",
                details={"order_id": order_id},
            )
        return order

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Alone with a ledger that is what the journal has. Raises ``OutcomeUnknown``."""
        async with self._turn:
            if self._in_doubt:
                await self._catch_up()
            yield

    async def commit(self, happened: Sequence[LiveEvent]) -> None:
        """Makes events durable, then true, then known. Its caller has the turn.

        Raises ``OutcomeUnknown`` where the journal fails.
        """
        if not happened:
            return
        first = self.ledger.events + 1
        records = [to_record(event, number=n) for n, event in enumerate(happened, first)]
        try:
            await self._journal.append(self.ledger.account_id, records)
        except Exception as error:
            self._in_doubt = True
            log.warning("append_failed account=%s error=%r", self.ledger.account_id, error)
            raise OutcomeUnknown(
                "The order journal could not be written, so what the broker answered is not kept"
                " yet. It settles when the journal answers; do not send it again."
            ) from error
        self._take_in(happened)

    async def _catch_up(self) -> None:
        ledger = self.ledger
        try:
            tail = await self._journal.replay(ledger.account_id, after=ledger.events)
        except Exception as error:
            raise OutcomeUnknown(
                "The order journal does not answer. Look at the disk and at the server's log."
            ) from error
        self._take_in([from_record(record) for record in tail])
        self._in_doubt = False

    def _take_in(self, happened: Sequence[LiveEvent]) -> None:
        changed: list[Order] = []
        for event in happened:
            self.ledger.apply(event)
            order_id = _order_id_of(event)
            if order_id is not None:
                changed.append(self.known(order_id))
        for listener in list(self._listeners) if changed else ():
            try:
                listener(changed)
            except Exception:
                log.exception("order_listener_failed account=%s", self.ledger.account_id)


def _order_id_of(event: LiveEvent) -> OrderId | None:
    match event:
        case Linked():
            return None
        case Taken() | TurnedDown():
            return event.order.id
        case Moved() | Traded() | Surfaced():
            return event.order_id
