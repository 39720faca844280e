"""Passwords: what one must be, and their Argon2id hashes."""

import asyncio
import base64
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from algohost.domain.errors import Invalid

SHORTEST_PASSWORD: Final = 10
LONGEST_PASSWORD: Final = 1_024
_CHECKS_AT_ONCE: Final = 2  # each takes 64 MiB while it runs


class Passwords:
    """Hashes and checks them, beside the server's loop."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self.nobodys = _hash_of_nothing(hasher)
        """A hash that no password has and that costs as much to check as a real one."""

    async def hash(self, password: str) -> str:
        """The hash to keep of a password."""
        async with self._checks:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str, password: str) -> bool:
        """Whether the hash is that of this password."""

        def check() -> bool:
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

        async with self._checks:
            return await asyncio.to_thread(check)


def check_password(password: str, name: str) -> None:
    """Raises ``Invalid`` for a password that the user ``name`` may not have."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(
            f"The password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters;"
            " a few words make a good one.",
            code="BAD_PASSWORD",
        )
    if password.lower() == name.lower():
        raise Invalid("The password is the name; choose another.", code="BAD_PASSWORD")


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    def random(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${random(hasher.salt_len)}${random(hasher.hash_len)}"
