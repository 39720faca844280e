"""The order journal in the database: intents before they are sent, facts before they are told."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
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
            "body": _order_to_json(order),
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
            lambda c: [_order_from_json(body) for body in c.execute(chosen).scalars()]
        )


def _order_to_json(order: Order) -> dict[str, Any]:
    request = order.request
    return {
        "id": order.id,
        "account_id": order.book.account_id,
        "strategy_id": order.book.strategy_id,
        "exchange": request.key.exchange.value,
        "symbol": request.key.symbol,
        "action": request.action.value,
        "quantity": request.quantity,
        "price_type": request.price_type.value,
        "product": request.product.value,
        "price": str(request.price),
        "trigger_price": str(request.trigger_price),
        "disclosed_quantity": request.disclosed_quantity,
        "label": request.label,
        "status": order.status.value,
        "placed_at": order.placed_at.isoformat(),
    }


def _order_from_json(body: dict[str, Any]) -> Order:
    strategy_id = body["strategy_id"]
    at = datetime.fromisoformat(body["placed_at"])
    return Order(
        id=OrderId(body["id"]),
        book=Book(
            account_id=AccountId(body["account_id"]),
            strategy_id=StrategyId(strategy_id) if strategy_id else None,
        ),
        request=OrderRequest(
            key=InstrumentKey(exchange=Exchange(body["exchange"]), symbol=body["symbol"]),
            action=Action(body["action"]),
            quantity=body["quantity"],
            price_type=PriceType(body["price_type"]),
            product=Product(body["product"]),
            price=Decimal(body["price"]),
            trigger_price=Decimal(body["trigger_price"]),
            disclosed_quantity=body["disclosed_quantity"],
            label=body["label"],
        ),
        status=OrderStatus(body["status"]),
        placed_at=at,
        updated_at=at,
    )
