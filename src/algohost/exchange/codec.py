"""Events as journal records and back, without loss: decimals are strings, instants ISO 8601."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algohost.domain.errors import Invalid
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.order_json import (
    order_from_json,
    order_to_json,
    request_from_json,
    request_to_json,
)
from algohost.domain.orders import (
    OrderStatus,
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
        request=request_from_json(body["request"]),
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
