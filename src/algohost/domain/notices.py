"""Messages to people, outside this server: where they go, and how each one fared.

A target is an address in apprise's form (``tgram://…``, ``mailto://…``): it holds passwords, so it
is kept as secrets are and never shown again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from algohost.domain.errors import Invalid
from algohost.domain.ids import UserId

MOST_TARGETS: Final = 10
"""Of one user."""
MOST_WAITING: Final = 200
"""Deliveries of one user that have not ended; more are refused."""
MOST_BODY: Final = 4_096
"""Characters; Telegram takes no more."""
MOST_TITLE: Final = 200
MOST_URL: Final = 2_000
RETRY_AFTER: Final = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
"""How long after each failed try the next one follows; the try after the last is the last."""
TOO_LATE: Final = timedelta(hours=1)
"""A message that waited so long is not sent any more: what it warns of is over."""


class NoticeState(StrEnum):
    """How the delivery of a message stands."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class NoticeTarget:
    """Where a user's messages go, without its address."""

    id: str
    owner_id: UserId
    name: str
    service: str
    """The service as apprise names it: ``Telegram``."""
    added_at: datetime


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message to one target."""

    number: int
    """Grows with every message; 0 before it is kept."""
    owner_id: UserId
    target_id: str
    at: datetime
    title: str
    body: str
    """Empty once the delivery has ended: it is not kept longer than needed."""
    priority: int
    state: NoticeState = NoticeState.WAITING
    tries: int = 0
    due_at: datetime
    ended_at: datetime | None = None
    reason: str = ""
    """Why the last try failed, in a sentence without the address."""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What a ``Courier`` is given: a message with the address it goes to."""

    url: str
    title: str
    body: str
    priority: int


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How one try to deliver went."""

    reason: str = ""
    """Why it failed; empty where it arrived."""

    @property
    def arrived(self) -> bool:
        """Whether the service took it."""
        return not self.reason


class Courier(Protocol):
    """Who speaks to the services."""

    async def look_at(self, url: str) -> str:
        """The service that an address is of. Raises ``Invalid`` for what is no address."""

    async def deliver(self, letters: Sequence[Letter]) -> Sequence[Delivery]:
        """Tries each letter once; how each went, in the same order. Never raises for one of them.

        Raises ``Unavailable`` where nothing could be tried.
        """


def check_name(name: str) -> str:
    """A target's name. Raises ``Invalid``."""
    cleaned = name.strip()
    if not cleaned or len(cleaned) > 60 or not cleaned.isprintable():
        raise Invalid("Give the target a name of 1 to 60 printable characters.", code="BAD_NAME")
    return cleaned


def check_url(url: str) -> str:
    """An address as it may be looked at; repeats nothing of it. Raises ``Invalid``."""
    cleaned = url.strip()
    scheme = cleaned.partition("://")[0].lower()
    fits = len(cleaned) <= MOST_URL and cleaned.isprintable() and "://" in cleaned
    if not fits or not scheme.isalnum():
        raise Invalid(
            "The address is none of apprise's; it begins with the service, such as tgram:// or"
            " mailto://, and has no line breaks.",
            code="BAD_TARGET",
        )
    if scheme in LOCAL_SERVICES:
        raise Invalid(
            f"{scheme}:// shows messages on the server's own desktop or writes them to its system"
            " log; choose a service that reaches a person.",
            code="BAD_TARGET",
        )
    return cleaned


LOCAL_SERVICES: Final = frozenset(
    {"dbus", "qt", "kde", "glib", "gnome", "macosx", "windows", "syslog", "memory", "file"}
)
"""Services that would act on the host itself."""


def check_priority(priority: int) -> int:
    """1, of little weight, to 10, urgent. Raises ``Invalid``."""
    if not 1 <= priority <= 10:
        raise Invalid("priority must be a whole number from 1 to 10.", code="BAD_FIELDS")
    return priority
