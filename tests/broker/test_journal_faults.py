"""A journal that fails, lies or stalls: nothing doubled, lost or invented, and every word true."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from algohost.broker.paper import PaperBroker
from algohost.broker.ports import OutcomeUnknown
from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.orders import OrderChanges, OrderStatus
from algohost.domain.ports import JournalRecord
from algohost.testing.journal import Fault
from tests.broker.world import OF_EMA, WHOLE, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, MORNING, request


def units(world: World) -> int:
    return sum(view.position.quantity for view in world.gateway.positions(WHOLE))


def broker_of(world: World) -> PaperBroker:
    broker = world.gateway._accounts.opened(ACCOUNT).broker
    assert isinstance(broker, PaperBroker)
    return broker


def fail_appends(world: World, fault: Fault | None, *, reads: bool = False) -> None:
    """Makes appends fail."""
    world.journal.writes_fail, world.journal.reads_fail = fault, reads


def test_an_intent_that_cannot_be_written_places_nothing() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        world.journal.writes_fail = Fault.BEFORE_WRITE
        with pytest.raises(Unavailable, match="could not be written, so nothing was done"):
            await world.place("BUY 1 MARKET")
        assert world.gateway.orders(WHOLE) == []
        world.journal.writes_fail = None
        assert (await world.place("BUY 1 MARKET")).status is OrderStatus.COMPLETE
        assert units(world) == 1

    run(main())


def test_an_intent_that_was_written_all_the_same_is_rejected_after_a_restart() -> None:
    async def main() -> None:
        world = World.of_remote()
        await world.gateway.recover(ACCOUNT)
        world.journal.writes_fail = Fault.AFTER_WRITE
        with pytest.raises(Unavailable):
            await world.place("BUY 1 MARKET")
        world.journal.writes_fail = None
        after = await world.place("BUY 2 MARKET")
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        statuses = {o.id: o.status for o in world.gateway.orders(WHOLE)}
        assert sorted(statuses.values()) == [OrderStatus.COMPLETE, OrderStatus.REJECTED]
        assert statuses[after.id] is OrderStatus.COMPLETE
        assert units(world) == 2

    run(main())


def test_events_that_were_not_kept_did_not_happen() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        fail_appends(world, Fault.BEFORE_WRITE)
        with pytest.raises(Unavailable, match="could not be written, so nothing was done"):
            await world.place("BUY 1 MARKET")
        assert (units(world), world.gateway.trades(WHOLE)) == (0, [])
        assert world.gateway.orders(WHOLE) == await world.journal.intents(ACCOUNT) == []
        world.journal.writes_fail = None
        second = await world.place("BUY 5 MARKET")
        assert (second.status, units(world)) == (OrderStatus.COMPLETE, 5)
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert world.gateway.orders(WHOLE) == [second]

    run(main())


def test_events_that_were_kept_happened_whatever_the_journal_said() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        fail_appends(world, Fault.AFTER_WRITE)
        order = await world.place("BUY 1 MARKET")
        assert (order.status, units(world)) == (OrderStatus.COMPLETE, 1)
        assert [told.status for told in world.told] == [OrderStatus.OPEN, OrderStatus.COMPLETE]

    run(main())


@pytest.mark.parametrize(
    ("fault", "settles_as", "held"),
    [
        (Fault.BEFORE_WRITE, OrderStatus.REJECTED, 0),
        (Fault.AFTER_WRITE, OrderStatus.COMPLETE, 1),
    ],
)
def test_what_is_unknown_is_shown_as_unknown_until_the_journal_answers(
    fault: Fault, settles_as: OrderStatus, held: int
) -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        fail_appends(world, fault, reads=True)
        order = await world.place("BUY 1 MARKET")
        assert order.status is OrderStatus.UNKNOWN
        assert world.gateway.order(OF_EMA, order.id) == order
        assert units(world) == 0
        with pytest.raises(Unavailable, match="does not answer, so nothing was done"):
            await world.place("BUY 1 MARKET")
        world.journal.writes_fail, world.journal.reads_fail = None, False
        await world.gateway.recover(ACCOUNT)
        assert world.gateway.order(OF_EMA, order.id).status is settles_as
        assert units(world) == held
        assert len(world.gateway.orders(WHOLE)) == 1

    run(main())


def test_an_open_account_is_read_while_its_journal_fails() -> None:
    """Looking at one's orders was refused until the disk was well again."""

    async def main() -> None:
        world = World()
        await world.place("BUY 3 MARKET")
        fail_appends(world, Fault.BEFORE_WRITE)
        with pytest.raises(Unavailable, match="nothing was done"):
            await world.place("BUY 1 MARKET")
        await world.gateway.recover(ACCOUNT)
        statuses = [order.status for order in world.gateway.orders(WHOLE)]
        assert statuses == [OrderStatus.COMPLETE]
        assert units(world) == 3

    run(main())


def test_of_a_journal_in_doubt_only_what_is_new_is_read() -> None:
    """With every tick that failed the whole journal was read again, on the server's loop."""

    async def main() -> None:
        world = World()
        for _ in range(3):
            await world.place("BUY 1 MARKET")
        read: list[int] = []
        usual = world.journal.replay

        async def replay(account_id: AccountId, *, after: int = 0) -> Sequence[JournalRecord]:
            found = await usual(account_id, after=after)
            read.append(len(found))
            return found

        world.journal.replay = replay  # type: ignore[method-assign]
        fail_appends(world, Fault.AFTER_WRITE)
        await world.place("BUY 1 MARKET")
        assert (read, units(world)) == ([2], 4)

    run(main())


def test_a_change_whose_outcome_is_unknown_says_so() -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 1 LIMIT 90")
        fail_appends(world, Fault.AFTER_WRITE, reads=True)
        with pytest.raises(OutcomeUnknown, match="look at the order book"):
            await world.gateway.modify(OF_EMA, order.id, OrderChanges(quantity=2))
        assert world.gateway.order(OF_EMA, order.id).request.quantity == 1
        world.journal.writes_fail, world.journal.reads_fail = None, False
        cancelled = await world.gateway.cancel(OF_EMA, order.id)
        assert (cancelled.request.quantity, cancelled.status) == (2, OrderStatus.CANCELLED)

    run(main())


def test_a_tick_that_cannot_be_journaled_fills_nothing_and_is_counted() -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 1 LIMIT 99")
        world.journal.writes_fail = Fault.BEFORE_WRITE
        await world.tick(last="98")
        assert world.gateway.order(WHOLE, order.id).status is OrderStatus.OPEN
        assert broker_of(world).missed_ticks == 1
        world.journal.writes_fail = None
        await world.tick(last="97")
        assert world.gateway.order(WHOLE, order.id).average_price == Decimal(97)

    run(main())


def test_a_journal_that_another_server_writes_is_noticed_and_read() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        number = len(await world.journal.replay(ACCOUNT)) + 1
        foreign = JournalRecord(number=number, kind="cash-set", at=MORNING, body={"cash": "7"})
        await world.journal.append(ACCOUNT, [foreign])
        with pytest.raises(Unavailable, match="Another server wrote the journal"):
            await world.place("BUY 1 MARKET")
        assert world.gateway.funds(ACCOUNT).cash == 7
        assert units(world) == 0

    run(main())


def test_an_account_whose_journal_does_not_answer_stays_shut_until_it_does() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 1 MARKET")
        world = world.restart()
        world.journal.reads_fail = True
        with pytest.raises(Unavailable, match="does not answer"):
            await world.gateway.recover(ACCOUNT)
        world.journal.reads_fail = False
        await world.gateway.recover(ACCOUNT)
        assert units(world) == 1

    run(main())


def test_a_journal_that_cannot_be_understood_is_never_written_over() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 1 MARKET")
        number = len(await world.journal.replay(ACCOUNT)) + 1
        strange = JournalRecord(number=number, kind="from-the-future", at=MORNING, body={})
        await world.journal.append(ACCOUNT, [strange])
        before = await world.journal.replay(ACCOUNT)
        world = world.restart()
        with pytest.raises(Invalid, match="which this version does not know"):
            await world.gateway.recover(ACCOUNT)
        assert await world.journal.replay(ACCOUNT) == before

    run(main())


def test_commands_take_turns_while_the_disk_is_slow() -> None:
    """Two sales of the same ten shares cannot both be decided before either is known."""

    async def main() -> None:
        world = World()
        await world.place("BUY 10 MARKET CNC")
        world.journal.gate.clear()
        sales = [asyncio.ensure_future(world.place("SELL 10 MARKET CNC")) for _ in range(2)]
        await idle()
        world.journal.gate.set()
        orders = await asyncio.gather(*sales)
        assert sorted(o.status for o in orders) == [OrderStatus.COMPLETE, OrderStatus.REJECTED]
        assert units(world) == 0

    run(main())


def test_sending_a_known_order_again_does_not_trade_twice() -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 1 MARKET")
        (intent,) = await world.journal.intents(ACCOUNT)
        assert await broker_of(world).place(intent) == order
        assert units(world) == 1

    run(main())


def test_cash_can_be_set_and_survives_a_restart() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        funds = await broker_of(world).set_cash(Decimal(500))
        assert funds.available == 500
        world = world.restart()
        assert (await world.gateway.place(EMA, request("BUY 100 MARKET", INFY))).reason.startswith(
            "Insufficient funds: needed ₹2,001.00, available ₹500.00"
        )

    run(main())


def test_close_waits_for_a_match_that_is_under_way() -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 1 LIMIT 99")
        world.market.show(INFY, last="98")
        world.market.tick()
        await world.gateway.close()
        assert world.gateway.order(WHOLE, order.id).status is OrderStatus.COMPLETE
        world.market.show(INFY, last="50")
        world.market.tick()

    run(main())
