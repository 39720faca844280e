"""How a price follows from another one: by the cost of carry, or as an option on it."""

from dataclasses import dataclass
from math import exp
from typing import Final, Protocol

import numpy as np

from algohost.domain.contract_symbols import ContractKind
from algohost.market import black76
from algohost.market.bars import DAY_SECONDS
from algohost.market.black76 import DAYS_A_YEAR
from algohost.market.noise import FloatArray
from algohost.market.spots import RATE
from algohost.market.surface import Surface, deviations_of

YEAR_SECONDS: Final = DAYS_A_YEAR * DAY_SECONDS


class Rule(Protocol):
    """How a price follows from the spot's; prices in parts of a rupee, times in epoch seconds."""

    def prices(self, spot: FloatArray, left: FloatArray) -> FloatArray:
        """The prices, not yet on the grid, with ``left`` seconds to the end."""

    def least(self, spot: FloatArray, left: FloatArray) -> FloatArray:
        """What they never fall below."""

    def price(self, spot: float, left: float) -> float:
        """One price, as ``prices`` has it: a single one is much cheaper without arrays."""

    def floor(self, spot: float, left: float) -> float:
        """As ``least``."""


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A future, by the cost of carry; with no carry the spot itself, so many units of it."""

    ratio: float
    carry: float

    def prices(self, spot: FloatArray, left: FloatArray) -> FloatArray:
        """``S·exp(c·T)``."""
        found: FloatArray = spot * self.ratio * np.exp(self.carry * left / YEAR_SECONDS)
        return found

    def least(self, spot: FloatArray, left: FloatArray) -> FloatArray:  # noqa: ARG002 - the port's
        """Nothing but the tick."""
        return np.zeros_like(spot)

    def price(self, spot: float, left: float) -> float:
        """As ``Rule.price``."""
        return spot * self.ratio * exp(self.carry * left / YEAR_SECONDS)

    def floor(self, spot: float, left: float) -> float:  # noqa: ARG002 - the port's
        """As ``Rule.floor``."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Option:
    """A European option by Black's formula on the forward at its expiry, or on a future."""

    kind: ContractKind
    strike: float
    """In parts of a rupee."""
    forward: Linear
    further: int
    """Seconds from the option's expiry to that of the future it is on; 0 for the forward."""
    surface: Surface

    def prices(self, spot: FloatArray, left: FloatArray) -> FloatArray:
        """Black's formula on the surface; what exercise gives, with no time left."""
        forward = self.forward.prices(spot, left + self.further)
        years = np.maximum(left, 1.0) / YEAR_SECONDS
        spread = self.surface.spread(forward, self.strike, years)
        value = black76.prices(self.kind, forward, self.strike, np.exp(-RATE * years), spread)
        found: FloatArray = np.where(left > 0, value, self._exercise(forward))
        return found

    def least(self, spot: FloatArray, left: FloatArray) -> FloatArray:
        """What exercise at expiry is worth now at the least."""
        forward = self.forward.prices(spot, left + self.further)
        found: FloatArray = self._exercise(forward) * np.exp(-RATE * left / YEAR_SECONDS)
        return found

    def _exercise(self, forward: FloatArray) -> FloatArray:
        found: FloatArray = np.maximum(self._sign * (forward - self.strike), 0.0)
        return found

    def price(self, spot: float, left: float) -> float:
        """As ``Rule.price``."""
        forward = self.forward.price(spot, left + self.further)
        if left <= 0:
            return max(self._sign * (forward - self.strike), 0.0)
        years = left / YEAR_SECONDS
        spread = self.surface.spread_of(forward, self.strike, years)
        return black76.value(self.kind, forward, self.strike, exp(-RATE * years), spread)

    def floor(self, spot: float, left: float) -> float:
        """As ``Rule.floor``."""
        forward = self.forward.price(spot, left + self.further)
        return max(self._sign * (forward - self.strike), 0.0) * exp(-RATE * left / YEAR_SECONDS)

    @property
    def _sign(self) -> int:
        return 1 if self.kind is ContractKind.CE else -1

    def deviations(self, spot: float, left: float) -> float:
        """How many standard deviations the strike is above the forward."""
        forward = self.forward.price(spot, left + self.further)
        return deviations_of(forward, self.strike, self.surface.flat(left / YEAR_SECONDS))
