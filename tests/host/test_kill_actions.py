"""What a kill switch is asked for beyond holding back: done in order and to the end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from decimal import Decimal
from pathlib import Path

import pytest

from algohost.broker.accounts import PaperBrokers
from algohost.broker.clearing import Clearing
from algohost.broker.gateway import Gateway
from algohost.broker.views import Scope
from algohost.domain.errors import Conflict, Forbidden, Unavailable
from algohost.domain.gtt import GttKind, GttLeg, GttRequest, GttStatus
from algohost.domain.ids import OrderId, RunId, StrategyId
from algohost.domain.instruments import Exchange
from algohost.domain.kill_switch import (
    WHOLE_HOST,
    KillReport,
    KillScope,
    KillState,
    KillStep,
    KillTarget,
    KillTask,
    steps_of,
)
from algohost.domain.orders import Action, Book, Order, OrderStatus, Position, Product
from algohost.domain.strategies import Phase
from algohost.domain.users import User, paper_account
from algohost.exchange.fills import AT_TOUCH
from algohost.host.kill_actions import BY, KillActions, KillPoint
from algohost.host.kill_switch import KillSwitch, refuse_host
from algohost.store import host_events
from algohost.store import kill_tasks as stored
from algohost.store.orders import StoredOrderJournal
from algohost.testing.keeper import FakeKeeper
from algohost.testing.market import TableMarket
from tests.exchange.desk import INFY, INSTRUMENTS, TCS, request
from tests.host.harness import ASHA, AT, RAVI, HostUnderTest

EVERYTHING = tuple(KillStep)
RAVIS = KillTarget(scope=KillScope.ACCOUNT, id=paper_account(RAVI))


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


class PromptKeeper(FakeKeeper):
    """Runs that end as soon as they are asked to."""

    async def stop(self, run_id: RunId, *, grace_seconds: float, by: str) -> None:
        await super().stop(run_id, grace_seconds=grace_seconds, by=by)
        asyncio.get_running_loop().call_soon(self.exits, run_id)


class Stage:
    """A host with strategies, a gateway, a kill switch and what carries out what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.host = HostUnderTest(folder)
        self.host.keeper = PromptKeeper()
        self.host.database.close()
        self.host._open()
        self.market = TableMarket(INSTRUMENTS.values(), at=AT)
        for key, last in ((INFY, "100"), (TCS, "200")):
            self.market.show(key, last=last)
        self.market.tick()
        self.sent: list[Order] = []
        self.loop_task: asyncio.Task[None] | None = None
        self.reached: Callable[[KillPoint], None] = lambda _point: None

    async def open(self) -> None:
        """The parts that a start of the server makes, and the loop."""
        host = self.host
        accounts = [paper_account(ASHA), paper_account(RAVI)]
        self.switch = KillSwitch(
            clock=host.clock,
            database=host.database,
            registry=host.registry,
            accounts=lambda: accounts,
        )
        journal = StoredOrderJournal(host.database)
        self.gateway = Gateway(
            journal=journal,
            market=self.market,
            open_broker=PaperBrokers(journal=journal, market=self.market, fills=AT_TOUCH).open,
            refuse=self.switch.refuse_order,
        )
        self.gateway.listen(self.sent.append)
        for account in accounts:
            await self.gateway.recover(account)
        self.actions = KillActions(
            clock=host.clock,
            tasks=self.switch.tasks,
            registry=host.registry,
            trading=Clearing(self.gateway, self.market),
            accounts=lambda: accounts,
            accounts_of=lambda strategy: [strategy.account],
            halt=host.service.halt,
            reached=lambda point: self.reached(point),
        )
        self.loop_task = asyncio.create_task(self.actions.run())

    async def close(self) -> None:
        """The end of the loop and of the gateway."""
        assert self.loop_task is not None
        self.loop_task.cancel()
        await asyncio.gather(self.loop_task, return_exceptions=True)
        await self.gateway.close()

    async def restart(self) -> None:
        """The server dies and comes back on what is on disk."""
        await self.close()
        await self.host.kill_and_restart()
        self.sent.clear()
        await self.open()

    async def busy(self, name: str, owner: User = ASHA) -> StrategyId:
        """A strategy that runs, holds 10 of INFY and has an order open."""
        strategy = (await self.host.add(name, owner=owner)).strategy
        await self.host.service.start(owner, strategy.id)
        await self.host.service.settled(strategy.id, timeout_seconds=5)
        book = Book(account_id=strategy.account, strategy_id=strategy.id)
        await self.gateway.place(book, request("BUY 10 MARKET"))
        await self.gateway.place(book, request("BUY 5 LIMIT 90"))
        return strategy.id

    def left(self, owner: User = ASHA) -> tuple[int, int]:
        """Open orders, and units held, of an account."""
        scope = Scope(account_id=paper_account(owner))
        working = [one for one in self.gateway.orders(scope) if not one.status.is_final]
        held = sum(abs(one.position.quantity) for one in self.gateway.positions(scope))
        return len(working), held

    def phase(self, strategy_id: StrategyId) -> Phase:
        view = self.host.registry.find(strategy_id)
        assert view is not None
        return view.phase

    def task(self, target: KillTarget) -> KillTask:
        found = self.switch.tasks.find(target)
        assert found is not None
        return found

    async def until_state(self, target: KillTarget, state: KillState) -> KillTask:
        await self.host.until(lambda: self.task(target).state is state, f"{state}")
        return self.task(target)


def play(folder: Path, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage(folder)
        async with stage.host:
            await stage.open()
            await scenario(stage)
            await stage.close()

    asyncio.run(main())


def test_everything_that_is_asked_for_is_done_and_said(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        ids = [await stage.busy(name) for name in ("one", "two", "three")]
        other = await stage.busy("other", RAVI)
        assert stage.left() == (3, 30)
        target = stage.switch.target(ASHA, "account")
        await stage.switch.engage(ASHA, target, reason="Enough", steps=EVERYTHING)
        task = await stage.until_state(target, KillState.DONE)
        assert task.report == KillReport(cancelled=3, closed=3, stopped=3)
        assert stage.left() == (0, 0)
        assert {stage.phase(one) for one in ids} == {Phase.STOPPED}
        by = [view.strategy.intent.by for view in stage.host.registry if view.strategy.id in ids]
        assert by == [BY] * 3
        assert (stage.left(RAVI), stage.phase(other)) == ((1, 10), Phase.RUNNING)
        events = stage.host.database.read(lambda c: host_events.of_subject(c, target.id))
        assert [one.kind for one in events] == ["kill_done", "kill_switch_engaged"]
        assert "3 orders cancelled, 3 closing orders traded, 3 strategies stopped." in (
            events[0].sentence
        )
        with pytest.raises(Conflict):
            stage.switch.refuse_order(Book(account_id=paper_account(ASHA), strategy_id=None))

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("steps", "left", "phase"),
    [
        ([], (1, 10), Phase.RUNNING),
        ([KillStep.CANCEL], (0, 10), Phase.RUNNING),
        ([KillStep.FLATTEN], (0, 0), Phase.RUNNING),
        ([KillStep.STOP], (1, 10), Phase.STOPPED),
        ([KillStep.STOP, KillStep.CANCEL], (0, 10), Phase.STOPPED),
    ],
)
def test_only_what_was_asked_for_is_done(
    tmp_path: Path, steps: list[KillStep], left: tuple[int, int], phase: Phase
) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.busy("one")
        target = stage.switch.target(ASHA, "strategy", made)
        await stage.switch.engage(ASHA, target, steps=steps)
        if steps:
            task = await stage.until_state(target, KillState.DONE)
            assert task.steps == steps_of(steps)
        else:
            assert stage.switch.tasks.find(target) is None
        assert (stage.left(), stage.phase(made)) == (left, phase)

    play(tmp_path, scenario)


def test_a_strategys_switch_leaves_the_other_books_of_the_account_alone(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        mine, other = await stage.busy("mine"), await stage.busy("other")
        account = paper_account(ASHA)
        await stage.gateway.place(
            Book(account_id=account, strategy_id=None), request("BUY 7 MARKET")
        )
        target = stage.switch.target(ASHA, "strategy", mine)
        await stage.switch.engage(ASHA, target, steps=EVERYTHING)
        await stage.until_state(target, KillState.DONE)
        assert (stage.left(), stage.phase(other)) == ((1, 17), Phase.RUNNING)

    play(tmp_path, scenario)


def test_a_drill_says_what_there_is_and_does_nothing(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.busy("one")
        target = stage.switch.target(ASHA, "account")
        before = stage.left(), len(stage.sent)
        left = stage.actions.drill(target, EVERYTHING)
        assert [order.request.quantity for order in left.orders] == [5]
        assert [one.quantity for one in left.positions] == [10]
        assert [view.strategy.id for view in left.strategies] == [made]
        assert stage.actions.drill(target, [KillStep.STOP]).orders == []
        assert (stage.left(), len(stage.sent)) == before
        assert (stage.switch.engaged(ASHA), stage.switch.tasks.all()) == ([], [])
        with pytest.raises(Forbidden):
            refuse_host(RAVI, WHOLE_HOST)

    play(tmp_path, scenario)


class CrashOnce:
    """Ends the process at a point; from then on it does nothing more."""

    def __init__(self, point: KillPoint) -> None:
        self.happened = False
        self._point = point

    def __call__(self, point: KillPoint) -> None:
        self.happened = self.happened or point is self._point
        if self.happened:
            raise Crash(point)


@pytest.mark.parametrize("point", KillPoint)
def test_after_a_crash_between_any_steps_it_goes_on_to_the_end_and_nothing_is_done_twice(
    tmp_path: Path, point: KillPoint
) -> None:
    async def scenario(stage: Stage) -> None:
        ids = [await stage.busy(name) for name in ("one", "two")]
        crash = CrashOnce(point)
        stage.reached = crash
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
        await stage.host.until(lambda: crash.happened, "the crash")
        stage.reached = lambda _point: None
        await stage.restart()
        await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert stage.left() == (0, 0)
        assert {stage.phase(one) for one in ids} == {Phase.STOPPED}
        scope = Scope(account_id=paper_account(ASHA))
        closings = [o for o in stage.gateway.orders(scope) if o.request.label == "kill switch"]
        assert [one.status for one in closings] == [OrderStatus.COMPLETE] * 2
        assert len(stage.host.keeper.launches) == 2

    play(tmp_path, scenario)


def test_a_crash_before_anything_was_written_leaves_nothing_to_do(tmp_path: Path) -> None:
    """What was not confirmed was not promised; what was, is carried out: see the others."""

    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        stage.switch._hold(ASHA, WHOLE_HOST, "")
        await stage.restart()
        assert (stage.switch.engaged(ASHA), stage.switch.tasks.all()) == ([], [])
        assert stage.left() == (1, 10)

    play(tmp_path, scenario)


def test_asked_twice_it_is_done_once_and_more_may_be_asked_for(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        target = stage.switch.target(ASHA, "account")
        for _ in range(3):
            await stage.switch.engage(ASHA, target, steps=[KillStep.FLATTEN])
        await stage.until_state(target, KillState.DONE)
        closings = [o for o in stage.sent if o.request.label == "kill switch"]
        assert len({one.id for one in closings}) == 1
        await stage.switch.engage(ASHA, target, steps=[KillStep.STOP])
        task = await stage.until_state(target, KillState.DONE)
        assert task.steps == (KillStep.STOP,)

    play(tmp_path, scenario)


def test_what_is_asked_besides_while_it_is_under_way_joins_it(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        stage.market.closed = {Exchange.NSE}
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=[KillStep.FLATTEN])
        await stage.until_state(WHOLE_HOST, KillState.PENDING)
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=[KillStep.STOP])
        assert stage.task(WHOLE_HOST).steps == EVERYTHING
        (kept,) = stage.host.database.read(stored.everything)
        assert kept.steps == EVERYTHING

    play(tmp_path, scenario)


def test_a_position_whose_exchange_is_closed_waits_for_it_also_over_a_restart(
    tmp_path: Path,
) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.busy("one")
        stage.market.closed = {Exchange.NSE}
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
        task = await stage.until_state(WHOLE_HOST, KillState.PENDING)
        await stage.host.until(lambda: stage.phase(made) is Phase.STOPPED, "stopped all the same")
        assert "NSE is closed: 1 position is flattened when it opens." in task.report.troubles
        await stage.restart()
        assert stage.task(WHOLE_HOST).state is KillState.PENDING
        stage.market.closed = set()
        await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert stage.left() == (0, 0)

    play(tmp_path, scenario)


def test_an_order_that_fills_while_others_are_cancelled_is_flattened_too(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        done = False

        def fill(point: KillPoint) -> None:
            nonlocal done
            if point is KillPoint.BEFORE_CANCEL and not done:
                done = True
                stage.market.show(INFY, last="85")
                stage.market.tick()

        stage.reached = fill
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
        task = await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert stage.left() == (0, 0)
        assert task.report.closed >= 1

    play(tmp_path, scenario)


def test_a_position_that_is_refused_says_why_and_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        with monkeypatch.context() as broken:

            async def fail(*_: object, **__: object) -> None:
                raise Unavailable("The broker does not answer.")

            broken.setattr(stage.gateway, "close_positions", fail)
            await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
            task = await stage.until_state(WHOLE_HOST, KillState.PENDING)
            assert task.report.positions_left == 1
        stage.host.clock.advance(61)
        await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert stage.left() == (0, 0)

    play(tmp_path, scenario)


def test_a_release_ends_what_is_left_of_it(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        stage.market.closed = {Exchange.NSE}
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
        await stage.until_state(WHOLE_HOST, KillState.PENDING)
        await stage.switch.release(ASHA, WHOLE_HOST)
        assert stage.task(WHOLE_HOST).state is KillState.RELEASED
        stage.market.closed = set()
        await stage.restart()
        assert stage.task(WHOLE_HOST).state is KillState.RELEASED
        assert stage.left() == (0, 10)

    play(tmp_path, scenario)


def test_a_full_disk_keeps_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that it cannot be written down; what can be done without a disk is done."""

    async def full(_work: object) -> None:
        raise Unavailable("The disk is full.")

    async def scenario(stage: Stage) -> None:
        await stage.busy("one")
        with monkeypatch.context() as disk:
            disk.setattr(stage.host.database, "write", full)
            with pytest.raises(Unavailable, match="cannot be written down"):
                await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
            await stage.host.until(lambda: not stage.host.keeper.alive(), "the run ended")
        await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert stage.left() == (0, 0)

    play(tmp_path, scenario)


def test_fifty_strategies_are_quiet_after_one_press(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        ids = await asyncio.gather(*(stage.busy(f"s{number}") for number in range(50)))
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=EVERYTHING)
        task = await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert task.report == KillReport(cancelled=50, closed=50, stopped=50)
        assert stage.left() == (0, 0)
        assert {stage.phase(one) for one in ids} == {Phase.STOPPED}

    play(tmp_path, scenario)


def test_orders_that_wait_for_a_price_are_cancelled_with_the_others(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        mine, other = await stage.busy("mine"), await stage.busy("other")
        scopes = [Scope(account_id=paper_account(ASHA), strategy_id=one) for one in (mine, other)]
        for scope in scopes:
            book = Book(account_id=scope.account_id, strategy_id=scope.strategy_id)
            leg = GttLeg(trigger_price=Decimal(80), price=Decimal(80))
            await stage.gateway.place_gtt(
                book,
                GttRequest(
                    key=INFY,
                    action=Action.BUY,
                    quantity=1,
                    product=Product.CNC,
                    kind=GttKind.SINGLE,
                    legs=[leg],
                ),
            )
        target = stage.switch.target(ASHA, "strategy", mine)
        assert stage.actions.drill(target, EVERYTHING).gtts == 1
        await stage.switch.engage(ASHA, target, steps=[KillStep.CANCEL])
        task = await stage.until_state(target, KillState.DONE)
        assert task.report.cancelled == 2
        statuses = [stage.gateway.gtts(scope)[0].status for scope in scopes]
        assert statuses == [GttStatus.CANCELLED, GttStatus.ACTIVE]

    play(tmp_path, scenario)


class SlowToTell:
    """A live account whose orders are filled some looks before its positions show it."""

    def __init__(self) -> None:
        book = Book(account_id=paper_account(ASHA), strategy_id=None)
        self.position = Position(book=book, key=INFY, product=Product.MIS, quantity=10)
        self.closed = 0
        self.looks = 0

    def working(self, *_: object) -> list[Order]:
        return []

    def held(self, *_: object) -> list[Position]:
        self.looks += self.closed
        return [] if self.looks > 8 else [self.position]

    async def cancel(self, order: Order) -> None:
        """There are none."""

    def waiting(self, *_: object) -> int:
        return 0

    async def cancel_waiting(self, *_: object) -> list[str]:
        return []

    async def close(self, positions: Collection[Position]) -> list[Order]:
        """Filled at once; each one more would turn the position round."""
        self.closed += 1
        [one] = positions
        order = Order(
            id=OrderId("1"),
            book=one.book,
            request=request("SELL 10 MARKET"),
            status=OrderStatus.COMPLETE,
            placed_at=AT,
            updated_at=AT,
        )
        return [order]

    def is_open(self, _exchange: Exchange) -> bool:
        return True

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        poke = asyncio.get_running_loop().create_task(self._poke(changed))
        return poke.cancel  # type: ignore[return-value]

    async def _poke(self, changed: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(0.005)
            changed()


def test_a_position_that_is_told_late_is_closed_once(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.close()
        slow = SlowToTell()
        actions = KillActions(
            clock=stage.host.clock,
            tasks=stage.switch.tasks,
            registry=stage.host.registry,
            trading=slow,
            accounts=lambda: [paper_account(ASHA)],
            accounts_of=lambda strategy: [strategy.account],
            halt=stage.host.service.halt,
        )
        stage.loop_task = asyncio.create_task(actions.run())
        await stage.switch.engage(ASHA, WHOLE_HOST, steps=[KillStep.FLATTEN])
        await stage.until_state(WHOLE_HOST, KillState.DONE)
        assert slow.closed == 1
        stage.loop_task.cancel()
        await asyncio.gather(stage.loop_task, return_exceptions=True)
        await stage.open()

    play(tmp_path, scenario)
