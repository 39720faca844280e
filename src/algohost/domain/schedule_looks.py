"""What a look at a schedule is given, and what it says: the values of ``occurrences.look``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from algohost.domain.expected import Expected
from algohost.domain.ledger import LedgerRow, moment_of, span_of
from algohost.domain.runs import Run
from algohost.domain.strategies import Gate, Intent, Strategy

ON_TIME: Final = timedelta(seconds=60)
"""A start is no catching up before it is later than this."""
ALERT_AFTER: Final = timedelta(seconds=5)
"""An expected start that does not run so long after its instant is told of."""
RESTORE_AFTER: Final = timedelta(seconds=60)
"""From the start of a run that vanished to the next one: what dies at once is no busy loop."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A span in which nobody looked."""

    since: datetime
    until: datetime
    why: str = "The server was away"

    @property
    def sentence(self) -> str:
        """What a person should read."""
        return f"{self.why} {span_of(self.since, self.until)}."

    def holds(self, at: datetime) -> bool:
        """Whether that instant is inside."""
        return self.since <= at <= self.until


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one strategy with a schedule."""

    strategy: Strategy
    latest: Run | None
    earlier: Sequence[Run] = ()
    """Runs of the newest run's intent before it, newest first."""
    gates: tuple[Gate, ...] = ()
    """What holds its start back, as far as somebody has looked."""
    expected: Sequence[Expected]
    """From some days ago to the next start, in order."""
    rows: Mapping[str, LedgerRow]
    """Of the same span, by key."""
    wanted_since: datetime
    """When its intent came: by a clock that ran ahead it may seem to come from the future."""
    gap: Gap | None = None


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that somebody should hear of."""

    kind: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be committed, in one transaction, and when to look again."""

    at: datetime
    """When it was decided."""
    intent: Intent | None = None
    rows: tuple[LedgerRow, ...] = ()
    """New rows, and such as changed."""
    alerts: tuple[Alert, ...] = ()
    set_at: datetime | None = None
    """Another instant at which the schedule counts as set: the clock was set back behind it."""
    look_at: datetime | None = None
    """Until then nothing new can follow from time alone; ``None`` is never."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.intent or self.rows or self.alerts or self.set_at)


def late_sentence(row: LedgerRow, run: Run | None, gate: Gate | None) -> str:
    """What to say of a start that did not run in time; ``run`` answers for it, if one does."""
    expected = f"Expected at {moment_of(row.start_at)}"
    if run is not None and run.started_at is not None:
        said = f"{expected}, running since {moment_of(run.started_at)}. {row.sentence}"
    elif run is not None and not run.is_live:
        why = run.outcome.reason if run.outcome is not None else ""
        said = f"{expected}, failed to start. {why}"
    else:
        why = gate.sentence if gate is not None else row.sentence
        said = f"{expected} and not running {ALERT_AFTER.seconds} s later. {why}"
    return said.strip()
