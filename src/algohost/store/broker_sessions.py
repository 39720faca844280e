"""Logins of accounts at their brokers, and the kill switches that are engaged."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, select

from algohost.domain.broker_sessions import BrokerSession, Told
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.kill_switch import Engaged, KillScope, KillTarget
from algohost.store.trading_tables import broker_sessions, kill_switches


def all_sessions(connection: Connection) -> Sequence[BrokerSession]:
    """The session of every account that was ever logged in or out.

    Raises ``Unavailable`` where a row cannot be read: none is left out silently.
    """
    return [_session(row) for row in connection.execute(select(broker_sessions)).mappings()]


def put_session(connection: Connection, session: BrokerSession) -> None:
    """Keeps a session instead of the account's former one."""
    c = broker_sessions.c
    connection.execute(broker_sessions.delete().where(c.account_id == session.account_id))
    connection.execute(
        broker_sessions.insert().values(
            account_id=session.account_id,
            is_login=session.is_login,
            at=session.at,
            by=session.by[:80],
            expires_at=session.expires_at,
            told=session.told.value,
        )
    )


def all_engaged(connection: Connection) -> Sequence[Engaged]:
    """Every switch that is engaged. Raises ``Unavailable`` as ``all_sessions`` does."""
    return [_engaged(row) for row in connection.execute(select(kill_switches)).mappings()]


def engage(connection: Connection, engaged: Engaged) -> None:
    """Keeps a switch as engaged, instead of how it was engaged before."""
    release(connection, engaged.target)
    connection.execute(
        kill_switches.insert().values(
            scope=engaged.target.scope.value,
            target=engaged.target.id,
            at=engaged.at,
            by=engaged.by[:80],
            reason=engaged.reason[:300],
        )
    )


def release(connection: Connection, target: KillTarget) -> None:
    """Forgets that a switch is engaged."""
    c = kill_switches.c
    connection.execute(
        kill_switches.delete().where(c.scope == target.scope.value, c.target == target.id)
    )


def _session(row: RowMapping) -> BrokerSession:
    try:
        told = Told(row["told"])
    except ValueError as error:
        raise _unreadable(f"session of account {row['account_id']}", error) from error
    return BrokerSession(
        account_id=AccountId(row["account_id"]),
        is_login=row["is_login"],
        at=row["at"],
        by=row["by"],
        expires_at=row["expires_at"],
        told=told,
    )


def _engaged(row: RowMapping) -> Engaged:
    try:
        scope = KillScope(row["scope"])
    except ValueError as error:
        raise _unreadable(f"kill switch {row['scope']} {row['target']}", error) from error
    target = KillTarget(scope=scope, id=row["target"])
    return Engaged(target=target, by=row["by"], at=row["at"], reason=row["reason"])


def _unreadable(what: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"The {what} in the database cannot be read ({error}); a newer algohost may have written"
        " it. Start that one, or restore a backup.",
        code="DATABASE_DAMAGED",
    )
