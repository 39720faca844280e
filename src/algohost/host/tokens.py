"""Run tokens: minted at a launch, bound to a run, dead when the run has ended."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Final, Protocol

from algohost.domain.ids import RunId
from algohost.domain.strategies import Strategy
from algohost.domain.users import Principal
from algohost.host.identity import Identity

_PREFIX: Final = "Zk"
"""Seldom printed, in hexadecimal neither (``5a6b``): a log is searched for tokens in less time."""


class TokenIndex(Protocol):
    """Where a token is looked up when a request carries it."""

    def add_run_token(self, token_hash: str, strategy: Strategy, run_id: RunId) -> None:
        """From now on the token acts for the strategy's book, and no earlier one of the run."""

    def drop_run_token(self, run_id: RunId) -> None:
        """From now on the run's token is unknown."""


class RunTokenIndex:
    """``TokenIndex`` over the identities: a run acts for its strategy's account, and so in its
    mode; neither can be changed while it runs."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def add_run_token(self, token_hash: str, strategy: Strategy, run_id: RunId) -> None:
        """From now on the token acts for the strategy's book."""
        owner = self._identity.user(strategy.owner_id)
        principal = Principal(
            user=owner,
            account_id=strategy.account,
            strategy_id=strategy.id,
            run_id=run_id,
        )
        self._identity.add_run_token(token_hash, principal)

    def restore(self, hashes: Mapping[RunId, str], live: Mapping[RunId, Strategy]) -> None:
        """Makes the tokens of runs that outlived the server valid again."""
        for run_id, token_hash in hashes.items():
            if run_id in live:
                self.add_run_token(token_hash, live[run_id], run_id)

    def drop_run_token(self, run_id: RunId) -> None:
        """From now on the run's token is unknown."""
        self._identity.drop_run_token(run_id)


def mint() -> tuple[str, str]:
    """A new token with 256 random bits in hexadecimal, and the hash under which it is kept."""
    token = _PREFIX + secrets.token_hex(32)
    return token, hash_of(token)


def hash_of(token: str) -> str:
    """The SHA-256 of a token, in lower-case hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()
