"""A changed copy is the one that ``dataclasses.replace`` makes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from algohost.domain.orders import Position, Product
from algohost.domain.values import changed
from tests.exchange.desk import EMA, INFY


def test_a_changed_copy_is_what_replace_makes_and_leaves_the_original() -> None:
    flat = Position(book=EMA, key=INFY, product=Product.MIS)
    held = changed(flat, quantity=3, open_value=Decimal(300))
    assert held == replace(flat, quantity=3, open_value=Decimal(300))
    assert (flat.quantity, type(held)) == (0, Position)


def test_a_name_that_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match="Position has no field"):
        changed(Position(book=EMA, key=INFY, product=Product.MIS), quantty=3)
