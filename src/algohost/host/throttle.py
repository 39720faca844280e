"""Slows down who guesses passwords: a growing delay per account and per address.

An attempt is counted before it is checked, so that a hundred at once are a hundred. A right
password clears the account and takes back the one attempt of the address; it does not clear the
address, or somebody with one account could guess at others without end.
"""

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from algohost.domain.errors import TooMany


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How many attempts are free, and how long the delay may become."""

    free: int
    longest_seconds: float

    def delay_seconds(self, attempts: int) -> float:
        """How long after the latest of ``attempts`` the next may come: 1, 2, 4, … seconds."""
        if attempts < self.free:
            return 0.0
        return min(self.longest_seconds, 2.0 ** min(attempts - self.free, 32))


ACCOUNT: Final = Patience(free=5, longest_seconds=60)
PEER: Final = Patience(free=20, longest_seconds=300)
_FORGET_AFTER_SECONDS: Final = 3_600.0
_MOST_TALLIES: Final = 20_000


@dataclass(slots=True)
class _Tally:
    attempts: int
    at: float


class Throttle:
    """Counts attempts, in memory; a restart forgives everybody."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        account: Patience = ACCOUNT,
        peer: Patience = PEER,
    ) -> None:
        self._monotonic = monotonic
        self._patience = {"account": account, "peer": peer}
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def admit(self, account: str, peer: str) -> None:
        """Counts an attempt that may be made now; raises ``TooMany`` for one that may not.

        ``account`` is whatever name was typed, known or not. ``peer`` is an address; all of an
        IPv6 network of 64 bits are one.
        """
        now = self._monotonic()
        keys = _keys(account, peer)
        wait = max(self._wait_seconds(key, now) for key in keys)
        if wait > 0:
            seconds = math.ceil(wait)
            raise TooMany(
                f"Too many attempts; try again in {seconds} s.",
                code="TOO_MANY_ATTEMPTS",
                details={"retry_after_seconds": seconds},
            )
        for key in keys:
            tally = self._tallies.pop(key, None) or _Tally(attempts=0, at=now)
            tally.attempts += 1
            tally.at = now
            self._tallies[key] = tally  # at the end: the first ones are the longest untouched
        while len(self._tallies) > _MOST_TALLIES:
            del self._tallies[next(iter(self._tallies))]

    def succeeded(self, account: str, peer: str) -> None:
        """Takes back what a right password need not answer for."""
        of_account, of_peer = _keys(account, peer)
        self._tallies.pop(of_account, None)
        tally = self._tallies.get(of_peer)
        if tally is not None:
            tally.attempts = max(0, tally.attempts - 1)

    def _wait_seconds(self, key: tuple[str, str], now: float) -> float:
        tally = self._tallies.get(key)
        if tally is None:
            return 0.0
        if now - tally.at > _FORGET_AFTER_SECONDS:
            del self._tallies[key]
            return 0.0
        return tally.at + self._patience[key[0]].delay_seconds(tally.attempts) - now


def _keys(account: str, peer: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("account", account.lower()[:64]), ("peer", _network(peer))


def _network(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:64]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
