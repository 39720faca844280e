"""Limits at the gateway: what counts, what is refused, and what a restart changes of it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algohost.broker.clearing import BY
from algohost.broker.governor import OrderGovernor
from algohost.broker.risk import FILLED_SECONDS, RiskGuard
from algohost.broker.risk_port import QueueFull
from algohost.domain.errors import Conflict
from algohost.domain.gtt import GttKind, GttLeg, GttRequest
from algohost.domain.ids import AccountId
from algohost.domain.kill_switch import WHOLE_HOST, KillScope
from algohost.domain.orders import (
    Action,
    Book,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    Product,
)
from algohost.domain.risk import Breach, LimitsOf, LimitTarget, LossReached, RiskLimits
from algohost.testing.journal import MemoryJournal
from algohost.testing.market import TableMarket
from tests.broker.world import OF_EMA, WHOLE, World, run
from tests.broker.world import _market as fresh_market
from tests.exchange.desk import ACCOUNT, EMA, INFY, MORNING, RSI, TCS, UNATTRIBUTED, request

OF_ACCOUNT = LimitTarget(scope=KillScope.ACCOUNT, id=ACCOUNT)
OF_STRATEGY = LimitTarget(scope=KillScope.STRATEGY, id=str(EMA.strategy_id))


class Desk:
    """A gateway with limits, and what its guard has told."""

    def __init__(
        self,
        journal: MemoryJournal | None = None,
        market: TableMarket | None = None,
        accounts: Collection[AccountId] = (ACCOUNT,),
    ) -> None:
        self.now = 0.0
        self.market = market or fresh_market()
        self.guard = RiskGuard(
            market=self.market, monotonic=lambda: self.now, accounts=lambda: accounts
        )
        self.world = World(journal, self.market, risk=self.guard)
        self.guard.watch(self.world.gateway)
        self.breaches: list[tuple[Book, Breach]] = []
        self.losses: list[LossReached] = []
        self.guard.tell(on_breach=self._breach, on_loss=self.losses.append)

    def _breach(self, book: Book, _request: OrderRequest, breach: Breach) -> None:
        self.breaches.append((book, breach))

    def limit(self, target: LimitTarget, **limits: Any) -> None:
        self.guard.put(LimitsOf(target=target, limits=RiskLimits(**limits), by="asha", at=MORNING))

    async def refused(self, asked: str, *, owner: Book = EMA) -> str:
        """The code with which an order is refused; empty where it is taken."""
        try:
            await self.world.place(asked, owner=owner)
        except Conflict as refusal:
            return refusal.code
        return ""

    async def later(self, **shown: str) -> None:
        """A quote, and so much time that the P&L is looked at anew."""
        await self.world.tick(INFY, **shown)
        self.now += 1


def play(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Desk())

    run(main())


def test_a_breach_leaves_no_trace_in_the_journal_and_is_told() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.world.place("BUY 1 MARKET")
        desk.limit(OF_STRATEGY, most_quantity=10)
        before = await desk.world.journal.replay(ACCOUNT)
        with pytest.raises(Conflict, match="11 units are more than the 10") as caught:
            await desk.world.place("BUY 11 MARKET")
        assert (caught.value.code, caught.value.details) == ("RISK_QUANTITY", {"scope": "strategy"})
        assert await desk.world.journal.replay(ACCOUNT) == before
        [(book, breach)] = desk.breaches
        assert (book, breach.target) == (EMA, OF_STRATEGY)
        assert await desk.refused("BUY 10 MARKET") == ""

    play(scenario)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (OF_STRATEGY, ["RISK_QUANTITY", "", ""]),
        (OF_ACCOUNT, ["RISK_QUANTITY"] * 3),
        (WHOLE_HOST, ["RISK_QUANTITY"] * 3),
        (LimitTarget(scope=KillScope.ACCOUNT, id="paper-other"), ["", "", ""]),
    ],
)
def test_each_scope_bounds_what_it_covers(target: LimitTarget, expected: list[str]) -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(target, most_quantity=1)
        found = [await desk.refused("BUY 2 MARKET", owner=one) for one in (EMA, RSI, UNATTRIBUTED)]
        assert found == expected

    play(scenario)


def test_of_several_limits_the_tightest_wins() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(WHOLE_HOST, most_quantity=10)
        desk.limit(OF_ACCOUNT, most_quantity=100)
        desk.limit(OF_STRATEGY, most_quantity=5)
        found = [await desk.refused(f"BUY {n} MARKET") for n in (5, 6, 11)]
        assert found == ["", "RISK_QUANTITY", "RISK_QUANTITY"]
        assert [breach.target for _, breach in desk.breaches] == [OF_STRATEGY, WHOLE_HOST]

    play(scenario)


def test_open_orders_count_until_they_are_final() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_open_orders=2)
        first = await desk.world.place("BUY 1 LIMIT 90")
        await desk.world.place("BUY 1 LIMIT 91")
        assert await desk.refused("BUY 1 LIMIT 92") == "RISK_OPEN_ORDERS"
        assert await desk.refused("BUY 1 LIMIT 92", owner=RSI) == ""
        await desk.world.gateway.cancel(OF_EMA, first.id)
        assert await desk.refused("BUY 1 LIMIT 92") == ""
        await desk.world.tick(INFY, last="80")  # all of them trade
        assert await desk.refused("BUY 1 LIMIT 70") == ""

    play(scenario)


def test_orders_of_a_day_count_the_rejected_ones_and_begin_anew_at_midnight_in_ist() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_orders_a_day=2)
        rejected = await desk.world.place("BUY 1000000 MARKET")
        assert rejected.status is OrderStatus.REJECTED
        assert [await desk.refused("BUY 1 MARKET") for _ in range(2)] == ["", "RISK_ORDERS_A_DAY"]
        assert await desk.refused("SELL 1 MARKET") == ""  # closes what is held
        desk.market.at += timedelta(hours=16)
        assert await desk.refused("BUY 1 MARKET") == ""

    play(scenario)


def test_a_clock_that_is_put_forward_and_back_forgets_no_order_of_the_day() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_orders_a_day=2)
        assert [await desk.refused("BUY 1 MARKET") for _ in range(2)] == ["", ""]
        desk.market.at += timedelta(hours=16)
        assert desk.guard.facts(OF_STRATEGY, ACCOUNT).orders_today == 0
        desk.market.at -= timedelta(hours=16)
        assert desk.guard.facts(OF_STRATEGY, ACCOUNT).orders_today == 2
        assert await desk.refused("BUY 1 MARKET") == "RISK_ORDERS_A_DAY"

    play(scenario)


@pytest.mark.parametrize("limits", [{"most_open_orders": 5}, {"most_orders_a_day": 5}])
def test_of_many_at_once_no_more_pass_than_there_is_room_for(limits: dict[str, int]) -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_ACCOUNT, **limits)
        found = await asyncio.gather(*(desk.refused("BUY 1 LIMIT 90") for _ in range(40)))
        assert found.count("") == 5
        assert len(desk.world.gateway.orders(WHOLE)) == 5
        assert desk.guard.facts(OF_ACCOUNT).open_orders == 5

    play(scenario)


def test_a_rejected_order_is_open_no_more() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_open_orders=1)
        rejected = await desk.world.place("BUY 1000000 MARKET")
        assert rejected.status is OrderStatus.REJECTED
        assert desk.guard.facts(OF_STRATEGY, ACCOUNT).open_orders == 0
        assert await desk.refused("BUY 1 LIMIT 90") == ""

    play(scenario)


def test_a_daily_loss_ends_entries_and_lets_out_whoever_is_in() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_daily_loss=Decimal(500), most_open_orders=1)
        await desk.world.place("BUY 100 MARKET")
        await desk.later(last="95.2", bid="95.2", ask="95.2")
        assert await desk.refused("BUY 1 LIMIT 80") == ""
        await desk.later(last="90", bid="90", ask="90")
        assert await desk.refused("BUY 1 MARKET") == "RISK_DAILY_LOSS"
        [loss] = desk.losses
        assert (loss.target, loss.lost) == (OF_STRATEGY, Decimal("1005.00"))
        await desk.later(last="130")  # it comes back: the day is over all the same
        assert await desk.refused("BUY 1 MARKET") == "RISK_DAILY_LOSS"
        assert await desk.refused("SELL 101 MARKET") == "RISK_DAILY_LOSS"  # beyond the position
        assert await desk.refused("BUY 1 MARKET", owner=RSI) == ""
        assert await desk.refused("SELL 100 MARKET") == ""
        assert len(desk.losses) == 1

    play(scenario)


def test_a_daily_loss_is_seen_where_nothing_is_ordered() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_daily_loss=Decimal(500))
        desk.limit(OF_ACCOUNT, most_daily_loss=Decimal(5000))
        desk.limit(WHOLE_HOST, most_daily_loss=Decimal(600))
        await desk.world.place("BUY 100 MARKET")
        await desk.later(last="90")
        desk.guard.look(lambda _strategy: ACCOUNT)
        assert {one.target for one in desk.losses} == {OF_STRATEGY, WHOLE_HOST}

    play(scenario)


def test_a_loss_that_a_fill_brought_is_seen_by_the_next_orders() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_daily_loss=Decimal(4))
        assert await desk.refused("BUY 100 MARKET") == ""  # bought above the last price: 5 lost
        desk.now += FILLED_SECONDS
        assert await desk.refused("BUY 100 MARKET") == "RISK_DAILY_LOSS"

    play(scenario)


def test_a_target_a_stop_and_a_way_out_are_exits_and_a_second_target_is_none() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.world.place("BUY 100 MARKET")
        desk.limit(OF_STRATEGY, most_orders_a_day=1)
        found = [
            await desk.refused(asked)
            for asked in (
                "SELL 100 LIMIT 120",
                "SELL 100 SL-M @90",
                "SELL 1 LIMIT 121",
                "SELL 100 MARKET",
                "SELL 1 MARKET",
            )
        ]
        assert found == ["", "", "RISK_ORDERS_A_DAY", "", "RISK_ORDERS_A_DAY"]

    play(scenario)


def test_a_changed_order_is_judged_too() -> None:
    async def scenario(desk: Desk) -> None:
        resting = await desk.world.place("BUY 10 LIMIT 95")
        desk.limit(
            OF_STRATEGY, most_quantity=20, price_band_percent=Decimal(10), most_open_orders=1
        )
        gateway = desk.world.gateway
        for changes, code in [
            (OrderChanges(quantity=21), "RISK_QUANTITY"),
            (OrderChanges(price=Decimal("89.9")), "RISK_PRICE_BAND"),
        ]:
            with pytest.raises(Conflict) as caught:
                await gateway.modify(OF_EMA, resting.id, changes)
            assert caught.value.code == code
        changed = await gateway.modify(OF_EMA, resting.id, OrderChanges(quantity=20))
        assert changed.request.quantity == 20

    play(scenario)


def test_closing_positions_is_judged_by_no_limit() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.world.place("BUY 100 MARKET")
        desk.limit(WHOLE_HOST, most_quantity=1, most_orders_a_day=1, symbols=("NSE:TCS",))
        [closed] = await desk.world.gateway.close_positions(OF_EMA)
        assert closed.status is OrderStatus.COMPLETE

    play(scenario)


def test_after_a_restart_everything_counts_as_the_journal_has_it() -> None:
    async def main() -> None:
        before = Desk()
        await before.world.place("BUY 1 LIMIT 90")
        await before.world.place("BUY 1 MARKET")
        await before.world.place("BUY 1 MARKET", key=TCS, owner=RSI)
        after = Desk(before.world.journal, before.market)
        await after.world.gateway.recover(ACCOUNT)
        facts = [
            after.guard.facts(OF_STRATEGY, ACCOUNT),
            after.guard.facts(OF_ACCOUNT),
            after.guard.facts(WHOLE_HOST),
        ]
        assert [(one.open_orders, one.orders_today) for one in facts] == [(1, 2), (1, 3), (1, 3)]
        assert after.guard.pnl(WHOLE_HOST) == before.guard.pnl(WHOLE_HOST)

    run(main())


def test_an_account_that_is_shut_keeps_the_hosts_facts_from_nobody() -> None:
    async def main() -> None:
        desk = Desk(accounts=(ACCOUNT, AccountId("paper-shut")))
        desk.limit(WHOLE_HOST, most_open_orders=2, most_daily_loss=Decimal(10**6))
        assert await desk.refused("BUY 1 LIMIT 90") == ""
        assert desk.guard.facts(WHOLE_HOST).open_orders == 1

    run(main())


def test_limits_that_are_taken_away_hold_no_more() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_quantity=1)
        assert await desk.refused("BUY 2 MARKET") == "RISK_QUANTITY"
        desk.guard.drop(OF_STRATEGY)
        assert await desk.refused("BUY 2 MARKET") == ""

    play(scenario)


def test_the_governor_paces_the_gateway_and_an_order_without_a_turn_is_not_sent() -> None:
    async def main() -> None:
        now = [0.0]
        governor = OrderGovernor(
            rate_of=lambda _account: 1, monotonic=lambda: now[0], longest_wait=1.0
        )
        world = World(governor=governor)
        held = await world.place("BUY 5 MARKET")
        waits = asyncio.ensure_future(world.place("BUY 1 MARKET"))
        await asyncio.sleep(0.01)
        [queue] = governor.queues()
        assert (queue.waiting, queue.exits) == (1, 0)
        with pytest.raises(QueueFull, match="it was not sent"):
            await world.place("BUY 1 MARKET")
        out = asyncio.ensure_future(world.gateway.close_positions(OF_EMA))
        await asyncio.sleep(0.01)
        assert governor.queues()[0].exits == 1
        now[0] = 1.0
        [closed] = await out
        assert closed.status is OrderStatus.COMPLETE
        assert world.gateway.positions(OF_EMA)[0].position.quantity == 0
        with pytest.raises(QueueFull):
            await waits
        assert held.request == replace(request("BUY 5 MARKET"), label=held.request.label)

    run(main())


def test_whoever_cancels_what_is_final_takes_nobodys_turn() -> None:
    """Else a script in a loop would keep all others of its account from the exchange."""

    async def main() -> None:
        governor = OrderGovernor(rate_of=lambda _account: 2, monotonic=lambda: 0.0)
        world = World(governor=governor)
        done = await world.place("BUY 5 MARKET")
        for _ in range(50):
            with pytest.raises(Conflict, match="cannot change any more"):
                await asyncio.wait_for(world.gateway.cancel(WHOLE, done.id), 5)
        assert (await world.place("BUY 1 MARKET")).status is OrderStatus.COMPLETE

    run(main())


def test_who_changed_and_cancelled_an_order_is_written_down() -> None:
    async def scenario(desk: Desk) -> None:
        gateway = desk.world.gateway
        first, second, third = [await desk.world.place("BUY 1 LIMIT 90") for _ in range(3)]
        await gateway.modify(OF_EMA, first.id, OrderChanges(price=Decimal(91)))
        scopes = {first.id: OF_EMA, second.id: WHOLE, third.id: replace(WHOLE, asked_by=BY)}
        reasons = [(await gateway.cancel(scope, one)).reason for one, scope in scopes.items()]
        assert reasons == [
            "Cancelled by its strategy.",
            "Cancelled by the account's API key.",
            "Cancelled by the kill switch.",
        ]
        records = await desk.world.journal.replay(ACCOUNT)
        [changed] = [one.body for one in records if one.kind == "modified"]
        assert changed["by"] == f"strategy:{EMA.strategy_id}"

    play(scenario)


def test_a_gtt_is_judged_by_what_it_may_place() -> None:
    async def scenario(desk: Desk) -> None:
        gateway = desk.world.gateway
        await gateway.recover(ACCOUNT)
        desk.limit(OF_STRATEGY, most_quantity=10, price_band_percent=Decimal(1), most_open_orders=1)
        await desk.world.place("BUY 1 LIMIT 99.5")

        def gtt(quantity: int) -> GttRequest:
            leg = GttLeg(trigger_price=Decimal(80), price=Decimal(80))
            return GttRequest(
                key=INFY,
                action=Action.BUY,
                quantity=quantity,
                product=Product.CNC,
                kind=GttKind.SINGLE,
                legs=[leg],
            )

        with pytest.raises(Conflict) as caught:
            await gateway.place_gtt(EMA, gtt(11))
        assert caught.value.code == "RISK_QUANTITY"
        made = await gateway.place_gtt(EMA, gtt(10))
        with pytest.raises(Conflict):
            await gateway.modify_gtt(OF_EMA, made.id, gtt(11))

    play(scenario)
