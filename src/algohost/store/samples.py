"""What runs have used, in small rows that are kept for a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from algohost.domain.ids import RunId
from algohost.store.tables import run_samples


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One run at one moment."""

    run_id: RunId
    at: datetime
    cpu_seconds: float
    memory_bytes: int
    threads: int
    written_bytes: int


def add(connection: Connection, samples: Sequence[Sample]) -> None:
    """Keeps samples; one of a moment that is there already is left as it is."""
    if samples:
        connection.execute(
            insert(run_samples).prefix_with("OR IGNORE"),
            [{name: getattr(one, name) for name in Sample.__slots__} for one in samples],
        )


def of_run(connection: Connection, run_id: RunId, *, since: datetime) -> Sequence[Sample]:
    """The samples of a run from ``since`` on, oldest first."""
    chosen = (
        select(run_samples)
        .where(run_samples.c.run_id == run_id, run_samples.c.at >= since)
        .order_by(run_samples.c.at)
    )
    return [
        Sample(
            run_id=RunId(row["run_id"]),
            at=row["at"],
            cpu_seconds=row["cpu_seconds"],
            memory_bytes=row["memory_bytes"],
            threads=row["threads"],
            written_bytes=row["written_bytes"],
        )
        for row in connection.execute(chosen).mappings()
    ]


def prune(connection: Connection, *, before: datetime) -> int:
    """Throws away what is older; returns how many rows that were."""
    return connection.execute(delete(run_samples).where(run_samples.c.at < before)).rowcount
