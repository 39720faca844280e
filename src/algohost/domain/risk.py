"""Limits of what a strategy, an account and the whole host may trade: rules, and nothing else.

An **exit** is an order against a position of the same book, instrument and product that takes no
more than the position: together with the open orders of its own kind (market, limit, stop) on
that side. So a target, a stop and a market order may each cover the whole position, and a fourth
order is an entry again. An exit is never refused for its size, its value, its symbol, its product,
the number of orders or a loss; only the price band holds for it, and a market order has no price.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algohost.domain.instruments import InstrumentKey
from algohost.domain.kill_switch import KillScope, KillTarget
from algohost.domain.money import ZERO, format_inr
from algohost.domain.orders import Action, OrderRequest, PriceType, Product

LimitTarget = KillTarget
"""Whose limits: the scopes are those of the kill switch, a strategy, an account or the host."""


class RiskCode(StrEnum):
    """Which limit refused, for programs."""

    QUANTITY = "RISK_QUANTITY"
    VALUE = "RISK_VALUE"
    OPEN_ORDERS = "RISK_OPEN_ORDERS"
    ORDERS_A_DAY = "RISK_ORDERS_A_DAY"
    DAILY_LOSS = "RISK_DAILY_LOSS"
    SYMBOL = "RISK_SYMBOL"
    PRODUCT = "RISK_PRODUCT"
    PRICE_BAND = "RISK_PRICE_BAND"


@dataclass(frozen=True, kw_only=True)
class RiskLimits:
    """What is set for one target; ``None`` and an empty list bound nothing."""

    most_quantity: int | None = None
    """Units in one order."""
    most_value: Decimal | None = None
    """Rupees in one order: units times price, of a derivative too."""
    most_open_orders: int | None = None
    """Orders that work at one time."""
    most_orders_a_day: int | None = None
    """Orders placed on one day in IST, each of which may trade; rejected ones count too."""
    most_daily_loss: Decimal | None = None
    """Rupees that a day may lose, realised and unrealised together, before charges."""
    price_band_percent: Decimal | None = None
    """How far a limit price may be from the last price, and that of a stop from its trigger."""
    symbols: tuple[str, ...] = ()
    """``NSE:INFY``, ``NFO:NIFTY*`` or ``MCX:*``: what may be traded, where there is any."""
    products: tuple[Product, ...] = ()
    stops_at_loss: bool = False
    """Whether strategies are stopped when the daily loss is reached; else entries end."""

    @property
    def bounds_anything(self) -> bool:
        """Whether any limit is set."""
        return any(getattr(self, field.name) for field in fields(self)[:-1])


@dataclass(frozen=True, kw_only=True)
class LimitsOf:
    """The limits of one target, and who set them."""

    target: LimitTarget
    limits: RiskLimits
    by: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class LossReached:
    """That a target lost what it may lose on one day: no entries for the rest of it."""

    target: LimitTarget
    day: date
    """In IST."""
    at: datetime
    lost: Decimal
    """Rupees, above zero, at that moment."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An order as the limits judge it."""

    request: OrderRequest
    last: Decimal | None
    """The last price; ``None`` where the market shows none."""
    is_exit: bool
    is_change: bool = False
    """Whether it is an order's new form: it counts among the open and the day's already."""

    @property
    def value(self) -> Decimal | None:
        """Rupees: at the limit price, else at the trigger, else at the last price."""
        request = self.request
        if request.price_type.needs_price:
            return request.quantity * request.price
        price = request.trigger_price if request.price_type.needs_trigger else self.last
        return None if price is None else request.quantity * price


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a target has done today; orders that were just admitted are among them."""

    open_orders: int = 0
    orders_today: int = 0
    loss: LossReached | None = None
    """Set from the moment at which the daily loss was reached."""


@dataclass(frozen=True, kw_only=True)
class Breach:
    """Why an order is refused."""

    target: LimitTarget
    code: RiskCode
    sentence: str


def is_exit(request: OrderRequest, held: int, working: Iterable[tuple[OrderRequest, int]]) -> bool:
    """Whether the order takes no more than the position; see above.

    ``held`` is the net position of the book in the instrument and product; ``working`` are the
    book's other open orders there, each with the units that may still trade.
    """
    lessens = held > 0 if request.action is Action.SELL else held < 0
    if not lessens:
        return False
    kind = _kind(request.price_type)
    covered = sum(
        units
        for other, units in working
        if other.action is request.action and _kind(other.price_type) == kind
    )
    return request.quantity + covered <= abs(held)


def breach(target: LimitTarget, limits: RiskLimits, asked: Asked, facts: Facts) -> Breach | None:
    """Why the order is beyond the target's limits; ``None`` where it is within all of them."""
    whose = WHOSE[target.scope]
    found = next(_broken(limits, asked, facts, whose), None)
    return None if found is None else Breach(target=target, code=found[0], sentence=found[1])


def has_lost_too_much(limits: RiskLimits, pnl: Decimal) -> bool:
    """Whether a day's P&L has reached the daily loss."""
    return limits.most_daily_loss is not None and -pnl >= limits.most_daily_loss


def allows(pattern: str, key: InstrumentKey) -> bool:
    """Whether a pattern names the instrument; a star at its end stands for anything."""
    name = str(key)
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


WHOSE: Final = {
    KillScope.HOST: "the host",
    KillScope.ACCOUNT: "the account",
    KillScope.STRATEGY: "the strategy",
}


def _broken(
    limits: RiskLimits, asked: Asked, facts: Facts, whose: str
) -> Iterator[tuple[RiskCode, str]]:
    yield from _band(limits, asked, whose)
    if asked.is_exit:
        return
    yield from _loss(facts, whose)
    yield from _instrument(limits, asked, whose)
    yield from _size(limits, asked, whose)
    if not asked.is_change:
        yield from _counts(limits, facts, whose)


def _loss(facts: Facts, whose: str) -> Iterator[tuple[RiskCode, str]]:
    if facts.loss is not None:
        yield (
            RiskCode.DAILY_LOSS,
            (
                f"The daily loss of {whose} was reached with {format_inr(facts.loss.lost)}, so no "
                "position is opened today. Orders that close one are taken."
            ),
        )


def _instrument(limits: RiskLimits, asked: Asked, whose: str) -> Iterator[tuple[RiskCode, str]]:
    key, product = asked.request.key, asked.request.product
    if limits.symbols and not any(allows(one, key) for one in limits.symbols):
        yield (
            RiskCode.SYMBOL,
            (
                f"{key} is not among the symbols that {whose} may trade. Add it to the limits, or "
                "trade one of them."
            ),
        )
    if limits.products and product not in limits.products:
        known = ", ".join(limits.products)
        yield RiskCode.PRODUCT, f"{product} is not among the products of {whose}; use {known}."


def _size(limits: RiskLimits, asked: Asked, whose: str) -> Iterator[tuple[RiskCode, str]]:
    quantity, most = asked.request.quantity, limits.most_quantity
    if most is not None and quantity > most:
        yield (
            RiskCode.QUANTITY,
            (
                f"{quantity} units are more than the {most} that one order of {whose} may have. "
                "Send a smaller order."
            ),
        )
    if limits.most_value is None:
        return
    value, bound = asked.value, format_inr(limits.most_value)
    if value is None:
        yield (
            RiskCode.VALUE,
            (
                f"There is no price of {asked.request.key} now, so it cannot be told whether the "
                f"order is within the {bound} that one of {whose} may be worth. Send a LIMIT order."
            ),
        )
    elif value > limits.most_value:
        yield (
            RiskCode.VALUE,
            (
                f"The order is worth {format_inr(value)}, more than the {bound} that one of "
                f"{whose} may be. Send a smaller order."
            ),
        )


def _counts(limits: RiskLimits, facts: Facts, whose: str) -> Iterator[tuple[RiskCode, str]]:
    most = limits.most_open_orders
    if most is not None and facts.open_orders >= most:
        yield (
            RiskCode.OPEN_ORDERS,
            (
                f"{facts.open_orders} orders of {whose} are open, and {most} may be. Cancel one "
                "first, or wait until one has traded."
            ),
        )
    most = limits.most_orders_a_day
    if most is not None and facts.orders_today >= most:
        yield (
            RiskCode.ORDERS_A_DAY,
            (
                f"{facts.orders_today} orders of {whose} were placed today, and {most} may be. "
                "Orders that close a position are taken."
            ),
        )


def _band(limits: RiskLimits, asked: Asked, whose: str) -> Iterator[tuple[RiskCode, str]]:
    request, band = asked.request, limits.price_band_percent
    if band is None or not request.price_type.needs_price:
        return
    is_stop = request.price_type.needs_trigger
    base = request.trigger_price if is_stop else asked.last
    if base is None or base <= ZERO:
        return  # nothing to measure from: the exchange refuses such an order itself
    away = abs(request.price - base) * 100 / base
    if away > band:
        what = "its trigger" if is_stop else "the last price"
        yield (
            RiskCode.PRICE_BAND,
            (
                f"The limit {format_inr(request.price)} is {away:.2f} % away from {what}, "
                f"{format_inr(base)}; {whose} allows {band.normalize():f} %. Correct the price."
            ),
        )


def _kind(price_type: PriceType) -> str:
    if price_type.needs_trigger:
        return "stop"
    return "limit" if price_type.needs_price else "market"
