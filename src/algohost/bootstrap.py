"""The one place that knows how the parts meet. Nothing happens at import."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import UTC, datetime

import uvicorn

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway
from algohost.domain.errors import Unavailable
from algohost.domain.ids import RunId
from algohost.domain.ports import Clock
from algohost.domain.users import paper_account
from algohost.host.agent_watch import AgentWatch
from algohost.host.identity import Identity
from algohost.host.inotify import FileWatcher
from algohost.host.launch import Folders, Launching
from algohost.host.logs import Logs
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry
from algohost.host.strategies import StrategyService
from algohost.host.tokens import RunTokenIndex
from algohost.market import MarketService, open_market
from algohost.runner.messages import Launcher
from algohost.settings import Settings
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database, open_database
from algohost.store.orders import StoredOrderJournal
from algohost.web.services import Host
from algohost.web.serving import EmbeddedServer

log = logging.getLogger(__name__)


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the port

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()


@contextlib.contextmanager
def open_identity(settings: Settings) -> Iterator[Identity]:
    """Users and keys without a server. Raises ``Unavailable`` as ``open_database`` does."""
    database = open_database(Folders(data=settings.data_dir).database)
    try:
        yield Identity(database, SystemClock())
    finally:
        database.close()


@contextlib.asynccontextmanager
async def open_host(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Host]:
    """The parts of one server, alive for as long as the block lasts; runs outlive it.

    Raises ``Unavailable`` for a database and ``Invalid`` for a market that cannot be opened.
    The caller holds the data directory.
    """
    clock = clock or SystemClock()
    folders = Folders(data=settings.data_dir)
    market = await asyncio.to_thread(_open_market, settings, clock)
    _refuse_lost_database(folders)
    database = open_database(folders.database)
    watcher = FileWatcher()
    try:
        identity = Identity(database, clock)
        gateway = _gateway(database, market)
        for user in identity.users():
            await gateway.recover(paper_account(user))
        registry = Registry(
            database.read(stored_strategies.everything), database.read(stored_runs.latest_of_each)
        )
        launching = _launching(settings, folders)
        agent = AgentWatch(folders.agent, launcher=launching.launcher)
        tokens = RunTokenIndex(identity)
        _restore_tokens(database, registry, tokens)
        reconciler = Reconciler(
            clock=clock,
            database=database,
            registry=registry,
            agent=agent,
            launching=launching,
            token_index=tokens,
            grace_seconds=settings.stop_grace_seconds,
        )
        host = Host(
            clock=clock,
            settings=settings,
            identity=identity,
            strategies=StrategyService(
                clock=clock, database=database, registry=registry, reconciler=reconciler
            ),
            logs=Logs(folders.logs, watcher),
            gateway=gateway,
            market=market,
            agent=agent,
        )
        async with _running(market.run(), agent.watch(), reconciler.run()):
            yield host
        await gateway.close()
        await identity.close()
    finally:
        watcher.close()
        database.close()


def serve(settings: Settings) -> int:
    """Serves pages, API, feed and control until SIGTERM or SIGINT; 0 after an orderly end."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.run(_serve(settings))
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    from algohost.cli.control_server import ControlServer
    from algohost.web.app import create_app
    from algohost.web.feed import FeedServer

    async with open_host(settings) as host:
        web = EmbeddedServer(
            uvicorn.Config(
                create_app(host),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,
                log_config=None,
                lifespan="on",
                proxy_headers=False,  # a client's word about its address counts for nothing
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        feed = FeedServer(host)
        control = ControlServer(host, settings.data_dir, end=lambda: _end(web))
        _end_on_signals(web)
        await feed.start()
        await control.start()
        # What is here now stays: a full collection that goes through it stops the loop for some
        # 60 ms, at any moment. What comes later is collected as always.
        gc.freeze()
        log.info("server_up web=%s feed=%s", settings.web_url, settings.feed_url)
        try:
            await web.serve()
        finally:
            await control.stop()
            await feed.stop()
    log.info("server_down")
    return 0


def _end(web: uvicorn.Server) -> None:
    web.should_exit = True


def _end_on_signals(web: uvicorn.Server) -> None:
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: the default ends us as well
            loop.add_signal_handler(sign, _end, web)


@contextlib.asynccontextmanager
async def _running(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Keeps the loops going while the block lasts. One that ends by itself is a fault."""
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(_report_end)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        log.critical("loop_ended work=%r", task.get_coro(), exc_info=task.exception())


def _open_market(settings: Settings, clock: Clock) -> MarketService:
    market = open_market(settings.market, clock, seed=settings.market_seed)
    market.tick()  # the first one draws the whole day: a quarter second, which no loop should wait
    return market


def _refuse_lost_database(folders: Folders) -> None:
    """Versions that have run, and a database that knows none of them: a new one would end them."""
    path = folders.database
    is_there = path.exists() and path.stat().st_size > 0
    if not is_there and any(folders.data.glob("code/*")):
        raise Unavailable(
            f"The database {path} is missing or empty, although strategies have run from"
            f" {folders.data}. Put a backup in its place; to begin anew instead, move the folder"
            " away or choose another with --data-dir.",
            code="DATABASE_LOST",
        )


def _gateway(database: Database, market: MarketService) -> Gateway:
    journal = StoredOrderJournal(database)
    brokers = PaperBrokers(journal=journal, market=market)
    return Gateway(journal=journal, market=market, open_broker=brokers.open)


def _launching(settings: Settings, folders: Folders) -> Launching:
    launcher: Launcher
    match settings.launcher:
        case "auto":
            launcher = "zygote" if sys.platform.startswith("linux") else "subprocess"
        case chosen:
            launcher = chosen
    return Launching(
        folders=folders,
        host=settings.host,
        port=settings.port,
        feed_port=settings.feed_port,
        launcher=launcher,
        accelerate=settings.accelerate_client,
    )


def _restore_tokens(database: Database, registry: Registry, tokens: RunTokenIndex) -> None:
    """Makes the tokens of runs that outlived the server valid again."""
    live = {view.latest.id: view.strategy for view in registry if view.latest is not None}
    for run_id, token_hash in database.read(stored_runs.live_token_hashes).items():
        if run_id in live:
            tokens.add_run_token(token_hash, live[run_id], RunId(run_id))
