"""A thousand schedules whose windows begin in the same second: how late the scheduler decides.

Measured is the scheduler itself, in a process of its own: its loop, its decisions and its
database (SQLite on disk, each commit synced). A start counts as decided when its ledger row and
its intent are on disk and the reconciler has been told of it; late is the span from the window's
instant to then. What launches the processes is not in it; ``crowd`` measures that.

The rival is APScheduler 3 with its jobs in SQLite, where it is installed: late is the span from the
trigger's instant to the job's first line. With its jobs in memory it is quicker, and loses them all
with the process.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection

from algohost.domain.ids import StrategyId, UserId
from algohost.domain.schedules import WEEKDAYS, Schedule, ScheduleKind, Window
from algohost.domain.strategies import Intent, Mode, Strategy, Wanted
from algohost.host.calendars import CalendarService
from algohost.host.clock import SystemClock
from algohost.host.registry import Registry
from algohost.host.scheduler import Scheduler
from algohost.market.calendars import shipped
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database, open_database
from benchmarks.figures import Figure, percentile
from benchmarks.measures import Amount
from benchmarks.server import Server

STARTS = 1000
_SOURCE = b"print('namaste')\n"
_AHEAD = timedelta(seconds=3)


def due(_server: Server, _amount: Amount) -> list[Figure]:
    """Lateness of a thousand starts in one second, in a fresh process each."""
    ours, rival = _asked("ours"), _asked("rival")
    return [
        Figure(
            name=f"{STARTS:,} schedules due at once, decided and on disk, p{percent}",
            unit="ms",
            ours=percentile(ours, percent),
            rival=percentile(rival, percent) if rival else None,
            goal=50 if percent == 99 else None,
        )
        for percent in (50, 99)
    ]


def _asked(which: str) -> Sequence[float]:
    words = [sys.executable, "-m", "benchmarks.due", which]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=180)
    return [float(word) for word in done.stdout.split()]


def _ours() -> Sequence[float]:
    with TemporaryDirectory() as folder:
        return asyncio.run(_lateness(Path(folder)))


async def _lateness(folder: Path) -> Sequence[float]:
    clock, database = SystemClock(), open_database(folder / "algohost.db")
    now = clock.now()
    ids = await _added(database, now)
    start_at = _whole_second(clock.now() + _AHEAD)
    await _given(database, ids, start_at, clock.now())
    decided: dict[StrategyId, float] = {}

    def told(strategy_id: StrategyId) -> None:
        decided[strategy_id] = (clock.now() - start_at).total_seconds() * 1000

    scheduler = Scheduler(
        clock=clock,
        database=database,
        registry=Registry(database.read(stored_strategies.everything), []),
        calendars=CalendarService(clock=clock, database=database, tables=shipped()),
        wake=told,
    )
    loop = asyncio.create_task(scheduler.run())
    async with asyncio.timeout(60):
        while len(decided) < STARTS:
            await asyncio.sleep(0.05)
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop
    database.close()
    return list(decided.values())


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


async def _added(database: Database, now: datetime) -> Sequence[Strategy]:
    user = ("u", "u", "h", 1, now.isoformat())
    await database.write(
        lambda c: c.exec_driver_sql("INSERT INTO users VALUES (?, ?, ?, ?, ?)", user)
    )
    made = [_strategy(number, now) for number in range(STARTS)]

    def keep(connection: Connection) -> None:
        for one in made:
            stored_strategies.insert(connection, one, _SOURCE)

    await database.write(keep)
    return made


async def _given(
    database: Database, strategies: Sequence[Strategy], start_at: datetime, now: datetime
) -> None:
    """A window from that instant on, every day, on an exchange that never closes."""
    window = Window(
        start=start_at.time(),
        stop=start_at.time(),
        weekdays=frozenset(WEEKDAYS),
        ends_next_day=True,
    )
    schedule = Schedule(kind=ScheduleKind.WINDOWS, windows=(window,), zone="UTC")
    changed = [replace(one, schedule=schedule, schedule_set_at=now) for one in strategies]

    def keep(connection: Connection) -> None:
        for one in changed:
            stored_strategies.save_schedule(connection, one)

    await database.write(keep)


def _strategy(number: int, now: datetime) -> Strategy:
    return Strategy(
        id=StrategyId(f"s{number:04d}_20260101000000"),
        owner_id=UserId("u"),
        name=f"s{number}",
        file_name="s.py",
        exchange="CRYPTO",
        mode=Mode.PAPER,
        version_id=stored_strategies.version_of(_SOURCE),
        problem=None,
        intent=Intent(number=0, wanted=Wanted.STOPPED, by="user:u", at=now),
        created_at=now,
    )


def _rival() -> Sequence[float]:
    try:
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
    except ImportError:
        return ()

    async def main(folder: str) -> None:
        store = SQLAlchemyJobStore(url=f"sqlite:///{folder}/jobs.db")
        scheduler = AsyncIOScheduler(timezone=UTC, jobstores={"default": store})
        scheduler.start(paused=True)
        start_at = _whole_second(datetime.now(UTC) + timedelta(seconds=30))
        for _ in range(STARTS):
            scheduler.add_job(
                rival_job,
                "date",
                run_date=start_at,
                args=[start_at.timestamp()],
                misfire_grace_time=None,  # by default it drops what is a second late
            )
        scheduler.resume()
        async with asyncio.timeout(90):
            while len(_RIVAL) < STARTS:
                await asyncio.sleep(0.05)
        scheduler.shutdown(wait=False)

    with TemporaryDirectory() as folder:
        asyncio.run(main(folder))
    return _RIVAL


_RIVAL: list[float] = []


async def rival_job(start_at: float) -> None:
    """What the rival starts; at module level, because it keeps the name of it."""
    _RIVAL.append((time.time() - start_at) * 1000)


if __name__ == "__main__":
    from benchmarks import due as itself  # by the name under which the rival finds its job

    print(*(itself._ours() if sys.argv[1] == "ours" else itself._rival()))
