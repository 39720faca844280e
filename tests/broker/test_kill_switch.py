"""An engaged kill switch at the one door: nothing goes in, everybody gets out."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from algohost.domain.errors import Conflict
from algohost.domain.orders import Book, Order, OrderChanges, OrderStatus
from tests.broker.world import OF_EMA, WHOLE, World, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, RSI, UNATTRIBUTED, request


class Switch:
    """Covers the books that a test names."""

    def __init__(self) -> None:
        self.covers: set[Book] = set()

    def __call__(self, book: Book) -> None:
        if book in self.covers:
            raise Conflict("The kill switch is engaged.", code="KILL_SWITCH")


def play(scenario: Callable[[World, Switch], Awaitable[None]]) -> None:
    async def main() -> None:
        switch = Switch()
        await scenario(World(refuse=switch), switch)

    run(main())


async def waiting_for_the_disk(world: World) -> asyncio.Task[Order]:
    """An order whose first write stands before a disk that hangs."""
    world.journal.gate.clear()
    placing = asyncio.create_task(world.place("BUY 10 MARKET"))
    while not world.journal.waiting:
        await asyncio.sleep(0)
    return placing


def test_new_and_changed_orders_are_refused_and_leave_no_trace() -> None:
    async def scenario(world: World, switch: Switch) -> None:
        resting = await world.place("BUY 10 LIMIT 90")
        switch.covers = {EMA}
        before = await world.journal.intents(ACCOUNT), await world.journal.replay(ACCOUNT)
        with pytest.raises(Conflict, match="kill switch"):
            await world.place("BUY 10 MARKET")
        with pytest.raises(Conflict):
            await world.gateway.place_smart(EMA, request("BUY 1 MARKET"), 5)
        with pytest.raises(Conflict):
            await world.gateway.modify(OF_EMA, resting.id, OrderChanges(price=Decimal(91)))
        assert [order.id for order in world.gateway.orders(WHOLE)] == [resting.id]
        after = await world.journal.intents(ACCOUNT), await world.journal.replay(ACCOUNT)
        assert after == before

    play(scenario)


def test_an_order_that_waits_for_the_disk_when_it_is_engaged_leaves_no_trace() -> None:
    """A disk that hangs for half a minute must not let orders in half a minute late."""

    async def scenario(world: World, switch: Switch) -> None:
        await world.gateway.recover(ACCOUNT)
        placing = await waiting_for_the_disk(world)
        switch.covers = {EMA}
        world.journal.gate.set()
        with pytest.raises(Conflict, match="kill switch"):
            await placing
        assert world.gateway.orders(WHOLE) == []
        assert await world.journal.intents(ACCOUNT) == []
        assert (await world.place("BUY 1 MARKET", owner=RSI)).status is OrderStatus.COMPLETE

    play(scenario)


def test_an_intent_that_waits_for_the_disk_when_it_is_engaged_is_rejected_and_not_sent() -> None:
    """The same on the way to a broker far away."""

    async def main() -> None:
        switch = Switch()
        world = World.of_remote(refuse=switch)
        await world.gateway.recover(ACCOUNT)
        placing = await waiting_for_the_disk(world)
        switch.covers = {EMA}
        world.journal.gate.set()
        order = await placing
        assert (order.status, order.reason) == (
            OrderStatus.REJECTED,
            "The kill switch is engaged.",
        )
        assert world.gateway.orders(WHOLE) == [order]
        assert world.gateway.positions(WHOLE) == []
        restarted = world.restart()
        await restarted.gateway.recover(ACCOUNT)
        assert restarted.gateway.orders(WHOLE) == [order]
        assert world.far is not None
        assert world.far.sent == {}

    run(main())


def test_all_orders_are_cancelled_those_included_that_were_being_placed() -> None:
    """One that was decided just before, and not on disk yet, was in no list to cancel."""

    async def scenario(world: World, switch: Switch) -> None:
        await world.gateway.recover(ACCOUNT)
        world.journal.gate.clear()
        placing = asyncio.create_task(world.place("BUY 10 LIMIT 90"))
        while not world.journal.waiting:
            await asyncio.sleep(0)
        cancelling = asyncio.create_task(world.gateway.cancel_all(WHOLE))
        await asyncio.sleep(0)
        world.journal.gate.set()
        done, order = await cancelling, await placing
        assert [one.id for one in done.cancelled] == [order.id]
        assert not switch.covers

    play(scenario)


def test_other_books_go_on() -> None:
    async def scenario(world: World, switch: Switch) -> None:
        switch.covers = {EMA}
        for owner in (RSI, UNATTRIBUTED):
            order = await world.place("BUY 10 MARKET", owner=owner)
            assert order.status is OrderStatus.COMPLETE

    play(scenario)


def test_orders_are_cancelled_and_positions_closed_as_ever() -> None:
    async def scenario(world: World, switch: Switch) -> None:
        await world.place("BUY 10 MARKET")
        resting = await world.place("BUY 10 LIMIT 90")
        also = await world.place("BUY 5 LIMIT 89")
        switch.covers = {EMA}
        cancelled = await world.gateway.cancel(OF_EMA, resting.id)
        assert cancelled.status is OrderStatus.CANCELLED
        rest = await world.gateway.cancel_all(OF_EMA)
        assert [order.id for order in rest.cancelled] == [also.id]
        [closing] = await world.gateway.close_positions(OF_EMA)
        assert closing.status is OrderStatus.COMPLETE
        [view] = world.gateway.positions(OF_EMA)
        assert (view.position.key, view.position.quantity) == (INFY, 0)

    play(scenario)


def test_a_target_that_is_reached_needs_no_order_and_is_no_refusal() -> None:
    async def scenario(world: World, switch: Switch) -> None:
        await world.place("BUY 5 MARKET")
        switch.covers = {EMA}
        assert await world.gateway.place_smart(EMA, request("BUY 1 MARKET"), 5) is None

    play(scenario)
