"""The ledger of a schedule: one row for each expected start, with what became of it.

    expected ──▶ DUE ────────▶ STARTED    a run answers for it
        │         ├──────────▶ BLOCKED    its window ended in front of a closed gate
        │         └──────────▶ SKIPPED    somebody stopped it while it waited
        ├──────────────────────▶ STARTED    it was running already
        ├──────────────────────▶ BLOCKED    what is saved does not compile
        ├──────────────────────▶ MISSED     nobody was there in time
        └──────────────────────▶ SKIPPED    a holiday, a date left out, a schedule set too late

A row is written in the transaction that commits the intent, and its key is unique for its
strategy: that, not a lock, makes a start happen once.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from algohost.domain.calendars import day_text
from algohost.domain.ids import IST, RunId, StrategyId
from algohost.domain.runs import Run
from algohost.domain.schedules import DEFAULT_ZONE, Schedule, ScheduleKind
from algohost.domain.timetable import Entry

TIMETABLE: Final = "timetable"
"""By whom a window does not come: its schedule and the exchange's calendar."""

ALWAYS: Final = "always/"
"""How the keys of what is always wanted begin: they have no end, and stay in sight."""


class OccurrenceState(StrEnum):
    """What became of an expected start."""

    DUE = "due"
    """Its intent is committed, and it waits: for a gate, for the agent, for its turn."""
    STARTED = "started"
    BLOCKED = "blocked"
    MISSED = "missed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One expected start of one strategy."""

    strategy_id: StrategyId
    key: str
    """Its name for ever, whatever the calendar does to its times: ``key_of``."""
    start_at: datetime
    ends_at: datetime | None
    stops: bool = True
    """Whether the strategy is stopped at ``ends_at``."""
    state: OccurrenceState
    intent_number: int | None = None
    """The intent that was committed with it, or that wanted it running already."""
    run_id: RunId | None = None
    lateness_ms: int | None = None
    """From ``start_at`` to the commit of what started it."""
    gate_code: str = ""
    sentence: str = ""
    decided_at: datetime
    by: str
    """``schedule``, ``timetable``, or who stopped it or set the schedule (``user:asha``)."""
    alerted_at: datetime | None = None
    """When somebody was told that it is late, missed or blocked."""


def key_of(schedule: Schedule, entry: Entry) -> str:
    """``2026-11-23/09:20–15:15``: a date and a window by its text, not by its place in a list,
    which an edit changes. ``ALWAYS`` has one for each time that it is set."""
    if schedule.kind is ScheduleKind.ALWAYS:
        return f"{ALWAYS}{entry.start_at:%Y-%m-%dT%H:%M:%S.%f}"
    zone = "" if schedule.zone == DEFAULT_ZONE else f" {schedule.zone}"
    return f"{entry.date.isoformat()}/{schedule.windows[entry.window]}{zone}"


def answered(row: LedgerRow, run: Run) -> LedgerRow:
    """The row once ``run`` answers its intent; what keeps the run keeps this with it."""
    if row.state is not OccurrenceState.DUE or row.intent_number != run.intent_number:
        return row
    return replace(
        row,
        state=OccurrenceState.STARTED,
        run_id=run.id,
        lateness_ms=late_by(row.start_at, run.created_at),
        decided_at=run.created_at,
    )


def late_by(start_at: datetime, at: datetime) -> int:
    """Milliseconds from one to the other; 0 where a clock was set back meanwhile."""
    return max(0, round((at - start_at).total_seconds() * 1000))


def moment_of(at: datetime) -> str:
    """``Mon 23 Nov 2026 09:15:00 IST``."""
    local = at.astimezone(IST)
    return f"{day_text(local.date())} {local:%H:%M:%S} IST"


def span_of(since: datetime, until: datetime) -> str:
    """``from Mon 23 Nov 2026 09:10:00 to 11:02:10 IST``; a second day is named as well."""
    first, last = since.astimezone(IST), until.astimezone(IST)
    end = f"{last:%H:%M:%S}" if first.date() == last.date() else moment_of(until)[:-4]
    return f"from {moment_of(since)[:-4]} to {end} IST"
