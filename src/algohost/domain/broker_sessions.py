"""A broker's login: whether an account has one now, and until when.

Indian brokers log everybody out once a day. A session is what was last done (a login or a
logout) with the instant at which the login ends; how it stands is a question of the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Final, Protocol

from algohost.domain.errors import Invalid
from algohost.domain.ids import IST, AccountId

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""An end that was told and is farther off than this was told by a clock that has been set back
since; of less, clocks are corrected all the time."""


class SessionState(StrEnum):
    """How the login of an account stands."""

    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"
    EXPIRED = "expired"
    """The broker ended it; nobody asked for that."""


class Told(StrEnum):
    """What has been said of a session's end already, so that it is said once."""

    NOTHING = ""
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class BrokerSession:
    """The login of one account. Made by a login or a logout, and never changed but in ``told``."""

    account_id: AccountId
    is_login: bool
    """Whether a login was the last that was done; else a logout, or nothing yet."""
    at: datetime | None
    """When that was; ``None`` for an account that was never logged in or out."""
    by: str
    """The name of the user who did it; empty for none."""
    expires_at: datetime | None = None
    """When the broker ends it; ``None`` where it does not."""
    told: Told = Told.NOTHING

    def state(self, now: datetime) -> SessionState:
        """How it stands at an instant."""
        if not self.is_login:
            return SessionState.LOGGED_OUT
        is_over = self.expires_at is not None and now >= self.expires_at
        return SessionState.EXPIRED if is_over else SessionState.LOGGED_IN

    def since(self, now: datetime) -> datetime | None:
        """When the present state began, where that is known."""
        return self.expires_at if self.state(now) is SessionState.EXPIRED else self.at

    def news(self, now: datetime, *, ahead: timedelta) -> Told:
        """What is to be told now of its end, ``ahead`` of it and when it comes; each once."""
        if not self.is_login or self.expires_at is None:
            return Told.NOTHING
        if now >= self.expires_at:
            return Told.NOTHING if self.told is Told.EXPIRED else Told.EXPIRED
        was_early = self.told is Told.EXPIRED and now < self.expires_at - _CLOCKS_DIFFER
        is_untold = was_early or self.told is Told.NOTHING
        is_near = now >= self.expires_at - ahead
        return Told.EXPIRING if is_near and is_untold else Told.NOTHING


@dataclass(frozen=True, kw_only=True)
class LoginField:
    """One thing that a person must give to log in."""

    name: str
    label: str
    is_secret: bool = False
    """Whether what is typed must not be shown."""


class BrokerLogin(Protocol):
    """The door of one broker."""

    @property
    def broker(self) -> str:
        """The broker's name, as it is shown."""

    @property
    def fields(self) -> Sequence[LoginField]:
        """What a login asks for; nothing where a confirmation is enough."""

    def before(self, account_id: AccountId) -> BrokerSession:
        """How an account stands that nobody has ever logged in or out."""

    def restored(self, session: BrokerSession) -> BrokerSession:
        """A session that was kept, under the rules that are in force now."""

    async def log_in(
        self, account_id: AccountId, answers: Mapping[str, str], *, at: datetime
    ) -> datetime | None:
        """Opens a session and returns when it ends; ``None`` where it does not.

        Raises ``Invalid`` for answers that the broker refuses, ``Unavailable`` where it does not
        answer.
        """

    async def log_out(self, account_id: AccountId) -> None:
        """Ends the session. Raises ``Unavailable`` where the broker does not answer."""


def parse_logout_time(text: str) -> time | None:
    """``03:30`` as a time of the day in IST; ``None`` for an empty text. Raises ``Invalid``."""
    if not text:
        return None
    try:
        parsed = datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a time of the day has no date
    except ValueError as error:
        raise Invalid(
            f"“{text[:20]}” is not a time of the day; write HH:MM in IST, such as 03:30."
        ) from error
    return parsed.time()


def next_logout(after: datetime, at: time) -> datetime:
    """The first instant later than ``after`` at which it is ``at`` in IST."""
    local = after.astimezone(IST)
    on_the_day = datetime.combine(local.date(), at, tzinfo=IST)
    return on_the_day if on_the_day > local else on_the_day + timedelta(days=1)
