"""What a search finds, and what comes first."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.domain.instruments import Exchange
from tests.market.lists import monday


def found(text: str, exchange: Exchange | None = None, limit: int = 500) -> list[str]:
    return [str(one.key) for one in monday().search(text, exchange, limit=limit)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # what is quoted as it is comes first, then futures by expiry, options last
        ("nifty", ["NSE_INDEX:NIFTY", "NFO:NIFTY23NOV26FUT", "NFO:NIFTY29DEC26FUT"]),
        ("RELIANCE", ["NSE:RELIANCE", "BSE:RELIANCE", "NFO:RELIANCE23NOV26FUT"]),
        ("reliance industries", ["NSE:RELIANCE", "BSE:RELIANCE", "NFO:RELIANCE23NOV26FUT"]),
        ("sensex", ["BSE_INDEX:SENSEX", "BFO:SENSEX26NOV26FUT"]),
        ("crudeoil", ["MCX:CRUDEOIL18DEC26FUT", "MCX:CRUDEOIL19JAN27FUT"]),
        # a name in words, or the words run together
        ("tata motors", ["NSE:TATAMOTORS", "BSE:TATAMOTORS", "NFO:TATAMOTORS23NOV26FUT"]),
        ("nifty 50", ["NSE_INDEX:NIFTY", "NFO:NIFTY23NOV26FUT"]),
        ("infosys", ["NSE:INFY", "BSE:INFY"]),
        ("m&m", ["NSE:M&M", "BSE:M&M", "NFO:M&M23NOV26FUT"]),
        ("bajaj-auto", ["NSE:BAJAJ-AUTO", "BSE:BAJAJ-AUTO"]),
        # expiry, strike and kind, in any order and any form
        ("nifty 24500 ce nov", ["NFO:NIFTY23NOV2624500CE"]),
        ("nov ce nifty 24500", ["NFO:NIFTY23NOV2624500CE"]),
        ("nifty nov fut", ["NFO:NIFTY23NOV26FUT"]),
        ("nifty 23nov 24500 pe", ["NFO:NIFTY23NOV2624500PE"]),
        ("nifty 23 nov 24500 pe", ["NFO:NIFTY23NOV2624500PE"]),
        ("nifty 23-NOV-26 24500 put", ["NFO:NIFTY23NOV2624500PE"]),
        ("nifty 2026-11-23 24500 call", ["NFO:NIFTY23NOV2624500CE"]),
        ("nifty nov26 24500ce", ["NFO:NIFTY23NOV2624500CE"]),
        ("nifty24500ce", ["NFO:NIFTY23NOV2624500CE", "NFO:NIFTY01DEC2624500CE"]),
        ("NIFTY23NOV2624500CE", ["NFO:NIFTY23NOV2624500CE"]),
        ("usdinr 88.75 pe nov", ["CDS:USDINR26NOV2688.75PE", "CDS:USDINR27NOV2688.75PE"]),
        # as it is typed
        ("nifty23", ["NFO:NIFTY23NOV26FUT", "NFO:NIFTY23NOV2624500CE"]),
        ("nifty23no", ["NFO:NIFTY23NOV26FUT", "NFO:NIFTY23NOV2624500CE"]),
        ("nifty23nov26f", ["NFO:NIFTY23NOV26FUT"]),
        ("nifty23nov26245", ["NFO:NIFTY23NOV2624500CE", "NFO:NIFTY23NOV2624500PE"]),
        ("nifty23nov2624500c", ["NFO:NIFTY23NOV2624500CE"]),
        # the chain's middle first
        ("nifty ce", ["NFO:NIFTY23NOV2624500CE", "NFO:NIFTY23NOV2624450CE"]),
        # digits at the start of a name
        ("360one", ["NSE:360ONE", "BSE:360ONE", "NFO:360ONE23NOV26FUT"]),
    ],
)
def test_the_best_match_comes_first(text: str, expected: list[str]) -> None:
    assert found(text)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("text", "exchange", "expected"),
    [
        ("RELI", Exchange.NSE, ["NSE:RELIANCE"]),
        ("reliance", Exchange.BSE, ["BSE:RELIANCE"]),
        ("nifty50 24500 ce nov", Exchange.NFO, ["NFO:NIFTY23NOV2624500CE"]),
        ("nifty 24500 ce nov", Exchange.NSE, []),
        ("gold", Exchange.CRYPTO, []),
        ("nosuchthing", None, []),
        ("nifty nosuchthing", None, []),
        ("nifty 24501 ce", None, []),
        ("", None, []),
        ("   ", None, []),
        ("nifty 24500 ce nov fut", None, []),  # nothing is both
    ],
)
def test_every_word_must_fit_and_the_exchange_too(
    text: str, exchange: Exchange | None, expected: list[str]
) -> None:
    assert found(text, exchange) == expected


def test_only_what_fits_is_found() -> None:
    for one in monday().search("nifty 24500 nov", None, limit=500):
        assert "NIFTY" in one.key.symbol
        assert (one.strike, one.expiry and one.expiry.month) == (Decimal(24_500), 11)


def test_made_up_companies_come_after_real_ones() -> None:
    names = [one.name for one in monday().search("steel", Exchange.NSE, limit=500)]
    invented = ["made up" in name for name in names]
    assert invented == sorted(invented)
    assert {True, False} == set(invented)


def test_at_most_so_many_are_found_and_they_are_the_best() -> None:
    assert found("nifty", limit=7) == found("nifty")[:7]
    assert len(found("n", limit=500)) == 500
    assert found("nifty", limit=0) == []


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(
        alphabet="nifty relianceg0123456789.-& ,CEPUTNOV\n\\*()[%\u0930\u20b9", max_size=140
    )
    | st.text(max_size=120)
)
def test_whatever_is_typed_is_answered(text: str) -> None:
    best = monday().search(text, None, limit=20)
    assert len(best) <= 20
    assert len({one.key for one in best}) == len(best)
