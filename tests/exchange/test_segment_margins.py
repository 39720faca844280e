"""What futures, options and shares need, by the numbers that exchanges publish."""

from decimal import Decimal

import pytest

from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import Action, OrderRequest, Product
from algohost.exchange.account import PositionKey
from algohost.exchange.margins import (
    SEGMENT_MARGIN,
    Exposure,
    MarginNeeded,
    needed,
)
from tests.exchange.desk import EMA, INSTRUMENTS, Desk, quote

# Exchange, symbol, product, side, units, price per unit; what is held, SPAN and exposure of it.
# Of the index: 75 × 24,600 is 18,45,000, 9.3 % and 2 % of that. Of the stock: 500 × 1,000 is
# 5,00,000, 14.2 % and 3.5 % of that.
TABLE = """
NSE    INFY                 MIS  BUY   100   1000    20000  0      0
BSE    INFY                 MIS  SELL  100   1000    20000  0      0
NSE    INFY                 CNC  BUY   100   1000   100000  0      0
NFO    NIFTY24NOV26FUT      NRML BUY    75  24600   208485  171585 36900
NFO    NIFTY24NOV26FUT      MIS  SELL   75  24600   208485  171585 36900
NFO    INFY24NOV26FUT       NRML BUY   500   1000    88500  71000  17500
NFO    NIFTY24NOV2624600CE  NRML BUY    75    120     9000  0      0
NFO    NIFTY24NOV2624600CE  NRML SELL   75   0.05   208485  171585 36900
BFO    INFY26NOV261000PE    MIS  SELL  500     12    88500  71000  17500
BFO    SENSEX26NOV26FUT     NRML SELL   20  80000   180800  148800 32000
CDS    USDINR27NOV26FUT     NRML BUY  1000     88     2200  1320   880
CDS    USDINR27NOV2688CE    NRML SELL 1000    0.5     2640  1320   1320
CDS    EURUSD27NOV26FUT     NRML BUY  1000      2       70  50     20
MCX    CRUDEOIL18DEC26FUT   NRML BUY   100   5000   170000  165000 5000
NCO    GOLDM04DEC26FUT      MIS  BUY    10 100000    90000  80000  10000
MCX    COPPER30NOV26FUT     NRML SELL 2500   1000   275000  250000 25000
CRYPTO BTCINR               NRML BUY     1   5000     5000  0      0
"""
CASES = [line.split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize(
    ("exchange", "symbol", "product", "side", "units", "price", "total", "span", "exposure"),
    CASES,
    ids=[" ".join(case[:4]) for case in CASES],
)
def test_what_orders_need(
    exchange: str,
    symbol: str,
    product: str,
    side: str,
    units: str,
    price: str,
    total: str,
    span: str,
    exposure: str,
) -> None:
    key = InstrumentKey(exchange=Exchange(exchange), symbol=symbol)
    asked = OrderRequest(
        key=key, action=Action(side), quantity=int(units), product=Product(product)
    )
    expected = MarginNeeded(total=Decimal(total), span=Decimal(span), exposure=Decimal(exposure))
    assert needed(SEGMENT_MARGIN, [(asked, Decimal(price))]) == expected
    held = Exposure(key, asked.product, asked.action, int(units), int(units) * Decimal(price))
    assert SEGMENT_MARGIN.required(held) == expected.total


def test_several_orders_are_added_leg_by_leg() -> None:
    """A spread has no benefit: what is said is what is held."""
    sold = OrderRequest(
        key=InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624600CE"),
        action=Action.SELL,
        quantity=75,
        product=Product.NRML,
    )
    bought = OrderRequest(
        key=InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624800CE"),
        action=Action.BUY,
        quantity=75,
        product=Product.NRML,
    )
    both = needed(SEGMENT_MARGIN, [(sold, Decimal(100)), (bought, Decimal(40))])
    assert both == MarginNeeded(
        total=Decimal(208485 + 3000), span=Decimal(171585), exposure=Decimal(36900)
    )


SOLD = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624600CE")


def test_an_option_is_not_sold_for_its_premium_and_always_bought_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    option = Instrument(key=SOLD, token="9", name="NIFTY", lot_size=75, instrument_type="CE")
    monkeypatch.setitem(INSTRUMENTS, SOLD, option)
    desk = Desk(cash="208485", margin=SEGMENT_MARGIN)
    desk.show(quote(SOLD, last="100"))
    refused = desk.place("SELL 150 MARKET NRML", SOLD)
    assert refused.reason.startswith("Insufficient funds: needed ₹4,16,970.00, available ₹2,08,485")
    assert not desk.place("SELL 75 MARKET NRML", SOLD).reason
    assert desk.state.hold == Decimal(208485)
    desk.show(quote(SOLD, last="3000"))
    assert desk.state.available(desk.mark) < 0
    assert not desk.place("BUY 75 MARKET NRML", SOLD).reason
    assert desk.held(EMA, SOLD, Product.NRML) == 0
    assert desk.state.group(PositionKey(EMA, SOLD, Product.NRML)).hold == 0
