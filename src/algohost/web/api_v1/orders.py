"""Orders: placing, changing, cancelling and asking how they stand.

A run's token acts on its strategy's book; an account key acts on the whole account, and what
it places goes into the account's unattributed book.
"""

from typing import Any, TypeVar

from starlette.responses import Response

from algohost.broker.gateway import Gateway
from algohost.broker.views import Scope
from algohost.domain.accounts import mode_of
from algohost.domain.errors import Invalid
from algohost.domain.orders import Order, OrderChanges, OrderStatus
from algohost.domain.strategies import Mode
from algohost.domain.users import Principal
from algohost.web.api_v1.answers import failure, ist_text, mode_fields, price, success
from algohost.web.api_v1.batches import NOT_CONFIRMED
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.contracts import listed, refuse_untradable
from algohost.web.api_v1.order_requests import (
    ModifyOrder,
    OneOrder,
    OpenPosition,
    PlaceOrder,
    PlaceSmartOrder,
)
from algohost.web.api_v1.requests import (
    Asked,
    AskedOfStrategy,
)

M = TypeVar("M", bound=Asked)


def scope_of(principal: Principal) -> Scope:
    """What this principal may see and change: its strategy's book, or its whole account."""
    return Scope(account_id=principal.account_id, strategy_id=principal.strategy_id)


async def opened(call: Call[M]) -> Gateway:
    """The gateway, with this principal's account read back: a new user's opens at first use."""
    gateway = call.host.gateway
    await gateway.recover(call.principal.account_id)
    return gateway


async def place_order(call: Call[PlaceOrder]) -> Response:
    """``placeorder``: 400 with the reason and the order's id when it was rejected."""
    refuse_untradable(call, call.asked.key)
    order = await call.host.gateway.place(call.principal.book, call.asked.order(), key=call.key)
    return _placed(order)


async def place_smart_order(call: Call[PlaceSmartOrder]) -> Response:
    """``placesmartorder``: trades the difference between the target and what the book holds."""
    asked = call.asked
    refuse_untradable(call, asked.key)
    order = await call.host.gateway.place_smart(
        call.principal.book, asked.order(), asked.position_size, key=call.key
    )
    if order is None:
        return success(
            message=f"Nothing to do: the position in {asked.key} is {asked.position_size} already."
        )
    return _placed(order)


async def modify_order(call: Call[ModifyOrder]) -> Response:
    """``modifyorder``: new price, quantity or price type for an order that still works."""
    asked, scope = call.asked, scope_of(call.principal)
    gateway = await opened(call)
    order = gateway.order(scope, asked.order_id)
    _same_order(order, asked)
    changes = OrderChanges(
        quantity=asked.quantity,
        price_type=asked.pricetype,
        price=asked.price,
        trigger_price=asked.trigger_price,
        disclosed_quantity=asked.disclosed_quantity,
    )
    changed = await gateway.modify(scope, order.id, changes)
    return success(orderid=changed.id)


async def cancel_order(call: Call[OneOrder]) -> Response:
    """``cancelorder``."""
    gateway = await opened(call)
    order = await gateway.cancel(scope_of(call.principal), call.asked.order_id)
    return success(orderid=order.id)


async def cancel_all_orders(call: Call[AskedOfStrategy]) -> Response:
    """``cancelallorder``: every working order in scope."""
    done = await call.host.gateway.cancel_all(scope_of(call.principal))
    return success(
        message=f"Canceled {len(done.cancelled)} orders."
        f" Failed to cancel {len(done.failed)} orders.",
        canceled_orders=[order.id for order in done.cancelled],
        failed_cancellations=[
            {"orderid": order_id, "reason": reason} for order_id, reason in done.failed
        ],
    )


async def close_positions(call: Call[AskedOfStrategy]) -> Response:
    """``closeposition``: a market order against every open position in scope."""
    orders = await call.host.gateway.close_positions(scope_of(call.principal))
    if not orders:
        return success(message="No open positions to close.")
    refused = [order for order in orders if order.status is OrderStatus.REJECTED]
    if refused:
        return failure(
            f"{len(refused)} of {len(orders)} positions could not be closed:"
            f" {refused[0].request.key}: {refused[0].reason}",
            400,
            fields={"orderids": [order.id for order in orders], **mode_fields()},
        )
    return success(
        message="All Open Positions Squared Off", orderids=[order.id for order in orders]
    )


async def order_status(call: Call[OneOrder]) -> Response:
    """``orderstatus``."""
    gateway = await opened(call)
    order = gateway.order(scope_of(call.principal), call.asked.order_id)
    return success(data=order_row(order))


async def open_position(call: Call[OpenPosition]) -> Response:
    """``openposition``: the net quantity, 0 where nothing is held."""
    asked = call.asked
    if mode_of(call.principal.account_id) is Mode.PAPER:
        listed(call.host, asked.key)
    gateway = await opened(call)
    held = sum(
        view.position.quantity
        for view in gateway.positions(scope_of(call.principal))
        if view.position.key == asked.key and view.position.product is asked.product
    )
    return success(quantity=held)


def order_row(order: Order) -> dict[str, Any]:
    """An order as ``orderstatus`` and ``orderbook`` show it."""
    request = order.request
    row: dict[str, Any] = {
        "action": request.action.value,
        "average_price": price(order.average_price),
        "exchange": request.key.exchange.value,
        "order_status": status_word(order.status),
        "orderid": order.id,
        "price": price(request.price),
        "pricetype": request.price_type.value,
        "product": request.product.value,
        "quantity": request.quantity,
        "symbol": request.key.symbol,
        "timestamp": ist_text(order.placed_at),
        "trigger_price": price(request.trigger_price),
    }
    if order.status is OrderStatus.REJECTED:
        row["rejection_reason"] = order.reason
    return row


def status_word(status: OrderStatus) -> str:
    """The word that scripts know; an order that is being sent is ``open`` to them."""
    return OrderStatus.OPEN.value if status is OrderStatus.INTENDED else status.value


def _placed(order: Order) -> Response:
    if order.status is OrderStatus.REJECTED:
        return failure(order.reason, 400, fields={"orderid": order.id, **mode_fields()})
    if order.status is OrderStatus.UNKNOWN:
        return success(orderid=order.id, message=NOT_CONFIRMED)
    return success(orderid=order.id)


def _same_order(order: Order, asked: ModifyOrder) -> None:
    was = order.request
    for name, before, now in (
        ("symbol", was.key.symbol, asked.symbol),
        ("exchange", was.key.exchange, asked.exchange),
        ("action", was.action, asked.action),
        ("product", was.product, asked.product),
    ):
        if before != now:
            raise Invalid(
                f"{name} of an order cannot be changed: order {order.id} has {before}, not {now};"
                " cancel it and place a new one.",
                code="NOT_CHANGEABLE",
            )
