"""The index of what a quote wakes finds what looking at every order finds."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.orders import Action, Order, OrderStatus, PriceType
from algohost.exchange.wakes import Wake, Wakes
from tests.exchange.desk import INFY, TCS, Desk, quote, request

prices = st.integers(1, 60).map(Decimal)
kinds = st.sampled_from(["LIMIT", "SL-M", "MARKET"])
orders = st.lists(st.tuples(st.sampled_from(Action), kinds, prices), max_size=25)


def an_order(number: int, action: Action, kind: str, price: Decimal) -> Order:
    asked = replace(
        request(f"{action} 1 {kind} {price} @{price}"), price=price, trigger_price=price
    )
    is_stop = kind == "SL-M"
    return replace(
        Desk().intended(asked),
        id=f"{number:018d}",  # type: ignore[arg-type]
        status=OrderStatus.TRIGGER_PENDING if is_stop else OrderStatus.OPEN,
    )


def concerns(order: Order, low: Decimal, high: Decimal) -> bool:
    asked = order.request
    if asked.price_type is PriceType.MARKET:
        return True
    is_below = (asked.action is Action.BUY) == (asked.price_type is PriceType.LIMIT)
    return asked.price >= low if is_below else asked.price <= high


@given(placed=orders, gone=st.sets(st.integers(0, 24)), low=prices, spread=st.integers(0, 20))
def test_a_quote_wakes_whom_it_concerns_and_nobody_else(
    placed: list[tuple[Action, str, Decimal]], gone: set[int], low: Decimal, spread: int
) -> None:
    made = [an_order(number, *what) for number, what in enumerate(placed)]
    wakes = Wakes()
    for order in made:
        wakes.keep_order(None, order)
    for number in gone & set(range(len(made))):
        wakes.keep_order(made[number], replace(made[number], status=OrderStatus.CANCELLED))
    left = [order for number, order in enumerate(made) if number not in gone]
    wake, high = wakes.of(INFY) or Wake(), low + spread
    found = wake.touched(low, high)
    assert sorted(found) == sorted(o.id for o in left if concerns(o, low, high))
    sleeps = low > wake.top and high < wake.bottom and not wake.eager
    assert sleeps is (found == [])
    assert wake.is_empty is (left == [])


def test_an_instrument_that_nothing_waits_in_is_not_looked_at() -> None:
    desk = Desk()
    desk.tick([quote(last="100"), quote(TCS, last="200")])
    assert desk.state.waits_in(INFY) is False
    order = desk.place("BUY 1 LIMIT 90")
    assert (desk.state.waits_in(INFY), desk.state.waits_in(TCS)) == (True, False)
    desk.cancel(order.id)
    assert desk.state.waits_in(INFY) is False
