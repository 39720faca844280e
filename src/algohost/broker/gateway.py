"""The gateway: the one door that every order passes.

``place``: instrument known? → intent on disk → broker → answer. An order whose way was cut is
found again: at ``recover`` every intent that the broker does not know is recorded as rejected,
because nothing is sent before its intent is on disk, and nothing of it is kept elsewhere.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from algohost.broker.crash_points import CrashPoint, Reached, pass_by
from algohost.broker.gtts import Gtts
from algohost.broker.money import Money
from algohost.broker.open_accounts import OpenAccount, OpenAccounts, OrderListener
from algohost.broker.order_keys import First, OrderKeys, key_of
from algohost.broker.ports import Broker, HasPrices, OpenBroker
from algohost.broker.reads import Reads
from algohost.broker.risk_port import Governor, NoLimits, NoQueue, RiskCheck
from algohost.broker.sending import Refuse, Sender, quantity_coming, quantity_held
from algohost.broker.settling import NOT_SENT, Pause
from algohost.broker.views import Cancellation, DayPnl, PositionView, Scope
from algohost.domain.errors import AlgohostError, Conflict, Invalid, NotFound, Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderChanges,
    OrderRequest,
    Position,
    PriceType,
)
from algohost.domain.ports import Market, OrderJournal, OrderKey
from algohost.exchange.account import PositionKey
from algohost.exchange.day import day_of

__all__ = ["Cancellation", "DayPnl", "Gateway", "OrderListener", "PositionView", "Scope"]

log = logging.getLogger(__name__)


class Gateway(Reads, Money, Gtts):
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
        risk: RiskCheck | None = None,
        governor: Governor | None = None,
        reached: Reached = pass_by,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """``refuse`` is the kill switch: it is asked before an order is placed or changed.

        ``risk`` and ``governor`` bound what is placed and how fast; by default nothing does.
        ``pause`` waits between two questions about an order whose outcome is not known.
        """
        self._market = market
        self._refuse = refuse
        self._risk = risk or NoLimits()
        self._governor = governor or NoQueue()
        self._journal = journal
        self._reached = reached
        self._accounts = OpenAccounts(journal=journal, open_broker=open_broker, pause=pause)
        self._sender = Sender(
            journal=journal, market=market, governor=self._governor, reached=reached
        )
        self._keys = OrderKeys(journal, market.now)
        self._targets: dict[Book, asyncio.Lock] = {}

    # -- life

    async def recover(self, account_id: AccountId) -> None:
        """Opens an account, new ones included, and settles what a crash left between.

        Raises ``Unavailable`` where the journal does not answer: the account stays shut, and the
        next command or ``recover`` tries again. An account that is open can be read even while
        the journal fails: orders that cannot be settled are shown as unknown.
        """
        try:
            await self._accounts.ready(account_id)
        except Unavailable as error:
            if account_id not in self._accounts:
                raise
            log.warning("orders_not_settled account=%s error=%s", account_id, error)

    async def close(self) -> None:
        """Lets what is under way end, and stops matching."""
        await self._accounts.close()
        await self._keys.close()

    async def shut(self, account_id: AccountId) -> None:
        """Looks at an account that was removed no more; its orders stay on record."""
        await self._accounts.shut(account_id)

    def listen(self, listener: OrderListener) -> Callable[[], None]:
        """Calls ``listener`` with each order that changed, once that is durable.

        Until the returned function is called.
        """
        return self._accounts.listen(listener)

    # -- commands

    async def place(self, book: Book, request: OrderRequest, *, key: str | None = None) -> Order:
        """Places an order and returns it as it stands, which may be rejected with a reason.

        ``UNKNOWN`` means that nobody can say yet; it settles by itself. Raises ``NotFound`` for
        an instrument that is not listed, ``Conflict`` while the kill switch is engaged, and
        ``Unavailable`` where nothing was placed because the journal could not be written.

        A ``key`` that the book has used before for the same request places nothing and returns
        the order of that time; for another request it is a ``Conflict``.
        """

        async def first(order_key: OrderKey | None) -> Order:
            return await self._place(
                book, request, refuse=self._refuse, risk=self._risk, key=order_key
            )

        if key is None:
            return await first(None)
        order = await self._once(book, key_of(key, request), first)
        if order is None:
            raise RuntimeError(f"Key {key!r} of {book} stands for no order.")
        return order

    async def _place(
        self,
        book: Book,
        request: OrderRequest,
        *,
        refuse: Refuse,
        risk: RiskCheck,
        key: OrderKey | None = None,
    ) -> Order:
        account = await self._accounts.ready(book.account_id)
        if not account.has_prices and self._market.find(request.key) is None:
            raise NotFound(f"{request.key} is not listed. Check the symbol and the exchange.")
        refuse(book)  # leaves no trace, as a limit does; from there on the order is on its way
        admitted = risk.admit(book, request)
        return await self._sender.send(
            account, book, request, refuse=refuse, admitted=admitted, key=key
        )

    async def place_smart(
        self, book: Book, request: OrderRequest, target_position: int, *, key: str | None = None
    ) -> Order | None:
        """Trades the difference between ``target_position`` and what the book holds.

        The request's action and quantity are replaced by what is needed; ``None`` when nothing
        is. Two at once for one book take turns, so that the second sees what the first traded.
        A position with an order of unknown outcome is a ``Conflict``. ``key`` is as in ``place``.
        Raises as ``place``.
        """

        async def first(order_key: OrderKey | None) -> Order | None:
            return await self._place_missing(book, request, target_position, order_key)

        if key is None:
            return await first(None)
        return await self._once(book, key_of(key, request, target_position=target_position), first)

    async def _place_missing(
        self, book: Book, request: OrderRequest, target: int, key: OrderKey | None
    ) -> Order | None:
        account = await self._accounts.ready(book.account_id)
        async with self._targets.setdefault(book, asyncio.Lock()):
            position = PositionKey(book, request.key, request.product)
            doubt = _doubt_about(account, position)
            if doubt is not None:
                raise doubt
            missing = target - quantity_held(account.broker, position, self._market)
            missing -= quantity_coming(account.broker, position, self._market)
            if missing == 0:
                if key is not None:
                    await self._journal.keep_key(book, key, at=self._market.now())
                return None
            needed = replace(request, action=_action(missing), quantity=abs(missing))
            return await self._place(book, needed, refuse=self._refuse, risk=self._risk, key=key)

    async def modify(self, scope: Scope, order_id: OrderId, changes: OrderChanges) -> Order:
        """Changes an open order and returns it as it stands after.

        Raises ``NotFound`` for an order outside the scope, ``Conflict`` for a final one,
        ``Invalid`` where the changed order would be refused, ``Unavailable`` as ``place``.
        """
        account = await self._accounts.ready(scope.account_id)
        order = self.order(scope, order_id)
        self._refuse(order.book)
        self._risk.admit_change(order, changes.applied_to(order.request))
        await self._governor.turn(order.book, order.request.key, is_exit=False)
        self._refuse(order.book)  # its turn may have been long in coming
        changed = await account.broker.modify(order_id, replace(changes, by=scope.by))
        self._reached(CrashPoint.BEFORE_ACK)
        return changed

    async def cancel(self, scope: Scope, order_id: OrderId) -> Order:
        """Withdraws what is open of an order. Raises as ``modify``."""
        account = await self._accounts.ready(scope.account_id)
        order = self.order(scope, order_id)
        if not order.status.is_final:  # else it is refused, which needs nobody's turn
            await self._governor.turn(order.book, order.request.key, is_exit=True)
        cancelled = await account.broker.cancel(order_id, reason=scope.cancelled)
        self._reached(CrashPoint.BEFORE_ACK)
        return cancelled

    async def cancel_all(self, scope: Scope) -> Cancellation:
        """Cancels every open order in scope at once; one that cannot be does not stop others."""
        account = await self._accounts.ready(scope.account_id)
        if account.keeps_intents is not None:
            await account.quiet()  # what is being placed now is no order to cancel yet
        working = [order.id for order in self.orders(scope) if not order.status.is_final]
        answers = await asyncio.gather(
            *(self.cancel(scope, order_id) for order_id in working), return_exceptions=True
        )
        cancelled: list[Order] = []
        failed: list[tuple[OrderId, str]] = []
        for order_id, answer in zip(working, answers, strict=True):
            match answer:
                case AlgohostError():
                    failed.append((order_id, answer.message))
                case BaseException():
                    raise answer
                case _:
                    cancelled.append(answer)
        return Cancellation(cancelled=cancelled, failed=failed)

    async def close_positions(
        self,
        scope: Scope,
        *,
        only: Callable[[Position], bool] = lambda _position: True,
        label: str = "close position",
    ) -> Sequence[Order]:
        """Places a market order against every open position in scope, in its own book.

        What open market orders are closing already is left to them. ``only`` says which, ``label``
        why. Settled holdings stay. One above the freeze quantity is
        closed by several orders. Open orders are not touched: cancel them first where they must not
        trade afterwards. Neither the kill switch nor a limit keeps anybody from getting out.
        Raises ``Conflict``, after all others are closed, for a position with an order of unknown
        outcome.
        """
        account = await self._accounts.ready(scope.account_id)
        today = day_of(self._market.now())
        keys = [
            PositionKey(p.traded.book, p.traded.key, p.traded.product)
            for p in account.broker.positions(today, scope)
            if p.traded.quantity and only(p.traded)
        ]
        placed: list[Order] = []
        unsure: list[Conflict] = []
        for key in keys:
            async with self._targets.setdefault(key.book, asyncio.Lock()):
                doubt = _doubt_about(account, key)
                if doubt is not None:
                    unsure.append(doubt)
                    continue
                held = account.broker.position(key, today).traded.quantity
                coming = quantity_coming(account.broker, key, self._market)
                closing = max(0, -_action(held).sign * coming)
                for quantity in self._slices(key.key, max(0, abs(held) - closing)):
                    request = OrderRequest(
                        key=key.key,
                        action=_action(-held),
                        quantity=quantity,
                        price_type=PriceType.MARKET,
                        product=key.product,
                        label=label,
                    )
                    placed.append(await self._exit(key.book, request))
        if unsure:
            raise unsure[0]
        return placed

    async def ask_broker(
        self, account_id: AccountId, name: str, fields: Mapping[str, object]
    ) -> Mapping[str, object]:
        """What the broker of a live account answers to an endpoint that only reads.

        Raises as ``HasPrices.ask``, and ``Invalid`` for an account without prices of its own.
        """
        account = await self._accounts.ready(account_id)
        if not isinstance(account.broker, HasPrices):
            raise Invalid(f"Account {account_id} has the prices of this server's market.")
        return await account.broker.ask(name, fields)

    # -- parts

    async def _once(self, book: Book, key: OrderKey, first: First) -> Order | None:
        account = await self._accounts.ready(book.account_id)
        scope = Scope(account_id=book.account_id)

        async def again(order_id: OrderId) -> Order:
            try:
                return self.order(scope, order_id)
            except NotFound:
                # its intent was kept although the journal said otherwise: it was never sent
                lost = [o for o in await self._journal.intents(book.account_id) if o.id == order_id]
                return (await account.broker.bury(lost, reason=NOT_SENT))[0]

        return await self._keys.once(book, key, first=first, again=again)

    async def _exit(self, book: Book, request: OrderRequest) -> Order:
        return await self._place(book, request, refuse=lambda _book: None, risk=NoLimits())

    def _opened(self, account_id: AccountId) -> OpenAccount:
        return self._accounts.opened(account_id)

    def brokers(self) -> Sequence[Broker]:
        """The brokers of all accounts that are open."""
        return self._accounts.brokers()

    async def _ready(self, account_id: AccountId) -> OpenAccount:
        return await self._accounts.ready(account_id)

    def _slices(self, key: InstrumentKey, quantity: int) -> Sequence[int]:
        """``quantity`` in pieces that the freeze quantity allows."""
        instrument = self._market.find(key)
        if instrument is None or instrument.freeze_quantity is None:
            return [quantity] if quantity else []
        most = max(instrument.freeze_quantity // instrument.lot_size, 1) * instrument.lot_size
        whole, rest = divmod(quantity, most)
        return [most] * whole + ([rest] if rest else [])


def _doubt_about(account: OpenAccount, position: PositionKey) -> Conflict | None:
    """Why what is held is not known: an order of unknown outcome."""
    for order in account.settling.unknown():
        asked = order.request
        if PositionKey(order.book, asked.key, asked.product) == position:
            return Conflict(
                f"It is not known yet whether order {order.id} in {asked.key} was taken, so the "
                "position is not known either, and nothing was placed. It settles by itself; look "
                "at the order book and try again.",
                code="POSITION_UNKNOWN",
            )
    return None


def _action(quantity: int) -> Action:
    return Action.BUY if quantity > 0 else Action.SELL
