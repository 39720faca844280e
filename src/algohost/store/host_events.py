"""What happened to accounts and to the server as a whole, for people; runs have their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from algohost.store.trading_tables import host_events


@dataclass(frozen=True, kw_only=True)
class HostEvent:
    """One thing that happened; ``kind`` is for programs, ``sentence`` for people."""

    subject: str
    """The id of the account or strategy that it is about; empty for the server."""
    at: datetime
    kind: str
    sentence: str


def add(connection: Connection, event: HostEvent) -> None:
    """Writes an event down."""
    connection.execute(
        insert(host_events).values(
            subject=event.subject,
            at=event.at,
            kind=event.kind[:40],
            sentence=event.sentence[:500],
        )
    )


def forget(connection: Connection, *, before: datetime, most: int) -> int:
    """Removes what happened before then, and all but the newest ``most``; says how many."""
    newest = select(func.max(host_events.c.sequence)).scalar_subquery()
    old = (host_events.c.at < before) | (host_events.c.sequence <= newest - most)
    return connection.execute(delete(host_events).where(old)).rowcount


def of_subject(connection: Connection, subject: str, *, limit: int = 20) -> Sequence[HostEvent]:
    """The newest events about a subject, newest first."""
    chosen = (
        select(host_events)
        .where(host_events.c.subject == subject)
        .order_by(host_events.c.sequence.desc())
        .limit(limit)
    )
    return [
        HostEvent(subject=row["subject"], at=row["at"], kind=row["kind"], sentence=row["sentence"])
        for row in connection.execute(chosen).mappings()
    ]
