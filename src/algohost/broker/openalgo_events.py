"""What happens to a live account, and how it lies on disk."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
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
from algohost.domain.orders import Order, OrderRequest, OrderStatus
from algohost.domain.ports import JournalRecord


@dataclass(frozen=True, kw_only=True)
class Linked:
    """The first event of every live account."""

    at: datetime
    account_id: AccountId
    account_number: int
    """The six digits of this account in our own order and trade numbers."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The broker has the order, under a number of its own."""

    at: datetime
    order: Order
    upstream_id: str


@dataclass(frozen=True, kw_only=True)
class TurnedDown:
    """The broker refused the order, or it never arrived; ``order.reason`` says which."""

    at: datetime
    order: Order
    is_lost: bool = False
    """Whether it was sent, and is rejected only because the broker's order book has it not."""


@dataclass(frozen=True, kw_only=True)
class Surfaced:
    """An order that was taken for lost is in the broker's order book after all."""

    at: datetime
    order_id: OrderId
    upstream_id: str


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An order stands otherwise in the broker's book than it did here."""

    at: datetime
    order_id: OrderId
    status: OrderStatus
    request: OrderRequest
    reason: str


@dataclass(frozen=True, kw_only=True)
class Traded:
    """So many units of an order traded, at a price that is the mean of their fills."""

    at: datetime
    order_id: OrderId
    trade_id: str
    quantity: int
    price: Decimal


LiveEvent = Linked | Taken | TurnedDown | Surfaced | Moved | Traded


# -- on disk

_Body = dict[str, Any]


def to_record(event: LiveEvent, *, number: int) -> JournalRecord:
    """The journal record of an event at its place in the account's journal."""
    match event:
        case Linked():
            kind, body = (
                "live-linked",
                {
                    "account_id": event.account_id,
                    "account_number": event.account_number,
                },
            )
        case Taken():
            kind, body = (
                "live-taken",
                {
                    "order": order_to_json(event.order),
                    "upstream_id": event.upstream_id,
                },
            )
        case TurnedDown():
            kind, body = (
                "live-turned-down",
                {"order": order_to_json(event.order), "is_lost": event.is_lost},
            )
        case Surfaced():
            kind, body = (
                "live-surfaced",
                {"order_id": event.order_id, "upstream_id": event.upstream_id},
            )
        case Moved():
            kind, body = (
                "live-moved",
                {
                    "order_id": event.order_id,
                    "status": event.status.value,
                    "request": request_to_json(event.request),
                    "reason": event.reason,
                },
            )
        case Traded():
            body = asdict(event)
            del body["at"]
            kind, body = "live-traded", {**body, "price": str(event.price)}
    return JournalRecord(number=number, kind=kind, at=event.at, body=body)


def from_record(record: JournalRecord) -> LiveEvent:
    """The event in a record. Raises ``Invalid`` for one that this version cannot read."""
    try:
        return _READERS[record.kind](record.at, record.body)
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise Invalid(
            f"Journal entry {record.number} ({record.kind}) cannot be read: {error!r}. Start the "
            "version that wrote it or a newer one, or restore the journal from a backup.",
            code="JOURNAL_UNREADABLE",
        ) from error


def _read_linked(at: datetime, body: _Body) -> Linked:
    return Linked(
        at=at, account_id=AccountId(body["account_id"]), account_number=body["account_number"]
    )


def _read_taken(at: datetime, body: _Body) -> Taken:
    return Taken(at=at, order=order_from_json(body["order"]), upstream_id=body["upstream_id"])


def _read_turned_down(at: datetime, body: _Body) -> TurnedDown:
    order, is_lost = order_from_json(body["order"]), bool(body.get("is_lost", False))
    return TurnedDown(at=at, order=order, is_lost=is_lost)


def _read_surfaced(at: datetime, body: _Body) -> Surfaced:
    return Surfaced(at=at, order_id=OrderId(body["order_id"]), upstream_id=body["upstream_id"])


def _read_moved(at: datetime, body: _Body) -> Moved:
    return Moved(
        at=at,
        order_id=OrderId(body["order_id"]),
        status=OrderStatus(body["status"]),
        request=request_from_json(body["request"]),
        reason=body["reason"],
    )


def _read_traded(at: datetime, body: _Body) -> Traded:
    return Traded(
        at=at,
        order_id=OrderId(body["order_id"]),
        trade_id=body["trade_id"],
        quantity=body["quantity"],
        price=Decimal(body["price"]),
    )


# The names in this table are on disk: one may be added, none changed.
_READERS: Final[Mapping[str, Callable[[datetime, _Body], LiveEvent]]] = {
    "live-linked": _read_linked,
    "live-taken": _read_taken,
    "live-turned-down": _read_turned_down,
    "live-surfaced": _read_surfaced,
    "live-moved": _read_moved,
    "live-traded": _read_traded,
}
