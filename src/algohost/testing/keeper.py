"""A keeper of runs without processes: says what an agent would say, and fails when told to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from algohost.agent.client import AgentUnavailable
from algohost.domain.decide import Sighting
from algohost.domain.ids import RunId
from algohost.domain.runs import Run
from algohost.runner.messages import ExitFact, LaunchSpec, RunFact

_T0 = 1_795_405_500.0  # 2026-11-23 09:15 IST


class FakeKeeper:
    """``RunKeeper`` in memory. It outlives the host that talks to it, as the agent does."""

    def __init__(self) -> None:
        self.known: dict[str, RunFact] = {}
        self.boot_id = "fake"
        self.specs: dict[str, LaunchSpec] = {}
        self.launches: list[str] = []
        self.power_cuts = 0
        self.power_cuts_before: list[int] = []
        """How many there had been at each launch."""
        self.is_away = False
        self.refuses_with: str | None = None
        """Sentence with which the next launches fail, as a missing interpreter would."""
        self.loses_replies = False
        """Whether a launch happens and its reply is lost, as when the line breaks between."""
        self._listener: Callable[[str], None] = lambda _run_id: None
        self._connected: Callable[[], None] = lambda: None

    @property
    def is_connected(self) -> bool:
        """Whether it answers."""
        return not self.is_away

    def alive(self) -> list[str]:
        """Ids of the runs that have a process now."""
        return [fact.run_id for fact in self.known.values() if fact.state != "ended"]

    def exits(
        self,
        run_id: str,
        *,
        code: int | None = 0,
        signal: int | None = None,
        reason: str | None = None,
        at: datetime | None = None,
        limit: str | None = None,
    ) -> None:
        """The run's process ends by itself, by the stop that was asked, or by ``limit``."""
        fact = self.known[run_id]
        asked = fact.state == "stopping"
        by = "user:asha" if asked else None if limit is None else f"limit: {limit}"
        end = ExitFact(
            code=code,
            signal=signal,
            how="reaped",
            ended_at=_T0 + 60 if at is None else at.timestamp(),
            reason=reason,
            peak_memory_bytes=20_000_000,
            stop_step="signal" if by else None,
            stop_by=by,
        )
        self.known[run_id] = replace(fact, state="ended", exit=end)
        self._tell(run_id)

    def reboots(self, *, at: datetime | None = None) -> None:
        """The machine restarts: no process is left, and its journal tells which there were.

        ``at`` is when an agent is there again and sees that.
        """
        seen_at = _T0 + 60 if at is None else at.timestamp()
        for run_id, fact in self.known.items():
            if fact.state != "ended":
                end = ExitFact(code=None, signal=None, how="unknown", ended_at=seen_at)
                self.known[run_id] = replace(fact, state="ended", exit=end)
        self.boot_id += "'"
        self.returns()

    def loses_power(self) -> None:
        """As ``reboots``, and what was in the journal had not reached the disk."""
        self.power_cuts += 1
        self.known.clear()
        self.reboots()

    def returns(self) -> None:
        """Answers again, with its snapshot."""
        self.is_away = False
        self._connected()

    # ---- RunKeeper

    def on_change(self, listener: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Whom to tell."""
        self._listener, self._connected = listener, connected

    def fact(self, run_id: RunId) -> RunFact | None:
        """The newest that is known of a run."""
        return self.known.get(run_id)

    def facts(self) -> tuple[RunFact, ...]:
        """The newest of every run."""
        return tuple(self.known.values())

    def sighting(self, run: Run | None) -> Sighting:
        """As the agent's mirror says it."""
        if self.is_away:
            return Sighting.UNSEEN
        fact = self.known.get(run.id) if run else None
        if fact is None:
            return Sighting.UNKNOWN
        return Sighting.STOPPING if fact.state == "stopping" else Sighting.ALIVE

    async def start(self, spec: LaunchSpec) -> None:
        """Launches, once for each run id."""
        self._require_presence()
        if spec.run_id in self.known:
            return
        self.launches.append(spec.run_id)
        self.power_cuts_before.append(self.power_cuts)
        self.specs[spec.run_id] = spec
        pid = 1000 + len(self.launches)
        fact = RunFact(
            run_id=spec.run_id,
            state="running",
            pid=pid,
            start_ticks=pid,
            boot_id=self.boot_id,
            launched_at=_T0,
        )
        if self.refuses_with is not None:
            fact = replace(fact, state="ended", pid=None, start_ticks=None, error=self.refuses_with)
        self.known[spec.run_id] = fact
        if self.loses_replies:
            self.is_away = True
            raise AgentUnavailable("The line broke.")

    async def stop(self, run_id: RunId, *, grace_seconds: float, by: str) -> None:  # noqa: ARG002
        """Begins the stop ladder."""
        self._require_presence()
        fact = self.known[run_id]
        if fact.state == "running":
            self.known[run_id] = replace(fact, state="stopping")

    async def forget(self, run_ids: list[str]) -> None:
        """Lets go of ended runs."""
        for run_id in run_ids:
            self.known.pop(run_id, None)

    def _require_presence(self) -> None:
        if self.is_away:
            raise AgentUnavailable("The agent does not answer.")

    def _tell(self, run_id: str) -> None:
        if not self.is_away:
            self._listener(run_id)
