"""Who may decide on an account now: one at a time, in the order in which they came."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from algohost.broker.durable import DurableState
from algohost.domain.errors import AlgohostError
from algohost.domain.ports import Intent, Overtaken
from algohost.exchange.account import AccountState

T = TypeVar("T")

Decision = Callable[[AccountState], AccountState]
"""Makes a draft of a state to which all was applied that comes of a command, or raises."""


class Turns:
    """Turns at the state of one account."""

    def __init__(self, durable: DurableState, *, before: Callable[[], Awaitable[None]]) -> None:
        """``before`` is done at the beginning of each turn."""
        self._durable = durable
        self._before = before
        self._lock = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether somebody decides, or what was decided is on its way to the disk."""
        return self._lock.locked() or self._durable.is_busy

    async def take(self) -> None:
        """A turn in which nothing is done but what comes before each."""
        async with self._lock:
            await self._before()

    async def do(
        self,
        decision: Decision,
        intent: Intent | None = None,
        allowed: Callable[[], None] | None = None,
    ) -> None:
        """Decides a command on all that was decided before; returns when it is durable.

        The next is decided meanwhile. Where something before it was not kept, it is decided
        again. Raises what ``decision`` and ``DurableState.commit`` raise.
        """
        while True:
            async with self._lock:
                await self._before()
                await self._durable.catch_up()
                draft = await self._decided(decision)
            with suppress(Overtaken):
                return await self._durable.commit(draft.happened, intent, allowed, draft=draft)

    async def in_turn(self, turn: Coroutine[Any, Any, T]) -> T:
        """Runs a command alone and to its end, even when the one who asked has gone."""
        return await asyncio.shield(asyncio.ensure_future(self._alone(turn)))

    async def _alone(self, turn: Coroutine[Any, Any, T]) -> T:
        try:
            async with self._lock:
                await self._before()
                await self._durable.settled()
                return await turn
        finally:
            turn.close()

    async def _decided(self, decision: Decision) -> AccountState:
        try:
            return decision(self._durable.newest)
        except AlgohostError:
            if not self._durable.is_busy:
                raise
        await self._durable.settled()  # nobody is told of what may yet not be kept
        return decision(self._durable.newest)
