"""Promise 10: a request that is sent again does not trade twice."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from algohost.broker.crash_points import CrashPoint
from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.orders import Book, OrderStatus
from algohost.testing.journal import Fault
from tests.broker.remote import Cut
from tests.broker.world import OF_EMA, WHOLE, Crash, CrashAt, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, RSI, request

BUY = request("BUY 10 MARKET", INFY)
KINDS = {"paper": World, "remote": World.of_remote}
Scenario = Callable[[World], Coroutine[Any, Any, None]]


def units(world: World, book: Book = EMA) -> int:
    views = world.gateway.positions(WHOLE)
    return sum(view.position.quantity for view in views if view.position.book == book)


@pytest.fixture(params=KINDS)
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Runs a scenario in a world of each kind."""

    def play(scenario: Scenario) -> None:
        async def main() -> None:
            world = KINDS[request.param]()
            await world.gateway.recover(ACCOUNT)
            await scenario(world)

        run(main())

    return play


Play = Callable[[Scenario], None]


def test_the_same_request_with_the_same_key_trades_once(play: Play) -> None:
    async def scenario(world: World) -> None:
        first = await world.gateway.place(EMA, BUY, key="k")
        again = await world.gateway.place(EMA, BUY, key="k")
        relabelled = await world.gateway.place(EMA, replace(BUY, label="other text"), key="k")
        assert first == again == relabelled
        assert (units(world), len(await world.journal.intents(ACCOUNT))) == (10, 1)
        other = await world.gateway.place(EMA, BUY, key="l")
        assert (other.id != first.id, units(world)) == (True, 20)

    play(scenario)


def test_the_answer_is_the_order_as_it_stands_now(play: Play) -> None:
    async def scenario(world: World) -> None:
        resting = await world.gateway.place(EMA, request("BUY 1 LIMIT 90", INFY), key="k")
        cancelled = await world.gateway.cancel(OF_EMA, resting.id)
        again = await world.gateway.place(EMA, request("BUY 1 LIMIT 90", INFY), key="k")
        assert (again, again.status) == (cancelled, OrderStatus.CANCELLED)

    play(scenario)


@pytest.mark.parametrize("other", ["BUY 11 MARKET", "SELL 10 MARKET", "BUY 10 MARKET CNC"])
def test_a_key_of_another_request_is_refused(play: Play, other: str) -> None:
    async def scenario(world: World) -> None:
        await world.gateway.place(EMA, BUY, key="k")
        with pytest.raises(Conflict, match="used for another order before, so nothing was placed"):
            await world.gateway.place(EMA, request(other, INFY), key="k")
        with pytest.raises(Conflict, match="another order"):
            await world.gateway.place_smart(EMA, BUY, 20, key="k")
        assert units(world) == 10

    play(scenario)


def test_duplicates_that_come_meanwhile_wait_for_the_first(play: Play) -> None:
    async def scenario(world: World) -> None:
        world.journal.gate.clear()
        sent = [asyncio.ensure_future(world.gateway.place(EMA, BUY, key="k")) for _ in range(4)]
        await idle()
        with pytest.raises(Conflict, match="another order"):
            await world.gateway.place(EMA, request("BUY 1 MARKET", INFY), key="k")
        sent[0].cancel()  # the one who asked first has gone
        world.journal.gate.set()
        orders = await asyncio.gather(*sent[1:])
        assert len({order.id for order in orders}) == 1
        assert units(world) == 10

    play(scenario)


def test_each_book_has_keys_of_its_own(play: Play) -> None:
    async def scenario(world: World) -> None:
        mine = await world.gateway.place(EMA, BUY, key="k")
        theirs = await world.gateway.place(RSI, BUY, key="k")
        assert (mine.id != theirs.id, units(world, EMA), units(world, RSI)) == (True, 10, 10)

    play(scenario)


def test_a_restarted_script_and_a_restarted_server_do_not_trade_twice(play: Play) -> None:
    async def scenario(world: World) -> None:
        first = await world.gateway.place(EMA, BUY, key="morning entry")
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert await world.gateway.place(EMA, BUY, key="morning entry") == first
        assert units(world) == 10

    play(scenario)


@pytest.mark.parametrize("point", CrashPoint)
def test_a_request_that_a_crash_cut_trades_at_most_once(play: Play, point: CrashPoint) -> None:
    """Sent again afterwards, it has traded, or was rejected and its key is spent."""

    async def scenario(world: World) -> None:
        world = world.restart(reached=CrashAt(point))
        try:
            await world.gateway.place(EMA, BUY, key="k")
        except Crash:
            await idle()
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        order = await world.gateway.place(EMA, BUY, key="k")
        assert units(world) == order.filled_quantity
        assert (await world.gateway.place(EMA, BUY, key="k")) == order
        assert len(world.gateway.orders(WHOLE)) == 1

    play(scenario)


def test_a_target_that_was_reached_stays_so_under_its_key(play: Play) -> None:
    async def scenario(world: World) -> None:
        assert await world.gateway.place_smart(EMA, BUY, 0, key="flat") is None
        await world.gateway.place(EMA, BUY)
        assert await world.gateway.place_smart(EMA, BUY, 0, key="flat") is None
        out = await world.gateway.place_smart(EMA, BUY, 0, key="out")
        assert (out is not None, units(world)) == (True, 0)
        assert await world.gateway.place_smart(EMA, BUY, 0, key="out") == out

    play(scenario)


def test_a_smart_order_sent_again_does_not_trade_the_difference_again(play: Play) -> None:
    async def scenario(world: World) -> None:
        first = await world.gateway.place_smart(EMA, BUY, 25, key="k")
        await world.gateway.place(EMA, request("SELL 5 MARKET", INFY))
        assert await world.gateway.place_smart(EMA, BUY, 25, key="k") == first
        assert units(world) == 20

    play(scenario)


def test_what_was_refused_without_a_trace_has_not_spent_its_key(play: Play) -> None:
    async def scenario(world: World) -> None:
        world.journal.writes_fail = Fault.BEFORE_WRITE
        with pytest.raises(Unavailable):
            await world.gateway.place(EMA, BUY, key="k")
        world.journal.writes_fail = None
        order = await world.gateway.place(EMA, BUY, key="k")
        assert (order.status, units(world)) == (OrderStatus.COMPLETE, 10)

    play(scenario)


def test_an_engaged_kill_switch_does_not_hide_what_was_done_before() -> None:
    engaged: list[bool] = []

    def refuse(_book: Book) -> None:
        if engaged:
            raise Conflict("The kill switch is engaged.")

    async def main() -> None:
        world = World(refuse=refuse)
        order = await world.gateway.place(EMA, BUY, key="k")
        engaged.append(True)
        assert await world.gateway.place(EMA, BUY, key="k") == order
        with pytest.raises(Conflict, match="kill switch"):
            await world.gateway.place(EMA, BUY, key="l")
        engaged.clear()
        assert (await world.gateway.place(EMA, BUY, key="l")).status is OrderStatus.COMPLETE

    run(main())


def test_an_intent_that_was_kept_although_the_journal_failed_is_never_sent() -> None:
    async def main() -> None:
        world = World.of_remote()
        await world.gateway.recover(ACCOUNT)
        world.journal.writes_fail = Fault.AFTER_WRITE
        order = await world.gateway.place(EMA, BUY, key="k")
        assert (order.status, order.reason) == (
            OrderStatus.REJECTED,
            "The order journal failed before the order was sent.",
        )
        world.journal.writes_fail = None
        assert await world.gateway.place(EMA, BUY, key="k") == order
        assert world.far is not None
        assert world.far.sent == {}

    run(main())


@pytest.mark.parametrize(("cut", "held"), [(Cut.BEFORE, 0), (Cut.AFTER, 10)])
def test_an_order_of_unknown_outcome_is_not_sent_again_under_its_key(cut: Cut, held: int) -> None:
    async def main() -> None:
        world = World.of_remote()
        assert world.far is not None
        world.far.cut, world.far.is_silent = cut, True
        first = await world.gateway.place(EMA, BUY, key="k")
        assert first.status is OrderStatus.UNKNOWN
        world.far.cut = None
        again = await world.gateway.place(EMA, BUY, key="k")
        assert (again.id, again.status) == (first.id, OrderStatus.UNKNOWN)
        world.far.is_silent = False
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        settled = await world.gateway.place(EMA, BUY, key="k")
        assert (settled.id, units(world)) == (first.id, held)
        assert world.far is not None
        assert list(world.far.sent.values()) == [1]

    run(main())


def test_old_keys_are_forgotten() -> None:
    async def main() -> None:
        world = World()
        first = await world.gateway.place(EMA, BUY, key="k")
        world.market.at += timedelta(days=8)
        second = await world.gateway.place(EMA, BUY, key="another")
        await world.gateway.close()
        assert await world.journal.find_key(EMA, "k") is None
        kept = await world.journal.find_key(EMA, "another")
        assert kept is not None
        assert (kept.order_id, second.id != first.id) == (second.id, True)

    run(main())
