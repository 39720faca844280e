"""Orders that come late: taken for lost, rejected, and then in the broker's book after all.

That an order is absent is decided by time, so a request that something on its way held back for
longer is traded after it was called rejected. It is then told so, and counts in its own book:
by its mark on the same day, and without one by all that it asked for, for a quarter of an hour.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from algohost.broker import openalgo_match as matching
from algohost.broker.openalgo_events import Surfaced
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.openalgo_match import Seen, Shape
from algohost.broker.openalgo_rows import OrderRow, Rows
from algohost.domain.ids import OrderId
from algohost.domain.orders import Order
from algohost.exchange.day import day_of

log = logging.getLogger(__name__)

WITHIN: Final = timedelta(minutes=15)
"""How long after it was sent an order without a mark is still looked for."""
_MOST_APART: Final = timedelta(hours=1)


@dataclass
class Sightings:
    """Which rows of a broker's order book were read here since when; of one day."""

    since: dict[str, datetime] = field(default_factory=dict)
    ahead: timedelta = timedelta(0)

    def saw(self, ledger: LiveLedger, book: Rows[OrderRow], *, at: datetime) -> Seen:
        """Takes a book in that was read until ``at``, and says what is known of its rows."""
        self.since = {row.upstream_id: self.since.get(row.upstream_id, at) for row in book.rows}
        # the least: rows may have the time of their last change, which is later
        ahead = min(_differences(ledger, book, at=at), default=self.ahead)
        self.ahead = max(-_MOST_APART, min(ahead, _MOST_APART))
        return Seen(since=self.since, ahead=self.ahead)


def surfaced(
    ledger: LiveLedger,
    book: Rows[OrderRow],
    seen: Seen,
    *,
    others: Iterable[Order],
    waiting: Collection[str],
    at: datetime,
) -> list[Surfaced]:
    """Which lost orders are in the broker's book after all.

    ``others`` are orders that are on their way or in doubt: a row could be theirs first.
    ``waiting`` are numbers of the broker whose orders are not on disk yet.
    """
    lost = [order for order in _known(ledger, ledger.lost) if _is_today(order, at)]
    if not lost:
        return []
    free = [
        row
        for row in book.rows
        if row.upstream_id not in waiting and not ledger.holds(row.upstream_id, day_of(at))
    ]
    by_mark = {row.tag: row for row in free if row.tag.startswith(matching.TAG_BEGINS)}
    busy = {matching.shape_of(order) for order in others}
    found: list[Surfaced] = []
    rest: dict[Shape, list[Order]] = {}
    for order in lost:
        row = by_mark.get(matching.tag_of(order.id))
        shape = matching.shape_of(order)
        if row is not None:
            found.append(Surfaced(at=at, order_id=order.id, upstream_id=row.upstream_id))
        elif shape not in busy:
            rest.setdefault(shape, []).append(order)
    unmarked = [row for row in free if not row.tag.startswith(matching.TAG_BEGINS)]
    for shape, orders in rest.items():
        rows = [row for row in unmarked if matching.shape_of_row(row) == shape]
        found += _paired(sorted(orders, key=lambda one: (one.placed_at, one.id)), rows, seen, at)
    return found


def _paired(
    orders: Sequence[Order], rows: Sequence[OrderRow], seen: Seen, at: datetime
) -> list[Surfaced]:
    """Lost orders that ask for the very same, oldest first, and the rows that could be them."""
    first = orders[0].placed_at - seen.early
    last = orders[-1].placed_at + WITHIN + seen.late
    near = [
        row
        for row in rows
        if seen.could_be(row, orders[0]) and (row.at is None or first <= row.at <= last)
    ]
    if not near:
        return []
    if len(near) > len(orders) or len({order.book for order in orders}) > 1:
        log.error(
            "lost_order_ambiguous orders=%s rows=%d", ",".join(one.id for one in orders), len(near)
        )
        return []
    return [
        Surfaced(at=at, order_id=order.id, upstream_id=row.upstream_id)
        for order, row in zip(orders, near, strict=False)
    ]


def _differences(ledger: LiveLedger, book: Rows[OrderRow], *, at: datetime) -> Iterable[timedelta]:
    claimed: Mapping[str, OrderId] = ledger.claimed
    for row in book.rows:
        order_id = claimed.get(row.upstream_id)
        order = None if order_id is None else ledger.order(order_id)
        if order is not None and row.at is not None and _is_today(order, at):
            yield row.at - order.placed_at


def _known(ledger: LiveLedger, ids: Iterable[OrderId]) -> Iterable[Order]:
    return (order for one in ids if (order := ledger.order(one)) is not None)


def _is_today(order: Order, at: datetime) -> bool:
    return day_of(order.placed_at) == day_of(at)
