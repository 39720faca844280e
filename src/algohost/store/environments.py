"""What strategies ask for beside the built-in packages, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from algohost.domain.ids import StrategyId
from algohost.store.tables import allowed_packages, environments, requirements


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What is known of one set of requirements: resolved and locked, or why not."""

    wanted: str
    """SHA-256 of what is asked for."""
    key: str | None = None
    """SHA-256 of Python and lock: the name of the environment's folder."""
    python: str | None = None
    lock: str | None = None
    error: str | None = None
    """What uv said, whole; ``None`` where the environment was made."""
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A set of packages that strategies of every user may use."""

    key: str
    """Of the environment that they are."""
    python: str
    lock: str
    allowed_at: datetime
    allowed_by: str
    """The name of the administrator."""


def all_requirements(connection: Connection) -> Mapping[StrategyId, str]:
    """The requirements that were typed in, by strategy."""
    rows = connection.execute(select(requirements.c.strategy_id, requirements.c.text))
    return {StrategyId(row.strategy_id): row.text for row in rows}


def set_requirements(
    connection: Connection, strategy_id: StrategyId, text: str, *, at: datetime
) -> None:
    """Keeps the requirements of a strategy; an empty text keeps none."""
    mine = requirements.c.strategy_id == strategy_id
    connection.execute(requirements.delete().where(mine))
    if text:
        connection.execute(
            requirements.insert().values(strategy_id=strategy_id, text=text, changed_at=at)
        )


def all_resolved(connection: Connection) -> Mapping[str, Resolved]:
    """What is known, by what is asked for."""
    rows = connection.execute(select(environments)).mappings()
    return {row["wanted"]: Resolved(**row) for row in rows}


def all_allowed(connection: Connection) -> Mapping[str, Allowed]:
    """What administrators have allowed, by the environment's key."""
    rows = connection.execute(select(allowed_packages)).mappings()
    return {row["key"]: Allowed(**row) for row in rows}


def allow(connection: Connection, allowed: Allowed) -> None:
    """Keeps who allowed it, for good."""
    connection.execute(allowed_packages.insert().values(**allowed.__dict__))


def put(connection: Connection, resolved: Resolved) -> None:
    """Keeps what came of one set of requirements, instead of what was known before."""
    forget(connection, resolved.wanted)
    connection.execute(environments.insert().values(**resolved.__dict__))


def forget(connection: Connection, wanted: str) -> None:
    """Lets the next look resolve anew."""
    connection.execute(environments.delete().where(environments.c.wanted == wanted))
