"""Whether a run that ended is followed by another, and when: the restart policy, pure.

Everything is read off the rows of the intent's runs, so a server that was killed while it
waited goes on waiting for the same instant:

    ended ── policy says no, or somebody wanted the end ──▶ nothing follows
      │
      ├── its folder held too much ───────────────────────▶ ``FolderFull``, until somebody starts it
      ├── fewer than ``most_restarts`` in the window ─────▶ ``Again``, after a wait
      └── as many ────────────────────────────────────────▶ ``GivenUp``, until somebody starts it

The window ends with the last end and not with now: what was given up stays given up. The wait
is exponential with full jitter (Brooker, "Exponential Backoff and Jitter", 2015): a random
share of ``first × 2ⁿ``, so that strategies which fell together do not come back together.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from algohost.domain.ids import RunId
from algohost.domain.ports import Jitter
from algohost.domain.runs import Run
from algohost.domain.strategy_settings import Restart, StrategySettings

MOST_REMEMBERED: Final = 1000
"""Restarts of one intent that are looked at: ``most_restarts`` cannot be more."""

_MOST_DOUBLINGS: Final = 40


def share_of_run(run_id: RunId) -> float:
    """The jitter of a run: as random as its id, and the same whenever it is asked for."""
    digest = hashlib.blake2b(run_id.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long to wait before a restart."""

    first_seconds: float = 1.0
    """The longest wait before the first restart; it doubles with each further one."""
    cap_seconds: float = 300.0
    jitter: Jitter = field(default=share_of_run)

    def due_at(self, latest: Run, streak: int, now: datetime) -> datetime:
        """When the restart after ``latest``, the one after ``streak`` others, is due.

        Never further away than the cap: where the clock was set back by more, it is due now.
        """
        longest = min(self.cap_seconds, self.first_seconds * 2 ** min(streak, _MOST_DOUBLINGS))
        wait = timedelta(seconds=longest * self.jitter(latest.id))
        due_at = (latest.ended_at or now) + wait
        return due_at if due_at <= now + timedelta(seconds=self.cap_seconds) else now


@dataclass(frozen=True, kw_only=True)
class Again:
    """Another run follows."""

    attempt: int
    """Of how many restarts in the window it is the number, from 1."""
    most: int
    streak: int
    """Restarts without a stable run between them so far."""


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """None follows: there were too many in too short a time."""

    restarts: int
    minutes: int


@dataclass(frozen=True, kw_only=True)
class FolderFull:
    """None follows: what filled its folder is still there, and would end the next run at once."""


def verdict(
    settings: StrategySettings, latest: Run, earlier: Sequence[Run]
) -> Again | GivenUp | FolderFull | None:
    """What the policy says after ``latest``, whose intent still wants it running.

    ``earlier`` are runs before it, newest first. ``None``: it ended as it was wanted to, lives,
    or the policy is not to restart it.
    """
    if latest.ended_at is None or not latest.ended_by_itself or not _applies(settings, latest):
        return None
    if latest.filled_its_folder:
        return FolderFull()
    since = latest.ended_at - timedelta(minutes=settings.restart_window_minutes)
    in_a_row = _in_a_row(settings, latest, earlier)
    in_window = sum(run.created_at > since for run in in_a_row)
    if in_window >= settings.most_restarts:
        return GivenUp(restarts=in_window, minutes=settings.restart_window_minutes)
    return Again(attempt=in_window + 1, most=settings.most_restarts, streak=len(in_a_row))


def _applies(settings: StrategySettings, latest: Run) -> bool:
    match settings.restart:
        case Restart.NEVER:
            return False
        case Restart.ON_FAILURE:
            return latest.has_failed
        case Restart.ALWAYS:
            return True


def _in_a_row(settings: StrategySettings, latest: Run, earlier: Sequence[Run]) -> list[Run]:
    """The restarts of the intent since its last run that was stable."""
    restarts: list[Run] = []
    for run in (latest, *earlier):
        if run.intent_number != latest.intent_number or run.attempt == 0:
            break
        if run.lived_seconds >= settings.stable_minutes * 60:
            break
        restarts.append(run)
    return restarts
