"""What kill switches were asked to do beyond holding back, and how far that is."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, select

from algohost.domain.errors import Unavailable
from algohost.domain.kill_switch import (
    KillReport,
    KillScope,
    KillState,
    KillStep,
    KillTarget,
    KillTask,
)
from algohost.store.trading_tables import kill_tasks


def everything(connection: Connection) -> Sequence[KillTask]:
    """The newest task of every target. Raises ``Unavailable`` where one cannot be read."""
    return [_task(row) for row in connection.execute(select(kill_tasks)).mappings()]


def put(connection: Connection, task: KillTask) -> None:
    """Keeps a task, as it stands, instead of the target's former one."""
    c = kill_tasks.c
    connection.execute(
        kill_tasks.delete().where(c.scope == task.target.scope.value, c.target == task.target.id)
    )
    connection.execute(
        kill_tasks.insert().values(
            scope=task.target.scope.value,
            target=task.target.id,
            at=task.at,
            by=task.by[:80],
            steps=[step.value for step in task.steps],
            state=task.state.value,
            report=asdict(task.report),
            ended_at=task.ended_at,
        )
    )


def _task(row: RowMapping) -> KillTask:
    try:
        report = {**row["report"], "troubles": tuple(row["report"].get("troubles", ()))}
        return KillTask(
            target=KillTarget(scope=KillScope(row["scope"]), id=row["target"]),
            by=row["by"],
            at=row["at"],
            steps=tuple(KillStep(step) for step in row["steps"]),
            state=KillState(row["state"]),
            report=KillReport(**report),
            ended_at=row["ended_at"],
        )
    except (ValueError, TypeError) as error:
        raise Unavailable(
            f"What the kill switch {row['scope']} {row['target']} was asked to do cannot be read"
            f" in the database ({error!r}); a newer algohost may have written it. Start that one,"
            " or restore a backup.",
            code="DATABASE_DAMAGED",
        ) from error
