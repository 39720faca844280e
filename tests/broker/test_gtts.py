"""GTTs through the gateway: whose they are, what a restart and a crash leave of them."""

from dataclasses import replace

import pytest

from algohost.broker.clearing import Clearing
from algohost.broker.crash_points import CrashPoint
from algohost.broker.views import Scope
from algohost.domain.errors import Conflict, NotFound
from algohost.domain.gtt import Gtt, GttStatus
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Book, OrderStatus
from tests.broker.world import OF_EMA, WHOLE, CrashAt, World, run
from tests.exchange.desk import ACCOUNT, EMA, RSI, gtt_request

OF_RSI = Scope(account_id=ACCOUNT, strategy_id=RSI.strategy_id)


async def placed(world: World, text: str = "BUY 5 CNC 95:96", owner: Book = EMA) -> Gtt:
    return await world.gateway.place_gtt(owner, gtt_request(text))


def test_a_gtt_is_seen_and_changed_by_its_own_book_alone() -> None:
    async def main() -> None:
        world = World()
        gtt = await placed(world)
        assert world.gateway.gtts(OF_EMA) == world.gateway.gtts(WHOLE) == [gtt]
        assert world.gateway.gtts(OF_RSI) == []
        with pytest.raises(NotFound, match=f"There is no GTT {gtt.id}"):
            await world.gateway.cancel_gtt(OF_RSI, gtt.id)
        changed = await world.gateway.modify_gtt(OF_EMA, gtt.id, gtt_request("BUY 6 CNC 95:96"))
        assert changed.request.quantity == 6
        assert (await world.gateway.cancel_gtt(OF_EMA, gtt.id)).status is GttStatus.CANCELLED

    run(main())


def test_the_order_of_a_gtt_is_of_its_book_and_in_one_append_with_its_trigger() -> None:
    async def main() -> None:
        world = World()
        gtt = await placed(world)
        before = world.journal.appends
        await world.tick(last="95", bid="94.95", ask="95")
        assert world.journal.appends == before + 1
        (order,) = world.gateway.orders(OF_EMA)
        assert (order.id, order.status) == (gtt.order_id, OrderStatus.COMPLETE)
        assert world.gateway.orders(OF_RSI) == []
        assert order.id in {told.id for told in world.told}

    run(main())


def test_an_instrument_without_orders_is_watched_for_its_gtts() -> None:
    async def main() -> None:
        world = World()
        gtt = await placed(world, "SELL 5 CNC 110")
        await world.tick(last="110")
        assert world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.TRIGGERED

    run(main())


def test_a_closed_exchange_triggers_nothing_until_it_opens() -> None:
    async def main() -> None:
        world = World()
        world.market.closed.add(Exchange.NSE)
        gtt = await placed(world)
        await world.tick(last="95")
        assert world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.ACTIVE
        world.market.closed.clear()
        await world.tick(last="94")
        assert world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.TRIGGERED

    run(main())


def test_gtts_survive_a_restart_and_numbers_are_not_given_again() -> None:
    async def main() -> None:
        world = World()
        gtt = await placed(world)
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert world.gateway.gtts(WHOLE) == [gtt]
        order = await world.place("BUY 1 MARKET")
        assert order.id > gtt.order_id
        await world.tick(last="95")
        assert {o.id for o in world.gateway.orders(WHOLE)} == {gtt.order_id, order.id}

    run(main())


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_APPEND, CrashPoint.AFTER_APPEND])
def test_a_crash_at_a_trigger_places_its_order_once(point: CrashPoint) -> None:
    async def main() -> None:
        world = World()
        gtt = await placed(world)
        at = CrashAt(point)
        world = world.restart(reached=at)
        await world.gateway.recover(ACCOUNT)
        await world.tick(last="95")
        assert at.happened
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        for last in ("94.95", "94.90"):
            await world.tick(last=last)
        orders = world.gateway.orders(WHOLE)
        assert [(o.id, o.filled_quantity) for o in orders] == [(gtt.order_id, 5)]
        assert world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.TRIGGERED

    run(main())


def test_the_kill_switch_keeps_gtts_from_being_placed_and_changed_but_not_withdrawn() -> None:
    async def main() -> None:
        engaged: list[str] = []

        def refuse(_book: Book) -> None:
            if engaged:
                raise Conflict("The kill switch is engaged.")

        world = World(refuse=refuse)
        gtt = await placed(world)
        engaged.append("now")
        with pytest.raises(Conflict, match="kill switch"):
            await placed(world)
        with pytest.raises(Conflict, match="kill switch"):
            await world.gateway.modify_gtt(WHOLE, gtt.id, gtt.request)
        assert await world.gateway.cancel_all_gtts(WHOLE) == []
        assert world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.CANCELLED

    run(main())


def test_a_kill_switch_withdraws_the_gtts_of_its_scope() -> None:
    async def main() -> None:
        world = World()
        mine, other = await placed(world), await placed(world, owner=RSI)
        clearing = Clearing(world.gateway, world.market)
        assert await clearing.cancel_waiting(ACCOUNT, EMA.strategy_id) == []
        assert world.gateway.gtt(WHOLE, mine.id).status is GttStatus.CANCELLED
        assert world.gateway.gtt(WHOLE, other.id).status is GttStatus.ACTIVE

    run(main())


def test_an_instrument_that_is_not_listed_takes_no_gtt() -> None:
    async def main() -> None:
        world = World()
        asked = replace(
            gtt_request("BUY 5 CNC 95"), key=InstrumentKey(exchange=Exchange.NSE, symbol="NOPE")
        )
        with pytest.raises(NotFound, match="NSE:NOPE is not listed"):
            await world.gateway.place_gtt(EMA, asked)

    run(main())
