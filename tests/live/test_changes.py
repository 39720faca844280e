"""Changes, refusals and what is seen of a live account, against a server that works."""

import asyncio

import pytest

from algohost.broker.openalgo_http import BROKER_BUSY, NotSent, OpenAlgoHttp, Patience
from algohost.broker.openalgo_opening import look_at_server
from algohost.broker.views import Scope, netted
from algohost.domain.errors import Conflict, Invalid, Unavailable
from algohost.domain.orders import Action, OrderChanges, OrderStatus, Product, Validity
from algohost.domain.reach import WIDE
from tests.api.served import ACCOUNT_KEY, Served
from tests.live.faults import Fault
from tests.live.world import EMA, LIVE, RSI, SBIN, WHOLE, living, run, until

OF_EMA = Scope(account_id=LIVE, strategy_id=EMA.strategy_id)
OF_RSI = Scope(account_id=LIVE, strategy_id=RSI.strategy_id)


def test_a_refusal_is_the_brokers_sentence_and_the_order_is_rejected(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            order = await world.place(quantity=1, product=Product.CNC, action=Action.SELL)
            assert order.status is OrderStatus.REJECTED
            assert "CNC sells only what is held" in order.reason

    run(main())


def test_what_no_server_of_theirs_can_take_is_not_sent(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            order = await world.place(validity=Validity.IOC)
            assert order.status is OrderStatus.REJECTED
            assert "for the day only" in order.reason
            assert world.proxy.placed == 0

    run(main())


def test_an_order_is_changed_and_cancelled_there_and_here(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            order = await world.resting()
            price = world.below("0.98")
            changed = await world.gateway.modify(OF_EMA, order.id, OrderChanges(price=price))
            assert changed.request.price == price
            (row,) = world.upstream_orders()
            assert row["price"] == float(price)
            cancelled = await world.gateway.cancel(OF_EMA, order.id)
            assert cancelled.status is OrderStatus.CANCELLED
            (row,) = world.upstream_orders()
            assert row["order_status"] == "cancelled"
            with pytest.raises(Conflict):
                await world.gateway.cancel(OF_EMA, order.id)

    run(main())


def test_what_was_changed_at_the_broker_by_hand_is_seen_here(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            order = await world.resting()
            (row,) = world.upstream_orders()
            gone = await asyncio.to_thread(
                served.post, "cancelorder", strategy="by hand", orderid=row["orderid"]
            )
            assert gone.status_code == 200
            await until(lambda: world.gateway.order(WHOLE, order.id).status.is_final)
            assert world.gateway.order(WHOLE, order.id).status is OrderStatus.CANCELLED

    run(main())


def test_books_are_apart_and_what_was_bought_by_hand_is_unattributed(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            await world.place(EMA, quantity=5)
            await world.place(RSI, quantity=2, action=Action.SELL)
            await asyncio.to_thread(
                served.post, "placeorder", strategy="by hand", symbol="SBIN", exchange="NSE",
                action="BUY", quantity=7, pricetype="MARKET", product="MIS",
            )  # fmt: skip

            def whole() -> list[int]:
                views = netted(world.gateway.positions(WHOLE), LIVE)
                return [view.position.quantity for view in views]

            await until(lambda: whole() == [10])
            of = {
                scope.strategy_id: [v.position.quantity for v in world.gateway.positions(scope)]
                for scope in (OF_EMA, OF_RSI)
            }
            assert of == {EMA.strategy_id: [5], RSI.strategy_id: [-2]}
            held = [view.position for view in world.gateway.positions(WHOLE)]
            assert [one.quantity for one in held if one.book.strategy_id is None] == [7]
            (view,) = world.gateway.positions(OF_EMA)
            theirs = served.do(lambda: served.host.market.quote(SBIN).last)
            assert view.last == theirs  # the broker's prices, not this host's
            funds = world.gateway.funds(LIVE)
            assert funds.used_margin > 0

    run(main())


def test_a_change_whose_answer_is_lost_shows_what_became_of_it(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            order = await world.resting()
            world.proxy.other_faults = {"cancelorder": Fault.CUT_AFTER}
            with pytest.raises(Unavailable):
                await world.gateway.cancel(OF_EMA, order.id)
            await until(lambda: world.gateway.order(WHOLE, order.id).status.is_final)
            assert world.gateway.order(WHOLE, order.id).status is OrderStatus.CANCELLED

    run(main())


def test_a_server_that_is_too_busy_is_asked_again_within_bounds(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            world.proxy.next_orders = [Fault.BUSY] * 3
            assert (await world.place()).status is not OrderStatus.REJECTED
            world.proxy.next_orders = [Fault.BUSY] * 4
            refused = await world.place()
            assert refused.status is OrderStatus.REJECTED
            assert refused.reason.startswith("The broker's server takes no more orders for now")
            assert len(world.upstream_orders()) == 1

    run(main())


def test_nobody_there_means_that_nothing_was_sent() -> None:
    async def main() -> None:
        quick = Patience(connect_seconds=0.5, answer_seconds=0.5)
        http = OpenAlgoHttp(
            "http://127.0.0.1:9", lambda: "k" * 20, reach=lambda: WIDE, patience=quick
        )
        with pytest.raises(NotSent) as refusal:
            await http.command("placeorder", {})
        assert refusal.value.code != BROKER_BUSY
        assert "k" * 20 not in repr(http)
        await http.close()

    run(main())


def test_a_look_at_a_server_says_what_is_behind_it_and_whether_the_key_is_good(
    served: Served,
) -> None:
    async def main() -> None:
        seen = await look_at_server(served.url, ACCOUNT_KEY, WIDE)
        assert (seen.broker, seen.is_analyzing) == ("paper", True)
        assert seen.available > 0
        with pytest.raises(Invalid) as refusal:
            await look_at_server(served.url, "z" * 64, WIDE)
        assert refusal.value.code == "BROKER_REFUSES_KEY"
        assert "z" * 64 not in refusal.value.message

    run(main())


def test_an_account_opens_while_its_server_is_away_and_reads_what_is_known(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            order = await world.place(quantity=2)
            await until(lambda: world.gateway.order(WHOLE, order.id).status.is_final)
            await world.gateway.close()
            world.proxy.away = True
            again = world.restarted()
            await again.gateway.recover(LIVE)
            assert again.gateway.order(WHOLE, order.id).status is OrderStatus.COMPLETE
            (view,) = again.gateway.positions(OF_EMA)
            assert view.position.quantity == 2
            with pytest.raises(Unavailable):
                again.gateway.funds(LIVE)
            await again.gateway.close()

    run(main())
