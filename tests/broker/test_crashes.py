"""Bars R27, promise 10: no crash on an order's way doubles, loses or invents anything."""

import random
from collections import Counter
from functools import reduce

import pytest

from algohost.broker.crash_points import CrashPoint
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import OrderId
from algohost.domain.orders import Order, OrderStatus
from algohost.exchange.account import AccountState, fold
from algohost.exchange.codec import from_record
from tests.broker.world import WHOLE, Crash, CrashAt, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, INFY, RSI, TCS, UNATTRIBUTED

POINTS = list(CrashPoint)


@pytest.mark.parametrize(
    ("point", "orders", "units"),
    [
        (CrashPoint.BEFORE_INTENT, [], 0),
        (CrashPoint.AFTER_INTENT, ["The host stopped before the order was sent."], 0),
        (CrashPoint.AFTER_APPEND, [""], 10),
        (CrashPoint.BEFORE_ACK, [""], 10),
    ],
)
def test_after_a_crash_the_order_is_where_it_was(
    point: CrashPoint, orders: list[str], units: int
) -> None:
    async def main() -> None:
        before = World()
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


def test_a_crash_in_the_middle_of_recovery_is_recovered_from() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        world = world.restart(reached=CrashAt(CrashPoint.AFTER_INTENT))
        with pytest.raises(Crash):
            await world.place("BUY 10 MARKET")
        world = world.restart(reached=CrashAt(CrashPoint.AFTER_APPEND))
        with pytest.raises(Crash):
            await world.gateway.recover(ACCOUNT)
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        assert [o.status for o in world.gateway.orders(WHOLE)] == [OrderStatus.REJECTED]

    run(main())


@pytest.mark.parametrize("seed", range(40))
def test_a_day_of_crashes_doubles_loses_and_invents_nothing(seed: int) -> None:
    """Orders, ticks and cancellations with a crash at a random point, over and over.

    Known to the test: which requests were made (by label), and which were acknowledged. After
    each recovery every acknowledged order stands as it was told or further, no request has two
    orders, no order is without a request, and positions are the sum of the trades.
    """
    run(_a_day(random.Random(seed)))


async def _a_day(chance: random.Random) -> None:
    world, asked, acknowledged = World(), set[str](), dict[OrderId, Order]()
    for life in range(6):
        at = CrashAt(chance.choice(POINTS), visit=chance.randint(1, 8))
        world = world.restart(reached=at)
        try:
            await world.gateway.recover(ACCOUNT)
            for _ in range(12):
                await _one_step(world, chance, asked, acknowledged, name=f"{life}")
                if at.happened:
                    break
        except Crash:
            await idle()
        world = world.restart()
        await world.gateway.recover(ACCOUNT)
        await _audit(world, asked, acknowledged)


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
        kinds = ["MARKET", "LIMIT 99", "LIMIT 101", "MARKET CNC", "LIMIT 97 NRML"]
        text = f"{chance.choice(['BUY', 'SELL'])} {chance.randint(1, 9)} {chance.choice(kinds)}"
        order = await world.place_labelled(
            text, chance.choice([INFY, TCS]), chance.choice([EMA, RSI, UNATTRIBUTED]), label
        )
        acknowledged[order.id] = order


async def _audit(world: World, asked: set[str], acknowledged: dict[OrderId, Order]) -> None:
    orders = {order.id: order for order in world.gateway.orders(WHOLE)}
    labels = Counter(order.request.label for order in orders.values())
    assert max(labels.values(), default=0) <= 1, "doubled"
    assert set(labels) <= asked, "invented"
    assert set(acknowledged) <= set(orders), "lost"
    for told in acknowledged.values():
        now = orders[told.id]
        assert now.filled_quantity >= told.filled_quantity
        assert now == told or not told.status.is_final
    intents = {order.id for order in await world.journal.intents(ACCOUNT)}
    assert set(orders) == intents
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
    log = map(from_record, await world.journal.replay(ACCOUNT))
    broker = world.gateway._accounts[ACCOUNT].broker
    assert reduce(fold, log, AccountState(ACCOUNT)) == broker._state  # type: ignore[attr-defined]
