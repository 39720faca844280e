"""The audit for people, and the loop that takes the journals of orders and starts into it."""

import asyncio
import csv
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from algohost.domain.audit import Link, break_in
from algohost.domain.errors import AlgohostError
from algohost.store import audit as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

COLUMNS: Final = ("number", "at", "by", "act", "subject", "detail", "previous", "hash")
_LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 100
"""Entries taken in by one transaction: an order that comes meanwhile waits for no more."""
_PAUSE_SECONDS: Final = 0.005
_ROWS: Final = 500
"""Rows of the CSV that are sent at once."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a look at the whole chain has found."""

    links: int
    newest_hash: str
    """To be kept elsewhere; empty for an empty chain."""
    problem: str | None = None
    """A sentence about the first thing that is not as it was written."""


class Audit:
    """Reads are for administrators: the routes see to that."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failures = 0

    async def run(self) -> None:
        """Takes in what the journals have, once a second and for ever."""
        while True:
            try:
                await self.catch_up()
            except AlgohostError as error:
                self.failures += 1
                log.warning("audit_not_written reason=%s", error)
            except Exception:  # the loop outlives one bad look
                self.failures += 1
                log.exception("audit_failed")
            await asyncio.sleep(_LOOK_SECONDS)

    async def catch_up(self) -> None:
        """Returns when everything that the journals had at the call is in the chain.

        What comes meanwhile is left to the next call: it is cheaper in one piece than one by one.
        """
        if not await asyncio.to_thread(self._database.read, stored.is_behind):
            return
        while await self._database.write(lambda c: stored.take_in(c, limit=_AT_ONCE)) == _AT_ONCE:
            await asyncio.sleep(_PAUSE_SECONDS)

    def newest(self, *, before: int | None = None, limit: int, subject: str = "") -> Sequence[Link]:
        """The newest links, or those below a number, oldest first."""
        return self._database.read(
            lambda c: stored.page(c, before=before or _BEYOND, limit=limit, subject=subject)
        )

    def verify(self) -> Verdict:
        """Computes the whole chain anew, and looks at the order journal beside it. Takes
        a minute for a million links: not for the server's loop."""
        seen: list[Link] = []

        def look() -> Iterator[Link]:
            for link in self._links():
                seen[:] = [link]
                yield link

        try:
            problem = break_in(look()) or self._changed_facts()
        except ValueError as error:  # of JSON and of instants, which nobody has written so
            number = seen[0].number if seen else 0
            problem = f"A link after number {number} of the audit cannot be read ({error!s:.100})."
        last = seen[0] if seen else None
        return Verdict(
            links=last.number if last else 0,
            newest_hash=last.hash if last else "",
            problem=problem,
        )

    def _changed_facts(self) -> str | None:
        after = 0
        while True:
            found = self._database.read(
                lambda c, n=after: stored.taken_in_is_unchanged(c, after=n)  # type: ignore[misc]
            )
            if found.problem or found.last is None:
                return found.problem
            after = found.last

    def csv(self) -> Iterator[str]:
        """The chain as CSV, some rows at a time; the hashes can be computed anew from it."""
        yield _csv([COLUMNS])
        rows: list[Sequence[object]] = []
        for link in self._links():
            rows.append(_row(link))
            if len(rows) == _ROWS:
                yield _csv(rows)
                rows.clear()
        if rows:
            yield _csv(rows)

    def _links(self) -> Iterator[Link]:
        """Page by page, so that no look at the database lasts as long as its reader."""
        after = 0
        while links := self._database.read(lambda c, n=after: stored.page(c, after=n)):  # type: ignore[misc]
            yield from links
            after = links[-1].number


_BEYOND: Final = 1 << 62


def _row(link: Link) -> Sequence[object]:
    entry = link.entry
    detail = json.dumps(dict(entry.detail), sort_keys=True, separators=(",", ":"))
    at = entry.at.isoformat(timespec="microseconds")
    return (
        link.number, at, entry.by, entry.act, entry.subject, detail, link.previous, link.hash,
    )  # fmt: skip


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
