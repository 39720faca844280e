"""Accounts: paper ones with cash of their own, and live ones at a broker.

An account's id says of which sort it is, so every order carries its mode with its book.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

from algohost.domain.errors import Invalid
from algohost.domain.ids import AccountId, UserId
from algohost.domain.strategies import Mode

PAPER: Final = "paper"
"""The broker of paper accounts."""
OPENALGO: Final = "openalgo"
"""The broker that is an OpenAlgo server which exists already."""
MOST_ACCOUNTS: Final = 32
"""Accounts that one user may have, the first paper one included."""
FIRST_PAPER: Final = "Paper"
"""What the account is called that every user has from the start."""

ARRIVED_LATE: Final = (
    "It was called rejected, because the broker's order book did not have it; it arrived later, and"
    " counts here."
)
"""The reason of an open order that had been taken for lost."""

_LIVE: Final = "live-"
_PAPER: Final = "paper-"
_NAME: Final = re.compile(r"[^\W_](?:[\w .&()+-]{0,62}[\w.)])?")
_KEY: Final = re.compile(r"[\x21-\x7e]{16,256}")
_LONGEST_URL: Final = 300


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account of one user."""

    id: AccountId
    owner_id: UserId
    name: str
    broker: str
    created_at: datetime | None
    """``None`` for the paper account that came with its owner."""
    base_url: str = ""
    """Where a live account's server answers, without a slash at its end."""
    feed_url: str = ""
    """Where its feed answers; empty where it is not used."""
    disabled_at: datetime | None = None
    """Since when nothing starts in it and no new order is taken."""

    @property
    def mode(self) -> Mode:
        """Where its orders go."""
        return mode_of(self.id)


def mode_of(account_id: AccountId) -> Mode:
    """``LIVE`` where orders of the account leave this host, ``PAPER`` where they do not."""
    return Mode.LIVE if account_id.startswith(_LIVE) else Mode.PAPER


def new_account_id(owner_id: UserId, mode: Mode, number: str) -> AccountId:
    """The id of a new account of a user; ``number`` is unlike that of any other of theirs."""
    kind = _LIVE if mode is Mode.LIVE else _PAPER
    return AccountId(f"{kind}{owner_id}-{number}")


def is_account_of(account_id: str, owner_id: UserId) -> bool:
    """Whether an account is that user's, by its id alone; it may have been removed since."""
    of_user = next((f"{k}{owner_id}" for k in (_PAPER, _LIVE) if account_id.startswith(k)), None)
    return of_user is not None and (account_id == of_user or account_id.startswith(f"{of_user}-"))


def checked_account_name(name: str) -> str:
    """``name`` without spaces around it. Raises ``Invalid`` for one that nobody could read."""
    plain = " ".join(name.split())
    if _NAME.fullmatch(plain) is None:
        raise Invalid(
            "An account's name has 1 to 64 letters, digits and spaces, and begins with a letter or"
            " digit.",
            code="BAD_ACCOUNT_NAME",
            details={"field": "name"},
        )
    return plain


def checked_key(key: str) -> str:
    """An API key as it was given; a refusal never repeats it. Raises ``Invalid``."""
    if _KEY.fullmatch(key) is None:
        raise Invalid(
            "An API key has 16 to 256 letters, digits and signs, without spaces; copy it whole from"
            " the page “API Key” of the OpenAlgo server.",
            code="BAD_API_KEY",
            details={"field": "api_key"},
        )
    return key


def checked_base_url(url: str) -> str:
    """Where a broker's server answers, without a slash at its end. Raises ``Invalid``."""
    return _checked(
        url, "base_url", plain="http", sealed="https", example="https://algo.example.in"
    )


def checked_feed_url(url: str) -> str:
    """Where its feed answers, or nothing. Raises ``Invalid``."""
    if not url.strip():
        return ""
    return _checked(url, "feed_url", plain="ws", sealed="wss", example="wss://algo.example.in/ws")


def _checked(url: str, field: str, *, plain: str, sealed: str, example: str) -> str:
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if len(text) > _LONGEST_URL or not host or parts.scheme not in {plain, sealed} or _more(parts):
        raise _refused(field, f"Write the address as {example}, without a name or a query in it.")
    if parts.scheme == plain and not _is_near(host):
        raise _refused(
            field,
            f"The key would cross the internet in the open; use {sealed}:// for {host[:100]}.",
        )
    return text


def _more(parts: SplitResult) -> bool:
    """Whether an address says more than where a server is."""
    return bool(parts.username or parts.password or parts.query or parts.fragment)


def _is_near(host: str) -> bool:
    """Whether a host is this machine or of its own network, as far as its name tells."""
    if host == "localhost" or "." not in host.strip(".") or host.endswith((".local", ".lan")):
        return ":" not in host or _is_private(host)
    return _is_private(host)


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _refused(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, code=f"BAD_{field.upper()}", details={"field": field})
