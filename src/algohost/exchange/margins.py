"""What is held of an account's cash for its positions and open orders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Protocol

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


def hold_for(model: MarginModel, position: Position, resting: Iterable[Resting]) -> Decimal:
    """What one position and the open orders on it need: the worst of what may become of them.

    Either all open purchases fill or all open sales do. An order holds nothing for the units
    that would close the position, so an exit is never refused for want of money; where not all
    orders of a side can be exits, the dearest count as those that are not. Each book is held
    for by itself: two strategies with opposite positions do not lend margin to each other.
    """
    base = model.required(position.key, position.product, abs(position.open_value))
    worst = base
    sides: dict[Action, list[Resting]] = {}
    for item in resting:
        sides.setdefault(item.order.request.action, []).append(item)
    for action, items in sides.items():
        closes = max(0, -action.sign * position.quantity)
        opens = model.required(position.key, position.product, _value_beyond(closes, items))
        worst = max(worst, opens if closes else base + opens)
    return worst


def _value_beyond(closes: int, items: list[Resting]) -> Decimal:
    """The value of the dearest units that remain when ``closes`` units are set aside."""
    units = sum(item.order.open_quantity for item in items) - closes
    value = Decimal(0)
    for item in sorted(items, key=lambda item: item.reserve, reverse=True):
        if units <= 0:
            break
        taken = min(units, item.order.open_quantity)
        value += taken * item.reserve
        units -= taken
    return value
