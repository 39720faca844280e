"""A host without processes: real database, registry, reconciler and commands, a fake agent."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from sqlalchemy import text

from algohost.domain.ids import RunId, UserId
from algohost.domain.restarts import MOST_REMEMBERED, Backoff
from algohost.domain.strategies import Strategy
from algohost.domain.users import User
from algohost.host.environment_folders import EnvironmentFolders
from algohost.host.environments import Environments
from algohost.host.gates import LOOK_SECONDS, Gates, GateSource
from algohost.host.launch import Folders, Launching
from algohost.host.launch_values import LaunchVariables
from algohost.host.reach import Ceilings
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry
from algohost.host.strategies import StrategyService
from algohost.host.variables import VariableService
from algohost.host.views import StrategyView
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store import variables as stored_variables
from algohost.store.database import Database, open_database
from algohost.store.vault import Vault
from algohost.testing.clock import FakeClock
from algohost.testing.keeper import FakeKeeper

AT = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
ASHA = User(id=UserId("asha"), name="asha", is_admin=True, created_at=AT)
RAVI = User(id=UserId("ravi"), name="ravi", is_admin=False, created_at=AT)
CEILINGS = Ceilings(memory_mb=8192, threads=4096, open_files=16_384, disk_mb=10_240, log_mb=1024)
SOURCE = b"print('namaste')\n"


class Tokens:
    """Which run tokens are good."""

    def __init__(self) -> None:
        self.live: dict[RunId, str] = {}

    def add_run_token(self, token_hash: str, strategy: Strategy, run_id: RunId) -> None:
        self.live[run_id] = token_hash

    def drop_run_token(self, run_id: RunId) -> None:
        self.live.pop(run_id, None)


class HostUnderTest:
    """Can be killed at any moment and made anew on the same database and the same agent."""

    def __init__(
        self,
        folder: Path,
        *,
        backoff: Backoff = Backoff(),  # noqa: B008
        gates: Mapping[str, GateSource] | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """``gates`` beyond that of the environment; they outlive a restart of the server."""
        self.folder = folder
        self.backoff = backoff
        self.more_gates = dict(gates or {})
        self.look_seconds = look_seconds
        self.keeper = FakeKeeper()
        self.clock = FakeClock(AT)
        self._task: asyncio.Future[tuple[None, None]] | None = None
        self._open()
        insert = text("INSERT INTO users VALUES (:id, :id, 'h', :admin, '2026-11-23')")
        rows = [{"id": user.id, "admin": user.is_admin} for user in (ASHA, RAVI)]
        self.database.write_now(lambda c: c.execute(insert, rows))

    def _open(self) -> None:
        self.database: Database = open_database(self.folder / "algohost.db")
        self.registry = Registry(
            self.database.read(stored_strategies.everything),
            self.database.read(stored_runs.latest_of_each),
            self.database.read(lambda c: stored_runs.restarts_of_each(c, limit=MOST_REMEMBERED)),
        )
        self.tokens = Tokens()
        self.vault = Vault(
            self.folder / "keys",
            has_sealed=lambda: self.database.read(stored_variables.any_sealed),
        )
        self.environments = Environments(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            folders=EnvironmentFolders(self.folder / "environments"),
            may_build=False,
            keep_days=30,
        )
        self.gates = Gates(
            {**self.more_gates, "the environment": self.environments},
            look_seconds=self.look_seconds,
        )
        self.reconciler = Reconciler(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            agent=self.keeper,
            launching=Launching(
                folders=Folders(data=self.folder),
                host="127.0.0.1",
                port=5000,
                feed_port=8765,
                launcher="zygote",
                accelerate=True,
            ),
            variables=LaunchVariables(self.database, self.vault),
            environments=self.environments,
            gates=self.gates,
            token_index=self.tokens,
            grace_seconds=10,
            backoff=self.backoff,
        )
        self.environments.listen(self.reconciler.look_at)
        self.gates.listen(self.reconciler.look_at_waiting)
        self.service = StrategyService(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            reconciler=self.reconciler,
            ceilings=CEILINGS,
        )
        self.variables = VariableService(
            clock=self.clock,
            database=self.database,
            vault=self.vault,
            strategies=self.service,
        )

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.halt()
        self.database.close()

    def begin(self) -> None:
        """Starts the reconciler's loop, as the server does once the agent answers."""
        self._task = asyncio.gather(self.reconciler.run(), self.environments.run())
        self.reconciler.look_at_all()

    async def halt(self) -> None:
        """Ends the loop wherever it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.gates.close()

    async def kill_and_restart(self) -> None:
        """The server dies; a new one finds what is on disk."""
        await self.halt()
        self.database.close()
        self._open()
        self.begin()

    async def add(self, name: str = "EMA", owner: User = ASHA) -> StrategyView:
        """A strategy that compiles."""
        return await self.service.add(owner=owner, name=name, file_name="ema.py", content=SOURCE)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits, at most 5 s, until something is so."""
        deadline = asyncio.get_running_loop().time() + 5
        while not holds():
            if asyncio.get_running_loop().time() > deadline:
                views = [(v.strategy.id, v.phase.value) for v in self.registry]
                raise AssertionError(f"not within 5 s: {what}; {views}; {self.keeper.known}")
            await asyncio.sleep(0.002)
