"""The one place that knows how the parts meet. Nothing happens at import."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass

from algohost.bootstrap_trading import broker_sessions, open_trading
from algohost.domain.health import Rules
from algohost.domain.ids import RunId
from algohost.domain.ports import Clock
from algohost.domain.restarts import MOST_REMEMBERED
from algohost.domain.runs import Run
from algohost.host import configured
from algohost.host.agent_watch import AgentWatch
from algohost.host.auditing import Audit
from algohost.host.calendars import CalendarService
from algohost.host.checking import Checking
from algohost.host.clock import SystemClock
from algohost.host.environment_folders import EnvironmentFolders
from algohost.host.environments import Environments
from algohost.host.gates import Gates
from algohost.host.health import Activity, HealthWatch
from algohost.host.identity import Identity
from algohost.host.inotify import FileWatcher
from algohost.host.known_secrets import KnownSecrets
from algohost.host.launch import Folders
from algohost.host.launch_values import LaunchVariables
from algohost.host.live_watch import LiveWatch
from algohost.host.log_scrub import LogScrubber
from algohost.host.logs import Logs
from algohost.host.notices import Notices
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry
from algohost.host.retention import Retention
from algohost.host.scheduler import Scheduler
from algohost.host.strategies import StrategyService
from algohost.host.timetables import Timetables
from algohost.host.tokens import RunTokenIndex
from algohost.host.usage import UsageLog
from algohost.host.variables import VariableService
from algohost.market import MarketService, open_market
from algohost.market.calendars import shipped
from algohost.settings import Settings
from algohost.store import run_logs
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database, open_database
from algohost.store.vault import Vault
from algohost.web.services import Host

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


@contextlib.contextmanager
def open_audit(settings: Settings) -> Iterator[Audit]:
    """The audit without a server. Raises ``Unavailable`` as ``open_database`` does."""
    database = open_database(Folders(data=settings.data_dir).database)
    try:
        yield Audit(database)
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
    secrets: KnownSecrets
    registry: Registry
    scrubber: LogScrubber


@contextlib.asynccontextmanager
async def open_host(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Host]:
    """The parts of one server, alive for as long as the block lasts; runs outlive it.

    Raises ``Unavailable`` for a database and ``Invalid`` for a market that cannot be opened.
    The caller holds the data directory.
    """
    clock = clock or SystemClock()
    market = await asyncio.to_thread(_open_market, settings, clock)
    with _storage(settings, clock) as base, contextlib.closing(FileWatcher()) as watcher:
        calendars = CalendarService(clock=clock, database=base.database, tables=shipped())
        trading = await open_trading(
            settings,
            clock=clock,
            database=base.database,
            registry=base.registry,
            market=market,
            vault=base.vault,
            calendars=calendars,
        )
        identity, gateway = trading.identity, trading.gateway
        agent, logs = _agent(base), _logs(base, watcher)
        usage, activity = UsageLog(clock, base.database, base.registry), Activity(clock.monotonic)
        agent.on_usage(_health(base, agent, usage, activity).hear)
        environments = _environments(base)
        sessions = broker_sessions(settings, clock=clock, database=base.database)
        contracts = trading.contracts(settings, base.folders.data / "contracts", calendars)
        gates = trading.gates(sessions, calendars, contracts, environments)
        reconciler = _reconciler(base, identity, agent, logs, environments, gates)
        strategies, variables = _strategies(base, reconciler)
        scheduler = _scheduler(base, calendars, reconciler)
        audit = Audit(base.database)
        host = Host(
            clock=clock,
            settings=settings,
            identity=identity,
            audit=audit,
            calendars=calendars,
            master_contracts=contracts,
            strategies=strategies,
            timetables=Timetables(
                clock=clock,
                database=base.database,
                registry=base.registry,
                strategies=strategies,
                calendars=calendars,
                gates=gates,
            ),
            environments=environments,
            gates=gates,
            checking=Checking(registry=base.registry, reconciler=reconciler),
            broker_sessions=sessions,
            accounts=trading.user_accounts,
            live_gate=trading.live_gate,
            modes=trading.modes(strategies),
            kill_switch=trading.kill_switch,
            kill_actions=trading.kill_actions(strategies),
            risk=trading.limits(strategies),
            governor=trading.governor,
            variables=variables,
            notices=Notices(
                clock=clock,
                database=base.database,
                vault=base.vault,
                courier=configured.courier(settings),
            ),
            logs=logs,
            gateway=gateway,
            market=market,
            agent=agent,
            usage=usage,
            activity=activity,
        )
        loops = (
            host.market,
            contracts,
            scheduler,
            reconciler,
            sessions,
            environments,
            usage,
            audit,
            host.risk,
            host.kill_actions,
            trading.paper_day,
            host.notices,
            LiveWatch(accounts=trading.user_accounts, gateway=gateway, send=host.notices.send),
            _retention(base),
            base.scrubber,
        )
        async with _running(agent.watch(), *(one.run() for one in loops)):
            yield host
        await gates.close()
        await gateway.close()
        await identity.close()


@contextlib.contextmanager
def _storage(settings: Settings, clock: Clock) -> Iterator[_Base]:
    folders = Folders(data=settings.data_dir)
    folders.refuse_lost_database()
    database = open_database(folders.database)
    try:
        vault = configured.prepared_vault(database, folders)
        secrets = KnownSecrets(database, vault)
        registry = Registry(
            database.read(stored_strategies.everything),
            database.read(stored_runs.latest_of_each),
            database.read(lambda c: stored_runs.restarts_of_each(c, limit=MOST_REMEMBERED)),
        )
        yield _Base(
            settings=settings,
            clock=clock,
            folders=folders,
            database=database,
            vault=vault,
            secrets=secrets,
            registry=registry,
            scrubber=LogScrubber(folder=folders.logs, registry=registry, cover=secrets.cover),
        )
    finally:
        database.close()


def _agent(base: _Base) -> AgentWatch:
    return AgentWatch(
        base.folders.agent,
        launcher=configured.launcher(base.settings),
        usage_seconds=base.settings.usage_seconds,
    )


def _logs(base: _Base, watcher: FileWatcher) -> Logs:
    def kept(run_id: RunId) -> list[str] | None:
        return base.database.read(lambda c: run_logs.tail_of(c, run_id))

    secrets = base.secrets
    return Logs(
        base.folders.logs, watcher, kept=kept, cover=secrets.cover, secrets_of=secrets.values
    )


def _retention(base: _Base) -> Retention:
    return Retention(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        folder=base.folders.logs,
        keeping=configured.keeping(base.settings),
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
    base: _Base,
    identity: Identity,
    agent: AgentWatch,
    logs: Logs,
    environments: Environments,
    gates: Gates,
) -> Reconciler:
    def last_lines(run: Run) -> Sequence[str]:
        base.scrubber.before_the_end(run)
        return logs.last_lines(run)

    tokens = RunTokenIndex(identity)
    live = {view.latest.id: view.strategy for view in base.registry if view.latest is not None}
    tokens.restore(base.database.read(stored_runs.live_token_hashes), live)
    reconciler = Reconciler(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        agent=agent,
        launching=configured.launching(base.settings, base.folders),
        variables=LaunchVariables(base.database, base.vault, heard=base.secrets.add),
        token_index=tokens,
        grace_seconds=base.settings.stop_grace_seconds,
        environments=environments,
        gates=gates,
        last_lines=last_lines,
        hide=base.secrets.hidden,
    )
    environments.listen(reconciler.look_at)
    gates.listen(reconciler.look_at_waiting)
    return reconciler


def _scheduler(base: _Base, calendars: CalendarService, reconciler: Reconciler) -> Scheduler:
    return Scheduler(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        calendars=calendars,
        wake=reconciler.look_at,
    )


def _strategies(base: _Base, reconciler: Reconciler) -> tuple[StrategyService, VariableService]:
    strategies = StrategyService(
        clock=base.clock,
        database=base.database,
        registry=base.registry,
        reconciler=reconciler,
        ceilings=configured.ceilings(base.settings),
    )
    variables = VariableService(
        clock=base.clock,
        database=base.database,
        vault=base.vault,
        strategies=strategies,
        before_change=base.secrets.learn,
    )
    return strategies, variables


@contextlib.contextmanager
def open_vault(settings: Settings) -> Iterator[tuple[Database, Vault]]:
    """Database and vault without a server. Raises ``Unavailable`` as their openings do."""
    folders = Folders(data=settings.data_dir)
    database = open_database(folders.database)
    try:
        yield database, configured.vault_of(database, folders)
    finally:
        database.close()


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
