"""Orders as JSON values: the one form in which journals keep them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

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
    Validity,
)


def order_to_json(order: Order) -> dict[str, Any]:
    """An order as JSON values, for journals that keep intents."""
    return {
        "id": order.id,
        "account_id": order.book.account_id,
        "strategy_id": order.book.strategy_id,
        "request": request_to_json(order.request),
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
        request=request_from_json(body["request"]),
        status=OrderStatus(body["status"]),
        placed_at=datetime.fromisoformat(body["placed_at"]),
        updated_at=datetime.fromisoformat(body["updated_at"]),
        filled_quantity=body["filled_quantity"],
        average_price=Decimal(body["average_price"]),
        reason=body["reason"],
    )


def request_to_json(request: OrderRequest) -> dict[str, Any]:
    """What was asked for as JSON values; prices as text, so that none is rounded."""
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
        "validity": request.validity.value,
        "label": request.label,
    }


def request_from_json(body: Mapping[str, Any]) -> OrderRequest:
    """The request that ``request_to_json`` wrote."""
    return OrderRequest(
        key=InstrumentKey(exchange=Exchange(body["exchange"]), symbol=body["symbol"]),
        action=Action(body["action"]),
        quantity=body["quantity"],
        price_type=PriceType(body["price_type"]),
        product=Product(body["product"]),
        price=Decimal(body["price"]),
        trigger_price=Decimal(body["trigger_price"]),
        disclosed_quantity=body["disclosed_quantity"],
        validity=Validity(body.get("validity", Validity.DAY.value)),
        label=body["label"],
    )
