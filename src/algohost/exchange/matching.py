"""What changed quotes do to the orders that wait for them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from algohost.domain.ids import OrderId
from algohost.domain.orders import Order, OrderStatus
from algohost.domain.quotes import Quote
from algohost.exchange.account import AccountState, Marks
from algohost.exchange.checks import shortfall
from algohost.exchange.events import Cancelled, Event, Filled, Triggered
from algohost.exchange.fills import AT_TOUCH, FillModel, trigger_touched
from algohost.exchange.numbers import serial_of
from algohost.exchange.rules import filled


def on_quotes(
    state: AccountState,
    quotes: Iterable[Quote],
    *,
    at: datetime,
    marks: Marks,
    fills: FillModel = AT_TOUCH,
) -> Sequence[Event]:
    """Triggers and fills that the quotes of one tick cause, in the order the orders came.

    Looks only at the open orders of the quoted instruments. Whether an exchange is open is for
    the caller: pass quotes of open exchanges only.
    """
    touched = [
        (serial_of(order_id), order_id, quote)
        for quote in quotes
        for order_id, item in state.resting(quote.key).items()
        if _concerns(item.order, quote, fills)
    ]
    if not touched:
        return []
    draft, happened = state.draft(), list[Event]()
    for _, order_id, quote in sorted(touched, key=lambda hit: hit[0]):
        happened.extend(_advance(draft, order_id, quote, at=at, marks=marks, fills=fills))
    return happened


def _concerns(order: Order, quote: Quote, fills: FillModel) -> bool:
    if order.status is OrderStatus.TRIGGER_PENDING:
        return trigger_touched(order, quote)
    return fills.resting(order, quote) is not None


def _advance(
    draft: AccountState,
    order_id: OrderId,
    quote: Quote,
    *,
    at: datetime,
    marks: Marks,
    fills: FillModel,
) -> Iterable[Event]:
    """Moves one order on the draft as far as the quote takes it, telling each step."""
    item = draft.resting(quote.key).get(order_id)
    if item is None:
        return
    order, match = item.order, fills.resting
    if order.status is OrderStatus.TRIGGER_PENDING:
        triggered = Triggered(at=at, order_id=order.id)
        draft.apply(triggered)
        yield triggered
        order, match = draft.resting(quote.key)[order_id].order, fills.arriving
    for fill in filled(draft, order, match(order, quote), at=at):
        event = _affordable(draft, order, fill, marks=marks)
        draft.apply(event)
        yield event


def _affordable(
    draft: AccountState, order: Order, fill: Filled, *, marks: Marks
) -> Filled | Cancelled:
    """The fill; or, where a gap made it dearer than the account can carry, its cancellation.

    At or below the price that margin is held at, a fill never needs more than is held.
    """
    if fill.price <= draft.resting(order.request.key)[order.id].reserve:
        return fill
    trial = draft.draft()
    trial.apply(fill)
    why = shortfall(draft, trial, marks)
    return Cancelled(at=fill.at, order_id=order.id, reason=why) if why else fill
