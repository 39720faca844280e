"""Symbols of derivatives in OpenAlgo's form, made and read.

NIFTY24NOV26FUT              base, expiry as DDMMMYY, FUT
NIFTY24NOV2624500CE          base, expiry, strike, CE or PE
VEDL24NOV26292.5CE           a strike keeps its decimals, without zeros at their end

The symbol of an equity or an index is its base alone.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algohost.domain.errors import Invalid

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                 "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")  # fmt: skip

_DERIVATIVE: Final = re.compile(
    rf"(?P<base>.+)(?P<day>\d\d)(?P<month>{'|'.join(MONTHS)})(?P<year>\d\d)"
    r"(?:FUT|(?P<strike>(?:0|[1-9]\d*)(?:\.\d*[1-9])?)(?P<option>CE|PE))"
)


class ContractKind(StrEnum):
    """What sort of instrument it is, by OpenAlgo's words."""

    EQ = "EQ"
    INDEX = "INDEX"
    FUT = "FUT"
    CE = "CE"
    PE = "PE"

    @property
    def is_option(self) -> bool:
        """Whether it has a strike."""
        return self in {ContractKind.CE, ContractKind.PE}


@dataclass(frozen=True, kw_only=True)
class ContractParts:
    """What a derivative's symbol is made of. Raises ``Invalid`` where it could not be read back."""

    base: str
    expiry: date
    kind: ContractKind
    strike: Decimal | None = None

    def __post_init__(self) -> None:
        if self.kind in {ContractKind.EQ, ContractKind.INDEX} or not self.base:
            raise Invalid(f"{self.base} is no derivative; its symbol is its own name.")
        if self.kind.is_option is not (self.strike is not None):
            raise Invalid(f"A {self.kind} has a strike if it is an option, and only then.")
        if self.strike is not None and self.strike < 0:
            raise Invalid(f"The strike {self.strike} is below 0.")
        if not 2000 <= self.expiry.year <= 2099:
            raise Invalid(f"The expiry {self.expiry} is not of this century, which symbols assume.")


def symbol_of(parts: ContractParts) -> str:
    """The symbol: ``NIFTY24NOV2624500CE``."""
    stem = f"{parts.base}{expiry_mark(parts.expiry)}"
    if parts.strike is None:
        return f"{stem}FUT"
    return f"{stem}{strike_text(parts.strike)}{parts.kind}"


def parts_of(symbol: str) -> ContractParts | None:
    """What a symbol says; ``None`` for one that is of no derivative, or has an impossible date."""
    found = _DERIVATIVE.fullmatch(symbol)
    if found is None:
        return None
    try:
        expiry = date(
            2000 + int(found["year"]), MONTHS.index(found["month"]) + 1, int(found["day"])
        )
    except ValueError:
        return None
    strike = found["strike"]
    return ContractParts(
        base=found["base"],
        expiry=expiry,
        kind=ContractKind(found["option"]) if strike is not None else ContractKind.FUT,
        strike=Decimal(strike) if strike is not None else None,
    )


def expiry_mark(day: date) -> str:
    """``24NOV26``."""
    return f"{day.day:02d}{MONTHS[day.month - 1]}{day.year % 100:02d}"


def strike_text(strike: Decimal) -> str:
    """``24500``, ``292.5``: no exponent, no zeros at the end of decimals."""
    text = f"{strike:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
