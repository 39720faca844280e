"""At which price, and how much of it, an order trades against what the market shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Protocol

from algohost.domain.orders import Action, Order
from algohost.domain.quotes import Depth, Quote
from algohost.exchange.bands import Band

NOTHING_USED: Final[Mapping[Decimal, int]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """So many units at a price."""

    quantity: int
    price: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What the market shows to one order at one instant."""

    at: datetime
    quote: Quote
    depth: Depth | None = None
    """The levels around the quote; ``None`` where the market shows no sizes."""
    band: Band | None = None
    """Outside it nothing trades."""
    traded: int | None = None
    """Units that everybody traded since the quote before; ``None`` where that is not known."""
    used: Mapping[Decimal, int] = field(default_factory=lambda: NOTHING_USED)
    """Units of each shown level that this account has taken already."""


@dataclass(kw_only=True, slots=True)
class Place:
    """Where an order waits among others, as far as its fill model keeps count."""

    price: Decimal
    quantity: int
    ahead: int | None = None
    """Units that trade before it at its price; ``None`` until the order was first looked at."""


class FillModel(Protocol):
    """Decides what trades. It is asked about open orders, never about stops that sleep.

    It knows an order, what the market shows, and the order's place: neither chance nor the
    clock. The same orders and quotes make the same fills, on paper and in a replay.
    """

    @property
    def name(self) -> str:
        """By which name it is chosen."""

    @property
    def counts_queue(self) -> bool:
        """Whether it must see a resting order at the first quote after it came or changed."""

    @property
    def by_bar(self) -> bool:
        """Whether each quote is a whole bar: its open, high and low are of that bar alone."""

    def is_under_way(self, order: Order, at: datetime) -> bool:
        """Whether ``order``, placed or changed before, has not met the market yet."""

    def arriving(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """What trades at once when ``order`` is placed or modified."""

    def triggered(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """What trades at once when the quote has triggered ``order``."""

    def resting(self, order: Order, shown: Shown, place: Place) -> Sequence[Fill]:
        """What trades of an ``order`` that was there before the quote came. Keeps ``place``."""


@dataclass(frozen=True, kw_only=True)
class AtTouch:
    """``optimistic``: the whole quantity at the best opposite price, within the order's limit.

    - MARKET, and SL-M once triggered, buys at the ask and sells at the bid: it pays the spread,
      as a real one does. With nobody on the other side it does not trade.
    - A LIMIT (or a triggered SL) that arrives marketable trades at the touch: nobody is filled
      at a worse price than is shown.
    - A resting LIMIT trades at its limit when the opposite touch comes to it. When the touch
      jumps past it, a gap, it trades at the touch: the first price there is lies beyond.

    Neither sizes, nor queues, nor the way to the exchange are looked at: paper orders are taken
    as small and quick.
    """

    name: str = "optimistic"
    counts_queue: bool = False
    by_bar: bool = False

    def is_under_way(self, order: Order, at: datetime) -> bool:  # noqa: ARG002
        """As ``FillModel.is_under_way``: never."""
        return False

    def arriving(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """As ``FillModel.arriving``."""
        touch = touch_for(order.request.action, shown)
        if touch is None or not reaches(order, touch):
            return ()
        return (Fill(quantity=order.open_quantity, price=touch),)

    def triggered(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """As ``FillModel.triggered``."""
        return self.arriving(order, shown)

    def resting(self, order: Order, shown: Shown, place: Place) -> Sequence[Fill]:  # noqa: ARG002
        """As ``FillModel.resting``: at the limit and beyond it, the touch is the price."""
        return self.arriving(order, shown)


AT_TOUCH: Final = AtTouch()


def touch_for(action: Action, shown: Shown) -> Decimal | None:
    """The best price at which ``action`` can trade now; ``None`` with nobody on that side.

    Nobody outside the band counts.
    """
    price = shown.quote.ask if action is Action.BUY else shown.quote.bid
    return price if price > 0 and (shown.band is None or price in shown.band) else None


def trigger_touched(order: Order, quote: Quote) -> bool:
    """Whether the last price wakes a stop: at or above its trigger to buy, at or below to sell."""
    trigger = order.request.trigger_price
    if order.request.action is Action.BUY:
        return quote.last >= trigger
    return quote.last <= trigger


def reaches(order: Order, price: Decimal) -> bool:
    """Whether the order may trade at ``price``: its limit, if it has one, is not passed."""
    request = order.request
    if not request.price_type.needs_price:
        return True
    return price <= request.price if request.action is Action.BUY else price >= request.price
