"""Run tokens: minted at a launch, bound to a run, dead when the run has ended."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Protocol

from algohost.domain.ids import RunId
from algohost.domain.strategies import Strategy


class TokenIndex(Protocol):
    """Where a token is looked up when a request carries it."""

    def add_run_token(self, token_hash: str, strategy: Strategy, run_id: RunId) -> None:
        """From now on the token acts for the strategy's book."""

    def drop_run_token(self, run_id: RunId) -> None:
        """From now on the run's token is unknown."""


def mint() -> tuple[str, str]:
    """A new token of 256 random bits in hexadecimal, and the SHA-256 under which it is kept."""
    token = secrets.token_hex(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def restore(
    index: TokenIndex, hashes: Mapping[RunId, str], strategies: Mapping[RunId, Strategy]
) -> None:
    """Makes the tokens of runs that outlived the server valid again."""
    for run_id, token_hash in hashes.items():
        if run_id in strategies:
            index.add_run_token(token_hash, strategies[run_id], run_id)
