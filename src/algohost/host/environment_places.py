"""Changes environments on disk: never one that a live run was started from.

Making one takes minutes, and a run may begin within them. So it is asked again just before the
folder is replaced or removed, and no run begins in that moment.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from algohost.domain.ids import RunId
from algohost.host import bundles
from algohost.host.environment_folders import EnvironmentFolders

log = logging.getLogger(__name__)


class Places:
    """Environments by key; each is used, replaced and removed by one at a time."""

    def __init__(self, folders: EnvironmentFolders, live: Callable[[], Collection[str]]) -> None:
        """``live`` are the runs that live, asked on the loop."""
        self._folders = folders
        self._live = live
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def use(self, key: str, run_id: RunId) -> str | None:
        """Notes that a run uses it, and returns its Python; ``None`` where it is not whole.

        Raises ``OSError``.
        """
        async with self._locks[key]:
            if not await asyncio.to_thread(self._folders.mark_used, key, run_id):
                return None
        return str(self._folders.interpreter(key))

    async def is_in_use(self, key: str) -> bool:
        """Whether a live run was started from it."""
        return await asyncio.to_thread(self._folders.is_in_use, key, self._live())

    async def put(self, made: Path, key: str, *, python: str, lock: str, at: datetime) -> bool:
        """Puts a new one in its place, unless a live run was started from the one that is there."""
        await asyncio.to_thread(self._folders.finish, made, key, python=python, lock=lock, at=at)
        async with self._locks[key]:
            if await self.is_in_use(key):
                return False
            old = await asyncio.to_thread(self._folders.swap, made, key)
        await self._clear(old)
        return True

    async def remove_unused(self, key: str, *, since: datetime) -> bool:
        """Removes it if no live run uses it and none has begun after ``since``."""
        async with self._locks[key]:
            used_at = await asyncio.to_thread(self._folders.used_at, key)
            if used_at > since or await self.is_in_use(key):
                return False
            old = await asyncio.to_thread(self._folders.take_aside, key)
        await self._clear(old)
        return True

    async def _clear(self, old: Path | None) -> None:
        if old is not None:
            await asyncio.to_thread(remove_quietly, old)


def remove_quietly(place: Path) -> None:
    """Takes a folder away that nobody needs; where that fails, the next start tries again."""
    try:
        bundles.remove(place)
    except OSError as error:
        log.warning("leftover_not_removed path=%s reason=%s", place, error)
