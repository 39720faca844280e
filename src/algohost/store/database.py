"""The database file: opening it, reading from it, and the one thread that writes to it.

SQLite in WAL mode with ``synchronous=FULL``: a commit that returned survives power loss. All
writes go through one thread, which commits everything that waits in one transaction (group
commit), so that ten orders in the same millisecond cost one sync.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from algohost.domain.errors import Unavailable
from algohost.store import schema

log = logging.getLogger(__name__)
T = TypeVar("T")

_BUSY_SECONDS: Final = 30.0
_MOST_PER_COMMIT: Final = 256
_KEPT_CONNECTIONS: Final = 8


class Database:
    """One open database file. Make one with ``open_database``; ``close`` it once."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._kept: Connection | None = None
        self._writer = threading.Thread(target=self._write_forever, name="store-writer")
        self._writer.daemon = True
        self._writer.start()

    def read(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns of a read-only look at the committed state; keep it short."""
        with self._engine.connect() as connection:
            return fn(connection)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Runs ``fn`` in a transaction; its effects are on disk, synced, when this returns.

        An error raised by ``fn`` undoes what ``fn`` did, nothing else, and is raised here.
        Raises ``Unavailable`` where the database cannot be written.
        """
        job = _AwaitedJob(fn, asyncio.get_running_loop())
        self._submit(job)
        return cast("T", await job.awaited)

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        """``write`` for callers that have no event loop."""
        job = _BlockingJob(fn)
        self._submit(job)
        return cast("T", job.future.result())

    def close(self) -> None:
        """Finishes the writes that wait, and lets the file go."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._writer.join()
            self._engine.dispose()

    def _submit(self, job: "_Job") -> None:
        if self._closed:
            raise Unavailable("The database is closed: the server is stopping.")
        self._jobs.put(job)

    def _write_forever(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch = [job]
            last = False
            while len(batch) < _MOST_PER_COMMIT and not last:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                else:
                    batch.append(more)
            self._commit(batch)
            if last:
                break
        self._let_go()

    def _commit(self, batch: list["_Job"]) -> None:
        # a job whose caller has gone away before its turn is not done; from here on it is
        batch = [job for job in batch if job.is_wanted()]
        if not batch:
            return
        try:
            connection = self._writing()
            driver = driver_of(connection)
            driver.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.run(connection, driver, alone=len(batch) == 1)
            driver.execute("COMMIT")
        except Exception as error:
            self._let_go()
            log.exception("write_failed jobs=%d", len(batch))
            reason = _in_words(error, self.path)
            for job in batch:
                job.failed(reason)
            _answer(batch)
            return
        _answer(batch)
        try:
            if connection.in_transaction():
                connection.commit()  # which is done: SQLAlchemy begins anew with the next
        except SQLAlchemyError:
            log.exception("connection_not_reusable")
            self._let_go()

    def _writing(self) -> Connection:
        """The writer's own connection, kept for what it has prepared: it saves a fifth of a
        millisecond on each order."""
        if self._kept is None:
            self._kept = self._engine.connect()
        return self._kept

    def _let_go(self) -> None:
        """Undoes what is not committed; the next write begins with a fresh connection."""
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                kept.invalidate()
                kept.close()
            except SQLAlchemyError:
                log.exception("connection_not_closed")


def driver_of(connection: Connection) -> sqlite3.Connection:
    """The driver's connection, for statements that every order waits for.

    SQLAlchemy knows nothing of them, and errors are those of ``sqlite3``.
    """
    return cast("sqlite3.Connection", connection.connection.driver_connection)


class _Job:
    """One caller's share of a transaction."""

    def __init__(self, fn: Callable[[Connection], Any]) -> None:
        self._fn = fn
        self._result: Any = None
        self._error: BaseException | None = None

    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        raise NotImplementedError

    def run(self, connection: Connection, driver: sqlite3.Connection, *, alone: bool) -> None:
        if alone:
            self._try(connection)
            if self._error is not None:
                driver.execute("ROLLBACK")
                driver.execute("BEGIN IMMEDIATE")
            return
        driver.execute("SAVEPOINT job")
        self._try(connection)
        if self._error is not None:
            driver.execute("ROLLBACK TO job")
        driver.execute("RELEASE job")

    def _try(self, connection: Connection) -> None:
        try:
            self._result = self._fn(connection)
        except (OperationalError, sqlite3.OperationalError):
            raise  # the disk or a lock, not the caller: fails the whole batch, in words
        except Exception as error:  # noqa: BLE001 - carried to the caller that sent it
            self._error = error

    def failed(self, error: BaseException) -> None:
        """The whole transaction was undone."""
        self._error = self._error or error

    def answer(self) -> None:
        """Gives the caller the outcome."""
        raise NotImplementedError


class _BlockingJob(_Job):
    """One whose caller's thread stands still until the ``future`` is done."""

    def __init__(self, fn: Callable[[Connection], Any]) -> None:
        super().__init__(fn)
        self.future: Future[Any] = Future()

    def is_wanted(self) -> bool:
        """As ``_Job.is_wanted``."""
        return self.future.set_running_or_notify_cancel()

    def answer(self) -> None:
        """As ``_Job.answer``."""
        _give(self.future, self._result, self._error)


class _AwaitedJob(_Job):
    """One whose caller awaits it on an event loop."""

    def __init__(self, fn: Callable[[Connection], Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(fn)
        self.loop = loop
        self.awaited: asyncio.Future[Any] = loop.create_future()

    def is_wanted(self) -> bool:
        """As ``_Job.is_wanted``."""
        return not self.awaited.cancelled()

    def answer(self) -> None:
        """As ``_Job.answer``; on the loop."""
        if not self.awaited.done():
            _give(self.awaited, self._result, self._error)


def _give(
    future: "Future[Any] | asyncio.Future[Any]", result: object, error: BaseException | None
) -> None:
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _answer(batch: list[_Job]) -> None:
    """Answers all callers, in their order: those of one loop with one call to it."""
    of_loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        if isinstance(job, _AwaitedJob):
            of_loops.setdefault(job.loop, []).append(job)
        else:
            job.answer()
    for loop, jobs in of_loops.items():
        with suppress(RuntimeError):  # a loop that was closed: nobody waits there any more
            loop.call_soon_threadsafe(_answer_all, jobs)


def _answer_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.answer()


def open_database(path: Path) -> Database:
    """Opens the file at ``path``, making it and bringing its tables up to date as needed.

    Raises ``Unavailable`` with a sentence where the folder cannot be written, the file is not a
    database or is damaged, or a newer algohost has written it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = _engine(path)
        with engine.connect() as connection:
            schema.bring_up_to_date(connection, path)
        path.chmod(0o600)
    except (SQLAlchemyError, OSError) as error:
        raise _in_words(error, path) from error
    return Database(path, engine)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        # not a pool by thread: that one closes the connections of other threads when it is full
        poolclass=QueuePool,
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=-1,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _in_words(error: BaseException, path: Path) -> Unavailable:
    cause = getattr(error, "orig", None) or error
    match str(cause):
        case "database is locked":
            words = (
                f"The database {path} has been locked by another program for {_BUSY_SECONDS:.0f} s;"
                " close that program and try again."
            )
        case "file is not a database" | "database disk image is malformed":
            words = (
                f"The database {path} is damaged ({cause});"
                " restore it from a backup, or move it away to begin anew."
            )
        case said if isinstance(error, OSError | DatabaseError | sqlite3.Error):
            words = f"The database {path} cannot be used ({said}); check its folder and the disk."
        case said:
            words = f"The change was not saved ({type(error).__name__}: {said})."
    return Unavailable(words, code="DATABASE")
