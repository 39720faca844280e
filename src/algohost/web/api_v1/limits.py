"""How often one key may call: a token bucket per key and kind of call.

A bucket holds as many tokens as its rate per second, starts full, and is refilled by the
clock; a call takes one token or is refused with the time until the next one. A bucket that
has filled up again is the same as no bucket, so those are what is thrown away when many
keys have been seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from algohost.settings import Settings


class Kind(StrEnum):
    """What a call is counted as; each kind has buckets of its own."""

    API = "API"
    ORDERS = "order"
    SMART_ORDERS = "smart order"


def rates_of(settings: "Settings") -> dict[Kind, float]:
    """Calls per second and key, as they are set; the defaults are OpenAlgo's."""
    return {
        Kind.API: settings.api_calls_per_second,
        Kind.ORDERS: settings.orders_per_second,
        Kind.SMART_ORDERS: settings.smart_orders_per_second,
    }


_MOST_BUCKETS: Final = 4_096


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    """Decides whether a call may be made now. A rate of 0 switches its limit off."""

    def __init__(self, monotonic: Callable[[], float], rates: Mapping[Kind, float]) -> None:
        self._monotonic = monotonic
        self._rates = {kind: float(rates.get(kind, 0)) for kind in Kind}
        self._buckets: dict[tuple[Kind, str], _Bucket] = {}

    def rate(self, kind: Kind) -> float:
        """Calls per second that one key may make of that kind; 0 when there is no limit."""
        return self._rates[kind]

    def take(self, kind: Kind, holder: str) -> float:
        """Takes one token of ``holder``: 0.0 if there was one, else the seconds until the next."""
        rate = self._rates[kind]
        if rate <= 0:
            return 0.0
        now = self._monotonic()
        most = max(rate, 1.0)
        bucket = self._buckets.get((kind, holder))
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._forget_full_ones(now)
            bucket = self._buckets[kind, holder] = _Bucket(tokens=most, at=now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / rate
        bucket.tokens -= 1.0
        return 0.0

    def _forget_full_ones(self, now: float) -> None:
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if bucket.tokens + (now - bucket.at) * self._rates[key[0]]
            < max(self._rates[key[0]], 1.0)
        }
