"""The ledger of schedules in the database. Its keys are unique: that makes a start happen once."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from algohost.domain.errors import Conflict
from algohost.domain.ids import RunId, StrategyId
from algohost.domain.ledger import ALWAYS, LedgerRow, OccurrenceState, answered
from algohost.domain.runs import Run
from algohost.store.tables import last_looks, occurrences
from algohost.store.types import insertion, utc_text

_INSERT: Final = insertion(occurrences)
_SCHEDULER: Final = "scheduler"
_DUE_BY_INTENT: Final = select(occurrences).where(  # made once: each start waits for it
    occurrences.c.strategy_id == bindparam("strategy_id"),
    occurrences.c.intent_number == bindparam("intent_number"),
    occurrences.c.state == OccurrenceState.DUE.value,
)


def add(connection: Connection, rows: Sequence[LedgerRow]) -> None:
    """Keeps new rows. Raises ``IntegrityError`` for a key that is known already.

    Written to the driver: a thousand starts may be due in one second, and share their instants.
    """
    if rows:
        text = lru_cache(utc_text)
        connection.exec_driver_sql(_INSERT, [_to_values(row, text) for row in rows])


def change(connection: Connection, before: LedgerRow, after: LedgerRow) -> None:
    """Writes down what became of a row. Raises ``Conflict`` where it is not ``before`` any more."""
    done = connection.execute(
        occurrences.update()
        .where(
            occurrences.c.strategy_id == before.strategy_id,
            occurrences.c.key == before.key,
            occurrences.c.state == before.state.value,
            occurrences.c.decided_at == before.decided_at,
        )
        .values(**_to_row(after))
    )
    if done.rowcount != 1:
        raise Conflict(f"The row {before.key} of {before.strategy_id} was changed meanwhile.")


def answer(connection: Connection, run: Run) -> None:
    """Says of what is due by the run's intent that it has started, with that run."""
    which = {"strategy_id": run.strategy_id, "intent_number": run.intent_number}
    for row in connection.execute(_DUE_BY_INTENT, which).mappings().all():
        before = _from_row(row)
        change(connection, before, answered(before, run))


def withdraw(
    connection: Connection, strategy_id: StrategyId, *, by: str, sentence: str, at: datetime
) -> None:
    """Skips what is still due of a strategy, because somebody set another schedule."""
    connection.execute(
        occurrences.update()
        .where(
            occurrences.c.strategy_id == strategy_id,
            occurrences.c.state == OccurrenceState.DUE.value,
        )
        .values(state=OccurrenceState.SKIPPED.value, by=by, sentence=sentence, decided_at=at)
    )


def since(
    connection: Connection, start: datetime, strategy_id: StrategyId | None = None
) -> Mapping[StrategyId, Sequence[LedgerRow]]:
    """The rows that may still matter then: started since, due, or without an end; by strategy."""
    chosen = select(occurrences).where(
        (occurrences.c.start_at >= start)
        | (occurrences.c.state == OccurrenceState.DUE.value)
        | occurrences.c.key.startswith(ALWAYS)
    )
    if strategy_id is not None:
        chosen = chosen.where(occurrences.c.strategy_id == strategy_id)
    return _by_strategy(connection, chosen)


def between(
    connection: Connection, start: datetime, end: datetime
) -> Mapping[StrategyId, Sequence[LedgerRow]]:
    """The rows of all strategies that start in ``[start, end)``, by strategy."""
    chosen = select(occurrences).where(
        occurrences.c.start_at >= start, occurrences.c.start_at < end
    )
    return _by_strategy(connection, chosen)


def newest(connection: Connection, strategy_id: StrategyId, *, limit: int) -> Sequence[LedgerRow]:
    """The newest rows of a strategy, newest first."""
    chosen = (
        select(occurrences)
        .where(occurrences.c.strategy_id == strategy_id)
        .order_by(occurrences.c.start_at.desc(), occurrences.c.key)
        .limit(limit)
    )
    return [_from_row(row) for row in connection.execute(chosen).mappings()]


def forget_before(connection: Connection, at: datetime) -> int:
    """Removes old rows, unless they have no end; says how many."""
    old = (occurrences.c.start_at < at) & ~occurrences.c.key.startswith(ALWAYS)
    return connection.execute(delete(occurrences).where(old)).rowcount


def last_look(connection: Connection) -> datetime | None:
    """When the schedules were looked at last, as far as that was written down."""
    chosen = select(last_looks.c.at).where(last_looks.c.who == _SCHEDULER)
    return connection.execute(chosen).scalar()


def looked(connection: Connection, at: datetime) -> None:
    """Writes down that the schedules were looked at."""
    row = upsert(last_looks).values(who=_SCHEDULER, at=at)
    connection.execute(
        row.on_conflict_do_update(index_elements=[last_looks.c.who], set_={"at": row.excluded.at})
    )


def _by_strategy(
    connection: Connection, chosen: Select[Any]
) -> Mapping[StrategyId, Sequence[LedgerRow]]:
    found: defaultdict[StrategyId, list[LedgerRow]] = defaultdict(list)
    for row in connection.execute(chosen.order_by(occurrences.c.start_at)).mappings():
        found[StrategyId(row["strategy_id"])].append(_from_row(row))
    return found


def _to_row(row: LedgerRow) -> dict[str, object]:
    return {
        "strategy_id": row.strategy_id,
        "key": row.key,
        "start_at": row.start_at,
        "ends_at": row.ends_at,
        "stops": row.stops,
        "state": row.state.value,
        "intent_number": row.intent_number,
        "run_id": row.run_id,
        "lateness_ms": row.lateness_ms,
        "gate_code": row.gate_code,
        "sentence": row.sentence,
        "decided_at": row.decided_at,
        "by": row.by,
        "alerted_at": row.alerted_at,
    }


def _to_values(row: LedgerRow, text: Callable[[datetime | None], str | None]) -> tuple[object, ...]:
    """As ``_to_row``, in the order of the columns."""
    return (
        row.strategy_id,
        row.key,
        text(row.start_at),
        text(row.ends_at),
        row.stops,
        row.state.value,
        row.intent_number,
        row.run_id,
        row.lateness_ms,
        row.gate_code,
        row.sentence,
        text(row.decided_at),
        row.by,
        text(row.alerted_at),
    )


def _from_row(row: RowMapping) -> LedgerRow:
    run_id = row["run_id"]
    values = {name: row[name] for name in _PLAIN}
    return LedgerRow(
        **values,
        strategy_id=StrategyId(row["strategy_id"]),
        state=OccurrenceState(row["state"]),
        run_id=None if run_id is None else RunId(run_id),
    )


_PLAIN: Final = (
    "key", "start_at", "ends_at", "stops", "intent_number", "lateness_ms", "gate_code",
    "sentence", "decided_at", "by", "alerted_at",
)  # fmt: skip
