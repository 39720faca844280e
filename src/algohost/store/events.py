"""What happened to a run while it lived, for people: flags of its health, what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from algohost.domain.ids import RunId
from algohost.store.tables import run_events


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened; ``kind`` is for programs, ``sentence`` for people."""

    run_id: RunId
    at: datetime
    kind: str
    sentence: str


def add(connection: Connection, event: Event) -> None:
    """Writes an event down."""
    connection.execute(
        insert(run_events).values(
            run_id=event.run_id,
            at=event.at,
            kind=event.kind[:32],
            sentence=event.sentence[:500],
        )
    )


def of_run(connection: Connection, run_id: RunId, *, limit: int = 100) -> Sequence[Event]:
    """The newest events of a run, newest first."""
    chosen = (
        select(run_events)
        .where(run_events.c.run_id == run_id)
        .order_by(run_events.c.sequence.desc())
        .limit(limit)
    )
    return [
        Event(run_id=RunId(row["run_id"]), at=row["at"], kind=row["kind"], sentence=row["sentence"])
        for row in connection.execute(chosen).mappings()
    ]
