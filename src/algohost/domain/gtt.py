"""Orders that wait for a price for up to a year: good till triggered.

A GTT holds no margin and is in no order book: when the last price touches a trigger, its leg
becomes an order, which is then judged as any other and may be rejected. A ``SINGLE`` has one leg;
an ``OCO`` has a stop-loss below the market and a target above it, and one cancels the other.

    active ──▶ triggered      its order has the number that was kept for it
      │  ▲ modified
      ├──┘
      ├──▶ cancelled
      └──▶ expired            a year after it was placed, or with its contract
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NewType

from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Book, OrderRequest, PriceType, Product

GttId = NewType("GttId", str)

GTT_LIFE: Final = timedelta(days=365)
"""How long a GTT waits: one year, as at Zerodha (support.zerodha.com, "What is the Good Till
Triggered (GTT) feature?", as of November 2026)."""

MOST_ACTIVE_GTTS: Final = 250
"""How many an account may have at a time: as many as at Zerodha, by the same page."""


class GttKind(StrEnum):
    """How many legs it has."""

    SINGLE = "SINGLE"
    OCO = "OCO"


class GttStatus(StrEnum):
    """Where a GTT stands; all but the first are final."""

    ACTIVE = "active"
    TRIGGERED = "triggered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class GttLeg:
    """A trigger and the order that it places; prices in rupees."""

    trigger_price: Decimal
    price_type: PriceType = PriceType.LIMIT
    """LIMIT or MARKET."""
    price: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class GttRequest:
    """What somebody wants to happen when a price is touched."""

    key: InstrumentKey
    action: Action
    quantity: int
    product: Product
    kind: GttKind
    legs: Sequence[GttLeg]
    """One for ``SINGLE``; for ``OCO`` two, in any order. Kept with the lower trigger first."""
    label: str = ""
    """The ``strategy`` text that the client sent; shown, never trusted."""

    def order(self, leg: GttLeg) -> OrderRequest:
        """The order that ``leg`` places."""
        return OrderRequest(
            key=self.key,
            action=self.action,
            quantity=self.quantity,
            price_type=leg.price_type,
            product=self.product,
            price=leg.price,
            label=self.label,
        )


@dataclass(frozen=True, kw_only=True)
class Gtt:
    """One GTT through its life."""

    id: GttId
    book: Book
    request: GttRequest
    status: GttStatus
    order_id: OrderId
    """The number kept for the order that it may place: there is such an order once it is
    triggered, and never a second one."""
    last_price: Decimal
    """The last price when it was placed or modified: a trigger below waits for a fall, one above
    for a rise."""
    placed_at: datetime
    updated_at: datetime
    expires_at: datetime
    leg: int | None = None
    """Which of the legs was triggered, from 0."""
    reason: str = ""
    """Why it was cancelled, or that it expired."""

    @property
    def triggers(self) -> tuple[Decimal | None, Decimal | None]:
        """The price to which the market must fall, and the one to which it must rise."""
        prices = [leg.trigger_price for leg in self.request.legs]
        below = [price for price in prices if price < self.last_price]
        above = [price for price in prices if price >= self.last_price]
        return (below[0] if below else None), (above[0] if above else None)

    def touched_by(self, last: Decimal) -> int | None:
        """The leg that a last price triggers, from 0."""
        lower, upper = self.triggers
        if lower is not None and last <= lower:
            return 0
        if upper is not None and last >= upper:
            return len(self.request.legs) - 1
        return None
