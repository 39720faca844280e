"""A GTT is no way around limits: its order is judged when it is placed, as any other."""

from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest

from algohost.broker.kinds import BrokerParts
from algohost.broker.paper import PaperBroker
from algohost.broker.paper_kind import PAPER_KIND
from algohost.domain.errors import Unavailable
from algohost.domain.gtt import Gtt, GttStatus
from algohost.domain.orders import Book, Order, OrderRequest, OrderStatus
from algohost.host.clock import SystemClock
from tests.broker.test_risk import OF_ACCOUNT, OF_STRATEGY, Desk, play
from tests.broker.world import WHOLE
from tests.exchange.desk import EMA, RSI, gtt_request


async def placed(desk: Desk, *texts: str) -> list[Gtt]:
    return [await desk.world.gateway.place_gtt(EMA, gtt_request(text)) for text in texts]


def order_of(desk: Desk, gtt: Gtt) -> Order:
    return desk.world.gateway.order(WHOLE, gtt.order_id)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"most_quantity": 4}, "5 units are more than the 4"),
        ({"most_value": Decimal(400)}, "more than the ₹400.00"),
        ({"most_open_orders": 0}, "open"),
        ({"most_orders_a_day": 0}, "today"),
        ({"symbols": ("NFO:*",)}, "NSE:INFY"),
    ],
)
def test_a_limit_that_was_set_after_the_gtt_holds_for_its_order(
    limits: dict[str, Any], sentence: str
) -> None:
    async def scenario(desk: Desk) -> None:
        (gtt,) = await placed(desk, "BUY 5 CNC 95:95")
        desk.limit(OF_STRATEGY, **limits)
        await desk.later(last="95", bid="94.95", ask="95")
        order = order_of(desk, gtt)
        assert order.status is OrderStatus.REJECTED
        assert sentence in order.reason
        assert desk.world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.TRIGGERED
        assert [book for book, _ in desk.breaches] == [EMA]

    play(scenario)


def test_after_a_daily_loss_a_gtt_opens_nothing_and_still_closes() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_ACCOUNT, most_daily_loss=Decimal(50))
        await desk.world.place("BUY 10 MARKET CNC")
        entry, exit_ = await placed(desk, "BUY 5 CNC 92", "SELL 10 CNC 91")
        desk.now += 1  # the P&L that was looked at for them is old
        await desk.later(last="90", bid="90", ask="90.05")
        assert order_of(desk, entry).status is OrderStatus.REJECTED
        assert "daily loss" in order_of(desk, entry).reason
        assert order_of(desk, exit_).status is OrderStatus.COMPLETE
        assert len(desk.losses) == 1

    play(scenario)


@pytest.mark.parametrize(("room", "admitted"), [(1, 1), (2, 2), (5, 3)])
def test_of_several_gtts_of_one_tick_no_more_pass_than_a_limit_has_room_for(
    room: int, admitted: int
) -> None:
    async def scenario(desk: Desk) -> None:
        gtts = await placed(desk, *["BUY 1 CNC 95:80"] * 3)
        desk.limit(OF_STRATEGY, most_open_orders=room)
        await desk.later(last="95", bid="94.95", ask="95")
        statuses = [order_of(desk, gtt).status for gtt in gtts]
        assert statuses.count(OrderStatus.OPEN) == admitted
        assert statuses[:admitted] == [OrderStatus.OPEN] * admitted
        facts = desk.guard.facts(OF_STRATEGY, EMA.account_id)
        assert (facts.open_orders, facts.orders_today) == (admitted, 3)

    play(scenario)


def test_what_was_admitted_counts_no_longer_once_its_tick_is_kept() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_open_orders=1)
        for number in range(3):
            (gtt,) = await placed(desk, f"BUY 1 CNC {95 - number}")
            last = str(95 - number)
            await desk.later(last=last, bid=last, ask=last)
            assert order_of(desk, gtt).status is OrderStatus.COMPLETE
        assert desk.guard.facts(OF_STRATEGY, EMA.account_id).open_orders == 0

    play(scenario)


def test_one_strategys_limits_leave_anothers_gtts_alone() -> None:
    async def scenario(desk: Desk) -> None:
        gtt = await desk.world.gateway.place_gtt(RSI, gtt_request("BUY 5 CNC 95"))
        desk.limit(OF_STRATEGY, most_quantity=1)
        await desk.later(last="95", bid="94.95", ask="95")
        assert order_of(desk, gtt).status is OrderStatus.COMPLETE

    play(scenario)


def test_a_gtt_stays_active_where_nobody_can_judge_its_order_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As while a server starts: the account is read, and not open to the limits' eyes."""

    async def scenario(desk: Desk) -> None:
        (gtt,) = await placed(desk, "BUY 5 CNC 95")
        desk.limit(OF_STRATEGY, most_quantity=10)
        with monkeypatch.context() as starting:
            starting.setattr(desk.guard, "admit", _nobody_knows)
            await desk.later(last="95", bid="94.95", ask="95")
        assert desk.world.gateway.gtt(WHOLE, gtt.id).status is GttStatus.ACTIVE
        await desk.later(last="94", bid="93.95", ask="94")
        assert order_of(desk, gtt).status is OrderStatus.COMPLETE

    play(scenario)


def _nobody_knows(_book: Book, _request: OrderRequest) -> AbstractContextManager[None]:
    raise Unavailable("The account has not been read from the journal yet.")


def test_the_paper_broker_that_a_server_opens_judges_gtts_by_its_limits() -> None:
    async def scenario(desk: Desk) -> None:
        desk.limit(OF_STRATEGY, most_quantity=1)
        parts = BrokerParts(
            journal=desk.world.journal,
            market=desk.market,
            clock=SystemClock(),
            account_of=lambda account_id: pytest.fail(account_id),
            key_of=lambda account_id: pytest.fail(account_id),
            risk=desk.guard,
        )
        await desk.world.gateway.recover(EMA.account_id)
        broker = await PAPER_KIND.opener(parts)(EMA.account_id)
        assert isinstance(broker, PaperBroker)
        gtt = await broker.place_gtt(EMA, gtt_request("BUY 5 CNC 95:95"))
        await desk.later(last="95", bid="94.95", ask="95")
        order = broker.order(gtt.order_id)
        assert order is not None
        assert order.reason.startswith("5 units are more than the 1")

    play(scenario)
