"""What the synthetic market lists: the NIFTY 50 as of mid-2025, a few more, and indices.

Price levels, volatilities and volumes are of the order seen in 2025; they make a market that
looks like one and are facts about nothing. Sectors are what moves together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from algohost.domain.instruments import Exchange, Instrument, InstrumentKey

MARKET_VOLATILITY: Final = 0.0078
"""Standard deviation of the common factor's daily log return."""
_NO_BAND: Final = Decimal(0)
"""Derivatives are traded on all of these stocks at NSE, so that none has a price band."""
SECTOR_SHARE: Final = 0.25
"""How much of the variance that the market leaves a stock is its sector's."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One instrument of the synthetic market and how it moves.

    ``market``, ``sector_load`` and ``own`` are standard deviations of a day's log return.
    """

    instrument: Instrument
    level: float
    """The price around which it wanders, in rupees."""
    sector: str
    market: float
    sector_load: float
    own: float
    volume: int
    """Units in a typical day; 0 for an index."""

    @property
    def volatility(self) -> float:
        """Standard deviation of a day's log return, all sources together."""
        return float((self.market**2 + self.sector_load**2 + self.own**2) ** 0.5)


# symbol, name, sector, price, daily volatility in %, beta, daily volume in thousands
_STOCKS: Final[tuple[tuple[str, str, str, float, float, float, int], ...]] = (
    ("ADANIENT", "Adani Enterprises", "METAL", 2506, 2.4, 1.5, 1605),
    ("ADANIPORTS", "Adani Ports and Special Economic Zone", "INFRA", 1403, 2.0, 1.4, 3117),
    ("APOLLOHOSP", "Apollo Hospitals Enterprise", "PHARMA", 7409, 1.4, 0.8, 394),
    ("ASIANPAINT", "Asian Paints", "CONSUMER", 2350, 1.3, 0.7, 1232),
    ("AXISBANK", "Axis Bank", "BANK", 1132, 1.4, 1.1, 7937),
    ("BAJAJ-AUTO", "Bajaj Auto", "AUTO", 8678, 1.8, 1.0, 457),
    ("BAJAJFINSV", "Bajaj Finserv", "FINANCE", 2006, 1.6, 1.1, 1644),
    ("BAJFINANCE", "Bajaj Finance", "FINANCE", 999, 1.7, 1.2, 10322),
    ("BEL", "Bharat Electronics", "INFRA", 404, 1.9, 1.4, 21141),
    ("BHARTIARTL", "Bharti Airtel", "TELECOM", 1878, 1.3, 0.9, 6432),
    ("CIPLA", "Cipla", "PHARMA", 1503, 1.4, 0.7, 1733),
    ("COALINDIA", "Coal India", "ENERGY", 390, 1.3, 0.9, 6693),
    ("DRREDDY", "Dr. Reddy's Laboratories", "PHARMA", 1224, 1.3, 0.7, 1945),
    ("EICHERMOT", "Eicher Motors", "AUTO", 7005, 1.6, 0.9, 514),
    ("ETERNAL", "Eternal", "CONSUMER", 325, 2.4, 1.3, 56392),
    ("GRASIM", "Grasim Industries", "INFRA", 2757, 1.4, 0.9, 643),
    ("HCLTECH", "HCL Technologies", "IT", 1385, 1.6, 1.0, 2942),
    ("HDFCBANK", "HDFC Bank", "BANK", 951, 1.1, 1.0, 23920),
    ("HDFCLIFE", "HDFC Life Insurance Company", "FINANCE", 756, 1.4, 0.8, 3060),
    ("HEROMOTOCO", "Hero MotoCorp", "AUTO", 5472, 1.7, 1.0, 725),
    ("HINDALCO", "Hindalco Industries", "METAL", 762, 1.8, 1.3, 5320),
    ("HINDUNILVR", "Hindustan Unilever", "FMCG", 2514, 1.2, 0.5, 1735),
    ("ICICIBANK", "ICICI Bank", "BANK", 1348, 1.1, 1.0, 10873),
    ("INDUSINDBK", "IndusInd Bank", "BANK", 736, 2.4, 1.2, 7566),
    ("INFY", "Infosys", "IT", 1442, 1.6, 1.0, 7059),
    ("ITC", "ITC", "FMCG", 402, 1.2, 0.6, 15360),
    ("JIOFIN", "Jio Financial Services", "FINANCE", 293, 2.0, 1.3, 18090),
    ("JSWSTEEL", "JSW Steel", "METAL", 1143, 1.5, 1.1, 1940),
    ("KOTAKBANK", "Kotak Mahindra Bank", "BANK", 1993, 1.5, 0.9, 4014),
    ("LT", "Larsen & Toubro", "INFRA", 3660, 1.5, 1.1, 1971),
    ("M&M", "Mahindra & Mahindra", "AUTO", 3427, 1.9, 1.2, 2997),
    ("MARUTI", "Maruti Suzuki India", "AUTO", 16029, 1.4, 0.8, 435),
    ("NESTLEIND", "Nestle India", "FMCG", 1153, 1.3, 0.5, 1715),
    ("NTPC", "NTPC", "ENERGY", 340, 1.5, 1.1, 12978),
    ("ONGC", "Oil & Natural Gas Corporation", "ENERGY", 240, 1.6, 1.1, 11958),
    ("POWERGRID", "Power Grid Corporation of India", "ENERGY", 280, 1.5, 1.0, 12712),
    ("RELIANCE", "Reliance Industries", "ENERGY", 1364, 1.3, 1.1, 12680),
    ("SBILIFE", "SBI Life Insurance Company", "FINANCE", 1791, 1.4, 0.8, 1325),
    ("SBIN", "State Bank of India", "BANK", 872, 1.3, 1.1, 11414),
    ("SHRIRAMFIN", "Shriram Finance", "FINANCE", 616, 2.2, 1.4, 6549),
    ("SUNPHARMA", "Sun Pharmaceutical Industries", "PHARMA", 1594, 1.3, 0.7, 2310),
    ("TATACONSUM", "Tata Consumer Products", "FMCG", 1129, 1.5, 0.7, 1488),
    ("TATAMOTORS", "Tata Motors", "AUTO", 680, 1.9, 1.3, 13008),
    ("TATASTEEL", "Tata Steel", "METAL", 169, 1.8, 1.3, 32116),
    ("TCS", "Tata Consultancy Services", "IT", 2888, 1.3, 0.8, 2535),
    ("TECHM", "Tech Mahindra", "IT", 1400, 1.6, 1.0, 2005),
    ("TITAN", "Titan Company", "CONSUMER", 3367, 1.4, 0.9, 987),
    ("TRENT", "Trent", "CONSUMER", 4677, 2.4, 1.3, 1155),
    ("ULTRACEMCO", "UltraTech Cement", "INFRA", 12222, 1.4, 0.9, 309),
    ("WIPRO", "Wipro", "IT", 239, 1.7, 1.0, 11766),
    ("INDIGO", "InterGlobe Aviation", "CONSUMER", 5595, 1.6, 0.9, 900),
    ("MAXHEALTH", "Max Healthcare Institute", "PHARMA", 1115, 1.8, 0.9, 2400),
    ("SAIL", "Steel Authority of India", "METAL", 134, 2.1, 1.4, 16000),
    ("SBICARD", "SBI Cards and Payment Services", "FINANCE", 877, 1.6, 0.9, 1300),
    ("TVSMOTOR", "TVS Motor Company", "AUTO", 3440, 1.7, 1.0, 1100),
)

# symbol, name, sector, level, market load, sector load and own noise in % a day, tick size
_INDICES: Final[tuple[tuple[str, str, str, float, float, float, float, str], ...]] = (
    ("NIFTY", "NIFTY 50", "", 24611, 0.78, 0.0, 0.06, "0.05"),
    ("BANKNIFTY", "NIFTY Bank", "BANK", 54636, 0.80, 0.40, 0.06, "0.05"),
    ("FINNIFTY", "NIFTY Financial Services", "FINANCE", 26047, 0.82, 0.38, 0.06, "0.05"),
    ("NIFTYIT", "NIFTY IT", "IT", 33669, 0.75, 0.85, 0.06, "0.05"),
    ("INDIAVIX", "India VIX", "", 13.5, -2.9, 0.0, 2.0, "0.01"),
)


def _stock(token: int, row: tuple[str, str, str, float, float, float, int]) -> Listing:
    symbol, name, sector, level, percent, beta, thousands = row
    market = beta * MARKET_VOLATILITY
    total = (percent / 100) ** 2
    rest = max(total - market**2, 0.3 * total)
    key = InstrumentKey(exchange=Exchange.NSE, symbol=symbol)
    return Listing(
        instrument=Instrument(key=key, token=str(token), name=name, price_band=_NO_BAND),
        level=level,
        sector=sector,
        market=market,
        sector_load=(SECTOR_SHARE * rest) ** 0.5,
        own=((1 - SECTOR_SHARE) * rest) ** 0.5,
        volume=thousands * 1000,
    )


def _index(token: int, row: tuple[str, str, str, float, float, float, float, str]) -> Listing:
    symbol, name, sector, level, market, sector_load, own, tick_size = row
    key = InstrumentKey(exchange=Exchange.NSE_INDEX, symbol=symbol)
    return Listing(
        instrument=Instrument(
            key=key,
            token=str(token),
            name=name,
            tick_size=Decimal(tick_size),
            instrument_type="INDEX",
        ),
        level=level,
        sector=sector,
        market=market / 100,
        sector_load=sector_load / 100,
        own=own / 100,
        volume=0,
    )


def listings() -> tuple[Listing, ...]:
    """Everything that the synthetic market lists, stocks first, in a fixed order."""
    stocks = tuple(_stock(1001 + i, row) for i, row in enumerate(_STOCKS))
    indices = tuple(_index(26001 + i, row) for i, row in enumerate(_INDICES))
    return stocks + indices


NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {row[0]: row[1] for row in _STOCKS} | {row[0]: row[1] for row in _INDICES}
)
"""Company and index names by symbol, for recordings, which carry symbols alone."""
