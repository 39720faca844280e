"""Random commands and quotes against one account; the ledger is checked after every event."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import reduce
from itertools import groupby

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from algohost.domain.errors import Conflict, Invalid
from algohost.domain.gtt import GttId, GttKind, GttLeg, GttRequest, GttStatus
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
    Validity,
)
from algohost.exchange.account import ARROWS, AccountState, Marks, fold, position_key
from algohost.exchange.charge_rates import published
from algohost.exchange.charges import FREE, ChargeModel, PublishedCharges
from algohost.exchange.closing import reset
from algohost.exchange.codec import from_record
from algohost.exchange.day import day_position, summed
from algohost.exchange.events import AccountReset, Event, Filled, order_id_of
from algohost.exchange.fills import AtTouch, Fill, FillModel, Shown
from algohost.exchange.gtt_events import GttTriggered
from algohost.exchange.honest import HONEST
from algohost.exchange.hours import TradingHours
from algohost.exchange.margins import FLAT_MARGIN, Exposure, Resting
from algohost.exchange.validity import over
from algohost.market.calendars import shipped_calendars
from tests.exchange.desk import (
    ACCOUNT,
    EMA,
    INFY,
    RSI,
    SINGLE,
    TCS,
    UNATTRIBUTED,
    Desk,
    depth,
    quote,
)

CALENDARS = shipped_calendars()
HOURS = TradingHours(lambda exchange: CALENDARS[exchange])
CASH = Decimal(20_000)
TICK = Decimal("0.05")

ticks = st.integers(min_value=-30, max_value=30)
moves = ticks | st.integers(min_value=-400, max_value=400)
quantities = st.integers(min_value=1, max_value=50) | st.integers(min_value=1, max_value=400)
keys = st.sampled_from([INFY, TCS, SINGLE])
CARRIED = {INFY: Product.CNC, TCS: Product.CNC, SINGLE: Product.NRML}
books = st.sampled_from([EMA, RSI, UNATTRIBUTED])


class Uneven(AtTouch):
    """At the touch; large orders fill in pieces of at most forty units."""

    def arriving(self, order: Order, shown: Shown) -> Sequence[Fill]:
        return [replace(f, quantity=min(40, f.quantity)) for f in super().arriving(order, shown)]


class Watched(Desk):
    """A desk that checks the account after each event, against books kept the naive way."""

    def __init__(self, charges: ChargeModel = FREE, fills: FillModel | None = None) -> None:
        self.flows: dict[tuple[Book, InstrumentKey, Product], Decimal] = defaultdict(Decimal)
        self.units: dict[tuple[Book, InstrumentKey, Product], int] = defaultdict(int)
        self.statuses: dict[OrderId, OrderStatus] = {}
        self.final: dict[OrderId, Order] = {}
        self.trades: set[str] = set()
        self.begun_with, self.paid = CASH, Decimal(0)
        self.triggered: set[GttId] = set()
        super().__init__(str(CASH), fills=fills or Uneven(), charges=charges)

    def keep(self, happened: Sequence[Event]) -> Sequence[Event]:
        for event in happened:
            hold = self.state.hold
            super().keep([event])
            if isinstance(event, Filled):
                self.take(event)
            if isinstance(event, GttTriggered):
                assert event.gtt_id not in self.triggered, "a leg was triggered twice"
                self.triggered.add(event.gtt_id)
            if isinstance(event, AccountReset):
                self.begun_with, self.paid = event.cash, Decimal(0)
                self.flows.clear()
                self.units.clear()
            order_id = order_id_of(event)
            if order_id is not None:
                self.follow(self.order(order_id))
            if self.state.hold > hold:
                most = self.state.cash + self.paid  # charges are not asked for beforehand
                assert self.state.hold <= most, "more is held than there is"
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
        self.paid += event.charges.total

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
        held, realised, unrealised, charges = Decimal(0), Decimal(0), Decimal(0), Decimal(0)
        for place, group in state.groups().items():
            position, last = group.position, self.mark(place.key) or Decimal(0)
            assert position.quantity == self.units[place]
            assert (
                position.realised + position.unrealised(last)
                == self.flows[place] + self.units[place] * last
            )
            if place.product is Product.CNC:
                assert position.quantity >= 0
                assert sum(lot.units for lot in group.lots) == position.quantity
            resting = [
                i for i in state.resting(place.key).values() if position_key(i.order) == place
            ]
            for action, side in ((Action.BUY, group.buys), (Action.SELL, group.sells)):
                open_ones = [i for i in resting if i.order.request.action is action]
                assert side.units == sum(i.order.open_quantity for i in open_ones)
            assert group.hold == worst_hold(position, resting) >= 0
            held += group.hold
            realised += position.realised
            charges += position.charges
            unrealised += position.unrealised(last)
        assert state.hold == held
        assert state.realised == realised
        assert state.charges == charges == self.paid
        assert state.cash == state.deposits + state.realised - state.charges
        assert state.unrealised(self.mark) == unrealised
        assert state.covered(self.mark) == covered_losses(state, self.mark)
        worth = sum(units * (self.mark(key) or 0) for (_, key, _), units in self.units.items())
        flowed = sum(self.flows.values()) - self.paid
        assert state.cash + unrealised == self.begun_with + flowed + worth


def worst_hold(position: Position, resting: Iterable[Resting]) -> Decimal:
    """What is to be held, by looking at every order."""

    def required(value: Decimal) -> Decimal:
        return FLAT_MARGIN.required(Exposure(position.key, position.product, Action.BUY, 0, value))

    base = required(abs(position.open_value))
    worst = base
    sides: dict[Action, list[Resting]] = {}
    for item in resting:
        sides.setdefault(item.order.request.action, []).append(item)
    for action, items in sides.items():
        closes = max(0, -action.sign * position.quantity)
        opens = required(_value_beyond(closes, items))
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


def covered_losses(state: AccountState, mark: Marks) -> Decimal:
    """Instrument by instrument, over all books: what was lost on CNC shares and carried futures,
    which a flat margin has paid in full."""
    losses: dict[InstrumentKey, Decimal] = defaultdict(Decimal)
    for place, group in state.groups().items():
        if place.product is not Product.MIS and group.position.quantity > 0:
            losses[place.key] -= group.position.unrealised(mark(place.key) or Decimal(0))
    return sum((max(lost, Decimal(0)) for lost in losses.values()), Decimal(0))


class PaperAccount(RuleBasedStateMachine):
    """All products: leverage, shorts and flips."""

    charging: ChargeModel = FREE
    model: FillModel = Uneven()

    def __init__(self) -> None:
        super().__init__()
        self.desk = Watched(self.charging, self.model)
        self.desk.tick([quote(key, last="100") for key in CARRIED])

    def products(self, key: InstrumentKey) -> Sequence[Product]:
        return [Product.MIS, CARRIED[key]]

    @rule(
        data=st.data(),
        key=keys,
        owner=books,
        action=st.sampled_from(Action),
        quantity=quantities,
        price_type=st.sampled_from(PriceType),
        near=ticks,
        far=ticks,
        validity=st.sampled_from([Validity.DAY, Validity.DAY, Validity.IOC]),
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
        validity: Validity,
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
                product=data.draw(st.sampled_from(self.products(key))),
                price=price,
                trigger_price=trigger,
                validity=validity,
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

    @rule(millis=st.integers(0, 2000))
    def wait(self, millis: int) -> None:
        self.desk.at += timedelta(milliseconds=millis)

    @rule()
    def close(self) -> None:
        """The session ends: nothing that is of the day waits any longer."""
        ends = self.desk.at.replace(hour=10, minute=0, second=0, microsecond=0)  # 15:30 in India
        self.desk.at = ends if self.desk.at < ends else ends + timedelta(days=1)
        self.desk.keep(over(self.desk.state, HOURS, at=self.desk.at))
        assert not [o for o in self.desk.state.open_orders() if o.placed_at < self.desk.at]

    @rule()
    def restart(self) -> None:
        """What is on disk is all there is: the account is as it was."""
        empty = AccountState(ACCOUNT, charges=self.charging)
        before, replayed = self.desk.state, reduce(fold, map(from_record, self.desk.records), empty)
        assert replayed == before
        self.desk.state, self.desk.venue = replayed, self.desk.new_venue()

    @rule(
        key=keys,
        owner=books,
        action=st.sampled_from(Action),
        quantity=quantities,
        offsets=st.lists(ticks, min_size=1, max_size=2),
        is_limit=st.booleans(),
        data=st.data(),
    )
    def place_gtt(
        self,
        key: InstrumentKey,
        owner: Book,
        action: Action,
        quantity: int,
        offsets: list[int],
        is_limit: bool,
        data: st.DataObject,
    ) -> None:
        asked = self.gtt_request(key, action, quantity, offsets, is_limit=is_limit)
        events = self.desk.state.events
        try:
            gtt = self.desk.place_gtt(asked, owner=owner)
        except Invalid:
            assert self.desk.state.events == events
            return
        assert self.desk.state.order(gtt.order_id) is None
        if data.draw(st.booleans()):
            changed = self.gtt_request(key, action, quantity, [-o for o in offsets], is_limit=True)
            with contextlib.suppress(Invalid):
                self.desk.modify_gtt(gtt.id, changed)

    def gtt_request(
        self,
        key: InstrumentKey,
        action: Action,
        quantity: int,
        offsets: list[int],
        *,
        is_limit: bool,
    ) -> GttRequest:
        last = self.desk.mark(key) or Decimal(0)
        return GttRequest(
            key=key,
            action=action,
            quantity=quantity,
            product=self.products(key)[-1],
            kind=GttKind.OCO if len(offsets) == 2 else GttKind.SINGLE,
            legs=tuple(
                GttLeg(
                    trigger_price=last + offset * TICK,
                    price_type=PriceType.LIMIT if is_limit else PriceType.MARKET,
                    price=last + offset * TICK,
                )
                for offset in offsets
            ),
        )

    @precondition(lambda self: self.desk.state.gtts.all())
    @rule(data=st.data())
    def cancel_gtt(self, data: st.DataObject) -> None:
        gtt = data.draw(st.sampled_from(self.desk.state.gtts.all()))
        try:
            assert self.desk.cancel_gtt(gtt.id).status is GttStatus.CANCELLED
        except Conflict:
            assert gtt.status is not GttStatus.ACTIVE

    @invariant()
    def a_gtt_has_an_order_once_it_was_triggered_and_never_before(self) -> None:
        state = self.desk.state
        numbers = [number for gtt in state.gtts.all() for number in (gtt.id, gtt.order_id)]
        assert len(numbers) == len(set(numbers))
        for gtt in state.gtts.all():
            was_triggered = gtt.status is GttStatus.TRIGGERED
            assert (state.order(gtt.order_id) is not None) is was_triggered
            assert (gtt.id in self.desk.triggered) is was_triggered
            assert state.order(OrderId(gtt.id)) is None
        assert state.gtts.active == sum(g.status is GttStatus.ACTIVE for g in state.gtts.all())

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
        empty = AccountState(ACCOUNT, charges=self.charging)
        replayed = reduce(fold, map(from_record, self.desk.records), empty)
        assert replayed == self.desk.state


class HonestAccount(PaperAccount):
    """The honest fill model, in a market with sizes and volumes."""

    model = HONEST

    @rule(
        key=keys,
        move=st.integers(-3, 3),
        traded=st.integers(0, 300),
        sizes=st.lists(st.integers(1, 150), min_size=4, max_size=4),
    )
    def trade(self, key: InstrumentKey, move: int, traded: int, sizes: list[int]) -> None:
        last = max((self.desk.mark(key) or Decimal(0)) + move * TICK, 3 * TICK)
        volume = self.desk.quotes[key].volume + traded + 1
        shown = quote(
            key,
            last=str(last),
            bid=str(last - TICK),
            ask=str(last + TICK),
            volume=volume,
            at=self.desk.at,
        )
        units = iter(sizes)
        bids, asks = (
            " ".join(f"{next(units)}@{last + sign * level * TICK}" for level in (1, 2))
            for sign in (-1, 1)
        )
        self.desk.depths[key] = depth(shown, bids, asks)
        self.desk.show(shown)


class ChargedAccount(PaperAccount):
    """With what brokers and the state take, and begun anew now and then."""

    charging = PublishedCharges(rates=published())

    @rule(cash=st.decimals(min_value=0, max_value=50_000, places=2))
    def begin_anew(self, cash: Decimal) -> None:
        self.desk.keep(reset(self.desk.state, cash, at=self.desk.at))
        assert self.desk.state.cash == cash


class DeliveryAccount(PaperAccount):
    """CNC alone: without leverage or shorts, what is held is there at every instant."""

    def products(self, key: InstrumentKey) -> Sequence[Product]:
        return [Product.CNC]

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
HonestAccount.TestCase.settings = _settings
ChargedAccount.TestCase.settings = settings(_settings, max_examples=60)
DeliveryAccount.TestCase.settings = _settings
TestPaperAccount = PaperAccount.TestCase
TestHonestAccount = HonestAccount.TestCase
TestChargedAccount = ChargedAccount.TestCase
TestDeliveryAccount = DeliveryAccount.TestCase
