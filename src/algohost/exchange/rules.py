"""What becomes of a command: functions that return events and change nothing.

``place`` always answers with events, a refusal being one. ``modify`` and ``cancel`` raise when
they are refused: the order is then as it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import OrderId
from algohost.domain.instruments import Instrument
from algohost.domain.money import format_inr
from algohost.domain.orders import (
    Action,
    Order,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    PriceType,
    Validity,
)
from algohost.domain.quotes import Depth, Quote
from algohost.domain.values import changed
from algohost.exchange.account import AccountState, Marks
from algohost.exchange.bands import Band, band_of
from algohost.exchange.checks import (
    Asked,
    after_square_off,
    carried_shares,
    expired,
    refusal,
    shortfall,
    uncovered_delivery,
    waits_for_trigger,
)
from algohost.exchange.events import Accepted, Cancelled, CashSet, Event, Filled, Modified, Rejected
from algohost.exchange.fills import AT_TOUCH, NOTHING_USED, Fill, FillModel, Shown, touch_for
from algohost.exchange.memory import Memory
from algohost.exchange.numbers import numbered

IOC_REST: Final = "IOC: what could not trade at once was cancelled."


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
    intraday_over_since: datetime | None = None
    """Since when no MIS position may be opened; ``None`` while it may."""
    expired_at: datetime | None = None
    """When the instrument expired, if it did."""
    depth: Depth | None = None
    """The levels around ``quote``, where the market shows any."""
    memory: Memory | None = None

    @property
    def band(self) -> Band | None:
        """Between which prices the instrument may trade now."""
        return None if self.quote is None else band_of(self.instrument, self.quote)

    def shown(self, quote: Quote, action: Action) -> Shown:
        """What ``quote`` shows to an order that comes now."""
        used = NOTHING_USED if self.memory is None else self.memory.used(quote, action)
        return Shown(at=self.at, quote=quote, depth=self.depth, band=self.band, used=used)

    def use(self, quote: Quote, action: Action, fills: Sequence[Fill]) -> None:
        """Remembers what an order took of the levels that are shown."""
        if self.memory is not None:
            for fill in fills:
                self.memory.use(quote, action, fill.price, fill.quantity)


def place(state: AccountState, order: Order, scene: Scene) -> Sequence[Event]:
    """Accepted, with the fills that follow at once; or rejected, with the reason."""
    return placed(state, order, scene).happened


def placed(state: AccountState, order: Order, scene: Scene) -> AccountState:
    """A draft of ``state`` to which everything was applied that ``place`` returns."""
    request = order.request
    waits = waits_for_trigger(order, request)
    why = (
        refusal(_asked(request, scene, waits=waits))
        or expired(request, scene.expired_at)
        or after_square_off(state, order, scene.intraday_over_since)
        or uncovered_delivery(state, order)
        or carried_shares(state, order)
    )
    if why or scene.quote is None:
        return _rejected(state, order, at=scene.at, reason=why or "There is no price now.")
    status = OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN
    taken = changed(order, status=status, updated_at=scene.at)
    shown = scene.shown(scene.quote, request.action)
    fills = () if waits else scene.fills.arriving(taken, shown)
    why = _no_counterparty(taken, shown)
    accepted = Accepted(
        at=scene.at, order=taken, reserve=_reserve(request, shown, fills, waits=waits)
    )
    draft = state.draft()
    draft.apply(accepted)
    why = why or shortfall(state, draft, scene.marks)
    if why:
        return _rejected(state, order, at=scene.at, reason=why)
    scene.use(scene.quote, request.action, fills)
    _arrive(draft, taken, fills, scene)
    return draft


def modify(
    state: AccountState, order_id: OrderId, changes: OrderChanges, scene: Scene
) -> Sequence[Event]:
    """Modified, with the fills that follow at once.

    Raises ``NotFound`` for an unknown order, ``Conflict`` for a final one, ``Invalid`` where
    the changed order would be refused or asks for no more than has traded.
    """
    return modified(state, order_id, changes, scene).happened


def modified(
    state: AccountState, order_id: OrderId, changes: OrderChanges, scene: Scene
) -> AccountState:
    """A draft of ``state`` to which was applied what ``modify`` returns. Raises as ``modify``."""
    order = changeable(state, order_id)
    request = changes.applied_to(order.request)
    waits = waits_for_trigger(order, request)
    after = changed(
        order,
        updated_at=scene.at,
        request=request,
        status=OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN,
    )
    why = (
        refusal(_asked(request, scene, waits=waits))
        or expired(request, scene.expired_at)
        or _already_traded(after)
        or after_square_off(state, after, scene.intraday_over_since)
        or uncovered_delivery(state, after)
        or carried_shares(state, after)
    )
    if why or scene.quote is None:
        raise Invalid(why or "There is no price now.", details={"order_id": order_id})
    shown = scene.shown(scene.quote, request.action)
    fills = () if waits else scene.fills.arriving(after, shown)
    event = Modified(
        at=scene.at,
        order_id=order_id,
        request=request,
        status=after.status,
        reserve=_reserve(request, shown, fills, waits=waits),
        by=changes.by,
    )
    draft = state.draft()
    draft.apply(event)
    why = _no_counterparty(after, shown) or shortfall(state, draft, scene.marks)
    if why:
        raise Invalid(why, details={"order_id": order_id})
    scene.use(scene.quote, request.action, fills)
    _arrive(draft, after, fills, scene)
    return draft


def cancel(
    state: AccountState, order_id: OrderId, *, at: datetime, reason: str = ""
) -> Sequence[Event]:
    """Cancelled. Raises ``NotFound`` for an unknown order and ``Conflict`` for a final one."""
    changeable(state, order_id)
    return [Cancelled(at=at, order_id=order_id, reason=reason)]


def cancelled(
    state: AccountState, order_id: OrderId, *, at: datetime, reason: str = ""
) -> AccountState:
    """A draft of ``state`` to which was applied what ``cancel`` returns. Raises as ``cancel``."""
    happened, draft = cancel(state, order_id, at=at, reason=reason), state.draft()
    for event in happened:
        draft.apply(event)
    return draft


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
    refused = changed(order, status=OrderStatus.REJECTED, updated_at=at, reason=reason)
    return Rejected(at=at, order=refused)


def _rejected(state: AccountState, order: Order, *, at: datetime, reason: str) -> AccountState:
    draft = state.draft()
    draft.apply(rejection(order, at=at, reason=reason))
    return draft


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
            at=at,
            order_id=order.id,
            trade_id=trade_id,
            quantity=fill.quantity,
            price=fill.price,
            charges=state.charges_of(order, quantity=fill.quantity, price=fill.price, at=at),
        )
    ]


def _asked(request: OrderRequest, scene: Scene, *, waits: bool) -> Asked:
    return Asked(
        request=request,
        instrument=scene.instrument,
        quote=scene.quote,
        is_open=scene.is_open,
        waits_for_trigger=waits,
        band=scene.band,
    )


def _arrive(draft: AccountState, order: Order, fills: Sequence[Fill], scene: Scene) -> None:
    """Applies what follows at once of an order that came or changed on the draft."""
    for fill in fills:
        for event in filled(draft, changeable(draft, order.id), fill, at=scene.at):
            draft.apply(event)
    if not scene.fills.is_under_way(order, scene.at):
        for _ in rest_of_ioc(draft, order.id, at=scene.at):
            pass


def rest_of_ioc(draft: AccountState, order_id: OrderId, *, at: datetime) -> Iterator[Cancelled]:
    """The end of an IOC order that has met the market and not traded in full, on the draft."""
    order = draft.order(order_id)
    if order is None or order.status.is_final or order.request.validity is not Validity.IOC:
        return
    event = Cancelled(at=at, order_id=order_id, reason=IOC_REST)
    draft.apply(event)
    yield event


def _reserve(request: OrderRequest, shown: Shown, fills: Sequence[Fill], *, waits: bool) -> Decimal:
    """The dearest price at which the order is expected to trade.

    A stop that waits for its trigger may trade beyond it in a gap: that fill is checked again.
    """
    touch = touch_for(request.action, shown) or shown.quote.last
    if request.price_type.needs_price:
        return request.price if request.action is Action.BUY else max(request.price, touch)
    return request.trigger_price if waits else max([touch, *(fill.price for fill in fills)])


def _no_counterparty(order: Order, shown: Shown) -> str | None:
    """A market order does not wait: nobody on the other side refuses it."""
    request = order.request
    if request.price_type is not PriceType.MARKET or touch_for(request.action, shown) is not None:
        return None
    side = "seller" if request.action is Action.BUY else "buyer"
    return f"There is no {side} for {request.key} now. Place a LIMIT order to wait for one."


def _already_traded(order: Order) -> str | None:
    if order.request.quantity > order.filled_quantity:
        return None
    return (
        f"{order.filled_quantity} units have traded already. Give a larger quantity, or cancel "
        "the order to keep them."
    )
