"""The synthetic price of one instrument, drawn top down: days, quarter hours, minutes, seconds.

Each finer level is drawn inside the bars of the coarser one and keeps them exactly: a slot's
minutes have the slot's open, high, low, close and volume, a minute's seconds the minute's. So
two years of days cost neither minutes nor seconds, and still every level tells one story.
Prices are whole paise on the tick grid; one array cell is one bar.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from algohost.market.bars import IntArray, PaiseBars, day_of, day_start
from algohost.market.catalogue import Listing
from algohost.market.money import paise
from algohost.market.noise import (
    BLOCK_DAYS,
    FIRST_DAY,
    SLOT_MINUTES,
    SLOT_SECONDS,
    SLOTS,
    VARIANCE,
    Cache,
    Factor,
    FloatArray,
    generator,
    session_shape,
)
from algohost.market.prints import Print

_VOLUME: Final = session_shape(opening=2.0, closing=1.5, inside=0.97)
_MAX_STRETCH: Final = 1.5
"""Gaps between minutes grow by this factor at most; one minute makes up the rest of a range."""
_EDGE: Final = 6
"""A minute's extremes, where they are not its ends, lie this many seconds inside."""
_GRID = NDArray[np.int32]


@dataclass(frozen=True)
class Candles:
    """Bars of one level, all arrays of one shape; paise and units."""

    open: _GRID
    high: _GRID
    low: _GRID
    close: _GRID
    volume: _GRID


@dataclass(frozen=True)
class Seconds:
    """One slot second by second: what a quote shows at each, 900 cells an array.

    ``high``, ``low``, ``volume`` and ``value`` (paise times units) are of the day so far.
    """

    open: int
    previous_close: int
    price: _GRID
    traded: _GRID
    high: _GRID
    low: _GRID
    volume: IntArray
    value: IntArray


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How many blocks of slots, days of minutes, and slots of seconds a path keeps drawn."""

    slots: int = 2
    minutes: int = 8
    seconds: int = 3


@dataclass(frozen=True)
class Glance:
    """Of one slot all that prices which follow from a path need, in little room."""

    open: int
    """Of the day."""
    previous_close: int
    price: _GRID
    """Second by second."""
    slots: Candles
    """Of the whole day; those to come are nobody's business yet."""


class Path:
    """The whole life of one listing under one seed."""

    def __init__(
        self,
        seed: int,
        listing: Listing,
        market: Factor,
        sector: Factor | None,
        *,
        kept: Kept = Kept(),
    ) -> None:
        self._seed = seed
        self._stream = str(listing.instrument.key)
        self._listing = listing
        self._tick = paise(listing.instrument.tick_size)
        self._base = float(np.log(listing.level * 100))
        self._sources = [
            (market, listing.market),
            (Factor(seed, self._stream, keep=kept.slots), listing.own),
        ]
        if sector is not None:
            self._sources.append((sector, listing.sector_load))
        self._days: dict[int, PaiseBars] = {}
        self._slots: Cache[int, Candles] = Cache(kept.slots)
        self._minutes: Cache[int, Candles] = Cache(kept.minutes)
        self._seconds: Cache[tuple[int, int], Seconds] = Cache(kept.seconds)

    @property
    def daily_volatility(self) -> float:
        """Standard deviation of a day's log return."""
        return self._listing.volatility

    @property
    def daily_volume(self) -> int:
        """Units in a typical day; 0 for an index."""
        return self._listing.volume

    def shown(self, second: int) -> Print | None:
        """What a quote shows at ``second``; ``None`` before the first day."""
        day = day_of(second)
        if day < FIRST_DAY:
            return None
        slot, place = divmod(second - day_start(day), SLOT_SECONDS)
        seconds = self.seconds(day, slot)
        return Print(
            at=second,
            last=int(seconds.price[place]),
            open=seconds.open,
            high=int(seconds.high[place]),
            low=int(seconds.low[place]),
            previous_close=seconds.previous_close,
            volume=int(seconds.volume[place]),
            last_quantity=int(seconds.traded[place]),
            value=int(seconds.value[place]),
        )

    # Days ---------------------------------------------------------------------------------

    def days(self, first: int, last: int) -> list[PaiseBars]:
        """Whole days ``first`` to ``last``, both included, as blocks of daily bars."""
        parts = []
        for block in range((first - FIRST_DAY) // BLOCK_DAYS, (last - FIRST_DAY) // BLOCK_DAYS + 1):
            start = FIRST_DAY + block * BLOCK_DAYS
            rows = slice(max(first - start, 0), min(last - start, BLOCK_DAYS - 1) + 1)
            parts.append(self._day_block(block)[rows])
        return parts

    def previous_close(self, day: int) -> int:
        """The last price of the day before, in paise; on the first day the level at its start."""
        if day <= FIRST_DAY:
            return self._to_tick(float(np.exp(self._base)))
        return int(self.days(day - 1, day - 1)[0].close[0])

    def _day_block(self, block: int) -> PaiseBars:
        if block not in self._days:
            slots = self._slot_block(block)
            days = FIRST_DAY + block * BLOCK_DAYS + np.arange(BLOCK_DAYS, dtype=np.int64)
            columns = (
                slots.open[:, 0],
                slots.high.max(axis=1),
                slots.low.min(axis=1),
                slots.close[:, -1],
                slots.volume.sum(axis=1),
            )
            self._days[block] = PaiseBars(
                day_start(0) + days * 86_400, *(column.astype(np.int64) for column in columns)
            )
        return self._days[block]

    # Slots --------------------------------------------------------------------------------

    def slots(self, day: int) -> Candles:
        """The day's slots, shape ``(SLOTS,)``."""
        block, row = divmod(day - FIRST_DAY, BLOCK_DAYS)
        return _row(self._slot_block(block), row)

    def _slot_block(self, block: int) -> Candles:
        return self._slots.obtain(block, lambda: self._draw_slots(block))

    def _draw_slots(self, block: int) -> Candles:
        draws = generator(self._seed, self._stream, "slot bars", block)
        shape = (BLOCK_DAYS, SLOTS)
        close = self._mixed([factor.slots(block) for factor, _ in self._sources])
        before = np.empty(shape)
        before[:, 1:] = close[:, :-1]
        first = FIRST_DAY + block * BLOCK_DAYS
        before[:, 0] = [self._log_close(first + row - 1) for row in range(BLOCK_DAYS)]
        sigma = self._listing.volatility * np.sqrt(VARIANCE)
        opened = before + draws.standard_normal(shape) * sigma / SLOT_SECONDS**0.5
        high, low = _extremes(draws, opened, close, sigma)
        busy = 1 + 0.5 * (high - low) / sigma
        return Candles(
            self._to_grid(np.exp(opened)),
            self._to_grid(np.exp(high)),
            self._to_grid(np.exp(low)),
            self._to_grid(np.exp(close)),
            self._slot_volume(draws, busy),
        )

    def _mixed(self, levels: list[FloatArray]) -> FloatArray:
        """The log price, in paise, where the sources stand at ``levels``."""
        price = np.full_like(levels[0], self._base)
        for (_, load), level in zip(self._sources, levels, strict=True):
            price += load * level
        return price

    def _log_close(self, day: int) -> float:
        return self._base + sum(load * factor.level(day) for factor, load in self._sources)

    def _slot_volume(self, draws: np.random.Generator, busy: FloatArray) -> _GRID:
        if not self._listing.volume:
            return np.zeros(busy.shape, dtype=np.int32)
        totals = self._listing.volume * np.exp(0.3 * draws.standard_normal(BLOCK_DAYS) - 0.045)
        weights = _VOLUME * busy * draws.standard_gamma(4.0, busy.shape)
        return _apportion(totals.astype(np.int64), weights)

    # Minutes ------------------------------------------------------------------------------

    def minutes(self, day: int) -> Candles:
        """The day's minutes, shape ``(SLOTS, SLOT_MINUTES)``."""
        return self._minutes.obtain(day, lambda: self._draw_minutes(day))

    def _draw_minutes(self, day: int) -> Candles:
        block, row = divmod(day - FIRST_DAY, BLOCK_DAYS)
        slots = _row(self._slot_block(block), row)
        draws = generator(self._seed, self._stream, "minute bars", day)
        close = np.exp(self._mixed([factor.minutes(day) for factor, _ in self._sources]))
        slot_sigma = self._listing.volatility * np.sqrt(VARIANCE / SLOT_MINUTES)
        sigma = (slots.open * slot_sigma)[:, None]
        opened = np.roll(close, 1, axis=1)
        opened += draws.standard_normal(close.shape) * sigma / 60**0.5
        opened[:, 0], close[:, -1] = slots.open, slots.close
        high, low = _extremes(draws, opened, close, sigma)
        bars = self._within(slots, opened, high, low, close)
        weights = draws.standard_gamma(1.5, close.shape)
        return Candles(*bars, _apportion(slots.volume, weights))

    def _within(
        self,
        slots: Candles,
        opened: FloatArray,
        high: FloatArray,
        low: FloatArray,
        close: FloatArray,
    ) -> tuple[_GRID, _GRID, _GRID, _GRID]:
        """The minutes' prices on the grid, made to agree with their slots' exactly."""
        stretch = _Stretch(slots, high, low)
        bottom, top = slots.low[:, None], slots.high[:, None]
        opens, highs, lows, closes = (
            np.clip(self._to_grid(stretch(prices)), bottom, top)
            for prices in (opened, high, low, close)
        )
        opens[:, 0], closes[:, -1] = slots.open, slots.close
        _touch(highs, slots.high, high.argmax(axis=1))
        _touch(lows, slots.low, low.argmin(axis=1))
        np.maximum(highs, np.maximum(opens, closes), out=highs)
        np.minimum(lows, np.minimum(opens, closes), out=lows)
        return opens, highs, lows, closes

    # Seconds ------------------------------------------------------------------------------

    def seconds(self, day: int, slot: int) -> Seconds:
        """One slot of a day, second by second."""
        return self._seconds.obtain((day, slot), lambda: self._draw_seconds(day, slot))

    def _draw_seconds(self, day: int, slot: int) -> Seconds:
        bars = self.minutes(day)
        minutes = _row(bars, slot)
        draws = generator(self._seed, self._stream, "seconds", day * SLOTS + slot)
        shape = (SLOT_MINUTES, 60)
        # The range of a walk of n steps is about 1.6 √n of them.
        step = np.maximum(minutes.high - minutes.low, self._tick) / (1.6 * 59**0.5)
        walk = draws.standard_normal(shape) * step[:, None]
        walk[:, 0] = 0
        walk = np.cumsum(walk, axis=1) + minutes.open[:, None]
        walk += (minutes.close - walk[:, -1])[:, None] * (np.arange(60) / 59)
        inner = walk[:, _EDGE:-_EDGE]
        peak, trough = _EDGE + inner.argmax(axis=1), _EDGE + inner.argmin(axis=1)
        walk = _lifted(_lifted(walk, minutes.high, peak), minutes.low, trough)
        price = self._to_grid(walk)
        np.clip(price, minutes.low[:, None], minutes.high[:, None], out=price)
        _touch(price, minutes.high, peak)
        _touch(price, minutes.low, trough)
        price[:, 0], price[:, -1] = minutes.open, minutes.close
        traded = _apportion(minutes.volume, draws.standard_exponential(shape) ** 2)
        return _running(price.ravel(), traded.ravel(), bars, slot, self.previous_close(day))

    def glance(self, day: int, slot: int) -> Glance:
        """What follows from this path needs of one slot; shares no memory with what is kept."""
        seconds, slots = self.seconds(day, slot), self.slots(day)
        columns = (slots.open, slots.high, slots.low, slots.close, slots.volume)
        row = Candles(*(column.copy() for column in columns))
        return Glance(seconds.open, seconds.previous_close, seconds.price.copy(), row)

    # The tick grid ------------------------------------------------------------------------

    def _to_grid(self, prices: FloatArray) -> _GRID:
        ticks = np.maximum(np.rint(prices / self._tick), 1)
        return (ticks * self._tick).astype(np.int32)

    def _to_tick(self, price: float) -> int:
        return max(round(price / self._tick), 1) * self._tick


def _row(bars: Candles, row: int) -> Candles:
    return Candles(bars.open[row], bars.high[row], bars.low[row], bars.close[row], bars.volume[row])


def _extremes(
    draws: np.random.Generator, opened: FloatArray, close: FloatArray, sigma: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Highs and lows by the law of a Brownian bridge's maximum (its distribution function is
    ``1 − exp(−2(m−a)(m−b)/σ²)`` for a bridge from ``a`` to ``b``), inverted."""
    middle, gap = opened + close, (close - opened) ** 2
    up = np.sqrt(gap + 2 * sigma**2 * draws.standard_exponential(close.shape))
    down = np.sqrt(gap + 2 * sigma**2 * draws.standard_exponential(close.shape))
    return (middle + up) / 2, (middle - down) / 2


class _Stretch:
    """Maps finer prices monotonically into the coarse bar's range, and about to its ends.

    What lies between the coarse open and close stays; what lies outside is scaled. Whoever
    uses it sets the extremes themselves.
    """

    def __init__(self, bars: Candles, highs: FloatArray, lows: FloatArray) -> None:
        self._top = np.maximum(bars.open, bars.close)[:, None]
        self._bottom = np.minimum(bars.open, bars.close)[:, None]
        over = highs.max(axis=1, keepdims=True) - self._top
        under = self._bottom - lows.min(axis=1, keepdims=True)
        room_up, room_down = bars.high[:, None] - self._top, self._bottom - bars.low[:, None]
        self._up = np.divide(room_up, over, out=np.zeros_like(over), where=over > 0)
        self._down = np.divide(room_down, under, out=np.zeros_like(under), where=under > 0)
        for scale in (self._up, self._down):
            np.minimum(scale, _MAX_STRETCH, out=scale)

    def __call__(self, prices: FloatArray) -> FloatArray:
        inside: FloatArray = np.clip(prices, self._bottom, self._top)
        beyond = prices - inside
        stretched: FloatArray = inside + beyond * np.where(beyond > 0, self._up, self._down)
        return stretched


def _touch(prices: _GRID, extremes: _GRID, where: NDArray[np.intp]) -> None:
    prices[np.arange(len(prices)), where] = extremes


def _lifted(walk: FloatArray, extremes: _GRID, where: NDArray[np.intp]) -> FloatArray:
    """``walk`` under a tent that stands on its ends and takes it to ``extremes`` at ``where``:
    a drift towards the extreme and back, where scaling would make one second's leap of it."""
    place, top = np.arange(walk.shape[1]), where[:, None]
    tent = np.minimum(place / top, (walk.shape[1] - 1 - place) / (walk.shape[1] - 1 - top))
    missing = extremes - walk[np.arange(len(walk)), where]
    lifted: FloatArray = walk + missing[:, None] * tent
    return lifted


def _apportion(totals: NDArray[np.integer], weights: FloatArray) -> _GRID:
    """Whole units in proportion to ``weights``; each row sums to its total exactly."""
    passed = np.cumsum(weights, axis=1)
    parts = np.floor(passed / passed[:, -1:] * totals[:, None])
    return np.diff(parts, axis=1, prepend=0).astype(np.int32)


def _running(price: _GRID, traded: _GRID, bars: Candles, slot: int, previous_close: int) -> Seconds:
    volume: IntArray = np.cumsum(traded, dtype=np.int64)
    value: IntArray = np.cumsum(price * traded.astype(np.int64), dtype=np.int64)
    high, low = np.maximum.accumulate(price), np.minimum.accumulate(price)
    if slot:
        past = slice(slot)
        np.maximum(high, bars.high[past].max(), out=high)
        np.minimum(low, bars.low[past].min(), out=low)
        done = bars.volume[past].astype(np.int64)
        typical = (bars.high[past] + bars.low[past] + bars.close[past]) // 3
        volume += done.sum()
        value += (typical * done).sum()
    return Seconds(int(bars.open[0, 0]), previous_close, price, traded, high, low, volume, value)
