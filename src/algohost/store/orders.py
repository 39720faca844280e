"""The order journal in the database: intents before they are sent, facts before they are told."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, select

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.order_json import order_from_json, order_to_json
from algohost.domain.orders import Book, Order
from algohost.domain.ports import Intent, JournalRecord, KeptKey, KeyUsed, OrderKey, Overtaken
from algohost.store.database import Database, driver_of
from algohost.store.trading_tables import order_intents, order_journal, order_keys
from algohost.store.types import utc_text

# Every order waits for these, so they go to the driver as they are.
_ADD_INTENT: Final = "INSERT INTO order_intents (order_id, account_id, body) VALUES (?, ?, ?)"
_ADD_KEY: Final = (
    "INSERT INTO order_keys (account_id, strategy_id, name, digest, order_id, at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_ADD_RECORD: Final = (
    "INSERT INTO order_journal (account_id, number, kind, at, body) VALUES (?, ?, ?, ?, ?)"
)
_IS_KEPT: Final = (
    "SELECT 1 FROM order_journal"
    " WHERE account_id = ? AND number = ? AND kind = ? AND at = ? AND body = ?"
)
_KEPT_KEY: Final = (
    "SELECT digest, order_id FROM order_keys WHERE account_id = ? AND strategy_id = ? AND name = ?"
)


class StoredOrderJournal:
    """``OrderJournal`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def intend(self, intent: Intent) -> None:
        """As ``OrderJournal.intend``."""
        await self._write(_intending(intent), _intended_before(intent))

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
        rows = [_row(account_id, record) for record in records]
        if not rows:
            return
        last = None if after is None else _row(account_id, after)
        intending = None if intent is None else _intending(intent)

        def write(connection: Connection) -> None:
            if allowed is not None:
                allowed()
            driver = driver_of(connection)
            if last is not None and driver.execute(_IS_KEPT, last).fetchone() is None:
                raise Overtaken(f"The journal of account {account_id} does not end as expected.")
            if intending is not None:
                intending(connection)
            for row in rows:
                driver.execute(_ADD_RECORD, row)

        taken = f"The journal of account {account_id} has record {records[0].number} already."
        await self._write(write, taken if intent is None else f"{taken} {_intended_before(intent)}")

    async def replay(self, account_id: AccountId, *, after: int = 0) -> Sequence[JournalRecord]:
        """The facts of an account in order: all, or those that follow number ``after``."""
        chosen = (
            select(order_journal)
            .where(order_journal.c.account_id == account_id, order_journal.c.number > after)
            .order_by(order_journal.c.number)
        )
        return self._database.read(
            lambda c: [
                JournalRecord(
                    number=row["number"], kind=row["kind"], at=row["at"], body=row["body"]
                )
                for row in c.execute(chosen).mappings()
            ]
        )

    async def intents(self, account_id: AccountId) -> Sequence[Order]:
        """All intended orders of an account in the order they came."""
        chosen = (
            select(order_intents.c.body)
            .where(order_intents.c.account_id == account_id)
            .order_by(order_intents.c.sequence)
        )
        return self._database.read(
            lambda c: [order_from_json(body) for body in c.execute(chosen).scalars()]
        )

    async def keep_key(self, book: Book, key: OrderKey, *, at: datetime) -> None:
        """As ``OrderJournal.keep_key``."""
        row = _key_row(book, key, order_id=None, at=at)
        await self._write(
            lambda c: driver_of(c).execute(_ADD_KEY, row), f"The key {key.name!r} was used before."
        )

    async def find_key(self, book: Book, name: str) -> KeptKey | None:
        """As ``OrderJournal.find_key``."""
        asked = (book.account_id, book.strategy_id or "", name)
        row = self._database.read(lambda c: c.exec_driver_sql(_KEPT_KEY, asked).one_or_none())
        if row is None:
            return None
        order_id = None if row.order_id is None else OrderId(row.order_id)
        return KeptKey(key=OrderKey(name=name, digest=row.digest), order_id=order_id)

    async def forget_keys(self, before: datetime) -> int:
        """As ``OrderJournal.forget_keys``."""
        old = order_keys.delete().where(order_keys.c.at < before)
        return await self._database.write(lambda c: c.execute(old).rowcount)

    async def _write(self, fn: Callable[[Connection], Any], conflict: str) -> None:
        try:
            await self._database.write(fn)
        except sqlite3.IntegrityError as error:
            if order_keys.name in str(error):
                raise KeyUsed("This key was used before.") from error
            raise Conflict(conflict) from error


def _intending(intent: Intent) -> Callable[[Connection], None]:
    order, key = intent.order, intent.key
    row = (order.id, order.book.account_id, _json(order_to_json(order)))

    def write(connection: Connection) -> None:
        driver = driver_of(connection)
        driver.execute(_ADD_INTENT, row)
        if key is not None:
            used = _key_row(order.book, key, order_id=order.id, at=order.placed_at)
            driver.execute(_ADD_KEY, used)

    return write


def _row(account_id: AccountId, record: JournalRecord) -> tuple[str | int | None, ...]:
    return (account_id, record.number, record.kind, utc_text(record.at), _json(record.body))


def _intended_before(intent: Intent) -> str:
    return f"Order {intent.order.id} was intended before."


def _key_row(
    book: Book, key: OrderKey, *, order_id: OrderId | None, at: datetime
) -> tuple[str | None, ...]:
    strategy = book.strategy_id or ""
    return (book.account_id, strategy, key.name, key.digest, order_id, utc_text(at))


def _json(body: Mapping[str, object]) -> str:
    return orjson.dumps(body).decode()
