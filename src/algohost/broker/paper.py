"""The paper broker: one account on the paper exchange, durable before it is visible.

A command is decided on the state, its events go to the journal, and only then into the state
and to listeners. Commands and market ticks take turns, one at a time.

When an append fails, nobody knows whether it was kept: the journal is read back. If the events
are there, the command was done; if not, it was not. If even reading fails, the outcome is
unknown, and nothing else is decided until the journal has answered.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Container, Coroutine, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from algohost.broker.crash_points import CrashPoint, Reached, pass_by
from algohost.broker.ports import OrdersListener, OutcomeUnknown
from algohost.domain.errors import NotFound, Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Funds, Order, OrderChanges, Trade
from algohost.domain.ports import JournalRecord, Market, OrderJournal
from algohost.domain.quotes import Quote
from algohost.exchange import day as days
from algohost.exchange import rules
from algohost.exchange.account import AccountState, PositionKey
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import Event, order_id_of
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.matching import on_quotes
from algohost.exchange.numbers import numbered

log = logging.getLogger(__name__)

MOST_WAITING_TICKS: Final = 1_000
"""Ticks kept for a journal that is slow; beyond it the oldest is missed, and counted."""

T = TypeVar("T")


class PaperBroker:
    """Implements ``Broker`` for one account. Use ``PaperBrokers.open`` to get one.

    ``missed_ticks`` counts market ticks whose fills could not be journaled and did not happen:
    those orders are open still and meet the next tick.
    """

    def __init__(
        self,
        state: AccountState,
        *,
        journal: OrderJournal,
        market: Market,
        fills: FillModel = AT_TOUCH,
        reached: Reached = pass_by,
    ) -> None:
        self.missed_ticks = 0
        self._state = state
        self._journal = journal
        self._market = market
        self._fills = fills
        self._reached = reached
        self._turn = asyncio.Lock()
        self._in_doubt = False
        self._reserved = state.last_order_serial
        self._listeners: list[OrdersListener] = []
        self._ticks: deque[tuple[datetime, list[Quote]]] = deque()
        self._matcher: asyncio.Task[None] | None = None
        self._unlisten = market.listen(self._on_quotes)

    @property
    def account_id(self) -> AccountId:
        """As ``Broker.account_id``."""
        return self._state.account_id

    @property
    def account_number(self) -> int:
        """The digits that set this account's orders apart from those of other accounts."""
        return self._state.account_number

    def next_order_id(self) -> OrderId:
        """As ``Broker.next_order_id``."""
        self._reserved = max(self._reserved, self._state.last_order_serial) + 1
        at, number = self._market.now(), self._state.account_number
        return OrderId(numbered(at=at, account_number=number, serial=self._reserved))

    # -- commands

    async def place(self, order: Order) -> Order:
        """As ``Broker.place``."""

        async def turn() -> Order:
            known = self._state.order(order.id)
            if known is None:
                scene = self._scene(order.request.key)
                await self._commit(rules.place(self._state, order, scene))
            return self._known(order.id)

        return await self._in_turn(turn())

    async def modify(self, order_id: OrderId, changes: OrderChanges) -> Order:
        """As ``Broker.modify``."""

        async def turn() -> Order:
            order = rules.changeable(self._state, order_id)
            scene = self._scene(order.request.key)
            await self._commit(rules.modify(self._state, order_id, changes, scene))
            return self._known(order_id)

        return await self._in_turn(turn())

    async def cancel(self, order_id: OrderId, *, reason: str) -> Order:
        """As ``Broker.cancel``."""

        async def turn() -> Order:
            at = self._market.now()
            await self._commit(rules.cancel(self._state, order_id, at=at, reason=reason))
            return self._known(order_id)

        return await self._in_turn(turn())

    async def settle(self, orders: Sequence[Order], *, reason: str) -> Sequence[Order]:
        """As ``Broker.settle``: an order that the journal does not know never arrived."""

        async def turn() -> Sequence[Order]:
            at = self._market.now()
            lost = [order for order in orders if self._state.order(order.id) is None]
            if lost:
                await self._commit([rules.rejection(o, at=at, reason=reason) for o in lost])
            return [self._known(order.id) for order in orders]

        return await self._in_turn(turn())

    async def set_cash(self, cash: Decimal) -> Funds:
        """Sets the account's cash in rupees. Raises ``Invalid`` for less than is held."""

        async def turn() -> None:
            await self._commit(rules.set_cash(self._state, cash, at=self._market.now()))

        await self._in_turn(turn())
        return self.funds(days.day_of(self._market.now()))

    # -- reads

    def order(self, order_id: OrderId) -> Order | None:
        """As ``Broker.order``."""
        return self._state.order(order_id)

    def orders(self, day: date, books: Container[Book]) -> Sequence[Order]:
        """As ``Broker.orders``."""
        return days.orders_of_day(self._state, day, books)

    def trades(self, day: date) -> Sequence[Trade]:
        """As ``Broker.trades``."""
        return days.trades_of_day(self._state, day)

    def positions(self, day: date, books: Container[Book]) -> Sequence[days.DayPosition]:
        """As ``Broker.positions``."""
        return list(days.positions_of_day(self._state, day, books))

    def position(self, key: PositionKey, day: date) -> days.DayPosition:
        """As ``Broker.position``."""
        return days.day_position(self._state.group(key), day)

    def funds(self, day: date) -> Funds:
        """As ``Broker.funds``."""
        realised = days.realised_of_day(self._state, day)
        return self._state.funds(self._mark, realised=realised)

    def listen(self, listener: OrdersListener) -> Callable[[], None]:
        """As ``Broker.listen``."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def close(self) -> None:
        """As ``Broker.close``."""
        self._unlisten()
        if self._matcher is not None:
            await self._matcher

    # -- the market's ticks

    def _on_quotes(self, quotes: Sequence[Quote]) -> None:
        """Queues a tick that may concern an order: one that rests, or one on its way to.

        A tick that comes while a command is being journaled waits for it, so that no price is
        missed by an order accepted just before.
        """
        is_busy = self._turn.locked() or self._ticks
        concerned = [
            quote
            for quote in quotes
            if (is_busy or self._state.resting(quote.key))
            and self._market.is_open(quote.key.exchange)
        ]
        if not concerned:
            return
        if len(self._ticks) >= MOST_WAITING_TICKS:
            self._ticks.popleft()
            self.missed_ticks += 1
        self._ticks.append((self._market.now(), concerned))
        if self._matcher is None or self._matcher.done():
            self._matcher = asyncio.get_running_loop().create_task(self._match_ticks())

    async def _match_ticks(self) -> None:
        async with self._turn:
            await self._drain()

    async def _drain(self) -> None:
        """Matches all ticks that wait; afterwards the state has seen what the market shows."""
        while self._ticks:
            at, quotes = self._ticks.popleft()
            try:
                await self._match(quotes, at=at)
            except Exception:  # the loop that fills orders outlives one bad tick
                self.missed_ticks += 1
                log.exception("tick_missed account=%s quotes=%d", self.account_id, len(quotes))

    async def _match(self, quotes: Sequence[Quote], *, at: datetime) -> None:
        await self._catch_up()
        happened = on_quotes(self._state, quotes, at=at, marks=self._mark, fills=self._fills)
        if happened:
            await self._commit(happened)

    # -- one turn at a time

    async def _in_turn(self, turn: Coroutine[Any, Any, T]) -> T:
        """Runs a command alone and to its end, even when the one who asked has gone.

        Ticks that wait come first: no order meets a price from before it was placed.
        """

        async def run() -> T:
            try:
                async with self._turn:
                    await self._drain()
                    await self._catch_up()
                    return await turn
            finally:
                turn.close()

        return await asyncio.shield(asyncio.ensure_future(run()))

    async def _commit(self, happened: Sequence[Event]) -> None:
        """Makes events durable, then true, then known."""
        first = self._state.events + 1
        records = [to_record(event, number=n) for n, event in enumerate(happened, first)]
        try:
            await self._journal.append(self.account_id, records)
        except Exception as error:  # noqa: BLE001 - whatever a journal raises, the disk is asked
            log.warning("append_failed account=%s error=%r", self.account_id, error)
            await self._resolve(records, error)
            return
        self._reached(CrashPoint.AFTER_APPEND)
        self._take_in(happened)

    async def _resolve(self, records: Sequence[JournalRecord], error: Exception) -> None:
        """After a failed append: returns if it was kept, raises if it was not."""
        self._in_doubt = True
        try:
            kept = await self._catch_up()
        except Unavailable:
            raise OutcomeUnknown(
                "The order journal stopped answering, so it is not known whether this was kept. "
                "It settles when the journal answers; look at the order book before sending it "
                "again.",
            ) from error
        if not kept:
            raise Unavailable(
                "The order journal could not be written, so nothing was done. Look at the disk "
                "and at the server's log, then try again.",
                code="JOURNAL_NOT_WRITTEN",
            ) from error
        if [(r.kind, r.body) for r in kept] != [(r.kind, r.body) for r in records]:
            raise Unavailable(
                f"Another server wrote the journal of account {self.account_id}, so nothing was "
                "done here. Run one server on one data directory.",
                code="JOURNAL_SHARED",
            ) from error

    async def _catch_up(self) -> Sequence[JournalRecord]:
        """Takes in what the journal has beyond the state, where that is not certain."""
        if not self._in_doubt:
            return []
        try:
            tail = await self._journal.replay(self.account_id, after=self._state.events)
        except Exception as error:  # the port may raise anything; none of it settles the doubt
            raise Unavailable(
                "The order journal does not answer, so nothing was done. Look at the disk and at "
                "the server's log, then try again.",
                code="JOURNAL_UNAVAILABLE",
            ) from error
        self._take_in([from_record(record) for record in tail])
        self._in_doubt = False
        return tail

    def _take_in(self, happened: Sequence[Event]) -> None:
        changed: list[Order] = []
        for event in happened:
            self._state.apply(event)
            order_id = order_id_of(event)
            if order_id is not None:
                changed.append(self._known(order_id))
        for listener in list(self._listeners) if changed else ():
            try:
                listener(changed)
            except Exception:
                log.exception("order_listener_failed account=%s", self.account_id)

    # -- what the market shows

    def _scene(self, key: InstrumentKey) -> rules.Scene:
        instrument = self._market.find(key)
        if instrument is None:
            raise NotFound(f"{key} is not listed. Check the symbol and the exchange.")
        return rules.Scene(
            at=self._market.now(),
            instrument=instrument,
            quote=self._quote(key),
            is_open=self._market.is_open(key.exchange),
            marks=self._mark,
            fills=self._fills,
        )

    def _quote(self, key: InstrumentKey) -> Quote | None:
        try:
            return self._market.quote(key)
        except NotFound:
            return None

    def _mark(self, key: InstrumentKey) -> Decimal | None:
        quote = self._quote(key)
        return quote.last if quote is not None and quote.last > 0 else None

    def _known(self, order_id: OrderId) -> Order:
        order = self._state.order(order_id)
        if order is None:
            raise NotFound(f"There is no order {order_id}. Look at the order book.")
        return order
