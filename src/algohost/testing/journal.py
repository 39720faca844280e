"""An order journal in memory that can be made to fail as a disk does."""

import asyncio
import json
from collections.abc import Sequence
from enum import Enum, auto

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId
from algohost.domain.orders import Order
from algohost.domain.ports import JournalRecord


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
        self._intents: dict[AccountId, list[Order]] = {}

    async def intend(self, order: Order) -> None:
        """As ``OrderJournal.intend``. Raises ``Conflict`` for an id that was intended before."""
        await self._before_write()
        intents = self._intents.setdefault(order.book.account_id, [])
        if any(known.id == order.id for known in intents):
            raise Conflict(f"Order {order.id} was intended before; take the next number.")
        intents.append(order)
        self._after_write()

    async def append(self, account_id: AccountId, records: Sequence[JournalRecord]) -> None:
        """As ``OrderJournal.append``."""
        await self._before_write()
        kept = self._records.setdefault(account_id, [])
        expected = range(len(kept) + 1, len(kept) + 1 + len(records))
        if [record.number for record in records] != list(expected):
            raise Conflict(
                f"Journal entry {records[0].number} is taken or skips one; the next is "
                f"{len(kept) + 1}. Read the journal again."
            )
        kept.extend((record, json.dumps(record.body)) for record in records)
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
        return list(self._intents.get(account_id, []))

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
