"""A synthetic market with a whole list, for tests of what follows from its paths."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from algohost.domain.contract_symbols import ContractKind, ContractParts, symbol_of
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.market.contracts.search import SearchableTable
from algohost.market.synthetic import SyntheticMarket
from algohost.testing.clock import FakeClock
from tests.market import lists

SEED = 7
MONDAY = lists.MONDAY
"""NIFTY's weekly and monthly contracts expire on it."""
NIFTY = lists.NIFTY


@dataclass(frozen=True)
class Priced:
    """The market and the clock that it runs by."""

    market: SyntheticMarket
    clock: FakeClock
    listed: SearchableTable

    def at(self, day: date, hour: int, minute: int = 0, second: int = 0) -> None:
        """Sets the clock to a time in IST."""
        self.clock.set(ist(day, hour, minute, second))


def ist(day: date, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """An instant, by the clock in India."""
    return datetime.combine(day, time(hour, minute, second), IST)


def key(exchange: str, symbol: str) -> InstrumentKey:
    """A name."""
    return InstrumentKey(exchange=Exchange(exchange), symbol=symbol)


def option(
    base: str, expiry: date, strike: object, kind: str, exchange: str = "NFO"
) -> InstrumentKey:
    """The name of an option."""
    parts = ContractParts(
        base=base,
        expiry=expiry,
        kind=ContractKind(kind),
        strike=strike,  # type: ignore[arg-type]
    )
    return key(exchange, symbol_of(parts))


@lru_cache(maxsize=1)
def listed() -> SearchableTable:
    """The list of that Monday, around this market's own prices."""
    clock = FakeClock(ist(MONDAY, 8))
    market = SyntheticMarket(clock, seed=SEED)
    own = {one.key: market.quote(one.key).previous_close for one in market.instruments()}
    return lists.make(lists.basis(levels={**market.levels(clock.now()), **own}))


def priced(hour: int = 11, minute: int = 0, second: int = 17, *, days: int = 0) -> Priced:
    """A market of its own at a time of that Monday, or some days later."""
    clock = FakeClock(ist(MONDAY + timedelta(days=days), hour, minute, second))
    market = SyntheticMarket(clock, seed=SEED)
    market.use_list(listed())
    return Priced(market, clock, listed())
