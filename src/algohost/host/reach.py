"""How far a user may let a strategy reach: into which files, and into how much of the machine.

Confinement is what keeps the users of one server apart, for all runs are of one Unix user: who
could switch it off could read everybody's strategies. Limits keep them apart in the same way:
who could lift them could take the machine from everybody.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from algohost.domain.errors import Forbidden, Invalid
from algohost.domain.strategy_settings import StrategySettings

_LIMITS: Final = {
    "memory_mb": ("The memory limit", " MB"),
    "threads": ("The limit of threads", ""),
    "open_files": ("The limit of open files", ""),
    "disk_mb": ("The disk quota", " MB"),
    "log_mb": ("The size of a log", " MB"),
}


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """How much a user who is no administrator may let a strategy have; 0 is as much as wanted."""

    memory_mb: int
    threads: int
    open_files: int
    disk_mb: int
    log_mb: int

    def of_a_new_strategy(self) -> StrategySettings:
        """The defaults, and less where less is allowed."""
        default = StrategySettings()
        return default.with_changes(
            {
                one.name: min(getattr(default, one.name), _width(getattr(self, one.name)))
                for one in fields(self)
            }
        )


def refuse_own_folders(readable: Sequence[str], data: Path) -> None:
    """Raises ``Invalid`` for a path that is, holds or lies in the data directory ``data``.

    As the paths lead at this moment, so it is asked again at each start.
    """
    own = data.resolve()
    for path in readable:
        there = Path(os.path.realpath(path))  # which a circle of links does not disturb
        if there == own or there in own.parents or own in there.parents:
            raise Invalid(
                f"“{path[:80]}” cannot be a readable folder: it leads to the data of this server,"
                " where everybody's strategies and keys are. Name a folder elsewhere.",
                code="BAD_SETTING",
                details={"field": "readable"},
            )


def refuse_wider_reach(before: StrategySettings, after: StrategySettings) -> None:
    """Raises ``Forbidden`` where ``after`` lets a run read more files than ``before``."""
    if before.is_confined and not after.is_confined:
        raise _admin_only("is_confined", "switch the confinement of a strategy off")
    if not set(after.readable) <= set(before.readable):
        raise _admin_only("readable", "let a strategy read further folders")


def refuse_wider_limits(
    before: StrategySettings, after: StrategySettings, ceilings: Ceilings
) -> None:
    """Raises ``Forbidden`` where ``after`` has a limit over its ceiling, or none, for 0.

    What an administrator has set higher than that may be kept, and lowered.
    """
    for name, (words, unit) in _LIMITS.items():
        wanted, most = getattr(after, name), getattr(ceilings, name)
        if _width(wanted) <= max(_width(most), _width(getattr(before, name))):
            continue
        said = f"{wanted}{unit} is more" if wanted else "0, which is no limit, is more"
        raise Forbidden(
            f"{words} can be set to {most}{unit} at most; {said}. Choose less, or ask an"
            " administrator.",
            code="ADMIN_ONLY",
            details={"field": name, "most": most},
        )


def _width(limit: int) -> float:
    return limit or math.inf


def _admin_only(field: str, what: str) -> Forbidden:
    return Forbidden(
        f"Only an administrator may {what}; ask one.", code="ADMIN_ONLY", details={"field": field}
    )
