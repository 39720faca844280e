"""Wrong keys of one address are answered ever later; right ones are not slowed down.

All strategies of a host share one address, so an address is not shut out for the one among them
whose key is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_FREE: Final = 5
"""Wrong keys that are answered at once."""
_FIRST_SECONDS: Final = 0.25
_LONGEST_SECONDS: Final = 4.0
"""Less than the five seconds for which the openalgo client waits for its answer."""
_FORGET_AFTER_SECONDS: Final = 60.0
_MOST_ADDRESSES: Final = 1_000


@dataclass(slots=True)
class _Tally:
    count: int
    at: float


class Guesses:
    """Counts wrong keys by address, in memory."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tallies: dict[str, _Tally] = {}

    def wrong(self, peer: str) -> float:
        """Counts one more of ``peer``; for how many seconds its answer is to wait."""
        now = self._monotonic()
        tally = self._tallies.pop(peer, None)
        if tally is None or now - tally.at > _FORGET_AFTER_SECONDS:
            tally = _Tally(count=0, at=now)
        tally.count += 1
        tally.at = now
        self._tallies[peer] = tally  # at the end: the first ones are the longest untouched
        while len(self._tallies) > _MOST_ADDRESSES:
            del self._tallies[next(iter(self._tallies))]
        doublings = min(tally.count - _FREE - 1, 16)
        return 0.0 if doublings < 0 else min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0**doublings)
