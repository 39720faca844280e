"""The door of the paper broker."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Final

from algohost.domain.broker_sessions import BrokerSession, LoginField, Told, next_logout
from algohost.domain.ids import AccountId

PAPER: Final = "paper"


class PaperLogin:
    """The paper broker's door: a confirmation opens it.

    Its sessions last for ever, or until a time of the day in IST, which is how Indian brokers do
    it: so that people can see here what will happen there.
    """

    broker = PAPER
    fields: Sequence[LoginField] = ()

    def __init__(self, *, until: time | None = None) -> None:
        self._until = until

    def before(self, account_id: AccountId) -> BrokerSession:
        """As ``BrokerLogin.before``: logged in, unless sessions end each day."""
        return BrokerSession(account_id=account_id, is_login=self._until is None, at=None, by="")

    def restored(self, session: BrokerSession) -> BrokerSession:
        """As ``BrokerLogin.restored``: a session of before the setting was changed follows it."""
        if not session.is_login or session.at is None:
            return session
        expires_at = self._expiry(session.at)
        told = session.told if expires_at == session.expires_at else Told.NOTHING
        return replace(session, expires_at=expires_at, told=told)

    async def log_in(
        self,
        account_id: AccountId,  # noqa: ARG002 - the protocol's signature
        answers: Mapping[str, str],  # noqa: ARG002
        *,
        at: datetime,
    ) -> datetime | None:
        """As ``BrokerLogin.log_in``; never refused."""
        return self._expiry(at)

    async def log_out(self, account_id: AccountId) -> None:
        """As ``BrokerLogin.log_out``; nobody needs to be told."""

    def _expiry(self, at: datetime) -> datetime | None:
        return None if self._until is None else next_logout(at, self._until)
