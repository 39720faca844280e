"""What both markets share: the master contract, quotes from prints, the ticker."""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain

from algohost.domain.errors import Invalid, NotFound
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import ContractList
from algohost.domain.ports import QuotesListener, Wants
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
from algohost.market.prints import Print, Terms

log = logging.getLogger(__name__)

MAX_TICKS_PER_SECOND = 20
"""Ticks that listeners get in one second of the wall clock, however fast the market runs."""


class MarketService(ABC):
    """The ``Market`` port, and the ticker that feeds its listeners.

    A second ``s`` of the market shows one price from ``s`` until ``s + 1``: ``quote``, the
    ticks and the bars all read the same one.
    """

    def __init__(self, instruments: Sequence[Instrument], *, seed: int) -> None:
        self._instruments = tuple(instruments)
        self._by_key = {instrument.key: instrument for instrument in self._instruments}
        self._own_terms = {
            key: Terms(tick=paise(item.tick_size)) for key, item in self._by_key.items()
        }
        self._seed = seed
        self._listeners: list[QuotesListener] = []
        self._wants: dict[QuotesListener, Wants] = {}
        self._watched: frozenset[InstrumentKey] = frozenset()
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
        """What ticks whether or not anybody watches it, in a fixed order."""
        return self._instruments

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name, if it is listed."""
        return self._by_key.get(key)

    def has_prices(self, listed: Instrument) -> bool:
        """Whether an instrument of the master contract has prices here; cheap, for whole lists."""
        return listed.key in self._by_key

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
        return self.depth_of(self.quote(key))

    def depth_of(self, quote: Quote) -> Depth:
        """Five levels a side around a quote that was shown before, the same at every call."""
        terms = self._terms(quote.key)
        return book.depth(quote, terms.tick, self._seed, unit=terms.unit, lot=terms.lot)

    def history(
        self, key: InstrumentKey, interval: Interval, start: datetime, end: datetime
    ) -> Sequence[Bar]:
        """Bars that begin in ``[start, end)`` and not after now, oldest first."""
        columns = self.history_columns(key, interval, start, end)
        return to_bars(columns, unit=self._terms(key).unit)

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
        unit = self._terms(key).unit
        source = self._source(
            key, interval, bar_start(first, interval), bar_end(last - 1, interval)
        )
        return to_columns(resample(source, interval).between(first, last), unit=unit)

    def listen(self, listener: QuotesListener, wants: Wants | None = None) -> Callable[[], None]:
        """Calls ``listener`` at each tick until the returned function is called.

        ``wants`` is asked before each tick for instruments that must be in it, beyond those that
        tick anyway.
        """
        self._listeners.append(listener)
        if wants is not None:
            self._wants[listener] = wants

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
            self._wants.pop(listener, None)

        return stop

    # The master contract ---------------------------------------------------------------------

    def use_list(self, contracts: ContractList) -> None:  # noqa: B027 - a market may not care
        """Tells the market of a new list: a market that can price more than its own does."""

    def levels(self, at: datetime) -> Mapping[InstrumentKey, Decimal]:  # noqa: ARG002
        """Previous closes at ``at``, in rupees, of what it prices beyond ``instruments()``.

        Takes a while, and may be called in a thread.
        """
        return {}

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
        for key in chain(self._by_key, self._watch(second)):
            shown = self._print(key, second)
            if shown is None:
                continue
            best = self._best(key, shown)
            state = (shown[1:], best)
            if self._served.get(key) != state:
                self._served[key] = state
                changed.append(self._quote(key, shown, best))
        return changed

    def _watch(self, second: int) -> Collection[InstrumentKey]:
        """What this tick must show beyond the market's own; of what nobody watches any more,
        nothing is kept."""
        watched = frozenset(self._more(second))
        for key in self._watched - watched:
            self._served.pop(key, None)
        self._watched = watched
        return watched

    def _more(self, second: int) -> Collection[InstrumentKey]:  # noqa: ARG002 - for who overrides
        """Instruments beyond ``instruments()`` that are to tick at ``second``."""
        return ()

    def _wanted(self) -> Iterator[InstrumentKey]:
        """What the listeners want to hear of."""
        for listener, wants in tuple(self._wants.items()):
            try:
                yield from tuple(wants())
            except Exception:  # one listener's fault is not the others'
                log.exception("wants_failed listener=%r", listener)

    def _best(self, key: InstrumentKey, shown: Print) -> book.Best:
        tick = self._terms(key).tick
        return book.best(
            key, shown.at, shown.last, tick, self._seed, spread_share=shown.spread_share
        )

    def _terms(self, key: InstrumentKey) -> Terms:
        """Of an instrument that ``find`` finds."""
        return self._own_terms[key]

    def _quote(self, key: InstrumentKey, shown: Print, best: book.Best | None = None) -> Quote:
        unit = self._terms(key).unit
        if best is None:
            best = self._best(key, shown)
        return Quote(
            key=key,
            at=datetime.fromtimestamp(shown.at, UTC),
            last=rupees(shown.last, unit),
            bid=rupees(best.bid, unit),
            ask=rupees(best.ask, unit),
            open=rupees(shown.open, unit),
            high=rupees(shown.high, unit),
            low=rupees(shown.low, unit),
            previous_close=rupees(shown.previous_close, unit),
            volume=shown.volume,
            last_quantity=shown.last_quantity,
            average_price=rupees(round(shown.value / shown.volume) if shown.volume else 0, unit),
            open_interest=shown.open_interest,
        )

    def _second(self) -> int:
        return math.floor(self.now().timestamp())

    def _check(self, key: InstrumentKey) -> None:
        if self.find(key) is None:
            raise unlisted(key)


def unlisted(key: InstrumentKey) -> NotFound:
    """The refusal of an instrument that has no prices here."""
    return NotFound(
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
