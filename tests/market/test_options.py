"""Which option is meant: offsets, expiries, underlyings, and what is said where there is none."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.contract_symbols import ContractKind
from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.instruments import InstrumentKey
from algohost.market.measures import days_left, measure, synthetic_future
from algohost.market.options import (
    MOST_STEPS,
    expiry_of,
    label_of,
    nearest,
    resolve_option,
    series_of,
    steps_of,
)
from algohost.testing.market import TableMarket
from tests.market.lists import MONDAY, NIFTY, monday
from tests.market.priced import ist, key, option

TUESDAY = date(2026, 12, 1)
RELIANCE = key("NSE", "RELIANCE")
CRUDE = key("MCX", "CRUDEOIL18DEC26FUT")


def shown(at: datetime = datetime(2026, 11, 23, 5, tzinfo=UTC)) -> TableMarket:
    """A market of three prices."""
    market = TableMarket([], at=at)
    market.show(NIFTY, last="24512.35")
    market.show(RELIANCE, last="1371")
    market.show(CRUDE, last="5370")
    market.show(key("MCX", "CRUDEOIL19JAN27FUT"), last="5440")
    return market


@pytest.mark.parametrize(
    ("underlying", "expiry", "offset", "kind", "symbol"),
    [
        (NIFTY, "23NOV26", "ATM", "CE", "NIFTY23NOV2624500CE"),
        (NIFTY, "23NOV26", "ITM2", "CE", "NIFTY23NOV2624400CE"),
        (NIFTY, "23NOV26", "ITM2", "PE", "NIFTY23NOV2624600PE"),
        (NIFTY, "23NOV26", "OTM1", "CE", "NIFTY23NOV2624550CE"),
        (NIFTY, "23NOV26", "OTM50", "PE", "NIFTY23NOV2622000PE"),
        (NIFTY, "23-nov-26", "otm1", "pe", "NIFTY23NOV2624450PE"),
        (NIFTY, TUESDAY, "ATM", "PE", "NIFTY01DEC2624500PE"),
        (key("NFO", "NIFTY"), "01DEC26", "ATM", "PE", "NIFTY01DEC2624500PE"),
        (key("NFO", "NIFTY29DEC26FUT"), None, "ATM", "CE", "NIFTY29DEC2624500CE"),
        (key("NFO", "NIFTY29DEC26FUT"), "01DEC26", "ATM", "CE", "NIFTY01DEC2624500CE"),
        (RELIANCE, "29DEC26", "ATM", "CE", "RELIANCE29DEC261380CE"),
        (RELIANCE, "29DEC26", "ITM1", "CE", "RELIANCE29DEC261360CE"),
        (key("MCX", "CRUDEOIL"), "16DEC26", "ATM", "CE", "CRUDEOIL16DEC265350CE"),
        (CRUDE, "16DEC26", "OTM1", "PE", "CRUDEOIL16DEC265300PE"),
        (key("MCX", "CRUDEOIL"), "15JAN27", "ATM", "PE", "CRUDEOIL15JAN275450PE"),
    ],
)
def test_an_offset_names_the_listed_option(
    underlying: InstrumentKey, expiry: date | str | None, offset: str, kind: str, symbol: str
) -> None:
    found = resolve_option(
        monday(), shown(), underlying=underlying, expiry=expiry, offset=offset, option_type=kind
    )
    assert found.instrument.key.symbol == symbol
    assert (found.offset, found.option_type) == (offset.upper(), kind.upper())


def test_what_it_was_found_by_is_told() -> None:
    found = resolve_option(
        monday(), shown(), underlying=key("MCX", "CRUDEOIL"), expiry="16DEC26", offset="ITM1",
        option_type="CE",
    )  # fmt: skip
    assert (found.underlying, found.underlying_ltp) == (CRUDE, Decimal("5370"))
    assert (found.atm_strike, found.expiry) == (Decimal("5350.00"), date(2026, 12, 16))


@pytest.mark.parametrize(
    ("underlying", "expiry", "offset", "kind", "code", "words"),
    [
        (NIFTY, "23NOV26", "OTM51", "CE", "BAD_FIELDS", "ITM1 to ITM50"),
        (NIFTY, "23NOV26", "OTM0", "CE", "BAD_FIELDS", "ITM1 to ITM50"),
        (NIFTY, "23NOV26", "ATM1", "CE", "BAD_FIELDS", "ITM1 to ITM50"),
        (NIFTY, "23NOV26", "ATM", "C", "BAD_FIELDS", "CE or PE"),
        (NIFTY, "31FEB26", "ATM", "CE", "BAD_FIELDS", "28OCT25"),
        (NIFTY, "2026-11-23", "ATM", "CE", "BAD_FIELDS", "28OCT25"),
        (NIFTY, None, "ATM", "CE", "BAD_FIELDS", "expiry_date is missing"),
        (NIFTY, "16NOV26", "ATM", "CE", "EXPIRED", "next expiries are 23NOV26, 01DEC26"),
        (NIFTY, "24NOV26", "ATM", "CE", "EXPIRY_NOT_FOUND", "use one of 23NOV26, 01DEC26"),
        (key("NSE_INDEX", "NFTY"), "23NOV26", "ATM", "CE", "UNDERLYING", "no options on NFO"),
        (RELIANCE, "29DEC26", "OTM50", "CE", "STRIKE_NOT_FOUND", "beyond the listed strikes"),
        (key("NFO", "NIFTY23NOV2624500CE"), None, "ATM", "CE", "UNDERLYING", "is an option"),
        (key("MCX", "GOLDPETAL"), "30NOV26", "ATM", "CE", "UNDERLYING", "no options on MCX"),
    ],
)
def test_what_cannot_be_found_says_why(
    underlying: InstrumentKey, expiry: str | None, offset: str, kind: str, code: str, words: str
) -> None:
    with pytest.raises(AlgohostError) as refused:
        resolve_option(
            monday(), shown(), underlying=underlying, expiry=expiry, offset=offset,
            option_type=kind,
        )  # fmt: skip
    assert refused.value.code == code
    assert words in refused.value.message
    assert refused.value.message.endswith(".")


@given(steps=st.integers(-MOST_STEPS, MOST_STEPS), kind=st.sampled_from(["CE", "PE"]))
def test_labels_and_offsets_are_each_others_inverse(steps: int, kind: str) -> None:
    assert steps_of(label_of(steps, ContractKind(kind)), ContractKind(kind)) == steps


def test_of_two_strikes_as_near_the_lower_is_at_the_money() -> None:
    strikes = [Decimal(text) for text in ("100", "150", "200")]
    assert [nearest(strikes, Decimal(text)) for text in ("125", "125.05", "10", "999")] == [
        0,
        1,
        0,
        2,
    ]


def test_an_expiry_is_read_as_the_list_writes_it_and_as_symbols_do() -> None:
    assert expiry_of("05JUN25") == expiry_of(" 05-jun-25 ") == date(2025, 6, 5)


# ---- what a price says


def test_the_synthetic_future_is_strike_plus_call_less_put() -> None:
    market = shown()
    series = series_of(monday(), market, underlying=NIFTY, expiry=TUESDAY)
    assert synthetic_future(series, market) is None
    market.show(option("NIFTY", TUESDAY, Decimal(24500), "CE"), last="201.50")
    market.show(option("NIFTY", TUESDAY, Decimal(24500), "PE"), last="160.25")
    assert synthetic_future(series, market) == Decimal("24541.25")


def test_the_days_left_end_at_the_exchanges_time_or_at_another() -> None:
    series = series_of(monday(), shown(), underlying=NIFTY, expiry=TUESDAY)
    assert days_left(series, ist(MONDAY, 15, 30), None) == 8
    assert days_left(series, ist(MONDAY, 15, 30), time(3, 30)) == 7.5
    with pytest.raises(Invalid, match=r"expired at 15:30 IST"):
        days_left(series, ist(TUESDAY, 15, 30), None)


@pytest.mark.parametrize(
    ("kind", "paid", "delta"),
    [("CE", 1000.0, 1.0), ("PE", 1000.0, -1.0), ("CE", 999.0, 1.0)],
)
def test_a_price_without_time_value_has_the_greeks_of_exercise(
    kind: str, paid: float, delta: float
) -> None:
    forward = 25_000.0 if kind == "CE" else 23_000.0
    found = measure(ContractKind(kind), paid=paid, forward=forward, strike=24_000.0, days=5, rate=0)
    assert (found.implied_volatility, found.greeks.delta, found.greeks.vega) == (0, delta, 0)
    assert "no time value" in found.note


def test_a_price_that_no_volatility_gives_is_refused() -> None:
    with pytest.raises(Invalid, match="No volatility gives a price of 24100"):
        measure(ContractKind.CE, paid=24_100.0, forward=24_000.0, strike=24_000.0, days=5, rate=0)
