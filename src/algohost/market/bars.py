"""Bars as columns, and how short bars become long ones.

Where a bar begins, in every mode: bars of seconds, minutes and hours are counted from
09:15 IST of their day, in both directions, as Indian charts do, and never cross midnight, so
the day's first one may be short (hours begin at 00:00, 00:15, 01:15 … 09:15, 10:15 …).
``D`` begins at 00:00 IST, ``W`` on Monday and ``M`` on the first of the month at 00:00 IST,
whether or not that day traded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from algohost.domain.quotes import Bar, Interval
from algohost.market.money import rupees

IntArray = NDArray[np.int64]

DAY_SECONDS: Final = 86_400
IST_OFFSET: Final = 19_800
"""Seconds by which Asia/Kolkata is ahead of UTC; it has no summer time."""
SESSION_START: Final = 33_300
"""09:15 IST in seconds of the day."""
SESSION_END: Final = 55_800
"""15:30 IST in seconds of the day."""


@dataclass(frozen=True, kw_only=True)
class BarColumns:
    """Bars as arrays of one length, for answers of thousands of rows.

    ``timestamps`` are epoch seconds of the bars' starts, prices are rupees as floats (exact
    to the paisa when printed with two decimals), volumes are units.
    """

    timestamps: IntArray
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: IntArray

    def __len__(self) -> int:
        return len(self.timestamps)


@dataclass(frozen=True)
class PaiseBars:
    """Bars inside the market: epoch seconds, whole paise, units; all arrays of one length."""

    start: IntArray
    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    volume: IntArray

    @classmethod
    def none(cls) -> "PaiseBars":
        """Not one bar."""
        return cls(*(np.empty(0, dtype=np.int64) for _ in range(6)))

    @classmethod
    def joined(cls, parts: Sequence["PaiseBars"]) -> "PaiseBars":
        """``parts`` one after the other; they must be in order of time."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*(part.columns() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns)) if parts else cls.none()

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "PaiseBars":
        return PaiseBars(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[IntArray, ...]:
        """The six arrays, in the order of the fields."""
        return (self.start, self.open, self.high, self.low, self.close, self.volume)

    def between(self, start: float, end: float) -> "PaiseBars":
        """The bars that begin in ``[start, end)``, epoch seconds; the rows are in order."""
        first, last = np.searchsorted(self.start, (start, end), side="left")
        return self[slice(int(first), int(last))]


def day_of(instant: int) -> int:
    """The number of the IST day that holds ``instant``: days since 1970-01-01."""
    return (instant + IST_OFFSET) // DAY_SECONDS


def day_start(day: int) -> int:
    """The epoch second of 00:00 IST of that day."""
    return day * DAY_SECONDS - IST_OFFSET


def bar_starts(instants: IntArray, interval: Interval) -> IntArray:
    """The start of the bar of ``interval`` that holds each instant, in epoch seconds."""
    days = (instants + IST_OFFSET) // DAY_SECONDS
    length = interval.length
    if length is not None:
        step = int(length.total_seconds())
        midnight = days * DAY_SECONDS - IST_OFFSET
        anchor = midnight + SESSION_START
        return np.maximum(anchor + (instants - anchor) // step * step, midnight)
    if interval is Interval.W:
        days = days - (days + 3) % 7  # day 0 of the epoch was a Thursday
    elif interval is Interval.M:
        days = days.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]")
        days = days.astype(np.int64)
    return days * DAY_SECONDS - IST_OFFSET


def bar_start(instant: int, interval: Interval) -> int:
    """The start of the bar of ``interval`` that holds ``instant``, in epoch seconds."""
    return int(bar_starts(np.array([instant], dtype=np.int64), interval)[0])


def bar_end(instant: int, interval: Interval) -> int:
    """The first instant after the bar of ``interval`` that holds ``instant``."""
    start = bar_start(instant, interval)
    day = day_of(start)
    length = interval.length
    if length is not None:
        step = int(length.total_seconds())
        anchor = day_start(day) + SESSION_START
        return min(anchor + ((start - anchor) // step + 1) * step, day_start(day + 1))
    if interval is Interval.M:
        month = np.datetime64(day, "D").astype("datetime64[M]") + np.timedelta64(1, "M")
        return day_start(int(month.astype("datetime64[D]").astype(np.int64)))
    return day_start(day + (7 if interval is Interval.W else 1))


def resample(bars: PaiseBars, interval: Interval) -> PaiseBars:
    """``bars`` merged into bars of ``interval``; spans without a bar stay without one."""
    if not len(bars):
        return bars
    starts = bar_starts(bars.start, interval)
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    if len(first) == len(starts):
        return PaiseBars(starts, *bars.columns()[1:])
    last = np.append(first[1:], len(starts)) - 1
    return PaiseBars(
        starts[first],
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
    )


def to_columns(bars: PaiseBars, *, unit: int = 100) -> BarColumns:
    """The same bars in rupees, for an answer; ``unit`` parts of theirs are one."""
    return BarColumns(
        timestamps=bars.start,
        open=bars.open / unit,
        high=bars.high / unit,
        low=bars.low / unit,
        close=bars.close / unit,
        volume=bars.volume,
    )


def to_bars(columns: BarColumns, *, unit: int = 100) -> list[Bar]:
    """The same bars as value objects, with exact prices."""
    prices = (columns.open, columns.high, columns.low, columns.close)
    parts = [np.rint(price * unit).astype(np.int64).tolist() for price in prices]
    rows = zip(columns.timestamps.tolist(), *parts, columns.volume.tolist(), strict=True)
    return [
        Bar(
            start=datetime.fromtimestamp(start, UTC),
            open=rupees(opened, unit),
            high=rupees(high, unit),
            low=rupees(low, unit),
            close=rupees(close, unit),
            volume=volume,
        )
        for start, opened, high, low, close, volume in rows
    ]
