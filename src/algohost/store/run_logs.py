"""What the database knows of runs' logs: which there are, and the last lines of each run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from algohost.domain.ids import RunId, StrategyId
from algohost.domain.runs import RunState
from algohost.store.tables import run_tails, runs


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """A run whose log has not been removed."""

    id: RunId
    strategy_id: StrategyId
    log_name: str
    created_at: datetime
    is_live: bool


def keep_tail(connection: Connection, run_id: RunId, lines: Sequence[str]) -> None:
    """Keeps a run's last lines, once; a second time changes nothing."""
    values = {"run_id": run_id, "text": "\n".join(lines)}
    connection.execute(run_tails.insert().prefix_with("OR IGNORE").values(values))


def tail_of(connection: Connection, run_id: RunId) -> list[str] | None:
    """The last lines of a run; ``None`` for one that has not ended, or ended before they were
    kept."""
    found = connection.execute(select(run_tails.c.text).where(run_tails.c.run_id == run_id))
    text = found.scalar()
    return None if text is None else text.split("\n") if text else []


def logged_runs(
    connection: Connection, strategy_id: StrategyId | None = None
) -> Sequence[LoggedRun]:
    """Runs with a log, of one strategy or of all, deleted ones too; newest first."""
    chosen = select(
        runs.c.id, runs.c.strategy_id, runs.c.log_name, runs.c.created_at, runs.c.state
    ).where(runs.c.log_name != "")
    if strategy_id is not None:
        chosen = chosen.where(runs.c.strategy_id == strategy_id)
    newest_first = chosen.order_by(runs.c.created_at.desc(), runs.c.intent_number.desc())
    return [
        LoggedRun(
            id=RunId(row.id),
            strategy_id=StrategyId(row.strategy_id),
            log_name=row.log_name,
            created_at=row.created_at,
            is_live=row.state != RunState.ENDED.value,
        )
        for row in connection.execute(newest_first)
    ]


def forget_logs(connection: Connection, run_ids: Iterable[RunId]) -> None:
    """Says of these runs that their logs were removed."""
    for run_id in run_ids:
        connection.execute(runs.update().where(runs.c.id == run_id).values(log_name=""))
