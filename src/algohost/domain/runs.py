"""The life of a run: its states, every arrow between them, and the outcomes it can end with.

    (row committed)          agent has the process        asked to stop
        STARTING ──────────────▶ RUNNING ──────────────▶ STOPPING
           │  └───────────────────────┬──────────────────────│
           │   failed to start, lost  │ exited, signalled    │ stopped, killed
           └──────────────────────────▼──────────────────────┘
                                    ENDED(outcome)

ENDED is final: a run has exactly one outcome and no way back. ``apply`` is the only function
that moves a run. An event that cannot follow (an exit heard twice, a start heard after the
exit) leaves the run as it is: the agent's facts arrive at least once and in any order.
"""

import signal
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from algohost.domain.ids import RunId, StrategyId, VersionId


class RunState(StrEnum):
    """Where a run stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


LIVE: Final = frozenset({RunState.STARTING, RunState.RUNNING, RunState.STOPPING})
"""The states in which a run may own a process. At most one run of a strategy is in them."""


class OutcomeKind(StrEnum):
    """How a run ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    STOPPED = "stopped"
    KILLED_AFTER_GRACE = "killed_after_grace"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED_TO_START = "failed_to_start"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, with the number that the kernel gave where it gave one."""

    kind: OutcomeKind
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    """The last line of its traceback, or a sentence, where kind and number do not say it all."""

    @property
    def is_failure(self) -> bool:
        """Whether a person should look at it: anything but a clean exit or an asked-for stop."""
        match self.kind:
            case OutcomeKind.EXITED:
                return self.exit_code != 0
            case OutcomeKind.STOPPED | OutcomeKind.KILLED_AFTER_GRACE:
                return False
            case _:
                return True

    def __str__(self) -> str:
        """The short form of ``words.md``: ``exited(1)``, ``signalled(9)``, ``stopped``, …"""
        match self.kind:
            case OutcomeKind.EXITED:
                return f"exited({self.exit_code})"
            case OutcomeKind.SIGNALLED:
                return f"signalled({self.signal})"
            case _:
                return self.kind.value


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; ``signal 70`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


DISK_LIMIT: Final = "limit: disk"
"""Who stops a run whose folder holds too much."""


def is_guard(by: str | None) -> bool:
    """Whether ``by`` stops a run for what it does (``limit: disk``, ``health``).

    That is a failure of the run, unlike the wish of a user, a schedule or the host.
    """
    return by is not None and by.partition(":")[0] in {"limit", "health"}


VANISHED: Final = "The process is gone and nobody was there to see how it ended."
INTERRUPTED: Final = "Interrupted by a restart of the machine."


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """What names a process for good: a pid is reused, this triple is not."""

    boot_id: str
    pid: int
    start_ticks: int


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """One thing that was to be enforced on a run, and whether the kernel does."""

    name: str
    is_on: bool
    how: str
    """By what, or why not."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of one version of a strategy."""

    id: RunId
    strategy_id: StrategyId
    version_id: VersionId
    intent_number: int
    """The intent that asked for this run; an intent is answered by one run."""
    state: RunState = RunState.STARTING
    created_at: datetime
    started_at: datetime | None = None
    stop_asked_at: datetime | None = None
    stop_asked_by: str | None = None
    ended_at: datetime | None = None
    process: ProcessIdentity | None = None
    outcome: Outcome | None = None
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    log_name: str = ""
    enforced: tuple["Enforcement", ...] = ()
    """What the kernel holds it to; empty before it is known."""
    attempt: int = 0
    """Which restart of its intent it is: 0 is the start that the intent asked for."""

    @property
    def is_live(self) -> bool:
        """Whether the run may still own a process."""
        return self.state in LIVE

    @property
    def has_failed(self) -> bool:
        """Whether it ended in a way that a person should look at."""
        if self.outcome is None:
            return False
        return self.outcome.is_failure or is_guard(self.stop_asked_by)

    @property
    def filled_its_folder(self) -> bool:
        """Whether it was ended because its folder held more than it may."""
        return self.outcome is not None and self.stop_asked_by == DISK_LIMIT

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended without anybody wanting it; a stop by a guard counts as a failure."""
        asked = {OutcomeKind.STOPPED, OutcomeKind.KILLED_AFTER_GRACE}
        return self.outcome is not None and (self.has_failed or self.outcome.kind not in asked)

    @property
    def lived_seconds(self) -> float:
        """From its start to its end by the wall clock; 0 while it lives or never started."""
        if self.ended_at is None or self.started_at is None:
            return 0.0
        return (self.ended_at - self.started_at).total_seconds()


def lost(process: ProcessIdentity | None, *, boot_id: str | None) -> Outcome:
    """The end of a run that nobody saw; ``boot_id`` is the present boot's, where it is known.

    A process of another boot is not looked for: its pid means nothing in this one.
    """
    is_of_another_boot = process is not None and boot_id is not None and process.boot_id != boot_id
    return Outcome(kind=OutcomeKind.LOST, reason=INTERRUPTED if is_of_another_boot else VANISHED)


@dataclass(frozen=True, kw_only=True)
class Started:
    """The agent has the process."""

    at: datetime
    process: ProcessIdentity
    enforced: tuple[Enforcement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StopAsked:
    """Somebody asked for the run's end."""

    at: datetime
    by: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The process is gone, or never was."""

    at: datetime
    outcome: Outcome
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    process: ProcessIdentity | None = None


RunEvent = Started | StopAsked | Ended


def apply(run: Run, event: RunEvent) -> Run:
    """The run after ``event``; the same object where the event cannot follow."""
    if run.state is RunState.ENDED:
        return run
    match event:
        case Started() if run.process is not None:
            return run if run.enforced else replace(run, enforced=event.enforced)
        case Started():  # STARTING → RUNNING, or STOPPING stays: the stop was asked first
            state = RunState.RUNNING if run.state is RunState.STARTING else run.state
            return replace(
                run,
                state=state,
                started_at=event.at,
                process=event.process,
                enforced=event.enforced,
            )
        case StopAsked() if run.state is RunState.STOPPING:
            return run
        case StopAsked():  # STARTING, RUNNING → STOPPING
            return replace(
                run, state=RunState.STOPPING, stop_asked_at=event.at, stop_asked_by=event.by
            )
        case Ended():  # any live state → ENDED
            return replace(
                run,
                state=RunState.ENDED,
                ended_at=event.at,
                outcome=event.outcome,
                peak_memory_bytes=event.peak_memory_bytes,
                cpu_seconds=event.cpu_seconds,
                process=run.process or event.process,
            )
