"""The gateway: the one door that every order passes.

``place``: instrument known? → intent on disk → broker → answer. An order whose way was cut is
found again: at ``recover`` every intent that the broker does not know is recorded as rejected,
because nothing is sent before its intent is on disk, and nothing of it is kept elsewhere.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from algohost.broker.crash_points import CrashPoint, Reached, pass_by
from algohost.broker.ports import Broker, OpenBroker, OutcomeUnknown
from algohost.broker.prices import Prices
from algohost.broker.views import Cancellation, DayPnl, PositionView, Scope
from algohost.domain.errors import AlgohostError, NotFound, Unavailable
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Funds,
    Order,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    PriceType,
    Trade,
)
from algohost.domain.ports import Market, OrderJournal
from algohost.exchange.account import PositionKey
from algohost.exchange.day import day_of

__all__ = ["Cancellation", "DayPnl", "Gateway", "OrderListener", "PositionView", "Scope"]

log = logging.getLogger(__name__)

OrderListener = Callable[[Order], None]
Refuse = Callable[[Book], None]
"""Raises ``Conflict`` where a book may not place or change orders now."""

HOST_STOPPED: Final = "The host stopped before the order was sent."
NOT_SENT: Final = "The order journal failed before the order was sent."


@dataclass(kw_only=True)
class _Account:
    broker: Broker
    on_the_way: dict[OrderId, Order] = field(default_factory=dict)
    """Orders that the broker has not answered for: intended, or unknown."""
    doubtful: set[OrderId] = field(default_factory=set)
    """Those of them whose way was cut, to be settled before anything else is sent."""


class Gateway:
    """All orders of all accounts.

    Commands await the disk. Reads are immediate, and raise ``Unavailable`` for an account that
    ``recover`` has not opened yet. A scope sees and changes its own orders only: all others are
    ``NotFound`` to it.
    """

    def __init__(
        self,
        *,
        journal: OrderJournal,
        market: Market,
        open_broker: OpenBroker,
        refuse: Refuse = lambda _book: None,
        reached: Reached = pass_by,
    ) -> None:
        """``refuse`` is the kill switch: it is asked before an order is placed or changed."""
        self._journal = journal
        self._refuse = refuse
        self._market = market
        self._open_broker = open_broker
        self._reached = reached
        self._accounts: dict[AccountId, _Account] = {}
        self._opening: dict[AccountId, asyncio.Lock] = {}
        self._targets: dict[Book, asyncio.Lock] = {}
        self._listeners: list[OrderListener] = []

    # -- life

    async def recover(self, account_id: AccountId) -> None:
        """Opens an account, new ones included, and settles what a crash left between.

        Raises ``Unavailable`` where the journal does not answer: the account stays shut, and the
        next command or ``recover`` tries again. An account that is open can be read even while
        the journal fails: orders that cannot be settled are shown as unknown.
        """
        try:
            await self._account(account_id)
        except Unavailable as error:
            if account_id not in self._accounts:
                raise
            log.warning("orders_not_settled account=%s error=%s", account_id, error)

    async def close(self) -> None:
        """Lets what is under way end, and stops matching."""
        for account in self._accounts.values():
            await account.broker.close()

    def listen(self, listener: OrderListener) -> Callable[[], None]:
        """Calls ``listener`` with each order that changed, once that is durable.

        Until the returned function is called.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- commands

    async def place(self, book: Book, request: OrderRequest) -> Order:
        """Places an order and returns it as it stands, which may be rejected with a reason.

        ``UNKNOWN`` means that nobody can say yet; it settles by itself. Raises ``NotFound`` for
        an instrument that is not listed, ``Conflict`` while the kill switch is engaged, and
        ``Unavailable`` where nothing was placed because the journal could not be written.
        """
        return await self._place(book, request, refuse=self._refuse)

    async def _place(self, book: Book, request: OrderRequest, *, refuse: Refuse) -> Order:
        if self._market.find(request.key) is None:
            raise NotFound(f"{request.key} is not listed. Check the symbol and the exchange.")
        account = await self._account(book.account_id)
        refuse(book)  # leaves no trace; from here on the order is on its way
        sending = self._send(account, book, request, refuse)
        return await asyncio.shield(asyncio.ensure_future(sending))

    async def place_smart(
        self, book: Book, request: OrderRequest, target_position: int
    ) -> Order | None:
        """Trades the difference between ``target_position`` and what the book holds.

        The request's action and quantity are replaced by what is needed; ``None`` when nothing
        is. Two at once for one book take turns, so that the second sees what the first traded.
        Raises as ``place``.
        """
        account = await self._account(book.account_id)
        async with self._targets.setdefault(book, asyncio.Lock()):
            key = PositionKey(book, request.key, request.product)
            missing = target_position - _held(account.broker, key, self._market)
            if missing == 0:
                return None
            needed = replace(request, action=_action(missing), quantity=abs(missing))
            return await self.place(book, needed)

    async def modify(self, scope: Scope, order_id: OrderId, changes: OrderChanges) -> Order:
        """Changes an open order and returns it as it stands after.

        Raises ``NotFound`` for an order outside the scope, ``Conflict`` for a final one,
        ``Invalid`` where the changed order would be refused, ``Unavailable`` as ``place``.
        """
        account = await self._account(scope.account_id)
        self._refuse(self.order(scope, order_id).book)
        return await account.broker.modify(order_id, changes)

    async def cancel(self, scope: Scope, order_id: OrderId) -> Order:
        """Withdraws what is open of an order. Raises as ``modify``."""
        account = await self._account(scope.account_id)
        self.order(scope, order_id)
        return await account.broker.cancel(order_id, reason="Cancelled on request.")

    async def cancel_all(self, scope: Scope) -> Cancellation:
        """Cancels every open order in scope; one that cannot be does not stop the others."""
        await self._account(scope.account_id)
        cancelled: list[Order] = []
        failed: list[tuple[OrderId, str]] = []
        for order in self.orders(scope):
            if order.status.is_final:
                continue
            try:
                cancelled.append(await self.cancel(scope, order.id))
            except AlgohostError as error:
                failed.append((order.id, error.message))
        return Cancellation(cancelled=cancelled, failed=failed)

    async def close_positions(self, scope: Scope) -> Sequence[Order]:
        """Places a market order against every open position in scope, in its own book.

        Settled holdings stay. One above the freeze quantity is closed by several orders. Open
        orders are not touched: cancel them first where they must not trade afterwards. The kill
        switch keeps nobody from getting out.
        """
        account = await self._account(scope.account_id)
        today = day_of(self._market.now())
        keys = [
            PositionKey(p.traded.book, p.traded.key, p.traded.product)
            for p in account.broker.positions(today, scope)
            if p.traded.quantity
        ]
        placed: list[Order] = []
        for key in keys:
            async with self._targets.setdefault(key.book, asyncio.Lock()):
                held = account.broker.position(key, today).traded.quantity
                for quantity in self._slices(key.key, abs(held)):
                    request = OrderRequest(
                        key=key.key,
                        action=_action(-held),
                        quantity=quantity,
                        price_type=PriceType.MARKET,
                        product=key.product,
                        label="close position",
                    )
                    closing = self._place(key.book, request, refuse=lambda _book: None)
                    placed.append(await closing)
        return placed

    # -- reads

    def order(self, scope: Scope, order_id: OrderId) -> Order:
        """One order. Raises ``NotFound`` for one that does not exist or is out of scope."""
        account = self._opened(scope.account_id)
        order = account.broker.order(order_id) or account.on_the_way.get(order_id)
        if order is None or order.book not in scope:
            raise NotFound(f"There is no order {order_id}. Look at the order book for its number.")
        return order

    def orders(self, scope: Scope) -> Sequence[Order]:
        """Today's orders and those of before that are still open, oldest first."""
        account = self._opened(scope.account_id)
        known = account.broker.orders(day_of(self._market.now()), scope)
        waiting = [
            order
            for order in account.on_the_way.values()
            if order.book in scope and account.broker.order(order.id) is None
        ]
        return [*known, *waiting]

    def trades(self, scope: Scope) -> Sequence[Trade]:
        """Today's trades, oldest first."""
        account = self._opened(scope.account_id)
        trades = account.broker.trades(day_of(self._market.now()))
        return [trade for trade in trades if trade.book in scope]

    def positions(self, scope: Scope) -> Sequence[PositionView]:
        """Positions that are open or were traded today, one per book; see ``views.netted``."""
        account, prices = self._opened(scope.account_id), Prices(self._market)
        return [
            prices.view(day.traded)
            for day in account.broker.positions(day_of(self._market.now()), scope)
            if day.is_shown
        ]

    def holdings(self, scope: Scope) -> Sequence[PositionView]:
        """CNC shares held since before today, one row per book."""
        account, prices = self._opened(scope.account_id), Prices(self._market)
        return [
            prices.view(day.settled)
            for day in account.broker.positions(day_of(self._market.now()), scope)
            if day.settled.quantity
        ]

    def funds(self, account_id: AccountId) -> Funds:
        """The account's money; ``realised`` is today's."""
        return self._opened(account_id).broker.funds(day_of(self._market.now()))

    def day_pnls(self, scope: Scope) -> Mapping[StrategyId | None, DayPnl]:
        """What each book in scope gained today, that holds something or traded today."""
        account, prices = self._opened(scope.account_id), Prices(self._market)
        gained: dict[StrategyId | None, DayPnl] = {}
        for day in account.broker.positions(day_of(self._market.now()), scope):
            book = day.opening.book.strategy_id
            gained[book] = gained.get(book, DayPnl()) + prices.gained(day)
        return gained

    # -- the way of an order

    async def _send(
        self, account: _Account, book: Book, request: OrderRequest, refuse: Refuse
    ) -> Order:
        now, broker = self._market.now(), account.broker
        order = Order(
            id=broker.next_order_id(),
            book=book,
            request=request,
            status=OrderStatus.INTENDED,
            placed_at=now,
            updated_at=now,
        )
        self._reached(CrashPoint.BEFORE_INTENT)
        await self._intend(order)
        self._reached(CrashPoint.AFTER_INTENT)
        account.on_the_way[order.id] = order
        try:
            placed = await _given(broker, order, refuse)
        except OutcomeUnknown:
            return self._doubt(account, order)
        except Exception:
            self._doubt(account, order)
            raise
        del account.on_the_way[order.id]
        self._reached(CrashPoint.BEFORE_ACK)
        return placed

    async def _intend(self, order: Order) -> None:
        try:
            await self._journal.intend(order)
        except Exception as error:
            log.warning("intent_failed order=%s error=%r", order.id, error)
            raise Unavailable(
                "The order journal could not be written, so the order was not sent. Look at the "
                "disk and at the server's log, then try again.",
                code="JOURNAL_NOT_WRITTEN",
            ) from error

    def _doubt(self, account: _Account, order: Order) -> Order:
        unknown = replace(
            order, status=OrderStatus.UNKNOWN, reason="Whether it was taken is not known yet."
        )
        account.on_the_way[order.id] = unknown
        account.doubtful.add(order.id)
        self._tell([unknown])
        return unknown

    async def _settle(self, account: _Account) -> None:
        """Finds out what became of orders whose way was cut."""
        doubtful = [account.on_the_way[order_id] for order_id in sorted(account.doubtful)]
        intended = [replace(o, status=OrderStatus.INTENDED, reason="") for o in doubtful]
        await account.broker.settle(intended, reason=NOT_SENT)
        for order in doubtful:
            account.doubtful.discard(order.id)
            account.on_the_way.pop(order.id, None)

    # -- accounts

    async def _account(self, account_id: AccountId) -> _Account:
        account = self._accounts.get(account_id)
        if account is None:
            async with self._opening.setdefault(account_id, asyncio.Lock()):
                account = self._accounts.get(account_id) or await self._open(account_id)
        if account.doubtful:
            await self._settle(account)
        return account

    async def _open(self, account_id: AccountId) -> _Account:
        broker = await self._open_broker(account_id)
        try:
            intents = await self._journal.intents(account_id)
            lost = [order for order in intents if broker.order(order.id) is None]
            if lost:
                log.warning("orders_not_sent account=%s count=%d", account_id, len(lost))
                await broker.settle(lost, reason=HOST_STOPPED)
        except BaseException:
            await broker.close()
            raise
        broker.listen(self._tell)
        self._accounts[account_id] = account = _Account(broker=broker)
        return account

    def _opened(self, account_id: AccountId) -> _Account:
        account = self._accounts.get(account_id)
        if account is None:
            raise Unavailable(
                f"Account {account_id} has not been read from the journal yet. Try again soon.",
                code="ACCOUNT_NOT_OPEN",
            )
        return account

    def _tell(self, orders: Sequence[Order]) -> None:
        for order in orders:
            for listener in list(self._listeners):
                try:
                    listener(order)
                except Exception:
                    # An order is durable by now: who cannot hear of it must not undo it.
                    log.exception("order_listener_failed order=%s", order.id)

    def _slices(self, key: InstrumentKey, quantity: int) -> Sequence[int]:
        """``quantity`` in pieces that the freeze quantity allows."""
        instrument = self._market.find(key)
        if instrument is None or instrument.freeze_quantity is None:
            return [quantity] if quantity else []
        most = max(instrument.freeze_quantity // instrument.lot_size, 1) * instrument.lot_size
        whole, rest = divmod(quantity, most)
        return [most] * whole + ([rest] if rest else [])


async def _given(broker: Broker, order: Order, refuse: Refuse) -> Order:
    """Gives the broker an order, unless a kill switch was engaged while its intent was written:
    a disk may take long for that. It is rejected then."""
    try:
        refuse(order.book)
    except AlgohostError as refusal:
        return (await broker.settle([order], reason=refusal.message))[0]
    return await broker.place(order)


def _action(quantity: int) -> Action:
    return Action.BUY if quantity > 0 else Action.SELL


def _held(broker: Broker, key: PositionKey, market: Market) -> int:
    day = broker.position(key, day_of(market.now()))
    return day.traded.quantity + day.settled.quantity
