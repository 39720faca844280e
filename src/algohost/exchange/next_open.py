"""The ``next-open`` fill model: for bars, where a decision on one bar trades in the next.

Each quote is a bar (see ``bar_quote``): its open, high and low are of that bar, its last price is
the close. What happened inside a bar in which order is not known; where that matters, the worse
is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Order
from algohost.domain.quotes import Bar, Quote
from algohost.exchange.fills import Fill, Place, Shown, reaches


@dataclass(frozen=True, kw_only=True)
class NextOpen:
    """Whole quantities at the prices of bars, without spread.

    - MARKET: the open of the next bar.
    - LIMIT: its limit where the bar reaches it; the open where the bar begins beyond it, a gap.
    - SL-M: its trigger where the bar reaches it; the open where the bar begins beyond it.
    - SL: as SL-M within its limit. Where a gap passes the limit, it is triggered, and trades at
      its limit if the bar closes within it.
    """

    name: str = "next-open"
    counts_queue: bool = False
    by_bar: bool = True

    def is_under_way(self, order: Order, at: datetime) -> bool:
        """As ``FillModel.is_under_way``: until the bar after."""
        return at <= order.updated_at

    def arriving(self, order: Order, shown: Shown) -> Sequence[Fill]:  # noqa: ARG002
        """As ``FillModel.arriving``: nothing, the bar on which it was decided is over."""
        return ()

    def triggered(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """As ``FillModel.triggered``."""
        quote, trigger = shown.quote, order.request.trigger_price
        worst = max if order.request.action is Action.BUY else min
        price = worst(quote.open, trigger)
        if reaches(order, price):
            return _whole(order, price)
        return _whole(order, order.request.price) if reaches(order, quote.last) else ()

    def resting(self, order: Order, shown: Shown, place: Place) -> Sequence[Fill]:  # noqa: ARG002
        """As ``FillModel.resting``."""
        quote = shown.quote
        if reaches(order, quote.open):
            return _whole(order, quote.open)
        nearest = quote.low if order.request.action is Action.BUY else quote.high
        return _whole(order, order.request.price) if reaches(order, nearest) else ()


NEXT_OPEN: Final = NextOpen()


def bar_quote(
    key: InstrumentKey, bar: Bar, *, at: datetime, previous_close: Decimal = Decimal(0)
) -> Quote:
    """A finished bar as the quote of the instant at which it ended."""
    return Quote(
        key=key,
        at=at,
        last=bar.close,
        bid=bar.close,
        ask=bar.close,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        previous_close=previous_close,
        volume=bar.volume,
        open_interest=bar.open_interest,
    )


def _whole(order: Order, price: Decimal) -> Sequence[Fill]:
    return (Fill(quantity=order.open_quantity, price=price),)
