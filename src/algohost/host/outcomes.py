"""What the agent's facts mean: from a fact to the events and the outcome of a run."""

from datetime import UTC, datetime

from algohost.domain.runs import (
    Ended,
    Enforcement,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    RunEvent,
    Started,
)
from algohost.runner.messages import ExitFact, RunFact


def events_of(fact: RunFact, *, now: datetime) -> tuple[RunEvent, ...]:
    """The events that a fact stands for, in their order; hearing them twice does no harm."""
    process = _process(fact)
    events: list[RunEvent] = []
    if process is not None:
        enforced = tuple(
            Enforcement(name=one.name, is_on=one.is_on, how=one.how) for one in fact.enforced
        )
        events.append(Started(at=_instant(fact.launched_at), process=process, enforced=enforced))
    if fact.state == "ended":
        ended_at = _instant(fact.exit.ended_at) if fact.exit else now
        events.append(
            Ended(
                at=ended_at,
                outcome=outcome_of(fact),
                process=process,
                peak_memory_bytes=fact.exit.peak_memory_bytes if fact.exit else None,
                cpu_seconds=fact.exit.cpu_seconds if fact.exit else None,
            )
        )
    return tuple(events)


def outcome_of(fact: RunFact) -> Outcome:
    """How a run that the agent calls ended has ended."""
    if fact.error is not None:
        return Outcome(kind=OutcomeKind.FAILED_TO_START, reason=fact.error)
    exit_ = fact.exit
    if exit_ is None or (exit_.how == "unknown" and exit_.stop_step is None):
        return Outcome(
            kind=OutcomeKind.LOST,
            reason="The process is gone and nobody was there to see how it ended.",
        )
    return Outcome(
        kind=_kind(exit_),
        exit_code=exit_.code,
        signal=exit_.signal,
        reason=(
            f"{exit_.leftovers_killed} processes that it left behind were ended with it."
            if exit_.leftovers_killed
            else ""
        ),
    )


def _kind(exit_: ExitFact) -> OutcomeKind:
    if exit_.stop_step == "kill":
        return OutcomeKind.KILLED_AFTER_GRACE
    if exit_.stop_by is not None:
        return OutcomeKind.STOPPED
    return OutcomeKind.SIGNALLED if exit_.signal is not None else OutcomeKind.EXITED


def _process(fact: RunFact) -> ProcessIdentity | None:
    if fact.pid is None or fact.start_ticks is None:
        return None
    return ProcessIdentity(boot_id=fact.boot_id, pid=fact.pid, start_ticks=fact.start_ticks)


def _instant(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)
