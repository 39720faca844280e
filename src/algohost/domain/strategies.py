"""A strategy, what is wanted of it, and the one word that says how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from algohost.domain.ids import AccountId, StrategyId, UserId, VersionId
from algohost.domain.restarts import Again, FolderFull, GivenUp, verdict
from algohost.domain.runs import Run, RunState
from algohost.domain.schedules import Schedule, ScheduleKind
from algohost.domain.strategy_settings import StrategySettings
from algohost.domain.users import paper_account_of


class Wanted(StrEnum):
    """What an intent asks for."""

    RUNNING = "running"
    STOPPED = "stopped"


SCHEDULE: Final = "schedule"
"""By whom a schedule's starts and stops are."""
RESTORE: Final = "restore"
"""By whom what should be running inside a window is started again after it was lost."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What should be, who said so and when. Each new intent of a strategy has the next number."""

    number: int
    wanted: Wanted
    by: str
    """``user:NAME``, ``schedule``, ``webhook``, ``restore``, ``kill switch`` or ``host``."""
    at: datetime


class Mode(StrEnum):
    """Where a strategy's orders go: per strategy, never global."""

    REPLAY = "replay"
    PAPER = "paper"
    LIVE = "live"


class Phase(StrEnum):
    """What is. Badges, API and manual use these words."""

    PENDING = "pending"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BACKING_OFF = "backing_off"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class SourceProblem:
    """Why a version cannot be started: where its text stops being Python."""

    line: int
    column: int
    message: str
    file: str = ""
    """Which of several files; empty where there is one."""

    @property
    def where(self) -> str:
        """For the inside of a sentence: ``line 3``, or ``line 3 of helpers.py``."""
        return f"line {self.line} of {self.file}" if self.file else f"line {self.line}"


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """Something a user wants run."""

    id: StrategyId
    owner_id: UserId
    name: str
    file_name: str
    exchange: str
    mode: Mode
    version_id: VersionId
    problem: SourceProblem | None
    """Set while the current version is a draft: it does not compile, so it is not started."""
    intent: Intent
    created_at: datetime
    settings: StrategySettings = field(default_factory=StrategySettings)
    schedule: Schedule = field(default_factory=Schedule)
    schedule_set_at: datetime | None = None
    """When the schedule was set: it expects no start before."""
    schedule_set_by: str = ""
    account_id: AccountId | None = None
    """Where its orders go; ``None`` is the paper account that its owner has from the start."""

    @property
    def account(self) -> AccountId:
        """The account in which its books are kept."""
        return self.account_id or paper_account_of(self.owner_id)

    @property
    def is_armed(self) -> bool:
        """Whether a schedule starts it, or only people do."""
        return self.schedule.kind is not ScheduleKind.MANUAL


class GateAction(StrEnum):
    """What a page can offer to open a gate."""

    LOG_IN = "login"
    """Log in to the broker of the strategy's account."""
    DOWNLOAD = "download"
    """Download the master contract."""
    RELEASE = "release"
    """Release the kill switch."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What must hold before a start, as data: ``code`` for programs, ``sentence`` for people."""

    code: str
    sentence: str
    until: datetime | None = None
    """When it opens by itself, where that is known."""
    action: GateAction | None = None
    """What a person can do to open it, where a page can offer that."""


def draft_gate(problem: SourceProblem) -> Gate:
    """What holds back a version that does not compile."""
    sentence = f"Draft: {problem.where} does not compile ({problem.message})."
    return Gate(code="SOURCE_PROBLEM", sentence=sentence)


def restart_of(
    strategy: Strategy, latest: Run | None, earlier: Sequence[Run] = ()
) -> Again | GivenUp | FolderFull | None:
    """Whether a restart follows the newest run, by what is wanted and by the policy."""
    if latest is None or strategy.intent.wanted is Wanted.STOPPED:
        return None
    if latest.intent_number < strategy.intent.number:
        return None
    return verdict(strategy.settings, latest, earlier)


def phase_of(
    strategy: Strategy,
    latest: Run | None,
    closed_gates: tuple[Gate, ...] = (),
    *,
    earlier: Sequence[Run] = (),
) -> Phase:
    """How a strategy stands, from what is wanted, its runs (newest first), and closed gates."""
    if latest is not None and latest.is_live:
        return {
            RunState.STARTING: Phase.STARTING,
            RunState.RUNNING: Phase.RUNNING,
            RunState.STOPPING: Phase.STOPPING,
        }[latest.state]
    answered = latest is not None and latest.intent_number >= strategy.intent.number
    if strategy.intent.wanted is Wanted.RUNNING and not answered:
        return Phase.WAITING if closed_gates else Phase.PENDING
    match restart_of(strategy, latest, earlier):
        case Again():
            return Phase.WAITING if closed_gates else Phase.BACKING_OFF
        case GivenUp() | FolderFull():
            return Phase.ERROR
    seen = answered or strategy.intent.by == SCHEDULE  # the end of a window hides no failure
    return Phase.ERROR if latest is not None and latest.has_failed and seen else Phase.STOPPED
