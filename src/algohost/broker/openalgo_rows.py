"""The books of an OpenAlgo server, read strictly: each row is understood whole or not at all.

Numbers come as JSON numbers or as text, whichever the broker behind that server likes. Rows that
cannot be understood are counted: where there is one, the absence of an order proves nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Generic, TypeVar

from algohost.domain.errors import Unavailable
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Funds, OrderStatus, PriceType, Product
from algohost.domain.quotes import Quote

T = TypeVar("T")

_MOST: Final = Decimal(10**12)
_LONGEST_ID: Final = 64
_STATUS: Final = {
    "open": OrderStatus.OPEN,
    "pending": OrderStatus.OPEN,
    "trigger pending": OrderStatus.TRIGGER_PENDING,
    "trigger_pending": OrderStatus.TRIGGER_PENDING,
    "complete": OrderStatus.COMPLETE,
    "completed": OrderStatus.COMPLETE,
    "rejected": OrderStatus.REJECTED,
    "cancelled": OrderStatus.CANCELLED,
    "canceled": OrderStatus.CANCELLED,
    # on their way at the broker, as Kite Connect names them (kite.trade/docs/connect/v3/orders)
    "put order req received": OrderStatus.OPEN,
    "validation pending": OrderStatus.OPEN,
    "open pending": OrderStatus.OPEN,
    "modify validation pending": OrderStatus.OPEN,
    "modify pending": OrderStatus.OPEN,
    "cancel pending": OrderStatus.OPEN,
    "amo req received": OrderStatus.OPEN,
}
_PRICE_TYPES: Final = {"M": "MARKET", "L": "LIMIT", "SLM": "SL-M", "SL-L": "SL"}
_TIMES: Final = (
    "%d-%b-%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%d-%m-%Y %H:%M:%S",
    "%H:%M:%S %d-%m-%Y",
    "%d/%m/%Y %H:%M:%S",
)
_FILL_IDS: Final = ("tradeid", "trade_id", "fill_id")
"""Where a server may number fills; OpenAlgo itself does not."""
_TAGS: Final = ("strategy", "tag")
"""Where a server may tell an order's label again; OpenAlgo itself has no such field."""


@dataclass(frozen=True, kw_only=True)
class OrderRow:
    """One order as the server's order book has it."""

    upstream_id: str
    key: InstrumentKey
    action: Action
    quantity: int
    price_type: PriceType
    product: Product
    price: Decimal
    trigger_price: Decimal
    status: OrderStatus
    at: datetime | None
    """When it was placed, to the second; ``None`` where that cannot be read."""
    tag: str
    """The label it was placed with, where the server tells it."""
    reason: str
    average_price: Decimal


@dataclass(frozen=True, kw_only=True)
class TradeRow:
    """One fill as the server's trade book has it."""

    upstream_id: str
    quantity: int
    price: Decimal


@dataclass(frozen=True, kw_only=True)
class HeldRow:
    """One position or holding of the whole account."""

    key: InstrumentKey
    product: Product
    quantity: int
    average_price: Decimal


@dataclass(frozen=True, kw_only=True)
class Rows(Generic[T]):
    """What was understood of a book."""

    rows: tuple[T, ...]
    unreadable: int = 0


class Unreadable(ValueError):
    """A row that says something else than it must."""


def order_rows(answer: Mapping[str, Any]) -> Rows[OrderRow]:
    """The rows of ``orderbook``; the same order twice counts once, as it came last."""
    data = answer.get("data")
    found = _rows(data.get("orders") if isinstance(data, Mapping) else data, _order, "orderbook")
    last = {row.upstream_id: row for row in found.rows}
    missing = max(0, _counted(data) - len(last) - found.unreadable)
    return Rows(rows=tuple(last.values()), unreadable=found.unreadable + missing)


def _counted(data: object) -> int:
    """How many orders a book says that there are, where it says so: it may show a part of them."""
    told = data.get("statistics") if isinstance(data, Mapping) else None
    try:
        return units(told, "total_buy_orders") + units(told, "total_sell_orders") if told else 0
    except (Unreadable, AttributeError):
        return 0


def trade_rows(answer: Mapping[str, Any]) -> Rows[TradeRow]:
    """The rows of ``tradebook``; the same fill twice counts once, where fills are numbered."""
    data = answer.get("data")
    if isinstance(data, list):
        data = _once(data)
    return _rows(data, _trade, "tradebook")


def _once(rows: list[object]) -> list[object]:
    """Without rows that have the fill's number of another of the same order."""
    seen: set[tuple[str, str]] = set()
    kept: list[object] = []
    for row in rows:
        number = _fill_number(row)
        if number is None or number not in seen:
            kept.append(row)
        if number is not None:
            seen.add(number)
    return kept


def _fill_number(row: object) -> tuple[str, str] | None:
    if not isinstance(row, Mapping):
        return None
    number = next((row[name] for name in _FILL_IDS if row.get(name) not in (None, "")), None)
    is_one = isinstance(number, str | int) and not isinstance(number, bool)
    return (str(row.get("orderid")), str(number)) if is_one else None


def position_rows(answer: Mapping[str, Any]) -> Rows[HeldRow]:
    """The rows of ``positionbook``."""
    return _rows(answer.get("data"), _held, "positionbook")


def holding_rows(answer: Mapping[str, Any]) -> Rows[HeldRow]:
    """The rows of ``holdings``."""
    data = answer.get("data")
    listed = data.get("holdings") if isinstance(data, Mapping) else data
    return _rows(listed, _held, "holdings")


def funds_of(answer: Mapping[str, Any]) -> Funds:
    """The account's money as ``funds`` has it. Raises ``Unavailable`` for anything else."""
    data = answer.get("data")
    if not isinstance(data, Mapping):
        raise _no_book("funds", "no object")
    try:
        used, unrealised = amount(data, "utiliseddebits"), amount(data, "m2munrealized")
        collateral = amount(data, "collateral")
        free, realised = amount(data, "availablecash"), amount(data, "m2mrealized")
    except Unreadable as error:
        raise _no_book("funds", str(error)) from error
    # Funds.available adds and takes away the same again, so that it is what the broker says
    cash = free + used - collateral - min(unrealised, Decimal(0))
    return Funds(
        cash=cash,
        used_margin=used,
        realised=realised,
        unrealised=unrealised,
        collateral=collateral,
    )


def quotes_of(answer: Mapping[str, Any], *, at: datetime) -> dict[InstrumentKey, Quote]:
    """The quotes of ``multiquotes``; an instrument without a price is left out."""
    results = answer.get("results")
    found: dict[InstrumentKey, Quote] = {}
    for row in results if isinstance(results, list) else ():
        try:
            quote = _quote(row, at=at)
        except (Unreadable, AttributeError):
            continue
        found[quote.key] = quote
    return found


def _quote(row: Mapping[str, Any], *, at: datetime) -> Quote:
    data = row.get("data")
    if not isinstance(data, Mapping):
        raise Unreadable("data")
    last = amount(data, "ltp")
    if last <= 0:
        raise Unreadable("ltp")

    def price(name: str) -> Decimal:
        return amount(data, name, default=last) or last

    return Quote(
        key=_key(row),
        at=at,
        last=last,
        bid=price("bid"),
        ask=price("ask"),
        open=price("open"),
        high=price("high"),
        low=price("low"),
        previous_close=price("prev_close"),
        volume=int(amount(data, "volume", default=Decimal(0))),
    )


def amount(row: Mapping[str, Any], name: str, *, default: Decimal | None = None) -> Decimal:
    """A number of a row, exact. Raises ``Unreadable`` for none, one without end or too large."""
    value = row.get(name)
    if value in (None, "") and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise Unreadable(name)
    try:
        number = Decimal(value.strip().replace(",", "") if isinstance(value, str) else value)
    except InvalidOperation:
        raise Unreadable(name) from None
    if not number.is_finite() or abs(number) > _MOST:
        raise Unreadable(name)
    return number


def units(row: Mapping[str, Any], name: str) -> int:
    """A whole number of a row. Raises ``Unreadable``."""
    number = amount(row, name)
    if number != number.to_integral_value():
        raise Unreadable(name)
    return int(number)


def _rows(found: object, read: Callable[[Mapping[str, Any]], T], book: str) -> Rows[T]:
    if found is None:
        return Rows(rows=())
    if not isinstance(found, list):
        raise _no_book(book, "no list")
    made, unreadable = [], 0
    for row in found:
        try:
            made.append(read(row if isinstance(row, Mapping) else {}))
        except Unreadable:
            unreadable += 1
    return Rows(rows=tuple(made), unreadable=unreadable)


def _order(row: Mapping[str, Any]) -> OrderRow:
    price_type = _text(row, "pricetype").upper()
    return OrderRow(
        upstream_id=_id(row),
        key=_key(row),
        action=_one_of(Action, _text(row, "action").upper()),
        quantity=units(row, "quantity"),
        price_type=_one_of(PriceType, _PRICE_TYPES.get(price_type, price_type)),
        product=_one_of(Product, _text(row, "product").upper()),
        price=amount(row, "price", default=Decimal(0)),
        trigger_price=amount(row, "trigger_price", default=Decimal(0)),
        status=_status(_text(row, "order_status")),
        at=_time(row.get("timestamp")),
        tag=next((row[n] for n in _TAGS if isinstance(row.get(n), str) and row[n]), ""),
        reason=_reason(row),
        average_price=amount(row, "average_price", default=Decimal(0)),
    )


def _trade(row: Mapping[str, Any]) -> TradeRow:
    quantity, price = units(row, "quantity"), amount(row, "average_price")
    if quantity <= 0 or price <= 0:
        raise Unreadable("quantity or average_price")
    return TradeRow(upstream_id=_id(row), quantity=quantity, price=price)


def _held(row: Mapping[str, Any]) -> HeldRow:
    return HeldRow(
        key=_key(row),
        product=_one_of(Product, row.get("product") or Product.CNC),
        quantity=units(row, "quantity"),
        average_price=amount(row, "average_price", default=Decimal(0)),
    )


def _id(row: Mapping[str, Any]) -> str:
    value = row.get("orderid")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_ID or not text.isprintable():
        raise Unreadable("orderid")
    return text


def upstream_id_of(answer: Mapping[str, Any]) -> str | None:
    """The order's number in the answer to a command; ``None`` where it has none."""
    try:
        return _id(answer)
    except Unreadable:
        return None


def _key(row: Mapping[str, Any]) -> InstrumentKey:
    return InstrumentKey(
        exchange=_one_of(Exchange, _text(row, "exchange").upper()), symbol=_text(row, "symbol")
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(name)
    return value.strip()


def _one_of(kind: type[T], word: object) -> T:
    try:
        return kind(word)  # type: ignore[call-arg]
    except ValueError:
        raise Unreadable(f"{word!r:.30}") from None


def _status(word: str) -> OrderStatus:
    found = _STATUS.get(word.lower())
    if found is None:
        raise Unreadable("order_status")
    return found


def _reason(row: Mapping[str, Any]) -> str:
    for name in ("rejection_reason", "status_message", "reason"):
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return re.sub(r"\s+", " ", value.strip())[:300]
    return ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    for form in _TIMES:
        try:
            return datetime.strptime(value.strip(), form).replace(tzinfo=IST)
        except ValueError:
            continue
    return None


def all_readable(*books: Rows[Any]) -> bool:
    """Whether every row of these was understood."""
    return not any(book.unreadable for book in books)


def totals(trades: Iterable[TradeRow]) -> dict[str, tuple[int, Decimal]]:
    """Units traded and their value in rupees, by the server's order number."""
    sums: dict[str, tuple[int, Decimal]] = {}
    for row in trades:
        quantity, value = sums.get(row.upstream_id, (0, Decimal(0)))
        sums[row.upstream_id] = (quantity + row.quantity, value + row.quantity * row.price)
    return sums


def _no_book(book: str, what: str) -> Unavailable:
    return Unavailable(
        f"The broker's server answered {book} with something that cannot be read ({what}); it is"
        " asked again.",
        code="BROKER_ANSWER",
    )
