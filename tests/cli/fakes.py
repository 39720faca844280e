"""A host whose strategies start and stop in memory, and a real control server in front of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from algohost.cli.control_server import ControlServer
from algohost.domain.errors import Conflict, Invalid, NotFound, Unavailable
from algohost.domain.ids import RunId, StrategyId, UserId, VersionId, strategy_id
from algohost.domain.runs import Outcome, OutcomeKind, ProcessIdentity, Run, RunState
from algohost.domain.strategies import Intent, Mode, SourceProblem, Strategy, Wanted
from algohost.domain.users import User
from algohost.host.inotify import FileWatcher
from algohost.host.logs import Logs
from algohost.host.views import StrategyView
from algohost.settings import Settings
from algohost.testing.clock import FakeClock

if TYPE_CHECKING:
    from algohost.web.services import Host

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


class FakeIdentity:
    def __init__(self, names: Sequence[tuple[str, bool]]) -> None:
        self.known = [
            User(id=UserId(f"u{n}"), name=name, is_admin=is_admin, created_at=NOW)
            for n, (name, is_admin) in enumerate(names)
        ]

    def users(self) -> Sequence[User]:
        return tuple(self.known)

    def user(self, user_id: UserId) -> User:
        return next(u for u in self.known if u.id == user_id)

    def has_users(self) -> bool:
        return bool(self.known)

    def setup_token(self) -> str | None:
        return None if self.known else "one-time"

    async def create_user(self, name: str, password: str, *, is_admin: bool) -> User:
        if len(password) < 10:
            raise Invalid("The password must have 10 characters.", code="BAD_PASSWORD")
        user = User(id=UserId(f"u{len(self.known)}"), name=name, is_admin=is_admin, created_at=NOW)
        self.known.append(user)
        return user

    async def new_key(self, user_id: UserId) -> str:
        return f"key-of-{user_id}"


class FakeStrategies:
    def __init__(self) -> None:
        self.views: dict[str, StrategyView] = {}
        self.fails_to_start = False

    def list(self, user: User) -> Sequence[StrategyView]:
        return [v for v in self.views.values() if user.is_admin or v.strategy.owner_id == user.id]

    def get(self, user: User, wanted: str) -> StrategyView:
        view = self.views.get(wanted)
        if view is None or view not in self.list(user):
            raise NotFound("There is no such strategy.", code="NO_STRATEGY")
        return view

    def runs(self, user: User, wanted: str, *, limit: int = 50) -> Sequence[Run]:
        latest = self.get(user, wanted).latest
        return [latest][:limit] if latest else []

    async def add(
        self, *, owner: User, name: str, file_name: str, content: bytes, exchange: str
    ) -> StrategyView:
        problem = None
        try:
            compile(content, file_name, "exec")
        except SyntaxError as error:
            problem = SourceProblem(line=error.lineno or 1, column=1, message=error.msg)
        strategy = Strategy(
            id=strategy_id(name, NOW),
            owner_id=owner.id,
            name=name,
            file_name=file_name,
            exchange=exchange,
            mode=Mode.PAPER,
            version_id=VersionId("0" * 64),
            problem=problem,
            intent=Intent(number=0, wanted=Wanted.STOPPED, by="user:x", at=NOW),
            created_at=NOW,
        )
        return self.put(StrategyView(strategy=strategy, latest=None))

    async def start(self, user: User, wanted: str) -> StrategyView:
        view = self.get(user, wanted)
        if view.latest is not None and view.latest.is_live:
            raise Conflict(
                "It is running already.", code="ALREADY_RUNNING", details={"run_id": "r"}
            )
        intent = replace(view.strategy.intent, number=view.strategy.intent.number + 1)
        strategy = replace(view.strategy, intent=replace(intent, wanted=Wanted.RUNNING))
        run = Run(
            id=RunId("00000000000000aa"),
            strategy_id=strategy.id,
            version_id=strategy.version_id,
            intent_number=strategy.intent.number,
            created_at=NOW,
            log_name=f"{strategy.id}.log",
        )
        if self.fails_to_start:
            outcome = Outcome(kind=OutcomeKind.FAILED_TO_START, reason="no such interpreter")
            run = replace(run, state=RunState.ENDED, ended_at=NOW, outcome=outcome)
        else:
            process = ProcessIdentity(boot_id="b", pid=4321, start_ticks=1)
            run = replace(run, state=RunState.RUNNING, started_at=NOW, process=process)
        return self.put(StrategyView(strategy=strategy, latest=run))

    async def stop(self, user: User, wanted: str) -> StrategyView:
        view = self.get(user, wanted)
        if view.latest is None or not view.latest.is_live:
            raise Conflict("It is not running.", code="NOT_RUNNING")
        ended = replace(
            view.latest,
            state=RunState.ENDED,
            ended_at=NOW,
            outcome=Outcome(kind=OutcomeKind.STOPPED),
        )
        return self.put(replace(view, latest=ended))

    async def delete(self, user: User, wanted: str) -> None:
        self.get(user, wanted)
        del self.views[wanted]

    async def settled(self, wanted: StrategyId, *, timeout_seconds: float) -> StrategyView:
        return self.views[wanted]

    def put(self, view: StrategyView) -> StrategyView:
        self.views[view.strategy.id] = view
        return view


class ClosedGateway:
    """Can read no account: orders and P&L of a strategy are unknown."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def orders(self, scope: object) -> Sequence[object]:
        raise Unavailable("The account cannot be read now.")

    async def recover(self, account_id: str) -> None:
        self.opened.append(account_id)


class FakeUsage:
    """Nothing was ever measured."""

    def history(self, run_id: str, *, since: object) -> Sequence[object]:
        return ()

    def events(self, run_id: str) -> Sequence[object]:
        return ()

    def newest(self, run_id: str) -> None:
        return None

    before = newest


class FakeHost:
    """What the control server needs of a host."""

    def __init__(
        self, data_dir: Path, users: Sequence[tuple[str, bool]] = (("ann", True),)
    ) -> None:
        self.settings = Settings(data_dir=data_dir)
        self.identity = FakeIdentity(users)
        self.strategies = FakeStrategies()
        self.agent = SimpleNamespace(is_connected=True)
        self.variables = SimpleNamespace(trouble=lambda: None)
        self.gateway = ClosedGateway()
        self.usage = FakeUsage()
        self.clock = FakeClock()
        self.log_folder = data_dir / "log"
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self.logs: Any = None
        self.ends = threading.Event()


@contextmanager
def control_server(
    host: FakeHost, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Iterator[FakeHost]:
    """Serves ``host`` on a thread of its own, holding the data directory as a server does."""
    up, over = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def end() -> None:
        host.ends.set()
        over.set()

    async def serve() -> None:
        watcher = FileWatcher()
        host.logs = Logs(host.log_folder, watcher)
        server = ControlServer(cast("Host", host), host.settings.data_dir, end=end)
        await server.start()
        up.set()
        while not over.is_set():
            await asyncio.sleep(0.005)
        await server.stop()
        watcher.close()

    def run() -> None:
        from algohost.cli.rundir import RunDir

        run_dir = RunDir(host.settings.data_dir)
        run_dir.make()
        try:
            with run_dir.locked(), asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failures.append(error)
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait(10)
    try:
        if not failures:
            yield host
    finally:
        over.set()
        thread.join(10)
    if failures:
        raise failures[0]
