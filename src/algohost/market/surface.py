"""How dear options are, how much is traded and held of them, and how wide their books are.

The volatility of an underlying is flat in time but for its term, and steady through the day: that
of its path, a little raised, as options usually cost more than what comes. It is highest away from
the money, and of stocks and indices higher below it than above. Moneyness is measured in standard
deviations, and the tilt ends at some two of them, so that a chain stays free of arbitrage: calls
fall and puts rise with the strike. Volume and open interest are largest at the money and beyond,
in the nearest expiries, and change with each day's previous close.
"""

from dataclasses import dataclass
from math import exp, log, sqrt, tanh
from typing import Final

import numpy as np

from algohost.domain.contract_symbols import ContractKind
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.market.black76 import DAYS_A_YEAR
from algohost.market.noise import FloatArray, generator

_PREMIUM: Final = (1.04, 1.14)
"""How much dearer than the path's own volatility, from and to; each underlying has its own."""
_TERM: Final = 0.06
"""By how much the volatility of a far expiry is above that of a month, and a near one below."""
_TERM_YEARS: Final = 30 / DAYS_A_YEAR
_SMILE: Final = 0.08
_SKEWS: Final = {Exchange.MCX: 0.02, Exchange.CDS: -0.02}
"""How the tilt is where it is not that of stocks and indices, ``_SKEW``."""
_SKEW: Final = 0.08
_LIQUID: Final = {
    "NIFTY": 300_000, "BANKNIFTY": 60_000, "SENSEX": 150_000, "CRUDEOIL": 15_000,
    "CRUDEOILM": 20_000, "NATURALGAS": 15_000, "GOLDM": 6_000, "SILVERM": 6_000,
    "USDINR": 40_000,
}  # fmt: skip
"""Lots of the option at the money that change hands in a typical day of its nearest expiry."""
_USUAL: Final = 1_500
_SPREAD_SHARE: Final = 0.0015
"""The spread at the money of what is as liquid as NIFTY, as a share of the price."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The volatilities of one underlying's options, as fractions a year."""

    level: float
    skew: float

    @classmethod
    def of(cls, path: InstrumentKey, daily: float, seed: int) -> "Surface":
        """Of the path ``path``, whose log return has the standard deviation ``daily`` a day."""
        premium = generator(seed, str(path), "surface", 0).uniform(*_PREMIUM)
        return cls(level=daily * DAYS_A_YEAR**0.5 * premium, skew=_SKEWS.get(path.exchange, _SKEW))

    def flat(self, years: float) -> float:
        """Volatility times the root of the time, at the money."""
        terms = years / _TERM_YEARS
        return self.level * (1 + _TERM * (terms - 1) / (terms + 1)) * sqrt(years)

    def spread_of(self, forward: float, strike: float, years: float) -> float:
        """As ``spread``, of one forward and time."""
        flat = self.flat(years)
        tilt = tanh(log(strike / forward) / flat / 2)
        return flat * (1 - self.skew * tilt + _SMILE * tilt * tilt)

    def spread(self, forward: FloatArray, strike: float, years: FloatArray) -> FloatArray:
        """Volatility times the root of the time, of one strike; all ``years`` above 0."""
        terms = years / _TERM_YEARS
        flat = self.level * (1 + _TERM * (terms - 1) / (terms + 1)) * np.sqrt(years)
        tilt = np.tanh(np.log(strike / forward) / flat / 2)
        found: FloatArray = flat * (1 - self.skew * tilt + _SMILE * tilt * tilt)
        return found


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What happens in a contract: for one underlying on one exchange."""

    lots: float
    """That are traded in a day of its most liquid contract."""

    @classmethod
    def of(cls, exchange: Exchange, base: str, *, worth: float) -> "Activity":
        """``worth``: lots of the underlying itself that are traded in a day, 0 where unknown."""
        if exchange in {Exchange.NCO, Exchange.BCD}:
            return cls(lots=_USUAL / 10)
        usual = max(_USUAL / 3, 0.15 * worth) if worth else _USUAL
        return cls(lots=float(_LIQUID.get(base, usual)))

    @property
    def width(self) -> float:
        """How many times as wide as NIFTY's its books are."""
        return min(max(float((_LIQUID["NIFTY"] / self.lots) ** 0.25), 1.0), 6.0)

    def option_lots(self, kind: ContractKind, deviations: float, days: float) -> float:
        """Lots in a day, of an option so many standard deviations above the money."""
        return self.lots * _interest(kind, deviations) / (1 + days / 7)

    def future_lots(self, days: float) -> float:
        """Lots in a day, of a future with so many days left."""
        return self.lots * 0.4 * exp(-max(days, 0.0) / 25)

    def held(self, lots: float, days: float) -> float:
        """Open interest in lots, of what trades ``lots`` in a day and has so many days left."""
        return lots * 0.4 * (1 + min(days, 90.0) / 20)

    def spread_share(self, deviations: float) -> float:
        """The spread of an option as a share of its price."""
        return _SPREAD_SHARE * self.width * (1 + deviations * deviations)


def _interest(kind: ContractKind, deviations: float) -> float:
    """1 at the money; falls slowly out of it and quickly into it."""
    out = deviations if kind is ContractKind.CE else -deviations
    return exp(-out / 1.5) if out > 0 else exp(out / 0.5)


def deviations_of(forward: float, strike: float, spread: float) -> float:
    """How many standard deviations a strike is above the forward, at most 20 either way."""
    return min(max(log(strike / forward) / spread, -20.0), 20.0)
