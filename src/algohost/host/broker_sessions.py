"""Logins of accounts at their brokers: opened and ended by people, and told of before they end.

Whether an account is logged in holds starts back and nothing else: a strategy that runs when the
session ends, runs on.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import Connection

from algohost.domain.broker_sessions import (
    BrokerLogin,
    BrokerSession,
    LoginField,
    SessionState,
    Told,
)
from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.ids import IST, AccountId
from algohost.domain.ports import Clock
from algohost.domain.strategies import Gate, GateAction, Mode, Strategy
from algohost.domain.users import User, paper_account, paper_account_of
from algohost.host.listeners import tell
from algohost.store import audit, host_events
from algohost.store import broker_sessions as stored
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

log = logging.getLogger(__name__)

BROKER_LOGGED_OUT: Final = "BROKER_LOGGED_OUT"
"""The code of the gate that a missing login closes."""

_LOOK_SECONDS: Final = 1.0
_CHANGE_SECONDS: Final = 30.0

T = TypeVar("T")
SessionListener = Callable[[AccountId], None]


@dataclass(frozen=True, kw_only=True)
class SessionView:
    """The login of one account at one moment."""

    account_id: AccountId
    broker: str
    state: SessionState
    since: datetime | None
    by: str
    """Who did what began it; empty where nobody did."""
    expires_at: datetime | None
    is_expiring: bool
    """Whether it ends soon: within the time that people are told ahead."""
    fields: Sequence[LoginField]
    """What a login asks for."""


class BrokerSessions:
    """The logins of all accounts. Used on the server's loop only; a look never waits."""

    def __init__(
        self, *, clock: Clock, database: Database, login: BrokerLogin, told_ahead: timedelta
    ) -> None:
        self._clock = clock
        self._database = database
        self._login = login
        self._told_ahead = told_ahead
        self._sessions = {
            one.account_id: login.restored(one) for one in database.read(stored.all_sessions)
        }
        self._turns: dict[AccountId, asyncio.Lock] = {}
        self._listeners: list[SessionListener] = []
        self.failures = 0

    # ---- looking

    def view(self, user: User) -> SessionView:
        """How the login of the user's account stands."""
        session, now = self._session(paper_account(user)), self._clock.now()
        state, expires_at = session.state(now), session.expires_at
        is_on = state is SessionState.LOGGED_IN
        return SessionView(
            account_id=session.account_id,
            broker=self._login.broker,
            state=state,
            since=session.since(now),
            by=session.by,
            expires_at=expires_at,
            is_expiring=is_on and expires_at is not None and now >= expires_at - self._told_ahead,
            fields=self._login.fields,
        )

    def events(self, user: User, *, limit: int = 20) -> Sequence[HostEvent]:
        """What happened to the user's account, newest first: logins and kill switches; reads the
        database."""
        account_id = paper_account(user)
        return self._database.read(lambda c: host_events.of_subject(c, account_id, limit=limit))

    def listen(self, listener: SessionListener) -> Callable[[], None]:
        """Calls ``listener`` with each account whose login changed, or is about to end."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``GateSource.closed``, which needs no look here."""
        return self.glance(strategy)

    def glance(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``Glancing.glance``: whether the owner is logged in to the paper broker.

        Replays need no login; a live account's is its server's, see ``LiveGate``.
        """
        if strategy.mode is not Mode.PAPER:
            return ()
        session, now = self._session(paper_account_of(strategy.owner_id)), self._clock.now()
        match session.state(now):
            case SessionState.LOGGED_IN:
                return ()
            case SessionState.EXPIRED if session.expires_at is not None:
                why = f"The broker session of its account expired at {_ist(session.expires_at)}"
            case _ if session.at is None:
                why = "Nobody has logged in to the broker of its account yet"
            case _:
                why = f"The broker session of its account was ended by {session.by}"
        sentence = (
            f"{why}. Log in on the page of strategies or with “algohost broker login”; it starts"
            " by itself then."
        )
        return (Gate(code=BROKER_LOGGED_OUT, sentence=sentence, action=GateAction.LOG_IN),)

    # ---- acting

    async def log_in(self, user: User, answers: Mapping[str, str]) -> SessionView:
        """Opens a session for the user's account, or a new one in place of the present one.

        Raises as ``BrokerLogin.log_in``, and ``Unavailable`` where it cannot be kept.
        """
        account_id = paper_account(user)
        async with self._turn(account_id):
            at = self._clock.now()
            expires_at = await self._answer(self._login.log_in(account_id, answers, at=at))
            session = BrokerSession(
                account_id=account_id, is_login=True, at=at, by=user.name, expires_at=expires_at
            )
            until = "" if expires_at is None else f", until {_ist(expires_at)}"
            await self._keep(session, "broker_logged_in", f"{user.name} logged in{until}.")
        return self.view(user)

    async def log_out(self, user: User) -> SessionView:
        """Ends the session of the user's account; what runs, runs on.

        Raises ``Conflict`` where there is none.
        """
        account_id = paper_account(user)
        async with self._turn(account_id):
            if self._session(account_id).state(self._clock.now()) is not SessionState.LOGGED_IN:
                message = "The account is not logged in to its broker, so there is nothing to end."
                raise Conflict(message, code=BROKER_LOGGED_OUT)
            await self._answer(self._login.log_out(account_id))
            session = BrokerSession(
                account_id=account_id, is_login=False, at=self._clock.now(), by=user.name
            )
            await self._keep(session, "broker_logged_out", f"{user.name} logged out.")
        return self.view(user)

    async def run(self) -> None:
        """Tells ahead of the end of a session and when it comes, until its task is cancelled."""
        while True:
            try:
                await self.tell()
            except Exception:  # a full disk: it is told at the next look
                self.failures += 1
                log.exception("broker_sessions_not_told")
            await asyncio.sleep(_LOOK_SECONDS)

    async def tell(self) -> None:
        """One look over all sessions; what is due is written down once and told to listeners."""
        for account_id in tuple(self._sessions):
            session = self._sessions[account_id]
            if session.news(self._clock.now(), ahead=self._told_ahead) is Told.NOTHING:
                continue
            async with self._turn(account_id):  # it may have been renewed meanwhile
                session, now = self._sessions[account_id], self._clock.now()
                news = session.news(now, ahead=self._told_ahead)
                if news is not Told.NOTHING and session.expires_at is not None:
                    kind, sentence = _news(news, session.expires_at)
                    await self._keep(replace(session, told=news), kind, sentence)

    # ---- inside

    def _session(self, account_id: AccountId) -> BrokerSession:
        return self._sessions.get(account_id) or self._login.before(account_id)

    def _turn(self, account_id: AccountId) -> asyncio.Lock:
        return self._turns.setdefault(account_id, asyncio.Lock())

    async def _answer(self, asked: Coroutine[object, object, T]) -> T:
        """What the broker answers, within a bound of time."""
        try:
            async with asyncio.timeout(_CHANGE_SECONDS):
                return await asked
        except TimeoutError as error:
            message = (
                f"The broker {self._login.broker} did not answer within {_CHANGE_SECONDS:.0f} s;"
                " look at its service status, then try again."
            )
            raise Unavailable(message, code="BROKER_SILENT") from error

    async def _keep(self, session: BrokerSession, kind: str, sentence: str) -> None:
        event = HostEvent(
            subject=session.account_id, at=self._clock.now(), kind=kind, sentence=sentence
        )

        def write(connection: Connection) -> None:
            stored.put_session(connection, session)
            host_events.add(connection, event)
            audit.note(
                connection, kind, at=event.at, by=session.by, subject=session.account_id,
                sentence=sentence,
            )  # fmt: skip

        await self._database.write(write)
        self._sessions[session.account_id] = session
        log.info("%s account=%s", kind, session.account_id)
        tell(self._listeners, session.account_id)


def _news(news: Told, expires_at: datetime) -> tuple[str, str]:
    if news is Told.EXPIRING:
        sentence = f"The session ends at {_ist(expires_at)}; log in again to renew it."
        return "broker_session_expiring", sentence
    sentence = (
        f"The session ended at {_ist(expires_at)}. Running strategies go on; starts wait for a"
        " login."
    )
    return "broker_session_expired", sentence


def _ist(at: datetime) -> str:
    return at.astimezone(IST).strftime("%d %b %H:%M IST")
