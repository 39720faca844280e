"""The heart of the reconciler: what to do next about one strategy, as a pure function."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from algohost.domain.ids import RunId
from algohost.domain.restarts import Again, Backoff, verdict
from algohost.domain.runs import Outcome, OutcomeKind, Run, RunState, lost
from algohost.domain.strategies import Gate, Strategy, Wanted, draft_gate


class Sighting(StrEnum):
    """What the agent says of a run."""

    UNKNOWN = "unknown"
    """The agent answers and has never heard of it."""
    ALIVE = "alive"
    STOPPING = "stopping"
    """Alive, and the agent's stop ladder is on its way."""
    UNSEEN = "unseen"
    """The agent does not answer: nothing may be concluded."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Commit a run row, then launch it."""

    attempt: int = 0
    """Which restart of its intent it is; 0 is the start that the intent asks for."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The row is there and the agent has no such run: launch it (idempotent by run id)."""

    run_id: RunId


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Ask the agent for the run's end."""

    run_id: RunId


@dataclass(frozen=True, kw_only=True)
class Conclude:
    """The agent knows nothing of the run and never will: write down how it ended."""

    run_id: RunId
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do now; ``gates`` says why where a start is held back."""

    gates: tuple[Gate, ...] = ()
    until: datetime | None = None
    """When a restart is due."""


Action = Start | Launch | Stop | Conclude | Wait


def decide(
    strategy: Strategy,
    latest: Run | None,
    sighting: Sighting,
    closed_gates: tuple[Gate, ...] = (),
    *,
    now: datetime,
    earlier: Sequence[Run] = (),
    backoff: Backoff = Backoff(),  # noqa: B008 - frozen
    boot_id: str | None = None,
) -> Action:
    """What brings reality one step nearer to the intent.

    ``latest`` is the newest run of the strategy, ``earlier`` those before it, newest first,
    ``sighting`` what the agent says of the latest, ``boot_id`` names the present boot.
    Level-triggered: it may be asked at any time, any number of times, after any crash.
    The intent is the only authority: a stop, whoever's, ends every restart policy.
    """
    if latest is not None and latest.is_live:
        return _of_live_run(strategy, latest, sighting, boot_id)
    if strategy.intent.wanted is Wanted.STOPPED:
        return Wait()
    attempt = 0
    if latest is not None and latest.intent_number >= strategy.intent.number:
        next_ = verdict(strategy.settings, latest, earlier)
        if not isinstance(next_, Again):
            return Wait()
        due_at = backoff.due_at(latest, next_.streak, now)
        if now < due_at:
            return Wait(until=due_at)
        attempt = latest.attempt + 1
    if sighting is Sighting.UNSEEN:
        return Wait(gates=(AGENT_AWAY,))
    if strategy.problem is not None:  # saved while it waited
        closed_gates = (*closed_gates, draft_gate(strategy.problem))
    return Wait(gates=closed_gates) if closed_gates else Start(attempt=attempt)


_NEVER_LAUNCHED = Outcome(
    kind=OutcomeKind.STOPPED, reason="The stop came before the process was launched."
)
AGENT_AWAY = Gate(code="AGENT_AWAY", sentence="The agent does not answer; it is being restarted.")


def _of_live_run(strategy: Strategy, run: Run, sighting: Sighting, boot_id: str | None) -> Action:
    unwanted = (
        strategy.intent.wanted is Wanted.STOPPED or run.intent_number != strategy.intent.number
    )
    match sighting:
        case Sighting.UNSEEN | Sighting.STOPPING:
            return Wait()
        case Sighting.UNKNOWN if run.process is not None:
            return Conclude(run_id=run.id, outcome=lost(run.process, boot_id=boot_id))
        case Sighting.UNKNOWN if run.state is RunState.STOPPING or unwanted:
            return Conclude(run_id=run.id, outcome=_NEVER_LAUNCHED)
        case Sighting.UNKNOWN:
            return Launch(run_id=run.id)
        case Sighting.ALIVE if unwanted or run.state is RunState.STOPPING:
            return Stop(run_id=run.id)
        case _:
            return Wait()
