"""Random commands and quotes against one account; the ledger is checked after every event."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import reduce
from itertools import groupby

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from algohost.domain.errors import Conflict, Invalid
from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    Position,
    PriceType,
    Product,
)
from algohost.domain.quotes import Quote
from algohost.exchange.account import ARROWS, AccountState, fold, position_key
from algohost.exchange.codec import from_record
from algohost.exchange.day import day_position, summed
from algohost.exchange.events import Event, Filled, order_id_of
from algohost.exchange.fills import AT_TOUCH, Fill
from algohost.exchange.margins import FLAT_MARGIN, Resting
from tests.exchange.desk import ACCOUNT, EMA, INFY, RSI, TCS, UNATTRIBUTED, Desk, quote

CASH = Decimal(20_000)
TICK = Decimal("0.05")

ticks = st.integers(min_value=-30, max_value=30)
moves = ticks | st.integers(min_value=-400, max_value=400)
quantities = st.integers(min_value=1, max_value=50) | st.integers(min_value=1, max_value=400)
keys = st.sampled_from([INFY, TCS])
books = st.sampled_from([EMA, RSI, UNATTRIBUTED])


class Uneven:
    """At the touch; large orders fill in pieces of at most forty units."""

    def arriving(self, order: Order, quote: Quote) -> Fill | None:
        whole = AT_TOUCH.arriving(order, quote)
        return whole and Fill(quantity=min(40, whole.quantity), price=whole.price)

    resting = arriving


class Watched(Desk):
    """A desk that checks the account after each event, against books kept the naive way."""

    def __init__(self) -> None:
        self.flows: dict[tuple[Book, InstrumentKey, Product], Decimal] = defaultdict(Decimal)
        self.units: dict[tuple[Book, InstrumentKey, Product], int] = defaultdict(int)
        self.statuses: dict[OrderId, OrderStatus] = {}
        self.final: dict[OrderId, Order] = {}
        self.trades: set[str] = set()
        super().__init__(str(CASH), fills=Uneven())

    def keep(self, happened: Sequence[Event]) -> Sequence[Event]:
        for event in happened:
            hold = self.state.hold
            super().keep([event])
            if isinstance(event, Filled):
                self.take(event)
            order_id = order_id_of(event)
            if order_id is not None:
                self.follow(self.order(order_id))
            if self.state.hold > hold:
                assert self.state.hold <= self.state.cash, "more is held than there is"
            self.check()
        return happened

    def take(self, event: Filled) -> None:
        assert event.trade_id not in self.trades
        assert event.trade_id.isdigit()
        self.trades.add(event.trade_id)
        order = self.order(event.order_id)
        place = (order.book, order.request.key, order.request.product)
        self.units[place] += order.request.action.sign * event.quantity
        self.flows[place] -= order.request.action.sign * event.quantity * event.price

    def follow(self, order: Order) -> None:
        before = self.statuses.get(order.id)
        if before is None:
            assert order.status in {*ARROWS, OrderStatus.REJECTED}
        else:
            assert order.status in ARROWS[before]
        self.statuses[order.id] = order.status
        assert order.id not in self.final
        if order.status.is_final:
            self.final[order.id] = order

    def check(self) -> None:
        state = self.state
        assert all(state.order(order.id) == order for order in self.final.values())
        for order in state.open_orders():
            assert 0 <= order.filled_quantity < order.request.quantity
        held, realised, unrealised = Decimal(0), Decimal(0), Decimal(0)
        for place, group in state.groups().items():
            position, last = group.position, self.mark(place.key) or Decimal(0)
            assert position.quantity == self.units[place]
            assert (
                position.realised + position.unrealised(last)
                == self.flows[place] + self.units[place] * last
            )
            if place.product is Product.CNC:
                assert position.quantity >= 0
            resting = [
                i for i in state.resting(place.key).values() if position_key(i.order) == place
            ]
            for action, side in ((Action.BUY, group.buys), (Action.SELL, group.sells)):
                open_ones = [i for i in resting if i.order.request.action is action]
                assert side.units == sum(i.order.open_quantity for i in open_ones)
            assert group.hold == worst_hold(position, resting) >= 0
            held += group.hold
            realised += position.realised
            unrealised += position.unrealised(last)
        assert state.hold == held
        assert state.realised == realised
        assert state.unrealised(self.mark) == unrealised
        assert state.cash + unrealised == CASH + sum(self.flows.values()) + sum(
            units * (self.mark(key) or 0) for (_, key, _), units in self.units.items()
        )


def worst_hold(position: Position, resting: Iterable[Resting]) -> Decimal:
    """What is to be held, by looking at every order."""
    base = FLAT_MARGIN.required(position.key, position.product, abs(position.open_value))
    worst = base
    sides: dict[Action, list[Resting]] = {}
    for item in resting:
        sides.setdefault(item.order.request.action, []).append(item)
    for action, items in sides.items():
        closes = max(0, -action.sign * position.quantity)
        opens = FLAT_MARGIN.required(position.key, position.product, _value_beyond(closes, items))
        worst = max(worst, opens if closes else base + opens)
    return worst


def _value_beyond(closes: int, items: list[Resting]) -> Decimal:
    """The value of the dearest units that remain when ``closes`` units are set aside."""
    units = sum(item.order.open_quantity for item in items) - closes
    value = Decimal(0)
    for item in sorted(items, key=lambda item: item.reserve, reverse=True):
        if units <= 0:
            break
        taken = min(units, item.order.open_quantity)
        value += taken * item.reserve
        units -= taken
    return value


class PaperAccount(RuleBasedStateMachine):
    """All products: leverage, shorts and flips."""

    products: Sequence[Product] = (Product.MIS, Product.NRML, Product.CNC)

    def __init__(self) -> None:
        super().__init__()
        self.desk = Watched()
        self.desk.tick([quote(INFY, last="100"), quote(TCS, last="100")])

    @rule(
        data=st.data(),
        key=keys,
        owner=books,
        action=st.sampled_from(Action),
        quantity=quantities,
        price_type=st.sampled_from(PriceType),
        near=ticks,
        far=ticks,
    )
    def place(
        self,
        data: st.DataObject,
        key: InstrumentKey,
        owner: Book,
        action: Action,
        quantity: int,
        price_type: PriceType,
        near: int,
        far: int,
    ) -> None:
        """Mostly orders that make sense around the last price, on either side of it."""
        last, sign = self.desk.mark(key) or Decimal(0), action.sign
        trigger = last + sign * abs(near) * TICK
        price = (
            trigger + sign * abs(far) * TICK if price_type is PriceType.SL else last + far * TICK
        )
        self.desk.place(
            OrderRequest(
                key=key,
                action=action,
                quantity=quantity,
                price_type=price_type,
                product=data.draw(st.sampled_from(self.products)),
                price=price,
                trigger_price=trigger,
            ),
            owner=owner,
        )

    @rule(keys=st.sets(keys, min_size=1), move=moves, spread=st.sampled_from([0, 1, 20]))
    def tick(self, keys: set[InstrumentKey], move: int, spread: int) -> None:
        shown = []
        for key in sorted(keys):
            last = max((self.desk.mark(key) or Decimal(0)) + move * TICK, 2 * TICK)
            bid, ask = max(last - spread * TICK, Decimal(0)), last + spread * TICK
            shown.append(quote(key, last=str(last), bid=str(bid), ask=str(ask)))
        self.desk.tick(shown)

    @precondition(lambda self: self.desk.state.open_orders())
    @rule(
        data=st.data(),
        quantity=st.none() | quantities,
        move=st.none() | ticks,
        price_type=st.none() | st.sampled_from(PriceType),
    )
    def modify(
        self,
        data: st.DataObject,
        quantity: int | None,
        move: int | None,
        price_type: PriceType | None,
    ) -> None:
        order = data.draw(st.sampled_from(self.desk.state.open_orders()))
        price = None if move is None else order.request.price + move * TICK
        changes = OrderChanges(quantity=quantity, price=price, price_type=price_type)
        try:
            self.desk.modify(order.id, changes)
        except Invalid:
            assert self.desk.order(order.id) == order

    @precondition(lambda self: self.desk.statuses)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = self.desk.order(data.draw(st.sampled_from(sorted(self.desk.statuses))))
        try:
            assert self.desk.cancel(order.id).status is OrderStatus.CANCELLED
        except Conflict:
            assert order.status.is_final

    @rule()
    def sleep(self) -> None:
        self.desk.next_day()

    @invariant()
    def the_books_of_an_instrument_sum_to_the_account(self) -> None:
        state, day = self.desk.state, self.desk.at.date()
        rows = [day_position(group, day) for group in state.groups().values()]
        parts = [part for row in rows for part in (row.traded, row.settled)]
        by_key = sorted(parts, key=lambda part: (part.key, part.product))
        for (key, _), books in groupby(by_key, key=lambda part: (part.key, part.product)):
            of_books = list(books)
            net, last = summed(of_books, UNATTRIBUTED), self.desk.mark(key) or Decimal(0)
            assert net.quantity == sum(part.quantity for part in of_books)
            assert net.unrealised(last) == sum(part.unrealised(last) for part in of_books)
        for row, group in zip(rows, state.groups().values(), strict=True):
            whole = group.position
            assert row.traded.quantity + row.settled.quantity == whole.quantity
            assert row.traded.open_value + row.settled.open_value == whole.open_value
            assert row.traded.realised + row.opening.realised == whole.realised

    def teardown(self) -> None:
        replayed = reduce(fold, map(from_record, self.desk.records), AccountState(ACCOUNT))
        assert replayed == self.desk.state


class DeliveryAccount(PaperAccount):
    """CNC alone: without leverage or shorts, what is held is there at every instant."""

    products = (Product.CNC,)

    @invariant()
    def what_is_held_is_there(self) -> None:
        assert 0 <= self.desk.state.hold <= self.desk.state.cash


_settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
PaperAccount.TestCase.settings = _settings
DeliveryAccount.TestCase.settings = _settings
TestPaperAccount = PaperAccount.TestCase
TestDeliveryAccount = DeliveryAccount.TestCase
