"""Lists of the paper broker for tests, without a market: made for a day and a level."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache

from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.market.calendars import shipped_calendars
from algohost.market.catalogue import listings
from algohost.market.contracts import paper
from algohost.market.contracts.paper import Basis
from algohost.market.contracts.search import SearchableTable

NIFTY = InstrumentKey(exchange=Exchange.NSE_INDEX, symbol="NIFTY")
MONDAY = date(2026, 11, 23)
CATALOGUE = tuple(one.instrument for one in listings())


def basis(
    day: date = MONDAY,
    *,
    levels: Mapping[InstrumentKey, Decimal] | None = None,
    traded: Sequence[Instrument] = CATALOGUE,
) -> Basis:
    """What a list of that day is made for, at 08:00 IST; NIFTY stands at 24,512.35."""
    return Basis(
        made_at=datetime.combine(day, time(8), IST),
        traded=traded,
        levels={NIFTY: Decimal("24512.35")} if levels is None else levels,
        calendars=shipped_calendars(),
    )


def make(of: Basis) -> SearchableTable:
    """The whole list."""
    made = [
        *paper.traded(of),
        *paper.cash(of),
        *paper.derivatives(of),
        *paper.stock_derivatives(of),
    ]
    return paper.assemble(of.made_at, made)


@lru_cache(maxsize=4)
def monday() -> SearchableTable:
    """The list of Monday, 23 November 2026."""
    return make(basis())
