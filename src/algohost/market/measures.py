"""What an option's price says: the volatility it implies, and its greeks."""

from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Final

from algohost.domain.contract_symbols import ContractKind
from algohost.domain.errors import Invalid, NotFound, Unavailable
from algohost.domain.ids import IST
from algohost.domain.ports import Market
from algohost.market.black76 import DAYS_A_YEAR, Greeks, greeks, implied_volatility
from algohost.market.derived import closing_time
from algohost.market.options import OptionSeries

DAY_SECONDS: Final = 86_400
_NO_TIME_VALUE: Final = (
    "The price has no time value above the discounted intrinsic value, so it implies no"
    " volatility; the greeks are those of an option that is as good as exercised."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The volatility that a price implies, as a fraction a year, with the greeks at it."""

    implied_volatility: float
    """0 where there is none; ``note`` then says why."""
    greeks: Greeks
    note: str = ""


def measure(
    kind: ContractKind, *, paid: float, forward: float, strike: float, days: float, rate: float
) -> Measured:
    """What the price ``paid`` says, ``days`` before expiry, by Black's formula on ``forward``.

    Raises ``Invalid`` for a price that no volatility gives.
    """
    years = days / DAYS_A_YEAR
    found = implied_volatility(kind, paid, forward, strike, years, rate)
    if found is not None:
        return Measured(
            implied_volatility=found, greeks=greeks(kind, forward, strike, years, rate, found)
        )
    most = forward if kind is ContractKind.CE else strike
    if paid > most / 2:
        intrinsic = abs(forward - strike)
        if paid > intrinsic:
            raise Invalid(
                f"No volatility gives a price of {paid:g} with the underlying at {forward:g} and"
                f" the strike at {strike:g}; check forward_price or the underlying.",
                code="NO_IMPLIED_VOLATILITY",
            )
    is_in = forward > strike if kind is ContractKind.CE else forward < strike
    delta = 0.0 if not is_in else 1.0 if kind is ContractKind.CE else -1.0
    bare = Greeks(delta=delta, gamma=0.0, theta=0.0, vega=0.0, rho=0.0)
    return Measured(implied_volatility=0.0, greeks=bare, note=_NO_TIME_VALUE)


def days_left(series: OptionSeries, now: datetime, at: time | None) -> float:
    """Calendar days until the options of a series expire, at ``at`` IST or as the exchange has it.

    Raises ``Invalid`` where they have.
    """
    moment = datetime.combine(series.expiry, at or closing_time(series.exchange), IST)
    days = (moment - now).total_seconds() / DAY_SECONDS
    if days <= 0:
        raise Invalid(
            f"Options of {series.base} of {series.expiry:%d-%b-%Y} expired at {moment:%H:%M} IST;"
            " their greeks are no more. Use a later expiry.",
            code="EXPIRED",
        )
    return days


def synthetic_future(series: OptionSeries, market: Market) -> Decimal | None:
    """Strike + call − put at the money, in rupees; ``None`` where one of the two has no price."""
    strike = series.strikes[series.atm]
    prices = []
    for kind in (ContractKind.CE, ContractKind.PE):
        try:
            prices.append(market.quote(series.key(strike, kind)).last)
        except (NotFound, Unavailable):
            return None
    call, put = prices
    return strike + call - put
