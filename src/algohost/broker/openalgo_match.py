"""What became of orders whose outcome is not known: a pure look at the broker's order book.

An order is found by its tag where the server tells it. Where not, by everything else that is
known of it: instrument, side, quantity, prices, product, when it was placed, and that no other
order of ours is that row. Orders of one book that ask for the very same are interchangeable; any
other doubt stays doubt and says so. That an order never arrived is concluded only after a quiet
time, from a book of its own day of which every row was understood, and which has no row like it
under some other time: brokers' clocks differ.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algohost.broker.openalgo_rows import OrderRow, Rows
from algohost.domain.ids import IST, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Order, PriceType, Product
from algohost.exchange.day import day_of

EARLY: Final = timedelta(seconds=5)
"""By how much a row may be older than its order: two clocks, and rows to the whole second."""
APART: Final = timedelta(minutes=15)
"""By how much a broker's clock may be behind before a row of before cannot be the order."""
TAG_BEGINS: Final = "ah"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The order arrived: it is that row."""

    order: Order
    row: OrderRow


@dataclass(frozen=True, kw_only=True)
class NeverArrived:
    """The order is not there, after long enough."""

    order: Order


@dataclass(frozen=True, kw_only=True)
class StillUnknown:
    """Nobody can say yet, or at all; ``why`` is a sentence."""

    order: Order
    why: str


@dataclass(frozen=True, kw_only=True)
class DayGone:
    """The order's day is over, and the broker's order book of that day with it."""

    order: Order


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of the rows of a book besides what they say."""

    since: Mapping[str, datetime] = field(default_factory=dict)
    """When each row was first read here: one that was read before an order is not that order."""
    ahead: timedelta = timedelta(0)
    """By how much the broker's clock is ahead of ours, or behind; by rows that are known orders."""

    @property
    def early(self) -> timedelta:
        """By how much a row may be older than its order."""
        return EARLY - min(self.ahead, timedelta(0))

    @property
    def late(self) -> timedelta:
        """By how much a row may be newer than it would be by our clock."""
        return max(self.ahead, timedelta(0))

    def could_be(self, row: OrderRow, order: Order) -> bool:
        """Whether a row was not there yet when the order was made."""
        since = self.since.get(row.upstream_id)
        return since is None or since >= order.placed_at


_NOTHING_SEEN: Final = Seen()
Verdict = Found | NeverArrived | StillUnknown | DayGone
Shape = tuple[InstrumentKey, Action, int, PriceType, Product, Decimal, Decimal]


def tag_of(order_id: OrderId) -> str:
    """The mark by which an order is found again: small letters and digits, some twenty."""
    return f"{TAG_BEGINS}{order_id}"


def verdicts(
    doubtful: Sequence[Order],
    book: Rows[OrderRow],
    *,
    claimed: Collection[str],
    on_the_way: Iterable[Order],
    sent_until: Mapping[OrderId, datetime],
    now: datetime,
    quiet: timedelta,
    seen: Seen = _NOTHING_SEEN,
    opened_at: datetime | None = None,
) -> list[Verdict]:
    """What can be said of each doubtful order.

    ``claimed`` are numbers of rows that belong to other orders; ``on_the_way`` are orders that are
    being sent in this moment; ``sent_until`` says when a request last could have left, where that
    is later than the order's own time. Orders that it does not name may have left until this
    process began, at ``opened_at``.
    """
    free = [row for row in book.rows if row.upstream_id not in claimed]
    tagged = {row.tag: row for row in free if row.tag.startswith(TAG_BEGINS)}
    told: list[Verdict] = []
    rest: dict[Shape, list[Order]] = {}
    for order in doubtful:
        row = tagged.get(tag_of(order.id))
        if row is not None:  # whatever was changed of it since, the mark is its own
            told.append(Found(order=order, row=row))
        else:
            rest.setdefault(shape_of(order), []).append(order)
    untagged = [row for row in free if not row.tag.startswith(TAG_BEGINS)]
    busy = {shape_of(order) for order in on_the_way}
    for shape, orders in rest.items():
        orders.sort(key=lambda order: (order.placed_at, order.id))
        rows = [
            row for row in untagged if shape_of_row(row) == shape and seen.could_be(row, orders[0])
        ]
        left = {o.id: max(o.placed_at, sent_until.get(o.id, o.placed_at)) for o in orders}
        ended = {o.id: sent_until.get(o.id, opened_at or o.placed_at) for o in orders}
        if shape in busy:
            why = "An order that asks for the same is being sent; it is looked for after that."
            told += [StillUnknown(order=order, why=why) for order in orders]
        else:
            earliest = orders[0].placed_at - seen.early
            latest = max(left.values()) + quiet + seen.late
            is_late = {o.id: now - max(left[o.id], ended[o.id]) >= quiet for o in orders}
            told += _of_one_shape(orders, rows, book, (earliest, latest), now, is_late)
    return told


def _of_one_shape(
    orders: list[Order],
    rows: list[OrderRow],
    book: Rows[OrderRow],
    between: tuple[datetime, datetime],
    now: datetime,
    is_late: Mapping[OrderId, bool],
) -> list[Verdict]:
    """Orders that ask for the very same, oldest first, against the rows that could be them."""
    earliest, latest = between
    near = [row for row in rows if row.at is None or earliest <= row.at <= latest]
    near.sort(key=lambda row: (row.at or earliest, row.upstream_id))
    if len(near) > len(orders) or not _interchangeable(orders, near):
        why = (
            f"{len(near)} orders at the broker could be this one. Compare its order book by hand:"
            " it is not sent again."
        )
        return [StillUnknown(order=order, why=why) for order in orders]
    found: list[Verdict] = [
        Found(order=order, row=row) for order, row in zip(orders, near, strict=False)
    ]
    far = [row.at for row in rows if row.at is not None and row not in near]
    far = [at for at in far if earliest - APART < at and day_of(at) == day_of(earliest)]
    rest = orders[len(near) :]
    return found + [_not_there(o, book, far, now=now, is_late=is_late[o.id]) for o in rest]


def _interchangeable(orders: Sequence[Order], near: Sequence[OrderRow]) -> bool:
    """Whether it does not matter which of these orders is which row.

    Those of one book never matter. Those of several do not where all arrived and fared alike.
    """
    if not near or len({order.book for order in orders}) == 1:
        return True
    fates = {(row.status, row.average_price) for row in near}
    return len(near) == len(orders) and len(fates) == 1


def _not_there(
    order: Order, book: Rows[OrderRow], far: Sequence[datetime], *, now: datetime, is_late: bool
) -> Verdict:
    if book.unreadable:
        why = f"{book.unreadable} rows of the broker's order book cannot be read."
    elif not is_late:
        why = "It is not in the broker's order book yet, and may still arrive."
    elif far:
        why = (
            f"The broker has an order like it of {far[0].astimezone(IST):%H:%M:%S}, which may be"
            " this one if its clock differs. Compare its order book by hand."
        )
    elif day_of(now) > day_of(order.placed_at):
        return DayGone(order=order)
    else:
        return NeverArrived(order=order)
    return StillUnknown(order=order, why=why)


def shape_of(order: Order) -> Shape:
    """What an order asks for."""
    r = order.request
    price = r.price if r.price_type.needs_price else Decimal(0)
    trigger = r.trigger_price if r.price_type.needs_trigger else Decimal(0)
    return (r.key, r.action, r.quantity, r.price_type, r.product, price, trigger)


def shape_of_row(row: OrderRow) -> Shape:
    """The same of a row."""
    price = row.price if row.price_type.needs_price else Decimal(0)
    trigger = row.trigger_price if row.price_type.needs_trigger else Decimal(0)
    return (row.key, row.action, row.quantity, row.price_type, row.product, price, trigger)
