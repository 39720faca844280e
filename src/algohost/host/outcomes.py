"""What the agent's facts mean: from a fact to the events and the outcome of a run."""

import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from algohost.agent.client import AgentError
from algohost.domain.errors import AlgohostError
from algohost.domain.runs import (
    Ended,
    Enforcement,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    RunEvent,
    Started,
    StopAsked,
    is_guard,
    lost,
    signal_name,
)
from algohost.runner.messages import ExitFact, RunFact

_POLITE = frozenset({signal.SIGINT, signal.SIGTERM})
"""With which a stop begins: to end by them when asked is what they are for."""


def events_of(fact: RunFact, *, now: datetime, boot_id: str | None = None) -> tuple[RunEvent, ...]:
    """The events that a fact stands for, in their order; hearing them twice does no harm.

    ``boot_id`` is the present boot's: a run of an earlier one was interrupted with it.
    """
    process = _process(fact)
    events: list[RunEvent] = []
    if process is not None:
        enforced = tuple(
            Enforcement(name=one.name, is_on=one.is_on, how=one.how) for one in fact.enforced
        )
        events.append(Started(at=_instant(fact.launched_at), process=process, enforced=enforced))
    if fact.state == "ended":
        exit_ = fact.exit
        ended_at = _instant(exit_.ended_at) if exit_ else now
        if exit_ is not None and exit_.stop_by is not None:  # it may have been asked of the agent
            events.append(StopAsked(at=ended_at, by=exit_.stop_by))
        events.append(
            Ended(
                at=ended_at,
                outcome=outcome_of(fact, boot_id=boot_id),
                process=process,
                peak_memory_bytes=exit_.peak_memory_bytes if exit_ else None,
                cpu_seconds=exit_.cpu_seconds if exit_ else None,
            )
        )
    return tuple(events)


def has_words(fact: RunFact) -> bool:
    """Whether anything in it was said by the run itself."""
    return bool(fact.error or (fact.exit is not None and fact.exit.reason))


def hidden(fact: RunFact, hide: Callable[[str], str]) -> RunFact:
    """The fact with what the run said gone through ``hide``."""
    exit_ = fact.exit
    if exit_ is not None and exit_.reason:
        exit_ = replace(exit_, reason=hide(exit_.reason))
    return replace(fact, exit=exit_, error=hide(fact.error) if fact.error else fact.error)


def outcome_of(fact: RunFact, *, boot_id: str | None = None) -> Outcome:
    """How a run that the agent calls ended has ended."""
    if fact.error is not None:
        return Outcome(kind=OutcomeKind.FAILED_TO_START, reason=fact.error)
    exit_ = fact.exit
    if exit_ is None or (exit_.how == "unknown" and exit_.stop_step is None):
        return lost(_process(fact), boot_id=boot_id)
    kind = _kind(exit_)
    return Outcome(
        kind=kind, exit_code=exit_.code, signal=exit_.signal, reason=_reason(kind, exit_)
    )


def _kind(exit_: ExitFact) -> OutcomeKind:
    if exit_.is_out_of_memory or exit_.stop_by == "limit: memory":
        return OutcomeKind.OUT_OF_MEMORY
    if exit_.stop_step == "kill" and not is_guard(exit_.stop_by):
        return OutcomeKind.KILLED_AFTER_GRACE
    if exit_.stop_by is not None:
        return OutcomeKind.STOPPED
    return OutcomeKind.SIGNALLED if exit_.signal is not None else OutcomeKind.EXITED


def _reason(kind: OutcomeKind, exit_: ExitFact) -> str:
    """What the script, the limit or the kernel said, and what was left behind."""
    said = exit_.reason or ""
    if kind is OutcomeKind.OUT_OF_MEMORY and not said:
        said = "The kernel ended it to have memory for others."
    if kind is OutcomeKind.STOPPED and not is_guard(exit_.stop_by):
        if exit_.signal in _POLITE:
            said = ""
        elif exit_.signal is not None:  # it took the stop badly
            said = f"It ended by {signal_name(exit_.signal)} while it was stopping."
        elif exit_.code and not said:
            said = f"It ended with code {exit_.code}."
    if not exit_.leftovers_killed:
        return said
    left = (
        "A process that it left behind was ended with it."
        if exit_.leftovers_killed == 1
        else f"{exit_.leftovers_killed} processes that it left behind were ended with it."
    )
    return f"{said.rstrip('.')}. {left}" if said else left


def _process(fact: RunFact) -> ProcessIdentity | None:
    if fact.pid is None or fact.start_ticks is None:
        return None
    return ProcessIdentity(boot_id=fact.boot_id, pid=fact.pid, start_ticks=fact.start_ticks)


def _instant(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)


def trouble_in_words(error: AlgohostError | AgentError | OSError) -> str:
    """Why a step was not taken, for whoever waits for it."""
    match error:
        case AlgohostError():
            return error.message
        case OSError():
            return (
                f"The run cannot be prepared ({error.strerror or error});"
                " look at the disk and the rights of the data directory. It is tried again."
            )
        case _:
            return f"The agent refuses ({error}); see its log. It is tried again."
