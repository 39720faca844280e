"""The pure engine: market events a second, with orders that rest.

A thousand orders rest in fifty instruments: limits on both sides and stops, as far from the market
as people put them. Prices walk by ticks; one quote of a hundred or so touches an order, which then
trades and is placed anew. Measured is the deciding alone, with the honest fill model: no journal,
no disk. What is called an event is one quote of one instrument.

The rival, in the same process and on the same quotes, is the obvious way: look at every order that
rests in the instrument.
"""

import gc
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
from algohost.domain.quotes import Quote
from algohost.exchange import rules
from algohost.exchange.account import AccountState
from algohost.exchange.checks import waits_for_trigger
from algohost.exchange.events import AccountOpened, Event
from algohost.exchange.fills import reaches, trigger_touched
from algohost.exchange.honest import HONEST
from algohost.exchange.matching import Venue, on_quotes
from algohost.exchange.numbers import numbered
from benchmarks.figures import Figure, median
from benchmarks.measures import Amount
from benchmarks.server import Server

INSTRUMENTS: Final = 50
RESTING: Final = 1_000
TICKS: Final = 1_000
ROUNDS: Final = 3
GOAL: Final = 300_000

_ACCOUNT: Final = AccountId("paper-bench")
_BOOK: Final = Book(account_id=_ACCOUNT, strategy_id=StrategyId("bench_20260101000000"))
_MORNING: Final = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
_TICK: Final = Decimal("0.05")
_LEVEL: Final = 20_000  # ticks: ₹1,000.00


def matching(_server: Server, _amount: Amount) -> list[Figure]:
    """Quotes a second, of both in one fresh process."""
    words = [sys.executable, "-m", "benchmarks.matching"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=180)
    ours, rival, touched = (float(word) for word in done.stdout.split())
    return [
        Figure(
            name=f"market events a second, {RESTING:,} orders resting ({touched:.1f} % touch one)",
            unit="1/s",
            ours=ours,
            rival=rival,
            goal=GOAL,
            more_is_better=True,
        )
    ]


def _keys() -> Sequence[InstrumentKey]:
    return [InstrumentKey(exchange=Exchange.NSE, symbol=f"S{n:02d}") for n in range(INSTRUMENTS)]


def _walk(keys: Sequence[InstrumentKey], chance: random.Random) -> Sequence[Sequence[Quote]]:
    """Ticks of all instruments, each price a step from the one before."""
    last = dict.fromkeys(keys, _LEVEL)
    ticks = []
    for second in range(TICKS):
        at = _MORNING + timedelta(seconds=second)
        for key in keys:
            last[key] += chance.choice((-2, -1, 0, 0, 1, 2))
        ticks.append([_quote(key, last[key] * _TICK, at, second) for key in keys])
    return ticks


def _quote(key: InstrumentKey, last: Decimal, at: datetime, second: int) -> Quote:
    return Quote(
        key=key,
        at=at,
        last=last,
        bid=last - _TICK,
        ask=last,
        open=last,
        high=last,
        low=last,
        previous_close=Decimal(0),
        volume=1_000 + 100 * second,
    )


class _Desk:
    """One account with its orders."""

    def __init__(self, keys: Sequence[InstrumentKey], chance: random.Random) -> None:
        self.chance = chance
        self.state = AccountState(_ACCOUNT)
        self.state.apply(
            AccountOpened(at=_MORNING, account_id=_ACCOUNT, account_number=1, cash=Decimal(10**12))
        )
        self.instruments = {
            key: Instrument(key=key, token=str(n), name=key.symbol) for n, key in enumerate(keys)
        }
        self.venue = Venue(find=self.instruments.get)
        self.last = {key: _quote(key, _LEVEL * _TICK, _MORNING, 0) for key in keys}
        for number in range(RESTING):
            self.place(keys[number % len(keys)], _MORNING)

    def mark(self, key: InstrumentKey) -> Decimal | None:
        return self.last[key].last

    def take(self, happened: Sequence[Event]) -> None:
        for event in happened:
            self.state.apply(event)

    def place(self, key: InstrumentKey, at: datetime) -> None:
        """An order 5 to 200 ticks from the market."""
        quote, away = self.last[key], self.chance.randint(5, 200) * _TICK
        action = self.chance.choice((Action.BUY, Action.SELL))
        kind = self.chance.choice((PriceType.LIMIT, PriceType.LIMIT, PriceType.SL_M))
        is_below = (action is Action.BUY) == (kind is PriceType.LIMIT)
        price = quote.last - away if is_below else quote.last + away
        request = OrderRequest(
            key=key,
            action=action,
            quantity=10,
            price_type=kind,
            product=Product.MIS,
            price=price,
            trigger_price=price,
        )
        serial = self.state.last_order_serial + 1
        order = Order(
            id=OrderId(numbered(at=at, account_number=1, serial=serial)),
            book=_BOOK,
            request=request,
            status=OrderStatus.INTENDED,
            placed_at=at,
            updated_at=at,
        )
        scene = rules.Scene(
            at=at,
            instrument=self.instruments[key],
            quote=quote,
            is_open=True,
            marks=self.mark,
            fills=HONEST,
            memory=self.venue.memory,
        )
        self.take(rules.place(self.state, order, scene))


def _ours(desk: _Desk, quotes: Sequence[Quote]) -> Sequence[Event]:
    return on_quotes(
        desk.state,
        quotes,
        at=quotes[0].at,
        marks=desk.mark,
        fills=HONEST,
        venue=desk.venue,
    )


def _rival(desk: _Desk, quotes: Sequence[Quote]) -> Sequence[Event]:
    """Looks at every order of each quoted instrument, then decides as we do."""
    touched = [
        order
        for quote in quotes
        for item in desk.state.resting(quote.key).values()
        if _concerns(order := item.order, quote)
    ]
    return _ours(desk, quotes) if touched else ()


def _concerns(order: Order, quote: Quote) -> bool:
    if waits_for_trigger(order, order.request):
        return trigger_touched(order, quote)
    touch = quote.ask if order.request.action is Action.BUY else quote.bid
    return reaches(order, touch) or reaches(order, quote.last)


def _measured(decide: Callable[[_Desk, Sequence[Quote]], Sequence[Event]]) -> tuple[float, float]:
    """Quotes a second, and the share in per cent of those that made something happen."""
    chance = random.Random(7)
    keys = _keys()
    desk, ticks = _Desk(keys, chance), _walk(keys, chance)
    seconds, touched = 0.0, 0
    gc.collect()
    gc.disable()
    for quotes in ticks:
        desk.last = dict(zip(keys, quotes, strict=True))
        began = time.perf_counter()
        happened = decide(desk, quotes)
        seconds += time.perf_counter() - began
        desk.take(happened)
        missing = RESTING - len(desk.state.open_orders()) if happened else 0
        touched += missing
        for _ in range(missing):
            desk.place(chance.choice(keys), quotes[0].at)
    gc.enable()
    return TICKS * INSTRUMENTS / seconds, 100 * touched / (TICKS * INSTRUMENTS)


def main() -> None:
    """Prints our figure, the rival's and the share of quotes that touched an order."""
    ours, rival = ([_measured(way) for _ in range(ROUNDS)] for way in (_ours, _rival))
    print(median([speed for speed, _ in ours]), median([speed for speed, _ in rival]), ours[0][1])


if __name__ == "__main__":
    main()
