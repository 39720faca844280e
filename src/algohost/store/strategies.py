"""Strategies, their versions and their intents in the database."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, func, select

from algohost.domain import timetable_json
from algohost.domain.errors import NotFound
from algohost.domain.ids import AccountId, StrategyId, UserId, VersionId
from algohost.domain.strategies import Intent, Mode, SourceProblem, Strategy, Wanted
from algohost.domain.strategy_settings import StrategySettings
from algohost.store.tables import intents, strategies, strategy_versions, versions
from algohost.store.types import insertion, utc_text

_INSERT_INTENT: Final = insertion(intents)
_CONTENT: Final = select(versions.c.content).where(versions.c.id == bindparam("version_id"))


def version_of(content: bytes) -> VersionId:
    """The id of a content: its SHA-256."""
    return VersionId(hashlib.sha256(content).hexdigest())


def insert(connection: Connection, strategy: Strategy, content: bytes) -> None:
    """Keeps a new strategy with its first version and first intent."""
    _keep_content(connection, strategy.version_id, content, strategy.created_at)
    connection.execute(
        strategies.insert().values(
            id=strategy.id,
            owner_id=strategy.owner_id,
            name=strategy.name,
            file_name=strategy.file_name,
            exchange=strategy.exchange,
            mode=strategy.mode.value,
            version_id=strategy.version_id,
            problem=_problem_to_json(strategy.problem),
            settings=strategy.settings.to_json(),
            created_at=strategy.created_at,
            schedule=timetable_json.to_json(strategy.schedule),
            schedule_set_at=strategy.schedule_set_at,
            schedule_set_by=strategy.schedule_set_by,
            account_id=strategy.account_id,
        )
    )
    _number_version(connection, strategy, by=strategy.intent.by, at=strategy.created_at)
    add_intent(connection, strategy.id, strategy.intent)


def save_version(
    connection: Connection, strategy: Strategy, content: bytes, *, by: str, at: datetime
) -> None:
    """Makes ``strategy.version_id`` the current version; earlier ones stay."""
    _keep_content(connection, strategy.version_id, content, at)
    connection.execute(
        strategies.update()
        .where(strategies.c.id == strategy.id)
        .values(
            version_id=strategy.version_id,
            file_name=strategy.file_name,
            problem=_problem_to_json(strategy.problem),
        )
    )
    _number_version(connection, strategy, by=by, at=at)


def save_settings(connection: Connection, strategy: Strategy) -> None:
    """Keeps how the strategy is run from its next start on."""
    connection.execute(
        strategies.update()
        .where(strategies.c.id == strategy.id)
        .values(settings=strategy.settings.to_json())
    )


def save_schedule(connection: Connection, strategy: Strategy) -> None:
    """Keeps when the strategy should run, by whom and when that was set, and its exchange."""
    connection.execute(
        strategies.update()
        .where(strategies.c.id == strategy.id)
        .values(
            schedule=timetable_json.to_json(strategy.schedule),
            schedule_set_at=strategy.schedule_set_at,
            schedule_set_by=strategy.schedule_set_by,
            exchange=strategy.exchange,
        )
    )


def save_account(connection: Connection, strategy: Strategy) -> None:
    """Keeps where the strategy's orders go from its next start on."""
    connection.execute(
        strategies.update()
        .where(strategies.c.id == strategy.id)
        .values(mode=strategy.mode.value, account_id=strategy.account_id)
    )


def add_intent(connection: Connection, strategy_id: StrategyId, intent: Intent) -> None:
    """Writes an intent down; its number must be new to the strategy."""
    add_intents(connection, [(strategy_id, intent)])


def add_intents(connection: Connection, new: Sequence[tuple[StrategyId, Intent]]) -> None:
    """Writes intents of several strategies down."""
    text = lru_cache(utc_text)
    rows = [
        (strategy_id, intent.number, intent.wanted.value, intent.by, text(intent.at))
        for strategy_id, intent in new
    ]
    if rows:
        connection.exec_driver_sql(_INSERT_INTENT, rows)


def mark_deleted(connection: Connection, strategy_id: StrategyId, *, at: datetime) -> None:
    """Takes the strategy out of every list; its runs and orders stay on record."""
    connection.execute(
        strategies.update().where(strategies.c.id == strategy_id).values(deleted_at=at)
    )


def everything(connection: Connection) -> Sequence[Strategy]:
    """All strategies that are not deleted, oldest first."""
    newest = (
        select(intents.c.strategy_id, func.max(intents.c.number).label("number"))
        .group_by(intents.c.strategy_id)
        .subquery()
    )
    chosen = (
        select(strategies, intents.c.number, intents.c.wanted, intents.c.by, intents.c.at)
        .join(newest, newest.c.strategy_id == strategies.c.id)
        .join(
            intents,
            (intents.c.strategy_id == strategies.c.id) & (intents.c.number == newest.c.number),
        )
        .where(strategies.c.deleted_at.is_(None))
        .order_by(strategies.c.created_at, strategies.c.id)
    )
    return [_from_row(row) for row in connection.execute(chosen).mappings()]


def id_is_taken(connection: Connection, strategy_id: StrategyId) -> bool:
    """Whether a strategy, deleted ones too, has this id."""
    found = select(strategies.c.id).where(strategies.c.id == strategy_id)
    return connection.execute(found).first() is not None


def content(connection: Connection, version_id: VersionId) -> bytes:
    """The bytes of a version. Raises ``NotFound``."""
    found = connection.execute(_CONTENT, {"version_id": version_id}).scalar()
    if found is None:
        raise NotFound(f"There is no version {version_id[:12]}.")
    return bytes(found)


def _keep_content(connection: Connection, version_id: VersionId, data: bytes, at: datetime) -> None:
    known = select(versions.c.id).where(versions.c.id == version_id)
    if connection.execute(known).first() is None:
        connection.execute(versions.insert().values(id=version_id, content=data, created_at=at))


def _number_version(connection: Connection, strategy: Strategy, *, by: str, at: datetime) -> None:
    last = connection.execute(
        select(func.max(strategy_versions.c.number)).where(
            strategy_versions.c.strategy_id == strategy.id
        )
    ).scalar()
    connection.execute(
        strategy_versions.insert().values(
            strategy_id=strategy.id,
            number=(last or 0) + 1,
            version_id=strategy.version_id,
            saved_by=by,
            saved_at=at,
        )
    )


def _problem_to_json(problem: SourceProblem | None) -> dict[str, object] | None:
    if problem is None:
        return None
    return {name: value for name, value in asdict(problem).items() if value != ""}


def _from_row(row: RowMapping) -> Strategy:
    problem = row["problem"]
    return Strategy(
        id=StrategyId(row["id"]),
        owner_id=UserId(row["owner_id"]),
        name=row["name"],
        file_name=row["file_name"],
        exchange=row["exchange"],
        mode=Mode(row["mode"]),
        version_id=VersionId(row["version_id"]),
        problem=SourceProblem(**problem) if problem else None,
        intent=Intent(
            number=row["number"], wanted=Wanted(row["wanted"]), by=row["by"], at=row["at"]
        ),
        created_at=row["created_at"],
        settings=StrategySettings.from_json(row["settings"]),
        schedule=timetable_json.from_json(row["schedule"]),
        schedule_set_at=row["schedule_set_at"],
        schedule_set_by=row["schedule_set_by"],
        account_id=None if row["account_id"] is None else AccountId(row["account_id"]),
    )
