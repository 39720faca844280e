"""What people do with the variables and secrets of their strategies.

A secret is write-only here: it goes in, and comes out in ``launch_values`` alone. What is changed
while a strategy runs applies from its next start on.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from algohost.domain.ids import StrategyId
from algohost.domain.ports import Clock
from algohost.domain.users import User
from algohost.domain.variables import Variable, check_name, check_secret, check_value
from algohost.host.strategies import StrategyService
from algohost.store import audit, sealed
from algohost.store import variables as stored
from algohost.store.database import Database
from algohost.store.vault import Vault

log = logging.getLogger(__name__)


async def rotate_keys(database: Database, vault: Vault, *, at: datetime) -> int:
    """``Vault.rotate`` over a database, now; returns how many values were sealed anew.

    Raises ``VaultProblem`` where a key or a secret cannot be read; nothing is dropped then.
    """

    def reseal(connection: Connection) -> int:
        count = sealed.reseal(connection, vault)
        audit.note(connection, "keys_rotated", at=at, by="console", resealed=count)
        return count

    def renew() -> int:
        return database.write_now(reseal)

    return await asyncio.to_thread(vault.rotate, renew)


class VariableService:
    """The commands of users, each checked for its owner by ``StrategyService.get``."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        vault: Vault,
        strategies: StrategyService,
        before_change: Callable[[StrategyId], None] = lambda _id: None,
    ) -> None:
        """``before_change`` is called in a thread before a secret is changed or removed."""
        self._clock = clock
        self._before_change = before_change
        self._database = database
        self._vault = vault
        self._strategies = strategies
        self._rotating = asyncio.Lock()

    def trouble(self) -> str | None:
        """Why secrets can be neither read nor written now, in a sentence. Reads the disk."""
        problem = self._vault.problem()
        return None if problem is None else problem.message

    def list(self, user: User, strategy_id: str) -> Sequence[Variable]:
        """Variables with their values and secrets without, by name."""
        known = self._strategies.get(user, strategy_id).strategy.id
        return self._database.read(lambda c: stored.of_strategy(c, known))

    async def set_plain(self, user: User, strategy_id: str, values: Mapping[str, str]) -> None:
        """Keeps variables from the next start on: all of them, or none.

        Raises ``Invalid``, ``Conflict``.
        """
        known = self._strategies.get(user, strategy_id).strategy.id
        now = self._clock.now()
        made = [
            Variable(name=check_name(name), value=check_value(value), changed_at=now)
            for name, value in values.items()
        ]

        def put_all(connection: Connection) -> None:
            for one in made:
                stored.put(connection, known, one)
            _note(connection, "variables_set", at=now, user=user, of=known, names=values)

        await self._database.write(put_all)

    async def set_secret(self, user: User, strategy_id: str, name: str, value: str) -> None:
        """Keeps a secret from the next start on.

        Raises ``Invalid``, ``Conflict``, and ``VaultProblem`` where nothing can be sealed.
        """
        known = self._strategies.get(user, strategy_id).strategy.id
        check_name(name)
        check_secret(value)
        await asyncio.to_thread(self._vault.prepare)
        await asyncio.to_thread(self._before_change, known)
        made = Variable(name=name, value=None, changed_at=self._clock.now())

        def seal_and_put(connection: Connection) -> None:
            # sealed by the thread that writes, so before or after a rotation, never across one
            stored.put(connection, known, made, sealed=self._vault.seal(known, name, value))
            at = self._clock.now()
            _note(connection, "secret_set", at=at, user=user, of=known, names=[name])

        await self._database.write(seal_and_put)
        log.info("secret_set strategy=%s name=%s", known, name)

    async def remove_plain(self, user: User, strategy_id: str, names: Sequence[str]) -> None:
        """Forgets variables: all of them, or none. Raises ``NotFound``."""
        await self._remove(user, strategy_id, names, is_secret=False)

    async def remove_secrets(self, user: User, strategy_id: str, names: Sequence[str]) -> None:
        """Forgets secrets: all of them, or none; needs no key. Raises ``NotFound``."""
        await self._remove(user, strategy_id, names, is_secret=True)

    async def rotate_keys(self) -> int:
        """A new key for every secret of every strategy; returns how many were sealed anew."""
        async with self._rotating:
            return await rotate_keys(self._database, self._vault, at=self._clock.now())

    async def _remove(
        self, user: User, strategy_id: str, names: Sequence[str], *, is_secret: bool
    ) -> None:
        known = self._strategies.get(user, strategy_id).strategy.id
        if is_secret:
            await asyncio.to_thread(self._before_change, known)

        def remove_all(connection: Connection) -> None:
            for name in names:
                stored.remove(connection, known, name, is_secret=is_secret)
            act, at = "secrets_removed" if is_secret else "variables_removed", self._clock.now()
            _note(connection, act, at=at, user=user, of=known, names=names)

        await self._database.write(remove_all)


def _note(
    connection: Connection,
    act: str,
    *,
    at: datetime,
    user: User,
    of: StrategyId,
    names: Iterable[str],
) -> None:
    """Says in the audit which names were touched: what they hold is nobody's business there."""
    text = " ".join(sorted(names))
    audit.note(connection, act, at=at, by=f"user:{user.name}", subject=of, names=text[:1000])
