"""Ids and rupees: made in one form, and refused in any other."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.ids import is_run_id, is_strategy_id, strategy_id
from algohost.domain.money import format_inr

AT = datetime(2026, 11, 23, 3, 45, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "attempt", "made"),
    [
        ("EMA crossover", 0, "ema_crossover_20261123091501"),
        ("EMA crossover", 2, "ema_crossover_20261123091501_2"),
        ("  <b>NIFTY</b> ", 0, "b_nifty_b_20261123091501"),
        ("रणनीति", 0, "strategy_20261123091501"),
        ("x" * 200, 0, "x" * 60 + "_20261123091501"),
    ],
)
def test_an_id_is_the_name_and_the_second_in_ist(name: str, attempt: int, made: str) -> None:
    assert strategy_id(name, AT, attempt=attempt) == made


@given(st.text(), st.integers(0, 999))
def test_every_name_makes_an_id_that_is_recognised(name: str, attempt: int) -> None:
    assert is_strategy_id(strategy_id(name, AT, attempt=attempt))


@pytest.mark.parametrize(
    "text",
    ["", "..", "../etc/passwd", "ema_20261123091501\n", "EMA_20261123091501", "ema", "ema%2e_1"],
)
def test_anything_else_is_no_strategy_id(text: str) -> None:
    assert not is_strategy_id(text)


@pytest.mark.parametrize(
    ("text", "is_one"), [("0123456789abcdef", True), ("0123456789ABCDEF", False), ("0" * 17, False)]
)
def test_a_run_id_is_sixteen_hexadecimal_digits(text: str, *, is_one: bool) -> None:
    assert is_run_id(text) is is_one


@pytest.mark.parametrize(
    ("amount", "sign", "decimals", "written"),
    [
        (None, "negative", 2, "–"),
        (Decimal("123456.7"), "negative", 2, "₹1,23,456.70"),
        (Decimal("-1234567890.125"), "negative", 2, "−₹1,23,45,67,890.12"),
        (Decimal("999"), "always", 0, "+₹999"),
        (Decimal("0"), "always", 2, "₹0.00"),
        (100000, "negative", 0, "₹1,00,000"),
    ],
)
def test_rupees_are_grouped_as_in_india(
    amount: Decimal | None, sign: str, decimals: int, written: str
) -> None:
    assert format_inr(amount, sign=sign, decimals=decimals) == written
