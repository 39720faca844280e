"""What clients may send about options: one model per request."""

import re
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from algohost.domain.contract_symbols import MONTHS, ContractKind
from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.market.options import MOST_STEPS, expiry_of, kind_of, steps_of
from algohost.web.api_v1.field_schemas import PERCENT, any_case, taken, text
from algohost.web.api_v1.fields import (
    SYMBOL,
    Amount,
    ExchangeWord,
    Symbol,
    list_of,
    or_nothing,
    read_amount,
    refuse,
    whole_of,
    word_of,
)
from algohost.web.api_v1.requests import Asked

MOST_STRIKES: Final = 100
"""Strikes on each side of the money that a chain may be asked for."""
MOST_OPTIONS: Final = 50
"""Options that one call of ``multioptiongreeks`` may name."""
_MOST_PERCENT: Final = 100
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DERIVATIVES: Final = (
    Exchange.NFO, Exchange.BFO, Exchange.MCX, Exchange.CDS, Exchange.BCD, Exchange.NCO,
)  # fmt: skip


def _read_by(read: Callable[[str], object], rule: str, pattern: str) -> BeforeValidator:
    """Takes a text that ``read`` can read, as what it reads."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            raise refuse(f"must be {rule}")
        try:
            return read(value)
        except Invalid:
            raise refuse(f"must be {rule}") from None

    return taken(check, text(pattern, description=f"{rule[:1].upper()}{rule[1:]}."))


def _offset(text: str) -> str:
    steps_of(text, ContractKind.CE)
    return text.strip().upper()


def _clock(text: str) -> time:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise Invalid("no time of day")
    return time(int(found[1]), int(found[2]))


_EXPIRY: Final = _read_by(
    expiry_of,
    "a day written like 28OCT25",
    f"(?:0[1-9]|[12][0-9]|3[01])-?(?:{'|'.join(map(any_case, MONTHS))})-?[0-9]{{2}}",
)
Expiry = Annotated[date, _EXPIRY]
ExpiryOrNone = Annotated[date | None, or_nothing(_EXPIRY)]
Offset = Annotated[
    str,
    _read_by(
        _offset,
        f"ATM, ITM1 to ITM{MOST_STEPS} or OTM1 to OTM{MOST_STEPS}",
        f"{any_case('ATM')}|[IiOo]{any_case('TM')}(?:[1-9]|[1-4][0-9]|{MOST_STEPS})",
    ),
]
OptionType = Annotated[ContractKind, _read_by(kind_of, "CE or PE", "[CcPp][Ee]")]
StrikeCount = Annotated[int | None, or_nothing(whole_of(1, MOST_STRIKES))]
ClockOrNone = Annotated[
    time | None, or_nothing(_read_by(_clock, "a time of day like 15:30", _CLOCK.pattern))
]
DerivativesWord = Annotated[Exchange, word_of(Exchange, _DERIVATIVES)]


def _percent(value: Decimal) -> Decimal:
    if value > _MOST_PERCENT:
        raise refuse(f"must be a yearly rate in percent, 0 to {_MOST_PERCENT}")
    return value


Percent = Annotated[Decimal, AfterValidator(_percent), taken(read_amount, PERCENT)]


class AskedOfUnderlying(Asked):
    """A request about the options of an index, a stock, or a future."""

    underlying: Symbol
    exchange: ExchangeWord
    expiry_date: ExpiryOrNone = None

    @property
    def key(self) -> InstrumentKey:
        """What was named; it may not be listed."""
        return InstrumentKey(exchange=self.exchange, symbol=self.underlying.upper())


class OptionSymbol(AskedOfUnderlying):
    """A request for the option so many strikes from the money."""

    offset: Offset
    option_type: OptionType


class OptionChain(AskedOfUnderlying):
    """A request for the options around the money, or for all."""

    strike_count: StrikeCount = None


class SyntheticFuture(AskedOfUnderlying):
    """A request for the future that a call and a put make."""

    expiry_date: Expiry


class OneOption(Asked):
    """One option, and what its price is to be measured by."""

    symbol: Symbol
    exchange: DerivativesWord
    underlying_symbol: Annotated[str | None, or_nothing(SYMBOL)] = None
    underlying_exchange: Annotated[Exchange | None, or_nothing(word_of(Exchange))] = None

    @property
    def key(self) -> InstrumentKey:
        """The option that was named; it may not be listed."""
        return InstrumentKey(exchange=self.exchange, symbol=self.symbol.upper())


class GreeksTerms(Asked):
    """By what greeks are worked out."""

    interest_rate: Percent | None = None
    """In percent a year; 0 where it is left out."""
    expiry_time: ClockOrNone = None

    @property
    def rate(self) -> float:
        """As a fraction a year."""
        return float(self.interest_rate or 0) / 100


class OptionGreeks(OneOption, GreeksTerms):
    """A request for the greeks of one option."""

    forward_price: Amount | None = None


class MultiOptionGreeks(GreeksTerms):
    """A request for the greeks of many options by the same terms."""

    symbols: Annotated[list[OneOption], list_of(MOST_OPTIONS)]
