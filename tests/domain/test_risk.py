"""Limits: each refuses what is beyond it, in a sentence, and nobody is kept from getting out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.kill_switch import WHOLE_HOST, KillScope
from algohost.domain.orders import Action, OrderRequest, PriceType, Product
from algohost.domain.risk import (
    Asked,
    Facts,
    LimitTarget,
    LossReached,
    RiskCode,
    RiskLimits,
    allows,
    breach,
    has_lost_too_much,
    is_exit,
)
from algohost.domain.risk_draft import changed

INFY = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
EMA = LimitTarget(scope=KillScope.STRATEGY, id="ema")
AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LOSS = LossReached(target=EMA, day=date(2026, 11, 23), at=AT, lost=Decimal(1500))
EVERYTHING = RiskLimits(
    most_quantity=1,
    most_value=Decimal(1),
    most_open_orders=1,
    most_orders_a_day=1,
    most_daily_loss=Decimal(1),
    symbols=("NSE:TCS",),
    products=(Product.CNC,),
)


def order(action: Action = Action.BUY, quantity: int = 10, **values: object) -> OrderRequest:
    return OrderRequest(key=INFY, action=action, quantity=quantity, **values)  # type: ignore[arg-type]


def limit(price: str, **values: object) -> OrderRequest:
    return order(price_type=PriceType.LIMIT, price=Decimal(price), **values)  # type: ignore[arg-type]


def stop(trigger: str, price: str = "0") -> OrderRequest:
    kind = PriceType.SL if Decimal(price) else PriceType.SL_M
    return order(price_type=kind, trigger_price=Decimal(trigger), price=Decimal(price))


def asked(request: OrderRequest, **values: object) -> Asked:
    return Asked(**{"request": request, "last": Decimal(100), "is_exit": False, **values})  # type: ignore[arg-type]


BAND = RiskLimits(price_band_percent=Decimal(5))
REFUSED = [
    (RiskLimits(most_quantity=9), order(), Facts(), RiskCode.QUANTITY, "10 units are more than"),
    (RiskLimits(most_value=Decimal(999)), order(), Facts(), RiskCode.VALUE, "worth ₹1,000.00"),
    (RiskLimits(most_value=Decimal(999)), limit("101"), Facts(), RiskCode.VALUE, "₹1,010.00"),
    (RiskLimits(most_value=Decimal(999)), stop("102"), Facts(), RiskCode.VALUE, "₹1,020.00"),
    (
        RiskLimits(most_open_orders=2),
        order(),
        Facts(open_orders=2),
        RiskCode.OPEN_ORDERS,
        "2 orders of the strategy are open, and 2 may be",
    ),
    (
        RiskLimits(most_orders_a_day=5),
        order(),
        Facts(orders_today=5),
        RiskCode.ORDERS_A_DAY,
        "5 orders of the strategy were placed today",
    ),
    (
        RiskLimits(most_daily_loss=Decimal(1000)),
        order(),
        Facts(loss=LOSS),
        RiskCode.DAILY_LOSS,
        "reached with ₹1,500.00",
    ),
    (RiskLimits(symbols=("NSE:TCS",)), order(), Facts(), RiskCode.SYMBOL, "NSE:INFY is not among"),
    (RiskLimits(products=(Product.CNC,)), order(), Facts(), RiskCode.PRODUCT, "use CNC"),
    (BAND, limit("94.9"), Facts(), RiskCode.PRICE_BAND, "5.10 %"),
    (BAND, limit("105.1"), Facts(), RiskCode.PRICE_BAND, "allows 5 %"),
    (BAND, stop("120", "127"), Facts(), RiskCode.PRICE_BAND, "away from its trigger"),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "request_", "facts", "code", "words"), REFUSED)
def test_what_is_beyond_a_limit_is_refused_with_its_code_and_a_sentence(
    limits: RiskLimits, request_: OrderRequest, facts: Facts, code: RiskCode, words: str
) -> None:
    found = breach(EMA, limits, asked(request_), facts)
    assert found is not None
    assert (found.target, found.code) == (EMA, code)
    assert words in found.sentence
    assert found.sentence.endswith(".")


WITHIN = [
    (RiskLimits(most_quantity=10), order(), Facts()),
    (RiskLimits(most_value=Decimal(1000)), order(), Facts()),
    (RiskLimits(most_open_orders=2), order(), Facts(open_orders=1)),
    (RiskLimits(most_orders_a_day=5), order(), Facts(orders_today=4)),
    (RiskLimits(symbols=("NSE:IN*",)), order(), Facts()),
    (RiskLimits(products=(Product.MIS,)), order(), Facts()),
    (RiskLimits(price_band_percent=Decimal(5)), limit("95"), Facts()),
    (RiskLimits(price_band_percent=Decimal(5)), order(), Facts()),
    (RiskLimits(price_band_percent=Decimal(5)), stop("120", "126"), Facts()),
    (RiskLimits(), order(quantity=10**9), Facts(open_orders=10**6, orders_today=10**6)),
]


@pytest.mark.parametrize(("limits", "request_", "facts"), WITHIN)
def test_what_is_at_a_limit_or_under_it_passes(
    limits: RiskLimits, request_: OrderRequest, facts: Facts
) -> None:
    assert breach(EMA, limits, asked(request_), facts) is None


def test_a_value_that_nobody_can_tell_is_refused() -> None:
    """Failure is never emptiness: without a price an order is not worth nothing."""
    found = breach(
        WHOLE_HOST, RiskLimits(most_value=Decimal(1)), asked(order(), last=None), Facts()
    )
    assert found is not None
    assert "There is no price of NSE:INFY now" in found.sentence


def test_an_exit_is_refused_for_its_price_alone() -> None:
    facts = Facts(open_orders=9, orders_today=9, loss=LOSS)
    assert breach(EMA, EVERYTHING, asked(order(quantity=5), is_exit=True), facts) is None
    banded = replace(EVERYTHING, price_band_percent=Decimal(1))
    found = breach(EMA, banded, asked(limit("90"), is_exit=True), facts)
    assert found is not None
    assert found.code is RiskCode.PRICE_BAND


def test_a_change_does_not_count_as_another_order() -> None:
    facts = Facts(open_orders=1, orders_today=1)
    limits = RiskLimits(most_open_orders=1, most_orders_a_day=1, most_quantity=10)
    assert breach(EMA, limits, asked(order(), is_change=True), facts) is None
    larger = breach(EMA, limits, asked(order(quantity=11), is_change=True), facts)
    assert larger is not None
    assert larger.code is RiskCode.QUANTITY


SELL = order(Action.SELL, 100)
TARGET = replace(SELL, price_type=PriceType.LIMIT, price=Decimal(110))
STOP = replace(SELL, price_type=PriceType.SL_M, trigger_price=Decimal(95))
EXITS = [
    (SELL, 100, [], True),
    (replace(SELL, quantity=101), 100, [], False),
    (SELL, -100, [], False),
    (SELL, 0, [], False),
    (replace(SELL, action=Action.BUY), -100, [], True),
    (SELL, 100, [(TARGET, 100), (STOP, 100)], True),
    (STOP, 100, [(TARGET, 100)], True),
    (SELL, 100, [(SELL, 1)], False),
    (TARGET, 100, [(TARGET, 60)], False),
    (replace(TARGET, quantity=40), 100, [(TARGET, 60)], True),
    (SELL, 100, [(replace(SELL, action=Action.BUY), 50)], True),
]


@pytest.mark.parametrize(("request_", "held", "working", "expected"), EXITS)
def test_an_exit_takes_no_more_than_the_position_with_the_orders_of_its_kind(
    request_: OrderRequest, held: int, working: list[tuple[OrderRequest, int]], expected: bool
) -> None:
    assert is_exit(request_, held, working) is expected


@given(held=st.integers(-500, 500), quantities=st.lists(st.integers(1, 300), max_size=12))
def test_exits_of_one_kind_together_never_turn_a_position_round(
    held: int, quantities: list[int]
) -> None:
    action = Action.SELL if held > 0 else Action.BUY
    working: list[tuple[OrderRequest, int]] = []
    for quantity in quantities:
        one = order(action, quantity)
        if is_exit(one, held, working):
            working.append((one, quantity))
    assert sum(units for _, units in working) <= abs(held)


@pytest.mark.parametrize(
    ("pnl", "expected"), [("-999.99", False), ("-1000", True), ("-1000.01", True), ("5000", False)]
)
def test_a_loss_is_reached_at_its_limit(pnl: str, expected: bool) -> None:
    assert has_lost_too_much(RiskLimits(most_daily_loss=Decimal(1000)), Decimal(pnl)) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("NSE:INFY", True), ("NSE:IN*", True), ("NSE:*", True), ("NSE:INF", False), ("BSE:*", False)],
)
def test_a_star_stands_for_the_rest_of_a_symbol(pattern: str, expected: bool) -> None:
    assert allows(pattern, INFY) is expected


def test_limits_are_read_from_what_people_write_and_the_rest_stays() -> None:
    first = changed(
        RiskLimits(),
        {"most_quantity": "75", "most_daily_loss": 2500, "symbols": "nse:infy, NFO:NIFTY*"},
    )
    assert first == RiskLimits(
        most_quantity=75, most_daily_loss=Decimal(2500), symbols=("NSE:INFY", "NFO:NIFTY*")
    )
    second = changed(first, {"most_quantity": None, "symbols": [], "products": ["mis"]})
    assert second == RiskLimits(most_daily_loss=Decimal(2500), products=(Product.MIS,))
    assert changed(second, {"most_daily_loss": "", "products": None}).bounds_anything is False


BAD: list[tuple[Mapping[str, object], str]] = [
    ({"most_lots": 3}, "“most_lots” is not a limit"),
    ({"most_quantity": 0}, "Units in one order: give a whole number from 1"),
    ({"most_quantity": True}, "whole number"),
    ({"most_quantity": "1.5"}, "whole number"),
    ({"most_quantity": "²"}, "whole number"),
    ({"most_open_orders": -1}, "Open orders: give"),
    ({"most_value": "NaN"}, "Value of one order: give a number above 0"),
    ({"most_value": "1e99"}, "at most"),
    ({"most_daily_loss": "10.005"}, "Daily loss: give at most 2 decimals"),
    ({"price_band_percent": 101}, "Price band"),
    ({"symbols": ["INFY"]}, "write exchange and symbol"),
    ({"symbols": ["NSE:I*Y"]}, "write exchange and symbol"),
    ({"symbols": [f"NSE:A{n}" for n in range(201)]}, "at most 200"),
    ({"symbols": 7}, "give a list of symbols"),
    ({"products": ["BO"]}, "“BO” is none; there are MIS, NRML, CNC"),
    ({"stops_at_loss": "yes"}, "give true or false"),
    ({"stops_at_loss": True}, "There is no daily loss at which to stop"),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_what_cannot_be_a_limit_is_refused_in_a_sentence(
    changes: Mapping[str, object], words: str
) -> None:
    with pytest.raises(Invalid, match=words.replace("*", r"\*")) as caught:
        changed(RiskLimits(), changes)
    assert caught.value.code in {"RISK_BAD_LIMIT", "RISK_UNKNOWN_LIMIT"}
    assert caught.value.message.endswith(".")
