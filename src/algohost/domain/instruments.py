"""What can be traded, and by which name."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Exchange(StrEnum):
    """Exchanges and segments by OpenAlgo's names."""

    NSE = "NSE"
    BSE = "BSE"
    NFO = "NFO"
    BFO = "BFO"
    CDS = "CDS"
    BCD = "BCD"
    MCX = "MCX"
    NCO = "NCO"
    NSE_INDEX = "NSE_INDEX"
    BSE_INDEX = "BSE_INDEX"
    CRYPTO = "CRYPTO"

    @property
    def is_index(self) -> bool:
        """Whether it lists indices: quoted, never traded."""
        return self in {Exchange.NSE_INDEX, Exchange.BSE_INDEX}


@dataclass(frozen=True, kw_only=True, order=True)
class InstrumentKey:
    """Exchange and symbol: the name by which scripts and the master contract know it."""

    exchange: Exchange
    symbol: str

    def __hash__(self) -> int:
        """Of the symbol alone, whose hash Python keeps: every quote is looked up by its key."""
        return hash(self.symbol)

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One row of the master contract."""

    key: InstrumentKey
    token: str
    name: str
    tick_size: Decimal = Decimal("0.05")
    lot_size: int = 1
    instrument_type: str = "EQ"
    expiry: date | None = None
    strike: Decimal | None = None
    freeze_quantity: int | None = None
    price_band: Decimal | None = field(default=None, compare=False)
    """A share's daily price band in per cent; 0 where it has none because derivatives on it are
    traded; None where it is not known. Lists of instruments do not keep it."""
