"""An order of unknown outcome stays unknown until the broker has said what became of it."""

import asyncio
from dataclasses import replace

import pytest

from algohost.broker.ports import Finding, Known, Unsaid
from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.orders import Order, OrderStatus
from tests.broker.remote import Cut, FarAway
from tests.broker.world import OF_EMA, WHOLE, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, RSI, TCS, request


class Pauses:
    """Pauses that a test ends, one after the other; ``asked`` says how long each was to be."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._over.wait()
        self._over.clear()

    async def end(self) -> None:
        """Ends the present pause and lets what follows happen."""
        self._over.set()
        await idle()


def far_of(world: World) -> FarAway:
    assert world.far is not None
    return world.far


@pytest.mark.parametrize(
    ("cut", "settles_as", "reason"),
    [
        (Cut.BEFORE, OrderStatus.REJECTED, "The broker did not get the order."),
        (Cut.AFTER, OrderStatus.COMPLETE, ""),
    ],
)
def test_the_broker_is_asked_again_until_it_can_say(
    cut: Cut, settles_as: OrderStatus, reason: str
) -> None:
    async def main() -> None:
        pauses = Pauses()
        world = World.of_remote(pause=pauses)
        far = far_of(world)
        far.cut, far.is_silent = cut, True
        order = await world.place("BUY 1 MARKET")
        assert (order.status, order.reason) == (
            OrderStatus.UNKNOWN,
            "Whether it was taken is not known yet.",
        )
        await idle()
        for _ in range(3):
            await pauses.end()
        shown = world.gateway.order(OF_EMA, order.id)
        assert (shown.status, shown.reason) == (OrderStatus.UNKNOWN, "The broker is silent.")
        assert world.gateway.orders(WHOLE) == [shown]
        far.is_silent = False
        await pauses.end()
        settled = world.gateway.order(OF_EMA, order.id)
        assert (settled.status, settled.reason) == (settles_as, reason)
        assert world.gateway.orders(WHOLE) == [settled]
        assert (pauses.asked, far.asked) == ([0.25, 0.5, 1.0, 2.0], 4)
        assert list(far.sent.values()) == [1]

    run(main())


def test_pauses_grow_to_half_a_minute() -> None:
    async def main() -> None:
        pauses = Pauses()
        world = World.of_remote(pause=pauses)
        far_of(world).cut, far_of(world).is_silent = Cut.BEFORE, True
        await world.place("BUY 1 MARKET")
        await idle()
        for _ in range(9):
            await pauses.end()
        assert pauses.asked == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        await world.gateway.close()

    run(main())


def test_a_broker_that_raises_settles_nothing_and_is_asked_again() -> None:
    async def main() -> None:
        pauses = Pauses()
        world = World.of_remote(pause=pauses)
        exchange = await far_of(world).exchange(ACCOUNT)
        far_of(world).cut = Cut.AFTER
        find = exchange.find

        async def broken(_orders: object) -> dict[str, Finding]:
            raise Unavailable("The broker does not answer.")

        exchange.find = broken  # type: ignore[method-assign, assignment]
        order = await world.place("BUY 1 MARKET")
        await idle()
        await pauses.end()
        assert world.gateway.order(OF_EMA, order.id).status is OrderStatus.UNKNOWN
        exchange.find = find  # type: ignore[method-assign]
        await pauses.end()
        assert world.gateway.order(OF_EMA, order.id).status is OrderStatus.COMPLETE

    run(main())


def test_an_account_opens_with_orders_that_the_broker_cannot_speak_of_yet() -> None:
    async def main() -> None:
        world = World.of_remote()
        far_of(world).cut, far_of(world).is_silent = Cut.AFTER, True
        order = await world.place("BUY 1 MARKET")
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert world.gateway.order(OF_EMA, order.id).status is OrderStatus.UNKNOWN
        far_of(world).cut = None
        other = await world.place("BUY 1 MARKET", TCS)
        assert other.status is OrderStatus.COMPLETE
        await world.gateway.close()

    run(main())


def test_a_position_that_is_not_known_is_no_target() -> None:
    async def main() -> None:
        world = World.of_remote()
        far_of(world).cut, far_of(world).is_silent = Cut.AFTER, True
        order = await world.place("BUY 1 MARKET")
        far_of(world).cut = None
        with pytest.raises(Conflict, match=f"whether order {order.id} in NSE:INFY was taken"):
            await world.gateway.place_smart(EMA, request("BUY 1 MARKET", INFY), 5)
        for key, book in ((TCS, EMA), (INFY, RSI)):
            placed = await world.gateway.place_smart(book, request("BUY 1 MARKET", key), 5)
            assert placed is not None
        await world.gateway.close()

    run(main())


def test_a_position_that_is_not_known_is_not_closed_and_all_others_are() -> None:
    async def main() -> None:
        world = World.of_remote()
        for key, book in ((INFY, EMA), (TCS, EMA), (INFY, RSI)):
            await world.place("BUY 5 MARKET", key, owner=book)
        far_of(world).cut, far_of(world).is_silent = Cut.BEFORE, True
        order = await world.place("SELL 5 MARKET")
        far_of(world).cut = None
        with pytest.raises(Conflict, match=f"whether order {order.id} in NSE:INFY was taken"):
            await world.gateway.close_positions(WHOLE)
        held = {
            (view.position.key, view.position.book): view.position.quantity
            for view in world.gateway.positions(WHOLE)
        }
        assert held == {(INFY, EMA): 5, (TCS, EMA): 0, (INFY, RSI): 0}
        await world.gateway.close()

    run(main())


def test_what_the_broker_refused_is_rejected_in_its_words() -> None:
    async def main() -> None:
        world = World.of_remote()
        exchange = await far_of(world).exchange(ACCOUNT)

        async def refuse(_order: Order) -> Order:
            raise Conflict("The session has expired.")

        exchange.place = refuse  # type: ignore[method-assign, assignment]
        order = await world.place("BUY 1 MARKET")
        assert (order.status, order.reason) == (OrderStatus.REJECTED, "The session has expired.")

    run(main())


def test_a_finding_for_each_order_and_none_for_a_stranger() -> None:
    async def main() -> None:
        world = World()
        known = await world.place("BUY 1 MARKET")
        broker = world.gateway._accounts.opened(ACCOUNT).broker
        stranger = replace(known, id=broker.next_order_id())
        found = await broker.find([known, stranger])
        assert [type(found[one.id]).__name__ for one in (known, stranger)] == ["Known", "Absent"]
        assert found[known.id] == Known(order=known)
        assert Unsaid(reason="a") != Unsaid(reason="b")

    run(main())
