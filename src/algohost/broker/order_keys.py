"""A request that is sent again places nothing: its key tells.

A key names one request within one book. The first time, what it did is kept in the same write
as the order's intent. Every later time, with the same words, the order of the first time is the
answer, as it stands now; with other words it is a mistake, and refused. One that comes while
the first is still under way waits for it.

Whether a key was used is not asked beforehand: the journal takes none twice, and undoes the
write that tries. So an order with a key waits for one write, as every order does. A limit or a
kill switch that refuses comes before the write, and only then the key is looked for: what was
done before it was engaged was done.

A request that was refused without a trace has done nothing, and its key is free.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from algohost.domain.errors import AlgohostError, Conflict, Unavailable
from algohost.domain.ids import OrderId
from algohost.domain.order_json import request_to_json
from algohost.domain.orders import Book, Order, OrderRequest
from algohost.domain.ports import KeptKey, OrderJournal, OrderKey

log = logging.getLogger(__name__)

LONGEST_NAME: Final = 200
"""Characters of a key's name, whatever the gateway's callers put in front of it included."""
KEPT_FOR: Final = timedelta(days=7)
"""By the market's clock; later a key is free again."""
FORGOTTEN_EVERY: Final = timedelta(hours=1)

First = Callable[[OrderKey], Awaitable[Order | None]]
"""Does what is asked for the first time, and keeps the key with it."""
Again = Callable[[OrderId], Awaitable[Order]]
"""The order that the first time has sent."""


class OrderKeys:
    """Makes each key count once."""

    def __init__(self, journal: OrderJournal, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._now = now
        self._under_way: dict[tuple[Book, str], tuple[str, asyncio.Future[Order | None]]] = {}
        self._forgotten_at: datetime | None = None
        self._forgetting: asyncio.Task[None] | None = None

    async def once(self, book: Book, key: OrderKey, *, first: First, again: Again) -> Order | None:
        """What ``first`` returns, now or when the key was used before.

        Raises ``Conflict`` for a key that was used with other words, and ``Unavailable`` where
        nobody can tell because the journal does not answer.
        """
        place = book, key.name
        before = self._under_way.get(place)
        if before is not None:
            digest, answer = before
            _refuse_other(key, digest)
            return await asyncio.shield(answer)
        doing = asyncio.ensure_future(self._once(book, key, first, again))
        self._under_way[place] = key.digest, doing
        doing.add_done_callback(lambda _done: self._under_way.pop(place))
        return await asyncio.shield(doing)

    async def close(self) -> None:
        """Waits for what is being forgotten."""
        if self._forgetting is not None:
            await self._forgetting

    async def _once(self, book: Book, key: OrderKey, first: First, again: Again) -> Order | None:
        self._forget_old()
        try:
            return await first(key)
        except AlgohostError:
            kept = await self._kept(book, key)
            if kept is None:
                raise
        _refuse_other(key, kept.key.digest)
        return None if kept.order_id is None else await again(kept.order_id)

    def _forget_old(self) -> None:
        now = self._now()
        if self._forgotten_at is None or abs(now - self._forgotten_at) >= FORGOTTEN_EVERY:
            self._forgotten_at = now
            self._forgetting = asyncio.ensure_future(self._forget(now - KEPT_FOR))

    async def _forget(self, before: datetime) -> None:
        try:
            count = await self._journal.forget_keys(before)
        except Exception as error:  # noqa: BLE001 - a key that is kept longer harms nobody
            log.warning("keys_not_forgotten error=%r", error)
        else:
            log.info("keys_forgotten count=%d", count)

    async def _kept(self, book: Book, key: OrderKey) -> KeptKey | None:
        try:
            return await self._journal.find_key(book, key.name)
        except Exception as error:
            raise Unavailable(
                "The order journal does not answer, so it is not known whether this was sent "
                "before. Nothing was done now. Look at the disk and at the server's log, then "
                "try again with the same key.",
                code="JOURNAL_UNAVAILABLE",
            ) from error


def key_of(name: str, request: OrderRequest, *, target_position: int | None = None) -> OrderKey:
    """The key of a request. The ``strategy`` text is for show, so it may differ."""
    asked = {**request_to_json(request), "label": "", "target_position": target_position}
    words = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return OrderKey(name=name, digest=hashlib.sha256(words.encode()).hexdigest())


def _refuse_other(key: OrderKey, digest: str) -> None:
    if key.digest != digest:
        raise Conflict(
            "This idempotency key was used for another order before, so nothing was placed. "
            "Take a new key for a new order, or send the first one unchanged.",
            code="KEY_REUSED",
        )
