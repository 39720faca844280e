"""Orders through a network that fails: none doubled, none lost, none invented (promise 10)."""

import random
from collections import Counter

import pytest

from algohost.broker.views import Scope
from algohost.domain.orders import OrderStatus
from tests.api.served import ACCOUNT_KEY, Served
from tests.live.faults import Fault
from tests.live.world import EMA, LIVE, RSI, WHOLE, LiveWorld, living, run, until

ARRIVES = {
    Fault.NONE: True,
    Fault.CUT_BEFORE: False,
    Fault.CUT_AFTER: True,
    Fault.CUT_WITHIN: True,
    Fault.SILENT_BEFORE: False,
    Fault.SILENT_AFTER: True,
    Fault.BUSY: True,  # sent again: the server did not look at it the first time
    Fault.BROKEN_BEFORE: False,
    Fault.BROKEN_AFTER: True,
    Fault.STALE: True,
    Fault.DIES: True,
}


async def settled(world: LiveWorld) -> None:
    """Waits until no order is unknown or on its way."""
    pending = {OrderStatus.UNKNOWN, OrderStatus.INTENDED}
    await until(lambda: not any(o.status in pending for o in world.gateway.orders(WHOLE)))


def agree(world: LiveWorld) -> None:
    """Every order here is one there, with the same fate, and the other way round."""
    ours = [o for o in world.gateway.orders(WHOLE) if o.status is not OrderStatus.REJECTED]
    theirs = world.upstream_orders()
    shape = Counter((o.request.quantity, o.status.value) for o in ours)
    assert shape == Counter((row["quantity"], row["order_status"]) for row in theirs)
    assert len(theirs) == world.proxy.placed


@pytest.mark.parametrize("fault", list(Fault))
def test_one_order_through_each_fault_is_there_once_or_not_at_all(
    served: Served, fault: Fault
) -> None:
    async def main() -> None:
        async with living(served) as world:
            await world.gateway.recover(LIVE)
            world.proxy.on_die = world.come_back
            world.proxy.next_orders = [Fault.NONE, fault]
            await world.place(quantity=1)
            order = await world.place(quantity=2)
            await settled(world)
            await until(lambda: world.gateway.order(WHOLE, order.id).status.is_final)
            fate = world.gateway.order(WHOLE, order.id).status
            assert (fate is OrderStatus.COMPLETE) is ARRIVES[fault], fate
            agree(world)
            mine = Scope(account_id=LIVE, strategy_id=EMA.strategy_id)
            (view,) = world.gateway.positions(mine)
            assert view.position.quantity == (3 if ARRIVES[fault] else 1)

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_many_orders_through_many_faults_and_restarts_are_all_accounted_for(
    served: Served, seed: int
) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        async with living(served) as world:
            faults = [f for f in Fault if f is not Fault.DIES]
            await world.gateway.recover(LIVE)
            for number in range(1, 13):
                world.proxy.next_orders = [chance.choice(faults)]
                book = chance.choice([EMA, RSI])
                await world.place(book, quantity=number)
                if chance.random() < 0.2:
                    await world.gateway.close()
                    world = world.restarted()
                    await world.gateway.recover(LIVE)
            await settled(world)
            open_ = {OrderStatus.OPEN}
            await until(lambda: not any(o.status in open_ for o in world.gateway.orders(WHOLE)))
            agree(world)
            bought = sum(
                o.request.quantity
                for o in world.gateway.orders(WHOLE)
                if o.status is OrderStatus.COMPLETE
            )
            held = [v.position.quantity for v in world.gateway.positions(WHOLE)]
            mine = [
                v.position.quantity
                for book in (EMA, RSI)
                for v in world.gateway.positions(
                    Scope(account_id=LIVE, strategy_id=book.strategy_id)
                )
            ]
            assert sum(held) == sum(mine) == bought
            await world.gateway.close()

    run(main())


def test_the_key_is_in_bodies_alone(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        caplog.set_level("DEBUG")
        async with living(served) as world:
            world.proxy.next_orders = [Fault.CUT_AFTER, Fault.BROKEN_AFTER]
            told = [repr(await world.place()), repr(await world.place(quantity=2))]
            told += [repr(order) for order in world.told]
            told += [repr(vars(broker)) for broker in world.brokers]
            await settled(world)
            key = ACCOUNT_KEY.encode()
            assert all(key not in one.partition(b"\r\n\r\n")[0] for one in world.proxy.seen)
            assert any(key in one for one in world.proxy.seen)
            return "".join(told) + repr(vars(world.journal))

    assert ACCOUNT_KEY not in run(main())
    assert ACCOUNT_KEY not in caplog.text
