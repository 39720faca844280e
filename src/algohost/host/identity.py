"""Who is asking: users and their passwords, sessions, API keys and runs' tokens.

Everything that is asked on each request is answered from memory; everything that changes is in
the database before it counts. Of each secret only a hash is kept: Argon2id of passwords, SHA-256
of the 256-bit random ones.
"""

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final

from argon2 import PasswordHasher
from sqlalchemy import Connection

from algohost.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from algohost.domain.ids import RunId, UserId
from algohost.domain.ports import Clock
from algohost.domain.users import Principal, User, paper_account
from algohost.host.passwords import LONGEST_PASSWORD, Passwords, check_password
from algohost.host.throttle import Throttle
from algohost.store import audit
from algohost.store import users as repository
from algohost.store.database import Database
from algohost.store.users import StoredKey, StoredSession, StoredUser

log = logging.getLogger(__name__)

SESSION_IDLE: Final = timedelta(hours=12)
SESSION_LIFE: Final = timedelta(days=7)
SETUP_LIFE: Final = timedelta(hours=24)
_TOUCH_EVERY: Final = timedelta(minutes=5)
_LONGEST_SECRET: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?")
_SETUP: Final = "(setup)"  # no user's name, so its tally is its own


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login: who, the token that pages send back, and when it ends at the latest."""

    user: User
    csrf: str
    expires_at: datetime


@dataclass(slots=True)
class _Open:
    session: Session
    last_seen_at: datetime
    saved_at: datetime


class Identity:
    """Knows everybody. Used on the server's loop; made once per server, closed once."""

    def __init__(
        self, database: Database, clock: Clock, *, hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = Passwords(hasher or PasswordHasher())
        self._throttle = Throttle(clock.monotonic)
        self._later: set[asyncio.Task[None]] = set()
        stored = database.read(repository.all_users)
        self._users = {one.user.id: one.user for one in stored}
        self._hashes = {one.user.id: one.password_hash for one in stored}
        self._by_name = {one.user.name.lower(): one.user.id for one in stored}
        self._sessions = self._load_sessions()
        self._keys: dict[str, tuple[str, Principal]] = {}
        for key in database.read(repository.live_keys):
            self._put_key(key)
        self._run_hashes: dict[RunId, str] = {}
        self._setup_token = None if self._users else secrets.token_urlsafe(32)
        self._setup_until = clock.now() + SETUP_LIFE

    async def close(self) -> None:
        """Waits for what is still being written."""
        await asyncio.gather(*self._later)

    # ---- users

    def has_users(self) -> bool:
        """Whether the server has been set up."""
        return bool(self._users)

    def user(self, user_id: UserId) -> User:
        """The user of that id. Raises ``NotFound``."""
        try:
            return self._users[user_id]
        except KeyError:
            raise NotFound("There is no such user.") from None

    def users(self) -> Sequence[User]:
        """Everybody, oldest first."""
        return tuple(self._users.values())

    def setup_token(self) -> str | None:
        """The token with which the first administrator is made; ``None`` when it no longer counts.

        New at each start of a server without users, good once and for 24 h.
        """
        return self._setup_token if self._clock.now() < self._setup_until else None

    async def complete_setup(
        self, token: str, name: str, password: str, peer: str = "console"
    ) -> User:
        """Makes the first administrator, once.

        Raises ``Forbidden`` for a wrong or expired token, ``Invalid`` as ``create_user`` does,
        ``Conflict`` where somebody was faster and ``TooMany`` for guessing.
        """
        self._throttle.admit(_SETUP, peer)
        expected = self.setup_token()
        if expected is None or not compare_digest(token.encode(), expected.encode()):
            raise Forbidden(
                "The setup link is wrong or no longer valid; restart the server and use the link"
                " that it prints.",
                code="SETUP_TOKEN",
            )
        self._throttle.succeeded(_SETUP, peer)
        user = await self._add_user(name, password, is_admin=True, must_be_first=True)
        self._setup_token = None
        log.info("setup_completed user=%r", user.name)
        return user

    async def create_user(self, name: str, password: str, *, is_admin: bool) -> User:
        """Makes a user. Raises ``Invalid`` for name or password, ``Conflict`` for a taken name."""
        return await self._add_user(name, password, is_admin=is_admin, must_be_first=False)

    async def set_password(self, user_id: UserId, password: str) -> None:
        """Changes a password; all sessions of that user end. Raises ``Invalid``, ``NotFound``."""
        user = self.user(user_id)
        check_password(password, user.name)
        password_hash = await self._passwords.hash(password)

        def write(connection: Connection) -> None:
            repository.set_password_hash(connection, user_id, password_hash)
            self._note(connection, "password_changed", user)

        await self._database.write(write)
        self._hashes[user_id] = password_hash
        self._sessions = {
            token_hash: opened
            for token_hash, opened in self._sessions.items()
            if opened.session.user.id != user_id
        }
        log.info("password_changed user=%r", user.name)

    async def _add_user(
        self, name: str, password: str, *, is_admin: bool, must_be_first: bool
    ) -> User:
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                "The name must be 1 to 64 letters, digits, dots, dashes, underscores or @, and"
                " begin and end with a letter or digit.",
                code="BAD_NAME",
            )
        check_password(password, name)
        user = User(
            id=UserId(secrets.token_hex(8)),
            name=name,
            is_admin=is_admin,
            created_at=self._clock.now(),
        )
        stored = StoredUser(user=user, password_hash=await self._passwords.hash(password))

        def insert(connection: Connection) -> None:
            if must_be_first and repository.count_users(connection):
                raise Conflict("This server has been set up already; log in instead.")
            if repository.is_taken(connection, name):
                raise Conflict(f"There is a user {name} already; choose another name.")
            repository.insert_user(connection, stored)
            audit.note(
                connection, "user_added", at=user.created_at, by="console", subject=name,
                role="admin" if is_admin else "user",
            )  # fmt: skip

        await self._database.write(insert)
        self._users[user.id] = user
        self._hashes[user.id] = stored.password_hash
        self._by_name[name.lower()] = user.id
        return user

    # ---- sessions

    async def log_in(self, name: str, password: str, peer: str) -> tuple[Session, str]:
        """A new session and its cookie.

        Raises ``Unauthorized``, the same after the same time whether or not there is such a
        user, and ``TooMany`` where the account or the address has tried too often.
        """
        self._throttle.admit(name, peer)
        user_id = self._by_name.get(name.lower())
        expected = self._hashes[user_id] if user_id is not None else self._passwords.nobodys
        is_right = await self._passwords.verify(expected, password[:LONGEST_PASSWORD])
        if user_id is None or not is_right or len(password) > LONGEST_PASSWORD:
            log.warning("login_failed name=%r peer=%r", name[:64], peer[:64])
            self._write_later(self._note_failure(name, peer))  # no longer for one that exists
            raise _wrong_credentials()
        self._throttle.succeeded(name, peer)
        session, secret = await self._open_session(self._users[user_id], expected, peer)
        log.info("login user=%r peer=%r", session.user.name, peer[:64])
        return session, secret

    def session(self, secret: str) -> Session | None:
        """Whose cookie this is, if it still counts; keeps the session from going idle."""
        token_hash = _digest(secret)
        opened = self._alive(token_hash)
        if opened is None:
            return None
        now = self._clock.now()
        opened.last_seen_at = now
        if now - opened.saved_at >= _TOUCH_EVERY:
            opened.saved_at = now
            self._write_later(self._touch(token_hash, now))
        return opened.session

    def peek(self, secret: str) -> Session | None:
        """As ``session``, without keeping it from going idle: for sockets that stay open."""
        opened = self._alive(_digest(secret))
        return None if opened is None else opened.session

    async def log_out(self, secret: str) -> None:
        """Ends the session of that cookie, at once and for good; none is no error."""
        token_hash = _digest(secret)
        ended = self._sessions.pop(token_hash, None)
        if ended is None:
            return

        def write(connection: Connection) -> None:
            repository.delete_session(connection, token_hash)
            self._note(connection, "logout", ended.session.user)

        await self._database.write(write)

    async def _open_session(self, user: User, password_hash: str, peer: str) -> tuple[Session, str]:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        stored = StoredSession(
            token_hash=_digest(secret),
            user_id=user.id,
            csrf=secrets.token_urlsafe(32),
            created_at=now,
            last_seen_at=now,
            expires_at=now + SESSION_LIFE,
        )

        def write(connection: Connection) -> None:
            if not repository.has_password_hash(connection, user.id, password_hash):
                raise _wrong_credentials()  # it was changed while the old one was checked
            repository.delete_expired_sessions(connection, now=now, idle_since=now - SESSION_IDLE)
            repository.insert_session(connection, stored)
            self._note(connection, "login", user, peer=peer[:64])

        await self._database.write(write)
        opened = self._put_session(stored)
        return opened.session, secret

    def _load_sessions(self) -> dict[str, _Open]:
        self._sessions = {}
        for stored in self._database.read(repository.all_sessions):
            self._put_session(stored)
        return self._sessions

    def _put_session(self, stored: StoredSession) -> _Open:
        session = Session(
            user=self._users[stored.user_id], csrf=stored.csrf, expires_at=stored.expires_at
        )
        opened = _Open(session, stored.last_seen_at, stored.last_seen_at)
        self._sessions[stored.token_hash] = opened
        return opened

    def _alive(self, token_hash: str) -> _Open | None:
        opened = self._sessions.get(token_hash)
        if opened is None:
            return None
        now = self._clock.now()
        if now < opened.session.expires_at and now - opened.last_seen_at < SESSION_IDLE:
            return opened
        del self._sessions[token_hash]  # its row goes with the next login
        return None

    async def _note_failure(self, name: str, peer: str) -> None:
        by, now = f"peer:{peer[:64]}", self._clock.now()
        try:
            await self._database.write(
                lambda c: audit.note(c, "login_failed", at=now, by=by, subject=name[:64])
            )
        except Exception:
            log.exception("login_failure_not_noted")

    async def _touch(self, token_hash: str, at: datetime) -> None:
        try:
            await self._database.write(
                lambda connection: repository.touch_session(connection, token_hash, at)
            )
        except Exception:
            log.exception("session_not_touched")

    def _write_later(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # ---- keys

    async def new_key(self, user_id: UserId) -> str:
        """A new API key of 64 hexadecimal digits, to be shown once; the earlier one dies.

        Raises ``NotFound`` where there is no such user.
        """
        self.user(user_id)
        key = secrets.token_hex(32)
        stored = StoredKey(key_hash=_digest(key), prefix=key[:8], user_id=user_id)
        now = self._clock.now()

        def write(connection: Connection) -> None:
            repository.replace_key(connection, secrets.token_hex(8), stored, at=now)
            self._note(connection, "api_key_made", self.user(user_id), prefix=stored.prefix)

        await self._database.write(write)
        for key_hash, (_, principal) in list(self._keys.items()):
            if principal.user.id == user_id and principal.run_id is None:
                del self._keys[key_hash]
        self._put_key(stored)
        return key

    def principal(self, key: str) -> Principal | None:
        """Who is behind an API key or a live run's token."""
        if len(key) > _LONGEST_SECRET:
            return None
        key_hash = _digest(key)
        found = self._keys.get(key_hash)
        if found is None or not compare_digest(found[0], key_hash):
            return None
        return found[1]

    def add_run_token(self, token_hash: str, principal: Principal) -> None:
        """Lets a run's token in, instead of any earlier one of that run.

        ``token_hash`` is the token's SHA-256 in lower-case hexadecimal.
        """
        if principal.run_id is None or principal.strategy_id is None:
            raise Invalid("A run's token belongs to a run of a strategy; give both ids.")
        self.drop_run_token(principal.run_id)
        self._keys[token_hash] = (token_hash, principal)
        self._run_hashes[principal.run_id] = token_hash

    def drop_run_token(self, run_id: RunId) -> None:
        """The token of that run is dead from here on; none is no error."""
        token_hash = self._run_hashes.pop(run_id, None)
        if token_hash is not None:
            self._keys.pop(token_hash, None)

    def _put_key(self, key: StoredKey) -> None:
        user = self._users[key.user_id]
        principal = Principal(user=user, account_id=paper_account(user))
        self._keys[key.key_hash] = (key.key_hash, principal)

    def _note(self, connection: Connection, act: str, user: User, **detail: str) -> None:
        by = f"user:{user.name}"
        audit.note(connection, act, at=self._clock.now(), by=by, subject=user.name, **detail)


def _wrong_credentials() -> Unauthorized:
    return Unauthorized("The name or the password is wrong; check both.", code="WRONG_CREDENTIALS")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
