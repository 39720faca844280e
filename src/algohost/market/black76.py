"""European options on a forward: price, greeks, and the volatility that a price implies.

The formulas are those of F. Black, "The pricing of commodity contracts", Journal of Financial
Economics 3 (1976), as J. C. Hull gives them in "Options, Futures, and Other Derivatives" (chapter
"Options on futures"). With the forward ``S·exp((r−q)T)`` they are those of Black, Scholes and
Merton for an option on the spot. Arguments are floats or arrays of one shape; times are years,
rates and volatilities fractions a year, with continuous compounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, exp, inf, isfinite, log, pi, sqrt
from typing import Final

import numpy as np

from algohost.domain.contract_symbols import ContractKind
from algohost.market.noise import FloatArray

DAYS_A_YEAR: Final = 365.0
MOST_VOLATILITY: Final = 20.0
"""Implied volatilities are looked for up to here: 2,000 % a year."""
_ROOT_HALF: Final = sqrt(0.5)
_ROUNDS: Final = 100
_CLOSE: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Greeks:
    """Sensitivities in the units that traders use."""

    delta: float
    """Rupees a rupee of the forward."""
    gamma: float
    """Delta a rupee of the forward."""
    theta: float
    """Rupees a calendar day that passes."""
    vega: float
    """Rupees a percentage point of volatility."""
    rho: float
    """Rupees a percentage point of the interest rate, the forward held."""


def normal_cdf(value: float) -> float:
    """The standard normal distribution function, to the last digits of a float."""
    return 0.5 * erfc(-value * _ROOT_HALF)


def price(
    kind: ContractKind, forward: float, strike: float, years: float, rate: float, volatility: float
) -> float:
    """The value of a call (``CE``) or a put (``PE``); intrinsic, discounted, with no time or no
    volatility left."""
    spread = volatility * sqrt(years) if years > 0 else 0.0
    discount = exp(-rate * years)
    if spread <= 0:
        return discount * max(_sign(kind) * (forward - strike), 0.0)
    return value(kind, forward, strike, discount, spread)


def value(
    kind: ContractKind, forward: float, strike: float, discount: float, spread: float
) -> float:
    """The same from a discount factor and ``spread``: volatility times the root of the time."""
    d1 = log(forward / strike) / spread + spread / 2
    if kind is ContractKind.CE:
        return discount * (forward * normal_cdf(d1) - strike * normal_cdf(d1 - spread))
    return discount * (strike * normal_cdf(spread - d1) - forward * normal_cdf(-d1))


def prices(
    kind: ContractKind,
    forward: FloatArray,
    strike: float,
    discount: FloatArray,
    spread: FloatArray,
) -> FloatArray:
    """As ``value`` for arrays, all of ``spread`` above 0."""
    d1 = np.log(forward / strike) / spread + spread / 2
    if kind is ContractKind.CE:
        worth = forward * _cdf(d1) - strike * _cdf(d1 - spread)
    else:
        worth = strike * _cdf(spread - d1) - forward * _cdf(-d1)
    found: FloatArray = discount * worth
    return found


def greeks(
    kind: ContractKind, forward: float, strike: float, years: float, rate: float, volatility: float
) -> Greeks:
    """The sensitivities of an option with time and volatility left."""
    root = sqrt(years)
    spread = volatility * root
    d1 = log(forward / strike) / spread + spread / 2
    discount = exp(-rate * years)
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    worth = price(kind, forward, strike, years, rate, volatility)
    sign = _sign(kind)
    decay = forward * discount * density * volatility / (2 * root)
    return Greeks(
        delta=sign * discount * normal_cdf(sign * d1),
        gamma=discount * density / (forward * spread),
        theta=(rate * worth - decay) / DAYS_A_YEAR,
        vega=forward * discount * density * root / 100,
        rho=-years * worth / 100,
    )


def implied_volatility(
    kind: ContractKind, paid: float, forward: float, strike: float, years: float, rate: float
) -> float | None:
    """The volatility at which the model gives the price ``paid``; ``None`` where none does.

    That is so at or below the discounted intrinsic value, and from what volatility without end
    would give: the discounted forward for a call, the discounted strike for a put.
    """
    if years <= 0 or not all(isfinite(one) for one in (paid, forward, strike, rate)):
        return None
    floor = exp(-rate * years) * max(_sign(kind) * (forward - strike), 0.0)
    if paid <= floor + _CLOSE * max(forward, strike):
        return None

    def miss(volatility: float) -> float:
        return price(kind, forward, strike, years, rate, volatility) - paid

    if miss(MOST_VOLATILITY) < 0:
        return None
    return _root(miss, 0.0, MOST_VOLATILITY)


def _root(miss: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function is zero between ``low`` and ``high``.

    Brackets with false position (the Illinois rule: M. Dowell and P. Jarratt, BIT 11, 1971) and
    halves whenever that has not halved the bracket, so that it always ends.
    """
    under, over, last = miss(low), miss(high), 0
    width = inf
    for _ in range(_ROUNDS):
        is_slow = high - low > width / 2
        width = high - low
        middle = (low + high) / 2 if is_slow else (low * over - high * under) / (over - under)
        found = miss(middle)
        if found == 0 or width < _CLOSE:
            return middle
        if found < 0:
            low, under = middle, found
            over = over / 2 if last < 0 else over
            last = -1
        else:
            high, over = middle, found
            under = under / 2 if last > 0 else under
            last = 1
    return (low + high) / 2


def _sign(kind: ContractKind) -> int:
    return 1 if kind is ContractKind.CE else -1


def _cdf(values: FloatArray) -> FloatArray:
    """As ``normal_cdf``; numpy has no error function, and its terms must be the same here."""
    scaled = (values * -_ROOT_HALF).ravel().tolist()
    return 0.5 * np.fromiter(map(erfc, scaled), dtype=np.float64, count=values.size).reshape(
        values.shape
    )
