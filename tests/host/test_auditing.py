"""The audit in the database: taken in once, never changed, checked against the journals."""

import asyncio
import csv
import io
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from algohost.domain.audit import Entry, break_in
from algohost.domain.errors import AlgohostError
from algohost.domain.gtt import Gtt, GttId, GttKind, GttLeg, GttRequest, GttStatus
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Book, Order, OrderRequest, OrderStatus, Product
from algohost.domain.ports import Intent
from algohost.exchange.codec import to_record
from algohost.exchange.events import Accepted, Cancelled, Event, Modified
from algohost.exchange.gtt_events import GttCancelled, GttPlaced
from algohost.host.auditing import COLUMNS, Audit, Verdict
from algohost.store import audit as stored
from algohost.store.database import Database, open_database
from algohost.store.orders import StoredOrderJournal

AT = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
ACCOUNT = AccountId("paper-u")
ORDER = Order(
    id=OrderId("261123000042000001"),
    book=Book(account_id=ACCOUNT, strategy_id=StrategyId("ema_20261123091500")),
    request=OrderRequest(
        key=InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE"),
        action=Action.BUY,
        quantity=7,
    ),
    status=OrderStatus.OPEN,
    placed_at=AT,
    updated_at=AT,
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(tmp_path / "algohost.db")


def note(database: Database, act: str, **detail: str) -> None:
    database.write_now(lambda c: stored.note(c, act, at=AT, by="user:asha", **detail))


def trade(database: Database) -> None:
    """An order as the gateway leaves it in the journals."""

    async def keep() -> None:
        journal = StoredOrderJournal(database)
        await journal.intend(Intent(order=ORDER))
        events: tuple[Event, ...] = (
            Accepted(at=AT, order=ORDER, reserve=Decimal(100)),
            Cancelled(at=AT, order_id=ORDER.id, reason="Cancelled on request."),
        )
        await journal.append(ACCOUNT, [to_record(e, number=n) for n, e in enumerate(events, 1)])

    asyncio.run(keep())


def test_orders_are_taken_in_once_with_owner_and_words(database: Database) -> None:
    audit = Audit(database)
    note(database, "login", peer="127.0.0.1")
    trade(database)
    for _ in range(2):
        asyncio.run(audit.catch_up())
    found = [(link.entry.act, link.entry.by, link.entry.subject) for link in audit.newest(limit=9)]
    strategy = "strategy:ema_20261123091500"
    assert found == [
        ("login", "user:asha", ""),
        ("order_intended", strategy, ORDER.id),
        ("order_accepted", strategy, ORDER.id),
        ("order_cancelled", "account:paper-u", ORDER.id),
    ]
    assert audit.newest(limit=9)[2].entry.detail["order"] == "BUY 7 NSE:RELIANCE MARKET MIS"
    verdict = audit.verify()
    assert (verdict.links, verdict.problem) == (4, None)
    assert verdict.newest_hash == audit.newest(limit=1)[0].hash


def test_who_changed_an_order_and_whose_a_gtt_is_are_told(database: Database) -> None:
    async def keep() -> None:
        book, request = ORDER.book, ORDER.request
        wanted = GttRequest(
            key=request.key, action=Action.BUY, quantity=1, product=Product.CNC,
            kind=GttKind.SINGLE, legs=(GttLeg(trigger_price=Decimal(9), price=Decimal(9)),),
        )  # fmt: skip
        gtt = Gtt(
            id=GttId("7"), book=book, request=wanted, status=GttStatus.ACTIVE, order_id=ORDER.id,
            last_price=Decimal(10), placed_at=AT, updated_at=AT, expires_at=AT,
        )  # fmt: skip
        events: tuple[Event, ...] = (
            Modified(
                at=AT, order_id=ORDER.id, request=request, status=OrderStatus.OPEN,
                reserve=Decimal(1), by="account:paper-u",
            ),
            GttPlaced(at=AT, gtt=gtt),
            GttCancelled(at=AT, gtt_id=gtt.id, reason="Cancelled by the kill switch."),
        )  # fmt: skip
        records = [to_record(event, number=number) for number, event in enumerate(events, 1)]
        await StoredOrderJournal(database).append(ACCOUNT, records)

    asyncio.run(keep())
    audit = Audit(database)
    asyncio.run(audit.catch_up())
    found = [link.entry for link in audit.newest(limit=9)]
    assert [(one.act, one.by, one.subject) for one in found] == [
        ("order_modified", "account:paper-u", ORDER.id),
        ("gtt_placed", "strategy:ema_20261123091500", "7"),
        ("gtt_cancelled", "account:paper-u", "7"),
    ]
    assert found[2].detail["reason"] == "Cancelled by the kill switch."


def test_many_entries_are_taken_in_by_short_transactions(database: Database) -> None:
    """An order that comes meanwhile waits for one of them."""
    for _ in range(3):
        note(database, "login")
    trade(database)
    counts = []
    while count := database.write_now(lambda c: stored.take_in(c, limit=2)):
        counts.append(count)
    assert counts == [2, 1]
    assert Audit(database).verify() == Verdict(
        links=6, newest_hash=Audit(database).newest(limit=1)[0].hash
    )


def test_a_call_takes_in_what_there_is_by_one_write_and_an_idle_one_by_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where orders never cease it has an end too: it does not run after single entries."""
    written, write = [], database.write

    async def count(work: Callable[[Connection], int]) -> int:
        written.append(await write(work))
        return written[-1]

    monkeypatch.setattr(database, "write", count)
    note(database, "login")
    asyncio.run(Audit(database).catch_up())
    assert written == []
    with monkeypatch.context() as plain:
        plain.setattr(database, "write", write)
        trade(database)
    asyncio.run(Audit(database).catch_up())
    assert written == [3]


def test_what_was_taken_in_survives_a_crash_between(database: Database) -> None:
    """The position and the links are one transaction: neither comes without the other."""
    trade(database)

    def fail(connection: Connection) -> None:
        stored.take_in(connection, limit=1)
        raise ValueError("between")

    with pytest.raises(ValueError, match="between"):
        database.write_now(fail)
    assert Audit(database).verify() == Verdict(links=0, newest_hash="")
    asyncio.run(Audit(database).catch_up())
    assert Audit(database).verify().links == 3


@pytest.mark.parametrize("change", ["UPDATE audit SET by = 'user:eve'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_the_audit(database: Database, change: str) -> None:
    note(database, "login")
    with pytest.raises((SQLAlchemyError, AlgohostError), match="only added to"):
        database.write_now(lambda c: c.execute(text(change)))
    assert Audit(database).verify().problem is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE audit SET by = 'user:eve' WHERE number = 2",
            "Link 2 of the audit was changed after it was written.",
        ),
        (
            "UPDATE audit SET detail = '{' WHERE number = 2",
            "A link after number 0 of the audit cannot be read (Expecting property name",
        ),
        (
            "DELETE FROM audit WHERE number = 2",
            "Link 2 of the audit is missing: 3 is in its place.",
        ),
        (
            "UPDATE order_journal SET body = json_set(body, '$.reason', 'x') WHERE number = 2",
            (
                "Entry 2 in the order journal of account paper-u is not what link 5 of the audit "
                "says of it."
            ),
        ),
    ],
)
def test_who_writes_the_file_past_us_is_found_out(
    database: Database, change: str, said: str
) -> None:
    note(database, "login")
    note(database, "logout")
    trade(database)
    asyncio.run(Audit(database).catch_up())
    with sqlite3.connect(database.path) as file:
        for trigger in ("audit_no_update", "audit_no_delete"):
            file.execute(f"DROP TRIGGER {trigger}")
        file.execute(change)
    file.close()
    problem = Audit(database).verify().problem
    assert problem is not None
    assert problem.startswith(said)


def test_the_csv_has_all_that_the_hashes_are_made_of(database: Database) -> None:
    note(database, "settings_changed", changes='{"a": "b, c"}')
    trade(database)
    asyncio.run(Audit(database).catch_up())
    rows = list(csv.DictReader(io.StringIO("".join(Audit(database).csv()))))
    assert tuple(rows[0]) == COLUMNS
    links = Audit(database).newest(limit=9)
    assert [row["hash"] for row in rows] == [link.hash for link in links]
    assert [row["previous"] for row in rows] == ["0" * 64, *(link.hash for link in links[:-1])]


def test_an_entry_that_is_too_long_is_hashed_as_it_is_kept(database: Database) -> None:
    entry = Entry(at=AT, by="x" * 300, act="y" * 300, subject="z" * 300)
    database.write_now(lambda c: stored.append(c, entry, entry))
    links = Audit(database).newest(limit=2)
    assert break_in(links) is None
    assert [len(links[0].entry.by), len(links[0].entry.act)] == [120, 40]
