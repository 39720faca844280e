"""The kill switch: no new orders and no starts, of everything, of one account or one strategy.

Beyond holding back it can be asked to cancel, flatten and stop: see ``KillTask``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class KillScope(StrEnum):
    """What a switch covers."""

    HOST = "host"
    """Every strategy and every order of this server."""
    ACCOUNT = "account"
    STRATEGY = "strategy"


@dataclass(frozen=True, kw_only=True)
class KillTarget:
    """Which switch: its scope, and the id of the account or strategy; empty for the host."""

    scope: KillScope
    id: str = ""


WHOLE_HOST: Final = KillTarget(scope=KillScope.HOST)


@dataclass(frozen=True, kw_only=True)
class Engaged:
    """A switch that is engaged: by whom, when and why."""

    target: KillTarget
    by: str
    """The user's name."""
    at: datetime
    reason: str = ""


class KillStep(StrEnum):
    """What an engaged switch can be asked to do, in the order in which it is done."""

    CANCEL = "cancel"
    """Cancel open orders, GTT orders too."""
    FLATTEN = "flatten"
    """Close positions at the market; shares that are settled stay."""
    STOP = "stop"
    """Stop what runs, and what waits for its start."""


class KillState(StrEnum):
    """How far a task is."""

    WORKING = "working"
    PENDING = "pending"
    """Something is left that cannot be done now: it is tried again until it is."""
    DONE = "done"
    """Quiet: nothing is left of what was asked."""
    RELEASED = "released"
    """The switch was released before all was done."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more is done."""
        return self in {KillState.DONE, KillState.RELEASED}


@dataclass(frozen=True, kw_only=True)
class KillReport:
    """What a task has done, and what is left."""

    cancelled: int = 0
    """Orders, of both sorts."""
    closed: int = 0
    """Orders that were traded to close positions."""
    stopped: int = 0
    """Strategies that were asked to stop."""
    orders_left: int = 0
    positions_left: int = 0
    runs_left: int = 0
    troubles: tuple[str, ...] = ()
    """Why what is left is left, each a sentence."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is left."""
        return not (self.orders_left or self.positions_left or self.runs_left)


@dataclass(frozen=True, kw_only=True)
class KillTask:
    """What an engaged switch was asked to do; on disk before anything of it is done.

    Every step may be done again without harm, so a server that comes back begins anew with what
    is left. There is one task for a target, the newest.
    """

    target: KillTarget
    by: str
    at: datetime
    steps: tuple[KillStep, ...]
    state: KillState = KillState.WORKING
    report: KillReport = field(default_factory=KillReport)
    ended_at: datetime | None = None


def steps_of(asked: Iterable[KillStep]) -> tuple[KillStep, ...]:
    """The steps in their order. To flatten is to cancel first: what fills later opens anew."""
    wanted = set(asked)
    if KillStep.FLATTEN in wanted:
        wanted.add(KillStep.CANCEL)
    return tuple(step for step in KillStep if step in wanted)
