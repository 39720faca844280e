"""How one environment is made: resolved, looked at for whether it is allowed, installed."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from algohost.domain.ids import StrategyId
from algohost.domain.ports import Clock
from algohost.host.environment_allowing import Allowances
from algohost.host.environment_folders import EnvironmentFolders
from algohost.host.environment_places import Places, remove_quietly
from algohost.host.requirements import Requirements
from algohost.host.uv import Uv, UvFailed
from algohost.store.environments import Resolved

log = logging.getLogger(__name__)

_DAMAGED: Final = (
    "The environment is damaged and a live run was started from it, so it is not replaced. Stop"
    " what runs, and make it again."
)


@dataclass(eq=False)
class Making:
    """One that is on its way."""

    is_trusted: bool
    """Whether it was begun for an administrator; otherwise only what is allowed is made."""
    task: asyncio.Task[None] | None = None
    line: str = ""
    strategies: set[StrategyId] = field(default_factory=set)
    is_told: bool = False
    """Whether a telling of the newest line is on its way."""


class Maker:
    """Has uv make environments, each of them once however many ask for it."""

    def __init__(
        self,
        *,
        clock: Clock,
        folders: EnvironmentFolders,
        places: Places,
        allowances: Allowances,
        may_build: bool,
        say: Callable[[Making, str], None],
    ) -> None:
        self._clock = clock
        self._folders = folders
        self._on_disk = places
        self._allowances = allowances
        self._may_build = may_build
        self._say = say
        self._keys: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def is_at(self, key: str) -> bool:
        """Whether the environment is being made."""
        return self._keys[key].locked()

    async def make(
        self, asked: Requirements, known: Resolved | None, making: Making, *, is_anew: bool
    ) -> Resolved:
        """What came of it; a failure is a result too.

        ``known`` is what is to be made again just as it was; ``is_anew`` makes it although it is
        there.
        """
        now = self._clock.now()
        try:
            return await self._install(asked, known, making, is_anew=is_anew)
        except UvFailed as error:
            why = error.message
        except OSError as error:
            why = f"{error.strerror or error}: look at the disk and make the environment again."
        except Exception:
            log.exception("environment_failed wanted=%s", asked.id[:12])
            why = "Something went wrong inside the server; see its log."
        log.warning("environment_not_made wanted=%s reason=%r", asked.id[:12], why[:300])
        return Resolved(wanted=asked.id, error=why, at=now)

    async def _install(
        self, asked: Requirements, known: Resolved | None, making: Making, *, is_anew: bool
    ) -> Resolved:
        place = await asyncio.to_thread(self._folders.begin)
        try:
            uv = self._uv(place, making, may_build=self._may_build and making.is_trusted)
            python = await uv.python(asked.bounded_python)
            if known is not None and known.lock and known.python == python.version:
                lock = known.lock  # the folder was lost: the very same is made again
            else:
                lock = await uv.resolve(asked.lines, python)
            key = hashlib.sha256(f"{python.version}\n{lock}".encode()).hexdigest()
            found = Resolved(
                wanted=asked.id, key=key, python=python.version, lock=lock, at=self._clock.now()
            )
            if not making.is_trusted and self._allowances.of(key) is None:
                log.info("environment_waits_to_be_allowed key=%s", key[:12])
                return found
            uv = self._uv(place, making, may_build=self._may_build)
            async with self._keys[key]:
                is_whole = await asyncio.to_thread(self._folders.look, key) is not None
                is_in_use = await self._on_disk.is_in_use(key)
                if not is_whole and is_in_use:
                    raise UvFailed(_DAMAGED)
                if not is_whole or (is_anew and not is_in_use):
                    made, at = place / "environment", self._clock.now()
                    await uv.install(lock, python, made)
                    await self._on_disk.put(made, key, python=python.version, lock=lock, at=at)
            log.info("environment_made wanted=%s key=%s", asked.id[:12], key[:12])
            return replace(found, at=self._clock.now())
        finally:
            await asyncio.to_thread(remove_quietly, place)

    def _uv(self, place: Path, making: Making, *, may_build: bool) -> Uv:
        return Uv(place, may_build=may_build, say=lambda line: self._say(making, line))
