"""A trading desk for tests: one account, commands in short form, every event through JSON."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

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
from algohost.domain.quotes import Quote
from algohost.exchange import rules
from algohost.exchange.account import AccountState, PositionKey
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import AccountOpened, Event
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.matching import on_quotes
from algohost.exchange.numbers import numbered

ACCOUNT: Final = AccountId("paper-one")
MORNING: Final = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # Monday 09:30 IST

INFY: Final = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
TCS: Final = InstrumentKey(exchange=Exchange.NSE, symbol="TCS")
NIFTY: Final = InstrumentKey(exchange=Exchange.NSE_INDEX, symbol="NIFTY")
FUTURE: Final = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV26FUT")

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


def quote(
    key: InstrumentKey = INFY,
    *,
    last: str,
    bid: str | None = None,
    ask: str | None = None,
    at: datetime = MORNING,
) -> Quote:
    """A quote; a side that is not given stands at the last price."""
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
        previous_close=price,
        volume=0,
    )


class Desk:
    """Drives the pure core as the paper broker does, and keeps the journal."""

    def __init__(self, cash: str = "100000", *, fills: FillModel = AT_TOUCH) -> None:
        self.state = AccountState(ACCOUNT)
        self.records: list[JournalRecord] = []
        self.at = MORNING
        self.is_open = True
        self.fills = fills
        self.quotes: dict[InstrumentKey, Quote] = {}
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
            on_quotes(self.state, shown, at=self.at, marks=self.mark, fills=self.fills)
        )

    def scene(self, key: InstrumentKey) -> rules.Scene:
        """What the market shows of an instrument now."""
        return rules.Scene(
            at=self.at,
            instrument=INSTRUMENTS[key],
            quote=self.quotes.get(key),
            is_open=self.is_open,
            marks=self.mark,
            fills=self.fills,
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

    def held(
        self, owner: Book = EMA, key: InstrumentKey = INFY, product: Product = Product.MIS
    ) -> int:
        """Net units of one position."""
        return self.state.group(PositionKey(owner, key, product)).position.quantity

    def next_day(self) -> None:
        """Moves the clock by 24 hours."""
        self.at += timedelta(days=1)
