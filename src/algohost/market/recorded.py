"""A recorded day, played as today.

When the server starts the market stands at the session's start of the recorded day, or where
``from`` says, and runs on at ``speed``. Instants are shown as today: the recorded day has the
date, in IST, on which the server started, and the recorded days before it have the weekdays
before that date, so that a script that asks for today's history gets it. Later days are never
read. When the recording is over the market is closed and its quotes stay; market time stops
at the end of the day.

A bar of a minute is played second by second along open, low, high, close (open, high, low,
close when it fell), 20 seconds to each extreme: no more of it is shown than those seconds.
Its volume is spread evenly. Ticks are played as they are. Where the recording has nothing the
last price stays, no bar appears and no unit trades.
"""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final

import numpy as np

from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.ports import Clock
from algohost.domain.quotes import Interval
from algohost.market.bars import (
    DAY_SECONDS,
    IST_OFFSET,
    SESSION_START,
    IntArray,
    PaiseBars,
    day_of,
    day_start,
)
from algohost.market.catalogue import NAMES
from algohost.market.prints import Print
from algohost.market.recording import Recording, read
from algohost.market.service import MarketService
from algohost.market.spec import RecordedSpec

_TURNS: Final = (0, 20, 40, 59)
"""The seconds of a minute at which its open, extremes and close are shown."""


@dataclass(frozen=True)
class _Played:
    """One bar as it is shown, a cell a second."""

    price: list[int]
    high: list[int]
    low: list[int]


class Track:
    """One instrument's recording at the instants at which it is shown."""

    def __init__(self, bars: PaiseBars, *, seconds: int, today: int, tick: int) -> None:
        self.bars = bars
        self.tick = tick
        self._seconds = seconds
        self._today = int(np.searchsorted(bars.start, day_start(today)))
        of_today = bars[slice(self._today, None)]
        self._starts: list[int] = of_today.start.tolist()
        typical = (of_today.high + of_today.low + of_today.close) // 3
        self._volume = _before(np.cumsum(of_today.volume))
        self._value = _before(np.cumsum(typical * of_today.volume))
        self._high: list[int] = np.maximum.accumulate(of_today.high).tolist()
        self._low: list[int] = np.minimum.accumulate(of_today.low).tolist()
        self._playing: tuple[int, _Played] | None = None

    def show(self, second: int) -> Print | None:
        """What is seen at ``second``; ``None`` before the first record."""
        place = bisect_right(self._starts, second) - 1
        if place < 0:
            return self._show_yesterday() if self._today else None
        start, row = self._starts[place], self._today + place
        passed = min(second - start, self._seconds - 1)
        played = self._play(row)
        volume = int(self.bars.volume[row])
        traded = volume * (passed + 1) // self._seconds
        last = played.price[passed]
        high, low = played.high[passed], played.low[passed]
        return Print(
            at=start + passed,
            last=last,
            open=int(self.bars.open[self._today]),
            high=max(high, self._high[place - 1]) if place else high,
            low=min(low, self._low[place - 1]) if place else low,
            previous_close=int(self.bars.close[self._today - 1])
            if self._today
            else int(self.bars.open[0]),
            volume=self._volume[place] + traded,
            last_quantity=traded - volume * passed // self._seconds,
            value=self._value[place] + (high + low + last) // 3 * traded,
        )

    def until(self, start: int, end: int, now: int) -> PaiseBars:
        """The bars that begin in ``[start, end)``, of the running one no more than is shown."""
        bars = self.bars.between(start, min(end, now + 1))
        if self._seconds == 1 or not len(bars) or bars.start[-1] + self._seconds <= now + 1:
            return bars
        running = int(bars.start[-1])
        played = self._play(int(np.searchsorted(self.bars.start, running)))
        passed = now - running
        volume = int(bars.volume[-1]) * (passed + 1) // self._seconds
        shown = (played.high[passed], played.low[passed], played.price[passed], volume)
        columns = [bars.high, bars.low, bars.close, bars.volume]
        cut = [_with_last(column, value) for column, value in zip(columns, shown, strict=True)]
        return PaiseBars(bars.start, bars.open, *cut)

    def _show_yesterday(self) -> Print:
        last = int(self.bars.close[self._today - 1])
        return Print(
            at=int(self.bars.start[self._today - 1]) + self._seconds - 1,
            last=last,
            open=last,
            high=last,
            low=last,
            previous_close=last,
            volume=0,
            last_quantity=0,
            value=0,
        )

    def _play(self, row: int) -> _Played:
        if self._playing is None or self._playing[0] != row:
            prices = self._prices(row)
            self._playing = (
                row,
                _Played(prices, list(accumulate(prices, max)), list(accumulate(prices, min))),
            )
        return self._playing[1]

    def _prices(self, row: int) -> list[int]:
        opened, high, low, close = (int(column[row]) for column in self.bars.columns()[1:5])
        if self._seconds == 1:
            return [close]
        turns = (opened, low, high, close) if close >= opened else (opened, high, low, close)
        prices = []
        for leg in range(3):
            first, span = turns[leg], _TURNS[leg + 1] - _TURNS[leg]
            way = turns[leg + 1] - first
            for step in range(span):
                price = round((first + way * step / span) / self.tick) * self.tick
                prices.append(min(max(price, low), high) if step else first)
        return [*prices, close]


class RecordedMarket(MarketService):
    """The ``Market`` port over one day of a Parquet file."""

    def __init__(self, spec: RecordedSpec, clock: Clock, *, seed: int = 1) -> None:
        """Reads the file. Raises ``Invalid`` as ``recording.read`` does, and for a ``from``
        after the last record."""
        recording = read(spec.file, spec.day)
        today = day_of(int(clock.now().timestamp()))
        self._tracks = _tracks(recording, today)
        super().__init__(
            [_instrument(place, key, track.tick) for place, (key, track) in
             enumerate(self._tracks.items())],
            seed=seed,
        )  # fmt: skip
        self._clock = clock
        self._speed = spec.speed
        self._day = recording.day
        self._bar_seconds = recording.seconds
        self._hours = _hours(self._tracks, today, recording.seconds)
        self._midnight = datetime.fromtimestamp(day_start(today), UTC)
        self._began_at = self._midnight + self._begin(spec, today)
        self._began = clock.monotonic()

    @property
    def name(self) -> str:
        """``recorded 2021-05-27 ×10``."""
        return f"recorded {np.datetime64(self._day, 'D')} ×{self._speed:g}"

    @property
    def speed(self) -> float:
        """Market seconds in one second of the wall clock, as the spec says."""
        return self._speed

    def now(self) -> datetime:
        """Where the recording stands, shown as today; never past the end of the day."""
        passed = (self._clock.monotonic() - self._began) * self._speed
        end = self._midnight + timedelta(days=1) - timedelta(microseconds=1)
        left = (end - self._began_at).total_seconds()
        return end if passed >= left else self._began_at + timedelta(seconds=passed)

    def is_open(self, exchange: Exchange) -> bool:
        """From 09:15 IST, or the first record if it is earlier, to the end of the last one."""
        opens, closes = self._hours.get(exchange, (0, 0))
        return opens <= self._second() < closes

    def intervals(self) -> Collection[Interval]:
        """All for a recording of ticks; none below a minute for one of minutes."""
        if self._bar_seconds == 1:
            return tuple(Interval)
        return tuple(kept for kept in Interval if not kept.value.endswith("s"))

    def _print(self, key: InstrumentKey, second: int) -> Print | None:
        return self._tracks[key].show(second)

    def _source(self, key: InstrumentKey, interval: Interval, start: int, end: int) -> PaiseBars:  # noqa: ARG002 - one source for all
        return self._tracks[key].until(start, end, self._second())

    def _no_price_yet(self, key: InstrumentKey) -> Exception:
        return Unavailable(
            f"{key} has no price yet: its first record in this recording is later. Ask again "
            "then, or replay from a later time of day.",
            code="NO_PRICE_YET",
        )

    def _begin(self, spec: RecordedSpec, today: int) -> timedelta:
        first = min(opens for opens, _ in self._hours.values())
        last = max(closes for _, closes in self._hours.values())
        if spec.start is None:
            return timedelta(seconds=first - day_start(today))
        start = timedelta(
            hours=spec.start.hour,
            minutes=spec.start.minute,
            seconds=spec.start.second,
            microseconds=spec.start.microsecond,
        )
        if self._midnight + start >= datetime.fromtimestamp(last, UTC):
            end = datetime.fromtimestamp(last, IST).strftime("%H:%M:%S")
            raise Invalid(
                f"from={spec.start:%H:%M} is after the recording's end at {end} IST; give an "
                "earlier time or another day.",
                code="RECORDING_FROM",
            )
        return start


def _before(sums: IntArray) -> list[int]:
    """What had been summed before each row."""
    return [0, *sums.tolist()]


def _with_last(column: IntArray, value: int) -> IntArray:
    changed = column.copy()
    changed[-1] = value
    return changed


def _shown_days(days: IntArray, today: int) -> IntArray:
    """The days on which recorded ``days`` are shown: the last is today, the rest weekdays."""
    shown = [today]
    while len(shown) < len(days):
        day = shown[-1] - 1
        while (day + 3) % 7 >= 5:  # Monday is 0
            day -= 1
        shown.append(day)
    return np.array(shown[::-1], dtype=np.int64)


def _tracks(recording: Recording, today: int) -> dict[InstrumentKey, Track]:
    moves = (_shown_days(recording.days, today) - recording.days) * DAY_SECONDS
    tracks = {}
    for key, bars in recording.series.items():
        places = np.searchsorted(recording.days, (bars.start + IST_OFFSET) // DAY_SECONDS)
        shown = PaiseBars(bars.start + moves[places], *bars.columns()[1:])
        on_grid = all((column % 5 == 0).all() for column in shown.columns()[1:5])
        tracks[key] = Track(shown, seconds=recording.seconds, today=today, tick=5 if on_grid else 1)
    return tracks


def _hours(
    tracks: dict[InstrumentKey, Track], today: int, seconds: int
) -> dict[Exchange, tuple[int, int]]:
    """Today's first open second and the first closed one, by exchange."""
    midnight = day_start(today)
    hours: dict[Exchange, tuple[int, int]] = {}
    for key, track in tracks.items():
        starts = track.bars.between(midnight, midnight + DAY_SECONDS).start
        if len(starts):
            opens, closes = hours.get(key.exchange, (midnight + SESSION_START, 0))
            hours[key.exchange] = (
                min(opens, int(starts[0])),
                max(closes, int(starts[-1]) + seconds),
            )
    return hours


def _instrument(place: int, key: InstrumentKey, tick: int) -> Instrument:
    return Instrument(
        key=key,
        token=str(1001 + place),
        name=NAMES.get(key.symbol, key.symbol),
        tick_size=Decimal(tick).scaleb(-2),
        instrument_type="INDEX" if key.exchange.is_index else "EQ",
    )
