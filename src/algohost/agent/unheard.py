"""Runs whose set-up is reported to nobody: this agent was not there, or had no room for it.

Each child writes what holds it to the journal before its first line, so that is looked at for
a while. What is not there then stays unknown, and is told as unknown.
"""

from typing import Final

from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.agent.table import Table
from algohost.runner.bounds import Enforced

_FIRST_LOOK_SECONDS: Final = 0.05
_LOOKS: Final = 6
"""Each after twice the time: three seconds in all."""
UNKNOWN: Final = Enforced(
    name="confinement",
    is_on=False,
    how="Not known: nobody has heard what the process was held to when it was set up.",
)


class Unheard:
    """Waits for the children's own words."""

    def __init__(self, table: Table, loop: Loop) -> None:
        self._table = table
        self._loop = loop
        self._waiting: dict[str, tuple[Run, int]] = {}
        self._is_looking = False

    def expect(self, run: Run) -> None:
        """From now on; ends in ``run.is_ready``."""
        self._waiting[run.run_id] = (run, 0)
        if not self._is_looking:
            self._is_looking = True
            self._loop.soon(self._look)

    def _look(self) -> None:
        self._table.read_ready(run for run, _ in self._waiting.values())
        still = {}
        for run_id, (run, looks) in self._waiting.items():
            if not run.is_settled and looks < _LOOKS:
                still[run_id] = (run, looks + 1)
                continue
            if not run.is_settled:
                run.is_ready, run.enforced = True, (UNKNOWN,)
            self._table.changed(run)
        self._waiting = still
        self._is_looking = bool(still)
        if still:
            fewest = min(looks for _, looks in still.values())
            self._loop.later(_FIRST_LOOK_SECONDS * 2 ** (fewest - 1), self._look)
