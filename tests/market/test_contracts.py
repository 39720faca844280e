"""The paper broker's list: what is true of every one, whatever day and level it is made for."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.domain.contract_symbols import ContractKind, ContractParts, parts_of, symbol_of
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.market.calendars import shipped_calendars
from algohost.market.contracts import expiries, made_up, specs
from algohost.market.contracts.search import SearchableTable
from algohost.market.contracts.table import CASH, OPTIONS, day_of
from tests.market.lists import CATALOGUE, MONDAY, NIFTY, basis, make, monday

DAYS = st.dates(date(2025, 1, 1), date(2028, 6, 30))
LEVELS = st.decimals(60, 400_000, places=2)


@cache
def everything(table: SearchableTable) -> Sequence[Instrument]:
    return [table.at(place) for place in table.places(None)]


def check(table: SearchableTable, day: date) -> None:
    """What holds of every list."""
    rows = table.rows
    assert len(table) >= 50_000
    assert len(np.unique(rows.token)) == len(table)
    assert (rows.lot > 0).all()
    assert (rows.tick > 0).all()
    assert (rows.freeze >= 0).all()
    is_dated = rows.kind >= CASH
    assert (rows.expiry[~is_dated] == 0).all()
    assert (rows.strike[rows.kind < OPTIONS] == 0).all()
    assert (rows.strike[rows.kind >= OPTIONS] > 0).all()
    calendars = shipped_calendars()
    for exchange in Exchange:
        places = table.places(exchange)
        if not places:
            continue
        part = slice(places[0], places[-1] + 1)
        for number in np.unique(rows.expiry[part][is_dated[part]]):
            expiry = day_of(int(number))
            known = calendars[exchange].day(expiry)
            assert expiry >= day
            assert known.is_trading_day or not known.is_known, (exchange, expiry)
            assert expiry.weekday() < 5


@settings(max_examples=6, deadline=None)
@given(day=DAYS, level=LEVELS)
def test_tokens_are_unique_and_expiries_are_trading_days(day: date, level: Decimal) -> None:
    check(make(basis(day, levels={NIFTY: level})), day)


def test_symbols_are_unique_and_are_read_back_from_their_parts() -> None:
    table, seen = monday(), set()
    for one in everything(table):
        assert one.key not in seen
        seen.add(one.key)
        parts = parts_of(one.key.symbol)
        if one.expiry is None:
            assert parts is None
            continue
        assert parts == ContractParts(
            base=one.name,
            expiry=one.expiry,
            kind=ContractKind(one.instrument_type),
            strike=one.strike,
        )
        assert symbol_of(parts) == one.key.symbol
    assert len(seen) == len(table)


def test_every_instrument_is_found_by_its_own_name_and_no_other() -> None:
    table = monday()
    for place in range(0, len(table), 37):
        one = table.at(place)
        assert table.find(one.key) == one
        elsewhere = InstrumentKey(exchange=Exchange.CRYPTO, symbol=one.key.symbol)
        assert table.find(elsewhere) is None
        assert (
            table.find(InstrumentKey(exchange=one.key.exchange, symbol=f"{one.key.symbol}X"))
            is None
        )


@pytest.mark.parametrize(
    "symbol",
    [
        "NIFTY23NOV2624501CE",
        "NIFTY22NOV26FUT",
        "NIFTY23NOV2624500",
        "NIFTY23NOV2624500.00001CE",
        "",
    ],
)
def test_a_contract_that_is_not_listed_is_not_found(symbol: str) -> None:
    assert monday().find(InstrumentKey(exchange=Exchange.NFO, symbol=symbol)) is None


def test_strikes_lie_on_the_step_around_the_level() -> None:
    steps = {(one.exchange, one.base): one.step for one in specs.underlyings()}
    for company in specs.companies():
        steps[Exchange.NFO, company.symbol] = specs.strike_step(company.level)
    around: dict[tuple[Exchange, str], set[Decimal]] = {}
    for one in everything(monday()):
        if one.strike is not None:
            name = (one.key.exchange, one.name)
            assert one.strike % steps[name] == 0, one.key
            around.setdefault(name, set()).add(one.strike)
    nifty = around[Exchange.NFO, "NIFTY"]
    assert {Decimal(24_500), Decimal(24_550)} < nifty
    assert min(nifty) < Decimal(24_512) - 2_000
    assert max(nifty) > Decimal(24_512) + 2_000
    levels = {one.symbol: one.level for one in specs.companies()}
    for symbol, level in levels.items():
        chain = around[Exchange.NFO, symbol]
        assert min(chain) <= level <= max(chain), symbol


def test_the_list_is_the_same_again_for_the_same_day_and_another_for_the_next() -> None:
    again, tomorrow = make(basis()), make(basis(MONDAY + timedelta(days=1)))
    assert everything(again) == everything(monday())
    assert everything(tomorrow) != everything(monday())


def test_a_contract_keeps_its_token_from_day_to_day() -> None:
    tokens = {one.key: one.token for one in everything(make(basis(MONDAY + timedelta(days=1))))}
    kept = [tokens[one.key] == one.token for one in everything(monday()) if one.key in tokens]
    assert len(kept) > 25_000  # the rest has expired, or is listed since
    assert all(kept)


def test_what_the_market_trades_keeps_its_token_tick_and_name() -> None:
    for one in CATALOGUE:
        assert monday().find(one.key) == one


def test_a_recorded_contract_takes_the_place_of_the_listed_one() -> None:
    """A recording may hold a future of today by the same name: it is listed once, as recorded."""
    key = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY23NOV26FUT")
    recorded = Instrument(key=key, token="1999", name=key.symbol, tick_size=Decimal("0.05"))
    table = make(basis(traded=(*CATALOGUE, recorded)))
    found = table.find(key)
    assert found is not None
    assert (found.token, found.instrument_type, found.name) == ("1999", "FUT", "NIFTY")
    assert len(table) == len(monday())
    check(table, MONDAY)


@pytest.mark.parametrize(
    ("exchange", "symbol", "expected"),
    [
        (Exchange.NFO, "NIFTY23NOV2624500CE", (65, "0.05", 1_800)),
        (Exchange.NFO, "BANKNIFTY23NOV26FUT", (30, "0.20", 600)),
        (Exchange.NFO, "RELIANCE23NOV26FUT", (500, "0.10", None)),
        (Exchange.BFO, "SENSEX26NOV26FUT", (20, "0.05", 1_000)),
        (Exchange.MCX, "CRUDEOIL18DEC26FUT", (100, "1.00", 10_000)),
        (Exchange.CDS, "USDINR26NOV26FUT", (1_000, "0.0025", 10_000_000)),
    ],
)
def test_lots_ticks_and_freeze_quantities_are_those_of_the_tables(
    exchange: Exchange, symbol: str, expected: tuple[int, str, int | None]
) -> None:
    one = monday().find(InstrumentKey(exchange=exchange, symbol=symbol))
    assert one is not None
    assert (one.lot_size, str(one.tick_size), one.freeze_quantity) == expected


def test_companies_that_do_not_exist_say_so() -> None:
    invented = [one for one in everything(monday()) if "made up" in one.name]
    symbols = {symbol for symbol, _ in made_up.companies()}
    assert {one.key.symbol for one in invented} == symbols
    assert len(symbols) == 1_200
    real = {one.symbol for one in specs.companies()} | {one.key.symbol for one in CATALOGUE}
    assert not symbols & real
    kinds = Counter(one.instrument_type for one in invented)
    assert kinds == {"EQ": 2_400}


# ---- expiries

MONTHLY = expiries.last_weekday


@pytest.mark.parametrize(
    ("exchange", "today", "expected"),
    [
        # NIFTY: Tuesdays; 24 November 2026 is a holiday, so Monday
        (Exchange.NFO, "2026-11-23", ["2026-11-23", "2026-12-01", "2026-12-08"]),
        (Exchange.NFO, "2026-11-24", ["2026-12-01", "2026-12-08", "2026-12-15"]),
        # Thursdays until August 2025, Tuesdays from September
        (Exchange.NFO, "2025-08-20", ["2025-08-21", "2025-08-28", "2025-09-02"]),
        # 21 October 2025 was a Tuesday with a Muhurat session only
        (Exchange.NFO, "2025-10-15", ["2025-10-20", "2025-10-28", "2025-11-04"]),
        # SENSEX: Tuesdays from January to August 2025, then Thursdays
        (Exchange.BFO, "2025-08-25", ["2025-08-26", "2025-09-04", "2025-09-11"]),
        # currencies: Fridays
        (Exchange.CDS, "2026-11-23", ["2026-11-27", "2026-12-04", "2026-12-11"]),
    ],
)
def test_weeklies_expire_on_the_weekday_of_their_time_and_before_holidays(
    exchange: Exchange, today: str, expected: list[str]
) -> None:
    calendar = shipped_calendars()[exchange]
    found = expiries.weekly(calendar, date.fromisoformat(today), len(expected))
    assert [str(day) for day in found] == expected


@pytest.mark.parametrize(
    ("exchange", "rule", "today", "months", "expected"),
    [
        (Exchange.NFO, MONTHLY, "2026-11-23", (), ["2026-11-23", "2026-12-29", "2027-01-25"]),
        (Exchange.NFO, MONTHLY, "2025-07-01", (), ["2025-07-31", "2025-08-28", "2025-09-30"]),
        (Exchange.NFO, MONTHLY, "2026-11-24", (3, 6, 9, 12), ["2026-12-29", "2027-03-30"]),
        (Exchange.BFO, MONTHLY, "2026-11-01", (), ["2026-11-26", "2026-12-31"]),
        # two working days before the last one of the month
        (Exchange.CDS, expiries.of_currencies, "2026-11-01", (), ["2026-11-26", "2026-12-29"]),
        (Exchange.MCX, expiries.on_day(19), "2026-11-01", (), ["2026-11-19", "2026-12-18"]),
        (Exchange.MCX, expiries.last_working, "2026-11-01", (), ["2026-11-30", "2026-12-31"]),
    ],
)
def test_monthly_contracts_expire_by_the_rule_of_their_exchange(
    exchange: Exchange,
    rule: expiries.MonthRule,
    today: str,
    months: tuple[int, ...],
    expected: list[str],
) -> None:
    calendar = shipped_calendars()[exchange]
    found = expiries.monthly(calendar, rule, date.fromisoformat(today), len(expected), months)
    assert [str(day) for day in found] == expected


def test_options_on_commodities_expire_working_days_before_their_future() -> None:
    table = monday()
    futures = table.expiries(Exchange.MCX, "CRUDEOIL", of_options=False)
    options = table.expiries(Exchange.MCX, "CRUDEOIL", of_options=True)
    assert [str(day) for day in futures[:2]] == ["2026-12-18", "2027-01-19"]
    assert [str(day) for day in options[:2]] == ["2026-12-16", "2027-01-15"]
