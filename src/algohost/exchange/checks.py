"""Why the exchange refuses an order, in a broker's words.

Each check returns a sentence, or ``None`` when it has nothing to say; the first sentence wins.
Nothing is changed here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from algohost.domain.instruments import Exchange, Instrument
from algohost.domain.money import ZERO, format_inr
from algohost.domain.orders import Action, Order, OrderRequest, OrderStatus, PriceType, Product
from algohost.domain.quotes import Quote
from algohost.exchange.account import AccountState, Marks, position_key

MAX_QUANTITY: Final = 10**9
MAX_PRICE: Final = Decimal(10**8)
"""Bounds that no order in India comes near; inside them all arithmetic here is exact."""

_CASH_EXCHANGES: Final = frozenset({Exchange.NSE, Exchange.BSE})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An order with what it is judged by."""

    request: OrderRequest
    instrument: Instrument
    quote: Quote | None
    """The newest quote; ``None`` when the market has none."""
    is_open: bool
    waits_for_trigger: bool
    """Whether a trigger price is still to be touched."""


def refusal(asked: Asked) -> str | None:
    """Why the order cannot be taken whatever the account holds."""
    return next((why for check in _CHECKS if (why := check(asked))), None)


def uncovered_delivery(state: AccountState, order: Order) -> str | None:
    """Why a CNC sale cannot be delivered: more than the book holds, less what it offers already.

    ``order`` may be a changed form of one that rests: it does not count against itself.
    """
    request = order.request
    if request.product is not Product.CNC or request.action is Action.BUY:
        return None
    group = state.group(position_key(order))
    itself = state.resting(request.key).get(order.id)
    offered = group.sells.units - (itself.order.open_quantity if itself is not None else 0)
    asked, held = request.quantity - order.filled_quantity, max(0, group.position.quantity)
    if asked <= held - offered:
        return None
    return (
        f"CNC sells only what is held: {held} held, {offered} of them offered already, "
        f"{asked} asked. Use MIS to sell short for the day."
    )


def shortfall(before: AccountState, after: AccountState, marks: Marks) -> str | None:
    """Why the account cannot carry what would be held ``after``; an exit always can be."""
    needed = after.hold - before.hold
    if needed <= 0 or after.available(marks) >= 0:
        return None
    available = max(before.available(marks), ZERO)
    return (
        f"Insufficient funds: needed {format_inr(needed)}, available {format_inr(available)}. "
        "Reduce the quantity or close a position."
    )


def _tradable(asked: Asked) -> str | None:
    key = asked.request.key
    if key.exchange.is_index:
        return f"{key.symbol} is an index and cannot be traded. Trade its futures or options."
    return None


def _market_open(asked: Asked) -> str | None:
    if asked.is_open:
        return None
    return f"The market is closed for {asked.request.key.exchange}. Place the order when it opens."


def _product(asked: Asked) -> str | None:
    request = asked.request
    if request.product is Product.CNC and request.key.exchange not in _CASH_EXCHANGES:
        return f"CNC is for shares on NSE and BSE. Use NRML or MIS on {request.key.exchange}."
    return None


def _quantity(asked: Asked) -> str | None:
    quantity, instrument = asked.request.quantity, asked.instrument
    if not 0 < quantity <= MAX_QUANTITY:
        return f"Quantity {quantity} is not possible. Give one above zero."
    if quantity % instrument.lot_size:
        return f"Quantity {quantity} is not a multiple of the lot size {instrument.lot_size}."
    freeze = instrument.freeze_quantity
    if freeze is not None and quantity > freeze:
        return f"Quantity {quantity} is above the freeze quantity {freeze}. Split the order."
    return None


def _disclosed(asked: Asked) -> str | None:
    request = asked.request
    if 0 <= request.disclosed_quantity <= request.quantity:
        return None
    return f"Disclosed quantity {request.disclosed_quantity} is not between 0 and the quantity."


def _price(asked: Asked) -> str | None:
    request = asked.request
    if not request.price_type.needs_price:
        return None
    return _on_grid("Price", request.price, asked)


def _trigger(asked: Asked) -> str | None:
    request = asked.request
    if not request.price_type.needs_trigger:
        return None
    off_grid = _on_grid("Trigger price", request.trigger_price, asked)
    if off_grid or request.price_type is not PriceType.SL:
        return off_grid
    trigger, price = request.trigger_price, request.price
    if request.action is Action.BUY and trigger > price:
        return f"Trigger price {trigger} of a stop-loss buy is above its price {price}. Lower it."
    if request.action is Action.SELL and trigger < price:
        return f"Trigger price {trigger} of a stop-loss sell is below its price {price}. Raise it."
    return None


def _quoted(asked: Asked) -> str | None:
    if asked.quote is not None and asked.quote.last > 0:
        return None
    return f"There is no price for {asked.request.key} now. Try again when it has traded."


def _trigger_side(asked: Asked) -> str | None:
    request, quote = asked.request, asked.quote
    if not asked.waits_for_trigger or quote is None:
        return None
    trigger, last = request.trigger_price, quote.last
    if request.action is Action.BUY and trigger <= last:
        return (
            f"Trigger price {trigger} of a stop-loss buy must be above the last price {last}. "
            "Use LIMIT or MARKET to buy now."
        )
    if request.action is Action.SELL and trigger >= last:
        return (
            f"Trigger price {trigger} of a stop-loss sell must be below the last price {last}. "
            "Use LIMIT or MARKET to sell now."
        )
    return None


def _on_grid(name: str, price: Decimal, asked: Asked) -> str | None:
    tick = asked.instrument.tick_size
    if not price.is_finite() or not 0 < price <= MAX_PRICE:
        kind = asked.request.price_type
        return f"{name} {price} is not possible for a {kind} order. Give one above zero."
    if tick > 0 and price % tick:
        return f"{name} {price} is not a multiple of the tick size {tick}."
    return None


_CHECKS: Final[tuple[Callable[[Asked], str | None], ...]] = (
    _tradable,
    _product,
    _quantity,
    _disclosed,
    _price,
    _trigger,
    _market_open,
    _quoted,
    _trigger_side,
)


def waits_for_trigger(order: Order, request: OrderRequest) -> bool:
    """Whether ``order``, asking for ``request`` from now on, has its trigger still before it.

    A stop that was triggered stays so when it is modified.
    """
    was_triggered = order.status is OrderStatus.OPEN and order.request.price_type.needs_trigger
    return request.price_type.needs_trigger and not was_triggered
