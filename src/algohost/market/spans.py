"""Reading a path over a span of time: its finished bars, and the one that is running.

``now`` is the present second; of the bar that holds it, only the seconds up to and including
it are shown.
"""

from typing import Protocol

import numpy as np

from algohost.market.bars import PaiseBars, day_of, day_start
from algohost.market.noise import FIRST_DAY, SLOT_SECONDS, SLOTS
from algohost.market.paths import Candles, Seconds


class Path(Protocol):
    """What has bars of every level."""

    def days(self, first: int, last: int) -> list[PaiseBars]:
        """Whole days."""

    def minutes(self, day: int) -> Candles:
        """The minutes of a day."""

    def seconds(self, day: int, slot: int) -> Seconds:
        """The seconds of a slot."""


def place_of(second: int) -> tuple[int, int, int]:
    """The IST day, the slot of the day, and the second of the slot that ``second`` is."""
    day = day_of(second)
    slot, place = divmod(second - day_start(day), SLOT_SECONDS)
    return day, slot, place


def seconds_between(path: Path, start: int, end: int) -> PaiseBars:
    """One bar a second over ``[start, end)``."""
    parts = []
    first, last = place_of(start), place_of(end - 1)
    for number in range(first[0] * SLOTS + first[1], last[0] * SLOTS + last[1] + 1):
        day, slot = divmod(number, SLOTS)
        seconds = path.seconds(day, slot)
        price = seconds.price.astype(np.int64)
        begin = day_start(day) + slot * SLOT_SECONDS
        instants = np.arange(begin, begin + SLOT_SECONDS, dtype=np.int64)
        bars = PaiseBars(instants, price, price, price, price, seconds.traded.astype(np.int64))
        parts.append(bars.between(start, end))
    return PaiseBars.joined(parts)


def minutes_between(path: Path, start: int, end: int, now: int) -> PaiseBars:
    """Bars of a minute that begin in ``[start, end)``; the one that holds ``now`` is partial."""
    parts = []
    for day in range(day_of(start), day_of(end - 1) + 1):
        minutes = path.minutes(day)
        begin = day_start(day)
        instants = np.arange(begin, begin + 86_400, 60, dtype=np.int64)
        columns = (minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume)
        bars = PaiseBars(instants, *(column.ravel().astype(np.int64) for column in columns))
        parts.append(bars.between(start, min(end, now - now % 60)))
    running = now - now % 60
    if start <= running < end:
        parts.append(_running(path, running, now))
    return PaiseBars.joined(parts)


def days_between(path: Path, first: int, last: int, now: int) -> PaiseBars:
    """Daily bars of the IST days ``first`` to ``last``; the one that holds ``now`` is partial."""
    today = day_of(now)
    parts = path.days(first, min(last, today - 1)) if first <= min(last, today - 1) else []
    if last >= today >= FIRST_DAY:
        parts.append(_running(path, day_start(today), now))
    return PaiseBars.joined(parts)


def _running(path: Path, start: int, now: int) -> PaiseBars:
    """One bar from ``start``, in the day of ``now``, up to ``now``."""
    minute = max(now - now % 60, start)
    parts = [seconds_between(path, minute, now + 1)]
    if start < minute:
        parts.insert(0, minutes_between(path, start, minute, now))
    bars = PaiseBars.joined(parts)
    return PaiseBars(
        np.array([start], dtype=np.int64),
        bars.open[:1],
        bars.high.max(keepdims=True),
        bars.low.min(keepdims=True),
        bars.close[-1:],
        bars.volume.sum(keepdims=True),
    )
