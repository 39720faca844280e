"""How figures, times and phases are written on pages, as the TypeScript in ``web/src`` does it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from algohost.domain.ids import IST
from algohost.domain.money import ZERO, format_inr
from algohost.domain.runs import Outcome, OutcomeKind, Run, signal_name
from algohost.domain.strategies import Phase
from algohost.host.views import who

GROUPS: Final[Mapping[Phase, str]] = {
    Phase.STARTING: "running",
    Phase.RUNNING: "running",
    Phase.STOPPING: "running",
    Phase.PENDING: "waiting",
    Phase.WAITING: "waiting",
    Phase.BACKING_OFF: "waiting",
    Phase.ERROR: "error",
    Phase.STOPPED: "stopped",
}
"""The heaps into which the list sorts the phases."""
SCHEDULED: Final = "scheduled"
"""What the badge of a stopped strategy says that will start by the clock; its heap, too."""
HEAPS: Final = ("running", SCHEDULED, "waiting", "error", "stopped")

_MEGABYTE: Final = 1_048_576

Row = Mapping[str, Any]


def group_counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows are in each heap."""
    counts = dict.fromkeys(HEAPS, 0)
    for row in rows:
        word = badge(row)
        counts[word if word == SCHEDULED else GROUPS[Phase(word)]] += 1
    return counts


def badge(row: Row) -> str:
    """The word of its badge: its phase, but ``scheduled`` where it is stopped and will start."""
    is_scheduled = row["phase"] == Phase.STOPPED.value and row["next_start"] is not None
    return SCHEDULED if is_scheduled else str(row["phase"])


def total_pnl(rows: Sequence[Row]) -> str | None:
    """The day's P&L of all rows together in rupees; ``None`` where no row has one."""
    known = [Decimal(row["pnl"]) for row in rows if row["pnl"] is not None]
    return f"{sum(known, ZERO):.2f}" if known else None


def market_name(name: str) -> str:
    """``Synthetic market``, ``Recorded 2021-05-27 ×10``."""
    shown = name[:1].upper() + name[1:]
    return f"{shown} market" if " " not in shown else shown


def inr(amount: str | Decimal | None, decimals: int = 2, sign: str = "negative") -> str:
    """Rupees as pages write them; amounts in rows are text."""
    exact = Decimal(amount) if isinstance(amount, str) else amount
    return format_inr(exact, decimals=decimals, sign=sign)


def direction(amount: str | None) -> str:
    """``up``, ``down`` or nothing: the colour of a profit or loss."""
    value = Decimal(amount or 0)
    return "up" if value > 0 else "down" if value < 0 else ""


def phase_word(phase: str) -> str:
    """The phase as people read it."""
    return phase.replace("_", " ").capitalize()


def since_word(row: Row) -> str:
    """What the time beside it means."""
    phase = Phase(row["phase"])
    if phase is Phase.RUNNING:
        return "Up for"
    if phase is Phase.STOPPED and row["outcome"] is None:
        return "Uploaded"
    return "Since" if GROUPS[phase] in {"running", "waiting"} else "Ended"


def note(row: Row) -> str:
    """The one line beside a strategy."""
    return str(row["sentence"])


def ist_short(at: str) -> str:
    """``21 Nov 10:02`` in India, from an instant in UTC as text."""
    return datetime.fromisoformat(at).astimezone(IST).strftime("%d %b %H:%M")


def ist_long(at: datetime) -> str:
    """``21 Nov 2026 10:02 IST``."""
    return at.astimezone(IST).strftime("%d %b %Y %H:%M IST")


def megabytes(count: int | None) -> str:
    """``57.3 MB``; a dash for nothing."""
    return f"{count / _MEGABYTE:.1f} MB" if count else "–"


def peak_memory(run: Run | None) -> str:
    """``57.3 MB``; a run that lives or never ran has a dash, one that nobody measured says so."""
    if run is None or run.peak_memory_bytes:
        return megabytes(run.peak_memory_bytes if run else None)
    return "not known" if run.started_at and run.ended_at else "–"


def run_row(run: Run) -> dict[str, object]:
    """A run in JSON values, for the table of runs."""
    outcome = run.outcome
    return {
        "id": run.id,
        "state": run.state.value,
        "created_at": iso(run.created_at),
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "outcome": outcome_word(outcome) if outcome else None,
        "reason": outcome.reason if outcome else "",
        "attempt": run.attempt,
        "stopped_by": who(run.stop_asked_by) if outcome else "",
        "exit_code": outcome.exit_code if outcome else None,
        "is_failure": run.has_failed,
        "peak_memory_bytes": run.peak_memory_bytes,
        "cpu_seconds": run.cpu_seconds,
        "version": run.version_id,
        "has_log": bool(run.log_name),
        "enforced": [asdict(one) for one in run.enforced],
    }


def outcome_word(outcome: Outcome) -> str:
    """The outcome in its short form, a signal by its name: ``signalled(SIGSEGV)``."""
    if outcome.kind is OutcomeKind.SIGNALLED and outcome.signal is not None:
        return f"{outcome.kind.value}({signal_name(outcome.signal)})"
    return str(outcome)


def iso(at: datetime | None) -> str | None:
    """An instant in UTC as text; nothing stays nothing."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds")


def ist_second(at: str) -> str:
    """``21 Nov 2026 10:02:31`` in India, from an instant in UTC as text."""
    return datetime.fromisoformat(at).astimezone(IST).strftime("%d %b %Y %H:%M:%S")


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "badge": badge,
    "direction": direction,
    "inr": inr,
    "ist_short": ist_short,
    "ist_second": ist_second,
    "megabytes": megabytes,
    "note": note,
    "peak_memory": peak_memory,
    "phase_word": phase_word,
    "since_word": since_word,
}
