"""Why the exchange refuses an order, in a broker's words.

Each check returns a sentence, or ``None`` when it has nothing to say; the first sentence wins.
Nothing is changed here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument
from algohost.domain.money import ZERO, format_inr
from algohost.domain.orders import (
    Action,
    Order,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
    Validity,
)
from algohost.domain.quotes import Quote
from algohost.exchange.account import AccountState, Marks, position_key
from algohost.exchange.bands import Band

MAX_QUANTITY: Final = 10**9
MAX_PRICE: Final = Decimal(10**8)
"""Bounds that no order in India comes near; inside them all arithmetic here is exact."""

CASH_EXCHANGES: Final = frozenset({Exchange.NSE, Exchange.BSE})

# Least disclosed quantity in per cent of the order, and where there is none: Zerodha, "What is the
# disclosed quantity feature and how to use it?" (support.zerodha.com), as of November 2026.
_LEAST_DISCLOSED: Final[Mapping[Exchange, int]] = {
    Exchange.NSE: 10,
    Exchange.BSE: 10,
    Exchange.CDS: 10,
    Exchange.BCD: 10,
    Exchange.MCX: 25,
}
_NO_DISCLOSED: Final = frozenset({Exchange.NFO, Exchange.BFO})


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
    band: Band | None = None
    """Between which prices it may trade today."""


def refusal(asked: Asked) -> str | None:
    """Why the order cannot be taken whatever the account holds."""
    return next((why for check in _CHECKS if (why := check(asked))), None)


def refusal_of_terms(request: OrderRequest, instrument: Instrument) -> str | None:
    """Why an order could not be taken on any day, whatever the market shows."""
    asked = Asked(
        request=request, instrument=instrument, quote=None, is_open=True, waits_for_trigger=True
    )
    return next((why for check in _TERMS if (why := check(asked))), None)


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


def carried_shares(state: AccountState, order: Order) -> str | None:
    """Why shares are not traded as NRML: brokers have it for derivatives alone.

    What is held under it from before this was refused may be closed.
    """
    request = order.request
    if request.product is not Product.NRML or request.key.exchange not in CASH_EXCHANGES:
        return None
    held = state.group(position_key(order)).position.quantity
    closes = request.quantity - order.filled_quantity <= max(0, -request.action.sign * held)
    return None if closes else no_shares_carried(request.key.exchange)


def no_shares_carried(exchange: Exchange) -> str:
    """The sentence for shares as NRML."""
    return f"NRML is for derivatives. Use CNC for delivery or MIS for the day on {exchange}."


def after_square_off(state: AccountState, order: Order, since: datetime | None) -> str | None:
    """Why a MIS order comes too late in the day: from ``since`` on it only closes, at the market.

    ``None`` for ``since`` while positions may be opened. One that would wait for its price could
    open a position when another has closed what it was for.
    """
    request = order.request
    if since is None or request.product is not Product.MIS:
        return None
    held = state.group(position_key(order)).position.quantity
    closes = request.quantity - order.filled_quantity <= max(0, -request.action.sign * held)
    if closes and request.price_type is PriceType.MARKET:
        return None
    exchange, at = request.key.exchange, since.astimezone(IST)
    return (
        f"MIS orders on {exchange} are not taken after {at:%H:%M}, when intraday positions are "
        "squared off: only a MARKET order that closes one is. Use another product, or place it in "
        "the next session."
    )


def expired(request: OrderRequest, since: datetime | None) -> str | None:
    """Why a contract that expired at ``since`` cannot be traded; ``None`` for one that has not."""
    if since is None:
        return None
    return f"{request.key} expired on {since.astimezone(IST):%d-%m-%Y}. Trade a later contract."


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
    return (
        f"The market is closed for {asked.request.key.exchange}, and after-market orders (AMO) "
        "are not taken. Place the order when it opens."
    )


def _product(asked: Asked) -> str | None:
    request = asked.request
    if request.product is Product.CNC and request.key.exchange not in CASH_EXCHANGES:
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
    disclosed, exchange = request.disclosed_quantity, request.key.exchange
    if not 0 <= disclosed <= request.quantity:
        return f"Disclosed quantity {disclosed} is not between 0 and the quantity."
    if not disclosed:
        return None
    if exchange in _NO_DISCLOSED:
        return f"{exchange} takes no disclosed quantity. Send 0, or split the order."
    percent = _LEAST_DISCLOSED.get(exchange, 0)
    least = -(-request.quantity * percent // 100)
    if disclosed >= least:
        return None
    return (
        f"Disclosed quantity {disclosed} is below {percent} % of the order on {exchange}. "
        f"Give at least {least}, or 0."
    )


def _validity(asked: Asked) -> str | None:
    request = asked.request
    if request.validity is Validity.IOC and request.price_type.needs_trigger:
        return f"An IOC order does not wait for a trigger. Use DAY for {request.price_type}."
    return None


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


def _circuit(asked: Asked) -> str | None:
    request, band = asked.request, asked.band
    if band is None:
        return None
    prices = {
        "Price": request.price if request.price_type.needs_price else None,
        "Trigger price": request.trigger_price if asked.waits_for_trigger else None,
    }
    for name, price in prices.items():
        if price is None or price in band:
            continue
        side, limit = ("upper", band.upper) if price > band.upper else ("lower", band.lower)
        return (
            f"{name} {price} is beyond the {side} circuit limit {limit} of {request.key} today. "
            f"Give one from {band.lower} to {band.upper}."
        )
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
        return f"{name} {price.normalize():f} is not a multiple of the tick size {tick}."
    return None


_TERMS: Final[tuple[Callable[[Asked], str | None], ...]] = (
    _tradable,
    _product,
    _quantity,
    _disclosed,
    _validity,
    _price,
    _trigger,
)
_CHECKS: Final[tuple[Callable[[Asked], str | None], ...]] = (
    *_TERMS,
    _market_open,
    _quoted,
    _circuit,
    _trigger_side,
)


def waits_for_trigger(order: Order, request: OrderRequest) -> bool:
    """Whether ``order``, asking for ``request`` from now on, has its trigger still before it.

    A stop that was triggered stays so when it is modified.
    """
    was_triggered = order.status is OrderStatus.OPEN and order.request.price_type.needs_trigger
    return request.price_type.needs_trigger and not was_triggered
