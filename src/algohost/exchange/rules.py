"""What becomes of a command: functions that return events and change nothing.

``place`` always answers with events, a refusal being one. ``modify`` and ``cancel`` raise when
they are refused: the order is then as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import OrderId
from algohost.domain.instruments import Instrument
from algohost.domain.money import format_inr
from algohost.domain.orders import Action, Order, OrderChanges, OrderRequest, OrderStatus
from algohost.domain.quotes import Quote
from algohost.exchange.account import AccountState, Marks
from algohost.exchange.checks import (
    Asked,
    refusal,
    shortfall,
    uncovered_delivery,
    waits_for_trigger,
)
from algohost.exchange.events import Accepted, Cancelled, CashSet, Event, Filled, Modified, Rejected
from algohost.exchange.fills import AT_TOUCH, Fill, FillModel, touch_for
from algohost.exchange.numbers import numbered


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the market shows to a command at the instant it is decided."""

    at: datetime
    instrument: Instrument
    quote: Quote | None
    is_open: bool
    marks: Marks
    """Last prices, for what open positions are worth."""
    fills: FillModel = AT_TOUCH


def place(state: AccountState, order: Order, scene: Scene) -> Sequence[Event]:
    """Accepted, with the fills that follow at once; or rejected, with the reason."""
    request = order.request
    waits = waits_for_trigger(order, request)
    why = refusal(_asked(request, scene, waits=waits)) or uncovered_delivery(state, order)
    if why or scene.quote is None:
        return [rejection(order, at=scene.at, reason=why or "There is no price now.")]
    status = OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN
    taken = replace(order, status=status, updated_at=scene.at)
    fill = None if waits else scene.fills.arriving(taken, scene.quote)
    why = _no_counterparty(taken, fill)
    accepted = Accepted(
        at=scene.at, order=taken, reserve=_reserve(request, scene.quote, waits=waits)
    )
    draft = state.draft()
    draft.apply(accepted)
    why = why or shortfall(state, draft, scene.marks)
    if why:
        return [rejection(order, at=scene.at, reason=why)]
    return [accepted, *filled(draft, taken, fill, at=scene.at)]


def modify(
    state: AccountState, order_id: OrderId, changes: OrderChanges, scene: Scene
) -> Sequence[Event]:
    """Modified, with the fills that follow at once.

    Raises ``NotFound`` for an unknown order, ``Conflict`` for a final one, ``Invalid`` where
    the changed order would be refused or asks for no more than has traded.
    """
    order = changeable(state, order_id)
    request = changes.applied_to(order.request)
    waits = waits_for_trigger(order, request)
    changed = replace(
        order,
        request=request,
        status=OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN,
    )
    why = (
        refusal(_asked(request, scene, waits=waits))
        or _already_traded(changed)
        or uncovered_delivery(state, changed)
    )
    if why or scene.quote is None:
        raise Invalid(why or "There is no price now.", details={"order_id": order_id})
    fill = None if waits else scene.fills.arriving(changed, scene.quote)
    event = Modified(
        at=scene.at,
        order_id=order_id,
        request=request,
        status=changed.status,
        reserve=_reserve(request, scene.quote, waits=waits),
    )
    draft = state.draft()
    draft.apply(event)
    why = _no_counterparty(changed, fill) or shortfall(state, draft, scene.marks)
    if why:
        raise Invalid(why, details={"order_id": order_id})
    return [event, *filled(draft, changed, fill, at=scene.at)]


def cancel(
    state: AccountState, order_id: OrderId, *, at: datetime, reason: str = ""
) -> Sequence[Event]:
    """Cancelled. Raises ``NotFound`` for an unknown order and ``Conflict`` for a final one."""
    changeable(state, order_id)
    return [Cancelled(at=at, order_id=order_id, reason=reason)]


def set_cash(state: AccountState, cash: Decimal, *, at: datetime) -> Sequence[Event]:
    """The account's cash becomes ``cash``. Raises ``Invalid`` below zero or below what is held."""
    if not cash.is_finite() or cash < state.hold or cash < 0:
        raise Invalid(
            f"Cash of {cash} is not possible: {format_inr(state.hold)} is held for positions and "
            "open orders. Give at least that."
        )
    return [CashSet(at=at, cash=cash)]


def rejection(order: Order, *, at: datetime, reason: str) -> Rejected:
    """The event that refuses ``order``."""
    refused = replace(order, status=OrderStatus.REJECTED, updated_at=at, reason=reason)
    return Rejected(at=at, order=refused)


def changeable(state: AccountState, order_id: OrderId) -> Order:
    """The order, where it may still change. Raises ``NotFound`` and ``Conflict``."""
    order = state.order(order_id)
    if order is None:
        raise NotFound(f"There is no order {order_id}. Look at the order book for its number.")
    if order.status.is_final:
        raise Conflict(
            f"Order {order_id} is {order.status} and cannot change any more.",
            details={"order_id": order_id, "status": order.status.value},
        )
    return order


def filled(state: AccountState, order: Order, fill: Fill | None, *, at: datetime) -> list[Filled]:
    """The event of a fill, numbered after the last trade of ``state``; none without a fill."""
    if fill is None:
        return []
    trade_id = numbered(
        at=at, account_number=state.account_number, serial=state.last_trade_serial + 1
    )
    return [
        Filled(
            at=at, order_id=order.id, trade_id=trade_id, quantity=fill.quantity, price=fill.price
        )
    ]


def _asked(request: OrderRequest, scene: Scene, *, waits: bool) -> Asked:
    return Asked(
        request=request,
        instrument=scene.instrument,
        quote=scene.quote,
        is_open=scene.is_open,
        waits_for_trigger=waits,
    )


def _reserve(request: OrderRequest, quote: Quote, *, waits: bool) -> Decimal:
    """The dearest price at which the order is expected to trade.

    A stop that waits for its trigger may trade beyond it in a gap: that fill is checked again.
    """
    touch = touch_for(request.action, quote) or quote.last
    if request.price_type.needs_price:
        return request.price if request.action is Action.BUY else max(request.price, touch)
    return request.trigger_price if waits else touch


def _no_counterparty(order: Order, fill: Fill | None) -> str | None:
    """A market order does not wait: nobody on the other side refuses it."""
    price_type = order.request.price_type
    if fill is not None or price_type.needs_price or price_type.needs_trigger:
        return None
    side = "seller" if order.request.action is Action.BUY else "buyer"
    return f"There is no {side} for {order.request.key} now. Place a LIMIT order to wait for one."


def _already_traded(order: Order) -> str | None:
    if order.request.quantity > order.filled_quantity:
        return None
    return (
        f"{order.filled_quantity} units have traded already. Give a larger quantity, or cancel "
        "the order to keep them."
    )
