"""Sends messages to people outside: kept on disk first, delivered in the background, recorded.

``send`` returns when the message is durable. Each target gets a delivery of its own, which is
tried again after 10 s, a minute and five; then it has failed. What was not delivered within an
hour is not sent any more, a server that was off included.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from algohost.domain.errors import AlgohostError, Conflict, NotFound
from algohost.domain.ids import UserId
from algohost.domain.notices import (
    MOST_BODY,
    MOST_TITLE,
    RETRY_AFTER,
    TOO_LATE,
    Courier,
    Delivery,
    Letter,
    Notice,
    NoticeState,
    NoticeTarget,
    check_name,
    check_priority,
    check_url,
)
from algohost.domain.ports import Clock
from algohost.domain.users import User
from algohost.store import audit
from algohost.store import notices as stored
from algohost.store.database import Database
from algohost.store.vault import Vault, VaultProblem

log = logging.getLogger(__name__)

MOST_SHOWN: Final = 50
_AT_ONCE: Final = 20
"""Letters that one process is given."""
_LOOK_SECONDS: Final = 1.0
_NO_TARGET: Final = (
    "Nobody has said where messages go: add a notification target with 'algohost notify add', or"
    " at POST /api/notices/targets, and send it again."
)
_TEST: Final = "This is a test. What your strategies tell you arrives here."


class Notices:
    """The messages of one server. Commands await the disk."""

    def __init__(self, *, clock: Clock, database: Database, vault: Vault, courier: Courier) -> None:
        self._clock = clock
        self._database = database
        self._vault = vault
        self._courier = courier
        self._wake = asyncio.Event()
        self._wake.set()  # for what waits since before this start
        self._next_at: datetime | None = None

    # ---- targets

    def targets(self, user: User) -> Sequence[NoticeTarget]:
        """Where the user's messages go, by name; no address is read."""
        return [one.target for one in self._database.read(lambda c: stored.targets_of(c, user.id))]

    async def add(self, user: User, name: str, url: str) -> NoticeTarget:
        """Keeps a target, its address sealed.

        Raises ``Invalid``, ``Conflict``, and ``VaultProblem`` where nothing can be sealed.
        """
        name, url = check_name(name), check_url(url)
        await asyncio.to_thread(self._vault.prepare)
        new = NoticeTarget(
            id=secrets.token_hex(8),
            owner_id=user.id,
            name=name,
            service=await self._courier.look_at(url),
            added_at=self._clock.now(),
        )

        def seal_and_add(connection: Connection) -> None:
            # sealed by the thread that writes, so before or after a rotation, never across one
            sealed = self._vault.seal(stored.seal_name(user.id), new.id, url)
            stored.add_target(connection, new, sealed)
            audit.note(
                connection, "notice_target_added", at=new.added_at, by=f"user:{user.name}",
                subject=user.name, name=name, service=new.service,
            )  # fmt: skip

        await self._database.write(seal_and_add)
        log.info("notice_target_added user=%s name=%r service=%r", user.name, name, new.service)
        return new

    async def remove(self, user: User, name: str) -> None:
        """Forgets the target of that name or id, and what waits for it. Raises ``NotFound``."""
        now = self._clock.now()

        def forget(connection: Connection) -> None:
            stored.remove_target(connection, user.id, name, at=now)
            audit.note(
                connection, "notice_target_removed", at=now, by=f"user:{user.name}",
                subject=user.name, name=name,
            )  # fmt: skip

        await self._database.write(forget)
        log.info("notice_target_removed user=%s name=%r", user.name, name)

    async def test(self, user: User, name: str | None = None) -> Sequence[tuple[str, str]]:
        """Sends a test now, to one target or to all: each one's name and why it failed, if so.

        Raises ``NotFound`` and ``Conflict`` where there is no such target, or none at all.
        """
        found = self._database.read(lambda c: stored.targets_of(c, user.id))
        if not found:
            raise _no_target()
        chosen = [one for one in found if name in {None, one.target.id, one.target.name}]
        if not chosen:
            raise NotFound("There is no notification target of that name.", code="NO_TARGET")
        letters = [self._letter(one, "algohost", _TEST, priority=5) for one in chosen]
        deliveries = await self._courier.deliver(letters)
        names = [one.target.name for one in chosen]
        return list(zip(names, [one.reason for one in deliveries], strict=True))

    # ---- messages

    async def send(self, user_id: UserId, title: str, body: str, priority: int = 5) -> int:
        """Has a message delivered to all of a user's targets; returns how many those are.

        The message is durable when this returns; ``latest`` shows how it fared. Title and body are
        cut to what services take. ``priority`` is 1 to 10, 10 urgent. Raises ``Conflict`` where
        the user has no target, ``TooMany`` while too many wait.
        """
        check_priority(priority)
        now = self._clock.now()

        def keep(connection: Connection) -> int:
            found = stored.targets_of(connection, user_id)
            if not found:
                raise _no_target()
            made = [
                Notice(
                    number=0,
                    owner_id=user_id,
                    target_id=one.target.id,
                    at=now,
                    title=title[:MOST_TITLE],
                    body=body[:MOST_BODY],
                    priority=priority,
                    due_at=now,
                )
                for one in found
            ]
            stored.add(connection, made)
            return len(made)

        count = await self._database.write(keep)
        self._wake.set()
        return count

    def latest(self, user: User) -> Sequence[Notice]:
        """The user's last messages, newest first."""
        return self._database.read(lambda c: stored.latest(c, user.id, limit=MOST_SHOWN))

    # ---- the background

    async def run(self) -> None:
        """Delivers what waits; ends when its task is cancelled."""
        while True:
            try:
                await self.step()
            except Exception:  # a look that went wrong must not be the last one
                log.exception("notices_not_delivered")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()

    async def step(self) -> None:
        """One look: tries what is due, and records how it went."""
        is_due = self._next_at is not None and self._next_at <= self._clock.now()
        if not (self._wake.is_set() or is_due):
            return
        self._wake.clear()
        found = await asyncio.to_thread(self._database.read, stored.waiting)
        now = self._clock.now()
        due = [one for one in found if one.due_at <= now][:_AT_ONCE]
        later = [one.due_at for one in found if one not in due]
        changed = await self._tried(due, now) if due else []
        if changed:
            await self._database.write(lambda c: stored.keep(c, changed))
        again = [one.due_at for one in changed if one.state is NoticeState.WAITING]
        self._next_at = min([*later, *again], default=None)

    async def _tried(self, due: Sequence[Notice], now: datetime) -> list[Notice]:
        ended: list[Notice] = []
        letters: list[tuple[Notice, Letter]] = []
        for one in due:
            target = self._database.read(partial(stored.target, target_id=one.target_id))
            if target is None:
                ended.append(_failed(one, now, "Its target was removed."))
            elif now - one.at > TOO_LATE:
                ended.append(_failed(one, now, "It could not be delivered within an hour."))
            else:
                try:
                    letter = self._letter(target, one.title, one.body, one.priority)
                except VaultProblem as problem:
                    ended.append(_failed(one, now, problem.message))
                else:
                    letters.append((one, letter))
        deliveries = await self._delivered([letter for _, letter in letters])
        after = self._clock.now()
        return ended + [
            _after_try(one, delivery, after)
            for (one, _), delivery in zip(letters, deliveries, strict=True)
        ]

    async def _delivered(self, letters: Sequence[Letter]) -> Sequence[Delivery]:
        if not letters:
            return []
        try:
            return await self._courier.deliver(letters)
        except AlgohostError as error:
            return [Delivery(reason=error.message)] * len(letters)

    def _letter(self, target: stored.SealedTarget, title: str, body: str, priority: int) -> Letter:
        known = target.target
        url = self._vault.open(stored.seal_name(known.owner_id), known.id, target.sealed)
        return Letter(url=url, title=title, body=body, priority=priority)


def _after_try(one: Notice, delivery: Delivery, now: datetime) -> Notice:
    tries = one.tries + 1
    if delivery.arrived:
        log.info("notice_sent number=%d tries=%d", one.number, tries)
        return replace(one, state=NoticeState.SENT, tries=tries, ended_at=now, body="", reason="")
    if tries > len(RETRY_AFTER):
        return _failed(replace(one, tries=tries), now, delivery.reason)
    log.info("notice_again number=%d tries=%d reason=%s", one.number, tries, delivery.reason)
    return replace(one, tries=tries, due_at=now + RETRY_AFTER[tries - 1], reason=delivery.reason)


def _failed(one: Notice, now: datetime, reason: str) -> Notice:
    log.warning("notice_failed number=%d tries=%d reason=%s", one.number, one.tries, reason)
    return replace(one, state=NoticeState.FAILED, ended_at=now, body="", reason=reason[:300])


def _no_target() -> Conflict:
    return Conflict(_NO_TARGET, code="NO_TARGET")
