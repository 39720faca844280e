"""What ends by itself on the paper exchange, and who sees to it: square-off and expiry.

``PaperDay`` looks at every paper account at each square-off and at each close, once a minute
besides, and after a start. It asks what should have ended and is there still, so that a server that
was down at 15:15 does it when it comes back, and whatever crashed half-way is finished. Where the
exchange is closed by then, positions wait for it to open, and their orders say of which square-off
they are.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Final

from algohost.broker.closes import Closes
from algohost.broker.gateway import Gateway
from algohost.broker.paper import PaperBroker
from algohost.broker.views import Scope
from algohost.domain.calendars import EXCHANGES
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import IST
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Position
from algohost.domain.ports import Market
from algohost.exchange.account import PositionKey
from algohost.exchange.closing import (
    expire,
    expired_contracts,
    intraday_orders,
    intraday_positions,
    square_off_reason,
)
from algohost.exchange.hours import TradingHours
from algohost.exchange.validity import over

log = logging.getLogger(__name__)

AT_LEAST_EVERY: Final = timedelta(minutes=1)
"""Of the market's time: how soon what could not be closed is tried again."""
LATE_AFTER: Final = timedelta(minutes=2)
"""A square-off that begins so long after its time is said to be late."""
_SECOND: Final = 1.0


class PaperDay:
    """Ends the days of paper accounts, by the market's clock."""

    def __init__(
        self,
        *,
        market: Market,
        gateway: Gateway,
        hours: TradingHours,
    ) -> None:
        self._market = market
        self._gateway = gateway
        self._hours = hours
        self._closes = Closes(market)
        self._next: datetime | None = None
        self._looked_at: datetime | None = None
        self._ticked = asyncio.Event()

    async def run(self) -> None:
        """Looks whenever it is time to, until cancelled.

        The market's ticks wake it besides the wall clock: a fast recording passes from square-off
        to the close in less than a second.
        """
        unlisten = self._market.listen(lambda _quotes: self._ticked.set())
        try:
            while True:
                await self.look_if_due()
                self._ticked.clear()
                try:
                    await asyncio.wait_for(self._ticked.wait(), _SECOND)
                except TimeoutError:
                    continue
        finally:
            unlisten()

    async def look_if_due(self) -> None:
        """Looks if a square-off, a close or a minute has passed since it last did."""
        now = self._market.now()
        was_set_back = self._looked_at is not None and now < self._looked_at
        if self._next is None or now >= self._next or was_set_back:
            await self.look()
            self._looked_at, self._next = now, self._next_after(now)

    async def look(self) -> None:
        """Ends what should have ended in every account; what fails is logged and tried again."""
        for broker in self._gateway.brokers():
            if not isinstance(broker, PaperBroker):
                continue
            try:
                await self._end(broker)
            except Exception:  # one account's fault is not the others'
                log.exception("day_not_ended account=%s", broker.account_id)

    async def _end(self, broker: PaperBroker) -> None:
        now = self._market.now()
        await self._cancel(broker, now)
        await broker.decide(lambda state: over(state, self._hours, at=now))
        for key, closed in expired_contracts(broker.state, self._hours, now):
            await self._expire(broker, key, closed)
        for place, due in intraday_positions(broker.state, self._hours, now):
            if self._market.is_open(place.key.exchange) and not _is_closing(broker, place):
                await self._square_off(broker, place, due)

    async def _cancel(self, broker: PaperBroker, now: datetime) -> None:
        """Cancels what was open at a square-off, all in as few writes as the disk needs."""
        late = list(intraday_orders(broker.state, self._hours, now))
        answers = await asyncio.gather(
            *(broker.cancel(order.id, reason=f"{square_off_reason(due)}.") for order, due in late),
            return_exceptions=True,
        )
        for (order, _), answer in zip(late, answers, strict=True):
            match answer:
                case AlgohostError():  # it traded, or was cancelled, a moment before
                    log.info("not_cancelled order=%s error=%s", order.id, answer.message)
                case BaseException():
                    raise answer

    async def _square_off(self, broker: PaperBroker, place: PositionKey, due: datetime) -> None:
        late = self._market.now() - due > LATE_AFTER
        label = f"{square_off_reason(due)}, late" if late else square_off_reason(due)
        scope = Scope(account_id=broker.account_id)
        try:
            orders = await self._gateway.close_positions(
                scope, only=lambda one: _place(one) == place, label=label
            )
        except AlgohostError as error:
            log.warning("not_squared_off place=%s error=%s", place.key, error.message)
            return
        for order in orders:
            log.log(
                logging.WARNING if late or order.reason else logging.INFO,
                "squared_off account=%s symbol=%s order=%s status=%s due=%s reason=%r",
                broker.account_id,
                place.key,
                order.id,
                order.status,
                due.astimezone(IST).isoformat(),
                order.reason,
            )

    async def _expire(self, broker: PaperBroker, key: InstrumentKey, closed: datetime) -> None:
        is_held = any(
            group.position.quantity
            for place, group in broker.state.groups().items()
            if place.key == key
        )
        close = self._closes.of(key, closed) if is_held else None
        if is_held and close is None:
            log.warning(
                "not_settled account=%s symbol=%s: its close is not known", broker.account_id, key
            )
            return
        at = self._market.now()
        happened = await broker.decide(lambda state: expire(state, key, close, at=at))
        log.info(
            "expired account=%s symbol=%s close=%s entries=%d",
            broker.account_id,
            key,
            close,
            len(happened),
        )

    def _next_after(self, now: datetime) -> datetime:
        day = now.astimezone(IST).date()
        instants = (
            instant(exchange, day)
            for exchange in EXCHANGES
            for instant in (self._hours.squares_off_at, self._hours.closes_at)
        )
        ahead = [at for at in instants if at is not None and at > now]
        return min([now + AT_LEAST_EVERY, *ahead])


def _is_closing(broker: PaperBroker, place: PositionKey) -> bool:
    """Whether an order that closes the position is on its way already: it fills in pieces."""
    group = broker.state.group(place)
    return bool(group.sells.units if group.position.quantity > 0 else group.buys.units)


def _place(position: Position) -> PositionKey:
    return PositionKey(position.book, position.key, position.product)
