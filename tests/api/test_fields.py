"""What the fields of requests read, beyond what every refusal of the API is tested for."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import Invalid
from algohost.web.api_v1.gtt_requests import PlaceGtt
from algohost.web.api_v1.option_requests import OptionGreeks
from algohost.web.api_v1.order_requests import OneOrder, PlaceOrder
from algohost.web.api_v1.requests import Search, parse

BUY = {"symbol": "TCS", "exchange": "NSE", "action": "BUY", "quantity": 1, "pricetype": "LIMIT"}
GTT = {**BUY, "trigger_type": "SINGLE", "product": "CNC"}
OPTION = {"symbol": "NIFTY26JUN2521750CE", "exchange": "NFO"}


@given(ticks=st.integers(1, 10**7), tick=st.sampled_from([0.05, 0.01, 0.0025, 0.1]))
def test_a_price_that_a_script_rounded_to_the_tick_is_that_price(ticks: int, tick: float) -> None:
    """``round(x / 0.05) * 0.05`` leaves the noise of binary fractions, which nobody means."""
    meant = ticks * Decimal(str(tick))
    for sent in (ticks * tick, str(ticks * tick)):
        assert parse(PlaceOrder, {**BUY, "price": sent}).price == meant


@pytest.mark.parametrize("sent", ["1e-9", 1e-12, "0.123456789", 1234.123456789])
def test_a_price_that_has_more_decimals_is_refused(sent: object) -> None:
    with pytest.raises(Invalid, match="price must have at most 8 decimals"):
        parse(PlaceOrder, {**BUY, "price": sent})


@pytest.mark.parametrize("sent", [25060200000000001, "25060200000000001", " 25060200000000001 "])
def test_an_order_number_may_be_a_number_or_text(sent: object) -> None:
    assert parse(OneOrder, {"orderid": sent}).orderid == "25060200000000001"


@pytest.mark.parametrize("sent", [2.5, True, None, 2.0**60, [], {}])
def test_a_number_that_cannot_be_exact_is_no_order_number(sent: object) -> None:
    with pytest.raises(Invalid, match="orderid must be text"):
        parse(OneOrder, {"orderid": sent})


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (Search, {"query": "ΤCS"}, "query must be at most 64 printable characters of ASCII"),
    (PlaceGtt, {**GTT, "product": {}}, "product must be CNC or NRML"),
    (PlaceGtt, {**GTT, "product": ["CNC"]}, "product must be CNC or NRML"),
    (OptionGreeks, {**OPTION, "interest_rate": 101}, "interest_rate must be a yearly rate in"),
    (OptionGreeks, {**OPTION, "underlying_symbol": "A\0"}, "underlying_symbol must be at most 64"),
    (OptionGreeks, {**OPTION, "underlying_symbol": {}}, "underlying_symbol must be text"),
]


@pytest.mark.parametrize(("model", "fields", "part"), REFUSED)
def test_what_no_field_takes_gets_its_sentence(
    model: Any, fields: dict[str, Any], part: str
) -> None:
    with pytest.raises(Invalid, match=part):
        parse(model, fields)
