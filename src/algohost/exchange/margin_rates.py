"""The shares of a contract's value that are held as margin, with where they are from.

Shares, intraday: 20 %. SEBI's circular of 20 July 2020 (CIR/P/2020/146) lets no broker collect less
than the exchange's minimum up front, which is 20 % where VaR and extreme-loss margin are not known;
in full force since 1 September 2021. Volatile shares need more in reality.

NFO, BFO: the floors of the price scan range, 9.3 % for indices and 14.2 % for shares
(nseclearing.in, SPAN risk parameters, page of 2024-07-04), and exposure margin of 2 % and 3.5 %.
The latter two are NSE Clearing's usual ones, taken from memory of its page: not confirmed.

CDS, BCD: floors of 1.5 % USDINR, 2.15 % EURINR, 2.25 % GBPINR, 2.65 % JPYINR and 2.5 % for pairs
without the rupee (nscclindia.com, page of 2024-07-22); extreme-loss margin of 1 % USDINR, 0.3 %
EURINR, 0.5 % GBPINR, 0.7 % JPYINR (contract specifications at geojit.com and teluguinvestor.com).
Short USDINR options have 1.5 %; pairs without the rupee are taken at 1 %.

MCX, NCO: floors by volatility class, 10 % high, 8 % gold, 11.5 % silver, 33 % crude oil (ICCL
notice 20260310-8 of 2026-03-10, which names the lead exchange's); 1 % extreme-loss margin
(SEBI's circular of 2015-10-01 for commodities, from memory). Everything not named is taken as of
the high class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from algohost.domain.contract_symbols import ContractParts
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.exchange.segments import INDICES, contract_of


@dataclass(frozen=True, kw_only=True)
class Equity:
    """How shares are margined."""

    exchanges: frozenset[Exchange]
    intraday: Decimal


EQUITY: Final = Equity(exchanges=frozenset({Exchange.NSE, Exchange.BSE}), intraday=Decimal("0.20"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Of one contract: shares of its value."""

    span: Decimal
    exposure: Decimal
    both: Decimal
    strike: Decimal | None
    """Where an option's value is taken; ``None`` for a future."""


_Pair = tuple[Decimal, Decimal]


def _pair(span: str, exposure: str) -> _Pair:
    """From percent."""
    return Decimal(span) / 100, Decimal(exposure) / 100


_INDEX: Final = _pair("9.3", "2")
_STOCK: Final = _pair("14.2", "3.5")
_CURRENCY: Final[Mapping[str, _Pair]] = MappingProxyType(
    {
        "USDINR": _pair("1.5", "1"),
        "EURINR": _pair("2.15", "0.3"),
        "GBPINR": _pair("2.25", "0.5"),
        "JPYINR": _pair("2.65", "0.7"),
    }
)
_CROSS: Final = _pair("2.5", "1")
_USDINR_OPTION: Final = _pair("1.5", "1.5")
_COMMODITY: Final[Mapping[str, _Pair]] = MappingProxyType(
    {
        "CRUDEOIL": _pair("33", "1"),
        "CRUDEOILM": _pair("33", "1"),
        "GOLD": _pair("8", "1"),
        "GOLDM": _pair("8", "1"),
        "GOLDTEN": _pair("8", "1"),
        "GOLDGUINEA": _pair("8", "1"),
        "GOLDPETAL": _pair("8", "1"),
        "SILVER": _pair("11.5", "1"),
        "SILVERM": _pair("11.5", "1"),
        "SILVERMIC": _pair("11.5", "1"),
    }
)
_VOLATILE: Final = _pair("10", "1")


@lru_cache(maxsize=65_536)
def rates_of(key: InstrumentKey) -> Rates | None:
    """The rates of a derivative; ``None`` for shares and for what is held in full."""
    contract = contract_of(key)
    if contract is None:
        return None
    pair = _pair_of(key.exchange, contract)
    if pair is None:
        return None
    span, exposure = pair
    return Rates(span=span, exposure=exposure, both=span + exposure, strike=contract.strike)


def _pair_of(exchange: Exchange, contract: ContractParts) -> _Pair | None:
    if exchange in {Exchange.NFO, Exchange.BFO}:
        return _INDEX if contract.base in INDICES else _STOCK
    if exchange in {Exchange.CDS, Exchange.BCD}:
        if contract.base == "USDINR" and contract.kind.is_option:
            return _USDINR_OPTION
        return _CURRENCY.get(contract.base, _CROSS)
    if exchange in {Exchange.MCX, Exchange.NCO}:
        return _COMMODITY.get(contract.base, _VOLATILE)
    return None
