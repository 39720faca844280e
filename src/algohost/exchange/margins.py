"""What is held of an account's cash for its positions and open orders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, Self

from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Order, OrderRequest, Position, Product
from algohost.domain.values import changed
from algohost.exchange.margin_rates import EQUITY, Rates, rates_of

_PAISA: Final = Decimal("0.01")
_WHOLE: Final = Decimal(1)


@dataclass(frozen=True, kw_only=True)
class MarginNeeded:
    """What orders need, in rupees."""

    total: Decimal = ZERO
    span: Decimal = ZERO
    """The part for what a bad day may cost; only futures and short options have it."""
    exposure: Decimal = ZERO
    """The part held beyond it, which exchanges call exposure or extreme-loss margin."""

    def __add__(self, other: Self) -> Self:
        """Of both together."""
        return type(self)(
            total=self.total + other.total,
            span=self.span + other.span,
            exposure=self.exposure + other.exposure,
        )


class Exposure(NamedTuple):
    """Units on one side of one instrument."""

    key: InstrumentKey
    product: Product
    action: Action
    """How they were, or would be, opened: ``SELL`` is short."""
    units: int
    value: Decimal
    """Rupees of all those units, at what they cost or would trade at."""


class MarginModel(Protocol):
    """How much a broker asks for a position."""

    def required(self, exposure: Exposure) -> Decimal:
        """Rupees to hold; never below zero."""

    def parts(self, exposure: Exposure) -> MarginNeeded:
        """The same, with what it is made of."""


@dataclass(frozen=True, kw_only=True)
class FlatMargin:
    """A fixed share of the value by product, whatever the instrument: MIS 20 %, others 100 %."""

    rates: Mapping[Product, Decimal] = field(
        default_factory=lambda: MappingProxyType(
            {Product.MIS: Decimal("0.20"), Product.CNC: Decimal(1), Product.NRML: Decimal(1)}
        )
    )

    def required(self, exposure: Exposure) -> Decimal:
        """As ``MarginModel.required``."""
        return exposure.value * self.rates[exposure.product]

    def parts(self, exposure: Exposure) -> MarginNeeded:
        """As ``MarginModel.parts``; all of it is total."""
        return MarginNeeded(total=self.required(exposure))


FLAT_MARGIN: Final = FlatMargin()


@dataclass(frozen=True, kw_only=True)
class SegmentMargin:
    """By segment, as Indian brokers do it; ``margin_rates`` has the numbers and their sources.

    - Shares: MIS a fifth of the value, long or short; CNC and NRML all of it.
    - Options that were bought: the premium.
    - Futures, and options that were sold: a share of the contract's value as SPAN, and another
      as exposure, MIS as NRML. A future's value is at its price, a short option's at its strike.

    An approximation of SPAN, which looks at sixteen scenarios of a whole portfolio each day: these
    are the floors below which exchanges do not let it go. An option far out of the money needs
    less in reality; **a spread is held for as its legs are, each by itself**; nothing is added on
    an option's expiry day or when volatility rises; and what is held does not move with prices.
    """

    equity_intraday: Decimal = EQUITY.intraday

    def required(self, exposure: Exposure) -> Decimal:
        """As ``MarginModel.required``."""
        rates = rates_of(exposure.key)
        if rates is None:
            return exposure.value * self._share(exposure)
        if rates.strike is None:
            return exposure.value * rates.both
        if exposure.action is Action.BUY:
            return exposure.value
        return exposure.units * rates.strike * rates.both

    def parts(self, exposure: Exposure) -> MarginNeeded:
        """As ``MarginModel.parts``."""
        rates = rates_of(exposure.key)
        if rates is None or (rates.strike is not None and exposure.action is Action.BUY):
            return MarginNeeded(total=self.required(exposure))
        value = _notional(exposure, rates)
        span, beyond = value * rates.span, value * rates.exposure
        return MarginNeeded(total=span + beyond, span=span, exposure=beyond)

    def _share(self, exposure: Exposure) -> Decimal:
        is_leveraged = exposure.product is Product.MIS and exposure.key.exchange in EQUITY.exchanges
        return self.equity_intraday if is_leveraged else _WHOLE


def _notional(exposure: Exposure, rates: Rates) -> Decimal:
    return exposure.value if rates.strike is None else exposure.units * rates.strike


SEGMENT_MARGIN: Final = SegmentMargin()


def needed(model: MarginModel, asked: Iterable[tuple[OrderRequest, Decimal]]) -> MarginNeeded:
    """What orders need together at prices per unit, to the paisa, as if nothing were held.

    Each is counted by itself: neither a spread nor an exit makes it less.
    """
    whole = MarginNeeded()
    for request, price in asked:
        whole += model.parts(
            Exposure(
                request.key,
                request.product,
                request.action,
                request.quantity,
                request.quantity * price,
            )
        )
    return MarginNeeded(
        total=whole.total.quantize(_PAISA, ROUND_HALF_UP),
        span=whole.span.quantize(_PAISA, ROUND_HALF_UP),
        exposure=whole.exposure.quantize(_PAISA, ROUND_HALF_UP),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Resting:
    """An order that may still trade, and the price at which margin is held for it."""

    order: Order
    reserve: Decimal


@dataclass(frozen=True, kw_only=True)
class Offered:
    """One side of the open orders on a position, summed by price."""

    units: int = 0
    value: Decimal = Decimal(0)
    """Rupees of all those units, each at the price of its order's reserve."""
    prices: Mapping[Decimal, int] = field(default_factory=dict)
    """How many units at each reserve."""

    def plus(self, item: Resting, *, sign: int) -> Self:
        """With the open units of ``item`` added ``sign`` times, which is 1 or -1."""
        units, prices = sign * item.order.open_quantity, dict(self.prices)
        prices[item.reserve] = prices.get(item.reserve, 0) + units
        if not prices[item.reserve]:
            del prices[item.reserve]
        return changed(
            self,
            units=self.units + units,
            value=self.value + units * item.reserve,
            prices=prices,
        )

    def value_beyond(self, closes: int) -> Decimal:
        """The value of the dearest units that remain when ``closes`` units are set aside."""
        value, left = self.value, min(closes, self.units)
        for price in sorted(self.prices) if left else ():
            taken = min(left, self.prices[price])
            value -= taken * price
            left -= taken
            if not left:
                break
        return value


NOTHING_OFFERED: Final = Offered()


def hold_for(model: MarginModel, position: Position, *, buys: Offered, sells: Offered) -> Decimal:
    """What one position and the open orders on it need: the worst of what may become of them.

    Either all open purchases fill or all open sales do. An order holds nothing for the units
    that would close the position, so an exit is never refused for want of money; where not all
    orders of a side can be exits, the dearest count as those that are not. Each book is held
    for by itself: two strategies with opposite positions do not lend margin to each other.
    """
    key, product, held = position.key, position.product, position.quantity
    base = ZERO
    if held:
        side = Action.BUY if held > 0 else Action.SELL
        base = model.required(Exposure(key, product, side, abs(held), abs(position.open_value)))
    worst = base
    for action, offered in ((Action.BUY, buys), (Action.SELL, sells)):
        if not offered.units:
            continue
        closes = max(0, -action.sign * held)
        beyond = max(0, offered.units - closes)
        value = offered.value_beyond(closes)
        opens = model.required(Exposure(key, product, action, beyond, value))
        worst = max(worst, opens if closes else base + opens)
    return worst
