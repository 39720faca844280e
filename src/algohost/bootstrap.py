"""The one place that knows how the parts meet. Nothing happens at import."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass

import uvicorn

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway
from algohost.domain.health import Rules
from algohost.domain.ids import RunId
from algohost.domain.ports import Clock
from algohost.domain.restarts import MOST_REMEMBERED
from algohost.domain.users import paper_account
from algohost.host.agent_watch import AgentWatch
from algohost.host.calendars import CalendarService
from algohost.host.clock import SystemClock
from algohost.host.environment_folders import EnvironmentFolders
from algohost.host.environments import Environments
from algohost.host.health import Activity, HealthWatch
from algohost.host.identity import Identity
from algohost.host.inotify import FileWatcher
from algohost.host.launch import Folders, Launching
from algohost.host.launch_values import LaunchVariables
from algohost.host.logs import Logs
from algohost.host.reach import Ceilings
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry
from algohost.host.retention import Keeping, Retention
from algohost.host.strategies import StrategyService
from algohost.host.tokens import RunTokenIndex
from algohost.host.usage import UsageLog
from algohost.host.variables import VariableService
from algohost.market import MarketService, open_market
from algohost.market.calendars import shipped
from algohost.runner.messages import Launcher
from algohost.settings import Settings
from algohost.store import run_logs
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store import variables as stored_variables
from algohost.store.database import Database, open_database
from algohost.store.orders import StoredOrderJournal
from algohost.store.vault import KeyExposed, Vault, VaultProblem
from algohost.web.services import Host
from algohost.web.serving import EmbeddedServer

log = logging.getLogger(__name__)


@contextlib.contextmanager
def open_identity(settings: Settings) -> Iterator[Identity]:
    """Users and keys without a server. Raises ``Unavailable`` as ``open_database`` does."""
    database = open_database(Folders(data=settings.data_dir).database)
    try:
        yield Identity(database, SystemClock())
    finally:
        database.close()


@contextlib.contextmanager
def open_calendars(settings: Settings) -> Iterator[tuple[CalendarService, Identity]]:
    """Calendars and users without a server. Raises ``Unavailable`` as ``open_database`` does."""
    database, clock = open_database(Folders(data=settings.data_dir).database), SystemClock()
    try:
        calendars = CalendarService(clock=clock, database=database, tables=shipped())
        yield calendars, Identity(database, clock)
    finally:
        database.close()


@dataclass(frozen=True, kw_only=True)
class _Base:
    """What the other parts are built on."""

    settings: Settings
    clock: Clock
    folders: Folders
    database: Database
    vault: Vault
    registry: Registry


@contextlib.asynccontextmanager
async def open_host(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Host]:
    """The parts of one server, alive for as long as the block lasts; runs outlive it.

    Raises ``Unavailable`` for a database and ``Invalid`` for a market that cannot be opened.
    The caller holds the data directory.
    """
    clock = clock or SystemClock()
    market = await asyncio.to_thread(_open_market, settings, clock)
    with _storage(settings, clock) as base, contextlib.closing(FileWatcher()) as watcher:
        identity, gateway = await _people(base, market)
        agent, logs = _agent(base), _logs(base, watcher)
        usage, activity = UsageLog(clock, base.database, base.registry), Activity(clock.monotonic)
        agent.on_usage(_health(base, agent, usage, activity).hear)
        environments = _environments(base)
        reconciler = _reconciler(base, identity, agent, logs, environments)
        strategies, variables = _strategies(base, reconciler)
        host = Host(
            clock=clock,
            settings=settings,
            identity=identity,
            calendars=CalendarService(clock=clock, database=base.database, tables=shipped()),
            strategies=strategies,
            environments=environments,
            variables=variables,
            logs=logs,
            gateway=gateway,
            market=market,
            agent=agent,
            usage=usage,
            activity=activity,
        )
        loops = (host.market, reconciler, environments, usage, _retention(base))
        async with _running(agent.watch(), *(one.run() for one in loops)):
            yield host
        await gateway.close()
        await identity.close()


@contextlib.contextmanager
def _storage(settings: Settings, clock: Clock) -> Iterator[_Base]:
    folders = Folders(data=settings.data_dir)
    folders.refuse_lost_database()
    database = open_database(folders.database)
    try:
        yield _Base(
            settings=settings,
            clock=clock,
            folders=folders,
            database=database,
            vault=_open_vault(database, folders),
            registry=Registry(
                database.read(stored_strategies.everything),
                database.read(stored_runs.latest_of_each),
                database.read(lambda c: stored_runs.restarts_of_each(c, limit=MOST_REMEMBERED)),
            ),
        )
    finally:
        database.close()


async def _people(base: _Base, market: MarketService) -> tuple[Identity, Gateway]:
    """Users, and the account of each, as its journal has left it."""
    identity = Identity(base.database, base.clock)
    journal = StoredOrderJournal(base.database)
    brokers = PaperBrokers(journal=journal, market=market)
    gateway = Gateway(journal=journal, market=market, open_broker=brokers.open)
    for user in identity.users():
        await gateway.recover(paper_account(user))
    return identity, gateway


def _agent(base: _Base) -> AgentWatch:
    return AgentWatch(
        base.folders.agent,
        launcher=_launcher(base.settings),
        usage_seconds=base.settings.usage_seconds,
    )


def _logs(base: _Base, watcher: FileWatcher) -> Logs:
    def kept(run_id: RunId) -> list[str] | None:
        return base.database.read(lambda c: run_logs.tail_of(c, run_id))

    return Logs(base.folders.logs, watcher, kept=kept)


def _retention(base: _Base) -> Retention:
    settings = base.settings
    return Retention(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        folder=base.folders.logs,
        keeping=Keeping(
            runs=settings.log_keep_runs,
            days=settings.log_keep_days,
            megabytes=settings.log_keep_mb,
        ),
    )


def _health(base: _Base, agent: AgentWatch, usage: UsageLog, activity: Activity) -> HealthWatch:
    return HealthWatch(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        usage=usage,
        activity=activity,
        agent=agent,
        code_folder=lambda run: str(base.folders.code(run.version_id)),
        rules=Rules(busy_seconds=base.settings.busy_seconds),
    )


def _environments(base: _Base) -> Environments:
    return Environments(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        folders=EnvironmentFolders(base.folders.environments),
        may_build=base.settings.environment_builds,
        keep_days=base.settings.environment_days,
    )


def _reconciler(
    base: _Base, identity: Identity, agent: AgentWatch, logs: Logs, environments: Environments
) -> Reconciler:
    tokens = RunTokenIndex(identity)
    live = {view.latest.id: view.strategy for view in base.registry if view.latest is not None}
    tokens.restore(base.database.read(stored_runs.live_token_hashes), live)
    reconciler = Reconciler(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        agent=agent,
        launching=_launching(base.settings, base.folders),
        variables=LaunchVariables(base.database, base.vault),
        token_index=tokens,
        grace_seconds=base.settings.stop_grace_seconds,
        environments=environments,
        last_lines=logs.last_lines,
    )
    environments.listen(reconciler.look_at)
    return reconciler


def _strategies(base: _Base, reconciler: Reconciler) -> tuple[StrategyService, VariableService]:
    strategies = StrategyService(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        reconciler=reconciler,
        ceilings=_ceilings(base.settings),
    )
    variables = VariableService(
        clock=base.clock, database=base.database, vault=base.vault, strategies=strategies
    )
    return strategies, variables


@contextlib.contextmanager
def open_vault(settings: Settings) -> Iterator[tuple[Database, Vault]]:
    """Database and vault without a server. Raises ``Unavailable`` as their openings do."""
    folders = Folders(data=settings.data_dir)
    database = open_database(folders.database)
    try:
        yield database, _vault(database, folders)
    finally:
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


def _vault(database: Database, folders: Folders) -> Vault:
    return Vault(folders.keys, has_sealed=lambda: database.read(stored_variables.any_sealed))


def _open_vault(database: Database, folders: Folders) -> Vault:
    """Raises ``KeyExposed`` for keys that others can read. Without keys the server runs all the
    same: what has secrets does not start, and says why."""
    vault = _vault(database, folders)
    try:
        vault.prepare()
    except KeyExposed:
        raise
    except VaultProblem as problem:
        log.error("vault_shut reason=%s", problem)  # noqa: TRY400 - the sentence says it all
    return vault


def _ceilings(settings: Settings) -> Ceilings:
    return Ceilings(
        memory_mb=settings.most_memory_mb,
        threads=settings.most_threads,
        open_files=settings.most_open_files,
        disk_mb=settings.most_disk_mb,
        log_mb=settings.most_log_mb,
    )


def _launching(settings: Settings, folders: Folders) -> Launching:
    return Launching(
        folders=folders,
        host=settings.host,
        port=settings.port,
        feed_port=settings.feed_port,
        launcher=_launcher(settings),
        accelerate=settings.accelerate_client,
    )


def _launcher(settings: Settings) -> Launcher:
    if settings.launcher == "auto":
        return "zygote" if sys.platform.startswith("linux") else "subprocess"
    return settings.launcher
