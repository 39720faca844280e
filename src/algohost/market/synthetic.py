"""A market that needs nothing: seeded, always open, the same again for the same seed.

Every calendar day is a day of this market, weekends too, so that a strategy can be tried at
any hour; prices are lively between 09:15 and 15:30 IST and quiet outside. Nothing is stored:
a price is a function of seed, instrument and second (see ``paths``).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import ContractList
from algohost.domain.ports import Clock
from algohost.domain.quotes import Interval, Quote
from algohost.market.bars import DAY_SECONDS, PaiseBars, day_of, day_start
from algohost.market.catalogue import listings
from algohost.market.derived import DerivedPath
from algohost.market.listed import Entry, ListedPaths, levels
from algohost.market.noise import FIRST_DAY, SLOT_SECONDS, Factor
from algohost.market.paths import Path
from algohost.market.prints import Print, Terms
from algohost.market.service import MarketService, unlisted
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
        self._listed = ListedPaths(seed, market=market, sectors=sectors, own=self._paths)
        self._ticking: dict[InstrumentKey, Entry] = {}
        """What the last tick showed beyond the market's own."""

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

    def use_list(self, contracts: ContractList) -> None:
        """Has prices for all that is listed: what the market does not draw follows from it."""
        self._listed.use_list(contracts)
        self._ticking = {}

    def levels(self, at: datetime) -> Mapping[InstrumentKey, Decimal]:
        """As ``MarketService.levels``."""
        return levels(self._seed, max(day_of(int(at.timestamp())), FIRST_DAY), self._paths)

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name: the market's own, or one of the list that lives."""
        own = self._by_key.get(key)
        if own is not None:
            return own
        return self._listed.find(key, self._second())

    def search(self, text: str, exchange: Exchange | None) -> Sequence[Instrument]:
        """As ``MarketService.search``; what follows of the list comes after the market's own."""
        own = super().search(text, exchange)
        return [*own, *self._listed.search(text, exchange, self._second())]

    def has_prices(self, listed: Instrument) -> bool:
        """As ``MarketService.has_prices``."""
        return listed.key in self._by_key or self._listed.has_prices(listed, self._second())

    def _terms(self, key: InstrumentKey) -> Terms:
        own = self._own_terms.get(key)
        return own if own is not None else self._entry(key).terms

    def _entry(self, key: InstrumentKey) -> Entry:
        entry = self._ticking.get(key) or self._listed.entry(key, self._second())
        if entry is None:
            raise unlisted(key)
        return entry

    def _path(self, key: InstrumentKey) -> Path | DerivedPath:
        own = self._paths.get(key)
        return own if own is not None else self._entry(key).path

    def _print(self, key: InstrumentKey, second: int) -> Print | None:
        return self._path(key).shown(second)

    def _more(self, second: int) -> Collection[InstrumentKey]:
        wanted = dict.fromkeys(key for key in self._wanted() if key not in self._paths)
        self._listed.expect(len(wanted))
        found = ((key, self._listed.entry(key, second)) for key in wanted)
        self._ticking = {key: entry for key, entry in found if entry is not None}
        return self._ticking

    def _changed(self, second: int) -> list[Quote]:
        self._prepare(second)
        return super()._changed(second)

    def _prepare(self, second: int) -> None:
        """Draws the next slot of one instrument, so that no tick has to draw all of them."""
        number = second % SLOT_SECONDS
        if number < len(self._keys) and second >= day_start(FIRST_DAY):
            day, slot, _ = place_of(second + SLOT_SECONDS)
            self._paths[self._keys[number]].seconds(day, slot)
        elif second >= day_start(FIRST_DAY):
            self._listed.prepare(number - len(self._keys), second + SLOT_SECONDS)

    def _source(self, key: InstrumentKey, interval: Interval, start: int, end: int) -> PaiseBars:
        path, now = self._path(key), self._second()
        if isinstance(path, DerivedPath):
            start = max(start, day_start(path.since))
            now = now if path.ends_at is None else min(now, path.ends_at - 1)
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
        if self._second() >= day_start(FIRST_DAY):
            return Unavailable(
                f"{key} is not traded yet: its expiry is too far away; use a nearer one.",
                code="NO_PRICE_YET",
            )
        return Unavailable(
            f"The synthetic market begins on 2014-01-01 and has no price of {key} before it; "
            "set this machine's clock.",
            code="NO_PRICE_YET",
        )
