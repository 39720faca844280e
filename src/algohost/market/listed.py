"""The prices of all that a list has beyond the catalogue: made when they are asked for.

Nothing is drawn for what nobody looks at. What was looked at last is kept, so many contracts and so
many paths below them, and more of both where more is watched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from algohost.domain.contract_symbols import ContractParts, parts_of
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import ContractList
from algohost.market import options, spots
from algohost.market.bars import DAY_SECONDS, day_of, day_start
from algohost.market.catalogue import Listing
from algohost.market.contracts import specs
from algohost.market.derived import (
    DayTrading,
    DerivedPath,
    Trading,
    expires_at,
)
from algohost.market.money import paise
from algohost.market.noise import FIRST_DAY, SLOT_SECONDS, Cache, Factor
from algohost.market.paths import Glance, Kept, Path
from algohost.market.prints import Terms
from algohost.market.rules import Linear, Option, Rule
from algohost.market.spans import place_of
from algohost.market.surface import Activity, Surface

CONTRACTS_KEPT: Final = 400
"""Contracts that are kept made up, beside those that are watched."""
PATHS_KEPT: Final = 8
"""Paths that are kept drawn: a third of a megabyte each."""
GLANCES_KEPT: Final = 400
"""Slots of which is kept what quotes need, beside those that are watched: 6 KB each."""
_SLIM: Final = Kept(slots=1, minutes=2, seconds=2)
_BSE_SHARE: Final = 0.1
"""What BSE trades of a stock, of what NSE does."""
MOST_MATCHES: Final = 200
"""Instruments of the list that a search finds."""
_EPOCH: Final = date(1970, 1, 1).toordinal()
_YEARS: Final = 1_830
_YEAR: Final = 400
_QUARTER: Final = 100


Glances = Cache[tuple[InstrumentKey, int, int], Glance]
"""By path, day and slot."""


@dataclass(frozen=True)
class _Followed:
    """Implements ``Spot``: of what is drawn, the little that quotes need is kept much longer."""

    key: InstrumentKey
    glances: Glances
    path: Callable[[], Path]

    def glance(self, day: int, slot: int) -> Glance:
        return self.glances.obtain((self.key, day, slot), lambda: self.path().glance(day, slot))


class Entry(NamedTuple):
    """One instrument with its prices."""

    instrument: Instrument
    terms: Terms
    path: DerivedPath
    gone_at: float
    """The epoch second from which it is listed no more."""


class ListedPaths:
    """What the list has, with prices; of one market, on its loop."""

    def __init__(
        self,
        seed: int,
        *,
        market: Factor,
        sectors: Mapping[str, Factor],
        own: Mapping[InstrumentKey, Path],
    ) -> None:
        self._seed = seed
        self._market = market
        self._sectors = sectors
        self._own = own
        self._contracts: ContractList | None = None
        self._entries: Cache[InstrumentKey, Entry] = Cache(CONTRACTS_KEPT)
        self._paths: Cache[InstrumentKey, Path] = Cache(PATHS_KEPT)
        self._glances: Glances = Cache(GLANCES_KEPT)

    def use_list(self, contracts: ContractList) -> None:
        """Takes a new list for the old one."""
        self._contracts = contracts
        self._entries.clear()

    def expect(self, watched: int) -> None:
        """Makes room for so many instruments that will be asked for all the time."""
        self._entries.resize(CONTRACTS_KEPT + watched)
        self._glances.resize(GLANCES_KEPT + watched)

    def prepare(self, number: int, second: int) -> None:
        """Draws what quotes need at ``second``, a slot ahead, of one that was looked at in this
        slot: of the one with this number, so that in time each of them has its turn."""
        day, slot, _ = place_of(second - SLOT_SECONDS)
        looked_at = [key for key, *at in self._glances if at == [day, slot]]
        if number < len(looked_at):
            key = looked_at[number]
            _Followed(key, self._glances, partial(self._known, key)).glance(*place_of(second)[:2])

    def find(self, key: InstrumentKey, second: int) -> Instrument | None:
        """The instrument of that name, where it is listed at ``second`` and has prices."""
        entry = self._entries.get(key)
        if entry is not None:
            return entry.instrument if second < entry.gone_at else None
        found = None if self._contracts is None else self._contracts.find(key)
        return found if found is not None and self.has_prices(found, second) else None

    def search(self, text: str, exchange: Exchange | None, second: int) -> Sequence[Instrument]:
        """The best matches of the list that are not the market's own."""
        if self._contracts is None:
            return []
        found = self._contracts.search(text, exchange, limit=MOST_MATCHES)
        return [one for one in found if one.key not in self._own and self.has_prices(one, second)]

    def has_prices(self, listed: Instrument, second: int) -> bool:
        """Whether an instrument of a list is priced at ``second``; draws nothing."""
        parts = None
        if listed.expiry is not None:
            if listed.expiry.toordinal() - _EPOCH < day_of(second):
                return False
            parts = parts_of(listed.key.symbol)
        path = spots.spot_of(_underlying(listed.key, parts)).path
        return path in self._own or spots.is_known(path)

    def entry(self, key: InstrumentKey, second: int) -> Entry | None:
        """The same with its prices."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        else:
            made = self._made(key)
            if made is None:
                return None
            entry = self._entries.obtain(key, lambda: made)
        return entry if second < entry.gone_at else None

    # One instrument --------------------------------------------------------------------------

    def _made(self, key: InstrumentKey) -> Entry | None:
        instrument = None if self._contracts is None else self._contracts.find(key)
        if instrument is None or self._contracts is None:
            return None
        parts = parts_of(key.symbol) if instrument.expiry is not None else None
        name = _underlying(key, parts)
        spot = spots.spot_of(name)
        if self._path(spot.path) is None:
            return None
        rule, of_day, since = self._rule(instrument, parts, name, spot)
        unit = spots.unit_of(key.exchange)
        terms = Terms(
            tick=max(paise(instrument.tick_size, unit), 1), unit=unit, lot=instrument.lot_size
        )
        path = DerivedPath(
            instrument,
            rule=rule,
            spot=_Followed(spot.path, self._glances, partial(self._known, spot.path)),
            tick=terms.tick,
            trading=Trading(
                seed=self._seed, stream=str(key), lot=instrument.lot_size, of_day=of_day
            ),
            since=since,
        )
        gone_at = float("inf")
        if path.ends_at is not None:
            gone_at = day_start(day_of(path.ends_at) + 1)
        return Entry(instrument, terms, path, gone_at)

    def _rule(
        self,
        instrument: Instrument,
        parts: ContractParts | None,
        name: InstrumentKey,
        spot: spots.Spot,
    ) -> tuple[Rule, Callable[[int, int], DayTrading], int]:
        """How it is priced, how it is traded, and the first day of which it has prices."""
        path, exchange = self._known(spot.path), instrument.key.exchange
        if parts is None:
            share = _BSE_SHARE if exchange is Exchange.BSE else 1.0
            expected = DayTrading(path.daily_volume * share, 0.0, 0.0)
            return Linear(ratio=spot.ratio, carry=0.0), lambda _day, _close: expected, FIRST_DAY
        forward = Linear(ratio=spot.ratio, carry=spots.carry_of(name))
        activity = Activity.of(
            exchange, parts.base, worth=path.daily_volume / max(instrument.lot_size, 1)
        )
        ends_at = expires_at(instrument) or 0
        since = day_of(ends_at) - _life(exchange, parts)
        if parts.strike is None:
            return forward, partial(_of_future, activity, ends_at), since
        option = Option(
            kind=parts.kind,
            strike=float(parts.strike) * spots.unit_of(exchange),
            forward=forward,
            further=self._further(exchange, parts),
            surface=Surface.of(spot.path, path.daily_volatility, self._seed),
        )
        return option, partial(_of_option, activity, option, ends_at), since

    def _further(self, exchange: Exchange, parts: ContractParts) -> int:
        """Seconds by which the future of an option outlives it; 0 where it is on the spot."""
        if options.spot_of(exchange, parts.base) is not None or self._contracts is None:
            return 0
        days = self._contracts.expiries(exchange, parts.base, of_options=False)
        future = next((day for day in days if day >= parts.expiry), parts.expiry)
        return (future - parts.expiry).days * DAY_SECONDS

    # The paths below -------------------------------------------------------------------------

    def _known(self, key: InstrumentKey) -> Path:
        path = self._path(key)
        if path is None:
            raise LookupError(f"no path of {key}")
        return path

    def _path(self, key: InstrumentKey) -> Path | None:
        own = self._own.get(key)
        if own is not None:
            return own
        if key not in self._paths:
            listing = spots.listing_of(key, self._seed)
            if listing is None:
                return None
            sector = self._sectors.get(listing.sector)
            drawn = Path(self._seed, listing, self._market, sector, kept=_SLIM)
            return self._paths.obtain(key, lambda: drawn)
        self._paths.move_to_end(key)
        return self._paths[key]


def levels(
    seed: int, day: int, own: Mapping[InstrumentKey, object]
) -> Mapping[InstrumentKey, Decimal]:
    """The close before ``day`` of each path that is not among ``own``, by all its names; rupees.

    Draws with factors of its own, for it is called in a thread.
    """
    market = Factor(seed, "market", keep=1).level(day - 1)
    closes: dict[InstrumentKey, float] = {}
    found: dict[InstrumentKey, Decimal] = {}
    for key in spots.names_beyond():
        spot = spots.spot_of(key)
        if key in own or spot.path in own:
            continue
        if spot.path not in closes:
            listing = spots.listing_of(spot.path, seed)
            if listing is None:
                continue
            closes[spot.path] = _close(seed, listing, market, day)
        found[key] = Decimal(round(closes[spot.path] * spot.ratio, 4)).quantize(Decimal("0.0001"))
    return found


def _close(seed: int, listing: Listing, market: float, day: int) -> float:
    key = listing.instrument.key
    moved = listing.market * market
    moved += listing.own * Factor(seed, str(key), keep=1).level(day - 1)
    if listing.sector:
        moved += listing.sector_load * Factor(seed, f"sector {listing.sector}", keep=1).level(
            day - 1
        )
    return float(listing.level * np.exp(moved)) * 100 / spots.unit_of(key.exchange)


def _underlying(key: InstrumentKey, parts: ContractParts | None) -> InstrumentKey:
    """The stock, the index or the thing that a contract is on; of what is no contract, itself."""
    if parts is None:
        return key
    spot = options.spot_of(key.exchange, parts.base)
    return spot or InstrumentKey(exchange=key.exchange, symbol=parts.base)


def _life(exchange: Exchange, parts: ContractParts) -> int:
    """For how many days before its expiry a contract has had prices."""
    if exchange not in {Exchange.NFO, Exchange.BFO}:
        return _YEAR
    if not parts.kind.is_option:
        return _QUARTER
    far = {(one.exchange, one.base) for one in specs.underlyings()
           if one.options in {"weekly", "quarterly"}}  # fmt: skip
    return _YEARS if (exchange, parts.base) in far else _QUARTER


def _of_future(activity: Activity, ends_at: int, day: int, close: int) -> DayTrading:  # noqa: ARG001
    days = max((ends_at - day_start(day)) / DAY_SECONDS, 0.0)
    lots = activity.future_lots(days)
    return DayTrading(lots, 3 * activity.held(lots, days), 0.0)


def _of_option(
    activity: Activity, option: Option, ends_at: int, day: int, close: int
) -> DayTrading:
    left = max(ends_at - day_start(day), SLOT_SECONDS)
    deviations, days = option.deviations(close, left), left / DAY_SECONDS
    lots = activity.option_lots(option.kind, deviations, days)
    return DayTrading(lots, activity.held(lots, days), activity.spread_share(deviations))
