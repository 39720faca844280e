"""One position of one book and all that hangs on it: what it was this morning, its open orders,
which of its shares are still to be delivered."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, Self

from algohost.domain.ids import IST
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Book, Position, Product
from algohost.domain.values import changed
from algohost.exchange.margins import NOTHING_OFFERED, Offered
from algohost.exchange.positions import after_fill

SettlesOn = Callable[[InstrumentKey, date], date]
"""The day on which shares bought on a day are delivered."""

_LONG_DELIVERED: Final = timedelta(days=30)
"""Shares bought so long ago are delivered whatever the calendar says: no closure comes near it."""


class PositionKey(NamedTuple):
    """What one position is kept under."""

    book: Book
    key: InstrumentKey
    product: Product


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """Shares bought with CNC on one day."""

    day: date
    units: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """One position and all that hangs on it."""

    position: Position
    opening: Position
    """The position before the first trade of ``day``."""
    day: date | None = None
    """The day in IST of the newest trade."""
    opened_at: datetime | None = None
    """Since when it is on the side on which it is; nothing to go by while it is flat."""
    lots: tuple[Lot, ...] = ()
    """What a CNC position is made of, oldest day first; empty for other products."""
    buys: Offered = NOTHING_OFFERED
    """What its open orders may still buy."""
    sells: Offered = NOTHING_OFFERED
    hold: Decimal = ZERO

    def opening_on(self, day: date) -> Position:
        """The position as it stood when ``day`` began, ``day`` being today."""
        return self.opening if self.day == day else self.position

    def delivered_on(self, day: date, settles_on: SettlesOn) -> int:
        """How many of its shares have been delivered by ``day``."""
        key = self.position.key
        return sum(
            lot.units
            for lot in self.lots
            if lot.day < day - _LONG_DELIVERED or settles_on(key, lot.day) <= day
        )

    def bought_on(self, day: date) -> int:
        """How many of its shares were bought on ``day`` and are held still."""
        return sum(lot.units for lot in self.lots if lot.day == day)

    def traded(
        self, *, action: Action, quantity: int, price: Decimal, charges: Decimal, at: datetime
    ) -> Self:
        """After units of it traded."""
        before, day = self.position, at.astimezone(IST).date()
        after = after_fill(before, action=action, quantity=quantity, price=price, charges=charges)
        is_new = before.quantity * after.quantity <= 0
        return changed(
            self,
            position=after,
            opening=self.opening_on(day),
            day=day,
            opened_at=at if is_new else self.opened_at,
            lots=self._lots_after(action.sign * quantity, day)
            if before.product is Product.CNC
            else (),
        )

    def _lots_after(self, units: int, day: date) -> tuple[Lot, ...]:
        """Sales take from what was bought the same day first, then from the oldest."""
        if units > 0:
            bought = Lot(day=day, units=units + self.bought_on(day))
            return (*_merged(self.lots, day), bought)
        left, kept = -units, list[Lot]()
        for lot in sorted(self.lots, key=lambda one: (one.day != day, one.day)):
            taken = min(left, lot.units)
            left -= taken
            if lot.units > taken:
                kept.append(replace(lot, units=lot.units - taken))
        return tuple(sorted(kept, key=lambda one: one.day))


def flat_group(place: PositionKey) -> Group:
    """The group of a place where there never was a trade."""
    flat = Position(book=place.book, key=place.key, product=place.product)
    return Group(position=flat, opening=flat)


def _merged(lots: tuple[Lot, ...], day: date) -> tuple[Lot, ...]:
    """Lots of other days than ``day``; those long delivered as one, so that they stay few."""
    old = [lot for lot in lots if lot.day < day - 2 * _LONG_DELIVERED]
    rest = tuple(lot for lot in lots if lot.day != day and lot.day >= day - 2 * _LONG_DELIVERED)
    if not old:
        return rest
    return (Lot(day=old[-1].day, units=sum(lot.units for lot in old)), *rest)
