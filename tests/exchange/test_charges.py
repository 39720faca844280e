"""What trades cost: against published examples and by hand, over partial fills, over the dates."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Product
from algohost.exchange.charge_rates import Levy, parse_rates, published
from algohost.exchange.charges import (
    NO_CHARGES,
    Bill,
    Charges,
    Dealt,
    Plan,
    PublishedCharges,
    billed,
)
from algohost.exchange.segments import Segment, segment_of

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
EARLIER = datetime(2025, 6, 2, 5, 0, tzinfo=UTC)
MODEL = PublishedCharges(rates=published())

INFY = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
ON_BSE = InstrumentKey(exchange=Exchange.BSE, symbol="INFY")
FUTURE = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV26FUT")
OPTION = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624500CE")
SENSEX = InstrumentKey(exchange=Exchange.BFO, symbol="SENSEX26NOV2681000PE")
CRUDE = InstrumentKey(exchange=Exchange.MCX, symbol="CRUDEOIL18DEC26FUT")
CRUDE_OPTION = InstrumentKey(exchange=Exchange.MCX, symbol="CRUDEOIL16DEC265400CE")
CARDAMOM = InstrumentKey(exchange=Exchange.MCX, symbol="CARDAMOM15DEC26FUT")
DOLLAR = InstrumentKey(exchange=Exchange.CDS, symbol="USDINR27NOV26FUT")
DOLLAR_OPTION = InstrumentKey(exchange=Exchange.CDS, symbol="USDINR27NOV2688.5CE")


def dealt(
    key: InstrumentKey,
    product: Product,
    action: Action,
    turnover: str,
    *,
    at: datetime = NOW,
    leaves_demat: bool = False,
) -> Dealt:
    return Dealt(
        key=key,
        product=product,
        action=action,
        turnover=Decimal(turnover),
        at=at,
        leaves_demat=leaves_demat,
    )


def row(key: InstrumentKey, product: str, action: str, turnover: str, *parts: str) -> tuple[object]:
    """brokerage, stt, exchange, sebi, stamp, gst, dp."""
    names = ("brokerage", "stt", "exchange", "sebi", "stamp", "gst", "dp")
    amounts = dict(zip(names, map(Decimal, parts), strict=True))
    return key, Product(product), Action(action), turnover, Charges(**amounts)  # type: ignore[return-value]


# Each worked out by hand from the rates of November 2026, at 18 % GST on brokerage, exchange, SEBI
# and DP. For example the intraday sale of ₹1,00,000 at NSE: brokerage 0.03 % is 30, capped at 20;
# STT 0.025 % is 25; exchange 0.00307 % is 3.07; SEBI 0.0001 % is 0.10; GST 18 % of 23.17 is 4.17.
BY_HAND = [
    row(INFY, "MIS", "BUY", "100000", "20", "0", "3.07", "0.10", "3.00", "4.17", "0"),
    row(INFY, "MIS", "SELL", "100000", "20", "25.00", "3.07", "0.10", "0", "4.17", "0"),
    row(INFY, "MIS", "BUY", "10000", "3.00", "0", "0.31", "0.01", "0.30", "0.60", "0"),
    row(INFY, "CNC", "BUY", "100000", "0", "100.00", "3.07", "0.10", "15.00", "0.57", "0"),
    row(INFY, "CNC", "SELL", "100000", "0", "100.00", "3.07", "0.10", "0", "0.57", "0"),
    row(ON_BSE, "MIS", "SELL", "100000", "20", "25.00", "3.75", "0.10", "0", "4.29", "0"),
    row(FUTURE, "NRML", "BUY", "1845000", "20", "0", "33.76", "1.85", "36.90", "10.01", "0"),
    row(FUTURE, "NRML", "SELL", "1845000", "20", "922.50", "33.76", "1.85", "0", "10.01", "0"),
    row(OPTION, "NRML", "BUY", "7500", "20", "0", "2.66", "0.01", "0.23", "4.08", "0"),
    row(OPTION, "MIS", "SELL", "7500", "20", "11.25", "2.66", "0.01", "0", "4.08", "0"),
    row(SENSEX, "NRML", "SELL", "10000", "20", "15.00", "3.25", "0.01", "0", "4.19", "0"),
    row(CRUDE, "NRML", "SELL", "535000", "20", "53.50", "11.24", "0.54", "0", "5.72", "0"),
    row(CRUDE, "MIS", "BUY", "535000", "20", "0", "11.24", "0.54", "10.70", "5.72", "0"),
    row(CRUDE_OPTION, "NRML", "SELL", "15000", "4.50", "7.50", "6.27", "0.02", "0", "1.94", "0"),
    row(CARDAMOM, "NRML", "SELL", "265000", "20", "0", "5.57", "0.27", "0", "4.65", "0"),
    row(DOLLAR, "NRML", "BUY", "88750", "20", "0", "0.31", "0.09", "0.09", "3.67", "0"),
    row(DOLLAR_OPTION, "NRML", "SELL", "2500", "0.75", "0", "0.78", "0", "0", "0.28", "0"),
]


@pytest.mark.parametrize(("key", "product", "action", "turnover", "charges"), BY_HAND)
def test_what_a_trade_costs(
    key: InstrumentKey, product: Product, action: Action, turnover: str, charges: Charges
) -> None:
    assert MODEL.of(dealt(key, product, action, turnover), None) == charges


# 400 shares bought at ₹1,000 and sold at ₹1,100: the example with which brokers' calculators open
# (thincredblu.com/brokerage-calculator: turnover 8,40,000, brokerage 40, STT 110). Its exchange
# charge of 27.30 is of the old slabs; since October 2024 it is 0.00297 %, 24.95, and SEBI's fee of
# ₹10 a crore 0.84.
def test_the_published_intraday_example() -> None:
    bought = MODEL.of(dealt(INFY, Product.MIS, Action.BUY, "400000", at=EARLIER), None)
    sold = MODEL.of(dealt(INFY, Product.MIS, Action.SELL, "440000", at=EARLIER), None)
    both = bought + sold
    assert both == Charges(
        brokerage=Decimal(40),
        stt=Decimal(110),
        exchange=Decimal("24.95"),
        sebi=Decimal("0.84"),
        stamp=Decimal(12),
        gst=Decimal("11.84"),
    )
    assert both.total == Decimal("199.63")


def test_the_published_example_of_the_tax_on_futures() -> None:
    """cleartax.in: ₹20,00,000 of futures paid ₹400 of STT before 2026-04-01, and ₹1,000 since."""
    before = MODEL.of(dealt(FUTURE, Product.NRML, Action.SELL, "2000000", at=EARLIER), None)
    after = MODEL.of(dealt(FUTURE, Product.NRML, Action.SELL, "2000000"), None)
    assert (before.stt, after.stt) == (Decimal(400), Decimal(1000))


RATES_BY_DAY = [
    ("2024-09-30", FUTURE, Levy.STT, "0.000125"),
    ("2024-10-01", FUTURE, Levy.STT, "0.0002"),
    ("2026-03-31", FUTURE, Levy.STT, "0.0002"),
    ("2026-04-01", FUTURE, Levy.STT, "0.0005"),
    ("2024-09-30", OPTION, Levy.STT, "0.000625"),
    ("2024-10-01", OPTION, Levy.STT, "0.001"),
    ("2026-04-01", OPTION, Levy.STT, "0.0015"),
    ("2024-09-30", OPTION, Levy.EXCHANGE, "0.000495"),
    ("2024-10-01", OPTION, Levy.EXCHANGE, "0.0003503"),
    ("1999-01-04", OPTION, Levy.EXCHANGE, "0.000495"),
]


@pytest.mark.parametrize(("day", "key", "levy", "rate"), RATES_BY_DAY)
def test_a_rate_is_that_of_the_day(day: str, key: InstrumentKey, levy: Levy, rate: str) -> None:
    segment = segment_of(key, Product.NRML)
    assert segment is not None
    on = datetime.fromisoformat(day).date()
    assert published().on(on, segment, Action.SELL)[levy] == Decimal(rate)


def test_every_segment_has_every_levy_that_is_general() -> None:
    for segment in Segment:
        rates = published().on(NOW.date(), segment, Action.BUY)
        assert rates[Levy.GST] == Decimal("0.18")
        assert rates[Levy.SEBI] == Decimal("0.000001")
        assert rates[Levy.STAMP] > 0
        assert (rates[Levy.EXCHANGE] > 0) is (segment is not Segment.BFO_FUTURES)


def test_every_rate_says_where_it_is_from() -> None:
    assert all(rate.source for rate in published().rows)


def test_shares_that_leave_the_demat_account_cost_a_fee_once() -> None:
    first = MODEL.of(dealt(INFY, Product.CNC, Action.SELL, "1000", leaves_demat=True), None)
    assert (first.dp, first.gst) == (Decimal(13), Decimal("2.35"))  # 18 % of 13.00 + 0.03
    bill = billed(None, turnover=Decimal(1000), charges=first, at=NOW)
    second = MODEL.of(dealt(INFY, Product.CNC, Action.SELL, "1000", leaves_demat=True), bill)
    assert second.dp == 0


def test_the_plan_can_be_another() -> None:
    dear = PublishedCharges(
        rates=published(),
        plan=Plan(per_order=Decimal(100), percent=Decimal("0.5"), charges_delivery=True),
    )
    bought = dear.of(dealt(INFY, Product.CNC, Action.BUY, "10000"), None)
    assert bought.brokerage == Decimal(50)
    assert dear.of(dealt(OPTION, Product.NRML, Action.BUY, "10"), None).brokerage == Decimal(100)


def test_the_holder_of_an_option_in_the_money_pays_the_tax_on_exercise() -> None:
    assert MODEL.exercised(OPTION, Decimal(10_000), at=NOW) == Charges(stt=Decimal(15))
    assert MODEL.exercised(OPTION, Decimal(10_000), at=EARLIER) == Charges(stt=Decimal("12.50"))
    assert MODEL.exercised(CRUDE_OPTION, Decimal(10_000), at=NOW) == NO_CHARGES


def test_a_day_begins_a_new_bill() -> None:
    yesterday = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
    bill = Bill(
        day=yesterday.date(), turnover=Decimal(10**6), charges=Charges(brokerage=Decimal(20))
    )
    assert MODEL.of(dealt(INFY, Product.MIS, Action.BUY, "100000"), bill).brokerage == Decimal(20)


@given(
    key=st.sampled_from([INFY, ON_BSE, FUTURE, OPTION, SENSEX, CRUDE, CARDAMOM, DOLLAR]),
    product=st.sampled_from([Product.MIS, Product.NRML, Product.CNC]),
    action=st.sampled_from(Action),
    pieces=st.lists(
        st.decimals(min_value="0.05", max_value="5000000", places=2), min_size=1, max_size=30
    ),
    leaves=st.booleans(),
)
def test_the_charges_of_fills_sum_to_those_of_the_order(
    key: InstrumentKey, product: Product, action: Action, pieces: list[Decimal], leaves: bool
) -> None:
    bill: Bill | None = None
    total = NO_CHARGES
    for piece in pieces:
        part = dealt(key, product, action, str(piece), leaves_demat=leaves)
        charges = MODEL.of(part, bill)
        assert min(getattr(charges, name) for name in Charges.__slots__) >= 0
        bill = billed(bill, turnover=piece, charges=charges, at=NOW)
        total += charges
    whole = dealt(key, product, action, str(sum(pieces)), leaves_demat=leaves)
    assert total == MODEL.of(whole, None)
    assert total.brokerage <= 20


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-01,stt,NSE-delivery,both,-1,x,",
        "2026-01-01,stt,NSE-nothing,both,1,x,",
        "2026-01-01,vat,NSE-delivery,both,1,x,",
        "2026-01-01,stt,NSE-delivery,left,1,x,",
        "soon,stt,NSE-delivery,both,1,x,",
        "2026-01-01",
    ],
)
def test_a_damaged_table_is_refused_with_its_row(line: str) -> None:
    with pytest.raises(Invalid, match="Row 2 of the charges"):
        parse_rates(f"since,levy,segments,side,percent,source,note\n{line}\n")
