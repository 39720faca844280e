"""A host whose strategies stand in every phase, for pages to be looked at without any process.

Identity, database, registry and logs are the real ones; what would start processes or trade is
played here, by the same rules of refusal.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from argon2 import PasswordHasher

from algohost.broker.clearing import Clearing
from algohost.broker.gateway import DayPnl, PositionView, Scope
from algohost.broker.governor import OrderGovernor
from algohost.broker.login import PaperLogin
from algohost.broker.openalgo_opening import look_at_server
from algohost.broker.risk import RiskGuard
from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import AccountId, OrderId, RunId, StrategyId, UserId, strategy_id
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderRequest,
    OrderStatus,
    Position,
    PriceType,
    Product,
    Trade,
)
from algohost.domain.runs import (
    Ended,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    Run,
    RunState,
    Started,
    StopAsked,
    apply,
)
from algohost.domain.strategies import Gate, Intent, Mode, Phase, SourceProblem, Strategy, Wanted
from algohost.domain.strategy_settings import Restart, StrategySettings
from algohost.domain.users import User, paper_account
from algohost.domain.variables import Variable, check_name, check_secret, check_value
from algohost.host import bundles
from algohost.host import source as source_text
from algohost.host.accounts import Accounts
from algohost.host.auditing import Audit
from algohost.host.broker_sessions import BrokerSessions
from algohost.host.calendars import CalendarService
from algohost.host.checking import Checked
from algohost.host.gates import Gates
from algohost.host.health import Activity
from algohost.host.identity import Identity
from algohost.host.inotify import FileWatcher
from algohost.host.kill_actions import KillActions
from algohost.host.kill_switch import KillSwitch
from algohost.host.live_gate import LiveGate
from algohost.host.logs import Logs
from algohost.host.master_contracts import MasterContracts
from algohost.host.modes import Modes
from algohost.host.registry import Registry
from algohost.host.risk import RiskService
from algohost.host.strategies import SourceFile
from algohost.host.usage import UsageLog
from algohost.host.views import StrategyView
from algohost.market.calendars import shipped
from algohost.settings import Settings
from algohost.store.database import open_database
from algohost.store.vault import Vault
from algohost.testing.contracts import FakeContracts
from algohost.web.services import Host
from tests.browser.fake_environments import FakeEnvironments
from tests.browser.fake_timetables import FakeTimetables

NAME, PASSWORD = "asha", "a quiet river at dawn"

CODE = '''"""EMA crossover on five-minute candles."""

import os
import time

from openalgo import api

SYMBOL = os.environ.get("SYMBOL", "RELIANCE")
FAST, SLOW, QUANTITY = 9, 21, 50

client = api(api_key=os.environ["OPENALGO_API_KEY"], host=os.environ["HOST_SERVER"])


class EmaCross:
    """Goes long on a golden cross, flat on a death cross."""

    def __init__(self, fast: int = FAST, slow: int = SLOW) -> None:
        self.fast, self.slow = fast, slow
        self.position = 0

    def on_bar(self, closes) -> str | None:
        fast = closes.ewm(span=self.fast).mean().iloc[-1]
        slow = closes.ewm(span=self.slow).mean().iloc[-1]
        if fast > slow and self.position == 0:
            return "BUY"
        if fast < slow and self.position > 0:
            return "SELL"
        return None


def main() -> None:
    strategy = EmaCross()
    while True:
        df = client.history(symbol=SYMBOL, exchange="NSE", interval="5m")
        action = strategy.on_bar(df["close"])  # one decision a bar
        if action:
            print(client.placeorder(symbol=SYMBOL, action=action, quantity=QUANTITY))
        time.sleep(60)


if __name__ == "__main__":
    main()
'''


class WallClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The present instant."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds for durations."""
        return asyncio.get_running_loop().time()


class FakeStrategies:
    """The service's face over a real registry; a start runs at once, a stop takes a moment."""

    def __init__(self, logs_folder: Path) -> None:
        self.registry = Registry([], [])
        self.sources: dict[str, str] = {}
        self.bundles: dict[str, bytes] = {}
        self.history: dict[str, list[Run]] = {}
        self.logs_folder = logs_folder
        self.listen = self.registry.listen
        self.listen_removed = self.registry.listen_removed
        self.numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def list(self, user: User) -> Sequence[StrategyView]:
        return [v for v in self.registry if user.is_admin or v.strategy.owner_id == user.id]

    def owns(self, user: User, wanted: str) -> bool:
        return any(view.strategy.id == wanted for view in self.list(user))

    def get(self, user: User, wanted: str) -> StrategyView:
        for view in self.list(user):
            if view.strategy.id == wanted:
                return view
        raise NotFound("There is no such strategy; it may have been deleted.")

    def source(self, user: User, wanted: str, file: str = "") -> str:
        if wanted in self.bundles:
            return bundles.unpack(self.bundles[wanted])[file or bundles.MAIN].decode()
        return self.sources[self.get(user, wanted).strategy.id]

    def files(self, user: User, wanted: str) -> Sequence[SourceFile]:
        only = {self.get(user, wanted).strategy.file_name: b""}
        found = bundles.unpack(self.bundles[wanted]) if wanted in self.bundles else only
        return [
            SourceFile(name=name, size=len(data), is_text=source_text.is_text(data))
            for name, data in sorted(found.items(), key=lambda one: one[0] != bundles.MAIN)
        ]

    def runs(self, user: User, wanted: str, *, limit: int = 50) -> Sequence[Run]:
        return self.history.get(self.get(user, wanted).strategy.id, [])[:limit]

    async def add(
        self, *, owner: User, name: str, file_name: str, content: bytes, exchange: str = "NSE"
    ) -> StrategyView:
        accepted = await source_text.prepare(file_name, content)
        plain, content = accepted.file_name, accepted.content
        problem = await source_text.find_problem(plain, content)
        is_bundle = bundles.is_bundle(content)
        source = "" if is_bundle else content.decode()
        view = self.put(owner, name, plain, source, exchange=exchange, problem=problem)
        if is_bundle:
            self.bundles[view.strategy.id] = content
        return view

    def put(
        self,
        owner: User,
        name: str,
        file_name: str,
        source: str,
        *,
        exchange: str = "NSE",
        problem: SourceProblem | None = None,
    ) -> StrategyView:
        self.numbers += 1
        now = datetime.now(UTC) - timedelta(days=3)
        new = Strategy(
            id=strategy_id(name, now, attempt=self.numbers),
            owner_id=owner.id,
            name=name,
            file_name=file_name,
            exchange=exchange,
            mode=Mode.PAPER,
            version_id=cast("Any", f"{self.numbers:02d}c4f1e8b07d" * 5),
            problem=problem,
            intent=Intent(number=0, wanted=Wanted.STOPPED, by=f"user:{owner.name}", at=now),
            created_at=now,
        )
        self.sources[new.id] = source
        self.history[new.id] = []
        return self.registry.put_strategy(new)

    async def save(
        self, user: User, wanted: str, content: bytes, *, file_name: str = ""
    ) -> StrategyView:
        accepted = await source_text.prepare(file_name, content)
        return await self._keep(self.get(user, wanted), accepted.file_name, accepted.content)

    async def _keep(self, view: StrategyView, file_name: str, content: bytes) -> StrategyView:
        self.bundles.pop(view.strategy.id, None)
        if bundles.is_bundle(content):
            self.bundles[view.strategy.id] = content
        else:
            self.sources[view.strategy.id] = content.decode()
        problem = await source_text.find_problem(file_name, content)
        changed = replace(view.strategy, problem=problem, file_name=file_name)
        return self.registry.put_strategy(changed)

    async def save_text(
        self, user: User, wanted: str, text: str, *, file: str = ""
    ) -> StrategyView:
        view = self.get(user, wanted)
        if view.phase not in {Phase.STOPPED, Phase.ERROR}:
            raise Conflict("It is running; stop it first.", code="STRATEGY_RUNNING")
        if wanted in self.bundles:
            edited = source_text.edited(self.bundles[wanted], file, text)
            return await self._keep(view, view.strategy.file_name, edited)
        problem = await source_text.find_problem(view.strategy.file_name, text.encode())
        self.sources[view.strategy.id] = text
        return self.registry.put_strategy(replace(view.strategy, problem=problem))

    async def start(self, user: User, wanted: str) -> StrategyView:
        view = self.get(user, wanted)
        if view.strategy.problem:
            raise Invalid("It is a draft; mend it and save.", code="SOURCE_PROBLEM")
        if view.phase not in {Phase.STOPPED, Phase.ERROR, Phase.BACKING_OFF}:
            raise Conflict("It is running already.", code="ALREADY_RUNNING")
        self.begin(view.strategy)
        return self.get(user, wanted)

    async def stop(self, user: User, wanted: str) -> StrategyView:
        view = self.get(user, wanted)
        run = view.latest
        now = datetime.now(UTC)
        if view.phase is Phase.BACKING_OFF:
            number = view.strategy.intent.number + 1
            intent = Intent(number=number, wanted=Wanted.STOPPED, by=f"user:{user.name}", at=now)
            return self.registry.put_strategy(replace(view.strategy, intent=intent))
        if run is None or not run.is_live:
            raise Conflict("It is not running.", code="NOT_RUNNING")
        self.show(apply(run, StopAsked(at=now, by=f"user:{user.name}")))
        self._later(0.4, lambda: self.end(view.strategy.id, Outcome(kind=OutcomeKind.STOPPED)))
        return self.get(user, wanted)

    async def halt(self, strategy_id: StrategyId, *, by: str) -> None:
        """As ``stop``, by the server itself."""
        switch = User(id=UserId("0"), name=by, is_admin=True, created_at=datetime.now(UTC))
        await self.stop(switch, strategy_id)

    async def configure(
        self, user: User, wanted: str, changes: Mapping[str, object]
    ) -> StrategyView:
        strategy = self.get(user, wanted).strategy
        settings = strategy.settings.with_changes(changes)
        return self.registry.put_strategy(replace(strategy, settings=settings))

    async def delete(self, user: User, wanted: str) -> None:
        self.registry.remove(self.get(user, wanted).strategy.id)

    def begin(self, strategy: Strategy, *, ago: timedelta = timedelta()) -> Run:
        """Makes a run that goes at once."""
        now = datetime.now(UTC) - ago
        number = strategy.intent.number + 1
        intent = Intent(number=number, wanted=Wanted.RUNNING, by="user:asha", at=now)
        self.registry.put_strategy(replace(strategy, intent=intent))
        self.numbers += 1
        run = Run(
            id=RunId(f"{self.numbers:016x}"),
            strategy_id=strategy.id,
            version_id=strategy.version_id,
            intent_number=number,
            created_at=now,
            log_name=f"{strategy.id}_{self.numbers}.log",
        )
        (self.logs_folder / run.log_name).touch()
        process = ProcessIdentity(boot_id="b", pid=4000 + self.numbers, start_ticks=1)
        run = apply(run, Started(at=now, process=process))
        self.history[strategy.id].insert(0, run)
        self.registry.put_run(run)
        return run

    def end(self, wanted: StrategyId, outcome: Outcome, *, ago: timedelta = timedelta()) -> None:
        """Ends the newest run of a strategy."""
        run = self.history[wanted][0]
        at = datetime.now(UTC) - ago
        peak = 57_300_000 + 91_000 * self.numbers
        self.show(apply(run, Ended(at=at, outcome=outcome, peak_memory_bytes=peak)))

    def back_off(self, wanted: StrategyId, outcome: Outcome, *, seconds: float) -> None:
        """Ends the newest run under a policy that restarts it after so many seconds."""
        strategy = self.registry.find(wanted)
        assert strategy is not None
        policy = StrategySettings(restart=Restart.ON_FAILURE)
        self.registry.put_strategy(replace(strategy.strategy, settings=policy))
        self.end(wanted, outcome)
        next_at = datetime.now(UTC) + timedelta(seconds=seconds)
        self.registry.put_gates(wanted, (), next_at=next_at)

    def show(self, run: Run) -> None:
        """Puts a changed run in its place."""
        self.history[run.strategy_id][0] = run
        self.registry.put_run(run)

    def write(self, run: Run, *lines: str) -> None:
        """Appends to the log as a script does."""
        with (self.logs_folder / run.log_name).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            do()

        task = asyncio.get_running_loop().create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class FakeVariables:
    """Variables and secrets in memory, by the real rules for names and values."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Variable]] = {}
        self.secrets: dict[str, str] = {}

    def list(self, user: User, wanted: str) -> Sequence[Variable]:
        return sorted(self.kept.get(wanted, {}).values(), key=lambda one: one.name)

    async def set_plain(self, user: User, wanted: str, values: dict[str, str]) -> None:
        for name, value in values.items():
            self._keep(wanted, check_name(name), check_value(value))

    async def set_secret(self, user: User, wanted: str, name: str, value: str) -> None:
        self.secrets[check_name(name)] = check_secret(value)
        self._keep(wanted, name, None)

    async def remove_plain(self, user: User, wanted: str, names: Sequence[str]) -> None:
        for name in names:
            del self.kept[wanted][name]

    remove_secrets = remove_plain

    def _keep(self, wanted: str, name: str, value: str | None) -> None:
        made = Variable(name=name, value=value, changed_at=datetime.now(UTC))
        self.kept.setdefault(wanted, {})[name] = made


@dataclass(kw_only=True)
class FakeGateway:
    """Orders, trades and positions that a test puts in."""

    placed: dict[OrderId, Order] = field(default_factory=dict)
    filled: list[Trade] = field(default_factory=list)
    held: dict[StrategyId, list[PositionView]] = field(default_factory=dict)
    listeners: list[Callable[[Order], None]] = field(default_factory=list)

    def listen(self, listener: Callable[[Order], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    async def recover(self, *_accounts: object) -> None:
        """Every account is open."""

    def orders(self, scope: Scope) -> Sequence[Order]:
        return [order for order in self.placed.values() if order.book in scope]

    def gtts(self, _scope: Scope) -> Sequence[object]:
        return []

    def trades(self, scope: Scope) -> Sequence[Trade]:
        return [trade for trade in self.filled if trade.book in scope]

    def positions(self, scope: Scope) -> Sequence[PositionView]:
        return [v for held in self.held.values() for v in held if v.position.book in scope]

    def holdings(self, scope: Scope) -> Sequence[PositionView]:
        return []

    def day_pnls(self, scope: Scope) -> dict[StrategyId | None, DayPnl]:
        gained: dict[StrategyId | None, DayPnl] = {}
        for view in self.positions(scope):
            book = view.position.book.strategy_id
            gained[book] = gained.get(book, DayPnl()) + DayPnl(
                realised=view.position.realised, unrealised=view.unrealised
            )
        return gained

    def add(self, user: User, wanted: StrategyId, **values: Any) -> Order:
        """Puts an order there, filled where it is complete, and tells the listeners."""
        now = datetime.now(UTC)
        number = len(self.placed) + 1
        status = values.pop("status", OrderStatus.COMPLETE)
        reason = values.pop("reason", "")
        ago = values.pop("ago", timedelta())
        price = values.pop("fill", Decimal("2914.55"))
        book = Book(account_id=paper_account(user), strategy_id=wanted)
        key = InstrumentKey(exchange=Exchange.NSE, symbol=values.pop("symbol", "RELIANCE"))
        request = OrderRequest(key=key, **{"action": Action.BUY, "quantity": 50, **values})
        is_done = status is OrderStatus.COMPLETE
        order = Order(
            id=OrderId(f"26112100{number:06d}"),
            book=book,
            request=request,
            status=status,
            placed_at=now - ago,
            updated_at=now - ago,
            filled_quantity=request.quantity if is_done else 0,
            average_price=price if is_done else Decimal(0),
            reason=reason,
        )
        self.placed[order.id] = order
        if is_done:
            self.filled.append(
                Trade(
                    id=f"T{number}",
                    order_id=order.id,
                    book=book,
                    key=key,
                    action=request.action,
                    product=request.product,
                    quantity=request.quantity,
                    price=price,
                    at=now - ago,
                )
            )
        for listener in tuple(self.listeners):
            listener(order)
        return order

    def hold(self, user: User, wanted: StrategyId, realised: str, last: str, **values: Any) -> None:
        """Sets the one position of a strategy."""
        position = Position(
            book=Book(account_id=paper_account(user), strategy_id=wanted),
            key=InstrumentKey(exchange=Exchange.NSE, symbol=values.pop("symbol", "RELIANCE")),
            product=Product.MIS,
            realised=Decimal(realised),
            **values,
        )
        self.held[wanted] = [PositionView(position=position, last=Decimal(last))]


class FakeMarket:
    """Open, and with a name."""

    name = "synthetic"

    def now(self) -> datetime:
        return datetime.now(UTC)

    def is_open(self, exchange: Exchange) -> bool:
        return exchange is Exchange.NSE

    def instruments(self) -> Sequence[object]:
        return ()


class FakeChecking:
    """Finds that what waits waits on."""

    def __init__(self, strategies: FakeStrategies) -> None:
        self._strategies = strategies

    async def check_and_start(self, user: User) -> Checked:
        waiting = [v for v in self._strategies.list(user) if v.phase is Phase.WAITING]
        return Checked(started=(), waiting=waiting)


@dataclass(kw_only=True)
class Stage:
    """The host with its played parts at hand."""

    host: Host
    strategies: FakeStrategies
    environments: FakeEnvironments
    variables: FakeVariables
    gateway: FakeGateway
    timetables: FakeTimetables
    watcher: FileWatcher
    user: User
    secret: str
    """The cookie of a session that is open already."""

    def close(self) -> None:
        self.watcher.close()


async def open_stage(folder: Path, *, port: int, has_user: bool = True) -> Stage:
    """A host with one administrator, unless that is to come, and no strategy."""
    logs_folder = folder / "logs"
    logs_folder.mkdir()
    clock, watcher = WallClock(), FileWatcher()
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    database = open_database(folder / "algohost.db")
    identity = Identity(database, clock, hasher=hasher)
    nobody = User(id=UserId("0"), name="nobody", is_admin=False, created_at=clock.now())
    token = identity.setup_token() or ""
    user = await identity.complete_setup(token, NAME, PASSWORD) if has_user else nobody
    _, secret = await identity.log_in(NAME, PASSWORD, "test") if has_user else (None, "")
    strategies, gateway = FakeStrategies(logs_folder), FakeGateway()
    variables = FakeVariables()
    environments = FakeEnvironments()
    calendars = CalendarService(clock=clock, database=database, tables=shipped())
    timetables = FakeTimetables(strategies, calendars)
    contracts = MasterContracts(clock=clock, database=database, source=FakeContracts(clock))
    await contracts.step()
    played = cast("Any", strategies), cast("Any", gateway), cast("Any", FakeMarket())
    broker_sessions = BrokerSessions(
        clock=clock,
        database=database,
        login=PaperLogin(),
        told_ahead=timedelta(minutes=30),
    )
    kill_switch = KillSwitch(
        clock=clock,
        database=database,
        registry=strategies.registry,
        accounts=lambda: [paper_account(one) for one in identity.users()],
    )

    def accounts() -> list[AccountId]:
        return [paper_account(one) for one in identity.users()]

    owned = Accounts(
        clock=clock,
        database=database,
        vault=Vault(folder / "keys", has_sealed=lambda: False),
        registry=strategies.registry,
        live_brokers=["openalgo"],
        users=identity.users,
    )
    guard = RiskGuard(market=played[2], monotonic=clock.monotonic, accounts=accounts)
    guard.watch(played[1])
    host = Host(
        clock=clock,
        settings=Settings(data_dir=folder, port=port),
        identity=identity,
        audit=Audit(database),
        calendars=calendars,
        master_contracts=contracts,
        strategies=played[0],
        timetables=cast("Any", timetables),
        environments=cast("Any", environments),
        gates=Gates({"the kill switch": kill_switch, "the broker session": broker_sessions}),
        checking=cast("Any", FakeChecking(strategies)),
        broker_sessions=broker_sessions,
        accounts=owned,
        live_gate=LiveGate(clock=clock, accounts=owned, look=look_at_server),
        modes=Modes(
            clock=clock,
            database=database,
            registry=strategies.registry,
            strategies=played[0],
            accounts=owned,
        ),
        kill_switch=kill_switch,
        kill_actions=KillActions(
            clock=clock,
            tasks=kill_switch.tasks,
            registry=strategies.registry,
            trading=Clearing(played[1], played[2]),
            accounts=accounts,
            accounts_of=lambda strategy: [strategy.account],
            halt=strategies.halt,
        ),
        risk=RiskService(
            clock=clock,
            database=database,
            registry=strategies.registry,
            guard=guard,
            accounts=accounts,
            halt=strategies.halt,
        ),
        governor=OrderGovernor(rate_of=lambda _account: 0),
        variables=cast("Any", variables),
        logs=Logs(logs_folder, watcher),
        gateway=played[1],
        market=played[2],
        agent=cast("Any", None),
        usage=UsageLog(clock, database, strategies.registry),
        activity=Activity(clock.monotonic),
        notices=cast("Any", None),
    )
    return Stage(
        host=host,
        strategies=strategies,
        environments=environments,
        variables=variables,
        gateway=gateway,
        timetables=timetables,
        watcher=watcher,
        user=user,
        secret=secret,
    )


def one_of_each_phase(stage: Stage) -> dict[str, StrategyId]:
    """Fills the stage; ids by a short word."""
    ids: dict[str, StrategyId] = {}
    service, user = stage.strategies, stage.user

    def put(word: str, name: str, file_name: str, **values: Any) -> Strategy:
        strategy = service.put(user, name, file_name, CODE, **values).strategy
        ids[word] = strategy.id
        return strategy

    put("stopped", "VWAP pullback", "vwap_pullback.py")
    draft = put(
        "draft",
        "Gap fade",
        "gap_fade.py",
        problem=SourceProblem(line=24, column=12, message="expected ':'"),
    )
    service.sources[draft.id] = CODE.replace("self.position == 0:", "self.position == 0")
    finished = put("finished", "End of day report", "eod_report.py")
    service.begin(finished, ago=timedelta(hours=1))
    done = Outcome(kind=OutcomeKind.EXITED, exit_code=0)
    service.end(finished.id, done, ago=timedelta(minutes=58))
    failed = put("error", "Iron condor weekly", "iron_condor_weekly.py", exchange="NFO")
    run = service.begin(failed, ago=timedelta(minutes=12))
    stamp = "2026-11-21 10:02:11 IST"
    service.write(
        run,
        f"{stamp} Traceback (most recent call last):",
        f'{stamp}   File "/strategies/iron_condor_weekly.py", line 6, in <module>',
        f"{stamp}     from openalgo import api",
        f"{stamp} ModuleNotFoundError: No module named 'talib'",
    )
    crash = Outcome(kind=OutcomeKind.EXITED, exit_code=1)
    service.end(failed.id, crash, ago=timedelta(minutes=11))
    waiting = put("waiting", "Short straddle 09:20", "short_straddle.py", exchange="NFO")
    now = datetime.now(UTC)
    wanted = Intent(number=1, wanted=Wanted.RUNNING, by="user:asha", at=now)
    service.registry.put_strategy(replace(waiting, intent=wanted))
    gate = Gate(code="AGENT_AWAY", sentence="The agent does not answer; it is being restarted.")
    service.registry.put_gates(waiting.id, (gate,))
    for number, (word, name) in enumerate(
        [("pairs", "Pairs HDFC–ICICI"), ("orb", "Opening range breakout"), ("rsi", "RSI reversion")]
    ):
        strategy = put(word, name, f"{word}_{number}.py")
        service.begin(strategy, ago=timedelta(minutes=17 + 40 * number))
        figures = ("-4218.35", "1811.20", "960.00")[number]
        stage.gateway.hold(user, strategy.id, figures, "1480.10", symbol="INFY")
        stage.gateway.add(user, strategy.id, symbol="INFY", fill=Decimal("1479.35"))
    stopping = put("stopping", "Momentum top ten", "momentum.py")
    run = service.begin(stopping, ago=timedelta(minutes=3))
    service.show(replace(run, state=RunState.STOPPING, stop_asked_at=now))
    _the_main_one(stage, put("running", "EMA crossover", "ema_crossover.py"))
    return ids


def _the_main_one(stage: Stage, strategy: Strategy) -> None:
    """A strategy with a history, a log, orders and a position."""
    service, gateway, user = stage.strategies, stage.gateway, stage.user
    endings = [
        Outcome(kind=OutcomeKind.STOPPED),
        Outcome(kind=OutcomeKind.EXITED, exit_code=0),
        Outcome(kind=OutcomeKind.EXITED, exit_code=1),
        Outcome(kind=OutcomeKind.SIGNALLED, signal=9),
        Outcome(kind=OutcomeKind.STOPPED),
    ]
    for days, ending in zip(range(5, 0, -1), endings, strict=True):
        service.begin(strategy, ago=timedelta(days=days))
        service.end(strategy.id, ending, ago=timedelta(days=days, hours=-6))
    run = service.begin(strategy, ago=timedelta(hours=2, minutes=14))
    at = datetime(2026, 11, 21, 9, 15, 2, tzinfo=UTC)
    kinds = ("INFO signal=HOLD fast=2914.89", "DEBUG 75 candles in 41 ms", "INFO position 50")
    for number in range(400):
        line = kinds[number % 3] if number % 57 else "WARNING the quote is 3.2 s old; bar skipped"
        line = line if number != 311 else "ERROR order refused: not enough funds"
        service.write(run, f"{at + timedelta(seconds=7 * number):%Y-%m-%d %H:%M:%S} IST {line}")
    strategy_id_ = strategy.id
    buy, sell = Action.BUY, Action.SELL
    limit = {"price_type": PriceType.LIMIT, "price": Decimal("2899.00")}
    gateway.add(user, strategy_id_, action=buy, ago=timedelta(minutes=95))
    gateway.add(user, strategy_id_, action=sell, ago=timedelta(minutes=70), fill=Decimal("2941.20"))
    gateway.add(
        user,
        strategy_id_,
        action=buy,
        quantity=40_000,
        ago=timedelta(minutes=41),
        status=OrderStatus.REJECTED,
        reason="Margin of ₹1,16,58,200.00 is needed and ₹98,41,300.00 is available.",
    )
    gateway.add(user, strategy_id_, action=buy, ago=timedelta(minutes=20), fill=Decimal("2908.10"))
    gateway.add(
        user, strategy_id_, action=sell, ago=timedelta(minutes=4), status=OrderStatus.OPEN, **limit
    )
    gateway.hold(
        user,
        strategy_id_,
        "123456.70",
        "2921.40",
        quantity=50,
        average_price=Decimal("2908.10"),
    )
