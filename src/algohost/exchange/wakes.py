"""Which orders a quote wakes: open orders and triggers of an instrument, sorted by price.

Most quotes touch nothing. Whether one does is two comparisons a side with the nearest price that
waits there, however many orders rest; those that are woken are found without looking at others.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from algohost.domain.gtt import Gtt, GttStatus
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Action, Order, OrderStatus

_NEVER_BELOW: Final = Decimal("-Infinity")
_NEVER_ABOVE: Final = Decimal("Infinity")

Entry = tuple[Decimal, str]
"""A price and the number of the order, or of the GTT, that waits for it."""


@dataclass(kw_only=True, slots=True)
class Wake:
    """What waits in one instrument. ``top`` and ``bottom`` are the nearest prices that wake."""

    falls: list[Entry] = field(default_factory=list)
    """Woken by a price at or below theirs: limits to buy, stops to sell."""
    rises: list[Entry] = field(default_factory=list)
    """Woken by a price at or above theirs: limits to sell, stops to buy."""
    eager: dict[str, None] = field(default_factory=dict)
    """Woken by every quote: orders at the market's price that have not traded in full."""
    top: Decimal = _NEVER_BELOW
    bottom: Decimal = _NEVER_ABOVE
    version: int = field(default=0, compare=False)
    """Another number whenever it has changed."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.falls or self.rises or self.eager)

    def touched(self, lowest: Decimal, highest: Decimal) -> list[str]:
        """What prices from ``lowest`` to ``highest`` wake."""
        found = list(self.eager)
        if lowest <= self.top:
            found += [number for _, number in self.falls[bisect_left(self.falls, (lowest, "")) :]]
        if highest >= self.bottom:
            for price, number in self.rises:
                if price > highest:
                    break
                found.append(number)
        return found

    def _changed(self) -> None:
        self.top = self.falls[-1][0] if self.falls else _NEVER_BELOW
        self.bottom = self.rises[0][0] if self.rises else _NEVER_ABOVE
        self.version += 1

    def add(self, number: str, *, below: Decimal | None, above: Decimal | None) -> None:
        """Has ``number`` woken at or ``below`` a price, at or ``above`` one, or by every quote."""
        if below is not None:
            insort(self.falls, (below, number))
        if above is not None:
            insort(self.rises, (above, number))
        if below is None and above is None:
            self.eager[number] = None
        self._changed()

    def remove(self, number: str, *, below: Decimal | None, above: Decimal | None) -> None:
        """Takes back an ``add`` with the same prices."""
        if below is not None:
            del self.falls[bisect_left(self.falls, (below, number))]
        if above is not None:
            del self.rises[bisect_left(self.rises, (above, number))]
        if below is None and above is None:
            del self.eager[number]
        self._changed()


class Wakes:
    """The ``Wake`` of each instrument, kept as orders and GTTs come, change and go.

    The ``Wake`` of an instrument is one object for good.
    """

    def __init__(self) -> None:
        self._of: dict[InstrumentKey, Wake] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wakes) and self._of == other._of

    __hash__ = None  # type: ignore[assignment]

    def of(self, key: InstrumentKey) -> Wake | None:
        """What waits in an instrument; ``None`` where nothing ever has."""
        return self._of.get(key)

    def waiting(self) -> list[InstrumentKey]:
        """The instruments in which something waits."""
        return [key for key, wake in self._of.items() if wake.falls or wake.rises or wake.eager]

    def keep_order(self, before: Order | None, after: Order) -> None:
        """An order that was open, or was not, is now as ``after`` says."""
        wake = self._of.setdefault(after.request.key, Wake())
        if before is not None and not before.status.is_final:
            wake.remove(before.id, **_of_order(before))
        if not after.status.is_final:
            wake.add(after.id, **_of_order(after))

    def keep_gtt(self, before: Gtt | None, after: Gtt) -> None:
        """A GTT that was active, or was not, is now as ``after`` says."""
        wake = self._of.setdefault(after.request.key, Wake())
        if before is not None and before.status is GttStatus.ACTIVE:
            wake.remove(before.id, **_of_gtt(before))
        if after.status is GttStatus.ACTIVE:
            wake.add(after.id, **_of_gtt(after))


def _of_order(order: Order) -> dict[str, Decimal | None]:
    request = order.request
    is_buy = request.action is Action.BUY
    if order.status is OrderStatus.TRIGGER_PENDING:
        price = request.trigger_price
        return {"below": None, "above": price} if is_buy else {"below": price, "above": None}
    if not request.price_type.needs_price:
        return {"below": None, "above": None}
    price = request.price
    return {"below": price, "above": None} if is_buy else {"below": None, "above": price}


def _of_gtt(gtt: Gtt) -> dict[str, Decimal | None]:
    lower, upper = gtt.triggers
    return {"below": lower, "above": upper}
