"""What positions are worth at one moment: each instrument is looked up once, however many books."""

from decimal import Decimal

from algohost.broker.ports import HasPrices
from algohost.broker.views import DayPnl, PositionView
from algohost.domain.errors import NotFound
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Position
from algohost.domain.ports import Market
from algohost.domain.quotes import Quote
from algohost.exchange.day import DayPosition


class Prices:
    """The quotes of the moment at which it is made; for one answer, not to be kept."""

    def __init__(self, market: Market, broker: object = None) -> None:
        """The market's, unless ``broker`` has prices of its own."""
        self._market: HasPrices | Market = broker if isinstance(broker, HasPrices) else market
        self._quotes: dict[InstrumentKey, Quote | None] = {}

    def view(self, position: Position) -> PositionView:
        """The position at its last price; at its own where the market lists it no longer."""
        quote = self._quote(position.key)
        return PositionView(
            position=position, last=position.average_price if quote is None else quote.last
        )

    def gained(self, day: DayPosition) -> DayPnl:
        """What a position gained since the day began, carried units since the previous close."""
        traded = day.traded
        return DayPnl(
            realised=traded.realised, unrealised=self._change(day), charges=traded.charges
        )

    def _change(self, day: DayPosition) -> Decimal:
        quote = self._quote(day.opening.key)
        if quote is None:
            return ZERO
        now = day.traded.unrealised(quote.last) + day.settled.unrealised(quote.last)
        return now - day.opening.unrealised(quote.previous_close)

    def _quote(self, key: InstrumentKey) -> Quote | None:
        if key not in self._quotes:
            try:
                self._quotes[key] = self._market.quote(key)
            except NotFound:
                self._quotes[key] = None
        return self._quotes[key]
