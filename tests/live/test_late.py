"""Orders that arrive after they were called rejected, numbers of another day, and odd books."""

import asyncio
from copy import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algohost.broker import account_numbers
from algohost.broker import openalgo_books as books
from algohost.broker import openalgo_match as matching
from algohost.broker.openalgo_events import (
    Linked,
    LiveEvent,
    Moved,
    Surfaced,
    Taken,
    Traded,
    TurnedDown,
    from_record,
    to_record,
)
from algohost.broker.openalgo_late import Sightings, surfaced
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.openalgo_match import Seen
from algohost.broker.openalgo_rows import OrderRow, Rows, TradeRow, order_rows, trade_rows
from algohost.domain.accounts import ARRIVED_LATE
from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, UserId
from algohost.domain.orders import Action, Book, OrderStatus, PriceType
from algohost.domain.users import paper_account_of
from algohost.testing.journal import MemoryJournal
from tests.api.served import ACCOUNT_KEY, MONDAY_0930, Served
from tests.live.faults import Fault
from tests.live.test_matching import order, row
from tests.live.world import EMA, LIVE, RSI, WHOLE, living, run, until

DAY = timedelta(days=1)


def ledger_of(*happened: LiveEvent) -> LiveLedger:
    ledger = LiveLedger(account_id=LIVE)
    ledger.apply(Linked(at=MONDAY_0930, account_id=LIVE, account_number=1))
    for event in happened:
        ledger.apply(event)
    return ledger


def lost(serial: int, *, book: Book = EMA) -> TurnedDown:
    one = replace(order(serial, book=book), status=OrderStatus.REJECTED, reason="It is not there.")
    return TurnedDown(at=one.placed_at, order=one, is_lost=True)


def taken(serial: int, upstream_id: str, *, days: int = 0, action: Action = Action.BUY) -> Taken:
    at = MONDAY_0930 + days * DAY
    made = order(serial)
    request = replace(made.request, action=action)
    one = replace(made, placed_at=at, updated_at=at, status=OrderStatus.OPEN, request=request)
    return Taken(at=at, order=one, upstream_id=upstream_id)


def cancelled(event: Taken) -> Moved:
    made = event.order
    return Moved(
        at=event.at, order_id=made.id, status=OrderStatus.CANCELLED, request=made.request, reason=""
    )


MARK = matching.tag_of(order(1).id)
LATE = [
    ("by its numbers", [lost(1)], [row("A", seconds=90)], {}, {}, ["A"]),
    ("by its mark, hours later", [lost(1)], [row("A", seconds=9_000, tag=MARK)], {}, {}, ["A"]),
    ("too late for its numbers", [lost(1)], [row("A", seconds=1_000)], {}, {}, [None]),
    ("with another's mark", [lost(1)], [row("A", seconds=90, tag="ah9")], {}, {}, [None]),
    ("another quantity", [lost(1)], [row("A", seconds=90, quantity=6)], {}, {}, [None]),
    ("a row that was read before", [lost(1)], [row("A")], {"A": -1}, {}, [None]),
    ("two rows", [lost(1)], [row("A", seconds=70), row("B", seconds=90)], {}, {}, [None]),
    ("two of one book", [lost(1), lost(2)], [row("A"), row("B")], {}, {}, ["A", "B"]),
    ("two of two books", [lost(1), lost(2, book=RSI)], [row("A")], {}, {}, [None, None]),
    ("another in doubt asks for it", [lost(1)], [row("A")], {}, {"others": [order(2)]}, [None]),
    ("a number that waits", [lost(1)], [row("A")], {}, {"waiting": {"A"}}, [None]),
    ("the row of another", [lost(1), taken(2, "A")], [row("A")], {}, {}, [None]),
    ("refused, not lost", [replace(lost(1), is_lost=False)], [row("A")], {}, {}, [None]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("happened", "rows", "since", "more", "expected"),
    [c[1:] for c in LATE],
    ids=[c[0] for c in LATE],
)
def test_which_lost_order_a_late_row_is(
    happened: list[LiveEvent],
    rows: list[OrderRow],
    since: dict[str, int],
    more: dict[str, Any],
    expected: list[str | None],
) -> None:
    ledger = ledger_of(*happened)
    seen = Seen(since={one: MONDAY_0930 + timedelta(seconds=at) for one, at in since.items()})
    found = surfaced(
        ledger,
        Rows(rows=tuple(rows)),
        seen,
        others=more.get("others", []),
        waiting=more.get("waiting", set()),
        at=MONDAY_0930 + timedelta(hours=3),
    )
    told = {one.order_id: one.upstream_id for one in found}
    assert [told.get(order(n).id) for n in range(1, len(expected) + 1)] == expected
    for event in found:
        ledger.apply(event)
        now = ledger.order(event.order_id)
        assert now is not None
        assert (now.status, now.reason) == (OrderStatus.OPEN, ARRIVED_LATE)
    again = surfaced(
        ledger, Rows(rows=tuple(rows)), seen, others=(), waiting=set(told.values()), at=MONDAY_0930
    )
    assert [one for one in again if one.order_id in told] == []


def test_only_what_was_lost_can_arrive_and_the_journal_keeps_it() -> None:
    events: list[LiveEvent] = [
        Linked(at=MONDAY_0930, account_id=LIVE, account_number=1),
        lost(1),
        Surfaced(at=MONDAY_0930, order_id=order(1).id, upstream_id="A"),
    ]
    records = [to_record(event, number=n) for n, event in enumerate(events, 1)]
    again = LiveLedger(account_id=LIVE)
    for record in records:
        again.apply(from_record(record))
    assert again == ledger_of(*events[1:])
    del records[1].body["is_lost"]  # as it was written before there was such a thing
    older = from_record(records[1])
    assert isinstance(older, TurnedDown)
    assert not older.is_lost
    for first in (replace(lost(1), is_lost=False), taken(1, "B")):
        with pytest.raises(Conflict):
            ledger_of(first, events[2])


def test_an_order_that_arrives_after_it_was_called_rejected_counts_in_its_own_book(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Something holds the request back for longer than absence takes, and delivers it then."""

    async def main() -> None:
        async with living(served) as world:
            await world.gateway.recover(LIVE)
            world.proxy.next_orders = [Fault.CUT_BEFORE]
            order = await world.place(quantity=7)
            rejected = OrderStatus.REJECTED
            await until(lambda: world.gateway.order(WHOLE, order.id).status is rejected)
            held_back = next(one for one in world.proxy.seen if b"placeorder" in one)
            await world.proxy.deliver(held_back)
            done = OrderStatus.COMPLETE
            await until(lambda: world.gateway.order(WHOLE, order.id).status is done)
            assert world.gateway.order(WHOLE, order.id).reason == ARRIVED_LATE
            (mine,) = [v for v in world.gateway.positions(WHOLE) if v.position.quantity]
            assert (mine.position.quantity, mine.position.book) == (7, EMA)
            assert [one.status for one in world.told if one.id == order.id][-1] is done
            await world.gateway.close()
            again = world.restarted()
            await again.gateway.recover(LIVE)
            assert again.gateway.order(WHOLE, order.id).status is done
            await again.gateway.close()

    run(main())
    assert "lost_order_arrived" in caplog.text


@pytest.mark.parametrize("fault", [Fault.SILENT_AFTER, Fault.SILENT_BEFORE])
def test_a_host_that_dies_between_intent_and_answer_learns_what_became_of_it(
    served: Served, fault: Fault
) -> None:
    async def main() -> None:
        async with living(served) as world:
            await world.gateway.recover(LIVE)
            world.proxy.next_orders = [fault]
            sending = asyncio.create_task(world.place(quantity=3))
            await until(lambda: bool(world.proxy.seen) and b"placeorder" in world.proxy.seen[-1])
            world_then = world.restarted(journal=as_it_lies(world.journal))
            await world_then.gateway.recover(LIVE)
            arrived = fault is Fault.SILENT_AFTER
            final = OrderStatus.COMPLETE if arrived else OrderStatus.REJECTED
            await until(lambda: [o.status for o in world_then.gateway.orders(WHOLE)] == [final])
            assert len(world.upstream_orders()) == arrived
            await world_then.gateway.close()
            await asyncio.gather(sending, return_exceptions=True)

    run(main())


def test_a_number_that_the_broker_gives_again_on_another_day_is_another_order() -> None:
    old = taken(1, "100")
    new = taken(2, "100", days=1, action=Action.SELL)
    ledger = ledger_of(old, cancelled(old), new)
    traded = Rows(rows=(TradeRow(upstream_id="100", quantity=5, price=Decimal(9)),))
    at = MONDAY_0930 + DAY
    (fill,) = books.news_of_orders(ledger, Rows(rows=()), traded, at=at)
    assert fill.order_id == new.order.id  # type: ignore[union-attr]
    with pytest.raises(Conflict):
        ledger_of(old, cancelled(old), taken(2, "100"))
    with pytest.raises(Conflict):
        ledger_of(old, new)  # the old one may still trade


def test_another_days_order_book_ends_an_open_order_and_gives_it_no_fill() -> None:
    """The broker's server is back with the next day's book, in which its number is another's."""
    old = taken(1, "100")
    ledger = ledger_of(old)
    other = replace(row("100"), action=Action.SELL, status=OrderStatus.COMPLETE)
    traded = Rows(rows=(TradeRow(upstream_id="100", quantity=5, price=Decimal(9)),))
    (lapsed,) = books.news_of_orders(ledger, Rows(rows=(other,)), traded, at=MONDAY_0930 + DAY)
    assert isinstance(lapsed, Moved)
    assert (lapsed.status, lapsed.reason) == (OrderStatus.CANCELLED, books.LAPSED)
    told = books.news_of_orders(ledger, Rows(rows=(other,)), traded, at=MONDAY_0930)
    assert [one for one in told if isinstance(one, Traded)] != []  # on its day its number is it


def test_the_brokers_clock_is_known_by_the_orders_that_are_known() -> None:
    ledger = ledger_of(taken(1, "A"), taken(2, "B"))
    sightings = Sightings()
    rows = (row("A", seconds=-180), row("B", seconds=900), row("C", seconds=-999))
    seen = sightings.saw(ledger, Rows(rows=rows), at=MONDAY_0930)
    assert seen.ahead == timedelta(seconds=-180)  # the other may have the time of its last change
    later = sightings.saw(ledger, Rows(rows=rows[2:]), at=MONDAY_0930 + timedelta(seconds=9))
    assert (later.ahead, later.since) == (seen.ahead, {"C": MONDAY_0930})


ROW: dict[str, Any] = {
    "orderid": 12, "symbol": "SBIN", "exchange": "nse", "action": "buy", "quantity": Decimal("5.0"),
    "pricetype": "limit", "product": "mis", "order_status": "Open Pending", "price": "1,500.50",
    "trigger_price": None, "exchange_order_id": "x", "filled": [1], "timestamp": 1748836800,
}  # fmt: skip


def test_rows_in_other_letters_numbers_and_with_more_fields_are_the_same_rows() -> None:
    answer = {"data": {"orders": [ROW, {**ROW, "orderid": "12", "quantity": "5"}]}}
    (found,) = order_rows(answer).rows
    assert (found.upstream_id, found.quantity, found.price) == ("12", 5, Decimal("1500.50"))
    assert (found.price_type, found.status) == (PriceType.LIMIT, OrderStatus.OPEN)


def test_a_page_of_a_book_is_not_the_whole_book() -> None:
    counts = {"total_buy_orders": Decimal("40.0"), "total_sell_orders": "2", "total_open_orders": 1}
    assert order_rows({"data": {"orders": [ROW], "statistics": counts}}).unreadable == 41
    whole = {"total_buy_orders": 1, "total_sell_orders": 0}
    others: list[Any] = [whole, {}, None, [], {"total_buy_orders": "many"}]
    for statistics in others:
        assert order_rows({"data": {"orders": [ROW], "statistics": statistics}}).unreadable == 0


def test_a_fill_that_is_listed_twice_counts_once_where_that_can_be_known() -> None:
    fill = {"orderid": "12", "quantity": 5, "average_price": Decimal("9.5"), "tradeid": "t1"}
    other = {**fill, "tradeid": "t2"}
    assert len(trade_rows({"data": [fill, other, fill]}).rows) == 2
    without = {name: value for name, value in fill.items() if name != "tradeid"}
    assert len(trade_rows({"data": [without, without]}).rows) == 2  # two alike are no rarity
    ledger = ledger_of(taken(1, "12"))
    done = replace(row("12"), status=OrderStatus.COMPLETE, average_price=Decimal("9.5"))
    twice = trade_rows({"data": [without, without]})
    (counted,) = books.news_of_orders(ledger, Rows(rows=(done,)), twice, at=MONDAY_0930)
    assert (counted.quantity, counted.price) == (5, Decimal("9.5"))  # type: ignore[union-attr]


def as_it_lies(journal: MemoryJournal) -> MemoryJournal:
    """What is on disk in this moment; what the process that wrote it does later is not in it."""
    kept = MemoryJournal()
    for name in ("_records", "_intents"):
        setattr(kept, name, {one: copy(held) for one, held in getattr(journal, name).items()})
    return kept


def test_a_live_account_does_not_share_its_order_numbers_with_a_paper_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two ids that prefer one number, as one in a million pairs does."""
    monkeypatch.setattr(account_numbers, "preferred_account_number", lambda _account: 999_999)
    numbers = account_numbers.AccountNumbers()
    numbers.has(paper_account_of(UserId("u1")), 999_999)
    assert numbers.new_for(LIVE) == 0
    assert numbers.new_for(LIVE) == 0
    assert numbers.new_for(AccountId("live-u1-2")) == 1


def test_a_key_that_is_changed_counts_at_once_and_open_orders_outlive_a_wrong_one(
    served: Served,
) -> None:
    async def main() -> None:
        async with living(served) as world:
            await world.gateway.recover(LIVE)
            resting = await world.resting()
            world.key = "z" * 64
            refused = await world.place(quantity=2)
            assert refused.status is OrderStatus.REJECTED
            assert refused.reason.startswith("The OpenAlgo server refuses the account's key")
            assert world.gateway.order(WHOLE, resting.id).status is OrderStatus.OPEN
            world.key = ACCOUNT_KEY
            assert (await world.place(quantity=3)).status is not OrderStatus.REJECTED
            done = await world.gateway.cancel(WHOLE, resting.id)
            assert done.status is OrderStatus.CANCELLED

    run(main())


def test_an_order_by_hand_like_one_that_was_cut_off_is_not_taken_for_it_when_it_was_there_before(
    served: Served,
) -> None:
    by_hand = {
        "strategy": "by hand", "symbol": "SBIN", "exchange": "NSE", "action": "BUY",
        "quantity": 4, "pricetype": "MARKET", "product": "MIS",
    }  # fmt: skip

    async def main() -> None:
        async with living(served) as world:
            await world.gateway.recover(LIVE)
            served.post("placeorder", **by_hand)
            account = world.brokers[0]
            await account.look()
            await asyncio.sleep(0)
            world.proxy.next_orders = [Fault.CUT_BEFORE]
            order = await world.place(quantity=4)
            rejected = OrderStatus.REJECTED
            await until(lambda: world.gateway.order(WHOLE, order.id).status is rejected)
            await account.look_at_all()
            views = [v.position for v in world.gateway.positions(WHOLE) if v.position.quantity]
            assert [(one.book.strategy_id, one.quantity) for one in views] == [(None, 4)]

    run(main())
