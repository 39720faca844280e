"""Whose packages may be used: an administrator's own, and for others what one has allowed.

What a package leaves for the start of Python runs in an environment's warm process, as the
server's user and before anything confines it. So who names packages could read everybody's
data. What is allowed is exactly one resolved set, of one Python: any other asks anew.
"""

import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from algohost.domain.errors import Conflict, Forbidden
from algohost.domain.ports import Clock
from algohost.domain.strategies import Strategy
from algohost.domain.users import User
from algohost.host.environment_folders import packages_of
from algohost.store import audit
from algohost.store import environments as stored
from algohost.store import users as stored_users
from algohost.store.database import Database
from algohost.store.environments import Allowed, Resolved

log = logging.getLogger(__name__)

_CHANGED: Final = "The packages have changed since you looked; look at them and allow them anew."


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A set of packages that was resolved and is not made, because nobody has allowed it."""

    key: str
    """Of the environment that it would be."""
    python: str
    packages: tuple[tuple[str, str], ...]
    """Names and versions, sorted."""
    wanted_by: tuple[str, ...] = ()
    """Names of the strategies that wait for it, in a list of all."""


class Allowances:
    """What administrators have allowed, and of whom nothing is asked."""

    def __init__(self, clock: Clock, database: Database) -> None:
        self._clock = clock
        self._database = database
        self._allowed = dict(database.read(stored.all_allowed))

    def of(self, key: str | None) -> Allowed | None:
        """Who allowed the environment and when; ``None`` where nobody did."""
        return None if key is None else self._allowed.get(key)

    def is_trusted(self, strategy: Strategy) -> bool:
        """Whether the strategy is an administrator's, who may use any packages."""
        return self._database.read(lambda c: stored_users.is_admin(c, strategy.owner_id))

    def may_use(self, strategy: Strategy, key: str) -> bool:
        """Whether the strategy's environment of that key may be made and used."""
        return key in self._allowed or self.is_trusted(strategy)

    async def allow(self, by: User, known: Resolved | None, *, key: str) -> None:
        """Allows the packages of ``known``, which must have ``key``: what ``by`` has seen.

        Raises ``Forbidden`` for who is no administrator, and ``Conflict`` where the packages
        are others by now.
        """
        if not by.is_admin:
            raise Forbidden(
                "Only an administrator may allow packages: they run with the rights of this"
                " server. Ask one.",
                code="ADMIN_ONLY",
            )
        if known is None or known.key != key or known.python is None or known.lock is None:
            raise Conflict(_CHANGED, code="PACKAGES_CHANGED")
        if key in self._allowed:
            return
        allowed = Allowed(
            key=key,
            python=known.python,
            lock=known.lock,
            allowed_at=self._clock.now(),
            allowed_by=by.name,
        )

        def write(connection: Connection) -> None:
            stored.allow(connection, allowed)
            audit.note(
                connection, "packages_allowed", at=allowed.allowed_at, by=f"user:{by.name}",
                subject=key,
            )  # fmt: skip

        await self._database.write(write)
        self._allowed[key] = allowed
        log.info("packages_allowed key=%s by=%r", key[:12], by.name)


def proposed(known: Resolved, wanted_by: tuple[str, ...] = ()) -> Proposed:
    """What a resolved set would be, as people see it."""
    return Proposed(
        key=known.key or "",
        python=known.python or "",
        packages=packages_of(known.lock or ""),
        wanted_by=wanted_by,
    )
