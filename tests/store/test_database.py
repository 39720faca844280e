"""The database: what is acknowledged is there, what fails leaves nothing, bad files are refused."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from algohost.domain.errors import Unavailable
from algohost.store import schema, tables, trading_tables  # noqa: F401 - they fill it
from algohost.store.database import Database, open_database
from algohost.store.metadata import metadata


def insert(connection: Connection, number: int) -> None:
    connection.execute(
        text("INSERT INTO order_journal VALUES ('a', :n, 'k', 'x', '{}')"), {"n": number}
    )


def numbers(database: Database) -> list[int]:
    chosen = text("SELECT number FROM order_journal ORDER BY number")
    return database.read(lambda c: list(c.execute(chosen).scalars()))


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "algohost.db"
    database = open_database(path)
    database.write_now(lambda c: insert(c, 1))
    database.close()
    again = open_database(path)
    assert numbers(again) == [1]
    assert path.stat().st_mode & 0o777 == 0o600
    again.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db")
    modes = database.read(
        lambda c: [c.execute(text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous")]
    )
    assert modes == ["wal", 2]
    database.close()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=12))
def test_writes_of_one_commit_fail_alone(wanted: list[int]) -> None:
    """Whoever collides fails, whoever shares the commit with it does not."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "a.db")

        async def write_all() -> list[object]:
            jobs = [database.write(lambda c, n=n: insert(c, n)) for n in wanted]  # type: ignore[misc]
            return await asyncio.gather(*jobs, return_exceptions=True)

        results = asyncio.run(write_all())
        assert numbers(database) == sorted(set(wanted))
        assert sum(r is None for r in results) == len(set(wanted))
        database.close()


def test_the_tables_are_those_that_the_migrations_make(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db")

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return list(compare_metadata(context, metadata))

    assert database.read(differences) == []
    database.close()


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() == schema.HEAD


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="newer algohost"):
        open_database(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"this is not a database, but a text" * 100, "damaged"),
        (b"SQLite format 3\0" * 99, "damaged"),
    ],
)
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=said):
        open_database(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"):
        open_database(tmp_path / "taken" / "a.db")


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("half-way")

    path = tmp_path / "a.db"
    with monkeypatch.context() as patch:
        patch.setattr("alembic.operations.Operations.create_index", broken)
        with pytest.raises(RuntimeError, match="half-way"):
            open_database(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    open_database(path).close()


def test_a_write_after_close_is_refused(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db")
    database.close()
    with pytest.raises(Unavailable, match="stopping"):
        database.write_now(lambda c: insert(c, 1))


def test_a_caller_that_gave_up_leaves_the_writer_at_work(tmp_path: Path) -> None:
    """A cancelled request once ended the writer thread, and every later write hung."""
    database = open_database(tmp_path / "a.db")

    async def scenario() -> None:
        given_up = [asyncio.create_task(database.write(lambda c: insert(c, 1))) for _ in range(50)]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        await asyncio.wait_for(database.write(lambda c: insert(c, 2)), 5)

    asyncio.run(scenario())
    assert 2 in numbers(database)
    database.close()


_MANY_READERS = """
import sys, threading
from pathlib import Path
from sqlalchemy import text
from algohost.store.database import open_database
ONE_MORE = text("INSERT INTO t VALUES (1)")
MANY = text("SELECT count(*) FROM t, (SELECT 1 FROM t LIMIT 100)")
database = open_database(Path(sys.argv[1]))
database.write_now(lambda c: c.execute(text("CREATE TABLE t (a)")))
failures = []
def guarded(act):
    try:
        act()
    except BaseException as error:
        failures.append(repr(error))
def write():
    for _ in range(60):
        database.write_now(lambda c: [c.execute(ONE_MORE) for _ in range(20)])
def read():
    database.read(lambda c: c.execute(MANY).scalar())
writer = threading.Thread(target=guarded, args=(write,))
writer.start()
while writer.is_alive():
    readers = [threading.Thread(target=guarded, args=(read,)) for _ in range(10)]
    for one in readers: one.start()
    for one in readers: one.join()
print(failures, database.read(lambda c: c.execute(text("SELECT count(*) FROM t")).scalar()))
database.close()
"""


def test_any_number_of_threads_may_read_beside_the_writer(tmp_path: Path) -> None:
    """In a process of its own: a pool that closes what others use ends the process."""
    command = [sys.executable, "-c", _MANY_READERS, str(tmp_path / "many.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[] 1200\n"), done.stderr[-2000:]
