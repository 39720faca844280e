"""The gate of accounts: a live one must be logged in at its broker, and none disabled.

Whether a live account is logged in is its OpenAlgo server's to say: it is asked with the account's
key, and what it said counts for some seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from algohost.domain.accounts import Account
from algohost.domain.errors import Invalid, NotFound
from algohost.domain.ids import AccountId
from algohost.domain.ports import Clock
from algohost.domain.reach import Reach
from algohost.domain.strategies import Gate, GateAction, Mode, Strategy
from algohost.host.accounts import ACCOUNT_DISABLED, Accounts
from algohost.host.broker_sessions import BROKER_LOGGED_OUT

_GOOD_SECONDS: Final = 5.0
_NOT_SEEN: Final = "ACCOUNT_REMOVED"


class Standing(Protocol):
    """What a broker's server says of itself and of an account's key."""

    @property
    def broker(self) -> str:
        """The broker behind it."""

    @property
    def is_analyzing(self) -> bool:
        """Whether what it takes reaches no exchange."""

    @property
    def available(self) -> Decimal:
        """What a new order may use, in rupees."""


LookAtServer = Callable[[str, str, Reach], Awaitable[Standing]]
"""Asks the server at a base URL with a key, where it may be connected to.

Raises ``Invalid`` where it refuses the key, ``Unavailable`` where it does not answer.
"""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    gates: tuple[Gate, ...]
    until: float


class LiveGate:
    """``GateSource`` over the accounts of strategies. On the server's loop only."""

    def __init__(self, *, clock: Clock, accounts: Accounts, look: LookAtServer) -> None:
        self._clock = clock
        self._accounts = accounts
        self._look = look
        self._seen: dict[AccountId, _Seen] = {}

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``GateSource.closed``. Raises ``Unavailable`` where the server does not answer."""
        known = self.glance(strategy)
        if known is not None:
            return known
        account = self._accounts.find(strategy.account)
        try:
            await self.standing(account)
            gates: tuple[Gate, ...] = ()
        except Invalid as refused:
            sentence = (
                f"The account “{account.name}” is not logged in at its broker: {refused.message}"
                " It starts by itself then."
            )
            gates = (Gate(code=BROKER_LOGGED_OUT, sentence=sentence, action=GateAction.LOG_IN),)
        until = self._clock.monotonic() + _GOOD_SECONDS
        self._seen[account.id] = _Seen(gates=gates, until=until)
        return gates

    def glance(self, strategy: Strategy) -> tuple[Gate, ...] | None:
        """As ``Glancing.glance``: a paper account needs no look."""
        try:
            account = self._accounts.find(strategy.account)
        except NotFound:
            sentence = "Its account was removed; give it another one."
            return (Gate(code=_NOT_SEEN, sentence=sentence),)
        if account.disabled_at is not None:
            sentence = f"The account “{account.name}” is disabled; enable it on the page Accounts."
            return (Gate(code=ACCOUNT_DISABLED, sentence=sentence),)
        if strategy.mode is not Mode.LIVE:
            return ()
        seen = self._seen.get(account.id)
        return seen.gates if seen is not None and self._clock.monotonic() < seen.until else None

    async def standing(self, account: Account) -> Standing:
        """What a live account's server says now. Raises as ``LookAtServer``."""
        if account.mode is not Mode.LIVE:
            raise Invalid(f"“{account.name}” is a paper account: there is no server to ask.")
        key = await asyncio.to_thread(self._accounts.key_of, account.id)
        return await self._look(account.base_url, key, self._accounts.reach_of(account.id))

    def forget(self, account_id: AccountId) -> None:
        """The account was changed: what was said of it counts no more."""
        self._seen.pop(account_id, None)
