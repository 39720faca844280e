"""One live run per strategy is kept by the database itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from algohost.domain.errors import Conflict
from algohost.domain.ids import RunId, StrategyId, UserId
from algohost.domain.runs import (
    Ended,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    Run,
    RunEvent,
    Started,
    StopAsked,
    apply,
)
from algohost.domain.strategies import Intent, Mode, SourceProblem, Strategy, Wanted
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored
from algohost.store.database import Database, open_database

AT = datetime(2026, 11, 23, 3, 45, 0, 123456, tzinfo=UTC)
SOURCE = b"print('namaste')\n"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "a.db")
    opened.write_now(
        lambda c: c.execute(
            text("INSERT INTO users VALUES ('u', 'asha', 'hash', 1, '2026-11-23T00:00:00+00:00')")
        )
    )
    yield opened
    opened.close()


def strategy(number: int = 1) -> Strategy:
    return Strategy(
        id=StrategyId(f"ema_2026112309150{number}"),
        owner_id=UserId("u"),
        name="EMA",
        file_name="ema.py",
        exchange="NSE",
        mode=Mode.PAPER,
        version_id=stored.version_of(SOURCE),
        problem=None,
        intent=Intent(number=0, wanted=Wanted.STOPPED, by="user:asha", at=AT),
        created_at=AT + timedelta(seconds=number),
    )


def run(number: int, of: Strategy) -> Run:
    return Run(
        id=RunId(f"{number:016x}"),
        strategy_id=of.id,
        version_id=of.version_id,
        intent_number=1,
        created_at=AT + timedelta(minutes=number),
        log_name=f"{of.id}.log",
    )


def test_a_second_live_run_is_refused_with_the_first_ones_id(database: Database) -> None:
    one, two = strategy(1), strategy(2)
    for subject in (one, two):
        database.write_now(lambda c, s=subject: stored.insert(c, s, SOURCE))  # type: ignore[misc]
    first = run(1, one)
    database.write_now(lambda c: stored_runs.insert(c, first))
    with pytest.raises(Conflict) as refused:
        database.write_now(lambda c: stored_runs.insert(c, run(2, one)))
    assert refused.value.details == {"run_id": first.id}
    database.write_now(lambda c: stored_runs.insert(c, run(3, two)))
    ended = apply(first, Ended(at=AT, outcome=Outcome(kind=OutcomeKind.STOPPED)))
    database.write_now(lambda c: stored_runs.update(c, ended))
    database.write_now(lambda c: stored_runs.insert(c, run(4, one)))
    assert [r.id for r in database.read(lambda c: stored_runs.of_strategy(c, one.id, limit=9))] == [
        run(4, one).id,
        first.id,
    ]


LIFE: list[RunEvent] = [
    Started(at=AT, process=ProcessIdentity(boot_id="b" * 36, pid=9, start_ticks=77)),
    StopAsked(at=AT, by="user:asha"),
    Ended(
        at=AT,
        outcome=Outcome(kind=OutcomeKind.STOPPED, exit_code=3, signal=None, reason="why"),
        peak_memory_bytes=1 << 33,
        cpu_seconds=1.5,
    ),
]


@pytest.mark.parametrize("steps", range(len(LIFE) + 1))
def test_a_run_is_read_as_it_was_written(database: Database, steps: int) -> None:
    subject = strategy()
    database.write_now(lambda c: stored.insert(c, subject, SOURCE))
    kept = run(1, subject)
    database.write_now(lambda c: stored_runs.insert(c, kept))
    for event in LIFE[:steps]:
        kept = apply(kept, event)
    database.write_now(lambda c: stored_runs.update(c, kept))
    assert database.read(stored_runs.latest_of_each) == [kept]


def test_a_token_is_kept_while_the_run_lives(database: Database) -> None:
    subject = strategy()
    first = run(1, subject)
    database.write_now(lambda c: stored.insert(c, subject, SOURCE))
    database.write_now(lambda c: stored_runs.insert(c, first))
    database.write_now(lambda c: stored_runs.set_token_hash(c, first.id, "f" * 64))
    assert database.read(stored_runs.live_token_hashes) == {first.id: "f" * 64}
    ended = apply(first, Ended(at=AT, outcome=Outcome(kind=OutcomeKind.LOST)))
    database.write_now(lambda c: stored_runs.update(c, ended))
    assert database.read(stored_runs.live_token_hashes) == {}


def test_a_strategy_is_read_with_its_newest_intent_and_version(database: Database) -> None:
    subject = strategy()
    database.write_now(lambda c: stored.insert(c, subject, SOURCE))
    intent = Intent(number=1, wanted=Wanted.RUNNING, by="schedule", at=AT)
    database.write_now(lambda c: stored.add_intent(c, subject.id, intent))
    problem = SourceProblem(line=3, column=1, message="invalid syntax")
    changed = replace(subject, version_id=stored.version_of(b"x="), problem=problem, intent=intent)
    database.write_now(lambda c: stored.save_version(c, changed, b"x=", by="user:asha", at=AT))
    assert database.read(stored.everything) == [changed]
    for version_id, content in ((subject.version_id, SOURCE), (changed.version_id, b"x=")):
        assert database.read(lambda c, v=version_id: stored.content(c, v)) == content  # type: ignore[misc]
    database.write_now(lambda c: stored.mark_deleted(c, subject.id, at=AT))
    assert database.read(stored.everything) == []
    assert database.read(lambda c: stored.id_is_taken(c, subject.id))


def test_the_restarts_of_the_newest_intent_are_found_newest_first(database: Database) -> None:
    """What a new server counts from: not the starts, and not what earlier intents have had."""
    one, two = strategy(1), strategy(2)
    for subject in (one, two):
        database.write_now(lambda c, s=subject: stored.insert(c, s, SOURCE))  # type: ignore[misc]
    over = Ended(at=AT, outcome=Outcome(kind=OutcomeKind.LOST))
    lives = [(one, 1, 0), (one, 1, 1), (one, 2, 0), (one, 2, 1), (one, 2, 2), (one, 2, 3)]
    lives += [(two, 1, 0), (two, 1, 1), (two, 2, 0)]
    for number, (of, intent, attempt) in enumerate(lives):
        made = replace(
            apply(run(number, of), over),
            intent_number=intent,
            attempt=attempt,
            created_at=AT - timedelta(minutes=number),  # the clock was set back again and again
        )
        database.write_now(lambda c, made=made: stored_runs.insert(c, made))  # type: ignore[misc]
    found = database.read(lambda c: stored_runs.restarts_of_each(c, limit=2))
    assert [(r.strategy_id, r.intent_number, r.attempt) for r in found] == [
        (one.id, 2, 3),
        (one.id, 2, 2),
    ]
    latest = database.read(stored_runs.latest_of_each)
    assert {r.strategy_id: r.attempt for r in latest} == {one.id: 3, two.id: 0}
