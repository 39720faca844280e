"""From the broker's books to events, and what of the account is nobody's here: pure looks."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from algohost.broker.openalgo_events import LiveEvent, Moved, Traded
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.openalgo_rows import HeldRow, OrderRow, Rows, TradeRow, totals
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Funds, Order, OrderStatus, Position, Product
from algohost.domain.quotes import Quote
from algohost.exchange.account import PositionKey
from algohost.exchange.day import DayPosition, day_of
from algohost.exchange.numbers import numbered

LAPSED: Final = "It is no longer in the broker's order book: its day is over."

_Place = tuple[InstrumentKey, Product]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The account's books at the broker, read so that fills and positions fit each other."""

    at: datetime
    orders: Rows[OrderRow]
    trades: Rows[TradeRow]
    positions: Rows[HeldRow]
    holdings: Rows[HeldRow]
    funds: Funds
    quotes: Mapping[InstrumentKey, Quote]
    """Of what the account holds."""


def news_of_orders(
    ledger: LiveLedger,
    orders: Rows[OrderRow],
    trades: Rows[TradeRow],
    *,
    at: datetime,
    skipped: Container[OrderId] = (),
) -> list[LiveEvent]:
    """What the books tell of our orders that was not known here.

    ``skipped`` are orders that were changed while the books were read. Reading the same books
    again tells nothing: fills are counted by what an order has traded altogether.
    """
    happened: list[LiveEvent] = []
    traded, serial = totals(trades.rows), ledger.last_trade_serial
    listed = {row.upstream_id: row for row in orders.rows}
    for order, upstream_id in _told_of(ledger, [*listed, *traded], at=at):
        row = listed.get(upstream_id)
        if order.id in skipped:
            continue
        if row is not None and not _is_of(row, order, at):  # its number was given anew
            row = None
            traded.pop(upstream_id, None)
        fill = _fill(ledger, order, row, traded.get(upstream_id), at=at, serial=serial + 1)
        if fill is not None:
            serial += 1
            happened.append(fill)
        filled = order.filled_quantity + (0 if fill is None else fill.quantity)
        moved = _moved(order, row, filled=filled, at=at, is_whole_book=not orders.unreadable)
        if moved is not None:  # first what it asks for now: a fill may be of the larger quantity
            happened.insert(len(happened) - (fill is not None), moved)
    return _numbered(ledger, happened)


def _told_of(
    ledger: LiveLedger, numbers: Iterable[str], *, at: datetime
) -> list[tuple[Order, str]]:
    """Our orders that books with these numbers tell of, and those that are open; as they came."""
    today = day_of(at)
    ids = {ledger.claimed[one] for one in numbers if ledger.holds(one, today)}
    ids |= {order.id for order in ledger.open_orders()}
    orders = sorted(
        (order for one in ids if (order := ledger.order(one)) is not None),
        key=lambda order: (order.placed_at, order.id),
    )
    return [(order, ledger.upstream_ids[order.id]) for order in orders]


def _is_of(row: OrderRow, order: Order, at: datetime) -> bool:
    """Whether a row with the number of an order can be that order: of its own day it is."""
    is_alike = (row.key, row.action) == (order.request.key, order.request.action)
    return is_alike or day_of(order.placed_at) == day_of(at)


def _numbered(ledger: LiveLedger, happened: Sequence[LiveEvent]) -> list[LiveEvent]:
    serial, made = ledger.last_trade_serial, list[LiveEvent]()
    for event in happened:
        if isinstance(event, Traded):
            serial += 1
            number = numbered(at=event.at, account_number=ledger.account_number, serial=serial)
            made.append(replace(event, trade_id=number))
        else:
            made.append(event)
    return made


def _fill(
    ledger: LiveLedger,
    order: Order,
    row: OrderRow | None,
    traded: tuple[int, Decimal] | None,
    *,
    at: datetime,
    serial: int,
) -> Traded | None:
    quantity, value = traded or (0, Decimal(0))
    asked = row.quantity if row is not None and not order.status.is_final else 0
    most = max(order.request.quantity, asked)
    is_complete = row is not None and row.status is OrderStatus.COMPLETE
    if quantity < most and is_complete and row is not None and row.average_price > 0:
        quantity, value = row.quantity, row.quantity * row.average_price  # its trades come late
    if quantity > most and is_complete and row is not None and row.average_price > 0:
        quantity, value = row.quantity, row.quantity * row.average_price  # rows are there twice
    new = quantity - order.filled_quantity
    known = ledger.values.get(order.id, Decimal(0))
    if new <= 0 or quantity > most or value <= known:
        return None
    return Traded(
        at=at,
        order_id=order.id,
        trade_id=str(serial),
        quantity=new,
        price=(value - known) / new,
    )


def _moved(
    order: Order, row: OrderRow | None, *, filled: int, at: datetime, is_whole_book: bool
) -> Moved | None:
    if order.status.is_final:
        return None
    if row is None:
        is_over = day_of(order.placed_at) < day_of(at)
        return _to(order, OrderStatus.CANCELLED, LAPSED, at) if is_over and is_whole_book else None
    request = replace(
        order.request,
        quantity=max(row.quantity, filled, 1),
        price_type=row.price_type,
        price=row.price if row.price_type.needs_price else order.request.price,
        trigger_price=row.trigger_price
        if row.price_type.needs_trigger
        else order.request.trigger_price,
    )
    status = row.status
    is_new = filled > order.filled_quantity
    if status is OrderStatus.COMPLETE and (is_new or filled < request.quantity):
        status = order.status  # it is complete here by the fill that makes it so
    if (status, request) == (order.status, order.request):
        return None
    reason = row.reason or order.reason if status.is_final else order.reason
    return Moved(at=at, order_id=order.id, status=status, request=request, reason=reason)


def _to(order: Order, status: OrderStatus, reason: str, at: datetime) -> Moved:
    return Moved(at=at, order_id=order.id, status=status, request=order.request, reason=reason)


# -- what is nobody's here


@dataclass(frozen=True, kw_only=True)
class Surplus:
    """What the account has of one instrument and product beyond our books, below zero too."""

    traded: int
    settled: int
    average_price: Decimal
    """What the broker says that the account's units cost."""


def surplus(ledger: LiveLedger, snapshot: Snapshot) -> dict[_Place, Surplus]:
    """The account at the broker less our books, for every instrument where they differ.

    Books and surplus always sum to the account: that is how the surplus is made. Fills that were
    learnt after the snapshot, and are not in it, have changed the account as they did our books.
    """
    ours_traded = {place: -units for place, units in _since(ledger, snapshot).items()}
    ours_settled: dict[_Place, int] = {}
    for held in ledger.positions(day_of(snapshot.at)):
        place = (held.traded.key, held.traded.product)
        ours_traded[place] = ours_traded.get(place, 0) + held.traded.quantity
        ours_settled[place] = ours_settled.get(place, 0) + held.settled.quantity
    traded, settled = _summed(snapshot.positions.rows), _summed(snapshot.holdings.rows)
    found: dict[_Place, Surplus] = {}
    for place in {*traded, *settled, *ours_traded}:
        of_day, before = traded.get(place, (0, Decimal(0))), settled.get(place, (0, Decimal(0)))
        one = Surplus(
            traded=of_day[0] - ours_traded.get(place, 0),
            settled=before[0] - ours_settled.get(place, 0),
            average_price=of_day[1] or before[1],
        )
        if one.traded or one.settled:
            found[place] = one
    return found


def _since(ledger: LiveLedger, snapshot: Snapshot) -> dict[_Place, int]:
    """Units that our orders traded, beyond what the snapshot's trade book has of them."""
    of_orders: dict[OrderId, int] = {}
    for trade in ledger.trades_on(day_of(snapshot.at)):
        of_orders[trade.order_id] = of_orders.get(trade.order_id, 0) + trade.quantity
    told, since = totals(snapshot.trades.rows), dict[_Place, int]()
    for order_id, units in of_orders.items():
        order = ledger.order(order_id)
        beyond = units - told.get(ledger.upstream_ids[order_id], (0, Decimal(0)))[0]
        if order is not None and beyond > 0:
            place = (order.request.key, order.request.product)
            since[place] = since.get(place, 0) + order.request.action.sign * beyond
    return since


def with_surplus(
    held: Iterable[DayPosition], beyond: Mapping[_Place, Surplus], account_id: AccountId
) -> list[DayPosition]:
    """Positions of the books, the unattributed one grown by what is beyond them all."""
    book = Book(account_id=account_id, strategy_id=None)
    rows = {PositionKey(d.traded.book, d.traded.key, d.traded.product): d for d in held}
    for (key, product), more in beyond.items():
        place = PositionKey(book, key, product)
        flat = Position(book=book, key=key, product=product)
        base = rows.get(place, DayPosition(traded=flat, settled=flat, opening=flat))
        rows[place] = replace(
            base,
            traded=_grown(base.traded, more.traded, more.average_price),
            settled=_grown(base.settled, more.settled, more.average_price),
        )
    return list(rows.values())


def _grown(position: Position, more: int, price: Decimal) -> Position:
    quantity, open_value = position.quantity + more, position.open_value + more * price
    if more == 0:
        return position
    return replace(
        position,
        quantity=quantity,
        open_value=open_value,
        average_price=abs(open_value / quantity) if quantity else Decimal(0),
    )


def _summed(rows: Iterable[HeldRow]) -> dict[_Place, tuple[int, Decimal]]:
    """Units of each instrument and product; with the newest average price that is told."""
    sums: dict[_Place, tuple[int, Decimal]] = {}
    for row in rows:
        quantity, price = sums.get((row.key, row.product), (0, Decimal(0)))
        sums[row.key, row.product] = (quantity + row.quantity, row.average_price or price)
    return sums
