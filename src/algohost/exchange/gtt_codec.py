"""Events of GTTs as journal bodies and back, as ``codec`` has those of orders."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algohost.domain.gtt import Gtt, GttId, GttKind, GttLeg, GttRequest, GttStatus
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Book, PriceType, Product
from algohost.exchange.gtt_events import (
    GttCancelled,
    GttEvent,
    GttExpired,
    GttModified,
    GttPlaced,
    GttTriggered,
)

Body = dict[str, Any]
Writer = Callable[[Any], Body]
Reader = Callable[[datetime, Body], GttEvent]


def _write_request(request: GttRequest) -> Body:
    return {
        "exchange": request.key.exchange.value,
        "symbol": request.key.symbol,
        "action": request.action.value,
        "quantity": request.quantity,
        "product": request.product.value,
        "kind": request.kind.value,
        "legs": [
            [str(leg.trigger_price), leg.price_type.value, str(leg.price)] for leg in request.legs
        ],
        "label": request.label,
    }


def _read_request(body: Body) -> GttRequest:
    return GttRequest(
        key=InstrumentKey(exchange=Exchange(body["exchange"]), symbol=body["symbol"]),
        action=Action(body["action"]),
        quantity=body["quantity"],
        product=Product(body["product"]),
        kind=GttKind(body["kind"]),
        legs=tuple(
            GttLeg(trigger_price=Decimal(trigger), price_type=PriceType(kind), price=Decimal(price))
            for trigger, kind, price in body["legs"]
        ),
        label=body["label"],
    )


def _write_placed(event: GttPlaced) -> Body:
    gtt = event.gtt
    return {
        "id": gtt.id,
        "order_id": gtt.order_id,
        "account_id": gtt.book.account_id,
        "strategy_id": gtt.book.strategy_id,
        "request": _write_request(gtt.request),
        "last_price": str(gtt.last_price),
        "placed_at": gtt.placed_at.isoformat(),
        "expires_at": gtt.expires_at.isoformat(),
    }


def _read_placed(at: datetime, body: Body) -> GttPlaced:
    strategy, placed_at = body["strategy_id"], datetime.fromisoformat(body["placed_at"])
    gtt = Gtt(
        id=GttId(body["id"]),
        book=Book(
            account_id=AccountId(body["account_id"]),
            strategy_id=None if strategy is None else StrategyId(strategy),
        ),
        request=_read_request(body["request"]),
        status=GttStatus.ACTIVE,
        order_id=OrderId(body["order_id"]),
        last_price=Decimal(body["last_price"]),
        placed_at=placed_at,
        updated_at=placed_at,
        expires_at=datetime.fromisoformat(body["expires_at"]),
    )
    return GttPlaced(at=at, gtt=gtt)


def _write_modified(event: GttModified) -> Body:
    return {
        "gtt_id": event.gtt_id,
        "request": _write_request(event.request),
        "last_price": str(event.last_price),
    }


def _read_modified(at: datetime, body: Body) -> GttModified:
    return GttModified(
        at=at,
        gtt_id=GttId(body["gtt_id"]),
        request=_read_request(body["request"]),
        last_price=Decimal(body["last_price"]),
    )


# The names in this table are on disk: one may be added, none changed.
KINDS: Final[Mapping[type[Any], tuple[str, Writer, Reader]]] = {
    GttPlaced: ("gtt-placed", _write_placed, _read_placed),
    GttModified: ("gtt-modified", _write_modified, _read_modified),
    GttTriggered: (
        "gtt-triggered",
        lambda event: {"gtt_id": event.gtt_id, "leg": event.leg},
        lambda at, b: GttTriggered(at=at, gtt_id=GttId(b["gtt_id"]), leg=b["leg"]),
    ),
    GttCancelled: (
        "gtt-cancelled",
        lambda event: {"gtt_id": event.gtt_id, "reason": event.reason},
        lambda at, b: GttCancelled(at=at, gtt_id=GttId(b["gtt_id"]), reason=b["reason"]),
    ),
    GttExpired: (
        "gtt-expired",
        lambda event: {"gtt_id": event.gtt_id},
        lambda at, b: GttExpired(at=at, gtt_id=GttId(b["gtt_id"])),
    ),
}
