"""Identities over a real database, with a clock that stands still and cheap password hashes."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher

from algohost.domain.users import User
from algohost.host.identity import Identity, Session
from algohost.store.database import open_database
from algohost.testing.clock import FakeClock

T = TypeVar("T")

PASSWORD = "a boat on the river"


def cheap_hasher() -> PasswordHasher:
    """Argon2 as weak as it gets: hundreds of logins in a second."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class World:
    """One server's identities; ``restart`` makes them anew on the same database."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self.clock = FakeClock()
        self.database = open_database(folder / "algohost.db")
        self.identity = Identity(self.database, self.clock, hasher=cheap_hasher())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns, on this world's loop."""
        return self._runner.run(work)

    def restart(self) -> None:
        """Forgets everything that is not in the database."""
        self.run(self.identity.close())
        self.identity = Identity(self.database, self.clock, hasher=cheap_hasher())

    def user(self, name: str = "asha", *, is_admin: bool = False) -> User:
        """A new user with ``PASSWORD``."""
        return self.run(self.identity.create_user(name, PASSWORD, is_admin=is_admin))

    def log_in(self, name: str = "asha", password: str = PASSWORD, peer: str = "10.0.0.1") -> str:
        """The cookie of a new session."""
        return self.run(self.identity.log_in(name, password, peer))[1]

    def session(self, secret: str) -> Session | None:
        """What the server finds when a request brings that cookie."""

        async def look() -> Session | None:
            return self.identity.session(secret)

        return self.run(look())

    def close(self) -> None:
        """Lets the database go."""
        self.run(self.identity.close())
        self.database.close()
        self._runner.close()
