"""How several orders are cut and put in order: laws for any of them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, OrderRequest
from algohost.web.api_v1.batches import Leg, buys_first, of_quantity, pieces_of, sides_of
from algohost.web.api_v1.order_requests import MOST_ORDERS

UNITS = st.integers(min_value=1, max_value=10**9)


def request(action: Action, *, shown: int = 0, quantity: int = 10) -> OrderRequest:
    return OrderRequest(
        key=InstrumentKey(exchange=Exchange.NSE, symbol="TCS"),
        action=action,
        quantity=quantity,
        price=Decimal(1),
        disclosed_quantity=shown,
    )


@given(quantity=UNITS, size=UNITS)
def test_pieces_sum_to_the_whole_and_only_the_last_is_smaller(quantity: int, size: int) -> None:
    count = -(-quantity // size)
    if count > MOST_ORDERS:
        with pytest.raises(Invalid) as refusal:
            pieces_of(quantity, size)
        least = int(refusal.value.message.rsplit("must be ", 1)[1].split()[0])
        assert -(-quantity // least) <= MOST_ORDERS < -(-quantity // max(least - 1, 1))
        return
    pieces = pieces_of(quantity, size)
    assert sum(pieces) == quantity
    assert len(pieces) == count
    assert all(piece == size for piece in pieces[:-1])
    assert 0 < pieces[-1] <= size


@given(st.lists(st.sampled_from(Action), max_size=30))
def test_purchases_go_first_and_nothing_else_changes_its_place(actions: list[Action]) -> None:
    legs = [
        Leg(request=request(action), number=number)
        for number, action in enumerate(actions, start=1)
    ]
    ordered = buys_first(legs)
    assert [leg for leg in ordered if leg.request.action is Action.BUY] == [
        leg for leg in legs if leg.request.action is Action.BUY
    ]
    assert sorted(ordered, key=lambda leg: leg.number) == legs
    sides = sides_of(ordered)
    assert len(sides) == len(set(actions))
    assert [leg for side in sides for leg in side] == ordered


@given(shown=st.integers(min_value=0, max_value=100), quantity=UNITS)
def test_a_piece_shows_no_more_than_it_has(shown: int, quantity: int) -> None:
    piece = of_quantity(request(Action.BUY, shown=shown), quantity)
    assert (piece.quantity, piece.disclosed_quantity) == (quantity, min(shown, quantity))
