"""Which logs are removed, and what stays of their runs."""

import asyncio
import os
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from algohost.domain.ids import RunId
from algohost.domain.runs import Outcome, OutcomeKind, Run, RunState
from algohost.host import retention
from algohost.host.retention import KEEP_EVENTS_DAYS, Keeping, Retention
from algohost.store import host_events, run_logs
from algohost.store import runs as stored_runs
from algohost.store.host_events import HostEvent
from tests.host.harness import ASHA, HostUnderTest

KB = 1024


class Shelf:
    """A strategy with runs that have logs, and the retention over them."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self.host = HostUnderTest(folder)
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.retention = Retention(
            clock=self.host.clock,
            database=self.host.database,
            registry=self.host.registry,
            folder=self.logs,
            keeping=keeping,
        )

    async def fill(self, days: list[float], *, size: int = KB, is_live: bool = False) -> list[Run]:
        """A run for each age in days, newest first."""
        strategy = (await self.host.add()).strategy
        runs = []
        for number, age in enumerate(days):
            at = self.host.clock.now() - timedelta(days=age)
            run = Run(
                id=RunId(f"{number:016x}"), strategy_id=strategy.id,
                version_id=strategy.version_id, intent_number=1000 - number, created_at=at,
                state=RunState.ENDED, ended_at=at, log_name=f"log{number}",
                outcome=Outcome(kind=OutcomeKind.EXITED, exit_code=0),
            )  # fmt: skip
            if is_live and number == 1:
                run = replace(run, state=RunState.RUNNING, outcome=None, ended_at=None)
            self.host.database.write_now(partial(stored_runs.insert, run=run))
            (self.logs / run.log_name).write_bytes(b"x" * size)
            runs.append(run)
        return runs

    def there(self) -> list[int]:
        """The numbers of the logs on disk; the database must say the same."""
        known = self.host.database.read(run_logs.logged_runs)
        on_disk = sorted(int(path.name.removeprefix("log")) for path in self.logs.iterdir())
        assert sorted(int(run.id, 16) for run in known) == on_disk
        return on_disk


CASES = [
    (Keeping(runs=0, days=0, megabytes=0), [0, 10, 400], [0, 1, 2]),
    (Keeping(runs=2, days=0, megabytes=0), [0, 1, 2, 3], [0, 1]),
    (Keeping(runs=0, days=30, megabytes=0), [0, 29.9, 30.1, 60], [0, 1]),
    (Keeping(runs=0, days=30, megabytes=0), [60, 61], [0]),
    (Keeping(runs=0, days=0, megabytes=1), [0, 1, 2, 3], [0, 1, 2]),
    (Keeping(runs=3, days=1, megabytes=1), [0, 0.5, 2, 3], [0, 1]),
]


@pytest.mark.parametrize(("keeping", "days", "expected"), CASES)
def test_logs_are_kept_by_count_age_and_size_together(
    tmp_path: Path, keeping: Keeping, days: list[float], expected: list[int]
) -> None:
    """The newest run's log stays, however old it is. Three of 340 KB fit into one MB."""

    async def check() -> None:
        shelf = Shelf(tmp_path, keeping)
        await shelf.fill(days, size=340 * KB)
        assert await shelf.retention.sweep() == len(days) - len(expected)
        assert shelf.there() == expected
        assert await shelf.retention.sweep() == 0
        shelf.host.database.close()

    asyncio.run(check())


def test_a_live_runs_log_stays_and_counts(tmp_path: Path) -> None:
    async def check() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=1, days=1, megabytes=1))
        await shelf.fill([5, 6, 7], size=600 * KB, is_live=True)
        await shelf.retention.sweep()
        assert shelf.there() == [0, 1]
        shelf.host.database.close()

    asyncio.run(check())


def test_a_log_that_is_gone_already_and_one_that_cannot_be_removed(tmp_path: Path) -> None:
    """A crash after the removal is made good; a folder in a log's place is tried again."""

    async def check() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=1, days=0, megabytes=0))
        runs = await shelf.fill([0, 1, 2])
        (shelf.logs / "log1").unlink()
        (shelf.logs / "log2").unlink()
        (shelf.logs / "log2").mkdir()
        assert await shelf.retention.sweep(runs[0].strategy_id) == 1
        assert shelf.there() == [0, 2]
        shelf.host.database.close()

    asyncio.run(check())


def test_only_the_name_goes_of_what_a_strategy_has_put_in_a_logs_place(tmp_path: Path) -> None:
    """S6: nothing foreign is deleted, only the link to it."""

    async def check() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=1, days=0, megabytes=0))
        await shelf.fill([0, 1, 2])
        vault = tmp_path / "vault"
        vault.write_bytes(b"key")
        for name, link in (("log1", os.symlink), ("log2", os.link)):
            (shelf.logs / name).unlink()
            link(vault, shelf.logs / name)
        await shelf.retention.sweep()
        assert (shelf.there(), vault.read_bytes()) == ([0], b"key")
        shelf.host.database.close()

    asyncio.run(check())


def test_a_run_that_ends_has_its_strategy_looked_at(tmp_path: Path) -> None:
    async def check() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=1, days=0, megabytes=0))
        loop = asyncio.create_task(shelf.retention.run())
        await asyncio.sleep(0)
        runs = await shelf.fill([0, 1, 2])
        live = replace(runs[0], state=RunState.RUNNING, outcome=None, ended_at=None)
        shelf.host.registry.put_run(live)
        shelf.host.registry.put_run(runs[0])
        await shelf.host.until(lambda: not (shelf.logs / "log2").exists(), "the sweep")
        known = shelf.host.database.read
        await shelf.host.until(lambda: len(known(run_logs.logged_runs)) == 1, "its record")
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        shelf.host.database.close()

    asyncio.run(check())


def test_the_last_lines_stay_with_a_run_once(tmp_path: Path) -> None:
    """Promise 7: they are there when the log is not."""

    async def check() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=1, days=0, megabytes=0))
        (run, other) = await shelf.fill([0, 1])
        database = shelf.host.database
        for lines in (["one", "", "two"], ["not this"]):
            database.write_now(partial(run_logs.keep_tail, run_id=run.id, lines=lines))
        database.write_now(lambda c: run_logs.keep_tail(c, other.id, []))
        assert database.read(lambda c: run_logs.tail_of(c, run.id)) == ["one", "", "two"]
        assert database.read(lambda c: run_logs.tail_of(c, other.id)) == []
        assert database.read(lambda c: run_logs.tail_of(c, RunId("f" * 16))) is None
        database.close()

    asyncio.run(check())


def test_an_end_is_recorded_with_the_last_lines(tmp_path: Path) -> None:
    """In the same transaction; and a log that cannot be read does not hold the outcome back."""

    async def check() -> None:
        host = HostUnderTest(tmp_path)
        host.reconciler._last_lines = lambda run: [f"last of {run.strategy_id}"]
        host.begin()
        view = await host.add()
        await host.service.start(ASHA, view.strategy.id)
        await host.until(lambda: bool(host.keeper.known), "a run")
        run_id = next(iter(host.keeper.known))
        host.keeper.exits(run_id, code=1)
        await host.until(
            lambda: host.database.read(lambda c: run_logs.tail_of(c, RunId(run_id))) is not None,
            "the last lines",
        )
        found = host.database.read(lambda c: run_logs.tail_of(c, RunId(run_id)))
        assert found == [f"last of {view.strategy.id}"]
        await host.halt()
        host.database.close()

    asyncio.run(check())


def test_the_database_is_asked_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All logs of all strategies are asked for: that is no short look."""
    threads: list[threading.Thread] = []
    look = run_logs.logged_runs

    def logged_runs(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return look(*given)

    monkeypatch.setattr(run_logs, "logged_runs", logged_runs)

    async def check() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=1, days=0, megabytes=0))
        await shelf.fill([0, 1])
        assert await shelf.retention.sweep() == 1
        shelf.host.database.close()

    asyncio.run(check())
    assert threads
    assert threading.main_thread() not in threads


def test_events_of_the_host_go_when_they_are_old_or_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_EVENTS", 3)

    async def scenario() -> None:
        shelf = Shelf(tmp_path, Keeping(runs=0, days=0, megabytes=0))
        now = shelf.host.clock.now()

        async def kept_of(ages: list[int]) -> list[str]:
            def write(connection: Any) -> None:
                for age in ages:
                    at = now - timedelta(days=age)
                    event = HostEvent(subject="s", at=at, kind="late_start", sentence=str(age))
                    host_events.add(connection, event)

            shelf.host.database.write_now(write)
            await shelf.retention._swept(None)
            found = shelf.host.database.read(lambda c: host_events.of_subject(c, "s"))
            return [one.sentence for one in found]

        assert await kept_of([KEEP_EVENTS_DAYS + 1, KEEP_EVENTS_DAYS - 1]) == ["399"]
        assert await kept_of([4, 3, 2, 1]) == ["1", "2", "3"]
        shelf.host.database.close()

    asyncio.run(scenario())
