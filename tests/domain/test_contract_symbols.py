"""Symbols of derivatives: made, read back, and not mistaken for anything else."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.contract_symbols import ContractKind, ContractParts, parts_of, symbol_of
from algohost.domain.errors import Invalid

NOVEMBER = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("NIFTY24NOV26FUT", ("NIFTY", NOVEMBER, ContractKind.FUT, None)),
        ("NIFTY24NOV2624500CE", ("NIFTY", NOVEMBER, ContractKind.CE, "24500")),
        ("VEDL24NOV26292.5PE", ("VEDL", NOVEMBER, ContractKind.PE, "292.5")),
        ("USDINR24NOV2688.25CE", ("USDINR", NOVEMBER, ContractKind.CE, "88.25")),
        ("NIFTYNXT5024NOV2667000CE", ("NIFTYNXT50", NOVEMBER, ContractKind.CE, "67000")),
        ("360ONE24NOV26FUT", ("360ONE", NOVEMBER, ContractKind.FUT, None)),
        ("M&M24NOV263400CE", ("M&M", NOVEMBER, ContractKind.CE, "3400")),
        ("BAJAJ-AUTO24NOV26FUT", ("BAJAJ-AUTO", NOVEMBER, ContractKind.FUT, None)),
        ("IDEA24NOV260.5CE", ("IDEA", NOVEMBER, ContractKind.CE, "0.5")),
    ],
)
def test_a_symbol_says_base_expiry_kind_and_strike(
    symbol: str, parts: tuple[str, date, ContractKind, str | None]
) -> None:
    base, expiry, kind, strike = parts
    expected = ContractParts(
        base=base, expiry=expiry, kind=kind, strike=None if strike is None else Decimal(strike)
    )
    assert parts_of(symbol) == expected
    assert symbol_of(expected) == symbol


@pytest.mark.parametrize(
    "symbol",
    [
        "RELIANCE",
        "NIFTY",
        "24NOV26FUT",  # no base
        "NIFTY31FEB26FUT",  # no such day
        "NIFTY24NOX26FUT",
        "NIFTY24NOV26",
        "NIFTY24NOV26CE",  # an option without a strike
        "NIFTY24NOV26024500CE",  # a strike that nobody writes so
        "NIFTY24NOV2624500.0CE",
        "NIFTY24NOV2624500.CE",
        "nifty24nov26fut",
        "NIFTY24NOV26FUT ",
    ],
)
def test_what_is_no_derivatives_symbol_is_not_read_as_one(symbol: str) -> None:
    assert parts_of(symbol) is None


@given(
    base=st.from_regex(r"[A-Z0-9&-]{1,20}", fullmatch=True),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    kind=st.sampled_from([ContractKind.FUT, ContractKind.CE, ContractKind.PE]),
    strike=st.decimals(0, 1_000_000, places=4),
)
def test_parts_come_back_from_the_symbol_that_they_make(
    base: str, expiry: date, kind: ContractKind, strike: Decimal
) -> None:
    parts = ContractParts(
        base=base, expiry=expiry, kind=kind, strike=strike if kind.is_option else None
    )
    assert parts_of(symbol_of(parts)) == parts


@pytest.mark.parametrize(
    "parts",
    [
        {"base": "NIFTY", "expiry": NOVEMBER, "kind": ContractKind.CE},
        {"base": "NIFTY", "expiry": NOVEMBER, "kind": ContractKind.FUT, "strike": Decimal(1)},
        {"base": "NIFTY", "expiry": NOVEMBER, "kind": ContractKind.EQ},
        {"base": "", "expiry": NOVEMBER, "kind": ContractKind.FUT},
        {"base": "NIFTY", "expiry": date(2126, 1, 1), "kind": ContractKind.FUT},
        {"base": "NIFTY", "expiry": NOVEMBER, "kind": ContractKind.CE, "strike": Decimal(-1)},
    ],
)
def test_parts_that_no_symbol_could_say_are_refused(parts: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        ContractParts(**parts)  # type: ignore[arg-type]
