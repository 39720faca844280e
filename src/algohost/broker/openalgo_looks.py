"""When the books of a live account are read, and reading them as of one moment."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from algohost.broker import openalgo_rows as rows
from algohost.broker.openalgo_books import Snapshot
from algohost.broker.openalgo_http import OpenAlgoHttp
from algohost.broker.openalgo_rows import HeldRow, OrderRow, Rows, TradeRow
from algohost.domain.errors import AlgohostError, Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.ports import Clock
from algohost.domain.quotes import Quote

log = logging.getLogger(__name__)

_MOST_TRIES: Final = 3
_MOST_QUOTES: Final = 200
_LONGEST_PAUSE: Final = 30.0

Look = Callable[[], Awaitable[None]]


class Looks:
    """The loop that reads the books of one account: often while an order is open, else seldom."""

    def __init__(
        self,
        *,
        account_id: AccountId,
        clock: Clock,
        busy: Callable[[], bool],
        look: Look,
        look_at_all: Look,
        pace: tuple[float, float, float],
    ) -> None:
        """``pace`` is how many seconds lie between looks: busy, idle, and at all books."""
        self._account_id = account_id
        self._clock = clock
        self._busy = busy
        self._look = look
        self._look_at_all = look_at_all
        self._busy_seconds, self._idle_seconds, self._whole_seconds = pace
        self._soon = asyncio.Event()
        self._whole_at: float | None = None
        self.failures = 0
        """Looks in a row that failed."""

    def soon(self) -> None:
        """Something may have happened: the next look is now."""
        self._soon.set()

    async def run(self) -> None:
        """Looks until its task is cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._soon.wait()
            self._soon.clear()
            try:
                await self._once()
            except AlgohostError as error:
                self._failed(error)
            except Exception as error:
                self._failed(error)
                log.exception("broker_look_failed account=%s", self._account_id)
            else:
                if self.failures:
                    log.info("broker_answers_again account=%s", self._account_id)
                self.failures = 0

    async def _once(self) -> None:
        now = self._clock.monotonic()
        is_due = self._whole_at is None or now - self._whole_at >= self._whole_seconds
        if is_due or not self._busy():
            await self._look_at_all()
            self._whole_at = now
        else:
            await self._look()

    def _pause(self) -> float:
        pause = self._busy_seconds if self._busy() else self._idle_seconds
        return float(min(pause * 2 ** min(self.failures, 6), max(pause, _LONGEST_PAUSE)))

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:  # once, not at each look while it is away
            said = error.message if isinstance(error, AlgohostError) else repr(error)
            log.warning("broker_not_read account=%s reason=%s", self._account_id, said)

    async def orders_and_trades(self, http: OpenAlgoHttp) -> tuple[Rows[OrderRow], Rows[TradeRow]]:
        """The order book, and the trade book as it is after it. Raises ``Unavailable``."""
        orders = rows.order_rows(await _asked(http, "orderbook"))
        return orders, rows.trade_rows(await _asked(http, "tradebook"))

    async def snapshot(self, http: OpenAlgoHttp) -> Snapshot:
        """Every book, the positions as of a moment in which nothing traded. Raises as above."""
        for _ in range(_MOST_TRIES):
            before = rows.trade_rows(await _asked(http, "tradebook"))
            positions = rows.position_rows(await _asked(http, "positionbook"))
            holdings = rows.holding_rows(await _asked(http, "holdings"))
            orders, after = await self.orders_and_trades(http)
            if rows.totals(before.rows) == rows.totals(after.rows):
                break
        return Snapshot(
            at=self._clock.now(),
            orders=orders,
            trades=after,
            positions=positions,
            holdings=holdings,
            funds=rows.funds_of(await _asked(http, "funds")),
            quotes=await self._quotes(http, positions, holdings),
        )

    async def _quotes(self, http: OpenAlgoHttp, *held: Rows[HeldRow]) -> dict[InstrumentKey, Quote]:
        """What is held, priced; without a price where the server tells none."""
        keys = list(dict.fromkeys(row.key for book in held for row in book.rows))[:_MOST_QUOTES]
        if not keys:
            return {}
        named = [{"symbol": key.symbol, "exchange": key.exchange.value} for key in keys]
        with suppress(AlgohostError):  # prices may wait, books may not
            answer = await http.ask("multiquotes", {"symbols": named})
            return rows.quotes_of(answer, at=self._clock.now())
        return {}


async def _asked(http: OpenAlgoHttp, name: str) -> dict[str, object]:
    """What the server answers; a refusal to show a book is as good as no answer."""
    try:
        return await http.ask(name)
    except Unavailable:
        raise
    except AlgohostError as error:
        raise Unavailable(
            f"The broker's server does not show {name}: {error.message}", code=error.code
        ) from error
