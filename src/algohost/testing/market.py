"""A market that shows what a test says."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from algohost.domain.errors import NotFound
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.ports import QuotesListener, Wants
from algohost.domain.quotes import Bar, Depth, DepthLevel, Interval, Quote


class TableMarket:
    """Implements ``Market`` from tables.

    ``show`` sets a quote, ``tick`` tells the listeners. ``at``, ``closed`` and ``size`` are the
    market's instant, its closed exchanges and the units on each side; a test sets them.
    """

    name = "table"

    def __init__(self, instruments: Iterable[Instrument], *, at: datetime) -> None:
        self.at = at
        self.closed: set[Exchange] = set()
        self.size = 1_000_000
        self.wanted: list[Wants] = []
        self.bars: dict[tuple[InstrumentKey, Interval], Sequence[Bar]] = {}
        self._instruments = {instrument.key: instrument for instrument in instruments}
        self._quotes: dict[InstrumentKey, Quote] = {}
        self._changed: dict[InstrumentKey, Quote] = {}
        self._listeners: list[QuotesListener] = []

    def show(
        self,
        key: InstrumentKey,
        *,
        last: str,
        bid: str | None = None,
        ask: str | None = None,
        previous_close: str | None = None,
    ) -> Quote:
        """The newest quote of ``key``; a side that is not given stands at ``last``."""
        price, before = Decimal(last), self._quotes.get(key)
        shown = Quote(
            key=key,
            at=self.at,
            last=price,
            bid=price if bid is None else Decimal(bid),
            ask=price if ask is None else Decimal(ask),
            open=before.open if before else price,
            high=max(before.high, price) if before else price,
            low=min(before.low, price) if before else price,
            previous_close=price if before is None else before.previous_close,
            volume=before.volume if before else 0,
        )
        if previous_close is not None:
            shown = replace(shown, previous_close=Decimal(previous_close))
        self._quotes[key] = self._changed[key] = shown
        return shown

    def tick(self) -> Sequence[Quote]:
        """Tells the listeners all quotes that were shown since the last tick."""
        quotes = list(self._changed.values())
        self._changed.clear()
        for listener in list(self._listeners):
            listener(quotes)
        return quotes

    def now(self) -> datetime:
        """As ``Market.now``: what the test set."""
        return self.at

    def instruments(self) -> Sequence[Instrument]:
        """As ``Market.instruments``."""
        return list(self._instruments.values())

    def find(self, key: InstrumentKey) -> Instrument | None:
        """As ``Market.find``."""
        return self._instruments.get(key)

    def search(self, text: str, exchange: Exchange | None) -> Sequence[Instrument]:
        """As ``Market.search``, in the order of the table."""
        return [
            row
            for row in self._instruments.values()
            if text.upper() in f"{row.key.symbol} {row.name}".upper()
            and exchange in {None, row.key.exchange}
        ]

    def is_open(self, exchange: Exchange) -> bool:
        """As ``Market.is_open``."""
        return exchange not in self.closed

    def quote(self, key: InstrumentKey) -> Quote:
        """As ``Market.quote``."""
        try:
            return self._quotes[key]
        except KeyError:
            raise NotFound(f"There is no quote of {key}. Check the symbol.") from None

    def depth(self, key: InstrumentKey) -> Depth:
        """As ``Market.depth``: one level a side, of ``size`` units."""
        return self.depth_of(self.quote(key))

    def depth_of(self, quote: Quote) -> Depth:
        """As ``Market.depth_of``."""
        size = self.size
        return Depth(
            quote=quote,
            bids=(DepthLevel(price=quote.bid, quantity=size, orders=1),),
            asks=(DepthLevel(price=quote.ask, quantity=size, orders=1),),
            total_bid_quantity=size,
            total_ask_quantity=size,
        )

    def history(
        self, key: InstrumentKey, interval: Interval, start: datetime, end: datetime
    ) -> Sequence[Bar]:
        """As ``Market.history``, from ``bars``."""
        if key not in self._instruments:
            raise NotFound(f"{key} is not listed. Check the symbol.")
        bars = self.bars.get((key, interval), ())
        return [bar for bar in bars if start <= bar.start < end and bar.start <= self.at]

    def intervals(self) -> Collection[Interval]:
        """As ``Market.intervals``."""
        return {interval for _, interval in self.bars}

    def listen(self, listener: QuotesListener, wants: Wants | None = None) -> Callable[[], None]:
        """As ``Market.listen``; what a test shows ticks, wanted or not. ``wanted`` has it all."""
        if wants is not None:
            self.wanted.append(wants)
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
