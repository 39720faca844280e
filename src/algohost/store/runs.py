"""Runs in the database: each change is one row, found by id."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, RowMapping, case, func, select
from sqlalchemy.exc import IntegrityError

from algohost.domain.errors import Conflict
from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import Enforcement, Outcome, OutcomeKind, ProcessIdentity, Run, RunState
from algohost.store.tables import runs

_NEWEST_FIRST: Final = (
    case((runs.c.state != RunState.ENDED.value, 0), else_=1),
    runs.c.intent_number.desc(),
    runs.c.attempt.desc(),
    runs.c.created_at.desc(),
)
"""The live run, then by intents and their restarts, which count up: a clock may be set back."""
_INSERT: Final = runs.insert()  # made once: a start waits for it


def insert(connection: Connection, run: Run, *, token_hash: str | None = None) -> None:
    """Keeps a new run. Raises ``Conflict`` while the strategy has another live one."""
    try:
        connection.execute(_INSERT, {**_to_row(run), "token_hash": token_hash})
    except IntegrityError as error:
        other = live_run_id(connection, run.strategy_id)
        if other is None:
            raise
        raise Conflict(
            f"The strategy runs already (run {other}).",
            code="ALREADY_RUNNING",
            details={"run_id": other},
        ) from error


def update(connection: Connection, run: Run) -> None:
    """Writes down how the run stands now."""
    connection.execute(runs.update().where(runs.c.id == run.id).values(**_to_row(run)))


def set_token_hash(connection: Connection, run_id: RunId, token_hash: str) -> None:
    """Gives the run another token, before it is launched."""
    connection.execute(runs.update().where(runs.c.id == run_id).values(token_hash=token_hash))


def live_run_id(connection: Connection, strategy_id: StrategyId) -> RunId | None:
    """The run of the strategy that has not ended, if there is one."""
    found = connection.execute(
        select(runs.c.id).where(
            runs.c.strategy_id == strategy_id, runs.c.state != RunState.ENDED.value
        )
    ).scalar()
    return None if found is None else RunId(found)


def latest_of_each(connection: Connection) -> Sequence[Run]:
    """The newest run of every strategy that has had one."""
    place = func.row_number().over(partition_by=runs.c.strategy_id, order_by=_NEWEST_FIRST)
    placed = select(runs.c.id, place.label("place")).subquery()
    chosen = select(runs).join(placed, placed.c.id == runs.c.id).where(placed.c.place == 1)
    return [_from_row(row) for row in connection.execute(chosen).mappings()]


def restarts_of_each(connection: Connection, *, limit: int) -> Sequence[Run]:
    """The restarts of each strategy's newest answered intent: newest first, ``limit`` of each."""
    newest = (
        select(runs.c.strategy_id, func.max(runs.c.intent_number).label("number"))
        .group_by(runs.c.strategy_id)
        .subquery()
    )
    of_newest = (runs.c.strategy_id == newest.c.strategy_id) & (
        runs.c.intent_number == newest.c.number
    )
    place = func.row_number().over(partition_by=runs.c.strategy_id, order_by=runs.c.attempt.desc())
    placed = (
        select(runs.c.id, place.label("place"))
        .join(newest, of_newest)
        .where(runs.c.attempt > 0)
        .subquery()
    )
    chosen = (
        select(runs)
        .join(placed, placed.c.id == runs.c.id)
        .where(placed.c.place <= limit)
        .order_by(runs.c.strategy_id, runs.c.attempt.desc())
    )
    return [_from_row(row) for row in connection.execute(chosen).mappings()]


def live_token_hashes(connection: Connection) -> dict[RunId, str]:
    """The token hash of each run that has not ended."""
    live = select(runs.c.id, runs.c.token_hash).where(runs.c.state != RunState.ENDED.value)
    return {RunId(i): h for i, h in connection.execute(live) if h is not None}


def of_strategy(connection: Connection, strategy_id: StrategyId, *, limit: int) -> Sequence[Run]:
    """The newest ``limit`` runs of a strategy, newest first."""
    chosen = (
        select(runs).where(runs.c.strategy_id == strategy_id).order_by(*_NEWEST_FIRST).limit(limit)
    )
    return [_from_row(row) for row in connection.execute(chosen).mappings()]


def _to_row(run: Run) -> dict[str, object]:
    process, outcome = run.process, run.outcome
    return {
        "id": run.id,
        "strategy_id": run.strategy_id,
        "version_id": run.version_id,
        "intent_number": run.intent_number,
        "state": run.state.value,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "stop_asked_at": run.stop_asked_at,
        "stop_asked_by": run.stop_asked_by,
        "ended_at": run.ended_at,
        "boot_id": process.boot_id if process else None,
        "pid": process.pid if process else None,
        "start_ticks": process.start_ticks if process else None,
        "outcome": outcome.kind.value if outcome else None,
        "exit_code": outcome.exit_code if outcome else None,
        "signal": outcome.signal if outcome else None,
        "reason": outcome.reason[:500] if outcome else "",
        "peak_memory_bytes": run.peak_memory_bytes,
        "cpu_seconds": run.cpu_seconds,
        "log_name": run.log_name,
        "enforced": [asdict(one) for one in run.enforced],
        "attempt": run.attempt,
    }


def _from_row(row: RowMapping) -> Run:
    return Run(
        id=RunId(row["id"]),
        strategy_id=StrategyId(row["strategy_id"]),
        version_id=VersionId(row["version_id"]),
        intent_number=row["intent_number"],
        state=RunState(row["state"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        stop_asked_at=row["stop_asked_at"],
        stop_asked_by=row["stop_asked_by"],
        ended_at=row["ended_at"],
        process=(
            ProcessIdentity(boot_id=row["boot_id"], pid=row["pid"], start_ticks=row["start_ticks"])
            if row["pid"] is not None
            else None
        ),
        outcome=(
            Outcome(
                kind=OutcomeKind(row["outcome"]),
                exit_code=row["exit_code"],
                signal=row["signal"],
                reason=row["reason"],
            )
            if row["outcome"] is not None
            else None
        ),
        peak_memory_bytes=row["peak_memory_bytes"],
        cpu_seconds=row["cpu_seconds"],
        log_name=row["log_name"],
        enforced=tuple(Enforcement(**one) for one in row["enforced"]),
        attempt=row["attempt"],
    )
