"""One gateway over the paper exchange, a journal in memory and a market that a test writes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from algohost.broker.accounts import PaperBrokers
from algohost.broker.crash_points import CrashPoint, Reached, pass_by
from algohost.broker.gateway import Gateway
from algohost.broker.risk_port import Governor, RiskCheck
from algohost.broker.settling import Pause
from algohost.broker.views import Scope
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Order
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.testing.journal import MemoryJournal
from algohost.testing.market import TableMarket
from tests.broker.remote import FarAway, RemoteBrokers
from tests.exchange.desk import ACCOUNT, EMA, INFY, INSTRUMENTS, MORNING, TCS, request

WHOLE: Final = Scope(account_id=ACCOUNT)
OF_EMA: Final = Scope(account_id=ACCOUNT, strategy_id=EMA.strategy_id)

T = TypeVar("T")


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


class World:
    """A server in small. ``restart`` keeps the journal and the market, and nothing else."""

    def __init__(
        self,
        journal: MemoryJournal | None = None,
        market: TableMarket | None = None,
        *,
        reached: Reached = pass_by,
        fills: FillModel = AT_TOUCH,
        refuse: Callable[[Book], None] = lambda _book: None,
        far: FarAway | None = None,
        pause: Pause = asyncio.sleep,
        risk: RiskCheck | None = None,
        governor: Governor | None = None,
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.market = market or _market()
        self.told: list[Order] = []
        brokers = PaperBrokers(
            journal=self.journal,
            market=self.market,
            reached=reached,
            fills=fills,
            refuse=refuse,
            risk=risk,
        )
        self.gateway = Gateway(
            journal=self.journal,
            market=self.market,
            open_broker=brokers.open if far is None else RemoteBrokers(far, reached).open,
            refuse=refuse,
            reached=reached,
            pause=pause,
            risk=risk,
            governor=governor,
        )
        self.far = far
        self.gateway.listen(self.told.append)

    def restart(self, *, reached: Reached = pass_by) -> "World":
        """A new server on what the old one left on disk."""
        market = TableMarket(self.market.instruments(), at=self.market.at)
        for key in (INFY, TCS):
            shown = self.market.quote(key)
            market.show(key, last=str(shown.last), bid=str(shown.bid), ask=str(shown.ask))
        market.tick()
        if self.far is not None:
            market = self.market  # which the far exchange looks at
        return World(self.journal, market, reached=reached, far=self.far)

    @classmethod
    def of_remote(
        cls,
        *,
        refuse: Callable[[Book], None] = lambda _book: None,
        pause: Pause = asyncio.sleep,
    ) -> "World":
        """A world whose broker is at the other end of a line."""
        market = _market()
        return cls(market=market, far=FarAway(market), refuse=refuse, pause=pause)

    async def place(self, asked: str, key: InstrumentKey = INFY, *, owner: Book = EMA) -> Order:
        """Places an order given in short form."""
        return await self.gateway.place(owner, request(asked, key))

    async def place_labelled(
        self, asked: str, key: InstrumentKey, owner: Book, label: str
    ) -> Order:
        """Places an order whose request can be told from all others."""
        return await self.gateway.place(owner, replace(request(asked, key), label=label))

    async def tick(self, key: InstrumentKey = INFY, **shown: str) -> None:
        """Shows a quote, tells it, and waits until nothing is left to do."""
        self.market.show(key, **shown)
        self.market.tick()
        await idle()


def _market() -> TableMarket:
    market = TableMarket(INSTRUMENTS.values(), at=MORNING)
    market.show(INFY, last="100", bid="99.95", ask="100.05")
    market.show(TCS, last="200")
    market.tick()
    return market


async def idle() -> None:
    """Lets every task that is ready run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


class CrashAt:
    """Ends the process the ``visit``-th time the way of an order passes ``point``.

    ``happened`` tells of a crash in a background task, which nobody else would hear of. A
    process that has crashed does nothing more: every later point raises too.
    """

    def __init__(self, point: CrashPoint, *, visit: int = 1) -> None:
        self.happened = False
        self._point = point
        self._left = visit

    def __call__(self, passed: CrashPoint) -> None:
        if passed is self._point:
            self._left -= 1
        if self._left <= 0:
            self.happened = True
            raise Crash(self._point)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a test's coroutine on a loop of its own."""
    return asyncio.run(main)
