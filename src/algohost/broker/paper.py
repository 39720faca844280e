"""The paper broker: one account on the paper exchange, durable before it is visible.

A command is decided, its events go to the journal, and only then into the state and to
listeners. Commands and market ticks are decided in turn, one at a time. Orders, their changes and
cancellations do not wait for the disk then: the next is decided on what the ones before will have
done, and all that wait go to disk in one write. Everything else is alone from its decision until
it is durable.

The journal of the account is the order journal, so the intent of an order goes to disk in one
write with what the exchange decided of it: ``KeepsIntents``.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from algohost.broker.admission import Admission
from algohost.broker.crash_points import Reached, pass_by
from algohost.broker.durable import DurableState
from algohost.broker.paper_gtts import PaperGtts
from algohost.broker.ports import Absent, Finding, Known, OrdersListener
from algohost.broker.risk_port import NoLimits
from algohost.broker.turns import Turns
from algohost.domain.errors import NotFound
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Book, Funds, Order, OrderChanges, OrderRequest, Trade
from algohost.domain.ports import Intent, Market, OrderJournal
from algohost.domain.quotes import Quote
from algohost.exchange import day as days
from algohost.exchange import rules
from algohost.exchange.account import AccountState, PositionKey
from algohost.exchange.closing import reset
from algohost.exchange.events import Event
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.hours import TradingHours, next_day
from algohost.exchange.margins import MarginNeeded, needed
from algohost.exchange.matching import Venue, on_quotes
from algohost.exchange.numbers import numbered
from algohost.exchange.performance import Performance

log = logging.getLogger(__name__)

MOST_WAITING_TICKS: Final = 1_000
"""Ticks kept for a journal that is slow; beyond it the oldest is missed, and counted."""


class PaperBroker(PaperGtts):
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
        admission: Admission | None = None,
        hours: TradingHours | None = None,
        opening_cash: Decimal = Decimal(0),
        reached: Reached = pass_by,
    ) -> None:
        self.missed_ticks = 0
        self._state = state
        self._hours = hours
        self._opening_cash = opening_cash
        self._durable = DurableState(state, journal=journal, reached=reached)
        self._market = market
        self._fills = fills
        self._admission = admission or Admission(refuse=lambda _book: None, risk=NoLimits())
        self._venue = Venue(
            find=market.find, depth=market.depth_of, refusal=self._admission.refusal
        )
        self._turns = Turns(self._durable, before=self._drain)
        self._reserved = state.last_order_serial
        self._ticks: deque[tuple[datetime, list[Quote]]] = deque()
        self._matcher: asyncio.Task[None] | None = None
        self._in_hand: dict[InstrumentKey, None] = {}
        self._unlisten = market.listen(self._on_quotes, self._watched)

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
                await self._durable.commit(rules.place(self._state, order, scene))
            return self._known(order.id)

        return await self._turns.in_turn(turn())

    async def modify(self, order_id: OrderId, changes: OrderChanges) -> Order:
        """As ``Broker.modify``."""

        def decision(state: AccountState) -> AccountState:
            scene = self._scene(rules.changeable(state, order_id).request.key)
            return rules.modified(state, order_id, changes, scene)

        await asyncio.shield(asyncio.ensure_future(self._turns.do(decision)))
        return self._known(order_id)

    async def cancel(self, order_id: OrderId, *, reason: str) -> Order:
        """As ``Broker.cancel``."""

        def decision(state: AccountState) -> AccountState:
            return rules.cancelled(state, order_id, at=self._market.now(), reason=reason)

        await asyncio.shield(asyncio.ensure_future(self._turns.do(decision)))
        return self._known(order_id)

    async def place_with_intent(self, intent: Intent, *, allowed: Callable[[], None]) -> Order:
        """As ``KeepsIntents.place_with_intent``."""

        order = intent.order

        def decision(state: AccountState) -> AccountState:
            allowed()
            return rules.placed(state, order, self._scene(order.request.key))

        await self._turns.do(decision, intent, allowed)  # goes on when who asked has gone
        return self._known(order.id)

    async def find(self, orders: Sequence[Order]) -> Mapping[OrderId, Finding]:
        """As ``Broker.find``: the journal is the truth, and all of it has been read."""

        async def turn() -> Mapping[OrderId, Finding]:
            known = ((order.id, self._state.order(order.id)) for order in orders)
            return {name: Absent() if one is None else Known(order=one) for name, one in known}

        return await self._turns.in_turn(turn())

    async def bury_with_intent(self, intent: Intent, *, reason: str) -> Order:
        """As ``KeepsIntents.bury_with_intent``."""

        async def turn() -> Order:
            order, at = intent.order, self._market.now()
            if self._state.order(order.id) is None:
                await self._durable.commit([rules.rejection(order, at=at, reason=reason)], intent)
            return self._known(order.id)

        return await self._turns.in_turn(turn())

    async def bury(self, orders: Sequence[Order], *, reason: str) -> Sequence[Order]:
        """As ``Broker.bury``."""

        async def turn() -> Sequence[Order]:
            at = self._market.now()
            lost = [order for order in orders if self._state.order(order.id) is None]
            if lost:
                await self._durable.commit([rules.rejection(o, at=at, reason=reason) for o in lost])
            return [self._known(order.id) for order in orders]

        return await self._turns.in_turn(turn())

    async def set_cash(self, cash: Decimal) -> Funds:
        """Sets the account's cash in rupees. Raises ``Invalid`` for less than is held."""

        async def turn() -> None:
            await self._durable.commit(rules.set_cash(self._state, cash, at=self._market.now()))

        await self._turns.in_turn(turn())
        return self.funds(days.day_of(self._market.now()))

    async def reset(self, cash: Decimal | None = None) -> Funds:
        """As ``Resettable.reset``. Raises ``Invalid`` for cash below zero."""
        begins_with = self._opening_cash if cash is None else cash
        await self.decide(lambda state: reset(state, begins_with, at=self._market.now()))
        return self.funds(days.day_of(self._market.now()))

    async def decide(self, decision: Callable[[AccountState], Sequence[Event]]) -> Sequence[Event]:
        """Does what ``decision`` makes of the account, alone, and returns it."""

        async def turn() -> Sequence[Event]:
            happened = decision(self._state)
            if happened:
                await self._durable.commit(happened)
            return happened

        return await self._turns.in_turn(turn())

    async def margin(self, requests: Sequence[OrderRequest]) -> MarginNeeded:
        """As ``KnowsMargin.margin``."""
        asked = [(request, self._price(request)) for request in requests]
        return needed(self._state.margin_model(), asked)

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

    def all_trades(self, books: Container[Book]) -> Sequence[Trade]:
        """As ``Broker.all_trades``."""
        return list(self._state.trades_of(books))

    def performances(self, books: Container[Book]) -> Mapping[Book, Performance]:
        """As ``Broker.performances``."""
        return self._state.performances(books)

    def positions(self, day: date, books: Container[Book]) -> Sequence[days.DayPosition]:
        """As ``Broker.positions``."""
        settles_on = self._settles_on
        return list(days.positions_of_day(self._state, day, books, settles_on=settles_on))

    def position(self, key: PositionKey, day: date) -> days.DayPosition:
        """As ``Broker.position``."""
        return days.day_position(self._state.group(key), day, settles_on=self._settles_on)

    def funds(self, day: date) -> Funds:
        """As ``Broker.funds``."""
        realised = days.realised_of_day(self._state, day)
        charges = days.charges_of_day(self._state, day)
        return self._state.funds(self._mark, realised=realised, charges=charges)

    @property
    def state(self) -> AccountState:
        """The account as it stands, to be read: ``decide`` changes it."""
        return self._state

    def listen(self, listener: OrdersListener) -> Callable[[], None]:
        """As ``Broker.listen``."""
        return self._durable.listen(listener)

    async def close(self) -> None:
        """As ``Broker.close``."""
        self._unlisten()
        if self._matcher is not None:
            await self._matcher

    # -- the market's ticks

    def _watched(self) -> Iterator[InstrumentKey]:
        """Whose ticks concern this account: what waits, what is held, what was ordered last."""
        yield from self._in_hand
        yield from self._state.watched()

    def _on_quotes(self, quotes: Sequence[Quote]) -> None:
        """Queues a tick that may concern an order: one that rests, or one on its way to.

        A tick that comes while a command is being journaled waits for it, so that no price is
        missed by an order accepted just before.
        """
        is_busy = self._turns.is_busy or self._ticks
        concerned = [
            quote
            for quote in quotes
            if (is_busy or self._state.waits_in(quote.key))
            and self._market.is_open(quote.key.exchange)
        ]
        if not concerned:
            return
        if len(self._ticks) >= MOST_WAITING_TICKS:
            self._ticks.popleft()
            self.missed_ticks += 1
        self._ticks.append((self._market.now(), concerned))
        if self._matcher is None or self._matcher.done():
            self._matcher = asyncio.get_running_loop().create_task(self._turns.take())

    async def _drain(self) -> None:
        """Matches all ticks that wait: no order meets a price from before it was placed."""
        while self._ticks:
            at, quotes = self._ticks.popleft()
            try:
                await self._match(quotes, at=at)
            except Exception:  # the loop that fills orders outlives one bad tick
                self.missed_ticks += 1
                log.exception("tick_missed account=%s quotes=%d", self.account_id, len(quotes))

    async def _match(self, quotes: Sequence[Quote], *, at: datetime) -> None:
        await self._durable.settled()
        try:
            happened = on_quotes(
                self._state, quotes, at=at, marks=self._mark, fills=self._fills, venue=self._venue
            )
            if happened:
                await self._durable.commit(happened)
        finally:
            self._admission.settled()

    # -- what the market shows

    def _scene(self, key: InstrumentKey) -> rules.Scene:
        instrument = self._market.find(key)
        if instrument is None:
            raise NotFound(f"{key} is not listed. Check the symbol and the exchange.")
        if not self._durable.is_busy:
            self._in_hand.clear()
        self._in_hand[key] = None  # an order that is being journaled misses no tick
        now, hours, quote = self._market.now(), self._hours, self._quote(key)
        return rules.Scene(
            at=now,
            instrument=instrument,
            quote=quote,
            depth=None if quote is None else self._venue.depth(quote),
            memory=self._venue.memory,
            is_open=self._market.is_open(key.exchange),
            marks=self._mark,
            fills=self._fills,
            intraday_over_since=hours.intraday_over_since(key.exchange, now) if hours else None,
            expired_at=hours.expired_at(key, now) if hours else None,
        )

    def _settles_on(self, key: InstrumentKey, day: date) -> date:
        return next_day(key, day) if self._hours is None else self._hours.settles_on(key, day)

    def _price(self, request: OrderRequest) -> Decimal:
        """What a unit of an order is expected to trade at."""
        if request.price_type.needs_price:
            return request.price
        if request.price_type.needs_trigger:
            return request.trigger_price
        quote = self._market.quote(request.key)
        touch = quote.ask if request.action is Action.BUY else quote.bid
        return touch if touch > 0 else quote.last

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
