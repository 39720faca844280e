"""What is held of an account's cash for its positions and open orders."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Protocol, Self

from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Order, Position, Product


class MarginModel(Protocol):
    """How much a broker asks for a position of a given value."""

    def required(self, key: InstrumentKey, product: Product, value: Decimal) -> Decimal:
        """Rupees to hold for ``value`` rupees of exposure, which is never below zero."""


@dataclass(frozen=True, kw_only=True)
class FlatMargin:
    """A fixed share of the value by product: MIS 20 %, CNC and NRML 100 %.

    Right for equities, where brokers give five times for the day and nothing overnight.
    Derivatives are held by the same shares until SPAN and exposure margins arrive.
    """

    rates: Mapping[Product, Decimal] = field(
        default_factory=lambda: MappingProxyType(
            {Product.MIS: Decimal("0.20"), Product.CNC: Decimal(1), Product.NRML: Decimal(1)}
        )
    )

    def required(
        self,
        key: InstrumentKey,  # noqa: ARG002 (models that ask by instrument need it)
        product: Product,
        value: Decimal,
    ) -> Decimal:
        """As ``MarginModel.required``."""
        return value * self.rates[product]


FLAT_MARGIN: Final = FlatMargin()


@dataclass(frozen=True, kw_only=True, slots=True)
class Resting:
    """An order that may still trade, and the price at which margin is held for it."""

    order: Order
    reserve: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
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
        return replace(
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
    base = model.required(position.key, position.product, abs(position.open_value))
    worst = base
    for action, side in ((Action.BUY, buys), (Action.SELL, sells)):
        if not side.units:
            continue
        closes = max(0, -action.sign * position.quantity)
        opens = model.required(position.key, position.product, side.value_beyond(closes))
        worst = max(worst, opens if closes else base + opens)
    return worst
