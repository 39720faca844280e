"""What the list has beyond the catalogue, and what its derivatives are on: how each of it moves.

The catalogue's own rows come first. A company of the tables keeps the table's level; made-up ones,
volatilities, and shares in the market's movement are drawn once from the seed. What is one thing
under several names has one path: a stock on both exchanges, gold in bars and in petals, the dollar
on NSE and BSE. Levels and volatilities are of the order seen late in 2025, and facts about nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.market.catalogue import MARKET_VOLATILITY, Listing
from algohost.market.contracts import made_up, specs
from algohost.market.noise import generator

RATE: Final = 0.06
"""Interest for a year, continuously compounded: what carrying an underlying costs, and what
options are discounted by. Of the order of short Indian rates in 2025. Dividends are none."""
_CURRENCY_CARRY: Final = 0.02
"""Of a pair with the rupee: the rupee's interest above the other's. Pairs without it have none."""

_TWINS: Final = {Exchange.BSE: Exchange.NSE, Exchange.NCO: Exchange.MCX, Exchange.BCD: Exchange.CDS}
"""Where the same thing has its price."""
_SAME: Final = {
    "CRUDEOILM": "CRUDEOIL", "NATGASMINI": "NATURALGAS", "GOLDM": "GOLD", "GOLDTEN": "GOLD",
    "GOLDGUINEA": "GOLD", "GOLDPETAL": "GOLD", "SILVERM": "SILVER", "SILVERMIC": "SILVER",
    "ZINCMINI": "ZINC", "LEADMINI": "LEAD", "ALUMINI": "ALUMINIUM",
}  # fmt: skip
"""Commodities that are another one in a different size."""
_DAILY: Final = {
    "CRUDEOIL": 0.019, "NATURALGAS": 0.03, "GOLD": 0.009, "SILVER": 0.016, "COPPER": 0.012,
    "NICKEL": 0.016, "MCXBULLDEX": 0.01, "USDINR": 0.0025, "EURINR": 0.0045, "GBPINR": 0.0045,
    "JPYINR": 0.0055, "EURUSD": 0.0045, "GBPUSD": 0.0045, "USDJPY": 0.0055,
}  # fmt: skip
"""Standard deviations of a day's log return; of other commodities ``_OTHER_DAILY``."""
_OTHER_DAILY: Final = 0.012
_INDEX_SECTORS: Final = {"BANKEX": "BANK"}
_NARROW: Final = frozenset({"SENSEX", "SENSEX50", "BANKEX"})
"""Indices of so large companies that they move almost as the market does."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Whose path the price of one thing is, and how many of its units make one of that."""

    path: InstrumentKey
    ratio: float


def unit_of(exchange: Exchange) -> int:
    """In how many parts of a rupee prices of an exchange are kept: paise, or a hundredth of one
    where ticks are finer."""
    return 10_000 if exchange in {Exchange.CDS, Exchange.BCD} else 100


def spot_of(key: InstrumentKey) -> Spot:
    """Where the price of a stock, an index, a commodity or a pair of currencies comes from."""
    exchange = _TWINS.get(key.exchange, key.exchange)
    lead = _SAME.get(key.symbol, key.symbol) if exchange is Exchange.MCX else key.symbol
    ratio = 1.0
    if lead != key.symbol:
        levels = _commodity_levels()
        ratio = float(levels[key.symbol] / levels[lead])
    return Spot(path=InstrumentKey(exchange=exchange, symbol=lead), ratio=ratio)


def carry_of(key: InstrumentKey) -> float:
    """The yearly rate at which the forward of a spot lies above it."""
    if unit_of(key.exchange) == 100:
        return RATE
    return _CURRENCY_CARRY if key.symbol.endswith("INR") else 0.0


def listing_of(key: InstrumentKey, seed: int) -> Listing | None:
    """How a path that the catalogue does not have moves; ``None`` for what nobody knows."""
    if key.exchange is Exchange.NSE:
        return _stock(key, seed)
    if key.exchange.is_index:
        return _index(key, seed)
    return _commodity(key)


def is_known(key: InstrumentKey) -> bool:
    """Whether ``listing_of`` knows it."""
    if key.exchange is Exchange.NSE:
        return key.symbol in _companies() or key.symbol in _made_up()
    if key.exchange.is_index:
        return key in _indices()
    return key.symbol in _commodity_levels()


def names_beyond() -> list[InstrumentKey]:
    """The names whose levels a list of contracts is made around."""
    both = (Exchange.NSE, Exchange.BSE)
    stocks = [InstrumentKey(exchange=exchange, symbol=one.symbol)
              for one in specs.companies() for exchange in both]  # fmt: skip
    indices = [one.key for one in specs.indices()]
    others = [InstrumentKey(exchange=one.exchange, symbol=one.base)
              for one in specs.underlyings() if one.spot is None]  # fmt: skip
    return [*stocks, *indices, *others]


def _stock(key: InstrumentKey, seed: int) -> Listing | None:
    draws = generator(seed, str(key), "listing", 0)
    company = _companies().get(key.symbol)
    if company is not None:
        name, level, worth = company.name, float(company.level), 1e9
        volatility = draws.uniform(0.014, 0.024)
    else:
        name, level, worth = _made_up().get(key.symbol, ""), draws.uniform(25, 200), 2e7
        volatility = draws.uniform(0.018, 0.03)
    if not name:
        return None
    market = min(draws.uniform(0.6, 1.3) * MARKET_VOLATILITY, 0.8 * volatility)
    return _listing(
        key,
        name=name,
        level=level,
        market=market,
        own=(volatility**2 - market**2) ** 0.5,
        volume=int(worth * draws.uniform(0.5, 2) / level),
    )


def _index(key: InstrumentKey, seed: int) -> Listing | None:
    found = _indices().get(key)
    if found is None:
        return None
    draws = generator(seed, str(key), "listing", 0)
    is_narrow = key.symbol in _NARROW
    sector = _INDEX_SECTORS.get(key.symbol, "")
    return _listing(
        key,
        name=found.name,
        level=float(found.level),
        market=MARKET_VOLATILITY * draws.uniform(0.98, 1.06),
        own=0.0006 if is_narrow else draws.uniform(0.002, 0.005),
        sector=sector,
    )


def _commodity(key: InstrumentKey) -> Listing | None:
    """Kept in paise, or, of a currency, in a hundredth of one: its level is the larger for it."""
    level = _commodity_levels().get(key.symbol)
    if level is None:
        return None
    return _listing(
        key,
        name=key.symbol,
        level=float(level) * unit_of(key.exchange) / 100,
        market=0.0,
        own=_DAILY.get(key.symbol, _OTHER_DAILY),
    )


def _listing(
    key: InstrumentKey,
    *,
    name: str,
    level: float,
    market: float,
    own: float,
    sector: str = "",
    volume: int = 0,
) -> Listing:
    """On the finest grid; what is quoted is put on its own."""
    return Listing(
        instrument=Instrument(key=key, token="", name=name, tick_size=Decimal("0.01")),
        level=level,
        sector=sector,
        market=market,
        sector_load=0.004 if sector else 0.0,
        own=own,
        volume=volume,
    )


@cache
def _companies() -> Mapping[str, specs.Company]:
    return {one.symbol: one for one in specs.companies()}


@cache
def _indices() -> Mapping[InstrumentKey, specs.Index]:
    return {one.key: one for one in specs.indices()}


@cache
def _made_up() -> Mapping[str, str]:
    return dict(made_up.companies())


@cache
def _commodity_levels() -> Mapping[str, Decimal]:
    return {one.base: one.level for one in specs.underlyings() if one.spot is None}
