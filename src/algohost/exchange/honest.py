"""The ``honest`` fill model: sizes, queues and the way to the exchange are taken into account."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from algohost.domain.orders import Action, Order
from algohost.domain.quotes import DepthLevel
from algohost.exchange.fills import Fill, Place, Shown, reaches, touch_for

LATENCY: Final = timedelta(milliseconds=20)
"""An assumption: from a broker's gateway to the exchange and into its book."""


@dataclass(frozen=True, kw_only=True)
class Honest:
    """What a careful trader would expect of the market that is shown.

    - An order is on its way for ``latency``. Prices here are those of whole seconds, each in
      force until the next: an order that arrives within its second meets the price it was sent
      at; one that arrives in the next second waits for that second's price.
    - An order that takes walks the levels that are shown, best first, within its limit: it pays
      the spread, and beyond the size at the touch the next levels. What this account has taken
      of a level is gone while that quote stands. The rest of a MARKET order trades on with the
      next quote; that of a LIMIT waits at its limit.
    - A LIMIT that waits trades at its limit, never better. It stands behind the size shown at
      its price when it was first looked at: at the fifth level's where it lies deeper, behind
      nobody where it is the best of its side. That size must trade first, at that price.
      What then trades at the price, in full, is its own.
    - Where the last price goes beyond the limit, or the other side comes to it, nobody is left
      ahead; it trades at most what was traded since the quote before, or is offered.
    - Without sizes (a market that shows no depth) what is shown is enough for any order, and
      without volumes a price beyond the limit fills it.
    """

    name: str = "honest"
    counts_queue: bool = True
    by_bar: bool = False
    latency: timedelta = LATENCY

    def is_under_way(self, order: Order, at: datetime) -> bool:
        """As ``FillModel.is_under_way``: until the second in which it arrives."""
        arrives = order.updated_at + self.latency
        return arrives > at and _second(arrives) > _second(at)

    def arriving(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """As ``FillModel.arriving``: nothing, where the order arrives in the next second."""
        return () if self.is_under_way(order, shown.at) else list(_taken(order, shown))

    def triggered(self, order: Order, shown: Shown) -> Sequence[Fill]:
        """As ``FillModel.triggered``: stops lie at the exchange and have no way to go."""
        return list(_taken(order, shown))

    def resting(self, order: Order, shown: Shown, place: Place) -> Sequence[Fill]:
        """As ``FillModel.resting``."""
        if self.is_under_way(order, shown.at):
            return ()
        if not order.request.price_type.needs_price:
            return list(_taken(order, shown))
        if place.ahead is None:
            place.ahead = _ahead_of(order, shown)
            if order.filled_quantity or self.is_under_way(order, order.updated_at):
                return list(_taken(order, shown))
            return _passive(order, shown, place, traded=0 if shown.traded is not None else None)
        return _passive(order, shown, place, traded=shown.traded)


HONEST: Final = Honest()


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _taken(order: Order, shown: Shown) -> Iterator[Fill]:
    """What an order takes of the levels on the other side."""
    action, left = order.request.action, order.open_quantity
    if touch_for(action, shown) is None:
        return
    for level in _levels(action, shown):
        outside = shown.band is not None and level.price not in shown.band
        if not left or outside or not reaches(order, level.price):
            return
        quantity = min(left, level.quantity - shown.used.get(level.price, 0))
        if quantity > 0:
            left -= quantity
            yield Fill(quantity=quantity, price=level.price)


def _levels(action: Action, shown: Shown) -> Sequence[DepthLevel]:
    """The other side, best first; one endless level where no sizes are shown."""
    quote, depth = shown.quote, shown.depth
    touch = quote.ask if action is Action.BUY else quote.bid
    if depth is not None:
        levels = depth.asks if action is Action.BUY else depth.bids
        if levels and levels[0].price == touch and levels[0].quantity > 0:
            return [level for level in levels if level.quantity > 0]
    return [DepthLevel(price=touch, quantity=1 << 62, orders=1)]


def _ahead_of(order: Order, shown: Shown) -> int:
    """The size that is shown at the order's price on its own side."""
    depth, price = shown.depth, order.request.price
    if depth is None:
        return 0
    is_buy = order.request.action is Action.BUY
    levels = [level for level in (depth.bids if is_buy else depth.asks) if level.quantity > 0]
    for level in levels:
        if level.price == price:
            return level.quantity
        if (level.price < price) is is_buy:
            return 0  # better than this level, and none stands at its price
    return levels[-1].quantity if levels else 0


def _passive(order: Order, shown: Shown, place: Place, *, traded: int | None) -> Sequence[Fill]:
    """What trades of a limit order that waits, at its limit. Keeps ``place``."""
    limit, last = order.request.price, shown.quote.last
    if shown.band is not None and limit not in shown.band:
        return ()
    touch = touch_for(order.request.action, shown)
    is_crossed = touch is not None and reaches(order, touch)
    is_through = last != limit and reaches(order, last)
    if is_crossed or is_through:
        place.ahead = 0
        available = order.open_quantity if traded is None else traded
        if is_crossed:
            available = max(_offered(order, shown), traded or 0)
    elif last == limit and traded is not None:
        available = max(0, traded - (place.ahead or 0))
        place.ahead = max(0, (place.ahead or 0) - traded)
    else:
        return ()
    quantity = min(order.open_quantity, available)
    return (Fill(quantity=quantity, price=limit),) if quantity > 0 else ()


def _offered(order: Order, shown: Shown) -> int:
    """Units that the other side offers within the order's limit."""
    offered = 0
    for level in _levels(order.request.action, shown):
        if not reaches(order, level.price):
            break
        offered += max(0, level.quantity - shown.used.get(level.price, 0))
    return offered
