"""A trading desk for tests: one account, commands in short form, every event through JSON."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from algohost.domain.gtt import Gtt, GttId, GttKind, GttLeg, GttRequest
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
from algohost.domain.ports import JournalRecord
from algohost.domain.quotes import Depth, DepthLevel, Quote
from algohost.exchange import gtt as gtts
from algohost.exchange import rules
from algohost.exchange.account import AccountState, PositionKey
from algohost.exchange.charges import FREE, ChargeModel
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import AccountOpened, Event
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.margins import FLAT_MARGIN, MarginModel
from algohost.exchange.matching import Venue, on_quotes
from algohost.exchange.numbers import numbered

ACCOUNT: Final = AccountId("paper-one")
MORNING: Final = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # Monday 09:30 IST

INFY: Final = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
TCS: Final = InstrumentKey(exchange=Exchange.NSE, symbol="TCS")
NIFTY: Final = InstrumentKey(exchange=Exchange.NSE_INDEX, symbol="NIFTY")
FUTURE: Final = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV26FUT")
SINGLE: Final = InstrumentKey(exchange=Exchange.NFO, symbol="TCS29DEC26FUT")
"""A future in lots of one, for those who trade any number."""

INSTRUMENTS: Final = {
    row.key: row
    for row in (
        Instrument(key=INFY, token="1", name="Infosys"),
        Instrument(key=TCS, token="2", name="Tata Consultancy"),
        Instrument(key=NIFTY, token="3", name="Nifty 50", instrument_type="INDEX"),
        Instrument(
            key=FUTURE,
            token="4",
            name="Nifty",
            lot_size=75,
            instrument_type="FUT",
            freeze_quantity=1800,
        ),
        Instrument(key=SINGLE, token="5", name="Tata Consultancy", instrument_type="FUT"),
    )
}


def book(strategy: str | None = "ema_20261123093000") -> Book:
    """One strategy's book, or the unattributed one."""
    return Book(account_id=ACCOUNT, strategy_id=None if strategy is None else StrategyId(strategy))


EMA: Final = book()
RSI: Final = book("rsi_20261123093000")
UNATTRIBUTED: Final = book(None)


def request(text: str, key: InstrumentKey = INFY) -> OrderRequest:
    """``BUY 10 LIMIT 100``, ``SELL 5 SL-M @95 CNC``, ``BUY 1 SL 101 @100.5 MIS``."""
    action, quantity, price_type, *rest = text.split()
    price = trigger = Decimal(0)
    product = Product.MIS
    for word in rest:
        if word.isalpha() and word in Product.__members__:
            product = Product(word)
        elif word.startswith("@"):
            trigger = Decimal(word[1:])
        else:
            price = Decimal(word)
    return OrderRequest(
        key=key,
        action=Action(action),
        quantity=int(quantity),
        price_type=PriceType(price_type),
        product=product,
        price=price,
        trigger_price=trigger,
    )


def gtt_request(text: str, key: InstrumentKey = INFY) -> GttRequest:
    """``SELL 10 CNC 95:94.5 110:109.5``: trigger and limit of each leg; no limit is MARKET."""
    action, quantity, product, *legs = text.split()
    pairs = [leg.partition(":")[::2] for leg in legs]
    return GttRequest(
        key=key,
        action=Action(action),
        quantity=int(quantity),
        product=Product(product),
        kind=GttKind.OCO if len(pairs) == 2 else GttKind.SINGLE,
        legs=tuple(
            GttLeg(
                trigger_price=Decimal(trigger),
                price_type=PriceType.LIMIT if price else PriceType.MARKET,
                price=Decimal(price or 0),
            )
            for trigger, price in pairs
        ),
    )


def quote(
    key: InstrumentKey = INFY,
    *,
    last: str,
    bid: str | None = None,
    ask: str | None = None,
    at: datetime = MORNING,
    previous_close: str = "0",
    volume: int = 0,
) -> Quote:
    """A quote; a side that is not given stands at the last price. Without a previous close there
    are no circuit limits."""
    price = Decimal(last)
    return Quote(
        key=key,
        at=at,
        last=price,
        bid=price if bid is None else Decimal(bid),
        ask=price if ask is None else Decimal(ask),
        open=price,
        high=price,
        low=price,
        previous_close=Decimal(previous_close),
        volume=volume,
    )


def depth(shown: Quote, bids: str, asks: str) -> Depth:
    """Levels around a quote, best first: ``300@99.95 500@99.90``."""

    def side(text: str) -> tuple[DepthLevel, ...]:
        pairs = [level.split("@") for level in text.split()]
        return tuple(
            DepthLevel(price=Decimal(price), quantity=int(units), orders=1)
            for units, price in pairs
        )

    return Depth(
        quote=shown,
        bids=side(bids),
        asks=side(asks),
        total_bid_quantity=0,
        total_ask_quantity=0,
    )


class Desk:
    """Drives the pure core as the paper broker does, and keeps the journal."""

    def __init__(
        self,
        cash: str = "100000",
        *,
        fills: FillModel = AT_TOUCH,
        margin: MarginModel = FLAT_MARGIN,
        charges: ChargeModel = FREE,
    ) -> None:
        self.state = AccountState(ACCOUNT, margin=margin, charges=charges)
        self.records: list[JournalRecord] = []
        self.at = MORNING
        self.is_open = True
        self.fills = fills
        self.quotes: dict[InstrumentKey, Quote] = {}
        self.depths: dict[InstrumentKey, Depth] = {}
        self.intraday_over_since: datetime | None = None
        self.expired_at: datetime | None = None
        self.refused: dict[Book, str] = {}
        self.venue = self.new_venue()
        opened = AccountOpened(
            at=self.at, account_id=ACCOUNT, account_number=482913, cash=Decimal(cash)
        )
        self.keep([opened])

    def keep(self, happened: Sequence[Event]) -> Sequence[Event]:
        """Journals events and takes them in, each as it comes back out of JSON."""
        for event in happened:
            record = to_record(event, number=self.state.events + 1)
            body = json.loads(json.dumps(record.body))
            record = replace(record, body=body)
            self.records.append(record)
            self.state.apply(from_record(record))
        return happened

    def mark(self, key: InstrumentKey) -> Decimal | None:
        """The last price shown."""
        shown = self.quotes.get(key)
        return shown.last if shown else None

    def show(self, shown: Quote) -> Sequence[Event]:
        """One tick of one instrument."""
        return self.tick([shown])

    def tick(self, shown: Sequence[Quote]) -> Sequence[Event]:
        """One tick of several instruments."""
        self.quotes.update({quote.key: quote for quote in shown})
        return self.keep(
            on_quotes(
                self.state,
                shown,
                at=self.at,
                marks=self.mark,
                fills=self.fills,
                venue=self.venue,
            )
        )

    def new_venue(self) -> Venue:
        """What matching asks of the market, with nothing remembered, as after a restart."""
        return Venue(find=INSTRUMENTS.get, depth=self.depth, refusal=self.refusal)

    def refusal(self, owner: Book, _asked: OrderRequest) -> str | None:
        """Why a book may place nothing now."""
        return self.refused.get(owner)

    def depth(self, shown: Quote) -> Depth | None:
        """The levels that a test has put around a quote."""
        return self.depths.get(shown.key)

    def scene(self, key: InstrumentKey) -> rules.Scene:
        """What the market shows of an instrument now."""
        return rules.Scene(
            at=self.at,
            instrument=INSTRUMENTS[key],
            quote=self.quotes.get(key),
            is_open=self.is_open,
            marks=self.mark,
            fills=self.fills,
            depth=self.depths.get(key),
            intraday_over_since=self.intraday_over_since,
            expired_at=self.expired_at,
            memory=self.venue.memory,
        )

    def intended(self, asked: OrderRequest, owner: Book = EMA) -> Order:
        """An order with the account's next number."""
        serial = self.state.last_order_serial + 1
        return Order(
            id=OrderId(numbered(at=self.at, account_number=482913, serial=serial)),
            book=owner,
            request=asked,
            status=OrderStatus.INTENDED,
            placed_at=self.at,
            updated_at=self.at,
        )

    def place(
        self, asked: str | OrderRequest, key: InstrumentKey = INFY, *, owner: Book = EMA
    ) -> Order:
        """Places an order and returns it as it stands."""
        wanted = request(asked, key) if isinstance(asked, str) else asked
        order = self.intended(wanted, owner)
        self.keep(rules.place(self.state, order, self.scene(wanted.key)))
        return self.order(order.id)

    def modify(self, order_id: OrderId, changes: OrderChanges) -> Order:
        """Modifies an order and returns it as it stands."""
        key = rules.changeable(self.state, order_id).request.key
        self.keep(rules.modify(self.state, order_id, changes, self.scene(key)))
        return self.order(order_id)

    def cancel(self, order_id: OrderId) -> Order:
        """Cancels an order and returns it as it stands."""
        self.keep(rules.cancel(self.state, order_id, at=self.at))
        return self.order(order_id)

    def order(self, order_id: OrderId) -> Order:
        """The order as it stands."""
        order = self.state.order(order_id)
        assert order is not None
        return order

    def place_gtt(self, asked: GttRequest, *, owner: Book = EMA) -> Gtt:
        """Places a GTT and returns it."""
        first = self.state.last_order_serial + 1
        ids = [
            OrderId(numbered(at=self.at, account_number=482913, serial=serial))
            for serial in (first, first + 1)
        ]
        numbers = (ids[0], ids[1])
        self.keep(gtts.place(self.state, owner, asked, self.scene(asked.key), numbers=numbers))
        return self.gtt(ids[0])

    def modify_gtt(self, gtt_id: str, asked: GttRequest) -> Gtt:
        """Modifies a GTT and returns it as it stands."""
        self.keep(gtts.modify(self.state, GttId(gtt_id), asked, self.scene(asked.key)))
        return self.gtt(gtt_id)

    def cancel_gtt(self, gtt_id: str) -> Gtt:
        """Cancels a GTT and returns it as it stands."""
        self.keep(gtts.cancel(self.state, GttId(gtt_id), at=self.at, reason="On request."))
        return self.gtt(gtt_id)

    def gtt(self, gtt_id: str) -> Gtt:
        """The GTT as it stands."""
        return gtts.known(self.state, GttId(gtt_id))

    def held(
        self, owner: Book = EMA, key: InstrumentKey = INFY, product: Product = Product.MIS
    ) -> int:
        """Net units of one position."""
        return self.state.group(PositionKey(owner, key, product)).position.quantity

    def next_day(self) -> None:
        """Moves the clock by 24 hours."""
        self.at += timedelta(days=1)
