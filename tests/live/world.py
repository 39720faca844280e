"""A gateway with one live account, whose broker is another server of ours behind a proxy."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

from algohost.broker.gateway import Gateway
from algohost.broker.openalgo import OpenAlgoBroker, Pace
from algohost.broker.openalgo_http import Patience
from algohost.broker.openalgo_opening import OpenAlgoBrokers
from algohost.broker.views import Scope
from algohost.domain.accounts import Account, new_account_id
from algohost.domain.ids import AccountId, StrategyId, UserId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Book, Order, OrderRequest, PriceType, Product
from algohost.domain.reach import WIDE
from algohost.domain.strategies import Mode
from algohost.testing.journal import MemoryJournal
from algohost.testing.market import TableMarket
from tests.api.served import ACCOUNT_KEY, MONDAY_0930, Served
from tests.live.faults import Proxy, proxied

OWNER = UserId("u9")
LIVE: AccountId = new_account_id(OWNER, Mode.LIVE, "0001")
EMA = Book(account_id=LIVE, strategy_id=StrategyId("ema_20250602093000"))
RSI = Book(account_id=LIVE, strategy_id=StrategyId("rsi_20250602093000"))
NOBODY = Book(account_id=LIVE, strategy_id=None)
WHOLE = Scope(account_id=LIVE)
SBIN = InstrumentKey(exchange=Exchange.NSE, symbol="SBIN")
INFY = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")

T = TypeVar("T")


class SharedClock:
    """Real time from a Monday morning on; the broker's server goes by it too."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._began = time.monotonic()

    def now(self) -> datetime:
        """As ``Clock.now``."""
        at = MONDAY_0930 + timedelta(seconds=time.monotonic() - self._began)
        behind = (at - self._served.clock.now()).total_seconds()
        if behind > 0:
            self._served.clock.advance(behind)
        return at

    def monotonic(self) -> float:
        """As ``Clock.monotonic``."""
        return time.monotonic()


class TimedMarket(TableMarket):
    """A market without instruments whose time goes on."""

    def __init__(self, clock: SharedClock) -> None:
        super().__init__([], at=MONDAY_0930)
        self._clock = clock

    def now(self) -> datetime:
        """As ``Market.now``."""
        return self._clock.now()


class LiveWorld:
    """One host in small; ``restart`` keeps its journal alone."""

    def __init__(
        self, served: Served, proxy: Proxy, journal: MemoryJournal, clock: SharedClock
    ) -> None:
        self.served, self.proxy, self.journal, self.clock = served, proxy, journal, clock
        self.brokers: list[OpenAlgoBroker] = []
        self.told: list[Order] = []
        self.reach = WIDE
        self.key = ACCOUNT_KEY
        opening = OpenAlgoBrokers(
            journal=journal,
            clock=self.clock,
            account_of=self._account,
            key_of=lambda _account: self.key,
            reach_of=lambda _account: self.reach,
            pace=Pace(busy_seconds=0.02, idle_seconds=0.05, whole_seconds=0.05, quiet_seconds=1.0),
            patience=Patience(connect_seconds=0.5, answer_seconds=0.15, busy_seconds=0.5),
        )

        self._opening = opening
        self.gateway = Gateway(
            journal=journal,
            market=TimedMarket(clock),
            open_broker=self.open_broker,
            pause=self._pause,
        )
        self.gateway.listen(self.told.append)

    async def open_broker(self, account_id: AccountId) -> OpenAlgoBroker:
        """Opens the account over its journal."""
        broker = await self._opening.open(account_id)
        assert isinstance(broker, OpenAlgoBroker)
        self.brokers.append(broker)
        return broker

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))

    def _account(self, account_id: AccountId) -> Account:
        return Account(
            id=account_id,
            owner_id=OWNER,
            name="Broker",
            broker="openalgo",
            created_at=MONDAY_0930,
            base_url=f"http://127.0.0.1:{self.proxy.port}",
        )

    def come_back(self) -> None:
        """Has the broker's server answer again after a moment."""
        asyncio.get_running_loop().call_later(0.2, setattr, self.proxy, "away", False)

    def restarted(self, *, journal: MemoryJournal | None = None) -> "LiveWorld":
        """A new host over the same journal, or over what was on disk at some moment."""
        return LiveWorld(self.served, self.proxy, journal or self.journal, self.clock)

    async def place(
        self, book: Book = EMA, *, key: InstrumentKey = SBIN, quantity: int = 1, **more: Any
    ) -> Order:
        """Places a market order, or what ``more`` says."""
        asked = {"action": Action.BUY, "product": Product.MIS, **more}
        return await self.gateway.place(book, OrderRequest(key=key, quantity=quantity, **asked))

    async def resting(self, book: Book = EMA, *, quantity: int = 1) -> Order:
        """Places a limit order that waits below the market."""
        return await self.place(
            book, quantity=quantity, price_type=PriceType.LIMIT, price=self.below("0.97")
        )

    def below(self, share: str) -> Decimal:
        """A price below all of the day, on the grid and within its bounds."""
        low = self.served.do(lambda: self.served.host.market.quote(SBIN).low)
        return (low * Decimal(share)).quantize(Decimal("0.1"))

    def upstream_orders(self) -> list[dict[str, Any]]:
        """The order book that the server itself shows."""
        answer = self.served.post("orderbook").json()
        return list(answer["data"]["orders"])


@asynccontextmanager
async def living(served: Served) -> AsyncIterator[LiveWorld]:
    """A world that lives as long as the block."""
    port = urlsplit(served.url).port
    assert port is not None
    async with proxied(port) as proxy:
        world = LiveWorld(served, proxy, MemoryJournal(), SharedClock(served))
        try:
            yield world
        finally:
            await world.gateway.close()


async def until(what: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a test's coroutine on a loop of its own."""
    return asyncio.run(main)
