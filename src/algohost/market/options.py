"""Which option is meant: by underlying, expiry, distance from the money, and kind.

The strikes are those of the list, so uneven steps count as they are. At the money is the listed
strike nearest to the underlying's last price; of two as near, the lower. ``ITM2`` of a call is two
strikes below it, of a put two above.

Of an index or a stock the underlying is its own price, even where a future of it is named, as in
OpenAlgo; of a commodity or a currency, which have no other price, it is the named future, or the
first future that does not expire before the option.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Final

from algohost.domain.contract_symbols import (
    MONTHS,
    ContractKind,
    ContractParts,
    expiry_mark,
    parts_of,
    symbol_of,
)
from algohost.domain.errors import Invalid, NotFound
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import ContractList
from algohost.domain.ports import Market
from algohost.market.contracts import specs

MOST_STEPS: Final = 50
"""Strikes that an offset may be away from the money."""
_EXPIRY: Final = re.compile(rf"(\d\d)-?({'|'.join(MONTHS)})-?(\d\d)")
_OFFSET: Final = re.compile(r"ATM|(?P<side>ITM|OTM)(?P<steps>[1-9]\d?)")
_EXCHANGES: Final = {
    Exchange.NSE_INDEX: Exchange.NFO,
    Exchange.NSE: Exchange.NFO,
    Exchange.BSE_INDEX: Exchange.BFO,
    Exchange.BSE: Exchange.BFO,
}
"""Where the options of what is listed there are; elsewhere they are on the same exchange."""
_CASH_OF: Final = {Exchange.NFO: Exchange.NSE, Exchange.BFO: Exchange.BSE}
_SHOWN_EXPIRIES: Final = 4


@dataclass(frozen=True, kw_only=True)
class OptionSeries:
    """The options of one underlying that expire on one day."""

    exchange: Exchange
    """Where the options are listed."""
    base: str
    expiry: date
    underlying: InstrumentKey
    """Whose price counts."""
    underlying_ltp: Decimal
    strikes: Sequence[Decimal]
    """All of them, in order; not empty."""

    @property
    def atm(self) -> int:
        """The place in ``strikes`` of the one at the money."""
        return nearest(self.strikes, self.underlying_ltp)

    def key(self, strike: Decimal, kind: ContractKind) -> InstrumentKey:
        """The name of one option of the series."""
        parts = ContractParts(base=self.base, expiry=self.expiry, kind=kind, strike=strike)
        return InstrumentKey(exchange=self.exchange, symbol=symbol_of(parts))


@dataclass(frozen=True, kw_only=True)
class ResolvedOption:
    """The option that was meant, and what it was found by."""

    instrument: Instrument
    underlying: InstrumentKey
    """Whose price counted."""
    underlying_ltp: Decimal
    atm_strike: Decimal
    offset: str
    """In capitals."""
    option_type: ContractKind
    expiry: date


def resolve_option(
    contracts: ContractList,
    market: Market,
    *,
    underlying: InstrumentKey,
    expiry: date | str | None,
    offset: str,
    option_type: str,
) -> ResolvedOption:
    """The option ``offset`` strikes from the money.

    ``expiry`` is a day, or ``28OCT25``; ``None`` where ``underlying`` is a future that names it.
    ``offset`` is ``ATM``, ``ITM1`` to ``ITM50`` or ``OTM1`` to ``OTM50``; ``option_type`` is
    ``CE`` or ``PE``; both in any case. Raises ``Invalid`` or ``NotFound`` with a sentence, and
    ``Unavailable`` where the underlying has no price yet.
    """
    kind = kind_of(option_type)
    steps = steps_of(offset, kind)
    series = series_of(contracts, market, underlying=underlying, expiry=expiry)
    place = series.atm + steps
    if not 0 <= place < len(series.strikes):
        raise NotFound(
            f"{offset.strip().upper()} is beyond the listed strikes of {series.base} expiring"
            f" {expiry_mark(series.expiry)}, {series.strikes[0]:f} to {series.strikes[-1]:f} with"
            f" {series.strikes[series.atm]:f} at the money; use an offset nearer to it.",
            code="STRIKE_NOT_FOUND",
        )
    key = series.key(series.strikes[place], kind)
    found = contracts.find(key)
    if found is None:
        raise NotFound(f"{key} is not listed; use another strike.", code="STRIKE_NOT_FOUND")
    return ResolvedOption(
        instrument=found,
        underlying=series.underlying,
        underlying_ltp=series.underlying_ltp,
        atm_strike=series.strikes[series.atm],
        offset=offset.strip().upper(),
        option_type=kind,
        expiry=series.expiry,
    )


def series_of(
    contracts: ContractList,
    market: Market,
    *,
    underlying: InstrumentKey,
    expiry: date | str | None,
) -> OptionSeries:
    """The options of ``underlying`` that expire then, and the price that they are measured by.

    Raises as ``resolve_option`` does.
    """
    exchange = _EXCHANGES.get(underlying.exchange, underlying.exchange)
    named = parts_of(underlying.symbol)
    if named is not None and named.kind is not ContractKind.FUT:
        raise Invalid(
            f"{underlying.symbol} is an option; name the index, the stock or the future that it"
            " is on.",
            code="UNDERLYING",
        )
    base = underlying.symbol if named is None else named.base
    day = _day_of(underlying, expiry, named)
    days = contracts.expiries(exchange, base, of_options=True)
    if day not in days:
        raise _no_such_expiry(market, underlying, base, exchange, day, days)
    strikes = contracts.strikes(exchange, base, day, ContractKind.CE)
    if not strikes:
        raise NotFound(
            f"There are no strikes of {base} expiring {expiry_mark(day)} on {exchange}.",
            code="STRIKE_NOT_FOUND",
        )
    spot = _priced_by(contracts, exchange, base, day, underlying if named else None)
    return OptionSeries(
        exchange=exchange,
        base=base,
        expiry=day,
        underlying=spot,
        underlying_ltp=market.quote(spot).last,
        strikes=strikes,
    )


def spot_of(exchange: Exchange, base: str) -> InstrumentKey | None:
    """The index or stock that derivatives of ``base`` on ``exchange`` are on; ``None`` for
    commodities and currencies."""
    spots = _spots()
    if (exchange, base) in spots:
        return spots[exchange, base]
    cash = _CASH_OF.get(exchange)
    return None if cash is None else InstrumentKey(exchange=cash, symbol=base)


def future_of(
    contracts: ContractList, exchange: Exchange, base: str, day: date
) -> InstrumentKey | None:
    """The first future of ``base`` that does not expire before ``day``."""
    days = contracts.expiries(exchange, base, of_options=False)
    expiry = next((one for one in days if one >= day), None)
    if expiry is None:
        return None
    parts = ContractParts(base=base, expiry=expiry, kind=ContractKind.FUT)
    return InstrumentKey(exchange=exchange, symbol=symbol_of(parts))


def expiry_of(text: str) -> date:
    """``28OCT25`` (or ``28-OCT-25``, in any case) as a date. Raises ``Invalid``."""
    found = _EXPIRY.fullmatch(text.strip().upper())
    if found is not None:
        try:
            return date(2000 + int(found[3]), MONTHS.index(found[2]) + 1, int(found[1]))
        except ValueError:
            pass
    raise Invalid(
        f"expiry_date must be a day written like 28OCT25, not {text.strip()[:20]!r}.",
        code="BAD_FIELDS",
    )


def kind_of(option_type: str) -> ContractKind:
    """``CE`` or ``PE``, in any case. Raises ``Invalid``."""
    wanted = option_type.strip().upper()
    if wanted not in {ContractKind.CE, ContractKind.PE}:
        raise Invalid(f"option_type must be CE or PE, not {wanted[:20]!r}.", code="BAD_FIELDS")
    return ContractKind(wanted)


def steps_of(offset: str, kind: ContractKind) -> int:
    """How many strikes up, or below 0 down, an offset is from the money. Raises ``Invalid``."""
    found = _OFFSET.fullmatch(offset.strip().upper())
    steps = int(found["steps"] or 0) if found is not None else MOST_STEPS + 1
    if found is None or steps > MOST_STEPS:
        raise Invalid(
            f"offset must be ATM, ITM1 to ITM{MOST_STEPS} or OTM1 to OTM{MOST_STEPS}, not"
            f" {offset.strip()[:20]!r}.",
            code="BAD_FIELDS",
        )
    is_up = (found["side"] == "OTM") is (kind is ContractKind.CE)
    return steps if is_up else -steps


def label_of(steps: int, kind: ContractKind) -> str:
    """``ATM``, ``ITM2``, ``OTM1``: the offset of a strike ``steps`` above the money."""
    if steps == 0:
        return "ATM"
    is_out = (steps > 0) is (kind is ContractKind.CE)
    return f"{'OTM' if is_out else 'ITM'}{abs(steps)}"


def nearest(strikes: Sequence[Decimal], price: Decimal) -> int:
    """The place of the strike nearest to ``price``; of two as near, the lower."""
    return min(range(len(strikes)), key=lambda place: (abs(strikes[place] - price), place))


def _day_of(
    underlying: InstrumentKey, expiry: date | str | None, named: ContractParts | None
) -> date:
    if isinstance(expiry, str) and expiry.strip():
        return expiry_of(expiry)
    if isinstance(expiry, date):
        return expiry
    if named is None:
        raise Invalid(
            f"expiry_date is missing; give a day like 28OCT25, or name a future of"
            f" {underlying.symbol} as underlying.",
            code="BAD_FIELDS",
        )
    return named.expiry


def _priced_by(
    contracts: ContractList,
    exchange: Exchange,
    base: str,
    day: date,
    future: InstrumentKey | None,
) -> InstrumentKey:
    spot = spot_of(exchange, base)
    found = spot or future or future_of(contracts, exchange, base, day)
    if found is None:
        raise NotFound(
            f"No future of {base} on {exchange} reaches {expiry_mark(day)}, so its options have"
            " no underlying here.",
            code="UNDERLYING",
        )
    return found


def _no_such_expiry(
    market: Market,
    underlying: InstrumentKey,
    base: str,
    exchange: Exchange,
    day: date,
    days: Sequence[date],
) -> Exception:
    if not days:
        return NotFound(
            f"{underlying} has no options on {exchange} in the master contract; check the symbol"
            " and the exchange.",
            code="UNDERLYING",
        )
    shown = ", ".join(expiry_mark(one) for one in days[:_SHOWN_EXPIRIES])
    today = market.now().astimezone(IST).date()
    if day < today:
        return Invalid(
            f"Options of {base} that expired on {expiry_mark(day)} are not listed any more; the"
            f" next expiries are {shown}.",
            code="EXPIRED",
        )
    near = sum(one < day - timedelta(days=15) for one in days)
    shown = ", ".join(expiry_mark(one) for one in days[near : near + _SHOWN_EXPIRIES]) or shown
    return NotFound(
        f"No options of {base} on {exchange} expire on {expiry_mark(day)}; use one of {shown}.",
        code="EXPIRY_NOT_FOUND",
    )


@cache
def _spots() -> dict[tuple[Exchange, str], InstrumentKey | None]:
    return {(one.exchange, one.base): one.spot for one in specs.underlyings()}
