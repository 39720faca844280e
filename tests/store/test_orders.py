"""The order journal: facts come back as they went in, numbers are taken once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from algohost.domain.ports import Intent, JournalRecord, KeptKey, KeyUsed, OrderKey, Overtaken
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
            await journal.intend(Intent(order=one))
        await journal.append(ACCOUNT, [record(1), record(2)])
        await journal.append(ACCOUNT, [])
        with pytest.raises(Conflict, match="record 2"):
            await journal.append(ACCOUNT, [record(2), record(3)])
        assert await journal.intents(ACCOUNT) == intended
        assert await journal.replay(ACCOUNT) == [record(1), record(2)]
        assert await journal.replay(AccountId("paper-other")) == []

    asyncio.run(scenario())
    database.close()


def test_a_key_is_taken_once_and_nothing_is_kept_of_who_comes_second(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db")
    journal = StoredOrderJournal(database)
    first, second, unattributed = order(1, "ema"), order(2, "ema"), order(3, None)
    key = OrderKey(name="k", digest="0" * 64)

    async def scenario() -> None:
        await journal.append(ACCOUNT, [record(1)], intent=Intent(order=first, key=key))
        with pytest.raises(KeyUsed):
            await journal.append(ACCOUNT, [record(2)], intent=Intent(order=second, key=key))
        with pytest.raises(KeyUsed):
            await journal.intend(Intent(order=second, key=key))
        with pytest.raises(KeyUsed):
            await journal.keep_key(second.book, key, at=AT)
        assert await journal.intents(ACCOUNT) == [first]
        assert await journal.replay(ACCOUNT) == [record(1)]
        assert await journal.find_key(first.book, "k") == KeptKey(key=key, order_id=first.id)
        assert await journal.find_key(unattributed.book, "k") is None
        await journal.keep_key(unattributed.book, key, at=AT + timedelta(days=1))
        assert await journal.find_key(unattributed.book, "k") == KeptKey(key=key, order_id=None)
        assert await journal.forget_keys(AT + timedelta(days=1)) == 1
        assert await journal.find_key(first.book, "k") is None
        with pytest.raises(Conflict, match=f"Order {first.id} was intended before"):
            await journal.intend(Intent(order=first))

    asyncio.run(scenario())
    database.close()


def test_facts_and_an_intent_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db")
    journal = StoredOrderJournal(database)

    def refuse() -> None:
        raise Conflict("Not any more.")

    async def scenario() -> None:
        await journal.append(ACCOUNT, [record(1)])
        intent = Intent(order=order(1, "ema"))
        with pytest.raises(Conflict, match="record 1 already"):
            await journal.append(ACCOUNT, [record(1)], intent=intent)
        with pytest.raises(Conflict, match="Not any more"):
            await journal.append(ACCOUNT, [record(2)], intent=intent, allowed=refuse)
        assert await journal.intents(ACCOUNT) == []
        assert await journal.replay(ACCOUNT) == [record(1)]

    asyncio.run(scenario())
    database.close()


def test_facts_follow_the_one_they_were_decided_on_or_are_not_kept(tmp_path: Path) -> None:
    """Begun all at once: the second fails by itself, and what was decided on it with it."""
    database = open_database(tmp_path / "a.db")
    journal = StoredOrderJournal(database)

    def refuse() -> None:
        raise Conflict("Not any more.")

    async def scenario() -> None:
        other = replace(record(2), kind="rejected")
        answers = await asyncio.gather(
            journal.append(ACCOUNT, [record(1)]),
            journal.append(ACCOUNT, [record(2)], after=record(1), allowed=refuse),
            journal.append(ACCOUNT, [record(3)], after=record(2)),
            journal.append(ACCOUNT, [record(2), record(3)], after=record(1)),
            journal.append(ACCOUNT, [record(4)], after=record(3)),
            journal.append(ACCOUNT, [record(5)], after=replace(record(4), kind="rejected")),
            return_exceptions=True,
        )
        kinds = [type(answer) for answer in answers]
        none = type(None)
        assert kinds == [none, Conflict, Overtaken, none, none, Overtaken]
        assert await journal.replay(ACCOUNT) == [record(n) for n in (1, 2, 3, 4)]
        with pytest.raises(Overtaken):
            await journal.append(ACCOUNT, [record(5)], after=other)

    asyncio.run(scenario())
    database.close()
