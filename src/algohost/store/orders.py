"""The order journal in the database: intents before they are sent, facts before they are told."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId
from algohost.domain.order_json import order_from_json, order_to_json
from algohost.domain.orders import Order
from algohost.domain.ports import JournalRecord
from algohost.store.database import Database
from algohost.store.tables import order_intents, order_journal


class StoredOrderJournal:
    """``OrderJournal`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def intend(self, order: Order) -> None:
        """Keeps an order before it is sent anywhere."""
        row = {
            "order_id": order.id,
            "account_id": order.book.account_id,
            "body": order_to_json(order),
        }
        await self._database.write(lambda c: c.execute(order_intents.insert().values(**row)))

    async def append(self, account_id: AccountId, records: Sequence[JournalRecord]) -> None:
        """Adds facts, all or none. Raises ``Conflict`` where a number is taken."""
        rows = [
            {
                "account_id": account_id,
                "number": record.number,
                "kind": record.kind,
                "at": record.at,
                "body": record.body,
            }
            for record in records
        ]
        if not rows:
            return
        try:
            await self._database.write(lambda c: c.execute(order_journal.insert(), rows))
        except IntegrityError as error:
            raise Conflict(
                f"The journal of account {account_id} has record {rows[0]['number']} already."
            ) from error

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
