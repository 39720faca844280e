"""A whole server without processes and sockets: everything is real but the agent and the clock."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.applications import Starlette

from algohost.broker.accounts import PaperBrokers
from algohost.broker.clearing import Clearing
from algohost.broker.gateway import Gateway
from algohost.broker.governor import OrderGovernor
from algohost.broker.login import PaperLogin
from algohost.broker.openalgo_opening import Standing
from algohost.broker.risk import RiskGuard
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import StrategyId
from algohost.domain.orders import Book
from algohost.domain.users import User, paper_account
from algohost.host.accounts import Accounts
from algohost.host.auditing import Audit
from algohost.host.broker_sessions import BrokerSessions
from algohost.host.calendars import CalendarService
from algohost.host.checking import Checking
from algohost.host.environment_folders import EnvironmentFolders
from algohost.host.environments import Environments
from algohost.host.gates import Gates
from algohost.host.health import Activity
from algohost.host.identity import Identity
from algohost.host.inotify import FileWatcher
from algohost.host.kill_actions import KillActions
from algohost.host.kill_switch import KillSwitch
from algohost.host.launch import Folders, Launching
from algohost.host.launch_values import LaunchVariables
from algohost.host.live_gate import LiveGate
from algohost.host.logs import Logs
from algohost.host.master_contracts import MasterContracts
from algohost.host.modes import Modes
from algohost.host.notices import Notices
from algohost.host.reach import Ceilings
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry
from algohost.host.risk import RiskService
from algohost.host.scheduler import Scheduler
from algohost.host.strategies import StrategyService
from algohost.host.timetables import Timetables
from algohost.host.tokens import RunTokenIndex
from algohost.host.usage import UsageLog
from algohost.host.variables import VariableService
from algohost.host.views import StrategyView
from algohost.market.calendars import shipped
from algohost.market.synthetic import SyntheticMarket
from algohost.settings import Settings
from algohost.store import variables as stored_variables
from algohost.store.database import open_database
from algohost.store.vault import Vault
from algohost.testing.clock import FakeClock
from algohost.testing.contracts import FakeContracts
from algohost.testing.courier import FakeCourier
from algohost.testing.journal import MemoryJournal
from algohost.testing.keeper import FakeKeeper
from algohost.web.app import create_app
from tests.identity.world import PASSWORD, cheap_hasher
from tests.web.asgi import Browser

if TYPE_CHECKING:
    from algohost.web.services import Host

T = TypeVar("T")

CEILINGS = Ceilings(memory_mb=8192, threads=4096, open_files=16_384, disk_mb=10_240, log_mb=1024)
SOURCE = b"print('namaste')\n"


class World:
    """The server before anybody has set it up; ``people`` adds its users."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self.clock = FakeClock()
        self.keeper = FakeKeeper()
        self.market = SyntheticMarket(self.clock, seed=7)
        self.database = open_database(folder / "algohost.db")
        self.host = self.run(self._host(folder))
        self.app: Starlette = create_app(self.host)

    async def _host(self, folder: Path) -> "Host":
        self.courier = FakeCourier()
        folders = Folders(data=folder)
        self.watcher = FileWatcher()
        identity = Identity(self.database, self.clock, hasher=cheap_hasher())
        self.vault = Vault(
            folders.keys, has_sealed=lambda: self.database.read(stored_variables.any_sealed)
        )
        journal = MemoryJournal()
        registry = Registry([], [])
        launching = Launching(
            folders=folders,
            host="127.0.0.1",
            port=5000,
            feed_port=8765,
            launcher="subprocess",
            accelerate=False,
        )
        self.environments = Environments(
            clock=self.clock,
            database=self.database,
            registry=registry,
            folders=EnvironmentFolders(folders.environments),
            may_build=False,
            keep_days=30,
        )
        kill_switch = KillSwitch(
            clock=self.clock,
            database=self.database,
            registry=registry,
            accounts=lambda: [paper_account(user) for user in identity.users()],
        )
        broker_sessions = BrokerSessions(
            clock=self.clock,
            database=self.database,
            login=PaperLogin(),
            told_ahead=timedelta(minutes=30),
        )
        accounts = Accounts(
            clock=self.clock,
            database=self.database,
            vault=self.vault,
            registry=registry,
            live_brokers=["openalgo"],
            users=identity.users,
        )
        self.servers_asked: list[tuple[str, str]] = []
        """Addresses and keys with which servers of live accounts were asked."""
        self.server_says: Standing | AlgohostError = Standing(
            broker="zerodha", is_analyzing=False, available=Decimal(5000)
        )

        async def look(base_url: str, key: str, _reach: object) -> Standing:
            self.servers_asked.append((base_url, key))
            if isinstance(self.server_says, AlgohostError):
                raise self.server_says
            return self.server_says

        live_gate = LiveGate(clock=self.clock, accounts=accounts, look=look)
        accounts.listen(live_gate.forget)

        def refuse(book: Book) -> None:
            kill_switch.refuse_order(book)
            accounts.refuse_order(book)

        gates = Gates(
            {
                "the kill switch": kill_switch,
                "the broker session": broker_sessions,
                "the account": live_gate,
                "the environment": self.environments,
            }
        )
        self.reconciler = Reconciler(
            clock=self.clock,
            database=self.database,
            registry=registry,
            agent=self.keeper,
            launching=launching,
            environments=self.environments,
            gates=gates,
            variables=LaunchVariables(self.database, self.vault),
            token_index=RunTokenIndex(identity),
            grace_seconds=10,
        )
        strategies = StrategyService(
            clock=self.clock,
            database=self.database,
            registry=registry,
            reconciler=self.reconciler,
            ceilings=CEILINGS,
        )
        self.contract_source = FakeContracts(
            self.clock, instruments=tuple(self.market.instruments())
        )
        contracts = MasterContracts(
            clock=self.clock, database=self.database, source=self.contract_source
        )
        await contracts.step()
        calendars = CalendarService(clock=self.clock, database=self.database, tables=shipped())
        self.scheduler = Scheduler(
            clock=self.clock,
            database=self.database,
            registry=registry,
            calendars=calendars,
            wake=self.reconciler.look_at,
        )
        timetables = Timetables(
            clock=self.clock,
            database=self.database,
            registry=registry,
            strategies=strategies,
            calendars=calendars,
            gates=gates,
        )
        guard = RiskGuard(
            market=self.market,
            monotonic=self.clock.monotonic,
            accounts=lambda: [paper_account(user) for user in identity.users()],
        )
        governor = OrderGovernor(rate_of=lambda _account: 0)
        gateway = Gateway(
            journal=journal,
            market=self.market,
            open_broker=PaperBrokers(journal=journal, market=self.market).open,
            refuse=refuse,
            risk=guard,
            governor=governor,
        )
        guard.watch(gateway)
        parts = SimpleNamespace(
            clock=self.clock,
            settings=Settings(data_dir=folder, public_hosts=("algo.example",)),
            identity=identity,
            audit=Audit(self.database),
            calendars=calendars,
            timetables=timetables,
            master_contracts=contracts,
            strategies=strategies,
            environments=self.environments,
            gates=gates,
            checking=Checking(registry=registry, reconciler=self.reconciler),
            broker_sessions=broker_sessions,
            accounts=accounts,
            live_gate=live_gate,
            modes=Modes(
                clock=self.clock,
                database=self.database,
                registry=registry,
                strategies=strategies,
                accounts=accounts,
            ),
            kill_switch=kill_switch,
            variables=VariableService(
                clock=self.clock,
                database=self.database,
                vault=self.vault,
                strategies=strategies,
            ),
            notices=Notices(
                clock=self.clock,
                database=self.database,
                vault=self.vault,
                courier=self.courier,
            ),
            logs=Logs(folders.logs, self.watcher),
            gateway=gateway,
            governor=governor,
            risk=RiskService(
                clock=self.clock,
                database=self.database,
                registry=registry,
                guard=guard,
                accounts=lambda: [paper_account(user) for user in identity.users()],
                halt=strategies.halt,
            ),
            kill_actions=KillActions(
                clock=self.clock,
                tasks=kill_switch.tasks,
                registry=registry,
                trading=Clearing(gateway, self.market),
                accounts=lambda: [paper_account(user) for user in identity.users()],
                accounts_of=lambda strategy: [strategy.account],
                halt=strategies.halt,
            ),
            market=self.market,
            agent=self.keeper,
            usage=UsageLog(self.clock, self.database, registry),
            activity=Activity(self.clock.monotonic),
        )
        return cast("Host", parts)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns, on the server's loop."""
        return self._runner.run(work)

    def user(self, name: str, *, is_admin: bool = False) -> User:
        """A new user with ``PASSWORD``, whose paper account is open."""
        user = self.run(self.host.identity.create_user(name, PASSWORD, is_admin=is_admin))
        self.run(self.host.gateway.recover(paper_account(user)))
        return user

    def strategy(self, owner: User, name: str = "EMA") -> StrategyView:
        """A strategy that compiles."""
        return self.run(
            self.host.strategies.add(owner=owner, name=name, file_name="ema.py", content=SOURCE)
        )

    def browser(self, user: User | None = None, app: Starlette | None = None) -> Browser:
        """A browser in which ``user`` is logged in."""
        browser = Browser(app or self.app, self.run)
        if user is not None:
            session, secret = self.run(
                self.host.identity.log_in(user.name, PASSWORD, f"peer of {user.name}")
            )
            browser.cookies["algohost_session"] = secret
            browser.csrf = session.csrf
        return browser

    def settle(self, strategy_id: StrategyId) -> None:
        """Lets the reconciler look until it has nothing more to do."""
        for _ in range(3):
            self.run(self.reconciler.step(strategy_id))

    async def _close(self) -> None:
        await self.host.gateway.close()
        await self.host.identity.close()
        self.watcher.close()

    def close(self) -> None:
        """Lets everything go."""
        self.run(self._close())
        self.database.close()
        self._runner.close()
