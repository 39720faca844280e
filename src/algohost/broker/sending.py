"""The way of one order: intent on disk → its turn → broker → answer.

Where the broker is embedded and its journal is the order journal (``KeepsIntents``), what the
exchange decides of an order is on disk with the intent or not at all. Nothing can come between
the two that a separate intent would tell of, so both are one write: its turn → decision →
intent and events on disk → answer.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from algohost.broker.crash_points import CrashPoint, Reached
from algohost.broker.open_accounts import OpenAccount
from algohost.broker.ports import Broker, KeepsIntents, OutcomeUnknown
from algohost.broker.risk_port import Governor
from algohost.broker.settling import NEVER_ARRIVED, NOT_SENT, Doubt
from algohost.domain.errors import AlgohostError, Unavailable
from algohost.domain.orders import Action, Book, Order, OrderRequest, OrderStatus, PriceType
from algohost.domain.ports import Intent, KeyUsed, Market, OrderJournal, OrderKey
from algohost.exchange.account import PositionKey
from algohost.exchange.day import day_of

log = logging.getLogger(__name__)

Refuse = Callable[[Book], None]
"""Raises ``Conflict`` where a book may not place or change orders now."""


class Sender:
    """Sends orders to brokers."""

    def __init__(
        self,
        *,
        journal: OrderJournal,
        market: Market,
        governor: Governor,
        reached: Reached,
    ) -> None:
        self._journal = journal
        self._market = market
        self._governor = governor
        self._reached = reached

    async def send(
        self,
        account: OpenAccount,
        book: Book,
        request: OrderRequest,
        *,
        refuse: Refuse,
        admitted: AbstractContextManager[None],
        key: OrderKey | None = None,
    ) -> Order:
        """Sends an order to its end, even when the one who asked has gone.

        ``admitted`` is held from before the intent until the outcome is known.
        """
        now = self._market.now()
        order = Order(
            id=account.broker.next_order_id(),
            book=book,
            request=request,
            status=OrderStatus.INTENDED,
            placed_at=now,
            updated_at=now,
        )
        intent = Intent(order=order, key=key)
        sending = asyncio.ensure_future(self._send(account, intent, refuse, admitted))
        account.under_way.add(sending)
        sending.add_done_callback(account.under_way.discard)
        return await asyncio.shield(sending)

    async def _send(
        self,
        account: OpenAccount,
        intent: Intent,
        refuse: Refuse,
        admitted: AbstractContextManager[None],
    ) -> Order:
        with admitted:
            self._reached(CrashPoint.BEFORE_INTENT)
            keeper = account.keeps_intents
            if keeper is None:
                placed = await self._intend_and_send(account, intent, refuse)
            else:
                placed = await self._hand_over(account, keeper, intent, refuse)
            self._reached(CrashPoint.BEFORE_ACK)
            return placed

    async def _hand_over(
        self, account: OpenAccount, keeper: KeepsIntents, intent: Intent, refuse: Refuse
    ) -> Order:
        order = intent.order
        await self._turn_of(account.broker, order)
        doubt = Doubt(intent=intent, is_intended=False, if_absent=NOT_SENT)
        try:
            return await keeper.place_with_intent(intent, allowed=lambda: refuse(order.book))
        except OutcomeUnknown:
            return account.settling.doubt(doubt)
        except AlgohostError:
            raise
        except Exception:
            account.settling.doubt(doubt)
            raise

    async def _intend_and_send(self, account: OpenAccount, intent: Intent, refuse: Refuse) -> Order:
        order = intent.order
        await self._intend(intent)
        account.sending[order.id] = order
        doubt = Doubt(intent=intent, is_intended=True, if_absent=NEVER_ARRIVED)
        try:
            self._reached(CrashPoint.AFTER_INTENT)
            return await self._given(account.broker, order, refuse)
        except OutcomeUnknown:
            return account.settling.doubt(doubt)
        except Exception:
            account.settling.doubt(doubt)
            raise
        finally:
            del account.sending[order.id]

    async def _intend(self, intent: Intent) -> None:
        try:
            await self._journal.intend(intent)
        except KeyUsed:
            raise
        except Exception as error:
            log.warning("intent_failed order=%s error=%r", intent.order.id, error)
            raise Unavailable(
                "The order journal could not be written, so the order was not sent. Look at the "
                "disk and at the server's log, then try again.",
                code="JOURNAL_NOT_WRITTEN",
            ) from error

    async def _given(self, broker: Broker, order: Order, refuse: Refuse) -> Order:
        """Gives the broker an order, unless its turn does not come or a kill switch was engaged
        meanwhile: a disk may take long for an intent. It is rejected then, as it is when the
        broker says that it did nothing."""
        try:
            await self._turn_of(broker, order)
            refuse(order.book)
            return await broker.place(order)
        except OutcomeUnknown:
            raise
        except AlgohostError as refusal:
            return (await broker.bury([order], reason=refusal.message))[0]

    async def _turn_of(self, broker: Broker, order: Order) -> None:
        request = order.request
        is_exit = self._is_exit(broker, order)
        await self._governor.turn(order.book, request.key, is_exit=is_exit)

    def _is_exit(self, broker: Broker, order: Order) -> bool:
        """Whether the order only lessens what its book holds."""
        request = order.request
        key = PositionKey(order.book, request.key, request.product)
        held = quantity_held(broker, key, self._market)
        lessens = held > 0 if request.action is Action.SELL else held < 0
        return lessens and request.quantity <= abs(held)


def quantity_held(broker: Broker, key: PositionKey, market: Market) -> int:
    """Units that a book holds of an instrument, those settled before today included."""
    day = broker.position(key, day_of(market.now()))
    return day.traded.quantity + day.settled.quantity


def quantity_coming(broker: Broker, key: PositionKey, market: Market) -> int:
    """Units that open market orders of a book will still trade, below zero for sales.

    They are as good as held: whoever asks for what is missing must not ask for them twice.
    """
    own = {key.book}
    return sum(
        order.request.action.sign * order.open_quantity
        for order in broker.orders(day_of(market.now()), own)
        if order.request.price_type is PriceType.MARKET
        and (order.request.key, order.request.product) == (key.key, key.product)
    )
