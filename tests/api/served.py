"""A server for tests: real market, gateway, API and feed on real ports, in a thread.

Time stands still until a test calls ``tick``; the journal is in memory; keys are known from
the start. Everything else is what a server runs.
"""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx
import uvicorn
import uvloop
from starlette.applications import Starlette

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway
from algohost.domain.ids import RunId, StrategyId, UserId
from algohost.domain.master_contracts import ContractList
from algohost.domain.users import Principal, User, paper_account
from algohost.host.calendars import CalendarService
from algohost.host.health import Activity
from algohost.host.master_contracts import MasterContracts
from algohost.host.notices import Notices
from algohost.market.calendars import shipped, shipped_calendars
from algohost.market.contracts import PaperContracts
from algohost.market.synthetic import SyntheticMarket
from algohost.store import sealed
from algohost.store.database import Database, open_database
from algohost.store.users import StoredUser, insert_user
from algohost.store.vault import Vault
from algohost.testing.clock import FakeClock
from algohost.testing.contracts import FakeContracts
from algohost.testing.courier import FakeCourier
from algohost.testing.journal import MemoryJournal
from algohost.web.access import guarded
from algohost.web.api_v1 import ROUTES, Kind, RateLimits
from algohost.web.errors import Errors
from algohost.web.feed import FeedServer

if TYPE_CHECKING:
    from algohost.web.services import Host

ACCOUNT_KEY = "a" * 64
OTHER_ACCOUNT_KEY = "b" * 64
RUN_TOKEN = "c" * 64
OTHER_RUN_TOKEN = "d" * 64
MONDAY_0930 = datetime(2025, 6, 2, 4, 0, tzinfo=UTC)

T = TypeVar("T")


def principals() -> dict[str, Principal]:
    """Two users; the first has two strategies that run."""
    asha = User(id=UserId("u1"), name="asha", is_admin=True, created_at=MONDAY_0930)
    ravi = User(id=UserId("u2"), name="ravi", is_admin=False, created_at=MONDAY_0930)
    return {
        ACCOUNT_KEY: Principal(user=asha, account_id=paper_account(asha)),
        OTHER_ACCOUNT_KEY: Principal(user=ravi, account_id=paper_account(ravi)),
        RUN_TOKEN: Principal(
            user=asha,
            account_id=paper_account(asha),
            strategy_id=StrategyId("ema_20250602093000"),
            run_id=RunId("0123456789abcdef"),
        ),
        OTHER_RUN_TOKEN: Principal(
            user=asha,
            account_id=paper_account(asha),
            strategy_id=StrategyId("rsi_20250602093000"),
            run_id=RunId("fedcba9876543210"),
        ),
    }


@dataclass
class Keys:
    """The part of the identity service that the API and the feed use."""

    known: dict[str, Principal] = field(default_factory=principals)

    def principal(self, key: str) -> Principal | None:
        """Whose key it is."""
        return self.known.get(key)


class Served:
    """The running server, seen from a test's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: "Host", port: int) -> None:
        self.host = host
        self.feed: FeedServer = cast("FeedServer", None)
        self.app: Starlette = cast("Starlette", None)
        self.url = f"http://127.0.0.1:{port}"
        self._loop = loop

    @property
    def feed_url(self) -> str:
        """Where the feed listens."""
        return f"ws://127.0.0.1:{self.feed.port}"

    @property
    def clock(self) -> FakeClock:
        """The clock that the test moves."""
        return cast("FakeClock", self.host.clock)

    @property
    def keys(self) -> Keys:
        """The keys that are known."""
        return cast("Keys", self.host.identity)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs ``work`` on the server's loop and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def do(self, work: Callable[[], T]) -> T:
        """Calls ``work`` on the server's loop."""

        async def call() -> T:
            return work()

        return self.wait_for(call())

    def tick(self, seconds: float = 1) -> None:
        """Lets time pass and shows the market's new prices."""

        def pass_time() -> None:
            self.clock.advance(seconds)
            self.host.market.tick()

        self.do(pass_time)

    def limit(self, **per_second: float) -> None:
        """Sets the limits of calls; what is not named is unlimited."""
        rates = {Kind[name]: rate for name, rate in per_second.items()}
        limits = RateLimits(self.clock.monotonic, rates)
        self.do(lambda: setattr(self.app.state, "rate_limits", limits))

    def post(self, name: str, **fields: Any) -> httpx.Response:
        """Calls an endpoint with the account's key, unless another is given."""
        body = {"apikey": ACCOUNT_KEY, **fields}
        return httpx.post(f"{self.url}/api/v1/{name}", json=body, timeout=30)


def _notices(clock: FakeClock, database: Database) -> Notices:
    """The messages of users that the database knows; their courier keeps what it is given."""
    for user in {one.user.id: one.user for one in principals().values()}.values():
        stored = StoredUser(user=user, password_hash="none")
        database.write_now(lambda c, new=stored: insert_user(c, new))  # type: ignore[misc]
    keys = database.path.parent / "keys"
    vault = Vault(keys, has_sealed=lambda: database.read(sealed.anything))
    return Notices(clock=clock, database=database, vault=vault, courier=FakeCourier())


def _host(
    gateway: Gateway,
    market: SyntheticMarket,
    clock: FakeClock,
    database: Database,
    contracts: ContractList,
) -> "Host":
    settings = SimpleNamespace(host="127.0.0.1", feed_port=0)
    parts = {"clock": clock, "settings": settings, "identity": Keys(), "gateway": gateway}
    activity = Activity(clock.monotonic)
    calendars = CalendarService(clock=clock, database=database, tables=shipped())
    source = FakeContracts(clock, kept=contracts)
    lists = MasterContracts(clock=clock, database=database, source=source)
    more = {
        "market": market,
        "activity": activity,
        "calendars": calendars,
        "master_contracts": lists,
        "notices": _notices(clock, database),
    }
    return cast("Host", SimpleNamespace(**parts, **more))


_LISTS: list[ContractList] = []


async def paper_list(market: SyntheticMarket, clock: FakeClock) -> ContractList:
    """The paper broker's list of the day on which these servers begin, made once."""
    if not _LISTS:
        with tempfile.TemporaryDirectory() as folder:
            source = PaperContracts(
                clock=clock,
                market=market,
                calendars=shipped_calendars,
                folder=Path(folder),
                about="tests",
            )
            _LISTS.append(await source.fetch(lambda _percent, _what: None))
    return _LISTS[0]


async def _serve(ready: "list[Served]", is_ready: threading.Event, stop: threading.Event) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "algohost.db")
        try:
            await _serve_over(database, ready, is_ready, stop)
        finally:
            database.close()


async def _serve_over(
    database: Database,
    ready: "list[Served]",
    is_ready: threading.Event,
    stop: threading.Event,
) -> None:
    clock = FakeClock(MONDAY_0930)
    market = SyntheticMarket(clock, seed=7)
    journal = MemoryJournal()
    brokers = PaperBrokers(journal=journal, market=market)
    gateway = Gateway(journal=journal, market=market, open_broker=brokers.open)
    contracts = await paper_list(market, clock)
    market.use_list(contracts)
    host = _host(gateway, market, clock, database, contracts)
    await host.master_contracts.step()
    listening = socket.create_server(("127.0.0.1", 0))
    served = Served(asyncio.get_running_loop(), host, listening.getsockname()[1])
    served.app = Starlette(routes=guarded(ROUTES, host, Errors()))
    served.app.state.rate_limits = RateLimits(clock.monotonic, {})
    served.feed = FeedServer(host, port=0)
    await served.feed.start()
    config = uvicorn.Config(served.app, log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.005)
    ready.append(served)
    is_ready.set()
    await asyncio.to_thread(stop.wait)
    server.should_exit = True
    await serving
    await served.feed.stop()
    await gateway.close()


@contextmanager
def running() -> Iterator[Served]:
    """A server that lives as long as the ``with`` block."""
    ready: list[Served] = []
    faults: list[BaseException] = []
    is_ready, stop = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(ready, is_ready, stop))
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            faults.append(error)
            is_ready.set()

    thread = threading.Thread(target=work, name="served")
    thread.start()
    try:
        assert is_ready.wait(30), "the server did not start"
        if faults:
            raise faults[0]
        yield ready[0]
    finally:
        stop.set()
        thread.join(30)
    if faults:
        raise faults[0]
