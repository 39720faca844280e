"""A market that needs nothing: seeded, always open, the same again for the same seed.

Every calendar day is a day of this market, weekends too, so that a strategy can be tried at
any hour; prices are lively between 09:15 and 15:30 IST and quiet outside. Nothing is stored:
a price is a function of seed, instrument and second (see ``paths``).
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.ports import Clock
from algohost.domain.quotes import Interval, Quote
from algohost.market.bars import DAY_SECONDS, PaiseBars, day_of, day_start
from algohost.market.catalogue import listings
from algohost.market.noise import FIRST_DAY, SLOT_SECONDS, Factor
from algohost.market.paths import Path
from algohost.market.service import MarketService, Print
from algohost.market.spans import days_between, minutes_between, place_of, seconds_between

MAX_SOURCE_BARS: Final = 1_000_000
"""Minutes or seconds that one question may touch: 694 days of minutes, 11 of seconds."""


class SyntheticMarket(MarketService):
    """The ``Market`` port over seeded random paths and the wall clock."""

    def __init__(self, clock: Clock, *, seed: int = 1) -> None:
        listed = listings()
        super().__init__([item.instrument for item in listed], seed=seed)
        self._clock = clock
        market = Factor(seed, "market", keep=32)
        sectors = {
            item.sector: Factor(seed, f"sector {item.sector}", keep=16)
            for item in listed
            if item.sector
        }
        self._paths = {
            item.instrument.key: Path(seed, item, market, sectors.get(item.sector))
            for item in listed
        }
        self._keys = tuple(self._paths)

    @property
    def name(self) -> str:
        """``synthetic``."""
        return "synthetic"

    @property
    def speed(self) -> float:
        """Always 1: this market runs with the wall clock."""
        return 1.0

    def now(self) -> datetime:
        """The wall clock."""
        return self._clock.now()

    def is_open(self, exchange: Exchange) -> bool:  # noqa: ARG002 - part of the port
        """Always: this market never closes."""
        return True

    def intervals(self) -> Collection[Interval]:
        """All of them."""
        return tuple(Interval)

    def _print(self, key: InstrumentKey, second: int) -> Print | None:
        day, slot, place = place_of(second)
        if day < FIRST_DAY:
            return None
        seconds = self._paths[key].seconds(day, slot)
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

    def _changed(self, second: int) -> list[Quote]:
        self._prepare(second)
        return super()._changed(second)

    def _prepare(self, second: int) -> None:
        """Draws the next slot of one instrument, so that no tick has to draw all of them."""
        number = second % SLOT_SECONDS
        if number < len(self._keys) and second >= day_start(FIRST_DAY):
            day, slot, _ = place_of(second + SLOT_SECONDS)
            self._paths[self._keys[number]].seconds(day, slot)

    def _source(self, key: InstrumentKey, interval: Interval, start: int, end: int) -> PaiseBars:
        path, now = self._paths[key], self._second()
        start, end = max(start, day_start(FIRST_DAY)), min(end, now + 1)
        if start >= end:
            return PaiseBars.none()
        length = interval.length
        if length is None:
            return days_between(path, day_of(start), day_of(end - 1), now)
        unit = 60 if length.total_seconds() >= 60 else 1
        if (end - start) // unit > MAX_SOURCE_BARS:
            days = MAX_SOURCE_BARS * unit // DAY_SECONDS
            raise Invalid(
                f"This span is too long for bars of {interval.value}; ask for {days} days or "
                "fewer, or for a longer interval.",
                code="SPAN_TOO_LONG",
            )
        if unit == 1:
            return seconds_between(path, start, end)
        return minutes_between(path, start, end, now)

    def _no_price_yet(self, key: InstrumentKey) -> Exception:
        return Unavailable(
            f"The synthetic market begins on 2014-01-01 and has no price of {key} before it; "
            "set this machine's clock.",
            code="NO_PRICE_YET",
        )
