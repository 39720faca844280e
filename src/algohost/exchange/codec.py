"""Events as journal records and back, without loss: decimals are strings, instants ISO 8601."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algohost.domain.errors import Invalid
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
from algohost.domain.ports import JournalRecord
from algohost.exchange.events import (
    Accepted,
    AccountOpened,
    Cancelled,
    CashSet,
    Event,
    Filled,
    Modified,
    Rejected,
    Triggered,
)

Body = dict[str, Any]


def to_record(event: Event, *, number: int) -> JournalRecord:
    """The journal record of an event at its place in the account's journal."""
    kind, write, _ = _KINDS[type(event)]
    return JournalRecord(number=number, kind=kind, at=event.at, body=write(event))


def from_record(record: JournalRecord) -> Event:
    """The event in a record. Raises ``Invalid`` for one that this version cannot read."""
    read = _READERS.get(record.kind)
    if read is None:
        raise Invalid(
            f"Journal entry {record.number} is of the kind {record.kind!r}, which this version "
            "does not know; start the version that wrote it, or a newer one.",
            code="JOURNAL_UNREADABLE",
        )
    try:
        return read(record.at, record.body)
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise Invalid(
            f"Journal entry {record.number} ({record.kind}) cannot be read: {error!r}. "
            "Restore the journal from a backup.",
            code="JOURNAL_UNREADABLE",
        ) from error


def order_to_json(order: Order) -> Body:
    """An order as JSON values, for journals that keep intents."""
    return {
        "id": order.id,
        "account_id": order.book.account_id,
        "strategy_id": order.book.strategy_id,
        "request": _request_to_json(order.request),
        "status": order.status.value,
        "placed_at": order.placed_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
        "filled_quantity": order.filled_quantity,
        "average_price": str(order.average_price),
        "reason": order.reason,
    }


def order_from_json(body: Mapping[str, Any]) -> Order:
    """The order that ``order_to_json`` wrote."""
    strategy = body["strategy_id"]
    return Order(
        id=OrderId(body["id"]),
        book=Book(
            account_id=AccountId(body["account_id"]),
            strategy_id=None if strategy is None else StrategyId(strategy),
        ),
        request=_request_from_json(body["request"]),
        status=OrderStatus(body["status"]),
        placed_at=datetime.fromisoformat(body["placed_at"]),
        updated_at=datetime.fromisoformat(body["updated_at"]),
        filled_quantity=body["filled_quantity"],
        average_price=Decimal(body["average_price"]),
        reason=body["reason"],
    )


def _request_to_json(request: OrderRequest) -> Body:
    return {
        "exchange": request.key.exchange.value,
        "symbol": request.key.symbol,
        "action": request.action.value,
        "quantity": request.quantity,
        "price_type": request.price_type.value,
        "product": request.product.value,
        "price": str(request.price),
        "trigger_price": str(request.trigger_price),
        "disclosed_quantity": request.disclosed_quantity,
        "label": request.label,
    }


def _request_from_json(body: Mapping[str, Any]) -> OrderRequest:
    return OrderRequest(
        key=InstrumentKey(exchange=Exchange(body["exchange"]), symbol=body["symbol"]),
        action=Action(body["action"]),
        quantity=body["quantity"],
        price_type=PriceType(body["price_type"]),
        product=Product(body["product"]),
        price=Decimal(body["price"]),
        trigger_price=Decimal(body["trigger_price"]),
        disclosed_quantity=body["disclosed_quantity"],
        label=body["label"],
    )


def _write_flat(event: Event) -> Body:
    body = asdict(event)
    del body["at"]
    return {name: str(v) if isinstance(v, Decimal) else v for name, v in body.items()}


def _write_accepted(event: Accepted) -> Body:
    return {"order": order_to_json(event.order), "reserve": str(event.reserve)}


def _write_rejected(event: Rejected) -> Body:
    return {"order": order_to_json(event.order)}


def _write_modified(event: Modified) -> Body:
    return {
        "order_id": event.order_id,
        "request": _request_to_json(event.request),
        "status": event.status.value,
        "reserve": str(event.reserve),
    }


def _read_opened(at: datetime, body: Body) -> AccountOpened:
    return AccountOpened(
        at=at,
        account_id=AccountId(body["account_id"]),
        account_number=body["account_number"],
        cash=Decimal(body["cash"]),
    )


def _read_accepted(at: datetime, body: Body) -> Accepted:
    return Accepted(at=at, order=order_from_json(body["order"]), reserve=Decimal(body["reserve"]))


def _read_filled(at: datetime, body: Body) -> Filled:
    return Filled(
        at=at,
        order_id=OrderId(body["order_id"]),
        trade_id=body["trade_id"],
        quantity=body["quantity"],
        price=Decimal(body["price"]),
    )


def _read_modified(at: datetime, body: Body) -> Modified:
    return Modified(
        at=at,
        order_id=OrderId(body["order_id"]),
        request=_request_from_json(body["request"]),
        status=OrderStatus(body["status"]),
        reserve=Decimal(body["reserve"]),
    )


_Writer = Callable[[Any], Body]
_Reader = Callable[[datetime, Body], Event]

# The names in this table are on disk: one may be added, none changed.
_KINDS: Final[Mapping[type[Event], tuple[str, _Writer, _Reader]]] = {
    AccountOpened: ("account-opened", _write_flat, _read_opened),
    CashSet: ("cash-set", _write_flat, lambda at, b: CashSet(at=at, cash=Decimal(b["cash"]))),
    Accepted: ("accepted", _write_accepted, _read_accepted),
    Rejected: (
        "rejected",
        _write_rejected,
        lambda at, b: Rejected(at=at, order=order_from_json(b["order"])),
    ),
    Triggered: (
        "triggered",
        _write_flat,
        lambda at, b: Triggered(at=at, order_id=OrderId(b["order_id"])),
    ),
    Filled: ("filled", _write_flat, _read_filled),
    Modified: ("modified", _write_modified, _read_modified),
    Cancelled: (
        "cancelled",
        _write_flat,
        lambda at, b: Cancelled(at=at, order_id=OrderId(b["order_id"]), reason=b["reason"]),
    ),
}
_READERS: Final[Mapping[str, _Reader]] = {kind: read for kind, _, read in _KINDS.values()}
