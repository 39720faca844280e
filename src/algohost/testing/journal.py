"""An order journal in memory that can be made to fail as a disk does."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum, auto

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Book, Order
from algohost.domain.ports import Intent, JournalRecord, KeptKey, KeyUsed, OrderKey, Overtaken


class Fault(Enum):
    """How a write goes wrong."""

    BEFORE_WRITE = auto()
    """Nothing is kept, and the caller is told so."""
    AFTER_WRITE = auto()
    """Everything is kept, and the caller is told that it failed."""


class MemoryJournal:
    """Implements ``OrderJournal``. What a method kept survives everything built on top of it.

    Bodies go through JSON text, so that nothing else can be put in. ``writes_fail`` and
    ``reads_fail`` last until they are set back. A ``gate`` that is not set holds every write
    back until it is: a slow disk that a test controls.
    """

    def __init__(self) -> None:
        self.writes_fail: Fault | None = None
        self.reads_fail = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        """How many writes stand before the gate."""
        self.appends = 0
        """How many appends were kept."""
        self._records: dict[AccountId, list[tuple[JournalRecord, str]]] = {}
        self._intents: dict[AccountId, dict[OrderId, Order]] = {}
        self._keys: dict[tuple[Book, str], tuple[KeptKey, datetime]] = {}

    async def intend(self, intent: Intent) -> None:
        """As ``OrderJournal.intend``."""
        await self._before_write()
        self._refuse_known(intent)
        self._keep_intent(intent)
        self._after_write()

    async def append(
        self,
        account_id: AccountId,
        records: Sequence[JournalRecord],
        *,
        intent: Intent | None = None,
        allowed: Callable[[], None] | None = None,
        after: JournalRecord | None = None,
    ) -> None:
        """As ``OrderJournal.append``."""
        await self._before_write()
        if allowed is not None:
            allowed()
        if intent is not None:
            self._refuse_known(intent)
        kept = self._records.setdefault(account_id, [])
        if after is not None and [after] != [record for record, _ in kept[-1:]]:
            raise Overtaken(f"Journal entry {after.number} is not the last, or another one.")
        expected = range(len(kept) + 1, len(kept) + 1 + len(records))
        if [record.number for record in records] != list(expected):
            raise Conflict(
                f"Journal entry {records[0].number} is taken or skips one; the next is "
                f"{len(kept) + 1}. Read the journal again."
            )
        kept.extend((record, json.dumps(record.body)) for record in records)
        if intent is not None:
            self._keep_intent(intent)
        self.appends += 1
        self._after_write()

    async def replay(self, account_id: AccountId, *, after: int = 0) -> Sequence[JournalRecord]:
        """As ``OrderJournal.replay``."""
        self._before_read()
        return [
            JournalRecord(
                number=record.number, kind=record.kind, at=record.at, body=json.loads(text)
            )
            for record, text in self._records.get(account_id, [])[after:]
        ]

    async def intents(self, account_id: AccountId) -> Sequence[Order]:
        """As ``OrderJournal.intents``."""
        self._before_read()
        return list(self._intents.get(account_id, {}).values())

    async def keep_key(self, book: Book, key: OrderKey, *, at: datetime) -> None:
        """As ``OrderJournal.keep_key``."""
        await self._before_write()
        self._refuse_used(book, key)
        self._keys[book, key.name] = KeptKey(key=key, order_id=None), at
        self._after_write()

    async def find_key(self, book: Book, name: str) -> KeptKey | None:
        """As ``OrderJournal.find_key``."""
        self._before_read()
        found = self._keys.get((book, name))
        return None if found is None else found[0]

    async def forget_keys(self, before: datetime) -> int:
        """As ``OrderJournal.forget_keys``."""
        old = [name for name, (_, at) in self._keys.items() if at < before]
        for name in old:
            del self._keys[name]
        return len(old)

    def _refuse_known(self, intent: Intent) -> None:
        order = intent.order
        if order.id in self._intents.get(order.book.account_id, {}):
            raise Conflict(f"Order {order.id} was intended before; take the next number.")
        if intent.key is not None:
            self._refuse_used(order.book, intent.key)

    def _refuse_used(self, book: Book, key: OrderKey) -> None:
        if (book, key.name) in self._keys:
            raise KeyUsed(f"The key {key.name!r} was used before.")

    def _keep_intent(self, intent: Intent) -> None:
        order = intent.order
        self._intents.setdefault(order.book.account_id, {})[order.id] = order
        if intent.key is not None:
            kept = KeptKey(key=intent.key, order_id=order.id)
            self._keys[order.book, intent.key.name] = kept, order.placed_at

    async def _before_write(self) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.writes_fail is Fault.BEFORE_WRITE:
            raise OSError(28, "No space left on device")

    def _after_write(self) -> None:
        if self.writes_fail is Fault.AFTER_WRITE:
            raise OSError(5, "Input/output error")

    def _before_read(self) -> None:
        if self.reads_fail:
            raise OSError(5, "Input/output error")
