"""Prices that follow from another path: futures, options, and one thing under a second name.

Such a price is a function of the spot's price and of the time that is left, and rises (or, of a
put, falls) with the spot. The time left is measured at the end of the quarter hour, on the day of
expiry at the end of the minute; within it the price moves with the spot alone. So the bars of a
contract follow from the bars of its spot exactly, and hold the prices that quotes have shown. In
the last minute before expiry an option is worth what exercise would give; after it nothing moves.

What is traded is spread over the day by the shape that all sessions have, in whole lots, so that
the volumes of short bars sum to those of long ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from math import ceil
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument
from algohost.market.bars import IntArray, PaiseBars, day_of, day_start
from algohost.market.noise import (
    FIRST_DAY,
    SLOT_MINUTES,
    SLOT_SECONDS,
    SLOTS,
    Cache,
    FloatArray,
    generator,
    session_shape,
)
from algohost.market.paths import Candles, Glance, Path, Seconds
from algohost.market.prints import Print
from algohost.market.rules import Rule
from algohost.market.spans import place_of

_SHAPE: Final = session_shape(opening=2.0, closing=1.5, inside=0.97)
_CLOSES: Final = {Exchange.CDS: time(12, 30), Exchange.BCD: time(12, 30),
                  Exchange.MCX: time(23, 30), Exchange.NCO: time(23, 30)}  # fmt: skip
_EQUITY_CLOSE: Final = time(15, 30)
_ROUNDING: Final = 1e-6
"""Of a tick: so much below a whole number of ticks still counts as it."""


def expires_at(instrument: Instrument) -> int | None:
    """The first epoch second at which a contract trades no more; ``None`` for what never ends."""
    if instrument.expiry is None:
        return None
    close = closing_time(instrument.key.exchange)
    return int(datetime.combine(instrument.expiry, close, IST).timestamp())


def closing_time(exchange: Exchange) -> time:
    """The time of day, in IST, at which contracts of an exchange expire."""
    return _CLOSES.get(exchange, _EQUITY_CLOSE)


class Spot(Protocol):
    """The path that prices follow from."""

    def glance(self, day: int, slot: int) -> Glance:
        """One slot of it."""

    def path(self) -> Path:
        """All of it; drawn anew where it is not kept."""


class DayTrading(NamedTuple):
    """What is to be expected of a contract on one day."""

    lots: float
    """That are traded."""
    held: float
    """Lots of open interest at its end."""
    spread_share: float
    """As in ``Print``."""


@dataclass(frozen=True, kw_only=True)
class Trading:
    """How much of a contract is traded and held, by day; volumes in units."""

    seed: int
    stream: str
    lot: int
    of_day: Callable[[int, int], DayTrading]
    """From a day and the spot's close before it."""


class _Past(NamedTuple):
    """Of one instrument: what its day has been up to the present cell of time."""

    cell: int
    open: int
    high: int
    low: int
    previous_close: int
    volume: int
    value: int


class _Day(NamedTuple):
    """What one day trades: cumulated shares at the ends of its slots, and totals."""

    day: int
    shares: FloatArray
    lots: float
    held_before: float
    held: float
    spread_share: float


class DerivedPath:
    """The life of one contract, read as ``Path`` is."""

    def __init__(
        self,
        instrument: Instrument,
        *,
        rule: Rule,
        spot: Spot,
        tick: int,
        trading: Trading,
        since: int = FIRST_DAY,
    ) -> None:
        """``tick`` in parts of a rupee, ``since`` the first day of which there are prices."""
        self.ends_at = expires_at(instrument)
        self.since = since
        self.rule = rule
        self._spot = spot
        self._tick = tick
        self._trading = trading
        self._last_day = None if self.ends_at is None else day_of(self.ends_at)
        self._days: Cache[int, _Day] = Cache(2)
        self._past: _Past | None = None
        self._known: tuple[int, dict[int, int]] = (0, {})

    def shown(self, second: int) -> Print | None:
        """What a quote shows at ``second``; from expiry on, what the last second before showed."""
        is_over = self.ends_at is not None and second >= self.ends_at
        if self.ends_at is not None:
            second = min(second, self.ends_at - 1)
        day, slot, place = place_of(second)
        if day < self.since:
            return None
        spot, cell = self._spot.glance(day, slot), self._cell(second)
        inside = spot.price[max(cell - (second - place), 0) : place + 1]
        spots = (int(spot.price[place]), int(inside.max()), int(inside.min()))
        last, one, other = self._each(spots, second, cell)
        past = self._until(cell, spot)
        volume, before = self._traded(day, second + 1), self._traded(day, second)
        opened = past.open or self._at(spot.open, second)
        return Print(
            at=second,
            last=last,
            open=opened,
            high=max(past.high, one, other),
            low=min(past.low or one, one, other),
            previous_close=past.previous_close,
            volume=volume,
            last_quantity=volume - before,
            value=past.value + last * (volume - past.volume),
            open_interest=self._held(day, second),
            spread_share=None if is_over else self._day(day).spread_share,
        )

    # Bars, as a path has them ----------------------------------------------------------------

    def days(self, first: int, last: int) -> list[PaiseBars]:
        """Whole days ``first`` to ``last``, both included."""
        return [self._day_bar(day) for day in range(first, last + 1)]

    def minutes(self, day: int) -> Candles:
        """The day's minutes, shape ``(SLOTS, SLOT_MINUTES)``."""
        bars = self._spot.path().minutes(day)
        starts = day_start(day) + 60 * np.arange(SLOTS * SLOT_MINUTES, dtype=np.int64)
        traded = np.diff(self._traded_by(day, np.append(starts, starts[-1] + 60)))
        return self._candles(bars, starts.reshape(bars.open.shape), traded)

    def seconds(self, day: int, slot: int) -> Seconds:
        """One slot of a day; of the day so far it knows nothing, which bars do not need."""
        spot = self._spot.path().seconds(day, slot)
        begin = day_start(day) + slot * SLOT_SECONDS
        instants = begin + np.arange(SLOT_SECONDS + 1, dtype=np.int64)
        price = self._on_grid(spot.price, instants[:-1])
        sums = self._traded_by(day, instants)
        traded = np.diff(sums).astype(np.int32)
        return Seconds(int(price[0]), 0, price, traded, price, price, sums[1:], sums[1:])

    def _day_bar(self, day: int) -> PaiseBars:
        if day == self._last_day and self.ends_at is not None:
            bars, step = self._spot.path().minutes(day), 60
            end = self.ends_at
        else:
            bars, step = self._spot.path().slots(day), SLOT_SECONDS
            end = day_start(day + 1)
        count = -(-(end - day_start(day)) // step)
        starts = day_start(day) + step * np.arange(count, dtype=np.int64)
        spots = np.concatenate(
            [bars.high.ravel()[:count], bars.low.ravel()[:count],
             bars.open.ravel()[:1], bars.close.ravel()[count - 1 : count]]
        )  # fmt: skip
        found = self._on_grid(spots, np.concatenate([starts, starts, starts[:1], starts[-1:]]))
        inside, (opened, close) = found[:-2], found[-2:]
        volume = self._traded_by(day, np.array([end], dtype=np.int64))[0]
        whole = (day_start(day), opened, inside.max(), inside.min(), close, volume)
        return PaiseBars(*(np.array([one], dtype=np.int64) for one in whole))

    def _candles(self, bars: Candles, starts: IntArray, traded: IntArray) -> Candles:
        spots = np.stack([bars.open, bars.high, bars.low, bars.close])
        opened, one, other, close = self._on_grid(spots, starts)
        volume = traded.reshape(bars.open.shape).astype(np.int32)
        return Candles(opened, np.maximum(one, other), np.minimum(one, other), close, volume)

    # From the spot's price to this one -------------------------------------------------------

    def _cell(self, second: int) -> int:
        """The start of the cell of time in which nothing but the spot moves the price."""
        day = day_of(second)
        step = 60 if day == self._last_day else SLOT_SECONDS
        return second - (second - day_start(day)) % step

    def _left(self, instants: IntArray) -> FloatArray:
        """Seconds from the end of each instant's cell to the end of the contract, 0 at least."""
        if self.ends_at is None:
            return np.zeros(instants.shape)
        last = day_start(self._last_day or 0)
        step = np.where(instants >= last, 60, SLOT_SECONDS)
        ends = instants - (instants - last) % step + step
        left: FloatArray = np.maximum(self.ends_at - ends, 0).astype(np.float64)
        return left

    def _on_grid(self, spot: NDArray[np.int32], instants: IntArray) -> NDArray[np.int32]:
        prices, left = spot.astype(np.float64), self._left(instants)
        ticks = np.rint(self.rule.prices(prices, left) / self._tick)
        least = np.ceil(self.rule.least(prices, left) / self._tick - _ROUNDING)
        return (np.maximum(np.maximum(ticks, least), 1) * self._tick).astype(np.int32)

    def _at(self, spot: int, second: int) -> int:
        """One price, by the same steps of arithmetic: what numpy takes for one, it takes for
        many."""
        left = 0.0
        if self.ends_at is not None:
            cell = self._cell(second)
            step = 60 if day_of(second) == self._last_day else SLOT_SECONDS
            left = float(max(self.ends_at - cell - step, 0))
        ticks = round(self.rule.price(spot, left) / self._tick)
        least = ceil(self.rule.floor(spot, left) / self._tick - _ROUNDING)
        return max(ticks, least, 1) * self._tick

    def _each(self, spots: tuple[int, ...], second: int, cell: int) -> list[int]:
        """Prices of several spots; those of the last call are known still, and most come again."""
        known = self._known[1] if self._known[0] == cell else {}
        found = {one: known.get(one) or self._at(one, second) for one in spots}
        self._known = (cell, found)
        return [found[one] for one in spots]

    def _until(self, cell: int, spot: Glance) -> _Past:
        """The day of ``cell`` up to where it begins; the newest one is kept, and carried on."""
        past = self._past
        if past is None or past.cell != cell:
            begin = day_start(day_of(cell))
            if past is None or not begin <= past.cell < cell:
                previous = self._at(spot.previous_close, begin - 1)
                past = _Past(begin, 0, 0, 0, previous, 0, 0)
            past = self._past = self._carried_on(past, cell, spot) if past.cell < cell else past
        return past

    def _carried_on(self, past: _Past, cell: int, spot: Glance) -> _Past:
        day = day_of(cell)
        is_last = day == self._last_day
        step = 60 if is_last else SLOT_SECONDS
        bars = self._spot.path().minutes(day) if is_last else spot.slots
        first, end = ((one - day_start(day)) // step for one in (past.cell, cell))
        starts = day_start(day) + step * np.arange(first, end, dtype=np.int64)
        part = Candles(*(column.ravel()[first:end] for column in
                         (bars.open, bars.high, bars.low, bars.close, bars.volume)))  # fmt: skip
        sums = self._traded_by(day, np.append(starts, cell))
        mine = self._candles(part, starts, np.diff(sums))
        typical = (mine.high.astype(np.int64) + mine.low + mine.close) // 3
        low = int(mine.low.min())
        return _Past(
            cell,
            past.open or int(mine.open[0]),
            max(past.high, int(mine.high.max())),
            min(past.low or low, low),
            past.previous_close,
            int(sums[-1]),
            past.value + int((typical * mine.volume).sum()),
        )

    # What is traded and held -----------------------------------------------------------------

    def _day(self, day: int) -> _Day:
        return self._days.obtain(day, lambda: self._draw_day(day))

    def _draw_day(self, day: int) -> _Day:
        trading, spot = self._trading, self._spot.path()
        draws = generator(trading.seed, trading.stream, "traded", day)
        weights = _SHAPE * draws.uniform(0.4, 1.6, SLOTS)
        if day == self._last_day and self.ends_at is not None:
            weights[(self.ends_at - day_start(day)) // SLOT_SECONDS :] = 0
        shares = np.concatenate(([0.0], np.cumsum(weights) / weights.sum()))
        before = trading.of_day(day - 1, spot.previous_close(max(day - 1, FIRST_DAY)))
        here = trading.of_day(day, spot.previous_close(day))
        lots = here.lots * draws.uniform(0.7, 1.3)
        return _Day(day, shares, lots, before.held, here.held, here.spread_share)

    def _share(self, found: _Day, second: int) -> float:
        done = second - day_start(found.day)
        slot = min(done // SLOT_SECONDS, SLOTS - 1)
        low = float(found.shares[slot])
        part = (done - slot * SLOT_SECONDS) / SLOT_SECONDS
        return low + part * (float(found.shares[slot + 1]) - low)

    def _traded(self, day: int, end: int) -> int:
        """Units traded in a day before ``end``."""
        found = self._day(day)
        return int(found.lots * self._share(found, end)) * self._trading.lot

    def _traded_by(self, day: int, ends: IntArray) -> IntArray:
        """The same at many ends of one day, in the same steps of arithmetic."""
        found = self._day(day)
        done = ends - day_start(day)
        slot = np.minimum(done // SLOT_SECONDS, SLOTS - 1)
        low = found.shares[slot]
        share = low + (done - slot * SLOT_SECONDS) / SLOT_SECONDS * (found.shares[slot + 1] - low)
        sums: IntArray = np.floor(found.lots * share).astype(np.int64) * self._trading.lot
        return sums

    def _held(self, day: int, second: int) -> int:
        found = self._day(day)
        lots = found.held_before + self._share(found, second) * (found.held - found.held_before)
        return int(lots) * self._trading.lot
