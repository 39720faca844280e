"""The audit: who did what and when, in a chain in which nothing can be changed unseen.

Each link holds the SHA-256 of the one before it, so a link that was altered, removed or put in
between does not fit its neighbours. Whoever can write the file can still make the whole chain
anew: the newest hash, kept elsewhere, shows that too.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

BEGINNING: Final = "0" * 64
"""What the first link names as the one before it."""

Detail = str | int | None
"""A value of ``Entry.detail``: plain, so that its JSON has one form."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that somebody did."""

    at: datetime
    by: str
    """``user:asha``, ``strategy:<id>``, ``account:<id>``, ``schedule``, ``host``."""
    act: str
    """What was done, for programs: ``code_saved``, ``order_accepted``."""
    subject: str = ""
    """The id of what it was done to: a strategy, an account, an order, a user's name."""
    detail: Mapping[str, Detail] = field(default_factory=dict)
    """Particulars; never a secret's value."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """An entry in its place."""

    number: int
    """1, 2, 3, … without a gap."""
    entry: Entry
    previous: str
    hash: str


def linked(entry: Entry, *, after: Link | None) -> Link:
    """``entry`` as the link that follows ``after``, or begins the chain."""
    number = 1 if after is None else after.number + 1
    previous = BEGINNING if after is None else after.hash
    digest = _digest(number, previous, entry)
    return Link(number=number, entry=entry, previous=previous, hash=digest)


def break_in(links: Iterable[Link], *, after: Link | None = None) -> str | None:
    """A sentence about the first link that does not fit the one before it; ``None`` for none.

    ``links`` are in order and follow ``after``, or begin the chain.
    """
    for link in links:
        wanted = linked(link.entry, after=after)
        if link.number != wanted.number:
            return f"Link {wanted.number} of the audit is missing: {link.number} is in its place."
        if link.previous != wanted.previous:
            return f"Link {link.number} of the audit does not follow the one before it."
        if link.hash != wanted.hash:
            return f"Link {link.number} of the audit was changed after it was written."
        after = link
    return None


def _digest(number: int, previous: str, entry: Entry) -> str:
    """SHA-256, in hexadecimal, of the link as JSON: ASCII, keys sorted, no spaces."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    parts = [number, previous, at, entry.by, entry.act, entry.subject, dict(entry.detail)]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
