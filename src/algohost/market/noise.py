"""Seeded randomness with random access in time.

Every draw comes from a generator whose seed is a hash of (market seed, stream, level, index),
so any day can be computed without the days before it. ``Factor`` is one source of movement
(the market, a sector, a company): a log level of unit daily variance, drawn top down. Days
come from a mean-reverting chain, quarter hours and minutes are Brownian bridges inside them.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from algohost.market.bars import DAY_SECONDS, SESSION_END, SESSION_START, day_of

FloatArray = NDArray[np.float64]
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SLOT_SECONDS: Final = 900
SLOTS: Final = DAY_SECONDS // SLOT_SECONDS
SLOT_MINUTES: Final = SLOT_SECONDS // 60
BLOCK_DAYS: Final = 64
"""Days whose slots are drawn at once."""
FIRST_DAY: Final = day_of(1_388_534_400)
"""2014-01-01: the market has no history before it."""
_REVERSION: Final = 0.997
"""What a level keeps of yesterday's distance from zero: half of it is gone in 230 days."""
_SESSION_SHARE: Final = 0.88
"""The share of a day's variance that falls between 09:15 and 15:30 IST."""


class Cache(OrderedDict[K, V]):
    """Keeps the values that were asked for last, at most ``size`` of them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def obtain(self, key: K, make: Callable[[], V]) -> V:
        """The value of ``key``, made now if it is not kept."""
        if key in self:
            self.move_to_end(key)
            return self[key]
        value = self[key] = make()
        if len(self) > self._size:
            self.popitem(last=False)
        return value

    def resize(self, size: int) -> None:
        """Keeps ``size`` values from now on."""
        self._size = size
        self._trim()

    def _trim(self) -> None:
        size = self._size
        while len(self) > size:
            self.popitem(last=False)


def generator(seed: int, stream: str, level: str, index: int) -> np.random.Generator:
    """The generator of one stream at one place in time."""
    digest = blake2b(f"{seed}:{stream}:{level}:{index}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def session_shape(*, opening: float, closing: float, inside: float) -> FloatArray:
    """How one day's total is spread over its slots: a U from 09:15 to 15:30 IST, little outside.

    ``opening`` and ``closing`` are the heights of the U's arms above its floor, ``inside`` the
    share of the total that falls into the session. Sums to one.
    """
    first, last = SESSION_START // SLOT_SECONDS, SESSION_END // SLOT_SECONDS
    place = np.arange(last - first)
    arms = 1 + opening * np.exp(-place / 2.0) + closing * np.exp(-(place[::-1]) / 2.5)
    shape = np.full(SLOTS, (1 - inside) / (SLOTS - len(place)))
    shape[first:last] = inside * arms / arms.sum()
    return shape


VARIANCE: Final = session_shape(opening=3.0, closing=0.8, inside=_SESSION_SHARE)
"""The share of a day's variance in each slot."""
_PASSED: Final = np.cumsum(VARIANCE)


class Factor:
    """One source of movement: its level at the end of any slot or minute since ``FIRST_DAY``."""

    def __init__(self, seed: int, stream: str, *, keep: int) -> None:
        """``keep`` is how many blocks and days stay in memory: many where many share them."""
        self._seed = seed
        self._stream = stream
        self._levels = array("d")
        self._slots: Cache[int, FloatArray] = Cache(keep)
        self._minutes: Cache[int, FloatArray] = Cache(keep)

    def level(self, day: int) -> float:
        """The level at the end of ``day``; 0 before ``FIRST_DAY``."""
        wanted = day - FIRST_DAY
        if wanted < 0:
            return 0.0
        while len(self._levels) <= wanted:
            draws = generator(
                self._seed, self._stream, "days", len(self._levels) // BLOCK_DAYS
            ).standard_normal(BLOCK_DAYS)
            level = self._levels[-1] if self._levels else 0.0
            for draw in draws.tolist():
                level = _REVERSION * level + draw
                self._levels.append(level)
        return self._levels[wanted]

    def slots(self, block: int) -> FloatArray:
        """Levels at the ends of the slots of one block's days, shape ``(BLOCK_DAYS, SLOTS)``."""
        return self._slots.obtain(block, lambda: self._draw_slots(block))

    def _draw_slots(self, block: int) -> FloatArray:
        first = FIRST_DAY + block * BLOCK_DAYS
        ends = np.array([self.level(first + day) for day in range(-1, BLOCK_DAYS)])
        draws = generator(self._seed, self._stream, "slots", block).standard_normal(
            (BLOCK_DAYS, SLOTS)
        )
        walk = np.cumsum(draws * np.sqrt(VARIANCE), axis=1)
        missing = np.diff(ends) - walk[:, -1]
        return ends[:-1, None] + walk + missing[:, None] * _PASSED

    def minutes(self, day: int) -> FloatArray:
        """Levels at the ends of the minutes of ``day``, shape ``(SLOTS, SLOT_MINUTES)``."""
        return self._minutes.obtain(day, lambda: self._draw_minutes(day))

    def _draw_minutes(self, day: int) -> FloatArray:
        block, row = divmod(day - FIRST_DAY, BLOCK_DAYS)
        ends = np.concatenate(([self.level(day - 1)], self.slots(block)[row]))
        draws = generator(self._seed, self._stream, "minutes", day).standard_normal(
            (SLOTS, SLOT_MINUTES)
        )
        walk = np.cumsum(draws * np.sqrt(VARIANCE / SLOT_MINUTES)[:, None], axis=1)
        missing = np.diff(ends) - walk[:, -1]
        passed = np.arange(1, SLOT_MINUTES + 1) / SLOT_MINUTES
        return ends[:-1, None] + walk + missing[:, None] * passed
