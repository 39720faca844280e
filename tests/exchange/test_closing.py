"""What ends by itself: intraday positions, expired contracts, a whole account at its reset."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import Conflict, Invalid
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import Action, Book, OrderChanges, OrderStatus, PriceType, Product
from algohost.exchange.account import PositionKey
from algohost.exchange.charge_rates import published
from algohost.exchange.charges import PublishedCharges
from algohost.exchange.closing import (
    expire,
    expired_contracts,
    intraday_orders,
    intraday_positions,
    reset,
    settlement_price,
    square_off_reason,
)
from algohost.exchange.day import charges_of_day, day_of, day_position, realised_of_day
from algohost.exchange.events import AccountReset, Settled
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.honest import HONEST
from algohost.exchange.hours import TradingHours
from algohost.exchange.segments import contract_of
from algohost.market.calendars import shipped_calendars
from tests.exchange.desk import (
    EMA,
    FUTURE,
    INFY,
    INSTRUMENTS,
    MORNING,
    RSI,
    UNATTRIBUTED,
    Desk,
    depth,
    gtt_request,
    quote,
    request,
)

HOURS = TradingHours(shipped_calendars().__getitem__)
SQUARE_OFF = MORNING.replace(hour=9, minute=45)  # 15:15 in India
CALL = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624500CE")
PUT = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624500PE")
EXPIRY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)  # 15:30 in India


@pytest.fixture(autouse=True)
def _options(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, key in enumerate((CALL, PUT)):
        row = Instrument(key=key, token=str(90 + number), name="NIFTY", lot_size=75)
        monkeypatch.setitem(INSTRUMENTS, key, row)


def rich(*, charged: bool = False, fills: FillModel = AT_TOUCH) -> Desk:
    if not charged:
        return Desk(cash="10000000", fills=fills)
    return Desk(cash="10000000", charges=PublishedCharges(rates=published()))


def test_intraday_is_due_at_its_square_off_and_nothing_else_is() -> None:
    desk = rich()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET MIS")
    desk.place("BUY 10 MARKET CNC")
    desk.place("BUY 10 MARKET CNC", owner=RSI)
    resting = desk.place("BUY 5 LIMIT 90 MIS")
    desk.place("BUY 5 LIMIT 90 CNC")
    place = PositionKey(EMA, INFY, Product.MIS)
    before = SQUARE_OFF - timedelta(seconds=1)
    assert intraday_orders(desk.state, HOURS, before) == []
    assert intraday_positions(desk.state, HOURS, before) == []
    assert intraday_orders(desk.state, HOURS, SQUARE_OFF) == [(resting, SQUARE_OFF)]
    assert intraday_positions(desk.state, HOURS, SQUARE_OFF) == [(place, SQUARE_OFF)]
    assert square_off_reason(SQUARE_OFF) == "MIS square-off of 23-11-2026 15:15"


def test_a_position_of_a_week_ago_is_due_since_its_own_square_off() -> None:
    desk = rich()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET MIS")
    [(_, due)] = intraday_positions(desk.state, HOURS, SQUARE_OFF + timedelta(days=7))
    assert due == SQUARE_OFF


def test_adding_to_a_position_puts_nothing_off_but_turning_it_does() -> None:
    desk = rich()
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET MIS")
    desk.at = SQUARE_OFF + timedelta(hours=1)  # a market that is open after hours
    desk.place("BUY 10 MARKET MIS")
    assert len(intraday_positions(desk.state, HOURS, desk.at)) == 1
    desk.place("SELL 30 MARKET MIS")
    assert intraday_positions(desk.state, HOURS, desk.at) == []


def test_a_position_that_an_order_of_before_opens_after_square_off_ends_at_once() -> None:
    """It filled between 15:15:00 and its own cancellation, a second later."""
    desk = rich()
    desk.show(quote(last="100"))
    desk.place("BUY 10 LIMIT 99 MIS")
    desk.at = SQUARE_OFF + timedelta(milliseconds=500)
    desk.show(quote(last="98"))
    [(place, due)] = intraday_positions(desk.state, HOURS, desk.at)
    assert (place, due) == (PositionKey(EMA, INFY, Product.MIS), SQUARE_OFF)


LATE = [
    ("a purchase", "BUY 10 MARKET MIS", "MIS orders on NSE are not taken after 15:15"),
    ("an exit that waits", "SELL 20 LIMIT 101 MIS", "MIS orders on NSE are not taken after 15:15"),
    ("turning a position", "SELL 21 MARKET MIS", "MIS orders on NSE are not taken"),
    ("closing a position", "SELL 20 MARKET MIS", ""),
    ("closing a part", "SELL 5 MARKET MIS", ""),
    ("delivery", "BUY 10 MARKET CNC", ""),
]


@pytest.mark.parametrize(
    ("asked", "reason"), [case[1:] for case in LATE], ids=[case[0] for case in LATE]
)
def test_after_square_off_intraday_orders_only_close(asked: str, reason: str) -> None:
    desk = rich()
    desk.show(quote(last="100"))
    desk.place("BUY 20 MARKET MIS")
    desk.intraday_over_since = SQUARE_OFF
    assert desk.place(asked).reason.startswith(reason)
    assert (desk.state.open_orders() == []) or not reason


@pytest.mark.parametrize(
    "changes",
    [{"quantity": 25}, {"price_type": PriceType.LIMIT, "price": Decimal(101)}],
    ids=["more than is held", "an exit that waits"],
)
def test_after_square_off_a_change_opens_no_more_than_an_order(changes: dict[str, Any]) -> None:
    desk = rich(fills=HONEST)
    shown = quote(last="100")
    desk.depths[INFY] = depth(shown, "5@100", "100@100")
    desk.show(shown)
    desk.place("BUY 20 MARKET MIS")
    desk.intraday_over_since = SQUARE_OFF
    closing = desk.place("SELL 20 MARKET MIS")
    assert closing.filled_quantity == 5
    with pytest.raises(Invalid, match="MIS orders on NSE are not taken after 15:15"):
        desk.modify(closing.id, OrderChanges(**changes))
    assert desk.modify(closing.id, OrderChanges(quantity=15)).open_quantity == 10


def test_what_has_expired_cannot_be_traded() -> None:
    desk = rich()
    desk.show(quote(FUTURE, last="24600"))
    desk.expired_at = EXPIRY
    refused = desk.place("BUY 75 MARKET NRML", FUTURE)
    assert refused.reason == ("NFO:NIFTY24NOV26FUT expired on 24-11-2026. Trade a later contract.")
    desk.expired_at = None
    resting = desk.place("BUY 75 LIMIT 24500 NRML", FUTURE)
    desk.expired_at = EXPIRY
    with pytest.raises(Invalid, match="expired on 24-11-2026"):
        desk.modify(resting.id, OrderChanges(quantity=150))


SETTLEMENTS = [
    (FUTURE, "24650.35", "24650.35"),
    (CALL, "24650.35", "150.35"),
    (CALL, "24500", "0"),
    (CALL, "24499.95", "0"),
    (PUT, "24499.95", "0.05"),
    (PUT, "24650.35", "0"),
]


@pytest.mark.parametrize(("key", "close", "price"), SETTLEMENTS)
def test_a_contract_is_settled_at_what_it_is_worth(
    key: InstrumentKey, close: str, price: str
) -> None:
    contract = contract_of(key)
    assert contract is not None
    assert settlement_price(contract, Decimal(close)) == Decimal(price)


def test_an_expiry_cancels_orders_and_realises_every_book() -> None:
    desk = rich(charged=True)
    for key, last in ((CALL, "100"), (PUT, "100"), (FUTURE, "24600")):
        desk.show(quote(key, last=last))
    desk.place("BUY 75 MARKET NRML", CALL, owner=EMA)
    desk.place("SELL 75 MARKET NRML", CALL, owner=RSI)
    desk.place("BUY 75 MARKET MIS", PUT, owner=UNATTRIBUTED)
    desk.place("BUY 75 MARKET NRML", FUTURE, owner=RSI)
    resting = desk.place("BUY 75 LIMIT 90 NRML", CALL)
    assert expired_contracts(desk.state, HOURS, EXPIRY - timedelta(seconds=1)) == []
    due = expired_contracts(desk.state, HOURS, EXPIRY)
    assert [(one.what, one.at) for one in due] == [
        (CALL, EXPIRY),
        (PUT, EXPIRY),
        (FUTURE, EXPIRY),
    ]
    desk.at, before = EXPIRY, desk.state.charges
    for key in (CALL, PUT, FUTURE):
        desk.keep(expire(desk.state, key, Decimal("24700"), at=EXPIRY))
        assert expire(desk.state, key, Decimal("24700"), at=EXPIRY) == []
    assert expired_contracts(desk.state, HOURS, EXPIRY) == []
    assert desk.order(resting.id).reason == "The contract expired."
    gained = {
        (place.book, place.key): group.position.realised
        for place, group in desk.state.groups().items()
    }
    assert gained == {
        (EMA, CALL): 75 * Decimal(200 - 100),
        (RSI, CALL): 75 * Decimal(100 - 200),
        (UNATTRIBUTED, PUT): 75 * Decimal(-100),
        (RSI, FUTURE): 75 * Decimal(100),
    }
    # the holder of the call pays 0.15 % of 75 × 200; the one who sold it, and futures, nothing
    assert desk.state.charges - before == Decimal("22.50")
    assert desk.state.hold == desk.state.unrealised(desk.mark) == 0
    assert realised_of_day(desk.state, day_of(EXPIRY)) == sum(gained.values())
    assert all(not group.position.quantity for group in desk.state.groups().values())


def test_what_is_held_is_not_settled_without_a_close() -> None:
    desk = rich()
    desk.show(quote(FUTURE, last="24600"))
    desk.place("BUY 75 LIMIT 24000 NRML", FUTURE)
    assert len(expire(desk.state, FUTURE, None, at=EXPIRY)) == 1
    desk.place("BUY 75 MARKET NRML", FUTURE)
    with pytest.raises(Invalid, match="the close of what it is on is not known"):
        expire(desk.state, FUTURE, None, at=EXPIRY)
    with pytest.raises(Invalid, match="is no contract that expires"):
        expire(desk.state, INFY, Decimal(1), at=EXPIRY)


def test_a_settlement_of_nothing_cannot_have_happened() -> None:
    desk = rich()
    nothing = Settled(at=EXPIRY, book=EMA, key=FUTURE, product=Product.NRML, price=Decimal(1))
    with pytest.raises(Conflict, match="expires with nothing held"):
        desk.state.apply(nothing)


def test_a_reset_begins_anew_and_keeps_what_happened() -> None:
    desk = rich(charged=True)
    desk.show(quote(last="100"))
    traded = desk.place("BUY 10 MARKET CNC")
    desk.place("SELL 4 MARKET MIS", owner=RSI)
    resting = desk.place("BUY 5 LIMIT 90 CNC")
    gtt = desk.place_gtt(gtt_request("SELL 10 CNC 95:94.5"))
    desk.keep(reset(desk.state, Decimal(5000), at=desk.at))
    state = desk.state
    assert state.cash == 5000
    assert state.hold == state.realised == state.charges == 0
    assert state.unrealised(desk.mark) == 0
    assert state.open_orders() == []
    assert list(state.groups_of({EMA, RSI, UNATTRIBUTED})) == []
    assert desk.order(traded.id) == traded
    assert desk.order(resting.id).reason == "The account was reset."
    assert desk.gtt(gtt.id).reason == "The account was reset."
    assert len(state.trades_on(day_of(desk.at))) == 2
    assert desk.place("BUY 10 MARKET CNC").status is OrderStatus.COMPLETE
    assert charges_of_day(state, day_of(desk.at)) == state.charges > 0


def test_an_account_is_not_reset_to_less_than_nothing_or_with_orders_open() -> None:
    desk = rich()
    desk.show(quote(last="100"))
    desk.place("BUY 5 LIMIT 90 CNC")
    with pytest.raises(Invalid, match="cannot begin with -1"):
        reset(desk.state, Decimal(-1), at=desk.at)
    with pytest.raises(Conflict, match="reset with orders open"):
        desk.state.apply(AccountReset(at=desk.at, cash=Decimal(1)))


# Bought on Friday the 20th: delivered on Monday the 23rd; on Monday, with Tuesday the 24th a
# holiday: delivered on Wednesday. What is a position and what a holding, day by day.
@pytest.mark.parametrize(
    ("bought", "seen", "position", "holding"),
    [(20, 20, 10, 0), (20, 22, 10, 0), (20, 23, 0, 10), (23, 24, 10, 0), (23, 25, 0, 10)],
)
def test_shares_are_a_holding_once_they_are_delivered(
    bought: int, seen: int, position: int, holding: int
) -> None:
    desk = rich()
    desk.at = MORNING.replace(day=bought)
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET CNC")
    group = desk.state.group(PositionKey(EMA, INFY, Product.CNC))
    row = day_position(group, MORNING.replace(day=seen).date(), settles_on=HOURS.settles_on)
    assert (row.traded.quantity, row.settled.quantity) == (position, holding)


def test_a_sale_takes_what_was_bought_today_first_and_pays_no_fee_for_it() -> None:
    desk = rich(charged=True)
    desk.show(quote(last="100"))
    desk.place("BUY 10 MARKET CNC")
    desk.next_day()
    desk.place("BUY 5 MARKET CNC")
    fees = []
    for sold in (5, 4, 4):
        asked = request(f"SELL {sold} MARKET CNC")
        desk.place(asked)
        fees.append(desk.state.trades_on(day_of(desk.at))[-1].charges > 13)
    # the first sells today's purchase, the second and third shares of yesterday: one fee a day
    assert fees == [False, True, False]
    group = desk.state.group(PositionKey(EMA, INFY, Product.CNC))
    assert [(lot.day, lot.units) for lot in group.lots] == [(MORNING.date(), 2)]


def test_lots_of_long_ago_become_one() -> None:
    desk = rich()
    desk.show(quote(last="100"))
    for _ in range(120):
        desk.place("BUY 1 MARKET CNC")
        desk.next_day()
    group = desk.state.group(PositionKey(EMA, INFY, Product.CNC))
    assert sum(lot.units for lot in group.lots) == 120
    assert len(group.lots) < 65
    assert group.delivered_on(day_of(desk.at), HOURS.settles_on) >= 118


def test_both_sides_of_charges_are_told() -> None:
    desk = rich(charged=True)
    desk.show(quote(last="100"))
    desk.place("BUY 100 MARKET MIS")
    desk.show(quote(last="101"))
    desk.place("SELL 100 MARKET MIS")
    position = desk.state.group(PositionKey(EMA, INFY, Product.MIS)).position
    trades = desk.state.trades_on(day_of(desk.at))
    assert position.realised == 100
    assert position.charges == sum(trade.charges for trade in trades) == desk.state.charges > 0
    assert desk.state.cash == Decimal(10_000_000) + 100 - desk.state.charges
    assert [trade.action for trade in trades] == [Action.BUY, Action.SELL]


sides = st.tuples(
    st.sampled_from([CALL, PUT, FUTURE]),
    st.sampled_from([EMA, RSI, UNATTRIBUTED]),
    st.sampled_from(["BUY", "SELL"]),
    st.integers(min_value=1, max_value=20),
    st.sampled_from(["MIS", "NRML"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    traded=st.lists(sides, max_size=12),
    close=st.decimals(min_value=20_000, max_value=29_000, places=2),
)
def test_no_rupee_is_made_or_lost_by_an_expiry(
    traded: list[tuple[InstrumentKey, Book, str, int, str]], close: Decimal
) -> None:
    """Cash is what was put in, what flowed at trades and at the settlement, less charges."""
    desk = Desk(cash="1000000000", charges=PublishedCharges(rates=published()))
    prices = {CALL: Decimal(100), PUT: Decimal(90), FUTURE: Decimal(24_600)}
    for key, last in prices.items():
        desk.show(quote(key, last=str(last)))
    flows, units = Decimal(0), Counter[InstrumentKey]()
    for key, owner, side, lots, product in traded:
        order = desk.place(f"{side} {75 * lots} MARKET {product}", key, owner=owner)
        sign = order.request.action.sign * order.filled_quantity
        units[key] += sign
        flows -= sign * prices[key]
    for key in prices:
        contract = contract_of(key)
        assert contract is not None
        flows += units[key] * settlement_price(contract, close)
        desk.keep(expire(desk.state, key, close, at=EXPIRY))
        assert expire(desk.state, key, close, at=EXPIRY) == []
    state = desk.state
    assert state.cash == 1_000_000_000 + flows - state.charges
    positions = [group.position for group in state.groups().values()]
    assert sum(one.realised for one in positions) == state.realised == flows
    assert sum(one.charges for one in positions) == state.charges
    assert all(one.quantity == one.open_value == 0 for one in positions)
    assert state.hold == state.unrealised(desk.mark) == 0
