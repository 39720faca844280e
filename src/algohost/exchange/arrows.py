"""Which way an order may go."""

from collections.abc import Mapping
from typing import Final

from algohost.domain.orders import OrderStatus

ARROWS: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.OPEN: frozenset(
        {
            OrderStatus.OPEN,
            OrderStatus.TRIGGER_PENDING,
            OrderStatus.COMPLETE,
            OrderStatus.CANCELLED,
        }
    ),
    OrderStatus.TRIGGER_PENDING: frozenset(
        {OrderStatus.TRIGGER_PENDING, OrderStatus.OPEN, OrderStatus.CANCELLED}
    ),
}
"""Where an accepted order may go; a status that is not a key is final."""
