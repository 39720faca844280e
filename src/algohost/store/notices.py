"""Notification targets and messages in the database; of a target's address its sealed form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, RowMapping, func, select

from algohost.domain.errors import Conflict, NotFound, TooMany
from algohost.domain.ids import StrategyId, UserId
from algohost.domain.notices import (
    MOST_TARGETS,
    MOST_WAITING,
    Notice,
    NoticeState,
    NoticeTarget,
)
from algohost.store.trading_tables import notice_targets, notices

KEPT_ENDED: Final = 200
"""Messages of one user that are kept after they have ended."""


@dataclass(frozen=True, kw_only=True)
class SealedTarget:
    """A target with its address as the vault gave it."""

    target: NoticeTarget
    sealed: bytes


def seal_name(owner_id: UserId) -> StrategyId:
    """Under whose name the vault seals a user's addresses: no strategy has such an id."""
    return StrategyId(f"notices of {owner_id}")


def targets_of(connection: Connection, owner_id: UserId) -> Sequence[SealedTarget]:
    """A user's targets, by name."""
    c = notice_targets.c
    chosen = select(notice_targets).where(c.owner_id == owner_id).order_by(c.name, c.id)
    return [_target(row) for row in connection.execute(chosen).mappings()]


def target(connection: Connection, target_id: str) -> SealedTarget | None:
    """One target, whoever owns it; ``None`` for one that was removed."""
    chosen = select(notice_targets).where(notice_targets.c.id == target_id)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else _target(row)


def add_target(connection: Connection, new: NoticeTarget, sealed: bytes) -> None:
    """Keeps a new target. Raises ``Conflict`` for a name that is taken, and for one too many."""
    taken = [one.target.name.casefold() for one in targets_of(connection, new.owner_id)]
    if len(taken) >= MOST_TARGETS:
        raise Conflict(
            f"There are {MOST_TARGETS} notification targets already; remove one first.",
            code="TOO_MANY_TARGETS",
        )
    if new.name.casefold() in taken:
        raise Conflict(
            f"A notification target is called {new.name} already; remove it first, or choose"
            " another name.",
            code="NAME_TAKEN",
        )
    connection.execute(
        notice_targets.insert().values(
            id=new.id,
            owner_id=new.owner_id,
            name=new.name,
            service=new.service[:60],
            sealed=sealed,
            added_at=new.added_at,
        )
    )


def remove_target(connection: Connection, owner_id: UserId, name: str, *, at: datetime) -> None:
    """Forgets a target and what waits for it. Raises ``NotFound``."""
    found = [
        one.target
        for one in targets_of(connection, owner_id)
        if name in {one.target.id, one.target.name}
    ]
    if not found:
        raise NotFound(
            "There is no notification target of that name; it may have been removed already.",
            code="NO_TARGET",
        )
    c = notices.c
    connection.execute(notice_targets.delete().where(notice_targets.c.id == found[0].id))
    connection.execute(
        notices.update()
        .where(c.target_id == found[0].id, c.state == NoticeState.WAITING)
        .values(state=NoticeState.FAILED, body="", ended_at=at, reason="Its target was removed.")
    )


def any_sealed(connection: Connection) -> bool:
    """Whether there is a target at all."""
    return connection.execute(select(notice_targets.c.id).limit(1)).first() is not None


def reseal(connection: Connection, renew: Callable[[UserId, str, bytes], bytes]) -> int:
    """Puts ``renew``'s answer in the place of every sealed address; returns how many."""
    rows = connection.execute(select(notice_targets)).mappings().all()
    for row in rows:
        token = renew(UserId(row["owner_id"]), row["id"], bytes(row["sealed"]))
        known = notice_targets.c.id == row["id"]
        connection.execute(notice_targets.update().where(known).values(sealed=token))
    return len(rows)


def add(connection: Connection, new: Sequence[Notice]) -> None:
    """Keeps messages of one user that wait to be sent. Raises ``TooMany``."""
    c, owner_id = notices.c, new[0].owner_id
    waiting = connection.execute(
        select(func.count()).where(c.owner_id == owner_id, c.state == NoticeState.WAITING)
    ).scalar_one()
    if waiting + len(new) > MOST_WAITING:
        raise TooMany(
            f"{waiting} messages wait to be delivered already, and at most {MOST_WAITING} may;"
            " the service may be down. Look at the notification targets and try again later.",
            code="NOTICES_WAITING",
            details={"retry_after_seconds": 60.0},
        )
    connection.execute(
        notices.insert(),
        [
            {
                "owner_id": one.owner_id,
                "target_id": one.target_id,
                "at": one.at,
                "title": one.title,
                "body": one.body,
                "priority": one.priority,
                "state": one.state.value,
                "tries": one.tries,
                "due_at": one.due_at,
                "reason": one.reason,
            }
            for one in new
        ],
    )


def waiting(connection: Connection) -> Sequence[Notice]:
    """What waits to be sent, the one that is due first before the others."""
    chosen = select(notices).where(notices.c.state == NoticeState.WAITING)
    rows = connection.execute(chosen.order_by(notices.c.due_at, notices.c.number)).mappings()
    return [_notice(row) for row in rows]


def latest(connection: Connection, owner_id: UserId, *, limit: int) -> Sequence[Notice]:
    """A user's messages, newest first."""
    c = notices.c
    chosen = select(notices).where(c.owner_id == owner_id).order_by(c.number.desc()).limit(limit)
    return [_notice(row) for row in connection.execute(chosen).mappings()]


def keep(connection: Connection, changed: Sequence[Notice]) -> None:
    """Keeps how tries went; one that was ended meanwhile, with its target, stays so."""
    c = notices.c
    for one in changed:
        connection.execute(
            notices.update()
            .where(c.number == one.number, c.state == NoticeState.WAITING)
            .values(
                state=one.state.value,
                body=one.body,
                tries=one.tries,
                due_at=one.due_at,
                ended_at=one.ended_at,
                reason=one.reason[:300],
            )
        )
    for owner_id in {one.owner_id for one in changed}:
        _forget_oldest(connection, owner_id)


def _forget_oldest(connection: Connection, owner_id: UserId) -> None:
    c = notices.c
    is_ended = (c.owner_id == owner_id) & (c.state != NoticeState.WAITING)
    kept = select(c.number).where(is_ended).order_by(c.number.desc()).limit(KEPT_ENDED)
    connection.execute(notices.delete().where(is_ended, c.number.not_in(kept)))


def _target(row: RowMapping) -> SealedTarget:
    return SealedTarget(
        target=NoticeTarget(
            id=row["id"],
            owner_id=UserId(row["owner_id"]),
            name=row["name"],
            service=row["service"],
            added_at=row["added_at"],
        ),
        sealed=bytes(row["sealed"]),
    )


def _notice(row: RowMapping) -> Notice:
    return Notice(
        number=row["number"],
        owner_id=UserId(row["owner_id"]),
        target_id=row["target_id"],
        at=row["at"],
        title=row["title"],
        body=row["body"],
        priority=row["priority"],
        state=NoticeState(row["state"]),
        tries=row["tries"],
        due_at=row["due_at"],
        ended_at=row["ended_at"],
        reason=row["reason"],
    )
