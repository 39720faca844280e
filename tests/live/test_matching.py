"""Which row of a broker's order book an order of unknown outcome is; never by guess."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algohost.broker import openalgo_match as matching
from algohost.broker.openalgo_rows import OrderRow, Rows
from algohost.domain.ids import OrderId
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
from tests.api.served import MONDAY_0930
from tests.live.world import EMA, RSI, SBIN

QUIET = timedelta(seconds=60)


def order(serial: int, *, book: Book = EMA, quantity: int = 5, seconds: int = 0) -> Order:
    at = MONDAY_0930 + timedelta(seconds=seconds)
    asked = OrderRequest(key=SBIN, action=Action.BUY, quantity=quantity)
    return Order(
        id=OrderId(f"250602000001{serial:06d}"), book=book, request=asked,
        status=OrderStatus.INTENDED, placed_at=at, updated_at=at,
    )  # fmt: skip


def row(upstream_id: str, *, quantity: int = 5, seconds: int = 1, tag: str = "") -> OrderRow:
    return OrderRow(
        upstream_id=upstream_id, key=SBIN, action=Action.BUY, quantity=quantity,
        price_type=PriceType.MARKET, product=Product.MIS, price=Decimal(0),
        trigger_price=Decimal(0), status=OrderStatus.OPEN,
        at=MONDAY_0930 + timedelta(seconds=seconds), tag=tag, reason="", average_price=Decimal(0),
    )  # fmt: skip


TAGGED = matching.tag_of(order(1).id)
CASES = [
    ("one row, one order", [order(1)], [row("A")], {}, 2, ["A"]),
    ("no row, and it may still arrive", [order(1)], [], {}, 30, ["?"]),
    ("no row for long", [order(1)], [], {}, 61, ["-"]),
    ("another order's row", [order(1)], [row("A")], {"claimed": {"A"}}, 61, ["-"]),
    ("a row of before", [order(1)], [row("A", seconds=-999)], {}, 61, ["-"]),
    ("a row that was read before", [order(1)], [row("A")], {"since": {"A": -1}}, 61, ["-"]),
    ("a row that came since", [order(1)], [row("A")], {"since": {"A": 2}}, 61, ["A"]),
    ("a little before: whose clock?", [order(1)], [row("A", seconds=-120)], {}, 61, ["?"]),
    ("long after: whose clock?", [order(1)], [row("A", seconds=600)], {}, 700, ["?"]),
    ("a clock behind", [order(1)], [row("A", seconds=-118)], {"ahead": -120}, 2, ["A"]),
    ("a clock ahead", [order(1)], [row("A", seconds=182)], {"ahead": 180}, 2, ["A"]),
    ("the next day, with another book", [order(1)], [], {}, 86_400, ["gone"]),
    ("the next day, in its book", [order(1)], [row("A")], {}, 86_400, ["A"]),
    ("this process began late", [order(1)], [], {"opened": 50, "sent": None}, 61, ["?"]),
    ("and then waited", [order(1)], [], {"opened": 50, "sent": None}, 111, ["-"]),
    ("a row without a time", [order(1)], [replace(row("A"), at=None)], {}, 2, ["A"]),
    ("two rows that could be it", [order(1)], [row("A"), row("B")], {}, 61, ["?"]),
    ("two rows, one with its mark", [order(1)], [row("A"), row("B", tag=TAGGED)], {}, 2, ["B"]),
    ("only another's mark", [order(1)], [row("A", tag="ah999")], {}, 61, ["-"]),
    ("its mark, changed since", [order(1)], [row("A", quantity=9, tag=TAGGED)], {}, 2, ["A"]),
    ("alike, of one book", [order(1), order(2)], [row("A"), row("B")], {}, 2, ["A", "B"]),
    ("alike, one of them there", [order(1), order(2)], [row("A")], {}, 61, ["A", "-"]),
    ("alike, of two books", [order(1), order(2, book=RSI)], [row("A")], {}, 61, ["?", "?"]),
    ("alike, of two books, both there", [order(1), order(2, book=RSI)], [row("A"), row("B")], {}, 2,
     ["A", "B"]),
    ("alike, of two books, one refused", [order(1), order(2, book=RSI)],
     [row("A"), replace(row("B"), status=OrderStatus.REJECTED)], {}, 61, ["?", "?"]),
    ("alike, one being sent", [order(1)], [row("A")], {"flying": [order(2)]}, 61, ["?"]),
    ("a row nobody can read", [order(1)], [], {"unreadable": 1}, 61, ["?"]),
    ("sent late", [order(1)], [], {"sent": 50}, 61, ["?"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "rows", "more", "after", "expected"),
    [c[1:] for c in CASES],
    ids=[c[0] for c in CASES],
)
def test_what_became_of_an_order(
    orders: list[Order],
    rows: list[OrderRow],
    more: dict[str, object],
    after: int,
    expected: list[str],
) -> None:
    sent: Any = more.get("sent", 0)
    since: Any = more.get("since", {})
    ahead: Any = more.get("ahead", 0)
    opened: Any = more.get("opened", 0)
    told = matching.verdicts(
        orders,
        Rows(rows=tuple(rows), unreadable=int(bool(more.get("unreadable")))),
        claimed=more.get("claimed", set()),  # type: ignore[arg-type]
        on_the_way=more.get("flying", []),  # type: ignore[arg-type]
        sent_until={}
        if sent is None
        else {one.id: one.placed_at + timedelta(seconds=sent) for one in orders},
        seen=matching.Seen(
            since={row: MONDAY_0930 + timedelta(seconds=at) for row, at in since.items()},
            ahead=timedelta(seconds=ahead),
        ),
        opened_at=MONDAY_0930 + timedelta(seconds=opened),
        now=MONDAY_0930 + timedelta(seconds=after),
        quiet=QUIET,
    )
    found = {verdict.order.id: _word(verdict) for verdict in told}
    assert [found[one.id] for one in orders] == expected


def _word(verdict: matching.Verdict) -> str:
    match verdict:
        case matching.Found(row=row):
            return row.upstream_id
        case matching.NeverArrived():
            return "-"
        case matching.DayGone():
            return "gone"
        case matching.StillUnknown(why=why):
            assert why.endswith(".")
            return "?"
