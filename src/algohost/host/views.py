"""A strategy as it stands, in one object, with the sentence that a person reads first."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from algohost.domain.ids import IST
from algohost.domain.runs import Outcome, OutcomeKind, Run
from algohost.domain.strategies import Gate, Phase, Strategy, phase_of


@dataclass(frozen=True, kw_only=True)
class StrategyView:
    """A strategy, its newest run and the gates that hold it back, at one moment."""

    strategy: Strategy
    latest: Run | None
    gates: tuple[Gate, ...] = ()

    @cached_property
    def phase(self) -> Phase:
        """How it stands, in one word."""
        return phase_of(self.strategy, self.latest, self.gates)

    @property
    def since(self) -> datetime | None:
        """When the phase began, as far as it is known."""
        run = self.latest
        if run is None or self.phase in {Phase.PENDING, Phase.WAITING}:
            return self.strategy.intent.at
        return run.ended_at or run.stop_asked_at or run.started_at or run.created_at

    @property
    def sentence(self) -> str:
        """Why it waits, what is wrong, or how it ended; empty while there is nothing to say."""
        if self.gates:
            return self.gates[0].sentence
        run = self.latest
        if run is not None and run.outcome is not None and run.ended_at is not None:
            at = run.ended_at.astimezone(IST).strftime("%d %b %H:%M:%S IST")
            return f"{in_words(run.outcome)} at {at}."
        if self.strategy.problem is not None:
            problem = self.strategy.problem
            return f"Draft: line {problem.line} does not compile ({problem.message})."
        return ""


def in_words(outcome: Outcome) -> str:
    """How a run ended, for a sentence that goes on with the time."""
    match outcome.kind:
        case OutcomeKind.EXITED if outcome.exit_code == 0:
            return "Finished by itself"
        case OutcomeKind.EXITED:
            return f"Exited with code {outcome.exit_code}"
        case OutcomeKind.SIGNALLED:
            return f"Ended by signal {outcome.signal}"
        case OutcomeKind.STOPPED:
            return "Stopped"
        case OutcomeKind.KILLED_AFTER_GRACE:
            return "Killed, because it did not stop in time,"
        case OutcomeKind.OUT_OF_MEMORY:
            return "Ran out of memory"
        case OutcomeKind.FAILED_TO_START:
            return f"Failed to start ({outcome.reason.rstrip('.')})"
        case OutcomeKind.LOST:
            return "Lost: the process vanished unseen"
