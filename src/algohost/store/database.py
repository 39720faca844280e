"""The database file: opening it, reading from it, and the one thread that writes to it.

SQLite in WAL mode with ``synchronous=FULL``: a commit that returned survives power loss. All
writes go through one thread, which commits everything that waits in one transaction (group
commit), so that ten orders in the same millisecond cost one sync.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
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
        return await asyncio.wrap_future(self._submit(fn))

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        """``write`` for callers that have no event loop."""
        return self._submit(fn).result()

    def close(self) -> None:
        """Finishes the writes that wait, and lets the file go."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._writer.join()
            self._engine.dispose()

    def _submit(self, fn: Callable[[Connection], T]) -> "Future[T]":
        if self._closed:
            raise Unavailable("The database is closed: the server is stopping.")
        job = _Job(fn)
        self._jobs.put(job)
        return cast("Future[T]", job.future)

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

    def _commit(self, batch: list["_Job"]) -> None:
        # a job whose caller has gone away before its turn is not done; from here on it is
        batch = [job for job in batch if job.future.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                for job in batch:
                    job.run(connection, alone=len(batch) == 1)
                connection.commit()
        except Exception as error:
            log.exception("write_failed jobs=%d", len(batch))
            reason = _in_words(error, self.path)
            for job in batch:
                job.fail(reason)
            return
        for job in batch:
            job.resolve()


class _Job:
    """One caller's share of a transaction."""

    def __init__(self, fn: Callable[[Connection], Any]) -> None:
        self._fn = fn
        self.future: Future[Any] = Future()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self, connection: Connection, *, alone: bool) -> None:
        if alone:
            self._try(connection)
            if self._error is not None:
                connection.exec_driver_sql("ROLLBACK")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        connection.exec_driver_sql("SAVEPOINT job")
        self._try(connection)
        if self._error is not None:
            connection.exec_driver_sql("ROLLBACK TO job")
        connection.exec_driver_sql("RELEASE job")

    def _try(self, connection: Connection) -> None:
        try:
            self._result = self._fn(connection)
        except OperationalError:
            raise  # the disk or a lock, not the caller: fails the whole batch, in words
        except Exception as error:  # noqa: BLE001 - carried to the caller that sent it
            self._error = error

    def fail(self, error: BaseException) -> None:
        self.future.set_exception(self._error or error)

    def resolve(self) -> None:
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)


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
        case said if isinstance(error, OSError | DatabaseError):
            words = f"The database {path} cannot be used ({said}); check its folder and the disk."
        case said:
            words = f"The change was not saved ({type(error).__name__}: {said})."
    return Unavailable(words, code="DATABASE")
