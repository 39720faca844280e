"""What matching remembers from one quote to the next, and no event tells.

Queues and volumes are of the moment. After a restart an order stands at the end of its queue
again, which is never to its advantage. What traded is in the journal and is not touched by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Order, OrderStatus
from algohost.domain.quotes import Quote
from algohost.exchange.fills import NOTHING_USED, Place
from algohost.exchange.margins import Resting
from algohost.exchange.wakes import Wake

MOST_PLACES: Final = 100_000
"""Orders whose places are known; a cancelled one is not taken out. Beyond it all begin anew."""


@dataclass(kw_only=True, slots=True)
class Track:
    """One instrument."""

    wake: Wake
    version: int = -1
    """Of the ``wake`` when all of its orders were last looked at."""
    volume: int | None = None
    """Of the quote before."""


class Memory:
    """Of one account, made empty at its start."""

    def __init__(self) -> None:
        self.tracks: dict[InstrumentKey, Track] = {}
        self._places: dict[OrderId, Place] = {}
        self._used: dict[tuple[InstrumentKey, Action], tuple[datetime, dict[Decimal, int]]] = {}

    def place_of(self, order: Order) -> Place:
        """Where an order waits; at the end, where its price changed or its quantity grew."""
        request, place = order.request, self._places.get(order.id)
        if place is None or not _is_of(place, order):
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            place = Place(price=request.price, quantity=request.quantity)
            self._places[order.id] = place
        place.quantity = request.quantity
        return place

    def unseen(self, resting: Mapping[OrderId, Resting]) -> list[OrderId]:
        """Open orders that came, or changed, since they were last looked at."""
        places = self._places
        return [
            order_id
            for order_id, item in resting.items()
            if item.order.status is OrderStatus.OPEN
            and ((place := places.get(order_id)) is None or not _is_of(place, item.order))
        ]

    def forget(self, order_id: OrderId) -> None:
        """An order waits no longer."""
        self._places.pop(order_id, None)

    def used(self, quote: Quote, action: Action) -> Mapping[Decimal, int]:
        """Units that the account took of each level of a quote, by buying or by selling."""
        at, used = self._used.get((quote.key, action), (quote.at, NOTHING_USED))
        return used if at == quote.at else NOTHING_USED

    def use(self, quote: Quote, action: Action, price: Decimal, quantity: int) -> None:
        """The account took that much of a level."""
        used = dict(self.used(quote, action))
        used[price] = used.get(price, 0) + quantity
        self._used[quote.key, action] = (quote.at, used)


def _is_of(place: Place, order: Order) -> bool:
    """Whether an order may keep its place: its price is the same, its quantity has not grown."""
    return place.price == order.request.price and place.quantity >= order.request.quantity
