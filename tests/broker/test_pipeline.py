"""Orders of one account share the disk's writes, and none is true before it is on disk."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal

import pytest

from algohost.broker.crash_points import CrashPoint
from algohost.domain.errors import AlgohostError, Conflict, Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Book, Order, OrderChanges, OrderStatus
from algohost.domain.ports import Intent, JournalRecord
from algohost.testing.journal import Fault, MemoryJournal
from tests.broker.test_crashes import _audit
from tests.broker.world import OF_EMA, WHOLE, Crash, CrashAt, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, MORNING, RSI, TCS

FIVE = [f"{n}" for n in range(5)]


class TroubledJournal(MemoryJournal):
    """A slow disk: appends wait for the gate, and those that ``troubles`` names go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.troubles: dict[int, Fault] = {}

    def trouble(self, which: int, fault: Fault) -> None:
        """The append that waits in that place goes wrong."""
        self.troubles = {self.begun - self.waiting + which: fault}

    async def append(
        self,
        account_id: AccountId,
        records: Sequence[JournalRecord],
        *,
        intent: Intent | None = None,
        allowed: Callable[[], None] | None = None,
        after: JournalRecord | None = None,
    ) -> None:
        """As ``MemoryJournal.append``."""
        number = self.begun
        self.begun += 1
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        self.writes_fail = self.troubles.get(number)
        try:
            await super().append(account_id, records, intent=intent, allowed=allowed, after=after)
        finally:
            self.writes_fail = None


async def five_in_flight(world: World) -> Sequence[asyncio.Future[Order]]:
    """Five orders, all decided and none on disk."""
    await world.gateway.recover(ACCOUNT)
    world.journal.gate.clear()
    placing = [
        asyncio.ensure_future(
            world.place_labelled("BUY 1 MARKET", INFY, RSI if label == "2" else EMA, label)
        )
        for label in FIVE
    ]
    await idle()
    assert world.journal.waiting == len(FIVE)
    return placing


async def settled(
    placing: Sequence[asyncio.Future[Order]],
) -> list[Order | BaseException]:
    return await asyncio.gather(*placing, return_exceptions=True)


def acknowledged(answers: Sequence[Order | BaseException]) -> dict[OrderId, Order]:
    return {a.id: a for a in answers if isinstance(a, Order) and a.status.is_final}


def test_orders_of_one_account_go_to_disk_together_and_are_not_seen_before() -> None:
    async def main() -> None:
        world = World()
        placing = await five_in_flight(world)
        assert world.gateway.orders(WHOLE) == world.told == []
        assert world.gateway.positions(WHOLE) == []
        world.journal.gate.set()
        orders = await asyncio.gather(*placing)
        assert [order.request.label for order in orders] == FIVE
        assert [told.id for told in world.told[::2]] == [order.id for order in orders]
        assert {order.status for order in orders} == {OrderStatus.COMPLETE}
        await _audit(world, set(FIVE), acknowledged(orders))

    run(main())


def test_what_is_on_its_way_counts_when_the_next_is_decided() -> None:
    """Money for three of five orders: not one more is taken, though none is on disk."""

    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        broker = world.gateway._accounts.opened(ACCOUNT).broker
        await broker.set_cash(Decimal("61.00"))  # type: ignore[attr-defined]
        placing = await five_in_flight(world)
        world.journal.gate.set()
        orders = await settled(placing)
        statuses = [order.status for order in orders if isinstance(order, Order)]
        assert statuses == [OrderStatus.COMPLETE] * 3 + [OrderStatus.REJECTED] * 2

    run(main())


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("which", range(5))
def test_a_commit_that_fails_among_five_undoes_what_was_decided_on_it(
    which: int, fault: Fault
) -> None:
    """The others are decided again: they are kept, whole, and in the order they came."""

    async def main() -> None:
        journal = TroubledJournal()
        world = World(journal)
        placing = await five_in_flight(world)
        journal.trouble(which, fault)
        journal.gate.set()
        answers = await settled(placing)
        failed = [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)]
        assert failed == ([which] if fault is Fault.BEFORE_WRITE else [])
        assert all(isinstance(answers[n], Unavailable) for n in failed)
        assert len(world.gateway.orders(WHOLE)) == 5 - len(failed)
        await _audit(world, set(FIVE), acknowledged(answers))
        await _audit_after_restart(world, answers)

    run(main())


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("which", range(5))
def test_while_the_journal_cannot_be_read_either_nothing_is_acknowledged(
    which: int, fault: Fault
) -> None:
    async def main() -> None:
        journal = TroubledJournal()
        world = World(journal)
        placing = await five_in_flight(world)
        journal.trouble(which, fault)
        journal.reads_fail = True
        journal.gate.set()
        answers = await settled(placing)
        done = acknowledged(answers)
        assert [order.request.label for order in done.values()] == FIVE[:which]
        assert {order.id for order in world.gateway.orders(WHOLE) if order.status.is_final} == set(
            done
        )
        journal.reads_fail = False
        await world.gateway.recover(ACCOUNT)
        await _audit(world, set(FIVE), done)
        await _audit_after_restart(world, answers)

    run(main())


def test_a_journal_that_another_server_writes_is_noticed_by_all_that_are_under_way() -> None:
    """Nothing of ours lies upon what the other server wrote without having been decided on it."""

    async def main() -> None:
        world = World()
        placing = await five_in_flight(world)
        number = len(await world.journal.replay(ACCOUNT)) + 1
        foreign = JournalRecord(number=number, kind="cash-set", at=MORNING, body={"cash": "41"})
        world.journal._records[ACCOUNT].append((foreign, '{"cash": "41"}'))
        world.journal.gate.set()
        answers = await settled(placing)
        assert isinstance(answers[0], Unavailable)
        assert answers[0].code == "JOURNAL_SHARED"
        statuses = [answer.status for answer in answers[1:] if isinstance(answer, Order)]
        assert statuses == [OrderStatus.COMPLETE] * 2 + [OrderStatus.REJECTED] * 2
        assert world.gateway.funds(ACCOUNT).cash == 41
        await _audit(world, set(FIVE), acknowledged(answers))

    run(main())


def test_one_that_is_refused_at_the_last_moment_does_not_take_others_with_it() -> None:
    async def main() -> None:
        engaged = False

        def refuse(book: Book) -> None:
            if engaged and book == RSI:
                raise Conflict("The kill switch is engaged.", code="KILLED")

        world = World(refuse=refuse)
        placing = await five_in_flight(world)
        engaged = True
        world.journal.gate.set()
        answers = await settled(placing)
        assert [isinstance(answer, Conflict) for answer in answers] == [n == 2 for n in range(5)]
        assert len(world.gateway.orders(WHOLE)) == 4
        await _audit(world, set(FIVE), acknowledged(answers))

    run(main())


def test_a_refusal_is_not_told_for_the_sake_of_what_may_not_be_kept() -> None:
    """An order that would have traded cannot be cancelled; had it not, it can."""

    async def main() -> None:
        journal = TroubledJournal()
        world = World(journal)
        order = await world.place("BUY 1 LIMIT 90")
        journal.gate.clear()
        journal.troubles = {journal.begun: Fault.BEFORE_WRITE}
        changes = OrderChanges(price=Decimal(101))
        modifying = asyncio.ensure_future(world.gateway.modify(OF_EMA, order.id, changes))
        cancelling = asyncio.ensure_future(world.gateway.cancel(OF_EMA, order.id))
        await idle()
        assert not cancelling.done()
        journal.gate.set()
        with pytest.raises(Unavailable, match="nothing was done"):
            await modifying
        assert (await cancelling).status is OrderStatus.CANCELLED

    run(main())


def test_all_open_orders_are_cancelled_in_one_write_of_the_disk() -> None:
    async def main() -> None:
        world = World()
        for label in FIVE:
            await world.place_labelled("BUY 1 LIMIT 90", INFY, EMA, label)
        world.journal.gate.clear()
        cancelling = asyncio.ensure_future(world.gateway.cancel_all(WHOLE))
        await idle()
        assert world.journal.waiting == 5
        world.journal.gate.set()
        done = await cancelling
        assert [order.request.label for order in done.cancelled] == FIVE
        assert done.failed == []

    run(main())


def test_a_tick_waits_for_what_is_on_its_way_and_then_meets_it() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        world.journal.gate.clear()
        placing = [asyncio.ensure_future(world.place("BUY 1 LIMIT 95")) for _ in range(3)]
        await idle()
        await world.tick(last="94")
        assert world.gateway.orders(WHOLE) == []
        world.journal.gate.set()
        assert {order.status for order in await asyncio.gather(*placing)} == {OrderStatus.OPEN}
        await idle()
        assert {o.status for o in world.gateway.orders(WHOLE)} == {OrderStatus.COMPLETE}

    run(main())


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_APPEND, CrashPoint.AFTER_APPEND])
@pytest.mark.parametrize("visit", range(1, 6))
def test_a_crash_among_five_keeps_what_was_written_and_nothing_else(
    point: CrashPoint, visit: int
) -> None:
    async def main() -> None:
        before = World()
        await before.gateway.recover(ACCOUNT)
        world = before.restart(reached=CrashAt(point, visit=visit))
        await world.gateway.recover(ACCOUNT)
        world.journal.gate.clear()
        placing = [
            asyncio.ensure_future(world.place_labelled("BUY 1 MARKET", INFY, EMA, label))
            for label in FIVE
        ]
        with suppress(Crash):
            await idle()
        world.journal.gate.set()
        with suppress(Crash):
            await idle()
        answers = [one.exception() or one.result() for one in placing if one.done()]
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        await _audit(world, set(FIVE), acknowledged(answers))

    run(main())


@pytest.mark.parametrize("seed", range(30))
def test_a_day_of_failing_writes_doubles_loses_and_invents_nothing(seed: int) -> None:
    """Up to six commands at a time, on a disk that fails now and then in either way."""
    run(_a_day(random.Random(seed)))


async def _a_day(chance: random.Random) -> None:
    journal, asked, done = TroubledJournal(), set[str](), dict[OrderId, Order]()
    world = World(journal)
    await world.gateway.recover(ACCOUNT)
    for round_number in range(12):
        journal.troubles = {
            journal.begun + n: chance.choice(list(Fault))
            for n in range(12)
            if chance.random() < 0.15
        }
        journal.reads_fail = chance.random() < 0.15
        journal.gate.clear()
        steps = [
            asyncio.ensure_future(_step(world, chance, asked, done, f"{round_number}-{n}"))
            for n in range(chance.randint(1, 6))
        ]
        await idle()
        if chance.random() < 0.4:
            world.market.show(INFY, last=str(chance.randint(95, 105)))
            world.market.tick()
        journal.gate.set()
        await asyncio.gather(*steps)
        await idle()
        journal.troubles, journal.reads_fail = {}, False
        await world.gateway.recover(ACCOUNT)
        await world.place_labelled("BUY 1 MARKET", TCS, RSI, f"{round_number}-end")
        asked.add(f"{round_number}-end")
        await _audit(world, asked, done)


async def _step(
    world: World,
    chance: random.Random,
    asked: set[str],
    done: dict[OrderId, Order],
    label: str,
) -> None:
    with suppress(AlgohostError):
        if done and chance.random() < 0.3:
            order_id = chance.choice(sorted(done))
            if chance.random() < 0.5:
                told = await world.gateway.cancel(WHOLE, order_id)
            else:
                changes = OrderChanges(quantity=chance.randint(1, 12))
                told = await world.gateway.modify(WHOLE, order_id, changes)
        else:
            asked.add(label)
            kind = chance.choice(["MARKET", "LIMIT 99", "LIMIT 101", "MARKET CNC"])
            text = f"{chance.choice(['BUY', 'SELL'])} {chance.randint(1, 9)} {kind}"
            told = await world.place_labelled(text, INFY, chance.choice([EMA, RSI]), label)
        before = done.get(told.id)
        if told.status is not OrderStatus.UNKNOWN and not (before and before.status.is_final):
            done[told.id] = told


async def _audit_after_restart(world: World, answers: Sequence[Order | BaseException]) -> None:
    world = world.restart()
    await world.gateway.recover(ACCOUNT)
    await _audit(world, set(FIVE), acknowledged(answers))
