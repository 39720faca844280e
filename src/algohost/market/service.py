"""What both markets share: the master contract, quotes from prints, the ticker."""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from algohost.domain.errors import Invalid, NotFound
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.ports import QuotesListener
from algohost.domain.quotes import Bar, Depth, Interval, Quote
from algohost.market import book
from algohost.market.bars import (
    BarColumns,
    PaiseBars,
    bar_end,
    bar_start,
    resample,
    to_bars,
    to_columns,
)
from algohost.market.money import paise, rupees

log = logging.getLogger(__name__)

MAX_TICKS_PER_SECOND = 20
"""Ticks that listeners get in one second of the wall clock, however fast the market runs."""


class Print(NamedTuple):
    """What an instrument shows at one second, in paise and units; ``at`` is the epoch second
    of the newest record, which in a quiet market may be long ago."""

    at: int
    last: int
    open: int
    high: int
    low: int
    previous_close: int
    volume: int
    last_quantity: int
    value: int
    """Paise times units traded in the day so far, for the average price."""


class MarketService(ABC):
    """The ``Market`` port, and the ticker that feeds its listeners.

    A second ``s`` of the market shows one price from ``s`` until ``s + 1``: ``quote``, the
    ticks and the bars all read the same one.
    """

    def __init__(self, instruments: Sequence[Instrument], *, seed: int) -> None:
        self._instruments = tuple(instruments)
        self._by_key = {instrument.key: instrument for instrument in self._instruments}
        self._tick_sizes = {key: paise(item.tick_size) for key, item in self._by_key.items()}
        self._seed = seed
        self._listeners: list[QuotesListener] = []
        self._served: dict[InstrumentKey, tuple[object, ...]] = {}
        self._served_second = -math.inf

    # What each market answers for itself -----------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """How the mode is shown."""

    @property
    @abstractmethod
    def speed(self) -> float:
        """Market seconds in one second of the wall clock."""

    @abstractmethod
    def now(self) -> datetime:
        """The market's own instant, aware, in UTC."""

    @abstractmethod
    def is_open(self, exchange: Exchange) -> bool:
        """Whether orders of that exchange are matched now."""

    @abstractmethod
    def intervals(self) -> Collection[Interval]:
        """The intervals that ``history`` answers."""

    @abstractmethod
    def _print(self, key: InstrumentKey, second: int) -> Print | None:
        """What a listed instrument shows at ``second``; ``None`` before its first price."""

    @abstractmethod
    def _source(self, key: InstrumentKey, interval: Interval, start: int, end: int) -> PaiseBars:
        """Bars that ``interval`` is made of, beginning in ``[start, end)``, nothing after now."""

    @abstractmethod
    def _no_price_yet(self, key: InstrumentKey) -> Exception:
        """The error for a quote before the first price."""

    # The port --------------------------------------------------------------------------------

    def instruments(self) -> Sequence[Instrument]:
        """The whole master contract, in a fixed order."""
        return self._instruments

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name, if it is listed."""
        return self._by_key.get(key)

    def search(self, text: str, exchange: Exchange | None) -> Sequence[Instrument]:
        """Instruments whose symbol or name contains ``text``, in any case: the exact symbol
        first, then symbols that begin with it, symbols that contain it, names."""
        wanted = text.strip().upper()
        if not wanted:
            return []
        ranked = [
            (rank, place)
            for place, item in enumerate(self._instruments)
            if exchange in {None, item.key.exchange} and (rank := _rank(item, wanted)) is not None
        ]
        return [self._instruments[place] for _, place in sorted(ranked)]

    def quote(self, key: InstrumentKey) -> Quote:
        """The quote of the present second.

        Raises ``NotFound`` for an instrument that is not listed and ``Unavailable`` for one
        that has had no price yet.
        """
        self._check(key)
        shown = self._print(key, self._second())
        if shown is None:
            raise self._no_price_yet(key)
        return self._quote(key, shown)

    def depth(self, key: InstrumentKey) -> Depth:
        """Five levels a side around the present quote. Raises as ``quote`` does."""
        return book.depth(self.quote(key), self._tick_sizes[key], self._seed)

    def history(
        self, key: InstrumentKey, interval: Interval, start: datetime, end: datetime
    ) -> Sequence[Bar]:
        """Bars that begin in ``[start, end)`` and not after now, oldest first."""
        return to_bars(self.history_columns(key, interval, start, end))

    def history_columns(
        self, key: InstrumentKey, interval: Interval, start: datetime, end: datetime
    ) -> BarColumns:
        """The bars of ``history`` as arrays, for answers of thousands of rows.

        Raises ``NotFound`` for an instrument that is not listed and ``Invalid`` for an interval
        that this market does not keep or a span that is too long.
        """
        self._check(key)
        if interval not in self.intervals():
            kept = ", ".join(kept.value for kept in Interval if kept in self.intervals())
            raise Invalid(
                f"This market keeps no bars of {interval.value}; ask for one of {kept}.",
                code="INTERVAL_NOT_KEPT",
            )
        first = math.ceil(start.timestamp())
        last = min(math.ceil(end.timestamp()), self._second() + 1)
        if first >= last:
            return to_columns(PaiseBars.none())
        source = self._source(
            key, interval, bar_start(first, interval), bar_end(last - 1, interval)
        )
        return to_columns(resample(source, interval).between(first, last))

    def listen(self, listener: QuotesListener) -> Callable[[], None]:
        """Calls ``listener`` at each tick until the returned function is called."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    # The ticker ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ticks at each whole second of the market until cancelled.

        A market faster than 20 seconds a second ticks 20 times a second and skips the seconds
        between; so does one whose loop was held up.
        """
        step = max(1, math.ceil(self.speed / MAX_TICKS_PER_SECOND))
        while True:
            passed = self.now().timestamp() % step
            await asyncio.sleep(max((step - passed) / self.speed, 0.001))
            try:
                self.tick()
            except Exception:  # one bad second is not the end of the ticker
                log.exception("tick_failed market=%r", self.name)

    def tick(self) -> Sequence[Quote]:
        """Shows the present second to every listener, once; returns the quotes that changed."""
        second = self._second()
        if second == self._served_second:  # after a clock jump back, seconds are shown again
            return []
        self._served_second = second
        changed = self._changed(second)
        if changed:
            for listener in tuple(self._listeners):
                try:
                    listener(changed)
                except Exception:  # one listener's fault is not the others'
                    log.exception("listener_failed listener=%r", listener)
        return changed

    def _changed(self, second: int) -> list[Quote]:
        changed = []
        for key in self._by_key:
            shown = self._print(key, second)
            if shown is None:
                continue
            best = book.best(key, shown.at, shown.last, self._tick_sizes[key], self._seed)
            state = (shown[1:], best)
            if self._served.get(key) != state:
                self._served[key] = state
                changed.append(self._quote(key, shown, best))
        return changed

    def _quote(self, key: InstrumentKey, shown: Print, best: book.Best | None = None) -> Quote:
        if best is None:
            best = book.best(key, shown.at, shown.last, self._tick_sizes[key], self._seed)
        return Quote(
            key=key,
            at=datetime.fromtimestamp(shown.at, UTC),
            last=rupees(shown.last),
            bid=rupees(best.bid),
            ask=rupees(best.ask),
            open=rupees(shown.open),
            high=rupees(shown.high),
            low=rupees(shown.low),
            previous_close=rupees(shown.previous_close),
            volume=shown.volume,
            last_quantity=shown.last_quantity,
            average_price=rupees(round(shown.value / shown.volume) if shown.volume else 0),
        )

    def _second(self) -> int:
        return math.floor(self.now().timestamp())

    def _check(self, key: InstrumentKey) -> None:
        if key not in self._by_key:
            raise NotFound(
                f"{key} is not listed in this market; search for its symbol and exchange.",
                code="INSTRUMENT_NOT_FOUND",
            )


def _rank(instrument: Instrument, wanted: str) -> int | None:
    symbol = instrument.key.symbol.upper()
    if symbol == wanted:
        return 0
    if symbol.startswith(wanted):
        return 1
    if wanted in symbol:
        return 2
    return 3 if wanted in instrument.name.upper() else None
