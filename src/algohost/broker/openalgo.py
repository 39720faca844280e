"""One live account behind an OpenAlgo server: implements ``Broker``.

    intent on disk ──▶ sent, with a mark ──▶ answer ──▶ event on disk ──▶ known here
                              └──▶ cut ──▶ unknown ──▶ found in the order book, or long not there

What the server's books say is written down before it is true here. Its feed is only a hint to
look sooner. Books of strategies come from our own journal; what the account has beyond them is
shown as unattributed, so that all of them always sum to the account.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from algohost.broker import openalgo_books as books_of
from algohost.broker import openalgo_match as matching
from algohost.broker.openalgo_events import LiveEvent, Moved, Taken, TurnedDown
from algohost.broker.openalgo_http import Answer, NotSent, OpenAlgoHttp, Refused, order_fields
from algohost.broker.openalgo_keeping import Keeper
from algohost.broker.openalgo_late import Sightings, surfaced
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.openalgo_looks import Looks
from algohost.broker.openalgo_reads import LiveReads
from algohost.broker.openalgo_rows import OrderRow, Rows, TradeRow, upstream_id_of
from algohost.broker.ports import Absent, Finding, Known, OrdersListener, OutcomeUnknown, Unsaid
from algohost.domain.errors import Unavailable
from algohost.domain.ids import OrderId
from algohost.domain.orders import (
    Order,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    Validity,
)
from algohost.domain.ports import Clock, OrderJournal
from algohost.exchange.day import day_of
from algohost.exchange.numbers import numbered, serial_of

log = logging.getLogger(__name__)

UNKNOWN_YET: Final = "Whether it was taken is not known yet."
DAY_GONE: Final = (
    "Whether it was taken cannot be known any more: its day is over, and the broker's order book"
    " with it. What it may have traded is in the unattributed book."
)
_NO_VALIDITY: Final = "OpenAlgo servers take orders for the day only; leave the validity at DAY."


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a server's books are read, in seconds."""

    busy_seconds: float = 1.0
    """While an order is open or in doubt."""
    idle_seconds: float = 10.0
    whole_seconds: float = 5.0
    """Between looks at positions, holdings and funds as well."""
    quiet_seconds: float = 60.0
    """How long an order must be absent from the order book before it never arrived."""


class Hints(Protocol):
    """Says that something may have happened: the server's feed."""

    async def run(self, hint: Callable[[], None]) -> None:
        """Calls ``hint`` at each order update until its task is cancelled; never raises."""


class OpenAlgoBroker(LiveReads):
    """Implements ``Broker``. Use ``OpenAlgoBrokers.open`` to get one."""

    def __init__(
        self,
        ledger: LiveLedger,
        *,
        http: OpenAlgoHttp,
        journal: OrderJournal,
        clock: Clock,
        pace: Pace,
        hints: Hints | None = None,
    ) -> None:
        super().__init__(ledger)
        self._kept = Keeper(ledger, journal)
        self._http = http
        self._clock = clock
        self._pace = pace
        self._reserved = ledger.last_order_serial
        self._opened_at = clock.now()
        self._sightings = Sightings()
        self._doubtful: dict[OrderId, Order] = {}
        """Orders of unknown outcome, from the first time that they were looked for."""
        self._unsent: set[OrderId] = set()
        """Numbers that were given out here, and of which nothing was sent."""
        self._flying: dict[OrderId, Order] = {}
        self._sent: dict[OrderId, Order] = {}
        """Orders that were sent in this process and are not on disk with an answer yet."""
        self._sent_until: dict[OrderId, datetime] = {}
        self._verdicts: dict[OrderId, Taken | TurnedDown] = {}
        """Answers that are not on disk yet."""
        self._changed_at: dict[OrderId, float] = {}
        self._looks = Looks(
            account_id=ledger.account_id,
            clock=clock,
            busy=self._is_busy,
            look=self.look,
            look_at_all=self.look_at_all,
            pace=(pace.busy_seconds, pace.idle_seconds, pace.whole_seconds),
        )
        self._hints = hints
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self) -> None:
        """Looks at the server's books from now on, until ``close``."""
        self._tasks.append(asyncio.create_task(self._looks.run()))
        if self._hints is not None:
            self._tasks.append(asyncio.create_task(self._hints.run(self._looks.soon)))

    def next_order_id(self) -> OrderId:
        """As ``Broker.next_order_id``."""
        self._reserved = max(self._reserved, self._ledger.last_order_serial) + 1
        at, number = self._clock.now(), self._ledger.account_number
        made = OrderId(numbered(at=at, account_number=number, serial=self._reserved))
        self._unsent.add(made)
        return made

    # -- commands

    async def place(self, order: Order) -> Order:
        """As ``Broker.place``: sent once at most, whatever becomes of it."""
        known = self._ledger.order(order.id)
        if known is not None:
            return known
        if order.id in self._sent:
            raise OutcomeUnknown(UNKNOWN_YET)
        if order.request.validity is not Validity.DAY:
            return (await self.bury([order], reason=_NO_VALIDITY))[0]
        self._unsent.discard(order.id)
        self._flying[order.id] = self._sent[order.id] = order
        self._sent_until[order.id] = self._clock.now()
        try:
            answer = await self._http.command(
                "placeorder", order_fields(order.request, tag=matching.tag_of(order.id))
            )
        except (Refused, NotSent) as refusal:
            self._verdicts[order.id] = self._turned_down(order, refusal.message)
        else:
            self._verdicts[order.id] = self._taken(order, answer)
        finally:
            self._sent_until[order.id] = self._clock.now()
            del self._flying[order.id]
            self._looks.soon()
        await self._write_verdicts([order.id])
        return self._kept.known(order.id)

    async def modify(self, order_id: OrderId, changes: OrderChanges) -> Order:
        """As ``Broker.modify``. After ``OutcomeUnknown`` the order book tells what it became."""
        request = changes.applied_to(self._kept.changeable(order_id).request)
        await self._change(
            order_id, "modifyorder", order_fields(request, tag=matching.tag_of(order_id))
        )
        async with self._kept.turn():
            now = self._kept.known(order_id)
            if not now.status.is_final:
                changed = changes.applied_to(now.request)
                await self._kept.commit([_moved(now, self._clock.now(), request=changed)])
        return self._kept.known(order_id)

    async def cancel(self, order_id: OrderId, *, reason: str) -> Order:
        """As ``Broker.cancel``; the order is cancelled here once the order book says so."""
        self._kept.changeable(order_id)
        await self._change(order_id, "cancelorder", {"strategy": matching.tag_of(order_id)})
        self._changed_at.pop(order_id, None)
        with suppress(Unavailable):  # it is looked for again soon
            await self.look()
        now = self._kept.known(order_id)
        is_done = now.status is OrderStatus.CANCELLED and not now.reason
        return replace(now, reason=reason) if is_done else now

    async def find(self, orders: Sequence[Order]) -> Mapping[OrderId, Finding]:
        """As ``Broker.find``: by the answers that came, then in the server's order book."""
        for order in orders:
            self._reserved = max(self._reserved, serial_of(order.id))
        await self._write_verdicts([order.id for order in orders])
        found: dict[OrderId, Finding] = {}
        doubtful: list[Order] = []
        for order in orders:
            known = self._ledger.order(order.id)
            if known is not None:
                found[order.id] = Known(order=known)
            elif order.id in self._unsent:
                found[order.id] = Absent()
            else:
                doubtful.append(order)
        return {**found, **(await self._look_for(doubtful) if doubtful else {})}

    async def bury(self, orders: Sequence[Order], *, reason: str) -> Sequence[Order]:
        """As ``Broker.bury``."""
        async with self._kept.turn():
            lost = [order for order in orders if self._ledger.order(order.id) is None]
            await self._kept.commit(
                [
                    replace(self._turned_down(one, reason), is_lost=one.id not in self._unsent)
                    for one in lost
                ]
            )
        for order in orders:
            self._forget(order.id)
        return [self._kept.known(order.id) for order in orders]

    async def look(self) -> None:
        """Reads orders and trades once. Raises ``Unavailable`` where the server does not answer."""
        began = self._clock.monotonic()
        orders, trades = await self._looks.orders_and_trades(self._http)
        read_at = self._clock.now()
        async with self._kept.turn():
            await self._take_in(orders, trades, began, read_at)
            self._show_again()

    async def look_at_all(self) -> None:
        """Reads every book once, as of one moment. Raises as ``look``."""
        began = self._clock.monotonic()
        snapshot = await self._looks.snapshot(self._http)
        async with self._kept.turn():
            await self._take_in(snapshot.orders, snapshot.trades, began, snapshot.at)
            self._show(snapshot)

    # -- life

    async def ask(self, name: str, fields: Mapping[str, object]) -> Answer:
        """As ``HasPrices.ask``."""
        return await self._http.ask(name, fields)

    def listen(self, listener: OrdersListener) -> Callable[[], None]:
        """As ``Broker.listen``."""
        return self._kept.listen(listener)

    async def close(self) -> None:
        """As ``Broker.close``."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    # -- inside

    def _is_busy(self) -> bool:
        return bool(self._flying or self._verdicts or self._ledger.open_orders())

    async def _change(self, order_id: OrderId, name: str, fields: dict[str, str]) -> None:
        upstream_id = self._ledger.upstream_ids[order_id]
        try:
            answer = await self._http.command(name, {**fields, "orderid": upstream_id})
            if upstream_id_of(answer) not in {None, upstream_id}:
                raise OutcomeUnknown(
                    "The broker's server answered for another order, so whether it changed this"
                    " one is not known yet; the order book will tell."
                )
        finally:
            self._changed_at[order_id] = self._clock.monotonic()
            self._looks.soon()

    async def _look_for(self, doubtful: list[Order]) -> dict[OrderId, Finding]:
        """Finds orders of unknown outcome in the server's order book."""
        self._doubtful.update((order.id, order) for order in doubtful)
        try:
            book, _ = await self._looks.orders_and_trades(self._http)
        except Unavailable as error:
            unsaid = Unsaid(reason=f"{UNKNOWN_YET} {error.message}")
            return dict.fromkeys([order.id for order in doubtful], unsaid)
        found: dict[OrderId, Finding] = {}
        asked = {order.id for order in doubtful}
        seen = self._sightings.saw(self._ledger, book, at=self._clock.now())
        async with self._kept.turn():
            at = self._clock.now()
            told = matching.verdicts(
                [order for order in doubtful if self._ledger.order(order.id) is None],
                book,
                claimed=self._claimed(book),
                on_the_way=[one for one in self._sent.values() if one.id not in asked],
                sent_until=self._sent_until,
                now=at,
                quiet=timedelta(seconds=self._pace.quiet_seconds),
                seen=seen,
                opened_at=self._opened_at,
            )
            happened: list[LiveEvent] = []
            for verdict in told:
                match verdict:
                    case matching.Found(order=order, row=row):
                        taken = self._as_taken(order)
                        happened.append(Taken(at=at, order=taken, upstream_id=row.upstream_id))
                    case matching.NeverArrived(order=order):
                        found[order.id] = Absent()
                    case matching.DayGone(order=order):
                        happened.append(self._turned_down(order, DAY_GONE))
                    case matching.StillUnknown(order=order, why=why):
                        found[order.id] = Unsaid(reason=f"{UNKNOWN_YET} {why}")
            await self._kept.commit(happened)
            self._show_again()
        self._looks.soon()
        for order in doubtful:
            known = self._ledger.order(order.id)
            if known is not None:
                found[order.id] = Known(order=known)
                self._forget(order.id)
        return found

    def _waiting(self) -> set[str]:
        """The broker's numbers of orders that are not on disk yet."""
        return {v.upstream_id for v in self._verdicts.values() if isinstance(v, Taken)}

    def _claimed(self, book: Rows[OrderRow]) -> set[str]:
        today = day_of(self._clock.now())
        ids = [row.upstream_id for row in book.rows]
        return self._waiting() | {one for one in ids if self._ledger.holds(one, today)}

    def _is_taken(self, upstream_id: str) -> bool:
        today = day_of(self._clock.now())
        return upstream_id in self._waiting() or self._ledger.holds(upstream_id, today)

    def _taken(self, order: Order, answer: Answer) -> Taken:
        upstream_id = upstream_id_of(answer)
        if upstream_id is None or self._is_taken(upstream_id):
            raise OutcomeUnknown(
                "The broker's server answered without the order's own number, so whether it took"
                " this one is not known yet."
            )
        return Taken(at=self._clock.now(), order=self._as_taken(order), upstream_id=upstream_id)

    def _as_taken(self, order: Order) -> Order:
        waits = order.request.price_type.needs_trigger
        status = OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN
        return replace(order, status=status, updated_at=self._clock.now(), reason="")

    def _turned_down(self, order: Order, reason: str) -> TurnedDown:
        at = self._clock.now()
        refused = replace(order, status=OrderStatus.REJECTED, updated_at=at, reason=reason)
        return TurnedDown(at=at, order=refused)

    async def _take_in(
        self, orders: Rows[OrderRow], trades: Rows[TradeRow], began: float, read_at: datetime
    ) -> None:
        """Keeps what books tell that were read until ``read_at``. Its caller has the turn."""
        late = surfaced(
            self._ledger,
            orders,
            self._sightings.saw(self._ledger, orders, at=read_at),
            others=[*self._sent.values(), *self._doubtful.values()],
            waiting=self._waiting(),
            at=self._clock.now(),
        )
        for one in late:
            log.error(
                "lost_order_arrived account=%s order=%s upstream=%s",
                self._ledger.account_id, one.order_id, one.upstream_id,
            )  # fmt: skip
        await self._kept.commit(late)
        await self._kept.commit(self._news(orders, trades, began))

    def _news(
        self, orders: Rows[OrderRow], trades: Rows[TradeRow], began: float
    ) -> list[LiveEvent]:
        skipped = {one for one, at in self._changed_at.items() if at >= began}
        self._changed_at = {one: self._changed_at[one] for one in skipped}
        now = self._clock.now()
        return books_of.news_of_orders(self._ledger, orders, trades, at=now, skipped=skipped)

    async def _write_verdicts(self, order_ids: Sequence[OrderId]) -> None:
        """Keeps the answers that came for these orders. Raises ``OutcomeUnknown``."""
        waiting = [one for one in order_ids if one in self._verdicts]
        if not waiting:
            return
        async with self._kept.turn():
            for order_id in waiting:
                verdict = self._verdicts.get(order_id)
                if verdict is not None and self._ledger.order(order_id) is None:
                    await self._kept.commit([verdict])
                self._forget(order_id)

    def _forget(self, order_id: OrderId) -> None:
        """What only matters until an order is on disk."""
        self._verdicts.pop(order_id, None)
        self._sent.pop(order_id, None)
        self._sent_until.pop(order_id, None)
        self._unsent.discard(order_id)
        self._doubtful.pop(order_id, None)


def _moved(order: Order, at: datetime, *, request: OrderRequest) -> Moved:
    return Moved(
        at=at, order_id=order.id, status=order.status, request=request, reason=order.reason
    )
