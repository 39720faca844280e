"""Which part of the market an instrument is traded in: what decides its margins and charges.

Read from the symbol alone, so that what an account holds can be worked out again from its journal,
also for contracts that have expired and that no list has any more.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final

from algohost.domain.contract_symbols import ContractParts, parts_of
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Product


class Segment(StrEnum):
    """Exchange and kind of trade, by the names that the table of rates has."""

    NSE_DELIVERY = "NSE-delivery"
    NSE_INTRADAY = "NSE-intraday"
    BSE_DELIVERY = "BSE-delivery"
    BSE_INTRADAY = "BSE-intraday"
    NFO_FUTURES = "NFO-futures"
    NFO_OPTIONS = "NFO-options"
    BFO_FUTURES = "BFO-futures"
    BFO_OPTIONS = "BFO-options"
    BFO_OTHER_OPTIONS = "BFO-other-options"
    """Options of BSE on anything but Sensex and Bankex."""
    CDS_FUTURES = "CDS-futures"
    CDS_OPTIONS = "CDS-options"
    BCD_FUTURES = "BCD-futures"
    BCD_OPTIONS = "BCD-options"
    MCX_FUTURES = "MCX-futures"
    MCX_OPTIONS = "MCX-options"
    MCX_FARM_FUTURES = "MCX-farm-futures"
    """Futures on farm produce that is not processed, which is free of the transaction tax."""
    NCO_FUTURES = "NCO-futures"
    NCO_OPTIONS = "NCO-options"

    @property
    def is_delivery(self) -> bool:
        """Whether shares change hands for good."""
        return self in {Segment.NSE_DELIVERY, Segment.BSE_DELIVERY}


INDICES: Final = frozenset(
    {
        "NIFTY",
        "BANKNIFTY",
        "FINNIFTY",
        "MIDCPNIFTY",
        "NIFTYNXT50",
        "SENSEX",
        "BANKEX",
        "SENSEX50",
    }
)
"""Underlyings on NFO and BFO that are indices; all others there are shares."""

_FARM: Final = frozenset({"CARDAMOM", "COTTON", "COTTONCNDY", "KAPAS"})
_BSE_MAIN: Final = frozenset({"SENSEX", "BANKEX"})
_CASH: Final = frozenset({Exchange.NSE, Exchange.BSE})


@lru_cache(maxsize=65_536)
def contract_of(key: InstrumentKey) -> ContractParts | None:
    """What the symbol of a derivative says; ``None`` for shares and anything else."""
    return None if key.exchange in _CASH else parts_of(key.symbol)


@lru_cache(maxsize=65_536)
def segment_of(key: InstrumentKey, product: Product) -> Segment | None:
    """Where a trade belongs; ``None`` for indices, crypto and symbols that say nothing."""
    if key.exchange in _CASH:
        return Segment(f"{key.exchange}-{'intraday' if product is Product.MIS else 'delivery'}")
    contract = contract_of(key)
    if contract is None or key.exchange is Exchange.CRYPTO:
        return None
    if not contract.kind.is_option:
        is_farm = key.exchange is Exchange.MCX and contract.base in _FARM
        return Segment.MCX_FARM_FUTURES if is_farm else Segment(f"{key.exchange}-futures")
    if key.exchange is Exchange.BFO and contract.base not in _BSE_MAIN:
        return Segment.BFO_OTHER_OPTIONS
    return Segment(f"{key.exchange}-options")
