"""What must be true of the orders, looked at while the traders go on placing them.

No look can stop the world, so the looks have an order: what was acknowledged by now, then the
book, then what was sent by then. Whatever is placed between two of them is then in every set
that must hold it. The other way round, an order that was placed between a look at what was sent
and one at the book would seem to be nobody's.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol


class Looks(Protocol):
    """Looks at a world that does not stand still. An order is known by its trader's number."""

    def acknowledged(self) -> Mapping[int, str]:
        """The order ids that traders were told, by number."""

    def booked(self) -> Sequence[tuple[int, str]]:
        """Number and order id of everything in the book."""

    def sent(self) -> Collection[int]:
        """Whatever a trader has written down before it placed it."""


def order_breaches(looks: Looks) -> Iterator[str]:
    """What was acknowledged is there once; nothing is there that was not sent."""
    acknowledged = looks.acknowledged()
    booked = looks.booked()
    sent = looks.sent()
    times = Counter(number for number, _ in booked)
    ids = dict(booked)
    yield from (
        f"Order {n} was sent once and is there {k} times." for n, k in times.items() if k > 1
    )
    yield from (
        f"Order {n} was acknowledged as {order_id} and is lost."
        for n, order_id in acknowledged.items()
        if ids.get(n) != order_id
    )
    yield from (f"Order {n} was never sent and is there." for n in times if n not in sent)
    if not acknowledged:
        yield "No order was acknowledged at all, so nothing was shown."
