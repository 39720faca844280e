"""What the reconciler needs of whoever owns the processes."""

from collections.abc import Callable
from typing import Protocol

from algohost.domain.decide import Sighting
from algohost.domain.ids import RunId
from algohost.domain.runs import Run
from algohost.runner.messages import LaunchSpec, RunFact


class RunKeeper(Protocol):
    """Starts and stops runs, and says what became of them. ``AgentWatch`` is the real one.

    The acting methods raise ``AgentUnavailable`` while nobody answers.
    """

    @property
    def boot_id(self) -> str | None:
        """What names the present boot of the machine that runs them, where it is known."""

    def on_change(self, listener: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Whom to tell: ``listener`` of each run's new fact, ``connected`` of each new line."""

    def fact(self, run_id: RunId) -> RunFact | None:
        """The newest that is known of a run."""

    def facts(self) -> tuple[RunFact, ...]:
        """The newest of every run that is known."""

    def sighting(self, run: Run | None) -> Sighting:
        """What is known of a run, in one word."""

    async def start(self, spec: LaunchSpec) -> None:
        """Launches, once for each run id; the fact is known when this returns."""

    async def stop(self, run_id: RunId, *, grace_seconds: float, by: str) -> None:
        """Begins the stop ladder; asking twice changes nothing."""

    async def forget(self, run_ids: list[str]) -> None:
        """Lets go of runs whose end has been written down."""
