"""A strategy as it stands, in one object, with the sentence that a person reads first."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from algohost.domain.health import Flag
from algohost.domain.ids import IST
from algohost.domain.ledger import LedgerRow
from algohost.domain.restarts import Again, FolderFull, GivenUp
from algohost.domain.runs import INTERRUPTED, Outcome, OutcomeKind, Run, RunState, signal_name
from algohost.domain.strategies import (
    Gate,
    Intent,
    Phase,
    Strategy,
    Wanted,
    draft_gate,
    phase_of,
    restart_of,
)


@dataclass(frozen=True, kw_only=True)
class StrategyView:
    """A strategy, its newest run and the gates that hold it back, at one moment."""

    strategy: Strategy
    latest: Run | None
    earlier: tuple[Run, ...] = ()
    """Runs of the newest run's intent before it, newest first."""
    gates: tuple[Gate, ...] = ()
    flags: tuple[Flag, ...] = ()
    """What is wrong with the newest run while it lives, worst first."""
    next_at: datetime | None = None
    """When the next restart is due, once that is decided."""
    next_start: datetime | None = None
    """The next start that its schedule expects."""
    occurrence: LedgerRow | None = None
    """What became of the newest expected start, leaving out what the timetable skips."""

    @cached_property
    def phase(self) -> Phase:
        """How it stands, in one word."""
        return phase_of(self.strategy, self.latest, self.gates, earlier=self.earlier)

    @cached_property
    def restart(self) -> Again | GivenUp | FolderFull | None:
        """What the restart policy says after the newest run."""
        return restart_of(self.strategy, self.latest, self.earlier)

    @property
    def is_scheduled(self) -> bool:
        """Whether it is at rest, in good order, and will be started by its schedule."""
        return self.phase is Phase.STOPPED and self.next_start is not None

    @property
    def is_unsettled(self) -> bool:
        """Whether what is may not yet be what is wanted, so that it is looked at again."""
        wanted_live = self.strategy.intent.wanted is Wanted.RUNNING
        run = self.latest
        if run is None or not run.is_live:
            return wanted_live and self.phase not in {Phase.STOPPED, Phase.ERROR}
        return run.state is not RunState.RUNNING or not wanted_live

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
        if self.flags:
            return self.flags[0].sentence
        run = self.latest
        if run is not None and run.outcome is not None:
            match self.restart:
                case Again(attempt=attempt, most=most):
                    when = "" if self.next_at is None else f" at {_ist_time(self.next_at)}"
                    return f"Restart {attempt} of {most}{when}. {self.last_end}"
                case GivenUp(restarts=restarts, minutes=minutes):
                    return f"Given up after {_count(restarts, minutes)}: {_what(run.outcome)}"
                case FolderFull():
                    return f"{self.last_end} {_FULL}"
            return self.last_end
        if self.strategy.problem is not None:
            return draft_gate(self.strategy.problem).sentence
        return ""

    @property
    def last_end(self) -> str:
        """How and when the newest run ended, and why; empty while it lives."""
        run = self.latest
        if run is None or run.outcome is None or run.ended_at is None:
            return ""
        at = run.ended_at.astimezone(IST).strftime("%d %b %H:%M:%S IST")
        return f"{ending(run)} at {at}{_because(run.outcome)}"


_FULL: Final = "Not restarted: delete files there or raise the limit, then start it."

_CRASHES: Final = {
    "SIGSEGV": "it touched memory that is not its own",
    "SIGBUS": "it touched memory that is not there",
    "SIGILL": "it met an instruction that this processor does not know",
    "SIGFPE": "it divided by zero in native code",
    "SIGABRT": "native code gave up",
    "SIGKILL": "somebody outside, or the kernel, killed it",
}
"""What a signal that no script asks for usually means."""


def in_words(outcome: Outcome) -> str:
    """How a run ended, for a sentence that goes on with the time."""
    match outcome.kind:
        case OutcomeKind.EXITED if outcome.exit_code == 0:
            return "Finished by itself"
        case OutcomeKind.EXITED:
            return f"Exited with code {outcome.exit_code}"
        case OutcomeKind.SIGNALLED:
            name = signal_name(outcome.signal or 0)
            meaning = _CRASHES.get(name)
            return f"Ended by {name} ({meaning})" if meaning else f"Ended by {name}"
        case OutcomeKind.STOPPED:
            return "Stopped"
        case OutcomeKind.KILLED_AFTER_GRACE:
            return "Killed, because it did not stop in time,"
        case OutcomeKind.OUT_OF_MEMORY:
            return "Ran out of memory"
        case OutcomeKind.FAILED_TO_START:
            return f"Failed to start ({outcome.reason.rstrip('.')})"
        case OutcomeKind.LOST if outcome.reason == INTERRUPTED:
            return "Interrupted by a restart of the machine; seen"
        case OutcomeKind.LOST:
            return "Lost: the process vanished unseen"


def ending(run: Run) -> str:
    """``in_words`` of its outcome, with who asked for the end where somebody did."""
    if run.outcome is None:
        return ""
    words, by = in_words(run.outcome), who(run.stop_asked_by)
    match run.outcome.kind:
        case OutcomeKind.STOPPED if by:
            return f"{words} by {by}"
        case OutcomeKind.KILLED_AFTER_GRACE if by:
            return f"Killed, because it did not stop in time when {by} asked,"
        case _:
            return words


def who(by: str | None) -> str:
    """``asha`` for ``user:asha``, ``the disk limit`` for ``limit: disk``, ``the schedule``."""
    if not by:
        return ""
    kind, _, name = by.partition(":")
    if by in {"health", "limit: health"}:
        return "the health check"
    if kind == "limit":
        return f"the {name.strip()} limit"
    return name if kind == "user" and name else f"the {by}"


def _because(outcome: Outcome) -> str:
    """The reason where ``in_words`` has not said it already."""
    if outcome.kind in {OutcomeKind.FAILED_TO_START, OutcomeKind.LOST} or not outcome.reason:
        return "."
    return f": {_closed(outcome.reason)}"


def _what(outcome: Outcome) -> str:
    """The one thing that went wrong, without the time."""
    if outcome.kind is OutcomeKind.EXITED and outcome.exit_code and outcome.reason:
        return _closed(outcome.reason)
    words = in_words(outcome).removesuffix("; seen").rstrip(",")
    return f"{words[:1].lower()}{words[1:]}{_because(outcome)}"


def _closed(reason: str) -> str:
    return reason if reason.endswith((".", "…", "!", "?")) else f"{reason}."


def _count(restarts: int, minutes: int) -> str:
    again = "restart" if restarts == 1 else "restarts"
    return f"{restarts} {again} in {minutes} {'minute' if minutes == 1 else 'minutes'}"


def _ist_time(at: datetime) -> str:
    return at.astimezone(IST).strftime("%H:%M:%S IST")


def withdrawn(view: StrategyView, changed: Strategy, *, by: str, at: datetime) -> Strategy:
    """``changed``, not wanted running any more if it has come to rest by itself.

    Its old wish to run must not come to life again under another restart policy.
    """
    is_wanted = changed.intent.wanted is Wanted.RUNNING
    if not is_wanted or view.phase not in {Phase.STOPPED, Phase.ERROR}:
        return changed
    if not isinstance(restart_of(changed, view.latest, view.earlier), Again):
        return changed
    intent = Intent(number=changed.intent.number + 1, wanted=Wanted.STOPPED, by=by, at=at)
    return replace(changed, intent=intent)
