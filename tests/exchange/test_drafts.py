"""A draft that was decided on is adopted: what then is true is what its events say."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.domain.errors import AlgohostError
from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, OrderChanges
from algohost.exchange import rules
from algohost.exchange.account import AccountState, fold
from algohost.exchange.codec import from_record
from algohost.exchange.events import CashSet
from algohost.exchange.matching import on_quotes
from tests.exchange.desk import ACCOUNT, EMA, INFY, MORNING, RSI, TCS, Desk, quote, request

PRICES = st.integers(97, 103)
ORDERS = st.builds(
    "{} {} {} {}".format,
    st.sampled_from(["BUY", "SELL"]),
    st.integers(1, 9),
    st.one_of(st.just("MARKET"), PRICES.map("LIMIT {}".format)),
    st.sampled_from(["MIS", "NRML", "CNC"]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("place"), ORDERS, st.sampled_from([INFY, TCS]), st.sampled_from([EMA, RSI])
        ),
        st.tuples(st.just("modify"), st.integers(0, 20), st.integers(1, 12), PRICES),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("tick"), PRICES),
        st.just(("durable",)),
    ),
    min_size=4,
    max_size=25,
)


class Pipeline:
    """Decides on what is ahead of a state that adopts later, and applies the events elsewhere."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.state = AccountState(ACCOUNT)
        self.desk.state = AccountState(ACCOUNT)
        self.ahead = self.state
        self.waiting: list[AccountState] = []

    def decided(self, draft: AccountState) -> None:
        """Begins a commit."""
        if not self.waiting:
            self.ahead = self.state.draft()
        self.ahead.adopt(draft)
        self.waiting.append(draft)
        for event in draft.happened:
            fold(self.desk.state, event)
        assert self.ahead.open_orders() == self.desk.state.open_orders()
        assert dict(self.ahead.groups()) == dict(self.desk.state.groups())
        assert [self.ahead.order(o.id) for o in draft.orders_told] == [
            self.desk.state.order(o.id) for o in draft.orders_told
        ]

    def durable(self, most: int) -> None:
        """Ends so many commits, the oldest first."""
        for draft in self.waiting[:most]:
            self.state.adopt(draft)
        del self.waiting[:most]
        if not self.waiting:
            self.ahead = self.state
            assert self.state == self.desk.state

    def do(self, step: tuple[object, ...]) -> None:
        """One step of a day."""
        match step:
            case ("place", str(asked), InstrumentKey() as key, Book() as owner):
                order = self.desk.intended(request(asked, key), owner)
                self.decided(rules.placed(self.ahead, order, self.desk.scene(key)))
            case ("modify", int(which), int(quantity), int(price)):
                order_id = self._open(which)
                changes = OrderChanges(quantity=quantity, price=Decimal(price))
                scene = self.desk.scene(rules.changeable(self.ahead, order_id).request.key)
                self.decided(rules.modified(self.ahead, order_id, changes, scene))
            case ("cancel", int(which)):
                self.decided(rules.cancelled(self.ahead, self._open(which), at=self.desk.at))
            case ("tick", int(price)):
                self.durable(len(self.waiting))
                shown = quote(last=str(price))
                self.desk.quotes[INFY] = shown
                for event in on_quotes(
                    self.state,
                    [shown],
                    at=self.desk.at,
                    marks=self.desk.mark,
                    venue=self.desk.venue,
                ):
                    fold(self.state, event)
                    fold(self.desk.state, event)
            case _:
                self.durable(1)

    def _open(self, which: int) -> OrderId:
        orders = self.ahead.open_orders()
        if not orders:
            raise AlgohostError("Nothing is open.")
        return orders[which % len(orders)].id


def opened() -> Pipeline:
    pipeline = Pipeline()
    first = from_record(Desk().records[0])
    for state in (pipeline.state, pipeline.desk.state):
        fold(state, first)
    for key in (INFY, TCS):
        pipeline.desk.quotes[key] = quote(key, last="100")
    return pipeline


@settings(max_examples=150)
@given(STEPS)
def test_adopting_drafts_is_applying_their_events(steps: list[tuple[object, ...]]) -> None:
    """Decided one upon the other while none is true yet, and made true one by one."""
    pipeline = opened()
    for step in steps:
        try:
            pipeline.do(step)
        except AlgohostError:
            continue
    pipeline.durable(len(pipeline.waiting))
    assert pipeline.state == pipeline.desk.state


def test_a_draft_of_another_moment_is_not_adopted() -> None:
    pipeline = opened()
    order = pipeline.desk.intended(request("BUY 1 MARKET", INFY))
    draft = rules.placed(pipeline.state, order, pipeline.desk.scene(INFY))
    fold(pipeline.state, CashSet(at=MORNING, cash=Decimal(5)))
    with pytest.raises(RuntimeError, match="no draft of the account at entry 2"):
        pipeline.state.adopt(draft)


def test_a_draft_that_changed_more_than_orders_is_not_adopted() -> None:
    state = opened().state
    draft = state.draft()
    fold(draft, CashSet(at=MORNING, cash=Decimal(5)))
    with pytest.raises(RuntimeError, match="more than orders"):
        state.adopt(draft)


def test_adopting_knows_everything_that_a_state_is_made_of() -> None:
    """What is added to a state must be added to ``adopt``."""
    tables = {"_orders", "_groups", "_net", "_bills", "_debited", "_resting"}
    lists = {"_order_days", "_trade_days", "_places", "_performances", "_wakes"}
    sums = {"events", "deposits", "realised", "charges", "hold"}
    serials = {"last_order_serial", "last_trade_serial"}
    fixed = {"account_id", "account_number", "_margin", "_charging", "_gtts", "_story"}
    assert set(vars(opened().state)) == tables | lists | sums | serials | fixed
