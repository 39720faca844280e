"""“Check & start”: looks at all gates of what waits, now, and starts what nothing holds back."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from algohost.agent.client import AgentError
from algohost.domain.errors import AlgohostError
from algohost.domain.strategies import Phase
from algohost.domain.users import User
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry
from algohost.host.views import StrategyView

log = logging.getLogger(__name__)

_WAITING: Final = frozenset({Phase.WAITING, Phase.PENDING})
_AT_ONCE: Final = 32


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a look at all gates has found."""

    started: Sequence[StrategyView]
    """Those that waited and are on their way now."""
    waiting: Sequence[StrategyView]
    """Those that wait on; their ``gates`` say for what."""

    @property
    def sentence(self) -> str:
        """What a person should read."""
        if not self.started and not self.waiting:
            return "Nothing waits."
        parts = []
        if self.started:
            parts.append(f"{_count(len(self.started))} started.")
        if self.waiting:
            parts.append(f"{_count(len(self.waiting))} still waiting: {_why(self.waiting)}")
        return " ".join(parts)


class Checking:
    """Takes a step of each strategy that waits, many at a time."""

    def __init__(self, *, registry: Registry, reconciler: Reconciler) -> None:
        self._registry = registry
        self._reconciler = reconciler

    async def check_and_start(self, user: User) -> Checked:
        """Looks at whatever of the user's waits; an administrator's look is at everybody's.

        A start that this begins is on disk when it returns. Each start happens once, whoever
        else looks at the same time.
        """
        waiting = [
            view
            for view in self._registry
            if (user.is_admin or view.strategy.owner_id == user.id) and view.phase in _WAITING
        ]
        places = asyncio.Semaphore(_AT_ONCE)

        async def look(view: StrategyView) -> None:
            async with places, self._registry.lock(view.strategy.id):
                try:
                    await self._reconciler.step(view.strategy.id)
                except (AlgohostError, AgentError, OSError) as error:
                    log.warning("check_failed strategy=%s reason=%s", view.strategy.id, error)
            self._reconciler.look_at(view.strategy.id)  # goes on from there, or tries again

        await asyncio.gather(*(look(view) for view in waiting))
        found = [self._registry.find(view.strategy.id) for view in waiting]
        after = [view for view in found if view is not None]
        return Checked(
            started=[view for view in after if view.latest is not None and view.latest.is_live],
            waiting=[view for view in after if view.phase in _WAITING],
        )


def _count(number: int) -> str:
    return f"{number} {'strategy' if number == 1 else 'strategies'}"


def _why(waiting: Sequence[StrategyView]) -> str:
    sentences = dict.fromkeys(view.sentence for view in waiting if view.sentence)
    return next(iter(sentences), "the next look will say why.")
