"""Users, their sessions and their API keys in the database. Secrets are kept as hashes only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from algohost.domain.ids import UserId
from algohost.domain.users import User
from algohost.store.tables import api_keys, sessions, users


@dataclass(frozen=True, kw_only=True)
class StoredUser:
    """A user with what their password is checked against."""

    user: User
    password_hash: str


@dataclass(frozen=True, kw_only=True)
class StoredSession:
    """A login that still counts, under the SHA-256 of its cookie."""

    token_hash: str
    user_id: UserId
    csrf: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class StoredKey:
    """An API key, under its SHA-256; ``prefix`` is what people recognise it by."""

    key_hash: str
    prefix: str
    user_id: UserId


def all_users(connection: Connection) -> Sequence[StoredUser]:
    """Everybody, oldest first."""
    return [
        StoredUser(
            user=User(
                id=UserId(row.id), name=row.name, is_admin=row.is_admin, created_at=row.created_at
            ),
            password_hash=row.password_hash,
        )
        for row in connection.execute(select(users).order_by(users.c.created_at, users.c.id))
    ]


def is_admin(connection: Connection, user_id: UserId) -> bool:
    """Whether the user is there and an administrator."""
    found = select(users.c.is_admin).where(users.c.id == user_id)
    return bool(connection.execute(found).scalar())


def count_users(connection: Connection) -> int:
    """How many users there are."""
    return connection.execute(select(func.count()).select_from(users)).scalar_one()


def is_taken(connection: Connection, name: str) -> bool:
    """Whether a user has that name, in capitals or not."""
    return connection.execute(select(users.c.id).where(users.c.name == name)).first() is not None


def insert_user(connection: Connection, stored: StoredUser) -> None:
    """Keeps a new user, whose name must be free."""
    user = stored.user
    connection.execute(
        users.insert().values(
            id=user.id,
            name=user.name,
            password_hash=stored.password_hash,
            is_admin=user.is_admin,
            created_at=user.created_at,
        )
    )


def has_password_hash(connection: Connection, user_id: UserId, password_hash: str) -> bool:
    """Whether that is still the user's password."""
    found = connection.execute(select(users.c.password_hash).where(users.c.id == user_id)).scalar()
    return found == password_hash


def set_password_hash(connection: Connection, user_id: UserId, password_hash: str) -> None:
    """Replaces a password and ends all sessions that it opened."""
    connection.execute(
        users.update().where(users.c.id == user_id).values(password_hash=password_hash)
    )
    connection.execute(sessions.delete().where(sessions.c.user_id == user_id))


def all_sessions(connection: Connection) -> Sequence[StoredSession]:
    """Every session on record, expired ones too."""
    return [
        StoredSession(
            token_hash=row.token_hash,
            user_id=UserId(row.user_id),
            csrf=row.csrf,
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            expires_at=row.expires_at,
        )
        for row in connection.execute(select(sessions))
    ]


def insert_session(connection: Connection, session: StoredSession) -> None:
    """Keeps a new session."""
    connection.execute(sessions.insert().values(**vars(session)))


def touch_session(connection: Connection, token_hash: str, at: datetime) -> None:
    """Notes when a session was last used."""
    connection.execute(
        sessions.update().where(sessions.c.token_hash == token_hash).values(last_seen_at=at)
    )


def delete_session(connection: Connection, token_hash: str) -> None:
    """Ends a session; nothing happens where there is none."""
    connection.execute(sessions.delete().where(sessions.c.token_hash == token_hash))


def delete_expired_sessions(connection: Connection, *, now: datetime, idle_since: datetime) -> None:
    """Forgets sessions past their end, or not used since ``idle_since``."""
    connection.execute(
        sessions.delete().where(
            or_(sessions.c.expires_at <= now, sessions.c.last_seen_at <= idle_since)
        )
    )


def live_keys(connection: Connection) -> Sequence[StoredKey]:
    """The keys that are not revoked."""
    return [
        StoredKey(key_hash=row.key_hash, prefix=row.prefix, user_id=UserId(row.user_id))
        for row in connection.execute(select(api_keys).where(api_keys.c.revoked_at.is_(None)))
    ]


def replace_key(connection: Connection, key_id: str, key: StoredKey, *, at: datetime) -> None:
    """Makes ``key`` the one key of its user; earlier ones are revoked."""
    connection.execute(
        api_keys.update()
        .where(api_keys.c.user_id == key.user_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )
    connection.execute(
        api_keys.insert().values(
            id=key_id,
            user_id=key.user_id,
            prefix=key.prefix,
            key_hash=key.key_hash,
            created_at=at,
        )
    )
