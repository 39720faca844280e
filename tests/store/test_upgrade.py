"""R23: the database of the first release, with what was in it, is that of this one afterwards."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, RunId, StrategyId, VersionId
from algohost.domain.orders import OrderStatus
from algohost.domain.runs import Outcome, OutcomeKind, ProcessIdentity, Run, RunState
from algohost.domain.strategies import SourceProblem, Wanted
from algohost.domain.strategy_settings import StrategySettings
from algohost.store import environments, run_logs, schema, users, variables
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database, open_database
from algohost.store.orders import StoredOrderJournal

AT = "2026-11-23T03:45:00.123456+00:00"
WHEN = datetime(2026, 11, 23, 3, 45, 0, 123456, tzinfo=UTC)
EMA, DRAFT = StrategyId("ema_20261123091500"), StrategyId("draft_20261123091501")
SOURCE = "print('नमस्ते')\n".encode()
VERSION = stored_strategies.version_of(SOURCE)
BOOT = "cda491e2-dd64-43ba-b603-fe522089a4d9"
ACCOUNT = AccountId("paper-u1")
PROBLEM = {"line": 3, "column": 1, "message": "invalid syntax"}
ORDER = {
    "id": "261123000001", "account_id": ACCOUNT, "strategy_id": EMA, "status": "intended",
    "placed_at": AT, "updated_at": AT, "filled_quantity": 0, "average_price": "0", "reason": "",
    "request": {
        "exchange": "NSE", "symbol": "M&M", "action": "SELL", "quantity": 7,
        "price_type": "LIMIT", "product": "MIS", "price": "3011.05", "trigger_price": "0",
        "disclosed_quantity": 0, "label": "ema",
    },
}  # fmt: skip
RUN_OF_EMA = {"strategy_id": EMA, "version_id": VERSION, "created_at": AT, "started_at": AT,
              "boot_id": BOOT, "reason": ""}  # fmt: skip

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("users", {"id": "u1", "name": "Asha", "password_hash": "$argon2id$", "is_admin": 1,
               "created_at": AT}),
    ("users", {"id": "u2", "name": "ravi", "password_hash": "$argon2id$2", "is_admin": 0,
               "created_at": "2026-11-24T00:00:00.000000+00:00"}),
    ("api_keys", {"id": "k1", "user_id": "u1", "prefix": "abcd", "key_hash": "h" * 64,
                  "created_at": AT}),
    ("versions", {"id": VERSION, "content": SOURCE, "created_at": AT}),
    ("strategies", {"id": EMA, "owner_id": "u1", "name": "EMA", "file_name": "ema.py",
                    "exchange": "NSE", "mode": "paper", "version_id": VERSION, "problem": "null",
                    "created_at": AT}),
    ("strategies", {"id": DRAFT, "owner_id": "u2", "name": "Draft", "file_name": "draft.py",
                    "exchange": "NFO", "mode": "paper", "version_id": VERSION,
                    "problem": json.dumps(PROBLEM), "created_at": AT}),
    *(("strategy_versions", {"strategy_id": one, "number": 1, "version_id": VERSION,
                             "saved_by": "user:asha", "saved_at": AT}) for one in (EMA, DRAFT)),
    ("intents", {"strategy_id": EMA, "number": 0, "wanted": "stopped", "by": "user:asha",
                 "at": AT}),
    ("intents", {"strategy_id": EMA, "number": 3, "wanted": "running", "by": "user:asha",
                 "at": AT}),
    ("intents", {"strategy_id": DRAFT, "number": 0, "wanted": "stopped", "by": "user:ravi",
                 "at": AT}),
    ("runs", {**RUN_OF_EMA, "id": "a" * 16, "intent_number": 1, "state": "ended", "ended_at": AT,
              "pid": 4711, "start_ticks": 42, "outcome": "exited", "exit_code": 3,
              "peak_memory_bytes": 80_000_000, "cpu_seconds": 1.5, "log_name": "ema_1.log"}),
    ("runs", {**RUN_OF_EMA, "id": "b" * 16, "intent_number": 3, "state": "running",
              "created_at": "2026-11-23T04:00:00.000000+00:00", "pid": 4712, "start_ticks": 43,
              "log_name": "ema_2.log", "token_hash": "t" * 64}),
    ("order_intents", {"sequence": 1, "order_id": ORDER["id"], "account_id": ACCOUNT,
                       "body": json.dumps(ORDER)}),
    ("order_journal", {"account_id": ACCOUNT, "number": 1, "kind": "accepted", "at": AT,
                       "body": '{"price": "3011.05"}'}),
]  # fmt: skip


def first_release(path: Path) -> None:
    """The tables that its migration makes, with rows as it wrote them."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    engine.dispose()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA foreign_keys = ON")
        for table, row in ROWS:
            marks = ", ".join(f":{name}" for name in row)
            names = ", ".join(f'"{name}"' for name in row)  # "by" is a word of SQL
            raw.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    raw.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "algohost.db"
    first_release(path)
    opened = open_database(path)
    yield opened
    opened.close()


def test_it_is_brought_to_the_tables_of_this_release(database: Database) -> None:
    assert database.read(schema.current) == schema.HEAD
    assert database.read(lambda c: c.exec_driver_sql("PRAGMA foreign_key_check").all()) == []
    checked = database.read(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar())
    assert checked == "ok"


def test_people_and_keys_are_there(database: Database) -> None:
    known = database.read(users.all_users)
    assert [(one.user.name, one.user.is_admin, one.password_hash) for one in known] == [
        ("Asha", True, "$argon2id$"),
        ("ravi", False, "$argon2id$2"),
    ]
    assert known[0].user.created_at == WHEN
    assert [key.prefix for key in database.read(users.live_keys)] == ["abcd"]


def test_strategies_have_the_settings_that_new_ones_have(database: Database) -> None:
    """So they are confined, and reach no network beyond the server, from their next start."""
    found = {one.id: one for one in database.read(stored_strategies.everything)}
    assert found.keys() == {EMA, DRAFT}
    ema, draft = found[EMA], found[DRAFT]
    assert (ema.intent.wanted, ema.intent.number, ema.problem) == (Wanted.RUNNING, 3, None)
    assert draft.problem == SourceProblem(**PROBLEM)  # type: ignore[arg-type]
    assert ema.settings == draft.settings == StrategySettings()
    assert ema.settings.is_confined
    assert not ema.settings.may_connect_anywhere
    assert database.read(lambda c: stored_strategies.content(c, ema.version_id)) == SOURCE


def test_runs_are_read_back_and_the_live_one_is_still_the_only_one(database: Database) -> None:
    ended, live = RunId("a" * 16), RunId("b" * 16)
    newest, first = database.read(lambda c: stored_runs.of_strategy(c, EMA, limit=9))
    assert (first.id, first.state, first.attempt, first.enforced) == (ended, RunState.ENDED, 0, ())
    assert first.outcome == Outcome(kind=OutcomeKind.EXITED, exit_code=3)
    assert (first.peak_memory_bytes, first.cpu_seconds, first.started_at) == (80_000_000, 1.5, WHEN)
    assert (newest.id, newest.state, newest.log_name) == (live, RunState.RUNNING, "ema_2.log")
    assert newest.process == ProcessIdentity(boot_id=BOOT, pid=4712, start_ticks=43)
    assert database.read(stored_runs.live_token_hashes) == {live: "t" * 64}
    assert database.read(lambda c: stored_runs.restarts_of_each(c, limit=9)) == []
    second = Run(
        id=RunId("c" * 16), strategy_id=EMA, version_id=VersionId(VERSION), intent_number=4,
        created_at=WHEN,
    )  # fmt: skip
    with pytest.raises(Conflict):
        database.write_now(lambda c: stored_runs.insert(c, second))
    logged = database.read(run_logs.logged_runs)
    assert [(one.id, one.is_live) for one in logged] == [(live, True), (ended, False)]
    assert database.read(lambda c: run_logs.tail_of(c, ended)) is None


def test_what_is_new_is_empty(database: Database) -> None:
    assert database.read(lambda c: variables.of_strategy(c, EMA)) == []
    assert database.read(variables.any_sealed) is False
    assert database.read(environments.all_requirements) == {}
    assert database.read(environments.all_allowed) == {}


def test_orders_are_replayed_from_the_same_journal(database: Database) -> None:
    journal = StoredOrderJournal(database)
    (order,) = asyncio.run(_collected(journal.intents(ACCOUNT)))
    assert (order.id, order.status, order.request.price, order.request.key.symbol) == (
        ORDER["id"],
        OrderStatus.INTENDED,
        Decimal("3011.05"),
        "M&M",
    )
    (record,) = asyncio.run(_collected(journal.replay(ACCOUNT)))
    assert (record.number, record.kind, record.at, record.body) == (
        1,
        "accepted",
        WHEN,
        {"price": "3011.05"},
    )


async def _collected(work: Any) -> Any:
    return await work
