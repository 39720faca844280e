"""Events as journal records and back, without loss: decimals are strings, instants ISO 8601."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algohost.domain.errors import Invalid
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.order_json import (
    order_from_json,
    order_to_json,
    request_from_json,
    request_to_json,
)
from algohost.domain.orders import Book, OrderStatus, Product
from algohost.domain.ports import JournalRecord
from algohost.exchange import gtt_codec
from algohost.exchange.charges import NO_CHARGES, PARTS, Charges
from algohost.exchange.events import (
    Accepted,
    AccountOpened,
    AccountReset,
    Cancelled,
    CashSet,
    Event,
    Filled,
    Modified,
    Rejected,
    Settled,
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
        "request": request_to_json(event.request),
        "status": event.status.value,
        "reserve": str(event.reserve),
        "by": event.by,
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
        charges=_charges(body),
    )


def _write_charges(charges: Charges) -> Body:
    amounts = {name: getattr(charges, name) for name in PARTS}
    return {name: str(amount) for name, amount in amounts.items() if amount}


def _charges(body: Body) -> Charges:
    """Of a record; none in those of before there were any."""
    said = body.get("charges")
    if not said:
        return NO_CHARGES
    return Charges(**{name: Decimal(said.get(name, ZERO)) for name in PARTS})


def _write_filled(event: Filled) -> Body:
    return {
        "order_id": event.order_id,
        "trade_id": event.trade_id,
        "quantity": event.quantity,
        "price": str(event.price),
        "charges": _write_charges(event.charges),
    }


def _write_settled(event: Settled) -> Body:
    return {
        "account_id": event.book.account_id,
        "strategy_id": event.book.strategy_id,
        "exchange": event.key.exchange.value,
        "symbol": event.key.symbol,
        "product": event.product.value,
        "price": str(event.price),
        "charges": _write_charges(event.charges),
    }


def _read_settled(at: datetime, body: Body) -> Settled:
    strategy = body["strategy_id"]
    return Settled(
        at=at,
        book=Book(
            account_id=AccountId(body["account_id"]),
            strategy_id=None if strategy is None else StrategyId(strategy),
        ),
        key=InstrumentKey(exchange=Exchange(body["exchange"]), symbol=body["symbol"]),
        product=Product(body["product"]),
        price=Decimal(body["price"]),
        charges=_charges(body),
    )


def _read_modified(at: datetime, body: Body) -> Modified:
    return Modified(
        at=at,
        order_id=OrderId(body["order_id"]),
        request=request_from_json(body["request"]),
        status=OrderStatus(body["status"]),
        reserve=Decimal(body["reserve"]),
        by=body.get("by", ""),
    )


_Writer = Callable[[Any], Body]
_Reader = Callable[[datetime, Body], Event]

# The names in this table are on disk: one may be added, none changed.
_KINDS: Final[dict[type[Event], tuple[str, _Writer, _Reader]]] = {
    **gtt_codec.KINDS,
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
    Filled: ("filled", _write_filled, _read_filled),
    Settled: ("settled", _write_settled, _read_settled),
    AccountReset: (
        "account-reset",
        _write_flat,
        lambda at, b: AccountReset(at=at, cash=Decimal(b["cash"])),
    ),
    Modified: ("modified", _write_modified, _read_modified),
    Cancelled: (
        "cancelled",
        _write_flat,
        lambda at, b: Cancelled(at=at, order_id=OrderId(b["order_id"]), reason=b["reason"]),
    ),
}
_READERS: Final[Mapping[str, _Reader]] = {kind: read for kind, _, read in _KINDS.values()}
