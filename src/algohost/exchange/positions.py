"""How a fill changes a position: average cost, flips through zero, P&L without a rounding gap."""

from decimal import Decimal
from typing import Final

from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Position
from algohost.domain.values import changed

_SHARE: Final = Decimal("1E-8")


def after_fill(
    position: Position,
    *,
    action: Action,
    quantity: int,
    price: Decimal,
    charges: Decimal = ZERO,
) -> Position:
    """``position`` after ``quantity`` units traded at ``price``.

    The average-cost method: units that are closed leave at the average cost of those held; what
    is left of a fill that crosses zero opens anew at its own price. Always, exactly::

        realised = sold_value − bought_value + open_value

    so realised and unrealised P&L together are the cash that flowed plus what is held at its
    price. A part of the cost that does not divide evenly is rounded to 10⁻⁸ rupees and its
    rest stays with the units that remain: nothing is created or lost. ``charges`` are kept beside
    all this, not in it.
    """
    closing = min(quantity, max(0, -action.sign * position.quantity))
    released = cost_of(position, closing)
    opened = (quantity - closing) * price * action.sign
    open_value = position.open_value - released + opened
    held = position.quantity + action.sign * quantity
    is_buy = action is Action.BUY
    value = quantity * price
    return changed(
        position,
        quantity=held,
        average_price=open_value / held if held else Decimal(0),
        realised=position.realised - action.sign * closing * price - released,
        bought_quantity=position.bought_quantity + (quantity if is_buy else 0),
        sold_quantity=position.sold_quantity + (0 if is_buy else quantity),
        bought_value=position.bought_value + (value if is_buy else 0),
        sold_value=position.sold_value + (0 if is_buy else value),
        open_value=open_value,
        charges=position.charges + charges,
    )


def cost_of(position: Position, units: int) -> Decimal:
    """What ``units`` of those that are open cost, at most all: to 10⁻⁸ rupees unless it is all."""
    held = abs(position.quantity)
    if units == held:
        return position.open_value
    return (position.open_value * units / held).quantize(_SHARE)
