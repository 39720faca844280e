"""The order journal: facts come back as they went in, numbers are taken once."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

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
from algohost.store.database import open_database
from algohost.store.orders import StoredOrderJournal

AT = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
ACCOUNT = AccountId("paper-u")


def order(number: int, strategy_id: str | None) -> Order:
    return Order(
        id=OrderId(f"26112300000{number}"),
        book=Book(account_id=ACCOUNT, strategy_id=StrategyId(strategy_id) if strategy_id else None),
        request=OrderRequest(
            key=InstrumentKey(exchange=Exchange.NSE, symbol="M&M"),
            action=Action.SELL,
            quantity=7,
            price_type=PriceType.SL,
            product=Product.CNC,
            price=Decimal("3011.05"),
            trigger_price=Decimal("3012.10"),
            disclosed_quantity=1,
            label="by hand",
        ),
        status=OrderStatus.INTENDED,
        placed_at=AT,
        updated_at=AT,
    )


def record(number: int) -> JournalRecord:
    return JournalRecord(number=number, kind="accepted", at=AT, body={"price": "10.05", "n": 1})


def test_intents_and_facts_come_back_as_they_went_in(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db")
    journal = StoredOrderJournal(database)
    intended = [order(2, "ema_20261123091500"), order(1, None)]

    async def scenario() -> None:
        for one in intended:
            await journal.intend(one)
        await journal.append(ACCOUNT, [record(1), record(2)])
        await journal.append(ACCOUNT, [])
        with pytest.raises(Conflict, match="record 2"):
            await journal.append(ACCOUNT, [record(2), record(3)])
        assert await journal.intents(ACCOUNT) == intended
        assert await journal.replay(ACCOUNT) == [record(1), record(2)]
        assert await journal.replay(AccountId("paper-other")) == []

    asyncio.run(scenario())
    database.close()
