"""The one door: what it accepts, who sees what, and in which order things become true."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway
from algohost.broker.views import DayPnl, Scope, netted
from algohost.domain.errors import Conflict, Invalid, NotFound, Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderChanges,
    OrderStatus,
    Product,
)
from algohost.exchange import numbers
from algohost.exchange.honest import HONEST
from algohost.exchange.numbers import ACCOUNT_NUMBERS
from tests.broker.world import OF_EMA, WHOLE, World, idle, run
from tests.exchange.desk import ACCOUNT, EMA, FUTURE, INFY, RSI, TCS, UNATTRIBUTED, request

OF_RSI = Scope(account_id=ACCOUNT, strategy_id=RSI.strategy_id)


def day_pnl(gateway: Gateway, book: Book) -> DayPnl:
    """What the strategy of ``book`` gained today."""
    scope = Scope(account_id=ACCOUNT, strategy_id=book.strategy_id)
    return gateway.day_pnls(scope)[book.strategy_id]


def test_a_market_order_trades_and_every_page_agrees() -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 10 MARKET")
        assert (order.status, order.average_price) == (OrderStatus.COMPLETE, Decimal("100.05"))
        gateway = world.gateway
        assert gateway.order(OF_EMA, order.id) == order
        assert gateway.orders(OF_EMA) == [order]
        (trade,) = gateway.trades(OF_EMA)
        assert (trade.order_id, trade.quantity, trade.price) == (order.id, 10, Decimal("100.05"))
        (view,) = gateway.positions(OF_EMA)
        assert (view.position.quantity, view.last) == (10, Decimal(100))
        assert view.unrealised == view.pnl == Decimal("-0.50")
        funds = gateway.funds(ACCOUNT)
        assert (funds.cash, funds.used_margin) == (Decimal("10000000.00"), Decimal("200.10"))
        assert funds.available == Decimal("10000000.00") - Decimal("200.10") - Decimal("0.50")
        pnl = day_pnl(gateway, EMA)
        assert (pnl.realised, pnl.unrealised) == (Decimal(0), Decimal("-0.50"))

    run(main())


def test_order_numbers_are_digits_and_unlike() -> None:
    async def main() -> None:
        world = World()
        ids = [(await world.place("BUY 1 MARKET")).id for _ in range(5)]
        assert len(set(ids)) == 5
        assert all(number.isdigit() and len(number) == 18 for number in ids)
        assert ids == sorted(ids)

    run(main())


def test_orders_at_once_get_numbers_of_their_own_and_each_trades_once() -> None:
    async def main() -> None:
        world = World()
        placed = await asyncio.gather(*(world.place("BUY 1 MARKET") for _ in range(20)))
        assert len({order.id for order in placed}) == 20
        (view,) = world.gateway.positions(WHOLE)
        assert view.position.quantity == 20

    run(main())


def test_a_refused_order_is_an_order_with_a_reason() -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 0 MARKET")
        assert (order.status, order.reason) == (
            OrderStatus.REJECTED,
            "Quantity 0 is not possible. Give one above zero.",
        )
        assert world.gateway.orders(OF_EMA) == [order]

    run(main())


def test_an_instrument_that_is_not_listed_leaves_no_trace() -> None:
    async def main() -> None:
        world = World()
        with pytest.raises(NotFound, match="NSE:NOPE is not listed"):
            await world.place("BUY 1 MARKET", InstrumentKey(exchange=Exchange.NSE, symbol="NOPE"))
        assert await world.journal.intents(ACCOUNT) == []

    run(main())


def test_the_intent_is_on_disk_before_the_exchange_hears_of_the_order() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        world.journal.gate.clear()
        sending = asyncio.ensure_future(world.place("BUY 1 MARKET"))
        await idle()
        assert world.journal.waiting == 1
        assert world.gateway.orders(WHOLE) == []
        world.journal.gate.set()
        order = await sending
        (intent,) = await world.journal.intents(ACCOUNT)
        assert (intent.id, intent.status) == (order.id, OrderStatus.INTENDED)

    run(main())


def test_an_order_that_is_being_sent_is_shown_as_intended() -> None:
    async def main() -> None:
        world = World.of_remote()
        await world.gateway.recover(ACCOUNT)
        assert world.far is not None
        exchange, held = await world.far.exchange(ACCOUNT), asyncio.Event()
        place = exchange.place

        async def slow(order: Order) -> Order:
            await held.wait()
            return await place(order)

        exchange.place = slow  # type: ignore[method-assign]
        sending = asyncio.ensure_future(world.place("BUY 1 MARKET"))
        await idle()
        (shown,) = world.gateway.orders(OF_EMA)
        assert shown.status is OrderStatus.INTENDED
        assert world.gateway.positions(OF_EMA) == []
        held.set()
        assert world.gateway.orders(OF_EMA) != [await sending]
        assert [o.status for o in world.gateway.orders(OF_EMA)] == [OrderStatus.COMPLETE]

    run(main())


def test_a_caller_who_leaves_does_not_cut_the_way_of_an_order() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        world.journal.gate.clear()
        sending = asyncio.ensure_future(world.place("BUY 1 MARKET"))
        await idle()
        sending.cancel()
        await idle()
        world.journal.gate.set()
        await idle()
        (order,) = world.gateway.orders(OF_EMA)
        assert order.status is OrderStatus.COMPLETE

    run(main())


def test_listeners_hear_each_change_and_one_that_fails_harms_nobody() -> None:
    async def main() -> None:
        world = World()

        def broken(order: Order) -> None:
            raise RuntimeError(order.id)

        world.gateway.listen(broken)
        order = await world.place("BUY 5 LIMIT 99")
        await world.tick(last="99", bid="98.95", ask="99")
        assert [(told.id, told.status) for told in world.told] == [
            (order.id, OrderStatus.OPEN),
            (order.id, OrderStatus.COMPLETE),
        ]

    run(main())


def test_a_resting_order_trades_at_a_tick_in_one_append() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 5 LIMIT 99")
        await world.place("BUY 5 SL-M @102")
        await world.place("BUY 5 LIMIT 150", TCS)
        before = world.journal.appends
        await world.tick(last="98", bid="97.95", ask="98")
        assert world.journal.appends == before + 1
        assert world.gateway.trades(WHOLE)[0].price == Decimal(98)
        await world.tick(last="98", bid="97.95", ask="98")
        assert world.journal.appends == before + 1

    run(main())


def test_a_tick_of_a_closed_exchange_fills_nothing() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 5 LIMIT 99")
        world.market.closed.add(Exchange.NSE)
        await world.tick(last="98")
        assert world.gateway.trades(WHOLE) == []

    run(main())


def test_a_tick_that_comes_while_an_order_is_journaled_is_not_missed() -> None:
    async def main() -> None:
        world = World()
        await world.gateway.recover(ACCOUNT)
        sending = asyncio.ensure_future(world.place("BUY 5 LIMIT 99"))
        while not await world.journal.intents(ACCOUNT):
            await asyncio.sleep(0)
        world.journal.gate.clear()
        await idle()
        world.market.show(INFY, last="98")
        world.market.tick()
        world.market.show(INFY, last="100")
        world.market.tick()
        world.journal.gate.set()
        order = await sending
        await idle()
        assert world.gateway.order(WHOLE, order.id).average_price == Decimal(98)

    run(main())


# -- scopes

Command = Callable[[Gateway, Scope, OrderId], Awaitable[object]]

COMMANDS: list[tuple[str, Command]] = [
    ("modify", lambda g, s, i: g.modify(s, i, OrderChanges(quantity=2))),
    ("cancel", lambda g, s, i: g.cancel(s, i)),
]


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_an_order_of_another_book_is_not_found(name: str, command: Command) -> None:
    async def main() -> None:
        world = World()
        order = await world.place("BUY 1 LIMIT 90")
        with pytest.raises(NotFound, match=f"There is no order {order.id}"):
            await command(world.gateway, OF_RSI, order.id)
        await command(world.gateway, WHOLE, order.id)

    run(main())


def test_each_scope_sees_its_own_and_books_sum_to_the_account() -> None:
    async def main() -> None:
        world = World()
        for owner, asked in ((EMA, "BUY 10"), (RSI, "SELL 4"), (UNATTRIBUTED, "BUY 3")):
            await world.place(f"{asked} MARKET", owner=owner)
        gateway = world.gateway
        assert [o.book for o in gateway.orders(OF_RSI)] == [RSI]
        assert [t.book for t in gateway.trades(OF_RSI)] == [RSI]
        assert len(gateway.orders(WHOLE)) == 3
        (net,) = netted(gateway.positions(WHOLE), ACCOUNT)
        assert net.position.quantity == 9
        assert net.unrealised == gateway.funds(ACCOUNT).unrealised
        parts = [day_pnl(gateway, book).total for book in (EMA, RSI)]
        rest = sum(v.pnl for v in gateway.positions(WHOLE) if v.position.book == UNATTRIBUTED)
        assert sum(parts) + rest == net.pnl

    run(main())


def test_cancel_all_cancels_the_open_orders_of_its_scope() -> None:
    async def main() -> None:
        world = World()
        mine = [await world.place("BUY 1 LIMIT 90"), await world.place("BUY 1 SL-M @110")]
        await world.place("BUY 1 MARKET")
        other = await world.place("BUY 1 LIMIT 90", owner=RSI)
        done = await world.gateway.cancel_all(OF_EMA)
        assert [order.id for order in done.cancelled] == [order.id for order in mine]
        assert {order.status for order in done.cancelled} == {OrderStatus.CANCELLED}
        assert done.failed == []
        assert world.gateway.order(WHOLE, other.id).status is OrderStatus.OPEN

    run(main())


def test_a_final_order_is_a_conflict_and_a_bad_change_is_invalid() -> None:
    async def main() -> None:
        world = World()
        done = await world.place("BUY 1 MARKET")
        with pytest.raises(Conflict, match="is complete and cannot change any more"):
            await world.gateway.cancel(OF_EMA, done.id)
        waiting = await world.place("BUY 1 LIMIT 90")
        with pytest.raises(Invalid, match="not a multiple of the tick size"):
            await world.gateway.modify(OF_EMA, waiting.id, OrderChanges(price=Decimal("90.01")))

    run(main())


def test_close_positions_closes_each_book_and_leaves_holdings() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 10 MARKET CNC")
        world.market.at += timedelta(days=1)
        await world.place("BUY 7 MARKET")
        await world.place("SELL 4 MARKET", owner=RSI)
        closed = await world.gateway.close_positions(WHOLE)
        assert [(o.book, o.request.action, o.request.quantity) for o in closed] == [
            (EMA, Action.SELL, 7),
            (RSI, Action.BUY, 4),
        ]
        assert all(order.status is OrderStatus.COMPLETE for order in closed)
        (holding,) = world.gateway.holdings(WHOLE)
        assert holding.position.quantity == 10
        assert await world.gateway.close_positions(WHOLE) == []

    run(main())


def test_a_position_above_the_freeze_quantity_is_closed_in_pieces() -> None:
    async def main() -> None:
        world = World()
        world.market.show(FUTURE, last="100")
        for _ in range(2):
            await world.place("BUY 1800 MARKET NRML", FUTURE)
        await world.place("BUY 75 MARKET NRML", FUTURE)
        closed = await world.gateway.close_positions(OF_EMA)
        assert [order.request.quantity for order in closed] == [1800, 1800, 75]
        assert all(view.position.quantity == 0 for view in world.gateway.positions(OF_EMA))

    run(main())


# -- smart orders

SMART = [
    ("from nothing to long", 0, 10, "BUY 10"),
    ("from nothing to short", 0, -10, "SELL 10"),
    ("more", 4, 10, "BUY 6"),
    ("less", 10, 4, "SELL 6"),
    ("out", 10, 0, "SELL 10"),
    ("through zero", 10, -10, "SELL 20"),
    ("there already", 10, 10, None),
    ("nothing to leave", 0, 0, None),
]


@pytest.mark.parametrize(
    ("held", "target", "needed"), [c[1:] for c in SMART], ids=[c[0] for c in SMART]
)
def test_a_smart_order_trades_the_difference(held: int, target: int, needed: str | None) -> None:
    async def main() -> None:
        world = World()
        if held:
            await world.place(f"BUY {held} MARKET")
        order = await world.gateway.place_smart(EMA, request("BUY 1 MARKET"), target)
        traded = order and f"{order.request.action} {order.request.quantity}"
        assert traded == needed
        assert sum(view.position.quantity for view in world.gateway.positions(OF_EMA)) == target

    run(main())


def test_smart_orders_at_once_reach_the_target_once() -> None:
    async def main() -> None:
        world = World()
        asked = request("BUY 1 MARKET")
        orders = await asyncio.gather(
            *(world.gateway.place_smart(EMA, asked, 10) for _ in range(5))
        )
        assert [order is None for order in orders].count(False) == 1
        assert world.gateway.positions(OF_EMA)[0].position.quantity == 10

    run(main())


def test_a_smart_order_looks_at_its_own_book_only() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 10 MARKET", owner=RSI)
        order = await world.gateway.place_smart(EMA, request("BUY 1 MARKET"), 10)
        assert order is not None
        assert order.request.quantity == 10

    run(main())


# -- accounts and days


def test_reading_an_account_that_was_not_opened_says_so() -> None:
    world = World()
    with pytest.raises(Unavailable, match="has not been read from the journal yet"):
        world.gateway.funds(ACCOUNT)


def test_accounts_do_not_share_order_numbers_even_when_they_prefer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numbers, "ACCOUNT_NUMBERS", 1)

    async def main() -> None:
        world = World()
        brokers = PaperBrokers(journal=world.journal, market=world.market)
        one = await brokers.open(AccountId("one"))
        two = await brokers.open(AccountId("two"))
        assert (one.account_number, two.account_number) == (0, 1)
        assert one.next_order_id() != two.next_order_id()
        again = await PaperBrokers(journal=world.journal, market=world.market).open(
            AccountId("two")
        )
        assert again.account_number == 1

    run(main())
    assert ACCOUNT_NUMBERS == 10**6


def test_the_days_gain_of_a_carried_position_begins_at_the_previous_close() -> None:
    async def main() -> None:
        world = World()
        await world.place("BUY 10 MARKET MIS")
        await world.place("BUY 10 MARKET CNC")
        world.market.at += timedelta(days=1)
        world.market.show(INFY, last="112", previous_close="110")
        assert day_pnl(world.gateway, EMA).total == Decimal(40)
        await world.place("SELL 10 MARKET MIS")
        pnl = day_pnl(world.gateway, EMA)
        assert pnl.realised == Decimal("119.50")
        assert pnl.total == Decimal(40)
        (view,) = world.gateway.positions(OF_EMA)
        assert (view.position.product, view.position.realised) == (Product.MIS, pnl.realised)
        assert (view.position.bought_quantity, view.position.sold_quantity) == (0, 10)
        assert world.gateway.funds(ACCOUNT).realised == pnl.realised

    run(main())


def test_scopes_hold_books() -> None:
    stranger = Book(account_id=AccountId("other"), strategy_id=EMA.strategy_id)
    cases = [
        (OF_EMA, EMA, True),
        (OF_EMA, RSI, False),
        (OF_EMA, UNATTRIBUTED, False),
        (WHOLE, EMA, True),
        (WHOLE, UNATTRIBUTED, True),
        (WHOLE, stranger, False),
        (OF_EMA, stranger, False),
        (replace(WHOLE, account_id=AccountId("other")), stranger, True),
    ]
    assert [book in scope for scope, book, _ in cases] == [expected for _, _, expected in cases]


def test_what_a_market_order_will_still_trade_is_not_asked_for_again() -> None:
    """Ten units are shown: the rest of an order comes with the next quotes, and once."""

    async def main() -> None:
        world = World(fills=HONEST)
        world.market.size = 10
        asked = request("BUY 25 MARKET")
        first = await world.gateway.place_smart(EMA, asked, 25)
        assert first is not None
        assert first.filled_quantity == 10
        assert await world.gateway.place_smart(EMA, asked, 25) is None
        for second in (1, 2):
            world.market.at += timedelta(seconds=second)
            await world.tick(last="100", bid="99.95", ask="100.05")
        assert world.gateway.order(WHOLE, first.id).status is OrderStatus.COMPLETE
        closing = await world.gateway.close_positions(WHOLE)
        assert [order.request.quantity for order in closing] == [25]
        assert await world.gateway.close_positions(WHOLE) == []
        for _ in range(3):
            world.market.at += timedelta(seconds=1)
            await world.tick(last="100", bid="99.95", ask="100.05")
        assert [view.position.quantity for view in world.gateway.positions(WHOLE)] == [0]

    run(main())
