"""Bars R27, promise 10: no crash on an order's way doubles, loses or invents anything."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from algohost.broker.accounts import PaperBrokers
from algohost.broker.crash_points import CrashPoint
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import OrderId
from algohost.domain.orders import Order, OrderChanges, OrderStatus
from algohost.domain.ports import Intent
from tests.broker.remote import Cut
from tests.broker.world import WHOLE, Crash, CrashAt, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, RSI, TCS, UNATTRIBUTED, gtt_request, request

POINTS = list(CrashPoint)
STOPPED = "The host stopped before the order was sent."


def new_world(kind: str) -> World:
    """A server whose broker is the embedded paper one, or at the other end of a line."""
    return World() if kind == "paper" else World.of_remote()


@pytest.mark.parametrize(
    ("kind", "point", "orders", "units"),
    [
        ("paper", CrashPoint.BEFORE_INTENT, [], 0),
        ("paper", CrashPoint.BEFORE_APPEND, [], 0),
        ("paper", CrashPoint.AFTER_APPEND, [""], 10),
        ("paper", CrashPoint.BEFORE_ACK, [""], 10),
        ("remote", CrashPoint.BEFORE_INTENT, [], 0),
        ("remote", CrashPoint.AFTER_INTENT, [STOPPED], 0),
        ("remote", CrashPoint.BEFORE_APPEND, [STOPPED], 0),
        ("remote", CrashPoint.AFTER_APPEND, [""], 10),
        ("remote", CrashPoint.BEFORE_ACK, [""], 10),
    ],
)
def test_after_a_crash_the_order_is_where_it_was(
    kind: str, point: CrashPoint, orders: list[str], units: int
) -> None:
    async def main() -> None:
        before = new_world(kind)
        await before.gateway.recover(ACCOUNT)
        world = before.restart(reached=CrashAt(point))
        with pytest.raises(Crash):
            await world.place("BUY 10 MARKET")
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert [order.reason for order in world.gateway.orders(WHOLE)] == orders
        assert sum(view.position.quantity for view in world.gateway.positions(WHOLE)) == units
        assert (await world.place("BUY 1 MARKET")).status is OrderStatus.COMPLETE

    run(main())


async def _place(world: World, _resting: Order) -> None:
    await world.place_labelled("BUY 10 MARKET", INFY, EMA, "second")


async def _place_smart(world: World, _resting: Order) -> None:
    asked = replace(request("BUY 1 MARKET", INFY), label="second")
    await world.gateway.place_smart(EMA, asked, 10, key="one")


async def _modify(world: World, resting: Order) -> None:
    await world.gateway.modify(WHOLE, resting.id, OrderChanges(price=Decimal(91)))


async def _cancel(world: World, resting: Order) -> None:
    await world.gateway.cancel(WHOLE, resting.id)


async def _cancel_all(world: World, _resting: Order) -> None:
    await world.gateway.cancel_all(WHOLE)


async def _fill(world: World, _resting: Order) -> None:
    await world.tick(last="80")


async def _gtt_that_is_touched(world: World, _resting: Order) -> None:
    """Its order is one that the exchange places: it has no intent, and comes once."""
    await world.gateway.place_gtt(EMA, replace(gtt_request("BUY 10 CNC 95:95.5"), label="third"))
    await world.tick(last="95")


OPERATIONS = [_place, _place_smart, _modify, _cancel, _cancel_all, _fill, _gtt_that_is_touched]


@pytest.mark.parametrize("kind", ["paper", "remote"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.__name__.strip("_"))
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("again", [None, *POINTS])
def test_every_operation_is_cut_at_every_point_and_once_more_while_recovering(
    kind: str,
    operation: Callable[[World, Order], Awaitable[None]],
    point: CrashPoint,
    again: CrashPoint | None,
) -> None:
    """What was told before stands, the cut operation is done or not done, nothing else is."""

    async def main() -> None:
        world = new_world(kind)
        resting = await world.place_labelled("BUY 10 LIMIT 90", INFY, EMA, "first")
        world = world.restart(reached=CrashAt(point))
        with suppress(Crash):
            await world.gateway.recover(ACCOUNT)
            await operation(world, resting)
        await idle()
        if again is not None:
            world = world.restart(reached=CrashAt(again))
            with suppress(Crash):
                await world.gateway.recover(ACCOUNT)
            await idle()
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        told = {} if operation in {_modify, _cancel, _cancel_all, _fill} else {resting.id: resting}
        await _audit(world, {"first", "second"}, told, placed_there={"third"})
        assert resting.id in {order.id for order in world.gateway.orders(WHOLE)}

    run(main())


@pytest.mark.parametrize("kind", ["paper", "remote"])
def test_a_crash_in_the_middle_of_recovery_is_recovered_from(kind: str) -> None:
    async def main() -> None:
        world = new_world(kind)
        await world.gateway.recover(ACCOUNT)
        await world.journal.intend(Intent(order=await _never_sent(world)))
        world = world.restart(reached=CrashAt(CrashPoint.AFTER_APPEND))
        with suppress(Crash):
            await world.gateway.recover(ACCOUNT)
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert [(o.status, o.reason) for o in world.gateway.orders(WHOLE)] == [
            (OrderStatus.REJECTED, STOPPED)
        ]

    run(main())


async def _never_sent(world: World) -> Order:
    broker = world.gateway._accounts.opened(ACCOUNT).broker
    return Order(
        id=broker.next_order_id(),
        book=EMA,
        request=request("BUY 1 MARKET", INFY),
        status=OrderStatus.INTENDED,
        placed_at=world.market.at,
        updated_at=world.market.at,
    )


@pytest.mark.parametrize("kind", ["paper", "remote"])
@pytest.mark.parametrize("seed", range(25))
def test_a_day_of_crashes_doubles_loses_and_invents_nothing(seed: int, kind: str) -> None:
    """Orders, ticks and cancellations with a crash at a random point, over and over.

    Known to the test: which requests were made (by label), and which were acknowledged. After
    each recovery every acknowledged order stands as it was told or further, no request has two
    orders, no order is without a request, and positions are the sum of the trades. A broker far
    away loses answers and is silent for a while besides.
    """
    run(_a_day(random.Random(seed), kind))


async def _a_day(chance: random.Random, kind: str) -> None:
    world, asked, acknowledged = new_world(kind), set[str](), dict[OrderId, Order]()
    for life in range(6):
        at = CrashAt(chance.choice(POINTS), visit=chance.randint(1, 8))
        world = world.restart(reached=at)
        try:
            await world.gateway.recover(ACCOUNT)
            for _ in range(12):
                _trouble(world, chance)
                await _one_step(world, chance, asked, acknowledged, name=f"{life}")
                if at.happened:
                    break
        except Crash:
            await idle()
        if world.far is not None:
            world.far.cut, world.far.is_silent = None, False
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        await _audit(world, asked, acknowledged)


def _trouble(world: World, chance: random.Random) -> None:
    if world.far is not None:
        world.far.cut = chance.choice([None, None, Cut.BEFORE, Cut.AFTER])
        world.far.is_silent = chance.random() < 0.3


async def _one_step(
    world: World,
    chance: random.Random,
    asked: set[str],
    acknowledged: dict[OrderId, Order],
    *,
    name: str,
) -> None:
    step = chance.random()
    if step < 0.3:
        world.market.show(chance.choice([INFY, TCS]), last=str(chance.randint(95, 105)))
        world.market.tick()
        await idle()
    elif step < 0.45 and acknowledged:
        try:
            order = await world.gateway.cancel(WHOLE, chance.choice(sorted(acknowledged)))
            acknowledged[order.id] = order
        except AlgohostError:
            pass
    else:
        label = f"{name}-{len(asked)}"
        asked.add(label)
        kinds = ["MARKET", "LIMIT 99", "LIMIT 101", "MARKET CNC", "LIMIT 97 CNC"]
        text = f"{chance.choice(['BUY', 'SELL'])} {chance.randint(1, 9)} {chance.choice(kinds)}"
        order = await world.place_labelled(
            text, chance.choice([INFY, TCS]), chance.choice([EMA, RSI, UNATTRIBUTED]), label
        )
        if order.status is not OrderStatus.UNKNOWN:
            acknowledged[order.id] = order


async def _audit(
    world: World,
    asked: set[str],
    acknowledged: dict[OrderId, Order],
    *,
    placed_there: Collection[str] = (),
) -> None:
    orders = {order.id: order for order in world.gateway.orders(WHOLE)}
    if world.far is not None:
        assert max(world.far.sent.values(), default=0) <= 1, "sent twice"
    labels = Counter(order.request.label for order in orders.values())
    assert max(labels.values(), default=0) <= 1, "doubled"
    assert set(labels) <= asked.union(placed_there), "invented"
    assert set(acknowledged) <= set(orders), "lost"
    for told in acknowledged.values():
        now = orders[told.id]
        assert now.filled_quantity >= told.filled_quantity
        assert now == told or not told.status.is_final
    intents = {order.id for order in await world.journal.intents(ACCOUNT)}
    assert {o.id for o in orders.values() if o.request.label not in placed_there} == intents
    assert not any(o.status in {OrderStatus.INTENDED, OrderStatus.UNKNOWN} for o in orders.values())
    trades = world.gateway.trades(WHOLE)
    assert len({trade.id for trade in trades}) == len(trades)
    for order in orders.values():
        filled = sum(trade.quantity for trade in trades if trade.order_id == order.id)
        assert filled == order.filled_quantity
    traded, held = Counter[object](), Counter[object]()
    for trade in trades:
        traded[trade.book, trade.key, trade.product] += trade.action.sign * trade.quantity
    for view in world.gateway.positions(WHOLE):
        place = view.position.book, view.position.key, view.position.product
        held[place] += view.position.quantity
    assert {p: n for p, n in traded.items() if n} == {p: n for p, n in held.items() if n}
    if world.far is not None:
        return
    read_back = await PaperBrokers(journal=world.journal, market=world.market).open(ACCOUNT)
    broker = world.gateway._accounts.opened(ACCOUNT).broker
    assert read_back._state == broker._state  # type: ignore[attr-defined]
    await read_back.close()
