"""At which price, and how much of it, an order trades against what the market shows."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from algohost.domain.orders import Action, Order, PriceType
from algohost.domain.quotes import Quote


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """So many units at a price."""

    quantity: int
    price: Decimal


class FillModel(Protocol):
    """Decides what trades. It is asked only about open orders, never about pending stops."""

    def arriving(self, order: Order, quote: Quote) -> Fill | None:
        """What trades at once when ``order`` arrives, or has just been triggered."""

    def resting(self, order: Order, quote: Quote) -> Fill | None:
        """What trades of an ``order`` that was in the market before ``quote`` came."""


@dataclass(frozen=True, kw_only=True)
class AtTouch:
    """Whole quantity at the best opposite price, never worse than the order's limit.

    - MARKET, and SL-M once triggered, buys at the ask and sells at the bid: it pays the spread,
      as a real one does. With nobody on the other side it does not trade.
    - A LIMIT (or a triggered SL) that arrives marketable trades at the touch: nobody is filled
      at a worse price than is shown.
    - A resting LIMIT trades at its limit when the opposite touch comes to it. When the touch
      jumps past it, a gap, it trades at the touch: the first price there is lies beyond.

    Size at the touch is not looked at: paper orders are taken as small against the market.
    """

    def arriving(self, order: Order, quote: Quote) -> Fill | None:
        """As ``FillModel.arriving``."""
        touch = touch_for(order.request.action, quote)
        if touch is None or not _reaches(order, touch):
            return None
        return Fill(quantity=order.open_quantity, price=touch)

    def resting(self, order: Order, quote: Quote) -> Fill | None:
        """As ``FillModel.resting``: at the limit and beyond it, the touch is the price."""
        return self.arriving(order, quote)


AT_TOUCH: Final = AtTouch()


def touch_for(action: Action, quote: Quote) -> Decimal | None:
    """The best price at which ``action`` can trade now; ``None`` with nobody on that side."""
    price = quote.ask if action is Action.BUY else quote.bid
    return price if price > 0 else None


def trigger_touched(order: Order, quote: Quote) -> bool:
    """Whether the last price wakes a stop: at or above its trigger to buy, at or below to sell."""
    trigger = order.request.trigger_price
    if order.request.action is Action.BUY:
        return quote.last >= trigger
    return quote.last <= trigger


def _reaches(order: Order, touch: Decimal) -> bool:
    request = order.request
    if request.price_type in {PriceType.MARKET, PriceType.SL_M}:
        return True
    return touch <= request.price if request.action is Action.BUY else touch >= request.price
